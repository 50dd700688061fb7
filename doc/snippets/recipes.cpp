// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore.hpp>

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>
#include <version>

#ifdef __cpp_lib_jthread
#include <stop_token>
#endif

namespace {

namespace asio = boost::asio;
using asio::awaitable;
using asio::use_awaitable;
using asio_semaphore::admission;
using asio_semaphore::async_semaphore;
using asio_semaphore::key_of;
using asio_semaphore::limiter;
using asio_semaphore::permit;
using boost::system::error_code;
using namespace std::chrono_literals;

template <typename Coroutine>
void start_on(const asio::any_io_executor& executor, Coroutine coroutine) {
    asio::co_spawn(executor, std::move(coroutine), [](std::exception_ptr e) {
        if (e)
            std::rethrow_exception(e);
    });
}

struct fixture {
    asio::io_context context;

    template <typename Coroutine>
    void start(Coroutine coroutine) {
        start_on(context.get_executor(), std::move(coroutine));
    }
};

/// How many requests of each client run, and how many ran at most.
std::map<std::string, int> running, most;

awaitable<void> work(const std::string& client) {
    most[client] = std::max(most[client], ++running[client]);
    co_await asio::post(use_awaitable);
    --running[client];
}

//! [per_client]
awaitable<void> request(limiter& clients, std::string client) {
    admission place = co_await clients.async_admit({.key = key_of(client)}, use_awaitable);
    co_await work(client);
    place.finish();
}
//! [per_client]

//! [queue]
/// Holds at most `capacity` items: push waits for room, pop waits for an item.
template <typename T>
class bounded_queue {
public:
    bounded_queue(const asio::any_io_executor& executor, std::ptrdiff_t capacity) :
        room_(executor, capacity, capacity), items_(executor, 0, capacity) {}

    awaitable<void> push(T item) {
        permit room = co_await room_.async_acquire_permit(use_awaitable);
        {
            const std::lock_guard lock(mutex_);
            queue_.push_back(std::move(item)); // if it throws, the room is free again
        }
        room.forget();
        items_.release();
    }

    awaitable<T> pop() {
        permit taken = co_await items_.async_acquire_permit(use_awaitable);
        std::unique_lock lock(mutex_);
        T item = std::move(queue_.front());
        queue_.pop_front();
        lock.unlock();
        taken.forget();
        room_.release();
        co_return item;
    }

    /// For good: push and pop fail with error::closed from now on, also those that wait.
    void close() {
        room_.close();
        items_.close();
    }

private:
    async_semaphore room_, items_;
    std::mutex mutex_;
    std::deque<T> queue_; // guarded by mutex_
};
//! [queue]

//! [mutex]
class account {
public:
    explicit account(const asio::any_io_executor& executor) : mutex_(executor, 1, 1) {}

    awaitable<void> deposit(int amount) {
        const permit lock = co_await mutex_.async_acquire_permit(use_awaitable);
        const int before = balance_;
        co_await asio::post(use_awaitable); // a query, for example: the lock is held meanwhile
        balance_ = before + amount;
    }

    int balance() const { return balance_; }

private:
    async_semaphore mutex_;
    int balance_ = 0; // whoever holds the permit sees what the holder before wrote
};
//! [mutex]

//! [rate]
/// Allows a number of starts in each period. A start is used up, not given back: the next period
/// brings new ones.
class rate_limit {
public:
    rate_limit(
        const asio::any_io_executor& executor, std::ptrdiff_t starts,
        std::chrono::nanoseconds period) :
        starts_(executor, starts, starts), period_(period) {}

    template <typename Token>
    auto async_start(Token&& token) {
        return starts_.async_acquire(std::forward<Token>(token));
    }

    /// Spawn this once, and cancel it at the end. Nothing renews the starts while it does not run.
    awaitable<void> renew_each_period() {
        asio::steady_timer timer(co_await asio::this_coro::executor);
        for (;;) {
            timer.expires_after(period_); // a late timer makes the rate lower, never higher
            co_await timer.async_wait(use_awaitable);
            renew();
        }
    }

