#!/usr/bin/env python3
# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

"""Writes the sections on the fleet of doc/performance.md and doc/performance_goals.md from what bench_fleet measured.

    report.py RESULTS      a directory with fleet.tsv and about.txt; prints Markdown
"""

import os
import sys
import textwrap

PEERS = ("redis-semaphore", "redis-semaphore, pipelined", "bottleneck")
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
    yield ("| " + " | ".join(header) + " |").replace("|  |", "| |")
    yield "|" + "---|" * len(header)
    for row in rows:
        yield ("| " + " | ".join(row) + " |").replace("|  |", "| |")
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
    for peer in PEERS:
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


def about_line(about):
    yield (f"Commit {about['commit']}; {about['compiler']}; Redis {about['server']}; {about['peers']}; {about['machine']}.")
    yield ""


def for_users(r, about):
    yield "## A limit for a fleet"
    yield ""
    yield ("`test/bench/fleet/run` measures `fleet_semaphore` next to two npm packages, on one Redis server without persistence and over the "
           "loopback interface, in turns. Each number is the median of the rounds, with the quartiles in brackets.")
    yield ""
    yield from about_line(about)
    yield ("One process acquires 64 permits at a time, releases each of them and acquires again. An acquire and a release are two operations. "
           "Pipelined: ioredis writes all commands of one turn of the event loop at once (`enableAutoPipelining`).")
    yield ""
    yield from table(["", "operations a second", "times that of the peer"],
                     [["**`fleet_semaphore`**", "**" + r.cell("R2", "ours: acquires a second", 2) + "**", ""]] +
                     [[peer, r.cell("R2", f"{peer}: acquires a second", 2), r.cell("R2", f"ours / {peer}")]
                      for peer in PEERS if ("R2", f"ours / {peer}") in r.all])
    yield (f"An acquire with its release takes {figure(r.median('R2', 'us, client, an acquire and release'))} µs of the client's processor "
           f"and {figure(r.median('R2', 'us, server, an acquire and release'))} µs of the server's. The server's time for a call depends on "
           "how many operations go at a time:")
    yield ""
    yield from table(["at a time", "commands a call", "µs a call", "µs a command", "operations a second", "server busy"], batches(r))
    yield ("Two processes hand one permit to each other. The time is that from `reset` in one process to the handler in the other; next to it "
           "is a `PING` of Boost.Redis on the same server.")
    yield ""
    yield from table(["", "p50, µs", "p99, µs"], [
        ["hand-over", r.cell("R3", "us, p50"), r.cell("R3", "us, p99")],
        ["`PING`", r.cell("R3", "us, PING, Boost.Redis"), r.cell("R3", "us, PING, Boost.Redis, p99")]])


def for_maintainers(r, about):
    yield "## Fleet"
    yield ""
    yield from about_line(about)
    yield from table(["", "what", "measured", "goal"], goals(r))
    yield (f"The server spends {figure(r.median('R3', 'us, server, a call'))} µs of a hand-over in the script. The `PING` is Boost.Redis's; "
           f"from a blocking connection it takes {figure(r.median('R3', 'us, PING, blocking'))} µs. A client renews its permits every third "
           f"of a lease, up to 1,024 of them by one call. With 500 renewals a call takes the server "
           f"{figure(r.median('R4', '500 permits: us a call, server') / 1000)} ms, with 1,000 "
           f"{figure(r.median('R4', '1000 permits: us a call, server') / 1000)} ms.")


def main():
    directory = sys.argv[1]
    with open(os.path.join(directory, "about.txt")) as file:
        about = dict(line.rstrip("\n").split(" ", 1) for line in file)
    results = Results(os.path.join(directory, "fleet.tsv"))
    for page, section in (("doc/performance.md", for_users), ("doc/performance_goals.md", for_maintainers)):
        print(f"<!-- {page} -->\n")
        for line in section(results, about):
            print(line if line.startswith("|") else textwrap.fill(line, 140, break_long_words=False, break_on_hyphens=False))
        print()


if __name__ == "__main__":
    main()
