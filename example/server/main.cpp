// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// An HTTP/1.1 server with a limit on the number of requests in its handler. Further requests wait
// for a bounded time, and then get the status 503. The limiter is used in `session::work` in
// session.cpp. The page /live shows what the server does.

#include "options.hpp"
#include "server.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/system/system_error.hpp>

#include <iostream>
#include <optional>
#include <system_error>
#include <thread>
#include <vector>

namespace {

int run(const server::options& wanted) {
    boost::asio::io_context context(wanted.threads);
    std::optional<server::server> server;
    try {
        server.emplace(context, wanted);
    } catch (const boost::system::system_error& e) {
        std::cerr << "example_server: can't listen on " << wanted.endpoint << ": "
                  << e.code().message() << '\n';
        return 2;
    } catch (const std::system_error& e) { // from opening the trace file
        std::cerr << "example_server: " << e.what() << '\n';
        return 2;
    } catch (const std::invalid_argument& e) { // from the name of the fleet's limit
        std::cerr << "example_server: --fleet: " << e.what() << '\n';
        return 2;
    }
    server->start();
    std::cout << "listening on " << server->url() << std::endl;

    std::vector<std::thread> others;
    for (int i = 1; i < wanted.threads; ++i)
        others.emplace_back([&context] { context.run(); });
    context.run();
    for (auto& thread : others)
        thread.join();
    std::cout << "ended: " << server->summary() << std::endl;
    return 0;
}

} // namespace

int main(int argc, char** argv) {
    try {
        const auto wanted = server::parse(argc, argv);
        return wanted ? run(*wanted) : 0;
    } catch (const server::usage_error& e) {
        std::cerr << "example_server: " << e.what() << '\n';
        return 2;
    }
}
