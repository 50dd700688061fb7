// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// The exact output of write_openmetrics for distinct_statistics().

namespace test {

inline constexpr char golden_text[] =
    R"(# TYPE api_limit gauge
# HELP api_limit The limit in force; its integer part is enforced.
api_limit{path="C:\\new \"x\"\n",zone="b"} 20.05
# TYPE api_in_flight gauge
# HELP api_in_flight The total weight of the running requests.
api_in_flight{path="C:\\new \"x\"\n",zone="b"} 21
# TYPE api_running gauge
# HELP api_running Running requests.
api_running{path="C:\\new \"x\"\n",zone="b"} 22
# TYPE api_waiting gauge
# HELP api_waiting Waiting requests.
api_waiting{path="C:\\new \"x\"\n",zone="b"} 23
# TYPE api_keys gauge
# HELP api_keys Keys with running or waiting requests.
api_keys{path="C:\\new \"x\"\n",zone="b"} 24
# TYPE api_expected_wait_seconds gauge
# UNIT api_expected_wait_seconds seconds
# HELP api_expected_wait_seconds The time that a new request can expect to wait.
api_expected_wait_seconds{path="C:\\new \"x\"\n",zone="b"} 1.25
# TYPE api_admitted counter
# HELP api_admitted Requests that were admitted.
api_admitted_total{path="C:\\new \"x\"\n",zone="b",priority="0"} 100
api_admitted_total{path="C:\\new \"x\"\n",zone="b",priority="1"} 106
api_admitted_total{path="C:\\new \"x\"\n",zone="b",priority="2"} 112
api_admitted_total{path="C:\\new \"x\"\n",zone="b",priority="3"} 118
# TYPE api_refused counter
# HELP api_refused Requests that were not admitted.
api_refused_total{path="C:\\new \"x\"\n",zone="b",priority="0",reason="queue_full"} 101
api_refused_total{path="C:\\new \"x\"\n",zone="b",priority="0",reason="shed"} 102
api_refused_total{path="C:\\new \"x\"\n",zone="b",priority="0",reason="timed_out"} 103
api_refused_total{path="C:\\new \"x\"\n",zone="b",priority="0",reason="cancelled"} 104
api_refused_total{path="C:\\new \"x\"\n",zone="b",priority="0",reason="closed"} 105
api_refused_total{path="C:\\new \"x\"\n",zone="b",priority="1",reason="queue_full"} 107
api_refused_total{path="C:\\new \"x\"\n",zone="b",priority="1",reason="shed"} 108
api_refused_total{path="C:\\new \"x\"\n",zone="b",priority="1",reason="timed_out"} 109
api_refused_total{path="C:\\new \"x\"\n",zone="b",priority="1",reason="cancelled"} 110
api_refused_total{path="C:\\new \"x\"\n",zone="b",priority="1",reason="closed"} 111
api_refused_total{path="C:\\new \"x\"\n",zone="b",priority="2",reason="queue_full"} 113
api_refused_total{path="C:\\new \"x\"\n",zone="b",priority="2",reason="shed"} 114
api_refused_total{path="C:\\new \"x\"\n",zone="b",priority="2",reason="timed_out"} 115
api_refused_total{path="C:\\new \"x\"\n",zone="b",priority="2",reason="cancelled"} 116
api_refused_total{path="C:\\new \"x\"\n",zone="b",priority="2",reason="closed"} 117
api_refused_total{path="C:\\new \"x\"\n",zone="b",priority="3",reason="queue_full"} 119
api_refused_total{path="C:\\new \"x\"\n",zone="b",priority="3",reason="shed"} 120
api_refused_total{path="C:\\new \"x\"\n",zone="b",priority="3",reason="timed_out"} 121
api_refused_total{path="C:\\new \"x\"\n",zone="b",priority="3",reason="cancelled"} 122
api_refused_total{path="C:\\new \"x\"\n",zone="b",priority="3",reason="closed"} 123
# TYPE api_finished counter
# HELP api_finished Admissions that ended.
api_finished_total{path="C:\\new \"x\"\n",zone="b",outcome="success"} 201
api_finished_total{path="C:\\new \"x\"\n",zone="b",outcome="overloaded"} 202
api_finished_total{path="C:\\new \"x\"\n",zone="b",outcome="ignored"} 203
# TYPE api_unreported counter
# HELP api_unreported Admissions that ended without a call of finish().
api_unreported_total{path="C:\\new \"x\"\n",zone="b"} 204
# TYPE api_over_limit counter
# HELP api_over_limit Admissions by a dry run that the limit would have held back.
api_over_limit_total{path="C:\\new \"x\"\n",zone="b"} 205
# TYPE api_algorithm_failures counter
# HELP api_algorithm_failures Exceptions from the algorithm and from on_limit_change.
api_algorithm_failures_total{path="C:\\new \"x\"\n",zone="b"} 206
# TYPE api_wait_seconds histogram
# UNIT api_wait_seconds seconds
# HELP api_wait_seconds How long admitted requests waited.
api_wait_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="0.0001"} 1
api_wait_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="0.0002"} 3
api_wait_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="0.0005"} 6
api_wait_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="0.001"} 10
api_wait_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="0.002"} 15
api_wait_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="0.005"} 21
api_wait_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="0.01"} 28
api_wait_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="0.02"} 36
api_wait_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="0.05"} 45
api_wait_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="0.1"} 55
api_wait_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="0.2"} 66
api_wait_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="0.5"} 78
api_wait_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="1.0"} 91
api_wait_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="2.0"} 105
api_wait_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="5.0"} 120
api_wait_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="10.0"} 136
api_wait_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="20.0"} 153
api_wait_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="50.0"} 171
api_wait_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="+Inf"} 190
api_wait_seconds_count{path="C:\\new \"x\"\n",zone="b"} 190
api_wait_seconds_sum{path="C:\\new \"x\"\n",zone="b"} 123.456789
# TYPE api_latency_seconds histogram
# UNIT api_latency_seconds seconds
# HELP api_latency_seconds How long successful requests ran; measured if there is an algorithm.
api_latency_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="0.0001"} 40
api_latency_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="0.0002"} 82
api_latency_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="0.0005"} 126
api_latency_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="0.001"} 172
api_latency_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="0.002"} 220
api_latency_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="0.005"} 270
api_latency_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="0.01"} 322
api_latency_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="0.02"} 376
api_latency_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="0.05"} 432
api_latency_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="0.1"} 490
api_latency_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="0.2"} 550
api_latency_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="0.5"} 612
api_latency_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="1.0"} 676
api_latency_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="2.0"} 742
api_latency_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="5.0"} 810
api_latency_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="10.0"} 880
api_latency_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="20.0"} 952
api_latency_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="50.0"} 1026
api_latency_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="+Inf"} 1102
api_latency_seconds_count{path="C:\\new \"x\"\n",zone="b"} 1102
api_latency_seconds_sum{path="C:\\new \"x\"\n",zone="b"} 1.000000007
# EOF
)";

} // namespace test
