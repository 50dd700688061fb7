// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// How long a thread that ends very many waiters delays other threads: the longest processor time
// for which it holds a lock of the state layer, and how many waiters leave the queue under one
// lock. Fails if these are too many; the time is only reported. Then the longest time that an
// acquire by another thread takes meanwhile. Writes the results to standard output, separated by
// tabs.
//
//   bench_lock_time [--quick]

#include <asio_semaphore/async_semaphore.hpp>

#include <boost/asio/io_context.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string_view>
#include <thread>

namespace {

namespace asio = boost::asio;
using asio_semaphore::async_semaphore;
using boost::system::error_code;

/// Only a release or a reduce takes more waiters than this under one lock.
constexpr std::size_t at_a_time = 1024;

struct world {
    std::unique_ptr<asio::io_context> context = std::make_unique<asio::io_context>();
    std::unique_ptr<async_semaphore> semaphore = std::make_unique<async_semaphore>(*context, 0);
};

enum class deadline { without, with };

struct act {
    const char* name;
    void (*perform)(world&);
    bool at_once = false;
};

const act acts[] = {
    {"cancel",
     [](world& w) {
         w.semaphore->cancel();
     }},
    {"close",
     [](world& w) {
         w.semaphore->close();
     }},
    {"destroy the semaphore",
     [](world& w) {
         w.semaphore.reset();
     }},
    {"destroy the context",
     [](world& w) {
         w.context.reset();
     }},
    {"release(N)",
     [](world& w) { w.semaphore->release(static_cast<std::ptrdiff_t>(w.semaphore->waiting())); },
     true},
};

void perform(const act& a, long waiters, deadline d, bench::lock_watch& watch) {
    world w;
    for (long i = 0; i < waiters; ++i) {
        if (d == deadline::with)
            w.semaphore->async_acquire_for(std::chrono::hours(1), [](error_code) {});
        else
            w.semaphore->async_acquire([](error_code) {});
    }
    // A semaphore that is being destroyed still answers this.
    watch.waiting = [&semaphore = *w.semaphore] {
        return semaphore.waiting();
    };
    bench::lock_watch::instance = &watch;
    a.perform(w);
    bench::lock_watch::instance = nullptr;
    if (w.context)
        w.context->run();
}

/// Returns the longest time that an acquire takes while another thread cancels.
std::chrono::nanoseconds longest_acquire(long waiters) {
    using clock = std::chrono::steady_clock;
    world w;
    const auto acquire = [&w] {
        w.semaphore->async_acquire([](error_code) {});
    };
    for (long i = 0; i < waiters; ++i)
        acquire();
    std::atomic<bool> begins{false}, ends{false};
    std::chrono::nanoseconds longest{};
    std::thread other([&] {
        bench::pin_to_processor(1);
        while (!ends) {
            const auto from = clock::now();
            acquire();
            longest = std::max<std::chrono::nanoseconds>(longest, clock::now() - from);
            begins = true;
            // Not so often that the queue grows while it is cancelled.
            for (const auto next = clock::now() + std::chrono::microseconds(20);
                 clock::now() < next;) {
            }
        }
    });
    while (!begins)
        std::this_thread::yield();
    w.semaphore->cancel();
    ends = true;
    other.join();
    w.semaphore->cancel();
    w.context->run();
    return longest;
}

} // namespace

int main(int argc, char** argv) {
    const bool quick = argc > 1 && std::string_view(argv[1]) == "--quick";
    const long waiters = quick ? 10000 : 1000000;
    const int rounds = quick ? 1 : 3;
    bench::pin_to_processor(0);

    bool within_limits = true;
    std::cout << "what\twaiting\tus\tat a time\n";
    for (const deadline d : {deadline::without, deadline::with}) {
        for (const act& a : acts) {
            bench::lock_watch least{std::chrono::hours(1), 0, {}};
            for (int i = 0; i < rounds; ++i) {
                bench::lock_watch round;
                perform(a, waiters, d, round);
                least.longest = std::min(least.longest, round.longest);
                least.most = std::max(least.most, round.most);
            }
            std::cout << a.name << (d == deadline::with ? ", with deadlines" : "") << '\t'
                      << waiters << '\t'
                      << std::chrono::duration<double, std::micro>(least.longest).count() << '\t'
                      << least.most << '\n';
            if (!a.at_once && least.most > at_a_time) {
                std::cerr << a.name << ": " << least.most << " waiters go under one lock\n";
                within_limits = false;
            }
        }
    }
    if (std::thread::hardware_concurrency() > 1) {
        auto least = std::chrono::nanoseconds::max();
        for (int i = 0; i < rounds; ++i)
            least = std::min(least, longest_acquire(waiters));
        std::cout << "acquire by another thread during cancel\t" << waiters << '\t'
                  << std::chrono::duration<double, std::micro>(least).count() << "\t\n";
    }
    return within_limits ? EXIT_SUCCESS : EXIT_FAILURE;
}
