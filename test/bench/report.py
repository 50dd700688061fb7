#!/usr/bin/env python3
"""Makes a table (Markdown) and a chart (SVG) of what test/bench/run measured.

    report.py RESULTS

RESULTS is a directory with suite.tsv, alone.tsv, memory.tsv, lock_time.tsv, compile_time.tsv,
instructions.tsv, scale.tsv and machine.txt; table.md and chart.svg are written beside them."""

import csv
import math
import os
import re
import sys
from xml.sax.saxutils import escape

OURS, PERMITS = "async_semaphore", "async_semaphore, permits"
PEERS = ["channel", "concurrent_channel", "timer", "mutex, deque, post", "std::counting_semaphore"]
# Those that do what the semaphore does, as far as the row goes: safe on several threads,
# cancellable, any completion token.
COMPARABLE = ["concurrent_channel", "std::counting_semaphore"]
ANY, IO = "any_io_executor", "io_context"

# row of the suite, size, what it is, goal, goal with permits
ROWS = [
    ("W1", 0, "uncontended: release and acquire again", 1.40, 1.50),
    ("W2 deferred", 0, "the same as a coroutine, `deferred`", 0.80, None),
    ("W2 use_awaitable", 0, "the same as a coroutine, `use_awaitable`", 0.90, None),
    ("W3", 0, "uncontended, immediate executor", 1.10, None),
    ("W4", 0, "`try_acquire`, `release`", 1.05, None),
    ("W5/1", 0, "hand-over, 1000 chains, 1 permit", 1.65, 1.75),
    ("W5/10", 0, "hand-over, 1000 chains, 10 permits", 1.65, 1.75),
    ("W5c/1", 0, "hand-over, 1000 coroutines, 1 permit", 1.05, None),
    ("W5c/10", 0, "hand-over, 1000 coroutines, 10 permits", 1.05, None),
    ("W6/1", 0, "hand-over on two threads, 1 permit", 1.75, None),
    ("W6/10", 0, "hand-over on two threads, 10 permits", 1.75, None),
    ("W7 in order", 1000, "cancel 10³ in order", 2.0, None),
    ("W7 in order", 100000, "cancel 10⁵ in order", 2.5, None),
    ("W7 reverse", 1000, "cancel 10³ in reverse", 2.0, None),
    ("W7 reverse", 100000, "cancel 10⁵ in reverse", 2.5, None),
    ("W7 random", 1000, "cancel 10³ at random", 2.5, None),
    ("W7 random", 10000, "cancel 10⁴ at random", 4.0, None),
    ("W7 random", 100000, "cancel 10⁵ at random", 7.5, None),
    ("W8 call", 100000, "release(10⁵), the call", 1.1, None),
    ("W8 with handlers", 100000, "release(10⁵), with the handlers", 1.7, None),
    ("W11", 0, "`try_acquire`, `release` by two threads", 1.15, None),
]
LIMITER, BY_HAND = "limiter", "mutex, priority_queue, post"
# row of the suite, what it is, goal, nanoseconds more that it may take
LIMITER_ROWS = [
    ("L1", "uncontended: `finish` and `async_admit` again", 2.0, 0),
    ("L1 coroutine", "the same as a coroutine", 1.2, 0),
    ("L2", "`try_admit`, `finish`", 8.0, 0),
    ("L2 gradient_limit", "the same, with `gradient_limit`", 8.0, 80),
    ("L3", "hand-over, 1,000 waiting, no key", 2.5, 0),
    ("L3 keys", "hand-over, 1,000 waiting, each with a key", 3.2, 0),
    ("L3 deadlines", "hand-over, 1,000 waiting, each with a deadline", None, 0),
    ("L4", "refused, the queue being full", 1.6, 0),
    ("L4 deadlines", "the same, where those in the queue have deadlines", None, 0),
]
# executor in the suite, what it is
PLACES = [
    ("strand", "the semaphore on a strand"),
    ("strand a handler", "the semaphore on an io_context, each handler on a strand of its own"),
    ("thread_pool", "a `thread_pool`"),
    ("own executor", "an executor that is not Asio's"),
]
COLOURS = {OURS: "#0b5cad", PERMITS: "#5a9bd8", "channel": "#b9a44c", "concurrent_channel": "#d98032",
           "timer": "#b0413e", "mutex, deque, post": "#7d7d7d", "std::counting_semaphore": "#9a9a9a"}


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


