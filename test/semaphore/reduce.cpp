// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore/async_semaphore.hpp>

#include "fixture.hpp"

#include <functional>
#include <limits>
#include <stdexcept>
#include <vector>

namespace {
using namespace test;
}

BOOST_FIXTURE_TEST_SUITE(semaphore_reduce, fixture)

BOOST_AUTO_TEST_CASE(reduce_takes_free_permits_out_of_circulation) {
    async_semaphore semaphore(context, 5, 5);
    semaphore.reduce(2);
    BOOST_TEST(semaphore.available() == 3);
    BOOST_TEST(semaphore.max_permits() == 5);
    BOOST_TEST(!semaphore.try_acquire(4));
    BOOST_TEST(semaphore.try_acquire(3));
}

BOOST_AUTO_TEST_CASE(reduce_goes_into_debt_for_held_permits_and_their_return_pays_it) {
    async_semaphore semaphore(context, 3, 3);
    permit a = semaphore.try_acquire_permit(2), b = semaphore.try_acquire_permit(1);
    semaphore.reduce(2);
    BOOST_TEST(semaphore.available() == -2);
    b.reset();
    BOOST_TEST(semaphore.available() == -1);
    a.reset();
    BOOST_TEST(semaphore.available() == 1);
}

BOOST_AUTO_TEST_CASE(a_debt_is_paid_before_anyone_is_granted) {
    async_semaphore semaphore(context, 2);
    permit a = semaphore.try_acquire_permit(), b = semaphore.try_acquire_permit();
    operation waiter;
    semaphore.async_acquire(waiter.on_completion());
    semaphore.reduce(2);
    BOOST_TEST(semaphore.available() == -2);
    a.reset();
    b.reset();
    poll();
    BOOST_TEST(semaphore.available() == 0);
    BOOST_TEST(waiter.pending());
    semaphore.release();
    poll();
    BOOST_TEST(waiter.granted());
    BOOST_TEST(semaphore.available() == 0);
}

BOOST_AUTO_TEST_CASE(reducing_by_none_is_a_no_op) {
    async_semaphore semaphore(context, 1);
    semaphore.reduce(0);
    BOOST_TEST(semaphore.available() == 1);
    operation waiter;
    semaphore.async_acquire(2, waiter.on_completion());
    semaphore.reduce(0);
    BOOST_TEST(semaphore.available() == 1);
    BOOST_TEST(semaphore.waiting() == 1u);
    semaphore.close();
    semaphore.reduce(0);
    BOOST_TEST(semaphore.available() == 1);
}

BOOST_AUTO_TEST_CASE(a_negative_count_throws_and_changes_nothing) {
    async_semaphore semaphore(context, 2, 5);
    for (const std::ptrdiff_t n :
         {std::ptrdiff_t(-1), std::numeric_limits<std::ptrdiff_t>::min()}) {
        BOOST_CHECK_THROW(semaphore.reduce(n), std::invalid_argument);
        BOOST_TEST(semaphore.available() == 2);
    }
}

BOOST_AUTO_TEST_CASE(the_deepest_debt_is_max) {
    async_semaphore semaphore(context, 2, 5);
    BOOST_CHECK_THROW(semaphore.reduce(async_semaphore::max() + 3), std::invalid_argument);
    BOOST_CHECK_THROW(
        semaphore.reduce(std::numeric_limits<std::ptrdiff_t>::max()), std::invalid_argument);
    BOOST_TEST(semaphore.available() == 2);
    semaphore.reduce(async_semaphore::max() + 2);
    BOOST_TEST(semaphore.available() == -async_semaphore::max());
    BOOST_CHECK_THROW(semaphore.reduce(1), std::invalid_argument);
    BOOST_TEST(semaphore.available() == -async_semaphore::max());
    semaphore.reduce(0);
}

BOOST_AUTO_TEST_CASE(a_debt_that_is_too_deep_is_refused_while_operations_wait_too) {
    async_semaphore semaphore(context, 0);
    operation waiter;
    semaphore.async_acquire(waiter.on_completion());
    BOOST_CHECK_THROW(semaphore.reduce(async_semaphore::max() + 1), std::invalid_argument);
    BOOST_TEST(semaphore.available() == 0);
    semaphore.reduce(async_semaphore::max());
    BOOST_TEST(semaphore.available() == -async_semaphore::max());
    BOOST_CHECK_THROW(semaphore.reduce(1), std::invalid_argument);
    BOOST_TEST(semaphore.waiting() == 1u);
}

BOOST_AUTO_TEST_CASE(reduce_leaves_the_waiters_waiting) {
    async_semaphore semaphore(context, 1);
    operation head, follower;
    semaphore.async_acquire(2, head.on_completion());
    semaphore.async_acquire(1, follower.on_completion());
    semaphore.reduce(1);
    BOOST_TEST(semaphore.available() == 0);
    BOOST_TEST(semaphore.waiting() == 2u);
    semaphore.release(1);
    poll();
    BOOST_TEST(head.pending());
    semaphore.release(1);
    poll();
    BOOST_TEST(head.granted());
    BOOST_TEST(follower.pending());
}

BOOST_AUTO_TEST_CASE(reduce_then_release_of_the_same_amount_grants_as_before) {
    for (const std::ptrdiff_t n : {1, 2, 3, 7}) {
        BOOST_TEST_CONTEXT("reduced by " << n) {
            async_semaphore plain(context, 2, 4), reduced(context, 2, 4);
            std::vector<int> plain_order, reduced_order;
            const auto start = [](async_semaphore& semaphore, std::vector<int>& order) {
                int id = 0;
                for (const std::ptrdiff_t count : {1, 3, 1, 2, 1}) {
                    semaphore.async_acquire(count, [&order, i = id++](error_code ec) {
                        if (!ec)
                            order.push_back(i);
                    });
                }
            };
            start(plain, plain_order);
            start(reduced, reduced_order);
            for (const std::ptrdiff_t back : {1, 1, 2, 1, 2}) {
                reduced.reduce(n);
                poll();
                plain.release(back);
                reduced.release(n);
                reduced.release(back);
                poll();
                BOOST_TEST(plain_order == reduced_order, boost::test_tools::per_element());
                BOOST_TEST(plain.available() == reduced.available());
                BOOST_TEST(plain.waiting() == reduced.waiting());
            }
            BOOST_TEST(plain_order.size() == 5u);
        }
    }
}

BOOST_AUTO_TEST_CASE(reduce_counts_on_a_closed_semaphore) {
    async_semaphore semaphore(context, 2);
    permit held = semaphore.try_acquire_permit(2);
    semaphore.close();
    semaphore.reduce(3);
    BOOST_TEST(semaphore.available() == -3);
    held.reset();
    BOOST_TEST(semaphore.available() == -1);
    BOOST_TEST(!semaphore.is_open());
}

BOOST_AUTO_TEST_SUITE_END()
