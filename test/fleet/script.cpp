// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// The script on a real server, scenario by scenario, with a clock that the test sets.

#include "fleet/script_server.hpp"

#include <boost/test/unit_test.hpp>

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

namespace fleet = asio_semaphore::detail::fleet;
using fleet::call_status;
using fleet::command;
using fleet::verb;
using fleet::verdict;

namespace asio_semaphore::detail::fleet {

std::ostream& operator<<(std::ostream& out, verdict v) {
    const char* const names[] = {"?",       "granted",    "queued",   "refused",
                                 "exceeds", "unknown",    "released", "withdrawn",
                                 "renewed", "readmitted", "gone",     "done"};
    return out << names[static_cast<std::size_t>(v)];
}

std::ostream& operator<<(std::ostream& out, call_status s) {
    const char* const names[] = {"ok", "stale", "conflict", "incompatible"};
    return out << names[static_cast<std::size_t>(s)];
}

} // namespace asio_semaphore::detail::fleet

namespace {

constexpr std::int64_t lease = 400;

// One server for all tests, older than a lease, so that no limit begins with a quarantine.
test::redis_server& server() {
    static const auto started = [] {
        auto s = std::make_unique<test::redis_server>();
        test::redis_admin admin(s->port());
        while (admin.info("server", "uptime_in_seconds") == "0") {
        }
        return s;
    }();
    return *started;
}

struct scene {
    scene() { script.admin.command("FLUSHALL"); }

    fleet::call call(std::vector<command> commands = {}) {
        fleet::call c;
        c.name = "x";
        c.presence = lease;
        c.lease = lease;
        c.limit = limit;
        c.commands = std::move(commands);
        return c;
    }

    test::limit_state state() { return script.state("x"); }

    void remove(char which) { script.admin.command("DEL", test::key("x", which)); }

    test::script_server script{server().port()};
    std::int64_t now = 1'700'000'000'000;
    std::int64_t limit = 2;
};

// One client, as the script sees it.
struct process {
    process(scene& s, std::string n, bool is_reachable = true) : where(s), name(std::move(n)) {
        if (is_reachable)
            subscribe();
    }

    void subscribe() { channel.emplace(server().port(), name); }

    fleet::answer call(std::vector<command> commands = {}) {
        return execute(where.call(std::move(commands)));
    }
    fleet::answer execute(fleet::call c) {
        c.seen = seen;
        auto answer = where.script.execute(name, connection, c, where.now);
        if (answer.status == call_status::ok)
            seen = answer.seq;
        return answer;
    }
    fleet::result one(const command& c) { return call({c}).results.at(0); }

    // Each of these functions calls one command, for the request with this serial.
    fleet::request_name of(std::uint64_t serial, std::int64_t n = 1) { return {serial, n, lease}; }
    fleet::result acquire(std::uint64_t serial, std::int64_t n = 1) {
        return one({verb::acquire, of(serial, n)});
    }
    fleet::result try_acquire(std::uint64_t serial, std::int64_t n = 1) {
        return one({verb::try_acquire, of(serial, n)});
    }
    fleet::result give_back(std::uint64_t serial, std::int64_t n = 1) {
        return one({verb::give_back, of(serial, n)});
    }
    fleet::result ask(std::uint64_t serial, std::int64_t n = 1) {
        return one({verb::ask, of(serial, n)});
    }
    // The renewal is void once the lease that it would make has a tenth left.
    fleet::result renew(std::uint64_t serial, std::uint64_t fence, std::int64_t n = 1) {
        return one({verb::renew, of(serial, n), fence, where.now + lease * 9 / 10});
    }
    std::vector<fleet::push> heard() { return channel->take(); }

    // Returns the only grant that was pushed to this client.
    fleet::grant heard_grant() {
        const auto pushes = heard();
        BOOST_TEST_REQUIRE(pushes.size() == 1u);
        BOOST_TEST_REQUIRE(pushes[0].granted.size() == 1u);
        BOOST_TEST(pushes[0].name == "x");
        return pushes[0].granted[0];
    }

    scene& where;
    std::string name;
    std::uint64_t connection = 1;
    std::uint64_t seen = 0;
    std::optional<test::listener> channel;
};

// Returns the stored data, to check that a call has written nothing.
struct contents {
    explicit contents(scene& s) {
        for (const auto& key : s.script.admin.command("KEYS", "*").items)
            dumps[key.string] = s.script.admin.command("DUMP", key.string).string;
    }
    friend bool operator==(const contents& a, const contents& b) { return a.dumps == b.dumps; }
    std::map<std::string, std::string> dumps;
};

// Checks that leases, places and fencing numbers agree with each other.
void check_consistency(scene& s) {
    const auto state = s.state();
    BOOST_TEST_REQUIRE(state.m.has_value());
    std::int64_t held = 0;
    for (const auto& [id, expiry] : state.leases) {
        held += test::request::from(id).name.n;
        BOOST_TEST(state.fences.count(id) == 1u);
        BOOST_TEST(state.places.count(id) == 0u);
    }
    BOOST_TEST(state.m->held == held);
    BOOST_TEST(state.leases.size() == state.fences.size());
    BOOST_TEST(state.m->leases == static_cast<std::int64_t>(state.leases.size()));
    BOOST_TEST(state.m->places == static_cast<std::int64_t>(state.places.size()));
    BOOST_TEST(state.m->clients == static_cast<std::int64_t>(state.presences.size()));
    BOOST_TEST(state.presences.size() == state.m->connections.size());
}

} // namespace

BOOST_AUTO_TEST_SUITE(fleet_script, *boost::unit_test::precondition(test::with_redis_server))

BOOST_AUTO_TEST_CASE(the_script_is_lua_5_1) {
    const auto file = std::filesystem::temp_directory_path() /
                      ("asem-script-" + std::to_string(::getpid()) + ".lua");
    std::ofstream(file) << fleet::script_text;
    if (std::system("luac5.1 -v >/dev/null 2>&1") == 0)
        BOOST_TEST(std::system(("luac5.1 -p " + file.string()).c_str()) == 0);
    else
        BOOST_TEST_MESSAGE("luac5.1 is not installed");
    std::filesystem::remove(file);
}

// ---- Grants

// F01
BOOST_AUTO_TEST_CASE(the_third_of_two_permits_is_granted_when_the_first_comes_back) {
    scene s;
    process a(s, "a"), b(s, "b");
    BOOST_TEST(a.acquire(1).what == verdict::granted);
    BOOST_TEST(a.acquire(2).what == verdict::granted);
    BOOST_TEST(b.acquire(1).what == verdict::queued);
    const auto before = s.script.admin.calls_of("evalsha");
    BOOST_TEST(a.give_back(1).what == verdict::released);
    const auto g = b.heard_grant();
    BOOST_TEST(s.script.admin.calls_of("evalsha") == before + 1);
    BOOST_TEST(g.serial == 1u);
    BOOST_TEST(g.expiry == s.now + lease);
    BOOST_TEST((b.ask(1) == fleet::result{verdict::granted, g.fence, g.expiry, 0, 0}));
    BOOST_TEST(a.heard().empty());
    check_consistency(s);
}

