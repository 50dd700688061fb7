// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <asio_semaphore/limiter/gradient_limit.hpp>

#include <boost/throw_exception.hpp>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>

namespace asio_semaphore {
namespace detail {
namespace gradient {

constexpr double overload_factor = 0.9;
constexpr double least_gradient = 0.5;
constexpr double costly_gradient = 0.9;
// A relearned baseline is confirmed once the limit has grown this many times, if at least this much
// of the additional concurrency has become throughput.
constexpr double confirming_growth = 1.5;
constexpr double confirming_elasticity = 0.5;

} // namespace gradient
} // namespace detail

ASIO_SEMAPHORE_DECL gradient_limit::gradient_limit(gradient_limit_options options) :
    options_(options),
    baseline_(options.tolerance, detail::gradient::in_seconds(options.max_latency)),
    probing_(options.min_limit, options.relearn) {
    // Written so that it also refuses NaN.
    if (!(options.min_limit >= 1) || !(options.max_limit >= options.min_limit))
        boost::throw_exception(std::invalid_argument("gradient_limit: limits out of order"));
    if (!(options.tolerance > 1))
        boost::throw_exception(std::invalid_argument("gradient_limit: a tolerance of 1 or less"));
    if (options.max_latency <= limit_sample::duration::zero())
        boost::throw_exception(std::invalid_argument("gradient_limit: no latency is allowed"));
}

ASIO_SEMAPHORE_DECL double gradient_limit::operator()(const limit_sample& sample) {
    const double limit = std::clamp(sample.limit, options_.min_limit, options_.max_limit);
    if (initial_ == 0)
        initial_ = limit;
    const double latency = detail::gradient::in_seconds(sample.latency);
    // If the clock stands still or goes back, the sample would become the best latency ever.
    if (!(latency > 0))
        return limit;
    settling_.add(latency);
    window_.note(sample);
    if (settling_.is_out_of_date(sample))
        return limit;
    const bool has_settled = settling_.has_settled(sample.at);
    const bool succeeded = sample.result == outcome::success;
    if (!succeeded && !died_elsewhere(latency)) {
        window_.add_overload(latency, baseline_.latency(), has_settled);
    } else if (!has_settled) {
        window_.close();
        return limit;
    } else if (succeeded) {
        window_.add_success(latency);
    } else {
        window_.add_ordinary(latency);
    }
    // Reacts to an overload at once: at the end of the window it would be too late for many
    // requests.
    return window_.is_overload(baseline_.in_order()) ||
                   window_.is_over(sample.at, baseline_.latency(), slow_start_)
               ? decide(sample.at, limit)
               : limit;
}

// Whether a request was reported as overloaded although the server took no longer for it than is
// acceptable. It expired in the queue, or its client gave up early, so it is an ordinary sample. If
// it counted as overload, a queue that is longer than the clients' patience would keep the limit
// down for good.
ASIO_SEMAPHORE_DECL bool gradient_limit::died_elsewhere(double latency) const {
    // While the cause of the latency is in doubt, a latency that was usual when the doubt began is
    // acceptable. Only a latency at which requests succeed can become the baseline: see shrink.
    const double base = baseline_.latency();
    const double usual = std::max(base, doubt_.since().latency);
    return base > 0 && !window::is_refusal(latency, base) && latency <= options_.tolerance * usual;
}

// Ends a window.
ASIO_SEMAPHORE_DECL double gradient_limit::decide(time_point now, double limit) {
    const operating_point here{limit, window_.latency(), window_.rate()};
    const bool at_floor = limit <= options_.min_limit;
    if (!at_floor)
        doubt_.leave_floor();
    settling_.end_window();
    if (window_.is_overload(baseline_.in_order()) || window_.successes() == 0) {
        // If no request succeeds, there is nothing to learn: constant timeouts must not become the
        // baseline.
        const bool stuck = at_floor && window_.successes() > 0 && doubt_.stays_at_floor();
        if (options_.relearn && stuck && !baseline_.is_too_slow(here.latency))
            return relearn(now, here, true);
        return overload(now, limit);
    }
    window_.close();

    if (probing_.is_under_way())
        return judge_probe(now, here);
    if (const double low = relearned_at_.limit; low > 0 && refuted(here)) {
        baseline_.restore();
        return lower(now, low);
    }
    baseline_.learn(limit, here.latency, window_.peak());
    const double gradient = gradient_at(here);
    if (const operating_point from = probe_from(now, here, gradient); from.limit > 0)
        return probe(now, from);
    return gradient == 1 ? raise(now, here) : shrink(now, here, gradient, at_floor);
}

ASIO_SEMAPHORE_DECL double gradient_limit::overload(time_point now, double limit) {
    // Starts from the number in flight: a limit that was not reached did not cause the overload.
    double next = detail::gradient::overload_factor * std::min(limit, window_.peak());
    if (!window_.is_bound())
        next = std::max(next, std::min(limit, initial_));
    window_.close();
    doubt_.end();
    probing_.interrupt();
    relearned_at_ = {};
    return lower(now, next);
}

// Returns the ratio of the acceptable latency to the measured one, at most 1.
ASIO_SEMAPHORE_DECL double gradient_limit::gradient_at(const operating_point& here) {
    using namespace detail::gradient;
    const double gradient =
        std::clamp(baseline_.allowed(here.limit) / here.latency, least_gradient, 1.0);
    return window_.is_bound() && contention_.is_costly(window_.peak(), here.rate)
               ? std::min(gradient, costly_gradient)
               : gradient;
}

// Returns the operating point from which a probe begins now; with no limit if none begins.
ASIO_SEMAPHORE_DECL auto
gradient_limit::probe_from(time_point now, const operating_point& here, double gradient)
    -> operating_point {
    if (!window_.is_bound()) { // a probe would say nothing, now or soon after
        probing_.put_off(now);
    } else if (gradient == 1) {
        if (!slow_start_ && probing_.is_due(now) && probing_.is_possible(here.limit))
            return here;
    } else if (started_at_.limit > 0 && probing_.is_possible(started_at_.limit)) {
        // The first doubling gave no throughput. Perhaps the initial limit was too high, and the
        // baseline was learned under overload.
        const operating_point start = std::exchange(started_at_, {});
        if (probing_.was_free(elasticity(here, start)))
            return start;
    }
    return {};
}

ASIO_SEMAPHORE_DECL double gradient_limit::probe(time_point now, const operating_point& here) {
    doubt_.interrupt();
    return lower(now, probing_.begin(here));
}

ASIO_SEMAPHORE_DECL double
gradient_limit::judge_probe(time_point now, const operating_point& here) {
    const operating_point from = probing_.end(now);
    baseline_.learn_lower(here.latency);
    if (probing_.was_free(elasticity(from, here)) && here.limit < from.limit) {
        // Goes further down as long as that costs no throughput.
        return probing_.is_possible(here.limit) ? probe(now, here) : here.limit;
    }
    probing_.was_in_vain();
    settling_.raised(now, here.latency);
    return std::min(from.limit, options_.max_limit);
}

// Whether relearning the baseline was a mistake. The limit doubles after it. If the additional
// concurrency gives no more throughput, the server itself caused the latency.
ASIO_SEMAPHORE_DECL bool gradient_limit::refuted(const operating_point& here) {
    using namespace detail::gradient;
    if (window_.is_bound() && here.limit < confirming_growth * relearned_at_.limit)
        return false;
    const operating_point low = std::exchange(relearned_at_, {});
    return window_.is_bound() && elasticity(here, low) < confirming_elasticity;
}

ASIO_SEMAPHORE_DECL double
gradient_limit::relearn(time_point now, const operating_point& here, bool at_floor) {
    const double former = doubt_.since().limit;
    baseline_.relearn(former > 0 ? former : here.limit, here.latency);
    relearned_at_ = at_floor ? operating_point() : here; // there is no lower limit to go back to
    doubt_.end();
    doubt_.leave_floor();
    contention_.forget();
    probing_.reschedule(now);
    slow_start_ = true;
    window_.close();
    settling_.relearned(now, here.latency);
    return std::min(2 * here.limit, options_.max_limit);
}

// The latency is acceptable.
ASIO_SEMAPHORE_DECL double gradient_limit::raise(time_point now, const operating_point& here) {
    const double limit = here.limit;
    doubt_.end();
    doubt_.leave_floor();
    // An unused limit teaches nothing about itself. If it grew meanwhile, it would admit the first
    // burst without any limit.
    if (!window_.is_bound())
        return limit;
    // Doubles until that gives no more throughput: by adding one per round trip, it would take
    // minutes to reach hundreds. Later the limit grows by its square root, because the number in
    // flight varies that much by chance.
    double next = slow_start_ ? 2 * limit : limit + std::sqrt(limit);
    if (slow_start_)
        settling_.raised(now, here.latency);
    started_at_ = slow_start_ && limit == initial_ ? here : operating_point();
    // If the limit only held back a request of a large weight, or of a priority with a small share,
    // it was not used, and grows no further than back to where it started.
    const double twice = 2 * window_.peak();
    next = std::max(limit, std::min(next, twice > limit ? twice : initial_));
    return std::min(next, options_.max_limit);
}

// The latency is too high.
ASIO_SEMAPHORE_DECL double gradient_limit::shrink(
    time_point now, const operating_point& here, double gradient, bool at_floor) {
    const double limit = here.limit, peak = window_.peak();
    const bool bound = window_.is_bound();
    doubt_.note_success(window_.longest_success());
    if (options_.relearn && !baseline_.is_too_slow(here.latency)) {
        // A server whose requests all end at the same timeout also has a latency that does not fall
        // with the limit.
        const bool credible = doubt_.is_credible(here.latency);
        if (credible && at_floor && doubt_.stays_at_floor())
            return relearn(now, here, true);
        if (!bound)
            doubt_.interrupt();
        else if (credible) {
            if (doubt_.is_ripe(here))
                probing_.put_off(now);
            if (doubt_.is_not_ours(here))
                return doubt_.is_confirmed() ? relearn(now, here, false) : limit;
        }
    }
    // Adds no headroom, which would undo the decrease if the ratio is close to 1.
    double next = doubt_.next_limit(limit * gradient);
    if (bound)
        next = std::min(next, limit - 1); // so that the limit moves
    else if (peak < baseline::idle_part * limit)
        // A few slow requests are no reason to forget what the server can do under load.
        next = std::max({next, 2 * peak, initial_});
    return lower(now, std::min(next, limit));
}

ASIO_SEMAPHORE_DECL double gradient_limit::lower(time_point now, double limit) {
    if (std::exchange(slow_start_, false))
        probing_.schedule(now);
    started_at_ = {};
    settling_.lowered(now);
    return std::max(limit, options_.min_limit);
}

} // namespace asio_semaphore
