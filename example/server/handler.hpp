#pragma once

// What the server is there for: some computing and a query to a database, both simulated. Counts by
// itself how many run at a time, apart from whatever limits them.

#include <boost/asio/awaitable.hpp>

#include <atomic>
#include <chrono>
#include <string>

namespace server {

/// How much work a request makes.
struct workload {
    std::chrono::microseconds computing{100};
    std::chrono::microseconds query{5000};
    int capacity = 16; // queries that the database answers at a time before it slows down
};

class handler {
public:
    explicit handler(const workload& work) noexcept : work_(work) {}

    /// The body of the response to one request.
    boost::asio::awaitable<std::string> operator()();

    int running() const noexcept { return running_.load(std::memory_order_relaxed); }
    /// The most that ever ran at once.
    int most() const noexcept { return most_.load(std::memory_order_relaxed); }

private:
    class present;

    const workload work_;
    std::atomic<int> running_{0};
    std::atomic<int> most_{0};
};

} // namespace server
