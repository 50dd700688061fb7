#pragma once

// A semaphore's state as the explorer sees it: the state layer that ships, over the explorer's
// threads, with waiters whose delivery is recorded, and the guarantees as checks.

#include "scheduler.hpp"

#include <asio_semaphore/detail/semaphore_state.hpp>
#include <asio_semaphore/impl/semaphore_state.ipp>

#include <boost/smart_ptr/intrusive_ptr.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace asio_semaphore::model {

using detail::away_keeper;
using detail::outcome;
using state_type = detail::semaphore_state<model_threads>;
using registry_type = detail::state_registry<model_threads>;
using link_type = detail::cancellation_link<model_threads>;
using waiter_type = detail::waiter<model_threads>;
using queue_type = detail::wait_queue<model_threads>;
using state_pointer = boost::intrusive_ptr<state_type>;

// Private members of the state, for the checks: an explicit instantiation may name them.
template <typename Tag, typename Tag::type Member>
struct opened {
    friend typename Tag::type member_of(Tag) { return Member; }
};
struct word_tag {
    using type = model_atomic<std::int64_t> state_type::*;
    friend type member_of(word_tag);
};
struct mutex_tag {
    using type = model_mutex state_type::*;
    friend type member_of(mutex_tag);
};
struct queue_tag {
    using type = queue_type state_type::*;
    friend type member_of(queue_tag);
};
struct waiting_tag {
    using type = model_atomic<std::size_t> state_type::*;
    friend type member_of(waiting_tag);
};
struct lifetime_tag {
    using type = model_atomic<std::uint64_t> state_type::*;
    friend type member_of(lifetime_tag);
};
template struct opened<word_tag, &state_type::word_>;
template struct opened<mutex_tag, &state_type::mutex_>;
template struct opened<queue_tag, &state_type::queue_>;
template struct opened<waiting_tag, &state_type::waiting_>;
template struct opened<lifetime_tag, &state_type::lifetime_>;

inline const char* to_string(outcome o) {
    static constexpr const char* names[] = {"granted", "queued",  "invalid_argument", "exceeds_max",
                                            "closed",  "aborted", "timed_out",        "abandoned"};
    return names[static_cast<std::size_t>(o)];
}

/// What becomes of a delivery that was granted.
enum class fate : unsigned char {
    keep,   ///< its handler runs and keeps the permits as an object
    forget, ///< its handler runs and lets go of the permit object; the permits stay out
    drop    ///< the executor destroys it: the permits go back inside the submission
};

class world;

/// What is known of one acquire, beyond its end.
struct record {
    std::ptrdiff_t count = 1;
    fate then = fate::keep;
    outcome result = outcome::queued;
    int ends = 0;           // deliveries and immediate ends
    bool cancelled = false; // one of its links has been fired
};

/// A waiter as the operations of the Asio layer are: it owns nothing until taken, then the permits
/// and a reference; its memory is freed before its handler runs.
class operation final : public waiter_type {
public:
    operation(world& w, std::size_t index, std::ptrdiff_t n) noexcept :
        waiter_type(n, false), world_(w), index_(index) {
        ++alive;
    }
    ~operation() {
        --alive;
        busy -= busy_ ? 1 : 0;
    }

    bool is_busy() const noexcept { return busy_; }

    static inline int alive = 0;
    static inline int busy = 0; // of those alive, the ones that keep the executor busy

private:
    void submit() noexcept override;
    void destroy() noexcept override;
    bool is_inside() const noexcept override;
    void keep_busy() noexcept override;
    void end();

    world& world_;
    const std::size_t index_;
    bool busy_ = false;
};

/// How a world begins.
struct beginning {
    const char* name;
    std::ptrdiff_t initial = 0;
    std::ptrdiff_t reduced = 0;
    std::vector<std::ptrdiff_t> waiters; // counts of the operations in the queue
    fate then = fate::keep;              // of those
    std::ptrdiff_t max = 100;
    std::ptrdiff_t held = 2; // permits in somebody's hands, beside the initial ones
};

