// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// Every overload of the limiter's operations with every completion token of Asio.

#include <asio_semaphore/limiter/limiter.hpp>

#include "object_fixture.hpp"

#include <support/allocators.hpp>
#include <support/archetypes.hpp>
#include <support/executors.hpp>

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/append.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/consign.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/experimental/promise.hpp>
#include <boost/asio/experimental/use_promise.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prepend.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/version.hpp>

#if defined(BOOST_ASIO_HAS_CO_AWAIT)
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/use_awaitable.hpp>
#endif
#if BOOST_VERSION >= 108600
#include <boost/asio/cancel_after.hpp>
#endif

#include <algorithm>
#include <array>
#include <exception>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace hostile {

/// The same as hostile::handler, for an admission.
class admitted {
public:
    explicit admitted(test::operation::handler to) noexcept :
        to_(static_cast<test::operation::handler&&>(to)) {}
    admitted(admitted&& other) noexcept : to_(static_cast<test::operation::handler&&>(other.to_)) {}
    admitted(const admitted&) = delete;
    admitted& operator=(admitted&&) = delete;
    admitted& operator=(const admitted&) = delete;
    ~admitted() = default;

    void operator()(boost::system::error_code ec) && { to_(ec); }
    void operator()(boost::system::error_code ec, asio_semaphore::admission a) && {
        to_(ec, static_cast<asio_semaphore::admission&&>(a));
    }
    template <typename... Args>
    void operator()(Args&&...) & = delete;
    template <typename... Args>
    void operator()(Args&&...) const& = delete;

    void operator&() const = delete;

private:
    test::operation::handler to_;
};

template <typename T>
void operator,(const admitted&, T&&) = delete;
template <typename T>
void operator,(T&&, const admitted&) = delete;

} // namespace hostile

