asio_semaphore_tests(asio
    allocators.cpp
    executors.cpp
    initiation.cpp
    no_work.cpp)
