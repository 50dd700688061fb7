#pragma once

// The seam below the state layer: every lock, atomic and wait that it uses comes from here, so that
// a test can put a scheduler of its own in their place and drive the very same code through every
// interleaving.

#include <boost/config.hpp>

#include <atomic>
#include <chrono>
#include <thread>

namespace asio_semaphore::detail {

/// A mutex for critical sections of a few dozen instructions that call nothing. One byte, one
/// locked instruction.
/**
 * Next to std::mutex it saves the locked instruction of the unlock, and 39 bytes in every
 * semaphore. Whoever finds it locked looks again a few times, then lets other threads run, then
 * sleeps, so that a holder that the system has suspended, even one of lower priority, comes to its
 * end.
 */
class brief_mutex {
public:
    brief_mutex() noexcept = default;
    brief_mutex(const brief_mutex&) = delete;
    brief_mutex& operator=(const brief_mutex&) = delete;

    void lock() noexcept {
        // acquire: what the last holder did happens before what this one does.
        if (locked_.exchange(true, std::memory_order_acquire))
            lock_contended();
    }

    void unlock() noexcept { locked_.store(false, std::memory_order_release); }

private:
    BOOST_NOINLINE void lock_contended() noexcept {
        constexpr int spins = 64, yields = 64;
        do {
            for (int look = 0; locked_.load(std::memory_order_relaxed); ++look) {
                if (look >= spins + yields)
                    std::this_thread::sleep_for(std::chrono::microseconds(50));
                else if (look >= spins)
                    std::this_thread::yield();
            }
        } while (locked_.exchange(true, std::memory_order_acquire));
    }

    std::atomic<bool> locked_{false};
};

/// What programs run on: the machine's threads.
struct threads {
    using mutex = brief_mutex;

    template <typename T>
    using atomic = std::atomic<T>;

    /// Lets other threads run, between two looks at something that they will change shortly.
    static void yield() noexcept { std::this_thread::yield(); }

    /// A pointer of the calling thread's own, null at first; one for each type.
    template <typename T>
    static T*& thread_pointer() noexcept {
        thread_local T* pointer = nullptr;
        return pointer;
    }
};

} // namespace asio_semaphore::detail
