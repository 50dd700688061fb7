asio_semaphore_tests(asio
    allocators.cpp
    cancellation.cpp
    executors.cpp
    initiation.cpp
    no_work.cpp)
