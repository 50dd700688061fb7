// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// Deliveries that cause other deliveries: an executor destroys a handler, which owns a permit of
// another semaphore. The semaphore then serves its waiter inside the submission.

#include "explore.hpp"
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

class chain;
using body = std::function<void(chain&)>;

/// Two semaphores. One handler waits for the first, and holds a permit of the second, for which
/// another handler waits. The submission of each handler destroys it, and it then performs an
/// action. Thread a serves the first semaphore; thread b does something else.
class chain final : public scenario {
public:
    /// What the handlers do when they are destroyed, what thread b does, and the second's context.
    struct plan {
        body first_goes = gives_back_second;
        body second_goes = nothing;
        body other = nothing;
        bool second_is_elsewhere = false;
        bool have_deadlines = false; // whether the operations have deadlines
    };

    explicit chain(plan p) : plan_(std::move(p)) {
        alive = 0;
        first = state_pointer(new state_type(0, 10, here.registry), false);
        second = state_pointer(
            new state_type(1, 10, (plan_.second_is_elsewhere ? elsewhere : here).registry), false);
        if (second->try_acquire(1) != outcome::granted)
            fail("no permit");
        queue(*first, here, plan_.first_goes);
        queue(*second, plan_.second_is_elsewhere ? elsewhere : here, plan_.second_goes);
        giver_ = first;
        permit_of_second_ = other_giver = second;
    }
    ~chain() override { alive = 0; }

    std::size_t threads() const override { return 2; }

    void run(std::size_t thread) override {
        if (thread == 0) {
            giver_->release(1);
            giver_.reset();
        } else {
            plan_.other(*this);
            other_giver.reset();
        }
    }

    void end() override {
        for (state_pointer* object : {&first, &second})
            destroy(*object);
        for (context* one : {&here, &elsewhere})
            one->shut_down();
        give_back_second();
        timers.destroy_all();
        for (context* one : {&here, &elsewhere})
            one->registry.reset();
        if (alive != 0)
            fail("operations were leaked");
        if (ended_ != 2)
            fail("an operation has not ended, or has ended twice");
    }

    // Actions of handlers and threads.

    static void nothing(chain&) {}
    static void gives_back_second(chain& c) { c.give_back_second(); }

    void give_back_second() {
        if (state_pointer permit = std::move(permit_of_second_))
            permit.detach()->put_back(1);
    }

    static void destroy(state_pointer& object) {
        if (const state_pointer last = std::move(object))
            last->abort();
    }

    struct context {
        void shut_down() {
            registry->shutdown();
            scheduler::get().point(access::write, this, "end of the context");
            scheduler::get().trace_value(0);
            alive = false;
            ended_by = scheduler::get().current();
        }

        boost::intrusive_ptr<registry_type> registry{new registry_type};
        bool alive = true;
        int ended_by = scheduler::outside;
    };

    timer_executor timers; // the timers of both contexts
    context here, elsewhere;
    state_pointer first, second; // the references of the semaphore objects
    state_pointer other_giver;   // thread b's reference to the second

private:
    template <typename Waiter>
    struct handler final : Waiter {
        template <typename... Args>
        handler(chain& c, context& where, const body& what, Args... args) :
            Waiter(1, args...), all(c), of(where), goes(what) {
            ++alive;
        }
        ~handler() { --alive; }

        void submit() noexcept override {
            context& where = of;
            submission(where, "begin of a submission");
            if (!where.alive)
                fail("an operation is submitted to a context that has shut down");
            end();
            submission(where, "end of a submission");
            if (!where.alive && where.ended_by != scheduler::get().current())
                fail("a context ends in the middle of a submission by another thread");
        }
        void destroy() noexcept override { end(); }
        bool is_inside() const noexcept override { return false; }
        void hold_work() noexcept override {}

        void end() {
            chain& c = all;
            const body& what = goes;
            ++c.ended_;
            const bool granted = this->result == outcome::granted;
            state_pointer reference(static_cast<state_type*>(this->state), false);
            delete this;
            what(c);
            if (granted)
                reference.detach()->put_back(1);
        }

        chain& all;
        context& of;
        const body& goes;
    };

