// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include "metrics.hpp"

#include "fleet.hpp"
#include "handler.hpp"

#include <sys/resource.h>

#include <chrono>
#include <cstddef>
#include <sstream>
#include <string_view>

namespace server {
namespace {

// Always with a decimal point: OpenMetrics requires it for the bounds of buckets.
std::string seconds(answer_times::duration d) {
    std::ostringstream out;
    out << std::chrono::duration<double>(d).count();
    return out.str().find_first_of(".e") == std::string::npos ? out.str() + ".0" : out.str();
}

void gauge(std::ostream& out, std::string_view name, std::string_view help, int value) {
    out << "# TYPE " << name << " gauge\n# HELP " << name << ' ' << help << '\n'
        << name << ' ' << value << '\n';
}

} // namespace

void answer_times::add(unsigned status, duration took) {
    const std::lock_guard lock(mutex_);
    by_status_[status].add(took);
}

std::uint64_t answer_times::count() const {
    const std::lock_guard lock(mutex_);
    std::uint64_t sum = 0;
    for (const auto& [status, times] : by_status_)
        sum += times.count();
    return sum;
}

void answer_times::write(std::ostream& out) const {
    out << "# TYPE http_answer_seconds histogram\n# UNIT http_answer_seconds seconds\n"
           "# HELP http_answer_seconds Time from a request to its response, by status code.\n";
    const std::lock_guard lock(mutex_);
    for (const auto& [status, times] : by_status_) {
        const std::string code = "code=\"" + std::to_string(status) + '"';
        std::uint64_t count = 0;
        for (std::size_t i = 0; i < times.counts.size(); ++i) {
            count += times.counts[i];
            out << "http_answer_seconds_bucket{" << code << ",le=\""
                << (i < times.bounds.size() ? seconds(times.bounds[i]) : "+Inf") << "\"} " << count
                << '\n';
        }
        out << "http_answer_seconds_count{" << code << "} " << count << '\n'
            << "http_answer_seconds_sum{" << code << "} " << seconds(times.sum) << '\n';
    }
}

asio_semaphore::limiter_statistics::by_priority
total(const asio_semaphore::limiter_statistics& statistics) {
    asio_semaphore::limiter_statistics::by_priority sum;
    for (const auto& one : statistics.priorities) {
        sum.admitted += one.admitted;
        sum.queue_full += one.queue_full;
        sum.shed += one.shed;
        sum.timed_out += one.timed_out;
        sum.cancelled += one.cancelled;
        sum.closed += one.closed;
    }
    return sum;
}

std::string openmetrics_text(
    const asio_semaphore::limiter* limit, const fleet* shared, const handler& work,
    const answer_times& answers) {
    std::ostringstream out;
    gauge(
        out, "handlers_running", "Running handlers, counted by the handlers themselves.",
        work.running());
    gauge(
        out, "handlers_running_max", "The most handlers that ever ran at the same time.",
        work.most());
    gauge(
        out, "database_capacity",
        "Queries that the database answers at a time before it slows down.", work.capacity());
    answers.write(out);
    if (limit)
        asio_semaphore::write_openmetrics(out, limit->statistics(), "limiter");
    else if (shared)
        shared->write_metrics(out);
    else
        out << "# EOF\n";
    return out.str();
}

std::string summary(
    const asio_semaphore::limiter* limit, double largest_limit, const handler& work,
    const answer_times& answers) {
    const auto all = limit ? limit->statistics() : asio_semaphore::limiter_statistics();
    const auto sum = total(all);
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    std::ostringstream out;
    out << "limit=" << all.limit << " most_at_once=" << work.most() << " running=" << work.running()
        << " in_flight=" << all.in_flight << " waiting=" << all.waiting
        << " admitted=" << sum.admitted
        << " finished=" << all.succeeded + all.overloaded + all.ignored
        << " unreported=" << all.unreported << " over_limit=" << all.over_limit
        << " queue_full=" << sum.queue_full << " shed=" << sum.shed
        << " timed_out=" << sum.timed_out << " cancelled=" << sum.cancelled
        << " closed=" << sum.closed << " largest_limit=" << largest_limit
        << " responses=" << answers.count() << " peak_memory_kib=" << usage.ru_maxrss;
    return out.str();
}

} // namespace server
