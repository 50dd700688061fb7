# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

# The tests of the fleet. Tests on real servers start their own: the redis-server in the PATH, or the one that
# ASIO_SEMAPHORE_REDIS_SERVER names.

find_library(ASIO_SEMAPHORE_HIREDIS hiredis REQUIRED)
mark_as_advanced(ASIO_SEMAPHORE_HIREDIS)

# The rules, without a server and without Asio.
asio_semaphore_tests(fleet protocol.cpp machine.cpp LIBRARIES asio_semaphore::fleet TIMEOUT 300)
asio_semaphore_tests(fleet machine_orders.cpp machine_fleet.cpp NO_ASIO LIBRARIES asio_semaphore::fleet TIMEOUT 600)
# A million steps need an optimised program (ASIO_SEMAPHORE_FLEET_STEPS sets another number).
if(CMAKE_BUILD_TYPE STREQUAL Debug)
    target_compile_options(test_fleet_machine_fleet PRIVATE $<$<CXX_COMPILER_ID:GNU,Clang>:-O1>)
    target_compile_options(test_fleet_machine_orders PRIVATE $<$<CXX_COMPILER_ID:GNU,Clang>:-O1>)
endif()

# The text of the statistics.
asio_semaphore_tests(fleet openmetrics.cpp NO_ASIO LIBRARIES asio_semaphore::fleet)

# The objects, on a model of the server.
asio_semaphore_tests(fleet objects.cpp objects_asio.cpp objects_ends.cpp objects_faults.cpp objects_memory.cpp objects_threads.cpp
    LIBRARIES redis_once TIMEOUT 300)

# Real servers.
asio_semaphore_tests(fleet script.cpp script_differential.cpp
    LIBRARIES asio_semaphore::fleet ${ASIO_SEMAPHORE_HIREDIS} TIMEOUT 600)
asio_semaphore_tests(fleet
    proxy.cpp
    store.cpp
    scenarios_basic.cpp
    scenarios_processes.cpp
    scenarios_proxy.cpp
    scenarios_servers.cpp
    LIBRARIES redis_once ${ASIO_SEMAPHORE_HIREDIS} TIMEOUT 300)
# Run only on demand: a failover under load, and a soak test. They print their progress.
add_executable(test_fleet_scenarios_long EXCLUDE_FROM_ALL fleet/scenarios_long.cpp)
target_include_directories(test_fleet_scenarios_long PRIVATE ${PROJECT_SOURCE_DIR}/test)
target_link_libraries(test_fleet_scenarios_long PRIVATE
    test_main asio_semaphore_development redis_once ${ASIO_SEMAPHORE_HIREDIS})
target_precompile_headers(test_fleet_scenarios_long REUSE_FROM test_precompiled)
add_test(NAME fleet/scenarios_long COMMAND test_fleet_scenarios_long --log_level=test_suite --catch_system_errors=no)
set_tests_properties(fleet/scenarios_long PROPERTIES LABELS soak TIMEOUT 1500)

# A process of a fleet, for tests that kill and stop it, and a clock for servers.
add_executable(fleet_worker EXCLUDE_FROM_ALL fleet/worker.cpp)
target_link_libraries(fleet_worker PRIVATE asio_semaphore_development redis_once)
add_library(fleet_server_clock MODULE EXCLUDE_FROM_ALL fleet/server_clock.cpp)
target_include_directories(fleet_server_clock PRIVATE ${PROJECT_SOURCE_DIR}/test)
target_compile_features(fleet_server_clock PRIVATE cxx_std_17)
# A server without sanitizers loads this library.
target_compile_options(fleet_server_clock PRIVATE -fno-sanitize=all)
target_link_options(fleet_server_clock PRIVATE -fno-sanitize=all)
# The tests look for both in their own directory.
set_target_properties(fleet_server_clock PROPERTIES PREFIX lib OUTPUT_NAME server_clock)
foreach(name IN ITEMS processes servers long)
    add_dependencies(test_fleet_scenarios_${name} fleet_worker fleet_server_clock)
endforeach()

# The benchmark and the ways to consume the package, which test/run leaves out, have the label fleet_more.
add_custom_target(tests_fleet_more)

# The tests with several threads, for ThreadSanitizer.
add_custom_target(tests_fleet_threads)
foreach(name IN ITEMS objects_threads objects_ends store)
    add_dependencies(tests_fleet_threads test_fleet_${name})
    set_property(TEST fleet/${name} APPEND PROPERTY LABELS fleet_threads)
endforeach()