    void renew() { starts_.release(starts_.max_permits() - starts_.available()); }

private:
    async_semaphore starts_;
    std::chrono::nanoseconds period_;
};
//! [rate]

//! [rate_and_limit]
awaitable<void> limited_call(async_semaphore& limit, rate_limit& rate) {
    // First the permit, then the start. The other way round, calls that have their starts could
    // pile up behind the limit and then come faster than the rate.
    const permit held = co_await limit.async_acquire_permit(use_awaitable);
    co_await rate.async_start(use_awaitable);
    co_await work("call");
}
//! [rate_and_limit]

#ifdef __cpp_lib_jthread
//! [stop_token]
/// Runs a coroutine until it ends or any thread requests a stop. The executor must be a strand, or
/// a context that one thread runs, because a cancellation_signal is not thread-safe.
awaitable<void> until_stopped(std::stop_token stop, awaitable<void> coroutine) {
    const auto executor = co_await asio::this_coro::executor;
    const auto signal = std::make_shared<asio::cancellation_signal>();
    const std::stop_callback on_stop(std::move(stop), [executor, signal] {
        asio::post(executor, [signal] { signal->emit(asio::cancellation_type::terminal); });
    });
    // Cancelling this coroutine still cancels the one inside.
    auto own = (co_await asio::this_coro::cancellation_state).slot();
    if (own.is_connected())
        own.assign([signal](asio::cancellation_type type) { signal->emit(type); });
    co_await asio::co_spawn(
        executor, std::move(coroutine),
        asio::bind_cancellation_slot(signal->slot(), use_awaitable));
}
//! [stop_token]
#endif

} // namespace

BOOST_FIXTURE_TEST_SUITE(doc_recipes, fixture)

BOOST_AUTO_TEST_CASE(each_client_has_its_own_limit_and_is_forgotten) {
    running.clear(), most.clear();
    //! [per_client_limit]
    // Two at a time for each client; the limit for all of them is never reached.
    limiter clients(context, 1'000'000, {.max_waiting = 1000, .max_per_key = 2});
    //! [per_client_limit]
    for (const char* client : {"a", "a", "a", "a", "a", "b", "b", "b"})
        start(request(clients, client));
    context.run();
    BOOST_TEST(most["a"] == 2);
    BOOST_TEST(most["b"] == 2);
    BOOST_TEST(clients.statistics().succeeded == 8u);
    BOOST_TEST(clients.statistics().keys == 0u); // nothing is kept of an idle client
}

BOOST_AUTO_TEST_CASE(a_full_queue_makes_push_wait) {
    bounded_queue<int> queue(context.get_executor(), 2);
    int pushed = 0;
    start([&]() -> awaitable<void> {
        for (; pushed < 5; ++pushed)
            co_await queue.push(pushed);
    });
    context.poll();
    BOOST_TEST(pushed == 2);
    std::vector<int> popped;
    error_code end;
    start([&]() -> awaitable<void> {
        while (popped.size() < 5)
            popped.push_back(co_await queue.pop());
        try {
            co_await queue.pop();
        } catch (const boost::system::system_error& e) {
            end = e.code();
        }
    });
    context.poll();
    BOOST_TEST(popped == (std::vector<int>{0, 1, 2, 3, 4}), boost::test_tools::per_element());
    queue.close();
    context.run();
    BOOST_TEST((end == asio_semaphore::error::closed));
}

BOOST_AUTO_TEST_CASE(a_bounded_queue_of_several_threads_loses_nothing) {
    asio::thread_pool pool(4);
    bounded_queue<int> queue(pool.get_executor(), 3);
    std::mutex mutex;
    int sum = 0;
    for (int i = 0; i < 4; ++i) {
        start_on(pool.get_executor(), [&]() -> awaitable<void> {
            for (int item = 1; item <= 100; ++item)
                co_await queue.push(item);
        });
        start_on(pool.get_executor(), [&]() -> awaitable<void> {
            for (int n = 0; n < 100; ++n) {
                const int item = co_await queue.pop();
                const std::lock_guard lock(mutex);
                sum += item;
            }
        });
    }
    pool.join();
    BOOST_TEST(sum == 4 * 5050);
}

