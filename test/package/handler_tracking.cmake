# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

# Runs a program with Asio's handler tracking, and checks that the output has the operations of a semaphore and of a limiter.
#
#   -Dprogram=PROGRAM

cmake_minimum_required(VERSION 3.25)
execute_process(COMMAND ${program} ERROR_VARIABLE said COMMAND_ERROR_IS_FATAL ANY)

# created(<limit> <operation> <n>)
# Sets id to the number of the handler of the n-th such operation.
macro(created limit operation n)
    string(REGEX MATCHALL "\\|0\\*[0-9]+\\|${limit}@0x[0-9a-f]+\\.${operation}\n" all "${said}")
    list(LENGTH all count)
    if(count LESS ${n})
        message(FATAL_ERROR "the output has ${operation} of a ${limit} ${count} times, not ${n}:\n${said}")
    endif()
    math(EXPR index "${n} - 1")
    list(GET all ${index} id)
    string(REGEX REPLACE "^\\|0\\*([0-9]+).*" "\\1" id "${id}")
endmacro()

function(expect what)
    if(NOT said MATCHES "${what}")
        message(FATAL_ERROR "not in the output: ${what}\n${said}")
    endif()
endfunction()

# How the operation ended:
function(expect_success id)
    expect(">${id}\\|ec=system:0\n")
    expect("<${id}\\|\n")
endfunction()
function(expect_error id)
    expect(">${id}\\|ec=system:[1-9][0-9]*\n.*<${id}\\|\n")
endfunction()
function(expect_drop id) # the handler was destroyed without being called
    expect("~${id}\\|\n")
endfunction()

created(semaphore async_acquire_permit 1)
expect_success(${id})
created(semaphore async_acquire 1)
expect_success(${id})
created(semaphore async_acquire_permit_for 1)
expect_error(${id}) # cancelled
created(semaphore async_acquire_for 1)
expect_drop(${id})

created(limiter async_admit 1)
expect_success(${id})
created(limiter async_admit 2)
expect_error(${id}) # cancelled
created(limiter async_wait_idle 1)
expect_success(${id})
created(limiter async_admit 3)
expect_drop(${id})
