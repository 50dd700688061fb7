#pragma once

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/limiter/limiter_statistics.hpp>

#include <initializer_list>
#include <iosfwd>
#include <string_view>
#include <utility>

namespace asio_semaphore {

/// Writes statistics as OpenMetrics 1.0 text, for Prometheus and others that read it.
/**
 * One call writes one exposition, with `# EOF` as its last line. Its content type is
 * `application/openmetrics-text; version=1.0.0; charset=utf-8`.
 *
 * @par Metrics
 * Each name begins with @p prefix and an underscore, each line bears @p labels.
 * - Gauges: `limit`, `in_flight`, `running`, `waiting`, `keys`, `expected_wait_seconds`.
 * - Counters: `admitted_total{priority}`; `refused_total{priority, reason}`, where the reason is
 *   `queue_full`, `shed`, `timed_out`, `cancelled` or `closed`; `finished_total{outcome}`, where
 *   the outcome is `success`, `overloaded` or `ignored`; `unreported_total`, `over_limit_total`,
 *   `algorithm_failures_total`.
 * - Histograms: `wait_seconds`, `latency_seconds`.
 *
 * How many lines there are depends on nothing: no label says whose key it is.
 *
 * @par Several limiters on one page
 * The format has each metric once on a page and one `# EOF`. So each limiter has a prefix of its
 * own, and all texts but the last lose their last line, the six characters `# EOF` and newline. In
 * the same way the text goes before that of an application that has metrics of its own. Limiters
 * that share a prefix and differ in a label have a page each.
 *
 * @param out What is set there, its locale or a width, has no influence and stays as it is.
 * @param statistics Of one limiter.
 * @param prefix A letter, then letters, digits and underscores, of ASCII.
 * @param labels Names like the prefix, each once, other than `le`, `priority`, `reason` and
 * `outcome`; values of any text in UTF-8, which is not checked.
 *
 * @throws std::invalid_argument for a prefix or the name of a label that is not as said above.
 * Nothing is written then.
 */
ASIO_SEMAPHORE_DECL void write_openmetrics(
    std::ostream& out, const limiter_statistics& statistics, std::string_view prefix,
    std::initializer_list<std::pair<std::string_view, std::string_view>> labels = {});

} // namespace asio_semaphore

#if !defined(ASIO_SEMAPHORE_SEPARATE_COMPILATION)
#include <asio_semaphore/limiter/impl/openmetrics.ipp>
#endif
