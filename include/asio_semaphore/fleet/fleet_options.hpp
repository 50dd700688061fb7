// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <asio_semaphore/config.hpp>

#include <chrono>
#include <cstddef>

namespace asio_semaphore {

/// How a process takes part in a limit of the fleet. Every member has a default.
struct fleet_options {
    /// A permit that is not renewed for this long can go to another process. At least 50 ms; 5 s or
    /// more are recommended. The client renews three times in a lease.
    std::chrono::milliseconds lease{10'000};
    /// A permit counts as lost this much before its lease ends in the server. Less than half of the
    /// lease. 0: a tenth of the lease.
    std::chrono::milliseconds margin{0};
    /// A permit is not renewed for longer than this. 0: it is renewed for as long as it is held.
    std::chrono::milliseconds max_hold{0};
    /// The maximum number of requests of this process in the server's queue; the others wait in the
    /// process. At least 1.
    std::size_t window = 64;
    /// The maximum number of requests of this process that wait, in the process or in the server's
    /// queue; further ones fail with @ref error::queue_full. 0: no bound.
    std::size_t max_waiting = 0;
    /// Whether to use the server's limit if it differs from the constructor's. If it differs and
    /// this is false, every operation fails with @ref fleet_error::limit_mismatch.
    bool adopt_limit = false;
    /// What the server does after it has lost data, or may have.
    enum class recovery {
        quarantine, ///< It grants nothing new for one lease, and readmits the holders.
        immediate   ///< It grants at once; for one lease the permits may exceed the limit.
    };
    /// What the server does after it has lost data, or may have.
    recovery after_loss = recovery::quarantine;
    /// What happens to acquires while the server cannot be reached.
    enum class unreachable {
        wait,         ///< They wait, until a time limit or a cancellation.
        fail,         ///< They fail with @ref fleet_error::unreachable.
        admit_locally ///< This process grants up to @ref local_permits itself.
    };
    /// What happens to acquires while the server cannot be reached.
    unreachable when_unreachable = unreachable::wait;
    /// The time until the server counts as unreachable: from the start of `async_run`, the loss of
    /// the connection, or the first answer that the server is not available.
    std::chrono::milliseconds unreachable_after{1'000};
    /// The maximum number of permits that this process grants itself at a time with
    /// unreachable::admit_locally.
    std::ptrdiff_t local_permits = 0;
};

} // namespace asio_semaphore
