// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// The fair share of each key, its cap, and its record: scenarios L30 to L41 and row T140 of the
// limiter's contract.

#include "limiter_fixture.hpp"

#include <map>

namespace {

using namespace test;

constexpr std::uint64_t a = 1, b = 2, c = 3; // keys

struct keys_fixture : limiter_fixture {
    static limiter_options capped(std::ptrdiff_t max_per_key, std::size_t max_waiting = 10) {
        auto o = options(max_waiting, 1000);
        o.max_per_key = max_per_key;
        return o;
    }
    /// The running request that was admitted first.
    client& longest() {
        client* first = nullptr;
        for (client& one : clients) {
            if (runs(one) && (first == nullptr || one.ended_at < first->ended_at))
                first = &one;
        }
        BOOST_TEST_REQUIRE(first != nullptr);
        return *first;
    }
    std::size_t keys() const { return s->statistics().keys; }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(limiter_keys, keys_fixture)

BOOST_AUTO_TEST_CASE(L30_the_key_that_holds_least_comes_first) {
    lim(2, options(10, 1000));
    client &a1 = admit(of(a)), &a2 = admit(of(a));
    client &wa = admit(of(a)), &wb = admit(of(b));
    finish(a1);
    BOOST_TEST((runs(wb) && waits(wa)));
    finish(a2);
    BOOST_TEST(runs(wa));
    BOOST_TEST(keys() == 2u);
    finish(wa), finish(wb);
    BOOST_TEST(keys() == 0u);
}

BOOST_AUTO_TEST_CASE(L31_of_three_keys_the_one_that_holds_least_comes_first) {
    lim(3, options(10, 1000));
    client &a1 = admit(of(a)), &a2 = admit(of(a)), &a3 = admit(of(a));
    client &wa = admit(of(a)), &wb = admit(of(b)), &wc = admit(of(c));
    finish(a1);
    BOOST_TEST((runs(wb) && waits(wc) && waits(wa)));
    finish(a2);
    BOOST_TEST((runs(wc) && waits(wa)));
    finish(a3);
    BOOST_TEST(runs(wa));
}

BOOST_AUTO_TEST_CASE(L32_equal_keys_come_in_the_order_of_arrival) {
    lim(1, options(10, 1000));
    client& first = admit(of(9));
    client &wb = admit(of(b)), &wa = admit(of(a)), &wc = admit(of(c));
    finish(first);
    BOOST_TEST(runs(wb));
    finish(wb); // held for no time, which counts as one tick
    BOOST_TEST(runs(wa));
    finish(wa);
    BOOST_TEST(runs(wc));
}

BOOST_AUTO_TEST_CASE(a_key_holds_the_sum_of_its_weights) {
    lim(4, options(10, 1000));
    admit(of(a, 2));
    client &b1 = admit(of(b, 1)), &z = admit(of(9, 1));
    client& wa = admit(of(a));
    client& wb = admit(of(b));
    finish(z);
    BOOST_TEST((runs(wb) && waits(wa)));
    static_cast<void>(b1);
}

BOOST_AUTO_TEST_CASE(service_is_time_held_times_weight) {
    lim(4, options(10, 1000));
    client& a1 = admit(of(a, 1));
    client& b1 = admit(of(b, 3));
    after(milliseconds(20));
    finish(b1); // b was served 60
    client& b2 = admit(of(b, 3));
    client& wa = admit(of(a, 3));
    client& wb = admit(of(b, 3));
    after(milliseconds(30));
    finish(a1); // a was served 50
    BOOST_TEST((waits(wa) && waits(wb)));
    finish(b2); // b was served 150
    BOOST_TEST((runs(wa) && waits(wb)));
}

BOOST_AUTO_TEST_CASE(waiting_does_not_count_as_service) {
    lim(1, options(10, 1000));
    client& z = admit(of(9));
    client& a1 = admit(of(a));
    after(milliseconds(500));
    client& b1 = admit(of(b));
    finish(z);
    BOOST_TEST(runs(a1));
    after(milliseconds(10));
    client& a2 = admit(of(a));
    finish(a1); // a was served 10
    BOOST_TEST((runs(b1) && waits(a2)));
    after(milliseconds(50));
    client& b2 = admit(of(b));
    finish(b1); // b was served 50
    BOOST_TEST((runs(a2) && waits(b2)));
}

BOOST_AUTO_TEST_CASE(an_admission_without_a_clock_reading_counts_as_one_tick) {
    lim(1, options(10, 1000));
    client& first = admit();
    client& z = admit();
    client& b1 = admit(of(b));
    client& b2 = admit(of(b));
    finish(first);
    BOOST_TEST(runs(b1));
    after(milliseconds(1));
    finish(b1);
    BOOST_TEST((runs(z) && waits(b2)));
}

BOOST_AUTO_TEST_CASE(L33_one_key_alone_may_use_all_places) {
    lim(5, options(10, 1000));
    for (int i = 0; i < 5; ++i)
        BOOST_TEST(runs(admit(of(a))));
    BOOST_TEST(waits(admit(of(a))));
    BOOST_TEST(held_by(a) == 5);
}

BOOST_AUTO_TEST_CASE(L34_with_more_keys_than_places_each_has_its_turn) {
    constexpr std::uint64_t t0 = 100;
    lim(2, options(20, 1000));
    admit(of(t0)), admit(of(t0));
    std::vector<client*> of_t0, others;
    for (int i = 0; i < 8; ++i)
        of_t0.push_back(&admit(of(t0)));
    for (std::uint64_t i = 1; i <= 9; ++i)
        others.push_back(&admit(of(t0 + i)));
    for (std::size_t i = 0; i < 9; ++i) {
        after(milliseconds(1));
        finish(longest());
        BOOST_TEST(runs(*others[i]));
        BOOST_TEST(waits(*of_t0[0]));
    }
    after(milliseconds(1));
    finish(longest());
    BOOST_TEST(runs(*of_t0[0]));
}

// Keys that come back must not start without any service: two or more of them would always be
// ahead.
BOOST_AUTO_TEST_CASE(a_key_that_stays_has_a_share_beside_keys_that_come_back) {
    struct {
        std::ptrdiff_t limit;
        std::uint64_t others;
    } const houses[] = {{1, 2}, {1, 10}, {4, 20}};
    for (const auto& house : houses) {
        lim(house.limit, options(100, 1'000'000));
        for (int i = 0; i < 10; ++i)
            admit(of(a));
        for (std::uint64_t i = 1; i <= house.others; ++i)
            admit(of(a + i));
        const double rounds = 100;
        std::map<std::uint64_t, double> ended;
        for (int i = 0; i < rounds * static_cast<double>(house.others + 1); ++i) {
            after(milliseconds(1));
            client& c = longest();
            finish(c);
            ++ended[c.asked.key];
            admit(of(c.asked.key));
        }
        BOOST_TEST_CONTEXT(house.limit << ", " << house.others) {
            BOOST_TEST(ended[a] > 0.7 * rounds);
            for (std::uint64_t i = 1; i <= house.others; ++i)
                BOOST_TEST(ended[a + i] > 0.7 * rounds);
        }
    }
}

BOOST_AUTO_TEST_CASE(while_newest_come_first_a_new_key_precedes_the_old_ones) {
    for (const queue_order order : {queue_order::lifo, queue_order::adaptive}) {
        auto o = options(10, 100);
        o.order = order;
        lim(1, o);
        client* running = &admit(of(a));
        admission_request patient = of(a); // this key stays
        patient.max_wait = std::chrono::hours(1);
        admit(patient);
        after(milliseconds(100)); // a standing queue
        for (std::uint64_t key = 2; key < 10; ++key) {
            client& newest = admit(of(key));
            after(milliseconds(1));
            finish(*running);
            BOOST_TEST_REQUIRE(runs(newest));
            running = &newest;
            admit(of(key + 100)); // waits from now on
        }
    }
}

BOOST_AUTO_TEST_CASE(L35_a_key_does_not_exceed_its_cap) {
    lim(10, capped(3));
    client& a1 = admit(of(a));
    admit(of(a)), admit(of(a));
    client& a4 = admit(of(a));
    BOOST_TEST(waits(a4));
    BOOST_TEST(runs(admit(of(b))));
    BOOST_TEST(!runs(try_admit(of(a))));
    finish(a1);
    BOOST_TEST(runs(a4));
    BOOST_TEST(held_by(a) == 3);
}

BOOST_AUTO_TEST_CASE(a_key_that_holds_nothing_may_exceed_its_cap) {
    lim(10, capped(3));
    client& wide = admit(of(a, 5));
    BOOST_TEST(runs(wide));
    client& a2 = admit(of(a));
    BOOST_TEST(waits(a2));
    finish(wide);
    BOOST_TEST(runs(a2));
}

// A grant to a key puts the key's other requests behind those of other keys.
BOOST_AUTO_TEST_CASE(a_grant_at_once_may_let_another_key_have_its_turn) {
    for (const std::ptrdiff_t cap : {0, 2}) {
        for (const bool is_a_try : {false, true}) {
            lim(4, capped(cap));
            admit(of(b));
            client& wide = admit(of(a, 4, 1));
            client& other = admit(of(cap == 0 ? c : b, 1, 1));
            BOOST_TEST((waits(wide) && waits(other)));
            BOOST_TEST(runs(is_a_try ? try_admit(of(a)) : admit(of(a))));
            BOOST_TEST((waits(wide) && runs(other)));
            check_counts();
        }
    }
}

// A request found no place, but a place is free by the time it would join the queue.
BOOST_AUTO_TEST_CASE(a_grant_to_an_arrival_about_to_wait_may_let_another_key_have_its_turn) {
    lim(4, options(10, 1000));
    admit(of(b));
    client& wide = admit(of(a, 4, 1));
    client& other = admit(of(c, 1, 1));
    client late(of(a));
    limiter_under_test::spare_record spare;
    BOOST_TEST(s->enqueue(late, spare) == outcome::granted);
    BOOST_TEST((waits(wide) && runs(other)));
    s->finish(late.granted(), ended::success, true);
    BOOST_TEST(late.granted().weight == 1);
}

BOOST_AUTO_TEST_CASE(the_cap_does_not_apply_to_key_0) {
    lim(10, capped(1));
    for (int i = 0; i < 9; ++i)
        BOOST_TEST(runs(admit()));
    BOOST_TEST(keys() == 0u);
    BOOST_TEST(runs(admit(of(a))));
    client& one = admit();
    client& another = admit();
    BOOST_TEST((waits(one) && waits(another)));
    s->set_limit(12);
    BOOST_TEST((runs(one) && runs(another)));
}

BOOST_AUTO_TEST_CASE(the_cap_does_not_apply_to_key_0_beside_another_key) {
    lim(10, capped(1));
    BOOST_TEST(runs(admit(of(a))));
    for (int i = 0; i < 9; ++i)
        BOOST_TEST(runs(admit()));
}

BOOST_AUTO_TEST_CASE(T140_a_key_at_its_cap_delays_no_other_key) {
    lim(10, capped(1));
    admit(of(b));
    client& blocked = admit(of(b));
    for (int i = 0; i < 3; ++i) {
        client& other = admit(of(a));
        BOOST_TEST(runs(other));
        finish(other);
    }
    BOOST_TEST(waits(blocked));
}

// Requests of a key at its cap cannot be granted, but they can be evicted from a full queue.
BOOST_AUTO_TEST_CASE(a_request_of_a_key_at_its_cap_may_be_evicted) {
    lim(10, capped(1, 2));
    admit(of(a)), admit(of(b));
    client &a2 = admit(of(a)), &a3 = admit(of(a));
    client& b2 = admit(of(b));
    BOOST_TEST((waits(a2) && waits(b2)));
    BOOST_TEST(ended_as(a3, outcome::shed));
}

BOOST_AUTO_TEST_CASE(L37_keys_leave_nothing_behind) {
    constexpr int many = 1'000'000;
    lim(2, options(2, 1000));
    place p;
    limiter_under_test::spare_record spare;
    const auto try_key = [&](std::uint64_t key, bool is_counted) {
        const auto r = of(key);
        return with_record(spare, [&] { return s->try_admit(r, p, spare, is_counted); });
    };
    std::size_t most = 0;
    bool are_granted = true;
    for (int i = 1; i <= many; ++i) {
        are_granted = are_granted && try_key(std::uint64_t(i), true) == outcome::granted;
        most = std::max(most, i % 1024 == 0 ? keys() : 0);
        after(std::chrono::nanoseconds(100));
        s->finish(p, ended::success, true);
    }
    BOOST_TEST(are_granted);
    BOOST_TEST(most == 1u);
    BOOST_TEST(keys() == 0u);
    BOOST_TEST(records_made == 1u);
    admit(of(a)), admit(of(b)), admit(of(c)), admit(of(4));
    const std::size_t made = records_made;
    bool are_refused = true;
    for (int i = 10; i < many + 10; ++i)
        are_refused = are_refused && try_key(std::uint64_t(i), true) == outcome::queue_full;
    BOOST_TEST(are_refused);
    BOOST_TEST(keys() == 4u); // limit + max_waiting
    BOOST_TEST(records_made == made);
    s->cancel();
    for (client& one : clients) {
        if (runs(one))
            finish(one);
    }
    BOOST_TEST(keys() == 0u);
}

// The records of a burst are freed step by step, except for a few.
BOOST_AUTO_TEST_CASE(only_a_few_spare_records_are_kept) {
    lim(100, options(10, 1000));
    for (std::uint64_t key = 1; key <= 100; ++key)
        admit(of(key));
    BOOST_TEST(keys() == 100u);
    BOOST_TEST(records_made == 100u);
    for (client& one : clients)
        finish(one);
    for (int i = 0; i < 200; ++i)
        try_admit(of(0, 0));
    records_made = 0;
    for (std::uint64_t key = 201; key <= 300; ++key)
        admit(of(key));
    BOOST_TEST(records_made == 84u);
}

BOOST_AUTO_TEST_CASE(a_spare_record_that_was_not_needed_serves_the_next_key) {
    lim(2, options(10, 1000));
    limiter_under_test::spare_record spare(new key_record(0));
    place p, q;
    BOOST_TEST(s->try_admit(of(a), p, spare, true) == outcome::granted);
    BOOST_TEST(spare.get() == nullptr);
    spare = std::make_unique<key_record>(0);
    BOOST_TEST(s->try_admit(of(a), q, spare, true) == outcome::granted);
    BOOST_TEST(spare.get() != nullptr);
    BOOST_TEST(p.record == q.record);
    s->finish(p, ended::success, true);
    s->finish(q, ended::success, true);
}

// The class admission ensures that a place returns only once; see the tests of admission.
BOOST_AUTO_TEST_CASE(L38_one_finish_gives_back_one_place) {
    lim(10, capped(2));
    client &a1 = admit(of(a)), &a2 = admit(of(a));
    finish(a1);
    BOOST_TEST(held_by(a) == 1);
    BOOST_TEST(runs(try_admit(of(a))));
    BOOST_TEST(!runs(try_admit(of(a))));
    BOOST_TEST(runs(a2));
}

BOOST_AUTO_TEST_CASE(L39_a_request_of_the_key_with_most_waiting_requests_is_evicted) {
    lim(1, options(4, 1000));
    admit();
    client &a1 = admit(of(a)), &a2 = admit(of(a)), &a3 = admit(of(a)), &a4 = admit(of(a));
    client& b1 = admit(of(b));
    BOOST_TEST((waits(b1) && ended_as(a4, outcome::shed)));
    client& b2 = admit(of(b));
    BOOST_TEST((waits(b2) && ended_as(a3, outcome::shed)));
    client& b3 = admit(of(b));
    BOOST_TEST(ended_as(b3, outcome::queue_full));
    BOOST_TEST((waits(a1) && waits(a2)));
    BOOST_TEST(ended_as(admit(of(a)), outcome::queue_full));
    BOOST_TEST(ended_as(admit(), outcome::queue_full)); // key 0 neither pays nor profits
    check_counts();
}

BOOST_AUTO_TEST_CASE(requests_without_a_key_are_not_evicted_for_their_number) {
    lim(1, options(4, 1000));
    admit();
    for (int i = 0; i < 4; ++i)
        admit();
    BOOST_TEST(ended_as(admit(of(b)), outcome::queue_full));
    BOOST_TEST(counts().shed == 0u);
}

// The record of the key leaves with the request, and may be reused for the arrival.
BOOST_AUTO_TEST_CASE(the_evicted_request_may_be_the_last_of_its_key) {
    auto o = options(1, 1000);
    o.order = queue_order::lifo;
    lim(1, o);
    admit();
    client& old = admit(of(a));
    for (std::uint64_t key = 2; key < 20; ++key)
        BOOST_TEST(waits(admit(of(key))));
    BOOST_TEST(ended_as(old, outcome::shed));
    BOOST_TEST(keys() == 1u);
    client& again = admit(of(19));
    BOOST_TEST(waits(again));
    BOOST_TEST(keys() == 1u);
    check_counts();
}

BOOST_AUTO_TEST_CASE(a_request_that_times_out_may_be_the_last_of_its_key) {
    lim(1, options(1, 100));
    admit();
    is_timer_late = true;
    client& old = admit(of(a));
    at(100);
    client& next = admit(of(a));
    BOOST_TEST((ended_as(old, outcome::timed_out) && waits(next)));
    lim(5, capped(1, 1));
    admit(of(a));
    client& capped_one = admit(of(a));
    after(milliseconds(1000));
    client& another = admit(of(a));
    BOOST_TEST((ended_as(capped_one, outcome::timed_out) && waits(another)));
    BOOST_TEST(keys() == 1u);
    check_counts();
}

BOOST_AUTO_TEST_CASE(L40_a_key_that_comes_back_has_no_advantage) {
    lim(1, options(40, 60000));
    client* running = &admit(of(a));
    after(milliseconds(10));
    finish(*running);
    running = &admit(of(b));
    for (int i = 0; i < 1000; ++i) { // 10 s in total
        client& next = admit(of(b));
        after(milliseconds(10));
        finish(*running);
        running = &next;
        BOOST_TEST_REQUIRE(runs(next));
    }
    std::vector<client*> of_a, of_b;
    for (int i = 0; i < 10; ++i) {
        of_b.push_back(&admit(of(b)));
        of_a.push_back(&admit(of(a)));
    }
    std::size_t had_a = 0, had_b = 0;
    for (int i = 0; i < 10; ++i) {
        after(milliseconds(10));
        finish(*running);
        if (had_a < 10 && runs(*of_a[had_a]))
            running = of_a[had_a++];
        else
            running = of_b[had_b++];
        BOOST_TEST_REQUIRE(runs(*running));
        BOOST_TEST((had_a <= had_b + 1 && had_b <= had_a + 1));
    }
    BOOST_TEST((had_a == 5 && had_b == 5));
}

BOOST_AUTO_TEST_CASE(L41_a_key_with_long_requests_waits_behind_one_with_short_requests) {
    lim(2, options(40, 60000));
    client& long_one = admit(of(a));
    client* running = &admit(of(b));
    client& second = admit(of(a));
    for (int i = 0; i < 1000; ++i) {
        client& next = admit(of(b));
        after(milliseconds(10));
        finish(*running);
        running = &next;
        BOOST_TEST_REQUIRE((runs(next) && waits(second)));
    }
    finish(long_one);
    BOOST_TEST(runs(second));
}

BOOST_AUTO_TEST_CASE(L41_long_service_counts_afterwards) {
    lim(1, options(10, 60000));
    client& long_one = admit(of(a));
    client& b1 = admit(of(b));
    client& a2 = admit(of(a));
    after(std::chrono::seconds(10));
    finish(long_one);
    BOOST_TEST(runs(b1));
    client* running = &b1;
    for (int i = 0; i < 100; ++i) {
        client& next = admit(of(b));
        after(milliseconds(10));
        finish(*running);
        running = &next;
        BOOST_TEST_REQUIRE((runs(next) && waits(a2)));
    }
}

BOOST_AUTO_TEST_CASE(busiest_keys_come_first) {
    lim(10, options(10, 1000));
    for (std::uint64_t key : {a, b, b, b, c, c})
        admit(of(key));
    admit(of(9, 4)), admit();
    admit(of(9)), admit(of(a)), admit(of(a)), admit(of(5));
    // Key 0 is in no list.
    const auto all = s->busiest_keys(10);
    const std::vector<std::array<std::uint64_t, 3>> expected{
        {9, 4, 1}, {b, 3, 0}, {c, 2, 0}, {a, 1, 2}, {5, 0, 1}};
    BOOST_TEST_REQUIRE(all.size() == expected.size());
    for (std::size_t i = 0; i < all.size(); ++i) {
        BOOST_TEST(all[i].key == expected[i][0]);
        BOOST_TEST(all[i].in_flight == std::ptrdiff_t(expected[i][1]));
        BOOST_TEST(all[i].waiting == expected[i][2]);
    }
    const auto some = s->busiest_keys(2);
    BOOST_TEST_REQUIRE(some.size() == 2u);
    BOOST_TEST((some[0].key == 9 && some[1].key == b));
    BOOST_TEST(s->busiest_keys(0).empty());
    lim(100, options(10, 1000));
    for (std::uint64_t key = 1; key <= 100; ++key)
        admit(of(key));
    BOOST_TEST(s->busiest_keys(1000).size() == 100u);
}

// Key 0 was there before and left. The service of a new key starts at the least of those present.
BOOST_AUTO_TEST_CASE(requests_without_a_key_leave_nothing_behind) {
    lim(1, options(10, 1000));
    finish(admit());
    client& a = admit(of(1));
    client& urgent = admit(of(3));
    client& another = admit(of(3));
    client& waiting = admit(of(1, 1, 1));
    at(10);
    finish(a); // key 1 was served 10
    BOOST_TEST(runs(urgent));
    at(30);
    finish(urgent); // key 3 was served 20
    BOOST_TEST(runs(another));
    client& of_new_key = admit(of(2, 1, 1));
    finish(another);
    BOOST_TEST(runs(waiting));
    BOOST_TEST(waits(of_new_key));
}

BOOST_AUTO_TEST_SUITE_END()
