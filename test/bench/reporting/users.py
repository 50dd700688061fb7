# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

"""The tables for users: nanoseconds, each next to asio::post and to other solutions, in words."""

from reporting.results import (BY_HAND, LIMITER, LIMITER_BY_HAND, OURS, PEERS, PERMITS, PLACES, Spread, nanoseconds,
                               table, with_unit)

# baseline of the suite, what it is
BASES = {"B0": "`asio::post`", "B0K": "`asio::post`", "B0T": "`asio::post`", "B2": "`asio::post`", "B6": "`asio::post`",
         "CAS": "atomic counter", "CAS2": "atomic counter"}
NAMES = {OURS: "`async_semaphore`", PERMITS: "... with `permit`", "channel": "`channel`",
         "concurrent_channel": "`concurrent_channel`", BY_HAND: "mutex, deque, `post`",
         "std::counting_semaphore": "`std::counting_semaphore`", LIMITER: "`limiter`"}

# heading, row of the suite, size
FREE = [("callback", "W1", 0), ("coroutine, `deferred`", "W2 deferred", 0),
        ("coroutine, `use_awaitable`", "W2 use_awaitable", 0), ("`try_acquire`", "W4", 0)]
HANDED_OVER = [("callbacks", "W5/1", 0), ("coroutines", "W5c/1", 0), ("100,000 at once", "W8 with handlers", 100000)]
TWO_THREADS = [("hand-over, 1 permit", "W6/1", 0), ("hand-over, 10 permits", "W6/10", 0), ("`try_acquire`", "W11", 0)]
CANCELLED = [("of 1,000, in order", "W7 in order", 1000), ("of 100,000, in order", "W7 in order", 100000),
             ("of 100,000, at random", "W7 random", 100000)]

# row of the suite, what it is, size
SHORT = [("W1", "acquire and release, a permit is free", 0), ("W2 use_awaitable", "the same in a coroutine", 0),
         ("W5/1", "hand-over, 1,000 wait", 0), ("W7 in order", "cancel one of 100,000", 100000)]
ADMISSIONS = [
    ("L1", "admitted at once"),
    ("L1 coroutine", "... in a coroutine"),
    ("L2", "`try_admit`"),
    ("L2 gradient_limit", "... with `gradient_limit`"),
    ("L3", "hand-over, 1,000 wait"),
    ("L3 keys", "... each with a key of its own"),
    ("L3 deadlines", "... each with a deadline"),
    ("L7/1", "... on two threads, the limit is 1"),
    ("L7/10", "... on two threads, the limit is 10"),
    ("L4", "refused, the queue is full"),
    ("L4 deadlines", "... those in the queue have deadlines"),
]


def cell(spread):
    return spread.time(nanoseconds) if spread else ""


def bold(text):
    return f"**{text}**" if text else ""


def by_solution(results, columns):
    """A row for each solution, the baselines first."""
    suite = results.suite
    if not any(suite.find(row, OURS, size) for _, row, size in columns):
        return ""
    bases = [suite.base_of(row) for _, row, _ in columns]
    rows = []
    for name in dict.fromkeys(BASES[base[0]] for base in bases if base):
        rows.append([name] + [cell(base[1]) if base and BASES[base[0]] == name else "" for base in bases])
    for who in [OURS, PERMITS, *PEERS]:
        cells = [cell(suite.time(row, who, size)) for _, row, size in columns]
        if any(cells):
            rows.append([NAMES.get(who, who)] + (list(map(bold, cells)) if who == OURS else cells))
    return table(["ns"] + [heading for heading, *_ in columns], rows)


def machine(results):
    return "; ".join(results.machine) + "." if results.machine else ""


def allocations(results, who):
    letter = "L5" if who == LIMITER else "W9"
    counts = [results.heap(f"{letter} blocks, {what}", who) for what in ("uncontended", "hand-over")]
    return f"{round(max(counts), 2):g}" if None not in counts else ""


def whole(value):
    return "" if value is None else f"{value:.0f}"


