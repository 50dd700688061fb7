// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <model/abandonment.hpp>

#include <asio_semaphore/with_permit.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
// AddressSanitizer and ThreadSanitizer do not understand the stack switch of a prebuilt
// Boost.Context, and report an overflow where there is none.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#undef ASIO_SEMAPHORE_TEST_STACKFUL
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#undef ASIO_SEMAPHORE_TEST_STACKFUL
#endif
#endif
#if defined(ASIO_SEMAPHORE_TEST_STACKFUL)
#include <boost/asio/spawn.hpp>
#endif

#include <chrono>
#include <exception>

using namespace abandonment;
using namespace std::chrono_literals;

namespace {

asio::awaitable<void> turn() {
    co_await asio::post(asio::use_awaitable);
}

/// Uses every operation of the semaphore in turn. The coroutine owns the permits.
asio::awaitable<void> one_after_the_other(world& w, witness) {
    const auto s = w.weak.lock();
    if (!s)
        co_return;
    {
        const permit p = co_await s->async_acquire_permit(asio::use_awaitable);
        co_await turn();
    }
    {
        auto [ec, p] = co_await s->async_acquire_permit(2, asio::as_tuple(asio::use_awaitable));
        co_await turn();
    }
    {
        error_code ec;
        const permit p = co_await s->async_acquire_permit_for(
            1h, 3, asio::redirect_error(asio::use_awaitable, ec));
        co_await turn();
    }
    asio::steady_timer timer(w.io(), -1h);
    co_await timer.async_wait(asio_semaphore::with_permit(*s, 2, asio::use_awaitable));
    [[maybe_unused]] const auto ended = co_await timer.async_wait(
        asio_semaphore::with_permit(*s, asio::as_tuple(asio::use_awaitable)));
    co_await turn();
}

/// Acquires permits by hand. The world counts them, because the destruction of the coroutine loses
/// them.
asio::awaitable<void> by_hand(world& w, witness) {
    const auto s = w.weak.lock();
    if (!s)
        co_return;
    co_await s->async_acquire(asio::use_awaitable);
    w.by_hand += 1;
    co_await turn();
    w.by_hand -= 1;
    s->release();

    auto [ec] = co_await s->async_acquire(2, asio::as_tuple(asio::use_awaitable));
    if (ec)
        co_return;
    w.by_hand += 2;
    co_await turn();
    w.by_hand -= 2;
    s->release(2);

    error_code late;
    co_await s->async_acquire_for(0h, 3, asio::redirect_error(asio::use_awaitable, late));
    if (late)
        co_await s->async_acquire_for(1h, 3, asio::use_awaitable);
    w.by_hand += 3;
    co_await turn();
    w.by_hand -= 3;
    s->release(3);
}

asio::awaitable<void> one_or_the_other(world& w, witness) {
    using namespace asio::experimental::awaitable_operators;
    const auto s = w.weak.lock();
    if (!s)
        co_return;
    {
        const auto won = co_await (
            s->async_acquire_permit(asio::use_awaitable) ||
            s->async_acquire_permit(2, asio::use_awaitable));
        co_await turn();
    }
    {
        asio::steady_timer timer(w.io(), -1h);
        const auto won = co_await (
            s->async_acquire_permit(2, asio::use_awaitable) ||
            timer.async_wait(asio::use_awaitable));
        co_await turn();
    }
    {
        asio::steady_timer timer(w.io(), -1h);
        co_await (
            timer.async_wait(asio_semaphore::with_permit(*s, 2, asio::use_awaitable)) ||
            s->async_acquire_permit(3, asio::use_awaitable));
        co_await turn();
    }
    {
        const auto both = co_await (
            s->async_acquire_permit(asio::use_awaitable) &&
            s->async_acquire_permit_for(1h, asio::use_awaitable));
        co_await turn();
    }
}

/// Acquires by hand: the grant of the loser is lost, as documented.
asio::awaitable<void> one_or_the_other_by_hand(world& w, witness) {
    using namespace asio::experimental::awaitable_operators;
    const auto s = w.weak.lock();
    if (!s)
        co_return;
    asio::steady_timer timer(w.io(), -1h);
    w.may_be_lost += 2;
    const auto won = co_await (
        s->async_acquire(2, asio::use_awaitable) || timer.async_wait(asio::use_awaitable));
    if (won.index() == 0) {
        w.may_be_lost -= 2;
        w.by_hand += 2;
        co_await turn();
        w.by_hand -= 2;
        s->release(2);
    }
    w.may_be_lost += 2;
    co_await (s->async_acquire(asio::use_awaitable) && s->async_acquire(asio::use_awaitable));
    w.may_be_lost -= 2;
    w.by_hand += 2;
    co_await turn();
    w.by_hand -= 2;
    s->release(2);
}

template <typename Coroutine>
auto several(Coroutine coroutine) {
    return [coroutine](world& w) {
        for (int i = 0; i < 3; ++i)
            asio::co_spawn(
                w.io(), coroutine(w, w.carried()), [c = w.carried()](std::exception_ptr) {});
    };
}

} // namespace

BOOST_AUTO_TEST_SUITE(model_abandonment_coroutines)

BOOST_AUTO_TEST_CASE(coroutines) {
    stop_after_every_handler("use_awaitable", several(one_after_the_other));
}

BOOST_AUTO_TEST_CASE(coroutines_with_permits_by_hand) {
    stop_after_every_handler("use_awaitable, bare", several(by_hand));
}

BOOST_AUTO_TEST_CASE(operators) {
    stop_after_every_handler("|| and &&", several(one_or_the_other));
}

BOOST_AUTO_TEST_CASE(operators_with_permits_by_hand) {
    stop_after_every_handler("|| and &&, bare", several(one_or_the_other_by_hand));
}

#if defined(ASIO_SEMAPHORE_TEST_STACKFUL)
BOOST_AUTO_TEST_CASE(stackful_coroutines) {
    stop_after_every_handler("yield_context", [](world& w) {
        for (int i = 0; i < 3; ++i)
            asio::spawn(
                w.io(),
                [&w, c = w.carried()](asio::yield_context yield) {
                    const auto s = w.weak.lock();
                    if (!s)
                        return;
                    {
                        const permit p = s->async_acquire_permit(2, yield);
                        asio::post(yield);
                    }
                    {
                        error_code ec;
                        const permit p = s->async_acquire_permit_for(1h, yield[ec]);
                        asio::post(yield);
                    }
                    error_code ec;
                    s->async_acquire(2, yield[ec]);
                    if (!ec) {
                        w.by_hand += 2;
                        asio::post(yield);
                        w.by_hand -= 2;
                        s->release(2);
                    }
                    s->async_acquire_for(1h, yield);
                    w.by_hand += 1;
                    asio::post(yield);
                    w.by_hand -= 1;
                    s->release();
                    asio::steady_timer timer(w.io(), -1h);
                    timer.async_wait(asio_semaphore::with_permit(*s, yield));
                },
                [c = w.carried()](std::exception_ptr) {});
    });
}
#endif

BOOST_AUTO_TEST_SUITE_END()
