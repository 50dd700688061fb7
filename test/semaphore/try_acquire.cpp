// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore/async_semaphore.hpp>

#include "fixture.hpp"

#include <limits>
#include <stdexcept>

namespace {
using namespace test;
}

BOOST_FIXTURE_TEST_SUITE(semaphore_try_acquire, fixture)

BOOST_AUTO_TEST_CASE(try_acquire_takes_free_permits_and_refuses_more) {
    async_semaphore semaphore(context, 5);
    BOOST_TEST(semaphore.try_acquire());
    BOOST_TEST(semaphore.available() == 4);
    BOOST_TEST(!semaphore.try_acquire(5));
    BOOST_TEST(semaphore.available() == 4);
    BOOST_TEST(semaphore.try_acquire(4));
    BOOST_TEST(semaphore.available() == 0);
    BOOST_TEST(!semaphore.try_acquire());
}

BOOST_AUTO_TEST_CASE(a_refused_try_acquire_permit_returns_an_empty_permit) {
    async_semaphore semaphore(context, 3);
    {
        permit held = semaphore.try_acquire_permit(2);
        BOOST_TEST(held.count() == 2);
        permit refused = semaphore.try_acquire_permit(2);
        BOOST_TEST(!refused);
        BOOST_TEST(refused.count() == 0);
        BOOST_TEST(semaphore.available() == 1);
    }
    BOOST_TEST(semaphore.available() == 3);
}

BOOST_AUTO_TEST_CASE(trying_to_acquire_none_always_succeeds) {
    async_semaphore semaphore(context, 0);
    operation waiter;
    semaphore.async_acquire(waiter.on_completion());
    semaphore.reduce(3);
    BOOST_TEST(semaphore.try_acquire(0));
    BOOST_TEST(!semaphore.try_acquire_permit(0));
    BOOST_TEST(semaphore.available() == -3);
    BOOST_TEST(semaphore.waiting() == 1u);
}

BOOST_AUTO_TEST_CASE(a_negative_count_throws_and_changes_nothing) {
    async_semaphore semaphore(context, 2, 5);
    for (const std::ptrdiff_t n :
         {std::ptrdiff_t(-1), std::numeric_limits<std::ptrdiff_t>::min()}) {
        BOOST_CHECK_THROW((void)semaphore.try_acquire(n), std::invalid_argument);
        BOOST_CHECK_THROW((void)semaphore.try_acquire_permit(n), std::invalid_argument);
        BOOST_TEST(semaphore.available() == 2);
    }
    semaphore.close();
    BOOST_CHECK_THROW((void)semaphore.try_acquire(-1), std::invalid_argument);
    BOOST_CHECK_THROW((void)semaphore.try_acquire_permit(-1), std::invalid_argument);
}

BOOST_AUTO_TEST_CASE(more_than_the_maximum_is_refused) {
    async_semaphore semaphore(context, 5, 5);
    BOOST_TEST(!semaphore.try_acquire(6));
    BOOST_TEST(!semaphore.try_acquire(std::numeric_limits<std::ptrdiff_t>::max()));
    BOOST_TEST(!semaphore.try_acquire_permit(6));
    BOOST_TEST(semaphore.available() == 5);
}

BOOST_AUTO_TEST_CASE(try_acquire_never_overtakes_the_queue) {
    async_semaphore semaphore(context, 2);
    operation large;
    semaphore.async_acquire(3, large.on_completion());
    BOOST_TEST(semaphore.available() == 2);
    BOOST_TEST(!semaphore.try_acquire());
    BOOST_TEST(!semaphore.try_acquire_permit(2));
    BOOST_TEST(semaphore.available() == 2);
    semaphore.release();
    poll();
    BOOST_TEST(large.granted());
}

BOOST_AUTO_TEST_CASE(try_acquire_cannot_take_a_permit_on_its_way_to_a_waiter) {
    async_semaphore semaphore(context, 0);
    operation waiter;
    semaphore.async_acquire(waiter.on_completion());
    semaphore.release();
    BOOST_TEST(!semaphore.try_acquire());
    poll();
    BOOST_TEST(waiter.granted());
    BOOST_TEST(!semaphore.try_acquire());
}

BOOST_AUTO_TEST_CASE(try_acquire_works_again_once_the_queue_is_empty) {
    const struct {
        const char* name;
        void (*empty)(async_semaphore&, asio::cancellation_signal&);
        std::ptrdiff_t left;
    } cases[] = {
        {"granted", [](async_semaphore& s, asio::cancellation_signal&) { s.release(2); }, 1},
        {"cancelled", [](async_semaphore& s, asio::cancellation_signal&) { s.cancel(); }, 1},
        {"cancelled through its slot",
         [](async_semaphore&, asio::cancellation_signal& signal) {
             signal.emit(asio::cancellation_type::terminal);
         },
         1},
    };
    for (const auto& c : cases) {
        BOOST_TEST_CONTEXT(c.name) {
            async_semaphore semaphore(context, 1);
            asio::cancellation_signal signal;
            operation waiter;
            semaphore.async_acquire(2, waiter.on_completion(signal.slot()));
            BOOST_TEST(!semaphore.try_acquire());
            c.empty(semaphore, signal);
            BOOST_TEST(semaphore.try_acquire());
            BOOST_TEST(semaphore.available() == c.left - 1);
            poll();
        }
    }
}

BOOST_AUTO_TEST_CASE(try_acquire_is_refused_in_debt) {
    async_semaphore semaphore(context, 1);
    semaphore.reduce(1);
    BOOST_TEST(!semaphore.try_acquire());
    semaphore.reduce(2);
    BOOST_TEST(!semaphore.try_acquire());
    semaphore.release(2);
    BOOST_TEST(!semaphore.try_acquire());
    semaphore.release(1);
    BOOST_TEST(semaphore.try_acquire());
}

BOOST_AUTO_TEST_CASE(a_closed_semaphore_refuses_try_acquire_even_of_none) {
    async_semaphore semaphore(context, 2);
    semaphore.close();
    for (const std::ptrdiff_t n : {0, 1, 2}) {
        BOOST_TEST(!semaphore.try_acquire(n));
        BOOST_TEST(!semaphore.try_acquire_permit(n));
    }
    BOOST_TEST(semaphore.available() == 2);
}

BOOST_AUTO_TEST_SUITE_END()
