#pragma once

#include <asio_semaphore/limiter/openmetrics.hpp>

#include <asio_semaphore/limiter/impl/exposition.hpp>

#include <cstddef>
#include <cstdint>
#include <string>

namespace asio_semaphore {

ASIO_SEMAPHORE_DECL void write_openmetrics(
    std::ostream& out, const limiter_statistics& statistics, std::string_view prefix,
    std::initializer_list<std::pair<std::string_view, std::string_view>> labels) {
    using namespace detail::openmetrics;
    using std::to_string;
    const limiter_statistics& s = statistics;
    exposition text(prefix, labels);

    text.gauge(
        "limit", "The current limit; the limiter enforces its integer part.", number(s.limit));
    text.gauge("in_flight", "The sum of the weights of running requests.", to_string(s.in_flight));
    text.gauge("running", "Running requests.", to_string(s.running));
    text.gauge("waiting", "Waiting requests.", to_string(s.waiting));
    text.gauge("keys", "Keys that have running or waiting requests.", to_string(s.keys));
    text.gauge(
        "expected_wait_seconds", "How long a new request has to wait.", seconds(s.expected_wait),
        "seconds");

    text.family("admitted", "counter", "Requests that were admitted.");
    for (std::size_t p = 0; p < s.priorities.size(); ++p)
        text.add("_total", {{"priority", to_string(p)}}, to_string(s.priorities[p].admitted));

    using by_priority = limiter_statistics::by_priority;
    constexpr std::pair<const char*, std::uint64_t by_priority::*> reasons[] = {
        {"queue_full", &by_priority::queue_full},
        {"shed", &by_priority::shed},
        {"timed_out", &by_priority::timed_out},
        {"cancelled", &by_priority::cancelled},
        {"closed", &by_priority::closed}};
    text.family("refused", "counter", "Requests that were not admitted.");
    for (std::size_t p = 0; p < s.priorities.size(); ++p) {
        for (const auto& [reason, count] : reasons) {
            text.add(
                "_total", {{"priority", to_string(p)}, {"reason", reason}},
                to_string(s.priorities[p].*count));
        }
    }

    text.family("finished", "counter", "Admissions that ended.");
    text.add("_total", {{"outcome", "success"}}, to_string(s.succeeded));
    text.add("_total", {{"outcome", "overloaded"}}, to_string(s.overloaded));
    text.add("_total", {{"outcome", "ignored"}}, to_string(s.ignored));

    text.counter("unreported", "Ignored admissions that ended without a finish.", s.unreported);
    text.counter(
        "over_limit",
        "Requests that a dry run admitted although the limit would have held them back.",
        s.over_limit);
    text.counter(
        "algorithm_failures", "Exceptions from the algorithm and from on_limit_change.",
        s.algorithm_failures);

    text.histogram("wait_seconds", "How long admitted requests waited.", s.wait);
    text.histogram(
        "latency_seconds", "How long successful requests took, if there is an algorithm.",
        s.latency);

    std::move(text).write(out);
}

} // namespace asio_semaphore
