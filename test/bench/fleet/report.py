#!/usr/bin/env python3
# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

"""Makes of what bench_fleet has measured the section "The fleet" of doc/performance.md.

    report.py RESULTS      a directory with fleet.tsv and about.txt; prints Markdown
"""

import os
import sys
import textwrap

OPERATIONS_GOAL = 100_000
PEERS_GOAL = 5


class Results:
    """Medians and quartiles by row and name."""

    def __init__(self, path):
        self.all = {}
        with open(path) as file:
            for line in file:
                row, name, *figures = line.rstrip("\n").split("\t")
                self.all[row, name] = [float(f) for f in figures]

    def median(self, row, name):
        return self.all[row, name][0]

    def names(self, row):
        return [name for r, name in self.all if r == row]

    def cell(self, row, name, scale=1.0):
        median, lower, upper = (figure(f * scale) for f in self.all[row, name])
        return median if lower == upper == median else f"{median} ({lower}–{upper})"


def figure(value):
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def count(value):
    return f"{value:.2f}".rstrip("0").rstrip(".")


def mark(is_met):
    return "✓" if is_met else "✗"


def table(header, rows):
    yield "| " + " | ".join(header) + " |"
    yield "|" + "---|" * len(header)
    for row in rows:
        yield "| " + " | ".join(row) + " |"
    yield ""


def goals(r):
    ours = 2 * r.median("R2", "ours: acquires a second")
    permit, release = r.median("R1", "calls, a free permit"), r.median("R1", "calls, a release")
    calls, messages = r.median("R1", "calls, a hand-over"), r.median("R1", "messages, a hand-over")
    # What wakes a process that waits is a message; the call that causes it is another one's.
    yield ["R1", "calls of the server: a free permit / a release", f"{count(permit)} / {count(release)}, which nobody waits for",
           mark(permit == 1 and release == 1) + " 1 / 0 for the caller"]
    yield ["R1", "a hand-over between processes", f"{calls:.1f} call of one, {messages:.1f} message to the other",
           mark(calls < 1.05 and messages < 1.05) + " half a round trip each"]
    yield ["R2", "acquires and releases a second, one process, 64 at a time",
           r.cell("R2", "ours: acquires a second", 2), mark(ours >= OPERATIONS_GOAL) + f" {OPERATIONS_GOAL:,}"]
    for peer in ("redis-semaphore", "redis-semaphore, pipelined", "bottleneck"):
        if ("R2", f"ours / {peer}") in r.all:
            times = r.median("R2", f"ours / {peer}")
            yield ["R2", f"the same by {peer}; ours / its",
                   f"{r.cell('R2', f'{peer}: acquires a second', 2)}; {r.cell('R2', f'ours / {peer}')}",
                   mark(times >= PEERS_GOAL) + f" {PEERS_GOAL}"]
    for part, goal in (("p50", 3), ("p99", 10)):
        ratio = r.median("R3", f"{part} / PING, Boost.Redis")
        yield ["R3", f"hand-over between two processes, {part}, µs; by `PING`",
               f"{r.cell('R3', f'us, {part}')}; {r.cell('R3', f'{part} / PING, Boost.Redis')}", mark(ratio <= goal) + f" {goal}"]
    for permits in ("500", "1000"):
        calls = r.median("R4", f"{permits} permits: calls a lease")
        yield ["R4", f"calls in the time of a lease, {int(permits):,} permits held, nothing happens", figure(calls),
               mark(round(calls, 1) <= 3) + " 3"]


def batches(r):
    widths = sorted({int(name.split(":")[0]) for name in r.names("R5")})
    for width in widths:
        yield [str(width), figure(r.median("R5", f"{width}: commands a call"))] + [
            r.cell("R5", f"{width}: {what}") for what in ("us a call", "us a command", "operations a second")
        ] + [f"{100 * r.median('R5', f'{width}: server busy'):.0f} %"]


def section(r, about):
    yield "## The fleet"
    yield ""
    yield (f"`test/bench/fleet/run` on commit {about['commit']}: {about['compiler']}; one server, Redis {about['server'].split()[-1]}, "
           f"without persistence, on the loopback interface; {about['machine']}. Medians of the rounds, with quartiles.")
    yield ""
    yield from table(["", "what", "measured", "goal"], goals(r))
    yield ("An acquire and the release of its permit count as two operations. The peers, "
           f"{about['peers']}, run in the same rounds on the same server: 64 loops in one Node process, each of which acquires, releases "
           "and begins again; pipelined: ioredis writes together what one turn of the event loop asks for (`enableAutoPipelining`). A pair "
           "of operations of ours takes "
           f"{figure(r.median('R2', 'us, client, an acquire and release'))} µs of the client's processor and "
           f"{figure(r.median('R2', 'us, server, an acquire and release'))} µs of the server's.")
    yield ""
    yield ("The time of a hand-over is that from `reset` in one process to the handler in the other, each of which has the only permit in "
           f"turns. The `PING` beside it is Boost.Redis's own, {figure(r.median('R3', 'us, PING, Boost.Redis'))} µs; without an event loop, "
           f"from a blocking connection, it takes {figure(r.median('R3', 'us, PING, blocking'))} µs. The script takes "
           f"{figure(r.median('R3', 'us, server, a call'))} µs of the hand-over.")
    yield ""
    yield ("A call renews 512 permits at most, and each is renewed every third of a lease. "
           f"Such a call takes the server {figure(r.median('R4', '500 permits: us a call, server') / 1000)} ms for 500 permits.")
    yield ""
    yield "R5, the server's time for a call, where so many acquire and release at a time:"
    yield ""
    rows = list(table(["at a time", "commands a call", "µs a call", "µs a command", "operations a second", "server busy"], batches(r)))
    yield from rows[:-1]


def main():
    directory = sys.argv[1]
    with open(os.path.join(directory, "about.txt")) as file:
        about = dict(line.rstrip("\n").split(" ", 1) for line in file)
    for line in section(Results(os.path.join(directory, "fleet.tsv")), about):
        print(line if line.startswith("|") else textwrap.fill(line, 140, break_long_words=False, break_on_hyphens=False))


if __name__ == "__main__":
    main()
