// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// A deterministic explorer. It runs a scenario of up to four virtual threads once for every order
// in which their steps can be interleaved. The threads are fibres of one real thread. A step begins
// at each operation on a model_atomic or model_mutex, after each store, and at each yield. So plain
// code after a store is a step of its own: once a thread has published an object by the store,
// other threads may have freed what the thread touches next. After any other operation, plain code
// belongs to the step of that operation.
//
// The search is depth-first. Each execution repeats the decisions of the previous one up to the
// last decision with an alternative left, and takes that alternative. Without a bound, the search
// uses sleep sets: it skips an execution that differs from an earlier one only in the order of
// independent steps. With a bound on preemptions, it runs all executions. A failure is reported as
// a schedule: "a5b2a3" lets thread a take 5 steps, then b 2, then a 3. "!" means that the
// compare-exchange before it fails spuriously.

#include <boost/assert.hpp>

#include <ucontext.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#define ASIO_SEMAPHORE_MODEL_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ASIO_SEMAPHORE_MODEL_ASAN 1
#endif
#endif
#if defined(ASIO_SEMAPHORE_MODEL_ASAN)
#include <sanitizer/common_interface_defs.h>
#endif

namespace asio_semaphore::model {

/// The effect of a thread's next step on an object.
enum class access : unsigned char { read, write, lock, unlock, yield, boundary };

/// The program to explore. Each execution creates a new one. Its constructor, end(), summary() and
/// destructor are not explored: they run as one step.
class scenario {
public:
    virtual ~scenario() = default;
    virtual std::size_t threads() const = 0;
    virtual void run(std::size_t thread) = 0;

    /// Called when all threads have ended: the result of the execution, and final checks.
    virtual std::string summary() { return {}; }
    virtual void end() {}

    /// Observers. Their reads are no steps. The object is a model_atomic or a model_mutex.
    virtual void after_step() {}
    virtual void before_unlock(const void*) {}
    virtual void before_write(const void*, std::int64_t /*old*/, std::int64_t /*next*/) {}
    virtual void before_destruction(const void*, std::int64_t /*value*/) {}
};

struct settings {
    int preemptions = -1; ///< the most preemptions in one execution; negative: unbounded
    int spurious = 0;     ///< the most spurious failures of compare-exchanges in one execution
    bool coarse = false;  ///< whole operations as steps: only boundaries and yields end one
    std::uint64_t limit = 50'000'000; ///< fail after this many schedules
};

struct result {
    std::uint64_t schedules = 0; ///< explored to the end
    std::uint64_t redundant = 0; ///< found equivalent to an earlier one on the way
    std::set<std::string> outcomes;
    std::string failure;  ///< empty if there is none
    std::string schedule; ///< the schedule of the failure
};

class scheduler {
public:
    static constexpr std::size_t max_threads = 4;
    static constexpr int outside = -1; // no virtual thread: construction, checks and the end

    static scheduler& get() {
        static scheduler& instance = *new scheduler; // never destroyed
        return instance;
    }

    using factory = std::function<std::unique_ptr<scenario>()>;

    /// Runs all schedules until one fails. @param expected if not null, the allowed outcomes
    /// @param title the name of the scenario in messages, also when the process dies
    result explore(
        const std::string& title, const settings& s, const factory& make,
        const std::set<std::string>* expected = nullptr) {
        begin(title + (s.coarse ? "#coarse" : ""), s);
        result r;
        do {
            if (!execute(make, r, expected))
                break;
            if (r.schedules + r.redundant > s.limit) {
                failure_ = "more schedules than the limit allows";
                break;
            }
        } while (next_path());
        return finished(std::move(r));
    }

    /// Runs one schedule, and prints its steps. Fails if the schedule does not fit the scenario.
    result replay(
        const std::string& title, settings s, const factory& make, const std::string& schedule,
        const std::set<std::string>* expected = nullptr) {
        begin(title, s);
        script_ = expand(schedule);
        tracing_ = true;
        result r;
        execute(make, r, expected);
        tracing_ = false;
        script_.clear();
        return finished(std::move(r));
    }

