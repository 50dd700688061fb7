#pragma once

#include <asio_semaphore/fleet/fleet_statistics.hpp>

#include <initializer_list>
#include <iosfwd>
#include <string_view>
#include <utility>

namespace asio_semaphore {

/// Writes what a process has seen of a fleet's limit as OpenMetrics 1.0 text, for Prometheus and
/// others that read it.
/**
 * One call writes one exposition, with `# EOF` as its last line, as for a limiter's statistics. Its
 * content type is `application/openmetrics-text; version=1.0.0; charset=utf-8`.
 *
 * @par Metrics
 * Each name begins with @p prefix and an underscore, each line bears @p labels.
 * - Gauges: `held`, `waiting`.
 * - Counters: `granted_total`; `refused_total{reason}`, where the reason is `timed_out`,
 *   `cancelled` or `failed`; `queued_total`; `lost_total{reason}`, where the reason is `deadline`
 *   or `server`; `readmitted_total`; `renewals_total`, `renewals_late_total`; `repairs_total`.
 * - Histogram: `wait_seconds`.
 *
 * @par Several on one page
 * The format has each metric once on a page and one `# EOF`. So each semaphore has a prefix of its
 * own, and all texts but the last lose their last line. No metric of a semaphore has the name of
 * one of a client: a semaphore may share its client's prefix.
 *
 * @param out What is set there, its locale or a width, has no influence and stays as it is.
 * @param statistics Of one semaphore.
 * @param prefix A letter, then letters, digits and underscores, of ASCII.
 * @param labels Names like the prefix, each once, other than `le`, `priority`, `reason` and
 * `outcome`; values of any text in UTF-8, which is not checked.
 *
 * @throws std::invalid_argument for a prefix or the name of a label that is not as said above.
 * Nothing is written then.
 */
inline void write_openmetrics(
    std::ostream& out, const fleet_statistics& statistics, std::string_view prefix,
    std::initializer_list<std::pair<std::string_view, std::string_view>> labels = {});

/// Writes what a fleet's client has done as OpenMetrics 1.0 text.
/**
 * As for the statistics of a semaphore, with other metrics.
 *
 * @par Metrics
 * - Gauge: `connected`, 1 or 0.
 * - Counters: `connections_total`, `calls_total`, `commands_total`, `pushes_total`,
 *   `rejected_total`, `stale_total`.
 * - Histogram: `round_trip_seconds`.
 *
 * @param out What is set there, its locale or a width, has no influence and stays as it is.
 * @param statistics Of one client.
 * @param prefix A letter, then letters, digits and underscores, of ASCII.
 * @param labels Names like the prefix, each once, other than `le`, `priority`, `reason` and
 * `outcome`; values of any text in UTF-8, which is not checked.
 *
 * @throws std::invalid_argument for a prefix or the name of a label that is not as said above.
 * Nothing is written then.
 */
inline void write_openmetrics(
    std::ostream& out, const fleet_client_statistics& statistics, std::string_view prefix,
    std::initializer_list<std::pair<std::string_view, std::string_view>> labels = {});

} // namespace asio_semaphore

#include <asio_semaphore/fleet/impl/openmetrics.ipp>
