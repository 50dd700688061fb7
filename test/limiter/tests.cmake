asio_semaphore_tests(limiter
    aimd_limit.cpp
    gradient_limit.cpp
    NO_ASIO)

# Simulations: hours in seconds, if they are optimised.
asio_semaphore_tests(limiter
    goals.cpp
    plant.cpp
    users_laws.cpp
    NO_ASIO LONG TIMEOUT 1500)
add_executable(limiter_experiments EXCLUDE_FROM_ALL limiter/experiments.cpp)
target_link_libraries(limiter_experiments PRIVATE asio_semaphore_development)
if(NOT MSVC)
    foreach(target IN ITEMS test_limiter_goals test_limiter_plant test_limiter_users_laws limiter_experiments)
        target_compile_options(${target} PRIVATE -O2)
    endforeach()
endif()
