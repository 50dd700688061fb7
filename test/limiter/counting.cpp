// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// What a limiter counts and measures, and when it reads the clock: scenarios L82 to L91 and rows
// T134 to T137 of the limiter's contract.

#include "limiter_fixture.hpp"

namespace {

using namespace test;

std::uint64_t refusals(const limiter_statistics::by_priority& n) {
    return n.queue_full + n.shed + n.timed_out + n.cancelled + n.closed;
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(limiter_counting, limiter_fixture)

BOOST_AUTO_TEST_CASE(L82_a_burst_at_the_start_is_served_in_turn) {
    lim(20, options(100, 1000));
    for (int i = 0; i < 64; ++i)
        admit();
    BOOST_TEST(s->statistics().running == 20u);
    BOOST_TEST(s->statistics().waiting == 44u);
    for (int ms = 50; ms <= 200; ms += 50) {
        at(ms);
        for (std::size_t i = 0; i < clients.size(); ++i) {
            if (runs(clients[i]) && clients[i].ended_at < stopped_threads::the_time)
                finish(clients[i]);
        }
    }
    BOOST_TEST(s->statistics().succeeded == 64u);
    BOOST_TEST(refusals(counts()) == 0u);
    check_counts();
}

BOOST_AUTO_TEST_CASE(L83_the_sums_are_right_after_every_step) {
    auto o = options(2, 100);
    lim(2, o);
    const auto then = [&](const char* step) {
        BOOST_TEST_CONTEXT(step) {
            check_counts();
        }
    };
    client &a = admit(), &b = admit();
    then("admitted");
    client& c = admit_cancellable();
    client& d = admit(at_priority(3));
    then("waiting");
    admit(at_priority(3));
    then("queue full");
    client& e = admit(at_priority(1));
    BOOST_TEST(ended_as(d, outcome::shed));
    then("shed");
    try_admit();
    then("try in vain");
    c.slot->fire();
    then("cancelled");
    finish(a);
    BOOST_TEST(runs(e));
    then("success");
    finish(b, ended::overloaded);
    then("overloaded");
    finish(e, ended::ignored);
    then("ignored");
    finish(try_admit(), ended::ignored, false);
    then("unreported");
    admit(), admit(), admit();
    after(milliseconds(100));
    then("timed out");
    admit(of(0, 0)), admit(of(0, 3)), admit(of(0, -1)), admit(at_priority(4));
    then("nowhere");
    admit();
    s->close();
    then("closed");
    admit(), try_admit(), admit(of(0, 0)), admit(of(0, 3));
    then("closed before");
    const auto all = s->statistics();
    BOOST_TEST(all.succeeded == 1u);
    BOOST_TEST(all.overloaded == 1u);
    BOOST_TEST(all.ignored == 2u);
    BOOST_TEST(all.unreported == 1u);
    BOOST_TEST(all.running == 2u);
    BOOST_TEST(counts().timed_out == 1u);
    BOOST_TEST(counts().closed == 2u);
    BOOST_TEST(counts().cancelled == 1u);
    BOOST_TEST(arrivals == 12u);
}

// The algorithm runs before the place returns. Until then the admission counts as running.
BOOST_AUTO_TEST_CASE(the_sums_are_right_while_the_algorithm_runs) {
    auto o = with_law(options(10, 1000));
    o.on_limit_change = [this](double, double) {
        check_counts();
    };
    lim(2, o);
    int looks = 0;
    law = [&](const limit_sample& sample) {
        ++looks;
        check_counts();
        const auto all = s->statistics();
        BOOST_TEST(all.running == 2u);
        BOOST_TEST(all.succeeded + all.overloaded == (looks == 1 ? 0u : 1u));
        BOOST_TEST(all.latency.count() == all.succeeded);
        if (looks == 2)
            throw 1;
        return sample.limit + 1;
    };
    client &a = admit(), &b = admit();
    admit();
    after(milliseconds(3));
    finish(a);
    check_counts();
    finish(b, ended::overloaded);
    check_counts();
    BOOST_TEST(looks == 2);
    BOOST_TEST(s->statistics().succeeded == 1u);
    BOOST_TEST(s->statistics().overloaded == 1u);
    BOOST_TEST((s->statistics().latency.sum == milliseconds(3)));
}

BOOST_AUTO_TEST_CASE(a_request_that_is_cancelled_at_once_is_counted) {
    lim(1, options(1, 100));
    admit();
    client c(admission_request{});
    limiter_link link(s);
    link.attach(c);
    link.fire();
    start(c);
    BOOST_TEST(ended_as(c, outcome::aborted));
    BOOST_TEST(counts().cancelled == 1u);
    check_counts();
}

BOOST_AUTO_TEST_CASE(L84_T134_the_statistics_agree_with_a_script_of_events) {
    lim(100, options(1, 1000));
    const auto is = [&](std::ptrdiff_t in_flight, std::size_t running, std::size_t waiting,
                        std::uint64_t admitted, std::uint64_t queue_full) {
        const auto all = s->statistics();
        BOOST_TEST(all.limit == 100);
        BOOST_TEST(all.in_flight == in_flight);
        BOOST_TEST(all.running == running);
        BOOST_TEST(all.waiting == waiting);
        BOOST_TEST(all.priorities[0].admitted == admitted);
        BOOST_TEST(all.priorities[0].queue_full == queue_full);
    };
    is(0, 0, 0, 0, 0);
    client& first = try_admit(of(0, 60));
    is(60, 1, 0, 1, 0);
    client& second = admit(of(0, 50));
    is(60, 1, 1, 1, 0);
    BOOST_TEST(ended_as(admit(), outcome::queue_full));
    is(60, 1, 1, 1, 1);
    BOOST_TEST(!runs(try_admit(of(0, 100))));
    is(60, 1, 1, 1, 1);
    finish(first);
    is(50, 1, 0, 2, 1);
    BOOST_TEST(runs(second));
    check_counts();
}

BOOST_AUTO_TEST_CASE(L85_T135_a_snapshot_does_not_change) {
    lim(1, options(10, 1000));
    const auto before = s->statistics();
    admit(), admit(of(1));
    BOOST_TEST(before.in_flight == 0);
    BOOST_TEST(before.waiting == 0u);
    BOOST_TEST(before.keys == 0u);
    BOOST_TEST(before.priorities[0].admitted == 0u);
    BOOST_TEST(s->statistics().keys == 1u);
}

BOOST_AUTO_TEST_CASE(T136_requests_of_weight_0_are_not_counted) {
    lim(1, options(10, 1000));
    for (const bool is_full : {false, true}) {
        BOOST_TEST(ended_as(admit(of(7, 0)), outcome::granted));
        BOOST_TEST(ended_as(try_admit(of(7, 0)), outcome::granted));
        BOOST_TEST(!runs(clients.back())); // it holds no place
        BOOST_TEST(s->statistics().keys == 0u);
        BOOST_TEST(counts().admitted == (is_full ? 1u : 0u));
        if (!is_full)
            admit();
    }
    s->close();
    BOOST_TEST(ended_as(admit(of(0, 0)), outcome::closed));
    BOOST_TEST(counts().closed == 0u);
    check_counts();
}

BOOST_AUTO_TEST_CASE(T137_the_number_of_waiting_requests) {
    lim(1, options(10, 1000));
    client& a = admit();
    BOOST_TEST(s->waiting() == 0u);
    client& first = admit_cancellable();
    BOOST_TEST(s->waiting() == 1u);
    admit();
    BOOST_TEST(s->waiting() == 2u);
    first.slot->fire();
    BOOST_TEST(s->waiting() == 1u);
    finish(a);
    BOOST_TEST(s->waiting() == 0u);
}

BOOST_AUTO_TEST_CASE(L86_waits_are_counted_in_their_buckets) {
    auto o = options(10, 1000);
    o.max_wait = std::chrono::minutes(2);
    lim(1, o);
    client* running = &try_admit(); // 0
    for (const auto wait :
         {microseconds(100), microseconds(150), microseconds(7000), microseconds(60'000'000)}) {
        client& next = admit();
        after(wait);
        finish(*running);
        running = &next;
        BOOST_TEST_REQUIRE(runs(next));
    }
    const auto waits = s->statistics().wait;
    std::array<std::uint64_t, 19> expected{};
    expected[0] = 2; // 0 and 0.1 ms
    expected[1] = 1; // 0.15 ms
    expected[6] = 1; // 7 ms
    expected[18] = 1;
    BOOST_TEST(waits.counts == expected, boost::test_tools::per_element());
    BOOST_TEST(waits.count() == 5u);
    BOOST_TEST((waits.sum == microseconds(60'007'250)));
}

BOOST_AUTO_TEST_CASE(the_latency_histogram_counts_successes_under_an_algorithm) {
    lim(10, with_law(options(10, 1000)));
    client &a = admit(), &b = admit(), &c = admit();
    after(milliseconds(3));
    finish(a), finish(b, ended::overloaded), finish(c, ended::ignored);
    BOOST_TEST(s->statistics().latency.count() == 1u);
    BOOST_TEST((s->statistics().latency.sum == milliseconds(3)));
    BOOST_TEST(s->statistics().latency.counts[5] == 1u);
    lim(10, options(10, 1000));
    client& d = admit(of(1));
    after(milliseconds(3));
    finish(d);
    BOOST_TEST(s->statistics().latency.count() == 0u);
}

BOOST_AUTO_TEST_CASE(the_expected_wait_follows_the_intervals_between_grants) {
    lim(1, options(10, 10000));
    BOOST_TEST((s->statistics().expected_wait == milliseconds(0)));
    admit();
    after(milliseconds(500)); // nobody waits yet, so this is not an interval
    for (int i = 0; i < 5; ++i)
        admit();
    const auto expect = [&](limiter_options::duration d) {
        BOOST_TEST(s->statistics().expected_wait.count() == d.count());
    };
    expect(milliseconds(0));
    after(milliseconds(4));
    expect(milliseconds(20)); // counts the current interval
    after(milliseconds(6));
    finish(clients[0]);
    expect(milliseconds(40));
    after(milliseconds(10));
    expect(milliseconds(40));
    finish(clients[1]);
    expect(milliseconds(30));
    after(milliseconds(26));
    expect(milliseconds(78));
    finish(clients[2]);
    expect(milliseconds(22)); // 10 + (26 - 10) / 16, times 2 waiting requests
    finish(clients[3]);
    finish(clients[4]);
    expect(milliseconds(0)); // nobody waits
    // A new queue begins. The time since the last one is not an interval.
    after(milliseconds(5000));
    admit(), admit();
    const auto before = s->statistics().expected_wait;
    BOOST_TEST((before > milliseconds(0) && before < milliseconds(25)));
}

BOOST_AUTO_TEST_CASE(the_expected_wait_is_bounded) {
    auto o = options(10, 1000);
    o.max_wait = limiter_options::duration::max();
    lim(1, o);
    for (int i = 0; i < 5; ++i)
        admit();
    after(std::chrono::hours(24 * 365 * 100));
    BOOST_TEST((s->statistics().expected_wait == limiter_options::duration::max()));
}

BOOST_AUTO_TEST_CASE(L90_a_dry_run_counts_like_its_enforcing_twin_until_the_first_refusal) {
    struct trace {
        int at;
        std::uint64_t key;
        int priority;
        std::ptrdiff_t weight;
    };
    const trace steps[] = {{0, 1, 0, 1}, {1, 1, 0, 1}, {2, 2, 3, 1}, {3, 0, 3, 1}, {4, 3, 0, 1}};
    std::vector<std::uint64_t> over, full;
    for (const bool enforce : {true, false}) {
        auto o = options(0, 1000);
        o.enforce = enforce;
        o.share = {1, 1, 1, .5};
        lim(3, o);
        int start = 0;
        for (const auto& step : steps) {
            after(milliseconds(step.at - std::exchange(start, step.at)));
            client& c = admit(of(step.key, step.weight, step.priority));
            BOOST_TEST((runs(c) || enforce));
            over.push_back(s->statistics().over_limit);
            full.push_back(counts(0).queue_full + counts(3).queue_full);
        }
        check_counts();
    }
    // Until the first refusal both agree. Then 2 of 3 run, and the share of the next one is 1.
    for (std::size_t i = 0; i <= 2; ++i) {
        BOOST_TEST(full[i] == (i < 2 ? 0u : 1u));
        BOOST_TEST(over[5 + i] == full[i]);
        BOOST_TEST(over[i] == 0u);
        BOOST_TEST(full[5 + i] == 0u);
    }
    BOOST_TEST(over.back() == 3u);
}

BOOST_AUTO_TEST_CASE(a_dry_run_admits_all_requests) {
    auto o = with_law(options(0, 1000));
    o.enforce = false;
    o.max_per_key = 1;
    lim(3, o);
    BOOST_TEST(runs(admit(of(1))));
    BOOST_TEST(s->statistics().over_limit == 0u);
    BOOST_TEST(runs(admit(of(1)))); // the key is at its cap
    BOOST_TEST(s->statistics().over_limit == 1u);
    BOOST_TEST(runs(try_admit(of(2, 2))));
    BOOST_TEST(s->statistics().over_limit == 2u);
    BOOST_TEST(runs(admit(of(0, 50)))); // exceeds the limit
    BOOST_TEST(runs(admit(within(0))));
    BOOST_TEST(s->in_flight() == 55);
    BOOST_TEST(s->statistics().over_limit == 4u);
    BOOST_TEST(s->statistics().running == 5u);
    BOOST_TEST(ended_as(admit(of(0, limiter_under_test::max())), outcome::exceeds_max));
    BOOST_TEST(runs(admit(of(0, limiter_under_test::max() - 55))));
    BOOST_TEST(s->in_flight() == limiter_under_test::max());
    BOOST_TEST(ended_as(admit(), outcome::exceeds_max));
    finish(clients[0]);
    after(milliseconds(1));
    finish(clients[1]);
    BOOST_TEST_REQUIRE(samples.size() == 1u);
    BOOST_TEST(samples[0].bound);
    for (client& c : clients) {
        if (runs(c))
            finish(c);
    }
    s->close();
    BOOST_TEST(ended_as(admit(), outcome::closed));
    BOOST_TEST(!runs(try_admit()));
    BOOST_TEST(counts().closed == 1u);
    check_counts();
}

BOOST_AUTO_TEST_CASE(a_dry_run_without_an_algorithm_admits_weights_above_the_limit) {
    auto o = options(0, 1000);
    o.enforce = false;
    lim(3, o);
    BOOST_TEST(runs(admit(of(0, 4)))); // exceeds the limit, although nothing is in flight
    BOOST_TEST(s->statistics().over_limit == 1u);
    BOOST_TEST(runs(admit(of(0, 4))));
    BOOST_TEST(s->statistics().over_limit == 2u);
}

BOOST_AUTO_TEST_CASE(L91_close_ends_waiting_requests_and_is_counted) {
    lim(2, options(10, 1000));
    client &a = admit(), &b = admit();
    client* w[] = {&admit(), &admit(of(1)), &admit(at_priority(3))};
    s->close();
    for (client* c : w)
        BOOST_TEST(ended_as(*c, outcome::closed));
    BOOST_TEST(!s->is_open());
    finish(a), finish(b, ended::overloaded);
    BOOST_TEST(s->statistics().succeeded == 1u);
    BOOST_TEST(s->statistics().overloaded == 1u);
    BOOST_TEST(s->statistics().keys == 0u);
    BOOST_TEST(s->in_flight() == 0);
    BOOST_TEST(counts(0).closed == 2u);
    BOOST_TEST(counts(3).closed == 1u);
    check_counts();
}

BOOST_AUTO_TEST_CASE(the_clock_is_read_only_if_needed) {
    const auto looks = [](auto f) {
        stopped_threads::looks = 0;
        f();
        return std::exchange(stopped_threads::looks, 0);
    };
    lim(2, options(10, 1000));
    client* a = nullptr;
    client* b = nullptr;
    client* w = nullptr;
    BOOST_TEST(looks([&] { a = &admit(); }) == 0);
    BOOST_TEST(looks([&] { b = &try_admit(); }) == 0);
    BOOST_TEST(looks([&] { try_admit(); }) == 0);
    BOOST_TEST(looks([&] { admit(within(0)); }) == 0);
    BOOST_TEST(looks([&] { s->statistics(); }) == 0);
    BOOST_TEST(looks([&] { s->set_limit(2), s->cancel(); }) == 0);
    BOOST_TEST(looks([&] { finish(*a); }) == 0);
    // A request waits.
    a = &admit();
    BOOST_TEST(looks([&] { w = &admit(); }) > 0);
    BOOST_TEST(looks([&] { try_admit(); }) > 0);
    BOOST_TEST(looks([&] { finish(*a); }) > 0);
    BOOST_TEST(runs(*w));
    finish(*w), finish(*b);
    BOOST_TEST(looks([&] { finish(admit()); }) == 0);
    // A key has a record.
    BOOST_TEST(looks([&] { a = &admit(of(1)); }) > 0);
    BOOST_TEST(looks([&] { finish(admit()); }) > 0);
    finish(*a);
    BOOST_TEST(looks([&] { finish(admit()); }) == 0);
    auto o = options(0, 1000);
    lim(1, o);
    admit();
    BOOST_TEST(looks([&] { admit(); }) == 0);
    lim(2, with_law(options(10, 1000)));
    BOOST_TEST(looks([&] { a = &admit(); }) > 0);
    BOOST_TEST(looks([&] { finish(*a); }) > 0);
}

// A later time can change the refusal if the request that waits has a deadline, or if the order may
// turn.
BOOST_AUTO_TEST_CASE(a_refusal_reads_the_clock_only_if_time_can_change_it) {
    const auto endless = limiter_options::duration::max();
    const auto looks = [&](queue_order order, limiter_options::duration max_wait,
                           limiter_options::duration its) {
        auto o = options(1, 1000);
        o.order = order;
        o.max_wait = max_wait;
        lim(1, o);
        at(1);
        admit();
        admission_request waiting;
        waiting.max_wait = its;
        BOOST_TEST(waits(admit(waiting)));
        stopped_threads::looks = 0;
        BOOST_TEST(s->try_refuse({}));
        return stopped_threads::looks;
    };
    BOOST_TEST(looks(queue_order::fifo, endless, endless) == 0);
    BOOST_TEST(looks(queue_order::fifo, milliseconds(1000), endless) == 0);
    BOOST_TEST(looks(queue_order::fifo, endless, milliseconds(1000)) == 1);
    BOOST_TEST(looks(queue_order::adaptive, endless, endless) == 0);
    BOOST_TEST(looks(queue_order::adaptive, milliseconds(1000), endless) == 1);
}

// With 1,000 requests in flight, the sum grows by a thousand seconds each second.
BOOST_AUTO_TEST_CASE(the_sum_of_a_histogram_begins_anew_at_the_end_of_the_clock) {
    lim(1000, with_law(options(10, 1000)));
    for (int i = 0; i < 1000; ++i)
        admit();
    constexpr auto days = std::chrono::hours(24 * 108);
    after(days);
    std::uint64_t ticks = 0;
    for (client& c : clients) {
        finish(c);
        ticks += static_cast<std::uint64_t>(limiter_options::duration(days).count());
    }
    const auto latency = s->statistics().latency;
    BOOST_TEST(latency.count() == 1000u);
    constexpr auto end = static_cast<std::uint64_t>(limiter_options::duration::max().count());
    BOOST_TEST_REQUIRE(ticks > end);
    BOOST_TEST(static_cast<std::uint64_t>(latency.sum.count()) == ticks - end);
}

BOOST_AUTO_TEST_SUITE_END()
