// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore.hpp>

#include <boost/asio.hpp>

#include <chrono>
#include <iostream>
#include <string>

namespace asio = boost::asio;
using asio_semaphore::limiter;
using namespace std::chrono_literals;

asio::awaitable<void> request(limiter& limit, std::string client) {
    boost::system::error_code ec;
    auto place = co_await limit.async_admit(
        {.key = asio_semaphore::key_of(client)}, asio::redirect_error(asio::use_awaitable, ec));
    if (ec) { // asio_semaphore::condition::overload
        std::cout << client << ": 503\n";
        co_return;
    }
    co_await asio::post(asio::use_awaitable); // what must not run more than twice at once
    place.finish();
    std::cout << client << ": 200\n";
}

int main() {
    asio::io_context context;
    limiter limit(context, 2, {.max_waiting = 3, .max_wait = 500ms});
    for (const char* client : {"ann", "ann", "ann", "ann", "ann", "ann", "bob"})
        asio::co_spawn(context, request(limit, client), asio::detached);
    context.run();
    asio_semaphore::write_openmetrics(std::clog, limit.statistics(), "http"); // for Prometheus
}
