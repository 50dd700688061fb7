# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

"""What test/bench/run measured, as its files say it."""

import csv
import os

OURS, PERMITS = "async_semaphore", "async_semaphore, permits"
BY_HAND = "mutex, deque, post"
PEERS = ["channel", "concurrent_channel", "timer", BY_HAND, "std::counting_semaphore"]
LIMITER, LIMITER_BY_HAND = "limiter", "mutex, priority_queue, post"
ANY, IO = "any_io_executor", "io_context"

# executor in the suite, what it is
PLACES = [
    ("strand", "the semaphore on a strand"),
    ("strand a handler", "the semaphore on an `io_context`, each handler on a strand of its own"),
    ("thread_pool", "a `thread_pool`"),
    ("own executor", "an executor that is not Asio's"),
]


def read(path):
    if not os.path.exists(path):
        return []
    with open(path, newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def lines(path):
    if not os.path.exists(path):
        return []
    with open(path) as file:
        return [line.rstrip("\n").split("\t") for line in file]


class Spread:
    """A median with its quartiles."""

    def __init__(self, row, median, lower, upper):
        self.median, self.lower, self.upper = (float(row[name]) for name in (median, lower, upper))

    def text(self, form):
        return f"{form(self.median)} ({form(self.lower)}–{form(self.upper)})"

    def time(self, form):
        """All in the unit of the median."""
        size, _ = unit(self.median)
        return f"{form(self.median)} ({figure(self.lower / size)}–{figure(self.upper / size)})"


class Suite:
    """The cases of bench_suite."""

    def __init__(self, rows):
        self.all = {(r["row"], r["who"], r["executor"], int(r["size"])): r for r in rows}

    def find(self, row, who, size=0, executor=ANY):
        return self.all.get((row, who, executor, size)) or self.all.get((row, who, "", size))

    def ratio(self, *args, **kwargs):
        found = self.find(*args, **kwargs)
        return Spread(found, "ratio", "lower", "upper") if found else None

    def time(self, *args, **kwargs):
        found = self.find(*args, **kwargs)
        return Spread(found, "ns", "ns lower", "ns upper") if found else None

    def bases(self):
        """The baselines: name, what it is, time."""
        return [(row, who, Spread(r, "ns", "ns lower", "ns upper"))
                for (row, who, _, _), r in self.all.items() if not r["base"]]

    def base_of(self, row):
        """The name and the time of the baseline of a row; None if the row was not measured."""
        base = next((r["base"] for (name, *_), r in self.all.items() if name == row), None)
        return next(((name, time) for name, _, time in self.bases() if name == base), None)


class Results:
    """A directory of results. What was not measured is empty."""

    def __init__(self, directory):
        def path(name):
            return os.path.join(directory, name)

        self.suite = Suite(read(path("suite.tsv")))
        self.alone = Suite(read(path("alone.tsv")))
        self.memory = lines(path("memory.tsv"))
        self.locks = read(path("lock_time.tsv"))
        self.instructions = read(path("instructions.tsv"))
        self.compile_time = read(path("compile_time.tsv"))
        self.machine = [line[0] for line in lines(path("machine.txt"))]
        self.scale = []  # tables: (columns, rows)
        for line in lines(path("scale.tsv")):
            if line[0] == "what":
                self.scale.append((line, []))
            else:
                self.scale[-1][1].append(line)

    def heap(self, what, who):
        """What bench_memory counted, as a number; None if it did not."""
        return next((float(line[2]) for line in self.memory if line[:2] == [what, who]), None)


def ratio(value):
    if value >= 1e4:  # what costs so much more is not measured often
        value = round(value, 1 - len(str(int(value))))
    return f"{value:.2f}" if value < 10 else f"{value:,.0f}"


def unit(ns):
    """In which such a time is told, and its name."""
    return (1, "ns") if ns < 1e4 else (1e3, "µs") if ns < 1e6 else (1e6, "ms")


def figure(value):
    return f"{value:.1f}" if value < 10 else f"{value:,.0f}"


def with_unit(ns):
    size, name = unit(ns)
    return f"{figure(ns / size)} {name}"


def nanoseconds(value):
    """In a table of nanoseconds: the unit is told where it is another."""
    return with_unit(value).removesuffix(" ns")


def table(columns, rows):
    """In Markdown; empty without rows."""
    if not rows:
        return ""
    out = ["|" + "|".join(f" {cell} " if cell else " " for cell in row) + "|" for row in [columns, *rows]]
    out.insert(1, "|" + "---|" * len(columns))
    return "\n".join(out)
