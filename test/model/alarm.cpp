// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// The protocol of the alarm. Some threads begin and end operations with a deadline, and others run
// the executor of the timer. Posts are refused or dropped, and the semaphore and the context are
// destroyed.

#include "explore.hpp"
#include "timers.hpp"
#include "world.hpp"

#include <boost/test/unit_test.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace asio_semaphore::model;

struct deed;

/// A semaphore without a free permit. Each thread has one reference, and performs a deed.
class timed_world final : public world {
public:
    /// The initial state: the deadlines of the waiters; 0 means no deadline.
    struct start {
        const char* name;
        std::vector<int> deadlines;
        int timer = 0;           // the timer is set for this time, without a waiter
        bool is_pending = false; // the alarm has not handled the deadlines yet
    };

    timed_world(const start& s, const std::vector<const deed*>& deeds) :
        world(with_nobody()), deeds_(deeds), is_set_for_nobody_(s.timer != 0) {
        records.reserve(8);
        if (s.timer != 0)
            set_timer(at(s.timer));
        for (const int deadline : s.deadlines) {
            slots.push_back(std::make_unique<link_type>(first->object.state()));
            acquire(
                *first, 1, fate::forget, false, slots.back().get(),
                deadline != 0 ? at(deadline) : never);
            if (!s.is_pending)
                executor.run();
        }
        first->begin();
        references.assign(deeds.size(), first->object.state());
        are_many_ = may_be_many(s, deeds);
    }

    std::size_t threads() const override { return deeds_.size(); }
    void run(std::size_t thread) override;

    /// An initiation. The executor may refuse the post for the timer.
    void initiate(int deadline) {
        const std::size_t index = records.size();
        records.push_back({.then = fate::forget, .deadline = at(deadline)});
        acquire_as(index, *first);
    }

    void install_timer() {
        auto made = std::make_unique<model_alarm>(*first->state, executor);
        made->is_used = true;
        first->state->install_alarm(std::move(made));
    }

    /// This thread runs the executor this many times.
    void run_executor(int times) {
        for (int i = 0; i < times; ++i) {
            scheduler::get().point(access::boundary, nullptr, "run");
            if (!executor.run_one())
                executor.fire_one();
        }
    }

    // A call that ends several waiters lets other calls in between, so it counts as several
    // operations. Only results with at most one ended waiter are compared with those of whole
    // operations.
    std::string summary() override {
        const std::string text = world::summary();
        return are_many_ ? "several ended" : text;
    }

    /// Called when all threads have ended. The clock does not move any more.
    void end() override {
        executor.run();
        if (executor.has_lost && context_alive && first->alive && first->object.state() &&
            first->state->is_open()) {
            // The next waiter with an earlier deadline sets the timer for all waiters. If the timer
            // could not be set, a waiter with a later deadline does so too.
            executor.refuses = executor.drops = executor.cannot_set = 0;
            initiate(executor.could_not_set ? 50 : 1);
            executor.run();
            if (records.back().result != outcome::granted)
                executor.has_lost = false;
        }
        check_the_timer("in the end");
        // The remaining waiters may end one by one or all at once.
        if (context_alive) {
            is_set_for_nobody_ = false;
            executor.now = at(100);
            executor.run();
            check_the_timer("after all deadlines");
        }
        for (const record& r : records) {
            if (context_alive && !executor.has_lost && r.ends == 0 && r.deadline != never)
                fail("somebody waits beyond all deadlines");
        }
        executor.now = at(0);
        world::end();
    }

    std::vector<state_pointer> references;

private:
    static bool may_be_many(const start& s, const std::vector<const deed*>& deeds);

    static beginning with_nobody() { return {.name = "", .waiters = {}}; }

    // If a post was lost, an operation may be late, or the timer may be set without a waiter.
    void check_the_timer(const std::string& when) {
        if (executor.has_lost || !context_alive || !first->alive)
            return;
        time_point earliest = never;
        for (const record& r : records) {
            if (r.ends == 0)
                earliest = std::min(earliest, r.deadline);
        }
        auto* const timer = static_cast<model_alarm*>(first->state->find_alarm());
        const time_point set_for = timer != nullptr ? timer->set_for() : never;
        if (set_for > earliest)
            fail(when + " somebody waits whose deadline no timer is set for");
        // A timer that was set without a waiter at first fires at its time.
        if (earliest == never && set_for != never && !is_set_for_nobody_)
            fail(when + " the timer is set for nobody");
        if (earliest <= executor.now)
            fail(when + " somebody waits beyond a deadline");
    }

    const std::vector<const deed*> deeds_;
    bool is_set_for_nobody_, are_many_ = false;
};

