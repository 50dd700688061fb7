// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// The machine's functions of one ticket, and of one limit.

#include <asio_semaphore/detail/fleet/machine.hpp>

#include <asio_semaphore/detail/fleet/limit.hpp>

#include <boost/assert.hpp>

#include <algorithm>
#include <utility>

namespace asio_semaphore::detail::fleet {

// Functions of one ticket.

inline void machine::know(ticket& t, limit& in, time_point now) noexcept {
    t.limit_ = &in;
    t.since_ = now;
    t.is_known_ = true;
    t.add_reference();
}

// @post t may be destroyed
inline void machine::forget_if_over(ticket& t) noexcept {
    if (t.state_ != ticket::state::over || t.rest_ != 0 || t.events_ != 0 || !t.is_known_)
        return;
    t.is_known_ = false;
    t.limit_ = nullptr;
    t.drop_reference();
}

inline void machine::tell(ticket& t, event::kind what) noexcept {
    if (t.events_ == 0)
        events_.push_back(t);
    event_count_ += (t.events_ >> what & 1) == 0 ? 1 : 0;
    t.events_ = static_cast<unsigned char>(t.events_ | (1u << what));
}

inline void machine::set_timer(ticket& t, time_point at) noexcept {
    clear_timer(t);
    if (at == never)
        return;
    t.timer_ = at;
    t.limit_->timers.insert(t);
}

inline void machine::clear_timer(ticket& t) noexcept {
    if (t.timer_hook_.is_linked())
        t.limit_->timers.erase(t.limit_->timers.iterator_to(t));
}

// Takes a ticket out of the set or list in which it waits.
inline void machine::leave_line(ticket& t) noexcept {
    limit& in = *t.limit_;
    if (t.purpose_ == ticket::purpose::set_limit)
        in.settings.erase(in.settings.iterator_to(t));
    else if (t.purpose_ == ticket::purpose::inspect)
        in.inspections.erase(in.inspections.iterator_to(t));
    else if (t.state_ == ticket::state::waiting)
        in.waiting.erase(in.waiting.iterator_to(t));
    else if (t.state_ == ticket::state::asked)
        in.asked.erase(in.asked.iterator_to(t));
    else
        in.queued.erase(in.queued.iterator_to(t));
}

// Makes the name of the ticket its rest, if the server may know that name.
inline void machine::give_rest(ticket& t) noexcept {
    if (!t.may_exist_)
        return;
    BOOST_ASSERT(t.rest_ == 0);
    t.may_exist_ = false;
    t.rest_ = t.serial_;
    t.rests_as_place_ = t.fence_ == 0;
    t.limit_->rests.push_back(t);
    time_rest(t);
}

// Returns when the server must have ended a rest by itself. A lease lasts for its length from the
// last call that may have granted or renewed it. A place stays as long as the client counts as
// alive, and may become a lease at the last moment. Until the current connection was made, the
// server may have read what an earlier one had left in its socket.
inline time_point machine::rest_ends(const ticket& t) const noexcept {
    const limit& in = *t.limit_;
    const time_point said = t.rests_as_place_ ? in.last_call : t.last_said_;
    return std::max(said, connected_at_) + (t.rests_as_place_ ? 2 : 1) * in.lease;
}

// After close_all the machine waits no longer than a lease for an answer. What the server still has
// by then ends by itself, like the rests of a client that has died.
inline void machine::time_rest(ticket& t) noexcept {
    time_point at = t.tells_rest_ ? t.told_deadline_ : never;
    if (is_closed_)
        at = std::min(at, t.last_said_ + t.limit_->lease);
    set_timer(t, at);
}

// @post t may be destroyed
inline void machine::end_rest(ticket& t, outcome how) noexcept {
    limit& in = *t.limit_;
    clear_timer(t);
    in.rests.erase(in.rests.iterator_to(t));
    in.remember(t, t.rest_);
    t.rest_ = 0;
    t.may_be_back_ = false;
    if (std::exchange(t.tells_rest_, false)) {
        t.released_how_ = how;
        tell(t, event::released);
    }
    forget_if_over(t);
}

inline void machine::count_end(limit& in, outcome how) noexcept {
    if (how == outcome::timed_out)
        ++in.counts.timed_out;
    else if (how == outcome::aborted)
        ++in.counts.cancelled;
    else
        ++in.counts.failed;
}

// Ends a waiting ticket with an error.
inline void machine::fail(ticket& t, outcome how) noexcept {
    leave_line(t);
    if (t.is_request()) {
        count_end(*t.limit_, how);
        give_rest(t);
    }
    t.state_ = ticket::state::over;
    t.failed_how_ = how;
    tell(t, event::failed);
}

// The server has granted a waiting request. If the lease has already ended here, because the grant
// came too late, it is given back, and the request asks again; a try_acquire times out instead.
inline void machine::grant(
    ticket& t, std::uint64_t fence, std::int64_t expiry, time_point deadline,
    time_point now) noexcept {
    limit& in = *t.limit_;
    in.seen = std::max(in.seen, fence);
    if (deadline <= now) {
        if (t.purpose_ == ticket::purpose::try_acquire) {
            fail(t, outcome::timed_out);
            return;
        }
        leave_line(t);
        give_rest(t);
        t.serial_ = ++serial_;
        t.state_ = ticket::state::waiting;
        in.waiting.insert(in.waiting.end(), t);
        return;
    }
    leave_line(t);
    t.state_ = ticket::state::held;
    t.fence_ = fence;
    t.expiry_ = expiry;
    t.held_since_ = now;
    t.last_said_ = now; // the server granted it no later than this
    t.deadline_.store(deadline.time_since_epoch().count());
    set_timer(t, deadline);
    in.held.push_back(t);
    ++in.lease_count;
    ++in.counts.granted;
    in.counts.wait.add(now - t.since_);
    tell(t, event::granted);
}

inline void machine::admit_here(ticket& t, time_point now) noexcept {
    limit& in = *t.limit_;
    t.state_ = ticket::state::held;
    t.is_local_ = true;
    t.held_since_ = now;
    t.deadline_.store(never.time_since_epoch().count());
    in.local.push_back(t);
    in.local_used += t.count_;
    ++in.counts.granted;
    in.counts.wait.add(now - t.since_);
}

// Ends a lease that its owner still holds.
inline void machine::lose(ticket& t, bool by_server) noexcept {
    limit& in = *t.limit_;
    t.deadline_.store(ticket::ended);
    clear_timer(t);
    limit::leave_place(t);
    --in.lease_count;
    in.lost.push_back(t);
    t.state_ = ticket::state::lost;
    if (by_server) {
        t.may_exist_ = false;
        in.remember(t, t.serial_);
        ++in.counts.lost_by_server;
    } else {
        ++in.counts.lost_by_deadline;
    }
    tell(t, event::lost);
}

// The server has renewed a lease.
inline void machine::prolong(
    ticket& t, std::int64_t expiry, time_point deadline, time_point said, time_point now) noexcept {
    limit& in = *t.limit_;
    clock::rep until = t.deadline_.load();
    if (said - (t.timer_ - (in.lease - in.margin)) > in.lease / 2)
        ++in.counts.renewals_late;
    ++in.counts.renewals;
    const clock::rep next = deadline.time_since_epoch().count();
    while (until != ticket::ended && deadline > now)
        if (t.deadline_.compare_exchange_weak(until, next)) {
            t.expiry_ = expiry;
            limit::leave_place(t);
            in.held.push_back(t);
            set_timer(t, deadline);
            return;
        }
    lose(t, false);
}

// Functions of one limit.

inline bool machine::is_unreachable(const limit& in, time_point now) const noexcept {
    return !is_connected_ && lost_at_ && now >= *lost_at_ + in.options.unreachable_after;
}

inline void machine::mind_unreachable(limit& in, time_point now) noexcept {
    using mode = fleet_options::unreachable;
    if (in.options.when_unreachable == mode::wait || !is_unreachable(in, now))
        return;
    if (in.options.when_unreachable == mode::fail)
        fail_all(in, outcome::unreachable);
    else
        admit_locally(in, now);
    in.is_minded = true;
}

// @pre is_unreachable(in, now)
inline void machine::admit_locally(limit& in, time_point now) noexcept {
    for (;;) {
        ticket* first = nullptr;
        for (limit::request_set* const line : {&in.asked, &in.queued, &in.waiting}) {
            const auto found = line->lower_bound(in.local_from);
            if (found != line->end() && (first == nullptr || found->serial_ < first->serial_))
                first = &*found;
        }
        if (first == nullptr)
            return;
        if (first->count_ <= in.options.local_permits) {
            if (first->count_ > in.options.local_permits - in.local_used)
                return;
            leave_line(*first);
            give_rest(*first);
            admit_here(*first, now);
            tell(*first, event::granted);
        }
        in.local_from = first->serial_ + 1;
    }
}

// Times out each try_acquire, because its only call has failed or cannot be made now.
inline void machine::fail_tries(limit& in) noexcept {
    for (limit::request_set* const line : {&in.asked, &in.waiting})
        for (auto t = line->begin(); t != line->end();) {
            ticket& tries = *t++;
            if (tries.purpose_ == ticket::purpose::try_acquire)
                fail(tries, outcome::timed_out);
        }
}

// The server has taken a request out of the queue, because it asks for more than the limit.
inline void machine::exceed(limit& in, std::uint64_t serial) noexcept {
    if (ticket* const t = in.find_said(serial)) {
        t->may_exist_ = false;
        in.remember(*t, serial);
        fail(*t, outcome::exceeds_max);
    }
}

inline void machine::fail_all(limit& in, outcome how) noexcept {
    while (!in.queued.empty())
        fail(*in.queued.begin(), how);
    fail_asking(in, how);
    fail_inspections(in, how);
}

inline void machine::fail_asking(limit& in, outcome how) noexcept {
    for (limit::request_set* const line : {&in.asked, &in.waiting})
        while (!line->empty())
            fail(*line->begin(), how);
    while (!in.settings.empty())
        fail(in.settings.front(), how);
}

inline void machine::fail_inspections(limit& in, outcome how) noexcept {
    while (!in.inspections.empty())
        fail(in.inspections.front(), how);
}

// Ends the leases and rests whose time is over.
inline void machine::expire(limit& in, time_point now) noexcept {
    while (!in.timers.empty() && in.timers.begin()->timer_ <= now) {
        ticket& t = *in.timers.begin();
        if (t.state_ == ticket::state::held && !t.is_local_) {
            lose(t, false);
            continue;
        }
        if (t.tells_rest_ && t.told_deadline_ <= now) {
            t.tells_rest_ = false;
            t.released_how_ = outcome::lost;
            tell(t, event::released);
        }
        if (is_closed_ && t.last_said_ + in.lease <= now)
            end_rest(t, outcome::lost);
        else
            time_rest(t);
    }
}

// Lets the next calls renew all leases, and ask about all queued requests.
inline void machine::repeat_all(limit& in) noexcept {
    in.due.splice(in.due.end(), in.held);
    in.ask_from = in.queued.empty() ? nobody : 0;
}

// @post in may be destroyed
inline void machine::forget_if_idle(limit& in) noexcept {
    if (!in.has_beats())
        in.beat_at = in.head_at = never;
    if (in.objects != 0 || !in.is_idle())
        return;
    for (const saying& s : under_way_)
        if (s.in == &in)
            return;
    limits_.erase(limits_.find(in.name));
}

} // namespace asio_semaphore::detail::fleet
