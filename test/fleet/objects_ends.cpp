// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include "objects_world.hpp"

#include <support/executors.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

// What happens to operations, permits and places in the queue when a semaphore, a client or a
// context is destroyed.

using namespace test;

BOOST_FIXTURE_TEST_SUITE(fleet_objects_ends, fleet_world)

// Clients.

BOOST_AUTO_TEST_CASE(a_release_that_waits_for_a_connection_ends_with_the_client) {
    auto b = std::make_unique<model_client>(context.get_executor(), server);
    fleet_semaphore limit(context, b->client, "x", 1);
    b->client.async_run(asio::detached);
    ended first, released;
    limit.async_acquire_permit(recording(first));
    poll();
    b->store.lock()->cut();
    poll();
    first.held.async_release(recording(released));
    poll();
    BOOST_TEST(released.pending());
    b.reset();
    poll();
    BOOST_TEST(released.failed(fleet_error::lost));
}

BOOST_AUTO_TEST_CASE(a_release_whose_call_is_in_flight_ends_with_the_client) {
    auto b = std::make_unique<model_client>(context.get_executor(), server);
    fleet_semaphore limit(context, b->client, "x", 1);
    b->client.async_run(asio::detached);
    ended first, released;
    limit.async_acquire_permit(recording(first));
    poll();
    server.holds_replies = true;
    first.held.async_release(recording(released));
    poll();
    BOOST_TEST(released.pending());
    b.reset();
    poll();
    BOOST_TEST(released.failed(fleet_error::lost));
}

BOOST_AUTO_TEST_CASE(a_wait_for_a_loss_after_the_client_has_closed_is_aborted_at_once) {
    fleet_semaphore limit(context, a.client, "x", 1);
    run_client();
    ended first, before, after, later, closed, released;
    limit.async_acquire_permit(recording(first));
    poll();
    first.held.async_wait_lost(recording(before));
    a.client.async_close(recording(closed));
    BOOST_TEST(!first.held.valid());
    first.held.async_wait_lost(recording(after));
    poll();
    first.held.async_wait_lost(recording(later));
    poll();
    for (const ended* e : {&before, &after, &later})
        BOOST_TEST(e->failed(asio::error::operation_aborted));
    BOOST_TEST(closed.succeeded());
    first.held.async_release(recording(released));
    poll();
    BOOST_TEST(released.calls == 1);
}

BOOST_AUTO_TEST_CASE(a_release_behind_a_close_is_answered_although_waits_for_the_loss_are_aborted) {
    fleet_semaphore limit(context, a.client, "x", 1);
    run_client();
    ended first, waited, released, closed;
    limit.async_acquire_permit(recording(first));
    poll();
    first.held.async_wait_lost(recording(waited));
    a.client.async_close(recording(closed));
    first.held.async_release(recording(released));
    poll();
    BOOST_TEST(waited.failed(asio::error::operation_aborted));
    BOOST_TEST(released.failed(fleet_error::lost));
    BOOST_TEST(closed.succeeded());
    BOOST_TEST(held() == 0);
}

BOOST_AUTO_TEST_CASE(closing_without_a_connection_waits_until_the_leases_have_ended) {
    fleet_semaphore limit(context, a.client, "x", 1, short_lease());
    run_client();
    ended first, second, closed, again;
    limit.async_acquire_permit(recording(first));
    limit.async_acquire_permit(recording(second));
    poll();
    a.store.lock()->cut();
    poll();
    const auto start = std::chrono::steady_clock::now();
    a.client.async_close(recording(closed));
    a.client.async_close(recording(again));
    poll();
    BOOST_TEST(second.failed(error::closed));
    BOOST_TEST(!first.held.valid());
    BOOST_TEST((closed.pending() || std::chrono::steady_clock::now() - start > 30ms));
    BOOST_TEST(poll_until([&] { return !closed.pending() && !again.pending() && !run.pending(); }));
    BOOST_TEST(closed.succeeded());
    BOOST_TEST(again.succeeded());
    BOOST_TEST(run.succeeded());
    BOOST_TEST(observer(server).sees_empty("x"));
}

