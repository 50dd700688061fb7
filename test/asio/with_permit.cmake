asio_semaphore_tests(asio with_permit.cpp)
