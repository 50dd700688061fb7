// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore/async_semaphore.hpp>

#include "fixture.hpp"

#include <chrono>

namespace {

using namespace test;
using namespace std::chrono_literals;

} // namespace

BOOST_FIXTURE_TEST_SUITE(semaphore_close, fixture)

BOOST_AUTO_TEST_CASE(close_ends_all_waiting_operations) {
    async_semaphore semaphore(context, 1);
    operation first, second, third;
    semaphore.async_acquire(2, first.on_completion());
    semaphore.async_acquire_permit(second.on_completion());
    semaphore.async_acquire_for(1h, third.on_completion());
    semaphore.close();
    BOOST_TEST(!semaphore.is_open());
    BOOST_TEST(semaphore.waiting() == 0u);
    BOOST_TEST(!poll());
    for (auto* o : {&first, &second, &third}) {
        BOOST_TEST(o->completed_with(closed));
        BOOST_TEST(!o->held());
    }
    BOOST_TEST(semaphore.available() == 1);
}

BOOST_AUTO_TEST_CASE(a_closed_semaphore_refuses_every_acquire_however_many_permits_are_free) {
    async_semaphore semaphore(context, 5);
    semaphore.close();
    for (const std::ptrdiff_t n : {0, 1, 5, 6}) {
        BOOST_TEST_CONTEXT("n = " << n) {
            operation bare, bare_for, owned, owned_for;
            semaphore.async_acquire(n, bare.on_completion());
            semaphore.async_acquire_for(1h, n, bare_for.on_completion());
            semaphore.async_acquire_permit(n, owned.on_completion());
            semaphore.async_acquire_permit_for(0s, n, owned_for.on_completion());
            BOOST_TEST(semaphore.waiting() == 0u);
            BOOST_TEST(!poll());
            for (auto* o : {&bare, &bare_for, &owned, &owned_for}) {
                BOOST_TEST(o->completed_with(closed));
                BOOST_TEST(!o->held());
            }
            BOOST_TEST(!semaphore.try_acquire(n));
            BOOST_TEST(!semaphore.try_acquire_permit(n));
        }
    }
    BOOST_TEST(semaphore.available() == 5);
}

BOOST_AUTO_TEST_CASE(a_closed_semaphore_still_reports_an_invalid_count) {
    async_semaphore semaphore(context, 1, 2);
    semaphore.close();
    operation negative, too_many;
    semaphore.async_acquire(-1, negative.on_completion());
    semaphore.async_acquire(3, too_many.on_completion());
    poll();
    BOOST_TEST(negative.completed_with(invalid_argument));
    BOOST_TEST(too_many.completed_with(exceeds_max));
}

BOOST_AUTO_TEST_CASE(closing_again_has_no_effect) {
    async_semaphore semaphore(context, 1);
    operation waiter;
    semaphore.async_acquire(2, waiter.on_completion());
    semaphore.close();
    semaphore.close();
    poll();
    semaphore.close();
    poll();
    BOOST_TEST(waiter.completed_with(closed));
    BOOST_TEST(!semaphore.is_open());
    BOOST_TEST(semaphore.available() == 1);
}

BOOST_AUTO_TEST_CASE(an_operation_granted_before_the_close_stays_granted) {
    async_semaphore semaphore(context, 1);
    operation at_once, handed_over;
    semaphore.async_acquire_permit(at_once.on_completion());
    semaphore.async_acquire_permit(handed_over.on_completion());
    semaphore.release();
    semaphore.close();
    poll();
    BOOST_TEST(at_once.granted());
    BOOST_TEST(handed_over.granted());
    BOOST_TEST(handed_over.held().count() == 1);
}

BOOST_AUTO_TEST_CASE(held_permits_stay_valid_and_can_be_returned) {
    async_semaphore semaphore(context, 3);
    permit held = semaphore.try_acquire_permit(2);
    semaphore.close();
    BOOST_TEST(held.count() == 2);
    permit part = held.split(1);
    part.reset();
    BOOST_TEST(semaphore.available() == 2);
    held.reset();
    BOOST_TEST(semaphore.available() == 3);
    BOOST_TEST(!semaphore.is_open());
    BOOST_TEST(!semaphore.try_acquire());
}

BOOST_AUTO_TEST_CASE(permits_that_are_given_back_do_not_reopen_the_semaphore) {
    async_semaphore semaphore(context, 0);
    operation before, after;
    semaphore.async_acquire(before.on_completion());
    semaphore.close();
    semaphore.release();
    semaphore.async_acquire(after.on_completion());
    poll();
    BOOST_TEST(before.completed_with(closed));
    BOOST_TEST(after.completed_with(closed));
    BOOST_TEST(semaphore.available() == 1);
}

BOOST_AUTO_TEST_CASE(cancel_after_close_finds_no_operation) {
    async_semaphore semaphore(context, 0);
    asio::cancellation_signal signal;
    operation waiter;
    semaphore.async_acquire(waiter.on_completion(signal.slot()));
    semaphore.close();
    BOOST_TEST(semaphore.cancel() == 0u);
    signal.emit(asio::cancellation_type::terminal);
    poll();
    BOOST_TEST(waiter.completed_with(closed));
}

BOOST_AUTO_TEST_SUITE_END()
