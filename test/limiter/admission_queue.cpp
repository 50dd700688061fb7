// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// Which request is admitted next, which one leaves a full queue, and how much each key was served.
// Tests each rule of section 2 of the limiter's contract, and compares a random walk with a model
// that follows the text of the contract. Numbers such as L10 are its scenarios.

#include <asio_semaphore/detail/state/admission_queue.hpp>

#include "order_model.hpp"

#include <support/seed.hpp>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <utility>
#include <vector>

namespace {

using namespace asio_semaphore::detail;

using arrivals = std::vector<std::uint64_t>;

constexpr std::uint64_t nobody = 0; // no arrival has this number, and no client this key

/// Uses the queue as a limiter does, but without a limit.
struct limiter_by_hand {
    explicit limiter_by_hand(std::ptrdiff_t max_per_key = 0) : queue(max_per_key) {}
    ~limiter_by_hand() {
        for (auto& [arrival, r] : requests)
            queue.remove(*r);
    }

    key_record& record(std::uint64_t key) {
        if (key_record* const present = queue.find(key))
            return *present;
        auto& made = records[key] = std::make_unique<key_record>(key);
        queue.enter(*made);
        return *made;
    }
    void leave(key_record& r) {
        if (queue.leave(r))
            records.erase(r.key());
    }

    queued_request& wait(std::uint64_t key, int priority = 0, std::ptrdiff_t weight = 1) {
        auto made = std::make_unique<queued_request>(priority, weight);
        queue.push(*made, record(key));
        auto& kept = requests[made->arrival()] = std::move(made);
        return *kept;
    }
    void abandon(queued_request& r) {
        queue.remove(r);
        leave(*r.record);
        requests.erase(r.arrival());
    }
    /// Grants the candidate.
    std::uint64_t grant() {
        queued_request* const r = queue.candidate();
        if (r == nullptr)
            return nobody;
        const std::uint64_t granted = r->arrival();
        queue.remove(*r);
        queue.hold(*r->record, r->weight);
        requests.erase(granted);
        return granted;
    }
    void hold(std::uint64_t key, std::ptrdiff_t weight = 1) { queue.hold(record(key), weight); }
    void give_back(std::uint64_t key, double service = 1, std::ptrdiff_t weight = 1) {
        key_record& r = record(key);
        queue.give_back(r, weight, service);
        leave(r);
    }
    /// Holds one and gives it back, without effect on the waiting requests.
    void serve(std::uint64_t key, double service) {
        hold(key);
        give_back(key, service);
    }

    std::uint64_t candidate() const {
        const queued_request* const r = queue.candidate();
        return r == nullptr ? nobody : r->arrival();
    }
    std::uint64_t victim(std::uint64_t key, int priority = 0) {
        const queued_request* const r = queue.victim(queue.find(key), priority);
        return r == nullptr ? nobody : r->arrival();
    }
    bool would_be_candidate(std::uint64_t key, int priority = 0, std::ptrdiff_t weight = 1) {
        return queue.would_be_candidate(queue.find(key), priority, weight);
    }
    /// The order of the grants, if a grant changed nothing.
    arrivals order() {
        arrivals result;
        while (queued_request* const r = queue.candidate()) {
            result.push_back(r->arrival());
            abandon(*r);
        }
        return result;
    }
    arrivals grants() {
        arrivals result;
        while (queue.candidate() != nullptr)
            result.push_back(grant());
        return result;
    }

    admission_queue queue;
    std::map<std::uint64_t, std::unique_ptr<key_record>> records;
    std::map<std::uint64_t, std::unique_ptr<queued_request>> requests;
};

struct fixture : limiter_by_hand {
    static constexpr std::uint64_t a = 11, b = 7, c = 9, d = 3;
};

struct capped : limiter_by_hand {
    static constexpr std::uint64_t a = 11, b = 7;

    capped() : limiter_by_hand(3) {}
};

#define CHECK_ARRIVALS(actual, ...)                                                                \
    BOOST_TEST((actual) == (arrivals{__VA_ARGS__}), boost::test_tools::per_element())

} // namespace

BOOST_FIXTURE_TEST_SUITE(limiter_admission_queue, fixture)

BOOST_AUTO_TEST_CASE(an_empty_queue_has_neither_candidate_nor_victim) {
    BOOST_TEST(queue.empty());
    BOOST_TEST(queue.size() == 0u);
    BOOST_TEST(queue.candidate() == nullptr);
    for (int priority = 0; priority < 4; ++priority) {
        BOOST_TEST(queue.victim(nullptr, priority) == nullptr);
        BOOST_TEST(queue.would_be_candidate(nullptr, priority, 5));
    }
}

BOOST_AUTO_TEST_CASE(requests_are_counted_by_priority) {
    wait(a, 1, 5);
    wait(nobody, 1);
    queued_request& last = wait(b, 3);
    BOOST_TEST(queue.size() == 3u);
    BOOST_TEST(queue.size(0) == 0u);
    BOOST_TEST(queue.size(1) == 2u);
    BOOST_TEST(queue.size(3) == 1u);
    BOOST_TEST(last.arrival() == 3u);
    BOOST_TEST(last.priority() == 3);
    BOOST_TEST(last.record == queue.find(b));
    abandon(last);
    BOOST_TEST(queue.size() == 2u);
    BOOST_TEST(queue.size(3) == 0u);
    BOOST_TEST(!queue.empty());
}

