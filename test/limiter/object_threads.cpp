// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// The limiter on real threads. There is never more in flight than the limit, every operation
// completes exactly once, exactly one side wins each race, and at the end nothing is in flight.

#include <asio_semaphore/limiter/aimd_limit.hpp>
#include <asio_semaphore/limiter/limiter.hpp>

#include "object_fixture.hpp"

#include <support/seed.hpp>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <thread>
#include <utility>
#include <vector>

namespace {

using namespace test;
using asio_semaphore::limit_sample;

constexpr int rounds = 1000;

/// An io_context that several threads run.
struct threaded_context {
    explicit threaded_context(int n) {
        for (int i = 0; i < n; ++i)
            threads.emplace_back([this] { context.run(); });
    }
    void join() {
        work.reset();
        for (std::thread& t : threads)
            t.join();
        threads.clear();
    }

    asio::io_context context;
    asio::executor_work_guard<asio::io_context::executor_type> work{context.get_executor()};
    std::vector<std::thread> threads;
};

/// Two threads that wait for each other.
class meeting {
public:
    void arrive_and_wait() {
        std::unique_lock<std::mutex> lock(mutex_);
        const int phase = phase_;
        if (++arrived_ == 2) {
            arrived_ = 0;
            ++phase_;
            met_.notify_one();
        } else {
            met_.wait(lock, [&] { return phase_ != phase; });
        }
    }

private:
    std::mutex mutex_;
    std::condition_variable met_;
    int arrived_ = 0;
    int phase_ = 0;
};

/// Runs first and second at the same time, in many rounds, each with a new `Round`.
template <typename Round>
void race(int times = rounds) {
    std::optional<Round> round;
    meeting both;
    std::thread other([&] {
        for (int i = 0; i < times; ++i) {
            both.arrive_and_wait();
            round->second();
            both.arrive_and_wait();
        }
    });
    for (int i = 0; i < times; ++i) {
        round.emplace();
        both.arrive_and_wait();
        round->first();
        both.arrive_and_wait();
        BOOST_TEST_CONTEXT("round " << i) {
            round->check();
        }
        round.reset();
    }
    other.join();
}

/// The sum of the weights inside, counted by the requests themselves.
struct room {
    std::atomic<std::ptrdiff_t> inside{0}, most{0};

    void enter(std::ptrdiff_t weight) {
        const std::ptrdiff_t now = inside += weight;
        for (std::ptrdiff_t before = most;
             before < now && !most.compare_exchange_weak(before, now);) {
        }
    }
    void leave(std::ptrdiff_t weight) { inside -= weight; }
};

/// The only place is taken, and one operation waits for it.
struct one_waits {
    asio::io_context context;
    std::optional<limiter> limit{std::in_place, context, 1, patient()};
    std::optional<asio::cancellation_signal> signal{std::in_place};
    admission held = limit->try_admit();
    operation o;

    one_waits() { limit->async_admit(o.on_completion(signal->slot())); }

    void check_one_won(error_code otherwise) {
        context.poll();
        BOOST_TEST(context.stopped());
        BOOST_TEST(o.completed());
        if (o.error()) {
            BOOST_TEST(o.error() == otherwise);
            BOOST_TEST(!o.held());
        } else {
            BOOST_TEST(static_cast<bool>(o.held()));
            BOOST_TEST(limit->in_flight() == 1);
            o.held().finish();
        }
        BOOST_TEST(limit->in_flight() == 0);
        BOOST_TEST(limit->waiting() == 0u);
        check_sums(limit->statistics());
    }
};

std::uint64_t refused(const limiter_statistics& s) {
    std::uint64_t all = 0;
    for (const auto& by : s.priorities)
        all += by.queue_full + by.shed + by.timed_out + by.cancelled + by.closed;
    return all;
}
std::uint64_t admitted(const limiter_statistics& s) {
    std::uint64_t all = 0;
    for (const auto& by : s.priorities)
        all += by.admitted;
    return all;
}

} // namespace

