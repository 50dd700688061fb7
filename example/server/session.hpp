#pragma once

// One connection, from its acceptance to its end. Everything runs on the connection's strand.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>

namespace server {

class gate;
class handler;
class response_counts;
class session;

/// The connections that there are, so that those without a request can be ended.
class session_list {
public:
    /// False if there will be no more requests: the session is not to begin.
    bool add(const std::shared_ptr<session>& s);
    void remove(const std::shared_ptr<session>& s);

    /// Requests that are under way are still answered; all else ends.
    void drain();
    bool draining() const noexcept { return draining_.load(std::memory_order_relaxed); }

private:
    std::mutex mutex_;
    std::set<std::shared_ptr<session>> sessions_; // guarded by mutex_
    std::atomic<bool> draining_{false};           // written under mutex_
};

/// What all sessions share.
struct services {
    gate& entry;
    handler& work;
    response_counts& responses;
    session_list& sessions;
};

class session {
public:
    session(boost::asio::ip::tcp::socket socket, const services& shared);

    /// @param self keeps the session until it has ended
    boost::asio::awaitable<void> run(std::shared_ptr<session> self);

    /// Called from any thread, by the list.
    static void drain(const std::shared_ptr<session>& self);

private:
    using request = boost::beast::http::request<boost::beast::http::string_body>;
    using response = boost::beast::http::response<boost::beast::http::string_body>;

    boost::asio::awaitable<void> serve();
    boost::asio::awaitable<std::optional<response>> answer(const request& asked);
    boost::asio::awaitable<std::optional<response>> answer_work(const request& asked);

    boost::beast::tcp_stream stream_;
    boost::beast::flat_buffer buffer_;
    const services shared_;
    bool idle_ = false; // waits for a request
};

} // namespace server
