// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <asio_semaphore/detail/fleet/redis_store.hpp>

#include <boost/asio/error.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/core/no_exceptions_support.hpp>
#include <boost/system/errc.hpp>
#include <boost/system/system_error.hpp>

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace asio_semaphore::detail::fleet {

namespace store_detail {

inline constexpr std::chrono::milliseconds first_wait{50};
inline constexpr std::chrono::milliseconds last_wait{2'000};

inline bool begins_with(std::string_view text, std::string_view with) noexcept {
    return text.substr(0, with.size()) == with;
}

// Turns the server's reason for refusing this client into an error code: permission_denied unless
// the reason is likely to pass.
inline boost::system::error_code refusal(std::string_view text) {
    namespace errc = boost::system::errc;
    const bool passes =
        to_failure(text) != failure::rejected || begins_with(text, "ERR max number of clients");
    return errc::make_error_code(
        passes ? errc::resource_unavailable_try_again : errc::permission_denied);
}

inline bool is_error(boost::redis::resp3::type t) noexcept {
    using boost::redis::resp3::type;
    return t == type::simple_error || t == type::blob_error;
}

// Calls a function inside Boost.Redis, which an exception would stop for ever (T4).
template <typename F>
void collect(boost::system::error_code& error, F f) noexcept {
    BOOST_TRY {
        f();
    }
    BOOST_CATCH(...) {
        error = boost::system::errc::make_error_code(boost::system::errc::not_enough_memory);
    }
    BOOST_CATCH_END
}

// Without this check Boost.Redis would throw while it connects, where no caller could catch it.
inline void check_path([[maybe_unused]] const std::string& unix_socket) {
#if defined(BOOST_ASIO_HAS_LOCAL_SOCKETS)
    try {
        boost::asio::local::stream_protocol::endpoint endpoint(unix_socket);
    } catch (const boost::system::system_error&) {
        throw std::invalid_argument("asio_semaphore: the path of the unix socket is too long");
    }
#endif
}

// The index under which an SSL_CTX refers to its redis_store.
inline int certificate_index() {
    static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
    return index;
}

} // namespace store_detail

inline redis_store::redis_store(
    executor_type strand, boost::redis::config config,
    std::optional<boost::asio::ssl::context> context, std::string client) :
    strand_(std::move(strand)),
    client_(std::move(client)),
    channel_(channel_of(client_)),
    config_(std::move(config)),
    timer_(strand_),
    random_(std::random_device()()),
    longest_wait_(store_detail::first_wait),
    connection_(
        boost::asio::any_io_executor(strand_), make_context(std::move(context)),
        // T9. Boost.Redis logs errors only, and the user gets them only when a connection ends.
        boost::redis::logger(boost::redis::logger::level::err, [this](auto, std::string_view line) {
            boost::system::error_code no_memory; // then there is one line less
            store_detail::collect(no_memory, [&] { why_.emplace_back(line); });
        })) {
    store_detail::check_path(config_.unix_socket);
    // T5, T6: this class reconnects, not Boost.Redis.
    config_.reconnect_wait_interval = std::chrono::seconds(0);
    boost::redis::any_adapter adapter{boost::redis::any_adapter::impl_t(
        [this](auto event, const auto& node, boost::system::error_code& error) {
            store_detail::collect(error, [&] { collect_push(event, node); });
        })};
    connection_.set_receive_response(adapter);
}

// Returns the context for the connection. With TLS, it has to verify the server.
inline boost::asio::ssl::context
redis_store::make_context(std::optional<boost::asio::ssl::context> given) {
    const bool is_used =
        config_.use_ssl || (config_.sentinel.use_ssl && !config_.sentinel.addresses.empty());
    if (!is_used)
        return boost::asio::ssl::context(boost::asio::ssl::context::tls_client);
    if (!given)
        throw std::invalid_argument(
            "asio_semaphore: TLS needs an ssl::context that verifies the peer");
    SSL_CTX* const handle = given->native_handle();
    if ((SSL_CTX_get_verify_mode(handle) & SSL_VERIFY_PEER) == 0)
        throw std::invalid_argument("asio_semaphore: the ssl::context does not verify the peer");
    // Asio and Boost.Redis only report that the certificate was refused; OpenSSL knows why.
    if (SSL_CTX_get_info_callback(handle) == nullptr) {
        SSL_CTX_set_ex_data(handle, store_detail::certificate_index(), this);
        SSL_CTX_set_info_callback(handle, [](const SSL* ssl, int where, int) {
            const long why = SSL_get_verify_result(ssl);
            if (where == SSL_CB_WRITE_ALERT && why != X509_V_OK) {
                void* const found =
                    SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), store_detail::certificate_index());
                static_cast<redis_store*>(found)->certificate_ = X509_verify_cert_error_string(why);
            }
        });
    }
    return std::move(*given);
}

