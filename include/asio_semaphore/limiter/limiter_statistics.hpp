#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <numeric>

namespace asio_semaphore {

/// How often each of some durations was seen.
struct duration_histogram {
    /// That of the clock.
    using duration = std::chrono::steady_clock::duration;

    /// The upper ends of the buckets, each of which contains its own: 1, 2, 5 and so on from 0.1 ms
    /// to 50 s. What is longer stands in one bucket more.
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

    /// How many durations are in each bucket, those of the smaller ones not counted again.
    std::array<std::uint64_t, bounds.size() + 1> counts = {};
    /// Of all together. Begins anew when it reaches the clock's 292 years, as a counter does at its
    /// end: with 1,000 in flight that is after 107 days.
    duration sum = duration::zero();

    /// How many durations there are.
    std::uint64_t count() const {
        return std::accumulate(counts.begin(), counts.end(), std::uint64_t(0));
    }

    /// Adds one.
    void add(duration d) {
        std::size_t bucket = 0;
        while (bucket < bounds.size() && d > bounds[bucket])
            ++bucket;
        ++counts[bucket];
        const bool exceeds = d > duration::zero() && sum > duration::max() - d;
        sum = exceeds ? d - (duration::max() - sum) : sum + d;
    }
};

/// What a limiter did, and does now: one consistent snapshot.
/**
 * Always: admitted = succeeded + overloaded + ignored + running, and all that arrived = admitted +
 * every refusal + waiting. An empty `try_admit`, a weight of 0 and requests that can never be
 * served are counted nowhere.
 */
struct limiter_statistics {
    /// The limit in force; its integer part is enforced.
    double limit = 0;
    /// The weights of those who run.
    std::ptrdiff_t in_flight = 0;
    /// How many run.
    std::size_t running = 0;
    /// How many wait.
    std::size_t waiting = 0;
    /// How many keys run or wait, key 0 not counted.
    std::size_t keys = 0;

    /// How the requests of one priority ended.
    struct by_priority {
        std::uint64_t admitted = 0;   ///< Got in, at once or after a wait.
        std::uint64_t queue_full = 0; ///< Refused on arrival.
        std::uint64_t shed = 0; ///< Left the queue: its short deadline was over, or another came.
        std::uint64_t timed_out = 0; ///< Left the queue: the time it may wait was over.
        std::uint64_t cancelled = 0; ///< By its slot, by `cancel`, or with the limiter's end.
        std::uint64_t closed = 0;    ///< The limiter was closed, before or while it waited.
    };
    /// By priority, the highest first.
    std::array<by_priority, 4> priorities = {};

    /// Those who were admitted and ended as a success.
    std::uint64_t succeeded = 0;
    /// As an overload.
    std::uint64_t overloaded = 0;
    /// In a way that says nothing about the load.
    std::uint64_t ignored = 0;
    /// Those of the ignored that nobody finished.
    std::uint64_t unreported = 0;

    /// Whom a dry run admitted although the limit would have held them back.
    std::uint64_t over_limit = 0;
    /// Exceptions from the algorithm, and from `on_limit_change`.
    std::uint64_t algorithm_failures = 0;

    /// How long those who were admitted waited.
    duration_histogram wait;
    /// How long successes took, where there is an algorithm.
    duration_histogram latency;

    /// How long a newcomer has to wait, by those who wait and the mean time between grants; for
    /// HTTP's Retry-After.
    std::chrono::steady_clock::duration expected_wait = {};
};

/// What one key has.
struct key_usage {
    std::uint64_t key;        ///< That of its requests.
    std::ptrdiff_t in_flight; ///< Weights.
    std::size_t waiting;      ///< Requests.
};

} // namespace asio_semaphore
