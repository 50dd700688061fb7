// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Lists the semaphore states on one execution context, so that a shutdown of the context reaches
// them. State layer. No other lock is taken under a registry's mutex. The states and the context's
// service share the registry, so either may be destroyed first. A state leaves the list only after
// its alarm is destroyed, and a shutdown waits for that: the timer and its executor use the
// context. It does not wait for an alarm that its own thread is destroying, whose executor owns the
// context.

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/detail/state/threads.hpp>
#include <asio_semaphore/detail/state/wait_queue.hpp>

#include <cstdint>
#include <mutex>

namespace asio_semaphore::detail {

template <typename Threads>
class state_registry {
public:
    using state_type = waiting_line<Threads>;

    state_registry() = default;
    state_registry(const state_registry&) = delete;
    state_registry& operator=(const state_registry&) = delete;

    void insert(state_type& state) noexcept;
    void erase(state_type& state) noexcept;

    /// Shuts down every state here, and every state inserted later: none submits anything
    /// afterwards. Waits for submissions and for destructions of alarms that other threads are in
    /// the middle of, then destroys the waiting operations without calling their handlers. A second
    /// call has no effect.
    void shutdown() noexcept;

    /// For the service: whether there may be states to shut down, because the registry has other
    /// references than the service's. If it has none, no state can be inserted meanwhile.
    bool has_states() const noexcept {
        // relaxed: the mutex, or the deletion, that follows provides the order.
        return references_.load(std::memory_order_relaxed) > 1;
    }

    friend void intrusive_ptr_add_ref(state_registry* registry) noexcept {
        // relaxed: the caller already holds a reference, or has just made the registry.
        registry->references_.fetch_add(1, std::memory_order_relaxed);
    }
    friend void intrusive_ptr_release(state_registry* registry) noexcept {
        // acq_rel: what other threads did with the registry happens before its deletion
        // [last_of_a_context].
        if (registry->references_.fetch_sub(1, std::memory_order_acq_rel) == 1)
            delete registry;
    }

private:
    state_type* take_one(bool& others_left) noexcept;

    typename Threads::mutex mutex_;
    intrusive_list states_; // guarded by mutex_
    bool shut_ = false;     // guarded by mutex_
    typename Threads::template atomic<std::uint32_t> references_{0};
};

} // namespace asio_semaphore::detail
