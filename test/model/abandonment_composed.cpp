// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// Composed operations that acquire permits, and coroutines that are not awaitables. When they are
// abandoned, they return what they hold between two steps.

#if defined(__GNUC__) && !defined(__clang__)
// GCC takes the deallocation function of co_composed's promise for the partner of another one.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#endif

#include <model/abandonment.hpp>

#include <asio_semaphore/with_permit.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/compose.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/coro.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/version.hpp>

#if BOOST_VERSION >= 108600
#include <boost/asio/co_composed.hpp>
#else
#include <boost/asio/experimental/co_composed.hpp>
#endif

#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <utility>

using namespace abandonment;
using namespace std::chrono_literals;

namespace {

#if BOOST_VERSION >= 108600
using asio::co_composed;
#else
using asio::experimental::co_composed;
#endif

/// Acquires one permit as an object and one by hand, and completes with both in one object.
struct take_two {
    world* w;
    witness carried;
    permit first{};
    int step = 0;

    template <typename Self>
    void operator()(Self& self, error_code ec = {}, permit p = {}) {
        const auto s = w->weak.lock();
        if (!s && !ec)
            ec = asio::error::operation_aborted;
        if (step == 2 && !ec)
            p = permit(*s, std::adopt_lock);
        if (ec)
            return self.complete(ec, permit());
        switch (step++) {
        case 0:
            return s->async_acquire_permit(std::move(self));
        case 1:
            first = std::move(p);
            return s->async_acquire_for(1h, std::move(self));
        default:
            first.merge(std::move(p));
            return self.complete({}, std::move(first));
        }
    }
};

template <typename Token>
auto async_take_two(world& w, Token&& token) {
    return asio::async_compose<Token, void(error_code, permit)>(
        take_two{&w, w.carried()}, token, w.io());
}

/// The same, written as a coroutine.
template <typename Token>
auto async_co_take_two(world& w, Token&& token) {
    return asio::async_initiate<Token, void(error_code, permit)>(
        co_composed<void(error_code, permit)>(
            [](auto state, world& in, witness) -> void {
                state.throw_if_cancelled(false);
                const auto s = in.weak.lock();
                if (!s)
                    co_return {error_code(asio::error::operation_aborted), permit()};
                auto [of_first, all] =
                    co_await s->async_acquire_permit(asio::as_tuple(asio::deferred));
                if (of_first)
                    co_return {of_first, permit()};
                auto [of_second] =
                    co_await s->async_acquire_for(1h, asio::as_tuple(asio::deferred));
                if (of_second)
                    co_return {of_second, permit()};
                all.merge(permit(*s, std::adopt_lock));
                co_return {error_code(), std::move(all)};
            },
            w.io()),
        token, std::ref(w), w.carried());
}

template <typename Start>
void check_composed(const std::string& name, Start start) {
    stop_after_every_handler(name + ", callback", [=](world& w) {
        for (int i = 0; i < 6; ++i)
            start(w, asio::bind_cancellation_slot(w.own_slot(), finisher(w, 2)));
    });
    stop_after_every_handler(name + ", deferred", [=](world& w) {
        for (int i = 0; i < 6; ++i) {
            auto lazy = start(w, asio::deferred);
            asio::post(w.io(), [lazy = std::move(lazy), f = finisher(w, 2)]() mutable {
                std::move(lazy)(std::move(f));
            });
        }
    });
    stop_after_every_handler(name + ", use_future", [=](world& w) {
        for (int i = 0; i < 6; ++i) {
            const auto future = std::make_shared<std::future<permit>>(start(w, asio::use_future));
            w.afterwards.push_back([future] {
                try {
                    const permit p = future->get();
                } catch (const std::exception&) {
                    // cancelled, closed, or a broken promise
                }
            });
        }
    });
}

using coroutine = asio::experimental::coro<std::ptrdiff_t>;

coroutine uses_in_turn(asio::io_context&, world& w, witness) {
    const auto s = w.weak.lock();
    if (!s)
        co_return;
    {
        const permit p = co_await s->async_acquire_permit(2, asio::deferred);
        co_yield p.count();
    }
    {
        const permit p = co_await s->async_acquire_permit_for(1h, asio::deferred);
        co_yield p.count();
    }
    {
        co_await s->async_acquire(asio::deferred);
        w.by_hand += 1;
        co_yield 1;
        w.by_hand -= 1;
        s->release();
    }
    {
        co_await s->async_acquire_for(1h, 3, asio::deferred);
        w.by_hand += 3;
        co_yield 3;
        w.by_hand -= 3;
        s->release(3);
    }
    asio::steady_timer timer(w.io(), -1h);
    co_await timer.async_wait(asio_semaphore::with_permit(*s, 2, asio::deferred));
    co_yield 0;
}

/// Resumes a coroutine as long as it yields. The coroutine contains this object, which does not own
/// it.
struct resumes {
    coroutine* resumed;
    witness carried;

    void operator()(std::exception_ptr e, std::optional<std::ptrdiff_t> n) {
        if (!e && n)
            resumed->async_resume(std::move(*this));
    }
};

} // namespace

BOOST_AUTO_TEST_SUITE(model_abandonment_composed)

BOOST_AUTO_TEST_CASE(composed_operations) {
    check_composed("async_compose", [](world& w, auto&& token) {
        return async_take_two(w, std::forward<decltype(token)>(token));
    });
}

BOOST_AUTO_TEST_CASE(operations_composed_as_coroutines) {
    check_composed("co_composed", [](world& w, auto&& token) {
        return async_co_take_two(w, std::forward<decltype(token)>(token));
    });
}

BOOST_AUTO_TEST_CASE(resumable_coroutines) {
    // The program owns the coroutines, and destroys them just before the context.
    stop_after_every_handler("coro", [](world& w) {
        for (int i = 0; i < 4; ++i) {
            const auto c = std::make_shared<coroutine>(uses_in_turn(w.io(), w, w.carried()));
            w.until_the_end.push_back(c);
            c->async_resume(resumes{c.get(), w.carried()});
        }
    });
}

BOOST_AUTO_TEST_SUITE_END()
