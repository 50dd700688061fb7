#pragma once

// A law of one's own: Envoy's gradient controller. Once a minute the limit is pinned to a few
// requests, to learn the latency without load; in between the limit follows the ratio of that to
// the latency now, of which a quarter is allowed for free.
//
// After the adaptive concurrency filter of Envoy (https://github.com/envoyproxy/envoy) with its
// defaults; its jitter is left out.

#include <asio_semaphore/limiter/limit_algorithm.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <vector>

class envoy_gradient {
public:
    double operator()(const asio_semaphore::limit_sample& s) {
        using namespace std::chrono_literals;
        if (probing_ && pinned_at_ == time_point()) // the first sample of all
            return pin(s);
        if (s.result != asio_semaphore::outcome::success)
            return s.limit;
        if (probing_) {
            if (s.at - s.latency >= pinned_at_) // what was begun before tells of another limit
                latencies_.push_back(s.latency);
            if (latencies_.size() < 50)
                return pinned;
            base_ = median();
            probing_ = false;
            window_end_ = s.at + 100ms;
            return before_;
        }
        latencies_.push_back(s.latency);
        if (s.at < window_end_)
            return s.limit;
        window_end_ = s.at + 100ms;
        const double gradient = std::clamp(1.25 * base_ / median(), 0.5, 2.0);
        const double next = s.limit * gradient + std::sqrt(s.limit * gradient);
        const double limit = std::clamp(next, pinned, 1000.0);
        at_least_ = limit > pinned ? 0 : at_least_ + 1;
        before_ = limit;
        return at_least_ >= 5 || s.at - pinned_at_ >= 60s ? pin(s) : limit;
    }

private:
    using time_point = std::chrono::steady_clock::time_point;
    static constexpr double pinned = 3;

    double pin(const asio_semaphore::limit_sample& s) {
        before_ = s.limit;
        pinned_at_ = s.at;
        probing_ = true;
        at_least_ = 0;
        latencies_.clear();
        return pinned;
    }

    double median() {
        const auto middle = latencies_.begin() + static_cast<std::ptrdiff_t>(latencies_.size() / 2);
        std::nth_element(latencies_.begin(), middle, latencies_.end());
        const double seconds = std::chrono::duration<double>(*middle).count();
        latencies_.clear();
        return seconds;
    }

    std::vector<std::chrono::steady_clock::duration> latencies_;
    double base_ = 0, before_ = 0;
    bool probing_ = true;
    int at_least_ = 0;
    time_point pinned_at_, window_end_;
};
