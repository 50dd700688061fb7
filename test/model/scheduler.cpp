// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// Tests that the explorer itself finds errors.

#include "scheduler.hpp"
#include "explore.hpp"

#include <boost/test/unit_test.hpp>

#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace {

using namespace asio_semaphore::model;

constexpr auto relaxed = std::memory_order_relaxed;

/// Two numbers, two mutexes, and threads that use them.
class trial final : public scenario {
public:
    using body = std::function<void(trial&)>;

    explicit trial(std::vector<body> bodies) : bodies_(std::move(bodies)) {}

    std::size_t threads() const override { return bodies_.size(); }
    void run(std::size_t thread) override { bodies_[thread](*this); }
    std::string summary() override {
        return std::to_string(x.load(relaxed)) + " " + std::to_string(y.load(relaxed));
    }

    model_atomic<int> x{0}, y{0};
    model_mutex m1, m2;
    int plain = 0;

private:
    std::vector<body> bodies_;
};

scheduler::factory doing(std::vector<trial::body> bodies) {
    return [bodies] {
        return std::make_unique<trial>(bodies);
    };
}

void increment_badly(trial& t) {
    t.x.store(t.x.load(relaxed) + 1, relaxed);
}

settings with_preemptions(int n) {
    settings s;
    s.preemptions = n;
    return s;
}

const std::set<std::string> both_counted{"2 0"};

result explore(const std::vector<trial::body>& bodies, settings s = {}) {
    return exploration::find("trial", s, doing(bodies));
}

} // namespace

BOOST_AUTO_TEST_SUITE(model_scheduler)

BOOST_AUTO_TEST_CASE(the_explorer_finds_a_lost_update_and_replays_it) {
    auto& s = scheduler::get();
    const auto make = doing({increment_badly, increment_badly});
    for (const int preemptions : {-1, 1, 2}) {
        const settings bound = with_preemptions(preemptions);
        const result found = s.explore("lost update", bound, make, &both_counted);
        BOOST_TEST(found.failure == "no order of whole operations leads to: 1 0");
        BOOST_TEST(found.schedule != "");
        const result again = s.replay("lost update", bound, make, found.schedule, &both_counted);
        BOOST_TEST(again.failure == found.failure);
        BOOST_TEST(again.schedule == found.schedule);
    }
    BOOST_TEST(s.explore("lost update", with_preemptions(0), make, &both_counted).failure == "");
}

BOOST_AUTO_TEST_CASE(the_explorer_takes_every_interleaving_once) {
    const auto twice_x = [](trial& t) {
        t.x.fetch_add(1, relaxed);
        t.x.fetch_add(2, relaxed);
    };
    const auto twice_y = [](trial& t) {
        t.y.fetch_add(1, relaxed);
        t.y.fetch_add(2, relaxed);
    };
    // 4! / (2! 2!) with all preemptions. Without a bound, the order of independent steps does not
    // count.
    BOOST_TEST(explore({twice_x, twice_x}, with_preemptions(100)).schedules == 6u);
    BOOST_TEST(explore({twice_x, twice_x}).schedules == 6u);
    BOOST_TEST(explore({twice_x, twice_y}, with_preemptions(100)).schedules == 6u);
    BOOST_TEST(explore({twice_x, twice_y}).schedules == 1u);
    BOOST_TEST(explore({twice_x, twice_x, twice_x}, with_preemptions(100)).schedules == 90u);
    BOOST_TEST(explore({twice_x, twice_x, twice_x}, with_preemptions(0)).schedules == 6u);
}

