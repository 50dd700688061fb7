# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

# Checks the default build type. As a top-level project the library is built optimised, unless the user sets a build type. A larger project
# that sets no build type keeps none.
#
#   -Dsource=DIR -Dconsumer=DIR               this project, and one that contains it as a subdirectory
#   -Dbuild=DIR -Dparent=FILE -Dgenerator=NAME

cmake_minimum_required(VERSION 3.25)

file(REMOVE_RECURSE ${build})
unset(ENV{CMAKE_BUILD_TYPE})

# expect_build_type(<wanted> <project> <argument>...)
function(expect_build_type wanted project)
    file(REMOVE_RECURSE ${build})
    execute_process(
        COMMAND ${CMAKE_COMMAND} -S ${project} -B ${build} -G ${generator} -C ${parent} -U CMAKE_BUILD_TYPE ${ARGN}
        OUTPUT_VARIABLE output ERROR_VARIABLE output RESULT_VARIABLE result)
    if(NOT result EQUAL 0)
        message(FATAL_ERROR "does not configure:\n${output}")
    endif()
    file(STRINGS ${build}/CMakeCache.txt line REGEX "^CMAKE_BUILD_TYPE:")
    string(REGEX REPLACE "^[^=]*=" "" found "${line}")
    if(NOT found STREQUAL wanted)
        message(SEND_ERROR "${project} ${ARGN}: the build type is \"${found}\", not \"${wanted}\"")
    endif()
endfunction()

# The options that the README uses for the installation.
set(library_alone -DASIO_SEMAPHORE_BUILD_TESTS=OFF -DASIO_SEMAPHORE_BUILD_EXAMPLES=OFF)
expect_build_type(Release ${source} ${library_alone})
expect_build_type(Debug ${source} ${library_alone} -DCMAKE_BUILD_TYPE=Debug)
expect_build_type("" ${consumer})
