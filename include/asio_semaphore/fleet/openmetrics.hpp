// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <asio_semaphore/fleet/fleet_statistics.hpp>

#include <initializer_list>
#include <iosfwd>
#include <string_view>
#include <utility>

namespace asio_semaphore {

/// Writes the statistics of a fleet semaphore in this process as OpenMetrics 1.0 text, for
/// Prometheus and other readers of that format.
/**
 * One call writes one exposition, which ends with the line `# EOF`. Its content type is
 * `application/openmetrics-text; version=1.0.0; charset=utf-8`.
 *
 * @par Metrics
 * Each name begins with @p prefix and an underscore. Each line has the @p labels.
 * - Gauges: `held`, `waiting`.
 * - Counters: `granted_total`; `refused_total{reason}`, where the reason is `timed_out`,
 *   `cancelled` or `failed`; `queued_total`; `lost_total{reason}`, where the reason is `deadline`
 *   or `server`; `readmitted_total`; `renewals_total`, `renewals_late_total`; `repairs_total`.
 * - Histogram: `wait_seconds`.
 *
 * @par Several expositions on one page
 * The format allows each metric once on a page, and one `# EOF`. So give each semaphore a prefix of
 * its own, and cut the last line, `# EOF` and its newline, from all texts but the last. A client
 * and one semaphore may have the same prefix, because no metric of one has the name of one of the
 * other.
 *
 * @param out Its locale, width and flags have no effect and stay as they are.
 * @param statistics The statistics of one semaphore.
 * @param prefix A letter, followed by letters, digits and underscores, in ASCII.
 * @param labels Their names follow the rule of the prefix, differ from each other, and are not
 * `le`, `priority`, `reason` or `outcome`. The values are any text in UTF-8, which is not checked.
 *
 * @throws std::invalid_argument if the prefix or the name of a label breaks these rules. Nothing is
 * written then.
 */
inline void write_openmetrics(
    std::ostream& out, const fleet_statistics& statistics, std::string_view prefix,
    std::initializer_list<std::pair<std::string_view, std::string_view>> labels = {});

/// Writes the statistics of a fleet client as OpenMetrics 1.0 text, for Prometheus and other
/// readers of that format.
/**
 * The format, the rules for several expositions on one page, and the parameters are the same as for
 * the statistics of a semaphore.
 *
 * @par Metrics
 * - Gauge: `connected`, 1 or 0.
 * - Counters: `connections_total`, `calls_total`, `commands_total`, `pushes_total`,
 *   `rejected_total`, `stale_total`.
 * - Histogram: `round_trip_seconds`.
 *
 * @param out Its locale, width and flags have no effect and stay as they are.
 * @param statistics The statistics of one client.
 * @param prefix A letter, followed by letters, digits and underscores, in ASCII.
 * @param labels Their names follow the rule of the prefix, differ from each other, and are not
 * `le`, `priority`, `reason` or `outcome`. The values are any text in UTF-8, which is not checked.
 *
 * @throws std::invalid_argument if the prefix or the name of a label breaks these rules. Nothing is
 * written then.
 */
inline void write_openmetrics(
    std::ostream& out, const fleet_client_statistics& statistics, std::string_view prefix,
    std::initializer_list<std::pair<std::string_view, std::string_view>> labels = {});

} // namespace asio_semaphore

#include <asio_semaphore/fleet/impl/openmetrics.ipp>
