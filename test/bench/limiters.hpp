// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// The limiter in the form of a subject, the one that people write by hand, and what only a limiter
// is made to do.

#include "workloads.hpp"

#include <asio_semaphore/limiter/gradient_limit.hpp>
#include <asio_semaphore/limiter/limiter.hpp>

#include <boost/asio/post.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <queue>
#include <stdexcept>
#include <utility>
#include <vector>

namespace bench {

using asio_semaphore::admission;
using asio_semaphore::admission_request;
using asio_semaphore::limiter_options;

/// Everybody who waits has a deadline, which is far away.
inline limiter_options roomy_options(std::size_t max_waiting = 1000000) {
    limiter_options options;
    options.max_waiting = max_waiting;
    options.max_wait = std::chrono::hours(1);
    return options;
}

/// Nobody has one: then no timer is set. With one, Asio asks the system for events whenever its
/// queue has been worked off, which at one hand-over at a time is at each.
inline limiter_options patient_options(std::size_t max_waiting = 1000000) {
    limiter_options options = roomy_options(max_waiting);
    options.max_wait = limiter_options::duration::max();
    return options;
}

inline limiter_options learning_options() {
    limiter_options options = roomy_options();
    options.algorithm = asio_semaphore::gradient_limit();
    return options;
}

template <typename Executor>
class plain_limiter {
public:
    static constexpr const char* name = "limiter";
    static constexpr bool gives_permits = true;

    plain_limiter(
        const Executor& executor, std::ptrdiff_t limit, limiter_options options = roomy_options()) :
        limiter_(executor, limit, std::move(options)) {}

    template <typename Token>
    auto acquire(Token&& token) {
        return limiter_.async_admit(std::forward<Token>(token));
    }
    template <typename Token>
    auto acquire(const admission_request& request, Token&& token) {
        return limiter_.async_admit(request, std::forward<Token>(token));
    }
    void release(admission& held) { held.finish(); }
    admission try_acquire(const admission_request& request = {}) {
        return limiter_.try_admit(request);
    }
    std::size_t keys() const { return limiter_.statistics().keys; }

private:
    asio_semaphore::basic_limiter<Executor> limiter_;
};

template <typename Executor>
struct patient_limiter : plain_limiter<Executor> {
    patient_limiter(const Executor& executor, std::ptrdiff_t limit) :
        plain_limiter<Executor>(executor, limit, patient_options()) {}
};

/// Callbacks only, no cancellation, no deadline, no share for a client; a priority, and a queue
/// that is bounded.
template <typename Executor>
class priority_queue_limiter {
public:
    static constexpr const char* name = "mutex, priority_queue, post";

    priority_queue_limiter(const Executor& executor, std::ptrdiff_t limit) :
        executor_(executor), free_(limit) {}

    template <typename Function>
    void acquire(Function f) {
        acquire(0, std::move(f));
    }
    template <typename Function>
    void acquire(int priority, Function f) {
        bool is_admitted = false;
        {
            std::lock_guard<std::mutex> lock(mutex_);
            if (free_ > 0) {
                --free_;
                is_admitted = true;
            } else if (waiting_.size() < max_waiting_) {
                waiting_.push({priority, arrivals_++, std::move(f)});
                return;
            }
        }
        const error_code ec = is_admitted ? error_code() : asio::error::try_again;
        asio::post(executor_, [ec, f = std::move(f)]() mutable { f(ec); });
    }
    void release() {
        std::unique_lock<std::mutex> lock(mutex_);
        if (waiting_.empty()) {
            ++free_;
            return;
        }
        // What top() gives cannot be moved from otherwise.
        auto f = std::move(const_cast<request&>(waiting_.top()).handler);
        waiting_.pop();
        lock.unlock();
        asio::post(executor_, [f = std::move(f)] { f(error_code()); });
    }

private:
    struct request {
        int priority;
        std::uint64_t arrival;
        std::function<void(error_code)> handler;

        friend bool operator<(const request& a, const request& b) {
            return std::pair(a.priority, a.arrival) > std::pair(b.priority, b.arrival);
        }
    };

    const Executor executor_;
    const std::size_t max_waiting_ = 1000000;
    std::mutex mutex_;
    std::ptrdiff_t free_; // guarded by mutex_, all
    std::uint64_t arrivals_ = 0;
    std::priority_queue<request> waiting_;
};

template <typename Subject>
void try_and_finish(Subject& subject, long times, const admission_request& request = {}) {
    for (long i = 0; i < times; ++i) {
        if (admission held = subject.try_acquire(request))
            subject.release(held);
    }
}

/// L2
template <typename Subject>
measurement run_admissions(long operations, limiter_options options) {
    asio::io_context context;
    Subject subject(context.get_executor(), 10, std::move(options));
    return timed(operations, [&] { try_and_finish(subject, operations); });
}

/// As chain, for a key.
template <typename Subject>
struct keyed_chain {
    Subject* subject;
    long left;
    std::uint64_t key;

    void operator()(error_code, admission held) {
        subject->release(held);
        if (left-- > 0) {
            admission_request request;
            request.key = key;
            subject->acquire(request, keyed_chain(*this));
        }
    }
};

/// L3: each of the chains has a key of its own.
template <typename Subject>
measurement run_keyed_chains(long operations, int chains, int limit, int hint = default_hint) {
    asio::io_context context(hint);
    Subject subject(context.get_executor(), limit);
    const long laps = operations / chains + 1;
    for (int i = 0; i < chains; ++i) {
        const auto key = asio_semaphore::key_of(i);
        keyed_chain<Subject>{&subject, laps, key}({}, {});
    }
    return timed_run(context, laps * chains);
}

/// L4: the queue is full, and everybody else is told so.
template <typename Subject>
measurement run_refusals(long operations, limiter_options options, int hint = default_hint) {
    const std::size_t room = options.max_waiting;
    asio::io_context context(hint);
    Subject subject(context.get_executor(), 1, std::move(options));
    admission held = subject.try_acquire();
    for (std::size_t i = 0; i < room; ++i)
        subject.acquire([](error_code, admission) {});

    struct refused {
        Subject* subject;
        long left;
        admission* held;

        void operator()(error_code, admission) {
            if (left-- > 0)
                subject->acquire(refused(*this));
            else
                held->finish();
        }
    };
    subject.acquire(refused{&subject, operations - 1, &held});
    return timed_run(context, operations);
}

/// L6: one key after another, the first of which has this number.
/// @throws std::logic_error if a record stays
template <typename Subject>
measurement run_new_keys(Subject& subject, long first, long operations) {
    const auto taken = timed(operations, [&] {
        for (long i = first; i < first + operations; ++i) {
            admission_request request;
            request.key = asio_semaphore::key_of(i);
            try_and_finish(subject, 1, request);
        }
    });
    if (subject.keys() != 0)
        throw std::logic_error("a key's record stays behind");
    return taken;
}

} // namespace bench
