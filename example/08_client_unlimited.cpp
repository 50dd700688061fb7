// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// A client that fetches a thousand URLs from a server, all at once. Compare with 08_client.cpp.

#include "08_fetch.hpp"

int main(int argc, char** argv) {
    return run_client(argc, argv, [](asio::io_context& context, tcp::endpoint server) {
        int fetched = 0;
        const auto done = [&fetched](std::exception_ptr failure) {
            if (failure)
                std::rethrow_exception(failure);
            ++fetched;
        };
        for (int i = 0; i < 1000; ++i)
            asio::co_spawn(context, fetch(server, "/?" + std::to_string(i)), done);
        context.run();
        std::cout << fetched << " fetched\n";
    });
}