    // For model_threads.

    /// A step of the current thread begins here; returns when it is this thread's turn.
    void point(access kind, const void* object, const char* what) {
        if (current_ == outside || quiet_)
            return;
        if (settings_.coarse ? kind != access::yield && kind != access::boundary
                             : kind == access::boundary)
            return;
        fibre& self = fibres_[static_cast<std::size_t>(current_)];
        self.next = {{kind, object}, what, writes_};
        const int me = current_;
        if (starting_)
            switch_to(outside);
        else
            dispatch();
        BOOST_ASSERT(current_ == me);
        if (tracing_)
            std::printf("    %c %s %s", name_of(me), what, label(object).c_str());
        if (tracing_ && kind != access::read && kind != access::write)
            std::printf("\n");
    }

    void trace_value(std::int64_t value) const {
        if (tracing_ && current_ != outside && !quiet_ && !settings_.coarse)
            std::printf(" -> %lld\n", static_cast<long long>(value));
    }

    /// Whether a compare-exchange that could succeed fails here.
    bool fails_spuriously() {
        if (current_ == outside || quiet_ || settings_.coarse)
            return false;
        if (!script_.empty())
            return scripted_failure();
        if (spurious_ == settings_.spurious)
            return false;
        if (depth_ == path_.size()) {
            path_.emplace_back();
            path_.back().count = 2;
            path_.back().choice = true;
        }
        const bool fails = path_[depth_++].index == 1;
        if (fails) {
            ++spurious_;
            taken_ += '!';
        }
        return fails;
    }

    /// The current step is a compare-exchange. A failed one counts as a read.
    void compared(bool exchanged) {
        if (current_ != outside && !quiet_ && !settings_.coarse && script_.empty())
            path_[decision_].steps[static_cast<std::size_t>(current_)].kind =
                exchanged ? access::write : access::read;
    }

    void lock(int& owner, const void* mutex) {
        point(access::lock, mutex, "lock");
        if (owner != free)
            fail("a mutex is locked by the thread that holds it");
        owner = current_;
    }
    void unlock(int& owner, const void* mutex) {
        point(access::unlock, mutex, "unlock");
        if (owner != current_)
            fail("a mutex is unlocked by a thread that does not hold it");
        observe([&] { scenario_->before_unlock(mutex); });
        owner = free;
        wrote();
    }
    void wrote() noexcept { ++writes_; }
    static constexpr int free = -2;

    int current() const noexcept { return current_; }

    template <typename F>
    void observe(F f) {
        if (scenario_ == nullptr || quiet_)
            return;
        quiet_ = true;
        f();
        quiet_ = false;
    }

    void observer_of_write(const void* object, std::int64_t old, std::int64_t next) {
        scenario_->before_write(object, old, next);
    }
    void observer_of_destruction(const void* object, std::int64_t value) {
        scenario_->before_destruction(object, value);
    }

    void born(const void* object) {
        ++alive_;
        if (tracing_)
            names_[object] = "object" + std::to_string(++births_);
    }
    void died() noexcept { --alive_; }
    void name(const void* object, const char* text) {
        if (tracing_)
            names_[object] = text;
    }
    bool tracing() const noexcept { return tracing_; }

    void on_reset(std::function<void()> f) { resets_.push_back(std::move(f)); }

    /// Ends the execution and the exploration. Does not return if a virtual thread calls it.
    void fail(const std::string& why) {
        if (failure_.empty()) {
            failure_ = why;
            if (tracing_)
                std::printf("\n  FAILED: %s\n", why.c_str());
        }
        if (current_ != outside) {
            quiet_ = false;
            abandoned_ = true;
            switch_to(outside);
        }
    }

