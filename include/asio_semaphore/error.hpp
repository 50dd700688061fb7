// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <asio_semaphore/config.hpp>

#include <boost/system/error_code.hpp>

#include <type_traits>

namespace asio_semaphore {

/// The errors of semaphores and limiters that Asio has no error code for.
/**
 * Asio's own codes are used for the rest: a cancelled operation completes with
 * `boost::asio::error::operation_aborted`, an operation whose deadline has passed with
 * `boost::asio::error::timed_out`, an operation with a negative count with
 * `boost::asio::error::invalid_argument`.
 */
enum class error {
    closed = 1,   ///< The semaphore or limiter is closed.
    exceeds_max,  ///< The request is larger than the maximum, or than the limit.
    over_release, ///< The release would exceed the maximum; nothing was released.
    queue_full,   ///< The queue was full when the request arrived.
    shed ///< A limiter removed the request from its queue: the short time limit of a standing queue
         ///< had expired, or another request took its position.
};

/// A property that several error codes share. Compare an `error_code` with it.
/**
 * @code
 * if (ec == condition::overload)
 *     return reply(503);
 * @endcode
 */
enum class condition {
    /// A limiter refused the request: @ref error::queue_full, @ref error::shed or
    /// `boost::asio::error::timed_out`.
    overload = 1
};

/// The category of @ref error. Its id is fixed, so that it compares equal across shared libraries.
ASIO_SEMAPHORE_DECL const boost::system::error_category& error_category() noexcept;

/// Lets an @ref error be assigned to an `error_code`, and compared with one.
ASIO_SEMAPHORE_DECL boost::system::error_code make_error_code(error e) noexcept;

/// The category of @ref condition. Its id is fixed as well.
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
