// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/detail/operation/executors.hpp>
#include <asio_semaphore/detail/operation/initiate_acquire.hpp>
#include <asio_semaphore/detail/operation/semaphore_service.hpp>
#include <asio_semaphore/detail/state/semaphore_state.hpp>
#include <asio_semaphore/error.hpp>
#include <asio_semaphore/permit.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>
#include <boost/throw_exception.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <new>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace asio_semaphore {

/// An asynchronous, fair, counting semaphore: it limits how many operations run at the same time.
/**
 * A semaphore holds permits. An acquire takes permits, and waits asynchronously while too few are
 * free. A release gives permits back. The semaphore is an Asio I/O object, like a socket or a
 * timer.
 *
 * Prefer the operations that deliver a @ref permit object: it gives its permits back whatever
 * happens to the handler. With the plain `async_acquire` the caller has to release, even if the
 * result of the operation loses a race and is discarded.
 *
 * @par Example
 * @code
 * async_semaphore sem(context, 10, 10); // at most ten at the same time
 *
 * permit held = sem.try_acquire_permit(); // where a permit is free, the coroutine does not suspend
 * if (!held)
 *     held = co_await sem.async_acquire_permit(use_awaitable);
 * co_await work();
 * @endcode
 *
 * The following sections apply to all operations.
 *
 * @par Counts
 * A count is a `std::ptrdiff_t`, as in `std::counting_semaphore`. So a negative count is detected
 * and refused: asynchronous operations complete with `boost::asio::error::invalid_argument`, other
 * functions throw `std::invalid_argument`. An acquire of 0 permits succeeds at once, changes
 * nothing and delivers an empty permit; on a closed semaphore it fails like any other acquire. A
 * count that can never be granted takes precedence over other errors: it is reported even on a
 * closed semaphore or after the deadline.
 *
 * @par Fairness
 * Permits are granted in the order of initiation. A large request at the head of the queue holds
 * back the smaller requests behind it, and `try_acquire` never overtakes the queue; otherwise large
 * requests could starve. Permits pass from a release to a waiting operation in one step:
 * `available()` never shows them in between. A lazy operation (`deferred`, an `awaitable` that is
 * not awaited yet) joins the queue when it starts. The order in which handlers *run* is up to their
 * executors.
 *
 * @par Executor
 * A handler is posted straight to its associated executor, by default `get_executor()`, as Asio's
 * sockets and timers do after a wait. The semaphore's executor has no part in this if the handler
 * has an executor of its own. So a semaphore on a strand does not serialise the holders of its
 * permits, and a semaphore whose context is busy, or is not run at all, delays no handler on
 * another context. The exception is an executor that runs functions at once, in whatever thread
 * submits them: `system_executor`, `inline_executor`, the executors of futures, and any executor
 * that cannot be required never to block. A handler for such an executor is submitted to it from a
 * function on the semaphore's executor.
 *
 * @par Never inline
 * No handler runs inside the function that starts its operation, nor inside `release`, `cancel`,
 * `close`, `reduce`, the destructor of a permit, or the emission of a cancellation signal. There is
 * one exception: from Boost 1.82 on, an operation that completes at once is submitted to the
 * handler's associated immediate executor, if it has one.
 *
 * @par Outstanding work
 * The semaphore's executor and the handler's executor have outstanding work until the handler has
 * been submitted to its executor. So `run()` of neither context returns before that, and the
 * semaphore's context may end before the handler has run on another one.
 *
 * @par Cancellation
 * An operation can be cancelled through the cancellation slot of its handler, in constant time,
 * with the types terminal, partial and total: before the grant an acquire has no effect that would
 * have to be undone. It then completes with `boost::asio::error::operation_aborted`. After the
 * grant a cancellation has no effect, even if the handler has not run yet. Any thread may emit the
 * signal. The signal may be destroyed, or its slot used for another operation, before this one
 * completes.
 *
 * @par Thread safety
 * Distinct objects: safe. Shared objects: safe, except for construction, assignment, being moved
 * from and destruction. While nobody waits, acquiring and releasing take no lock. What happened
 * before a release is visible after the acquire that the release satisfies.
 *
 * @par Lifetime
 * The destructor completes waiting operations with `operation_aborted`. A move takes the waiting
 * operations along; the moved-from semaphore keeps its executor, can be assigned to and destroyed,
 * and otherwise acts as a closed semaphore without permits. Permits and lazy operations may outlive
 * the semaphore. The destruction of the execution context destroys waiting handlers without calling
 * them, even handlers that own the semaphore. As everywhere in Asio, the context of a handler's
 * executor has to outlive the operation. Once its context is destroyed, a moved-from semaphore can
 * only be destroyed or assigned to.
 *
 * @tparam Executor any I/O executor: one that has an execution context and can run a function later
 */