    std::string schedule() const {
        std::string text;
        for (std::size_t i = 0; i < taken_.size();) {
            if (taken_[i] == '!') {
                text += taken_[i++];
                continue;
            }
            std::size_t j = i;
            while (j < taken_.size() && taken_[j] == taken_[i])
                ++j;
            text += taken_[i] + std::to_string(j - i);
            i = j;
        }
        return text;
    }

    /// The text for a failure, and for the death of the process during an execution.
    std::string hint() const {
        return "scenario: " + title_ + "\n  schedule: " + schedule() +
               "\n  replay, with every step printed:\n    ASIO_SEMAPHORE_REPLAY='" + title_ + "@" +
               schedule() + "' " + program() + "\n";
    }

    static std::string& program() {
        static std::string path = "<this program>";
        return path;
    }

private:
    /// Decides whether the order of two steps matters.
    struct effect {
        access kind = access::boundary;
        const void* object = nullptr;
    };
    struct step : effect {
        const char* what = "";
        std::uint64_t writes = 0;
    };

    // A decision between threads or, with choice, about a spurious failure.
    struct node {
        std::array<signed char, max_threads> options{};
        std::size_t count = 0;
        std::size_t index = 0;
        unsigned sleep = 0; // threads whose next step has been explored from an equivalent state
        int thread = 0;     // the chosen thread
        std::array<effect, max_threads> steps{};
        bool choice = false;
    };

    struct fibre {
        ucontext_t context{};
        std::unique_ptr<char[]> stack;
        bool created = false;
        bool finished = true;
        step next;
        void* fake_stack = nullptr;
    };

    static constexpr std::size_t stack_size =
        64 * 1024; // AddressSanitizer clears it at each switch
    static constexpr std::size_t step_limit = 20'000;

    scheduler() {
        for (const int signal : {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE}) {
#if defined(ASIO_SEMAPHORE_MODEL_ASAN)
            if (signal != SIGABRT)
                continue;
#endif
            std::signal(signal, &died_of_signal);
        }
#if defined(ASIO_SEMAPHORE_MODEL_ASAN)
        __sanitizer_set_death_callback(&report_death);
#endif
    }

    static void report_death() {
        if (get().scenario_ != nullptr) {
            std::fprintf(stderr, "\nThe process dies in %s", get().hint().c_str());
            std::fflush(nullptr);
        }
    }
    static void died_of_signal(int signal) {
        report_death();
        std::signal(signal, SIG_DFL);
        std::raise(signal);
    }

    static char name_of(int thread) {
        return static_cast<char>('a' + thread);
    }

    std::string label(const void* object) const {
        const auto found = names_.find(object);
        return found != names_.end() ? found->second : std::string();
    }

    void begin(const std::string& title, const settings& s) {
        title_ = title;
        settings_ = s;
        path_.clear();
        failure_.clear();
    }

    result finished(result r) {
        r.failure = failure_;
        if (!failure_.empty()) {
            r.schedule = schedule();
            if (abandoned_) {
                // These stacks cannot be unwound, so the objects on them are never destroyed.
                for (fibre& f : fibres_) {
                    left_stacks_.push_back(std::move(f.stack));
                    f = fibre();
                }
                for (const auto& reset : resets_)
                    reset();
                abandoned_ = false;
            }
            alive_ = 0;
        }
        failure_.clear();
        return r;
    }

