# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

asio_semaphore_tests(asio
    allocators.cpp
    cancellation.cpp
    compositions.cpp
    coro.cpp
    coroutines.cpp
    deadlines.cpp
    exceptions.cpp
    executors.cpp
    immediate.cpp
    initiation.cpp
    no_work.cpp
    requests.cpp
    shutdown.cpp
    tokens.cpp)
if(TARGET Boost::context)
    asio_semaphore_tests(asio stackful.cpp LIBRARIES Boost::context)
endif()
