#pragma once

#include <asio_semaphore/config.hpp>

#include <boost/system/error_code.hpp>

#include <type_traits>

namespace asio_semaphore {

/// What can go wrong with a semaphore, beyond what Asio's own error codes say.
/**
 * A cancelled operation completes with `boost::asio::error::operation_aborted`, one whose deadline
 * has passed with `boost::asio::error::timed_out`, one with a negative count with
 * `boost::asio::error::invalid_argument`.
 */
enum class error {
    closed = 1,   ///< The semaphore is closed: it admits nobody any more.
    exceeds_max,  ///< More permits were asked for than the semaphore can ever hold.
    over_release, ///< The release would raise the available permits above the maximum; nothing was
                  ///< released.
    queue_full    ///< Reserved: no operation of this version completes with it.
};

/// The category of @ref error; its id is fixed, so that it compares equal across shared libraries.
ASIO_SEMAPHORE_DECL const boost::system::error_category& error_category() noexcept;

/// Lets an @ref error be assigned to and compared with an `error_code`.
ASIO_SEMAPHORE_DECL boost::system::error_code make_error_code(error e) noexcept;

} // namespace asio_semaphore

template <>
struct boost::system::is_error_code_enum<asio_semaphore::error> : std::true_type {};

#if !defined(ASIO_SEMAPHORE_SEPARATE_COMPILATION)
#include <asio_semaphore/impl/error.ipp>
#endif
