// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Statistics in which no two numbers are equal, so that each is found again in its place only.

#include <asio_semaphore/fleet/fleet_statistics.hpp>

#include <chrono>
#include <cstdint>

namespace test {

inline asio_semaphore::fleet_statistics distinct_fleet_statistics() {
    asio_semaphore::fleet_statistics s;
    std::uint64_t next = 301;
    for (auto* count :
         {&s.granted, &s.queued, &s.timed_out, &s.cancelled, &s.failed, &s.lost_by_deadline,
          &s.lost_by_server, &s.readmitted, &s.renewals, &s.renewals_late, &s.repairs})
        *count = next++;
    s.waiting = 21;
    s.held = 22;
    std::uint64_t count = 1;
    for (auto& bucket : s.wait.counts)
        bucket = count++;
    s.wait.sum = std::chrono::microseconds(123456789);
    return s;
}

inline asio_semaphore::fleet_client_statistics distinct_client_statistics() {
    asio_semaphore::fleet_client_statistics s;
    std::uint64_t next = 401;
    for (auto* count : {&s.connections, &s.calls, &s.commands, &s.pushes, &s.rejected, &s.stale})
        *count = next++;
    std::uint64_t count = 20;
    for (auto& bucket : s.round_trip.counts)
        bucket = 2 * count++;
    s.round_trip.sum = std::chrono::nanoseconds(1000000007);
    s.connected = true;
    return s;
}

} // namespace test
