// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Metrics of the server.

#include <asio_semaphore.hpp>

#include <cstdint>
#include <map>
#include <mutex>
#include <ostream>
#include <string>

namespace server {

class fleet;
class handler;

/// The response times, by status code.
class answer_times {
public:
    using duration = asio_semaphore::duration_histogram::duration;

    void add(unsigned status, duration took);
    std::uint64_t count() const;
    /// Writes an OpenMetrics metric family.
    void write(std::ostream& out) const;

private:
    mutable std::mutex mutex_;
    std::map<unsigned, asio_semaphore::duration_histogram> by_status_; // guarded by mutex_
};

/// The sums over all priorities.
asio_semaphore::limiter_statistics::by_priority
total(const asio_semaphore::limiter_statistics& statistics);

/// The response to /metrics: OpenMetrics 1.0.
/**
 * @param limit null: no limiter
 * @param shared null: no fleet
 */
std::string openmetrics_text(
    const asio_semaphore::limiter* limit, const fleet* shared, const handler& work,
    const answer_times& answers);

/// The same numbers in one line, which the server prints at its end.
std::string summary(
    const asio_semaphore::limiter* limit, double largest_limit, const handler& work,
    const answer_times& answers);

} // namespace server
