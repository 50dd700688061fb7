// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Admits requests under a limit: a waiting line whose waiters are ordered by an admission_queue.
// State layer; from above it uses only the limiter's options and statistics. The derived class
// decides what moves the limit, and how admissions end.
//
// Every decision is made under mutex_. Invariants, at every unlock of mutex_, while the line is
// open and no thread is ending all waiters:
//   - No lost wake-up: the candidate, if there is one, does not fit.
//   - Conservation: in_flight_ is the sum of the weights of all places that are held.
//   - While the limiter is idle, nobody waits for it to become idle.

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/detail/state/admission_queue.hpp>
#include <asio_semaphore/detail/state/limiter_counts.hpp>
#include <asio_semaphore/detail/state/record_pool.hpp>
#include <asio_semaphore/detail/state/waiting_line.hpp>
#include <asio_semaphore/limiter/admission_request.hpp>
#include <asio_semaphore/limiter/limiter_options.hpp>
#include <asio_semaphore/limiter/limiter_statistics.hpp>

#include <boost/smart_ptr/intrusive_ptr.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

namespace asio_semaphore::detail {

/// The value of a time for which the clock was not read.
inline constexpr time_point unset = time_point::min();

/// What an admission holds and gives back.
struct place {
    key_record* record = nullptr; // null: none
    std::ptrdiff_t weight = 0;
    time_point since = unset; // the time of the admission
    std::uint32_t epoch = 0;  // the epoch of the limit; see set_limit
};

/// Whether the request's weight and priority are valid.
constexpr bool is_valid(const admission_request& r) noexcept {
    return r.weight >= 0 && r.priority >= 0 && r.priority < static_cast<int>(priorities);
}

/// A waiter that asks for an admission.
template <typename Threads>
class admission_waiter : public timed_waiter<Threads>, public queued_request {
public:
    explicit admission_waiter(const admission_request& r, bool works = true) noexcept :
        timed_waiter<Threads>(r.weight, never, works),
        queued_request(r.priority, r.weight),
        key(r.key),
        max_wait(r.max_wait.value_or(limiter_options::duration())),
        has_max_wait(r.max_wait.has_value()) {}

    /// Grants the waiter this place.
    void take(const place& p) noexcept {
        record = p.record;
        since = p.since;
        epoch_ = p.epoch;
    }
    /// @pre the waiter was granted
    place granted() const noexcept { return {record, weight, since, epoch_}; }

    const std::uint64_t key;
    // A waiter needs only one of these at a time.
    union {
        limiter_options::duration max_wait; // before the arrival: the request's own, if any
        time_point since; // the time of the arrival; after the grant, that of the grant
    };
    const bool has_max_wait;
    bool has_arrived = false; // whether its deadline is fixed

protected:
    ~admission_waiter() = default;

private:
    std::uint32_t epoch_ = 0;
};

template <typename Threads>
class BOOST_SYMBOL_VISIBLE admission_line : public waiting_line<Threads> {
    using line = waiting_line<Threads>;

public:
    using typename line::registry_type;
    using typename line::taken_type;
    using typename line::waiter_type;
    using admission_waiter_type = admission_waiter<Threads>;
    using duration = limiter_options::duration;

    /// The largest weight that may be in flight.
    static constexpr std::ptrdiff_t max() noexcept {
        return std::numeric_limits<std::ptrdiff_t>::max();
    }

    const limiter_options& options() const noexcept { return options_; }
    double limit() const noexcept;
    std::ptrdiff_t in_flight() const noexcept;
    std::size_t waiting() const noexcept;
    bool is_open() const noexcept;
    std::vector<key_usage> busiest_keys(std::size_t most) const;

    /// Memory for a key that is not present; allocated and freed with no lock held.
    using spare_record = std::unique_ptr<key_record>;

    /// Admits the request if nobody waits and there are no keys; submits no waiter. False is not a
    /// refusal.
    bool try_admit_plainly(const admission_request& r, place& granted) noexcept;
    /// Admits, refuses, or returns `queued` if the request would have to wait.
    /// @param is_counted whether a refusal is counted, and whether the request's max_wait matters
    outcome try_admit(const admission_request& r, place& granted, bool is_counted = true);
    outcome
    try_admit(const admission_request& r, place& granted, spare_record& spare, bool is_counted);

    /// Refuses the request because the queue is full; submits no waiter. False: nothing is decided.
    bool try_refuse(const admission_request& r) noexcept;
    /// A hint, without the lock: whether the request probably has to wait behind others. If so,
    /// enqueue decides; else try_admit comes first.
    bool has_to_wait(const admission_request& r) const noexcept;
    /// Queues w behind others; submits no waiter. True: w may be gone now. False: enqueue decides.
    bool try_enqueue(admission_waiter_type& w) noexcept;
    /// Admits, refuses or queues w, as semaphore_state::enqueue does.
    outcome enqueue(admission_waiter_type& w, bool is_alarmed = false);
    outcome enqueue(admission_waiter_type& w, spare_record& spare, bool is_alarmed = false);

