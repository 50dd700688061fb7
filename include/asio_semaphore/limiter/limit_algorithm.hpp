// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <chrono>
#include <cstddef>
#include <functional>

namespace asio_semaphore {

/// How the work under an admission ended.
enum class outcome {
    success,    ///< The work was done; its duration indicates the load.
    overloaded, ///< The work was refused or took too long: there is too much load.
    ignored     ///< Says nothing about the load: the client left, or asked for the impossible.
};

/// One finished admission, as a @ref limit_algorithm sees it.
struct limit_sample {
    /// The duration type of the clock.
    using duration = std::chrono::steady_clock::duration;

    std::chrono::steady_clock::time_point at; ///< When it was finished.
    duration latency;         ///< From the admission to the finish, without the wait in the queue.
    outcome result;           ///< `success` or `overloaded`; ignored admissions are not shown.
    std::ptrdiff_t in_flight; ///< The most weight in flight since the previous sample.
    bool bound;   ///< Whether the limit was reached, or held a request back, since then.
    double limit; ///< The current limit.
};

/// An algorithm that sets the limit: it receives each admission that was finished as a success or
/// an overload, and returns the new limit.
/**
 * A plain function object, without a clock, a thread or a limiter. The limiter calls it from one
 * thread at a time, in the order of the reports, and holds no lock. The limit is a real number, so
 * that small steps add up; the limiter enforces its integer part. A value below 1 counts as 1. A
 * value that is not finite leaves the limit as it is. To keep the limit, return `sample.limit`.
 *
 * @ref gradient_limit and @ref aimd_limit are such algorithms. A lambda is one too:
 *
 * @code
 * const limit_algorithm capped = [inner = gradient_limit()](const limit_sample& sample) mutable {
 *     return std::min(inner(sample), 400.0);
 * };
 * @endcode
 */
using limit_algorithm = std::function<double(const limit_sample&)>;

} // namespace asio_semaphore
