// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// The state of a fleet permit, from its request on. Fleet layer; see lines.hpp.

#include <asio_semaphore/detail/fleet/client_state.hpp>
#include <asio_semaphore/detail/fleet/ticket.hpp>
#include <asio_semaphore/detail/state/waiting_line.hpp>

#include <boost/smart_ptr/intrusive_ptr.hpp>

#include <atomic>
#include <cstddef>

namespace asio_semaphore::detail::fleet {

class limit_line;
using line_pointer = boost::intrusive_ptr<limit_line>;

/// A request, and the permit that it becomes. Its line holds the operations that wait for its loss,
/// and the one that waits for the answer to its release. The phase `closed` means that the permit
/// is lost, and `destroyed` that it was given back.
class lease final : public ticket, public fleet_line {
public:
    lease(purpose what, std::ptrdiff_t n, line_pointer from, client_pointer client);

    client_state& client() const noexcept { return *client_; }

    /// Gives the permit back. Operations that wait for its loss end as aborted.
    void give_back() noexcept;

    /// Whether the client's context is gone.
    bool is_shut() const noexcept { return is_shut_; }

    outcome enqueue_wait(waiter_type& w) noexcept;
    /// Gives the permit back; w waits for the answer.
    outcome enqueue_release(waiter_type& w);

    /// @pre called by one thread at a time, with no lock held
    void tell(const event& e) noexcept;

    friend void intrusive_ptr_add_ref(lease* l) noexcept {
        intrusive_ptr_add_ref(static_cast<fleet_line*>(l));
    }
    friend void intrusive_ptr_release(lease* l) noexcept {
        intrusive_ptr_release(static_cast<fleet_line*>(l));
    }

private:
    void add_reference() noexcept override { intrusive_ptr_add_ref(this); }
    void drop_reference() noexcept override { intrusive_ptr_release(this); }

    void bar() noexcept override { is_shut_ = phase_ == phase::shut; }
    void leaves(waiter_type& w, outcome) noexcept override;
    void make_way(taken_type&) noexcept override {}
    bool outlasts(const waiter_type& w, outcome result) const noexcept override;

    void finish_release(outcome how) noexcept;

    friend class limit_line;

    const client_pointer client_;
    // The line of the request's operation, until that has left it. Guarded by the machine's mutex.
    line_pointer from_;
    waiter_type* releasing_ = nullptr; // guarded by mutex_
    std::atomic<bool> is_shut_{false};
};

using lease_pointer = boost::intrusive_ptr<lease>;

} // namespace asio_semaphore::detail::fleet