// F02
BOOST_AUTO_TEST_CASE(fencing_numbers_grow_from_grant_to_grant) {
    scene s;
    s.limit = 1;
    std::uint64_t last = 0;
    for (std::uint64_t i = 1; i <= 20; ++i) {
        process p(s, i % 3 == 0 ? "a" : "b", false);
        p.connection = i;
        const auto r = p.acquire(i);
        BOOST_TEST(r.what == verdict::granted);
        BOOST_TEST(r.fence > last);
        last = r.fence;
        p.give_back(i);
    }
}

BOOST_AUTO_TEST_CASE(grants_of_one_call_have_a_fencing_number_each) {
    scene s;
    process a(s, "a");
    const auto both = a.call({{verb::acquire, a.of(1)}, {verb::acquire, a.of(2)}});
    BOOST_TEST(both.results[1].what == verdict::granted);
    BOOST_TEST(both.results[1].fence > both.results[0].fence);
    check_consistency(s);
}

// F03
BOOST_AUTO_TEST_CASE(a_request_for_three_at_the_head_holds_back_one_for_one) {
    scene s;
    s.limit = 3;
    process a(s, "a"), b(s, "b"), c(s, "c");
    a.call({{verb::acquire, a.of(1)}, {verb::acquire, a.of(2)}, {verb::acquire, a.of(3)}});
    BOOST_TEST(b.acquire(1, 3).what == verdict::queued);
    BOOST_TEST(c.acquire(1).what == verdict::queued);
    a.call({{verb::give_back, a.of(1)}, {verb::give_back, a.of(2)}});
    BOOST_TEST(s.state().m->held == 1);
    BOOST_TEST(c.ask(1).what == verdict::queued);
    a.give_back(3);
    BOOST_TEST(b.ask(1, 3).what == verdict::granted);
    BOOST_TEST(c.ask(1).what == verdict::queued);
    b.give_back(1, 3);
    BOOST_TEST(c.ask(1).what == verdict::granted);
}

// F05
BOOST_AUTO_TEST_CASE(when_the_head_leaves_those_behind_that_fit_are_granted_in_the_same_call) {
    scene s;
    process a(s, "a"), b(s, "b"), c(s, "c");
    a.acquire(1);
    b.acquire(1, 2);
    BOOST_TEST(c.acquire(1).what == verdict::queued);
    BOOST_TEST(b.give_back(1, 2).what == verdict::withdrawn);
    BOOST_TEST(c.heard_grant().serial == 1u);
    BOOST_TEST(b.give_back(1, 2).what == verdict::unknown);
    check_consistency(s);
}

// F06
BOOST_AUTO_TEST_CASE(a_try_overtakes_nobody_and_leaves_nothing_behind) {
    scene s;
    process a(s, "a"), b(s, "b"), c(s, "c");
    a.acquire(1);
    b.acquire(1, 2);
    BOOST_TEST(c.try_acquire(1).what == verdict::refused);
    BOOST_TEST(s.state().places.size() == 1u);
    b.give_back(1, 2);
    BOOST_TEST(c.try_acquire(2).what == verdict::granted);
    BOOST_TEST(c.try_acquire(3).what == verdict::refused);
    BOOST_TEST(s.state().places.size() == 0u);
    BOOST_TEST(c.try_acquire(4, 3).what == verdict::exceeds);
    check_consistency(s);
}

BOOST_AUTO_TEST_CASE(a_request_behind_a_try_is_granted_once_the_try_is_refused) {
    scene s;
    process a(s, "a");
    a.acquire(1);
    const auto answer = a.call({{verb::try_acquire, a.of(2, 2)}, {verb::acquire, a.of(3)}});
    BOOST_TEST(answer.results[0].what == verdict::refused);
    BOOST_TEST(answer.results[1].what == verdict::granted);
    BOOST_TEST(answer.granted.empty());
    check_consistency(s);
}

// F07; n = 0 and n < 0 do not reach the server.
BOOST_AUTO_TEST_CASE(more_than_the_limit_is_never_queued) {
    scene s;
    process a(s, "a");
    BOOST_TEST(a.acquire(1, 3).what == verdict::exceeds);
    BOOST_TEST(s.state().places.empty());
}

BOOST_AUTO_TEST_CASE(every_command_may_be_repeated) {
    scene s;
    process a(s, "a"), b(s, "b");
    const auto first = a.acquire(1, 2);
    s.now += 10;
    BOOST_TEST((a.acquire(1, 2) == first));
    BOOST_TEST((a.try_acquire(1, 2) == first));
    b.acquire(1);
    const auto places = s.state().places;
    BOOST_TEST(b.acquire(1).what == verdict::queued);
    BOOST_TEST((s.state().places == places));
    BOOST_TEST(a.give_back(1, 2).what == verdict::released);
    BOOST_TEST(a.give_back(1, 2).what == verdict::unknown);
    check_consistency(s);
    // With room for another, too.
    const auto waited = b.ask(1);
    BOOST_TEST(waited.what == verdict::granted);
    BOOST_TEST((b.acquire(1) == waited));
    BOOST_TEST((b.try_acquire(1) == waited));
    BOOST_TEST(s.state().m->held == 1);
    check_consistency(s);
}

BOOST_AUTO_TEST_CASE(a_grant_to_the_caller_is_in_the_answer_and_is_not_pushed) {
    scene s;
    s.limit = 1;
    process a(s, "a");
    const auto first = a.call({{verb::acquire, a.of(1)}, {verb::acquire, a.of(2)}});
    BOOST_TEST(first.results[1].what == verdict::queued);
    BOOST_TEST(first.is_head_mine);
    BOOST_TEST(first.next_expiry == lease);
    const auto second = a.call({{verb::give_back, a.of(1)}});
    BOOST_TEST_REQUIRE(second.granted.size() == 1u);
    BOOST_TEST(second.granted[0].serial == 2u);
    BOOST_TEST(second.granted[0].expiry == s.now + lease);
    BOOST_TEST(!second.is_head_mine);
    BOOST_TEST(a.heard().empty());
}

// F24
BOOST_AUTO_TEST_CASE(a_request_for_five_of_three_free_permits_takes_nothing) {
    scene s;
    s.limit = 5;
    process a(s, "a"), b(s, "b");
    a.acquire(1, 2);
    BOOST_TEST(b.acquire(1, 5).what == verdict::queued);
    BOOST_TEST(s.state().m->held == 2);
    BOOST_TEST(b.give_back(1, 5).what == verdict::withdrawn);
    BOOST_TEST(s.state().m->held == 2);
    BOOST_TEST(a.acquire(2, 3).what == verdict::granted);
}

// F25
BOOST_AUTO_TEST_CASE(two_permits_given_back_at_once_serve_a_request_for_two_with_one_push) {
    scene s;
    process a(s, "a"), b(s, "b");
    a.acquire(1, 2);
    b.acquire(1, 2);
    b.heard();
    a.give_back(1, 2);
    BOOST_TEST(b.heard_grant().serial == 1u);
}

// ---- Leases

// F11
BOOST_AUTO_TEST_CASE(a_release_after_the_end_of_the_lease_frees_nothing_of_others) {
    scene s;
    s.limit = 1;
    process a(s, "a"), b(s, "b");
    a.acquire(1);
    s.now += lease;
    BOOST_TEST(b.acquire(1).what == verdict::granted);
    BOOST_TEST(a.give_back(1).what == verdict::unknown);
    BOOST_TEST(s.state().m->held == 1);
    BOOST_TEST(b.ask(1).what == verdict::granted);
}

