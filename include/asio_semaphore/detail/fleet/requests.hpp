// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// The requests of the fleet's operations: what each asks the server for, and what it passes to its
// handler. acquire_operation carries them out. Fleet layer.

#include <asio_semaphore/detail/fleet/lines.hpp>
#include <asio_semaphore/detail/operation/deadline_timer.hpp>
#include <asio_semaphore/detail/operation/initiation.hpp>
#include <asio_semaphore/fleet/fleet_permit.hpp>

#include <boost/asio/error.hpp>
#include <boost/system/error_code.hpp>

#include <cstddef>
#include <utility>

namespace asio_semaphore::detail::fleet {

/// Common to all operations that wait for the answer to a request.
struct limit_request {
    using state_type = limit_line;
    using state_pointer = line_pointer;
    using waiter_base = request_waiter;

    static constexpr bool calls_executor = true;
    static constexpr bool submits_others = false;
    static constexpr const char* limit_name = "fleet_semaphore";

    static boost::system::error_code own_error_code(outcome result) noexcept {
        return fleet::to_error_code(result);
    }
    // The server may keep a lease or a place for the request, which the client has to give back.
    static void has_left(const request_waiter& w) noexcept {
        if (w.result != outcome::granted)
            w.asking->client().wake();
    }

    template <typename Executor>
    static outcome
    enqueue(const Executor& executor, const state_pointer& state, request_waiter& w) {
        const client_pointer client(&state->client()); // enqueue may end w and the line's owner
        const outcome result = deadline_timer<Executor>::enqueue(executor, state, w);
        client->wake();
        return result;
    }

    /// A null state belongs to a moved-from object.
    static outcome state_of(const state_pointer& state) noexcept {
        return state ? state->state() : outcome::closed;
    }

    static lease_pointer
    request_of(const state_pointer& state, ticket::purpose what, std::ptrdiff_t n) {
        return lease_pointer(new lease(what, n, state, client_pointer(&state->client())), false);
    }
};

struct acquire_fleet_request : limit_request {
    using signature = void(boost::system::error_code, fleet_permit);
    using holding = fleet_permit;

    static constexpr const char* name = "async_acquire_permit";

    struct waiter_type : request_waiter {
        waiter_type(acquire_fleet_request&& asked, bool works) noexcept :
            request_waiter(std::move(asked.request), asked.at, works) {}
    };

    outcome try_now(const state_pointer& state) {
        const outcome now = state_of(state);
        if (now == outcome::abandoned)
            return now;
        if (n < 0)
            return outcome::invalid_argument;
        if (now != outcome::queued || n == 0)
            return now != outcome::queued ? now : outcome::granted;
        request = request_of(
            state, is_patient ? ticket::purpose::acquire : ticket::purpose::try_acquire, n);
        return outcome::queued;
    }

    static fleet_permit hold(const state_pointer&, outcome) noexcept { return {}; }
    static fleet_permit hold(state_pointer&&, waiter_type& w) noexcept {
        return w.result == outcome::granted ? permit_access::make(std::move(w.asking))
                                            : fleet_permit();
    }

    std::ptrdiff_t n;
    bool is_patient = true;
    detail::time_point at = detail::never;
    lease_pointer request{};
};

struct set_limit_request : limit_request {
    using signature = void(boost::system::error_code);
    using holding = nothing;

    static constexpr const char* name = "async_set_limit";

    struct waiter_type : request_waiter {
        waiter_type(set_limit_request&& asked, bool works) noexcept :
            request_waiter(std::move(asked.request), detail::never, works) {}
    };

    outcome try_now(const state_pointer& state) {
        const outcome now = state_of(state);
        if (now != outcome::abandoned && n < 1)
            return outcome::invalid_argument;
        if (now != outcome::queued)
            return now;
        request = request_of(state, ticket::purpose::set_limit, n);
        return outcome::queued;
    }

    static nothing hold(const state_pointer&, outcome) noexcept { return {}; }
    static nothing hold(state_pointer&&, const waiter_type&) noexcept { return {}; }

    std::ptrdiff_t n;
    lease_pointer request{};
};

/// What async_inspect passes to its handler.
struct inspected : fleet_status {
    static void reset() noexcept {}
    static void forget() noexcept {}
};

struct inspect_request : limit_request {
    using signature = void(boost::system::error_code, fleet_status);
    using holding = inspected;

    static constexpr const char* name = "async_inspect";

    struct waiter_type : request_waiter {
        waiter_type(inspect_request&& asked, bool works) noexcept :
            request_waiter(std::move(asked.request), detail::never, works) {}
    };

    outcome try_now(const state_pointer& state) {
        if (const outcome now = state_of(state); now != outcome::queued)
            return now;
        request = request_of(state, ticket::purpose::inspect, 0);
        return outcome::queued;
    }

    static inspected hold(const state_pointer&, outcome) noexcept { return {}; }
    static inspected hold(state_pointer&&, const waiter_type& w) noexcept {
        const status_record& s = w.status;
        inspected result;
        result.limit = static_cast<std::ptrdiff_t>(s.limit);
        result.held = static_cast<std::ptrdiff_t>(s.held);
        result.available = static_cast<std::ptrdiff_t>(s.limit - s.held);
        result.waiting = static_cast<std::size_t>(s.waiting);
        result.clients = static_cast<std::size_t>(s.clients);
        result.lowest_fencing = s.lowest_fence;
        result.quarantine = s.quarantine;
        result.rolls = s.rolls;
        return result;
    }

    lease_pointer request{};
};

template <typename Executor>
class initiate_acquire_of_fleet : public initiation<Executor, limit_line> {
    using base = initiation<Executor, limit_line>;

public:
    using base::base;

    template <typename Handler>
    void operator()(Handler&& handler, std::ptrdiff_t n) const {
        acquire_fleet_request asked;
        asked.n = n;
        base::start(std::forward<Handler>(handler), std::move(asked));
    }
    template <typename Handler>
    void operator()(Handler&& handler, std::ptrdiff_t n, deadline_clock::duration wait) const {
        acquire_fleet_request asked;
        asked.n = n;
        // A wait of zero means one round trip, however long it takes. Any other wait sets a
        // deadline in this process.
        asked.is_patient = wait > deadline_clock::duration::zero();
        if (asked.is_patient)
            asked.at = detail::deadline_after(wait);
        base::start(std::forward<Handler>(handler), std::move(asked));
    }
};

template <typename Executor>
class initiate_set_limit : public initiation<Executor, limit_line> {
    using base = initiation<Executor, limit_line>;

public:
    using base::base;

    template <typename Handler>
    void operator()(Handler&& handler, std::ptrdiff_t n) const {
        set_limit_request asked;
        asked.n = n;
        base::start(std::forward<Handler>(handler), std::move(asked));
    }
};

} // namespace asio_semaphore::detail::fleet
