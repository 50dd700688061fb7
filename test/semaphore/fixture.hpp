// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Shared by the tests of the semaphore.

#include <asio_semaphore/async_semaphore.hpp>

#include <support/operation.hpp>

#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/system/error_code.hpp>
#include <boost/test/unit_test.hpp>

#include <memory>
#include <utility>

namespace test {

namespace asio = boost::asio;

using asio_semaphore::async_semaphore;
using asio_semaphore::permit;
using boost::system::error_code;

inline const error_code success;
inline const error_code aborted = asio::error::operation_aborted;
inline const error_code timed_out = asio::error::timed_out;
inline const error_code invalid_argument = asio::error::invalid_argument;
inline const error_code closed = asio_semaphore::error::closed;
inline const error_code exceeds_max = asio_semaphore::error::exceeds_max;
inline const error_code over_release = asio_semaphore::error::over_release;

using operation = support::operation<permit>;
using fixture = support::stepped_context;

} // namespace test
