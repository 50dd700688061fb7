// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// All operations at the same time, on many threads, for any duration:
//   test_stress_soak -- --minutes 30
// The test runs in rounds. Clients acquire permits in every way, on semaphores with several kinds
// of executors, directly or with with_permit. Threads cancel, reduce, release and close. Meanwhile
// semaphores are moved, closed and destroyed, and contexts are destroyed while operations wait.
// After each round, the test checks that no permit and no completion is missing.
//
// The test prints the seed at the start, and a summary at the end, even after a failure.

#include <asio_semaphore/async_semaphore.hpp>
#include <asio_semaphore/with_permit.hpp>

#include <stress/options.hpp>

#include <boost/asio/async_result.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/test/unit_test.hpp>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ASIO_SEMAPHORE_TEST_SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define ASIO_SEMAPHORE_TEST_SANITIZED
#endif
#endif
#if defined(ASIO_SEMAPHORE_TEST_SANITIZED)
#include <sanitizer/common_interface_defs.h>
#endif

namespace {

namespace asio = boost::asio;
using asio_semaphore::async_semaphore;
using asio_semaphore::permit;
using asio_semaphore::with_permit;
using boost::system::error_code;
using clock_type = std::chrono::steady_clock;

struct statistics {
    const clock_type::time_point start = clock_type::now();
    std::atomic<std::uint64_t> seed{0}, rounds{0}, started{0}, granted{0}, cancelled{0},
        timed_out{0}, closed{0}, dropped{0}, tried{0}, contexts{0};

    std::uint64_t ended() const { return granted + cancelled + timed_out + closed + dropped; }
    double seconds() const {
        return std::chrono::duration<double>(clock_type::now() - start).count();
    }
    void print(const char* what) const {
        const auto number = [](const std::atomic<std::uint64_t>& n) {
            return static_cast<unsigned long long>(n.load());
        };
        std::printf(
            "%s: ASIO_SEMAPHORE_TEST_SEED=%llu, %.0f s, %llu rounds: %llu operations, %llu "
            "granted, %llu cancelled, %llu timed out, %llu closed, %llu dropped with one of %llu "
            "contexts; %llu try_acquire\n",
            what, number(seed), seconds(), number(rounds), number(started), number(granted),
            number(cancelled), number(timed_out), number(closed), number(dropped), number(contexts),
            number(tried));
        std::fflush(stdout);
    }
};
statistics stats;

/// Prints the summary after any failure: an assertion, a check of this test, a sanitizer.
void print_failure() {
    stats.print("failed");
}
void print_failures() {
    std::signal(SIGABRT, [](int) { print_failure(); });
#if defined(ASIO_SEMAPHORE_TEST_SANITIZED)
    __sanitizer_set_death_callback(print_failure);
#endif
}

/// The checks of Boost.Test do not support several threads.
[[noreturn]] void fail(const std::string& what) {
    std::fprintf(stderr, "soak: %s\n", what.c_str());
    std::abort();
}
void require(bool holds, const char* what) {
    if (!holds)
        fail(what);
}

/// Waits for a condition that must become true, even on a slow machine.
template <typename Condition, typename Describe>
void await(Condition condition, Describe describe) {
    const auto patience = clock_type::now() + std::chrono::minutes(2);
    while (!condition()) {
        if (clock_type::now() > patience)
            fail(std::string("a wake-up was lost: ") + describe());
        std::this_thread::yield();
    }
}

void count(error_code ec) {
    if (!ec)
        ++stats.granted;
    else if (ec == asio::error::operation_aborted)
        ++stats.cancelled;
    else if (ec == asio::error::timed_out)
        ++stats.timed_out;
    else if (ec == asio_semaphore::error::closed)
        ++stats.closed;
    else
        fail("an operation ended with: " + ec.message());
}

/// A part of a handler, which must be called once or destroyed.
class once {
public:
    once() { ++stats.started; }
    once(once&& other) noexcept : armed_(std::exchange(other.armed_, false)) {}
    once& operator=(once&&) = delete;
    ~once() {
        if (armed_)
            ++stats.dropped;
    }
    void operator()(error_code ec) {
        require(std::exchange(armed_, false), "a handler was called twice");
        count(ec);
    }

private:
    bool armed_ = true;
};

struct limited {
    limited(const asio::any_io_executor& executor, std::ptrdiff_t n) :
        semaphore(executor, n), capacity(n) {}

