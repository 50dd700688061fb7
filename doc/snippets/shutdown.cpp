// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore.hpp>

#include <support/handlers.hpp>

#include <boost/asio.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <exception>
#include <optional>
#include <utility>

namespace {

namespace asio = boost::asio;
using asio::awaitable;
using asio::redirect_error;
using asio::use_awaitable;
using asio_semaphore::async_semaphore;
using asio_semaphore::limiter;
using asio_semaphore::permit;
using boost::system::error_code;
using namespace std::chrono_literals;

int done = 0, refused = 0;

struct fixture {
    asio::io_context context;
    async_semaphore limit{context, 2, 2};

    fixture() { done = refused = 0; }
    template <typename Coroutine>
    void start(Coroutine coroutine) {
        asio::co_spawn(context, std::move(coroutine), [](std::exception_ptr e) {
            if (e)
                std::rethrow_exception(e);
        });
    }
};

//! [job]
awaitable<void> job(async_semaphore& limit) {
    error_code ec;
    const permit held = co_await limit.async_acquire_permit(redirect_error(use_awaitable, ec));
    if (ec) { // error::closed
        ++refused;
        co_return;
    }
    for (int step = 0; step < 3; ++step)
        co_await asio::post(use_awaitable);
    ++done;
}
//! [job]

//! [drain]
awaitable<void> drain(async_semaphore& limit) {
    // Granted when all operations that are waiting now have been served and are done.
    const permit all = co_await limit.async_acquire_permit(limit.max_permits(), use_awaitable);
    limit.close(); // refuses operations that arrived later
}
//! [drain]

//! [drain_for]
awaitable<bool> drain_for(async_semaphore& limit, std::chrono::seconds patience) {
    error_code ec;
    const permit all = co_await limit.async_acquire_permit_for(
        patience, limit.max_permits(), redirect_error(use_awaitable, ec));
    limit.close();
    co_return !ec; // false: some work is still running, and goes on
}
//! [drain_for]

//! [limiter]
awaitable<void> shut_down(limiter& limit) {
    limit.close();                                 // waiting and later operations get error::closed
    co_await limit.async_wait_idle(use_awaitable); // all admitted work is done
}
//! [limiter]

//! [limiter_in_time]
awaitable<void> shut_down_in(limiter& limit, std::chrono::milliseconds patience) {
    using namespace asio::experimental::awaitable_operators;
    asio::steady_timer timer(limit.get_executor(), patience);
    // The server accepts nothing more, but still serves the queue.
    co_await (limit.async_wait_idle(use_awaitable) || timer.async_wait(use_awaitable));
    limit.close();
}
//! [limiter_in_time]

} // namespace

BOOST_FIXTURE_TEST_SUITE(doc_shutdown, fixture)

BOOST_AUTO_TEST_CASE(close_refuses_those_who_wait) {
    for (int i = 0; i < 5; ++i)
        start(job(limit));
    context.poll_one();
    context.poll_one();
    context.poll_one();
    //! [close]
    limit.close(); // waiting and later operations get error::closed
    context.run(); // returns when the work that holds permits is done
    BOOST_TEST(limit.available() == limit.max_permits()); // all permits have been released
    //! [close]
    BOOST_TEST(done == 2);
    BOOST_TEST(refused == 3);
}

BOOST_AUTO_TEST_CASE(drain_serves_those_who_wait) {
    for (int i = 0; i < 5; ++i)
        start(job(limit));
    start(drain(limit));
    start(job(limit)); // comes too late
    context.run();
    BOOST_TEST(done == 5);
    BOOST_TEST(refused == 1);
    BOOST_TEST(!limit.is_open());
    BOOST_TEST(limit.available() == 2);
}

BOOST_AUTO_TEST_CASE(drain_with_a_deadline) {
    std::optional<bool> drained;
    permit stuck = limit.try_acquire_permit();
    start([&]() -> awaitable<void> { drained = co_await drain_for(limit, 0s); });
    context.run();
    BOOST_REQUIRE(drained.has_value());
    BOOST_TEST(!*drained);
    BOOST_TEST(!limit.is_open());
    stuck.reset();
    BOOST_TEST(limit.available() == 2);
}

BOOST_AUTO_TEST_CASE(destroying_the_context_destroys_the_handlers) {
    bool called = false;
    //! [context]
    auto dying = std::make_unique<asio::io_context>();
    async_semaphore survivor(*dying, 1, 1);
    survivor.async_acquire_permit([&](error_code, permit) { called = true; }); // granted
    survivor.async_acquire_permit([&](error_code, permit) { called = true; }); // waits
    dying.reset();
    BOOST_TEST(!called);                   // no context is left to run the handlers
    BOOST_TEST(survivor.available() == 1); // but the permit has been released
    //! [context]
}

BOOST_AUTO_TEST_CASE(a_new_semaphore_takes_the_place_of_a_closed_one) {
    permit old = limit.try_acquire_permit();
    //! [reopen]
    limit.close();
    limit = async_semaphore(context, 2, 2); // aborts operations that still wait for the old one
    //! [reopen]
    BOOST_TEST(limit.is_open());
    BOOST_TEST(limit.available() == 2);
    old.reset(); // of the old one, which is gone
    BOOST_TEST(limit.available() == 2);
}

BOOST_AUTO_TEST_CASE(of_a_limiter) {
    limiter one(context, 1);
    auto place = one.try_admit();
    error_code waited;
    one.async_admit([&](error_code ec, auto) {
        waited = ec;
        place.finish();
    });
    start(shut_down(one));
    context.run();
    BOOST_TEST((waited == asio_semaphore::error::closed));
    BOOST_TEST(one.in_flight() == 0);
}

BOOST_AUTO_TEST_CASE(of_a_limiter_that_serves_those_who_wait) {
    limiter one(context, 1);
    auto place = one.try_admit();
    error_code waited = asio::error::eof;
    one.async_admit([&](error_code ec, auto) { waited = ec; });
    start(shut_down_in(one, 1h));
    asio::post(context, [&] { place.finish(); });
    context.run();
    BOOST_TEST(!waited);
    BOOST_TEST(!one.is_open());
}

BOOST_AUTO_TEST_CASE(of_a_limiter_with_a_deadline) {
    limiter one(context, 1);
    auto stuck = one.try_admit();
    start(shut_down_in(one, 1ms));
    context.run();
    BOOST_TEST(!one.is_open());
    BOOST_TEST(one.in_flight() == 1);
}

BOOST_AUTO_TEST_SUITE_END()
