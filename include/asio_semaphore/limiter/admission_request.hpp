#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>

namespace asio_semaphore {

/// What is asked of a limiter: for whom, how urgent, how much, how long it may wait.
struct admission_request {
    /// Whose share it comes out of; 0 is nobody's. See @ref key_of.
    std::uint64_t key = 0;
    /// From 0, the highest, to 3.
    int priority = 0;
    /// How much of the limit it takes.
    std::ptrdiff_t weight = 1;
    /// How long it may wait in the queue, in place of the limiter's `max_wait`. With none left
    /// (zero or negative) it is admitted at once or not at all.
    std::optional<std::chrono::steady_clock::duration> max_wait = std::nullopt;
};

namespace detail {

/// Spreads the values of hashes that are as good as none, the standard library's of numbers, over
/// all bits (the finalizer of SplitMix64).
constexpr std::uint64_t mixed(std::uint64_t x) noexcept {
    x += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

} // namespace detail

/// The key for a value that has a `std::hash`: a client's address, a tenant's name, a host.
/**
 * Never 0. Two values whose hashes are equal share a key, and so what a key has a share of: where
 * clients choose the values, and could choose them so, give the limiter numbers of your own.
 */
template <typename T>
std::uint64_t key_of(const T& value) {
    const std::uint64_t key = detail::mixed(std::hash<T>()(value));
    return key != 0 ? key : 1;
}

} // namespace asio_semaphore
