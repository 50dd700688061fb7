// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// A handler owns the permit that it gets, so it cannot take it by lvalue reference.
// refused: function for call to .*async_acquire_permit|the handler must be callable

#include <asio_semaphore.hpp>

void handler_keeps_reference(asio_semaphore::async_semaphore& semaphore) {
#ifdef CORRECT
    semaphore.async_acquire_permit([](boost::system::error_code, asio_semaphore::permit&&) {});
#else
    semaphore.async_acquire_permit([](boost::system::error_code, asio_semaphore::permit&) {});
#endif
}
