#pragma once

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/limiter/impl/gradient_rules.hpp>
#include <asio_semaphore/limiter/limit_algorithm.hpp>

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
 * The rules, with the reason for each, stand in `impl/gradient_rules.hpp`, and what follows from
 * them in `impl/gradient_limit.ipp`; what they make of thirteen workloads, beside the laws of
 * others, in the guide to limits.
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
    using time_point = detail::gradient::time_point;
    using operating_point = detail::gradient::operating_point;
    using window = detail::gradient::window;
    using baseline = detail::gradient::baseline;

    ASIO_SEMAPHORE_DECL bool died_elsewhere(double latency) const;
    ASIO_SEMAPHORE_DECL double decide(time_point now, double limit);
    ASIO_SEMAPHORE_DECL double overload(time_point now, double limit);
    ASIO_SEMAPHORE_DECL double gradient_at(const operating_point& here);
    ASIO_SEMAPHORE_DECL operating_point
    probe_from(time_point now, const operating_point& here, double gradient);
    ASIO_SEMAPHORE_DECL double probe(time_point now, const operating_point& here);
    ASIO_SEMAPHORE_DECL double judge_probe(time_point now, const operating_point& here);
    ASIO_SEMAPHORE_DECL bool refuted(const operating_point& here);
    ASIO_SEMAPHORE_DECL double relearn(time_point now, const operating_point& here, bool at_floor);
    ASIO_SEMAPHORE_DECL double raise(time_point now, const operating_point& here);
    ASIO_SEMAPHORE_DECL double
    shrink(time_point now, const operating_point& here, double gradient, bool at_floor);
    ASIO_SEMAPHORE_DECL double lower(time_point now, double limit);

    gradient_limit_options options_;
    double initial_ = 0; // where it started; 0: no sample yet
    bool slow_start_ = true;
    window window_;
    detail::gradient::settling settling_;
    baseline baseline_;
    detail::gradient::doubt doubt_;
    detail::gradient::probing probing_;
    detail::gradient::contention contention_;
    operating_point started_at_;   // until the first doubling has been judged
    operating_point relearned_at_; // to be confirmed on the way up
    /// @endcond
};

} // namespace asio_semaphore

#if !defined(ASIO_SEMAPHORE_SEPARATE_COMPILATION)
#include <asio_semaphore/limiter/impl/gradient_limit.ipp>
#endif