template <typename Executor = boost::asio::any_io_executor>
class basic_async_semaphore {
    using state_type = detail::semaphore_state<detail::threads>;
    using bare = void(boost::system::error_code);
    using owned = void(boost::system::error_code, permit);
    template <typename Signature>
    using initiate = detail::initiate_acquire<Signature, Executor>;
    template <typename Signature, typename Token, typename... Args>
    using initiated = decltype(boost::asio::async_initiate<Token, Signature>(
        std::declval<initiate<Signature>>(), std::declval<Token&>(), std::declval<Args>()...));
    using duration = detail::deadline_clock::duration;

public:
    /// The default executor of handlers.
    using executor_type = Executor;

    /// Rebinds the semaphore to another executor type, as Asio's I/O objects do for default
    /// completion tokens.
    template <typename Executor1>
    struct rebind_executor {
        /// The semaphore for executors of type `Executor1`.
        using other = basic_async_semaphore<Executor1>;
    };

    /// The largest number of permits that any semaphore can hold: at least 2^31 - 1.
    static constexpr std::ptrdiff_t max() noexcept { return state_type::max(); }

    /// Constructs a semaphore with @p initial free permits.
    /**
     * If the number of permits is fixed, give it as the maximum too: `sem(context, n, n)`.
     * Releasing a permit twice is then an error. Without a maximum the mistake goes unnoticed, and
     * from then on one operation too many runs.
     *
     * @param executor the default executor of handlers; deadlines run on it
     * @param initial the number of free permits; 0 is allowed
     * @param max_permits the maximum number of free permits
     *
     * @throws std::invalid_argument unless 0 <= initial <= max_permits and 1 <= max_permits <=
     * max()
     *
     * @see @ref introduction
     */
    basic_async_semaphore(
        const executor_type& executor, std::ptrdiff_t initial, std::ptrdiff_t max_permits = max()) :
        executor_(executor),
        state_(detail::semaphore_service::make_state(
            detail::context_of(executor_), initial, max_permits)) {}

    /// Constructs a semaphore with @p initial free permits, and at most @p max_permits, on the
    /// executor of @p context.
    /**
     * @throws std::invalid_argument unless 0 <= initial <= max_permits and 1 <= max_permits <=
     * max()
     */
    template <
        typename ExecutionContext, typename = std::enable_if_t<std::is_convertible_v<
                                       ExecutionContext&, boost::asio::execution_context&>>>
    basic_async_semaphore(
        ExecutionContext& context, std::ptrdiff_t initial, std::ptrdiff_t max_permits = max()) :
        basic_async_semaphore(executor_type(context.get_executor()), initial, max_permits) {}

    /// Takes over the permits and the waiting operations of @p other, which becomes a closed
    /// semaphore without permits.
    basic_async_semaphore(basic_async_semaphore&& other) noexcept :
        executor_(other.executor_), state_(std::move(other.state_)) {}

    /// Takes over the permits and the waiting operations of @p other, a semaphore for another
    /// executor type. That executor type has to be convertible to `Executor`, and both executors
    /// have to be of the same execution context.
    template <
        typename Executor1, typename = std::enable_if_t<std::is_convertible_v<Executor1, Executor>>>
    basic_async_semaphore(basic_async_semaphore<Executor1>&& other) noexcept(
        std::is_nothrow_constructible_v<Executor, const Executor1&>) :
        executor_(other.executor_), state_(std::move(other.state_)) {}

    /// Aborts the waiting operations of this semaphore, as the destructor does, and takes over the
    /// permits, the waiting operations and the executor of @p other.
    basic_async_semaphore& operator=(basic_async_semaphore&& other) {
        if (this != &other) {
            basic_async_semaphore old(std::move(*this));
            // Executors are copyable without throwing, but need not be assignable.
            executor_.~executor_type();
            ::new (static_cast<void*>(std::addressof(executor_))) executor_type(other.executor_);
            state_ = std::move(other.state_);
        }
        return *this;
    }

