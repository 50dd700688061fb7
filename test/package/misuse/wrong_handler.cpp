// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// A handler must accept the arguments of the completion signature.
// refused: function for call to .*async_acquire_permit|the handler must be callable

#include <asio_semaphore.hpp>

void wrong_handler(asio_semaphore::async_semaphore& semaphore) {
#ifdef CORRECT
    semaphore.async_acquire_permit([](boost::system::error_code, asio_semaphore::permit) {});
#else
    semaphore.async_acquire_permit([](boost::system::error_code) {});
#endif
}
