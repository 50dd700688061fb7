// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// What the subjects are made to do. Each function performs at least so many operations, and times
// them without their preparation.

#include "harness.hpp"
#include "places.hpp"
#include "subjects.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/system_executor.hpp>
#include <boost/asio/use_awaitable.hpp>
#if BOOST_VERSION >= 108200
#include <boost/asio/bind_immediate_executor.hpp>
#endif

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

namespace bench {

/// A chain: its handler gives back and acquires again, so many times.
template <typename Subject, typename Binding = unbound>
struct chain {
    Subject* subject;
    long left;
    [[no_unique_address]] Binding binding = {};

    void operator()(error_code, auto... held) {
        subject->release(held...);
        if (left-- > 0)
            subject->acquire(binding(chain(*this)));
    }
};

/// One chain never waits; more chains than permits make every acquire wait for a hand-over.
template <typename Subject, typename Place = on_context>
measurement
run_chains(long operations, int chains, int permits, int threads = 1, int hint = default_hint) {
    Place place(hint);
    Subject subject(place.executor(), permits);
    const long laps = operations / chains + 1;
    for (int i = 0; i < chains; ++i) {
        auto binding = place.next_binding();
        subject.acquire(binding(chain<Subject, decltype(binding)>{&subject, laps - 1, binding}));
    }
    return place.run(laps * chains, threads);
}

template <typename Subject, typename Token>
asio::awaitable<void> chain_coroutine(Subject& subject, Token token, long laps) {
    while (laps-- > 0) {
        if constexpr (Subject::gives_permits) {
            auto held = co_await subject.acquire(token);
            subject.release(held);
        } else {
            co_await subject.acquire(token);
            subject.release();
        }
    }
}

template <typename Subject, typename Token>
measurement run_coroutines(
    long operations, int chains, int permits, Token token, int threads = 1,
    int hint = default_hint) {
    asio::io_context context(hint);
    Subject subject(context.get_executor(), permits);
    const long laps = operations / chains + 1;
    for (int i = 0; i < chains; ++i)
        asio::co_spawn(context, chain_coroutine(subject, token, laps), asio::detached);
    return timed_run(context, laps * chains, threads);
}

#if BOOST_VERSION >= 108200
/// A free permit, handed out by the initiating function to a handler that asks for that. It is
/// given back after the handler: channels call such a handler with their mutex held.
template <typename Subject>
measurement run_immediately(long operations) {
    asio::io_context context;
    Subject subject(context.get_executor(), 1);
    long calls = 0;
    const auto start = thread_clock::now();
    for (long i = 0; i < operations; ++i) {
        subject.acquire(asio::bind_immediate_executor(
            asio::system_executor(), [&calls](error_code) { ++calls; }));
        subject.release();
    }
    return {thread_clock::now() - start, calls};
}
#endif

template <typename Subject>
void try_and_release(Subject& subject, long times) {
    for (long i = 0; i < times; ++i) {
        if (subject.try_acquire())
            subject.release();
    }
}

template <typename Subject>
measurement run_tries(long operations, int permits, int threads = 1) {
    asio::io_context context;
    Subject subject(context.get_executor(), permits);
    if (threads == 2)
        return second_thread::together(
            [&] { try_and_release(subject, operations / 2 + 1); }, operations / 2 * 2 + 2);
    const auto start = thread_clock::now();
    try_and_release(subject, operations);
    return {thread_clock::now() - start, operations};
}

/// Counts calls.
struct counting_handler {
    long* calls;
    void operator()(error_code, const auto&...) const { ++*calls; }
};

/// The order in which things are done to those who wait, in terms of their places in the queue.
enum class succession { in_order, reverse, random };

inline std::vector<std::size_t> places(std::size_t n, succession order) {
    std::vector<std::size_t> result(n);
    std::iota(result.begin(), result.end(), std::size_t(0));
    if (order == succession::reverse)
        std::reverse(result.begin(), result.end());
    if (order == succession::random)
        std::shuffle(result.begin(), result.end(), std::mt19937(7));
    return result;
}

/// Cancels `sample` of n waiters through their slots, one by one, and runs their handlers.
template <typename Subject>
measurement
run_cancellations(long operations, std::size_t n, succession order, std::size_t sample) {
    const std::vector<std::size_t> victims = places(n, order);
    measurement result;
    while (result.operations < operations) {
        std::vector<asio::cancellation_signal> signals(n);
        asio::io_context context;
        Subject subject(context.get_executor(), 0);
        long calls = 0;
        for (asio::cancellation_signal& signal : signals)
            subject.acquire(asio::bind_cancellation_slot(signal.slot(), counting_handler{&calls}));
        const auto start = thread_clock::now();
        for (std::size_t i = 0; i < sample; ++i)
            signals[victims[i]].emit(asio::cancellation_type::terminal);
        context.poll();
        result += {thread_clock::now() - start, calls};
    }
    return result;
}

/// Whether the handlers that a release submits are part of what is timed.
enum class timing { call, call_and_handlers };

/// Grants n waiters with one call.
template <typename Subject>
measurement run_mass_release(long operations, std::size_t n, timing what) {
    measurement result;
    while (result.operations < operations) {
        asio::io_context context;
        Subject subject(context.get_executor(), 0);
        long calls = 0;
        for (std::size_t i = 0; i < n; ++i)
            subject.acquire(counting_handler{&calls});
        const auto start = thread_clock::now();
        subject.release_many(static_cast<std::ptrdiff_t>(n));
        auto end = thread_clock::now();
        context.poll();
        if (what == timing::call_and_handlers)
            end = thread_clock::now();
        result += {end - start, calls};
    }
    return result;
}

} // namespace bench
