// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore.hpp>

#include <support/handlers.hpp>

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>

#if __has_include(<boost/asio/cancel_after.hpp>)
#include <boost/asio/cancel_after.hpp>
#endif

#include <chrono>
#include <exception>
#include <string>
#include <utility>

namespace {

namespace asio = boost::asio;
using asio::awaitable;
using asio::redirect_error;
using asio::use_awaitable;
using asio_semaphore::async_semaphore;
using asio_semaphore::permit;
using asio_semaphore::with_permit;
using boost::system::error_code;
using namespace std::chrono_literals;

struct fixture {
    asio::io_context context;
    async_semaphore limit{context, 1, 1};

    template <typename Coroutine>
    void start(Coroutine coroutine) {
        asio::co_spawn(context, std::move(coroutine), [](std::exception_ptr e) {
            if (e)
                std::rethrow_exception(e);
        });
    }
};

//! [for]
awaitable<std::string> answer(async_semaphore& limit, std::chrono::milliseconds patience) {
    error_code ec;
    const permit held =
        co_await limit.async_acquire_permit_for(patience, redirect_error(use_awaitable, ec));
    if (ec == asio::error::timed_out)
        co_return "busy, try again later";
    if (ec)
        co_return "stopping";
    co_return "done";
}
//! [for]

//! [budget]
awaitable<std::string>
answer_until(async_semaphore& limit, std::chrono::steady_clock::time_point deadline) {
    // If the time left is zero or negative, the permit is granted at once or not at all.
    const auto left = deadline - std::chrono::steady_clock::now();
    error_code ec;
    const permit held =
        co_await limit.async_acquire_permit_for(left, redirect_error(use_awaitable, ec));
    co_return ec ? "too late" : "done";
}
//! [budget]

} // namespace

BOOST_FIXTURE_TEST_SUITE(doc_deadlines, fixture)

BOOST_AUTO_TEST_CASE(an_acquire_with_a_deadline) {
    std::string in_time, late, closed;
    start([&]() -> awaitable<void> { in_time = co_await answer(limit, 1h); });
    context.run();
    BOOST_TEST(in_time == "done");

    permit held = limit.try_acquire_permit();
    start([&]() -> awaitable<void> { late = co_await answer(limit, 1ms); });
    context.restart();
    context.run(); // only the deadline can end it
    BOOST_TEST(late == "busy, try again later");

    start([&]() -> awaitable<void> { closed = co_await answer(limit, 1h); });
    support::poll(context);
    limit.close();
    context.run();
    BOOST_TEST(closed == "stopping");
}

BOOST_AUTO_TEST_CASE(a_budget_that_is_spent) {
    std::string free, taken;
    const auto past = std::chrono::steady_clock::now() - 1s;
    start([&]() -> awaitable<void> { free = co_await answer_until(limit, past); });
    context.run();
    BOOST_TEST(free == "done");
    const permit held = limit.try_acquire_permit();
    start([&]() -> awaitable<void> { taken = co_await answer_until(limit, past); });
    context.restart();
    context.run();
    BOOST_TEST(taken == "too late");
}

BOOST_AUTO_TEST_CASE(who_runs_out_of_time_makes_way) {
    async_semaphore three(context, 3, 3);
    permit held = three.try_acquire_permit(2); // one is left
    error_code large, small;
    small = asio::error::would_block;
    //! [makes_way]
    three.async_acquire_permit_for(1ms, 2, [&](error_code ec, permit) { large = ec; });
    three.async_acquire_permit([&](error_code ec, permit) { small = ec; }); // waits behind it
    BOOST_TEST(three.waiting() == 2u);
    context.run();
    BOOST_TEST(large == asio::error::timed_out);
    BOOST_TEST(!small); // granted when the large one timed out, without any release
    //! [makes_way]
}

#if __has_include(<boost/asio/cancel_after.hpp>)

BOOST_AUTO_TEST_CASE(waiting_and_running_together) {
    error_code result;
    asio::steady_timer work(context, 1h);
    const permit held = limit.try_acquire_permit();
    const auto handler = [&](error_code ec) {
        result = ec;
    };
    //! [together]
    // Aborted if the wait for the permit and the operation together take longer than 1 ms.
    work.async_wait(with_permit(limit, asio::cancel_after(1ms, handler)));
    //! [together]
    context.run();
    BOOST_TEST(result == asio::error::operation_aborted);
    BOOST_TEST(limit.waiting() == 0u);
}

BOOST_AUTO_TEST_CASE(running_alone) {
    error_code result;
    asio::steady_timer work(context, 1h);
    permit held = limit.try_acquire_permit();
    const auto handler = [&](error_code ec) {
        result = ec;
    };
    //! [alone]
    // Waits for the permit without a limit. Then the operation may take 1 ms.
    work.async_wait(asio::cancel_after(1ms, with_permit(limit, handler)));
    //! [alone]
    support::poll(context);
    BOOST_TEST(limit.waiting() == 1u);
    held.reset();
    context.run();
    BOOST_TEST(result == asio::error::operation_aborted);
    BOOST_TEST(limit.available() == 1);
}

#endif

BOOST_AUTO_TEST_SUITE_END()
