// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// lock_time.cpp includes this header instead of the library's header of this name. It adds a mutex
// that records how long it was held, and how many waiters left the queue meanwhile. While a
// lock_watch is set, only one thread may use the library.

#include <bench/harness.hpp>

#define threads unwatched_threads
#include "../../../../../../include/asio_semaphore/detail/state/threads.hpp"
#undef threads

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>

namespace bench {

struct lock_watch {
    std::chrono::nanoseconds longest{}; ///< the longest time for which a lock was held
    std::size_t most = 0;               ///< the most waiters that left under one lock
    std::function<std::size_t()> waiting;

    static inline lock_watch* instance = nullptr;
};

} // namespace bench

namespace asio_semaphore::detail {

class watched_mutex {
public:
    void lock() noexcept {
        mutex_.lock();
        begin();
    }

    void unlock() noexcept {
        end();
        mutex_.unlock();
    }

    void let_others_in() noexcept {
        end();
        mutex_.let_others_in();
        begin();
    }

private:
    void begin() noexcept {
        if (const auto* const watch = bench::lock_watch::instance) {
            waiting_ = watch->waiting();
            since_ = bench::thread_clock::now();
        }
    }

    void end() noexcept {
        if (auto* const watch = bench::lock_watch::instance) {
            watch->longest = std::max(watch->longest, bench::thread_clock::now() - since_);
            watch->most = std::max(watch->most, waiting_ - watch->waiting());
        }
    }

    brief_mutex<unwatched_threads> mutex_;
    std::size_t waiting_ = 0;                 // guarded by mutex_
    bench::thread_clock::time_point since_{}; // guarded by mutex_
};

struct threads : unwatched_threads {
    using mutex = watched_mutex;
};

} // namespace asio_semaphore::detail