BOOST_AUTO_TEST_SUITE(limiter_object_threads)

BOOST_AUTO_TEST_CASE(what_happens_before_a_finish_is_visible_after_the_admission) {
    threaded_context threads(3);
    limiter limit(threads.context, 1, patient(1000));
    long long plain = 0;
    std::atomic<int> done{0};
    constexpr int workers = 8, turns = 500;
    std::array<int, workers> left;
    left.fill(turns);
    std::function<void(std::size_t)> next = [&](std::size_t i) {
        limit.async_admit(of_key(i % 3), [&, i](error_code ec, admission place) {
            if (ec)
                return;
            ++plain;
            place.finish();
            ++done;
            if (--left[i] > 0)
                next(i);
        });
    };
    for (std::size_t i = 0; i < workers; ++i)
        next(i);
    int tried = 0;
    for (int i = 0; i < 2000; ++i) {
        if (admission place = limit.try_admit()) {
            ++plain;
            place.finish();
            ++tried;
        }
        if (i % 50 == 0)
            std::this_thread::yield();
    }
    threads.join();
    BOOST_TEST(done == workers * turns);
    BOOST_TEST(plain == workers * turns + tried);
    BOOST_TEST(limit.in_flight() == 0);
}

// Many clients, seven keys with a cap, all priorities, shares, a bounded queue, several threads.
BOOST_AUTO_TEST_CASE(there_is_never_more_in_flight_than_the_limit) {
    constexpr std::ptrdiff_t most = 10;
    constexpr int clients = 100, times = 100;
    threaded_context threads(4);
    limiter_options options = patient(60);
    options.share = {1, .9, .7, .5};
    options.max_per_key = 4;
    limiter limit(threads.context, most, options);
    room inside;
    std::array<room, 7> of_keys;
    std::atomic<int> served{0}, turned_away{0}, wrong{0};
    struct client {
        unsigned id;
        int left;
    };
    std::deque<client> all;
    std::function<void(client&)> next = [&](client& c) {
        if (c.left-- == 0)
            return;
        admission_request r;
        r.key = c.id % 7;
        r.priority = static_cast<int>(c.id % 4);
        r.weight = 1 + static_cast<std::ptrdiff_t>(c.id + static_cast<unsigned>(c.left)) % 3;
        limit.async_admit(r, [&, r](error_code ec, admission place) {
            if (!ec) {
                inside.enter(r.weight);
                of_keys[r.key].enter(r.weight);
                ++served;
                // Holds the place while others run, so that the limit is reached.
                asio::post(threads.context, [&, r, own = std::move(place)]() mutable {
                    inside.leave(r.weight);
                    of_keys[r.key].leave(r.weight);
                    own.finish();
                    next(c);
                });
                return;
            }
            if (ec == asio_semaphore::condition::overload)
                ++turned_away;
            else
                ++wrong;
            next(c);
        });
    };
    for (unsigned i = 0; i < clients; ++i)
        all.push_back({i, times});
    for (client& c : all)
        next(c);
    threads.join();
    BOOST_TEST(wrong == 0);
    BOOST_TEST(served + turned_away == clients * times);
    BOOST_TEST(inside.most <= most);
    for (std::size_t key = 1; key < of_keys.size(); ++key) // key 0 has no cap
        BOOST_TEST(of_keys[key].most <= 4);
    const limiter_statistics s = limit.statistics();
    BOOST_TEST(s.in_flight == 0);
    BOOST_TEST(s.waiting == 0u);
    BOOST_TEST(s.keys == 0u);
    BOOST_TEST(s.succeeded == static_cast<std::uint64_t>(served));
    BOOST_TEST(refused(s) == static_cast<std::uint64_t>(turned_away));
    check_sums(s);
}

