// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore.hpp>

#include <support/handlers.hpp>

#include <boost/asio.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/test/unit_test.hpp>

#if __has_include(<boost/asio/cancel_after.hpp>)
#include <boost/asio/cancel_after.hpp>
#endif

#include <array>
#include <chrono>
#include <cstddef>
#include <exception>
#include <future>
#include <memory_resource>
#include <thread>
#include <tuple>
#include <utility>

namespace {

namespace asio = boost::asio;
using asio::awaitable;
using asio::use_awaitable;
using asio_semaphore::async_semaphore;
using asio_semaphore::permit;
using boost::system::error_code;
using namespace std::chrono_literals;

struct fixture {
    asio::io_context context;
    async_semaphore sem{context, 1, 1};
    int finished = 0;

    template <typename Coroutine>
    void start(Coroutine coroutine) {
        asio::co_spawn(context, std::move(coroutine), [this](std::exception_ptr e) {
            ++finished;
            if (e)
                std::rethrow_exception(e);
        });
    }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(doc_tokens, fixture)

BOOST_AUTO_TEST_CASE(callback) {
    std::ptrdiff_t count = 0;
    //! [callback]
    sem.async_acquire_permit([&](error_code ec, permit held) {
        if (!ec)
            count = held.count();
    });
    //! [callback]
    context.run();
    BOOST_TEST(count == 1);
    BOOST_TEST(sem.available() == 1);
}

BOOST_AUTO_TEST_CASE(use_future) {
    std::thread runner;
    //! [use_future]
    std::future<permit> future = sem.async_acquire_permit(asio::use_future);
    runner = std::thread([&] { context.run(); }); // not the thread that waits
    permit held = future.get();                   // throws boost::system::system_error on failure
    //! [use_future]
    runner.join();
    BOOST_TEST(held.count() == 1);
}

BOOST_AUTO_TEST_CASE(use_awaitable) {
    std::ptrdiff_t count = 0;
    start([&]() -> awaitable<void> {
        //! [use_awaitable]
        permit held = co_await sem.async_acquire_permit(asio::use_awaitable);
        //! [use_awaitable]
        count = held.count();
    });
    context.run();
    BOOST_TEST(count == 1);
    BOOST_TEST(finished == 1);
}

BOOST_AUTO_TEST_CASE(deferred) {
    std::ptrdiff_t count = 0;
    start([&]() -> awaitable<void> {
        //! [deferred]
        auto operation = sem.async_acquire_permit(asio::deferred); // nothing has happened yet
        BOOST_TEST(sem.available() == 1);
        permit held = co_await std::move(operation); // now the operation starts
        //! [deferred]
        count = held.count();
    });
    context.run();
    BOOST_TEST(count == 1);
    BOOST_TEST(finished == 1);
}

BOOST_AUTO_TEST_CASE(detached) {
    //! [detached]
    sem.async_acquire_permit(asio::detached); // the permit is destroyed, and so goes back
    BOOST_TEST(sem.available() == 0);
    context.run();
    BOOST_TEST(sem.available() == 1);
    //! [detached]
}

BOOST_AUTO_TEST_CASE(as_tuple) {
    std::ptrdiff_t count = 0;
    start([&]() -> awaitable<void> {
        //! [as_tuple]
        auto result = co_await sem.async_acquire_permit(asio::as_tuple(asio::use_awaitable));
        auto& [ec, held] = result;
        //! [as_tuple]
        BOOST_TEST(!ec);
        count = held.count();
    });
    context.run();
    BOOST_TEST(count == 1);
    BOOST_TEST(finished == 1);
}

BOOST_AUTO_TEST_CASE(redirect_error) {
    sem.close();
    error_code seen;
    start([&]() -> awaitable<void> {
        //! [redirect_error]
        error_code ec;
        permit held =
            co_await sem.async_acquire_permit(asio::redirect_error(asio::use_awaitable, ec));
        //! [redirect_error]
        seen = ec;
        BOOST_TEST(!held);
    });
    context.run();
    BOOST_TEST((seen == asio_semaphore::error::closed));
    BOOST_TEST(finished == 1);
}

#if __has_include(<boost/asio/cancel_after.hpp>)

BOOST_AUTO_TEST_CASE(cancel_after) {
    const permit taken = sem.try_acquire_permit();
    error_code seen;
    start([&]() -> awaitable<void> {
        //! [cancel_after]
        error_code ec;
        permit held = co_await sem.async_acquire_permit(
            asio::cancel_after(1ms, asio::redirect_error(asio::use_awaitable, ec)));
        //! [cancel_after]
        seen = ec;
    });
    context.run();
    BOOST_TEST(seen == asio::error::operation_aborted);
    BOOST_TEST(finished == 1);
}

#endif

BOOST_AUTO_TEST_CASE(or_with_a_timer) {
    const permit taken = sem.try_acquire_permit();
    std::size_t winner = 0;
    start([&]() -> awaitable<void> {
        //! [or]
        using namespace asio::experimental::awaitable_operators;
        asio::steady_timer timer(context, 1ms);
        auto first = co_await (
            sem.async_acquire_permit(asio::as_tuple(asio::use_awaitable)) ||
            timer.async_wait(asio::use_awaitable));
        //! [or]
        winner = first.index();
    });
    context.run();
    BOOST_TEST(winner == 1u);
    BOOST_TEST(sem.waiting() == 0u);
    BOOST_TEST(finished == 1);
}

BOOST_AUTO_TEST_CASE(parallel_group) {
    async_semaphore other(context, 1, 1);
    const permit taken = sem.try_acquire_permit();
    std::size_t winner = 0;
    //! [parallel_group]
    asio::experimental::make_parallel_group(
        sem.async_acquire_permit(asio::deferred), other.async_acquire_permit(asio::deferred))
        .async_wait(
            asio::experimental::wait_for_one(),
            [&](std::array<std::size_t, 2> order, error_code, permit, error_code, permit) {
                winner = order[0]; // the other operation has been cancelled
            });
    //! [parallel_group]
    context.run();
    BOOST_TEST(winner == 1u);
    BOOST_TEST(sem.waiting() == 0u);
    BOOST_TEST(other.available() == 1);
}

BOOST_AUTO_TEST_CASE(a_default_token) {
    std::ptrdiff_t count = 0;
    start([&]() -> awaitable<void> {
        //! [default]
        auto awaited = asio::use_awaitable.as_default_on(async_semaphore(context, 1, 1));
        permit held = co_await awaited.async_acquire_permit();
        //! [default]
        count = held.count();
    });
    context.run();
    BOOST_TEST(count == 1);
    BOOST_TEST(finished == 1);
}

BOOST_AUTO_TEST_CASE(allocators) {
    std::array<std::byte, 4096> memory;
    std::pmr::monotonic_buffer_resource arena(
        memory.data(), memory.size(), std::pmr::null_memory_resource());
    std::ptrdiff_t count = 0;
    //! [allocator]
    sem.async_acquire_permit(asio::bind_allocator(
        std::pmr::polymorphic_allocator<std::byte>(&arena),
        [&](error_code, permit held) { count = held.count(); }));
    //! [allocator]
    context.run();
    BOOST_TEST(count == 1);
}

BOOST_AUTO_TEST_SUITE_END()
