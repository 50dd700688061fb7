// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore.hpp>

#include <boost/asio.hpp>
#include <boost/mysql/any_connection.hpp>
#include <boost/mysql/connection_pool.hpp>
#include <boost/mysql/results.hpp>
#include <boost/test/unit_test.hpp>

#include <exception>
#include <string>
#include <utility>

namespace {

namespace asio = boost::asio;
namespace mysql = boost::mysql;
using asio::awaitable;
using asio::use_awaitable;
using asio_semaphore::async_semaphore;
using asio_semaphore::permit;
using asio_semaphore::with_permit;

//! [pool]
/// Reports may use some of the pool's connections, and leave the rest for other queries.
awaitable<mysql::results>
report(mysql::connection_pool& pool, async_semaphore& reports, std::string sql) {
    const permit held = co_await reports.async_acquire_permit(use_awaitable);
    mysql::pooled_connection connection = co_await pool.async_get_connection(use_awaitable);
    mysql::results result;
    co_await connection->async_execute(sql, result, use_awaitable);
    co_return result;
} // first the connection goes back, then the permit
//! [pool]

//! [connection]
/// A connection runs one operation at a time. `turn` is the connection's mutex: a semaphore with
/// one permit.
awaitable<mysql::results>
query(mysql::any_connection& connection, async_semaphore& turn, std::string sql) {
    mysql::results result;
    co_await connection.async_execute(sql, result, with_permit(turn, use_awaitable));
    co_return result;
}
//! [connection]

} // namespace

BOOST_AUTO_TEST_SUITE(doc_recipes_mysql)

BOOST_AUTO_TEST_CASE(a_query_that_fails_makes_way_for_the_next) {
    asio::io_context context;
    mysql::any_connection connection(context); // to nowhere
    async_semaphore turn(context, 1, 1);
    int failed = 0;
    for (int i = 0; i < 3; ++i)
        asio::co_spawn(
            context, query(connection, turn, "SELECT 1"),
            [&](std::exception_ptr e, const mysql::results&) { failed += e != nullptr; });
    context.run();
    BOOST_TEST(failed == 3);
    BOOST_TEST(turn.available() == 1);
}

BOOST_AUTO_TEST_CASE(a_report_that_gets_no_connection_gives_its_permit_back) {
    asio::io_context context;
    asio::ip::tcp::acceptor nobody(context, {asio::ip::address_v4::loopback(), 0});
    mysql::pool_params params;
    params.server_address.emplace_host_and_port("127.0.0.1", nobody.local_endpoint().port());
    nobody.close(); // nobody listens there any more
    mysql::connection_pool pool(context, std::move(params));
    pool.async_run(asio::detached);
    async_semaphore reports(context, 1, 1);
    asio::cancellation_signal patience;
    bool failed = false;
    asio::co_spawn(
        context, report(pool, reports, "SELECT 1"),
        asio::bind_cancellation_slot(
            patience.slot(), [&](std::exception_ptr e, const mysql::results&) {
                failed = e != nullptr;
                pool.cancel();
            }));
    context.poll();
    BOOST_TEST(reports.available() == 0);
    patience.emit(asio::cancellation_type::terminal);
    context.run();
    BOOST_TEST(failed);
    BOOST_TEST(reports.available() == 1);
}

BOOST_AUTO_TEST_SUITE_END()
