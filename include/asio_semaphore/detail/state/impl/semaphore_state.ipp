// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <asio_semaphore/detail/state/semaphore_state.hpp>

#include <asio_semaphore/detail/state/impl/waiting_line.ipp>

#include <boost/assert.hpp>
#include <boost/config.hpp>

#include <memory>
#include <utility>

namespace asio_semaphore::detail {

template <typename Threads>
semaphore_state<Threads>::semaphore_state(
    std::ptrdiff_t initial, std::ptrdiff_t max_permits,
    boost::intrusive_ptr<registry_type> registry) :
    line(std::move(registry)), word_(initial * one_permit), max_(max_permits) {
    line::enlist();
}

template <typename Threads>
outcome semaphore_state<Threads>::enqueue(waiter_type& w, bool is_alarmed) noexcept {
    std::lock_guard<typename Threads::mutex> lock(mutex_);
    const outcome ended = line::ends_at_once(w);
    if (ended != outcome::queued)
        return ended;
    const bool may_wait = line::may_join(w, is_alarmed);
    auto word = word_.load(std::memory_order_relaxed); // relaxed: as in try_acquire
    while ((word & queued_flag) == 0) {
        const bool fits = available_in(word) >= w.count;
        if (!fits && !may_wait)
            return outcome::unalarmed;
        // acquire: pairs with the release of permits that were given back by compare-and-swap
        // before; they are taken here, or handed on under the mutex later [release_and_acquire].
        // Not release: this gives nothing back, and a thread that sees the flag goes through the
        // mutex.
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
    line::join(w);
    return outcome::queued;
}

template <typename Threads>
BOOST_NOINLINE outcome semaphore_state<Threads>::end_at_once(std::ptrdiff_t n) noexcept {
    outcome ended = outcome::queued;
    if (!is_open()) {
        std::lock_guard<typename Threads::mutex> lock(mutex_);
        ended = line::why_not();
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
            Threads::let_winner_go_on();
            word = word_.load(std::memory_order_relaxed); // relaxed: as above
        }
        bool is_done = false;
        if (add_and_serve(delta, is_done))
            return is_done;
    }
}

// Returns false if nobody waits any more.
template <typename Threads>
BOOST_FORCEINLINE bool
semaphore_state<Threads>::add_and_serve(std::ptrdiff_t delta, bool& is_done) noexcept {
    section here(*this);
    // relaxed: the flag changes under the mutex only.
    const auto word = word_.load(std::memory_order_relaxed);
    if ((word & queued_flag) == 0)
        return false;
    // Somebody waits and this thread holds the mutex, so the word does not change.
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
        // relaxed: after a misuse, any value that does not exceed the maximum will do.
        const std::int64_t room = max_ - available_in(word_.load(std::memory_order_relaxed));
        n = room < n ? static_cast<std::ptrdiff_t>(room) : n;
    }
    line::drop(1);
}

// The only place where waiters are granted: in the order of the queue, as long as the head fits.
// The caller holds the mutex, the queued flag is set, and @p available is the number of available
// permits. On return, the flag is set unless the queue is empty.
template <typename Threads>
BOOST_FORCEINLINE void
semaphore_state<Threads>::settle(std::int64_t available, taken_type& taken) noexcept {
    while (!queue_.empty() && queue_.front().count <= available) {
        available -= queue_.front().count;
        line::take(queue_.front(), outcome::granted, taken);
    }
    // release: as in add, for the next thread that acquires by compare-and-swap
    // [release_behind_a_head_that_is_cancelled].
    word_.store(
        available * one_permit + (queue_.empty() ? 0 : queued_flag), std::memory_order_release);
}

template <typename Threads>
void semaphore_state<Threads>::bar() noexcept {
    // relaxed, both: an acquire that sees the closed flag goes through the mutex, and these
    // operations continue the release sequences of the word.
    if (phase_ != phase::open)
        word_.fetch_or(closed_flag, std::memory_order_relaxed);
    word_.fetch_and(~queued_flag, std::memory_order_relaxed);
}

template <typename Threads>
void semaphore_state<Threads>::make_way(taken_type& taken) noexcept {
    // relaxed: the flag changes under the mutex only.
    if ((word_.load(std::memory_order_relaxed) & queued_flag) != 0)
        settle(available(), taken);
}

} // namespace asio_semaphore::detail
