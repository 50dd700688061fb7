#pragma once

// Semaphores' states as the explorer sees them: the state layer that ships, over the explorer's
// threads, with waiters whose delivery is recorded, and the guarantees as checks.

#include "scheduler.hpp"

#include <asio_semaphore/detail/state/impl/semaphore_state.ipp>
#include <asio_semaphore/detail/state/semaphore_state.hpp>

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
    drop,   ///< the executor destroys it: the permits go back inside the submission
    destroy ///< its handler owns the semaphore, and runs and destroys it; then the permits go back
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

/// What the semaphore object is to its state.
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
    state_pointer state_; // null: moved from
};

/// A semaphore: its object, its state, and the account of its permits.
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

    // Where a state has been another may come to be.
    bool has_word(const void* at) const noexcept { return alive && at == word_; }
    bool has_mutex(const void* at) const noexcept { return alive && at == mutex_; }
    bool in_critical_section() const { return mutex_->held_by(scheduler::get().current()); }

    std::int64_t word() const { return alive ? word_->peek() : last_word_; }
    std::int64_t available() const { return word() >> 2; }

    /// Every permit is somewhere: free, on its way to a handler, in somebody's hands, or moved by
    /// an operation that is in the middle of things. That can be said after every step, because of
    /// every write to the word it is known whose it is (world::moves). Only what has been written
    /// in a critical section counts at its end: until then it is out of step with the queue.
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
        if (alive && !queue_->empty() && queue_->front().count <= available())
            fail("lost wake-up at the end: the head of the queue could be satisfied");
    }

    std::string summary() const {
        return "available " + std::to_string(available()) +
               ((word() & closed_flag) != 0 ? " closed" : "") + (alive ? "" : " gone");
    }

    /// What is in the queue now was there before the exploration begins.
    void begin() { look(line_); }

    owner object;
    state_type* const state;
    std::int64_t put_in;           // permits that there are; of those,
    std::int64_t held = 0;         // in somebody's hands,
    std::int64_t on_their_way = 0; // and granted out of the queue to handlers that have yet to run
    std::int64_t moving = 0;       // what operations have done that have not returned
    bool alive = true;

private:
    static constexpr std::int64_t queued_flag = 1, closed_flag = 2;

    static void fail(const std::string& why) { scheduler::get().fail(why); }

    void look(std::vector<waiter_type*>& line) const {
        line.clear();
        if (queue_->empty())
            return;
        waiter_type* w = &queue_->front();
        do {
            line.push_back(w);
            w = w->next;
        } while (w != &queue_->front());
    }

    model_atomic<std::int64_t>* const word_;
    model_mutex* const mutex_;
    queue_type* const queue_;
    std::int64_t last_word_ = 0;
    std::int64_t in_section_ = 0;           // added to available in this critical section
    std::vector<waiter_type*> line_, next_; // the queue at the last unlock, and room for the next
};

/// A waiter as the operations of the Asio layer are: it owns nothing until taken, then the permits
/// and a reference; its memory is freed before its handler runs.
class operation final : public waiter_type {
public:
    /// @param elsewhere it goes by executors that the library knows nothing of: it keeps them busy
    /// from the start, and is inside none
    operation(world& w, account& of, std::size_t index, std::ptrdiff_t n, bool elsewhere) noexcept :
        waiter_type(n, elsewhere), world_(w), of_(of), index_(index), elsewhere_(elsewhere) {
        ++alive;
        busy += keeps_busy ? 1 : 0;
    }
    ~operation() {
        --alive;
        busy -= busy_ || elsewhere_ ? 1 : 0;
    }

    bool is_busy() const noexcept { return busy_ || elsewhere_; }

    /// Its executor calls the handler, or else destroys it.
    void perform(bool call);

    static inline int alive = 0;
    static inline int busy = 0; // of those alive, the ones that keep the executor busy

private:
    void submit() noexcept override;
    void destroy() noexcept override;
    bool is_inside() const noexcept override;
    void keep_busy() noexcept override;

