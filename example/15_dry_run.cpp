// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// Which limit is right? A dry run admits every request, and counts those that the limit would have
// held back. When the numbers look right, change one option to enforce the limit.

#include <asio_semaphore.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/error_code.hpp>

#include <iostream>

namespace asio = boost::asio;
using asio_semaphore::limiter;

asio::awaitable<void> request(limiter& limit) {
    boost::system::error_code ec;
    auto place = co_await limit.async_admit(asio::redirect_error(asio::use_awaitable, ec));
    if (ec)
        co_return;
    co_await asio::post(asio::use_awaitable);
    place.finish();
}

void ten_at_once(bool enforce) {
    asio::io_context context;
    limiter limit(context, 4, {.max_waiting = 3, .enforce = enforce});
    for (int i = 0; i < 10; ++i)
        asio::co_spawn(context, request(limit), asio::detached);
    context.run();
    const auto counts = limit.statistics();
    std::cout << (enforce ? "enforced: " : "dry run:  ") << counts.priorities[0].admitted
              << " admitted, " << counts.over_limit << " of them over the limit, "
              << counts.priorities[0].queue_full << " refused\n";
}

int main() {
    ten_at_once(false);
    ten_at_once(true);
}
