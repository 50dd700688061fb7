// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// The surroundings of the server in 10_server.cpp: an accept loop, a database that is slow until
// be_quick() is called, and clients at two addresses. All of them wait for one another, never for a
// time to pass, so the output does not depend on the speed of the machine.
// For other clients, take() sets how long a query takes.

#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <exception>
#include <iostream>
#include <sstream>
#include <string>
#include <utility>

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::redirect_error;
using asio::use_awaitable;
using asio::ip::tcp;
using boost::system::error_code;
using namespace std::chrono_literals;
using response = http::response<http::string_body>;

/// The accept loop of example 07.
template <typename Session>
asio::awaitable<void> accept_loop(tcp::acceptor& acceptor, Session session) {
    asio::steady_timer pause(acceptor.get_executor());
    for (error_code ec;;) {
        auto socket = co_await acceptor.async_accept(redirect_error(use_awaitable, ec));
        if (ec == asio::error::operation_aborted || !acceptor.is_open())
            co_return;
        if (!ec) {
            asio::co_spawn(
                acceptor.get_executor(), session(boost::beast::tcp_stream(std::move(socket))),
                asio::detached);
            continue;
        }
        pause.expires_after(50ms);
        co_await pause.async_wait(use_awaitable);
    }
}

/// Starts session(stream) for each connection, until the acceptor is closed.
template <typename Session>
void serve(tcp::acceptor& acceptor, Session session) {
    asio::co_spawn(acceptor.get_executor(), accept_loop(acceptor, session), asio::detached);
}

class database {
public:
    explicit database(asio::io_context& context) :
        slow_(context, asio::steady_timer::time_point::max()) {}

    asio::awaitable<std::string> query(error_code& ec) {
        ++queries;
        if (time_ > 0s) {
            asio::steady_timer rows(slow_.get_executor(), time_);
            co_await rows.async_wait(redirect_error(use_awaitable, ec));
        } else {
            error_code quick;
            co_await slow_.async_wait(redirect_error(use_awaitable, quick));
            ec = {};
        }
        co_return "rows\n";
    }
    void be_quick() { slow_.expires_at(asio::steady_timer::time_point::min()); }
    void take(std::chrono::seconds time) { time_ = time; }

    int queries = 0;

private:
    asio::steady_timer slow_;
    std::chrono::seconds time_ = 0s; // of a query; 0: until be_quick()
};

inline asio::awaitable<response> get(tcp::endpoint server, std::string from, std::string target) {
    tcp::socket socket(co_await asio::this_coro::executor, {asio::ip::make_address(from), 0});
    co_await socket.async_connect(server, use_awaitable);
    http::request<http::empty_body> request(http::verb::get, target, 11);
    request.set(http::field::host, "localhost");
    request.keep_alive(false);
    co_await http::async_write(socket, request, use_awaitable);
    boost::beast::flat_buffer buffer;
    response answer;
    co_await http::async_read(socket, buffer, answer, use_awaitable);
    co_return answer;
}

inline asio::awaitable<void> clients(tcp::endpoint server, database& db) {
    const auto executor = co_await asio::this_coro::executor;
    int refused = 0, answered = 0;
    const auto count = [&](std::exception_ptr failure, response answer) {
        if (failure)
            std::rethrow_exception(failure);
        ++answered;
        if (answer.result() == http::status::service_unavailable &&
            answer.count(http::field::retry_after) == 1)
            ++refused;
    };
    const auto until = [&](const int& n, int reached) -> asio::awaitable<void> {
        while (n < reached)
            co_await asio::post(use_awaitable);
    };
    for (int i = 0; i < 5; ++i)
        asio::co_spawn(executor, get(server, "127.0.0.1", "/"), count);
    co_await until(answered, 3);
    std::cout << "of five from one client " << db.queries << " run, " << refused
              << " are refused in time\n";
    asio::co_spawn(executor, get(server, "127.0.0.2", "/"), count);
    co_await until(db.queries, 3);
    std::cout << "one from another client runs too\n";
    db.be_quick();
    co_await until(answered, 6);

    const response page = co_await get(server, "127.0.0.1", "/metrics");
    std::istringstream lines(page.body());
    for (std::string line; std::getline(lines, line);)
        if (line.find("_total") != std::string::npos && !line.ends_with(" 0"))
            std::cout << line << '\n';
    std::raise(SIGTERM);
}
