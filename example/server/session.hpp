#pragma once

// One connection, from its acceptance to its end. Everything runs on the connection's strand.

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
    asio_semaphore::limiter* limit; // null: none
    server::fleet* fleet;           // null: none
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

    /// @param self keeps the session until it has ended
    boost::asio::awaitable<void> run(std::shared_ptr<session> self);

    /// Called from any thread, by the list.
    static void drain(const std::shared_ptr<session>& self);

private:
    using request = boost::beast::http::request<boost::beast::http::string_body>;
    using response = boost::beast::http::response<boost::beast::http::string_body>;

    boost::asio::awaitable<void> serve();
    boost::asio::awaitable<std::optional<response>> answer(const request& asked);
    boost::asio::awaitable<void> client_gone();
    boost::asio::awaitable<response> work(const request& asked);
    response refuse(const request& asked, boost::system::error_code why) const;

    const std::string address_; // of the client
    boost::beast::tcp_stream stream_;
    boost::beast::flat_buffer buffer_;
    const services shared_;
    bool idle_ = false; // waits for a request
};

} // namespace server