BOOST_AUTO_TEST_CASE(closing_a_client_that_never_ran_completes_at_once) {
    fleet_semaphore limit(context, a.client, "x", 1);
    ended waits, set, looked, closed, ran;
    limit.async_acquire_permit(recording(waits));
    limit.async_set_limit(2, recording(set));
    limit.async_inspect(recording(looked));
    poll();
    a.client.async_close(recording(closed));
    BOOST_TEST(closed.pending());
    poll();
    for (const ended* e : {&waits, &set, &looked})
        BOOST_TEST(e->failed(error::closed));
    BOOST_TEST(closed.succeeded());
    a.client.async_run(recording(ran));
    poll();
    BOOST_TEST(ran.succeeded());
    BOOST_TEST(!a.client.statistics().connected);
}

BOOST_AUTO_TEST_CASE(a_cancelled_close_leaves_the_client_closed_and_giving_back_its_permits) {
    fleet_semaphore limit(context, a.client, "x", 1);
    run_client();
    ended first, closed, late;
    limit.async_acquire_permit(recording(first));
    poll();
    asio::cancellation_signal signal;
    server.holds_replies = true;
    a.client.async_close(asio::bind_cancellation_slot(signal.slot(), recording(closed)));
    poll();
    signal.emit(asio::cancellation_type::partial);
    poll();
    BOOST_TEST(closed.failed(asio::error::operation_aborted));
    BOOST_TEST(run.pending());
    server.holds_replies = false;
    a.store.lock()->let_go();
    limit.async_acquire_permit(recording(late));
    poll();
    BOOST_TEST(late.failed(error::closed));
    BOOST_TEST(run.succeeded());
    BOOST_TEST(held() == 0);
}

BOOST_AUTO_TEST_CASE(a_client_may_die_while_it_closes) {
    auto b = std::make_unique<model_client>(context.get_executor(), server);
    fleet_semaphore limit(context, b->client, "x", 1);
    ended ran, first, closed;
    b->client.async_run(recording(ran));
    limit.async_acquire_permit(recording(first));
    poll();
    server.holds_replies = true;
    b->client.async_close(recording(closed));
    poll();
    b.reset();
    poll();
    BOOST_TEST(closed.failed(asio::error::operation_aborted));
    BOOST_TEST(ran.failed(asio::error::operation_aborted));
}

BOOST_AUTO_TEST_CASE(a_client_may_be_closed_and_destroyed_while_its_context_does_not_run) {
    ended first, second, ran, closed, waited, released;
    fleet_permit kept;
    {
        asio::io_context own;
        auto b = std::make_unique<model_client>(own.get_executor(), server);
        fleet_semaphore limit(context, b->client, "x", 2, short_lease());
        b->client.async_run(recording(ran));
        limit.async_acquire_permit(recording(first));
        limit.async_acquire_permit(recording(second));
        own.poll();
        poll();
        BOOST_TEST(first.granted());
        BOOST_TEST(second.granted());
        first.held.async_wait_lost(asio::bind_executor(context, recording(waited)));
        second.held.async_release(asio::bind_executor(context, recording(released)));
        b->client.async_close(asio::bind_executor(context, recording(closed)));
        poll();
        BOOST_TEST(!first.held.valid());
        b.reset();
        poll();
        // The destructor ended them; the handlers ran on their own context.
        BOOST_TEST(waited.failed(asio::error::operation_aborted));
        BOOST_TEST(released.failed(fleet_error::lost));
        BOOST_TEST(closed.failed(asio::error::operation_aborted));
        BOOST_TEST(ran.pending());
    }
    BOOST_TEST(ran.was_dropped());
    BOOST_TEST(observer(server).sees_empty("x"));
}

