// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// The state of a fleet semaphore. Fleet layer; see lines.hpp.

#include <asio_semaphore/detail/fleet/client_state.hpp>
#include <asio_semaphore/detail/fleet/lease.hpp>
#include <asio_semaphore/detail/state/waiting_line.hpp>
#include <asio_semaphore/fleet/fleet_options.hpp>
#include <asio_semaphore/fleet/fleet_statistics.hpp>

#include <boost/smart_ptr/intrusive_ptr.hpp>

#include <atomic>
#include <cstddef>
#include <string_view>

namespace asio_semaphore::detail::fleet {

/// An operation that waits for the answer to a request.
struct request_waiter : timed_waiter<threads> {
    request_waiter(lease_pointer request, detail::time_point deadline, bool works) noexcept;

    lease_pointer asking;
    status_record status;
};

/// One semaphore object of a limit.
class limit_line final : public fleet_line {
public:
    /// @throws std::invalid_argument as machine::open
    limit_line(
        boost::intrusive_ptr<registry_type> registry, client_pointer client, std::string_view name,
        std::ptrdiff_t permits, const fleet_options& options);

    client_state& client() const noexcept { return *client_; }
    /// Returns the outcome of an operation that starts now; `queued` while the object is open.
    outcome state() const noexcept;
    bool is_open() const noexcept;
    std::ptrdiff_t permits() const noexcept;
    std::size_t waiting_here() const noexcept;
    fleet_statistics statistics() const;

    outcome enqueue(request_waiter& w, bool is_alarmed = false);

    /// Called when the semaphore object is destroyed.
    void end() noexcept;

    /// Ends the operation of a request that was granted, has failed or is done.
    void finish(lease& request, const event& e) noexcept;

private:
    void bar() noexcept override;
    void leaves(waiter_type& w, outcome result) noexcept override;
    void make_way(taken_type&) noexcept override {}

    const client_pointer client_;
    bool is_mismatch_ = false; // this client already uses the name with another limit
    limit* const limit_;
    std::atomic<outcome> state_{outcome::queued}; // written under mutex_
};

} // namespace asio_semaphore::detail::fleet
