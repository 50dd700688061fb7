#include "handler.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace server {
namespace asio = boost::asio;
namespace {

// A database does not stand any number of queries at a time: beyond its capacity they take turns,
// and fight over locks and caches on top. With n times as many each takes n * sqrt(n) times as
// long.
std::chrono::steady_clock::duration query_time(const workload& work, int at_once) {
    const double load = std::max(1.0, static_cast<double>(at_once) / work.capacity);
    return std::chrono::duration_cast<std::chrono::steady_clock::duration>(
        work.query * (load * std::sqrt(load)));
}

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

/// One that runs, however it ends.
class handler::present {
public:
    explicit present(handler& all) noexcept :
        all_(all), now_(all.running_.fetch_add(1, std::memory_order_relaxed) + 1) {
        for (int most = all_.most(); most < now_;) {
            if (all_.most_.compare_exchange_weak(most, now_, std::memory_order_relaxed))
                break;
        }
    }
    present(const present&) = delete;
    present& operator=(const present&) = delete;
    ~present() { all_.running_.fetch_sub(1, std::memory_order_relaxed); }

    int at_once() const noexcept { return now_; }

private:
    handler& all_;
    const int now_;
};

asio::awaitable<std::string> handler::operator()() {
    const present here(*this);
    std::vector<std::uint64_t> rows(8192); // 64 KiB that the request holds while it runs
    if (work_.query.count() > 0) {
        asio::steady_timer database(
            co_await asio::this_coro::executor, query_time(work_, here.at_once()));
        co_await database.async_wait(asio::use_awaitable);
    }
    const auto hash = work_.computing.count() > 0 ? compute(rows, work_.computing) : 0;
    co_return "done, checksum " + std::to_string(hash) + "\n";
}

} // namespace server
