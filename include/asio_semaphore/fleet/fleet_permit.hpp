// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <asio_semaphore/detail/fleet/end_requests.hpp>
#include <asio_semaphore/fleet/config.hpp>
#include <asio_semaphore/fleet/fleet_error.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/system_executor.hpp>
#include <boost/system/error_code.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

namespace asio_semaphore {

namespace detail::fleet {
struct permit_access;
class initiate_release;
} // namespace detail::fleet

/// Owns permits of a limit that a fleet shares, and gives them back when it is destroyed.
/**
 * Move-only. An empty permit owns nothing. A permit is empty if it was default-constructed, moved
 * from, given back, or delivered with an error. A permit may outlive its semaphore, its client and
 * even the execution context.
 *
 * The server lends permits for the length of a lease, which the client renews. If the lease is not
 * renewed in time, the permit is **lost**. A permit counts as lost in its process a margin before
 * another process can get it. The loss does not stop the work under the permit: call @ref valid
 * right before whatever must not happen without the permit, run work under @ref while_held, which
 * cancels it, and pass @ref fencing to resources that can check it.
 *
 * @par Thread safety
 * Distinct permits: safe, also of the same semaphore. One permit: any thread may call @ref valid,
 * @ref remaining, @ref count, @ref fencing and @ref local; everything else one thread at a time,
 * like any value.
 */
class [[nodiscard]] fleet_permit {
    using bare = void(boost::system::error_code);
    using executor_type = boost::asio::any_io_executor;
    using initiate_wait =
        detail::fleet::initiate_plainly<executor_type, detail::fleet::wait_lost_request>;

public:
    /// Constructs an empty permit.
    fleet_permit() noexcept = default;

    /// Takes over what @p other owns; @p other is empty afterwards.
    fleet_permit(fleet_permit&& other) noexcept = default;

    /// Gives back what it owned before, as the destructor does, and takes over what @p other owns.
    fleet_permit& operator=(fleet_permit&& other) noexcept {
        fleet_permit(std::move(other)).swap(*this);
        return *this;
    }

    /// Gives the permits back, and does not wait for the server's answer.
    ~fleet_permit() { reset(); }

    /// Whether it owns permits, lost or not.
    explicit operator bool() const noexcept { return lease_ != nullptr; }

    /// The number of permits that it owns; 0 if it is empty.
    std::ptrdiff_t count() const noexcept { return lease_ ? lease_->count() : 0; }

    /// The fencing number: larger for each later grant of the same limit. 0 if the permit is empty
    /// or was granted locally.
    /**
     * With a limit of 1, a resource that remembers the largest number it has seen, and refuses
     * smaller ones, refuses every process that has lost the permit. With a larger limit it can
     * refuse only numbers below `fleet_status::lowest_fencing`. If a failover loses grants, the
     * server may give their numbers once more.
     */
    std::uint64_t fencing() const noexcept { return lease_ ? lease_->fence() : 0; }

    /// Whether this process granted the permit itself, because the server could not be reached; see
    /// `fleet_options::when_unreachable`.
    bool local() const noexcept { return lease_ && lease_->is_local(); }

    /// Whether the permit is still held. Reads the clock; once false, it stays false.
    /**
     * The clock also counts while the machine is suspended. The result says nothing about the time
     * after the call: the process may be stopped for longer than the lease before its next step. An
     * empty permit is not valid.
     *
     * @code
     * if (held.valid())
     *     commit(); // what must not happen without the permit
     * @endcode
     */
    bool valid() const noexcept { return lease_ && lease_->is_valid(detail::fleet::clock::now()); }

    /// How long the permit stays valid without another renewal: zero if it is not valid,
    /// `nanoseconds::max()` if it was granted locally.
    std::chrono::nanoseconds remaining() const noexcept {
        using std::chrono::nanoseconds;
        const auto now = detail::fleet::clock::now();
        if (!lease_ || !lease_->is_valid(now))
            return nanoseconds::zero();
        const auto until = lease_->deadline();
        if (until == detail::fleet::time_point::max())
            return nanoseconds::max();
        return until > now ? nanoseconds(until - now) : nanoseconds::zero();
    }

