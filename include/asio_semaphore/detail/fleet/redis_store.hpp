// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// The connection to Redis or Valkey. Fleet layer; the only header that knows Boost.Redis. The
// program includes <boost/redis/src.hpp>, once, not we.
//
// Everything happens on one strand, which guards all members; Boost.Redis, too, wants every call on
// one. Its traps and what is done about them (T1 to T12, named where they are obeyed in the .ipp):
//   T1  a request, once made, is left to complete: never cancelled, never given a deadline
//   T2  nothing is sent again by Boost.Redis, which would mix up the parts of an answer: calls are
//   T3  made again by the machine, which may, as every command can be repeated
//   T4  an adapter that reports an error takes the connection down: ours never does
//   T5  nobody says when a connection is there, or gone: one async_run for each, the subscription's
//       confirmation tells of the one, async_run's end of the other
//   T6  reconnecting at a fixed interval brings a fleet back in step: back-off with full jitter
//   T7  a connection stops at 256 pushes that nobody receives: the receiver takes them at once
//   T8  a blocking command holds up all others and looks dead: there is none
//   T9  it logs to stderr unless it is given another logger: it is
//   T10 SUBSCRIBE's refusal arrives as if it were a push: an error among the pushes is one
//   T11 who subscribes may be cut off with 8 MB unread: there is little to read, and we read on
//   T12 a push to its own sender may come inside of the reply: the script makes none

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

/// `disconnected` with errc::permission_denied: the server refuses this client, by HELLO, AUTH or
/// SUBSCRIBE, and is likely to go on doing so. What it logs is why there is no connection; the same
/// line again and again is said once.
class redis_store final : public store, public std::enable_shared_from_this<redis_store> {
public:
    using executor_type = boost::asio::strand<boost::asio::any_io_executor>;

    /// @throws std::invalid_argument TLS without a context, or with one that does not verify the
    /// peer; a unix socket whose path is too long
    redis_store(
        executor_type strand, boost::redis::config config,
        std::optional<boost::asio::ssl::context> context, std::string client);
    executor_type get_executor() const noexcept { return strand_; }

    // On the strand.

    /// Nothing of Boost.Redis is under way (any more).
    bool is_idle() const noexcept { return !is_running_ && !is_receiving_ && requests_ == 0; }

    void start(user& u) override;
    void stop() override;

    void send(std::vector<call> calls, std::uint64_t connection) override;

    void set_shortest_lease(std::chrono::milliseconds lease) noexcept override {
        shortest_lease_ = lease;
    }

private:
    // What the server said by itself.
    struct message {
        enum kind : unsigned char { subscribed, published, error } what;
        std::string text;
    };

    // The reply to one call while it arrives.
    struct raw_reply {
        std::vector<reply_node> nodes;
        std::string error;   // the server's
        bool is_odd = false; // something in it that the script never returns
    };

    boost::asio::ssl::context make_context(std::optional<boost::asio::ssl::context> given);

    bool is_idle_but_for_pushes() const noexcept { return !is_running_ && requests_ == 0; }
    void connect();
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
    boost::asio::steady_timer timer_; // until the next attempt
    std::minstd_rand random_;
    std::chrono::milliseconds shortest_lease_{10'000};
    std::chrono::milliseconds longest_wait_; // before the next attempt

    user* user_ = nullptr;      // until stop
    bool is_running_ = false;   // async_run
    bool is_receiving_ = false; // async_receive2
    bool is_connected_ = false; // `connected` has been said, and `disconnected` not yet
    std::size_t requests_ = 0;  // async_exec
    std::chrono::steady_clock::time_point connected_at_;

    // Of this attempt to connect:
    boost::system::error_code reason_; // why it ends, where we know better than async_run
    std::vector<std::string> why_;     // the same for people
    std::string certificate_;          // why the server's was refused

    std::string last_line_; // that the user was told

    std::vector<message> messages_;        // to be handed over
    std::vector<std::string> parts_;       // of the push that is arriving
    std::optional<std::string> odd_error_; // that is arriving among the pushes

    // The requests under way, and the replies while they arrive: kept until async_exec has
    // completed.
    boost::redis::request subscription_;
    boost::redis::request request_;
    std::vector<call> calls_;
    std::uint64_t number_ = 0; // of the connection, to the machine
    std::vector<reply> replies_;
    std::vector<raw_reply> raw_;                 // of request_
    std::size_t arriving_ = 0;                   // index into raw_
    std::optional<std::size_t> messages_before_; // that came before replies that have all come

    boost::redis::connection connection_; // goes first: it refers to the members above
};

} // namespace asio_semaphore::detail::fleet

#include <asio_semaphore/detail/fleet/impl/redis_store.ipp>
#include <asio_semaphore/detail/fleet/impl/redis_store_calls.ipp>
