// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// A queue absorbs bursts, but does not help against overload. So each request has a deadline in the
// queue, and the deadline is shorter once the queue has not been empty for a while. A client whose
// request cannot be served in time learns that early, and can try another server.

#include <asio_semaphore.hpp>

#include <boost/asio.hpp>

#include <chrono>
#include <iostream>

namespace asio = boost::asio;
using asio_semaphore::admission;
using asio_semaphore::limiter;
using boost::system::error_code;
using namespace std::chrono_literals;

auto report(const char* who) {
    return [who](error_code ec, admission place) {
        std::cout << who << ": ";
        if (!ec)
            std::cout << "200\n";
        else if (ec == asio_semaphore::error::queue_full)
            std::cout << "503, nobody more may wait\n";
        else if (ec == asio_semaphore::error::shed)
            std::cout << "503, and soon: the queue is a standing one\n";
        else if (ec == asio_semaphore::condition::overload) // asio::error::timed_out remains
            std::cout << "503, its time in the queue is over\n";
        place.finish();
    };
}

asio::awaitable<void> overload(limiter& limit) {
    admission work = limit.try_admit(); // takes the only place
    limit.async_admit(report("first")); // waits 20 ms, in a queue that was empty
    limit.async_admit({.max_wait = 1h}, report("patient")); // has a later deadline
    asio::steady_timer later(limit.get_executor(), 20ms);
    co_await later.async_wait(asio::use_awaitable);
    limit.async_admit(report("second")); // waits 2 ms: the queue was not empty for 20 ms
    later.expires_after(10ms);
    co_await later.async_wait(asio::use_awaitable);
    work.finish();
}

int main() {
    asio::io_context context;
    limiter limit(context, 1, {.max_wait = 20ms, .busy_wait = 2ms});
    asio::co_spawn(context, overload(limit), asio::detached);
    context.run();

    limiter strict(context, 1, {.max_waiting = 0}); // has no queue
    const admission work = strict.try_admit();
    strict.async_admit(report("third"));
    strict.async_admit({.max_wait = 0s}, report("fourth")); // chooses not to wait
    context.restart();
    context.run();
}
