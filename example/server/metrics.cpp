#include "metrics.hpp"

#include "gate.hpp"
#include "handler.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <sstream>

namespace server {
namespace {

double in_seconds(std::chrono::nanoseconds d) {
    return std::chrono::duration<double>(d).count();
}

void head(std::ostream& out, std::string_view name, std::string_view type, std::string_view help) {
    out << "# HELP " << name << ' ' << help << "\n# TYPE " << name << ' ' << type << '\n';
}

template <typename Value>
void one(
    std::ostream& out, std::string_view name, std::string_view type, std::string_view help,
    const Value& value) {
    head(out, name, type, help);
    out << name << ' ' << value << '\n';
}

} // namespace

void histogram::observe(duration d) noexcept {
    const auto bucket = std::lower_bound(bounds.begin(), bounds.end(), d) - bounds.begin();
    buckets_[static_cast<std::size_t>(bucket)].fetch_add(1, std::memory_order_relaxed);
    nanoseconds_.fetch_add(
        static_cast<std::uint64_t>(std::chrono::nanoseconds(d).count()), std::memory_order_relaxed);
}

void histogram::write(std::ostream& out, std::string_view name) const {
    std::uint64_t count = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
        count += buckets_[i].load(std::memory_order_relaxed);
        out << name << "_bucket{le=\"";
        if (i < bounds.size())
            out << in_seconds(bounds[i]);
        else
            out << "+Inf";
        out << "\"} " << count << '\n';
    }
    const auto sum = nanoseconds_.load(std::memory_order_relaxed);
    out << name << "_sum " << in_seconds(std::chrono::nanoseconds(sum)) << '\n'
        << name << "_count " << count << '\n';
}

std::uint64_t response_counts::total() const noexcept {
    std::uint64_t sum = 0;
    for (const auto& count : counts_)
        sum += count.load(std::memory_order_relaxed);
    return sum;
}

void response_counts::write(std::ostream& out, std::string_view name) const {
    for (std::size_t status = 0; status < counts_.size(); ++status) {
        if (const auto count = counts_[status].load(std::memory_order_relaxed))
            out << name << "{code=\"" << status << "\"} " << count << '\n';
    }
}

std::string
prometheus_text(const gate& entry, const handler& work, const response_counts& responses) {
    const auto& counts = entry.counts();
    std::ostringstream out;
    out.precision(12);
    one(out, "semaphore_limit", "gauge", "Permits in all; 0: no limit.", entry.limit());
    if (entry.limit() > 0) {
        const auto available = entry.available();
        one(out, "semaphore_available", "gauge", "Permits that are free.", available);
        one(out, "semaphore_in_use", "gauge", "Permits that are held.", entry.limit() - available);
        one(out, "semaphore_waiting", "gauge", "Requests that wait for one.", entry.waiting());
        one(out, "semaphore_granted_total", "counter", "Requests that got one.", counts.granted);
        one(out, "semaphore_timed_out_total", "counter", "Requests that waited too long for one.",
            counts.timed_out);
        one(out, "semaphore_cancelled_total", "counter",
            "Requests whose client hung up while they waited.", counts.cancelled);
        one(out, "semaphore_closed_total", "counter",
            "Requests that were refused because the server ends.", counts.closed);
        head(out, "semaphore_wait_seconds", "histogram", "Time that the granted ones waited.");
        counts.waits.write(out, "semaphore_wait_seconds");
    }
    one(out, "handlers_running", "gauge", "Handlers that run, as they count it.", work.running());
    one(out, "handlers_running_max", "gauge", "The most that ever ran at once.", work.most());
    head(out, "http_responses_total", "counter", "Responses by status code.");
    responses.write(out, "http_responses_total");
    return out.str();
}

std::string summary(const gate& entry, const handler& work, const response_counts& responses) {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto& counts = entry.counts();
    std::ostringstream out;
    out << "limit=" << entry.limit() << " most_at_once=" << work.most()
        << " running=" << work.running() << " available=" << entry.available()
        << " waiting=" << entry.waiting() << " granted=" << counts.granted
        << " timed_out=" << counts.timed_out << " cancelled=" << counts.cancelled
        << " closed=" << counts.closed << " responses=" << responses.total()
        << " peak_memory_kib=" << usage.ru_maxrss;
    return out.str();
}

} // namespace server
