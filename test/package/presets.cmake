# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

# Checks that CMake can read the presets, and that all expected presets exist, each with its workflow.
#
#   -Dsource=DIR

cmake_minimum_required(VERSION 3.25)
foreach(kind IN ITEMS configure build test workflow)
    execute_process(COMMAND ${CMAKE_COMMAND} --list-presets=${kind} WORKING_DIRECTORY ${source}
        OUTPUT_VARIABLE output COMMAND_ERROR_IS_FATAL ANY)
    set(names dev release asan tsan header-only)
    if(NOT kind STREQUAL test)
        list(APPEND names tidy)
    endif()
    foreach(name IN LISTS names)
        if(NOT output MATCHES "\"${name}\"")
            message(SEND_ERROR "there is no ${kind} preset ${name}:\n${output}")
        endif()
    endforeach()
endforeach()
