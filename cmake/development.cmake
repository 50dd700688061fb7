# What our own tests, examples and benchmarks are built with; nothing of it reaches those who use the library.

# Which of the two targets they use.
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

# Asio itself is compiled once for all of our programs.
add_library(asio_once STATIC ${PROJECT_SOURCE_DIR}/test/support/asio.cpp)
target_link_libraries(asio_once PUBLIC ${boost} Threads::Threads)
target_compile_definitions(asio_once PUBLIC BOOST_ASIO_SEPARATE_COMPILATION)
target_compile_features(asio_once PUBLIC cxx_std_${ASIO_SEMAPHORE_DEVELOPMENT_STANDARD})
target_link_libraries(asio_semaphore_development INTERFACE asio_once)
# Before Boost 1.83 asio::spawn would need the old Boost.Coroutine beside Boost.Context.
target_compile_definitions(asio_once PUBLIC BOOST_ASIO_DISABLE_BOOST_COROUTINE)

# And so is Boost.Redis, for those that use the fleet.
if(ASIO_SEMAPHORE_FLEET)
    add_library(redis_once STATIC EXCLUDE_FROM_ALL ${PROJECT_SOURCE_DIR}/test/support/boost_redis.cpp)
    target_link_libraries(redis_once PUBLIC asio_once asio_semaphore::fleet)
endif()

# Boost.Test's main, for all test programs.
add_library(test_main OBJECT EXCLUDE_FROM_ALL ${PROJECT_SOURCE_DIR}/test/support/main.cpp)
target_link_libraries(test_main PUBLIC asio_semaphore_development)

# The compiled part of Boost that some of our programs need beside the library, which needs none.
find_package(Boost CONFIG QUIET OPTIONAL_COMPONENTS context)
