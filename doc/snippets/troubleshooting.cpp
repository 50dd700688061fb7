// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore.hpp>

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>

#include <exception>
#include <memory>
#include <utility>

// What to write where compilers destroy a permit twice, or never.

namespace {

namespace asio = boost::asio;
using asio::as_tuple;
using asio::awaitable;
using asio::use_awaitable;
using asio_semaphore::async_semaphore;
using asio_semaphore::permit;

awaitable<void> work() {
    co_await asio::post(use_awaitable);
}

//! [lambda]
awaitable<void> in_a_coroutine_of_its_own(permit held) {
    auto task = [held = std::move(held)]() -> awaitable<void> {
        co_await work();
    };
    // Do not pass the lambda itself in place of task: GCC 12 would destroy its captures twice.
    co_await asio::co_spawn(co_await asio::this_coro::executor, std::move(task), use_awaitable);
}
//! [lambda]

//! [binding]
awaitable<void> with_a_tuple(async_semaphore& limit) {
    auto result = co_await limit.async_acquire_permit(as_tuple(use_awaitable));
    auto& [ec, held] = result; // not auto [ec, held] = co_await ...
    if (!ec)
        co_await work();
}
//! [binding]

void rethrow(std::exception_ptr e) {
    if (e)
        std::rethrow_exception(e);
}

} // namespace

BOOST_AUTO_TEST_SUITE(doc_troubleshooting)

BOOST_AUTO_TEST_CASE(a_lambda_with_a_name_gives_its_permit_back_once) {
    asio::io_context context;
    async_semaphore limit(context, 2, 2);
    const permit other = limit.try_acquire_permit();
    asio::co_spawn(context, in_a_coroutine_of_its_own(limit.try_acquire_permit()), rethrow);
    context.run();
    BOOST_TEST(limit.available() == 1);
}

BOOST_AUTO_TEST_CASE(a_tuple_with_a_name_gives_its_permit_back_where_the_coroutine_is_destroyed) {
    auto context = std::make_unique<asio::io_context>();
    async_semaphore limit(*context, 1, 1);
    asio::co_spawn(*context, with_a_tuple(limit), rethrow);
    while (limit.available() == 1)
        context->run_one();
    context->run_one(); // it holds the permit and is suspended
    context.reset();
    BOOST_TEST(limit.available() == 1);
}

BOOST_AUTO_TEST_SUITE_END()
