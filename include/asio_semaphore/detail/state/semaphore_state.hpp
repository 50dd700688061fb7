// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Grants permits: a waiting line whose waiters ask for a number of permits. State layer.
//
// While nobody waits, permits are taken and given back by compare-and-swap on one word. While
// somebody waits, the word's queued flag is set; then only the holder of mutex_ changes the word,
// and every event that could make the head fit goes through `settle`.
//
//   flags of word_ | acquire: fits / not    | release, reduce | cancel, deadline | close
//   ---------------+------------------------+-----------------+------------------+----------
//   none           | CAS      / -> queued   | CAS             | -                | -> closed
//   queued         | waits behind the queue | lock, settle    | lock, settle     | -> closed
//   closed         | refused                | CAS             | -                | -
//
// Invariants, at every unlock of mutex_:
//   - No lost wake-up: the queued flag is set if and only if the queue is not empty (until the
//     context shuts down). Then the semaphore is open, and the head of the queue needs more than is
//     available.
//   - Conservation: the number of available permits changes only by the n of a granted acquire, of
//     permits that are given back, or of a reduce.

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/detail/state/waiting_line.hpp>

#include <boost/smart_ptr/intrusive_ptr.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <mutex>

namespace asio_semaphore::detail {

template <typename Threads>
class BOOST_SYMBOL_VISIBLE semaphore_state final : public waiting_line<Threads> {
    using line = waiting_line<Threads>;

public:
    using typename line::registry_type;
    using typename line::taken_type;
    using typename line::waiter_type;

    /// The largest count that fits into the word beside the flags.
    static constexpr std::ptrdiff_t max() noexcept {
        constexpr std::int64_t word = std::numeric_limits<std::int64_t>::max() / one_permit;
        constexpr std::ptrdiff_t count = std::numeric_limits<std::ptrdiff_t>::max();
        return word < count ? static_cast<std::ptrdiff_t>(word) : count;
    }

    /// Starts with one reference. @pre 0 <= initial <= max_permits <= max()
    semaphore_state(
        std::ptrdiff_t initial, std::ptrdiff_t max_permits,
        boost::intrusive_ptr<registry_type> registry);

    // relaxed, both: the values may be out of date on return, unless the caller holds mutex_, which
    // then provides the order.
    std::ptrdiff_t available() const noexcept {
        return static_cast<std::ptrdiff_t>(available_in(word_.load(std::memory_order_relaxed)));
    }
    std::ptrdiff_t max_permits() const noexcept { return max_; }
    bool is_open() const noexcept {
        return (word_.load(std::memory_order_relaxed) & closed_flag) == 0;
    }

    /// Takes n permits, or returns why not: `queued` if an acquire would have to wait.
    outcome try_acquire(std::ptrdiff_t n) noexcept {
        // relaxed, here and on failure: the compare-exchange decides whether the value is still
        // current.
        auto word = word_.load(std::memory_order_relaxed);
        while (n > 0 && (word & (queued_flag | closed_flag)) == 0 && n <= available_in(word)) {
            // acquire: pairs with the release by the thread that gave back the permits taken here
            // [release_and_try_acquire].
            if (word_.compare_exchange_weak(
                    word, word - n * one_permit, std::memory_order_acquire,
                    std::memory_order_relaxed))
                return outcome::granted;
            Threads::let_winner_go_on();
            word = word_.load(std::memory_order_relaxed); // relaxed: as above
        }
        const bool may_wait = n > 0 && n <= max_ && (word & closed_flag) == 0;
        return may_wait ? outcome::queued : end_at_once(n);
    }

    /// Grants w.count permits, or puts w at the end of the queue with its link armed. `queued`
    /// means that w waits: it may be submitted at any moment, and the caller must not touch it any
    /// more. With any other outcome, w still belongs to the caller. `unalarmed` asks the caller to
    /// post the alarm, with an expectation of w's deadline, and to try again.
    /// @param is_alarmed whether the caller has done so
    /// @pre 0 < w.count <= max_permits()
    outcome enqueue(waiter_type& w, bool is_alarmed = false) noexcept;

    /// Gives n permits back and serves the queue. Returns false, and changes nothing, if that would
    /// exceed the maximum.
    /// @pre n >= 0
    bool release(std::ptrdiff_t n) noexcept {
        auto word = word_.load(std::memory_order_relaxed); // relaxed: as in try_acquire
        while ((word & queued_flag) == 0 && n <= max_ - available_in(word)) {
            // release: what this thread did happens before what the next holder does
            // [release_and_try_acquire].
            if (word_.compare_exchange_weak(
                    word, (available_in(word) + n) * one_permit + (word & closed_flag),
                    std::memory_order_release, std::memory_order_relaxed))
                return true;
            Threads::let_winner_go_on();
            word = word_.load(std::memory_order_relaxed); // relaxed: as above
        }
        return add(n);
    }

    /// Takes n permits out of circulation. Returns false, and changes nothing, if the debt would
    /// exceed max(). @pre n >= 0
    bool reduce(std::ptrdiff_t n) noexcept { return add(-n); }

    /// Gives back the permits of a permit object, and its reference; never exceeds the maximum.
    void put_back(std::ptrdiff_t n) noexcept;

private:
    using line::mutex_;
    using line::phase_;
    using line::queue_;
    using typename line::phase;
    using typename line::section;

    static constexpr std::int64_t queued_flag = 1;
    static constexpr std::int64_t closed_flag = 2;
    static constexpr std::int64_t one_permit = 4;

    // The result is as wide as the word on every platform: the distance from a debt to max() may
    // exceed a ptrdiff_t.
    static std::int64_t available_in(std::int64_t word) noexcept { return word >> 2; }

    ~semaphore_state() override = default;

    outcome end_at_once(std::ptrdiff_t n) noexcept;
    bool add(std::ptrdiff_t delta) noexcept;
    bool add_and_serve(std::ptrdiff_t delta, bool& is_done) noexcept;
    bool stays_in_range(std::int64_t available, std::ptrdiff_t delta) const noexcept;

    // Under mutex_.
    void settle(std::int64_t available, taken_type& taken) noexcept;
    void bar() noexcept override;
    void leaves(waiter_type&, outcome) noexcept override {}
    void make_way(taken_type& taken) noexcept override;

    // available * one_permit + flags
    typename Threads::template atomic<std::int64_t> word_;
    const std::ptrdiff_t max_;
};

} // namespace asio_semaphore::detail

#if defined(ASIO_SEMAPHORE_SEPARATE_COMPILATION)
extern template class asio_semaphore::detail::semaphore_state<asio_semaphore::detail::threads>;
#else
#include <asio_semaphore/detail/state/impl/semaphore_state.ipp>
#endif
