// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// The rules of gradient_limit, each tested with hand-made windows of samples. L49 to L80 are
// scenarios of the limiter's contract.

#include "law_fixture.hpp"

#include <boost/test/unit_test.hpp>

#include <limits>
#include <stdexcept>
#include <vector>

using namespace test;

namespace {

const auto close_to = boost::test_tools::tolerance(1e-6);

} // namespace

BOOST_AUTO_TEST_SUITE(limiter_gradient_limit)

BOOST_AUTO_TEST_CASE(invalid_options_are_refused) {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    std::vector<gradient_limit_options> bad(8);
    bad[0].min_limit = 0.5;
    bad[1].min_limit = 20, bad[1].max_limit = 10;
    bad[2].tolerance = 1;
    bad[3].max_latency = 0ms;
    bad[4].min_limit = nan;
    bad[5].max_limit = nan;
    bad[6].tolerance = nan;
    bad[7].max_latency = -1ms;
    for (std::size_t i = 0; i < bad.size(); ++i)
        BOOST_TEST_CONTEXT(i)
    BOOST_CHECK_THROW((void)gradient_limit(bad[i]), std::invalid_argument);
    BOOST_CHECK_NO_THROW((void)gradient_limit());
}

BOOST_AUTO_TEST_CASE(a_start_outside_the_bounds_is_corrected_with_the_first_sample) {
    gradient_limit_options options;
    options.min_limit = 10;
    options.max_limit = 100;
    BOOST_TEST(hand_fed(gradient_limit(options), 1).sample(10, 1, true) == 10);
    BOOST_TEST(hand_fed(gradient_limit(options), 500).sample(10, 1, true) == 100);
}

BOOST_AUTO_TEST_CASE(a_copy_is_independent) {
    auto one = experienced(100, 10, without_relearning());
    auto another = one;
    BOOST_TEST(one.window({.latency = 20}) == 75, close_to);
    BOOST_TEST(another.window({.latency = 10}) == 110, close_to);
}

BOOST_AUTO_TEST_CASE(L49_one_window_halves_the_limit_at_most) {
    auto f = experienced(100, 10, without_relearning());
    BOOST_TEST(f.window({.latency = 30}) == 50);
    BOOST_TEST(f.window({.latency = 40}) == 25);
    for (int i = 0; i < 20; ++i)
        BOOST_TEST(f.window({.latency = 300}) >= 1);
    BOOST_TEST(f.limit == 1);
}

BOOST_AUTO_TEST_CASE(L50_the_limit_follows_the_ratio_of_latencies_and_adds_no_headroom) {
    BOOST_TEST(experienced(100, 10, without_relearning()).window({.latency = 20}) == 75, close_to);
}

BOOST_AUTO_TEST_CASE(L51_a_modest_overload_lowers_the_limit_strictly) {
    auto f = experienced(1000, 10, without_relearning());
    for (int i = 0; i < 30; ++i) {
        const double before = f.limit;
        BOOST_TEST(f.window({.latency = 18.75}) < before);
        if (f.limit == 1)
            break;
    }
}

BOOST_AUTO_TEST_CASE(L51_a_latency_slightly_too_high_lowers_the_limit_by_one) {
    BOOST_TEST(experienced(100, 10, without_relearning()).window({.latency = 15.01}) == 99);
}

BOOST_AUTO_TEST_CASE(L52_the_limit_grows_by_its_root_only_where_it_is_reached) {
    auto f = experienced(100, 10, without_relearning());
    BOOST_TEST(f.window({.latency = 14, .peak = 80, .bound = false}) == 100);
    BOOST_TEST(f.window({.latency = 14, .peak = 2, .bound = false}) == 100);
    BOOST_TEST(f.window({.latency = 14}) == 110, close_to);
}

BOOST_AUTO_TEST_CASE(L53_the_limit_moves_strictly_both_ways) {
    auto options = without_relearning();
    options.tolerance = 1.1;
    options.max_limit = 1e6;
    options.min_limit = 7;
    auto f = experienced(100, 5, options);
    for (int i = 0; i < 50; ++i) {
        const double before = f.limit;
        BOOST_TEST(f.window({.latency = 4}) > before);
    }
    while (f.limit > 7) {
        const double before = f.limit;
        BOOST_TEST(f.window({.latency = 6}) < before);
        BOOST_TEST_REQUIRE(f.limit >= 7);
    }
}

