// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// A program that uses the fleet has to compile Boost.Redis and Asio's TLS once.
#include <boost/redis/src.hpp>

#if defined(BOOST_ASIO_SEPARATE_COMPILATION)
#include <boost/asio/ssl/impl/src.hpp>
#endif
