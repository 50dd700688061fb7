# Configures, builds and runs one consumer, from nothing.
#
#   -Dsource=DIR -Dbuild=DIR -Dparent=FILE    where it is, where it is built, and the cache that it shares with this build
#   -Doptions=-DA=B|-DC=D                     what it is configured with
#   -Dconfig=CONFIG                           the configuration that this build's tests run in
#   -Dconfigures_only=ON
#   -Dinstalls=DIR                            installed instead of run
#   -Dsays=REGEX                              what configuring has to say
#   -Drefuses=REGEX                           why it does not configure

cmake_minimum_required(VERSION 3.25)

file(REMOVE_RECURSE ${build})
string(REPLACE "|" ";" options "${options}")
execute_process(
    COMMAND ${CMAKE_COMMAND} -S ${source} -B ${build} -G ${generator} -C ${parent} ${options}
    OUTPUT_VARIABLE output ERROR_VARIABLE output RESULT_VARIABLE result)
# CMake breaks the lines of its messages.
string(REGEX REPLACE "[ \n]+" " " text "${output}")

if(refuses)
    if(result EQUAL 0 OR NOT text MATCHES "${refuses}")
        message(FATAL_ERROR "it should be refused with \"${refuses}\", but:\n${output}")
    endif()
    return()
endif()
if(NOT result EQUAL 0 OR (says AND NOT text MATCHES "${says}"))
    message(FATAL_ERROR "does not configure, or does not say \"${says}\":\n${output}")
endif()
if(NOT says AND text MATCHES "CMake [A-Za-z]*( \\([a-z]*\\))? ?Warning|CMake Warning")
    message(FATAL_ERROR "warns:\n${output}")
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
    message(FATAL_ERROR "does not build:\n${output}")
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
    message(FATAL_ERROR "fails:\n${output}")
endif()