class Results:
    def __init__(self, rows):
        self.all = {(r["row"], r["who"], r["executor"], int(r["size"])): r for r in rows}

    def find(self, row, who, size=0, executor=ANY):
        return self.all.get((row, who, executor, size)) or self.all.get((row, who, "", size))

    def ratio(self, *args, **kwargs):
        found = self.find(*args, **kwargs)
        return float(found["ratio"]) if found else None


def figure(value):
    if value is None:
        return ""
    return f"{value:.2f}" if value < 10 else f"{value:.0f}" if value < 1e4 else f"{value:.0e}"


def cell(results, row, who, size, executor=ANY):
    found = results.find(row, who, size, executor)
    if not found:
        return ""
    median, lower, upper = (figure(float(found[k])) for k in ("ratio", "lower", "upper"))
    return f"{median} <sub>{lower}–{upper}</sub>"


def ratio_table(suite, alone):
    out = ["| | work | base | ours | with permits | goal | " +
           " | ".join(p for p in PEERS) + " | `io_context` executor | one thread |",
           "|" + "---|" * (8 + len(PEERS))]
    for row, size, text, goal, permit_goal in ROWS:
        mine = suite.find(row, OURS, size)
        if not mine:
            continue
        ratio, permits = float(mine["ratio"]), suite.ratio(row, PERMITS, size)
        met = ratio <= goal and (permit_goal is None or permits is None or permits <= permit_goal)
        goals = f"{goal:.2f}" + (f" / {permit_goal:.2f}" if permit_goal else "")
        out.append("| " + " | ".join(
            [re.split(r"[ /]", row)[0], text, mine["base"], "**" + cell(suite, row, OURS, size) + "**",
             cell(suite, row, PERMITS, size), ("✓ " if met else "✗ ") + goals] +
            [figure(suite.ratio(row, peer, size)) for peer in PEERS] +
            [figure(suite.ratio(row, OURS, size, executor=IO)), figure(alone.ratio(row, OURS, size))]) + " |")
    return out


def place_table(suite):
    out = ["| | work | where | ours | with permits | concurrent_channel | ours / its |", "|---|---|---|---|---|---|---|"]
    peer = "concurrent_channel"
    for row, size, text, *_ in ROWS:
        for place, where in PLACES:
            mine, theirs = (suite.ratio(row, who, size, executor=place) for who in (OURS, peer))
            if mine and theirs:
                out.append("| " + " | ".join(
                    [re.split(r"[ /]", row)[0], text, where] +
                    [cell(suite, row, who, size, place) for who in (OURS, PERMITS, peer)] +
                    [("✓ " if mine <= theirs else "✗ ") + figure(mine / theirs)]) + " |")
    return out


def limiter_table(suite):
    out = ["| | work | base | limiter | goal | by hand |", "|---|---|---|---|---|---|"]
    for row, text, goal, more in LIMITER_ROWS:
        mine = suite.find(row, LIMITER)
        if not mine:
            continue
        base = next(r for (name, *_), r in suite.all.items() if name == mine["base"])
        met = goal and float(mine["ratio"]) <= goal + more / float(base["ns"])
        goals = (("✓ " if met else "✗ ") + f"{goal:.1f}" + (f", and {more} ns" if more else "")) if goal else ""
        out.append("| " + " | ".join([
            row.split()[0], text, mine["base"], "**" + cell(suite, row, LIMITER, 0) + "**",
            goals, figure(suite.ratio(row, BY_HAND))]) + " |")
    for places in (1, 10):
        row = f"L7/{places}"
        mine, theirs = suite.ratio(row, LIMITER), suite.ratio(row, BY_HAND)
        if mine and theirs:
            out.append("| " + " | ".join([
                "L7", f"hand-over on two threads, a limit of {places}", "B6", "**" + cell(suite, row, LIMITER, 0) + "**",
                ("✓" if mine <= theirs else "✗") + " not behind the one by hand", cell(suite, row, BY_HAND, 0)]) + " |")
    return out


def behind(suite):
    for row, size, text, *_ in ROWS:
        for executor, where in [(ANY, "")] + [(place, f", {where}") for place, where in PLACES]:
            mine = suite.ratio(row, OURS, size, executor=executor)
            for peer in COMPARABLE:
                theirs = suite.ratio(row, peer, size, executor=executor)
                if mine and theirs and mine > theirs:
                    yield f"- {text}{where}: {figure(mine)} against {figure(theirs)} of {peer}"


