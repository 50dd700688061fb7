// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <asio_semaphore/detail/fleet/redis_store.hpp>
#include <asio_semaphore/detail/fleet/script.hpp>

#include <boost/asio/error.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/system/errc.hpp>
#include <boost/system/system_error.hpp>

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <stdexcept>
#include <utility>

namespace asio_semaphore::detail::fleet {

namespace store_detail {

inline constexpr std::chrono::milliseconds first_wait{50};
inline constexpr std::chrono::milliseconds last_wait{2'000};

// Under which the server keeps the script; empty where OpenSSL may not do SHA-1.
inline std::string sha1_of(std::string_view text) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
    unsigned size = 0;
    if (EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha1(), nullptr) != 1)
        return {};
    std::string hex;
    for (unsigned i = 0; i != size; ++i) {
        hex += "0123456789abcdef"[digest[i] >> 4];
        hex += "0123456789abcdef"[digest[i] & 15];
    }
    return hex;
}

inline bool begins_with(std::string_view text, std::string_view with) noexcept {
    return text.substr(0, with.size()) == with;
}

// Why the server refuses to serve this client at all.
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

// Boost.Redis would throw when it connects, which nobody could catch.
inline void check_path([[maybe_unused]] const std::string& unix_socket) {
#if defined(BOOST_ASIO_HAS_LOCAL_SOCKETS)
    try {
        boost::asio::local::stream_protocol::endpoint endpoint(unix_socket);
    } catch (const boost::system::system_error&) {
        throw std::invalid_argument("asio_semaphore: the path of the unix socket is too long");
    }
#endif
}

// Where in an SSL_CTX the store is found.
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
        // T9. Only errors, and only those of an attempt that has failed, are passed on.
        boost::redis::logger(boost::redis::logger::level::err, [this](auto, std::string_view line) {
            why_.emplace_back(line);
        })) {
    store_detail::check_path(config_.unix_socket);
    // T5, T6: we connect again, not Boost.Redis.
    config_.reconnect_wait_interval = std::chrono::seconds(0);
    boost::redis::any_adapter adapter{boost::redis::any_adapter::impl_t(
        [this](auto event, const auto& node, boost::system::error_code&) {
            collect_push(event, node);
        })};
    connection_.set_receive_response(adapter);
}

// The context for the connection: one that verifies the server, where there is TLS.
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
    // Asio and Boost.Redis only say that the certificate was refused, OpenSSL knows why.
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
    if (is_idle_but_for_pushes())
        connect();
    // Else what is left of the last connection ends first, and the next attempt follows.
}

inline void redis_store::stop() {
    user_ = nullptr;
    timer_.cancel();
    // T1: this takes back what was never written, and ends what was by ending the connection.
    connection_.cancel(boost::redis::operation::all);
}

// One connection, from the attempt to make it to its end. Boost.Redis holds raw pointers: this
// stays until every handler has been called.
inline void redis_store::connect() {
    using namespace std::chrono_literals;
    using std::chrono::milliseconds;
    const milliseconds part = std::max<milliseconds>(shortest_lease_ / 5, 100ms);
    // With MISCONF a server refuses even PING, which Boost.Redis takes for the end: then an idle
    // connection is made anew after each interval.
    config_.health_check_interval = std::clamp<milliseconds>(shortest_lease_ / 10, 100ms, 2s);
    config_.resolve_timeout = part;
    config_.connect_timeout = part;
    // Several trips, and both sides compute.
    config_.ssl_handshake_timeout = std::max<milliseconds>(part, 1s);

    reason_ = {};
    why_.clear();
    certificate_.clear();

    if (!is_receiving_)
        receive();

    // Waits until the connection is there, and follows HELLO and AUTH. Not by request::subscribe,
    // which would make Boost.Redis remember the channel.
    subscription_.clear();
    subscription_.push("SUBSCRIBE", channel_);
    ++requests_;
    connection_.async_exec(
        subscription_, boost::redis::any_adapter(),
        [self = shared_from_this()](boost::system::error_code, std::size_t) {
            --self->requests_;
            self->when_ended();
        });
    is_running_ = true;
    connection_.async_run(config_, [self = shared_from_this()](boost::system::error_code reason) {
        self->on_run_ended(reason);
    });
}