// F12
BOOST_AUTO_TEST_CASE(an_unknown_request_among_many_releases_does_not_affect_the_others) {
    scene s;
    s.limit = 4;
    process a(s, "a"), b(s, "b");
    a.call({{verb::acquire, a.of(1)}, {verb::acquire, a.of(2)}});
    b.call({{verb::acquire, b.of(1)}, {verb::acquire, b.of(7)}});
    const auto answer = a.call(
        {{verb::give_back, a.of(1)}, {verb::give_back, a.of(7)}, {verb::give_back, a.of(2)}});
    BOOST_TEST(answer.results[0].what == verdict::released);
    BOOST_TEST(answer.results[1].what == verdict::unknown);
    BOOST_TEST(answer.results[2].what == verdict::released);
    BOOST_TEST(answer.held == 2);
    BOOST_TEST(b.ask(7).what == verdict::granted);
}

// F13
BOOST_AUTO_TEST_CASE(any_call_reclaims_expired_leases) {
    const command calls[] = {
        {verb::inspect},
        {verb::give_back, {5, 1, lease}},
        {verb::ask, {5, 1, lease}},
        {verb::renew, {5, 1, lease}, 5, 0},
        {verb::acquire, {5, 1, lease}},
        {verb::set_limit, {}, 0, 0, 2}};
    for (const auto& each : calls) {
        BOOST_TEST_CONTEXT(static_cast<char>(each.what)) {
            scene s;
            process a(s, "a", false), b(s, "b");
            a.acquire(1, 2);
            s.now += lease - 1;
            BOOST_TEST(b.call().held == 2);
            s.now += 1;
            BOOST_TEST(b.call({each}).held == (each.what == verb::acquire ? 1 : 0));
            check_consistency(s);
        }
    }
}

BOOST_AUTO_TEST_CASE(an_expired_lease_grants_the_waiting_request_in_the_call_that_finds_it) {
    scene s;
    s.limit = 1;
    process a(s, "a"), b(s, "b");
    const auto first = a.acquire(1);
    const auto waits = b.call({{verb::acquire, b.of(1)}});
    BOOST_TEST(waits.is_head_mine);
    BOOST_TEST(waits.next_expiry == lease);
    s.now += waits.next_expiry;
    const auto r = b.ask(1);
    BOOST_TEST(r.what == verdict::granted);
    BOOST_TEST(r.fence > first.fence);
}

BOOST_AUTO_TEST_CASE(a_renewed_lease_ends_later) {
    scene s;
    process a(s, "a"), b(s, "b");
    const auto g = a.acquire(1, 2);
    s.now += lease - 1;
    const auto r = a.renew(1, g.fence, 2);
    BOOST_TEST((r == fleet::result{verdict::renewed, 0, s.now + lease, 0, 0}));
    s.now += lease - 1;
    BOOST_TEST(b.try_acquire(1).what == verdict::refused);
    BOOST_TEST((a.ask(1, 2) == fleet::result{verdict::granted, g.fence, s.now + 1, 0, 0}));
}

// F14, for a lease that the server has lost, not for an expired one.
BOOST_AUTO_TEST_CASE(a_lost_lease_is_readmitted_with_its_fencing_number_where_there_is_room) {
    for (const bool is_room : {true, false}) {
        BOOST_TEST_CONTEXT(is_room) {
            scene s;
            process a(s, "a"), b(s, "b");
            const auto g = a.acquire(1, 2);
            s.script.admin.command("FLUSHALL");
            s.now += 10;
            process fresh(s, "fresh");
            fresh.call(); // this client knows of no loss
            if (!is_room)
                fresh.acquire(1);
            const auto r = a.renew(1, g.fence, 2);
            if (is_room) {
                BOOST_TEST((r == fleet::result{verdict::readmitted, 0, s.now + lease, 0, 0}));
                BOOST_TEST(a.ask(1, 2).fence == g.fence);
                BOOST_TEST(b.try_acquire(1).what == verdict::refused);
            } else {
                BOOST_TEST(r.what == verdict::gone);
                BOOST_TEST(s.state().m->held == 1);
            }
            check_consistency(s);
        }
    }
}

BOOST_AUTO_TEST_CASE(a_renewal_that_is_read_too_late_ends_the_lease) {
    scene s;
    process a(s, "a");
    const auto g = a.acquire(1);
    const command late{verb::renew, a.of(1), g.fence, s.now + 100};
    s.now += 100;
    BOOST_TEST(a.one(late).what == verdict::renewed);
    s.now += 1;
    BOOST_TEST(a.one(late).what == verdict::gone);
    BOOST_TEST(s.state().m->held == 0);
    BOOST_TEST(a.one(late).what == verdict::gone);
    check_consistency(s);
}

BOOST_AUTO_TEST_CASE(more_leases_than_one_call_sweeps_are_swept_by_the_next) {
    scene s;
    s.limit = 1000;
    process a(s, "a"), b(s, "b");
    for (std::uint64_t i = 0; i < 600; i += 200) {
        std::vector<command> commands;
        for (std::uint64_t j = i; j < i + 200; ++j)
            commands.push_back({verb::acquire, a.of(j + 1)});
        a.call(commands);
    }
    s.now += lease;
    for (const std::int64_t left : {344, 88, 0}) {
        const auto answer = b.call();
        BOOST_TEST(answer.held == left);
        BOOST_TEST(answer.has_more == (left > 0));
    }
    check_consistency(s);
}

BOOST_AUTO_TEST_CASE(a_lease_that_has_ended_and_was_not_swept_yet_is_not_held) {
    scene s;
    s.limit = 1000;
    process a(s, "a");
    std::vector<command> commands;
    for (std::uint64_t i = 1; i <= 300; ++i)
        commands.push_back({verb::acquire, {i, 1, 100}});
    const auto before = a.call(commands);
    s.now += 100;
    // All leases end at the same time, and the script sweeps them in the order of their texts.
    const fleet::request_name last{99, 1, 100};
    const auto answer = a.call(
        {{verb::give_back, last},
         {verb::ask, {98, 1, 100}},
         {verb::renew, {97, 1, 100}, before.results[96].fence, s.now + 1},
         {verb::acquire, {96, 1, 100}}});
    BOOST_TEST(answer.has_more);
    BOOST_TEST(answer.results[0].what == verdict::unknown);
    BOOST_TEST(answer.results[1].what == verdict::unknown);
    BOOST_TEST(answer.results[2].what == verdict::readmitted); // not void yet
    BOOST_TEST(answer.results[3].what == verdict::granted);
    BOOST_TEST(answer.results[3].fence > before.results.back().fence);
    BOOST_TEST(answer.held == 300 - 256 - 2);
    check_consistency(s);
}

BOOST_AUTO_TEST_CASE(more_places_than_one_call_serves_are_served_by_the_next) {
    scene s;
    s.limit = 1;
    process a(s, "a"), b(s, "b");
    b.acquire(1);
    std::vector<command> commands;
    for (std::uint64_t i = 1; i <= 300; ++i)
        commands.push_back({verb::acquire, a.of(i)});
    a.call(commands);
    const auto first = b.call({{verb::set_limit, {}, 0, 0, 1000}});
    BOOST_TEST(first.has_more);
    BOOST_TEST(first.held == 257);
    const auto second = b.call();
    BOOST_TEST(!second.has_more);
    BOOST_TEST(second.held == 301);
    std::uint64_t next = 1;
    for (const auto& push : a.heard()) {
        for (const auto& g : push.granted)
            BOOST_TEST(g.serial == next++);
    }
    BOOST_TEST(next == 301u);
}

