// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// The parts of gradient_limit. Each part has its rules, the reasons for them, and the state that
// they need. window and settling, in gradient_samples.hpp, select the samples. baseline, doubt,
// probing and contention, here, interpret them. gradient_limit itself decides.
//
// Latencies and durations are in seconds.

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/limiter/impl/gradient_samples.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <utility>

namespace asio_semaphore::detail::gradient {

/// A limit, with the latency and the throughput measured under it.
struct operating_point {
    double limit = 0; // 0: none
    double latency = 0;
    double rate = 0;
};

/// Returns how much of the additional concurrency became throughput: 1 means all of it, 0 none.
inline double elasticity(const operating_point& high, const operating_point& low) {
    return std::log(high.rate / low.rate) / std::log(high.limit / low.limit);
}

/// The latency without load, and the largest acceptable latency.
class baseline {
public:
    baseline(double tolerance, double max_latency) :
        tolerance_(tolerance), max_latency_(max_latency) {}

    double latency() const { return latency_; } // 0 if not known yet

    /// The largest acceptable latency if no dependency is known to add a wait.
    double in_order() const { return tolerance_ * latency_; }

    /// The largest acceptable latency, in general. The tolerance is relative to the latency without
    /// load. If a slow dependency has raised that latency, the same tolerance would allow a far
    /// longer queue. In that case, no more requests than before may wait in the server.
    double allowed(double limit) const {
        double times = tolerance_;
        if (queue_ > 0) {
            const double queue = std::max(queue_, least_queue * std::sqrt(limit));
            if (limit > queue)
                times = std::min(times, limit / (limit - queue));
        }
        return std::min(times * latency_, max_latency_);
    }

    /// Whether this latency is too high, whatever latency is usual, so that it must never become
    /// the baseline.
    bool is_too_slow(double latency) const { return !(latency <= max_latency_); }

    void learn(double limit, double latency, double peak) {
        if (latency_ == 0)
            latency_ = std::min(latency, max_latency_);
        else if (latency < latency_)
            latency_ += down * (latency - latency_);
        else if (peak <= idle_part * limit)
            latency_ =
                std::min(latency_ + up * (latency - latency_), std::max(latency_, max_latency_));
        forget_queue();
    }
    /// Takes the latency of a probe at once, if it is clearly lower.
    void learn_lower(double latency) {
        if (latency < clearly_lower * latency_)
            latency_ = latency;
    }

    /// Learns a latency that does not fall with the limit.
    /// @param limit the largest limit at which this latency was seen
    void relearn(double limit, double latency) {
        former_ = latency_;
        queue_ = std::max(queue_, limit * (1 - 1 / tolerance_));
        latency_ = latency;
        forget_queue();
    }
    void restore() { latency_ = former_; }

    /// Up to this part of the limit, the server counts as idle.
    static constexpr double idle_part = 0.5;

private:
    // The baseline follows a lower latency, but not at once: it must not jump to a lucky window.
    static constexpr double down = 0.2;
    // It follows a higher latency only while the server is idle. Otherwise it would learn the
    // overload, and drift for hours.
    static constexpr double up = 0.1;
    static constexpr double clearly_lower = 0.95;
    // After relearning, at least this many requests may wait in the server, as a multiple of the
    // square root of the limit: the number in flight varies that much by chance.
    static constexpr double least_queue = 2;
    // If the baseline falls to this many times the former one, the bound on waiting requests no
    // longer applies.
    static constexpr double near_former = 1.3;

    void forget_queue() {
        if (latency_ < near_former * former_)
            queue_ = 0;
    }

    double tolerance_, max_latency_;
    double latency_ = 0;
    double former_ = 0; // the baseline before the last relearning; 0 if there was none
    double queue_ = 0;  // requests that may wait in the server since then; 0: unbounded
};

/// Finds out whether the server or a dependency causes a high latency. It judges when the limit has
/// fallen to a part of the limit at which the latency was first too high, by how much throughput
/// the decrease has cost.
///
/// If less concurrency gave proportionally less throughput at the same latency, no request was
/// waiting in the server. A dependency is slow, and needs more concurrency, not less.
class doubt {
public:
    /// The operating point at which the latency was first too high.
    const operating_point& since() const { return since_; }

    /// Notes the latency of the slowest request that succeeded in a window; 0 if none did.
    void note_success(double longest) { longest_success_ = std::max(longest_success_, longest); }
    /// Whether a request that took this long or longer has succeeded since the doubt began.
    /// Otherwise this latency may be a timeout. In the windows themselves, no request may have
    /// succeeded: at a low limit, all may wait in the queue for longer than their clients do.
    bool is_credible(double latency) const { return latency <= rounding * longest_success_; }

    bool is_ripe(const operating_point& here) const {
        return since_.limit > 0 && here.limit <= fallen_part * since_.limit;
    }

    /// Whether the limit has no influence on the latency.
    bool is_not_ours(const operating_point& here) {
        if (since_.limit == 0)
            begin(here, false);
        if (!is_ripe(here))
            return false;
        const double steps = std::log(since_.limit / here.limit);
        const double kept = 1 - std::log(since_.latency / here.latency) / steps;
        if (kept > not_ours_elasticity && elasticity(since_, here) > not_ours_elasticity)
            return true;
        suspected_ = false;
        if (here.limit <= again_part * since_.limit)
            begin(here, true);
        return false;
    }
    /// Returns whether an earlier window already had the same result.
    bool is_confirmed() { return std::exchange(suspected_, true); }

