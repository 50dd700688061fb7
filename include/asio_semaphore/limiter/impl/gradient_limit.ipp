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

// A single latency says nothing, whatever law compares it: a window is as long as two requests
// take, and holds a few of them.
constexpr double window_length = 0.1; // seconds
constexpr double window_in_latencies = 2;
constexpr double window_samples = 10;
constexpr double longest_window = 1;
// While the limit doubles, more than the direction need not be known.
constexpr double slow_start_length = 0.05;
constexpr double slow_start_in_latencies = 1;

// Overload: so many reports of it, and such a part of all. One in a hundred is noise or a client's
// whim, and no reason to decrease.
constexpr double overloads = 2;
constexpr double overload_part = 0.1;
constexpr double overload_factor = 0.9;
// What the server refused at once did no work there: its latency says nothing.
constexpr double refusal_latency = 0.5; // of the baseline
// For how many baselines an overload counts at most: one timeout must not speak for hundred others.
constexpr double overload_weight = 10;

// The baseline follows a lower latency, but not at once: a lucky window must not become it.
constexpr double base_down = 0.2;
// A higher one it follows only where the server has nothing to do: else it would learn the
// overload, and drift for hours.
constexpr double base_up = 0.1;
constexpr double idle_part = 0.5; // of the limit

constexpr double least_gradient = 0.5;

// After a decrease what comes through first is short, and makes the latency look good: the window
// begins after so many mean residences (E[R²]/E[R], which long requests dominate).
constexpr double settling = 1.5;
constexpr double longest_settling = 1; // second
constexpr double residence_memory = 0.9;

// Throughput that falls while concurrency rises: at such a correlation, over so many windows.
constexpr std::size_t history_needed = 10;
constexpr double costly_correlation = -0.5;
constexpr double costly_gradient = 0.9;

// Whose latency it is: judged when the limit has fallen to this part of where the latency was too
// high first, by how much of the concurrency was lost as throughput (ln rate / ln limit).
constexpr double doubt_part = 0.6;
constexpr double doubt_again_part = 0.5;
constexpr double not_ours_elasticity = 0.4;
constexpr double confirming_elasticity = 0.5;
constexpr double confirming_growth = 1.5;
constexpr int floor_windows = 5;
// What may wait in the server after the baseline was relearned, at least, in roots of the limit:
// so many come and go by chance.
constexpr double least_queue = 2;
// Near the former baseline the relearned one is forgotten.
constexpr double former_base = 1.3;

// Probing: how far down, and how often. The first probe, after the start, is a deeper one.
constexpr double first_probe_factor = 0.5;
constexpr double probe_factor = 0.7;
constexpr double first_probe_interval = 5; // seconds of a limit that is reached
constexpr double longest_probe_interval = 30;
constexpr double undisturbed = 1; // second
constexpr double free_elasticity = 0.3;
constexpr double clearly_lower = 0.95;
constexpr double least_probed_limit = 4;

inline double in_seconds(limit_sample::duration d) {
    return std::chrono::duration<double>(d).count();
}

inline limit_sample::duration from_seconds(double s) {
    return std::chrono::duration_cast<limit_sample::duration>(std::chrono::duration<double>(s));
}

} // namespace gradient
} // namespace detail

ASIO_SEMAPHORE_DECL gradient_limit::gradient_limit(gradient_limit_options options) :
    options_(options),
    max_latency_(detail::gradient::in_seconds(options.max_latency)),
    probe_factor_(detail::gradient::first_probe_factor),
    probe_interval_(detail::gradient::first_probe_interval) {
    // Written so that what is not a number is refused too.
    if (!(options.min_limit >= 1) || !(options.max_limit >= options.min_limit))
        boost::throw_exception(std::invalid_argument("gradient_limit: limits out of order"));
    if (!(options.tolerance > 1))
        boost::throw_exception(std::invalid_argument("gradient_limit: a tolerance of 1 or less"));
    if (options.max_latency <= limit_sample::duration::zero())
        boost::throw_exception(std::invalid_argument("gradient_limit: no latency is allowed"));
}

