// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Both clients of step 08 use this: one HTTP request over its own connection, without any limit.

#include <boost/asio.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;

inline asio::awaitable<void> fetch(tcp::endpoint server, std::string target) {
    tcp::socket socket(co_await asio::this_coro::executor);
    co_await socket.async_connect(server, asio::use_awaitable);
    http::request<http::empty_body> request(http::verb::get, target, 11);
    request.set(http::field::host, "localhost");
    request.keep_alive(false);
    co_await http::async_write(socket, request, asio::use_awaitable);
    boost::beast::flat_buffer buffer;
    http::response<http::string_body> response;
    co_await http::async_read(socket, buffer, response, asio::use_awaitable);
    if (response.result() != http::status::ok)
        throw boost::system::system_error(http::error::bad_status, target);
}

/// Runs @p client with the server at the port in the command line. An error is one line on stderr.
template <typename Client>
int run_client(int argc, char** argv, Client client) try {
    if (argc != 2)
        throw std::invalid_argument("the port of the server is the argument");
    asio::io_context context;
    client(context, *tcp::resolver(context).resolve("127.0.0.1", argv[1]).begin());
    return 0;
} catch (const boost::system::system_error& e) {
    std::cerr << argv[0] << ": " << e.code().message() << '\n';
    return 1;
} catch (const std::exception& e) {
    std::cerr << argv[0] << ": " << e.what() << '\n';
    return 1;
}
