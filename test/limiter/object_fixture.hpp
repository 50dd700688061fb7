// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Shared by the tests of the limiter as an I/O object.

#include <asio_semaphore/limiter/limiter.hpp>

#include <support/handlers.hpp>
#include <support/operation.hpp>

#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/system/error_code.hpp>
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

namespace test {

namespace asio = boost::asio;

using asio_semaphore::admission;
using asio_semaphore::admission_request;
using asio_semaphore::basic_limiter;
using asio_semaphore::limiter;
using asio_semaphore::limiter_options;
using asio_semaphore::limiter_statistics;
using boost::system::error_code;
using ended = asio_semaphore::outcome;
using namespace std::chrono_literals;

inline const error_code success;
inline const error_code aborted = asio::error::operation_aborted;
inline const error_code timed_out = asio::error::timed_out;
inline const error_code invalid_argument = asio::error::invalid_argument;
inline const error_code closed = asio_semaphore::error::closed;
inline const error_code exceeds_max = asio_semaphore::error::exceeds_max;
inline const error_code queue_full = asio_semaphore::error::queue_full;
inline const error_code shed = asio_semaphore::error::shed;

using operation = support::operation<admission>;
using fixture = support::stepped_context;

inline admission_request weighing(std::ptrdiff_t weight) {
    admission_request r;
    r.weight = weight;
    return r;
}
inline admission_request of_key(std::uint64_t key) {
    admission_request r;
    r.key = key;
    return r;
}
inline admission_request of_priority(int priority) {
    admission_request r;
    r.priority = priority;
    return r;
}
inline admission_request waiting_for(std::chrono::steady_clock::duration most) {
    admission_request r;
    r.max_wait = most;
    return r;
}

/// Options without any deadline.
inline limiter_options patient(std::size_t max_waiting = 100) {
    limiter_options o;
    o.max_waiting = max_waiting;
    o.max_wait = limiter_options::duration::max();
    return o;
}

/// Returns when the clock has advanced, so that a request that ends after this call has a latency
/// above 0.
inline void let_time_pass(std::chrono::steady_clock::duration at_least = {}) {
    const auto start = std::chrono::steady_clock::now();
    while (std::chrono::steady_clock::now() <= start + at_least) {
    }
}

/// The requests of a priority that were admitted or refused.
inline std::uint64_t arrivals(const limiter_statistics::by_priority& by) {
    return by.admitted + by.queue_full + by.shed + by.timed_out + by.cancelled + by.closed;
}
inline std::uint64_t arrivals(const limiter_statistics& s) {
    std::uint64_t all = 0;
    for (const auto& by : s.priorities)
        all += arrivals(by);
    return all;
}

/// Checks the sums that all statistics must satisfy.
inline void check_sums(const limiter_statistics& s) {
    std::uint64_t admitted = 0;
    for (const auto& by : s.priorities)
        admitted += by.admitted;
    BOOST_TEST(admitted == s.succeeded + s.overloaded + s.ignored + s.running);
    BOOST_TEST(s.unreported <= s.ignored);
}

/// The same for an idle limiter.
inline void check_idle(const limiter_statistics& s) {
    BOOST_TEST(s.in_flight == 0);
    BOOST_TEST(s.running == 0u);
    BOOST_TEST(s.waiting == 0u);
    BOOST_TEST(s.keys == 0u);
    check_sums(s);
}

} // namespace test
