#pragma once

#include <asio_semaphore/detail/state/semaphore_state.hpp>

#include <asio_semaphore/detail/state/impl/cancellation_link.ipp>
#include <asio_semaphore/detail/state/impl/state_registry.ipp>

#include <boost/assert.hpp>
#include <boost/config.hpp>

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
semaphore_state<Threads>::critical_section::critical_section(semaphore_state& state) noexcept :
    state_(state) {
    state.mutex_.lock();
    waiting_before_ = state.waiting();
}

// Inlined by force, here and below, is what every hand-over goes through: that saves 18
// instructions of 663.
template <typename Threads>
BOOST_FORCEINLINE semaphore_state<Threads>::critical_section::~critical_section() {
    if (taken.empty()) {
        state_.mutex_.unlock();
        return;
    }
    std::uint64_t share = waiting_before_ - state_.waiting();
    waiter_type& last = taken.back();
    // Whoever runs the execution context is work that keeps it busy, and nobody can destroy it
    // meanwhile; but what has to wait for an outer submission outlasts that run.
    if (Threads::template thread_pointer<submitting>() != nullptr || !last.is_inside()) {
        keep_busy(last);
        last.ends_batch = true;
        share += one_batch;
    }
    // A reference for each, and the batch. relaxed: the caller's own reference keeps the state
    // until here, and whoever has to wait for the batch passes the mutex first.
    state_.lifetime_.fetch_add(share, std::memory_order_relaxed);
    state_.mutex_.unlock();
    deliver(taken);
}

template <typename Threads>
void semaphore_state<Threads>::deliver(taken_type& taken) noexcept {
    // An executor may drop or run what it is given right here, and so give back permits, of any
    // semaphore. Those whom that serves join the list that is being worked off already: the stack
    // does not grow with the number of waiters.
    if (submitting* const current = Threads::template thread_pointer<submitting>())
        current->rest->append(taken);
    else
        submit_all(taken);
}

template <typename Threads>
void semaphore_state<Threads>::submit_all(taken_type& taken) noexcept {
    submitting*& current = Threads::template thread_pointer<submitting>();
    submitting here{&taken, nullptr, current};
    current = &here;
    while (!taken.empty()) {
        waiter_type& w = taken.pop_front();
        here.ending = w.ends_batch ? w.state : nullptr;
        w.submit(); // w may be gone now, and the semaphore object too
        if (here.ending != nullptr)
            here.ending->drop(one_batch);
    }
    current = here.outer;
}

