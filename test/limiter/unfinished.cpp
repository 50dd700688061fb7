// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// An adaptive limit needs calls of finish. If the first thousand admissions end without one, debug
// builds assert.

#include <support/misuse.hpp>

#include <asio_semaphore/limiter/limiter.hpp>

#include "object_fixture.hpp"

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
        limit.try_admit().reset();
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

BOOST_FIXTURE_TEST_CASE(one_finished_admission_prevents_the_assertion, fixture) {
    assertions = 0;
    limiter limit(context, 1, with_an_algorithm());
    drop(limit, 500);
    limit.try_admit().finish(ended::ignored);
    drop(limit, 1500);
    BOOST_TEST(assertions == 0);
}

BOOST_FIXTURE_TEST_CASE(a_fixed_limit_needs_no_reports, fixture) {
    assertions = 0;
    limiter limit(context, 1, patient());
    drop(limit, 2000);
    BOOST_TEST(assertions == 0);
}

BOOST_AUTO_TEST_SUITE_END()
