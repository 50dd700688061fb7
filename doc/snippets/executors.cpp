// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore.hpp>

#include <support/handlers.hpp>

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>

#if ASIO_SEMAPHORE_HAS_IMMEDIATE_EXECUTOR
#include <boost/asio/bind_immediate_executor.hpp>
#endif

#include <atomic>
#include <thread>
#include <utility>

namespace {

namespace asio = boost::asio;
using asio::awaitable;
using asio::use_awaitable;
using asio_semaphore::async_semaphore;
using asio_semaphore::basic_async_semaphore;
using asio_semaphore::permit;
using boost::system::error_code;

} // namespace

BOOST_AUTO_TEST_SUITE(doc_executors)

BOOST_AUTO_TEST_CASE(the_handlers_executor) {
    asio::io_context context;
    async_semaphore limit(context, 1, 1);
    bool in_strand = false;
    //! [strand]
    auto strand = asio::make_strand(context);
    limit.async_acquire_permit(asio::bind_executor(strand, [&](error_code, permit) {
        in_strand = strand.running_in_this_thread(); // true
    }));
    //! [strand]
    context.run();
    BOOST_TEST(in_strand);
}

BOOST_AUTO_TEST_CASE(from_any_thread) {
    //! [threads]
    asio::thread_pool pool(4);
    async_semaphore limit(pool, 3, 3);
    std::atomic<int> running{0}, most{0};
    for (int i = 0; i < 1000; ++i)
        limit.async_acquire_permit([&](error_code, permit) {
            const int now = ++running;
            for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
            }
            --running;
        });
    pool.join();
    BOOST_TEST(most <= 3);
    BOOST_TEST(limit.available() == 3);
    //! [threads]
}

BOOST_AUTO_TEST_CASE(what_came_before_the_release_is_seen_after_the_acquire) {
    //! [memory]
    asio::io_context context;
    async_semaphore ready(context, 0);
    int value = 0; // neither atomic nor guarded by a lock

    std::thread producer([&] {
        value = 42;
        ready.release();
    });
    int seen = 0;
    ready.async_acquire([&](error_code) { seen = value; });
    context.run(); // does not return earlier: a waiting operation is outstanding work
    BOOST_TEST(seen == 42);
    //! [memory]
    producer.join();
}

BOOST_AUTO_TEST_CASE(a_semaphore_of_another_context) {
    //! [two_contexts]
    asio::io_context one, other;
    async_semaphore limit(one, 1, 1);
    permit held = limit.try_acquire_permit();
    bool called = false;
    limit.async_acquire_permit(
        asio::bind_executor(other.get_executor(), [&](error_code, permit) { called = true; }));
    held.reset();
    one.poll();
    BOOST_TEST(!called);
    other.run(); // where the handler belongs
    BOOST_TEST(called);
    //! [two_contexts]
}

BOOST_AUTO_TEST_CASE(an_idle_semaphore_keeps_nothing_running) {
    asio::io_context context;
    async_semaphore limit(context, 1, 1);
    const permit held = limit.try_acquire_permit();
    context.run();
    BOOST_TEST(context.stopped());
}

BOOST_AUTO_TEST_CASE(the_executors_own_type) {
    //! [typed]
    asio::io_context context;
    basic_async_semaphore<asio::io_context::executor_type> typed(context, 1, 1);
    async_semaphore erased(std::move(typed)); // as with Asio's sockets and timers
    BOOST_TEST(erased.available() == 1);
    //! [typed]
}

#if ASIO_SEMAPHORE_HAS_IMMEDIATE_EXECUTOR

BOOST_AUTO_TEST_CASE(immediately) {
    //! [immediate]
    asio::io_context context;
    async_semaphore limit(context, 1, 1);
    bool called = false;
    limit.async_acquire_permit(asio::bind_immediate_executor(
        asio::system_executor(), [&](error_code, permit) { called = true; }));
    BOOST_TEST(called); // a permit was free, and the handler has an immediate executor
    //! [immediate]
}

#endif

BOOST_AUTO_TEST_SUITE_END()
