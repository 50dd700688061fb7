// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

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

    text.gauge("limit", "The limit in force; its integer part is enforced.", number(s.limit));
    text.gauge("in_flight", "The total weight of the running requests.", to_string(s.in_flight));
    text.gauge("running", "Running requests.", to_string(s.running));
    text.gauge("waiting", "Waiting requests.", to_string(s.waiting));
    text.gauge("keys", "Keys with running or waiting requests.", to_string(s.keys));
    text.gauge(
        "expected_wait_seconds", "The time that a new request can expect to wait.",
        seconds(s.expected_wait), "seconds");

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

    text.counter("unreported", "Admissions that ended without a call of finish().", s.unreported);
    text.counter(
        "over_limit", "Admissions by a dry run that the limit would have held back.", s.over_limit);
    text.counter(
        "algorithm_failures", "Exceptions from the algorithm and from on_limit_change.",
        s.algorithm_failures);

    text.histogram("wait_seconds", "How long admitted requests waited.", s.wait);
    text.histogram(
        "latency_seconds", "How long successful requests ran; measured if there is an algorithm.",
        s.latency);

    std::move(text).write(out);
}

} // namespace asio_semaphore
