#pragma once

// The semaphore states that live on one execution context, for the moment when that context goes.
// State layer. Order of locks: a registry's mutex, then a state's. States and the context's service
// share the registry, so that either may die first.

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

    /// Ends every state here and to come: none submits anything afterwards. Destroys the waiting
    /// operations without calling their handlers, after waiting for submissions that other threads
    /// are in the middle of. Again is harmless.
    void shutdown() noexcept;

    /// For the service: whether there are, or were made for it, states that it has to end. Where it
    /// alone has the registry nobody can add one meanwhile.
    bool has_states() const noexcept {
        // relaxed: what follows orders, the mutex or the deletion.
        return references_.load(std::memory_order_relaxed) > 1;
    }

    friend void intrusive_ptr_add_ref(state_registry* registry) noexcept {
        // relaxed: whoever adds a reference holds one, or has just made the registry.
        registry->references_.fetch_add(1, std::memory_order_relaxed);
    }
    friend void intrusive_ptr_release(state_registry* registry) noexcept {
        // acq_rel: what others did with the registry happens before its deletion
        // [last_of_a_context].
        if (registry->references_.fetch_sub(1, std::memory_order_acq_rel) == 1)
            delete registry;
    }

private:
    state_type* take_one() noexcept;

    typename Threads::mutex mutex_;
    intrusive_list states_; // guarded by mutex_
    bool shut_ = false;     // guarded by mutex_
    typename Threads::template atomic<std::uint32_t> references_{0};
};

} // namespace asio_semaphore::detail
