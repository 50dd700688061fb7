# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

"""Shows semaphores and permits, limiters and admissions in gdb.

    (gdb) source tools/gdb/asio_semaphore.py
    (gdb) print sem
    $1 = async_semaphore: 0 of 2 available, open, 2 waiting = {
      [0] = 1 permit, at 0x5555555e4360, void (error_code, permit), coroutine session at server.cpp:31,
      [1] = 2 permits, at 0x5555555e5f10, void (error_code), with a deadline, handler = main()::<lambda(error_code)>}
    (gdb) print lim
    $2 = limiter: 3 of 3.5 in flight, 2 running, 1 waiting, 1 key, open = {
      [0] = weight 2, priority 1, key 17, at 0x5555555e4360, handler = main()::<lambda(error_code, admission)>}

For each waiting operation the printers show the request, and the coroutine that awaits it or else the type of its handler. After
`set asio-semaphore-handlers on` they show the handler's value. The printers only read memory, so they work on core dumps too.
"""

import re

import gdb

QUEUED, CLOSED, ONE_PERMIT = 1, 2, 4


class ShowHandlers(gdb.Parameter):
    """Whether the printers show the handlers of waiting operations in full, or only their types."""

    set_doc = "Print the waiting handlers of asio_semaphore in full"
    show_doc = "Show whether the waiting handlers of asio_semaphore are printed in full"

    def __init__(self):
        super().__init__("asio-semaphore-handlers", gdb.COMMAND_DATA, gdb.PARAM_BOOLEAN)
        self.value = False

    def get_set_string(self):
        return ""


show_handlers = ShowHandlers()


def plain(value):
    """The value inside a std::atomic of libstdc++ or libc++, including std::atomic<bool>; any other value unchanged."""
    for member in ("_M_base", "_M_i", "_M_b", "_M_p", "__a_", "__a_value"):
        if value.type.strip_typedefs().code != gdb.TYPE_CODE_STRUCT:
            break
        try:
            value = value[member]
        except gdb.error:
            pass
    return value


def enumerator(value):
    return str(value).rsplit("::", 1)[-1]


def shorter(name):
    """The name of a type without the namespaces and default arguments that clutter the types of handlers."""
    for long, short in (
        ("std::__cxx11::", "std::"),
        ("boost::asio::", "asio::"),
        ("boost::system::error_code", "error_code"),
        ("asio_semaphore::", ""),
    ):
        name = name.replace(long, short)
    return re.sub(r"asio::any_executor<.*?execution::prefer_only<[^<>]*<0>\s*>\s*>", "any_io_executor", name)


def number(n, what):
    return "%d %s%s" % (n, what, "" if n == 1 else "s")


