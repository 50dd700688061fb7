# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

asio_semaphore_tests(model LONG
    abandonment.cpp
    abandonment_composed.cpp
    abandonment_contexts.cpp
    abandonment_coroutines.cpp
    abandonment_groups.cpp
    abandonment_limiter.cpp
    abandonment_with_permit.cpp)
asio_semaphore_tests(model
    faults.cpp
    faults_in_delivery.cpp
    faults_limiter.cpp
    faults_limiter_with_permit.cpp
    faults_with_permit.cpp
    linearizability.cpp
    sequences.cpp
    sequences_edges.cpp
    sequences_limiter.cpp)
asio_semaphore_tests(model TIMEOUT 20 # fails by waiting forever
    faults_destroyed_context.cpp)
foreach(name IN ITEMS faults faults_limiter faults_limiter_with_permit faults_with_permit)
    # These tests replace operator new and delete. If GCC inlines only one of the two, it warns about new paired with free().
    target_compile_options(test_model_${name} PRIVATE -Wno-mismatched-new-delete)
endforeach()
if(TARGET Boost::context)
    target_link_libraries(test_model_abandonment_coroutines PRIVATE Boost::context)
    target_compile_definitions(test_model_abandonment_coroutines PRIVATE ASIO_SEMAPHORE_TEST_STACKFUL)
endif()
target_compile_definitions(test_model_sequences PRIVATE
    ASIO_SEMAPHORE_SEQUENCES_CORPUS="${PROJECT_SOURCE_DIR}/test/model/sequences_corpus")
target_compile_definitions(test_model_sequences_limiter PRIVATE
    ASIO_SEMAPHORE_LIMITER_SEQUENCES_CORPUS="${PROJECT_SOURCE_DIR}/test/model/sequences_limiter_corpus")

# Checks only that every mutant still applies to the code. mutants/run also checks that the tests kill them, which takes long.
add_test(NAME model/mutants_apply COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/model/mutants/run -n)
set_tests_properties(model/mutants_apply PROPERTIES LABELS model TIMEOUT 600)

# This test uses real threads, so it also belongs to the stress tests, which run under ThreadSanitizer.
add_dependencies(tests_stress test_model_linearizability)
set_tests_properties(model/linearizability PROPERTIES LABELS "model;stress")
include(stress/nervous.cmake)
asio_semaphore_nervous_test(model linearizability model stress)

# Clang only: a libFuzzer target for each driver of the sequences tests. Its argument is the folder of the corpus.
option(ASIO_SEMAPHORE_BUILD_FUZZERS "Build the libFuzzer targets (Clang only)" OFF)
if(ASIO_SEMAPHORE_BUILD_FUZZERS)
    if(NOT CMAKE_CXX_COMPILER_ID MATCHES Clang)
        message(FATAL_ERROR "libFuzzer comes with Clang; this is ${CMAKE_CXX_COMPILER_ID}")
    endif()
    foreach(name IN ITEMS sequences sequences_limiter)
        add_executable(fuzz_model_${name} model/${name}_fuzz.cpp)
        target_include_directories(fuzz_model_${name} PRIVATE ${PROJECT_SOURCE_DIR}/test)
        target_link_libraries(fuzz_model_${name} PRIVATE asio_semaphore_development)
        target_compile_options(fuzz_model_${name} PRIVATE -fsanitize=fuzzer,address)
        target_link_options(fuzz_model_${name} PRIVATE -fsanitize=fuzzer,address)
    endforeach()
endif()