// ---- Reachable clients

// F09
BOOST_AUTO_TEST_CASE(an_absent_client_is_passed_over_and_keeps_its_place) {
    scene s;
    s.limit = 1;
    process a(s, "a"), away(s, "away", false), b(s, "b");
    a.acquire(1);
    away.acquire(1);
    b.acquire(1);
    a.give_back(1);
    BOOST_TEST(b.heard_grant().serial == 1u);
    BOOST_TEST(s.state().places.size() == 1u);
    a.acquire(2);
    b.give_back(1); // passed over again
    BOOST_TEST(a.heard_grant().serial == 2u);
    // The first call of the client's new connection serves it.
    a.give_back(2);
    away.connection = 2;
    BOOST_TEST(away.ask(1).what == verdict::granted);
    check_consistency(s);
}

BOOST_AUTO_TEST_CASE(a_client_that_comes_back_in_time_is_ahead_of_later_ones) {
    scene s;
    s.limit = 1;
    process a(s, "a"), b(s, "b", false), c(s, "c");
    a.acquire(1);
    b.acquire(1);
    c.acquire(1);
    b.subscribe();
    a.give_back(1);
    BOOST_TEST(b.heard_grant().serial == 1u);
    BOOST_TEST(c.ask(1).what == verdict::queued);
}

BOOST_AUTO_TEST_CASE(many_places_of_an_absent_client_do_not_hold_back_present_ones) {
    scene s;
    s.limit = 1;
    process a(s, "a"), b(s, "b");
    a.acquire(1);
    std::vector<process> away;
    for (int i = 0; i < 10; ++i) {
        away.emplace_back(s, "away" + std::to_string(i), false);
        std::vector<command> commands;
        for (std::uint64_t j = 1; j <= 64; ++j)
            commands.push_back({verb::acquire, away.back().of(j)});
        away.back().call(commands);
    }
    b.acquire(1);
    a.give_back(1);
    BOOST_TEST(b.heard_grant().serial == 1u);
    BOOST_TEST(s.state().places.size() == 640u);
}

BOOST_AUTO_TEST_CASE(a_client_that_is_silent_for_too_long_loses_its_place) {
    scene s;
    s.limit = 1;
    process a(s, "a"), gone(s, "gone"), b(s, "b");
    const auto g = a.acquire(1);
    gone.acquire(1);
    s.now += lease - 1;
    a.renew(1, g.fence);
    b.acquire(1);
    s.now += 1;
    a.give_back(1);
    BOOST_TEST(b.heard_grant().serial == 1u);
    BOOST_TEST(s.state().places.empty());
    BOOST_TEST(s.state().presences.size() == 2u);
    BOOST_TEST(gone.heard().empty());
    BOOST_TEST(gone.ask(1).what == verdict::unknown);
    check_consistency(s);
}

BOOST_AUTO_TEST_CASE(the_client_of_a_new_head_learns_when_the_earliest_lease_ends) {
    scene s;
    process a(s, "a"), b(s, "b"), c(s, "c");
    a.acquire(1);
    s.now += 100;
    a.acquire(2);
    BOOST_TEST(b.call({{verb::acquire, b.of(1)}}).is_head_mine);
    BOOST_TEST(!c.call({{verb::acquire, c.of(1)}}).is_head_mine);
    a.give_back(1);
    BOOST_TEST(b.heard_grant().serial == 1u);
    const auto pushes = c.heard();
    BOOST_TEST_REQUIRE(pushes.size() == 1u);
    BOOST_TEST((pushes[0].head == std::optional<std::int64_t>(lease)));
    BOOST_TEST(c.call().is_head_mine);
    a.call();
    BOOST_TEST(c.heard().empty());
}

BOOST_AUTO_TEST_CASE(the_head_is_the_first_that_can_be_reached) {
    scene s;
    s.limit = 1;
    process a(s, "a"), b(s, "b"), c(s, "c");
    a.acquire(1);
    b.acquire(1);
    c.acquire(1);
    b.channel.reset();
    while (s.script.admin.command("PUBSUB", "NUMSUB", fleet::channel_of("b"))[1].as_number() != 0) {
    }
    a.call();
    const auto pushes = c.heard();
    BOOST_TEST_REQUIRE(pushes.size() == 1u);
    BOOST_TEST((pushes[0].head == std::optional<std::int64_t>(lease)));
}

// ---- The limit

// F22
BOOST_AUTO_TEST_CASE(three_more_permits_wake_three_processes_at_once) {
    scene s;
    process a(s, "a"), b(s, "b"), c(s, "c"), d(s, "d");
    a.acquire(1, 2);
    b.acquire(1);
    c.acquire(1);
    d.acquire(1);
    b.heard();
    const auto answer = a.call({{verb::set_limit, {}, 0, 0, 5}});
    BOOST_TEST(answer.results[0].what == verdict::done);
    BOOST_TEST(answer.limit == 5);
    BOOST_TEST(b.heard_grant().serial == 1u);
    BOOST_TEST(c.heard_grant().serial == 1u);
    BOOST_TEST(d.heard_grant().serial == 1u);
}

// F30
BOOST_AUTO_TEST_CASE(another_limit_is_a_conflict_if_the_call_is_strict_and_changes_nothing) {
    scene s;
    s.limit = 10;
    process a(s, "a"), b(s, "b");
    a.acquire(1);
    const contents before(s);
    auto strict = s.call({{verb::acquire, b.of(1)}});
    strict.limit = 20;
    strict.is_strict = true;
    const auto refused = b.execute(strict);
    BOOST_TEST(refused.status == call_status::conflict);
    BOOST_TEST(refused.limit == 10);
    BOOST_TEST(refused.results.empty());
    BOOST_TEST((contents(s) == before));
    auto adopting = strict;
    adopting.is_strict = false;
    const auto adopted = b.execute(adopting);
    BOOST_TEST(adopted.status == call_status::ok);
    BOOST_TEST(adopted.limit == 10);
    auto same = strict;
    same.limit = 10;
    BOOST_TEST(b.execute(same).status == call_status::ok);
}

// F31
BOOST_AUTO_TEST_CASE(another_limit_while_all_permits_are_out_changes_nothing) {
    scene s;
    s.limit = 1;
    process a(s, "a"), b(s, "b");
    a.acquire(1);
    auto other = s.call({{verb::try_acquire, b.of(1)}});
    other.limit = 5;
    const auto answer = b.execute(other);
    BOOST_TEST(answer.limit == 1);
    BOOST_TEST(answer.results[0].what == verdict::refused);
}

// F32
BOOST_AUTO_TEST_CASE(a_lowered_limit_takes_nothing_away_and_grants_nothing_until_it_fits) {
    for (const std::int64_t n : {1, 2}) {
        BOOST_TEST_CONTEXT(n) {
            scene s;
            s.limit = 5;
            process a(s, "a"), b(s, "b");
            std::map<std::uint64_t, std::uint64_t> fences;
            for (std::uint64_t i = 1; i <= 4; ++i)
                fences[i] = a.acquire(i).fence;
            const auto lowered = a.call({{verb::set_limit, {}, 0, 0, 2}});
            BOOST_TEST(lowered.limit - lowered.held == -2);
            for (const auto& [serial, fence] : fences)
                BOOST_TEST(a.renew(serial, fence).what == verdict::renewed);
            BOOST_TEST(b.acquire(1, n).what == verdict::queued);
            b.heard();
            std::uint64_t given_back = 0;
            while (b.heard().empty())
                a.give_back(++given_back);
            BOOST_TEST(given_back == static_cast<std::uint64_t>(n + 2));
        }
    }
}

