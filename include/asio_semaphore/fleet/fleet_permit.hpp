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

/// Permits of a limit that a whole fleet shares, which go back when this dies.
/**
 * Move-only. An empty permit holds nothing; it is what a default-constructed, moved-from, given
 * back or refused one is. A permit may outlive its semaphore, its client and even the execution
 * context.
 *
 * The server lends permits for the length of a lease, which the client renews. A permit whose lease
 * was not renewed in time is **lost**: it counts as held by nobody, here a margin before anybody
 * else can get it. Nothing stops the work that was done under it. Ask @ref valid right before
 * whatever must not happen without the permit; run work under `while_held`, which cancels it; and
 * hand @ref fencing to what can check it.
 *
 * @par Thread safety
 * Distinct permits: safe, also of the same semaphore. One permit: @ref valid, @ref remaining,
 * @ref count, @ref fencing and @ref local from any thread; all else as any value, one thread at a
 * time.
 */
class [[nodiscard]] fleet_permit {
    using bare = void(boost::system::error_code);
    using executor_type = boost::asio::any_io_executor;
    using initiate_wait =
        detail::fleet::initiate_plainly<executor_type, detail::fleet::wait_lost_request>;

public:
    /// Empty.
    fleet_permit() noexcept = default;

    /// Takes over what @p other holds, which is empty afterwards.
    fleet_permit(fleet_permit&& other) noexcept = default;

    /// Gives back what it held before, as the destructor does.
    fleet_permit& operator=(fleet_permit&& other) noexcept {
        fleet_permit(std::move(other)).swap(*this);
        return *this;
    }

    /// Gives back, and does not wait for the server's answer.
    ~fleet_permit() { reset(); }

    /// Whether it holds something, lost or not.
    explicit operator bool() const noexcept { return lease_ != nullptr; }

    /// How many permits of the limit; 0 if it is empty.
    std::ptrdiff_t count() const noexcept { return lease_ ? lease_->count() : 0; }

    /// A number that is larger for every later grant of the same limit; 0 if it is empty, or
    /// admitted locally.
    /**
     * With a limit of 1 a resource that remembers the largest number it has seen, and refuses
     * smaller ones, refuses whoever has lost the permit. With a larger limit it can refuse only
     * what is smaller than `fleet_status::lowest_fencing`.
     */
    std::uint64_t fencing() const noexcept { return lease_ ? lease_->fence() : 0; }

    /// Whether this process alone admitted it, because the server could not be reached; see
    /// `fleet_options::when_unreachable`.
    bool local() const noexcept { return lease_ && lease_->is_local(); }

    /// Whether it is held still. Asks the clock, and once false stays so.
    /**
     * The clock counts while the machine is suspended, too. Nothing is promised for the time after
     * the call: between it and what is done next the process may be stopped for longer than the
     * lease. Empty permits are not valid.
     */
    bool valid() const noexcept { return lease_ && lease_->is_valid(detail::fleet::clock::now()); }

    /// How long it stays valid without another renewal; zero if it is not valid, and
    /// `nanoseconds::max()` if it is local.
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
     * Completes when the permit is lost, or has been given back, here or by the client's
     * `async_close`. Any number of waits may be under way.
     *
     * @par Completion Signature
     * @code void(boost::system::error_code) @endcode
     *
     * @par Fairness
     * All who wait are told at once.
     *
     * @par Per-Operation Cancellation
     * terminal, partial, total. Without effect on the permit.
     *
     * @par Executor
     * The handler's associated executor, else the client's.
     *
     * @par Errors
     * Always one: @ref fleet_error::lost; `operation_aborted` once it has been given back, of an
     * empty permit, and when cancelled.
     */
    template <BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code))
                  Token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN_TYPE(executor_type)>
    auto async_wait_lost(Token&& token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN(executor_type))
        -> decltype(boost::asio::async_initiate<Token, bare>(
            std::declval<initiate_wait>(), std::declval<Token&>())) {
        const executor_type executor = executor_of(lease_);
        return boost::asio::async_initiate<Token, bare>(initiate_wait(executor, lease_), token);
    }

    /// Gives back, and does not wait for the server's answer; empty afterwards.
    void reset() noexcept {
        if (lease_) {
            // Emptied first: those who wait for the loss are told, and may look at this.
            const auto given = std::move(lease_);
            given->give_back();
        }
    }

    /// Gives back, and waits until the server has answered. The permit is empty at once.
    /**
     * Completes when the server has answered, or when the lease has ended by itself.
     *
     * @par Completion Signature
     * @code void(boost::system::error_code) @endcode
     *
     * @par Fairness
     * Those who wait for the permit are served by the server's next call, in their order.
     *
     * @par Per-Operation Cancellation
     * terminal, partial, total: ends the wait. The permit goes back all the same.
     *
     * @par Executor
     * The handler's associated executor, else the client's.
     *
     * @par Errors
     * @ref fleet_error::lost if the permit had ended before; `operation_aborted`.
     */
    template <BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code))
                  Token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN_TYPE(executor_type)>
    auto async_release(Token&& token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN(executor_type));

    /// Exchanges what the two hold. So does `swap(a, b)`.
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

/// Owns the permit until the operation is started: a lazy one may never be.
class initiate_release {
public:
    using executor_type = boost::asio::any_io_executor;

    explicit initiate_release(fleet_permit&& released) :
        executor_(fleet_permit::executor_of(released.lease_)), released_(std::move(released)) {}

    const executor_type& get_executor() const noexcept { return executor_; }

    template <typename Handler>
    void operator()(Handler&& handler) {
        std::decay_t<Handler> own(std::forward<Handler>(handler));
        release_request request;
        detail::start_acquire(own, executor_, released_.lease_, request);
        released_.lease_.reset(); // on its way; until here an exception gave it back
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
