# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

# Checks that every header compiles on its own, for one C++ standard.
#
#   -Dcompiler=PROGRAM -Dflags=A|B -Dheaders=A|B -Ddirectory=DIR

cmake_minimum_required(VERSION 3.25)

string(REPLACE "|" ";" flags "${flags}")
string(REPLACE "|" ";" headers "${headers}")
set(nothing ${directory}/nothing.cpp)
file(WRITE ${nothing} "")
foreach(header IN LISTS headers)
    string(REGEX REPLACE "^include/" "" header ${header})
    execute_process(COMMAND ${compiler} ${flags} -fsyntax-only -include ${header} ${nothing}
        ERROR_VARIABLE output RESULT_VARIABLE result)
    if(NOT result EQUAL 0)
        message(SEND_ERROR "${header}:\n${output}")
    endif()
endforeach()
