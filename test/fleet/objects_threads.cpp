// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include "objects_world.hpp"

#include <support/seed.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>

#include <atomic>
#include <future>
#include <memory>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

// The fleet's objects, used by several threads and contexts at the same time, for ThreadSanitizer.

using namespace test;

namespace {

/// A context with threads of its own.
class runner {
public:
    explicit runner(int threads = 1) : guard_(context.get_executor()) {
        for (int i = 0; i < threads; ++i)
            threads_.emplace_back([this] { context.run(); });
    }
    ~runner() { stop(); }

    /// Waits until all work has ended.
    void join() {
        guard_.reset();
        for (auto& t : threads_)
            t.join();
        threads_.clear();
    }
    void stop() {
        context.stop();
        join();
    }

    asio::io_context context;

private:
    asio::executor_work_guard<asio::io_context::executor_type> guard_;
    std::vector<std::thread> threads_;
};

/// A client on a thread of its own.
struct running_client {
    explicit running_client(model_server& server) : own(server, where.context) {}

    runner where;
    struct client_of {
        client_of(model_server& server, asio::io_context& context) :
            it(context.get_executor(), server) {
            it.client.async_run(asio::detached);
        }
        model_client it;
    } own;

    asio_semaphore::fleet_client& client() { return own.it.client; }
    void close() { client().async_close(asio::use_future).get(); }
};

/// Counts the permits held, and the most held at the same time.
struct inside {
    std::atomic<int> now{0}, most{0};

    void enter(int n) {
        const int seen = now += n;
        for (int m = most; m < seen && !most.compare_exchange_weak(m, seen);) {
        }
    }
    void leave(int n) { now -= n; }
};

} // namespace

BOOST_AUTO_TEST_SUITE(fleet_objects_threads)

BOOST_AUTO_TEST_CASE(many_threads_share_a_limit_and_nothing_is_left_at_the_end) {
    const auto seed = test::seed();
    model_server server;
    running_client a(server), b(server);
    constexpr int limit = 3;
    inside holders;
    std::atomic<int> ended{0};
    int started = 0;
    {
        runner pool(2);
        fleet_semaphore of_a(pool.context, a.client(), "x", limit);
        fleet_semaphore of_b(pool.context, b.client(), "x", limit);
        std::vector<std::thread> threads;
        constexpr int rounds = 200;
        for (unsigned t = 0; t < 3; ++t)
            threads.emplace_back([&, t] {
                std::minstd_rand random(seed + t);
                for (int i = 0; i < rounds; ++i) {
                    fleet_semaphore& s = random() % 2 ? of_a : of_b;
                    const int n = 1 + static_cast<int>(random() % limit);
                    const auto handler = [&, n](error_code ec, fleet_permit p) {
                        ++ended;
                        if (ec)
                            return;
                        holders.enter(n);
                        p.async_wait_lost([](error_code) {});
                        asio::post(pool.context, [&, n, q = std::move(p)]() mutable {
                            q.valid();
                            holders.leave(n);
                            if (n == 1)
                                q.async_release(asio::detached);
                        });
                    };
                    asio::cancellation_signal signal;
                    const auto strand = asio::make_strand(pool.context);
                    switch (random() % 5) {
                    case 0:
                        s.async_acquire_permit_for(1ms, n, handler);
                        break;
                    case 1:
                        s.async_acquire_permit_for(0s, n, handler);
                        break;
                    case 2:
                        s.async_acquire_permit(
                            n, asio::bind_cancellation_slot(signal.slot(), handler));
                        signal.emit(asio::cancellation_type::terminal);
                        break;
                    case 3:
                        s.async_acquire_permit(n, asio::bind_executor(strand, handler));
                        break;
                    default:
                        s.async_acquire_permit(n, handler);
                    }
                    if (random() % 16 == 0)
                        s.cancel();
                    if (random() % 8 == 0)
                        s.async_inspect([](error_code, fleet_status) {});
                    s.statistics();
                    s.waiting();
                }
            });
        for (auto& t : threads)
            t.join();
        started = 3 * rounds;
        while (ended != started)
            std::this_thread::yield();
        pool.join();
    }
    BOOST_TEST(ended == started);
    BOOST_TEST(holders.now == 0);
    BOOST_TEST(holders.most > 0);
    BOOST_TEST(holders.most <= limit);
    a.close();
    b.close();
    BOOST_TEST(server.look_at("x").held == 0);
    BOOST_TEST(server.look_at("x").waiting == 0u);
}

