// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// Checks that the script on a real server does what its model does. Four clients make random calls
// for three limits, while the clock steps back and forth, keys vanish, writes are lost, and
// connections come and go. The test compares answers, pushes and all five keys after every call.
//
// ASIO_SEMAPHORE_TEST_CALLS, or the program's argument after "--": the total number of calls;
// 100,000 by default.

#include "fleet/script_server.hpp"

#include "support/seed.hpp"

#include <boost/test/unit_test.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace fleet = asio_semaphore::detail::fleet;
using fleet::verb;

namespace {

std::size_t number_of_calls() {
    const auto& suite = boost::unit_test::framework::master_test_suite();
    if (suite.argc > 1)
        return std::stoul(suite.argv[1]);
    const char* const given = std::getenv("ASIO_SEMAPHORE_TEST_CALLS");
    return given != nullptr ? std::stoul(given) : 100000;
}

constexpr std::size_t clients = 4;
const std::array<std::string, 3> names{"one", "a name", "th.ree"};

class comparison {
public:
    enum class bounds { as_they_are, low };

    comparison(std::uint32_t seed, bounds which) :
        random_(seed), script_(server_.port(), text_with(which)) {
        if (which == bounds::low) {
            model_.leases_swept = 3;
            model_.clients_dropped = 1;
            model_.places_served = 2;
            model_.places_passed_over = 4;
        }
        // A server younger than a lease begins with a quarantine, which the model would have to
        // know.
        while (std::stoi(script_.admin.info("server", "uptime_in_seconds")) < 1) {
        }
    }

    void run(std::size_t calls) {
        for (std::size_t i = 0; i < calls; ++i) {
            if (chance(200))
                come_or_go();
            if (chance(300))
                lose_key();
            if (chance(400))
                lose_writes();
            call();
            if (expected_.size() >= 64)
                compare();
            if (differs_) // the first difference is enough
                return;
        }
        compare();
        BOOST_TEST_MESSAGE(script_.admin.info("commandstats", "cmdstat_evalsha"));
        // Checks that the run has reached every verdict.
        for (std::size_t i = 1; i <= 11; ++i)
            BOOST_TEST(verdicts_[i] > calls / 2000, "verdict " << i << ": " << verdicts_[i]);
        for (std::size_t i = 0; i <= 2; ++i)
            BOOST_TEST(statuses_[i] > calls / 2000, "status " << i << ": " << statuses_[i]);
        BOOST_TEST(pushes_ > calls / 200);
        BOOST_TEST(quarantines_ > calls / 200);
        BOOST_TEST((model_.leases_swept > 3 || unfinished_ > calls / 200));
        BOOST_TEST_MESSAGE(pushes_ << " pushes, " << quarantines_ << " calls in a quarantine");
    }

private:
    struct client {
        std::string name;
        std::uint64_t connection = 1;
        std::unique_ptr<test::listener> listener;
        std::map<std::string, std::uint64_t> seen;   // the number heard last, by limit
        std::map<std::string, std::uint64_t> fences; // the numbers heard, by request
    };

    struct expectation {
        std::size_t number;
        std::string limit;
        fleet::call call;
        fleet::answer answer;
        test::limit_state state;
    };

    static std::string text_with(bounds which) {
        std::string text = fleet::script_text;
        const auto replace = [&](const std::string& usual, const std::string& by) {
            const auto found = text.find(usual);
            BOOST_TEST_REQUIRE(found != std::string::npos);
            text.replace(found, usual.size(), by);
        };
        if (which == bounds::low) {
            replace("= 256, 64, 256, 1024", "= 3, 1, 2, 4");
            replace("MANY, LONG = 16", "MANY, LONG = 1");
            replace("= 1, #words, 2000", "= 1, #words, 2");
            replace("from + 1999, #words", "from + 1, #words");
            replace("'ZMSCORE'", "'UNKNOWN'"); // as on a server that is older than 6.2
        }
        return text;
    }

    std::int64_t pick(std::int64_t from, std::int64_t to) {
        return std::uniform_int_distribution<std::int64_t>(from, to)(random_);
    }
    bool chance(std::int64_t in) { return pick(1, in) == 1; }

