// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// A permit object without a name is destroyed at once and returns the adopted permit.
// refused: ignoring .*nodiscard

#include <asio_semaphore.hpp>

#include <mutex>

void unnamed_permit(asio_semaphore::async_semaphore& semaphore) {
#ifdef CORRECT
    asio_semaphore::permit held(semaphore, std::adopt_lock);
#else
    asio_semaphore::permit(semaphore, std::adopt_lock);
#endif
}
