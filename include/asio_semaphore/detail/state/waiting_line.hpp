#pragma once

// A line of waiters, how they leave it, and what keeps all of it alive: the mechanism below every
// object that lets some in and has the others wait. State layer: no Asio, no allocation, no
// handler. It knows waiters only as links of a queue, and submits those that leave with no lock
// held. Who is let in, and when, is the derived class's decision.
//
// What keeps the line's execution context running, and there, until an operation is submitted:
//   - In the queue: one waiter, the holder, holds outstanding work for all.
//   - Between queue and submission, unless the submitting thread runs that context: the last of
//     those who leave in one call holds work, and a shutdown waits for the end of the call, which
//     is counted as a section in lifetime_.
// After the shutdown nobody submits.

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/detail/state/alarm.hpp>
#include <asio_semaphore/detail/state/cancellation_link.hpp>
#include <asio_semaphore/detail/state/state_registry.hpp>
#include <asio_semaphore/detail/state/threads.hpp>
#include <asio_semaphore/detail/state/wait_queue.hpp>

#include <boost/config.hpp>
#include <boost/smart_ptr/intrusive_ptr.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace asio_semaphore::detail {

template <typename Threads>
class BOOST_SYMBOL_VISIBLE waiting_line : private list_node { // of the registry
public:
    using queue_type = wait_queue<Threads>;
    using taken_type = taken_waiters<Threads>;
    using waiter_type = waiter<Threads>;
    using timed_waiter_type = timed_waiter<Threads>;
    using alarm_type = alarm<Threads>;
    using link_type = cancellation_link<Threads>;
    using registry_type = state_registry<Threads>;

    waiting_line(const waiting_line&) = delete;
    waiting_line& operator=(const waiting_line&) = delete;

    // relaxed: what it tells may have changed when it returns, unless the caller holds mutex_.
    std::size_t waiting() const noexcept { return waiting_.load(std::memory_order_relaxed); }

    /// Aborts those who wait when it begins, and returns how many those were.
    std::size_t cancel() noexcept { return end(phase::open, outcome::aborted); }

    /// Admits nobody from now on; waiters and later newcomers end as `closed`.
    void close() noexcept { end(phase::closed, outcome::closed); }

    /// The object dies: as close, but they end as `aborted`. What it has given out, links and lazy
    /// operations may live on.
    void abort() noexcept { end(phase::destroyed, outcome::aborted); }

    /// The alarm; null until there is one.
    alarm_type* find_alarm() noexcept;
    /// Makes this the alarm, unless there is one or the context has gone.
    void install_alarm(std::unique_ptr<alarm_type> made) noexcept;

    /// Lifetime. The object, what it has given out, links, unstarted operations and taken waiters
    /// hold references; waiters in the queue hold none, so that a handler may own its object.
    friend void intrusive_ptr_add_ref(waiting_line* line) noexcept {
        // relaxed: whoever adds a reference holds one.
        line->lifetime_.fetch_add(1, std::memory_order_relaxed);
    }
    friend void intrusive_ptr_release(waiting_line* line) noexcept { line->drop(1); }

protected:
    enum class phase : unsigned char { open, closed, destroyed, shut };

    /// Starts with one reference.
    explicit waiting_line(boost::intrusive_ptr<registry_type> registry) noexcept;
    virtual ~waiting_line();

    /// For the derived class's constructor, at its end: a context that has gone already is told.
    void enlist() noexcept { registry_->insert(*this); }

    // What the derived class decides, under mutex_:
    /// Nobody else is let in, or all who waited leave: see phase_ and queue_.
    virtual void bar() noexcept = 0;
    /// w leaves the queue without having been let in.
    virtual void leaves(waiter_type& w, outcome result) noexcept = 0;
    /// Somebody has left the queue so, or the call in which many do so comes to its end: takes
    /// those who can be let in now.
    virtual void make_way(taken_type& taken) noexcept = 0;

