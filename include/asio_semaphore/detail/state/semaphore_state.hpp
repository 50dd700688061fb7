#pragma once

// Who gets how many permits, and when. State layer: no Asio, no allocation, no handler. It knows
// waiters only as links of a queue with a count, and submits those that it takes out of the queue
// with no lock held.
//
// While nobody waits, permits come and go by compare-and-swap on one word. With somebody waiting
// the word's queued flag is set; then only the holder of mutex_ changes the word, and every event
// that could make the head fit goes through `settle`.
//
//   flags of word_ | acquire: fits / not    | release, reduce | cancel, deadline | close
//   ---------------+------------------------+-----------------+------------------+----------
//   none           | CAS      / -> queued   | CAS             | -                | -> closed
//   queued         | waits behind the queue | lock, settle    | lock, settle     | -> closed
//   closed         | refused                | CAS             | -                | -
//
// Invariants, at every unlock of mutex_:
//   - No lost wake-up: the queued flag is set if and only if the queue is not empty (until the
//     context goes); then the semaphore is open, and the head of the queue needs more than is
//     available.
//   - Conservation: available changes only by the n of an acquire that is granted, of permits that
//     are given back, and of reduce.
//
// What keeps the semaphore's execution context running, and there, until an operation is submitted:
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

#include <boost/smart_ptr/intrusive_ptr.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>

namespace asio_semaphore::detail {

template <typename Threads>
class BOOST_SYMBOL_VISIBLE semaphore_state final : private list_node { // of the registry
public:
    using queue_type = wait_queue<Threads>;
    using taken_type = taken_waiters<Threads>;
    using waiter_type = waiter<Threads>;
    using timed_waiter_type = timed_waiter<Threads>;
    using alarm_type = alarm<Threads>;
    using link_type = cancellation_link<Threads>;
    using registry_type = state_registry<Threads>;

    /// The largest count that the word can hold beside its flags.
    static constexpr std::ptrdiff_t max() noexcept {
        constexpr std::int64_t word = std::numeric_limits<std::int64_t>::max() / one_permit;
        constexpr std::ptrdiff_t count = std::numeric_limits<std::ptrdiff_t>::max();
        return word < count ? static_cast<std::ptrdiff_t>(word) : count;
    }

    /// Starts with one reference. @pre 0 <= initial <= max_permits <= max()
    semaphore_state(
        std::ptrdiff_t initial, std::ptrdiff_t max_permits,
        boost::intrusive_ptr<registry_type> registry);
    semaphore_state(const semaphore_state&) = delete;
    semaphore_state& operator=(const semaphore_state&) = delete;

    // relaxed, all three: what they tell may have changed when they return, unless the caller holds
    // mutex_, which orders then.
    std::ptrdiff_t available() const noexcept {
        return static_cast<std::ptrdiff_t>(available_in(word_.load(std::memory_order_relaxed)));
    }
    std::ptrdiff_t max_permits() const noexcept { return max_; }
    std::size_t waiting() const noexcept { return waiting_.load(std::memory_order_relaxed); }
    bool is_open() const noexcept {
        return (word_.load(std::memory_order_relaxed) & closed_flag) == 0;
    }

    /// Takes n permits, or says why not: `queued` where an acquire would have to wait.
    outcome try_acquire(std::ptrdiff_t n) noexcept {
        // relaxed, here and where it fails: the compare-exchange tells whether it is still so.
        auto word = word_.load(std::memory_order_relaxed);
        while (n > 0 && (word & (queued_flag | closed_flag)) == 0 && n <= available_in(word)) {
            // acquire: pairs with the release of whoever gave back the permits that are taken here
            // [release_and_try_acquire].
            if (word_.compare_exchange_weak(
                    word, word - n * one_permit, std::memory_order_acquire,
                    std::memory_order_relaxed))
                return outcome::granted;
        }
        const bool may_wait = n > 0 && n <= max_ && (word & closed_flag) == 0;
        return may_wait ? outcome::queued : end_at_once(n);
    }

    /// Grants w.count permits or puts w at the end of the queue, its link armed; `queued` says
    /// that it waits. From then on it may be submitted at any moment: the caller touches it no
    /// more. With any other outcome it is the caller's still; `unalarmed` asks the caller to post
    /// the alarm, expecting w, and to try again.
    /// @param is_alarmed the caller has done so
    /// @pre 0 < w.count <= max_permits()
    outcome enqueue(waiter_type& w, bool is_alarmed = false) noexcept;

    /// Gives n permits back, and serves the queue. False, with nothing changed, where that would
    /// exceed the maximum.
    /// @pre n >= 0
    bool release(std::ptrdiff_t n) noexcept {
        auto word = word_.load(std::memory_order_relaxed); // relaxed: as in try_acquire
        while ((word & queued_flag) == 0 && n <= max_ - available_in(word)) {
            // release: what the giver did happens before what the next holder does
            // [release_and_try_acquire].
            if (word_.compare_exchange_weak(
                    word, (available_in(word) + n) * one_permit + (word & closed_flag),
                    std::memory_order_release, std::memory_order_relaxed))
                return true;
        }
        return add(n);
    }

    /// Takes n permits out of circulation. False, with nothing changed, where the debt would exceed
    /// max(). @pre n >= 0
    bool reduce(std::ptrdiff_t n) noexcept { return add(-n); }

    /// Gives back what a permit held, and its reference; never more than the maximum.
    void put_back(std::ptrdiff_t n) noexcept;