    // Runs one execution, which follows path_ to its end. False if it failed.
    bool execute(const factory& make, result& r, const std::set<std::string>* expected) {
        depth_ = 0;
        last_ = outside;
        preemptions_ = spurious_ = 0;
        redundant_ = false;
        taken_.clear();
        names_.clear();
        births_ = 0;
        script_at_ = 0;

        std::unique_ptr<scenario> owner = make();
        scenario_ = owner.get();
        count_ = scenario_->threads();
        starting_ = true;
        for (std::size_t i = 0; i < count_; ++i) {
            fibres_[i].finished = false;
            create(fibres_[i]);
            switch_to(static_cast<int>(i));
        }
        starting_ = false;
        if (failure_.empty())
            dispatch();
        std::string outcome;
        if (failure_.empty() && script_at_ + 1 < script_.size())
            fail(
                "the schedule does not fit this program: all threads have ended after step " +
                std::to_string(script_at_));
        if (failure_.empty())
            outcome = scenario_->summary();
        if (failure_.empty() && expected != nullptr && expected->count(outcome) == 0)
            fail("no order of whole operations leads to: " + outcome);
        if (failure_.empty())
            scenario_->end();
        scenario_ = nullptr;
        if (!failure_.empty()) {
            left_scenarios_.push_back(std::move(owner)); // its state is inconsistent
            return false;
        }
        owner.reset();
        if (alive_ != 0)
            fail("leaked: " + std::to_string(alive_) + " atomics and mutexes live on");
        if (!failure_.empty())
            return false;
        if (redundant_) {
            ++r.redundant;
        } else {
            ++r.schedules;
            r.outcomes.insert(std::move(outcome));
        }
        return true;
    }

    // Takes the next alternative of the deepest decision that has one left.
    bool next_path() {
        while (!path_.empty() && ++path_.back().index == path_.back().count)
            path_.pop_back();
        return !path_.empty();
    }

    bool enabled(const fibre& f) const {
        if (f.finished)
            return false;
        if (f.next.kind == access::lock)
            return *static_cast<const int*>(f.next.object) == free;
        if (f.next.kind == access::yield)
            return writes_ != f.next.writes;
        return true;
    }

    static bool independent(const effect& x, const effect& y) {
        if (x.kind == access::boundary || y.kind == access::boundary)
            return true;
        if (x.kind == access::yield || y.kind == access::yield)
            return x.kind == access::read || y.kind == access::read;
        return x.object != y.object || (x.kind == access::read && y.kind == access::read);
    }

    // Chooses the thread of the next step, and switches to it.
    void dispatch() {
        if (current_ != outside || last_ != outside) {
            observe([&] { scenario_->after_step(); });
        }
        unsigned runnable = 0;
        bool all_finished = true;
        for (std::size_t i = 0; i < count_; ++i) {
            all_finished = all_finished && fibres_[i].finished;
            if (enabled(fibres_[i]))
                runnable |= 1u << i;
        }
        if (runnable == 0) {
            if (!all_finished)
                fail(deadlock());
            if (current_ != outside)
                switch_to(outside);
            return;
        }
        if (taken_.size() >= step_limit)
            fail("no end after " + std::to_string(step_limit) + " steps: a livelock");

        int chosen = 0;
        if (!script_.empty()) {
            chosen = scripted_thread(runnable);
        } else {
            if (depth_ == path_.size())
                path_.push_back(options(runnable));
            decision_ = depth_;
            node& here = path_[depth_++];
            chosen = here.thread = here.options[here.index];
        }
        const bool preempts = last_ != outside && chosen != last_ &&
                              (runnable & (1u << last_)) != 0 &&
                              fibres_[static_cast<std::size_t>(last_)].next.kind != access::yield;
        preemptions_ += preempts;
        taken_ += name_of(chosen);
        last_ = chosen;
        if (chosen != current_)
            switch_to(chosen);
    }