inline void redis_store::on_run_ended(boost::system::error_code reason) {
    is_running_ = false;
    // T5: what was not written would go out ahead of the next connection's SUBSCRIBE.
    connection_.cancel(boost::redis::operation::exec);
    if (!reason_) {
        reason_ = reason;
        if (reason == boost::redis::error::resp3_hello) {
            // The server's words are in the log only.
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
    messages_before_.reset();
    hand_over(messages_.size());
    if (user_ == nullptr)
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
    if (user_ != nullptr)
        user_->disconnected(reason_);
    if (user_ == nullptr)
        return;

    // T6
    std::uniform_int_distribution<std::chrono::milliseconds::rep> jitter(0, longest_wait_.count());
    timer_.expires_after(std::chrono::milliseconds(jitter(random_)));
    longest_wait_ = std::min(2 * longest_wait_, store_detail::last_wait);
    timer_.async_wait([self = shared_from_this()](boost::system::error_code) {
        if (self->user_ != nullptr && self->is_idle_but_for_pushes())
            self->connect();
    });
}

inline void redis_store::end_connection(boost::system::error_code reason) {
    if (!is_running_ || reason_)
        return;
    reason_ = reason;
    connection_.cancel(boost::redis::operation::run);
}

// T7, T11: while the store lives somebody receives; what has arrived is in messages_ already.
inline void redis_store::receive() {
    is_receiving_ = true;
    connection_.async_receive2(
        [self = shared_from_this()](boost::system::error_code error) { self->on_received(error); });
}

inline void redis_store::on_received(boost::system::error_code error) {
    is_receiving_ = false;
    if (user_ == nullptr)
        return;
    if (error) {
        end_connection(error); // the next connection receives again
        return;
    }
    receive();
    // Pushes that came after a reply stay behind it, as the reply's handler is still to be called.
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
    for (const message& m : taken)
        if (user_ != nullptr)
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
        // T10: it is SUBSCRIBE's. Another one would belong to a reply, and who knows to which.
        if (!reason_)
            why_.push_back((is_connected_ ? "The server: " : "SUBSCRIBE was refused: ") + m.text);
        end_connection(store_detail::refusal(m.text));
        break;
    }
}

// Called while Boost.Redis reads: takes notes, no more (T7).
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

inline void redis_store::send(std::vector<call> calls, std::uint64_t connection) {
    if (!is_running_)
        return; // `disconnected` is on its way
    calls_ = std::move(calls);
    number_ = connection;
    replies_.assign(calls_.size(), reply());
    std::vector<std::size_t> all(calls_.size());
    for (std::size_t i = 0; i != all.size(); ++i)
        all[i] = i;
    execute(std::move(all), false);
}

// T8: nothing of it waits for anything in the server. As text, which is long, the script is sent
// with the first call of those that the server could not execute without it.
inline void redis_store::execute(std::vector<std::size_t> which, bool is_repeated) {
    static const std::string sha1 = store_detail::sha1_of(script_text);
    request_.clear();
    // T2, T3: as it is anyway; a connection's end is the end of its requests.
    request_.get_config().cancel_if_unresponded = true;
    for (const std::size_t i : which) {
        const std::vector<std::string> arguments = to_arguments(calls_[i], client_, number_);
        if (sha1.empty() || (is_repeated && i == which.front()))
            request_.push_range("EVAL", script_text, arguments.begin(), arguments.end());
        else
            request_.push_range("EVALSHA", sha1, arguments.begin(), arguments.end());
    }
    raw_.assign(which.size(), raw_reply());
    arriving_ = 0;
    if (!is_repeated) // otherwise the first replies still wait to be reported
        messages_before_.reset();
    ++requests_;
    // T4: the adapter takes error replies for replies. T1: no cancellation slot, no deadline.
    connection_.async_exec(
        request_,
        boost::redis::any_adapter(boost::redis::any_adapter::impl_t(
            [this](auto event, const auto& node, boost::system::error_code&) {
                collect_reply(event, node);
            })),
        [self = shared_from_this(), which = std::move(which),
         is_repeated](boost::system::error_code error, std::size_t) mutable {
            self->on_executed(error, std::move(which), is_repeated);
        });
}

// Called while Boost.Redis reads.
inline void redis_store::collect_reply(
    boost::redis::any_adapter::parse_event event, const boost::redis::resp3::node_view& node) {
    using event_type = boost::redis::any_adapter::parse_event;
    using boost::redis::resp3::type;
    raw_reply& to = raw_[arriving_];
    switch (event) {
    case event_type::init:
        break;
    case event_type::node:
        if (store_detail::is_error(node.data_type)) {
            to.error = std::string(node.value);
        } else if (node.data_type == type::array) {
            to.nodes.push_back({node.depth, true, node.aggregate_size, 0});
        } else {
            reply_node n;
            n.depth = node.depth;
            const char* const end = node.value.data() + node.value.size();
            const auto [at, error] = std::from_chars(node.value.data(), end, n.number);
            if (node.data_type != type::number || error != std::errc() || at != end)
                to.is_odd = true;
            to.nodes.push_back(n);
        }
        break;
    case event_type::done:
        if (++arriving_ == raw_.size() && !messages_before_)
            messages_before_ = messages_.size();
        break;
    }
}

inline void redis_store::on_executed(
    boost::system::error_code error, std::vector<std::size_t> which, bool is_repeated) {
    --requests_;
    if (user_ == nullptr)
        return;
    if (error) {
        end_connection(error);
        when_ended();
        return;
    }
    std::vector<std::size_t> again;
    for (std::size_t j = 0; j != which.size(); ++j) {
        const raw_reply& raw = raw_[j];
        reply& to = replies_[which[j]];
        if (!raw.error.empty()) {
            const bool is_known = is_repeated && j == 0;
            if (!is_known && store_detail::begins_with(raw.error, "NOSCRIPT")) {
                again.push_back(which[j]);
                continue;
            }
            to.failed = to_failure(raw.error);
            to.text = raw.error;
            continue;
        }
        std::optional<answer> said;
        if (!raw.is_odd)
            said = to_answer(raw.nodes, calls_[which[j]].commands);
        if (said) {
            to.said = std::move(*said);
        } else {
            to.failed = failure::rejected;
            to.text = "the reply is not the script's";
        }
    }
    if (again.empty())
        report(std::move(replies_));
    else if (is_running_)
        execute(std::move(again), true);
    when_ended();
}

inline void redis_store::report(std::vector<reply> replies) {
    const std::size_t before = messages_before_.value_or(0);
    messages_before_.reset();
    const auto unavailable = std::find_if(replies.begin(), replies.end(), [](const reply& r) {
        return r.failed == failure::unavailable;
    });
    if (unavailable == replies.end()) {
        longest_wait_ = store_detail::first_wait;
        last_line_.clear();
    } else {
        why_.push_back("The server is not available: " + unavailable->text);
        end_connection(boost::system::errc::make_error_code(
            boost::system::errc::resource_unavailable_try_again));
    }
    hand_over(before);
    if (user_ != nullptr)
        user_->replied(std::move(replies));
    if (user_ != nullptr)
        hand_over(messages_.size());
}

} // namespace asio_semaphore::detail::fleet
