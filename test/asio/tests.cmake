asio_semaphore_tests(asio
    no_work.cpp)
