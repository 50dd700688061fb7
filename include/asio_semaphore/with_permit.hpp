#pragma once

#include <asio_semaphore/async_semaphore.hpp>
#include <asio_semaphore/detail/operation/limited_token.hpp>

#include <boost/asio/deferred.hpp>

#include <cstddef>
#include <utility>

namespace asio_semaphore {
namespace detail {

/// Permits of a semaphore, as a limit.
template <typename Executor>
struct semaphore_limit {
    Executor get_executor() const noexcept { return semaphore->get_executor(); }
    auto acquire() const { return semaphore->async_acquire_permit(count, asio::deferred); }

    basic_async_semaphore<Executor>* semaphore;
    std::ptrdiff_t count;
};

} // namespace detail

/// The completion token that @ref with_permit makes; name it only to store it.
template <typename CompletionToken, typename Executor>
using with_permit_t = detail::limited_token<CompletionToken, detail::semaphore_limit<Executor>>;

/// What `with_permit(sem)` and `with_permit(sem, n)` make: a token that adapts the default token of
/// the operation, and a function object that adapts the token that it is given.
template <typename Executor>
using partial_with_permit = detail::partial_limited_token<detail::semaphore_limit<Executor>>;

/// Puts an asynchronous operation under a limit: it runs while holding a permit of @p semaphore.
/**
 * A completion token adapter, for any operation of any library and any token:
 *
 * @code
 * co_await asio::async_write(socket, buffers, with_permit(sem, asio::use_awaitable));
 * resolver.async_resolve(host, port, with_permit(sem, [](error_code ec, auto results) { ... }));
 * @endcode
 *
 * Acquires the permit, waiting for it if need be, starts the operation, gives the permit back when
 * the operation completes, then calls the handler, with the operation's own results. The permit
 * also goes back if the operation is dropped with its execution context, or fails to start.
 *
 * If the permit can't be had the operation is not started. It completes with the error of the
 * acquire and value-initialised other arguments.
 *
 * @par Completion Signature
 * That of the operation. It has to be able to tell that there was no permit: its first argument is
 * an `error_code` or a `std::exception_ptr`, and the others can be made from nothing, or from the
 * operation's executor, as the socket that `async_accept` delivers. Of several signatures one
 * suffices, and the first such one tells. Otherwise the program does not compile.
 *
 * @par Fairness
 * First come, first granted; see @ref basic_async_semaphore. The place is taken when the operation
 * is initiated, which lazy tokens do when they start.
 *
 * @par Per-Operation Cancellation
 * While it waits: terminal, partial, total; the operation is then never started, also if the permit
 * has been granted already. Once it is started: as the operation supports it, the types unchanged.
 * The signal may die, or its slot serve another operation, at any time: neither stage can then be
 * cancelled through it any more. Emitting has no effect once the operation has ended, even if its
 * I/O object is gone. Until the operation starts any thread may emit; from then on the wrapped
 * operation decides, which for most of Asio's means: on its executor, or its strand where several
 * threads run that. The same goes for what emits by itself, as `parallel_group`, `||` and
 * `cancel_after` do.
 *
 * @par Executor
 * The operation is started as the later steps of any composed operation are: its I/O object's
 * executor has it dispatched to the handler's associated executor, if that has one. Never inside
 * the initiating function, except that a handler with an immediate executor has a free permit's
 * operation dispatched there. Both executors are kept busy while the operation waits. Executor,
 * allocator, cancellation slot and immediate executor of the handler are those of both stages. An
 * exception from the start of the operation leaves that executor's `run()`, as one from a handler
 * does, and destroys the handler. (The few operations that do not tell their executor start on the
 * handler's, and without one on the semaphore's; before Boost 1.86 those that other adapters wrap,
 * too.)
 *
 * @par Errors
 * Those of @ref basic_async_semaphore::async_acquire_permit, and of the operation.
 *
 * @par Allocation
 * With a free permit, what the acquire and the operation need; where the handler brings a connected
 * cancellation slot, one block more.
 *
 * @par Lifetime
 * The semaphore must outlive the call of the initiating function, also if the token is lazy, and
 * nothing more: destroying it aborts the operation while that waits. What the operation refers to
 * (its I/O object, its buffers) must live until it completes, as without a limit, and so must the
 * execution contexts of operation and handler, where they are not the semaphore's: it is there that
 * the operation waits. Arguments of the initiation are copied or moved along until it starts; of an
 * operation that is never started they are gone when the handler is called.
 *
 * @par Composition
 * `with_permit(a, with_permit(b, token))` acquires of a, then of b. A program in which others
 * acquire of b, then of a, can deadlock, as can one whose operations each acquire of the same
 * semaphore more than once: acquired twice with one permit it waits for itself, until it is
 * cancelled, and n operations that have one each of n permits wait for each other. Acquire all at
 * once instead: `with_permit(sem, 2, token)`. The same goes for an operation that is itself made of
 * operations under the limit.
 *
 * Other adapters are applied as everywhere in Asio, the one next to the token outermost, so that
 * `with_permit(sem, cancel_after(t, token))` limits waiting and running together, and
 * `cancel_after(t, with_permit(sem, token))` the running alone. What is bound or appended outside
 * belongs to the running operation alone: `with_permit(sem, bind_executor(executor, token))` is
 * what one wants. `redirect_error` belongs inside, since outside it leaves nothing that could tell
 * of a failure. Two `with_permit` with another adapter in between acquire in the opposite order.
 *
 * Without a token, `with_permit(sem)` adapts the operation's default token (`deferred` if there is
 * none), and, called with a token, that token.
 */
template <
    typename Executor, typename CompletionToken, typename = detail::not_a_count<CompletionToken>>
[[nodiscard]] auto
with_permit(basic_async_semaphore<Executor>& semaphore, CompletionToken&& token) {
    return detail::limit_token(
        detail::semaphore_limit<Executor>{&semaphore, 1}, std::forward<CompletionToken>(token));
}

/// The same with @p n permits, all of them or none.
/// @copydetails with_permit(basic_async_semaphore<Executor>&, CompletionToken&&)
template <typename Executor, typename CompletionToken>
[[nodiscard]] auto
with_permit(basic_async_semaphore<Executor>& semaphore, std::ptrdiff_t n, CompletionToken&& token) {
    return detail::limit_token(
        detail::semaphore_limit<Executor>{&semaphore, n}, std::forward<CompletionToken>(token));
}

/// The same for the operation's default token.
/// @copydetails with_permit(basic_async_semaphore<Executor>&, CompletionToken&&)
template <typename Executor>
[[nodiscard]] partial_with_permit<Executor>
with_permit(basic_async_semaphore<Executor>& semaphore, std::ptrdiff_t n = 1) {
    return {{{&semaphore, n}, {}}};
}

} // namespace asio_semaphore
