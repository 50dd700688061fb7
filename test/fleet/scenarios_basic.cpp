// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include "fleet/scenario.hpp"

#include "fleet/proxy.hpp"
#include "fleet/script_server.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancel_after.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <malloc.h>

#include <array>
#include <deque>
#include <initializer_list>
#include <vector>

// The scenarios of the contract (section 4) that need one undisturbed server. Unless a scenario
// depends on time, the lease is so long that no heartbeat can hide an error.

using namespace test;
using asio_semaphore::error;

namespace {

struct basic : scenario {
    redis_admin server_side = admin();

    std::uint64_t calls_of_all() { return server_side.calls_of("evalsha"); }
    std::int64_t size_of(const char* key) { return server_side.command("ZCARD", key).as_number(); }
};

/// Another program that uses the script. It makes exactly the calls that the test demands.
struct stranger {
    explicit stranger(std::uint16_t port, std::string client = "stranger") :
        server(port), ear(port, client), name(std::move(client)) {}

    fleet::call make(const std::string& limit, std::int64_t permits, std::int64_t lease) const {
        fleet::call c;
        c.name = limit;
        c.presence = c.lease = lease;
        c.limit = permits;
        c.is_immediate = true;
        return c;
    }
    fleet::answer execute(const fleet::call& c) { return server.execute(name, 1, c, 0); }

