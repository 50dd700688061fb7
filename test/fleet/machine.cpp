// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// The machine, which is the client's side of a fleet's limits, rule by rule, with simulated time
// and answers.

#include "machine_world.hpp"

#include <algorithm>
#include <atomic>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace test;
using fleet::failure;

namespace {

[[maybe_unused]] fleet_options
with_mode(fleet_options::unreachable mode, std::ptrdiff_t local_permits = 0) {
    fleet_options options = world::default_options();
    options.when_unreachable = mode;
    options.local_permits = local_permits;
    return options;
}

std::string serials(char what, int first, int last) {
    std::string text;
    for (int i = first; i <= last; ++i)
        text += (i == first ? "" : " ") + std::string(1, what) + std::to_string(i);
    return text;
}

std::vector<fleet::result> all(std::size_t n, const fleet::result& r) {
    return std::vector<fleet::result>(n, r);
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(fleet_machine, no_leaks)

// Limits.

BOOST_AUTO_TEST_CASE(arguments_outside_of_the_contract_are_refused) {
    fleet::machine m("client", 1);
    bool mismatch = false;
    const auto refused = [&](std::string_view name, std::ptrdiff_t permits, fleet_options o) {
        BOOST_CHECK_THROW(m.open(name, permits, o, mismatch), std::invalid_argument);
    };
    const auto with = [](auto change) {
        fleet_options o;
        change(o);
        return o;
    };
    refused("x", 0, {});
    refused("x", (std::ptrdiff_t(1) << 53), {});
    refused("", 1, {});
    refused(std::string(201, 'x'), 1, {});
    refused("a{b", 1, {});
    refused("a}b", 1, {});
    refused("x", 1, with([](fleet_options& o) { o.lease = 49ms; }));
    refused("x", 1, with([](fleet_options& o) { o.lease = std::chrono::milliseconds::max(); }));
    refused("x", 1, with([](fleet_options& o) { o.margin = 5s; }));
    refused("x", 1, with([](fleet_options& o) { o.margin = std::chrono::milliseconds::max(); }));
    refused("x", 1, with([](fleet_options& o) { o.margin = -1ms; }));
    refused("x", 1, with([](fleet_options& o) { o.max_hold = -1ms; }));
    refused("x", 1, with([](fleet_options& o) { o.window = 0; }));
    refused("x", 1, with([](fleet_options& o) { o.unreachable_after = -1ms; }));
    refused("x", 1, with([](fleet_options& o) { o.local_permits = -1; }));
    m.open(
        std::string(200, 'x'), 1, with([](fleet_options& o) {
            o.lease = 50ms;
            o.margin = 24ms;
        }),
        mismatch);
    BOOST_TEST(!mismatch);
    BOOST_TEST(m.shortest_lease().count() == 50);
}

BOOST_AUTO_TEST_CASE(objects_of_one_name_share_a_limit_and_its_options) {
    world w;
    fleet_options other = world::default_options();
    other.window = 7;
    bool mismatch = false;
    BOOST_CHECK_THROW(w.machine.open("x", 3, other, mismatch), std::invalid_argument);
    BOOST_TEST(&w.machine.open("x", 3, world::default_options(), mismatch) == w.in);
    BOOST_TEST(!mismatch);
    BOOST_TEST(&w.machine.open("x", 4, world::default_options(), mismatch) == w.in);
    BOOST_TEST(mismatch);
    BOOST_TEST(w.machine.permits_of(*w.in) == 3);
}

BOOST_AUTO_TEST_CASE(a_new_object_is_compared_with_the_limit_of_the_server) {
    world w;
    w.connect();
    w.answer.limit = 5;
    auto r = w.hold();
    bool mismatch = false;
    w.machine.open("x", 5, world::default_options(), mismatch);
    BOOST_TEST(!mismatch);
    w.machine.open("x", 3, world::default_options(), mismatch);
    BOOST_TEST(mismatch);
}

BOOST_AUTO_TEST_CASE(an_object_that_adopts_the_limit_has_no_mismatch) {
    fleet_options adopts = world::default_options();
    adopts.adopt_limit = true;
    world w(adopts);
    bool mismatch = true;
    w.machine.open("x", 17, adopts, mismatch);
    BOOST_TEST(!mismatch);
    w.connect();
    w.acquire(10);
    BOOST_TEST(w.say() == "A1");
    BOOST_TEST(!w.said.is_strict);
    w.answer.limit = 20;
    w.hear({w.granted(1)});
    BOOST_TEST(w.events() == "granted 1");
    BOOST_TEST(w.machine.permits_of(*w.in) == 20);
}

BOOST_AUTO_TEST_CASE(a_limit_is_forgotten_once_it_is_closed_and_nothing_is_left_of_it) {
    world w;
    w.connect();
    auto r = w.hold();
    w.machine.close(*w.in, w.now);
    fleet_options other = world::default_options();
    other.window = 7;
    bool mismatch = false;
    BOOST_CHECK_THROW(w.machine.open("x", 3, other, mismatch), std::invalid_argument);
    w.give_back(r);
    BOOST_CHECK_THROW(w.machine.open("x", 3, other, mismatch), std::invalid_argument);
    BOOST_TEST(w.say() == "R1");
    w.hear({w.plain(verdict::released)});
    BOOST_TEST(w.machine.is_empty());
    w.machine.open("x", 3, other, mismatch);
    w.give_back(r); // the ticket outlives its limit
    BOOST_TEST(!w.withdraw(r));
    BOOST_TEST(!r->is_valid(w.now));
}

BOOST_AUTO_TEST_CASE(closing_the_last_object_ends_its_waiting_requests) {
    world w;
    w.connect();
    bool mismatch = false;
    w.machine.open("x", 3, world::default_options(), mismatch);
    auto queued = w.queue();
    auto waits = w.acquire();
    w.machine.close(*w.in, w.now);
    BOOST_TEST(w.events() == "");
    w.machine.close(*w.in, w.now);
    BOOST_TEST(w.events() == "failed 1 closed, failed 2 closed");
    BOOST_TEST(w.say() == "R1");
    w.hear({w.plain(verdict::withdrawn)});
    BOOST_TEST(w.machine.is_empty());
}

// Requests.

BOOST_AUTO_TEST_CASE(requests_are_sent_in_the_order_of_initiation) {
    world w;
    w.connect();
    w.acquire();
    w.acquire(2);
    w.acquire(3);
    BOOST_TEST(w.say() == "A1 A2 A3");
    BOOST_TEST(w.said.commands[1].of.n == 2);
    BOOST_TEST(w.said.commands[2].of.lease == 400);
    BOOST_TEST(w.said.presence == 400);
    BOOST_TEST(w.said.lease == 400);
    BOOST_TEST(w.said.limit == 3);
    w.hear({w.granted(1), w.granted(2), w.plain(verdict::queued)});
    BOOST_TEST(w.events() == "granted 1, granted 2");
}

BOOST_AUTO_TEST_CASE(requests_started_while_a_call_is_in_flight_go_with_the_next_one) { // F62
    world w({}, 100);
    w.connect();
    w.acquire();
    BOOST_TEST(w.say() == "A1");
    for (int i = 0; i < 63; ++i)
        w.acquire();
    BOOST_TEST(w.say() == "-");
    w.hear({w.granted(1)});
    BOOST_TEST(w.say() == serials('A', 2, 64));
    w.hear(all(63, w.granted(2)));
    BOOST_TEST(w.say() == "-");
    BOOST_TEST(w.machine.counts().calls == 2u);
    BOOST_TEST(w.machine.counts_of(*w.in).granted == 64u);
    w.events();
}

BOOST_AUTO_TEST_CASE(each_of_several_limits_has_its_own_call) {
    world w;
    bool mismatch = false;
    fleet::limit& other = w.machine.open("y", 1, world::default_options(), mismatch);
    w.connect();
    auto first = w.acquire();
    auto second = w.make();
    BOOST_TEST((w.machine.start(other, *second, w.now) == outcome::queued));
    const auto calls = w.machine.next_calls(w.now);
    BOOST_TEST_REQUIRE(calls.size() == 2u);
    BOOST_TEST(calls[0].name == "x");
    BOOST_TEST(calls[1].name == "y");
    // F64: one limit fails, and the other is not affected.
    std::vector<fleet::reply> replies(2);
    replies[0].failed = failure::rejected;
    replies[1].said = w.answer;
    replies[1].said.now = w.clock();
    replies[1].said.results = {w.granted(4)};
    w.machine.replied(replies, w.now);
    BOOST_TEST(w.events() == "failed 1 rejected, granted 2");
}

BOOST_AUTO_TEST_CASE(no_more_requests_than_the_window_wait_in_the_server) {
    fleet_options options = world::default_options();
    options.window = 2;
    world w(options);
    w.connect();
    for (int i = 0; i < 4; ++i)
        w.acquire();
    BOOST_TEST(w.say() == "A1 A2");
    w.hear({w.granted(1), w.plain(verdict::queued)});
    BOOST_TEST(w.say() == "A3");
    w.hear({w.plain(verdict::queued)});
    BOOST_TEST(w.say() == "-");
    BOOST_TEST(w.machine.waiting_in(*w.in) == 3u);
    w.push_grant(2, 2);
    BOOST_TEST(w.say() == "A4");
    BOOST_TEST(w.events() == "granted 1, granted 2");
}

BOOST_AUTO_TEST_CASE(
    a_hundred_thousand_requests_wait_in_the_client_and_leave_without_a_call) { // F54
    world w(world::default_options(), 1);
    w.connect();
    auto holder = w.hold();
    std::vector<request_pointer> waiting;
    for (int i = 0; i < 100'000; ++i)
        waiting.push_back(w.acquire());
    w.say();
    BOOST_TEST(w.said.commands.size() == 64u);
    w.hear(all(64, w.plain(verdict::queued)));
    BOOST_TEST(w.say() == "-");
    BOOST_TEST(w.machine.waiting_in(*w.in) == 100'000u);
    std::reverse(waiting.begin(), waiting.end());
    for (const request_pointer& r : waiting)
        BOOST_REQUIRE(w.withdraw(r));
    waiting.clear();
    BOOST_TEST(w.machine.waiting_in(*w.in) == 0u);
    BOOST_TEST(request::alive == 1 + 64);
    w.say();
    BOOST_TEST(w.said.commands.size() == 64u);
    BOOST_TEST((w.said.commands.front().what == fleet::verb::give_back));
    w.hear(all(64, w.plain(verdict::withdrawn)));
    BOOST_TEST(request::alive == 1);
    BOOST_TEST(w.machine.counts_of(*w.in).cancelled == 100'000u);
}

BOOST_AUTO_TEST_CASE(the_server_decides_whether_a_request_exceeds_the_limit) {
    world w;
    auto known = w.make(4);
    // Without a connection, the limit that the client knows counts.
    BOOST_TEST(to_text(w.start(known)) == "exceeds_max");
    w.connect();
    w.acquire(4);
    w.acquire(1);
    BOOST_TEST(w.say() == "A1 A2");
    auto behind = w.acquire(1);
    auto late = w.make(4);
    // The same if the request cannot go with the next call.
    BOOST_TEST(to_text(w.start(late)) == "exceeds_max");
    w.hear({w.plain(verdict::exceeds), w.granted(1)});
    BOOST_TEST(w.events() == "failed 2 exceeds_max, granted 3");
    w.withdraw(behind);
    BOOST_TEST(w.say() == "-"); // nothing to give back
}

BOOST_AUTO_TEST_CASE(a_request_above_a_lowered_limit_fails) { // F33
    world w;
    w.connect();
    w.queue(3);
    w.queue(3);
    fleet::push p;
    p.name = "x";
    p.exceeded = {1};
    w.machine.pushed(p, w.now);
    BOOST_TEST(w.events() == "failed 1 exceeds_max");
    w.pass(150ms);
    BOOST_TEST(w.say() == "W2");
    w.answer.exceeded = {2};
    w.hear({w.plain(verdict::queued)});
    BOOST_TEST(w.events() == "failed 2 exceeds_max");
    BOOST_TEST(w.say() == "-");
}

BOOST_AUTO_TEST_CASE(a_try_takes_one_trip) {
    world w;
    auto r = w.make(1, world::purpose::try_acquire);
    BOOST_TEST(to_text(w.start(r)) == "timed_out"); // no connection
    w.connect();
    w.acquire(1, world::purpose::try_acquire);
    w.acquire(1, world::purpose::try_acquire);
    BOOST_TEST(w.say() == "T1 T2");
    w.hear({w.granted(1), w.plain(verdict::refused)});
    BOOST_TEST(w.events() == "granted 2, failed 3 timed_out");
    BOOST_TEST(w.say() == "-");
}

BOOST_AUTO_TEST_CASE(a_try_ends_with_the_connection) {
    world w;
    w.connect();
    w.acquire(1, world::purpose::try_acquire);
    w.acquire(1, world::purpose::try_acquire);
    BOOST_TEST(w.say() == "T1 T2");
    w.acquire(1, world::purpose::try_acquire);
    w.disconnect();
    BOOST_TEST(w.events() == "failed 1 timed_out, failed 2 timed_out, failed 3 timed_out");
    w.connect();
    BOOST_TEST(w.say() == "R1 R2");
}

BOOST_AUTO_TEST_CASE(a_try_does_not_wait_for_the_server_to_recover) {
    for (const failure failed : {failure::busy, failure::refused, failure::unavailable})
        BOOST_TEST_CONTEXT(static_cast<int>(failed)) {
            world w;
            w.connect();
            auto patient = w.acquire();
            w.acquire(1, world::purpose::try_acquire);
            BOOST_TEST(w.say() == "A1 T2");
            w.acquire(1, world::purpose::try_acquire); // would be said after the pause
            w.hear_failure(failed);
            BOOST_TEST(w.events() == "failed 2 timed_out, failed 3 timed_out");
            auto r = w.make(1, world::purpose::try_acquire);
            BOOST_TEST(to_text(w.start(r)) == "timed_out");
            w.pass();
            BOOST_TEST(w.say() == "A1"); // the call of the try has done nothing
            w.hear({w.granted(1)});
            BOOST_TEST(w.events() == "granted 1");
            BOOST_TEST(to_text(w.start(r)) == "queued");
            BOOST_TEST(w.say() == "T4");
        }
}

BOOST_AUTO_TEST_CASE(a_try_overtakes_no_request_of_its_client) {
    fleet_options options = world::default_options();
    options.window = 2;
    world w(options);
    w.connect();
    w.acquire();
    w.acquire(1, world::purpose::try_acquire); // in the same call, behind it
    auto r = w.make(1, world::purpose::try_acquire);
    BOOST_TEST(to_text(w.start(r)) == "timed_out");
    BOOST_TEST(w.say() == "A1 T2");
}

BOOST_AUTO_TEST_CASE(no_more_requests_wait_than_max_waiting) {
    fleet_options options = world::default_options();
    options.max_waiting = 2;
    world w(options);
    w.connect();
    auto first = w.acquire();
    w.acquire();
    auto third = w.make();
    BOOST_TEST(to_text(w.start(third)) == "queue_full");
    w.withdraw(first);
    w.acquire();
}

BOOST_AUTO_TEST_CASE(a_count_of_zero_or_less_is_refused) {
    world w;
    auto none = w.make(0);
    auto fewer = w.make(-1);
    auto tries = w.make(0, world::purpose::try_acquire);
    auto limit = w.make(0, world::purpose::set_limit);
    for (auto* const r : {&none, &fewer, &tries, &limit})
        BOOST_TEST(to_text(w.start(*r)) == "invalid_argument");
}

// Cancellation.

BOOST_AUTO_TEST_CASE(a_request_that_was_not_sent_leaves_without_a_call) {
    world w;
    w.connect();
    auto r = w.acquire();
    BOOST_TEST(w.withdraw(r));
    BOOST_TEST(!w.withdraw(r));
    BOOST_TEST(w.say() == "-");
    BOOST_TEST(w.machine.is_empty());
    BOOST_TEST(r->references == 1);
}

BOOST_AUTO_TEST_CASE(a_request_cancelled_in_flight_is_given_back_after_the_reply) { // F17
    world w;
    w.connect();
    auto r = w.acquire();
    BOOST_TEST(w.say() == "A1");
    BOOST_TEST(w.withdraw(r));
    BOOST_TEST(w.say() == "-");
    w.hear({w.granted(5)});
    BOOST_TEST(w.events() == "");
    BOOST_TEST(!r->is_valid(w.now));
    BOOST_TEST(!w.machine.is_empty());
    BOOST_TEST(w.say() == "R1");
    w.hear({w.plain(verdict::released)});
    BOOST_TEST(w.machine.is_empty());
    BOOST_TEST(r->references == 1);
    BOOST_TEST(w.events() == "");
}

BOOST_AUTO_TEST_CASE(
    a_request_cancelled_while_its_reply_is_lost_is_given_back_by_the_next_connection) {
    world w; // F18
    w.connect();
    auto r = w.acquire();
    BOOST_TEST(w.say() == "A1");
    w.disconnect();
    BOOST_TEST(w.withdraw(r));
    BOOST_TEST(!w.machine.is_empty());
    w.connect();
    BOOST_TEST(w.say() == "R1");
    w.disconnect();
    w.connect();
    BOOST_TEST(w.say() == "R1"); // repeated until the server answers
    w.hear({w.plain(verdict::released)});
    BOOST_TEST(w.machine.is_empty());
    w.disconnect();
    w.connect();
    BOOST_TEST(w.say() == "-");
}

BOOST_AUTO_TEST_CASE(a_request_without_an_answer_is_sent_again_and_granted_once) { // F19
    world w;
    w.connect();
    auto r = w.acquire();
    BOOST_TEST(w.say() == "A1");
    w.disconnect();
    w.pass(20ms);
    w.connect();
    BOOST_TEST(w.say() == "A1");
    w.hear({w.granted(5, 380ms)});
    BOOST_TEST(w.events() == "granted 1");
    BOOST_TEST(r->fence() == 5u);
    BOOST_TEST((r->deadline() == w.now + 380ms - 40ms));
    w.push_grant(1, 5); // the same grant again, from another source
    BOOST_TEST(w.events() == "");
    BOOST_TEST((r->deadline() == w.now + 380ms - 40ms));
    BOOST_TEST(w.machine.counts_of(*w.in).granted == 1u);
}

BOOST_AUTO_TEST_CASE(a_request_withdrawn_while_it_waits_in_the_server_gives_back_its_place) {
    world w;
    w.connect();
    auto r = w.queue();
    BOOST_TEST(w.withdraw(r));
    BOOST_TEST(w.say() == "R1");
    w.push_grant(1, 9); // sent before the server read the R
    BOOST_TEST(w.events() == "");
    w.hear({w.plain(verdict::released)});
    BOOST_TEST(w.machine.is_empty());
}

BOOST_AUTO_TEST_CASE(a_grant_to_a_withdrawn_request_by_older_data_is_given_back_at_once) {
    for (const bool is_pushed : {true, false}) {
        world w;
        w.connect();
        auto r = w.queue(2);
        w.withdraw(r);
        r.reset();
        BOOST_TEST(w.say() == "R1");
        w.hear({w.plain(verdict::withdrawn)});
        BOOST_TEST(w.machine.is_empty());
        if (is_pushed) {
            w.push_grant(1, 9);
        } else {
            w.inspect();
            w.say();
            w.answer.granted = {{1, 9, w.clock() + 400}};
            w.hear({w.plain(verdict::done)});
            BOOST_TEST(w.events() == "done 2");
        }
        BOOST_TEST(w.say() == "R1");
        BOOST_TEST(w.said.commands[0].of.n == 2);
        w.hear_failure(failure::busy);
        w.pass(50ms);
        BOOST_TEST(w.say() == "R1");
        w.hear({w.plain(verdict::released)});
        BOOST_TEST(w.say() == "-");
        BOOST_TEST(w.events() == "");
    }
}

BOOST_AUTO_TEST_CASE(a_granted_request_cannot_be_cancelled) {
    world w;
    w.connect();
    auto r = w.acquire();
    w.say();
    w.hear({w.granted(1)});
    BOOST_TEST(!w.withdraw(r)); // the grant is already an event
    BOOST_TEST(w.events() == "granted 1");
    BOOST_TEST(!w.withdraw(r));
    BOOST_TEST(r->is_valid(w.now));
}

BOOST_AUTO_TEST_CASE(timeouts_and_cancellations_are_counted_separately) {
    world w;
    auto a = w.acquire();
    auto b = w.acquire();
    w.machine.withdraw(*a, w.now, outcome::timed_out);
    w.machine.withdraw(*b, w.now);
    BOOST_TEST(w.machine.counts_of(*w.in).timed_out == 1u);
    BOOST_TEST(w.machine.counts_of(*w.in).cancelled == 1u);
}

BOOST_AUTO_TEST_CASE(a_dead_socket_can_hold_a_request_for_longer_than_a_lease) { // F35
    world w;
    w.connect();
    auto r = w.acquire();
    BOOST_TEST(w.say() == "A1");
    w.disconnect();
    w.withdraw(r);
    w.pass(800ms);
    BOOST_TEST(!w.machine.is_empty());
    w.connect();
    BOOST_TEST(w.say() == "R1");
    BOOST_TEST(w.machine.connection() == 2u);
    w.hear({w.plain(verdict::released)});
    BOOST_TEST(w.machine.is_empty());
}

BOOST_AUTO_TEST_CASE(a_call_in_a_dead_socket_can_be_executed_until_the_next_connection) {
    world w;
    w.connect();
    auto r = w.acquire();
    BOOST_TEST(w.say() == "A1");
    w.disconnect();
    w.withdraw(r);
    w.pass(2s);
    w.connect();
    for (const auto d : {0ms, 799ms}) { // the place may become a lease
        w.pass(d);
        BOOST_TEST(w.say() == "R1");
        w.hear_failure(failure::rejected);
        BOOST_TEST(!w.machine.is_empty());
    }
    w.pass(34ms);
    BOOST_TEST(w.say() == "R1");
    w.hear_failure(failure::rejected);
    BOOST_TEST(w.machine.is_empty());
}

BOOST_AUTO_TEST_CASE(a_place_stays_for_as_long_as_the_client_is_present) {
    world w;
    w.connect();
    auto r = w.queue();
    auto other = w.queue();
    w.pass(1s); // the answer to the heartbeat is late
    BOOST_TEST(w.say() == "W1 W2");
    w.withdraw(r);
    w.pass(300ms);
    w.hear({w.plain(verdict::queued), w.plain(verdict::queued)});
    BOOST_TEST(w.say() == "R1 W2");
    for (int i = 0; i < 100; ++i) {
        w.hear_failure(failure::busy);
        w.pass(50ms);
        if (w.say() == "W2")
            break;
        BOOST_TEST(!w.machine.is_empty());
    }
    // The server executed nothing for two leases, so it has the request neither in the queue nor as
    // a lease.
    BOOST_TEST(to_text(w.said) == "W2");
    BOOST_TEST((w.now == fleet::time_point(1'000s) + 1300ms + 800ms + 50ms));
}

BOOST_AUTO_TEST_CASE(a_lease_made_by_a_push_may_end_long_after_its_first_call) {
    world w;
    w.connect();
    auto r = w.queue();
    w.pass();
    w.say();
    w.hear({w.plain(verdict::queued)});
    w.pass(100ms);
    w.push_grant(1, 5);
    BOOST_TEST(w.events() == "granted 1");
    w.give_back(r);
    BOOST_TEST(w.say() == "R1");
    w.hear_failure(failure::rejected);
    w.pass(200ms);
    BOOST_TEST(w.say() == "R1");
    w.hear_failure(failure::rejected);
    w.pass(199ms);
    BOOST_TEST(w.say() == "R1");
    w.hear_failure(failure::rejected);
    BOOST_TEST(!w.machine.is_empty());
    w.pass(34ms);
    BOOST_TEST(w.say() == "R1");
    w.hear_failure(failure::rejected);
    BOOST_TEST(w.machine.is_empty());
}

BOOST_AUTO_TEST_CASE(
    a_permit_that_the_server_refuses_to_take_back_is_forgotten_when_its_lease_ends) {
    world w;
    w.connect();
    auto r = w.hold();
    w.pass(100ms);
    w.give_back(r);
    for (int tries = 1;; ++tries) {
        BOOST_TEST_REQUIRE(w.say() == "R1");
        w.hear_failure(failure::rejected);
        if (w.now >= fleet::time_point(1'000s) + 400ms)
            break;
        BOOST_TEST(!w.machine.is_empty());
        BOOST_TEST(w.pass() == 33); // a twelfth of the lease
    }
    BOOST_TEST(w.machine.is_empty());
    BOOST_TEST(w.pass() == -1);
}

// Leases.

BOOST_AUTO_TEST_CASE(a_lease_counts_from_before_its_call_was_sent) {
    world w;
    w.connect();
    auto r = w.acquire();
    w.say();
    w.pass(30ms);
    w.hear({w.granted(9)});
    BOOST_TEST(w.events() == "granted 1");
    BOOST_TEST(r->fence() == 9u);
    BOOST_TEST(!r->is_local());
    BOOST_TEST(w.ms_left(r) == 400 - 40 - 30);
    BOOST_TEST(r->is_valid(r->deadline() - 1ns));
}

BOOST_AUTO_TEST_CASE(the_margin_of_the_options_is_used) {
    fleet_options options = world::default_options();
    options.margin = 100ms;
    world w(options);
    w.connect();
    auto r = w.hold();
    BOOST_TEST(w.ms_left(r) == 300);
}

BOOST_AUTO_TEST_CASE(the_first_check_after_the_deadline_ends_the_lease) { // F36
    world w;
    w.connect();
    auto r = w.hold();
    const fleet::time_point deadline = r->deadline();
    BOOST_TEST(r->is_valid(deadline - 1ns));
    BOOST_TEST(!r->is_valid(deadline));
    BOOST_TEST(!r->is_valid(deadline - 1ns)); // once invalid, it stays invalid
    BOOST_TEST((r->deadline() == fleet::time_point::min()));
    w.give_back(r, true);
    BOOST_TEST(w.events() == "released 1 lost");
    BOOST_TEST(w.say() == "R1");
}

BOOST_AUTO_TEST_CASE(a_lease_granted_by_a_push_counts_from_when_its_request_still_waited) {
    world w;
    w.connect();
    auto r = w.acquire();
    w.say();
    w.pass(5ms);
    w.hear({w.plain(verdict::queued)});
    auto asked = w.acquire();
    w.pass(100ms);
    w.push_grant(1, 2);
    BOOST_TEST(w.events() == "granted 1");
    BOOST_TEST(w.ms_left(r) == 400 - 40 - 105);
    w.give_back(r);
}

BOOST_AUTO_TEST_CASE(a_push_counts_from_the_last_call_that_found_the_request_waiting) {
    world w;
    w.connect();
    auto r = w.queue();
    w.pass(w.next() + 7ms);
    BOOST_TEST(w.say() == "W1");
    w.pass(11ms);
    w.hear({w.plain(verdict::queued)});
    w.pass(13ms);
    w.push_grant(1, 2);
    BOOST_TEST(w.ms_left(r) == 400 - 40 - 11 - 13);
    BOOST_TEST(w.events() == "granted 1");
}

BOOST_AUTO_TEST_CASE(a_push_that_precedes_every_answer_counts_from_the_first_call) {
    world w;
    w.connect();
    auto r = w.acquire();
    w.say();
    w.pass(50ms);
    w.disconnect();
    w.pass(50ms);
    w.connect();
    BOOST_TEST(w.say() == "A1");
    w.pass(10ms);
    w.push_grant(1, 2);
    BOOST_TEST(w.events() == "granted 1");
    BOOST_TEST(w.ms_left(r) == 400 - 40 - 110);
    w.hear({w.granted(2)});
    BOOST_TEST(w.events() == "");
    BOOST_TEST(w.ms_left(r) == 400 - 40 - 110);
}

BOOST_AUTO_TEST_CASE(a_request_sent_twice_counts_from_the_call_that_found_it_waiting) {
    world w;
    w.connect();
    auto r = w.acquire();
    w.say();
    w.disconnect();
    w.pass(200ms);
    w.connect();
    w.say();
    w.hear({w.plain(verdict::queued)});
    w.pass(20ms);
    w.push_grant(1, 2);
    BOOST_TEST(w.events() == "granted 1");
    BOOST_TEST(w.ms_left(r) == 400 - 40 - 20);
}

BOOST_AUTO_TEST_CASE(an_answer_after_the_deadline_grants_nothing_and_the_request_is_sent_again) {
    world w;
    w.connect();
    auto r = w.acquire();
    w.say();
    auto next = w.acquire();
    w.pass(360ms);
    w.hear({w.granted(9)});
    BOOST_TEST(w.events() == "");
    BOOST_TEST(!r->is_valid(w.now));
    BOOST_TEST(w.say() == "R1 A2"); // the old name has to be given back before the new one is used
    w.hear({w.plain(verdict::released), w.granted(10)});
    BOOST_TEST(w.say() == "A3");
    w.hear({w.granted(11)});
    BOOST_TEST(w.events() == "granted 2, granted 1");
    BOOST_TEST(r->fence() == 11u);
    w.give_back(r);
    BOOST_TEST(w.say() == "R3");
}

BOOST_AUTO_TEST_CASE(a_push_after_the_deadline_grants_nothing_and_the_request_is_sent_again) {
    world w;
    w.connect();
    auto r = w.queue();
    w.pass(360ms);
    w.push_grant(1, 9);
    BOOST_TEST(w.events() == "");
    BOOST_TEST(w.say() == "R1");
    w.withdraw(r); // while the machine waits for the answer
    w.hear({w.plain(verdict::released)});
    BOOST_TEST(w.say() == "-");
    BOOST_TEST(w.machine.is_empty());
}

BOOST_AUTO_TEST_CASE(a_try_times_out_when_the_answer_comes_after_the_deadline) {
    world w;
    w.connect();
    auto r = w.acquire(1, world::purpose::try_acquire);
    w.say();
    w.pass(360ms);
    w.hear({w.granted(9)});
    BOOST_TEST(w.events() == "failed 1 timed_out");
    BOOST_TEST(w.say() == "R1");
}

BOOST_AUTO_TEST_CASE(leases_are_renewed_every_third_of_their_length_all_in_one_call) {
    world w;
    w.connect();
    auto a = w.hold(1);
    w.pass(100ms);
    auto b = w.hold(2);
    for (int i = 0; i < 100; ++i) {
        const fleet::time_point before = i == 0 ? w.now - 100ms : w.now;
        w.pass();
        BOOST_TEST((w.now - before >= (i == 0 ? 106'667us : 133'333us)));
        BOOST_TEST((w.now - before <= 133'334us));
        BOOST_TEST(w.say() == "N1 N2");
        BOOST_TEST(w.said.commands[1].fence == 2u);
        BOOST_TEST((w.machine.next_time() > w.now)); // nothing is due while the call is in flight
        w.hear({w.renewed(), w.renewed()});
        BOOST_TEST(w.ms_left(a) == 360);
        BOOST_TEST(w.ms_left(b) == 360);
    }
    BOOST_TEST(w.machine.counts_of(*w.in).renewals == 200u);
    BOOST_TEST(w.machine.counts_of(*w.in).renewals_late == 0u);
    w.give_back(a);
    w.give_back(b);
    w.say();
    w.hear({w.plain(verdict::released), w.plain(verdict::released)});
    BOOST_TEST(w.pass() == -1); // nothing is held, so nothing is due
}

BOOST_AUTO_TEST_CASE(clients_that_start_together_do_not_renew_in_step) {
    std::set<std::chrono::nanoseconds> times;
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        fleet::machine m("client", seed);
        bool mismatch = false;
        fleet::limit& in = m.open("x", 1, world::default_options(), mismatch);
        const fleet::time_point now(1'000s);
        m.connected(now);
        const request_pointer r(new request(world::purpose::acquire, 1, 1));
        BOOST_TEST((m.start(in, *r, now) == outcome::queued));
        const auto answer_next = [&](verdict what, fleet::time_point then) {
            BOOST_TEST_REQUIRE(m.next_calls(then).size() == 1u);
            std::vector<fleet::reply> replies(1);
            replies[0].said.limit = 1;
            replies[0].said.results.resize(1);
            replies[0].said.results[0].what = what;
            replies[0].said.results[0].expiry = 400;
            m.replied(replies, then);
        };
        answer_next(verdict::granted, now);
        BOOST_TEST((m.take_event() && !m.take_event()));
        times.insert(m.next_time() - now);
        m.disconnected(now);
        m.connected(now);
        answer_next(verdict::renewed, now);
        times.insert(m.next_time() - now);
    }
    BOOST_TEST(times.size() > 30u);
    BOOST_TEST((*times.begin() >= 106'666us));
    BOOST_TEST((*times.rbegin() <= 133'334us));
}

BOOST_AUTO_TEST_CASE(a_thousand_renewals_are_one_call) { // F61
    world w(world::default_options(), 1'000);
    w.connect();
    std::vector<request_pointer> held;
    for (int i = 0; i < 1'000; ++i)
        held.push_back(w.acquire());
    while (w.say() != "-")
        w.hear(all(w.said.commands.size(), w.granted(1)));
    w.events();
    const auto calls = w.machine.counts().calls;
    w.pass();
    w.say();
    BOOST_TEST(w.said.commands.size() == 1'000u);
    w.hear(all(1'000, w.renewed()));
    BOOST_TEST(w.say() == "-");
    BOOST_TEST(w.machine.counts().calls == calls + 1);
    BOOST_TEST(w.machine.counts_of(*w.in).renewals == 1'000u);
    for (const request_pointer& r : held)
        BOOST_TEST(w.ms_left(r) == 360);
}

BOOST_AUTO_TEST_CASE(more_than_1024_renewals_are_several_calls_and_others_go_with_the_first) {
    fleet_options options = world::default_options();
    options.window = 3'000;
    world w(options, 3'000);
    w.connect();
    std::vector<request_pointer> held;
    for (int i = 0; i < 2'000; ++i)
        held.push_back(w.acquire());
    while (w.say() != "-")
        w.hear(all(w.said.commands.size(), w.granted(1)));
    w.events();
    w.pass();
    for (int i = 0; i < 600; ++i)
        held.push_back(w.acquire());
    BOOST_TEST(w.say() == serials('N', 1, 1'024) + ' ' + serials('A', 2'001, 2'512));
    std::vector<fleet::result> results = all(1'024, w.renewed());
    results.resize(1'024 + 512, w.granted(2));
    w.hear(std::move(results));
    BOOST_TEST(w.say() == serials('N', 1'025, 2'000) + ' ' + serials('A', 2'513, 2'600));
    results = all(976, w.renewed());
    results.resize(976 + 88, w.granted(2));
    w.hear(std::move(results));
    BOOST_TEST(w.say() == "-");
    w.events();
}

BOOST_AUTO_TEST_CASE(a_renewal_is_void_after_the_expiry_less_the_margin) {
    world w;
    w.connect();
    auto r = w.acquire();
    w.say();
    const std::int64_t expiry = w.clock() + 400;
    w.hear({w.granted(1)});
    w.events();
    w.pass();
    BOOST_TEST(w.say() == "N1");
    BOOST_TEST(w.said.commands[0].void_after == expiry - 40);
    w.hear({w.renewed()});
    const std::int64_t next = w.clock() + 400;
    w.pass();
    w.say();
    BOOST_TEST(w.said.commands[0].void_after == next - 40);
}

BOOST_AUTO_TEST_CASE(a_renewal_counts_from_before_it_was_sent) {
    world w;
    w.connect();
    auto r = w.hold();
    w.pass();
    w.say();
    w.pass(50ms);
    w.hear({w.renewed()});
    BOOST_TEST(w.ms_left(r) == 360 - 50);
}

BOOST_AUTO_TEST_CASE(a_renewal_does_not_bring_back_a_permit_reported_as_lost) {
    world w;
    w.connect();
    auto r = w.hold();
    const fleet::time_point deadline = r->deadline();
    w.pass();
    BOOST_TEST(w.say() == "N1");
    BOOST_TEST(!r->is_valid(deadline)); // the clock of this thread is ahead of the machine's
    w.hear({w.renewed()});
    BOOST_TEST(!r->is_valid(w.now));
    BOOST_TEST(w.events() == "lost 1");
    BOOST_TEST(w.machine.counts_of(*w.in).lost_by_deadline == 1u);
    w.pass(200ms);
    BOOST_TEST(w.say() == "-"); // no longer renewed, and its holder has not given it back yet
    w.give_back(r);
    BOOST_TEST(w.say() == "R1");
}

BOOST_AUTO_TEST_CASE(a_renewal_answered_after_the_deadline_does_not_bring_the_permit_back) {
    world w;
    w.connect();
    auto r = w.hold();
    w.pass();
    BOOST_TEST(w.say() == "N1");
    while (w.now < fleet::time_point(1'000s) + 360ms)
        w.now += 1ms; // no timer runs
    w.hear({w.renewed()});
    BOOST_TEST(w.events() == "lost 1");
    BOOST_TEST(!r->is_valid(w.now));
    BOOST_TEST(w.machine.counts_of(*w.in).renewals == 0u);
}

BOOST_AUTO_TEST_CASE(is_valid_and_a_renewal_at_the_same_time_agree_on_the_order) {
    world w;
    w.connect();
    auto r = w.hold();
    std::atomic<std::int64_t> clock{w.now.time_since_epoch().count()};
    std::atomic<bool> ends{false};
    bool said_no = false, came_back = false;
    std::thread asks([&] {
        while (!ends) {
            const fleet::time_point now{fleet::clock::duration(clock.load())};
            const bool is_valid = r->is_valid(now);
            came_back = came_back || (said_no && is_valid);
            said_no = said_no || !is_valid;
        }
    });
    bool was_lost = false;
    for (int i = 0; i < 20'000 && !was_lost; ++i) {
        // The other thread sees the deadline pass just as the answer arrives.
        w.machine.on_time(w.now);
        was_lost = w.events() != "";
        if (was_lost)
            break;
        w.now += 130ms + std::chrono::milliseconds(i % 16);
        w.machine.on_time(w.now);
        if (w.say() != "N1")
            continue;
        clock = (r->deadline() - 1ns).time_since_epoch().count();
        if (i > 10'000)
            clock = r->deadline().time_since_epoch().count();
        w.hear({w.renewed()});
    }
    ends = true;
    asks.join();
    w.machine.on_time(w.now);
    was_lost = w.events() != "" || was_lost;
    BOOST_TEST(!came_back);
    BOOST_TEST(was_lost == said_no);
    BOOST_TEST(was_lost != r->is_valid(w.now));
}

BOOST_AUTO_TEST_CASE(a_lease_that_the_server_does_not_hold_is_lost_at_once) {
    world w;
    w.connect();
    auto r = w.hold();
    w.pass();
    w.say();
    w.hear({w.plain(verdict::gone)});
    BOOST_TEST(w.events() == "lost 1");
    BOOST_TEST(!r->is_valid(w.now));
    BOOST_TEST(w.machine.counts_of(*w.in).lost_by_server == 1u);
    w.give_back(r, true);
    BOOST_TEST(w.events() == "released 1 lost");
    BOOST_TEST(w.say() == "-"); // there is nothing to give back
    BOOST_TEST(w.machine.is_empty());
}

BOOST_AUTO_TEST_CASE(a_readmitted_lease_continues) { // F14, F27
    world w;
    w.connect();
    auto r = w.hold(7);
    w.pass();
    w.say();
    w.hear({w.renewed(verdict::readmitted)});
    BOOST_TEST(w.events() == "");
    BOOST_TEST(w.ms_left(r) == 360);
    BOOST_TEST(r->fence() == 7u);
    BOOST_TEST(w.machine.counts_of(*w.in).readmitted == 1u);
}

BOOST_AUTO_TEST_CASE(
    after_a_loss_of_data_all_leases_are_renewed_and_all_waiting_requests_asked_about) {
    for (const bool is_made_anew : {true, false}) {
        world w;
        w.connect();
        auto a = w.hold(1);
        auto b = w.queue();
        auto c = w.queue();
        w.inspect();
        BOOST_TEST(w.say() == "I");
        if (is_made_anew)
            w.answer.made += 1;
        else
            w.answer.rolls += 1;
        w.hear({w.plain(verdict::done)});
        BOOST_TEST(w.events() == "done 4");
        BOOST_TEST(w.say() == "N1 W2 W3");
        w.hear(
            {w.renewed(verdict::readmitted), w.plain(verdict::unknown), w.plain(verdict::unknown)});
        BOOST_TEST(w.say() == "A2 A3");
        w.hear({w.plain(verdict::queued), w.plain(verdict::queued)});
        BOOST_TEST(w.say() == "-");
        BOOST_TEST(w.machine.counts_of(*w.in).repairs == 1u);
    }
}

BOOST_AUTO_TEST_CASE(a_push_counts_from_the_request_that_was_sent_again) {
    world w;
    w.connect();
    auto r = w.queue();
    w.pass(120ms);
    w.pass();
    BOOST_TEST(w.say() == "W1");
    w.hear({w.plain(verdict::unknown)});
    w.push_grant(1, 3); // the server can hold nothing of that name
    BOOST_TEST(w.events() == "");
    BOOST_TEST(w.say() == "A1");
    w.pass(10ms);
    w.push_grant(1, 4);
    BOOST_TEST(w.events() == "granted 1");
    BOOST_TEST(w.ms_left(r) == 350);
    BOOST_TEST(r->fence() == 4u);
}

BOOST_AUTO_TEST_CASE(a_call_to_a_busy_server_is_repeated_50_ms_later) { // F39
    world w;
    w.connect();
    auto r = w.hold();
    w.pass();
    w.acquire();
    BOOST_TEST(w.say() == "N1 A2");
    w.hear_failure(failure::busy);
    BOOST_TEST(w.say() == "-");
    auto behind = w.acquire();
    BOOST_TEST(w.say() == "-");
    BOOST_TEST(w.pass() == 50);
    BOOST_TEST(w.say() == "N1 A2 A3");
    w.hear({w.renewed(), w.granted(8), w.plain(verdict::queued)});
    BOOST_TEST(w.events() == "granted 2");
    BOOST_TEST(r->is_valid(w.now));
}

BOOST_AUTO_TEST_CASE(a_partition_of_half_a_lease_loses_no_permit_and_is_counted) { // F38
    world w;
    w.connect();
    auto r = w.hold();
    for (int i = 1; i <= 2; ++i) {
        w.pass();
        w.disconnect();
        w.pass(200ms);
        BOOST_TEST(w.events() == "");
        w.connect();
        BOOST_TEST(w.say() == "N1");
        w.hear({w.renewed()});
        BOOST_TEST(w.ms_left(r) == 360);
        BOOST_TEST(w.machine.counts_of(*w.in).renewals_late == static_cast<unsigned>(i));
    }
}

BOOST_AUTO_TEST_CASE(a_longer_partition_loses_a_lease_at_its_deadline) { // F34, F38
    world w;
    w.connect();
    auto r = w.hold();
    const fleet::time_point granted = w.now;
    w.pass(100ms);
    w.disconnect();
    BOOST_TEST((w.machine.next_time() == granted + 360ms));
    w.pass(260ms - 1ns);
    BOOST_TEST(w.events() == "");
    BOOST_TEST(r->is_valid(w.now));
    w.pass(1ns);
    BOOST_TEST(w.events() == "lost 1");
    BOOST_TEST(!r->is_valid(w.now));
    w.connect();
    BOOST_TEST(w.say() == "-"); // its holder has not given it back yet
    w.give_back(r);
    BOOST_TEST(w.say() == "R1");
    w.hear({w.plain(verdict::unknown)});
    BOOST_TEST(w.machine.is_empty());
}

BOOST_AUTO_TEST_CASE(a_timer_that_runs_late_reports_the_loss_at_once) { // F37
    world w;
    w.connect();
    auto r = w.hold();
    w.now += 800ms;
    BOOST_TEST(!r->is_valid(w.now));
    w.pass(0ms);
    BOOST_TEST(w.events() == "lost 1");
}

BOOST_AUTO_TEST_CASE(a_permit_held_for_max_hold_is_no_longer_renewed) { // F59
    fleet_options options = world::default_options();
    options.max_hold = 800ms;
    world w(options);
    w.connect();
    auto r = w.hold();
    const fleet::time_point granted = w.now;
    std::string said;
    fleet::time_point renewed = granted;
    while (said != "lost 1") {
        BOOST_TEST_REQUIRE((w.now < granted + 2s));
        w.pass();
        if (w.say() == "N1") {
            renewed = w.now;
            w.hear({w.renewed()});
        }
        said = w.events();
    }
    BOOST_TEST((renewed <= granted + 800ms));
    BOOST_TEST((renewed > granted + 800ms - 147ms));
    BOOST_TEST((w.now == renewed + 360ms));
    w.give_back(r);
    BOOST_TEST(w.say() == "R1");
}

// Release.

BOOST_AUTO_TEST_CASE(the_answer_to_a_release_reaches_its_caller) {
    world w;
    w.connect();
    auto a = w.hold();
    auto b = w.hold();
    auto c = w.hold();
    w.give_back(a, true);
    w.give_back(b, true);
    w.give_back(c);
    BOOST_TEST(!a->is_valid(w.now));
    BOOST_TEST(w.events() == "");
    BOOST_TEST(w.say() == "R1 R2 R3");
    w.hear({w.plain(verdict::released), w.plain(verdict::unknown), w.plain(verdict::released)});
    BOOST_TEST(w.events() == "released 1 granted, released 2 lost");
    BOOST_TEST(w.machine.is_empty());
}

BOOST_AUTO_TEST_CASE(a_release_whose_answer_was_lost_is_not_reported_as_a_loss) {
    for (const bool has_lost_data : {false, true})
        BOOST_TEST_CONTEXT(has_lost_data) {
            world w;
            w.connect();
            auto said = w.hold();
            auto not_said = w.hold();
            w.give_back(said, true);
            BOOST_TEST(w.say() == "R1");
            w.give_back(not_said, true);
            w.disconnect(); // the server may have executed the call
            w.connect();
            BOOST_TEST(w.say() == "R1 R2");
            w.answer.rolls += has_lost_data ? 1 : 0;
            w.hear({w.plain(verdict::unknown), w.plain(verdict::unknown)});
            // A server that has lost data may have granted the permit to somebody else.
            BOOST_TEST(
                w.events() == (has_lost_data ? "released 1 lost, released 2 lost"
                                             : "released 1 granted, released 2 lost"));
            BOOST_TEST(w.machine.is_empty());
        }
}

BOOST_AUTO_TEST_CASE(a_release_that_the_server_does_not_answer_completes_as_lost_at_the_deadline) {
    world w;
    w.connect();
    auto r = w.hold();
    const fleet::time_point deadline = r->deadline();
    w.disconnect();
    w.pass(50ms);
    w.give_back(r, true);
    BOOST_TEST((w.machine.next_time() == deadline));
    w.pass(deadline - w.now - 1ns);
    BOOST_TEST(w.events() == "");
    w.pass(1ns);
    BOOST_TEST(w.events() == "released 1 lost");
    w.connect();
    BOOST_TEST(w.say() == "R1");
    w.hear({w.plain(verdict::released)});
    BOOST_TEST(w.events() == "");
    BOOST_TEST(w.machine.is_empty());
}

BOOST_AUTO_TEST_CASE(the_release_of_a_lost_permit_completes_as_lost_at_once) {
    world w;
    w.connect();
    auto r = w.hold();
    w.now = r->deadline();
    w.pass(0ms);
    BOOST_TEST(w.events() == "lost 1");
    w.give_back(r, true);
    BOOST_TEST(w.events() == "released 1 lost");
    BOOST_TEST(w.say() == "R1"); // the server may hold it for a margin more
}

BOOST_AUTO_TEST_CASE(a_permit_given_back_twice_is_given_back_once) {
    world w;
    w.connect();
    auto r = w.hold();
    w.give_back(r);
    w.give_back(r, true);
    BOOST_TEST(w.say() == "R1");
    w.hear({w.plain(verdict::released)});
    w.give_back(r, true);
    BOOST_TEST(w.events() == "");
    BOOST_TEST(w.say() == "-");
}

BOOST_AUTO_TEST_CASE(giving_back_while_a_renewal_is_in_flight_is_no_loss) { // F40
    world w;
    w.connect();
    for (int i = 1; i <= 10'000; ++i) {
        auto r = w.acquire();
        w.say();
        w.hear({w.granted(1)});
        BOOST_REQUIRE(w.events() == "granted " + std::to_string(i));
        while (w.say() != "N" + std::to_string(i))
            w.pass();
        w.give_back(r);
        w.hear({w.renewed(i % 2 == 0 ? verdict::renewed : verdict::gone)});
        BOOST_REQUIRE(!r->is_valid(w.now));
        BOOST_REQUIRE(w.say() == "R" + std::to_string(i));
        w.hear({w.plain(verdict::released)});
        BOOST_REQUIRE(w.events() == "");
        BOOST_REQUIRE(w.machine.is_empty());
    }
}

BOOST_AUTO_TEST_CASE(a_permit_destroyed_without_a_connection_is_given_back_by_the_next) {
    world w;
    w.connect();
    auto r = w.hold();
    w.disconnect();
    w.give_back(r);
    BOOST_TEST(!w.machine.is_empty());
    r.reset();
    BOOST_TEST(w.say() == "-");
    w.connect();
    BOOST_TEST(w.say() == "R1");
}

BOOST_AUTO_TEST_CASE(a_call_contains_releases_then_renewals_then_requests) {
    world w;
    w.connect();
    auto held = w.hold();
    auto back = w.hold();
    auto queued = w.queue();
    w.disconnect();
    w.give_back(back);
    w.acquire();
    w.inspect();
    w.acquire(5, world::purpose::set_limit);
    w.connect();
    BOOST_TEST(w.say() == "R2 N1 A4 W3 L5 I");
}

BOOST_AUTO_TEST_CASE(more_than_512_commands_are_sent_in_several_calls_in_order) {
    fleet_options options = world::default_options();
    options.window = 2'000;
    world w(options, 10'000);
    w.connect();
    for (int i = 0; i < 1'100; ++i)
        w.acquire();
    BOOST_TEST(w.say() == serials('A', 1, 512));
    w.hear(all(512, w.plain(verdict::queued)));
    BOOST_TEST(w.say() == serials('A', 513, 1'024));
    w.hear(all(512, w.plain(verdict::queued)));
    BOOST_TEST(w.say() == serials('A', 1'025, 1'100));
    w.hear(all(76, w.plain(verdict::queued)));
    BOOST_TEST(w.say() == "-");
    w.pass();
    BOOST_TEST(w.say() == serials('W', 1, 512));
    w.hear(all(512, w.plain(verdict::queued)));
    BOOST_TEST(w.say() == serials('W', 513, 1'024));
    w.hear_failure(failure::busy);
    w.pass();
    BOOST_TEST(w.say() == serials('W', 513, 1'024)); // not answered before
    w.hear(all(512, w.plain(verdict::queued)));
    BOOST_TEST(w.say() == serials('W', 1'025, 1'100));
    w.hear(all(76, w.plain(verdict::queued)));
    BOOST_TEST(w.say() == "-");
}

// Waiting.

BOOST_AUTO_TEST_CASE(heartbeats_ask_about_all_queued_requests_every_third_of_a_lease) {
    world w;
    w.connect();
    w.queue();
    w.queue();
    for (int i = 0; i < 50; ++i) {
        const fleet::time_point before = w.now;
        w.pass();
        BOOST_TEST((w.now - before >= (i == 0 ? 106'667us : 133'333us)));
        BOOST_TEST((w.now - before <= 133'334us));
        BOOST_TEST(w.say() == "W1 W2");
        w.hear({w.plain(verdict::queued), w.plain(verdict::queued)});
    }
    w.pass();
    w.say();
    w.hear({w.granted(3, 100ms), w.plain(verdict::queued)}); // the push was lost
    BOOST_TEST(w.events() == "granted 1");
}

BOOST_AUTO_TEST_CASE(a_grant_beside_the_commands_of_a_call_is_reported) {
    world w;
    w.connect();
    auto r = w.queue();
    w.inspect();
    w.pass(30ms);
    BOOST_TEST(w.say() == "I");
    w.pass(10ms);
    w.answer.granted = {{1, 77, w.clock() + 400}, {99, 78, w.clock() + 400}};
    w.hear({w.plain(verdict::done)});
    BOOST_TEST(w.events() == "done 2, granted 1");
    BOOST_TEST(r->fence() == 77u);
    BOOST_TEST(w.ms_left(r) == 350);
}

BOOST_AUTO_TEST_CASE(unknown_requests_are_sent_again_in_the_order_of_initiation) {
    world w;
    w.connect();
    w.queue();
    w.queue();
    w.queue();
    w.pass();
    w.say();
    w.hear({w.plain(verdict::unknown), w.plain(verdict::queued), w.plain(verdict::unknown)});
    w.acquire();
    BOOST_TEST(w.say() == "A1 A3 A4");
}

BOOST_AUTO_TEST_CASE(a_withdrawn_request_that_the_server_does_not_know_is_not_given_back) {
    world w;
    w.connect();
    auto r = w.queue();
    w.pass();
    w.say();
    w.hear({w.plain(verdict::unknown)});
    w.withdraw(r);
    BOOST_TEST(w.say() == "-");
    BOOST_TEST(w.machine.is_empty());
}

BOOST_AUTO_TEST_CASE(a_new_connection_asks_about_all_requests_at_once) {
    world w;
    w.connect();
    w.hold();
    w.queue();
    w.disconnect();
    w.pass(10ms);
    w.connect();
    BOOST_TEST(w.say() == "N1 W2");
}

BOOST_AUTO_TEST_CASE(the_head_of_the_queue_asks_when_the_next_lease_ends) { // F26
    world w;
    w.connect();
    w.answer.is_head_mine = true;
    w.answer.next_expiry = 70;
    w.queue();
    w.answer.next_expiry = 30;
    w.queue();
    BOOST_TEST(w.pass() == 30);
    BOOST_TEST(w.say() == "W1");
    w.answer.is_head_mine = false;
    w.hear({w.plain(verdict::queued)});
    BOOST_TEST(w.pass() > 50); // the next heartbeat
    BOOST_TEST(w.say() == "W1 W2");
    w.hear({w.plain(verdict::queued), w.plain(verdict::queued)});
    w.push_head(45);
    BOOST_TEST(w.pass() == 45);
    BOOST_TEST(w.say() == "W1");
    w.hear({w.plain(verdict::queued)});
    w.push_head(-1);
    BOOST_TEST(w.pass() > 50);
}

BOOST_AUTO_TEST_CASE(the_head_of_the_queue_asks_when_a_quarantine_ends) {
    world w;
    w.connect();
    w.answer.is_head_mine = true;
    w.answer.next_expiry = -1;
    w.answer.quarantine = 45;
    w.queue();
    BOOST_TEST(w.pass() == 45);
    BOOST_TEST(w.say() == "W1");
    w.answer.is_head_mine = false;
    w.hear({w.plain(verdict::queued)});
    w.pass(20ms);
    w.push_head(-1);
    BOOST_TEST(w.pass() == 25);
    BOOST_TEST(w.say() == "W1");
}

BOOST_AUTO_TEST_CASE(a_call_that_stopped_half_way_is_followed_by_another) {
    world w;
    w.connect();
    w.answer.has_more = true;
    w.hold();
    BOOST_TEST(w.say() == "");
    w.answer.has_more = false;
    w.hear({});
    BOOST_TEST(w.say() == "-");
}

// Failures.

BOOST_AUTO_TEST_CASE(a_request_that_may_wait_is_sent_again_after_a_refusal_ever_later) { // F46
    world w;
    w.connect();
    w.acquire();
    std::vector<std::int64_t> pauses;
    for (int i = 0; i < 4; ++i) {
        BOOST_TEST(w.say() == "A1");
        w.hear_failure(failure::refused);
        BOOST_TEST(w.say() == "-");
        pauses.push_back(w.pass());
    }
    BOOST_TEST(
        pauses == (std::vector<std::int64_t>{50, 100, 133, 133}), boost::test_tools::per_element());
    BOOST_TEST(w.say() == "A1");
    w.hear({w.granted(1)});
    BOOST_TEST(w.events() == "granted 1");
    w.acquire();
    w.say();
    w.hear_failure(failure::refused);
    BOOST_TEST(w.pass() == 50); // the back-off begins again
}

BOOST_AUTO_TEST_CASE(a_release_is_not_held_back_by_a_refusal) {
    world w;
    w.connect();
    auto held = w.hold();
    auto back = w.hold();
    w.give_back(back);
    w.acquire();
    BOOST_TEST(w.say() == "R2 A3");
    w.hear_failure(failure::refused);
    BOOST_TEST(w.say() == "R2");
    w.hear_failure(failure::refused);
    BOOST_TEST(w.say() == "-");
    BOOST_TEST(w.pass() == 33);
    BOOST_TEST(w.say() == "R2");
    w.hear({w.plain(verdict::released)});
    BOOST_TEST(w.say() == "A3");
}

BOOST_AUTO_TEST_CASE(a_full_server_can_be_inspected) {
    for (const auto mode : {fleet_options::unreachable::wait, fleet_options::unreachable::fail})
        BOOST_TEST_CONTEXT(static_cast<int>(mode)) {
            const bool waits = mode == fleet_options::unreachable::wait;
            world w(with_mode(mode));
            w.connect();
            w.acquire();
            w.inspect();
            BOOST_TEST(w.say() == "A1 I");
            w.hear_failure(failure::refused);
            BOOST_TEST(w.events() == (waits ? "" : "failed 1 rejected"));
            BOOST_TEST(w.say() == "I");
            w.hear({w.plain(verdict::done)});
            BOOST_TEST(w.events() == "done 2");
            w.inspect();
            if (waits) { // the refused request is sent again
                BOOST_TEST(w.say() == "A1 I");
                w.hear_failure(failure::refused);
            }
            BOOST_TEST(w.say() == "I");
            w.hear_failure(failure::refused); // by a server that executes no script
            BOOST_TEST(w.events() == (waits ? "" : "failed 3 rejected"));
            BOOST_TEST(w.say() == "-");
            BOOST_TEST(w.pass() == (waits ? 33 : -1));
        }
}

BOOST_AUTO_TEST_CASE(a_request_that_may_not_wait_is_rejected_if_the_server_refuses) {
    using mode = fleet_options::unreachable;
    for (const auto& options : {with_mode(mode::fail), with_mode(mode::admit_locally, 2)}) {
        world w(options);
        w.connect();
        auto held = w.hold();
        auto queued = w.queue();
        w.acquire();
        BOOST_TEST(w.say() == "A3");
        w.hear_failure(failure::refused);
        BOOST_TEST(w.events() == "failed 3 rejected");
        BOOST_TEST(w.say() == "-"); // the call did nothing
        w.acquire();
        BOOST_TEST(w.say() == "A4"); // the machine tries again
    }
}

BOOST_AUTO_TEST_CASE(a_permanent_failure_ends_all_waiting_requests) {
    struct {
        failure failed;
        fleet::call_status status;
        const char* how;
    } const cases[] = {
        {failure::rejected, fleet::call_status::ok, "rejected"},
        {failure::clustered, fleet::call_status::ok, "clustered"},
        {failure::none, fleet::call_status::incompatible, "incompatible"}};
    for (const auto& each : cases)
        BOOST_TEST_CONTEXT(each.how) {
            world w;
            const auto refuse = [&] {
                if (each.failed != failure::none)
                    w.hear_failure(each.failed);
                else
                    w.hear_status(each.status);
            };
            w.connect();
            auto held = w.hold();
            auto queued = w.queue();
            w.acquire();
            BOOST_TEST(w.say() == "A3");
            auto waits = w.acquire();
            auto asks = w.inspect();
            refuse();
            const std::string how = each.how;
            BOOST_TEST(
                w.events() == "failed 2 " + how + ", failed 3 " + how + ", failed 4 " + how +
                                  ", failed 5 " + how);
            // The machine tries again as soon as another request starts.
            BOOST_TEST(w.say() == "-");
            w.acquire();
            BOOST_TEST(w.say() == "R2 A5");
            refuse();
            BOOST_TEST(w.events() == "failed 6 " + how);
            // The lease is renewed until its deadline, every twelfth of a lease.
            int tries = 0;
            while (held->is_valid(w.now)) {
                w.pass();
                if (w.say() == "-")
                    continue;
                tries += to_text(w.said) == "R2 N1" ? 1 : 0;
                refuse();
                BOOST_TEST(w.say() == "-");
            }
            BOOST_TEST(tries >= 6);
            BOOST_TEST(tries <= 8);
            BOOST_TEST(w.events() == "lost 1");
            w.acquire();
            w.say();
            w.hear(all(w.said.commands.size(), w.granted(3)));
            BOOST_TEST(w.events() == "granted 7");
        }
}

BOOST_AUTO_TEST_CASE(a_permit_in_a_server_that_executes_nothing_is_forgotten_when_its_lease_ends) {
    for (const fleet::call_status status :
         {fleet::call_status::stale, fleet::call_status::conflict,
          fleet::call_status::incompatible})
        BOOST_TEST_CONTEXT(static_cast<int>(status)) {
            world w;
            w.connect();
            auto r = w.acquire();
            BOOST_TEST(w.say() == "A1");
            w.disconnect(); // the server may have executed the call
            BOOST_TEST(w.withdraw(r));
            w.connect();
            int calls = 0;
            for (; !w.machine.is_empty() && calls < 100; ++calls) {
                BOOST_TEST_REQUIRE(w.say() == "R1");
                w.hear_status(status);
                if (!w.machine.is_empty())
                    w.pass();
            }
            BOOST_TEST(calls < 30);
            BOOST_TEST(w.pass() == -1);
        }
}

BOOST_AUTO_TEST_CASE(
    another_limit_in_the_server_ends_every_operation_until_the_last_object_is_destroyed) {
    world w; // F30
    w.connect();
    w.acquire();
    w.inspect();
    BOOST_TEST(w.say() == "A1 I");
    BOOST_TEST(w.said.is_strict);
    w.hear_status(fleet::call_status::conflict);
    BOOST_TEST(w.events() == "failed 1 limit_mismatch, failed 2 limit_mismatch");
    BOOST_TEST(w.machine.is_empty());
    auto r = w.make();
    BOOST_TEST(to_text(w.start(r)) == "limit_mismatch");
    auto i = w.make(0, world::purpose::inspect);
    BOOST_TEST(to_text(w.start(i)) == "limit_mismatch");
    bool mismatch = false;
    w.machine.open("x", 3, world::default_options(), mismatch);
    w.machine.close(*w.in, w.now);
    auto s = w.make();
    BOOST_TEST(to_text(w.start(s)) == "limit_mismatch");
    w.machine.close(*w.in, w.now);
    w.in = &w.machine.open("x", 3, world::default_options(), mismatch);
    w.acquire();
    BOOST_TEST(w.say() == "A2");
}

BOOST_AUTO_TEST_CASE(a_call_is_strict_until_the_first_answer) {
    world w;
    w.connect();
    w.acquire();
    w.say();
    BOOST_TEST(w.said.is_strict);
    w.hear_failure(failure::busy);
    w.pass();
    w.say();
    BOOST_TEST(w.said.is_strict);
    w.answer.limit = 9;
    w.hear({w.granted(1)});
    w.events();
    w.acquire();
    w.say();
    BOOST_TEST(!w.said.is_strict);
    BOOST_TEST(w.said.limit == 9);
}

BOOST_AUTO_TEST_CASE(the_calls_of_a_new_connection_have_a_flag_until_one_is_answered) {
    world w;
    w.connect();
    w.acquire();
    w.say();
    BOOST_TEST(w.said.is_first);
    w.hear_failure(failure::busy);
    w.pass();
    w.say();
    BOOST_TEST(w.said.is_first);
    w.hear({w.plain(verdict::queued)});
    w.acquire();
    w.say();
    BOOST_TEST(!w.said.is_first);
    w.disconnect();
    w.connect();
    w.say();
    BOOST_TEST(w.said.is_first);
}

BOOST_AUTO_TEST_CASE(a_call_contains_the_highest_number_that_the_client_has_heard) { // F29
    world w;
    w.connect();
    w.answer.seq = 1'000;
    w.queue();
    w.answer.seq = 500; // the server lost writes
    w.queue();
    w.acquire();
    w.say();
    BOOST_TEST(w.said.seen == 1'001u);
    w.hear({w.plain(verdict::queued)});
    w.push_grant(1, 2'000);
    w.acquire();
    w.say();
    BOOST_TEST(w.said.seen == 2'000u);
    BOOST_TEST(w.events() == "granted 1");
}

BOOST_AUTO_TEST_CASE(after_half_a_day_of_silence_a_call_contains_no_highest_number) {
    world w;
    w.connect();
    for (const bool is_longer : {false, true}) {
        auto r = w.hold(7);
        w.give_back(r);
        w.say();
        w.hear({w.plain(verdict::released)});
        w.pass(is_longer ? 12h + 1ns : 12h);
        r = w.acquire();
        w.say();
        BOOST_TEST(w.said.seen == (is_longer ? 0u : 7u));
        w.hear({w.granted(7)});
        w.events();
        w.give_back(r);
        w.say();
        w.hear({w.plain(verdict::released)});
    }
}

BOOST_AUTO_TEST_CASE(a_call_contains_the_option_of_recovery_without_a_quarantine) {
    fleet_options options = world::default_options();
    options.after_loss = fleet_options::recovery::immediate;
    world w(options), v;
    for (world* const each : {&w, &v}) {
        each->connect();
        each->acquire();
        each->say();
    }
    BOOST_TEST(w.said.is_immediate);
    BOOST_TEST(!v.said.is_immediate);
}

BOOST_AUTO_TEST_CASE(a_stale_call_has_done_nothing_and_is_repeated_by_the_next_connection) {
    world w;
    w.connect();
    auto r = w.acquire();
    w.say();
    w.hear_status(fleet::call_status::stale);
    BOOST_TEST(w.events() == "");
    BOOST_TEST(w.say() == "-");
    BOOST_TEST(w.machine.counts().stale == 1u);
    w.disconnect();
    w.connect();
    BOOST_TEST(w.say() == "A1");
}

BOOST_AUTO_TEST_CASE(requests_to_an_unavailable_server_wait_for_the_next_connection) { // F44
    world w;
    w.connect();
    auto held = w.hold();
    w.acquire();
    w.say();
    w.hear_failure(failure::unavailable);
    BOOST_TEST(w.say() == "-");
    w.disconnect();
    w.connect();
    BOOST_TEST(w.say() == "N1 A2");
    BOOST_TEST(w.events() == "");
}

BOOST_AUTO_TEST_CASE(a_server_that_refuses_the_client_ends_the_clients_requests) {
    world w;
    w.connect();
    auto queued = w.queue();
    w.acquire();
    BOOST_TEST(w.say() == "A2");
    w.inspect();
    w.disconnect();
    w.machine.refused();
    BOOST_TEST(w.events() == "failed 2 rejected, failed 3 rejected");
    w.connect();
    BOOST_TEST(w.say() == "R2 W1");
}

// No server.

BOOST_AUTO_TEST_CASE(without_a_server_a_request_waits_for_its_deadline_or_cancellation) { // F49
    world w;
    w.machine.running(w.now);
    auto r = w.acquire();
    w.pass(10s);
    BOOST_TEST(w.events() == "");
    BOOST_TEST(w.pass() == -1);
    BOOST_TEST(w.withdraw(r));
    BOOST_TEST(w.machine.is_empty());
}

BOOST_AUTO_TEST_CASE(without_a_server_a_request_fails_after_a_while_if_the_options_say_so) { // F49
    world w(with_mode(fleet_options::unreachable::fail));
    w.acquire();
    w.pass(10s);
    BOOST_TEST(w.events() == ""); // async_run has not begun
    w.machine.running(w.now);
    BOOST_TEST(w.pass() == 1'000);
    BOOST_TEST(w.events() == "failed 1 unreachable");
    auto r = w.make();
    BOOST_TEST(to_text(w.start(r)) == "unreachable");
    auto i = w.make(0, world::purpose::inspect);
    BOOST_TEST(to_text(w.start(i)) == "unreachable");
    BOOST_TEST(w.pass() == -1);
    w.connect();
    auto queued = w.queue();
    w.pass(50ms);
    w.disconnect();
    w.inspect();
    w.pass(1'000ms - 1ns);
    BOOST_TEST(w.events() == "");
    w.pass(1ns);
    BOOST_TEST(w.events() == "failed 4 unreachable, failed 5 unreachable");
    w.connect();
    BOOST_TEST(w.say() == "R2");
}

BOOST_AUTO_TEST_CASE(a_server_that_only_answers_as_unavailable_counts_as_unreachable) { // F44, F49
    world w(with_mode(fleet_options::unreachable::fail));
    w.connect();
    w.acquire();
    const auto fails = [&] {
        w.say();
        w.hear_failure(failure::unavailable);
        w.disconnect();
    };
    fails();
    for (int i = 0; i < 2; ++i) {
        w.pass(400ms);
        BOOST_TEST(w.events() == "");
        w.connect();
        fails();
    }
    w.pass(200ms - 1ns);
    BOOST_TEST(w.events() == "");
    w.pass(1ns);
    BOOST_TEST(w.events() == "failed 1 unreachable");
}

BOOST_AUTO_TEST_CASE(a_loss_counts_from_itself_once_the_server_has_been_available) { // F49
    world w(with_mode(fleet_options::unreachable::fail));
    w.connect();
    w.acquire();
    w.say();
    w.hear_failure(failure::unavailable);
    w.disconnect();
    w.pass(400ms);
    w.connect();
    w.say();
    w.hear({world::plain(verdict::queued)});
    w.acquire();
    w.say();
    w.hear_failure(failure::unavailable);
    w.disconnect();
    w.pass(1'000ms - 1ns);
    BOOST_TEST(w.events() == "");
    w.pass(1ns);
    BOOST_TEST(w.events() == "failed 1 unreachable, failed 2 unreachable");
}

BOOST_AUTO_TEST_CASE(
    a_loss_counts_from_itself_if_nothing_has_been_asked_since_the_last_one) { // F49
    world w(with_mode(fleet_options::unreachable::fail));
    w.connect();
    auto first = w.acquire();
    w.say();
    w.hear_failure(failure::unavailable);
    w.withdraw(first);
    w.disconnect();
    w.pass(400ms);
    w.connect(); // and has nothing to ask
    w.pass(1h);
    w.acquire();
    w.say();
    w.hear_failure(failure::unavailable);
    w.disconnect();
    w.pass(1'000ms - 1ns);
    BOOST_TEST(w.events() == "");
    w.pass(1ns);
    BOOST_TEST(w.events() == "failed 2 unreachable");
}

BOOST_AUTO_TEST_CASE(a_client_that_runs_again_has_as_much_time_to_connect_as_at_first) { // F49
    world w(with_mode(fleet_options::unreachable::fail));
    w.machine.running(w.now);
    w.connect();
    w.disconnect(); // async_run is cancelled
    w.pass(1h);
    auto r = w.make();
    BOOST_TEST(to_text(w.start(r)) == "unreachable");
    w.machine.running(w.now);
    w.acquire();
    BOOST_TEST(w.pass() == 1'000);
    BOOST_TEST(w.events() == "failed 2 unreachable");
}

BOOST_AUTO_TEST_CASE(a_client_that_runs_again_forgets_that_the_server_was_unavailable) { // F49
    world w(with_mode(fleet_options::unreachable::fail));
    w.connect();
    w.inspect();
    w.say();
    w.hear_failure(failure::unavailable);
    w.disconnect(); // async_run is cancelled
    w.pass(1h);
    BOOST_TEST(w.events() == "failed 1 unreachable");
    w.machine.running(w.now);
    w.acquire();
    w.connect();
    w.say();
    w.hear_failure(failure::unavailable);
    w.disconnect();
    w.pass(1'000ms - 1ns);
    BOOST_TEST(w.events() == "");
    w.pass(1ns);
    BOOST_TEST(w.events() == "failed 2 unreachable");
}

BOOST_AUTO_TEST_CASE(a_client_that_has_ended_waits_for_nothing) {
    for (const bool is_closed : {false, true})
        BOOST_TEST_CONTEXT("closed " << is_closed) {
            world w(with_mode(fleet_options::unreachable::fail));
            w.machine.running(w.now);
            w.acquire();
            w.connect();
            w.disconnect();
            if (is_closed)
                w.machine.close_all(w.now);
            else
                w.machine.abandon();
            BOOST_TEST(w.events() == "failed 1 closed");
            BOOST_TEST(w.pass() == -1);
        }
}

BOOST_AUTO_TEST_CASE(without_a_server_some_requests_are_admitted_locally) { // F49
    world w(with_mode(fleet_options::unreachable::admit_locally, 2));
    w.machine.running(w.now);
    auto a = w.acquire();
    auto too_large = w.acquire(3);
    auto b = w.acquire();
    auto c = w.acquire();
    BOOST_TEST(w.pass() == 1'000);
    BOOST_TEST(w.events() == "granted 1, granted 3");
    BOOST_TEST(a->fence() == 0u);
    BOOST_TEST(a->is_local());
    BOOST_TEST(a->is_valid(w.now + 1'000h));
    auto tries = w.make(1, world::purpose::try_acquire);
    BOOST_TEST(to_text(w.start(tries)) == "timed_out");
    w.give_back(b, true);
    BOOST_TEST(w.events() == "released 3 granted, granted 4");
    w.give_back(a);
    auto d = w.make(1, world::purpose::try_acquire);
    BOOST_TEST(to_text(w.start(d)) == "granted"); // at once, without an event
    BOOST_TEST(w.machine.counts_of(*w.in).held == 2u);
    auto e = w.acquire();
    // The server is back: new permits come from it, and those admitted locally stay.
    w.connect();
    BOOST_TEST(w.say() == "A2 A5");
    w.hear({w.granted(1), w.plain(verdict::queued)});
    BOOST_TEST(w.events() == "granted 2");
    BOOST_TEST(!too_large->is_local());
    w.give_back(c);
    w.give_back(d);
    BOOST_TEST(w.events() == "");
    BOOST_TEST(w.machine.counts_of(*w.in).held == 1u);
}

BOOST_AUTO_TEST_CASE(a_request_too_large_for_the_local_permits_holds_up_no_other) {
    world w(with_mode(fleet_options::unreachable::admit_locally, 2));
    w.machine.running(w.now);
    w.pass(1'000ms);
    auto large = w.acquire(3);
    auto small = w.make();
    BOOST_TEST(to_text(w.start(small)) == "granted");
    auto next = w.acquire(2);
    auto behind = w.acquire(1); // would fit, but is not the first in the queue
    w.give_back(small);
    BOOST_TEST(w.events() == "granted 3");
    w.give_back(next);
    BOOST_TEST(w.events() == "granted 4");
}

BOOST_AUTO_TEST_CASE(a_request_admitted_locally_gives_back_its_place_in_the_server) {
    world w(with_mode(fleet_options::unreachable::admit_locally, 1));
    w.connect();
    auto queued = w.queue();
    auto asked = w.acquire();
    w.say();
    w.disconnect();
    w.pass(1'000ms);
    BOOST_TEST(w.events() == "granted 1");
    w.connect();
    BOOST_TEST(w.say() == "R1 A2");
    w.hear({w.plain(verdict::withdrawn), w.plain(verdict::queued)});
    BOOST_TEST(queued->is_valid(w.now));
    w.give_back(queued);
    BOOST_TEST(w.say() == "-");
    BOOST_TEST(w.events() == ""); // no local permit is made while there is a connection
}

// The server's side.

BOOST_AUTO_TEST_CASE(the_limit_is_set_and_the_server_inspected) {
    world w;
    w.connect();
    w.acquire(7, world::purpose::set_limit);
    w.inspect();
    BOOST_TEST(w.say() == "L7 I");
    w.answer.limit = 7;
    w.answer.held = 5;
    w.answer.waiting = 4;
    w.answer.quarantine = 30;
    w.answer.rolls = 2;
    fleet::result seen = w.plain(verdict::done);
    seen.clients = 6;
    seen.lowest_fence = 99;
    w.hear({w.plain(verdict::done), seen});
    BOOST_TEST(w.events() == "done 1, done 2");
    BOOST_TEST(w.last.limit == 7);
    BOOST_TEST(w.last.held == 5);
    BOOST_TEST(w.last.waiting == 4);
    BOOST_TEST(w.last.clients == 6);
    BOOST_TEST(w.last.lowest_fence == 99u);
    BOOST_TEST(w.last.quarantine.count() == 30);
    BOOST_TEST(w.last.rolls == 2u);
    BOOST_TEST(w.machine.permits_of(*w.in) == 7);
    BOOST_TEST(w.machine.counts_of(*w.in).granted == 0u);
}

BOOST_AUTO_TEST_CASE(unanswered_calls_to_set_the_limit_are_repeated_unless_withdrawn) {
    world w;
    w.connect();
    auto a = w.acquire(7, world::purpose::set_limit);
    auto b = w.inspect();
    w.say();
    w.disconnect();
    BOOST_TEST(w.withdraw(b));
    w.connect();
    BOOST_TEST(w.say() == "L7");
    BOOST_TEST(w.withdraw(a));
    w.hear({w.plain(verdict::done)});
    BOOST_TEST(w.events() == "");
    BOOST_TEST(w.say() == "-");
}

// The end.

BOOST_AUTO_TEST_CASE(closing_a_client_gives_everything_back) { // F16
    world w;
    w.connect();
    auto held = w.hold();
    auto lost = w.hold();
    BOOST_TEST(!lost->is_valid(lost->deadline()));
    w.pass();
    w.say();
    w.hear({w.renewed(), w.renewed()});
    BOOST_TEST(w.events() == "lost 2");
    auto queued = w.queue();
    auto waits = w.inspect();
    w.machine.close_all(w.now);
    BOOST_TEST(w.events() == "failed 3 closed, failed 4 closed, lost 1 aborted");
    BOOST_TEST(!held->is_valid(w.now));
    auto late = w.make();
    BOOST_TEST(to_text(w.start(late)) == "closed");
    BOOST_TEST(!w.machine.is_empty());
    BOOST_TEST(w.say() == "R3 R2 R1");
    w.hear({w.plain(verdict::withdrawn), w.plain(verdict::released), w.plain(verdict::released)});
    BOOST_TEST(w.machine.is_empty());
    w.give_back(held, true);
    BOOST_TEST(w.events() == "released 1 lost");
    w.give_back(lost);
    BOOST_TEST(w.say() == "-");
    BOOST_TEST(w.pass() == -1);
}

BOOST_AUTO_TEST_CASE(closing_a_client_without_a_server_waits_for_no_longer_than_a_lease) {
    world w;
    w.connect();
    auto held = w.hold();
    auto queued = w.queue();
    w.disconnect();
    w.pass(30ms);
    w.give_back(held);
    w.machine.close_all(w.now);
    BOOST_TEST(w.events() == "failed 2 closed");
    BOOST_TEST(!w.machine.is_empty());
    w.pass(370ms - 1ns);
    BOOST_TEST(!w.machine.is_empty());
    w.pass(1ns);
    BOOST_TEST(w.machine.is_empty());
}

BOOST_AUTO_TEST_CASE(a_destroyed_machine_releases_its_tickets) {
    std::vector<request_pointer> all;
    {
        world w(with_mode(fleet_options::unreachable::admit_locally, 1));
        w.connect();
        all.push_back(w.hold());
        all.push_back(w.hold());
        all.push_back(w.queue());
        w.give_back(all[1]);
        all.push_back(w.acquire());
        w.say();
        all.push_back(w.acquire());
        all.push_back(w.inspect());
        w.disconnect();
        w.pass(1s);
        w.events();
    }
    for (const request_pointer& r : all) {
        BOOST_TEST(r->references == 1);
        BOOST_TEST(!r->is_valid(fleet::time_point(1'000s)));
    }
}

BOOST_AUTO_TEST_CASE(every_outcome_is_counted) {
    world w;
    w.connect();
    auto a = w.acquire();
    w.pass(20ms);
    w.say();
    w.pass(3ms);
    w.hear({w.granted(1)});
    w.events();
    auto b = w.queue();
    auto counts = w.machine.counts_of(*w.in);
    BOOST_TEST(counts.granted == 1u);
    BOOST_TEST(counts.queued == 1u);
    BOOST_TEST(counts.held == 1u);
    BOOST_TEST(counts.waiting == 1u);
    BOOST_TEST(counts.wait.count() == 1u);
    BOOST_TEST((counts.wait.sum == 23ms));
    w.push_head(10);
    w.disconnect();
    w.connect();
    const auto client = w.machine.counts();
    BOOST_TEST(client.connections == 2u);
    BOOST_TEST(client.calls == 2u);
    BOOST_TEST(client.commands == 2u);
    BOOST_TEST(client.pushes == 1u);
    BOOST_TEST(client.round_trip.count() == 2u);
    BOOST_TEST((client.round_trip.sum == 3ms));
    BOOST_TEST(client.connected);
}

BOOST_AUTO_TEST_SUITE_END()
