// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore/async_semaphore.hpp>

#include "fixture.hpp"

#include <boost/system/system_error.hpp>

#include <limits>
#include <stdexcept>

namespace {

using namespace test;

constexpr auto most = std::numeric_limits<std::ptrdiff_t>::max();

bool is_over_release(const boost::system::system_error& e) {
    return e.code() == over_release;
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(semaphore_release, fixture)

BOOST_AUTO_TEST_CASE(release_adds_permits_up_to_the_maximum) {
    async_semaphore semaphore(context, 0, 3);
    semaphore.release();
    BOOST_TEST(semaphore.available() == 1);
    semaphore.release(2);
    BOOST_TEST(semaphore.available() == 3);
}

BOOST_AUTO_TEST_CASE(a_release_beyond_the_maximum_fails_and_changes_nothing) {
    async_semaphore semaphore(context, 3, 5);
    for (const std::ptrdiff_t n : {std::ptrdiff_t(3), most}) {
        BOOST_CHECK_EXCEPTION(semaphore.release(n), boost::system::system_error, is_over_release);
        BOOST_TEST(semaphore.available() == 3);
        error_code ec;
        semaphore.release(n, ec);
        BOOST_TEST(ec == over_release);
        BOOST_TEST(semaphore.available() == 3);
    }
    semaphore.release(2);
    BOOST_CHECK_EXCEPTION(semaphore.release(), boost::system::system_error, is_over_release);
    BOOST_TEST(semaphore.available() == 5);
}

BOOST_AUTO_TEST_CASE(a_release_beyond_the_maximum_grants_nobody) {
    async_semaphore semaphore(context, 2, 4);
    operation head, follower;
    semaphore.async_acquire(3, head.on_completion());
    semaphore.async_acquire(follower.on_completion());
    for (const std::ptrdiff_t n : {std::ptrdiff_t(3), most}) {
        error_code ec;
        semaphore.release(n, ec);
        BOOST_TEST(ec == over_release);
        poll();
        BOOST_TEST(head.pending());
        BOOST_TEST(follower.pending());
        BOOST_TEST(semaphore.available() == 2);
        BOOST_TEST(semaphore.waiting() == 2u);
    }
    semaphore.release(2);
    poll();
    BOOST_TEST(head.granted());
    BOOST_TEST(follower.granted());
}

BOOST_AUTO_TEST_CASE(the_error_code_is_cleared_by_success) {
    async_semaphore semaphore(context, 0, 1);
    for (const std::ptrdiff_t n : {0, 1}) {
        error_code ec = over_release;
        semaphore.release(n, ec);
        BOOST_TEST(!ec);
    }
}

BOOST_AUTO_TEST_CASE(releasing_none_is_a_no_op) {
    async_semaphore semaphore(context, 1, 1);
    semaphore.release(0);
    BOOST_TEST(semaphore.available() == 1);

    operation held, waiter;
    semaphore.async_acquire(held.on_completion());
    semaphore.async_acquire(waiter.on_completion());
    semaphore.release(0);
    poll();
    BOOST_TEST(waiter.pending());
    BOOST_TEST(semaphore.available() == 0);

    semaphore.close();
    semaphore.release(0);
    BOOST_TEST(semaphore.available() == 0);
}

BOOST_AUTO_TEST_CASE(a_negative_count_throws_and_changes_nothing) {
    async_semaphore semaphore(context, 2, 5);
    for (const std::ptrdiff_t n :
         {std::ptrdiff_t(-1), std::numeric_limits<std::ptrdiff_t>::min()}) {
        error_code ec;
        BOOST_CHECK_THROW(semaphore.release(n), std::invalid_argument);
        BOOST_CHECK_THROW(semaphore.release(n, ec), std::invalid_argument);
        BOOST_TEST(semaphore.available() == 2);
    }
}

BOOST_AUTO_TEST_CASE(release_serves_as_many_waiters_as_fit) {
    async_semaphore semaphore(context, 0);
    operation one, two, three, last;
    semaphore.async_acquire(1, one.on_completion());
    semaphore.async_acquire(2, two.on_completion());
    semaphore.async_acquire(3, three.on_completion());
    semaphore.async_acquire(1, last.on_completion());
    semaphore.release(5);
    BOOST_TEST(semaphore.available() == 2);
    BOOST_TEST(semaphore.waiting() == 2u);
    poll();
    BOOST_TEST(one.granted());
    BOOST_TEST(two.granted());
    BOOST_TEST(three.pending());
    BOOST_TEST(last.pending());
    semaphore.release(4);
    BOOST_TEST(semaphore.available() == 2);
    BOOST_TEST(semaphore.waiting() == 0u);
    poll();
    BOOST_TEST(three.granted());
    BOOST_TEST(last.granted());
}

BOOST_AUTO_TEST_CASE(a_released_permit_is_handed_over_in_one_step) {
    async_semaphore semaphore(context, 0, 1);
    operation first, second;
    semaphore.async_acquire(first.on_completion());
    semaphore.async_acquire(second.on_completion());
    semaphore.release();
    BOOST_TEST(semaphore.available() == 0);
    BOOST_TEST(semaphore.waiting() == 1u);
    // The first waiter already owns the permit. Otherwise a second one would exceed the maximum.
    semaphore.release();
    BOOST_TEST(semaphore.available() == 0);
    BOOST_TEST(semaphore.waiting() == 0u);
    poll();
    BOOST_TEST(first.granted());
    BOOST_TEST(second.granted());
}

BOOST_AUTO_TEST_CASE(permits_released_to_a_closed_semaphore_count) {
    async_semaphore semaphore(context, 2, 3);
    BOOST_TEST(semaphore.try_acquire(2));
    semaphore.close();
    semaphore.release(2);
    BOOST_TEST(semaphore.available() == 2);
    BOOST_CHECK_EXCEPTION(semaphore.release(2), boost::system::system_error, is_over_release);
    BOOST_TEST(semaphore.available() == 2);
    BOOST_TEST(!semaphore.is_open());
}

BOOST_AUTO_TEST_CASE(a_release_in_debt_pays_the_debt_first) {
    async_semaphore semaphore(context, 0, 5);
    semaphore.reduce(3);
    BOOST_CHECK_EXCEPTION(semaphore.release(9), boost::system::system_error, is_over_release);
    BOOST_TEST(semaphore.available() == -3);
    semaphore.release(8);
    BOOST_TEST(semaphore.available() == 5);
}

BOOST_AUTO_TEST_CASE(a_release_in_the_deepest_debt_neither_overflows_nor_grants) {
    async_semaphore semaphore(context, 0, 1);
    semaphore.reduce(async_semaphore::max());
    operation waiter;
    semaphore.async_acquire(waiter.on_completion());
    error_code ec;
    semaphore.release(most, ec);
    BOOST_TEST(ec == over_release);
    BOOST_TEST(semaphore.available() == -async_semaphore::max());
    semaphore.release(async_semaphore::max());
    BOOST_TEST(semaphore.available() == 0);
    BOOST_TEST(waiter.pending());
    semaphore.release();
    poll();
    BOOST_TEST(waiter.granted());
}

BOOST_AUTO_TEST_CASE(one_release_leads_from_the_deepest_debt_to_the_maximum) {
    async_semaphore semaphore(context, 0);
    semaphore.reduce(async_semaphore::max());
    BOOST_CHECK_EXCEPTION(
        semaphore.release(2 * async_semaphore::max() + 1), boost::system::system_error,
        is_over_release);
    BOOST_TEST(semaphore.available() == -async_semaphore::max());
    semaphore.release(2 * async_semaphore::max());
    BOOST_TEST(semaphore.available() == async_semaphore::max());
    semaphore.reduce(2 * async_semaphore::max());
    BOOST_TEST(semaphore.available() == -async_semaphore::max());
}

BOOST_AUTO_TEST_SUITE_END()
