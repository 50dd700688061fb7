# Runs a program that tracks its handlers, and looks for the semaphore's operations in what it says.
#
#   -Dprogram=PROGRAM

cmake_minimum_required(VERSION 3.25)
execute_process(COMMAND ${program} ERROR_VARIABLE said COMMAND_ERROR_IS_FATAL ANY)

# created(<operation>): sets id to the number that it was created with.
macro(created operation)
    if(NOT said MATCHES "\\|0\\*([0-9]+)\\|semaphore@0x[0-9a-f]+\\.${operation}\n")
        message(FATAL_ERROR "${operation} is not to be seen:\n${said}")
    endif()
    set(id ${CMAKE_MATCH_1})
endmacro()

function(expect what)
    if(NOT said MATCHES "${what}")
        message(FATAL_ERROR "not to be seen: ${what}\n${said}")
    endif()
endfunction()

foreach(operation IN ITEMS async_acquire_permit async_acquire)
    created(${operation})
    expect(">${id}\\|ec=system:0\n")
    expect("<${id}\\|\n")
endforeach()
created(async_acquire_permit_for)
expect(">${id}\\|ec=system:[1-9][0-9]*\n.*<${id}\\|\n") # cancelled
created(async_acquire_for)
expect("~${id}\\|\n") # destroyed without being called
