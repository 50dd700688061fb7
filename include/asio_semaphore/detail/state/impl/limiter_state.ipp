#pragma once

#include <asio_semaphore/detail/state/limiter_state.hpp>

#include <asio_semaphore/detail/state/impl/waiting_line.ipp>

#include <boost/assert.hpp>
#include <boost/config.hpp>
#include <boost/core/no_exceptions_support.hpp>
#include <boost/throw_exception.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>
#include <new>
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
    line(std::move(registry)),
    options_(detail::checked(limit, std::move(options))),
    requests_(options_.max_per_key) {
    requests_.set_newest_first(options_.order == queue_order::lifo);
    if (options_.algorithm) {
        algorithm_ = std::make_shared<limit_algorithm>(options_.algorithm);
        samples_.set_capacity(16);
    }
    set_whole(static_cast<double>(limit));
    line::enlist();
}

template <typename Threads>
limiter_state<Threads>::~limiter_state() = default;

template <typename Threads>
limiter_state<Threads>::record_pool::~record_pool() {
    while (key_record* const record = take())
        delete record;
}

template <typename Threads>
void limiter_state<Threads>::record_pool::put(key_record& record) noexcept {
    record.next_spare = std::exchange(first_, &record);
    ++size_;
}

template <typename Threads>
key_record* limiter_state<Threads>::record_pool::take() noexcept {
    key_record* const record = first_;
    if (record != nullptr) {
        first_ = record->next_spare;
        --size_;
    }
    return record;
}

template <typename Threads>
double limiter_state<Threads>::limit() const noexcept {
    std::lock_guard<typename Threads::mutex> lock(mutex_);
    return limit_;
}

template <typename Threads>
std::ptrdiff_t limiter_state<Threads>::in_flight() const noexcept {
    std::lock_guard<typename Threads::mutex> lock(mutex_);
    return in_flight_;
}

template <typename Threads>
std::size_t limiter_state<Threads>::waiting() const noexcept {
    std::lock_guard<typename Threads::mutex> lock(mutex_);
    return requests_.size();
}

template <typename Threads>
bool limiter_state<Threads>::is_open() const noexcept {
    std::lock_guard<typename Threads::mutex> lock(mutex_);
    return phase_ == phase::open;
}

// Whether it will never fit. What an algorithm finds is not known.
template <typename Threads>
bool limiter_state<Threads>::is_beyond(const admission_request& r) const noexcept {
    return algorithm_ == nullptr && r.weight > whole_;
}

