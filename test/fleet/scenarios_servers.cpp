// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include "fleet/scenario.hpp"

#include "fleet/proxy.hpp"
#include "fleet/script_server.hpp"
#include "fleet/server_clock.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>

#include <cstdlib>
#include <deque>
#include <filesystem>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

// The scenarios of the contract (section 4) in which the server is killed, stopped or replaced,
// loses data, has another clock, or refuses the client.

using namespace test;
using asio_semaphore::error;

namespace {

constexpr auto quarantine = fleet_options::recovery::quarantine;
using lost_data = redis_server::data;

/// Makes the limit before any client connects, without the quarantine of a newly started server.
void make_limit(scenario& s, std::ptrdiff_t permits, std::chrono::milliseconds lease) {
    script_server first(s.server.port());
    fleet::call c;
    c.name = "x";
    c.presence = c.lease = lease.count();
    c.limit = permits;
    c.is_immediate = true;
    c.commands = {{fleet::verb::inspect}};
    BOOST_TEST_REQUIRE((first.execute("first", 1, c, 0).status == fleet::call_status::ok));
}

/// A client with a limit named x.
struct process {
    process(
        scenario& s, std::ptrdiff_t permits, const fleet_options& options, std::uint16_t port = 0) :
        of(s.make(port)), limit(s.context, of->client, "x", permits, options) {
        of->run();
    }

    std::unique_ptr<member> of;
    fleet_semaphore limit;
};

/// Holders that must never lose their permits.
struct watched {
    watched(scenario& s, fleet_permit p) : held(std::move(p)), fence(held.fencing()) {
        held.async_wait_lost(asio::bind_executor(s.context, loss.handler()));
    }
    bool is_unharmed() const { return held.valid() && loss.pending() && held.fencing() == fence; }

