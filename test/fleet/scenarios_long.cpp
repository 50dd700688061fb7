// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include "fleet/scenario.hpp"

#include "fleet/proxy.hpp"
#include "fleet/server_clock.hpp"
#include "fleet/worker_process.hpp"
#include "support/seed.hpp"

#include <boost/asio/bind_executor.hpp>

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <iostream>
#include <limits>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

// The scenarios of the contract (section 4) that take minutes. They run only on demand, and print
// their progress.
//   ASIO_SEMAPHORE_FAILOVER_SECONDS  F43, 60
//   ASIO_SEMAPHORE_SOAK_SECONDS      F70, 600

using namespace test;

namespace {

std::chrono::seconds seconds_from(const char* variable, int otherwise) {
    const char* const given = std::getenv(variable);
    return std::chrono::seconds(given != nullptr ? std::atoi(given) : otherwise);
}

/// A primary, its replica and three Sentinels with a quorum of two.
struct watched_servers {
    static constexpr auto down_after = 1'000ms;

    watched_servers() {
        redis_server_options leads;
        leads.arguments = {"--repl-diskless-sync-delay", "0"};
        servers.emplace_back(leads);
        redis_server_options replicates = leads;
        replicates.arguments.push_back("--replicaof");
        replicates.arguments.push_back("127.0.0.1 " + std::to_string(servers[0].port()));
        servers.emplace_back(replicates);
        redis_server_options o;
        o.arguments = {"--sentinel"};
        o.configuration =
            "sentinel monitor primary 127.0.0.1 " + std::to_string(servers[0].port()) +
            " 2\nsentinel down-after-milliseconds primary " + std::to_string(down_after.count()) +
            "\nsentinel failover-timeout primary 5000\n";
        for (int i = 0; i < 3; ++i)
            sentinels.emplace_back(o);
    }

    /// Returns the port of the primary according to the first Sentinel.
    std::uint16_t primary() {
        redis_admin admin(sentinels[0].port());
        return static_cast<std::uint16_t>(
            admin.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "primary")[1].as_number());
    }
    redis_server& server_at(std::uint16_t port) {
        return servers[0].port() == port ? servers[0] : servers[1];
    }
    /// Whether all Sentinels know each other and an up-to-date replica.
    bool is_ready() {
        for (const redis_server& s : sentinels) {
            redis_admin admin(s.port());
            const auto known = redis_admin::pairs(admin.command("SENTINEL", "MASTER", "primary"));
            if (known.at("num-other-sentinels") != "2" || known.at("num-slaves") != "1" ||
                known.at("flags") != "master")
                return false;
        }
        redis_admin admin(primary());
        return admin.info("replication", "role") == "master" &&
               admin.info("replication", "slave0").find("state=online") != std::string::npos;
    }

    std::deque<redis_server> servers;
    std::deque<redis_server> sentinels;
};

struct held_interval {
    std::int64_t n, fence, from, to;
};

struct long_one : scenario {
    /// Reads the worker's output. Returns true once the worker is done.
    bool listen(worker_process& w, std::vector<held_interval>& held) {
        bool is_done = false;
        for (const saying& s : w.take()) {
            BOOST_TEST(s.what != "failed");
            is_done = is_done || s.what == "done";
            if (s.what == "held")
                held.push_back({s.number(0), s.number(1), s.number(2), s.number(3)});
        }
        return is_done;
    }
    std::unique_ptr<member> make_by_sentinel(watched_servers& servers) {
        boost::redis::config config;
        config.sentinel.addresses = {{"127.0.0.1", std::to_string(servers.sentinels[0].port())}};
        config.sentinel.master_name = "primary";
        return make(config);
    }
};

std::int64_t ns(std::chrono::nanoseconds d) {
    return d.count();
}

using span = std::pair<std::int64_t, std::int64_t>;

/// Returns the intervals outside all times in which writes may have been lost.
std::vector<held_interval>
without(const std::vector<held_interval>& all, const std::vector<span>& unsafe) {
    std::vector<held_interval> rest;
    for (const held_interval& h : all) {
        if (std::none_of(unsafe.begin(), unsafe.end(), [&](const span& u) {
                return h.to >= u.first && h.from <= u.second;
            }))
            rest.push_back(h);
    }
    return rest;
}

