// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// How the machine handles the server's replies and pushes.

#include <asio_semaphore/detail/fleet/machine.hpp>

#include <asio_semaphore/detail/fleet/limit.hpp>

#include <boost/assert.hpp>

#include <algorithm>
#include <utility>

namespace asio_semaphore::detail::fleet {

using namespace std::chrono_literals;

/// The pause after a reply that the server cannot execute the call now.
inline constexpr std::chrono::milliseconds busy_pause{50};

inline void machine::replied(std::vector<reply> replies, time_point now) {
    if (under_way_.empty())
        return;
    std::vector<saying> sayings = std::move(under_way_);
    under_way_.clear();
    BOOST_ASSERT(replies.size() == sayings.size());
    counts_.round_trip.add(now - handed_out_at_);
    for (std::size_t i = 0; i < std::min(replies.size(), sayings.size()); ++i) {
        expire(*sayings[i].in, now);
        hear(sayings[i], replies[i], now);
    }
    for (const saying& s : sayings)
        forget_if_idle(*s.in);
}

// The server has not executed the call. Rests that it must have ended by itself end here too.
inline void machine::not_executed(saying& s, time_point now) noexcept {
    limit& in = *s.in;
    in.ask_from = std::min(in.ask_from, s.asked_from);
    in.last_call = s.before;
    for (said_command& said : s.commands) {
        if (!said.is_first)
            continue;
        ticket& t = *said.of;
        if (t.rest_ == said.serial)
            end_rest(t, outcome::lost);
        else if (t.serial_ == said.serial)
            t.may_exist_ = false;
    }
    for (auto next = in.rests.begin(); next != in.rests.end();) {
        ticket& t = *next++;
        if (rest_ends(t) <= now)
            end_rest(t, outcome::lost);
    }
}

inline void machine::hear_failure(saying& s, failure failed, time_point now) noexcept {
    limit& in = *s.in;
    ++counts_.rejected;
    not_executed(s, now);
    switch (failed) {
    case failure::none:
        break;
    case failure::unavailable:
        if (!unavailable_since_)
            unavailable_since_ = now;
        lost_at_ = unavailable_since_;
        [[fallthrough]];
    case failure::busy:
        in.pause = in.asks_pause = now + busy_pause;
        break;
    case failure::refused:
        // Commands that need no memory may still succeed.
        if (!s.has_asks) {
            in.pause = now + in.lease / 12;
            if (in.options.when_unreachable != fleet_options::unreachable::wait)
                fail_inspections(in, outcome::rejected);
        } else if (in.options.when_unreachable == fleet_options::unreachable::wait) {
            const std::chrono::nanoseconds longer = std::max<std::chrono::nanoseconds>(
                2 * in.back_off, std::chrono::nanoseconds(busy_pause));
            in.back_off = std::min(longer, in.lease / 3);
            in.asks_pause = now + in.back_off;
        } else {
            fail_asking(in, outcome::rejected);
        }
        break;
    case failure::rejected:
    case failure::clustered:
        fail_all(in, failed == failure::rejected ? outcome::rejected : outcome::clustered);
        in.pause = now + in.lease / 12;
        break;
    }
    if (in.asks_pause > now)
        fail_tries(in);
}

inline void machine::hear_result(
    const saying& s, said_command& said, const answer& a, const result& r,
    time_point now) noexcept {
    using state = ticket::state;
    limit& in = *s.in;
    if (said.of == nullptr) {
        in.end_stray(said.serial);
        return;
    }
    ticket& t = *said.of;
    if (said.what != verb::give_back)
        t.last_said_ = now; // the server may have executed the command as late as this
    const auto deadline = [&] {
        return s.at + std::chrono::milliseconds(r.expiry - a.now) - in.margin;
    };
    switch (said.what) {
    case verb::acquire:
    case verb::try_acquire:
        if (t.state_ != state::asked || t.serial_ != said.serial)
            break;
        if (r.what == verdict::granted) {
            grant(t, r.fence, r.expiry, deadline(), now);
        } else if (r.what == verdict::queued) {
            leave_line(t);
            t.state_ = state::queued;
            in.queued.insert(in.queued.end(), t);
            t.first_said_ = s.at;
            ++in.counts.queued;
        } else if (r.what == verdict::refused || r.what == verdict::exceeds) {
            t.may_exist_ = false;
            in.remember(t, t.serial_);
            fail(t, r.what == verdict::refused ? outcome::timed_out : outcome::exceeds_max);
        }
        break;
    case verb::ask:
        if (t.state_ != state::queued || t.serial_ != said.serial)
            break;
        if (r.what == verdict::granted) {
            grant(t, r.fence, r.expiry, deadline(), now);
        } else if (r.what == verdict::queued) {
            t.first_said_ = s.at;
        } else if (r.what == verdict::unknown) {
            leave_line(t);
            t.may_exist_ = false;
            t.state_ = state::asked;
            in.asked.insert(in.asked.end(), t);
        }
        break;
    case verb::give_back:
        if (t.rest_ == said.serial)
            end_rest(
                t,
                r.what == verdict::unknown && !t.may_be_back_ ? outcome::lost : outcome::granted);
        break;
    case verb::renew:
        if (t.state_ != state::held)
            break;
        if (r.what == verdict::gone) {
            lose(t, true);
        } else {
            if (r.what == verdict::readmitted)
                ++in.counts.readmitted;
            prolong(t, r.expiry, deadline(), s.at, now);
        }
        break;
    case verb::set_limit:
    case verb::inspect:
        if (t.state_ != state::waiting)
            break;
        leave_line(t);
        t.state_ = state::over;
        *t.status_ = {a.limit,   a.held,         a.waiting,
                      r.clients, r.lowest_fence, std::chrono::milliseconds(a.quarantine),
                      a.rolls};
        tell(t, event::done);
        break;
    }
}

inline void machine::hear(saying& s, const reply& heard, time_point now) noexcept {
    limit& in = *s.in;
    if (heard.failed != failure::unavailable) {
        unavailable_since_.reset();
        lost_at_.reset();
    }
    if (heard.failed != failure::none) {
        hear_failure(s, heard.failed, now);
        return;
    }
    const answer& a = heard.said;
    if (a.status != call_status::ok) {
        not_executed(s, now);
        in.pause = now + in.lease / 12;
    }
    switch (a.status) {
    case call_status::stale:
        ++counts_.stale;
        in.asks_pause = in.pause;
        fail_tries(in);
        return;
    case call_status::conflict:
        in.has_conflict = true;
        fail_all(in, outcome::limit_mismatch);
        return;
    case call_status::incompatible:
        fail_all(in, outcome::incompatible);
        return;
    case call_status::ok:
        break;
    }

    const bool has_lost_data = in.was_heard && (in.made != a.made || in.rolls != a.rolls);
    if (has_lost_data)
        for (ticket& t : in.rests)
            t.may_be_back_ = false;
    in.was_heard = true;
    in.is_first = false;
    in.last_call = now;
    in.made = a.made;
    in.rolls = a.rolls;
    in.permits = a.limit;
    in.seen = std::max(in.seen, a.seq);
    in.quarantine_end = now + std::chrono::milliseconds(a.quarantine);
    in.pause = in.asks_pause = at_once;
    in.back_off = 0ns;

    BOOST_ASSERT(a.results.size() == s.commands.size());
    for (std::size_t i = 0; i < std::min(a.results.size(), s.commands.size()); ++i)
        hear_result(s, s.commands[i], a, a.results[i], now);
    for (const fleet::grant& g : a.granted)
        if (ticket* const t = in.find_said(g.serial))
            grant(
                *t, g.fence, g.expiry,
                s.at + std::chrono::milliseconds(g.expiry - a.now) - in.margin, now);
        else
            in.find_stray(g.serial);
    for (const std::uint64_t serial : a.exceeded)
        exceed(in, serial);

    in.calls_again = a.has_more;
    in.head_at = never;
    if (a.is_head_mine && a.quarantine > 0)
        in.head_at = in.quarantine_end;
    else if (a.is_head_mine && a.next_expiry >= 0)
        in.head_at = now + std::max(std::chrono::milliseconds(a.next_expiry), 1ms);
    if (in.beat_at == never && in.has_beats())
        in.beat_at = s.at + first_third_of(in);
    if (has_lost_data) {
        ++in.counts.repairs;
        if (in.has_beats())
            in.beat_at = now;
    }
}

inline void machine::pushed(const push& heard, time_point now) {
    const auto found = limits_.find(heard.name);
    if (found == limits_.end() || !is_connected_)
        return;
    limit& in = *found->second;
    ++counts_.pushes;
    expire(in, now);
    for (const fleet::grant& g : heard.granted)
        if (ticket* const t = in.find_said(g.serial))
            grant(*t, g.fence, g.expiry, t->first_said_ + in.lease - in.margin, now);
        else
            in.find_stray(g.serial);
    for (const std::uint64_t serial : heard.exceeded)
        exceed(in, serial);
    if (heard.head) {
        if (*heard.head >= 0)
            in.head_at = now + std::max(std::chrono::milliseconds(*heard.head), 1ms);
        else
            in.head_at = in.quarantine_end > now ? in.quarantine_end : never;
    }
    if (in.beat_at == never && in.has_beats())
        in.beat_at = now + first_third_of(in);
    forget_if_idle(in);
}

} // namespace asio_semaphore::detail::fleet
