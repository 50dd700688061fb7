// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

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

/// The connection of a process to Redis or Valkey, for any number of @ref basic_fleet_semaphore
/// "fleet semaphores".
/**
 * @par Example
 * @code
 * boost::redis::config config;
 * config.addr = {"redis.example", "6379"};
 * fleet_client client(context.get_executor(), config);
 * client.async_run(asio::detached);
 * fleet_semaphore limit(context, client, "reports", 16);
 * const fleet_permit held = co_await limit.async_acquire_permit(use_awaitable);
 * @endcode
 *
 * The client renews its permits on its own executor. If handlers can keep that executor busy for a
 * third of a lease, give the client a context and a thread of its own.
 *
 * @par Executor
 * The client does its work on a strand of the executor that it was constructed with. No handler of
 * an operation runs there, unless it has the same executor. That executor must not throw: Asio's
 * strands do not survive it. Either Asio ends the program, or the strand, and with it the client,
 * never does anything again: permits end with their leases, and operations wait until they are
 * cancelled, reach their time limits, or the client is destroyed. For the same reason, the executor
 * must neither drop a function of the strand nor, inside `execute`, destroy what owns its context.
 *
 * @par Exceptions
 * If the client finds no memory, the exception leaves the function that runs the executor's
 * context. Nothing is lost: once the context runs again, the client makes up for it, with its next
 * operation at the latest. At many places, however, Asio and Boost.Redis themselves do not survive
 * a lack of memory.
 *
 * @par Thread safety
 * Distinct objects: safe. Shared objects: safe, except for construction and destruction. After
 * `fork`, the child must not use the client.
 *
 * @par Lifetime
 * The destructor ends the connection and does not wait: what `async_close` has not given back ends
 * with its lease. Semaphores and permits may outlive the client. Such semaphores are closed. Such
 * permits stay valid until their leases end, and nothing tells that end: `async_wait_lost` has
 * failed with `operation_aborted` when the client was destroyed.
 *
 * The destruction of the client's execution context closes its semaphores, also those of other
 * contexts: what waits there fails with @ref error::closed. It destroys the handlers that wait for
 * the client or for a permit, without calling them.
 */
class fleet_client {
    using bare = void(boost::system::error_code);
    using state_type = detail::fleet::client_state;

public:
    /// Any executor that has an execution context.
    using executor_type = boost::asio::any_io_executor;

private:
    using initiate_run = detail::fleet::initiate_plainly<executor_type, detail::fleet::run_request>;
    using initiate_close =
        detail::fleet::initiate_plainly<executor_type, detail::fleet::close_request>;

public:
    /// Constructs a client; @ref async_run connects it.
    /**
     * @param executor the executor of the client's own work
     * @param config the server and the credentials for it; the client itself sets the intervals and
     * timeouts, which depend on the leases
     * @param tls the TLS context, which is needed if the configuration asks for TLS; it has to
     * verify the server
     * @param log receives, on the client's executor, the reason why a connection failed, and the
     * text with which the server refused a call. If it throws, the exception leaves the function
     * that runs the executor's context, and the client goes on. If another thread runs the context,
     * a call of the log may still be under way when the client is destroyed
     *
     * @throws std::invalid_argument if the configuration asks for TLS and there is no context that
     * verifies the server, and if the path of its unix socket is too long
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

    /// The executor of the client.
    executor_type get_executor() const noexcept { return state_->get_executor(); }

    /// Keeps the client connected: connects, and reconnects after each loss of the connection,
    /// until the client is closed or the operation cancelled.
    /**
     * @param token the completion token
     *
     * While the client does not run or is not connected, acquires wait, unless the options of their
     * semaphore say otherwise.
     *
     * @par Completion Signature
     * @code void(boost::system::error_code) @endcode
     *
     * @par Fairness
     * Not applicable: only one such operation can run at a time.
     *
     * @par Per-Operation Cancellation
     * Terminal, partial and total: ends the connection. The client can be run again.
     *
     * @par Executor
     * The handler's associated executor, by default `get_executor()`. The handler never runs inside
     * this function, unless it has an associated immediate executor.
     *
     * @par Errors
     * None after `async_close`. A server that cannot be reached is not an error: see the client's
     * log and @ref statistics.
     * - `boost::asio::error::operation_aborted` if it was cancelled or the client destroyed
     * - `boost::asio::error::already_started` if the client runs already
     *
     * @par Example
     * @code
     * client.async_run([](error_code ec) {
     *     if (ec)
     *         reply(ec.message());
     * });
     * @endcode
     *
     * @see @ref fleet
     */
    template <BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code))
                  Token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN_TYPE(executor_type)>
    auto async_run(Token&& token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN(executor_type))
        -> decltype(boost::asio::async_initiate<Token, bare>(
            std::declval<initiate_run>(), std::declval<Token&>())) {
        return boost::asio::async_initiate<Token, bare>(
            initiate_run(state_->get_executor(), state_), token);
    }

    /// Closes the semaphores of the client, gives back all its permits and queue positions, and
    /// waits for the server's answer.
    /**
     * @param token the completion token
     *
     * Completes when the server no longer holds anything for this client; if the server cannot be
     * reached, when all leases have ended. Held permits become invalid, and their `async_wait_lost`
     * completes with `operation_aborted`. Call this at the end of the process, so that no other
     * process has to wait for the leases to end.
     *
     * @par Completion Signature
     * @code void(boost::system::error_code) @endcode
     *
     * @par Fairness
     * All such operations complete together.
     *
     * @par Per-Operation Cancellation
     * Terminal, partial and total: ends the wait. The client stays closed.
     *
     * @par Executor
     * The handler's associated executor, by default `get_executor()`. The handler never runs inside
     * this function, unless it has an associated immediate executor.
     *
     * @par Errors
     * - `boost::asio::error::operation_aborted` if it was cancelled or the client destroyed
     *
     * @par Example
     * @code
     * co_await client.async_close(use_awaitable);
     * @endcode
     *
     * @see @ref fleet
     */
    template <BOOST_ASIO_COMPLETION_TOKEN_FOR(void(boost::system::error_code))
                  Token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN_TYPE(executor_type)>
    auto async_close(Token&& token BOOST_ASIO_DEFAULT_COMPLETION_TOKEN(executor_type))
        -> decltype(boost::asio::async_initiate<Token, bare>(
            std::declval<initiate_close>(), std::declval<Token&>())) {
        return boost::asio::async_initiate<Token, bare>(
            initiate_close(state_->get_executor(), state_), token);
    }

    /// The counters of the client.
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
    /// Makes a client that uses another store.
    static fleet_client
    make(const fleet_client::executor_type& executor, const client_state::store_maker& make_store) {
        return fleet_client(client_pointer(new client_state(executor, make_store, {}), false));
    }
};

} // namespace detail::fleet
} // namespace asio_semaphore
