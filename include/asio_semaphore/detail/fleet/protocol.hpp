// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// What a client says to the script that keeps the limits in the server, and what it hears. Fleet
// layer: no Asio, no Redis. All times are the server's: a client's clock is never sent.
//
// A request is named by its client, so that every command may be sent again: whoever is held is
// granted again with the same fencing number, whoever waits keeps the place, and who is given back
// twice is given back once.

#include <asio_semaphore/config.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace asio_semaphore::detail::fleet {

/// The layout of the keys. Another one in the server is never written to.
inline constexpr int schema = 1;

/// A call has no more commands than this.
inline constexpr std::size_t commands_at_a_time = 512;

/// One request of this client, from then on a lease. As text CLIENT.SERIAL.N.LEASE, which tells the
/// server all that it needs.
struct request_name {
    std::uint64_t serial;
    std::int64_t n;
    std::int64_t lease; // ms

    friend bool operator==(const request_name& a, const request_name& b) noexcept {
        return a.serial == b.serial && a.n == b.n && a.lease == b.lease;
    }
};

enum class verb : char {
    acquire = 'A',
    try_acquire = 'T', ///< as acquire, but is not left waiting
    give_back = 'R',   ///< of a lease or of a place in the queue
    renew = 'N',
    ask = 'W', ///< how a request stands
    set_limit = 'L',
    inspect = 'I'
};

struct command {
    verb what;
    request_name of{};       // A T R N W
    std::uint64_t fence = 0; // N: the lease's, with which it is put back after a loss of data
    std::int64_t void_after =
        0;                  // N: once the server's clock (ms) is past this, nothing is put back
    std::int64_t limit = 0; // L
};

/// One execution of the script, for one limit.
struct call {
    std::string name;
    std::int64_t presence = 0; // ms for which the client counts as alive without another call
    std::int64_t lease = 0;    // ms
    std::int64_t limit = 0;    // for a limit that the server does not know (any more)
    bool is_strict = false;    // refuse to do anything where the server has another limit
    bool is_immediate = false; // no quarantine after a loss of data
    bool is_first = false;     // of this connection: find out whether PUBLISH is permitted
    std::uint64_t seen = 0;    // the highest seq that this client has heard
    std::vector<command> commands;
};

enum class call_status : std::int64_t {
    ok = 0,
    stale = 1,        ///< from a connection that the client has left; nothing was done
    conflict = 2,     ///< strict, and the server has another limit; nothing was done
    incompatible = 3, ///< another schema; nothing was done
};

enum class verdict : std::int64_t {
    granted = 1,    ///< A T W: the request is held, by this command or since before
    queued = 2,     ///< A W
    refused = 3,    ///< T: it would have to wait; it does not
    exceeds = 4,    ///< A T: more than the limit
    unknown = 5,    ///< W: neither held nor waiting; R: there was nothing
    released = 6,   ///< R: a lease
    withdrawn = 7,  ///< R: a place in the queue
    renewed = 8,    ///< N
    readmitted = 9, ///< N: was lost in the server, and is held again, with its old fencing number
    gone = 10,      ///< N: is not held, and stays so
    done = 11       ///< L I
};

struct result {
    verdict what = verdict::unknown;
    std::uint64_t fence = 0; // granted
    std::int64_t expiry =
        0; // granted, renewed, readmitted: when the lease ends, by the server's clock
    std::int64_t clients = 0;       // I
    std::uint64_t lowest_fence = 0; // I: 0 if nothing is held

    friend bool operator==(const result& a, const result& b) noexcept {
        return a.what == b.what && a.fence == b.fence && a.expiry == b.expiry &&
               a.clients == b.clients && a.lowest_fence == b.lowest_fence;
    }
};

/// A request that had waited has become a lease.
struct grant {
    std::uint64_t serial = 0;
    std::uint64_t fence = 0;
    std::int64_t expiry = 0;

    friend bool operator==(const grant& a, const grant& b) noexcept {
        return a.serial == b.serial && a.fence == b.fence && a.expiry == b.expiry;
    }
};

/// What the script returns.
struct answer {
    call_status status = call_status::ok;
    std::int64_t now = 0;    // the server's clock, ms
    std::uint64_t made = 0;  // when the limit was made, us: another one tells of lost data
    std::uint64_t rolls = 0; // losses of data that were proved
    std::int64_t limit = 0;
    std::uint64_t seq = 0;         // grows
    std::int64_t held = 0;         // permits
    std::int64_t waiting = 0;      // requests
    std::int64_t next_expiry = -1; // ms from now to the end of the earliest lease; -1: none
    bool is_head_mine = false;
    std::int64_t quarantine = 0; // ms from now
    bool has_more = false;       // the call stopped half-way in sweeping or granting: call again
    std::vector<result> results; // one per command, in order
    // Requests of this client that waited since earlier calls, and:
    std::vector<grant> granted;          // were granted by this one
    std::vector<std::uint64_t> exceeded; // left the queue, since the limit is below what they want
};

/// A message on the client's own channel. As text, parts separated by one space: the name's length
/// in bytes, then the name itself, then any of
///   G SERIAL FENCE EXPIRY   a request was granted
///   H MS                    the client's request is now the first in the queue, and so much later
///                           the earliest lease ends (-1: none is held)
///   X SERIAL                a request left the queue, since the limit is below what it wants
struct push {
    std::string name;
    std::vector<grant> granted;
    std::optional<std::int64_t> head;
    std::vector<std::uint64_t> exceeded;

    friend bool operator==(const push& a, const push& b) {
        return a.name == b.name && a.granted == b.granted && a.head == b.head &&
               a.exceeded == b.exceeded;
    }
};

/// Why a call has no answer.
enum class failure : unsigned char {
    none,
    busy,       ///< a long script runs: the same call again, a little later
    refused,    ///< OOM, MISCONF: passes by itself
    rejected,   ///< NOPERM, WRONGTYPE and whatever else the server says
    clustered,  ///< MOVED, ASK, CROSSSLOT
    unavailable ///< READONLY, LOADING, MASTERDOWN, CLUSTERDOWN: another connection is needed
};

struct reply {
    answer said; // where nothing failed
    failure failed = failure::none;
    std::string text; // the server's, where something failed
};

/// A node of the server's reply as RESP3 delivers it, depth first.
struct reply_node {
    std::size_t depth = 0;
    bool is_aggregate = false;
    std::size_t size = 0;    // of an aggregate
    std::int64_t number = 0; // otherwise
};

/// 32 hexadecimal digits at random, which name a client in the fleet.
inline std::string random_client_name();

inline std::string to_text(std::string_view client, const request_name& name);

/// The client's channel.
inline std::string channel_of(std::string_view client);

/// What follows EVALSHA's or EVAL's first argument: the number of keys, the keys, the arguments.
/// @param clock ms; 0: the server's own (tests bring another)
inline std::vector<std::string> to_arguments(
    const call& c, std::string_view client, std::uint64_t connection, std::int64_t clock = 0);

/// None where the reply is not the script's.
inline std::optional<answer>
to_answer(const std::vector<reply_node>& nodes, const std::vector<command>& commands);

inline std::optional<push> to_push(std::string_view text);

/// By the first word of an error reply.
inline failure to_failure(std::string_view error_text) noexcept;

} // namespace asio_semaphore::detail::fleet

#include <asio_semaphore/detail/fleet/impl/protocol.ipp>
