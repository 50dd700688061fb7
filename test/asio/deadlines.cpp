// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore/async_semaphore.hpp>

#include <support/executors.hpp>
#include <support/handlers.hpp>
#include <support/seed.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/execution.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/test/unit_test.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <ratio>
#include <thread>
#include <utility>
#include <vector>

namespace {

namespace asio = boost::asio;
using asio_semaphore::async_semaphore;
using asio_semaphore::basic_async_semaphore;
using asio_semaphore::permit;
using boost::system::error_code;
using support::recording;
using support::result;
using namespace std::chrono_literals;

/// An execution context that destroys its services before its queue of functions.
class own_context : public asio::execution_context {
public:
    class executor_type {
    public:
        explicit executor_type(own_context& context) noexcept : context_(&context) {}

        own_context& query(asio::execution::context_t) const noexcept { return *context_; }
        static constexpr asio::execution::blocking_t query(asio::execution::blocking_t) noexcept {
            return asio::execution::blocking.never;
        }
        template <typename Function>
        void execute(Function f) const {
            const std::lock_guard<std::mutex> lock(context_->mutex_);
            context_->queue_.push_back(std::make_unique<held<Function>>(std::move(f)));
        }
        friend bool operator==(const executor_type& a, const executor_type& b) noexcept {
            return a.context_ == b.context_;
        }
        [[maybe_unused]] friend bool
        operator!=(const executor_type& a, const executor_type& b) noexcept {
            return !(a == b);
        }

    private:
        own_context* context_;
    };

    ~own_context() {
        shutdown();
        destroy();
    }

    executor_type get_executor() noexcept { return executor_type(*this); }

    std::size_t poll() {
        std::size_t n = 0;
        for (; const auto next = pop(); ++n)
            next->run();
        return n;
    }

private:
    struct function {
        virtual ~function() = default;
        virtual void run() = 0;
    };
    template <typename F>
    struct held final : function {
        explicit held(F&& f) : function_(std::move(f)) {}
        void run() override { std::move(function_)(); }
        F function_;
    };

    std::unique_ptr<function> pop() {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (queue_.empty())
            return nullptr;
        auto first = std::move(queue_.front());
        queue_.erase(queue_.begin());
        return first;
    }

    std::mutex mutex_;
    std::vector<std::unique_ptr<function>> queue_;
};

const error_code timed_out = asio::error::timed_out;
const error_code aborted = asio::error::operation_aborted;

struct fixture {
    asio::io_context context;
    async_semaphore semaphore{context, 0};

    void poll() { support::poll(context); }

