// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/limiter/limit_algorithm.hpp>

#include <boost/system/error_code.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <functional>

namespace asio_semaphore {

/// Which waiting request comes first, if neither its priority nor the fair share decides.
enum class queue_order {
    fifo,    ///< The oldest.
    lifo,    ///< The newest.
    adaptive ///< The oldest; the newest during a standing queue, because the oldest would then miss
             ///< their deadlines anyway.
};

/// The default `limiter_options::classify`: what an error code says about the load.
/**
 * No error is a @ref outcome::success "success". `timed_out`, `try_again`, `no_buffer_space`,
 * `connection_refused` and whatever equals @ref condition::overload are @ref outcome::overloaded
 * "overloaded". All other errors are @ref outcome::ignored "ignored", including
 * `operation_aborted`: an end of file or a reset by a client says nothing about the load, and
 * clients must not be able to lower the limit.
 *
 * @param ec the error code of the work
 *
 * @see @ref overload
 */
ASIO_SEMAPHORE_DECL outcome default_outcome(const boost::system::error_code& ec) noexcept;

/// How a limiter queues, sheds and adapts. Every member has a default.
/**
 * @code
 * limiter limit(
 *     context, 100,
 *     {.max_wait = std::chrono::milliseconds(200),
 *      .busy_wait = std::chrono::milliseconds(5),
 *      .order = queue_order::adaptive});
 * @endcode
 */
struct limiter_options {
    /// The duration type of the clock.
    using duration = std::chrono::steady_clock::duration;

    /// The algorithm that sets the limit. Without one the limit is fixed.
    limit_algorithm algorithm = {};

    /// The most requests that may wait, whatever their weight. 0: no request waits.
    std::size_t max_waiting = 100;

    /// The longest time that a request waits, unless the request has its own. `duration::max()`: no
    /// bound.
    duration max_wait = std::chrono::seconds(1);

    /// If more than 0, 5 ms for example: the longest time that a new request waits during a
    /// standing queue, that is, while the queue has not been empty within the last `max_wait`.
    duration busy_wait = duration::zero();

    /// Which request comes first.
    queue_order order = queue_order::fifo;

    /// The most weight that one key may hold. 0: no cap beyond the fair share. Key 0 has no cap.
    std::ptrdiff_t max_per_key = 0;

    /// For each priority, the part of the limit that may be in use when a request of this priority
    /// is admitted, counting the requests of all priorities. More than 0, at most 1, and never more
    /// than that of a higher priority. No algorithm of the library raises a limit above its initial
    /// value while less than half of it is in use, so requests with a share of half or less cannot
    /// do that alone.
    std::array<double, 4> share = {1, 1, 1, 1};

    /// False for a dry run: all requests are admitted at once, and the statistics count those that
    /// the limit would have held back.
    bool enforce = true;

    /// Turns the error code that finishes an admission into an outcome. The admission is empty by
    /// then. It must not throw, because `finish` is `noexcept`.
    outcome (*classify)(const boost::system::error_code&) = default_outcome;

    /// Called after each change of the limit, with no lock held, by the thread that made the
    /// change. Several threads may call it at the same time. Calls for changes in quick succession
    /// may come in another order, if several threads change the limit, or if a handler that was
    /// admitted by the first change makes the second. `limit()` is the current limit.
    std::function<void(double from, double to)> on_limit_change = {};
};

} // namespace asio_semaphore

#if !defined(ASIO_SEMAPHORE_SEPARATE_COMPILATION)
#include <asio_semaphore/limiter/impl/limiter_options.ipp>
#endif
