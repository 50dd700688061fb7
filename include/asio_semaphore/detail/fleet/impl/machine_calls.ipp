// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// The machine's calls to the server.

#include <asio_semaphore/detail/fleet/machine.hpp>

#include <asio_semaphore/detail/fleet/limit.hpp>

#include <algorithm>
#include <utility>

namespace asio_semaphore::detail::fleet {

using namespace std::chrono_literals;

/// Half of the day after which the server drops unused keys.
inline constexpr std::chrono::hours longest_silence{12};

inline bool machine::has_calls(time_point now) const noexcept {
    if (!is_connected_ || !under_way_.empty())
        return false;
    for (const auto& [name, in] : limits_)
        if (in->call_time() <= now)
            return true;
    return false;
}

// Returns an upper bound on the number of commands in the next call.
inline std::size_t machine::fill_size(const limit& in) const noexcept {
    std::size_t size = in.wait_count() + in.stray_count;
    for (auto t = in.rests.begin(); t != in.rests.end() && size < commands_at_a_time; ++t)
        ++size;
    for (const limit::place_list* const line : {&in.settings, &in.inspections})
        for (auto t = line->begin(); t != line->end() && size < commands_at_a_time; ++t)
            ++size;
    return std::min(size, commands_at_a_time) + std::min(in.lease_count, renewals_at_a_time);
}

// Fills a call with commands, and notes them in s.
// @pre both lists of commands have the capacity of fill_size
inline void machine::fill(limit& in, call& c, saying& s, time_point now) noexcept {
    std::size_t renewals = 0;
    const auto has_room = [&] {
        return c.commands.size() - renewals < commands_at_a_time;
    };
    const auto say = [&](ticket& t, std::uint64_t serial, verb what) -> command& {
        command said{what};
        if (serial != 0)
            said.of = in.name_of(t, serial);
        c.commands.push_back(said);
        s.commands.push_back({ticket_pointer(&t), serial, what, false});
        return c.commands.back();
    };
    const auto ask = [&](ticket& t) {
        say(t, t.serial_,
            t.purpose_ == ticket::purpose::acquire ? verb::acquire : verb::try_acquire);
        s.commands.back().is_first = !t.may_exist_;
        if (!t.may_exist_)
            t.first_said_ = now;
        t.may_exist_ = true;
        t.last_said_ = now;
        s.has_asks = true;
    };

    if (in.beat_at <= now) {
        repeat_all(in);
        in.beat_at = now + (in.is_first ? first_third_of(in) : in.lease / 3);
    }
    const bool is_for_head = in.head_at <= now;
    if (is_for_head)
        in.head_at = never;
    in.calls_again = false;
    s.asked_from = in.ask_from;
    s.before = std::exchange(in.last_call, now);

    // Releases come first, because they make room for the leases that the server readmits after a
    // loss of data. New requests come after both.
    for (auto t = in.rests.begin(); t != in.rests.end() && has_room(); ++t)
        say(*t, t->rest_, verb::give_back);
    for (std::size_t i = 0; i < in.stray_count && has_room(); ++i) {
        command said{verb::give_back};
        said.of = {in.strays[i].serial, in.strays[i].n, in.options.lease.count()};
        c.commands.push_back(said);
        s.commands.push_back({nullptr, said.of.serial, verb::give_back, false});
    }
    for (auto next = in.due.begin(); next != in.due.end() && renewals < renewals_at_a_time;) {
        ticket& t = *next++;
        if (in.options.max_hold > 0ms && now > t.held_since_ + in.options.max_hold) {
            limit::leave_place(t);
            in.unrenewed.push_back(t);
            continue;
        }
        command& said = say(t, t.serial_, verb::renew);
        said.fence = t.fence_;
        said.void_after =
            t.expiry_ - std::chrono::duration_cast<std::chrono::milliseconds>(in.margin).count();
        t.last_said_ = now;
        ++renewals;
    }
    if (!in.has_beats())
        in.beat_at = never;
    const bool may_ask = now >= in.asks_pause;
    if (may_ask) {
        for (auto t = in.asked.begin(); t != in.asked.end() && has_room(); ++t)
            ask(*t);
        while (in.may_ask() && has_room()) {
            ticket& t = *in.waiting.begin();
            leave_line(t);
            t.state_ = ticket::state::asked;
            in.asked.insert(in.asked.end(), t);
            ask(t);
        }
    }
    if (in.asks()) {
        auto t = in.queued.lower_bound(in.ask_from);
        for (; t != in.queued.end() && has_room(); ++t) {
            say(*t, t->serial_, verb::ask);
            in.ask_from = t->serial_ + 1;
        }
        if (t == in.queued.end())
            in.ask_from = nobody;
    } else if (is_for_head && !in.queued.empty() && has_room()) {
        say(*in.queued.begin(), in.queued.begin()->serial_, verb::ask);
    }
    if (may_ask) {
        for (auto t = in.settings.begin(); t != in.settings.end() && has_room(); ++t) {
            say(*t, 0, verb::set_limit).limit = t->count_;
            s.has_asks = true;
        }
    }
    for (auto t = in.inspections.begin(); t != in.inspections.end() && has_room(); ++t)
        say(*t, 0, verb::inspect);
}

inline std::vector<call> machine::next_calls(time_point now) {
    std::vector<call> calls;
    if (!is_connected_ || !under_way_.empty())
        return calls;
    std::vector<saying> sayings;
    for (auto& [name, record] : limits_) {
        limit& in = *record;
        expire(in, now);
        if (in.call_time() > now)
            continue;
        call c;
        c.name = name;
        c.presence = c.lease = in.options.lease.count();
        c.limit = in.permits;
        c.is_strict = !in.was_heard && !in.options.adopt_limit;
        c.is_immediate = in.options.after_loss == fleet_options::recovery::immediate;
        c.is_first = in.is_first;
        // After a long silence the server may have dropped the unused keys; with `seen` it would
        // take that for a loss of data.
        c.seen = in.last_call < now - longest_silence ? 0 : in.seen;
        saying s{&in, now, at_once, nobody, false, {}};
        const std::size_t size = fill_size(in);
        c.commands.reserve(size);
        s.commands.reserve(size);
        calls.push_back(std::move(c));
        sayings.push_back(std::move(s));
    }
    // Nothing below this throws.
    std::size_t kept = 0;
    for (std::size_t i = 0; i < calls.size(); ++i) {
        limit& in = *sayings[i].in;
        const bool is_again = in.calls_again;
        fill(in, calls[i], sayings[i], now);
        if (calls[i].commands.empty() && !is_again)
            continue;
        counts_.commands += calls[i].commands.size();
        if (kept != i) {
            calls[kept] = std::move(calls[i]);
            sayings[kept] = std::move(sayings[i]);
        }
        ++kept;
    }
    calls.resize(kept);
    sayings.erase(sayings.begin() + static_cast<std::ptrdiff_t>(kept), sayings.end());
    counts_.calls += kept;
    handed_out_at_ = now;
    under_way_ = std::move(sayings);
    return calls;
}

// Returns the time until the first beat of a connection, or of new permits. Beats are a third of
// the lease apart: no more, since a push may be lost (P5), and no less, since each costs a call.
// The first one comes up to a fifth earlier, so that clients that start together do not renew in
// step.
inline std::chrono::nanoseconds machine::first_third_of(const limit& in) noexcept {
    random_ += 0x9e3779b97f4a7c15;
    std::uint64_t mixed = random_;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
    mixed ^= mixed >> 31;
    return in.lease / 3 - in.lease / 15 / 1024 * static_cast<std::int64_t>(mixed % 1024);
}

} // namespace asio_semaphore::detail::fleet
