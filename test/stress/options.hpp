// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Options of the randomised tests from the environment: the seed, and the duration.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>

namespace stress {

inline std::string environment(const char* name) {
    const char* const value = std::getenv(name);
    return value == nullptr ? std::string() : value;
}

/// ASIO_SEMAPHORE_TEST_SECONDS or, without that, the test's own duration.
inline std::chrono::duration<double> time_to_run(double otherwise) {
    const std::string given = environment("ASIO_SEMAPHORE_TEST_SECONDS");
    return std::chrono::duration<double>(given.empty() ? otherwise : std::stod(given));
}

/// A small and fast generator, with the same numbers on every platform.
class random {
public:
    explicit random(std::uint64_t seed) noexcept : state_(seed) {}

    std::uint64_t operator()() noexcept { // splitmix64
        std::uint64_t z = state_ += 0x9e3779b97f4a7c15u;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return z ^ (z >> 31);
    }
    /// A number below @p n.
    std::size_t below(std::size_t n) noexcept { return static_cast<std::size_t>((*this)() % n); }
    bool one_in(std::size_t n) noexcept { return below(n) == 0; }

private:
    std::uint64_t state_;
};

/// The seed of the pauses of the next thread; see chance_of_this_thread.
inline std::atomic<std::uint64_t>& next_thread() {
    static std::atomic<std::uint64_t> seed{1};
    return seed;
}

/// Decides where the thread pauses (nervous/asio_semaphore/detail/state/threads.hpp). Separate from
/// the generator of the test, so that the pauses do not change what the test does.
inline random& chance_of_this_thread() {
    thread_local random chance(next_thread().fetch_add(1, std::memory_order_relaxed));
    return chance;
}

/// Returns the seed of the test: ASIO_SEMAPHORE_TEST_SEED or, without that, a random one.
inline std::uint64_t seed() {
    const std::string given = environment("ASIO_SEMAPHORE_TEST_SEED");
    std::random_device device;
    const std::uint64_t chosen =
        given.empty() ? (std::uint64_t(device()) << 32) | device() : std::stoull(given);
    next_thread() = chosen;
    return chosen;
}

} // namespace stress
