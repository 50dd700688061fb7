# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

# Checks that every call of a free function of the operation layer is qualified. Otherwise argument-dependent lookup could find a function
# with the same name in the namespace of a handler.
#
#   -Dsource=DIR    the source tree

cmake_minimum_required(VERSION 3.25)

file(GLOB_RECURSE files ${source}/include/*.hpp ${source}/include/*.ipp)

# Free functions start at the beginning of a line; member functions are indented.
set(names)
foreach(file IN LISTS files)
    if(file MATCHES "/detail/operation/")
        file(READ ${file} text)
        string(REGEX MATCHALL "\n[a-zA-Z_][^\n;{}()=#]*[ \n]+[a-z][a-z0-9_]*\\(" found "${text}")
        foreach(match IN LISTS found)
            string(REGEX REPLACE ".*[ \n]([a-z][a-z0-9_]*)\\($" "\\1" name "${match}")
            list(APPEND names ${name})
        endforeach()
    endif()
endforeach()
list(REMOVE_DUPLICATES names)
list(LENGTH names count)
if(NOT "post_to" IN_LIST names OR NOT "start_acquire" IN_LIST names OR count LESS 15)
    message(SEND_ERROR "the script finds only these functions: ${names}")
endif()

foreach(file IN LISTS files)
    file(STRINGS ${file} lines)
    foreach(line IN LISTS lines)
        if(NOT line MATCHES "^ +" OR line MATCHES "^ *//|^ *\\*")
            continue()
        endif()
        string(REGEX MATCHALL "[^a-zA-Z0-9_:.>~]([a-z][a-z0-9_]*)(<[^;]*>)?\\(" calls "${line}")
        foreach(call IN LISTS calls)
            string(REGEX REPLACE "^[^a-zA-Z]([a-z][a-z0-9_]*).*" "\\1" name "${call}")
            if(name IN_LIST names AND NOT line MATCHES "^    (static |explicit |void |bool |friend )?${name}\\(")
                message(SEND_ERROR "${file} calls ${name} without detail:: in\n${line}")
            endif()
        endforeach()
    endforeach()
endforeach()
