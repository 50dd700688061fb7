#pragma once

#include <asio_semaphore/detail/fleet/machine.hpp>

#include <boost/assert.hpp>
#include <boost/throw_exception.hpp>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>

#if defined(__linux__)
#include <time.h>
#endif

namespace asio_semaphore::detail::fleet {

using namespace std::chrono_literals;

inline constexpr time_point never = time_point::max();
inline constexpr time_point at_once = time_point::min();
inline constexpr std::uint64_t nobody = std::numeric_limits<std::uint64_t>::max();

/// The server counts in doubles.
inline constexpr std::int64_t largest_number = (std::int64_t(1) << 53) - 1;

/// After a reply that tells of a long script.
inline constexpr std::chrono::milliseconds busy_pause{50};
// Half of the day for which the server keeps what nobody uses.
inline constexpr std::chrono::hours longest_silence{12};

inline clock::time_point clock::now() noexcept {
#if defined(__linux__)
    timespec t;
    ::clock_gettime(CLOCK_BOOTTIME, &t);
    return time_point(std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec));
#else
    return time_point(std::chrono::steady_clock::now().time_since_epoch());
#endif
}

// A ticket.

inline ticket::ticket(purpose what, std::ptrdiff_t n) noexcept : count_(n), purpose_(what) {}

inline bool ticket::is_valid(time_point now) const noexcept {
    clock::rep until = deadline_.load();
    while (until != ended) {
        if (now.time_since_epoch().count() < until)
            return true;
        if (deadline_.compare_exchange_weak(until, ended))
            return false;
    }
    return false;
}

inline time_point ticket::deadline() const noexcept {
    return time_point(clock::duration(deadline_.load()));
}

// A limit: only data; the rules are the machine's.

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
    // Uncounted, so that who leaves need not know in which list it is.
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
            its_options.margin > 0ms ? std::chrono::nanoseconds(its_options.margin)
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

    /// Among those that may be in the server; null if there is none.
    ticket* find_said(std::uint64_t serial) noexcept {
        for (request_set* const line : {&queued, &asked}) {
            const auto found = line->find(serial);
            if (found != line->end())
                return found->may_exist_ ? &*found : nullptr;
        }
        return nullptr;
    }

    /// Nothing of that name is here any more.
    void remember(const ticket& t, std::uint64_t serial) noexcept {
        ended[ended_count++ % ended.size()] = {serial, t.count_};
    }

    /// The server has granted what nobody here waits for: it has gone back to older data, in which
    /// the request still waited.
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

    /// Whether there is somebody to be asked about.
    bool asks() const noexcept {
        return ask_from != nobody && !queued.empty() && queued.rbegin()->serial_ >= ask_from;
    }

    bool has_beats() const noexcept { return !due.empty() || !held.empty() || !queued.empty(); }

    bool is_idle() const noexcept {
        return wait_count() == 0 && due.empty() && held.empty() && unrenewed.empty() &&
               local.empty() && lost.empty() && rests.empty() && settings.empty() &&
               inspections.empty();
    }

    /// When the next call is to be made; at_once; never.
    time_point call_time() const noexcept {
        time_point next = never;
        const bool has_newcomers = may_ask() || !settings.empty() || !inspections.empty();
        if (has_newcomers)
            next = asks_pause;
        if (!asked.empty())
            next = std::min(next, std::max(asks_pause, pause));
        if (!rests.empty() || stray_count != 0 || !due.empty() || asks() || calls_again)
            next = std::min(next, pause);
        next = std::min(next, std::max(pause, std::min(beat_at, head_at)));
        return next;
    }

    const std::string name;
    const fleet_options options;
    const std::chrono::nanoseconds lease;
    const std::chrono::nanoseconds margin;

    std::size_t objects = 0;
    std::int64_t permits; // as the server has said, or as given
    bool was_heard = false;
    bool has_conflict = false; // until the last object is closed

    // Of the server's data.
    std::uint64_t made = 0;
    std::uint64_t rolls = 0;
    std::uint64_t seen = 0;
    time_point quarantine_end = at_once;

    request_set waiting;
    request_set asked;
    request_set queued;
    place_list due; // leases that are to be renewed in the next calls
    place_list held;
    place_list unrenewed; // they have been held for max_hold
    place_list local;
    place_list lost;
    rest_list rests;
    place_list settings;
    place_list inspections;
    timer_set timers;

    // Names that are to be given back although no ticket has them any more; what does not fit here,
    // or has ended too long ago, ends by itself.
    struct ended_name {
        std::uint64_t serial = 0;
        std::int64_t n = 0;
    };
    std::array<ended_name, 256> ended{};
    std::array<ended_name, 16> strays{};
    std::size_t ended_count = 0;
    std::size_t stray_count = 0;

    std::size_t lease_count = 0; // due, held and unrenewed
    std::ptrdiff_t local_used = 0;
    std::uint64_t local_from = 0; // who comes before and waits does not fit among local permits
    bool is_minded = false;       // unreachable, and those who wait have been told

    // Calls.
    std::uint64_t ask_from = nobody; // from this serial on, those in the queue are asked about
    bool is_first = true;            // of this connection
    bool calls_again = false;
    time_point beat_at = never; // all leases are renewed, and all in the queue asked about
    time_point head_at = never; // something may be free for the first in the queue, who is ours
    time_point pause = at_once; // nothing is repeated before
    time_point asks_pause = at_once; // nobody asks before
    time_point last_call = at_once;  // that may have been executed
    std::chrono::nanoseconds back_off{0};

    fleet_statistics counts;
};

