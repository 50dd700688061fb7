// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// What people use today, as subjects: the channels of Boost.Asio as semaphores (acquiring receives
// a message, releasing sends one), the timer that never expires, and the mutex, deque and post that
// is written by hand.

#include "subjects.hpp"

#include <boost/asio/basic_waitable_timer.hpp>
#if BOOST_VERSION >= 108600
#include <boost/asio/cancel_after.hpp>
#endif
#include <boost/asio/compose.hpp>
#include <boost/asio/experimental/channel.hpp>
#include <boost/asio/experimental/concurrent_channel.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <utility>

namespace bench {

/// Channel: one of Asio's two; the first is for one thread at a time.
template <typename Channel>
class channel_semaphore {
public:
    static constexpr bool gives_permits = false;

    channel_semaphore(const typename Channel::executor_type& executor, std::ptrdiff_t permits) :
        channel_(executor, 1000000) {
        release_many(permits);
    }

    template <typename Token>
    auto acquire(Token&& token) {
        return channel_.async_receive(std::forward<Token>(token));
    }
#if BOOST_VERSION >= 108600
    template <typename Token>
    auto acquire_for(std::chrono::nanoseconds patience, Token&& token) {
        return channel_.async_receive(asio::cancel_after(patience, std::forward<Token>(token)));
    }
#endif
    void release() {
        channel_.try_send(error_code());
    }
    void release_many(std::ptrdiff_t n) {
        // One by one: try_send_n does not compile for messages that are an error_code.
        while (n-- > 0)
            release();
    }
    bool try_acquire() {
        return channel_.try_receive([](error_code) {});
    }

private:
    Channel channel_;
};

template <typename Executor>
struct channel : channel_semaphore<asio::experimental::channel<Executor, void(error_code)>> {
    using channel_semaphore<
        asio::experimental::channel<Executor, void(error_code)>>::channel_semaphore;
    static constexpr const char* name = "channel";
};

template <typename Executor>
struct concurrent_channel
    : channel_semaphore<asio::experimental::concurrent_channel<Executor, void(error_code)>> {
    using channel_semaphore<
        asio::experimental::concurrent_channel<Executor, void(error_code)>>::channel_semaphore;
    static constexpr const char* name = "concurrent_channel";
};

/// For one thread at a time. Whoever is woken may find the permit taken by somebody who came later.
template <typename Executor>
class timer_semaphore {
    using clock = std::chrono::steady_clock;
    enum class stage { starting, waiting, granted };

public:
    static constexpr const char* name = "timer";
    static constexpr bool gives_permits = false;

    timer_semaphore(const Executor& executor, std::ptrdiff_t permits) :
        timer_(executor, clock::time_point::max()), free_(permits) {}

    template <typename Token>
    auto acquire(Token&& token) {
        return asio::async_compose<Token, void(error_code)>(
            [this, now = stage::starting](auto& self, error_code = {}) mutable {
                if (now == stage::granted)
                    self.complete({});
                else if (self.cancelled() != asio::cancellation_type::none)
                    self.complete(asio::error::operation_aborted);
                else if (free_ == 0) {
                    now = stage::waiting;
                    timer_.async_wait(std::move(self));
                } else if (--free_; now == stage::waiting) {
                    self.complete({});
                } else {
                    now = stage::granted;
                    asio::post(timer_.get_executor(), std::move(self));
                }
            },
            token, timer_);
    }
    void release() { release_many(1); }
    void release_many(std::ptrdiff_t n) {
        free_ += n;
        if (n == 1)
            timer_.cancel_one();
        else
            timer_.cancel();
    }
    bool try_acquire() { return free_ > 0 && free_-- > 0; }

private:
    asio::basic_waitable_timer<clock, asio::wait_traits<clock>, Executor> timer_;
    std::ptrdiff_t free_;
};

/// Callbacks only, no cancellation, no deadline.
template <typename Executor>
class mutex_semaphore {
public:
    static constexpr const char* name = "mutex, deque, post";
    static constexpr bool gives_permits = false;

    mutex_semaphore(const Executor& executor, std::ptrdiff_t permits) :
        executor_(executor), free_(permits) {}

    template <typename Function>
    void acquire(Function f) {
        {
            std::lock_guard<std::mutex> lock(mutex_);
            if (free_ == 0) {
                waiting_.emplace_back(std::move(f));
                return;
            }
            --free_;
        }
        asio::post(executor_, [f = std::move(f)]() mutable { f(error_code()); });
    }
    void release() { release_many(1); }
    void release_many(std::ptrdiff_t n) {
        while (n-- > 0) {
            std::unique_lock<std::mutex> lock(mutex_);
            if (waiting_.empty()) {
                ++free_;
                continue;
            }
            auto f = std::move(waiting_.front());
            waiting_.pop_front();
            lock.unlock();
            asio::post(executor_, [f = std::move(f)] { f(error_code()); });
        }
    }
    bool try_acquire() {
        std::lock_guard<std::mutex> lock(mutex_);
        return free_ > 0 && free_-- > 0;
    }

private:
    const Executor executor_;
    std::mutex mutex_;
    std::ptrdiff_t free_;                                 // guarded by mutex_
    std::deque<std::function<void(error_code)>> waiting_; // guarded by mutex_
};

} // namespace bench
