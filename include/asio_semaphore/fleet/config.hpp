// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// What the fleet requires in addition to the rest of the library.

#include <asio_semaphore/config.hpp>

#include <boost/version.hpp>

// Before 1.91, the cancellation of a request that is already written closes the connection.
#if BOOST_VERSION < 109100
#error "asio_semaphore/fleet needs Boost 1.91 or newer, for Boost.Redis"
#endif
