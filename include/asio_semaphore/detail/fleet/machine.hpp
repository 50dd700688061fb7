#pragma once

// A client's side of the limits of a fleet: who asks, waits, holds and gives back, and what has to
// be said to the server when. Fleet layer: no Asio, no Redis, no thread; the time is passed in, and
// whoever owns the machine guards it by one mutex.
//
//   ticket:  waiting ─> asked ─> queued ─> held ─> lost ─> over
//              here      said     in the    a       ended    nobody needs it
//                                 server    lease   here     any more
//
// What a ticket may have left in the server when it is over, when a grant comes too late, or when
// it is admitted locally, is its rest: the name under which it asked, to be given back. A ticket
// asks under a new name only when there is no rest of it.
//
// One call for each limit is under way at a time; what it says is derived from the states of the
// tickets when it is made, so that nothing has to be repeated after a lost connection: what was not
// answered is said again. Every command may be.
//
// Invariants, and the promises of the contract that rest on them:
//  - A lease ends here a margin ahead of the server: its deadline counts from before the call that
//    granted or renewed it was handed out, or from when it was surely still waiting (P1, P6). The
//    deadline is atomic, and once ended stays so, whoever notices first.
//  - A ticket leaves "waiting, asked or queued" once, and whoever takes it out tells its end: an
//    event, or withdraw's answer (P2).
//  - Names are numbered in the order of initiation and said in that order; who asks anew gets a new
//    number, at the tail (P3).
//  - A name that has been said is asked, queued, held, lost or a rest, until the server has
//    answered that there is none, or must have ended it by itself (P4, P7).
//  - Everybody who waits in the server is asked about every third of the lease, at once on a new
//    connection and when the server has lost data (P5).
//  - Fencing numbers are the server's, which hears the highest that was seen (P8).

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/detail/fleet/protocol.hpp>
#include <asio_semaphore/detail/state/wait_queue.hpp>
#include <asio_semaphore/fleet/fleet_options.hpp>
#include <asio_semaphore/fleet/fleet_statistics.hpp>

#include <boost/intrusive/list.hpp>
#include <boost/intrusive/set.hpp>
#include <boost/smart_ptr/intrusive_ptr.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace asio_semaphore::detail::fleet {

/// Counts while the machine sleeps, too, where the system has such a clock.
struct clock {
    using duration = std::chrono::nanoseconds;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<clock>;
    static constexpr bool is_steady = true;
    inline static time_point now() noexcept;
};
using time_point = clock::time_point;

class limit; // the machine's record of one name
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
    inline ticket(purpose what, std::ptrdiff_t n) noexcept;
    ticket(const ticket&) = delete;
    ticket& operator=(const ticket&) = delete;

    std::ptrdiff_t count() const noexcept { return count_; }

    // Of a lease; from any thread, without the mutex.
    /// Asks the clock. Once it has said no it never says yes again, whatever the server answers:
    /// saying so is what ends the lease here.
    inline bool is_valid(time_point now) const noexcept;
    /// Local: a margin ahead of the server's; min(): ended; max(): admitted locally.
    inline time_point deadline() const noexcept;
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

class machine {
public:
    /// @param client its name in the fleet @param seed of the jitter
    inline machine(std::string client, std::uint64_t seed);
    machine(const machine&) = delete;
    machine& operator=(const machine&) = delete;
    /// Forgets all tickets.
    inline ~machine();

    const std::string& client() const noexcept { return client_; }

    // Limits. Objects of the same name share one; it is forgotten when the last object has closed
    // it and nothing is left in the server.
    /// @throws std::invalid_argument for arguments outside of contract-fleet section 3, and for
    /// options other than those the limit has here already. Another limit for the same name is told
    /// to every operation of this object, as limit_mismatch: `mismatch` becomes true.
    inline limit&
    open(std::string_view name, std::ptrdiff_t permits, const fleet_options&, bool& mismatch);
    /// The last object's close ends the requests that still wait: closed. The reference is not to
    /// be used any more.
    inline void close(limit&, time_point now) noexcept;

    // Requests.
    /// `queued`, or how it ends at once: closed, exceeds_max (by the limit as known here, where the
    /// server cannot be asked at once), queue_full, unreachable, limit_mismatch, invalid_argument;
    /// for try_acquire timed_out where there is no connection, or others wait here; granted where
    /// it is admitted locally.
    inline outcome start(limit&, ticket&, time_point now);
    /// Nobody waits for the request any more: cancelled, past its deadline, its handler gone. Until
    /// the machine has said `granted` or `failed`, by an event whether taken or not; afterwards no
    /// effect, false.
    /// @param why for the statistics: timed_out, or another
    inline bool withdraw(ticket&, time_point now, outcome why = outcome::aborted) noexcept;
    /// Of a lease, lost or not. @param is_told an event says what the server answered
    inline void give_back(ticket&, bool is_told, time_point now) noexcept;

