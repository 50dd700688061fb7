// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// Compares a limiter with limiter_model.hpp on random requests: which requests are admitted and
// refused, when and why, what is counted, and which samples the algorithm sees. Scenario L83.

#include "limiter_fixture.hpp"
#include "limiter_model.hpp"

#include <support/seed.hpp>

#include <cmath>
#include <random>

namespace {

using namespace test;
using duration = limiter_options::duration;

constexpr std::size_t none = std::size_t(-1);

struct random_walk : limiter_fixture {
    random_walk(std::uint32_t seed, std::ptrdiff_t limit, const limiter_options& o, bool has_law) :
        random(seed), expected(limit, prepared(o, has_law)) {
        law = [this](const limit_sample&) {
            return next;
        };
        lim(limit, expected.options);
    }
    ~random_walk() { leave_limiter(); }

    limiter_options prepared(const limiter_options& o, bool has_law) {
        return has_law ? with_law(o) : o;
    }
    std::size_t below(std::size_t n) { return random() % n; }
    bool one_in(std::size_t n) { return below(n) == 0; }
    time_point now() const { return stopped_threads::the_time; }

    admission_request any() {
        admission_request r;
        r.key = below(5);
        r.priority = one_in(2) ? 0 : int(below(4));
        r.weight = one_in(2) ? 1 : 1 + std::ptrdiff_t(below(4));
        if (one_in(3))
            r.max_wait = milliseconds(below(8) * 5);
        if (one_in(60))
            r.max_wait = duration::max();
        if (one_in(60))
            r.weight = std::ptrdiff_t(below(14)) - 1;
        if (one_in(60))
            r.priority = int(below(7)) - 2;
        return r;
    }
    std::size_t any_running() {
        return expected.running.empty() ? none
                                        : expected.running[below(expected.running.size())].client;
    }

    void arrive() {
        const auto r = any();
        const bool may_wait = !one_in(5);
        const std::size_t number = clients.size();
        expected.arrive(number, r, now(), may_wait);
        if (may_wait)
            admit_cancellable(r);
        else
            try_admit(r);
    }
    void finish_one() {
        const std::size_t client = any_running();
        if (client == none)
            return;
        const double limits[] = {
            expected.limit, expected.limit * 0.7, expected.limit + 0.4, double(1 + below(12)),
            std::nan("")};
        next = one_in(2) ? expected.limit : limits[below(5)];
        const auto how = one_in(4) ? ended(below(3)) : ended::success;
        const bool is_reported = how != ended::ignored || one_in(2);
        expected.finish(client, how, is_reported, now(), next);
        finish(clients[client], how, is_reported);
    }
    void move_clock() {
        const duration step = milliseconds(one_in(6) ? below(60) : below(4));
        const time_point then = now() + step;
        if (!is_timer_late) {
            for (const auto* r = expected.earliest_deadline(); r != nullptr && r->deadline <= then;
                 r = expected.earliest_deadline()) {
                expected.expire(r->deadline);
            }
        }
        after(step);
    }
    void turn_timer() {
        is_timer_late = !is_timer_late;
        if (is_timer_late)
            return;
        timer->run();
        expected.expire(now());
    }
    void wait_idle() {
        const std::size_t number = first_idler + idlers.size();
        expected.wait_idle(number);
        const bool is_idle = expected.ends.count(number) != 0;
        idler& i = idlers.emplace_back();
        const outcome o = s->enqueue_idle(i);
        BOOST_TEST_REQUIRE(o == (is_idle ? outcome::granted : outcome::queued));
        if (is_idle)
            i.end = o;
    }

    void step(std::size_t calm) {
        before = s->in_flight();
        const auto dice = below(100);
        if (dice < 42 - calm) {
            arrive();
        } else if (dice < 70) {
            finish_one();
        } else if (dice < 88) {
            move_clock();
        } else if (dice < 93) {
            if (!expected.waiting.empty()) {
                const auto client = expected.waiting[below(expected.waiting.size())].client;
                expected.cancel(client, now());
                clients[client].slot->fire();
            }
        } else if (dice < 95) {
            turn_timer();
        } else if (dice < 97) {
            const auto limit = std::ptrdiff_t(1 + below(10));
            expected.set_limit(limit, now());
            s->set_limit(limit);
        } else if (dice < 99) {
            wait_idle();
        } else if (one_in(3)) {
            const std::size_t n = expected.cancel_all(now());
            BOOST_TEST_REQUIRE(s->cancel() == n);
        }
    }

