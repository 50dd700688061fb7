// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// The semaphore's state layer for the explorer: the code that ships, with the explorer's threads,
// with waiters that record their delivery, and with checks of the guarantees.

#include "scheduler.hpp"
#include "timers.hpp"

#include <asio_semaphore/detail/state/impl/semaphore_state.ipp>
#include <asio_semaphore/detail/state/semaphore_state.hpp>

#include <support/outcome_names.hpp>

#include <boost/smart_ptr/intrusive_ptr.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace asio_semaphore::model {

using registry_type = detail::state_registry<model_threads>;
using line_type = detail::waiting_line<model_threads>;
using link_type = detail::cancellation_link<model_threads>;
using queue_type = detail::wait_queue<model_threads>;

// Gives the checks access to private members of the state: an explicit instantiation may name them.
template <typename Tag, typename Tag::type Member>
struct opened {
    friend typename Tag::type member_of(Tag) { return Member; }
};
struct word_tag {
    using type = model_atomic<std::int64_t> state_type::*;
    friend type member_of(word_tag);
};
struct mutex_tag {
    using type = model_mutex line_type::*;
    friend type member_of(mutex_tag);
};
struct queue_tag {
    using type = queue_type line_type::*;
    friend type member_of(queue_tag);
};
struct waiting_tag {
    using type = model_atomic<std::uint32_t> line_type::*;
    friend type member_of(waiting_tag);
};
struct lifetime_tag {
    using type = model_atomic<std::uint64_t> line_type::*;
    friend type member_of(lifetime_tag);
};
template struct opened<word_tag, &state_type::word_>;
template struct opened<mutex_tag, &line_type::mutex_>;
template struct opened<queue_tag, &line_type::queue_>;
template struct opened<waiting_tag, &line_type::waiting_>;
template struct opened<lifetime_tag, &line_type::lifetime_>;
struct list_tag {
    using type = detail::intrusive_list queue_type::*;
    friend type member_of(list_tag);
};
template struct opened<list_tag, &queue_type::list_>;
// The type of this member is private too.
bool is_shut(const line_type& line);
template <auto Member, auto Shut>
struct opened_phase {
    friend bool is_shut(const line_type& line) { return line.*Member == Shut; }
};
template struct opened_phase<&line_type::phase_, line_type::phase::shut>;

/// What happens to a granted delivery.
enum class fate : unsigned char {
    keep,   ///< the handler runs and keeps a permit object
    forget, ///< the handler runs and forgets the permits
    drop,   ///< the executor drops the handler; the permits return inside the submission
    destroy ///< the handler owns the semaphore and destroys it; then the permits return
};

class world;

/// The record of one acquire, which outlives the operation.
struct record {
    std::ptrdiff_t count = 1;
    fate then = fate::keep;
    outcome result = outcome::queued;
    int ends = 0;           // deliveries and immediate ends
    bool cancelled = false; // whether its link has been fired
    time_point deadline = never;
};

/// Stands for the semaphore object, which owns a reference to the state.
class owner {
public:
    owner() = default;
    explicit owner(state_pointer state) noexcept : state_(std::move(state)) {}
    owner(owner&& other) noexcept = default;
    owner& operator=(owner&& other) noexcept {
        if (this != &other) {
            const owner old(std::move(*this));
            state_ = std::move(other.state_);
        }
        return *this;
    }
    ~owner() {
        if (state_)
            state_->abort();
    }

    const state_pointer& state() const noexcept { return state_; }

private:
    state_pointer state_; // null after a move
};

/// A semaphore: its object, its state, and a count of all its permits.
class account {
public:
    account(
        std::ptrdiff_t initial, std::ptrdiff_t max,
        const boost::intrusive_ptr<registry_type>& registry) :
        object(state_pointer(new state_type(initial, max, registry), false)),
        state(object.state().get()),
        put_in(initial),
        word_(&(state->*member_of(word_tag()))),
        mutex_(&(state->*member_of(mutex_tag()))),
        queue_(&(state->*member_of(queue_tag()))) {
        scheduler& s = scheduler::get();
        s.name(word_, "word");
        s.name(mutex_, "mutex");
        s.name(&(state->*member_of(waiting_tag())), "waiting");
        s.name(&(state->*member_of(lifetime_tag())), "lifetime");
    }
    account(const account&) = delete;
    account& operator=(const account&) = delete;

