// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// async_wait_idle completes when nothing is in flight and no request waits. It takes no place and
// is not counted as an admission. Only its own cancellation slot, the destruction of the limiter
// and the shutdown of the context end it early.

#include <asio_semaphore/limiter/limiter.hpp>

#include "object_fixture.hpp"

#include <support/executors.hpp>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_future.hpp>

#include <future>
#include <optional>
#include <utility>

namespace {

using namespace test;

struct idle_fixture : fixture {
    std::optional<limiter> limit{std::in_place, context, 1, patient()};
    operation idle;
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(limiter_wait_idle, idle_fixture)

BOOST_AUTO_TEST_CASE(a_wait_on_an_idle_limiter_completes_at_once_by_a_post) {
    limit->async_wait_idle(idle.on_completion());
    BOOST_TEST(idle.pending());
    poll();
    BOOST_TEST(idle.completed_with(success));
    limit->close(); // a closed limiter can be idle too
    operation again;
    limit->async_wait_idle(again.on_completion());
    poll();
    BOOST_TEST(again.completed_with(success));
    const auto s = limit->statistics();
    BOOST_TEST(s.priorities[0].admitted == 0u);
    BOOST_TEST(s.running + s.waiting == 0u);
}

BOOST_AUTO_TEST_CASE(a_wait_for_idle_ends_with_the_last_admission_and_the_last_waiting_request) {
    admission held = limit->try_admit();
    operation waits;
    limit->async_wait_idle(idle.on_completion());
    limit->async_admit(waits.on_completion());
    BOOST_TEST(limit->waiting() == 1u); // async_wait_idle takes no place in the queue
    held.finish();
    poll();
    BOOST_TEST(idle.pending());
    BOOST_TEST(waits.admitted());
    waits.held().reset();
    BOOST_TEST(idle.pending()); // never completes inside reset
    BOOST_TEST(!poll());
    BOOST_TEST(idle.completed_with(success));
}

BOOST_AUTO_TEST_CASE(several_waits_for_idle_complete_together) {
    admission held = limit->try_admit();
    operation o[3];
    for (const operation& each : o)
        limit->async_wait_idle(each.on_completion());
    poll();
    for (const operation& each : o)
        BOOST_TEST(each.pending());
    held.finish();
    poll();
    for (const operation& each : o)
        BOOST_TEST(each.completed_with(success));
}

BOOST_AUTO_TEST_CASE(an_admission_between_the_idle_moment_and_the_handler_does_not_matter) {
    admission held = limit->try_admit();
    limit->async_wait_idle(idle.on_completion());
    held.finish();
    held = limit->try_admit();
    poll();
    BOOST_TEST(idle.completed_with(success));
}

BOOST_AUTO_TEST_CASE(a_wait_for_idle_takes_no_place_from_requests) {
    limiter own(context, 2, patient(1));
    admission one = own.try_admit();
    own.async_wait_idle(idle.on_completion());
    admission two = own.try_admit();
    BOOST_TEST(static_cast<bool>(two));
    operation waits;
    own.async_admit(waits.on_completion()); // takes the only place in the queue
    BOOST_TEST(own.waiting() == 1u);
    one.finish();
    poll();
    BOOST_TEST(waits.admitted());
    two.finish();
    waits.held().finish();
    poll();
    BOOST_TEST(idle.completed_with(success));
}

BOOST_AUTO_TEST_CASE(an_admission_destroyed_with_its_handler_counts_as_finished) {
    asio::io_context other;
    std::optional<asio::io_context> dying(std::in_place);
    limiter own(other, 1, patient());
    operation taken;
    own.async_admit(asio::bind_executor(*dying, taken.on_completion()));
    own.async_wait_idle(idle.on_completion());
    other.poll();
    BOOST_TEST(idle.pending());
    dying.reset();
    BOOST_TEST(taken.abandoned());
    support::poll(other);
    BOOST_TEST(idle.completed_with(success));
}

BOOST_AUTO_TEST_CASE(neither_cancel_nor_close_ends_a_wait_for_idle) {
    admission held = limit->try_admit();
    operation waits;
    limit->async_admit(waits.on_completion());
    limit->async_wait_idle(idle.on_completion());
    BOOST_TEST(limit->cancel() == 1u);
    poll();
    BOOST_TEST(waits.failed(aborted));
    BOOST_TEST(idle.pending());
    BOOST_TEST(limit->cancel() == 0u);
    limit->close();
    poll();
    BOOST_TEST(idle.pending());
    operation after_close;
    limit->async_wait_idle(after_close.on_completion());
    held.finish();
    poll();
    BOOST_TEST(idle.completed_with(success));
    BOOST_TEST(after_close.completed_with(success));
}

BOOST_AUTO_TEST_CASE(cancelling_the_last_waiting_request_makes_the_limiter_idle) {
    limit->set_limit(2);
    admission held = limit->try_admit();
    operation wide;
    asio::cancellation_signal signal;
    limit->async_admit(weighing(2), wide.on_completion(signal.slot()));
    limit->async_wait_idle(idle.on_completion());
    held.finish(); // grants wide
    poll();
    BOOST_TEST(idle.pending());
    operation behind;
    limit->async_admit(behind.on_completion(signal.slot()));
    wide.held().finish(); // grants behind
    behind.held().finish();
    signal.emit(asio::cancellation_type::terminal);
    poll();
    BOOST_TEST(behind.completed_with(success));
    behind.held().finish();
    poll();
    BOOST_TEST(idle.completed_with(success));
}

BOOST_AUTO_TEST_CASE(each_type_of_cancellation_ends_a_wait_for_idle) {
    using type = asio::cancellation_type;
    for (const auto t : {type::terminal, type::partial, type::total}) {
        admission held = limit->try_admit();
        asio::cancellation_signal signal;
        operation o, other;
        limit->async_wait_idle(o.on_completion(signal.slot()));
        limit->async_wait_idle(other.on_completion());
        signal.emit(type::none);
        poll();
        BOOST_TEST(o.pending());
        signal.emit(t);
        BOOST_TEST(o.pending()); // never completes inside emit
        poll();
        BOOST_TEST(o.completed_with(aborted));
        BOOST_TEST(other.pending());
        held.finish();
        poll();
        BOOST_TEST(other.completed_with(success));
        signal.emit(t); // too late, no effect
    }
}

BOOST_AUTO_TEST_CASE(the_signal_may_die_before_the_end_of_a_wait_for_idle) {
    admission held = limit->try_admit();
    {
        asio::cancellation_signal signal;
        limit->async_wait_idle(idle.on_completion(signal.slot()));
    }
    held.finish();
    poll();
    BOOST_TEST(idle.completed_with(success));
}

BOOST_AUTO_TEST_CASE(destroying_the_limiter_aborts_a_wait_for_idle) {
    admission held = limit->try_admit();
    limit->async_wait_idle(idle.on_completion());
    auto lazy = limit->async_wait_idle(asio::deferred);
    limit.reset();
    BOOST_TEST(idle.pending());
    poll();
    BOOST_TEST(idle.completed_with(aborted));
    operation late;
    std::move(lazy)(late.on_completion());
    poll();
    BOOST_TEST(late.completed_with(aborted));
}

BOOST_AUTO_TEST_CASE(a_move_takes_a_wait_for_idle_along_and_an_assignment_aborts_it) {
    admission held = limit->try_admit();
    limit->async_wait_idle(idle.on_completion());
    limiter moved(std::move(*limit));
    operation of_empty;
    limit->async_wait_idle(of_empty.on_completion()); // a moved-from limiter is idle
    poll();
    BOOST_TEST(of_empty.completed_with(success));
    BOOST_TEST(idle.pending());
    held.finish();
    poll();
    BOOST_TEST(idle.completed_with(success));

    held = moved.try_admit();
    operation replaced;
    moved.async_wait_idle(replaced.on_completion());
    moved = limiter(context, 3);
    poll();
    BOOST_TEST(replaced.completed_with(aborted));
    held.finish();
}

BOOST_AUTO_TEST_CASE(a_wait_for_idle_keeps_its_context_running_and_is_destroyed_with_it) {
    std::optional<asio::io_context> dying(std::in_place);
    limiter own(*dying, 1, patient());
    admission held = own.try_admit();
    operation on_its_way;
    own.async_wait_idle(idle.on_completion());
    dying->poll();
    BOOST_TEST(!dying->stopped());
    held.finish();
    held = own.try_admit();
    own.async_wait_idle(on_its_way.on_completion());
    dying.reset();
    BOOST_TEST(idle.abandoned());
    BOOST_TEST(on_its_way.abandoned());
    held.finish();
    operation late;
    own.async_wait_idle(late.on_completion());
    BOOST_TEST(late.abandoned());
}

BOOST_AUTO_TEST_CASE(a_wait_for_idle_completes_on_the_handlers_executor) {
    asio::io_context other;
    support::tracking book;
    const support::tracker_executor<> tracked(other.get_executor(), book);
    admission held = limit->try_admit();
    bool inside = false;
    limit->async_wait_idle(
        asio::bind_executor(tracked, [&](error_code ec) { inside = !ec && book.on_stack(); }));
    held.finish();
    BOOST_TEST(!inside);
    other.run(); // the limiter's context does not run
    BOOST_TEST(inside);
}

BOOST_AUTO_TEST_CASE(a_wait_for_idle_takes_every_kind_of_token) {
    std::future<void> future = limit->async_wait_idle(asio::use_future);
    limit->async_wait_idle(asio::detached);
    auto lazy = limit->async_wait_idle(asio::deferred);
    std::move(lazy)(idle.on_completion());
    poll();
    future.get();
    BOOST_TEST(idle.completed_with(success));
    const admission held = limit->try_admit();
    asio::deferred_t::as_default_on_t<limiter> by_default(std::move(*limit));
    operation o;
    by_default.async_wait_idle()(o.on_completion());
    poll();
    BOOST_TEST(o.pending());
}

// A graceful shutdown: no more requests are admitted, and the running ones finish.
BOOST_AUTO_TEST_CASE(close_and_a_wait_for_idle_make_a_graceful_shutdown) {
    limiter own(context, 2, patient());
    operation o[4];
    for (const operation& each : o)
        own.async_admit(each.on_completion());
    poll();
    own.close();
    own.async_wait_idle(idle.on_completion());
    poll();
    BOOST_TEST(o[2].failed(closed));
    BOOST_TEST(o[3].failed(closed));
    BOOST_TEST(idle.pending());
    o[0].held().finish();
    poll();
    BOOST_TEST(idle.pending());
    o[1].held().finish();
    BOOST_TEST(!poll());
    BOOST_TEST(idle.completed_with(success));
}

BOOST_AUTO_TEST_SUITE_END()
