// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// A client that fetches a thousand URLs from a server, ten at a time. It is 08_client_unlimited.cpp
// with a semaphore, and with with_permit around the completion token.

#include "08_fetch.hpp"

#include <asio_semaphore.hpp>

int main(int argc, char** argv) {
    return run_client(argc, argv, [](asio::io_context& context, tcp::endpoint server) {
        asio_semaphore::async_semaphore limit(context, 10, 10);
        int fetched = 0;
        const auto done = [&fetched](std::exception_ptr failure) {
            if (failure)
                std::rethrow_exception(failure);
            ++fetched;
        };
        for (int i = 0; i < 1000; ++i)
            asio::co_spawn(
                context, fetch(server, "/?" + std::to_string(i)), with_permit(limit, done));
        context.run();
        std::cout << fetched << " fetched\n";
    });
}
