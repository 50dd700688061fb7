# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

# cmake -Dprogram=<path> -Dexpected=<path> -P check_output.cmake
# Runs an example, and compares its output byte for byte with the expected file next to its source.
execute_process(COMMAND ${program} OUTPUT_VARIABLE actual RESULT_VARIABLE result)
file(READ ${expected} wanted)
if(NOT result EQUAL 0)
    message(FATAL_ERROR "ended with ${result}, after printing:\n${actual}")
endif()
if(NOT actual STREQUAL wanted)
    message(FATAL_ERROR "printed:\n${actual}\nexpected, from ${expected}:\n${wanted}")
endif()
