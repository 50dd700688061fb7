#!/usr/bin/env python3
# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

"""How long translation units take to compile, next to one that includes Asio's timer alone.

    compile_time.py --compiler CXX --include DIR... [--rounds N]

Each is compiled once a round, in turn; the processor time is divided by the timer's of the same
round. It is the front end's, which is what a header costs; the uses are also compiled to optimised
objects. Prints medians and quartiles, tab separated."""

import argparse
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile

TIMER = "#include <boost/asio/steady_timer.hpp>\n"
SEMAPHORE = "#include <asio_semaphore/async_semaphore.hpp>\n"
LIMITER = "#include <asio_semaphore/limiter/limiter.hpp>\n"
CHANNEL = "#include <boost/asio/experimental/channel.hpp>\n"
USE = "#include <boost/asio/io_context.hpp>\nusing boost::system::error_code;\n"

UNITS = {
    ("steady_timer", "include"): TIMER,
    ("async_semaphore", "include"): SEMAPHORE,
    ("async_semaphore", "one use"): SEMAPHORE + USE + """
void f(boost::asio::io_context& context) {
    static asio_semaphore::async_semaphore sem(context, 1);
    sem.async_acquire([](error_code) { sem.release(); });
}
""",
    ("async_semaphore, permits", "one use"): SEMAPHORE + USE + """
void f(boost::asio::io_context& context) {
    static asio_semaphore::async_semaphore sem(context, 1);
    sem.async_acquire_permit([](error_code, asio_semaphore::permit) {});
}
""",
    ("limiter", "include"): LIMITER,
    ("limiter", "one use"): LIMITER + USE + """
void f(boost::asio::io_context& context) {
    static asio_semaphore::limiter limiter(context, 1);
    limiter.async_admit([](error_code, asio_semaphore::admission place) { place.finish(); });
}
""",
    ("channel", "include"): CHANNEL,
    ("channel", "one use"): CHANNEL + USE + """
void f(boost::asio::io_context& context) {
    static boost::asio::experimental::channel<void(error_code)> sem(context, 1);
    sem.async_receive([](error_code) { sem.try_send(error_code()); });
}
""",
    ("steady_timer", "one use"): TIMER + USE + """
void f(boost::asio::io_context& context) {
    static boost::asio::steady_timer timer(context);
    timer.async_wait([](error_code) { timer.cancel_one(); });
}
""",
}


for who, what in list(UNITS):
    if what == "one use":
        UNITS[who, "one use, to an object with -O2"] = UNITS[who, what]
for (who, what), text in list(UNITS.items()):
    if who.startswith(("async_semaphore", "limiter")):
        UNITS[who + ", compiled", what] = "#define ASIO_SEMAPHORE_SEPARATE_COMPILATION\n" + text


def compile_seconds(command, source):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command + [source], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def quartiles(figures):
    """Median, lower and upper quartile."""
    if len(figures) == 1:
        return figures * 3
    lower, median, upper = statistics.quantiles(figures, n=4, method="inclusive")
    return [median, lower, upper]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--compiler", default="g++")
    parser.add_argument("--include", action="append", default=[])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()

    times = {unit: [] for unit in UNITS}
    with tempfile.TemporaryDirectory() as directory:
        command = [options.compiler, "-std=c++20", "-DNDEBUG"]
        parse = ["-fsyntax-only"]
        compile_ = ["-O2", "-c", "-o", os.path.join(directory, "unit.o")]
        for include in options.include:
            command += ["-isystem", include]
        sources = {}
        for i, (unit, text) in enumerate(UNITS.items()):
            sources[unit] = os.path.join(directory, f"unit{i}.cpp")
            with open(sources[unit], "w") as file:
                file.write(text)
        for round_ in range(options.rounds):
            order = list(UNITS)
            random.shuffle(order)
            for done, unit in enumerate(order, 1):
                print(f"\rcompile time: round {round_ + 1} of {options.rounds}, "
                      f"{done} of {len(order)}   ", end="", file=sys.stderr, flush=True)
                times[unit].append(compile_seconds(
                    command + (compile_ if "-O2" in unit[1] else parse), sources[unit]))
        print(file=sys.stderr)

    base = times["steady_timer", "include"]
    print("who\twhat\tseconds\tseconds lower\tseconds upper\tratio\tlower\tupper")
    for (who, what), seconds in times.items():
        figures = quartiles(seconds) + quartiles([t / b for t, b in zip(seconds, base)])
        print("\t".join([who, what] + [f"{figure:.2f}" for figure in figures]))


if __name__ == "__main__":
    main()