inline void redis_store::start(user& u) {
    user_ = &u;
    if (is_idle())
        connect();
    // Otherwise operations of the last connection are still under way; when_ended connects after
    // they have completed.
}

inline void redis_store::stop() {
    user_ = nullptr;
    ++stops_;
    is_left_ = true;
    timer_.cancel();
    // T1: this cancels requests that were never written, and ends the connection, which ends the
    // written ones.
    connection_.cancel(boost::redis::operation::all);
}

// Starts one connection, which lasts until async_run completes. Boost.Redis keeps raw pointers to
// members, so the handlers keep this object alive.
inline void redis_store::connect() {
    using namespace std::chrono_literals;
    using std::chrono::milliseconds;
    const milliseconds part = std::max<milliseconds>(shortest_lease_ / 5, 100ms);
    // A server with MISCONF refuses even PING, and Boost.Redis then ends the connection. So an idle
    // connection to such a server is made anew after each interval.
    config_.health_check_interval = std::clamp<milliseconds>(shortest_lease_ / 10, 100ms, 2s);
    config_.resolve_timeout = part;
    config_.connect_timeout = part;
    // A handshake takes several round trips, and computation on both sides.
    config_.ssl_handshake_timeout = std::max<milliseconds>(part, 1s);

    is_left_ = false;
    is_connected_ = false;
    messages_.clear();
    messages_before_.reset();
    reason_ = {};
    why_.clear();
    certificate_.clear();

    if (!is_receiving_)
        receive();

    // Boost.Redis sends this after HELLO and AUTH, once the connection is made. Not
    // request::subscribe, which would make Boost.Redis remember the channel.
    subscription_.clear();
    subscription_.push("SUBSCRIBE", channel_);
    connection_.async_exec(
        subscription_, boost::redis::any_adapter(),
        [self = shared_from_this()](boost::system::error_code, std::size_t) {
            --self->requests_;
            self->attempt([&] { self->when_ended(); });
        });
    ++requests_;
    connection_.async_run(config_, [self = shared_from_this()](boost::system::error_code reason) {
        self->is_running_ = false;
        self->attempt([&] { self->on_run_ended(reason); });
    });
    is_running_ = true;
}

// Every handler runs within this function.
template <typename F>
void redis_store::attempt(F f) {
    BOOST_TRY {
        f();
    }
    BOOST_CATCH(...) {
        if (user_ != nullptr)
            user_->failed();
        BOOST_RETHROW
    }
    BOOST_CATCH_END
}

inline void redis_store::on_run_ended(boost::system::error_code reason) {
    // T5: otherwise Boost.Redis would send unwritten requests before the next SUBSCRIBE.
    connection_.cancel(boost::redis::operation::exec);
    if (!reason_) {
        reason_ = reason;
        if (reason == boost::redis::error::resp3_hello) {
            // Only the log has the text of the server's error.
            constexpr std::string_view before = "Setup request execution failed: ";
            std::string_view text = why_.empty() ? std::string_view() : why_.back();
            if (store_detail::begins_with(text, before))
                text.remove_prefix(before.size());
            reason_ = store_detail::refusal(text);
        }
    }
    when_ended();
}