BOOST_AUTO_TEST_CASE(requests_of_one_key_come_in_the_order_of_their_arrival) {
    for (int i = 0; i < 20; ++i)
        wait(a);
    const arrivals all = order();
    BOOST_TEST(all.size() == 20u);
    BOOST_TEST(std::is_sorted(all.begin(), all.end()));
}

BOOST_AUTO_TEST_CASE(L24_the_highest_priority_comes_first) {
    hold(b, 5);
    serve(c, 100);
    wait(a, 3);
    wait(a, 2);
    wait(b, 1); // although its key was served more
    wait(a, 1);
    wait(b, 0);
    CHECK_ARRIVALS(order(), 5, 4, 3, 2, 1);
}

BOOST_AUTO_TEST_CASE(of_equal_priorities_the_key_that_holds_least_comes_first) {
    hold(d);
    hold(a, 2);
    hold(b);
    give_back(b, 1000);
    hold(b); // the key that was served most
    wait(a);
    wait(b);
    wait(c);
    CHECK_ARRIVALS(order(), 3, 2, 1);
}

BOOST_AUTO_TEST_CASE(a_key_holds_the_sum_of_its_weights) {
    hold(a, 3);
    hold(b);
    hold(b);
    wait(a);
    wait(b);
    BOOST_TEST(queue.find(a)->held() == 3);
    BOOST_TEST(queue.find(a)->running() == 1u);
    BOOST_TEST(queue.find(b)->held() == 2);
    BOOST_TEST(queue.find(b)->running() == 2u);
    CHECK_ARRIVALS(order(), 2, 1);
}

BOOST_AUTO_TEST_CASE(of_keys_that_hold_the_same_the_least_served_comes_first) {
    for (const auto key : {a, b, c})
        hold(key), hold(key);
    give_back(a, 30);
    give_back(b, 10);
    give_back(c, 20);
    for (const auto key : {a, b, c})
        wait(key);
    CHECK_ARRIVALS(order(), 2, 3, 1);
}

BOOST_AUTO_TEST_CASE(L32_equal_keys_come_in_the_order_of_arrival) {
    for (const auto key : {a, b, a, c, nobody, b, nobody, a})
        wait(key);
    CHECK_ARRIVALS(order(), 1, 2, 3, 4, 5, 6, 7, 8);
}

BOOST_AUTO_TEST_CASE(the_arrival_is_reversed_while_newest_come_first) {
    queue.set_newest_first(true);
    BOOST_TEST(queue.newest_first());
    for (const auto key : {a, b, a, c, nobody, b, nobody, a})
        wait(key);
    CHECK_ARRIVALS(order(), 8, 7, 6, 5, 4, 3, 2, 1);
}

BOOST_AUTO_TEST_CASE(newest_first_changes_only_the_order_of_arrival) {
    queue.set_newest_first(true);
    for (const auto key : {a, b, c})
        hold(key), hold(key);
    give_back(c, 5);
    give_back(b, 6);
    wait(d, 1);
    wait(d);
    wait(c);
    wait(b);
    wait(a);
    wait(a, 1);
    CHECK_ARRIVALS(order(), 2, 3, 4, 5, 1, 6);
}

BOOST_AUTO_TEST_CASE(newest_first_also_applies_to_requests_that_wait_already) {
    hold(d);
    for (const auto key : {a, nobody, d, b, a, d})
        wait(key);
    BOOST_TEST(candidate() == 1u);
    queue.set_newest_first(true);
    BOOST_TEST(candidate() == 5u);
    wait(c);
    BOOST_TEST(candidate() == 7u);
    queue.set_newest_first(false);
    BOOST_TEST(candidate() == 1u);
    queue.set_newest_first(true);
    CHECK_ARRIVALS(order(), 7, 5, 4, 2, 1, 6, 3);
}

BOOST_AUTO_TEST_CASE(L30_a_place_goes_to_the_key_that_holds_less) {
    hold(a);
    hold(a);
    wait(a);
    wait(b);
    give_back(a);
    BOOST_TEST(grant() == 2u);
    give_back(a);
    BOOST_TEST(grant() == 1u);
}

BOOST_AUTO_TEST_CASE(L31_keys_take_turns) {
    for (int i = 0; i < 3; ++i)
        hold(a);
    wait(a);
    wait(b);
    wait(c);
    arrivals granted;
    for (int i = 0; i < 3; ++i) {
        give_back(a);
        granted.push_back(grant());
    }
    CHECK_ARRIVALS(granted, 2, 3, 1);
}

BOOST_AUTO_TEST_CASE(L33_one_key_alone_may_have_everything) {
    for (int i = 0; i < 5; ++i)
        wait(a);
    CHECK_ARRIVALS(grants(), 1, 2, 3, 4, 5);
    BOOST_TEST(queue.find(a)->held() == 5);
}