// Eight threads call all member functions of a limiter.
BOOST_AUTO_TEST_CASE(all_members_from_all_threads_complete_every_operation_once) {
    const auto seed = test::seed();
    constexpr std::ptrdiff_t most = 6;
    constexpr unsigned users = 8;
    constexpr int steps = 2000;
    threaded_context threads(2);
    limiter_options options;
    options.max_waiting = 40;
    options.max_wait = 2ms;
    options.busy_wait = 500us;
    options.order = asio_semaphore::queue_order::adaptive;
    options.max_per_key = 3;
    limiter limit(threads.context, most, options);
    room inside;
    std::atomic<int> started{0}, ended_ones{0}, wrong{0}, idle_started{0}, idle_ended{0};
    std::atomic<std::uint64_t> tried{0};
    std::vector<std::thread> crowd;
    for (unsigned u = 0; u < users; ++u) {
        crowd.emplace_back([&, u] {
            std::mt19937 random(seed + u);
            const auto roll = [&](unsigned n) {
                return random() % n;
            };
            struct held_place {
                admission place;
                std::ptrdiff_t weight;
            };
            std::vector<held_place> mine;
            const auto give_back = [&](held_place& h) {
                inside.leave(h.weight);
                switch (roll(4)) {
                case 0:
                    h.place.finish(timed_out);
                    break;
                case 1:
                    h.place.reset();
                    break;
                default:
                    h.place.finish();
                }
            };
            asio::cancellation_signal signal;
            for (int i = 0; i < steps; ++i) {
                admission_request r;
                r.key = roll(4);
                r.priority = static_cast<int>(roll(4));
                r.weight = 1 + static_cast<std::ptrdiff_t>(roll(3));
                if (roll(3) == 0)
                    r.max_wait = std::chrono::microseconds(roll(300));
                switch (roll(10)) {
                case 0:
                case 1:
                case 2: {
                    ++started;
                    limit.async_admit(r, [&, r](error_code ec, admission place) {
                        if (!ec) {
                            inside.enter(r.weight);
                            inside.leave(r.weight);
                            place.finish();
                        } else if (
                            ec != asio_semaphore::condition::overload &&
                            ec != asio::error::operation_aborted && ec != closed) {
                            ++wrong;
                        }
                        ++ended_ones;
                    });
                    break;
                }
                case 3: {
                    ++started;
                    // A slot must not have two operations at the same time.
                    const auto over = std::make_shared<std::atomic<bool>>(false);
                    limit.async_admit(
                        r, asio::bind_cancellation_slot(
                               signal.slot(), [&, over](error_code, admission place) {
                                   place.finish();
                                   ++ended_ones;
                                   *over = true;
                               }));
                    signal.emit(asio::cancellation_type::terminal);
                    break;
                }
                case 4:
                case 5:
                    if (admission place = limit.try_admit(r)) {
                        inside.enter(r.weight);
                        mine.push_back({std::move(place), r.weight});
                        ++tried;
                    }
                    break;
                case 6:
                case 7:
                    if (!mine.empty()) {
                        give_back(mine.back());
                        mine.pop_back();
                    }
                    break;
                case 8:
                    if (roll(20) == 0)
                        (void)limit.cancel();
                    else if (roll(2) == 0)
                        limit.set_limit(most); // the same limit; grants the requests that fit
                    else {
                        ++idle_started;
                        limit.async_wait_idle([&](error_code ec) {
                            wrong += ec ? 1 : 0;
                            ++idle_ended;
                        });
                    }
                    break;
                default: {
                    const limiter_statistics s = limit.statistics();
                    wrong += s.in_flight > most;
                    wrong += admitted(s) != s.succeeded + s.overloaded + s.ignored + s.running;
                    wrong += s.waiting > 40;
                    (void)limit.busiest_keys(3);
                    (void)limit.in_flight();
                    (void)limit.waiting();
                    wrong += limit.limit() == static_cast<double>(most) ? 0 : 1;
                }
                }
            }
            for (held_place& h : mine)
                give_back(h);
        });
    }
    for (std::thread& t : crowd)
        t.join();
    limit.close();
    threads.join();
    BOOST_TEST(wrong == 0);
    BOOST_TEST(started == ended_ones);
    BOOST_TEST(idle_started == idle_ended);
    BOOST_TEST(inside.most <= most);
    const limiter_statistics s = limit.statistics();
    BOOST_TEST(s.in_flight == 0);
    BOOST_TEST(s.waiting == 0u);
    BOOST_TEST(s.keys == 0u);
    BOOST_TEST(admitted(s) + refused(s) == static_cast<std::uint64_t>(started) + tried);
    check_sums(s);
}

