#pragma once

#include <asio_semaphore/detail/state/semaphore_state.hpp>

#include <asio_semaphore/detail/state/impl/alarm.ipp>
#include <asio_semaphore/detail/state/impl/cancellation_link.ipp>
#include <asio_semaphore/detail/state/impl/state_registry.ipp>

#include <boost/assert.hpp>
#include <boost/config.hpp>

#include <memory>
#include <utility>

namespace asio_semaphore::detail {

template <typename Threads>
semaphore_state<Threads>::semaphore_state(
    std::ptrdiff_t initial, std::ptrdiff_t max_permits,
    boost::intrusive_ptr<registry_type> registry) :
    word_(initial * one_permit), max_(max_permits), registry_(std::move(registry)) {
    registry_->insert(*this);
}

template <typename Threads>
semaphore_state<Threads>::~semaphore_state() {
    registry_->erase(*this);
}

template <typename Threads>
semaphore_state<Threads>::section::section(semaphore_state& state) noexcept : state_(state) {
    state.mutex_.lock();
    waiting_before_ = state.waiting();
}

// Inlined by force, here and below, is what every hand-over goes through.
template <typename Threads>
BOOST_FORCEINLINE semaphore_state<Threads>::section::~section() {
    if (taken.empty()) {
        state_.mutex_.unlock();
        return;
    }
    waiter_type& last = taken.back();
    submission* const outer = Threads::template thread_pointer<submission>();
    const bool is_idle = state_.alarm_ != nullptr && state_.alarm_->is_idle();
    // What has to wait for an outer submission outlasts what this thread is inside of.
    if (is_idle || outer != nullptr || last.holds_work || counted_ != 0 || !last.is_inside()) {
        last.then = is_idle ? ends::section_and_alarm : ends::section;
        let_hold_work(last);
        count(one_section);
    } else {
        count(0);
    }
    state_.mutex_.unlock();
    // An executor may drop or run what it is given right here, and so give back permits, of any
    // semaphore. Those who are granted by that join the list that is being worked off already: the
    // stack does not grow with the number of waiters.
    if (outer != nullptr)
        outer->rest->append(taken);
    else
        submit_all(std::move(taken));
}

// A reference for each that was taken in this critical section, and the section itself.
template <typename Threads>
BOOST_FORCEINLINE void semaphore_state<Threads>::section::count(std::uint64_t sections) noexcept {
    // relaxed: the caller's own reference keeps the state until here, and whoever has to wait for
    // the section passes the mutex first.
    state_.lifetime_.fetch_add(
        waiting_before_ - state_.waiting() + sections - counted_, std::memory_order_relaxed);
    counted_ = sections;
}

template <typename Threads>
BOOST_NOINLINE void semaphore_state<Threads>::section::let_others_in() noexcept {
    let_hold_work(taken.back());
    count(one_section);
    state_.mutex_.unlock();
    state_.mutex_.lock();
    waiting_before_ = state_.waiting();
}

template <typename Threads>
void semaphore_state<Threads>::submit_all(taken_type taken) noexcept {
    submission*& current = Threads::template thread_pointer<submission>();
    submission here{&taken, nullptr, current};
    current = &here;
    while (!taken.empty()) {
        waiter_type& w = taken.pop_front();
        const ends then = w.then;
        here.section_of = then != ends::nothing ? w.state : nullptr;
        w.submit(); // w may be gone now, and the semaphore object too
        if (then != ends::nothing)
            here.section_of->end_section(then);
    }
    current = here.outer;
}

template <typename Threads>
BOOST_FORCEINLINE void semaphore_state<Threads>::end_section(ends what) noexcept {
    if (what == ends::section_and_alarm)
        alarm_->try_post();
    drop(one_section);
}

template <typename Threads>
outcome semaphore_state<Threads>::enqueue(waiter_type& w, bool is_alarmed) noexcept {
    std::lock_guard<typename Threads::mutex> lock(mutex_);
    if (phase_ != phase::open)
        return why_not();
    if (w.link != nullptr && w.link->fired_)
        return outcome::aborted;
    deadline_node* const deadline =
        w.is_timed ? static_cast<timed_waiter_type*>(std::addressof(w)) : nullptr;
    const bool may_wait = deadline == nullptr || is_alarmed ||
                          (alarm_ != nullptr && alarm_->provides_for(deadline->at));
    auto word = word_.load(std::memory_order_relaxed); // relaxed: as in try_acquire
    while ((word & queued_flag) == 0) {
        const bool fits = available_in(word) >= w.count;
        if (!fits && !may_wait)
            return outcome::unalarmed;
        // acquire: permits given back by compare-and-swap until here are taken, or handed on under
        // the mutex from here on [release_and_acquire]. Not release: this gives nothing back, and
        // whoever sees the flag goes through the mutex.
        if (word_.compare_exchange_weak(
                word, fits ? word - w.count * one_permit : word | queued_flag,
                std::memory_order_acquire, std::memory_order_relaxed)) {
            if (fits)
                return outcome::granted;
            break;
        }
    }
    if (!may_wait)
        return outcome::unalarmed;
    queue_.push_back(w);
    if (holder_ == nullptr) {
        let_hold_work(w);
        holder_ = &w;
    }
    if (deadline != nullptr)
        alarm_->deadlines_.insert(*deadline);
    // relaxed, both: the mutex orders them.
    waiting_.store(waiting() + 1, std::memory_order_relaxed);
    if (w.link != nullptr)
        w.link->target_.store(&w, std::memory_order_relaxed);
    return outcome::queued;
}

template <typename Threads>
BOOST_NOINLINE outcome semaphore_state<Threads>::end_at_once(std::ptrdiff_t n) noexcept {
    outcome ended = outcome::queued;
    if (!is_open()) {
        std::lock_guard<typename Threads::mutex> lock(mutex_);
        ended = why_not();
    }
    if (ended == outcome::abandoned)
        return ended;
    if (n < 0)
        return outcome::invalid_argument;
    if (n > max_)
        return outcome::exceeds_max;
    return n == 0 && ended == outcome::queued ? outcome::granted : ended;
}

// Under mutex_: how an acquire ends where the semaphore is not open.
template <typename Threads>
outcome semaphore_state<Threads>::why_not() const noexcept {
    switch (phase_) {
    case phase::shut:
        return outcome::abandoned;
    case phase::destroyed:
        return outcome::aborted;
    default:
        return outcome::closed;
    }
}

template <typename Threads>
bool semaphore_state<Threads>::stays_in_range(
    std::int64_t available, std::ptrdiff_t delta) const noexcept {
    return delta < 0 ? delta >= -std::int64_t(max()) - available : delta <= max_ - available;
}

template <typename Threads>
BOOST_NOINLINE bool semaphore_state<Threads>::add(std::ptrdiff_t delta) noexcept {
    for (;;) {
        auto word = word_.load(std::memory_order_relaxed); // relaxed: as in try_acquire
        while ((word & queued_flag) == 0) {
            const std::int64_t available = available_in(word);
            if (!stays_in_range(available, delta))
                return false;
            // release: as in release() [release_while_the_head_is_cancelled].
            if (word_.compare_exchange_weak(
                    word, (available + delta) * one_permit + (word & closed_flag),
                    std::memory_order_release, std::memory_order_relaxed))
                return true;
        }
        bool is_done = false;
        if (add_and_serve(delta, is_done))
            return is_done;
    }
}

// False where nobody waits any more.
template <typename Threads>
BOOST_FORCEINLINE bool
semaphore_state<Threads>::add_and_serve(std::ptrdiff_t delta, bool& is_done) noexcept {
    section here(*this);
    const auto word = word_.load(std::memory_order_relaxed); // relaxed: the flag is the mutex's
    if ((word & queued_flag) == 0)
        return false;
    // Somebody waits and the mutex is ours: the word holds still.
    const std::int64_t available = available_in(word);
    is_done = stays_in_range(available, delta);
    if (is_done)
        settle(available + delta, here.taken);
    return true;
}

template <typename Threads>
BOOST_NOINLINE void semaphore_state<Threads>::put_back(std::ptrdiff_t n) noexcept {
    while (!release(n)) {
        BOOST_ASSERT_MSG(
            false, "a permit gives back more than the semaphore's maximum: it was adopted without "
                   "having been acquired, or released by hand too, or permits were added while "
                   "it was held, or a compiler destroyed it twice; see doc/troubleshooting.md");
        // relaxed: after a misuse anything will do that is not beyond the maximum.
        const std::int64_t room = max_ - available_in(word_.load(std::memory_order_relaxed));
        n = room < n ? static_cast<std::ptrdiff_t>(room) : n;
    }
    drop(1);
}

// The one place where waiters are granted: in the order of the queue, as long as the head fits.
// Called by the mutex's holder while the queued flag is set, with the permits that are available
// now; leaves the flag as the queue is.
template <typename Threads>
BOOST_FORCEINLINE void
semaphore_state<Threads>::settle(std::int64_t available, taken_type& taken) noexcept {
    while (!queue_.empty() && queue_.front().count <= available) {
        available -= queue_.front().count;
        take(queue_.front(), outcome::granted, taken);
    }
    // release: as in add, for whoever acquires by compare-and-swap next
    // [release_behind_a_head_that_is_cancelled].
    word_.store(
        available * one_permit + (queue_.empty() ? 0 : queued_flag), std::memory_order_release);
}

// Somebody has left the queue, or somebody who was in it is gone: whoever fits now is granted.
template <typename Threads>
void semaphore_state<Threads>::make_way(taken_type& taken) noexcept {
    // relaxed: the flag changes under the mutex only.
    if ((word_.load(std::memory_order_relaxed) & queued_flag) != 0)
        settle(available(), taken);
}

template <typename Threads>
BOOST_FORCEINLINE void
semaphore_state<Threads>::take(waiter_type& w, outcome result, taken_type& taken) noexcept {
    queue_type::remove(w);
    waiting_.store(waiting() - 1, std::memory_order_relaxed); // relaxed: the mutex orders it
    link_type* const link = w.link;
    w.state = this;
    w.result = result;
    taken.push_back(w);
    if (holder_ == &w)
        pass_work_on();
    if (w.is_timed)
        leave_alarm(static_cast<timed_waiter_type&>(w));
    // release: the last access to the link; its destructor may free it as soon as it reads the null
    // [grant_and_end_of_the_link].
    if (link != nullptr)
        link->target_.store(nullptr, std::memory_order_release);
}

template <typename Threads>
BOOST_NOINLINE void semaphore_state<Threads>::leave_alarm(timed_waiter_type& w) noexcept {
    alarm_->deadlines_.remove(w);
}

// To the last: in a queue that never empties, a waiter's turn to do so comes once a round.
template <typename Threads>
BOOST_NOINLINE void semaphore_state<Threads>::pass_work_on() noexcept {
    holder_ = queue_.empty() ? nullptr : &queue_.back();
    if (holder_ != nullptr)
        let_hold_work(*holder_);
}

// The only thing that is called under the mutex: it counts, of an executor that is one of Asio's.
template <typename Threads>
BOOST_FORCEINLINE void semaphore_state<Threads>::let_hold_work(waiter_type& w) noexcept {
    if (!w.holds_work) {
        w.hold_work();
        w.holds_work = true;
    }
}

template <typename Threads>
std::size_t
semaphore_state<Threads>::take_some(queue_type& queue, outcome result, taken_type& taken) noexcept {
    const std::size_t before = waiting();
    for (int n = 0; n < Threads::at_a_time && !queue.empty(); ++n)
        take(queue.front(), result, taken);
    return before - waiting();
}

// Those who wait now leave the queue at once, but stay where they can be found: until its turn
// comes, each may still be cancelled, or run out of time.
template <typename Threads>
std::size_t semaphore_state<Threads>::end(phase p, outcome result) noexcept {
    std::size_t ended = 0;
    queue_type ending;
    section here(*this);
    if (phase_ == phase::shut)
        return ended;
    if (phase_ < p) {
        phase_ = p;
        // relaxed, here and below: whoever sees the flags of an end goes through the mutex, and as
        // parts of the release sequences in the word they cut none off.
        word_.fetch_or(closed_flag, std::memory_order_relaxed);
    }
    if (queue_.empty())
        return ended;
    ending.take(queue_);
    word_.fetch_and(~queued_flag, std::memory_order_relaxed);
    for (;;) {
        ended += take_some(ending, result, here.taken);
        if (ending.empty())
            return ended;
        here.let_others_in();
    }
}

template <typename Threads>
void semaphore_state<Threads>::cancel(link_type& link) noexcept {
    section here(*this);
    link.fired_ = true;
    // relaxed: written under the mutex only.
    waiter_type* const w = link.target_.load(std::memory_order_relaxed);
    if (w != nullptr && phase_ != phase::shut) {
        take(*w, outcome::aborted, here.taken);
        make_way(here.taken);
    }
}

template <typename Threads>
void semaphore_state<Threads>::disarm(link_type& link) noexcept {
    std::lock_guard<typename Threads::mutex> lock(mutex_);
    // relaxed: written under the mutex only.
    if (waiter_type* const w = link.target_.load(std::memory_order_relaxed))
        w->link = nullptr;
}

template <typename Threads>
auto semaphore_state<Threads>::find_alarm() noexcept -> alarm_type* {
    std::lock_guard<typename Threads::mutex> lock(mutex_);
    return alarm_.get();
}

template <typename Threads>
void semaphore_state<Threads>::install_alarm(std::unique_ptr<alarm_type> made) noexcept {
    std::lock_guard<typename Threads::mutex> lock(mutex_);
    if (alarm_ == nullptr && phase_ != phase::shut)
        alarm_.swap(made);
}

template <typename Threads>
void semaphore_state<Threads>::shut() noexcept {
    std::lock_guard<typename Threads::mutex> lock(mutex_);
    phase_ = phase::shut;
    // The queue stays as it is, for abandon_queue; nobody else serves it. relaxed: as in end.
    word_.fetch_or(closed_flag, std::memory_order_relaxed);
    word_.fetch_and(~queued_flag, std::memory_order_relaxed);
}

// A handler that its executor dropped may destroy a context: what this thread has yet to submit
// there goes first. What the thread is in the middle of submitting is not waited for below.
template <typename Threads>
void semaphore_state<Threads>::submit_rest() noexcept {
    if (submission* const current = Threads::template thread_pointer<submission>())
        submit_all(std::move(*current->rest));
}

template <typename Threads>
void semaphore_state<Threads>::await_sections() const noexcept {
    std::uint64_t own = 0;
    for (auto* s = Threads::template thread_pointer<submission>(); s != nullptr; s = s->outer)
        own += s->section_of == this ? one_section : 0;
    // acquire: the submissions happened before what is destroyed next, and before the context goes
    // [grant_and_shutdown].
    for (int looks = 0; lifetime_.load(std::memory_order_acquire) >= own + one_section; ++looks)
        Threads::back_off(looks);
}

template <typename Threads>
void semaphore_state<Threads>::shut_alarm() noexcept {
    if (alarm_type* const alarm = find_alarm())
        alarm->shut();
}

template <typename Threads>
void semaphore_state<Threads>::abandon_queue(taken_type& abandoned) noexcept {
    for (bool is_empty = false; !is_empty;) {
        std::lock_guard<typename Threads::mutex> lock(mutex_);
        const std::size_t n = take_some(queue_, outcome::abandoned, abandoned);
        // relaxed: the caller holds a reference.
        lifetime_.fetch_add(n, std::memory_order_relaxed);
        is_empty = queue_.empty();
    }
}

template <typename Threads>
bool semaphore_state<Threads>::try_add_reference() noexcept {
    for (;;) {
        // acquire: where the last reference is gone already, the submissions before happened before
        // the context goes [last_submission_and_shutdown].
        auto lifetime = lifetime_.load(std::memory_order_acquire);
        if (lifetime == 0)
            return false;
        // relaxed: the registry, whose mutex is held, lists the state.
        if (lifetime_.compare_exchange_weak(
                lifetime, lifetime + 1, std::memory_order_relaxed, std::memory_order_relaxed))
            return true;
    }
}

template <typename Threads>
void semaphore_state<Threads>::drop(std::uint64_t share) noexcept {
    // acq_rel: what others did with the state happens before its deletion [last_references], and a
    // submission before the context goes [grant_and_shutdown].
    if (lifetime_.fetch_sub(share, std::memory_order_acq_rel) == share)
        delete this;
}

} // namespace asio_semaphore::detail