BOOST_AUTO_TEST_CASE(L54_pauses_between_samples_change_nothing) {
    auto f = experienced(37.25, 10);
    for (int i = 0; i < 100; ++i) {
        f.pass(5000);
        BOOST_TEST(f.sample(10, 20, false) == 37.25);
    }
}

BOOST_AUTO_TEST_CASE(L55_the_limit_falls_while_everything_ends_at_the_same_timeout) {
    auto f = experienced(100, 10);
    for (int i = 0; i < 60 && f.limit > 1; ++i) {
        const double before = f.limit;
        BOOST_TEST(f.window({.latency = 1000, .overloaded_every = 1}) < before);
    }
    BOOST_TEST(f.limit == 1);
    for (int i = 0; i < 20; ++i) // the baseline is not learned at the minimum
        BOOST_TEST(f.window({.latency = 1000, .overloaded_every = 1}) == 1);
}

BOOST_AUTO_TEST_CASE(L55_the_limit_falls_too_if_the_timeout_is_a_success_slower_than_allowed) {
    gradient_limit_options options;
    options.max_latency = 500ms;
    auto f = experienced(100, 10, options);
    while (f.limit > 1) {
        const double before = f.limit;
        BOOST_TEST_REQUIRE(f.window({.latency = 1000}) < before);
    }
    for (int i = 0; i < 20; ++i)
        BOOST_TEST(f.window({.latency = 1000}) == 1);
}

// The requests of before the timeouts succeeded, but none of them took as long as the timeout.
BOOST_AUTO_TEST_CASE(L55_a_timeout_just_above_a_latency_in_doubt_is_not_learned) {
    for (const double timeout : {31.0, 40.0, 44.0}) {
        BOOST_TEST_CONTEXT(timeout) {
            auto f = experienced(100, 10);
            BOOST_TEST(f.window({.latency = 30}) == 50);
            for (int i = 0; i < 60 && f.limit > 1; ++i) {
                const double before = f.limit;
                BOOST_TEST(f.window({.latency = timeout, .overloaded_every = 1}) < before);
            }
            BOOST_TEST(f.limit == 1);
            for (int i = 0; i < 20; ++i)
                BOOST_TEST(f.window({.latency = timeout, .overloaded_every = 1}) == 1);
        }
    }
}

// A test can see the baseline only indirectly: by the latency at which the limit begins to fall.
// The others in that window were admitted before the last decrease, so they say nothing.
BOOST_AUTO_TEST_CASE(the_limit_falls_if_the_only_request_of_a_window_is_refused) {
    auto f = experienced(100, 10);
    f.window({.latency = 1000, .overloaded_every = 1});
    const double before = f.limit;
    for (int i = 0; i < 2; ++i) {
        f.pass(600);
        BOOST_TEST(f.sample(5000, before, true) == before);
    }
    f.pass(500);
    BOOST_TEST(f.sample(1, before, true, outcome::overloaded) == 0.9 * before, close_to);
}

BOOST_AUTO_TEST_CASE(L56_the_baseline_is_not_learned_from_a_loaded_server) {
    auto base_is = [](hand_fed f, double base) {
        auto above = f;
        f.limit = above.limit = 100;
        return f.window({.latency = base * 1.499}) >= 100 &&
               above.window({.latency = base * 1.501}) < 100;
    };
    auto f = experienced(20, 10, without_relearning());
    for (int i = 0; i < 200; ++i) {
        f.window({.latency = 50, .peak = 15});
        f.limit = 20;
    }
    BOOST_TEST(base_is(f, 10));
    f.window({.latency = 15, .peak = 5, .bound = false});
    BOOST_TEST(base_is(f, 10.5));
}

BOOST_AUTO_TEST_CASE(L57_a_lucky_window_does_not_become_the_baseline) {
    auto f = experienced(100, 300, without_relearning());
    BOOST_TEST(f.window({.latency = 150, .peak = 80, .bound = false}) == 100);
    BOOST_TEST(f.window({.latency = 300}) >= 100);
    f.limit = 100; // the baseline is 270: 405 is accepted, 406 is not
    auto above = f;
    BOOST_TEST(f.window({.latency = 404.9}) >= 100);
    BOOST_TEST(above.window({.latency = 405.5}) < 100);
}