def table(directory):
    suite = Results(read(os.path.join(directory, "suite.tsv")))
    alone = Results(read(os.path.join(directory, "alone.tsv")))
    out = []
    machine = lines(os.path.join(directory, "machine.txt"))
    out += ["  \n".join(line[0] for line in machine), ""]
    out += ["Ratios to a baseline of the same round: medians, with quartiles. `any_io_executor` and a second, "
            "sleeping thread in the process, where it is not said otherwise. ✓ and ✗ tell whether the goal is met.", ""]
    out += ratio_table(suite, alone)
    out += ["", "The same where the executor is not an `io_context`'s:", ""]
    out += place_table(suite)
    out += ["", "The limiter: a fixed limit and no deadlines, where nothing else is said.", ""]
    out += limiter_table(suite)
    out += ["", "| base | ns |", "|---|---|"]
    for (row, who, _, _), r in suite.all.items():
        if not r["base"]:
            out.append(f"| {row}: {who} | {float(r['ns']):.1f} |")

    late = list(behind(suite))
    out += ["", "Behind a peer that can do the same:" if late else
            "In no row behind a peer that can do the same.", *late]
    six, channel = suite.ratio("W6/1", OURS), suite.ratio("W6/1", "concurrent_channel")
    if six and channel:
        out += ["", f"W6, 1 permit, next to concurrent_channel: {six / channel:.2f} (goal 0.80)"]

    memory = lines(os.path.join(directory, "memory.tsv"))
    if memory:
        who = list(dict.fromkeys(line[1] for line in memory))
        out += ["", "**W9, W10, L5, L6: heap blocks and bytes, exact**", "",
                "| | goal | " + " | ".join(who) + " |", "|" + "---|" * (2 + len(who))]
        for what in dict.fromkeys(line[0] for line in memory):
            values = {line[1]: line[2] for line in memory if line[0] == what}
            goal = next((f.split()[1].rstrip(",") for line in memory if line[0] == what
                         for f in line[3:] if f.startswith("goal")), "")
            out.append("| " + " | ".join([what, goal] + [values.get(w, "") for w in who]) + " |")
    counts = read(os.path.join(directory, "instructions.tsv"))
    if counts:
        out += ["", "**W13, and the limiter's L1 to L6: instructions an operation, exact**", "",
                "| | instructions | goal | concurrent_channel | ours / its |", "|---|---|---|---|---|"]
        for r in counts:
            count, peer, goal = (r[k].replace("-", "") for k in ("count", "peer", "goal"))
            ratio = figure(int(count) / int(peer)) if peer else ""
            out.append(f"| {r['what']} | {count} | {goal} | {peer} | {ratio} |")
    held = read(os.path.join(directory, "lock_time.tsv"))
    if held:
        out += ["", "**How long others are held up: the longest time under a lock (goal 200 µs; `release(n)` is atomic)**", "",
                "| what | waiting | µs | at a time |", "|---|---|---|---|"]
        out += [f"| {r['what']} | {r['waiting']} | {figure(float(r['us']))} | {r['at a time']} |" for r in held]
    compiled = read(os.path.join(directory, "compile_time.tsv"))
    if compiled:
        object_ = "one use, to an object with -O2"
        goals = {(OURS, "include"): "1.10", (OURS, object_): "2.40",
                 (OURS + ", compiled", "include"): "1.00", (OURS + ", compiled", object_): "2.00"}
        out += ["", "**W12: compile time, next to a translation unit with `steady_timer.hpp` alone**", "",
                "| who | what | s | ratio | goal |", "|---|---|---|---|---|"]
        for r in compiled:
            out.append(f"| {r['who']} | {r['what']} | {r['seconds']} | {r['ratio']} "
                       f"<sub>{r['lower']}–{r['upper']}</sub> | {goals.get((r['who'], r['what']), '')} |")
    scale = lines(os.path.join(directory, "scale.tsv"))
    if scale:
        out += ["", "**Scale** (goal with a deadline: 250 ns to queue)"]
        for line in scale:
            if line[0] == "what":
                out += ["", "| " + " | ".join(line) + " |", "|" + "---|" * len(line)]
            elif len(line) > 2 and out[-1]:
                out.append("| " + " | ".join(line[:2] + [f"{float(v):.0f}" for v in line[2:]]) + " |")
    with open(os.path.join(directory, "table.md"), "w") as file:
        file.write("\n".join(out) + "\n")
    return suite


class Svg:
    def __init__(self, width, height):
        self.size = width, height
        self.parts = []

    def text(self, x, y, text, size=12, anchor="start", fill="#222", weight="normal"):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
                          f'fill="{fill}" font-weight="{weight}">{escape(text)}</text>')

    def rect(self, x, y, width, height, fill):
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.5):.1f}" height="{height:.1f}" '
                          f'fill="{fill}"/>')

    def line(self, points, stroke, width=1.0, dash=""):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.parts.append(f'<polyline points="{path}" fill="none" stroke="{stroke}" stroke-width="{width}"'
                          + (f' stroke-dasharray="{dash}"' if dash else "") + "/>")

    def write(self, path):
        width, height = self.size
        with open(path, "w") as file:
            file.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
                       f'height="{height}" font-family="system-ui, sans-serif">\n'
                       f'<rect width="{width}" height="{height}" fill="#fff"/>\n'
                       + "\n".join(self.parts) + "\n</svg>\n")


