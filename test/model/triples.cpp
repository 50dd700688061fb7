// Three operations at the same time, in every interleaving with up to two preemptions.

#include "actions.hpp"
#include "explore.hpp"

#include <boost/test/unit_test.hpp>

#include <memory>
#include <string>
#include <string_view>

namespace {

using namespace asio_semaphore::model;

using three_actions = std::vector<const action*>;

template <typename F>
void for_each_triple(const beginning& b, F f) {
    std::vector<const action*> table;
    for (const action& a : actions()) {
        if (!a.several)
            table.push_back(&a);
    }
    for (std::size_t i = 0; i < table.size(); ++i) {
        for (std::size_t j = i; j < table.size(); ++j) {
            for (std::size_t k = j; k < table.size(); ++k) {
                const three_actions three{table[i], table[j], table[k]};
                if (fit(b, three))
                    f(three);
            }
        }
    }
}

bool one_is(const three_actions& three, std::initializer_list<std::string_view> names) {
    for (const action* a : three) {
        for (const std::string_view name : names) {
            if (a->name == name)
                return true;
        }
    }
    return false;
}

void explore(exploration& all, const beginning& b, const three_actions& three) {
    explore(all, b, three, [](bool) { return std::vector<settings>{bound(2, 0)}; });
}

} // namespace

BOOST_AUTO_TEST_SUITE(model_triples)

// A grant, somebody who makes an end of the head, and anybody else.
BOOST_AUTO_TEST_CASE(a_grant_an_end_and_any_third_operation_keep_every_guarantee) {
    exploration all;
    for (const beginning& b : beginnings()) {
        if (b.name != std::string_view("heavy_head"))
            continue;
        for_each_triple(b, [&](const three_actions& three) {
            if (one_is(three, {"release"}) &&
                one_is(
                    three, {"cancel_head", "expire_head", "destroy_signal", "destroy", "shutdown"}))
                explore(all, b, three);
        });
    }
    all.print_total("triples of a grant and an end");
}

BOOST_AUTO_TEST_CASE(any_three_operations_keep_every_guarantee, *only_in_a_long_run()) {
    exploration all;
    for (const beginning& b : beginnings())
        for_each_triple(b, [&](const three_actions& three) { explore(all, b, three); });
    all.print_total("triples");
}

BOOST_AUTO_TEST_SUITE_END()