template <typename Threads>
outcome semaphore_state<Threads>::enqueue(waiter_type& w) noexcept {
    std::lock_guard<typename Threads::mutex> lock(mutex_);
    if (phase_ != phase::open)
        return ended_locked();
    for (link_type* link = w.links; link != nullptr; link = link->next_) {
        if (link->fired_)
            return link->result_;
    }
    auto word = word_.load(std::memory_order_relaxed); // relaxed: as in try_acquire
    while ((word & queued_flag) == 0) {
        const bool fits = available_in(word) >= w.count;
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
    queue_.push_back(w);
    if (busy_ == nullptr) {
        keep_busy(w);
        busy_ = &w;
    }
    // relaxed, both: the mutex orders them.
    waiting_.store(waiting() + 1, std::memory_order_relaxed);
    for (link_type* link = w.links; link != nullptr; link = link->next_)
        link->target_.store(&w, std::memory_order_relaxed);
    return outcome::queued;
}

template <typename Threads>
BOOST_NOINLINE outcome semaphore_state<Threads>::not_taken(std::ptrdiff_t n) noexcept {
    outcome ended = outcome::queued;
    if (!is_open()) {
        std::lock_guard<typename Threads::mutex> lock(mutex_);
        ended = ended_locked();
    }
    if (ended == outcome::abandoned)
        return ended;
    if (n < 0)
        return outcome::invalid_argument;
    if (n > max_)
        return outcome::exceeds_max;
    return n == 0 && ended == outcome::queued ? outcome::granted : ended;
}

template <typename Threads>
outcome semaphore_state<Threads>::ended_locked() const noexcept {
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
        critical_section section(*this);
        if (queue_.empty())
            continue;
        // Somebody waits and the mutex is ours: the word holds still.
        const std::int64_t available = this->available();
        if (!stays_in_range(available, delta))
            return false;
        settle(available + delta, section.taken);
        return true;
    }
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

template <typename Threads>
BOOST_FORCEINLINE void
semaphore_state<Threads>::take(waiter_type& w, outcome result, taken_type& taken) noexcept {
    queue_.remove(w);
    waiting_.store(waiting() - 1, std::memory_order_relaxed); // relaxed: the mutex orders it
    link_type* const links = w.links;
    w.state = this;
    w.result = result;
    taken.push_back(w);
    if (links != nullptr || busy_ == &w)
        relieve(w, links);
}

// Of its links, and of keeping the executor busy for others.
template <typename Threads>
BOOST_NOINLINE void semaphore_state<Threads>::relieve(waiter_type& w, link_type* links) noexcept {
    while (links != nullptr) {
        link_type* const next = links->next_;
        // release: the last access to the link; its destructor may free it as soon as it reads the
        // null [grant_and_end_of_the_link].
        links->target_.store(nullptr, std::memory_order_release);
        links = next;
    }
    if (busy_ == &w) {
        // The last: in a queue that never empties, a waiter's turn to do so comes once a round.
        busy_ = queue_.empty() ? nullptr : &queue_.back();
        if (busy_ != nullptr)
            keep_busy(*busy_);
    }
}

// The only thing that is called under the mutex: it counts, of an executor that is one of Asio's.
template <typename Threads>
void semaphore_state<Threads>::keep_busy(waiter_type& w) noexcept {
    if (!w.keeps_busy) {
        w.keep_busy();
        w.keeps_busy = true;
    }
}

template <typename Threads>
void semaphore_state<Threads>::take_all(outcome result, taken_type& taken) noexcept {
    while (!queue_.empty())
        take(queue_.front(), result, taken);
}

template <typename Threads>
std::size_t semaphore_state<Threads>::cancel() noexcept {
    critical_section section(*this);
    const std::size_t cancelled = waiting();
    if (cancelled > 0) {
        take_all(outcome::aborted, section.taken);
        settle(available(), section.taken);
    }
    return cancelled;
}

template <typename Threads>
void semaphore_state<Threads>::cancel(link_type& link) noexcept {
    critical_section section(*this);
    link.fired_ = true;
    // relaxed: written under the mutex only.
    if (waiter_type* const w = link.target_.load(std::memory_order_relaxed)) {
        take(*w, link.result_, section.taken);
        settle(available(), section.taken);
    }
}

template <typename Threads>
void semaphore_state<Threads>::disarm(link_type& link) noexcept {
    std::lock_guard<typename Threads::mutex> lock(mutex_);
    // relaxed: written under the mutex only.
    if (waiter_type* const w = link.target_.load(std::memory_order_relaxed)) {
        link_type** place = &w->links;
        while (*place != &link)
            place = &(*place)->next_;
        *place = link.next_;
    }
}

template <typename Threads>
void semaphore_state<Threads>::end(phase p, outcome result) noexcept {
    critical_section section(*this);
    if (phase_ < p)
        phase_ = p;
    // relaxed, both: whoever sees the flags of an end goes through the mutex, and as parts of the
    // release sequences in the word they cut none off.
    word_.fetch_or(closed_flag, std::memory_order_relaxed);
    take_all(result, section.taken);
    word_.fetch_and(~queued_flag, std::memory_order_relaxed);
}

template <typename Threads>
bool semaphore_state<Threads>::go_away() noexcept {
    std::lock_guard<typename Threads::mutex> lock(mutex_);
    ++away_;
    return keeper_ == nullptr && phase_ != phase::shut;
}

template <typename Threads>
void semaphore_state<Threads>::keep(away_keeper& keeper) noexcept {
    {
        std::lock_guard<typename Threads::mutex> lock(mutex_);
        if (keeper_ == nullptr && phase_ != phase::shut) {
            keeper_ = &keeper;
            return;
        }
    }
    keeper.end();
}

template <typename Threads>
void semaphore_state<Threads>::come_back() noexcept {
    away_keeper* last = nullptr;
    {
        std::lock_guard<typename Threads::mutex> lock(mutex_);
        if (--away_ == 0)
            last = std::exchange(keeper_, nullptr);
        // The context must not go in the middle of that, as in that of a submission. relaxed: as
        // for a batch.
        if (last != nullptr)
            lifetime_.fetch_add(one_batch, std::memory_order_relaxed);
    }
    if (last != nullptr) {
        last->end();
        drop(one_batch);
    }
}

template <typename Threads>
void semaphore_state<Threads>::shut(taken_type& doomed, away_keeper*& keepers) noexcept {
    std::lock_guard<typename Threads::mutex> lock(mutex_);
    const std::size_t before = waiting();
    phase_ = phase::shut;
    // relaxed, all three: as in end, and as whoever adds a reference.
    word_.fetch_or(closed_flag, std::memory_order_relaxed);
    take_all(outcome::abandoned, doomed);
    word_.fetch_and(~queued_flag, std::memory_order_relaxed);
    lifetime_.fetch_add(before, std::memory_order_relaxed);
    if (keeper_ != nullptr) {
        keeper_->next = keepers;
        keepers = std::exchange(keeper_, nullptr);
    }
}

// A handler that its executor dropped may destroy a context: what this thread has yet to submit
// there goes first, ...
template <typename Threads>
void semaphore_state<Threads>::submit_rest() noexcept {
    if (submitting* const current = Threads::template thread_pointer<submitting>())
        submit_all(*current->rest);
}

// ... and what it is in the middle of submitting is not waited for.
template <typename Threads>
void semaphore_state<Threads>::await_submissions() const noexcept {
    std::uint64_t own = 0;
    for (auto* s = Threads::template thread_pointer<submitting>(); s != nullptr; s = s->outer)
        own += s->ending == this ? one_batch : 0;
    // acquire: the submissions happened before what is destroyed next, and before the context goes
    // [grant_and_shutdown, comes_back_and_shutdown].
    while (lifetime_.load(std::memory_order_acquire) >= own + one_batch)
        Threads::yield();
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