    world& world_;
    account& of_;
    const std::size_t index_;
    const bool elsewhere_;
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
    std::ptrdiff_t held = 2;   // permits in somebody's hands, beside the initial ones
    unsigned elsewhere = 0;    // a bit for each of the waiters: it goes by executors of its own
    bool two = false;          // with another semaphore, for which one waits
    bool handlers_run = false; // later, by whoever runs the context: see world::poll
};

/// Semaphores, everything around them, and the account of what ought to be.
class world : public scenario {
public:
    explicit world(const beginning& b) : handlers_run_(b.handlers_run) {
        operation::alive = operation::busy = 0;
        registry = new registry_type;
        first.emplace(b.initial, b.max, registry);
        first->held = b.held;
        first->put_in += b.held - b.reduced;
        if (b.reduced != 0)
            first->state->reduce(b.reduced);
        const std::size_t n = b.waiters.size();
        records.reserve(n + 5);
        slots.reserve(n + 1);
        deadlines.reserve(n);
        for (std::size_t i = 0; i < n; ++i) {
            slots.push_back(std::make_unique<link_type>(first->object.state(), outcome::aborted));
            deadlines.push_back(
                std::make_unique<link_type>(first->object.state(), outcome::timed_out));
            acquire(
                *first, b.waiters[i], b.then, (b.elsewhere >> i & 1) != 0,
                {slots.back().get(), deadlines.back().get()});
        }
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

    // Operations, with their account. The caller holds a reference to the state.

    /// As the initiation of an asynchronous acquire. @return the index of its record
    std::size_t acquire(
        account& of, std::ptrdiff_t n, fate then = fate::keep, bool elsewhere = false,
        std::initializer_list<link_type*> links = {}) {
        const std::size_t index = records.size();
        records.push_back({.count = n, .then = then});
        acquire_as(index, of, elsewhere, links);
        return index;
    }

    void acquire_as(
        std::size_t index, account& of, bool elsewhere = false,
        std::initializer_list<link_type*> links = {}) {
        const std::ptrdiff_t n = records[index].count;
        const bool shut = !context_alive;
        outcome result = try_acquire(of, n);
        if (result == outcome::queued) {
            auto own = std::make_unique<operation>(*this, of, index, n, elsewhere);
            for (link_type* link : links) {
                if (link != nullptr)
                    link->attach(*own);
            }
            {
                in_the_middle acquiring(*this, of, -n, true);
                result = of.state->enqueue(*own);
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

    /// As a permit object does that dies, with its reference.
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

    /// What the service does when its context is destroyed; newer Asio does it twice. Handlers that
    /// have not run by then the context destroys.
    void shut_down() {
        shutting = scheduler::get().current();
        registry->shutdown();
        scheduler::get().point(access::write, &context_alive, "end of the context");
        scheduler::get().trace_value(0);
        context_alive = false;
        registry->shutdown();
        while (run_one(false)) {
        }
        shutting = nobody;
    }

    /// Runs one handler, if there is any to run. Says whether there was.
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

    /// The current thread's operation changes how many permits are free or on their way. It does
    /// that once, and by as many as it is about.
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
        }
        tear_down();
        for (const record& r : records) {
            if (r.ends != 1)
                fail("an operation ended " + std::to_string(r.ends) + " times");
        }
        if (first->alive || (other && other->alive))
            fail("a state is leaked");
    }

    /// Everything that is left goes: permits, semaphores, signals, context.
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

    bool is_inside(int thread) const {
        if (thread == scheduler::outside)
            return false;
        asked |= 1u << thread;
        return (inside >> thread & 1) != 0;
    }

    static void fail(const std::string& why) { scheduler::get().fail(why); }

    /// An acquire has ended; @p reference is its own.
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
            // Called or destroyed: the semaphore goes with the handler, however that ends.
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
    static inline unsigned asked = 0; // a bit for each thread: whether it is inside has mattered

    boost::intrusive_ptr<registry_type> registry;
    std::optional<account> first, other;
    std::vector<std::unique_ptr<link_type>> slots,
        deadlines; // of the first's waiters at the beginning
    std::vector<permit> kept;
    std::vector<record> records;
    std::vector<std::string> notes; // results of other operations, for each thread
    bool context_alive = true;
    unsigned inside = 0;   // a bit for each thread: it runs the execution context
    int shutting = nobody; // who is in the registry's shutdown

private:
    friend operation;

    // What the current thread is doing to a semaphore's permits.
    struct in_the_middle {
        in_the_middle(world& w, account& a, std::int64_t n, bool is_acquire = false) :
            of(a), effect(n), acquires(is_acquire), all(w), outer(w.in_the_middle_of()) {
            w.in_the_middle_of() = this;
        }
        in_the_middle(const in_the_middle&) = delete;
        in_the_middle& operator=(const in_the_middle&) = delete;
        ~in_the_middle() { all.in_the_middle_of() = outer; }

        // From here on the caller accounts for it, before the next step.
        void has_ended(bool successfully) {
            if (scheduler::get().current() == scheduler::outside && done == 0)
                return; // before the exploration begins nothing is observed
            if (done != (successfully ? effect : 0))
                fail(
                    "an operation on " + std::to_string(effect) + " permits moved " +
                    std::to_string(done) + (successfully ? "" : ", and says that it did not"));
            of.moving -= done;
        }

        account& of;
        const std::int64_t effect; // on the permits that are free or on their way
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
    std::vector<operation*> ready_; // submitted, and not run yet
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

// What holds at every unlock.
inline void account::before_unlock(world& all) {
    const std::int64_t word = this->word();
    if (((word & queued_flag) != 0) != !queue_->empty())
        fail("the queued flag does not tell whether somebody waits");
    if ((word & queued_flag) != 0 && (word & closed_flag) != 0)
        fail("somebody waits for a closed semaphore");
    if (!queue_->empty() && queue_->front().count <= word >> 2)
        fail("lost wake-up: the head of the queue could be satisfied");
    std::vector<waiter_type*>& now = next_;
    look(now);
    const auto is_busy = [](const waiter_type* w) {
        return static_cast<const operation*>(w)->is_busy();
    };
    if (!now.empty() && std::none_of(now.begin(), now.end(), is_busy))
        fail("nobody in the queue keeps the executor busy");
    if (now.size() != state->waiting())
        fail("waiting() does not count the queue");
    // Who has gone, and in which order those went who were granted.
    std::int64_t granted = 0;
    bool somebody_stays = false;
    std::size_t stayed = 0;
    for (const waiter_type* w : line_) {
        if (stayed < now.size() && now[stayed] == w) {
            somebody_stays = true;
            ++stayed;
        } else if (w->result == outcome::granted) {
            if (somebody_stays)
                fail("a grant overtook somebody who had come earlier");
            granted += w->count;
        } else if (w->result == outcome::queued) {
            fail("somebody left the queue without a result, or the queue changed its order");
        }
    }
    line_.swap(next_);
    on_their_way += granted;
    all.moves(*this, std::exchange(in_section_, 0) + granted);
}

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
    if (!all.is_inside(s.current()) && busy == 0)
        world::fail("the executor may run out of work before an operation is submitted");
    if (result == outcome::abandoned)
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

inline void operation::destroy() noexcept {
    if (world_.shutting != scheduler::get().current())
        world::fail("an operation is destroyed outside of the shutdown");
    if (result != outcome::abandoned)
        world::fail("an operation that was not abandoned is destroyed");
    perform(true);
}

inline bool operation::is_inside() const noexcept {
    return !elsewhere_ && world_.is_inside(scheduler::get().current());
}

inline void operation::keep_busy() noexcept {
    if (is_busy())
        world::fail("an operation keeps the executor busy twice");
    busy_ = true;
    ++busy;
}

inline void operation::perform(bool call) {
    world& all = world_;
    account& of = of_;
    const std::size_t index = index_;
    const outcome how = result;
    if (how == outcome::granted) {
        of.on_their_way -= count;
        of.held += count;
    }
    state_pointer reference(state, false);
    delete this;
    all.end_of(index, of, how, std::move(reference), call);
}

} // namespace asio_semaphore::model
