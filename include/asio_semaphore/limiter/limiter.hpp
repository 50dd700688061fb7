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

/// What a server needs beyond a semaphore: a limit with a bounded queue that sheds in time, a fair
/// share for each client, a limit that finds itself, and numbers that tell.
/**
 * A request is admitted, waits, or is refused. An @ref admission is its place under the limit,
 * which goes back when the work is done; how that ended is told with it.
 *
 * @code
 * asio_semaphore::limiter limit(context, 100);
 *
 * error_code ec;
 * auto place =
 *     co_await limit.async_admit({.key = key_of(client)}, redirect_error(use_awaitable, ec));
 * if (ec == asio_semaphore::condition::overload)
 *     co_return reply(503);
 * if (ec)
 *     co_return; // closed, or cancelled
 * const error_code result = co_await work();
 * place.finish(result);
 * @endcode
 *
 * What follows holds for all operations; each one says only what is its own.
 *
 * @par Order
 * Of those who wait comes first who has the least, in this order: the priority's number; the weight
 * that its key holds; what its key has had already, as the time of its admissions by their weights;
 * the arrival. Under `lifo`, and under `adaptive` while the queue is a standing one, of equals the
 * newest comes first. Who comes first and does not fit holds back all others: small requests do not
 * overtake a large one. Only requests of a key at its cap are passed over. A request that arrives
 * is admitted at once if and only if it would come first and fits. A key that comes back has
 * neither credit nor debt.
 *
 * A request fits while the weights of all that run, with its own, do not exceed the share of its
 * priority in the limit; and always when nothing runs.
 *
 * @par A full queue
 * One that arrives takes the place of the newest of the lowest priority, if that is lower than its
 * own; else, within its own priority, that of the newest of the key with the most requests there,
 * if those are at least two more than its own key's; else, while newest come first, that of the
 * oldest of its own priority. Who has to go completes with @ref error::shed. Else the newcomer is
 * refused, with @ref error::queue_full.
 *
 * @par Deadlines
 * How long a request may wait is fixed when it arrives: its own `max_wait`, else the limiter's;
 * and no longer than `busy_wait`, where that is set and the queue is a standing one, which has not
 * been empty within the limiter's `max_wait`. It covers the queue, never the work. A short deadline
 * ends as @ref error::shed, any other as `timed_out`. All share one timer on `get_executor()`:
 * deadlines end waits only while that executor's context runs. Nobody is admitted whose deadline is
 * over, however late the timer is.
 *
 * @par Executor
 * As for `async_semaphore`: a handler is posted straight to its associated executor,
 * `get_executor()` by default. No handler runs inside the function that starts the operation, nor
 * inside `finish`, an admission's destructor, `set_limit`, `cancel`, `close` or the emission of a
 * cancellation; except, from Boost 1.82 on, by an associated immediate executor, for an operation
 * that completes at once.
 *
 * @par Cancellation
 * Through the handler's cancellation slot, with any of the types terminal, partial and total, and
 * while the operation waits only. It completes with `boost::asio::error::operation_aborted`, and
 * its place in the queue is free at once.
 *
 * @par Nested admissions
 * A request that holds a place and asks the same limiter for another can deadlock: when every place
 * is held by such a request, each waits for the others until its deadline. Ask once, for the weight
 * of both; or use a second limiter for the inner work.
 *
 * @par Memory
 * A key has a record while it runs or waits, so that there are never more records than the limit
 * and `max_waiting` together, whatever keys the clients choose. A few unused ones are kept.
 *
 * @par Thread safety
 * Distinct objects: safe. Shared objects: safe, except for construction, assignment, being moved
 * from and destruction. What happened before a place is given back is visible after the admission
 * that it makes possible.
 *
 * @par Lifetime
 * As for `async_semaphore`: destroying the limiter completes waiting operations with
 * `operation_aborted`, moving it takes them along, admissions and lazy operations may outlive it,
 * and destroying the execution context destroys the waiting handlers without calling them.
 *
 * @tparam Executor any I/O executor: one with an execution context, which can run a function later
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
    /// Where handlers run that have no executor of their own.
    using executor_type = Executor;

    /// The limiter for another executor, as of every I/O object; default tokens are made with it.
    template <typename Executor1>
    struct rebind_executor {
        /// The same limiter for `Executor1`.
        using other = basic_limiter<Executor1>;
    };

    /// A limiter that lets weights of @p limit run at the same time; with an algorithm, starts
    /// there.
    /**
     * @throws std::invalid_argument unless limit >= 1, all shares are in (0, 1] and do not rise,
     * `max_per_key` and the durations are not negative, `busy_wait` is not longer than `max_wait`,
     * and `classify` is not null
     */
    basic_limiter(
        const executor_type& executor, std::ptrdiff_t limit, limiter_options options = {}) :
        executor_(executor),
        state_(
            new state_type(
                limit, std::move(options),
                detail::semaphore_service::registry_of(detail::context_of(executor_))),
            false) {}

    /// The same, on the executor of @p context.
    template <
        typename ExecutionContext, typename = std::enable_if_t<std::is_convertible_v<
                                       ExecutionContext&, boost::asio::execution_context&>>>
    basic_limiter(ExecutionContext& context, std::ptrdiff_t limit, limiter_options options = {}) :
        basic_limiter(executor_type(context.get_executor()), limit, std::move(options)) {}

    /// Takes over all that @p other has, which remains as a closed limiter.
    basic_limiter(basic_limiter&& other) noexcept :
        executor_(other.executor_), state_(std::move(other.state_)) {}

    /// The same from a limiter for an executor that is convertible to this one's, of the same
    /// execution context.
    template <
        typename Executor1, typename = std::enable_if_t<std::is_convertible_v<Executor1, Executor>>>
    basic_limiter(basic_limiter<Executor1>&& other) noexcept(
        std::is_nothrow_constructible_v<Executor, const Executor1&>) :
        executor_(other.executor_), state_(std::move(other.state_)) {}

    /// Aborts the operations that wait here, as the destructor does, and takes over all that
    /// @p other has, and its executor.
    basic_limiter& operator=(basic_limiter&& other) {
        if (this != &other) {
            basic_limiter old(std::move(*this));
            // Executors can be copied, without throwing, but need not be assignable.
            executor_.~executor_type();
            ::new (static_cast<void*>(std::addressof(executor_))) executor_type(other.executor_);
            state_ = std::move(other.state_);
        }
        return *this;
    }

    /// The same from a limiter for an executor that is convertible to this one's.
    template <
        typename Executor1, typename = std::enable_if_t<std::is_convertible_v<Executor1, Executor>>>
    basic_limiter& operator=(basic_limiter<Executor1>&& other) {
        return *this = basic_limiter(std::move(other));
    }

    /// Completes the operations that wait here with `operation_aborted`. Admissions may outlive it.
    ~basic_limiter() {
        if (state_)
            state_->abort();
    }

    /// The executor that it was made with.
    executor_type get_executor() const noexcept { return executor_; }

    /// Asks for admission, of weight 1, at the highest priority, for nobody in particular.
    /**
     * Completes when the request is admitted or refused, its time is over, the operation is
     * cancelled, or the limiter is closed or destroyed.
     *
     * @par Completion Signature
     * @code void(boost::system::error_code, admission) @endcode
     * Without an error the admission has the place, from the grant on: if the handler is destroyed
     * instead of called, or its result thrown away, the place goes back, as ignored and unreported.
     * With an error the admission is empty.
     *
     * @par Fairness
     * By priority, what the key holds, what it has had, and arrival; see the class.
     *
     * @par Per-Operation Cancellation
     * terminal, partial, total. Grant, deadline, eviction and cancellation exclude each other:
     * exactly one of them ends the wait.
     *
     * @par Executor
     * The handler's associated executor, else `get_executor()`; never called inside this function,
     * except by an associated immediate executor.
     *
     * @par Errors
     * @ref condition::overload equals these three: @ref error::queue_full, @ref error::shed,
     * `boost::asio::error::timed_out`. And `operation_aborted`; @ref error::closed;
     * `invalid_argument`, for a negative weight or a priority that is none; @ref
     * error::exceeds_max, for a weight above the limit where there is no algorithm. What can never
     * be served is told first, then `closed`.
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

    /// Asks for admission. A weight of 0 succeeds at once, with an empty admission.
    /// @copydetails async_admit
    template <BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code, admission))
                  Token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN_TYPE(executor_type)>
    auto async_admit(
        admission_request request, Token&& token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN(executor_type))
        -> initiated_admit<Token> {
        return boost::asio::async_initiate<Token, admitted>(
            detail::initiate_admit<Executor>(executor_, state_), token, std::move(request));
    }

    /// Admits if that is possible at once; empty if the request would have to wait, and on a closed
    /// limiter. How long it may wait does not matter, and an empty answer is counted nowhere.
    /** @throws std::invalid_argument for a negative weight, or a priority that is none */
    [[nodiscard]] admission try_admit(const admission_request& request = {}) {
        detail::place granted;
        if (state_ && state_->try_admit_plainly(request, granted))
            return detail::admission_access::make(state_, detail::outcome::granted, granted);
        // Somebody may leave the queue now, whose handler is dropped, and owns the limiter.
        const auto state = state_;
        const detail::outcome result =
            state ? state->try_admit(request, granted, false) : detail::closed_or_invalid(request);
        if (result == detail::outcome::invalid_argument)
            boost::throw_exception(std::invalid_argument(
                "limiter::try_admit: the weight is negative, or the priority not in 0..3"));
        return detail::admission_access::make(state, result, granted);
    }

    /// Sets the limit, and admits whom it makes room for. Nobody is interrupted.
    /**
     * With an algorithm, a fresh copy of it, as it was given, starts from there, and sees only
     * admissions from then on. Calls `on_limit_change`. On a moved-from limiter it has no effect.
     *
     * @throws std::invalid_argument if limit < 1; nothing changed then
     */
    void set_limit(std::ptrdiff_t limit) {
        if (limit < 1)
            boost::throw_exception(
                std::invalid_argument("limiter::set_limit: the limit is less than 1"));
        // on_limit_change may end this limiter.
        if (const auto state = state_)
            state->set_limit(limit);
    }

    /// Aborts every operation that waits for admission with `operation_aborted`, and returns how
    /// many those were.
    /** Those that are admitted already are not affected, nor those started afterwards, nor
     * `async_wait_idle`. */
    std::size_t cancel() { return state_ ? state_->cancel() : 0; }

    /// Closes for good: operations that wait for admission and later ones fail with
    /// @ref error::closed.
    /** Admissions stay valid, and `async_wait_idle` goes on. Closing again has no effect. */
    void close() {
        if (state_)
            state_->close();
    }

    /// False once @ref close has been called, and of a moved-from limiter.
    bool is_open() const noexcept { return state_ && state_->is_open(); }

    /// Waits until nothing runs and nobody waits. For a graceful end: close, then this.
    /**
     * Completes when the limiter is idle, at once if it is, or the operation is cancelled, or the
     * limiter is destroyed. It takes no place in the queue.
     *
     * @par Completion Signature
     * @code void(boost::system::error_code) @endcode
     *
     * @par Fairness
     * All who wait for this complete together.
     *
     * @par Per-Operation Cancellation
     * terminal, partial, total.
     *
     * @par Executor
     * As @ref async_admit.
     *
     * @par Errors
     * `operation_aborted`.
     */
    template <BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code))
                  Token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN_TYPE(executor_type)>
    auto async_wait_idle(Token&& token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN(executor_type))
        -> initiated_wait_idle<Token> {
        return boost::asio::async_initiate<Token, bare>(
            detail::initiate_wait_idle<Executor>(executor_, state_), token);
    }

    /// The limit in force, a real number; its integer part is enforced.
    double limit() const noexcept { return state_ ? state_->limit() : 0; }

    /// The weights of those who run.
    std::ptrdiff_t in_flight() const noexcept { return state_ ? state_->in_flight() : 0; }

    /// The number of operations that wait for admission.
    std::size_t waiting() const noexcept { return state_ ? state_->waiting() : 0; }

    /// What it did and does: one consistent snapshot.
    limiter_statistics statistics() const {
        return state_ ? state_->statistics() : limiter_statistics();
    }

    /// The keys that hold most, at most @p most of them, those that hold more first.
    /** For a person to look at, never for the labels of metrics. Takes time in proportion to the
     * number of keys. Key 0 is not among them. */
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
