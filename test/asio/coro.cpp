// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore/async_semaphore.hpp>

#if defined(__GNUC__) && !defined(__clang__)
// GCC pairs the deallocation function of co_composed's promise with a wrong allocation function.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#endif

#include <support/handlers.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/coro.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/test/unit_test.hpp>
#include <boost/version.hpp>

#if BOOST_VERSION >= 108600
#include <boost/asio/co_composed.hpp>
#else
#include <boost/asio/experimental/co_composed.hpp>
#endif

#include <cstddef>
#include <exception>
#include <functional>
#include <optional>
#include <tuple>
#include <utility>

// Coroutines that are not awaitables: asio::experimental::coro, and composed operations that are
// written as coroutines.

namespace {

namespace asio = boost::asio;
using asio_semaphore::async_semaphore;
using asio_semaphore::permit;
using boost::system::error_code;

#if BOOST_VERSION >= 108600
using asio::co_composed;
#else
using asio::experimental::co_composed;
#endif

struct fixture {
    asio::io_context context;
    async_semaphore semaphore{context, 1};
};

asio::experimental::coro<std::ptrdiff_t> counts(asio::io_context&, async_semaphore& semaphore) {
    for (int i = 0; i < 2; ++i) {
        const permit held = co_await semaphore.async_acquire_permit(asio::deferred);
        co_yield held.count();
    }
}

template <typename Token>
auto async_take(async_semaphore& semaphore, std::ptrdiff_t n, Token&& token) {
    return asio::async_initiate<Token, void(error_code, permit)>(
        co_composed<void(error_code, permit)>(
            [](auto state, async_semaphore& s, std::ptrdiff_t count) -> void {
                state.throw_if_cancelled(false);
                permit all;
                for (std::ptrdiff_t i = 0; i < count; ++i) {
                    auto [ec, one] =
                        co_await s.async_acquire_permit(asio::as_tuple(asio::deferred));
                    if (ec)
                        co_return {ec, permit()};
                    all.merge(std::move(one));
                }
                co_return {error_code(), std::move(all)};
            },
            semaphore),
        token, std::ref(semaphore), n);
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(asio_coro, fixture)

BOOST_AUTO_TEST_CASE(a_resumable_coroutine_awaits_its_permit) {
    auto coroutine = counts(context, semaphore);
    permit held = semaphore.try_acquire_permit();
    std::ptrdiff_t first = 0;
    coroutine.async_resume([&](std::exception_ptr e, std::optional<std::ptrdiff_t> n) {
        first = e ? -1 : n.value_or(-2);
    });
    support::poll(context);
    BOOST_TEST(first == 0);
    BOOST_TEST(semaphore.waiting() == 1u);
    held.reset();
    support::poll(context);
    BOOST_TEST(first == 1);
    BOOST_TEST(semaphore.available() == 0);
}

BOOST_AUTO_TEST_CASE(a_resumable_coroutine_gives_its_permit_back_when_it_is_destroyed) {
    {
        auto coroutine = counts(context, semaphore);
        coroutine.async_resume([](std::exception_ptr, std::optional<std::ptrdiff_t>) {});
        support::poll(context);
        BOOST_TEST(semaphore.available() == 0);
    }
    support::poll(context); // Asio destroys the coroutine here
    BOOST_TEST(semaphore.available() == 1);
}

BOOST_AUTO_TEST_CASE(an_operation_composed_as_a_coroutine_acquires_in_steps) {
    permit got;
    error_code ended = asio::error::would_block;
    async_take(semaphore, 2, [&](error_code ec, permit p) {
        ended = ec;
        got = std::move(p);
    });
    support::poll(context);
    BOOST_TEST(semaphore.waiting() == 1u);
    BOOST_TEST(ended == asio::error::would_block);
    semaphore.release();
    support::poll(context);
    BOOST_TEST(!ended);
    BOOST_TEST(got.count() == 2);
}

BOOST_AUTO_TEST_CASE(an_operation_composed_as_a_coroutine_gives_back_its_permits_when_it_fails) {
    error_code ended;
    async_take(semaphore, 2, [&](error_code ec, permit) { ended = ec; });
    support::poll(context);
    BOOST_TEST(semaphore.available() == 0);
    semaphore.cancel();
    support::poll(context);
    BOOST_TEST(ended == asio::error::operation_aborted);
    BOOST_TEST(semaphore.available() == 1);
}

BOOST_AUTO_TEST_SUITE_END()