BOOST_AUTO_TEST_CASE(L34_with_more_keys_than_places_each_has_its_turn) {
    hold(20);
    hold(20);
    for (int i = 0; i < 8; ++i)
        wait(20); // arrivals 1 to 8
    for (std::uint64_t key = 21; key < 30; ++key)
        wait(key); // arrivals 9 to 17
    give_back(20, 1);
    BOOST_TEST(grant() == 9u);
    give_back(20, 2);
    // No waiting key holds anything, so the service of the keys decides.
    arrivals granted;
    for (std::uint64_t key = 21; key < 30; ++key) {
        granted.push_back(grant());
        give_back(key, 3);
    }
    CHECK_ARRIVALS(granted, 10, 11, 12, 13, 14, 15, 16, 17, 1);
}

BOOST_AUTO_TEST_CASE(L41_a_key_that_holds_long_waits_behind_one_that_holds_short) {
    wait(a);
    BOOST_TEST(grant() == 1u);
    wait(a);
    for (std::uint64_t i = 3; i < 1000; ++i) {
        wait(b);
        BOOST_TEST_REQUIRE(grant() == i);
        give_back(b, 1);
    }
}

BOOST_AUTO_TEST_CASE(what_a_key_holds_at_one_priority_counts_at_all_priorities) {
    wait(a, 0);
    wait(a, 2);
    wait(b, 2);
    wait(a, 3);
    wait(b, 3);
    BOOST_TEST(grant() == 1u);
    CHECK_ARRIVALS(order(), 3, 2, 5, 4);
}

BOOST_AUTO_TEST_CASE(all_requests_of_a_key_change_their_places_together) {
    for (int priority = 0; priority < 4; ++priority) {
        for (const auto key : {a, b, c})
            wait(key, priority);
    }
    hold(a, 2);
    hold(b);
    BOOST_TEST(candidate() == 3u);
    hold(c, 3);
    BOOST_TEST(candidate() == 2u);
    give_back(a, 1, 2);
    CHECK_ARRIVALS(order(), 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12);
}

BOOST_AUTO_TEST_CASE(a_request_that_leaves_makes_way) {
    queued_request& first = wait(a);
    queued_request& middle = wait(a);
    wait(a);
    queued_request& alone = wait(b, 1);
    abandon(middle);
    BOOST_TEST(candidate() == 1u);
    abandon(first);
    BOOST_TEST(candidate() == 3u);
    abandon(alone);
    BOOST_TEST(queue.find(b) == nullptr);
    CHECK_ARRIVALS(order(), 3);
}

BOOST_AUTO_TEST_CASE(a_request_may_join_the_queue_again) {
    queued_request r(2, 3);
    BOOST_TEST(r.arrival() == 0u);
    for (std::uint64_t i = 1; i < 4; ++i) {
        queue.push(r, record(a));
        BOOST_TEST(r.arrival() == i);
        BOOST_TEST(r.priority() == 2);
        BOOST_TEST(r.weight == 3);
        BOOST_TEST(queue.candidate() == &r);
        queue.remove(r);
        BOOST_TEST(queue.candidate() == nullptr);
        BOOST_TEST(r.record == queue.find(a)); // the grant needs the record
    }
}

BOOST_AUTO_TEST_CASE(without_a_cap_a_key_may_hold_anything) {
    hold(a, 1000000);
    wait(a, 0, 1000000);
    BOOST_TEST(candidate() == 1u);
    BOOST_TEST(would_be_candidate(a, 0, 5) == false);
    abandon(*queue.candidate());
    BOOST_TEST(would_be_candidate(a, 0, 5));
}

// ---- key 0

BOOST_AUTO_TEST_CASE(key_0_is_one_line_of_requests_beside_the_keys) {
    hold(nobody, 2);
    hold(a);
    wait(nobody);
    wait(nobody);
    wait(a);
    wait(b);
    CHECK_ARRIVALS(order(), 4, 3, 1, 2);
}

BOOST_AUTO_TEST_CASE(key_0_always_has_a_record_but_does_not_count_as_a_key) {
    key_record* const its = queue.find(nobody);
    BOOST_TEST_REQUIRE(its != nullptr);
    BOOST_TEST(its->key() == 0u);
    hold(nobody);
    wait(nobody);
    BOOST_TEST(queue.find(nobody) == its);
    BOOST_TEST(its->held() == 1);
    BOOST_TEST(its->waiting() == 1u);
    BOOST_TEST(queue.keys() == 0u);
    queue.for_each_key([](const key_record&) { BOOST_ERROR("there is none"); });
    grant();
    give_back(nobody);
    give_back(nobody);
    BOOST_TEST(!queue.leave(*its));
    BOOST_TEST(queue.find(nobody) == its);
}

BOOST_AUTO_TEST_CASE(key_0_competes_by_its_service) {
    for (const auto key : {nobody, a, b})
        hold(key), hold(key);
    give_back(nobody, 20);
    give_back(a, 10);
    give_back(b, 30);
    for (const auto key : {b, nobody, a})
        wait(key);
    CHECK_ARRIVALS(order(), 3, 2, 1);
}

// ---- virtual time

