// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// Three operations at the same time, in every interleaving with at most two preemptions.

#include "actions.hpp"
#include "explore.hpp"

#include <boost/test/unit_test.hpp>

#include <cstddef>
#include <stdexcept>
#include <string_view>
#include <vector>

namespace {

using namespace asio_semaphore::model;

using three_actions = std::vector<const action*>;
using names = std::vector<std::string_view>;

template <typename F>
void for_each_triple(const beginning& b, F f) {
    const std::vector<action>& table = actions();
    for (std::size_t i = 0; i < table.size(); ++i) {
        for (std::size_t j = i; j < table.size(); ++j) {
            for (std::size_t k = j; k < table.size(); ++k) {
                const three_actions three{&table[i], &table[j], &table[k]};
                if (fit(b, three))
                    f(three);
            }
        }
    }
}

bool is_one_of(const action* a, const names& which) {
    for (const std::string_view name : which) {
        if (a->name == name)
            return true;
    }
    return false;
}
bool one_is(const three_actions& three, const names& which) {
    for (const action* a : three) {
        if (is_one_of(a, which))
            return true;
    }
    return false;
}
bool all_are(const three_actions& three, const names& which) {
    for (const action* a : three) {
        if (!is_one_of(a, which))
            return false;
    }
    return true;
}
int several(const three_actions& three) {
    int n = 0;
    for (const action* a : three)
        n += a->several ? 1 : 0;
    return n;
}

// One action of each kind. The other actions of each kind run only in a long run, or with one
// preemption.
const names kinds{"acquire",       "try_acquire", "release",         "put_back",      "reduce",
                  "cancel_all",    "close",       "destroy",         "shutdown",      "cancel_head",
                  "cancel_second", "expire_head", "expire_newcomer", "destroy_signal"};
const names ends{"cancel_head", "expire_head", "destroy_signal", "destroy", "shutdown"};
// The actions that may end many waiters at once.
const names ends_of_many{"cancel_head", "expire_newcomer", "destroy",
                         "shutdown",    "close",           "cancel_all"};

void explore_within(
    exploration& all, const beginning& b, const three_actions& three, int preemptions,
    int preemptions_inside) {
    explore(all, b, three, [&](bool inside) -> std::vector<settings> {
        if (inside)
            return {bound(preemptions_inside, 0)};
        if (preemptions <= 1)
            return {bound(preemptions, 1)};
        return {bound(preemptions, 0), bound(1, 1)};
    });
}

const beginning& beginning_called(std::string_view name) {
    for (const beginning& b : beginnings()) {
        if (b.name == name)
            return b;
    }
    throw std::invalid_argument("no such beginning");
}

} // namespace

BOOST_AUTO_TEST_SUITE(model_triples)

BOOST_AUTO_TEST_CASE(a_grant_an_end_and_any_third_operation_keep_every_guarantee) {
    exploration all;
    const beginning& b = beginning_called("heavy_head");
    for_each_triple(b, [&](const three_actions& three) {
        if (one_is(three, {"release"}) && one_is(three, ends) && several(three) == 0)
            explore_within(all, b, three, all_are(three, kinds) ? 2 : 1, 1);
    });
    all.print_total("triples of a grant and an end");
}

BOOST_AUTO_TEST_CASE(a_grant_operations_in_a_row_and_a_third_operation_keep_every_guarantee) {
    exploration all;
    const beginning& b = beginning_called("heavy_head");
    for_each_triple(b, [&](const three_actions& three) {
        if (one_is(three, {"release"}) && several(three) == 1)
            explore_within(all, b, three, one_is(three, ends_of_many) ? 2 : 1, 0);
    });
    all.print_total("triples of a grant and operations in a row");
}

BOOST_AUTO_TEST_CASE(three_operations_without_a_queue_keep_every_guarantee) {
    exploration all;
    const beginning& b = beginning_called("free");
    for_each_triple(b, [&](const three_actions& three) {
        if (all_are(
                three, {"acquire", "acquire_2", "try_acquire", "try_acquire_2", "release",
                        "release_2", "put_back", "reduce"}))
            explore_within(all, b, three, 2, 1);
    });
    all.print_total("triples without a queue");
}

BOOST_AUTO_TEST_CASE(a_newcomer_its_deadline_and_a_third_operation_keep_every_guarantee) {
    exploration all;
    const beginning& b = beginning_called("none_free");
    for_each_triple(b, [&](const three_actions& three) {
        if (one_is(three, {"expire_newcomer"}) && several(three) == 0)
            explore_within(all, b, three, all_are(three, kinds) ? 2 : 1, 1);
    });
    all.print_total("triples of a newcomer and its deadline");
}

BOOST_AUTO_TEST_CASE(any_three_operations_keep_every_guarantee, *only_in_a_long_run()) {
    exploration all;
    for (const beginning& b : beginnings()) {
        for_each_triple(b, [&](const three_actions& three) {
            if (several(three) <= 1)
                explore_within(all, b, three, 2, 1);
        });
    }
    all.print_total("triples");
}

BOOST_AUTO_TEST_SUITE_END()
