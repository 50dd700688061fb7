// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// A limiter_state that a test drives step by step. The test moves the clock, in milliseconds. The
// timer fires when the clock passes its time, unless the test delays it.

#include <asio_semaphore/detail/state/limiter_state.hpp>

#include <asio_semaphore/detail/state/impl/limiter_state.ipp>

#include <support/outcome_names.hpp>

#include <boost/test/unit_test.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

namespace asio_semaphore {

inline std::ostream& operator<<(std::ostream& out, outcome o) {
    const char* const names[] = {"success", "overloaded", "ignored"};
    return out << names[static_cast<std::size_t>(o)];
}

} // namespace asio_semaphore

namespace test {

using namespace asio_semaphore::detail;
using asio_semaphore::admission_request;
using asio_semaphore::limit_sample;
using asio_semaphore::limiter_options;
using asio_semaphore::limiter_statistics;
using asio_semaphore::queue_order;
using ended = asio_semaphore::outcome;
using std::chrono::microseconds;
using std::chrono::milliseconds;

/// Real threads, and a clock that a test moves.
struct stopped_threads : threads {
    static time_point now() noexcept {
        ++looks;
        return the_time;
    }

    inline static time_point the_time{};
    inline static int looks = 0; // how often the clock was read
};

using limiter_under_test = limiter_state<stopped_threads>;
using limiter_pointer = boost::intrusive_ptr<limiter_under_test>;
using limiter_link = cancellation_link<stopped_threads>;

/// An executor with a timer, both driven by the test.
class hand_made_timer final : public asio_semaphore::detail::alarm<stopped_threads> {
public:
    using alarm::alarm;

    void post() override {
        ++posts;
        posted();
    }
    void shut() noexcept override {}

    /// Runs the posted functions, and then the timer if it is due.
    void run() {
        for (; posts > 0; --posts) {
            if (claim())
                set();
        }
        while (set_for <= stopped_threads::the_time) {
            set_for = never;
            if (expire(stopped_threads::the_time))
                set();
        }
    }

    time_point set_for = never;

private:
    void set() {
        for (time_point t; next(t);)
            set_for = t;
    }

    int posts = 0;
};

/// A request, from its arrival to the end of its admission.
class client final : public admission_waiter<stopped_threads> {
public:
    explicit client(const admission_request& r) : admission_waiter(r), asked(r) {}
    client(const client&) = delete;
    client& operator=(const client&) = delete;
    ~client() { BOOST_TEST(!is_in_queue); }

    /// How the wait ended; empty while the request waits.
    std::optional<outcome> end;
    time_point ended_at;
    /// The place that the request holds.
    std::optional<place> held;
    bool is_in_queue = false;
    admission_request asked;
    std::optional<limiter_link> slot; // cancels the request
    std::function<void()> on_end;

    void ends(outcome o, const place& p) {
        BOOST_TEST(!end.has_value());
        end = o;
        ended_at = stopped_threads::the_time;
        is_in_queue = false;
        if (o == outcome::granted && p.record != nullptr)
            held = p;
        if (on_end)
            on_end();
    }

private:
    void submit() noexcept override { left(); }
    void destroy() noexcept override { left(); }
    bool is_inside() const noexcept override { return false; }
    void hold_work() noexcept override {}

    void left() {
        const limiter_pointer owner(static_cast<limiter_under_test*>(this->state), false);
        ends(this->result, granted());
    }
};

/// An operation that waits for the limiter to be idle.
class idler final : public waiter<stopped_threads> {
public:
    idler() : waiter(0) {}

    std::optional<outcome> end;

private:
    void submit() noexcept override { left(); }
    void destroy() noexcept override { left(); }
    bool is_inside() const noexcept override { return false; }
    void hold_work() noexcept override {}

    void left() {
        const limiter_pointer owner(static_cast<limiter_under_test*>(this->state), false);
        end = this->result;
    }
};

class limiter_fixture {
public:
    limiter_fixture() { stopped_threads::the_time = time_point(std::chrono::hours(1)); }
    ~limiter_fixture() { leave_limiter(); }

    /// Creates a limiter, like lim(L, q, w) in the scenarios.
    void lim(std::ptrdiff_t limit, limiter_options options = {}) {
        leave_limiter();
        s = limiter_pointer(new limiter_under_test(limit, std::move(options), states), false);
        auto made = std::make_unique<hand_made_timer>(*s);
        timer = made.get();
        s->install_alarm(std::move(made));
        if (s->find_alarm() == nullptr) // the context has been shut down
            timer = nullptr;
        arrivals = 0;
    }
    /// Destroys the last limiter, and ends its admissions.
    void leave_limiter() {
        if (!s)
            return;
        s->abort();
        for (client& c : clients) {
            if (c.held)
                finish(c, ended::ignored);
        }
        clients.clear();
        s.reset();
        timer = nullptr;
    }
    static limiter_options options(std::size_t max_waiting, int max_wait) {
        limiter_options o;
        o.max_waiting = max_waiting;
        o.max_wait = milliseconds(max_wait);
        return o;
    }

    /// Sets an algorithm that records its samples and calls `law`.
    limiter_options with_law(limiter_options o = {}) {
        o.algorithm = [this](const limit_sample& sample) {
            samples.push_back(sample);
            return law ? law(sample) : sample.limit;
        };
        o.on_limit_change = [this](double from, double to) {
            changes.emplace_back(from, to);
        };
        return o;
    }