    // Under mutex_:
    /// How w, which has just come, ends at once because the line is not open or w cancelled
    /// already; or `queued`.
    outcome ends_at_once(const waiter_type& w) const noexcept;
    outcome why_not() const noexcept;
    /// Whether w's deadline is provided for, if it has one. @param is_alarmed see enqueue
    bool may_join(const waiter_type& w, bool is_alarmed) const noexcept;
    void join(waiter_type& w) noexcept;
    /// w leaves the queue, let in or not.
    void take(waiter_type& w, outcome result, taken_type& taken) noexcept;

    BOOST_FORCEINLINE void drop(std::uint64_t share) noexcept {
        // acq_rel: what others did with the state happens before its deletion [last_references],
        // and a submission before the context goes [grant_and_shutdown].
        if (lifetime_.fetch_sub(share, std::memory_order_acq_rel) == share)
            destroy();
    }

    // A call that takes waiters out of the queue, in one or more critical sections, and then
    // submits them with no lock held.
    class section {
    public:
        explicit section(waiting_line& line) noexcept;
        section(const section&) = delete;
        section& operator=(const section&) = delete;
        ~section();

        /// Between two critical sections.
        void let_others_in() noexcept;

        taken_type taken;

    private:
        void count(std::uint64_t sections) noexcept;

        waiting_line& line_;
        std::size_t waiting_before_;
        std::uint64_t counted_ = 0; // as a section, in lifetime_
    };

    typename Threads::mutex mutex_; // a leaf: nothing is called while it is held
    phase phase_ = phase::open;     // guarded by mutex_
    queue_type queue_;              // guarded by mutex_

private:
    void destroy() noexcept; // out of line, as it is rare

    friend alarm_type;
    friend link_type;
    friend registry_type;

    static constexpr std::uint64_t one_section = std::uint64_t(1) << 40;

    std::size_t end(phase p, outcome result) noexcept;
    void cancel(link_type& link) noexcept;
    void disarm(link_type& link) noexcept;

    // Under mutex_.
    void take_out(waiter_type& w, outcome result, taken_type& taken) noexcept;
    static void let_hold_work(waiter_type& w) noexcept;
    void leave_alarm(timed_waiter_type& w) noexcept;
    void pass_work_on() noexcept;
    std::size_t take_some(queue_type& queue, outcome result, taken_type& taken) noexcept;

    static void submit_all(taken_type taken) noexcept;
    void end_section(ends what) noexcept;

    // One submit_all that the thread is in the middle of; the innermost is the thread's pointer.
    struct submission {
        taken_type* const rest;
        waiting_line* section_of; // whose section ends with the waiter that is being submitted
        submission* const outer;
    };

    // For the registry, when the execution context goes.
    bool try_add_reference() noexcept;
    void shut() noexcept;
    static void submit_rest() noexcept;
    void await_sections() const noexcept;
    void shut_alarm() noexcept;
    void abandon_queue(taken_type& abandoned) noexcept;

    bool is_listed_ = false; // guarded by the registry's mutex, as is the place in its list
    typename Threads::template atomic<std::uint32_t> waiting_{0}; // written under mutex_
    waiter_type* holder_ = nullptr; // guarded by mutex_: who in the queue holds outstanding work
    std::unique_ptr<alarm_type> alarm_; // guarded by mutex_; once there is one it stays
    // References in the low 40 bits; above them the sections that threads are in, which keep the
    // state alive as a reference does.
    typename Threads::template atomic<std::uint64_t> lifetime_{1};
    const boost::intrusive_ptr<registry_type> registry_;
};

} // namespace asio_semaphore::detail

// Bodies come before the first use of the class: from then on it is too late to force them inline.
#if defined(ASIO_SEMAPHORE_SEPARATE_COMPILATION)
extern template class asio_semaphore::detail::alarm<asio_semaphore::detail::threads>;
extern template class asio_semaphore::detail::cancellation_link<asio_semaphore::detail::threads>;
extern template class asio_semaphore::detail::state_registry<asio_semaphore::detail::threads>;
extern template class asio_semaphore::detail::waiting_line<asio_semaphore::detail::threads>;
#else
#include <asio_semaphore/detail/state/impl/waiting_line.ipp>
#endif
