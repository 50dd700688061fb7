#pragma once

// Who gets how many permits, and when. State layer: no Asio, no allocation, no handler: it knows
// waiters only as links of a queue with a count, and hands those that it takes out of the queue to
// `deliver`, with no lock held.
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
//   - No lost wake-up: the queued flag is set if and only if the queue is not empty; then the
//     semaphore is open, and the head of the queue needs more than is available.
//   - Outstanding work: somebody in the queue keeps the semaphore's executor busy for all of it;
//     and so does the last of those who leave it together, until it is submitted, unless this
//     thread is running that executor.
//   - Conservation: available changes only by the n of an acquire that is granted, of permits that
//     are given back, and of reduce.

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/detail/state/cancellation_link.hpp>
#include <asio_semaphore/detail/state/state_registry.hpp>
#include <asio_semaphore/detail/state/threads.hpp>
#include <asio_semaphore/detail/state/wait_queue.hpp>

#include <boost/smart_ptr/intrusive_ptr.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <mutex>

namespace asio_semaphore::detail {

template <typename Threads>
class BOOST_SYMBOL_VISIBLE semaphore_state final {
public:
    using queue_type = wait_queue<Threads>;
    using taken_type = taken_waiters<Threads>;
    using waiter_type = waiter<Threads>;
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
        return may_wait ? outcome::queued : not_taken(n);
    }

    /// Grants w.count permits or puts w at the end of the queue, its links armed; `queued` says
    /// that it waits. From then on it may be delivered at any moment: the caller touches it no
    /// more. With any other outcome it is the caller's still.
    /// @pre 0 < w.count <= max_permits()
    outcome enqueue(waiter_type& w) noexcept;

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

    /// Aborts every waiter and returns how many there were.
    std::size_t cancel() noexcept;

    /// Admits nobody from now on; waiters and later acquires end as `closed`.
    void close() noexcept { end(phase::closed, outcome::closed); }

    /// The semaphore object dies: as close, but they end as `aborted`. Permits, links and lazy
    /// operations may live on.
    void abort() noexcept { end(phase::destroyed, outcome::aborted); }

    /// An operation goes away: on to its handler's executor, in another context. Until it comes
    /// back the semaphore's executor is to stay busy, but this one's context may be gone by then;
    /// so the state does that, by the means of one keeper for all. True asks the caller to bring
    /// one.
    bool go_away() noexcept;
    void keep(away_keeper& keeper) noexcept;
    /// Its handler has been called, or destroyed.
    void come_back() noexcept;

    /// Lifetime. The semaphore object, permits, links, unstarted operations and taken waiters hold
    /// references; waiters in the queue hold none, so that a handler may own its semaphore.
    friend void intrusive_ptr_add_ref(semaphore_state* state) noexcept {
        // relaxed: whoever adds a reference holds one.
        state->lifetime_.fetch_add(1, std::memory_order_relaxed);
    }
    friend void intrusive_ptr_release(semaphore_state* state) noexcept { state->drop(1); }

private:
    friend link_type;
    friend registry_type;

    enum class phase : unsigned char { open, closed, destroyed, shut };

    static constexpr std::int64_t queued_flag = 1;
    static constexpr std::int64_t closed_flag = 2;
    static constexpr std::int64_t one_permit = 4;
    static constexpr std::uint64_t one_batch = std::uint64_t(1) << 40;

    // As wide as the word everywhere: with a debt, max() is further away than a ptrdiff_t can tell.
    static std::int64_t available_in(std::int64_t word) noexcept { return word >> 2; }

    ~semaphore_state() { registry_->erase(*this); }

    outcome not_taken(std::ptrdiff_t n) noexcept;
    bool add(std::ptrdiff_t delta) noexcept;
    bool stays_in_range(std::int64_t available, std::ptrdiff_t delta) const noexcept;
    void end(phase p, outcome result) noexcept;
    void cancel(link_type& link) noexcept;
    void disarm(link_type& link) noexcept;

    // Under mutex_.
    void settle(std::int64_t available, taken_type& taken) noexcept;
    void take(waiter_type& w, outcome result, taken_type& taken) noexcept;
    void take_all(outcome result, taken_type& taken) noexcept;
    void relieve(waiter_type& w, link_type* links) noexcept;
    static void keep_busy(waiter_type& w) noexcept;
    outcome ended_locked() const noexcept;

    // Holds mutex_; who was taken out of the queue meanwhile is delivered after the unlock.
    class critical_section {
    public:
        explicit critical_section(semaphore_state& state) noexcept;
        critical_section(const critical_section&) = delete;
        critical_section& operator=(const critical_section&) = delete;
        ~critical_section();

        taken_type taken;

    private:
        semaphore_state& state_;
        std::size_t waiting_before_;
    };
    static void deliver(taken_type& taken) noexcept;
    static void submit_all(taken_type& taken) noexcept;

    // One submit_all that the thread is in the middle of; the innermost is the thread's pointer.
    struct submitting {
        taken_type* const rest;
        semaphore_state* ending; // whose batch ends with the waiter that is being submitted
        submitting* const outer;
    };

    // For the registry, when the execution context goes.
    bool try_add_reference() noexcept;
    void shut(taken_type& doomed, away_keeper*& keepers) noexcept;
    static void submit_rest() noexcept;
    void await_submissions() const noexcept;

    void drop(std::uint64_t share) noexcept;

    // available * one_permit + flags
    typename Threads::template atomic<std::int64_t> word_;
    const std::ptrdiff_t max_;
    typename Threads::mutex mutex_; // a leaf: nothing is called while it is held
    phase phase_ = phase::open;     // guarded by mutex_
    std::uint32_t away_ = 0;        // guarded by mutex_: operations that are away
    queue_type queue_;              // guarded by mutex_
    waiter_type* busy_ = nullptr;   // guarded by mutex_: who in the queue keeps the executor busy
    away_keeper* keeper_ = nullptr; // guarded by mutex_: does so for those who are away, if any
    typename Threads::template atomic<std::size_t> waiting_{0}; // written under mutex_
    // References in the low 40 bits; above them batches, each the waiters taken in one critical
    // section and not yet handed to their executors, by a thread that does not run the execution
    // context. A batch keeps the state alive as a reference does, and the context waits for it.
    typename Threads::template atomic<std::uint64_t> lifetime_{1};
    const boost::intrusive_ptr<registry_type> registry_;
    std::uint32_t registry_index_ = registry_type::not_listed; // guarded by the registry's mutex
};

} // namespace asio_semaphore::detail

#if defined(ASIO_SEMAPHORE_SEPARATE_COMPILATION)
extern template class asio_semaphore::detail::cancellation_link<asio_semaphore::detail::threads>;
extern template class asio_semaphore::detail::semaphore_state<asio_semaphore::detail::threads>;
extern template class asio_semaphore::detail::state_registry<asio_semaphore::detail::threads>;
#else
#include <asio_semaphore/detail/state/impl/semaphore_state.ipp>
#endif
