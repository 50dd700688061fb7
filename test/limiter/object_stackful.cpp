// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// The limiter in stackful coroutines.

#include <asio_semaphore/limiter/with_permit.hpp>

#include "object_fixture.hpp"

#include <support/coroutine_stacks.hpp>

#include <boost/asio/post.hpp>
#include <boost/asio/spawn.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <exception>
#include <optional>
#include <utility>

namespace {

using namespace test;
using asio::yield_context;
using asio_semaphore::with_permit;

struct stackful_fixture : fixture {
    limiter limit{context, 1, patient()};
    int finished = 0;

    template <typename Function>
    void start(Function f) {
        asio::spawn(context, std::move(f), [this](std::exception_ptr e) {
            ++finished;
            if (e)
                std::rethrow_exception(e);
        });
    }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(limiter_object_stackful, stackful_fixture)

BOOST_AUTO_TEST_CASE(a_stackful_coroutine_waits_for_its_place) {
    int inside = 0, most = 0;
    for (int i = 0; i < 3; ++i)
        start([&](yield_context yield) {
            admission place = limit.async_admit(of_key(1), yield);
            most = std::max(most, ++inside);
            asio::post(yield);
            --inside;
            place.finish();
        });
    start([&](yield_context yield) { limit.async_wait_idle(yield); });
    context.run();
    BOOST_TEST(finished == 4);
    BOOST_TEST(most == 1);
    BOOST_TEST(limit.statistics().succeeded == 3u);
}

BOOST_AUTO_TEST_CASE(errors_can_be_taken_as_values) {
    const admission held = limit.try_admit();
    start([&](yield_context yield) {
        error_code ec;
        const admission none = limit.async_admit(waiting_for(1ms), yield[ec]);
        BOOST_TEST(ec == timed_out);
        BOOST_TEST(!none);
        limit.close();
        limit.async_admit(yield[ec]).reset();
        BOOST_TEST(ec == closed);
    });
    context.run();
    BOOST_TEST(finished == 1);
}

BOOST_AUTO_TEST_CASE(an_operation_runs_under_the_limit) {
    asio::steady_timer timer(context, asio::steady_timer::time_point::min());
    for (int i = 0; i < 3; ++i)
        start([&](yield_context yield) {
            timer.async_wait(with_permit(limit, yield));
            error_code ec = aborted;
            timer.async_wait(with_permit(limit, of_priority(1), yield[ec]));
            BOOST_TEST(!ec);
        });
    context.run();
    BOOST_TEST(finished == 3);
    BOOST_TEST(limit.statistics().succeeded == 6u);
}

BOOST_AUTO_TEST_CASE(cancelling_the_coroutine_cancels_the_wait) {
    const admission held = limit.try_admit();
    asio::cancellation_signal signal;
    error_code ended_with;
    asio::spawn(
        context, [&](yield_context yield) { limit.async_admit(yield[ended_with]).reset(); },
        asio::bind_cancellation_slot(signal.slot(), [](std::exception_ptr) {}));
    poll();
    BOOST_TEST(limit.waiting() == 1u);
    signal.emit(asio::cancellation_type::terminal);
    poll();
    BOOST_TEST(ended_with == aborted);
}

#if EXCEPTIONS_ON_COROUTINE_STACKS

BOOST_AUTO_TEST_CASE(a_coroutine_that_waits_is_unwound_with_its_context) {
    std::optional<asio::io_context> dying(std::in_place);
    limiter own(*dying, 1, patient());
    int unwound = 0;
    bool resumed = false;
    for (int i = 0; i < 2; ++i)
        asio::spawn(
            *dying,
            [&](yield_context yield) {
                const support::at_exit last([&] { ++unwound; });
                const admission first = own.async_admit(yield);
                const admission second = own.async_admit(yield);
                resumed = true;
            },
            [](std::exception_ptr) {});
    dying->poll();
    BOOST_TEST(own.waiting() == 2u);
    dying.reset();
    BOOST_TEST(!resumed);
    BOOST_TEST(unwound == 2);
    BOOST_TEST(own.in_flight() == 0);
}

#endif

BOOST_AUTO_TEST_SUITE_END()
