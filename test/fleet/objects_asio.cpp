// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include "objects_world.hpp"

#include <support/allocators.hpp>
#include <support/executors.hpp>

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/append.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/bind_immediate_executor.hpp>
#include <boost/asio/cancel_after.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/consign.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/prepend.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/system_executor.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>

#include <array>
#include <functional>
#include <future>
#include <memory>
#include <thread>
#include <tuple>
#include <type_traits>

// What Asio requires of the fleet's objects: completion tokens, executors, allocators, cancellation
// slots, and compositions.

using namespace test;
using asio_semaphore::while_held;
using asio_semaphore::with_permit;

namespace {

constexpr auto for_ever = asio::steady_timer::time_point::max();

struct asio_world : fleet_world {
    fleet_semaphore limit{context, a.client, "x", 1};

    asio_world() {
        run_client();
        poll();
    }
    fleet_permit take(std::ptrdiff_t n = 1) {
        ended e;
        limit.async_acquire_permit(n, recording(e));
        poll();
        BOOST_REQUIRE(e.granted());
        return std::move(e.held);
    }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(fleet_objects_asio, asio_world)

// Completion tokens.

BOOST_AUTO_TEST_CASE(futures_get_the_results_that_handlers_get) {
    std::future<fleet_permit> first = limit.async_acquire_permit(asio::use_future);
    poll();
    fleet_permit held = first.get();
    BOOST_TEST(held.valid());
    std::future<fleet_permit> many = limit.async_acquire_permit(2, asio::use_future);
    std::future<fleet_permit> tried = limit.async_acquire_permit_for(0s, asio::use_future);
    std::future<void> waited = held.async_wait_lost(asio::use_future);
    std::future<fleet_status> looked = limit.async_inspect(asio::use_future);
    poll();
    BOOST_CHECK_THROW((void)many.get(), boost::system::system_error);
    BOOST_CHECK_THROW((void)tried.get(), boost::system::system_error);
    BOOST_TEST(looked.get().held == 1);
    std::future<void> set = limit.async_set_limit(3, asio::use_future);
    poll();
    BOOST_CHECK_NO_THROW(set.get());
    std::future<void> released = held.async_release(asio::use_future);
    std::future<void> again = held.async_release(asio::use_future); // the permit is empty
    poll();
    BOOST_CHECK_NO_THROW(released.get());
    BOOST_CHECK_NO_THROW(again.get());
    BOOST_CHECK_THROW(waited.get(), boost::system::system_error);
    { auto unread = limit.async_acquire_permit(asio::use_future); }
    poll();
    poll();
    BOOST_TEST(server.look_at("x").held == 0);
    std::future<void> closed = a.client.async_close(asio::use_future);
    poll();
    BOOST_CHECK_NO_THROW(closed.get());
}

BOOST_AUTO_TEST_CASE(coroutines_get_the_results_that_handlers_get) {
    bool done = false;
    asio::co_spawn(
        context,
        [&]() -> asio::awaitable<void> {
            auto held = co_await limit.async_acquire_permit(asio::use_awaitable);
            BOOST_TEST(held.valid());
            auto [ec, none] =
                co_await limit.async_acquire_permit_for(0s, asio::as_tuple(asio::use_awaitable));
            BOOST_TEST(ec == asio::error::timed_out);
            BOOST_TEST(!none);
            error_code lost;
            const auto status = co_await limit.async_inspect(asio::use_awaitable);
            BOOST_TEST(status.held == 1);
            co_await limit.async_set_limit(2, asio::use_awaitable);
            BOOST_TEST(limit.limit() == 2);
            co_await held.async_release(asio::use_awaitable);
            co_await held.async_wait_lost(asio::redirect_error(asio::use_awaitable, lost));
            BOOST_TEST(lost == asio::error::operation_aborted);
            co_await a.client.async_close(asio::use_awaitable);
            done = true;
        },
        [](std::exception_ptr e) { BOOST_TEST(!e); });
    poll();
    BOOST_TEST(done);
    BOOST_TEST(run.succeeded());
}

BOOST_AUTO_TEST_CASE(a_detached_permit_goes_back) {
    limit.async_acquire_permit(asio::detached);
    poll();
    poll();
    BOOST_TEST(held() == 0);
    take().async_release(asio::detached);
    poll();
    BOOST_TEST(held() == 0);
    limit.async_set_limit(2, asio::detached);
    limit.async_inspect(asio::detached);
    poll();
    BOOST_TEST(limit.limit() == 2);
}

// The operation owns the initiation, and the handler destroys it. So does a coroutine that ends.
BOOST_AUTO_TEST_CASE(a_release_survives_a_handler_that_destroys_its_initiation) {
    // Not bind_immediate_executor, which copies the initiation.
    struct immediate_handler {
        using immediate_executor_type = asio::system_executor;
        immediate_executor_type get_immediate_executor() const noexcept { return {}; }
        void operator()(error_code) const { end(); }
        std::function<void()> end;
    };
    const auto destroys_its_operation = [&](fleet_permit released) {
        auto made = released.async_release(asio::deferred);
        auto operation = std::make_unique<decltype(made)>(std::move(made));
        std::move (*operation)(immediate_handler{[&] {
            operation.reset();
        }});
        poll();
        BOOST_TEST(operation == nullptr);
    };
    destroys_its_operation({});
    destroys_its_operation(take());
    BOOST_TEST(server.look_at("x").held == 0);
}

BOOST_AUTO_TEST_CASE(deferred_operations_start_when_they_are_called_and_can_be_copied) {
    auto one = limit.async_acquire_permit(asio::deferred);
    auto other = one;
    poll();
    BOOST_TEST(held() == 0);
    ended first, second;
    std::move(one)(recording(first));
    std::move(other)(recording(second));
    poll();
    BOOST_TEST(first.granted());
    BOOST_TEST(second.pending());
    auto waiting = first.held.async_wait_lost(asio::deferred);
    ended waited;
    waiting(recording(waited)); // an lvalue, which could be started again
    first.held.reset();
    poll();
    BOOST_TEST(waited.failed(asio::error::operation_aborted));
    BOOST_TEST(second.granted());
    auto releasing = second.held.async_release(asio::deferred);
    BOOST_TEST(!second.held);
    poll();
    BOOST_TEST(held() == 1);
    ended released;
    std::move(releasing)(recording(released));
    poll();
    BOOST_TEST(released.succeeded());
    BOOST_TEST(held() == 0);
}

BOOST_AUTO_TEST_CASE(adapters_of_tokens_work) {
    int calls = 0;
    limit.async_acquire_permit(asio::append(
        asio::prepend(
            asio::consign(
                [&](int before, error_code ec, fleet_permit p, int after) {
                    BOOST_TEST(before == 1);
                    BOOST_TEST(after == 2);
                    BOOST_TEST(!ec);
                    BOOST_TEST(bool(p));
                    ++calls;
                },
                std::make_shared<int>()),
            1),
        2));
    poll();
    BOOST_TEST(calls == 1);
    asio::any_completion_handler<void(error_code, fleet_permit)> erased(
        [&](error_code, fleet_permit) { ++calls; });
    limit.async_acquire_permit(std::move(erased));
    poll();
    BOOST_TEST(calls == 2);
}

BOOST_AUTO_TEST_CASE(cancel_after_ends_waiting_operations) {
    const auto held = take();
    ended timed, waited, looked;
    limit.async_acquire_permit(asio::cancel_after(1ms, recording(timed)));
    const_cast<fleet_permit&>(held).async_wait_lost(asio::cancel_after(1ms, recording(waited)));
    BOOST_TEST(poll_until([&] { return !timed.pending() && !waited.pending(); }));
    BOOST_TEST(timed.failed(asio::error::operation_aborted));
    BOOST_TEST(waited.failed(asio::error::operation_aborted));
    poll();
    BOOST_TEST(queued() == 0u);
    limit.async_inspect(asio::cancel_after(1h, recording(looked)));
    poll();
    BOOST_TEST(looked.succeeded());
}

BOOST_AUTO_TEST_CASE(default_tokens_and_other_executor_types_work) {
    using executor = asio::io_context::executor_type;
    using awaited = asio::use_awaitable_t<>::as_default_on_t<fleet_semaphore>;
    using rebound = fleet_semaphore::rebind_executor<executor>::other;
    static_assert(std::is_same_v<rebound, basic_fleet_semaphore<executor>>);
    awaited of_default(context, a.client, "x", 1);
    rebound plain(context, a.client, "x", 1);
    static_assert(std::is_same_v<rebound::executor_type, executor>);
    bool done = false;
    asio::co_spawn(
        context,
        [&]() -> asio::awaitable<void> {
            auto first = co_await of_default.async_acquire_permit();
            first.reset();
            auto second = co_await of_default.async_acquire_permit(1);
            second.reset();
            auto third = co_await of_default.async_acquire_permit_for(1h);
            third.reset();
            auto fourth = co_await of_default.async_acquire_permit_for(1h, 1);
            auto status = co_await of_default.async_inspect();
            BOOST_TEST(status.held == 1);
            co_await of_default.async_set_limit(1);
            // The library's own default token is deferred.
            error_code ec;
            auto lazy = fourth.async_wait_lost();
            fourth.reset();
            co_await std::move(lazy)(asio::redirect_error(asio::use_awaitable, ec));
            BOOST_TEST(ec == asio::error::operation_aborted);
            done = true;
        },
        [](std::exception_ptr e) { BOOST_TEST(!e); });
    poll();
    BOOST_TEST(done);
    ended first, second;
    plain.async_acquire_permit(recording(first));
    fleet_semaphore general(std::move(plain));
    BOOST_TEST(!plain.is_open());
    general.async_acquire_permit(recording(second));
    poll();
    BOOST_TEST(first.granted());
    BOOST_TEST(second.pending());
    general = rebound(context, a.client, "y", 1);
    poll();
    BOOST_TEST(second.failed(asio::error::operation_aborted));
    BOOST_TEST(general.is_open());
    static_assert(std::is_nothrow_move_constructible_v<fleet_semaphore>);
    static_assert(std::is_nothrow_move_constructible_v<fleet_permit>);
    static_assert(std::is_nothrow_destructible_v<fleet_permit>);
    static_assert(std::is_nothrow_destructible_v<asio_semaphore::fleet_client>);
    static_assert(!std::is_copy_constructible_v<fleet_permit>);
    static_assert(!std::is_convertible_v<fleet_permit, bool>);
}

BOOST_AUTO_TEST_CASE(permits_move_and_swap) {
    ended both;
    limit.async_set_limit(3, asio::detached);
    auto first = take(), second = take(2);
    const auto fence = first.fencing();
    swap(first, second);
    BOOST_TEST(first.count() == 2);
    BOOST_TEST(second.fencing() == fence);
    auto& self = first;
    first = std::move(self);
    BOOST_TEST(first.count() == 2);
    first = std::move(second);
    BOOST_TEST(first.fencing() == fence);
    BOOST_TEST(!second);
    BOOST_TEST(second.count() == 0);
    BOOST_TEST(second.fencing() == 0u);
    BOOST_TEST(!second.valid());
    BOOST_TEST(!second.local());
    BOOST_TEST((second.remaining() == 0ns));
    second.reset();
    poll();
    BOOST_TEST(held() == 1);
    first.reset();
    first.reset();
    poll();
    BOOST_TEST(held() == 0);
}

// Executors.

BOOST_AUTO_TEST_CASE(every_handler_runs_on_its_executor_and_never_inside_a_call) {
    using tracker = support::tracker_executor<>;
    support::tracking book;
    const tracker executor(context.get_executor(), book);
    int calls = 0, wrong = 0;
    bool inside = false;
    const auto handler = [&](auto&&...) {
        ++calls;
        wrong += inside || !book.on_stack();
    };
    const auto bound = [&] {
        return asio::bind_executor(executor, handler);
    };
    const auto call = [&](auto f) {
        inside = true;
        f();
        inside = false;
    };
    auto first = take();
    call([&] {
        limit.async_acquire_permit(0, bound());
        limit.async_acquire_permit(-1, bound());
        limit.async_acquire_permit(2, bound());
        limit.async_acquire_permit(bound());
        limit.async_acquire_permit_for(0s, bound());
        limit.async_acquire_permit_for(1ms, bound());
        limit.async_set_limit(1, bound());
        limit.async_inspect(bound());
        first.async_wait_lost(bound());
        a.client.async_run(bound()); // already started
    });
    BOOST_TEST(book.work > 0);
    BOOST_TEST(calls == 0);
    BOOST_TEST(poll_until([&] { return calls == 8; }));
    call([&] { limit.cancel(); });
    call([&] { first.reset(); });
    BOOST_TEST(calls == 8);
    poll();
    BOOST_TEST(calls == 10);
    fleet_permit none;
    auto second = take();
    call([&] {
        none.async_wait_lost(bound());
        none.async_release(bound());
        limit.async_acquire_permit(bound());
        limit.async_acquire_permit(bound());
        limit.close();
        limit.async_acquire_permit(bound());
        second.async_wait_lost(bound());
        second.async_release(bound());
        a.client.async_close(bound());
    });
    poll();
    BOOST_TEST(calls == 18);
    BOOST_TEST(wrong == 0);
    BOOST_TEST(book.work == 0);
}

BOOST_AUTO_TEST_CASE(waiting_operations_keep_the_handlers_and_the_objects_context_running) {
    asio::io_context own, others;
    fleet_semaphore elsewhere(own, a.client, "x", 1);
    auto first = take();
    bool served = false;
    elsewhere.async_acquire_permit(asio::bind_executor(others, [&](error_code ec, fleet_permit) {
        BOOST_TEST(!ec);
        served = true;
    }));
    own.poll();
    others.poll();
    BOOST_TEST(!own.stopped());
    BOOST_TEST(!others.stopped());
    first.reset();
    poll();
    others.run(); // returns when it has run the handler
    BOOST_TEST(served);
    own.run();
    poll();
    BOOST_TEST(held() == 0);
}

BOOST_AUTO_TEST_CASE(the_clients_context_runs_for_as_long_as_the_client_does) {
    ended closed;
    auto first = take();
    context.restart();
    context.poll();
    BOOST_TEST(!context.stopped());
    a.client.async_close(recording(closed));
    context.run(); // returns: no work is left
    BOOST_TEST(closed.succeeded());
    BOOST_TEST(run.succeeded());
}

BOOST_AUTO_TEST_CASE(
    handlers_of_an_empty_permit_run_on_their_own_executor_or_else_the_system_executor) {
    const auto here = std::this_thread::get_id();
    std::promise<std::thread::id> waited, released;
    fleet_permit no;
    no.async_wait_lost([&](error_code) { waited.set_value(std::this_thread::get_id()); });
    no.async_release([&](error_code) { released.set_value(std::this_thread::get_id()); });
    BOOST_TEST((waited.get_future().get() != here));
    BOOST_TEST((released.get_future().get() != here));
    ended own_wait, own_release;
    no.async_wait_lost(asio::bind_executor(context, recording(own_wait)));
    no.async_release(asio::bind_executor(context, recording(own_release)));
    BOOST_TEST(own_wait.pending());
    BOOST_TEST(own_release.pending());
    poll();
    BOOST_TEST(own_wait.failed(asio::error::operation_aborted));
    BOOST_TEST(own_release.succeeded());
}

BOOST_AUTO_TEST_CASE(immediate_executors_run_handlers_of_operations_that_end_at_once) {
    const auto at_once = [](auto handler) {
        return asio::bind_immediate_executor(asio::system_executor(), std::move(handler));
    };
    ended none, negative, empty, nothing, late, bad, lost;
    fleet_permit no;
    limit.async_acquire_permit(0, at_once(recording(none)));
    limit.async_acquire_permit(-1, at_once(recording(negative)));
    limit.async_set_limit(0, at_once(recording(bad)));
    no.async_wait_lost(at_once(recording(empty)));
    no.async_release(at_once(recording(nothing)));
    BOOST_TEST((none.succeeded() && !none.held));
    BOOST_TEST(negative.failed(asio::error::invalid_argument));
    BOOST_TEST(bad.failed(asio::error::invalid_argument));
    BOOST_TEST(empty.failed(asio::error::operation_aborted));
    BOOST_TEST(nothing.succeeded());
    limit.close();
    limit.async_acquire_permit(at_once(recording(late)));
    BOOST_TEST(late.failed(error::closed));
    // The handler may destroy everything.
    auto other = std::make_unique<fleet_semaphore>(context, a.client, "y", 1);
    bool called = false;
    other->async_acquire_permit(0, at_once([&](error_code, fleet_permit) {
                                    other.reset();
                                    called = true;
                                }));
    BOOST_TEST(called);
}

BOOST_AUTO_TEST_CASE(a_semaphore_may_have_a_strand_and_a_client_too) {
    model_client b(asio::make_strand(context), server);
    const auto strand = asio::make_strand(context);
    basic_fleet_semaphore<asio::strand<asio::io_context::executor_type>> mine(
        strand, b.client, "x", 1);
    b.client.async_run(asio::detached);
    int inside = 0;
    mine.async_acquire_permit_for(1h, [&](error_code ec, fleet_permit p) {
        BOOST_TEST(!ec);
        inside += strand.running_in_this_thread();
        p.async_wait_lost([&](error_code) { ++inside; });
    });
    poll();
    BOOST_TEST(inside == 2);
}

// Allocators.

BOOST_AUTO_TEST_CASE(
    the_memory_of_an_operation_comes_from_its_handler_and_is_freed_before_the_call) {
    support::memory_book book;
    int calls = 0, left = 0;
    const auto handler = [&] {
        return asio::bind_allocator(support::counting_allocator<>(book), [&](auto&&...) {
            ++calls;
            left += book.live();
        });
    };
    auto first = take();
    const auto one_by_one = [&](auto start) {
        const int before = calls;
        start();
        BOOST_TEST(book.live() == 1);
        poll();
        limit.cancel();
        poll();
        BOOST_TEST(calls == before + 1);
        BOOST_TEST(book.live() == 0);
    };
    one_by_one([&] { limit.async_acquire_permit(handler()); });
    one_by_one([&] { limit.async_acquire_permit_for(1h, handler()); });
    one_by_one([&] { limit.async_acquire_permit_for(0s, handler()); });
    one_by_one([&] { limit.async_set_limit(1, handler()); });
    one_by_one([&] { limit.async_inspect(handler()); });
    one_by_one([&] { first.async_release(handler()); });
    BOOST_TEST(left == 0);
}

// Cancellation.

BOOST_AUTO_TEST_CASE(every_operation_can_be_cancelled_before_during_and_after_its_wait) {
    fleet_permit first, second;
    using start = std::function<void(asio::cancellation_slot, ended&)>;
    const start all[] = {
        [&](auto slot, ended& e) {
            limit.async_acquire_permit(asio::bind_cancellation_slot(slot, recording(e)));
        },
        [&](auto slot, ended& e) {
            limit.async_acquire_permit_for(1h, asio::bind_cancellation_slot(slot, recording(e)));
        },
        [&](auto slot, ended& e) {
            limit.async_acquire_permit_for(0s, asio::bind_cancellation_slot(slot, recording(e)));
        },
        [&](auto slot, ended& e) {
            limit.async_set_limit(1, asio::bind_cancellation_slot(slot, recording(e)));
        },
        [&](auto slot, ended& e) {
            limit.async_inspect(asio::bind_cancellation_slot(slot, recording(e)));
        },
        [&](auto slot, ended& e) {
            first.async_wait_lost(asio::bind_cancellation_slot(slot, recording(e)));
        },
        [&](auto slot, ended& e) {
            second.async_release(asio::bind_cancellation_slot(slot, recording(e)));
        },
    };
    limit.async_set_limit(2, asio::detached);
    poll();
    for (std::size_t i = 0; i < std::size(all); ++i) {
        for (const auto type :
             {asio::cancellation_type::terminal, asio::cancellation_type::partial,
              asio::cancellation_type::total, asio::cancellation_type::none}) {
            for (int when = 0; when < 4; ++when) {
                BOOST_TEST_INFO_SCOPE(
                    "operation " << i << ", type " << static_cast<int>(type) << ", at " << when);
                limit.async_set_limit(2, asio::detached);
                poll();
                first = take();
                second = take();
                const bool is_none = type == asio::cancellation_type::none;
                asio::cancellation_signal signal;
                ended e;
                if (when == 0) // before the start
                    signal.emit(type);
                server.holds_replies = when == 2;
                all[i](signal.slot(), e);
                if (when == 1) // while it waits in the client
                    signal.emit(type);
                poll();
                if (when == 2) // while its call is in flight
                    signal.emit(type);
                poll();
                if ((when == 1 || when == 2) && !is_none)
                    BOOST_TEST(e.failed(asio::error::operation_aborted));
                server.holds_replies = false;
                a.store.lock()->let_go();
                poll();
                if (when == 3) { // after the grant, or while it is queued
                    signal.emit(type);
                    signal.emit(type);
                }
                limit.cancel();
                poll();
                first.reset();
                second.reset();
                poll();
                BOOST_TEST(e.calls == 1);
                e.held.reset();
                poll();
                BOOST_TEST(held() == 0);
                BOOST_TEST(queued() == 0u);
                BOOST_TEST(limit.waiting() == 0u);
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(run_and_close_can_be_cancelled_before_during_and_after) {
    for (int when = 0; when < 3; ++when) {
        asio::cancellation_signal running, closing;
        ended ran, closed, again;
        model_client b(context.get_executor(), server);
        fleet_semaphore mine(context, b.client, "y", 1);
        ended first;
        mine.async_acquire_permit(recording(first));
        b.client.async_run(asio::bind_cancellation_slot(running.slot(), recording(ran)));
        if (when == 0)
            running.emit(asio::cancellation_type::total);
        poll();
        running.emit(asio::cancellation_type::none);
        BOOST_TEST(first.granted() == (when != 0));
        if (when == 1)
            running.emit(asio::cancellation_type::terminal);
        if (when < 2)
            b.client.async_run(recording(again)); // at once, before the client looks
        poll();
        if (when < 2)
            BOOST_TEST(ran.failed(asio::error::operation_aborted));
        BOOST_TEST(b.client.statistics().connected);
        BOOST_TEST(first.granted());
        b.client.async_close(asio::bind_cancellation_slot(closing.slot(), recording(closed)));
        if (when == 0)
            closing.emit(asio::cancellation_type::terminal);
        poll();
        closing.emit(asio::cancellation_type::terminal);
        running.emit(asio::cancellation_type::terminal);
        BOOST_TEST(
            (when == 0 ? closed.failed(asio::error::operation_aborted) : closed.succeeded()));
        BOOST_TEST((when < 2 ? again.succeeded() : ran.succeeded()));
        BOOST_TEST(held("y") == 0);
        BOOST_TEST(!b.client.statistics().connected);
    }
}

BOOST_AUTO_TEST_CASE(signals_may_die_while_operations_wait) {
    auto first = take();
    auto signal = std::make_unique<asio::cancellation_signal>();
    ended waits, waited;
    limit.async_acquire_permit(asio::bind_cancellation_slot(signal->slot(), recording(waits)));
    first.async_wait_lost(asio::bind_cancellation_slot(signal->slot(), recording(waited)));
    signal->emit(asio::cancellation_type::terminal); // affects only the newest operation
    poll();
    BOOST_TEST(waits.pending());
    BOOST_TEST(waited.failed(asio::error::operation_aborted));
    signal.reset();
    first.reset();
    poll();
    BOOST_TEST(waits.granted());
}

// Compositions.

BOOST_AUTO_TEST_CASE(work_may_run_beside_a_wait_for_the_loss) {
    using namespace asio::experimental::awaitable_operators;
    for (const bool is_lost : {false, true}) {
        fleet_semaphore mine(context, a.client, is_lost ? "lost" : "kept", 1, short_lease());
        asio::steady_timer work(context, for_ever);
        int winner = -1;
        asio::co_spawn(
            context,
            [&]() -> asio::awaitable<void> {
                auto held = co_await mine.async_acquire_permit(asio::use_awaitable);
                const auto result = co_await (
                    work.async_wait(asio::as_tuple(asio::use_awaitable)) ||
                    held.async_wait_lost(asio::as_tuple(asio::use_awaitable)));
                winner = static_cast<int>(result.index());
            },
            [](std::exception_ptr e) { BOOST_TEST(!e); });
        poll();
        if (is_lost)
            a.store.lock()->cut();
        else
            work.cancel();
        BOOST_TEST(poll_until([&] { return winner != -1; }));
        BOOST_TEST(winner == (is_lost ? 1 : 0));
        poll();
        if (!is_lost)
            BOOST_TEST(held("kept") == 0);
    }
    BOOST_TEST(observer(server).sees_empty("lost"));
}

BOOST_AUTO_TEST_CASE(an_acquire_that_loses_against_another_operation_gives_its_permit_back) {
    using namespace asio::experimental::awaitable_operators;
    fleet_semaphore other(context, a.client, "y", 1);
    int done = 0;
    for (int i = 0; i < 3; ++i) {
        asio::co_spawn(
            context,
            [&]() -> asio::awaitable<void> {
                auto result = co_await (
                    limit.async_acquire_permit(asio::use_awaitable) ||
                    other.async_acquire_permit(asio::use_awaitable));
                BOOST_TEST(std::visit([](const fleet_permit& p) { return p.valid(); }, result));
                ++done;
            },
            [](std::exception_ptr e) { BOOST_TEST(!e); });
    }
    BOOST_TEST(poll_until([&] { return done == 3; }));
    poll();
    BOOST_TEST(held("x") + held("y") == 0);
    ended never;
    auto first = take();
    asio::experimental::make_parallel_group(
        limit.async_acquire_permit(asio::deferred), asio::post(context, asio::deferred))
        .async_wait(
            asio::experimental::wait_for_one(),
            [&](std::array<std::size_t, 2>, error_code ec, fleet_permit p) {
                never.ec = ec;
                never.held = std::move(p);
                ++never.calls;
            });
    poll();
    BOOST_TEST(never.failed(asio::error::operation_aborted));
    BOOST_TEST(queued() == 0u);
}

BOOST_AUTO_TEST_CASE(with_permit_gives_the_permit_back_before_the_handler_runs) {
    ended behind;
    asio::steady_timer work(context, for_ever);
    error_code result;
    int calls = 0;
    work.async_wait(with_permit(limit, [&](error_code ec) {
        ++calls;
        result = ec;
        limit.async_acquire_permit_for(0s, recording(behind)); // sent behind the release
    }));
    poll();
    BOOST_TEST(held() == 1);
    work.cancel();
    poll();
    BOOST_TEST(calls == 1);
    BOOST_TEST(result == asio::error::operation_aborted);
    BOOST_TEST(behind.granted());
}

BOOST_AUTO_TEST_CASE(with_permit_without_a_permit_does_not_start_the_work) {
    auto first = take();
    asio::steady_timer work(context, asio::steady_timer::time_point::min());
    asio::cancellation_signal signal;
    ended cancelled, too_many, closed;
    work.async_wait(
        with_permit(limit, asio::bind_cancellation_slot(signal.slot(), recording(cancelled))));
    work.async_wait(with_permit(limit, 2, recording(too_many)));
    poll();
    BOOST_TEST(too_many.failed(error::exceeds_max));
    BOOST_TEST(cancelled.pending());
    signal.emit(asio::cancellation_type::total);
    poll();
    BOOST_TEST(cancelled.failed(asio::error::operation_aborted));
    limit.close();
    work.async_wait(with_permit(limit, recording(closed)));
    poll();
    BOOST_TEST(closed.failed(error::closed));
}

BOOST_AUTO_TEST_CASE(with_permit_in_a_coroutine_throws_the_error_of_the_acquire) {
    bool done = false;
    asio::steady_timer work(context, asio::steady_timer::time_point::min());
    asio::co_spawn(
        context,
        [&]() -> asio::awaitable<void> {
            co_await work.async_wait(with_permit(limit, asio::use_awaitable));
            const auto [ec] = co_await work.async_wait(
                with_permit(limit, 2, asio::as_tuple(asio::use_awaitable)));
            BOOST_TEST((ec == error::exceeds_max));
            auto held = co_await limit.async_acquire_permit(asio::use_awaitable);
            co_await work.async_wait(while_held(held, asio::use_awaitable));
            done = true;
        },
        [](std::exception_ptr e) { BOOST_TEST(!e); });
    poll();
    BOOST_TEST(done);
    BOOST_TEST(held() == 0);
}

BOOST_AUTO_TEST_CASE(work_while_held_ends_with_a_permit_that_is_lost_already) {
    fleet_semaphore mine(context, a.client, "y", 1, short_lease());
    ended first;
    mine.async_acquire_permit(recording(first));
    poll();
    a.store.lock()->cut();
    BOOST_TEST(poll_until([&] { return !first.held.valid(); }));
    asio::steady_timer work(context, for_ever);
    ended late;
    work.async_wait(while_held(first.held, recording(late)));
    poll();
    BOOST_TEST(late.failed(asio::error::operation_aborted));
    fleet_permit none;
    ended free;
    work.async_wait(while_held(none, recording(free)));
    poll();
    BOOST_TEST(free.pending());
    work.cancel();
    poll();
    BOOST_TEST(free.calls == 1);
}

BOOST_AUTO_TEST_CASE(work_while_held_leaves_no_wait_and_no_work_behind) {
    asio::io_context own;
    auto first = take();
    for (int i = 0; i < 3; ++i) {
        asio::steady_timer work(own, asio::steady_timer::time_point::min());
        ended e;
        work.async_wait(while_held(first, asio::bind_executor(own, recording(e))));
        own.restart();
        own.run(); // returns while the permit is held
        BOOST_TEST(e.succeeded());
    }
    // An initiation that throws.
    int left = 3;
    support::result r;
    asio::steady_timer work(own, for_ever);
    for (int allowed = 0; allowed < 12; ++allowed) {
        left = allowed;
        try {
            work.async_wait(while_held(first, asio::bind_executor(own, support::fragile(r, left))));
            left = -1;
            work.cancel();
        } catch (const support::move_failure&) {
        }
        left = -1;
        own.restart();
        own.run();
    }
    BOOST_TEST(r.calls > 0);
    BOOST_TEST(r.dropped > 0);
    BOOST_TEST(first.valid());
}

BOOST_AUTO_TEST_SUITE_END()
