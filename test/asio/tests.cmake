asio_semaphore_tests(asio
    allocators.cpp
    cancellation.cpp
    exceptions.cpp
    executors.cpp
    deadlines.cpp
    initiation.cpp
    no_work.cpp)
