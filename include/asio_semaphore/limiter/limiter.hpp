// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/detail/operation/admit_request.hpp>
#include <asio_semaphore/detail/operation/executors.hpp>
#include <asio_semaphore/detail/operation/semaphore_service.hpp>
#include <asio_semaphore/detail/state/limiter_state.hpp>
#include <asio_semaphore/error.hpp>
#include <asio_semaphore/limiter/admission.hpp>
#include <asio_semaphore/limiter/admission_request.hpp>
#include <asio_semaphore/limiter/limiter_options.hpp>
#include <asio_semaphore/limiter/limiter_statistics.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/system/error_code.hpp>
#include <boost/throw_exception.hpp>

#include <cstddef>
#include <memory>
#include <new>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

namespace asio_semaphore {

/// A concurrency limit for servers: with a bounded queue that sheds load in time, fair shares for
/// clients, a limit that can adapt, and statistics.
/**
 * A request is admitted, waits, or is refused. An @ref admission is the place of an admitted
 * request under the limit. The place becomes free when the work is done and `finish` reports how it
 * ended.
 *
 * @par Example
 * @code
 * limiter limit(context, 100);
 *
 * error_code ec;
 * admission place =
 *     co_await limit.async_admit({.key = key_of(client)}, redirect_error(use_awaitable, ec));
 * if (ec == condition::overload)
 *     co_return reply(503);
 * if (ec)
 *     co_return; // closed, or cancelled
 * const error_code result = co_await work();
 * place.finish(result);
 * @endcode
 *
 * The following sections apply to all operations.
 *
 * @par Order
 * Each criterion decides between requests that are equal by the criteria before it:
 * - the priority: the lower number first;
 * - the weight that the request's key holds now: the smaller first;
 * - the service that the key has received, which is the duration of its admissions multiplied by
 *   their weights: the smaller first;
 * - the arrival: the oldest first; the newest first with `lifo`, and with `adaptive` during a
 *   standing queue.
 *
 * @par Admission
 * A request fits if its weight and the weights of all running requests together do not exceed the
 * share of its priority in the limit (at least 1), or if nothing runs. If the first request in the
 * order does not fit, no other request is admitted: small requests do not overtake a large one.
 * Only requests of a key at its cap are passed over. A new request is admitted at once if and only
 * if it is the first in the order and fits. A key that comes back has neither credit nor debt.
 *
 * @par Full queue
 * If `max_waiting` requests wait already, a new request takes the position of a waiting one, which
 * completes with @ref error::shed, or is refused. The first rule that applies decides:
 * - If requests of a lower priority wait, the newest request of the lowest priority is shed.
 * - Otherwise, if among the waiting requests of its own priority a key has at least two more than
 *   the new request's key, the newest request of the key with the most is shed. This rule does not
 *   concern requests without a key.
 * - Otherwise, if the newest come first, the oldest request of its own priority is shed.
 * - Otherwise the new request is refused with @ref error::queue_full.
 *
 * @par Deadlines
 * The arrival of a request fixes how long it may wait: its own `max_wait`, or otherwise the
 * limiter's, but no longer than `busy_wait`, if that is set and there is a standing queue: one that
 * has not been empty for as long as the limiter's `max_wait`. The deadline covers the wait in the
 * queue, never the work. At its deadline, a request that found a standing queue on arrival
 * completes with @ref error::shed if `busy_wait` is set, even if its own `max_wait` was shorter;
 * any other request completes with `boost::asio::error::timed_out`. All deadlines share one timer
 * on `get_executor()`: they end waits only while the context of that executor runs. No request is
 * admitted after its deadline, however late the timer is.
 *
 * @par Executor
 * A handler is posted straight to its associated executor, by default `get_executor()`; see @ref
 * basic_async_semaphore for the details. No handler runs inside the function that starts its
 * operation, nor inside `finish`, the destructor of an admission, `set_limit`, `cancel`, `close` or
 * the emission of a cancellation signal. There is one exception: from Boost 1.82 on, an operation
 * that completes at once is submitted to the handler's associated immediate executor, if it has
 * one.
 *
 * @par Cancellation
 * A waiting operation can be cancelled through the cancellation slot of its handler, with the types
 * terminal, partial and total. It completes with `boost::asio::error::operation_aborted`, and its
 * position in the queue is free at once. A cancellation has no effect after the admission.
 *
 * @par Nested admissions
 * A request that holds a place and asks the same limiter for another one can deadlock: if such
 * requests hold all places, each waits for the others until its deadline. Ask once, for the weight
 * of both, or use a second limiter for the inner work.
 *
 * @par Memory
 * A key has a record only while it runs or waits. So there are never more records than the limit
 * and `max_waiting` together, whatever keys the clients choose. A few unused records are kept.
 *
 * @par Thread safety
 * Distinct objects: safe. Shared objects: safe, except for construction, assignment, being moved
 * from and destruction. What happened before a place is given back is visible after the admission
 * that it makes possible.
 *
 * @par Lifetime
 * The destructor completes waiting operations with `operation_aborted`. A move takes the waiting
 * operations along. Admissions and lazy operations may outlive the limiter. The destruction of the
 * execution context destroys waiting handlers without calling them.
 *
 * @par Origin of the rules
 * The standing queue, `busy_wait` and the adaptive order are those of Facebook's servers ([Fail at
 * Scale](https://queue.acm.org/detail.cfm?id=2839461)). The order of keys is fair queuing. The rule
 * that the key with the longest queue loses a request is that of FQ-CoDel (RFC 8290).
 *
 * @tparam Executor any I/O executor: one that has an execution context and can run a function later
 */
template <typename Executor = boost::asio::any_io_executor>
class basic_limiter {
    using state_type = detail::limiter_state<detail::threads>;
    using admitted = void(boost::system::error_code, admission);
    using bare = void(boost::system::error_code);
    template <typename Token>
    using initiated_admit = decltype(boost::asio::async_initiate<Token, admitted>(
        std::declval<detail::initiate_admit<Executor>>(), std::declval<Token&>(),
        std::declval<admission_request>()));
    template <typename Token>
    using initiated_wait_idle = decltype(boost::asio::async_initiate<Token, bare>(
        std::declval<detail::initiate_wait_idle<Executor>>(), std::declval<Token&>()));
    template <typename Token>
    using not_a_request = std::enable_if_t<!std::is_same_v<std::decay_t<Token>, admission_request>>;

public:
    /// The default executor of handlers.
    using executor_type = Executor;

