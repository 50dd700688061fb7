// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// The Requests of acquire_operation for a limiter: an admission, and the wait until the limiter is
// idle. Asio layer.

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/detail/operation/completion.hpp>
#include <asio_semaphore/detail/operation/deadline_timer.hpp>
#include <asio_semaphore/detail/operation/initiation.hpp>
#include <asio_semaphore/detail/state/limiter_state.hpp>
#include <asio_semaphore/limiter/admission.hpp>
#include <asio_semaphore/limiter/admission_request.hpp>

#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/system/error_code.hpp>

#include <utility>

namespace asio_semaphore::detail {

struct admission_access {
    template <typename StatePointer>
    static admission make(StatePointer&& state, outcome result, const place& granted) noexcept {
        // A grant of weight 0 has nothing to give back.
        return result == outcome::granted && granted.record != nullptr
                   ? admission(std::forward<StatePointer>(state), granted)
                   : admission();
    }
};

/// The outcome for a limiter that has been moved from.
inline outcome closed_or_invalid(const admission_request& asked) noexcept {
    return is_valid(asked) ? outcome::closed : outcome::invalid_argument;
}

struct admit_request {
    using signature = void(boost::system::error_code, admission);
    using state_type = limiter_state<threads>;
    using state_pointer = boost::intrusive_ptr<state_type>;
    using holding = admission;

    static constexpr bool calls_executor = true;
    static constexpr bool submits_others = true;
    static constexpr const char* limit_name = "limiter";
    static constexpr const char* name = "async_admit";

    struct waiter_type : admission_waiter<threads> {
        waiter_type(const admit_request& request, bool works) noexcept :
            admission_waiter<threads>(request.asked, works) {}
    };

    outcome try_now(const state_pointer& state) noexcept {
        if (!state)
            return detail::closed_or_invalid(asked);
        if (state->try_admit_plainly(asked, granted))
            return outcome::granted;
        return state->try_refuse(asked) ? outcome::queue_full : outcome::queued;
    }
    bool has_to_wait(const state_pointer& state) const noexcept {
        return state->has_to_wait(asked);
    }
    outcome try_again(const state_pointer& state) { return state->try_admit(asked, granted); }

    static bool try_enqueue(const state_pointer& state, waiter_type& w) noexcept {
        return state->try_enqueue(w);
    }
    template <typename Executor>
    static outcome enqueue(const Executor& executor, const state_pointer& state, waiter_type& w) {
        return deadline_timer<Executor>::enqueue(executor, state, w);
    }

    admission hold(const state_pointer& state, outcome result) const noexcept {
        return admission_access::make(state, result, granted);
    }
    static admission hold(state_pointer&& state, const waiter_type& w) noexcept {
        return admission_access::make(std::move(state), w.result, w.granted());
    }

    admission_request asked;
    place granted;
};

struct idle_request {
    using signature = void(boost::system::error_code);
    using state_type = limiter_state<threads>;
    using state_pointer = boost::intrusive_ptr<state_type>;
    using holding = nothing;

    static constexpr bool calls_executor = false;
    static constexpr bool submits_others = false;
    static constexpr const char* limit_name = "limiter";
    static constexpr const char* name = "async_wait_idle";

    struct waiter_type : waiter<threads> {
        waiter_type(const idle_request&, bool works) noexcept : waiter<threads>(0, works) {}
    };

    static outcome try_now(const state_pointer& state) noexcept {
        return state ? state->try_wait_idle() : outcome::granted;
    }

    template <typename Executor>
    static outcome enqueue(const Executor&, const state_pointer& state, waiter_type& w) noexcept {
        return state->enqueue_idle(w);
    }

    static nothing hold(const state_pointer&, outcome) noexcept { return {}; }
    static nothing hold(state_pointer&&, const waiter_type&) noexcept { return {}; }
};

template <typename Executor>
class initiate_admit : public initiation<Executor, limiter_state<threads>> {
    using base = initiation<Executor, limiter_state<threads>>;

public:
    using base::base;

    template <typename Handler>
    void operator()(Handler&& handler, const admission_request& asked) const {
        base::start(std::forward<Handler>(handler), admit_request{asked, {}});
    }
};

template <typename Executor>
class initiate_wait_idle : public initiation<Executor, limiter_state<threads>> {
    using base = initiation<Executor, limiter_state<threads>>;

public:
    using base::base;

    template <typename Handler>
    void operator()(Handler&& handler) const {
        base::start(std::forward<Handler>(handler), idle_request());
    }
};

} // namespace asio_semaphore::detail
