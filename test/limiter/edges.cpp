// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// The edge cases in section 4 of the limiter's contract, as far as they concern the state layer.

#include "limiter_fixture.hpp"

#include <limits>
#include <stdexcept>

namespace {

using namespace test;

std::array<double, 4> shares(double a, double b, double c, double d) {
    return {a, b, c, d};
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(limiter_edges, limiter_fixture)

BOOST_AUTO_TEST_CASE(invalid_options_are_refused) {
    using change = void (*)(limiter_options&);
    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    static_cast<void>(nan);
    const change invalid[] = {
        [](auto& o) { o.share = shares(0, 0, 0, 0); },
        [](auto& o) { o.share = shares(1, 1, 1, 0); },
        [](auto& o) { o.share = shares(1, 1, 1, -.5); },
        [](auto& o) { o.share = shares(1.01, 1, 1, 1); },
        [](auto& o) { o.share = shares(1, 1, 1, 1.01); },
        [](auto& o) { o.share = shares(.8, .9, .5, .5); },
        [](auto& o) { o.share = shares(1, .5, .5, .6); },
        [](auto& o) { o.share[2] = std::numeric_limits<double>::quiet_NaN(); },
        [](auto& o) { o.max_per_key = -1; },
        [](auto& o) { o.max_wait = milliseconds(-1); },
        [](auto& o) { o.busy_wait = milliseconds(-1); },
        [](auto& o) { o.busy_wait = o.max_wait + std::chrono::nanoseconds(1); },
        [](auto& o) { o.classify = nullptr; },
    };
    std::size_t number = 0;
    for (const change& c : invalid) {
        BOOST_TEST_CONTEXT("invalid " << number++) {
            limiter_options o;
            c(o);
            BOOST_CHECK_THROW(lim(1, o), std::invalid_argument);
        }
    }
    for (const std::ptrdiff_t limit :
         {std::ptrdiff_t(0), std::ptrdiff_t(-1), std::numeric_limits<std::ptrdiff_t>::min()})
        BOOST_CHECK_THROW(lim(limit), std::invalid_argument);
    const change valid[] = {
        [](auto&) {},
        [](auto& o) { o.share = shares(.5, .5, .5, 1e-9); },
        [](auto& o) { o.max_per_key = std::numeric_limits<std::ptrdiff_t>::max(); },
        [](auto& o) { o.max_wait = milliseconds(0); },
        [](auto& o) { o.max_wait = o.busy_wait = milliseconds(7); },
        [](auto& o) { o.max_waiting = std::numeric_limits<std::size_t>::max(); },
    };
    for (const change& c : valid) {
        limiter_options o;
        c(o);
        lim(1, o);
        BOOST_TEST(runs(admit()));
    }
}

BOOST_AUTO_TEST_CASE(errors_of_the_request_take_precedence) {
    for (const bool is_closed : {false, true}) {
        lim(3, options(0, 0));
        admit();
        if (is_closed)
            s->close();
        BOOST_TEST(ended_as(admit(of(0, 9, 4)), outcome::invalid_argument));
        BOOST_TEST(ended_as(admit(of(0, -1)), outcome::invalid_argument));
        BOOST_TEST(ended_as(admit(of(0, 4)), outcome::exceeds_max));
        BOOST_TEST(ended_as(admit(of(0, 3)), is_closed ? outcome::closed : outcome::timed_out));
        BOOST_TEST(ended_as(admit(of(0, 0)), is_closed ? outcome::closed : outcome::granted));
        BOOST_TEST(ended_as(try_admit(of(0, 4)), outcome::exceeds_max));
        BOOST_TEST(ended_as(try_admit(of(0, 3)), is_closed ? outcome::closed : outcome::queued));
        check_counts();
    }
}

BOOST_AUTO_TEST_CASE(invalid_requests_are_refused) {
    lim(3, options(10, 1000));
    constexpr auto least = std::numeric_limits<std::ptrdiff_t>::min();
    for (const auto& r :
         {of(0, -1), of(0, least), of(0, 1, -1), of(0, 1, 4), of(0, 0, 4),
          of(0, 1, std::numeric_limits<int>::min()), of(5, -1, 9)}) {
        BOOST_TEST(ended_as(admit(r), outcome::invalid_argument));
        BOOST_TEST(ended_as(try_admit(r), outcome::invalid_argument));
    }
    for (int p = 0; p < 4; ++p)
        BOOST_TEST(runs(admit(at_priority(p, p == 0 ? 1 : 0))) == (p == 0));
    BOOST_TEST(counts().admitted == 1u);
    check_counts();
}

BOOST_AUTO_TEST_CASE(a_request_that_can_never_be_admitted_does_not_join_those_that_wait) {
    lim(3, options(10, 1000));
    admit(of(0, 3));
    client& waiting = admit();
    for (const auto& r : {of(0, 1, 4), of(0, 1, -1), of(0, -1)})
        BOOST_TEST(ended_as(admit(r), outcome::invalid_argument));
    BOOST_TEST(ended_as(admit(of(0, 4)), outcome::exceeds_max));
    BOOST_TEST(ended_as(admit(of(0, 0)), outcome::granted));
    admission_request r = of(0);
    r.max_wait = milliseconds(0);
    BOOST_TEST(ended_as(admit(r), outcome::timed_out));
    BOOST_TEST(waits(waiting));
    BOOST_TEST(s->waiting() == 1u);
    check_counts();
}

BOOST_AUTO_TEST_CASE(a_weight_above_a_fixed_limit_exceeds_max) {
    lim(3, options(10, 1000));
    BOOST_TEST(ended_as(admit(of(0, 4)), outcome::exceeds_max));
    client& a = admit(of(0, 3));
    client& b = admit(of(0, 3));
    BOOST_TEST((runs(a) && waits(b)));
    s->set_limit(2);
    BOOST_TEST(waits(b));
    BOOST_TEST(ended_as(admit(of(0, 3)), outcome::exceeds_max));
    client& c = admit(of(0, 2));
    finish(a);
    BOOST_TEST((runs(b) && waits(c))); // b runs alone
    BOOST_TEST(s->in_flight() == 3);
    finish(b);
    BOOST_TEST(runs(c));
    s->set_limit(4);
    client& d = admit(of(0, 4));
    BOOST_TEST(waits(d));
    check_counts();
}

BOOST_AUTO_TEST_CASE(the_largest_limit_and_weight_do_not_overflow) {
    constexpr auto most = limiter_under_test::max();
    lim(most, options(10, 1000));
    client& a = admit(of(1, most));
    BOOST_TEST(runs(a));
    client& b = admit(of(1, most));
    BOOST_TEST(waits(b));
    BOOST_TEST(!runs(try_admit(of(2))));
    finish(a);
    BOOST_TEST(runs(b));
    BOOST_TEST(s->in_flight() == most);
}

BOOST_AUTO_TEST_CASE(the_limit_may_shrink_below_the_weight_of_a_waiting_request) {
    lim(10, options(10, 1000));
    client& a = admit(of(0, 6));
    client& b = admit(of(0, 4));
    client& wide = admit(of(0, 8));
    client& narrow = admit();
    s->set_limit(5);
    finish(b);
    BOOST_TEST((waits(wide) && waits(narrow)));
    finish(a);
    BOOST_TEST((runs(wide) && waits(narrow)));
    s->set_limit(8);
    BOOST_TEST(waits(narrow));
    s->set_limit(9);
    BOOST_TEST(runs(narrow));
}

BOOST_AUTO_TEST_CASE(an_admission_may_be_finished_after_the_end) {
    for (const int end : {0, 1, 2}) {
        lim(2, options(10, 1000));
        client &a = admit(of(1)), &b = admit();
        client& w = admit(of(2));
        idler i;
        BOOST_TEST(s->enqueue_idle(i) == outcome::queued);
        if (end == 0)
            s->close();
        else if (end == 1)
            s->abort();
        else
            states->shutdown();
        const outcome expected[] = {outcome::closed, outcome::aborted, outcome::abandoned};
        BOOST_TEST(ended_as(w, expected[end]));
        BOOST_TEST((i.end.has_value() == (end > 0)));
        finish(a), finish(b, ended::ignored, false);
        BOOST_TEST((i.end == (end == 0 ? outcome::granted : expected[end])));
        BOOST_TEST(s->in_flight() == 0);
        BOOST_TEST(s->statistics().succeeded == 1u);
        BOOST_TEST(s->statistics().unreported == 1u);
        BOOST_TEST(s->statistics().keys == 0u);
        BOOST_TEST(counts().cancelled == (end == 0 ? 0u : 1u));
        check_counts();
        client& late = admit(of(3));
        BOOST_TEST(ended_as(late, expected[end]));
        check_counts();
        states = new state_registry<stopped_threads>;
    }
}

// As with a semaphore, the handler is destroyed, whatever the request was.
BOOST_AUTO_TEST_CASE(after_the_shutdown_all_requests_are_abandoned) {
    lim(2, options(10, 1000));
    states->shutdown();
    for (const auto& r :
         {of(0, 1), of(0, 0), of(0, -1), of(0, 9), of(0, 1, -1), of(0, 1, 4000),
          of(0, 1, std::numeric_limits<int>::max())}) {
        BOOST_TEST(ended_as(admit(r), outcome::abandoned));
        BOOST_TEST(ended_as(try_admit(r), outcome::abandoned));
    }
    BOOST_TEST(s->statistics().priorities[0].admitted == 0u);
    BOOST_TEST(counts().cancelled == 2u); // the requests with the weights 1 and 9
    idler i;
    BOOST_TEST(s->enqueue_idle(i) == outcome::abandoned);
    s->set_limit(7);
    BOOST_TEST(s->limit() == 7);
    BOOST_TEST(s->cancel() == 0u);
}

BOOST_AUTO_TEST_CASE(a_limiter_made_after_the_shutdown_abandons_requests) {
    states->shutdown();
    lim(2, options(10, 1000));
    BOOST_TEST(ended_as(admit(), outcome::abandoned));
}

BOOST_AUTO_TEST_CASE(a_cancelled_request_leaves_the_queue_and_lets_others_in) {
    lim(2, with_law(options(10, 1000)));
    client& a = admit();
    client& wide = admit_cancellable(of(1, 2));
    client& narrow = admit();
    BOOST_TEST((waits(wide) && waits(narrow)));
    after(milliseconds(1));
    wide.slot->fire();
    BOOST_TEST(ended_as(wide, outcome::aborted));
    BOOST_TEST(runs(narrow));
    wide.slot->fire();
    BOOST_TEST(counts().cancelled == 1u);
    BOOST_TEST(samples.empty());
    BOOST_TEST(s->statistics().keys == 0u);
    static_cast<void>(a);
    check_counts();
}

BOOST_AUTO_TEST_CASE(a_granted_request_can_neither_time_out_nor_be_cancelled) {
    lim(1, options(10, 100));
    client& a = admit();
    client& b = admit_cancellable();
    at(99);
    finish(a);
    BOOST_TEST(runs(b));
    at(100);
    b.slot->fire();
    BOOST_TEST(ended_as(b, outcome::granted));
    BOOST_TEST(s->in_flight() == 1);
    finish(b);
    BOOST_TEST(runs(admit()));
    check_counts();
}

BOOST_AUTO_TEST_CASE(an_expiry_grants_the_requests_behind) {
    lim(3, options(10, 1000));
    admit();
    client& wide = admit([] {
        auto r = within(50);
        r.weight = 3;
        return r;
    }());
    client &n1 = admit(), &n2 = admit(), &n3 = admit();
    at(50);
    BOOST_TEST(ended_as(wide, outcome::timed_out));
    BOOST_TEST((runs(n1) && runs(n2) && waits(n3)));
}

BOOST_AUTO_TEST_CASE(cancel_ends_all_waiting_requests) {
    lim(2, options(10, 1000));
    client& a = admit(of(0, 2));
    client &b = admit(of(1)), &c = admit(at_priority(3)), &d = admit(of(0, 2));
    idler i, j;
    BOOST_TEST(s->enqueue_idle(i) == outcome::queued);
    BOOST_TEST(s->enqueue_idle(j) == outcome::queued);
    BOOST_TEST(s->cancel() == 3u);
    for (client* w : {&b, &c, &d})
        BOOST_TEST(ended_as(*w, outcome::aborted));
    BOOST_TEST((!i.end && !j.end));
    BOOST_TEST(s->waiting() == 0u);
    BOOST_TEST(s->statistics().keys == 0u);
    BOOST_TEST(s->cancel() == 0u);
    BOOST_TEST(counts(0).cancelled == 2u);
    BOOST_TEST(counts(3).cancelled == 1u);
    client& e = admit();
    BOOST_TEST(waits(e));
    finish(a);
    BOOST_TEST(runs(e));
    BOOST_TEST((!i.end && !j.end));
    finish(e);
    BOOST_TEST((i.end == outcome::granted && j.end == outcome::granted));
    check_counts();
}

// No request is granted between two steps of the end. A request that arrives then is granted after
// it.
BOOST_AUTO_TEST_CASE(no_request_is_granted_between_the_steps_of_a_cancel) {
    constexpr int many = 2500;
    lim(1, options(10000, 1000));
    client& a = admit();
    for (int i = 0; i < many; ++i)
        admit();
    idler i;
    BOOST_TEST(s->enqueue_idle(i) == outcome::queued);
    client& first = clients[1];
    client* newcomer = nullptr;
    first.on_end = [&] {
        newcomer = &admit();
    };
    BOOST_TEST(s->cancel() == std::size_t(many));
    BOOST_TEST(waits(*newcomer));
    BOOST_TEST(counts().cancelled == std::uint64_t(many));
    finish(a);
    BOOST_TEST(runs(*newcomer));
    BOOST_TEST(!i.end);
    finish(*newcomer);
    BOOST_TEST((i.end == outcome::granted));
    check_counts();
}

BOOST_AUTO_TEST_CASE(an_idle_limiter_completes_a_wait_for_idle_at_once) {
    lim(1, options(10, 1000));
    idler i;
    BOOST_TEST(s->enqueue_idle(i) == outcome::granted);
    s->close();
    BOOST_TEST(s->enqueue_idle(i) == outcome::granted);
    BOOST_TEST(s->statistics().priorities[0].admitted == 0u);
    s->abort();
    BOOST_TEST(s->enqueue_idle(i) == outcome::aborted);
    BOOST_TEST(!i.end);
    check_counts();
}

BOOST_AUTO_TEST_CASE(a_wait_for_idle_ends_after_close) {
    lim(1, options(10, 1000));
    client &a = admit(), &b = admit();
    idler i, j;
    BOOST_TEST(s->enqueue_idle(i) == outcome::queued);
    BOOST_TEST(s->waiting() == 1u);
    s->close();
    BOOST_TEST(ended_as(b, outcome::closed));
    BOOST_TEST(!i.end);
    BOOST_TEST(s->enqueue_idle(j) == outcome::queued);
    finish(a);
    BOOST_TEST((i.end == outcome::granted && j.end == outcome::granted));
}

BOOST_AUTO_TEST_CASE(a_wait_for_idle_takes_no_place_in_the_queue) {
    lim(1, options(1, 1000));
    client& a = admit();
    idler i;
    BOOST_TEST(s->enqueue_idle(i) == outcome::queued);
    client& b = admit();
    BOOST_TEST(waits(b));
    finish(a);
    BOOST_TEST((runs(b) && !i.end));
    finish(b);
    BOOST_TEST((i.end == outcome::granted));
}

BOOST_AUTO_TEST_CASE(a_wait_for_idle_is_cancelled_by_its_slot) {
    lim(1, options(10, 1000));
    client& a = admit();
    idler i, j;
    limiter_link slot(s);
    slot.attach(i);
    BOOST_TEST(s->enqueue_idle(i) == outcome::queued);
    slot.fire();
    BOOST_TEST((i.end == outcome::aborted));
    BOOST_TEST(counts().cancelled == 0u);
    limiter_link early(s);
    early.attach(j);
    early.fire();
    BOOST_TEST(s->enqueue_idle(j) == outcome::aborted);
    finish(a);
    BOOST_TEST(s->enqueue_idle(j) == outcome::aborted);
    check_counts();
}

BOOST_AUTO_TEST_CASE(a_wait_for_idle_ends_with_the_limiter) {
    for (const bool is_shut : {false, true}) {
        lim(1, options(10, 1000));
        admit(), admit();
        idler i;
        BOOST_TEST(s->enqueue_idle(i) == outcome::queued);
        if (is_shut)
            states->shutdown();
        else
            s->abort();
        BOOST_TEST((i.end == (is_shut ? outcome::abandoned : outcome::aborted)));
    }
}

// Waiting for idle ends when nothing runs, even if the last waiting request could not be granted.
BOOST_AUTO_TEST_CASE(a_wait_for_idle_ends_if_the_last_request_ends_unserved) {
    lim(1, options(10, 100));
    is_timer_late = true;
    client& a = admit();
    client& w = admit();
    idler i;
    BOOST_TEST(s->enqueue_idle(i) == outcome::queued);
    at(100);
    finish(a);
    BOOST_TEST(ended_as(w, outcome::timed_out));
    BOOST_TEST((i.end == outcome::granted));
}

// In a full queue, the arrival replaces a request whose deadline has passed. That was the last one
// of the arrival's key, so the key's record leaves and enters again. Then the arrival is next.
BOOST_AUTO_TEST_CASE(an_arrival_that_is_next_once_an_overdue_request_has_left_is_granted_at_once) {
    auto o = options(2, 100);
    o.order = queue_order::lifo;
    lim(4, o);
    is_timer_late = true;
    client& other = admit(of(1, 3));
    client& own = admit();
    client& overdue = admit(within(10));
    client& heavy = admit(of(2, 4));
    at(5);
    finish(own); // key 0 was served more than key 2, whose request does not fit
    BOOST_TEST(waits(overdue));
    at(10);
    // As if the queue had become full between try_admit and enqueue.
    client& arriving = clients.emplace_back(admission_request{});
    arriving.is_in_queue = true;
    BOOST_TEST(s->enqueue(arriving, true) == outcome::granted);
    arriving.ends(outcome::granted, arriving.granted());
    ++arrivals;
    BOOST_TEST(ended_as(overdue, outcome::timed_out));
    BOOST_TEST(waits(heavy));
    check_counts();
    finish(arriving);
    finish(other);
    BOOST_TEST(runs(heavy));
}

// The key of the arrival has no record, so the arrival tries twice to enter the queue. The first
// attempt submits an overdue request, and what happens then concerns the arrival's link.
BOOST_AUTO_TEST_CASE(a_link_may_fire_or_die_between_two_attempts_to_enter_the_queue) {
    for (const bool fires : {false, true}) {
        for (const bool dies : {false, true}) {
            lim(2, options(10, 1000));
            is_timer_late = true;
            client& a = admit();
            client& overdue = admit([] {
                auto r = of(0, 2);
                r.max_wait = milliseconds(1);
                return r;
            }());
            after(milliseconds(1));
            client& arriving = clients.emplace_back(of(7, 2));
            auto link = std::make_unique<limiter_link>(s);
            link->attach(arriving);
            overdue.on_end = [&] {
                if (fires)
                    link->fire();
                if (dies)
                    link.reset();
            };
            start(arriving);
            BOOST_TEST(ended_as(overdue, outcome::timed_out));
            BOOST_TEST((arriving.link == nullptr) == (dies || fires)); // detached at its end
            if (fires) {
                BOOST_TEST(ended_as(arriving, outcome::aborted));
            } else {
                BOOST_TEST(waits(arriving));
                finish(a);
                BOOST_TEST(runs(arriving));
            }
            check_counts();
            is_timer_late = false;
            leave_limiter();
        }
    }
}

// As if, in each row, something had happened between the look without the lock and try_enqueue.
BOOST_AUTO_TEST_CASE(a_request_joins_the_queue_at_once_only_if_it_has_to_wait_there) {
    const auto joins = [&](bool is_cancelled = false) {
        client c(admission_request{});
        if (is_cancelled) {
            c.slot.emplace(s);
            c.slot->attach(c);
            c.slot->fire();
        }
        const std::size_t others = s->waiting();
        const bool has_joined = s->try_enqueue(c);
        BOOST_TEST(s->waiting() == others + (has_joined ? 1 : 0));
        if (has_joined)
            s->cancel();
        return has_joined;
    };
    for (const int waiting : {0, 1, 2}) {
        auto o = options(2, 100);
        o.max_wait = limiter_options::duration::max(); // needs no timer
        lim(1, o);
        client& a = admit();
        for (int i = 0; i < waiting; ++i)
            admit();
        // Nobody else waits; there is room; the queue is full.
        BOOST_TEST(!joins(true));
        BOOST_TEST(joins() == (waiting == 1));
        finish(a);
    }
}

// The queue is full. Otherwise the request waits, is granted, or ends in another way.
BOOST_AUTO_TEST_CASE(a_request_is_refused_at_once_only_if_nobody_leaves_the_full_queue_for_it) {
    auto never_waits = of(6, 2);
    never_waits.max_wait = milliseconds(0);
    struct row {
        admission_request request;
        int others; // the priority of those who wait
        bool is_refused;
    };
    const row rows[] = {
        {of(5), 0, true},        // those who wait come first
        {of(6, 2), 0, true},     // next, but does not fit
        {of(6), 0, false},       // next, and fits
        {of(6, 2), 1, false},    // one of a lower priority leaves for it
        {of(6, 2, 2), 1, true},  // a lower priority than the others
        {of(6, 4), 0, false},    // never fits
        {of(6, 0), 0, false},    // needs no place
        {of(6, 1, 4), 0, false}, // invalid
        {never_waits, 0, false}, // ends as timed_out
    };
    for (const row& r : rows) {
        BOOST_TEST_CONTEXT("row " << &r - rows) {
            lim(3, options(2, 100));
            admit(of(5));
            admit(of(7));
            for (const std::uint64_t key : {5u, 7u})
                BOOST_TEST(waits(admit(of(key, 2, r.others))));
            const auto p = static_cast<std::size_t>(r.request.priority);
            BOOST_TEST(s->try_refuse(r.request) == r.is_refused);
            if (p < 4)
                BOOST_TEST(counts(r.request.priority).queue_full == (r.is_refused ? 1u : 0u));
            BOOST_TEST(s->waiting() == 2u);
            BOOST_TEST(s->in_flight() == 2);
            arrivals += r.is_refused ? 1 : 0;
            check_counts();
        }
    }
}

BOOST_AUTO_TEST_CASE(L95_a_handler_that_admits_again_keeps_the_stack_flat) {
    for (const bool has_law : {false, true}) {
        const int many = has_law ? 100'000 : 1'000'000;
        lim(1, has_law ? with_law(options(10, 1000)) : options(10, 1000));
        law = [&](const limit_sample& sample) {
            samples.clear();
            return sample.limit < 1.5 ? sample.limit + 0.25 : 1.0;
        };
        client& first = admit();
        int n = 0;
        const char* top = nullptr;
        std::ptrdiff_t deepest = 0;
        std::function<void()> go_on;
        go_on = [&] {
            const char here = 0;
            if (top == nullptr)
                top = &here;
            deepest = std::max(deepest, std::abs(top - &here));
            client& own = clients.back();
            after(std::chrono::nanoseconds(1));
            if (++n < many) {
                client& next = clients.emplace_back(admission_request{});
                next.on_end = go_on;
                start(next);
            }
            finish(own);
            if (clients.size() > 10)
                clients.pop_front();
        };
        client& second = clients.emplace_back(admission_request{});
        second.on_end = go_on;
        start(second);
        finish(first);
        BOOST_TEST(n == many);
        BOOST_TEST(deepest < 10000);
        BOOST_TEST(s->in_flight() == 0);
        changes.clear();
    }
}

BOOST_AUTO_TEST_SUITE_END()
