#pragma once

#include <asio_semaphore/fleet/config.hpp>

#include <boost/system/error_code.hpp>

#include <type_traits>

namespace asio_semaphore {

/// What can go wrong with a limit that lives elsewhere. `error::closed`, `error::exceeds_max` and
/// `error::queue_full` are used where they fit.
enum class fleet_error {
    lost = 1,       ///< The permit has ended: it was not renewed in time, or the server lost it.
    limit_mismatch, ///< The fleet has another limit under this name.
    unreachable,    ///< The server could not be reached for too long.
    rejected,       ///< The server refuses; the client's log has its words.
    clustered,      ///< The server is part of a cluster, and another one has the key.
    incompatible    ///< The server's data were written by another version of the library.
};

/// The category of @ref fleet_error; its id is fixed, so that it compares equal across shared
/// libraries.
inline const boost::system::error_category& fleet_error_category() noexcept;

/// Lets a @ref fleet_error be assigned to and compared with an `error_code`.
inline boost::system::error_code make_error_code(fleet_error e) noexcept;

} // namespace asio_semaphore

template <>
struct boost::system::is_error_code_enum<asio_semaphore::fleet_error> : std::true_type {};

#include <asio_semaphore/fleet/impl/fleet_error.ipp>
