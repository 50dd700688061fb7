#pragma once

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/limiter/limit_algorithm.hpp>

#include <chrono>

namespace asio_semaphore {

/// What an @ref aimd_limit may do.
struct aimd_limit_options {
    double min_limit = 1;    ///< At least 1.
    double max_limit = 1000; ///< At least `min_limit`.
    double backoff = 0.9;    ///< What a decrease leaves of the limit; between 0 and 1.

    /// What is slower counts as overload.
    limit_sample::duration max_latency = limit_sample::duration::max();
};

/// The simple law, for a backend that says itself when it has too much: one more a round trip,
/// a part less at an overload.
/**
 * It does not look at the latency, except beside `max_latency`. Without refusals it grows until
 * requests time out: for a server that only becomes slow, take @ref gradient_limit.
 *
 * The rules, with the reason for each, stand in `impl/aimd_limit.ipp`.
 *
 * Copyable, never allocates.
 *
 * @throws std::invalid_argument from the constructor, for options that are not as said above.
 */
class aimd_limit {
public:
    /// Nothing is known yet; the first sample says where the limit starts.
    ASIO_SEMAPHORE_DECL explicit aimd_limit(aimd_limit_options options = {});

    /// The limit from now on, which is between `min_limit` and `max_limit`.
    ASIO_SEMAPHORE_DECL double operator()(const limit_sample& sample);

private:
    /// @cond
    using time_point = std::chrono::steady_clock::time_point;

    // What was seen since the last decision.
    struct window {
        bool open = false;
        time_point begin, last;
        limit_sample::duration longest{};
        double samples = 0, overloads = 0, peak = 0;
    };

    aimd_limit_options options_;
    bool slow_start_ = true;
    time_point epoch_ = time_point::min(); // what was admitted before tells of another limit
    window window_;
    /// @endcond
};

} // namespace asio_semaphore

#if !defined(ASIO_SEMAPHORE_SEPARATE_COMPILATION)
#include <asio_semaphore/limiter/impl/aimd_limit.ipp>
#endif
