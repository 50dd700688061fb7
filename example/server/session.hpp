// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// One connection, from accept to its end. Everything runs on the connection's strand.

#include <asio_semaphore.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/system/error_code.hpp>

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>

namespace server {

class answer_times;
class client_names;
class fleet;
class handler;
class history;
class session;

/// All open connections, so that a shutdown can end the idle ones.
class session_list {
public:
    /// False if the server is shutting down: the session must not begin.
    bool add(const std::shared_ptr<session>& s);
    void remove(const std::shared_ptr<session>& s);

    /// Ends idle connections at once, and the others after the response to their current request.
    void drain();
    bool draining() const noexcept { return draining_.load(std::memory_order_relaxed); }

private:
    std::mutex mutex_;
    std::set<std::shared_ptr<session>> sessions_; // guarded by mutex_
    std::atomic<bool> draining_{false};           // written under mutex_
};

/// The objects that all sessions share.
struct services {
    asio_semaphore::limiter* limit; // null: no limiter
    server::fleet* fleet;           // null: no fleet
    bool priority_header;
    handler& work;
    answer_times& answers;
    client_names& clients;
    history& past;
    session_list& sessions;
};

class session {
public:
    session(boost::asio::ip::tcp::socket socket, const services& shared);

    /// @param self keeps the session alive until its end
    boost::asio::awaitable<void> run(std::shared_ptr<session> self);

    /// The list calls this, on any thread.
    static void drain(const std::shared_ptr<session>& self);

private:
    using request = boost::beast::http::request<boost::beast::http::string_body>;
    using response = boost::beast::http::response<boost::beast::http::string_body>;

    boost::asio::awaitable<void> serve();
    boost::asio::awaitable<std::optional<response>> answer(const request& asked);
    boost::asio::awaitable<void> client_gone();
    boost::asio::awaitable<response> work(const request& asked);
    response refuse(const request& asked, boost::system::error_code why) const;

    const std::string address_; // the client's
    boost::beast::tcp_stream stream_;
    boost::beast::flat_buffer buffer_;
    const services shared_;
    bool idle_ = false; // whether the session waits for a request
};

} // namespace server
