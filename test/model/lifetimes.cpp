// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// A call serves a handler that destroys the semaphore before the call has returned. The caller
// keeps nothing alive: it has only the semaphore itself, a permit or a signal. So after its first
// submission the call must not touch the semaphore.

#include "explore.hpp"
#include "world.hpp"

#include <boost/test/unit_test.hpp>

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace asio_semaphore::model;

/// A semaphore whose first waiter owns it, and whose second does not. Thread a performs a deed on
/// the semaphore, and meanwhile thread b performs another one.
class owned_by_a_handler final : public world {
public:
    struct deed {
        const char* name;
        void (*run)(owned_by_a_handler&);
        bool by_the_object = false; // by the object, which only the first waiter may destroy
        bool may_end_first = false;
        bool by_a_permit = false;
        bool ends_context = false;
        unsigned by = 0; // the links that it uses
    };
    enum : unsigned { head_slot = 1, second_slot = 2, head_deadline = 4 };

    owned_by_a_handler(const beginning& b, const std::vector<const deed*>& deeds) :
        world(with_deadlines(b, deeds)), deeds_(deeds), permits_(deeds.size()) {
        records[1].then = fate::forget;
        for (std::size_t i = 0; i < deeds_.size(); ++i) {
            if (deeds_[i]->by_a_permit)
                permits_[i] = first->object.state();
        }
        // A link keeps the state alive, so only the links that a deed uses exist.
        unsigned used = 0;
        for (const deed* d : deeds_)
            used |= d->by;
        if ((used & head_slot) == 0)
            slots[0].reset();
        if ((used & second_slot) == 0)
            slots[1].reset();
    }

    std::size_t threads() const override { return deeds_.size(); }

    void run(std::size_t thread) override {
        scheduler::get().point(access::boundary, nullptr, deeds_[thread]->name);
        deeds_[thread]->run(*this);
    }

    void put_back_a_permit() {
        const int me = scheduler::get().current();
        put_back(*first, std::move(permits_[static_cast<std::size_t>(me)]), 1);
    }

private:
    // The timer keeps the state alive too, so it is set only if a deed uses it.
    static beginning with_deadlines(beginning b, const std::vector<const deed*>& deeds) {
        for (const deed* d : deeds)
            b.timed |= (d->by & head_deadline) != 0 ? 1 : 0;
        return b;
    }

    const std::vector<const deed*> deeds_;
    std::vector<state_pointer> permits_; // the references of one permit each
};

using deed = owned_by_a_handler::deed;
using owned = owned_by_a_handler;

const std::vector<deed>& calls() {
    static const std::vector<deed> table{
        {.name = "release", .run = [](owned& w) { w.release(*w.first, 1); }, .by_the_object = true},
        {.name = "release_2",
         .run = [](owned& w) { w.release(*w.first, 2); },
         .by_the_object = true},
        {.name = "cancel",
         .run = [](owned& w) { w.note(0, std::to_string(w.first->state->cancel())); },
         .by_the_object = true},
        {.name = "close", .run = [](owned& w) { w.first->state->close(); }, .by_the_object = true},
        {.name = "put_back", .run = [](owned& w) { w.put_back_a_permit(); }, .by_a_permit = true},
        {.name = "cancel_head",
         .run = [](owned& w) { w.fire(*w.slots[0], 0); },
         .by = owned::head_slot},
        {.name = "expire_head",
         .run = [](owned& w) { w.reach(at(1)); },
         .by = owned::head_deadline},
    };
    return table;
}

const std::vector<deed>& others() {
    static const std::vector<deed> table{
        {.name = "cancel_second",
         .run = [](owned& w) { w.fire(*w.slots[1], 1); },
         .by = owned::second_slot},
        {.name = "destroy_second_signal",
         .run = [](owned& w) { w.slots[1].reset(); },
         .by = owned::second_slot},
        {.name = "put_back",
         .run = [](owned& w) { w.put_back_a_permit(); },
         .may_end_first = true,
         .by_a_permit = true},
        {.name = "shutdown",
         .run = [](owned& w) { w.shut_down(); },
         .may_end_first = true,
         .ends_context = true},
    };
    return table;
}

const deed polls{.name = "poll", .run = [](owned& w) {
                     for (int i = 0; i < 2; ++i) {
                         scheduler::get().point(access::boundary, nullptr, "poll");
                         w.poll();
                     }
                 }};

void explore(
    exploration& all, const beginning& b, const std::vector<const deed*>& deeds, unsigned inside) {
    std::string title = b.name;
    for (const deed* d : deeds)
        title += (d == deeds.front() ? ":" : "|") + std::string(d->name);
    for (std::size_t i = 0; i < deeds.size(); ++i) {
        if ((inside >> i & 1) != 0)
            title += std::string(",") + static_cast<char>('a' + i) + "_inside";
    }
    // All interleavings, but in a short run only for two threads with few, and never for three.
    int preemptions = deeds.back()->ends_context && !long_run() ? 3 : any_number;
    if (deeds.size() > 2)
        preemptions = long_run() ? 3 : 2;
    const std::vector<settings> bounds{
        bound(preemptions, 0), bound(long_run() && deeds.size() < 3 ? 2 : 1, 1)};
    all.run(
        title, bounds,
        [&] {
            auto own = std::make_unique<owned>(b, deeds);
            own->inside = inside;
            return own;
        },
        "  the semaphore belongs to the handler of the first of two who wait\n  " + title);
}

} // namespace

BOOST_AUTO_TEST_SUITE(model_lifetimes)

BOOST_AUTO_TEST_CASE(a_handler_destroys_the_semaphore_whose_call_serves_it) {
    exploration all;
    const beginning b{"served_at_once", 0, 0, {1, 1}, fate::destroy};
    for (const deed& call : calls()) {
        for (const unsigned inside : {0u, 1u}) {
            explore(all, b, {&call}, inside);
            for (const deed& other : others()) {
                if (!(call.by_the_object && other.may_end_first) &&
                    !(other.ends_context && inside != 0))
                    explore(all, b, {&call, &other}, inside);
            }
        }
    }
    all.print_total("calls to semaphores that their handlers destroy");
}

BOOST_AUTO_TEST_CASE(another_thread_runs_the_handler_before_the_call_returns) {
    exploration all;
    beginning b{"served_later", 0, 0, {1, 1}, fate::destroy};
    b.handlers_run = true;
    for (const deed& call : calls()) {
        for (const unsigned inside : {2u, 3u}) {
            explore(all, b, {&call, &polls}, inside);
            for (const deed& other : others()) {
                if (!(call.by_the_object && other.may_end_first) && !other.ends_context)
                    explore(all, b, {&call, &polls, &other}, inside);
            }
        }
    }
    all.print_total("calls to semaphores that handlers in another thread destroy");
}

BOOST_AUTO_TEST_SUITE_END()
