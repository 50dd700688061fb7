// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// Guarantees between threads. Everything that happens before a release is visible after the acquire
// that it satisfies. No permit is lost or invented, every operation completes exactly once, and
// exactly one side wins each race.

#include <asio_semaphore/async_semaphore.hpp>

#include "fixture.hpp"

#include <support/seed.hpp>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/thread_pool.hpp>

#include <atomic>
#include <barrier>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <thread>
#include <vector>

namespace {

using namespace test;
using namespace std::chrono_literals;

constexpr int rounds = 1000;

// A context with several threads: an io_context or a thread_pool.
struct threaded_io_context {
    explicit threaded_io_context(int n) {
        for (int i = 0; i < n; ++i)
            threads.emplace_back([this] { context.run(); });
    }
    void join() {
        work.reset();
        for (std::thread& t : threads)
            t.join();
    }

    asio::io_context context;
    asio::executor_work_guard<asio::io_context::executor_type> work{context.get_executor()};
    std::vector<std::thread> threads;
};

struct threaded_pool {
    explicit threaded_pool(int n) : context(static_cast<std::size_t>(n)) {}
    void join() { context.join(); }

    asio::thread_pool context;
};

// The holders of permits change plain variables. With one permit, that is correct only if a release
// happens before the acquire that it satisfies.
struct shared_account {
    long long plain = 0;
    std::atomic<int> inside{0};
    std::atomic<int> most{0};

    void enter() {
        const int now = ++inside;
        for (int before = most; before < now && !most.compare_exchange_weak(before, now);) {
        }
    }
    void leave() { --inside; }
};

template <typename Context>
void workers_take_turns(std::ptrdiff_t permits, bool plain_is_guarded) {
    constexpr int workers = 8, turns = 500;
    Context threads(3);
    async_semaphore semaphore(threads.context, permits);
    shared_account account;
    std::atomic<int> failures{0};

    struct worker {
        async_semaphore& semaphore;
        shared_account& account;
        std::atomic<int>& failures;
        bool plain_is_guarded;
        bool owned;
        int left;

        void next() {
            if (left-- == 0)
                return;
            if (owned)
                semaphore.async_acquire_permit([this](error_code ec, permit held) {
                    if (ec || held.count() != 1)
                        ++failures;
                    work();
                    held.reset();
                    next();
                });
            else
                semaphore.async_acquire([this](error_code ec) {
                    if (ec)
                        ++failures;
                    work();
                    semaphore.release();
                    next();
                });
        }
        void work() {
            account.enter();
            if (plain_is_guarded)
                ++account.plain;
            account.leave();
        }
    };
    std::deque<worker> all;
    for (int i = 0; i < workers; ++i)
        all.push_back({semaphore, account, failures, plain_is_guarded, i % 2 == 0, turns});
    for (worker& w : all)
        w.next();
    // In addition, this thread uses only try_acquire_permit.
    int tried = 0;
    for (int i = 0; i < 1000; ++i) {
        if (permit held = semaphore.try_acquire_permit()) {
            account.enter();
            if (plain_is_guarded)
                ++account.plain;
            account.leave();
            ++tried;
        }
        std::this_thread::yield();
    }
    threads.join();

    BOOST_TEST(failures == 0);
    BOOST_TEST(account.most <= permits);
    BOOST_TEST(semaphore.available() == permits);
    BOOST_TEST(semaphore.waiting() == 0u);
    if (plain_is_guarded)
        BOOST_TEST(account.plain == workers * turns + tried);
}

// Runs first and second at the same time, in many rounds, each with a new `Round`.
template <typename Round>
void race() {
    std::optional<Round> round;
    std::barrier<> barrier(2);
    std::thread other([&] {
        for (int i = 0; i < rounds; ++i) {
            barrier.arrive_and_wait();
            round->second();
            barrier.arrive_and_wait();
        }
    });
    for (int i = 0; i < rounds; ++i) {
        round.emplace();
        barrier.arrive_and_wait();
        round->first();
        barrier.arrive_and_wait();
        BOOST_TEST_CONTEXT("round " << i) {
            round->check();
        }
        round.reset();
    }
    other.join();
}

// The only permit is held, and one operation waits for it.
struct one_waits {
    asio::io_context context;
    std::optional<async_semaphore> semaphore{std::in_place, context, 1};
    std::optional<asio::cancellation_signal> signal{std::in_place};
    permit held = semaphore->try_acquire_permit();
    operation o;

