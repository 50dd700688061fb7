// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// A table of the actions that a thread can perform on a semaphore, and the worlds in which a few
// threads perform them at the same time.

#include "explore.hpp"
#include "world.hpp"

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace asio_semaphore::model {

class contest;

/// The action of one thread.
struct action {
    const char* name;
    void (*run)(contest&, std::size_t thread);
    detail::outcome causes = detail::outcome::granted; // how it may end acquires of others
    unsigned uses = 0;        // resources that it needs exclusively, see below
    std::size_t waiters = 0;  // how many must be in the queue at first
    std::size_t acquires = 0; // how many it starts, one at most
    bool reference = true;    // whether it needs its own reference
    fate then = fate::forget; // what happens to its grant
    std::ptrdiff_t count = 1; // how many permits it acquires
    bool elsewhere = false;   // whether its acquire uses another executor
    bool gives_back = false;  // whether it returns permits that are held at first
    bool several = false;     // whether it consists of several operations
    bool on_other = false;    // whether it uses the other semaphore
};

// Resources whose use the caller has to serialise: signals, and the objects themselves.
enum : unsigned {
    head_slot = 1,
    second_slot = 2,
    head_deadline = 4,
    the_object = 8,
    the_context = 16,
    newcomer_deadline = 32,
    the_other_object = 64,
    a_new_semaphore = 128
};

/// Some threads with one action each, on one semaphore, on another, or on both.
class contest final : public world {
public:
    contest(const beginning& b, const std::vector<const action*>& actions, unsigned who_is_inside) :
        world(with_deadlines(b, actions)), actions_(actions) {
        inside = who_is_inside;
        references.resize(actions_.size());
        own_links.resize(actions_.size());
        notes.resize(actions_.size());
        bool expires = false;
        for (const action* a : actions_)
            expires = expires || (a->uses & newcomer_deadline) != 0;
        // The deadline of the first newcomers can pass at any time, so the timer is set for it
        // already.
        if (expires)
            set_timer(at(first_newcomers_deadline));
        int newcomers_deadline = first_newcomers_deadline;
        for (std::size_t i = 0; i < actions_.size(); ++i) {
            const action& a = *actions_[i];
            first_.push_back(records.size());
            if (a.acquires > 0)
                records.push_back(
                    {.count = a.count,
                     .then = a.then,
                     .deadline = expires ? at(newcomers_deadline++) : never});
            if (a.reference)
                references[i] = target(i).object.state();
        }
    }

    std::size_t threads() const override { return actions_.size(); }

    void run(std::size_t thread) override {
        scheduler::get().point(access::boundary, nullptr, actions_[thread]->name);
        actions_[thread]->run(*this, thread);
        references[thread].reset();
    }

    account& target(std::size_t thread) { return actions_[thread]->on_other ? *other : *first; }

    /// Marks the boundary between two operations of one action.
    void then(const char* what) { scheduler::get().point(access::boundary, nullptr, what); }

    std::size_t first_record(std::size_t thread) const { return first_[thread]; }

    link_type& new_link(std::size_t thread) {
        own_links[thread] = std::make_unique<link_type>(references[thread]);
        return *own_links[thread];
    }

    /// The thread's acquire. Another action makes its deadline pass.
    void start(std::size_t thread, link_type* slot = nullptr) {
        acquire_as(first_[thread], target(thread), actions_[thread]->elsewhere, slot);
    }

    /// Lets the deadline of the head pass, or that of the first thread that acquires, before or
    /// after that joins the queue.
    void expire_head() { reach(at(1)); }
    void expire_newcomer() { reach(at(first_newcomers_deadline)); }

    void end() override {
        for (const record& r : records) {
            bool caused = r.ends == 0 || r.result == detail::outcome::granted;
            for (const action* a : actions_)
                caused = caused || a->causes == r.result;
            if (!caused)
                fail(std::string("nobody caused an acquire to end as ") + to_string(r.result));
        }
        world::end();
    }

    void tear_down() override {
        own_links.clear();
        world::tear_down();
    }

    std::vector<state_pointer> references;
    std::vector<std::unique_ptr<link_type>> own_links; // in the slots of the threads' own signals

private:
    static constexpr int first_newcomers_deadline = 5;

    static beginning with_deadlines(beginning b, const std::vector<const action*>& actions) {
        for (const action* a : actions)
            b.timed |= (a->uses & head_deadline) != 0 ? 1 : 0;
        return b;
    }

    std::vector<const action*> actions_;
    std::vector<std::size_t> first_;
};

inline const std::vector<action>& actions() {
    using c = contest;
    using n = std::size_t;
    using enum detail::outcome;
    static const std::vector<action> table{
        {.name = "acquire", .run = [](c& w, n t) { w.start(t); }, .acquires = 1},
        {.name = "acquire_2",
         .run = [](c& w, n t) { w.start(t); },
         .acquires = 1,
         .then = fate::keep,
         .count = 2},
        {.name = "acquire_dropped",
         .run = [](c& w, n t) { w.start(t); },
         .acquires = 1,
         .then = fate::drop},
        {.name = "acquire_elsewhere",
         .run = [](c& w, n t) { w.start(t); },
         .acquires = 1,
         .elsewhere = true},
        {.name = "acquire_and_cancel",
         .run =
             [](c& w, n t) {
                 w.start(t, &w.new_link(t));
                 w.then("cancel");
                 w.fire(*w.own_links[t], w.first_record(t));
             },
         .causes = aborted,
         .acquires = 1,
         .several = true},
        {.name = "acquire_and_destroy_signal",
         .run =
             [](c& w, n t) {
                 w.start(t, &w.new_link(t));
                 w.then("destroy signal");
                 w.own_links[t].reset();
             },
         .acquires = 1,
         .several = true},
        {.name = "try_acquire",
         .run =
             [](c& w, n t) {
                 w.note(t, to_string(w.try_acquire(w.target(t), 1)));
             }},
        {.name = "try_acquire_2",
         .run =
             [](c& w, n t) {
                 w.note(t, to_string(w.try_acquire(w.target(t), 2)));
             }},
        {.name = "release",
         .run =
             [](c& w, n t) {
                 w.note(t, w.release(w.target(t), 1) ? "done" : "refused");
             }},
        {.name = "release_2",
         .run =
             [](c& w, n t) {
                 w.note(t, w.release(w.target(t), 2) ? "done" : "refused");
             }},
        {.name = "put_back",
         .run = [](c& w, n t) { w.put_back(w.target(t), std::move(w.references[t]), 1); },
         .gives_back = true},
        {.name = "cancel_all",
         .run = [](c& w, n t) { w.note(t, std::to_string(w.references[t]->cancel())); },
         .causes = aborted},
        {.name = "close", .run = [](c& w, n t) { w.references[t]->close(); }, .causes = closed},
        {.name = "reduce",
         .run =
             [](c& w, n t) {
                 w.reduce(w.target(t), 1);
             }},
        {.name = "reduce_2",
         .run =
             [](c& w, n t) {
                 w.reduce(w.target(t), 2);
             }},
        {.name = "destroy",
         .run = [](c& w, n) { w.first->object = owner(); },
         .causes = aborted,
         .uses = the_object,
         .reference = false},
        {.name = "shutdown",
         .run = [](c& w, n) { w.shut_down(); },
         .causes = abandoned,
         .uses = the_context,
         .reference = false},
        {.name = "cancel_head",
         .run = [](c& w, n) { w.fire(*w.slots[0], 0); },
         .causes = aborted,
         .uses = head_slot,
         .waiters = 1,
         .reference = false},
        {.name = "cancel_second",
         .run = [](c& w, n) { w.fire(*w.slots[1], 1); },
         .causes = aborted,
         .uses = second_slot,
         .waiters = 2,
         .reference = false},
        {.name = "cancel_head_and_destroy_signal",
         .run =
             [](c& w, n) {
                 w.fire(*w.slots[0], 0);
                 w.then("destroy signal");
                 w.slots[0].reset();
             },
         .causes = aborted,
         .uses = head_slot,
         .waiters = 1,
         .reference = false,
         .several = true},
        {.name = "destroy_signal",
         .run = [](c& w, n) { w.slots[0].reset(); },
         .uses = head_slot,
         .waiters = 1,
         .reference = false},
        {.name = "reuse_slot",
         .run =
             [](c& w, n t) {
                 w.slots[0].reset();
                 w.slots[0] = std::make_unique<link_type>(w.references[t]);
                 w.then("acquire");
                 w.start(t, w.slots[0].get());
                 w.then("cancel");
                 w.fire(*w.slots[0], w.first_record(t));
             },
         .causes = aborted,
         .uses = head_slot,
         .waiters = 1,
         .acquires = 1,
         .several = true},
        {.name = "expire_head",
         .run = [](c& w, n) { w.expire_head(); },
         .causes = timed_out,
         .uses = head_deadline,
         .waiters = 1,
         .reference = false},
        {.name = "expire_newcomer",
         .run = [](c& w, n) { w.expire_newcomer(); },
         .causes = timed_out,
         .uses = newcomer_deadline,
         .reference = false},
        // Meanwhile only the owners of other objects, permits and links may use an object.
        {.name = "move_and_release",
         .run =
             [](c& w, n) {
                 owner next(std::move(w.first->object));
                 w.first->object = owner();
                 w.release(*w.first, 1);
                 w.first->object = std::move(next);
             },
         .uses = the_object,
         .reference = false},
        {.name = "assign",
         .run = [](c& w, n) { w.first->object = std::move(w.other->object); },
         .causes = aborted,
         .uses = the_object | the_other_object,
         .reference = false},
        {.name = "assign_to_other",
         .run = [](c& w, n) { w.other->object = std::move(w.first->object); },
         .causes = aborted,
         .uses = the_object | the_other_object,
         .reference = false},
        {.name = "release_other",
         .run = [](c& w, n t) { w.note(t, w.release(w.target(t), 1) ? "done" : "refused"); },
         .on_other = true},
        {.name = "put_back_other",
         .run = [](c& w, n t) { w.put_back(w.target(t), std::move(w.references[t]), 1); },
         .gives_back = true,
         .on_other = true},
        {.name = "cancel_other",
         .run = [](c& w, n t) { w.note(t, std::to_string(w.references[t]->cancel())); },
         .causes = aborted,
         .on_other = true},
        {.name = "destroy_other",
         .run = [](c& w, n) { w.other->object = owner(); },
         .causes = aborted,
         .uses = the_other_object,
         .reference = false},
        {.name = "construct",
         .run =
             [](c& w, n) {
                 w.other.emplace(1, 10, w.registry);
                 w.then("acquire");
                 w.acquire(*w.other, 1, fate::forget);
                 w.then("acquire");
                 w.acquire(*w.other, 1, fate::forget);
                 w.then("destroy");
                 w.other->object = owner();
             },
         .causes = aborted,
         .uses = a_new_semaphore,
         .reference = false},
    };
    return table;
}

inline const std::vector<beginning>& beginnings() {
    static const std::vector<beginning> table{
        {"free", 1, 0, {}},
        {"none_free", 0, 0, {}},
        {"one_waits", 0, 0, {1}},
        {"heavy_head", 1, 0, {2, 1}},
        {"two_wait", 0, 0, {1, 1}, fate::forget},
        {"dropping", 0, 0, {1, 1}, fate::drop},
        {"in_debt", 0, 1, {1}, fate::forget},
        {"nearly_full", 2, 0, {}, fate::forget, 3, 0},
        {"elsewhere_head", 0, 0, {1, 1}, fate::forget, 100, 2, 1},
        {"elsewhere_second", 0, 0, {1, 1}, fate::forget, 100, 2, 2},
        {"two_semaphores", 0, 0, {1}, fate::keep, 100, 2, 0, true},
        {"timed_head", 0, 0, {1, 1}, fate::forget, 100, 2, 0, false, false, 1},
    };
    return table;
}

/// Whether these actions may run at the same time, from that initial state.
inline bool fit(const beginning& b, const std::vector<const action*>& together) {
    unsigned used = 0;
    bool newcomer = false, expires = false, about_other = false;
    for (const action* a : together) {
        if ((used & a->uses) != 0 || a->waiters > b.waiters.size())
            return false;
        // Releases may reach the maximum, so no permit must be left that returns later.
        if (b.held == 0 && (a->gives_back || (a->acquires > 0 && a->then != fate::forget)))
            return false;
        used |= a->uses;
        newcomer = newcomer || a->acquires > 0;
        expires = expires || (a->uses & newcomer_deadline) != 0;
        about_other = about_other || a->on_other || (a->uses & the_other_object) != 0;
    }
    if (about_other != b.two)
        return false;
    // A new semaphore shares only the registry with the first, so one initial state is enough.
    if ((used & a_new_semaphore) != 0 && b.name != std::string_view("one_waits"))
        return false;
    return newcomer || !expires;
}

inline std::string title_of(const beginning& b, const std::vector<const action*>& together) {
    std::string title = b.name;
    for (const action* a : together)
        title += (title == b.name ? ":" : "|") + std::string(a->name);
    return title;
}

inline std::string describe(const beginning& b, const std::vector<const action*>& together) {
    std::string text = "  at first: " + std::to_string(b.initial - b.reduced) +
                       " permits available (at most " + std::to_string(b.max) + "), waiting for:";
    if (b.waiters.empty())
        text += " nobody";
    for (std::size_t i = 0; i < b.waiters.size(); ++i)
        text += " " + std::to_string(b.waiters[i]) +
                ((b.elsewhere >> i & 1) != 0 ? " (by an executor of its own)" : "");
    if (b.two)
        text += "; another semaphore with none available, and one who waits";
    for (std::size_t i = 0; i < together.size(); ++i)
        text += std::string("\n  thread ") + static_cast<char>('a' + i) + ": " + together[i]->name;
    return text;
}

/// Explores the actions with no thread inside the executor. Then explores them with each thread
/// inside for which that makes a difference: only threads that take waiters out of the queue are
/// asked.
template <typename Bounds>
void explore(
    exploration& all, const beginning& b, const std::vector<const action*>& together,
    Bounds bounds) {
    std::set<std::string> outcomes; // shared by all explorations
    const auto with = [&](unsigned inside, const std::string& title, const std::string& text) {
        all.run(
            title_of(b, together) + title, bounds(inside != 0),
            [&] { return std::make_unique<contest>(b, together, inside); },
            describe(b, together) + text, &outcomes);
    };
    world::asked = replay_request::get() ? ~0u : 0;
    with(0, "", "");
    // A context must not be ended while a thread runs it.
    for (const action* a : together) {
        if ((a->uses & the_context) != 0)
            return;
    }
    const unsigned asked = world::asked;
    for (std::size_t i = 0; i < together.size(); ++i) {
        const std::string who(1, static_cast<char>('a' + i));
        if ((asked >> i & 1) != 0)
            with(1u << i, "," + who + "_inside", "\n  " + who + " runs the executor");
    }
}

} // namespace asio_semaphore::model
