// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore/async_semaphore.hpp>

#include "fixture.hpp"

#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <memory>
#include <optional>

namespace {

using namespace test;
using asio::cancellation_signal;
using asio::cancellation_type;
using asio::cancellation_type_t;

} // namespace

BOOST_FIXTURE_TEST_SUITE(semaphore_cancel, fixture)

BOOST_AUTO_TEST_CASE(every_cancellation_type_except_none_aborts_a_waiter) {
    for (unsigned mask = 0; mask < 8; ++mask) {
        BOOST_TEST_CONTEXT("mask " << mask) {
            async_semaphore semaphore(context, 0);
            cancellation_signal signal;
            operation bare, owned;
            semaphore.async_acquire(bare.on_completion(signal.slot()));
            signal.emit(static_cast<cancellation_type_t>(mask));
            semaphore.async_acquire_permit(owned.on_completion(signal.slot()));
            signal.emit(static_cast<cancellation_type_t>(mask));
            poll();
            for (auto* o : {&bare, &owned}) {
                if (mask == 0)
                    BOOST_TEST(o->pending());
                else
                    BOOST_TEST(o->completed_with(aborted));
                BOOST_TEST(!o->held());
            }
            BOOST_TEST(semaphore.waiting() == (mask == 0 ? 2u : 0u));
        }
        poll();
    }
}

BOOST_AUTO_TEST_CASE(cancel_before_grant_aborts_and_takes_no_permit) {
    async_semaphore semaphore(context, 0);
    cancellation_signal signal;
    operation o;
    semaphore.async_acquire_permit(o.on_completion(signal.slot()));
    signal.emit(cancellation_type::terminal);
    semaphore.release();
    BOOST_TEST(semaphore.available() == 1);
    poll();
    BOOST_TEST(o.completed_with(aborted));
    BOOST_TEST(semaphore.available() == 1);
}

BOOST_AUTO_TEST_CASE(grant_before_cancel_stays_granted_though_the_handler_has_not_run) {
    async_semaphore semaphore(context, 0);
    cancellation_signal signal;
    operation o;
    semaphore.async_acquire_permit(o.on_completion(signal.slot()));
    semaphore.release();
    signal.emit(cancellation_type::terminal);
    BOOST_TEST(semaphore.cancel() == 0u);
    poll();
    BOOST_TEST(o.granted());
    BOOST_TEST(o.held().count() == 1);
    BOOST_TEST(semaphore.available() == 0);
}

BOOST_AUTO_TEST_CASE(an_operation_granted_at_once_stays_granted) {
    async_semaphore semaphore(context, 1);
    cancellation_signal signal;
    operation o;
    semaphore.async_acquire_permit(o.on_completion(signal.slot()));
    signal.emit(cancellation_type::terminal);
    poll();
    BOOST_TEST(o.granted());
    BOOST_TEST(semaphore.available() == 0);
}

BOOST_AUTO_TEST_CASE(emitting_before_the_start_after_completion_and_twice_has_no_effect) {
    async_semaphore semaphore(context, 0);
    cancellation_signal signal;
    signal.emit(cancellation_type::total);

    operation first, second, other;
    semaphore.async_acquire(first.on_completion(signal.slot()));
    semaphore.async_acquire(other.on_completion());
    semaphore.release();
    poll();
    signal.emit(cancellation_type::total);
    signal.emit(cancellation_type::total);
    poll();
    BOOST_TEST(first.granted());
    BOOST_TEST(other.pending());

    semaphore.async_acquire(second.on_completion(signal.slot()));
    signal.emit(cancellation_type::total);
    signal.emit(cancellation_type::total);
    poll();
    signal.emit(cancellation_type::total);
    BOOST_TEST(second.completed_with(aborted));
    BOOST_TEST(other.pending());
    BOOST_TEST(semaphore.waiting() == 1u);
}

BOOST_AUTO_TEST_CASE(a_signal_that_dies_first_leaves_the_operation_waiting) {
    async_semaphore semaphore(context, 0);
    operation before, victim, after;
    semaphore.async_acquire(before.on_completion());
    {
        cancellation_signal signal;
        semaphore.async_acquire(victim.on_completion(signal.slot()));
    }
    semaphore.async_acquire(after.on_completion());
    BOOST_TEST(semaphore.waiting() == 3u);
    semaphore.release(3);
    poll();
    for (auto* o : {&before, &victim, &after})
        BOOST_TEST(o->granted());
}