    // Checks alive, because another state may be created at the same address.
    bool has_word(const void* at) const noexcept { return alive && at == word_; }
    bool has_mutex(const void* at) const noexcept { return alive && at == mutex_; }
    bool in_critical_section() const { return mutex_->held_by(scheduler::get().current()); }

    std::int64_t word() const { return alive ? word_->peek() : last_word_; }
    std::int64_t available() const { return word() >> 2; }

    /// Every permit is free, on its way to a handler, held, or moved by an operation in progress.
    /// This can be checked after every step, because the operation behind every write to the word
    /// is known (world::moves). Writes in a critical section count only at its end, because until
    /// then they do not agree with the queue.
    void check() const {
        if (available() - in_section_ + on_their_way + held - moving != put_in)
            fail(
                "conservation: available " + std::to_string(available() - in_section_) +
                ", on their way " + std::to_string(on_their_way) + ", held " +
                std::to_string(held) + ", in the middle of an operation " +
                std::to_string(-moving) + ", but put in " + std::to_string(put_in));
    }

    void before_write(world& all, std::int64_t old, std::int64_t next);
    void before_unlock(world& all);
    void before_destruction(std::int64_t value) {
        alive = false;
        last_word_ = value;
    }

    void check_end() {
        check();
        if (moving != 0 || in_section_ != 0 || on_their_way != 0)
            fail("permits are on their way, and nobody is");
        if (alive && !is_shut(*state) && !queue_->empty() && queue_->front().count <= available())
            fail("lost wake-up at the end: the head of the queue could be satisfied");
    }

    std::string summary() const {
        return "available " + std::to_string(available()) +
               ((word() & closed_flag) != 0 ? " closed" : "") + (alive ? "" : " gone");
    }

    /// Records the queue at the start of the exploration.
    void begin() { line_ = queued(); }

    owner object;
    state_type* const state;
    std::int64_t put_in;           // all permits
    std::int64_t held = 0;         // permits that are held
    std::int64_t on_their_way = 0; // permits granted to handlers that have not run yet
    std::int64_t moving = 0;       // permits moved by calls that have not returned yet
    bool alive = true;

private:
    static constexpr std::int64_t queued_flag = 1, closed_flag = 2;

    static void fail(const std::string& why) { scheduler::get().fail(why); }

    using line = std::vector<waiter_type*>;

    // A call that ends the queue moves all waiters to its own list, and ends them from there.
    struct ending {
        const detail::list_node* end; // the end of the call's list
        line who;
    };

    static line who_is_in(const detail::list_node* end) {
        line who;
        for (const detail::list_node* node = end->next; node != end; node = node->next)
            who.push_back(static_cast<waiter_type*>(const_cast<detail::list_node*>(node)));
        return who;
    }
    line queued() const {
        line who;
        (queue_->*member_of(list_tag())).for_each([&who](detail::list_node& node) {
            who.push_back(static_cast<waiter_type*>(&node));
        });
        return who;
    }
    // Calls gone for each waiter that left the line, and checks that the others keep their order.
    template <typename F>
    static void compare(const line& before, const line& now, F gone) {
        std::size_t stayed = 0;
        for (waiter_type* w : before) {
            if (stayed < now.size() && now[stayed] == w)
                ++stayed;
            else
                gone(*w, stayed != 0);
        }
    }
    void look_at_the_endings();
    void begin_an_ending(const line& moved);

    model_atomic<std::int64_t>* const word_;
    model_mutex* const mutex_;
    queue_type* const queue_;
    std::int64_t last_word_ = 0;
    std::int64_t in_section_ = 0; // what this critical section added to available
    line line_;                   // the queue at the last unlock
    std::vector<ending> endings_; // the lists of calls in progress that end the queue
};

