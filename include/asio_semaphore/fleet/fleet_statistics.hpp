// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <asio_semaphore/limiter/limiter_statistics.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace asio_semaphore {

/// The state of a limit in the server, for the whole fleet.
struct fleet_status {
    std::ptrdiff_t limit = 0;     ///< The permits that may be held at a time.
    std::ptrdiff_t held = 0;      ///< The permits that are held.
    std::ptrdiff_t available = 0; ///< `limit - held`; negative until a lowered limit is reached.
    std::size_t waiting = 0;      ///< Requests in the server's queue.
    std::size_t clients = 0;      ///< Clients that have called lately.

    /// The smallest fencing number that is held, or 0. A smaller number belongs to no held permit.
    std::uint64_t lowest_fencing = 0;

    /// How long the server still grants nothing new, because it has lost data, or may have.
    std::chrono::milliseconds quarantine{0};
    std::uint64_t rolls = 0; ///< The number of proven losses of data.
};

/// The counters of one limit in this process. They count operations, unless stated otherwise.
struct fleet_statistics {
    std::uint64_t granted = 0;          ///< Granted.
    std::uint64_t queued = 0;           ///< Had to wait in the server's queue.
    std::uint64_t timed_out = 0;        ///< Timed out.
    std::uint64_t cancelled = 0;        ///< Cancelled by the slot, `cancel` or the destructor.
    std::uint64_t failed = 0;           ///< Failed with any other error.
    std::uint64_t lost_by_deadline = 0; ///< Permits that were not renewed in time.
    std::uint64_t lost_by_server = 0;   ///< Permits that the server no longer knew.
    std::uint64_t readmitted = 0;       ///< Permits that the server had lost and took in again.
    std::uint64_t renewals = 0;         ///< Renewals of permits that the server answered.
    std::uint64_t renewals_late = 0;    ///< Renewals later than half of the lease.
    std::uint64_t repairs = 0;          ///< Losses of data that the answers revealed.
    std::size_t waiting = 0;            ///< Requests that wait now.
    std::size_t held = 0;               ///< Permits that are held now.
    duration_histogram wait;            ///< How long granted requests waited.
};

/// The counters of one client.
struct fleet_client_statistics {
    std::uint64_t connections = 0; ///< Connections made.
    std::uint64_t calls = 0;       ///< Calls of the script.
    std::uint64_t commands = 0;    ///< Commands in these calls.
    std::uint64_t pushes = 0;      ///< Messages from the server.
    std::uint64_t rejected = 0;    ///< Calls that the server refused.
    std::uint64_t stale = 0;       ///< Calls from a connection that was given up before.
    duration_histogram round_trip; ///< From a call to its answer.
    bool connected = false;        ///< Whether it is connected now.
};

} // namespace asio_semaphore