BOOST_AUTO_TEST_CASE(permits_of_a_client_whose_context_is_blocked_end_by_the_clock) {
    asio::io_context own;
    model_client b(own.get_executor(), server);
    fleet_semaphore limit(context, b.client, "x", 1, short_lease());
    b.client.async_run(asio::detached);
    ended first, waited;
    limit.async_acquire_permit(recording(first));
    own.poll();
    poll();
    BOOST_TEST(first.granted());
    first.held.async_wait_lost(asio::bind_executor(context, recording(waited)));
    BOOST_TEST(run_until(context, [&] { return !first.held.valid(); }));
    BOOST_TEST((first.held.remaining() == 0ns));
    BOOST_TEST(waited.pending());
    ended asks; // a wait that starts now needs only the clock
    first.held.async_wait_lost(asio::bind_executor(context, recording(asks)));
    poll();
    BOOST_TEST(asks.failed(fleet_error::lost));
    BOOST_TEST(waited.pending());
    own.restart();
    BOOST_TEST(run_until(own, [&] { return poll(), !waited.pending(); }));
    BOOST_TEST(waited.failed(fleet_error::lost)); // reported as soon as its context runs again
    BOOST_TEST(!first.held.valid());
    BOOST_TEST(limit.statistics().lost_by_deadline == 1u);
}

BOOST_AUTO_TEST_CASE(handlers_may_destroy_their_permit_semaphore_and_client) {
    for (const int which : {0, 1, 2, 3}) {
        BOOST_TEST_CONTEXT("which " << which) {
            auto b = std::make_unique<model_client>(context.get_executor(), server);
            auto limit = std::make_unique<fleet_semaphore>(context, b->client, "y", 2);
            auto kept = std::make_unique<fleet_permit>();
            int called = 0;
            const auto destroy = [&] {
                ++called;
                (which & 1 ? limit.reset() : b.reset());
                (which & 1 ? b.reset() : limit.reset());
                kept.reset();
            };
            ended ran, behind;
            server.rules = {};
            b->client.async_run(recording(ran));
            limit->async_acquire_permit([&](error_code, fleet_permit p) {
                *kept = std::move(p);
                if (which < 2)
                    destroy();
                else
                    kept->async_wait_lost([&](error_code) { destroy(); });
            });
            limit->async_acquire_permit(2, recording(behind));
            poll();
            if (which >= 2) {
                kept->reset();
                poll();
            }
            BOOST_TEST(called == 1);
            BOOST_TEST(ran.failed(asio::error::operation_aborted));
            BOOST_TEST(behind.calls == 1);
            behind.held.reset();
            poll();
        }
    }
}

BOOST_AUTO_TEST_CASE(handlers_of_run_and_close_may_destroy_the_client) {
    for (const bool by_close : {false, true}) {
        auto b = std::make_unique<model_client>(context.get_executor(), server);
        auto limit = std::make_unique<fleet_semaphore>(context, b->client, "y", 2);
        int called = 0;
        const auto destroy = [&](error_code ec) {
            BOOST_TEST(!ec);
            ++called;
            b.reset();
            limit.reset();
        };
        ended other, first;
        if (by_close)
            b->client.async_run(recording(other));
        else
            b->client.async_run(destroy);
        limit->async_acquire_permit(recording(first));
        poll();
        BOOST_TEST(first.granted());
        if (by_close)
            b->client.async_close(destroy);
        else
            b->client.async_close(recording(other));
        poll();
        BOOST_TEST(called == 1);
        BOOST_TEST(other.succeeded());
        BOOST_TEST(held("y") == 0);
    }
}

// Lazy operations.

BOOST_AUTO_TEST_CASE(a_lazy_acquire_of_a_destroyed_semaphore_is_aborted) {
    auto limit = std::make_unique<fleet_semaphore>(context, a.client, "x", 1);
    run_client();
    auto one = limit->async_acquire_permit(asio::deferred);
    auto none = limit->async_acquire_permit(0, asio::deferred);
    auto timed = limit->async_acquire_permit_for(1h, asio::deferred);
    auto tried = limit->async_acquire_permit_for(0s, asio::deferred);
    auto setting = limit->async_set_limit(2, asio::deferred);
    auto looking = limit->async_inspect(asio::deferred);
    limit.reset();
    std::array<ended, 6> all;
    std::move(one)(recording(all[0]));
    std::move(none)(recording(all[1]));
    std::move(timed)(recording(all[2]));
    std::move(tried)(recording(all[3]));
    std::move(setting)(recording(all[4]));
    std::move(looking)(recording(all[5]));
    for (const ended& e : all)
        BOOST_TEST(e.pending());
    poll();
    for (const ended& e : all)
        BOOST_TEST(e.failed(asio::error::operation_aborted));
}

