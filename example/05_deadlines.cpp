// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// A deadline or a cancellation can end the wait for a permit. In both cases the operation leaves
// the queue, no permit is lost, and the error code says which of the two it was.

#include <asio_semaphore.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/system/error_code.hpp>

#include <chrono>
#include <iostream>

namespace asio = boost::asio;
using asio_semaphore::permit;
using boost::system::error_code;
using namespace std::chrono_literals;

const char* to_text(error_code ec) {
    if (ec == asio::error::timed_out)
        return "its time was over";
    if (ec == asio::error::operation_aborted)
        return "cancelled";
    return ec ? "failed" : "granted";
}

int main() {
    asio::io_context context;
    asio_semaphore::async_semaphore semaphore(context, 1, 1);
    permit held = semaphore.try_acquire_permit(); // the only one, so all others wait

    const auto report = [](const char* who) {
        return [who](error_code ec, permit) {
            std::cout << who << ": " << to_text(ec) << '\n';
        };
    };

    semaphore.async_acquire_permit_for(5ms, report("waits 5 ms"));

    asio::cancellation_signal signal; // cancels a single operation
    semaphore.async_acquire_permit(
        asio::bind_cancellation_slot(signal.slot(), report("changes its mind")));
    signal.emit(asio::cancellation_type::total);
    context.run();

    semaphore.async_acquire_permit(report("one of two"));
    semaphore.async_acquire_permit(report("two of two"));
    std::cout << "cancel() ends " << semaphore.cancel() << '\n'; // all waiting operations
    semaphore.async_acquire_permit_for(1h, report("waits an hour"));
    held.reset(); // grants the permit at once; run() does not wait for the end of the hour
    context.restart();
    context.run();
}
