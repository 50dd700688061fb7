// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// A program fetches ten pages from a site that allows two requests at a time. Each coroutine waits
// for a permit before it sends its request, and holds the permit until the response arrives.

#include <asio_semaphore.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>
#include <iostream>

namespace asio = boost::asio;
using asio_semaphore::async_semaphore;
using namespace std::chrono_literals;

int running = 0, most = 0;

asio::awaitable<void> request(int page) {
    std::cout << "page " << page << '\n';
    most = std::max(most, ++running);
    asio::steady_timer network(co_await asio::this_coro::executor, 2ms);
    co_await network.async_wait(asio::use_awaitable);
    --running;
}

// Prefer this form: the permit returns at the end of its scope, even if request() throws.
asio::awaitable<void> fetch(async_semaphore& semaphore, int page) {
    const auto held = co_await semaphore.async_acquire_permit(asio::use_awaitable);
    co_await request(page);
}

// The same without a permit object. If request() throws, the permit is lost.
asio::awaitable<void> fetch_by_hand(async_semaphore& semaphore, int page) {
    co_await semaphore.async_acquire(asio::use_awaitable);
    co_await request(page);
    semaphore.release();
}

int main() {
    asio::io_context context;
    async_semaphore semaphore(context, 2, 2);
    for (int page = 1; page <= 9; ++page)
        asio::co_spawn(context, fetch(semaphore, page), asio::detached);
    asio::co_spawn(context, fetch_by_hand(semaphore, 10), asio::detached);
    context.run();
    std::cout << "at most " << most << " at once\n";
    std::cout << "free in the end: " << semaphore.available() << '\n';
}
