// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore.hpp>

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>

#include <atomic>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

namespace asio = boost::asio;
using asio::awaitable;
using asio::redirect_error;
using asio::use_awaitable;
using asio::ip::tcp;
using asio_semaphore::async_semaphore;
using asio_semaphore::permit;
using boost::system::error_code;

awaitable<std::string> ask(tcp::socket& server, std::string query) {
    co_await asio::async_write(server, asio::buffer(query), use_awaitable);
    co_await asio::async_read(server, asio::buffer(query), use_awaitable);
    co_return query;
}

//! [pool]
/// At most `most` connections, opened when they are needed. For any number of threads.
class connection_pool {
public:
    connection_pool(const asio::any_io_executor& executor, tcp::endpoint server, int most) :
        server_(server), limit_(executor, most, most) {}

    awaitable<std::string> query(std::string text) {
        const permit held = co_await limit_.async_acquire_permit(use_awaitable);
        for (;;) {
            tcp::socket connection = idle_or_closed();
            const bool reused = connection.is_open();
            if (!reused)
                co_await connection.async_connect(server_, use_awaitable);
            try {
                std::string answer = co_await ask(connection, text);
                const std::lock_guard lock(mutex_);
                idle_.push_back(std::move(connection));
                co_return answer;
            } catch (const boost::system::system_error& e) {
                // A connection that was idle may be stale, closed by the server meanwhile. The
                // permit is still held, and allows to open another one in its place.
                if (!reused || e.code() == asio::error::operation_aborted)
                    throw;
            }
        }
    }

private:
    tcp::socket idle_or_closed() {
        const std::lock_guard lock(mutex_);
        if (idle_.empty())
            return tcp::socket(limit_.get_executor());
        tcp::socket newest = std::move(idle_.back());
        idle_.pop_back();
        return newest;
    }

    const tcp::endpoint server_;
    async_semaphore limit_;
    std::mutex mutex_;
    std::vector<tcp::socket> idle_; // guarded by mutex_
};
//! [pool]

/// Sends back four bytes at a time, and closes the connection after a number of answers. The
/// client's side is stale then.
class closing_server {
public:
    closing_server(asio::io_context& context, int answers) :
        acceptor_(context, {asio::ip::address_v4::loopback(), 0}), answers_(answers) {
        asio::co_spawn(context, listen(), asio::detached);
    }

    tcp::endpoint endpoint() const { return acceptor_.local_endpoint(); }

    int accepted = 0, open = 0, most = 0;

private:
    awaitable<void> listen() {
        for (;;) {
            tcp::socket client = co_await acceptor_.async_accept(use_awaitable);
            ++accepted;
            most = std::max(most, ++open);
            asio::co_spawn(acceptor_.get_executor(), serve(std::move(client)), asio::detached);
        }
    }

    awaitable<void> serve(tcp::socket client) {
        char data[4];
        error_code ec;
        for (int i = 0; i < answers_ && !ec; ++i) {
            co_await asio::async_read(
                client, asio::buffer(data), redirect_error(use_awaitable, ec));
            if (!ec)
                co_await asio::async_write(
                    client, asio::buffer(data), redirect_error(use_awaitable, ec));
        }
        --open;
        client.close(ec);
    }

    tcp::acceptor acceptor_;
    int answers_;
};

} // namespace

BOOST_AUTO_TEST_SUITE(doc_recipes_pool)

BOOST_AUTO_TEST_CASE(stale_connections_are_replaced_on_several_threads) {
    asio::io_context context;
    closing_server server(context, 10);
    std::thread runner([&] { context.run(); });
    std::atomic<int> answered{0}, failed{0};
    {
        asio::thread_pool threads(4);
        connection_pool pool(threads.get_executor(), server.endpoint(), 3);
        for (int i = 0; i < 300; ++i)
            asio::co_spawn(
                threads, pool.query("ping"), [&](std::exception_ptr e, const std::string& answer) {
                    ++(!e && answer == "ping" ? answered : failed);
                });
        threads.join();
    }
    context.stop();
    runner.join();
    BOOST_TEST(answered == 300);
    BOOST_TEST(failed == 0);
    BOOST_TEST(server.accepted >= 300 / 10);
    BOOST_TEST(server.most <= 3);
}

BOOST_AUTO_TEST_CASE(a_new_connection_that_fails_is_an_error_and_costs_no_permit) {
    asio::io_context context;
    closing_server server(context, 0); // closes at once
    connection_pool pool(context.get_executor(), server.endpoint(), 1);
    int failed = 0;
    for (int i = 0; i < 3; ++i)
        asio::co_spawn(context, pool.query("ping"), [&](std::exception_ptr e, const std::string&) {
            failed += e != nullptr;
            if (failed == 3)
                context.stop();
        });
    context.run();
    BOOST_TEST(failed == 3);
}

BOOST_AUTO_TEST_SUITE_END()