    node options(unsigned runnable) {
        node n;
        for (std::size_t i = 0; i < count_; ++i)
            n.steps[i] = fibres_[i].next;
        unsigned allowed = runnable;
        if (settings_.preemptions < 0 && !settings_.coarse) {
            n.sleep = asleep();
            allowed &= ~n.sleep;
            if (allowed == 0)
                redundant_ = true;
        } else if (
            settings_.preemptions >= 0 && last_ != outside && (runnable & (1u << last_)) != 0 &&
            preemptions_ >= settings_.preemptions &&
            fibres_[static_cast<std::size_t>(last_)].next.kind != access::yield) {
            allowed = 1u << last_;
        }
        const auto add = [&n](int i) {
            n.options[n.count++] = static_cast<signed char>(i);
        };
        if (redundant_) { // runs to its end without alternatives, so that everything is destroyed
            for (int i = 0; n.count == 0; ++i) {
                if ((runnable & (1u << i)) != 0)
                    add(i);
            }
            return n;
        }
        // The last thread continues first, so the first schedules have the fewest preemptions.
        if (last_ != outside && (allowed & (1u << last_)) != 0)
            add(last_);
        for (int i = 0; i < static_cast<int>(count_); ++i) {
            if (i != last_ && (allowed & (1u << i)) != 0)
                add(i);
        }
        return n;
    }

    // The threads whose next step would lead to nothing new: the step was explored before the step
    // that led here, and the two steps commute.
    unsigned asleep() const {
        std::size_t i = depth_;
        while (i > 0 && path_[i - 1].choice)
            --i;
        if (i == 0)
            return 0;
        const node& before = path_[i - 1];
        unsigned mask = before.sleep;
        for (std::size_t k = 0; k < before.index; ++k)
            mask |= 1u << before.options[k];
        for (std::size_t t = 0; t < count_; ++t) {
            if (static_cast<int>(t) == before.thread ||
                !independent(
                    before.steps[t], before.steps[static_cast<std::size_t>(before.thread)]))
                mask &= ~(1u << t);
        }
        return mask;
    }

    std::string deadlock() const {
        std::string text = "deadlock:";
        for (std::size_t i = 0; i < count_; ++i) {
            if (!fibres_[i].finished)
                text += std::string(" ") + name_of(static_cast<int>(i)) + " waits to " +
                        fibres_[i].next.what + " " + label(fibres_[i].next.object) + ";";
        }
        return text;
    }

    // Replay.

    static std::string expand(const std::string& schedule) {
        std::string steps;
        for (std::size_t i = 0; i < schedule.size();) {
            const char c = schedule[i++];
            std::size_t n = 0;
            while (i < schedule.size() && schedule[i] >= '0' && schedule[i] <= '9')
                n = n * 10 + static_cast<std::size_t>(schedule[i++] - '0');
            steps.append(n == 0 ? 1 : n, c);
        }
        return steps + ' '; // not empty
    }
    int scripted_thread(unsigned runnable) {
        const int wanted = script_[script_at_] - 'a';
        if (wanted >= 0 && wanted < static_cast<int>(count_) && (runnable & (1u << wanted)) != 0) {
            ++script_at_;
            return wanted;
        }
        if (script_at_ + 1 < script_.size())
            fail(
                "the schedule does not fit this program: step " + std::to_string(script_at_ + 1) +
                ", '" + script_[script_at_] + "', cannot be taken");
        // The schedule has ended, so any runnable thread continues.
        if (last_ != outside && (runnable & (1u << last_)) != 0)
            return last_;
        int first = 0;
        while ((runnable & (1u << first)) == 0)
            ++first;
        return first;
    }
    bool scripted_failure() {
        if (script_[script_at_] != '!')
            return false;
        ++script_at_;
        taken_ += '!';
        return true;
    }

    // Fibres.

    static void entry() {
        scheduler& s = get();
        s.arrived(s.current_);
        for (;;) {
            const int me = s.current_;
            s.scenario_->run(static_cast<std::size_t>(me));
            s.fibres_[static_cast<std::size_t>(me)].finished = true;
            if (s.starting_)
                s.switch_to(outside);
            else
                s.dispatch();
        }
    }

    void create(fibre& f) {
        if (f.created)
            return;
        f.created = true;
        f.stack.reset(new char[stack_size]);
        getcontext(&f.context);
        f.context.uc_stack.ss_sp = f.stack.get();
        f.context.uc_stack.ss_size = stack_size;
        f.context.uc_link = nullptr;
        makecontext(&f.context, &scheduler::entry, 0);
    }

