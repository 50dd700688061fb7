// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore/detail/state/threads.hpp>

#include <boost/test/unit_test.hpp>

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

namespace {

using asio_semaphore::detail::threads;
using namespace std::chrono_literals;

void work_for(std::chrono::microseconds time) {
    const auto end = threads::now() + time;
    while (threads::now() < end) {
    }
}

} // namespace

BOOST_AUTO_TEST_SUITE(state_threads)

// If the mutex were only unlocked and locked again, the other thread would hardly ever find it
// unlocked: it looks rarely.
BOOST_AUTO_TEST_CASE(between_two_batches_another_thread_gets_the_mutex) {
    constexpr int wanted = 100, most_batches = 20000;
    threads::mutex mutex;
    std::atomic<bool> ends{false};
    std::atomic<int> batches{0}, got{0};
    std::thread other([&] {
        for (int seen = 0; !ends;) {
            if (batches == seen) {
                std::this_thread::yield();
                continue;
            }
            const std::lock_guard<threads::mutex> lock(mutex);
            ++got;
            seen = batches;
        }
    });
    {
        const std::lock_guard<threads::mutex> lock(mutex);
        while (got < wanted && batches < most_batches) {
            ++batches;
            work_for(100us); // longer than a thread spins and yields
            mutex.let_others_in();
        }
        BOOST_TEST(got >= wanted);
        BOOST_TEST_MESSAGE(batches << " batches");
    }
    ends = true;
    other.join();
}

// Without a contender, a call that ends a million waiters must not wait between its batches.
BOOST_AUTO_TEST_CASE(without_another_thread_nobody_is_waited_for) {
    struct impatient : threads {
        using mutex = asio_semaphore::detail::brief_mutex<impatient>;
        static void back_off(unsigned) noexcept { BOOST_TEST_REQUIRE(false, "waits for nobody"); }
    };
    impatient::mutex mutex;
    const std::lock_guard<impatient::mutex> lock(mutex);
    for (int i = 0; i < 1000; ++i)
        mutex.let_others_in();
}

BOOST_AUTO_TEST_SUITE_END()
