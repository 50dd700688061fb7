// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <asio_semaphore/detail/fleet/machine.hpp>

#include <asio_semaphore/detail/fleet/limit.hpp>

#include <boost/assert.hpp>
#include <boost/throw_exception.hpp>

#include <stdexcept>
#include <utility>

namespace asio_semaphore::detail::fleet {

using namespace std::chrono_literals;

/// The script counts in doubles.
inline constexpr std::int64_t largest_number = (std::int64_t(1) << 53) - 1;

inline machine::machine(std::string client, std::uint64_t seed) :
    client_(std::move(client)), random_(seed) {}

inline machine::~machine() {
    events_.clear_and_dispose([this](ticket* t) {
        t->events_ = 0;
        forget_if_over(*t);
    });
    under_way_.clear();
    for (auto& [name, record] : limits_) {
        limit& in = *record;
        in.timers.clear();
        in.rests.clear_and_dispose([this](ticket* t) {
            t->rest_ = 0;
            forget_if_over(*t);
        });
        const auto let_go = [this](ticket* t) {
            t->deadline_.store(ticket::ended);
            t->state_ = ticket::state::over;
            forget_if_over(*t);
        };
        for (limit::request_set* const line : {&in.waiting, &in.asked, &in.queued})
            line->clear_and_dispose(let_go);
        for (limit::place_list* const line :
             {&in.due, &in.held, &in.unrenewed, &in.local, &in.lost, &in.settings, &in.inspections})
            line->clear_and_dispose(let_go);
    }
}

inline bool same(const fleet_options& a, const fleet_options& b) noexcept {
    return a.lease == b.lease && a.margin == b.margin && a.max_hold == b.max_hold &&
           a.window == b.window && a.max_waiting == b.max_waiting &&
           a.adopt_limit == b.adopt_limit && a.after_loss == b.after_loss &&
           a.when_unreachable == b.when_unreachable && a.unreachable_after == b.unreachable_after &&
           a.local_permits == b.local_permits;
}

inline void check(std::string_view name, std::ptrdiff_t permits, const fleet_options& options) {
    const auto require = [](bool holds, const char* message) {
        if (!holds)
            boost::throw_exception(std::invalid_argument(message));
    };
    constexpr std::chrono::milliseconds longest = std::chrono::hours(24 * 365);
    require(permits >= 1, "fleet_semaphore: the limit is less than 1");
    require(permits <= largest_number, "fleet_semaphore: the limit is too large");
    require(!name.empty(), "fleet_semaphore: the name is empty");
    require(name.size() <= 200, "fleet_semaphore: the name is longer than 200 bytes");
    require(
        name.find_first_of("{}") == std::string_view::npos,
        "fleet_semaphore: there is a brace in the name");
    require(options.lease >= 50ms, "fleet_semaphore: the lease is shorter than 50 ms");
    require(options.lease <= longest, "fleet_semaphore: the lease is longer than a year");
    require(options.margin >= 0ms, "fleet_semaphore: the margin is negative");
    require(
        options.margin < options.lease - options.margin,
        "fleet_semaphore: the margin is half of the lease or more");
    require(
        options.max_hold >= 0ms && options.max_hold <= longest,
        "fleet_semaphore: max_hold is negative or longer than a year");
    require(options.window >= 1, "fleet_semaphore: the window is 0");
    require(
        options.unreachable_after >= 0ms && options.unreachable_after <= longest,
        "fleet_semaphore: unreachable_after is negative or longer than a year");
    require(options.local_permits >= 0, "fleet_semaphore: local_permits is negative");
}

inline limit& machine::open(
    std::string_view name, std::ptrdiff_t permits, const fleet_options& options, bool& mismatch) {
    check(name, permits, options);
    auto found = limits_.find(name);
    if (found == limits_.end())
        found = limits_.emplace(name, std::make_unique<limit>(name, permits, options)).first;
    else if (!same(found->second->options, options))
        boost::throw_exception(
            std::invalid_argument("fleet_semaphore: the same name has other options"));
    limit& in = *found->second;
    mismatch = !options.adopt_limit && in.permits != permits;
    ++in.objects;
    return in;
}

inline void machine::close(limit& in, time_point) noexcept {
    if (--in.objects != 0)
        return;
    fail_all(in, outcome::closed);
    in.has_conflict = false;
    forget_if_idle(in);
}

inline outcome machine::start(limit& in, ticket& t, time_point now) {
    using purpose = ticket::purpose;
    BOOST_ASSERT(t.state_ == ticket::state::fresh);
    const bool is_request = t.is_request();
    const auto refuse = [&](outcome how) {
        if (is_request)
            count_end(in, how);
        return how;
    };
    if (t.purpose_ != purpose::inspect &&
        (t.count_ < 1 || (!is_request && t.count_ > largest_number)))
        return outcome::invalid_argument;
    if (is_closed_ || in.objects == 0)
        return refuse(outcome::closed);
    if (in.has_conflict)
        return refuse(outcome::limit_mismatch);

    const bool is_unreachable = machine::is_unreachable(in, now);
    mind_unreachable(in, now);
    using mode = fleet_options::unreachable;
    if (!is_request) {
        if (is_unreachable && in.options.when_unreachable == mode::fail)
            return outcome::unreachable;
        t.status_ = std::make_unique<status_record>();
        know(t, in, now);
        t.state_ = ticket::state::waiting;
        (t.purpose_ == purpose::set_limit ? in.settings : in.inspections).push_back(t);
        return outcome::queued;
    }

    const bool is_known = in.was_heard || !in.options.adopt_limit;
    const bool is_said_next = is_connected_ && in.waiting.empty() && in.said() < in.options.window;
    if (t.count_ > largest_number || (is_known && t.count_ > in.permits && !is_said_next))
        return refuse(outcome::exceeds_max);
    if (is_unreachable && in.options.when_unreachable == mode::admit_locally &&
        t.count_ <= in.options.local_permits - in.local_used) {
        // Waiting requests from local_from on come first; those before it exceed local_permits.
        bool is_next = true;
        for (limit::request_set* const line : {&in.asked, &in.queued, &in.waiting})
            is_next = is_next && line->lower_bound(in.local_from) == line->end();
        if (is_next) {
            know(t, in, now);
            admit_here(t, now);
            return outcome::granted;
        }
    }
    const bool tries = t.purpose_ == purpose::try_acquire;
    if (tries && (!is_connected_ || in.asks_pause > now || in.wait_count() >= in.options.window))
        return refuse(outcome::timed_out);
    if (is_unreachable && in.options.when_unreachable == mode::fail)
        return refuse(outcome::unreachable);
    if (in.options.max_waiting != 0 && !tries && in.wait_count() >= in.options.max_waiting)
        return refuse(outcome::queue_full);
    know(t, in, now);
    t.serial_ = ++serial_;
    t.state_ = ticket::state::waiting;
    in.waiting.insert(in.waiting.end(), t);
    return outcome::queued;
}

inline bool machine::withdraw(ticket& t, time_point, outcome why) noexcept {
    using state = ticket::state;
    if (t.state_ != state::waiting && t.state_ != state::asked && t.state_ != state::queued)
        return false;
    limit& in = *t.limit_;
    leave_line(t);
    if (t.is_request()) {
        count_end(in, why);
        give_rest(t);
    }
    t.state_ = state::over;
    forget_if_over(t);
    forget_if_idle(in);
    return true;
}

inline void machine::give_back(ticket& t, bool is_told, time_point now) noexcept {
    using state = ticket::state;
    if (t.state_ != state::held && t.state_ != state::lost)
        return;
    limit& in = *t.limit_;
    const clock::rep until = t.deadline_.exchange(ticket::ended);
    const bool had_ended = t.state_ == state::lost || until <= now.time_since_epoch().count();
    limit::leave_place(t);
    clear_timer(t);
    if (t.is_local_)
        in.local_used -= t.state_ == state::held ? t.count_ : 0;
    else if (t.state_ == state::held)
        --in.lease_count;
    t.state_ = state::over;
    const bool is_answered = t.may_exist_ && !had_ended;
    if (is_told && is_answered) {
        t.tells_rest_ = true;
        t.told_deadline_ = time_point(clock::duration(until));
    } else if (is_told) {
        t.released_how_ = had_ended ? outcome::lost : outcome::granted;
        tell(t, event::released);
    }
    if (t.rest_ == 0)
        give_rest(t);
    else
        time_rest(t);
    if (t.is_local_ && is_unreachable(in, now))
        admit_locally(in, now);
    forget_if_over(t);
    forget_if_idle(in);
}

inline void machine::running(time_point now) {
    if (is_connected_)
        return;
    lost_at_ = now;
    unavailable_since_.reset();
    for (auto& [name, in] : limits_)
        in->is_minded = false;
}

inline void machine::connected(time_point now) {
    if (is_connected_)
        disconnected(now);
    ++connection_;
    ++counts_.connections;
    is_connected_ = true;
    connected_at_ = now;
    lost_at_.reset();
    for (auto& [name, record] : limits_) {
        limit& in = *record;
        expire(in, now);
        in.is_first = true;
        in.calls_again = false;
        in.stray_count = 0;
        in.is_minded = false;
        in.local_from = 0;
        in.pause = in.asks_pause = at_once;
        in.back_off = 0ns;
        in.beat_at = in.has_beats() ? now : never;
    }
    // If there is nothing to ask now, a later answer says nothing about the time until then.
    if (!has_calls(now))
        unavailable_since_.reset();
}

inline void machine::disconnected(time_point now) {
    if (!is_connected_)
        return;
    is_connected_ = false;
    if (!lost_at_)
        lost_at_ = now;
    const std::vector<saying> unanswered = std::move(under_way_);
    under_way_.clear();
    for (const saying& s : unanswered)
        for (const said_command& said : s.commands)
            if (said.what == verb::give_back && said.of != nullptr && said.of->rest_ == said.serial)
                said.of->may_be_back_ = true;
    for (auto next = limits_.begin(); next != limits_.end();) {
        limit& in = *next++->second;
        fail_tries(in);
        expire(in, now);
        forget_if_idle(in);
    }
}

inline void machine::refused() noexcept {
    for (auto& [name, record] : limits_) {
        fail_asking(*record, outcome::rejected);
        fail_inspections(*record, outcome::rejected);
    }
}

inline time_point machine::next_time() const noexcept {
    time_point next = never;
    for (const auto& [name, record] : limits_) {
        const limit& in = *record;
        if (!in.timers.empty())
            next = std::min(next, in.timers.begin()->timer_);
        if (!is_connected_ && !is_closed_ && lost_at_ && !in.is_minded &&
            in.options.when_unreachable != fleet_options::unreachable::wait)
            next = std::min(next, *lost_at_ + in.options.unreachable_after);
        if (is_connected_ && under_way_.empty()) {
            const time_point then = in.call_time();
            if (then != at_once)
                next = std::min(next, then);
        }
    }
    return next;
}

inline void machine::on_time(time_point now) {
    for (auto next = limits_.begin(); next != limits_.end();) {
        limit& in = *next++->second;
        expire(in, now);
        mind_unreachable(in, now);
        forget_if_idle(in);
    }
}

inline void machine::close_all(time_point now) {
    if (std::exchange(is_closed_, true))
        return;
    for (auto next = limits_.begin(); next != limits_.end();) {
        limit& in = *next++->second;
        expire(in, now);
        fail_all(in, outcome::closed);
        for (limit::place_list* const line : {&in.due, &in.held, &in.unrenewed, &in.local})
            while (!line->empty()) {
                ticket& t = line->front();
                t.deadline_.store(ticket::ended);
                if (!t.is_local_)
                    clear_timer(t);
                limit::leave_place(t);
                in.lost.push_back(t);
                t.state_ = ticket::state::lost;
                t.lost_how_ = outcome::aborted;
                tell(t, event::lost);
            }
        in.lease_count = 0;
        in.local_used = 0;
        for (ticket& t : in.lost)
            give_rest(t);
        for (ticket& t : in.rests)
            time_rest(t);
        forget_if_idle(in);
    }
}

inline void machine::abandon() noexcept {
    is_closed_ = true;
    is_connected_ = false;
    under_way_.clear();
    for (auto& [name, record] : limits_) {
        limit& in = *record;
        fail_all(in, outcome::closed);
        for (limit::place_list* const line : {&in.due, &in.held, &in.unrenewed, &in.local}) {
            while (!line->empty()) {
                ticket& t = line->front();
                if (!t.is_local_)
                    clear_timer(t);
                limit::leave_place(t);
                t.state_ = ticket::state::over;
                t.lost_how_ = outcome::aborted;
                tell(t, event::lost);
            }
        }
        while (!in.lost.empty()) {
            ticket& t = in.lost.front();
            limit::leave_place(t);
            t.state_ = ticket::state::over;
            forget_if_over(t);
        }
        in.timers.clear();
        in.rests.clear_and_dispose([this](ticket* t) {
            t->rest_ = 0;
            if (std::exchange(t->tells_rest_, false)) {
                t->released_how_ = outcome::lost;
                tell(*t, event::released);
            }
            forget_if_over(*t);
        });
        in.lease_count = 0;
        in.local_used = 0;
    }
}

inline bool machine::is_empty() const noexcept {
    for (const auto& [name, record] : limits_) {
        const limit& in = *record;
        if (in.said() != 0 || in.lease_count != 0 || !in.rests.empty())
            return false;
        for (const ticket& t : in.lost)
            if (t.may_exist_)
                return false;
    }
    return true;
}

// Takes one event at a time, because a vector of them could find no memory.
inline std::optional<event> machine::take_event() noexcept {
    if (events_.empty())
        return std::nullopt;
    ticket& t = events_.front();
    unsigned what = event::granted;
    while ((t.events_ >> what & 1) == 0)
        ++what;
    event taken{static_cast<event::kind>(what), ticket_pointer(&t)};
    if (what == event::failed)
        taken.how = t.failed_how_;
    else if (what == event::lost)
        taken.how = t.lost_how_;
    else if (what == event::released)
        taken.how = t.released_how_;
    else if (what == event::done)
        taken.status = *t.status_;
    --event_count_;
    t.events_ = static_cast<unsigned char>(t.events_ & ~(1u << what));
    if (t.events_ == 0) {
        events_.pop_front();
        forget_if_over(t);
    }
    return taken;
}

inline std::chrono::milliseconds machine::shortest_lease() const noexcept {
    std::chrono::milliseconds shortest = std::chrono::milliseconds::max();
    for (const auto& [name, in] : limits_)
        shortest = std::min(shortest, in->options.lease);
    return limits_.empty() ? fleet_options().lease : shortest;
}

inline std::ptrdiff_t machine::permits_of(const limit& in) const noexcept {
    return static_cast<std::ptrdiff_t>(in.permits);
}

inline std::size_t machine::waiting_in(const limit& in) const noexcept {
    return in.wait_count();
}

inline fleet_statistics machine::counts_of(const limit& in) const noexcept {
    fleet_statistics counts = in.counts;
    counts.waiting = in.wait_count();
    counts.held = in.lease_count + in.local.size();
    return counts;
}

inline fleet_client_statistics machine::counts() const noexcept {
    fleet_client_statistics counts = counts_;
    counts.connected = is_connected_;
    return counts;
}

} // namespace asio_semaphore::detail::fleet
