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

// A window lasts a round trip, and at least this long, so that twenty samples that arrive together
// make only one step.
constexpr std::chrono::milliseconds window_length(100);
constexpr std::chrono::seconds longest_silence(1);

// One overload is noise, or a client that gave up early. A second one in the same round trip is
// not.
constexpr double overloads = 2;

// If less than half of the limit is used, the limit is not raised, and the doubling at the start is
// over. But if it holds requests back all the same, which have a large weight or a small share, it
// grows back to where it started.
constexpr double used_part = 0.5;

} // namespace aimd
} // namespace detail

ASIO_SEMAPHORE_DECL aimd_limit::aimd_limit(aimd_limit_options options) : options_(options) {
    // Written so that it also refuses NaN.
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
    if (initial_ == 0)
        initial_ = limit;
    // A request that was admitted before the last decrease describes the limit before it.
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
    w.bound = w.bound || sample.bound;
    ++w.samples;
    if (sample.result == outcome::overloaded || sample.latency > options_.max_latency)
        ++w.overloads;

    const bool ended =
        sample.at - w.begin >= std::max<limit_sample::duration>(window_length, w.longest);
    // Reacts at once: the limit drops before the limiter admits another request.
    if (w.overloads >= overloads || (ended && w.overloads == w.samples)) {
        w.open = false;
        slow_start_ = false;
        epoch_ = sample.at;
        // Drops by whole requests and at least by one, so that small limits move too.
        return std::max(
            std::min(std::floor(options_.backoff * limit), limit - 1), options_.min_limit);
    }
    if (!ended)
        return limit;
    w.open = false;
    if (w.peak < used_part * limit && !(w.bound && limit < initial_)) {
        slow_start_ = false;
        return limit;
    }
    // Doubles at first: by adding one per round trip, it would take minutes to reach hundreds.
    return std::min(slow_start_ ? 2 * limit : limit + 1, options_.max_limit);
}

} // namespace asio_semaphore
