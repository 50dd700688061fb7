# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

asio_semaphore_tests(semaphore
    acquire.cpp
    cancel.cpp
    close.cpp
    conservation.cpp
    construction.cpp
    deadline.cpp
    destruction.cpp
    errors.cpp
    exceptions.cpp
    fairness.cpp
    misuse.cpp
    move.cpp
    never_inline.cpp
    permit.cpp
    reduce.cpp
    release.cpp
    threads.cpp
    try_acquire.cpp)
