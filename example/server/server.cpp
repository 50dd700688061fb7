// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include "server.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <csignal>
#include <exception>
#include <iostream>
#include <memory>
#include <sstream>
#include <utility>

namespace server {
namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
namespace {

// An exception, such as bad_alloc, ends the connection but not the server.
void report(std::exception_ptr failure) {
    try {
        if (failure)
            std::rethrow_exception(failure);
    } catch (const std::exception& e) {
        std::clog << "a connection failed: " << e.what() << '\n';
    }
}

} // namespace

server::server(asio::io_context& context, const options& wanted) :
    context_(context),
    acceptor_(asio::make_strand(context), wanted.endpoint),
    signals_(acceptor_.get_executor(), SIGINT, SIGTERM),
    each_second_(acceptor_.get_executor()),
    priority_header_(wanted.priority_header),
    handler_(wanted.work, wanted.trace) {
#if defined(EXAMPLE_FLEET)
    if (wanted.fleet) {
        fleet_ = make_fleet(context, wanted);
        return;
    }
#endif
    if (wanted.limit == 0)
        return;
    largest_limit_ = static_cast<double>(wanted.limit);
    auto limiter = wanted.limiter;
    limiter.on_limit_change = [this](double, double to) {
        for (double most = largest_limit_; most < to;) {
            if (largest_limit_.compare_exchange_weak(most, to))
                break;
        }
    };
    limiter_.emplace(context, wanted.limit, std::move(limiter));
}

void server::start() {
    asio::co_spawn(acceptor_.get_executor(), accept_loop(), report);
    asio::co_spawn(acceptor_.get_executor(), await_signal(), report);
    asio::co_spawn(acceptor_.get_executor(), record(), report);
}

asio::awaitable<void> server::accept_loop() {
    const services shared{limit(),  fleet_.get(), priority_header_, handler_,
                          answers_, clients_,     history_,         sessions_};
    for (;;) {
        error_code ec;
        auto socket = co_await acceptor_.async_accept(
            asio::make_strand(context_), asio::redirect_error(asio::use_awaitable, ec));
        if (!acceptor_.is_open())
            co_return;
        if (ec) {
            // Most likely no file descriptor is left. Wait until some connections have ended.
            asio::steady_timer pause(acceptor_.get_executor(), std::chrono::milliseconds(50));
            co_await pause.async_wait(asio::use_awaitable);
            continue;
        }
        error_code ignored;
        socket.set_option(tcp::no_delay(true), ignored);
        const auto executor = socket.get_executor();
        const auto s = std::make_shared<session>(std::move(socket), shared);
        asio::co_spawn(executor, s->run(s), report);
    }
}

asio::awaitable<void> server::await_signal() {
    co_await signals_.async_wait(asio::use_awaitable);
    signals_.clear(); // a second signal ends the program at once
    std::cout << "draining: no new connections, waiting requests are refused, "
              << handler_.running() << " are being handled\n"
              << std::flush;
    error_code ignored;
    acceptor_.close(ignored);
    // Drain first, so that the refusals that close() causes also announce the end of the
    // connection.
    sessions_.drain();
    if (limiter_)
        limiter_->close();
    if (fleet_)
        fleet_->close();
    each_second_.cancel();
}

asio::awaitable<void> server::record() {
    while (acceptor_.is_open()) {
        history_.add(limiter_ ? limiter_->statistics() : asio_semaphore::limiter_statistics());
        each_second_.expires_after(std::chrono::seconds(1));
        error_code ignored;
        co_await each_second_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
}

std::string server::url() const {
    std::ostringstream out;
    out << "http://" << acceptor_.local_endpoint() << '/';
    return out.str();
}

std::string server::summary() {
    return ::server::summary(limit(), largest_limit_, handler_, answers_);
}

} // namespace server
