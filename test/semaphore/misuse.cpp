// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// A permit object would exceed the maximum when it returns its permits, if they were adopted
// without having been acquired, or if permits were added meanwhile. Debug builds assert then, and
// no build lets the semaphore exceed its maximum.

#include <support/misuse.hpp>

#include <asio_semaphore/async_semaphore.hpp>

#include "fixture.hpp"

#include <mutex>

namespace {

using namespace test;
using support::assertions;

void with_misuse(void (*misuse)()) {
    support::with_misuse(misuse, "see doc/troubleshooting.md");
}

} // namespace

BOOST_AUTO_TEST_SUITE(semaphore_misuse)

BOOST_AUTO_TEST_CASE(permits_adopted_beyond_the_maximum_do_not_exceed_it) {
    with_misuse([] {
        asio::io_context context;
        async_semaphore semaphore(context, 2, 3);
        {
            permit too_many(semaphore, std::adopt_lock, 4);
            BOOST_TEST(too_many.count() == 4);
        }
        BOOST_TEST(semaphore.available() == 3);
    });
}

BOOST_AUTO_TEST_CASE(permits_that_are_also_released_by_hand_do_not_exceed_the_maximum) {
    with_misuse([] {
        asio::io_context context;
        async_semaphore semaphore(context, 3, 3);
        permit held = semaphore.try_acquire_permit(2);
        semaphore.release(2);
        held.reset();
        BOOST_TEST(!held);
        BOOST_TEST(semaphore.available() == 3);
    });
}

BOOST_AUTO_TEST_CASE(permits_added_while_others_were_held_do_not_exceed_the_maximum) {
    with_misuse([] {
        asio::io_context context;
        async_semaphore semaphore(context, 10, 10);
        permit held = semaphore.try_acquire_permit(5);
        semaphore.release(5); // accepted: the semaphore does not count the held permits
        BOOST_TEST(semaphore.available() == 10);
        permit others = semaphore.try_acquire_permit(3);
        held.reset(); // three of the five permits fit
        BOOST_TEST(!held);
        BOOST_TEST(semaphore.available() == 10);
        others.forget();
    });
}

BOOST_FIXTURE_TEST_CASE(too_many_permits_released_by_hand_are_refused, fixture) {
    async_semaphore semaphore(context, 10, 10);
    BOOST_TEST(semaphore.try_acquire(5));
    semaphore.release(5);
    BOOST_TEST(semaphore.try_acquire(10)); // now fifteen have been acquired
    semaphore.release(10);
    error_code ec;
    semaphore.release(5, ec);
    BOOST_TEST(ec == over_release);
    BOOST_TEST(semaphore.available() == 10);
}

BOOST_FIXTURE_TEST_CASE(permits_that_were_added_fit_below_a_larger_maximum, fixture) {
    async_semaphore semaphore(context, 10, 15);
    permit held = semaphore.try_acquire_permit(5);
    semaphore.release(5);
    held.reset();
    BOOST_TEST(semaphore.available() == 15);
}

BOOST_AUTO_TEST_CASE(permits_adopted_while_an_operation_waits_do_not_exceed_the_maximum) {
    with_misuse([] {
        asio::io_context context;
        async_semaphore semaphore(context, 2, 3);
        operation head;
        semaphore.async_acquire(3, head.on_completion());
        permit(semaphore, std::adopt_lock, 2).reset();
        BOOST_TEST(semaphore.waiting() == 0u);
        BOOST_TEST(semaphore.available() == 0);
        context.poll();
        BOOST_TEST(head.granted());
    });
}

BOOST_AUTO_TEST_SUITE_END()