BOOST_AUTO_TEST_CASE(a_client_may_run_stop_and_lose_its_connection_while_others_use_it) {
    model_server server;
    runner clients(2), pool(2);
    auto b = std::make_unique<model_client>(asio::make_strand(clients.context), server);
    auto limit = std::make_unique<fleet_semaphore>(pool.context, b->client, "x", 2);
    std::atomic<int> ended{0};
    std::atomic<bool> is_over{false};
    std::thread disturber([&] {
        while (!is_over) {
            asio::cancellation_signal signal;
            std::promise<void> done;
            b->client.async_run(
                asio::bind_cancellation_slot(signal.slot(), [&](error_code) { done.set_value(); }));
            if (const auto store = b->store.lock()) {
                store->cut();
                store->reconnect();
            }
            b->client.statistics();
            signal.emit(asio::cancellation_type::terminal);
            done.get_future().get();
        }
        b->client.async_run(asio::detached);
    });
    constexpr int many = 300;
    std::thread user([&] {
        for (int i = 0; i < many; ++i)
            limit->async_acquire_permit([&](error_code, fleet_permit p) {
                ++ended;
                p.async_wait_lost(asio::detached);
            });
    });
    user.join();
    for (int i = 0; i < 200'000 && ended < many; ++i)
        std::this_thread::yield();
    is_over = true;
    disturber.join();
    while (ended != many)
        std::this_thread::yield();
    b->client.async_close(asio::use_future).get();
    BOOST_TEST(server.look_at("x").held == 0);
    limit.reset();
    b.reset();
}

BOOST_AUTO_TEST_CASE(a_client_may_die_while_others_acquire_wait_and_give_back) {
    for (int round = 0; round < 30; ++round) {
        model_server server;
        runner clients, pool(2);
        auto b = std::make_unique<model_client>(clients.context.get_executor(), server);
        b->client.async_run(asio::detached);
        fleet_semaphore limit(pool.context, b->client, "x", 2);
        constexpr int many = 60;
        std::atomic<int> ended{0}, waited{0}, released{0}, to_wait{0}, to_release{0};
        std::atomic<bool> goes{false};
        std::thread user([&] {
            goes = true;
            for (int i = 0; i < many; ++i) {
                limit.async_acquire_permit([&, i](error_code, fleet_permit p) {
                    if (p) {
                        ++to_wait;
                        p.async_wait_lost([&](error_code) { ++waited; });
                        if (i % 2) {
                            ++to_release;
                            p.async_release([&](error_code) { ++released; });
                        }
                    }
                    ++ended;
                });
                limit.is_open();
                limit.limit();
            }
        });
        while (!goes)
            std::this_thread::yield();
        for (int i = 0; i < round; ++i)
            std::this_thread::yield();
        b.reset();
        user.join();
        while (ended != many || waited != to_wait || released != to_release)
            std::this_thread::yield();
        BOOST_TEST(!limit.is_open());
    }
}

BOOST_AUTO_TEST_CASE(contexts_may_end_while_other_threads_give_back_cancel_and_emit) {
    for (int round = 0; round < 30; ++round) {
        model_server server;
        runner pool;
        std::optional<runner> clients(std::in_place);
        model_client b(clients->context.get_executor(), server);
        b.client.async_run(asio::detached);
        fleet_semaphore limit(pool.context, b.client, "x", 2);
        fleet_permit held = limit.async_acquire_permit(asio::use_future).get();
        fleet_permit other = limit.async_acquire_permit(asio::use_future).get();
        std::vector<std::unique_ptr<asio::cancellation_signal>> signals;
        std::atomic<int> ended{0};
        for (int i = 0; i < 20; ++i) {
            signals.push_back(std::make_unique<asio::cancellation_signal>());
            limit.async_acquire_permit(asio::bind_cancellation_slot(
                signals.back()->slot(), [&](error_code, fleet_permit) { ++ended; }));
        }
        std::atomic<int> ready{0};
        std::thread user([&] {
            ++ready;
            held.reset();
            for (int i = 0; i < 10; ++i)
                signals[static_cast<std::size_t>(i)]->emit(asio::cancellation_type::terminal);
            other.reset();
            limit.cancel();
            limit.statistics();
        });
        while (ready == 0)
            std::this_thread::yield();
        for (int i = 0; i < round; ++i)
            std::this_thread::yield();
        clients.reset();
        user.join();
        while (ended != 20)
            std::this_thread::yield();
        BOOST_TEST(limit.waiting() == 0u);
    }
}

BOOST_AUTO_TEST_CASE(a_semaphores_context_may_end_while_its_client_grants) {
    model_server server;
    running_client a(server);
    for (int round = 0; round < 30; ++round) {
        std::optional<asio::io_context> own(std::in_place);
        fleet_semaphore limit(*own, a.client(), "x", 1);
        for (int i = 0; i < 10; ++i)
            limit.async_acquire_permit([](error_code, fleet_permit) {});
        for (int i = 0; i < round; ++i)
            std::this_thread::yield();
        if (round % 2)
            own->poll();
        own.reset();
    }
    a.close();
    BOOST_TEST(server.look_at("x").held == 0);
    BOOST_TEST(server.look_at("x").waiting == 0u);
}

BOOST_AUTO_TEST_CASE(any_thread_may_check_a_permit_while_it_is_renewed_and_lost) {
    model_server server;
    running_client a(server);
    runner pool;
    fleet_semaphore limit(pool.context, a.client(), "x", 1, short_lease());
    fleet_permit held = limit.async_acquire_permit(asio::use_future).get();
    std::atomic<bool> is_over{false};
    std::atomic<int> revived{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; ++i)
        threads.emplace_back([&] {
            bool was_valid = true;
            while (!is_over) {
                const bool is_valid = held.valid();
                revived += is_valid && !was_valid;
                was_valid = is_valid;
                held.remaining();
                held.fencing();
                held.count();
                held.local();
            }
        });
    std::promise<error_code> lost;
    held.async_wait_lost([&](error_code ec) { lost.set_value(ec); });
    while (limit.statistics().renewals < 4)
        std::this_thread::yield();
    a.own.it.store.lock()->cut();
    BOOST_TEST((lost.get_future().get() == fleet_error::lost));
    is_over = true;
    for (auto& t : threads)
        t.join();
    BOOST_TEST(revived == 0); // once invalid, a permit stays invalid
    BOOST_TEST(!held.valid());
    held.reset();
    a.own.it.store.lock()->reconnect();
    a.close();
    BOOST_TEST(observer(server).sees_empty("x"));
}

BOOST_AUTO_TEST_SUITE_END()