// F33
BOOST_AUTO_TEST_CASE(a_request_above_a_lowered_limit_leaves_and_lets_others_through) {
    scene s;
    s.limit = 5;
    process a(s, "a"), b(s, "b"), c(s, "c");
    a.acquire(1, 2);
    a.acquire(2, 2);
    b.acquire(1, 3);
    c.acquire(1);
    const auto lowered = a.call({{verb::set_limit, {}, 0, 0, 2}});
    const auto pushes = b.heard();
    BOOST_TEST_REQUIRE(pushes.size() == 1u);
    BOOST_TEST((pushes[0].exceeded == std::vector<std::uint64_t>{1}));
    BOOST_TEST(lowered.waiting == 1);
    BOOST_TEST(b.ask(1, 3).what == verdict::unknown);
    a.give_back(1, 2);
    BOOST_TEST(c.ask(1).what == verdict::queued);
    a.give_back(2, 2);
    BOOST_TEST(c.ask(1).what == verdict::granted);
    check_consistency(s);
}

BOOST_AUTO_TEST_CASE(the_callers_own_requests_above_a_lowered_limit_are_in_the_answer) {
    scene s;
    s.limit = 5;
    process a(s, "a");
    a.call({{verb::acquire, a.of(1, 4)}, {verb::acquire, a.of(2, 3)}});
    const auto answer = a.call({{verb::acquire, a.of(3, 5)}, {verb::set_limit, {}, 0, 0, 2}});
    BOOST_TEST((answer.exceeded == std::vector<std::uint64_t>{2}));
    BOOST_TEST(answer.results[0].what == verdict::exceeds);
    BOOST_TEST(a.heard().empty());
}

BOOST_AUTO_TEST_CASE(a_request_that_exceeded_a_limit_may_be_made_again_under_a_higher_one) {
    scene s;
    s.limit = 5;
    process a(s, "a");
    a.call({{verb::acquire, a.of(1, 4)}, {verb::acquire, a.of(2, 3)}});
    const auto answer = a.call(
        {{verb::ask, a.of(2, 3)},
         {verb::set_limit, {}, 0, 0, 2},
         {verb::set_limit, {}, 0, 0, 6},
         {verb::acquire, a.of(2, 3)}});
    BOOST_TEST(answer.results[3].what == verdict::queued);
    BOOST_TEST(answer.exceeded.empty());
    BOOST_TEST(answer.waiting == 1);
}

// ---- The server: its script, its data, its clock

// F41
BOOST_AUTO_TEST_CASE(a_call_to_a_server_that_forgot_the_script_contains_the_script) {
    scene s;
    process a(s, "a");
    a.acquire(1);
    s.script.admin.command("SCRIPT", "FLUSH");
    const auto call = s.call({{verb::acquire, a.of(2)}});
    BOOST_TEST(s.script.raw("a", 1, call, s.now).error_word() == "NOSCRIPT");
    std::vector<std::string> words{"EVAL", fleet::script_text};
    for (const auto& word : fleet::to_arguments(call, "a", 1, s.now))
        words.push_back(word);
    const auto answer = test::script_server::to_answer(s.script.admin.command(words), call);
    BOOST_TEST(answer.results[0].what == verdict::granted);
    BOOST_TEST(a.ask(2).what == verdict::granted);
}

// F45
BOOST_AUTO_TEST_CASE(a_lost_key_is_noticed_and_no_permit_is_held_twice_or_for_ever) {
    for (const char which : {'m', 'l', 'f', 'q', 'c'}) {
        BOOST_TEST_CONTEXT(":" << which) {
            scene s;
            process a(s, "a"), b(s, "b"), c(s, "c");
            const auto first = a.acquire(1, 2);
            b.acquire(1);
            const auto before = s.state();
            s.remove(which);
            s.now += 10;

            // A client that has heard nothing yet calls first.
            const auto found = c.call({{verb::try_acquire, c.of(1)}, {verb::inspect}});
            BOOST_TEST(found.results[0].what == verdict::refused);
            const bool is_lease_lost = which == 'm' || which == 'l';
            BOOST_TEST(found.quarantine == (is_lease_lost ? lease : 0));
            BOOST_TEST((found.made != before.m->made) == (which == 'm'));
            BOOST_TEST(found.rolls == (which == 'm' || which == 'c' ? 0u : 1u));
            for (const auto& key : s.script.admin.command("KEYS", "*").items)
                BOOST_TEST(s.script.admin.command("PTTL", key.string).as_number() > 0, key);
            check_consistency(s);

            // Holders renew, and waiting clients ask.
            BOOST_TEST(
                a.renew(1, first.fence, 2).what ==
                (is_lease_lost ? verdict::readmitted : verdict::renewed));
            BOOST_TEST(a.ask(1, 2).fence == first.fence);
            const bool is_place_lost = which == 'm' || which == 'q';
            BOOST_TEST(b.ask(1).what == (is_place_lost ? verdict::unknown : verdict::queued));
            BOOST_TEST(b.acquire(1).what == verdict::queued);
            BOOST_TEST(s.state().m->held == 2);

            // The limit works on: the script grants nothing in the quarantine, and serves the queue
            // after it.
            a.give_back(1, 2);
            BOOST_TEST(b.ask(1).what == (is_lease_lost ? verdict::queued : verdict::granted));
            s.now += lease;
            a.call();
            b.call();
            const auto served = b.acquire(1);
            BOOST_TEST(served.what == verdict::granted);
            BOOST_TEST(served.fence > first.fence);
            check_consistency(s);
        }
    }
}

BOOST_AUTO_TEST_CASE(foreign_entries_in_a_key_are_removed) {
    scene s;
    process a(s, "a"), b(s, "b");
    a.acquire(1, 2);
    b.acquire(1);
    for (const char which : {'l', 'f', 'q', 'c'})
        s.script.admin.command("ZADD", test::key("x", which), 7, "nonsense");
    BOOST_TEST(a.call().held == 2);
    const auto state = s.state();
    BOOST_TEST(state.leases.size() == 1u);
    BOOST_TEST(state.fences.size() == 1u);
    BOOST_TEST(state.places.size() == 1u);
    BOOST_TEST(state.presences.size() == 2u);
    s.now += lease; // the quarantine ends
    BOOST_TEST(b.ask(1).what == verdict::granted);
    s.now += lease;
    BOOST_TEST(b.call().held == 0);
    BOOST_TEST(s.state().leases.size() + s.state().places.size() == 0u);
}

BOOST_AUTO_TEST_CASE(after_a_loss_the_lowest_fencing_number_is_unknown_until_holders_are_back) {
    scene s;
    process a(s, "a"), b(s, "b");
    const auto g = a.acquire(1);
    b.acquire(1);
    const auto lowest = [&] {
        return a.one({verb::inspect}).lowest_fence;
    };
    BOOST_TEST(lowest() == g.fence);
    s.remove('l');
    BOOST_TEST(lowest() == 0u);
    a.renew(1, g.fence);
    BOOST_TEST(lowest() == 0u);
    s.now += lease - 1;
    a.renew(1, g.fence);
    s.now += 1;
    BOOST_TEST(lowest() == g.fence);
}

