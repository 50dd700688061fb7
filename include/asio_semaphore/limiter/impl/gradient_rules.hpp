// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// The parts of gradient_limit, each with its rules, the reasons for them, and what it has to
// remember: from what is seen (window, settling), over what that means (baseline, doubt, probing,
// contention), to gradient_limit itself, which decides.
//
// Latencies and lengths of time are in seconds.

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/limiter/limit_algorithm.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <utility>

namespace asio_semaphore::detail::gradient {

using time_point = std::chrono::steady_clock::time_point;

inline double in_seconds(limit_sample::duration d) {
    return std::chrono::duration<double>(d).count();
}

inline limit_sample::duration from_seconds(double s) {
    return std::chrono::duration_cast<limit_sample::duration>(std::chrono::duration<double>(s));
}

/// A limit, and what it led to.
struct operating_point {
    double limit = 0; // 0: none
    double latency = 0;
    double rate = 0;
};

/// How much of a larger concurrency became throughput: 1 is all of it, 0 nothing.
inline double elasticity(const operating_point& high, const operating_point& low) {
    return std::log(high.rate / low.rate) / std::log(high.limit / low.limit);
}

/// What was seen since the last decision. A single latency says nothing, whatever law compares it:
/// a window is as long as two requests take, and holds a few of them.
class window {
public:
    /// A report, whatever it says of. Silence is no sign of anything: after it the window begins
    /// anew.
    void note(const limit_sample& sample) {
        if (!is_open_ || in_seconds(sample.at - last_) > longest_length) {
            *this = window();
            is_open_ = true;
            begin_ = sample.at;
        }
        last_ = sample.at;
        peak_ = std::max(peak_, static_cast<double>(sample.in_flight));
        is_bound_ = is_bound_ || sample.bound;
        ++finished_;
    }
    void close() { is_open_ = false; }

    void add_success(double latency) {
        ++successes_;
        success_time_ += latency;
        ++measured_;
        measured_time_ += latency;
    }

    /// @param base 0: not known yet  @param is_measured whether its latency counts
    void add_overload(double latency, double base, bool is_measured) {
        ++overloads_;
        if (is_refusal(latency, base)) {
            ++refusals_;
            return;
        }
        overload_time_ += latency;
        if (is_measured && base > 0) {
            // A request that was given up took at least so long. Without it the latency would be
            // that of the lucky ones.
            ++measured_;
            measured_time_ += std::min(latency, overload_weight * base);
        }
    }

    /// What the server refused at once did no work there: its latency says nothing.
    static bool is_refusal(double latency, double base) { return latency < refusal_latency * base; }

    /// Whether so many were too much. @param in_order the largest mean latency that is; 0: unknown
    bool is_overload(double in_order) const {
        const double least = std::max(least_overloads, overload_part * (successes_ + overloads_));
        if (overloads_ < least)
            return false;
        if (refusals_ >= least || in_order == 0)
            return true;
        // Not the single latency counts: where the mean of all is in order, they died elsewhere.
        const double all = successes_ + overloads_ - refusals_;
        return success_time_ + overload_time_ > in_order * all;
    }

    /// Whether it has seen enough.
    bool is_over(time_point now, double base, bool is_slow_start) const {
        const double length = in_seconds(now - begin_);
        const double wanted = is_slow_start
                                  ? std::max(slow_start_length, slow_start_in_latencies * base)
                                  : std::max(least_length, length_in_latencies * base);
        return (length >= wanted && successes_ + overloads_ >= least_samples) ||
               length >= longest_length;
    }

    double successes() const { return successes_; }
    double peak() const { return peak_; }
    bool is_bound() const { return is_bound_; }
    double latency() const { return measured_ > 0 ? measured_time_ / measured_ : 0; }
    double rate() const { return finished_ / std::max(in_seconds(last_ - begin_), 1e-9); }

private:
    static constexpr double least_length = 0.1;
    static constexpr double length_in_latencies = 2;
    static constexpr double least_samples = 10;
    static constexpr double longest_length = 1;
    // While the limit doubles, more than the direction need not be known.
    static constexpr double slow_start_length = 0.05;
    static constexpr double slow_start_in_latencies = 1;

