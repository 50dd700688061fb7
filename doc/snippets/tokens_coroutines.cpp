// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore.hpp>

#if defined(__GNUC__) && !defined(__clang__)
// GCC mistakes the deallocation function of co_composed's promise for that of another promise.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#endif

#include <boost/asio.hpp>
#include <boost/asio/experimental/coro.hpp>
#include <boost/test/unit_test.hpp>

#if __has_include(<boost/asio/co_composed.hpp>)
#include <boost/asio/co_composed.hpp>
#else
#include <boost/asio/experimental/co_composed.hpp>
#endif

#include <cstddef>
#include <exception>
#include <functional>
#include <optional>
#include <utility>

// Coroutine types other than awaitable.

namespace {

namespace asio = boost::asio;
using asio_semaphore::async_semaphore;
using asio_semaphore::permit;
using boost::system::error_code;

#if __has_include(<boost/asio/co_composed.hpp>)
using asio::co_composed;
#else
using asio::experimental::co_composed;
#endif

struct fixture {
    asio::io_context context;
    async_semaphore sem{context, 1, 1};
};

//! [coro]
asio::experimental::coro<std::ptrdiff_t> counts(asio::io_context&, async_semaphore& sem) {
    permit held = co_await sem.async_acquire_permit(asio::deferred);
    co_yield held.count(); // holds the permit until it is resumed
}
//! [coro]

//! [co_composed]
/// An operation that acquires a permit of both semaphores or of neither. All callers have to pass
/// the two in the same order.
template <typename Token>
auto async_acquire_both(async_semaphore& a, async_semaphore& b, Token&& token) {
    return asio::async_initiate<Token, void(error_code, permit, permit)>(
        co_composed<void(error_code, permit, permit)>(
            [](auto state, async_semaphore& one, async_semaphore& two) -> void {
                state.throw_if_cancelled(false);
                auto of_one = co_await one.async_acquire_permit(asio::as_tuple(asio::deferred));
                auto& [e1, first] = of_one;
                if (e1)
                    co_return {e1, permit(), permit()};
                auto of_two = co_await two.async_acquire_permit(asio::as_tuple(asio::deferred));
                auto& [e2, second] = of_two;
                if (e2)
                    first.reset();
                co_return {e2, std::move(first), std::move(second)};
            },
            a, b),
        token, std::ref(a), std::ref(b));
}
//! [co_composed]

} // namespace

BOOST_FIXTURE_TEST_SUITE(doc_tokens_coroutines, fixture)

BOOST_AUTO_TEST_CASE(coro) {
    std::ptrdiff_t count = 0;
    {
        //! [resume]
        auto coroutine = counts(context, sem);
        coroutine.async_resume([&](std::exception_ptr e, std::optional<std::ptrdiff_t> n) {
            if (!e && n)
                count = *n;
        });
        //! [resume]
        context.run();
        BOOST_TEST(count == 1);
        BOOST_TEST(sem.available() == 0);
    }
    context.restart();
    context.run(); // where Asio destroys it
    BOOST_TEST(sem.available() == 1);
}

BOOST_AUTO_TEST_CASE(co_composed_operation) {
    async_semaphore other(context, 1, 1);
    permit first, second;
    error_code result = asio::error::would_block;
    const auto handler = [&](error_code ec, permit a, permit b) {
        result = ec;
        first = std::move(a);
        second = std::move(b);
    };
    async_acquire_both(sem, other, handler);
    context.run();
    BOOST_TEST(!result);
    BOOST_TEST(first.count() + second.count() == 2);
    first.reset();

    other.close();
    async_acquire_both(sem, other, handler);
    context.restart();
    context.run();
    BOOST_TEST((result == asio_semaphore::error::closed));
    BOOST_TEST(!first);
    BOOST_TEST(sem.available() == 1);
}

BOOST_AUTO_TEST_SUITE_END()