BOOST_AUTO_TEST_CASE(a_lazy_acquire_follows_its_moved_semaphore) {
    auto limit = std::make_unique<fleet_semaphore>(context, a.client, "x", 1);
    run_client();
    auto one = limit->async_acquire_permit(asio::deferred);
    fleet_semaphore moved(std::move(*limit));
    auto late = limit->async_acquire_permit(asio::deferred);
    limit.reset();
    poll();
    BOOST_TEST(held() == 0);
    ended first, second;
    std::move(one)(recording(first));
    std::move(late)(recording(second));
    poll();
    BOOST_TEST(first.granted());
    BOOST_TEST(second.failed(error::closed));
}

BOOST_AUTO_TEST_CASE(an_operation_started_after_the_end_of_the_context_is_dropped) {
    for (const bool other_executor : {false, true}) {
        BOOST_TEST_CONTEXT("other executor " << other_executor) {
            server.rules = {};
            std::optional<asio::io_context> own(std::in_place);
            std::optional<model_client> b(std::in_place, own->get_executor(), server);
            std::optional<fleet_semaphore> limit(std::in_place, *own, b->client, "x", 3);
            b->client.async_run(asio::detached);
            ended first, second;
            limit->async_acquire_permit(recording(first));
            limit->async_acquire_permit(recording(second));
            own->poll();
            auto one = limit->async_acquire_permit(asio::deferred);
            auto none = limit->async_acquire_permit(0, asio::deferred);
            auto negative = limit->async_acquire_permit(-1, asio::deferred);
            auto timed = limit->async_acquire_permit_for(1h, asio::deferred);
            auto setting = limit->async_set_limit(2, asio::deferred);
            auto looking = limit->async_inspect(asio::deferred);
            auto running = b->client.async_run(asio::deferred);
            auto closing = b->client.async_close(asio::deferred);
            auto waiting = first.held.async_wait_lost(asio::deferred);
            auto releasing = first.held.async_release(asio::deferred);
            own.reset();
            std::array<ended, 12> all;
            const auto start = [&](auto& operation, ended& to) {
                // Only the handlers use the other executor.
                if (other_executor)
                    std::move(operation)(
                        asio::bind_executor(asio::make_strand(context), recording(to)));
                else
                    std::move(operation)(recording(to));
            };
            start(one, all[0]);
            start(none, all[1]);
            start(negative, all[2]);
            start(timed, all[3]);
            start(setting, all[4]);
            start(looking, all[5]);
            start(running, all[6]);
            start(closing, all[7]);
            start(waiting, all[8]);
            start(releasing, all[9]);
            if (other_executor) {
                second.held.async_wait_lost(
                    asio::bind_executor(asio::make_strand(context), recording(all[10])));
                second.held.async_release(
                    asio::bind_executor(asio::make_strand(context), recording(all[11])));
            } else {
                second.held.async_wait_lost(recording(all[10]));
                second.held.async_release(recording(all[11]));
            }
            poll();
            for (std::size_t i = 0; i < all.size(); ++i)
                BOOST_TEST_CONTEXT("operation " << i) BOOST_TEST(all[i].was_dropped());
        }
    }
}