    async_semaphore semaphore;
    const std::ptrdiff_t capacity;
    std::atomic<std::ptrdiff_t> in_use{0};
    std::uint64_t plain = 0; // guarded by the semaphore, if that has one permit
};

/// Permits in use. The object owns them, or another party does.
class usage {
public:
    usage(limited& of, std::ptrdiff_t n) : of_(&of), n_(n) {
        const std::ptrdiff_t now = of.in_use += n;
        require(now <= of.capacity, "more permits are in use than there are");
        if (of.capacity == 1)
            ++of.plain;
    }
    usage(limited& of, permit held) : usage(of, held.count()) { held_ = std::move(held); }
    usage(usage&& other) noexcept :
        of_(std::exchange(other.of_, nullptr)), n_(other.n_), held_(std::move(other.held_)) {}
    usage& operator=(usage&&) = delete;
    ~usage() {
        if (of_ == nullptr)
            return;
        if (of_->capacity == 1)
            ++of_->plain;
        of_->in_use -= n_;
    }

private:
    limited* of_ = nullptr;
    std::ptrdiff_t n_;
    permit held_; // the last member to be destroyed
};

/// A short operation for with_permit.
template <typename Token>
auto async_use(
    const asio::any_io_executor& executor, limited& of, std::ptrdiff_t n, Token&& token) {
    return asio::async_initiate<Token, void(error_code)>(
        [executor, &of, n](auto handler) {
            asio::post(
                executor, [now = std::make_unique<usage>(of, n), h = std::move(handler)]() mutable {
                    now.reset();
                    std::move(h)(error_code());
                });
        },
        token);
}

class round_of_stress {
public:
    round_of_stress(std::uint64_t seed, clock_type::duration length) : seed_(seed) {
        for (int i = 0; i < 3; ++i)
            threads_.emplace_back([this] { io_.run(); });
        for (std::size_t i = 0; i < 24; ++i) {
            clients_.push_back(std::make_unique<client>(*this, stress::random(seed_ + i)));
            clients_.back()->next();
        }
        const auto until = clock_type::now() + length;
        std::vector<std::thread> troublemakers;
        for (std::uint64_t i = 0; i < 3; ++i)
            troublemakers.emplace_back([this, until, i] { make_trouble(until, seed_ + 1000 + i); });
        for (auto& t : troublemakers)
            t.join();

        // All operations in progress must end without a cancellation.
        stopping_ = true;
        await(
            [&] {
                take_from_mailbox();
                return finished_ == clients_.size();
            },
            [&] {
                std::string s = "seed " + std::to_string(seed_);
                for (auto* l : limits_)
                    s += "; " + std::to_string(l->semaphore.waiting()) + " wait for " +
                         std::to_string(l->semaphore.available());
                return s;
            });
        take_from_mailbox();
        pool_work_.reset();
        pool_.join();
        io_work_.reset();
        for (auto& t : threads_)
            t.join();
        for (auto* l : limits_) {
            require(l->semaphore.waiting() == 0, "somebody waits at the end");
            require(l->in_use == 0, "permits are in use at the end");
            require(l->semaphore.available() == l->capacity, "permits are missing at the end");
        }
        require(stats.started == stats.ended(), "an operation neither ended nor was dropped");
        ++stats.rounds;
    }

private:
    /// Starts each operation when the one before has ended.
    class client {
    public:
        client(round_of_stress& round, stress::random random) : round_(round), random_(random) {}

        void next() {
            if (round_.stopping_) {
                ++round_.finished_;
                return;
            }
            // The troublemakers use the signal too, so the mutex serialises its use.
            const std::lock_guard<std::mutex> lock(mutex_);
            limited& l = *round_.limits_[random_.below(round_.limits_.size())];
            const auto n = static_cast<std::ptrdiff_t>(
                1 + random_.below(static_cast<std::size_t>(l.capacity)));
            switch (random_.below(5)) {
            case 0:
                return acquire(l, n, finisher{*this, l, n, {}});
            case 1:
                return static_cast<void>(async_use(
                    round_.io_.get_executor(), l, n,
                    with_permit(
                        l.semaphore, n,
                        asio::bind_cancellation_slot(signal_.slot(), user{*this, {}}))));
            case 2:
                return acquire(
                    l, n,
                    asio::bind_executor(
                        asio::any_io_executor(round_.pool_.get_executor()),
                        finisher{*this, l, n, {}}));
            case 3:
                return acquire(
                    l, n, asio::bind_executor(round_.strand_, finisher{*this, l, n, {}}));
            default:
                return acquire(
                    l, n, asio::bind_cancellation_slot(signal_.slot(), finisher{*this, l, n, {}}));
            }
        }

