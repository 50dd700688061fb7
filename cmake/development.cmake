# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

# Settings for the library's own tests, examples and benchmarks. They do not affect users of the library.

set(ASIO_SEMAPHORE_DEVELOPMENT_TARGET asio_semaphore::asio_semaphore CACHE STRING
    "The target that tests and examples link: asio_semaphore::asio_semaphore or asio_semaphore::compiled")

set(ASIO_SEMAPHORE_DEVELOPMENT_STANDARD 20 CACHE STRING
    "The C++ standard that tests and examples are compiled with: 17, 20 or 23")

add_library(asio_semaphore_development INTERFACE)
target_link_libraries(asio_semaphore_development INTERFACE ${ASIO_SEMAPHORE_DEVELOPMENT_TARGET})
target_compile_features(asio_semaphore_development INTERFACE
    cxx_std_${ASIO_SEMAPHORE_DEVELOPMENT_STANDARD})
if(MSVC)
    set(warnings /W4 /permissive- /bigobj /WX)
else()
    set(warnings -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror)
endif()
target_compile_options(asio_semaphore_development INTERFACE ${warnings})
if(TARGET asio_semaphore_compiled)
    target_compile_options(asio_semaphore_compiled PRIVATE ${warnings})
endif()

# Compiles Asio itself once for all of these programs.
add_library(asio_once STATIC ${PROJECT_SOURCE_DIR}/test/support/asio.cpp)
target_link_libraries(asio_once PUBLIC ${boost} Threads::Threads)
target_compile_definitions(asio_once PUBLIC BOOST_ASIO_SEPARATE_COMPILATION)
target_compile_features(asio_once PUBLIC cxx_std_${ASIO_SEMAPHORE_DEVELOPMENT_STANDARD})
target_link_libraries(asio_semaphore_development INTERFACE asio_once)
# Before Boost 1.83, asio::spawn would otherwise need the old Boost.Coroutine besides Boost.Context.
target_compile_definitions(asio_once PUBLIC BOOST_ASIO_DISABLE_BOOST_COROUTINE)

# Compiles Boost.Redis once for the programs that use the fleet.
if(ASIO_SEMAPHORE_FLEET)
    add_library(redis_once STATIC EXCLUDE_FROM_ALL ${PROJECT_SOURCE_DIR}/test/support/boost_redis.cpp)
    target_link_libraries(redis_once PUBLIC asio_once asio_semaphore::fleet)
endif()

# The main function of Boost.Test, for all test programs.
add_library(test_main OBJECT EXCLUDE_FROM_ALL ${PROJECT_SOURCE_DIR}/test/support/main.cpp)
target_link_libraries(test_main PUBLIC asio_semaphore_development)

# Some of these programs need a compiled part of Boost; the library itself needs none.
find_package(Boost CONFIG QUIET OPTIONAL_COMPONENTS context)
