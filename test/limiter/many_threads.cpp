// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// Many threads use one limiter at the same time: scenarios L16, L36, L42, L92 and L96 and row T141
// of the limiter's contract.

#include "limiter_fixture.hpp"

#include <support/seed.hpp>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

namespace {

using namespace asio_semaphore::detail;
using asio_semaphore::admission_request;
using asio_semaphore::limit_sample;
using asio_semaphore::limiter_options;
using asio_semaphore::queue_order;
using ended = asio_semaphore::outcome;

using state = limiter_state<threads>;
using state_pointer = boost::intrusive_ptr<state>;
using link_type = cancellation_link<threads>;

/// A request whose thread blocks until the request ends.
template <typename Threads>
class blocking_waiter final : public admission_waiter<Threads> {
public:
    using state_type = limiter_state<Threads>;

    using admission_waiter<Threads>::admission_waiter;

    outcome wait() {
        std::unique_lock<std::mutex> lock(mutex_);
        ended_.wait(lock, [&] { return is_over_; });
        return this->result;
    }

private:
    void submit() noexcept override { left(); }
    void destroy() noexcept override { left(); }
    bool is_inside() const noexcept override { return false; }
    void hold_work() noexcept override {}

    void left() {
        const boost::intrusive_ptr<state_type> owner(static_cast<state_type*>(this->state), false);
        std::lock_guard<std::mutex> lock(mutex_);
        is_over_ = true;
        ended_.notify_one(); // under the mutex, because the waiter may then be destroyed
    }

    std::mutex mutex_;
    std::condition_variable ended_;
    bool is_over_ = false;
};

/// Waits for an admission without a deadline.
template <typename Threads>
outcome admit(
    limiter_state<Threads>& s, const admission_request& r, place& granted,
    const std::function<void(blocking_waiter<Threads>&)>& attach = {},
    const std::function<void()>& meanwhile = {}) {
    typename limiter_state<Threads>::spare_record spare;
    const auto with_record = [&](auto f) {
        outcome o = f();
        if (o == outcome::unrecorded) {
            spare = std::make_unique<key_record>(0);
            o = f();
        }
        return o;
    };
    if (s.try_refuse(r))
        return outcome::queue_full;
    if (!s.has_to_wait(r)) {
        const outcome o = with_record([&] { return s.try_admit(r, granted, spare, true); });
        if (o != outcome::queued)
            return o;
    }
    blocking_waiter<Threads> w(r);
    if (attach)
        attach(w);
    const outcome p =
        s.try_enqueue(w) ? outcome::queued : with_record([&] { return s.enqueue(w, spare); });
    if (p != outcome::queued) {
        s.detach(w);
        granted = w.granted();
        return p;
    }
    if (meanwhile)
        meanwhile();
    const outcome end = w.wait();
    granted = w.granted();
    return end;
}

limiter_options without_deadlines(std::size_t max_waiting) {
    limiter_options o;
    o.max_waiting = max_waiting;
    o.max_wait = limiter_options::duration::max();
    return o;
}

struct many_threads_fixture {
    template <typename F>
    void run(int n, F f) {
        std::vector<std::thread> all;
        for (int i = 0; i < n; ++i)
            all.emplace_back([f, i] { f(i); });
        for (auto& t : all)
            t.join();
    }
    void lim(std::ptrdiff_t limit, limiter_options o) {
        s = state_pointer(new state(limit, std::move(o), states), false);
    }
    ~many_threads_fixture() {
        if (s)
            s->abort();
    }
    void check_end(std::uint64_t arrivals) {
        const auto all = s->statistics();
        BOOST_TEST(all.in_flight == 0);
        BOOST_TEST(all.running == 0u);
        BOOST_TEST(all.waiting == 0u);
        BOOST_TEST(all.keys == 0u);
        std::uint64_t admitted = 0, refused = 0;
        for (const auto& p : all.priorities) {
            admitted += p.admitted;
            refused += p.queue_full + p.shed + p.timed_out + p.cancelled + p.closed;
        }
        BOOST_TEST(admitted == all.succeeded + all.overloaded + all.ignored);
        BOOST_TEST(arrivals == admitted + refused);
    }