    void step_clock() {
        switch (pick(0, 399)) {
        case 0:
            clock_ += pick(0, 100000);
            return;
        case 1:
            clock_ -= pick(0, 300);
            return;
        case 2:
            clock_ -= pick(0, 100000);
            return;
        default:
            clock_ += chance(3) ? pick(0, 60) : 0;
        }
    }

    // A serial determines its request, with weight and lease.
    fleet::request_name request(std::uint64_t serial) {
        return {
            serial, static_cast<std::int64_t>(1 + serial % 7 % 4),
            static_cast<std::int64_t>(serial % 3 == 0 ? 900 : 400)};
    }

    fleet::command command(const client& who, const std::string& limit) {
        const auto weight = pick(0, 99);
        fleet::command c;
        c.of = request(static_cast<std::uint64_t>(pick(1, 9)));
        if (weight < 30) {
            c.what = verb::acquire;
        } else if (weight < 38) {
            c.what = verb::try_acquire;
        } else if (weight < 62) {
            c.what = verb::give_back;
        } else if (weight < 80) {
            c.what = verb::renew;
            const auto known = who.fences.find(limit + fleet::to_text(who.name, c.of));
            c.fence = known == who.fences.end() ? 1000 : known->second;
            c.void_after = clock_ + (chance(4) ? pick(-200, 0) : pick(0, 800));
        } else if (weight < 94) {
            c.what = verb::ask;
        } else if (weight < 96) {
            c.what = verb::set_limit;
            c.limit = pick(1, 7);
        } else {
            c.what = verb::inspect;
        }
        return c;
    }

    void call() {
        step_clock();
        auto& who = clients_[static_cast<std::size_t>(pick(0, clients - 1))];
        const auto& name = names[static_cast<std::size_t>(pick(0, 2))];
        fleet::call c;
        c.name = name;
        c.presence = pick(100, 1200);
        c.lease = chance(2) ? 400 : 600;
        const auto known = model_.limits.find(name);
        c.limit = known != model_.limits.end() && known->second.m && !chance(8)
                      ? known->second.m->limit
                      : pick(1, 7);
        c.is_strict = chance(6);
        c.is_immediate = chance(4);
        c.is_first = chance(20);
        c.seen = chance(50) ? 0 : who.seen[name];
        if (chance(400))
            c.seen += static_cast<std::uint64_t>(pick(0, 2000));
        for (auto n = chance(10) ? pick(0, 12) : pick(0, 3); n > 0; --n)
            c.commands.push_back(command(who, name));
        const auto connection = chance(12) && who.connection > 1
                                    ? who.connection - static_cast<std::uint64_t>(1)
                                    : who.connection;

        script_.append(who.name, connection, c, clock_);
        script_.append_state(name);
        script_.admin.send();
        auto answer = model_.execute(who.name, connection, c, clock_);
        for (auto& [to, push] : model_.take_pushes()) {
            hear(to, push);
            if (model_.subscribed.count(to) != 0)
                expected_pushes_[to].push_back(std::move(push));
            ++pushes_;
        }
        ++statuses_[static_cast<std::size_t>(answer.status)];
        if (answer.status == fleet::call_status::ok) {
            who.seen[name] = answer.seq;
            quarantines_ += answer.quarantine > 0;
            unfinished_ += answer.has_more;
            for (std::size_t i = 0; i < c.commands.size(); ++i) {
                ++verdicts_[static_cast<std::size_t>(answer.results[i].what)];
                if (answer.results[i].what == fleet::verdict::granted)
                    who.fences[name + fleet::to_text(who.name, c.commands[i].of)] =
                        answer.results[i].fence;
            }
        }
        expected_.push_back(
            {++number_, name, std::move(c), std::move(answer), model_.limits[name]});
    }

    void hear(const std::string& to, const fleet::push& push) {
        for (auto& who : clients_) {
            for (const auto& g : push.granted) {
                if (who.name == to)
                    who.fences[push.name + fleet::to_text(to, request(g.serial))] = g.fence;
            }
        }
    }

