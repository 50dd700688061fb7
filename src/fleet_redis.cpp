// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// Compiles Boost.Redis for programs that do not compile it elsewhere.

#include <boost/redis/src.hpp>
