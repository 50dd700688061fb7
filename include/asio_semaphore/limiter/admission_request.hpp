// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <type_traits>

namespace asio_semaphore {

/// A request for admission to a limiter. Every member has a default.
/**
 * @code
 * limit.async_admit({.key = key_of(client), .priority = 1, .weight = 2}, handler);
 * @endcode
 */
struct admission_request {
    /// The client, tenant or host that the request counts for; see @ref key_of. 0: none. All
    /// requests without a key share one line, to which `max_per_key` does not apply.
    std::uint64_t key = 0;
    /// The priority, from 0 (the highest) to 3.
    int priority = 0;
    /// How much of the limit the request takes.
    std::ptrdiff_t weight = 1;
    /// The longest time to wait in the queue, instead of the limiter's `max_wait`. With zero or
    /// less, the request is admitted at once or not at all.
    std::optional<std::chrono::steady_clock::duration> max_wait = std::nullopt;
};

namespace detail {

/// Spreads hash values over all bits (the finalizer of SplitMix64): the standard library's hashes
/// of numbers are often the numbers themselves.
constexpr std::uint64_t mixed(std::uint64_t x) noexcept {
    x += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

/// The object to hash for a value. A pointer to characters stands for its text: the hash of a
/// pointer is that of the address, so every request would have a key of its own.
template <typename T>
decltype(auto) hashed_as(const T& value) {
    using pointer = std::decay_t<T>;
    if constexpr (std::is_same_v<pointer, char*> || std::is_same_v<pointer, const char*>)
        return std::string_view(value);
    else
        return (value);
}

} // namespace detail

/// Makes a key of a value that has a `std::hash`: the address of a client, the name of a tenant, a
/// host.
/**
 * @param value the value; a `const char*` is a text that ends with a null character
 * @return the key; never 0
 *
 * Values with equal hashes share a key, and so the share of that key. If clients choose the values,
 * and could choose them so that they collide, number the clients yourself and use the numbers as
 * keys.
 *
 * @see @ref clients
 */
template <typename T>
std::uint64_t key_of(const T& value) {
    const auto& hashed = detail::hashed_as(value);
    const std::uint64_t key = detail::mixed(std::hash<std::decay_t<decltype(hashed)>>()(hashed));
    return key != 0 ? key : 1;
}

} // namespace asio_semaphore