    // Overload: so many reports of it, and such a part of all. One in a hundred is noise or a
    // client's whim, and no reason to decrease.
    static constexpr double least_overloads = 2;
    static constexpr double overload_part = 0.1;
    static constexpr double refusal_latency = 0.5; // of the baseline
    // For how many baselines an overload counts at most: one timeout must not speak for hundred
    // others.
    static constexpr double overload_weight = 10;

    bool is_open_ = false;
    time_point begin_, last_;
    double finished_ = 0;  // all reports, also of requests that were admitted before the epoch
    double successes_ = 0; // with those that died elsewhere than in the server
    double success_time_ = 0;
    double overloads_ = 0;
    double refusals_ = 0;                     // among the overloads, by the server at once
    double overload_time_ = 0;                // of the others
    double measured_ = 0, measured_time_ = 0; // for the mean latency
    double peak_ = 0;
    bool is_bound_ = false;
};

/// Which samples tell of the limit as it is.
///
/// What was admitted before the last decrease, or under another baseline, tells of those: else a
/// limit would be lowered again for what its last decrease has mended already. And after a decrease
/// what comes through first is short, and makes the latency look good: the window begins after so
/// many mean residences (E[R²]/E[R], which long requests dominate).
class settling {
public:
    void add(double latency) {
        time_ += latency;
        square_time_ += latency * latency;
    }
    void end_window() {
        residence_ = square_time_ / time_;
        time_ *= memory;
        square_time_ *= memory;
    }

    void lowered(time_point now) {
        epoch_ = now;
        settled_ = now + from_seconds(std::min(residences * residence_, longest));
    }
    void relearned(time_point now, double latency) {
        epoch_ = now;
        raised(now, latency);
    }
    void raised(time_point now, double latency) { settled_ = now + from_seconds(latency); }

    bool is_out_of_date(const limit_sample& sample) const {
        return sample.at - sample.latency < epoch_;
    }
    bool has_settled(time_point now) const { return now >= settled_; }

private:
    static constexpr double residences = 1.5;
    static constexpr double longest = 1;
    static constexpr double memory = 0.9;

    time_point epoch_ = time_point::min();   // what was admitted before tells of another limit
    time_point settled_ = time_point::min(); // until then only what is short has come through
    double time_ = 0, square_time_ = 0;      // decaying sums over all latencies
    double residence_ = 0;                   // their mean, as somebody sees it who looks in
};

/// The latency without load, and which latency is in order.
class baseline {
public:
    baseline(double tolerance, double max_latency) :
        tolerance_(tolerance), max_latency_(max_latency) {}

    double latency() const { return latency_; } // 0: not known yet

    /// The largest latency that is in order where nothing is known of a wait elsewhere.
    double in_order() const { return tolerance_ * latency_; }

    /// The same, whatever is known. The tolerance is a part of the latency without load. Where that
    /// grew by a wait elsewhere, a part of it would be far too much: then as many requests as
    /// before may wait here, and no more.
    double allowed(double limit) const {
        double times = tolerance_;
        if (queue_ > 0) {
            const double queue = std::max(queue_, least_queue * std::sqrt(limit));
            if (limit > queue)
                times = std::min(times, limit / (limit - queue));
        }
        return std::min(times * latency_, max_latency_);
    }

    /// Whether it is bad all the time, and must never be learned.
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
    /// A probe's, which is taken at once.
    void learn_lower(double latency) {
        if (latency < clearly_lower * latency_)
            latency_ = latency;
    }

    /// A latency that does not fall with the limit. @param limit the largest at which it was seen
    void relearn(double limit, double latency) {
        former_ = latency_;
        queue_ = std::max(queue_, limit * (1 - 1 / tolerance_));
        latency_ = latency;
        forget_queue();
    }
    void restore() { latency_ = former_; }

    /// So much of a limit is little.
    static constexpr double idle_part = 0.5;

private:
    // It follows a lower latency, but not at once: a lucky window must not become it.
    static constexpr double down = 0.2;
    // A higher one it follows only where the server has nothing to do: else it would learn the
    // overload, and drift for hours.
    static constexpr double up = 0.1;
    static constexpr double clearly_lower = 0.95;
    // What may wait in the server after it was relearned, at least, in roots of the limit: so many
    // come and go by chance.
    static constexpr double least_queue = 2;
    // Near the former one the relearned one is forgotten.
    static constexpr double near_former = 1.3;

    void forget_queue() {
        if (latency_ < near_former * former_)
            queue_ = 0;
    }

