// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include "objects_world.hpp"

#include <support/allocators.hpp>
#include <support/executors.hpp>

#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>

#include <deque>
#include <functional>
#include <memory>
#include <vector>

// Executors, allocators and handlers that fail, contexts that end half-way, servers that cannot be
// reached, and very many waiting requests: no permit is held afterwards.

using namespace test;
using support::ways;
using support::wayward_executor;
using support::witness;

namespace {

struct fault_world : fleet_world {
    fleet_semaphore limit{context, a.client, "x", 1};
    ways how;
    basic_fleet_semaphore<wayward_executor> wayward{
        wayward_executor(context, how), a.client, "x", 1};

    fault_world() {
        run_client();
        poll();
    }
    fleet_permit take() {
        ended e;
        limit.async_acquire_permit(recording(e));
        poll();
        BOOST_REQUIRE(e.granted());
        return std::move(e.held);
    }
    bool is_empty() {
        poll();
        return held() == 0 && queued() == 0 && limit.waiting() == 0;
    }
};

using fragile = support::basic_fragile<recording>; // accepts all completion signatures

} // namespace

BOOST_FIXTURE_TEST_SUITE(fleet_objects_faults, fault_world)

BOOST_AUTO_TEST_CASE(F57_an_executor_that_fails_or_drops_at_a_grant_gives_the_permit_back) {
    for (const auto way : {ways::way::fail, ways::way::drop}) {
        BOOST_TEST_CONTEXT("way " << static_cast<int>(way)) {
            ended first, second, third, set, looked;
            auto held_now = take();
            wayward.async_acquire_permit(recording(first));
            wayward.async_acquire_permit_for(1h, recording(second));
            wayward.async_set_limit(1, recording(set));
            wayward.async_inspect(recording(looked));
            limit.async_acquire_permit(recording(third));
            how.now = way;
            poll();
            held_now.reset();
            poll();
            poll();
            for (const ended* e : {&first, &second, &set, &looked})
                BOOST_TEST(e->was_dropped());
            how.now = ways::way::pass_on;
            poll();
            BOOST_TEST(third.granted());
            third.held.reset();
            BOOST_TEST(is_empty());
        }
    }
}

BOOST_AUTO_TEST_CASE(an_executor_that_fails_at_every_other_end_leaves_nothing) {
    const auto held_now = take();
    asio::cancellation_signal signal;
    ended emitted, cancelled, closed, destroyed, waited;
    wayward.async_acquire_permit(asio::bind_cancellation_slot(signal.slot(), recording(emitted)));
    poll();
    how.now = ways::way::fail;
    BOOST_CHECK_NO_THROW(signal.emit(asio::cancellation_type::terminal));
    how.now = ways::way::pass_on;
    wayward.async_acquire_permit(recording(cancelled));
    how.now = ways::way::fail;
    BOOST_TEST(wayward.cancel() == 1u);
    {
        how.now = ways::way::pass_on;
        basic_fleet_semaphore<wayward_executor> dying(
            wayward_executor(context, how), a.client, "x", 1);
        dying.async_acquire_permit(recording(destroyed));
        poll();
        how.now = ways::way::fail;
    }
    how.now = ways::way::pass_on;
    wayward.async_acquire_permit(recording(closed));
    poll();
    how.now = ways::way::fail;
    wayward.close();
    BOOST_CHECK_THROW(wayward.async_acquire_permit(recording(waited)), support::executor_failure);
    for (const ended* e : {&emitted, &cancelled, &closed, &destroyed, &waited})
        BOOST_TEST(e->was_dropped());
    how.now = ways::way::pass_on;
    poll();
    BOOST_TEST(queued() == 0u);
    BOOST_TEST(held() == 1);
}

BOOST_AUTO_TEST_CASE(an_executor_that_fails_at_a_loss_or_an_answer_drops_only_that_handler) {
    auto held_now = take();
    ended waited, other, released;
    held_now.async_wait_lost(
        asio::bind_executor(wayward_executor(context, how), recording(waited)));
    held_now.async_wait_lost(recording(other));
    how.now = ways::way::fail;
    held_now.async_release(
        asio::bind_executor(wayward_executor(context, how), recording(released)));
    poll();
    BOOST_TEST(waited.was_dropped());
    BOOST_TEST(released.was_dropped());
    BOOST_TEST(other.failed(asio::error::operation_aborted));
    BOOST_TEST(is_empty());
}