ASIO_SEMAPHORE_DECL double gradient_limit::operator()(const limit_sample& sample) {
    using namespace detail::gradient;
    const double limit = std::clamp(sample.limit, options_.min_limit, options_.max_limit);
    if (initial_ == 0)
        initial_ = limit;
    const double latency = in_seconds(sample.latency);
    // Clocks that stand still or go back would become the best latency ever.
    if (!(latency > 0))
        return limit;
    time_ += latency;
    square_time_ += latency * latency;

    window& w = window_;
    // Silence is no sign of anything: the window begins anew.
    if (!w.open || in_seconds(sample.at - w.last) > longest_window) {
        w = window();
        w.open = true;
        w.begin = sample.at;
    }
    w.last = sample.at;
    w.peak = std::max(w.peak, static_cast<double>(sample.in_flight));
    w.bound = w.bound || sample.bound;
    ++w.finished;

    // What was admitted before the last decrease, or under another baseline, tells of those: else a
    // limit would be lowered again for what its last decrease has mended already.
    if (sample.at - sample.latency < epoch_)
        return limit;
    if (sample.result == outcome::overloaded && !died_elsewhere(latency)) {
        ++w.overloads;
        if (latency < refusal_latency * base_)
            ++w.refusals;
        else {
            w.overload_time += latency;
            if (sample.at >= settled_ && base_ > 0) {
                // A request that was given up took at least so long. Without it the latency would
                // be that of the lucky ones.
                ++w.measured;
                w.measured_time += std::min(latency, overload_weight * base_);
            }
        }
    } else if (sample.at < settled_) {
        w.open = false;
        return limit;
    } else {
        ++w.successes;
        w.success_time += latency;
        ++w.measured;
        w.measured_time += latency;
    }

    // At once: whoever waits for the window's end has lost its requests by then.
    if (overloaded())
        return decide(sample.at, limit);
    const double length = in_seconds(sample.at - w.begin);
    const double wanted = slow_start_ ? std::max(slow_start_length, slow_start_in_latencies * base_)
                                      : std::max(window_length, window_in_latencies * base_);
    const bool enough = length >= wanted && w.successes + w.overloads >= window_samples;
    return enough || length >= longest_window ? decide(sample.at, limit) : limit;
}

// A request that was reported as overload although its own service took no longer than is in order:
// it died in the queue, or by its client's whim, and is a sample like others. Taken for overload it
// would press the limit of a server whose queue is longer than its clients' patience down for good.
ASIO_SEMAPHORE_DECL bool gradient_limit::died_elsewhere(double latency) const {
    using namespace detail::gradient;
    // While it is in doubt whose latency it is, what succeeded when the doubt began is the measure.
    const double usual = std::max(base_, doubt_.latency);
    return base_ > 0 && latency >= refusal_latency * base_ && latency <= options_.tolerance * usual;
}

ASIO_SEMAPHORE_DECL bool gradient_limit::overloaded() const {
    using namespace detail::gradient;
    const window& w = window_;
    const double least = std::max(overloads, overload_part * (w.successes + w.overloads));
    if (w.overloads < least)
        return false;
    if (w.refusals >= least || base_ == 0)
        return true;
    // Not the single latency counts: where the mean of all is in order, they died elsewhere.
    const double all = w.successes + w.overloads - w.refusals;
    return w.success_time + w.overload_time > options_.tolerance * base_ * all;
}

// The end of a window.
ASIO_SEMAPHORE_DECL double gradient_limit::decide(time_point now, double limit) {
    using namespace detail::gradient;
    const bool at_floor = limit <= options_.min_limit;
    if (!at_floor)
        windows_at_floor_ = 0;
    const window& w = window_;
    const bool bound = w.bound;
    const double peak = w.peak;
    const bool too_many = overloaded();
    const double latency = w.measured > 0 ? w.measured_time / w.measured : 0;
    const double rate = w.finished / std::max(in_seconds(w.last - w.begin), 1e-9);
    const operating_point here{limit, latency, rate};
    residence_ = square_time_ / time_;
    time_ *= residence_memory;
    square_time_ *= residence_memory;
    if (too_many || w.successes == 0) {
        // At the floor nothing that waits is ours. But where nothing succeeds, there is nothing to
        // learn: constant timeouts must not become the baseline.
        const bool stuck = at_floor && w.successes > 0 && ++windows_at_floor_ > floor_windows;
        if (options_.relearn && stuck && latency <= max_latency_)
            return relearn(now, here, true);
        return overload(now, limit);
    }
    window_.open = false;

    if (probed_from_.limit > 0)
        return judge_probe(now, here);
    if (const double low = relearned_at_.limit; low > 0 && refuted(here)) {
        base_ = base_before_;
        return lower(now, low);
    }

    learn(limit, latency);
    double gradient =
        std::clamp(std::min(allowed_latency(limit), max_latency_) / latency, least_gradient, 1.0);
    if (bound && costs_throughput(rate))
        gradient = std::min(gradient, costly_gradient);

    if (!bound) // a probe would say nothing, nor soon after
        next_probe_ = std::max(next_probe_, now + from_seconds(undisturbed));
    else if (gradient == 1 && !slow_start_ && now >= next_probe_ && may_probe(limit))
        return probe(now, here);
    // Doubling did not pay from the start: perhaps it started too high, and the baseline is that of
    // an overload.
    if (bound && gradient < 1 && started_at_.limit > 0 && may_probe(started_at_.limit)) {
        const operating_point start = std::exchange(started_at_, {});
        if (std::log(rate / start.rate) / std::log(limit / start.limit) < free_elasticity)
            return probe(now, start);
    }

    if (gradient == 1) {
        doubt_ = {};
        suspected_ = false;
        windows_at_floor_ = 0;
        // Who does not use the limit learns nothing about it. Growing meanwhile would let the first
        // burst in without any limit.
        return bound ? raise(now, here) : limit;
    }

    if (options_.relearn && latency <= max_latency_) {
        if (at_floor && ++windows_at_floor_ > floor_windows)
            return relearn(now, here, true);
        if (!bound)
            doubt_ = {};
        else if (not_ours(now, here)) {
            if (std::exchange(suspected_, true)) // a second window has to say the same
                return relearn(now, here, false);
            return limit;
        }
    }
    // No headroom is added: it would make up for the decrease where the ratio is modest.
    double next = limit * gradient;
    // The limit has been halved and the latency is too high still: at once to where it is seen
    // whose latency it is, for each step costs throughput if it is somebody else's.
    if (descending_ && doubt_.limit > 0)
        next = std::min(next, doubt_part * doubt_.limit);
    if (bound)
        next = std::min(next, limit - 1); // so that it moves
    else if (peak < idle_part * limit)
        // Few requests, slow ones: that is no reason to forget what the server can do under load.
        next = std::max({next, 2 * peak, initial_});
    return lower(now, std::min(next, limit));
}