/// A waiter that behaves like the operations of the Asio layer. It owns nothing until it is taken,
/// and then the permits and a reference. Its memory is freed before its handler runs.
class operation {
public:
    operation(world& w, account& of, std::size_t index, bool elsewhere) noexcept :
        world_(w), of_(of), index_(index), elsewhere_(elsewhere), holds_work_(elsewhere) {
        ++alive;
        holding += holds_work_ ? 1 : 0;
    }
    operation(const operation&) = delete;
    operation& operator=(const operation&) = delete;
    virtual ~operation() {
        --alive;
        holding -= holds_work_ ? 1 : 0;
    }

    virtual waiter_type& as_waiter() noexcept = 0;
    bool holds_work() const noexcept { return holds_work_; }

    /// The executor calls the handler or, without @p call, destroys it.
    void perform(bool call);

    static inline int alive = 0;
    static inline int holding = 0; // operations that hold work for the executor

protected:
    void submit_to_executor() noexcept;
    void end_with_context() noexcept;
    bool runs_inside() const noexcept;
    void hold() noexcept {
        holding += holds_work_ ? 0 : 1;
        holds_work_ = true;
    }

private:
    world& world_;
    account& of_;
    const std::size_t index_;
    const bool elsewhere_;
    bool holds_work_;
};

/// @tparam Waiter a waiter type of the state layer, with or without a deadline
template <typename Waiter>
class operation_of final : public Waiter, public operation {
public:
    /// @param elsewhere whether it uses executors that the library does not know: then it holds
    /// work from the start, and is_inside is false
    template <typename... Args>
    operation_of(
        world& w, account& of, std::size_t index, bool elsewhere, std::ptrdiff_t n,
        Args... args) noexcept :
        Waiter(n, args..., elsewhere), operation(w, of, index, elsewhere) {}

    waiter_type& as_waiter() noexcept override { return *this; }

private:
    void submit() noexcept override { submit_to_executor(); }
    void destroy() noexcept override { end_with_context(); }
    bool is_inside() const noexcept override { return runs_inside(); }
    void hold_work() noexcept override { hold(); }
};
using untimed_operation = operation_of<waiter_type>;
using timed_operation = operation_of<timed_waiter_type>;

inline const operation& operation_behind(const waiter_type& w) noexcept {
    if (w.is_timed)
        return static_cast<const timed_operation&>(w);
    return static_cast<const untimed_operation&>(w);
}

/// The initial state of a world.
struct beginning {
    const char* name;
    std::ptrdiff_t initial = 0;
    std::ptrdiff_t reduced = 0;
    std::vector<std::ptrdiff_t> waiters; // the counts of the operations in the queue
    fate then = fate::keep;              // the fate of these operations
    std::ptrdiff_t max = 100;
    std::ptrdiff_t held = 2;   // held permits, in addition to the initial ones
    unsigned elsewhere = 0;    // a bit for each waiter: it uses other executors
    bool two = false;          // whether another semaphore exists, with one waiter
    bool handlers_run = false; // whether handlers run only when a thread polls: see world::poll
    unsigned timed = 0;        // a bit for each waiter: it has a deadline, 1, 2 ...
};

/// Semaphores, their surroundings, and the records for the checks.
class world : public scenario {
public:
    explicit world(const beginning& b) : handlers_run_(b.handlers_run) {
        operation::alive = operation::holding = 0;
        registry = new registry_type;
        first.emplace(b.initial, b.max, registry);
        first->held = b.held;
        first->put_in += b.held - b.reduced;
        if (b.reduced != 0)
            first->state->reduce(b.reduced);
        const std::size_t n = b.waiters.size();
        records.reserve(n + 5);
        slots.reserve(n + 1);
        for (std::size_t i = 0; i < n; ++i) {
            slots.push_back(std::make_unique<link_type>(first->object.state()));
            acquire(
                *first, b.waiters[i], b.then, (b.elsewhere >> i & 1) != 0, slots.back().get(),
                (b.timed >> i & 1) != 0 ? at(static_cast<int>(i) + 1) : never);
        }
        executor.run();
        first->begin();
        if (b.two) {
            other.emplace(0, b.max, registry);
            other->held = b.held;
            other->put_in += b.held;
            acquire(*other, 1, b.then);
            other->begin();
        }
    }

    ~world() override {
        if (operation::alive != 0)
            fail("an operation was leaked");
    }

    // Recorded operations. The caller holds a reference to the state.

