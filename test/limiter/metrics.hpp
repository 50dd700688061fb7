// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Statistics in which no two numbers are equal, so that a test notices a number in a wrong place.

#include <asio_semaphore/limiter/limiter_statistics.hpp>

#include <chrono>
#include <cstdint>

namespace test {

inline asio_semaphore::limiter_statistics distinct_statistics() {
    using namespace std::chrono_literals;
    asio_semaphore::limiter_statistics s;
    s.limit = 20.05;
    s.in_flight = 21;
    s.running = 22;
    s.waiting = 23;
    s.keys = 24;
    s.expected_wait = 1250ms;
    std::uint64_t next = 100;
    for (auto& p : s.priorities) {
        for (auto* count :
             {&p.admitted, &p.queue_full, &p.shed, &p.timed_out, &p.cancelled, &p.closed})
            *count = next++;
    }
    s.succeeded = 201;
    s.overloaded = 202;
    s.ignored = 203;
    s.unreported = 204;
    s.over_limit = 205;
    s.algorithm_failures = 206;
    std::uint64_t count = 1;
    for (auto& bucket : s.wait.counts)
        bucket = count++;
    s.wait.sum = 123456789us;
    for (auto& bucket : s.latency.counts)
        bucket = 2 * count++;
    s.latency.sum = 1000000007ns;
    return s;
}

} // namespace test
