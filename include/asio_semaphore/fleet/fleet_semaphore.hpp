// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <asio_semaphore/detail/fleet/requests.hpp>
#include <asio_semaphore/detail/operation/executors.hpp>
#include <asio_semaphore/detail/operation/initiate_acquire.hpp>
#include <asio_semaphore/detail/operation/semaphore_service.hpp>
#include <asio_semaphore/error.hpp>
#include <asio_semaphore/fleet/config.hpp>
#include <asio_semaphore/fleet/fleet_client.hpp>
#include <asio_semaphore/fleet/fleet_error.hpp>
#include <asio_semaphore/fleet/fleet_options.hpp>
#include <asio_semaphore/fleet/fleet_permit.hpp>
#include <asio_semaphore/fleet/fleet_statistics.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/system/error_code.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <new>
#include <string>
#include <type_traits>
#include <utility>

namespace asio_semaphore {

/// A limit that all processes of a fleet share. Redis or Valkey keeps it.
/**
 * All semaphores of the same name on the same server share the limit. It is a limit, **not a
 * lock**: read what is promised, and what is not, before you rely on it.
 *
 * @par Example
 * @code
 * fleet_semaphore limit(context, client, "reports", 16); // 16 at a time in all processes
 *
 * const fleet_permit held = co_await limit.async_acquire_permit(use_awaitable);
 * co_await work();
 * @endcode
 *
 * The following sections apply to all operations.
 *
 * @par Promised, while the server keeps its data and its clock does not step forward
 * - Valid permits never exceed the limit, except while a lowered limit is being reached.
 * - Each operation completes exactly once.
 * - A permit that is not renewed ends with its lease.
 * - A permit counts as lost in its process, and the process is told, before another process can get
 *   it.
 * - Cancellation leaks no permit.
 * - Fencing numbers grow from grant to grant.
 * - After a failure, all this holds again at most one and a third leases after the server and the
 *   network are back.
 *
 * @par Not promised
 * - The limit, if the server loses writes, as in a failover.
 * - That a holder stops in time: it is only told that its permit is lost.
 * - An order between processes other than the arrival of their requests at the server.
 * - The arrival of a release by a destructor: a process that ends without the client's
 *   `async_close` keeps its permits for up to a lease.
 *
 * @par Fairness
 * First come, first granted: by arrival at the server, and within a process by initiation. At most
 * `fleet_options::window` requests of a process are in the server's queue at a time. A large
 * request at the head holds back the smaller requests behind it. A process that the server cannot
 * reach is passed over, and keeps its position.
 *
 * @par Executor
 * A handler is posted straight to its associated executor, by default `get_executor()`. No handler
 * runs inside the function that starts its operation; except, from Boost 1.82 on, on the handler's
 * associated immediate executor if the operation completes at once.
 *
 * @par Cancellation
 * A waiting operation can be cancelled through the cancellation slot of its handler, with the types
 * terminal, partial and total. It completes with `boost::asio::error::operation_aborted` at once.
 * If the server has granted the permits meanwhile, they go back.
 *
 * @par Thread safety
 * Distinct objects: safe. Shared objects: safe, except for construction, assignment, being moved
 * from and destruction.
 *
 * @par Lifetime
 * The destructor completes waiting operations with `operation_aborted`. A move takes the waiting
 * operations along. Permits and lazy operations may outlive the semaphore. The destruction of the
 * execution context destroys waiting handlers without calling them. The client renews permits as
 * long as it runs, also those of a closed or destroyed semaphore.
 *
 * @tparam Executor any I/O executor: one that has an execution context and can run a function later
 */
template <typename Executor = boost::asio::any_io_executor>
class basic_fleet_semaphore {
    using state_type = detail::fleet::limit_line;
    using permitted = void(boost::system::error_code, fleet_permit);
    using inspected = void(boost::system::error_code, fleet_status);
    using bare = void(boost::system::error_code);
    using initiate_acquire = detail::fleet::initiate_acquire_of_fleet<Executor>;
    using initiate_set_limit = detail::fleet::initiate_set_limit<Executor>;
    using initiate_inspect =
        detail::fleet::initiate_plainly<Executor, detail::fleet::inspect_request>;
    template <typename Token, typename... Args>
    using initiated_acquire = decltype(boost::asio::async_initiate<Token, permitted>(
        std::declval<initiate_acquire>(), std::declval<Token&>(), std::declval<Args>()...));
    template <typename Token>
    using initiated_set_limit = decltype(boost::asio::async_initiate<Token, bare>(
        std::declval<initiate_set_limit>(), std::declval<Token&>(), std::ptrdiff_t()));
    template <typename Token>
    using initiated_inspect = decltype(boost::asio::async_initiate<Token, inspected>(
        std::declval<initiate_inspect>(), std::declval<Token&>()));
    using steady_duration = std::chrono::steady_clock::duration;

public:
    /// The default executor of handlers.
    using executor_type = Executor;