BOOST_AUTO_TEST_CASE(a_permit_is_valid_until_its_lease_ends_whatever_was_destroyed) {
    fleet_permit held;
    {
        asio::io_context own;
        model_client b(own.get_executor(), server);
        fleet_semaphore limit(own, b.client, "x", 1, short_lease(200ms));
        b.client.async_run(asio::detached);
        ended first;
        limit.async_acquire_permit(recording(first));
        own.poll();
        held = std::move(first.held);
        BOOST_TEST(held.valid());
    }
    BOOST_TEST((held.remaining() <= 180ms));
    while (held.valid())
        std::this_thread::yield();
    BOOST_TEST((held.remaining() == 0ns));
    BOOST_TEST(bool(held));
    held.reset();
    BOOST_TEST(observer(server).sees_empty("x"));
}

BOOST_AUTO_TEST_CASE(a_permit_of_a_client_on_a_strand_outlives_the_context_too) {
    fleet_permit held;
    ended waited;
    {
        asio::io_context own;
        model_client b(asio::make_strand(own), server);
        fleet_semaphore limit(own, b.client, "x", 1);
        b.client.async_run(asio::detached);
        ended first;
        limit.async_acquire_permit(recording(first));
        own.poll();
        held = std::move(first.held);
    }
    held.async_wait_lost(recording(waited));
    BOOST_TEST(waited.was_dropped());
    BOOST_TEST(held.valid());
    held.reset();
}

// Contexts.

BOOST_AUTO_TEST_CASE(places_in_the_queue_are_given_back_when_their_context_ends) {
    run_client();
    fleet_semaphore holder(context, a.client, "x", 1);
    ended first, waits, timed;
    holder.async_acquire_permit(recording(first));
    poll();
    {
        std::optional<asio::io_context> own(std::in_place);
        fleet_semaphore limit(*own, a.client, "x", 1);
        limit.async_acquire_permit(recording(waits));
        limit.async_acquire_permit_for(1h, recording(timed));
        own->poll();
        poll();
        own->poll();
        BOOST_TEST(queued() == 2u);
        own.reset();
        poll();
        BOOST_TEST(queued() == 0u);
    }
    BOOST_TEST(waits.was_dropped());
    BOOST_TEST(timed.was_dropped());
    poll();
    BOOST_TEST(queued() == 0u);
    first.held.reset();
    poll();
    BOOST_TEST(held() == 0);
}

BOOST_AUTO_TEST_CASE(a_permit_on_its_way_to_a_context_that_ends_goes_back) {
    run_client();
    ended first;
    {
        asio::io_context own;
        fleet_semaphore limit(own, a.client, "x", 1);
        limit.async_acquire_permit(recording(first));
        poll();
        BOOST_TEST(held() == 1);
    }
    BOOST_TEST(first.was_dropped());
    poll();
    BOOST_TEST(held() == 0);
}

BOOST_AUTO_TEST_CASE(the_clients_context_may_end_before_the_semaphores) {
    ended ran, first, second, timed, setting, waited, late, tried, none, set, looked;
    std::optional<asio::io_context> own(std::in_place);
    std::optional<model_client> b(std::in_place, own->get_executor(), server);
    fleet_semaphore limit(context, b->client, "x", 1, short_lease());
    b->client.async_run(recording(ran));
    limit.async_acquire_permit(recording(first));
    limit.async_acquire_permit(recording(second));
    limit.async_acquire_permit_for(1h, recording(timed));
    own->poll();
    poll();
    BOOST_TEST(first.granted());
    first.held.async_wait_lost(asio::bind_executor(context, recording(waited)));
    limit.async_set_limit(2, recording(setting));
    own.reset();
    BOOST_TEST(ran.was_dropped());
    BOOST_TEST(waited.was_dropped());
    BOOST_TEST(!limit.is_open());
    poll();
    limit.async_acquire_permit(recording(late));
    limit.async_acquire_permit_for(0s, recording(tried));
    limit.async_acquire_permit(0, recording(none));
    limit.async_set_limit(2, recording(set));
    limit.async_inspect(recording(looked));
    poll();
    for (const ended* e : {&second, &timed, &setting, &late, &tried, &none, &set, &looked})
        BOOST_TEST(e->failed(error::closed));
    BOOST_TEST(limit.waiting() == 0u);
    first.held.reset();
    b.reset();
    BOOST_TEST(observer(server).sees_empty("x"));
}

