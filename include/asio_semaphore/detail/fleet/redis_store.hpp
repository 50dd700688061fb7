// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// The connection to Redis or Valkey. Fleet layer; its only header that uses Boost.Redis. The
// program has to include <boost/redis/src.hpp>, in one source file.
//
// Everything runs on one strand, as Boost.Redis requires; the strand guards all members. The traps
// of Boost.Redis and the servers, and what this class does about each (the .ipp files refer to them
// as T1 to T12):
//   T1  Cancelling a request that was written may end the connection: requests are left to
//       complete, and have no deadlines.
//   T2  If Boost.Redis sends a request again after a reconnect, replies are mixed up: it must not.
//   T3  The machine makes the calls again instead, since every command can be repeated.
//   T4  An adapter that reports an error ends the connection: ours reports only that there is no
//       memory for what arrives.
//   T5  Boost.Redis does not report that a connection was made or lost: each connection has an
//       async_run of its own, whose completion is the loss. SUBSCRIBE's confirmation shows that the
//       connection was made.
//   T6  With a fixed interval, a fleet reconnects in step: back-off with full jitter.
//   T7  A connection stops at 256 pushes that nobody receives: the receiver takes them at once.
//   T8  A blocking command delays all others, and looks like a dead connection: none is sent.
//   T9  Boost.Redis logs to stderr by default: it gets a logger.
//   T10 The error reply to SUBSCRIBE arrives as a push: an error among the pushes is that reply.
//   T11 The server may disconnect a subscriber that leaves 8 MB unread: pushes are small, and are
//       read at once.
//   T12 A push to the client that causes it may arrive before or inside the reply: the script
//       answers its caller only by the reply.

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/detail/fleet/store.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/redis/connection.hpp>
#include <boost/system/error_code.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace asio_semaphore::detail::fleet {

/// Reports `disconnected` with errc::permission_denied if the server has refused HELLO, AUTH or
/// SUBSCRIBE, and will probably refuse them again. Logs why there is no connection; does not log
/// the same line twice in a row.
class redis_store final : public store, public std::enable_shared_from_this<redis_store> {
public:
    using executor_type = boost::asio::strand<boost::asio::any_io_executor>;

    /// @throws std::invalid_argument for TLS without a context that verifies the peer, and for a
    /// unix socket whose path is too long
    redis_store(
        executor_type strand, boost::redis::config config,
        std::optional<boost::asio::ssl::context> context, std::string client);
    executor_type get_executor() const noexcept { return strand_; }

    // Called on the strand.

    /// Whether no operation of Boost.Redis is under way.
    bool is_idle() const noexcept { return !is_running_ && !is_receiving_ && requests_ == 0; }

    void start(user& u) override;
    void stop() override;

    void send(std::vector<call> calls, std::uint64_t connection) override;

    void set_shortest_lease(std::chrono::milliseconds lease) noexcept override {
        shortest_lease_ = lease;
    }

private:
    // What the server has pushed.
    struct message {
        enum kind : unsigned char { subscribed, published, error } what;
        std::string text;
    };

    // The reply to one call while it arrives.
    struct raw_reply {
        std::vector<reply_node> nodes;
        std::string error;   // the server's error reply
        bool is_odd = false; // contains something that the script never returns
    };

    boost::asio::ssl::context make_context(std::optional<boost::asio::ssl::context> given);

    bool is_idle_but_for_pushes() const noexcept { return !is_running_ && requests_ == 0; }
    void connect();
    template <typename F>
    void attempt(F f);
    void on_run_ended(boost::system::error_code reason);
    void when_ended();
    void end_connection(boost::system::error_code reason);

    void receive();
    void on_received(boost::system::error_code error);
    void hand_over(std::size_t messages);
    void on_message(const message& m);
    void collect_push(
        boost::redis::any_adapter::parse_event event, const boost::redis::resp3::node_view& node);

    void execute(std::vector<std::size_t> which, bool is_repeated);
    void
    on_executed(boost::system::error_code error, std::vector<std::size_t> which, bool is_repeated);
    void report(std::vector<reply> replies);
    void collect_reply(
        boost::redis::any_adapter::parse_event event, const boost::redis::resp3::node_view& node);

    const executor_type strand_;
    const std::string client_;
    const std::string channel_;
    boost::redis::config config_;
    boost::asio::steady_timer timer_; // until the next attempt to connect
    std::minstd_rand random_;
    std::chrono::milliseconds shortest_lease_{10'000};
    std::chrono::milliseconds longest_wait_; // before the next attempt to connect

    user* user_ = nullptr;      // from start until stop
    std::uint64_t stops_ = 0;   // shows whether a callback has stopped, and restarted, the store
    bool is_running_ = false;   // async_run is under way
    bool is_receiving_ = false; // async_receive2 is under way
    bool is_left_ = false;      // the connection was stopped: a later user hears nothing of it
    bool is_connected_ = false; // the user was told `connected`, but not yet `disconnected`
    std::size_t requests_ = 0;  // async_exec operations under way
    std::chrono::steady_clock::time_point connected_at_;

    // About the current connection, or attempt to connect.
    boost::system::error_code reason_; // why it ends; takes precedence over async_run's error
    std::vector<std::string> why_;     // the same as text, for the log
    std::string certificate_;          // why the server's certificate was refused

    std::string last_line_; // the last line that was logged

    std::vector<message> messages_;        // not yet handed over to the user
    std::vector<std::string> parts_;       // the parts of the push that is arriving
    std::optional<std::string> odd_error_; // the error that is arriving as a push

    // The requests under way, and their replies as they arrive. They stay until async_exec has
    // completed.
    boost::redis::request subscription_;
    boost::redis::request request_;
    std::vector<call> calls_;
    std::uint64_t number_ = 0; // the machine's number of the connection
    std::vector<reply> replies_;
    std::vector<raw_reply> raw_; // the replies to request_
    std::size_t arriving_ = 0;   // index into raw_
    // Once all replies have arrived: how many of messages_ came before the last reply.
    std::optional<std::size_t> messages_before_;

    boost::redis::connection connection_; // destroyed first, since it refers to the members above
};

} // namespace asio_semaphore::detail::fleet

#include <asio_semaphore/detail/fleet/impl/redis_store.ipp>
#include <asio_semaphore/detail/fleet/impl/redis_store_calls.ipp>