    script_server server;
    listener ear;
    std::string name;
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(
    fleet_scenarios_basic, basic, *boost::unit_test::precondition(test::with_redis_server))

BOOST_AUTO_TEST_CASE(F01_a_release_grants_the_waiting_request_in_the_same_call) {
    auto a = start(), b = start();
    fleet_semaphore of_a(context, a->client, "x", 2, options_with(long_lease));
    fleet_semaphore of_b(context, b->client, "x", 2, options_with(long_lease));
    fleet_permit first = acquire(of_a), second = acquire(of_a);
    ended third;
    queue(of_b, third);
    const auto before = calls_of_all();
    const auto commands = a->client.statistics().commands + b->client.statistics().commands;
    first.reset();
    BOOST_TEST(until_ended(third));
    BOOST_TEST(third.granted());
    BOOST_TEST(calls_of_all() == before + 1);
    BOOST_TEST(a->client.statistics().commands + b->client.statistics().commands == commands + 1);
    // The same within one client: the answer grants, not a push.
    ended fourth;
    queue(of_a, fourth);
    second.reset();
    BOOST_TEST(until_ended(fourth));
    BOOST_TEST(fourth.granted());
    BOOST_TEST(calls_of_all() == before + 3);
}

BOOST_AUTO_TEST_CASE(F02_fencing_numbers_grow_across_processes_and_lives) {
    std::uint64_t last = 0;
    for (int life = 0; life < 3; ++life) {
        auto a = start(), b = start();
        fleet_semaphore of_a(context, a->client, "x", 2, options_with(long_lease));
        fleet_semaphore of_b(context, b->client, "x", 2, options_with(long_lease));
        for (int i = 0; i < 5; ++i) {
            for (fleet_semaphore* limit : {&of_a, &of_b}) {
                const fleet_permit p = acquire(*limit);
                BOOST_TEST(p.fencing() > last);
                last = p.fencing();
            }
        }
        for (auto* m : {&a, &b}) {
            ended closed;
            (*m)->client.async_close(asio::bind_executor(context, closed.handler()));
            BOOST_TEST(until_ended(closed));
        }
    }
}

BOOST_AUTO_TEST_CASE(F03_a_large_request_at_the_head_holds_back_smaller_ones) {
    auto a = start(), b = start();
    fleet_semaphore of_a(context, a->client, "x", 3, options_with(long_lease));
    fleet_semaphore of_b(context, b->client, "x", 3, options_with(long_lease));
    fleet_permit held = acquire(of_a);
    ended large, small;
    queue(of_b, large, 3);
    queue(of_a, small, 1);
    BOOST_TEST(inspect(of_a).available == 2);
    BOOST_TEST(small.pending());
    held.reset();
    BOOST_TEST(until_ended(large));
    BOOST_TEST(large.granted());
    BOOST_TEST(inspect(of_a).held == 3);
    BOOST_TEST(small.pending());
    large.held.reset();
    BOOST_TEST(until_ended(small));
    BOOST_TEST(small.granted());
    BOOST_TEST(small.held.fencing() > large.held.fencing());
}

BOOST_AUTO_TEST_CASE(F05_a_cancelled_head_lets_the_requests_behind_it_in) {
    auto a = start(), b = start();
    fleet_semaphore of_a(context, a->client, "x", 3, options_with(long_lease));
    fleet_semaphore of_b(context, b->client, "x", 3, options_with(long_lease));
    const fleet_permit held = acquire(of_a);
    asio::cancellation_signal signal;
    ended head, second, third, fourth;
    const auto queued = of_a.statistics().queued;
    of_a.async_acquire_permit(3, asio::bind_cancellation_slot(signal.slot(), head.handler()));
    BOOST_TEST_REQUIRE(until([&] { return of_a.statistics().queued == queued + 1; }));
    queue(of_b, second);
    queue(of_a, third);
    queue(of_b, fourth);
    const auto before = calls_of_all();
    signal.emit(asio::cancellation_type::total);
    BOOST_TEST(until_ended(second));
    BOOST_TEST(until_ended(third));
    BOOST_TEST(head.failed(asio::error::operation_aborted));
    BOOST_TEST(second.granted());
    BOOST_TEST(third.granted());
    BOOST_TEST(calls_of_all() == before + 1);
    BOOST_TEST(inspect(of_a).waiting == 1u);
    BOOST_TEST(fourth.pending());
}

BOOST_AUTO_TEST_CASE(F06_a_request_that_may_not_wait_overtakes_nobody) {
    auto a = start(), b = start();
    fleet_semaphore of_a(context, a->client, "x", 3, options_with(long_lease));
    fleet_semaphore of_b(context, b->client, "x", 3, options_with(long_lease));
    const fleet_permit held = acquire(of_a);
    ended head;
    queue(of_a, head, 3);
    for (fleet_semaphore* limit : {&of_a, &of_b}) {
        ended tries;
        limit->async_acquire_permit_for(0s, tries.handler());
        BOOST_TEST(until_ended(tries));
        BOOST_TEST(tries.failed(asio::error::timed_out));
        const fleet_status s = inspect(*limit);
        BOOST_TEST(s.waiting == 1u);
        BOOST_TEST(s.held == 1);
    }
    BOOST_TEST(of_a.cancel() == 1u);
    ended tries;
    of_b.async_acquire_permit_for(0s, tries.handler());
    BOOST_TEST(until_ended(tries));
    // The server may drop the cancelled place one round trip after it executes the try.
    if (!tries.granted()) {
        BOOST_TEST(until([&] { return inspect(of_b).waiting == 0u; }));
        ended again;
        of_b.async_acquire_permit_for(0s, again.handler());
        BOOST_TEST(until_ended(again));
        BOOST_TEST(again.granted());
    }
}

BOOST_AUTO_TEST_CASE(F07_invalid_counts_do_not_reach_the_server) {
    auto a = start();
    fleet_semaphore limit(context, a->client, "x", 2, options_with(long_lease));
    BOOST_TEST(until([&] { return a->client.statistics().connected; }));
    ended none, negative, large;
    limit.async_acquire_permit(0, none.handler());
    limit.async_acquire_permit(-1, negative.handler());
    BOOST_TEST((none.pending() && negative.pending()));
    BOOST_TEST(until_ended(none));
    BOOST_TEST(until_ended(negative));
    BOOST_TEST((none.succeeded() && !none.held));
    BOOST_TEST(negative.failed(asio::error::invalid_argument));
    BOOST_TEST(a->client.statistics().calls == 0u);
    BOOST_TEST(server_side.command("EXISTS", "asem:{x}:m").as_number() == 0);
    limit.async_acquire_permit(3, large.handler());
    BOOST_TEST(until_ended(large));
    BOOST_TEST(large.failed(error::exceeds_max));
    BOOST_TEST(size_of("asem:{x}:q") == 0);
    // The server's limit decides, not the one that is known here.
    auto b = start();
    fleet_semaphore of_b(context, b->client, "x", 2, options_with(long_lease));
    BOOST_TEST(inspect(of_b).limit == 2);
    BOOST_TEST(set_limit(limit, 3) == error_code());
    const fleet_permit all = acquire(of_b, 3);
    BOOST_TEST(all.count() == 3);
}

BOOST_AUTO_TEST_CASE(F11_a_release_after_the_expiry_is_lost_and_frees_nothing_of_others) {
    proxy line(server.port());
    auto a = make(line.port()), b = make();
    fleet_semaphore of_a(context, a->client, "x", 1, options_with(400ms));
    fleet_semaphore of_b(context, b->client, "x", 1, options_with(400ms));
    a->run();
    b->run();
    fleet_permit held = acquire(of_a);
    line.hold(proxy::to_server);
    const fleet_permit next = acquire(of_b); // granted after the lease expires
    BOOST_TEST(!held.valid());
    BOOST_TEST(next.fencing() > held.fencing());
    line.let_go(proxy::to_server);
    BOOST_TEST((release(held) == fleet_error::lost));
    BOOST_TEST(until([&] { return a->client.statistics().connected; }));
    BOOST_TEST(inspect(of_a).held == 1);
    BOOST_TEST(next.valid());
}

BOOST_AUTO_TEST_CASE(F12_of_a_batch_of_releases_the_known_ones_are_released) {
    auto b = start();
    fleet_semaphore of_b(context, b->client, "x", 3, options_with(long_lease));
    const fleet_permit other = acquire(of_b);
    stranger s(server.port());
    fleet::call c = s.make("x", 3, 60'000);
    c.commands = {{fleet::verb::acquire, {1, 1, 60'000}}, {fleet::verb::acquire, {2, 1, 60'000}}};
    BOOST_TEST(s.execute(c).held == 3);
    c.commands = {
        {fleet::verb::give_back, {1, 1, 60'000}},
        {fleet::verb::give_back, {7, 1, 60'000}},
        {fleet::verb::give_back, {2, 1, 60'000}}};
    const fleet::answer said = s.execute(c);
    BOOST_TEST_REQUIRE(said.results.size() == 3u);
    BOOST_TEST((said.results[0].what == fleet::verdict::released));
    BOOST_TEST((said.results[1].what == fleet::verdict::unknown));
    BOOST_TEST((said.results[2].what == fleet::verdict::released));
    BOOST_TEST(inspect(of_b).held == 1);
    BOOST_TEST(size_of("asem:{x}:l") == 1);
    BOOST_TEST(other.valid());
}

BOOST_AUTO_TEST_CASE(F13_the_next_call_of_any_client_ends_expired_leases) {
    auto b = start();
    fleet_semaphore of_b(context, b->client, "x", 4, options_with(long_lease));
    stranger s(server.port());
    const fleet_permit keeps = acquire(of_b);
    fleet_permit gives = acquire(of_b);
    for (int kind = 0; kind < 4; ++kind) {
        BOOST_TEST_CONTEXT("kind " << kind) {
            fleet::call c = s.make("x", 4, 60'000);
            const fleet::request_name name{static_cast<std::uint64_t>(kind + 1), 2, 200};
            c.commands = {{fleet::verb::acquire, name}};
            const fleet::answer said = s.execute(c);
            BOOST_TEST_REQUIRE((said.results.at(0).what == fleet::verdict::granted));
            const auto expires = lease_clock::now() + 200ms;
            BOOST_TEST(size_of("asem:{x}:l") == 3);
            until_time(expires + 2ms);
            BOOST_TEST(size_of("asem:{x}:l") == 3); // no call was made
            ended e;
            switch (kind) {
            case 0:
                of_b.async_inspect(e.handler());
                break;
            case 1:
                of_b.async_acquire_permit_for(0s, 3, e.handler()); // would not fit
                break;
            case 2:
                of_b.async_set_limit(4, e.handler());
                break;
            default:
                gives.async_release(e.handler());
            }
            BOOST_TEST(until_ended(e));
            BOOST_TEST(size_of("asem:{x}:l") == (kind == 3 ? 1 : 2));
            BOOST_TEST(inspect(of_b).held == (kind == 3 ? 1 : 2));
        }
    }
}

BOOST_AUTO_TEST_CASE(F14_a_renewal_of_a_lease_that_the_server_lost_is_readmitted_if_there_is_room) {
    auto a = make();
    fleet_semaphore of_a(context, a->client, "x", 2, options_with(3'000ms));
    a->run();
    fleet_permit held = acquire(of_a);
    const auto fence = held.fencing();
    server_side.command("FLUSHALL");
    BOOST_TEST(until([&] { return of_a.statistics().readmitted == 1; }));
    BOOST_TEST(held.valid());
    BOOST_TEST(held.fencing() == fence);
    BOOST_TEST(inspect(of_a).lowest_fencing == fence);
    BOOST_TEST(inspect(of_a).held == 1);

    // If there is no free permit, the permit is lost: within the same write, another request comes
    // first.
    ended loss;
    held.async_wait_lost(asio::bind_executor(context, loss.handler()));
    stranger s(server.port());
    fleet::call c = s.make("x", 2, 60'000);
    c.commands = {{fleet::verb::acquire, {1, 2, 60'000}}};
    s.server.admin.append({"FLUSHALL"});
    s.server.append(s.name, 1, c, 0);
    s.server.admin.take();
    BOOST_TEST(
        (script_server::to_answer(s.server.admin.take(), c).results.at(0).what ==
         fleet::verdict::granted));
    BOOST_TEST(until_ended(loss));
    BOOST_TEST(loss.failed(fleet_error::lost));
    BOOST_TEST(!held.valid());
    BOOST_TEST(of_a.statistics().lost_by_server == 1u);
    held.reset();
    BOOST_TEST(inspect(of_a).held == 2);
}

BOOST_AUTO_TEST_CASE(F16_closing_a_client_leaves_nothing_in_the_server) {
    auto a = start(), b = start();
    fleet_semaphore of_a(context, a->client, "x", 2, options_with(long_lease));
    fleet_semaphore of_b(context, b->client, "x", 2, options_with(long_lease));
    fleet_permit held = acquire(of_a, 2);
    ended waits_there, waits_here, closed;
    queue(of_b, waits_there);
    queue(of_a, waits_here, 2);
    ended loss;
    held.async_wait_lost(asio::bind_executor(context, loss.handler()));
    a->client.async_close(asio::bind_executor(context, closed.handler()));
    BOOST_TEST(until_ended(closed));
    BOOST_TEST(closed.ec == error_code());
    // The keys now hold only the other client's requests.
    BOOST_TEST(size_of("asem:{x}:l") == 1);
    BOOST_TEST(size_of("asem:{x}:q") == 0);
    BOOST_TEST(until_ended(waits_there));
    BOOST_TEST(waits_there.granted());
    BOOST_TEST(until_ended(waits_here));
    BOOST_TEST(waits_here.failed(error::closed));
    BOOST_TEST(until_ended(loss));
    BOOST_TEST(loss.failed(asio::error::operation_aborted));
    BOOST_TEST(!held.valid());
    ended late;
    of_a.async_acquire_permit(late.handler());
    BOOST_TEST(until_ended(late));
    BOOST_TEST(late.failed(error::closed));
}

BOOST_AUTO_TEST_CASE(F16_a_request_that_waited_longer_than_a_lease_leaves_nothing_behind_either) {
    auto a = make(), b = make();
    fleet_semaphore of_a(context, a->client, "x", 1, options_with(2'000ms));
    fleet_semaphore of_b(context, b->client, "x", 1, options_with(200ms));
    a->run();
    b->run();
    fleet_permit held = acquire(of_a);
    ended granted, cancelled;
    asio::cancellation_signal signal;
    queue(of_b, granted);
    of_b.async_acquire_permit(asio::bind_cancellation_slot(signal.slot(), cancelled.handler()));
    until_time(lease_clock::now() + 600ms);
    signal.emit(asio::cancellation_type::total);
    BOOST_TEST(until_ended(cancelled));
    BOOST_TEST(until([&] { return size_of("asem:{x}:q") == 1; }));
    held.reset();
    BOOST_TEST(until_ended(granted));
    BOOST_TEST_REQUIRE(granted.granted());
    BOOST_TEST((release(granted.held) == error_code())); // not fleet_error::lost
    BOOST_TEST(inspect(of_a).held == 0);
}

BOOST_AUTO_TEST_CASE(F22_a_raised_limit_wakes_waiters_in_other_processes_at_once) {
    auto a = start();
    fleet_semaphore of_a(context, a->client, "x", 1, options_with(long_lease));
    const fleet_permit held = acquire(of_a);
    std::deque<std::unique_ptr<member>> others;
    std::deque<fleet_semaphore> limits;
    std::deque<ended> waiting;
    for (int i = 0; i < 4; ++i) {
        others.push_back(start());
        limits.emplace_back(context, others.back()->client, "x", 1, options_with(long_lease));
        queue(limits.back(), waiting.emplace_back());
    }
    const auto before = calls_of_all();
    BOOST_TEST(set_limit(of_a, 4) == error_code());
    for (int i = 0; i < 3; ++i) {
        BOOST_TEST(until_ended(waiting[static_cast<std::size_t>(i)]));
        BOOST_TEST(waiting[static_cast<std::size_t>(i)].granted());
    }
    BOOST_TEST(calls_of_all() == before + 1);
    BOOST_TEST(waiting[3].pending());
    BOOST_TEST(inspect(of_a).held == 4);
    BOOST_TEST(of_a.limit() == 4);
}

BOOST_AUTO_TEST_CASE(F24_an_acquire_of_many_that_times_out_takes_nothing) {
    auto a = start();
    fleet_semaphore limit(context, a->client, "x", 5, options_with(long_lease));
    const fleet_permit held = acquire(limit, 2);
    ended many;
    limit.async_acquire_permit_for(50ms, 5, many.handler());
    BOOST_TEST(until_ended(many));
    BOOST_TEST(many.failed(asio::error::timed_out));
    BOOST_TEST(until([&] { return inspect(limit).waiting == 0; }));
    BOOST_TEST(inspect(limit).held == 2);
    const fleet_permit rest = acquire(limit, 3);
    BOOST_TEST(rest.count() == 3);
}

BOOST_AUTO_TEST_CASE(F25_two_permits_released_at_once_admit_a_request_for_two) {
    auto a = start(), b = start();
    fleet_semaphore of_a(context, a->client, "x", 2, options_with(long_lease));
    fleet_semaphore of_b(context, b->client, "x", 2, options_with(long_lease));
    fleet_permit held = acquire(of_a, 2);
    ended two;
    queue(of_b, two, 2);
    const auto before = b->client.statistics().pushes;
    held.reset();
    BOOST_TEST(until_ended(two));
    BOOST_TEST(two.granted());
    BOOST_TEST(two.held.count() == 2);
    BOOST_TEST(b->client.statistics().pushes == before + 1);
}

BOOST_AUTO_TEST_CASE(F30_two_limits_of_one_name_are_a_mismatch_or_adopted) {
    auto a = start(), b = start(), c = start();
    fleet_semaphore of_a(context, a->client, "x", 10, options_with(long_lease));
    const fleet_permit held = acquire(of_a);
    fleet_semaphore of_b(context, b->client, "x", 20, options_with(long_lease));
    for (int i = 0; i < 2; ++i) {
        ended wants, asks, sets;
        of_b.async_acquire_permit(wants.handler());
        of_b.async_inspect(asks.handler());
        of_b.async_set_limit(30, sets.handler());
        BOOST_TEST((until_ended(wants) && until_ended(asks) && until_ended(sets)));
        BOOST_TEST(wants.failed(fleet_error::limit_mismatch));
        BOOST_TEST(asks.failed(fleet_error::limit_mismatch));
        BOOST_TEST(sets.failed(fleet_error::limit_mismatch));
    }
    fleet_options adopts = options_with(long_lease);
    adopts.adopt_limit = true;
    fleet_semaphore of_c(context, c->client, "x", 20, adopts);
    const fleet_permit nine = acquire(of_c, 9);
    BOOST_TEST(of_c.limit() == 10);
    ended tenth;
    of_c.async_acquire_permit_for(0s, 2, tenth.handler());
    BOOST_TEST(until_ended(tenth));
    BOOST_TEST(tenth.failed(asio::error::timed_out));
    BOOST_TEST(inspect(of_a).limit == 10);
}

BOOST_AUTO_TEST_CASE(F31_a_second_creation_with_another_limit_changes_nothing) {
    auto a = start(), b = start();
    fleet_semaphore of_a(context, a->client, "x", 1, options_with(long_lease));
    const fleet_permit held = acquire(of_a);
    const auto before = server_side.hash("asem:{x}:m");
    fleet_semaphore of_b(context, b->client, "x", 5, options_with(long_lease));
    ended wants;
    of_b.async_acquire_permit(wants.handler());
    BOOST_TEST(until_ended(wants));
    BOOST_TEST(wants.failed(fleet_error::limit_mismatch));
    BOOST_TEST((server_side.hash("asem:{x}:m") == before));
    ended second;
    queue(of_a, second);
    BOOST_TEST(inspect(of_a).held == 1);
    BOOST_TEST(second.pending());
}

BOOST_AUTO_TEST_CASE(F32_a_lowered_limit_is_absorbed_before_anybody_is_admitted) {
    // Four are held when the limit drops to 2. A waiting n = 1 is granted with the third release,
    // an n = 2 with the fourth.
    for (const int n : {1, 2}) {
        auto a = start(), b = start();
        const std::string name = "x" + std::to_string(n);
        fleet_semaphore of_a(context, a->client, name, 5, options_with(long_lease));
        fleet_semaphore of_b(context, b->client, name, 5, options_with(long_lease));
        std::vector<fleet_permit> held;
        for (int i = 0; i < 4; ++i)
            held.push_back(acquire(of_a));
        fleet_status s = inspect(of_b);
        BOOST_TEST(s.available == 1);
        BOOST_TEST(set_limit(of_a, 2) == error_code());
        s = inspect(of_b);
        BOOST_TEST(s.limit == 2);
        BOOST_TEST(s.available == -2);
        ended waits;
        queue(of_b, waits, n);
        for (int released = 1; released <= 4; ++released) {
            for (const fleet_permit& p : held)
                BOOST_TEST(p.valid());
            BOOST_TEST(release(held.back()) == error_code());
            held.pop_back();
            s = inspect(of_b);
            if (released < 2 + n) {
                BOOST_TEST(waits.pending());
                BOOST_TEST(s.waiting == 1u);
            } else {
                BOOST_TEST(until_ended(waits));
                BOOST_TEST(waits.granted());
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(F33_a_request_above_a_lowered_limit_fails_and_lets_the_next_in) {
    auto a = start(), b = start(), c = start();
    fleet_semaphore of_a(context, a->client, "x", 5, options_with(long_lease));
    fleet_semaphore of_b(context, b->client, "x", 5, options_with(long_lease));
    fleet_semaphore of_c(context, c->client, "x", 5, options_with(long_lease));
    fleet_permit held = acquire(of_a, 3);
    ended large, own, small;
    queue(of_b, large, 3);
    queue(of_a, own, 4);
    queue(of_c, small, 1);
    BOOST_TEST(set_limit(of_a, 2) == error_code());
    BOOST_TEST(until_ended(large));
    BOOST_TEST(until_ended(own));
    BOOST_TEST(large.failed(error::exceeds_max)); // reported by a push
    BOOST_TEST(own.failed(error::exceeds_max));   // reported by the answer
    BOOST_TEST(small.pending());
    held.reset();
    BOOST_TEST(until_ended(small));
    BOOST_TEST(small.granted());
}

BOOST_AUTO_TEST_CASE(F40_a_permit_given_back_while_it_is_renewed_is_never_lost_and_never_held) {
    constexpr int at_once = 500, rounds = 20;
    proxy line(server.port());
    auto a = make(line.port());
    fleet_options options = options_with(1'200ms);
    options.window = at_once;
    fleet_semaphore limit(context, a->client, "x", at_once, options);
    a->run();
    line.delay(proxy::to_client, 50ms); // delays every answer
    int losses = 0, waits_ended = 0;
    for (int round = 0; round < rounds; ++round) {
        std::deque<ended> all(at_once);
        for (ended& e : all)
            limit.async_acquire_permit(e.handler());
        for (ended& e : all) {
            BOOST_TEST_REQUIRE(until_ended(e));
            BOOST_TEST_REQUIRE(e.granted());
            e.held.async_wait_lost(asio::bind_executor(context, [&](error_code ec) {
                ++waits_ended;
                losses += ec != asio::error::operation_aborted ? 1 : 0;
            }));
        }
        // No other command is due, so the next call renews them all.
        const auto calls = line.count(proxy::calls);
        BOOST_TEST_REQUIRE(line.wait_for(proxy::calls, calls + 1));
        all.clear();
        BOOST_TEST_REQUIRE(becomes_empty(limit));
    }
    BOOST_TEST(until([&] { return waits_ended == at_once * rounds; }));
    BOOST_TEST(losses == 0);
    BOOST_TEST(limit.statistics().lost_by_server == 0u);
    BOOST_TEST(limit.statistics().lost_by_deadline == 0u);
    BOOST_TEST(limit.statistics().held == 0u);
}

BOOST_AUTO_TEST_CASE(F41_a_script_that_the_server_forgot_is_sent_once) {
    auto a = start();
    fleet_semaphore limit(context, a->client, "x", 1, options_with(long_lease));
    for (std::uint64_t flushes = 1; flushes <= 3; ++flushes) {
        for (int i = 0; i < 3; ++i)
            BOOST_TEST(acquire(limit).valid());
        BOOST_TEST(inspect(limit).limit == 1);
        BOOST_TEST(server_side.calls_of("eval") == flushes);
        server_side.command("SCRIPT", "FLUSH");
    }
    BOOST_TEST(a->client.statistics().rejected == 0u);
    BOOST_TEST(a->client.statistics().connections == 1u);
}

BOOST_AUTO_TEST_CASE(F54_a_hundred_thousand_requests_wait_in_the_client_and_few_in_the_server) {
    constexpr std::size_t many = 100'000;
    auto a = start();
    fleet_semaphore limit(context, a->client, "x", 1, options_with(long_lease));
    const fleet_permit held = acquire(limit);
    std::size_t aborted = 0;
    const auto start_all = [&] {
        for (std::size_t i = 0; i < many; ++i)
            limit.async_acquire_permit([&](error_code ec, fleet_permit) {
                aborted += ec == asio::error::operation_aborted ? 1 : 0;
            });
    };
    const auto in_use = [] {
        return ::mallinfo2().uordblks;
    };
    std::size_t before = 0;
    for (int round = 0; round < 2; ++round) { // by then, memory kept for good has been taken
        before = in_use();
        aborted = 0;
        start_all();
        BOOST_TEST(limit.waiting() == many);
        BOOST_TEST(until([&] { return size_of("asem:{x}:q") == 64; }));
        BOOST_TEST(inspect(limit).waiting == 64u);
        const auto begin = std::chrono::steady_clock::now();
        BOOST_TEST(limit.cancel() == many);
        // Generous for 10^5 operations, and far too short for their square.
        BOOST_TEST((std::chrono::steady_clock::now() - begin < 10s));
        BOOST_TEST(until([&] { return aborted == many; }));
        BOOST_TEST(limit.waiting() == 0u);
        BOOST_TEST(until([&] { return size_of("asem:{x}:q") == 0; }));
    }
    BOOST_TEST(until([&] { return in_use() < before + 1'000'000; }));
    BOOST_TEST(held.valid());
}

BOOST_AUTO_TEST_CASE(F55_an_operation_is_cancelled_when_its_permit_is_lost) {
    proxy line(server.port());
    auto a = make(line.port()), b = make();
    fleet_semaphore of_a(context, a->client, "x", 1, options_with(400ms));
    fleet_semaphore of_b(context, b->client, "x", 1, options_with(400ms));
    a->run();
    b->run();
    // The release is sent before the handler runs, so an acquire from the handler is granted.
    asio::steady_timer work(context, 5ms);
    ended first, next;
    work.async_wait(asio_semaphore::with_permit(of_a, [&](error_code ec) {
        first.handler()(ec);
        of_a.async_acquire_permit(next.handler());
    }));
    BOOST_TEST(until_ended(next));
    BOOST_TEST(first.succeeded());
    BOOST_TEST(next.granted());
    next.held.reset();

    work.expires_at(std::chrono::steady_clock::time_point::max());
    ended operation;
    work.async_wait(asio_semaphore::with_permit(of_a, operation.handler()));
    BOOST_TEST(until([&] { return of_a.statistics().held == 1; }));
    line.swallow(proxy::to_server);
    BOOST_TEST(until_ended(operation));
    BOOST_TEST(operation.ec == asio::error::operation_aborted);
    BOOST_TEST(of_a.statistics().lost_by_deadline == 1u);
    const fleet_permit others = acquire(of_b);
    BOOST_TEST(others.valid());
}

BOOST_AUTO_TEST_CASE(F56_work_beside_a_wait_for_the_loss_leaks_nothing_whichever_ends_first) {
    proxy line(server.port());
    auto a = make(line.port());
    fleet_semaphore limit(context, a->client, "x", 1, options_with(400ms));
    a->run();
    for (const bool is_lost : {false, true}) {
        fleet_permit held = acquire(limit);
        asio::steady_timer work(context, is_lost ? 3600s : 5s / 1000);
        int ended_how = -1;
        asio::experimental::make_parallel_group(
            work.async_wait(asio::deferred), held.async_wait_lost(asio::deferred))
            .async_wait(
                asio::experimental::wait_for_one(),
                asio::bind_executor(
                    context,
                    [&](std::array<std::size_t, 2> order, error_code of_work, error_code of_loss) {
                        ended_how = static_cast<int>(order[0]);
                        if (ended_how == 0)
                            BOOST_TEST(of_loss == asio::error::operation_aborted);
                        else
                            BOOST_TEST(of_work == asio::error::operation_aborted);
                    }));
        if (is_lost)
            line.swallow(proxy::to_server);
        BOOST_TEST(until([&] { return ended_how != -1; }));
        BOOST_TEST(ended_how == (is_lost ? 1 : 0));
        BOOST_TEST(held.valid() == !is_lost);
        line.swallow(proxy::to_server, false);
        held.reset();
        BOOST_TEST(becomes_empty(limit));
    }
    // A completion that no handler receives gives the lease back.
    auto b = start();
    fleet_semaphore other(context, b->client, "y", 1, options_with(long_lease));
    for (int i = 0; i < 3; ++i) {
        other.async_acquire_permit(asio::detached);
        BOOST_TEST(until([&] { return other.statistics().granted == std::size_t(i) + 1; }));
        BOOST_TEST(becomes_empty(other));
    }
}

BOOST_AUTO_TEST_CASE(F59_a_permit_is_not_renewed_beyond_its_longest_hold) {
    auto a = make(), b = make();
    fleet_options options = options_with(400ms);
    options.max_hold = 800ms;
    fleet_semaphore of_a(context, a->client, "x", 1, options);
    fleet_semaphore of_b(context, b->client, "x", 1, options_with(400ms));
    a->run();
    b->run();
    const auto before = lease_clock::now();
    fleet_permit held = acquire(of_a);
    ended loss, next;
    held.async_wait_lost(asio::bind_executor(context, loss.handler()));
    queue(of_b, next);
    const auto granted = lease_clock::now();
    BOOST_TEST(until_ended(loss));
    BOOST_TEST(loss.failed(fleet_error::lost));
    BOOST_TEST((loss.at - before >= 800ms));
    BOOST_TEST((loss.at - granted < 4 * 400ms)); // max_hold + L - M, and some delay
    BOOST_TEST(!held.valid());
    BOOST_TEST(until_ended(next));
    BOOST_TEST(next.granted());
    BOOST_TEST((next.at > loss.at));
    BOOST_TEST(of_a.statistics().lost_by_deadline == 1u);
}

BOOST_AUTO_TEST_CASE(F60_unused_keys_expire_and_fencing_numbers_still_grow) {
    constexpr std::int64_t day = 24 * 3600 * 1000;
    const std::array<std::string, 5> keys{
        "asem:{x}:m", "asem:{x}:l", "asem:{x}:f", "asem:{x}:q", "asem:{x}:c"};
    auto a = start();
    fleet_semaphore limit(context, a->client, "x", 1, options_with(long_lease));
    fleet_permit held = acquire(limit);
    const auto fence = held.fencing();
    ended waits;
    queue(limit, waits);
    for (const std::string& key : keys) {
        BOOST_TEST_CONTEXT(key) {
            const auto left = server_side.command("PTTL", key).as_number();
            BOOST_TEST(left > day / 2 - 60'000);
            BOOST_TEST(left <= day);
        }
    }
    limit.cancel();
    held.reset();
    BOOST_TEST(becomes_empty(limit));
    for (const std::string& key : keys) // the keys' idle time of a day ends
        server_side.command("PEXPIRE", key, 1);
    BOOST_TEST(until([&] { return server_side.command("DBSIZE").as_number() == 0; }));
    const fleet_permit again = acquire(limit);
    BOOST_TEST(again.fencing() > fence);
    auto b = start(); // a client that knows none of the numbers
    fleet_semaphore of_b(context, b->client, "y", 1, options_with(long_lease));
    const auto first = acquire(of_b).fencing();
    ended closed;
    b->client.async_close(asio::bind_executor(context, closed.handler()));
    BOOST_TEST(until_ended(closed));
    server_side.command(
        "DEL", "asem:{y}:m", "asem:{y}:l", "asem:{y}:f", "asem:{y}:q", "asem:{y}:c");
    auto c = start();
    fleet_semaphore of_c(context, c->client, "y", 1, options_with(long_lease));
    BOOST_TEST(acquire(of_c).fencing() > first);
}

BOOST_AUTO_TEST_CASE(F61_a_thousand_permits_are_renewed_by_one_call) {
    auto a = make();
    fleet_semaphore limit(context, a->client, "x", 1'000, options_with(3'000ms));
    a->run();
    std::deque<ended> all(1'000);
    for (ended& e : all)
        limit.async_acquire_permit(e.handler());
    for (ended& e : all) {
        BOOST_TEST_REQUIRE(until_ended(e));
        BOOST_TEST_REQUIRE(e.granted());
    }
    const auto settled = [&] {
        return limit.statistics().renewals;
    };
    const auto first = settled();
    BOOST_TEST(until([&] { return settled() >= first + 1'000; }));
    const auto renewals = settled();
    const auto calls = calls_of_all();
    BOOST_TEST(until([&] { return settled() >= renewals + 2'000; }));
    BOOST_TEST(calls_of_all() - calls <= (settled() - renewals) / 1'000 + 1);
    BOOST_TEST(limit.statistics().lost_by_deadline == 0u);
}

BOOST_AUTO_TEST_CASE(F62_requests_made_while_a_call_is_under_way_go_with_the_next) {
    proxy line(server.port());
    auto a = start(line.port());
    fleet_semaphore limit(context, a->client, "x", 64, options_with(long_lease));
    acquire(limit).reset();
    BOOST_TEST(becomes_empty(limit));
    const auto trips = a->client.statistics().calls;
    const auto seen = line.count(proxy::calls);
    line.hold(proxy::to_client);
    std::deque<ended> all(64);
    limit.async_acquire_permit(all[0].handler());
    BOOST_TEST(line.wait_for(proxy::calls, seen + 1));
    for (std::size_t i = 1; i < all.size(); ++i)
        limit.async_acquire_permit(all[i].handler());
    poll();
    BOOST_TEST(line.wait_for(proxy::answers, seen + 1));
    BOOST_TEST(line.count(proxy::calls) == seen + 1);
    line.let_go(proxy::to_client);
    for (ended& e : all) {
        BOOST_TEST(until_ended(e));
        BOOST_TEST(e.granted());
    }
    BOOST_TEST(line.count(proxy::calls) == seen + 2);
    BOOST_TEST(a->client.statistics().calls == trips + 2);
}

BOOST_AUTO_TEST_CASE(a_permit_costs_one_call_and_a_hand_over_one_call_and_one_message) {
    proxy line_a(server.port()), line_b(server.port());
    auto a = start(line_a.port()), b = start(line_b.port());
    fleet_semaphore of_a(context, a->client, "x", 1, options_with(long_lease));
    fleet_semaphore of_b(context, b->client, "x", 1, options_with(long_lease));
    for (fleet_semaphore* limit : {&of_a, &of_b}) {
        acquire(*limit).reset();
        BOOST_TEST(becomes_empty(*limit));
    }
    const auto calls_a = line_a.count(proxy::calls), calls_b = line_b.count(proxy::calls);
    const auto pushes_a = line_a.count(proxy::pushes), pushes_b = line_b.count(proxy::pushes);

    fleet_permit first = acquire(of_a);
    BOOST_TEST(line_a.count(proxy::calls) == calls_a + 1);

    // A release does not wait: neither for the server's answer, nor until the call is sent.
    ended waits;
    queue(of_b, waits);
    BOOST_TEST(line_b.count(proxy::calls) == calls_b + 1);
    line_a.hold(proxy::to_server);
    const auto executed = calls_of_all();
    first.reset();
    BOOST_TEST(!first);
    BOOST_TEST(line_a.wait_for(proxy::calls, calls_a + 2));
    BOOST_TEST(calls_of_all() == executed);
    line_a.let_go(proxy::to_server);
    BOOST_TEST(until_ended(waits));
    BOOST_TEST(waits.granted());
    BOOST_TEST(calls_of_all() == executed + 1);
    BOOST_TEST(line_b.count(proxy::calls) == calls_b + 1);
    BOOST_TEST(line_b.count(proxy::pushes) == pushes_b + 1);

    BOOST_TEST(release(waits.held) == error_code());
    BOOST_TEST(calls_of_all() == executed + 2);
    BOOST_TEST(line_a.count(proxy::calls) == calls_a + 2);
    BOOST_TEST(line_b.count(proxy::calls) == calls_b + 2);
    BOOST_TEST(line_a.count(proxy::pushes) == pushes_a);
    BOOST_TEST(line_b.count(proxy::pushes) == pushes_b + 1);
}

BOOST_AUTO_TEST_CASE(F64_two_limits_share_a_connection_and_not_a_failure) {
    proxy line(server.port());
    auto a = start(line.port());
    fleet_semaphore x(context, a->client, "x", 9, options_with(long_lease));
    fleet_semaphore y(context, a->client, "y", 9, options_with(long_lease));
    acquire(x).reset();
    acquire(y).reset();
    BOOST_TEST(becomes_empty(x));
    BOOST_TEST(becomes_empty(y));
    BOOST_TEST(server_side.command("PUBSUB", "CHANNELS", "asem:*").size() == 1u);
    BOOST_TEST(a->client.statistics().connections == 1u);

    // Both requests wait while a call is in flight, and the next call sends them together.
    const auto trips = a->client.statistics().calls;
    const auto seen = line.count(proxy::calls);
    line.hold(proxy::to_client);
    ended first, second, third;
    x.async_acquire_permit(first.handler());
    BOOST_TEST(line.wait_for(proxy::calls, seen + 1));
    x.async_acquire_permit(second.handler());
    y.async_acquire_permit(third.handler());
    line.let_go(proxy::to_client);
    BOOST_TEST((until_ended(first) && until_ended(second) && until_ended(third)));
    BOOST_TEST((first.granted() && second.granted() && third.granted()));
    BOOST_TEST(a->client.statistics().calls == trips + 3);

    for (const char key : {'m', 'l', 'f', 'q', 'c'})
        server_side.command("DEL", std::string("asem:{y}:") + key);
    server_side.command("SET", "asem:{y}:m", "somebody else's");
    ended of_x, of_y;
    x.async_acquire_permit(of_x.handler());
    y.async_acquire_permit(of_y.handler());
    BOOST_TEST((until_ended(of_x) && until_ended(of_y)));
    BOOST_TEST(of_x.granted());
    BOOST_TEST(of_y.failed(fleet_error::rejected));
    BOOST_TEST(a->client.statistics().connections == 1u);
    BOOST_TEST(until([&] { return a->log().find("WRONGTYPE") != std::string::npos; }));
    const fleet_permit still = acquire(x);
    BOOST_TEST(still.valid());
}

BOOST_AUTO_TEST_SUITE_END()
