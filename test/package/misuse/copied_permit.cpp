// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// A permit has one owner.
// refused: (deleted function|deleted (copy )?constructor).*permit

#include <asio_semaphore.hpp>

#include <utility>

void copied_permit(asio_semaphore::permit& held) {
#ifdef CORRECT
    asio_semaphore::permit other(std::move(held));
#else
    asio_semaphore::permit other(held);
#endif
}
