// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include "fleet/scenario.hpp"

#include "fleet/proxy.hpp"
#include "fleet/script_server.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <deque>
#include <functional>
#include <future>
#include <vector>

// The scenarios of the contract (section 4) in which the network fails: a proxy between a client
// and its server disturbs it.

using namespace test;

namespace {

struct disturbed : scenario {
    redis_admin server_side = admin();
    proxy line{server.port()};

    std::int64_t size_of(const char* key) { return server_side.command("ZCARD", key).as_number(); }
    bool becomes_size(const char* key, std::int64_t n) {
        return until([&] { return size_of(key) == n; });
    }
    bool is_connected(const member& m) { return m.client.statistics().connected; }
};

/// Acquires and releases this many times in sequence.
struct worker {
    worker(fleet_semaphore& its_limit, int operations) : limit(its_limit), left(operations) {}

    void go() {
        if (left == 0)
            return;
        --left;
        limit.async_acquire_permit(1 + left % 2, [this](error_code ec, fleet_permit p) {
            ++completed;
            failed += ec ? 1 : 0;
            if (left % 3 != 0 || !p) {
                p.reset();
                go();
                return;
            }
            ++releases;
            p.async_release([this](error_code) {
                ++released;
                go();
            });
        });
    }

    fleet_semaphore& limit;
    int left;
    int completed = 0;
    int failed = 0;
    int releases = 0;
    int released = 0;

