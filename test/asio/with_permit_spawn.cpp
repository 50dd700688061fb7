// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// with_permit in stackful coroutines.

#include <asio_semaphore/with_permit.hpp>

#include <support/coroutine_stacks.hpp>
#include <support/handlers.hpp>

#include <boost/asio/detached.hpp>
#include <boost/asio/spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/test/unit_test.hpp>

#include <exception>
#include <optional>

namespace asio = boost::asio;
using asio_semaphore::async_semaphore;
using asio_semaphore::with_permit;
using boost::system::error_code;

BOOST_AUTO_TEST_SUITE(with_permit_spawn)

BOOST_AUTO_TEST_CASE(a_stackful_coroutine_waits_and_runs_under_the_limit) {
    asio::io_context context;
    async_semaphore sem(context, 1);
    asio::steady_timer timer(context, asio::steady_timer::time_point::min());
    int done = 0;
    for (int i = 0; i < 3; ++i)
        asio::spawn(
            context,
            [&](asio::yield_context yield) {
                timer.async_wait(with_permit(sem, yield));
                error_code ec = asio::error::operation_aborted;
                timer.async_wait(with_permit(sem, yield[ec]));
                BOOST_TEST(!ec);
                ++done;
            },
            asio::detached);
    context.run();
    BOOST_TEST(done == 3);
    BOOST_TEST(sem.available() == 1);
}

BOOST_AUTO_TEST_CASE(errors_reach_the_coroutine) {
    asio::io_context context;
    async_semaphore sem(context, 1);
    sem.close();
    asio::steady_timer timer(context, asio::steady_timer::time_point::min());
    bool done = false;
    asio::spawn(
        context,
        [&](asio::yield_context yield) {
            error_code ec;
            timer.async_wait(with_permit(sem, yield[ec]));
            BOOST_TEST(ec == error_code(asio_semaphore::error::closed));
#if EXCEPTIONS_ON_COROUTINE_STACKS
            BOOST_CHECK_THROW(
                timer.async_wait(with_permit(sem, yield)), boost::system::system_error);
#endif
            done = true;
        },
        asio::detached);
    context.run();
    BOOST_TEST(done);
}

BOOST_AUTO_TEST_CASE(a_coroutine_as_the_operation_runs_under_the_limit) {
    asio::io_context context;
    async_semaphore sem(context, 1);
    int done = 0;
    for (int i = 0; i < 3; ++i)
        asio::spawn(
            context,
            [&, i](asio::yield_context yield) {
                BOOST_TEST(sem.available() == 0);
                asio::post(yield);
                return i;
            },
            with_permit(sem, [&](std::exception_ptr e, int) {
                BOOST_TEST(!e);
                ++done;
            }));
    context.run();
    BOOST_TEST(done == 3);
    BOOST_TEST(sem.available() == 1);
}

#if EXCEPTIONS_ON_COROUTINE_STACKS
BOOST_AUTO_TEST_CASE(a_context_that_dies_unwinds_the_coroutine_in_either_stage) {
    for (const bool waits : {true, false}) {
        std::optional<asio::io_context> context(std::in_place);
        async_semaphore sem(*context, waits ? 0 : 1);
        bool unwound = false;
        struct at_end {
            bool& flag;
            ~at_end() { flag = true; }
        };
        asio::spawn(
            *context,
            [&](asio::yield_context yield) {
                const at_end guard{unwound};
                asio::steady_timer timer(*context, asio::steady_timer::time_point::max());
                timer.async_wait(with_permit(sem, yield));
            },
            asio::detached);
        context->poll();
        BOOST_TEST(!unwound);
        BOOST_TEST(sem.waiting() == (waits ? 1u : 0u));
        context.reset();
        BOOST_TEST(unwound);
        BOOST_TEST(sem.available() == (waits ? 0 : 1));
    }
}
#endif

BOOST_AUTO_TEST_SUITE_END()
