#pragma once

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/limiter/limit_algorithm.hpp>

#include <array>
#include <chrono>
#include <cstddef>

namespace asio_semaphore {

/// What a @ref gradient_limit may do.
struct gradient_limit_options {
    double min_limit = 1;    ///< At least 1.
    double max_limit = 1000; ///< At least `min_limit`.

    /// So many times the latency without load is in order; more than 1.
    double tolerance = 1.5;

    /// What is slower is too slow, whatever is usual. Where everything may end at the same timeout,
    /// set it below that: a ratio does not see what is bad all the time.
    limit_sample::duration max_latency = limit_sample::duration::max();

    /// Whether a latency that does not fall with the limit is learned as the new one without load.
    bool relearn = true;
};

/// The law for servers whose latency tells of the load: the limit follows the ratio of the latency
/// without load to the latency now.
/**
 * It grows while it is reached and the latency is in order, and shrinks with the ratio where it is
 * not. Where halving the limit took away the throughput and not the latency, the latency is not the
 * server's own doing: a dependency became slower, and the limit grows beyond what it was. From time
 * to time it tries whether less concurrency does as well.
 *
 * The rules, with the reason for each, stand in `impl/gradient_limit.ipp`; what they make of
 * thirteen workloads, beside the laws of others, in the guide to limits.
 *
 * Copyable; a few hundred bytes, never allocates.
 *
 * @throws std::invalid_argument from the constructor, for options that are not as said above.
 */
class gradient_limit {
public:
    /// Nothing is known yet; the first sample says where the limit starts.
    ASIO_SEMAPHORE_DECL explicit gradient_limit(gradient_limit_options options = {});

    /// The limit from now on, which is between `min_limit` and `max_limit`.
    ASIO_SEMAPHORE_DECL double operator()(const limit_sample& sample);

private:
    /// @cond
    using time_point = std::chrono::steady_clock::time_point;

    // What was seen since the last decision. Latencies are in seconds here, as everywhere below.
    struct window {
        bool open = false;
        time_point begin, last;
        double finished = 0;  // all reports, also of requests that were admitted before the epoch
        double successes = 0; // with those that died elsewhere than in the server
        double success_time = 0;
        double overloads = 0;
        double refusals = 0;                    // among the overloads, by the server at once
        double overload_time = 0;               // of the others
        double measured = 0, measured_time = 0; // for the mean latency
        double peak = 0;
        bool bound = false;
    };

    // A limit, and what it led to.
    struct operating_point {
        double limit = 0; // 0: none
        double latency = 0;
        double rate = 0;
    };

    struct bound_window {
        double peak, rate;
    };

    ASIO_SEMAPHORE_DECL bool died_elsewhere(double latency) const;
    ASIO_SEMAPHORE_DECL bool overloaded() const;
    ASIO_SEMAPHORE_DECL double decide(time_point now, double limit);
    ASIO_SEMAPHORE_DECL double overload(time_point now, double limit);
    ASIO_SEMAPHORE_DECL double judge_probe(time_point now, const operating_point& here);
    ASIO_SEMAPHORE_DECL double probe(time_point now, const operating_point& here);
    ASIO_SEMAPHORE_DECL bool refuted(const operating_point& here);
    ASIO_SEMAPHORE_DECL void learn(double limit, double latency);
    ASIO_SEMAPHORE_DECL double allowed_latency(double limit);
    ASIO_SEMAPHORE_DECL bool costs_throughput(double rate);
    ASIO_SEMAPHORE_DECL bool not_ours(time_point now, const operating_point& here);
    ASIO_SEMAPHORE_DECL double relearn(time_point now, const operating_point& here, bool at_floor);
    ASIO_SEMAPHORE_DECL double raise(time_point now, const operating_point& here);
    ASIO_SEMAPHORE_DECL bool may_probe(double limit) const;
    ASIO_SEMAPHORE_DECL double lower(time_point now, double limit);

    gradient_limit_options options_;
    double max_latency_;

    double initial_ = 0; // where it started; 0: no sample yet
    double base_ = 0;    // the latency without load; 0: not known yet
    bool slow_start_ = true;
    window window_;
    time_point epoch_ = time_point::min();   // what was admitted before tells of another limit
    time_point settled_ = time_point::min(); // until then only what is short has come through
    double time_ = 0, square_time_ = 0;      // decaying sums over all latencies
    double residence_ = 0;                   // their mean, as somebody sees it who looks in

    operating_point doubt_;   // where the latency was too high first
    bool descending_ = false; // has been halved since
    bool suspected_ = false;
    int windows_at_floor_ = 0;
    double base_before_ = 0;       // what was relearned last replaced this; 0: nothing was
    double queue_ = 0;             // requests that may wait in the server since then; 0: no bound
    operating_point relearned_at_; // to be confirmed on the way up

    operating_point started_at_; // until the first doubling has been judged
    operating_point probed_from_;
    double probe_factor_;
    double probe_interval_;
    time_point next_probe_ = time_point::min();

    static constexpr std::size_t history_size = 20;
    std::array<bound_window, history_size> history_{};
    std::size_t bound_windows_ = 0;
    /// @endcond
};

} // namespace asio_semaphore

#if !defined(ASIO_SEMAPHORE_SEPARATE_COMPILATION)
#include <asio_semaphore/limiter/impl/gradient_limit.ipp>
#endif