BOOST_AUTO_TEST_CASE(an_async_mutex_on_several_threads) {
    asio::thread_pool pool(4);
    account shared(pool.get_executor());
    for (int i = 0; i < 200; ++i)
        start_on(pool.get_executor(), shared.deposit(1));
    pool.join();
    BOOST_TEST(shared.balance() == 200);
}

BOOST_AUTO_TEST_CASE(so_many_starts_in_a_period) {
    rate_limit rate(context.get_executor(), 3, 1s);
    int started = 0;
    for (int i = 0; i < 7; ++i)
        rate.async_start([&](error_code ec) { started += !ec; });
    context.poll();
    BOOST_TEST(started == 3);
    rate.renew();
    context.poll();
    BOOST_TEST(started == 6);
    rate.renew();
    rate.renew(); // an idle period saves up nothing
    for (int i = 0; i < 7; ++i)
        rate.async_start([&](error_code ec) { started += !ec; });
    context.restart();
    context.poll();
    BOOST_TEST(started == 7 + 3);
}

BOOST_AUTO_TEST_CASE(the_timer_renews_the_starts) {
    running.clear(), most.clear();
    rate_limit rate(context.get_executor(), 3, 100us);
    async_semaphore limit(context, 2, 2);
    asio::cancellation_signal stop;
    int left = 7;
    asio::co_spawn(
        context, rate.renew_each_period(),
        asio::bind_cancellation_slot(stop.slot(), asio::detached));
    for (int i = 0; i < 7; ++i)
        start([&]() -> awaitable<void> {
            co_await limited_call(limit, rate);
            if (--left == 0)
                stop.emit(asio::cancellation_type::terminal);
        });
    context.run(); // returns because the timer has been cancelled
    BOOST_TEST(left == 0);
    BOOST_TEST(most["call"] <= 2);
    BOOST_TEST(limit.available() == 2);
}

#ifdef __cpp_lib_jthread
BOOST_AUTO_TEST_CASE(a_stop_token_cancels_from_another_thread) {
    async_semaphore limit(context, 0, 1);
    error_code end;
    const auto wait = [&]() -> awaitable<void> {
        const permit held =
            co_await limit.async_acquire_permit(asio::redirect_error(use_awaitable, end));
    };
    std::stop_source source;
    start(until_stopped(source.get_token(), wait()));
    context.poll();
    BOOST_TEST(limit.waiting() == 1u);
    std::thread([&] { source.request_stop(); }).join();
    BOOST_TEST(limit.waiting() == 1u); // the cancellation is on its way to the executor
    context.run();
    BOOST_TEST(end == asio::error::operation_aborted);
    BOOST_TEST(limit.waiting() == 0u);

    // A token that was stopped before, one that is never stopped, and the end after the
    // coroutine's.
    end.clear();
    context.restart();
    start(until_stopped(source.get_token(), wait()));
    context.run();
    BOOST_TEST(end == asio::error::operation_aborted);
    std::stop_source late;
    context.restart();
    start(until_stopped(late.get_token(), wait()));
    limit.release();
    context.run();
    BOOST_TEST(!end);
    late.request_stop();
    BOOST_TEST(context.poll() == 0u);
}

BOOST_AUTO_TEST_CASE(the_coroutine_around_can_be_cancelled_as_before) {
    async_semaphore limit(context, 0, 1);
    error_code end;
    const auto wait = [&]() -> awaitable<void> {
        const permit held =
            co_await limit.async_acquire_permit(asio::redirect_error(use_awaitable, end));
    };
    std::stop_source source;
    asio::cancellation_signal signal;
    bool done = false;
    asio::co_spawn(
        context, until_stopped(source.get_token(), wait()),
        asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr) { done = true; }));
    context.poll();
    signal.emit(asio::cancellation_type::terminal);
    context.run();
    BOOST_TEST(end == asio::error::operation_aborted);
    BOOST_TEST(done);
}
#endif

BOOST_AUTO_TEST_SUITE_END()
