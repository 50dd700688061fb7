// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// A random mix of everything that one thread can do, with a count of all permits. At any time the
// permits that are free, held, forgotten or being delivered add up to those that were put in. The
// head of the queue never fits, and every operation completes exactly once.

#include <asio_semaphore/async_semaphore.hpp>

#include "fixture.hpp"

#include <support/seed.hpp>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <list>
#include <memory>
#include <random>
#include <vector>

namespace {

using namespace test;
using namespace std::chrono_literals;

struct party {
    std::ptrdiff_t count;
    operation o;
    asio::cancellation_signal signal;
    bool cancelled = false;
};

class books {
public:
    explicit books(unsigned seed) : random_(seed) {}

    void run(int steps) {
        for (int i = 0; i < steps; ++i) {
            step();
            check();
        }
        finish();
    }

private:
    int pick(int n) { return std::uniform_int_distribution<>(0, n - 1)(random_); }

    void step() {
        switch (pick(12)) {
        case 0:
        case 1:
        case 2:
            start();
            break;
        case 3:
            if (permit p = semaphore_.try_acquire_permit(pick(4)))
                held_.push_back(std::move(p));
            break;
        case 4:
        case 5:
            if (!held_.empty())
                held_.erase(held_.begin() + pick(static_cast<int>(held_.size())));
            break;
        case 6: {
            const std::ptrdiff_t n = pick(3), before = semaphore_.available();
            error_code ec;
            semaphore_.release(max_permits - before + 1, ec);
            BOOST_TEST(ec == over_release);
            BOOST_TEST(semaphore_.available() == before);
            if (put_in_ + n <= max_permits) {
                semaphore_.release(n);
                put_in_ += n;
            }
            break;
        }
        case 7: {
            const std::ptrdiff_t n = pick(3);
            if (put_in_ >= n) {
                semaphore_.reduce(n);
                put_in_ -= n;
            }
            break;
        }
        case 8:
            for (party& p : parties_) {
                if (pick(static_cast<int>(parties_.size())) == 0)
                    p.signal.emit(asio::cancellation_type::terminal);
            }
            break;
        case 9:
            if (pick(8) == 0) {
                const std::size_t waiting = semaphore_.waiting();
                BOOST_TEST(semaphore_.cancel() == waiting);
            }
            break;
        case 10:
            context_.restart();
            context_.poll_one();
            break;
        case 11:
            if (!held_.empty()) {
                permit& p = held_[static_cast<std::size_t>(pick(static_cast<int>(held_.size())))];
                permit part = p.split(pick(static_cast<int>(p.count()) + 1));
                if (part)
                    held_.push_back(std::move(part));
            }
            break;
        }
        collect();
    }

    void start() {
        party& p = parties_.emplace_back();
        p.count = pick(4);
        if (pick(4) == 0)
            semaphore_.async_acquire_permit_for(1h, p.count, p.o.on_completion(p.signal.slot()));
        else
            semaphore_.async_acquire_permit(p.count, p.o.on_completion(p.signal.slot()));
    }

    void collect() {
        for (auto p = parties_.begin(); p != parties_.end();) {
            if (!p->o.called()) {
                ++p;
                continue;
            }
            BOOST_TEST(p->o.completed());
            BOOST_TEST((p->o.error() == success || p->o.error() == aborted));
            BOOST_TEST(p->o.held().count() == (p->o.error() ? 0 : p->count));
            if (p->o.held())
                held_.push_back(std::move(p->o.held()));
            p = parties_.erase(p);
        }
        held_.erase(
            std::remove_if(held_.begin(), held_.end(), [](const permit& p) { return !p; }),
            held_.end());
    }

    void check() {
        // Permits that are being delivered cannot be counted, so sometimes deliver all of them.
        if (pick(4) != 0)
            return;
        context_.restart();
        context_.poll();
        collect();
        std::ptrdiff_t sum = semaphore_.available();
        for (const permit& p : held_)
            sum += p.count();
        BOOST_TEST(sum == put_in_);
        BOOST_TEST(semaphore_.waiting() == parties_.size());
        if (!parties_.empty())
            BOOST_TEST(parties_.front().count > semaphore_.available());
    }

    void finish() {
        semaphore_.close();
        context_.restart();
        context_.run();
        for (const party& p : parties_)
            BOOST_TEST(p.o.completed());
        for (party& p : parties_)
            p.o.held().reset();
        held_.clear();
        BOOST_TEST(semaphore_.available() == put_in_);
    }

    static constexpr std::ptrdiff_t max_permits = 6;

    std::mt19937 random_;
    asio::io_context context_;
    std::ptrdiff_t put_in_ = 4;
    async_semaphore semaphore_{context_, put_in_, max_permits};
    std::vector<permit> held_;
    std::list<party> parties_; // in the order of the queue
};

} // namespace

BOOST_AUTO_TEST_SUITE(semaphore_conservation)

BOOST_AUTO_TEST_CASE(a_random_mix_of_operations_neither_loses_nor_invents_a_permit) {
    const auto seed = test::seed();
    for (unsigned i = 0; i < 40; ++i) {
        BOOST_TEST_CONTEXT("seed " << seed << ", round " << i) {
            books(seed + i).run(1000);
        }
    }
}

BOOST_AUTO_TEST_SUITE_END()
