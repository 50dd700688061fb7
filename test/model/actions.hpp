#pragma once

// The table of what a thread can do to a semaphore, and the worlds in which a few threads do it at
// the same time.

#include "world.hpp"

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace asio_semaphore::model {

class contest;

/// What one thread does.
struct action {
    const char* name;
    void (*run)(contest&, std::size_t thread);
    unsigned uses = 0;        // what it must have for itself, see below
    std::size_t waiters = 0;  // how many have to be in the queue at the beginning
    std::size_t acquires = 0; // how many it starts
    bool reference = true;    // whether it needs a reference of its own
    fate then = fate::forget; // of its acquires
    std::ptrdiff_t count = 1; // of the first of them
    bool gives_back = false;  // permits that are in somebody's hands at the beginning
};

// The caller serialises what is done to one signal, and to the objects themselves.
enum : unsigned {
    head_slot = 1,
    second_slot = 2,
    head_deadline = 4,
    the_object = 8,
    the_context = 16,
    newcomer_deadline = 32
};

/// Some threads with one action each, on one semaphore.
class contest final : public world {
public:
    contest(const beginning& b, std::vector<const action*> actions) :
        world(b), actions_(std::move(actions)) {
        references.resize(actions_.size());
        own_links.resize(actions_.size());
        newcomer_links.resize(actions_.size());
        notes.resize(actions_.size());
        bool expires = false;
        for (const action* a : actions_)
            expires = expires || (a->uses & newcomer_deadline) != 0;
        for (std::size_t i = 0; i < actions_.size(); ++i) {
            first_.push_back(records.size());
            for (std::size_t k = 0; k < actions_[i]->acquires; ++k)
                records.push_back(
                    {k == 0 ? actions_[i]->count : 1, actions_[i]->then, detail::outcome::queued,
                     0});
            if (actions_[i]->reference)
                references[i] = object;
            if (expires && actions_[i]->acquires > 0)
                newcomer_links[i] = std::make_shared<link_type>(object, detail::outcome::timed_out);
        }
    }

    std::size_t threads() const override { return actions_.size(); }

    void run(std::size_t thread) override {
        scheduler::get().point(access::boundary, nullptr, actions_[thread]->name);
        actions_[thread]->run(*this, thread);
        references[thread].reset();
    }

    /// Between two operations of one action.
    void then(const char* what) { scheduler::get().point(access::boundary, nullptr, what); }

    /// The thread's k-th acquire; the deadline of the first is somebody else's business.
    void start(std::size_t thread, std::size_t k = 0, link_type* slot = nullptr) {
        std::vector<link_type*> links;
        const std::shared_ptr<link_type> deadline = k == 0 ? newcomer_links[thread] : nullptr;
        if (deadline != nullptr)
            links.push_back(deadline.get());
        if (slot != nullptr)
            links.push_back(slot);
        acquire_as(first_[thread] + k, *references[thread], links);
    }

    /// The link to the deadline of another thread's acquire; what the timer holds.
    std::shared_ptr<link_type> take_newcomer_deadline() {
        for (auto& link : newcomer_links) {
            if (link != nullptr)
                return link;
        }
        return nullptr;
    }

    void tear_down() override {
        own_links.clear();
        newcomer_links.clear();
        world::tear_down();
    }

    std::vector<state_pointer> references;
    std::vector<std::unique_ptr<link_type>> own_links; // in the slots of the threads' own signals
    std::vector<std::shared_ptr<link_type>> newcomer_links;

private:
    std::vector<const action*> actions_;
    std::vector<std::size_t> first_;
};

inline const std::vector<action>& actions() {
    using c = contest;
    using n = std::size_t;
    static const std::vector<action> table{
        {"acquire", [](c& w, n t) { w.start(t); }, 0, 0, 1},
        {"acquire_2", [](c& w, n t) { w.start(t); }, 0, 0, 1, true, fate::keep, 2},
        {"acquire_dropped", [](c& w, n t) { w.start(t); }, 0, 0, 1, true, fate::drop},
        {"acquire_and_cancel",
         [](c& w, n t) {
             w.own_links[t] =
                 std::make_unique<link_type>(w.references[t], detail::outcome::aborted);
             w.start(t, 0, w.own_links[t].get());
             w.then("cancel");
             w.own_links[t]->fire();
         },
         0, 0, 1},
        {"acquire_and_destroy_signal",
         [](c& w, n t) {
             w.own_links[t] =
                 std::make_unique<link_type>(w.references[t], detail::outcome::aborted);
             w.start(t, 0, w.own_links[t].get());
             w.then("destroy signal");
             w.own_links[t].reset();
         },
         0, 0, 1},
        {"try_acquire",
         [](c& w, n t) {
             w.note(t, to_string(w.try_acquire(*w.references[t], 1)));
         }},
        {"try_acquire_2",
         [](c& w, n t) {
             w.note(t, to_string(w.try_acquire(*w.references[t], 2)));
         }},
        {"release",
         [](c& w, n t) {
             w.note(t, w.release(*w.references[t], 1) ? "done" : "refused");
         }},
        {"release_2",
         [](c& w, n t) {
             w.note(t, w.release(*w.references[t], 2) ? "done" : "refused");
         }},
        {"put_back", [](c& w, n t) { w.put_back(std::move(w.references[t]), 1); }, 0, 0, 0, true,
         fate::forget, 1, true},
        {"cancel_all",
         [](c& w, n t) {
             w.note(t, std::to_string(w.references[t]->cancel()));
         }},
        {"close",
         [](c& w, n t) {
             w.references[t]->close();
         }},
        {"reduce",
         [](c& w, n t) {
             w.reduce(*w.references[t], 1);
         }},
        {"reduce_2",
         [](c& w, n t) {
             w.reduce(*w.references[t], 2);
         }},
        {"destroy", [](c& w, n) { w.destroy_object(); }, the_object, 0, 0, false},
        {"shutdown", [](c& w, n) { w.shut_down(); }, the_context, 0, 0, false},
        {"cancel_head", [](c& w, n) { w.slots[0]->fire(); }, head_slot, 1, 0, false},
        {"cancel_second", [](c& w, n) { w.slots[1]->fire(); }, second_slot, 2, 0, false},
        {"cancel_head_and_destroy_signal",
         [](c& w, n) {
             w.slots[0]->fire();
             w.then("destroy signal");
             w.slots[0].reset();
         },
         head_slot, 1, 0, false},
        {"destroy_signal", [](c& w, n) { w.slots[0].reset(); }, head_slot, 1, 0, false},
        {"reuse_slot",
         [](c& w, n t) {
             w.slots[0].reset();
             w.slots[0] = std::make_unique<link_type>(w.references[t], detail::outcome::aborted);
             w.then("acquire");
             w.start(t, 0, w.slots[0].get());
             w.then("cancel");
             w.slots[0]->fire();
         },
         head_slot, 1, 1},
        {"expire_head",
         [](c& w, n) {
             w.deadlines[0]->fire();
             w.then("destroy timer");
             w.deadlines[0].reset();
         },
         head_deadline, 1, 0, false},
        {"expire_newcomer",
         [](c& w, n) {
             const std::shared_ptr<link_type> link = w.take_newcomer_deadline();
             link->fire();
         },
         newcomer_deadline, 0, 0, false},
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
    };
    return table;
}

/// Whether these can be done at the same time, from that beginning.
inline bool fit(const beginning& b, const std::vector<const action*>& together) {
    unsigned used = 0;
    bool newcomer = false, expires = false;
    for (const action* a : together) {
        if ((used & a->uses) != 0 || a->waiters > b.waiters.size())
            return false;
        // Releases may fill it up: nothing must be left to be given back as a permit.
        if (b.held == 0 && (a->gives_back || (a->acquires > 0 && a->then != fate::forget)))
            return false;
        used |= a->uses;
        newcomer = newcomer || a->acquires > 0;
        expires = expires || (a->uses & newcomer_deadline) != 0;
    }
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
    for (const std::ptrdiff_t n : b.waiters)
        text += " " + std::to_string(n);
    for (std::size_t i = 0; i < together.size(); ++i)
        text += std::string("\n  thread ") + static_cast<char>('a' + i) + ": " + together[i]->name;
    return text;
}

} // namespace asio_semaphore::model