    /// Does what the initiation of an asynchronous acquire does. @return the index of its record
    std::size_t acquire(
        account& of, std::ptrdiff_t n, fate then = fate::keep, bool elsewhere = false,
        link_type* link = nullptr, time_point deadline = never) {
        const std::size_t index = records.size();
        records.push_back({.count = n, .then = then, .deadline = deadline});
        acquire_as(index, of, elsewhere, link);
        return index;
    }

    void
    acquire_as(std::size_t index, account& of, bool elsewhere = false, link_type* link = nullptr) {
        const std::ptrdiff_t n = records[index].count;
        const time_point deadline = records[index].deadline;
        const bool shut = !context_alive;
        outcome result = try_acquire(of, n);
        if (result == outcome::queued) {
            std::unique_ptr<operation> own;
            timed_waiter_type* timed = nullptr;
            if (deadline == never) {
                own = std::make_unique<untimed_operation>(*this, of, index, elsewhere, n);
            } else {
                auto made =
                    std::make_unique<timed_operation>(*this, of, index, elsewhere, n, deadline);
                timed = made.get();
                own = std::move(made);
            }
            if (link != nullptr)
                link->attach(own->as_waiter());
            {
                in_the_middle acquiring(*this, of, -n, true);
                result = timed != nullptr ? enqueue_timed(executor, of.state, *timed)
                                          : of.state->enqueue(own->as_waiter());
                acquiring.has_ended(result == outcome::granted);
            }
            if (result == outcome::granted)
                of.held += n;
            if (result == outcome::queued) {
                static_cast<void>(own.release());
                if (shut)
                    fail("an acquire that began after the context's shutdown was queued");
                return;
            }
            if (link != nullptr)
                of.state->detach(own->as_waiter());
        }
        if (shut && result != outcome::abandoned)
            fail(
                std::string("an acquire that began after the context's shutdown ended as ") +
                to_string(result));
        end_of(index, of, result, state_pointer(of.state));
    }

    outcome try_acquire(account& of, std::ptrdiff_t n) {
        in_the_middle acquiring(*this, of, -n, true);
        const outcome result = of.state->try_acquire(n);
        acquiring.has_ended(result == outcome::granted);
        if (result == outcome::granted)
            of.held += n;
        return result;
    }

    bool release(account& of, std::ptrdiff_t n) {
        in_the_middle releasing(*this, of, n);
        const bool done = of.state->release(n);
        releasing.has_ended(done);
        if (done)
            of.put_in += n;
        return done;
    }

    /// Does what the destructor of a permit object does, with its reference.
    void put_back(account& of, state_pointer reference, std::ptrdiff_t n) {
        in_the_middle giving_back(*this, of, n);
        reference.detach()->put_back(n);
        giving_back.has_ended(true);
        of.held -= n;
    }

    bool reduce(account& of, std::ptrdiff_t n) {
        in_the_middle reducing(*this, of, -n);
        const bool done = of.state->reduce(n);
        reducing.has_ended(done);
        if (done)
            of.put_in -= n;
        return done;
    }

    void fire(link_type& link, std::size_t index) {
        link.fire();
        records[index].cancelled = true;
    }

    /// Sets the first semaphore's timer, as if a waiter with that deadline had left.
    void set_timer(time_point deadline) {
        state_type& state = *first->state;
        if (state.find_alarm() == nullptr)
            state.install_alarm(std::make_unique<model_alarm>(state, executor));
        alarm_type& alarm = *state.find_alarm();
        {
            const alarm_type::expectation expected(alarm, deadline);
            alarm.post();
            executor.run();
            executor.refuses = 1; // the post that would switch it off again
        }
        executor.refuses = 0;
        executor.has_lost = false;
    }

    /// Moves the clock to that time, and lets the executor fire one due timer.
    void reach(time_point t) {
        executor.now = std::max(executor.now, t);
        executor.fire_one();
    }

    /// Does what the service does when its context is destroyed; newer Asio does it twice. The
    /// context then destroys the handlers that have not run.
    void shut_down() {
        shutting = scheduler::get().current();
        registry->shutdown();
        scheduler::get().point(access::write, &context_alive, "end of the context");
        scheduler::get().trace_value(0);
        context_alive = false;
        executor.is_gone = true;
        registry->shutdown();
        while (run_one(false)) {
        }
        executor.destroy_all();
        shutting = nobody;
    }

