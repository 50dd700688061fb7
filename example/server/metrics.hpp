#pragma once

// Numbers for Prometheus. Written by every thread while requests are served, so that reading them
// together gives no exact snapshot.

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>

namespace server {

class gate;
class handler;

/// How long things took, in buckets.
class histogram {
public:
    using duration = std::chrono::steady_clock::duration;

    void observe(duration d) noexcept;
    void write(std::ostream& out, std::string_view name) const;

private:
    using milliseconds = std::chrono::milliseconds;
    static constexpr std::array<milliseconds, 12> bounds{
        milliseconds(1),   milliseconds(2),    milliseconds(5),    milliseconds(10),
        milliseconds(20),  milliseconds(50),   milliseconds(100),  milliseconds(200),
        milliseconds(500), milliseconds(1000), milliseconds(2000), milliseconds(5000)};

    std::array<std::atomic<std::uint64_t>, bounds.size() + 1> buckets_{}; // the last: longer
    std::atomic<std::uint64_t> nanoseconds_{0};
};

/// Responses by status code.
class response_counts {
public:
    void add(unsigned status) noexcept {
        counts_[status % counts_.size()].fetch_add(1, std::memory_order_relaxed);
    }
    std::uint64_t total() const noexcept;
    void write(std::ostream& out, std::string_view name) const;

private:
    std::array<std::atomic<std::uint64_t>, 600> counts_{};
};

/// What /metrics answers: Prometheus' text format, version 0.0.4.
std::string prometheus_text(const gate&, const handler&, const response_counts&);

/// The same in one line, for the end.
std::string summary(const gate&, const handler&, const response_counts&);

} // namespace server
