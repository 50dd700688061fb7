// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// Your own limit algorithm is a function object: it takes a finished request and returns the new
// limit. It uses no clock and no thread, so you can test it without a server. This program runs two
// algorithms in simulated time. The simulated server handles ten requests at a time in 10 ms each,
// and only five from the third second on. With more requests at a time, all become slower.
//
// The output shows a weakness of Vegas: under constant load its limit creeps up. From time to time
// Vegas measures the latency without load again, but the server is still under load then. Envoy's
// gradient measures it with three requests at a time.
//
// A limiter takes your algorithm as it takes the library's: {.algorithm = vegas()}.

#include "17_envoy_gradient.hpp"
#include "17_vegas.hpp"

#include <algorithm>
#include <chrono>
#include <iostream>

using time_point = std::chrono::steady_clock::time_point;
using namespace std::chrono_literals;

void try_out(const char* name, asio_semaphore::limit_algorithm law) {
    std::cout << name << '\n';
    double limit = 5;
    time_point now;
    for (const auto until : {500ms, 1000ms, 2000ms, 2500ms, 4000ms}) {
        const int at_a_time = until <= 2s ? 10 : 5;
        int running = 0;
        while (now < time_point(until)) { // uses the whole limit; requests finish one by one
            running = static_cast<int>(limit);
            const std::chrono::nanoseconds latency =
                10ms * std::max(running, at_a_time) / at_a_time;
            now += latency / running;
            limit = law({now, latency, asio_semaphore::outcome::success, running, true, limit});
        }
        std::cout << "  " << until.count() << " ms: serves " << at_a_time << " at a time, limit "
                  << running << '\n';
    }
}

int main() {
    try_out("Vegas", vegas());
    try_out("Envoy's gradient", envoy_gradient());
}
