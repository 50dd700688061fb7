// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include "limiters.hpp"
#include "suite.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <string>

namespace bench {

namespace {

/// B0 on a context with a timer, as that of any server.
measurement run_posts_beside_a_timer(long operations) {
    asio::io_context context;
    asio::steady_timer timer(context, std::chrono::hours(1));
    timer.async_wait([](error_code) {});

    struct repost {
        asio::steady_timer& timer;
        asio::io_context::executor_type executor;
        long left;

        void operator()() {
            if (left-- > 0)
                asio::post(executor, repost(*this));
            else
                timer.cancel();
        }
    };
    asio::post(context, repost{timer, context.get_executor(), operations - 1});
    return timed_run(context, operations);
}

template <typename Executor>
void add_on(suite& s) {
    using ours = plain_limiter<Executor>;
    using patient = patient_limiter<Executor>;
    using by_hand = priority_queue_limiter<Executor>;
    const char* const executor = name_of(static_cast<Executor*>(nullptr));
    s.add({"L1", ours::name, executor, 0, "B0", [](long n) {
               return run_chains<ours>(n, 1, 1);
           }});
    s.add({"L1", by_hand::name, executor, 0, "B0", [](long n) {
               return run_chains<by_hand>(n, 1, 1);
           }});
    s.add({"L1 coroutine", ours::name, executor, 0, "B2", [](long n) {
               return run_coroutines<ours>(n, 1, 1, asio::deferred);
           }});
    s.add({"L2", ours::name, executor, 0, "CAS", [](long n) {
               return run_admissions<ours>(n, roomy_options());
           }});
    s.add({"L2 gradient_limit", ours::name, executor, 0, "CAS", [](long n) {
               return run_admissions<ours>(n, learning_options());
           }});
    s.add({"L3", ours::name, executor, 0, "B0K", [](long n) {
               return run_chains<patient>(n, 1000, 1);
           }});
    s.add({"L3", by_hand::name, executor, 0, "B0K", [](long n) {
               return run_chains<by_hand>(n, 1000, 1);
           }});
    s.add({"L3 keys", ours::name, executor, 0, "B0K", [](long n) {
               return run_keyed_chains<patient>(n, 1000, 1);
           }});
    s.add({"L3 deadlines", ours::name, executor, 0, "B0T", [](long n) {
               return run_chains<ours>(n, 1000, 1);
           }});
    s.add({"L4", ours::name, executor, 0, "B0", [](long n) {
               return run_refusals<ours>(n, patient_options(100));
           }});
    s.add({"L4 deadlines", ours::name, executor, 0, "B0T", [](long n) {
               return run_refusals<ours>(n, roomy_options(100));
           }});
    if (!second_thread::exists())
        return;
    for (const int limit : {1, 10}) {
        const std::string row = "L7/" + std::to_string(limit);
        s.add({row, ours::name, executor, 0, "B6", [limit](long n) {
                   return run_chains<patient>(n, 1000, limit, 2);
               }});
        s.add({row, by_hand::name, executor, 0, "B6", [limit](long n) {
                   return run_chains<by_hand>(n, 1000, limit, 2);
               }});
    }
}

} // namespace

void add_limiters(suite& s) {
    s.add({"B0T", "post, with a timer set", "io_context", 0, "", run_posts_beside_a_timer});
    add_on<asio::any_io_executor>(s);
}

} // namespace bench