// F27, F28, F21
BOOST_AUTO_TEST_CASE(after_a_loss_of_all_data_only_holders_are_admitted_for_one_lease) {
    scene s;
    process a(s, "a"), b(s, "b"), c(s, "c");
    const auto first = a.acquire(1), second = b.acquire(1);
    c.acquire(1);
    s.script.admin.command("FLUSHALL");
    s.now += 10;
    BOOST_TEST(c.ask(1).what == verdict::unknown); // the call's seq proves the loss
    BOOST_TEST(c.acquire(1).what == verdict::queued);
    BOOST_TEST(a.call().quarantine == lease);
    BOOST_TEST(a.renew(1, first.fence).what == verdict::readmitted);
    BOOST_TEST(b.renew(1, second.fence).what == verdict::readmitted);
    s.now += lease - 10;
    BOOST_TEST(a.renew(1, first.fence).what == verdict::renewed);
    BOOST_TEST(c.try_acquire(2).what == verdict::refused);
    s.now += 10; // the other holder no longer exists
    BOOST_TEST(c.ask(1).what == verdict::granted);
    BOOST_TEST(c.ask(1).fence > second.fence);
    BOOST_TEST(a.ask(1).fence == first.fence);
}

BOOST_AUTO_TEST_CASE(a_call_with_immediate_recovery_starts_no_quarantine) {
    scene s;
    process a(s, "a");
    a.acquire(1);
    s.script.admin.command("FLUSHALL");
    auto call = s.call({{verb::acquire, a.of(2)}});
    call.is_immediate = true;
    const auto answer = a.execute(call);
    BOOST_TEST(answer.results[0].what == verdict::granted);
    BOOST_TEST(answer.quarantine == 0);
}

BOOST_AUTO_TEST_CASE(a_server_younger_than_a_lease_may_have_lost_everything) {
    test::redis_server young;
    test::script_server script(young.port());
    fleet::call c;
    c.name = "x";
    c.presence = c.lease = 1'000'000;
    c.limit = 1;
    c.commands = {{verb::acquire, {1, 1, 1'000'000}}};
    const auto answer = script.execute("a", 1, c, 1'700'000'000'000);
    BOOST_TEST(answer.results[0].what == verdict::queued);
    BOOST_TEST(answer.quarantine == 1'000'000);
    c.name = "y";
    c.is_immediate = true;
    BOOST_TEST(script.execute("a", 1, c, 0).results[0].what == verdict::granted);
}

BOOST_AUTO_TEST_CASE(a_readmitted_fencing_number_is_below_all_later_ones) {
    scene s;
    process a(s, "a");
    a.call();
    const auto high = a.seen + 1'000'000;
    BOOST_TEST(a.renew(1, high).what == verdict::readmitted);
    BOOST_TEST(a.acquire(2).fence > high);
}

// F29
BOOST_AUTO_TEST_CASE(a_client_that_has_heard_a_higher_number_than_the_server_knows_proves_a_loss) {
    scene s;
    process a(s, "a"), b(s, "b");
    const auto kept = a.acquire(1);
    const contents old(s);
    const auto lost = b.acquire(1);
    s.script.admin.command("FLUSHALL");
    for (const auto& [key, dump] : old.dumps)
        s.script.admin.command("RESTORE", key, 0, dump);
    s.now += 10;

    process c(s, "c");
    BOOST_TEST(c.call().quarantine == 0); // this client knows of no loss
    const auto proof = b.call({{verb::renew, b.of(1), lost.fence, s.now + 300}});
    BOOST_TEST(proof.rolls == 1u);
    BOOST_TEST(proof.quarantine == lease);
    BOOST_TEST(proof.results[0].what == verdict::readmitted);
    BOOST_TEST(proof.seq > lost.fence);
    BOOST_TEST(a.renew(1, kept.fence).what == verdict::renewed);
    BOOST_TEST(c.acquire(1).what == verdict::queued);
    s.now += lease;
    const auto next = c.ask(1);
    BOOST_TEST(next.what == verdict::granted);
    BOOST_TEST(next.fence > lost.fence);
    BOOST_TEST(b.call().rolls == 1u);
}

// F47
BOOST_AUTO_TEST_CASE(a_clock_that_goes_back_by_an_hour_makes_no_lease_and_no_wait_longer_than_two) {
    scene s;
    s.limit = 1;
    process a(s, "a"), b(s, "b");
    const auto g = a.acquire(1);
    b.acquire(1);
    s.now -= 3'600'000;
    const auto answer = b.call();
    BOOST_TEST(answer.now == s.now);
    BOOST_TEST(answer.next_expiry == lease);
    BOOST_TEST(a.renew(1, g.fence).what == verdict::renewed);
    s.now += lease;
    const auto r = b.ask(1);
    BOOST_TEST(r.what == verdict::granted);
    BOOST_TEST(r.fence > g.fence);
    check_consistency(s);
}

BOOST_AUTO_TEST_CASE(a_clock_that_goes_back_by_less_than_a_lease_is_treated_as_standing_still) {
    scene s;
    process a(s, "a"), b(s, "b");
    a.acquire(1);
    const auto then = s.now;
    s.now -= 100;
    BOOST_TEST(b.call().now == then);
    BOOST_TEST(s.state().leases.begin()->second == then + lease);
    s.now = then + lease - 1;
    BOOST_TEST(b.call().held == 1);
    s.now += 1;
    BOOST_TEST(b.call().held == 0);
}

BOOST_AUTO_TEST_CASE(a_quarantine_ends_after_a_lease_though_the_clock_goes_back) {
    scene s;
    process a(s, "a");
    a.call();
    s.script.admin.command("FLUSHALL");
    BOOST_TEST(a.call().quarantine == lease);
    s.now -= 3'600'000;
    BOOST_TEST(a.call().quarantine == lease);
    s.now += lease;
    BOOST_TEST(a.call().quarantine == 0);
}

BOOST_AUTO_TEST_CASE(a_clock_that_goes_forward_ends_all_leases_and_renewals_report_that) {
    scene s;
    s.limit = 1;
    process a(s, "a"), b(s, "b");
    const auto g = a.acquire(1);
    const command renewal{verb::renew, a.of(1), g.fence, s.now + 360};
    s.now += 3'600'000;
    BOOST_TEST(b.acquire(1).what == verdict::granted);
    BOOST_TEST(a.one(renewal).what == verdict::gone);
    BOOST_TEST(s.state().m->held == 1);
}

BOOST_AUTO_TEST_CASE(without_a_clock_in_the_call_the_server_uses_its_own) {
    scene s;
    process a(s, "a");
    s.now = 0;
    const auto answer = a.call({{verb::acquire, a.of(1)}});
    const auto time = s.script.admin.command("TIME");
    const auto seconds = time[0].as_number();
    BOOST_TEST(answer.now / 1000 <= seconds);
    BOOST_TEST(answer.now / 1000 >= seconds - 60);
    BOOST_TEST(answer.results[0].expiry == answer.now + lease);
    BOOST_TEST(answer.made / 1000 == static_cast<std::uint64_t>(answer.now));
    BOOST_TEST(answer.made % 1000000 + answer.seq % 1000000 != 0u); // in us, not ms
}