    /// Runs one ready handler. Returns whether there was one.
    bool poll() {
        scheduler::get().point(access::write, &ready_, "poll");
        scheduler::get().trace_value(!ready_.empty());
        return run_one(true);
    }

    // Checks.

    void after_step() override {
        first->check();
        if (other)
            other->check();
    }

    void before_write(const void* at, std::int64_t old, std::int64_t next) override {
        if (first->has_word(at))
            first->before_write(*this, old, next);
        else if (other && other->has_word(at))
            other->before_write(*this, old, next);
    }

    void before_unlock(const void* mutex) override {
        if (first->has_mutex(mutex))
            first->before_unlock(*this);
        else if (other && other->has_mutex(mutex))
            other->before_unlock(*this);
    }

    void before_destruction(const void* at, std::int64_t value) override {
        if (first->has_word(at))
            first->before_destruction(value);
        else if (other && other->has_word(at))
            other->before_destruction(value);
    }

    /// The current thread's operation changes the number of permits that are free or on their way.
    /// It does so once, by its own count.
    void moves(account& of, std::int64_t n) {
        if (n == 0)
            return;
        in_the_middle* const operation = in_the_middle_of();
        if (operation == nullptr || &operation->of != &of || operation->effect != n ||
            operation->done != 0)
            fail(
                std::to_string(n) + " permits are moved by an operation that " +
                (operation == nullptr || &operation->of != &of
                     ? "moves none"
                     : "moves " + std::to_string(operation->effect) + " and has moved " +
                           std::to_string(operation->done)));
        operation->done += n;
        of.moving += n;
    }

    bool acquires() {
        const in_the_middle* const operation = in_the_middle_of();
        return operation != nullptr && operation->acquires;
    }

    std::string summary() override {
        executor.run();
        std::string text;
        for (const record& r : records) {
            text += to_string(r.result);
            text += r.ends == 0 ? "(waits) " : " ";
        }
        for (const std::string& note : notes)
            text += note + " ";
        text += first->summary();
        if (other)
            text += ", other " + other->summary();
        return text;
    }

    void end() override {
        while (run_one(true)) {
        }
        first->check_end();
        if (other)
            other->check_end();
        for (const record& r : records) {
            if (r.ends > 1)
                fail("an operation ended twice");
            if (r.ends == 0 && r.cancelled)
                fail("a cancelled operation goes on waiting");
            if (r.ends == 0 && r.deadline <= executor.now)
                fail("an operation waits beyond its deadline");
        }
        tear_down();
        for (const record& r : records) {
            if (r.ends != 1)
                fail("an operation ended " + std::to_string(r.ends) + " times");
        }
        if (first->alive || (other && other->alive))
            fail("a state is leaked");
    }

    /// Destroys everything that is left: permits, semaphores, signals, context.
    virtual void tear_down() {
        const auto let_go = [&] {
            while (!kept.empty()) {
                permit last = std::move(kept.back());
                kept.pop_back();
                put_back(*last.of, std::move(last.reference), last.count);
            }
        };
        let_go();
        first->object = owner();
        if (other)
            other->object = owner();
        while (run_one(true)) {
        }
        let_go();
        slots.clear();
        if (context_alive)
            shut_down();
        registry.reset();
    }

    void note(std::size_t thread, const std::string& text) {
        if (notes.size() <= thread)
            notes.resize(thread + 1);
        notes[thread] += (notes[thread].empty() ? "" : ",") + text;
    }

    bool is_inside(int thread) const {
        if (thread == scheduler::outside)
            return false;
        asked |= 1u << thread;
        return (inside >> thread & 1) != 0;
    }

    static void fail(const std::string& why) { scheduler::get().fail(why); }

