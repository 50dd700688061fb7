// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// This file must not compile, and the error message must state the reason: an operation that
// cannot fail has no way to report that it got no permit.

#include <asio_semaphore/with_permit.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

void refused(boost::asio::io_context& context, asio_semaphore::async_semaphore& sem) {
    boost::asio::post(context, asio_semaphore::with_permit(sem, [] {}));
}
