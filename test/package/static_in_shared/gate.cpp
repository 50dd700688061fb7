// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore.hpp>

#include <boost/asio/io_context.hpp>

// Returns how many of n acquires a semaphore with three permits grants.
extern "C" [[gnu::visibility("default")]] int gate_admits(int n) {
    boost::asio::io_context context;
    asio_semaphore::async_semaphore semaphore(context, 3);
    int granted = 0;
    for (int i = 0; i < n; ++i)
        semaphore.async_acquire(
            [&granted](boost::system::error_code ec) { granted += ec ? 0 : 1; });
    context.poll();
    semaphore.cancel();
    context.poll();
    return granted;
}