    void compare() {
        for (; !expected_.empty(); expected_.pop_front()) {
            const auto& e = expected_.front();
            const auto said = script_.admin.take();
            const auto state = script_.take_state();
            if (said.is_error()) {
                BOOST_ERROR("call " << e.number << " for " << e.limit << ": " << said.string);
                differs_ = true;
                return;
            }
            const auto answer = test::script_server::to_answer(said, e.call);
            const auto differences =
                test::difference(answer, e.answer) + test::difference(state, e.state);
            if (!differences.empty()) {
                BOOST_ERROR("call " << e.number << " for " << e.limit << ": " << differences);
                differs_ = true;
                return;
            }
        }
        for (auto& who : clients_) {
            if (!who.listener)
                continue;
            const auto heard = who.listener->take();
            const auto expected = std::exchange(expected_pushes_[who.name], {});
            if (!(heard == expected)) {
                BOOST_ERROR("pushes to " << who.name << " differ by call " << number_);
                differs_ = true;
            }
        }
    }

    void come_or_go() {
        compare();
        auto& who = clients_[static_cast<std::size_t>(pick(0, clients - 1))];
        if (who.listener) {
            who.listener.reset();
            model_.subscribed.erase(who.name);
            // Waits until the server has noticed.
            while (script_.admin.command("PUBSUB", "NUMSUB", fleet::channel_of(who.name))[1]
                       .as_number() != 0) {
            }
        } else {
            ++who.connection;
            who.listener = std::make_unique<test::listener>(server_.port(), who.name);
            model_.subscribed.insert(who.name);
        }
    }

    void lose_key() {
        compare();
        const auto& name = names[static_cast<std::size_t>(pick(0, 2))];
        const auto which = "mlfqc"[pick(0, 4)];
        script_.admin.command("DEL", test::key(name, which));
        auto& state = model_.limits[name];
        switch (which) {
        case 'm':
            state.m.reset();
            break;
        case 'l':
            state.leases.clear();
            break;
        case 'f':
            state.fences.clear();
            break;
        case 'q':
            state.places.clear();
            break;
        default:
            state.presences.clear();
        }
    }

    // A failover to a server that lagged behind: restores the state of some calls ago.
    void lose_writes() {
        compare();
        if (saved_.empty() || chance(2)) {
            saved_ = model_.limits;
            dumps_.clear();
            for (const auto& name : names) {
                for (const char which : {'m', 'l', 'f', 'q', 'c'}) {
                    const auto key = test::key(name, which);
                    const auto dump = script_.admin.command("DUMP", key);
                    if (dump.what == test::redis_value::text)
                        dumps_[key] = dump.string;
                }
            }
            return;
        }
        model_.limits = saved_;
        script_.admin.command("FLUSHALL");
        for (const auto& [key, dump] : dumps_)
            script_.admin.command("RESTORE", key, "0", dump);
    }

    std::mt19937 random_;
    test::redis_server server_;
    test::script_server script_;
    test::script_model model_;
    std::array<client, clients> clients_{
        client{"a", 1, {}, {}, {}}, client{"bb", 1, {}, {}, {}}, client{"0c", 1, {}, {}, {}},
        client{"d0d0", 1, {}, {}, {}}};
    std::int64_t clock_ = 1'700'000'000'000;
    std::deque<expectation> expected_;
    std::map<std::string, std::vector<fleet::push>> expected_pushes_;
    std::map<std::string, test::limit_state> saved_;
    std::map<std::string, std::string> dumps_;
    bool differs_ = false;
    std::size_t number_ = 0, pushes_ = 0, quarantines_ = 0, unfinished_ = 0;
    std::array<std::size_t, 12> verdicts_{};
    std::array<std::size_t, 4> statuses_{};
};

} // namespace

BOOST_AUTO_TEST_SUITE(
    fleet_script_differential, *boost::unit_test::precondition(test::with_redis_server))

BOOST_AUTO_TEST_CASE(the_script_does_what_its_model_does) {
    comparison(test::seed(), comparison::bounds::as_they_are).run(number_of_calls() / 2);
}

// Random calls seldom reach the real bounds, such as a quarter of a thousand leases or places.
BOOST_AUTO_TEST_CASE(the_script_does_what_its_model_does_with_small_bounds_on_a_call) {
    comparison(test::seed(), comparison::bounds::low).run(number_of_calls() / 2);
}

BOOST_AUTO_TEST_SUITE_END()
