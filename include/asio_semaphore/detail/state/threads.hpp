#pragma once

// The seam below the state layer: every lock, atomic, wait and time that it uses comes from here,
// so that a test can put a scheduler and a clock of its own in their place and drive the very same
// code through every interleaving.
//
// Every memory order that is weaker than sequential consistency says why it is enough. The scenario
// that fails when it is weaker still stands in brackets: it is one of test/model/weak_memory.cpp.

#include <boost/config.hpp>

#include <atomic>
#include <chrono>
#include <thread>

namespace asio_semaphore::detail {

using time_point = std::chrono::steady_clock::time_point;

/// A mutex for critical sections of a few dozen instructions that call nothing. One byte, one
/// locked instruction.
/**
 * Next to std::mutex it saves the locked instruction of the unlock, and 39 bytes in every
 * semaphore. Whoever finds it locked backs off, so that a holder that the system has suspended
 * comes to its end.
 */
template <typename Threads>
class brief_mutex {
public:
    brief_mutex() noexcept = default;
    brief_mutex(const brief_mutex&) = delete;
    brief_mutex& operator=(const brief_mutex&) = delete;

    void lock() noexcept {
        // acquire: what the last holder did happens before what this one does
        // [a_mutex_taken_in_turn].
        if (locked_.exchange(true, std::memory_order_acquire))
            lock_contended();
    }

    void unlock() noexcept {
        // release: the same, at the other end [a_mutex_taken_in_turn].
        locked_.store(false, std::memory_order_release);
    }

private:
    BOOST_NOINLINE void lock_contended() noexcept {
        do {
            // relaxed: a look only; the exchange decides.
            for (int looks = 0; locked_.load(std::memory_order_relaxed); ++looks)
                Threads::back_off(looks);
            // acquire: as in lock [a_mutex_taken_in_turn].
        } while (locked_.exchange(true, std::memory_order_acquire));
    }

    typename Threads::template atomic<bool> locked_{false};
};

/// What programs run on: the machine's threads.
struct BOOST_SYMBOL_VISIBLE threads {
    using mutex = brief_mutex<threads>;

    template <typename T>
    using atomic = std::atomic<T>;

    /// How many leave a queue in one critical section at the most, where it need not be all: then
    /// other threads are let in.
    static constexpr int at_a_time = 1000;

    /// Waits between two looks at something that another thread changes shortly, after so many
    /// looks: at first not at all, then other threads may run, then it sleeps. So the other thread
    /// comes to its end even where it has a lower priority and this one its processor.
    static void back_off(int looks) noexcept {
        constexpr int spins = 64, yields = 64;
        if (looks >= spins + yields)
            std::this_thread::sleep_for(std::chrono::microseconds(50));
        else if (looks >= spins)
            std::this_thread::yield();
    }

    static time_point now() noexcept { return std::chrono::steady_clock::now(); }

    /// A pointer of the calling thread's own, null at first; one for each type.
    template <typename T>
    static T*& thread_pointer() noexcept {
        thread_local T* pointer = nullptr;
        return pointer;
    }
};

} // namespace asio_semaphore::detail