BOOST_AUTO_TEST_CASE(a_key_enters_with_the_least_service_of_those_present) {
    hold(a), hold(a), hold(b), hold(b);
    give_back(a, 30);
    give_back(b, 20);
    BOOST_TEST(record(c).served() == 20);
    hold(c), hold(c);
    give_back(c, 7);
    BOOST_TEST(queue.find(c)->served() == 27);
    BOOST_TEST(record(d).served() == 20);
    leave(*queue.find(d));
    give_back(b, 15); // b's last place, so its record leaves
    BOOST_TEST(record(d).served() == 27);
}

// A key that leaves loses its record, and with it its service. If the virtual time stood still, two
// keys that come back with one request at a time would always precede a key that stays.
BOOST_AUTO_TEST_CASE(the_service_of_keys_that_left_advances_the_virtual_time) {
    hold(a), hold(a);
    wait(a);
    give_back(a, 100);
    hold(b), hold(c); // each enters at 100
    hold(b);
    wait(b);
    queue.hold(*queue.find(a), 1);
    give_back(a, 60); // a stays, at 160, so the time stands still
    BOOST_TEST(record(d).served() == 100);
    leave(*queue.find(d));
    give_back(c, 30); // c leaves, one of three
    BOOST_TEST(record(d).served() == 110);
    leave(*queue.find(d));
    hold(c);
    give_back(c, 300); // the time does not pass the largest service
    BOOST_TEST(record(d).served() == 160);
}

BOOST_AUTO_TEST_CASE(the_virtual_time_starts_anew_once_no_request_waits) {
    hold(a), hold(b), hold(a);
    give_back(a, 100);
    queued_request& r = wait(a);
    serve(c, 150);
    BOOST_TEST(record(d).served() == 50);
    leave(*queue.find(d));
    abandon(r);
    serve(c, 150);
    wait(a);
    BOOST_TEST(record(d).served() == 0);
}

BOOST_AUTO_TEST_CASE(L40_a_key_that_comes_back_brings_no_credit) {
    hold(b), hold(b);
    serve(a, 1);
    give_back(b, 1000);
    wait(a);
    BOOST_TEST(queue.find(a)->served() == 1000);
}

BOOST_AUTO_TEST_CASE(a_key_that_comes_back_brings_no_debt) {
    hold(b), hold(b);
    serve(a, 1000);
    give_back(b, 10);
    wait(a);
    BOOST_TEST(queue.find(a)->served() == 10);
}

BOOST_AUTO_TEST_CASE(a_waiting_client_counts_as_present) {
    hold(a);
    wait(b);
    queue.give_back(*queue.find(a), 1, 50);
    leave(*queue.find(a));
    BOOST_TEST(record(c).served() == 0);
}

BOOST_AUTO_TEST_CASE(the_virtual_time_starts_anew_with_no_key_present) {
    serve(a, 1e17);
    serve(nobody, 1e17);
    hold(a), hold(a);
    give_back(a, 1);
    BOOST_TEST(queue.find(a)->served() == 1);
    hold(nobody);
    BOOST_TEST(queue.find(nobody)->served() == 1);
}

BOOST_AUTO_TEST_CASE(key_0_counts_while_it_holds_or_waits) {
    hold(nobody), hold(nobody);
    give_back(nobody, 100);
    hold(a), hold(a);
    BOOST_TEST(queue.find(a)->served() == 100);
    give_back(a, 50);
    give_back(nobody, 1000); // its last place
    BOOST_TEST(record(b).served() == 150);
    leave(*queue.find(b));
    wait(nobody);
    BOOST_TEST(queue.find(nobody)->served() == 150);
}

BOOST_AUTO_TEST_CASE(a_grant_keeps_the_service_of_its_key) {
    hold(a), hold(b), hold(b);
    wait(a);
    wait(b);
    queue.give_back(*queue.find(b), 1, 40);
    queue.give_back(*queue.find(b), 1, 2);
    BOOST_TEST(grant() == 2u);
    BOOST_TEST(queue.find(b)->served() == 42);
    BOOST_TEST(queue.find(b)->held() == 1);
    BOOST_TEST(queue.find(b)->running() == 1u);
    BOOST_TEST(queue.find(b)->waiting() == 0u);
}

// ---- records

BOOST_AUTO_TEST_CASE(a_record_is_removed_once_its_key_neither_holds_nor_waits) {
    hold(a);
    key_record& r = *queue.find(a);
    queued_request waits(3, 1);
    queue.push(waits, r);
    BOOST_TEST(!queue.leave(r));
    queue.give_back(r, 1, 1);
    BOOST_TEST(!queue.leave(r));
    hold(a);
    queue.remove(waits);
    BOOST_TEST(!queue.leave(r));
    BOOST_TEST(queue.keys() == 1u);
    queue.give_back(r, 1, 1);
    BOOST_TEST(queue.leave(r));
    BOOST_TEST(!queue.leave(r));
    BOOST_TEST(queue.find(a) == nullptr);
    BOOST_TEST(queue.keys() == 0u);
}

