// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Runs every scenario with every fault, at every place where the fault can occur.

#include <model/faults.hpp>
#include <stress/options.hpp>
#include <support/last_words.hpp>

#include <boost/test/unit_test.hpp>

#include <exception>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace faults {

/// Scenarios depend on as little as possible, because any call may fail.
template <typename World>
using scenarios_of = std::vector<std::pair<const char*, std::function<void(World&)>>>;

/// The forms in which a world performs its scenarios.
template <typename World>
using forms_of = std::initializer_list<typename World::form_type>;

struct totals {
    int runs = 0;
    std::map<kind, int> fired{}; // failures of a single kind
    int several = 0;
};

/// ASIO_SEMAPHORE_TEST_FAULT: runs only this run.
inline const std::string& only_run() {
    static const std::string given = stress::environment("ASIO_SEMAPHORE_TEST_FAULT");
    return given;
}

template <typename World>
void run_all(const scenarios_of<World>& scenarios, forms_of<World> forms, totals& sum) {
    using where = typename World::where;
    constexpr int most_uses = 400;
    std::vector<kinds> all_kinds{where::fail_together()};
    for (std::size_t k = 0; k < std::size(kind_names); ++k)
        all_kinds.push_back(static_cast<kind>(k));
    for (const auto& [scenario_name, scenario] : scenarios) {
        for (const kinds what : all_kinds) {
            for (const auto how : forms) {
                for (const times t :
                     {times::once, times::with_the_next, times::with_the_next_but_one,
                      times::from_then_on}) {
                    for (int uses = 0;; ++uses) {
                        const std::string name = std::string(scenario_name) + "; " + where::name +
                                                 "; " + name_of(how) + "; " + what.name() +
                                                 " fails at use " + std::to_string(uses) + ' ' +
                                                 times_names[static_cast<int>(t)];
                        BOOST_REQUIRE(uses < most_uses);
                        if (!only_run().empty() && name != only_run()) {
                            if (uses == most_uses - 1)
                                break;
                            continue;
                        }
                        const std::string told =
                            "replay with ASIO_SEMAPHORE_TEST_FAULT=\"" + name + '"';
                        BOOST_TEST_INFO_SCOPE(told);
                        support::last_words::are(told);
                        bool fired = false;
                        plan::get().make(what, uses, t);
                        try {
                            World x(how);
                            scenario(x);
                            // From here on nothing fails.
                            fired = plan::get().fired();
                            plan::get().make_none();
                            x.end();
                        } catch (const std::exception& e) {
                            BOOST_FAIL("an exception that nobody expects: " << e.what());
                        }
                        BOOST_TEST(blocks_alive == 0);
                        ++sum.runs;
                        if (what.name() == where::fail_together().name())
                            sum.several += fired;
                        for (std::size_t k = 0; k < std::size(kind_names); ++k)
                            sum.fired[static_cast<kind>(k)] +=
                                fired && what.name() == kind_names[k];
                        if (!fired && only_run().empty())
                            break;
                    }
                }
            }
        }
    }
}

/// Runs every scenario with every fault, at every place where the fault can occur.
template <typename World>
void check_all(const scenarios_of<World>& scenarios, forms_of<World> forms) {
    using where = typename World::where;
    const support::last_words on_death;
    totals sum;
    run_all<World>(scenarios, forms, sum);
    BOOST_TEST_MESSAGE(where::name << ": " << sum.runs << " runs");
    if (!only_run().empty())
        return;
    BOOST_TEST_MESSAGE("  any kinds, one after the other: failed in " << sum.several);
    for (const auto& [k, fired] : sum.fired) {
        const char* const name = kind_names[static_cast<int>(k)];
        BOOST_TEST_MESSAGE("  " << name << ": failed in " << fired);
        BOOST_TEST((fired > 0) != where::never_asked().contain(k), name);
    }
}

} // namespace faults