    /// Does what async_admit does, except that it posts no completion.
    client& admit(const admission_request& r = {}) {
        client& c = clients.emplace_back(r);
        start(c);
        return c;
    }
    /// The same with a cancellation slot.
    client& admit_cancellable(const admission_request& r = {}) {
        client& c = clients.emplace_back(r);
        c.slot.emplace(s);
        c.slot->attach(c);
        start(c);
        return c;
    }
    static admission_request of(std::uint64_t key, std::ptrdiff_t weight = 1, int priority = 0) {
        admission_request r;
        r.key = key;
        r.weight = weight;
        r.priority = priority;
        return r;
    }
    static admission_request at_priority(int priority, std::ptrdiff_t weight = 1) {
        return of(0, weight, priority);
    }
    static admission_request within(int max_wait) {
        admission_request r;
        r.max_wait = milliseconds(max_wait);
        return r;
    }

    void start(client& c) {
        limiter_under_test::spare_record spare;
        place p;
        outcome o = s->try_refuse(c.asked) ? outcome::queue_full : outcome::queued;
        if (o == outcome::queued && !s->has_to_wait(c.asked))
            o = with_record(spare, [&] { return s->try_admit(c.asked, p, spare, true); });
        if (o == outcome::queued) {
            c.is_in_queue = true;
            if (!s->try_enqueue(c))
                o = with_record(spare, [&] { return s->enqueue(c, spare); });
            if (o == outcome::unalarmed) {
                const hand_made_timer::expectation expected(*timer, c.at);
                expected.post();
                o = with_record(spare, [&] { return s->enqueue(c, spare, true); });
            }
            p = c.granted();
        }
        if (o != outcome::queued) {
            s->detach(c);
            c.ends(o, p);
        }
        const bool is_nowhere = o == outcome::invalid_argument || o == outcome::exceeds_max;
        arrivals += is_nowhere || c.asked.weight == 0 ? 0 : 1;
        if (timer != nullptr && !is_timer_late)
            timer->run();
    }

    /// Does what basic_limiter::try_admit does. The client holds the place.
    client& try_admit(const admission_request& r = {}) {
        clients.emplace_back(r);
        client& c = clients.back();
        limiter_under_test::spare_record spare;
        place p;
        c.ends(with_record(spare, [&] { return s->try_admit(c.asked, p, spare, false); }), p);
        arrivals += runs(c) ? 1 : 0;
        return c;
    }

    void finish(client& c, ended how = ended::success, bool is_reported = true) {
        BOOST_REQUIRE(c.held.has_value());
        const place p = *c.held;
        c.held.reset();
        s->finish(p, how, is_reported);
        if (timer != nullptr && !is_timer_late)
            timer->run();
    }

    /// Does what the destructor of an admission does.
    void forget(client& c) {
        BOOST_REQUIRE(c.held.has_value());
        s->forget(*std::exchange(c.held, {}));
    }

    /// Moves the clock. The timer fires when the clock passes its time.
    void after(std::chrono::steady_clock::duration d) {
        const time_point then = stopped_threads::the_time + d;
        while (!is_timer_late && timer->set_for <= then) {
            stopped_threads::the_time = std::max(stopped_threads::the_time, timer->set_for);
            timer->run();
        }
        stopped_threads::the_time = then;
    }
    /// Moves the clock to this time after the start.
    void at(int ms) {
        after(time_point(std::chrono::hours(1)) + milliseconds(ms) - stopped_threads::the_time);
    }

    static bool waits(const client& c) { return !c.end.has_value(); }
    static bool runs(const client& c) { return c.held.has_value(); }
    static bool ended_as(const client& c, outcome o) { return c.end == o; }
    limiter_statistics::by_priority counts(int priority = 0) const {
        return s->statistics().priorities[static_cast<std::size_t>(priority)];
    }
    /// The weights that the key holds.
    std::ptrdiff_t held_by(std::uint64_t key) const {
        for (const auto& usage : s->busiest_keys(std::size_t(-1))) {
            if (usage.key == key)
                return usage.in_flight;
        }
        return 0;
    }

    /// Checks the sums that the contract guarantees.
    void check_counts() const {
        const limiter_statistics all = s->statistics();
        std::uint64_t admitted = 0, refused = 0;
        for (const auto& p : all.priorities) {
            admitted += p.admitted;
            refused += p.queue_full + p.shed + p.timed_out + p.cancelled + p.closed;
        }
        BOOST_TEST(admitted == all.succeeded + all.overloaded + all.ignored + all.running);
        BOOST_TEST(arrivals == admitted + refused + all.waiting);
    }

    limiter_pointer s;
    hand_made_timer* timer = nullptr;
    bool is_timer_late = false;
    std::deque<client> clients;
    std::uint64_t arrivals = 0;
    std::size_t records_made = 0;
    // The algorithm of with_law.
    std::function<double(const limit_sample&)> law;
    std::vector<limit_sample> samples;
    std::vector<std::pair<double, double>> changes;
    boost::intrusive_ptr<state_registry<stopped_threads>> states{
        new state_registry<stopped_threads>};

    template <typename F>
    outcome with_record(limiter_under_test::spare_record& spare, F f) {
        outcome o = f();
        if (o == outcome::unrecorded) {
            ++records_made;
            spare = std::make_unique<key_record>(0);
            o = f();
        }
        return o;
    }
};

} // namespace test
