// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#define BOOST_TEST_MODULE asio_semaphore
#include <boost/test/included/unit_test.hpp>