    /// Called at the end of an acquire, with its reference.
    void end_of(
        std::size_t index, account& of, outcome result, state_pointer reference,
        bool called = true) {
        record& r = records[index];
        ++r.ends;
        r.result = result;
        if (r.ends > 1)
            fail("an operation ended twice");
        if (result == outcome::queued || result == outcome::invalid_argument)
            fail(std::string("an operation ended as ") + to_string(result));
        if (r.then == fate::destroy) {
            // The handler destroys the semaphore, whether it is called or dropped.
            scheduler::get().point(access::boundary, nullptr, "destroy");
            of.object = owner();
        }
        if (result != outcome::granted)
            return;
        switch (called ? r.then : fate::drop) {
        case fate::keep:
            kept.push_back({&of, std::move(reference), r.count});
            break;
        case fate::forget:
            break;
        case fate::destroy:
        case fate::drop:
            scheduler::get().point(access::boundary, nullptr, "drop");
            put_back(of, std::move(reference), r.count);
            break;
        }
    }

    /// A permit object.
    struct permit {
        account* of;
        state_pointer reference;
        std::ptrdiff_t count;
    };

    static constexpr int nobody = -3;
    static inline unsigned asked = 0; // a bit for each thread: is_inside was asked

    timer_executor executor;
    boost::intrusive_ptr<registry_type> registry;
    std::optional<account> first, other;
    std::vector<std::unique_ptr<link_type>> slots; // of the first semaphore's initial waiters
    std::vector<permit> kept;
    std::vector<record> records;
    std::vector<std::string> notes; // the results of other operations, for each thread
    bool context_alive = true;
    unsigned inside = 0;   // a bit for each thread: it runs the execution context
    int shutting = nobody; // the thread inside the registry's shutdown

private:
    friend operation;

    // What the current thread does to the permits of a semaphore.
    struct in_the_middle {
        in_the_middle(world& w, account& a, std::int64_t n, bool is_acquire = false) :
            of(a), effect(n), acquires(is_acquire), all(w), outer(w.in_the_middle_of()) {
            w.in_the_middle_of() = this;
        }
        in_the_middle(const in_the_middle&) = delete;
        in_the_middle& operator=(const in_the_middle&) = delete;
        ~in_the_middle() { all.in_the_middle_of() = outer; }

        // From here on the caller records the effect, before the next step.
        void has_ended(bool successfully) {
            if (scheduler::get().current() == scheduler::outside && done == 0)
                return; // nothing is observed before the exploration begins
            if (done != (successfully ? effect : 0))
                fail(
                    "an operation on " + std::to_string(effect) + " permits moved " +
                    std::to_string(done) + (successfully ? "" : ", and says that it did not"));
            of.moving -= done;
        }

        account& of;
        const std::int64_t effect; // change of the permits that are free or on their way
        const bool acquires;
        std::int64_t done = 0;
        world& all;
        in_the_middle* const outer;
    };

    in_the_middle*& in_the_middle_of() {
        return in_the_middle_of_[static_cast<std::size_t>(scheduler::get().current() + 1)];
    }

    bool run_one(bool call) {
        if (ready_.empty())
            return false;
        operation* const next = ready_.front();
        ready_.erase(ready_.begin());
        next->perform(call);
        return true;
    }

    const bool handlers_run_;
    std::vector<operation*> ready_; // submitted, but not run yet
    std::array<in_the_middle*, scheduler::max_threads + 1> in_the_middle_of_{};
};

inline void account::before_write(world& all, std::int64_t old, std::int64_t next) {
    if ((old & queued_flag) != 0 && !in_critical_section())
        fail("the word is changed without the mutex while somebody waits");
    if ((old & queued_flag) != 0 && all.acquires() && next >> 2 < old >> 2)
        fail("an acquire overtakes the queue");
    if ((next & queued_flag) != 0 && !queue_->empty() && queue_->front().count <= next >> 2)
        fail("available() shows permits that belong to the head of the queue");
    if (next >> 2 > state->max_permits())
        fail("available() exceeds max_permits()");
    const std::int64_t added = (next >> 2) - (old >> 2);
    if (in_critical_section())
        in_section_ += added;
    else
        all.moves(*this, added);
}

// A call has moved all waiters of the queue to its own list. The waiters lead to that list.
inline void account::begin_an_ending(const line& moved) {
    const detail::list_node* node = moved.front();
    for (std::size_t n = 0; n < moved.size() && node == moved[n]; ++n)
        node = node->next;
    if (!queue_->empty() || who_is_in(node) != moved)
        fail("somebody left the queue without a result, or the queue changed its order");
    endings_.push_back({node, moved});
}

