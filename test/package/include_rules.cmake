# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

# Checks which layer includes which headers.
#
#   -Dsource=DIR -Dlisted=A|B    the source tree, and the files of include/ that CMake lists

cmake_minimum_required(VERSION 3.25)

set(include ${source}/include)
string(REPLACE "|" ";" listed "${listed}")
file(GLOB_RECURSE files RELATIVE ${source} ${include}/*)
list(SORT files)
list(SORT listed)
if(NOT files STREQUAL listed)
    message(SEND_ERROR "in include/:\n${files}\nlisted in cmake/library.cmake and cmake/fleet.cmake, and installed:\n${listed}")
endif()

# includes_of(<file> <result>)
# Sets result to the headers that the file includes, as written between < and >.
function(includes_of file result)
    file(STRINGS ${source}/${file} lines REGEX "^[ \t]*#[ \t]*include")
    list(TRANSFORM lines REPLACE "^[ \t]*#[ \t]*include[ \t]*[<\"]([^>\"]*)[>\"].*" "\\1")
    set(${result} ${lines} PARENT_SCOPE)
endfunction()

set(macros)
foreach(file IN LISTS files)
    cmake_path(GET file STEM name)
    cmake_path(GET file EXTENSION extension)
    file(READ ${source}/${file} text)
    if(NOT text MATCHES "^(// SPDX-[^\n]*\n)+\n#pragma once\n")
        message(SEND_ERROR "${file} does not start with its license and #pragma once")
    endif()

    includes_of(${file} included)
    foreach(header IN LISTS included)
        cmake_path(GET header STEM other)
        if(header MATCHES "^asio_semaphore" AND NOT EXISTS ${include}/${header})
            message(SEND_ERROR "${file} includes ${header}, which does not exist")
        endif()
        if(file MATCHES "/detail/state/")
            if(header MATCHES "^boost/asio")
                message(SEND_ERROR "${file} belongs to the state layer, and includes Asio: ${header}")
            elseif(header MATCHES "^asio_semaphore" AND NOT header MATCHES "/detail/state/|/config\\.hpp$"
                AND NOT (name MATCHES "^(limiter_state|limiter_counts|admission_line|admission_queue|key_tree)$" AND header MATCHES "/limiter/"))
                message(SEND_ERROR "${file} belongs to the state layer, and includes a header of another layer: ${header}")
            endif()
        endif()
        # Only the store may use Boost.Redis. Script, protocol and machine must not use Asio.
        if(file MATCHES "/detail/fleet/" AND header MATCHES "^boost/redis" AND NOT name STREQUAL "redis_store")
            message(SEND_ERROR "${file} includes Boost.Redis, which only the store may use: ${header}")
        endif()
        if(file MATCHES "/detail/fleet/(impl/)?(script|protocol|ticket|limit|machine|machine_calls|machine_replies|machine_tickets)\\.[hi]pp$"
            AND header MATCHES "^boost/asio|/detail/operation/|/detail/fleet/(lines|lease|limit_line|client_state|store|redis_store|redis_store_calls|requests|end_requests)\\.")
            message(SEND_ERROR "${file} must not use Asio, and includes ${header}")
        endif()
        if(NOT file MATCHES "/fleet/" AND header MATCHES "/fleet/")
            message(SEND_ERROR "${file} does not belong to the fleet, and includes ${header}")
        endif()
        if(file MATCHES "/asio_semaphore/limiter/" AND header MATCHES "/(detail|impl)/" AND NOT header MATCHES "/limiter/|/detail/(state|operation)/")
            message(SEND_ERROR "${file} belongs to the limiter, and includes a header that is not public: ${header}")
        endif()
        if(file MATCHES "/include/asio_semaphore/detail/[^/]*$")
            message(SEND_ERROR "${file} belongs in the folder of a layer: detail/state or detail/operation")
        endif()
        # src.hpp includes all bodies. Otherwise only a header itself includes its bodies, at its end; a long header has several files of
        # bodies. There are two exceptions: the classes of the state layer need each other as complete types, so their bodies include
        # each other, and so do those of the fleet's lines.
        if(header MATCHES "\\.ipp$" AND NOT file MATCHES "/impl/src\\.hpp$|/detail/fleet/lines\\.hpp$"
            AND NOT other MATCHES "^${name}(_arrivals|_calls|_replies|_tickets)?$"
            AND NOT (file MATCHES "/impl/(admission_line|admission_line_arrivals|limiter_state|semaphore_state|waiting_line)\\.ipp$" AND header MATCHES "/detail/state/impl/"))
            message(SEND_ERROR "${file} includes the bodies of another header: ${header}")
        endif()
        if(header MATCHES "/src\\.hpp$")
            message(SEND_ERROR "${file} includes ${header}, which only one source file does")
        endif()
    endforeach()

    file(READ ${source}/${file} text)
    if(NOT extension STREQUAL ".ipp" AND NOT name STREQUAL "src")
        string(REGEX MATCH "\\.ipp>(.*)$" rest "${text}")
        if(rest MATCHES "(namespace|#include <boost|#include <[a-z_]+>)")
            message(SEND_ERROR "${file} has code after the include of its bodies")
        endif()
    endif()
    string(REGEX REPLACE "_(arrivals|calls|replies|tickets)$" "" whole "${name}")
    if(extension STREQUAL ".ipp" AND NOT text MATCHES "#include <asio_semaphore/[a-z_/]*${whole}\\.hpp>")
        message(SEND_ERROR "${file} does not include its own header")
    endif()
    if(NOT name STREQUAL "config" AND text MATCHES "BOOST_VERSION|BOOST_ASIO_VERSION")
        message(SEND_ERROR "${file} tests the version of Boost: only config.hpp may do that")
    endif()
    string(REGEX MATCHALL "#[ \t]*define[ \t]+[A-Za-z0-9_]+" defined "${text}")
    list(TRANSFORM defined REPLACE "^#[ \t]*define[ \t]+" "")
    list(APPEND macros ${defined})
endforeach()

# A program that uses only a semaphore must not have to compile the limiter.
set(reached asio_semaphore/async_semaphore.hpp)
set(unread ${reached})
while(unread)
    list(POP_FRONT unread header)
    includes_of(include/${header} included)
    list(FILTER included INCLUDE REGEX "^asio_semaphore/")
    list(REMOVE_ITEM included ${reached})
    list(APPEND reached ${included})
    list(APPEND unread ${included})
endwhile()
list(FILTER reached INCLUDE REGEX "/limiter/|limiter_|admission|admit")
if(reached)
    message(SEND_ERROR "async_semaphore.hpp includes headers of the limiter:\n${reached}")
endif()

list(REMOVE_DUPLICATES macros)
list(LENGTH macros count)
if(count GREATER 4)
    message(SEND_ERROR "more than four macros: ${macros}")
endif()
list(FILTER macros EXCLUDE REGEX "^ASIO_SEMAPHORE_")
if(macros)
    message(SEND_ERROR "macros without the prefix ASIO_SEMAPHORE_: ${macros}")
endif()