// T1: the next connection waits until the requests of the last one have completed.
inline void redis_store::when_ended() {
    if (is_running_ || requests_ != 0 || user_ == nullptr)
        return;
    if (is_left_) {
        if (!is_receiving_) // else its end would look like the end of the next connection
            connect();
        return;
    }
    const std::uint64_t stops = stops_;
    messages_before_.reset();
    hand_over(messages_.size());
    if (stops_ != stops)
        return;

    if (is_connected_ && std::chrono::steady_clock::now() - connected_at_ > store_detail::last_wait)
        longest_wait_ = store_detail::first_wait;
    is_connected_ = false;

    if (!certificate_.empty())
        why_.push_back("The server's certificate was refused: " + certificate_);
    std::string line;
    for (const std::string& one : why_)
        line += (line.empty() ? "" : "; ") + one;
    if (line.empty())
        line = reason_.message();
    if (line != last_line_) {
        last_line_ = line;
        user_->log(line);
    }
    if (stops_ == stops)
        user_->disconnected(reason_);
    if (stops_ != stops)
        return;

    // T6
    std::uniform_int_distribution<std::chrono::milliseconds::rep> jitter(0, longest_wait_.count());
    timer_.expires_after(std::chrono::milliseconds(jitter(random_)));
    longest_wait_ = std::min(2 * longest_wait_, store_detail::last_wait);
    timer_.async_wait([self = shared_from_this(), stops](boost::system::error_code error) {
        if (!error && self->stops_ == stops && self->is_idle_but_for_pushes())
            self->attempt([&] { self->connect(); });
    });
}

inline void redis_store::end_connection(boost::system::error_code reason) {
    if (!is_running_ || reason_)
        return;
    reason_ = reason;
    connection_.cancel(boost::redis::operation::run);
}

// T7, T11: while there is a connection, an async_receive2 is under way. It only reports that pushes
// have arrived; collect_push has already put them into messages_.
inline void redis_store::receive() {
    connection_.async_receive2([self = shared_from_this()](boost::system::error_code error) {
        self->is_receiving_ = false;
        self->attempt([&] { self->on_received(error); });
    });
    is_receiving_ = true;
}

inline void redis_store::on_received(boost::system::error_code error) {
    if (user_ == nullptr)
        return;
    if (is_left_) {
        when_ended();
        return;
    }
    if (error) {
        end_connection(error); // the next connection receives again
        return;
    }
    receive();
    // Pushes that came after the replies wait until on_executed has reported the replies.
    const std::size_t now = messages_before_.value_or(messages_.size());
    if (messages_before_)
        messages_before_ = 0;
    hand_over(now);
}

inline void redis_store::hand_over(std::size_t messages) {
    std::vector<message> taken;
    const auto end = messages_.begin() + static_cast<std::ptrdiff_t>(messages);
    taken.assign(std::make_move_iterator(messages_.begin()), std::make_move_iterator(end));
    messages_.erase(messages_.begin(), end);
    const std::uint64_t stops = stops_;
    for (const message& m : taken)
        if (stops_ == stops)
            on_message(m);
}

inline void redis_store::on_message(const message& m) {
    switch (m.what) {
    case message::subscribed:
        if (!is_connected_ && is_running_ && !reason_) {
            is_connected_ = true;
            connected_at_ = std::chrono::steady_clock::now();
            user_->connected();
        }
        break;
    case message::published:
        if (is_connected_)
            if (const std::optional<push> p = to_push(m.text))
                user_->pushed(*p);
        break;
    case message::error:
        // T10: this is the reply to SUBSCRIBE. Any other error would be the reply to an unknown
        // request. The connection ends in both cases.
        if (!reason_)
            why_.push_back((is_connected_ ? "The server: " : "SUBSCRIBE was refused: ") + m.text);
        end_connection(store_detail::refusal(m.text));
        break;
    }
}

// Called while Boost.Redis reads, so it only stores what arrives (T7).
inline void redis_store::collect_push(
    boost::redis::any_adapter::parse_event event, const boost::redis::resp3::node_view& node) {
    using event_type = boost::redis::any_adapter::parse_event;
    switch (event) {
    case event_type::init:
        parts_.clear();
        odd_error_.reset();
        break;
    case event_type::node:
        if (node.depth == 0 && store_detail::is_error(node.data_type))
            odd_error_ = std::string(node.value);
        else if (node.depth == 1)
            parts_.emplace_back(node.value);
        break;
    case event_type::done:
        if (odd_error_)
            messages_.push_back({message::error, std::move(*odd_error_)});
        else if (parts_.size() == 3 && parts_[0] == "message" && parts_[1] == channel_)
            messages_.push_back({message::published, std::move(parts_[2])});
        else if (parts_.size() == 3 && parts_[0] == "subscribe" && parts_[1] == channel_)
            messages_.push_back({message::subscribed, {}});
        break;
    }
}

} // namespace asio_semaphore::detail::fleet
