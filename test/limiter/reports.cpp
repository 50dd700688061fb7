// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// Which samples the algorithm sees, when the limiter calls it, and how the limiter uses the result:
// section 3 of the limiter's contract, and its scenarios L63, L67, L77 to L80, L89 and L98.

// If the library is header-only, this file handles the failed assertion about a forgotten `finish`.
#if !defined(ASIO_SEMAPHORE_SEPARATE_COMPILATION)
#define BOOST_ENABLE_ASSERT_HANDLER
#endif

#include "limiter_fixture.hpp"

#include <asio_semaphore/limiter/gradient_limit.hpp>

#include <boost/assert.hpp>

#include <atomic>
#include <limits>
#include <stdexcept>
#include <thread>

namespace {

using namespace test;

[[maybe_unused]] int assertions = 0;
[[maybe_unused]] std::string said;

struct reports_fixture : limiter_fixture {
    /// Admits n requests, and then lets ms milliseconds pass.
    std::vector<client*> some(int n, int ms = 1) {
        std::vector<client*> made;
        for (int i = 0; i < n; ++i)
            made.push_back(&admit());
        after(milliseconds(ms));
        return made;
    }
    const limit_sample& last() const {
        BOOST_TEST_REQUIRE(!samples.empty());
        return samples.back();
    }
};

double same(const limit_sample& sample) {
    return sample.limit;
}

} // namespace

#if defined(BOOST_ENABLE_ASSERT_HANDLER)
namespace boost {
void assertion_failed(const char*, const char*, const char*, long) {
    ++assertions;
}
void assertion_failed_msg(const char*, const char* message, const char*, const char*, long) {
    ++assertions;
    said = message;
}
} // namespace boost
#endif

BOOST_FIXTURE_TEST_SUITE(limiter_reports, reports_fixture)

BOOST_AUTO_TEST_CASE(L63_unusable_results_of_the_algorithm_are_corrected_or_ignored) {
    constexpr double infinity = std::numeric_limits<double>::infinity();
    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    struct {
        double returned, limit;
    } const rows[] = {{nan, 20}, {infinity, 20},   {-infinity, 20}, {0, 1},
                      {-5, 1},   {1e9, 1e9},       {20, 20},        {1.5, 1.5},
                      {.99, 1},  {19.999, 19.999}, {1e300, 1e300},  {1, 1}};
    for (const auto& row : rows) {
        BOOST_TEST_CONTEXT(row.returned) {
            lim(20, with_law(options(10, 1000)));
            law = [&](const limit_sample&) {
                return row.returned;
            };
            finish(*some(1)[0]);
            BOOST_TEST(s->limit() == row.limit);
            BOOST_TEST(s->statistics().algorithm_failures == 0u);
            const auto fit = static_cast<std::ptrdiff_t>(std::min(row.limit, 1e9));
            BOOST_TEST(runs(try_admit(of(0, fit))));
            if (row.limit < 1e9)
                BOOST_TEST(!runs(try_admit()));
        }
    }
}

BOOST_AUTO_TEST_CASE(L67_the_decrease_precedes_the_next_grant) {
    lim(10, with_law(options(10, 1000)));
    law = [](const limit_sample& sample) {
        return sample.result == ended::overloaded ? 5.0 : sample.limit;
    };
    const auto held = some(10);
    client& w = admit();
    finish(*held[0], ended::overloaded);
    BOOST_TEST(s->limit() == 5);
    BOOST_TEST(waits(w));
    BOOST_TEST(s->in_flight() == 9);
}

BOOST_AUTO_TEST_CASE(a_limit_raised_by_the_algorithm_grants_at_once) {
    lim(2, with_law(options(10, 1000)));
    law = [](const limit_sample& sample) {
        return sample.limit + 1;
    };
    const auto held = some(2);
    client &w1 = admit(), &w2 = admit(), &w3 = admit();
    finish(*held[0]);
    BOOST_TEST((runs(w1) && runs(w2) && waits(w3)));
}

BOOST_AUTO_TEST_CASE(L77_latency_excludes_waiting) {
    lim(1, with_law(options(10, 1000)));
    client& a = admit();
    client& b = admit();
    at(500);
    finish(a);
    BOOST_TEST((last().latency == milliseconds(500)));
    at(510);
    finish(b);
    BOOST_TEST((last().latency == milliseconds(10)));
    BOOST_TEST((last().at == time_point(std::chrono::hours(1)) + milliseconds(510)));
    BOOST_TEST((s->statistics().latency.sum == milliseconds(510)));
    BOOST_TEST((s->statistics().wait.sum == milliseconds(500)));
}

