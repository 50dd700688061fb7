// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// Counts heap blocks and bytes exactly: of an uncontended cycle and a hand-over in the steady
// state, of a waiter, and of a semaphore. Fails if the library exceeds its limits. Writes the
// results to standard output, separated by tabs.

#include "counting_malloc.hpp"
#include "limiters.hpp"
#include "peers.hpp"
#include "workloads.hpp"

#include <asio_semaphore/with_permit.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace bench;
using executor = asio::any_io_executor;

bool within_limits = true;

/// @param goal negative for a peer, which has no goal
/// @param limit what the value must not exceed; without one, the goal
void report(
    const std::string& what, const char* who, double value, double goal = -1, double limit = -1) {
    std::cout << what << '\t' << who << '\t' << value;
    if (goal >= 0) {
        std::cout << "\tgoal " << goal << (value > goal ? ", not reached" : "");
        within_limits = within_limits && value <= std::max(goal, limit);
    }
    std::cout << '\n';
}

/// Returns the heap blocks per operation, from the difference between two runs.
template <typename Run>
double blocks_each(Run run) {
    constexpr long few = 5000, many = 25000;
    run(few); // allocates whatever is allocated once per program
    const heap_use start = heap_taken();
    run(few);
    const heap_use between = heap_taken();
    run(many);
    const heap_use end = heap_taken();
    return static_cast<double>((end - between).blocks - (between - start).blocks) / (many - few);
}

/// Returns what one waiter in the queue allocates. @p acquire starts it, with a handler of two
/// words, the size of one bound to an object.
template <typename Subject, typename Acquire>
heap_use waiter(Acquire acquire) {
    constexpr long waiters = 1000;
    asio::io_context context;
    Subject subject(context.get_executor(), 0);
    acquire(subject, chain<Subject>{&subject, 0});
    const heap_use start = heap_taken();
    for (long i = 0; i < waiters; ++i)
        acquire(subject, chain<Subject>{&subject, 0});
    const heap_use taken = heap_taken() - start;
    subject.release_many(1);
    if (context.run() == 0)
        within_limits = false;
    return {taken.blocks / waiters, taken.bytes / waiters};
}

/// Returns the bytes of the object and its heap blocks, with an empty queue. It measures neither
/// the first object on a context, which creates the service, nor one for which the list of all
/// objects has to grow.
template <typename Semaphore, typename... Args>
long size_of(Args... args) {
    asio::io_context context;
    long bytes = 0;
    std::unique_ptr<Semaphore> semaphores[6];
    for (auto& semaphore : semaphores) {
        const heap_use start = heap_taken();
        semaphore = std::make_unique<Semaphore>(context.get_executor(), args...);
        bytes = (heap_taken() - start).bytes;
    }
    return bytes;
}

template <typename Subject>
void measure_handlers(bool ours) {
    const double none = ours ? 0 : -1;
    report(
        "W9 blocks, uncontended", Subject::name,
        blocks_each([](long n) { run_chains<Subject>(n, 1, 1); }), none);
    report(
        "W9 blocks, hand-over", Subject::name,
        blocks_each([](long n) { run_chains<Subject>(n, 1000, 1); }), none);
    report(
        "W9 blocks, hand-over, a strand", Subject::name,
        blocks_each([](long n) { run_chains<Subject, on_strand>(n, 1000, 1); }), none);
    const auto one = waiter<Subject>([](Subject& s, auto handler) { s.acquire(handler); });
    report("W9 blocks, waiter", Subject::name, static_cast<double>(one.blocks), ours ? 1 : -1);
    report("W9 bytes, waiter", Subject::name, static_cast<double>(one.bytes), ours ? 128 : -1);
}

template <typename Subject>
void measure_deadlines(bool ours) {
    const auto one = waiter<Subject>(
        [](Subject& s, auto handler) { s.acquire_for(std::chrono::hours(1), handler); });
    report("S7 blocks, waiter with a deadline", Subject::name, static_cast<double>(one.blocks));
    report(
        "S7 bytes, waiter with a deadline", Subject::name, static_cast<double>(one.bytes),
        ours ? 272 : -1);
}

template <typename Subject>
void measure_coroutines(bool ours) {
    const double none = ours ? 0 : -1;
    report(
        "W9 blocks, uncontended, coroutine", Subject::name,
        blocks_each([](long n) { run_coroutines<Subject>(n, 1, 1, asio::deferred); }), none);
    report(
        "W9 blocks, hand-over, coroutine", Subject::name,
        blocks_each([](long n) { run_coroutines<Subject>(n, 1000, 1, asio::deferred); }), none);
}

struct large_canceller {
    char memory[200];
    void operator()(asio::cancellation_type_t) {}
};

/// Returns the heap blocks of one of many operations that wait for a timer, each with a free
/// permit.
template <typename Start>
double blocks_of_a_burst(Start start) {
    constexpr std::size_t operations = 1000;
    asio::io_context context;
    asio_semaphore::async_semaphore semaphore(context, operations);
    std::vector<asio::steady_timer> timers;
    for (std::size_t i = 0; i < operations; ++i)
        timers.emplace_back(context, asio::steady_timer::time_point::min());
    std::vector<asio::cancellation_signal> signals(operations);
    for (auto& signal : signals) // each has its own memory for the handler in its slot
        signal.slot().emplace<large_canceller>();
    long ended = 0;
    const heap_use start_of_burst = heap_taken();
    for (std::size_t i = 0; i < operations; ++i)
        start(semaphore, timers[i], signals[i].slot(), ended);
    context.run();
    const heap_use taken = heap_taken() - start_of_burst;
    if (ended != operations)
        within_limits = false;
    return static_cast<double>(taken.blocks) / operations;
}

