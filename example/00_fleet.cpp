// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore/fleet/fleet_semaphore.hpp>

#include <boost/asio.hpp>

#include <chrono>
#include <iostream>

namespace asio = boost::asio;
using asio_semaphore::fleet_client;
using asio_semaphore::fleet_semaphore;
using namespace std::chrono_literals;

asio::awaitable<void> report(fleet_client& client, fleet_semaphore& limit) {
    {
        auto permit = co_await limit.async_acquire_permit(asio::use_awaitable);
        std::cout << "starts" << std::endl;
        asio::steady_timer work(client.get_executor(), 1s);
        co_await work.async_wait(asio::use_awaitable); // what only one process may do at a time
        std::cout << "ends" << std::endl;
    } // sends the release
    co_await client.async_close(asio::use_awaitable);
}

int main(int argc, char** argv) {
    asio::io_context context;
    boost::redis::config server;
    server.addr = {"127.0.0.1", argc > 1 ? argv[1] : "6379"};
    fleet_client client(context.get_executor(), server);
    client.async_run(asio::detached);
    fleet_semaphore limit(context, client, "reports", 1, {.lease = 5s});
    asio::co_spawn(context, report(client, limit), asio::detached);
    context.run();
}
