asio_semaphore_tests(asio
    executors.cpp
    initiation.cpp
    no_work.cpp)
