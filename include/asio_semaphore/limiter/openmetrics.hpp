// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/limiter/limiter_statistics.hpp>

#include <initializer_list>
#include <iosfwd>
#include <string_view>
#include <utility>

namespace asio_semaphore {

/// Writes statistics as OpenMetrics 1.0 text, for Prometheus and other systems that read it.
/**
 * @param out the stream; its locale and width have no effect and stay as they are
 * @param statistics the statistics of one limiter
 * @param prefix the first part of each metric's name: an ASCII letter, then letters, digits and
 * underscores
 * @param labels labels for each line. A name has the form of a prefix, occurs once, and is not
 * `le`, `priority`, `reason` or `outcome`. A value is any UTF-8 text, which is not checked.
 *
 * Each call writes one exposition, with `# EOF` as the last line. Its content type is
 * `application/openmetrics-text; version=1.0.0; charset=utf-8`.
 *
 * @par Metrics
 * Each name begins with @p prefix and an underscore. No label names a key, so that the number of
 * lines is constant.
 * - Gauges: `limit`, `in_flight`, `running`, `waiting`, `keys`, `expected_wait_seconds`.
 * - Counters: `admitted_total{priority}`; `refused_total{priority, reason}` with the reasons
 *   `queue_full`, `shed`, `timed_out`, `cancelled` and `closed`; `finished_total{outcome}` with the
 *   outcomes `success`, `overloaded` and `ignored`; `unreported_total`, `over_limit_total`,
 *   `algorithm_failures_total`.
 * - Histograms: `wait_seconds`, `latency_seconds`.
 *
 * @par Several limiters on one page
 * The format allows each metric once on a page, and one `# EOF`. So give each limiter its own
 * prefix, and remove the last line (`# EOF` and the newline, six characters) from all texts except
 * the last. In the same way the text can precede the metrics of the application. Limiters that
 * share a prefix and differ in a label need one page each.
 *
 * @par Example
 * @code
 * std::ostringstream page;
 * write_openmetrics(page, limit.statistics(), "http", {{"server", "a"}});
 * reply(page.str());
 * @endcode
 *
 * @throws std::invalid_argument if the prefix or a label's name is not as described, in which case
 * nothing is written
 *
 * @see @ref metrics
 */
ASIO_SEMAPHORE_DECL void write_openmetrics(
    std::ostream& out, const limiter_statistics& statistics, std::string_view prefix,
    std::initializer_list<std::pair<std::string_view, std::string_view>> labels = {});

} // namespace asio_semaphore

#if !defined(ASIO_SEMAPHORE_SEPARATE_COMPILATION)
#include <asio_semaphore/limiter/impl/openmetrics.ipp>
#endif
