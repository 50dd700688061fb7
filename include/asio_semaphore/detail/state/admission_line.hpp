#pragma once

// Who is admitted under a limit, who waits, and who goes: a waiting line whose waiters come in the
// order of an admission_queue. State layer; of the limiter's own values it knows the options and
// the numbers, and nothing else from above. What moves the limit, and how those who were admitted
// end, is the derived class's business.
//
// Every decision is made under mutex_. Invariants, at every unlock of it, while the line is open
// and nobody is ending all who wait:
//   - No lost wake-up: the candidate, if there is one, does not fit.
//   - Conservation: in_flight_ is the sum of the weights of the places that are out.
//   - Nobody waits for an idle limiter while it is idle.

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
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

namespace asio_semaphore::detail {

/// A time that nobody looked at the clock for.
inline constexpr time_point unset = time_point::min();

/// What an admission gives back.
struct place {
    key_record* record = nullptr; // null: none
    std::ptrdiff_t weight = 0;
    time_point since = unset; // when it was admitted
    std::uint32_t epoch = 0;  // of the limit, see set_limit
};

/// Whether a limiter can make anything of the request at all.
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

    /// It is granted this place.
    void take(const place& p) noexcept {
        record = p.record;
        since = p.since;
        epoch_ = p.epoch;
    }
    /// @pre that is how it ended
    place granted() const noexcept { return {record, weight, since, epoch_}; }

    const std::uint64_t key;
    // Everybody who waits has all of this, so that it stands here only once.
    union {
        limiter_options::duration max_wait; // until it has arrived, if it has one of its own
        time_point since;                   // when it arrived; once granted, when that was
    };
    const bool has_max_wait;
    bool has_arrived = false; // its deadline is fixed

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

    /// The most that may be in flight.
    static constexpr std::ptrdiff_t max() noexcept {
        return std::numeric_limits<std::ptrdiff_t>::max();
    }

    const limiter_options& options() const noexcept { return options_; }
    double limit() const noexcept;
    std::ptrdiff_t in_flight() const noexcept;
    std::size_t waiting() const noexcept;
    bool is_open() const noexcept;
    std::vector<key_usage> busiest_keys(std::size_t most) const;

    /// Memory for a key that is not present; made and freed with no lock held.
    using spare_record = std::unique_ptr<key_record>;

    /// Admits where nobody waits and there are no keys, and submits nobody. False says nothing.
    bool try_admit_plainly(const admission_request& r, place& granted) noexcept;
    /// Admits, refuses, or says that the request would have to wait (`queued`).
    /// @param is_counted whether a refusal is, and how long it may wait matters
    outcome try_admit(const admission_request& r, place& granted, bool is_counted = true);
    outcome
    try_admit(const admission_request& r, place& granted, spare_record& spare, bool is_counted);

    /// Admits or refuses w, or has it wait: as semaphore_state::enqueue.
    outcome enqueue(admission_waiter_type& w, bool is_alarmed = false);
    outcome enqueue(admission_waiter_type& w, spare_record& spare, bool is_alarmed = false);

    /// `granted` where the limiter is idle; else `queued`, for enqueue_idle to be asked.
    outcome try_wait_idle() const noexcept;
    /// `granted` where the limiter is idle; else w, whose count is 0, waits until it is.
    outcome enqueue_idle(waiter_type& w) noexcept;

protected:
    using line::mutex_;
    using line::phase_;
    using typename line::phase;
    using typename line::section;

    /// @pre the options make sense. Starts with one reference.
    admission_line(
        std::ptrdiff_t limit, limiter_options options,
        boost::intrusive_ptr<registry_type> registry);
    ~admission_line() override;

    /// Where there is one the limit may move at any time, and the clock is looked at.
    bool has_algorithm() const noexcept { return static_cast<bool>(options_.algorithm); }

    // Under mutex_:
    /// Who fits then is not granted yet: see make_way.
    void set_whole(double limit) noexcept;
    /// The place comes back: grants whom it makes room for.
    void give_back(const place& p, time_point now, taken_type& taken) noexcept;
    /// Grants whoever may be granted now.
    void settle(time_point now, taken_type& taken) noexcept;
    void make_way(taken_type& taken) noexcept override;

    const limiter_options options_;
    // Guarded by mutex_, all:
    admission_queue requests_;
    record_pool records_;
    double limit_;
    std::ptrdiff_t whole_ = 0; // of limit_
    std::ptrdiff_t in_flight_ = 0;
    std::size_t running_ = 0;
    limiter_counts counts_;
    std::uint32_t epoch_ = 0; // of the limit; a place tells under which it was given out
    // Since the derived class reset them:
    std::ptrdiff_t peak_ = 0; // the most in flight
    bool bound_ = false;      // the limit was reached, or held somebody back

private:
    using line::queue_;

    static spare_record make_record();

    // Under mutex_.
    bool is_idle() const noexcept { return running_ == 0 && requests_.empty(); }
    bool is_beyond(const admission_request& r) const noexcept;
    outcome check(const admission_request& r) const noexcept;
    bool needs_clock(std::uint64_t key) const noexcept;
    bool fits(int priority, std::ptrdiff_t weight) const noexcept;
    bool is_standing(time_point now) const noexcept;
    bool is_full(time_point now, taken_type& taken) noexcept;
    bool is_next(const key_record* record, int priority, std::ptrdiff_t weight) noexcept;
    key_record* enter(std::uint64_t key, spare_record& spare) noexcept;
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
    void let_idle_ones_go(taken_type& taken) noexcept;

    void bar() noexcept override { ++ends_; }
    void unbar(taken_type& taken) noexcept override;
    bool outlasts(const waiter_type& w, outcome result) const noexcept override;
    void leaves(waiter_type& w, outcome result) noexcept override;

    // Guarded by mutex_, all:
    std::array<std::ptrdiff_t, priorities> allowed_{}; // in flight, with one of this priority
    int ends_ = 0; // threads that end all who wait: nobody is granted between two of their steps
    time_point empty_until_; // where somebody waits: since then the queue has not been empty
};

} // namespace asio_semaphore::detail

#if defined(ASIO_SEMAPHORE_SEPARATE_COMPILATION)
extern template class asio_semaphore::detail::admission_line<asio_semaphore::detail::threads>;
#else
#include <asio_semaphore/detail/state/impl/admission_line.ipp>
#endif
