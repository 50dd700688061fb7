# Stops a program in gdb and compares what the pretty-printers show.
#
#   -Dgdb=PROGRAM -Dprogram=FILE -Dprinters=FILE

cmake_minimum_required(VERSION 3.25)

# A debugged program can't look for leaks.
set(ENV{ASAN_OPTIONS} detect_leaks=0)
set(commands "set width 0" "set print pretty off" "source ${printers}" "break stop_here" run up)
foreach(expression IN ITEMS busy idle closed gone held empty *held.state_)
    list(APPEND commands "print ${expression}")
endforeach()
list(APPEND commands "set asio-semaphore-handlers on" "print busy" kill)
list(TRANSFORM commands PREPEND "-ex;")
execute_process(COMMAND ${gdb} -batch -nx ${commands} ${program}
    OUTPUT_VARIABLE output ERROR_VARIABLE output TIMEOUT 60)
if(NOT output MATCHES "stop_here \\(")
    # Containers may forbid to trace.
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
foreach(line IN LISTS expected)
    if(NOT output MATCHES "\n.${line}")
        message(SEND_ERROR "gdb does not show\n${line}\nbut\n${output}")
    endif()
endforeach()