    // The connection.
    /// Subscribed to the client's channel; calls may be made. Their number is connection().
    inline void connected(time_point now);
    /// Calls that are under way are not answered any more: nothing of an earlier connection may
    /// come to replied() or pushed().
    inline void disconnected(time_point now);
    /// The server refuses this client altogether, and is likely to go on doing so: who asks fails.
    inline void refused() noexcept;
    std::uint64_t connection() const noexcept { return connection_; }
    bool is_connected() const noexcept { return is_connected_; }
    /// An answer has shown that another connection is needed.
    bool wants_reconnect() const noexcept { return wants_reconnect_; }
    /// Whether next_calls has something to say, or has to see whether it has: not while calls are
    /// under way.
    inline bool has_calls(time_point now) const noexcept;
    inline std::vector<call> next_calls(time_point now);
    /// One for each call of the last next_calls, in that order.
    inline void replied(std::vector<reply> replies, time_point now);
    inline void pushed(const push&, time_point now);

    /// When on_time is to be called; max(): never, until something else happens. What can be said
    /// already is not waited for.
    inline time_point next_time() const noexcept;
    inline void on_time(time_point now);

    /// async_run has begun: from here unreachable_after counts where there was no connection yet.
    inline void running(time_point now);
    /// Closes all limits; gives everything back.
    inline void close_all(time_point now);
    /// The client dies: requests end as closed, those who wait for a loss as aborted, those who
    /// wait for the answer to a give_back as lost. The leases stay as they are until their
    /// deadlines, and nothing is said any more.
    inline void abandon() noexcept;
    /// Nothing of this client is left in the server, or has to be any more.
    inline bool is_empty() const noexcept;

    /// What has happened since, for the owners; in order.
    inline std::vector<event> take_events();
    bool has_events() const noexcept { return !events_.empty(); }

    /// The shortest lease of all limits, for the connection's timeouts.
    inline std::chrono::milliseconds shortest_lease() const noexcept;

    // Of one limit, as known here.
    inline std::ptrdiff_t permits_of(const limit&) const noexcept;
    inline std::size_t waiting_in(const limit&) const noexcept;
    inline fleet_statistics counts_of(const limit&) const noexcept;
    /// Of the client.
    inline fleet_client_statistics counts() const noexcept;

private:
    struct said_command {
        ticket_pointer of;
        std::uint64_t serial;
        verb what;
        bool is_first; // nothing of that name could be in the server before
    };
    // A call under way.
    struct saying {
        limit* in;
        time_point at;
        time_point before;        // the last that may have been executed
        std::uint64_t asked_from; // see limit::ask_from
        bool has_asks;
        std::vector<said_command> commands;
    };
    using event_list = boost::intrusive::list<
        ticket, boost::intrusive::member_hook<
                    ticket, boost::intrusive::list_member_hook<>, &ticket::event_hook_>>;

    // What becomes of a ticket.
    void know(ticket&, limit&, time_point now) noexcept;
    void forget_if_over(ticket&) noexcept;
    void tell(ticket&, event::kind) noexcept;
    void set_timer(ticket&, time_point) noexcept;
    void clear_timer(ticket&) noexcept;
    void leave_line(ticket&) noexcept;
    void give_rest(ticket&) noexcept;
    time_point rest_ends(const ticket&) const noexcept;
    void time_rest(ticket&) noexcept;
    void end_rest(ticket&, outcome how) noexcept;
    void fail(ticket&, outcome how) noexcept;
    void count_end(limit&, outcome how) noexcept;
    void grant(
        ticket&, std::uint64_t fence, std::int64_t expiry, time_point deadline,
        time_point now) noexcept;
    void admit_here(ticket&, time_point now) noexcept;
    void lose(ticket&, bool by_server) noexcept;
    void prolong(
        ticket&, std::int64_t expiry, time_point deadline, time_point said,
        time_point now) noexcept;

    // What becomes of a limit.
    bool is_unreachable(const limit&, time_point now) const noexcept;
    void mind_unreachable(limit&, time_point now) noexcept;
    void admit_locally(limit&, time_point now) noexcept;
    void fail_all(limit&, outcome how) noexcept;
    void fail_asking(limit&, outcome how) noexcept;
    void exceed(limit&, std::uint64_t serial) noexcept;
    void expire(limit&, time_point now) noexcept;
    void repeat_all(limit&) noexcept;
    void forget_if_idle(limit&) noexcept;

    // Calls.
    std::size_t fill_size(const limit&) const noexcept;
    void fill(limit&, call&, saying&, time_point now) noexcept;
    void undo(saying&) noexcept;
    void hear(saying&, const reply&, time_point now) noexcept;
    void hear_failure(saying&, failure, time_point now) noexcept;
    void hear_result(
        const saying&, said_command&, const answer&, const result&, time_point now) noexcept;
    std::chrono::nanoseconds third_of(const limit&) noexcept;

    const std::string client_;
    std::map<std::string, std::unique_ptr<limit>, std::less<>> limits_;
    std::vector<saying> under_way_;
    event_list events_;
    std::uint64_t random_;
    std::uint64_t serial_ = 0;
    std::uint64_t connection_ = 0;
    std::optional<time_point> lost_at_; // the connection, or async_run began without one
    time_point connected_at_;
    time_point handed_out_at_;
    bool is_connected_ = false;
    bool wants_reconnect_ = false;
    bool is_closed_ = false;
    fleet_client_statistics counts_;
};

} // namespace asio_semaphore::detail::fleet

#include <asio_semaphore/detail/fleet/impl/machine.ipp>