    one_waits() { semaphore->async_acquire_permit(o.on_completion(signal->slot())); }

    void check_one_won(error_code otherwise) {
        context.poll();
        BOOST_TEST(context.stopped());
        BOOST_TEST(o.completed());
        if (o.error()) {
            BOOST_TEST(o.error() == otherwise);
            BOOST_TEST(!o.held());
            BOOST_TEST(semaphore->available() == 1);
        } else {
            BOOST_TEST(o.held().count() == 1);
            BOOST_TEST(semaphore->available() == 0);
            o.held().reset();
            BOOST_TEST(semaphore->available() == 1);
        }
        BOOST_TEST(semaphore->waiting() == 0u);
    }
};

} // namespace

BOOST_AUTO_TEST_SUITE(semaphore_threads)

BOOST_AUTO_TEST_CASE(what_happens_before_a_release_is_visible_after_the_acquire_io_context) {
    workers_take_turns<threaded_io_context>(1, true);
}

BOOST_AUTO_TEST_CASE(what_happens_before_a_release_is_visible_after_the_acquire_thread_pool) {
    workers_take_turns<threaded_pool>(1, true);
}

BOOST_AUTO_TEST_CASE(permits_are_conserved_under_contention_io_context) {
    workers_take_turns<threaded_io_context>(3, false);
}

BOOST_AUTO_TEST_CASE(permits_are_conserved_under_contention_thread_pool) {
    workers_take_turns<threaded_pool>(3, false);
}

BOOST_AUTO_TEST_CASE(the_fast_paths_alone_order_memory) {
    asio::io_context context;
    async_semaphore semaphore(context, 1);
    int plain = 0;
    constexpr int turns = 5000;
    const auto spin = [&] {
        for (int i = 0; i < turns; ++i) {
            while (!semaphore.try_acquire())
                std::this_thread::yield();
            ++plain;
            semaphore.release();
        }
    };
    std::thread other(spin);
    spin();
    other.join();
    BOOST_TEST(plain == 2 * turns);
    BOOST_TEST(semaphore.available() == 1);
}

BOOST_AUTO_TEST_CASE(a_permit_on_its_way_to_a_waiter_is_never_seen_or_taken) {
    threaded_io_context threads(2);
    async_semaphore semaphore(threads.context, 0);
    std::atomic<bool> stop{false};
    std::function<void(error_code, permit)> again = [&](error_code, permit held) {
        // The next operation waits before this one returns its permit, so the queue is never empty.
        if (!stop)
            semaphore.async_acquire_permit(again);
        held.reset();
    };
    for (int i = 0; i < 4; ++i)
        semaphore.async_acquire_permit(again);
    semaphore.release(2);
    int seen = 0, snatched = 0;
    for (int i = 0; i < 20000; ++i) {
        seen += semaphore.available() > 0;
        if (permit held = semaphore.try_acquire_permit())
            ++snatched;
    }
    stop = true;
    threads.join();
    BOOST_TEST(seen == 0);
    BOOST_TEST(snatched == 0);
    BOOST_TEST(semaphore.available() == 2);
}

BOOST_AUTO_TEST_CASE(of_release_and_a_signal_exactly_one_wins) {
    struct round : one_waits {
        void first() { held.reset(); }
        void second() { signal->emit(asio::cancellation_type::terminal); }
        void check() { check_one_won(aborted); }
    };
    race<round>();
}

BOOST_AUTO_TEST_CASE(of_release_and_cancel_exactly_one_wins) {
    struct round : one_waits {
        std::size_t cancelled = 0;
        void first() { held.reset(); }
        void second() { cancelled = semaphore->cancel(); }
        void check() {
            check_one_won(aborted);
            BOOST_TEST(cancelled == (o.error() ? 1u : 0u));
        }
    };
    race<round>();
}

BOOST_AUTO_TEST_CASE(of_release_and_close_exactly_one_wins) {
    struct round : one_waits {
        void first() { held.reset(); }
        void second() { semaphore->close(); }
        void check() { check_one_won(closed); }
    };
    race<round>();
}

