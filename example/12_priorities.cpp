// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// Users and batch jobs share four places. Batch jobs may take only half of them, so users find a
// free place. If both wait, users come first.

#include <asio_semaphore.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <iostream>

namespace asio = boost::asio;
using asio_semaphore::limiter;

enum priority { user = 0, batch = 1 };

asio::awaitable<void> job(limiter& limit, priority who, int number) {
    auto place = co_await limit.async_admit({.priority = who}, asio::use_awaitable);
    std::cout << (who == user ? "user " : "batch ") << number << " runs, " << limit.in_flight()
              << " places taken\n";
    co_await asio::post(asio::use_awaitable);
    place.finish();
}

int main() {
    asio::io_context context;
    // The part of the limit that each priority may fill, counting the requests of all priorities.
    limiter limit(context, 4, {.share = {1, 0.5, 0.5, 0.5}});

    for (int number = 1; number <= 4; ++number)
        asio::co_spawn(context, job(limit, batch, number), asio::detached);
    for (int number = 1; number <= 4; ++number)
        context.run_one(); // each job calls async_admit
    std::cout << limit.waiting() << " batch jobs wait, though two places are free\n";

    for (int number = 1; number <= 3; ++number)
        asio::co_spawn(context, job(limit, user, number), asio::detached);
    context.run();
}
