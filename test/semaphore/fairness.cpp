// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore/async_semaphore.hpp>

#include "fixture.hpp"

#include <boost/asio/deferred.hpp>

#include <chrono>
#include <string>
#include <vector>

namespace {

using namespace test;
using namespace std::chrono_literals;

struct fairness_fixture : fixture {
    // A handler that records its name when its operation is granted. On one thread, handlers run in
    // the order of their grants.
    auto note(char name) {
        return [this, name](error_code ec) {
            if (!ec)
                granted += name;
        };
    }
    auto note_permit(char name) {
        return [this, name](error_code ec, permit held) {
            if (!ec)
                granted += name;
            held.forget();
        };
    }

    std::string granted;
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(semaphore_fairness, fairness_fixture)

BOOST_AUTO_TEST_CASE(operations_are_granted_in_the_order_of_initiation) {
    async_semaphore semaphore(context, 0);
    semaphore.async_acquire(note('a'));
    semaphore.async_acquire_permit(note_permit('b'));
    semaphore.async_acquire_for(1h, note('c'));
    semaphore.async_acquire_permit_for(1h, note_permit('d'));
    semaphore.async_acquire(note('e'));
    for (const char* expected : {"a", "ab", "abc", "abcd", "abcde"}) {
        semaphore.release();
        poll();
        BOOST_TEST(granted == expected);
    }
}

BOOST_AUTO_TEST_CASE(grants_of_one_release_are_in_the_order_of_initiation) {
    async_semaphore semaphore(context, 0);
    for (const char name : {'a', 'b', 'c', 'd'})
        semaphore.async_acquire(note(name));
    semaphore.release(4);
    poll();
    BOOST_TEST(granted == "abcd");
}

BOOST_AUTO_TEST_CASE(a_large_request_at_the_head_holds_back_smaller_ones) {
    async_semaphore semaphore(context, 2);
    semaphore.async_acquire(3, note('L'));
    semaphore.async_acquire(1, note('s'));
    semaphore.async_acquire_permit(2, note_permit('t'));
    poll();
    BOOST_TEST(granted == "");
    BOOST_TEST(semaphore.available() == 2);
    semaphore.release(1);
    poll();
    BOOST_TEST(granted == "L");
    semaphore.release(1);
    poll();
    BOOST_TEST(granted == "Ls");
    semaphore.release(1);
    poll();
    BOOST_TEST(granted == "Ls");
    semaphore.release(1);
    poll();
    BOOST_TEST(granted == "Lst");
}

BOOST_AUTO_TEST_CASE(a_new_acquire_that_would_fit_queues_behind_the_others) {
    async_semaphore semaphore(context, 2);
    semaphore.async_acquire(3, note('L'));
    semaphore.async_acquire(1, note('s'));
    BOOST_TEST(semaphore.waiting() == 2u);
    BOOST_TEST(semaphore.available() == 2);
    semaphore.release(2);
    poll();
    BOOST_TEST(granted == "Ls");
}

BOOST_AUTO_TEST_CASE(a_large_request_is_not_starved_by_small_ones_that_come_and_go) {
    async_semaphore semaphore(context, 3);
    permit small = semaphore.try_acquire_permit();
    semaphore.async_acquire(3, note('L'));
    for (int i = 0; i < 10; ++i) {
        BOOST_TEST(!semaphore.try_acquire());
        semaphore.async_acquire(1, note('s'));
    }
    poll();
    BOOST_TEST(granted == "");
    small.reset();
    poll();
    BOOST_TEST(granted == "L");
}

BOOST_AUTO_TEST_CASE(a_lazy_operation_takes_its_place_when_it_starts) {
    async_semaphore semaphore(context, 0);
    auto lazy = semaphore.async_acquire(asio::deferred);
    auto never = semaphore.async_acquire(asio::deferred);
    BOOST_TEST(semaphore.waiting() == 0u);
    semaphore.async_acquire(note('a'));
    std::move(lazy)(note('z'));
    BOOST_TEST(semaphore.waiting() == 2u);
    semaphore.release();
    poll();
    BOOST_TEST(granted == "a");
    semaphore.release();
    poll();
    BOOST_TEST(granted == "az");
    (void)never;
}

BOOST_AUTO_TEST_CASE(a_lazy_operation_that_never_starts_takes_no_permit) {
    async_semaphore semaphore(context, 1);
    {
        auto lazy = semaphore.async_acquire_permit(asio::deferred);
        BOOST_TEST(semaphore.available() == 1);
        (void)lazy;
    }
    BOOST_TEST(semaphore.available() == 1);
}

BOOST_AUTO_TEST_CASE(a_lazy_operation_may_start_more_than_once) {
    async_semaphore semaphore(context, 0);
    const auto lazy = semaphore.async_acquire(asio::deferred);
    auto first = lazy, second = lazy;
    std::move(first)(note('a'));
    std::move(second)(note('b'));
    BOOST_TEST(semaphore.waiting() == 2u);
    semaphore.release(2);
    poll();
    BOOST_TEST(granted == "ab");
}

BOOST_AUTO_TEST_CASE(an_operation_that_leaves_the_queue_does_not_change_the_order_of_others) {
    for (const int leaver : {0, 1, 2, 3}) {
        BOOST_TEST_CONTEXT("leaver " << leaver) {
            granted.clear();
            async_semaphore semaphore(context, 0);
            asio::cancellation_signal signals[4];
            std::string expected;
            for (int i = 0; i < 4; ++i) {
                const char name = static_cast<char>('a' + i);
                semaphore.async_acquire(
                    asio::bind_cancellation_slot(signals[i].slot(), note(name)));
                if (i != leaver)
                    expected += name;
            }
            signals[leaver].emit(asio::cancellation_type::total);
            BOOST_TEST(semaphore.waiting() == 3u);
            semaphore.release(3);
            poll();
            BOOST_TEST(granted == expected);
            BOOST_TEST(semaphore.available() == 0);
        }
    }
}

BOOST_AUTO_TEST_CASE(the_permits_that_a_handler_gives_back_go_to_the_next_in_line) {
    async_semaphore semaphore(context, 1);
    std::vector<std::ptrdiff_t> seen;
    for (int i = 0; i < 5; ++i) {
        semaphore.async_acquire_permit([&](error_code, permit held) {
            seen.push_back(semaphore.available());
            held.reset();
            // The next waiter got the permit. Behind the last one, nobody waits.
            seen.push_back(semaphore.available());
        });
    }
    poll();
    const std::vector<std::ptrdiff_t> expected{0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    BOOST_TEST(seen == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()
