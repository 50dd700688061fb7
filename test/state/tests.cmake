asio_semaphore_tests(state
    busy.cpp
    cancellation_link.cpp
    semaphore_state.cpp
    state_registry.cpp
    wait_queue.cpp
    watched.cpp
    NO_ASIO)