BOOST_AUTO_TEST_CASE(an_algorithm_is_called_by_one_thread_at_a_time_and_sees_every_report) {
    threaded_context threads(4);
    std::atomic<int> inside{0}, overlaps{0};
    int shown = 0; // guarded because the limiter makes one call at a time
    limiter_options options = patient(10000);
    options.algorithm = [&](const limit_sample& s) {
        overlaps += ++inside > 1;
        ++shown;
        const double next = s.limit < 20 ? s.limit + 1 : 1;
        --inside;
        return next;
    };
    std::atomic<int> changes{0};
    options.on_limit_change = [&](double from, double to) {
        changes += from != to;
    };
    limiter limit(threads.context, 4, options);
    constexpr int clients = 50, times = 100;
    std::atomic<int> done{0};
    std::deque<int> left(clients, times);
    std::function<void(std::size_t)> next = [&](std::size_t i) {
        if (left[i]-- == 0)
            return;
        limit.async_admit(of_key(1 + i % 5), [&, i](error_code ec, admission place) {
            if (!ec)
                ++done;
            let_time_pass();
            place.finish(i % 2 == 0 ? ended::success : ended::overloaded);
            next(i);
        });
    };
    for (std::size_t i = 0; i < clients; ++i)
        next(i);
    threads.join();
    BOOST_TEST(done == clients * times);
    BOOST_TEST(overlaps == 0);
    // The last thread inside may have left samples. The next report passes them on.
    admission another = limit.try_admit();
    let_time_pass();
    another.finish();
    BOOST_TEST(shown == clients * times + 1);
    BOOST_TEST(changes > 0);
    const limiter_statistics s = limit.statistics();
    BOOST_TEST(s.in_flight == 0);
    BOOST_TEST(s.keys == 0u);
    BOOST_TEST(s.latency.count() == s.succeeded);
    check_sums(s);
}

BOOST_AUTO_TEST_CASE(a_law_works_under_contention_until_the_limiter_is_closed) {
    threaded_context threads(4);
    limiter_options options;
    options.algorithm = asio_semaphore::aimd_limit();
    options.max_waiting = 20;
    options.max_wait = 5ms;
    limiter limit(threads.context, 3, options);
    std::atomic<bool> idle{false};
    std::atomic<int> served{0}, alive{0};
    std::function<void(std::uint64_t)> next = [&](std::uint64_t key) {
        limit.async_admit(of_key(key), [&, key](error_code ec, admission place) {
            if (ec == asio_semaphore::error::closed) {
                --alive;
                return;
            }
            if (!ec)
                ++served;
            place.finish(served % 10 == 0 ? ended::overloaded : ended::success);
            next(key);
        });
    };
    for (std::uint64_t key = 0; key < 40; ++key) {
        ++alive;
        next(key);
    }
    while (served < 5000)
        std::this_thread::yield();
    limit.close();
    limit.async_wait_idle([&](error_code ec) { idle = !ec; });
    threads.join();
    BOOST_TEST(alive == 0);
    BOOST_TEST(idle.load());
    const limiter_statistics s = limit.statistics();
    BOOST_TEST(s.in_flight == 0);
    BOOST_TEST(s.waiting == 0u);
    BOOST_TEST(s.succeeded + s.overloaded == static_cast<std::uint64_t>(served));
    BOOST_TEST(s.limit >= 1.0);
    check_sums(s);
}

