// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// A client's side of the limits of a fleet: the states of its requests and leases, and which
// commands to send to the server when. Fleet layer: no Asio, no Redis, no thread. The caller passes
// the time in, and guards the machine by one mutex.
//
//   ticket:  waiting ─> asked ─> queued ─> held ─> lost ─> over
//            in the     sent     in the    a       ended   no longer
//            client              server's  lease   here    needed
//                                queue
//
// When a ticket is over, is granted too late, or is admitted locally, the server may still have a
// lease or a place under the ticket's name. That name is the ticket's rest, which the machine gives
// back. A ticket is sent under a new name only after its rest has ended.
//
// One call for each limit is under way at a time. The machine derives its commands from the states
// of the tickets, so after a lost connection the next call repeats whatever was not answered. Every
// command can be repeated.
//
// Invariants, and the guarantees that rest on them: P1 to P8 are the rows of the table in
// doc/fleet.md, in that order.
//  - A lease ends here a margin before it ends in the server. Its deadline counts from when the
//    call that granted or renewed it was made, not from its answer; after a pushed grant, from a
//    time at which the request still waited (P1, P6). The deadline is atomic, and a lease that has
//    ended stays ended.
//  - A ticket leaves the states waiting, asked and queued once. Whatever takes it out also reports
//    its end, by an event or as the result of withdraw (P2).
//  - Requests get serials in the order of initiation, and are sent in that order. A request that
//    asks again after a late grant gets a new serial, at the tail (P3).
//  - A name that was sent is that of an asked, queued, held or lost ticket, or a rest, until the
//    server has answered that it does not have the name, or must have ended it by itself (P4, P7).
//  - The machine asks about all queued requests every third of the lease, and at once on a new
//    connection and after the server has lost data (P5).
//  - Fencing numbers come from the server, and calls tell it the highest that was seen (P8).

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

class limit; // the machine's record of one limit

class machine {
public:
    /// @param client the client's name in the fleet
    /// @param seed the seed of the jitter
    machine(std::string client, std::uint64_t seed);
    machine(const machine&) = delete;
    machine& operator=(const machine&) = delete;
    /// Forgets all tickets.
    ~machine();

    const std::string& client() const noexcept { return client_; }

    // Limits. Semaphore objects of the same name share one. The machine forgets it when the last
    // object has closed it and nothing of it is left in the server.

    /// Sets mismatch if the limit has another number of permits here already, which the options do
    /// not adopt. Every operation of this semaphore object then fails with limit_mismatch.
    /// @throws std::invalid_argument for arguments that basic_fleet_semaphore refuses, and for
    /// options that differ from those that the limit has here already
    limit&
    open(std::string_view name, std::ptrdiff_t permits, const fleet_options&, bool& mismatch);
    /// Closes one semaphore object of the limit. The last one ends the waiting requests, with
    /// `closed`. The caller must not use the reference afterwards.
    void close(limit&, time_point now) noexcept;

    // Requests.

    /// Returns `queued`, or the outcome of a request that ends at once: closed, queue_full,
    /// unreachable, limit_mismatch, invalid_argument; exceeds_max, by the limit as known here, if
    /// the next call cannot ask the server; timed_out for a try_acquire that the next call cannot
    /// send; granted if the request is admitted locally.
    outcome start(limit&, ticket&, time_point now);
    /// Ends a request whose operation no longer waits. Once the machine has reported `granted` or
    /// `failed`, even by an event that is not yet taken, this has no effect and returns false.
    /// @param why the outcome of the operation, for the statistics
    bool withdraw(ticket&, time_point now, outcome why = outcome::aborted) noexcept;
    /// Gives back a lease, lost or not.
    /// @param is_told whether an event reports the server's answer
    void give_back(ticket&, bool is_told, time_point now) noexcept;

    // The connection.

    /// The client has a new connection, is subscribed to its channel, and may send calls.
    /// connection() is the number of the connection.
    void connected(time_point now);
    /// The connection is lost. Calls under way will not be answered: from here on the caller must
    /// pass nothing of this connection to replied() or pushed().
    void disconnected(time_point now);
    /// The server refuses this client, and will probably continue to. Fails whatever waits outside
    /// the server's queue.
    void refused() noexcept;
    std::uint64_t connection() const noexcept { return connection_; }
    bool is_connected() const noexcept { return is_connected_; }
    /// Whether to call next_calls, which may still return nothing. False while calls are under way.
    bool has_calls(time_point now) const noexcept;
    std::vector<call> next_calls(time_point now);
    /// Takes the replies to the calls of the last next_calls, one for each, in that order.
    void replied(std::vector<reply> replies, time_point now);
    void pushed(const push&, time_point now);

    /// Returns when the caller has to call on_time and next_calls; max() if nothing is due until
    /// something else happens. Leaves out calls that can be sent at once.
    time_point next_time() const noexcept;
    void on_time(time_point now);

    /// async_run has begun, perhaps anew. Without a connection yet, unreachable_after counts from
    /// here.
    void running(time_point now);
    /// Closes all limits, and gives everything back.
    void close_all(time_point now);
    /// The client or its context is destroyed. Requests end with `closed`, waits for a loss with
    /// `aborted`, and waits for the answer to a give_back with `lost`. Leases stay valid until
    /// their deadlines. No more calls are made.
    void abandon() noexcept;
    /// Whether this client has nothing left to give back. What the server may still have of it ends
    /// by itself.
    bool is_empty() const noexcept;

    // The events, in order, for the owners of the tickets.
    std::optional<event> take_event() noexcept;
    std::size_t event_count() const noexcept { return event_count_; }

    /// Returns the shortest lease of all limits, which determines the connection's timeouts.
    std::chrono::milliseconds shortest_lease() const noexcept;

    // What is known here about one limit.
    std::ptrdiff_t permits_of(const limit&) const noexcept;
    std::size_t waiting_in(const limit&) const noexcept;
    fleet_statistics counts_of(const limit&) const noexcept;
    /// The counters of the client.
    fleet_client_statistics counts() const noexcept;

private:
    struct said_command {
        ticket_pointer of;
        std::uint64_t serial;
        verb what;
        bool is_first; // before this command the server could not know the name
    };
    // A call under way.
    struct saying {
        limit* in;
        time_point at;
        time_point before;        // limit::last_call before this call
        std::uint64_t asked_from; // limit::ask_from before this call
        bool has_asks;            // whether the call needs memory in the server
        std::vector<said_command> commands;
    };
    using event_list = boost::intrusive::list<
        ticket, boost::intrusive::member_hook<
                    ticket, boost::intrusive::list_member_hook<>, &ticket::event_hook_>>;

    // Functions of one ticket.
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

    // Functions of one limit.
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
    event_list events_; // the tickets that have events
    std::size_t event_count_ = 0;
    std::uint64_t random_;
    std::uint64_t serial_ = 0;
    std::uint64_t connection_ = 0;
    // When the connection was lost, or async_run began without one. If the server ended it by
    // being unavailable: unavailable_since_.
    std::optional<time_point> lost_at_;
    // The first answer that the server is unavailable, if no other answer has followed, and each
    // connection since then has asked again.
    std::optional<time_point> unavailable_since_;
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
