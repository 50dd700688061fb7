// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// How a request that arrives is admitted, refused or queued.

#include <asio_semaphore/detail/state/admission_line.hpp>

#include <asio_semaphore/detail/state/impl/admission_line.ipp>

#include <boost/config.hpp>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>

namespace asio_semaphore::detail {

// Whether the request can never fit. False with an algorithm, which may set any limit.
template <typename Threads>
bool admission_line<Threads>::is_beyond(const admission_request& r) const noexcept {
    return !has_algorithm() && r.weight > whole_;
}

// The outcome, if it can be decided without looking at the waiters; else `queued`.
template <typename Threads>
outcome admission_line<Threads>::check(const admission_request& r) const noexcept {
    if (phase_ == phase::shut)
        return outcome::abandoned;
    if (!detail::is_valid(r))
        return outcome::invalid_argument;
    if (options_.enforce ? is_beyond(r) : r.weight > max() - in_flight_)
        return outcome::exceeds_max;
    if (phase_ != phase::open)
        return this->why_not();
    return r.weight == 0 ? outcome::granted : outcome::queued;
}

// If others wait and there is room for one more, enqueue decides, which reads the clock anyway.
template <typename Threads>
BOOST_FORCEINLINE bool
admission_line<Threads>::may_queue(const admission_request& r, std::size_t others) const noexcept {
    return others != 0 && others < options_.max_waiting && options_.enforce &&
           r.max_wait.value_or(options_.max_wait) > duration::zero();
}

// Includes what enqueue does not check: that the request is valid, and that it can ever fit, as a
// weight of 1 always can.
template <typename Threads>
BOOST_FORCEINLINE bool
admission_line<Threads>::has_to_wait(const admission_request& r) const noexcept {
    return r.weight == 1 && detail::is_valid(r) && may_queue(r, queued());
}

template <typename Threads>
BOOST_NOINLINE auto admission_line<Threads>::make_record() -> spare_record {
    return std::make_unique<key_record>(0);
}

template <typename Threads>
outcome
admission_line<Threads>::try_admit(const admission_request& r, place& granted, bool is_counted) {
    for (spare_record spare;; spare = make_record()) {
        const outcome result = try_admit(r, granted, spare, is_counted);
        if (result != outcome::unrecorded)
            return result;
    }
}

template <typename Threads>
outcome admission_line<Threads>::enqueue(admission_waiter_type& w, bool is_alarmed) {
    for (spare_record spare;; spare = make_record()) {
        const outcome result = enqueue(w, spare, is_alarmed); // w may be gone now
        if (result != outcome::unrecorded)
            return result;
    }
}

// The fast path: nobody waits, there are no shares to maintain, and the request fits.
template <typename Threads>
BOOST_FORCEINLINE bool
admission_line<Threads>::admits_plainly(const admission_request& r) const noexcept {
    return phase_ == phase::open && r.key == 0 && requests_.is_plain() && detail::is_valid(r) &&
           r.weight > 0 && r.weight <= allowed_[static_cast<std::size_t>(r.priority)] - in_flight_;
}

template <typename Threads>
BOOST_FORCEINLINE place
admission_line<Threads>::admit_plainly(const admission_request& r) noexcept {
    const time_point now = has_algorithm() ? Threads::now() : unset;
    return note_admitted(
        requests_.hold_plainly(r.weight), r.weight, r.priority, now, duration::zero());
}

template <typename Threads>
bool admission_line<Threads>::try_admit_plainly(
    const admission_request& r, place& granted) noexcept {
    if (queued() != 0)
        return false;
    std::lock_guard<typename Threads::mutex> lock(mutex_);
    const bool admits = admits_plainly(r);
    if (admits)
        granted = admit_plainly(r);
    return admits;
}

// On `unrecorded`, the caller provides a spare record and tries again.
template <typename Threads>
outcome admission_line<Threads>::try_admit(
    const admission_request& r, place& granted, spare_record& spare, bool is_counted) {
    spare_record excess; // freed with the mutex unlocked
    section here(*this);
    if (admits_plainly(r)) {
        granted = admit_plainly(r);
        return outcome::granted;
    }
    excess.reset(records_.take_excess());
    const outcome told = check(r);
    if (told != outcome::queued) {
        // Invalid requests, and requests of weight 0, are not counted.
        if (is_counted && is_valid(r) && r.weight > 0)
            counts_.refuse(r.priority, told);
        return told;
    }
    if (is_counted && may_queue(r, requests_.size()))
        return outcome::queued;
    const time_point now = needs_clock(r.key) ? Threads::now() : unset;
    let_time_pass(now, here.taken);
    const bool is_queue_full = is_full(now, here.taken);
    key_record* record = requests_.find(r.key);
    const bool is_at_once = is_next(record, r.priority, r.weight);
    if (is_at_once || !options_.enforce) {
        if (record == nullptr && (record = enter(r.key, spare)) == nullptr)
            return outcome::unrecorded;
        if (!is_at_once || is_beyond(r))
            counts_.exceed_limit();
        granted = admit(*record, r.weight, r.priority, now, duration::zero());
        // The key holds more now, so the candidate may now be a request of another key.
        if (!requests_.empty())
            settle(now, here.taken);
        return outcome::granted;
    }
    if (!is_counted)
        return outcome::queued;
    outcome refused = outcome::queued;
    if (r.max_wait.value_or(options_.max_wait) <= duration::zero())
        refused = outcome::timed_out;
    else if (is_queue_full && requests_.victim(record, r.priority) == nullptr)
        refused = outcome::queue_full;
    counts_.refuse(r.priority, refused);
    return refused;
}

// A flood: the queue is full, no time has passed for those who wait, and none of them leaves for
// the request.
template <typename Threads>
bool admission_line<Threads>::try_refuse(const admission_request& r) noexcept {
    if (queued() == 0 || queued() < options_.max_waiting)
        return false;
    std::lock_guard<typename Threads::mutex> lock(mutex_);
    if (check(r) != outcome::queued || requests_.empty() ||
        requests_.size() < options_.max_waiting ||
        r.max_wait.value_or(options_.max_wait) <= duration::zero() ||
        // The clock is read only if a later time can change what the queue decides.
        (has_changed(never) && has_changed(Threads::now())))
        return false;
    note_candidate();
    const key_record* const record = requests_.find(r.key);
    if (is_next(record, r.priority, r.weight) || requests_.victim(record, r.priority) != nullptr)
        return false;
    counts_.refuse(r.priority, outcome::queue_full);
    return true;
}

// The usual case under load: others wait, no time has passed for any of them, and there is a place
// in the queue.
template <typename Threads>
bool admission_line<Threads>::try_enqueue(admission_waiter_type& w) noexcept {
    std::lock_guard<typename Threads::mutex> lock(mutex_);
    if (this->ends_at_once(w) != outcome::queued || requests_.empty() ||
        requests_.size() >= options_.max_waiting)
        return false;
    const time_point now = Threads::now();
    if (has_changed(now))
        return false;
    key_record* const record = requests_.find(w.key);
    if (record == nullptr && records_.empty())
        return false;
    note_candidate();
    if (is_next(record, w.priority(), w.weight))
        return false;
    fix_deadline(w, now);
    if (!this->may_join(w, false))
        return false;
    spare_record none;
    stand(w, record, none);
    return true;
}

template <typename Threads>
outcome
admission_line<Threads>::enqueue(admission_waiter_type& w, spare_record& spare, bool is_alarmed) {
    spare_record excess; // freed with the mutex unlocked
    section here(*this);
    excess.reset(records_.take_excess());
    const outcome told = this->ends_at_once(w);
    if (told != outcome::queued) {
        counts_.refuse(w.priority(), told);
        return told;
    }
    const time_point now = Threads::now();
    let_time_pass(now, here.taken);
    const bool is_queue_full = is_full(now, here.taken);
    // The deadline may have passed while the alarm was being set for it.
    if (w.has_arrived && w.is_timed && w.at <= now) {
        counts_.refuse(w.priority(), w.at_deadline);
        return w.at_deadline;
    }
    key_record* record = requests_.find(w.key);
    if (is_next(record, w.priority(), w.weight)) {
        if (record == nullptr && (record = enter(w.key, spare)) == nullptr)
            return outcome::unrecorded;
        w.take(admit(
            *record, w.weight, w.priority(), now, w.has_arrived ? now - w.since : duration()));
        settle(now, here.taken); // as in try_admit
        return outcome::granted;
    }
    fix_deadline(w, now);
    queued_request* victim = nullptr;
    if (is_queue_full && (victim = requests_.victim(record, w.priority())) == nullptr) {
        counts_.refuse(w.priority(), outcome::queue_full);
        return outcome::queue_full;
    }
    // No request is evicted for one that cannot wait yet.
    if (!this->may_join(w, is_alarmed))
        return outcome::unalarmed;
    if (record == nullptr && records_.empty() && spare == nullptr)
        return outcome::unrecorded;
    // Looked at before the victim leaves: a queue in which w replaces the only request was never
    // empty.
    if (requests_.empty()) {
        empty_until_ = now;
        counts_.begin_queue(now);
    }
    if (victim != nullptr) {
        this->take_out(static_cast<admission_waiter_type&>(*victim), outcome::shed, here.taken);
        record = requests_.find(w.key); // the victim may have been the last request of the key
    }
    stand(w, record, spare);
    here.joined();
    if (victim != nullptr)
        settle(now, here.taken);
    return outcome::queued;
}

template <typename Threads>
outcome admission_line<Threads>::try_wait_idle() const noexcept {
    std::lock_guard<typename Threads::mutex> lock(mutex_);
    if (phase_ >= phase::destroyed)
        return this->why_not();
    return is_idle() ? outcome::granted : outcome::queued;
}

template <typename Threads>
outcome admission_line<Threads>::enqueue_idle(waiter_type& w) noexcept {
    std::lock_guard<typename Threads::mutex> lock(mutex_);
    if (phase_ >= phase::destroyed)
        return this->why_not();
    if (line::is_cancelled(w))
        return outcome::aborted;
    if (is_idle())
        return outcome::granted;
    this->join(w);
    return outcome::queued;
}

// Without an algorithm and without keys, a request that is admitted at once needs no clock.
template <typename Threads>
bool admission_line<Threads>::needs_clock(std::uint64_t key) const noexcept {
    return has_algorithm() || key != 0 || requests_.keys() != 0 || !requests_.empty();
}

// Whether an arrival is granted at once. If the limit holds it back, the next sample says so.
template <typename Threads>
bool admission_line<Threads>::is_next(
    const key_record* record, int priority, std::ptrdiff_t weight) noexcept {
    const bool is_candidate = ends_ == 0 && requests_.would_be_candidate(record, priority, weight);
    if (is_candidate && fits(priority, weight))
        return true;
    // If the request is not the candidate, another request or the key's cap holds it back.
    if (is_candidate)
        bound_ = true;
    return false;
}

// Overdue requests keep their positions only until another request needs one. Called before
// `is_next`: a key may leave with its overdue request, and then enters anew with its next one.
template <typename Threads>
bool admission_line<Threads>::is_full(time_point now, taken_type& taken) noexcept {
    while (requests_.size() >= options_.max_waiting) {
        auto* const late = this->overdue(now);
        if (late == nullptr)
            return true;
        this->take_out(*late, late->at_deadline, taken);
    }
    return false;
}

// Returns null if there is no spare record: the caller must provide one.
template <typename Threads>
key_record* admission_line<Threads>::enter(std::uint64_t key, spare_record& spare) noexcept {
    key_record* record = spare.release();
    if (record == nullptr)
        record = records_.take();
    if (record != nullptr) {
        record->use_for(key);
        requests_.enter(*record);
    }
    return record;
}

// @param record null if the key is not present
template <typename Threads>
BOOST_FORCEINLINE void admission_line<Threads>::stand(
    admission_waiter_type& w, key_record* record, spare_record& spare) noexcept {
    if (record == nullptr)
        record = enter(w.key, spare);
    requests_.push(w, *record);
    note_queued();
    this->join(w);
}

template <typename Threads>
void admission_line<Threads>::fix_deadline(admission_waiter_type& w, time_point now) noexcept {
    if (std::exchange(w.has_arrived, true))
        return;
    duration wait = w.has_max_wait ? w.max_wait : options_.max_wait;
    w.since = now;
    if (options_.busy_wait > duration::zero() && is_standing(now)) {
        wait = std::min(wait, options_.busy_wait);
        w.at_deadline = outcome::shed;
    }
    w.at = wait < never - now ? now + wait : never;
    w.is_timed = w.at != never;
}

} // namespace asio_semaphore::detail
