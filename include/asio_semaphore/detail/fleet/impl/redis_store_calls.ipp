// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// The execution of calls on a connection. redis_store.ipp has the connection itself.

#include <asio_semaphore/detail/fleet/redis_store.hpp>
#include <asio_semaphore/detail/fleet/script.hpp>

#include <boost/system/errc.hpp>

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace asio_semaphore::detail::fleet {

namespace store_detail {

// Returns the SHA-1 digest by which EVALSHA names a script; empty if OpenSSL does not permit SHA-1.
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

} // namespace store_detail

inline void redis_store::send(std::vector<call> calls, std::uint64_t connection) {
    if (!is_running_)
        return; // when_ended is about to report `disconnected`
    calls_ = std::move(calls);
    number_ = connection;
    replies_.assign(calls_.size(), reply());
    std::vector<std::size_t> all(calls_.size());
    for (std::size_t i = 0; i != all.size(); ++i)
        all[i] = i;
    execute(std::move(all), false);
}

// T8: the script never waits in the server. Its text is long, so it is sent only to a server that
// does not have it, with the first of the calls that are repeated for that reason; or with every
// call if there is no digest.
inline void redis_store::execute(std::vector<std::size_t> which, bool is_repeated) {
    static const std::string sha1 = store_detail::sha1_of(script_text);
    request_.clear();
    // T2, T3: requests end with their connection. This is also the default.
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
    if (!is_repeated) // else keep the count: replies of the first execution are not yet reported
        messages_before_.reset();
    // T4: the adapter stores error replies like others. T1: no cancellation slot, no deadline.
    connection_.async_exec(
        request_,
        boost::redis::any_adapter(boost::redis::any_adapter::impl_t(
            [this](auto event, const auto& node, boost::system::error_code& error) {
                store_detail::collect(error, [&] { collect_reply(event, node); });
            })),
        [self = shared_from_this(), which = std::move(which),
         is_repeated](boost::system::error_code error, std::size_t) mutable {
            --self->requests_;
            self->attempt([&] { self->on_executed(error, std::move(which), is_repeated); });
        });
    ++requests_;
}

// Called while Boost.Redis reads, so it only stores what arrives.
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
    if (user_ == nullptr)
        return;
    if (error || is_left_) {
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
    const std::uint64_t stops = stops_;
    hand_over(before);
    if (stops_ == stops)
        user_->replied(std::move(replies));
    if (stops_ == stops)
        hand_over(messages_.size());
}

} // namespace asio_semaphore::detail::fleet