    ended loss;
    fleet_permit held;
    std::uint64_t fence;
};

redis_server_options with(const server_clock& clock) {
    redis_server_options o;
    o.environment = clock.environment();
    return o;
}

/// Two certificate authorities, and a certificate for 127.0.0.1 that the first one has signed.
struct certificates {
    certificates() {
        std::string name = (std::filesystem::temp_directory_path() / "asem-tls-XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr)
            throw std::runtime_error("no temporary directory");
        folder = name;
        for (const std::string authority : {"ca", "other"})
            run("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=" +
                authority + " -keyout " + authority + ".key -out " + authority + ".crt");
        run("req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost "
            "-addext subjectAltName=IP:127.0.0.1 -keyout server.key -out server.csr");
        run("x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 "
            "-copy_extensions copy -out server.crt");
    }
    ~certificates() {
        std::error_code ignored;
        std::filesystem::remove_all(folder, ignored);
    }
    void run(const std::string& arguments) const {
        const std::string line =
            "cd " + folder.string() + " && openssl " + arguments + " >log 2>&1";
        if (std::system(line.c_str()) != 0)
            throw std::runtime_error("failed: openssl " + arguments);
    }
    std::string file(const std::string& name) const { return (folder / name).string(); }
    redis_server_options for_server() const {
        redis_server_options o;
        o.is_tls = true;
        o.arguments = {
            "--tls-cert-file",    file("server.crt"), "--tls-key-file",     file("server.key"),
            "--tls-ca-cert-file", file("ca.crt"),     "--tls-auth-clients", "no"};
        return o;
    }
    asio::ssl::context context(const std::string& authority) const {
        asio::ssl::context c(asio::ssl::context::tls_client);
        c.load_verify_file(file(authority));
        c.set_verify_mode(asio::ssl::verify_peer);
        c.set_verify_callback(asio::ssl::host_name_verification("127.0.0.1"));
        return c;
    }

    std::filesystem::path folder;
};

} // namespace

BOOST_AUTO_TEST_SUITE(
    fleet_scenarios_servers, *boost::unit_test::precondition(test::with_redis_server))

// ---- Killed and stopped.

BOOST_AUTO_TEST_CASE(F21_a_request_to_a_server_that_died_is_granted_after_the_quarantine) {
    constexpr auto lease = 1'000ms;
    scenario s;
    make_limit(s, 1, lease);
    proxy line(s.server.port());
    process a(s, 1, options_with(lease, quarantine), line.port());
    s.acquire(a.limit).reset();
    BOOST_TEST(s.becomes_empty(a.limit));
    const auto answers = line.count(proxy::answers);
    line.hold(proxy::to_client);
    ended e;
    a.limit.async_acquire_permit(e.handler());
    BOOST_TEST(line.wait_for(proxy::answers, answers + 1));
    s.server.kill();
    line.cut(); // and loses the answer
    line.let_go(proxy::to_client);
    s.poll();
    BOOST_TEST(e.pending());
    const auto restarted = lease_clock::now();
    s.server.restart(lost_data::lost);
    BOOST_TEST(s.until([&] { return a.of->client.statistics().connected; }));
    BOOST_TEST(s.inspect(a.limit).quarantine.count() > 0);
    BOOST_TEST(s.until_ended(e));
    BOOST_TEST(e.granted());
    BOOST_TEST((e.at - restarted >= lease));
    BOOST_TEST(s.inspect(a.limit).held == 1);
}

BOOST_AUTO_TEST_CASE(F27_holders_are_admitted_again_by_a_server_that_has_lost_everything) {
    constexpr auto lease = 2'000ms;
    scenario s;
    make_limit(s, 2, lease);
    process a(s, 2, options_with(lease, quarantine)), b(s, 2, options_with(lease, quarantine)),
        c(s, 2, options_with(lease, quarantine));
    watched first(s, s.acquire(a.limit)), second(s, s.acquire(b.limit));
    ended third;
    s.queue(c.limit, third);
    s.server.restart(lost_data::lost);
    const auto restarted = lease_clock::now();
    BOOST_TEST(s.until([&] {
        return a.limit.statistics().readmitted == 1 && b.limit.statistics().readmitted == 1;
    }));
    BOOST_TEST((first.is_unharmed() && second.is_unharmed()));
    s.until_time(restarted + lease + lease / 2); // the quarantine is over
    BOOST_TEST((first.is_unharmed() && second.is_unharmed()));
    BOOST_TEST(third.pending());
    BOOST_TEST(s.inspect(a.limit).held == 2);
    BOOST_TEST(s.inspect(a.limit).quarantine.count() == 0);
    BOOST_TEST(s.inspect(a.limit).lowest_fencing == std::min(first.fence, second.fence));
    first.held.reset();
    BOOST_TEST(s.until_ended(third));
    BOOST_TEST(third.granted());
    BOOST_TEST(third.held.fencing() > std::max(first.fence, second.fence));
}

BOOST_AUTO_TEST_CASE(F28_a_server_that_has_lost_everything_grants_nothing_new_for_a_lease) {
    constexpr auto lease = 1'000ms;
    scenario s;
    make_limit(s, 1, lease);
    process a(s, 1, options_with(lease, quarantine));
    s.acquire(a.limit).reset(); // the client has seen the server's numbers
    BOOST_TEST(s.becomes_empty(a.limit));
    // A holder that dies with the server.
    {
        script_server other(s.server.port());
        fleet::call c;
        c.name = "x";
        c.presence = c.lease = lease.count();
        c.limit = 1;
        c.commands = {{fleet::verb::acquire, {1, 1, lease.count()}}};
        BOOST_TEST((other.execute("other", 1, c, 0).results.at(0).what == fleet::verdict::granted));
    }
    const auto restarted = lease_clock::now();
    s.server.restart(lost_data::lost);
    ended e;
    a.limit.async_acquire_permit(e.handler());
    BOOST_TEST(s.until_ended(e));
    BOOST_TEST(e.granted());
    BOOST_TEST((e.at - restarted >= lease));
}

BOOST_AUTO_TEST_CASE(F29_a_client_that_has_seen_higher_numbers_proves_lost_writes) {
    constexpr auto lease = 2'000ms;
    redis_server_options persistent;
    persistent.is_persistent = true;
    persistent.arguments = {"--appendfsync", "always"};
    scenario s(persistent);
    make_limit(s, 2, lease);
    process a(s, 2, options_with(lease, quarantine)), b(s, 2, options_with(lease, quarantine)),
        c(s, 2, options_with(lease, quarantine));
    watched kept(s, s.acquire(a.limit));
    const auto rolls = s.inspect(b.limit).rolls;
    s.server.copy_data();
    watched lost(s, s.acquire(b.limit));
    ended third;
    s.queue(c.limit, third);
    s.server.restart(lost_data::copied);
    BOOST_TEST(s.until([&] { return b.limit.statistics().readmitted == 1; }));
    BOOST_TEST(s.inspect(a.limit).rolls == rolls + 1);
    BOOST_TEST((kept.is_unharmed() && lost.is_unharmed()));
    s.until_time(lease_clock::now() + lease);
    BOOST_TEST((kept.is_unharmed() && lost.is_unharmed()));
    BOOST_TEST(third.pending());
    lost.held.reset();
    BOOST_TEST(s.until_ended(third));
    BOOST_TEST(third.granted());
    BOOST_TEST(third.held.fencing() > std::max(kept.fence, lost.fence));
    BOOST_TEST(s.inspect(a.limit).held == 2);
}

BOOST_AUTO_TEST_CASE(F34_permits_of_a_server_that_stands_still_are_lost_in_time) {
    constexpr auto lease = 1'000ms;
    scenario s;
    process a(s, 1, options_with(lease));
    watched holder(s, s.acquire(a.limit));
    s.server.stop();
    const auto stopped = lease_clock::now();
    // Renewals may be in flight, but the server answers none now.
    const auto deadline = stopped + holder.held.remaining();
    BOOST_TEST(s.until_ended(holder.loss));
    BOOST_TEST(holder.loss.failed(fleet_error::lost));
    BOOST_TEST((holder.loss.at < deadline + lease));
    BOOST_TEST(!holder.held.valid());
    s.until_time(stopped + 2 * lease);
    s.server.resume();
    process b(s, 1, options_with(lease));
    const fleet_status first = s.inspect(b.limit);
    BOOST_TEST(first.held == 0);
    const fleet_permit next = s.acquire(b.limit);
    BOOST_TEST(next.fencing() > holder.fence);
    holder.held.reset();
    BOOST_TEST(s.until([&] { return a.of->client.statistics().connected; }));
    BOOST_TEST(s.inspect(a.limit).held == 1);
    BOOST_TEST(next.valid());
}

BOOST_AUTO_TEST_CASE(F35_an_acquire_left_in_a_dead_socket_holds_nothing) {
    constexpr auto lease = 10'000ms;
    scenario s;
    redis_admin look = s.admin();
    process a(s, 1, options_with(lease));
    s.acquire(a.limit).reset();
    BOOST_TEST(s.becomes_empty(a.limit));
    s.server.stop();
    const auto calls = a.of->client.statistics().calls;
    ended e;
    a.limit.async_acquire_permit(e.handler());
    BOOST_TEST(s.until([&] { return a.of->client.statistics().calls == calls + 1; }));
    BOOST_TEST(a.limit.cancel() == 1u);
    s.poll();
    BOOST_TEST(e.failed(asio::error::operation_aborted));
    BOOST_TEST(s.until([&] { return !a.of->client.statistics().connected; })); // 2 to 3 s
    s.server.resume();
    const auto resumed = lease_clock::now();
    BOOST_TEST(s.until([&] { return a.of->client.statistics().connected; }));
    BOOST_TEST(s.until([&] { return s.inspect(a.limit).held == 0; }));
    BOOST_TEST((lease_clock::now() - resumed < lease / 2)); // not because the lease expired
    BOOST_TEST(look.command("ZCARD", "asem:{x}:q").as_number() == 0);
    const fleet_permit p = s.acquire(a.limit);
    BOOST_TEST(p.valid());
    BOOST_TEST(e.calls == 1);
}

// ---- Replaced.

BOOST_AUTO_TEST_CASE(F42_a_grant_that_a_failover_lost_is_readmitted) {
    constexpr auto lease = 2'000ms;
    redis_server_options leads, follows;
    leads.arguments = {"--repl-diskless-sync-delay", "0"};
    scenario s(leads);
    make_limit(s, 2, lease);
    follows.arguments = {
        "--replicaof", "127.0.0.1 " + std::to_string(s.server.port()), "--repl-diskless-load",
        "disabled"};
    redis_server replica(follows);
    redis_admin of_replica(replica.port()), of_primary(s.server.port());
    proxy line(s.server.port());
    process a(s, 2, options_with(lease, quarantine), line.port()),
        b(s, 2, options_with(lease, quarantine), line.port()),
        c(s, 2, options_with(lease, quarantine), line.port());
    watched first(s, s.acquire(a.limit));
    s.inspect(b.limit);
    s.inspect(c.limit);
    BOOST_TEST(s.until([&] {
        return of_replica.info("replication", "master_link_status") == "up" &&
               of_replica.info("replication", "slave_repl_offset") ==
                   of_primary.info("replication", "master_repl_offset") &&
               of_replica.command("ZCARD", "asem:{x}:l").as_number() == 1;
    }));
    of_replica.command("REPLICAOF", "NO", "ONE");
    watched second(s, s.acquire(b.limit)); // the replica never receives it
    ended third;
    s.queue(c.limit, third);
    BOOST_TEST(of_replica.command("ZCARD", "asem:{x}:l").as_number() == 1);
    line.redirect(replica.port());
    s.server.kill();
    const auto failed_over = lease_clock::now();
    BOOST_TEST(s.until([&] { return b.limit.statistics().readmitted == 1; }));
    BOOST_TEST((first.is_unharmed() && second.is_unharmed()));
    BOOST_TEST(third.pending());
    BOOST_TEST(s.inspect(a.limit).held == 2);
    BOOST_TEST(s.inspect(a.limit).rolls == 1u);
    s.until_time(failed_over + lease);
    BOOST_TEST((first.is_unharmed() && second.is_unharmed()));
    BOOST_TEST(third.pending());
    first.held.reset();
    BOOST_TEST(s.until_ended(third));
    BOOST_TEST(third.granted());
    BOOST_TEST(third.held.fencing() > second.fence);
}

BOOST_AUTO_TEST_CASE(F44_a_primary_that_becomes_a_replica_fails_no_operation) {
    scenario s;
    redis_admin admin = s.admin();
    process a(s, 1, options_with(long_lease));
    s.acquire(a.limit).reset();
    BOOST_TEST(s.becomes_empty(a.limit));
    admin.command("REPLICAOF", "127.0.0.1", 1); // nobody listens there, so the data stay
    ended e;
    a.limit.async_acquire_permit(e.handler());
    BOOST_TEST(s.until([&] { return a.of->client.statistics().connections >= 3; }));
    BOOST_TEST(e.pending());
    BOOST_TEST(a.of->log().find("READONLY") != std::string::npos);
    admin.command("REPLICAOF", "NO", "ONE");
    BOOST_TEST(s.until_ended(e));
    BOOST_TEST(e.granted());
    BOOST_TEST(a.limit.statistics().failed == 0u);
}

// ---- Data is lost.

BOOST_AUTO_TEST_CASE(F45_a_key_that_is_lost_is_noticed_and_nothing_leaks_or_doubles) {
    constexpr auto lease = 2'000ms;
    std::deque<scenario> servers; // in parallel: each takes a lease
    std::deque<process> all;
    std::deque<watched> held;
    std::deque<ended> waits;
    const std::vector<std::string> lost{"asem:{x}:m", "asem:{x}:l", "asem:{x}:f", "asem:{x}:q", ""};
    std::vector<std::uint64_t> repairs;
    for (std::size_t i = 0; i < lost.size(); ++i) {
        scenario& s = servers.emplace_back();
        make_limit(s, 2, lease);
        for (int j = 0; j < 3; ++j)
            all.emplace_back(s, 2, options_with(lease, quarantine));
        held.emplace_back(s, s.acquire(all[3 * i].limit));
        held.emplace_back(s, s.acquire(all[3 * i + 1].limit));
        s.queue(all[3 * i + 2].limit, waits.emplace_back());
        repairs.push_back(all[3 * i].limit.statistics().repairs);
    }
    for (std::size_t i = 0; i < lost.size(); ++i) {
        redis_admin admin = servers[i].admin();
        if (lost[i].empty())
            admin.command("FLUSHALL");
        else
            admin.command("DEL", lost[i]);
    }
    const auto until = lease_clock::now() + 2 * lease;
    for (std::size_t i = 0; i < lost.size(); ++i) {
        BOOST_TEST_CONTEXT("lost: " << (lost[i].empty() ? "everything" : lost[i])) {
            scenario& s = servers[i];
            for (int j = 0; j < 3; ++j)
                BOOST_TEST(s.until([&] {
                    return all[3 * i + std::size_t(j)].limit.statistics().repairs == repairs[i] + 1;
                }));
        }
    }
    for (std::size_t i = 0; i < lost.size(); ++i) {
        BOOST_TEST_CONTEXT("lost: " << (lost[i].empty() ? "everything" : lost[i])) {
            scenario& s = servers[i];
            s.until_time(until);
            BOOST_TEST((held[2 * i].is_unharmed() && held[2 * i + 1].is_unharmed()));
            BOOST_TEST(waits[i].pending());
            const fleet_status status = s.inspect(all[3 * i].limit);
            BOOST_TEST(status.held == 2);
            BOOST_TEST(status.waiting == 1u);
            BOOST_TEST(status.lowest_fencing == std::min(held[2 * i].fence, held[2 * i + 1].fence));
            held[2 * i].held.reset();
            BOOST_TEST(s.until_ended(waits[i]));
            BOOST_TEST(waits[i].granted());
            BOOST_TEST(waits[i].held.fencing() > held[2 * i].fence);
            BOOST_TEST(waits[i].held.fencing() > held[2 * i + 1].fence);
            waits[i].held.reset();
            held[2 * i + 1].held.reset();
            BOOST_TEST(s.becomes_empty(all[3 * i].limit));
        }
    }
    waits.clear();
    held.clear();
    all.clear();
}

BOOST_AUTO_TEST_CASE(F46_a_full_server_refuses_acquires_and_accepts_releases) {
    scenario s;
    redis_admin admin = s.admin();
    fleet_options fails = options_with(long_lease);
    fails.when_unreachable = fleet_options::unreachable::fail;
    process a(s, 2, options_with(long_lease)), b(s, 2, fails);
    fleet_permit held = s.acquire(a.limit);
    s.inspect(b.limit);
    admin.command("CONFIG", "SET", "maxmemory", 1);
    const auto before = admin.hash("asem:{x}:m");
    ended waits, refused;
    b.limit.async_acquire_permit(refused.handler());
    BOOST_TEST(s.until_ended(refused));
    BOOST_TEST(refused.failed(fleet_error::rejected));
    a.limit.async_acquire_permit(waits.handler());
    BOOST_TEST(s.until([&] { return a.of->client.statistics().rejected >= 2; }));
    BOOST_TEST(waits.pending());
    BOOST_TEST((admin.hash("asem:{x}:m") == before));
    BOOST_TEST(admin.command("ZCARD", "asem:{x}:l").as_number() == 1);
    BOOST_TEST(a.of->log().find("OOM") != std::string::npos);
    BOOST_TEST((s.release(held) == error_code()));
    BOOST_TEST(admin.command("ZCARD", "asem:{x}:l").as_number() == 0);
    BOOST_TEST(waits.pending());
    admin.command("CONFIG", "SET", "maxmemory", 0);
    BOOST_TEST(s.until_ended(waits));
    BOOST_TEST(waits.granted());
    BOOST_TEST(s.inspect(b.limit).held == 1);
}

// ---- Another clock.

BOOST_AUTO_TEST_CASE(F47_a_clock_that_goes_back_freezes_nobody) {
    constexpr auto lease = 1'000ms;
    server_clock time(server_clock_library());
    scenario s(with(time));
    process a(s, 2, options_with(lease)), b(s, 2, options_with(lease));
    watched holder(s, s.acquire(a.limit));
    script_server other(s.server.port());
    fleet::call c;
    c.name = "x";
    c.presence = c.lease = lease.count();
    c.limit = 2;
    c.is_immediate = true;
    c.commands = {{fleet::verb::acquire, {1, 1, lease.count()}}};
    BOOST_TEST((other.execute("other", 1, c, 0).results.at(0).what == fleet::verdict::granted));
    time.step(-1h);
    const auto stepped = lease_clock::now();
    ended next;
    b.limit.async_acquire_permit(next.handler());
    BOOST_TEST(s.until_ended(next));
    BOOST_TEST(next.granted());
    BOOST_TEST((next.at - stepped < 4 * lease)); // an hour and a lease if unnoticed
    BOOST_TEST(holder.is_unharmed());
    BOOST_TEST(s.inspect(a.limit).held == 2);
    const auto renewals = a.limit.statistics().renewals;
    BOOST_TEST(s.until([&] { return a.limit.statistics().renewals >= renewals + 3; }));
    BOOST_TEST(holder.is_unharmed());
}

BOOST_AUTO_TEST_CASE(F47_a_clock_that_goes_forward_is_over_within_a_third_of_a_lease) {
    constexpr auto lease = 1'500ms;
    server_clock time(server_clock_library());
    scenario s(with(time));
    process a(s, 1, options_with(lease)), b(s, 1, options_with(lease));
    watched holder(s, s.acquire(a.limit));
    ended next;
    s.queue(b.limit, next);
    time.step(1h);
    // Either outcome is right; it depends on which client calls first.
    BOOST_TEST(s.until([&] {
        return next.granted() || a.limit.statistics().readmitted == 1 || !holder.held.valid();
    }));
    const auto from = lease_clock::now();
    s.until_time(from + lease);
    BOOST_TEST(holder.held.valid() != next.granted());
    BOOST_TEST(s.inspect(a.limit).held == 1);
    if (next.granted()) {
        BOOST_TEST(holder.loss.failed(fleet_error::lost));
        BOOST_TEST(next.held.valid());
    } else {
        BOOST_TEST(holder.is_unharmed());
        holder.held.reset();
        BOOST_TEST(s.until_ended(next));
    }
    BOOST_TEST(next.granted());
    BOOST_TEST(next.held.fencing() > holder.fence);
}

// ---- The server cannot be reached.

BOOST_AUTO_TEST_CASE(F49_without_a_server_requests_wait_fail_or_are_admitted_locally) {
    scenario s;
    fleet_options waits = options_with(long_lease), fails = waits, admits = waits;
    fails.when_unreachable = fleet_options::unreachable::fail;
    fails.unreachable_after = 300ms;
    admits.when_unreachable = fleet_options::unreachable::admit_locally;
    admits.unreachable_after = 300ms;
    admits.local_permits = 2;
    process a(s, 5, waits), b(s, 5, fails), c(s, 5, admits);
    for (process* p : {&a, &b, &c})
        s.inspect(p->limit);
    const auto killed = lease_clock::now();
    s.server.kill();
    for (process* p : {&a, &b, &c})
        BOOST_TEST(s.until([&] { return !p->of->client.statistics().connected; }));

    ended waiting, cancelled, timed, failed, late, first, second, third;
    asio::cancellation_signal signal;
    a.limit.async_acquire_permit(waiting.handler());
    a.limit.async_acquire_permit(asio::bind_cancellation_slot(signal.slot(), cancelled.handler()));
    a.limit.async_acquire_permit_for(50ms, timed.handler());
    b.limit.async_acquire_permit(failed.handler());
    for (ended* e : {&first, &second, &third})
        c.limit.async_acquire_permit(e->handler());
    BOOST_TEST(s.until_ended(timed));
    BOOST_TEST(timed.failed(asio::error::timed_out));
    signal.emit(asio::cancellation_type::partial);
    BOOST_TEST(s.until_ended(cancelled));
    BOOST_TEST(cancelled.failed(asio::error::operation_aborted));
    BOOST_TEST(s.until_ended(failed));
    BOOST_TEST(failed.failed(fleet_error::unreachable));
    BOOST_TEST((failed.at - killed >= 300ms));
    b.limit.async_acquire_permit(late.handler());
    BOOST_TEST(s.until_ended(late));
    BOOST_TEST(late.failed(fleet_error::unreachable));
    BOOST_TEST((s.until_ended(first) && s.until_ended(second)));
    for (ended* e : {&first, &second}) {
        BOOST_TEST(e->granted());
        BOOST_TEST(e->held.fencing() == 0u);
        BOOST_TEST(e->held.local());
        BOOST_TEST(e->held.valid());
        BOOST_TEST((e->at - killed >= 300ms));
    }
    BOOST_TEST(third.pending());
    BOOST_TEST(waiting.pending());

    s.server.restart();
    BOOST_TEST((s.until_ended(third) && s.until_ended(waiting)));
    for (ended* e : {&third, &waiting}) {
        BOOST_TEST(e->granted());
        BOOST_TEST(!e->held.local());
        BOOST_TEST(e->held.fencing() > 0u);
    }
    BOOST_TEST(first.held.valid());
    BOOST_TEST(s.inspect(a.limit).held == 2);
    BOOST_TEST(s.until([&] { return b.of->client.statistics().connected; }));
    const fleet_permit again = s.acquire(b.limit);
    BOOST_TEST(again.valid());
}

BOOST_AUTO_TEST_CASE(F49_a_destroyed_client_writes_nothing_to_its_log) {
    std::string port;
    {
        redis_server gone;
        port = std::to_string(gone.port());
    }
    boost::redis::config config;
    config.addr = {"127.0.0.1", port};
    std::size_t lines = 0, before = 0;
    for (int steps = 0; steps < 16; ++steps) { // the client dies at any point of its attempts
        asio::io_context context;
        auto client = std::make_unique<fleet_client>(
            context.get_executor(), config, std::nullopt, [&](std::string_view) { ++lines; });
        client->async_run(asio::detached);
        for (int i = 0; i < steps; ++i)
            context.run_one_for(20ms);
        before = lines;
        client.reset();
        context.restart();
        context.poll();
        BOOST_TEST(lines == before, "after " << steps << " steps");
    }
    BOOST_TEST(lines > 0u);
}

// A client goes on although its log throws. The exceptions leave the context's run.
BOOST_AUTO_TEST_CASE(a_log_that_throws_stops_neither_calls_nor_connections) {
    scenario s;
    s.admin().command("SET", "asem:{text}:m", "text");
    asio::io_context context;
    int lines = 0, thrown = 0;
    const auto until = [&](auto is_so) {
        const auto end = lease_clock::now() + 30s;
        while (!is_so() && lease_clock::now() < end) {
            try {
                context.restart();
                context.run_one_for(20ms);
            } catch (const std::domain_error&) {
                ++thrown;
            }
        }
        return is_so();
    };
    fleet_client client(
        context.get_executor(), config_for(s.server.port()), std::nullopt, [&](std::string_view) {
            ++lines;
            throw std::domain_error("log");
        });
    fleet_semaphore limit(context, client, "x", 1, options_with(long_lease));
    fleet_semaphore other(context, client, "text", 1, options_with(long_lease));
    client.async_run(asio::detached);

    ended refused;
    other.async_acquire_permit(refused.handler());
    BOOST_TEST(until([&] { return !refused.pending(); }));
    BOOST_TEST(refused.failed(fleet_error::rejected));
    BOOST_TEST(until([&] { return lines == 1 && thrown == 1; }));
    s.server.restart(); // the end of the connection has a line, too
    ended granted;
    limit.async_acquire_permit(granted.handler());
    BOOST_TEST(until([&] { return !granted.pending(); }));
    BOOST_TEST(granted.granted());
    BOOST_TEST(lines > 1);
    BOOST_TEST(thrown == lines);
}

// ---- The server refuses the client.

BOOST_AUTO_TEST_CASE(F50_a_command_that_the_user_may_not_call_is_rejected_or_not_needed) {
    scenario s;
    redis_admin admin = s.admin();
    const auto user = [&](const char* name, const char* denied) {
        std::vector<std::string> words{"ACL",     "SETUSER", name,        "on",
                                       ">secret", "~asem:*", "&asem:c:*", "+@all"};
        std::istringstream in(denied);
        for (std::string word; in >> word;)
            words.push_back(word);
        BOOST_TEST_REQUIRE(admin.command(words).string == "OK");
        boost::redis::config config = config_for(s.server.port());
        config.username = name;
        config.password = "secret";
        auto m = s.make(config);
        m->run();
        return m;
    };
    {
        auto a = user("mute", "-publish");
        fleet_semaphore limit(s.context, a->client, "x", 1, options_with(long_lease));
        ended e;
        limit.async_acquire_permit(e.handler());
        BOOST_TEST(s.until_ended(e));
        BOOST_TEST(e.failed(fleet_error::rejected));
        BOOST_TEST(s.until([&] { // in the words of Redis 6, 7 and newer
            const std::string log = a->log();
            return log.find("NOPERM") != std::string::npos ||
                   log.find("can't run this command") != std::string::npos ||
                   log.find("ACL failure") != std::string::npos;
        }));
        BOOST_TEST(admin.command("DBSIZE").as_number() == 0);
    }
    {
        auto a = user("blind", "-info -pubsub|numsub"), b = user("blind", "");
        fleet_semaphore of_a(s.context, a->client, "x", 1, options_with(long_lease));
        fleet_semaphore of_b(s.context, b->client, "x", 1, options_with(long_lease));
        fleet_permit held = s.acquire(of_a);
        ended e;
        s.queue(of_b, e);
        held.reset();
        BOOST_TEST(s.until_ended(e));
        BOOST_TEST(e.granted());
        BOOST_TEST(a->client.statistics().rejected + b->client.statistics().rejected == 0u);
    }
    {
        // The permissions that the guide lists are enough.
        BOOST_TEST(
            admin
                .command({"ACL",      "SETUSER",   "modest",         "on",         ">secret",
                          "~asem:*",  "&asem:c:*", "+@connection",   "+subscribe", "+publish",
                          "+evalsha", "+eval",     "+time",          "+info",      "+pubsub|numsub",
                          "+exists",  "+hget",     "+hmget",         "+hkeys",     "+hset",
                          "+hdel",    "+hincrby",  "+zadd",          "+zrem",      "+zscore",
                          "+zcard",   "+zrange",   "+zrangebyscore", "+pexpire",   "+del"})
                .string == "OK");
        boost::redis::config config = config_for(s.server.port());
        config.username = "modest";
        config.password = "secret";
        auto a = s.make(config), b = s.make(config);
        a->run();
        b->run();
        fleet_semaphore of_a(s.context, a->client, "y", 2, options_with(long_lease));
        fleet_semaphore of_b(s.context, b->client, "y", 2, options_with(long_lease));
        fleet_permit held = s.acquire(of_a, 2);
        ended e;
        s.queue(of_b, e);
        BOOST_TEST(s.set_limit(of_a, 3) == error_code());
        BOOST_TEST(s.until_ended(e));
        BOOST_TEST(e.granted());
        BOOST_TEST((s.release(held) == error_code()));
        BOOST_TEST(s.inspect(of_b).held == 1);
        admin.command("DEL", "asem:{y}:m"); // and the next call repairs it
        BOOST_TEST(s.inspect(of_b).limit == 3);
        admin.command("DEL", "asem:{y}:c");
        admin.command("DEL", "asem:{y}:l");
        BOOST_TEST(s.inspect(of_b).limit == 3);
        BOOST_TEST(a->client.statistics().rejected + b->client.statistics().rejected == 0u);
    }
}

BOOST_AUTO_TEST_CASE(F51_a_key_of_another_kind_is_rejected_and_left_alone) {
    scenario s;
    redis_admin admin = s.admin();
    admin.command("SET", "asem:{x}:m", "somebody else's");
    process a(s, 1, options_with(long_lease));
    ended e;
    a.limit.async_acquire_permit(e.handler());
    BOOST_TEST(s.until_ended(e));
    BOOST_TEST(e.failed(fleet_error::rejected));
    BOOST_TEST(admin.command("GET", "asem:{x}:m").string == "somebody else's");
    BOOST_TEST(admin.command("DBSIZE").as_number() == 1);
}

BOOST_AUTO_TEST_CASE(F52_data_of_a_newer_library_are_incompatible_and_left_alone) {
    scenario s;
    redis_admin admin = s.admin();
    process a(s, 1, options_with(long_lease));
    fleet_permit held = s.acquire(a.limit);
    admin.command("HSET", "asem:{x}:m", "schema", fleet::schema + 1);
    const auto before = admin.hash("asem:{x}:m");
    const auto leases = admin.scores("asem:{x}:l");
    process b(s, 1, options_with(long_lease));
    ended wants, asks;
    b.limit.async_acquire_permit(wants.handler());
    b.limit.async_inspect(asks.handler());
    BOOST_TEST((s.until_ended(wants) && s.until_ended(asks)));
    BOOST_TEST(wants.failed(fleet_error::incompatible));
    BOOST_TEST(asks.failed(fleet_error::incompatible));
    BOOST_TEST((admin.hash("asem:{x}:m") == before));
    BOOST_TEST((admin.scores("asem:{x}:l") == leases));
}

BOOST_AUTO_TEST_CASE(F53_a_slot_of_another_server_is_reported_as_clustered) {
    redis_server_options clustered;
    clustered.arguments = {"--cluster-enabled", "yes", "--cluster-require-full-coverage", "no"};
    scenario s(clustered);
    redis_server other(clustered);
    redis_admin of_first = s.admin(), of_other(other.port());
    BOOST_TEST(of_other.command("CLUSTER", "ADDSLOTSRANGE", 0, 16383).string == "OK");
    BOOST_TEST(of_first.command("CLUSTER", "MEET", "127.0.0.1", other.port()).string == "OK");
    BOOST_TEST(s.until([&] { return of_first.command("GET", "x").error_word() == "MOVED"; }));
    process a(s, 1, options_with(long_lease));
    ended e;
    a.limit.async_acquire_permit(e.handler());
    BOOST_TEST(s.until_ended(e));
    BOOST_TEST(e.failed(fleet_error::clustered));
}

BOOST_AUTO_TEST_CASE(F67_the_client_connects_only_to_a_server_that_proves_its_identity) {
    const certificates issued;
    scenario s(issued.for_server());
    boost::redis::config config = config_for(s.server.port());
    config.use_ssl = true;
    const asio::any_io_executor executor = s.clients.context.get_executor();
    BOOST_CHECK_THROW(fleet_client(executor, config), std::invalid_argument);
    BOOST_CHECK_THROW(
        fleet_client(executor, config, asio::ssl::context(asio::ssl::context::tls_client)),
        std::invalid_argument);
    {
        member wrong(executor, config, issued.context("other.crt"));
        wrong.run();
        BOOST_TEST(s.until(
            [&] { return wrong.log().find("certificate was refused") != std::string::npos; }));
        BOOST_TEST(wrong.client.statistics().connections == 0u);
    }
    member right(executor, config, issued.context("ca.crt"));
    fleet_semaphore limit(s.context, right.client, "x", 1, options_with(long_lease));
    right.run();
    BOOST_TEST(s.acquire(limit).valid());
}

BOOST_AUTO_TEST_CASE(F68_a_unix_domain_socket_works_like_a_tcp_connection) {
    redis_server_options o;
    o.has_unix_socket = true;
    scenario s(o);
    constexpr auto lease = 2'000ms;
    make_limit(s, 3, lease);
    boost::redis::config config;
    config.unix_socket = s.server.unix_socket();
    auto a = s.make(config), b = s.make(config);
    fleet_semaphore of_a(s.context, a->client, "x", 3, options_with(lease, quarantine));
    fleet_semaphore of_b(s.context, b->client, "x", 3, options_with(lease, quarantine));
    a->run();
    b->run();
    fleet_permit held = s.acquire(of_a);
    ended large, small;
    s.queue(of_b, large, 3);
    s.queue(of_a, small);
    held.reset();
    BOOST_TEST(s.until_ended(large));
    BOOST_TEST(large.granted());
    BOOST_TEST(small.pending());
    s.server.restart(lost_data::lost);
    BOOST_TEST(s.until([&] { return of_b.statistics().readmitted == 1; }));
    BOOST_TEST(large.held.valid());
    BOOST_TEST(s.until([&] { return s.inspect(of_a).waiting == 1; }));
    large.held.reset();
    BOOST_TEST(s.until_ended(small));
    BOOST_TEST(small.granted());
}

BOOST_AUTO_TEST_SUITE_END()
