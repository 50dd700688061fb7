#pragma once

#include <asio_semaphore/detail/fleet/end_requests.hpp>
#include <asio_semaphore/detail/fleet/redis_store.hpp>
#include <asio_semaphore/fleet/config.hpp>
#include <asio_semaphore/fleet/fleet_statistics.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/redis/config.hpp>
#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/system/error_code.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace asio_semaphore {

namespace detail::fleet {
struct client_access;
} // namespace detail::fleet

/// A process's part in a fleet: one connection to Redis or Valkey, for any number of semaphores.
/**
 * @code
 * asio_semaphore::fleet_client client(context.get_executor(), {.addr = {"redis.example", "6379"}});
 * client.async_run(asio::detached);
 * asio_semaphore::fleet_semaphore limit(context.get_executor(), client, "reports", 16);
 *
 * auto permit = co_await limit.async_acquire_permit(asio::use_awaitable);
 * @endcode
 *
 * Renewals of the permits are work of this client's executor. Where handlers can keep that busy for
 * a third of a lease, give the client a context, and a thread, of its own.
 *
 * @par Executor
 * The client's own work runs on a strand of the executor that it is made with. No handler of an
 * operation runs there, unless it has the same executor.
 *
 * @par Thread safety
 * Distinct objects: safe. Shared objects: safe, except for construction and destruction. `fork` is
 * not supported in the child.
 *
 * @par Lifetime
 * The destructor ends the connection, and waits for nobody: what `async_close` did not give back
 * before ends with its lease. Semaphores and permits may outlive the client: the semaphores are
 * closed then, the permits valid until their leases end.
 */
class fleet_client {
    using bare = void(boost::system::error_code);
    using state_type = detail::fleet::client_state;

public:
    /// Any executor of an execution context.
    using executor_type = boost::asio::any_io_executor;

private:
    using initiate_run = detail::fleet::initiate_plainly<executor_type, detail::fleet::run_request>;
    using initiate_close =
        detail::fleet::initiate_plainly<executor_type, detail::fleet::close_request>;

public:
    /// A client that connects as @p config says, once it runs.
    /**
     * Of the configuration, the intervals and timeouts are set by the client, as the leases need
     * them.
     *
     * @param executor of its own work
     * @param config where the server is, and who the client is there
     * @param tls needed where the configuration asks for TLS; it has to verify the server
     * @param log is told, on the client's executor, why a connection failed, and what the server
     * said when it refused
     * @throws std::invalid_argument for TLS without a context that verifies the peer
     */
    explicit fleet_client(
        const executor_type& executor, boost::redis::config config = {},
        std::optional<boost::asio::ssl::context> tls = {},
        std::function<void(std::string_view)> log = {}) :
        state_(
            new state_type(
                executor,
                [&](const state_type::strand_type& strand, std::string name) {
                    return std::make_shared<detail::fleet::redis_store>(
                        strand, std::move(config), std::move(tls), std::move(name));
                },
                std::move(log)),
            false) {}

    fleet_client(const fleet_client&) = delete;
    fleet_client& operator=(const fleet_client&) = delete;

    /// Ends the connection, and closes the semaphores.
    ~fleet_client() { state_->end(); }

    /// The executor that it was made with.
    executor_type get_executor() const noexcept { return state_->get_executor(); }

    /// Keeps the client connected: connects, and again after a loss, until it is closed or this is
    /// cancelled.
    /**
     * Until it runs, and while it is not connected, those who want a permit wait, unless their
     * semaphore's options say otherwise.
     *
     * @par Completion Signature
     * @code void(boost::system::error_code) @endcode
     *
     * @par Fairness
     * One at a time.
     *
     * @par Per-Operation Cancellation
     * terminal, partial, total: ends the connection. It may run again later.
     *
     * @par Executor
     * The handler's associated executor, else `get_executor()`.
     *
     * @par Errors
     * None after `async_close`; `operation_aborted` when cancelled, or when the client is
     * destroyed; `boost::asio::error::already_started` while it runs already. A server that cannot
     * be reached is no error: see the client's log, and @ref statistics.
     */
    template <BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code))
                  Token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN_TYPE(executor_type)>
    auto async_run(Token&& token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN(executor_type))
        -> decltype(boost::asio::async_initiate<Token, bare>(
            std::declval<initiate_run>(), std::declval<Token&>())) {
        return boost::asio::async_initiate<Token, bare>(
            initiate_run(state_->get_executor(), state_), token);
    }

    /// Closes the client's semaphores, gives back all that it holds or waits for, and waits until
    /// the server has answered.
    /**
     * Completes when nothing of the client is left in the server; where that cannot be reached,
     * when all leases have ended. Permits that are held then are not valid any more, and their
     * `async_wait_lost` completes with `operation_aborted`.
     *
     * @par Completion Signature
     * @code void(boost::system::error_code) @endcode
     *
     * @par Fairness
     * All who wait are told at once.
     *
     * @par Per-Operation Cancellation
     * terminal, partial, total: ends the wait. The client stays closed.
     *
     * @par Executor
     * The handler's associated executor, else `get_executor()`.
     *
     * @par Errors
     * `operation_aborted`.
     */
    template <BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code))
                  Token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN_TYPE(executor_type)>
    auto async_close(Token&& token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN(executor_type))
        -> decltype(boost::asio::async_initiate<Token, bare>(
            std::declval<initiate_close>(), std::declval<Token&>())) {
        return boost::asio::async_initiate<Token, bare>(
            initiate_close(state_->get_executor(), state_), token);
    }

    /// What it has done so far.
    fleet_client_statistics statistics() const {
        return state_->with_machine([](const auto& machine, auto) { return machine.counts(); });
    }

private:
    friend struct detail::fleet::client_access;

    explicit fleet_client(boost::intrusive_ptr<state_type> state) noexcept :
        state_(std::move(state)) {}

    boost::intrusive_ptr<state_type> state_;
};

namespace detail::fleet {

struct client_access {
    static const client_pointer& state_of(const fleet_client& client) noexcept {
        return client.state_;
    }
    /// A client that keeps its limits elsewhere.
    static fleet_client
    make(const fleet_client::executor_type& executor, const client_state::store_maker& make_store) {
        return fleet_client(client_pointer(new client_state(executor, make_store, {}), false));
    }
};

} // namespace detail::fleet
} // namespace asio_semaphore