BOOST_AUTO_TEST_CASE(
    the_clients_context_may_end_before_an_acquire_that_would_fail_when_unreachable) {
    fleet_options options;
    options.when_unreachable = fleet_options::unreachable::fail;
    std::optional<asio::io_context> own(std::in_place);
    model_client b(own->get_executor(), server);
    fleet_semaphore limit(context, b.client, "x", 1, options);
    b.client.async_run(asio::detached);
    own->poll();
    ended before, after;
    limit.async_acquire_permit(recording(before));
    own.reset();
    limit.async_acquire_permit(recording(after));
    poll();
    BOOST_TEST(before.failed(error::closed));
    BOOST_TEST(after.failed(error::closed));
}

// While an operation of one semaphore ends, that of another one ends, whose handler belongs to the
// client's context, because that context is destroyed.
BOOST_AUTO_TEST_CASE(an_executor_may_drop_a_handler_that_owns_the_clients_context) {
    auto own = std::make_unique<asio::io_context>();
    const auto executor = own->get_executor();
    support::ways how;
    model_client b(executor, server);
    basic_fleet_semaphore<support::wayward_executor> limit(
        support::wayward_executor(context, how), b.client, "x", 1);
    fleet_semaphore other(context, b.client, "y", 1);
    ended first, second, third;
    limit.async_acquire_permit([c = std::move(own)](error_code, fleet_permit) {});
    limit.async_acquire_permit(recording(first));
    other.async_acquire_permit(asio::bind_executor(executor, recording(second)));
    other.async_acquire_permit(recording(third));
    how.now = support::ways::way::drop;
    limit.cancel();
    poll();
    BOOST_TEST(first.was_dropped());
    BOOST_TEST(second.was_dropped());
    BOOST_TEST(third.failed(error::closed));
}

BOOST_AUTO_TEST_CASE(a_handler_for_the_clients_context_is_dropped_with_it) {
    std::optional<asio::io_context> own(std::in_place);
    model_client b(own->get_executor(), server);
    fleet_semaphore limit(context, b.client, "x", 1);
    ended plain, on_strand;
    limit.async_acquire_permit(asio::bind_executor(own->get_executor(), recording(plain)));
    limit.async_acquire_permit(asio::bind_executor(asio::make_strand(*own), recording(on_strand)));
    own.reset();
    BOOST_TEST(plain.was_dropped());
    BOOST_TEST(on_strand.was_dropped());
    poll();
}

BOOST_AUTO_TEST_CASE(a_destroyed_client_keeps_no_context_running) {
    fleet_options options;
    options.when_unreachable = fleet_options::unreachable::fail;
    options.unreachable_after = 1h;
    asio::io_context own;
    auto b = std::make_unique<model_client>(own.get_executor(), server);
    fleet_semaphore limit(context, b->client, "x", 1, options);
    b->client.async_run(asio::detached);
    ended first;
    limit.async_acquire_permit(recording(first));
    own.poll();
    poll();
    BOOST_TEST(first.granted());
    b->store.lock()->cut();
    own.poll();
    BOOST_TEST(!own.stopped());
    b.reset();
    own.restart();
    own.poll();
    BOOST_TEST(own.stopped());
}