    /// Move-assigns from a semaphore for another executor type, which has to be convertible to
    /// `Executor`.
    template <
        typename Executor1, typename = std::enable_if_t<std::is_convertible_v<Executor1, Executor>>>
    basic_async_semaphore& operator=(basic_async_semaphore<Executor1>&& other) {
        return *this = basic_async_semaphore(std::move(other));
    }

    /// Completes waiting operations with `operation_aborted`. Permits may outlive the semaphore.
    ~basic_async_semaphore() {
        if (state_)
            state_->abort();
    }

    /// The executor of the semaphore.
    executor_type get_executor() const noexcept { return executor_; }

    /// The number of free permits; negative while @ref reduce has removed more permits than have
    /// come back.
    std::ptrdiff_t available() const noexcept { return state_ ? state_->available() : 0; }

    /// The maximum number of free permits.
    std::ptrdiff_t max_permits() const noexcept { return state_ ? state_->max_permits() : 0; }

    /// The number of operations in the queue.
    std::size_t waiting() const noexcept { return state_ ? state_->waiting() : 0; }

    /// False once @ref close has been called or the execution context is destroyed, and for a
    /// moved-from semaphore.
    bool is_open() const noexcept { return state_ && state_->is_open(); }

    /// Acquires one permit; the caller gives it back with @ref release.
    /**
     * @param token the completion token
     *
     * Completes when the acquire is granted or cancelled, or when the semaphore is closed or
     * destroyed.
     *
     * @par Completion Signature
     * @code void(boost::system::error_code) @endcode
     * On success the caller holds the permits. If the result is discarded, the permits are lost:
     * with `||`, `parallel_group` and `detached`, use @ref async_acquire_permit.
     *
     * @par Fairness
     * First come, first granted, in the order of initiation.
     *
     * @par Per-Operation Cancellation
     * Terminal, partial and total, until the grant. The operation leaves the queue and has no other
     * effect; operations behind it that fit now are granted at once.
     *
     * @par Executor
     * The handler's associated executor, by default `get_executor()`. The handler never runs inside
     * this function, unless it has an associated immediate executor.
     *
     * @par Errors
     * - `boost::asio::error::operation_aborted` if it was cancelled or the semaphore destroyed
     * - @ref error::closed if the semaphore is closed
     * - @ref error::exceeds_max if the count is greater than max_permits()
     * - `boost::asio::error::invalid_argument` if the count is negative
     *
     * @par Example
     * @code
     * sem.async_acquire([&](error_code ec) {
     *     if (ec)
     *         return;
     *     work();
     *     sem.release();
     * });
     * @endcode
     *
     * @see @ref choosing, @ref fairness, @ref cancellation
     */
    template <
        BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code))
            Token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN_TYPE(executor_type),
        typename = detail::not_a_count<Token>>
    auto async_acquire(Token&& token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN(executor_type))
        -> initiated<bare, Token, std::ptrdiff_t> {
        return start<bare, Token>(token, std::ptrdiff_t(1));
    }

    /// Acquires @p n permits, all of them or none; the caller gives them back with @ref release.
    /**
     * @param n the number of permits; 0 succeeds at once
     * @copydetails async_acquire
     */
    template <BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code))
                  Token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN_TYPE(executor_type)>
    auto async_acquire(
        std::ptrdiff_t n, Token&& token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN(executor_type))
        -> initiated<bare, Token, std::ptrdiff_t> {
        return start<bare, Token>(token, n);
    }

    /// Acquires one permit within a time limit; the caller gives it back with @ref release.
    /**
     * @param wait the longest time to wait, in any `std::chrono` unit, measured from the start of
     * the operation by the steady clock
     * @param token the completion token
     *
     * Completes when the acquire is granted or cancelled, when the time limit expires, or when the
     * semaphore is closed or destroyed. With a time limit of zero or less, the acquire succeeds if
     * it can be granted at once, and otherwise times out without entering the queue.
     *
     * @par Completion Signature
     * @code void(boost::system::error_code) @endcode
     * On success the caller holds the permits. If the result is discarded, the permits are lost:
     * with `||`, `parallel_group` and `detached`, use @ref async_acquire_permit_for.
     *
     * @par Fairness
     * First come, first granted, in the order of initiation, whatever the time limits. An operation
     * that times out leaves the queue and has no other effect; operations behind it that fit now
     * are granted at once.
     *
     * @par Per-Operation Cancellation
     * Terminal, partial and total, until the grant. Exactly one of grant, timeout and cancellation
     * ends the operation.
     *
     * @par Executor
     * The handler's associated executor, by default `get_executor()`. The handler never runs inside
     * this function, unless it has an associated immediate executor. All time limits of a semaphore
     * share one timer on `get_executor()`: an operation can time out only while the context of that
     * executor runs.
     *
     * @par Errors
     * - `boost::asio::error::timed_out` if the time limit has expired
     * - `boost::asio::error::operation_aborted` if it was cancelled or the semaphore destroyed
     * - @ref error::closed if the semaphore is closed
     * - @ref error::exceeds_max if the count is greater than max_permits()
     * - `boost::asio::error::invalid_argument` if the count is negative
     *
     * @par Example
     * @code
     * sem.async_acquire_for(std::chrono::milliseconds(100), [&](error_code ec) {
     *     if (ec)
     *         return reply(ec == asio::error::timed_out ? "busy" : "stopping");
     *     work();
     *     sem.release();
     * });
     * @endcode
     *
     * @see @ref deadlines, @ref choosing
     */
    template <
        typename Rep, typename Period,
        BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code))
            Token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN_TYPE(executor_type),
        typename = detail::not_a_count<Token>>
    auto async_acquire_for(
        const std::chrono::duration<Rep, Period>& wait,
        Token&& token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN(executor_type))
        -> initiated<bare, Token, std::ptrdiff_t, duration> {
        return start<bare, Token>(token, std::ptrdiff_t(1), detail::saturated(wait));
    }

    /// Acquires @p n permits, all of them or none, within a time limit; the caller gives them back
    /// with @ref release.
    /**
     * @param n the number of permits; 0 succeeds at once
     * @copydetails async_acquire_for
     */
    template <
        typename Rep, typename Period,
        BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code))
            Token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN_TYPE(executor_type)>
    auto async_acquire_for(
        const std::chrono::duration<Rep, Period>& wait, std::ptrdiff_t n,
        Token&& token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN(executor_type))
        -> initiated<bare, Token, std::ptrdiff_t, duration> {
        return start<bare, Token>(token, n, detail::saturated(wait));
    }

    /// Acquires one permit, owned by an object that gives it back. Prefer this form.
    /**
     * @param token the completion token
     *
     * Completes when the acquire is granted or cancelled, or when the semaphore is closed or
     * destroyed.
     *
     * @par Completion Signature
     * @code void(boost::system::error_code, permit) @endcode
     * From the grant on, the permit object owns the permits: if the handler is destroyed without
     * being called, or its result is discarded, the permits go back. On failure the object is
     * empty.
     *
     * @par Fairness
     * First come, first granted, in the order of initiation.
     *
     * @par Per-Operation Cancellation
     * Terminal, partial and total, until the grant. The operation leaves the queue and has no other
     * effect; operations behind it that fit now are granted at once.
     *
     * @par Executor
     * The handler's associated executor, by default `get_executor()`. The handler never runs inside
     * this function, unless it has an associated immediate executor.
     *
     * @par Errors
     * - `boost::asio::error::operation_aborted` if it was cancelled or the semaphore destroyed
     * - @ref error::closed if the semaphore is closed
     * - @ref error::exceeds_max if the count is greater than max_permits()
     * - `boost::asio::error::invalid_argument` if the count is negative
     *
     * @par Example
     * @code
     * asio::awaitable<void> query(async_semaphore& sem) {
     *     const permit held = co_await sem.async_acquire_permit(use_awaitable);
     *     co_await work();
     * } // the permit goes back here, also if work() throws
     * @endcode
     *
     * @see @ref choosing, @ref fast_path, @ref cancellation
     */
    template <
        BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code, permit))
            Token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN_TYPE(executor_type),
        typename = detail::not_a_count<Token>>
    auto async_acquire_permit(Token&& token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN(executor_type))
        -> initiated<owned, Token, std::ptrdiff_t> {
        return start<owned, Token>(token, std::ptrdiff_t(1));
    }

    /// Acquires @p n permits, all of them or none, owned by an object that gives them back.
    /**
     * @param n the number of permits; 0 succeeds at once, with an empty permit
     * @copydetails async_acquire_permit
     */
    template <BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code, permit))
                  Token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN_TYPE(executor_type)>
    auto async_acquire_permit(
        std::ptrdiff_t n, Token&& token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN(executor_type))
        -> initiated<owned, Token, std::ptrdiff_t> {
        return start<owned, Token>(token, n);
    }

    /// Acquires one permit within a time limit, owned by an object that gives it back.
    /**
     * @param wait the longest time to wait, in any `std::chrono` unit, measured from the start of
     * the operation by the steady clock
     * @param token the completion token
     *
     * Completes when the acquire is granted or cancelled, when the time limit expires, or when the
     * semaphore is closed or destroyed. With a time limit of zero or less, the acquire succeeds if
     * it can be granted at once, and otherwise times out without entering the queue.
     *
     * @par Completion Signature
     * @code void(boost::system::error_code, permit) @endcode
     * From the grant on, the permit object owns the permits: if the handler is destroyed without
     * being called, or its result is discarded, the permits go back. On failure the object is
     * empty.
     *
     * @par Fairness
     * First come, first granted, in the order of initiation, whatever the time limits. An operation
     * that times out leaves the queue and has no other effect; operations behind it that fit now
     * are granted at once.
     *
     * @par Per-Operation Cancellation
     * Terminal, partial and total, until the grant. Exactly one of grant, timeout and cancellation
     * ends the operation.
     *
     * @par Executor
     * The handler's associated executor, by default `get_executor()`. The handler never runs inside
     * this function, unless it has an associated immediate executor. All time limits of a semaphore
     * share one timer on `get_executor()`: an operation can time out only while the context of that
     * executor runs.
     *
     * @par Errors
     * - `boost::asio::error::timed_out` if the time limit has expired
     * - `boost::asio::error::operation_aborted` if it was cancelled or the semaphore destroyed
     * - @ref error::closed if the semaphore is closed
     * - @ref error::exceeds_max if the count is greater than max_permits()
     * - `boost::asio::error::invalid_argument` if the count is negative
     *
     * @par Example
     * @code
     * error_code ec;
     * const permit held = co_await sem.async_acquire_permit_for(
     *     std::chrono::milliseconds(100), asio::redirect_error(use_awaitable, ec));
     * if (ec)
     *     co_return reply(ec == asio::error::timed_out ? "busy" : "stopping");
     * co_await work();
     * @endcode
     *
     * @see @ref deadlines, @ref choosing
     */
    template <
        typename Rep, typename Period,
        BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code, permit))
            Token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN_TYPE(executor_type),
        typename = detail::not_a_count<Token>>
    auto async_acquire_permit_for(
        const std::chrono::duration<Rep, Period>& wait,
        Token&& token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN(executor_type))
        -> initiated<owned, Token, std::ptrdiff_t, duration> {
        return start<owned, Token>(token, std::ptrdiff_t(1), detail::saturated(wait));
    }

    /// Acquires @p n permits, all of them or none, within a time limit, owned by an object that
    /// gives them back.
    /**
     * @param n the number of permits; 0 succeeds at once, with an empty permit
     * @copydetails async_acquire_permit_for
     */
    template <
        typename Rep, typename Period,
        BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code, permit))
            Token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN_TYPE(executor_type)>
    auto async_acquire_permit_for(
        const std::chrono::duration<Rep, Period>& wait, std::ptrdiff_t n,
        Token&& token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN(executor_type))
        -> initiated<owned, Token, std::ptrdiff_t, duration> {
        return start<owned, Token>(token, n, detail::saturated(wait));
    }

    /// Acquires @p n permits if they are free and no operation is waiting; never waits itself.
    /**
     * @param n the number of permits; 0 succeeds on an open semaphore
     * @return whether the permits were acquired; the caller gives them back with @ref release.
     * False on a closed semaphore, and if n > max_permits().
     *
     * @throws std::invalid_argument if n < 0
     *
     * @par Example
     * @code
     * if (!sem.try_acquire())
     *     co_await sem.async_acquire(use_awaitable); // suspends only if it has to wait
     * @endcode
     *
     * @see @ref fast_path
     */
    [[nodiscard]] bool try_acquire(std::ptrdiff_t n = 1) {
        require_non_negative(n, "async_semaphore::try_acquire: a negative number of permits");
        return state_ && state_->try_acquire(n) == detail::outcome::granted;
    }

    /// Acquires @p n permits if they are free and no operation is waiting, owned by an object that
    /// gives them back.
    /**
     * @param n the number of permits
     * @return the permits; an empty object if they were not acquired: on a closed semaphore, and if
     * n > max_permits()
     *
     * @throws std::invalid_argument if n < 0
     *
     * @see @ref fast_path
     */
    [[nodiscard]] permit try_acquire_permit(std::ptrdiff_t n = 1) {
        return try_acquire(n) ? permit(state_, n) : permit();
    }

    /// Gives @p n permits back, or adds new ones, and grants the waiting operations that fit now.
    /**
     * @param n the number of permits; 0 has no effect
     *
     * All or nothing: if `available()` would exceed max_permits() before any grant, nothing
     * changes. Permits pay off a debt (see @ref reduce) before any operation is granted. A closed
     * semaphore still counts the permits.
     *
     * The maximum bounds the free permits only; the semaphore does not count the held ones. So do
     * not add permits if free and held permits together would exceed the maximum. Such a mistake is
     * found only when the held permits come back: `release` then refuses them, and a @ref permit
     * gives back what fits. To be able to raise a limit later, construct the semaphore with a
     * maximum that leaves room for it.
     *
     * @throws std::invalid_argument if n < 0
     * @throws boost::system::system_error with @ref error::over_release
     *
     * @see @ref limit_handlers
     */
    void release(std::ptrdiff_t n = 1) {
        if (!released(n))
            boost::throw_exception(
                boost::system::system_error(error::over_release, "async_semaphore::release"),
                BOOST_CURRENT_LOCATION);
    }

    /// Gives @p n permits back like `release(n)`, and reports an over-release in @p ec.
    /**
     * @param n the number of permits; 0 has no effect
     * @param ec @ref error::over_release, or cleared
     *
     * @throws std::invalid_argument if n < 0
     */
    void release(std::ptrdiff_t n, boost::system::error_code& ec) {
        if (released(n))
            ec.clear();
        else
            ec = error::over_release;
    }

    /// Takes @p n permits out of circulation at once. If too few are free, `available()` becomes
    /// negative: a debt.
    /**
     * @param n the number of permits; 0 has no effect
     *
     * Permits that come back pay off the debt before any operation is granted. A release of the
     * same number undoes the reduction. Waiting operations keep waiting. On a moved-from semaphore
     * there is no effect.
     *
     * @throws std::invalid_argument if n < 0, or if `available()` would fall below `-max()`, in
     * which case nothing changes
     *
     * @see @ref limit_handlers
     */
    void reduce(std::ptrdiff_t n) {
        require_non_negative(n, "async_semaphore::reduce: a negative number of permits");
        if (n != 0 && state_ && !state_->reduce(n))
            boost::throw_exception(
                std::invalid_argument("async_semaphore::reduce: the debt would exceed max()"));
    }

    /// Aborts every operation in the queue with `operation_aborted`, and returns their number.
    /** Operations that are already granted, or start later, are not affected. */
    std::size_t cancel() { return state_ ? state_->cancel() : 0; }

    /// Closes the semaphore for good: operations in the queue and later acquires fail with @ref
    /// error::closed.
    /**
     * Held permits stay valid and can be given back. A second call has no effect.
     *
     * @see @ref shutdown
     */
    void close() {
        if (state_)
            state_->close();
    }

private:
    friend permit;
    template <typename Executor1>
    friend class basic_async_semaphore;

    template <typename Signature, typename Token, typename... Args>
    auto start(std::remove_reference_t<Token>& token, Args... args)
        -> initiated<Signature, Token, Args...> {
        return boost::asio::async_initiate<Token, Signature>(
            initiate<Signature>(executor_, state_), token, std::move(args)...);
    }

    static void require_non_negative(std::ptrdiff_t n, const char* message) {
        if (n < 0)
            boost::throw_exception(std::invalid_argument(message));
    }

    bool released(std::ptrdiff_t n) {
        require_non_negative(n, "async_semaphore::release: a negative number of permits");
        return n == 0 || (state_ && state_->release(n));
    }

    executor_type executor_;
    boost::intrusive_ptr<state_type> state_; // null once moved from
};

/// A semaphore for any executor.
using async_semaphore = basic_async_semaphore<>;

} // namespace asio_semaphore
