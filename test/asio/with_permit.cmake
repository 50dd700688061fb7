asio_semaphore_tests(asio
    with_permit.cpp
    with_permit_allocation.cpp
    with_permit_operations.cpp
    with_permit_tokens.cpp)
