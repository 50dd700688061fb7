// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// A graceful shutdown in three steps. Close: the semaphore refuses waiting and later operations.
// Drain: jobs that hold a permit continue to their end. Wait: run() returns when they are done.

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
using asio_semaphore::async_semaphore;
using namespace std::chrono_literals;

asio::awaitable<void> job(async_semaphore& semaphore, int number) {
    boost::system::error_code ec;
    const auto held =
        co_await semaphore.async_acquire_permit(asio::redirect_error(asio::use_awaitable, ec));
    if (ec) {
        std::cout << "job " << number
                  << (ec == asio_semaphore::error::closed ? " is refused\n" : " fails\n");
        co_return;
    }
    std::cout << "job " << number << " starts\n";
    if (number == 2) { // stands for the arrival of a signal
        std::cout << "closing, with " << semaphore.waiting() << " waiting\n";
        // To let the waiting jobs finish too, first acquire all permits: that request comes last.
        semaphore.close();
    }
    asio::steady_timer work(co_await asio::this_coro::executor, number * 5ms);
    co_await work.async_wait(asio::use_awaitable);
    std::cout << "job " << number << " is done\n";
}

int main() {
    asio::io_context context;
    async_semaphore semaphore(context, 2, 2);
    for (int number = 1; number <= 4; ++number)
        asio::co_spawn(context, job(semaphore, number), asio::detached);
    context.run(); // step three: wait
    std::cout << "permits back: " << semaphore.available() << " of 2\n";
}
