// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Waiters with a deadline, and the single timer that ends their waits. State layer: callers pass
// the time in, and the class derived from alarm owns the timer. The mutex of the state that owns
// the alarm guards all members.
//
// Only code that runs on the timer's executor may touch the timer, and only one thread at a time. A
// thread that needs the timer updated therefore has the executor call `claim` later. If that call
// succeeds, the caller may touch the timer for as long as `next` returns true. Whether a waiter's
// deadline is covered is decided in the critical section in which the waiter enters the queue.

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/detail/state/ordered_set.hpp>
#include <asio_semaphore/detail/state/threads.hpp>
#include <asio_semaphore/detail/state/wait_queue.hpp>

#include <boost/config.hpp>

namespace asio_semaphore::detail {

/// The deadline of a waiter that waits forever.
inline constexpr time_point never = time_point::max();

struct deadline_key {
    time_point at; // constant while in a set
};

/// An element of a deadline_set.
// The node is the last base, so that a derived class can use the padding behind it.
struct deadline_node : deadline_key, tree_node {
    explicit deadline_node(time_point t) noexcept : deadline_key{t} {}
};

struct earlier {
    bool operator()(const deadline_key& a, const deadline_key& b) const noexcept {
        return a.at < b.at;
    }
};

/// Deadlines in order. Every call is O(log n) in the worst case, because clients may choose the
/// deadlines. Most deadlines arrive in increasing order, so insertion searches from the end.
class deadline_set : public ordered_set<deadline_node, earlier> {
public:
    /// `never` if the set is empty.
    time_point earliest() const noexcept { return empty() ? never : first().at; }
};

/// A waiter that waits until its deadline at the latest.
template <typename Threads>
class timed_waiter : public waiter<Threads>, public deadline_node {
public:
    timed_waiter(std::ptrdiff_t n, time_point deadline, bool works = true) noexcept :
        waiter<Threads>(n, works, true), deadline_node(deadline) {}

    outcome at_deadline = outcome::timed_out; // how its wait ends at the deadline

protected:
    ~timed_waiter() = default;
};

template <typename Threads>
class BOOST_SYMBOL_VISIBLE alarm {
public:
    using state_type = waiting_line<Threads>;

    /// @p state owns the alarm.
    explicit alarm(state_type& state) noexcept : state_(state) {}
    alarm(const alarm&) = delete;
    alarm& operator=(const alarm&) = delete;
    virtual ~alarm() = default;

    /// Has the timer's executor call claim later; throws on failure. An implementation calls
    /// posted() once that call is certain, and dropped() if the call never happens after all.
    virtual void post() = 0;
    /// Destroys the timer, because the execution context shuts down.
    virtual void shut() noexcept = 0;

    /// Calls post() for an idle timer, to have it cancelled, unless the context has shut down. If
    /// post() fails, the timer stays set and fires once for nothing.
    void try_post() noexcept;

    void posted() noexcept;
    void dropped() noexcept;

    /// Announces, while it exists, that a waiter with this deadline is about to enter the queue.
    class expectation {
    public:
        expectation(alarm& a, time_point deadline) noexcept;
        expectation(const expectation&) = delete;
        expectation& operator=(const expectation&) = delete;
        ~expectation();

        /// Calls alarm::post, unless the context has shut down, which enqueue then reports.
        void post() const;

    private:
        alarm& alarm_;
    };

    /// True if the caller may touch the timer, for as long as next() returns true.
    bool claim() noexcept;
    /// True: the caller must set the timer for @p at, or cancel the timer if that is `never`, and
    /// call next() again. False: the caller may not touch the timer any more.
    bool next(time_point& at) noexcept;
    /// The caller could not set the timer, and may not touch it any more.
    void failed() noexcept;
    /// The timer has fired: ends the wait of every waiter whose deadline has passed. The result has
    /// the same meaning as that of claim().
    bool expire(time_point now) noexcept;

private:
    friend state_type;

    /// Calls post(), unless the context has shut down. That call is a section: a shutdown of the
    /// context on another thread waits for its end.
    void post_if_open();

    /// Whether the deadline of a waiter that enters the queue now is noticed in time: the timer is
    /// set for that time or earlier, or some thread is still going to look at the deadlines.
    bool provides_for(time_point deadline) const noexcept {
        return set_for_ <= deadline || will_be_looked_at();
    }
    bool will_be_looked_at() const noexcept { return posted_ > 0 || is_claimed_; }
    /// The waiter with the earliest deadline, if that has passed; else null.
    timed_waiter<Threads>* overdue(time_point now) const noexcept {
        return deadlines_.earliest() <= now && !deadlines_.empty()
                   ? &static_cast<timed_waiter<Threads>&>(deadlines_.first())
                   : nullptr;
    }
    /// Whether the timer is set although no waiter needs it.
    bool is_idle() const noexcept {
        return deadlines_.empty() && set_for_ != never && expected_ == 0 && !will_be_looked_at();
    }
    bool is_shut() const noexcept { return state_.phase_ == state_type::phase::shut; }
    bool claim_locked() noexcept;

    state_type& state_; // its mutex guards all members below
    deadline_set deadlines_;
    time_point set_for_ = never; // the time for which the timer is set
    time_point wanted_ = never;  // the earliest deadline of the expected waiters
    int expected_ = 0;           // waiters about to enter the queue
    int posted_ = 0;             // calls of claim that are certain to come
    bool is_claimed_ = false;    // a thread has claimed the timer
};

} // namespace asio_semaphore::detail
