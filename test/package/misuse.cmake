# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

# With -Dfile: compiles a file with a mistake, and checks that the compiler's first error is the expected one. With -Dfiles: checks that the
# files compile with the macro CORRECT, which replaces each mistake by correct code.
#
#   -Dfile=FILE -Dcompiler=PROGRAM -Dflags=A|B
#   -Dfiles=A|B -Dcompiler=PROGRAM -Dflags=A|B -Ddirectory=DIR

cmake_minimum_required(VERSION 3.25)
string(REPLACE "|" ";" flags "${flags}")
set(ENV{LC_ALL} C)

if(files)
    string(REPLACE "|" ";" files "${files}")
    list(TRANSFORM files REPLACE "(.+)" "#include \"\\1\"\n")
    list(JOIN files "" text)
    file(WRITE ${directory}/correct.cpp "${text}")
    execute_process(COMMAND ${compiler} ${flags} -fsyntax-only -DCORRECT ${directory}/correct.cpp
        COMMAND_ERROR_IS_FATAL ANY)
    return()
endif()

file(STRINGS ${file} expected REGEX "^// refused: ")
string(REGEX REPLACE "^// refused: " "" expected "${expected}")
if(NOT expected)
    message(FATAL_ERROR "${file} does not state the expected error in a line \"// refused: \"")
endif()
execute_process(COMMAND ${compiler} ${flags} -fsyntax-only ${file} ERROR_VARIABLE output RESULT_VARIABLE result)
if(result EQUAL 0)
    message(FATAL_ERROR "the wrong code compiles")
endif()
string(REPLACE ";" "," output "${output}")
string(REGEX MATCH "[^\n]*error: [^\n]*" first "${output}")
if(NOT first MATCHES "${expected}")
    message(FATAL_ERROR "the first error is not about \"${expected}\", but:\n${first}\n\nall of it:\n${output}")
endif()