    fibre& fibre_of(int thread) {
        return thread == outside ? main_ : fibres_[static_cast<std::size_t>(thread)];
    }

    void switch_to(int thread) {
        fibre& from = fibre_of(current_);
        fibre& to = fibre_of(thread);
        const int me = current_;
        current_ = thread;
#if defined(ASIO_SEMAPHORE_MODEL_ASAN)
        const bool is_main = thread == outside;
        __sanitizer_start_switch_fiber(
            &from.fake_stack, is_main ? main_stack_ : to.stack.get(),
            is_main ? main_stack_size_ : stack_size);
#endif
        swapcontext(&from.context, &to.context);
        arrived(me);
    }

    void arrived([[maybe_unused]] int me) {
#if defined(ASIO_SEMAPHORE_MODEL_ASAN)
        const void* bottom = nullptr;
        std::size_t size = 0;
        fibre& self = fibre_of(me);
        __sanitizer_finish_switch_fiber(self.fake_stack, &bottom, &size);
        if (main_stack_ == nullptr) { // the first switch comes from there
            main_stack_ = bottom;
            main_stack_size_ = size;
        }
#endif
    }

    std::array<fibre, max_threads> fibres_;
    fibre main_;
    const void* main_stack_ = nullptr;
    std::size_t main_stack_size_ = 0;

    std::string title_;
    settings settings_;
    scenario* scenario_ = nullptr;
    std::size_t count_ = 0;
    int current_ = outside;
    int last_ = outside; // the thread that took the last step
    bool starting_ = false, quiet_ = false, tracing_ = false;
    bool redundant_ = false, abandoned_ = false;
    int preemptions_ = 0, spurious_ = 0;
    std::vector<node> path_;
    std::size_t depth_ = 0;
    std::size_t decision_ = 0; // the decision in path_ that led to the current step
    std::string taken_;        // the schedule so far, one letter for each step
    std::string script_;       // the schedule to replay
    std::size_t script_at_ = 0;
    std::uint64_t writes_ = 0; // the number so far; a thread that yields waits for the next one
    std::string failure_;
    std::map<const void*, std::string> names_;
    std::size_t births_ = 0;
    std::int64_t alive_ = 0;
    std::vector<std::function<void()>> resets_;
    std::vector<std::unique_ptr<char[]>> left_stacks_; // from failed executions
    std::vector<std::unique_ptr<scenario>> left_scenarios_;
};

template <typename T>
std::int64_t as_number(T value) {
    if constexpr (std::is_pointer_v<T>)
        return value != nullptr;
    else
        return static_cast<std::int64_t>(value);
}

/// Detects a use after destruction, even without a sanitizer.
class mortal {
public:
    mortal() noexcept = default;
    mortal(const mortal&) = delete;
    mortal& operator=(const mortal&) = delete;
    ~mortal() { state_ = 0; }
    void check(const char* what) const {
        if (state_ != living)
            scheduler::get().fail(std::string(what) + " of an object that is destroyed");
    }

private:
    static constexpr std::uint32_t living = 0x11fe11fe;
    volatile std::uint32_t state_ = living;
};

class model_mutex {
public:
    model_mutex() { scheduler::get().born(this); }
    model_mutex(const model_mutex&) = delete;
    model_mutex& operator=(const model_mutex&) = delete;
    ~model_mutex() {
        scheduler& s = scheduler::get();
        s.point(access::write, this, "destroy");
        s.trace_value(0);
        if (owner_ != scheduler::free)
            s.fail("a locked mutex is destroyed");
        s.died();
    }
    void lock() {
        life_.check("lock");
        scheduler::get().lock(owner_, this);
        life_.check("lock");
    }
    void unlock() {
        life_.check("unlock");
        scheduler::get().unlock(owner_, this);
    }
    void let_others_in() {
        unlock();
        lock();
    }
    bool held_by(int thread) const noexcept { return owner_ == thread; }

private:
    int owner_ = scheduler::free; // the first member: the scheduler finds it at the mutex's address
    mortal life_;
};

template <typename T>
class model_atomic {
public:
    model_atomic() : model_atomic(T()) {}
    model_atomic(T value) : value_(value) { scheduler::get().born(this); }
    model_atomic(const model_atomic&) = delete;
    model_atomic& operator=(const model_atomic&) = delete;
    ~model_atomic() {
        scheduler& s = scheduler::get();
        s.point(access::write, this, "destroy");
        s.trace_value(as_number(value_));
        s.observe([&] { s.observer_of_destruction(this, as_number(value_)); });
        s.died();
    }