/// The state of a semaphore, everything around it, and the account of what ought to be.
class world : public scenario {
public:
    explicit world(const beginning& b) {
        operation::alive = operation::busy = 0;
        registry = new registry_type;
        object = state_pointer(new state_type(b.initial, b.max, registry), false);
        state = object.get();
        word_ = &(state->*member_of(word_tag()));
        mutex_ = &(state->*member_of(mutex_tag()));
        queue_ = &(state->*member_of(queue_tag()));
        scheduler& s = scheduler::get();
        s.name(word_, "word");
        s.name(mutex_, "mutex");
        s.name(&(state->*member_of(waiting_tag())), "waiting");
        s.name(&(state->*member_of(lifetime_tag())), "lifetime");
        put_in = b.initial + b.held;
        held = b.held;
        if (b.reduced != 0)
            reduce(*state, b.reduced);
        for (const std::ptrdiff_t n : b.waiters) {
            slots.push_back(std::make_unique<link_type>(object, outcome::aborted));
            deadlines.push_back(std::make_unique<link_type>(object, outcome::timed_out));
            acquire(*state, n, b.then, {slots.back().get(), deadlines.back().get()});
        }
    }

    ~world() override {
        if (operation::alive != 0)
            fail("an operation was leaked");
    }

    // Operations, with their account. The caller holds a reference to the state.

    /// As the initiation of an asynchronous acquire. @return the index of its record
    std::size_t acquire(
        state_type& on, std::ptrdiff_t n, fate then = fate::keep,
        const std::vector<link_type*>& links = {}) {
        const std::size_t index = records.size();
        records.push_back({.count = n, .then = then});
        acquire_as(index, on, links);
        return index;
    }

    void acquire_as(std::size_t index, state_type& on, const std::vector<link_type*>& links = {}) {
        const std::ptrdiff_t n = records[index].count;
        const bool shut = !context_alive;
        outcome result = try_for(on, n);
        if (result == outcome::queued) {
            auto own = std::make_unique<operation>(*this, index, n);
            for (link_type* link : links)
                link->attach(*own);
            const int me = scheduler::get().current();
            acquiring(me) = true;
            result = on.enqueue(*own);
            acquiring(me) = false;
            if (result == outcome::queued) {
                static_cast<void>(own.release());
                if (shut)
                    fail("an acquire that began after the context's shutdown was queued");
                return;
            }
        }
        if (shut && result != outcome::abandoned)
            fail(
                std::string("an acquire that began after the context's shutdown ended as ") +
                to_string(result));
        end_of(index, result, state_pointer(&on));
    }

    outcome try_acquire(state_type& on, std::ptrdiff_t n) {
        const outcome result = try_for(on, n);
        if (result == outcome::granted)
            held += n;
        return result;
    }

    bool release(state_type& on, std::ptrdiff_t n) {
        put_in += n;
        const bool done = on.release(n);
        if (!done)
            put_in -= n;
        return done;
    }

    /// As a permit object does that dies, with its reference.
    void put_back(state_pointer reference, std::ptrdiff_t n) {
        held -= n;
        reference.detach()->put_back(n);
    }

    bool reduce(state_type& on, std::ptrdiff_t n) {
        const bool done = on.reduce(n);
        if (done)
            put_in -= n;
        return done;
    }

    void fire(link_type& link, std::size_t index) {
        link.fire();
        records[index].cancelled = true;
    }

    void destroy_object() {
        const state_pointer last = std::move(object);
        last->abort();
    }

    /// What the service does when its context is destroyed; newer Asio does it twice.
    void shut_down() {
        shutting = scheduler::get().current();
        registry->shutdown();
        scheduler::get().point(access::write, &context_alive, "end of the context");
        scheduler::get().trace_value(0);
        context_alive = false;
        registry->shutdown();
        shutting = nobody;
    }

    // Checks.

    void after_step() override {
        if (state_alive && value_of_word() >> 2 > put_in - held)
            fail("permits have appeared");
    }

