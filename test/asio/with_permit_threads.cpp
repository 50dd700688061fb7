// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// with_permit on several threads. However the operations end, never more of them run at once than
// there are permits.

#include <asio_semaphore/with_permit.hpp>

#include <support/handlers.hpp>
#include <support/seed.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/compose.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/test/unit_test.hpp>

#include <atomic>
#include <cstdint>
#include <memory>
#include <random>
#include <thread>
#include <utility>
#include <vector>

namespace asio = boost::asio;
using asio_semaphore::async_semaphore;
using asio_semaphore::with_permit;
using boost::system::error_code;

namespace {

constexpr int limit = 3;
constexpr int clients = 12;
constexpr int rounds = 300;

struct tally {
    std::atomic<int> running{0}, most{0}, succeeded{0}, aborted{0}, other{0};

    void enter() {
        const int now = ++running;
        for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
        }
    }
};

/// A client on its own strand. It starts an operation, sometimes cancels it, and then starts the
/// next one.
class client {
public:
    using strand_type = asio::strand<asio::io_context::executor_type>;

    client(asio::io_context& context, async_semaphore& sem, tally& counts, unsigned seed) :
        strand_(asio::make_strand(context)),
        timer_(strand_),
        sem_(sem),
        counts_(counts),
        random_(seed) {}

    void start() {
        asio::post(strand_, [this] { next(); });
    }

private:
    void next() {
        if (left_-- == 0)
            return;
        timer_.expires_after(std::chrono::microseconds(random_() % 20));
        auto token = with_permit(
            sem_,
            asio::bind_cancellation_slot(
                signal_.slot(), asio::bind_executor(strand_, [this](error_code ec) { done(ec); })));
        asio::async_compose<decltype(token), void(error_code)>(
            [this, entered = false](auto& self, error_code ec = {}) mutable {
                if (!entered) {
                    entered = true;
                    counts_.enter();
                    timer_.async_wait(std::move(self));
                } else {
                    --counts_.running;
                    self.complete(ec);
                }
            },
            token, strand_);
        // Cancels before, between and during the stages.
        for (auto i = random_() % 8; i < 3; ++i)
            asio::post(strand_, [this, round = left_] { cancel(round); });
    }
    void cancel(int round) {
        if (round == left_)
            signal_.emit(asio::cancellation_type::terminal);
    }
    void done(error_code ec) {
        ++(!ec                                    ? counts_.succeeded
           : ec == asio::error::operation_aborted ? counts_.aborted
                                                  : counts_.other);
        next();
    }

    strand_type strand_;
    asio::steady_timer timer_;
    asio::cancellation_signal signal_;
    async_semaphore& sem_;
    tally& counts_;
    std::mt19937 random_;
    int left_ = rounds;
};

} // namespace

BOOST_AUTO_TEST_SUITE(with_permit_threads)

BOOST_AUTO_TEST_CASE(no_more_operations_run_than_there_are_permits) {
    const auto seed = test::seed();
    BOOST_TEST_CONTEXT("seed " << seed) {
        asio::io_context context;
        async_semaphore sem(context, limit);
        tally counts;
        std::vector<std::unique_ptr<client>> all;
        for (unsigned i = 0; i < clients; ++i) {
            all.push_back(std::make_unique<client>(context, sem, counts, seed + i));
            all.back()->start();
        }
        support::run_on_threads(context, 4);
        BOOST_TEST(counts.most <= limit);
        BOOST_TEST(counts.most > 1);
        BOOST_TEST(counts.succeeded > 0);
        BOOST_TEST(counts.aborted > 0);
        BOOST_TEST(counts.other == 0);
        BOOST_TEST(counts.succeeded + counts.aborted == clients * rounds);
        BOOST_TEST(sem.available() == limit);
        BOOST_TEST(sem.waiting() == 0u);
    }
}

BOOST_AUTO_TEST_CASE(a_context_may_die_while_others_are_served_by_the_same_semaphore) {
    asio::io_context lasting;
    async_semaphore sem(lasting, limit);
    auto work = asio::make_work_guard(lasting);
    std::thread server([&] { lasting.run(); });
    for (int round = 0; round < 50; ++round) {
        std::atomic<int> calls{0};
        std::vector<std::unique_ptr<asio::steady_timer>> timers;
        {
            // The operation that runs here ends only with its context.
            asio::io_context brief;
            bool started = false;
            auto timer =
                std::make_shared<asio::steady_timer>(brief, asio::steady_timer::time_point::max());
            auto token = with_permit(sem, [timer](error_code) {});
            asio::async_compose<decltype(token), void(error_code)>(
                [&started, t = timer.get()](auto& self, error_code ec = {}) {
                    if (std::exchange(started, true))
                        self.complete(ec);
                    else
                        t->async_wait(std::move(self));
                },
                token, brief);
            timer.reset();
            while (!started) {
                brief.poll();
                std::this_thread::yield();
            }
            for (int i = 0; i < 10; ++i) {
                timers.push_back(std::make_unique<asio::steady_timer>(
                    lasting, asio::steady_timer::time_point::min()));
                timers.back()->async_wait(with_permit(sem, [&calls](error_code) { ++calls; }));
            }
        }
        while (calls < 10)
            std::this_thread::yield();
    }
    work.reset();
    server.join();
    BOOST_TEST(sem.available() == limit);
    BOOST_TEST(sem.waiting() == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
