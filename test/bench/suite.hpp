// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// The rows of the suite, for any subject; each capability is a function of its own, so that a
// subject need not have all of them.

#include "harness.hpp"
#include "workloads.hpp"

#include <algorithm>
#include <initializer_list>
#include <string>

namespace bench {

void add_baselines(suite& s);
void add_semaphores(suite& s);
void add_channels(suite& s);
void add_handmade(suite& s);
void add_limiters(suite& s);

inline const char* name_of(const asio::any_io_executor*) noexcept {
    return "any_io_executor";
}
inline const char* name_of(const asio::io_context::executor_type*) noexcept {
    return "io_context";
}

/// W1, W5, W6: handlers.
template <template <typename> class Subject, typename Executor>
void add_chains(suite& s, bool thread_safe) {
    using subject = Subject<Executor>;
    const char* const executor = name_of(static_cast<Executor*>(nullptr));
    s.add({"W1", subject::name, executor, 0, "B0", [](long n) {
               return run_chains<subject>(n, 1, 1);
           }});
    for (const int permits : {1, 10}) {
        const std::string suffix = "/" + std::to_string(permits);
        s.add({"W5" + suffix, subject::name, executor, 0, "B0K", [permits](long n) {
                   return run_chains<subject>(n, 1000, permits);
               }});
        if (thread_safe && second_thread::exists())
            s.add({"W6" + suffix, subject::name, executor, 0, "B6", [permits](long n) {
                       return run_chains<subject>(n, 1000, permits, 2);
                   }});
    }
}

/// W1, W5 in another place than on an io_context.
template <template <typename> class Subject, typename Place>
void add_chains_in(suite& s) {
    using subject = Subject<asio::any_io_executor>;
    s.add({"W1", subject::name, Place::name, 0, "B0", [](long n) {
               return run_chains<subject, Place>(n, 1, 1);
           }});
    s.add({"W5/1", subject::name, Place::name, 0, "B0K", [](long n) {
               return run_chains<subject, Place>(n, 1000, 1);
           }});
}
template <template <typename> class Subject>
void add_places(suite& s) {
    add_chains_in<Subject, on_strand>(s);
    add_chains_in<Subject, on_strands>(s);
    add_chains_in<Subject, on_pool>(s);
    add_chains_in<Subject, on_own_executor>(s);
}

/// W2, W5c: coroutines.
template <template <typename> class Subject, typename Executor>
void add_coroutines(suite& s) {
    using subject = Subject<Executor>;
    const char* const executor = name_of(static_cast<Executor*>(nullptr));
    s.add({"W2 deferred", subject::name, executor, 0, "B2", [](long n) {
               return run_coroutines<subject>(n, 1, 1, asio::deferred);
           }});
    s.add({"W2 use_awaitable", subject::name, executor, 0, "B2", [](long n) {
               return run_coroutines<subject>(n, 1, 1, asio::use_awaitable);
           }});
    for (const int permits : {1, 10})
        s.add(
            {"W5c/" + std::to_string(permits), subject::name, executor, 0, "B2", [permits](long n) {
                 return run_coroutines<subject>(n, 1000, permits, asio::deferred);
             }});
}

#if BOOST_VERSION >= 108200
/// W3
template <template <typename> class Subject, typename Executor>
void add_immediate(suite& s) {
    using subject = Subject<Executor>;
    s.add({"W3", subject::name, name_of(static_cast<Executor*>(nullptr)), 0, "CAS", [](long n) {
               return run_immediately<subject>(n);
           }});
}
#endif

/// W4, W11
template <template <typename> class Subject, typename Executor>
void add_tries(suite& s, bool thread_safe) {
    using subject = Subject<Executor>;
    const char* const executor = name_of(static_cast<Executor*>(nullptr));
    s.add({"W4", subject::name, executor, 0, "CAS", [](long n) {
               return run_tries<subject>(n, 1);
           }});
    if (thread_safe && second_thread::exists())
        s.add({"W11", subject::name, executor, 0, "CAS2", [](long n) {
                   return run_tries<subject>(n, 1000, 2);
               }});
}

/// W7. @param samples no more than so many of the waiters, where each costs O(N)
template <template <typename> class Subject, typename Executor>
void add_cancellations(suite& s, long max_size, long samples) {
    using subject = Subject<Executor>;
    const char* const executor = name_of(static_cast<Executor*>(nullptr));
    struct {
        const char* row;
        succession order;
    } const orders[] = {
        {"W7 in order", succession::in_order},
        {"W7 reverse", succession::reverse},
        {"W7 random", succession::random}};
    for (const auto& o : orders) {
        for (long size = 1000; size <= max_size; size *= 10) {
            const auto n = static_cast<std::size_t>(size);
            const auto sample = static_cast<std::size_t>(std::min(size, samples));
            s.add(
                {o.row, subject::name, executor, size, "B0K",
                 [n, sample, order = o.order](long operations) {
                     return run_cancellations<subject>(operations, n, order, sample);
                 }});
        }
    }
}

/// W8
template <template <typename> class Subject, typename Executor>
void add_mass_release(suite& s, long max_size) {
    using subject = Subject<Executor>;
    const char* const executor = name_of(static_cast<Executor*>(nullptr));
    for (long size = 1000; size <= max_size; size *= 10) {
        const auto n = static_cast<std::size_t>(size);
        s.add({"W8 call", subject::name, executor, size, "B0K", [n](long operations) {
                   return run_mass_release<subject>(operations, n, timing::call);
               }});
        s.add({"W8 with handlers", subject::name, executor, size, "B0K", [n](long operations) {
                   return run_mass_release<subject>(operations, n, timing::call_and_handlers);
               }});
    }
}

} // namespace bench
