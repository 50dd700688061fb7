#pragma once

// The seam below the state layer: every lock, atomic and wait that it uses comes from here, so that
// a test can put a scheduler of its own in their place and drive the very same code through every
// interleaving.

#include <atomic>
#include <mutex>
#include <thread>

namespace asio_semaphore::detail {

/// What programs run on: the machine's threads.
struct threads {
    using mutex = std::mutex;

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
