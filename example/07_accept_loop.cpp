// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// A server that never has more than N sessions. It acquires a permit before it accepts a client,
// and the session owns the permit. Further clients wait in the kernel's backlog.

#include <asio_semaphore.hpp>

#include <boost/asio.hpp>

#include <algorithm>
#include <chrono>
#include <deque>
#include <iostream>
#include <utility>

namespace asio = boost::asio;
using asio::ip::tcp;

int begun = 0, running = 0;

asio::awaitable<void> session(tcp::socket socket, [[maybe_unused]] asio_semaphore::permit held) {
    std::cout << "session " << ++begun << " begins, " << ++running << " running\n";
    co_await socket.async_wait(tcp::socket::wait_read, asio::use_awaitable); // client hangs up
    --running;
}

asio::awaitable<void>
accept_loop(tcp::acceptor& acceptor, asio_semaphore::async_semaphore& sessions) {
    asio::steady_timer pause(acceptor.get_executor());
    for (boost::system::error_code ec;;) {
        auto held = co_await sessions.async_acquire_permit(asio::use_awaitable);
        auto socket = co_await acceptor.async_accept(asio::redirect_error(asio::use_awaitable, ec));
        if (ec == asio::error::operation_aborted || !acceptor.is_open())
            co_return;
        if (ec) { // perhaps no file descriptor is left: wait until a session closes one
            pause.expires_after(std::chrono::milliseconds(50));
            co_await pause.async_wait(asio::use_awaitable);
            continue;
        }
        asio::co_spawn(
            acceptor.get_executor(), session(std::move(socket), std::move(held)), asio::detached);
    }
}

int main() {
    asio::io_context context;
    tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), 0});
    asio_semaphore::async_semaphore sessions(context, 2, 2);
    asio::co_spawn(context, accept_loop(acceptor, sessions), asio::detached);

    std::deque<tcp::socket> clients;
    for (int i = 0; i < 5; ++i)
        clients.emplace_back(context).connect(acceptor.local_endpoint());
    for (int closed = 0; closed < 5; ++closed) {
        while (begun < std::min(closed + 2, 5))
            context.run_one();
        clients.pop_front(); // the oldest client hangs up
    }
    acceptor.close(); // ends the accept loop, which returns the permit for its next session
    context.run();
    std::cout << "free in the end: " << sessions.available() << '\n';
}
