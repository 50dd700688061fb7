// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore/async_semaphore.hpp>

#include <support/handlers.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/compose.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/experimental/promise.hpp>
#include <boost/asio/experimental/use_promise.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/test/unit_test.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <exception>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

namespace {

namespace asio = boost::asio;
using asio::awaitable;
using asio::use_awaitable;
using asio_semaphore::async_semaphore;
using asio_semaphore::permit;
using boost::system::error_code;
using support::recording;
using support::result;
using namespace asio::experimental::awaitable_operators;
using namespace std::chrono_literals;

struct fixture {
    asio::io_context context;
    async_semaphore semaphore{context, 1}, other{context, 1};
    int finished = 0;

    template <typename Coroutine>
    void start(Coroutine coroutine) {
        asio::co_spawn(context, std::move(coroutine), [this](std::exception_ptr e) {
            ++finished;
            if (e)
                std::rethrow_exception(e);
        });
    }
    void poll() { support::poll(context); }
    bool all_home() const { return semaphore.available() == 1 && other.available() == 1; }
};

/// A composed operation that acquires a permit of each of two semaphores in turn.
template <typename Token>
auto async_acquire_both(async_semaphore& a, async_semaphore& b, Token&& token) {
    return asio::async_compose<Token, void(error_code, permit, permit)>(
        [&a, &b, first = permit(),
         step = 0](auto& self, error_code ec = {}, permit p = permit()) mutable {
            switch (step++) {
            case 0:
                a.async_acquire_permit(std::move(self));
                break;
            case 1:
                if (ec)
                    return self.complete(ec, permit(), permit());
                first = std::move(p);
                b.async_acquire_permit(std::move(self));
                break;
            default:
                self.complete(ec, std::move(first), std::move(p));
            }
        },
        token, a, b);
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(asio_compositions, fixture)

BOOST_AUTO_TEST_CASE(the_loser_of_operator_or_loses_no_permit) {
    // Both operations are granted at once, so the permit of the loser has to return.
    start([&]() -> awaitable<void> {
        auto won = co_await (
            semaphore.async_acquire_permit(use_awaitable) ||
            other.async_acquire_permit(use_awaitable));
        BOOST_TEST(semaphore.available() + other.available() == 1);
        BOOST_TEST(std::visit([](const permit& p) { return p.count(); }, won) == 1);
    });
    context.run();
    BOOST_TEST(finished == 1);
    BOOST_TEST(all_home());
}

BOOST_AUTO_TEST_CASE(the_loser_of_operator_or_leaves_the_queue) {
    const permit held = other.try_acquire_permit();
    start([&]() -> awaitable<void> {
        auto won = co_await (
            other.async_acquire_permit(use_awaitable) ||
            semaphore.async_acquire_permit(use_awaitable));
        BOOST_TEST(won.index() == 1u);
        BOOST_TEST(other.waiting() == 0u);
    });
    context.run();
    BOOST_TEST(finished == 1);
    BOOST_TEST(semaphore.available() == 1);
}

BOOST_AUTO_TEST_CASE(a_grant_that_ties_with_a_timer_is_not_lost) {
    for (int round = 0; round < 50; ++round) {
        permit held = semaphore.try_acquire_permit();
        start([&]() -> awaitable<void> {
            asio::steady_timer timer(context, std::chrono::microseconds(round));
            co_await (
                semaphore.async_acquire_permit(use_awaitable) || timer.async_wait(use_awaitable));
        });
        // Both operations end before one of the handlers runs.
        asio::steady_timer giver(context, std::chrono::microseconds(round));
        giver.async_wait([&](error_code) { held.reset(); });
        context.restart();
        context.run();
        held.reset();
        BOOST_REQUIRE(finished == round + 1);
        BOOST_REQUIRE(semaphore.available() == 1);
        BOOST_REQUIRE(semaphore.waiting() == 0u);
    }
}

BOOST_AUTO_TEST_CASE(operator_and_waits_for_both) {
    permit held = other.try_acquire_permit();
    start([&]() -> awaitable<void> {
        auto [first, second] = co_await (
            semaphore.async_acquire_permit(use_awaitable) &&
            other.async_acquire_permit(use_awaitable));
        BOOST_TEST(first.count() == 1);
        BOOST_TEST(second.count() == 1);
    });
    poll();
    BOOST_TEST(finished == 0);
    BOOST_TEST(semaphore.available() == 0);
    held.reset();
    poll();
    BOOST_TEST(finished == 1);
    BOOST_TEST(all_home());
}

BOOST_AUTO_TEST_CASE(a_failed_operator_and_gives_the_other_permit_back) {
    other.close();
    bool failed = false;
    start([&]() -> awaitable<void> {
        try {
            co_await (
                semaphore.async_acquire_permit(use_awaitable) &&
                other.async_acquire_permit(use_awaitable));
        } catch (const boost::system::system_error& e) {
            failed = e.code() == asio_semaphore::error::closed;
        }
    });
    context.run();
    BOOST_TEST(finished == 1);
    BOOST_TEST(failed);
    BOOST_TEST(semaphore.available() == 1);
}

BOOST_AUTO_TEST_CASE(a_context_destroyed_under_a_composition_gets_its_permits_back) {
    std::optional<asio::io_context> dying(std::in_place);
    async_semaphore a(*dying, 1), b(*dying, 0);
    asio::co_spawn(
        *dying,
        [&]() -> awaitable<void> {
            auto both = co_await (
                a.async_acquire_permit(use_awaitable) && b.async_acquire_permit(use_awaitable));
            BOOST_ERROR("resumed");
        },
        [](std::exception_ptr) {});
    dying->poll();
    BOOST_TEST(a.available() == 0);
    BOOST_TEST(b.waiting() == 1u);
    dying.reset();
    BOOST_TEST(a.available() == 1);
}

BOOST_AUTO_TEST_CASE(a_parallel_group_takes_the_first) {
    const permit held = semaphore.try_acquire_permit();
    std::array<std::size_t, 2> order{};
    error_code of_loser;
    permit won;
    asio::experimental::make_parallel_group(
        semaphore.async_acquire_permit(asio::deferred), other.async_acquire_permit(asio::deferred))
        .async_wait(
            asio::experimental::wait_for_one(),
            [&](std::array<std::size_t, 2> o, error_code ec1, permit, error_code, permit p2) {
                order = o;
                of_loser = ec1;
                won = std::move(p2);
            });
    context.run();
    BOOST_TEST(order[0] == 1u);
    BOOST_TEST(of_loser == asio::error::operation_aborted);
    BOOST_TEST(won.count() == 1);
    BOOST_TEST(semaphore.waiting() == 0u);
}

BOOST_AUTO_TEST_CASE(a_parallel_group_keeps_the_permits_of_all_its_operations) {
    int granted = 0;
    asio::experimental::make_parallel_group(
        semaphore.async_acquire_permit(asio::deferred), other.async_acquire_permit(asio::deferred))
        .async_wait(
            asio::experimental::wait_for_all(),
            [&](std::array<std::size_t, 2>, error_code, permit p1, error_code, permit p2) {
                granted = static_cast<int>(p1.count() + p2.count());
            });
    context.run();
    BOOST_TEST(granted == 2);
    BOOST_TEST(all_home());
}

BOOST_AUTO_TEST_CASE(a_ranged_parallel_group_yields_a_vector_of_permits) {
    async_semaphore three(context, 3);
    using operation = decltype(three.async_acquire_permit(asio::deferred));
    std::vector<operation> operations;
    for (int i = 0; i < 4; ++i)
        operations.push_back(three.async_acquire_permit(asio::deferred));
    std::size_t granted = 0;
    asio::experimental::make_parallel_group(std::move(operations))
        .async_wait(
            asio::experimental::wait_for_all(),
            [&](std::vector<std::size_t>, std::vector<error_code> codes,
                std::vector<permit> permits) {
                for (std::size_t i = 0; i < permits.size(); ++i)
                    granted += !codes[i] && permits[i];
            });
    poll();
    BOOST_TEST(three.waiting() == 1u);
    three.release();
    poll();
    BOOST_TEST(granted == 4u);
    BOOST_TEST(three.available() == 4);
}

BOOST_AUTO_TEST_CASE(a_parallel_group_can_be_cancelled) {
    const permit held = semaphore.try_acquire_permit();
    const permit also = other.try_acquire_permit();
    asio::cancellation_signal signal;
    int aborted = 0;
    asio::experimental::make_parallel_group(
        semaphore.async_acquire_permit(asio::deferred), other.async_acquire_permit(asio::deferred))
        .async_wait(
            asio::experimental::wait_for_all(),
            asio::bind_cancellation_slot(
                signal.slot(),
                [&](std::array<std::size_t, 2>, error_code e1, permit, error_code e2, permit) {
                    aborted = (e1 == asio::error::operation_aborted) +
                              (e2 == asio::error::operation_aborted);
                }));
    poll();
    signal.emit(asio::cancellation_type::terminal);
    poll();
    BOOST_TEST(aborted == 2);
}

BOOST_AUTO_TEST_CASE(a_group_of_operations_is_destroyed_with_its_context) {
    std::optional<asio::io_context> dying(std::in_place);
    async_semaphore a(*dying, 1), b(*dying, 0);
    asio::experimental::make_parallel_group(
        a.async_acquire_permit(asio::deferred), b.async_acquire_permit(asio::deferred))
        .async_wait(
            asio::experimental::wait_for_all(), [](std::array<std::size_t, 2>, error_code, permit,
                                                   error_code, permit) { BOOST_ERROR("called"); });
    dying->poll();
    BOOST_TEST(a.available() == 0);
    BOOST_TEST(b.waiting() == 1u);
    dying.reset();
    BOOST_TEST(a.available() == 1);
}

BOOST_AUTO_TEST_CASE(a_composed_operation_acquires_in_steps) {
    permit held = other.try_acquire_permit();
    error_code ended;
    permit first, second;
    bool called = false;
    async_acquire_both(semaphore, other, [&](error_code ec, permit a, permit b) {
        called = true;
        ended = ec;
        first = std::move(a);
        second = std::move(b);
    });
    poll();
    BOOST_TEST(!called);
    BOOST_TEST(other.waiting() == 1u);
    held.reset();
    poll();
    BOOST_TEST(called);
    BOOST_TEST(!ended);
    BOOST_TEST(first.count() + second.count() == 2);
}

BOOST_AUTO_TEST_CASE(a_composed_operation_can_be_cancelled_in_any_step) {
    permit held = other.try_acquire_permit();
    asio::cancellation_signal signal;
    error_code ended;
    async_acquire_both(
        semaphore, other,
        asio::bind_cancellation_slot(
            signal.slot(), [&](error_code ec, permit, permit) { ended = ec; }));
    poll();
    signal.emit(asio::cancellation_type::terminal);
    poll();
    BOOST_TEST(ended == asio::error::operation_aborted);
    BOOST_TEST(semaphore.available() == 1);
}

BOOST_AUTO_TEST_CASE(a_promise_keeps_the_permit_until_it_is_awaited) {
    auto promise = semaphore.async_acquire_permit(asio::experimental::use_promise);
    poll();
    BOOST_TEST(semaphore.available() == 0);
    permit got;
    std::move(promise)([&](error_code, permit p) { got = std::move(p); });
    poll();
    BOOST_TEST(got.count() == 1);
}

BOOST_AUTO_TEST_CASE(a_promise_that_is_dropped_cancels_its_operation) {
    const permit held = semaphore.try_acquire_permit();
    {
        auto promise = semaphore.async_acquire_permit(asio::experimental::use_promise);
        BOOST_TEST(semaphore.waiting() == 1u);
    }
    poll();
    BOOST_TEST(semaphore.waiting() == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
