# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

"""The tables for maintainers: ratios to a baseline of the same round, next to the goals, with the codes of both."""

from reporting.results import ANY, IO, LIMITER, LIMITER_BY_HAND, OURS, PEERS, PERMITS, PLACES, Spread, ratio, table

# Those that do what the semaphore does, as far as the row goes: safe on several threads,
# cancellable, any completion token.
COMPARABLE = ["concurrent_channel", "std::counting_semaphore"]

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


def code(row):
    return row.split()[0].split("/")[0]


def cell(spread):
    return spread.text(ratio) if spread else ""


def median(spread):
    return ratio(spread.median) if spread else ""


def mark(met):
    return "✓" if met else "✗"


def meets(value, goal):
    """Whether the value, as the tables show it, meets the goal."""
    return round(value, 2) <= goal


def ratios(results):
    suite = results.suite
    rows = []
    for row, size, text, goal, permit_goal in ROWS:
        ours, permits = suite.ratio(row, OURS, size), suite.ratio(row, PERMITS, size)
        if not ours:
            continue
        met = meets(ours.median, goal) and (permit_goal is None or permits is None or meets(permits.median, permit_goal))
        goals = f"{goal:.2f}" + (f" / {permit_goal:.2f}" if permit_goal else "")
        rows.append([code(row), text, suite.base_of(row)[0], f"**{cell(ours)}**", cell(permits), f"{mark(met)} {goals}"])
    return table(["", "work", "base", "ours", "with permits", "goal"], rows)


def peers(results):
    suite = results.suite
    rows = []
    for row, size, text, *_ in ROWS:
        if suite.find(row, OURS, size):
            beside = [suite.ratio(row, who, size) for who in [OURS, *PEERS]]
            beside += [suite.ratio(row, OURS, size, executor=IO), results.alone.ratio(row, OURS, size)]
            rows.append([code(row), text] + [median(spread) for spread in beside])
    return table(["", "work", "ours", *PEERS, "ours, `io_context` executor", "ours, one thread"], rows)


def bases(results):
    return table(["base", "ns"], [[f"{row}: {who}", time.text("{:.1f}".format)] for row, who, time in results.suite.bases()])


def places(results):
    suite = results.suite
    rows = []
    for row, size, text, *_ in ROWS:
        for place, where in PLACES:
            ours, permits, peer = (suite.ratio(row, who, size, executor=place) for who in (OURS, PERMITS, "concurrent_channel"))
            if ours and peer:
                rows.append([code(row), where, cell(ours), cell(permits), cell(peer),
                             f"{mark(ours.median <= peer.median)} {ratio(ours.median / peer.median)}"])
    return table(["", "where", "ours", "with permits", "concurrent_channel", "ours / its"], rows)


def behind(results):
    """Where a peer that can do the same takes less; and the goal of W6 that is such a comparison."""
    suite = results.suite
    if not suite.all:
        return ""
    out = []
    for row, size, text, *_ in ROWS:
        for executor, where in [(ANY, "")] + [(place, f", {where}") for place, where in PLACES]:
            ours = suite.ratio(row, OURS, size, executor=executor)
            for who in COMPARABLE:
                peer = suite.ratio(row, who, size, executor=executor)
                if ours and peer and ours.median > peer.median:
                    out.append(f"- {text}{where}: {ratio(ours.median)}, and {who} {ratio(peer.median)}")
    out = ["These peers can do the same and take less time:", "", *out] if out else ["No peer that can do the same as the semaphore takes less time."]
    ours, peer = suite.ratio("W6/1", OURS), suite.ratio("W6/1", "concurrent_channel")
    if ours and peer:
        quotient = ours.median / peer.median
        out += ["", f"W6 with 1 permit takes {ratio(quotient)} of the time of concurrent_channel (goal {mark(meets(quotient, 0.8))} 0.80)."]
    return "\n".join(out)


def limiter(results):
    suite = results.suite
    rows = []
    for row, text, goal, more in LIMITER_ROWS:
        ours = suite.ratio(row, LIMITER)
        if not ours:
            continue
        base, time = suite.base_of(row)
        goals = ""
        if goal:
            goals = f"{mark(meets(ours.median, goal + more / time.median))} {goal:.1f}" + (f", and {more} ns" if more else "")
        rows.append([code(row), text, base, f"**{cell(ours)}**", goals, median(suite.ratio(row, LIMITER_BY_HAND))])
    for limit in (1, 10):
        row = f"L7/{limit}"
        ours, by_hand = suite.ratio(row, LIMITER), suite.ratio(row, LIMITER_BY_HAND)
        if ours and by_hand:
            rows.append(["L7", f"hand-over on two threads, a limit of {limit}", suite.base_of(row)[0], f"**{cell(ours)}**",
                         f"{mark(ours.median <= by_hand.median)} not behind the one by hand", cell(by_hand)])
    return table(["", "work", "base", "limiter", "goal", "by hand"], rows)


def memory(results):
    """One line a count; the peers, which have no goals, in the tables for users."""
    rows = []
    for what, who, value, *goal in results.memory:
        if goal:
            limit = goal[0].removeprefix("goal ").split(",")[0]
            rows.append([what, who, value, f"{mark(float(value) <= float(limit))} {limit}"])
    return table(["what", "who", "", "goal"], rows)


def instructions(results):
    rows = []
    for r in results.instructions:
        count, peer, goal, limit = (r[name].replace("-", "") for name in ("count", "peer", "goal", "limit"))
        rows.append([r["what"], count, f"{mark(int(count) <= int(goal))} {goal}" if goal else "", limit, peer,
                     f"{mark(int(count) <= int(peer))} {ratio(int(count) / int(peer))}" if peer else ""])
    return table(["what", "instructions", "goal", "limit", "concurrent_channel", "ours / its"], rows)


def locks(results):
    return table(["what", "waiting", "µs", "at a time"],
                 [[r["what"], f"{int(r['waiting']):,}", ratio(float(r["us"])), r["at a time"]] for r in results.locks])


def scale(results):
    return "\n\n".join(
        table(columns, [row[:2] + [f"{float(value):.0f}" for value in row[2:]] for row in rows]) for columns, rows in results.scale)


def compile_time(results):
    object_ = "one use, to an object with -O2"
    goals = {(OURS, "include"): 1.1, (OURS, "one use"): 1.3, (OURS, object_): 2.4,
             (OURS + ", compiled", "include"): 1.0, (OURS + ", compiled", object_): 2.0}
    rows = []
    for r in results.compile_time:
        taken, goal = Spread(r, "ratio", "lower", "upper"), goals.get((r["who"], r["what"]))
        rows.append([r["who"], r["what"], cell(taken), f"{mark(meets(taken.median, goal))} {goal:.2f}" if goal else ""])
    return table(["who", "what", "ratio", "goal"], rows)


BLOCKS = {
    "goals_ratios.md": ratios,
    "goals_peers.md": peers,
    "goals_bases.md": bases,
    "goals_places.md": places,
    "goals_behind.md": behind,
    "goals_limiter.md": limiter,
    "goals_memory.md": memory,
    "goals_instructions.md": instructions,
    "goals_locks.md": locks,
    "goals_scale.md": scale,
    "goals_compile_time.md": compile_time,
}