BOOST_AUTO_TEST_CASE(L78_the_algorithm_does_not_see_cancelled_requests) {
    lim(5, with_law(options(10, 1000)));
    law = [](const limit_sample&) {
        return 1.0;
    };
    for (int i = 0; i < 10000; ++i) {
        client& run = admit();
        BOOST_TEST_REQUIRE(runs(run));
        client& wait = admit_cancellable(of(0, 5));
        after(milliseconds(1));
        wait.slot->fire();
        BOOST_TEST_REQUIRE(ended_as(wait, outcome::aborted));
        finish(run, ended::ignored);
        clients.clear();
    }
    BOOST_TEST(samples.empty());
    BOOST_TEST(s->limit() == 5);
    BOOST_TEST(counts().cancelled == 10000u);
    BOOST_TEST(s->statistics().ignored == 10000u);
    BOOST_TEST(s->statistics().latency.count() == 0u);
    check_counts();
}

BOOST_AUTO_TEST_CASE(L79_a_cancelled_operation_keeps_its_place_until_its_finish) {
    lim(1, options(10, 1000));
    client& a = admit();
    client& b = admit_cancellable();
    finish(a);
    BOOST_TEST(runs(b));
    b.slot->fire();
    BOOST_TEST(s->in_flight() == 1);
    BOOST_TEST(ended_as(b, outcome::granted));
    client& c = admit_cancellable();
    BOOST_TEST(waits(c));
    finish(b, ended::ignored);
    BOOST_TEST(runs(c));
    check_counts();
}

BOOST_AUTO_TEST_CASE(L80_quick_refusals_leave_the_baseline) {
    auto o = options(10, 1000);
    asio_semaphore::gradient_limit_options law_options;
    law_options.relearn = false;
    o.algorithm = asio_semaphore::gradient_limit(law_options);
    lim(20, o);
    const auto at_full_load = [&](int rounds) {
        for (int i = 0; i < rounds; ++i) {
            std::vector<client*> held;
            while (runs(admit()))
                held.push_back(&clients.back());
            after(milliseconds(10));
            for (client* c : held)
                finish(*c);
            s->cancel();
            for (client& c : clients) {
                if (runs(c))
                    finish(c, ended::ignored);
            }
            clients.clear();
        }
    };
    at_full_load(30);
    const double before = s->limit();
    BOOST_TEST(before >= 20);
    for (int i = 0; i < 1000; ++i) {
        client& c = admit();
        after(microseconds(100));
        finish(c, ended::overloaded);
    }
    const double low = s->limit();
    BOOST_TEST(low < before / 2);
    at_full_load(100);
    BOOST_TEST(s->limit() > low);
}

BOOST_AUTO_TEST_CASE(L89_the_statistics_show_the_current_limit) {
    lim(20, with_law(options(10, 1000)));
    double next = 20;
    law = [&](const limit_sample& sample) {
        BOOST_TEST(sample.limit == next);
        BOOST_TEST(s->statistics().limit == next);
        return next += 0.75;
    };
    for (int i = 0; i < 8; ++i) {
        finish(*some(1)[0]);
        BOOST_TEST(s->statistics().limit == next);
        BOOST_TEST(s->limit() == next);
    }
    BOOST_TEST(next == 26);
}

BOOST_AUTO_TEST_CASE(small_steps_of_the_algorithm_add_up) {
    lim(20, with_law(options(10, 1000)));
    law = [](const limit_sample& sample) {
        return sample.limit + 0.0625;
    };
    for (int i = 0; i < 16; ++i) {
        client& a = admit(of(0, 20));
        BOOST_TEST(waits(admit()));
        after(milliseconds(1));
        finish(a);
        clients.back().on_end = nullptr;
        finish(clients.back(), ended::ignored);
    }
    BOOST_TEST(s->limit() == 21);
    BOOST_TEST(runs(try_admit(of(0, 21))));
}

BOOST_AUTO_TEST_CASE(L98_no_lock_is_held_while_the_users_functions_run) {
    auto o = with_law(options(10, 1000));
    int told = 0;
    const auto look = [&] {
        BOOST_TEST(s->statistics().running == 1u);
        BOOST_TEST(s->in_flight() == 1);
        BOOST_TEST(s->waiting() == 0u);
        BOOST_TEST(s->is_open());
        BOOST_TEST(s->busiest_keys(8).empty());
        ++told;
    };
    o.on_limit_change = [&](double from, double to) {
        BOOST_TEST(from != to);
        BOOST_TEST(s->limit() == to);
        ++told;
    };
    lim(20, o);
    law = [&](const limit_sample& sample) {
        look();
        return sample.limit + 1;
    };
    finish(*some(1)[0]);
    s->set_limit(5);
    BOOST_TEST(told == 3);
}