        void emit(asio::cancellation_type type) {
            const std::lock_guard<std::mutex> lock(mutex_);
            signal_.emit(type);
        }
        void renew_signal() {
            const std::lock_guard<std::mutex> lock(mutex_);
            signal_.slot().clear();
        }

    private:
        struct finisher {
            client& self;
            limited& of;
            std::ptrdiff_t n;
            once handler;

            void operator()(error_code ec) {
                handler(ec);
                if (!ec)
                    self.use(of, permit(of.semaphore, std::adopt_lock, n));
                self.next();
            }
            void operator()(error_code ec, permit p) {
                handler(ec);
                require(p.count() == (ec ? 0 : n), "the wrong number of permits");
                if (!ec)
                    self.use(of, std::move(p));
                self.next();
            }
        };

        /// The handler of an operation under a limit, whose permit has returned.
        struct user {
            client& self;
            once handler;

            void operator()(error_code ec) {
                handler(ec);
                self.next();
            }
        };

        template <typename Token>
        void acquire(limited& l, std::ptrdiff_t n, Token token) {
            const auto wait = std::chrono::microseconds(random_.below(300));
            switch (random_.below(4)) {
            case 0:
                return l.semaphore.async_acquire(n, std::move(token));
            case 1:
                return l.semaphore.async_acquire_permit(n, std::move(token));
            case 2:
                return l.semaphore.async_acquire_for(wait, n, std::move(token));
            default:
                return l.semaphore.async_acquire_permit_for(wait, n, std::move(token));
            }
        }

        void use(limited& of, permit held) {
            usage now(of, std::move(held));
            if (random_.one_in(4))
                std::this_thread::yield();
            if (random_.one_in(4))
                round_.put_in_mailbox(std::move(now));
            else if (random_.one_in(4))
                round_.take_from_mailbox();
        }

        round_of_stress& round_;
        std::mutex mutex_;
        stress::random random_;            // only one operation at a time uses it
        asio::cancellation_signal signal_; // guarded by mutex_
    };

    void put_in_mailbox(usage u) {
        const std::lock_guard<std::mutex> lock(mailbox_mutex_);
        mailbox_.push_back(std::move(u));
    }
    void take_from_mailbox() {
        std::deque<usage> taken;
        const std::lock_guard<std::mutex> lock(mailbox_mutex_);
        taken.swap(mailbox_);
    }

    void make_trouble(clock_type::time_point until, std::uint64_t seed) {
        stress::random random(seed);
        while (clock_type::now() < until) {
            limited& l = *limits_[random.below(limits_.size())];
            client& c = *clients_[random.below(clients_.size())];
            switch (random.below(12)) {
            case 0:
            case 1:
            case 2:
            case 3:
                c.emit(static_cast<asio::cancellation_type>(random.below(8)));
                break;
            case 4:
                c.renew_signal();
                break;
            case 5:
                l.semaphore.cancel();
                break;
            case 6: {
                l.semaphore.reduce(1);
                std::this_thread::yield();
                l.semaphore.release(1);
                break;
            }
            case 7:
            case 8: {
                ++stats.tried;
                if (permit p = l.semaphore.try_acquire_permit())
                    const usage now(l, std::move(p));
                break;
            }
            case 9:
                if (l.semaphore.try_acquire(l.capacity))
                    l.semaphore.release(l.capacity);
                break;
            case 10:
                short_lived_semaphore(random);
                break;
            default:
                if (random.one_in(8))
                    short_lived_context(random);
                if (random.one_in(500))
                    closed_one_day_.semaphore.close();
                take_from_mailbox();
            }
        }
    }

    /// A semaphore that is moved, closed or destroyed while others release to it.
    void short_lived_semaphore(stress::random& random) {
        asio::any_io_executor executor = io_.get_executor();
        if (random.one_in(2))
            executor = pool_.get_executor();
        std::optional<async_semaphore> s(std::in_place, executor, 2);
        std::vector<permit> held;
        held.push_back(s->try_acquire_permit());
        held.push_back(s->try_acquire_permit());
        asio::cancellation_signal signal;
        for (int i = 0; i < 4; ++i)
            s->async_acquire_permit(once_with_permit{});
        s->async_acquire(2, asio::bind_cancellation_slot(signal.slot(), once()));
        s->async_acquire_permit_for(std::chrono::microseconds(50), once_with_permit{});
        asio::post(pool_, [h = std::move(held)] {});
        if (random.one_in(2)) {
            async_semaphore moved(std::move(*s));
            moved.async_acquire_permit(once_with_permit{});
            *s = std::move(moved);
        }
        if (random.one_in(2))
            signal.emit(asio::cancellation_type::terminal);
        if (random.one_in(4))
            s->close();
        if (random.one_in(2))
            std::this_thread::yield();
    }

