// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// Baselines: the costs of the machine and of Asio without a semaphore, and the standard library's
// blocking semaphore.

#include "suite.hpp"

#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>

#include <atomic>
#include <chrono>
#include <semaphore>

namespace bench {

namespace {

/// Takes no permit and only posts: an acquire is one round trip through the io_context's queue.
class post_only {
public:
    post_only(const asio::io_context::executor_type& executor, std::ptrdiff_t) :
        executor_(executor) {}

    template <typename Handler>
    void acquire(Handler&& handler) {
        asio::post(executor_, [h = std::forward<Handler>(handler)]() mutable { h(error_code()); });
    }
    void release() {}

private:
    const asio::io_context::executor_type executor_;
};

/// The same for coroutines.
class post_in_coroutine {
public:
    static constexpr bool gives_permits = false;

    post_in_coroutine(const asio::io_context::executor_type&, std::ptrdiff_t) {}

    template <typename Token>
    auto acquire(Token&& token) {
        return asio::post(std::forward<Token>(token));
    }
    void release() {}
};

/// The cheapest thread-safe counter.
class lone_counter {
public:
    lone_counter(const asio::io_context::executor_type&, std::ptrdiff_t permits) : free_(permits) {}

    bool try_acquire() {
        auto free = free_.load(std::memory_order_relaxed);
        while (free > 0) {
            if (free_.compare_exchange_weak(
                    free, free - 1, std::memory_order_acquire, std::memory_order_relaxed))
                return true;
        }
        return false;
    }
    void release() {
        auto free = free_.load(std::memory_order_relaxed);
        while (!free_.compare_exchange_weak(
            free, free + 1, std::memory_order_release, std::memory_order_relaxed)) {
        }
    }

private:
    std::atomic<std::ptrdiff_t> free_;
};

class standard_semaphore {
public:
    standard_semaphore(const asio::io_context::executor_type&, std::ptrdiff_t permits) :
        semaphore_(permits) {}
    bool try_acquire() { return semaphore_.try_acquire(); }
    void release() { semaphore_.release(); }

private:
    std::counting_semaphore<> semaphore_;
};

/// A chain of dispatches to the executor that it already runs on, so that each handler is called
/// inline.
measurement run_dispatches(long operations) {
    asio::io_context context;
    measurement result;
    asio::post(context, [&] {
        const auto executor = context.get_executor();
        long calls = 0;
        const auto start = thread_clock::now();
        for (long i = 0; i < operations; ++i)
            asio::dispatch(executor, [&calls] { keep(++calls); });
        result = {thread_clock::now() - start, operations};
    });
    context.run();
    return result;
}

measurement run_clock_readings(long operations) {
    return timed(operations, [operations] {
        for (long i = 0; i < operations; ++i)
            keep(std::chrono::steady_clock::now());
    });
}

} // namespace

void add_baselines(suite& s) {
    s.add({"B0", "post", "io_context", 0, "", [](long n) {
               return run_chains<post_only>(n, 1, 1);
           }});
    s.add({"B0K", "post, 1000 chains", "io_context", 0, "", [](long n) {
               return run_chains<post_only>(n, 1000, 1);
           }});
    s.add({"B1", "dispatch", "io_context", 0, "", run_dispatches});
    s.add({"B2", "co_await post", "any_io_executor", 0, "", [](long n) {
               return run_coroutines<post_in_coroutine>(n, 1, 1, asio::use_awaitable);
           }});
    s.add({"CAS", "compare-and-swap", "", 0, "", [](long n) {
               return run_tries<lone_counter>(n, 1);
           }});
    s.add({"CLOCK", "a reading of the steady clock", "", 0, "", run_clock_readings});
    if (!second_thread::exists())
        return;
    s.add({"B6", "post, 1000 chains, two threads", "io_context", 0, "", [](long n) {
               return run_chains<post_only>(n, 1000, 1, 2);
           }});
    s.add({"CAS2", "compare-and-swap, two threads", "", 0, "", [](long n) {
               return run_tries<lone_counter>(n, 1000, 2);
           }});
    s.add({"W11", "std::counting_semaphore", "", 0, "CAS2", [](long n) {
               return run_tries<standard_semaphore>(n, 1000, 2);
           }});
}

} // namespace bench
