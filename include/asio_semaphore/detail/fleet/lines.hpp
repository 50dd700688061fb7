// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Who waits for a limit of the fleet, as lines of the mechanism that the semaphore has: one for
// each semaphore object, one for each request and the permit that becomes of it, one for the
// client. Fleet layer.
//
// Order of locks: a line's mutex, the machine's, a registry's. An operation waits in its line from
// its start until it is taken out there, under that line's mutex: so a grant, a deadline and a
// cancellation exclude each other as they do in the semaphore. What the machine says of a request
// whose operation has left the line already goes back to the machine.
//
// Under the machine's mutex a lease may go that nobody else has, and is struck off its registry. It
// refers to no line by then, so that nothing of the user's goes with it: no executor, no timer.

// The three need each other complete, so that their bodies come together, here.

#include <asio_semaphore/detail/fleet/client_state.hpp>
#include <asio_semaphore/detail/fleet/lease.hpp>
#include <asio_semaphore/detail/fleet/limit_line.hpp>
#include <asio_semaphore/detail/operation/completion.hpp>
#include <asio_semaphore/fleet/fleet_error.hpp>

#include <boost/system/error_code.hpp>

namespace asio_semaphore::detail::fleet {

/// What the errors of the fleet's operations are, beyond those of every limit.
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
