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

/// A limit that all processes of a fleet share, kept by Redis or Valkey.
/**
 * All who use the same name, on the same server, share the limit. It is a limit, **not a lock**:
 * read what is promised, and what is not, before something depends on it.
 *
 * What follows holds for all operations; each one says only what is its own.
 *
 * @par Promised, while the server keeps its data and its clock does not step forward
 * Valid permits never exceed the limit, except while a lowered limit is being reached. Each
 * operation completes once. Nobody holds a permit that nobody renews for longer than a lease. A
 * permit counts as lost here, and is told so, before anybody else can get it. Cancelling leaks
 * nothing. Fencing numbers grow. After a failure all of this holds again a lease and a third after
 * server and network are back.
 *
 * @par Not promised
 * The limit, where the server loses writes, as in a failover. That a holder stops in time: it is
 * only told. Order between processes beyond the arrival of their requests. That a destructor's
 * release arrives: a process that ends without the client's `async_close` keeps its permits for up
 * to a lease.
 *
 * @par Fairness
 * First come, first granted, by the arrival of the requests at the server; within a process by
 * initiation. At most `fleet_options::window` requests of a process stand in the server's queue at
 * a time. A large request at the head holds back smaller ones behind it. Processes that the server
 * cannot reach are passed over, and keep their place.
 *
 * @par Executor
 * A handler is posted straight to its associated executor, `get_executor()` by default. No handler
 * runs inside the function that starts the operation.
 *
 * @par Cancellation
 * Through the handler's cancellation slot, with any of the types terminal, partial and total, while
 * the operation waits. It completes with `operation_aborted` at once; what the server may have
 * granted meanwhile goes back.
 *
 * @par Thread safety
 * Distinct objects: safe. Shared objects: safe, except for construction, assignment, being moved
 * from and destruction.
 *
 * @par Lifetime
 * Destroying the semaphore completes waiting operations with `operation_aborted`, moving it takes
 * them along, permits and lazy operations may outlive it, and destroying the execution context
 * destroys the waiting handlers without calling them. Permits are renewed as long as the client
 * runs, also those of a closed or destroyed semaphore.
 *
 * @tparam Executor any I/O executor: one with an execution context, which can run a function later
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
    /// Where handlers run that have no executor of their own.
    using executor_type = Executor;

    /// The semaphore for another executor, as of every I/O object; default tokens are made with it.
    template <typename Executor1>
    struct rebind_executor {
        /// The same semaphore for `Executor1`.
        using other = basic_fleet_semaphore<Executor1>;
    };

    /// The limit called @p name, of @p limit permits.
    /**
     * The first to use the name sets the limit for the fleet. Where the server has another one,
     * every operation fails with @ref fleet_error::limit_mismatch, unless the options say to adopt
     * it. Several objects of one client with the same name share one queue here.
     *
     * @throws std::invalid_argument if limit < 1; if the name is empty, longer than 200 bytes, or
     * contains a brace; if the lease is shorter than 50 ms, the margin not shorter than half of the
     * lease, or the window 0; and for other options than those of an object of the same client with
     * the same name
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

    /// The same, on the executor of @p context.
    template <
        typename ExecutionContext, typename = std::enable_if_t<std::is_convertible_v<
                                       ExecutionContext&, boost::asio::execution_context&>>>
    basic_fleet_semaphore(
        ExecutionContext& context, fleet_client& client, const std::string& name,
        std::ptrdiff_t limit, const fleet_options& options = {}) :
        basic_fleet_semaphore(executor_type(context.get_executor()), client, name, limit, options) {
    }

    /// Takes over all that @p other has, which remains as a closed semaphore.
    basic_fleet_semaphore(basic_fleet_semaphore&& other) noexcept :
        executor_(other.executor_), state_(std::move(other.state_)) {}

    /// The same from a semaphore for an executor that is convertible to this one's, of the same
    /// execution context.
    template <
        typename Executor1, typename = std::enable_if_t<std::is_convertible_v<Executor1, Executor>>>
    basic_fleet_semaphore(basic_fleet_semaphore<Executor1>&& other) noexcept(
        std::is_nothrow_constructible_v<Executor, const Executor1&>) :
        executor_(other.executor_), state_(std::move(other.state_)) {}

    /// Aborts the operations that wait here, as the destructor does, and takes over all that
    /// @p other has, and its executor.
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

    /// The same from a semaphore for an executor that is convertible to this one's.
    template <
        typename Executor1, typename = std::enable_if_t<std::is_convertible_v<Executor1, Executor>>>
    basic_fleet_semaphore& operator=(basic_fleet_semaphore<Executor1>&& other) {
        return *this = basic_fleet_semaphore(std::move(other));
    }

    /// Completes the operations that wait here with `operation_aborted`; their places in the
    /// server's queue are given back. Permits may outlive it.
    ~basic_fleet_semaphore() {
        if (state_)
            state_->end();
    }

    /// The executor that it was made with.
    executor_type get_executor() const noexcept { return executor_; }

    /// Acquires a permit.
    /**
     * Completes when the server grants it, the operation is cancelled, or the semaphore or its
     * client is closed. One round trip where a permit is free.
     *
     * @par Completion Signature
     * @code void(boost::system::error_code, fleet_permit) @endcode
     * Empty with an error. If the handler is destroyed instead of called, or its result thrown
     * away, the permit goes back.
     *
     * @par Fairness
     * First come, first granted; see the class.
     *
     * @par Per-Operation Cancellation
     * terminal, partial, total. A granted permit stays granted.
     *
     * @par Executor
     * The handler's associated executor, else `get_executor()`.
     *
     * @par Errors
     * `operation_aborted`; `invalid_argument` for a negative count; @ref error::exceeds_max for
     * more than the limit; @ref error::closed; @ref error::queue_full; @ref
     * fleet_error::limit_mismatch; @ref fleet_error::unreachable; @ref fleet_error::rejected; @ref
     * fleet_error::clustered; @ref fleet_error::incompatible.
     */
    template <
        BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code, fleet_permit))
            Token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN_TYPE(executor_type),
        typename = detail::not_a_count<Token>>
    auto async_acquire_permit(Token&& token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN(executor_type))
        -> initiated_acquire<Token, std::ptrdiff_t> {
        return async_acquire_permit(1, std::forward<Token>(token));
    }

    /// Acquires @p n permits, all or none. Of 0 permits it succeeds at once, with an empty permit.
    /// @copydetails async_acquire_permit
    template <BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code, fleet_permit))
                  Token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN_TYPE(executor_type)>
    auto async_acquire_permit(
        std::ptrdiff_t n, Token&& token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN(executor_type))
        -> initiated_acquire<Token, std::ptrdiff_t> {
        return boost::asio::async_initiate<Token, permitted>(
            initiate_acquire(executor_, state_), token, std::ptrdiff_t(n));
    }

    /// Acquires a permit, and waits no longer than @p wait.
    /**
     * As `async_acquire_permit`; and when the time is over completes with
     * `boost::asio::error::timed_out`. With a time of 0 or less it asks the server once, and never
     * waits in its queue; without a connection that is `timed_out` at once. The timer is on
     * `get_executor()`.
     *
     * @par Completion Signature
     * @code void(boost::system::error_code, fleet_permit) @endcode
     *
     * @par Fairness
     * First come, first granted; with a time of 0 nobody is overtaken either.
     *
     * @par Per-Operation Cancellation
     * terminal, partial, total.
     *
     * @par Executor
     * The handler's associated executor, else `get_executor()`.
     *
     * @par Errors
     * Those of `async_acquire_permit`, and `timed_out`.
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

    /// Acquires @p n permits, all or none, and waits no longer than @p wait.
    /// @copydetails async_acquire_permit_for
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

    /// Sets the limit, for the whole fleet.
    /**
     * A raised limit serves the queue at once. With a lowered one nobody loses a permit: nothing is
     * granted until what is held fits; requests for more than it leave the queue with
     * @ref error::exceeds_max.
     *
     * @par Completion Signature
     * @code void(boost::system::error_code) @endcode
     *
     * @par Fairness
     * In the order of initiation, and of arrival at the server; who comes last decides.
     *
     * @par Per-Operation Cancellation
     * terminal, partial, total: ends the wait. The limit may have been set.
     *
     * @par Executor
     * The handler's associated executor, else `get_executor()`.
     *
     * @par Errors
     * `invalid_argument` if limit < 1; otherwise those of `async_acquire_permit`.
     */
    template <BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code))
                  Token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN_TYPE(executor_type)>
    auto async_set_limit(
        std::ptrdiff_t limit, Token&& token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN(executor_type))
        -> initiated_set_limit<Token> {
        return boost::asio::async_initiate<Token, bare>(
            initiate_set_limit(executor_, state_), token, std::ptrdiff_t(limit));
    }

    /// Asks the server how the limit stands.
    /**
     * @par Completion Signature
     * @code void(boost::system::error_code, fleet_status) @endcode
     *
     * @par Fairness
     * None: it waits for nobody.
     *
     * @par Per-Operation Cancellation
     * terminal, partial, total.
     *
     * @par Executor
     * The handler's associated executor, else `get_executor()`.
     *
     * @par Errors
     * Those of `async_acquire_permit`.
     */
    template <BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code, fleet_status))
                  Token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN_TYPE(executor_type)>
    auto async_inspect(Token&& token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN(executor_type))
        -> initiated_inspect<Token> {
        return boost::asio::async_initiate<Token, inspected>(
            initiate_inspect(executor_, state_), token);
    }

    /// Aborts every operation that waits here with `operation_aborted`, and returns how many those
    /// were.
    std::size_t cancel() { return state_ ? state_->cancel() : 0; }

    /// Closes for good: operations that wait here and later ones fail with @ref error::closed.
    /** Permits stay valid, and are renewed. Closing again has no effect. */
    void close() {
        if (state_)
            state_->close();
    }

    /// False once it or its client has been closed, and of a moved-from semaphore.
    bool is_open() const noexcept { return state_ && state_->is_open(); }

    /// The limit as last heard from the server; before that, the one it was made with.
    std::ptrdiff_t limit() const noexcept { return state_ ? state_->permits() : 0; }

    /// How many requests for permits wait in this process, of all objects of this name.
    std::size_t waiting() const noexcept { return state_ ? state_->waiting_here() : 0; }

    /// What the limit has seen in this process.
    fleet_statistics statistics() const {
        return state_ ? state_->statistics() : fleet_statistics();
    }

private:
    template <typename Executor1>
    friend class basic_fleet_semaphore;

    executor_type executor_;
    boost::intrusive_ptr<state_type> state_; // null once moved from
};

/// The semaphore for any executor.
using fleet_semaphore = basic_fleet_semaphore<>;

} // namespace asio_semaphore