    void before_write(const void* at, std::int64_t old, std::int64_t next) override {
        if (at != word_)
            return;
        const int me = scheduler::get().current();
        if ((old & queued_flag) != 0 && !mutex_->held_by(me))
            fail("the word is changed without the mutex while somebody waits");
        if ((old & queued_flag) != 0 && acquiring(me) && next >> 2 < old >> 2)
            fail("an acquire overtakes the queue");
        if ((next & queued_flag) != 0 && !queue_->empty() && queue_->front().count <= next >> 2)
            fail("available() shows permits that belong to the head of the queue");
    }

    // What holds at every unlock.
    void before_unlock(const void* mutex) override {
        if (mutex != mutex_)
            return;
        const std::int64_t word = value_of_word();
        if (((word & queued_flag) != 0) != !queue_->empty())
            fail("the queued flag does not tell whether somebody waits");
        if ((word & queued_flag) != 0 && (word & closed_flag) != 0)
            fail("somebody waits for a closed semaphore");
        if (!queue_->empty() && queue_->front().count <= word >> 2)
            fail("lost wake-up: the head of the queue could be satisfied");
        std::vector<waiter_type*> now;
        if (!queue_->empty()) {
            waiter_type* w = &queue_->front();
            do {
                now.push_back(w);
                w = w->next;
            } while (w != &queue_->front());
        }
        const auto is_busy = [](const waiter_type* w) {
            return static_cast<const operation*>(w)->is_busy();
        };
        if (!now.empty() && std::none_of(now.begin(), now.end(), is_busy))
            fail("nobody in the queue keeps the executor busy");
        if (now.size() != state->waiting())
            fail("waiting() does not count the queue");
        // Who has gone, and in which order those went who were granted.
        bool somebody_stays = false;
        std::size_t stayed = 0;
        for (waiter_type* w : line_) {
            if (stayed < now.size() && now[stayed] == w) {
                somebody_stays = true;
                ++stayed;
            } else if (w->result == outcome::granted && somebody_stays) {
                fail("a grant overtook somebody who had come earlier");
            } else if (w->result == outcome::queued) {
                fail("somebody left the queue without a result, or the queue changed its order");
            }
        }
        line_ = std::move(now);
    }

    void before_destruction(const void* at, std::int64_t value) override {
        if (at != word_)
            return;
        if (!state_alive)
            fail("the state is destroyed twice");
        state_alive = false;
        last_word_ = value;
    }

    std::string summary() override {
        std::string text;
        for (const record& r : records)
            text += std::string(to_string(r.result)) + (r.ends == 0 ? "(waits) " : " ");
        for (const std::string& note : notes)
            text += note + " ";
        const std::int64_t word = state_alive ? value_of_word() : last_word_;
        text += "available " + std::to_string(word >> 2) + ((word & closed_flag) ? " closed" : "");
        if (!state_alive)
            text += " gone";
        return text;
    }

    void end() override {
        const std::int64_t word = state_alive ? value_of_word() : last_word_;
        if ((word >> 2) + held != put_in)
            fail(
                "conservation: available " + std::to_string(word >> 2) + ", held " +
                std::to_string(held) + ", but put in " + std::to_string(put_in));
        if (state_alive && !queue_->empty() && queue_->front().count <= word >> 2)
            fail("lost wake-up at the end: the head of the queue could be satisfied");
        for (const record& r : records) {
            if (r.ends > 1)
                fail("an operation ended twice");
            if (r.ends == 0 && r.cancelled)
                fail("a cancelled operation goes on waiting");
        }
        tear_down();
        for (const record& r : records) {
            if (r.ends != 1)
                fail("an operation ended " + std::to_string(r.ends) + " times");
        }
        if (state_alive)
            fail("the state is leaked");
    }

    /// Everything that is left goes: permits, semaphore, signals, context.
    virtual void tear_down() {
        std::vector<std::pair<state_pointer, std::ptrdiff_t>> permits;
        while (!kept.empty()) {
            permits.swap(kept);
            for (auto& [of, n] : permits)
                put_back(std::move(of), n);
            permits.clear();
        }
        if (object)
            destroy_object();
        while (!kept.empty())
            kept.pop_back();
        slots.clear();
        deadlines.clear();
        if (context_alive)
            shut_down();
        registry.reset();
    }

