// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// The requests of operations that wait for the end of something: of a permit, of a client's
// async_run, or of everything that a client has in the server. acquire_operation carries them out.
// Fleet layer.

#include <asio_semaphore/detail/fleet/lines.hpp>
#include <asio_semaphore/detail/operation/initiation.hpp>
#include <asio_semaphore/detail/operation/start_acquire.hpp>

#include <boost/asio/error.hpp>
#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/system/error_code.hpp>

#include <utility>

namespace asio_semaphore::detail::fleet {

/// Common to all operations that wait for the end of something.
template <typename State>
struct end_request {
    using signature = void(boost::system::error_code);
    using state_type = State;
    using state_pointer = boost::intrusive_ptr<State>;
    using holding = nothing;

    static constexpr bool calls_executor = true;
    static constexpr bool submits_others = false;

    struct waiter_type : waiter<threads> {
        waiter_type(const end_request&, bool works) noexcept : waiter<threads>(0, works) {}
    };

    /// @param none the outcome if there is no state, because the object is empty
    static outcome try_on(const state_pointer& state, outcome none) noexcept {
        if (!state)
            return none;
        return state->is_shut() ? outcome::abandoned : outcome::queued;
    }

    static nothing hold(const state_pointer&, outcome) noexcept { return {}; }
    static nothing hold(state_pointer&&, const waiter_type&) noexcept { return {}; }
};

struct wait_lost_request : end_request<lease> {
    static constexpr const char* limit_name = "fleet_permit";
    static constexpr const char* name = "async_wait_lost";

    static boost::system::error_code own_error_code(outcome result) noexcept {
        return result == outcome::closed ? make_error_code(fleet_error::lost)
                                         : fleet::to_error_code(result);
    }
    static outcome try_now(const state_pointer& state) noexcept {
        return try_on(state, outcome::aborted);
    }
    template <typename Executor>
    static outcome enqueue(const Executor&, const state_pointer& state, waiter_type& w) noexcept {
        return state->enqueue_wait(w);
    }
};

struct release_request : end_request<lease> {
    static constexpr const char* limit_name = "fleet_permit";
    static constexpr const char* name = "async_release";

    static boost::system::error_code own_error_code(outcome result) noexcept {
        return wait_lost_request::own_error_code(result);
    }
    static outcome try_now(const state_pointer& state) noexcept {
        return try_on(state, outcome::granted);
    }
    template <typename Executor>
    static outcome enqueue(const Executor&, const state_pointer& state, waiter_type& w) {
        const lease_pointer released = state; // enqueue_release may end the owner of state
        const outcome result = released->enqueue_release(w);
        released->client().wake();
        return result;
    }
};

struct run_request : end_request<client_state> {
    static constexpr const char* limit_name = "fleet_client";
    static constexpr const char* name = "async_run";

    static boost::system::error_code own_error_code(outcome result) noexcept {
        return result == outcome::invalid_argument
                   ? boost::system::error_code(asio::error::already_started)
                   : fleet::to_error_code(result);
    }
    static void has_left(const waiter_type& w) noexcept {
        static_cast<client_state&>(*w.state).wake();
    }
    static outcome try_now(const state_pointer& state) noexcept {
        return try_on(state, outcome::aborted);
    }
    template <typename Executor>
    static outcome enqueue(const Executor&, const state_pointer& state, waiter_type& w) noexcept {
        const client_pointer client = state;
        const outcome result = client->enqueue_run(w);
        client->wake();
        return result;
    }
};

struct close_request : end_request<client_state> {
    static constexpr const char* limit_name = "fleet_client";
    static constexpr const char* name = "async_close";

    static outcome try_now(const state_pointer& state) noexcept {
        return try_on(state, outcome::aborted);
    }
    template <typename Executor>
    static outcome enqueue(const Executor&, const state_pointer& state, waiter_type& w) {
        const client_pointer client = state;
        const outcome result = client->enqueue_close(w);
        client->wake();
        return result;
    }
};

/// The initiation of a request that needs nothing but its state.
template <typename Executor, typename Request>
class initiate_plainly : public initiation<Executor, typename Request::state_type> {
    using base = initiation<Executor, typename Request::state_type>;

public:
    using base::base;

    template <typename Handler>
    void operator()(Handler&& handler) const {
        base::start(std::forward<Handler>(handler), Request());
    }
};

} // namespace asio_semaphore::detail::fleet
