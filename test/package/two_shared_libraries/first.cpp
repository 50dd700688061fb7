// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include "second.hpp"

#include <cstdio>

#define REQUIRE(condition)                                                                         \
    if (!(condition)) {                                                                            \
        std::fprintf(stderr, "not so: %s\n", #condition);                                          \
        ++failures;                                                                                \
    }

VISIBLE int first_checks() {
    int failures = 0, granted = 0;
    boost::asio::io_context context;
    asio_semaphore::async_semaphore semaphore(context, 1, 1);

    REQUIRE(
        second_service(context) ==
        &boost::asio::use_service<asio_semaphore::detail::semaphore_service>(context));
    REQUIRE(second_says_closed(asio_semaphore::error::closed));
    REQUIRE(second_error() == asio_semaphore::error::over_release);
    REQUIRE(second_error().category() == asio_semaphore::error_category());

    asio_semaphore::permit held = second_takes(semaphore);
    second_waits(semaphore, granted);
    REQUIRE(semaphore.waiting() == 1);
    held.reset();
    context.run();
    REQUIRE(granted == 1);
    REQUIRE(semaphore.available() == 1);

    // A completion of the other library is still queued when the context is destroyed.
    held = semaphore.try_acquire_permit();
    second_waits(semaphore, granted);
    held.reset();
    return failures;
}