BOOST_AUTO_TEST_CASE(a_sample_has_all_values_of_the_finish) {
    lim(4, with_law(options(10, 1000)));
    const auto held = some(3, 7);
    finish(*held[0]);
    BOOST_TEST((last().at == stopped_threads::the_time));
    BOOST_TEST((last().latency == milliseconds(7)));
    BOOST_TEST(last().result == ended::success);
    BOOST_TEST(last().in_flight == 3);
    BOOST_TEST(!last().bound);
    BOOST_TEST(last().limit == 4);
    finish(*held[1], ended::overloaded);
    BOOST_TEST(last().result == ended::overloaded);
    BOOST_TEST(samples.size() == 2u);
}

BOOST_AUTO_TEST_CASE(in_flight_is_the_most_since_the_sample_before) {
    lim(10, with_law(options(10, 1000)));
    const auto held = some(3);
    finish(*held[0]);
    BOOST_TEST(last().in_flight == 3);
    finish(*held[1]);
    BOOST_TEST(last().in_flight == 2);
    client& wide = admit(of(0, 5)); // 6 in flight
    finish(wide, ended::ignored);
    const auto more = some(2); // 3
    finish(*more[0]);
    BOOST_TEST(last().in_flight == 6);
    finish(*more[1]);
    BOOST_TEST(last().in_flight == 2);
    finish(*held[2]);
    BOOST_TEST(last().in_flight == 1);
    client& a = admit();
    after(milliseconds(1));
    finish(a);
    BOOST_TEST(last().in_flight == 1);
    BOOST_TEST(samples.size() == 6u);
}

BOOST_AUTO_TEST_CASE(a_sample_is_bound_if_the_limit_was_reached) {
    lim(3, with_law(options(10, 1000)));
    const auto held = some(2);
    finish(*held[0]);
    BOOST_TEST(!last().bound);
    const auto more = some(2); // 3
    finish(*more[0]);
    BOOST_TEST(last().bound);
    finish(*more[1]);
    BOOST_TEST(!last().bound);
    const auto again = some(2);
    finish(*again[0], ended::ignored);
    finish(*again[1]);
    BOOST_TEST(last().bound);
    finish(*held[1]);
    BOOST_TEST(!last().bound);
}

BOOST_AUTO_TEST_CASE(a_sample_is_bound_if_the_limit_is_below_what_is_in_flight) {
    lim(10, with_law(options(10, 1000)));
    const auto held = some(8);
    law = [](const limit_sample&) {
        return 4.0;
    };
    finish(*held[0]);
    BOOST_TEST(!last().bound);
    finish(*held[1]);
    BOOST_TEST(last().limit == 4);
    BOOST_TEST(last().in_flight == 7);
    BOOST_TEST(last().bound);
}

BOOST_AUTO_TEST_CASE(a_sample_is_bound_if_the_limit_held_a_request_back) {
    using refused = std::function<void()>;
    const std::pair<refused, bool> rows[] = {
        {[] {}, false},
        {[&] { BOOST_TEST(!runs(try_admit(of(0, 8)))); }, true},
        {[&] { BOOST_TEST(waits(admit(of(0, 8)))); }, true},
        {[&] {
             auto r = within(0);
             r.weight = 8;
             BOOST_TEST(ended_as(admit(r), outcome::timed_out));
         },
         true},
        // This priority has reached its share of the limit.
        {[&] { BOOST_TEST(!runs(try_admit(at_priority(3, 2)))); }, true},
        {[&] { BOOST_TEST(runs(try_admit(at_priority(2, 2)))); }, false},
        // The cap of a key does not count.
        {[&] { BOOST_TEST(!runs(try_admit(of(1, 2)))); }, false},
        {[&] { BOOST_TEST(waits(admit(of(1, 2)))); }, false},
        {[&] { BOOST_TEST(!runs(try_admit(of(2, 8)))); }, true},
        {[&] { BOOST_TEST(ended_as(admit(of(0, 0)), outcome::granted)); }, false},
        {[&] {
             auto r = of(0, 8);
             r.priority = 4;
             BOOST_TEST(ended_as(admit(r), outcome::invalid_argument));
         },
         false},
    };
    std::size_t number = 0;
    for (const auto& [refuse, is_bound] : rows) {
        BOOST_TEST_CONTEXT("row " << number++) {
            auto o = with_law(options(10, 1000));
            o.max_per_key = 2;
            o.share = {1, 1, 1, .4};
            lim(10, o);
            client& a = admit(of(1));
            const auto held = some(2);
            refuse();
            finish(*held[0]);
            BOOST_TEST(last().bound == is_bound);
            const bool is_waiting_for_the_limit = number == 3;
            finish(*held[1]);
            BOOST_TEST(last().bound == is_waiting_for_the_limit);
            static_cast<void>(a);
        }
    }
}

