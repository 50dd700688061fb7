// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// The Request of acquire_operation for a semaphore: what an acquire asks for and what it receives.
// Asio layer.

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/detail/operation/completion.hpp>
#include <asio_semaphore/detail/operation/deadline_timer.hpp>
#include <asio_semaphore/detail/state/semaphore_state.hpp>
#include <asio_semaphore/permit.hpp>

#include <boost/config.hpp>
#include <boost/smart_ptr/intrusive_ptr.hpp>

#include <cstddef>
#include <type_traits>
#include <utility>

namespace asio_semaphore::detail {

struct permit_access {
    template <typename StatePointer>
    static permit make(StatePointer&& state, std::ptrdiff_t n) noexcept {
        return permit(std::forward<StatePointer>(state), n);
    }
};

/// With this signature, the handler receives the permits as an object. With bare_signature, the
/// caller gives them back by hand.
using permit_signature = void(boost::system::error_code, permit);

// Functions are forced inline if they would otherwise keep the request in memory instead of a
// register.
template <typename Signature>
struct acquire_request {
    using signature = Signature;
    using state_type = semaphore_state<threads>;
    using state_pointer = boost::intrusive_ptr<state_type>;
    using holding = permit;

    static constexpr bool is_handed = std::is_same_v<Signature, permit_signature>;
    static constexpr bool calls_executor = false;
    static constexpr bool submits_others = false;
    static constexpr const char* limit_name = "semaphore";
    static constexpr const char* name = is_handed ? "async_acquire_permit" : "async_acquire";

    struct waiter_type : waiter<threads> {
        waiter_type(const acquire_request& request, bool works) noexcept :
            waiter<threads>(request.n, works) {}
    };

    BOOST_FORCEINLINE outcome try_now(const state_pointer& state) const noexcept {
        return state ? state->try_acquire(n) : n >= 0 ? outcome::closed : outcome::invalid_argument;
    }

    template <typename Executor>
    static outcome enqueue(const Executor&, const state_pointer& state, waiter_type& w) noexcept {
        return state->enqueue(w);
    }

    BOOST_FORCEINLINE permit hold(const state_pointer& state, outcome result) const noexcept {
        return permit_access::make(state, result == outcome::granted ? n : 0);
    }
    BOOST_FORCEINLINE static permit hold(state_pointer&& state, const waiter<threads>& w) noexcept {
        return w.result == outcome::granted ? permit_access::make(std::move(state), w.count)
                                            : permit();
    }

    std::ptrdiff_t n;
};

/// An acquire_request with a deadline.
template <typename Signature>
struct timed_acquire_request : acquire_request<Signature> {
    using untimed = acquire_request<Signature>;
    using typename untimed::state_pointer;

    static constexpr bool calls_executor = true;
    static constexpr const char* name =
        untimed::is_handed ? "async_acquire_permit_for" : "async_acquire_for";

    struct waiter_type : timed_waiter<threads> {
        waiter_type(const timed_acquire_request& request, bool works) noexcept :
            timed_waiter<threads>(request.n, request.at, works) {}
    };

    BOOST_FORCEINLINE outcome try_now(const state_pointer& state) const noexcept {
        const outcome result = untimed::try_now(state);
        return result == outcome::queued && at <= deadline_clock::now() ? outcome::timed_out
                                                                        : result;
    }

    template <typename Executor>
    static outcome enqueue(const Executor& executor, const state_pointer& state, waiter_type& w) {
        return deadline_timer<Executor>::enqueue(executor, state, w);
    }

    time_point at;
};

} // namespace asio_semaphore::detail