BOOST_AUTO_TEST_CASE(L59_at_the_minimum_the_baseline_is_learned) {
    gradient_limit_options options;
    options.min_limit = 10;
    auto f = experienced(10, 10, options);
    for (int i = 0; i < 5; ++i)
        BOOST_TEST(f.window({.latency = 50}) == 10);
    BOOST_TEST(f.window({.latency = 50}) > 10);
}

BOOST_AUTO_TEST_CASE(L60_a_latency_that_does_not_fall_with_the_limit_is_learned) {
    auto f = experienced(100, 10);
    BOOST_TEST(f.window({.latency = 30}) == 50);
    int windows = 0;
    f.base = 30;
    while (f.limit < 100) {
        f.window({.latency = 30});
        BOOST_TEST_REQUIRE(++windows <= 6);
    }
    // From now on this latency is accepted.
    const double before = f.limit;
    BOOST_TEST(f.window({.latency = 30}) >= before);
}

// At half the limit, all requests wait in the queue for longer than their clients do. Requests that
// took as long succeeded before.
BOOST_AUTO_TEST_CASE(L60_a_latency_is_learned_even_if_all_requests_die_in_the_queue_meanwhile) {
    auto f = experienced(100, 10);
    BOOST_TEST(f.window({.latency = 30}) == 50);
    f.window({.latency = 30, .overloaded_every = 1});
    f.base = 30;
    BOOST_TEST(f.window({.latency = 30, .overloaded_every = 1}) == 100);
}

BOOST_AUTO_TEST_CASE(a_latency_that_falls_with_the_limit_is_not_learned) {
    auto f = experienced(100, 10);
    // A server with a throughput of 2,000 requests a second, whatever the limit.
    for (int i = 0; i < 30; ++i)
        f.window({.latency = std::max(10.0, f.limit / 2), .rate = std::min(2000.0, f.limit * 100)});
    BOOST_TEST(f.limit < 45);
    BOOST_TEST(f.limit > 15);
}

BOOST_AUTO_TEST_CASE(a_relearned_baseline_is_dropped_if_twice_the_concurrency_gains_nothing) {
    auto f = experienced(100, 10);
    BOOST_TEST(f.window({.latency = 30}) == 50);
    f.window({.latency = 30}); // suspects a new baseline
    f.base = 30;
    BOOST_TEST(f.window({.latency = 30}) == 100); // confirms it, and raises the limit again
    // But the throughput at 100 is not larger than at 50.
    BOOST_TEST(f.window({.latency = 60, .rate = 1667}) == 50);
    f.base = 10;
    BOOST_TEST(f.window({.latency = 30}) < 50);
}

BOOST_AUTO_TEST_CASE(after_a_latency_step_elsewhere_as_many_requests_may_wait_as_before) {
    auto f = experienced(100, 10);
    f.window({.latency = 100});
    f.window({.latency = 100});
    f.base = 100;
    f.window({.latency = 100});
    BOOST_TEST(f.limit == 100);
    while (f.limit < 300)
        f.window({.latency = 100, .bound = true});
    // A third of 100 requests may wait, so 400 requests may take 100 / (1 - 33 / 400) ms each.
    f.limit = 400;
    BOOST_TEST(f.window({.latency = 112}) < 400);
    f.limit = 400;
    f.window({.latency = 100});
    f.limit = 400;
    BOOST_TEST(f.window({.latency = 105}) > 400);
}

BOOST_AUTO_TEST_CASE(L61_tiny_latencies_leave_a_limit) {
    hand_fed f(gradient_limit(), 20);
    f.base = 0.025;
    for (int i = 0; i < 200; ++i)
        BOOST_TEST(f.window({.latency = 0.025, .peak = 1, .bound = false, .rate = 10000}) >= 1);
    BOOST_TEST(f.limit == 20);
}

