// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

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
// Invariants, and the promises (of fleet_semaphore's documentation) that rest on them:
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
#include <asio_semaphore/detail/fleet/ticket.hpp>
#include <asio_semaphore/fleet/fleet_options.hpp>
#include <asio_semaphore/fleet/fleet_statistics.hpp>

#include <boost/intrusive/list.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace asio_semaphore::detail::fleet {

class limit; // the machine's record of one name

class machine {
public:
    /// @param client its name in the fleet @param seed of the jitter
    machine(std::string client, std::uint64_t seed);
    machine(const machine&) = delete;
    machine& operator=(const machine&) = delete;
    /// Forgets all tickets.
    ~machine();

    const std::string& client() const noexcept { return client_; }

    // Limits. Objects of the same name share one; it is forgotten when the last object has closed
    // it and nothing is left in the server.
    /// @throws std::invalid_argument for arguments that basic_fleet_semaphore refuses, and for
    /// options other than those the limit has here already. Another limit for the same name is told
    /// to every operation of this object, as limit_mismatch: `mismatch` becomes true.
    limit&
    open(std::string_view name, std::ptrdiff_t permits, const fleet_options&, bool& mismatch);
    /// The last object's close ends the requests that still wait: closed. The reference is not to
    /// be used any more.
    void close(limit&, time_point now) noexcept;

    // Requests.
    /// `queued`, or how it ends at once: closed, exceeds_max (by the limit as known here, where the
    /// server cannot be asked at once), queue_full, unreachable, limit_mismatch, invalid_argument;
    /// for try_acquire timed_out where there is no connection, or others wait here; granted where
    /// it is admitted locally.
    outcome start(limit&, ticket&, time_point now);
    /// Nobody waits for the request any more: cancelled, past its deadline, its handler gone. Until
    /// the machine has said `granted` or `failed`, by an event whether taken or not; afterwards no
    /// effect, false.
    /// @param why for the statistics: timed_out, or another
    bool withdraw(ticket&, time_point now, outcome why = outcome::aborted) noexcept;
    /// Of a lease, lost or not. @param is_told an event says what the server answered
    void give_back(ticket&, bool is_told, time_point now) noexcept;

    // The connection.
    /// Subscribed to the client's channel; calls may be made. Their number is connection().
    void connected(time_point now);
    /// Calls that are under way are not answered any more: nothing of an earlier connection may
    /// come to replied() or pushed().
    void disconnected(time_point now);
    /// The server refuses this client altogether, and is likely to go on doing so: who asks fails.
    void refused() noexcept;
    std::uint64_t connection() const noexcept { return connection_; }
    bool is_connected() const noexcept { return is_connected_; }
    /// Whether next_calls has something to say, or has to see whether it has: not while calls are
    /// under way.
    bool has_calls(time_point now) const noexcept;
    std::vector<call> next_calls(time_point now);
    /// One for each call of the last next_calls, in that order.
    void replied(std::vector<reply> replies, time_point now);
    void pushed(const push&, time_point now);

    /// When on_time is to be called; max(): never, until something else happens. What can be said
    /// already is not waited for.
    time_point next_time() const noexcept;
    void on_time(time_point now);

    /// async_run has begun: from here unreachable_after counts where there was no connection yet.
    void running(time_point now);
    /// Closes all limits; gives everything back.
    void close_all(time_point now);
    /// The client dies: requests end as closed, those who wait for a loss as aborted, those who
    /// wait for the answer to a give_back as lost. The leases stay as they are until their
    /// deadlines, and nothing is said any more.
    void abandon() noexcept;
    /// Nothing of this client is left in the server, or has to be any more.
    bool is_empty() const noexcept;

    /// What has happened since, for the owners; in order.
    std::vector<event> take_events();
    bool has_events() const noexcept { return !events_.empty(); }

    /// The shortest lease of all limits, for the connection's timeouts.
    std::chrono::milliseconds shortest_lease() const noexcept;

    // Of one limit, as known here.
    std::ptrdiff_t permits_of(const limit&) const noexcept;
    std::size_t waiting_in(const limit&) const noexcept;
    fleet_statistics counts_of(const limit&) const noexcept;
    /// Of the client.
    fleet_client_statistics counts() const noexcept;

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
    void fail_inspections(limit&, outcome how) noexcept;
    void fail_tries(limit&) noexcept;
    void exceed(limit&, std::uint64_t serial) noexcept;
    void expire(limit&, time_point now) noexcept;
    void repeat_all(limit&) noexcept;
    void forget_if_idle(limit&) noexcept;

    // Calls.
    std::size_t fill_size(const limit&) const noexcept;
    void fill(limit&, call&, saying&, time_point now) noexcept;
    void hear(saying&, const reply&, time_point now) noexcept;
    void hear_failure(saying&, failure, time_point now) noexcept;
    void not_executed(saying&, time_point now) noexcept;
    void hear_result(
        const saying&, said_command&, const answer&, const result&, time_point now) noexcept;
    std::chrono::nanoseconds first_third_of(const limit&) noexcept;

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
    bool is_closed_ = false;
    fleet_client_statistics counts_;
};

} // namespace asio_semaphore::detail::fleet

#include <asio_semaphore/detail/fleet/impl/machine.ipp>
#include <asio_semaphore/detail/fleet/impl/machine_calls.ipp>
#include <asio_semaphore/detail/fleet/impl/machine_replies.ipp>
#include <asio_semaphore/detail/fleet/impl/machine_tickets.ipp>