BOOST_AUTO_TEST_CASE(samples_are_bound_as_long_as_a_request_waits) {
    lim(4, with_law(options(10, 1000)));
    const auto held = some(3);
    client& wide = admit(of(0, 4));
    for (client* c : held) {
        finish(*c);
        BOOST_TEST(last().bound);
    }
    BOOST_TEST(runs(wide));
    after(milliseconds(1));
    finish(wide);
    BOOST_TEST(last().bound);
    finish(*some(1)[0]);
    BOOST_TEST(!last().bound);
}

// While the algorithm sees a sample, the limit still holds the request of weight 3 back. From the
// grant to another request of its key on, only the key's cap does.
BOOST_AUTO_TEST_CASE(a_sample_is_bound_if_an_arrival_overtook_a_request_that_the_limit_held_back) {
    auto o = with_law(options(10, 1000));
    o.max_per_key = 3;
    lim(10, o);
    client& a = admit();
    client& b = admit(of(0, 7));
    client& heavy = admit(of(1, 3, 1));
    after(milliseconds(1));
    law = [&](const limit_sample& sample) {
        if (samples.size() == 1)
            BOOST_TEST(runs(try_admit(of(1))));
        return sample.limit;
    };
    finish(a);
    BOOST_TEST(waits(heavy));
    finish(b);
    BOOST_TEST(last().in_flight == 9);
    BOOST_TEST(last().bound);
    check_counts();
}

// The same, if a request of a key that has reached its cap joins the queue, or is refused because
// the queue is full, and the one that the limit holds back is cancelled.
BOOST_AUTO_TEST_CASE(a_sample_is_bound_if_a_request_arrived_behind_one_that_the_limit_held_back) {
    for (const std::size_t max_waiting : {10u, 1u}) {
        auto o = with_law(options(max_waiting, 1000));
        o.max_per_key = 3;
        lim(10, o);
        samples.clear();
        client& a = admit();
        client& b = admit(of(0, 7));
        client& c = admit(of(1));
        client& heavy = admit_cancellable(of(2, 3));
        after(milliseconds(1));
        law = [&](const limit_sample& sample) {
            if (samples.size() == 1) {
                BOOST_TEST(waits(admit(of(1, 3))) == (max_waiting > 1));
                heavy.slot->fire();
            }
            return sample.limit;
        };
        finish(a);
        BOOST_TEST(ended_as(heavy, outcome::aborted));
        finish(b);
        BOOST_TEST(last().bound);
        finish(c);
        check_counts();
    }
}

BOOST_AUTO_TEST_CASE(the_algorithm_does_not_see_a_latency_of_zero_or_less) {
    lim(4, with_law(options(10, 1000)));
    client &a = admit(), &b = admit();
    finish(a);
    BOOST_TEST(samples.empty());
    BOOST_TEST(s->statistics().succeeded == 1u);
    after(std::chrono::nanoseconds(1));
    finish(b);
    BOOST_TEST((last().latency == std::chrono::nanoseconds(1)));
    BOOST_TEST(last().in_flight == 2);
    client& c = admit();
    stopped_threads::the_time -= milliseconds(5); // a steady clock never does that
    finish(c, ended::overloaded);
    BOOST_TEST(samples.size() == 1u);
    BOOST_TEST(s->in_flight() == 0);
}

BOOST_AUTO_TEST_CASE(the_algorithm_does_not_see_ignored_outcomes) {
    lim(4, with_law(options(10, 1000)));
    const auto held = some(3);
    finish(*held[0], ended::ignored);
    finish(*held[1], ended::ignored, false);
    BOOST_TEST(samples.empty());
    finish(*held[2]);
    BOOST_TEST(samples.size() == 1u);
    BOOST_TEST(s->statistics().ignored == 2u);
    BOOST_TEST(s->statistics().unreported == 1u);
}

