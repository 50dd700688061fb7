// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// Every pair of operations that two threads may run at the same time, from every initial state, in
// every interleaving of their steps.

#include "actions.hpp"
#include "explore.hpp"

#include <boost/test/unit_test.hpp>

#include <memory>

namespace {

using namespace asio_semaphore::model;

// All interleavings, but in a short run only for actions that are a single operation.
std::vector<settings>
bounds(const beginning& b, const action& first, const action& second, bool inside) {
    if (long_run())
        return {bound(any_number, 1)};
    const bool several = first.several || second.several;
    if (several && (b.elsewhere != 0 || b.timed != 0))
        return {bound(1, 1)};
    // The thread that ends the context waits for each section, and for the alarm.
    if (b.timed != 0 && ((first.uses | second.uses) & the_context) != 0)
        return {bound(2, 0), bound(1, 1)};
    if (inside)
        return {bound(several || b.timed != 0 ? 1 : any_number, 0)};
    return {bound(several ? 2 : any_number, 0), bound(1, 1)};
}

} // namespace

BOOST_AUTO_TEST_SUITE(model_pairs)

BOOST_AUTO_TEST_CASE(any_two_operations_keep_every_guarantee_in_every_interleaving) {
    exploration all;
    const auto& table = actions();
    for (const beginning& b : beginnings()) {
        for (std::size_t i = 0; i < table.size(); ++i) {
            for (std::size_t j = i; j < table.size(); ++j) {
                const std::vector<const action*> two{&table[i], &table[j]};
                if (fit(b, two))
                    explore(all, b, two, [&](bool inside) {
                        return bounds(b, table[i], table[j], inside);
                    });
            }
        }
    }
    all.print_total("pairs");
}

BOOST_AUTO_TEST_SUITE_END()