BOOST_AUTO_TEST_CASE(F57_an_allocator_that_fails_leaves_nothing_queued_and_loses_no_permit) {
    for (int n = 0; n < 2; ++n) {
        support::memory_book book;
        const auto bound = [&](ended& e) {
            return asio::bind_allocator(support::counting_allocator<>(book), recording(e));
        };
        ended one, timed, set, looked, waited, released;
        auto held_now = take();
        book.left = 0;
        BOOST_CHECK_THROW(limit.async_acquire_permit(bound(one)), std::bad_alloc);
        BOOST_CHECK_THROW(limit.async_acquire_permit_for(1h, bound(timed)), std::bad_alloc);
        BOOST_CHECK_THROW(limit.async_set_limit(1, bound(set)), std::bad_alloc);
        BOOST_CHECK_THROW(limit.async_inspect(bound(looked)), std::bad_alloc);
        BOOST_CHECK_THROW(held_now.async_wait_lost(bound(waited)), std::bad_alloc);
        BOOST_CHECK_THROW(held_now.async_release(bound(released)), std::bad_alloc);
        BOOST_TEST(!held_now);
        for (const ended* e : {&one, &timed, &set, &looked, &waited, &released})
            BOOST_TEST(e->was_dropped());
        BOOST_TEST(book.live() == 0);
        BOOST_TEST(is_empty());
    }
}

BOOST_AUTO_TEST_CASE(F57_a_handler_move_that_throws_anywhere_leaves_nothing) {
    using start = std::function<void(fleet_permit&, ended&, int&)>;
    const start all[] = {
        [&](fleet_permit&, ended& e, int& left) { limit.async_acquire_permit(fragile(e, left)); },
        [&](fleet_permit&, ended& e, int& left) {
            limit.async_acquire_permit_for(1h, fragile(e, left));
        },
        [&](fleet_permit&, ended& e, int& left) {
            limit.async_acquire_permit_for(0s, fragile(e, left));
        },
        [&](fleet_permit&, ended& e, int& left) { limit.async_set_limit(1, fragile(e, left)); },
        [&](fleet_permit&, ended& e, int& left) { limit.async_inspect(fragile(e, left)); },
        [&](fleet_permit& p, ended& e, int& left) { p.async_wait_lost(fragile(e, left)); },
        [&](fleet_permit& p, ended& e, int& left) { p.async_release(fragile(e, left)); },
        [&](fleet_permit&, ended& e, int& left) { wayward.async_acquire_permit(fragile(e, left)); },
    };
    int failures = 0;
    for (std::size_t i = 0; i < std::size(all); ++i) {
        for (const bool is_late : {false, true}) {
            for (int allowed = 0;; ++allowed) {
                BOOST_TEST_INFO_SCOPE("operation " << i << ", moves " << allowed << is_late);
                auto held_now = take();
                ended e;
                int left = is_late ? -1 : allowed;
                bool failed = false;
                try {
                    all[i](held_now, e, left);
                } catch (const support::move_failure&) {
                    failed = true;
                }
                left = is_late ? allowed : -1;
                const auto step = [&] {
                    for (bool again = true; again;) {
                        again = false;
                        try {
                            poll();
                        } catch (const support::move_failure&) {
                            failed = again = true;
                        }
                    }
                };
                step();
                held_now.reset();
                step();
                left = -1;
                step();
                BOOST_TEST((failed ? e.was_dropped() : e.calls == 1));
                failures += failed;
                e.held.reset();
                BOOST_TEST(is_empty());
                if (!failed)
                    break;
            }
        }
    }
    BOOST_TEST(failures > 16);
}

BOOST_AUTO_TEST_CASE(a_handler_that_throws_leaves_everything_usable) {
    struct thrown {};
    limit.async_acquire_permit([](error_code, fleet_permit) { throw thrown(); });
    BOOST_CHECK_THROW(
        {
            for (int i = 0; i < 9; ++i)
                poll();
        },
        thrown);
    BOOST_TEST(is_empty());
    auto held_now = take();
    held_now.async_wait_lost([](error_code) { throw thrown(); });
    BOOST_CHECK_THROW((held_now.reset(), poll()), thrown);
    BOOST_TEST(is_empty());
}

