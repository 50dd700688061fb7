// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// Groups of operations that complete when all or one of them have ended. If a group discards the
// result of an operation without a permit object, what was granted is lost, as documented.

#include <model/abandonment.hpp>

#include <asio_semaphore/with_permit.hpp>

#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/experimental/promise.hpp>
#include <boost/asio/experimental/use_promise.hpp>
#include <boost/asio/steady_timer.hpp>

#include <array>
#include <chrono>
#include <memory>

using namespace abandonment;
using namespace std::chrono_literals;
using asio::experimental::make_parallel_group;
using asio::experimental::use_promise;
using asio::experimental::wait_for_all;
using asio::experimental::wait_for_one;

namespace {

template <typename Program>
void with_both_conditions(const char* name, Program program) {
    stop_after_every_handler(
        std::string(name) + ", wait_for_one", [=](world& w) { program(w, wait_for_one()); });
    stop_after_every_handler(
        std::string(name) + ", wait_for_all", [=](world& w) { program(w, wait_for_all()); });
}

/// A permit object returns its permits wherever a group discards it.
template <typename Condition>
void permits(world& w, Condition condition) {
    for (int i = 0; i < 4; ++i)
        make_parallel_group(
            w.sem().async_acquire_permit(asio::deferred),
            w.sem().async_acquire_permit_for(1h, 2, asio::deferred),
            w.sem().async_acquire_permit(3, asio::deferred))
            .async_wait(
                condition,
                [&w, c = w.carried()](
                    auto, error_code, permit a, error_code, permit b, error_code, permit d) {
                    w.has(std::move(a));
                    w.has(std::move(b));
                    w.has(std::move(d));
                });
}

template <typename Condition>
void bare_ones(world& w, Condition condition) {
    for (int i = 0; i < 4; ++i)
        make_parallel_group(
            w.sem().async_acquire(asio::deferred), w.sem().async_acquire_for(1h, 2, asio::deferred))
            .async_wait(
                condition, [a = finisher(w, 1, results::may_be_lost),
                            b = finisher(w, 2, results::may_be_lost)](
                               auto, error_code of_a, error_code of_b) mutable {
                    a(of_a);
                    b(of_b);
                });
}

template <typename Condition>
void many_of_one_type(world& w, Condition condition) {
    using operation = decltype(w.sem().async_acquire_permit(1, asio::deferred));
    for (int i = 0; i < 3; ++i) {
        std::vector<operation> operations;
        for (int n = 1; n <= 3; ++n)
            operations.push_back(w.sem().async_acquire_permit(n, asio::deferred));
        asio::experimental::make_parallel_group(std::move(operations))
            .async_wait(
                condition, [&w, c = w.carried()](
                               auto, const std::vector<error_code>&, std::vector<permit> all) {
                    for (permit& p : all)
                        w.has(std::move(p));
                });
    }
}

template <typename Condition>
void under_a_limit(world& w, Condition condition) {
    for (int i = 0; i < 4; ++i) {
        const auto timers =
            std::make_shared<std::array<asio::steady_timer, 2>>(std::array<asio::steady_timer, 2>{
                asio::steady_timer(w.io(), -1h), asio::steady_timer(w.io(), 1h)});
        make_parallel_group(
            (*timers)[0].async_wait(asio_semaphore::with_permit(w.sem(), 2, asio::deferred)),
            (*timers)[1].async_wait(asio_semaphore::with_permit(w.sem(), asio::deferred)),
            w.sem().async_acquire_permit(asio::deferred))
            .async_wait(
                condition,
                [&w, timers, c = w.carried()](auto, error_code, error_code, error_code, permit p) {
                    w.has(std::move(p));
                });
    }
}

// In Boost 1.81, a promise that is already waited for completes with results from which it has
// moved before. The permit stays in the promise, and comes back with it.
struct awaited {
    void operator()(error_code ec) { f(ec); }
    void operator()(error_code ec, permit p) {
        if (BOOST_VERSION >= 108200 || ec || p)
            f(ec, std::move(p));
    }

    finisher f;
};

} // namespace

BOOST_AUTO_TEST_SUITE(model_abandonment_groups)

BOOST_AUTO_TEST_CASE(parallel_groups) {
    with_both_conditions("permits", [](world& w, auto condition) { permits(w, condition); });
}

BOOST_AUTO_TEST_CASE(parallel_groups_of_bare_operations) {
    with_both_conditions("bare", [](world& w, auto condition) { bare_ones(w, condition); });
}

BOOST_AUTO_TEST_CASE(parallel_groups_of_any_number) {
    with_both_conditions(
        "a range", [](world& w, auto condition) { many_of_one_type(w, condition); });
}

BOOST_AUTO_TEST_CASE(parallel_groups_under_a_limit) {
    with_both_conditions(
        "with_permit", [](world& w, auto condition) { under_a_limit(w, condition); });
}

BOOST_AUTO_TEST_CASE(promises) {
    // The program waits for the promise, or destroys it. A promise must not outlive its executor's
    // context, and its own handler must not own it.
    const auto wait_for = [](world& w, auto promise, std::ptrdiff_t n, results r, bool waits) {
        const auto kept = std::make_shared<decltype(promise)>(std::move(promise));
        finisher f(w, n, r);
        if (waits) {
            w.until_the_end.push_back(kept);
            asio::post(w.io(), [p = kept.get(), f]() mutable { (*p)(awaited{std::move(f)}); });
        } else {
            asio::post(w.io(), [kept, f] {});
        }
    };
    stop_after_every_handler("use_promise", [=](world& w) {
        for (int i = 0; i < 4; ++i) {
            wait_for(w, w.sem().async_acquire_permit(use_promise), 1, results::arrive, i % 2 == 0);
            wait_for(
                w, w.sem().async_acquire_permit_for(1h, 2, use_promise), 2, results::arrive,
                i % 2 == 1);
        }
    });
    stop_after_every_handler("use_promise, bare", [=](world& w) {
        for (int i = 0; i < 4; ++i) {
            wait_for(w, w.sem().async_acquire(use_promise), 1, results::may_be_lost, i % 2 == 0);
            wait_for(
                w, w.sem().async_acquire_for(1h, 2, use_promise), 2, results::may_be_lost,
                i % 2 == 1);
        }
    });
}

BOOST_AUTO_TEST_SUITE_END()