    bool is_done() const { return completed == 20 && released == releases; }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(
    fleet_scenarios_proxy, disturbed, *boost::unit_test::precondition(test::with_redis_server))

BOOST_AUTO_TEST_CASE(F10_a_grant_to_a_host_that_has_vanished_is_wasted_for_a_lease_at_most) {
    auto a = make(), b = make(line.port()), c = make();
    fleet_semaphore of_a(context, a->client, "x", 1, options_with(400ms));
    fleet_semaphore of_b(context, b->client, "x", 1, options_with(400ms));
    fleet_semaphore of_c(context, c->client, "x", 1, options_with(400ms));
    for (auto* m : {&a, &b, &c})
        (*m)->run();
    fleet_permit held = acquire(of_a);
    // The client must have heard from the server shortly before. If the machine was too slow for
    // that, the test tries again.
    for (int i = 0;; ++i) {
        BOOST_TEST_REQUIRE(i < 20);
        ended vanishes, next;
        queue(of_b, vanishes);
        queue(of_c, next);
        line.swallow(proxy::to_server);
        line.swallow(proxy::to_client);
        const auto released = lease_clock::now();
        held.reset();
        BOOST_TEST(until_ended(next));
        BOOST_TEST(next.granted());
        BOOST_TEST(vanishes.pending());
        const bool was_wasted = next.at - released >= 200ms;
        if (was_wasted) {
            BOOST_TEST((next.at - released >= 399ms)); // the server counts in ms
            BOOST_TEST((next.at - released < 4 * 400ms));
            break;
        }
        held = std::move(next.held);
        line.swallow(proxy::to_server, false);
        line.swallow(proxy::to_client, false);
        of_b.cancel();
        BOOST_TEST(until([&] { return is_connected(*b) && of_b.waiting() == 0; }));
    }
}

BOOST_AUTO_TEST_CASE(F17_a_cancelled_acquire_ends_at_once_while_its_answer_is_on_the_way) {
    auto a = start(line.port());
    fleet_semaphore limit(context, a->client, "x", 1, options_with(long_lease));
    acquire(limit).reset();
    BOOST_TEST(becomes_empty(limit));
    const auto seen = line.count(proxy::answers);
    line.hold(proxy::to_client);
    ended e;
    asio::cancellation_signal signal;
    limit.async_acquire_permit(asio::bind_cancellation_slot(signal.slot(), e.handler()));
    BOOST_TEST(line.wait_for(proxy::answers, seen + 1));
    BOOST_TEST(size_of("asem:{x}:l") == 1);
    signal.emit(asio::cancellation_type::terminal);
    poll();
    BOOST_TEST(e.failed(asio::error::operation_aborted));
    line.let_go(proxy::to_client);
    BOOST_TEST(becomes_size("asem:{x}:l", 0));
    BOOST_TEST(becomes_empty(limit));
    BOOST_TEST(e.calls == 1);
    BOOST_TEST(limit.statistics().held == 0u);
}

BOOST_AUTO_TEST_CASE(F18_a_grant_whose_answer_was_lost_goes_back_with_the_next_connection) {
    auto a = start(line.port());
    fleet_semaphore limit(context, a->client, "x", 1, options_with(long_lease));
    acquire(limit).reset();
    BOOST_TEST(becomes_empty(limit));
    line.refuse();
    line.cut_after(proxy::calls, 1);
    ended e;
    limit.async_acquire_permit(e.handler());
    BOOST_TEST(becomes_size("asem:{x}:l", 1));
    BOOST_TEST(until([&] { return !is_connected(*a); }));
    BOOST_TEST(e.pending());
    BOOST_TEST(limit.cancel() == 1u);
    poll();
    BOOST_TEST(e.failed(asio::error::operation_aborted));
    BOOST_TEST(size_of("asem:{x}:l") == 1);
    const auto calls = line.count(proxy::calls);
    line.refuse(false);
    BOOST_TEST(becomes_size("asem:{x}:l", 0));
    BOOST_TEST(line.count(proxy::calls) == calls + 1); // one round trip
    BOOST_TEST(becomes_empty(limit));
    BOOST_TEST(e.calls == 1);
}

BOOST_AUTO_TEST_CASE(F19_a_grant_whose_answer_was_lost_is_granted_again_with_the_same_number) {
    auto a = start(line.port());
    fleet_semaphore limit(context, a->client, "x", 1, options_with(long_lease));
    acquire(limit).reset();
    BOOST_TEST(becomes_empty(limit));
    line.refuse();
    line.cut_after(proxy::calls, 1);
    ended e;
    limit.async_acquire_permit(e.handler());
    BOOST_TEST(becomes_size("asem:{x}:l", 1));
    const auto fences = server_side.scores("asem:{x}:f");
    BOOST_TEST_REQUIRE(fences.size() == 1u);
    BOOST_TEST(e.pending());
    line.refuse(false);
    BOOST_TEST(until_ended(e));
    BOOST_TEST(e.granted());
    BOOST_TEST(std::to_string(e.held.fencing()) == fences.begin()->second);
    BOOST_TEST(inspect(limit).held == 1);
    BOOST_TEST(e.calls == 1);
    BOOST_TEST(limit.statistics().granted == 2u);
}

BOOST_AUTO_TEST_CASE(a_release_whose_answer_was_lost_is_not_reported_as_a_loss) {
    auto a = start(line.port());
    fleet_semaphore limit(context, a->client, "x", 1, options_with(long_lease));
    fleet_permit held = acquire(limit);
    line.refuse();
    line.cut_after(proxy::calls, 1);
    ended released;
    held.async_release(asio::bind_executor(context, released.handler()));
    BOOST_TEST(becomes_size("asem:{x}:l", 0));
    BOOST_TEST(until([&] { return !is_connected(*a); }));
    BOOST_TEST(released.pending());
    line.refuse(false);
    BOOST_TEST(until_ended(released));
    BOOST_TEST(released.ec == error_code());
}

BOOST_AUTO_TEST_CASE(F20_a_session_survives_a_cut_after_every_call_and_every_answer) {
    for (const proxy::item where : {proxy::replies, proxy::calls}) {
        bool was_cut = true;
        // A session without a kth item is not cut. Then every item has been cut once.
        for (std::uint64_t k = 1; was_cut; k += k < 8 ? 1 : 17) {
            BOOST_TEST_CONTEXT("cut after " << (where == proxy::calls ? "call " : "reply ") << k) {
                proxy cuts(server.port());
                cuts.cut_after(where, k);
                auto a = start(cuts.port());
                fleet_semaphore limit(context, a->client, "x", 3, options_with(long_lease));
                std::deque<worker> workers;
                for (int i = 0; i < 10; ++i)
                    workers.emplace_back(limit, 20).go();
                BOOST_TEST_REQUIRE(until([&] {
                    return std::all_of(workers.begin(), workers.end(), [](const worker& w) {
                        return w.is_done();
                    });
                }));
                was_cut = cuts.count(proxy::connections) > 1;
                BOOST_TEST(becomes_empty(limit));
                BOOST_TEST(size_of("asem:{x}:l") == 0);
                poll();
                for (const worker& w : workers) {
                    BOOST_TEST(w.is_done()); // each exactly once
                    BOOST_TEST(w.failed == 0);
                }
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(F26_a_waiter_whose_messages_are_lost_is_served_by_its_heartbeat) {
    auto a = make(), b = make(line.port());
    fleet_semaphore of_a(context, a->client, "x", 1, options_with(long_lease));
    fleet_semaphore of_b(context, b->client, "x", 1, options_with(3'000ms));
    a->run();
    b->run();
    fleet_permit held = acquire(of_a);
    ended waits;
    queue(of_b, waits);
    const auto pushes = b->client.statistics().pushes;
    line.drop_messages();
    const auto released = lease_clock::now();
    BOOST_TEST(release(held) == error_code());
    BOOST_TEST(until_ended(waits));
    BOOST_TEST(waits.granted());
    BOOST_TEST((waits.at - released < 3'000ms)); // after at most 1,100 ms and a round trip
    BOOST_TEST(b->client.statistics().pushes == pushes);
    BOOST_TEST(inspect(of_a).held == 1);
}

BOOST_AUTO_TEST_CASE(F26_the_head_of_the_queue_asks_when_a_lease_ends) {
    // Heartbeats are 18 seconds apart.
    auto b = start(line.port());
    fleet_semaphore of_b(context, b->client, "x", 1, options_with(long_lease));
    script_server other(server.port());
    fleet::call c;
    c.name = "x";
    c.presence = c.lease = 400;
    c.limit = 1;
    c.is_immediate = true;
    c.commands = {{fleet::verb::acquire, {1, 1, 400}}};
    line.drop_messages();
    const auto before = lease_clock::now();
    const auto said = other.execute("stranger", 1, c, 0);
    BOOST_TEST((said.results.at(0).what == fleet::verdict::granted));
    ended waits;
    of_b.async_acquire_permit(waits.handler());
    BOOST_TEST(until_ended(waits));
    BOOST_TEST(waits.granted());
    BOOST_TEST((waits.at - before >= 399ms));
    BOOST_TEST((waits.at - before < 10 * 400ms));
}

BOOST_AUTO_TEST_CASE(F38_a_partition_is_survived_or_reported_before_another_process_is_granted) {
    constexpr auto lease = 2'000ms, margin = lease / 10;
    auto a = make(line.port()), b = make();
    fleet_semaphore of_a(context, a->client, "x", 1, options_with(lease));
    fleet_semaphore of_b(context, b->client, "x", 1, options_with(lease));
    a->run();
    b->run();
    fleet_permit held = acquire(of_a);
    ended loss;
    held.async_wait_lost(asio::bind_executor(context, loss.handler()));
    const auto after_next_renewal = [&] {
        const auto renewals = of_a.statistics().renewals;
        return until([&] { return of_a.statistics().renewals > renewals; });
    };
    for (int i = 0; i < 2; ++i) {
        BOOST_TEST(after_next_renewal());
        const auto from = lease_clock::now();
        line.hold(proxy::to_server);
        line.hold(proxy::to_client);
        until_time(from + lease / 2);
        line.let_go(proxy::to_client);
        line.let_go(proxy::to_server);
        BOOST_TEST(after_next_renewal());
        BOOST_TEST(held.valid());
        BOOST_TEST(loss.pending());
    }
    BOOST_TEST(of_a.statistics().renewals_late == 2u);

    ended next;
    queue(of_b, next);
    BOOST_TEST(after_next_renewal());
    line.hold(proxy::to_server);
    line.hold(proxy::to_client);
    const auto deadline = lease_clock::now() + held.remaining();
    BOOST_TEST(until_ended(loss));
    BOOST_TEST(loss.failed(fleet_error::lost));
    BOOST_TEST(!held.valid());
    BOOST_TEST((loss.at >= deadline - 1ms)); // the time between two readings of the clock
    BOOST_TEST((loss.at < deadline + lease / 2));
    BOOST_TEST(until_ended(next));
    BOOST_TEST(next.granted());
    BOOST_TEST((next.at > loss.at));
    BOOST_TEST((next.at >= deadline + margin - 2ms)); // the server counts in ms
    line.let_go(proxy::to_client);
    line.let_go(proxy::to_server);
    held.reset();
    BOOST_TEST(inspect(of_a).held == 1);
    BOOST_TEST(next.held.valid());
}

BOOST_AUTO_TEST_CASE(F39_a_call_that_is_answered_with_busy_is_made_again) {
    // The health checks, which a busy server also refuses, are 2 s apart.
    auto a = start(line.port());
    fleet_semaphore limit(context, a->client, "x", 2, options_with(long_lease));
    const fleet_permit held = acquire(limit);
    redis_admin kills = admin();
    server_side.command("CONFIG", "SET", "lua-time-limit", 1);
    server_side.append({"EVAL", "while true do end", "0"});
    server_side.send();
    BOOST_TEST(until([&] { return kills.command("PING").error_word() == "BUSY"; }));
    ended waits;
    limit.async_acquire_permit(waits.handler());
    BOOST_TEST(until([&] {
        return a->client.statistics().rejected >= 1 || a->client.statistics().connections > 1;
    }));
    BOOST_TEST(waits.pending());
    BOOST_TEST(kills.command("SCRIPT", "KILL").string == "OK");
    server_side.take();
    BOOST_TEST(until_ended(waits));
    BOOST_TEST(waits.granted());
    BOOST_TEST(held.valid());
    BOOST_TEST(inspect(limit).held == 2);
}

BOOST_AUTO_TEST_CASE(F39_a_permit_outlives_a_server_that_is_busy_when_it_is_renewed) {
    constexpr auto lease = 3'000ms;
    auto a = make(line.port());
    fleet_semaphore limit(context, a->client, "x", 2, options_with(lease));
    a->run();
    const fleet_permit held = acquire(limit);
    redis_admin kills = admin();
    server_side.command("CONFIG", "SET", "lua-time-limit", 1);
    const auto renewals = limit.statistics().renewals;
    BOOST_TEST(until([&] { return limit.statistics().renewals > renewals; }));
    server_side.append({"EVAL", "while true do end", "0"});
    server_side.send();
    const auto from = lease_clock::now();
    until_time(from + lease * 2 / 5); // the next renewal is due
    BOOST_TEST(kills.command("SCRIPT", "KILL").string == "OK");
    server_side.take();
    BOOST_TEST(until([&] { return limit.statistics().renewals > renewals + 1; }));
    BOOST_TEST(held.valid());
    BOOST_TEST(limit.statistics().lost_by_deadline == 0u);
    BOOST_TEST(inspect(limit).held == 1);
}

BOOST_AUTO_TEST_CASE(F63_on_a_slow_connection_a_batch_goes_with_every_trip_and_nothing_twice) {
    constexpr int at_once = 64, rounds = 8;
    line.delay(proxy::to_client, 50ms);
    auto a = start(line.port());
    fleet_semaphore limit(context, a->client, "x", at_once, options_with(long_lease));
    BOOST_TEST(inspect(limit).limit == at_once);
    const auto commands = a->client.statistics().commands;
    const auto calls = a->client.statistics().calls;
    std::function<void()> go;
    int left = at_once * (rounds - 1), completed = 0;
    go = [&] {
        limit.async_acquire_permit([&](error_code ec, fleet_permit p) {
            BOOST_TEST(!ec);
            ++completed;
            p.reset();
            if (left > 0) {
                --left;
                go();
            }
        });
    };
    const auto begin = lease_clock::now();
    for (int i = 0; i < at_once; ++i)
        go();
    BOOST_TEST(until([&] { return completed == at_once * rounds; }));
    const auto trips = (lease_clock::now() - begin) / 50ms;
    BOOST_TEST(becomes_size("asem:{x}:l", 0));
    const auto said = a->client.statistics();
    BOOST_TEST(said.commands - commands == 2u * at_once * rounds);           // an A and an R each
    BOOST_TEST(said.calls - calls <= 4u * rounds);                           // not 512
    BOOST_TEST(static_cast<std::uint64_t>(trips) + 2 >= said.calls - calls); // one call at a time
    BOOST_TEST(a->client.statistics().connections == 1u);
}

BOOST_AUTO_TEST_CASE(F65_a_connection_that_died_without_notice_is_given_up) {
    constexpr auto lease = 2'000ms;
    auto a = make(line.port()), b = make();
    fleet_semaphore of_a(context, a->client, "x", 1, options_with(lease));
    fleet_semaphore of_b(context, b->client, "x", 1, options_with(lease));
    a->run();
    b->run();
    fleet_permit held = acquire(of_a);
    ended loss, next;
    held.async_wait_lost(asio::bind_executor(context, loss.handler()));
    queue(of_b, next);
    line.swallow(proxy::to_client);
    line.swallow(proxy::to_server);
    const auto from = lease_clock::now();
    const auto deadline = from + held.remaining();
    BOOST_TEST(until([&] { return !is_connected(*a); }));
    BOOST_TEST((lease_clock::now() - from < lease)); // two intervals of a tenth of a lease
    BOOST_TEST(until_ended(loss));
    BOOST_TEST(loss.failed(fleet_error::lost));
    BOOST_TEST((loss.at >= deadline - 1ms));
    BOOST_TEST(until_ended(next));
    BOOST_TEST((next.at > loss.at));
    line.swallow(proxy::to_client, false);
    line.swallow(proxy::to_server, false);
    BOOST_TEST(until([&] { return is_connected(*a); }));
    held.reset();
    BOOST_TEST(inspect(of_a).held == 1);
}

BOOST_AUTO_TEST_CASE(F66_thousands_of_grants_in_a_burst_are_all_received) {
    constexpr int many = 5'000;
    auto b = make();
    fleet_options options = options_with(long_lease);
    options.window = many;
    fleet_semaphore limit(context, b->client, "x", many, options);
    b->run();
    script_server other(server.port());
    fleet::call c;
    c.name = "x";
    c.presence = c.lease = 60'000;
    c.limit = many;
    c.is_immediate = true;
    const auto name_of = [](int i) {
        return fleet::request_name{static_cast<std::uint64_t>(i + 1), 1, 60'000};
    };
    for (int i = 0; i < many; ++i) {
        c.commands.push_back({fleet::verb::acquire, name_of(i)});
        if (c.commands.size() == 500) {
            BOOST_TEST((other.execute("stranger", 1, c, 0).status == fleet::call_status::ok));
            c.commands.clear();
        }
    }
    std::deque<ended> all(many);
    for (ended& e : all)
        limit.async_acquire_permit(e.handler());
    BOOST_TEST(until([&] { return limit.statistics().queued == std::uint64_t(many); }));
    // While the client is blocked, each permit comes back with a call of its own.
    std::promise<void> come_back;
    asio::post(clients.context, [&] { come_back.get_future().wait_for(2s); });
    for (int i = 0; i < many; ++i) {
        c.commands = {{fleet::verb::give_back, name_of(i)}};
        other.append("stranger", 1, c, 0);
    }
    for (int i = 0; i < many; ++i)
        other.admin.take();
    come_back.set_value();
    for (ended& e : all) {
        BOOST_TEST_REQUIRE(until_ended(e));
        BOOST_TEST_REQUIRE(e.granted());
    }
    BOOST_TEST(b->client.statistics().pushes >= std::uint64_t(many));
    BOOST_TEST(b->client.statistics().connections == 1u);
}

BOOST_AUTO_TEST_SUITE_END()