BOOST_AUTO_TEST_CASE(the_reduced_search_leaves_out_no_outcome) {
    const auto mixed = [](int n) {
        return [n](trial& t) {
            t.x.fetch_add(n, relaxed);
            const std::lock_guard lock(t.m1);
            t.y.fetch_add(n * t.x.load(relaxed), relaxed);
        };
    };
    for (const int third : {3, 4}) {
        const std::vector<trial::body> bodies{mixed(1), mixed(2), mixed(third)};
        const result reduced = explore(bodies);
        const result full = explore(bodies, with_preemptions(100));
        BOOST_TEST(reduced.outcomes == full.outcomes, boost::test_tools::per_element());
        BOOST_TEST(reduced.outcomes.size() > 3u);
        BOOST_TEST(reduced.schedules < full.schedules);
    }
}

BOOST_AUTO_TEST_CASE(the_code_after_a_store_is_a_step_of_its_own) {
    const auto publish = [](trial& t) {
        t.x.store(1, relaxed);
        t.plain = 1;
    };
    const auto react = [](trial& t) {
        if (t.x.load(relaxed) == 1)
            t.y.fetch_add(1 + t.plain, relaxed);
    };
    for (const int preemptions : {-1, 1})
        BOOST_TEST(
            explore({publish, react}, with_preemptions(preemptions)).outcomes ==
                (std::set<std::string>{"1 0", "1 1", "1 2"}),
            boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(the_explorer_finds_a_deadlock) {
    const auto nested = [](model_mutex trial::*outer, model_mutex trial::*inner) {
        return [outer, inner](trial& t) {
            const std::lock_guard first(t.*outer);
            const std::lock_guard second(t.*inner);
        };
    };
    const auto forward = nested(&trial::m1, &trial::m2), backward = nested(&trial::m2, &trial::m1);
    BOOST_TEST(explore({forward, backward}).failure.find("deadlock") == 0u);
    BOOST_TEST(explore({forward, forward}).failure == "");
}

BOOST_AUTO_TEST_CASE(a_yielding_thread_waits_for_a_write_by_another_thread) {
    const auto wait = [](trial& t) {
        while (t.x.load(relaxed) == 0)
            model_threads::back_off(0);
    };
    const auto write = [](trial& t) {
        t.x.store(1, relaxed);
    };
    const auto read = [](trial& t) {
        static_cast<void>(t.x.load(relaxed));
    };
    for (const int preemptions : {-1, 0, 2}) {
        BOOST_TEST(explore({wait, write}, with_preemptions(preemptions)).failure == "");
        BOOST_TEST(
            explore({wait, read}, with_preemptions(preemptions)).failure.find("deadlock") == 0u);
    }
}

BOOST_AUTO_TEST_CASE(the_explorer_finds_a_livelock) {
    const auto turn = [](trial& t) {
        for (;;) {
            t.x.fetch_add(1, relaxed);
            model_threads::back_off(0);
        }
    };
    BOOST_TEST(explore({turn, turn}).failure.find("livelock") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(the_explorer_finds_code_that_assumes_no_spurious_failure) {
    const auto once = [](trial& t) {
        int expected = 0;
        t.x.compare_exchange_weak(expected, 2, relaxed, relaxed);
    };
    settings s;
    BOOST_TEST(scheduler::get().explore("spurious", s, doing({once}), &both_counted).failure == "");
    s.spurious = 1;
    const result found = scheduler::get().explore("spurious", s, doing({once}), &both_counted);
    BOOST_TEST(found.failure == "no order of whole operations leads to: 0 0");
    BOOST_TEST(found.schedule == "a1!");
}

BOOST_AUTO_TEST_CASE(the_explorer_finds_a_leak) {
    static std::vector<model_atomic<int>*> leaked; // hides the leak from LeakSanitizer
    const auto leak = [](trial&) {
        leaked.push_back(new model_atomic<int>(0));
    };
    BOOST_TEST(explore({leak}).failure.find("leaked") == 0u);
}

BOOST_AUTO_TEST_CASE(the_explorer_finds_a_mutex_locked_twice_by_one_thread) {
    const auto twice = [](trial& t) {
        t.m1.lock();
        t.m1.lock();
    };
    BOOST_TEST(explore({twice}).failure.find("deadlock") == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