    /// Aborts those who wait when it begins, and returns how many those were.
    std::size_t cancel() noexcept { return end(phase::open, outcome::aborted); }

    /// Admits nobody from now on; waiters and later acquires end as `closed`.
    void close() noexcept { end(phase::closed, outcome::closed); }

    /// The semaphore object dies: as close, but they end as `aborted`. Permits, links and lazy
    /// operations may live on.
    void abort() noexcept { end(phase::destroyed, outcome::aborted); }

    /// The alarm; null until there is one.
    alarm_type* find_alarm() noexcept;
    /// Makes this the alarm, unless there is one or the context has gone.
    void install_alarm(std::unique_ptr<alarm_type> made) noexcept;

    /// Lifetime. The semaphore object, permits, links, unstarted operations and taken waiters hold
    /// references; waiters in the queue hold none, so that a handler may own its semaphore.
    friend void intrusive_ptr_add_ref(semaphore_state* state) noexcept {
        // relaxed: whoever adds a reference holds one.
        state->lifetime_.fetch_add(1, std::memory_order_relaxed);
    }
    friend void intrusive_ptr_release(semaphore_state* state) noexcept { state->drop(1); }

private:
    friend alarm_type;
    friend link_type;
    friend registry_type;

    enum class phase : unsigned char { open, closed, destroyed, shut };

    static constexpr std::int64_t queued_flag = 1;
    static constexpr std::int64_t closed_flag = 2;
    static constexpr std::int64_t one_permit = 4;
    static constexpr std::uint64_t one_section = std::uint64_t(1) << 40;

    // As wide as the word everywhere: with a debt, max() is further away than a ptrdiff_t can tell.
    static std::int64_t available_in(std::int64_t word) noexcept { return word >> 2; }

    ~semaphore_state();

    outcome end_at_once(std::ptrdiff_t n) noexcept;
    bool add(std::ptrdiff_t delta) noexcept;
    bool add_and_serve(std::ptrdiff_t delta, bool& is_done) noexcept;
    bool stays_in_range(std::int64_t available, std::ptrdiff_t delta) const noexcept;
    std::size_t end(phase p, outcome result) noexcept;
    void cancel(link_type& link) noexcept;
    void disarm(link_type& link) noexcept;

    // Under mutex_.
    void settle(std::int64_t available, taken_type& taken) noexcept;
    void take(waiter_type& w, outcome result, taken_type& taken) noexcept;
    static void let_hold_work(waiter_type& w) noexcept;
    void leave_alarm(timed_waiter_type& w) noexcept;
    void pass_work_on() noexcept;
    std::size_t take_some(queue_type& queue, outcome result, taken_type& taken) noexcept;
    void make_way(taken_type& taken) noexcept;
    outcome why_not() const noexcept;

    // A call that takes waiters out of the queue, in one or more critical sections, and then
    // submits them with no lock held.
    class section {
    public:
        explicit section(semaphore_state& state) noexcept;
        section(const section&) = delete;
        section& operator=(const section&) = delete;
        ~section();

        /// Between two critical sections.
        void let_others_in() noexcept;

        taken_type taken;

    private:
        void count(std::uint64_t sections) noexcept;

        semaphore_state& state_;
        std::size_t waiting_before_;
        std::uint64_t counted_ = 0; // as a section, in lifetime_
    };
    static void submit_all(taken_type taken) noexcept;
    void end_section(ends what) noexcept;

    // One submit_all that the thread is in the middle of; the innermost is the thread's pointer.
    struct submission {
        taken_type* const rest;
        semaphore_state* section_of; // whose section ends with the waiter that is being submitted
        submission* const outer;
    };

    // For the registry, when the execution context goes.
    bool try_add_reference() noexcept;
    void shut() noexcept;
    static void submit_rest() noexcept;
    void await_sections() const noexcept;
    void shut_alarm() noexcept;
    void abandon_queue(taken_type& abandoned) noexcept;

    void drop(std::uint64_t share) noexcept;

    // available * one_permit + flags
    typename Threads::template atomic<std::int64_t> word_;
    const std::ptrdiff_t max_;
    typename Threads::mutex mutex_; // a leaf: nothing is called while it is held
    phase phase_ = phase::open;     // guarded by mutex_
    bool is_listed_ = false;        // guarded by the registry's mutex, as is the place in its list
    queue_type queue_;              // guarded by mutex_
    waiter_type* holder_ = nullptr; // guarded by mutex_: who in the queue holds outstanding work
    std::unique_ptr<alarm_type> alarm_; // guarded by mutex_; once there is one it stays
    typename Threads::template atomic<std::size_t> waiting_{0}; // written under mutex_
    // References in the low 40 bits; above them the sections that threads are in, which keep the
    // state alive as a reference does.
    typename Threads::template atomic<std::uint64_t> lifetime_{1};
    const boost::intrusive_ptr<registry_type> registry_;
};

} // namespace asio_semaphore::detail

#if defined(ASIO_SEMAPHORE_SEPARATE_COMPILATION)
extern template class asio_semaphore::detail::alarm<asio_semaphore::detail::threads>;
extern template class asio_semaphore::detail::cancellation_link<asio_semaphore::detail::threads>;
extern template class asio_semaphore::detail::semaphore_state<asio_semaphore::detail::threads>;
extern template class asio_semaphore::detail::state_registry<asio_semaphore::detail::threads>;
#else
#include <asio_semaphore/detail/state/impl/semaphore_state.ipp>
#endif
