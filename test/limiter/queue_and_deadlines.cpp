// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// Which requests wait in the limiter's queue, for how long, and which ones leave it unserved:
// scenarios L1 to L23 and rows T124 to T139 of the limiter's contract.

#include "limiter_fixture.hpp"

namespace {

using namespace test;

limiter_options ordered(queue_order order, std::size_t max_waiting, int max_wait) {
    auto o = limiter_fixture::options(max_waiting, max_wait);
    o.order = order;
    return o;
}

/// Sets a shorter wait for a standing queue.
limiter_options busy(int busy_wait, limiter_options o) {
    o.busy_wait = milliseconds(busy_wait);
    return o;
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(limiter_queue_and_deadlines, limiter_fixture)

BOOST_AUTO_TEST_CASE(L1_without_a_queue_a_request_is_refused_at_once) {
    lim(1, options(0, 1000));
    client& a = admit();
    BOOST_TEST(runs(a));
    client& b = admit();
    BOOST_TEST(ended_as(b, outcome::queue_full));
    finish(a);
    BOOST_TEST(runs(admit()));
    check_counts();
}

BOOST_AUTO_TEST_CASE(L2_a_deadline_ends_a_wait_without_traffic) {
    lim(1, options(10, 100));
    admit();
    client& b = admit();
    at(99);
    BOOST_TEST(waits(b));
    at(100);
    BOOST_TEST(ended_as(b, outcome::timed_out));
    check_counts();
}

BOOST_AUTO_TEST_CASE(L3_a_request_may_have_its_own_deadline) {
    lim(1, options(10, 100));
    client& a = admit();
    client& soon = admit(within(50));
    client& late = admit(within(500));
    client& now = admit(within(0));
    client& before = admit(within(-5));
    BOOST_TEST(ended_as(now, outcome::timed_out));
    BOOST_TEST(ended_as(before, outcome::timed_out));
    at(49);
    BOOST_TEST(waits(soon));
    at(50);
    BOOST_TEST(ended_as(soon, outcome::timed_out));
    at(499);
    BOOST_TEST(waits(late));
    at(500);
    BOOST_TEST(ended_as(late, outcome::timed_out));
    finish(a);
    BOOST_TEST(runs(admit(within(0))));
    check_counts();
}

BOOST_AUTO_TEST_CASE(a_request_may_have_no_deadline) {
    auto o = options(10, 100);
    o.max_wait = limiter_options::duration::max();
    lim(1, o);
    client& a = admit();
    client& b = admit();
    client& c = admit(within(100));
    auto r = within(0);
    r.max_wait = limiter_options::duration::max() - milliseconds(1);
    client& d = admit(r);
    after(std::chrono::hours(24 * 365 * 100));
    BOOST_TEST((waits(b) && waits(d)));
    BOOST_TEST(ended_as(c, outcome::timed_out));
    finish(a);
    BOOST_TEST(runs(b));
    finish(b);
    BOOST_TEST(runs(d));
}

BOOST_AUTO_TEST_CASE(L4_the_deadline_covers_the_queue_only) {
    lim(1, options(1, 50));
    client& a = admit();
    client& b = admit();
    at(40);
    finish(a);
    BOOST_TEST(runs(b));
    at(300);
    finish(b);
    BOOST_TEST(ended_as(b, outcome::granted));
    BOOST_TEST(counts().timed_out == 0u);
    BOOST_TEST(s->statistics().succeeded == 2u);
    check_counts();
}

BOOST_AUTO_TEST_CASE(L5_L6_waits_are_shorter_while_there_is_a_standing_queue) {
    lim(1, busy(5, options(10, 100)));
    admit();
    at(10);
    client& b = admit();
    at(60);
    client& c = admit();
    at(109);
    BOOST_TEST(waits(b));
    at(110);
    BOOST_TEST(ended_as(b, outcome::timed_out));
    at(115);
    client& d = admit();
    at(119);
    BOOST_TEST(waits(d));
    at(120);
    BOOST_TEST(ended_as(d, outcome::shed));
    at(159);
    BOOST_TEST(waits(c));
    at(160);
    BOOST_TEST(ended_as(c, outcome::timed_out));
    BOOST_TEST(counts().shed == 1u);
    BOOST_TEST(counts().timed_out == 2u);
    check_counts();
}

BOOST_AUTO_TEST_CASE(busy_wait_shortens_only_longer_waits) {
    lim(1, busy(20, options(10, 100)));
    admit();
    admit(within(200));
    at(100);
    client& own = admit(within(10));
    client& longer = admit(within(90));
    at(110);
    // While there is a standing queue, all newcomers are shed.
    BOOST_TEST(ended_as(own, outcome::shed));
    at(119);
    BOOST_TEST(waits(longer));
    at(120);
    BOOST_TEST(ended_as(longer, outcome::shed));
}

BOOST_AUTO_TEST_CASE(a_queue_that_has_been_empty_is_patient_again) {
    lim(1, busy(5, options(10, 100)));
    admit();
    client& a = admit();
    at(100);
    BOOST_TEST(ended_as(a, outcome::timed_out));
    client& b = admit();
    at(199);
    BOOST_TEST(waits(b));
    client& c = admit();
    at(200);
    BOOST_TEST(ended_as(b, outcome::timed_out));
    at(298);
    BOOST_TEST(waits(c));
    at(299);
    BOOST_TEST(ended_as(c, outcome::timed_out));
}

// A request is evicted for an arrival. The queue does not count as empty in between.
BOOST_AUTO_TEST_CASE(a_standing_queue_of_one_request_stays_standing_when_that_is_replaced) {
    lim(1, busy(5, ordered(queue_order::adaptive, 1, 100)));
    admit();
    auto r = at_priority(1);
    r.max_wait = milliseconds(500);
    client& low = admit(r);
    at(100);
    client& b = admit(within(100));
    BOOST_TEST(ended_as(low, outcome::shed));
    at(101);
    client& c = admit(within(100));
    BOOST_TEST(ended_as(b, outcome::shed));
    at(105);
    BOOST_TEST(waits(c));
    at(106);
    BOOST_TEST(ended_as(c, outcome::shed));
    check_counts();
}

BOOST_AUTO_TEST_CASE(L7_adaptive_grants_the_newest_first_in_a_standing_queue) {
    lim(1, busy(5, ordered(queue_order::adaptive, 10, 100)));
    client& a = admit();
    at(10);
    client& b = admit();
    at(60);
    client& c = admit();
    at(110);
    BOOST_TEST(ended_as(b, outcome::timed_out));
    at(115);
    client& d = admit();
    at(118);
    finish(a);
    BOOST_TEST(runs(d));
    BOOST_TEST(waits(c));
    client& e = admit();
    at(122);
    BOOST_TEST(waits(e));
    at(123);
    BOOST_TEST(ended_as(e, outcome::shed));
    at(160);
    BOOST_TEST(ended_as(c, outcome::timed_out));
    check_counts();
}

BOOST_AUTO_TEST_CASE(L8_adaptive_grants_the_oldest_first_if_the_queue_empties) {
    lim(1, busy(5, ordered(queue_order::adaptive, 10, 100)));
    for (int round = 0; round < 4; ++round) {
        at(90 * round);
        client &a = admit(), &b = admit(), &c = admit();
        at(90 * round + 80);
        finish(a);
        BOOST_TEST((runs(b) && waits(c)));
        at(90 * round + 85);
        finish(b);
        BOOST_TEST(runs(c));
        finish(c);
    }
    BOOST_TEST(counts().admitted == 12u);
}

BOOST_AUTO_TEST_CASE(L9_adaptive_turns_back_to_the_oldest_first) {
    lim(1, ordered(queue_order::adaptive, 10, 100));
    client& a = admit();
    client& b = admit(within(500));
    at(100);
    client &c = admit(), &d = admit();
    finish(a);
    BOOST_TEST((waits(b) && waits(c) && runs(d)));
    finish(d);
    finish(c);
    BOOST_TEST(runs(b));
    client &e = admit(), &f = admit();
    finish(b);
    BOOST_TEST((runs(e) && waits(f)));
}

BOOST_AUTO_TEST_CASE(L10_the_threshold_can_be_reached) {
    lim(1, ordered(queue_order::adaptive, 5000, 100));
    client& a = admit();
    admit();
    at(50);
    client& b = admit();
    at(99);
    client& c = admit();
    at(100);
    client& d = admit();
    BOOST_TEST(s->waiting() == 3u);
    finish(a);
    BOOST_TEST((runs(d) && waits(b) && waits(c)));
}

BOOST_AUTO_TEST_CASE(adaptive_turns_no_earlier_than_max_wait) {
    lim(1, ordered(queue_order::adaptive, 10, 100));
    client& a = admit();
    client& b = admit();
    at(99);
    client& c = admit();
    finish(a);
    BOOST_TEST((runs(b) && waits(c)));
}

// The arrival evicts the oldest request only because the newest come first by then.
BOOST_AUTO_TEST_CASE(adaptive_turns_when_a_request_arrives_in_a_standing_queue) {
    admission_request endless;
    endless.max_wait = limiter_options::duration::max();
    for (const admission_request& waiting : {within(500), endless}) {
        lim(1, ordered(queue_order::adaptive, 1, 100));
        admit();
        client& b = admit(waiting);
        after(milliseconds(99));
        BOOST_TEST(ended_as(admit(), outcome::queue_full));
        after(milliseconds(1));
        client& c = admit();
        BOOST_TEST((ended_as(b, outcome::shed) && waits(c)));
        check_counts();
    }
}

BOOST_AUTO_TEST_CASE(L11_under_lifo_the_oldest_request_times_out) {
    lim(2, ordered(queue_order::lifo, 25, 1000));
    std::vector<client*> running;
    for (int i = 0; i < 10; ++i)
        admit();
    client& first = clients[2];
    for (int ms = 10; ms < 1000; ms += 10) {
        at(ms);
        for (client& c : clients) {
            if (runs(c)) {
                finish(c);
                break;
            }
        }
        admit();
    }
    at(999);
    BOOST_TEST(waits(first));
    at(1000);
    BOOST_TEST(ended_as(first, outcome::timed_out));
    check_counts();
}

BOOST_AUTO_TEST_CASE(L12_an_urgent_arrival_evicts_one_request) {
    lim(1, options(3, 1000));
    admit();
    client &a = admit(at_priority(2)), &b = admit(at_priority(2)), &c = admit(at_priority(2));
    client& high = admit(at_priority(0));
    BOOST_TEST((waits(a) && waits(b) && waits(high)));
    BOOST_TEST(ended_as(c, outcome::shed));
    client& d = admit(at_priority(2));
    BOOST_TEST(ended_as(d, outcome::queue_full));
    BOOST_TEST(counts(2).shed == 1u);
    BOOST_TEST(counts(2).queue_full == 1u);
    BOOST_TEST(counts(0).shed == 0u);
    check_counts();
}

BOOST_AUTO_TEST_CASE(L13_a_request_out_of_time_frees_its_place) {
    lim(1, options(1, 10));
    admit();
    client& b = admit();
    at(10);
    BOOST_TEST(ended_as(b, outcome::timed_out));
    at(11);
    client& c = admit();
    BOOST_TEST(waits(c));
}

BOOST_AUTO_TEST_CASE(L13_a_request_out_of_time_frees_its_place_even_if_the_timer_is_late) {
    lim(1, options(1, 10));
    admit();
    client& b = admit();
    is_timer_late = true;
    at(11);
    BOOST_TEST(waits(b));
    client& c = admit();
    BOOST_TEST(ended_as(b, outcome::timed_out));
    BOOST_TEST(waits(c));
    BOOST_TEST(counts().queue_full == 0u);
    BOOST_TEST(counts().shed == 0u);
}

// Requests whose deadlines have passed are behind one with a later deadline.
BOOST_AUTO_TEST_CASE(a_late_timer_keeps_no_place_for_those_behind_the_candidate) {
    lim(1, options(2, 100));
    admit();
    client& first = admit();
    client& second = admit(within(10));
    is_timer_late = true;
    at(9);
    BOOST_TEST(ended_as(admit(), outcome::queue_full));
    at(10);
    client& c = admit();
    BOOST_TEST(ended_as(second, outcome::timed_out));
    BOOST_TEST((waits(first) && waits(c)));
    // An arrival frees only as many places as it needs.
    client& d = admit(within(0));
    BOOST_TEST(ended_as(d, outcome::timed_out));
    check_counts();
}

BOOST_AUTO_TEST_CASE(in_a_standing_queue_an_arrival_sheds_a_request_out_of_time) {
    lim(1, busy(5, options(2, 100)));
    admit();
    client& first = admit(within(500));
    at(100);
    is_timer_late = true;
    client& second = admit();
    at(105);
    client& third = admit();
    BOOST_TEST(ended_as(second, outcome::shed));
    BOOST_TEST((waits(first) && waits(third)));
    check_counts();
}

BOOST_AUTO_TEST_CASE(in_a_standing_queue_a_finish_sheds_a_candidate_out_of_time) {
    lim(1, busy(5, options(10, 100)));
    client& a = admit();
    client& first = admit(within(101));
    at(100);
    is_timer_late = true;
    client& second = admit();
    at(105);
    finish(a);
    BOOST_TEST(ended_as(first, outcome::timed_out));
    BOOST_TEST(ended_as(second, outcome::shed));
}

BOOST_AUTO_TEST_CASE(L14_T126_cancel_frees_the_place) {
    lim(1, options(1, 1000));
    client& a = admit();
    client& b = admit_cancellable();
    b.slot->fire();
    BOOST_TEST(ended_as(b, outcome::aborted));
    BOOST_TEST(counts().cancelled == 1u);
    client& c = admit();
    BOOST_TEST(waits(c));
    finish(a);
    BOOST_TEST(runs(c));
    check_counts();
}

BOOST_AUTO_TEST_CASE(L15_T133_a_request_that_left_does_not_block_smaller_ones) {
    lim(2, options(10, 1000));
    admit();
    auto two = of(0, 2);
    client& first = admit_cancellable(two);
    client& second = admit();
    BOOST_TEST((waits(first) && waits(second)));
    first.slot->fire();
    BOOST_TEST(runs(second));
}

BOOST_AUTO_TEST_CASE(L17_a_late_timer_grants_no_request_past_its_deadline) {
    lim(1, options(10, 100));
    client& a = admit();
    client& b = admit();
    at(50);
    client& c = admit(within(150));
    is_timer_late = true;
    at(150);
    BOOST_TEST(waits(b));
    finish(a);
    BOOST_TEST(ended_as(b, outcome::timed_out));
    BOOST_TEST(runs(c));
    BOOST_TEST(counts().timed_out == 1u);
}

BOOST_AUTO_TEST_CASE(a_request_whose_deadline_is_now_is_not_granted) {
    lim(1, options(10, 100));
    client& a = admit();
    client& b = admit();
    is_timer_late = true;
    at(100);
    finish(a);
    BOOST_TEST(ended_as(b, outcome::timed_out));
    BOOST_TEST(s->in_flight() == 0);
}

BOOST_AUTO_TEST_CASE(an_arrival_ends_a_candidate_past_its_deadline) {
    lim(2, options(10, 100));
    admit();
    client& b = admit(of(0, 2));
    is_timer_late = true;
    at(100);
    client& c = admit();
    BOOST_TEST(ended_as(b, outcome::timed_out));
    BOOST_TEST(runs(c));
    check_counts();
}

BOOST_AUTO_TEST_CASE(an_arrival_that_joins_the_queue_ends_a_candidate_past_its_deadline) {
    lim(2, options(10, 100));
    admit();
    client& b = admit(of(0, 2));
    client c(admission_request{});
    is_timer_late = true;
    at(100);
    limiter_under_test::spare_record spare;
    BOOST_TEST(s->enqueue(c, spare, true) == outcome::granted);
    BOOST_TEST(ended_as(b, outcome::timed_out));
    s->finish(c.granted(), ended::success, true);
}

BOOST_AUTO_TEST_CASE(a_try_ends_a_candidate_past_its_deadline) {
    lim(2, options(10, 100));
    admit();
    client& b = admit(of(0, 2));
    is_timer_late = true;
    at(100);
    BOOST_TEST(runs(try_admit()));
    BOOST_TEST(ended_as(b, outcome::timed_out));
    check_counts();
}

// A request may have to set the timer before it can join the queue. Meanwhile time may pass.
BOOST_AUTO_TEST_CASE(a_request_may_time_out_before_the_timer_is_set) {
    for (const bool is_free : {false, true}) {
        lim(1, options(10, 100));
        client& a = admit();
        client b(admission_request{});
        limiter_under_test::spare_record spare;
        BOOST_TEST(s->enqueue(b, spare) == outcome::unalarmed);
        after(milliseconds(50));
        BOOST_TEST(s->enqueue(b, spare) == outcome::unalarmed);
        after(milliseconds(50));
        if (is_free)
            finish(a);
        BOOST_TEST(s->enqueue(b, spare, true) == outcome::timed_out);
        BOOST_TEST(counts().timed_out == 1u);
        BOOST_TEST(s->waiting() == 0u);
    }
}

BOOST_AUTO_TEST_CASE(a_wait_counts_from_before_the_timer_is_set) {
    lim(1, options(10, 100));
    client& a = admit();
    client b(admission_request{});
    limiter_under_test::spare_record spare;
    BOOST_TEST(s->enqueue(b, spare) == outcome::unalarmed);
    at(70);
    finish(a);
    BOOST_TEST(s->enqueue(b, spare, true) == outcome::granted);
    BOOST_TEST((s->statistics().wait.sum == milliseconds(70)));
    s->finish(b.granted(), ended::success, true);
}

BOOST_AUTO_TEST_CASE(no_request_is_evicted_for_one_that_cannot_wait_yet) {
    lim(1, options(1, 100));
    admit();
    auto lowly = at_priority(3);
    lowly.max_wait = milliseconds(1000);
    client& low = admit(lowly);
    client b(admission_request{});
    limiter_under_test::spare_record spare;
    BOOST_TEST(s->enqueue(b, spare) == outcome::unalarmed);
    BOOST_TEST(waits(low));
    client c(of(7));
    BOOST_TEST(s->enqueue(c, spare, true) == outcome::unrecorded);
    BOOST_TEST(waits(low));
    client& e = admit(within(0));
    BOOST_TEST(ended_as(e, outcome::timed_out));
    BOOST_TEST(waits(low));
}

BOOST_AUTO_TEST_CASE(L18_a_smaller_limit_interrupts_nobody) {
    lim(10, options(10, 1000));
    std::vector<client*> held;
    for (int i = 0; i < 10; ++i)
        held.push_back(&admit());
    client &w1 = admit(), &w2 = admit();
    s->set_limit(4);
    BOOST_TEST(s->limit() == 4);
    for (std::size_t i = 0; i < 6; ++i) {
        finish(*held[i]);
        BOOST_TEST(waits(w1));
    }
    BOOST_TEST(s->in_flight() == 4);
    finish(*held[6]);
    BOOST_TEST((runs(w1) && waits(w2)));
    BOOST_TEST(s->in_flight() == 4);
}

BOOST_AUTO_TEST_CASE(L19_a_larger_limit_grants_waiting_requests_in_order) {
    lim(2, options(10, 1000));
    admit(), admit();
    std::vector<int> order;
    std::vector<client*> w;
    for (int i = 0; i < 4; ++i) {
        w.push_back(&admit());
        w.back()->on_end = [&order, i] {
            order.push_back(i);
        };
    }
    s->set_limit(5);
    BOOST_TEST((order == std::vector<int>{0, 1, 2}));
    BOOST_TEST(waits(*w[3]));
    w[3]->on_end = nullptr;
}

BOOST_AUTO_TEST_CASE(L20_a_fraction_of_the_limit_grants_nothing) {
    lim(20, with_law(options(10, 1000)));
    law = [](const limit_sample&) {
        return 20.05;
    };
    client& first = admit();
    after(milliseconds(1));
    finish(first);
    BOOST_TEST(s->limit() == 20.05);
    for (int i = 0; i < 20; ++i)
        BOOST_TEST(runs(admit()));
    BOOST_TEST(waits(admit()));
}

BOOST_AUTO_TEST_CASE(L21_a_request_wider_than_the_limit_runs_alone) {
    lim(10, with_law(options(10, 1000)));
    client& a = admit();
    client& wide = admit(of(0, 12));
    client& narrow = admit();
    client& wider = admit(of(0, 21));
    BOOST_TEST((waits(wide) && waits(narrow) && waits(wider)));
    finish(a);
    BOOST_TEST((runs(wide) && waits(narrow)));
    BOOST_TEST(s->in_flight() == 12);
    BOOST_TEST(!runs(try_admit()));
    finish(wide);
    BOOST_TEST((runs(narrow) && waits(wider)));
    finish(narrow);
    BOOST_TEST(runs(wider));
    BOOST_TEST(s->in_flight() == 21);
}

BOOST_AUTO_TEST_CASE(L22_a_wide_request_is_not_overtaken) {
    lim(10, options(10, 1000));
    std::vector<client*> held;
    for (int i = 0; i < 9; ++i)
        held.push_back(&admit());
    client& wide = admit(of(0, 3));
    client& narrow = admit();
    BOOST_TEST((waits(wide) && waits(narrow)));
    finish(*held[0]);
    BOOST_TEST((waits(wide) && waits(narrow)));
    finish(*held[1]);
    BOOST_TEST((runs(wide) && waits(narrow)));
    finish(*held[2]);
    BOOST_TEST(runs(narrow));
}

BOOST_AUTO_TEST_CASE(L23_a_try_does_not_overtake_the_queue) {
    auto o = options(10, 1000);
    lim(2, o);
    admit(of(1));
    client& wide = admit(of(1, 2));
    BOOST_TEST(waits(wide));
    BOOST_TEST(!runs(try_admit(of(1))));
    o.max_per_key = 1;
    lim(2, o);
    admit(of(1));
    client& capped = admit(of(1));
    BOOST_TEST(waits(capped));
    BOOST_TEST(runs(try_admit(of(2))));
    BOOST_TEST(!runs(try_admit(of(2))));
    check_counts();
}

BOOST_AUTO_TEST_CASE(T124_T125_a_full_queue_rejects_and_recovers) {
    lim(1, options(1, 1000));
    client& a = admit();
    client& w1 = admit();
    BOOST_TEST(ended_as(admit(), outcome::queue_full));
    finish(a);
    BOOST_TEST(runs(w1));
    client& w3 = admit();
    BOOST_TEST(waits(w3));
    finish(w1);
    BOOST_TEST(runs(w3));
}

BOOST_AUTO_TEST_CASE(T127_lifo_grants_the_newest_first) {
    lim(2, ordered(queue_order::lifo, 10, 1000));
    client& p = admit(of(0, 2));
    client &w1 = admit(of(0, 2)), &w2 = admit();
    finish(p);
    BOOST_TEST((runs(w2) && waits(w1)));
    finish(w2);
    BOOST_TEST(runs(w1));
}

BOOST_AUTO_TEST_CASE(T128_lifo_evicts_the_oldest) {
    lim(1, ordered(queue_order::lifo, 1, 1000));
    client& a = admit();
    client& w1 = admit();
    client& w2 = admit();
    BOOST_TEST(ended_as(w1, outcome::shed));
    BOOST_TEST(waits(w2));
    finish(a);
    BOOST_TEST(runs(w2));
}

BOOST_AUTO_TEST_CASE(T131_lifo_evicts_nobody_who_has_left) {
    lim(2, ordered(queue_order::lifo, 2, 1000));
    client& p = admit(of(0, 2));
    client& w1 = admit_cancellable();
    client& w2 = admit();
    w1.slot->fire();
    client& w3 = admit(of(0, 2));
    BOOST_TEST((waits(w2) && waits(w3)));
    client& w4 = admit();
    BOOST_TEST(ended_as(w2, outcome::shed));
    BOOST_TEST(ended_as(w1, outcome::aborted));
    finish(p);
    BOOST_TEST((runs(w4) && waits(w3)));
    finish(w4);
    BOOST_TEST(runs(w3));
}

BOOST_AUTO_TEST_CASE(T139_under_lifo_a_try_may_overtake_the_queue) {
    lim(2, ordered(queue_order::lifo, 10, 1000));
    admit();
    client& w1 = admit(of(0, 2));
    BOOST_TEST(waits(w1));
    BOOST_TEST(runs(try_admit()));
    BOOST_TEST(waits(w1));
}

// With newest first, the arrival comes before the wide request, so it need not evict it.
BOOST_AUTO_TEST_CASE(no_request_is_evicted_for_one_that_is_granted_at_once) {
    lim(4, ordered(queue_order::lifo, 1, 1000));
    admit(of(0, 3));
    client& wide = admit(of(1, 4));
    BOOST_TEST(waits(wide));
    BOOST_TEST(runs(admit(of(1, 1))));
    BOOST_TEST(waits(wide));
}

BOOST_AUTO_TEST_CASE(the_eviction_of_the_candidate_grants_the_next_request) {
    lim(4, ordered(queue_order::lifo, 1, 1000));
    admit(of(2, 1)), admit(of(0, 2));
    client& wide = admit(of(1, 3));
    client& narrow = admit(of(2, 1)); // comes after wide, because its key holds a place
    BOOST_TEST(ended_as(wide, outcome::shed));
    BOOST_TEST(runs(narrow));
    auto o = options(3, 1000);
    o.max_per_key = 4;
    lim(5, o);
    admit(of(1, 2)), admit(of(2, 2));
    client &w1 = admit(of(1, 3)), &w2 = admit(of(1, 3)); // their key is at its cap
    client& candidate = admit(of(1, 2));
    client& other = admit(of(2, 1));
    BOOST_TEST((waits(w1) && waits(w2)));
    BOOST_TEST(ended_as(candidate, outcome::shed));
    BOOST_TEST(runs(other));
    check_counts();
}

BOOST_AUTO_TEST_CASE(max_waiting_and_max_wait_may_both_be_zero) {
    lim(1, options(0, 0));
    client& a = admit();
    BOOST_TEST(ended_as(admit(), outcome::timed_out));
    BOOST_TEST(ended_as(admit(within(10)), outcome::queue_full));
    finish(a);
    BOOST_TEST(runs(admit()));
    check_counts();
}

BOOST_AUTO_TEST_CASE(a_request_with_a_wait_of_zero_times_out_even_if_the_queue_is_full) {
    lim(1, options(1, 100));
    admit();
    client& low = admit(at_priority(3));
    client& b = admit(within(0));
    BOOST_TEST(ended_as(b, outcome::timed_out));
    BOOST_TEST(waits(low));
    BOOST_TEST(counts().queue_full == 0u);
    BOOST_TEST(counts(3).shed == 0u);
    check_counts();
}

BOOST_AUTO_TEST_SUITE_END()
