// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// A limit algorithm of your own: TCP Vegas for requests. From the latency without load and the
// current latency it estimates how many requests wait inside the server, and keeps that number
// small.
//
// Follows Netflix's VegasLimit (https://github.com/Netflix/concurrency-limits) with its defaults.

#include <asio_semaphore/limiter/limit_algorithm.hpp>

#include <algorithm>
#include <cmath>

class vegas {
public:
    double operator()(const asio_semaphore::limit_sample& s) {
        const double limit = s.limit;
        const double latency = std::chrono::duration<double>(s.latency).count();
        // A server may become slower for good, so the lowest latency is measured again from time to
        // time.
        if (++since_probe_ >= 30 * limit * 0.75 || latency < base_ || base_ == 0) {
            if (latency >= base_)
                since_probe_ = 0;
            base_ = latency;
            return limit;
        }
        const double step = std::max(1.0, std::floor(std::log10(limit)));
        const double queued = std::ceil(limit * (1 - base_ / latency));
        double next = limit;
        if (s.result == asio_semaphore::outcome::overloaded)
            next -= step;
        else if (static_cast<double>(s.in_flight) * 2 < limit)
            return limit; // the limit is not used, so the sample says nothing about it
        else if (queued <= step)
            next += 6 * step;
        else if (queued < 3 * step)
            next += step;
        else if (queued > 6 * step)
            next -= step;
        return std::clamp(next, 1.0, 1000.0);
    }

private:
    double base_ = 0; // the latency without load, in seconds
    double since_probe_ = 0;
};
