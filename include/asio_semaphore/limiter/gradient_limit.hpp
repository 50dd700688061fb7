// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/limiter/impl/gradient_rules.hpp>
#include <asio_semaphore/limiter/limit_algorithm.hpp>

namespace asio_semaphore {

/// The options of a @ref gradient_limit.
struct gradient_limit_options {
    double min_limit = 1;    ///< At least 1.
    double max_limit = 1000; ///< At least `min_limit`.

    /// The latency may be this many times the latency without load; more than 1.
    double tolerance = 1.5;

    /// A higher latency is always too high, whatever latency is usual. If requests may all end at
    /// the same timeout, set this below that timeout: a ratio does not reveal a latency that is
    /// always bad.
    limit_sample::duration max_latency = limit_sample::duration::max();

    /// Whether the algorithm takes a latency that does not fall with the limit for the new latency
    /// without load, and from time to time tests whether less concurrency gives the same
    /// throughput. If false, a baseline that was learned too early, or before a dependency became
    /// slower, stays too low, and may keep the limit at `min_limit`.
    bool relearn = true;
};

/// An algorithm for servers whose latency rises with the load: the limit follows the ratio of the
/// latency without load to the current latency.
/**
 * The limit grows while it is reached and the latency is acceptable. If the latency is too high,
 * the limit shrinks by the ratio. If halving the limit reduces the throughput but not the latency,
 * the server does not cause the latency: a dependency has become slower, and the limit grows beyond
 * its old value. From time to time the algorithm tests whether less concurrency gives the same
 * throughput.
 *
 * The ratio is the one of Netflix's concurrency-limits. `impl/gradient_rules.hpp` has the rules,
 * with the reason for each, and `impl/gradient_limit.ipp` what follows from them. The guide to the
 * algorithms compares this algorithm with others under thirteen workloads.
 *
 * Copyable; a few hundred bytes; never allocates.
 *
 * @par Example
 * @code
 * limiter limit(
 *     context, 20, // the initial limit
 *     {.algorithm = gradient_limit(
 *          {.max_limit = 500, .max_latency = std::chrono::milliseconds(250)})});
 * @endcode
 */
class gradient_limit {
public:
    /// Constructs the algorithm. The limit starts at the limiter's initial limit, which the first
    /// sample moves into the bounds.
    /**
     * @throws std::invalid_argument unless 1 <= min_limit <= max_limit, tolerance > 1 and
     * max_latency > 0
     */
    ASIO_SEMAPHORE_DECL explicit gradient_limit(gradient_limit_options options = {});

    /// Returns the new limit, between `min_limit` and `max_limit`.
    /** @param sample a finished admission */
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
    double initial_ = 0; // the initial limit; 0: no sample yet
    bool slow_start_ = true;
    window window_;
    detail::gradient::settling settling_;
    baseline baseline_;
    detail::gradient::doubt doubt_;
    detail::gradient::probing probing_;
    detail::gradient::contention contention_;
    operating_point started_at_;   // valid until the first doubling has been judged
    operating_point relearned_at_; // valid until the relearning is confirmed or refuted
    /// @endcond
};

} // namespace asio_semaphore

#if !defined(ASIO_SEMAPHORE_SEPARATE_COMPILATION)
#include <asio_semaphore/limiter/impl/gradient_limit.ipp>
#endif
