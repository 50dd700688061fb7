// Every pair of operations that threads may run at the same time, from every beginning, in every
// interleaving of their steps.

#include "actions.hpp"
#include "explore.hpp"

#include <boost/test/unit_test.hpp>

#include <memory>

namespace {

using namespace asio_semaphore::model;

// All interleavings, but for actions of several operations, which get that only in a long run.
settings bounds(const action& first, const action& second) {
    settings s;
    if (!long_run() && (first.several || second.several))
        s.preemptions = 2;
    return s;
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
                    all.run(
                        title_of(b, two), bounds(table[i], table[j]),
                        [&] { return std::make_unique<contest>(b, two); }, describe(b, two));
            }
        }
    }
    all.print_total("pairs");
}

BOOST_AUTO_TEST_SUITE_END()
