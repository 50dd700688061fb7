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

/// Permits of a fleet's semaphore, as a limit.
template <typename Executor>
struct fleet_limit {
    using grants_what_can_be_lost = void;

    Executor get_executor() const noexcept { return semaphore->get_executor(); }
    auto acquire() const { return semaphore->async_acquire_permit(n, asio::deferred); }

    basic_fleet_semaphore<Executor>* semaphore;
    std::ptrdiff_t n;
};

} // namespace detail

/// Puts an asynchronous operation under a limit of the fleet: it runs while it holds a permit.
/**
 * As `with_permit(semaphore, token)`, whose documentation holds for all that is not said here.
 *
 * When the permit is lost the operation is cancelled, with the type terminal, on the handler's
 * executor; it completes as its own cancellation has it. The permit is on its way back before the
 * handler is called.
 *
 * If there is no permit the operation is not started. It completes with the error of
 * @ref basic_fleet_semaphore::async_acquire_permit and value-initialised other arguments.
 *
 * @par Completion Signature
 * That of the operation, whose first argument is an `error_code` or a `std::exception_ptr`.
 *
 * @par Fairness
 * As of @ref basic_fleet_semaphore::async_acquire_permit.
 *
 * @par Per-Operation Cancellation
 * While it waits: terminal, partial, total. Once the operation is started it is the one that is
 * cancelled, and its permit stays held until it completes.
 *
 * @par Executor
 * As with a semaphore: that of the handler serves both stages.
 *
 * @par Errors
 * Those of @ref basic_fleet_semaphore::async_acquire_permit, and of the operation.
 */
template <
    typename Executor, typename CompletionToken, typename = detail::not_a_count<CompletionToken>>
[[nodiscard]] auto with_permit(basic_fleet_semaphore<Executor>& limit, CompletionToken&& token) {
    return detail::limit_token(
        detail::fleet_limit<Executor>{&limit, 1}, std::forward<CompletionToken>(token));
}

/// The same with @p n permits.
/// @copydetails with_permit(basic_fleet_semaphore<Executor>&, CompletionToken&&)
template <typename Executor, typename CompletionToken>
[[nodiscard]] auto
with_permit(basic_fleet_semaphore<Executor>& limit, std::ptrdiff_t n, CompletionToken&& token) {
    return detail::limit_token(
        detail::fleet_limit<Executor>{&limit, n}, std::forward<CompletionToken>(token));
}

/// The same for the operation's default token.
/// @copydetails with_permit(basic_fleet_semaphore<Executor>&, CompletionToken&&)
template <typename Executor>
[[nodiscard]] auto with_permit(basic_fleet_semaphore<Executor>& limit, std::ptrdiff_t n = 1) {
    return detail::partial_limited_token<detail::fleet_limit<Executor>>{{{&limit, n}, {}}};
}

} // namespace asio_semaphore
