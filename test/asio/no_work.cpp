// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore/async_semaphore.hpp>

#include <support/handlers.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <thread>

namespace {

using asio_semaphore::async_semaphore;
using asio_semaphore::permit;
using support::recording;
using support::result;

struct fixture {
    boost::asio::io_context context;
    async_semaphore semaphore{context, 1};
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(asio_no_work, fixture)

BOOST_AUTO_TEST_CASE(an_idle_semaphore_does_not_keep_its_context_running) {
    BOOST_TEST(context.run() == 0);
    BOOST_TEST(context.stopped());
}

BOOST_AUTO_TEST_CASE(a_semaphore_whose_permits_are_held_does_not_keep_its_context_running) {
    const permit held = semaphore.try_acquire_permit();
    BOOST_TEST(context.run() == 0);
    BOOST_TEST(context.stopped());
}

BOOST_AUTO_TEST_CASE(a_semaphore_after_use_does_not_keep_its_context_running) {
    result first, second;
    semaphore.async_acquire_permit(recording(first));
    semaphore.async_acquire_permit(recording(second));
    context.poll();
    first.held.reset();
    context.run();
    BOOST_TEST(second.succeeded());
    BOOST_TEST(context.stopped());
    context.restart();
    BOOST_TEST(context.run() == 0);
}

BOOST_AUTO_TEST_CASE(a_closed_semaphore_does_not_keep_its_context_running) {
    result waiting;
    const permit held = semaphore.try_acquire_permit();
    semaphore.async_acquire(recording(waiting));
    semaphore.close();
    context.run();
    BOOST_TEST(waiting.failed(asio_semaphore::error::closed));
    context.restart();
    BOOST_TEST(context.run() == 0);
}

BOOST_AUTO_TEST_CASE(giving_back_with_nobody_waiting_submits_nothing) {
    semaphore.try_acquire_permit().reset();
    semaphore.release(3);
    semaphore.reduce(2);
    semaphore.cancel();
    semaphore.close();
    BOOST_TEST(context.run() == 0);
}

BOOST_AUTO_TEST_CASE(a_waiting_operation_keeps_its_context_running) {
    const permit held = semaphore.try_acquire_permit();
    result waiting;
    semaphore.async_acquire(recording(waiting));
    BOOST_TEST(context.poll() == 0);
    BOOST_TEST(!context.stopped());
    BOOST_TEST(semaphore.cancel() == 1);
    context.run();
    BOOST_TEST(context.stopped());
    BOOST_TEST(waiting.failed(boost::asio::error::operation_aborted));
}

// Tests every order in which they can leave the queue.
BOOST_AUTO_TEST_CASE(any_of_several_waiting_operations_keeps_its_context_running) {
    using order = std::array<std::size_t, 3>;
    for (order leaving{0, 1, 2};;) {
        BOOST_TEST_CONTEXT("leaving: " << leaving[0] << leaving[1] << leaving[2]) {
            context.restart();
            permit held = semaphore.try_acquire_permit();
            std::array<result, 3> waiting;
            std::array<boost::asio::cancellation_signal, 3> signals;
            for (std::size_t i = 0; i < waiting.size(); ++i)
                semaphore.async_acquire(
                    boost::asio::bind_cancellation_slot(signals[i].slot(), recording(waiting[i])));
            for (const std::size_t i : leaving) {
                context.poll();
                BOOST_TEST(!context.stopped());
                signals[i].emit(boost::asio::cancellation_type::total);
            }
            context.poll();
            BOOST_TEST(context.stopped());
            for (const result& r : waiting)
                BOOST_TEST(r.failed(boost::asio::error::operation_aborted));
        }
        if (!std::next_permutation(leaving.begin(), leaving.end()))
            break;
    }
}

BOOST_AUTO_TEST_CASE(an_operation_behind_a_granted_one_keeps_its_context_running) {
    permit held = semaphore.try_acquire_permit();
    result first, second, third;
    semaphore.async_acquire_permit(recording(first));
    semaphore.async_acquire_permit(recording(second));
    semaphore.async_acquire_permit(recording(third));
    held.reset();
    for (result* r : {&first, &second, &third}) {
        BOOST_TEST(!context.stopped());
        BOOST_TEST(context.poll() == 1);
        BOOST_TEST_REQUIRE(r->succeeded());
        r->held.reset();
    }
    BOOST_TEST(context.stopped());
}

// One thread runs the context, which has no other work. Another thread returns the permit. If the
// context ran out of work in between, run would return early.
BOOST_AUTO_TEST_CASE(a_grant_by_another_thread_leaves_no_moment_without_work) {
    for (int round = 0; round < 2000; ++round) {
        context.restart();
        permit held = semaphore.try_acquire_permit();
        BOOST_TEST_REQUIRE(static_cast<bool>(held));
        result first, second;
        semaphore.async_acquire_permit(recording(first));
        semaphore.async_acquire_permit(recording(second));
        std::thread giver([&] { held.reset(); });
        context.run_one();
        first.held.reset();
        context.run();
        giver.join();
        BOOST_TEST_REQUIRE(first.succeeded());
        BOOST_TEST_REQUIRE(second.succeeded());
        second.held.reset();
    }
}

BOOST_AUTO_TEST_SUITE_END()