def short(results):
    whos = [OURS, "channel", "concurrent_channel", "timer", BY_HAND]
    suite = results.suite
    rows = []
    for row, text, size in SHORT:
        ours, base = suite.time(row, OURS, size), suite.base_of(row)
        if not ours:
            return ""
        rows.append([text, with_unit(base[1].median), bold(ours.time(with_unit))]
                    + [with_unit(time.median) if time else "" for time in (suite.time(row, who, size) for who in whos[1:])])
    for text, count in (("allocations in the steady state", lambda who: allocations(results, who)),
                        ("bytes for each waiting operation", lambda who: whole(results.heap("W9 bytes, waiter", who)))):
        rows.append([text, "", bold(count(OURS))] + [count(who) for who in whos[1:]])
    return table(["", "`asio::post`"] + [NAMES.get(who, who) for who in whos], rows)


def executors(results):
    suite = results.suite
    peer = "concurrent_channel"
    rows = []
    for place, text in PLACES:
        times = [suite.time(row, who, executor=place) for row in ("W1", "W5/1") for who in (OURS, peer)]
        if all(times):
            rows.append([text] + [nanoseconds(time.median) for time in times])
    names = (NAMES[OURS], NAMES[peer])
    return table(["ns"] + [f"{what}: {name}" for what in ("free", "hand-over") for name in names], rows)


def memory(results):
    rows = []
    for who in [OURS, PERMITS, *PEERS, LIMITER]:
        bytes_ = [whole(results.heap("W9 bytes, waiter", who)),
                  whole(results.heap(f"{'L5' if who == LIMITER else 'S7'} bytes, waiter with a deadline", who)),
                  whole(results.heap("W10 bytes", who))]
        if any(bytes_):
            rows.append([NAMES.get(who, who)] + (list(map(bold, bytes_)) if who == OURS else bytes_) + [allocations(results, who)])
    return table(["bytes", "waiting", "waiting, with a deadline", "the object", "allocations"], rows)


def limiter(results):
    suite = results.suite
    rows = []
    for row, text in ADMISSIONS:
        ours = suite.time(row, LIMITER)
        if ours:
            base, time = suite.base_of(row)
            beside = nanoseconds(time.median) + ("" if BASES[base] == "`asio::post`" else f", {BASES[base]}")
            rows.append([text, beside, bold(cell(ours)), cell(suite.time(row, LIMITER_BY_HAND))])
    return table(["ns", "`asio::post`", "`limiter`", "by hand"], rows)


def scale(results):
    """The smallest and the largest numbers, of those that waited."""
    if not results.scale:
        return ""
    counts = sorted({int(row[1]) for row in results.scale[0][1]})
    shown = [str(count) for count in (1000, counts[-1])]
    texts = {"granted": "granted", "granted, with a deadline": "granted, with deadlines", "cancelled at random": "cancelled at random"}
    return table(["ns", "to queue", "to grant or cancel", "to run the handler", "bytes"],
                 [[f"{int(count):,} {texts[what]}"] + [nanoseconds(float(value)) for value in values[:3]] + [f"{float(values[3]):.0f}"]
                  for what, count, *values in results.scale[0][1] if what in texts and count in shown])


def compile_time(results):
    whats = ["include", "one use", "one use, to an object with -O2"]
    found = {(r["who"], r["what"]): r for r in results.compile_time}
    rows = []
    for who in dict.fromkeys(who for who, _ in found):
        cells = [found.get((who, what)) for what in whats]
        cells = [Spread(r, "seconds", "seconds lower", "seconds upper").text("{:.2f}".format) if r else "" for r in cells]
        rows.append([who] + cells)
    return table(["s", "include", "parse one use", "compile one use, `-O2`"], rows)


BLOCKS = {
    "machine.md": machine,
    "short.md": short,
    "free_permit.md": lambda results: by_solution(results, FREE),
    "hand_over.md": lambda results: by_solution(results, HANDED_OVER),
    "two_threads.md": lambda results: by_solution(results, TWO_THREADS),
    "cancel.md": lambda results: by_solution(results, CANCELLED),
    "executors.md": executors,
    "limiter.md": limiter,
    "memory.md": memory,
    "scale.md": scale,
    "compile_time.md": compile_time,
}
