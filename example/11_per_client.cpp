// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// One client sends many requests, another one a few. The limiter admits next the client that holds
// the fewest places, and no client may hold more than two of the three.

#include <asio_semaphore.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <iostream>
#include <string>

namespace asio = boost::asio;
using asio_semaphore::key_of;
using asio_semaphore::limiter;

std::ptrdiff_t held_by(const std::string& client, const limiter& limit) {
    for (const auto& usage : limit.busiest_keys()) // looks at all keys: not for every request
        if (usage.key == key_of(client))
            return usage.in_flight;
    return 0;
}

asio::awaitable<void> request(limiter& limit, std::string client, int number) {
    auto place = co_await limit.async_admit({.key = key_of(client)}, asio::use_awaitable);
    std::cout << client << ' ' << number << " runs; the crawler holds " << held_by("crawler", limit)
              << ", the reader " << held_by("reader", limit) << '\n';
    co_await asio::post(asio::use_awaitable);
    place.finish();
}

int main() {
    asio::io_context context;
    limiter limit(context, 3, {.max_per_key = 2});
    for (int number = 1; number <= 6; ++number)
        asio::co_spawn(context, request(limit, "crawler", number), asio::detached);
    for (int number = 1; number <= 2; ++number)
        asio::co_spawn(context, request(limit, "reader", number), asio::detached);
    context.run();
    std::cout << "keys that the limiter remembers: " << limit.statistics().keys << '\n';
}