// F35
BOOST_AUTO_TEST_CASE(a_call_over_a_connection_that_its_client_has_left_does_nothing) {
    scene s;
    process a(s, "a");
    a.connection = 2;
    a.acquire(1);
    const contents before(s);
    a.connection = 1;
    const auto stale = a.call({{verb::give_back, a.of(1)}, {verb::acquire, a.of(2)}});
    BOOST_TEST(stale.status == call_status::stale);
    BOOST_TEST(stale.results.empty());
    BOOST_TEST((contents(s) == before));
    a.connection = 3;
    BOOST_TEST(a.ask(1).what == verdict::granted);
}

// F52
BOOST_AUTO_TEST_CASE(a_newer_schema_is_left_alone) {
    for (const char* const schema : {"2", "", "x"}) {
        BOOST_TEST_CONTEXT("\"" << schema << "\"") {
            scene s;
            process a(s, "a");
            a.acquire(1);
            s.script.admin.command("HSET", "asem:{x}:m", "schema", schema);
            const contents before(s);
            const auto answer = a.call({{verb::acquire, a.of(2)}, {verb::give_back, a.of(1)}});
            BOOST_TEST(answer.status == call_status::incompatible);
            BOOST_TEST((contents(s) == before));
        }
    }
    scene s;
    process a(s, "a");
    s.script.admin.command("HSET", "asem:{x}:m", "somebody", "else's");
    const contents before(s);
    BOOST_TEST(a.call({{verb::acquire, a.of(1)}}).status == call_status::incompatible);
    BOOST_TEST((contents(s) == before));
}

