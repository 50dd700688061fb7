// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// An adaptive limit needs calls of finish. If a thousand admissions are destroyed without one, and
// none is ever finished, debug builds assert. What a context abandons when it is destroyed does not
// count.

#include <support/misuse.hpp>

#include <asio_semaphore/limiter/limiter.hpp>

#include "object_fixture.hpp"

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace {

using namespace test;
using support::assertions;

void with_misuse(void (*misuse)()) {
    support::with_misuse(misuse, "finish");
}

limiter_options with_an_algorithm() {
    limiter_options o = patient();
    o.algorithm = [](const asio_semaphore::limit_sample& s) {
        return s.limit;
    };
    return o;
}

void drop(limiter& limit, int times) {
    for (int i = 0; i < times; ++i)
        static_cast<void>(limit.try_admit());
}

limiter_options with_an_algorithm_and_a_long_queue() {
    limiter_options o = with_an_algorithm();
    o.max_waiting = 3000;
    return o;
}

} // namespace

BOOST_AUTO_TEST_SUITE(limiter_unfinished)

BOOST_AUTO_TEST_CASE(an_assertion_fails_once_after_a_thousand_unfinished_admissions) {
    with_misuse([] {
        asio::io_context context;
        limiter limit(context, 1, with_an_algorithm());
        drop(limit, 3000);
        BOOST_TEST(limit.in_flight() == 0);
        BOOST_TEST(limit.statistics().unreported == 3000u);
    });
}

BOOST_AUTO_TEST_CASE(the_thousandth_fails_the_assertion_also_if_several_run_at_the_same_time) {
    with_misuse([] {
        asio::io_context context;
        limiter limit(context, 100, with_an_algorithm());
        for (int batch = 0; batch < 10; ++batch) {
            BOOST_TEST(assertions == 0);
            std::vector<admission> running;
            for (int i = 0; i < 100; ++i)
                running.push_back(limit.try_admit());
        }
    });
}

BOOST_FIXTURE_TEST_CASE(one_finished_admission_prevents_the_assertion, fixture) {
    assertions = 0;
    limiter limit(context, 1, with_an_algorithm());
    drop(limit, 500);
    limit.try_admit().finish(ended::ignored);
    drop(limit, 1500);
    BOOST_TEST(assertions == 0);
}

BOOST_AUTO_TEST_CASE(admissions_that_no_handler_receives_are_not_forgotten) {
    assertions = 0;
    asio::io_context context;
    std::optional<asio::io_context> theirs(std::in_place);
    limiter limit(context, 1500, with_an_algorithm_and_a_long_queue());
    for (int i = 0; i < 4000; ++i)
        limit.async_admit(asio::bind_executor(*theirs, [](error_code, admission) {}));
    theirs.reset();
    BOOST_TEST(limit.statistics().unreported == 4000u);
    BOOST_TEST(assertions == 0);
}

// The service of the timers is younger than that of the limiter, so it is destroyed first.
BOOST_AUTO_TEST_CASE(admissions_that_are_destroyed_with_their_context_are_not_forgotten) {
    assertions = 0;
    std::optional<asio::io_context> context(std::in_place);
    limiter limit(*context, 1500, with_an_algorithm_and_a_long_queue());
    for (int i = 0; i < 4000; ++i)
        limit.async_admit([&](error_code, admission place) {
            const auto timer = std::make_shared<asio::steady_timer>(*context, 24h);
            timer->async_wait([timer, place = std::move(place)](error_code) {});
        });
    context->poll();
    BOOST_TEST(limit.statistics().running == 1500u);
    context.reset();
    BOOST_TEST(limit.statistics().running == 0u);
    BOOST_TEST(assertions == 0);
}

BOOST_FIXTURE_TEST_CASE(a_fixed_limit_needs_no_reports, fixture) {
    assertions = 0;
    limiter limit(context, 1, patient());
    drop(limit, 2000);
    BOOST_TEST(assertions == 0);
}

BOOST_AUTO_TEST_SUITE_END()