BOOST_AUTO_TEST_CASE(an_algorithm_that_throws_counts_as_a_failure) {
    lim(2, with_law(options(10, 1000)));
    law = [](const limit_sample&) -> double {
        throw std::runtime_error("");
    };
    const auto held = some(2);
    client& w = admit();
    finish(*held[0]);
    BOOST_TEST(s->limit() == 2);
    BOOST_TEST(s->statistics().algorithm_failures == 1u);
    BOOST_TEST(runs(w));
    BOOST_TEST(changes.empty());
    finish(*held[1]);
    BOOST_TEST(s->statistics().algorithm_failures == 2u);
    law = same;
    after(milliseconds(1));
    finish(w);
    BOOST_TEST(s->statistics().algorithm_failures == 2u);
    BOOST_TEST(samples.size() == 3u);
    check_counts();
}

BOOST_AUTO_TEST_CASE(an_on_limit_change_that_throws_counts_as_a_failure) {
    auto o = with_law(options(10, 1000));
    o.on_limit_change = [](double, double) {
        throw 1;
    };
    lim(2, o);
    law = [](const limit_sample&) {
        return 5.0;
    };
    const auto held = some(2);
    finish(*held[0]);
    BOOST_TEST(s->limit() == 5);
    BOOST_TEST(s->statistics().algorithm_failures == 1u);
    s->set_limit(7);
    BOOST_TEST(s->limit() == 7);
    BOOST_TEST(s->statistics().algorithm_failures == 2u);
    law = same;
    finish(*some(1)[0]);
    BOOST_TEST(samples.size() == 2u);
}

BOOST_AUTO_TEST_CASE(on_limit_change_is_called_only_for_changes) {
    lim(2, with_law(options(10, 1000)));
    double next = 2;
    law = [&](const limit_sample&) {
        return next;
    };
    for (const double to : {2.0, 2.5, 2.5, 0.0, 1.0}) {
        next = to;
        finish(*some(1)[0]);
    }
    s->set_limit(1);
    s->set_limit(9);
    s->set_limit(9);
    const std::vector<std::pair<double, double>> expected{{2, 2.5}, {2.5, 1}, {1, 9}};
    BOOST_TEST((changes == expected));
    // Without an algorithm, and then without on_limit_change.
    auto o = options(10, 1000);
    o.on_limit_change = [&](double from, double to) {
        changes.emplace_back(from, to);
    };
    lim(2, o);
    s->set_limit(3);
    BOOST_TEST((changes.back() == std::pair(2.0, 3.0)));
    lim(2, options(10, 1000));
    s->set_limit(3);
    BOOST_TEST(s->limit() == 3);
}

BOOST_AUTO_TEST_CASE(the_algorithm_sees_reports_from_inside_itself_afterwards) {
    lim(10, with_law(options(10, 1000)));
    const auto held = some(3);
    client& w = admit(of(0, 9));
    int inside = 0;
    law = [&](const limit_sample& sample) {
        BOOST_TEST(++inside == 1);
        if (samples.size() == 1) {
            after(milliseconds(1));
            finish(*held[1], ended::overloaded);
            BOOST_TEST(samples.size() == 1u);
            BOOST_TEST(s->in_flight() == 2); // held[1]'s place returned, held[0]'s not yet
            BOOST_TEST(waits(w));
            after(milliseconds(1));
            finish(*held[2]);
            BOOST_TEST(samples.size() == 1u);
        }
        --inside;
        return sample.limit + 1;
    };
    finish(*held[0]);
    BOOST_TEST_REQUIRE(samples.size() == 3u);
    BOOST_TEST((samples[0].latency == milliseconds(1)));
    BOOST_TEST((samples[1].latency == milliseconds(2)));
    BOOST_TEST((samples[2].latency == milliseconds(3)));
    BOOST_TEST(samples[1].result == ended::overloaded);
    // Each sample has the limit that is in force when the algorithm sees it.
    BOOST_TEST(samples[1].limit == 11);
    BOOST_TEST(samples[2].limit == 12);
    BOOST_TEST(s->limit() == 13);
    BOOST_TEST(samples[0].in_flight == 3);
    BOOST_TEST(runs(w));
    law = same;
    after(milliseconds(1));
    finish(w);
    BOOST_TEST(samples.size() == 4u);
    check_counts();
}