class Line:
    """The contents of a detail::waiting_line: the waiting operations."""

    def __init__(self, state):
        self.address = int(state.address)
        self.waiting = int(plain(state["waiting_"]))
        self.end = state["queue_"]["list_"]["end_"]
        threads = state["queue_"].type.strip_typedefs().template_argument(0)
        self.kind = gdb.lookup_type("asio_semaphore::detail::waiter<%s>" % threads)

    def waiters(self):
        """A line for each waiter in the list; at most as many as the count says, in case the list is broken."""
        # A node of the list is a base class of its waiter.
        offset = next(f.bitpos // 8 for f in self.kind.fields() if f.is_base_class)
        end = int(self.end.address)
        node = int(self.end["next"])
        for index in range(self.waiting):
            if node in (0, end):
                return
            yield index, Waiter(node - offset, self.kind).to_string()
            node = int(value_at(node, self.end.type)["next"])


class SemaphoreState(Line):
    """The contents of a detail::semaphore_state."""

    name = "semaphore"

    def __init__(self, state):
        super().__init__(state)
        word = int(plain(state["word_"]))
        self.available = word // ONE_PERMIT
        self.max = int(state["max_"])
        self.closed = bool(word & CLOSED)
        self.unlimited = self.max == (2 ** 63 - 1) // ONE_PERMIT

    def summary(self):
        available = "%d" % self.available if self.unlimited else "%d of %d" % (self.available, self.max)
        debt = ", in debt" if self.available < 0 else ""
        return "%s available%s, %s, %d waiting" % (
            available, debt, "closed" if self.closed else "open", self.waiting)


class LimiterState(Line):
    """The contents of a detail::limiter_state."""

    name = "limiter"

    def __init__(self, state):
        super().__init__(state)
        self.limit = float(state["limit_"])
        self.in_flight = int(state["in_flight_"])
        self.running = int(state["running_"])
        self.requests = int(state["requests_"]["size_"])
        self.keys = int(state["requests_"]["keys_"])
        self.phase = enumerator(state["phase_"])

    def summary(self):
        return "%d of %g in flight, %d running, %d waiting, %s, %s" % (
            self.in_flight, self.limit, self.running, self.requests, number(self.keys, "key"), self.phase)


def value_at(address, kind):
    return gdb.Value(address).cast(kind.pointer()).dereference()


def member(address, kind, name):
    """A member of the object at an address. Reads only the member: for the whole object, gdb would search the dynamic type by its
    name, and warn if that is the name of a lambda, which it cannot find."""
    for field in kind.strip_typedefs().fields():
        if field.name == name:
            return value_at(address + field.bitpos // 8, field.type)
        if field.is_base_class:
            found = member(address + field.bitpos // 8, field.type, name)
            if found is not None:
                return found
    return None


def operation_type(waiter):
    """The acquire_operation type of a waiter; None if the program has no debug information about it."""
    # In the operation's first virtual function, the type of `this` is the operation's type.
    pointer = gdb.lookup_type("long")
    block = gdb.block_for_pc(int(value_at(int(value_at(waiter, pointer)), pointer)))
    while block is not None and block.function is None:
        block = block.superblock
    for symbol in block or ():
        if symbol.name == "this":
            return symbol.type.strip_typedefs().unqualified().target().strip_typedefs()
    return None


def template_arguments(name):
    """The arguments in the name of a template specialisation: for a<b<c, d>, e> these are b<c, d> and e."""
    arguments, depth = [""], 0
    for character in name[name.index("<") + 1:name.rindex(">")]:
        depth += (character in "<({") - (character in ">)}")
        if character == "," and depth == 0:
            arguments.append("")
        else:
            arguments[-1] += character
    return [argument.strip() for argument in arguments]


def coroutine(handler):
    """The user's coroutine that awaits an operation with this handler, skipping Asio's own; None if there is none."""
    try:
        frame = handler["bottom_of_stack_"]["frame_"]["top_of_stack_"]
        while int(frame) != 0:
            pc = resumes_at(frame["coro_"])
            block = gdb.block_for_pc(pc)
            name = block.function.name if block is not None and block.function is not None else "boost::asio::"
            if not name.startswith("boost::asio::"):
                where = gdb.find_pc_line(pc)
                return "coroutine %s at %s:%d" % (
                    name.split("(")[0], where.symtab.filename.rsplit("/", 1)[-1], where.line)
            frame = frame["caller_"]
    except gdb.error:
        pass
    return None


def resumes_at(handle):
    """The function that a std::coroutine_handle of libstdc++ or libc++ resumes; its address is the first word of the frame."""
    names = [field.name for field in handle.type.strip_typedefs().fields()]
    address = int(handle["_M_fr_ptr" if "_M_fr_ptr" in names else "__handle_"])
    return int(gdb.Value(address).cast(gdb.lookup_type("long").pointer()).dereference())


class Waiter:
    """One line: the request of an operation, and its coroutine or handler."""

    def __init__(self, address, kind):
        self.address = address
        self.kind = kind

    def to_string(self):
        count = int(member(self.address, self.kind, "count"))
        at = "at %#x" % self.address
        whole = operation_type(self.address)
        if whole is None:
            return "%d, %s" % (count, at)
        request, handler, route = template_arguments(whole.name)
        if "<" in request:
            line = "%s, %s, %s" % (number(count, "permit"), at, shorter(template_arguments(request)[0]))
            if member(self.address, self.kind, "is_timed"):
                line += ", with a deadline"
        else:
            line = "%s, %s" % (self.asked_of_limiter(count, whole), at)
        value = member(self.address, whole, "handler_")
        who = coroutine(value)
        if show_handlers.value:
            return "%s, handler = %s" % (line, value)
        return "%s, %s" % (line, who or "handler = " + shorter(handler))

    def asked_of_limiter(self, weight, whole):
        if weight == 0:
            return "until it is idle"
        line = "weight %d, priority %d" % (weight, int(member(self.address, whole, "stamp_")) & 3)
        key = int(member(self.address, whole, "key"))
        return "%s, key %d" % (line, key) if key != 0 else line


class ObjectPrinter:
    """A semaphore or a limiter."""

    def __init__(self, value):
        name = str(value.type.strip_typedefs().template_argument(0))
        self.name = (self.plain_name if "any_io_executor" in name or "any_executor<" in name
                     else "basic_%s<%s>" % (self.plain_name, shorter(name)))
        pointer = value["state_"]["px"]
        self.state = self.state_type(pointer.dereference()) if int(pointer) != 0 else None

    def to_string(self):
        if self.state is None:
            return "%s: moved from" % self.name
        return "%s: %s" % (self.name, self.state.summary())

    def children(self):
        if self.state is None:
            return
        for index, waiter in self.state.waiters():
            yield "[%d]" % index, waiter


class SemaphorePrinter(ObjectPrinter):
    plain_name, state_type = "async_semaphore", SemaphoreState


class LimiterPrinter(ObjectPrinter):
    plain_name, state_type = "limiter", LimiterState


class PermitPrinter:
    def __init__(self, value):
        self.count = int(value["count_"])
        pointer = value["state_"]
        self.state = SemaphoreState(pointer.dereference()) if int(pointer) != 0 else None

    def to_string(self):
        if self.state is None:
            return "permit: empty"
        return "permit: %d, of the semaphore with %s (state at %#x)" % (
            self.count, self.state.summary(), self.state.address)


class AdmissionPrinter:
    def __init__(self, value):
        self.place = value["place_"]
        pointer = value["state_"]["px"]
        self.state = LimiterState(pointer.dereference()) if int(pointer) != 0 else None

    def to_string(self):
        if self.state is None:
            return "admission: empty"
        key = int(self.place["record"]["key_"])
        return "admission: weight %d%s, of the limiter with %s (state at %#x)" % (
            int(self.place["weight"]), ", key %d" % key if key != 0 else "", self.state.summary(), self.state.address)


class StatePrinter:
    def __init__(self, value):
        self.state = self.state_type(value)

    def to_string(self):
        return "%s_state: %s" % (self.state.name, self.state.summary())

    def children(self):
        for index, waiter in self.state.waiters():
            yield "[%d]" % index, waiter


class SemaphoreStatePrinter(StatePrinter):
    state_type = SemaphoreState


class LimiterStatePrinter(StatePrinter):
    state_type = LimiterState


def printers():
    import gdb.printing

    collection = gdb.printing.RegexpCollectionPrettyPrinter("asio_semaphore")
    collection.add_printer("semaphore", r"^asio_semaphore::basic_async_semaphore<.*>$", SemaphorePrinter)
    collection.add_printer("permit", r"^asio_semaphore::permit$", PermitPrinter)
    collection.add_printer("state", r"^asio_semaphore::detail::semaphore_state<.*>$", SemaphoreStatePrinter)
    collection.add_printer("limiter", r"^asio_semaphore::basic_limiter<.*>$", LimiterPrinter)
    collection.add_printer("admission", r"^asio_semaphore::admission$", AdmissionPrinter)
    collection.add_printer("limiter_state", r"^asio_semaphore::detail::limiter_state<.*>$", LimiterStatePrinter)
    return collection


def register():
    import gdb.printing

    gdb.printing.register_pretty_printer(None, printers(), replace=True)


register()
