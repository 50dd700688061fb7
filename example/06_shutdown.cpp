// A graceful shutdown in three steps. Close: who waits, and who comes later, is refused at once.
// Drain: who holds a permit goes on to the end. Wait: when all permits are back, all work is done.

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
    if (number == 2) { // as if a signal came just now
        std::cout << "closing, with " << semaphore.waiting() << " waiting\n";
        // To let those who wait finish too, acquire all permits first: they come last of all.
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
    context.run(); // the wait: run() returns when no work is left
    std::cout << "permits back: " << semaphore.available() << " of 2\n";
}
