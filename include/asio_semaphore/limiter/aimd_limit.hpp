// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/limiter/limit_algorithm.hpp>

#include <chrono>

namespace asio_semaphore {

/// The options of an @ref aimd_limit.
struct aimd_limit_options {
    double min_limit = 1;    ///< At least 1.
    double max_limit = 1000; ///< At least `min_limit`.
    double backoff = 0.9;    ///< The factor of a decrease; between 0 and 1.

    /// A success that took longer counts as overload.
    limit_sample::duration max_latency = limit_sample::duration::max();
};

/// A simple algorithm for backends that report overload themselves: the limit grows by one in each
/// round trip, and shrinks by a factor at an overload.
/**
 * Additive increase, multiplicative decrease: the rule of TCP's congestion control. The algorithm
 * ignores the latency, except for `max_latency`. If nothing is refused, the limit grows until
 * requests time out. For a server that only becomes slow under load, use @ref gradient_limit.
 *
 * `impl/aimd_limit.ipp` has the rules, with the reason for each.
 *
 * Copyable; never allocates.
 *
 * @par Example
 * @code
 * limiter limit(context, 20, {.algorithm = aimd_limit({.max_limit = 500})});
 * @endcode
 */
class aimd_limit {
public:
    /// Constructs the algorithm. The limit starts at the limiter's initial limit, which the first
    /// sample moves into the bounds.
    /**
     * @throws std::invalid_argument unless 1 <= min_limit <= max_limit, 0 < backoff < 1 and
     * max_latency > 0
     */
    ASIO_SEMAPHORE_DECL explicit aimd_limit(aimd_limit_options options = {});

    /// Returns the new limit, between `min_limit` and `max_limit`.
    /** @param sample a finished admission */
    ASIO_SEMAPHORE_DECL double operator()(const limit_sample& sample);

private:
    /// @cond
    using time_point = std::chrono::steady_clock::time_point;

    // The samples since the last decision.
    struct window {
        bool open = false;
        time_point begin, last;
        limit_sample::duration longest{};
        double samples = 0, overloads = 0, peak = 0;
        bool bound = false;
    };

    aimd_limit_options options_;
    double initial_ = 0; // the initial limit; 0: no sample yet
    bool slow_start_ = true;
    time_point epoch_ = time_point::min(); // earlier admissions describe another limit
    window window_;
    /// @endcond
};

} // namespace asio_semaphore

#if !defined(ASIO_SEMAPHORE_SEPARATE_COMPILATION)
#include <asio_semaphore/limiter/impl/aimd_limit.ipp>
#endif