    void compare() {
        for (; compared < clients.size() && clients[compared].end; ++compared) {
        }
        for (std::size_t i = compared; i < clients.size(); ++i)
            compare(i);
        const limiter_statistics all = s->statistics();
        BOOST_TEST_REQUIRE(difference(all, expected) == "");
        BOOST_TEST_REQUIRE(difference(s->busiest_keys(100), expected) == "");
        check_counts();
        BOOST_TEST_REQUIRE(samples.size() == expected.shown.size());
        for (; samples_compared < samples.size(); ++samples_compared)
            BOOST_TEST_REQUIRE(
                difference(samples[samples_compared], expected.shown[samples_compared]) == "");
        for (std::size_t i = 0; i < idlers.size(); ++i)
            BOOST_TEST_REQUIRE(
                idlers[i].end.has_value() == (expected.ends.count(first_idler + i) != 0));
        // Within the limit, unless the limit shrank or one request runs alone.
        if (expected.options.enforce)
            BOOST_TEST_REQUIRE(
                (all.in_flight <= expected.whole() || all.running == 1 || all.in_flight <= before));
        // No lost wake-up.
        const auto* const candidate = expected.candidate(expected.waiting);
        BOOST_TEST_REQUIRE(
            (!expected.is_open || candidate == nullptr ||
             !expected.fits(candidate->priority, candidate->weight)));
    }
    void compare(std::size_t i) {
        const client& c = clients[i];
        const auto end = expected.ends.find(i);
        BOOST_TEST_REQUIRE(c.end.has_value() == (end != expected.ends.end()));
        if (c.end)
            BOOST_TEST_REQUIRE(*c.end == end->second);
    }

    void end() {
        expected.close(now());
        s->close();
        compare();
        arrive();
        compare();
        while (!expected.running.empty()) {
            move_clock();
            finish_one();
            compare();
        }
        for (std::size_t i = 0; i < clients.size(); ++i)
            compare(i);
        BOOST_TEST(s->in_flight() == 0);
        BOOST_TEST(s->statistics().keys == 0u);
        BOOST_TEST(expected.idle_waiting.empty());
    }

    std::mt19937 random;
    limiter_model expected;
    double next = 0;
    static constexpr std::size_t first_idler = 1'000'000'000; // no client has this number
    std::deque<idler> idlers;
    std::size_t compared = 0, samples_compared = 0;
    std::ptrdiff_t before = 0;
};

struct setting {
    const char* name;
    std::ptrdiff_t limit;
    bool has_law;
    limiter_options options;
};

std::vector<setting> settings() {
    std::vector<setting> all;
    const auto add = [&](const char* name, std::ptrdiff_t limit, bool has_law, auto change) {
        setting s{name, limit, has_law, limiter_fixture::options(6, 30)};
        change(s.options);
        all.push_back(s);
    };
    add("plain", 4, false, [](auto&) {});
    add("law", 6, true, [](auto&) {});
    add("lifo", 4, false, [](auto& o) { o.order = queue_order::lifo; });
    add("adaptive, caps", 5, true, [](auto& o) {
        o.order = queue_order::adaptive;
        o.busy_wait = milliseconds(6);
        o.max_per_key = 2;
    });
    add("shares", 8, true, [](auto& o) {
        o.share = {1, .8, .5, .1};
        o.max_waiting = 9;
    });
    add("shares below 1, caps", 10, false, [](auto& o) {
        o.share = {.9, .7, .7, .3};
        o.max_per_key = 3;
        o.busy_wait = milliseconds(30);
    });
    add("a queue of one", 3, false, [](auto& o) {
        o.max_waiting = 1;
        o.order = queue_order::adaptive;
        o.busy_wait = milliseconds(3);
    });
    add("no queue", 3, true, [](auto& o) { o.max_waiting = 0; });
    add("no wait", 3, false, [](auto& o) { o.max_wait = milliseconds(0); });
    add("a long queue", 3, true, [](auto& o) {
        o.max_waiting = 40;
        o.max_wait = milliseconds(100);
        o.order = queue_order::adaptive;
        o.max_per_key = 2;
    });
    add("a dry run", 4, true, [](auto& o) {
        o.enforce = false;
        o.max_per_key = 2;
        o.share = {1, 1, .5, .5};
    });
    return all;
}

} // namespace

BOOST_AUTO_TEST_SUITE(limiter_random_requests)

BOOST_AUTO_TEST_CASE(L83_random_requests_agree_with_the_model_of_the_contract) {
    const auto seed = test::seed();
    std::uint32_t number = 0;
    for (const setting& s : settings()) {
        for (int round = 0; round < 4; ++round, ++number) {
            BOOST_TEST_CONTEXT("seed " << seed << ", walk " << number << ", " << s.name) {
                random_walk walk(
                    static_cast<std::uint32_t>(seed) + number, s.limit, s.options, s.has_law);
                for (std::size_t i = 0; i < 1500; ++i) {
                    BOOST_TEST_CONTEXT("step " << i) {
                        // Alternates between many and few arrivals, so that the queue fills and
                        // empties.
                        walk.step(i / 100 % 3 == 2 ? 25 : 0);
                        walk.compare();
                    }
                }
                walk.end();
            }
        }
    }
}

BOOST_AUTO_TEST_SUITE_END()
