// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <asio_semaphore/detail/state/limiter_state.hpp>

#include <asio_semaphore/detail/state/impl/admission_line_arrivals.ipp>

#include <boost/assert.hpp>
#include <boost/config.hpp>
#include <boost/core/no_exceptions_support.hpp>
#include <boost/throw_exception.hpp>

#include <algorithm>
#include <cmath>
#include <mutex>
#include <stdexcept>
#include <utility>

namespace asio_semaphore::detail {

inline limiter_options checked(std::ptrdiff_t limit, limiter_options options) {
    const auto require = [](bool holds, const char* message) {
        if (!holds)
            boost::throw_exception(std::invalid_argument(message));
    };
    require(limit >= 1, "limiter: the limit is less than 1");
    double above = 1;
    for (const double share : options.share) {
        require(share > 0 && share <= 1, "limiter: a share is not in (0, 1]");
        require(share <= above, "limiter: a share is larger than that of a higher priority");
        above = share;
    }
    using duration = limiter_options::duration;
    require(options.max_per_key >= 0, "limiter: max_per_key is negative");
    require(options.max_wait >= duration::zero(), "limiter: max_wait is negative");
    require(options.busy_wait >= duration::zero(), "limiter: busy_wait is negative");
    require(options.busy_wait <= options.max_wait, "limiter: busy_wait is longer than max_wait");
    require(options.classify != nullptr, "limiter: classify is null");
    return options;
}

template <typename Threads>
limiter_state<Threads>::limiter_state(
    std::ptrdiff_t limit, limiter_options options, boost::intrusive_ptr<registry_type> registry) :
    line(limit, detail::checked(limit, std::move(options)), std::move(registry)) {
    if (line::has_algorithm()) {
        algorithm_ = std::make_shared<limit_algorithm>(options_.algorithm);
        samples_.set_capacity(16);
    }
    line::enlist();
}

template <typename Threads>
limiter_state<Threads>::~limiter_state() = default;

// The end of an admission: one critical section, or several if the sample needs memory.
template <typename Threads>
struct limiter_state<Threads>::ending {
    const place& given;
    asio_semaphore::outcome result;
    bool is_reported;
    bool is_destroyed = false; // the owner may have forgotten the report

    // A larger buffer for the samples, and the capacity that it needs. If there is no memory, the
    // sample is dropped.
    boost::circular_buffer<limit_sample> room = boost::circular_buffer<limit_sample>();
    std::size_t needs = 0;
    bool drops = false;