BOOST_AUTO_TEST_CASE(L62_latencies_of_zero_and_less_are_ignored) {
    auto fed = [](std::vector<double> first) {
        hand_fed f(gradient_limit(without_relearning()), 20);
        for (double latency : first)
            f.sample(latency, 20, true);
        f.window({.latency = 10, .peak = 12, .bound = false});
        f.window({.latency = 40, .peak = 12, .bound = false});
        f.limit = 100;
        return f.window({.latency = 20});
    };
    BOOST_TEST(fed({0, -5}) == 75, close_to);
    BOOST_TEST(fed({0, -5}) == fed({}));
    // A whole window of them.
    auto f = experienced(100, 10);
    BOOST_TEST(f.window({.latency = 0, .rate = 1000}) == 100);
    BOOST_TEST(f.window({.latency = 20}) == 75, close_to);
}

BOOST_AUTO_TEST_CASE(L64_if_all_is_overload_the_limit_is_a_tenth_below_what_was_in_flight) {
    BOOST_TEST(
        experienced(100, 10).window({.latency = 1000, .overloaded_every = 1}) == 90, close_to);
    BOOST_TEST(
        experienced(100, 10).window({.latency = 1000, .peak = 60, .overloaded_every = 1}) == 54,
        close_to);
}

BOOST_AUTO_TEST_CASE(L65_one_overload_in_a_hundred_changes_nothing) {
    auto f = experienced(100, 10);
    f.pass(2000);
    for (int i = 0; i < 100; ++i) {
        f.pass(2);
        f.sample(i == 50 ? 100 : 10, 80, false, i == 50 ? outcome::overloaded : outcome::success);
    }
    BOOST_TEST(f.limit == 100);
}

BOOST_AUTO_TEST_CASE(L66_overloads_of_one_round_trip_are_one_decrease) {
    auto f = experienced(100, 10);
    f.pass(5000);
    for (int i = 0; i < 50; ++i) {
        f.pass(1);
        f.sample(1000, 100, true, outcome::overloaded);
    }
    BOOST_TEST(f.limit == 90, close_to);
}

BOOST_AUTO_TEST_CASE(L67_the_second_overload_counts_at_once) {
    auto f = experienced(100, 10);
    f.pass(2000);
    BOOST_TEST(f.sample(1000, 100, true, outcome::overloaded) == 100);
    BOOST_TEST(f.sample(1000, 100, true, outcome::overloaded) == 90, close_to);
}

BOOST_AUTO_TEST_CASE(L68_twenty_results_at_once_are_one_step) {
    auto f = experienced(20, 10, without_relearning());
    f.pass(2000);
    for (int round = 0; round < 6; ++round) {
        for (int i = 0; i < 20; ++i)
            f.sample(10, 20, true);
        f.pass(20);
    }
    BOOST_TEST(f.limit == 20 + std::sqrt(20.0), close_to);
}

BOOST_AUTO_TEST_CASE(L69_the_slow_start_doubles_the_limit_until_latency_or_overload_ends_it) {
    hand_fed f(gradient_limit(), 20);
    f.base = 10;
    BOOST_TEST(f.window({.latency = 10}) >= 40);
    f.limit = 40;
    BOOST_TEST(f.window({.latency = 10}) >= 80);
    auto g = f;
    f.limit = g.limit = 80;
    f.window({.latency = 16});
    BOOST_TEST(f.limit < 80);
    BOOST_TEST(f.window({.latency = 10}) < 100);
    g.window({.latency = 1000, .overloaded_every = 1});
    BOOST_TEST(g.limit == 72, close_to);
    BOOST_TEST(g.window({.latency = 10}) < 100);
}

BOOST_AUTO_TEST_CASE(L70_the_limit_grows_to_twice_what_is_in_flight_and_no_further) {
    auto options = without_relearning();
    auto f = experienced(40, 10, options);
    BOOST_TEST(f.window({.latency = 10, .peak = 25}) == 40 + std::sqrt(40.0), close_to);
    f = experienced(49, 10, options);
    BOOST_TEST(f.window({.latency = 10, .peak = 25}) == 50);
    f = experienced(60, 10, options);
    BOOST_TEST(f.window({.latency = 10, .peak = 25}) == 60);
}

BOOST_AUTO_TEST_CASE(L71_a_lull_forgets_nothing) {
    hand_fed f(gradient_limit(), 20);
    f.window({.latency = 10, .peak = 12, .bound = false});
    f.limit = 200;
    auto slow = f;
    for (int i = 0; i < 100; ++i) {
        BOOST_TEST(f.window({.latency = 10, .peak = 2, .bound = false}) == 200);
        BOOST_TEST(slow.window({.latency = 30, .peak = 2, .bound = false}) >= 20);
    }
}