namespace {

using namespace test;
using boost::system::system_error;

struct tokens_fixture : fixture {
    limiter limit{context, 1, patient()};
    int finished = 0;

#if defined(BOOST_ASIO_HAS_CO_AWAIT)
    /// Starts a coroutine. Its exceptions propagate out of run().
    template <typename Coroutine>
    void start(Coroutine coroutine) {
        asio::co_spawn(context, std::move(coroutine), [this](std::exception_ptr e) {
            ++finished;
            if (e)
                std::rethrow_exception(e);
        });
    }
#endif
};

const auto is_aborted = [](const system_error& e) {
    return e.code() == asio::error::operation_aborted;
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(limiter_object_tokens, tokens_fixture)

BOOST_AUTO_TEST_CASE(the_request_is_optional_and_may_be_braced) {
    operation bare, named, braced, defaults;
    limit.set_limit(10);
    limit.async_admit(bare.on_completion());
    const admission_request two = weighing(2);
    limit.async_admit(two, named.on_completion());
    limit.async_admit({7, 1, 3}, braced.on_completion());
    limit.async_admit({}, defaults.on_completion());
    BOOST_TEST(limit.in_flight() == 7);
    const auto usage = limit.busiest_keys();
    BOOST_TEST_REQUIRE(usage.size() == 1u);
    BOOST_TEST(usage[0].key == 7u);
    BOOST_TEST(usage[0].in_flight == 3);
    BOOST_TEST(limit.statistics().priorities[1].admitted == 1u);
    poll();
    for (const operation* o : {&bare, &named, &braced, &defaults})
        BOOST_TEST(o->admitted());
    const admission tried = limit.try_admit({9, 0, 3});
    BOOST_TEST(limit.in_flight() == 10);
#if __cplusplus >= 202002L
    operation designated;
    limit.async_admit({.key = 8, .max_wait = 0s}, designated.on_completion());
    poll();
    BOOST_TEST(designated.failed(timed_out));
#endif
}

BOOST_AUTO_TEST_CASE(a_handler_may_be_any_callable_and_move_only) {
    bool called = false;
    admission got;
    limit.async_admit([&, owned = std::make_unique<int>(1)](const error_code& ec, admission&& a) {
        called = !ec && *owned == 1;
        got = std::move(a);
    });
    poll();
    BOOST_TEST(called);
    BOOST_TEST(static_cast<bool>(got));
}

BOOST_AUTO_TEST_CASE(a_handler_with_the_minimum_requirements_is_enough) {
    operation now, later, aborted_one, idle;
    limit.async_admit(hostile::admitted(now.on_completion()));
    limit.async_admit(of_key(3), hostile::admitted(later.on_completion()));
    limit.async_wait_idle(hostile::admitted(idle.on_completion()));
    poll();
    BOOST_TEST(now.admitted());
    now.held().finish();
    limit.async_admit(hostile::admitted(aborted_one.on_completion()));
    BOOST_TEST(limit.cancel() == 1u);
    poll();
    BOOST_TEST(later.admitted());
    BOOST_TEST(aborted_one.failed(aborted));
    later.held().finish();
    poll();
    BOOST_TEST(idle.completed_with(success));
}

BOOST_AUTO_TEST_CASE(a_future_gets_the_admission_or_the_error) {
    std::future<admission> now = limit.async_admit(asio::use_future);
    std::future<admission> later = limit.async_admit(of_key(5), asio::use_future);
    poll();
    admission held = now.get();
    BOOST_TEST(static_cast<bool>(held));
    BOOST_TEST((later.wait_for(0s) == std::future_status::timeout));
    limit.cancel();
    poll();
    BOOST_CHECK_EXCEPTION((void)later.get(), system_error, is_aborted);
}

BOOST_AUTO_TEST_CASE(an_unread_future_gives_the_place_back_unreported) {
    {
        const auto unread = limit.async_admit(asio::use_future);
        poll();
        BOOST_TEST(limit.in_flight() == 1);
    }
    BOOST_TEST(limit.in_flight() == 0);
    BOOST_TEST(limit.statistics().unreported == 1u);
}

BOOST_AUTO_TEST_CASE(a_future_of_a_destroyed_context_is_a_broken_promise) {
    std::future<admission> waiting, posted;
    std::optional<limiter> survivor;
    {
        asio::io_context dying;
        survivor.emplace(dying, 1, patient());
        posted = survivor->async_admit(asio::use_future);
        waiting = survivor->async_admit(asio::use_future);
    }
    BOOST_CHECK_THROW((void)waiting.get(), std::future_error);
    BOOST_CHECK_THROW((void)posted.get(), std::future_error);
    BOOST_TEST(survivor->in_flight() == 0);
}

BOOST_AUTO_TEST_CASE(a_future_is_fulfilled_by_another_thread) {
    admission held = limit.try_admit();
    auto future = limit.async_admit(asio::use_future);
    std::thread runner([&] { context.run(); });
    held.finish();
    BOOST_TEST(static_cast<bool>(future.get()));
    runner.join();
}

BOOST_AUTO_TEST_CASE(detached_gives_the_place_back_unreported) {
    limit.async_admit(asio::detached);
    BOOST_TEST(limit.in_flight() == 1);
    poll();
    BOOST_TEST(limit.in_flight() == 0);
    BOOST_TEST(limit.statistics().unreported == 1u);
}

BOOST_AUTO_TEST_CASE(a_deferred_operation_takes_its_place_when_it_starts) {
    auto lazy = limit.async_admit(weighing(1), asio::deferred);
    BOOST_TEST(limit.in_flight() == 0);
    operation o;
    std::move(lazy)(o.on_completion());
    BOOST_TEST(limit.in_flight() == 1);
    poll();
    BOOST_TEST(o.admitted());
    o.held().finish();

    bool got = false;
    auto chained = limit.async_admit(
        asio::deferred([](error_code ec, admission a) { return asio::deferred.values(!ec && a); }));
    std::move(chained)([&](bool is_admitted) { got = is_admitted; });
    poll();
    BOOST_TEST(got);
    BOOST_TEST(limit.in_flight() == 0);
}

BOOST_AUTO_TEST_CASE(a_deferred_operation_can_be_started_again) {
    const auto lazy = limit.async_admit(weighing(1), asio::deferred);
    for (int i = 0; i < 3; ++i) {
        operation o;
        lazy(o.on_completion());
        poll();
        BOOST_TEST(o.admitted());
        o.held().finish();
    }
    BOOST_TEST(limit.statistics().succeeded == 3u);
}

BOOST_AUTO_TEST_CASE(as_tuple_packs_the_results) {
    bool called = false;
    limit.async_admit(asio::as_tuple([&](std::tuple<error_code, admission> both) {
        called = !std::get<0>(both) && std::get<1>(both);
    }));
    poll();
    BOOST_TEST(called);
    auto lazy = limit.async_admit(weighing(2), asio::as_tuple(asio::deferred));
    bool refused = false;
    std::move(lazy)([&](std::tuple<error_code, admission> both) {
        refused = std::get<0>(both) == exceeds_max && !std::get<1>(both);
    });
    poll();
    BOOST_TEST(refused);
}

BOOST_AUTO_TEST_CASE(redirect_error_takes_the_error_out) {
    error_code ec;
    auto granted = limit.async_admit(asio::redirect_error(asio::use_future, ec));
    poll();
    BOOST_TEST(static_cast<bool>(granted.get()));
    BOOST_TEST(!ec);
    limit.close();
    auto refused = limit.async_admit(asio::redirect_error(asio::use_future, ec));
    poll();
    BOOST_TEST(!refused.get());
    BOOST_TEST(ec == closed);
}

BOOST_AUTO_TEST_CASE(append_prepend_and_consign_work) {
    std::string appended, prepended;
    limit.async_admit(asio::append(
        [&](error_code, admission a, const std::string& s) {
            appended = s + (a ? " admitted" : " refused");
        },
        std::string("appended")));
    limit.async_admit(asio::prepend(
        [&](const std::string& s, error_code, admission a) {
            prepended = s + (a ? " admitted" : " refused");
        },
        std::string("prepended")));
    auto consigned = std::make_shared<int>(1);
    const std::weak_ptr<int> watch = consigned;
    bool alive = false;
    limit.async_admit(asio::consign(
        [&](error_code, admission) { alive = !watch.expired(); }, std::move(consigned)));
    context.run();
    BOOST_TEST(appended == "appended admitted");
    BOOST_TEST(prepended == "prepended admitted");
    BOOST_TEST(alive);
    BOOST_TEST(watch.expired());
}

BOOST_AUTO_TEST_CASE(the_binders_combine) {
    asio::cancellation_signal signal;
    support::memory_book memory;
    support::tracking book;
    const support::tracker_executor<> tracker(context.get_executor(), book);
    const admission held = limit.try_admit();
    bool inside = false;
    limit.async_admit(asio::bind_executor(
        tracker, asio::bind_cancellation_slot(
                     signal.slot(),
                     asio::bind_allocator(
                         support::counting_allocator<>(memory), [&](error_code ec, admission) {
                             inside = book.on_stack() && ec == asio::error::operation_aborted;
                         }))));
    BOOST_TEST(memory.allocated > 0);
    BOOST_TEST(book.work > 0);
    signal.emit(asio::cancellation_type::total);
    poll();
    BOOST_TEST(inside);
    BOOST_TEST(memory.live() == 0);
    BOOST_TEST(book.work == 0);
}

BOOST_AUTO_TEST_CASE(the_binders_bind_other_tokens_too) {
    support::tracking book;
    const support::tracker_executor<> tracker(context.get_executor(), book);
    auto future = limit.async_admit(asio::bind_executor(tracker, asio::use_future));
    poll();
    BOOST_TEST(static_cast<bool>(future.get()));
    BOOST_TEST(book.ran == 1);
    auto lazy = limit.async_admit(of_key(1), asio::bind_executor(tracker, asio::deferred));
    operation o;
    std::move(lazy)(o.on_completion());
    poll();
    BOOST_TEST(o.admitted());
    BOOST_TEST(book.ran == 2);
}

BOOST_AUTO_TEST_CASE(a_type_erased_handler_works) {
    operation owned, waits, idle, dropped;
    asio::cancellation_signal signal;
    using erased = asio::any_completion_handler<void(error_code, admission)>;
    limit.async_admit(erased(owned.on_completion()));
    limit.async_admit(of_priority(1), erased(waits.on_completion(signal.slot())));
    limit.async_wait_idle(asio::any_completion_handler<void(error_code)>(idle.on_completion()));
    poll();
    BOOST_TEST(owned.admitted());
    signal.emit(asio::cancellation_type::terminal);
    BOOST_TEST(limit.waiting() == 0u);
    poll();
    BOOST_TEST(waits.failed(aborted));
    owned.held().finish();
    poll();
    BOOST_TEST(idle.completed_with(success));
    {
        asio::io_context dying;
        limiter other(dying, 1, patient());
        const admission held = other.try_admit();
        other.async_admit(erased(dropped.on_completion()));
    }
    BOOST_TEST(dropped.abandoned());
}

BOOST_AUTO_TEST_CASE(a_default_token_makes_the_token_optional) {
    using lazy_limiter = asio::deferred_t::as_default_on_t<limiter>;
    auto lazy = asio::deferred.as_default_on(limiter(context, 4, patient()));
    static_assert(std::is_same_v<decltype(lazy), lazy_limiter>);
    operation o[5];
    lazy.async_admit()(o[0].on_completion());
    lazy.async_admit(weighing(2))(o[1].on_completion());
    lazy.async_admit({3, 0, 1})(o[2].on_completion());
    lazy.async_admit(waiting_for(0s))(o[3].on_completion());
    BOOST_TEST(lazy.in_flight() == 4);
    poll();
    for (int i = 0; i < 3; ++i)
        BOOST_TEST(o[i].admitted(), "operation " << i);
    BOOST_TEST(o[3].failed(timed_out));
    for (int i = 0; i < 3; ++i)
        o[i].held().finish();
    lazy.async_wait_idle()(o[4].on_completion());
    poll();
    BOOST_TEST(o[4].completed_with(success));
    // An explicit token replaces the default token.
    auto future = lazy.async_admit(asio::use_future);
    auto second = lazy.async_admit(weighing(1), asio::use_future);
    poll();
    BOOST_TEST(static_cast<bool>(future.get()));
    BOOST_TEST(static_cast<bool>(second.get()));
}

BOOST_AUTO_TEST_CASE(the_executor_type_can_be_rebound) {
    using typed = basic_limiter<asio::io_context::executor_type>;
    static_assert(
        std::is_same_v<limiter::rebind_executor<asio::io_context::executor_type>::other, typed>);
    static_assert(std::is_same_v<typed::rebind_executor<asio::any_io_executor>::other, limiter>);
    static_assert(std::is_same_v<typed::executor_type, asio::io_context::executor_type>);
    static_assert(std::is_constructible_v<limiter, typed&&>);
    static_assert(!std::is_constructible_v<typed, limiter&&>);
    static_assert(std::is_assignable_v<limiter&, typed&&>);
    typed original(context, 1, patient());
    operation o;
    original.async_admit(o.on_completion());
    poll();
    BOOST_TEST(o.admitted());
}

#if BOOST_VERSION >= 108600

BOOST_AUTO_TEST_CASE(the_default_token_is_deferred) {
    operation a, b, idle;
    limit.async_admit()(a.on_completion());
    limit.async_admit(of_key(1))(b.on_completion());
    poll();
    BOOST_TEST(a.admitted());
    a.held().finish();
    poll();
    BOOST_TEST(b.admitted());
    b.held().finish();
    limit.async_wait_idle()(idle.on_completion());
    poll();
    BOOST_TEST(idle.completed_with(success));
}

BOOST_AUTO_TEST_CASE(cancel_after_ends_the_wait) {
    const admission held = limit.try_admit();
    operation waits, idle;
    limit.async_admit(asio::cancel_after(1ms, waits.on_completion()));
    limit.async_wait_idle(asio::cancel_after(1ms, idle.on_completion()));
    context.run();
    BOOST_TEST(waits.failed(aborted));
    BOOST_TEST(idle.completed_with(aborted));
}

#endif

BOOST_AUTO_TEST_CASE(a_parallel_group_takes_the_first_and_the_loser_leaves_the_queue) {
    limiter other(context, 1, patient());
    const admission held = limit.try_admit();
    std::array<std::size_t, 2> order{};
    error_code of_loser;
    admission won;
    asio::experimental::make_parallel_group(
        limit.async_admit(asio::deferred), other.async_admit(of_key(2), asio::deferred))
        .async_wait(
            asio::experimental::wait_for_one(),
            [&](std::array<std::size_t, 2> o, error_code ec1, admission, error_code, admission a2) {
                order = o;
                of_loser = ec1;
                won = std::move(a2);
            });
    context.run();
    BOOST_TEST(order[0] == 1u);
    BOOST_TEST(of_loser == aborted);
    BOOST_TEST(static_cast<bool>(won));
    BOOST_TEST(limit.waiting() == 0u);
}

BOOST_AUTO_TEST_CASE(a_parallel_group_gives_back_both_places) {
    limiter other(context, 1, patient());
    asio::experimental::make_parallel_group(
        limit.async_admit(asio::deferred), other.async_admit(asio::deferred))
        .async_wait(
            asio::experimental::wait_for_one(),
            [](std::array<std::size_t, 2>, error_code, admission, error_code, admission) {});
    BOOST_TEST(limit.in_flight() + other.in_flight() == 2);
    context.run();
    BOOST_TEST(limit.in_flight() + other.in_flight() == 0);
}

BOOST_AUTO_TEST_CASE(a_ranged_parallel_group_yields_a_vector_of_admissions) {
    limit.set_limit(3);
    using lazy = decltype(limit.async_admit(asio::deferred));
    std::vector<lazy> operations;
    for (int i = 0; i < 4; ++i)
        operations.push_back(limit.async_admit(asio::deferred));
    std::size_t granted = 0;
    asio::experimental::make_parallel_group(std::move(operations))
        .async_wait(
            asio::experimental::wait_for_all(),
            [&](std::vector<std::size_t>, std::vector<error_code> codes,
                std::vector<admission> places) {
                for (std::size_t i = 0; i < places.size(); ++i)
                    granted += !codes[i] && places[i] ? 1u : 0u;
            });
    poll();
    BOOST_TEST(limit.waiting() == 1u);
    limit.set_limit(4);
    poll();
    BOOST_TEST(granted == 4u);
    BOOST_TEST(limit.in_flight() == 0);
}

BOOST_AUTO_TEST_CASE(a_promise_keeps_the_place_until_it_is_awaited) {
    auto promise = limit.async_admit(asio::experimental::use_promise);
    poll();
    BOOST_TEST(limit.in_flight() == 1);
    admission got;
    std::move(promise)([&](error_code, admission a) { got = std::move(a); });
    poll();
    BOOST_TEST(static_cast<bool>(got));
}

BOOST_AUTO_TEST_CASE(a_promise_that_is_dropped_cancels_its_operation) {
    const admission held = limit.try_admit();
    {
        auto promise = limit.async_admit(asio::experimental::use_promise);
        BOOST_TEST(limit.waiting() == 1u);
    }
    poll();
    BOOST_TEST(limit.waiting() == 0u);
}

#if defined(BOOST_ASIO_HAS_CO_AWAIT)

using asio::awaitable;
using asio::use_awaitable;
using namespace asio::experimental::awaitable_operators;

BOOST_AUTO_TEST_CASE(coroutines_take_turns) {
    int inside = 0, most = 0;
    for (int i = 0; i < 3; ++i)
        start([&]() -> awaitable<void> {
            admission place = co_await limit.async_admit(use_awaitable);
            most = std::max(most, ++inside);
            co_await asio::post(context, use_awaitable);
            --inside;
            place.finish();
        });
    context.run();
    BOOST_TEST(finished == 3);
    BOOST_TEST(most == 1);
    BOOST_TEST(limit.statistics().succeeded == 3u);
}

BOOST_AUTO_TEST_CASE(a_coroutine_may_take_overload_as_a_value) {
    const admission held = limit.try_admit();
    bool replied = false;
    start([&]() -> awaitable<void> {
        auto [ec, place] =
            co_await limit.async_admit(waiting_for(0s), asio::as_tuple(use_awaitable));
        replied = ec == asio_semaphore::condition::overload && !place;
    });
    context.run();
    BOOST_TEST(replied);
}

BOOST_AUTO_TEST_CASE(a_coroutine_gets_the_error_as_an_exception) {
    bool thrown = false;
    start([&]() -> awaitable<void> {
        try {
            const admission none = co_await limit.async_admit(weighing(-1), use_awaitable);
        } catch (const system_error& e) {
            thrown = e.code() == invalid_argument;
        }
        co_await limit.async_wait_idle(use_awaitable);
    });
    context.run();
    BOOST_TEST(thrown);
    BOOST_TEST(finished == 1);
}

BOOST_AUTO_TEST_CASE(the_loser_of_operator_or_leaves_the_queue_or_gives_its_place_back) {
    limiter other(context, 1, patient());
    admission held = other.try_admit();
    start([&]() -> awaitable<void> {
        auto won = co_await (other.async_admit(use_awaitable) || limit.async_admit(use_awaitable));
        BOOST_TEST(won.index() == 1u);
        BOOST_TEST(other.waiting() == 0u);
    });
    context.run();
    held.finish();
    start([&]() -> awaitable<void> {
        auto won = co_await (other.async_admit(use_awaitable) || limit.async_admit(use_awaitable));
        BOOST_TEST(limit.in_flight() + other.in_flight() == 1);
        BOOST_TEST(std::visit([](const admission& a) { return static_cast<bool>(a); }, won));
    });
    context.restart();
    context.run();
    BOOST_TEST(finished == 2);
    BOOST_TEST(limit.in_flight() + other.in_flight() == 0);
}

BOOST_AUTO_TEST_CASE(a_coroutine_with_a_default_token_awaits_without_one) {
    auto own = asio::use_awaitable_t<>::as_default_on(limiter(context, 1, patient()));
    start([&]() -> awaitable<void> {
        admission place = co_await own.async_admit();
        BOOST_TEST(static_cast<bool>(place));
        place.finish();
        place = co_await own.async_admit({5});
        place.finish();
        co_await own.async_wait_idle();
    });
    context.run();
    BOOST_TEST(finished == 1);
    BOOST_TEST(own.statistics().succeeded == 2u);
}

BOOST_AUTO_TEST_CASE(a_coroutine_that_waits_is_destroyed_with_its_context) {
    std::optional<asio::io_context> dying(std::in_place);
    limiter own(*dying, 1, patient());
    bool resumed = false;
    int unwound = 0;
    for (int i = 0; i < 2; ++i)
        asio::co_spawn(
            *dying,
            [&]() -> awaitable<void> {
                const support::at_exit last([&] { ++unwound; });
                const admission first = co_await own.async_admit(use_awaitable);
                const admission second = co_await own.async_admit(use_awaitable);
                resumed = true;
            },
            asio::detached);
    dying->poll();
    BOOST_TEST(own.waiting() == 2u);
    dying.reset();
    BOOST_TEST(!resumed);
    BOOST_TEST(unwound == 2);
    BOOST_TEST(own.in_flight() == 0);
}

// An accept loop waits for a place before it accepts. The end of the limiter ends the loop.
BOOST_AUTO_TEST_CASE(L97_close_wakes_a_loop_that_waits_at_the_limit) {
    std::vector<admission> sessions;
    error_code ended_with;
    limit.set_limit(3);
    start([&]() -> awaitable<void> {
        for (;;) {
            auto [ec, place] = co_await limit.async_admit(asio::as_tuple(use_awaitable));
            if (ec) {
                ended_with = ec;
                co_return;
            }
            sessions.push_back(std::move(place));
        }
    });
    BOOST_TEST(poll());
    BOOST_TEST(sessions.size() == 3u);
    BOOST_TEST(finished == 0);
    limit.close();
    BOOST_TEST(finished == 0);
    context.run();
    BOOST_TEST(finished == 1);
    BOOST_TEST(ended_with == closed);
    for (admission& each : sessions)
        each.finish();
    BOOST_TEST(limit.statistics().succeeded == 3u);
}

#endif

BOOST_AUTO_TEST_SUITE_END()