ASIO_SEMAPHORE_DECL double gradient_limit::overload(time_point now, double limit) {
    using namespace detail::gradient;
    // From what was in flight: a limit that was not reached has overloaded nobody.
    double next = overload_factor * std::min(limit, window_.peak);
    if (!window_.bound)
        next = std::max(next, std::min(limit, initial_));
    window_.open = false;
    doubt_ = {};
    suspected_ = false;
    probed_from_ = {};
    relearned_at_ = {};
    return lower(now, next);
}

// Does less concurrency do as well? A baseline that is too high, because it was learned under load
// or of a dependency that is fast again, would never come down by itself: the limit that it allows
// keeps the latency up. The limit is lowered by a third for one window, seldom, and only while it
// is reached; it is not pinned to a few requests, which costs throughput.
ASIO_SEMAPHORE_DECL bool gradient_limit::may_probe(double limit) const {
    using namespace detail::gradient;
    return options_.relearn && limit >= least_probed_limit &&
           limit * probe_factor_ >= options_.min_limit;
}

ASIO_SEMAPHORE_DECL double gradient_limit::probe(time_point now, const operating_point& here) {
    doubt_ = {};
    probed_from_ = here;
    return lower(now, here.limit * probe_factor_);
}

ASIO_SEMAPHORE_DECL double
gradient_limit::judge_probe(time_point now, const operating_point& here) {
    using namespace detail::gradient;
    const operating_point from = std::exchange(probed_from_, {});
    const double lost = std::log(from.rate / here.rate) / std::log(from.limit / here.limit);
    next_probe_ = now + from_seconds(probe_interval_);
    if (here.latency < clearly_lower * base_)
        base_ = here.latency;
    if (lost < free_elasticity && here.limit < from.limit) {
        // And further down, as long as it costs nothing.
        return may_probe(here.limit) ? probe(now, here) : here.limit;
    }
    probe_factor_ = detail::gradient::probe_factor;
    probe_interval_ = std::min(2 * probe_interval_, longest_probe_interval);
    settled_ = now + from_seconds(here.latency);
    return std::min(from.limit, options_.max_limit);
}

// On the way up after the baseline was relearned: if twice the concurrency does not buy
// throughput, it was the server's own latency after all.
ASIO_SEMAPHORE_DECL bool gradient_limit::refuted(const operating_point& here) {
    using namespace detail::gradient;
    const operating_point low = relearned_at_;
    if (window_.bound && here.limit < confirming_growth * low.limit)
        return false;
    relearned_at_ = {};
    const double bought = std::log(here.rate / low.rate) / std::log(here.limit / low.limit);
    return window_.bound && bought < confirming_elasticity;
}

ASIO_SEMAPHORE_DECL void gradient_limit::learn(double limit, double latency) {
    using namespace detail::gradient;
    if (base_ == 0)
        base_ = std::min(latency, max_latency_);
    else if (latency < base_)
        base_ += base_down * (latency - base_);
    else if (window_.peak <= idle_part * limit)
        base_ = std::min(base_ + base_up * (latency - base_), std::max(base_, max_latency_));
    if (queue_ > 0 && base_ < former_base * base_before_)
        queue_ = 0;
}

