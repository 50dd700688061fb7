#pragma once

#include <asio_semaphore/async_semaphore.hpp>
#include <asio_semaphore/detail/operation/failure_of.hpp>
#include <asio_semaphore/detail/operation/with_permit_operation.hpp>

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/deferred.hpp>

#include <cstddef>
#include <type_traits>
#include <utility>

namespace asio_semaphore {

/// The completion token that @ref with_permit makes; name it only to store it.
template <typename CompletionToken, typename Executor>
struct with_permit_t {
    /// The token that it adapts.
    using token_type = CompletionToken;
    /// The semaphore whose permits the operation runs with.
    using semaphore_type = basic_async_semaphore<Executor>;

    semaphore_type* semaphore_;
    std::ptrdiff_t count_;
    CompletionToken token_;
};

template <typename Executor>
struct partial_with_permit;

namespace detail {

/// Stands for the default token of the operation that it is given to.
struct default_token {};

template <typename T>
struct is_with_permit : std::false_type {};
template <typename CompletionToken, typename Executor>
struct is_with_permit<with_permit_t<CompletionToken, Executor>> : std::true_type {};
template <typename Executor>
struct is_with_permit<partial_with_permit<Executor>> : std::true_type {};

// Of several adapters it is the innermost whose turn comes first. So that permits are acquired in
// the order in which they are written, a new one goes below those that are there already.
template <typename Executor, typename Token>
auto make_with_permit(basic_async_semaphore<Executor>& semaphore, std::ptrdiff_t n, Token&& token) {
    if constexpr (is_with_permit<std::decay_t<Token>>::value) {
        auto inner = detail::make_with_permit(semaphore, n, std::forward<Token>(token).token_);
        using inner_type = decltype(inner);
        using outer_executor = typename std::decay_t<Token>::semaphore_type::executor_type;
        return with_permit_t<inner_type, outer_executor>{
            token.semaphore_, token.count_, std::move(inner)};
    } else {
        return with_permit_t<std::decay_t<Token>, Executor>{
            &semaphore, n, std::forward<Token>(token)};
    }
}

/// T with the constness and value category of From.
template <typename From, typename T>
using forwarded_t = std::conditional_t<
    std::is_const_v<std::remove_reference_t<From>>, const T&,
    std::conditional_t<std::is_lvalue_reference_v<From>, T&, T>>;

template <typename... Signatures, typename Initiation, typename Semaphore>
auto make_initiate_with_permit(Initiation&& initiation, Semaphore& semaphore, std::ptrdiff_t n) {
    const auto executor = asio::get_associated_executor(initiation, semaphore.get_executor());
    using failure = failure_of<std::decay_t<decltype(executor)>, Signatures...>;
    static_assert(
        failure::possible,
        "with_permit needs an operation that can complete without a permit: the first argument of "
        "its completion signature has to be an error_code or an exception_ptr, and the others have "
        "to be constructible from nothing, or from its executor");
    auto acquire = semaphore.async_acquire_permit(n, asio::deferred);
    return initiate_with_permit<
        failure, std::decay_t<Initiation>, std::decay_t<decltype(executor)>, decltype(acquire)>(
        std::forward<Initiation>(initiation), executor, std::move(acquire));
}

/// Before Boost 1.83 binders ask the token that they adapt for this type.
template <typename AsyncResult, typename = void>
struct return_type_of {};
template <typename AsyncResult>
struct return_type_of<AsyncResult, std::void_t<typename AsyncResult::return_type>> {
    using return_type = typename AsyncResult::return_type;
};

/// The default token of an initiation's executor; `deferred`, as in newer Boosts, if it has none.
template <
    typename Initiation, typename Default = typename asio::default_completion_token<
                             asio::associated_executor_t<std::decay_t<Initiation>>>::type>
using default_token_t = std::conditional_t<std::is_void_v<Default>, asio::deferred_t, Default>;

} // namespace detail

/// What `with_permit(sem)` and `with_permit(sem, n)` make: a token that adapts the default token of
/// the operation, and a function object that adapts the token that it is given.
template <typename Executor>
struct partial_with_permit : with_permit_t<detail::default_token, Executor> {
    /// Adapts @p token, as `with_permit` with this semaphore and this number of permits does.
    template <typename CompletionToken>
    [[nodiscard]] auto operator()(CompletionToken&& token) const {
        return detail::make_with_permit(
            *this->semaphore_, this->count_, std::forward<CompletionToken>(token));
    }
};

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
    return detail::make_with_permit(semaphore, 1, std::forward<CompletionToken>(token));
}

/// The same with @p n permits, all of them or none. @copydetails with_permit
template <typename Executor, typename CompletionToken>
[[nodiscard]] auto
with_permit(basic_async_semaphore<Executor>& semaphore, std::ptrdiff_t n, CompletionToken&& token) {
    return detail::make_with_permit(semaphore, n, std::forward<CompletionToken>(token));
}

/// The same for the operation's default token. @copydetails with_permit
template <typename Executor>
[[nodiscard]] partial_with_permit<Executor>
with_permit(basic_async_semaphore<Executor>& semaphore, std::ptrdiff_t n = 1) {
    return {{&semaphore, n, {}}};
}

} // namespace asio_semaphore

template <typename CompletionToken, typename Executor, typename... Signatures>
struct boost::asio::async_result<
    asio_semaphore::with_permit_t<CompletionToken, Executor>, Signatures...>
    : asio_semaphore::detail::return_type_of<async_result<CompletionToken, Signatures...>> {
    template <typename Initiation, typename RawCompletionToken, typename... Args>
    static auto initiate(Initiation&& initiation, RawCompletionToken&& token, Args&&... args)
        -> decltype(boost::asio::async_initiate<
                    asio_semaphore::detail::forwarded_t<RawCompletionToken, CompletionToken>,
                    Signatures...>(
            asio_semaphore::detail::make_initiate_with_permit<Signatures...>(
                std::forward<Initiation>(initiation), *token.semaphore_, token.count_),
            token.token_, std::forward<Args>(args)...)) {
        return boost::asio::async_initiate<
            asio_semaphore::detail::forwarded_t<RawCompletionToken, CompletionToken>,
            Signatures...>(
            asio_semaphore::detail::make_initiate_with_permit<Signatures...>(
                std::forward<Initiation>(initiation), *token.semaphore_, token.count_),
            token.token_, std::forward<Args>(args)...);
    }
};

template <typename Executor, typename... Signatures>
struct boost::asio::async_result<asio_semaphore::partial_with_permit<Executor>, Signatures...>
    : async_result<
          asio_semaphore::with_permit_t<asio_semaphore::detail::default_token, Executor>,
          Signatures...> {};

template <typename... Signatures>
struct boost::asio::async_result<asio_semaphore::detail::default_token, Signatures...> {
    template <typename Initiation, typename RawCompletionToken, typename... Args>
    static auto initiate(Initiation&& initiation, RawCompletionToken&&, Args&&... args)
        -> decltype(boost::asio::async_initiate<
                    asio_semaphore::detail::default_token_t<Initiation>, Signatures...>(
            std::forward<Initiation>(initiation),
            std::declval<asio_semaphore::detail::default_token_t<Initiation>&>(),
            std::forward<Args>(args)...)) {
        asio_semaphore::detail::default_token_t<Initiation> token{};
        return boost::asio::async_initiate<
            asio_semaphore::detail::default_token_t<Initiation>, Signatures...>(
            std::forward<Initiation>(initiation), token, std::forward<Args>(args)...);
    }
};
