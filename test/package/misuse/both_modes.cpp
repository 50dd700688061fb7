// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// A program must use either the header-only or the compiled library, not both.
// refused: uses asio_semaphore either header-only or compiled: link one of its two targets

#ifndef CORRECT
#undef ASIO_SEMAPHORE_HEADER_ONLY
#undef ASIO_SEMAPHORE_SEPARATE_COMPILATION
#define ASIO_SEMAPHORE_HEADER_ONLY
#define ASIO_SEMAPHORE_SEPARATE_COMPILATION
#endif

#include <asio_semaphore.hpp>
