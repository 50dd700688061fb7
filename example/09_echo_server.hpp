// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// The server of the connection pool: sends back what it receives, and counts its clients.

#include <boost/asio.hpp>

#include <chrono>
#include <cstddef>
#include <utility>

namespace asio = boost::asio;
using asio::ip::tcp;

class echo_server {
public:
    explicit echo_server(asio::io_context& context) :
        acceptor_(context, {asio::ip::address_v4::loopback(), 0}) {
        asio::co_spawn(context, listen(), asio::detached);
    }

    tcp::endpoint endpoint() const { return acceptor_.local_endpoint(); }
    int accepted() const { return accepted_; }

private:
    asio::awaitable<void> listen() {
        asio::steady_timer pause(acceptor_.get_executor());
        for (boost::system::error_code ec;;) {
            auto client =
                co_await acceptor_.async_accept(asio::redirect_error(asio::use_awaitable, ec));
            if (ec == asio::error::operation_aborted || !acceptor_.is_open())
                co_return;
            if (ec) { // perhaps no file descriptor is left
                pause.expires_after(std::chrono::milliseconds(50));
                co_await pause.async_wait(asio::use_awaitable);
                continue;
            }
            ++accepted_;
            asio::co_spawn(acceptor_.get_executor(), echo(std::move(client)), asio::detached);
        }
    }

    static asio::awaitable<void> echo(tcp::socket client) {
        char data[64];
        for (;;) {
            const auto n = co_await client.async_read_some(asio::buffer(data), asio::use_awaitable);
            co_await asio::async_write(client, asio::buffer(data, n), asio::use_awaitable);
        }
    }

    tcp::acceptor acceptor_;
    int accepted_ = 0;
};
