#!/usr/bin/env python3
# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

"""Makes tables (Markdown) and a chart (SVG) of what test/bench/run measured.

    report.py RESULTS            writes them beside the measurements
    report.py --embed RESULTS    and puts them into doc/performance.md, doc/performance_goals.md, README.md and doc/performance.svg

RESULTS is a directory with suite.tsv, alone.tsv, memory.tsv, lock_time.tsv, compile_time.tsv, instructions.tsv, scale.tsv and
machine.txt. Each table is a file of its own; table.md has all of them."""

import os
import sys

from reporting import chart, maintainers, users
from reporting.embed import Refused, embed
from reporting.results import Results

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def report(directory):
    """The tables by the names of their files, and where the chart is."""
    results = Results(directory)
    blocks = {name: make(results) for name, make in {**users.BLOCKS, **maintainers.BLOCKS}.items()}
    for name, text in blocks.items():
        with open(os.path.join(directory, name), "w") as file:
            file.write(text + "\n")
    with open(os.path.join(directory, "table.md"), "w") as file:
        file.write("\n".join(f"**{name.removesuffix('.md')}**\n\n{text}\n" for name, text in blocks.items() if text))
    picture = os.path.join(directory, "chart.svg")
    chart.draw(results.suite, picture)
    return blocks, picture


def main():
    arguments = sys.argv[1:]
    if not arguments or arguments[-1].startswith("-") or arguments[:-1] not in ([], ["--embed"]):
        sys.exit(__doc__)
    blocks, picture = report(arguments[-1])
    if len(arguments) == 2:
        try:
            embed(ROOT, blocks, picture)
        except Refused as refused:
            sys.exit(f"report.py: {refused}")


if __name__ == "__main__":
    main()
