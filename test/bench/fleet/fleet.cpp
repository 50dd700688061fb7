// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// Measures the fleet and its peers on a server of its own. Writes the results to standard output,
// separated by tabs: the row, what was measured, and its median and quartiles over the rounds.
// Writes the progress to standard error.
//
//   bench_fleet [--rounds N] [--each MS] [--hold LEASES] [--peers COMMAND...]
//
// --each: how long each measurement of a round lasts. --hold: for how many leases permits are held
// while nothing else happens. --peers: the command that starts the peers, such as node peers.js

#include "processes.hpp"

#include <fleet/redis_admin.hpp>
#include <fleet/redis_server.hpp>

#include <boost/redis/connection.hpp>

#include <algorithm>
#include <deque>
#include <iostream>
#include <map>
#include <optional>
#include <random>
#include <string_view>

namespace {

using namespace bench;
using namespace std::chrono_literals;
using test::redis_admin;

// The server's own counts of what it has done so far.
struct server_counts {
    explicit server_counts(redis_admin& server) {
        const std::string all = server.command("INFO", "commandstats").string;
        calls = field(all, "cmdstat_evalsha:", "calls=");
        microseconds = field(all, "cmdstat_evalsha:", "usec=");
        published = field(all, "cmdstat_publish:", "calls=");
    }

    double calls, microseconds, published;

private:
    static double field(const std::string& all, std::string_view line, std::string_view name) {
        const auto at = all.find(line);
        if (at == std::string::npos)
            return 0;
        return std::stod(all.substr(all.find(name, at) + name.size()));
    }
};

double seconds(std::chrono::nanoseconds time) {
    return std::chrono::duration<double>(time).count();
}

double per_second(const measurement& m) {
    return static_cast<double>(m.operations) / seconds(m.time);
}

double percentile(std::vector<double> figures, double part) {
    if (figures.empty())
        fail("nothing was measured");
    const auto at = figures.begin() +
                    static_cast<std::ptrdiff_t>(part * static_cast<double>(figures.size() - 1));
    std::nth_element(figures.begin(), at, figures.end());
    return *at;
}

class results {
public:
    /// Adds a value of one round.
    void add(const std::string& row, const std::string& what, double figure) {
        const std::string name = row + '\t' + what;
        if (all_.count(name) == 0)
            order_.push_back(name);
        all_[name].push_back(figure);
    }
    void write(std::ostream& to) const {
        for (const std::string& name : order_) {
            const quartiles q = quartiles_of(all_.at(name));
            to << name << '\t' << q.median << '\t' << q.lower << '\t' << q.upper << '\n';
        }
    }

private:
    std::vector<std::string> order_;
    std::map<std::string, std::vector<double>> all_;
};

constexpr int at_a_time = 64;
constexpr int widths[] = {1, 4, 16, 64, 256};

// Returns a limit that allows this many requests at a time.
fleet_semaphore wide(member& m, int width) {
    return {m.context, m.client, "wide-" + std::to_string(width), width, options_with(width)};
}

// Counts the calls for one permit after the other, each of which waits for its answer.
void count_trips(member& m, redis_admin& server, results& to) {
    constexpr int permits = 500;
    fleet_semaphore limit(m.context, m.client, "trips", permits, options_with(1));
    m.acquire(limit).reset();
    m.inspect(limit);
    std::deque<fleet_permit> held;
    const server_counts before(server);
    for (int i = 0; i < permits; ++i)
        held.push_back(m.acquire(limit));
    const server_counts between(server);
    for (fleet_permit& p : held)
        m.release(p);
    const server_counts after(server);
    to.add("R1", "calls, a free permit", (between.calls - before.calls) / permits);
    to.add("R1", "calls, a release", (after.calls - between.calls) / permits);
}

std::vector<double> ping(redis_admin& server, std::chrono::milliseconds time) {
    std::vector<double> times;
    for (const auto end = wall::now() + time;;) {
        const auto begin = wall::now();
        if (begin >= end)
            return times;
        server.command("PING");
        times.push_back(static_cast<double>((wall::now() - begin).count()));
    }
}

// Sends PING by the client library that the fleet uses, on a connection of its own.
class async_ping {
public:
    async_ping(member& m, std::uint16_t port) :
        member_(m),
        connection_(
            m.context.get_executor(), boost::redis::logger(boost::redis::logger::level::err)) {
        request_.push("PING");
        boost::redis::config config = config_for(port);
        config.health_check_interval = 0s; // the context does not run during other measurements
        connection_.async_run(config, asio::detached);
    }