void measure_with_permit() {
    using asio_semaphore::permit;
    using asio_semaphore::with_permit;
    const auto by_hand = blocks_of_a_burst([](auto& semaphore, auto& timer, auto, long& ended) {
        semaphore.async_acquire_permit([&](error_code, permit held) {
            timer.async_wait([&ended, p = std::move(held)](error_code) mutable {
                p.reset();
                ++ended;
            });
        });
    });
    const auto plain = blocks_of_a_burst([](auto& semaphore, auto& timer, auto, long& ended) {
        timer.async_wait(with_permit(semaphore, [&ended](error_code) { ++ended; }));
    });
    const auto with_slot =
        blocks_of_a_burst([](auto& semaphore, auto& timer, auto slot, long& ended) {
            timer.async_wait(with_permit(
                semaphore, asio::bind_cancellation_slot(slot, [&ended](error_code) { ++ended; })));
        });
    const auto slot_by_hand =
        blocks_of_a_burst([](auto& semaphore, auto& timer, auto slot, long& ended) {
            semaphore.async_acquire_permit(
                asio::bind_cancellation_slot(slot, [&ended, &timer, slot](error_code, permit held) {
                    timer.async_wait(asio::bind_cancellation_slot(
                        slot, [&ended, p = std::move(held)](error_code) mutable {
                            p.reset();
                            ++ended;
                        }));
                }));
        });
    const char* const who = "with_permit, next to by hand";
    report("W9 blocks more", who, plain - by_hand, 0);
    report("W9 blocks more, with a slot", who, with_slot - slot_by_hand, 1);
}

/// L5, L6
void measure_limiter() {
    using subject = plain_limiter<executor>;
    const auto report_blocks = [](const char* what, double blocks) {
        report(what, subject::name, blocks, 0);
    };
    report_blocks(
        "L5 blocks, uncontended", blocks_each([](long n) { run_chains<subject>(n, 1, 1); }));
    report_blocks("L5 blocks, uncontended, coroutine", blocks_each([](long n) {
                      run_coroutines<subject>(n, 1, 1, asio::deferred);
                  }));
    report_blocks(
        "L5 blocks, hand-over", blocks_each([](long n) { run_chains<subject>(n, 1000, 1); }));
    report_blocks("L5 blocks, hand-over, 1,000 keys", blocks_each([](long n) {
                      run_keyed_chains<subject>(n, 1000, 1);
                  }));
    report_blocks("L5 blocks, with gradient_limit", blocks_each([](long n) {
                      run_admissions<subject>(n, learning_options());
                  }));
    report_blocks("L5 blocks, refusal", blocks_each([](long n) {
                      run_refusals<subject>(n, roomy_options(100));
                  }));
    report_blocks("L6 blocks, a key after the other", blocks_each([](long n) {
                      asio::io_context context;
                      subject limiter(context.get_executor(), 10);
                      run_new_keys(limiter, 0, n);
                  }));

    constexpr long waiters = 1000;
    asio::io_context context;
    subject limiter(context.get_executor(), 1);
    admission held = limiter.try_acquire();
    limiter.acquire(chain<subject>{&limiter, 0});
    const heap_use start = heap_taken();
    for (long i = 0; i < waiters; ++i)
        limiter.acquire(chain<subject>{&limiter, 0});
    const heap_use taken = heap_taken() - start;
    held.finish();
    if (context.run() <= waiters)
        within_limits = false;
    report("L5 blocks, waiter with a deadline", subject::name, double(taken.blocks) / waiters, 1);
    report("L5 bytes, waiter with a deadline", subject::name, double(taken.bytes) / waiters, 256);
}

} // namespace

int main() {
    constexpr bool ours = true, peer = false;

    measure_handlers<plain_semaphore<executor>>(ours);
    measure_coroutines<plain_semaphore<executor>>(ours);
    measure_deadlines<plain_semaphore<executor>>(ours);
    measure_handlers<permit_semaphore<executor>>(ours);
    measure_deadlines<permit_semaphore<executor>>(ours);
    measure_coroutines<permit_semaphore<executor>>(ours);
    measure_with_permit();
    measure_limiter();
    measure_handlers<channel<executor>>(peer);
    measure_coroutines<channel<executor>>(peer);
    measure_handlers<concurrent_channel<executor>>(peer);
#if BOOST_VERSION >= 108600
    measure_deadlines<concurrent_channel<executor>>(peer);
#endif
    measure_handlers<timer_semaphore<executor>>(peer);
    measure_coroutines<timer_semaphore<executor>>(peer);
    measure_handlers<mutex_semaphore<executor>>(peer);

    report(
        "W10 bytes", plain_semaphore<executor>::name,
        static_cast<double>(size_of<asio_semaphore::async_semaphore>(1)), 152, 160);
    report(
        "W10 bytes", channel<executor>::name,
        static_cast<double>(
            size_of<asio::experimental::channel<executor, void(error_code)>>(1000)));
    report(
        "W10 bytes", concurrent_channel<executor>::name,
        static_cast<double>(
            size_of<asio::experimental::concurrent_channel<executor, void(error_code)>>(1000)));
    report(
        "W10 bytes", timer_semaphore<executor>::name,
        static_cast<double>(size_of<timer_semaphore<executor>>(1)));
    report(
        "W10 bytes", mutex_semaphore<executor>::name,
        static_cast<double>(size_of<mutex_semaphore<executor>>(1)));

    if (!within_limits)
        std::cerr << "above the limits\n";
    return within_limits ? EXIT_SUCCESS : EXIT_FAILURE;
}
