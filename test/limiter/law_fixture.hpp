// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Feeds a limit algorithm with windows of equal samples. The samples arrive at the rate that
// follows from the number of requests in flight and their latency.

#include <asio_semaphore/limiter/aimd_limit.hpp>
#include <asio_semaphore/limiter/gradient_limit.hpp>
#include <asio_semaphore/limiter/limit_algorithm.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

namespace test {

using asio_semaphore::aimd_limit;
using asio_semaphore::aimd_limit_options;
using asio_semaphore::gradient_limit;
using asio_semaphore::gradient_limit_options;
using asio_semaphore::limit_algorithm;
using asio_semaphore::limit_sample;
using asio_semaphore::outcome;
using std::chrono::duration_cast;
using namespace std::chrono_literals;

using ms = std::chrono::duration<double, std::milli>;

struct hand_fed {
    explicit hand_fed(limit_algorithm l, double start) : law(std::move(l)), limit(start) {}

    struct fed {
        double latency = 10; // ms
        double peak = 0;     // 0: the limit
        bool bound = true;
        int overloaded_every = 0; // 1: all of them
        double rate = 0;          // per second; 0: follows from peak and latency
    };

    double sample(double latency, double peak, bool bound, outcome result = outcome::success) {
        return limit = law(
                   {now, duration_cast<limit_sample::duration>(ms(latency)), result,
                    static_cast<std::ptrdiff_t>(peak), bound, limit});
    }

    void pass(double milliseconds) {
        now += duration_cast<limit_sample::duration>(ms(milliseconds));
    }

    // One window, as long as the algorithm's: two baselines, at least 100 ms.
    double window(fed f) {
        // Skips the requests from before the last decrease, and the first ones after it.
        pass(1001 + f.latency);
        const double length = std::max(100.0, 2 * base), peak = f.peak > 0 ? f.peak : limit;
        const double rate = f.rate > 0 ? f.rate : std::floor(peak) / f.latency * 1000;
        const int n = std::max(10, static_cast<int>(std::lround(rate * length / 1000)));
        const auto begin = now;
        const double before = limit;
        for (int i = 0; i <= n; ++i) {
            now = begin + duration_cast<limit_sample::duration>(ms(length)) * i / n;
            const bool overloaded = f.overloaded_every > 0 && i % f.overloaded_every == 0;
            sample(f.latency, peak, f.bound, overloaded ? outcome::overloaded : outcome::success);
            if (limit != before && overloaded)
                break; // the decrease ends the window
        }
        return limit;
    }

    limit_algorithm law;
    double limit;
    double base = 10; // the baseline that the algorithm knows or will learn
    std::chrono::steady_clock::time_point now{1h};
};

// A gradient_limit that knows the latency without load, after its slow start.
inline hand_fed experienced(double limit, double base, gradient_limit_options options = {}) {
    hand_fed f(gradient_limit(options), limit);
    f.base = base;
    f.window({.latency = base, .peak = std::max(1.0, limit * 0.6), .bound = false});
    // Slow samples while the limit is not used end the slow start, and do not lower the limit.
    f.window({.latency = 4 * base, .peak = std::max(1.0, limit * 0.6), .bound = false});
    f.limit = limit;
    f.window({.latency = base, .peak = std::max(1.0, limit * 0.6), .bound = false});
    f.limit = limit;
    return f;
}

inline gradient_limit_options without_relearning() {
    gradient_limit_options options;
    options.relearn = false;
    return options;
}

} // namespace test
