#pragma once

// What the server is there for: some computing and a query to a database, both simulated. Counts by
// itself how many run at a time, apart from whatever limits them.

#include <boost/asio/awaitable.hpp>

#include <atomic>
#include <chrono>
#include <string>
#include <vector>

namespace server {

/// How much work a request makes, and what the database can do.
struct workload {
    using duration = std::chrono::steady_clock::duration;

    struct change {
        duration after; // the start
        int capacity;   // from then on
    };

    std::chrono::microseconds computing{100};
    std::chrono::microseconds query{5000};
    int capacity = 16; // queries that the database answers at a time before it slows down
    std::vector<change> schedule; // the earliest first

    /// The capacity so long after the start.
    int capacity_at(duration since_start) const noexcept;
    /// How long a query takes that begins so long after the start, as one of so many at a time.
    duration query_time(int at_once, duration since_start) const noexcept;
};

class handler {
public:
    /// The schedule of the work begins here. @param trace see options; @throws std::system_error
    explicit handler(const workload& work, const std::string& trace = "");
    handler(const handler&) = delete;
    handler& operator=(const handler&) = delete;
    ~handler();

    /// The body of the response to one request.
    boost::asio::awaitable<std::string> operator()();

    int running() const noexcept { return running_.load(std::memory_order_relaxed); }
    /// The most that ever ran at once.
    int most() const noexcept { return most_.load(std::memory_order_relaxed); }
    /// How many queries the database answers at a time now, before it slows down.
    int capacity() const noexcept { return work_.capacity_at(since_start()); }

private:
    class present;

    workload::duration since_start() const noexcept {
        return std::chrono::steady_clock::now() - start_;
    }

    void trace(char what) const noexcept;

    const workload work_;
    int trace_ = -1; // a file descriptor, or none
    const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
    std::atomic<int> running_{0};
    std::atomic<int> most_{0};
};

} // namespace server
