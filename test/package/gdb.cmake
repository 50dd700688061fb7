# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

# Stops a program in gdb, and checks the output of the pretty-printers.
#
#   -Dgdb=PROGRAM -Dprogram=FILE -Dprinters=FILE

cmake_minimum_required(VERSION 3.25)

# LeakSanitizer does not work in a program that is being debugged.
set(ENV{ASAN_OPTIONS} detect_leaks=0)
set(commands "set width 0" "set print pretty off" "source ${printers}" "break stop_here" run up)
foreach(expression IN ITEMS busy idle closed gone held empty *held.state_)
    list(APPEND commands "print ${expression}")
endforeach()
list(APPEND commands "set asio-semaphore-handlers on" "print busy" "set asio-semaphore-handlers off")
foreach(expression IN ITEMS limited ended place no_place *place.state_.px)
    list(APPEND commands "print ${expression}")
endforeach()
list(APPEND commands kill)
list(TRANSFORM commands PREPEND "-ex;")
execute_process(COMMAND ${gdb} -batch -nx ${commands} ${program}
    OUTPUT_VARIABLE output ERROR_VARIABLE output TIMEOUT 60)
if(NOT output MATCHES "stop_here \\(")
    # A container may forbid ptrace.
    message("gdb cannot run the program here:\n${output}")
    return()
endif()

set(at "at 0x[0-9a-f]+")
set(permit_signature "void ?\\(error_code, permit\\)")
set(summary "1 of 5 available, open, 3 waiting")
set(waiters "\\[0\\] = 4 permits, ${at}, ${permit_signature}, handler = patient_client, \\[1\\] = 2 permits, ${at}, void ?\\(error_code\\), with a deadline, handler = [^,]*lambda[^,]*, \\[2\\] = 1 permit, ${at}, ${permit_signature}, coroutine waiting_session at waiting.cpp:[1-9][0-9]*")
set(expected
    "1 = async_semaphore: ${summary} = {${waiters}}"
    "2 = basic_async_semaphore<asio::io_context::basic_executor_type<[^\n]*>>: -2 available, in debt, open, 0 waiting"
    "3 = async_semaphore: 1 of 1 available, closed, 0 waiting"
    "4 = async_semaphore: moved from"
    "5 = permit: 2, of the semaphore with ${summary} \\(state ${at}\\)"
    "6 = permit: empty"
    "7 = semaphore_state: ${summary} = {${waiters}}"
    "8 = async_semaphore: ${summary} = {\\[0\\] = 4 permits, ${at}, ${permit_signature}, handler = {number = 17},")
set(summary "2 of 3 in flight, 1 running, 2 waiting, 1 key, open")
set(waiters "\\[0\\] = weight 2, priority 0, ${at}, handler = patient_request, \\[1\\] = weight 2, priority 1, key 17, ${at}, handler = patient_request, \\[2\\] = until it is idle, ${at}, handler = [^,]*lambda")
list(APPEND expected
    "9 = limiter: ${summary} = {${waiters}"
    "10 = limiter: 0 of 1 in flight, 0 running, 0 waiting, 0 keys, closed"
    "11 = admission: weight 2, of the limiter with ${summary} \\(state ${at}\\)"
    "12 = admission: empty"
    "13 = limiter_state: ${summary} = {${waiters}")
foreach(line IN LISTS expected)
    if(NOT output MATCHES "\n.${line}")
        message(SEND_ERROR "gdb does not show\n${line}\nbut\n${output}")
    endif()
endforeach()