    /// Rebinds the semaphore to another executor type, as Asio's I/O objects do for default
    /// completion tokens.
    template <typename Executor1>
    struct rebind_executor {
        /// The semaphore for executors of type `Executor1`.
        using other = basic_fleet_semaphore<Executor1>;
    };

    /// Constructs a semaphore for the limit called @p name.
    /**
     * @param executor the default executor of handlers; time limits run on it
     * @param client the connection to the server
     * @param name the name of the limit, which all processes use: 1 to 200 bytes, without braces
     * @param limit the number of permits
     * @param options how this process takes part in the limit
     *
     * The first process to use the name sets the limit for the fleet. If the server has another
     * limit, every operation fails with @ref fleet_error::limit_mismatch, unless the options say to
     * adopt it. Semaphores of one client with the same name share one queue in the process.
     *
     * @throws std::invalid_argument if limit < 1; if the name is not as described; if the lease is
     * shorter than 50 ms, the margin not less than half of the lease, or the window 0; if an option
     * is negative, or a duration longer than a year; and if a semaphore of the same client and name
     * has other options, or had them and the server has not yet taken all its permits back
     */
    basic_fleet_semaphore(
        const executor_type& executor, fleet_client& client, const std::string& name,
        std::ptrdiff_t limit, const fleet_options& options = {}) :
        executor_(executor),
        state_(
            new state_type(
                detail::semaphore_service::registry_of(detail::context_of(executor_)),
                detail::fleet::client_access::state_of(client), name, limit, options),
            false) {}

    /// Constructs a semaphore on the executor of @p context.
    /** @throws std::invalid_argument for the same arguments as the other constructor */
    template <
        typename ExecutionContext, typename = std::enable_if_t<std::is_convertible_v<
                                       ExecutionContext&, boost::asio::execution_context&>>>
    basic_fleet_semaphore(
        ExecutionContext& context, fleet_client& client, const std::string& name,
        std::ptrdiff_t limit, const fleet_options& options = {}) :
        basic_fleet_semaphore(executor_type(context.get_executor()), client, name, limit, options) {
    }

    /// Takes over the state and the waiting operations of @p other, which becomes a closed
    /// semaphore.
    basic_fleet_semaphore(basic_fleet_semaphore&& other) noexcept :
        executor_(other.executor_), state_(std::move(other.state_)) {}

    /// Takes over the state and the waiting operations of @p other, a semaphore for another
    /// executor type. That executor type has to be convertible to `Executor`, and both executors
    /// have to be of the same execution context.
    template <
        typename Executor1, typename = std::enable_if_t<std::is_convertible_v<Executor1, Executor>>>
    basic_fleet_semaphore(basic_fleet_semaphore<Executor1>&& other) noexcept(
        std::is_nothrow_constructible_v<Executor, const Executor1&>) :
        executor_(other.executor_), state_(std::move(other.state_)) {}

