// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// A limiter: an admission_line whose limit an algorithm may move, based on how admissions end.
// State layer; from above it uses only the limiter's own values (options, statistics, samples).
//
// Every decision is made under mutex_. The algorithm and on_limit_change belong to the user. They
// are called with no lock held, and the algorithm by one thread at a time: see `show`.
// Conservation, at every unlock of mutex_: admitted = succeeded + overloaded + ignored + running.

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/detail/state/admission_line.hpp>
#include <asio_semaphore/limiter/limit_algorithm.hpp>
#include <asio_semaphore/limiter/limiter_options.hpp>
#include <asio_semaphore/limiter/limiter_statistics.hpp>

#include <boost/circular_buffer.hpp>
#include <boost/smart_ptr/intrusive_ptr.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>

namespace asio_semaphore::detail {

template <typename Threads>
class BOOST_SYMBOL_VISIBLE limiter_state final : public admission_line<Threads> {
    using line = admission_line<Threads>;

public:
    using typename line::duration;
    using typename line::registry_type;
    using typename line::spare_record;
    using typename line::taken_type;

    /// Starts with one reference. @throws std::invalid_argument
    limiter_state(
        std::ptrdiff_t limit, limiter_options options,
        boost::intrusive_ptr<registry_type> registry);

    /// Ends an admission. @param is_reported whether its owner reported the outcome
    void finish(const place& p, asio_semaphore::outcome result, bool is_reported) noexcept;
    /// Ends an admission that was destroyed: ignored and unreported. A program that never reports
    /// is warned.
    void forget(const place& p) noexcept;

    /// @pre 1 <= limit. @throws whatever copying the algorithm throws; nothing changes then
    void set_limit(std::ptrdiff_t limit);

    limiter_statistics statistics() const;

private:
    using line::bound_;
    using line::counts_;
    using line::epoch_;
    using line::in_flight_;
    using line::limit_;
    using line::mutex_;
    using line::options_;
    using line::peak_;
    using line::phase_;
    using line::records_;
    using line::requests_;
    using line::running_;
    using line::whole_;
    using typename line::phase;
    using typename line::section;
    using algorithm_pointer = std::shared_ptr<limit_algorithm>;

    // A sample for the algorithm, with the algorithm and the epoch it belongs to.
    struct showing {
        limit_sample sample = {};
        algorithm_pointer algorithm = nullptr;
        std::uint32_t epoch = 0;
    };
    struct ending;

    ~limiter_state() override;

    void finish_shown(ending e) noexcept;
    void finish_unshown(const place& p, asio_semaphore::outcome result, bool is_reported) noexcept;
    bool end_admission(ending& e) noexcept;
    void show(showing shown, const ending* held) noexcept;
    void tell(double from, double to) noexcept;

    // Under mutex_.
    void end_now(const ending& e, time_point now, duration latency, taken_type& taken) noexcept;
    bool make_room(ending& e) noexcept;
    bool take_sample(showing& shown, bool goes_on) noexcept;

    // All guarded by mutex_:
    algorithm_pointer algorithm_;
    bool is_shown_ = false; // a thread is showing samples to the algorithm
    // Samples for that thread or the next one; the buffer grows with the mutex unlocked.
    boost::circular_buffer<limit_sample> samples_;
    bool is_more_left_ = false; // a sample was added since the last one was taken
};

} // namespace asio_semaphore::detail

#if defined(ASIO_SEMAPHORE_SEPARATE_COMPILATION)
extern template class asio_semaphore::detail::limiter_state<asio_semaphore::detail::threads>;
#else
#include <asio_semaphore/detail/state/impl/limiter_state.ipp>
#endif