    showing shown = {};            // the sample to show to the algorithm, if any
    bool keeps_place = false;      // the admission ends only after that sample was shown
    bool is_forgotten = false;     // the program seems never to call finish
    spare_record excess = nullptr; // freed with the mutex unlocked, like all members
};

template <typename Threads>
void limiter_state<Threads>::finish(
    const place& p, asio_semaphore::outcome result, bool is_reported) noexcept {
    if (line::has_algorithm())
        finish_shown({p, result, is_reported});
    else
        finish_unshown(p, result, is_reported);
}

template <typename Threads>
void limiter_state<Threads>::forget(const place& p) noexcept {
    constexpr auto ignored = asio_semaphore::outcome::ignored;
    if (line::has_algorithm())
        finish_shown({p, ignored, false, true});
    else
        finish_unshown(p, ignored, false);
}

template <typename Threads>
BOOST_NOINLINE void limiter_state<Threads>::finish_shown(ending e) noexcept {
    while (!end_admission(e)) {
        BOOST_TRY {
            e.room.set_capacity(e.needs);
        }
        BOOST_CATCH(...) {
            e.drops = true;
        }
        BOOST_CATCH_END
    }
    BOOST_ASSERT_MSG(
        !e.is_forgotten,
        "a limiter with an algorithm has ended 1,000 admissions without being told how: call "
        "admission::finish, or the limit will never move");
    if (e.shown.algorithm)
        show(std::move(e.shown), e.keeps_place ? &e : nullptr);
}

// For a limiter without an algorithm.
template <typename Threads>
void limiter_state<Threads>::finish_unshown(
    const place& p, asio_semaphore::outcome result, bool is_reported) noexcept {
    spare_record excess; // freed with the mutex unlocked
    section here(*this);
    const bool is_timed = !requests_.is_plain() && (p.since != unset || !requests_.empty());
    const time_point now = is_timed ? Threads::now() : unset;
    counts_.finish(result, is_reported);
    excess.reset(records_.take_excess());
    line::give_back(p, now, here.taken);
}

// Returns false, and changes nothing, if the caller must first provide memory for the sample.
template <typename Threads>
bool limiter_state<Threads>::end_admission(ending& e) noexcept {
    using ended = asio_semaphore::outcome;
    section here(*this);
    const place& p = e.given;
    const bool is_timed = p.since != unset || !requests_.empty();
    const time_point now = is_timed ? Threads::now() : unset;
    const bool is_sample = algorithm_ != nullptr && phase_ == phase::open && p.epoch == epoch_ &&
                           e.result != ended::ignored && now > p.since;
    // Earlier samples come first, including those that the last thread in `show` left.
    const bool is_left = is_shown_ || !samples_.empty();
    if (is_sample && is_left && !make_room(e))
        return false;
    e.excess.reset(records_.take_excess());
    if (is_sample) {
        // A limit that was lowered below what is in flight counts as reached, too.
        bound_ = bound_ || peak_ >= whole_;
        // If there is no room, the sample is lost, and the next one says how much was in flight.
        if (!samples_.full()) {
            const limit_sample sample{now, now - p.since, e.result, peak_, bound_, limit_};
            peak_ = in_flight_ - p.weight;
            bound_ = false;
            if (!is_left) {
                // The place is given back only after the algorithm has seen this sample, so that a
                // decrease precedes the next grant.
                is_shown_ = true;
                e.shown = {sample, algorithm_, epoch_};
                e.keeps_place = true;
                return true;
            }
            samples_.push_back(sample);
        }
        is_more_left_ = true;
        if (!is_shown_)
            take_sample(e.shown, true);
    }
    end_now(e, now, now - p.since, here.taken);
    // After the end of the limiter or of the context, no report moves the limit.
    e.is_forgotten = e.is_destroyed && phase_ == phase::open && counts_.forget(p.since, now, 1000);
    return true;
}

// Counts the end and takes the place back, both in one critical section: see Conservation.
template <typename Threads>
void limiter_state<Threads>::end_now(
    const ending& e, time_point now, duration latency, taken_type& taken) noexcept {
    counts_.finish(e.result, e.is_reported);
    if (e.result == asio_semaphore::outcome::success)
        counts_.succeed_after(latency);
    line::give_back(e.given, now, taken);
}

// Returns true if there is room for a sample, or if the sample is to be dropped, because there is
// no memory or because reports come so much faster than the algorithm takes them that it would only
// learn about the past.
template <typename Threads>
bool limiter_state<Threads>::make_room(ending& e) noexcept {
    constexpr std::size_t most_left = 65536;
    if (!samples_.full() || e.drops || samples_.size() >= most_left)
        return true;
    if (e.room.capacity() <= samples_.size()) {
        e.needs = 2 * samples_.size();
        return false;
    }
    for (const limit_sample& left : samples_)
        e.room.push_back(left);
    samples_.swap(e.room);
    return true;
}

// Returns false if no sample is left, or if the next thread that reports is to continue.
template <typename Threads>
bool limiter_state<Threads>::take_sample(showing& shown, bool goes_on) noexcept {
    is_shown_ = !samples_.empty() && (goes_on || !is_more_left_);
    is_more_left_ = false;
    if (is_shown_) {
        shown = {samples_.front(), algorithm_, epoch_};
        shown.sample.limit = limit_;
        samples_.pop_front();
    }
    return is_shown_;
}

// Called by one thread at a time, with no lock held. Other threads leave their samples in samples_
// meanwhile. No thread is kept here forever: after a number of samples, if others keep reporting,
// the next thread that reports shows the rest. It could not take over earlier without waiting for
// the algorithm. So if the report that ends a burst arrives just then, the samples that are left
// move the limit only with the first report after the burst.
template <typename Threads>
void limiter_state<Threads>::show(showing shown, const ending* held) noexcept {
    const duration latency = shown.sample.latency; // the latency of `held`
    for (int shows = 0;; ++shows) {
        double to = 0;
        bool fails = false;
        BOOST_TRY {
            to = (*shown.algorithm)(shown.sample);
        }
        BOOST_CATCH(...) {
            fails = true;
        }
        BOOST_CATCH_END
        shown.algorithm.reset(); // may be the last reference to an object of the user's
        double from;
        bool changes, goes_on = false;
        {
            section here(*this);
            const time_point now = requests_.is_plain() ? unset : Threads::now();
            from = limit_;
            if (fails)
                counts_.fail();
            else if (shown.epoch == epoch_ && phase_ == phase::open && std::isfinite(to))
                line::set_whole(std::max(to, 1.0));
            to = limit_;
            changes = to != from;
            if (held != nullptr)
                end_now(*std::exchange(held, nullptr), now, latency, here.taken);
            else if (changes)
                line::settle(now, here.taken);
            if (!changes)
                goes_on = take_sample(shown, shows < Threads::at_a_time);
        }
        if (changes) {
            tell(from, to);
            std::lock_guard<typename Threads::mutex> lock(mutex_);
            goes_on = take_sample(shown, shows < Threads::at_a_time);
        }
        if (!goes_on)
            return;
    }
}

template <typename Threads>
void limiter_state<Threads>::tell(double from, double to) noexcept {
    if (!options_.on_limit_change)
        return;
    BOOST_TRY {
        options_.on_limit_change(from, to);
    }
    BOOST_CATCH(...) {
        std::lock_guard<typename Threads::mutex> lock(mutex_);
        counts_.fail();
    }
    BOOST_CATCH_END
}

template <typename Threads>
void limiter_state<Threads>::set_limit(std::ptrdiff_t limit) {
    algorithm_pointer fresh;
    if (line::has_algorithm())
        fresh = std::make_shared<limit_algorithm>(options_.algorithm);
    double from, to;
    {
        section here(*this);
        from = limit_;
        line::set_whole(static_cast<double>(limit));
        to = limit_;
        if (fresh != nullptr) {
            algorithm_.swap(fresh);
            ++epoch_;
            samples_.clear();
            peak_ = in_flight_;
            bound_ = false;
        }
        line::make_way(here.taken);
    }
    if (to != from)
        tell(from, to);
}

template <typename Threads>
limiter_statistics limiter_state<Threads>::statistics() const {
    std::lock_guard<typename Threads::mutex> lock(mutex_);
    limiter_statistics all = counts_.all();
    all.limit = limit_;
    all.in_flight = in_flight_;
    all.running = running_;
    all.waiting = requests_.size();
    all.keys = requests_.keys();
    if (!requests_.empty())
        all.expected_wait = counts_.expected_wait(requests_.size(), Threads::now());
    return all;
}

} // namespace asio_semaphore::detail
