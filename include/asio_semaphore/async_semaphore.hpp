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

/// Limits how many operations run at the same time: an asynchronous, fair, counting semaphore that
/// is an Asio I/O object.
/**
 * A semaphore holds permits. Acquiring takes some, and waits asynchronously while there are too
 * few; releasing gives some back. Prefer the operations that hand out a @ref permit object:
 * whatever becomes of the handler, that object gives its permits back. With the plain
 * `async_acquire` the handler's author does, also when the handler's result loses a race and is
 * thrown away.
 *
 * In a coroutine that often finds a permit free, try first: with `auto held =
 * sem.try_acquire_permit(); if (!held) held = co_await sem.async_acquire_permit(...)` it does not
 * suspend then.
 *
 * What follows holds for all operations; each one says only what is its own.
 *
 * @par Counts
 * `std::ptrdiff_t`, as in `std::counting_semaphore`, so that a negative count is seen and refused:
 * asynchronous operations complete with `boost::asio::error::invalid_argument`, the others throw
 * `std::invalid_argument`. Acquiring 0 permits succeeds at once, changes nothing and gives an empty
 * permit; on a closed semaphore it is refused as any other. A count that can never be served is
 * told before all else: also on a closed semaphore, and before a deadline that has passed.
 *
 * @par Fairness
 * Grants are made in the order of initiation: a large request at the head holds back smaller ones
 * behind it, and a `try_acquire` never overtakes the queue. A permit passes from who gives it back
 * to who waits first in one step; `available()` never shows it in between. Lazy operations
 * (`deferred`, an `awaitable` before it is awaited) take their place when they start. The order in
 * which handlers then *run* is their executors' affair.
 *
 * @par Executor
 * A handler runs on its associated executor, `get_executor()` by default, and is posted straight to
 * it. The semaphore's executor is no station on the way of a handler that has its own: a semaphore
 * on a strand does not make its holders take turns, and one whose context is busy, or is not run at
 * all, holds up nobody else's handlers. The exception are executors that a function cannot be
 * posted to because they run it at once in any thread (`system_executor`, those of futures,
 * `inline_executor`, and any that cannot be required never to block): they get the handler on the
 * semaphore's executor.
 *
 * No handler runs inside the function that starts the operation, nor inside `release`, `cancel`,
 * `close`, `reduce`, a permit's destructor or the emission of a cancellation. The one exception:
 * from Boost 1.82 on, an operation that completes at once is submitted to the handler's immediate
 * executor, if it has one.
 *
 * Both executors have outstanding work until the handler has been submitted to its own. So
 * `run()` of either context returns no sooner, and the semaphore's context may end while a handler
 * is on its way elsewhere.
 *
 * @par Cancellation
 * Through the handler's cancellation slot, in constant time, with any of the types terminal,
 * partial and total: until it is granted an acquire has no effect that would have to be undone. The
 * operation completes with `boost::asio::error::operation_aborted`. Once granted it stays granted,
 * even if the handler has not run yet. The signal may be emitted from any thread, and may die or
 * serve another operation before this one completes.
 *
 * @par Thread safety
 * Distinct objects: safe. Shared objects: safe, except for construction, assignment, being moved
 * from and destruction. While nobody waits, acquiring and releasing take no lock. What happened
 * before a release is visible after the acquire that it satisfies.
 *
 * @par Lifetime
 * Destroying the semaphore completes waiting operations with `operation_aborted`. Moving it takes
 * them along; what remains keeps its executor, can be assigned to and destroyed, and otherwise is
 * as a closed semaphore without permits. Permits and lazy operations may outlive it. Destroying the
 * execution context destroys the waiting handlers without calling them, even those that own the
 * semaphore. As everywhere in Asio the context of a handler's executor has to outlive the
 * operation. When its context has gone, what remains of a semaphore that was moved can only be
 * destroyed or assigned to.
 *
 * @tparam Executor any I/O executor: one with an execution context, which can run a function later
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
    /// Where handlers run that have no executor of their own.
    using executor_type = Executor;

    /// The semaphore for another executor, as of every I/O object; default tokens are made with it.
    template <typename Executor1>
    struct rebind_executor {
        /// The same semaphore for `Executor1`.
        using other = basic_async_semaphore<Executor1>;
    };

    /// The largest number of permits that any semaphore can hold.
    static constexpr std::ptrdiff_t max() noexcept { return state_type::max(); }

    /// A semaphore with @p initial free permits, of at most @p max_permits.
    /**
     * Where the number of permits is fixed give it as the maximum too: `limit(executor, n, n)`. A
     * permit that comes back twice is then an error, instead of one more that runs from then on.
     *
     * @throws std::invalid_argument unless 0 <= initial <= max_permits and 1 <= max_permits <=
     * max()
     */
    basic_async_semaphore(
        const executor_type& executor, std::ptrdiff_t initial, std::ptrdiff_t max_permits = max()) :
        executor_(executor),
        state_(detail::semaphore_service::make_state(
            detail::context_of(executor_), initial, max_permits)) {}

    /// The same, on the executor of @p context.
    template <
        typename ExecutionContext, typename = std::enable_if_t<std::is_convertible_v<
                                       ExecutionContext&, boost::asio::execution_context&>>>
    basic_async_semaphore(
        ExecutionContext& context, std::ptrdiff_t initial, std::ptrdiff_t max_permits = max()) :
        basic_async_semaphore(executor_type(context.get_executor()), initial, max_permits) {}

    /// Takes over the permits and the waiting operations of @p other, which remains as a closed
    /// semaphore without permits.
    basic_async_semaphore(basic_async_semaphore&& other) noexcept :
        executor_(other.executor_), state_(std::move(other.state_)) {}

    /// The same from a semaphore for an executor that is convertible to this one's, of the same
    /// execution context.
    template <
        typename Executor1, typename = std::enable_if_t<std::is_convertible_v<Executor1, Executor>>>
    basic_async_semaphore(basic_async_semaphore<Executor1>&& other) noexcept(
        std::is_nothrow_constructible_v<Executor, const Executor1&>) :
        executor_(other.executor_), state_(std::move(other.state_)) {}

    /// Aborts the operations that wait here, as the destructor does, and takes over those of @p
    /// other, its permits and its executor.
    basic_async_semaphore& operator=(basic_async_semaphore&& other) {
        if (this != &other) {
            basic_async_semaphore old(std::move(*this));
            // Executors can be copied, without throwing, but need not be assignable.
            executor_.~executor_type();
            ::new (static_cast<void*>(std::addressof(executor_))) executor_type(other.executor_);
            state_ = std::move(other.state_);
        }
        return *this;
    }

    /// The same from a semaphore for an executor that is convertible to this one's.
    template <
        typename Executor1, typename = std::enable_if_t<std::is_convertible_v<Executor1, Executor>>>
    basic_async_semaphore& operator=(basic_async_semaphore<Executor1>&& other) {
        return *this = basic_async_semaphore(std::move(other));
    }

    /// Completes the operations that wait here with `operation_aborted`. Permits may outlive it.
    ~basic_async_semaphore() {
        if (state_)
            state_->abort();
    }

    /// The executor that it was made with.
    executor_type get_executor() const noexcept { return executor_; }

    /// The free permits; negative while @ref reduce has taken out more than have come back.
    std::ptrdiff_t available() const noexcept { return state_ ? state_->available() : 0; }

    /// The most permits that may be free at a time.
    std::ptrdiff_t max_permits() const noexcept { return state_ ? state_->max_permits() : 0; }

    /// The number of operations in the queue.
    std::size_t waiting() const noexcept { return state_ ? state_->waiting() : 0; }

    /// False once @ref close has been called, and of a moved-from semaphore.
    bool is_open() const noexcept { return state_ && state_->is_open(); }

    /// Acquires one permit, which the caller gives back with @ref release.
    /**
     * Completes when the permit has been granted, the operation is cancelled, or the semaphore is
     * closed or destroyed.
     *
     * @par Completion Signature
     * @code void(boost::system::error_code) @endcode
     * Without an error the caller holds the permit. Where the result may be thrown away (`||`,
     * `parallel_group`, `detached`) the permit would be lost with it: use @ref async_acquire_permit
     * there.
     *
     * @par Fairness
     * First come, first granted; see the class.
     *
     * @par Per-Operation Cancellation
     * terminal, partial, total. Cancelling loses the place in the queue and nothing else; whoever
     * fits then is granted.
     *
     * @par Executor
     * The handler's associated executor, else `get_executor()`; never called inside this function,
     * except by an associated immediate executor.
     *
     * @par Errors
     * `operation_aborted`, @ref error::closed; for a count @ref error::exceeds_max, where it is
     * above max_permits(), and `invalid_argument`.
     */
    template <
        BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code))
            Token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN_TYPE(executor_type),
        typename = detail::not_a_count<Token>>
    auto async_acquire(Token&& token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN(executor_type))
        -> initiated<bare, Token, std::ptrdiff_t> {
        return start<bare, Token>(token, std::ptrdiff_t(1));
    }

    /// Acquires @p n permits, all of them or none. @copydetails async_acquire
    template <BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code))
                  Token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN_TYPE(executor_type)>
    auto async_acquire(
        std::ptrdiff_t n, Token&& token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN(executor_type))
        -> initiated<bare, Token, std::ptrdiff_t> {
        return start<bare, Token>(token, n);
    }

    /// As @ref async_acquire, but waits no longer than @p wait.
    /**
     * Completes when the permit has been granted, the time is over, the operation is cancelled, or
     * the semaphore is closed or destroyed. The time counts from the start of the operation, in the
     * steady clock, in any `std::chrono` unit. With none left (zero or negative) the acquire is
     * granted if it can be granted at once, and never enters the queue.
     *
     * @par Completion Signature
     * @code void(boost::system::error_code) @endcode
     *
     * @par Fairness
     * First come, first granted. Running out of time loses the place in the queue and nothing else;
     * whoever fits then is granted.
     *
     * @par Per-Operation Cancellation
     * terminal, partial, total. Grant, deadline and cancellation exclude each other: exactly one of
     * them ends the operation.
     *
     * @par Executor
     * As @ref async_acquire. All deadlines of a semaphore share one timer on `get_executor()`: they
     * end waits only while that executor's context runs.
     *
     * @par Errors
     * `boost::asio::error::timed_out`, and those of @ref async_acquire.
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

    /// Acquires @p n permits, all of them or none. @copydetails async_acquire_for
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

    /// Acquires one permit, owned by an object that gives it back. The form to prefer.
    /**
     * Completes when the permit has been granted, the operation is cancelled, or the semaphore is
     * closed or destroyed.
     *
     * @par Completion Signature
     * @code void(boost::system::error_code, permit) @endcode
     * With an error the permit is empty. Without one it owns what was asked for, from the grant on:
     * if the handler is destroyed instead of called, or its result thrown away, the permits go
     * back.
     *
     * @par Fairness
     * First come, first granted; see the class.
     *
     * @par Per-Operation Cancellation
     * terminal, partial, total. Cancelling loses the place in the queue and nothing else; whoever
     * fits then is granted.
     *
     * @par Executor
     * As @ref async_acquire.
     *
     * @par Errors
     * Those of @ref async_acquire.
     */
    template <
        BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code, permit))
            Token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN_TYPE(executor_type),
        typename = detail::not_a_count<Token>>
    auto async_acquire_permit(Token&& token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN(executor_type))
        -> initiated<owned, Token, std::ptrdiff_t> {
        return start<owned, Token>(token, std::ptrdiff_t(1));
    }

    /// Acquires @p n permits, all of them or none. @copydetails async_acquire_permit
    template <BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code, permit))
                  Token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN_TYPE(executor_type)>
    auto async_acquire_permit(
        std::ptrdiff_t n, Token&& token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN(executor_type))
        -> initiated<owned, Token, std::ptrdiff_t> {
        return start<owned, Token>(token, n);
    }

    /// As @ref async_acquire_permit, but waits no longer than @p wait.
    /**
     * Completes when the permit has been granted, the time is over, the operation is cancelled, or
     * the semaphore is closed or destroyed. The time is counted as by @ref async_acquire_for.
     *
     * @par Completion Signature
     * @code void(boost::system::error_code, permit) @endcode
     *
     * @par Fairness
     * As @ref async_acquire_for.
     *
     * @par Per-Operation Cancellation
     * As @ref async_acquire_for.
     *
     * @par Executor
     * As @ref async_acquire_for.
     *
     * @par Errors
     * `boost::asio::error::timed_out`, and those of @ref async_acquire.
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

    /// Acquires @p n permits, all of them or none. @copydetails async_acquire_permit_for
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

    /// Acquires n permits if they are free and nobody waits, and says whether it did.
    /** False on a closed semaphore and where n > max_permits(). @throws std::invalid_argument if n
     * < 0 */
    [[nodiscard]] bool try_acquire(std::ptrdiff_t n = 1) {
        require_non_negative(n, "async_semaphore::try_acquire: a negative number of permits");
        return state_ && state_->try_acquire(n) == detail::outcome::granted;
    }

    /// As @ref try_acquire; the permit is empty when refused.
    [[nodiscard]] permit try_acquire_permit(std::ptrdiff_t n = 1) {
        return try_acquire(n) ? permit(state_, n) : permit();
    }

    /// Gives n permits back, or adds new ones, and grants whom they serve.
    /**
     * All or nothing: where `available()` would exceed `max_permits()` before anybody is granted,
     * nothing changes. A debt is paid before anybody is granted. On a closed semaphore the permits
     * are counted. release(0) has no effect.
     *
     * With a maximum it gives back what is out. It does not see permits that are held: adding
     * permits, so that with the held ones they exceed the maximum, is misuse that shows only when
     * those come back. `release` refuses them then, and a @ref permit gives back what fits. To
     * raise a limit, construct the semaphore with a maximum that leaves room for it.
     *
     * @throws std::invalid_argument if n < 0
     * @throws boost::system::system_error with @ref error::over_release
     */
    void release(std::ptrdiff_t n = 1) {
        if (!released(n))
            boost::throw_exception(
                boost::system::system_error(error::over_release, "async_semaphore::release"),
                BOOST_CURRENT_LOCATION);
    }

    /// The same; @p ec tells of an over-release, or is cleared. @throws std::invalid_argument if n
    /// < 0
    void release(std::ptrdiff_t n, boost::system::error_code& ec) {
        if (released(n))
            ec.clear();
        else
            ec = error::over_release;
    }

    /// Takes n permits out of circulation, at once: where they are held, `available()` becomes
    /// negative.
    /**
     * Permits that come back pay that debt before anybody is granted. Releasing the same number
     * makes up for it. Operations that wait go on waiting. reduce(0), and any on a moved-from
     * semaphore, has no effect.
     *
     * @throws std::invalid_argument if n < 0, or if `available()` would fall below `-max()`;
     * nothing changed then
     */
    void reduce(std::ptrdiff_t n) {
        require_non_negative(n, "async_semaphore::reduce: a negative number of permits");
        if (n != 0 && state_ && !state_->reduce(n))
            boost::throw_exception(
                std::invalid_argument("async_semaphore::reduce: the debt would exceed max()"));
    }

    /// Aborts every operation in the queue with `operation_aborted`, and returns how many they
    /// were.
    /** Operations that are granted already are not affected, nor are those started afterwards. */
    std::size_t cancel() { return state_ ? state_->cancel() : 0; }

    /// Closes for good: operations in the queue and later acquires fail with @ref error::closed.
    /** Held permits stay valid and can be returned. Closing again has no effect. */
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
