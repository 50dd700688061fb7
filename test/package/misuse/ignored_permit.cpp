// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// An ignored permit object is destroyed at once and returns its permits.
// refused: ignoring return(ed)? value.*nodiscard

#include <asio_semaphore.hpp>

void ignored_permit(asio_semaphore::async_semaphore& semaphore) {
#ifdef CORRECT
    const auto held =
#endif
        semaphore.try_acquire_permit();
}
