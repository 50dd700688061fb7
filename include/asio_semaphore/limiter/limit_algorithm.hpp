#pragma once

#include <chrono>
#include <cstddef>
#include <functional>

namespace asio_semaphore {

/// How an admission ended, for the law that sets the limit.
enum class outcome {
    success,    ///< The work was done; how long it took tells of the load.
    overloaded, ///< It was refused, or took too long: there is too much of it.
    ignored ///< It says nothing about the load: a client went away, or asked for what is not there.
};

/// One finished admission, as a @ref limit_algorithm sees it.
struct limit_sample {
    /// That of the clock.
    using duration = std::chrono::steady_clock::duration;

    std::chrono::steady_clock::time_point at; ///< When it was finished.
    duration latency; ///< From its admission to its end; the wait in the queue is no part of it.
    outcome result;   ///< `success` or `overloaded`: those that are ignored are not shown.
    std::ptrdiff_t in_flight; ///< The most that were in flight since the sample before.
    bool bound;   ///< Since the sample before the limit was reached, or held somebody back.
    double limit; ///< The limit in force.
};

/// A law: is shown each finished admission, and returns the limit from now on.
/**
 * A plain function object, without a clock, a thread or a limiter. It is called by one thread at a
 * time, in the order of the reports. The limit is a real number, so that small steps add up; its
 * integer part is enforced. What is less than 1 counts as 1, and what is no finite number leaves
 * the limit as it is.
 *
 * @ref gradient_limit and @ref aimd_limit are such laws; others are a lambda away.
 */
using limit_algorithm = std::function<double(const limit_sample&)>;

} // namespace asio_semaphore
