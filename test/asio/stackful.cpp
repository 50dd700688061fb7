// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore/async_semaphore.hpp>

#include <support/coroutine_stacks.hpp>
#include <support/handlers.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/spawn.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <chrono>
#include <exception>
#include <optional>
#include <utility>

namespace {

namespace asio = boost::asio;
using asio::yield_context;
using asio_semaphore::async_semaphore;
using asio_semaphore::permit;
using boost::system::error_code;
using boost::system::system_error;
using namespace std::chrono_literals;

struct fixture {
    asio::io_context context;
    async_semaphore semaphore{context, 1};
    int finished = 0;

    template <typename Function>
    void start(asio::io_context& on, Function f) {
        asio::spawn(on, std::move(f), [this](std::exception_ptr e) {
            ++finished;
            if (e)
                std::rethrow_exception(e);
        });
    }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(asio_stackful, fixture)

BOOST_AUTO_TEST_CASE(a_stackful_coroutine_waits_for_its_permit) {
    int inside = 0, most = 0;
    for (int i = 0; i < 3; ++i)
        start(context, [&](yield_context yield) {
            const permit held = semaphore.async_acquire_permit(yield);
            most = std::max(most, ++inside);
            asio::post(yield);
            --inside;
        });
    context.run();
    BOOST_TEST(finished == 3);
    BOOST_TEST(most == 1);
    BOOST_TEST(semaphore.available() == 1);
}

BOOST_AUTO_TEST_CASE(the_bare_and_the_timed_forms_work_too) {
    start(context, [&](yield_context yield) {
        semaphore.async_acquire(yield);
        error_code ec;
        semaphore.async_acquire_for(1ms, yield[ec]);
        BOOST_TEST((ec == asio::error::timed_out));
        semaphore.release();
        const permit held = semaphore.async_acquire_permit_for(1h, 1, yield);
        BOOST_TEST(held.count() == 1);
    });
    context.run();
    BOOST_TEST(finished == 1);
    BOOST_TEST(semaphore.available() == 1);
}

#if EXCEPTIONS_ON_COROUTINE_STACKS

BOOST_AUTO_TEST_CASE(errors_are_exceptions) {
    start(context, [&](yield_context yield) {
        semaphore.close();
        BOOST_CHECK_EXCEPTION(
            semaphore.async_acquire(yield), system_error,
            [](const system_error& e) { return e.code() == asio_semaphore::error::closed; });
    });
    context.run();
    BOOST_TEST(finished == 1);
}

#endif

BOOST_AUTO_TEST_CASE(errors_can_be_taken_as_values) {
    start(context, [&](yield_context yield) {
        error_code ec;
        semaphore.close();
        const permit none = semaphore.async_acquire_permit(yield[ec]);
        BOOST_TEST((ec == asio_semaphore::error::closed));
        BOOST_TEST(!none);
    });
    context.run();
    BOOST_TEST(finished == 1);
}

BOOST_AUTO_TEST_CASE(cancelling_the_coroutine_cancels_the_wait) {
    const permit held = semaphore.try_acquire_permit();
    asio::cancellation_signal signal;
    error_code ended;
    asio::spawn(
        context, [&](yield_context yield) { semaphore.async_acquire_permit(yield[ended]).reset(); },
        asio::bind_cancellation_slot(signal.slot(), [](std::exception_ptr) {}));
    support::poll(context);
    BOOST_TEST(semaphore.waiting() == 1u);
    signal.emit(asio::cancellation_type::terminal);
    support::poll(context);
    BOOST_TEST(ended == asio::error::operation_aborted);
}

#if EXCEPTIONS_ON_COROUTINE_STACKS

BOOST_AUTO_TEST_CASE(a_coroutine_that_waits_is_unwound_with_its_context) {
    std::optional<asio::io_context> dying(std::in_place);
    async_semaphore other(*dying, 2);
    int unwound = 0;
    bool resumed = false;
    for (int i = 0; i < 3; ++i)
        asio::spawn(
            *dying,
            [&](yield_context yield) {
                const support::at_exit last([&] { ++unwound; });
                const permit first = other.async_acquire_permit(yield);
                const permit second = other.async_acquire_permit(2, yield);
                resumed = true;
            },
            [](std::exception_ptr) {});
    dying->poll();
    BOOST_TEST(other.waiting() == 3u);
    dying.reset();
    BOOST_TEST(!resumed);
    BOOST_TEST(unwound == 3);
    BOOST_TEST(other.available() == 2);
}

#endif

BOOST_AUTO_TEST_SUITE_END()