    /// Rebinds the limiter to another executor type, as Asio's I/O objects do for default
    /// completion tokens.
    template <typename Executor1>
    struct rebind_executor {
        /// The limiter for executors of type `Executor1`.
        using other = basic_limiter<Executor1>;
    };

    /// Constructs a limiter.
    /**
     * @param executor the default executor of handlers; deadlines run on it
     * @param limit the weight that may run at the same time; with an algorithm, the initial value
     * @param options how the limiter queues, sheds and adapts
     *
     * @throws std::invalid_argument unless limit >= 1, all shares are in (0, 1] and do not rise
     * from priority 0 to 3, `max_per_key` and the durations are not negative, `busy_wait` is not
     * longer than `max_wait`, and `classify` is not null
     */
    basic_limiter(
        const executor_type& executor, std::ptrdiff_t limit, limiter_options options = {}) :
        executor_(executor),
        state_(
            new state_type(
                limit, std::move(options),
                detail::semaphore_service::registry_of(detail::context_of(executor_))),
            false) {}

    /// Constructs a limiter on the executor of @p context.
    /** @throws std::invalid_argument for the same arguments as the other constructor */
    template <
        typename ExecutionContext, typename = std::enable_if_t<std::is_convertible_v<
                                       ExecutionContext&, boost::asio::execution_context&>>>
    basic_limiter(ExecutionContext& context, std::ptrdiff_t limit, limiter_options options = {}) :
        basic_limiter(executor_type(context.get_executor()), limit, std::move(options)) {}

    /// Takes over the state and the waiting operations of @p other, which becomes a closed limiter.
    basic_limiter(basic_limiter&& other) noexcept :
        executor_(other.executor_), state_(std::move(other.state_)) {}

    /// Takes over the state and the waiting operations of @p other, a limiter for another executor
    /// type. That executor type has to be convertible to `Executor`, and both executors have to be
    /// of the same execution context.
    template <
        typename Executor1, typename = std::enable_if_t<std::is_convertible_v<Executor1, Executor>>>
    basic_limiter(basic_limiter<Executor1>&& other) noexcept(
        std::is_nothrow_constructible_v<Executor, const Executor1&>) :
        executor_(other.executor_), state_(std::move(other.state_)) {}

