# All of these run on one real thread, on fibres: nothing for ThreadSanitizer, which would not
# understand them.
if(CMAKE_CXX_FLAGS MATCHES "-fsanitize=[a-z,]*thread")
    return()
endif()

asio_semaphore_tests(model triples.cpp TIMEOUT 600 NO_ASIO)
set(searches triples)

# Lifetime errors fail the schedule in which they happen: these bring AddressSanitizer along, so that
# a build that has it already does without them.
if(NOT CMAKE_CXX_FLAGS MATCHES "-fsanitize")
    asio_semaphore_tests(model scheduler.cpp alarm.cpp limiter.cpp TIMEOUT 600 NO_ASIO)
    asio_semaphore_tests(model pairs.cpp chains.cpp lifetimes.cpp TIMEOUT 600 NO_ASIO LONG)

    # Fails on purpose; the script runs what it prints then.
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
    # The library's assertions fail the schedule in which they fail.
    target_compile_definitions(test_model_${name} PRIVATE BOOST_ENABLE_ASSERT_HANDLER)
    # Hundreds of thousands of schedules: optimised in every build.
    target_compile_options(test_model_${name} PRIVATE -O1)
endforeach()

# Relacy comes from the system's packages (relacy-dev).
find_path(relacy_include_dir relacy/relacy.hpp)
if(CMAKE_CXX_FLAGS MATCHES "-fsanitize")
    # Nothing for it to see.
elseif(relacy_include_dir)
    asio_semaphore_tests(model weak_memory.cpp TIMEOUT 1500 NO_ASIO LONG)
    # Takes minutes: begun last, it would run alone.
    set_tests_properties(model/weak_memory PROPERTIES COST 1000)
    target_include_directories(test_model_weak_memory SYSTEM PRIVATE ${relacy_include_dir})
    # It replaces operator new and delete, and leaves its fibres by longjmp.
    target_compile_options(test_model_weak_memory PRIVATE
        -O1 -fsized-deallocation)
else()
    message(STATUS "relacy-dev is not installed: no tests of the weak memory model")
endif()