    /// Aborts the waiting operations of this semaphore, as the destructor does, and takes over the
    /// state, the waiting operations and the executor of @p other.
    basic_fleet_semaphore& operator=(basic_fleet_semaphore&& other) {
        if (this != &other) {
            basic_fleet_semaphore old(std::move(*this));
            // Executors can be copied, without throwing, but need not be assignable.
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
    basic_fleet_semaphore& operator=(basic_fleet_semaphore<Executor1>&& other) {
        return *this = basic_fleet_semaphore(std::move(other));
    }

    /// Completes waiting operations with `operation_aborted`, and gives back their positions in the
    /// server's queue. Permits may outlive the semaphore.
    ~basic_fleet_semaphore() {
        if (state_)
            state_->end();
    }

    /// The executor of the semaphore.
    executor_type get_executor() const noexcept { return executor_; }

    /// Acquires one permit, owned by an object that gives it back.
    /**
     * @param token the completion token
     *
     * Completes when the server grants the request, when the operation is cancelled, or when the
     * semaphore or its client is closed or destroyed. If a permit is free, this takes one round
     * trip.
     *
     * @par Completion Signature
     * @code void(boost::system::error_code, fleet_permit) @endcode
     * On success the object owns what was acquired: if the handler is destroyed without being
     * called, or its result is discarded, the permits go back. On failure the object is empty.
     *
     * @par Fairness
     * First come, first granted: by arrival at the server, and within this process by initiation.
     *
     * @par Per-Operation Cancellation
     * Terminal, partial and total, until the process has heard of the grant. After that a
     * cancellation has no effect.
     *
     * @par Executor
     * The handler's associated executor, by default `get_executor()`. The handler never runs inside
     * this function, unless it has an associated immediate executor.
     *
     * @par Errors
     * - `boost::asio::error::operation_aborted` if it was cancelled or the semaphore destroyed
     * - @ref error::closed if the semaphore or its client is closed, or the client or its context
     * is destroyed
     * - @ref error::exceeds_max if the count is greater than the server's limit
     * - @ref error::queue_full if `max_waiting` requests wait in this process already
     * - @ref fleet_error::limit_mismatch if the semaphore was constructed with another limit than
     *   the server's
     * - @ref fleet_error::unreachable if the server cannot be reached and the options say to fail
     *   then
     * - @ref fleet_error::rejected, @ref fleet_error::clustered or @ref fleet_error::incompatible
     *   if the server cannot keep the limit
     * - `boost::asio::error::invalid_argument` if the count is negative
     *
     * @par Example
     * @code
     * asio::awaitable<void> report(fleet_semaphore& limit) {
     *     const fleet_permit held = co_await limit.async_acquire_permit(use_awaitable);
     *     co_await work();
     * } // the permit is on its way back
     * @endcode
     *
     * @see @ref fleet
     */
    template <
        BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code, fleet_permit))
            Token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN_TYPE(executor_type),
        typename = detail::not_a_count<Token>>
    auto async_acquire_permit(Token&& token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN(executor_type))
        -> initiated_acquire<Token, std::ptrdiff_t> {
        return async_acquire_permit(1, std::forward<Token>(token));
    }