    /// Aborts the waiting operations of this limiter, as the destructor does, and takes over the
    /// state, the waiting operations and the executor of @p other.
    basic_limiter& operator=(basic_limiter&& other) {
        if (this != &other) {
            basic_limiter old(std::move(*this));
            // Executors are copyable without throwing, but need not be assignable.
            executor_.~executor_type();
            ::new (static_cast<void*>(std::addressof(executor_))) executor_type(other.executor_);
            state_ = std::move(other.state_);
        }
        return *this;
    }

    /// Move-assigns from a limiter for another executor type, which has to be convertible to
    /// `Executor`.
    template <
        typename Executor1, typename = std::enable_if_t<std::is_convertible_v<Executor1, Executor>>>
    basic_limiter& operator=(basic_limiter<Executor1>&& other) {
        return *this = basic_limiter(std::move(other));
    }

    /// Completes waiting operations with `operation_aborted`. Admissions may outlive the limiter.
    ~basic_limiter() {
        if (state_)
            state_->abort();
    }

    /// The executor of the limiter.
    executor_type get_executor() const noexcept { return executor_; }

    /// Requests admission with weight 1, at the highest priority and without a key.
    /**
     * @param token the completion token
     *
     * Completes when the request is admitted or refused, when its deadline passes, when the
     * operation is cancelled, or when the limiter is closed or destroyed.
     *
     * @par Completion Signature
     * @code void(boost::system::error_code, admission) @endcode
     * From the grant on, the admission has the place: if the handler is destroyed without being
     * called, or its result is discarded, the place goes back, as ignored and unreported. On
     * failure the admission is empty.
     *
     * @par Fairness
     * By priority, by what the key holds and has received, and by arrival: see the section Order of
     * @ref basic_limiter.
     *
     * @par Per-Operation Cancellation
     * Terminal, partial and total, until the admission. Exactly one of grant, deadline, eviction
     * and cancellation ends the wait.
     *
     * @par Executor
     * The handler's associated executor, by default `get_executor()`. The handler never runs inside
     * this function, unless it has an associated immediate executor.
     *
     * @par Errors
     * The first three equal @ref condition::overload. `invalid_argument` and `exceeds_max` are
     * reported even if the limiter is closed or its queue full.
     * - @ref error::queue_full if the request was refused on arrival
     * - @ref error::shed if it waited, and `busy_wait` expired or another request took its position
     * - `boost::asio::error::timed_out` if its `max_wait` expired
     * - `boost::asio::error::operation_aborted` if it was cancelled or the limiter destroyed
     * - @ref error::closed if the limiter is closed
     * - @ref error::exceeds_max if the weight is greater than the limit, unless there is an
     *   algorithm or a dry run
     * - `boost::asio::error::invalid_argument` if the weight is negative or the priority not in
     *   0..3
     *
     * @par Example
     * @code
     * limit.async_admit([&](error_code ec, admission place) {
     *     if (ec)
     *         return reply(ec == condition::overload ? 503 : 500);
     *     work();
     *     place.finish();
     * });
     * @endcode
     *
     * @see @ref overload, @ref clients
     */
    template <
        BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code, admission))
            Token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN_TYPE(executor_type),
        typename = not_a_request<Token>>
    auto async_admit(Token&& token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN(executor_type))
        -> initiated_admit<Token> {
        return boost::asio::async_initiate<Token, admitted>(
            detail::initiate_admit<Executor>(executor_, state_), token, admission_request());
    }

    /// Requests admission with the key, priority, weight and deadline of @p request.
    /**
     * @param request what is requested; a weight of 0 succeeds at once, with an empty admission
     * @copydetails async_admit
     */
    template <BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code, admission))
                  Token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN_TYPE(executor_type)>
    auto async_admit(
        admission_request request, Token&& token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN(executor_type))
        -> initiated_admit<Token> {
        return boost::asio::async_initiate<Token, admitted>(
            detail::initiate_admit<Executor>(executor_, state_), token, std::move(request));
    }

    /// Admits a request if that is possible at once; never waits.
    /**
     * @param request what is requested; its `max_wait` has no effect
     * @return the admission; empty if the request would have to wait or the limiter is closed. The
     * statistics do not count an empty result.
     *
     * @throws std::invalid_argument if the weight is negative or the priority not in 0..3
     *
     * @par Example
     * @code
     * if (admission place = limit.try_admit({.priority = 3})) {
     *     work();
     *     place.finish();
     * }
     * @endcode
     */
    [[nodiscard]] admission try_admit(const admission_request& request = {}) {
        detail::place granted;
        if (state_ && state_->try_admit_plainly(request, granted))
            return detail::admission_access::make(state_, detail::outcome::granted, granted);
        // A copy: try_admit may drop the handler of a request that leaves the queue, and that
        // handler may own this limiter.
        const auto state = state_;
        const detail::outcome result =
            state ? state->try_admit(request, granted, false) : detail::closed_or_invalid(request);
        if (result == detail::outcome::invalid_argument)
            boost::throw_exception(std::invalid_argument(
                "limiter::try_admit: the weight is negative, or the priority not in 0..3"));
        return detail::admission_access::make(state, result, granted);
    }

    /// Sets the limit, and admits the waiting requests that fit now. No running request is
    /// interrupted.
    /**
     * @param limit the weight that may run at the same time
     *
     * If there is an algorithm, a fresh copy of the one in the options starts from this limit, and
     * sees only later admissions. Calls `on_limit_change`. On a moved-from limiter there is no
     * effect.
     *
     * @throws std::invalid_argument if limit < 1, in which case nothing changes
     */
    void set_limit(std::ptrdiff_t limit) {
        if (limit < 1)
            boost::throw_exception(
                std::invalid_argument("limiter::set_limit: the limit is less than 1"));
        // A copy: on_limit_change may destroy this limiter.
        if (const auto state = state_)
            state->set_limit(limit);
    }

    /// Aborts every operation that waits for admission with `operation_aborted`, and returns their
    /// number.
    /** Admitted requests, operations that start later, and `async_wait_idle` are not affected. */
    std::size_t cancel() { return state_ ? state_->cancel() : 0; }

    /// Closes the limiter for good: operations that wait for admission and later ones fail with
    /// @ref error::closed.
    /**
     * Admissions stay valid, and `async_wait_idle` keeps waiting. A second call has no effect.
     *
     * @see @ref shutdown
     */
    void close() {
        if (state_)
            state_->close();
    }

    /// False once @ref close has been called or the execution context is destroyed, and for a
    /// moved-from limiter.
    bool is_open() const noexcept { return state_ && state_->is_open(); }

    /// Waits until nothing runs and nothing waits for admission. For a graceful shutdown, call @ref
    /// close first.
    /**
     * @param token the completion token
     *
     * Completes when the limiter is idle (at once if it already is), or when the operation is
     * cancelled or the limiter destroyed. The operation has no position in the queue.
     *
     * @par Completion Signature
     * @code void(boost::system::error_code) @endcode
     *
     * @par Fairness
     * All such operations complete together.
     *
     * @par Per-Operation Cancellation
     * Terminal, partial and total. `cancel()` does not end the operation.
     *
     * @par Executor
     * The handler's associated executor, by default `get_executor()`. The handler never runs inside
     * this function, unless it has an associated immediate executor.
     *
     * @par Errors
     * - `boost::asio::error::operation_aborted` if it was cancelled or the limiter destroyed
     *
     * @par Example
     * @code
     * limit.close();                                 // waiting and later requests fail
     * co_await limit.async_wait_idle(use_awaitable); // the running ones have ended now
     * @endcode
     *
     * @see @ref shutdown
     */
    template <BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code))
                  Token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN_TYPE(executor_type)>
    auto async_wait_idle(Token&& token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN(executor_type))
        -> initiated_wait_idle<Token> {
        return boost::asio::async_initiate<Token, bare>(
            detail::initiate_wait_idle<Executor>(executor_, state_), token);
    }

    /// The current limit, a real number; the limiter enforces its integer part.
    double limit() const noexcept { return state_ ? state_->limit() : 0; }

    /// The weight of all running requests.
    std::ptrdiff_t in_flight() const noexcept { return state_ ? state_->in_flight() : 0; }

    /// The number of operations that wait for admission.
    std::size_t waiting() const noexcept { return state_ ? state_->waiting() : 0; }

    /// One consistent snapshot of the counters.
    /** @see @ref metrics */
    limiter_statistics statistics() const {
        return state_ ? state_->statistics() : limiter_statistics();
    }

    /// The keys that hold the most weight, in descending order, without key 0.
    /**
     * @param most the largest number of keys to return
     *
     * Meant for a log or a person, never for the labels of metrics. The time is proportional to the
     * number of keys.
     */
    std::vector<key_usage> busiest_keys(std::size_t most = 8) const {
        return state_ ? state_->busiest_keys(most) : std::vector<key_usage>();
    }

private:
    template <typename Executor1>
    friend class basic_limiter;

    executor_type executor_;
    boost::intrusive_ptr<state_type> state_; // null once moved from
};

/// A limiter for any executor.
using limiter = basic_limiter<>;

} // namespace asio_semaphore
