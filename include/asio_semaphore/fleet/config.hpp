#pragma once

// What the fleet needs beyond what the library needs.

#include <asio_semaphore/config.hpp>

#include <boost/version.hpp>

// Before 1.91 a cancelled request that Boost.Redis has written already takes the connection down.
#if BOOST_VERSION < 109100
#error "asio_semaphore/fleet needs Boost 1.91 or newer, for Boost.Redis"
#endif