    /// Acquires @p n permits, all of them or none, owned by an object that gives them back.
    /**
     * @param n the number of permits; 0 succeeds at once, with an empty permit
     * @copydetails async_acquire_permit
     */
    template <BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code, fleet_permit))
                  Token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN_TYPE(executor_type)>
    auto async_acquire_permit(
        std::ptrdiff_t n, Token&& token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN(executor_type))
        -> initiated_acquire<Token, std::ptrdiff_t> {
        return boost::asio::async_initiate<Token, permitted>(
            initiate_acquire(executor_, state_), token, std::ptrdiff_t(n));
    }

    /// Acquires one permit within a time limit, owned by an object that gives it back.
    /**
     * @param wait the longest time to wait, in any `std::chrono` unit; it counts from the start of
     * the operation, by the steady clock
     * @param token the completion token
     *
     * Completes when the server grants the request, when the time is over, when the operation is
     * cancelled, or when the semaphore or its client is closed or destroyed. With a time of zero or
     * less, it asks the server once and never enters the server's queue; it times out at once
     * without a connection, and when the server is busy or full.
     *
     * @par Completion Signature
     * @code void(boost::system::error_code, fleet_permit) @endcode
     * On success the object owns what was acquired: if the handler is destroyed without being
     * called, or its result is discarded, the permits go back. On failure the object is empty.
     *
     * @par Fairness
     * First come, first granted, also with a time of zero: by arrival at the server, and within
     * this process by initiation.
     *
     * @par Per-Operation Cancellation
     * Terminal, partial and total. Exactly one of grant, timeout and cancellation ends the
     * operation.
     *
     * @par Executor
     * The handler's associated executor, by default `get_executor()`. The handler never runs inside
     * this function, unless it has an associated immediate executor. The timer is on
     * `get_executor()`.
     *
     * @par Errors
     * - `boost::asio::error::timed_out` if the time is over
     * - `boost::asio::error::operation_aborted` if it was cancelled or the semaphore destroyed
     * - @ref error::closed if the semaphore or its client is closed, or the client or its context
     * is destroyed
     * - @ref error::exceeds_max if the count is greater than the server's limit
     * - @ref error::queue_full if `max_waiting` requests wait in this process already
     * - @ref fleet_error::limit_mismatch if the semaphore was constructed with another limit than
     *   the server's
     * - @ref fleet_error::unreachable if the server cannot be reached and the options say to fail
     *   then
     * - @ref fleet_error::rejected, @ref fleet_error::clustered or @ref fleet_error::incompatible
     *   if the server cannot keep the limit
     * - `boost::asio::error::invalid_argument` if the count is negative
     *
     * @par Example
     * @code
     * error_code ec;
     * const fleet_permit held = co_await limit.async_acquire_permit_for(
     *     std::chrono::seconds(5), redirect_error(use_awaitable, ec));
     * if (ec)
     *     co_return reply(ec == asio::error::timed_out ? "busy" : "failed");
     * @endcode
     *
     * @see @ref fleet
     */
    template <
        typename Rep, typename Period,
        BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code, fleet_permit))
            Token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN_TYPE(executor_type),
        typename = detail::not_a_count<Token>>
    auto async_acquire_permit_for(
        const std::chrono::duration<Rep, Period>& wait,
        Token&& token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN(executor_type))
        -> initiated_acquire<Token, std::ptrdiff_t, steady_duration> {
        return async_acquire_permit_for(wait, 1, std::forward<Token>(token));
    }

    /// Acquires @p n permits, all of them or none, within a time limit, owned by an object that
    /// gives them back.
    /**
     * @param n the number of permits; 0 succeeds at once, with an empty permit
     * @copydetails async_acquire_permit_for
     */
    template <
        typename Rep, typename Period,
        BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code, fleet_permit))
            Token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN_TYPE(executor_type)>
    auto async_acquire_permit_for(
        const std::chrono::duration<Rep, Period>& wait, std::ptrdiff_t n,
        Token&& token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN(executor_type))
        -> initiated_acquire<Token, std::ptrdiff_t, steady_duration> {
        return boost::asio::async_initiate<Token, permitted>(
            initiate_acquire(executor_, state_), token, std::ptrdiff_t(n), detail::saturated(wait));
    }

    /// Sets the limit for the whole fleet.
    /**
     * @param limit the number of permits
     * @param token the completion token
     *
     * If the limit rises, the server serves its queue in the same call. If the limit falls, no
     * process loses a permit: the server grants nothing until the held permits fit, and requests
     * for more than the new limit fail with @ref error::exceeds_max.
     *
     * @par Completion Signature
     * @code void(boost::system::error_code) @endcode
     *
     * @par Fairness
     * By arrival at the server, and within this process by initiation; the last call decides.
     *
     * @par Per-Operation Cancellation
     * Terminal, partial and total: ends the wait. The server may have set the limit, or may
     * still set it.
     *
     * @par Executor
     * The handler's associated executor, by default `get_executor()`. The handler never runs inside
     * this function, unless it has an associated immediate executor.
     *
     * @par Errors
     * - `boost::asio::error::invalid_argument` if limit < 1
     * - `boost::asio::error::operation_aborted` if it was cancelled or the semaphore destroyed
     * - @ref error::closed if the semaphore or its client is closed, or the client or its context
     * is destroyed
     * - @ref fleet_error::limit_mismatch if the semaphore was constructed with another limit than
     *   the server's
     * - @ref fleet_error::unreachable if the server cannot be reached and the options say to fail
     *   then
     * - @ref fleet_error::rejected, @ref fleet_error::clustered or @ref fleet_error::incompatible
     *   if the server cannot keep the limit
     *
     * @par Example
     * @code
     * co_await limit.async_set_limit(32, use_awaitable);
     * @endcode
     *
     * @see @ref fleet
     */
    template <BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code))
                  Token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN_TYPE(executor_type)>
    auto async_set_limit(
        std::ptrdiff_t limit, Token&& token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN(executor_type))
        -> initiated_set_limit<Token> {
        return boost::asio::async_initiate<Token, bare>(
            initiate_set_limit(executor_, state_), token, std::ptrdiff_t(limit));
    }

    /// Gets the state of the limit from the server.
    /**
     * @param token the completion token
     *
     * @par Completion Signature
     * @code void(boost::system::error_code, fleet_status) @endcode
     *
     * @par Fairness
     * Not applicable: the operation does not wait for permits.
     *
     * @par Per-Operation Cancellation
     * Terminal, partial and total.
     *
     * @par Executor
     * The handler's associated executor, by default `get_executor()`. The handler never runs inside
     * this function, unless it has an associated immediate executor.
     *
     * @par Errors
     * - `boost::asio::error::operation_aborted` if it was cancelled or the semaphore destroyed
     * - @ref error::closed if the semaphore or its client is closed, or the client or its context
     * is destroyed
     * - @ref fleet_error::limit_mismatch if the semaphore was constructed with another limit than
     *   the server's
     * - @ref fleet_error::unreachable if the server cannot be reached and the options say to fail
     *   then
     * - @ref fleet_error::rejected, @ref fleet_error::clustered or @ref fleet_error::incompatible
     *   if the server cannot keep the limit
     *
     * @par Example
     * @code
     * const fleet_status status = co_await limit.async_inspect(use_awaitable);
     * if (status.held == status.limit)
     *     reply("busy");
     * @endcode
     *
     * @see @ref fleet
     */
    template <BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code, fleet_status))
                  Token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN_TYPE(executor_type)>
    auto async_inspect(Token&& token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN(executor_type))
        -> initiated_inspect<Token> {
        return boost::asio::async_initiate<Token, inspected>(
            initiate_inspect(executor_, state_), token);
    }

    /// Aborts every operation that waits in this semaphore with `operation_aborted`, and returns
    /// their number.
    std::size_t cancel() { return state_ ? state_->cancel() : 0; }

    /// Closes the semaphore for good: waiting operations and later ones fail with @ref
    /// error::closed.
    /** Permits stay valid, and the client goes on renewing them. A second call has no effect. */
    void close() {
        if (state_)
            state_->close();
    }

    /// False once the semaphore or its client has been closed, once the client or its execution
    /// context is destroyed, and for a moved-from semaphore.
    bool is_open() const noexcept { return state_ && state_->is_open(); }

    /// The limit that the server reported last; before its first report, the limit of the
    /// constructor.
    std::ptrdiff_t limit() const noexcept { return state_ ? state_->permits() : 0; }

    /// The number of requests for permits that wait in this process, in all semaphores of the
    /// client with this name.
    std::size_t waiting() const noexcept { return state_ ? state_->waiting_here() : 0; }

    /// The counters of the limit in this process.
    fleet_statistics statistics() const {
        return state_ ? state_->statistics() : fleet_statistics();
    }

private:
    template <typename Executor1>
    friend class basic_fleet_semaphore;

    executor_type executor_;
    boost::intrusive_ptr<state_type> state_; // null once moved from
};

/// A fleet semaphore for any executor.
using fleet_semaphore = basic_fleet_semaphore<>;

} // namespace asio_semaphore