inline void account::look_at_the_endings() {
    for (auto it = endings_.begin(); it != endings_.end();) {
        line now = who_is_in(it->end);
        std::size_t gone = 0;
        compare(it->who, now, [&gone](const waiter_type& w, bool) {
            ++gone;
            if (w.result != outcome::aborted && w.result != outcome::closed &&
                w.result != outcome::timed_out)
                fail(
                    std::string("somebody leaves a queue that has been ended as ") +
                    to_string(w.result));
        });
        if (now.size() + gone != it->who.size())
            fail("a queue that has been ended changed its order");
        it->who.swap(now);
        if (it->who.empty()) // the list may be destroyed now
            it = endings_.erase(it);
        else
            ++it;
    }
}

// Checks the invariants at every unlock.
inline void account::before_unlock(world& all) {
    const std::int64_t word = this->word();
    const bool shut = is_shut(*state);
    if (((word & queued_flag) != 0) != (!shut && !queue_->empty()))
        fail("the queued flag does not tell whether somebody waits");
    if ((word & queued_flag) != 0 && (word & closed_flag) != 0)
        fail("somebody waits for a closed semaphore");
    if (!shut && !queue_->empty() && queue_->front().count <= word >> 2)
        fail("lost wake-up: the head of the queue could be satisfied");
    line now = queued(), moved;
    look_at_the_endings();
    // Which waiters have left, and in which order the granted ones left.
    std::int64_t granted = 0;
    compare(line_, now, [&](waiter_type& w, bool somebody_stays) {
        if (w.result == outcome::queued) {
            moved.push_back(&w);
        } else if (w.result == outcome::granted) {
            if (somebody_stays)
                fail("a grant overtook somebody who had come earlier");
            granted += w.count;
        }
    });
    if (!moved.empty())
        begin_an_ending(moved);
    line_.swap(now);
    std::size_t waiting = line_.size();
    bool work_is_held = false;
    const auto look_for_work = [&work_is_held](const line& who) {
        for (const waiter_type* w : who)
            work_is_held = work_is_held || operation_behind(*w).holds_work();
    };
    look_for_work(line_);
    for (const ending& e : endings_) {
        waiting += e.who.size();
        look_for_work(e.who);
    }
    if (waiting != state->waiting())
        fail("waiting() does not count the queue");
    if (!line_.empty() && !work_is_held)
        fail("nobody who waits holds work for the executor");
    // The waiters in a call's list rely on the work of those that left before.
    if (!endings_.empty() && operation::holding == 0)
        fail("nobody of those who are ended holds work for the executor");
    on_their_way += granted;
    all.moves(*this, std::exchange(in_section_, 0) + granted);
}

inline void operation::submit_to_executor() noexcept {
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
    if (!all.is_inside(s.current()) && holding == 0)
        world::fail("the executor may run out of work before an operation is submitted");
    if (as_waiter().result == outcome::abandoned)
        world::fail("an abandoned operation is submitted");
    if (all.handlers_run_) {
        s.point(access::write, &all.ready_, "the executor takes it");
        s.trace_value(1);
        all.ready_.push_back(this);
    } else {
        perform(true);
    }
    submits("end of a submission");
}

inline void operation::end_with_context() noexcept {
    if (world_.shutting != scheduler::get().current())
        world::fail("an operation is destroyed outside of the shutdown");
    if (as_waiter().result != outcome::abandoned)
        world::fail("an operation that was not abandoned is destroyed");
    perform(true);
}

inline bool operation::runs_inside() const noexcept {
    return !elsewhere_ && world_.is_inside(scheduler::get().current());
}

inline void operation::perform(bool call) {
    world& all = world_;
    account& of = of_;
    const std::size_t index = index_;
    const waiter_type& self = as_waiter();
    const outcome how = self.result;
    if (how == outcome::granted) {
        of.on_their_way -= self.count;
        of.held += self.count;
    }
    state_pointer reference(static_cast<state_type*>(self.state), false);
    delete this;
    all.end_of(index, of, how, std::move(reference), call);
}

} // namespace asio_semaphore::model
