// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// A semaphore can be moved, not copied.
// refused: (deleted function|deleted (copy )?constructor).*basic_async_semaphore

#include <asio_semaphore.hpp>

#include <utility>

void copied_semaphore(asio_semaphore::async_semaphore& semaphore) {
#ifdef CORRECT
    asio_semaphore::async_semaphore other(std::move(semaphore));
#else
    asio_semaphore::async_semaphore other(semaphore);
#endif
}