/// The deed of one thread.
struct deed {
    const char* name;
    void (*run)(timed_world&, std::size_t thread);
    bool begins = false; // whether it begins a wait
};

bool timed_world::may_be_many(const start& s, const std::vector<const deed*>& deeds) {
    std::size_t waits = s.deadlines.size();
    for (const deed* d : deeds)
        waits += d->begins ? 1 : 0;
    return waits > 1;
}

void timed_world::run(std::size_t thread) {
    scheduler::get().point(access::boundary, nullptr, deeds_[thread]->name);
    deeds_[thread]->run(*this, thread);
    references[thread].reset();
}

using w = timed_world;
using n = std::size_t;

// Initiations. The deadlines of the initial waiters are 5 and 7.
const deed begins{"begin", [](w& x, n) { x.initiate(6); }, true};
const deed begins_earlier{"begin_earlier", [](w& x, n) { x.initiate(3); }, true};
const deed begins_later{"begin_later", [](w& x, n) { x.initiate(9); }, true};

// Threads that run the executor.
const deed runs{"run", [](w& x, n) {
                    x.run_executor(1);
                }};
const deed runs_twice{"run_twice", [](w& x, n) {
                          x.run_executor(2);
                      }};
const deed fires{"fire", [](w& x, n) {
                     x.reach(at(5));
                 }};
const deed fires_late{"fire_late", [](w& x, n) {
                          x.reach(at(8));
                      }};
const deed drops{"drop", [](w& x, n) {
                     scheduler::get().point(access::boundary, nullptr, "drop");
                     x.executor.drop_one();
                 }};

// Operations that end waits.
const deed releases{"release", [](w& x, n) {
                        x.release(*x.first, 1);
                    }};
const deed releases_2{"release_2", [](w& x, n) {
                          x.release(*x.first, 2);
                      }};
const deed cancels_first{"cancel_first", [](w& x, n) {
                             x.fire(*x.slots[0], 0);
                         }};
const deed cancels_second{"cancel_second", [](w& x, n) {
                              x.fire(*x.slots[1], 1);
                          }};
const deed cancels{"cancel", [](w& x, n t) {
                       x.references[t]->cancel();
                   }};
const deed closes{"close", [](w& x, n t) {
                      x.references[t]->close();
                  }};
const deed destroys{"destroy", [](w& x, n) {
                        x.first->object = owner();
                    }};
const deed destroys_the_last{"destroy_last", [](w& x, n t) {
                                 x.references[t].reset();
                                 x.first->object = owner();
                             }};
const deed shuts_down{"shutdown", [](w& x, n) {
                          x.shut_down();
                      }};

const w::start nobody_waits{"nobody", {}};
const w::start set_for_nobody{"set_for_nobody", {}, 5};
const w::start one_waits{"one", {5}};
const w::start two_wait{"two", {5, 7}};
const w::start two_wait_for_the_same_time{"two_for_the_same_time", {5, 5}};
const w::start second_is_earlier{"second_is_earlier", {7, 5}};
const w::start one_without_waits_too{"one_without_too", {5, 0}};
const w::start one_pends{"one_pends", {5}, 0, true};

struct searched {
    std::function<void(timed_world&)> prepare;
    const char* with = "";
};

void explore(
    exploration& all, const w::start& s, const std::vector<const deed*>& deeds,
    const searched& how = {}) {
    std::string title = std::string(s.name) + how.with;
    for (std::size_t i = 0; i < deeds.size(); ++i)
        title += (i == 0 ? ":" : "|") + std::string(deeds[i]->name);
    int preemptions = long_run() ? any_number : s.deadlines.empty() ? 3 : 2;
    if (deeds.size() > 2)
        preemptions = long_run() ? 2 : 1;
    else if (deeds.back() == &shuts_down) // a shutdown waits for the other threads
        preemptions = long_run() ? 3 : 2;
    const std::vector bounds{bound(preemptions, 0)};
    all.run(
        title, bounds,
        [&] {
            auto made = std::make_unique<timed_world>(s, deeds);
            if (how.prepare)
                how.prepare(*made);
            return made;
        },
        "  the alarm: " + title);
}

const std::vector<const deed*> ends{&releases, &cancels, &closes, &destroys, &shuts_down};

} // namespace

BOOST_AUTO_TEST_SUITE(model_alarm)

BOOST_AUTO_TEST_CASE(a_wait_begins_while_the_executor_runs) {
    exploration all;
    for (const w::start* s : {&nobody_waits, &set_for_nobody, &one_waits, &two_wait, &one_pends}) {
        for (const deed* begin : {&begins, &begins_earlier, &begins_later}) {
            for (const deed* run : {&runs, &runs_twice, &fires, &fires_late})
                explore(all, *s, {begin, run});
            for (const deed* end : ends)
                explore(all, *s, {begin, end});
        }
    }
    all.print_total("beginnings of waits");
}

