asio_semaphore_tests(limiter
    aimd_limit.cpp
    gradient_limit.cpp
    NO_ASIO)