    std::vector<double> measure(std::chrono::milliseconds time) {
        std::vector<double> times;
        for (const auto end = wall::now() + time;;) {
            const auto begin = wall::now();
            if (begin >= end)
                return times;
            bool is_answered = false;
            connection_.async_exec(request_, boost::redis::ignore, [&](error_code ec, std::size_t) {
                require(ec);
                is_answered = true;
            });
            member_.run_until([&] { return is_answered; });
            times.push_back(static_cast<double>((wall::now() - begin).count()));
        }
    }

private:
    member& member_;
    boost::redis::connection connection_;
    boost::redis::request request_;
};

void measure_hand_over(
    member& m, redis_admin& server, async_ping& pings, hand_over& other,
    std::chrono::milliseconds each, results& to) {
    const double plain = percentile(ping(server, each / 4), 0.5);
    const std::vector<double> by_asio = pings.measure(each / 4);
    const double trip = percentile(by_asio, 0.5);
    const server_counts before(server);
    const std::vector<double> times = other.measure(m, each);
    const server_counts after(server);
    const double p50 = percentile(times, 0.5), p99 = percentile(times, 0.99);
    const auto number = static_cast<double>(times.size());
    to.add("R1", "calls, a hand-over", (after.calls - before.calls) / number);
    to.add("R1", "messages, a hand-over", (after.published - before.published) / number);
    to.add("R3", "us, PING, blocking", plain / 1000);
    to.add("R3", "us, PING, Boost.Redis", trip / 1000);
    to.add("R3", "us, PING, Boost.Redis, p99", percentile(by_asio, 0.99) / 1000);
    to.add("R3", "us, p50", p50 / 1000);
    to.add("R3", "us, p99", p99 / 1000);
    to.add("R3", "p50 / PING, blocking", p50 / plain);
    to.add("R3", "p99 / PING, blocking", p99 / plain);
    to.add("R3", "p50 / PING, Boost.Redis", p50 / trip);
    to.add("R3", "p99 / PING, Boost.Redis", p99 / trip);
    to.add("R3", "us, server, a call", (after.microseconds - before.microseconds) / number);
}

// Measures the server's time for a call, and the commands in a call.
void measure_batches(
    member& m, redis_admin& server, fleet_semaphore& limit, int width,
    std::chrono::milliseconds each, results& to) {
    acquire_and_release(m, limit, width, each / 10); // completes the connection's first call
    const server_counts before(server);
    const auto commands = m.client.statistics().commands;
    const measurement all = acquire_and_release(m, limit, width, each);
    const server_counts after(server);
    const double calls = after.calls - before.calls;
    const double time = after.microseconds - before.microseconds;
    const auto said = static_cast<double>(m.client.statistics().commands - commands);
    const std::string of = std::to_string(width);
    to.add("R5", of + ": commands a call", said / calls);
    to.add("R5", of + ": us a call", time / calls);
    to.add("R5", of + ": us a command", time / said);
    to.add("R5", of + ": operations a second", 2 * per_second(all));
    to.add("R5", of + ": server busy", time * 1e-6 / seconds(all.time));
}

// Measures the server's work for permits that are held while nothing else happens.
void measure_holding(
    std::uint16_t port, redis_admin& server, int permits, int leases, results& to) {
    fleet_options options = options_with(512);
    options.lease = 1000ms;
    member m(port);
    fleet_semaphore limit(m.context, m.client, "held-" + std::to_string(permits), permits, options);
    std::deque<fleet_permit> held;
    for (int i = 0; i < permits; ++i)
        limit.async_acquire_permit([&](error_code ec, fleet_permit p) {
            require(ec);
            held.push_back(std::move(p));
        });
    m.run_until([&] { return held.size() == static_cast<std::size_t>(permits); });
    const server_counts before(server);
    const auto begin = wall::now();
    m.context.run_until(begin + leases * options.lease);
    const server_counts after(server);
    const double time = seconds(wall::now() - begin);
    const std::string of = std::to_string(permits);
    to.add("R4", of + " permits: calls a lease", (after.calls - before.calls) / time);
    to.add(
        "R4", of + " permits: us a call, server",
        (after.microseconds - before.microseconds) / (after.calls - before.calls));
    for (const fleet_permit& p : held)
        if (!p.valid())
            fail("a permit was lost while it was held");
}

} // namespace

