// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore.hpp>

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <chrono>
#include <exception>
#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace {

namespace asio = boost::asio;
using asio::awaitable;
using asio::use_awaitable;
using asio_semaphore::async_semaphore;
using asio_semaphore::permit;
using asio_semaphore::with_permit;
using boost::system::error_code;
using namespace std::chrono_literals;
using connection = asio::local::stream_protocol::socket; // or any other

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

int running = 0, most = 0;

/// Any asynchronous operation: a query, a request.
template <typename Token>
auto async_call(asio::io_context& context, error_code outcome, Token&& token) {
    return asio::async_compose<Token, void(error_code, int)>(
        [started = false, outcome](auto& self) mutable {
            if (!std::exchange(started, true)) {
                most = std::max(most, ++running);
                asio::post(std::move(self));
            } else {
                --running;
                self.complete(outcome, 42);
            }
        },
        token, context);
}

//! [one_operation]
awaitable<void> send(connection& to, std::string_view text, async_semaphore& limit) {
    co_await asio::async_write(to, asio::buffer(text), with_permit(limit, use_awaitable));
}
//! [one_operation]

//! [several_operations]
awaitable<std::string> ask(connection& server, std::string question, async_semaphore& limit) {
    const permit held = co_await limit.async_acquire_permit(use_awaitable);
    co_await asio::async_write(server, asio::buffer(question), use_awaitable);
    std::string answer;
    co_await asio::async_read_until(server, asio::dynamic_buffer(answer), '\n', use_awaitable);
    co_return answer;
}
//! [several_operations]

//! [per_host]
class limits {
public:
    limits(asio::io_context& context, std::ptrdiff_t in_all, std::ptrdiff_t per_host) :
        context_(context), in_all_(context, in_all, in_all), per_host_(per_host) {}

    async_semaphore& in_all() { return in_all_; }

    async_semaphore& of(const std::string& host) {
        return hosts_.try_emplace(host, context_, per_host_, per_host_).first->second;
    }

private:
    asio::io_context& context_;
    async_semaphore in_all_;
    std::ptrdiff_t per_host_;
    std::map<std::string, async_semaphore> hosts_;
};

awaitable<int> call(asio::io_context& context, limits& limit, std::string host) {
    // First the host's permit, then the global one: a call that waits for a slow host does not hold
    // a global permit.
    co_return co_await async_call(
        context, error_code(),
        with_permit(limit.of(host), with_permit(limit.in_all(), use_awaitable)));
}
//! [per_host]

//! [retry]
awaitable<int> call_with_retries(asio::io_context& context, async_semaphore& limit, int attempts) {
    for (;;) {
        error_code ec = asio::error::connection_reset; // all attempts but the last fail
        if (--attempts == 0)
            ec.clear();
        try {
            co_return co_await async_call(context, ec, with_permit(limit, use_awaitable));
        } catch (const boost::system::system_error&) {
            if (attempts == 0)
                throw;
        }
        // The permit has been released: another call may run during this pause.
        asio::steady_timer pause(context, 1ms);
        co_await pause.async_wait(use_awaitable);
    }
}
//! [retry]

} // namespace

BOOST_FIXTURE_TEST_SUITE(doc_outgoing_calls, fixture)

BOOST_AUTO_TEST_CASE(one_operation_under_a_limit) {
    connection here(context), there(context);
    asio::local::connect_pair(here, there);
    async_semaphore limit(context, 1, 1);
    start(send(here, "hello", limit));
    context.run();
    char data[5];
    asio::read(there, asio::buffer(data));
    BOOST_TEST(std::string_view(data, 5) == "hello");
    BOOST_TEST(limit.available() == 1);
}

BOOST_AUTO_TEST_CASE(several_operations_under_one_permit) {
    connection here(context), there(context);
    asio::local::connect_pair(here, there);
    async_semaphore limit(context, 1, 1);
    asio::write(there, asio::buffer("yes\n", 4));
    std::string answer;
    start([&]() -> awaitable<void> { answer = co_await ask(here, "well?\n", limit); });
    context.run();
    BOOST_TEST(answer == "yes\n");
    BOOST_TEST(limit.available() == 1);
}

BOOST_AUTO_TEST_CASE(callbacks_have_their_operation_limited_too) {
    async_semaphore limit(context, 2, 2);
    running = most = 0;
    int answers = 0;
    //! [callback]
    for (int i = 0; i < 10; ++i)
        async_call(context, error_code(), with_permit(limit, [&](error_code ec, int answer) {
                       if (!ec)
                           answers += answer;
                   }));
    //! [callback]
    context.run();
    BOOST_TEST(answers == 420);
    BOOST_TEST(most == 2);
}

BOOST_AUTO_TEST_CASE(a_limit_for_each_host_and_one_for_all) {
    limits limit(context, 3, 2);
    running = most = 0;
    int answers = 0;
    const auto one = [&](std::string host) -> awaitable<void> {
        answers += co_await call(context, limit, std::move(host));
    };
    for (const char* host : {"a", "a", "a", "b", "b", "b", "c", "c", "c"})
        start(one(host));
    context.run();
    BOOST_TEST(answers == 9 * 42);
    BOOST_TEST(most == 3);
    BOOST_TEST(limit.in_all().available() == 3);
    BOOST_TEST(limit.of("a").available() == 2);
}

BOOST_AUTO_TEST_CASE(a_pause_between_attempts_holds_no_permit) {
    async_semaphore limit(context, 1, 1);
    running = most = 0;
    int answer = 0;
    start([&]() -> awaitable<void> { answer = co_await call_with_retries(context, limit, 3); });
    context.run();
    BOOST_TEST(answer == 42);
    BOOST_TEST(limit.available() == 1);
}

BOOST_AUTO_TEST_CASE(without_a_permit_there_is_no_call) {
    async_semaphore limit(context, 1, 1);
    running = most = 0;
    error_code result;
    //! [closed]
    limit.close();
    async_call(context, error_code(), with_permit(limit, [&](error_code ec, int answer) {
                   result = ec; // error::closed; the call was never started
                   BOOST_TEST(answer == 0);
               }));
    //! [closed]
    context.run();
    BOOST_TEST((result == asio_semaphore::error::closed));
    BOOST_TEST(most == 0);
}

BOOST_AUTO_TEST_SUITE_END()
