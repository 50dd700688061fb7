// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// Uses the semaphore and the limiter in every configuration of the matrix. It needs no C++20,
// exceptions, RTTI or threads, but uses them where the configuration has them. Prints what went
// wrong.

#include <asio_semaphore.hpp>

#include <boost/asio.hpp>
#include <boost/asio/experimental/parallel_group.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <sstream>
#include <string>
#include <utility>

#if defined(BOOST_NO_EXCEPTIONS)
// Without exceptions, Boost requires the program to define these functions.
namespace boost {
void throw_exception(const std::exception&) {
    std::abort();
}
void throw_exception(const std::exception&, const source_location&) {
    std::abort();
}
} // namespace boost
#endif

namespace asio = boost::asio;
using namespace asio_semaphore;
using namespace std::chrono_literals;
using boost::system::error_code;

namespace {

int failures = 0;

void check(bool holds, const char* what, int line) {
    if (!holds) {
        std::printf("line %d: %s\n", line, what);
        ++failures;
    }
}
#define CHECK(condition) check(condition, #condition, __LINE__)

struct tally {
    int granted = 0, failed = 0;

    auto bare() {
        return [this](error_code ec) {
            ++(ec ? failed : granted);
        };
    }
    auto owned() {
        return [this](error_code ec, permit held) {
            ++(ec || !held ? failed : granted);
        };
    }
};

template <typename Executor>
void every_operation(asio::io_context& context, const Executor& executor) {
    basic_async_semaphore<Executor> semaphore(executor, 1, 10);
    tally all;
    asio::cancellation_signal signal;
    semaphore.async_acquire(all.bare());
    semaphore.async_acquire(2, all.bare());
    semaphore.async_acquire_for(1h, all.bare());
    semaphore.async_acquire_for(0s, 1, all.bare()); // times out
    semaphore.async_acquire_permit(all.owned());
    semaphore.async_acquire_permit(
        2, asio::bind_cancellation_slot(signal.slot(), all.owned())); // cancelled
    semaphore.async_acquire_permit_for(
        1h, asio::bind_executor(asio::make_strand(context), all.owned()));
    semaphore.async_acquire_permit_for(
        1h, 1, asio::bind_allocator(std::allocator<void>(), all.owned()));
    auto lazy = semaphore.async_acquire_permit(asio::deferred);
    std::move(lazy)(all.owned());
    CHECK(semaphore.waiting() == 7u);
    CHECK(!semaphore.try_acquire());
    signal.emit(asio::cancellation_type::terminal);
    semaphore.release(3);
    semaphore.reduce(1);
    semaphore.release();
    context.restart();
    context.poll();
    CHECK(all.granted == 3 && all.failed == 2);
    CHECK(semaphore.waiting() == 4u);
    semaphore.release(); // each permit object passes the permit to the next operation
    context.poll();
    CHECK(all.granted == 7 && all.failed == 2);
    CHECK(semaphore.available() == 1);

    basic_async_semaphore<Executor> moved(std::move(semaphore));
    CHECK(!semaphore.is_open() && moved.is_open());
    moved.cancel();
    moved.close();
    moved.async_acquire(all.bare());
    context.restart();
    context.run();
    CHECK(all.granted + all.failed == 10);
    CHECK(moved.waiting() == 0u && moved.max_permits() == 10);
}

void permits(asio::io_context& context) {
    async_semaphore semaphore(context, 5, 5);
    permit all = semaphore.try_acquire_permit(3);
    permit part = all.split(1);
    all.merge(std::move(part));
    CHECK(semaphore.try_acquire(2));
    permit adopted(semaphore, std::adopt_lock, 2);
    swap(all, adopted);
    CHECK(all.count() == 2 && adopted.count() == 3);
    all.reset();
    CHECK(adopted.forget() == 3);
    CHECK(semaphore.available() == 2);
    error_code ec;
    semaphore.release(4, ec);
    CHECK(ec == error::over_release);
    CHECK(!ec.message().empty());
}

void adapters(asio::io_context& context) {
    async_semaphore semaphore(context, 1);
    asio::steady_timer timer(context, asio::steady_timer::time_point::min());
    asio::steady_timer never(context, asio::steady_timer::time_point::max());
    tally all;
    timer.async_wait(with_permit(semaphore, all.bare()));
    timer.async_wait(with_permit(semaphore, 1, all.bare()));
    semaphore.async_acquire_permit(asio::append(
        [&](error_code ec, permit, int value) { all.granted += !ec && value == 1; }, 1));
    asio::experimental::make_parallel_group(
        semaphore.async_acquire_permit(asio::deferred), never.async_wait(asio::deferred))
        .async_wait(
            asio::experimental::wait_for_one(), [&](auto, error_code ec, const permit& held,
                                                    error_code) { all.granted += !ec && held; });
    context.restart();
    context.run();
    CHECK(all.granted == 4 && all.failed == 0);
    CHECK(semaphore.available() == 1);
#if !defined(BOOST_ASIO_DISABLE_THREADS) && !defined(BOOST_NO_EXCEPTIONS)
    auto future = semaphore.async_acquire_permit(asio::use_future);
    context.restart();
    context.run();
    CHECK(future.get().count() == 1);
#endif
}

void admissions(asio::io_context& context) {
    limiter_options options;
    options.max_waiting = 2;
    options.max_wait = 1h;
    options.max_per_key = 1;
    options.algorithm = gradient_limit();
    limiter limit(context, 2, options);
    admission_request of_ann;
    of_ann.key = 1;
    int admitted = 0, refused = 0;
    const auto count = [&](error_code ec, admission place) {
        ++(ec == condition::overload && !place ? refused : admitted);
        place.finish(ec);
    };
    admission first = limit.try_admit(of_ann);
    CHECK(first && !limit.try_admit(of_ann));
    for (int i = 0; i < 3; ++i) // two wait for the place of their key, one finds the queue full
        limit.async_admit(of_ann, count);
    context.restart();
    context.poll();
    CHECK(admitted == 0 && refused == 1);
    first.finish(outcome::success);
    context.run();
    CHECK(admitted == 2 && refused == 1);

    asio::steady_timer timer(context, asio::steady_timer::time_point::min());
    timer.async_wait(with_permit(limit, [&](error_code ec) { admitted += !ec; }));
    limit.async_wait_idle([&](error_code ec) { admitted += !ec; });
    context.restart();
    context.run();
    CHECK(admitted == 4);
    limit.set_limit(1);
    limit.close();
    CHECK(!limit.is_open() && limit.statistics().in_flight == 0);
    std::ostringstream page;
    write_openmetrics(page, limit.statistics(), "matrix");
    CHECK(page.str().find("matrix_limit 1\n") != std::string::npos);
}

#if !defined(BOOST_ASIO_DISABLE_THREADS)
void threads() {
    asio::thread_pool pool(2);
    async_semaphore semaphore(pool, 2);
    int served = 0;
    std::mutex mutex;
    for (int i = 0; i < 100; ++i)
        semaphore.async_acquire_permit([&](error_code ec, permit) {
            const std::lock_guard<std::mutex> lock(mutex);
            served += !ec;
        });
    pool.join();
    CHECK(served == 100);
    CHECK(semaphore.available() == 2);
}
#endif

#if defined(BOOST_ASIO_HAS_CO_AWAIT)
asio::awaitable<void> coroutine(async_semaphore& semaphore, int& done) {
    auto held = co_await semaphore.async_acquire_permit(asio::use_awaitable);
    held.reset();
    co_await semaphore.async_acquire(asio::use_awaitable);
    semaphore.release();
    const auto result =
        co_await semaphore.async_acquire_permit_for(0s, 99, asio::as_tuple(asio::use_awaitable));
    const auto& [ec, none] = result;
    CHECK(ec == asio::error::timed_out && !none);
    asio::steady_timer timer(
        co_await asio::this_coro::executor, asio::steady_timer::time_point::min());
    co_await timer.async_wait(with_permit(semaphore, asio::use_awaitable));
    ++done;
}
#endif

} // namespace

int main() {
    asio::io_context context;
    every_operation(context, context.get_executor());
    every_operation(context, asio::any_io_executor(context.get_executor()));
    every_operation(context, asio::make_strand(context));
    permits(context);
    adapters(context);
    admissions(context);
#if !defined(BOOST_ASIO_DISABLE_THREADS)
    threads();
#endif
#if defined(BOOST_ASIO_HAS_CO_AWAIT)
    async_semaphore semaphore(context, 1);
    int done = 0;
    asio::co_spawn(context, coroutine(semaphore, done), asio::detached);
    context.restart();
    context.run();
    CHECK(done == 1);
#endif
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
