// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// A limiter's counters, and the mean time between its grants. State layer. The mutex of the
// limiter's state guards them.

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/detail/state/threads.hpp>
#include <asio_semaphore/detail/state/wait_queue.hpp>
#include <asio_semaphore/limiter/limit_algorithm.hpp>
#include <asio_semaphore/limiter/limiter_options.hpp>
#include <asio_semaphore/limiter/limiter_statistics.hpp>

#include <boost/config.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace asio_semaphore::detail {

class limiter_counts {
public:
    using duration = limiter_options::duration;

    void admit(int priority, duration waited) noexcept {
        ++of(priority).admitted;
        all_.wait.add(waited);
    }
    void exceed_limit() noexcept { ++all_.over_limit; }

    /// Counts how a request that was not admitted ended.
    void refuse(int priority, outcome refused) noexcept {
        auto& by = of(priority);
        switch (refused) {
        case outcome::queue_full:
            ++by.queue_full;
            break;
        case outcome::shed:
            ++by.shed;
            break;
        case outcome::timed_out:
            ++by.timed_out;
            break;
        case outcome::closed:
            ++by.closed;
            break;
        case outcome::aborted:
        case outcome::abandoned:
            ++by.cancelled;
            break;
        default:
            break;
        }
    }

    /// Counts how an admission ended. @param is_reported whether its owner reported the outcome
    BOOST_FORCEINLINE void finish(asio_semaphore::outcome result, bool is_reported) noexcept {
        switch (result) {
        case asio_semaphore::outcome::success:
            ++all_.succeeded;
            break;
        case asio_semaphore::outcome::overloaded:
            ++all_.overloaded;
            break;
        case asio_semaphore::outcome::ignored:
            ++all_.ignored;
            all_.unreported += is_reported ? 0 : 1;
            break;
        }
    }
    void succeed_after(duration latency) noexcept { all_.latency.add(latency); }
    /// Notes that an admission was destroyed without a report. Returns true once: for the nth, if
    /// none has ever been reported.
    /**
     * But if all were admitted before the first one was destroyed, the end of a context may have
     * destroyed them. Then one that was admitted later returns true.
     */
    bool forget(time_point since, time_point now, std::uint64_t n) noexcept {
        if (forgotten_ == 0)
            first_forgotten_ = now;
        else if (since >= first_forgotten_)
            is_habit_ = true;
        ++forgotten_;
        const bool tells = !is_told_ && forgotten_ >= n && is_habit_ &&
                           all_.unreported == all_.succeeded + all_.overloaded + all_.ignored;
        is_told_ = is_told_ || tells;
        return tells;
    }

    void fail() noexcept { ++all_.algorithm_failures; }

    // The time between grants:
    void begin_queue(time_point now) noexcept { last_grant_ = now; }
    void grant(time_point now) noexcept {
        const auto since = static_cast<double>((now - std::exchange(last_grant_, now)).count());
        grant_interval_ += (since - grant_interval_) / (grant_interval_ > 0 ? 16 : 1);
    }
    /// The expected time until that many waiters have been granted.
    duration expected_wait(std::size_t waiting, time_point now) const noexcept {
        // The interval since the last grant counts once it is longer than usual.
        const auto under_way = static_cast<double>((now - last_grant_).count());
        const double wait = std::max(grant_interval_, under_way) * static_cast<double>(waiting);
        constexpr duration longest = duration::max();
        return wait < static_cast<double>(longest.count())
                   ? duration(static_cast<duration::rep>(wait))
                   : longest;
    }

    /// All counters.
    const limiter_statistics& all() const noexcept { return all_; }

private:
    limiter_statistics::by_priority& of(int priority) noexcept {
        return all_.priorities[static_cast<std::size_t>(priority)];
    }

    limiter_statistics all_; // only the counters are set
    std::uint64_t forgotten_ = 0;
    time_point first_forgotten_;
    bool is_habit_ = false; // an admission was destroyed that was admitted after the first one was
    bool is_told_ = false;
    // While somebody waits: the time of the last grant, or of the beginning of the queue.
    time_point last_grant_;
    double grant_interval_ = 0; // the mean interval, in ticks of the clock; 0: none yet
};

} // namespace asio_semaphore::detail