/// Checks that no fencing number occurs twice, and that a permit granted this much later than the
/// end of another has a larger number.
void check_fencing(std::vector<held_interval> held, std::chrono::nanoseconds apart) {
    std::set<std::int64_t> seen;
    for (const held_interval& h : held)
        BOOST_TEST(seen.insert(h.fence).second);
    std::sort(
        held.begin(), held.end(), [](const auto& a, const auto& b) { return a.from < b.from; });
    std::vector<held_interval> by_end = held;
    std::sort(
        by_end.begin(), by_end.end(), [](const auto& a, const auto& b) { return a.to < b.to; });
    std::int64_t largest = 0;
    std::size_t i = 0;
    for (const held_interval& h : held) {
        for (; i < by_end.size() && by_end[i].to + ns(apart) < h.from; ++i)
            largest = std::max(largest, by_end[i].fence);
        if (h.fence <= largest)
            BOOST_TEST_ERROR("a fencing number that is too small: " << h.fence);
    }
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(
    fleet_scenarios_long, long_one, *boost::unit_test::precondition(test::with_redis_server))

BOOST_AUTO_TEST_CASE(F43_a_failover_under_load_ends_every_operation_once) {
    constexpr auto lease = 2'000ms;
    const auto time = seconds_from("ASIO_SEMAPHORE_FAILOVER_SECONDS", 60);
    watched_servers servers;
    BOOST_TEST_REQUIRE(until([&] { return servers.is_ready(); }, 60s));
    std::deque<worker_process> workers;
    for (int i = 0; i < 3; ++i) {
        workers.emplace_back(
            servers.sentinels[0].port(), "x", 5, lease,
            std::vector<std::string>{"ASIO_SEMAPHORE_WORKER_RECOVERY=quarantine"}, "primary");
        workers.back().tell(
            "contend 10 " + std::to_string(std::chrono::milliseconds(time).count()) + " 3");
    }
    until_time(lease_clock::now() + time / 2);
    const auto old = servers.primary();
    std::cerr << "F43: kills the primary, port " << old << '\n';
    const auto killed = lease_clock::now();
    servers.server_at(old).kill();
    BOOST_TEST(until([&] { return servers.primary() != old; }, 60s));
    std::cerr << "F43: the primary is port " << servers.primary() << '\n';
    const auto failed_over = lease_clock::now();
    std::vector<held_interval> held;
    for (worker_process& w : workers)
        BOOST_TEST(until([&] { return listen(w, held); }, time + 60s));
    std::cerr << "F43: " << held.size() << " permits\n";
    const auto unsafe_until = ns((failed_over + 2 * lease).time_since_epoch());
    check_fencing(without(held, {{ns((killed - lease).time_since_epoch()), unsafe_until}}), lease);
    // The fleet recovers within a lease of quarantine, a lease for lost permits, and the time to
    // find the new primary.
    std::int64_t first = std::numeric_limits<std::int64_t>::max();
    for (const held_interval& h : held) {
        if (h.from > ns(failed_over.time_since_epoch()))
            first = std::min(first, h.from);
    }
    std::cerr << "F43: served " << (first - ns(failed_over.time_since_epoch())) / 1'000'000
              << " ms after the failover, which took " << (failed_over - killed) / 1ms << " ms\n";
    BOOST_TEST(first - ns(failed_over.time_since_epoch()) < ns(3 * lease) + ns(10s));
    auto a = make_by_sentinel(servers);
    fleet_semaphore limit(context, a->client, "x", 5, options_with(lease));
    a->run();
    BOOST_TEST(becomes_empty(limit));
}

BOOST_AUTO_TEST_CASE(F48_a_fast_clock_of_the_server_uses_up_only_the_margin) {
    constexpr auto lease = 1'000ms;
    server_clock clock(server_clock_library());
    clock.go_faster(50);
    redis_server_options fast;
    fast.environment = clock.environment();
    const redis_server quick(fast);
    const auto by_admin = [&](const char* what) {
        redis_admin admin(quick.port());
        const auto t = admin.command(what);
        return std::chrono::microseconds(t[0].as_number() * 1'000'000 + t[1].as_number());
    };
    const auto before = by_admin("TIME");
    const auto from = lease_clock::now();
    for (int round = 0; round < 10; ++round) {
        std::cerr << "F48: partition " << round << '\n';
        proxy line(quick.port());
        auto a = make(line.port()), b = make(quick.port());
        fleet_semaphore of_a(context, a->client, "x", 1, options_with(lease));
        fleet_semaphore of_b(context, b->client, "x", 1, options_with(lease));
        a->run();
        b->run();
        fleet_permit held = acquire(of_a);
        ended loss, next;
        held.async_wait_lost(asio::bind_executor(context, loss.handler()));
        queue(of_b, next);
        const auto renewals = of_a.statistics().renewals;
        BOOST_TEST(until([&] { return of_a.statistics().renewals >= renewals + 2; }));
        BOOST_TEST(held.valid());
        line.hold(proxy::to_server);
        line.hold(proxy::to_client);
        const auto deadline = lease_clock::now() + held.remaining();
        BOOST_TEST(until_ended(next));
        BOOST_TEST((next.at >= deadline)); // no longer valid, whether reported or not
        BOOST_TEST(!held.valid());
        BOOST_TEST(until_ended(loss));
        next.held.reset();
        BOOST_TEST(becomes_empty(of_b));
    }
    const auto rate = (by_admin("TIME") - before) * 1.0 / (lease_clock::now() - from);
    BOOST_TEST(rate > 1.04);
    BOOST_TEST(rate < 1.06);
}

BOOST_AUTO_TEST_CASE(F70_a_fleet_whose_processes_and_servers_die_at_random_stays_alive) {
    constexpr auto lease = 1'000ms;
    constexpr int permits = 7;
    const auto time = seconds_from("ASIO_SEMAPHORE_SOAK_SECONDS", 600);
    std::mt19937 random(test::seed());
    watched_servers servers;
    BOOST_TEST_REQUIRE(until([&] { return servers.is_ready(); }, 60s));

    struct one {
        std::unique_ptr<worker_process> process;
        bool is_stopped = false;
        bool is_busy = false;
        lease_clock::time_point resumes;
    };
    std::vector<one> fleet(8);
    std::vector<held_interval> held;
    std::vector<span> unsafe; // times in which writes may have been lost
    const auto start_one = [&](one& o) {
        o = one();
        o.process = std::make_unique<worker_process>(
            servers.sentinels[random() % 3].port(), "x", permits, lease,
            std::vector<std::string>{"ASIO_SEMAPHORE_WORKER_RECOVERY=quarantine"}, "primary");
    };
    for (one& o : fleet)
        start_one(o);
    std::size_t kills = 0, stops = 0, failovers = 0;
    const auto begin = lease_clock::now();
    auto next_failover = begin + std::min<std::chrono::milliseconds>(60s, time / 3);
    auto next_disturbance = begin;
    std::uint16_t dead = 0;
    auto revives = lease_clock::time_point::max();
    while (lease_clock::now() < begin + time) {
        const auto now = lease_clock::now();
        for (one& o : fleet) {
            if (o.is_stopped) {
                if (now >= o.resumes) {
                    o.process->resume();
                    o.is_stopped = false;
                }
                continue;
            }
            if (o.is_busy)
                o.is_busy = !listen(*o.process, held);
            if (!o.is_busy) {
                o.process->tell("contend 5 3000 3");
                o.is_busy = true;
            }
        }
        if (now >= next_disturbance) {
            one& o = fleet[random() % fleet.size()];
            if (!o.is_stopped && random() % 2 == 0) {
                ++kills;
                start_one(o);
            } else if (!o.is_stopped) {
                ++stops;
                o.process->stop();
                o.is_stopped = true;
                o.resumes = now + std::chrono::milliseconds(200 + random() % 3'000);
            }
            next_disturbance = now + std::chrono::milliseconds(500 + random() % 3'000);
        }
        if (now >= next_failover && dead == 0) {
            dead = servers.primary();
            ++failovers;
            std::cerr << "F70: kills the primary, port " << dead << "; so far " << kills
                      << " processes killed, " << stops << " stopped\n";
            servers.server_at(dead).kill();
            unsafe.push_back(
                {ns((now - lease).time_since_epoch()), std::numeric_limits<std::int64_t>::max()});
            revives = lease_clock::time_point::max();
        }
        if (dead != 0 && revives == lease_clock::time_point::max() && servers.primary() != dead)
            revives = now + 5s;
        if (now >= revives) {
            servers.server_at(dead).restart(); // the Sentinels make it a replica
            dead = 0;
            revives = lease_clock::time_point::max();
            unsafe.back().second = ns((lease_clock::now() + 4 * lease).time_since_epoch());
            next_failover = now + 60s;
        }
        until_time(now + 20ms);
    }

    std::cerr << "F70: calm, after " << kills << " processes killed, " << stops << " stopped, "
              << failovers << " failovers\n";
    for (one& o : fleet) {
        if (o.is_stopped)
            o.process->resume();
    }
    if (dead != 0) {
        BOOST_TEST(until([&] { return servers.primary() != dead; }, 60s));
        servers.server_at(dead).restart();
        unsafe.back().second = ns((lease_clock::now() + 4 * lease).time_since_epoch());
    }
    BOOST_TEST(until([&] { return servers.is_ready(); }, 60s));
    for (one& o : fleet) // no worker is stuck
        BOOST_TEST((!o.is_busy || until([&] { return listen(*o.process, held); }, 60s)));
    for (one& o : fleet) {
        o.process->tell("contend 5 1000 3");
        BOOST_TEST(until([&] { return listen(*o.process, held); }, 60s));
    }
    BOOST_TEST(held.size() > 100u);
    held = without(held, unsafe);
    check_fencing(held, 4 * lease);

    // The limit holds whenever no write can have been lost.
    std::vector<span> edges;
    for (const held_interval& h : held) {
        edges.push_back({h.from, h.n});
        edges.push_back({h.to, -h.n});
    }
    std::sort(edges.begin(), edges.end());
    std::int64_t now_held = 0, most = 0;
    for (const auto& [at, n] : edges)
        most = std::max(most, now_held += n);
    BOOST_TEST(most <= permits);
    std::cerr << "F70: " << held.size() << " permits, at most " << most << " at a time\n";
    auto a = make_by_sentinel(servers);
    fleet_semaphore limit(context, a->client, "x", permits, options_with(lease));
    a->run();
    BOOST_TEST(becomes_empty(limit));
}

BOOST_AUTO_TEST_SUITE_END()
