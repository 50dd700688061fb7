// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <asio_semaphore/detail/operation/limited_token.hpp>
#include <asio_semaphore/limiter/limiter.hpp>
#include <asio_semaphore/with_permit.hpp>

#include <boost/asio/deferred.hpp>

#include <type_traits>
#include <utility>

namespace asio_semaphore {
namespace detail {

/// The Limit of limited_token for an admission to a limiter.
template <typename Executor>
struct limiter_limit {
    Executor get_executor() const noexcept { return limiter->get_executor(); }
    auto acquire() const { return limiter->async_admit(request, asio::deferred); }

    basic_limiter<Executor>* limiter;
    admission_request request;
};

template <typename Token>
using not_a_request = std::enable_if_t<!std::is_same_v<std::decay_t<Token>, admission_request>>;

} // namespace detail

/// Runs an asynchronous operation under a limit: while it has a place of @p limit.
/**
 * @param limit admits the operation
 * @param token the completion token for the result of the operation
 *
 * Requests admission and starts the operation. When the operation completes, `with_permit` finishes
 * the admission and then calls the handler. The limiter's `classify` turns the error code of the
 * operation into an @ref outcome. An exception counts by its error code if it is a `system_error`,
 * and otherwise as ignored. An operation without an error in its results counts as a success. An
 * operation that is dropped with its execution context, or fails to start, counts as ignored and
 * unreported.
 *
 * If the request is not admitted, the operation never starts. It then completes with the error of
 * @ref basic_limiter::async_admit and value-initialised other arguments. For everything else see
 * @ref with_permit(basic_async_semaphore<Executor>&, CompletionToken&&)
 * "with_permit(semaphore, token)".
 *
 * @par Example
 * @code
 * co_await asio::async_write(
 *     socket, buffers, with_permit(limit, {.key = key_of(client)}, asio::use_awaitable));
 * @endcode
 *
 * @par Completion Signature
 * That of the operation, whose first argument has to be an `error_code` or a `std::exception_ptr`.
 *
 * @par Fairness
 * By priority, by what the key holds and has received, and by arrival: see the section Order of
 * @ref basic_limiter.
 *
 * @par Per-Operation Cancellation
 * While the operation waits for admission: terminal, partial and total. After its start: the types
 * that the operation supports; its place stays taken until it completes.
 *
 * @par Executor
 * The handler's associated executor, for both stages.
 *
 * @par Errors
 * Those of @ref basic_limiter::async_admit, and those of the operation.
 *
 * @see @ref overload, @ref clients
 */
template <
    typename Executor, typename CompletionToken, typename = detail::not_a_request<CompletionToken>>
[[nodiscard]] auto with_permit(basic_limiter<Executor>& limit, CompletionToken&& token) {
    return detail::limit_token(
        detail::limiter_limit<Executor>{&limit, {}}, std::forward<CompletionToken>(token));
}

/// Runs an asynchronous operation while it has a place of @p limit, with the key, priority, weight
/// and deadline of @p request.
/**
 * @param limit admits the operation
 * @param request what is requested
 * @param token the completion token for the result of the operation
 *
 * For everything else see @ref with_permit(basic_limiter<Executor>&, CompletionToken&&)
 * "with_permit(limit, token)".
 */
template <typename Executor, typename CompletionToken>
[[nodiscard]] auto
with_permit(basic_limiter<Executor>& limit, admission_request request, CompletionToken&& token) {
    return detail::limit_token(
        detail::limiter_limit<Executor>{&limit, request}, std::forward<CompletionToken>(token));
}

/// Runs an asynchronous operation while it has a place of @p limit, with the operation's default
/// completion token, or `deferred` if it has none.
/**
 * @param limit admits the operation
 * @param request what is requested
 *
 * The result is also a function object: called with a token, it adapts that token. For everything
 * else see @ref with_permit(basic_limiter<Executor>&, CompletionToken&&)
 * "with_permit(limit, token)".
 */
template <typename Executor>
[[nodiscard]] auto with_permit(basic_limiter<Executor>& limit, admission_request request = {}) {
    return detail::partial_limited_token<detail::limiter_limit<Executor>>{{{&limit, request}, {}}};
}

} // namespace asio_semaphore
