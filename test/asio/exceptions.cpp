// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore/async_semaphore.hpp>

#include <support/executors.hpp>
#include <support/handlers.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

namespace {

namespace asio = boost::asio;
using asio_semaphore::async_semaphore;
using asio_semaphore::basic_async_semaphore;
using asio_semaphore::permit;
using boost::system::error_code;
using support::executor_failure;
using support::fragile;
using support::move_failure;
using support::recording;
using support::result;
using support::ways;
using support::wayward_executor;

struct fixture {
    asio::io_context context;
    async_semaphore semaphore{context, 1};
    ways how;
    basic_async_semaphore<wayward_executor> wayward{wayward_executor(context, how), 1};

    void poll() { support::poll(context); }
};

constexpr int many = 100000;

/// A handler that returns its permit at once.
struct relay {
    basic_async_semaphore<wayward_executor>* semaphore;
    int* calls;
    int* deepest;
    int* depth;

    void operator()(error_code ec) const {
        if (ec)
            return;
        ++*calls;
        *deepest = std::max(*deepest, ++*depth);
        semaphore->release();
        --*depth;
    }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(asio_exceptions, fixture)

BOOST_AUTO_TEST_CASE(an_executor_that_refuses_in_the_initiation_loses_no_permit) {
    result owned, bare, refused;
    how.now = ways::way::fail;
    BOOST_CHECK_THROW(wayward.async_acquire_permit(recording(owned)), executor_failure);
    BOOST_CHECK_THROW(wayward.async_acquire(recording(bare)), executor_failure);
    BOOST_CHECK_THROW(wayward.async_acquire(-1, recording(refused)), executor_failure);
    for (const result* r : {&owned, &bare, &refused})
        BOOST_TEST(r->was_dropped());
    BOOST_TEST(wayward.available() == 1);
    BOOST_TEST(wayward.waiting() == 0u);
}

BOOST_AUTO_TEST_CASE(an_executor_that_refuses_at_the_grant_passes_the_permit_on) {
    permit held = wayward.try_acquire_permit();
    result first, second;
    wayward.async_acquire_permit(recording(first));
    wayward.async_acquire(recording(second));
    how.now = ways::way::fail;
    BOOST_CHECK_NO_THROW(held.reset());
    BOOST_TEST(first.was_dropped());
    BOOST_TEST(second.was_dropped());
    BOOST_TEST(wayward.available() == 1);
    how.now = ways::way::pass_on;
    result third;
    wayward.async_acquire_permit(recording(third));
    poll();
    BOOST_TEST(third.succeeded());
}

BOOST_AUTO_TEST_CASE(one_refusal_costs_only_the_operation_that_it_meets) {
    ways other_how;
    result refused, served;
    const permit held = wayward.try_acquire_permit();
    other_how.now = ways::way::fail;
    wayward.async_acquire_permit(
        asio::bind_executor(wayward_executor(context, other_how), recording(refused)));
    wayward.async_acquire_permit(recording(served));
    BOOST_CHECK_NO_THROW(wayward.release());
    BOOST_TEST(refused.was_dropped());
    poll();
    BOOST_TEST(served.succeeded());
}

BOOST_AUTO_TEST_CASE(an_executor_may_refuse_at_every_other_end_too) {
    asio::cancellation_signal signal;
    result emitted, cancelled, closed, destroyed;
    {
        basic_async_semaphore<wayward_executor> dying(wayward_executor(context, how), 0);
        dying.async_acquire(recording(destroyed));
        const permit held = wayward.try_acquire_permit();
        wayward.async_acquire(asio::bind_cancellation_slot(signal.slot(), recording(emitted)));
        wayward.async_acquire_for(std::chrono::hours(1), recording(cancelled));
        how.now = ways::way::fail;
        BOOST_CHECK_NO_THROW(signal.emit(asio::cancellation_type::terminal));
        BOOST_TEST(wayward.cancel() == 1u);
        how.now = ways::way::pass_on;
        wayward.async_acquire(recording(closed));
        how.now = ways::way::fail;
        BOOST_CHECK_NO_THROW(wayward.close());
    }
    for (const result* r : {&emitted, &cancelled, &closed, &destroyed})
        BOOST_TEST(r->was_dropped());
    BOOST_TEST(wayward.available() == 1);
    how.now = ways::way::pass_on;
    poll();
}

BOOST_AUTO_TEST_CASE(an_executor_that_drops_in_the_initiation_loses_no_permit) {
    how.now = ways::way::drop;
    result owned, bare;
    wayward.async_acquire_permit(recording(owned));
    wayward.async_acquire(recording(bare));
    BOOST_TEST(owned.was_dropped());
    BOOST_TEST(bare.was_dropped());
    BOOST_TEST(wayward.available() == 1);
}

BOOST_AUTO_TEST_CASE(an_executor_that_drops_everything_serves_any_number_of_waiters_in_a_loop) {
    for (const auto way : {ways::way::drop, ways::way::fail}) {
        BOOST_TEST_CONTEXT("way " << static_cast<int>(way)) {
            how.now = ways::way::pass_on;
            permit held = wayward.try_acquire_permit();
            result all;
            for (int i = 0; i < many; ++i) {
                if (i % 2 == 0)
                    wayward.async_acquire_permit(recording(all));
                else
                    wayward.async_acquire(recording(all));
            }
            how.now = way;
            held.reset();
            BOOST_TEST(all.calls == 0);
            BOOST_TEST(all.dropped == many);
            BOOST_TEST(wayward.waiting() == 0u);
            BOOST_TEST(wayward.available() == 1);
        }
    }
}

BOOST_AUTO_TEST_CASE(permits_of_handlers_that_are_dropped_later_come_back_one_after_the_other) {
    permit held = wayward.try_acquire_permit();
    result all;
    for (int i = 0; i < 1000; ++i)
        wayward.async_acquire_permit(recording(all));
    how.now = ways::way::hold;
    held.reset();
    BOOST_TEST(wayward.waiting() == 999u);
    BOOST_TEST(wayward.available() == 0);
    how.drop_held();
    BOOST_TEST(all.dropped == 1000);
    BOOST_TEST(wayward.available() == 1);
}

BOOST_AUTO_TEST_CASE(an_executor_that_runs_inline_does_not_grow_the_stack) {
    permit held = wayward.try_acquire_permit();
    held.forget();
    int calls = 0, deepest = 0, depth = 0;
    for (int i = 0; i < many; ++i)
        wayward.async_acquire(relay{&wayward, &calls, &deepest, &depth});
    how.now = ways::way::run_inline;
    wayward.release();
    BOOST_TEST(calls == many);
    BOOST_TEST(deepest == 1);
    BOOST_TEST(wayward.available() == 1);
}

BOOST_AUTO_TEST_CASE(handlers_that_release_one_for_the_other_do_not_grow_the_stack) {
    permit held = semaphore.try_acquire_permit();
    int calls = 0;
    for (int i = 0; i < many; ++i)
        semaphore.async_acquire([&](error_code) {
            ++calls;
            semaphore.release();
        });
    held.reset();
    context.run();
    BOOST_TEST(calls == many);
}

BOOST_AUTO_TEST_CASE(dropped_handlers_that_own_permits_of_each_other_do_not_grow_the_stack) {
    // Each waiter has its own semaphore, and owns the permit for which the next waiter waits.
    using semaphore_type = basic_async_semaphore<wayward_executor>;
    constexpr int length = 20000;
    std::vector<std::unique_ptr<semaphore_type>> chain;
    for (int i = 0; i <= length; ++i)
        chain.push_back(std::make_unique<semaphore_type>(wayward_executor(context, how), 1));
    result all;
    permit first = chain[0]->try_acquire_permit();
    for (std::size_t i = 0; i < length; ++i)
        chain[i]->async_acquire_permit(
            [next = chain[i + 1]->try_acquire_permit(), r = recording(all)](error_code, permit) {});
    how.now = ways::way::drop;
    first.reset();
    BOOST_TEST(all.dropped == length);
    for (const auto& semaphore_of_chain : chain)
        BOOST_REQUIRE(semaphore_of_chain->available() == 1);
}

/// Starts an operation whose handler throws at its first move, then one whose handler throws at the
/// second, and so on, until no move throws.
template <typename Start, typename Check>
void enumerate_moves(Start start, Check check) {
    int failures = 0;
    for (int allowed = 0;; ++allowed) {
        BOOST_TEST_CONTEXT("moves that succeed: " << allowed) {
            result r;
            int left = allowed;
            try {
                start(r, left);
            } catch (const move_failure&) {
                ++failures;
                BOOST_TEST(r.calls == 0);
                BOOST_TEST(r.dropped == 1);
                check();
                continue;
            }
            left = -1;
            check();
        }
        break;
    }
    BOOST_TEST(failures > 0);
}

BOOST_AUTO_TEST_CASE(a_handler_move_that_throws_in_the_initiation_leaves_no_trace) {
    int runs = 0;
    const auto unchanged = [&] {
        poll();
        BOOST_TEST(semaphore.available() == 1);
        BOOST_TEST(semaphore.waiting() == 0u);
        ++runs;
    };
    enumerate_moves(
        [&](result& r, int& left) {
            semaphore.async_acquire_permit(fragile(r, left));
            left = -1;
            poll();
            BOOST_TEST(r.succeeded());
            r.held.reset();
        },
        unchanged);
    enumerate_moves(
        [&](result& r, int& left) {
            const permit held = semaphore.try_acquire_permit();
            semaphore.async_acquire_permit(fragile(r, left));
            left = -1;
            BOOST_TEST(semaphore.cancel() == 1u);
            poll();
            BOOST_TEST(r.failed(asio::error::operation_aborted));
        },
        unchanged);
    enumerate_moves(
        [&](result& r, int& left) {
            const permit held = semaphore.try_acquire_permit();
            semaphore.async_acquire_permit_for(std::chrono::hours(1), fragile(r, left));
            left = -1;
            BOOST_TEST(semaphore.cancel() == 1u);
            poll();
        },
        unchanged);
    BOOST_TEST(runs > 3);
}

BOOST_AUTO_TEST_CASE(with_another_executor_too_a_handler_move_that_throws_leaves_no_trace) {
    enumerate_moves(
        [&](result& r, int& left) {
            wayward.async_acquire_permit(fragile(r, left));
            left = -1;
            poll();
            r.held.reset();
        },
        [&] { BOOST_TEST(wayward.available() == 1); });
    enumerate_moves(
        [&](result& r, int& left) {
            const permit held = wayward.try_acquire_permit();
            wayward.async_acquire(fragile(r, left));
            left = -1;
            BOOST_TEST(wayward.cancel() == 1u);
            poll();
        },
        [&] {
            BOOST_TEST(wayward.available() == 1);
            BOOST_TEST(wayward.waiting() == 0u);
        });
}

/// Grants an operation whose handler then throws from a move. The next waiter must be granted.
template <typename Semaphore>
void fail_at_the_grant(asio::io_context& context, Semaphore& semaphore) {
    int failures = 0;
    for (int allowed = 0;; ++allowed) {
        BOOST_TEST_CONTEXT("moves that succeed: " << allowed) {
            permit held = semaphore.try_acquire_permit();
            BOOST_REQUIRE(held);
            int left = -1;
            result r, behind;
            semaphore.async_acquire_permit(fragile(r, left));
            semaphore.async_acquire_permit(recording(behind));
            left = allowed;
            held.reset();
            bool failed = false;
            context.restart();
            try {
                context.poll();
            } catch (const move_failure&) {
                failed = true;
            }
            left = -1;
            if (failed) {
                ++failures;
                BOOST_TEST(r.was_dropped());
            } else {
                BOOST_TEST(r.succeeded());
                r.held.reset();
            }
            support::poll(context);
            BOOST_TEST(behind.succeeded());
            behind.held.reset();
            BOOST_TEST(semaphore.available() == 1);
            if (failed)
                continue;
        }
        break;
    }
    BOOST_TEST(failures > 0);
}

BOOST_AUTO_TEST_CASE(a_handler_move_that_throws_at_the_grant_gives_the_permit_to_the_next) {
    fail_at_the_grant(context, semaphore);
    fail_at_the_grant(context, wayward);
}

BOOST_AUTO_TEST_CASE(a_handler_move_that_throws_while_its_context_is_destroyed_does_no_harm) {
    int left = -1;
    result r, s;
    {
        asio::io_context dying;
        async_semaphore other(dying, 0);
        other.async_acquire_permit(fragile(r, left));
        other.async_acquire_permit_for(std::chrono::hours(1), fragile(s, left));
        left = 0;
    }
    BOOST_TEST(r.was_dropped());
    BOOST_TEST(s.was_dropped());
}

BOOST_AUTO_TEST_CASE(a_handler_that_throws_leaves_the_semaphore_usable) {
    struct thrown {};
    for (const bool waits : {false, true}) {
        BOOST_TEST_CONTEXT("waits " << waits) {
            permit held = waits ? semaphore.try_acquire_permit() : permit();
            result behind;
            semaphore.async_acquire_permit([](error_code, permit) { throw thrown(); });
            semaphore.async_acquire_permit(recording(behind));
            held.reset();
            context.restart();
            BOOST_CHECK_THROW(context.run(), thrown);
            BOOST_TEST(behind.pending());
            poll();
            BOOST_TEST(behind.succeeded());
            behind.held.reset();
            BOOST_TEST(semaphore.available() == 1);
        }
    }
}

BOOST_AUTO_TEST_CASE(a_handler_that_throws_after_taking_the_permit_keeps_it_where_it_put_it) {
    permit kept;
    semaphore.async_acquire_permit([&](error_code, permit p) {
        kept = std::move(p);
        throw std::runtime_error("later");
    });
    BOOST_CHECK_THROW(context.run(), std::runtime_error);
    BOOST_TEST(semaphore.available() == 0);
    kept.reset();
    BOOST_TEST(semaphore.available() == 1);
}

BOOST_AUTO_TEST_CASE(functions_that_give_permits_back_do_not_throw) {
    static_assert(noexcept(std::declval<permit&>().reset()));
    static_assert(std::is_nothrow_destructible_v<permit>);
    static_assert(std::is_nothrow_destructible_v<async_semaphore>);
    static_assert(std::is_nothrow_move_constructible_v<permit>);
    static_assert(std::is_nothrow_move_constructible_v<async_semaphore>);
    BOOST_TEST(semaphore.available() == 1);
}

BOOST_AUTO_TEST_SUITE_END()
