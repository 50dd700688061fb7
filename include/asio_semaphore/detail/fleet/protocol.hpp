// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// The protocol between a client and the script that keeps the limits in the server. Fleet layer: no
// Asio, no Redis. All times are by the server's clock: a client never sends a time of its own.
//
// The client names its requests, so that it may send every command again. A request that is held is
// granted again with the same fencing number, a waiting request keeps its place, and giving back
// twice gives back once.

#include <asio_semaphore/config.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace asio_semaphore::detail::fleet {

/// The layout of the keys. The script never writes to keys of another layout.
inline constexpr int schema = 1;

/// The largest number of commands in a call, apart from renewals.
inline constexpr std::size_t commands_at_a_time = 512;

/// The largest number of renewals in a call, besides the other commands. Renewals are cheap, so a
/// client with a thousand permits needs only three calls per lease.
inline constexpr std::size_t renewals_at_a_time = 1024;
static_assert(
    renewals_at_a_time < 2000 && commands_at_a_time < 2000, "the script's longest SERIAL+MORE");

/// The name of one request of this client, and of the lease that it becomes. As text it is
/// CLIENT.SERIAL.N.LEASE, which is all that the server needs to know of a request.
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
    try_acquire = 'T', ///< like acquire, but does not wait
    give_back = 'R',   ///< gives back a lease or a place in the queue
    renew = 'N',
    ask = 'W', ///< asks for the state of a request
    set_limit = 'L',
    inspect = 'I'
};

struct command {
    verb what;
    request_name of{};           // A T R N W
    std::uint64_t fence = 0;     // N: the lease's, for readmission after a loss of data
    std::int64_t void_after = 0; // N: the renewal is void once the server's clock (ms) is past this
    std::int64_t limit = 0;      // L
};

/// One execution of the script, for one limit.
struct call {
    std::string name;
    std::int64_t presence = 0; // how long the client counts as alive without another call, ms
    std::int64_t lease = 0;    // ms
    std::int64_t limit = 0;    // for a limit that the server does not know, or has lost
    bool is_strict = false;    // do nothing if the server has another limit
    bool is_immediate = false; // no quarantine after a loss of data
    bool is_first = false;     // first of this connection: try the commands that may be denied
    std::uint64_t seen = 0;    // the highest seq that this client has received
    std::vector<command> commands;
};

enum class call_status : std::int64_t {
    ok = 0,
    stale = 1,        ///< the client has left this connection; nothing was done
    conflict = 2,     ///< strict, but the server has another limit; nothing was done
    incompatible = 3, ///< another schema; nothing was done
};

enum class verdict : std::int64_t {
    granted = 1,    ///< A T W: the request is held, now or already before
    queued = 2,     ///< A W
    refused = 3,    ///< T: would have to wait
    exceeds = 4,    ///< A T: more than the limit
    unknown = 5,    ///< W: neither held nor waiting; R: there was nothing to give back
    released = 6,   ///< R: a lease was given back
    withdrawn = 7,  ///< R: a place in the queue was given back
    renewed = 8,    ///< N
    readmitted = 9, ///< N: held again, with its old fencing number; the server had lost it
    gone = 10,      ///< N: not held, and will not be held again
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

/// A waiting request has become a lease.
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
    std::uint64_t made = 0;  // when the limit was made, us; a new value means lost data
    std::uint64_t rolls = 0; // proven losses of data
    std::int64_t limit = 0;
    std::uint64_t seq = 0;    // grows with each call
    std::int64_t held = 0;    // permits
    std::int64_t waiting = 0; // requests
    // The time until the earliest lease ends, ms; -1 if no reachable request waits, or nothing is
    // held.
    std::int64_t next_expiry = -1;
    bool is_head_mine = false;
    std::int64_t quarantine = 0; // its remaining time, ms
    bool has_more = false;       // the server stopped half-way: call again
    std::vector<result> results; // one per command, in order
    // What became of this client's requests that earlier calls had queued.
    std::vector<grant> granted;
    std::vector<std::uint64_t> exceeded; // they left the queue, because they exceed the limit
};

/// A message on the client's own channel. As text, its parts are separated by single spaces: the
/// name's length in bytes, the name itself, then any of
///   G SERIAL FENCE EXPIRY   a request was granted
///   H MS                    a request of the client is now the first in the queue, and the
///                           earliest lease ends after MS ms (-1: none is held)
///   X SERIAL                a request left the queue, because it asks for more than the limit
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
    busy,       ///< a long script runs: repeat the call a little later
    refused,    ///< OOM, MISCONF: passes by itself
    rejected,   ///< NOPERM, WRONGTYPE and every other error
    clustered,  ///< MOVED, ASK, CROSSSLOT
    unavailable ///< READONLY, LOADING, MASTERDOWN, CLUSTERDOWN: the store reconnects
};

struct reply {
    answer said; // valid if nothing failed
    failure failed = failure::none;
    std::string text; // the server's error, if something failed
};

/// A node of the server's reply as RESP3 delivers it, depth first.
struct reply_node {
    std::size_t depth = 0;
    bool is_aggregate = false;
    std::size_t size = 0;    // for an aggregate
    std::int64_t number = 0; // for anything else
};

/// Returns 32 random hexadecimal digits, which name a client in the fleet.
inline std::string random_client_name();

inline std::string to_text(std::string_view client, const request_name& name);

/// Returns the name of the client's channel.
inline std::string channel_of(std::string_view client);

/// Returns what follows the first argument of EVALSHA or EVAL: the number of keys, the keys, the
/// arguments.
/// @param clock in ms; 0 for the server's own (tests use others)
inline std::vector<std::string> to_arguments(
    const call& c, std::string_view client, std::uint64_t connection, std::int64_t clock = 0);

/// Returns nothing if the reply is not an answer of the script.
inline std::optional<answer>
to_answer(const std::vector<reply_node>& nodes, const std::vector<command>& commands);

inline std::optional<push> to_push(std::string_view text);

/// Classifies an error reply by its first word.
inline failure to_failure(std::string_view error_text) noexcept;

} // namespace asio_semaphore::detail::fleet

#include <asio_semaphore/detail/fleet/impl/protocol.ipp>
