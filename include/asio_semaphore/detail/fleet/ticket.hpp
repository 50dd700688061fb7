// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// A request to a limit of the fleet, and the lease that it becomes, as a client's machine sees it;
// and the events that the machine reports about it. Fleet layer: no Asio, no Redis.

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/detail/state/wait_queue.hpp>

#include <boost/intrusive/list.hpp>
#include <boost/intrusive/set.hpp>
#include <boost/smart_ptr/intrusive_ptr.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>

namespace asio_semaphore::detail::fleet {

/// A clock that also runs while the computer sleeps, if the system has one.
struct clock {
    using duration = std::chrono::nanoseconds;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<clock>;
    static constexpr bool is_steady = true;
    static time_point now() noexcept;
};
using time_point = clock::time_point;

class limit;
class machine;

/// The answer to an inspection.
struct status_record {
    std::int64_t limit = 0;
    std::int64_t held = 0;
    std::int64_t waiting = 0;
    std::int64_t clients = 0;
    std::uint64_t lowest_fence = 0;
    std::chrono::milliseconds quarantine{0};
    std::uint64_t rolls = 0;
};

/// A request from its start, then a lease, until nothing of it is left in the server. Owners derive
/// from this class. The machine holds a reference as long as it knows the ticket, and drops that
/// reference within its own functions.
class ticket {
public:
    enum class purpose : unsigned char { acquire, try_acquire, set_limit, inspect };

    /// @param n the number of permits, or the new limit for set_limit
    ticket(purpose what, std::ptrdiff_t n) noexcept;
    ticket(const ticket&) = delete;
    ticket& operator=(const ticket&) = delete;

    std::ptrdiff_t count() const noexcept { return count_; }

    // For a lease. Any thread may call these functions, without the mutex.
    /// Whether the lease is valid at this time. Once it returns false it never returns true again,
    /// whatever the server answers: returning false ends the lease here.
    bool is_valid(time_point now) const noexcept;
    /// Returns when the lease ends by the local clock, a margin before it ends in the server; min()
    /// if it has ended, max() if it was admitted locally.
    time_point deadline() const noexcept;
    std::uint64_t fence() const noexcept { return fence_; } // 0 if admitted locally
    bool is_local() const noexcept { return is_local_; }

    /// For the owner, to find its waiter. The machine does not use it.
    void* user = nullptr;

    friend void intrusive_ptr_add_ref(ticket* t) noexcept { t->add_reference(); }
    friend void intrusive_ptr_release(ticket* t) noexcept { t->drop_reference(); }

protected:
    ~ticket() = default;

private:
    friend class limit;
    friend class machine;

    enum class state : unsigned char {
        fresh,
        waiting, // in the client
        asked,   // sent, or to be sent again
        queued,
        held,
        lost, // ended, but not yet given back by its owner
        over  // only its rest may remain
    };

    virtual void add_reference() noexcept = 0;
    virtual void drop_reference() noexcept = 0;

    static constexpr clock::rep ended = std::numeric_limits<clock::rep>::min();

    bool is_request() const noexcept {
        return purpose_ == purpose::acquire || purpose_ == purpose::try_acquire;
    }

    // Any thread may read these members. The machine writes them before it reports the grant. Later
    // only deadline_ changes, in the machine and in is_valid.
    mutable std::atomic<clock::rep> deadline_{ended};
    std::uint64_t fence_ = 0;
    const std::ptrdiff_t count_;

    // The machine's mutex guards all members below.
    boost::intrusive::set_member_hook<> request_hook_; // waiting, asked or queued; sorted by serial
    boost::intrusive::list_member_hook<> place_hook_;  // lists of leases, settings and inspections
    boost::intrusive::list_member_hook<> rest_hook_;
    boost::intrusive::set_member_hook<> timer_hook_;
    boost::intrusive::list_member_hook<> event_hook_;

    limit* limit_ = nullptr; // while the machine knows the ticket
    std::uint64_t serial_ = 0;
    std::uint64_t rest_ = 0;  // the serial to give back; 0 if there is no rest
    std::int64_t expiry_ = 0; // by the server's clock
    time_point since_;        // when the request started
    time_point first_said_;   // a pushed grant was made no earlier than this
    time_point last_said_;    // the time of the newest call that may have granted or renewed it
    time_point held_since_;
    time_point timer_;                      // the deadline of a lease, or else of the rest
    time_point told_deadline_;              // deadline_ when the lease was given back
    std::unique_ptr<status_record> status_; // for set_limit and inspect
    const purpose purpose_;
    state state_ = state::fresh;
    bool is_local_ = false;
    bool may_exist_ = false; // the server may know serial_
    bool rests_as_place_ = false;
    bool tells_rest_ = false;  // an event reports the end of the rest
    bool may_be_back_ = false; // the server may have taken the rest back, and the answer was lost
    bool is_known_ = false;    // the machine holds a reference
    unsigned char events_ = 0; // events not yet taken, as bits
    outcome failed_how_ = outcome::granted;
    outcome lost_how_ = outcome::lost;
    outcome released_how_ = outcome::granted;
};

using ticket_pointer = boost::intrusive_ptr<ticket>;

/// What the machine reports to a ticket's owner. The events of one ticket come in the order in
/// which they happened, and the tickets in the order of their first events.
struct event {
    enum kind : unsigned char {
        granted,  ///< the request is a lease now
        failed,   ///< the request has ended otherwise: `how`
        lost,     ///< the lease has ended: its deadline has passed, or the server does not hold it;
                  ///< `how` is lost, or aborted if close_all or abandon has ended it
        released, ///< the server has answered a give_back whose caller waits for that: `how` is
                  ///< granted, or lost if the lease had ended before
        done      ///< set_limit, inspect: `how` is granted, `status` filled in
    } what;
    ticket_pointer of;
    outcome how = outcome::granted;
    status_record status{};
};

} // namespace asio_semaphore::detail::fleet

#include <asio_semaphore/detail/fleet/impl/ticket.ipp>
