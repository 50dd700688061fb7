// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <numeric>

namespace asio_semaphore {

/// A histogram of durations.
struct duration_histogram {
    /// The duration type of the clock.
    using duration = std::chrono::steady_clock::duration;

    /// The inclusive upper bounds of the buckets: 1, 2, 5 and so on, from 0.1 ms to 50 s. One more
    /// bucket holds longer durations.
    static constexpr std::array<duration, 18> bounds = {
        std::chrono::microseconds(100), std::chrono::microseconds(200),
        std::chrono::microseconds(500), std::chrono::milliseconds(1),
        std::chrono::milliseconds(2),   std::chrono::milliseconds(5),
        std::chrono::milliseconds(10),  std::chrono::milliseconds(20),
        std::chrono::milliseconds(50),  std::chrono::milliseconds(100),
        std::chrono::milliseconds(200), std::chrono::milliseconds(500),
        std::chrono::seconds(1),        std::chrono::seconds(2),
        std::chrono::seconds(5),        std::chrono::seconds(10),
        std::chrono::seconds(20),       std::chrono::seconds(50)};

    /// The number of durations in each bucket; not cumulative.
    std::array<std::uint64_t, bounds.size() + 1> counts = {};
    /// The sum of all durations. It wraps around when it reaches the clock's 292 years: with 1,000
    /// requests in flight, after 107 days.
    duration sum = duration::zero();

    /// The number of durations.
    std::uint64_t count() const {
        return std::accumulate(counts.begin(), counts.end(), std::uint64_t(0));
    }

    /// Adds a duration.
    void add(duration d) {
        std::size_t bucket = 0;
        while (bucket < bounds.size() && d > bounds[bucket])
            ++bucket;
        ++counts[bucket];
        const bool exceeds = d > duration::zero() && sum > duration::max() - d;
        sum = exceeds ? d - (duration::max() - sum) : sum + d;
    }
};

/// The counters of a limiter: one consistent snapshot.
/**
 * At any time, admitted = succeeded + overloaded + ignored + running, and arrivals = admitted + all
 * refusals + waiting. An empty `try_admit`, a weight of 0, and requests that can never be admitted
 * are not counted.
 */
struct limiter_statistics {
    /// The current limit; the limiter enforces its integer part.
    double limit = 0;
    /// The weight of all running requests.
    std::ptrdiff_t in_flight = 0;
    /// The number of running requests.
    std::size_t running = 0;
    /// The number of waiting requests.
    std::size_t waiting = 0;
    /// The number of keys that run or wait, without key 0.
    std::size_t keys = 0;

    /// How the requests of one priority ended.
    struct by_priority {
        /// Admitted by `async_admit` or `try_admit`, at once or after a wait. A request counts from
        /// the grant on, even if its handler is destroyed without being called.
        std::uint64_t admitted = 0;
        /// Refused on arrival.
        std::uint64_t queue_full = 0;
        /// Left the queue: `busy_wait` expired, or evicted.
        std::uint64_t shed = 0;
        /// `max_wait` expired in the queue, or was 0.
        std::uint64_t timed_out = 0;
        /// Ended by the slot, by `cancel`, by the destructor, or with the execution context.
        std::uint64_t cancelled = 0;
        /// The limiter was closed before or during the wait.
        std::uint64_t closed = 0;
    };
    /// By priority, the highest first.
    std::array<by_priority, 4> priorities = {};

    /// Admissions that were finished as a success.
    std::uint64_t succeeded = 0;
    /// Admissions that were finished as an overload.
    std::uint64_t overloaded = 0;
    /// Admissions that were finished as ignored, or not finished at all.
    std::uint64_t ignored = 0;
    /// The ignored admissions that were not finished: destroyed, reset, or never received because
    /// the handler was destroyed.
    std::uint64_t unreported = 0;

    /// Requests that a dry run admitted although the limit would have held them back.
    std::uint64_t over_limit = 0;
    /// Exceptions from the algorithm and from `on_limit_change`.
    std::uint64_t algorithm_failures = 0;

    /// How long admitted requests waited; 0 if they were admitted at once.
    duration_histogram wait;
    /// How long successes took from the admission to the finish, if there is an algorithm.
    duration_histogram latency;

    /// How long a new request has to wait: the number of waiting requests multiplied by the mean
    /// time between grants. For HTTP's Retry-After.
    std::chrono::steady_clock::duration expected_wait = {};
};

/// The usage of the limiter by one key.
struct key_usage {
    std::uint64_t key;        ///< The key.
    std::ptrdiff_t in_flight; ///< The weight of its running requests.
    std::size_t waiting;      ///< The number of its waiting requests.
};

} // namespace asio_semaphore