BOOST_AUTO_TEST_CASE(a_destroyed_signal_does_not_affect_the_other_ways_to_end) {
    const struct {
        const char* name;
        void (*end)(std::optional<async_semaphore>&);
        error_code ec;
    } cases[] = {
        {"cancel", [](std::optional<async_semaphore>& s) { s->cancel(); }, aborted},
        {"close", [](std::optional<async_semaphore>& s) { s->close(); }, closed},
        {"destroy", [](std::optional<async_semaphore>& s) { s.reset(); }, aborted},
    };
    for (const auto& c : cases) {
        BOOST_TEST_CONTEXT(c.name) {
            std::optional<async_semaphore> semaphore(std::in_place, context, 0);
            operation o;
            {
                cancellation_signal signal;
                semaphore->async_acquire(o.on_completion(signal.slot()));
            }
            c.end(semaphore);
            poll();
            BOOST_TEST(o.completed_with(c.ec));
        }
    }
}

BOOST_AUTO_TEST_CASE(a_slot_that_is_used_again_cancels_only_the_newest_operation) {
    async_semaphore semaphore(context, 0);
    cancellation_signal signal;
    operation older, newer;
    semaphore.async_acquire(older.on_completion(signal.slot()));
    semaphore.async_acquire(newer.on_completion(signal.slot()));
    signal.emit(cancellation_type::terminal);
    poll();
    BOOST_TEST(older.pending());
    BOOST_TEST(newer.completed_with(aborted));
    semaphore.release();
    poll();
    BOOST_TEST(older.granted());
}

BOOST_AUTO_TEST_CASE(a_slot_that_is_cleared_or_used_for_something_else_cancels_no_acquire) {
    async_semaphore semaphore(context, 0);
    cancellation_signal signal;
    operation first, second;
    semaphore.async_acquire(first.on_completion(signal.slot()));
    asio::steady_timer timer(context, std::chrono::hours(1));
    timer.async_wait(asio::bind_cancellation_slot(
        signal.slot(), [](error_code ec) { BOOST_TEST(ec == aborted); }));
    signal.emit(cancellation_type::terminal);
    poll();
    BOOST_TEST(first.pending());

    semaphore.async_acquire(second.on_completion(signal.slot()));
    signal.slot().clear();
    signal.emit(cancellation_type::terminal);
    semaphore.release(2);
    poll();
    BOOST_TEST(first.granted());
    BOOST_TEST(second.granted());
}

BOOST_AUTO_TEST_CASE(a_cancelled_head_makes_way_for_those_behind_it_at_once) {
    async_semaphore semaphore(context, 2);
    cancellation_signal signal;
    operation head, second, third, fourth;
    semaphore.async_acquire(3, head.on_completion(signal.slot()));
    semaphore.async_acquire(1, second.on_completion());
    semaphore.async_acquire(1, third.on_completion());
    semaphore.async_acquire(1, fourth.on_completion());
    signal.emit(cancellation_type::terminal);
    BOOST_TEST(semaphore.waiting() == 1u);
    BOOST_TEST(semaphore.available() == 0);
    poll();
    BOOST_TEST(head.completed_with(aborted));
    BOOST_TEST(second.granted());
    BOOST_TEST(third.granted());
    BOOST_TEST(fourth.pending());
}

BOOST_AUTO_TEST_CASE(a_waiter_that_is_cancelled_behind_the_head_grants_nobody) {
    async_semaphore semaphore(context, 2);
    cancellation_signal signal;
    operation head, middle, last;
    semaphore.async_acquire(3, head.on_completion());
    semaphore.async_acquire(1, middle.on_completion(signal.slot()));
    semaphore.async_acquire(1, last.on_completion());
    signal.emit(cancellation_type::terminal);
    poll();
    BOOST_TEST(middle.completed_with(aborted));
    BOOST_TEST(head.pending());
    BOOST_TEST(last.pending());
    BOOST_TEST(semaphore.available() == 2);
}

BOOST_AUTO_TEST_CASE(cancelling_hands_nobody_a_permit_that_is_not_free) {
    async_semaphore semaphore(context, 1);
    permit held = semaphore.try_acquire_permit();
    cancellation_signal signal;
    operation head, follower;
    semaphore.async_acquire(head.on_completion(signal.slot()));
    semaphore.async_acquire(follower.on_completion());
    signal.emit(cancellation_type::terminal);
    poll();
    BOOST_TEST(follower.pending());
    BOOST_TEST(semaphore.available() == 0);

    semaphore.reduce(1);
    BOOST_TEST(semaphore.available() == -1);
    semaphore.cancel();
    BOOST_TEST(semaphore.available() == -1);
}

