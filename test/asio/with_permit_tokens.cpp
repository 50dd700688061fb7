// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// with_permit with every kind of completion token, and with Asio's other token adapters.

#include <asio_semaphore/with_permit.hpp>

#include <asio/with_permit_support.hpp>
#include <support/handlers.hpp>

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/append.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/consign.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/prepend.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#if BOOST_VERSION >= 108600
#include <boost/asio/cancel_after.hpp>
#endif
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <tuple>

namespace asio = boost::asio;
using asio_semaphore::async_semaphore;
using asio_semaphore::with_permit;
using boost::system::error_code;
using support::ending;
using support::ends;
using support::poll;
using namespace std::chrono_literals;

namespace {

const error_code aborted = asio::error::operation_aborted;
const error_code closed = asio_semaphore::error::closed;
constexpr auto now = asio::steady_timer::time_point::min();
constexpr auto never = asio::steady_timer::time_point::max();

struct fixture {
    asio::io_context context;
    async_semaphore sem{context, 1, 2};
    support::manual_operation operation{context.get_executor()};
    asio::steady_timer timer{context, now};

    ~fixture() { operation.drop(); }

    void run() {
        context.restart();
        context.run();
    }

    /// Runs a coroutine to its end, and rethrows its exception.
    template <typename F>
    void coroutine(F f) {
        auto done = asio::co_spawn(context, std::move(f), asio::use_future);
        run();
        done.get();
    }
};

/// Completes the operation, which holds a permit, with 42.
void complete(fixture& f) {
    poll(f.context);
    BOOST_TEST(f.sem.available() == 0);
    f.operation.complete({}, 42);
    poll(f.context);
    BOOST_TEST(f.sem.available() == 1);
}

bool is_closed(const boost::system::system_error& e) {
    return e.code() == closed;
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(with_permit_tokens, fixture)

BOOST_AUTO_TEST_CASE(futures) {
    auto result = operation.start(with_permit(sem, asio::use_future));
    complete(*this);
    BOOST_TEST(result.get() == 42);
    sem.close();
    result = operation.start(with_permit(sem, asio::use_future));
    poll(context);
    BOOST_CHECK_EXCEPTION(result.get(), boost::system::system_error, is_closed);
}

BOOST_AUTO_TEST_CASE(use_future_of_a_context_that_dies) {
    std::future<void> result;
    {
        asio::io_context brief;
        async_semaphore none(brief, 0);
        asio::steady_timer unused(brief, now);
        result = unused.async_wait(with_permit(none, asio::use_future));
    }
    BOOST_CHECK_THROW(result.get(), std::future_error);
}

BOOST_AUTO_TEST_CASE(awaitables) {
    coroutine([&]() -> asio::awaitable<void> {
        for (int i = 0; i < 3; ++i) {
            co_await timer.async_wait(with_permit(sem, asio::use_awaitable));
            BOOST_TEST(sem.available() == 1);
        }
        sem.close();
        BOOST_CHECK_EXCEPTION(
            co_await timer.async_wait(with_permit(sem, asio::use_awaitable)),
            boost::system::system_error, is_closed);
    });
}

BOOST_AUTO_TEST_CASE(an_awaitable_takes_its_place_when_it_is_awaited) {
    coroutine([&]() -> asio::awaitable<void> {
        auto later = timer.async_wait(with_permit(sem, asio::use_awaitable));
        BOOST_TEST(sem.available() == 1);
        auto held = sem.try_acquire_permit();
        BOOST_TEST(held.count() == 1);
        asio::post(context, [held = std::move(held)] {});
        co_await std::move(later);
        BOOST_TEST(sem.available() == 1);
    });
}

BOOST_AUTO_TEST_CASE(coroutines_hold_at_most_as_many_permits_as_there_are) {
    int running = 0, most = 0, done = 0;
    sem.release();
    for (int i = 0; i < 20; ++i) {
        asio::co_spawn(
            context,
            [&]() -> asio::awaitable<void> {
                most = std::max(most, ++running);
                co_await asio::post(asio::use_awaitable);
                --running;
                ++done;
            },
            with_permit(sem, asio::detached));
    }
    run();
    BOOST_TEST(done == 20);
    BOOST_TEST(most == 2);
    BOOST_TEST(sem.available() == 2);
}

BOOST_AUTO_TEST_CASE(deferred_operations) {
    auto result = operation.start(with_permit(sem, asio::deferred))(asio::use_future);
    complete(*this);
    BOOST_TEST(result.get() == 42);
}

BOOST_AUTO_TEST_CASE(detached_operations) {
    timer.async_wait(with_permit(sem, asio::detached));
    BOOST_TEST(sem.available() == 0);
    run();
    BOOST_TEST(sem.available() == 1);
}

BOOST_AUTO_TEST_CASE(tuples) {
    coroutine([&]() -> asio::awaitable<void> {
        auto [ec] =
            co_await timer.async_wait(with_permit(sem, asio::as_tuple(asio::use_awaitable)));
        BOOST_TEST(!ec);
        sem.close();
        std::tie(ec) =
            co_await timer.async_wait(with_permit(sem, asio::as_tuple(asio::use_awaitable)));
        BOOST_TEST(ec == closed);
    });
}

BOOST_AUTO_TEST_CASE(redirected_errors) {
    coroutine([&]() -> asio::awaitable<void> {
        error_code ec = aborted;
        co_await timer.async_wait(with_permit(sem, asio::redirect_error(asio::use_awaitable, ec)));
        BOOST_TEST(!ec);
        sem.close();
        co_await timer.async_wait(with_permit(sem, asio::redirect_error(asio::use_awaitable, ec)));
        BOOST_TEST(ec == closed);
    });
}

BOOST_AUTO_TEST_CASE(append_prepend_and_consign) {
    std::string got;
    const auto owned = std::make_shared<int>(1);
    timer.async_wait(with_permit(
        sem,
        asio::append([&](error_code ec, std::string s) { got += ec.message() + s; }, " inside")));
    run();
    timer.async_wait(asio::append(
        with_permit(sem, [&](error_code ec, std::string s) { got += ec.message() + s; }),
        std::string(" outside")));
    run();
    timer.async_wait(with_permit(
        sem,
        asio::prepend([&](std::string s, error_code ec) { got += s + ec.message(); }, " at ")));
    run();
    timer.async_wait(asio::consign(with_permit(sem, [&](error_code) { got += "."; }), owned));
    BOOST_TEST(owned.use_count() == 2);
    run();
    BOOST_TEST(owned.use_count() == 1);
    BOOST_TEST(got == "Success insideSuccess outside at Success.");

    // An operation that gets no permit completes with default values, also for the values that a
    // token outside with_permit appends.
    sem.close();
    got.clear();
    timer.async_wait(asio::append(
        with_permit(
            sem,
            [&](error_code ec, std::string s) {
                BOOST_TEST(ec == closed);
                got = "[" + s + "]";
            }),
        std::string("outside")));
    run();
    BOOST_TEST(got == "[]");
}

BOOST_AUTO_TEST_CASE(binders_inside_and_outside) {
    const auto strand = asio::make_strand(context);
    ending end;
    end.at_call = [&] {
        BOOST_TEST(strand.running_in_this_thread());
    };
    operation.at_start = [&] {
        BOOST_TEST(strand.running_in_this_thread());
    };
    operation.start(with_permit(sem, asio::bind_executor(strand, ends(end))));
    complete(*this);
    BOOST_TEST(end.succeeded());

    end.calls = 0;
    operation.at_start = [] {
    }; // an executor that is bound outside with_permit applies only to the operation
    asio::cancellation_signal signal;
    operation.start(asio::bind_executor(
        strand, with_permit(sem, asio::bind_cancellation_slot(signal.slot(), ends(end)))));
    poll(context);
    signal.emit(asio::cancellation_type::terminal);
    poll(context);
    BOOST_TEST(end.failed(aborted));
    BOOST_TEST(sem.available() == 1);
}

BOOST_AUTO_TEST_CASE(slots_and_allocators_may_be_bound_outside) {
    ending end;
    asio::cancellation_signal signal;
    operation.start(asio::bind_cancellation_slot(signal.slot(), with_permit(sem, ends(end))));
    poll(context);
    signal.emit(asio::cancellation_type::terminal); // cancels the running operation
    poll(context);
    BOOST_TEST(end.failed(aborted));

    end.calls = 0;
    operation.start(asio::bind_allocator(std::allocator<void>(), with_permit(sem, ends(end))));
    complete(*this);
    BOOST_TEST(end.succeeded());
    BOOST_TEST(sem.available() == 1);
}

BOOST_AUTO_TEST_CASE(as_tuple_around_with_permit) {
    std::optional<std::tuple<error_code, int>> got;
    const auto keep = [&](std::tuple<error_code, int> t) {
        got = t;
    };
    operation.start(asio::as_tuple(with_permit(sem, keep)));
    complete(*this);
    BOOST_TEST_REQUIRE(got.has_value());
    BOOST_TEST(!std::get<0>(*got));
    BOOST_TEST(std::get<1>(*got) == 42);
    sem.close();
    operation.start(asio::as_tuple(with_permit(sem, keep)));
    poll(context);
    BOOST_TEST((std::get<0>(*got) == asio_semaphore::error::closed));
    BOOST_TEST(std::get<1>(*got) == 0);
}

BOOST_AUTO_TEST_CASE(any_completion_handler) {
    ending end;
    operation.start(
        with_permit(sem, asio::any_completion_handler<void(error_code, int)>(ends(end))));
    complete(*this);
    BOOST_TEST(end.succeeded());
}

BOOST_AUTO_TEST_CASE(a_loser_of_an_or_gives_its_permit_back_in_either_stage) {
    using namespace asio::experimental::awaitable_operators;
    coroutine([&]() -> asio::awaitable<void> {
        asio::steady_timer slow(context, never);
        for (int i = 0; i < 3; ++i) {
            const auto winner = co_await (
                slow.async_wait(with_permit(sem, asio::use_awaitable)) || // runs
                slow.async_wait(with_permit(sem, asio::use_awaitable)) || // waits
                timer.async_wait(asio::use_awaitable));
            BOOST_TEST(winner.index() == 2u);
            BOOST_TEST(sem.available() == 1);
            BOOST_TEST(sem.waiting() == 0u);
        }
    });
}

BOOST_AUTO_TEST_CASE(parallel_group_under_a_limit) {
    ending end;
    asio::experimental::make_parallel_group(
        timer.async_wait(with_permit(sem, asio::deferred)),
        timer.async_wait(with_permit(sem, asio::deferred)),
        timer.async_wait(with_permit(sem, asio::deferred)))
        .async_wait(
            asio::experimental::wait_for_all(),
            [&](std::array<std::size_t, 3>, error_code a, error_code b, error_code c) {
                ends recorded(end);
                recorded(a ? a : b ? b : c);
            });
    run();
    BOOST_TEST(end.succeeded());
    BOOST_TEST(sem.available() == 1);

    asio::steady_timer slow(context, never);
    end.calls = 0;
    asio::experimental::make_parallel_group(
        slow.async_wait(with_permit(sem, asio::deferred)),
        slow.async_wait(with_permit(sem, asio::deferred)), timer.async_wait(asio::deferred))
        .async_wait(
            asio::experimental::wait_for_one(),
            [&](std::array<std::size_t, 3> order, error_code a, error_code b, error_code c) {
                BOOST_TEST(order[0] == 2u);
                BOOST_TEST(a == aborted);
                BOOST_TEST(b == aborted);
                ends recorded(end);
                recorded(c);
            });
    run();
    BOOST_TEST(end.succeeded());
    BOOST_TEST(sem.available() == 1);
}

BOOST_AUTO_TEST_CASE(default_tokens) {
    using default_timer = asio::use_awaitable_t<>::as_default_on_t<asio::steady_timer>;
    default_timer waiter(context, now);
    coroutine([&]() -> asio::awaitable<void> {
        co_await waiter.async_wait(with_permit(sem));
        co_await waiter.async_wait(with_permit(sem, 1));
        BOOST_TEST(sem.available() == 1);
        sem.close();
        BOOST_CHECK_EXCEPTION(
            co_await waiter.async_wait(with_permit(sem)), boost::system::system_error, is_closed);
    });
}

#if BOOST_VERSION >= 108600
BOOST_AUTO_TEST_CASE(cancel_after_next_to_the_token_limits_waiting_and_running) {
    ending end;
    auto held = sem.try_acquire_permit();
    operation.start(with_permit(sem, asio::cancel_after(1ms, ends(end))));
    run();
    BOOST_TEST(end.failed(aborted));
    BOOST_TEST(operation.started == 0);
    held.reset();

    end.calls = 0;
    operation.start(with_permit(sem, asio::cancel_after(1ms, ends(end))));
    run();
    BOOST_TEST(end.failed(aborted));
    BOOST_TEST(operation.started == 1);
    BOOST_TEST((operation.cancelled == asio::cancellation_type::terminal));
    BOOST_TEST(sem.available() == 1);

    end.calls = 0;
    timer.async_wait(with_permit(sem, asio::cancel_after(1h, ends(end))));
    run();
    BOOST_TEST(end.succeeded());
    BOOST_TEST(sem.available() == 1);
}

BOOST_AUTO_TEST_CASE(cancel_after_around_with_permit_limits_only_the_operation) {
    ending end;
    auto held = sem.try_acquire_permit();
    operation.start(asio::cancel_after(0ms, with_permit(sem, ends(end))));
    poll(context);
    poll(context);
    BOOST_TEST(end.pending());
    BOOST_TEST(sem.waiting() == 1u);
    held.reset();
    run();
    BOOST_TEST(end.failed(aborted));
    BOOST_TEST(operation.started == 1);
    BOOST_TEST(sem.available() == 1);
}

BOOST_AUTO_TEST_CASE(cancel_after_zero_is_not_lost_between_the_stages) {
    for (int i = 0; i < 20; ++i) {
        ending end;
        asio::steady_timer slow(context, never);
        slow.async_wait(with_permit(sem, asio::cancel_after(0ms, ends(end))));
        run();
        BOOST_TEST(end.failed(aborted));
        BOOST_TEST(sem.available() == 1);
    }
}
#endif

BOOST_AUTO_TEST_SUITE_END()