    boost::intrusive_ptr<state_registry<threads>> states{new state_registry<threads>};
    state_pointer s;
};

/// Real threads, with a clock that a test moves.
struct raced_threads : threads {
    static time_point now() noexcept { return time_point(std::chrono::nanoseconds(ticks.load())); }

    inline static std::atomic<std::int64_t> ticks{0};
};

/// A timer that a test fires.
class timer_by_hand final : public asio_semaphore::detail::alarm<raced_threads> {
public:
    using alarm::alarm;

    void post() override { posted(); }
    void shut() noexcept override {}

    void set() {
        if (claim())
            settle();
    }
    void fire() {
        if (expire(raced_threads::now()))
            settle();
    }

private:
    void settle() {
        for (time_point t; next(t);) {
        }
    }
};

/// Waiters leave one at a time. A test sees the state in between, and before the mutex is locked.
struct stepped_threads : threads {
    class mutex {
    public:
        void lock() {
            if (const auto f = std::exchange(before_lock, nullptr))
                f();
            inner_.lock();
        }
        void unlock() {
            inner_.unlock();
            if (const auto f = std::exchange(in_between, nullptr))
                f();
        }
        void let_others_in() {
            unlock();
            lock();
        }

    private:
        brief_mutex<threads> inner_;
    };

    static constexpr int at_a_time = 1;

    inline static std::function<void()> in_between, before_lock;
};

using stepped_state = limiter_state<stepped_threads>;

/// A limiter with a limit of 1.
boost::intrusive_ptr<stepped_state> stepped_limiter(std::size_t max_waiting) {
    const boost::intrusive_ptr<state_registry<stepped_threads>> registry(
        new state_registry<stepped_threads>);
    return {new stepped_state(1, without_deadlines(max_waiting), registry), false};
}

class stepped_idler final : public waiter<stepped_threads> {
public:
    stepped_idler() : waiter(0) {}

    std::optional<outcome> end;

private:
    void submit() noexcept override { left(); }
    void destroy() noexcept override { left(); }
    bool is_inside() const noexcept override { return false; }
    void hold_work() noexcept override {}

