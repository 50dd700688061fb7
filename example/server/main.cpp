// An HTTP/1.1 server that lets at most so many requests into its handler at a time. The others
// wait, for so long at most, and are answered with 503 after that. What makes it so is `work` in
// session.cpp; what it does can be watched at /live.

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
    } catch (const std::system_error& e) { // the trace
        std::cerr << "example_server: " << e.what() << '\n';
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
