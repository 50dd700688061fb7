# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

asio_semaphore_tests(asio
    with_permit.cpp
    with_permit_allocation.cpp
    with_permit_operations.cpp
    with_permit_threads.cpp
    with_permit_tokens.cpp)
if(TARGET Boost::context)
    asio_semaphore_tests(asio with_permit_spawn.cpp LIBRARIES Boost::context)
endif()

# The test compiles this file, and passes if the compiler reports the static_assert below.
add_library(test_asio_with_permit_refused OBJECT EXCLUDE_FROM_ALL asio/with_permit_refused.cpp)
target_link_libraries(test_asio_with_permit_refused PRIVATE asio_semaphore_development)
add_test(NAME asio/with_permit_refused
    COMMAND ${CMAKE_COMMAND} --build ${CMAKE_BINARY_DIR} --target test_asio_with_permit_refused
        --config $<CONFIG>)
set_tests_properties(asio/with_permit_refused PROPERTIES
    LABELS asio
    TIMEOUT 120
    PASS_REGULAR_EXPRESSION
        "with_permit needs an operation that can complete without a permit: the first argument of its completion signature has to be an error_code or an exception_ptr")