// F51
BOOST_AUTO_TEST_CASE(a_key_that_holds_something_else_is_left_alone) {
    for (const char which : {'m', 'l', 'f', 'q', 'c'}) {
        for (const bool is_used : {false, true}) {
            BOOST_TEST_CONTEXT(":" << which << ' ' << is_used) {
                scene s;
                process a(s, "a");
                if (is_used) {
                    a.acquire(1, 2);
                    a.acquire(2);
                }
                s.remove(which);
                s.script.admin.command("SET", test::key("x", which), "a text");
                const contents before(s);
                const auto call = s.call({{verb::acquire, a.of(3)}, {verb::give_back, a.of(1, 2)}});
                const auto said = s.script.raw("a", 1, call, s.now);
                BOOST_TEST(said.error_word() == "WRONGTYPE");
                BOOST_TEST((fleet::to_failure(said.string) == fleet::failure::rejected));
                BOOST_TEST((contents(s) == before));
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(grouped_results_keep_their_fencing_numbers) {
    scene s;
    s.limit = 3;
    process a(s, "a");
    const auto first =
        a.call({{verb::acquire, a.of(1)}, {verb::acquire, a.of(2)}, {verb::acquire, a.of(3)}});
    const auto again =
        a.call({{verb::acquire, a.of(3)}, {verb::acquire, a.of(1)}, {verb::acquire, a.of(2)}});
    for (const std::size_t i : {0u, 1u, 2u}) {
        BOOST_TEST(first.results[i].what == verdict::granted);
        BOOST_TEST((again.results[(i + 1) % 3] == first.results[i]));
    }
}

BOOST_AUTO_TEST_CASE(an_invalid_command_is_refused_before_anything_is_written) {
    scene s;
    process a(s, "a");
    a.acquire(1);
    const contents before(s);
    const std::vector<std::vector<std::string>> wrong{
        {"Q", ".1.400", "1"},
        {""},
        {"1.1.400"},
        {"1+x"},
        {"1+2000"},
        {"A"},
        {"A", ".1.400"},
        {"A", ".1", "1"},
        {"R", ".x.400", "1"},
        {"R", ".1.400", "-1"},
        {"N", ".1.400", "5"},
        {"N", ".1.400", "5", "1"},
        {"N", ".1.400", "x", "1", "5"},
        {"L"},
        {"L", "x"},
        {"I", "I", "Z"}};
    for (const auto& words : wrong) {
        auto line = fleet::to_arguments(s.call({{verb::give_back, a.of(1)}}), "a", 1, s.now);
        line.insert(line.begin(), {"EVAL", fleet::script_text});
        line.insert(line.end(), words.begin(), words.end());
        const auto said = s.script.admin.command(line);
        BOOST_TEST(said.error_word() == "ERR", words[0] << ": " << said);
        BOOST_TEST((contents(s) == before));
    }
}

// F60
BOOST_AUTO_TEST_CASE(unused_keys_vanish_after_a_day_and_fencing_numbers_still_grow) {
    scene s;
    const std::int64_t day = 86'400'000;
    process a(s, "a"), b(s, "b");
    const auto first = a.acquire(1, 2);
    b.acquire(1);
    const auto check = [&](std::int64_t at_least) {
        const auto keys = s.script.admin.command("KEYS", "*");
        for (const auto& key : keys.items) {
            const auto left = s.script.admin.command("PTTL", key.string).as_number();
            BOOST_TEST(left > at_least, key << ": " << left);
            BOOST_TEST(left <= day, key << ": " << left);
        }
        return keys.size();
    };
    BOOST_TEST(check(day - 60'000) == 5u);
    const auto age = [&](std::int64_t left) {
        for (const auto& key : s.script.admin.command("KEYS", "*").items)
            s.script.admin.command("PEXPIRE", key.string, left);
    };
    // A call renews the idle time only after half of it has passed.
    age(day / 2);
    s.now += day / 2 - 1;
    a.call();
    BOOST_TEST(s.script.admin.command("PTTL", "asem:{x}:m").as_number() <= day / 2);
    s.now += 1;
    a.acquire(1);
    b.acquire(1);
    check(day / 2 + 1);
    // A key that is made again also has the idle time.
    a.give_back(1);
    b.give_back(1);
    BOOST_TEST(s.script.admin.command("KEYS", "*").size() == 2u);
    a.acquire(2, 2);
    b.acquire(2);
    BOOST_TEST(check(day - 60'000) == 5u);

    age(1);
    while (s.script.admin.command("KEYS", "*").size() != 0) {
    }
    s.now += day;
    process fresh(s, "fresh");
    const auto next = fresh.acquire(1);
    BOOST_TEST(next.what == verdict::granted);
    BOOST_TEST(next.fence > first.fence);
}

BOOST_AUTO_TEST_CASE(keys_outlast_a_lease_of_days) {
    scene s;
    process a(s, "a");
    a.acquire(1);
    const std::int64_t days = 3 * 86'400'000;
    a.one({verb::acquire, {2, 1, days}});
    for (const auto& key : s.script.admin.command("KEYS", "*").items)
        BOOST_TEST(s.script.admin.command("PTTL", key.string).as_number() > days, key);
}

// F46
BOOST_AUTO_TEST_CASE(a_full_server_releases_and_renews_but_grants_nothing) {
    scene s;
    s.limit = 3;
    process a(s, "a"), b(s, "b");
    const auto first = a.acquire(1, 2);
    a.acquire(2);
    b.acquire(1);
    b.heard();
    const auto fill = [&] {
        s.script.admin.command("CONFIG", "SET", "maxmemory", "1mb");
    };
    const auto empty = [&] {
        s.script.admin.command("CONFIG", "SET", "maxmemory", "0");
    };
    fill();
    const contents before(s);
    const command wants[] = {
        {verb::acquire, a.of(9)}, {verb::try_acquire, a.of(9)}, {verb::set_limit, {}, 0, 0, 9}};
    for (const auto& each : wants) {
        for (const bool is_first : {false, true}) {
            auto call = s.call({{verb::give_back, a.of(2)}, each});
            call.is_first = is_first;
            call.seen = a.seen + 5000; // the call would begin with a repair
            const auto said = s.script.raw("a", 2, call, s.now + lease);
            BOOST_TEST(said.error_word() == "OOM", said);
            BOOST_TEST((fleet::to_failure(said.string) == fleet::failure::refused));
            BOOST_TEST((contents(s) == before));
        }
    }
    s.now += 10;
    BOOST_TEST(a.renew(1, first.fence, 2).what == verdict::renewed);
    BOOST_TEST(a.ask(1, 2).what == verdict::granted);
    BOOST_TEST(a.one({verb::inspect}).clients == 2);
    BOOST_TEST(a.give_back(2).what == verdict::released);
    BOOST_TEST(b.heard_grant().serial == 1u); // it was waiting before
    BOOST_TEST(a.call().held == 3);
    BOOST_TEST(b.give_back(1).what == verdict::released);
    BOOST_TEST(a.give_back(1, 2).what == verdict::released);
    check_consistency(s);

    // A limit that could not be made leaves no data.
    s.script.admin.command("FLUSHALL");
    auto first_call = s.call({{verb::acquire, a.of(1)}});
    first_call.seen = a.seen;
    BOOST_TEST(s.script.raw("a", 1, first_call, s.now).error_word() == "OOM");
    BOOST_TEST(s.script.admin.command("KEYS", "*").size() == 0u);
    // The script readmits all holders.
    BOOST_TEST(a.renew(1, first.fence, 2).what == verdict::readmitted);
    empty();
    BOOST_TEST(a.acquire(3).what == verdict::queued); // in the quarantine
    check_consistency(s);
}

// F50
BOOST_AUTO_TEST_CASE(the_first_call_of_a_user_who_may_not_publish_fails_and_writes_nothing) {
    scene s;
    auto& admin = s.script.admin;
    const auto as = [&](std::vector<std::string> rules) {
        admin.command("ACL", "DELUSER", "guest");
        rules.insert(
            rules.begin(),
            {"ACL", "SETUSER", "guest", "on", ">secret", "resetkeys", "resetchannels", "~asem:*"});
        BOOST_TEST(!admin.command(rules).is_error());
        auto connection = std::make_unique<test::script_server>(server().port());
        connection->admin.command("AUTH", "guest", "secret");
        return connection;
    };
    const std::vector<std::string> writes{
        "+@connection", "+subscribe", "+evalsha",       "+eval",    "+time", "+exists", "+hget",
        "+hmget",       "+hset",      "+hdel",          "+hkeys",   "+zadd", "+zrem",   "+zscore",
        "+zcard",       "+zrange",    "+zrangebyscore", "+pexpire", "+del"};
    const auto with = [&](std::vector<std::string> more) {
        more.insert(more.begin(), writes.begin(), writes.end());
        return more;
    };
    fleet::call call = s.call({{verb::acquire, {1, 1, lease}}});
    call.is_first = true;

    for (const auto& rules : {with({"&asem:c:*"}), with({"+publish"})}) {
        const auto said = as(rules)->raw("a", 1, call, s.now);
        BOOST_TEST(said.is_error());
        BOOST_TEST_MESSAGE(said.string);
        BOOST_TEST((fleet::to_failure(said.string) == fleet::failure::rejected));
        BOOST_TEST(admin.command("KEYS", "*").size() == 0u);
    }

    // INFO and NUMSUB may be denied.
    process holder(s, "b");
    holder.acquire(1, 2);
    const auto guest = as(with({"+publish", "&asem:c:*"}));
    const auto first = guest->execute("a", 1, call, s.now);
    BOOST_TEST(first.results[0].what == verdict::queued);
    process waits(s, "c", false); // the guest takes it for reachable
    waits.acquire(1);
    call = s.call({{verb::give_back, {1, 1, lease}}});
    BOOST_TEST(guest->execute("a", 1, call, s.now).results[0].what == verdict::withdrawn);
    holder.give_back(1, 2);
    call = s.call({{verb::inspect}});
    BOOST_TEST(guest->execute("a", 1, call, s.now).held == 1);
    BOOST_TEST(waits.ask(1).what == verdict::granted);
    // A limit that was made while INFO was denied.
    call = s.call({{verb::acquire, {1, 1, lease}}});
    call.name = "y";
    BOOST_TEST(guest->execute("a", 1, call, s.now).results[0].what == verdict::granted);
    admin.command("ACL", "DELUSER", "guest");
}

// Whatever a user is denied, the first call finds out before anything depends on it.
BOOST_AUTO_TEST_CASE(a_user_who_is_denied_a_command_leaves_nothing_half_done) {
    const std::vector<std::string> commands{
        "publish", "evalsha", "eval",          "time",    "exists", "hmget",
        "hset",    "hdel",    "hkeys",         "zadd",    "zrem",   "zscore",
        "zcard",   "zrange",  "zrangebyscore", "pexpire", "del"};
    for (const auto& denied : commands) {
        for (const bool is_made : {false, true})
            BOOST_TEST_CONTEXT("-" << denied << (is_made ? "" : ", a new limit")) {
                scene s;
                auto& admin = s.script.admin;
                admin.command("ACL", "DELUSER", "guest");
                admin.command(
                    "ACL", "SETUSER", "guest", "on", ">secret", "~asem:*", "&asem:c:*", "+@all",
                    "-" + denied);
                process holder(s, "b");
                if (is_made)
                    holder.acquire(1);
                test::script_server guest(server().port());
                guest.admin.command("AUTH", "guest", "secret");

                fleet::call call = s.call({{verb::acquire, {1, 2, lease}}});
                call.is_first = true;
                const auto said = guest.raw("a", 1, call, s.now);
                if (said.is_error()) {
                    BOOST_TEST((fleet::to_failure(said.string) == fleet::failure::rejected), said);
                    BOOST_TEST(admin.command("ZCARD", test::key("x", 'l')).as_number() == is_made);
                    admin.command("ACL", "SETUSER", "guest", "+" + denied);
                }
                const auto answer = guest.execute("a", 1, call, s.now);
                BOOST_TEST_REQUIRE((answer.status == call_status::ok));
                BOOST_TEST(
                    (answer.results[0].what == (is_made ? verdict::queued : verdict::granted)));
                BOOST_TEST(answer.rolls == 0u);
                BOOST_TEST(answer.quarantine == 0);
                check_consistency(s);
            }
    }
    scene().script.admin.command("ACL", "DELUSER", "guest");
}

BOOST_AUTO_TEST_CASE(a_replica_executes_nothing) {
    test::redis_server_options options;
    options.arguments = {"--replicaof", "127.0.0.1 " + std::to_string(server().port())};
    test::redis_server replica(options);
    test::script_server script(replica.port());
    scene s;
    for (const auto& c : {command{verb::acquire, {1, 1, lease}}, command{verb::inspect}}) {
        const auto said = script.raw("a", 1, s.call({c}), s.now);
        BOOST_TEST((fleet::to_failure(said.string) == fleet::failure::unavailable), said);
    }
}

BOOST_AUTO_TEST_SUITE_END()