BOOST_AUTO_TEST_CASE(an_executor_that_runs_inline_does_not_grow_the_stack_nor_hold_a_lock) {
    int calls = 0, depth = 0, deepest = 0;
    auto held_now = take();
    for (int i = 0; i < 2000; ++i)
        wayward.async_acquire_permit([&](error_code ec, fleet_permit p) {
            calls += !ec;
            deepest = std::max(deepest, ++depth);
            p.reset();
            wayward.waiting();
            wayward.statistics();
            --depth;
        });
    how.now = ways::way::run_inline;
    held_now.reset();
    BOOST_TEST(poll_until([&] { return calls == 2000; }));
    BOOST_TEST(deepest == 1);
    BOOST_TEST(is_empty());
}

BOOST_AUTO_TEST_CASE(
    a_request_granted_with_another_whose_handler_cancels_it_gives_the_permit_back) {
    basic_fleet_semaphore<wayward_executor> two(wayward_executor(context, how), a.client, "y", 2);
    fleet_permit held_now;
    ended second;
    two.async_acquire_permit([&](error_code ec, fleet_permit p) {
        BOOST_TEST(!ec);
        held_now = std::move(p);
        two.cancel(); // the server has granted both, in one answer
    });
    two.async_acquire_permit(recording(second));
    how.now = ways::way::run_inline;
    poll();
    BOOST_TEST(second.failed(asio::error::operation_aborted));
    BOOST_TEST(held_now.valid());
    BOOST_TEST(held("y") == 1);
}

// F54.

BOOST_AUTO_TEST_CASE(very_many_requests_wait_in_the_client_and_few_of_them_in_the_server) {
    constexpr int many = 100'000;
    auto held_now = take();
    std::vector<ended> all(many);
    for (ended& e : all)
        limit.async_acquire_permit(recording(e));
    BOOST_TEST(limit.waiting() == static_cast<std::size_t>(many));
    poll();
    BOOST_TEST(queued() == 64u);
    BOOST_TEST(limit.waiting() == static_cast<std::size_t>(many));
    held_now.reset();
    poll();
    BOOST_TEST(all[0].granted());
    BOOST_TEST(queued() == 64u);
    const auto start = std::chrono::steady_clock::now();
    BOOST_TEST(limit.cancel() == static_cast<std::size_t>(many - 1));
    BOOST_TEST((std::chrono::steady_clock::now() - start < 10s)); // not quadratic
    poll();
    int aborted = 0;
    for (const ended& e : all)
        aborted += e.failed(asio::error::operation_aborted);
    BOOST_TEST(aborted == many - 1);
    BOOST_TEST(queued() == 0u);
    all[0].held.reset();
    BOOST_TEST(is_empty());
    BOOST_TEST(limit.statistics().cancelled == static_cast<std::uint64_t>(many - 1));
}

BOOST_AUTO_TEST_CASE(very_many_requests_are_served_in_their_order) {
    constexpr int many = 400;
    int next = 0, wrong = 0;
    for (int i = 0; i < many; ++i)
        limit.async_acquire_permit(
            [&, i](error_code ec, fleet_permit) { wrong += ec || i != next++; });
    BOOST_TEST(poll_until([&] { return next == many; }));
    BOOST_TEST(wrong == 0);
    BOOST_TEST(is_empty());
}

// Options.

BOOST_AUTO_TEST_CASE(no_more_requests_wait_than_max_waiting) {
    fleet_options options;
    options.max_waiting = 2;
    fleet_semaphore mine(context, a.client, "y", 1, options);
    ended first, second, third, tried;
    mine.async_acquire_permit(recording(first));
    poll();
    BOOST_TEST(first.granted());
    mine.async_acquire_permit(recording(second));
    mine.async_acquire_permit(recording(third));
    ended fourth, none;
    mine.async_acquire_permit(recording(fourth));
    mine.async_acquire_permit(0, recording(none));
    mine.async_acquire_permit_for(0s, recording(tried));
    poll();
    BOOST_TEST(fourth.failed(error::queue_full));
    BOOST_TEST(none.succeeded());
    BOOST_TEST(tried.failed(asio::error::timed_out));
    BOOST_TEST(mine.waiting() == 2u);
    BOOST_TEST(mine.statistics().failed == 1u);
    first.held.reset();
    poll();
    BOOST_TEST(second.granted());
    ended fifth;
    mine.async_acquire_permit(recording(fifth));
    poll();
    BOOST_TEST(fifth.pending());
}