// What can be told without looking at who waits; `queued` where nothing can.
template <typename Threads>
outcome limiter_state<Threads>::check(const admission_request& r) const noexcept {
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

template <typename Threads>
BOOST_NOINLINE auto limiter_state<Threads>::make_record() -> spare_record {
    return std::make_unique<key_record>(0);
}

template <typename Threads>
outcome
limiter_state<Threads>::try_admit(const admission_request& r, place& granted, bool is_counted) {
    for (spare_record spare;; spare = make_record()) {
        const outcome result = try_admit(r, granted, spare, is_counted);
        if (result != outcome::unrecorded)
            return result;
    }
}

template <typename Threads>
outcome limiter_state<Threads>::enqueue(admission_waiter_type& w, bool is_alarmed) {
    for (spare_record spare;; spare = make_record()) {
        const outcome result = enqueue(w, spare, is_alarmed); // w may be gone now
        if (result != outcome::unrecorded)
            return result;
    }
}

// The short way: nobody waits, there are no shares to look after, and it fits.
template <typename Threads>
BOOST_FORCEINLINE bool
limiter_state<Threads>::admits_plainly(const admission_request& r) const noexcept {
    return phase_ == phase::open && r.key == 0 && requests_.is_plain() && detail::is_valid(r) &&
           r.weight > 0 && r.weight <= allowed_[static_cast<std::size_t>(r.priority)] - in_flight_;
}

template <typename Threads>
BOOST_FORCEINLINE place limiter_state<Threads>::admit_plainly(const admission_request& r) noexcept {
    const time_point now = algorithm_ != nullptr ? Threads::now() : unset;
    return note_admitted(
        requests_.hold_plainly(r.weight), r.weight, r.priority, now, duration::zero());
}

template <typename Threads>
bool limiter_state<Threads>::try_admit_plainly(
    const admission_request& r, place& granted) noexcept {
    std::lock_guard<typename Threads::mutex> lock(mutex_);
    const bool admits = admits_plainly(r);
    if (admits)
        granted = admit_plainly(r);
    return admits;
}

// With `unrecorded` the caller provides a spare record and tries again.
template <typename Threads>
outcome limiter_state<Threads>::try_admit(
    const admission_request& r, place& granted, spare_record& spare, bool is_counted) {
    spare_record excess; // freed with the mutex free
    section here(*this);
    if (admits_plainly(r)) {
        granted = admit_plainly(r);
        return outcome::granted;
    }
    excess.reset(records_.take_excess());
    const outcome told = check(r);
    if (told != outcome::queued) {
        // Who asks for nothing, or for what there is not, is counted nowhere.
        if (is_counted && is_valid(r) && r.weight > 0)
            count(r.priority, told);
        return told;
    }
    // Where others wait, and there is room for one more, enqueue decides: it looks at the clock
    // anyway.
    if (is_counted && options_.enforce && !requests_.empty() &&
        requests_.size() < options_.max_waiting &&
        r.max_wait.value_or(options_.max_wait) > duration::zero())
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
            ++counts_.over_limit;
        granted = admit(*record, r.weight, r.priority, now, duration::zero());
        // Its key holds more now, and so the candidate may be another's.
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
    count(r.priority, refused);
    return refused;
}

template <typename Threads>
outcome
limiter_state<Threads>::enqueue(admission_waiter_type& w, spare_record& spare, bool is_alarmed) {
    spare_record excess; // freed with the mutex free
    section here(*this);
    excess.reset(records_.take_excess());
    const outcome told = this->ends_at_once(w);
    if (told != outcome::queued) {
        count(w.priority(), told);
        return told;
    }
    const time_point now = Threads::now();
    settle(now, here.taken);
    const bool is_queue_full = is_full(now, here.taken);
    // Its deadline may have passed while the alarm was set for it.
    if (w.has_arrived && w.is_timed && w.at <= now) {
        count(w.priority(), w.at_deadline);
        return w.at_deadline;
    }
    key_record* record = requests_.find(w.key);
    if (is_next(record, w.priority(), w.weight)) {
        if (record == nullptr && (record = enter(w.key, spare)) == nullptr)
            return outcome::unrecorded;
        w.take(admit(
            *record, w.weight, w.priority(), now, w.has_arrived ? now - w.since : duration()));
        settle(now, here.taken); // as there
        return outcome::granted;
    }
    fix_deadline(w, now);
    queued_request* victim = nullptr;
    if (is_queue_full && (victim = requests_.victim(record, w.priority())) == nullptr) {
        count(w.priority(), outcome::queue_full);
        return outcome::queue_full;
    }
    // Nobody is evicted for one that can't wait.
    if (!this->may_join(w, is_alarmed))
        return outcome::unalarmed;
    if (record == nullptr && records_.empty() && spare == nullptr)
        return outcome::unrecorded;
    // Where one leaves for one that comes the queue is not empty in between.
    if (requests_.empty())
        empty_until_ = last_grant_ = now;
    if (victim != nullptr)
        this->take_out(static_cast<admission_waiter_type&>(*victim), outcome::shed, here.taken);
    // The victim may have been the last of the key's.
    record = requests_.find(w.key);
    if (record == nullptr)
        record = enter(w.key, spare);
    requests_.push(w, *record);
    this->join(w);
    here.joined();
    if (victim != nullptr)
        settle(now, here.taken);
    return outcome::queued;
}

template <typename Threads>
outcome limiter_state<Threads>::try_wait_idle() const noexcept {
    std::lock_guard<typename Threads::mutex> lock(mutex_);
    if (phase_ >= phase::destroyed)
        return this->why_not();
    return is_idle() ? outcome::granted : outcome::queued;
}

template <typename Threads>
outcome limiter_state<Threads>::enqueue_idle(waiter_type& w) noexcept {
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

// Without an algorithm and without keys nobody who is admitted at once costs a look at the clock.
template <typename Threads>
bool limiter_state<Threads>::needs_clock(std::uint64_t key) const noexcept {
    return algorithm_ != nullptr || key != 0 || requests_.keys() != 0 || !requests_.empty();
}

template <typename Threads>
bool limiter_state<Threads>::fits(int priority, std::ptrdiff_t weight) const noexcept {
    return weight <= allowed_[static_cast<std::size_t>(priority)] - in_flight_ || running_ == 0;
}

// Whether an arrival is granted at once; where the limit holds it back, the next sample tells.
template <typename Threads>
bool limiter_state<Threads>::is_next(
    const key_record* record, int priority, std::ptrdiff_t weight) noexcept {
    const bool is_candidate = ends_ == 0 && requests_.would_be_candidate(record, priority, weight);
    if (is_candidate && fits(priority, weight))
        return true;
    // A cap of its key's does not count.
    if (is_candidate || requests_.candidate() != nullptr)
        bound_ = true;
    return false;
}

template <typename Threads>
bool limiter_state<Threads>::is_standing(time_point now) const noexcept {
    return !requests_.empty() && now - empty_until_ >= options_.max_wait;
}

// Places are taken by requests whose time is over for no longer than somebody needs one. Asked
// before `is_next`: a key may leave with them, and its next request would enter anew.
template <typename Threads>
bool limiter_state<Threads>::is_full(time_point now, taken_type& taken) noexcept {
    while (requests_.size() >= options_.max_waiting) {
        auto* const late = this->overdue(now);
        if (late == nullptr)
            return true;
        this->take_out(*late, late->at_deadline, taken);
    }
    return false;
}

// Null where there is no memory: the caller has to provide it.
template <typename Threads>
key_record* limiter_state<Threads>::enter(std::uint64_t key, spare_record& spare) noexcept {
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
void limiter_state<Threads>::fix_deadline(admission_waiter_type& w, time_point now) noexcept {
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
place limiter_state<Threads>::admit(
    key_record& record, std::ptrdiff_t weight, int priority, time_point now,
    duration wait) noexcept {
    requests_.hold(record, weight);
    return note_admitted(record, weight, priority, now, wait);
}

template <typename Threads>
BOOST_FORCEINLINE place limiter_state<Threads>::note_admitted(
    key_record& record, std::ptrdiff_t weight, int priority, time_point now,
    duration wait) noexcept {
    in_flight_ += weight;
    ++running_;
    peak_ = std::max(peak_, in_flight_);
    bound_ = bound_ || in_flight_ >= whole_;
    ++counts(priority).admitted;
    counts_.wait.add(wait);
    return {&record, weight, now, epoch_};
}

template <typename Threads>
void limiter_state<Threads>::grant(
    admission_waiter_type& w, time_point now, taken_type& taken) noexcept {
    forget(w);
    w.take(admit(*w.record, w.weight, w.priority(), now, now - w.since));
    const auto since = static_cast<double>((now - std::exchange(last_grant_, now)).count());
    grant_interval_ += (since - grant_interval_) / (grant_interval_ > 0 ? 16 : 1);
    this->take(w, outcome::granted, taken);
}

template <typename Threads>
void limiter_state<Threads>::forget(queued_request& r) noexcept {
    requests_.remove(r);
    if (requests_.empty() && options_.order == queue_order::adaptive)
        requests_.set_newest_first(false);
}

template <typename Threads>
void limiter_state<Threads>::leave(key_record& record) noexcept {
    if (requests_.leave(record))
        records_.put(record);
}

template <typename Threads>
void limiter_state<Threads>::count(int priority, outcome refused) noexcept {
    auto& by = counts(priority);
    switch (refused) {
    case outcome::queue_full:
        ++by.queue_full;
        break;
    case outcome::shed:
        ++by.shed;
        break;
    case outcome::timed_out:
        ++by.timed_out;
        break;
    case outcome::closed:
        ++by.closed;
        break;
    case outcome::aborted:
    case outcome::abandoned:
        ++by.cancelled;
        break;
    default:
        break;
    }
}

// The one place where waiters are granted. Called whenever the candidate may have changed, or what
// it would need.
template <typename Threads>
void limiter_state<Threads>::settle(time_point now, taken_type& taken) noexcept {
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

// Where nobody asks for admission, who waits in the line waits for just that.
template <typename Threads>
void limiter_state<Threads>::let_idle_ones_go(taken_type& taken) noexcept {
    while (is_idle() && !queue_.empty())
        this->take(queue_.front(), outcome::granted, taken);
}

template <typename Threads>
void limiter_state<Threads>::unbar(taken_type& taken) noexcept {
    --ends_;
    make_way(taken);
}

template <typename Threads>
bool limiter_state<Threads>::outlasts(const waiter_type& w, outcome) const noexcept {
    return w.count == 0 && phase_ < phase::destroyed;
}

template <typename Threads>
void limiter_state<Threads>::leaves(waiter_type& w, outcome result) noexcept {
    if (w.count == 0) // waits for an idle limiter
        return;
    auto& request = static_cast<admission_waiter_type&>(w);
    forget(request);
    leave(*request.record);
    count(request.priority(), result);
}

template <typename Threads>
void limiter_state<Threads>::make_way(taken_type& taken) noexcept {
    settle(requests_.empty() ? unset : Threads::now(), taken);
}

template <typename Threads>
BOOST_FORCEINLINE void
limiter_state<Threads>::give_back(const place& p, time_point now, taken_type& taken) noexcept {
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
void limiter_state<Threads>::give_back_share(const place& p, time_point now) noexcept {
    const std::ptrdiff_t ticks = p.since == unset ? 1 : (now - p.since).count();
    requests_.give_back(
        *p.record, p.weight,
        static_cast<double>(ticks > 1 ? ticks : 1) * static_cast<double>(p.weight));
    leave(*p.record);
}

// How an admission ends, in one critical section or, where it needs memory, in several.
template <typename Threads>
struct limiter_state<Threads>::ending {
    const place& given;
    asio_semaphore::outcome result;
    bool is_reported;

    // A larger place for the samples, and so much of it; or there is no memory, and the sample gets
    // lost.
    boost::circular_buffer<limit_sample> room = boost::circular_buffer<limit_sample>();
    std::size_t needs = 0;
    bool drops = false;

    showing shown = {};            // what this thread has to show the algorithm, if anything
    bool keeps_place = false;      // until that has been shown
    bool is_forgotten = false;     // nobody ever calls finish
    spare_record excess = nullptr; // freed with the mutex free, as all of this
};

template <typename Threads>
void limiter_state<Threads>::finish(
    const place& p, asio_semaphore::outcome result, bool is_reported) noexcept {
    if (options_.algorithm)
        finish_shown(p, result, is_reported);
    else
        finish_unshown(p, result, is_reported);
}

template <typename Threads>
BOOST_NOINLINE void limiter_state<Threads>::finish_shown(
    const place& p, asio_semaphore::outcome result, bool is_reported) noexcept {
    ending e{p, result, is_reported};
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
        show(std::move(e.shown), e.keeps_place ? &p : nullptr);
}

// Where there is no algorithm.
template <typename Threads>
void limiter_state<Threads>::finish_unshown(
    const place& p, asio_semaphore::outcome result, bool is_reported) noexcept {
    spare_record excess; // freed with the mutex free
    section here(*this);
    const bool is_timed = !requests_.is_plain() && (p.since != unset || !requests_.empty());
    const time_point now = is_timed ? Threads::now() : unset;
    tally(p, result, is_reported, now);
    excess.reset(records_.take_excess());
    give_back(p, now, here.taken);
}

template <typename Threads>
BOOST_FORCEINLINE void limiter_state<Threads>::tally(
    const place& p, asio_semaphore::outcome result, bool is_reported, time_point now) noexcept {
    switch (result) {
    case asio_semaphore::outcome::success:
        ++counts_.succeeded;
        if (algorithm_ != nullptr)
            counts_.latency.add(now - p.since);
        break;
    case asio_semaphore::outcome::overloaded:
        ++counts_.overloaded;
        break;
    case asio_semaphore::outcome::ignored:
        ++counts_.ignored;
        counts_.unreported += is_reported ? 0 : 1;
        break;
    }
}

// False, with nothing changed, where memory for the sample has to be provided.
template <typename Threads>
bool limiter_state<Threads>::end_admission(ending& e) noexcept {
    using ended = asio_semaphore::outcome;
    section here(*this);
    const place& p = e.given;
    const bool is_timed = p.since != unset || !requests_.empty();
    const time_point now = is_timed ? Threads::now() : unset;
    const bool is_sample = algorithm_ != nullptr && phase_ == phase::open && p.epoch == epoch_ &&
                           e.result != ended::ignored && now > p.since;
    // Others' samples come first: those that the last thread inside left, too.
    const bool is_left = is_shown_ || !samples_.empty();
    if (is_sample && is_left && !make_room(e))
        return false;
    tally(p, e.result, e.is_reported, now);
    e.is_forgotten = algorithm_ != nullptr && !e.is_reported && counts_.unreported == 1000 &&
                     counts_.succeeded + counts_.overloaded + counts_.ignored == 1000;
    e.excess.reset(records_.take_excess());
    if (is_sample) {
        // Below what is in flight a limit is reached as well, where it was lowered.
        const bool bound = bound_ || peak_ >= whole_;
        const limit_sample sample{now, now - p.since, e.result, peak_, bound, limit_};
        peak_ = in_flight_ - p.weight;
        bound_ = false;
        if (!is_left) {
            // The decrease that this report leads to precedes the next grant: the place goes back
            // afterwards.
            is_shown_ = true;
            e.shown = {sample, algorithm_, epoch_};
            e.keeps_place = true;
            return true;
        }
        if (!samples_.full())
            samples_.push_back(sample);
        is_more_left_ = true;
        if (!is_shown_)
            take_sample(e.shown, true);
    }
    give_back(p, now, here.taken);
    return true;
}

// Whether there is room for a sample, or the sample gets lost: there is no memory, or those who
// report are so much faster than the algorithm that it could only be told of the past.
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

// False: nothing is left, or the next to report goes on.
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

// By one thread at a time, with no lock held: what others report meanwhile they leave in samples_.
// Nobody is kept here for ever: after so many samples, where others go on reporting, the next of
// them shows what is left.
template <typename Threads>
void limiter_state<Threads>::show(showing shown, const place* held) noexcept {
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
        shown.algorithm.reset(); // maybe the last reference, to what is the user's
        double from;
        bool changes, goes_on = false;
        {
            section here(*this);
            const time_point now = requests_.is_plain() ? unset : Threads::now();
            from = limit_;
            if (fails)
                ++counts_.algorithm_failures;
            else if (shown.epoch == epoch_ && phase_ == phase::open && std::isfinite(to))
                set_whole(std::max(to, 1.0));
            to = limit_;
            changes = to != from;
            if (held != nullptr)
                give_back(*std::exchange(held, nullptr), now, here.taken);
            else if (changes)
                settle(now, here.taken);
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
        ++counts_.algorithm_failures;
    }
    BOOST_CATCH_END
}

template <typename Threads>
void limiter_state<Threads>::set_whole(double limit) noexcept {
    const auto whole = [](double x) {
        constexpr double huge = static_cast<double>(max() / 2);
        return x < huge ? std::max<std::ptrdiff_t>(static_cast<std::ptrdiff_t>(x), 1) : max();
    };
    limit_ = limit;
    whole_ = whole(limit);
    for (std::size_t p = 0; p < allowed_.size(); ++p) {
        // What a part of a limit lacks of a whole number because a double cannot tell it is not
        // missing.
        constexpr double rounding = 1e-9;
        const double share = options_.share[p];
        allowed_[p] = share < 1 ? std::min(whole(limit * share + rounding), whole_) : whole_;
    }
}

template <typename Threads>
void limiter_state<Threads>::set_limit(std::ptrdiff_t limit) {
    algorithm_pointer fresh;
    if (options_.algorithm)
        fresh = std::make_shared<limit_algorithm>(options_.algorithm);
    double from, to;
    {
        section here(*this);
        from = limit_;
        set_whole(static_cast<double>(limit));
        to = limit_;
        if (fresh != nullptr) {
            algorithm_.swap(fresh);
            ++epoch_;
            samples_.clear();
            peak_ = in_flight_;
            bound_ = false;
        }
        make_way(here.taken);
    }
    if (to != from)
        tell(from, to);
}

template <typename Threads>
limiter_statistics limiter_state<Threads>::statistics() const {
    std::lock_guard<typename Threads::mutex> lock(mutex_);
    limiter_statistics all = counts_;
    all.limit = limit_;
    all.in_flight = in_flight_;
    all.running = running_;
    all.waiting = requests_.size();
    all.keys = requests_.keys();
    if (!requests_.empty()) {
        // An interval that is under way counts once it is longer than usual.
        const auto under_way = static_cast<double>((Threads::now() - last_grant_).count());
        const double wait =
            std::max(grant_interval_, under_way) * static_cast<double>(requests_.size());
        constexpr duration longest = duration::max();
        all.expected_wait = wait < static_cast<double>(longest.count())
                                ? duration(static_cast<duration::rep>(wait))
                                : longest;
    }
    return all;
}

template <typename Threads>
std::vector<key_usage> limiter_state<Threads>::busiest_keys(std::size_t most) const {
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
