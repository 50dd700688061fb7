# Compiles wrong code, and checks that the first error that the compiler reports is the one to report. Or all of it together
# without what is wrong, which stands between #ifdef CORRECT and #else or #endif: that has to compile.
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
    message(FATAL_ERROR "${file} does not say what the compiler should say")
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
