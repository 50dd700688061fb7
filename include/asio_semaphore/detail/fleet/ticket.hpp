// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// A request to a limit of the fleet, and the lease that becomes of it, as a client's machine sees
// it, and what the machine tells of it. Fleet layer: no Asio, no Redis.

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

/// Counts while the machine sleeps, too, where the system has such a clock.
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

/// What inspect answers.
struct status_record {
    std::int64_t limit = 0;
    std::int64_t held = 0;
    std::int64_t waiting = 0;
    std::int64_t clients = 0;
    std::uint64_t lowest_fence = 0;
    std::chrono::milliseconds quarantine{0};
    std::uint64_t rolls = 0;
};

/// A request from its start, as a lease, and until nothing of it is left in the server. Owners
/// derive from it. The machine holds a reference as long as it knows the ticket; it drops it within
/// its own functions.
class ticket {
public:
    enum class purpose : unsigned char { acquire, try_acquire, set_limit, inspect };

    /// @param n permits; set_limit: the new limit
    ticket(purpose what, std::ptrdiff_t n) noexcept;
    ticket(const ticket&) = delete;
    ticket& operator=(const ticket&) = delete;

    std::ptrdiff_t count() const noexcept { return count_; }

    // Of a lease; from any thread, without the mutex.
    /// Asks the clock. Once it has said no it never says yes again, whatever the server answers:
    /// saying so is what ends the lease here.
    bool is_valid(time_point now) const noexcept;
    /// Local: a margin ahead of the server's; min(): ended; max(): admitted locally.
    time_point deadline() const noexcept;
    std::uint64_t fence() const noexcept { return fence_; } // 0: admitted locally
    bool is_local() const noexcept { return is_local_; }

    /// What the owner may need to find its waiter. Untouched by the machine.
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
        waiting, // here
        asked,   // said, or to be said again
        queued,
        held,
        lost, // not given back by its owner yet
        over  // only a rest of it may remain
    };

    virtual void add_reference() noexcept = 0;
    virtual void drop_reference() noexcept = 0;

    static constexpr clock::rep ended = std::numeric_limits<clock::rep>::min();

    bool is_request() const noexcept {
        return purpose_ == purpose::acquire || purpose_ == purpose::try_acquire;
    }

    // Written before the ticket's grant is told, and by is_valid and the machine.
    mutable std::atomic<clock::rep> deadline_{ended};
    std::uint64_t fence_ = 0;
    const std::ptrdiff_t count_;

    // From here on guarded by the owner's mutex.
    boost::intrusive::set_member_hook<> request_hook_; // waiting, asked, queued: by serial
    boost::intrusive::list_member_hook<> place_hook_;  // held, lost; set_limit and inspect
    boost::intrusive::list_member_hook<> rest_hook_;
    boost::intrusive::set_member_hook<> timer_hook_;
    boost::intrusive::list_member_hook<> event_hook_;

    limit* limit_ = nullptr; // while it is known
    std::uint64_t serial_ = 0;
    std::uint64_t rest_ = 0;  // the serial that is to be given back; 0: there is no rest
    std::int64_t expiry_ = 0; // by the server's clock
    time_point since_;        // its start
    time_point first_said_;   // a grant by a push is not older than this
    time_point last_said_;    // the newest call that can have made or prolonged it
    time_point held_since_;
    time_point timer_;                      // of a lease: its deadline; otherwise of the rest
    time_point told_deadline_;              // of the lease that was given back
    std::unique_ptr<status_record> status_; // of set_limit and inspect
    const purpose purpose_;
    state state_ = state::fresh;
    bool is_local_ = false;
    bool may_exist_ = false; // serial_, in the server
    bool rests_as_place_ = false;
    bool tells_rest_ = false;  // an event says what became of the rest
    bool is_known_ = false;    // the machine holds a reference
    unsigned char events_ = 0; // that have not been taken, by bit
    outcome failed_how_ = outcome::granted;
    outcome lost_how_ = outcome::lost;
    outcome released_how_ = outcome::granted;
};

using ticket_pointer = boost::intrusive_ptr<ticket>;

/// What a ticket's owner is to be told. Those of one ticket in the order in which they happened,
/// and the tickets in the order of the first.
struct event {
    enum kind : unsigned char {
        granted,  ///< it is a lease now
        failed,   ///< the request has ended otherwise: `how`
        lost,     ///< the lease has ended: its deadline has passed, or the server does not hold it;
                  ///< `how` is lost, or aborted where close_all has ended it
        released, ///< the server has answered a give_back that was to be told: `how` is granted, or
                  ///< lost if the lease had ended before
        done      ///< set_limit, inspect: `how` is granted, `status` filled in
    } what;
    ticket_pointer of;
    outcome how = outcome::granted;
    status_record status{};
};

} // namespace asio_semaphore::detail::fleet

#include <asio_semaphore/detail/fleet/impl/ticket.ipp>
