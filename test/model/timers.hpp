// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// An executor with timers for the explorer, and an alarm that uses such a timer. It corresponds to
// operation/deadline_timer.hpp, which does the same with Asio.

#include "scheduler.hpp"

#include <asio_semaphore/detail/state/impl/semaphore_state.ipp>
#include <asio_semaphore/detail/state/semaphore_state.hpp>

#include <boost/smart_ptr/intrusive_ptr.hpp>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace asio_semaphore::model {

using detail::never;
using detail::outcome;
using detail::time_point;
using state_type = detail::semaphore_state<model_threads>;
using state_pointer = boost::intrusive_ptr<state_type>;
using alarm_type = detail::alarm<model_threads>;
using waiter_type = detail::waiter<model_threads>;
using timed_waiter_type = detail::timed_waiter<model_threads>;

constexpr time_point at(int t) {
    return time_point(time_point::duration(t));
}

class model_alarm;

/// Runs the posted functions when a thread asks for it. Also holds the clock.
class timer_executor {
public:
    timer_executor() = default;
    timer_executor(const timer_executor&) = delete;
    timer_executor& operator=(const timer_executor&) = delete;

    /// Runs one posted function. False if there is none.
    bool run_one();
    /// Fires one due timer. False if none is due.
    bool fire_one();
    /// Runs everything that is ready.
    void run() {
        while (run_one() || fire_one()) {
        }
    }
    /// Destroys all functions, as the destruction of the context does.
    void destroy_all();
    /// Destroys one function, as a stopped executor may do. False if there is none.
    bool drop_one();

    /// How later posts and settings of the timer fail.
    int refuses = 0;            ///< the number of posts that throw
    int drops = 0;              ///< the number of posts that are destroyed at once
    int cannot_set = 0;         ///< the number of times that a timer cannot be set
    bool has_lost = false;      ///< whether one of these has happened
    bool could_not_set = false; ///< whether the last kind has happened
    bool is_gone = false;       ///< destroyed with its context

    time_point now = at(0);

private:
    friend model_alarm;

    struct call {
        state_pointer state;
        model_alarm* timer;
    };

    bool take_one(call& one) {
        scheduler::get().point(access::write, this, "the executor runs");
        scheduler::get().trace_value(!posted_.empty());
        if (posted_.empty())
            return false;
        one = std::move(posted_.front());
        posted_.erase(posted_.begin());
        return true;
    }

    std::vector<call> posted_;
    std::vector<model_alarm*> timers_; // those whose state is alive
};

class model_alarm final : public alarm_type {
public:
    using state_type = asio_semaphore::model::state_type;

    model_alarm(state_type& state, timer_executor& executor) :
        alarm_type(state), state_(state), executor_(executor) {
        executor_.timers_.push_back(this);
    }
    ~model_alarm() override {
        scheduler::get().point(access::read, &executor_, "the timer is destroyed");
        scheduler::get().trace_value(executor_.is_gone);
        if (executor_.is_gone && !is_shut_ && is_used)
            fail("a timer is destroyed after its context");
        auto& all = executor_.timers_;
        all.erase(std::find(all.begin(), all.end(), this));
    }

    void post() override {
        is_used = true;
        uses_executor("begin of a post");
        timer_executor::call claims{state_pointer(&state_), this};
        scheduler::get().point(access::write, &executor_, "the executor takes it");
        scheduler::get().trace_value(1);
        const bool refuses = counts(executor_.refuses);
        if (refuses || counts(executor_.drops)) {
            dropped();
            posted();
            if (refuses)
                throw std::runtime_error("refused");
            return;
        }
        executor_.posted_.push_back(std::move(claims));
        uses_executor("end of a post");
        posted();
    }

    void shut() noexcept override {
        begin_to_touch("begin to destroy the timer");
        is_shut_ = true;
        state_pointer last = end_to_touch(never);
    }