    /// `granted` if the limiter is idle; else `queued`, and the caller calls enqueue_idle.
    outcome try_wait_idle() const noexcept;
    /// `granted` if the limiter is idle; else w, whose count is 0, waits until it is.
    outcome enqueue_idle(waiter_type& w) noexcept;

protected:
    using line::mutex_;
    using line::phase_;
    using typename line::phase;
    using typename line::section;

    /// @pre the options are valid. Starts with one reference.
    admission_line(
        std::ptrdiff_t limit, limiter_options options,
        boost::intrusive_ptr<registry_type> registry);
    ~admission_line() override;

    /// With an algorithm, the limit may move at any time, and every admission reads the clock.
    bool has_algorithm() const noexcept { return static_cast<bool>(options_.algorithm); }

    // Under mutex_:
    /// Sets the limit. Does not grant the waiters that fit now: see make_way.
    void set_whole(double limit) noexcept;
    /// Takes the place back, and grants the waiters that fit now.
    void give_back(const place& p, time_point now, taken_type& taken) noexcept;
    /// Grants the waiters that can be granted now.
    void settle(time_point now, taken_type& taken) noexcept;
    void make_way(taken_type& taken) noexcept override;

    const limiter_options options_;
    // All guarded by mutex_:
    admission_queue requests_;
    record_pool records_;
    double limit_;
    std::ptrdiff_t whole_ = 0; // limit_ as a whole number, at least 1
    std::ptrdiff_t in_flight_ = 0;
    std::size_t running_ = 0;
    limiter_counts counts_;
    std::uint32_t epoch_ = 0; // the limit's epoch; a place records that of its grant
    // Since the derived class last reset them:
    std::ptrdiff_t peak_ = 0; // the most weight in flight
    bool bound_ = false;      // the limit was reached, or held a request back

private:
    using line::queue_;

    static spare_record make_record();

    // relaxed, both: a hint for threads that do not hold mutex_.
    std::size_t queued() const noexcept { return queued_.load(std::memory_order_relaxed); }
    void note_queued() noexcept { queued_.store(requests_.size(), std::memory_order_relaxed); }

    // Under mutex_.
    bool is_idle() const noexcept { return running_ == 0 && requests_.empty(); }
    bool is_beyond(const admission_request& r) const noexcept;
    outcome check(const admission_request& r) const noexcept;
    bool may_queue(const admission_request& r, std::size_t others) const noexcept;
    bool needs_clock(std::uint64_t key) const noexcept;
    bool fits(int priority, std::ptrdiff_t weight) const noexcept;
    bool is_standing(time_point now) const noexcept;
    bool turns(time_point now) const noexcept;
    bool is_full(time_point now, taken_type& taken) noexcept;
    bool is_next(const key_record* record, int priority, std::ptrdiff_t weight) noexcept;
    key_record* enter(std::uint64_t key, spare_record& spare) noexcept;
    void stand(admission_waiter_type& w, key_record* record, spare_record& spare) noexcept;
    void fix_deadline(admission_waiter_type& w, time_point now) noexcept;
    bool admits_plainly(const admission_request& r) const noexcept;
    place admit(
        key_record& record, std::ptrdiff_t weight, int priority, time_point now,
        duration wait) noexcept;
    place admit_plainly(const admission_request& r) noexcept;
    place note_admitted(
        key_record& record, std::ptrdiff_t weight, int priority, time_point now,
        duration wait) noexcept;
    void grant(admission_waiter_type& w, time_point now, taken_type& taken) noexcept;
    void forget(queued_request& r) noexcept;
    void leave(key_record& record) noexcept;
    void give_back_share(const place& p, time_point now) noexcept;
    bool has_changed(time_point now) const noexcept;
    void note_candidate() noexcept;
    void let_time_pass(time_point now, taken_type& taken) noexcept;
    void let_idle_ones_go(taken_type& taken) noexcept;

    void bar() noexcept override { ++ends_; }
    void unbar(taken_type& taken) noexcept override;
    bool outlasts(const waiter_type& w, outcome result) const noexcept override;
    void leaves(waiter_type& w, outcome result) noexcept override;

    // All guarded by mutex_:
    // By priority: the largest weight that may be in flight once a request of that priority is
    // admitted.
    std::array<std::ptrdiff_t, priorities> allowed_{};
    // The number of threads that are ending all waiters. Nobody is granted between two of their
    // steps.
    int ends_ = 0;
    time_point empty_until_; // while somebody waits: when the queue was last empty
    // requests_.size(); written under mutex_, read without it.
    typename Threads::template atomic<std::size_t> queued_{0};
};

} // namespace asio_semaphore::detail

#if defined(ASIO_SEMAPHORE_SEPARATE_COMPILATION)
extern template class asio_semaphore::detail::admission_line<asio_semaphore::detail::threads>;
#else
#include <asio_semaphore/detail/state/impl/admission_line.ipp>
#include <asio_semaphore/detail/state/impl/admission_line_arrivals.ipp>
#endif
