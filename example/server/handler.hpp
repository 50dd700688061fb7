// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// The work of a request: some computing and a query to a database, both simulated. The handler
// itself counts how many calls run at a time, independently of the limiter, so that tests can check
// the limit.

#include <boost/asio/awaitable.hpp>

#include <atomic>
#include <chrono>
#include <string>
#include <vector>

namespace server {

/// How much work a request causes, and how many queries the database can handle.
struct workload {
    using duration = std::chrono::steady_clock::duration;

    struct change {
        duration after; // since the start
        int capacity;   // from then on
    };

    std::chrono::microseconds computing{100};
    std::chrono::microseconds query{5000};
    int capacity = 16; // queries that the database answers at a time before it slows down
    std::vector<change> schedule; // the earliest first

    int capacity_at(duration since_start) const noexcept;
    /// The duration of a query that begins at that time. @param at_once queries, with this one
    duration query_time(int at_once, duration since_start) const noexcept;
};

class handler {
public:
    /// Starts the schedule of the work. @param trace see options; @throws std::system_error
    explicit handler(const workload& work, const std::string& trace = "");
    handler(const handler&) = delete;
    handler& operator=(const handler&) = delete;
    ~handler();

    /// Handles one request, and returns the body of the response.
    boost::asio::awaitable<std::string> operator()();

    int running() const noexcept { return running_.load(std::memory_order_relaxed); }
    /// The largest number of handlers that ever ran at the same time.
    int most() const noexcept { return most_.load(std::memory_order_relaxed); }
    /// How many queries at a time the database currently answers before it slows down.
    int capacity() const noexcept { return work_.capacity_at(since_start()); }

private:
    class present;

    workload::duration since_start() const noexcept {
        return std::chrono::steady_clock::now() - start_;
    }

    void trace(char what) const noexcept;

    const workload work_;
    int trace_ = -1; // a file descriptor; -1: no trace
    const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
    std::atomic<int> running_{0};
    std::atomic<int> most_{0};
};

} // namespace server