// Of one ticket.

inline void machine::know(ticket& t, limit& in, time_point now) noexcept {
    t.limit_ = &in;
    t.since_ = now;
    t.is_known_ = true;
    t.add_reference();
}

// @post it may be gone
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

// Where it waits, is asked about or queued; set_limit and inspect too.
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

// Its name is to be given back.
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

// From when on the server has ended a rest by itself. A lease ends a lease's length after whatever
// may have made or prolonged it. A place stays as long as the client counts as present, and can
// become a lease in the last moment. What was left in the socket of an old connection may have been
// read until there was a new one.
inline time_point machine::rest_ends(const ticket& t) const noexcept {
    const limit& in = *t.limit_;
    const time_point said = t.rests_as_place_ ? in.last_call : t.last_said_;
    return std::max(said, connected_at_) + (t.rests_as_place_ ? 2 : 1) * in.lease;
}

// When all is closed, what is not answered is no worse than what a client leaves that has died, and
// is waited for no longer than a lease.
inline void machine::time_rest(ticket& t) noexcept {
    time_point at = t.tells_rest_ ? t.told_deadline_ : never;
    if (is_closed_)
        at = std::min(at, t.last_said_ + t.limit_->lease);
    set_timer(t, at);
}

// @post it may be gone
inline void machine::end_rest(ticket& t, outcome how) noexcept {
    limit& in = *t.limit_;
    clear_timer(t);
    in.rests.erase(in.rests.iterator_to(t));
    in.remember(t, t.rest_);
    t.rest_ = 0;
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

// A request that waits ends without a lease.
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

// A request that waits has become a lease in the server; whether it is one here is a matter of the
// deadline.
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
    t.last_said_ = now; // the server has made it no later
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

// A lease that its owner still holds ends.
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

// Of one limit.

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

// @pre it is unreachable
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

// The server has taken a request out of the queue, since the limit is below what it wants.
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
}

inline void machine::fail_asking(limit& in, outcome how) noexcept {
    for (limit::request_set* const line : {&in.asked, &in.waiting})
        while (!line->empty())
            fail(*line->begin(), how);
    for (limit::place_list* const line : {&in.settings, &in.inspections})
        while (!line->empty())
            fail(line->front(), how);
}

// Ends what has ended by the clock.
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

// All leases are renewed, and all in the queue asked about, in the next calls.
inline void machine::repeat_all(limit& in) noexcept {
    in.due.splice(in.due.end(), in.held);
    in.ask_from = in.queued.empty() ? nobody : 0;
}

// @post it may be gone
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

// The machine.

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
        // Those who wait and come before do not fit: otherwise they would have been admitted.
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
    if (tries && (!is_connected_ || in.wait_count() >= in.options.window))
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
    if (!is_connected_ && !lost_at_)
        lost_at_ = now;
}

inline void machine::connected(time_point now) {
    if (is_connected_)
        disconnected(now);
    ++connection_;
    ++counts_.connections;
    is_connected_ = true;
    wants_reconnect_ = false;
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
}

inline void machine::disconnected(time_point now) {
    if (!is_connected_)
        return;
    is_connected_ = false;
    lost_at_ = now;
    const std::vector<saying> unanswered = std::move(under_way_);
    under_way_.clear();
    for (auto next = limits_.begin(); next != limits_.end();) {
        limit& in = *next++->second;
        for (limit::request_set* const line : {&in.asked, &in.waiting})
            for (auto t = line->begin(); t != line->end();) {
                ticket& tries = *t++;
                if (tries.purpose_ == ticket::purpose::try_acquire)
                    fail(tries, outcome::timed_out);
            }
        expire(in, now);
        forget_if_idle(in);
    }
}

inline void machine::refused() noexcept {
    for (auto& [name, record] : limits_)
        fail_asking(*record, outcome::rejected);
}

inline bool machine::has_calls(time_point now) const noexcept {
    if (!is_connected_ || !under_way_.empty())
        return false;
    for (const auto& [name, in] : limits_)
        if (in->call_time() <= now)
            return true;
    return false;
}

// An upper bound of the commands in the next call.
inline std::size_t machine::fill_size(const limit& in) const noexcept {
    std::size_t size = in.lease_count + in.wait_count() + in.stray_count;
    for (auto t = in.rests.begin(); t != in.rests.end() && size < commands_at_a_time; ++t)
        ++size;
    for (const limit::place_list* const line : {&in.settings, &in.inspections})
        for (auto t = line->begin(); t != line->end() && size < commands_at_a_time; ++t)
            ++size;
    return std::min(size, commands_at_a_time);
}

