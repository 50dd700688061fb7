// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include "live.hpp"

#include "live_html.hpp" // made of live.html
#include "metrics.hpp"

#include <array>
#include <chrono>
#include <cstdio>
#include <functional>
#include <iterator>
#include <sstream>
#include <utility>

namespace server {
namespace {

using asio_semaphore::duration_histogram;
using asio_semaphore::limiter_statistics;

std::string quoted(std::string_view text) {
    std::string result = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            result += '\\';
            result += c;
        } else if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e) {
            // A header may contain any bytes. Read as Latin-1, all of them are valid.
            char escaped[8];
            std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned char>(c));
            result += escaped;
        } else {
            result += c;
        }
    }
    return result + '"';
}

duration_histogram difference(duration_histogram now, const duration_histogram& before) {
    for (std::size_t i = 0; i < now.counts.size(); ++i)
        now.counts[i] -= before.counts[i];
    now.sum -= before.sum;
    return now;
}

// In milliseconds. Assumes that the durations in a bucket are spread evenly.
double quantile(const duration_histogram& h, double q) {
    using milliseconds = std::chrono::duration<double, std::milli>;
    const double wanted = q * static_cast<double>(h.count());
    double count = 0;
    milliseconds from(0);
    for (std::size_t i = 0; i < h.bounds.size(); ++i) {
        const milliseconds to = h.bounds[i];
        const auto here = static_cast<double>(h.counts[i]);
        if (here > 0 && count + here >= wanted)
            return (from + (to - from) * ((wanted - count) / here)).count();
        count += here;
        from = to;
    }
    return count > 0 ? from.count() : 0;
}

// Writes the differences of the counters between two moments, and the gauges at the second one.
void write_period(
    std::ostream& out, const limiter_statistics& before, const limiter_statistics& now) {
    const auto a = total(before), b = total(now);
    const auto waits = difference(now.wait, before.wait);
    out << "{\"limit\":" << now.limit << ",\"in_flight\":" << now.in_flight
        << ",\"waiting\":" << now.waiting << ",\"admitted\":" << b.admitted - a.admitted
        << ",\"over_limit\":" << now.over_limit - before.over_limit
        << ",\"refused\":{\"queue_full\":" << b.queue_full - a.queue_full
        << ",\"shed\":" << b.shed - a.shed << ",\"timed_out\":" << b.timed_out - a.timed_out
        << ",\"cancelled\":" << b.cancelled - a.cancelled << ",\"closed\":" << b.closed - a.closed
        << "},\"wait_p50\":" << quantile(waits, 0.5) << ",\"wait_p99\":" << quantile(waits, 0.99)
        << '}';
}

} // namespace

client_names::visit::visit(client_names& all, std::string_view name) :
    all_(all), key_(asio_semaphore::key_of(name)) {
    const std::lock_guard lock(all_.mutex_);
    client& here = all_.clients_[key_];
    if (here.visits++ == 0)
        here.name = name;
}

client_names::visit::~visit() {
    const std::lock_guard lock(all_.mutex_);
    const auto here = all_.clients_.find(key_);
    if (--here->second.visits == 0)
        all_.clients_.erase(here);
}

std::string client_names::of(std::uint64_t key) const {
    const std::lock_guard lock(mutex_);
    const auto found = clients_.find(key);
    return found != clients_.end() ? found->second.name : "";
}

void history::add(limiter_statistics now) {
    const std::lock_guard lock(mutex_);
    past_.push_back(std::move(now));
    if (past_.size() > seconds + 1)
        past_.pop_front();
}

std::string history::json(const asio_semaphore::limiter* limit, const client_names& names) const {
    std::ostringstream out;
    out << "{\"has_limit\":" << (limit ? "true" : "false") << ",\"clients\":[";
    if (limit) {
        const char* separator = "";
        for (const auto& client : limit->busiest_keys()) {
            out << std::exchange(separator, ",") << "{\"name\":" << quoted(names.of(client.key))
                << ",\"in_flight\":" << client.in_flight << ",\"waiting\":" << client.waiting
                << '}';
        }
    }
    const std::lock_guard lock(mutex_);
    const limiter_statistics nothing;
    out << "],\"minute\":";
    write_period(
        out, past_.empty() ? nothing : past_.front(), past_.empty() ? nothing : past_.back());
    out << ",\"seconds\":[";
    for (std::size_t i = 1; i < past_.size(); ++i) {
        out << (i > 1 ? "," : "");
        write_period(out, past_[i - 1], past_[i]);
    }
    out << "]}";
    return out.str();
}

std::string_view live_page() {
    return live_html;
}

} // namespace server
