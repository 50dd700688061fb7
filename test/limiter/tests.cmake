# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

asio_semaphore_tests(limiter
    admission_queue.cpp
    aimd_limit.cpp
    counting.cpp
    edges.cpp
    gradient_limit.cpp
    keys.cpp
    key_tree.cpp
    many_threads.cpp
    openmetrics.cpp
    priorities.cpp
    queue_and_deadlines.cpp
    random_requests.cpp
    reports.cpp
    reports_without_memory.cpp
    value_types.cpp
    NO_ASIO)
asio_semaphore_tests(limiter
    admission.cpp
    object_executors.cpp
    object_lifetimes.cpp
    object_policy.cpp
    object_threads.cpp
    object_tokens.cpp
    overload.cpp
    unfinished.cpp
    wait_idle.cpp
    with_permit.cpp)
if(TARGET Boost::context)
    asio_semaphore_tests(limiter object_stackful.cpp LIBRARIES Boost::context)
endif()

# Simulations run hours in seconds, if they are optimised. Their results do not depend on the compiler or on Boost, so only builds with GCC
# and without sanitizers run them.
set(simulations goals plant users_laws)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND NOT CMAKE_CXX_FLAGS MATCHES "-fsanitize")
    asio_semaphore_tests(limiter goals.cpp plant.cpp users_laws.cpp NO_ASIO LONG TIMEOUT 1500)
else()
    set(simulations)
endif()
foreach(name IN ITEMS experiments charts)
    add_executable(limiter_${name} EXCLUDE_FROM_ALL limiter/${name}.cpp)
    target_link_libraries(limiter_${name} PRIVATE asio_semaphore_development)
endforeach()
if(NOT MSVC)
    list(TRANSFORM simulations PREPEND test_limiter_)
    foreach(target IN LISTS simulations ITEMS limiter_experiments limiter_charts)
        target_compile_options(${target} PRIVATE -O2)
    endforeach()
endif()