BOOST_AUTO_TEST_CASE(while_the_server_is_unreachable_requests_fail_if_the_options_say_so) {
    fleet_options options = short_lease(10s);
    options.when_unreachable = fleet_options::unreachable::fail;
    options.unreachable_after = 50ms;
    fleet_semaphore mine(context, a.client, "y", 1, options);
    ended first, second, timed, set, looked, at_once, waited, tried;
    mine.async_acquire_permit(recording(first));
    mine.async_acquire_permit(recording(second));
    poll();
    BOOST_TEST(first.granted());
    first.held.async_wait_lost(recording(waited));
    const auto start = std::chrono::steady_clock::now();
    a.store.lock()->cut();
    poll();
    mine.async_acquire_permit_for(1h, recording(timed));
    mine.async_set_limit(2, recording(set));
    mine.async_inspect(recording(looked));
    BOOST_TEST(poll_until([&] { return !second.pending() && !looked.pending(); }));
    BOOST_TEST((std::chrono::steady_clock::now() - start >= 50ms));
    poll();
    for (const ended* e : {&second, &timed, &set, &looked})
        BOOST_TEST(e->failed(fleet_error::unreachable));
    mine.async_acquire_permit(recording(at_once));
    mine.async_acquire_permit_for(0s, recording(tried));
    poll();
    BOOST_TEST(at_once.failed(fleet_error::unreachable));
    BOOST_TEST(tried.failed(asio::error::timed_out));
    BOOST_TEST(first.held.valid());
    BOOST_TEST(waited.pending());
    a.store.lock()->reconnect();
    poll();
    ended back;
    mine.async_acquire_permit(recording(back));
    poll();
    BOOST_TEST(back.pending());
    first.held.reset();
    poll();
    BOOST_TEST(back.granted());
    BOOST_TEST(held("y") == 1);
}

BOOST_AUTO_TEST_CASE(a_server_that_refuses_the_client_rejects_its_requests) {
    auto held_now = take();
    ended queued, asks;
    limit.async_acquire_permit(recording(queued));
    poll();
    server.holds_replies = true;
    limit.async_acquire_permit(recording(asks));
    poll();
    a.store.lock()->cut(make_error_code(boost::system::errc::permission_denied));
    poll();
    BOOST_TEST(asks.failed(fleet_error::rejected));
    BOOST_TEST(queued.pending());
    server.holds_replies = false;
    a.store.lock()->reconnect();
    poll();
    held_now.reset();
    poll();
    BOOST_TEST(queued.granted());
}

BOOST_AUTO_TEST_CASE(a_client_that_never_connects_counts_from_its_start) {
    server.is_up = false;
    model_client b(context.get_executor(), server);
    fleet_options options;
    options.when_unreachable = fleet_options::unreachable::fail;
    options.unreachable_after = 20ms;
    fleet_semaphore mine(context, b.client, "y", 1, options);
    ended first;
    mine.async_acquire_permit(recording(first));
    asio::steady_timer later(context, 40ms);
    bool is_over = false;
    later.async_wait([&](error_code) { is_over = true; });
    BOOST_TEST(poll_until([&] { return is_over; }));
    BOOST_TEST(first.pending()); // the client does not run yet
    b.client.async_run(asio::detached);
    BOOST_TEST(poll_until([&] { return !first.pending(); }));
    BOOST_TEST(first.failed(fleet_error::unreachable));
}

