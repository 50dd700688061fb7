// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// A line of waiters, how waiters leave it, and what keeps everything alive: the base of every
// object that admits some requests and lets the others wait. State layer: no Asio, no allocation,
// no handler. The line knows waiters only as links of a queue. It holds no lock while it submits
// the waiters that leave. The derived class decides who is admitted, and when.
//
// Until an operation is submitted, the line's execution context must neither run out of work nor be
// destroyed. What ensures that:
//   - In the queue: one waiter, the holder, holds outstanding work for all.
//   - Between queue and submission, unless the submitting thread runs that context: the last of the
//     waiters that leave in one call holds work, and a shutdown waits for the end of the call,
//     which lifetime_ counts as a section.
// After the shutdown, no thread submits anything.

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
#include <utility>

namespace asio_semaphore::detail {

template <typename Threads>
class BOOST_SYMBOL_VISIBLE waiting_line : private list_node { // linked in the registry's list
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

    // relaxed: the value may be out of date on return, unless the caller holds mutex_.
    std::size_t waiting() const noexcept { return waiting_.load(std::memory_order_relaxed); }

    /// Aborts the waiters that are in the queue when the call begins; returns how many it aborted.
    std::size_t cancel() noexcept { return end(phase::open, outcome::aborted); }

    /// Separates w, which has not entered the queue and is about to end, from its link.
    void detach(waiter_type& w) noexcept;

    /// Admits no more requests: waiters and later arrivals end as `closed`.
    void close() noexcept { end(phase::closed, outcome::closed); }

    /// For the object's destructor. Like close, but they end as `aborted`. Grants, links and lazy
    /// operations may outlive the object.
    void abort() noexcept { end(phase::destroyed, outcome::aborted); }

    /// The alarm, or null if there is none yet.
    alarm_type* find_alarm() noexcept;
    /// Installs the alarm, unless there is one already or the context has shut down.
    void install_alarm(std::unique_ptr<alarm_type> made) noexcept;

    /// Lifetime. The object, its grants, links, unstarted operations and taken waiters hold
    /// references. Waiters in the queue hold none, so that a handler may own the object it waits
    /// for.
    friend void intrusive_ptr_add_ref(waiting_line* line) noexcept {
        // relaxed: the caller already holds a reference.
        line->lifetime_.fetch_add(1, std::memory_order_relaxed);
    }
    friend void intrusive_ptr_release(waiting_line* line) noexcept { line->drop(1); }

protected:
    enum class phase : unsigned char { open, closed, destroyed, shut };

    /// Starts with one reference.
    explicit waiting_line(boost::intrusive_ptr<registry_type> registry) noexcept;
    virtual ~waiting_line();

    /// Called at the end of the derived class's constructor. If the context has already shut down,
    /// this shuts the line, too.
    void enlist() noexcept { registry_->insert(*this); }

    // The derived class decides, under mutex_:
    /// Called after a change of phase_ or queue_: the line is no longer open, or all present
    /// waiters are about to leave, in steps.
    virtual void bar() noexcept = 0;
    /// Called when all waiters that had to leave have left.
    virtual void unbar(taken_type& taken) noexcept { make_way(taken); }
    /// Whether w keeps waiting although the others end with this outcome.
    virtual bool outlasts(const waiter_type&, outcome) const noexcept { return false; }
    /// Called when w leaves the queue without having been admitted.
    virtual void leaves(waiter_type& w, outcome result) noexcept = 0;
    /// Called after one or more waiters have left that way. Takes the waiters that can be admitted
    /// now.
    virtual void make_way(taken_type& taken) noexcept = 0;

    // Under mutex_:
    /// The outcome of w, which has just arrived, if it ends at once because the line is not open or
    /// w is already cancelled; else `queued`.
    outcome ends_at_once(const waiter_type& w) const noexcept;
    outcome why_not() const noexcept;
    static bool is_cancelled(const waiter_type& w) noexcept {
        return w.link != nullptr ? w.link->fired_ : w.was_cancelled;
    }
    /// Whether w may join: it has no deadline, or the alarm covers its deadline. @param is_alarmed
    /// see enqueue
    bool may_join(const waiter_type& w, bool is_alarmed) const noexcept;
    void join(waiter_type& w) noexcept;
    /// Takes w out of the queue, admitted or not.
    void take(waiter_type& w, outcome result, taken_type& taken) noexcept;
    /// Takes w out of the queue without admitting it.
    void take_out(waiter_type& w, outcome result, taken_type& taken) noexcept;
    /// The waiter with the earliest deadline, if that has passed and the timer is late; else null.
    timed_waiter_type* overdue(time_point now) const noexcept;