BOOST_AUTO_TEST_CASE(of_release_and_a_deadline_exactly_one_wins) {
    struct round {
        asio::io_context context;
        async_semaphore semaphore{context, 1};
        permit held = semaphore.try_acquire_permit();
        operation o;

        round() { semaphore.async_acquire_permit_for(10us, o.on_completion()); }
        void first() { held.reset(); }
        void second() { context.run(); }
        void check() {
            BOOST_TEST(o.completed());
            BOOST_TEST((o.error() == success || o.error() == timed_out));
            BOOST_TEST(o.held().count() == (o.error() ? 0 : 1));
            BOOST_TEST(semaphore.available() + o.held().count() == 1);
        }
    };
    race<round>();
}

BOOST_AUTO_TEST_CASE(of_two_ways_to_cancel_exactly_one_wins) {
    struct round : one_waits {
        std::size_t cancelled = 0;
        void first() { cancelled = semaphore->cancel(); }
        void second() { signal->emit(asio::cancellation_type::terminal); }
        void check() {
            context.poll();
            BOOST_TEST(o.completed_with(aborted));
            BOOST_TEST(cancelled <= 1u);
            held.reset();
            BOOST_TEST(semaphore->available() == 1);
        }
    };
    race<round>();
}

BOOST_AUTO_TEST_CASE(a_signal_may_die_while_its_operation_is_granted) {
    struct round : one_waits {
        void first() { held.reset(); }
        void second() { signal.reset(); }
        void check() {
            context.poll();
            BOOST_TEST(o.granted());
        }
    };
    race<round>();
}

BOOST_AUTO_TEST_CASE(a_permit_may_be_given_back_while_the_semaphore_dies) {
    struct round : one_waits {
        void first() { held.reset(); }
        void second() { semaphore.reset(); }
        void check() {
            context.poll();
            BOOST_TEST(o.completed());
            BOOST_TEST((o.error() == success || o.error() == aborted));
            BOOST_TEST(o.held().count() == (o.error() ? 0 : 1));
        }
    };
    race<round>();
}

BOOST_AUTO_TEST_CASE(a_signal_may_be_emitted_while_the_semaphore_dies) {
    struct round : one_waits {
        void first() { signal->emit(asio::cancellation_type::terminal); }
        void second() { semaphore.reset(); }
        void check() {
            context.poll();
            BOOST_TEST(o.completed_with(aborted));
        }
    };
    race<round>();
}

BOOST_AUTO_TEST_CASE(a_permit_may_be_given_back_while_the_context_is_destroyed) {
    struct round {
        std::optional<asio::io_context> context{std::in_place};
        async_semaphore semaphore{*context, 1};
        permit held = semaphore.try_acquire_permit();
        operation o, p;

        round() {
            semaphore.async_acquire_permit(o.on_completion());
            semaphore.async_acquire_permit(p.on_completion());
        }
        void first() { held.reset(); }
        void second() { context.reset(); }
        void check() {
            BOOST_TEST(o.abandoned());
            BOOST_TEST(p.abandoned());
            BOOST_TEST(semaphore.available() == 1);
        }
    };
    race<round>();
}

BOOST_AUTO_TEST_CASE(a_signal_may_be_emitted_while_the_context_is_destroyed) {
    struct round {
        std::optional<asio::io_context> context{std::in_place};
        async_semaphore semaphore{*context, 0};
        asio::cancellation_signal signal;
        operation o;

        round() { semaphore.async_acquire_permit(o.on_completion(signal.slot())); }
        void first() { signal.emit(asio::cancellation_type::terminal); }
        void second() { context.reset(); }
        void check() { BOOST_TEST(o.abandoned()); }
    };
    race<round>();
}

BOOST_AUTO_TEST_CASE(no_wake_up_is_lost_between_an_acquire_and_a_release) {
    struct round {
        asio::io_context context;
        async_semaphore semaphore{context, 1};
        permit held = semaphore.try_acquire_permit();
        operation o;

        void first() { held.reset(); }
        void second() { semaphore.async_acquire_permit(o.on_completion()); }
        void check() {
            context.poll();
            BOOST_TEST(o.granted());
            BOOST_TEST(semaphore.available() == 0);
        }
    };
    race<round>();
}

