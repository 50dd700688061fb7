// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include "handler.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <system_error>
#include <vector>

namespace server {
namespace asio = boost::asio;
namespace {

std::uint64_t compute(std::vector<std::uint64_t>& rows, std::chrono::microseconds time) {
    const auto end = std::chrono::steady_clock::now() + time;
    std::uint64_t hash = 0;
    do {
        for (auto& row : rows)
            hash = (hash ^ ++row) * 0x100000001b3;
    } while (std::chrono::steady_clock::now() < end);
    return hash;
}

} // namespace

int workload::capacity_at(duration since_start) const noexcept {
    int now = capacity;
    for (const auto& next : schedule) {
        if (next.after <= since_start)
            now = next.capacity;
    }
    return now;
}

// A database slows down under too many queries. Beyond its capacity the queries take turns: with n
// times the capacity, each takes n times as long, and the throughput stays the same. In addition,
// any two queries may contend for a lock: at 16 times the capacity, that makes each query another
// four times slower.
workload::duration workload::query_time(int at_once, duration since_start) const noexcept {
    const double load = std::max(1.0, static_cast<double>(at_once) / capacity_at(since_start));
    const double contention = 1 + (load - 1) * (load - 1) / 75;
    return std::chrono::duration_cast<duration>(query * (load * contention));
}

/// Counts one running handler, however that handler ends.
class handler::present {
public:
    explicit present(handler& all) noexcept :
        all_(all), now_(all.running_.fetch_add(1, std::memory_order_relaxed) + 1) {
        for (int most = all_.most(); most < now_;) {
            if (all_.most_.compare_exchange_weak(most, now_, std::memory_order_relaxed))
                break;
        }
        all_.trace('+');
    }
    present(const present&) = delete;
    present& operator=(const present&) = delete;
    ~present() {
        all_.trace('-');
        all_.running_.fetch_sub(1, std::memory_order_relaxed);
    }

    int at_once() const noexcept { return now_; }

private:
    handler& all_;
    const int now_;
};

handler::handler(const workload& work, const std::string& trace) : work_(work) {
    if (trace.empty())
        return;
    trace_ = ::open(trace.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
    if (trace_ < 0)
        throw std::system_error(errno, std::generic_category(), trace);
}

handler::~handler() {
    if (trace_ >= 0)
        ::close(trace_);
}

// Writes without a buffer, because the process may be killed at any moment. All processes on the
// machine share the steady clock, so their traces can be merged.
void handler::trace(char what) const noexcept {
    if (trace_ < 0)
        return;
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    char line[32];
    const int n = std::snprintf(
        line, sizeof line, "%lld %c\n",
        static_cast<long long>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count()),
        what);
    [[maybe_unused]] const auto written = ::write(trace_, line, static_cast<std::size_t>(n));
}

asio::awaitable<std::string> handler::operator()() {
    const present here(*this);
    std::vector<std::uint64_t> rows(8192); // each running request holds 64 KiB
    if (work_.query.count() > 0) {
        asio::steady_timer database(
            co_await asio::this_coro::executor, work_.query_time(here.at_once(), since_start()));
        co_await database.async_wait(asio::use_awaitable);
    }
    const auto hash = work_.computing.count() > 0 ? compute(rows, work_.computing) : 0;
    co_return "done, checksum " + std::to_string(hash) + "\n";
}

} // namespace server
