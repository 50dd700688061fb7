// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <asio_semaphore/limiter/aimd_limit.hpp>

#include <boost/throw_exception.hpp>

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace asio_semaphore {
namespace detail {
namespace aimd {

// Twenty reports that come together are one step: a window lasts a round trip, and at least so
// long.
constexpr std::chrono::milliseconds window_length(100);
constexpr std::chrono::seconds longest_silence(1);

// One overload is noise, or a client's whim; a second one in the same round trip is not.
constexpr double overloads = 2;

// A limit that is not even used by half is not raised, and is found: the start is over.
constexpr double used_part = 0.5;

} // namespace aimd
} // namespace detail

ASIO_SEMAPHORE_DECL aimd_limit::aimd_limit(aimd_limit_options options) : options_(options) {
    // Written so that what is not a number is refused too.
    if (!(options.min_limit >= 1) || !(options.max_limit >= options.min_limit))
        boost::throw_exception(std::invalid_argument("aimd_limit: limits out of order"));
    if (!(options.backoff > 0) || !(options.backoff < 1))
        boost::throw_exception(std::invalid_argument("aimd_limit: a backoff outside (0, 1)"));
    if (options.max_latency <= limit_sample::duration::zero())
        boost::throw_exception(std::invalid_argument("aimd_limit: no latency is allowed"));
}

ASIO_SEMAPHORE_DECL double aimd_limit::operator()(const limit_sample& sample) {
    using namespace detail::aimd;
    const double limit = std::clamp(sample.limit, options_.min_limit, options_.max_limit);
    // What was admitted before the last decrease tells of the limit before it.
    if (sample.latency <= limit_sample::duration::zero() || sample.at - sample.latency < epoch_)
        return limit;

    window& w = window_;
    if (!w.open || sample.at - w.last > longest_silence) {
        w = window();
        w.open = true;
        w.begin = sample.at;
    }
    w.last = sample.at;
    w.longest = std::max(w.longest, sample.latency);
    w.peak = std::max(w.peak, static_cast<double>(sample.in_flight));
    ++w.samples;
    if (sample.result == outcome::overloaded || sample.latency > options_.max_latency)
        ++w.overloads;

    const bool ended =
        sample.at - w.begin >= std::max<limit_sample::duration>(window_length, w.longest);
    // At once: the second overload is answered before anybody else is admitted.
    if (w.overloads >= overloads || (ended && w.overloads == w.samples)) {
        w.open = false;
        slow_start_ = false;
        epoch_ = sample.at;
        // Whole requests, and at least one: small limits have to move too.
        return std::max(
            std::min(std::floor(options_.backoff * limit), limit - 1), options_.min_limit);
    }
    if (!ended)
        return limit;
    w.open = false;
    if (w.peak < used_part * limit) {
        slow_start_ = false;
        return limit;
    }
    // Doubling at first: one more a round trip takes minutes where hundreds are needed.
    return std::min(slow_start_ ? 2 * limit : limit + 1, options_.max_limit);
}

} // namespace asio_semaphore
