// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Accepts connections, and shuts down gracefully.

#include "fleet.hpp"
#include "handler.hpp"
#include "live.hpp"
#include "metrics.hpp"
#include "options.hpp"
#include "session.hpp"

#include <asio_semaphore.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

#include <atomic>
#include <memory>
#include <optional>
#include <string>

namespace server {

class server {
public:
    /// Starts to listen. @throws boost::system::system_error if that fails
    server(boost::asio::io_context& context, const options& wanted);

    /// Accepts connections until SIGINT or SIGTERM. After that, run() of the context returns when
    /// the last request has been answered.
    void start();

    std::string url() const;
    std::string summary();

private:
    boost::asio::awaitable<void> accept_loop();
    boost::asio::awaitable<void> await_signal();
    boost::asio::awaitable<void> record();
    asio_semaphore::limiter* limit() { return limiter_ ? &*limiter_ : nullptr; }

    boost::asio::io_context& context_;
    boost::asio::ip::tcp::acceptor acceptor_; // its strand guards signals_ and each_second_ too
    boost::asio::signal_set signals_;
    boost::asio::steady_timer each_second_;
    std::atomic<double> largest_limit_{0}; // the largest that was ever in force
    std::optional<asio_semaphore::limiter> limiter_;
    std::unique_ptr<fleet> fleet_; // if set, there is no limiter
    const bool priority_header_;
    handler handler_;
    answer_times answers_;
    client_names clients_;
    history history_;
    session_list sessions_;
};

} // namespace server
