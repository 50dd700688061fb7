// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// Every consumer builds this program. It waits for a permit, and uses an error of the library.

#include <asio_semaphore.hpp>

#include <boost/asio/io_context.hpp>

#ifdef EXPECT_COMPILED
#ifndef ASIO_SEMAPHORE_SEPARATE_COMPILATION
#error "asio_semaphore::compiled must define ASIO_SEMAPHORE_SEPARATE_COMPILATION for its users"
#endif
#elif !defined(ASIO_SEMAPHORE_HEADER_ONLY)
#error "asio_semaphore::asio_semaphore must define ASIO_SEMAPHORE_HEADER_ONLY for its users"
#endif

int main() {
    boost::asio::io_context context;
    asio_semaphore::async_semaphore semaphore(context, 1, 1);
    auto held = semaphore.try_acquire_permit();
    int granted = 0, closed = 0;
    const auto count = [&](boost::system::error_code ec, asio_semaphore::permit permit) {
        granted += permit ? 1 : 0;
        closed += ec == asio_semaphore::error::closed ? 1 : 0;
    };
    semaphore.async_acquire_permit(count);
    held.reset();
    context.run();
    semaphore.close();
    semaphore.async_acquire_permit(count);
    context.restart();
    context.run();
    return granted == 1 && closed == 1 && semaphore.available() == 1 ? 0 : 1;
}
