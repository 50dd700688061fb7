#pragma once

#include <asio_semaphore/config.hpp>

#include <boost/system/error_code.hpp>

#include <type_traits>

namespace asio_semaphore {

/// What can go wrong with a semaphore or a limiter, beyond what Asio's own error codes say.
/**
 * A cancelled operation completes with `boost::asio::error::operation_aborted`, one whose deadline
 * has passed with `boost::asio::error::timed_out`, one with a negative count with
 * `boost::asio::error::invalid_argument`.
 */
enum class error {
    closed = 1,   ///< It is closed: it admits nobody any more.
    exceeds_max,  ///< More was asked for than it can ever hold.
    over_release, ///< The release would raise the available permits above the maximum; nothing was
                  ///< released.
    queue_full,   ///< Refused on arrival: too many wait already.
    shed          ///< Left the limiter's queue unserved: the queue is a standing one and the short
                  ///< time to wait in it is over, or another request took the place.
};

/// What several errors have in common.
enum class condition {
    /// A limiter refused: @ref error::queue_full, @ref error::shed,
    /// `boost::asio::error::timed_out`.
    overload = 1
};

/// The category of @ref error; its id is fixed, so that it compares equal across shared libraries.
ASIO_SEMAPHORE_DECL const boost::system::error_category& error_category() noexcept;

/// Lets an @ref error be assigned to and compared with an `error_code`.
ASIO_SEMAPHORE_DECL boost::system::error_code make_error_code(error e) noexcept;

/// The category of @ref condition, with a fixed id as well.
ASIO_SEMAPHORE_DECL const boost::system::error_category& condition_category() noexcept;

/// Lets an `error_code` be compared with a @ref condition.
ASIO_SEMAPHORE_DECL boost::system::error_condition make_error_condition(condition c) noexcept;

} // namespace asio_semaphore

template <>
struct boost::system::is_error_code_enum<asio_semaphore::error> : std::true_type {};

template <>
struct boost::system::is_error_condition_enum<asio_semaphore::condition> : std::true_type {};

#if !defined(ASIO_SEMAPHORE_SEPARATE_COMPILATION)
#include <asio_semaphore/impl/error.ipp>
#endif
