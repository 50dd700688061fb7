// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <asio_semaphore/detail/operation/limited_token.hpp>
#include <asio_semaphore/fleet/fleet_semaphore.hpp>
#include <asio_semaphore/fleet/while_held.hpp>
#include <asio_semaphore/with_permit.hpp>

#include <boost/asio/deferred.hpp>

#include <cstddef>
#include <utility>

namespace asio_semaphore {
namespace detail {

/// Permits of a fleet semaphore, as a limit.
template <typename Executor>
struct fleet_limit {
    using grants_what_can_be_lost = void;

    Executor get_executor() const noexcept { return semaphore->get_executor(); }
    auto acquire() const { return semaphore->async_acquire_permit(n, asio::deferred); }

    basic_fleet_semaphore<Executor>* semaphore;
    std::ptrdiff_t n;
};

} // namespace detail

/// Runs an asynchronous operation under a limit of the fleet: while it holds a permit of @p limit.
/**
 * @param limit grants the permit
 * @param token the completion token for the result of the operation
 *
 * Acquires the permit and starts the operation. When the operation completes, `with_permit` sends
 * the permit back and then calls the handler. If the permit is lost meanwhile, the operation is
 * cancelled with the type terminal, on the handler's executor, and completes as its cancellation
 * does.
 *
 * If the permit cannot be acquired, the operation never starts. It then completes with the error of
 * @ref basic_fleet_semaphore::async_acquire_permit and value-initialised other arguments. For
 * everything else see @ref with_permit(basic_async_semaphore<Executor>&, CompletionToken&&)
 * "with_permit(semaphore, token)".
 *
 * @par Example
 * @code
 * co_await asio::async_write(socket, buffers, with_permit(limit, asio::use_awaitable));
 * @endcode
 *
 * @par Completion Signature
 * That of the operation, whose first argument has to be an `error_code` or a `std::exception_ptr`.
 *
 * @par Fairness
 * First come, first granted: by arrival at the server, and within this process by initiation.
 *
 * @par Per-Operation Cancellation
 * While the operation waits for its permit: terminal, partial and total. After its start: the types
 * that the operation supports; its permit stays held until it completes.
 *
 * @par Executor
 * The handler's associated executor, for both stages.
 *
 * @par Errors
 * Those of @ref basic_fleet_semaphore::async_acquire_permit, and those of the operation.
 *
 * @see @ref fleet
 */
template <
    typename Executor, typename CompletionToken, typename = detail::not_a_count<CompletionToken>>
[[nodiscard]] auto with_permit(basic_fleet_semaphore<Executor>& limit, CompletionToken&& token) {
    return detail::limit_token(
        detail::fleet_limit<Executor>{&limit, 1}, std::forward<CompletionToken>(token));
}

/// Runs an asynchronous operation while it holds @p n permits of @p limit, all of them or none.
/**
 * @param limit grants the permits
 * @param n the number of permits
 * @param token the completion token for the result of the operation
 *
 * For everything else see @ref with_permit(basic_fleet_semaphore<Executor>&, CompletionToken&&)
 * "with_permit(limit, token)".
 */
template <typename Executor, typename CompletionToken>
[[nodiscard]] auto
with_permit(basic_fleet_semaphore<Executor>& limit, std::ptrdiff_t n, CompletionToken&& token) {
    return detail::limit_token(
        detail::fleet_limit<Executor>{&limit, n}, std::forward<CompletionToken>(token));
}

/// Runs an asynchronous operation while it holds permits of @p limit, with the operation's default
/// completion token, or `deferred` if it has none.
/**
 * @param limit grants the permits
 * @param n the number of permits
 *
 * The result is also a function object: called with a token, it adapts that token. For everything
 * else see @ref with_permit(basic_fleet_semaphore<Executor>&, CompletionToken&&)
 * "with_permit(limit, token)".
 */
template <typename Executor>
[[nodiscard]] auto with_permit(basic_fleet_semaphore<Executor>& limit, std::ptrdiff_t n = 1) {
    return detail::partial_limited_token<detail::fleet_limit<Executor>>{{{&limit, n}, {}}};
}

} // namespace asio_semaphore
