// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// A program may have functions with the same names as functions inside the library. A call with an
// object of the library must find only the function of the program.

#include <asio_semaphore.hpp>

namespace program {

template <typename T>
int context_of(const T&) {
    return 0;
}

int own_names(const asio_semaphore::async_semaphore& sem, const asio_semaphore::limiter& limit) {
    return context_of(sem) + context_of(limit);
}

} // namespace program
