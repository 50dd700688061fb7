asio_semaphore_tests(state
    wait_queue.cpp)