BOOST_AUTO_TEST_CASE(an_acquire_is_not_forgotten_in_a_semaphore_that_closes) {
    struct round {
        asio::io_context context;
        async_semaphore semaphore{context, 0};
        operation o;

        void first() { semaphore.close(); }
        void second() { semaphore.async_acquire(o.on_completion()); }
        void check() {
            context.poll();
            BOOST_TEST(o.completed_with(closed));
            BOOST_TEST(semaphore.waiting() == 0u);
        }
    };
    race<round>();
}

BOOST_AUTO_TEST_CASE(waiters_behind_two_heads_that_are_cancelled_together_are_granted) {
    struct round {
        asio::io_context context;
        async_semaphore semaphore{context, 1};
        asio::cancellation_signal of_head, of_second;
        operation head, second_in_line, last;

        round() {
            semaphore.async_acquire_permit(2, head.on_completion(of_head.slot()));
            semaphore.async_acquire_permit(2, second_in_line.on_completion(of_second.slot()));
            semaphore.async_acquire_permit(1, last.on_completion());
        }
        void first() { of_head.emit(asio::cancellation_type::terminal); }
        void second() { of_second.emit(asio::cancellation_type::terminal); }
        void check() {
            context.poll();
            BOOST_TEST(head.completed_with(aborted));
            BOOST_TEST(second_in_line.completed_with(aborted));
            BOOST_TEST(last.granted());
            BOOST_TEST(semaphore.available() == 0);
        }
    };
    race<round>();
}

BOOST_AUTO_TEST_CASE(a_debt_made_while_permits_come_back_is_exact) {
    struct round : one_waits {
        void first() { held.reset(); }
        void second() {
            semaphore->reduce(3);
            semaphore->release(2);
        }
        void check() {
            context.poll();
            const bool was_granted = o.called();
            BOOST_TEST(semaphore->available() == (was_granted ? -1 : 0));
            semaphore->release(1);
            context.restart();
            context.poll();
            BOOST_TEST(o.granted());
            o.held().reset();
            BOOST_TEST(semaphore->available() == 1);
        }
    };
    // One permit too few returned. It is the one that the waiter holds or waits for.
    race<round>();
}

BOOST_AUTO_TEST_CASE(all_members_from_all_threads_complete_every_operation_once) {
    const auto seed = test::seed();
    threaded_io_context threads(2);
    constexpr std::ptrdiff_t permits = 4;
    async_semaphore semaphore(threads.context, permits, permits);
    constexpr int users = 3, steps = 2000;
    std::atomic<int> started{0}, completed{0}, wrong{0};
    const auto use = [&](unsigned own_seed) {
        std::mt19937 random(own_seed);
        for (int i = 0; i < steps; ++i) {
            const std::ptrdiff_t n = 1 + static_cast<std::ptrdiff_t>(random() % 3);
            const auto done = [&, n](error_code ec, permit held) {
                ++completed;
                const bool sound =
                    ec ? !held && (ec == aborted || ec == timed_out) : held.count() == n;
                if (!sound)
                    ++wrong;
            };
            switch (random() % 8) {
            case 0:
                semaphore.cancel();
                break;
            case 1:
                semaphore.reduce(n);
                semaphore.release(n);
                break;
            case 2: {
                permit held = semaphore.try_acquire_permit(n);
                if (held && held.count() != n)
                    ++wrong;
                break;
            }
            case 3: {
                ++started;
                asio::cancellation_signal signal;
                semaphore.async_acquire_permit(
                    n, asio::bind_cancellation_slot(signal.slot(), done));
                signal.emit(asio::cancellation_type::partial);
                break;
            }
            case 4:
                ++started;
                semaphore.async_acquire_permit_for(50us, n, done);
                break;
            default:
                ++started;
                semaphore.async_acquire_permit(n, done);
                break;
            }
            if (semaphore.available() > permits || semaphore.max_permits() != permits)
                ++wrong;
            (void)semaphore.waiting();
            (void)semaphore.is_open();
        }
    };
    std::vector<std::thread> others;
    for (unsigned i = 1; i < users; ++i)
        others.emplace_back(use, seed + i);
    use(seed);
    for (std::thread& t : others)
        t.join();
    threads.join();
    BOOST_TEST(completed == started);
    BOOST_TEST(wrong == 0);
    BOOST_TEST(semaphore.available() == permits);
    BOOST_TEST(semaphore.waiting() == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
