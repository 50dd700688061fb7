#pragma once

#include <asio_semaphore/detail/operation/limited_token.hpp>
#include <asio_semaphore/limiter/limiter.hpp>
#include <asio_semaphore/with_permit.hpp>

#include <boost/asio/deferred.hpp>

#include <type_traits>
#include <utility>

namespace asio_semaphore {
namespace detail {

/// Admission to a limiter, as a limit.
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

/// Puts an asynchronous operation under a limit: it runs while it has a place of @p limit.
/**
 * As `with_permit(semaphore, token)`, whose documentation holds for all that is not said here:
 *
 * @code
 * co_await asio::async_write(socket, buffers, with_permit(limiter, {.key = key_of(client)},
 *                                                         asio::use_awaitable));
 * @endcode
 *
 * Asks for admission, starts the operation, and finishes the admission with the operation's error
 * code when it completes, before the handler is called: the limiter's `classify` says whether that
 * was a success, tells of overload, or of nothing. An operation that completes with an exception
 * counts by the code of a `system_error`, and is ignored otherwise; one that tells of no error is a
 * success. One that is dropped with its execution context, or fails to start, counts as ignored and
 * unreported.
 *
 * If it is not admitted the operation is not started. It completes with the error of
 * @ref basic_limiter::async_admit and value-initialised other arguments.
 *
 * @par Completion Signature
 * That of the operation, whose first argument is an `error_code` or a `std::exception_ptr`.
 *
 * @par Fairness
 * As of @ref basic_limiter::async_admit.
 *
 * @par Per-Operation Cancellation
 * While it waits: terminal, partial, total. Once the operation is started it is the one that is
 * cancelled, and its place stays taken until it completes.
 *
 * @par Executor
 * As with a semaphore: that of the handler serves both stages.
 *
 * @par Errors
 * Those of @ref basic_limiter::async_admit, and of the operation.
 */
template <
    typename Executor, typename CompletionToken, typename = detail::not_a_request<CompletionToken>>
[[nodiscard]] auto with_permit(basic_limiter<Executor>& limit, CompletionToken&& token) {
    return detail::limit_token(
        detail::limiter_limit<Executor>{&limit, {}}, std::forward<CompletionToken>(token));
}

/// The same for this request.
/// @copydetails with_permit(basic_limiter<Executor>&, CompletionToken&&)
template <typename Executor, typename CompletionToken>
[[nodiscard]] auto
with_permit(basic_limiter<Executor>& limit, admission_request request, CompletionToken&& token) {
    return detail::limit_token(
        detail::limiter_limit<Executor>{&limit, request}, std::forward<CompletionToken>(token));
}

/// The same for the operation's default token.
/// @copydetails with_permit(basic_limiter<Executor>&, CompletionToken&&)
template <typename Executor>
[[nodiscard]] auto with_permit(basic_limiter<Executor>& limit, admission_request request = {}) {
    return detail::partial_limited_token<detail::limiter_limit<Executor>>{{{&limit, request}, {}}};
}

} // namespace asio_semaphore
