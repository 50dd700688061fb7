// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// asio::make_strand(socket.get_executor()) returns a strand of an any_io_executor. A handler can be
// bound to such a strand, and a semaphore can use it as its executor.

#include <asio_semaphore.hpp>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/strand.hpp>

using strand = boost::asio::strand<boost::asio::any_io_executor>;

void strand_of_any_io_executor(asio_semaphore::async_semaphore& semaphore, const strand& where) {
    semaphore.async_acquire(
        boost::asio::bind_executor(where, [](const boost::system::error_code&) {}));
    asio_semaphore::basic_async_semaphore<strand> other(where, 1);
    other.async_acquire([](const boost::system::error_code&) {});
}
