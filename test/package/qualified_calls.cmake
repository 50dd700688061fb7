# No free function of the operation layer is called unqualified: a handler's namespace may have one of the same name, which
# argument-dependent lookup would find too.
#
#   -Dsource=DIR    the tree

cmake_minimum_required(VERSION 3.25)

file(GLOB_RECURSE files ${source}/include/*.hpp ${source}/include/*.ipp)

# What begins at the start of a line is in a namespace; members are indented.
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
    message(SEND_ERROR "not all functions were found, only: ${names}")
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
