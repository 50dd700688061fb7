// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// What write_openmetrics makes of the distinct statistics, to the byte.

namespace test {

inline constexpr char golden_fleet_text[] =
    R"(# TYPE api_held gauge
# HELP api_held Permits that are held, each counted once.
api_held{path="C:\\new \"x\"\n",zone="b"} 22
# TYPE api_waiting gauge
# HELP api_waiting Waiting requests.
api_waiting{path="C:\\new \"x\"\n",zone="b"} 21
# TYPE api_granted counter
# HELP api_granted Requests that were granted.
api_granted_total{path="C:\\new \"x\"\n",zone="b"} 301
# TYPE api_refused counter
# HELP api_refused Requests that were not granted.
api_refused_total{path="C:\\new \"x\"\n",zone="b",reason="timed_out"} 303
api_refused_total{path="C:\\new \"x\"\n",zone="b",reason="cancelled"} 304
api_refused_total{path="C:\\new \"x\"\n",zone="b",reason="failed"} 305
# TYPE api_queued counter
# HELP api_queued Requests that had to wait on the server.
api_queued_total{path="C:\\new \"x\"\n",zone="b"} 302
# TYPE api_lost counter
# HELP api_lost Permits that were lost while they were held.
api_lost_total{path="C:\\new \"x\"\n",zone="b",reason="deadline"} 306
api_lost_total{path="C:\\new \"x\"\n",zone="b",reason="server"} 307
# TYPE api_readmitted counter
# HELP api_readmitted Permits that the server had lost and took back.
api_readmitted_total{path="C:\\new \"x\"\n",zone="b"} 308
# TYPE api_renewals counter
# HELP api_renewals Successful renewals of permits.
api_renewals_total{path="C:\\new \"x\"\n",zone="b"} 309
# TYPE api_renewals_late counter
# HELP api_renewals_late Renewals later than half of the lease.
api_renewals_late_total{path="C:\\new \"x\"\n",zone="b"} 310
# TYPE api_repairs counter
# HELP api_repairs Detected losses of data on the server.
api_repairs_total{path="C:\\new \"x\"\n",zone="b"} 311
# TYPE api_wait_seconds histogram
# UNIT api_wait_seconds seconds
# HELP api_wait_seconds How long granted requests waited.
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
# EOF
)";

inline constexpr char golden_client_text[] =
    R"(# TYPE api_connected gauge
# HELP api_connected 1 while the client is connected to the server, else 0.
api_connected{path="C:\\new \"x\"\n",zone="b"} 1
# TYPE api_connections counter
# HELP api_connections Connections made.
api_connections_total{path="C:\\new \"x\"\n",zone="b"} 401
# TYPE api_calls counter
# HELP api_calls Calls of the script.
api_calls_total{path="C:\\new \"x\"\n",zone="b"} 402
# TYPE api_commands counter
# HELP api_commands Commands in the calls of the script.
api_commands_total{path="C:\\new \"x\"\n",zone="b"} 403
# TYPE api_pushes counter
# HELP api_pushes Messages that the server pushed.
api_pushes_total{path="C:\\new \"x\"\n",zone="b"} 404
# TYPE api_rejected counter
# HELP api_rejected Calls that the server refused.
api_rejected_total{path="C:\\new \"x\"\n",zone="b"} 405
# TYPE api_stale counter
# HELP api_stale Calls from a connection that the client had given up.
api_stale_total{path="C:\\new \"x\"\n",zone="b"} 406
# TYPE api_round_trip_seconds histogram
# UNIT api_round_trip_seconds seconds
# HELP api_round_trip_seconds Time from a call to its answer.
api_round_trip_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="0.0001"} 40
api_round_trip_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="0.0002"} 82
api_round_trip_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="0.0005"} 126
api_round_trip_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="0.001"} 172
api_round_trip_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="0.002"} 220
api_round_trip_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="0.005"} 270
api_round_trip_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="0.01"} 322
api_round_trip_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="0.02"} 376
api_round_trip_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="0.05"} 432
api_round_trip_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="0.1"} 490
api_round_trip_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="0.2"} 550
api_round_trip_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="0.5"} 612
api_round_trip_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="1.0"} 676
api_round_trip_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="2.0"} 742
api_round_trip_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="5.0"} 810
api_round_trip_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="10.0"} 880
api_round_trip_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="20.0"} 952
api_round_trip_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="50.0"} 1026
api_round_trip_seconds_bucket{path="C:\\new \"x\"\n",zone="b",le="+Inf"} 1102
api_round_trip_seconds_count{path="C:\\new \"x\"\n",zone="b"} 1102
api_round_trip_seconds_sum{path="C:\\new \"x\"\n",zone="b"} 1.000000007
# EOF
)";

} // namespace test