def bars(svg, suite, top):
    left, scale, most, step = 250, 105, 5.0, 9
    y = top
    for row, size, text, goal, _ in ROWS:
        found = [(who, suite.ratio(row, who, size)) for who in [OURS, PERMITS] + PEERS]
        found = [(who, ratio) for who, ratio in found if ratio]
        if not found or row.startswith("W7"):
            continue
        svg.text(left - 8, y + step * len(found) / 2 + 4, text.replace("`", ""), 11, "end")
        for i, (who, ratio) in enumerate(found):
            svg.rect(left, y + i * step, min(ratio, most) * scale, step - 1, COLOURS[who])
            svg.text(left + min(ratio, most) * scale + 4, y + i * step + 7.5, figure(ratio), 8, fill="#555")
        svg.line([(left + goal * scale, y - 2), (left + goal * scale, y + step * len(found) + 1)], "#111", 1.5)
        y += step * len(found) + 10
    for tick in range(int(most) + 1):
        svg.line([(left + tick * scale, top - 4), (left + tick * scale, y - 4)], "#ccc", 0.7)
        svg.text(left + tick * scale, top - 8, f"{tick}×", 10, "middle", "#555")
    return y


def curves(svg, suite, rows, title, left, top, width, height):
    series = []
    for row, who, dash in rows:
        points = sorted((size, float(r["ns"])) for (r_row, r_who, executor, size), r in suite.all.items()
                        if (r_row, r_who, executor) == (row, who, ANY))
        if points:
            series.append((row, who, dash, points))
    if not series:
        return
    low = math.floor(math.log10(min(ns for *_, points in series for _, ns in points)))
    high = math.ceil(math.log10(max(ns for *_, points in series for _, ns in points)))
    xs = [math.log10(size) for *_, points in series for size, _ in points]
    first, last = min(xs), max(max(xs), min(xs) + 1)

    def place(size, ns):
        return (left + (math.log10(size) - first) / (last - first) * width,
                top + height - (math.log10(ns) - low) / (high - low) * height)

    svg.text(left - 30, top - 14, title, 12, weight="bold")
    for power in range(low, high + 1):
        x, y = place(10 ** first, 10 ** power)
        svg.line([(x, y), (x + width, y)], "#ddd", 0.7)
        label = {0: "1 ns", 1: "10 ns", 2: "100 ns", 3: "1 µs", 4: "10 µs", 5: "100 µs", 6: "1 ms", 7: "10 ms"}
        svg.text(x - 4, y + 4, label.get(power, f"10^{power} ns"), 9, "end", "#555")
    for power in range(int(first), int(last) + 1):
        x, y = place(10 ** power, 10 ** low)
        svg.text(x, y + 14, f"10{'⁰¹²³⁴⁵⁶⁷'[power]}", 9, "middle", "#555")
    for row, who, dash, points in series:
        svg.line([place(*p) for p in points], COLOURS[who], 2, dash)


def chart(suite, path):
    svg = Svg(860, 1010)
    svg.text(20, 26, "Time of an operation, next to asio::post and its like", 15, weight="bold")
    x = 20
    for who in [OURS, PERMITS] + PEERS:
        svg.rect(x, 38, 10, 10, COLOURS[who])
        svg.text(x + 14, 47, who, 10)
        x += 26 + 5.6 * len(who)
    svg.text(x, 47, "▏goal", 10)
    end = bars(svg, suite, 78)
    top = end + 40
    width, height = 230, 170
    both = [OURS, "channel", "concurrent_channel", "timer"]
    curves(svg, suite, [("W7 in order", who, "") for who in both] + [("W7 random", OURS, "5 3")],
           "cancel one of N (dashed: at random)", 75, top, width, height)
    curves(svg, suite, [("W8 with handlers", who, "") for who in both + ["mutex, deque, post"]],
           "release(N), per waiter, with its handler", 400, top, width, height)
    svg.size = 860, int(top + height + 30)
    svg.write(path)


def main():
    directory = sys.argv[1]
    suite = table(directory)
    chart(suite, os.path.join(directory, "chart.svg"))


if __name__ == "__main__":
    main()
