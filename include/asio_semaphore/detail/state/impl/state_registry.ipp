#pragma once

#include <asio_semaphore/detail/state/semaphore_state.hpp>
#include <asio_semaphore/detail/state/state_registry.hpp>

#include <cstddef>
#include <utility>

namespace asio_semaphore::detail {

template <typename Threads>
void state_registry<Threads>::insert(state_type& state) {
    std::lock_guard<typename Threads::mutex> lock(mutex_);
    if (shut_) {
        taken_waiters<Threads> nobody;
        away_keeper* none = nullptr;
        state.shut(nobody, none);
        return;
    }
    states_.push_back(&state);
    state.registry_index_ = static_cast<std::uint32_t>(states_.size() - 1);
}

template <typename Threads>
void state_registry<Threads>::erase(state_type& state) noexcept {
    std::lock_guard<typename Threads::mutex> lock(mutex_);
    if (state.registry_index_ == not_listed)
        return;
    states_.back()->registry_index_ = state.registry_index_;
    states_[state.registry_index_] = states_.back();
    states_.pop_back();
    state.registry_index_ = not_listed;
}

template <typename Threads>
void state_registry<Threads>::shutdown() noexcept {
    state_type::submit_rest();
    std::vector<state_type*> states;
    taken_waiters<Threads> doomed;
    away_keeper* keepers = nullptr;
    {
        std::lock_guard<typename Threads::mutex> lock(mutex_);
        shut_ = true;
        states.swap(states_);
        // All states first: a handler that is destroyed below must not find one that would still
        // submit.
        std::size_t kept = 0;
        for (state_type* state : states) {
            state->registry_index_ = not_listed;
            if (!state->try_add_reference())
                continue; // its destructor waits for the mutex; it has neither waiters nor batches
            state->shut(doomed, keepers);
            states[kept++] = state;
        }
        states.resize(kept);
    }
    for (const state_type* state : states)
        state->await_submissions();
    while (keepers != nullptr)
        std::exchange(keepers, keepers->next)->end();
    while (!doomed.empty())
        doomed.pop_front().destroy();
    for (state_type* state : states)
        intrusive_ptr_release(state);
}

} // namespace asio_semaphore::detail
