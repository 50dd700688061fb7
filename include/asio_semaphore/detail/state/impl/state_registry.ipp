// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <asio_semaphore/detail/state/state_registry.hpp>
#include <asio_semaphore/detail/state/waiting_line.hpp>

namespace asio_semaphore::detail {

template <typename Threads>
void state_registry<Threads>::insert(state_type& state) noexcept {
    {
        std::lock_guard<typename Threads::mutex> lock(mutex_);
        if (!shut_) {
            states_.push_back(state);
            state.is_listed_ = true;
            return;
        }
    }
    state.shut();
}

template <typename Threads>
void state_registry<Threads>::erase(state_type& state) noexcept {
    std::lock_guard<typename Threads::mutex> lock(mutex_);
    if (state.is_listed_)
        intrusive_list::remove(state);
    state.is_listed_ = false;
}

// Unlists the next state and returns it with a reference added; null after the last. Leaves in the
// list the states whose last reference is gone: they have neither waiters nor sections. After the
// last, others_left says whether other threads are destroying the alarms of some of these.
template <typename Threads>
auto state_registry<Threads>::take_one(bool& others_left) noexcept -> state_type* {
    std::lock_guard<typename Threads::mutex> lock(mutex_);
    shut_ = true;
    auto* const state = static_cast<state_type*>(states_.find_if(
        [](list_node& node) { return static_cast<state_type&>(node).try_add_reference(); }));
    if (state != nullptr) {
        intrusive_list::remove(*state);
        state->is_listed_ = false;
        return state;
    }
    others_left = states_.find_if([](list_node& node) {
        return static_cast<state_type&>(node).times_in_executor_here() == 0;
    }) != nullptr;
    return nullptr;
}

template <typename Threads>
void state_registry<Threads>::shutdown() noexcept {
    state_type::submit_rest();
    // Shut all states first: a handler that is destroyed below must not find a state that would
    // still submit.
    intrusive_list shut;
    bool others_left = false;
    while (state_type* const state = take_one(others_left)) {
        state->shut();
        shut.push_back(*state);
    }
    for (unsigned looks = 0; others_left; ++looks) {
        Threads::back_off(looks);
        static_cast<void>(take_one(others_left)); // none can be taken any more
    }
    taken_waiters<Threads> abandoned;
    shut.for_each([](list_node& node) { static_cast<state_type&>(node).await_sections(); });
    shut.for_each([&](list_node& node) {
        auto& state = static_cast<state_type&>(node);
        state.shut_alarm();
        state.abandon_queue(abandoned);
    });
    while (!abandoned.empty())
        abandoned.pop_front().destroy();
    while (!shut.empty()) {
        auto& state = static_cast<state_type&>(shut.front());
        intrusive_list::remove(state);
        intrusive_ptr_release(&state);
    }
}

} // namespace asio_semaphore::detail
