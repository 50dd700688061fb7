// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// Code that ignores whether it acquired a permit cannot know whether to release one.
// refused: ignoring return(ed)? value.*nodiscard

#include <asio_semaphore.hpp>

void ignored_try_acquire(asio_semaphore::async_semaphore& semaphore) {
#ifdef CORRECT
    if (semaphore.try_acquire())
        semaphore.release();
#else
    semaphore.try_acquire();
#endif
}
