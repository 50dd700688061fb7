asio_semaphore_tests(asio
    initiation.cpp
    no_work.cpp)