    /// Waits until the permit is lost.
    /**
     * @param token the completion token
     *
     * Completes when the permit is lost or has been given back, by this object or by the client's
     * `async_close`. Any number of such operations can wait.
     *
     * @par Completion Signature
     * @code void(boost::system::error_code) @endcode
     *
     * @par Fairness
     * All such operations complete together.
     *
     * @par Per-Operation Cancellation
     * Terminal, partial and total: ends the wait, and has no effect on the permit.
     *
     * @par Executor
     * The handler's associated executor, by default that of the client. An empty permit has no
     * client: then the default is the `system_executor`, on whose threads the handler may run
     * beside the rest of the program. The handler never runs inside this function, unless it has an
     * associated immediate executor.
     *
     * @par Errors
     * There is always an error:
     * - @ref fleet_error::lost if the permit is lost
     * - `boost::asio::error::operation_aborted` if the permit is empty or has been given back, or
     *   if the operation was cancelled
     *
     * @par Example
     * @code
     * held.async_wait_lost([](error_code ec) {
     *     if (ec == fleet_error::lost)
     *         work_without_permit();
     * });
     * @endcode
     *
     * @see @ref fleet
     */
    template <BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code))
                  Token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN_TYPE(executor_type)>
    auto async_wait_lost(Token&& token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN(executor_type))
        -> decltype(boost::asio::async_initiate<Token, bare>(
            std::declval<initiate_wait>(), std::declval<Token&>())) {
        const executor_type executor = executor_of(lease_);
        return boost::asio::async_initiate<Token, bare>(initiate_wait(executor, lease_), token);
    }

    /// Gives the permits back, and does not wait for the server's answer; the object is empty
    /// afterwards.
    void reset() noexcept {
        if (lease_) {
            // Empty first, because give_back completes waits for the loss, which may use this.
            const auto given = std::move(lease_);
            given->give_back();
        }
    }

    /// Gives the permits back, and waits for the server's answer. The object is empty at once.
    /**
     * @param token the completion token
     *
     * Completes when the server has answered, or when the lease has ended; at once if the object is
     * empty.
     *
     * @par Completion Signature
     * @code void(boost::system::error_code) @endcode
     *
     * @par Fairness
     * The server's next call serves the requests that wait for the permits, in their order.
     *
     * @par Per-Operation Cancellation
     * Terminal, partial and total: ends the wait. The permits still go back.
     *
     * @par Executor
     * The handler's associated executor, by default that of the client. An empty permit has no
     * client: then the default is the `system_executor`, on whose threads the handler may run
     * beside the rest of the program. The handler never runs inside this function, unless it has an
     * associated immediate executor.
     *
     * @par Errors
     * - @ref fleet_error::lost if the permit was lost before the server could answer: another
     *   process may have run at the same time
     * - `boost::asio::error::operation_aborted` if it was cancelled
     *
     * @par Example
     * @code
     * error_code ec;
     * co_await held.async_release(redirect_error(use_awaitable, ec));
     * if (ec == fleet_error::lost)
     *     co_await undo();
     * @endcode
     *
     * @see @ref fleet
     */
    template <BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code))
                  Token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN_TYPE(executor_type)>
    auto async_release(Token&& token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN(executor_type));

    /// Exchanges the permits of the two objects. So does `swap(a, b)`.
    void swap(fleet_permit& other) noexcept { lease_.swap(other.lease_); }
    friend void swap(fleet_permit& a, fleet_permit& b) noexcept { a.swap(b); }

private:
    friend struct detail::fleet::permit_access;
    friend class detail::fleet::initiate_release;

    explicit fleet_permit(detail::fleet::lease_pointer held) noexcept : lease_(std::move(held)) {}

    static executor_type executor_of(const detail::fleet::lease_pointer& held) {
        return held ? held->client().get_executor() : executor_type(boost::asio::system_executor());
    }

    detail::fleet::lease_pointer lease_; // null <=> empty
};

namespace detail::fleet {

struct permit_access {
    static fleet_permit make(lease_pointer held) noexcept { return fleet_permit(std::move(held)); }
    static boost::asio::any_io_executor executor_of(const fleet_permit& permit) {
        return fleet_permit::executor_of(permit.lease_);
    }
};

/// Owns the permit until the operation starts; a lazy operation may never start.
class initiate_release {
public:
    using executor_type = boost::asio::any_io_executor;

    explicit initiate_release(fleet_permit&& released) :
        executor_(fleet_permit::executor_of(released.lease_)), released_(std::move(released)) {}

    const executor_type& get_executor() const noexcept { return executor_; }

    template <typename Handler>
    void operator()(Handler&& handler) {
        std::decay_t<Handler> own(std::forward<Handler>(handler));
        // The handler may be called, and destroy this object, before start_acquire returns.
        const executor_type executor = executor_;
        fleet_permit released = std::move(released_);
        release_request request;
        detail::start_acquire(own, executor, released.lease_, request);
        // The release is under way. If start_acquire throws, `released` gives the permit back.
        released.lease_.reset();
    }

private:
    executor_type executor_;
    fleet_permit released_;
};

} // namespace detail::fleet

template <BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code)) Token>
auto fleet_permit::async_release(Token&& token) {
    return boost::asio::async_initiate<Token, bare>(
        detail::fleet::initiate_release(std::move(*this)), token);
}

} // namespace asio_semaphore
