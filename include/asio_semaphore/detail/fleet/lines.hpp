// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// The waiting lines of the fleet, which use the same mechanism as the semaphore: one for each
// semaphore object, one for each request and the permit that it becomes, and one for the client.
// Fleet layer.
//
// Lock order: a line's mutex, then the machine's, then a registry's. An operation waits in its line
// from its start until it is taken out under that line's mutex. So a grant, a deadline and a
// cancellation exclude each other as they do in the semaphore. If the machine grants a request
// whose operation has already left the line, the permit goes back to the machine.
//
// The machine may drop the last reference to a lease under its mutex; the lease is then removed
// from its registry. By then the lease refers to no line, so its destruction destroys no
// executor and no timer of the user's.

// The bodies of the three classes need all three complete, so this header includes them together.

#include <asio_semaphore/detail/fleet/client_state.hpp>
#include <asio_semaphore/detail/fleet/lease.hpp>
#include <asio_semaphore/detail/fleet/limit_line.hpp>
#include <asio_semaphore/detail/operation/completion.hpp>
#include <asio_semaphore/fleet/fleet_error.hpp>

#include <boost/system/error_code.hpp>

namespace asio_semaphore::detail::fleet {

/// Returns the error code for an outcome: one of the fleet's own errors, or of those that every
/// limit has.
inline boost::system::error_code to_error_code(outcome result) noexcept {
    switch (result) {
    case outcome::lost:
        return fleet_error::lost;
    case outcome::limit_mismatch:
        return fleet_error::limit_mismatch;
    case outcome::unreachable:
        return fleet_error::unreachable;
    case outcome::rejected:
        return fleet_error::rejected;
    case outcome::clustered:
        return fleet_error::clustered;
    case outcome::incompatible:
        return fleet_error::incompatible;
    default:
        return detail::to_error_code(result);
    }
}

} // namespace asio_semaphore::detail::fleet

#include <asio_semaphore/detail/fleet/impl/client_state.ipp>
#include <asio_semaphore/detail/fleet/impl/lease.ipp>
#include <asio_semaphore/detail/fleet/impl/limit_line.ipp>