BOOST_AUTO_TEST_CASE(none_of_many_samples_left_for_later_is_lost) {
    lim(1000, with_law(options(10, 1000)));
    std::vector<client*> held;
    for (int i = 0; i < 300; ++i) {
        held.push_back(&admit());
        after(milliseconds(1));
    }
    law = [&](const limit_sample& sample) {
        // Reports arrive both when no sample is left and when some are left.
        const std::size_t now = samples.size();
        if (now == 1 || now == 30) {
            for (std::size_t i = now == 1 ? 1 : 150; i < (now == 1 ? 150u : 300u); ++i)
                finish(*held[i]);
        }
        BOOST_TEST(samples.size() == now);
        return sample.limit;
    };
    finish(*held[0]);
    BOOST_TEST_REQUIRE(samples.size() == 300u);
    for (std::size_t i = 0; i < 300; ++i)
        BOOST_TEST_REQUIRE((samples[i].latency == milliseconds(300 - i)));
    BOOST_TEST(s->in_flight() == 0);
    law = same;
    finish(*some(1)[0]);
    BOOST_TEST(samples.size() == 301u);
}

BOOST_AUTO_TEST_CASE(one_report_does_not_pass_on_samples_for_ever) {
    lim(10, with_law(options(10, 1000)));
    // Simulates another thread that reports during each call of the algorithm.
    std::size_t reported = 0;
    const auto report = [&] {
        client& c = admit();
        after(milliseconds(1));
        ++reported;
        finish(c);
        clients.pop_back();
    };
    bool goes_on = true;
    law = [&](const limit_sample& sample) {
        if (goes_on)
            report();
        return sample.limit;
    };
    report();
    const std::size_t at_once = samples.size();
    BOOST_TEST((at_once > 500 && at_once < 2000));
    BOOST_TEST(reported == at_once + 1);
    // The next report first passes on the samples that are left, and then its own.
    report();
    BOOST_TEST(samples.size() == 2 * at_once);
    BOOST_TEST(s->in_flight() == 0);
    // If no other report arrives, one report passes on all samples.
    goes_on = false;
    report();
    BOOST_TEST(samples.size() == reported);
}

BOOST_AUTO_TEST_CASE(a_limit_raised_by_a_sample_left_for_later_grants_at_once) {
    lim(2, with_law(options(10, 1000)));
    const auto held = some(2);
    client &w1 = admit(), &w2 = admit(), &w3 = admit();
    law = [&](const limit_sample& sample) {
        if (samples.size() > 1)
            return 3.0;
        finish(*held[1]);
        BOOST_TEST((runs(w1) && waits(w2)));
        return sample.limit;
    };
    finish(*held[0]);
    BOOST_TEST((runs(w2) && runs(w3)));
}

BOOST_AUTO_TEST_CASE(a_request_granted_by_a_report_may_report_at_once) {
    lim(1, with_law(options(100, 1000)));
    client& first = admit();
    std::vector<client*> w;
    for (int i = 0; i < 20; ++i) {
        client& c = admit();
        w.push_back(&c);
        c.on_end = [&] {
            after(milliseconds(1));
            finish(c);
        };
    }
    after(milliseconds(1));
    finish(first);
    BOOST_TEST(samples.size() == 21u);
    for (const auto& sample : samples)
        BOOST_TEST((sample.latency == milliseconds(1)));
    law = [](const limit_sample& sample) {
        return sample.limit + 1.0 / 1024;
    };
    client& again = admit();
    client& next = admit();
    next.on_end = [&] {
        after(milliseconds(1));
        finish(next);
    };
    after(milliseconds(1));
    finish(again);
    BOOST_TEST(samples.size() == 23u);
    BOOST_TEST(s->in_flight() == 0);
    check_counts();
}

BOOST_AUTO_TEST_CASE(the_algorithm_may_admit_requests) {
    lim(3, with_law(options(10, 1000)));
    const auto held = some(1);
    client* inner = nullptr;
    law = [&](const limit_sample& sample) {
        if (inner == nullptr)
            inner = &try_admit(of(0, 2));
        BOOST_TEST(!runs(try_admit())); // the reported admission still holds its place
        return sample.limit;
    };
    finish(*held[0]);
    BOOST_TEST(runs(*inner));
    BOOST_TEST(s->in_flight() == 2);
    law = same;
    after(milliseconds(1));
    finish(*inner);
    // Counts the requests before the sample and the one inside the algorithm; one was held back.
    BOOST_TEST(last().in_flight == 3);
    BOOST_TEST(last().bound);
}

BOOST_AUTO_TEST_CASE(a_set_limit_inside_the_algorithm_overrides_its_result) {
    lim(10, with_law(options(10, 1000)));
    const auto held = some(2);
    law = [&](const limit_sample&) {
        s->set_limit(7);
        BOOST_TEST(s->limit() == 7);
        return 3.0;
    };
    finish(*held[0]);
    BOOST_TEST(s->limit() == 7);
    BOOST_TEST((changes == std::vector<std::pair<double, double>>{{10, 7}}));
    law = same;
    finish(*held[1]); // admitted before set_limit
    BOOST_TEST(samples.size() == 1u);
    finish(*some(1)[0]);
    BOOST_TEST(samples.size() == 2u);
    BOOST_TEST(last().limit == 7);
    check_counts();
}

