// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// What a client's machine knows about one limit of the fleet. The machine has the rules. Fleet
// layer: no Asio, no Redis.

#include <asio_semaphore/detail/fleet/protocol.hpp>
#include <asio_semaphore/detail/fleet/ticket.hpp>
#include <asio_semaphore/fleet/fleet_options.hpp>
#include <asio_semaphore/fleet/fleet_statistics.hpp>

#include <boost/intrusive/list.hpp>
#include <boost/intrusive/set.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

namespace asio_semaphore::detail::fleet {

inline constexpr time_point never = time_point::max();
inline constexpr time_point at_once = time_point::min();
inline constexpr std::uint64_t nobody = std::numeric_limits<std::uint64_t>::max();

class limit {
    struct serial_of {
        using type = std::uint64_t;
        type operator()(const ticket& t) const noexcept { return t.serial_; }
    };
    struct by_timer {
        bool operator()(const ticket& a, const ticket& b) const noexcept {
            return a.timer_ < b.timer_;
        }
    };
    // These lists keep no size, so a ticket can leave a list without knowing which one it is in.
    template <boost::intrusive::list_member_hook<> ticket::*Hook>
    using list_by = boost::intrusive::list<
        ticket, boost::intrusive::member_hook<ticket, boost::intrusive::list_member_hook<>, Hook>,
        boost::intrusive::constant_time_size<false>>;

public:
    using request_set = boost::intrusive::set<
        ticket,
        boost::intrusive::member_hook<
            ticket, boost::intrusive::set_member_hook<>, &ticket::request_hook_>,
        boost::intrusive::key_of_value<serial_of>>;
    using timer_set = boost::intrusive::multiset<
        ticket,
        boost::intrusive::member_hook<
            ticket, boost::intrusive::set_member_hook<>, &ticket::timer_hook_>,
        boost::intrusive::compare<by_timer>>;
    using place_list = list_by<&ticket::place_hook_>;
    using rest_list = list_by<&ticket::rest_hook_>;

    limit(std::string_view its_name, std::int64_t its_permits, const fleet_options& its_options) :
        name(its_name),
        options(its_options),
        lease(its_options.lease),
        margin(
            its_options.margin > std::chrono::milliseconds(0)
                ? std::chrono::nanoseconds(its_options.margin)
                : std::chrono::nanoseconds(its_options.lease) / 10),
        permits(its_permits) {}

    request_name name_of(const ticket& t, std::uint64_t serial) const noexcept {
        return {serial, t.count_, options.lease.count()};
    }

    static void leave_place(ticket& t) noexcept {
        place_list any;
        any.erase(any.iterator_to(t));
    }

    std::size_t said() const noexcept { return asked.size() + queued.size(); }
    std::size_t wait_count() const noexcept { return waiting.size() + said(); }

    bool may_ask() const noexcept {
        return !waiting.empty() && said() < options.window && waiting.begin()->rest_ == 0;
    }

    /// Returns the request with this serial if the server may know it; null if there is none.
    ticket* find_said(std::uint64_t serial) noexcept {
        for (request_set* const line : {&queued, &asked}) {
            const auto found = line->find(serial);
            if (found != line->end())
                return found->may_exist_ ? &*found : nullptr;
        }
        return nullptr;
    }

    /// Remembers the name of a request that has ended here.
    void remember(const ticket& t, std::uint64_t serial) noexcept {
        ended[ended_count++ % ended.size()] = {serial, t.count_};
    }

    /// Notes the grant of a request that has ended here: the server has gone back to older data, in
    /// which the request still waited.
    void find_stray(std::uint64_t serial) noexcept {
        for (std::size_t i = 0; i < stray_count; ++i)
            if (strays[i].serial == serial)
                return;
        for (const ended_name& each : ended)
            if (each.serial == serial && serial != 0 && stray_count < strays.size()) {
                strays[stray_count++] = each;
                return;
            }
    }

    void end_stray(std::uint64_t serial) noexcept {
        for (std::size_t i = 0; i < stray_count; ++i)
            if (strays[i].serial == serial) {
                strays[i] = strays[--stray_count];
                return;
            }
    }

    /// Whether there are queued requests to ask about, from ask_from on.
    bool asks() const noexcept {
        return ask_from != nobody && !queued.empty() && queued.rbegin()->serial_ >= ask_from;
    }

    bool has_beats() const noexcept { return !due.empty() || !held.empty() || !queued.empty(); }

    bool is_idle() const noexcept {
        return wait_count() == 0 && due.empty() && held.empty() && unrenewed.empty() &&
               local.empty() && lost.empty() && rests.empty() && settings.empty() &&
               inspections.empty();
    }

    /// Returns when the next call is due, which may be at_once or never.
    time_point call_time() const noexcept {
        time_point next = never;
        if (may_ask() || !settings.empty())
            next = asks_pause;
        if (!asked.empty())
            next = std::min(next, std::max(asks_pause, pause));
        if (!rests.empty() || stray_count != 0 || !due.empty() || !inspections.empty() || asks() ||
            calls_again)
            next = std::min(next, pause);
        next = std::min(next, std::max(pause, std::min(beat_at, head_at)));
        return next;
    }

    const std::string name;
    const fleet_options options;
    const std::chrono::nanoseconds lease;
    const std::chrono::nanoseconds margin;

    std::size_t objects = 0;
    std::int64_t permits; // the server's limit; before its first answer, the constructor's
    bool was_heard = false;
    bool has_conflict = false; // stays set until the last object is closed

    // From the server's answers; seen from its pushes too.
    std::uint64_t made = 0;
    std::uint64_t rolls = 0;
    std::uint64_t seen = 0;
    time_point quarantine_end = at_once;

    request_set waiting;
    request_set asked;
    request_set queued;
    place_list due; // leases to renew in the next calls
    place_list held;
    place_list unrenewed; // held for max_hold, and no longer renewed
    place_list local;
    place_list lost;
    rest_list rests;
    place_list settings;
    place_list inspections;
    timer_set timers;

    // `ended` has the names of the requests that have ended here last, and `strays` those of them
    // that the server has granted nevertheless, and that are to be given back. A lease for which
    // the arrays have no room expires by itself.
    struct ended_name {
        std::uint64_t serial = 0;
        std::int64_t n = 0;
    };
    std::array<ended_name, 256> ended{};
    std::array<ended_name, 16> strays{};
    std::size_t ended_count = 0;
    std::size_t stray_count = 0;

    std::size_t lease_count = 0; // in due, held and unrenewed
    std::ptrdiff_t local_used = 0;
    std::uint64_t local_from = 0; // waiting requests with smaller serials exceed local_permits
    bool is_minded = false;       // mind_unreachable has acted since machine::lost_at_

    // Calls.
    std::uint64_t ask_from = nobody; // the first serial of the queued requests to ask about
    bool is_first = true;            // the next call is the first of this connection
    bool calls_again = false;
    time_point beat_at = never;      // when to renew all leases, and ask about all queued requests
    time_point head_at = never;      // when our request at the head of the queue may fit
    time_point pause = at_once;      // no command is repeated before this time
    time_point asks_pause = at_once; // no command that needs memory is sent before this time
    time_point last_call = at_once;  // the latest time of a call that may have been executed
    std::chrono::nanoseconds back_off{0};

    fleet_statistics counts;
};

} // namespace asio_semaphore::detail::fleet
