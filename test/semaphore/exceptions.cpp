// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore/async_semaphore.hpp>

#include "fixture.hpp"

#include <exception>
#include <stdexcept>
#include <utility>

namespace {

using namespace test;

struct thrown : std::exception {};

// A handler whose moves throw when the countdown reaches zero.
class throwing_move {
public:
    struct plan {
        int moves_left = -1; // negative: never throws
        int alive = 0;
        int calls = 0;
        bool destroyed_by_unwinding = false;
    };

    explicit throwing_move(plan& p) : plan_(&p) { ++plan_->alive; }
    throwing_move(throwing_move&& other) : plan_(other.plan_) {
        if (plan_->moves_left == 0)
            throw thrown();
        if (plan_->moves_left > 0)
            --plan_->moves_left;
        ++plan_->alive;
    }
    throwing_move& operator=(throwing_move&&) = delete;
    ~throwing_move() {
        --plan_->alive;
        if (std::uncaught_exceptions() > 0)
            plan_->destroyed_by_unwinding = true;
    }
    void operator()(error_code, permit = {}) { ++plan_->calls; }

private:
    plan* plan_;
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(semaphore_exceptions, fixture)

BOOST_AUTO_TEST_CASE(a_handler_that_throws_leaves_the_semaphore_usable) {
    async_semaphore semaphore(context, 1);
    operation next;
    semaphore.async_acquire_permit([](error_code, permit) { throw thrown(); });
    semaphore.async_acquire_permit(next.on_completion());
    BOOST_CHECK_THROW(context.run(), thrown);
    // During stack unwinding, the next waiter got the permit.
    BOOST_TEST(semaphore.waiting() == 0u);
    BOOST_TEST(!poll());
    BOOST_TEST(next.granted());
    next.held().reset();
    BOOST_TEST(semaphore.available() == 1);
}

BOOST_AUTO_TEST_CASE(a_waiting_handler_that_throws_leaves_the_semaphore_usable) {
    async_semaphore semaphore(context, 0);
    operation next;
    semaphore.async_acquire_permit([](error_code, permit) { throw thrown(); });
    semaphore.async_acquire([](error_code) { throw thrown(); });
    semaphore.async_acquire(next.on_completion());
    semaphore.release();
    BOOST_CHECK_THROW(context.run(), thrown);
    BOOST_CHECK_THROW(context.run(), thrown);
    // The plain async_acquire leaves the release to the handler, which lost the permit.
    BOOST_TEST(semaphore.available() == 0);
    semaphore.release();
    BOOST_TEST(!poll());
    BOOST_TEST(next.granted());
}

BOOST_AUTO_TEST_CASE(a_handler_that_receives_an_error_may_throw) {
    async_semaphore semaphore(context, 0);
    operation next;
    semaphore.async_acquire([](error_code) { throw thrown(); });
    semaphore.async_acquire(next.on_completion());
    semaphore.cancel();
    BOOST_CHECK_THROW(context.run(), thrown);
    BOOST_TEST(!poll());
    BOOST_TEST(next.completed_with(aborted));
    semaphore.release();
    BOOST_TEST(semaphore.available() == 1);
}

BOOST_AUTO_TEST_CASE(a_handler_move_that_throws_in_the_initiation_changes_nothing) {
    for (const std::ptrdiff_t initial : {0, 1}) {
        bool started = false;
        for (int moves = 0; !started; ++moves) {
            BOOST_TEST_CONTEXT("initial " << initial << ", throws after " << moves << " moves") {
                BOOST_TEST_REQUIRE(moves < 20);
                throwing_move::plan plan;
                async_semaphore semaphore(context, initial);
                try {
                    throwing_move handler(plan);
                    plan.moves_left = moves;
                    semaphore.async_acquire_permit(std::move(handler));
                    started = true;
                } catch (const thrown&) {
                    BOOST_TEST(plan.destroyed_by_unwinding);
                }
                plan.moves_left = -1;
                if (!started) {
                    BOOST_TEST(plan.alive == 0);
                    BOOST_TEST(semaphore.available() == initial);
                    BOOST_TEST(semaphore.waiting() == 0u);
                    BOOST_TEST(!poll());
                    BOOST_TEST(plan.calls == 0);
                }
                semaphore.close();
                poll();
                BOOST_TEST(plan.calls == (started ? 1 : 0));
                BOOST_TEST(plan.alive == 0);
                BOOST_TEST(semaphore.available() == initial);
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(a_slot_outlives_an_initiation_that_threw) {
    async_semaphore semaphore(context, 0);
    asio::cancellation_signal signal;
    for (int moves = 0; moves < 20; ++moves) {
        throwing_move::plan plan;
        bool started = true;
        try {
            auto handler = asio::bind_cancellation_slot(signal.slot(), throwing_move(plan));
            plan.moves_left = moves;
            semaphore.async_acquire(std::move(handler));
        } catch (const thrown&) {
            started = false;
        }
        plan.moves_left = -1;
        signal.emit(asio::cancellation_type::terminal);
        poll();
        BOOST_TEST(plan.calls == (started ? 1 : 0));
        BOOST_TEST(plan.alive == 0);
        BOOST_TEST(semaphore.waiting() == 0u);
    }
}

BOOST_AUTO_TEST_CASE(a_handler_move_that_throws_on_delivery_gives_the_permit_to_the_next) {
    for (const bool permit_form : {false, true}) {
        bool delivered = false;
        for (int moves = 0; !delivered; ++moves) {
            BOOST_TEST_CONTEXT("permit form " << permit_form << ", after " << moves << " moves") {
                BOOST_TEST_REQUIRE(moves < 20);
                throwing_move::plan plan;
                async_semaphore semaphore(context, 0);
                operation next;
                if (permit_form)
                    semaphore.async_acquire_permit(throwing_move(plan));
                else
                    semaphore.async_acquire(throwing_move(plan));
                semaphore.async_acquire_permit(next.on_completion());
                plan.moves_left = moves;
                semaphore.release();
                try {
                    context.restart();
                    context.run_one();
                    delivered = plan.calls == 1;
                    BOOST_TEST(delivered);
                } catch (const thrown&) {
                }
                plan.moves_left = -1;
                BOOST_TEST(plan.alive == 0);
                if (delivered && !permit_form)
                    semaphore.release();
                BOOST_TEST(!poll());
                BOOST_TEST(next.granted());
                BOOST_TEST(plan.calls == (delivered ? 1 : 0));
                next.held().reset();
                BOOST_TEST(semaphore.available() == 1);
            }
        }
    }
}

BOOST_AUTO_TEST_SUITE_END()
