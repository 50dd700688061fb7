# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

# Installs this build, and then moves the installation to another directory, where it has to work too.
#
#   -Dbuild=DIR -Dconfig=CONFIG -Dprefix=DIR -Dsource=DIR -Dheaders=A|B

cmake_minimum_required(VERSION 3.25)

set(stage ${prefix}.stage)
file(REMOVE_RECURSE ${prefix} ${stage})
if(config)
    set(config --config ${config})
endif()
execute_process(COMMAND ${CMAKE_COMMAND} --build ${build} ${config} --target asio_semaphore_compiled
    OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${CMAKE_COMMAND} --install ${build} ${config} --prefix ${stage}
    OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
file(RENAME ${stage} ${prefix})

string(REPLACE "|" ";" headers "${headers}")
file(GLOB_RECURSE installed RELATIVE ${prefix} ${prefix}/*)
foreach(header IN LISTS headers)
    if(NOT EXISTS ${prefix}/${header})
        message(SEND_ERROR "${header} is not installed")
    endif()
    list(REMOVE_ITEM installed ${header})
endforeach()
list(TRANSFORM installed REPLACE "^lib(64|/[a-z0-9_]+-linux-gnu[a-z0-9_]*)/" "lib/")
# CMake installs another file whose name has the configuration of the static library.
list(FILTER installed EXCLUDE REGEX "^lib/cmake/asio_semaphore/asio_semaphore-compiled-targets-[a-z]+\\.cmake$")
list(SORT installed)
set(expected
    lib/cmake/asio_semaphore/asio_semaphore-compiled-targets.cmake
    lib/cmake/asio_semaphore/asio_semaphore-config-version.cmake
    lib/cmake/asio_semaphore/asio_semaphore-config.cmake
    lib/cmake/asio_semaphore/asio_semaphore-targets.cmake
    lib/libasio_semaphore.a
    lib/pkgconfig/asio_semaphore-compiled.pc
    lib/pkgconfig/asio_semaphore.pc
    share/asio_semaphore/gdb/asio_semaphore.py
    share/asio_semaphore/lldb/asio_semaphore.py
    share/asio_semaphore/natvis/asio_semaphore.natvis
    share/doc/asio_semaphore/LICENSE)
if(NOT installed STREQUAL expected)
    message(SEND_ERROR "installed besides the headers:\n${installed}\nexpected:\n${expected}")
endif()

file(GLOB_RECURSE texts ${prefix}/*.cmake ${prefix}/*.pc)
foreach(file IN LISTS texts)
    file(READ ${file} text)
    foreach(path IN ITEMS ${build} ${source} ${stage} ${prefix})
        string(FIND "${text}" "${path}" position)
        if(NOT position EQUAL -1)
            message(SEND_ERROR "${file} contains the path ${path}, so the installation cannot be moved")
        endif()
    endforeach()
endforeach()
