# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

# Compiles, links and runs a program with the flags of pkg-config. The only other flag is the path of Boost, which has no file for
# pkg-config.
#
#   -Dprefix=DIR -Dpkg_config=PROGRAM -Dcompiler=PROGRAM -Dflags=A|B -Dboost=DIR -Dversion=X.Y.Z -Ddirectory=DIR

cmake_minimum_required(VERSION 3.25)

file(GLOB_RECURSE files ${prefix}/*.pc)
list(GET files 0 file)
cmake_path(GET file PARENT_PATH path)
set(ENV{PKG_CONFIG_PATH} ${path})
string(REPLACE "|" ";" flags "${flags}")
file(MAKE_DIRECTORY ${directory})

foreach(package IN ITEMS asio_semaphore asio_semaphore-compiled)
    foreach(question IN ITEMS modversion cflags libs)
        execute_process(COMMAND ${pkg_config} --${question} ${package}
            OUTPUT_VARIABLE ${question} OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
        separate_arguments(${question} UNIX_COMMAND "${${question}}")
    endforeach()
    if(NOT modversion STREQUAL version)
        message(FATAL_ERROR "pkg-config reports version ${modversion} for ${package}, not ${version}")
    endif()
    set(expect)
    if(package MATCHES compiled)
        set(expect -DEXPECT_COMPILED)
    endif()
    execute_process(
        COMMAND ${compiler} ${flags} -std=c++17 ${expect} ${cflags} -I${boost}
            ${CMAKE_CURRENT_LIST_DIR}/program.cpp -o ${directory}/${package} ${libs}
        COMMAND_ERROR_IS_FATAL ANY)
    execute_process(COMMAND ${directory}/${package} COMMAND_ERROR_IS_FATAL ANY)
endforeach()
