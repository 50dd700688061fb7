// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Netflix's limit algorithms, for comparison (https://github.com/Netflix/concurrency-limits). They
// are re-implemented from Netflix's sources, with Netflix's defaults. Vegas is in
// example/17_vegas.hpp.

#include <asio_semaphore/limiter/limit_algorithm.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

namespace test::netflix {

using asio_semaphore::limit_sample;
using asio_semaphore::outcome;

inline double seconds(limit_sample::duration d) {
    return std::chrono::duration<double>(d).count();
}

// AIMDLimit
struct aimd {
    double operator()(const limit_sample& s) const {
        double limit = s.limit;
        if (s.result == outcome::overloaded || seconds(s.latency) > 5)
            limit = std::floor(limit * 0.9);
        else if (2 * static_cast<double>(s.in_flight) >= limit)
            limit += 1;
        return std::clamp(limit, 20.0, 200.0);
    }
};

// GradientLimit
class gradient {
public:
    double operator()(const limit_sample& s) {
        const double limit = s.limit, queue = std::max(4.0, std::sqrt(limit));
        if (--until_probe_ == 0) {
            // Netflix draws the interval between one and two thousand at random.
            until_probe_ = 1500;
            base_ = std::numeric_limits<double>::infinity();
            return std::max(1.0, queue);
        }
        base_ = std::min(base_, seconds(s.latency));
        double next;
        if (s.result == outcome::overloaded)
            next = limit * 0.9;
        else if (static_cast<double>(s.in_flight) < limit / 2)
            return limit;
        else
            next = limit * std::clamp(2 * base_ / seconds(s.latency), 0.5, 1.0) + queue;
        if (next < limit)
            next = std::max(1.0, 0.8 * limit + 0.2 * next);
        return std::clamp(next, std::max(1.0, queue), 1000.0);
    }

private:
    int until_probe_ = 1500;
    double base_ = std::numeric_limits<double>::infinity();
};

// Gradient2Limit
class gradient2 {
public:
    double operator()(const limit_sample& s) {
        const double latency = seconds(s.latency);
        if (samples_ < 10) { // warm-up of the average over 600 samples
            sum_ += latency;
            average_ = sum_ / ++samples_;
        } else
            average_ += (latency - average_) * 2 / (600 + 1);
        if (average_ / latency > 2)
            average_ *= 0.95;
        if (static_cast<double>(s.in_flight) < s.limit / 2)
            return s.limit;
        const double ratio = std::clamp(1.5 * average_ / latency, 0.5, 1.0);
        return std::clamp(0.8 * s.limit + 0.2 * (s.limit * ratio + 4), 20.0, 200.0);
    }

private:
    double average_ = 0, sum_ = 0;
    int samples_ = 0;
};

// WindowedLimit: passes the average of each second to an algorithm.
template <typename Law>
class windowed {
public:
    double operator()(const limit_sample& s) {
        if (seconds(s.latency) < 0.0001)
            return s.limit;
        sum_ += s.latency;
        ++count_;
        most_ = std::max(most_, s.in_flight);
        if (s.result == outcome::overloaded)
            result_ = outcome::overloaded;
        if (s.at < end_ || count_ <= 10)
            return s.limit;
        const double limit = law_({s.at, sum_ / count_, result_, most_, s.bound, s.limit});
        end_ = s.at + std::chrono::seconds(1);
        sum_ = {};
        count_ = 0;
        most_ = 0;
        result_ = outcome::success;
        return limit;
    }

private:
    Law law_;
    std::chrono::steady_clock::time_point end_;
    limit_sample::duration sum_{};
    int count_ = 0;
    std::ptrdiff_t most_ = 0;
    outcome result_ = outcome::success;
};

} // namespace test::netflix
