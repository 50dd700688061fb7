// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore/async_semaphore.hpp>

#include "fixture.hpp"

#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <limits>
#include <optional>

namespace {

using namespace test;
using namespace std::chrono_literals;
using std::chrono::steady_clock;

struct deadline_fixture : fixture {
    // Runs the context until o has completed.
    void poll_until_called(const operation& o) {
        while (!o.called())
            poll();
    }
    static void let_pass(steady_clock::duration wait) {
        for (const auto end = steady_clock::now() + wait; steady_clock::now() <= end;) {
        }
    }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(semaphore_deadline, deadline_fixture)

BOOST_AUTO_TEST_CASE(a_wait_past_its_deadline_ends_as_timed_out) {
    async_semaphore semaphore(context, 1);
    operation bare, owned;
    semaphore.async_acquire_for(1ms, 2, bare.on_completion());
    semaphore.async_acquire_permit_for(1ms, 3, owned.on_completion());
    BOOST_TEST(semaphore.waiting() == 2u);
    context.run();
    BOOST_TEST(bare.completed_with(timed_out));
    BOOST_TEST(owned.completed_with(timed_out));
    BOOST_TEST(!owned.held());
    BOOST_TEST(semaphore.waiting() == 0u);
    BOOST_TEST(semaphore.available() == 1);
    BOOST_TEST(semaphore.try_acquire());
}

BOOST_AUTO_TEST_CASE(a_grant_in_time_leaves_no_timer_behind) {
    async_semaphore semaphore(context, 0);
    operation bare, owned;
    semaphore.async_acquire_for(1h, bare.on_completion());
    semaphore.async_acquire_permit_for(1h, 2, owned.on_completion());
    BOOST_TEST(poll());
    semaphore.release(3);
    BOOST_TEST(!poll());
    BOOST_TEST(bare.granted());
    BOOST_TEST(owned.granted());
    BOOST_TEST(owned.held().count() == 2);
}

BOOST_AUTO_TEST_CASE(other_ends_leave_no_timer_behind) {
    const struct {
        const char* name;
        void (*end)(std::optional<async_semaphore>&, asio::cancellation_signal&);
        error_code ec;
    } cases[] = {
        {"slot",
         [](auto&, asio::cancellation_signal& s) { s.emit(asio::cancellation_type::total); },
         aborted},
        {"cancel", [](auto& s, auto&) { s->cancel(); }, aborted},
        {"close", [](auto& s, auto&) { s->close(); }, closed},
        {"destroy", [](auto& s, auto&) { s.reset(); }, aborted},
    };
    for (const auto& c : cases) {
        BOOST_TEST_CONTEXT(c.name) {
            std::optional<async_semaphore> semaphore(std::in_place, context, 0);
            asio::cancellation_signal signal;
            operation o;
            semaphore->async_acquire_for(1h, o.on_completion(signal.slot()));
            BOOST_TEST(poll());
            c.end(semaphore, signal);
            BOOST_TEST(!poll());
            BOOST_TEST(o.completed_with(c.ec));
        }
    }
}

BOOST_AUTO_TEST_CASE(a_deadline_of_zero_or_in_the_past_never_queues) {
    const auto past = [](auto wait) {
        asio::io_context own;
        async_semaphore semaphore(own, 2);
        operation fits, waits, follower, other;
        semaphore.async_acquire_permit_for(wait, 2, fits.on_completion());
        semaphore.async_acquire_permit_for(wait, 1, waits.on_completion());
        BOOST_TEST(semaphore.waiting() == 0u);
        BOOST_TEST(!fits.called());
        BOOST_TEST(!waits.called());
        own.poll();
        BOOST_TEST(own.stopped());
        BOOST_TEST(fits.granted());
        BOOST_TEST(fits.held().count() == 2);
        BOOST_TEST(waits.completed_with(timed_out));
        BOOST_TEST(!waits.held());
        BOOST_TEST(semaphore.available() == 0);
    };
    past(0s);
    past(-1s);
    past(std::chrono::nanoseconds::min());
    past(std::chrono::hours::min());
    past(std::chrono::hours(-5'000'000)); // outside the range of the clock
    past(std::chrono::duration<double>(-0.5));
    past(std::chrono::duration<double, std::ratio<86400>>(-1e300));
}

BOOST_AUTO_TEST_CASE(a_deadline_of_nan_never_queues) {
    async_semaphore semaphore(context, 1);
    operation now, late;
    const std::chrono::duration<double> never(std::numeric_limits<double>::quiet_NaN());
    semaphore.async_acquire_for(never, now.on_completion());
    semaphore.async_acquire_for(never, late.on_completion());
    BOOST_TEST(semaphore.waiting() == 0u);
    poll();
    BOOST_TEST(now.granted());
    BOOST_TEST(late.completed_with(timed_out));
}

BOOST_AUTO_TEST_CASE(a_deadline_of_zero_does_not_overtake_the_queue) {
    async_semaphore semaphore(context, 2);
    operation head, hasty;
    semaphore.async_acquire(3, head.on_completion());
    semaphore.async_acquire_for(0s, 1, hasty.on_completion());
    BOOST_TEST(semaphore.waiting() == 1u);
    poll();
    BOOST_TEST(hasty.completed_with(timed_out));
    BOOST_TEST(head.pending());
    BOOST_TEST(semaphore.available() == 2);
}

BOOST_AUTO_TEST_CASE(other_refusals_come_before_a_deadline_of_zero) {
    async_semaphore semaphore(context, 0, 1);
    operation none, negative, too_many, late;
    semaphore.async_acquire_for(0s, 0, none.on_completion());
    semaphore.async_acquire_for(0s, -1, negative.on_completion());
    semaphore.async_acquire_for(0s, 2, too_many.on_completion());
    semaphore.close();
    semaphore.async_acquire_for(0s, late.on_completion());
    poll();
    BOOST_TEST(none.granted());
    BOOST_TEST(negative.completed_with(invalid_argument));
    BOOST_TEST(too_many.completed_with(exceeds_max));
    BOOST_TEST(late.completed_with(closed));
}

BOOST_AUTO_TEST_CASE(the_longest_possible_wait_is_a_wait_without_end) {
    const auto waits = [](auto wait) {
        asio::io_context own;
        async_semaphore semaphore(own, 0);
        operation o;
        semaphore.async_acquire_for(wait, o.on_completion());
        own.poll();
        BOOST_TEST(o.pending());
        semaphore.release();
        own.poll();
        BOOST_TEST(o.granted());
        BOOST_TEST(own.stopped());
    };
    waits(steady_clock::duration::max());
    waits(std::chrono::hours::max());
    waits(std::chrono::duration<double>(1e300));
    waits(std::chrono::duration<float, std::milli>(3.6e6f));
    waits(std::chrono::minutes(1));
}

BOOST_AUTO_TEST_CASE(a_head_that_times_out_makes_way_for_those_behind_it) {
    async_semaphore semaphore(context, 2);
    operation head, second, third;
    semaphore.async_acquire_for(1ms, 3, head.on_completion());
    semaphore.async_acquire(1, second.on_completion());
    semaphore.async_acquire(1, third.on_completion());
    BOOST_TEST(semaphore.waiting() == 3u);
    context.run();
    BOOST_TEST(head.completed_with(timed_out));
    BOOST_TEST(second.granted());
    BOOST_TEST(third.granted());
    BOOST_TEST(semaphore.available() == 0);
}

BOOST_AUTO_TEST_CASE(a_grant_before_the_deadline_stays_though_the_handler_runs_after_it) {
    async_semaphore semaphore(context, 0);
    operation o;
    semaphore.async_acquire_permit_for(1ms, o.on_completion());
    semaphore.release();
    let_pass(2ms);
    BOOST_TEST(!poll());
    BOOST_TEST(o.granted());
    BOOST_TEST(semaphore.available() == 0);
}

BOOST_AUTO_TEST_CASE(an_operation_that_timed_out_takes_no_later_permit) {
    async_semaphore semaphore(context, 0);
    operation o;
    semaphore.async_acquire_permit_for(1ms, o.on_completion());
    poll_until_called(o);
    semaphore.release();
    BOOST_TEST(!poll());
    BOOST_TEST(o.completed_with(timed_out));
    BOOST_TEST(semaphore.available() == 1);
}

BOOST_AUTO_TEST_CASE(cancellation_and_deadline_exclude_each_other) {
    async_semaphore semaphore(context, 0);
    asio::cancellation_signal signal;
    operation cancelled, late;
    semaphore.async_acquire_for(1ms, cancelled.on_completion(signal.slot()));
    signal.emit(asio::cancellation_type::terminal);
    let_pass(2ms);
    BOOST_TEST(!poll());
    BOOST_TEST(cancelled.completed_with(aborted));

    semaphore.async_acquire_for(1ms, late.on_completion(signal.slot()));
    poll_until_called(late);
    signal.emit(asio::cancellation_type::terminal);
    BOOST_TEST(semaphore.cancel() == 0u);
    BOOST_TEST(!poll());
    BOOST_TEST(late.completed_with(timed_out));
}

BOOST_AUTO_TEST_CASE(a_signal_that_dies_leaves_the_deadline_in_force) {
    async_semaphore semaphore(context, 0);
    operation o;
    {
        asio::cancellation_signal signal;
        semaphore.async_acquire_for(1ms, o.on_completion(signal.slot()));
    }
    context.run();
    BOOST_TEST(o.completed_with(timed_out));
}

BOOST_AUTO_TEST_CASE(a_moved_semaphore_keeps_its_deadlines) {
    async_semaphore semaphore(context, 0);
    operation o;
    semaphore.async_acquire_for(1ms, o.on_completion());
    async_semaphore moved(std::move(semaphore));
    context.run();
    BOOST_TEST(o.completed_with(timed_out));
    BOOST_TEST(moved.waiting() == 0u);
}

BOOST_AUTO_TEST_CASE(a_destroyed_context_destroys_operations_with_a_deadline) {
    for (const bool timers_first : {false, true}) {
        BOOST_TEST_CONTEXT("timers known to the context first: " << timers_first) {
            operation waiting, granted;
            std::optional<asio::io_context> doomed(std::in_place);
            if (timers_first)
                asio::steady_timer first(*doomed);
            async_semaphore semaphore(*doomed, 0);
            semaphore.async_acquire_permit_for(1h, granted.on_completion());
            semaphore.async_acquire_permit_for(1h, waiting.on_completion());
            semaphore.release();
            doomed.reset();
            BOOST_TEST(granted.abandoned());
            BOOST_TEST(waiting.abandoned());
            BOOST_TEST(semaphore.available() == 1);
        }
    }
}

BOOST_AUTO_TEST_SUITE_END()
