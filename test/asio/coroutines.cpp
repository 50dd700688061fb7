// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore/async_semaphore.hpp>

#include <support/handlers.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/test/unit_test.hpp>
#include <boost/version.hpp>

#if BOOST_VERSION >= 108600
#include <boost/asio/cancel_after.hpp>
#endif

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <optional>
#include <tuple>
#include <utility>

namespace {

namespace asio = boost::asio;
using asio::awaitable;
using asio::use_awaitable;
using asio_semaphore::async_semaphore;
using asio_semaphore::permit;
using boost::system::error_code;
using boost::system::system_error;
using support::recording;
using support::result;
using namespace std::chrono_literals;

struct fixture {
    asio::io_context context;
    async_semaphore semaphore{context, 1};
    int finished = 0;

    /// Starts a coroutine. Its exceptions propagate out of run().
    template <typename Coroutine>
    void start(Coroutine coroutine) {
        asio::co_spawn(context, std::move(coroutine), [this](std::exception_ptr e) {
            ++finished;
            if (e)
                std::rethrow_exception(e);
        });
    }
    void poll() { support::poll(context); }
};

bool failed_with(const system_error& e, const error_code& ec) {
    return e.code() == ec;
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(asio_coroutines, fixture)

BOOST_AUTO_TEST_CASE(a_coroutine_awaits_its_permit) {
    int inside = 0, most = 0;
    for (int i = 0; i < 3; ++i)
        start([&]() -> awaitable<void> {
            const permit held = co_await semaphore.async_acquire_permit(use_awaitable);
            most = std::max(most, ++inside);
            co_await asio::post(use_awaitable);
            --inside;
        });
    context.run();
    BOOST_TEST(finished == 3);
    BOOST_TEST(most == 1);
    BOOST_TEST(semaphore.available() == 1);
}

BOOST_AUTO_TEST_CASE(an_awaitable_takes_its_place_when_it_is_awaited) {
    result r;
    start([&]() -> awaitable<void> {
        auto lazy = semaphore.async_acquire_permit(use_awaitable);
        semaphore.async_acquire_permit(recording(r));
        const permit held = co_await std::move(lazy);
        BOOST_TEST(r.succeeded());
    });
    poll();
    BOOST_TEST(r.succeeded());
    BOOST_TEST(finished == 0);
    r.held.reset();
    poll();
    BOOST_TEST(finished == 1);
}

BOOST_AUTO_TEST_CASE(an_awaitable_that_is_never_awaited_changes_nothing) {
    { [[maybe_unused]] auto lazy = semaphore.async_acquire_permit(use_awaitable); }
    BOOST_TEST(semaphore.available() == 1);
    BOOST_TEST(context.run() == 0u);
}

BOOST_AUTO_TEST_CASE(errors_are_exceptions) {
    start([&]() -> awaitable<void> {
        semaphore.close();
        BOOST_CHECK_EXCEPTION(
            co_await semaphore.async_acquire(use_awaitable), system_error,
            [](const auto& e) { return failed_with(e, asio_semaphore::error::closed); });
        BOOST_CHECK_EXCEPTION(
            std::ignore = co_await semaphore.async_acquire_permit(-1, use_awaitable), system_error,
            [](const auto& e) { return failed_with(e, asio::error::invalid_argument); });
    });
    context.run();
    BOOST_TEST(finished == 1);
}

BOOST_AUTO_TEST_CASE(as_tuple_and_redirect_error_make_them_values) {
    start([&]() -> awaitable<void> {
        auto [ec, held] = co_await semaphore.async_acquire_permit(asio::as_tuple(use_awaitable));
        BOOST_TEST(!ec);
        BOOST_TEST(held.count() == 1);
        auto [late, none] =
            co_await semaphore.async_acquire_permit_for(1ms, asio::as_tuple(use_awaitable));
        BOOST_TEST(late == asio::error::timed_out);
        BOOST_TEST(!none);
        error_code redirected;
        const permit nothing = co_await semaphore.async_acquire_permit_for(
            0s, asio::redirect_error(use_awaitable, redirected));
        BOOST_TEST(redirected == asio::error::timed_out);
        BOOST_TEST(!nothing);
    });
    context.run();
    BOOST_TEST(finished == 1);
    BOOST_TEST(semaphore.available() == 1);
}

BOOST_AUTO_TEST_CASE(a_deferred_operation_can_be_awaited) {
    start([&]() -> awaitable<void> {
        const permit held = co_await semaphore.async_acquire_permit(asio::deferred);
        BOOST_TEST(held.count() == 1);
    });
    context.run();
    BOOST_TEST(finished == 1);
}

BOOST_AUTO_TEST_CASE(use_awaitable_may_be_the_default_token) {
    using semaphore_type = asio::use_awaitable_t<>::as_default_on_t<async_semaphore>;
    semaphore_type two(context, 2);
    start([&]() -> awaitable<void> {
        {
            const permit one = co_await two.async_acquire_permit();
            co_await two.async_acquire();
            BOOST_TEST(two.available() == 0);
        }
        co_await two.async_acquire_for(1h);
        two.release(2);
        const permit both = co_await two.async_acquire_permit_for(1h, 2);
        BOOST_TEST(both.count() == 2);
    });
    context.run();
    BOOST_TEST(finished == 1);
    BOOST_TEST(two.available() == 2);
}

BOOST_AUTO_TEST_CASE(as_default_on_makes_a_semaphore_with_a_default_token) {
    auto own = use_awaitable.as_default_on(async_semaphore(context, 1));
    start([&]() -> awaitable<void> { const permit held = co_await own.async_acquire_permit(); });
    context.run();
    BOOST_TEST(finished == 1);
    BOOST_TEST(own.available() == 1);
}

BOOST_AUTO_TEST_CASE(cancelling_the_coroutine_cancels_the_wait) {
    const permit held = semaphore.try_acquire_permit();
    asio::cancellation_signal signal;
    bool aborted = false;
    asio::co_spawn(
        context,
        [&]() -> awaitable<void> {
            auto [ec, none] =
                co_await semaphore.async_acquire_permit(asio::as_tuple(use_awaitable));
            aborted = ec == asio::error::operation_aborted;
        },
        asio::bind_cancellation_slot(signal.slot(), asio::detached));
    poll();
    BOOST_TEST(semaphore.waiting() == 1u);
    signal.emit(asio::cancellation_type::terminal);
    poll();
    BOOST_TEST(semaphore.waiting() == 0u);
    BOOST_TEST(aborted);
}

BOOST_AUTO_TEST_CASE(a_coroutine_that_waits_is_destroyed_with_its_context) {
    std::optional<asio::io_context> dying(std::in_place);
    async_semaphore other(*dying, 2);
    bool resumed = false;
    for (int i = 0; i < 3; ++i)
        asio::co_spawn(
            *dying,
            [&]() -> awaitable<void> {
                const permit first = co_await other.async_acquire_permit(use_awaitable);
                const permit second = co_await other.async_acquire_permit(2, use_awaitable);
                resumed = true;
            },
            asio::detached);
    dying->poll();
    BOOST_TEST(other.waiting() == 3u);
    dying.reset();
    BOOST_TEST(!resumed);
    BOOST_TEST(other.available() == 2);
}

BOOST_AUTO_TEST_CASE(a_coroutine_may_own_the_semaphore_for_which_it_waits) {
    std::optional<asio::io_context> dying(std::in_place);
    bool destroyed = false;
    asio::co_spawn(
        *dying,
        [&, executor = dying->get_executor()]() -> awaitable<void> {
            const support::at_exit last([&] { destroyed = true; });
            async_semaphore own(executor, 0);
            co_await own.async_acquire_for(1h, use_awaitable);
        },
        asio::detached);
    dying->poll();
    BOOST_TEST(!destroyed);
    dying.reset();
    BOOST_TEST(destroyed);
}

BOOST_AUTO_TEST_CASE(a_coroutine_resumes_on_its_own_executor) {
    asio::io_context other;
    auto strand = asio::make_strand(other);
    bool inside = false;
    asio::co_spawn(
        strand,
        [&]() -> awaitable<void> {
            const permit held = co_await semaphore.async_acquire_permit(use_awaitable);
            inside = strand.running_in_this_thread();
        },
        asio::detached);
    support::poll(other);
    poll();
    support::poll(other);
    BOOST_TEST(inside);
}

BOOST_AUTO_TEST_CASE(many_coroutines_share_a_few_permits_on_several_threads) {
    asio::thread_pool pool(3);
    async_semaphore few(pool.get_executor(), 3);
    std::atomic<int> inside{0}, most{0}, done{0};
    for (int i = 0; i < 100; ++i)
        asio::co_spawn(
            pool,
            [&]() -> awaitable<void> {
                for (int round = 0; round < 5; ++round) {
                    const permit held = co_await few.async_acquire_permit(use_awaitable);
                    const int now = ++inside;
                    int seen = most;
                    while (seen < now && !most.compare_exchange_weak(seen, now)) {
                    }
                    co_await asio::post(use_awaitable);
                    --inside;
                }
                ++done;
            },
            asio::detached);
    pool.wait();
    BOOST_TEST(done == 100);
    BOOST_TEST(most <= 3);
    BOOST_TEST(few.available() == 3);
}

#if BOOST_VERSION >= 108600
BOOST_AUTO_TEST_CASE(cancel_after_bounds_the_wait_of_a_coroutine) {
    const permit held = semaphore.try_acquire_permit();
    start([&]() -> awaitable<void> {
        auto [ec, none] = co_await semaphore.async_acquire_permit(
            asio::cancel_after(1ms, asio::as_tuple(use_awaitable)));
        BOOST_TEST(ec == asio::error::operation_aborted);
        BOOST_TEST(!none);
    });
    context.run();
    BOOST_TEST(finished == 1);
}
#endif

BOOST_AUTO_TEST_SUITE_END()