    void queue(state_type& state, context& of, const body& goes) {
        outcome result;
        if (plan_.have_deadlines) {
            using timed_handler = handler<timed_waiter_type>;
            auto own = std::make_unique<timed_handler>(*this, of, goes, at(1));
            result = enqueue_timed(timers, &state, *own);
            timers.run();
            static_cast<void>(own.release());
        } else {
            auto own = std::make_unique<handler<waiter_type>>(*this, of, goes);
            result = state.enqueue(*own);
            static_cast<void>(own.release());
        }
        if (result != outcome::queued)
            fail("not queued");
    }

    static void submission(const context& of, const char* what) {
        scheduler::get().point(access::read, &of, what);
        scheduler::get().trace_value(of.alive);
    }

    static void fail(const std::string& why) { scheduler::get().fail(why); }

    static inline int alive = 0;

    const plan plan_;
    state_pointer giver_;
    state_pointer permit_of_second_;
    int ended_ = 0;
};

void explore(const std::string& title, const chain::plan& plan) {
    exploration all;
    all.run(
        "chain:" + title, {bound(any_number, 0), bound(long_run() ? 2 : 1, 1)},
        [&] { return std::make_unique<chain>(plan); },
        "  thread a serves a waiter whose handler holds a permit of another semaphore\n  " + title);
}

void ends_here(chain& c) {
    c.here.shut_down();
    c.give_back_second();
}
void releases_second(chain& c) {
    c.other_giver->release(1);
}
void destroys_first(chain& c) {
    chain::destroy(c.first);
}
void destroys_second(chain& c) {
    chain::destroy(c.second);
}

} // namespace

BOOST_AUTO_TEST_SUITE(model_chains)

BOOST_AUTO_TEST_CASE(the_second_semaphore_is_destroyed_while_its_waiter_is_served_in_the_chain) {
    explore("destroy_second", {.other = destroys_second});
}

BOOST_AUTO_TEST_CASE(the_first_semaphore_is_destroyed_while_its_waiter_is_served) {
    explore("destroy_first", {.other = destroys_first});
}

BOOST_AUTO_TEST_CASE(the_context_is_destroyed_in_the_middle_of_the_chain) {
    explore("shutdown", {.other = [](chain& c) {
                c.here.shut_down();
            }});
}

BOOST_AUTO_TEST_CASE(a_handler_destroys_the_context_while_another_thread_submits_to_it) {
    explore("context_goes|release_second", {.first_goes = ends_here, .other = releases_second});
}

BOOST_AUTO_TEST_CASE(a_handler_destroys_the_context_while_a_semaphore_dies) {
    explore("context_goes|destroy_second", {.first_goes = ends_here, .other = destroys_second});
}

BOOST_AUTO_TEST_CASE(a_handler_destroys_the_context_whose_timer_is_to_be_switched_off) {
    for (const auto& [title, other] : {
             std::pair("release_second", body(releases_second)),
             std::pair("destroy_second", body(destroys_second)),
         }) {
        chain::plan p{.first_goes = ends_here, .other = other};
        p.have_deadlines = true;
        explore(std::string("context_goes,timed|") + title, p);
    }
}

// The first handler returns the permit that the second one waits for, and ends another context. The
// thread first submits the waiters that it has not submitted yet, in a submission inside the first
// handler's. There the second handler ends the context of the first one. It must not wait for
// either of the two submissions.
BOOST_AUTO_TEST_CASE(a_context_ends_inside_of_two_submissions_to_it) {
    const body gives_back_and_ends_elsewhere = [](chain& c) {
        c.give_back_second();
        c.elsewhere.shut_down();
    };
    const body ends_the_first = [](chain& c) {
        c.here.shut_down();
    };
    const auto both_go = [&](const std::string& title, const body& other, bool elsewhere) {
        explore(
            "both_contexts_go|" + title,
            {gives_back_and_ends_elsewhere, ends_the_first, other, elsewhere});
    };
    both_go("destroy_first", destroys_first, false);
    both_go("destroy_second", destroys_second, false);
    both_go("release_second", releases_second, false);
    // Thread b does not submit to the other context here: its handler would wait for a's
    // submission, and a's handler for b's. A handler must not wait for a thread that ends a
    // context.
    both_go("destroy_first,second_elsewhere", destroys_first, true);
}

BOOST_AUTO_TEST_SUITE_END()
