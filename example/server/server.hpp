#pragma once

// Accepts connections, and ends in peace.

#include "gate.hpp"
#include "handler.hpp"
#include "metrics.hpp"
#include "options.hpp"
#include "session.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/signal_set.hpp>

#include <string>

namespace server {

class server {
public:
    /// Listens from here on. @throws boost::system::system_error if it can't
    server(boost::asio::io_context& context, const options& wanted);

    /// Accepts, until SIGINT or SIGTERM; the context's run() then returns when the last request is
    /// answered.
    void start();

    std::string url() const;
    std::string summary() const;

private:
    boost::asio::awaitable<void> accept_loop();
    boost::asio::awaitable<void> await_signal();

    boost::asio::io_context& context_;
    boost::asio::ip::tcp::acceptor acceptor_; // on a strand, as the signals
    boost::asio::signal_set signals_;
    gate gate_;
    handler handler_;
    response_counts responses_;
    session_list sessions_;
};

} // namespace server