    /// A context that is destroyed while operations wait, and others release to its semaphores.
    void short_lived_context(stress::random& random) {
        ++stats.contexts;
        auto context = std::make_unique<asio::io_context>();
        std::thread runner;
        async_semaphore s(*context, 2);
        permit a = s.try_acquire_permit(), b = s.try_acquire_permit();
        for (int i = 0; i < 5; ++i)
            s.async_acquire_permit(once_with_permit{});
        s.async_acquire_permit_for(std::chrono::microseconds(20), once_with_permit{});
        if (random.one_in(2))
            runner = std::thread([&context] { context->run(); });
        std::atomic<int> back{0};
        for (auto* p : {&a, &b})
            asio::post(pool_, [p = std::move(*p), &back]() mutable {
                p.reset();
                ++back;
            });
        if (random.one_in(2))
            std::this_thread::yield();
        context->stop();
        if (runner.joinable())
            runner.join();
        context.reset();
        await([&] { return back == 2; }, [] { return "a permit of a dead context"; });
        require(s.waiting() == 0, "somebody waits for a dead context");
        require(s.available() == 2, "a permit died with its context");
    }

    struct once_with_permit {
        once handler{};
        void operator()(error_code ec, permit p) {
            handler(ec);
            require(p.count() == (ec ? 0 : 1), "the wrong number of permits");
        }
    };

    const std::uint64_t seed_;
    asio::io_context io_;
    asio::thread_pool pool_{3};
    asio::executor_work_guard<asio::io_context::executor_type> io_work_{io_.get_executor()};
    asio::executor_work_guard<asio::thread_pool::executor_type> pool_work_{pool_.get_executor()};
    asio::strand<asio::io_context::executor_type> strand_{io_.get_executor()};
    limited one_{io_.get_executor(), 1}, three_{pool_.get_executor(), 3}, two_{strand_, 2},
        five_{io_.get_executor(), 5}, closed_one_day_{pool_.get_executor(), 4};
    std::vector<limited*> limits_{&one_, &three_, &two_, &five_, &closed_one_day_};
    std::atomic<bool> stopping_{false};
    std::atomic<std::size_t> finished_{0};
    std::mutex mailbox_mutex_;
    std::deque<usage> mailbox_; // guarded by mailbox_mutex_
    std::vector<std::unique_ptr<client>> clients_;
    std::vector<std::thread> threads_;
};

double minutes_asked_for() {
    const auto& suite = boost::unit_test::framework::master_test_suite();
    for (int i = 1; i + 1 < suite.argc; ++i) {
        if (std::string(suite.argv[i]) == "--minutes")
            return std::atof(suite.argv[i + 1]);
    }
    return 0;
}

} // namespace

BOOST_AUTO_TEST_SUITE(stress_soak)

BOOST_AUTO_TEST_CASE(nothing_is_lost_under_load) {
    const std::uint64_t seed = stats.seed = stress::seed();
    print_failures();
    const double minutes = minutes_asked_for();
    const auto length =
        minutes > 0 ? std::chrono::duration<double>(minutes * 60) : stress::time_to_run(3);
    std::printf(
        "ASIO_SEMAPHORE_TEST_SEED=%llu, for %.0f s\n", static_cast<unsigned long long>(seed),
        length.count());
    std::fflush(stdout);
    double next_report = 10;
    while (stats.rounds == 0 || stats.seconds() < length.count()) {
        stress::next_thread() = seed + stats.rounds;
        const round_of_stress round(
            seed + stats.rounds * 10'000, std::chrono::milliseconds(minutes > 0 ? 2000 : 500));
        if (minutes > 0 && stats.seconds() >= next_report) {
            next_report += 10;
            stats.print("so far");
        }
    }
    stats.print("nothing was lost");
    BOOST_TEST(stats.started == stats.ended());
}

BOOST_AUTO_TEST_SUITE_END()
