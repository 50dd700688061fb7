// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// Runs the limit algorithms of example/17_own_law.cpp on the same simulated server as the
// library's. In these workloads, the results must agree with those of independent
// re-implementations of Netflix's and Envoy's algorithms in another simulation of that server;
// doc/limit_laws.md names the workloads in which they differ.

#include "evaluation.hpp"

#include <boost/test/unit_test.hpp>

#include <map>
#include <stdexcept>
#include <string>

using namespace test::simulation;

namespace {

// All algorithms share the results of a sweep.
best_fixed& best_for(const workload& w) {
    static std::map<std::string, best_fixed> known;
    return known.try_emplace(w.name, w).first->second;
}

// Compares the first window of each workload.
void makes(const law& l, const std::map<std::string, double>& expected) {
    for (auto& w : workloads())
        if (const auto found = expected.find(w.name); found != expected.end()) {
            const auto e = evaluate(best_for(w), l, 1, 1);
            BOOST_TEST_CONTEXT(l.name << ", " << w.name)
            BOOST_TEST(std::abs(e.windows[0].goodput[0] - found->second) < 0.04);
        }
}

law named(const std::string& name) {
    for (auto& l : other_laws())
        if (l.name == name)
            return l;
    throw std::invalid_argument(name);
}

} // namespace

BOOST_AUTO_TEST_SUITE(limiter_users_laws)

BOOST_AUTO_TEST_CASE(vegas_refuses_requests_that_could_be_served) {
    makes(
        named("Netflix Vegas"), {{"W-a", 1.000},
                                 {"W-b", 0.829},
                                 {"W-c", 0.744},
                                 {"W-e", 0.742},
                                 {"W-h", 0.890},
                                 {"W-k", 0.739},
                                 {"W-l", 0.787},
                                 {"W-m", 0.983}});
}

BOOST_AUTO_TEST_CASE(envoys_gradient_is_good_under_overload_and_lost_after_a_latency_step) {
    makes(
        named("Envoy"), {{"W-b", 0.997},
                         {"W-c", 0.997},
                         {"W-e", 0.946},
                         {"W-f", 0.013},
                         {"W-g", 0.994},
                         {"W-h", 0.984},
                         {"W-l", 0.967},
                         {"W-m", 0.000}});
}

BOOST_AUTO_TEST_SUITE_END()