BOOST_AUTO_TEST_CASE(set_limit_discards_the_samples_left_for_later) {
    lim(10, with_law(options(10, 1000)));
    const auto held = some(3);
    law = [&](const limit_sample& sample) {
        if (samples.size() == 1) {
            finish(*held[1]);
            s->set_limit(7);
            finish(*held[2]);
        }
        return sample.limit + 1;
    };
    finish(*held[0]);
    BOOST_TEST(samples.size() == 1u);
    BOOST_TEST(s->limit() == 7);
    BOOST_TEST(s->in_flight() == 0);
    finish(*some(1)[0]);
    BOOST_TEST(samples.size() == 2u);
    BOOST_TEST(s->limit() == 8);
}

BOOST_AUTO_TEST_CASE(set_limit_starts_with_a_fresh_copy) {
    auto o = options(10, 1000);
    o.algorithm = [n = 0](const limit_sample& sample) mutable {
        return sample.limit + ++n;
    };
    lim(10, o);
    finish(*some(1)[0]);
    finish(*some(1)[0]);
    BOOST_TEST(s->limit() == 13);
    const auto before = some(1);
    s->set_limit(20);
    finish(*before[0]);
    BOOST_TEST(s->limit() == 20);
    finish(*some(1)[0]);
    BOOST_TEST(s->limit() == 21);
    finish(*some(1)[0]);
    BOOST_TEST(s->limit() == 23);
    s->set_limit(23);
    finish(*some(1)[0]);
    BOOST_TEST(s->limit() == 24);
}

BOOST_AUTO_TEST_CASE(set_limit_changes_nothing_if_copying_the_algorithm_throws) {
    struct law_that_throws {
        explicit law_that_throws(bool& t) : throws(&t) {}
        law_that_throws(const law_that_throws& other) : throws(other.throws) {
            if (*throws)
                throw std::runtime_error("");
        }
        double operator()(const limit_sample& sample) const { return sample.limit + 1; }
        bool* throws;
    };
    bool throws = false;
    auto o = with_law(options(10, 1000));
    o.algorithm = law_that_throws(throws);
    lim(10, o);
    const auto held = some(1);
    throws = true;
    BOOST_CHECK_THROW(s->set_limit(5), std::runtime_error);
    BOOST_TEST(s->limit() == 10);
    BOOST_TEST(changes.empty());
    finish(*held[0]);
    BOOST_TEST(s->limit() == 11);
    throws = false;
    s->set_limit(5);
    BOOST_TEST(s->limit() == 5);
}

BOOST_AUTO_TEST_CASE(a_request_that_waits_while_the_limit_is_set_is_a_sample_of_the_new_algorithm) {
    lim(1, with_law(options(10, 1000)));
    client& a = admit();
    client& b = admit();
    after(milliseconds(1));
    s->set_limit(2);
    BOOST_TEST(runs(b));
    after(milliseconds(1));
    finish(a);
    BOOST_TEST(samples.empty());
    finish(b);
    BOOST_TEST_REQUIRE(samples.size() == 1u);
    BOOST_TEST((last().latency == milliseconds(1)));
    BOOST_TEST(last().in_flight == 2);
    BOOST_TEST(last().bound);
    // Earlier values are forgotten.
    const auto held = some(2);
    finish(*held[0], ended::ignored);
    finish(*held[1], ended::ignored);
    client& c = admit();
    s->set_limit(3);
    client& d = admit();
    after(milliseconds(1));
    finish(d);
    BOOST_TEST(last().in_flight == 2);
    BOOST_TEST(!last().bound);
    static_cast<void>(c);
}

BOOST_AUTO_TEST_CASE(an_algorithm_dies_with_no_lock_held) {
    auto o = options(10, 1000);
    int died = 0;
    struct last_words {
        limiter_fixture* fixture;
        int* died;
        ~last_words() {
            if (fixture->s) {
                fixture->s->in_flight();
                ++*died;
            }
        }
    };
    bool sets = false;
    o.algorithm = [&, words = std::shared_ptr<last_words>()](const limit_sample& sample) mutable {
        words.reset(new last_words{this, &died});
        if (sets)
            s->set_limit(7);
        return sample.limit;
    };
    lim(10, o);
    finish(*some(1)[0]);
    s->set_limit(5);
    BOOST_TEST(died == 1);
    sets = true;
    finish(*some(1)[0]);
    BOOST_TEST(died == 2);
    leave_limiter();
}