int main(int argc, char** argv) {
    int rounds = 11, leases = 30;
    std::chrono::milliseconds each = 500ms;
    std::vector<std::string> peers_command;
    for (int i = 1; i < argc; ++i) {
        const std::string_view option = argv[i];
        if (option == "--peers" && i + 1 < argc) {
            peers_command.assign(argv + i + 1, argv + argc);
            break;
        }
        if (option == "--rounds" && i + 1 < argc) {
            rounds = std::stoi(argv[++i]);
        } else if (option == "--each" && i + 1 < argc) {
            each = std::chrono::milliseconds(std::stoi(argv[++i]));
        } else if (option == "--hold" && i + 1 < argc) {
            leases = std::stoi(argv[++i]);
        } else {
            std::cerr << "unknown option " << option << '\n';
            return 2;
        }
    }

    if (!test::has_redis_server()) {
        std::cerr << test::redis_server_program() << " is not installed\n";
        return 77;
    }
    hand_over other; // forks, so it comes before any thread
    second_thread second;
    test::redis_server server;
    redis_admin admin(server.port());
    std::optional<peers> theirs;
    if (!peers_command.empty())
        theirs.emplace(peers_command, server.port());

    results all;
    {
        member m(server.port());
        async_ping pings(m, server.port());
        other.connect(server.port());
        count_trips(m, admin, all);

        std::deque<fleet_semaphore> limits;
        for (const int width : widths)
            limits.push_back(wide(m, width));
        fleet_semaphore limit(m.context, m.client, "many", at_a_time, options_with(at_a_time));
        pings.measure(each / 10);
        other.measure(m, each / 10);
        acquire_and_release(m, limit, at_a_time, each / 10);
        std::vector<std::string> names;
        if (theirs)
            names = {"redis-semaphore", "redis-semaphore, pipelined", "bottleneck"};
        for (const std::string& name : names)
            theirs->measure(name, at_a_time, each);

        std::mt19937 random(1);
        for (int round = 0; round < rounds; ++round) {
            std::map<std::string, double> figures;
            std::vector<std::function<void()>> steps{
                [&] {
                    const server_counts before(admin);
                    const auto begin = thread_clock::now();
                    const measurement done = acquire_and_release(m, limit, at_a_time, each);
                    const auto used = thread_clock::now() - begin;
                    const server_counts after(admin);
                    const auto number = static_cast<double>(done.operations);
                    figures["ours"] = per_second(done);
                    all.add(
                        "R2", "us, client, an acquire and release", seconds(used) * 1e6 / number);
                    all.add(
                        "R2", "us, server, an acquire and release",
                        (after.microseconds - before.microseconds) / number);
                },
                [&] {
                    measure_hand_over(m, admin, pings, other, each, all);
                }};
            for (const std::string& name : names)
                steps.push_back(
                    [&] { figures[name] = per_second(theirs->measure(name, at_a_time, each)); });
            for (std::size_t i = 0; i < std::size(widths); ++i)
                steps.push_back(
                    [&, i] { measure_batches(m, admin, limits[i], widths[i], each / 2, all); });
            std::shuffle(steps.begin(), steps.end(), random);
            for (const auto& step : steps)
                step();
            for (const auto& [name, figure] : figures)
                all.add("R2", name + ": acquires a second", figure);
            for (const std::string& name : names)
                all.add("R2", "ours / " + name, figures["ours"] / figures[name]);
            std::cerr << "round " << round + 1 << " of " << rounds << '\n';
        }
    }
    theirs.reset(); // bottleneck calls the server every five seconds, even if it does nothing
    for (const int permits : {500, 1000})
        measure_holding(server.port(), admin, permits, leases, all);
    all.write(std::cout);
}
