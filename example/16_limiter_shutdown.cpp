// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// Graceful shutdown of a server with a limiter. close() refuses waiting and later requests.
// async_wait_idle completes when all admitted requests have finished.

#include <asio_semaphore.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/error_code.hpp>

#include <chrono>
#include <iostream>

namespace asio = boost::asio;
using asio_semaphore::limiter;
using namespace std::chrono_literals;

asio::awaitable<void> shut_down(limiter& limit) {
    std::cout << "closing, with " << limit.in_flight() << " at work and " << limit.waiting()
              << " waiting\n";
    limit.close();
    co_await limit.async_wait_idle(asio::use_awaitable);
    std::cout << "idle: the database may be closed now\n";
}

asio::awaitable<void> request(limiter& limit, int number) {
    boost::system::error_code ec;
    auto place = co_await limit.async_admit(asio::redirect_error(asio::use_awaitable, ec));
    if (ec) {
        const bool closed = ec == asio_semaphore::error::closed;
        std::cout << "request " << number << (closed ? " is refused\n" : " fails\n");
        co_return;
    }
    if (number == 2) // stands for the arrival of a signal
        asio::co_spawn(co_await asio::this_coro::executor, shut_down(limit), asio::detached);
    asio::steady_timer work(co_await asio::this_coro::executor, number * 5ms);
    co_await work.async_wait(asio::use_awaitable);
    std::cout << "request " << number << " is done\n";
    place.finish();
}

int main() {
    asio::io_context context;
    limiter limit(context, 2);
    for (int number = 1; number <= 4; ++number)
        asio::co_spawn(context, request(limit, number), asio::detached);
    context.run();
}
