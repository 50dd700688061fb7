// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// Handlers in another context than the semaphore's, which is destroyed first. Also a context that
// runs its own threads.

#include <model/abandonment.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/version.hpp>
#if BOOST_VERSION >= 108200
#include <boost/asio/bind_immediate_executor.hpp>
#include <boost/asio/system_executor.hpp>
#endif

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>

using namespace abandonment;
using namespace std::chrono_literals;

namespace {

template <typename ToToken>
void check(const char* name, ToToken to_token) {
    stop_after_every_handler(name, all_operations(to_token), true);
}

/// A coroutine that runs in the second context, and may continue after the destruction of the
/// semaphore's context.
asio::awaitable<void> away_from_home(world& w, witness) {
    const auto s = w.weak.lock();
    if (!s)
        co_return;
    for (int i = 0; i < 2; ++i) {
        {
            auto [ec, p] = co_await s->async_acquire_permit(2, asio::as_tuple(asio::use_awaitable));
            co_await asio::post(asio::use_awaitable);
        }
        auto [ec] = co_await s->async_acquire_for(1h, asio::as_tuple(asio::use_awaitable));
        if (!ec) {
            w.by_hand += 1;
            co_await asio::post(asio::use_awaitable);
            w.by_hand -= 1;
            s->release();
        }
    }
}

/// A program on a pool with one thread. The k-th handler stops the pool.
class pool_world {
public:
    explicit pool_world(int k) : left_(k), pool_(std::in_place, 1), semaphore_(*pool_, initial) {}

    /// Returns how many handlers ran.
    int run_and_destroy() {
        if (left_ == 0)
            pool_->stop();
        asio::post(*pool_, [this] {
            for (int round = 0; round < 2; ++round) {
                semaphore_.async_acquire(step{this, 1});
                semaphore_.async_acquire_permit(2, step{this, 2});
                semaphore_.async_acquire_permit_for(1h, 3, step{this, 3});
                semaphore_.async_acquire_for(1h, 2, asio::bind_executor(*strand_, step{this, 2}));
                semaphore_.async_acquire_permit(
                    asio::bind_cancellation_slot(signal_.slot(), step{this, 1}));
            }
            asio::post(*pool_, [this] {
                if (goes_on())
                    signal_.emit(asio::cancellation_type::total);
            });
        });
        pool_->join();
        strand_.reset();
        pool_.reset();
        BOOST_TEST(semaphore_.waiting() == 0u);
        BOOST_TEST(semaphore_.available() + by_hand_ == initial);
        BOOST_TEST(alive_ == 0);
        return ran_;
    }

private:
    static constexpr std::ptrdiff_t initial = 3;

    struct counted {
        explicit counted(pool_world& w) : in(&w) { ++in->alive_; }
        counted(const counted& other) : in(other.in) { ++in->alive_; }
        counted& operator=(const counted&) = delete;
        ~counted() { --in->alive_; }
        pool_world* in;
    };

    struct step {
        step(pool_world* w, std::ptrdiff_t count) : life(*w), n(count) {}

        void operator()(error_code ec) {
            pool_world& w = *life.in;
            if (!ec)
                w.by_hand_ += n;
            if (w.goes_on() && !ec)
                asio::post(*w.pool_, [&w, n = n, other = life] {
                    w.by_hand_ -= n;
                    w.semaphore_.release(n);
                    w.goes_on();
                });
        }
        void operator()(error_code, permit p) {
            pool_world& w = *life.in;
            if (w.goes_on())
                asio::post(*w.pool_, [&w, p = std::move(p), other = life]() mutable {
                    p.reset();
                    w.goes_on();
                });
        }

        counted life;
        std::ptrdiff_t n;
    };

    /// Counts one handler; stops the pool after the last one.
    bool goes_on() {
        ++ran_;
        if (ran_ == left_)
            pool_->stop();
        return ran_ < left_;
    }

    // Only the pool's thread uses these while it runs.
    int left_, ran_ = 0, alive_ = 0;
    std::ptrdiff_t by_hand_ = 0;
    asio::cancellation_signal signal_;
    std::optional<asio::thread_pool> pool_;
    std::optional<asio::strand<asio::thread_pool::executor_type>> strand_{pool_->get_executor()};
    async_semaphore semaphore_;
};

} // namespace

BOOST_AUTO_TEST_SUITE(model_abandonment_contexts)

BOOST_AUTO_TEST_CASE(handlers_elsewhere) {
    check("elsewhere", [](world& w, finisher f, asio::cancellation_slot s) {
        return asio::bind_cancellation_slot(s, asio::bind_executor(*w.other, std::move(f)));
    });
}

BOOST_AUTO_TEST_CASE(handlers_elsewhere_with_a_type_erased_executor) {
    check("any_io_executor elsewhere", [](world& w, finisher f, asio::cancellation_slot s) {
        return asio::bind_cancellation_slot(
            s, asio::bind_executor(asio::any_io_executor(w.other->get_executor()), std::move(f)));
    });
}

BOOST_AUTO_TEST_CASE(handlers_in_a_strand_elsewhere) {
    check("strand elsewhere", [](world& w, finisher f, asio::cancellation_slot s) {
        return asio::bind_cancellation_slot(
            s, asio::bind_executor(asio::make_strand(*w.other), std::move(f)));
    });
}

#if BOOST_VERSION >= 108200
BOOST_AUTO_TEST_CASE(handlers_elsewhere_with_an_immediate_executor) {
    check("immediate, elsewhere", [](world& w, finisher f, asio::cancellation_slot s) {
        return asio::bind_cancellation_slot(
            s, asio::bind_immediate_executor(
                   asio::system_executor(), asio::bind_executor(*w.other, std::move(f))));
    });
}
#endif

BOOST_AUTO_TEST_CASE(coroutines_elsewhere) {
    stop_after_every_handler(
        "co_spawn elsewhere",
        [](world& w) {
            for (int i = 0; i < 3; ++i)
                asio::co_spawn(
                    *w.other, away_from_home(w, w.carried()),
                    [c = w.carried()](std::exception_ptr) {});
        },
        true);
}

BOOST_AUTO_TEST_CASE(a_pool_that_a_handler_stops) {
    const support::last_words on_death;
    int most = 0;
    for (int k = 0;; ++k) {
        BOOST_TEST_INFO_SCOPE("stopped after " << k << " handlers");
        support::last_words::are("a pool, stopped after " + std::to_string(k) + " handlers");
        const int ran = pool_world(k).run_and_destroy();
        most = std::max(most, ran);
        if (ran < k)
            break;
        BOOST_TEST(ran == k);
        BOOST_REQUIRE(k < 1000);
    }
    BOOST_TEST_MESSAGE("thread_pool: " << most << " handlers");
    BOOST_TEST(most > 10);
}

BOOST_AUTO_TEST_SUITE_END()
