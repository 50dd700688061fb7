#pragma once

#include <asio_semaphore/limiter/limiter_statistics.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace asio_semaphore {

/// A limit as the server has it, of the whole fleet.
struct fleet_status {
    std::ptrdiff_t limit = 0;     ///< Permits that may be held at a time.
    std::ptrdiff_t held = 0;      ///< Permits that are held.
    std::ptrdiff_t available = 0; ///< `limit - held`; negative until a lowered limit is reached.
    std::size_t waiting = 0;      ///< Requests in the server's queue.
    std::size_t clients = 0;      ///< Clients that have been heard lately.

    /// The smallest fencing number that is held, or 0: whatever comes with a smaller one holds
    /// nothing.
    std::uint64_t lowest_fencing = 0;

    /// How long nothing new is granted yet, because the server has, or may have, lost data.
    std::chrono::milliseconds quarantine{0};
    std::uint64_t rolls = 0; ///< How often a loss of data was proved.
};

/// What one limit has seen in this process. Operations, unless said otherwise.
struct fleet_statistics {
    std::uint64_t granted = 0;          ///< Permits handed out.
    std::uint64_t queued = 0;           ///< Requests that had to wait in the server.
    std::uint64_t timed_out = 0;        ///< Their deadline was over.
    std::uint64_t cancelled = 0;        ///< By their slot, by `cancel`, or with their semaphore.
    std::uint64_t failed = 0;           ///< With any other error.
    std::uint64_t lost_by_deadline = 0; ///< Permits that were not renewed in time.
    std::uint64_t lost_by_server = 0;   ///< Permits that the server said it does not hold.
    std::uint64_t readmitted = 0;       ///< Permits held again after the server had lost them.
    std::uint64_t renewals = 0;         ///< Answered renewals of permits.
    std::uint64_t renewals_late = 0;    ///< Those that came after half of the lease.
    std::uint64_t repairs = 0;          ///< Losses of data that the answers told of.
    std::size_t waiting = 0;            ///< Requests that wait now.
    std::size_t held = 0;               ///< Permits that are held now.
    duration_histogram wait;            ///< How long those that were granted waited.
};

/// What one client has done.
struct fleet_client_statistics {
    std::uint64_t connections = 0; ///< That were made.
    std::uint64_t calls = 0;       ///< Of the script.
    std::uint64_t commands = 0;    ///< In these calls.
    std::uint64_t pushes = 0;      ///< Messages from the server.
    std::uint64_t rejected = 0;    ///< Calls that the server refused.
    std::uint64_t stale = 0;       ///< Calls that came from a connection already given up.
    duration_histogram round_trip; ///< From a call to its answer.
    bool connected = false;        ///< Now.
};

} // namespace asio_semaphore