    double tolerance_, max_latency_;
    double latency_ = 0;
    double former_ = 0; // what was relearned last replaced this; 0: nothing was
    double queue_ = 0;  // requests that may wait in the server since then; 0: no bound
};

/// Whose latency it is: judged when the limit has fallen to a part of where the latency was too
/// high first, by how much of the concurrency was lost as throughput.
///
/// Where less concurrency meant as much less throughput and the same latency, nothing waited in the
/// server. Somebody else is slow, and needs more concurrency, not less.
class doubt {
public:
    /// Where the latency was too high first.
    const operating_point& since() const { return since_; }

    bool is_ripe(const operating_point& here) const {
        return since_.limit > 0 && here.limit <= fallen_part * since_.limit;
    }

    /// A latency that the limit has no influence on.
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
    /// Whether a second window says the same.
    bool is_confirmed() { return std::exchange(suspected_, true); }

    /// Where the limit goes at least, once it has been halved and the latency is too high still: at
    /// once to where it is seen whose latency it is, for each step costs throughput if it is
    /// somebody else's.
    double next_limit(double limit) const {
        return descending_ && since_.limit > 0 ? std::min(limit, fallen_part * since_.limit)
                                               : limit;
    }

    /// The limit cannot fall further. At the floor nothing that waits is ours.
    bool stays_at_floor() { return ++windows_at_floor_ > floor_windows; }
    void leave_floor() { windows_at_floor_ = 0; }

    void interrupt() { since_ = {}; }
    void end() {
        since_ = {};
        suspected_ = false;
    }

private:
    static constexpr double fallen_part = 0.6;
    static constexpr double again_part = 0.5;
    static constexpr double not_ours_elasticity = 0.4;
    static constexpr int floor_windows = 5;

    void begin(const operating_point& here, bool descending) {
        since_ = here;
        descending_ = descending;
    }

    operating_point since_;
    bool descending_ = false; // has been halved since
    bool suspected_ = false;
    int windows_at_floor_ = 0;
};

/// Does less concurrency do as well? A baseline that is too high, because it was learned under load
/// or of a dependency that is fast again, would never come down by itself: the limit that it allows
/// keeps the latency up. The limit is lowered by a third for one window, seldom, and only while it
/// is reached; it is not pinned to a few requests, which costs throughput.
class probing {
public:
    probing(double min_limit, bool is_enabled) : min_limit_(min_limit), is_enabled_(is_enabled) {}

    bool is_due(time_point now) const { return now >= next_; }
    bool is_possible(double limit) const {
        return is_enabled_ && limit >= least_limit && limit * factor_ >= min_limit_;
    }
    bool is_under_way() const { return from_.limit > 0; }

    /// The limit to try.
    double begin(const operating_point& here) {
        from_ = here;
        return here.limit * factor_;
    }
    /// Where it began; and that is over.
    operating_point end(time_point now) {
        schedule(now);
        return std::exchange(from_, {});
    }
    void interrupt() { from_ = {}; }
    /// Less concurrency cost throughput: the next one comes later, and goes less far.
    void was_in_vain() {
        factor_ = later_factor;
        interval_ = std::min(2 * interval_, longest_interval);
    }

    void schedule(time_point now) { next_ = now + from_seconds(interval_); }
    /// As before the first one in vain.
    void reschedule(time_point now) {
        interval_ = first_interval;
        schedule(now);
    }
    void put_off(time_point now) { next_ = std::max(next_, now + from_seconds(undisturbed)); }

    /// Whether so much of the concurrency brought nothing.
    static bool was_free(double elasticity) { return elasticity < free_elasticity; }

private:
    // How far down, and how often. The first probe, after the start, is a deeper one.
    static constexpr double first_factor = 0.5;
    static constexpr double later_factor = 0.7;
    static constexpr double first_interval = 5; // of a limit that is reached
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

/// Throughput that falls while concurrency rises. The latency may be in order all the same.
class contention {
public:
    /// A window in which the limit was reached; whether it and those before it say so.
    bool is_costly(double peak, double rate) {
        history_[windows_++ % history_size] = {peak, rate};
        const std::size_t n = std::min(windows_, history_size);
        if (n < history_needed || !is_correlated(n))
            return false;
        // Windows of before the decrease must not ask for the next one.
        forget();
        return true;
    }
    void forget() { windows_ = 0; }

private:
    // At such a correlation, over so many windows.
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