    /// For observers; not a step.
    T peek() const { return value_; }

    T load(std::memory_order) const {
        step(access::read, "load");
        scheduler::get().trace_value(as_number(value_));
        return value_;
    }
    void store(T value, std::memory_order) {
        step(access::write, "store");
        write(value);
        // Counts as a write, because a thread that reads the value may then destroy something. This
        // object may be destroyed too.
        scheduler::get().point(access::write, this, "go on after the store");
        scheduler::get().trace_value(as_number(value));
    }
    bool compare_exchange_weak(T& expected, T next, std::memory_order, std::memory_order) {
        step(access::write, "compare-exchange");
        const bool exchanges = value_ == expected && !scheduler::get().fails_spuriously();
        scheduler::get().compared(exchanges);
        if (!exchanges) {
            expected = value_;
            scheduler::get().trace_value(as_number(value_));
            return false;
        }
        write(next);
        return true;
    }
    T fetch_add(T n, std::memory_order) { return modify("add", value_plus(n)); }
    T fetch_sub(T n, std::memory_order) { return modify("subtract", value_minus(n)); }
    T fetch_or(T bits, std::memory_order) {
        return modify("or", [bits](T v) { return static_cast<T>(v | bits); });
    }
    T fetch_and(T bits, std::memory_order) {
        return modify("and", [bits](T v) { return static_cast<T>(v & bits); });
    }

private:
    static auto value_plus(T n) {
        return [n](T v) {
            return static_cast<T>(v + n);
        };
    }
    static auto value_minus(T n) {
        return [n](T v) {
            return static_cast<T>(v - n);
        };
    }
    void step(access kind, const char* what) const {
        life_.check(what);
        scheduler::get().point(kind, this, what);
        life_.check(what);
    }
    void write(T next) {
        scheduler& s = scheduler::get();
        s.trace_value(as_number(next));
        s.observe([&] { s.observer_of_write(this, as_number(value_), as_number(next)); });
        value_ = next;
        s.wrote();
    }
    template <typename F>
    T modify(const char* what, F f) {
        step(access::write, what);
        const T old = value_;
        write(f(old));
        return old;
    }

    T value_;
    mortal life_;
};

/// The threads parameter of the state layer, for the explorer.
struct model_threads {
    using mutex = model_mutex;
    template <typename T>
    using atomic = model_atomic<T>;

    // Small, so that a call that ends two waiters already lets other calls in between.
    static constexpr int at_a_time = 1;

    static void back_off(unsigned) { scheduler::get().point(access::yield, nullptr, "back off"); }
    static void let_winner_go_on() noexcept {}

    using time_point = std::chrono::steady_clock::time_point;
    static time_point now() noexcept { return the_time; }
    static inline time_point the_time{}; // a scenario sets it

    template <typename T>
    static T*& thread_pointer() {
        static std::array<T*, scheduler::max_threads + 1> pointers{};
        static const bool listed = [] {
            scheduler::get().on_reset([] { pointers.fill(nullptr); });
            return true;
        }();
        static_cast<void>(listed);
        return pointers[static_cast<std::size_t>(scheduler::get().current() + 1)];
    }
};

} // namespace asio_semaphore::model