BOOST_AUTO_TEST_CASE(while_the_server_is_unreachable_some_requests_are_admitted_locally) {
    fleet_options options;
    options.when_unreachable = fleet_options::unreachable::admit_locally;
    options.unreachable_after = 20ms;
    options.local_permits = 2;
    fleet_semaphore mine(context, a.client, "y", 1, options);
    a.store.lock()->cut();
    poll();
    std::vector<ended> all(3);
    for (ended& e : all)
        mine.async_acquire_permit(recording(e));
    BOOST_TEST(poll_until([&] { return !all[1].pending(); }));
    for (int i = 0; i < 2; ++i) {
        const auto& e = all[static_cast<std::size_t>(i)];
        BOOST_TEST(e.granted());
        BOOST_TEST(e.held.local());
        BOOST_TEST(e.held.valid());
        BOOST_TEST(e.held.fencing() == 0u);
        BOOST_TEST((e.held.remaining() == std::chrono::nanoseconds::max()));
    }
    BOOST_TEST(all[2].pending());
    ended waited, released, fourth, fifth;
    all[0].held.async_wait_lost(recording(waited));
    all[0].held.async_release(recording(released));
    poll();
    BOOST_TEST(waited.failed(asio::error::operation_aborted));
    BOOST_TEST(released.succeeded());
    BOOST_TEST(all[2].granted());
    BOOST_TEST(all[2].held.local());
    all[2].held.reset();
    mine.async_acquire_permit(recording(fourth)); // granted at once
    poll();
    BOOST_TEST(fourth.granted());
    mine.async_acquire_permit(recording(fifth));
    poll();
    BOOST_TEST(fifth.pending());
    a.store.lock()->reconnect();
    poll();
    BOOST_TEST(fifth.granted());
    BOOST_TEST(!fifth.held.local());
    BOOST_TEST(fifth.held.fencing() > 0u);
    BOOST_TEST(fourth.held.valid());
    ended closed;
    a.client.async_close(recording(closed));
    poll();
    BOOST_TEST(closed.succeeded());
    BOOST_TEST(!fourth.held.valid());
}

BOOST_AUTO_TEST_CASE(objects_of_one_name_share_a_queue_and_end_separately) {
    auto one = std::make_unique<fleet_semaphore>(context, a.client, "x", 1);
    auto held_now = take();
    ended first, second, third;
    one->async_acquire_permit(recording(first));
    limit.async_acquire_permit(recording(second));
    one->async_acquire_permit(recording(third));
    poll();
    BOOST_TEST(limit.waiting() == 3u);
    BOOST_TEST(one->cancel() == 2u);
    poll();
    BOOST_TEST(first.failed(asio::error::operation_aborted));
    BOOST_TEST(second.pending());
    one->close();
    BOOST_TEST(!one->is_open());
    BOOST_TEST(limit.is_open());
    one.reset();
    held_now.reset();
    poll();
    BOOST_TEST(second.granted());
}

BOOST_AUTO_TEST_CASE(a_name_can_be_used_anew_once_its_limit_is_forgotten) {
    fleet_options options = short_lease(5s);
    for (int i = 0; i < 3; ++i) {
        fleet_semaphore mine(context, a.client, "y", 1, options);
        ended first;
        mine.async_acquire_permit(recording(first));
        poll();
        BOOST_TEST(first.granted());
        first.held.reset();
        poll();
        options.lease += 1s;
    }
}

BOOST_AUTO_TEST_CASE(
    async_run_may_be_cancelled_and_started_again_while_permits_are_held_and_wanted) {
    model_client b(context.get_executor(), server);
    fleet_semaphore mine(context, b.client, "y", 1, short_lease(10s));
    ended first, second;
    mine.async_acquire_permit(recording(first));
    mine.async_acquire_permit(recording(second));
    for (int i = 0; i < 4; ++i) {
        asio::cancellation_signal signal;
        ended ran;
        b.client.async_run(asio::bind_cancellation_slot(signal.slot(), recording(ran)));
        server.holds_replies = i == 1;
        poll();
        if (i < 3)
            BOOST_TEST(first.granted());
        if (i == 2)
            first.held.reset(); // its release may be in flight
        signal.emit(asio::cancellation_type::terminal);
        server.holds_replies = false;
        poll();
        BOOST_TEST(ran.failed(asio::error::operation_aborted));
        BOOST_TEST(!b.client.statistics().connected);
    }
    b.client.async_run(asio::detached);
    poll();
    BOOST_TEST(second.granted());
    second.held.reset();
    poll();
    BOOST_TEST(held("y") == 0);
}

// A session whose context is destroyed after its first, second, ... handler.

enum class owner { program, handlers, midway };