BOOST_AUTO_TEST_CASE(contexts_client_semaphore_and_permit_may_be_destroyed_in_any_order) {
    std::array<int, 5> order{0, 1, 2, 3, 4};
    int n = 0;
    do {
        BOOST_TEST_INFO_SCOPE("order " << order[0] << order[1] << order[2] << order[3] << order[4]);
        ended ran, first, second, waited, timed, released, looked;
        {
            std::optional<asio::io_context> clients(std::in_place), own(std::in_place);
            std::optional<model_client> b(std::in_place, clients->get_executor(), server);
            std::optional<fleet_semaphore> limit(std::in_place, *own, b->client, "x", 2);
            b->client.async_run(recording(ran));
            limit->async_acquire_permit(recording(first));
            limit->async_acquire_permit(recording(released));
            limit->async_acquire_permit(recording(second));
            limit->async_acquire_permit_for(1h, recording(timed));
            clients->poll();
            own->poll();
            BOOST_TEST(first.granted());
            released.held.async_release(recording(looked));
            first.held.async_wait_lost(recording(waited));
            std::optional<fleet_permit> permit(std::move(first.held));
            for (const int what : order) {
                switch (what) {
                case 0:
                    clients.reset();
                    break;
                case 1:
                    own.reset();
                    break;
                case 2:
                    b.reset();
                    break;
                case 3:
                    limit.reset();
                    break;
                default:
                    permit.reset();
                }
                if (clients && n % 2 == 0)
                    support::poll(*clients);
                if (own && n % 3 == 0)
                    support::poll(*own);
            }
            ++n;
        }
        second.held.reset();
        timed.held.reset();
        for (const ended* e : {&ran, &second, &waited, &timed, &looked})
            BOOST_TEST(e->calls + e->dropped == 1);
        server.rules = {};
    } while (std::next_permutation(order.begin(), order.end()));
    BOOST_TEST(n == 120);
}

BOOST_AUTO_TEST_CASE(a_waiting_handler_may_own_its_semaphore_client_and_permits) {
    auto alive = std::make_shared<int>();
    {
        asio::io_context own;
        auto b = std::make_shared<model_client>(own.get_executor(), server);
        auto limit = std::make_shared<fleet_semaphore>(own, b->client, "x", 1);
        ended first;
        b->client.async_run([b, alive](error_code) { BOOST_ERROR("called"); });
        limit->async_acquire_permit(recording(first));
        own.poll();
        BOOST_TEST(first.granted());
        auto permit = std::make_shared<fleet_permit>(std::move(first.held));
        permit->async_wait_lost([permit, alive](error_code) { BOOST_ERROR("called"); });
        limit->async_acquire_permit(
            [limit, b, alive](error_code, fleet_permit) { BOOST_ERROR("called"); });
        own.poll();
    }
    BOOST_TEST(alive.use_count() == 1);
}

BOOST_AUTO_TEST_CASE(a_dying_handler_may_use_and_destroy_everything) {
    ended started, set, looked, ran, closed, waited, released;
    {
        std::optional<asio::io_context> dying(std::in_place);
        asio::io_context& own = *dying;
        auto b = std::make_unique<model_client>(own.get_executor(), server);
        auto limit = std::make_unique<fleet_semaphore>(own, b->client, "x", 1);
        ended first;
        b->client.async_run(asio::detached);
        limit->async_acquire_permit(recording(first));
        own.poll();
        limit->async_acquire_permit([at_exit = support::at_exit([&] {
                                         limit->async_acquire_permit(recording(started));
                                         limit->async_set_limit(3, recording(set));
                                         limit->async_inspect(recording(looked));
                                         b->client.async_run(recording(ran));
                                         b->client.async_close(recording(closed));
                                         first.held.async_wait_lost(recording(waited));
                                         first.held.async_release(recording(released));
                                         limit->cancel();
                                         limit->close();
                                         fleet_semaphore other(own, b->client, "y", 1);
                                         limit.reset();
                                         b.reset();
                                     })](error_code, fleet_permit) { BOOST_ERROR("called"); });
        own.poll();
        dying.reset();
    }
    for (const ended* e : {&started, &set, &looked, &ran, &closed, &waited, &released})
        BOOST_TEST(e->was_dropped());
}

BOOST_AUTO_TEST_CASE(a_dying_handler_may_construct_a_client_that_outlives_the_context) {
    std::optional<model_client> late;
    std::optional<fleet_semaphore> limit;
    ended ran, waits;
    {
        asio::io_context own;
        fleet_semaphore first(own, a.client, "x", 1);
        first.async_acquire_permit([at_exit = support::at_exit([&] {
                                        late.emplace(own.get_executor(), server);
                                        limit.emplace(own, late->client, "x", 1);
                                        late->client.async_run(recording(ran));
                                        limit->async_acquire_permit(recording(waits));
                                    })](error_code, fleet_permit) { BOOST_ERROR("called"); });
    }
    BOOST_TEST(ran.was_dropped());
    BOOST_TEST(waits.was_dropped());
    BOOST_TEST(!late->client.statistics().connected);
    late.reset();
}