    /// Runs the context, and returns whether it ran out of work. Only a timer that is still set can
    /// prevent that.
    bool runs_dry() {
        context.restart();
        context.run_for(30s);
        return context.stopped();
    }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(asio_deadlines, fixture)

BOOST_AUTO_TEST_CASE(an_operation_that_is_not_granted_in_time_is_timed_out) {
    result bare, owned, several;
    semaphore.async_acquire_for(1ms, recording(bare));
    semaphore.async_acquire_permit_for(2ms, recording(owned));
    semaphore.async_acquire_permit_for(3ms, 2, recording(several));
    BOOST_TEST(semaphore.waiting() == 3u);
    context.run();
    BOOST_TEST(bare.failed(timed_out));
    BOOST_TEST(owned.failed(timed_out));
    BOOST_TEST(several.failed(timed_out));
    BOOST_TEST(semaphore.waiting() == 0u);
    BOOST_TEST(semaphore.available() == 0);
}

BOOST_AUTO_TEST_CASE(a_timeout_has_another_error_than_a_cancellation) {
    asio::cancellation_signal signal;
    result late, cancelled, all;
    semaphore.async_acquire_for(1ms, recording(late));
    semaphore.async_acquire_for(
        1h, asio::bind_cancellation_slot(signal.slot(), recording(cancelled)));
    semaphore.async_acquire_for(1h, recording(all));
    while (late.pending())
        context.run_one();
    BOOST_TEST(late.failed(timed_out));
    signal.emit(asio::cancellation_type::total);
    poll();
    BOOST_TEST(cancelled.failed(aborted));
    BOOST_TEST(semaphore.cancel() == 1u);
    poll();
    BOOST_TEST(all.failed(aborted));
}

BOOST_AUTO_TEST_CASE(an_operation_granted_at_once_leaves_no_timer_behind) {
    semaphore.release();
    result r;
    semaphore.async_acquire_permit_for(1h, recording(r));
    BOOST_TEST(runs_dry());
    BOOST_TEST(r.succeeded());
}

BOOST_AUTO_TEST_CASE(an_operation_granted_later_leaves_no_timer_behind) {
    result r;
    semaphore.async_acquire_permit_for(1h, recording(r));
    poll();
    semaphore.release();
    BOOST_TEST(runs_dry());
    BOOST_TEST(r.succeeded());
}

BOOST_AUTO_TEST_CASE(an_operation_that_ends_otherwise_leaves_no_timer_behind) {
    asio::cancellation_signal signal;
    result emitted, cancelled, closed, destroyed;
    semaphore.async_acquire_for(
        1h, asio::bind_cancellation_slot(signal.slot(), recording(emitted)));
    signal.emit(asio::cancellation_type::terminal);
    BOOST_TEST(runs_dry());
    semaphore.async_acquire_for(1h, recording(cancelled));
    semaphore.cancel();
    BOOST_TEST(runs_dry());
    semaphore.async_acquire_for(1h, recording(closed));
    semaphore.close();
    BOOST_TEST(runs_dry());
    async_semaphore(context, 0).async_acquire_for(1h, recording(destroyed));
    BOOST_TEST(runs_dry());
    BOOST_TEST(emitted.failed(aborted));
    BOOST_TEST(cancelled.failed(aborted));
    BOOST_TEST(closed.failed(asio_semaphore::error::closed));
    BOOST_TEST(destroyed.failed(aborted));
}

BOOST_AUTO_TEST_CASE(a_timed_operation_leaves_no_work_on_its_executors) {
    support::tracking book;
    const support::tracker_executor<> tracker(context.get_executor(), book);
    basic_async_semaphore<support::tracker_executor<>> tracked(tracker, 0);
    result granted, late;
    tracked.async_acquire_for(1h, recording(granted));
    BOOST_TEST(book.work >= 1);
    tracked.release();
    BOOST_TEST(runs_dry());
    BOOST_TEST(book.work == 0);
    tracked.async_acquire_for(1ms, recording(late));
    BOOST_TEST(runs_dry());
    BOOST_TEST(late.failed(timed_out));
    BOOST_TEST(book.work == 0);
}

BOOST_AUTO_TEST_CASE(the_handler_of_a_timed_out_operation_runs_on_its_own_executor) {
    asio::io_context other;
    support::tracking book;
    bool inside = false;
    semaphore.async_acquire_permit_for(
        1ms, asio::bind_executor(
                 support::tracker_executor<>(other.get_executor(), book),
                 [&](error_code ec, permit) { inside = ec == timed_out && book.on_stack(); }));
    std::thread runner([&] { other.run(); });
    context.run();
    runner.join();
    BOOST_TEST(inside);
}

BOOST_AUTO_TEST_CASE(a_head_that_times_out_makes_way) {
    semaphore.release(2);
    result head, small, another;
    semaphore.async_acquire_permit_for(1ms, 3, recording(head));
    semaphore.async_acquire_permit(recording(small));
    semaphore.async_acquire_permit_for(1h, recording(another));
    BOOST_TEST(semaphore.waiting() == 3u);
    BOOST_TEST(runs_dry());
    BOOST_TEST(head.failed(timed_out));
    BOOST_TEST(small.succeeded());
    BOOST_TEST(another.succeeded());
}

BOOST_AUTO_TEST_CASE(with_a_wait_of_zero_an_acquire_is_granted_at_once_or_not_at_all) {
    semaphore.release();
    for (const auto none : {0ms, -1ms, -1000000ms}) {
        BOOST_TEST_CONTEXT("milliseconds " << none.count()) {
            result now, late;
            semaphore.async_acquire_permit_for(none, recording(now));
            semaphore.async_acquire_permit_for(none, recording(late));
            BOOST_TEST(semaphore.waiting() == 0u);
            poll();
            BOOST_TEST(now.succeeded());
            BOOST_TEST(late.failed(timed_out));
        }
    }
}

BOOST_AUTO_TEST_CASE(with_a_wait_of_zero_nobody_overtakes_the_queue) {
    semaphore.release();
    result waiting, late;
    semaphore.async_acquire(2, recording(waiting));
    semaphore.async_acquire_for(0s, recording(late));
    poll();
    BOOST_TEST(late.failed(timed_out));
    BOOST_TEST(waiting.pending());
    semaphore.cancel();
    poll();
}

BOOST_AUTO_TEST_CASE(other_errors_take_precedence_over_a_timeout) {
    async_semaphore three(context, 0, 3);
    result negative, excessive, none, closed;
    three.async_acquire_for(0s, -1, recording(negative));
    three.async_acquire_for(1h, 4, recording(excessive));
    three.async_acquire_permit_for(0s, 0, recording(none));
    three.close();
    three.async_acquire_for(0s, recording(closed));
    BOOST_TEST(runs_dry());
    BOOST_TEST(negative.failed(asio::error::invalid_argument));
    BOOST_TEST(excessive.failed(asio_semaphore::error::exceeds_max));
    BOOST_TEST(none.succeeded());
    BOOST_TEST(!none.held);
    BOOST_TEST(closed.failed(asio_semaphore::error::closed));
}

BOOST_AUTO_TEST_CASE(no_duration_is_too_long_or_too_short) {
    using longest = std::chrono::duration<std::intmax_t, std::ratio<31556952>>;
    result r[8];
    semaphore.async_acquire_for(std::chrono::steady_clock::duration::max(), recording(r[0]));
    semaphore.async_acquire_for(std::chrono::hours::max(), recording(r[1]));
    semaphore.async_acquire_for(longest::max(), recording(r[2]));
    semaphore.async_acquire_for(
        std::chrono::duration<double>(std::numeric_limits<double>::infinity()), recording(r[3]));
    semaphore.async_acquire_for(
        std::chrono::duration<float, std::ratio<3600>>(1e30f), recording(r[4]));
    BOOST_TEST(semaphore.waiting() == 5u);
    poll();
    BOOST_TEST(semaphore.waiting() == 5u);
    semaphore.async_acquire_for(std::chrono::steady_clock::duration::min(), recording(r[5]));
    semaphore.async_acquire_for(longest::min(), recording(r[6]));
    semaphore.async_acquire_for(
        std::chrono::duration<double>(-std::numeric_limits<double>::infinity()), recording(r[7]));
    BOOST_TEST(semaphore.waiting() == 5u);
    poll();
    for (int i = 5; i < 8; ++i)
        BOOST_TEST(r[i].failed(timed_out));
    semaphore.release(5);
    BOOST_TEST(runs_dry());
    for (int i = 0; i < 5; ++i)
        BOOST_TEST(r[i].succeeded());
}

BOOST_AUTO_TEST_CASE(any_unit_of_time_can_be_used) {
    result r[3];
    semaphore.async_acquire_for(std::chrono::duration<double, std::milli>(0.5), recording(r[0]));
    semaphore.async_acquire_for(std::chrono::nanoseconds(1), recording(r[1]));
    semaphore.async_acquire_for(
        std::chrono::duration<int, std::ratio<1, 3000>>(1), recording(r[2]));
    BOOST_TEST(runs_dry());
    for (const auto& one : r)
        BOOST_TEST(one.failed(timed_out));
}

BOOST_AUTO_TEST_CASE(the_time_of_a_lazy_operation_counts_from_its_start) {
    // If the deadline counted from the call, it would have passed before the start.
    auto lazy = semaphore.async_acquire_permit_for(20ms, asio::deferred);
    const auto called = std::chrono::steady_clock::now();
    while (std::chrono::steady_clock::now() < called + 21ms)
        std::this_thread::yield();
    result r;
    std::move(lazy)(recording(r));
    BOOST_TEST(semaphore.waiting() == 1u);
    semaphore.release();
    poll();
    BOOST_TEST(r.succeeded());
}

BOOST_AUTO_TEST_CASE(a_timed_operation_moves_with_its_semaphore) {
    result r;
    semaphore.async_acquire_permit_for(1ms, recording(r));
    auto moved = std::make_unique<async_semaphore>(std::move(semaphore));
    BOOST_TEST(runs_dry());
    BOOST_TEST(r.failed(timed_out));
}

BOOST_AUTO_TEST_CASE(a_context_is_destroyed_with_timed_operations) {
    result waiting, fired;
    std::optional<async_semaphore> survivor;
    {
        asio::io_context dying;
        survivor.emplace(dying, 0);
        survivor->async_acquire_permit_for(1h, recording(waiting));
        survivor->async_acquire_permit_for(1ns, recording(fired));
    }
    BOOST_TEST(waiting.was_dropped());
    BOOST_TEST(fired.was_dropped());
    BOOST_TEST(survivor->waiting() == 0u);
}

BOOST_AUTO_TEST_CASE(a_timed_operation_may_start_outside_of_the_contexts_threads) {
    asio::thread_pool pool(2);
    async_semaphore other(pool.get_executor(), 0);
    std::atomic<int> late{0};
    for (int i = 0; i < 50; ++i)
        other.async_acquire_permit_for(
            std::chrono::microseconds(i * 20),
            [&](error_code ec, permit) { late += ec == timed_out; });
    pool.wait();
    BOOST_TEST(late == 50);
}

BOOST_AUTO_TEST_CASE(grants_deadlines_and_cancellations_exclude_each_other) {
    const auto seed = test::seed();
    std::mt19937 random(seed);
    std::atomic<int> granted{0}, late{0}, cancelled{0};
    for (int round = 0; round < 60; ++round) {
        asio::thread_pool pool(2);
        async_semaphore other(pool.get_executor(), 0);
        constexpr int count = 30;
        std::vector<std::unique_ptr<asio::cancellation_signal>> signals;
        std::atomic<int> ended{0}, held{0};
        for (int i = 0; i < count; ++i) {
            signals.push_back(std::make_unique<asio::cancellation_signal>());
            other.async_acquire_for(
                std::chrono::microseconds(random() % 300),
                asio::bind_cancellation_slot(signals.back()->slot(), [&](error_code ec) {
                    ++ended;
                    held += !ec;
                    ++(!ec ? granted : ec == timed_out ? late : cancelled);
                }));
        }
        std::thread emitter([&] {
            for (std::size_t i = 0; i < count; i += 3)
                signals[i]->emit(asio::cancellation_type::terminal);
        });
        for (int i = 0; i < count / 2; ++i)
            other.release();
        emitter.join();
        pool.wait();
        BOOST_REQUIRE(ended == count);
        BOOST_REQUIRE(other.waiting() == 0u);
        BOOST_REQUIRE(other.available() + held == count / 2);
    }
    BOOST_TEST(granted + late + cancelled == 60 * 30);
}

BOOST_AUTO_TEST_CASE(a_deadline_on_its_last_tick_and_a_grant_yield_one_completion) {
    for (int round = 0; round < 100; ++round) {
        asio::thread_pool pool(1);
        async_semaphore other(pool.get_executor(), 0);
        std::atomic<int> calls{0};
        other.async_acquire_permit_for(50us, [&](error_code, permit) { ++calls; });
        const auto start = std::chrono::steady_clock::now();
        while (std::chrono::steady_clock::now() <
               start + std::chrono::microseconds(40 + round % 20)) {
        }
        other.release();
        pool.wait();
        BOOST_REQUIRE(calls == 1);
        BOOST_REQUIRE(other.available() == 1);
    }
}

BOOST_AUTO_TEST_CASE(a_user_defined_context_supports_deadlines) {
    own_context own;
    async_semaphore other(own.get_executor(), 0);
    result late;
    other.async_acquire_permit_for(1ms, recording(late));
    while (late.pending())
        own.poll();
    BOOST_TEST(late.failed(timed_out));
}

// The functions in this queue are destroyed after the service of the timers.
BOOST_AUTO_TEST_CASE(a_queue_that_outlives_its_contexts_services_may_hold_every_stage) {
    result granted, cancelled, waiting, posted;
    {
        own_context own;
        async_semaphore other(own.get_executor(), 0);
        other.async_acquire_permit_for(1h, recording(granted));
        other.async_acquire_permit_for(1h, recording(waiting));
        own.poll(); // the timer is set
        other.release();
        async_semaphore second(own.get_executor(), 0);
        second.async_acquire_permit_for(1h, recording(cancelled));
        second.cancel();
        async_semaphore third(own.get_executor(), 0);
        third.async_acquire_permit_for(1h, recording(posted)); // the timer is not set yet
    }
    for (const result* r : {&granted, &cancelled, &waiting, &posted})
        BOOST_TEST(r->was_dropped());
}

// With this concurrency hint, Asio does not lock its timers, so another thread must not use them.
BOOST_AUTO_TEST_CASE(the_timer_is_used_only_on_its_executor) {
    asio::io_context unsafe(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO);
    async_semaphore other(unsafe, 0);
    auto work = asio::make_work_guard(unsafe);
    constexpr int rounds = 300;
    std::atomic<int> ended{0};
    std::thread elsewhere([&] {
        for (int i = 0; i < rounds; ++i) {
            other.async_acquire_permit_for(i % 3 == 0 ? 20us : 1h, [&](error_code, permit held) {
                static_cast<void>(held.forget());
                ++ended;
            });
            other.release();
        }
    });
    std::thread runner([&] { unsafe.run(); });
    elsewhere.join();
    while (ended < rounds)
        std::this_thread::yield();
    work.reset();
    runner.join();
    BOOST_TEST(other.waiting() == 0u);
}

BOOST_AUTO_TEST_CASE(the_context_runs_no_longer_than_operations_wait) {
    for (const bool from_outside : {false, true}) {
        BOOST_TEST_CONTEXT("from outside " << from_outside) {
            asio::io_context own;
            async_semaphore other(own, 0);
            result first, second;
            other.async_acquire_permit_for(1h, recording(first));
            other.async_acquire_permit_for(1h, recording(second));
            if (from_outside)
                own.poll(); // the timer is set
            other.release(2);
            own.run();
            BOOST_TEST(first.succeeded());
            BOOST_TEST(second.succeeded());
        }
    }
}

// The executor has room for one function. For that of the timer, it destroys another one.
BOOST_AUTO_TEST_CASE(a_function_that_is_dropped_for_the_timer_may_own_the_semaphore) {
    support::ways how;
    how.now = support::ways::way::replace;
    const support::wayward_executor executor(context, how);
    auto own = std::make_unique<basic_async_semaphore<support::wayward_executor>>(executor, 0);
    executor.execute([last = support::at_exit([&] { own.reset(); })] {});
    result r;
    own->async_acquire_permit_for(1h, recording(r));
    BOOST_TEST((own == nullptr));
    how.run_held_in_reverse();
    BOOST_TEST(r.failed(asio::error::operation_aborted));
}

BOOST_AUTO_TEST_CASE(a_function_that_is_dropped_for_the_timer_may_own_the_context) {
    auto dying_context = std::make_unique<asio::io_context>();
    support::ways how;
    how.now = support::ways::way::replace;
    const support::wayward_executor executor(*dying_context, how);
    basic_async_semaphore<support::wayward_executor> limit(executor, 0);
    executor.execute([last = support::at_exit([&] { dying_context.reset(); })] {});
    result r;
    limit.async_acquire_permit_for(1h, recording(r));
    BOOST_TEST((dying_context == nullptr));
    BOOST_TEST(r.was_dropped());
    how.drop_held();
}

BOOST_AUTO_TEST_SUITE_END()
