// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// Deadlines in the state layer: which waiters time out, and for which time the timer is set. The
// test passes the time.

#include <asio_semaphore/detail/state/alarm.hpp>

#include "hand_made_waiter.hpp"

#include <support/seed.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

namespace {

using namespace test;

constexpr time_point at(int t) {
    return time_point(time_point::duration(t));
}

constexpr long off = -1;

/// Makes a time readable in messages of Boost.Test.
long ticks(time_point t) {
    return t == never ? off : static_cast<long>(t.time_since_epoch().count());
}

/// An executor with a timer, both driven by the test.
class hand_made_alarm final : public asio_semaphore::detail::alarm<threads> {
public:
    using alarm::alarm;

    void post() override {
        if (on_post)
            on_post();
        if (refuses)
            throw std::runtime_error("refused");
        ++posts;
        posted();
    }
    void shut() noexcept override { is_shut = true; }

    /// Runs the posted functions.
    void run() {
        for (; posts > 0; --posts) {
            if (claim())
                set();
        }
    }
    void set() {
        for (time_point t; next(t);) {
            set_for = ticks(t);
            ++times_set;
        }
    }
    void fire(time_point now) {
        if (set_for <= ticks(now))
            set_for = off;
        if (expire(now))
            set();
    }

    int posts = 0;
    long set_for = off;
    int times_set = 0;
    bool refuses = false;
    std::function<void()> on_post;
    std::atomic<bool> is_shut{false};
};

struct fixture : state_fixture {
    fixture() {
        auto made = std::make_unique<hand_made_alarm>(*s);
        timer = made.get();
        s->install_alarm(std::move(made));
    }

    /// Does what an initiation does.
    outcome enqueue(hand_made_timed_waiter& w) {
        const time_point deadline = w.at;
        outcome result = s->enqueue(w);
        if (result == outcome::unalarmed) {
            const hand_made_alarm::expectation expected(*timer, deadline);
            timer->post();
            result = s->enqueue(w, true);
        }
        return result;
    }