BOOST_AUTO_TEST_CASE(destruction_and_the_contexts_end_while_threads_run) {
    for (int round = 0; round < 100; ++round) {
        auto threads = std::make_unique<threaded_context>(2);
        std::optional<limiter> limit;
        std::atomic<int> called{0}, dropped{0};
        limiter_options options = patient();
        options.algorithm = [](const limit_sample& s) {
            return s.limit;
        };
        limit.emplace(threads->context, 2, options);
        constexpr int all = 20;
        for (int i = 0; i < all; ++i)
            limit->async_admit(
                {static_cast<std::uint64_t>(i % 3), 0, 1,
                 i % 2 == 0 ? 1h : limiter_options::duration::max()},
                [&, last = support::at_exit([&] { ++dropped; })](error_code, admission place) {
                    ++called;
                    place.finish();
                });
        if (round % 2 == 0) {
            limit.reset(); // aborts the waiting operations
            threads->join();
            BOOST_TEST_REQUIRE(called == all);
        } else {
            threads->context.stop();
            threads->join();
            threads.reset();
            BOOST_TEST_REQUIRE(dropped == all);
            BOOST_TEST_REQUIRE(limit->in_flight() == 0);
        }
    }
}

BOOST_AUTO_TEST_CASE(of_a_finish_and_a_signal_exactly_one_wins) {
    struct round : one_waits {
        void first() { held.finish(); }
        void second() { signal->emit(asio::cancellation_type::terminal); }
        void check() { check_one_won(aborted); }
    };
    race<round>();
}

BOOST_AUTO_TEST_CASE(of_a_finish_and_cancel_exactly_one_wins) {
    struct round : one_waits {
        std::size_t cancelled = 0;
        void first() { held.finish(); }
        void second() { cancelled = limit->cancel(); }
        void check() {
            BOOST_TEST((cancelled == 1u) == (limit->statistics().priorities[0].cancelled == 1u));
            check_one_won(aborted);
        }
    };
    race<round>();
}

BOOST_AUTO_TEST_CASE(of_a_finish_and_close_exactly_one_wins) {
    struct round : one_waits {
        void first() { held.finish(); }
        void second() { limit->close(); }
        void check() { check_one_won(closed); }
    };
    race<round>();
}

BOOST_AUTO_TEST_CASE(of_a_finish_and_a_deadline_exactly_one_wins) {
    struct round {
        asio::io_context context;
        limiter limit{context, 1, patient()};
        admission held = limit.try_admit();
        operation o;

        round() { limit.async_admit(waiting_for(10us), o.on_completion()); }
        void first() { held.finish(); }
        void second() { context.run(); }
        void check() {
            BOOST_TEST(o.completed());
            BOOST_TEST((o.error() == success || o.error() == timed_out));
            BOOST_TEST(static_cast<bool>(o.held()) == !o.error());
            BOOST_TEST(limit.in_flight() == (o.error() ? 0 : 1));
            o.held().finish();
            BOOST_TEST(limit.in_flight() == 0);
            const admission again = limit.try_admit(); // the limiter still grants
            BOOST_TEST(static_cast<bool>(again));
        }
    };
    race<round>(3000);
}

BOOST_AUTO_TEST_CASE(of_a_finish_and_an_eviction_exactly_one_wins) {
    struct round {
        asio::io_context context;
        limiter limit{context, 1, patient(1)};
        admission held = limit.try_admit();
        operation low, high;

        round() { limit.async_admit(of_priority(2), low.on_completion()); }
        void first() { held.finish(); }
        void second() { limit.async_admit(high.on_completion()); }
        void check() {
            context.poll();
            BOOST_TEST(low.called() + high.called() >= 1);
            if (low.failed(shed)) {
                BOOST_TEST(high.admitted());
                BOOST_TEST(limit.waiting() == 0u);
            } else {
                BOOST_TEST(low.admitted());
                BOOST_TEST(limit.waiting() == 1u);
                low.held().finish();
                context.restart();
                context.poll();
                BOOST_TEST(high.admitted());
            }
            high.held().finish();
            BOOST_TEST(limit.in_flight() == 0);
        }
    };
    race<round>();
}