BOOST_AUTO_TEST_CASE(L72_samples_admitted_before_a_decrease_change_nothing) {
    auto f = experienced(100, 10);
    f.pass(3000);
    for (int i = 0; i < 2; ++i)
        f.sample(1000, 100, true, outcome::overloaded);
    BOOST_TEST(f.limit == 90, close_to);
    for (int i = 0; i < 900; ++i) { // they were admitted 900 ms ago or earlier
        f.pass(1);
        f.sample(901 + i, 100, true, i % 2 ? outcome::success : outcome::overloaded);
    }
    BOOST_TEST(f.limit == 90, close_to);
}

BOOST_AUTO_TEST_CASE(L73_throughput_that_falls_while_concurrency_rises_lowers_the_limit) {
    auto f = experienced(100, 10, without_relearning());
    bool fell = false;
    for (int i = 0; i < 11 && !fell; ++i) {
        const double before = f.limit;
        fell = f.window({.latency = 10, .rate = 1000.0 - 50 * i}) < before;
    }
    BOOST_TEST(fell);
}

BOOST_AUTO_TEST_CASE(L80_a_refusal_at_once_counts_as_overload_and_not_as_a_latency) {
    auto f = experienced(100, 10, without_relearning());
    double lowest = 100;
    for (int i = 0; i < 1000; ++i) {
        f.pass(1);
        lowest = f.sample(0.1, std::floor(f.limit), true, outcome::overloaded);
    }
    BOOST_TEST(lowest < 50);
    f.limit = 100; // the baseline is unchanged
    BOOST_TEST(f.window({.latency = 20}) == 75, close_to);
}

// The first raise has an effect only after requests as long as those before it have finished.
BOOST_AUTO_TEST_CASE(a_latency_as_long_as_the_clock_can_count_overflows_nothing) {
    constexpr auto latency = limit_sample::duration::max() - 30min;
    hand_fed f(gradient_limit(), 20);
    for (int i = 0; i < 100; ++i) {
        f.pass(50);
        const auto peak = static_cast<std::ptrdiff_t>(f.limit);
        f.limit = f.law({f.now, latency, outcome::success, peak, true, f.limit});
    }
    BOOST_TEST(f.limit == 40);
}

BOOST_AUTO_TEST_CASE(a_timeout_after_quick_service_is_an_ordinary_sample) {
    auto f = experienced(100, 10, without_relearning());
    BOOST_TEST(f.window({.latency = 14, .overloaded_every = 1}) == 110, close_to);
    f.limit = 100;
    BOOST_TEST(f.window({.latency = 16, .overloaded_every = 1}) == 90, close_to);
}

BOOST_AUTO_TEST_CASE(two_failures_of_an_idle_server_do_not_lower_the_limit) {
    hand_fed f(gradient_limit(), 20);
    f.window({.latency = 10, .peak = 12, .bound = false});
    f.limit = 200;
    f.pass(2000);
    f.sample(1000, 2, false, outcome::overloaded);
    BOOST_TEST(f.sample(1000, 2, false, outcome::overloaded) == 20);
}

BOOST_AUTO_TEST_CASE(now_and_then_a_probe_finds_out_whether_a_lower_limit_is_as_good) {
    auto f = experienced(100, 10);
    bool probed = false;
    int windows = 0;
    while (!probed && ++windows < 20) {
        const double before = f.limit;
        f.window({.latency = 14, .rate = 7000});
        probed = f.limit < before;
        if (!probed)
            f.limit = 100;
    }
    BOOST_TEST_REQUIRE(probed);
    BOOST_TEST(f.limit == 50); // the first probe
    auto free = f;
    // Half of the limit halves the throughput, so the limit rises again.
    BOOST_TEST(f.window({.latency = 14, .rate = 3500}) == 100);
    // Half of the limit has the same throughput, so the limit falls further.
    BOOST_TEST(free.window({.latency = 7, .rate = 7000}) == 25);
}

BOOST_AUTO_TEST_SUITE_END()