    /// Lowers the next limit if the limit has been halved and the latency is still too high. The
    /// limit then goes at once to where the cause can be judged, because each step on the way costs
    /// throughput if a dependency is the cause.
    double next_limit(double limit) const {
        return descending_ && since_.limit > 0 ? std::min(limit, fallen_part * since_.limit)
                                               : limit;
    }

    /// Counts a window at the minimum limit, and returns whether there were enough. The limit
    /// cannot fall further, so the server does not cause any wait that remains.
    bool stays_at_floor() { return ++windows_at_floor_ > floor_windows; }
    void leave_floor() { windows_at_floor_ = 0; }

    void interrupt() {
        since_ = {};
        longest_success_ = 0;
    }
    void end() {
        interrupt();
        suspected_ = false;
    }

private:
    static constexpr double rounding = 1 + 1e-9; // a mean may exceed its largest part by that
    static constexpr double fallen_part = 0.6;
    static constexpr double again_part = 0.5;
    static constexpr double not_ours_elasticity = 0.4;
    static constexpr int floor_windows = 5;

    void begin(const operating_point& here, bool descending) {
        since_ = here;
        descending_ = descending;
    }

    operating_point since_;
    double longest_success_ = 0;
    bool descending_ = false; // the limit has been halved before
    bool suspected_ = false;
    int windows_at_floor_ = 0;
};

/// Tests whether less concurrency gives the same throughput. A baseline may be too high because it
/// was learned under load, or while a dependency was slow that has recovered. It would never come
/// down by itself, because the limit that it allows keeps the latency high. A probe lowers the
/// limit by a third for one window. Probes are rare, and begin only while the limit is reached. A
/// probe does not pin the limit to a few requests, because that would cost throughput.
class probing {
public:
    probing(double min_limit, bool is_enabled) : min_limit_(min_limit), is_enabled_(is_enabled) {}

    bool is_due(time_point now) const { return now >= next_; }
    bool is_possible(double limit) const {
        return is_enabled_ && limit >= least_limit && limit * factor_ >= min_limit_;
    }
    bool is_under_way() const { return from_.limit > 0; }

    /// Begins a probe, and returns the limit to try.
    double begin(const operating_point& here) {
        from_ = here;
        return here.limit * factor_;
    }
    /// Ends the probe, and returns the operating point at which it began.
    operating_point end(time_point now) {
        schedule(now);
        return std::exchange(from_, {});
    }
    void interrupt() { from_ = {}; }
    /// The lower limit has cost throughput: the next probe comes later and goes less far.
    void was_in_vain() {
        factor_ = later_factor;
        interval_ = std::min(2 * interval_, longest_interval);
    }

    void schedule(time_point now) { next_ = now + from_seconds(interval_); }
    /// Schedules the next probe after the first interval, even if earlier probes were in vain.
    void reschedule(time_point now) {
        interval_ = first_interval;
        schedule(now);
    }
    void put_off(time_point now) { next_ = std::max(next_, now + from_seconds(undisturbed)); }

    /// Whether the additional concurrency gave hardly any throughput.
    static bool was_free(double elasticity) { return elasticity < free_elasticity; }

private:
    // How far a probe lowers the limit, and how often. The first probe after the start goes
    // further.
    static constexpr double first_factor = 0.5;
    static constexpr double later_factor = 0.7;
    static constexpr double first_interval = 5; // while the limit is reached
    static constexpr double longest_interval = 30;
    static constexpr double undisturbed = 1;
    static constexpr double free_elasticity = 0.3;
    static constexpr double least_limit = 4;

    double min_limit_;
    bool is_enabled_;
    operating_point from_;
    double factor_ = first_factor;
    double interval_ = first_interval;
    time_point next_ = time_point::min();
};

/// Detects throughput that falls while the concurrency rises. The latency may be acceptable all the
/// same.
class contention {
public:
    /// Adds a window in which the limit was reached. Returns whether the last windows show
    /// contention.
    bool is_costly(double peak, double rate) {
        history_[windows_++ % history_size] = {peak, rate};
        const std::size_t n = std::min(windows_, history_size);
        if (n < history_needed || !is_correlated(n))
            return false;
        // Windows from before the decrease must not cause the next one.
        forget();
        return true;
    }
    void forget() { windows_ = 0; }

private:
    // Contention means a correlation below this, over at least this many windows.
    static constexpr double costly_correlation = -0.5;
    static constexpr std::size_t history_needed = 10;
    static constexpr std::size_t history_size = 20;

    struct bound_window {
        double peak, rate;
    };

    bool is_correlated(std::size_t n) const {
        double peak_sum = 0, rate_sum = 0;
        for (std::size_t i = 0; i < n; ++i) {
            peak_sum += history_[i].peak;
            rate_sum += history_[i].rate;
        }
        const double count = static_cast<double>(n);
        double covariance = 0, peak_variance = 0, rate_variance = 0;
        for (std::size_t i = 0; i < n; ++i) {
            const double peak = history_[i].peak - peak_sum / count;
            const double by = history_[i].rate - rate_sum / count;
            covariance += peak * by;
            peak_variance += peak * peak;
            rate_variance += by * by;
        }
        return covariance < costly_correlation * std::sqrt(peak_variance * rate_variance);
    }

    std::array<bound_window, history_size> history_{};
    std::size_t windows_ = 0;
};

} // namespace asio_semaphore::detail::gradient
