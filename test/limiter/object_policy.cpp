// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// Deadlines, the algorithm and the user's functions in the I/O object. The limiter has one timer,
// on its executor, and holds no lock while it calls the user's code.

#include <asio_semaphore/limiter/gradient_limit.hpp>
#include <asio_semaphore/limiter/limiter.hpp>

#include "object_fixture.hpp"

#include <support/executors.hpp>

#include <boost/asio/bind_executor.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

namespace {

using namespace test;
using asio_semaphore::limit_sample;
using steady = std::chrono::steady_clock;

/// Finishes as a success with a latency above 0.
void succeed(admission place) {
    let_time_pass();
    place.finish();
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(limiter_object_policy, fixture)

BOOST_AUTO_TEST_CASE(a_deadline_ends_a_wait_only_while_the_context_runs) {
    limiter own(context, 1, patient());
    const admission held = own.try_admit();
    operation o;
    const auto start = steady::now();
    own.async_admit(waiting_for(5ms), o.on_completion());
    let_time_pass(6ms);
    BOOST_TEST(o.pending());
    BOOST_TEST(own.waiting() == 1u); // the context is not running
    context.run();
    BOOST_TEST(o.failed(timed_out));
    BOOST_TEST((steady::now() - start >= 5ms));
    BOOST_TEST(own.waiting() == 0u);
    BOOST_TEST(own.statistics().priorities[0].timed_out == 1u);
}

BOOST_AUTO_TEST_CASE(a_request_without_a_deadline_has_that_of_the_limiter) {
    limiter_options options;
    options.max_wait = 3ms;
    limiter own(context, 1, options);
    const admission held = own.try_admit();
    operation by_default, own_deadline;
    const auto start = steady::now();
    own.async_admit(by_default.on_completion());
    own.async_admit(waiting_for(1h), own_deadline.on_completion());
    while (by_default.pending())
        context.run_one();
    BOOST_TEST(by_default.failed(timed_out));
    BOOST_TEST((steady::now() - start >= 3ms));
    BOOST_TEST(own_deadline.pending());
    own.cancel();
    context.run(); // returns, because no timer is left
    BOOST_TEST(own_deadline.failed(aborted));
}

BOOST_AUTO_TEST_CASE(one_timer_serves_all_requests_in_the_order_of_their_deadlines) {
    std::vector<int> order;
    const auto note = [&](int i) {
        return [&order, i](error_code ec, admission) {
            if (ec == timed_out)
                order.push_back(i);
        };
    };
    std::optional<limiter> own;
    admission held;
    for (steady::duration took = 1h; took >= 3ms;) { // repeats if a slow machine changed the order
        own.emplace(context, 1, patient());
        held = own->try_admit();
        const auto start = steady::now();
        own->async_admit(waiting_for(9ms), note(3));
        own->async_admit(waiting_for(3ms), note(1));
        own->async_admit(waiting_for(6ms), note(2));
        took = steady::now() - start;
    }
    context.run();
    const std::vector<int> expected{1, 2, 3};
    BOOST_TEST(order == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_timer_that_is_no_longer_needed_does_not_keep_the_context_running) {
    limiter own(context, 1, patient());
    admission held = own.try_admit();
    operation granted, cancelled, closed_one;
    asio::cancellation_signal signal;
    own.async_admit(waiting_for(1h), granted.on_completion());
    poll();
    held.finish();
    context.restart();
    context.run_for(30s);
    BOOST_TEST(context.stopped());
    BOOST_TEST(granted.admitted());
    own.async_admit(waiting_for(1h), cancelled.on_completion(signal.slot()));
    poll();
    signal.emit(asio::cancellation_type::terminal);
    context.restart();
    context.run_for(30s);
    BOOST_TEST(context.stopped());
    BOOST_TEST(cancelled.failed(aborted));
    own.async_admit(waiting_for(1h), closed_one.on_completion());
    poll();
    own.close();
    context.restart();
    context.run_for(30s);
    BOOST_TEST(context.stopped());
    BOOST_TEST(closed_one.failed(closed));
}

BOOST_AUTO_TEST_CASE(no_request_is_admitted_after_its_deadline_however_late_the_timer) {
    limiter own(context, 1, patient());
    admission held = own.try_admit();
    operation late, in_time;
    own.async_admit(waiting_for(1ms), late.on_completion());
    own.async_admit(waiting_for(1h), in_time.on_completion());
    let_time_pass(2ms); // the deadline passes, but the context does not run
    held.finish();
    poll();
    BOOST_TEST(late.failed(timed_out));
    BOOST_TEST(in_time.admitted());
}

BOOST_AUTO_TEST_CASE(a_request_past_its_deadline_frees_its_place_in_a_full_queue) {
    limiter own(context, 1, patient(1));
    admission held = own.try_admit();
    operation late, next;
    own.async_admit(waiting_for(1ms), late.on_completion());
    let_time_pass(2ms);
    own.async_admit(next.on_completion());
    poll();
    BOOST_TEST(late.failed(timed_out));
    BOOST_TEST(next.pending());
    held.finish();
    poll();
    BOOST_TEST(next.admitted());
}

BOOST_AUTO_TEST_CASE(with_a_wait_of_zero_a_request_is_admitted_at_once_or_not_at_all) {
    limiter own(context, 1, patient(0));
    for (const auto none : {steady::duration(0), steady::duration(-1), steady::duration::min()}) {
        operation granted, refused;
        own.async_admit(waiting_for(none), granted.on_completion());
        own.async_admit(waiting_for(none), refused.on_completion());
        BOOST_TEST(refused.pending());
        poll();
        BOOST_TEST(granted.admitted());
        BOOST_TEST(refused.failed(timed_out)); // even if the queue is full
        granted.held().finish();
    }
    const admission tried = own.try_admit(waiting_for(0s)); // try_admit ignores max_wait
    BOOST_TEST(static_cast<bool>(tried));
}

BOOST_AUTO_TEST_CASE(in_a_standing_queue_a_short_deadline_ends_as_shed) {
    limiter_options options;
    options.max_wait = 4ms;
    options.busy_wait = 1ms;
    limiter own(context, 1, options);
    const admission held = own.try_admit();
    operation first, standing, hurried;
    own.async_admit(first.on_completion()); // finds an empty queue
    context.run();
    BOOST_TEST(first.failed(timed_out));

    own.async_admit(waiting_for(1h), standing.on_completion());
    let_time_pass(4ms);
    const auto start = steady::now();
    own.async_admit(hurried.on_completion());
    context.restart();
    while (hurried.pending())
        context.run_one();
    BOOST_TEST(hurried.failed(shed));
    BOOST_TEST((steady::now() - start >= 1ms));
    BOOST_TEST(standing.pending());
    BOOST_TEST(own.statistics().priorities[0].shed == 1u);
    own.cancel();
    context.run();
}

// A deadline outside the range of the clock means no deadline.
BOOST_AUTO_TEST_CASE(the_longest_wait_is_a_wait_without_a_deadline) {
    limiter own(context, 1, patient());
    admission held = own.try_admit();
    operation a, b;
    own.async_admit(waiting_for(steady::duration::max()), a.on_completion());
    own.async_admit(waiting_for(steady::duration::max() - 1ns), b.on_completion());
    BOOST_TEST(own.waiting() == 2u);
    poll();
    BOOST_TEST(a.pending());
    held.finish();
    poll();
    BOOST_TEST(a.admitted());
    own.cancel();
    poll();
}

// It does so wherever the handlers run.
BOOST_AUTO_TEST_CASE(the_timer_runs_on_the_limiters_executor) {
    asio::io_context other;
    limiter own(context, 1, patient());
    const admission held = own.try_admit();
    operation o;
    own.async_admit(waiting_for(1ms), asio::bind_executor(other, o.on_completion()));
    let_time_pass(2ms);
    support::poll(other);
    BOOST_TEST(o.pending());
    BOOST_TEST(own.waiting() == 1u);
    context.run();
    BOOST_TEST(o.pending());
    support::poll(other);
    BOOST_TEST(o.failed(timed_out));
}

BOOST_AUTO_TEST_CASE(an_algorithm_sees_each_finish_and_its_limit_applies_at_once) {
    std::vector<limit_sample> seen;
    std::vector<std::pair<double, double>> changes;
    limiter_options options = patient();
    options.algorithm = [&](const limit_sample& s) {
        seen.push_back(s);
        return s.limit + 1;
    };
    options.on_limit_change = [&](double from, double to) {
        changes.emplace_back(from, to);
    };
    limiter own(context, 1, options);
    admission held = own.try_admit();
    operation o[3];
    for (const operation& each : o)
        own.async_admit(each.on_completion());
    const auto start = steady::now();
    let_time_pass(1ms);
    held.finish(ended::overloaded);
    // The new limit applies to the next grant, so two requests are admitted, not one.
    BOOST_TEST(own.in_flight() == 2);
    BOOST_TEST(own.limit() == 2.0);
    poll();
    BOOST_TEST(o[0].admitted());
    BOOST_TEST(o[1].admitted());
    BOOST_TEST_REQUIRE(seen.size() == 1u);
    BOOST_TEST((seen[0].result == ended::overloaded));
    BOOST_TEST((seen[0].latency >= 1ms));
    BOOST_TEST((seen[0].at >= start + 1ms));
    BOOST_TEST(seen[0].in_flight == 1);
    BOOST_TEST(seen[0].bound);
    BOOST_TEST(seen[0].limit == 1.0);
    BOOST_TEST_REQUIRE(changes.size() == 1u);
    BOOST_TEST(changes[0].first == 1.0);
    BOOST_TEST(changes[0].second == 2.0);

    o[0].held().finish(ended::ignored); // the algorithm does not see this
    o[1].held().reset();
    BOOST_TEST(seen.size() == 1u);
    poll();
    succeed(std::move(o[2].held()));
    BOOST_TEST(seen.size() == 2u);
    BOOST_TEST(own.limit() == 3.0);
    BOOST_TEST(own.statistics().latency.count() == 1u); // only successes
}

// The latency does not include the wait.
BOOST_AUTO_TEST_CASE(a_sample_is_timed_from_the_admission) {
    steady::duration latency{};
    limiter_options options = patient();
    options.algorithm = [&](const limit_sample& s) {
        latency = s.latency;
        return s.limit;
    };
    limiter own(context, 1, options);
    admission held = own.try_admit();
    operation o;
    const auto asked = steady::now();
    own.async_admit(o.on_completion());
    let_time_pass(20ms);
    held.finish();
    poll();
    let_time_pass();
    o.held().finish();
    BOOST_TEST((latency > 0ns));
    BOOST_TEST((latency <= steady::now() - asked - 20ms));
}

BOOST_AUTO_TEST_CASE(an_unusable_result_of_an_algorithm_is_corrected_or_ignored) {
    double next = 0;
    limiter_options options = patient();
    options.algorithm = [&](const limit_sample&) {
        return next;
    };
    limiter own(context, 4, options);
    const struct {
        double returned, limit;
    } cases[] = {
        {std::numeric_limits<double>::quiet_NaN(), 4},
        {std::numeric_limits<double>::infinity(), 4},
        {2.75, 2.75},
        {0, 1},
        {-7, 1},
        {1e9, 1e9},
        {1e300, 1e300},
    };
    for (const auto& c : cases) {
        BOOST_TEST_CONTEXT(c.returned) {
            next = c.returned;
            succeed(own.try_admit());
            BOOST_TEST(own.limit() == c.limit);
            BOOST_TEST(own.statistics().limit == c.limit);
        }
    }
    BOOST_TEST(own.statistics().algorithm_failures == 0u);
}

BOOST_AUTO_TEST_CASE(an_algorithm_that_throws_leaves_the_limit_and_is_counted) {
    bool throws = true;
    limiter_options options = patient();
    options.algorithm = [&](const limit_sample& s) {
        if (throws)
            throw std::runtime_error("no idea");
        return s.limit + 1;
    };
    options.on_limit_change = [](double, double) {
        throw std::runtime_error("no ear");
    };
    limiter own(context, 2, options);
    succeed(own.try_admit());
    BOOST_TEST(own.limit() == 2.0);
    BOOST_TEST(own.statistics().algorithm_failures == 1u);
    BOOST_TEST(own.in_flight() == 0);
    throws = false;
    succeed(own.try_admit());
    BOOST_TEST(own.limit() == 3.0); // the new limit remains
    BOOST_TEST(own.statistics().algorithm_failures == 2u);
    BOOST_CHECK_NO_THROW(own.set_limit(9));
    BOOST_TEST(own.limit() == 9.0);
    BOOST_TEST(own.statistics().algorithm_failures == 3u);
}

// This test would hang if the limiter called a function under its lock.
BOOST_AUTO_TEST_CASE(the_users_functions_may_use_the_limiter) {
    std::optional<limiter> own;
    int shown = 0, told = 0;
    operation from_inside[2];
    limiter_options options = patient();
    const auto use = [&](const operation& o) {
        const limiter_statistics s = own->statistics();
        BOOST_TEST(s.limit == own->limit());
        (void)own->busiest_keys();
        (void)own->in_flight();
        (void)own->waiting();
        BOOST_TEST(own->is_open());
        own->try_admit().finish(ended::ignored);
        own->async_admit(o.on_completion());
    };
    options.algorithm = [&](const limit_sample& s) {
        ++shown;
        use(from_inside[0]);
        return s.limit + 5;
    };
    options.on_limit_change = [&](double from, double to) {
        ++told;
        BOOST_TEST(to != from);
        BOOST_TEST(own->limit() == to);
        use(from_inside[1]);
    };
    own.emplace(context, 3, options);
    succeed(own->try_admit());
    BOOST_TEST(shown == 1);
    BOOST_TEST(told == 1);
    poll();
    for (const operation& o : from_inside)
        BOOST_TEST(o.admitted());
    // Ignored, because another sample would start the calls again.
    for (const operation& o : from_inside)
        o.held().finish(ended::ignored);
}

BOOST_AUTO_TEST_CASE(the_algorithm_sees_a_finish_inside_itself_afterwards) {
    std::optional<limiter> own;
    admission second;
    int depth = 0, deepest = 0, shown = 0;
    limiter_options options = patient();
    options.algorithm = [&](const limit_sample& s) {
        deepest = std::max(deepest, ++depth);
        ++shown;
        let_time_pass();
        second.finish();
        --depth;
        return s.limit + 1;
    };
    own.emplace(context, 2, options);
    admission first = own->try_admit();
    second = own->try_admit();
    succeed(std::move(first));
    BOOST_TEST(shown == 2);
    BOOST_TEST(deepest == 1); // the calls are not nested
    BOOST_TEST(own->limit() == 4.0);
    BOOST_TEST(own->in_flight() == 0);
}

BOOST_AUTO_TEST_CASE(the_users_functions_may_destroy_the_limiter_inside_a_finish) {
    for (const bool in_algorithm : {true, false}) {
        BOOST_TEST_CONTEXT("in the algorithm " << in_algorithm) {
            std::optional<limiter> own;
            limiter_options options = patient();
            options.algorithm = [&](const limit_sample& s) {
                if (in_algorithm)
                    own.reset();
                return s.limit + 1;
            };
            options.on_limit_change = [&](double, double) {
                own.reset();
            };
            own.emplace(context, 1, options);
            admission held = own->try_admit();
            operation o[2];
            for (const operation& each : o)
                own->async_admit(each.on_completion());
            options = {};
            succeed(std::move(held));
            BOOST_TEST(!own.has_value());
            for (const operation& each : o)
                BOOST_TEST(each.pending());
            poll();
            // A request that was admitted before the end keeps its place.
            for (const operation& each : o)
                BOOST_TEST(each.completed_with(in_algorithm ? aborted : success));
        }
    }
}

BOOST_AUTO_TEST_CASE(the_users_functions_may_destroy_the_limiter_inside_set_limit) {
    std::optional<limiter> own;
    int told = 0;
    limiter_options options = patient();
    options.on_limit_change = [&, mine = std::make_shared<int>(1)](double, double) {
        own.reset();
        told += *mine; // the captured object still exists
    };
    own.emplace(context, 1, options);
    options = {};
    own->set_limit(2);
    BOOST_TEST(told == 1);
    BOOST_TEST(!own.has_value());
}

BOOST_AUTO_TEST_CASE(a_set_limit_inside_the_algorithm_overrides_its_result) {
    std::optional<limiter> own;
    limiter_options options = patient();
    options.algorithm = [&](const limit_sample&) {
        own->set_limit(7);
        return 100.0;
    };
    own.emplace(context, 2, options);
    succeed(own->try_admit());
    BOOST_TEST(own->limit() == 7.0);
}

BOOST_AUTO_TEST_CASE(set_limit_starts_a_fresh_copy_which_sees_only_later_admissions) {
    struct counter {
        std::vector<int>* log;
        int calls = 0;
        double operator()(const limit_sample& s) {
            log->push_back(++calls);
            return s.limit;
        }
    };
    std::vector<int> log;
    std::vector<std::pair<double, double>> changes;
    limiter_options options = patient();
    options.algorithm = counter{&log};
    options.on_limit_change = [&](double from, double to) {
        changes.emplace_back(from, to);
    };
    limiter own(context, 5, options);
    succeed(own.try_admit());
    succeed(own.try_admit());
    admission from_before = own.try_admit();
    own.set_limit(8);
    BOOST_TEST(own.limit() == 8.0);
    BOOST_TEST_REQUIRE(changes.size() == 1u);
    BOOST_TEST(changes[0].second == 8.0);
    succeed(std::move(from_before)); // counted, but the algorithm does not see it
    succeed(own.try_admit());
    const std::vector<int> expected{1, 2, 1};
    BOOST_TEST(log == expected, boost::test_tools::per_element());
    BOOST_TEST(own.statistics().succeeded == 4u);
}

BOOST_AUTO_TEST_CASE(set_limit_changes_nothing_if_copying_the_algorithm_throws) {
    struct reluctant {
        const bool* refuses;

        explicit reluctant(const bool& r) : refuses(&r) {}
        reluctant(const reluctant& other) : refuses(other.refuses) {
            if (*refuses)
                throw std::runtime_error("no copy");
        }
        double operator()(const limit_sample& s) const { return s.limit + 1; }
    };
    bool refuses = false;
    limiter_options options = patient();
    options.algorithm = reluctant(refuses);
    limiter own(context, 2, options);
    refuses = true;
    BOOST_CHECK_THROW(own.set_limit(9), std::runtime_error);
    BOOST_CHECK_THROW(limiter(context, 2, options), std::runtime_error);
    BOOST_TEST(own.limit() == 2.0);
    succeed(own.try_admit());
    BOOST_TEST(own.limit() == 3.0); // by the old algorithm
    refuses = false;
    own.set_limit(9);
    BOOST_TEST(own.limit() == 9.0);
}

BOOST_AUTO_TEST_CASE(an_algorithm_that_captures_its_limiters_owner_is_destroyed_with_it) {
    auto watched = std::make_shared<int>(1);
    const std::weak_ptr<int> watch = watched;
    admission survivor;
    {
        limiter_options options = patient();
        options.algorithm = [watched](const limit_sample& s) {
            return s.limit;
        };
        options.on_limit_change = [watched](double, double) {
        };
        limiter own(context, 1, options);
        watched.reset();
        options = {};
        own.set_limit(3);
        survivor = own.try_admit();
        BOOST_TEST(!watch.expired());
    }
    let_time_pass();
    survivor.finish(); // the limiter has ended, so there is no sample
    BOOST_TEST(watch.expired());
}

BOOST_AUTO_TEST_CASE(a_limiter_runs_a_gradient_limit) {
    limiter_options options = patient(1000);
    options.algorithm = asio_semaphore::gradient_limit();
    int changes = 0;
    double last = 4;
    options.on_limit_change = [&](double from, double to) {
        BOOST_TEST(from == last);
        last = to;
        ++changes;
    };
    limiter own(context, 4, options);
    int started = 0, done = 0;
    std::function<void(error_code, admission)> work = [&](error_code ec, admission place) {
        BOOST_TEST_REQUIRE(!ec);
        let_time_pass();
        // The algorithm decides once per window, so continue until it has decided.
        if (++started <= 2000 || changes == 0)
            own.async_admit(work);
        place.finish(++done % 100 == 0 ? ended::overloaded : ended::success);
    };
    for (int i = 0; i < 50; ++i)
        own.async_admit(work);
    context.run();
    const limiter_statistics s = own.statistics();
    BOOST_TEST(done == started);
    BOOST_TEST(s.in_flight == 0);
    BOOST_TEST(s.limit == last);
    BOOST_TEST((std::isfinite(s.limit) && s.limit >= 1));
    BOOST_TEST(s.latency.count() == s.succeeded);
    BOOST_TEST(s.algorithm_failures == 0u);
    check_sums(s);
    own.set_limit(4);
    BOOST_TEST(own.limit() == 4.0);
}

// When a service starts, all of its clients may arrive at once.
BOOST_AUTO_TEST_CASE(no_request_of_a_burst_is_refused_if_the_queue_can_hold_it) {
    limiter own(context, 20);
    int served = 0;
    std::ptrdiff_t most = 0;
    for (int i = 0; i < 64; ++i)
        own.async_admit([&](error_code ec, admission place) {
            served += !ec;
            most = std::max(most, own.in_flight());
            place.finish();
        });
    BOOST_TEST(own.waiting() == 44u);
    context.run();
    BOOST_TEST(served == 64);
    BOOST_TEST(most == 20);
    BOOST_TEST(own.statistics().priorities[0].admitted == 64u);
}

// While no request is served, the expected wait grows with the time since the last grant.
BOOST_AUTO_TEST_CASE(the_expected_wait_grows_while_nobody_is_served) {
    limiter own(context, 1, patient());
    const admission held = own.try_admit();
    BOOST_TEST((own.statistics().expected_wait == 0ns));
    operation a, b;
    own.async_admit(a.on_completion());
    own.async_admit(b.on_completion());
    let_time_pass(2ms);
    BOOST_TEST((own.statistics().expected_wait >= 4ms));
    own.cancel();
    BOOST_TEST((own.statistics().expected_wait == 0ns));
    poll();
}

BOOST_AUTO_TEST_SUITE_END()
