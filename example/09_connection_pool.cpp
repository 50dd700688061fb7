// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// A pool that never has more than a given number of connections open. A query holds a permit while
// it uses a connection, and opens one only if none is idle. The limit is one line in async_query.

#include "09_echo_server.hpp"

#include <asio_semaphore.hpp>

#include <iostream>
#include <string>
#include <utility>
#include <vector>

class connection_pool {
public:
    connection_pool(asio::io_context& context, tcp::endpoint server, int most) :
        server_(server), limit_(context, most, most) {}

    template <typename CompletionToken>
    auto async_query(std::string text, CompletionToken&& token) {
        return asio::co_spawn(
            limit_.get_executor(), query(std::move(text)),
            with_permit(limit_, std::forward<CompletionToken>(token)));
    }

private:
    asio::awaitable<std::string> query(std::string text) {
        tcp::socket connection(co_await asio::this_coro::executor);
        if (idle_.empty()) {
            co_await connection.async_connect(server_, asio::use_awaitable);
        } else {
            connection = std::move(idle_.back());
            idle_.pop_back();
        }
        co_await asio::async_write(connection, asio::buffer(text), asio::use_awaitable);
        co_await asio::async_read(connection, asio::buffer(text), asio::use_awaitable);
        idle_.push_back(std::move(connection)); // an exception closes the connection instead
        co_return text;
    }

    tcp::endpoint server_;
    std::vector<tcp::socket> idle_;
    asio_semaphore::async_semaphore limit_;
};

int main() {
    for (const int most : {3, 100}) {
        asio::io_context context;
        echo_server server(context);
        connection_pool pool(context, server.endpoint(), most);
        int answered = 0;
        for (int i = 0; i < 20; ++i)
            pool.async_query("query", [&](auto failure, const std::string& answer) {
                if (!failure && answer == "query" && ++answered == 20)
                    context.stop();
            });
        context.run();
        std::cout << "at most " << most << ": " << answered << " queries, " << server.accepted()
                  << " connections\n";
    }
}
