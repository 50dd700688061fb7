// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// The parts of gradient_limit that select the samples: see gradient_rules.hpp.
//
// Latencies and durations are in seconds.

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/limiter/limit_algorithm.hpp>

#include <algorithm>
#include <chrono>

namespace asio_semaphore::detail::gradient {

using time_point = std::chrono::steady_clock::time_point;

inline double in_seconds(limit_sample::duration d) {
    return std::chrono::duration<double>(d).count();
}

/// At most thirty years, because the result is added to a time.
inline limit_sample::duration from_seconds(double s) {
    constexpr double longest = 1e9;
    return std::chrono::duration_cast<limit_sample::duration>(
        std::chrono::duration<double>(std::min(s, longest)));
}

/// The samples since the last decision. A single latency says nothing, whatever the algorithm. So a
/// window lasts as long as two requests take, and holds several samples.
class window {
public:
    /// Counts a sample of any kind. A period without samples says nothing: a new window begins
    /// after it.
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
        longest_success_ = std::max(longest_success_, latency);
        add_ordinary(latency);
    }
    /// Counts an overload that the server did not cause.
    void add_ordinary(double latency) {
        ++successes_;
        success_time_ += latency;
        ++measured_;
        measured_time_ += latency;
    }

    /// @param base the baseline; 0 if not known yet
    /// @param is_measured whether the latency counts
    void add_overload(double latency, double base, bool is_measured) {
        ++overloads_;
        if (is_refusal(latency, base)) {
            ++refusals_;
            return;
        }
        overload_time_ += latency;
        if (is_measured && base > 0) {
            // A request that was given up took at least this long. Without these requests, the mean
            // would cover only the requests that were quick enough to succeed.
            ++measured_;
            measured_time_ += std::min(latency, overload_weight * base);
        }
    }

    /// A request that the server refused at once did no work there, so its latency says nothing.
    static bool is_refusal(double latency, double base) { return latency < refusal_latency * base; }

    /// Whether there were enough overloads to lower the limit.
    /// @param in_order the largest acceptable mean latency; 0 if unknown
    bool is_overload(double in_order) const {
        const double least = std::max(least_overloads, overload_part * (successes_ + overloads_));
        if (overloads_ < least)
            return false;
        if (refusals_ >= least || in_order == 0)
            return true;
        // The mean decides, not single latencies: if the mean of all requests is acceptable, the
        // server did not cause these overloads.
        const double all = successes_ + overloads_ - refusals_;
        return success_time_ + overload_time_ > in_order * all;
    }

    /// Whether the window has enough samples for a decision.
    bool is_over(time_point now, double base, bool is_slow_start) const {
        const double length = in_seconds(now - begin_);
        const double wanted = is_slow_start
                                  ? std::max(slow_start_length, slow_start_in_latencies * base)
                                  : std::max(least_length, length_in_latencies * base);
        return (length >= wanted && successes_ + overloads_ >= least_samples) ||
               length >= longest_length;
    }

    double successes() const { return successes_; }
    double longest_success() const { return longest_success_; } // 0 if no request succeeded
    double peak() const { return peak_; }
    bool is_bound() const { return is_bound_; }
    double latency() const { return measured_ > 0 ? measured_time_ / measured_ : 0; }
    double rate() const { return finished_ / std::max(in_seconds(last_ - begin_), 1e-9); }

private:
    static constexpr double least_length = 0.1;
    static constexpr double length_in_latencies = 2;
    static constexpr double least_samples = 10;
    static constexpr double longest_length = 1;
    // While the limit doubles, a rough measurement is enough: only the direction matters.
    static constexpr double slow_start_length = 0.05;
    static constexpr double slow_start_in_latencies = 1;

    // Overload needs this many reports, and this part of all requests. One in a hundred is noise,
    // or a client that gave up early, and no reason to decrease the limit.
    static constexpr double least_overloads = 2;
    static constexpr double overload_part = 0.1;
    static constexpr double refusal_latency = 0.5; // of the baseline
    // The latency of an overload counts as at most this many baselines: one timeout must not
    // outweigh a hundred other requests.
    static constexpr double overload_weight = 10;

    bool is_open_ = false;
    time_point begin_, last_;
    double finished_ = 0;  // all samples, including requests admitted before the epoch
    double successes_ = 0; // and overloads not caused by the server
    double success_time_ = 0;
    double longest_success_ = 0; // of the requests that did succeed
    double overloads_ = 0;
    double refusals_ = 0;                     // overloads that the server refused at once
    double overload_time_ = 0;                // of the other overloads
    double measured_ = 0, measured_time_ = 0; // for the mean latency
    double peak_ = 0;
    bool is_bound_ = false;
};

/// Decides which samples describe the current limit.
///
/// A request that was admitted before the last decrease, or under another baseline, describes the
/// state before that. If it counted, the limit would be lowered again for what the last decrease
/// has already repaired. After a decrease, the short requests finish first and make the latency
/// look good. So the window begins only after a multiple of the mean residence, E[R²]/E[R], which
/// long requests dominate.
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

    time_point epoch_ = time_point::min();   // earlier admissions describe another limit
    time_point settled_ = time_point::min(); // before this time, only short requests have finished
    double time_ = 0, square_time_ = 0;      // decaying sums of all latencies and their squares
    double residence_ = 0;                   // the mean that an observer sees at a random time
};

} // namespace asio_semaphore::detail::gradient
