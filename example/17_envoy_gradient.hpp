// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// A limit algorithm of your own: Envoy's gradient controller (https://github.com/envoyproxy/envoy),
// with its default values, but no jitter. Once a minute it pins the limit to a few requests, to
// measure the latency without load. Otherwise the limit follows that latency over the current one.

#include <asio_semaphore/limiter/limit_algorithm.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <vector>

class envoy_gradient {
public:
    double operator()(const asio_semaphore::limit_sample& s) {
        if (!probing_ && s.at >= next_probe_) {
            probing_ = true;
            before_ = s.limit;
            since_ = s.at;
            next_probe_ = s.at + std::chrono::minutes(1);
            latencies_.clear();
            return pinned;
        }
        // A request that began before the limit was pinned ran under another limit.
        if (s.result != asio_semaphore::outcome::success || s.at - s.latency < since_)
            return s.limit;
        latencies_.push_back(std::chrono::duration<double>(s.latency).count());
        if (probing_ ? latencies_.size() < 50 : s.at < window_end_)
            return s.limit;
        window_end_ = s.at + std::chrono::milliseconds(100);
        const auto middle = latencies_.begin() + static_cast<std::ptrdiff_t>(latencies_.size() / 2);
        std::nth_element(latencies_.begin(), middle, latencies_.end());
        const double median = *middle;
        latencies_.clear();
        if (probing_) {
            probing_ = false;
            base_ = median;
            return before_;
        }
        const double wanted = s.limit * std::clamp(1.25 * base_ / median, 0.5, 2.0);
        const double limit = std::clamp(wanted + std::sqrt(wanted), pinned, 1000.0);
        windows_at_floor_ = limit > pinned ? 0 : windows_at_floor_ + 1;
        if (windows_at_floor_ == 5) // the latency without load must have changed: measure it
            next_probe_ = s.at;
        return limit;
    }

private:
    static constexpr double pinned = 3;

    std::vector<double> latencies_; // in this window, in seconds
    std::chrono::steady_clock::time_point next_probe_, window_end_, since_;
    double base_ = 0, before_ = 0; // the latency without load; the limit before it was pinned
    bool probing_ = false;
    int windows_at_floor_ = 0;
};