    state_pointer s = make(0);
    hand_made_alarm* timer;
    hand_made_timed_waiter five{1, at(5)}, seven{1, at(7)}, nine{1, at(9)};
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(state_alarm, fixture)

BOOST_AUTO_TEST_CASE(the_set_of_deadlines_finds_the_earliest) {
    const auto seed = test::seed();
    std::mt19937 random(seed);
    deadline_set set;
    BOOST_TEST(ticks(set.earliest()) == off);
    std::deque<deadline_node> nodes;
    std::vector<deadline_node*> there;
    for (int i = 0; i < 2000; ++i) {
        if (there.empty() || random() % 3 != 0) {
            nodes.emplace_back(at(static_cast<int>(random() % 500)));
            there.push_back(&nodes.back());
            set.insert(nodes.back());
        } else {
            const auto gone = there.begin() + static_cast<std::ptrdiff_t>(random() % there.size());
            set.remove(**gone);
            there.erase(gone);
        }
        time_point earliest = never;
        for (const deadline_node* node : there)
            earliest = std::min(earliest, node->at);
        BOOST_TEST_REQUIRE(ticks(set.earliest()) == ticks(earliest));
    }
}

BOOST_AUTO_TEST_CASE(a_waiter_is_timed_out_at_its_deadline_and_not_before) {
    BOOST_TEST(enqueue(five) == outcome::queued);
    timer->run();
    BOOST_TEST(timer->set_for == 5);
    timer->fire(at(4));
    BOOST_TEST(five.untouched());
    timer->fire(at(5));
    BOOST_TEST(five.ended_as(outcome::timed_out));
    BOOST_TEST(s->waiting() == 0u);
    BOOST_TEST(s->available() == 0);
}

BOOST_AUTO_TEST_CASE(no_waiter_with_a_deadline_enters_the_queue_without_an_alarm) {
    BOOST_TEST(s->enqueue(five) == outcome::unalarmed);
    BOOST_TEST(s->waiting() == 0u);
    const auto without = make(0);
    BOOST_TEST(without->find_alarm() == nullptr);
    BOOST_TEST(without->enqueue(five) == outcome::unalarmed);
    BOOST_TEST(without->release(1));
    BOOST_TEST(without->enqueue(five) == outcome::granted);
}

BOOST_AUTO_TEST_CASE(later_deadlines_do_not_set_the_timer_again) {
    for (auto* w : {&five, &seven, &nine})
        BOOST_TEST(enqueue(*w) == outcome::queued);
    BOOST_TEST(timer->posts == 1);
    timer->run();
    BOOST_TEST(timer->times_set == 1);
    timer->fire(at(5));
    BOOST_TEST(timer->set_for == 7);
    timer->fire(at(8));
    BOOST_TEST(seven.ended_as(outcome::timed_out));
    BOOST_TEST(timer->set_for == 9);
    BOOST_TEST(timer->times_set == 3);
    s->cancel();
}

BOOST_AUTO_TEST_CASE(an_earlier_deadline_sets_the_timer_earlier) {
    enqueue(nine);
    timer->run();
    enqueue(five);
    timer->run();
    BOOST_TEST(timer->set_for == 5);
    s->cancel();
}

BOOST_AUTO_TEST_CASE(the_timer_stays_as_it_is_when_the_earliest_deadline_leaves) {
    enqueue(five);
    enqueue(nine);
    timer->run();
    s->release(1);
    BOOST_TEST(five.ended_as(outcome::granted));
    timer->run();
    BOOST_TEST(timer->set_for == 5);
    timer->fire(at(5)); // no deadline has passed
    BOOST_TEST(nine.untouched());
    BOOST_TEST(timer->set_for == 9);
    timer->fire(at(9));
    BOOST_TEST(nine.ended_as(outcome::timed_out));
}

BOOST_AUTO_TEST_CASE(the_timer_is_switched_off_when_the_last_deadline_leaves) {
    hand_made_waiter patient{1};
    enqueue(five);
    enqueue(seven);
    s->enqueue(patient);
    timer->run();
    s->release(1);
    BOOST_TEST(timer->posts == 0);
    s->release(1);
    BOOST_TEST(timer->posts == 1);
    timer->run();
    BOOST_TEST(timer->set_for == off);
    s->release(1);
    BOOST_TEST(timer->posts == 0);
}

BOOST_AUTO_TEST_CASE(the_timer_stays_on_for_an_operation_that_comes_before_it_is_switched_off) {
    enqueue(five);
    timer->run();
    s->release(1);
    enqueue(nine);
    timer->run();
    BOOST_TEST(timer->set_for == 5);
    BOOST_TEST(timer->times_set == 1);
    timer->fire(at(5));
    BOOST_TEST(timer->set_for == 9);
    s->cancel();
}

BOOST_AUTO_TEST_CASE(a_timer_whose_waiter_has_left_already_is_not_set) {
    enqueue(five);
    s->release(1); // before the executor runs
    BOOST_TEST(timer->posts == 1);
    timer->run();
    BOOST_TEST(timer->times_set == 0);
}

BOOST_AUTO_TEST_CASE(a_timer_is_set_for_an_operation_about_to_enter_the_queue) {
    {
        const hand_made_alarm::expectation expected(*timer, at(5));
        timer->post();
        timer->run(); // before the waiter enters
        BOOST_TEST(timer->set_for == 5);
        BOOST_TEST(s->enqueue(five) == outcome::queued);
    }
    BOOST_TEST(timer->posts == 0);
    timer->fire(at(5));
    BOOST_TEST(five.ended_as(outcome::timed_out));
    {
        const hand_made_alarm::expectation expected(*timer, at(7));
        timer->post();
        timer->run();
        BOOST_TEST(timer->set_for == 7);
        // The waiter does not enter the queue.
    }
    BOOST_TEST(timer->posts == 1);
    timer->run();
    BOOST_TEST(timer->set_for == off);
}

BOOST_AUTO_TEST_CASE(a_refused_switch_off_is_harmless) {
    enqueue(five);
    timer->run();
    timer->refuses = true;
    s->release(1);
    BOOST_TEST(five.ended_as(outcome::granted));
    timer->fire(at(5));
    BOOST_TEST(timer->set_for == off);
}

BOOST_AUTO_TEST_CASE(after_a_dropped_post_the_next_waiter_posts_again) {
    BOOST_TEST(enqueue(five) == outcome::queued);
    timer->posts = 0;
    timer->dropped();
    BOOST_TEST(s->enqueue(seven) == outcome::unalarmed);
    BOOST_TEST(enqueue(nine) == outcome::queued);
    timer->run();
    BOOST_TEST(timer->set_for == 5);
    s->cancel();
}

BOOST_AUTO_TEST_CASE(a_timer_that_could_not_be_set_is_set_for_the_next_waiter) {
    enqueue(five);
    timer->posts = 0;
    BOOST_TEST_REQUIRE(timer->claim());
    time_point t;
    BOOST_TEST_REQUIRE(timer->next(t));
    timer->failed();
    BOOST_TEST(enqueue(seven) == outcome::queued);
    timer->run();
    BOOST_TEST(timer->set_for == 5);
    s->cancel();
}

BOOST_AUTO_TEST_CASE(only_one_thread_uses_the_timer_and_it_sets_it_for_the_others) {
    enqueue(nine);
    timer->posts = 0;
    BOOST_TEST_REQUIRE(timer->claim());
    time_point t;
    BOOST_TEST_REQUIRE(timer->next(t));
    BOOST_TEST(ticks(t) == 9);
    BOOST_TEST(s->enqueue(five) == outcome::queued); // the thread that uses the timer will see it
    timer->posted();
    BOOST_TEST(!timer->claim());
    BOOST_TEST(!timer->expire(at(1)));
    BOOST_TEST_REQUIRE(timer->next(t));
    BOOST_TEST(ticks(t) == 5);
    BOOST_TEST(!timer->next(t));
    s->cancel();
}

BOOST_AUTO_TEST_CASE(a_head_that_times_out_makes_way) {
    hand_made_timed_waiter large{3, at(5)};
    hand_made_waiter small{1};
    s->release(1);
    BOOST_TEST(enqueue(large) == outcome::queued);
    s->enqueue(small);
    timer->run();
    timer->fire(at(6));
    BOOST_TEST(large.ended_as(outcome::timed_out));
    BOOST_TEST(small.ended_as(outcome::granted));
    BOOST_TEST(s->available() == 0);
}

BOOST_AUTO_TEST_CASE(many_waiters_time_out_at_once) {
    std::deque<hand_made_timed_waiter> many;
    for (int i = 0; i < 2500; ++i)
        BOOST_TEST_REQUIRE(enqueue(many.emplace_back(1, at(5 + i % 2))) == outcome::queued);
    timer->run();
    timer->fire(at(5));
    BOOST_TEST(s->waiting() == 1250u);
    timer->fire(at(6));
    for (const auto& w : many)
        BOOST_TEST_REQUIRE(w.ended_as(outcome::timed_out));
    BOOST_TEST(timer->set_for == off);
}

BOOST_AUTO_TEST_CASE(a_deadline_does_not_end_a_cancelled_request_again) {
    link_type canceller(s);
    canceller.attach(five);
    enqueue(five);
    timer->run();
    canceller.fire();
    timer->fire(at(5));
    BOOST_TEST(five.ended_as(outcome::aborted));
    hand_made_timed_waiter again{1, at(6)};
    link_type late(s);
    late.attach(again);
    enqueue(again);
    timer->run();
    timer->fire(at(6));
    late.fire();
    BOOST_TEST(again.ended_as(outcome::timed_out));
}

BOOST_AUTO_TEST_CASE(a_shutdown_destroys_the_timer_before_the_waiters) {
    five.on_end = [&](state_pointer) {
        BOOST_TEST(timer->is_shut);
    };
    enqueue(five);
    states->shutdown();
    BOOST_TEST(five.destroyed == 1);
    timer->run();
    BOOST_TEST(timer->times_set == 0);
    timer->fire(at(9));
    BOOST_TEST(timer->times_set == 0);
    s->install_alarm(std::make_unique<hand_made_alarm>(*s));
    BOOST_TEST(s->find_alarm() == timer);
}

BOOST_AUTO_TEST_CASE(a_deadline_that_passes_while_a_shutdown_waits_ends_no_waiter) {
    hand_made_waiter head{1};
    std::atomic<bool> submitting{false};
    head.on_end = [&](state_pointer) {
        submitting = true;
        while (s->is_open())
            std::this_thread::yield();
        timer->fire(at(9));
    };
    s->enqueue(head);
    enqueue(five);
    timer->run();
    std::thread releaser([&] { s->release(1); });
    while (!submitting)
        std::this_thread::yield();
    states->shutdown();
    releaser.join();
    BOOST_TEST(head.ended_as(outcome::granted));
    BOOST_TEST(five.submitted == 0);
    BOOST_TEST(five.destroyed == 1);
}

BOOST_AUTO_TEST_CASE(a_shutdown_waits_for_the_thread_that_uses_the_timer) {
    enqueue(five);
    timer->posts = 0;
    BOOST_TEST_REQUIRE(timer->claim());
    std::thread shutter([&] { states->shutdown(); });
    while (s->is_open())
        std::this_thread::yield();
    // If the shutdown did not wait, it would have time to end here.
    for (int i = 0; i < 1000; ++i)
        std::this_thread::yield();
    const bool was_shut = timer->is_shut;
    int times = 0;
    for (time_point t; timer->next(t);)
        ++times;
    shutter.join();
    BOOST_TEST(times == 0);
    BOOST_TEST(!was_shut);
    BOOST_TEST(timer->is_shut);
    BOOST_TEST(five.destroyed == 1);
}

// What the executor drops may destroy the context on the same thread.
BOOST_AUTO_TEST_CASE(a_shutdown_inside_a_post_does_not_wait_for_itself) {
    timer->on_post = [&] {
        states->shutdown();
    };
    BOOST_TEST(s->enqueue(five) == outcome::unalarmed);
    const hand_made_alarm::expectation expected(*timer, five.at);
    expected.post();
    BOOST_TEST(timer->is_shut);
    BOOST_TEST(s->enqueue(five, true) == outcome::abandoned);
}

BOOST_AUTO_TEST_CASE(a_shutdown_while_the_timer_is_switched_off_does_not_wait_for_itself) {
    enqueue(five);
    timer->run();
    timer->on_post = [&] {
        states->shutdown();
    };
    s->release(1);
    BOOST_TEST(five.submitted == 1);
    BOOST_TEST(timer->is_shut);
}

BOOST_AUTO_TEST_CASE(a_shutdown_by_a_waiter_that_times_out_does_not_wait_for_itself) {
    enqueue(five);
    enqueue(seven);
    timer->run();
    five.on_end = [&](state_pointer) {
        states->shutdown();
    };
    const int times_set = timer->times_set;
    timer->fire(at(5));
    BOOST_TEST(five.submitted == 1);
    BOOST_TEST(seven.destroyed == 1);
    BOOST_TEST(timer->is_shut);
    BOOST_TEST(timer->times_set == times_set);
}

BOOST_AUTO_TEST_CASE(a_state_that_is_shut_accepts_no_alarm) {
    states->shutdown();
    const auto late = make(0);
    late->install_alarm(std::make_unique<hand_made_alarm>(*late));
    BOOST_TEST(late->find_alarm() == nullptr);
}

BOOST_AUTO_TEST_CASE(a_second_alarm_does_not_replace_the_first) {
    s->install_alarm(std::make_unique<hand_made_alarm>(*s));
    BOOST_TEST(s->find_alarm() == timer);
}

BOOST_AUTO_TEST_SUITE_END()
