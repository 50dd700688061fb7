// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// A stackful coroutine (asio::spawn) passes its yield_context as the completion token. yield[ec]
// stores an error in ec instead of throwing an exception.

#include <asio_semaphore.hpp>

#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/system/error_code.hpp>

#include <algorithm>
#include <chrono>
#include <iostream>

namespace asio = boost::asio;
using namespace std::chrono_literals;

int main() {
    asio::io_context context;
    asio_semaphore::async_semaphore pumps(context, 2, 2);
    int at_pumps = 0, most = 0;

    for (int car = 1; car <= 5; ++car)
        asio::spawn(
            context,
            [&, car](asio::yield_context yield) {
                boost::system::error_code ec;
                const auto held = pumps.async_acquire_permit(yield[ec]);
                if (ec) {
                    std::cout << "car " << car << " drives on: the station closes\n";
                    return;
                }
                std::cout << "car " << car << " fills up\n";
                most = std::max(most, ++at_pumps);
                asio::steady_timer filling(context, 2ms);
                filling.async_wait(yield);
                --at_pumps;
                if (car == 3)
                    pumps.close();
            },
            asio::detached);

    context.run();
    std::cout << "at most " << most << " at the pumps\n";
    std::cout << "free pumps: " << pumps.available() << '\n';
}