BOOST_AUTO_TEST_CASE(cancel_aborts_all_waiting_operations_and_returns_their_number) {
    async_semaphore semaphore(context, 1);
    operation granted, first, second, third;
    semaphore.async_acquire(granted.on_completion());
    semaphore.async_acquire(1, first.on_completion());
    semaphore.async_acquire_permit(2, second.on_completion());
    semaphore.async_acquire(3, third.on_completion());
    BOOST_TEST(semaphore.cancel() == 3u);
    BOOST_TEST(semaphore.waiting() == 0u);
    BOOST_TEST(semaphore.cancel() == 0u);
    poll();
    BOOST_TEST(granted.granted());
    for (auto* o : {&first, &second, &third})
        BOOST_TEST(o->completed_with(aborted));
    BOOST_TEST(semaphore.available() == 0);
    BOOST_TEST(semaphore.is_open());
}

BOOST_AUTO_TEST_CASE(cancel_does_not_affect_operations_that_start_afterwards) {
    async_semaphore semaphore(context, 0);
    operation before, after;
    semaphore.async_acquire(before.on_completion());
    semaphore.cancel();
    semaphore.async_acquire(after.on_completion());
    semaphore.release();
    poll();
    BOOST_TEST(before.completed_with(aborted));
    BOOST_TEST(after.granted());
}

BOOST_AUTO_TEST_CASE(cancel_leaves_the_free_permits_free) {
    async_semaphore semaphore(context, 2);
    operation head;
    semaphore.async_acquire(3, head.on_completion());
    semaphore.cancel();
    BOOST_TEST(semaphore.available() == 2);
    BOOST_TEST(semaphore.try_acquire(2));
}

BOOST_AUTO_TEST_CASE(cancel_and_the_signal_abort_an_operation_once) {
    async_semaphore semaphore(context, 0);
    cancellation_signal signal;
    operation first, second;
    semaphore.async_acquire(first.on_completion(signal.slot()));
    BOOST_TEST(semaphore.cancel() == 1u);
    signal.emit(cancellation_type::terminal);
    poll();
    BOOST_TEST(first.completed_with(aborted));
    semaphore.async_acquire(second.on_completion(signal.slot()));
    signal.emit(cancellation_type::terminal);
    BOOST_TEST(semaphore.cancel() == 0u);
    poll();
    BOOST_TEST(second.completed_with(aborted));
}

BOOST_AUTO_TEST_CASE(emitting_after_the_semaphore_or_its_context_was_destroyed_has_no_effect) {
    cancellation_signal of_semaphore, of_context;
    operation o, abandoned;
    {
        async_semaphore semaphore(context, 0);
        semaphore.async_acquire(o.on_completion(of_semaphore.slot()));
    }
    of_semaphore.emit(cancellation_type::terminal);
    poll();
    of_semaphore.emit(cancellation_type::terminal);
    BOOST_TEST(o.completed_with(aborted));

    std::optional<asio::io_context> doomed(std::in_place);
    async_semaphore semaphore(*doomed, 0);
    semaphore.async_acquire(abandoned.on_completion(of_context.slot()));
    doomed.reset();
    of_context.emit(cancellation_type::terminal);
    BOOST_TEST(abandoned.abandoned());
}

BOOST_AUTO_TEST_CASE(a_handler_may_own_the_signal_that_cancels_it) {
    async_semaphore semaphore(context, 0);
    operation o;
    auto signal = std::make_shared<cancellation_signal>();
    semaphore.async_acquire(asio::bind_cancellation_slot(
        signal->slot(), [signal, h = o.on_completion()](error_code ec) mutable {
            signal.reset();
            std::move(h)(ec);
        }));
    const std::weak_ptr<cancellation_signal> alive = signal;
    cancellation_signal& emitter = *signal;
    signal.reset();
    emitter.emit(cancellation_type::terminal);
    poll();
    BOOST_TEST(o.completed_with(aborted));
    BOOST_TEST(alive.expired());
}

BOOST_AUTO_TEST_CASE(a_handler_that_owns_its_signal_may_be_destroyed_with_the_context) {
    operation o;
    std::weak_ptr<cancellation_signal> alive;
    {
        asio::io_context doomed;
        async_semaphore semaphore(doomed, 0);
        auto signal = std::make_shared<cancellation_signal>();
        alive = signal;
        auto slot = signal->slot();
        semaphore.async_acquire(asio::bind_cancellation_slot(
            slot, [signal = std::move(signal), h = o.on_completion()](error_code ec) mutable {
                std::move(h)(ec);
            }));
    }
    BOOST_TEST(o.abandoned());
    BOOST_TEST(alive.expired());
}

BOOST_AUTO_TEST_SUITE_END()
