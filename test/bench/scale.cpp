// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// Whether an operation costs the same however many wait: up to a million waiters of one semaphore,
// queued, then granted or cancelled in random order, and many semaphores in one process. The
// results go to standard output, tab separated.
//
//   bench_scale [--quick]

#include "limiters.hpp"

#include <malloc.h>

#include <cstdlib>
#include <iostream>
#include <string_view>
#include <vector>

namespace {

using namespace bench;
using semaphore = asio_semaphore::async_semaphore;

double nanoseconds(thread_clock::duration time, long operations) {
    return std::chrono::duration<double, std::nano>(time).count() / static_cast<double>(operations);
}

/// What the process has from the heap, in bytes, with the heap's own overhead.
double heap_bytes() {
    const auto info = mallinfo2();
    return static_cast<double>(info.uordblks + info.hblkhd);
}

/// From here on so many bytes come from what the process has, not fresh from the system: that may
/// cost more than all that is done with them.
void have_memory(std::size_t bytes) {
    mallopt(M_MMAP_MAX, 0);
    mallopt(M_TRIM_THRESHOLD, -1);
    const std::vector<char> touched(bytes, 1);
    keep(touched.back());
}

bool complete = true;

void expect(long calls, long waiters) {
    if (calls != waiters) {
        std::cerr << calls << " handlers called of " << waiters << '\n';
        complete = false;
    }
}

/// @param acquire starts an operation
template <typename Acquire>
void grant(const char* what, long waiters, Acquire acquire) {
    asio::io_context context;
    semaphore sem(context, 0);
    long calls = 0;
    const double before = heap_bytes();
    const auto start = thread_clock::now();
    for (long i = 0; i < waiters; ++i)
        acquire(sem, counting_handler{&calls});
    const auto queued = thread_clock::now();
    const double memory = heap_bytes() - before;
    sem.release(waiters);
    const auto released = thread_clock::now();
    context.run();
    const auto end = thread_clock::now();
    expect(calls, waiters);
    std::cout << what << '\t' << waiters << '\t' << nanoseconds(queued - start, waiters) << '\t'
              << nanoseconds(released - queued, waiters) << '\t'
              << nanoseconds(end - released, waiters) << '\t'
              << memory / static_cast<double>(waiters) << '\n';
}

void cancel(long waiters) {
    const auto order = places(static_cast<std::size_t>(waiters), succession::random);
    std::vector<asio::cancellation_signal> signals(order.size());
    asio::io_context context;
    semaphore sem(context, 0);
    long calls = 0;
    const double before = heap_bytes();
    const auto start = thread_clock::now();
    for (auto& signal : signals)
        sem.async_acquire(asio::bind_cancellation_slot(signal.slot(), counting_handler{&calls}));
    const auto queued = thread_clock::now();
    const double memory = heap_bytes() - before;
    for (const std::size_t i : order)
        signals[i].emit(asio::cancellation_type::terminal);
    const auto cancelled = thread_clock::now();
    context.run();
    const auto end = thread_clock::now();
    expect(calls, waiters);
    std::cout << "cancelled at random\t" << waiters << '\t' << nanoseconds(queued - start, waiters)
              << '\t' << nanoseconds(cancelled - queued, waiters) << '\t'
              << nanoseconds(end - cancelled, waiters) << '\t'
              << memory / static_cast<double>(waiters) << '\n';
}

/// Every semaphore has one holder and one that waits.
void many(long semaphores) {
    asio::io_context context;
    long calls = 0;
    const double before = heap_bytes();
    const auto start = thread_clock::now();
    std::vector<semaphore> sems;
    sems.reserve(static_cast<std::size_t>(semaphores));
    for (long i = 0; i < semaphores; ++i)
        sems.emplace_back(context, 1);
    const double memory = heap_bytes() - before;
    const auto made = thread_clock::now();
    for (auto& sem : sems) {
        sem.async_acquire(counting_handler{&calls});
        sem.async_acquire(counting_handler{&calls});
    }
    for (auto& sem : sems)
        sem.release();
    context.run();
    const auto used = thread_clock::now();
    sems.clear();
    const auto end = thread_clock::now();
    expect(calls, 2 * semaphores);
    std::cout << "semaphores\t" << semaphores << '\t' << nanoseconds(made - start, semaphores)
              << '\t' << nanoseconds(used - made, 2 * semaphores) << '\t'
              << nanoseconds(end - used, semaphores) << '\t'
              << memory / static_cast<double>(semaphores) << '\n';
}

/// L6: what an admission costs, so many keys having been seen already.
void keys(long seen) {
    constexpr long operations = 20000;
    asio::io_context context;
    plain_limiter<asio::any_io_executor> limiter(context.get_executor(), 10);
    run_new_keys(limiter, 0, seen);
    const double before = heap_bytes();
    const auto taken = run_new_keys(limiter, seen, operations);
    std::cout << "keys one after another\t" << seen << '\t' << nanoseconds(taken.time, operations)
              << '\t' << heap_bytes() - before << '\n';
}

} // namespace

int main(int argc, char** argv) {
    const bool quick = argc > 1 && std::string_view(argv[1]) == "--quick";
    const long largest = quick ? 10000 : 1000000;
    pin_to_processor(0);
    second_thread asleep;

    const auto plainly = [](semaphore& sem, auto handler) {
        sem.async_acquire(handler);
    };
    const auto with_deadline = [](semaphore& sem, auto handler) {
        sem.async_acquire_for(std::chrono::hours(1), handler);
    };

    std::cout << "what\tN\tns to queue\tns to grant or cancel\tns to run\tbytes each\n";
    // What is done for the first time in a process counts with the first hundred.
    for (long n = 100; n <= largest; n *= 10)
        grant("granted", n, plainly);
    for (long n = 100; n <= largest; n *= 10)
        grant("granted, with a deadline", n, with_deadline);
    for (long n = 1000; n <= largest; n *= 10)
        cancel(n);
    have_memory(static_cast<std::size_t>(largest) * 600);
    for (long n = 1000; n <= largest; n *= 10)
        grant("granted, memory at hand", n, plainly);
    for (long n = 1000; n <= largest; n *= 10)
        grant("granted, with a deadline, memory at hand", n, with_deadline);
    std::cout << "what\tN\tns to make\tns an acquire\tns to destroy\tbytes each\n";
    for (long n = 10; n <= 10000; n *= 10)
        many(n);
    std::cout << "what\tkeys seen\tns an admission (L6: the same within 20 %)\tbytes that stay\n";
    for (long n = 100; n <= largest; n *= 10)
        keys(n);
    return complete ? EXIT_SUCCESS : EXIT_FAILURE;
}
