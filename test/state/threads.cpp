// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore/detail/state/threads.hpp>

#include <boost/test/unit_test.hpp>

#include <atomic>
#include <chrono>
#include <thread>

namespace {

using asio_semaphore::detail::brief_mutex;
using asio_semaphore::detail::threads;
using asio_semaphore::detail::time_point;
using namespace std::chrono_literals;

/// The test decides when a thread that backs off goes on. The clock moves on with each look of the
/// main thread.
struct stepped : threads {
    using mutex = brief_mutex<stepped>;

    static time_point now() noexcept { return time_point(100us * looks.load()); }
    static void back_off(unsigned) noexcept {
        if (is_main) {
            ++looks;
            other_may_look = other_may_look || other_comes;
            while (other_comes && !other_has_left)
                std::this_thread::yield();
        } else {
            other_waits = true;
            while (!other_may_look)
                std::this_thread::yield();
        }
    }
    static void begin(bool comes) {
        looks = 0;
        other_comes = comes;
        other_waits = other_may_look = other_has_left = false;
        is_main = true;
    }

    inline static std::atomic<int> looks{0}; // of the main thread
    inline static std::atomic<bool> other_comes{false}, other_waits{false}, other_may_look{false},
        other_has_left{false};
    inline static thread_local bool is_main = false;
};

/// The main thread holds the mutex, and another thread waits for it.
struct contended {
    explicit contended(bool other_comes) {
        stepped::begin(other_comes);
        mutex.lock();
        other = std::thread([this] {
            mutex.lock();
            mutex.unlock();
            stepped::other_has_left = true;
        });
        while (!stepped::other_waits)
            std::this_thread::yield();
    }
    ~contended() {
        stepped::other_may_look = true;
        mutex.unlock();
        other.join();
    }

    stepped::mutex mutex;
    std::thread other;
};

} // namespace

BOOST_AUTO_TEST_SUITE(state_threads)

BOOST_AUTO_TEST_CASE(a_thread_that_took_the_mutex_and_left_between_two_looks_was_let_in) {
    contended c(true);
    c.mutex.let_others_in();
    BOOST_TEST(stepped::other_has_left);
    BOOST_TEST(stepped::looks == 1);
}

BOOST_AUTO_TEST_CASE(a_thread_that_does_not_come_is_not_waited_for_longer_than_200_microseconds) {
    contended c(false);
    c.mutex.let_others_in();
    BOOST_TEST(!stepped::other_has_left);
    BOOST_TEST(stepped::looks == 2);
}

BOOST_AUTO_TEST_CASE(without_another_thread_nobody_is_waited_for) {
    stepped::begin(false);
    stepped::mutex mutex;
    mutex.lock();
    mutex.let_others_in();
    BOOST_TEST(stepped::looks == 0);
    mutex.unlock();
}

BOOST_AUTO_TEST_CASE(after_a_wait_for_the_mutex_nobody_is_waited_for) {
    stepped::begin(false);
    stepped::mutex mutex;
    std::atomic<bool> is_held{false};
    std::thread holder([&] {
        mutex.lock();
        is_held = true;
        while (stepped::looks == 0)
            std::this_thread::yield();
        mutex.unlock();
    });
    while (!is_held)
        std::this_thread::yield();
    mutex.lock();
    holder.join();
    const int before = stepped::looks;
    mutex.let_others_in();
    BOOST_TEST(stepped::looks == before);
    mutex.unlock();
}

BOOST_AUTO_TEST_SUITE_END()