BOOST_AUTO_TEST_CASE(a_report_does_not_wait_for_another_thread_inside_the_algorithm) {
    lim(2, with_law(options(10, 1000)));
    const auto held = some(2);
    client &w1 = admit(), &w2 = admit();
    std::atomic<int> inside{0};
    std::atomic<bool> may_go{false};
    law = [&](const limit_sample& sample) {
        ++inside;
        while (!may_go)
            std::this_thread::yield();
        return sample.limit + 1;
    };
    std::thread other([&] { finish(*held[0]); });
    while (inside == 0)
        std::this_thread::yield();
    finish(*held[1], ended::overloaded); // does not wait for the other thread
    BOOST_TEST(inside == 1);
    BOOST_TEST((runs(w1) && waits(w2)));
    BOOST_TEST(s->in_flight() == 2);
    may_go = true;
    other.join();
    BOOST_TEST(inside == 2);
    BOOST_TEST_REQUIRE(samples.size() == 2u);
    BOOST_TEST(samples[1].result == ended::overloaded);
    BOOST_TEST(samples[1].limit == 3);
    BOOST_TEST(s->limit() == 4);
    BOOST_TEST(runs(w2));
}

BOOST_AUTO_TEST_CASE(the_algorithm_sees_no_sample_after_the_end) {
    for (const bool is_shut : {false, true}) {
        lim(2, with_law(options(10, 1000)));
        samples.clear();
        const auto held = some(2);
        if (is_shut)
            states->shutdown();
        else
            s->close();
        finish(*held[0]);
        finish(*held[1], ended::overloaded);
        BOOST_TEST(samples.empty());
        BOOST_TEST(s->statistics().succeeded == 1u);
        BOOST_TEST(s->statistics().overloaded == 1u);
        BOOST_TEST(s->in_flight() == 0);
        check_counts();
    }
}

#if defined(BOOST_ENABLE_ASSERT_HANDLER)

BOOST_AUTO_TEST_CASE(an_assertion_fails_after_a_thousand_unfinished_admissions) {
    const auto forget = [&](int n) {
        for (int i = 0; i < n; ++i) {
            limiter_fixture::forget(admit());
            clients.clear();
        }
    };
    assertions = 0;
    lim(2, with_law(options(10, 1000)));
    forget(999);
    BOOST_TEST(assertions == 0);
    forget(1);
    BOOST_TEST(assertions == 1);
    BOOST_TEST(said.find("finish") != said.npos);
    forget(1000);
    BOOST_TEST(assertions == 1);
    // No assertion after an admission that was finished.
    for (const auto how : {ended::success, ended::overloaded, ended::ignored}) {
        lim(2, with_law(options(10, 1000)));
        forget(1);
        finish(admit(), how);
        forget(1100);
    }
    lim(2, options(10, 1000)); // no algorithm
    forget(1100);
    BOOST_TEST(assertions == 1);
    BOOST_TEST(s->statistics().unreported == 1100u);
}

BOOST_AUTO_TEST_CASE(no_assertion_fails_for_admissions_that_are_not_forgotten_one_by_one) {
    constexpr std::size_t many = 1100;
    assertions = 0;
    // Given back without a report, as what no handler has received is.
    lim(many, with_law(options(10, 1000)));
    for (std::size_t i = 0; i < many; ++i)
        finish(admit(), ended::ignored, false);
    // Destroyed after the end of the limiter or of the context.
    for (const bool is_shut : {false, true}) {
        lim(many, with_law(options(10, 1000)));
        forget(admit());
        const auto held = some(many);
        if (is_shut)
            states->shutdown();
        else
            s->close();
        for (client* c : held)
            forget(*c);
        BOOST_TEST(s->statistics().unreported == many + 1);
    }
    BOOST_TEST(assertions == 0);
}

BOOST_AUTO_TEST_CASE(a_thousand_from_before_the_first_forgotten_one_need_a_later_one) {
    assertions = 0;
    lim(1100, with_law(options(10, 1000)));
    for (client* c : some(1100))
        forget(*c);
    BOOST_TEST(assertions == 0);
    clients.clear();
    for (client* c : some(2))
        forget(*c);
    BOOST_TEST(assertions == 1);
}

#endif

BOOST_AUTO_TEST_SUITE_END()