    void note(std::size_t thread, const std::string& text) {
        if (notes.size() <= thread)
            notes.resize(thread + 1);
        notes[thread] += (notes[thread].empty() ? "" : ",") + text;
    }

    static void fail(const std::string& why) { scheduler::get().fail(why); }

    /// An acquire has ended; @p reference is its own.
    void end_of(std::size_t index, enum outcome result, state_pointer reference) {
        record& r = records[index];
        ++r.ends;
        r.result = result;
        if (r.ends > 1)
            fail("an operation ended twice");
        if (result == outcome::queued || result == outcome::invalid_argument)
            fail(std::string("an operation ended as ") + to_string(result));
        if (result != outcome::granted)
            return;
        held += r.count;
        switch (r.then) {
        case fate::keep:
            kept.emplace_back(std::move(reference), r.count);
            break;
        case fate::forget:
            break;
        case fate::drop:
            scheduler::get().point(access::boundary, nullptr, "drop");
            put_back(std::move(reference), r.count);
            break;
        }
    }

    static constexpr int nobody = -3;

    boost::intrusive_ptr<registry_type> registry;
    state_pointer object; // what the semaphore object holds
    state_type* state = nullptr;
    std::vector<std::unique_ptr<link_type>> slots, deadlines;   // of the waiters at the beginning
    std::vector<std::pair<state_pointer, std::ptrdiff_t>> kept; // permit objects
    std::vector<record> records;
    std::vector<std::string> notes; // results of other operations, for each thread
    std::ptrdiff_t put_in = 0;      // permits that there are
    std::ptrdiff_t held = 0;        // of those, in somebody's hands
    bool state_alive = true;
    bool context_alive = true;
    int inside = nobody;   // the thread that runs the execution context
    int shutting = nobody; // who is in the registry's shutdown

private:
    static constexpr std::int64_t queued_flag = 1, closed_flag = 2;

    enum outcome try_for(state_type& on, std::ptrdiff_t n) {
        const int me = scheduler::get().current();
        acquiring(me) = true;
        const enum outcome result = on.try_acquire(n);
        acquiring(me) = false;
        return result;
    }

    bool& acquiring(int thread) { return acquiring_[static_cast<std::size_t>(thread + 1)]; }

    // Read from within a check, hence no step.
    std::int64_t value_of_word() const { return word_->load(std::memory_order_relaxed); }

    model_atomic<std::int64_t>* word_ = nullptr;
    model_mutex* mutex_ = nullptr;
    queue_type* queue_ = nullptr;
    std::int64_t last_word_ = 0;
    std::vector<waiter_type*> line_; // the queue at the last unlock
    std::array<bool, scheduler::max_threads + 1> acquiring_{};
};

inline void operation::submit() noexcept {
    world& all = world_;
    scheduler& s = scheduler::get();
    const auto submits = [&](const char* what) {
        s.point(access::boundary, &all.context_alive, what);
        s.point(access::read, &all.context_alive, what);
        s.trace_value(all.context_alive);
        if (!all.context_alive)
            world::fail("an operation is submitted to a context that has shut down");
    };
    submits("begin of a submission");
    if (all.inside != s.current() && busy == 0)
        world::fail("the executor may run out of work before an operation is submitted");
    if (result == outcome::abandoned)
        world::fail("an abandoned operation is submitted");
    end();
    submits("end of a submission");
}

inline void operation::destroy() noexcept {
    if (world_.shutting != scheduler::get().current())
        world::fail("an operation is destroyed outside of the shutdown");
    if (result != outcome::abandoned)
        world::fail("an operation that was not abandoned is destroyed");
    end();
}

inline bool operation::is_inside() const noexcept {
    return world_.inside == scheduler::get().current();
}

inline void operation::keep_busy() noexcept {
    if (busy_)
        world::fail("an operation keeps the executor busy twice");
    busy_ = true;
    ++busy;
}

inline void operation::end() {
    world& all = world_;
    const std::size_t index = index_;
    const outcome how = result;
    state_pointer reference(state, false);
    delete this;
    all.end_of(index, how, std::move(reference));
}

} // namespace asio_semaphore::model
