# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

# asio_semaphore_nervous_test(<label> <name> <label>...)
#
# Builds a test a second time, with threads that pause at random at the locks and atomics of the state layer, so that more operations
# overlap. To do that it replaces a header of the library. So it uses the header-only target, whichever target the other tests use.
include_guard()
function(asio_semaphore_nervous_test label name)
    set(target test_${label}_${name}_nervous)
    add_executable(${target} ${label}/${name}.cpp $<TARGET_OBJECTS:test_main>)
    target_include_directories(${target} BEFORE PRIVATE stress/nervous)
    target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/test)
    target_link_libraries(${target} PRIVATE asio_semaphore::asio_semaphore asio_once)
    target_compile_features(${target} PRIVATE cxx_std_${ASIO_SEMAPHORE_DEVELOPMENT_STANDARD})
    target_compile_options(${target} PRIVATE $<TARGET_PROPERTY:asio_semaphore_development,INTERFACE_COMPILE_OPTIONS>)
    if(ASIO_SEMAPHORE_DEVELOPMENT_TARGET STREQUAL asio_semaphore::asio_semaphore)
        target_precompile_headers(${target} REUSE_FROM test_precompiled)
    endif()
    foreach(needed_by IN LISTS ARGN)
        add_dependencies(tests_${needed_by} ${target})
    endforeach()
    add_test(NAME ${label}/${name}_nervous COMMAND ${target} --log_level=test_suite --catch_system_errors=no)
    set_tests_properties(${label}/${name}_nervous PROPERTIES LABELS "${ARGN}" TIMEOUT 300)
endfunction()
