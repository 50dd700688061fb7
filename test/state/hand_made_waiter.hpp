// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// A waiter without an operation, for direct tests of the state layer. It records what the state
// layer did with it, and releases its reference to the state as an operation does.

#include <asio_semaphore/detail/state/semaphore_state.hpp>

#include <support/outcome_names.hpp>

#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/test/unit_test.hpp>

#include <cstddef>
#include <functional>
#include <ostream>
#include <string>
#include <vector>

namespace test {

using namespace asio_semaphore::detail;

/// Returns permits as a permit object does: the call also releases the reference.
template <typename Threads>
void put_back(boost::intrusive_ptr<semaphore_state<Threads>> state, std::ptrdiff_t n) {
    state.detach()->put_back(n);
}

/// @tparam Waiter a waiter type of the state layer: waiter or timed_waiter
template <typename Threads, template <typename> class Waiter>
class basic_hand_made_waiter final : public Waiter<Threads> {
public:
    using state_type = semaphore_state<Threads>;
    using state_pointer = boost::intrusive_ptr<state_type>;

    /// @param args further arguments of the waiter's constructor
    template <typename... Args>
    explicit basic_hand_made_waiter(std::ptrdiff_t n, Args... args) noexcept :
        Waiter<Threads>(n, args...) {}
    basic_hand_made_waiter(const basic_hand_made_waiter&) = delete;
    basic_hand_made_waiter& operator=(const basic_hand_made_waiter&) = delete;

    /// How often the waiter was submitted to its executor, and how often destroyed.
    int submitted = 0, destroyed = 0;
    /// How often the waiter was told to hold outstanding work, and whether the thread runs its
    /// executor.
    int told_to_work = 0;
    bool inside = false;

    /// If set, runs at the submission, and gets the reference.
    std::function<void(state_pointer)> on_end;

    bool untouched() const { return submitted == 0 && destroyed == 0; }
    bool ended_as(outcome o) const { return submitted == 1 && destroyed == 0 && this->result == o; }

    /// Behaves as if the executor dropped the operation: its permits return.
    void drop_when_submitted() {
        on_end = [this](state_pointer owner) {
            if (this->result == outcome::granted)
                owner.detach()->put_back(this->count);
        };
    }

private:
    void submit() noexcept override { end(submitted); }
    void destroy() noexcept override { end(destroyed); }
    bool is_inside() const noexcept override { return inside; }
    void hold_work() noexcept override { ++told_to_work; }

    void end(int& times) {
        state_pointer owner(static_cast<state_type*>(this->state), false);
        ++times;
        if (on_end)
            on_end(std::move(owner));
    }
};

using hand_made_waiter = basic_hand_made_waiter<threads, waiter>;
using hand_made_timed_waiter = basic_hand_made_waiter<threads, timed_waiter>;
using state = semaphore_state<threads>;
using state_pointer = boost::intrusive_ptr<state>;
using link_type = cancellation_link<threads>;
using registry = state_registry<threads>;
using registry_pointer = boost::intrusive_ptr<registry>;

struct state_fixture {
    state_pointer make(std::ptrdiff_t initial, std::ptrdiff_t max_permits = state::max()) {
        return {new state(initial, max_permits, states), false};
    }

    registry_pointer states{new registry};
};

} // namespace test
