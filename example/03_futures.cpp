// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// A semaphore can also limit threads that do not use Asio. Such a thread blocks on a future, which
// a thread of the pool makes ready. Asynchronous code can share the same semaphore.

#include <asio_semaphore.hpp>

#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>

#include <atomic>
#include <barrier>
#include <iostream>
#include <thread>
#include <vector>

namespace asio = boost::asio;

int main() {
    asio::thread_pool pool(1);
    asio_semaphore::async_semaphore licences(pool, 3, 3);

    std::atomic<int> inside{0}, most{0};
    std::barrier three_meet(3); // no thread leaves before three are inside: 3 do run at once
    std::vector<std::thread> threads;
    for (int i = 0; i < 9; ++i)
        threads.emplace_back([&] {
            const auto held = licences.async_acquire_permit(asio::use_future).get();
            const int now = ++inside;
            for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
            }
            three_meet.arrive_and_wait();
            --inside;
        });
    for (auto& thread : threads)
        thread.join();
    std::cout << "9 threads, at most " << most << " at once\n";
    std::cout << "free in the end: " << licences.available() << '\n';

    // The future reports an error as an exception.
    licences.close();
    try {
        licences.async_acquire(asio::use_future).get();
    } catch (const boost::system::system_error& e) {
        std::cout << std::boolalpha << "refused: " << (e.code() == asio_semaphore::error::closed)
                  << '\n';
    }
    pool.join();
}