// The tolerance is a part of the latency without load. Where that grew by a wait elsewhere, a part
// of it would be far too much: then as many requests as before may wait here, and no more.
ASIO_SEMAPHORE_DECL double gradient_limit::allowed_latency(double limit) {
    using namespace detail::gradient;
    double times = options_.tolerance;
    if (queue_ > 0) {
        const double queue = std::max(queue_, least_queue * std::sqrt(limit));
        if (limit > queue)
            times = std::min(times, limit / (limit - queue));
    }
    return times * base_;
}

// The latency may be in order and concurrency cost throughput all the same, by contention.
ASIO_SEMAPHORE_DECL bool gradient_limit::costs_throughput(double rate) {
    using namespace detail::gradient;
    history_[bound_windows_++ % history_size] = {window_.peak, rate};
    const std::size_t n = std::min(bound_windows_, history_size);
    if (n < history_needed)
        return false;
    double peak_sum = 0, rate_sum = 0;
    for (std::size_t i = 0; i < n; ++i) {
        peak_sum += history_[i].peak;
        rate_sum += history_[i].rate;
    }
    const double count = static_cast<double>(n);
    double covariance = 0, peak_variance = 0, rate_variance = 0;
    for (std::size_t i = 0; i < n; ++i) {
        const double peak = history_[i].peak - peak_sum / count;
        const double by = history_[i].rate - rate_sum / count;
        covariance += peak * by;
        peak_variance += peak * peak;
        rate_variance += by * by;
    }
    if (!(covariance < costly_correlation * std::sqrt(peak_variance * rate_variance)))
        return false;
    // Windows of before the decrease must not ask for the next one.
    bound_windows_ = 0;
    return true;
}

// A latency that the limit has no influence on: where less concurrency meant as much less
// throughput and the same latency, nothing waited in the server. Somebody else is slow, and needs
// more concurrency, not less.
ASIO_SEMAPHORE_DECL bool gradient_limit::not_ours(time_point now, const operating_point& here) {
    using namespace detail::gradient;
    if (doubt_.limit == 0) {
        doubt_ = here;
        descending_ = false;
        return false;
    }
    if (here.limit > doubt_part * doubt_.limit)
        return false;
    next_probe_ = std::max(next_probe_, now + from_seconds(undisturbed));
    const double steps = std::log(doubt_.limit / here.limit);
    const double kept = 1 - std::log(doubt_.latency / here.latency) / steps;
    const double lost = std::log(doubt_.rate / here.rate) / steps;
    if (kept > not_ours_elasticity && lost > not_ours_elasticity)
        return true;
    suspected_ = false;
    if (here.limit <= doubt_again_part * doubt_.limit) {
        doubt_ = here;
        descending_ = true;
    }
    return false;
}

ASIO_SEMAPHORE_DECL double
gradient_limit::relearn(time_point now, const operating_point& here, bool at_floor) {
    using namespace detail::gradient;
    base_before_ = base_;
    const double former = doubt_.limit > 0 ? doubt_.limit : here.limit;
    queue_ = std::max(queue_, former * (1 - 1 / options_.tolerance));
    base_ = here.latency;
    if (base_ < former_base * base_before_)
        queue_ = 0;
    relearned_at_ = at_floor ? operating_point() : here; // below the floor there is no way back
    doubt_ = {};
    suspected_ = false;
    windows_at_floor_ = 0;
    bound_windows_ = 0;
    probe_interval_ = first_probe_interval;
    next_probe_ = now + from_seconds(probe_interval_);
    slow_start_ = true;
    window_.open = false;
    epoch_ = now;
    settled_ = now + from_seconds(here.latency);
    return std::min(2 * here.limit, options_.max_limit);
}

ASIO_SEMAPHORE_DECL double gradient_limit::raise(time_point now, const operating_point& here) {
    const double limit = here.limit;
    // Doubling until it does not pay: one more a round trip takes minutes where hundreds are
    // needed. Later by the root, which is what comes and goes by chance.
    double next = slow_start_ ? 2 * limit : limit + std::sqrt(limit);
    if (slow_start_)
        settled_ = now + detail::gradient::from_seconds(here.latency);
    started_at_ = slow_start_ && limit == initial_ ? here : operating_point();
    // A limit that was reached by one who asks for many at a time was not used.
    next = std::max(limit, std::min(next, 2 * window_.peak));
    return std::min(next, options_.max_limit);
}

ASIO_SEMAPHORE_DECL double gradient_limit::lower(time_point now, double limit) {
    using namespace detail::gradient;
    if (std::exchange(slow_start_, false))
        next_probe_ = now + from_seconds(probe_interval_);
    started_at_ = {};
    epoch_ = now;
    settled_ = now + from_seconds(std::min(settling * residence_, longest_settling));
    return std::max(limit, options_.min_limit);
}

} // namespace asio_semaphore
