#pragma once

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/limiter/limit_algorithm.hpp>

#include <boost/system/error_code.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <functional>

namespace asio_semaphore {

/// Who of those that wait comes first, where priority and fair share leave it open.
enum class queue_order {
    fifo,    ///< The oldest.
    lifo,    ///< The newest.
    adaptive ///< The oldest; and the newest while the queue is a standing one, because the oldest
             ///< are then about to be given up anyway.
};

/// What an operation's error says about the load.
/**
 * No error is a success. `timed_out`, `try_again`, `no_buffer_space`, `connection_refused` and what
 * equals @ref condition::overload tell of too much load. All others are ignored,
 * `operation_aborted` among them: an end of file or a client's reset say nothing about the load,
 * and no client must be able to press the limit.
 */
ASIO_SEMAPHORE_DECL outcome default_outcome(const boost::system::error_code& ec) noexcept;

/// How a limiter queues, sheds and adapts. Every member has a default.
struct limiter_options {
    /// That of the clock.
    using duration = std::chrono::steady_clock::duration;

    /// The law that sets the limit; none: the limit stays as it is set.
    limit_algorithm algorithm = {};

    /// How many requests may wait, whatever their weight; 0: nobody waits.
    std::size_t max_waiting = 100;

    /// How long a request waits that does not say so itself; `duration::max()`: for ever.
    duration max_wait = std::chrono::seconds(1);

    /// Where it is more than 0, 5 ms for instance: how long a newcomer waits while the queue is a
    /// standing one, which has not been empty within the last `max_wait`.
    duration busy_wait = duration::zero();

    /// Who comes first.
    queue_order order = queue_order::fifo;

    /// The most that one key may hold; 0: no cap beyond the fair share. Key 0 has none.
    std::ptrdiff_t max_per_key = 0;

    /// The part of the limit that requests of each priority may fill, counting those of all
    /// priorities; more than 0, at most 1, and none more than that of a higher priority.
    std::array<double, 4> share = {1, 1, 1, 1};

    /// False for a dry run: everybody is admitted at once, and whom the limit would have held back
    /// is counted.
    bool enforce = true;

    /// How an error code that ends an admission counts. Must not throw: `finish` is `noexcept`.
    outcome (*classify)(const boost::system::error_code&) = default_outcome;

    /// Is told of every change of the limit, with no lock held. Of changes that follow each other
    /// closely, by several threads or by a handler that the first of them admits, it may be told in
    /// another order; `limit()` is the limit in force.
    std::function<void(double from, double to)> on_limit_change = {};
};

} // namespace asio_semaphore

#if !defined(ASIO_SEMAPHORE_SEPARATE_COMPILATION)
#include <asio_semaphore/limiter/impl/limiter_options.ipp>
#endif