BOOST_AUTO_TEST_CASE(no_wake_up_is_lost_between_a_request_and_a_finish) {
    struct round {
        asio::io_context context;
        limiter limit{context, 1, patient()};
        admission held = limit.try_admit();
        operation o, idle;

        void first() { held.finish(); }
        void second() {
            limit.async_admit(o.on_completion());
            limit.async_wait_idle(idle.on_completion());
        }
        void check() {
            context.poll();
            BOOST_TEST(o.admitted());
            BOOST_TEST(idle.pending());
            o.held().finish();
            context.restart();
            context.poll();
            BOOST_TEST(idle.completed_with(success));
        }
    };
    race<round>();
}

BOOST_AUTO_TEST_CASE(of_two_finishes_the_last_completes_the_wait_for_idle) {
    struct round {
        asio::io_context context;
        limiter limit{context, 2, patient()};
        admission a = limit.try_admit(of_key(1)), b = limit.try_admit(of_key(1));
        operation idle;

        round() { limit.async_wait_idle(idle.on_completion()); }
        void first() { a.finish(); }
        void second() { b.finish(); }
        void check() {
            context.poll();
            BOOST_TEST(idle.completed_with(success));
            BOOST_TEST(limit.statistics().keys == 0u);
        }
    };
    race<round>();
}

BOOST_AUTO_TEST_CASE(an_admission_may_be_finished_while_the_limiter_dies) {
    struct round : one_waits {
        void first() { held.finish(); }
        void second() { limit.reset(); }
        void check() {
            context.poll();
            BOOST_TEST(o.completed());
            BOOST_TEST((o.error() == success || o.error() == aborted));
            BOOST_TEST(static_cast<bool>(o.held()) == !o.error());
        }
    };
    race<round>();
}

BOOST_AUTO_TEST_CASE(an_admission_may_be_finished_while_the_context_is_destroyed) {
    struct round {
        std::optional<asio::io_context> context{std::in_place};
        limiter limit{*context, 1, patient()};
        admission held = limit.try_admit();
        operation o, timed, idle;

        round() {
            limit.async_admit(o.on_completion());
            limit.async_admit(waiting_for(1h), timed.on_completion());
            limit.async_wait_idle(idle.on_completion());
        }
        void first() { held.finish(); }
        void second() { context.reset(); }
        void check() {
            for (const operation* each : {&o, &timed, &idle})
                BOOST_TEST(each->abandoned());
            BOOST_TEST(limit.in_flight() == 0);
        }
    };
    race<round>();
}

BOOST_AUTO_TEST_CASE(a_limit_may_be_set_while_its_algorithm_sets_it) {
    struct round {
        asio::io_context context;
        std::optional<limiter> limit;
        admission held;
        operation o[4];

        round() {
            limiter_options options = patient();
            options.algorithm = [](const limit_sample& s) {
                return s.limit + 1;
            };
            limit.emplace(context, 1, options);
            held = limit->try_admit();
            for (const operation& each : o)
                limit->async_admit(each.on_completion());
            let_time_pass();
        }
        void first() { held.finish(); }
        void second() { limit->set_limit(3); }
        void check() {
            context.poll();
            // If set_limit comes last, the limit is 3. If it comes first, the sample is older, so
            // the algorithm does not see it. If it comes in between, the result of the algorithm is
            // discarded.
            BOOST_TEST(limit->limit() == 3.0);
            BOOST_TEST(limit->in_flight() == 3);
            BOOST_TEST(limit->waiting() == 1u);
            limit->cancel();
            context.restart();
            context.poll();
        }
    };
    race<round>();
}

BOOST_AUTO_TEST_SUITE_END()
