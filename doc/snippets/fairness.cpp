// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore.hpp>

#include <support/handlers.hpp>

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cstddef>
#include <exception>
#include <string>
#include <utility>
#include <vector>

namespace {

namespace asio = boost::asio;
using asio::awaitable;
using asio::use_awaitable;
using asio_semaphore::async_semaphore;
using asio_semaphore::permit;
using asio_semaphore::with_permit;
using boost::system::error_code;

struct fixture {
    asio::io_context context;

    template <typename Coroutine>
    void start(Coroutine coroutine) {
        asio::co_spawn(context, std::move(coroutine), [](std::exception_ptr e) {
            if (e)
                std::rethrow_exception(e);
        });
    }
};

//! [bytes]
class upload_buffer {
public:
    upload_buffer(asio::io_context& context, std::ptrdiff_t bytes) :
        memory_(context, bytes, bytes) {}

    awaitable<permit> reserve(std::ptrdiff_t bytes) {
        // A request for more than the maximum would fail with error::exceeds_max. Reduced to the
        // maximum, it waits until it has all the memory to itself.
        const std::ptrdiff_t n = std::min(bytes, memory_.max_permits());
        co_return co_await memory_.async_acquire_permit(n, use_awaitable);
    }

    std::ptrdiff_t free() const { return memory_.available(); }

private:
    async_semaphore memory_;
};
//! [bytes]

//! [readers]
/// Many readers or one writer, in the order of arrival, so neither starves. Not recursive: a
/// coroutine that holds the lock must not ask for it again, not even to read, because a writer may
/// be waiting in between.
class read_write_lock {
public:
    explicit read_write_lock(asio::io_context& context) : semaphore_(context, all, all) {}

    template <typename Token>
    auto async_read(Token&& token) {
        return semaphore_.async_acquire_permit(std::forward<Token>(token));
    }
    template <typename Token>
    auto async_write(Token&& token) {
        return semaphore_.async_acquire_permit(all, std::forward<Token>(token));
    }

private:
    static constexpr std::ptrdiff_t all = 1000; // the maximum number of readers at a time
    async_semaphore semaphore_;
};
//! [readers]

} // namespace

BOOST_FIXTURE_TEST_SUITE(doc_fairness, fixture)

BOOST_AUTO_TEST_CASE(first_come_first_granted) {
    //! [order]
    async_semaphore limit(context, 2, 2);
    permit held = limit.try_acquire_permit(); // one of two permits is left
    std::string order;
    permit a, b, c;
    limit.async_acquire_permit(2, [&](error_code, permit p) { order += 'a', a = std::move(p); });
    limit.async_acquire_permit(1, [&](error_code, permit p) { order += 'b', b = std::move(p); });
    limit.async_acquire_permit(1, [&](error_code, permit p) { order += 'c', c = std::move(p); });
    context.poll();
    BOOST_TEST(order == "");          // b and c would fit, but a came first
    BOOST_TEST(!limit.try_acquire()); // this would fit, too
    held.reset();
    context.poll();
    BOOST_TEST(order == "a");
    a.reset();
    context.run();
    BOOST_TEST(order == "abc");
    //! [order]
}

BOOST_AUTO_TEST_CASE(weights_in_bytes) {
    upload_buffer buffer(context, 100);
    std::vector<std::ptrdiff_t> reserved;
    const auto upload = [&](std::ptrdiff_t bytes) -> awaitable<void> {
        const permit held = co_await buffer.reserve(bytes);
        reserved.push_back(held.count());
        co_await asio::post(use_awaitable);
    };
    for (const std::ptrdiff_t bytes : {60, 60, 1000, 10})
        start(upload(bytes));
    context.run();
    BOOST_TEST(
        reserved == (std::vector<std::ptrdiff_t>{60, 60, 100, 10}),
        boost::test_tools::per_element());
    BOOST_TEST(buffer.free() == 100);
}

BOOST_AUTO_TEST_CASE(readers_and_writers) {
    read_write_lock lock(context);
    std::string order;
    const auto read = [&](char name) -> awaitable<void> {
        const permit held = co_await lock.async_read(use_awaitable);
        order += name;
        co_await asio::post(use_awaitable);
        order += name;
    };
    const auto write = [&](char name) -> awaitable<void> {
        const permit held = co_await lock.async_write(use_awaitable);
        order += name;
        co_await asio::post(use_awaitable);
        order += name;
    };
    start(read('a'));
    start(read('b'));
    start(write('w'));
    start(read('c'));
    context.run();
    BOOST_TEST(
        order == "ababwwcc"); // both readers together, the writer alone, the late reader after it
}

BOOST_AUTO_TEST_CASE(all_at_once_or_in_one_order) {
    asio::steady_timer timer(context, std::chrono::milliseconds(1));
    async_semaphore limit(context, 2, 2);
    int completed = 0;
    const auto handler = [&](error_code) {
        ++completed;
    };
    //! [at_once]
    timer.async_wait(with_permit(limit, 2, handler)); // takes both when both are free
    timer.async_wait(with_permit(limit, 2, handler));
    // with_permit(limit, with_permit(limit, handler)) could take one permit and wait forever for
    // the other, while another operation holds that one and waits for this one.
    //! [at_once]
    context.run();
    BOOST_TEST(completed == 2);
    BOOST_TEST(limit.available() == 2);
}

BOOST_AUTO_TEST_SUITE_END()