BOOST_AUTO_TEST_CASE(a_pool_may_be_destroyed_while_operations_are_in_progress) {
    for (int i = 0; i < 20; ++i) {
        ended ran, first, second;
        {
            asio::thread_pool pool(2);
            model_client b(pool.get_executor(), server);
            fleet_semaphore limit(pool, b.client, "z", 1);
            b.client.async_run(recording(ran));
            limit.async_acquire_permit(recording(first));
            limit.async_acquire_permit_for(1h, recording(second));
            if (i % 2 == 0)
                std::this_thread::yield();
            pool.stop();
            pool.join();
        }
        BOOST_TEST(ran.calls + ran.dropped == 1);
        BOOST_TEST(first.calls + first.dropped == 1);
        BOOST_TEST(second.calls + second.dropped == 1);
        first.held.reset();
        second.held.reset();
        server.rules = {};
    }
}

// The line of a semaphore has a timer, and therefore copies of its executor.
BOOST_AUTO_TEST_CASE(the_last_executor_of_a_semaphore_is_destroyed_with_no_lock_held) {
    // On a thread of its own, which would have to wait if this thread held a lock.
    const auto asked = std::make_shared<std::promise<void>>();
    auto answer = asked->get_future();
    bool was_free = false;
    std::thread asks;
    ended first;
    {
        auto owned = std::make_shared<support::when_it_goes>();
        owned->call = [&] {
            asks = std::thread([&, asked] {
                static_cast<void>(a.client.statistics());
                asked->set_value();
            });
            was_free = answer.wait_for(10s) == std::future_status::ready;
        };
        basic_fleet_semaphore<support::owning_executor> limit(
            {context.get_executor(), std::move(owned)}, a.client, "x", 1);
        run_client();
        limit.async_acquire_permit_for(1h, asio::bind_executor(context, recording(first)));
        poll();
        BOOST_TEST(first.granted());
    }
    poll();
    first.held.reset();
    poll();
    BOOST_REQUIRE(asks.joinable());
    asks.join();
    BOOST_TEST(was_free);
}

namespace {

using asio_semaphore::detail::fleet::client_pointer;
using asio_semaphore::detail::fleet::client_state;

/// A client that never has a connection, and that has ended. The caller gets its last reference.
client_pointer
make_ended_client(const asio::any_io_executor& executor, const client_state::log_type& log) {
    struct no_store final : asio_semaphore::detail::fleet::store {
        void start(user&) override {}
        void stop() override {}
        void send(std::vector<asio_semaphore::detail::fleet::call>, std::uint64_t) override {}
        void set_shortest_lease(std::chrono::milliseconds) override {}
    };
    client_pointer made(
        new client_state(
            executor, [](const auto&, const std::string&) { return std::make_shared<no_store>(); },
            log),
        false);
    made->end();
    return made;
}

} // namespace

BOOST_AUTO_TEST_CASE(the_log_of_a_client_may_own_the_context) {
    auto own = std::make_shared<asio::io_context>();
    const std::weak_ptr<asio::io_context> watch = own;
    client_pointer last = make_ended_client(own->get_executor(), [own](std::string_view) {});
    own->run();
    own.reset();
    BOOST_TEST(!watch.expired());
    last.reset();
    BOOST_TEST(watch.expired());
}

BOOST_AUTO_TEST_CASE(another_thread_may_drop_the_last_of_a_client_while_its_context_is_destroyed) {
    support::slow_end end;
    client_pointer last = make_ended_client(end.make_executor(), nullptr);
    end.context->run();
    BOOST_TEST(end.destroy_both([&] { last.reset(); }));
}

BOOST_AUTO_TEST_SUITE_END()
