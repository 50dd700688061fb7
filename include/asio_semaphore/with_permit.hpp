// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <asio_semaphore/async_semaphore.hpp>
#include <asio_semaphore/detail/operation/limited_token.hpp>

#include <boost/asio/deferred.hpp>

#include <cstddef>
#include <utility>

namespace asio_semaphore {
namespace detail {

/// The Limit of limited_token for permits of a semaphore.
template <typename Executor>
struct semaphore_limit {
    Executor get_executor() const noexcept { return semaphore->get_executor(); }
    auto acquire() const { return semaphore->async_acquire_permit(count, asio::deferred); }

    basic_async_semaphore<Executor>* semaphore;
    std::ptrdiff_t count;
};

} // namespace detail

/// The completion token that @ref with_permit returns. Only code that stores the token has to name
/// it.
template <typename CompletionToken, typename Executor>
using with_permit_t = detail::limited_token<CompletionToken, detail::semaphore_limit<Executor>>;

/// What `with_permit(sem)` and `with_permit(sem, n)` return: a token that adapts the default token
/// of the operation, and a function object that adapts the token it is called with.
template <typename Executor>
using partial_with_permit = detail::partial_limited_token<detail::semaphore_limit<Executor>>;

/// Runs an asynchronous operation under a limit: while it holds a permit of @p semaphore.
/**
 * @param semaphore grants the permit
 * @param token the completion token for the result of the operation
 *
 * A completion token adapter for any operation of any library, and for any token. It acquires the
 * permit, waiting if necessary, and starts the operation. When the operation completes, it gives
 * the permit back and then calls the handler with the operation's own results. The permit also goes
 * back if the operation is dropped with its execution context, or fails to start.
 *
 * If the permit cannot be acquired, the operation never starts. It then completes with the error of
 * the acquire and value-initialised other arguments.
 *
 * @par Example
 * @code
 * co_await asio::async_write(socket, buffers, with_permit(sem, asio::use_awaitable));
 * resolver.async_resolve(host, port, with_permit(sem, [](error_code ec, auto results) { ... }));
 * @endcode
 *
 * @par Completion Signature
 * That of the operation. It has to be able to report that there was no permit: its first argument
 * is an `error_code` or a `std::exception_ptr`, and the others can be value-initialised, or
 * constructed from the operation's executor, like the socket of `async_accept`. If there are
 * several signatures, the first such one reports it. If there is none, the program does not
 * compile.
 *
 * @par Fairness
 * First come, first granted; see @ref basic_async_semaphore. The operation joins the queue when it
 * is initiated; with a lazy token that is when it starts.
 *
 * @par Per-Operation Cancellation
 * While the operation waits for its permit: terminal, partial and total. The operation then never
 * starts, even if the permit has been granted already. After its start: the types that the
 * operation supports, which are passed on unchanged. The signal may be destroyed, or its slot used
 * for another operation, at any time; neither stage can then be cancelled through it any more. An
 * emission after the end of the operation has no effect, even if its I/O object is destroyed.
 * Before the start any thread may emit. After the start the rules of the operation apply: most of
 * Asio's have to be cancelled on their executor, or on their strand if several threads run that
 * executor. This includes emissions by `parallel_group`, `||` and `cancel_after`.
 *
 * @par Executor
 * The operation starts like a later step of any composed operation: its I/O object's executor
 * dispatches the start to the handler's associated executor, if there is one. The operation never
 * starts inside the initiating function, with one exception: if a permit is free and the handler
 * has an associated immediate executor, the start is dispatched to that. Both executors, that of
 * the I/O object and that of the handler, have outstanding work while the operation waits. The
 * executor, allocator, cancellation slot and immediate executor of the handler apply to both
 * stages. An exception from the start of the operation propagates out of `run()`, as an exception
 * from a handler does, and the handler is destroyed. A few operations do not make their executor
 * known: they start on the handler's executor, or on the semaphore's if the handler has none.
 * Before Boost 1.86 the same applies to operations that other adapters wrap.
 *
 * @par Errors
 * Those of @ref basic_async_semaphore::async_acquire_permit, and those of the operation.
 *
 * @par Allocation
 * If a permit is free: the allocations of the acquire and of the operation, and one more block if
 * the handler has a connected cancellation slot.
 *
 * @par Lifetime
 * The semaphore has to outlive the call of the initiating function, but no more than that, even
 * with a lazy token. If the semaphore is destroyed later, an operation that still waits is aborted.
 * What the operation refers to (its I/O object, its buffers) has to live until it completes, as
 * without a limit. So do the execution contexts of the operation and of its handler, because the
 * operation waits there. The arguments of the initiation are copied or moved, and kept until the
 * operation starts. If it never starts, they are destroyed before the handler is called.
 *
 * @par Composition
 * `with_permit(a, with_permit(b, token))` acquires from a, then from b. It can deadlock with code
 * that acquires from b, then from a. Operations that acquire from one semaphore more than once can
 * deadlock too: with a single permit such an operation waits for itself until it is cancelled, and
 * n operations that hold one of n permits each wait for each other. Acquire all permits at once
 * instead: `with_permit(sem, 2, token)`. The same applies to an operation that consists of
 * operations under the same limit.
 *
 * @par Other adapters
 * Asio applies the adapter next to the token outermost. So
 * `with_permit(sem, cancel_after(t, token))` limits the time of waiting and running together, and
 * `cancel_after(t, with_permit(sem, token))` the time of running alone. What is bound or appended
 * outside applies only to the running operation: write
 * `with_permit(sem, bind_executor(executor, token))`. Put `redirect_error` inside as well, because
 * outside it removes the argument that reports a missing permit. Two `with_permit` with another
 * adapter in between acquire in the opposite order.
 *
 * @see @ref outgoing_calls, @ref choosing, @ref tokens
 */
template <
    typename Executor, typename CompletionToken, typename = detail::not_a_count<CompletionToken>>
[[nodiscard]] auto
with_permit(basic_async_semaphore<Executor>& semaphore, CompletionToken&& token) {
    return detail::limit_token(
        detail::semaphore_limit<Executor>{&semaphore, 1}, std::forward<CompletionToken>(token));
}

/// Runs an asynchronous operation while it holds @p n permits of @p semaphore, all of them or none.
/**
 * @param semaphore grants the permits
 * @param n the number of permits
 * @param token the completion token for the result of the operation
 *
 * For everything else see @ref with_permit(basic_async_semaphore<Executor>&, CompletionToken&&)
 * "with_permit(semaphore, token)".
 */
template <typename Executor, typename CompletionToken>
[[nodiscard]] auto
with_permit(basic_async_semaphore<Executor>& semaphore, std::ptrdiff_t n, CompletionToken&& token) {
    return detail::limit_token(
        detail::semaphore_limit<Executor>{&semaphore, n}, std::forward<CompletionToken>(token));
}

/// Runs an asynchronous operation while it holds permits of @p semaphore, with the operation's
/// default completion token, or `deferred` if it has none.
/**
 * @param semaphore grants the permits
 * @param n the number of permits
 *
 * The result is also a function object: called with a token, it adapts that token. For everything
 * else see @ref with_permit(basic_async_semaphore<Executor>&, CompletionToken&&)
 * "with_permit(semaphore, token)".
 *
 * @par Example
 * @code
 * co_await timer.async_wait(with_permit(sem));
 * timer.async_wait(with_permit(sem, 2)(handler));
 * @endcode
 */
template <typename Executor>
[[nodiscard]] partial_with_permit<Executor>
with_permit(basic_async_semaphore<Executor>& semaphore, std::ptrdiff_t n = 1) {
    return {{{&semaphore, n}, {}}};
}

} // namespace asio_semaphore
