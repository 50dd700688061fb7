#pragma once

// Waiters with a deadline, and the one timer that ends their waits. State layer: the time is passed
// in, and the timer belongs to who derives from alarm. All members are guarded by the mutex of the
// state that has the alarm.
//
// A timer may be touched only where its executor runs, and by one thread at a time. So whoever
// needs it looked after has the executor call `claim` later, and who is called so touches it as
// long as `next` says so. Whether a waiter's deadline is provided for is decided in the critical
// section in which the waiter enters the queue.

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/detail/state/ordered_set.hpp>
#include <asio_semaphore/detail/state/threads.hpp>
#include <asio_semaphore/detail/state/wait_queue.hpp>

#include <boost/config.hpp>

namespace asio_semaphore::detail {

/// The deadline of who waits for ever.
inline constexpr time_point never = time_point::max();

struct deadline_key {
    time_point at; // does not change while in a set
};

/// A place in the order of deadlines.
// The node comes last, so that what derives finds room behind it.
struct deadline_node : deadline_key, tree_node {
    explicit deadline_node(time_point t) noexcept : deadline_key{t} {}
};

struct earlier {
    bool operator()(const deadline_key& a, const deadline_key& b) const noexcept {
        return a.at < b.at;
    }
};

/// Deadlines in their order; O(log n) for each in any case, since clients may choose them. Most
/// come in that order, and are inserted from the end.
class deadline_set : public ordered_set<deadline_node, earlier> {
public:
    /// `never` where there is none.
    time_point earliest() const noexcept { return empty() ? never : first().at; }
};

/// A waiter that waits no longer than until its deadline.
template <typename Threads>
class timed_waiter : public waiter<Threads>, public deadline_node {
public:
    timed_waiter(std::ptrdiff_t n, time_point deadline, bool works = true) noexcept :
        waiter<Threads>(n, works, true), deadline_node(deadline) {}

    outcome at_deadline = outcome::timed_out; // how its wait ends then

protected:
    ~timed_waiter() = default;
};

template <typename Threads>
class BOOST_SYMBOL_VISIBLE alarm {
public:
    using state_type = waiting_line<Threads>;

    /// Of a state that owns it.
    explicit alarm(state_type& state) noexcept : state_(state) {}
    alarm(const alarm&) = delete;
    alarm& operator=(const alarm&) = delete;
    virtual ~alarm() = default;

    /// Has the timer's executor call claim later; throws where that fails. Whoever makes that
    /// certain calls posted(), and dropped() should it not come to the call after all.
    virtual void post() = 0;
    /// Destroys the timer: the execution context goes.
    virtual void shut() noexcept = 0;

    /// Posts for an idle timer, in a section. Where that fails, the timer stays as it is set, and
    /// fires once for nothing.
    void try_post() noexcept;

    void posted() noexcept;
    void dropped() noexcept;

    /// While it lives somebody with this deadline is about to enter the queue. The context waits
    /// for its end: it is a section.
    class expectation {
    public:
        expectation(alarm& a, time_point deadline) noexcept;
        expectation(const expectation&) = delete;
        expectation& operator=(const expectation&) = delete;
        ~expectation();

        /// As alarm's, unless the context goes: then the queue will tell.
        void post() const;

    private:
        alarm& alarm_;
        bool is_section_;
    };

    /// True where the caller may touch the timer, as long as next() says so.
    bool claim() noexcept;
    /// True has the caller set the timer for @p at, or switch it off where that is `never`, and
    /// come again. False: the timer is not the caller's any more.
    bool next(time_point& at) noexcept;
    /// The caller could not set the timer, which is not the caller's any more.
    void failed() noexcept;
    /// The timer has fired: ends all whose deadline has passed. The result is that of claim.
    bool expire(time_point now) noexcept;

private:
    friend state_type;

    /// Whether who enters the queue with this deadline now is seen in time: the timer is set for
    /// then or earlier, or somebody will look at the deadlines yet.
    bool provides_for(time_point deadline) const noexcept {
        return set_for_ <= deadline || will_be_looked_at();
    }
    bool will_be_looked_at() const noexcept { return posted_ > 0 || is_claimed_; }
    /// Who waits for the earliest deadline, if that has passed; else null.
    timed_waiter<Threads>* overdue(time_point now) const noexcept {
        return deadlines_.earliest() <= now && !deadlines_.empty()
                   ? &static_cast<timed_waiter<Threads>&>(deadlines_.first())
                   : nullptr;
    }
    /// Whether the timer is set for nobody.
    bool is_idle() const noexcept {
        return deadlines_.empty() && set_for_ != never && expected_ == 0 && !will_be_looked_at();
    }
    bool is_shut() const noexcept { return state_.phase_ == state_type::phase::shut; }
    bool claim_locked() noexcept;

    state_type& state_; // guards by its mutex all that follows
    deadline_set deadlines_;
    time_point set_for_ = never; // the timer looks at the deadlines then
    time_point wanted_ = never;  // the earliest deadline of those who are expected
    int expected_ = 0;           // who are about to enter the queue
    int posted_ = 0;             // calls of claim that are certain, and yet to come
    bool is_claimed_ = false;    // a thread touches the timer
};

} // namespace asio_semaphore::detail
