// A law of your own is a function object: finished requests in, the limit out. It has no clock and
// no thread, so it can be tried without a server. Here, in simulated time, on one that serves ten
// requests at a time in 10 ms each, and five from the third second on; with more all become slower.
//
// What it shows of Vegas at once: under load without a pause its limit creeps up, because from time
// to time it takes the latency of the loaded server for that without load. Envoy's law measures
// that with three requests at a time.
//
// The limiter takes such a law as it takes those of the library: {.algorithm = vegas()}.

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
        while (now < time_point(until)) { // as many run as may, and finish one after the other
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