BOOST_AUTO_TEST_CASE(every_key_is_found_and_listed) {
    for (std::uint64_t key = 100; key > 0; --key)
        hold(key * 3);
    wait(nobody);
    BOOST_TEST(queue.keys() == 100u);
    arrivals told;
    queue.for_each_key([&](const key_record& r) { told.push_back(r.key()); });
    BOOST_TEST_REQUIRE(told.size() == 100u);
    std::sort(told.begin(), told.end());
    for (std::uint64_t key = 1; key <= 100; ++key) {
        BOOST_TEST(told[key - 1] == key * 3);
        BOOST_TEST_REQUIRE(queue.find(key * 3) != nullptr);
        BOOST_TEST(queue.find(key * 3)->key() == key * 3);
        BOOST_TEST(queue.find(key * 3 + 1) == nullptr);
    }
    BOOST_TEST(queue.find(std::numeric_limits<std::uint64_t>::max()) == nullptr);
}

BOOST_AUTO_TEST_CASE(L37_no_key_leaves_anything_behind) {
    std::size_t most = 0;
    for (std::uint64_t key = 1; key <= 10000; ++key) {
        wait(key * 0x9e3779b97f4a7c15u);
        most = std::max(most, queue.keys());
        if (key % 2 == 0)
            abandon(*queue.candidate());
        else if (grant() != nobody)
            give_back(key * 0x9e3779b97f4a7c15u);
    }
    BOOST_TEST(most == 1u);
    BOOST_TEST(queue.keys() == 0u);
    BOOST_TEST(records.empty());
}

// ---- whether an arrival would be the candidate

BOOST_AUTO_TEST_CASE(an_arrival_is_behind_its_equals) {
    wait(a);
    for (const auto key : {a, b, nobody})
        BOOST_TEST(!would_be_candidate(key));
    BOOST_TEST(!would_be_candidate(b, 1));
}

BOOST_AUTO_TEST_CASE(an_arrival_is_before_its_equals_while_newest_come_first) {
    queue.set_newest_first(true);
    wait(a, 1);
    for (const auto key : {a, b, nobody})
        BOOST_TEST(would_be_candidate(key, 1));
    BOOST_TEST(!would_be_candidate(b, 2));
    hold(b);
    BOOST_TEST(!would_be_candidate(b, 1));
    hold(a);
    BOOST_TEST(would_be_candidate(b, 1));
    queue.give_back(*queue.find(b), 1, 1);
    hold(b);
    BOOST_TEST(!would_be_candidate(b, 1));
}

BOOST_AUTO_TEST_CASE(an_arrival_overtakes_requests_that_the_order_puts_behind_it) {
    hold(a);
    wait(a, 1);
    BOOST_TEST(would_be_candidate(a, 0));
    BOOST_TEST(would_be_candidate(b, 1));
    BOOST_TEST(would_be_candidate(nobody, 1));
    BOOST_TEST(!would_be_candidate(a, 1));
    BOOST_TEST(!would_be_candidate(b, 2));
    hold(b);
    BOOST_TEST(!would_be_candidate(b, 1));
    queue.give_back(*queue.find(a), 1, 1);
    hold(a);
    BOOST_TEST(would_be_candidate(b, 1)); // b was served less
}

BOOST_AUTO_TEST_CASE(an_arrival_of_a_new_key_starts_with_the_least_service) {
    hold(d), hold(d);
    give_back(d, 5);
    wait(a); // enters at 5
    BOOST_TEST(!would_be_candidate(b));
    queue.hold(*queue.find(a), 1);
    queue.give_back(*queue.find(a), 1, 1);
    BOOST_TEST(would_be_candidate(b)); // would enter at 5, before a at 6
    BOOST_TEST(would_be_candidate(nobody));
    give_back(d, 1);
    BOOST_TEST(!would_be_candidate(b)); // would enter at 6
    BOOST_TEST(!would_be_candidate(nobody));
}

// ---- a full queue

BOOST_AUTO_TEST_CASE(L12_an_arrival_evicts_the_newest_of_the_lowest_priority) {
    wait(a, 1);
    wait(a, 2);
    wait(nobody, 2);
    wait(a, 2);
    queued_request& newest = wait(nobody, 2);
    BOOST_TEST(victim(b, 0) == 5u);
    BOOST_TEST(victim(b, 1) == 5u);
    BOOST_TEST(victim(nobody, 1) == 5u);
    BOOST_TEST(victim(nobody, 2) == nobody);
    BOOST_TEST(victim(b, 3) == nobody);
    abandon(newest);
    BOOST_TEST(victim(a, 0) == 4u);
}

BOOST_AUTO_TEST_CASE(L39_a_request_of_the_key_with_most_requests_is_evicted) {
    for (int i = 0; i < 4; ++i)
        wait(a);
    for (const std::uint64_t expected : {4u, 3u}) {
        BOOST_TEST_REQUIRE(victim(b) == expected);
        abandon(*queue.victim(queue.find(b), 0));
        wait(b);
    }
    BOOST_TEST(victim(b) == nobody);
    BOOST_TEST(victim(a) == nobody);
    BOOST_TEST(victim(c) == 6u);
}