    BOOST_FORCEINLINE void drop(std::uint64_t share) noexcept {
        // acq_rel: what other threads did with the state happens before its deletion
        // [last_references], and a submission before the destruction of the context
        // [grant_and_shutdown].
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

        /// Ends one critical section and begins the next.
        void let_others_in() noexcept;
        /// Notes that a waiter has joined in this critical section.
        void joined() noexcept { ++waiting_before_; }

        taken_type taken;

    private:
        void count(std::uint64_t sections) noexcept;

        waiting_line& line_;
        std::size_t waiting_before_;
        std::uint64_t counted_ = 0; // the part of lifetime_ that counts this section
    };

    // No user code runs under it. Semaphores and limiters take no other lock under it, either.
    mutable typename Threads::mutex mutex_;
    phase phase_ = phase::open; // guarded by mutex_

private:
    // Declared here to fill padding.
    bool is_listed_ = false; // guarded by the registry's mutex, like the links in its list
    typename Threads::template atomic<std::uint32_t> waiting_{0}; // written under mutex_

protected:
    queue_type queue_; // guarded by mutex_

private:
    void destroy() noexcept; // out of line, because it is rare

    friend alarm_type;
    friend link_type;
    friend registry_type;

    static constexpr std::uint64_t one_section = std::uint64_t(1) << 40;

    std::size_t end(phase p, outcome result) noexcept;
    void cancel(link_type& link) noexcept;
    void disarm(link_type& link) noexcept;

    // Under mutex_.
    void stand_last(waiter_type& w) noexcept;
    static void let_hold_work(waiter_type& w) noexcept;
    void leave_alarm(timed_waiter_type& w) noexcept;
    static void let_go(link_type* link) noexcept;
    void pass_work_on() noexcept;
    std::size_t take_some(queue_type& queue, outcome result, taken_type& taken) noexcept;

    static void submit_all(taken_type taken) noexcept;
    void end_section(ends what) noexcept;

    // A call of submit_all on the current thread. The thread's pointer refers to the innermost one.
    struct submission {
        taken_type* const rest;
        waiting_line* section_of; // the line whose section ends with the current waiter; or null
        submission* const outer;
    };

    // What the current thread is doing with a line while it is in an executor: what the executor
    // drops, or what it owns, may destroy the context, which must not wait for this very thread.
    class in_executor {
    public:
        in_executor() noexcept : outer(std::exchange(innermost(), this)) {}
        in_executor(const in_executor&) = delete;
        in_executor& operator=(const in_executor&) = delete;
        ~in_executor() { innermost() = outer; }

        static in_executor*& innermost() noexcept {
            return Threads::template thread_pointer<in_executor>();
        }

        // The line that this thread is in a section of, or whose alarm this thread is destroying;
        // null: none yet.
        const waiting_line* of = nullptr;
        in_executor* const outer;
    };

    // For the registry, when the execution context shuts down.
    std::uint64_t times_in_executor_here() const noexcept;
    bool try_add_reference() noexcept;
    void shut() noexcept;
    static void submit_rest() noexcept;
    void await_sections() const noexcept;
    void shut_alarm() noexcept;
    void abandon_queue(taken_type& abandoned) noexcept;

    // Guarded by mutex_: the waiter in the queue that holds work for all.
    waiter_type* holder_ = nullptr;
    std::unique_ptr<alarm_type> alarm_; // guarded by mutex_; never replaced once set
    // The low 40 bits count references. The bits above count the sections that threads are in; a
    // section keeps the state alive as a reference does.
    typename Threads::template atomic<std::uint64_t> lifetime_{1};
    const boost::intrusive_ptr<registry_type> registry_;
};

} // namespace asio_semaphore::detail

// The bodies precede the first use of the class: after it, they can no longer be forced inline.
#if defined(ASIO_SEMAPHORE_SEPARATE_COMPILATION)
extern template class asio_semaphore::detail::alarm<asio_semaphore::detail::threads>;
extern template class asio_semaphore::detail::cancellation_link<asio_semaphore::detail::threads>;
extern template class asio_semaphore::detail::state_registry<asio_semaphore::detail::threads>;
extern template class asio_semaphore::detail::waiting_line<asio_semaphore::detail::threads>;
#else
#include <asio_semaphore/detail/state/impl/waiting_line.ipp>
#endif
