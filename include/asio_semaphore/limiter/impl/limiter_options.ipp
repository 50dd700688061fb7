// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <asio_semaphore/limiter/limiter_options.hpp>

#include <asio_semaphore/error.hpp>

#include <boost/system/errc.hpp>

namespace asio_semaphore {

ASIO_SEMAPHORE_DECL outcome default_outcome(const boost::system::error_code& ec) noexcept {
    namespace errc = boost::system::errc;
    if (!ec)
        return outcome::success;
    const bool is_overload = ec == condition::overload || ec == errc::timed_out ||
                             ec == errc::resource_unavailable_try_again ||
                             ec == errc::no_buffer_space || ec == errc::connection_refused;
    return is_overload ? outcome::overloaded : outcome::ignored;
}

} // namespace asio_semaphore
