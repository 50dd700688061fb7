# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

"""Shows semaphores and permits, limiters and admissions in lldb.

    (lldb) command script import tools/lldb/asio_semaphore.py
    (lldb) frame variable sem held lim
    (asio_semaphore::async_semaphore) sem = 0 of 2 available, open, 2 waiting
    (asio_semaphore::permit) held = 1, of the semaphore with 0 of 2 available, open, 2 waiting
    (asio_semaphore::limiter) lim = 3 of 3.5 in flight, 2 running, 1 waiting, 1 key, open

The summaries show how many operations wait; tools/gdb also shows which. They only read memory, so they work on core dumps too.
"""

import lldb

CLOSED, ONE_PERMIT = 2, 4


def member(value, *path):
    for name in path:
        value = value.GetNonSyntheticValue().GetChildMemberWithName(name)
    return value


def plain(value):
    """The number inside a std::atomic of any standard library, or the value itself."""
    value = value.GetNonSyntheticValue()
    while value.GetNumChildren() > 0:
        value = value.GetChildAtIndex(0).GetNonSyntheticValue()
    return value.GetValueAsSigned()


def number(n, what):
    return "%d %s%s" % (n, what, "" if n == 1 else "s")


def semaphore_state(state, _=None):
    word, most = plain(member(state, "word_")), plain(member(state, "max_"))
    available = word // ONE_PERMIT
    of = "" if most == (2**63 - 1) // ONE_PERMIT else " of %d" % most
    return "%d%s available%s, %s, %d waiting" % (
        available, of, ", in debt" if available < 0 else "", "closed" if word & CLOSED else "open",
        plain(member(state, "waiting_")))


def limiter_state(state, _=None):
    return "%d of %g in flight, %d running, %d waiting, %s, %s" % (
        plain(member(state, "in_flight_")), float(member(state, "limit_").GetValue()), plain(member(state, "running_")),
        plain(member(state, "requests_", "size_")), number(plain(member(state, "requests_", "keys_")), "key"),
        member(state, "phase_").GetValue())


def semaphore(value, _):
    state = member(value, "state_", "px")
    return semaphore_state(state.Dereference()) if state.GetValueAsUnsigned() else "moved from"


def limiter(value, _):
    state = member(value, "state_", "px")
    return limiter_state(state.Dereference()) if state.GetValueAsUnsigned() else "moved from"


def permit(value, _):
    state = member(value, "state_")
    if not state.GetValueAsUnsigned():
        return "empty"
    return "%d, of the semaphore with %s" % (plain(member(value, "count_")), semaphore_state(state.Dereference()))


def admission(value, _):
    state = member(value, "state_", "px")
    if not state.GetValueAsUnsigned():
        return "empty"
    key = member(member(value, "place_", "record").Dereference(), "key_").GetValueAsUnsigned()
    return "weight %d%s, of the limiter with %s" % (
        plain(member(value, "place_", "weight")), ", key %d" % key if key else "", limiter_state(state.Dereference()))


def __lldb_init_module(debugger, _):
    for function, kind in (
        ("semaphore", r"^asio_semaphore::basic_async_semaphore<.*>$"),
        ("permit", r"^asio_semaphore::permit$"),
        ("limiter", r"^asio_semaphore::basic_limiter<.*>$"),
        ("admission", r"^asio_semaphore::admission$"),
        ("semaphore_state", r"^asio_semaphore::detail::semaphore_state<.*>$"),
        ("limiter_state", r"^asio_semaphore::detail::limiter_state<.*>$"),
    ):
        # Without the children, which are the library's own affair; --raw shows them.
        debugger.HandleCommand(
            "type summary add --category asio_semaphore --no-value --python-function %s.%s --regex '%s'" % (__name__, function, kind))
    debugger.HandleCommand("type category enable asio_semaphore")
