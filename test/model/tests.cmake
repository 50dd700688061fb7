# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

# All of these tests run on fibres in one real thread. ThreadSanitizer finds nothing there, and does not support fibers.
if(CMAKE_CXX_FLAGS MATCHES "-fsanitize=[a-z,]*thread")
    return()
endif()

asio_semaphore_tests(model triples.cpp TIMEOUT 600 NO_ASIO)
set(searches triples)

# These tests always use AddressSanitizer, so that a lifetime error fails the schedule in which it happens. A build with other sanitizer
# flags skips them.
if(NOT CMAKE_CXX_FLAGS MATCHES "-fsanitize")
    asio_semaphore_tests(model scheduler.cpp alarm.cpp limiter.cpp TIMEOUT 600 NO_ASIO)
    asio_semaphore_tests(model pairs.cpp chains.cpp lifetimes.cpp TIMEOUT 600 NO_ASIO LONG)

    # This program fails on purpose. The script then runs the command that the program prints.
    add_executable(test_model_replay model/replay.cpp)
    target_include_directories(test_model_replay PRIVATE ${PROJECT_SOURCE_DIR}/test)
    target_link_libraries(test_model_replay PRIVATE test_main asio_semaphore_development)
    add_dependencies(tests_model test_model_replay)
    add_test(NAME model/replay COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/model/replay $<TARGET_FILE:test_model_replay>)
    set_tests_properties(model/replay PROPERTIES LABELS model TIMEOUT 120)

    foreach(name IN ITEMS scheduler replay alarm chains lifetimes limiter pairs)
        list(APPEND searches ${name})
        target_compile_options(test_model_${name} PRIVATE -fsanitize=address,undefined)
        target_link_options(test_model_${name} PRIVATE -fsanitize=address,undefined)
    endforeach()
endif()

foreach(name IN LISTS searches)
    # With the handler, a failed assertion of the library fails the schedule.
    target_compile_definitions(test_model_${name} PRIVATE BOOST_ENABLE_ASSERT_HANDLER)
    # Optimised in every build, because there are hundreds of thousands of schedules.
    target_compile_options(test_model_${name} PRIVATE -O1)
endforeach()

# Debian's package relacy-dev has Relacy.
find_path(relacy_include_dir relacy/relacy.hpp)
if(CMAKE_CXX_FLAGS MATCHES "-fsanitize")
    # Relacy simulates threads on one real thread, so sanitizers find nothing here.
elseif(relacy_include_dir)
    asio_semaphore_tests(model weak_memory.cpp TIMEOUT 1500 NO_ASIO LONG)
    # This test takes minutes. If CTest started it last, it would run alone.
    set_tests_properties(model/weak_memory PROPERTIES COST 1000)
    target_include_directories(test_model_weak_memory SYSTEM PRIVATE ${relacy_include_dir})
    # Relacy replaces operator new and delete, and leaves its fibres by longjmp.
    target_compile_options(test_model_weak_memory PRIVATE
        -O1 -fsized-deallocation)
else()
    message(STATUS "relacy-dev is not installed: no tests of the weak memory model")
endif()
