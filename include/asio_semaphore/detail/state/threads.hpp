// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// The threading interface of the state layer. Every lock, atomic, wait and clock reading in that
// layer comes from here, so a test can substitute its own scheduler and clock and drive the same
// code through every interleaving.
//
// Every memory order weaker than sequential consistency has a comment that says why it is enough.
// The name in brackets is the scenario of test/model/weak_memory.cpp that fails with a still weaker
// order.

#include <boost/config.hpp>

#include <atomic>
#include <chrono>
#include <thread>

namespace asio_semaphore::detail {

using time_point = std::chrono::steady_clock::time_point;

/// A one-byte mutex for critical sections that are usually short: from a few dozen instructions to
/// a few microseconds. Taking it costs one locked instruction.
/**
 * Compared with std::mutex it saves the locked instruction of the unlock, and 39 bytes in every
 * semaphore. A thread that finds the mutex locked backs off, so that a suspended holder can finish.
 */
template <typename Threads>
class brief_mutex {
public:
    brief_mutex() noexcept = default;
    brief_mutex(const brief_mutex&) = delete;
    brief_mutex& operator=(const brief_mutex&) = delete;

    void lock() noexcept {
        // acquire: what the previous holder did happens before what this holder does
        // [a_mutex_taken_in_turn].
        if (state_.exchange(locked, std::memory_order_acquire) >= locked)
            lock_contended();
    }

    void unlock() noexcept { unlock(unlocked); }

    /// Unlocks and locks again. If another thread wants the mutex, waits until one has taken it,
    /// but for some 200 µs at most: most of the time a thread that backs off is not looking.
    void let_others_in() noexcept {
        // relaxed, here and below: only hints; the exchange in lock decides.
        if (state_.load(std::memory_order_relaxed) == wanted) {
            unlock(offered);
            // Longer than the sleep of a thread that backs off: 50 µs, and what the system adds.
            const time_point end = Threads::now() + std::chrono::microseconds(200);
            for (unsigned looks = 0; state_.load(std::memory_order_relaxed) == offered; ++looks) {
                if (Threads::now() >= end)
                    break;
                Threads::back_off(looks);
            }
        } else {
            unlock();
        }
        lock();
    }

private:
    enum state : unsigned char {
        unlocked,
        offered, ///< unlocked, and the previous holder waits for another thread to take the mutex
        locked,
        wanted ///< locked, and another thread wants it
    };

    void unlock(state next) noexcept {
        // release: pairs with the acquire in lock [a_mutex_taken_in_turn].
        state_.store(next, std::memory_order_release);
    }

    BOOST_NOINLINE void lock_contended() noexcept {
        for (unsigned looks = 0;; ++looks) {
            // relaxed: only a hint. A look at a mutex that is already marked writes nothing.
            // acquire: as in lock [a_mutex_taken_in_turn].
            if (state_.load(std::memory_order_relaxed) != wanted &&
                state_.exchange(wanted, std::memory_order_acquire) < locked)
                break;
            Threads::back_off(looks);
        }
        // relaxed: only this thread holds the mutex. Another thread that wants it marks it again.
        state_.store(locked, std::memory_order_relaxed);
    }

    typename Threads::template atomic<unsigned char> state_{unlocked};
};

/// The policy that programs use: real threads.
struct BOOST_SYMBOL_VISIBLE threads {
    using mutex = brief_mutex<threads>;

    template <typename T>
    using atomic = std::atomic<T>;

    /// The maximum number of waiters that leave a queue in one critical section, unless all of them
    /// have to leave at once. Between two batches, a thread that wants the lock usually gets it.
    static constexpr int at_a_time = 1000;

    /// Pauses between two checks of something that another thread is about to change; @p looks
    /// counts the checks so far. It spins first, then yields, then sleeps, so the other thread
    /// makes progress even if it has a lower priority and needs this thread's processor.
    /**
     * Each spin takes as long as several of the usual critical sections. A thread that looks all
     * the time and takes the mutex at every opportunity makes the data that it guards travel
     * between the processors' caches each time, which takes longer than the critical sections.
     */
    static void back_off(unsigned looks) noexcept {
        constexpr unsigned spins = 3, yields = 64;
        if (looks >= spins + yields)
            std::this_thread::sleep_for(std::chrono::microseconds(50));
        else if (looks >= spins)
            std::this_thread::yield();
        else
            spin_for(std::chrono::microseconds(2) * (1 << looks));
    }

    /// Pauses after a failed compare-and-swap, for at least 250 ns. Usually another thread has won
    /// the race. Meanwhile it can change the word several times without losing its cache line to
    /// this thread.
    BOOST_NOINLINE static void let_winner_go_on() noexcept {
        spin_for(std::chrono::nanoseconds(250));
    }

    static time_point now() noexcept { return std::chrono::steady_clock::now(); }

    /// The calling thread's own pointer to a T, initially null.
    template <typename T>
    static T*& thread_pointer() noexcept {
        thread_local T* pointer = nullptr;
        return pointer;
    }

private:
    // Measured by the clock, because the time that a pause instruction takes differs by a factor of
    // ten between processors.
    static void spin_for(std::chrono::nanoseconds time) noexcept {
        for (const time_point end = now() + time; now() < end;) {
        }
    }
};

} // namespace asio_semaphore::detail