// @pre there is room for all
inline void machine::fill(limit& in, call& c, saying& s, time_point now) noexcept {
    const auto has_room = [&] {
        return c.commands.size() < commands_at_a_time;
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
        in.beat_at = now + third_of(in);
    }
    const bool is_for_head = in.head_at <= now;
    if (is_for_head)
        in.head_at = never;
    in.calls_again = false;
    s.asked_from = in.ask_from;
    s.before = std::exchange(in.last_call, now);

    // What is given back makes room for whoever is put back after a loss of data, and both for
    // newcomers.
    for (auto t = in.rests.begin(); t != in.rests.end() && has_room(); ++t)
        say(*t, t->rest_, verb::give_back);
    for (std::size_t i = 0; i < in.stray_count && has_room(); ++i) {
        command said{verb::give_back};
        said.of = {in.strays[i].serial, in.strays[i].n, in.options.lease.count()};
        c.commands.push_back(said);
        s.commands.push_back({nullptr, said.of.serial, verb::give_back, false});
    }
    for (auto next = in.due.begin(); next != in.due.end() && has_room();) {
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
        for (auto t = in.inspections.begin(); t != in.inspections.end() && has_room(); ++t) {
            say(*t, 0, verb::inspect);
            s.has_asks = true;
        }
    }
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
        // Who has long said nothing knows a limit that may have been forgotten for that.
        c.seen = in.last_call < now - longest_silence ? 0 : in.seen;
        saying s{&in, now, at_once, nobody, false, {}};
        const std::size_t size = fill_size(in);
        c.commands.reserve(size);
        s.commands.reserve(size);
        calls.push_back(std::move(c));
        sayings.push_back(std::move(s));
    }
    // From here on nothing fails.
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

// The call has done nothing.
inline void machine::undo(saying& s) noexcept {
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
}

inline void machine::hear_failure(saying& s, failure failed, time_point now) noexcept {
    limit& in = *s.in;
    ++counts_.rejected;
    undo(s);
    for (auto next = in.rests.begin(); next != in.rests.end();) {
        ticket& t = *next++;
        if (rest_ends(t) <= now)
            end_rest(t, outcome::lost);
    }
    switch (failed) {
    case failure::none:
        break;
    case failure::unavailable:
        wants_reconnect_ = true;
        [[fallthrough]];
    case failure::busy:
        in.pause = in.asks_pause = now + busy_pause;
        break;
    case failure::refused:
        // What makes room may go through all the same.
        if (!s.has_asks) {
            in.pause = now + in.lease / 12;
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
        t.last_said_ = now; // until now it may have been on its way
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
            end_rest(t, r.what == verdict::unknown ? outcome::lost : outcome::granted);
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
    if (heard.failed != failure::none) {
        hear_failure(s, heard.failed, now);
        return;
    }
    const answer& a = heard.said;
    if (a.status != call_status::ok) {
        undo(s);
        in.pause = now + in.lease / 12;
    }
    switch (a.status) {
    case call_status::stale:
        ++counts_.stale;
        wants_reconnect_ = true;
        in.asks_pause = in.pause;
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
        in.beat_at = s.at + third_of(in);
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
        in.beat_at = now + third_of(in);
    forget_if_idle(in);
}

inline time_point machine::next_time() const noexcept {
    time_point next = never;
    for (const auto& [name, record] : limits_) {
        const limit& in = *record;
        if (!in.timers.empty())
            next = std::min(next, in.timers.begin()->timer_);
        if (!is_connected_ && lost_at_ && !in.is_minded &&
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

inline std::vector<event> machine::take_events() {
    const auto has = [](const ticket& t, event::kind what) {
        return (t.events_ >> what & 1) != 0;
    };
    std::size_t size = 0;
    for (const ticket& t : events_)
        for (const event::kind what :
             {event::granted, event::failed, event::lost, event::released, event::done})
            size += has(t, what) ? 1 : 0;
    std::vector<event> taken;
    taken.reserve(size);
    while (!events_.empty()) {
        ticket& t = events_.front();
        events_.pop_front();
        const auto take = [&](event::kind what, outcome how) {
            if (has(t, what))
                taken.push_back({what, ticket_pointer(&t), how, {}});
        };
        take(event::granted, outcome::granted);
        take(event::failed, t.failed_how_);
        take(event::lost, t.lost_how_);
        take(event::released, t.released_how_);
        take(event::done, outcome::granted);
        if (has(t, event::done))
            taken.back().status = *t.status_;
        t.events_ = 0;
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

// A third of the lease, give or take a tenth, so that a fleet does not renew in step.
inline std::chrono::nanoseconds machine::third_of(const limit& in) noexcept {
    random_ += 0x9e3779b97f4a7c15;
    std::uint64_t mixed = random_;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
    mixed ^= mixed >> 31;
    const auto percent = static_cast<std::int64_t>(90 + mixed % 21);
    return in.lease / 300 * percent;
}

} // namespace asio_semaphore::detail::fleet
