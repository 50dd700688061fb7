// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <asio_semaphore/fleet/openmetrics.hpp>

#include <asio_semaphore/limiter/impl/exposition.hpp>

#include <string>

namespace asio_semaphore {

inline void write_openmetrics(
    std::ostream& out, const fleet_statistics& statistics, std::string_view prefix,
    std::initializer_list<std::pair<std::string_view, std::string_view>> labels) {
    using std::to_string;
    const fleet_statistics& s = statistics;
    detail::openmetrics::exposition text(prefix, labels);

    text.gauge("held", "Permits that are held, each counted once.", to_string(s.held));
    text.gauge("waiting", "Waiting requests.", to_string(s.waiting));

    text.counter("granted", "Requests that were granted.", s.granted);
    text.family("refused", "counter", "Requests that were not granted.");
    text.add("_total", {{"reason", "timed_out"}}, to_string(s.timed_out));
    text.add("_total", {{"reason", "cancelled"}}, to_string(s.cancelled));
    text.add("_total", {{"reason", "failed"}}, to_string(s.failed));
    text.counter("queued", "Requests that had to wait on the server.", s.queued);

    text.family("lost", "counter", "Permits that were lost while they were held.");
    text.add("_total", {{"reason", "deadline"}}, to_string(s.lost_by_deadline));
    text.add("_total", {{"reason", "server"}}, to_string(s.lost_by_server));
    text.counter("readmitted", "Permits that the server had lost and took back.", s.readmitted);
    text.counter("renewals", "Successful renewals of permits.", s.renewals);
    text.counter("renewals_late", "Renewals later than half of the lease.", s.renewals_late);
    text.counter("repairs", "Detected losses of data on the server.", s.repairs);

    text.histogram("wait_seconds", "How long granted requests waited.", s.wait);
    std::move(text).write(out);
}

inline void write_openmetrics(
    std::ostream& out, const fleet_client_statistics& statistics, std::string_view prefix,
    std::initializer_list<std::pair<std::string_view, std::string_view>> labels) {
    const fleet_client_statistics& s = statistics;
    detail::openmetrics::exposition text(prefix, labels);

    text.gauge(
        "connected", "1 while the client is connected to the server, else 0.",
        s.connected ? "1" : "0");
    text.counter("connections", "Connections made.", s.connections);
    text.counter("calls", "Calls of the script.", s.calls);
    text.counter("commands", "Commands in the calls of the script.", s.commands);
    text.counter("pushes", "Messages that the server pushed.", s.pushes);
    text.counter("rejected", "Calls that the server refused.", s.rejected);
    text.counter("stale", "Calls from a connection that the client had given up.", s.stale);
    text.histogram("round_trip_seconds", "Time from a call to its answer.", s.round_trip);
    std::move(text).write(out);
}

} // namespace asio_semaphore
