# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

execute_process(COMMAND ${CMAKE_COMMAND} --install ${build} --config ${config} --prefix ${build}/prefix
    OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
file(GLOB_RECURSE installed RELATIVE ${build}/prefix ${build}/prefix/*)
if(NOT installed MATCHES "^bin/header_only[^;]*$")
    message(FATAL_ERROR "installed along with the consumer: ${installed}")
endif()
