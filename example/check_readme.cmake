# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

# cmake -Dexample=<path> -Dexpected=<path> -Dreadme=<path> -P check_readme.cmake
# Checks that the README shows the code of the example and its output, both unchanged.
file(READ ${readme} text)
file(READ ${example} code)
string(REGEX REPLACE "^(// SPDX-[^\n]*\n)+\n*" "" code "${code}")
string(FIND "${text}" "```cpp\n${code}```" place)
if(place EQUAL -1)
    message(FATAL_ERROR "${readme} does not show ${example} as it is")
endif()
file(READ ${expected} output)
string(FIND "${text}" "$ ./app\n${output}```" place)
if(place EQUAL -1)
    message(FATAL_ERROR "${readme} does not show what ${example} prints: ${output}")
endif()
