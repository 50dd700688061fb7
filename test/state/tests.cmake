# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

asio_semaphore_tests(state
    alarm.cpp
    cancellation_link.cpp
    outstanding_work.cpp
    semaphore_state.cpp
    state_registry.cpp
    threads.cpp
    wait_queue.cpp
    watched.cpp
    NO_ASIO)
