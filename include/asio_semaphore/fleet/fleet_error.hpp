// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <asio_semaphore/fleet/config.hpp>

#include <boost/system/error_code.hpp>

#include <type_traits>

namespace asio_semaphore {

/// The errors of a limit that a server keeps. Fleet semaphores also use `error::closed`,
/// `error::exceeds_max`, `error::queue_full` and Asio's own error codes.
enum class fleet_error {
    lost = 1,       ///< The permit has ended: it was not renewed in time, or the server lost it.
    limit_mismatch, ///< The server has another limit under this name.
    unreachable,    ///< The server could not be reached for too long.
    rejected,       ///< The server refused the call; its text is in the client's log.
    clustered,      ///< The server is part of a cluster, and another node has the key.
    incompatible    ///< Another version of the library wrote the server's data.
};

/// The category of @ref fleet_error. Its id is fixed, so that it compares equal across shared
/// libraries.
inline const boost::system::error_category& fleet_error_category() noexcept;

/// Lets a @ref fleet_error be assigned to an `error_code`, and compared with one.
inline boost::system::error_code make_error_code(fleet_error e) noexcept;

} // namespace asio_semaphore

template <>
struct boost::system::is_error_code_enum<asio_semaphore::fleet_error> : std::true_type {};

#include <asio_semaphore/fleet/impl/fleet_error.ipp>