BOOST_AUTO_TEST_CASE(a_key_with_one_request_more_than_the_arrivals_key_loses_none) {
    wait(a);
    BOOST_TEST(victim(b) == nobody);
    wait(a);
    BOOST_TEST(victim(b) == 2u);
    wait(b);
    BOOST_TEST(victim(b) == nobody);
    wait(a);
    BOOST_TEST(victim(b) == 4u);
}

BOOST_AUTO_TEST_CASE(of_equal_keys_the_one_whose_newest_request_came_last_loses_it) {
    for (const auto key : {a, b, b, a, c})
        wait(key);
    BOOST_TEST(victim(d) == 4u);
    queued_request& last = wait(b);
    wait(a);
    BOOST_TEST(victim(d) == 7u);
    abandon(last);
    wait(b);
    BOOST_TEST(victim(d) == 8u);
    abandon(*requests.at(4)); // an older request of a
    BOOST_TEST(victim(d) == 8u);
    abandon(*requests.at(8)); // now each key has two, and the newest one is a's
    BOOST_TEST(victim(d) == 7u);
}

BOOST_AUTO_TEST_CASE(only_requests_of_the_arrivals_priority_count) {
    for (int i = 0; i < 5; ++i)
        wait(a, 0);
    for (int i = 0; i < 3; ++i)
        wait(b, 1);
    wait(a, 1);
    BOOST_TEST(victim(a, 1) == 8u);
    BOOST_TEST(victim(c, 1) == 8u);
    BOOST_TEST(victim(b, 1) == nobody);
    BOOST_TEST(victim(b, 2) == nobody);
}

BOOST_AUTO_TEST_CASE(the_number_of_requests_of_key_0_does_not_matter_for_an_eviction) {
    for (int i = 0; i < 5; ++i)
        wait(nobody);
    BOOST_TEST(victim(a) == nobody);
    for (int i = 0; i < 3; ++i)
        wait(b, 1);
    BOOST_TEST(victim(nobody, 1) == nobody);
    BOOST_TEST(victim(a, 1) == 8u);
    while (queue.size(1) > 0)
        abandon(*queue.victim(nullptr, 0));
    for (int i = 0; i < 3; ++i)
        wait(b);
    wait(nobody);
    BOOST_TEST(victim(nobody) == nobody);
    BOOST_TEST(victim(a) == 11u);
    abandon(*requests.at(10));
    BOOST_TEST(victim(a) == 11u);
    abandon(*requests.at(11));
    BOOST_TEST(victim(a) == nobody);
}

