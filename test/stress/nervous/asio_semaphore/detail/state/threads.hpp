// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Replaces the library's header of the same name in some stress tests. Before and after each
// operation on a lock or an atomic of the state layer, the thread may have to wait. So operations
// that otherwise take nanoseconds overlap with operations of other threads.

#include <stress/options.hpp>

#include <atomic>
#include <chrono>
#include <thread>

#define threads calm_threads
#include "../../../../../../include/asio_semaphore/detail/state/threads.hpp"
#undef threads

namespace asio_semaphore::detail {

/// Sometimes lets other threads run.
inline void nervous_moment() noexcept {
    stress::random& chance = stress::chance_of_this_thread();
    if (chance.one_in(16))
        std::this_thread::yield();
    else if (chance.one_in(1021))
        std::this_thread::sleep_for(std::chrono::microseconds(chance.below(50)));
}

template <typename F>
auto nervously(F f) noexcept {
    struct moments {
        moments() noexcept { nervous_moment(); }
        ~moments() { nervous_moment(); }
    } around;
    return f();
}

template <typename T>
class nervous_atomic {
public:
    nervous_atomic() noexcept = default;
    constexpr nervous_atomic(T value) noexcept : value_(value) {}

    T load(std::memory_order order) const noexcept {
        return nervously([&] { return value_.load(order); });
    }
    void store(T value, std::memory_order order) noexcept {
        nervously([&] { value_.store(value, order); });
    }
    T exchange(T value, std::memory_order order) noexcept {
        return nervously([&] { return value_.exchange(value, order); });
    }
    template <typename... Orders>
    bool compare_exchange_weak(T& expected, T value, Orders... orders) noexcept {
        return nervously([&] { return value_.compare_exchange_weak(expected, value, orders...); });
    }
    template <typename... Orders>
    bool compare_exchange_strong(T& expected, T value, Orders... orders) noexcept {
        return nervously(
            [&] { return value_.compare_exchange_strong(expected, value, orders...); });
    }
    T fetch_add(T value, std::memory_order order) noexcept {
        return nervously([&] { return value_.fetch_add(value, order); });
    }
    T fetch_sub(T value, std::memory_order order) noexcept {
        return nervously([&] { return value_.fetch_sub(value, order); });
    }
    T fetch_or(T value, std::memory_order order) noexcept {
        return nervously([&] { return value_.fetch_or(value, order); });
    }
    T fetch_and(T value, std::memory_order order) noexcept {
        return nervously([&] { return value_.fetch_and(value, order); });
    }

private:
    std::atomic<T> value_{};
};

struct threads : calm_threads {
    using mutex = brief_mutex<threads>;

    template <typename T>
    using atomic = nervous_atomic<T>;
};

} // namespace asio_semaphore::detail
