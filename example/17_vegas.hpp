#pragma once

// A law of one's own: TCP Vegas for requests. The latency without load, and what the latency is
// now, tell how many requests wait inside the server; a few shall.
//
// After Netflix's VegasLimit with its defaults (https://github.com/Netflix/concurrency-limits).

#include <asio_semaphore/limiter/limit_algorithm.hpp>

#include <algorithm>
#include <cmath>

class vegas {
public:
    double operator()(const asio_semaphore::limit_sample& s) {
        const double limit = s.limit;
        const double latency = std::chrono::duration<double>(s.latency).count();
        // The least latency ever seen would outlive what made it possible: it is taken anew at
        // times.
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
            return limit; // who does not use the limit learns nothing about it
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