    /// The executor calls this for a post.
    void called(const state_pointer& own) {
        if (claim())
            set(own);
    }
    /// The executor calls this when the timer fires.
    void fired(const state_pointer& own) {
        if (expire(executor_.now))
            set(own);
    }

    time_point set_for() const noexcept { return set_for_; }

    /// False for an alarm that came too late for a state that was shut, and was never installed.
    bool is_used = false;

private:
    friend timer_executor;

    static constexpr int nobody = -3;

    bool counts(int& failures) {
        if (failures == 0)
            return false;
        --failures;
        executor_.has_lost = true;
        return true;
    }

    /// @pre claimed
    void set(const state_pointer& own) {
        for (time_point t; next(t);) {
            begin_to_touch(t == never ? "begin to switch off" : "begin to set");
            if (t != never && counts(executor_.cannot_set)) {
                executor_.could_not_set = true;
                static_cast<void>(end_to_touch(set_for_));
                failed();
                return;
            }
            state_pointer old = end_to_touch(t);
            if (t != never)
                wait_ = own;
        }
    }

    // Only one thread at a time may use a timer of Asio.
    void begin_to_touch(const char* what) {
        point(what);
        if (toucher_ != nobody)
            fail("two threads touch the timer");
        if (is_shut_)
            fail("the timer is touched after the shutdown");
        toucher_ = scheduler::get().current();
    }
    state_pointer end_to_touch(time_point t) {
        point("end of that");
        toucher_ = nobody;
        set_for_ = t;
        return std::move(wait_);
    }

    void uses_executor(const char* what) {
        scheduler::get().point(access::read, this, what);
        scheduler::get().trace_value(!is_shut_);
        if (is_shut_)
            fail("the timer's executor is used after the shutdown");
    }

    void point(const char* what) const {
        scheduler::get().point(access::write, this, what);
        scheduler::get().trace_value(is_shut_);
    }
    static void fail(const std::string& why) { scheduler::get().fail(why); }

    state_type& state_;
    timer_executor& executor_;
    time_point set_for_ = never;
    state_pointer wait_; // the reference of the timer's handler
    int toucher_ = nobody;
    bool is_shut_ = false;
};

inline bool timer_executor::run_one() {
    call one{};
    if (!take_one(one))
        return false;
    one.timer->called(one.state);
    return true;
}

inline bool timer_executor::drop_one() {
    call one{};
    if (!take_one(one))
        return false;
    has_lost = true;
    one.timer->dropped();
    return true;
}

inline void timer_executor::destroy_all() {
    while (drop_one()) {
    }
}

inline bool timer_executor::fire_one() {
    scheduler::get().point(access::write, this, "a timer goes off");
    scheduler::get().trace_value(0);
    for (model_alarm* timer : timers_) {
        if (timer->set_for_ > now)
            continue;
        timer->set_for_ = never;
        const state_pointer own = std::move(timer->wait_);
        timer->fired(own);
        return true;
    }
    return false;
}

/// Puts w in the queue as operation/deadline_timer.hpp does, with the alarm set for its deadline.
inline outcome
enqueue_timed(timer_executor& executor, const state_pointer& s, timed_waiter_type& w) {
    const time_point deadline = w.at;
    outcome result = s->enqueue(w); // after `queued`, w may be destroyed already
    for (int posts = 0; result == outcome::unalarmed; ++posts) {
        // One post, or two if the post of another thread runs before it is counted.
        if (posts > 1 && !executor.has_lost)
            scheduler::get().fail("an initiation posts again and again");
        if (s->find_alarm() == nullptr)
            s->install_alarm(std::make_unique<model_alarm>(*s, executor));
        alarm_type* const timer = s->find_alarm();
        if (timer == nullptr)
            return s->enqueue(w);
        const alarm_type::expectation expected(*timer, deadline);
        expected.post();
        result = s->enqueue(w);
    }
    return result;
}

} // namespace asio_semaphore::model
