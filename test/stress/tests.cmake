# SPDX-FileCopyrightText: The asio_semaphore authors
# SPDX-License-Identifier: BSL-1.0

asio_semaphore_tests(stress TIMEOUT 300
    soak.cpp)

include(stress/nervous.cmake)
asio_semaphore_nervous_test(stress soak stress)
