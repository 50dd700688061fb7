// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// If the result of split is ignored, its permits return at once.
// refused: ignoring return(ed)? value.*nodiscard

#include <asio_semaphore.hpp>

void ignored_split(asio_semaphore::permit& held) {
#ifdef CORRECT
    const auto part =
#endif
        held.split(1);
}