BOOST_AUTO_TEST_CASE(while_newest_come_first_the_oldest_request_is_evicted) {
    wait(a);
    for (const auto key : {nobody, b, nobody, nobody})
        wait(key, 1);
    BOOST_TEST(victim(c, 1) == nobody);
    queue.set_newest_first(true);
    BOOST_TEST(victim(c, 1) == 2u);
    BOOST_TEST(victim(nobody, 1) == 2u);
    BOOST_TEST(victim(c, 2) == nobody);
    abandon(*requests.at(2));
    BOOST_TEST(victim(b, 1) == 3u);
    wait(b, 1);
    BOOST_TEST(victim(c, 1) == 6u); // b has two requests more than c
    BOOST_TEST(victim(nobody, 1) == 3u);
    BOOST_TEST(victim(c, 0) == 6u); // the newest of the lowest priority
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_FIXTURE_TEST_SUITE(limiter_admission_queue_with_a_cap_of_three, capped)

BOOST_AUTO_TEST_CASE(L35_a_key_at_its_cap_is_passed_over) {
    for (int i = 0; i < 5; ++i)
        wait(a);
    wait(b, 3);
    CHECK_ARRIVALS(grants(), 1, 2, 3, 6);
    BOOST_TEST(candidate() == nobody);
    BOOST_TEST(queue.size() == 2u);
    give_back(a);
    CHECK_ARRIVALS(grants(), 4);
}

BOOST_AUTO_TEST_CASE(a_key_that_holds_nothing_may_exceed_its_cap) {
    wait(a, 0, 10);
    BOOST_TEST(grant() == 1u);
    BOOST_TEST(queue.find(a)->held() == 10);
    wait(a);
    BOOST_TEST(candidate() == nobody);
    BOOST_TEST(!would_be_candidate(a));
    BOOST_TEST(would_be_candidate(b, 0, 10));
    give_back(a, 1, 10);
    BOOST_TEST(candidate() == 2u);
}

BOOST_AUTO_TEST_CASE(a_request_fits_if_its_weight_reaches_the_cap_but_not_beyond) {
    hold(a);
    queued_request& heavy = wait(a, 0, 3);
    BOOST_TEST(candidate() == nobody);
    BOOST_TEST(!would_be_candidate(a, 0, 3));
    BOOST_TEST(would_be_candidate(a, 0, 2));
    wait(a, 0, 2);
    BOOST_TEST(candidate() == 2u);
    abandon(heavy);
    BOOST_TEST(grant() == 2u);
    BOOST_TEST(!would_be_candidate(a, 0, 1));
}

BOOST_AUTO_TEST_CASE(a_light_request_passes_those_of_its_key_that_the_cap_holds_back) {
    hold(a, 2);
    wait(a, 0, 2);
    wait(a, 0, 3);
    queued_request& light = wait(a, 0, 1);
    wait(a, 0, 1);
    wait(a, 0, 2);
    BOOST_TEST(candidate() == 3u);
    queue.set_newest_first(true);
    BOOST_TEST(candidate() == 4u);
    queue.set_newest_first(false);
    abandon(light);
    BOOST_TEST(candidate() == 4u);
    give_back(a, 0, 2);
    CHECK_ARRIVALS(order(), 1, 2, 4, 5);
}

BOOST_AUTO_TEST_CASE(a_key_has_the_place_of_its_first_request_below_the_cap) {
    hold(a), hold(a), hold(b), hold(b);
    wait(a, 0, 2);
    wait(b);
    queued_request& light = wait(a);
    BOOST_TEST(candidate() == 2u); // light has the place of arrival 3, not of arrival 1
    abandon(*requests.at(2));
    BOOST_TEST(candidate() == 3u);
    abandon(light);
    BOOST_TEST(candidate() == nobody);
}

BOOST_AUTO_TEST_CASE(no_cap_applies_to_key_0) {
    for (int i = 0; i < 5; ++i)
        wait(nobody, 0, 2);
    CHECK_ARRIVALS(grants(), 1, 2, 3, 4, 5);
    BOOST_TEST(would_be_candidate(nobody, 0, 9));
}

BOOST_AUTO_TEST_CASE(a_request_held_back_by_a_cap_holds_back_no_other) {
    hold(a, 3);
    wait(a);
    BOOST_TEST(would_be_candidate(b, 3));
    BOOST_TEST(would_be_candidate(nobody, 3));
    BOOST_TEST(!would_be_candidate(a, 0));
}

BOOST_AUTO_TEST_CASE(a_request_held_back_by_a_cap_may_be_evicted) {
    hold(a, 3);
    wait(a, 1);
    wait(a, 1);
    BOOST_TEST(victim(b, 1) == 2u);
    BOOST_TEST(victim(b, 0) == 2u);
    queue.set_newest_first(true);
    BOOST_TEST(victim(a, 1) == 1u);
}

BOOST_AUTO_TEST_CASE(finding_a_light_request_does_not_search_a_long_line_of_heavy_ones) {
    hold(a, 2);
    for (int i = 0; i < 30000; ++i)
        wait(a, 0, 3);
    // A search of the whole queue would take about 10^9 steps.
    for (int i = 0; i < 30000; ++i) {
        queued_request& light = wait(a);
        BOOST_TEST_REQUIRE(queue.candidate() == &light);
        abandon(light);
    }
}

BOOST_AUTO_TEST_SUITE_END()

namespace {

struct waiting_request {
    std::uint64_t arrival;
    int priority;
    std::ptrdiff_t weight;
    std::uint64_t key;
};
using model = test::order_model<waiting_request>;

std::uint64_t arrival_of(const waiting_request* r) {
    return r == nullptr ? nobody : r->arrival;
}

/// Makes the same random steps with a queue and with its model.
struct random_walk {
    struct running {
        std::uint64_t key;
        std::ptrdiff_t weight;
    };

    random_walk(
        std::uint32_t seed, std::ptrdiff_t max_per_key, std::size_t most, std::uint64_t some_keys) :
        max_waiting(most),
        keys(some_keys),
        random(seed),
        subject(max_per_key),
        expected(max_per_key) {}

    std::uint64_t below(std::uint64_t n) { return random() % n; }
    std::uint64_t any_key() { return below(keys + 1); }
    int any_priority() { return below(2) == 0 ? 0 : static_cast<int>(below(4)); }
    std::ptrdiff_t any_weight() { return below(2) == 0 ? 1 : 1 + std::ptrdiff_t(below(4)); }

    void take_out(std::uint64_t arrival) {
        auto& w = expected.waiting;
        w.erase(
            std::find_if(w.begin(), w.end(), [&](const auto& r) { return r.arrival == arrival; }));
    }
    void hold(std::uint64_t key, std::ptrdiff_t weight) {
        model::share share = expected.of(key);
        share.held += weight;
        ++share.running;
        expected.keys[key] = share;
        admitted.push_back({key, weight});
    }

    void arrive() {
        const std::uint64_t key = any_key();
        const int priority = any_priority();
        const std::ptrdiff_t weight = any_weight();
        if (below(4) == 0 && subject.would_be_candidate(key, priority, weight)) {
            subject.hold(key, weight);
            hold(key, weight);
            return;
        }
        if (subject.queue.size() >= max_waiting) {
            const std::uint64_t evicted = subject.victim(key, priority);
            BOOST_TEST_REQUIRE(evicted == arrival_of(expected.victim(key, priority)));
            if (evicted == nobody)
                return;
            // As in a limiter, the evicted request leaves before the arrival joins.
            subject.abandon(*subject.requests.at(evicted));
            take_out(evicted);
            expected.forget_the_idle();
        }
        const std::uint64_t arrival = subject.wait(key, priority, weight).arrival();
        expected.join({arrival, priority, weight, key});
    }
    void grant() {
        const auto* const next = expected.candidate();
        BOOST_TEST_REQUIRE(subject.grant() == arrival_of(next));
        if (next == nullptr)
            return;
        const waiting_request granted = *next;
        take_out(granted.arrival);
        hold(granted.key, granted.weight);
    }
    void cancel() {
        if (expected.waiting.empty())
            return;
        const std::uint64_t arrival = expected.waiting[below(expected.waiting.size())].arrival;
        subject.abandon(*subject.requests.at(arrival));
        take_out(arrival);
    }
    void finish() {
        if (admitted.empty())
            return;
        std::swap(admitted[below(admitted.size())], admitted.back());
        const running ended = admitted.back();
        admitted.pop_back();
        // Only a few values, so that keys often have equal service.
        const double service = static_cast<double>((1 + below(3)) * std::uint64_t(ended.weight));
        subject.give_back(ended.key, service, ended.weight);
        expected.give_back(ended.key, ended.weight, service);
    }
    void turn() {
        expected.newest_first = !expected.newest_first;
        subject.queue.set_newest_first(expected.newest_first);
    }

    void step(unsigned calm) {
        const auto dice = below(100);
        if (dice < 40)
            arrive();
        else if (dice < 55 + calm)
            grant();
        else if (dice < 62 + calm)
            cancel();
        else if (dice < 97 || expected.waiting.size() > 50)
            finish();
        else
            turn();
        expected.forget_the_idle();
    }

    void compare() {
        BOOST_TEST_REQUIRE(subject.candidate() == arrival_of(expected.candidate()));
        BOOST_TEST_REQUIRE(subject.queue.size() == expected.waiting.size());
        for (int priority = 0; priority < 4; ++priority) {
            BOOST_TEST_REQUIRE(subject.queue.size(priority) == expected.count([&](const auto& r) {
                return r.priority == priority;
            }));
        }
        BOOST_TEST_REQUIRE(subject.queue.keys() == expected.keys.size() - expected.keys.count(0));
        BOOST_TEST_REQUIRE(subject.records.size() == subject.queue.keys());
        for (std::uint64_t key = 0; key <= keys; ++key) {
            const auto found = expected.keys.find(key);
            const key_record* const record = subject.queue.find(key);
            BOOST_TEST_REQUIRE((record != nullptr) == (key == 0 || found != expected.keys.end()));
            if (found == expected.keys.end())
                continue;
            BOOST_TEST_REQUIRE(record->held() == found->second.held);
            BOOST_TEST_REQUIRE(record->running() == found->second.running);
            BOOST_TEST_REQUIRE(record->served() == found->second.served);
            BOOST_TEST_REQUIRE(record->waiting() == expected.waits(key));
        }
    }

    /// Asks how an arrival would fare, then lets it arrive and leave again.
    void probe() {
        const std::uint64_t key = any_key();
        const int priority = any_priority();
        const std::ptrdiff_t weight = any_weight();
        BOOST_TEST_REQUIRE(
            subject.victim(key, priority) == arrival_of(expected.victim(key, priority)));
        const bool would_be = subject.would_be_candidate(key, priority, weight);
        queued_request& arrived = subject.wait(key, priority, weight);
        BOOST_TEST_REQUIRE(would_be == (subject.queue.candidate() == &arrived));
        subject.abandon(arrived);
    }

    const std::size_t max_waiting;
    const std::uint64_t keys;
    std::mt19937 random;
    limiter_by_hand subject;
    model expected;
    std::vector<running> admitted;
};

} // namespace

BOOST_AUTO_TEST_SUITE(limiter_admission_queue_beside_a_model)

BOOST_AUTO_TEST_CASE(random_steps_agree_with_the_model_of_the_contract) {
    const auto seed = test::seed();
    struct {
        std::ptrdiff_t max_per_key;
        std::size_t max_waiting;
        std::uint64_t keys;
        int steps;
    } const walks[] = {{0, 8, 4, 8000},  {0, 12, 0, 2000}, {1, 8, 4, 8000},   {3, 12, 3, 8000},
                       {4, 20, 6, 8000}, {3, 80, 3, 3000}, {0, 80, 40, 3000}, {5, 60, 1, 3000}};
    std::uint32_t number = 0;
    for (const auto& w : walks) {
        BOOST_TEST_CONTEXT("seed " << seed << ", walk " << number) {
            random_walk walk(
                static_cast<std::uint32_t>(seed) + number, w.max_per_key, w.max_waiting, w.keys);
            for (int i = 0; i < w.steps; ++i) {
                // Alternates between many and few grants, so that keys come and go.
                walk.step(i / 200 % 2 == 0 ? 0 : 6);
                walk.compare();
                walk.probe();
            }
            while (!walk.subject.queue.empty() || !walk.admitted.empty()) {
                walk.grant();
                walk.finish();
                walk.expected.forget_the_idle();
                walk.compare();
            }
            BOOST_TEST(walk.subject.queue.keys() == 0u);
        }
        ++number;
    }
}

BOOST_AUTO_TEST_SUITE_END()
