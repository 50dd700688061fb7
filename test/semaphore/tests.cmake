asio_semaphore_tests(semaphore
    permit.cpp)
