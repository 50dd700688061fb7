// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore.hpp>

#include <boost/asio.hpp>

#include <algorithm>
#include <iostream>

namespace asio = boost::asio;
using asio_semaphore::async_semaphore;

asio::awaitable<void> query(async_semaphore& limit, int& running, int& most) {
    auto permit = co_await limit.async_acquire_permit(asio::use_awaitable);
    most = std::max(most, ++running);
    co_await asio::post(asio::use_awaitable); // what must not run more than three times at once
    --running;
} // the permit goes back, whatever happened

int main() {
    asio::io_context context;
    async_semaphore limit(context, 3, 3);
    int running = 0, most = 0;
    for (int i = 0; i < 100; ++i)
        asio::co_spawn(context, query(limit, running, most), asio::detached);
    context.run();
    std::cout << most << " at once, " << limit.available() << " permits at the end\n";
}
