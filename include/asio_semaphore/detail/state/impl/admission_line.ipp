// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <asio_semaphore/detail/state/admission_line.hpp>

#include <asio_semaphore/detail/state/impl/waiting_line.ipp>

#include <boost/config.hpp>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>

namespace asio_semaphore::detail {

template <typename Threads>
admission_line<Threads>::admission_line(
    std::ptrdiff_t limit, limiter_options options, boost::intrusive_ptr<registry_type> registry) :
    line(std::move(registry)), options_(std::move(options)), requests_(options_.max_per_key) {
    requests_.set_newest_first(options_.order == queue_order::lifo);
    set_whole(static_cast<double>(limit));
}

template <typename Threads>
admission_line<Threads>::~admission_line() = default;

template <typename Threads>
double admission_line<Threads>::limit() const noexcept {
    std::lock_guard<typename Threads::mutex> lock(mutex_);
    return limit_;
}

template <typename Threads>
std::ptrdiff_t admission_line<Threads>::in_flight() const noexcept {
    std::lock_guard<typename Threads::mutex> lock(mutex_);
    return in_flight_;
}

template <typename Threads>
std::size_t admission_line<Threads>::waiting() const noexcept {
    std::lock_guard<typename Threads::mutex> lock(mutex_);
    return requests_.size();
}

template <typename Threads>
bool admission_line<Threads>::is_open() const noexcept {
    std::lock_guard<typename Threads::mutex> lock(mutex_);
    return phase_ == phase::open;
}

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
    // Without the lock, because enqueue decides. Only the checks that enqueue does not repeat are
    // made here: that the request is valid, and that it can ever fit, as a weight of 1 always can.
    if (is_counted && r.weight == 1 && detail::is_valid(r) && may_queue(r, queued()))
        return outcome::queued;
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
    if (!requests_.empty())
        settle(now, here.taken);
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
    settle(now, here.taken);
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
    if (victim != nullptr)
        this->take_out(static_cast<admission_waiter_type&>(*victim), outcome::shed, here.taken);
    // Looked up again: the victim may have been the last request of the key.
    record = requests_.find(w.key);
    if (record == nullptr)
        record = enter(w.key, spare);
    requests_.push(w, *record);
    note_queued();
    this->join(w);
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

template <typename Threads>
bool admission_line<Threads>::fits(int priority, std::ptrdiff_t weight) const noexcept {
    return weight <= allowed_[static_cast<std::size_t>(priority)] - in_flight_ || running_ == 0;
}

// Whether an arrival is granted at once. If the limit holds it back, the next sample says so.
template <typename Threads>
bool admission_line<Threads>::is_next(
    const key_record* record, int priority, std::ptrdiff_t weight) noexcept {
    const bool is_candidate = ends_ == 0 && requests_.would_be_candidate(record, priority, weight);
    if (is_candidate && fits(priority, weight))
        return true;
    // If only the key's cap holds the request back, the limit does not.
    if (is_candidate || requests_.candidate() != nullptr)
        bound_ = true;
    return false;
}

template <typename Threads>
bool admission_line<Threads>::is_standing(time_point now) const noexcept {
    return !requests_.empty() && now - empty_until_ >= options_.max_wait;
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

template <typename Threads>
place admission_line<Threads>::admit(
    key_record& record, std::ptrdiff_t weight, int priority, time_point now,
    duration wait) noexcept {
    requests_.hold(record, weight);
    return note_admitted(record, weight, priority, now, wait);
}

template <typename Threads>
BOOST_FORCEINLINE place admission_line<Threads>::note_admitted(
    key_record& record, std::ptrdiff_t weight, int priority, time_point now,
    duration wait) noexcept {
    in_flight_ += weight;
    ++running_;
    peak_ = std::max(peak_, in_flight_);
    bound_ = bound_ || in_flight_ >= whole_;
    counts_.admit(priority, wait);
    return {&record, weight, now, epoch_};
}

template <typename Threads>
void admission_line<Threads>::grant(
    admission_waiter_type& w, time_point now, taken_type& taken) noexcept {
    forget(w);
    w.take(admit(*w.record, w.weight, w.priority(), now, now - w.since));
    counts_.grant(now);
    this->take(w, outcome::granted, taken);
}

template <typename Threads>
void admission_line<Threads>::forget(queued_request& r) noexcept {
    requests_.remove(r);
    note_queued();
    if (requests_.empty() && options_.order == queue_order::adaptive)
        requests_.set_newest_first(false);
}

template <typename Threads>
void admission_line<Threads>::leave(key_record& record) noexcept {
    if (requests_.leave(record))
        records_.put(record);
}

// The only place where waiters are granted. Called whenever the candidate may have changed, or may
// fit now.
template <typename Threads>
void admission_line<Threads>::settle(time_point now, taken_type& taken) noexcept {
    if (phase_ == phase::shut)
        return;
    if (phase_ == phase::open && ends_ == 0) {
        if (options_.order == queue_order::adaptive && is_standing(now))
            requests_.set_newest_first(true);
        while (queued_request* const first = requests_.candidate()) {
            auto& w = static_cast<admission_waiter_type&>(*first);
            if (w.is_timed && w.at <= now) {
                this->take_out(w, w.at_deadline, taken);
            } else if (fits(w.priority(), w.weight)) {
                grant(w, now, taken);
            } else {
                bound_ = true;
                break;
            }
        }
    }
    let_idle_ones_go(taken);
}

// If no request waits for admission, every waiter in the line waits for an idle limiter.
template <typename Threads>
void admission_line<Threads>::let_idle_ones_go(taken_type& taken) noexcept {
    while (is_idle() && !queue_.empty())
        this->take(queue_.front(), outcome::granted, taken);
}

template <typename Threads>
void admission_line<Threads>::unbar(taken_type& taken) noexcept {
    --ends_;
    make_way(taken);
}

template <typename Threads>
bool admission_line<Threads>::outlasts(const waiter_type& w, outcome) const noexcept {
    return w.count == 0 && phase_ < phase::destroyed;
}

template <typename Threads>
void admission_line<Threads>::leaves(waiter_type& w, outcome result) noexcept {
    if (w.count == 0) // it waits for an idle limiter
        return;
    auto& request = static_cast<admission_waiter_type&>(w);
    forget(request);
    leave(*request.record);
    counts_.refuse(request.priority(), result);
}

template <typename Threads>
void admission_line<Threads>::make_way(taken_type& taken) noexcept {
    settle(requests_.empty() ? unset : Threads::now(), taken);
}

template <typename Threads>
BOOST_FORCEINLINE void
admission_line<Threads>::give_back(const place& p, time_point now, taken_type& taken) noexcept {
    in_flight_ -= p.weight;
    --running_;
    if (requests_.is_plain())
        requests_.give_back_plainly(p.weight);
    else
        give_back_share(p, now);
    if (line::waiting() != 0)
        settle(now, taken);
}

template <typename Threads>
void admission_line<Threads>::give_back_share(const place& p, time_point now) noexcept {
    const std::ptrdiff_t ticks = p.since == unset ? 1 : (now - p.since).count();
    requests_.give_back(
        *p.record, p.weight,
        static_cast<double>(ticks > 1 ? ticks : 1) * static_cast<double>(p.weight));
    leave(*p.record);
}

template <typename Threads>
void admission_line<Threads>::set_whole(double limit) noexcept {
    const auto whole = [](double x) {
        constexpr double huge = static_cast<double>(max() / 2);
        return x < huge ? std::max<std::ptrdiff_t>(static_cast<std::ptrdiff_t>(x), 1) : max();
    };
    limit_ = limit;
    whole_ = whole(limit);
    for (std::size_t p = 0; p < allowed_.size(); ++p) {
        // A share of a limit that should be a whole number may be slightly less as a double.
        constexpr double rounding = 1e-9;
        const double share = options_.share[p];
        allowed_[p] = share < 1 ? std::min(whole(limit * share + rounding), whole_) : whole_;
    }
}

template <typename Threads>
std::vector<key_usage> admission_line<Threads>::busiest_keys(std::size_t most) const {
    std::vector<key_usage> usages;
    for (std::size_t keys = 16;; keys *= 2) {
        usages.reserve(keys);
        std::lock_guard<typename Threads::mutex> lock(mutex_);
        keys = std::max(keys, requests_.keys());
        if (requests_.keys() > usages.capacity())
            continue;
        requests_.for_each_key([&](const key_record& record) {
            usages.push_back({record.key(), record.held(), record.waiting()});
        });
        break;
    }
    const auto is_busier = [](const key_usage& a, const key_usage& b) {
        return a.in_flight != b.in_flight ? a.in_flight > b.in_flight : a.waiting > b.waiting;
    };
    const auto end = usages.begin() + static_cast<std::ptrdiff_t>(std::min(most, usages.size()));
    std::partial_sort(usages.begin(), end, usages.end(), is_busier);
    usages.erase(end, usages.end());
    return usages;
}

} // namespace asio_semaphore::detail