    void left() {
        const boost::intrusive_ptr<limiter_state<stepped_threads>> owner(
            static_cast<limiter_state<stepped_threads>*>(this->state), false);
        end = this->result;
    }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(limiter_many_threads, many_threads_fixture)

// Many limiters in turn. One thread finishes the running admission, another one fires the timer.
BOOST_AUTO_TEST_CASE(L16_a_grant_and_an_expiry_at_once_end_a_request_once) {
    constexpr int rounds = 100, each = 1000;
    using raced_state = limiter_state<raced_threads>;
    struct lane {
        boost::intrusive_ptr<raced_state> s;
        timer_by_hand* timer;
        place running;
        std::optional<blocking_waiter<raced_threads>> waiting;
    };
    const boost::intrusive_ptr<state_registry<raced_threads>> registry(
        new state_registry<raced_threads>);
    std::deque<lane> lanes(each);
    for (lane& l : lanes) {
        l.s = boost::intrusive_ptr<raced_state>(new raced_state(1, {}, registry), false);
        auto made = std::make_unique<timer_by_hand>(*l.s);
        l.timer = made.get();
        l.s->install_alarm(std::move(made));
    }
    std::uint64_t granted = 0, timed_out = 0, neither = 0;
    for (int round = 0; round < rounds; ++round) {
        const std::int64_t start = raced_threads::ticks;
        std::int64_t deadline = start + 2;
        for (lane& l : lanes) {
            raced_state::spare_record spare;
            neither += l.s->try_admit({}, l.running, spare, true) == outcome::granted ? 0 : 1;
            admission_request r;
            r.max_wait = std::chrono::nanoseconds(++deadline - start);
            auto& w = l.waiting.emplace(r);
            if (l.s->enqueue(w, spare) == outcome::unalarmed) {
                const timer_by_hand::expectation expected(*l.timer, w.at);
                expected.post();
                neither += l.s->enqueue(w, spare, true) == outcome::queued ? 0 : 1;
                l.timer->set();
            }
        }
        std::thread other([&, at = start + 2]() mutable {
            for (lane& l : lanes) {
                // Fires at the deadline, or shortly before.
                ++at;
                const std::int64_t from = at - at % 3;
                // Without pauses, because the threads meet within a few lanes.
                for (int looks = 0; raced_threads::ticks < from; ++looks) {
                    if (looks >= 64)
                        std::this_thread::yield();
                }
                l.s->finish(l.running, ended::success, true);
            }
        });
        for (lane& l : lanes) {
            raced_threads::ticks = l.waiting->at.time_since_epoch().count();
            l.timer->fire();
        }
        other.join();
        for (lane& l : lanes) {
            const outcome end = l.waiting->wait();
            if (end == outcome::granted) {
                ++granted;
                l.s->finish(l.waiting->granted(), ended::success, true);
            } else {
                ++(end == outcome::timed_out ? timed_out : neither);
            }
        }
    }
    BOOST_TEST_MESSAGE(granted << " granted, " << timed_out << " timed out");
    BOOST_TEST(neither == 0u);
    BOOST_TEST(granted + timed_out == std::uint64_t(rounds) * each);
    std::uint64_t counted_granted = 0, counted_timed_out = 0;
    for (lane& l : lanes) {
        const auto all = l.s->statistics();
        BOOST_TEST(all.in_flight == 0);
        BOOST_TEST(all.waiting == 0u);
        counted_granted += all.priorities[0].admitted - rounds;
        counted_timed_out += all.priorities[0].timed_out;
        raced_state::spare_record spare;
        BOOST_TEST(l.s->try_admit({}, l.running, spare, true) == outcome::granted);
        l.s->finish(l.running, ended::success, true);
        l.s->abort();
    }
    BOOST_TEST(counted_granted == granted);
    BOOST_TEST(counted_timed_out == timed_out);
}

BOOST_AUTO_TEST_CASE(a_place_in_the_queue_may_become_free_before_an_arrival_is_refused) {
    const auto stepped = stepped_limiter(2);
    stepped_state::spare_record spare;
    place p;
    BOOST_TEST(stepped->try_admit({}, p, spare, true) == outcome::granted);
    blocking_waiter<stepped_threads> w1{{}}, w2{{}};
    for (auto* w : {&w1, &w2})
        BOOST_TEST(stepped->enqueue(*w, spare) == outcome::queued);
    stepped_threads::before_lock = [&] {
        stepped->finish(p, ended::success, true);
    };
    BOOST_TEST(!stepped->try_refuse({}));
    BOOST_TEST(!stepped_threads::before_lock);
    BOOST_TEST(w1.wait() == outcome::granted);
    BOOST_TEST(stepped->waiting() == 1u);
    stepped->finish(w1.granted(), ended::success, true);
    BOOST_TEST(w2.wait() == outcome::granted);
    stepped->finish(w2.granted(), ended::success, true);
}

// Between two steps of an end, no request is granted, neither a waiting nor an arriving one. An
// operation that waits for the limiter to be idle completes neither too early nor never.
BOOST_AUTO_TEST_CASE(a_request_may_arrive_between_two_steps_of_an_end) {
    using stepped_waiter = blocking_waiter<stepped_threads>;
    const auto stepped = stepped_limiter(10);
    stepped_state::spare_record spare;
    place p, q;
    BOOST_TEST(stepped->try_admit({}, p, spare, true) == outcome::granted);
    stepped_idler early, late;
    BOOST_TEST(stepped->enqueue_idle(early) == outcome::queued);
    admission_request low;
    low.priority = 1;
    stepped_waiter w1(low), w2(low), w3(low), w4{{}};
    for (stepped_waiter* w : {&w1, &w2, &w3})
        BOOST_TEST(stepped->enqueue(*w, spare) == outcome::queued);
    bool is_in_between = false;
    stepped_threads::in_between = [&] {
        is_in_between = true;
        BOOST_TEST(stepped->waiting() == 2u);
        stepped->finish(p, ended::success, true);
        BOOST_TEST(stepped->waiting() == 2u);
        BOOST_TEST(stepped->in_flight() == 0);
        BOOST_TEST(!early.end.has_value());
        BOOST_TEST(stepped->enqueue_idle(late) == outcome::queued);
        admission_request urgent;
        urgent.max_wait = limiter_options::duration::zero();
        BOOST_TEST(stepped->try_admit(urgent, q, spare, false) == outcome::queued);
        BOOST_TEST(stepped->enqueue(w4, spare) == outcome::queued);
    };
    BOOST_TEST(stepped->cancel() == 3u);
    BOOST_TEST(is_in_between);
    for (stepped_waiter* w : {&w1, &w2, &w3})
        BOOST_TEST(w->wait() == outcome::aborted);
    BOOST_TEST(w4.wait() == outcome::granted);
    BOOST_TEST(!early.end.has_value());
    stepped->finish(w4.granted(), ended::success, true);
    BOOST_TEST((early.end == outcome::granted && late.end == outcome::granted));
    stepped->abort();
}

BOOST_AUTO_TEST_CASE(L36_caps_hold_under_contention) {
    constexpr int crossing = 10'000;
    auto o = without_deadlines(100);
    o.max_per_key = 1;
    lim(2, o);
    std::atomic<int> inside[2] = {{0}, {0}};
    std::atomic<int> beyond{0}, lost{0};
    run(4, [&](int i) {
        for (int n = 0; n < crossing / 4; ++n) {
            admission_request r;
            const int key = (n + i) % 2;
            r.key = std::uint64_t(key + 1);
            place p;
            if (admit(*s, r, p) != outcome::granted)
                ++lost;
            if (++inside[key] > 1)
                ++beyond;
            --inside[key];
            s->finish(p, ended::success, true);
        }
    });
    BOOST_TEST(beyond == 0);
    BOOST_TEST(lost == 0);
    check_end(crossing);
}

BOOST_AUTO_TEST_CASE(L42_the_limit_holds_under_contention) {
    constexpr int users = 100, each = 1000;
    auto o = without_deadlines(users);
    o.share = {1, .9, .6, .3};
    lim(10, o);
    std::atomic<int> in_flight{0}, beyond{0}, lost{0};
    run(users, [&](int i) {
        for (int n = 0; n < each; ++n) {
            admission_request r;
            r.key = std::uint64_t((i + n) % 7);
            r.priority = (i * 3 + n) % 4;
            place p;
            if (admit(*s, r, p) != outcome::granted)
                ++lost;
            if (++in_flight > 10)
                ++beyond;
            --in_flight;
            s->finish(p, ended::success, true);
        }
    });
    BOOST_TEST(beyond == 0);
    BOOST_TEST(lost == 0);
    check_end(std::uint64_t(users) * each);
}

BOOST_AUTO_TEST_CASE(L92_admissions_may_outlive_their_limiter) {
    for (int i = 0; i < 200; ++i) {
        limiter_options o = without_deadlines(10);
        o.algorithm = [](const limit_sample& sample) {
            return sample.limit + 1;
        };
        lim(2, o);
        place p, q;
        state::spare_record spare(new key_record(0));
        admission_request r;
        r.key = 7;
        BOOST_TEST_REQUIRE(s->try_admit(r, p, spare, true) == outcome::granted);
        BOOST_TEST_REQUIRE(s->try_admit({}, q, spare, true) == outcome::granted);
        // Each thread holds a reference, as an admission does.
        std::thread other([owner = s, p] { owner->finish(p, ended::success, true); });
        std::thread another([owner = s, q]() mutable {
            owner->finish(q, ended::ignored, false);
            owner.reset();
        });
        s->abort();
        s.reset();
        other.join();
        another.join();
    }
}

BOOST_AUTO_TEST_CASE(T141_a_key_may_leave_while_its_next_request_arrives) {
    constexpr int each = 20'000;
    lim(100, without_deadlines(0));
    std::atomic<int> lost{0};
    run(4, [&](int) {
        for (int n = 0; n < each; ++n) {
            admission_request r;
            r.key = 5;
            place p;
            if (admit(*s, r, p) != outcome::granted)
                ++lost;
            s->finish(p, ended::success, true);
        }
    });
    BOOST_TEST(lost == 0);
    check_end(4 * each);
}

BOOST_AUTO_TEST_CASE(one_thread_at_a_time_is_inside_the_algorithm) {
    constexpr int each = 5'000;
    auto o = without_deadlines(100);
    std::atomic<int> inside{0}, beyond{0};
    int shown = 0; // guarded by the guarantee under test
    o.algorithm = [&](const limit_sample& sample) {
        if (++inside > 1)
            ++beyond;
        ++shown;
        --inside;
        return sample.limit < 5 ? sample.limit + 0.5 : 1.0;
    };
    lim(3, o);
    std::atomic<int> lost{0};
    run(4, [&](int i) {
        for (int n = 0; n < each; ++n) {
            place p;
            admission_request r;
            r.key = std::uint64_t(i);
            if (admit(*s, r, p) != outcome::granted)
                ++lost;
            while (threads::now() <= p.since) {
            }
            s->finish(p, ended::success, true);
        }
    });
    BOOST_TEST(beyond == 0);
    BOOST_TEST(lost == 0);
    // The last thread inside may have left samples. The next report passes them on.
    place p;
    BOOST_TEST_REQUIRE(admit(*s, {}, p) == outcome::granted);
    while (threads::now() <= p.since) {
    }
    s->finish(p, ended::success, true);
    BOOST_TEST(shown == 4 * each + 1);
    check_end(4 * each + 1);
}

BOOST_AUTO_TEST_CASE(L96_all_members_under_contention) {
    const auto seed = test::seed();
    constexpr int each = 5'000;
    constexpr std::ptrdiff_t limit = 6;
    for (const auto order : {queue_order::fifo, queue_order::lifo, queue_order::adaptive}) {
        auto o = without_deadlines(5);
        o.order = order;
        o.max_per_key = 4;
        o.share = {1, .8, .6, .4};
        lim(limit, o);
        std::atomic<std::ptrdiff_t> in_flight{0};
        std::atomic<int> beyond{0};
        std::atomic<std::uint64_t> arrivals{0};
        run(8, [&](int i) {
            std::mt19937 random(static_cast<std::uint32_t>(seed) + std::uint32_t(i));
            const auto below = [&](std::uint32_t n) {
                return random() % n;
            };
            for (int n = 0; n < each; ++n) {
                admission_request r;
                r.key = below(4);
                r.priority = int(below(4));
                r.weight = 1 + std::ptrdiff_t(below(3));
                if (below(8) == 0)
                    r.max_wait = std::chrono::nanoseconds(0);
                place p;
                outcome end;
                ++arrivals;
                const bool is_cancelled = below(4) == 0;
                if (is_cancelled) {
                    link_type link(s);
                    end = admit<threads>(
                        *s, r, p, [&](auto& w) { link.attach(w); }, [&] { link.fire(); });
                } else {
                    end = admit(*s, r, p);
                }
                if (end == outcome::granted) {
                    if ((in_flight += r.weight) > limit)
                        ++beyond;
                    if (below(16) == 0)
                        std::this_thread::yield();
                    in_flight -= r.weight;
                    s->finish(p, ended(below(3)), below(2) == 0);
                }
                if (below(500) == 0)
                    s->cancel();
                if (below(100) == 0)
                    s->busiest_keys(3);
            }
        });
        BOOST_TEST(beyond == 0);
        check_end(arrivals);
        place p;
        state::spare_record spare;
        admission_request all;
        all.weight = limit;
        BOOST_TEST(s->try_admit(all, p, spare, true) == outcome::granted);
        s->finish(p, ended::success, true);
        s->abort();
    }
}

BOOST_AUTO_TEST_SUITE_END()