BOOST_AUTO_TEST_CASE(two_waits_begin_while_the_executor_runs) {
    exploration all;
    for (const w::start* s : {&nobody_waits, &set_for_nobody, &one_waits}) {
        for (const deed* second : {&begins, &begins_earlier, &begins_later}) {
            explore(all, *s, {&begins, second});
            for (const deed* run : {&runs, &runs_twice, &fires})
                explore(all, *s, {&begins, second, run});
        }
    }
    all.print_total("beginnings of two waits");
}

BOOST_AUTO_TEST_CASE(a_wait_begins_and_ends_while_the_executor_runs) {
    exploration all;
    for (const w::start* s : {&nobody_waits, &set_for_nobody, &one_waits}) {
        for (const deed* begin : {&begins, &begins_earlier}) {
            for (const deed* end : ends) {
                for (const deed* run : {&runs, &fires})
                    explore(all, *s, {begin, end, run});
            }
        }
    }
    all.print_total("waits that begin and end");
}

BOOST_AUTO_TEST_CASE(waits_end_while_the_executor_runs) {
    exploration all;
    for (const w::start* s :
         {&one_waits, &two_wait, &two_wait_for_the_same_time, &second_is_earlier,
          &one_without_waits_too, &one_pends}) {
        std::vector<const deed*> of_these{&releases_2, &cancels_first};
        if (s->deadlines.size() > 1)
            of_these.push_back(&cancels_second);
        of_these.insert(of_these.end(), ends.begin(), ends.end());
        for (const deed* end : of_these) {
            for (const deed* run : {&runs_twice, &fires, &fires_late})
                explore(all, *s, {end, run});
            explore(all, *s, {end, &runs, &fires});
        }
    }
    all.print_total("ends of waits");
}

// Nobody waits any more, so the thread that destroys the semaphore drops the last reference to the
// state.
BOOST_AUTO_TEST_CASE(a_state_with_a_timer_ends_while_its_context_is_destroyed) {
    exploration all;
    const searched with_a_timer{
        [](w& x) {
            x.install_timer();
            x.references.clear();
            x.references.resize(2);
        },
        ",with_a_timer"};
    explore(all, nobody_waits, {&destroys_the_last, &shuts_down}, with_a_timer);
    all.print_total("last references beside the end of the context");
}

// Several threads run the executor: expired timers and posted functions run at the same time.
BOOST_AUTO_TEST_CASE(threads_of_the_executor_meet_at_the_timer) {
    exploration all;
    for (const w::start* s : {&one_waits, &two_wait, &two_wait_for_the_same_time, &one_pends}) {
        explore(all, *s, {&fires, &fires_late});
        explore(all, *s, {&runs, &fires, &fires_late});
        explore(all, *s, {&begins_earlier, &runs, &runs});
        explore(all, *s, {&begins_earlier, &fires, &runs_twice});
        explore(all, *s, {&cancels, &runs, &runs});
    }
    all.print_total("threads of the executor");
}

BOOST_AUTO_TEST_CASE(posts_are_dropped_or_refused) {
    exploration all;
    const searched a_drop{[](w& x) { x.executor.drops = 1; }, ",a_drop"};
    const searched a_timer_that_cannot_be_set{
        [](w& x) { x.executor.cannot_set = 1; }, ",cannot_set"};
    for (const w::start* s : {&nobody_waits, &set_for_nobody, &one_waits, &one_pends}) {
        for (const searched* how : {&a_drop, &a_timer_that_cannot_be_set}) {
            for (const deed* begin : {&begins, &begins_earlier}) {
                explore(all, *s, {begin, &runs}, *how);
                explore(all, *s, {begin, &fires}, *how);
                explore(all, *s, {begin, &begins_later, &runs}, *how);
            }
        }
        for (const deed* begin : {&begins, &begins_earlier}) {
            explore(all, *s, {begin, &drops});
            explore(all, *s, {begin, &drops, &runs});
        }
    }
    // The refused or dropped post would switch the timer off.
    const searched a_refusal{[](w& x) { x.executor.refuses = 1; }, ",a_refusal"};
    for (const w::start* s : {&one_waits, &two_wait}) {
        for (const searched* how : {&a_drop, &a_refusal}) {
            for (const deed* end : {&releases_2, &cancels, &cancels_first, &shuts_down}) {
                explore(all, *s, {end, &runs}, *how);
                explore(all, *s, {end, &fires}, *how);
            }
        }
    }
    all.print_total("posts that fail");
}

BOOST_AUTO_TEST_SUITE_END()
