# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

# Checks that every Boost library that a header includes is listed where each library has its own name: in the CMake targets of a Boost that
# is built along with this project, and in the dependencies of the vcpkg port.
#
#   -Dsource=DIR    the source tree

cmake_minimum_required(VERSION 3.25)

# named(<file> <regex> <result>): sets result to all matches of the regular expression's group in the file
function(named file regex result)
    file(STRINGS ${source}/${file} lines REGEX "${regex}")
    string(REGEX MATCHALL "${regex}" all "${lines}")
    list(TRANSFORM all REPLACE "${regex}" "\\1")
    list(REMOVE_DUPLICATES all)
    set(${result} ${all} PARENT_SCOPE)
endfunction()

function(expect_all what wanted)
    foreach(library IN LISTS wanted)
        if(NOT library IN_LIST ARGN)
            message(SEND_ERROR "${what}: a header includes Boost's ${library}, which is not listed")
        endif()
    endforeach()
endfunction()

file(GLOB_RECURSE files RELATIVE ${source} ${source}/include/*)
set(library)
set(fleet)
foreach(file IN LISTS files)
    named(${file} "#include <boost/([a-z_0-9]+)[^>]*>" included)
    list(TRANSFORM included REPLACE "^version$" "config")
    if(file MATCHES "/fleet/")
        list(APPEND fleet ${included})
    else()
        list(APPEND library ${included})
    endif()
endforeach()
list(REMOVE_DUPLICATES library)
list(REMOVE_DUPLICATES fleet)
if(NOT "asio" IN_LIST library OR NOT "redis" IN_LIST fleet)
    message(FATAL_ERROR "not all includes were found, only ${library}; in the fleet ${fleet}")
endif()

named(cmake/library.cmake "Boost::([a-z_0-9]+)" targets)
named(cmake/fleet.cmake "Boost::([a-z_0-9]+)" fleet_targets)
expect_all(cmake/library.cmake "${library}" ${targets})
expect_all(cmake/fleet.cmake "${fleet}" ${targets} ${fleet_targets})

file(READ ${source}/packaging/vcpkg/asio-semaphore/vcpkg.json manifest)
# dependencies_of(<result> <member>...): sets result to the Boost libraries in a list of dependencies
function(dependencies_of result)
    string(JSON list GET "${manifest}" ${ARGN})
    string(REGEX MATCHALL "\"boost-[a-z0-9-]+\"" ports "${list}")
    list(TRANSFORM ports REPLACE "\"boost-(.*)\"" "\\1")
    list(TRANSFORM ports REPLACE "-" "_")
    set(${result} ${ports} PARENT_SCOPE)
endfunction()
dependencies_of(ports dependencies)
dependencies_of(fleet_ports features fleet dependencies)
expect_all(vcpkg.json "${library}" ${ports})
expect_all("vcpkg.json, feature fleet" "${fleet}" ${ports} ${fleet_ports})
