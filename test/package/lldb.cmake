# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

# Stops a program in lldb, and checks the output of the summaries.
#
#   -Dlldb=PROGRAM -Dprogram=FILE -Dsummaries=FILE

cmake_minimum_required(VERSION 3.25)

# lldb 14 of Debian looks for its Python module in a folder that does not exist.
file(GLOB modules /usr/lib/llvm-*/lib/python3*/dist-packages)
list(JOIN modules : modules)
set(ENV{PYTHONPATH} "${modules}")
set(ENV{ASAN_OPTIONS} detect_leaks=0) # LeakSanitizer does not work in a program that is being debugged
set(commands
    "command script import ${summaries}"
    "breakpoint set --name stop_here"
    run
    up
    "frame variable busy idle closed gone held empty limited ended place no_place *held.state_ *place.state_.px"
    kill)
list(TRANSFORM commands PREPEND "-o;")
execute_process(COMMAND ${lldb} --batch --no-lldbinit ${commands} -- ${program}
    OUTPUT_VARIABLE output ERROR_VARIABLE output TIMEOUT 60)
if(NOT output MATCHES "stop_here\\(")
    # A container may forbid ptrace.
    message("lldb cannot run the program here:\n${output}")
    return()
endif()

set(semaphore "1 of 5 available, open, 3 waiting")
set(limiter "2 of 3 in flight, 1 running, 2 waiting, 1 key, open")
foreach(line IN ITEMS
    "busy = ${semaphore}"
    "idle = -2 available, in debt, open, 0 waiting"
    "closed = 1 of 1 available, closed, 0 waiting"
    "gone = moved from"
    "held = 2, of the semaphore with ${semaphore}"
    "empty = empty"
    "limited = ${limiter}"
    "ended = 0 of 1 in flight, 0 running, 0 waiting, 0 keys, closed"
    "place = weight 2, of the limiter with ${limiter}"
    "no_place = empty"
    "*held.state_ = ${semaphore}"
    "*place.state_.px = ${limiter}")
    string(FIND "${output}" ") ${line}\n" at)
    if(at EQUAL -1)
        message(SEND_ERROR "lldb does not show\n${line}\nbut\n${output}")
    endif()
endforeach()
