// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore.hpp>

#include <support/handlers.hpp>

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <chrono>
#include <deque>
#include <exception>
#include <optional>
#include <utility>

namespace {

namespace asio = boost::asio;
using asio::awaitable;
using asio::redirect_error;
using asio::use_awaitable;
using asio::ip::tcp;
using asio_semaphore::async_semaphore;
using asio_semaphore::permit;
using boost::system::error_code;
using namespace std::chrono_literals;

int running = 0, most = 0;

awaitable<void> work() {
    most = std::max(most, ++running);
    co_await asio::post(use_awaitable);
    --running;
}

struct fixture {
    asio::io_context context;

    fixture() { running = most = 0; }

    template <typename Coroutine>
    void start(Coroutine coroutine) {
        asio::co_spawn(context, std::move(coroutine), [](std::exception_ptr e) {
            if (e)
                std::rethrow_exception(e);
        });
    }
};

namespace requests {
//! [request]
awaitable<void> handle(async_semaphore& limit) {
    const permit held = co_await limit.async_acquire_permit(use_awaitable);
    co_await work(); // never more at a time than there are permits
}
//! [request]
} // namespace requests

namespace sessions {
awaitable<void> session(tcp::socket socket, [[maybe_unused]] permit held) {
    most = std::max(most, ++running);
    char data[64];
    error_code ec;
    while (!ec)
        co_await socket.async_read_some(asio::buffer(data), redirect_error(use_awaitable, ec));
    --running;
}

//! [sessions]
awaitable<void> accept_loop(tcp::acceptor& acceptor, async_semaphore& sessions) {
    asio::steady_timer pause(acceptor.get_executor());
    for (error_code ec;;) {
        permit held = co_await sessions.async_acquire_permit(use_awaitable);
        tcp::socket socket = co_await acceptor.async_accept(redirect_error(use_awaitable, ec));
        if (ec == asio::error::operation_aborted || !acceptor.is_open())
            co_return;
        if (ec) { // perhaps no file descriptor is left until some session ends
            pause.expires_after(50ms);
            co_await pause.async_wait(use_awaitable);
            continue;
        }
        asio::co_spawn(
            acceptor.get_executor(), session(std::move(socket), std::move(held)), asio::detached);
    }
}
//! [sessions]
} // namespace sessions

namespace refusing {
//! [refuse]
enum class reply { done, busy, shutting_down };

awaitable<reply> answer(async_semaphore& limit, std::size_t longest_queue) {
    if (limit.available() <= 0 && limit.waiting() >= longest_queue)
        co_return reply::busy;
    error_code ec;
    const permit held =
        co_await limit.async_acquire_permit_for(2s, redirect_error(use_awaitable, ec));
    if (ec == asio::error::timed_out)
        co_return reply::busy;
    if (ec) // the semaphore is closed, or the operation was cancelled
        co_return reply::shutting_down;
    co_await work();
    co_return reply::done;
}
//! [refuse]
} // namespace refusing

//! [adjust]
class adjustable_limit { // call set() on one thread or one strand only
public:
    adjustable_limit(asio::io_context& context, std::ptrdiff_t limit, std::ptrdiff_t largest) :
        semaphore_(context, limit, largest), limit_(limit) {}

    void set(std::ptrdiff_t limit) {
        limit = std::min(limit, semaphore_.max_permits());
        if (limit > limit_)
            semaphore_.release(limit - limit_); // waiting operations start
        else
            semaphore_.reduce(limit_ - limit); // running operations go on; fewer start later
        limit_ = limit;
    }

    async_semaphore& semaphore() { return semaphore_; }

private:
    async_semaphore semaphore_;
    std::ptrdiff_t limit_;
};
//! [adjust]

} // namespace

BOOST_FIXTURE_TEST_SUITE(doc_limit_handlers, fixture)

BOOST_AUTO_TEST_CASE(requests_are_limited) {
    async_semaphore limit(context, 3, 3);
    for (int i = 0; i < 20; ++i)
        start(requests::handle(limit));
    context.run();
    BOOST_TEST(most == 3);
    BOOST_TEST(limit.available() == 3);
}

BOOST_AUTO_TEST_CASE(sessions_are_limited) {
    tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), 0});
    async_semaphore limit(context, 2, 2);
    asio::co_spawn(context, sessions::accept_loop(acceptor, limit), asio::detached);
    std::deque<tcp::socket> clients;
    for (int i = 0; i < 4; ++i)
        clients.emplace_back(context).connect(acceptor.local_endpoint());
    while (running < 2)
        context.run_one();
    while (!clients.empty())
        clients.pop_front();
    // Every session begins and ends; then the loop holds a permit for the next one.
    while (running > 0 || limit.available() < 1)
        context.run_one();
    acceptor.close();
    context.run();
    BOOST_TEST(most == 2);
    BOOST_TEST(limit.available() == 2);
}

BOOST_AUTO_TEST_CASE(a_queue_that_is_too_long_is_refused) {
    using refusing::reply;
    async_semaphore limit(context, 1, 1);
    int done = 0, busy = 0, shutting_down = 0;
    const auto one = [&]() -> awaitable<void> {
        const reply r = co_await refusing::answer(limit, 2);
        ++(r == reply::done ? done : r == reply::busy ? busy : shutting_down);
    };
    permit held = limit.try_acquire_permit();
    for (int i = 0; i < 5; ++i)
        start(one());
    support::poll(context);
    BOOST_TEST(busy == 3); // two wait
    held.reset();
    context.run();
    BOOST_TEST(done == 2);
    limit.close();
    start(one());
    context.restart();
    context.run();
    BOOST_TEST(shutting_down == 1);
}

BOOST_AUTO_TEST_CASE(a_limit_can_be_adjusted) {
    adjustable_limit limit(context, 2, 5);
    for (int i = 0; i < 4; ++i)
        start(requests::handle(limit.semaphore()));
    support::poll(context);
    BOOST_TEST(most == 2);
    permit held = limit.semaphore().try_acquire_permit(2);
    limit.set(1);
    BOOST_TEST(limit.semaphore().available() == -1);
    held.reset();
    BOOST_TEST(limit.semaphore().available() == 1);
    held = limit.semaphore().try_acquire_permit();
    limit.set(6); // more than the largest
    BOOST_TEST(limit.semaphore().available() == 4);
    held.reset();
    BOOST_TEST(limit.semaphore().available() == 5);
}

BOOST_AUTO_TEST_SUITE_END()
