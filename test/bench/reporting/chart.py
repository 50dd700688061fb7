# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

"""The chart: what an operation takes as a multiple of its baseline, and how that grows with the number that waits."""

import math
from xml.sax.saxutils import escape

from reporting.results import ANY, BY_HAND, OURS, PEERS, PERMITS, ratio, with_unit

COLOURS = {OURS: "#0b5cad", PERMITS: "#5a9bd8", "channel": "#b9a44c", "concurrent_channel": "#d98032",
           "timer": "#b0413e", BY_HAND: "#7d7d7d", "std::counting_semaphore": "#9a9a9a"}

# row of the suite, size, what it is, its baseline
BARS = [
    ("W1", 0, "acquire and release, a permit is free", "asio::post"),
    ("W2 use_awaitable", 0, "the same in a coroutine", "co_await asio::post"),
    ("W4", 0, "try_acquire and release", "an atomic counter"),
    ("W5/1", 0, "hand-over, 1,000 wait", "asio::post"),
    ("W5c/1", 0, "hand-over, 1,000 coroutines wait", "co_await asio::post"),
    ("W6/10", 0, "hand-over on two threads, 10 permits", "asio::post"),
    ("W8 with handlers", 100000, "release(100,000) and the handlers, each", "asio::post"),
]
WIDTH, LEFT = 520, 16
SCALE, MOST, STEP = 74, 5, 13  # pixels a multiple, the multiple at which a bar is cut, pixels a bar


class Svg:
    def __init__(self):
        self.parts = []

    def text(self, x, y, text, size=12, anchor="start", fill="#222", weight="normal"):
        """With a white edge, for lines that it is drawn over."""
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{fill}" '
                          f'font-weight="{weight}" stroke="#fff" stroke-width="2" paint-order="stroke">{escape(text)}</text>')

    def rect(self, x, y, width, height, fill):
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.5):.1f}" height="{height:.1f}" '
                          f'fill="{fill}"/>')

    def line(self, points, stroke, width=1.0, dash=""):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.parts.append(f'<polyline points="{path}" fill="none" stroke="{stroke}" stroke-width="{width}"'
                          + (f' stroke-dasharray="{dash}"' if dash else "") + "/>")

    def break_mark(self, x, y, height):
        """Two slanted strokes with a gap between them: the bar goes on for longer than it is drawn."""
        gap, slant = 5, 4
        self.parts.append('<g class="break">')
        self.parts.append(f'<polygon points="{x:.1f},{y + height:.1f} {x + slant:.1f},{y:.1f} {x + slant + gap:.1f},{y:.1f} '
                          f'{x + gap:.1f},{y + height:.1f}" fill="#fff"/>')
        for start in (x, x + gap):
            self.line([(start - 1, y + height + 2), (start + slant + 1, y - 2)], "#222", 1.2)
        self.parts.append("</g>")

    def write(self, path, width, height):
        with open(path, "w") as file:
            file.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
                       f'height="{height}" font-family="system-ui, sans-serif">\n'
                       f'<rect width="{width}" height="{height}" fill="#fff"/>\n'
                       + "\n".join(self.parts) + "\n</svg>\n")


def legend(svg, whos, y):
    x = LEFT
    for who in whos:
        width = 30 + 6.2 * len(who)
        if x + width > WIDTH:
            x, y = LEFT, y + 16
        svg.rect(x, y - 9, 10, 10, COLOURS[who])
        svg.text(x + 14, y, who, 11)
        x += width
    return y


def bar(svg, y, who, times):
    length = min(times, MOST) * SCALE
    svg.rect(LEFT, y, length, STEP - 2, COLOURS[who])
    if times > MOST:
        svg.break_mark(LEFT + length - 24, y, STEP - 2)


def bars(svg, suite, top):
    """The lowest line that it draws."""
    y = top
    for row, size, text, base in BARS:
        found = [(who, suite.ratio(row, who, size), suite.time(row, who, size)) for who in [OURS, PERMITS, *PEERS]]
        found = [(who, times.median, time.median) for who, times, time in found if times]
        if not found:
            continue
        svg.text(LEFT, y + 11, text, 12, weight="bold")
        svg.text(LEFT + SCALE * MOST + 110, y + 11, f"1× = {base}, {with_unit(suite.base_of(row)[1].median)}", 10, "end", "#444")
        y += 17
        length = STEP * len(found)
        for i, (who, times, _) in enumerate(found):
            bar(svg, y + i * STEP, who, times)
        svg.line([(LEFT + SCALE, y - 2), (LEFT + SCALE, y + length)], "#111", 1.2)
        for i, (_, times, time) in enumerate(found):
            svg.text(LEFT + min(times, MOST) * SCALE + 5, y + i * STEP + STEP - 4, f"{with_unit(time)} ({ratio(times)}×)", 10,
                     fill="#444")
        y += length + 14
    return y


def curves(svg, suite, rows, title, left, top, width, height):
    series = []
    for row, who, dash in rows:
        points = sorted((size, float(r["ns"])) for (r_row, r_who, executor, size), r in suite.all.items()
                        if (r_row, r_who, executor) == (row, who, ANY))
        if points:
            series.append((who, dash, points))
    if not series:
        return
    low = math.floor(math.log10(min(ns for *_, points in series for _, ns in points)))
    high = math.ceil(math.log10(max(ns for *_, points in series for _, ns in points)))
    xs = [math.log10(size) for *_, points in series for size, _ in points]
    first, last = min(xs), max(max(xs), min(xs) + 1)

    def place(size, ns):
        return (left + (math.log10(size) - first) / (last - first) * width,
                top + height - (math.log10(ns) - low) / (high - low) * height)

    svg.text(left - 34, top - 14, title, 11, weight="bold")
    for power in range(low, high + 1):
        x, y = place(10 ** first, 10 ** power)
        svg.line([(x, y), (x + width, y)], "#ddd", 0.7)
        label = {0: "1 ns", 1: "10 ns", 2: "100 ns", 3: "1 µs", 4: "10 µs", 5: "100 µs", 6: "1 ms", 7: "10 ms"}
        svg.text(x - 4, y + 4, label.get(power, f"10^{power} ns"), 10, "end", "#444")
    for power in range(math.ceil(first), int(last) + 1):
        x, y = place(10 ** power, 10 ** low)
        svg.text(x, y + 14, f"{10 ** power:,}", 10, "middle", "#444")
    for who, dash, points in series:
        svg.line([place(*p) for p in points], COLOURS[who], 2, dash)


def draw(suite, path):
    svg = Svg()
    svg.text(LEFT, 24, "Time of an operation", 15, weight="bold")
    drawn = [who for who in COLOURS if any(suite.find(row, who, size) for row, size, *_ in BARS)]
    y = legend(svg, drawn, 46)
    top = bars(svg, suite, y + 18) + 34
    width, height = 180, 170
    both = [OURS, "channel", "concurrent_channel", "timer"]
    curves(svg, suite, [("W7 in order", who, "") for who in both] + [("W7 random", OURS, "5 3")],
           "cancel one of N (dashed: at random)", LEFT + 44, top, width, height)
    curves(svg, suite, [("W8 with handlers", who, "") for who in [*both, BY_HAND]],
           "release(N) and the handlers, each", WIDTH - width - 30, top, width, height)
    svg.write(path, WIDTH, int(top + height + 30))
