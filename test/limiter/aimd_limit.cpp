// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// The rules of aimd_limit. L43 to L47 are scenarios of the limiter's contract.

#include "law_fixture.hpp"

#include <boost/test/unit_test.hpp>

#include <limits>
#include <stdexcept>
#include <vector>

using namespace test;

namespace {

// An aimd_limit after its slow start.
hand_fed experienced_aimd(double limit, aimd_limit_options options = {}) {
    hand_fed f(aimd_limit(options), limit);
    f.window({.latency = 10, .overloaded_every = 1});
    f.limit = limit;
    return f;
}

} // namespace

BOOST_AUTO_TEST_SUITE(limiter_aimd_limit)

BOOST_AUTO_TEST_CASE(invalid_options_are_refused) {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    std::vector<aimd_limit_options> bad(7);
    bad[0].min_limit = 0.5;
    bad[1].min_limit = 20, bad[1].max_limit = 10;
    bad[2].backoff = 1;
    bad[3].backoff = 0;
    bad[4].max_latency = 0ms;
    bad[5].min_limit = nan;
    bad[6].backoff = nan;
    for (std::size_t i = 0; i < bad.size(); ++i)
        BOOST_TEST_CONTEXT(i)
    BOOST_CHECK_THROW((void)aimd_limit(bad[i]), std::invalid_argument);
    BOOST_CHECK_NO_THROW((void)aimd_limit());
}

BOOST_AUTO_TEST_CASE(a_start_outside_the_bounds_is_corrected_with_the_first_sample) {
    aimd_limit_options options;
    options.min_limit = 10;
    options.max_limit = 100;
    BOOST_TEST(hand_fed(aimd_limit(options), 1).sample(10, 1, true) == 10);
    BOOST_TEST(hand_fed(aimd_limit(options), 500).sample(10, 1, true) == 100);
}

BOOST_AUTO_TEST_CASE(L43_the_limit_grows_by_one_each_round_trip) {
    BOOST_TEST(experienced_aimd(20).window({.latency = 10, .peak = 10}) == 21);
}

BOOST_AUTO_TEST_CASE(L44_the_limit_falls_by_a_tenth_at_an_overload) {
    BOOST_TEST(experienced_aimd(30).window({.latency = 10, .overloaded_every = 1}) == 27);
}

BOOST_AUTO_TEST_CASE(L45_the_limit_does_not_exceed_its_maximum) {
    aimd_limit_options options;
    options.max_limit = 21;
    auto f = experienced_aimd(20, options);
    for (double expected : {21, 21, 21})
        BOOST_TEST(f.window({.latency = 10}) == expected);
}

BOOST_AUTO_TEST_CASE(L46_the_limit_is_not_raised_if_half_of_it_is_not_used) {
    BOOST_TEST(experienced_aimd(20).window({.latency = 10, .peak = 9}) == 20);
}

BOOST_AUTO_TEST_CASE(L47_small_limits_move_too) {
    auto f = experienced_aimd(2);
    BOOST_TEST(f.window({.latency = 10, .overloaded_every = 1}) == 1);
    BOOST_TEST(f.window({.latency = 10, .overloaded_every = 1}) == 1);
    BOOST_TEST(f.window({.latency = 10}) == 2);
}

BOOST_AUTO_TEST_CASE(L48_small_steps_of_the_limit_add_up) {
    hand_fed f([](const limit_sample& s) { return s.limit + 0.05; }, 20);
    for (int i = 0; i < 20; ++i)
        f.sample(10, 20, true);
    BOOST_TEST(f.limit == 21, boost::test_tools::tolerance(1e-9));
}

BOOST_AUTO_TEST_CASE(a_latency_above_the_allowed_one_is_overload) {
    aimd_limit_options options;
    options.max_latency = 50ms;
    BOOST_TEST(experienced_aimd(30, options).window({.latency = 50}) == 31);
    auto f = experienced_aimd(30, options);
    f.pass(2000);
    f.sample(51, 30, true);
    BOOST_TEST(f.sample(51, 30, true) == 27);
}

BOOST_AUTO_TEST_CASE(one_overload_among_many_successes_does_not_count) {
    auto f = experienced_aimd(100);
    f.pass(2000);
    for (int i = 0; i < 100; ++i) {
        f.pass(0.9);
        f.sample(10, 40, true, i == 50 ? outcome::overloaded : outcome::success);
    }
    BOOST_TEST(f.limit == 100);
}

BOOST_AUTO_TEST_CASE(overloads_of_one_round_trip_are_one_decrease) {
    auto f = experienced_aimd(100);
    f.pass(5000);
    for (int i = 0; i < 50; ++i) {
        f.pass(1);
        f.sample(1000, 100, true, outcome::overloaded);
    }
    BOOST_TEST(f.limit == 90);
}

BOOST_AUTO_TEST_CASE(twenty_results_at_once_are_one_step) {
    auto f = experienced_aimd(20);
    f.pass(2000);
    for (int round = 0; round < 6; ++round) {
        for (int i = 0; i < 20; ++i)
            f.sample(10, 20, true);
        f.pass(20);
    }
    BOOST_TEST(f.limit == 21);
}

BOOST_AUTO_TEST_CASE(the_slow_start_doubles_the_limit_until_the_first_overload) {
    hand_fed f(aimd_limit(), 20);
    BOOST_TEST(f.window({.latency = 10}) == 40);
    BOOST_TEST(f.window({.latency = 10}) == 80);
    BOOST_TEST(f.window({.latency = 10, .overloaded_every = 1}) == 72);
    BOOST_TEST(f.window({.latency = 10}) == 73);
}

BOOST_AUTO_TEST_CASE(the_slow_start_ends_once_the_limit_is_not_used) {
    hand_fed f(aimd_limit(), 20);
    BOOST_TEST(f.window({.latency = 10}) == 40);
    BOOST_TEST(f.window({.latency = 10, .peak = 5, .bound = false}) == 40);
    BOOST_TEST(f.window({.latency = 10}) == 41);
}

BOOST_AUTO_TEST_CASE(latencies_of_zero_and_less_are_ignored) {
    auto f = experienced_aimd(20);
    for (double latency : {0.0, -5.0})
        for (int i = 0; i < 50; ++i) {
            f.pass(10);
            f.sample(latency, 20, true, outcome::overloaded);
        }
    BOOST_TEST(f.limit == 20);
}

BOOST_AUTO_TEST_SUITE_END()
