// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include "fleet/scenario.hpp"

#include "fleet/server_clock.hpp"
#include "fleet/worker_process.hpp"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <deque>
#include <map>
#include <utility>
#include <vector>

// The scenarios of the contract (section 4) that kill and stop processes.

using namespace test;

namespace {

struct processes : scenario {
    redis_admin server_side = admin();
    std::deque<worker_process> workers;
    std::map<worker_process*, std::deque<saying>> heard;

    worker_process&
    add(int limit, std::chrono::milliseconds lease, std::vector<std::string> environment = {}) {
        return workers.emplace_back(server.port(), "x", limit, lease, std::move(environment));
    }

    /// Returns the next line of its output that begins with this word, and discards those before
    /// it.
    saying expect(worker_process& w, const std::string& what, std::chrono::seconds patience = 30s) {
        saying found;
        const bool is_there = until(
            [&] {
                for (saying& s : w.take())
                    heard[&w].push_back(std::move(s));
                while (!heard[&w].empty()) {
                    found = std::move(heard[&w].front());
                    heard[&w].pop_front();
                    if (found.what == what)
                        return true;
                }
                return false;
            },
            patience);
        BOOST_TEST_REQUIRE(is_there, "the worker does not say " << what);
        return found;
    }
    std::int64_t size_of(const char* key) { return server_side.command("ZCARD", key).as_number(); }
    static std::int64_t wall_clock() { // the server's clock, ms
        return std::chrono::duration_cast<std::chrono::milliseconds>(
                   std::chrono::system_clock::now().time_since_epoch())
            .count();
    }
};

struct edge {
    std::int64_t at;
    std::int64_t n; // negative for an end
};

/// Returns the most permits held at one instant. An end and a beginning in the same ns do not
/// overlap.
std::int64_t most_of(std::vector<edge> edges) {
    std::sort(edges.begin(), edges.end(), [](const edge& a, const edge& b) {
        return std::pair(a.at, a.n) < std::pair(b.at, b.n);
    });
    std::int64_t held = 0, most = 0;
    for (const edge& e : edges) {
        held += e.n;
        most = std::max(most, held);
    }
    return most;
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(
    fleet_scenarios_processes, processes, *boost::unit_test::precondition(test::with_redis_server))

BOOST_AUTO_TEST_CASE(F04_processes_are_served_in_the_order_in_which_their_requests_arrived) {
    auto a = start();
    fleet_semaphore limit(context, a->client, "x", 1, options_with(long_lease));
    fleet_permit held = acquire(limit);
    for (int i = 0; i < 3; ++i)
        add(1, long_lease);
    constexpr int many = 150;
    for (int i = 0; i < many; ++i) {
        workers[static_cast<std::size_t>(i % 3)].tell("turn " + std::to_string(i));
        BOOST_TEST_REQUIRE(until([&] { return size_of("asem:{x}:q") == i + 1; }));
    }
    held.reset();
    std::uint64_t last = 0;
    for (int i = 0; i < many; ++i) {
        const saying s = expect(workers[static_cast<std::size_t>(i % 3)], "granted");
        BOOST_TEST(s.number(0) == i);
        BOOST_TEST(std::uint64_t(s.number(1)) > last);
        last = std::uint64_t(s.number(1));
    }
    BOOST_TEST(becomes_empty(limit));
}

BOOST_AUTO_TEST_CASE(F08_the_permit_of_a_killed_process_is_granted_when_its_lease_has_ended) {
    auto a = make();
    fleet_semaphore limit(context, a->client, "x", 1, options_with(400ms));
    a->run();
    worker_process& holder = add(1, 400ms);
    holder.tell("acquire 1 1");
    expect(holder, "granted");
    ended next;
    queue(limit, next);
    // The permit is held while its process exists.
    const auto from = lease_clock::now();
    until_time(from + 1'000ms);
    BOOST_TEST_REQUIRE(next.pending());
    holder.kill();
    const auto leases = server_side.scores("asem:{x}:l");
    BOOST_TEST_REQUIRE(leases.size() == 1u);
    const std::int64_t expiry = std::stoll(leases.begin()->second);
    BOOST_TEST(until_ended(next));
    const std::int64_t granted = wall_clock();
    BOOST_TEST(next.granted());
    BOOST_TEST(granted >= expiry);
    BOOST_TEST(granted < expiry + 3 * 400);
}

BOOST_AUTO_TEST_CASE(F09_a_killed_waiter_is_passed_over_at_once) {
    auto a = start(), b = start();
    fleet_semaphore of_a(context, a->client, "x", 1, options_with(long_lease));
    fleet_semaphore of_b(context, b->client, "x", 1, options_with(long_lease));
    fleet_permit held = acquire(of_a);
    worker_process& waiter = add(1, long_lease);
    waiter.tell("acquire 1 1");
    BOOST_TEST(until([&] { return size_of("asem:{x}:q") == 1; }));
    ended next;
    queue(of_b, next);
    const auto subscribers = [&] {
        return server_side.command("PUBSUB", "CHANNELS", "asem:*").size();
    };
    BOOST_TEST(subscribers() == 3u);
    waiter.kill();
    BOOST_TEST(until([&] { return subscribers() == 2u; }));
    const auto calls = server_side.calls_of("evalsha");
    held.reset();
    BOOST_TEST(until_ended(next));
    BOOST_TEST(next.granted());
    BOOST_TEST(server_side.calls_of("evalsha") == calls + 1); // no client had to ask
}

BOOST_AUTO_TEST_CASE(F15_the_wall_clocks_of_the_processes_do_not_matter) {
    server_clock early(server_clock_library()), late(server_clock_library());
    early.step(-1h);
    late.step(1h);
    worker_process& ahead = add(1, 400ms, late.environment());
    worker_process& behind = add(1, 400ms, early.environment());
    std::int64_t last = 0;
    for (auto [holder, waiter] : {std::pair(&ahead, &behind), std::pair(&behind, &ahead)}) {
        holder->tell("acquire 1 1");
        BOOST_TEST(expect(*holder, "granted").number(1) > last);
        waiter->tell("acquire 2 1");
        BOOST_TEST(until([&] { return size_of("asem:{x}:q") == 1; }));
        const auto from = lease_clock::now();
        while (lease_clock::now() < from + 3 * 400ms) {
            const auto leases = server_side.scores("asem:{x}:l");
            BOOST_TEST_REQUIRE(leases.size() == 1u);
            BOOST_TEST(std::stoll(leases.begin()->second) <= wall_clock() + 400);
            until_time(lease_clock::now() + 20ms);
        }
        BOOST_TEST(size_of("asem:{x}:q") == 1);
        holder->tell("release 1");
        BOOST_TEST(expect(*holder, "released").words.at(2) == "ok");
        last = expect(*waiter, "granted").number(1);
        waiter->tell("release 2");
        BOOST_TEST(expect(*waiter, "released").words.at(2) == "ok");
    }
}

BOOST_AUTO_TEST_CASE(F23_a_hundred_contenders_never_hold_more_than_the_limit) {
    constexpr int permits = 11;
    for (int i = 0; i < 4; ++i)
        add(permits, 400ms).tell("contend 25 8000 4");
    std::vector<edge> edges;
    std::int64_t intervals = 0;
    for (worker_process& w : workers) {
        bool is_done = false;
        BOOST_TEST_REQUIRE(until(
            [&] {
                for (const saying& s : w.take()) {
                    BOOST_TEST(s.what != "failed");
                    is_done = is_done || s.what == "done";
                    if (s.what != "held")
                        continue;
                    ++intervals;
                    edges.push_back({s.number(2), s.number(0)});
                    edges.push_back({s.number(3), -s.number(0)});
                }
                return is_done;
            },
            90s));
    }
    BOOST_TEST(intervals > 1'000);
    BOOST_TEST(most_of(edges) <= permits);
    BOOST_TEST(most_of(edges) > permits / 2); // they contended
    auto a = start();
    fleet_semaphore limit(context, a->client, "x", permits, options_with(400ms));
    BOOST_TEST(becomes_empty(limit));
}

BOOST_AUTO_TEST_CASE(F36_a_process_that_stood_still_knows_at_once_that_its_permit_is_lost) {
    auto a = make();
    fleet_semaphore limit(context, a->client, "x", 1, options_with(400ms));
    a->run();
    worker_process& holder = add(1, 400ms);
    holder.tell("acquire 1 1");
    expect(holder, "granted");
    holder.tell("watch 1");
    holder.tell("acquire 2 1"); // a second acquire, which waits
    BOOST_TEST(until([&] { return size_of("asem:{x}:q") == 1; }));
    ended next;
    queue(limit, next);
    holder.stop();
    const auto stopped = lease_clock::now();
    BOOST_TEST(until_ended(next));
    BOOST_TEST(next.granted());
    until_time(stopped + 2 * 400ms);
    holder.resume();
    BOOST_TEST(expect(holder, "woke").number(0) == 0);
    holder.tell("release 1");
    BOOST_TEST(expect(holder, "released").words.at(2) != "ok");
    BOOST_TEST(next.held.valid());
    BOOST_TEST(inspect(limit).held == 1);
    // The process remains a member of the fleet.
    next.held.reset();
    expect(holder, "granted");
}

BOOST_AUTO_TEST_CASE(F37_a_handler_that_blocks_costs_the_permit_only_where_it_blocks_the_client) {
    const auto block = [] {
        const auto end = lease_clock::now() + 2 * 400ms;
        while (lease_clock::now() < end)
            std::this_thread::yield();
    };
    auto own = make();
    fleet_semaphore safe(context, own->client, "x", 1, options_with(400ms));
    own->run();
    fleet_permit held = acquire(safe);
    ended loss;
    held.async_wait_lost(asio::bind_executor(context, loss.handler()));
    asio::post(context, block);
    poll();
    BOOST_TEST(held.valid());
    BOOST_TEST(loss.pending());

    member shared(context.get_executor(), config_for(server.port()));
    fleet_semaphore risky(context, shared.client, "y", 1, options_with(400ms));
    shared.run();
    fleet_permit lost = acquire(risky);
    ended told;
    lost.async_wait_lost(told.handler());
    asio::post(context, [&] {
        block();
        BOOST_TEST(!lost.valid());
    });
    BOOST_TEST(until_ended(told));
    BOOST_TEST(told.failed(fleet_error::lost));
    BOOST_TEST(risky.statistics().lost_by_deadline == 1u);
}

BOOST_AUTO_TEST_SUITE_END()
