// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include "harness.hpp"

#include <pthread.h>
#include <sched.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <limits>
#include <mutex>
#include <numeric>
#include <ostream>
#include <random>
#include <regex>
#include <thread>
#include <utility>

namespace bench {

namespace {

using std::chrono::steady_clock;

double nanoseconds_each(const measurement& m) {
    return std::chrono::duration<double, std::nano>(m.time).count() /
           static_cast<double>(m.operations);
}

double interpolated(const std::vector<double>& sorted, double place) {
    const double at = place * static_cast<double>(sorted.size() - 1);
    const auto below = static_cast<std::size_t>(at);
    const auto above = std::min(below + 1, sorted.size() - 1);
    return std::lerp(sorted[below], sorted[above], at - static_cast<double>(below));
}

} // namespace

quartiles quartiles_of(std::vector<double> figures) {
    std::erase_if(figures, [](double f) { return std::isnan(f); });
    if (figures.empty())
        return {0, 0, 0};
    std::sort(figures.begin(), figures.end());
    return {interpolated(figures, 0.25), interpolated(figures, 0.5), interpolated(figures, 0.75)};
}

thread_clock::time_point thread_clock::now() noexcept {
    timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return time_point(std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec));
}

void suite::add(bench_case c) {
    if (c.size > settings_.max_size)
        return;
    if (!settings_.rows.empty() && !std::regex_search(c.row, std::regex(settings_.rows)))
        return;
    entries_.push_back({.what = std::move(c), .nanoseconds = {}});
}

void suite::calibrate(entry& e) const {
    // Preparing may take longer than what is measured, the queueing of a million waiters above all.
    constexpr long preparation = 10;
    using nanoseconds = std::chrono::duration<double, std::nano>;
    const double target = nanoseconds(settings_.each).count();
    double whole = 0;
    measurement m;
    for (long operations = e.what.size == 0 ? 1000 : 1; whole < target / 10;
         operations = 10 * m.operations) {
        const auto start = steady_clock::now();
        m = e.what.run(operations);
        whole = nanoseconds(steady_clock::now() - start).count();
    }
    const double fit = std::min(
        target / nanoseconds_each(m),
        preparation * target * static_cast<double>(m.operations) / whole);
    e.operations = std::max(1L, static_cast<long>(fit));
    e.every = whole > 4 * preparation * target ? 4 : whole > preparation * target ? 2 : 1;
}

void suite::run(std::ostream& progress) {
    std::mt19937 random(settings_.seed);
    progress << entries_.size() << " cases, " << settings_.rounds << " rounds, seed "
             << settings_.seed << std::endl;
    const auto start = steady_clock::now();
    auto told = start - std::chrono::hours(1);
    const auto tell = [&](const std::string& round, std::size_t done, const bench_case& c) {
        const auto now = steady_clock::now();
        if (now - told < std::chrono::milliseconds(500))
            return;
        told = now;
        progress << std::chrono::duration_cast<std::chrono::seconds>(now - start).count() << " s, "
                 << round << ", case " << done << " of " << entries_.size() << ": " << c.row << ", "
                 << c.who << "      \r" << std::flush;
    };

    std::size_t calibrated = 0;
    for (entry& e : entries_) {
        tell("calibrating", ++calibrated, e.what);
        calibrate(e);
    }
    std::vector<std::size_t> order(entries_.size());
    std::iota(order.begin(), order.end(), std::size_t(0));
    for (int round = 0; round < settings_.rounds; ++round) {
        const std::string name =
            "round " + std::to_string(round + 1) + " of " + std::to_string(settings_.rounds);
        std::shuffle(order.begin(), order.end(), random);
        std::size_t done = 0;
        for (const std::size_t i : order) {
            entry& e = entries_[i];
            tell(name, ++done, e.what);
            e.nanoseconds.push_back(
                round % e.every != 0 ? std::numeric_limits<double>::quiet_NaN()
                                     : nanoseconds_each(e.what.run(e.operations)));
        }
    }
    progress << '\n';
}

const suite::entry* suite::base_of(const entry& e) const {
    for (const entry& candidate : entries_) {
        if (candidate.what.row == e.what.base)
            return &candidate;
    }
    return nullptr;
}

void suite::write(std::ostream& results) const {
    results << "row\twho\texecutor\tsize\tns\tns lower\tns upper\tbase\tratio\tlower\tupper\n";
    for (const entry& e : entries_) {
        const bench_case& c = e.what;
        const quartiles ns = quartiles_of(e.nanoseconds);
        results << c.row << '\t' << c.who << '\t' << c.executor << '\t' << c.size << '\t'
                << ns.median << '\t' << ns.lower << '\t' << ns.upper << '\t' << c.base;
        std::vector<double> ratios;
        if (const entry* base = base_of(e)) {
            for (std::size_t round = 0; round < e.nanoseconds.size(); ++round)
                ratios.push_back(e.nanoseconds[round] / base->nanoseconds[round]);
        } else {
            ratios.assign(1, 1.0);
        }
        const quartiles q = quartiles_of(ratios);
        results << '\t' << q.median << '\t' << q.lower << '\t' << q.upper << '\n';
    }
}

bool pin_to_processor(int i) {
    static const cpu_set_t allowed = [] {
        cpu_set_t set;
        CPU_ZERO(&set);
        sched_getaffinity(0, sizeof(set), &set);
        return set;
    }();
    for (int processor = 0; processor < CPU_SETSIZE; ++processor) {
        if (!CPU_ISSET(static_cast<std::size_t>(processor), &allowed) || i-- > 0)
            continue;
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(static_cast<std::size_t>(processor), &one);
        return pthread_setaffinity_np(pthread_self(), sizeof(one), &one) == 0;
    }
    return false;
}

struct second_thread::shared {
    std::mutex mutex;
    std::condition_variable changed;
    const std::function<void()>* work = nullptr; // guarded by mutex
    bool stop = false;                           // guarded by mutex
    std::atomic<bool> ready{false}, go{false}, done{false};
    std::thread thread;

    static inline shared* instance = nullptr;

    void loop() {
        pin_to_processor(1);
        std::unique_lock<std::mutex> lock(mutex);
        for (;;) {
            changed.wait(lock, [&] { return stop || work != nullptr; });
            if (stop)
                return;
            const auto* const f = std::exchange(work, nullptr);
            ready = true;
            await(go);
            (*f)();
            done = true;
        }
    }

    static void await(std::atomic<bool>& flag) {
        while (!flag.exchange(false))
            std::this_thread::yield();
    }
};

second_thread::second_thread() : shared_(new shared) {
    shared_->thread = std::thread([this] { shared_->loop(); });
    shared::instance = shared_;
}

second_thread::~second_thread() {
    shared::instance = nullptr;
    {
        std::lock_guard<std::mutex> lock(shared_->mutex);
        shared_->stop = true;
    }
    shared_->changed.notify_all();
    shared_->thread.join();
    delete shared_;
}

bool second_thread::exists() noexcept {
    return shared::instance != nullptr;
}

measurement second_thread::together(const std::function<void()>& f, long operations) {
    shared& s = *shared::instance;
    {
        std::lock_guard<std::mutex> lock(s.mutex);
        s.work = &f;
    }
    s.changed.notify_one();
    shared::await(s.ready); // its waking up is not part of what is timed
    const auto start = steady_clock::now();
    s.go = true;
    f();
    shared::await(s.done);
    return {steady_clock::now() - start, operations};
}

} // namespace bench
