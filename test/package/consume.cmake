# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

# Configures, builds and runs one consumer, in an empty build directory.
#
#   -Dsource=DIR -Dbuild=DIR -Dparent=FILE    the consumer, its build directory, and the initial cache that all consumers share
#   -Doptions=-DA=B|-DC=D                     further options for the configuration
#   -Dconfig=CONFIG                           the configuration that CTest runs
#   -Dconfigures_only=ON                      do not build
#   -Dinstalls=DIR                            install the project there, and do not run it
#   -Dsays=REGEX                              the output of the configuration must match
#   -Drefuses=REGEX                           the configuration must fail with output that matches

cmake_minimum_required(VERSION 3.25)

file(REMOVE_RECURSE ${build})
string(REPLACE "|" ";" options "${options}")
execute_process(
    COMMAND ${CMAKE_COMMAND} -S ${source} -B ${build} -G ${generator} -C ${parent} ${options}
    OUTPUT_VARIABLE output ERROR_VARIABLE output RESULT_VARIABLE result)
# CMake wraps long messages.
string(REGEX REPLACE "[ \n]+" " " text "${output}")

if(refuses)
    if(result EQUAL 0 OR NOT text MATCHES "${refuses}")
        message(FATAL_ERROR "the configuration should fail with \"${refuses}\", but:\n${output}")
    endif()
    return()
endif()
if(NOT result EQUAL 0 OR (says AND NOT text MATCHES "${says}"))
    message(FATAL_ERROR "the configuration fails, or its output does not match \"${says}\":\n${output}")
endif()
if(NOT says AND text MATCHES "CMake [A-Za-z]*( \\([a-z]*\\))? ?Warning|CMake Warning")
    message(FATAL_ERROR "the configuration warns:\n${output}")
endif()
if(configures_only)
    return()
endif()

if(config)
    set(build_config --config ${config})
    set(test_config -C ${config})
endif()
execute_process(COMMAND ${CMAKE_COMMAND} --build ${build} ${build_config}
    OUTPUT_VARIABLE output ERROR_VARIABLE output RESULT_VARIABLE result)
if(NOT result EQUAL 0)
    message(FATAL_ERROR "the build fails:\n${output}")
endif()
if(installs)
    file(REMOVE_RECURSE ${installs})
    execute_process(COMMAND ${CMAKE_COMMAND} --install ${build} ${build_config} --prefix ${installs}
        OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
    return()
endif()
execute_process(
    COMMAND ${CMAKE_CTEST_COMMAND} --test-dir ${build} ${test_config} --output-on-failure --no-tests=error --timeout 60
    OUTPUT_VARIABLE output ERROR_VARIABLE output RESULT_VARIABLE result)
if(NOT result EQUAL 0)
    message(FATAL_ERROR "the tests of the consumer fail:\n${output}")
endif()