int run_and_destroy(int k, owner o, int where) {
    model_server server;
    int ran = 0;
    {
        std::optional<asio::io_context> clients(std::in_place), own(std::in_place);
        asio::io_context* const context_of_client = where == 0 ? &*own : &*clients;
        auto client = std::make_shared<model_client>(context_of_client->get_executor(), server);
        auto limit =
            std::make_shared<fleet_semaphore>(*own, client->client, "x", 2, short_lease(60ms));
        std::deque<asio::cancellation_signal> signals;
        std::vector<fleet_permit> kept;
        const std::weak_ptr<fleet_semaphore> weak = limit;
        const auto carried = [&] {
            auto both = std::make_shared<
                std::pair<std::shared_ptr<model_client>, std::shared_ptr<fleet_semaphore>>>(
                client, limit);
            return witness(o == owner::handlers ? both : nullptr);
        };
        int over = 0;
        const auto bare = [&] {
            return asio::bind_cancellation_slot(
                signals.emplace_back().slot(), [&over, w = carried()](auto&&...) { ++over; });
        };
        const auto owned = [&] {
            return asio::bind_cancellation_slot(
                signals.emplace_back().slot(), [&, w = carried()](error_code, fleet_permit p) {
                    ++over;
                    if (!p)
                        return;
                    p.async_wait_lost([&over, v = w](error_code) { ++over; });
                    if (over % 3 == 0)
                        p.async_release([&over, v = w](error_code) { ++over; });
                    else if (over % 3 == 1)
                        kept.push_back(std::move(p));
                });
        };
        client->client.async_run(bare());
        for (int round = 0; round < 2; ++round) {
            limit->async_acquire_permit(owned());
            limit->async_acquire_permit(2, owned());
            limit->async_acquire_permit_for(1h, owned());
            limit->async_acquire_permit_for(0s, owned());
            limit->async_acquire_permit(0, owned());
            limit->async_acquire_permit(3, owned());
            limit->async_inspect(bare());
            limit->async_set_limit(2, bare());
            asio::steady_timer(*own).async_wait(asio_semaphore::with_permit(*limit, bare()));
        }
        for (int i = 0; i < 24; ++i) // lets time pass
            asio::post(*own, [&, i, w = carried()] {
                if (i % 6 == 5)
                    kept.clear();
                if (i == 4)
                    for (std::size_t j = 1; j < signals.size(); j += 4)
                        signals[j].emit(asio::cancellation_type::total);
                if (i == 16 && o == owner::midway) {
                    client.reset();
                    limit.reset();
                }
                if (i == 12 && client)
                    client->client.async_run(bare());
                if (i == 20 && client)
                    client->client.async_close(bare());
                if (const auto s = weak.lock(); s && i == 22)
                    s->cancel();
            });
        if (o == owner::handlers) {
            client.reset();
            limit.reset();
        }
        const auto step = [&](std::optional<asio::io_context>& c) {
            if (!c)
                return false;
            c->restart();
            const bool more = c->poll_one() != 0;
            ran += more;
            return more;
        };
        while (ran < k && (ran % 2 ? step(own) || step(clients) : step(clients) || step(own))) {
        }
        const int counted = ran;
        const int over_then = over;
        if (where == 2) {
            clients.reset();
            for (int i = 0; i < 1000 && step(own); ++i) {
            }
        }
        const int before = over;
        own.reset();
        if (where == 3)
            for (int i = 0; i < 1000 && step(clients); ++i) {
            }
        clients.reset();
        if (where != 3)
            BOOST_TEST(over == before);
        BOOST_TEST(over_then <= over);
        ran = counted;
    }
    BOOST_REQUIRE(witness::alive == 0);
    if (k % 16 == 0)
        BOOST_TEST(observer(server).sees_empty("x"));
    return ran;
}

BOOST_AUTO_TEST_CASE(F58_a_context_may_end_after_every_handler_of_a_session) {
    int most = 0;
    for (const owner o : {owner::program, owner::handlers, owner::midway}) {
        for (int where = 0; where < 4; ++where) {
            for (int k = 0; k < 400; ++k) {
                BOOST_TEST_INFO_SCOPE(
                    "after " << k << ", owner " << static_cast<int>(o) << ", where " << where);
                const int ran = run_and_destroy(k, o, where);
                most = std::max(most, ran);
                if (ran < k)
                    break;
            }
        }
    }
    BOOST_TEST(most > 40);
    BOOST_TEST_MESSAGE(most << " handlers");
}

BOOST_AUTO_TEST_SUITE_END()
