// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore.hpp>

#include <fleet/with_redis_server.hpp>

#include <boost/asio.hpp>
#include <boost/redis/connection.hpp>
#include <boost/redis/request.hpp>
#include <boost/redis/response.hpp>
#include <boost/test/unit_test.hpp>

#include <exception>
#include <string>
#include <tuple>
#include <utility>

namespace {

namespace asio = boost::asio;
namespace redis = boost::redis;
using asio::awaitable;
using asio::use_awaitable;
using asio_semaphore::async_semaphore;
using asio_semaphore::with_permit;
using boost::system::error_code;

//! [redis]
awaitable<long long> count(redis::connection& redis, std::string key, async_semaphore& limit) {
    redis::request request;
    request.push("INCR", key);
    redis::response<long long> response;
    co_await redis.async_exec(request, response, with_permit(limit, use_awaitable));
    co_return std::get<0>(response).value();
}
//! [redis]

} // namespace

BOOST_AUTO_TEST_SUITE(doc_recipes_redis, *boost::unit_test::precondition(test::with_redis_server))

BOOST_AUTO_TEST_CASE(requests_under_a_limit) {
    test::redis_server server;
    asio::io_context context;
    redis::connection connection(context);
    redis::config config;
    config.addr = {"127.0.0.1", std::to_string(server.port())};
    config.health_check_interval = {};
    async_semaphore limit(context, 2, 2);
    long long sum = 0;
    int left = 10;
    for (int i = 0; i < 10; ++i)
        asio::co_spawn(
            context, count(connection, "requests", limit), [&](std::exception_ptr e, long long n) {
                BOOST_TEST(!e);
                sum += n;
                if (--left == 0)
                    connection.cancel();
            });
    context.poll();
    BOOST_TEST(limit.waiting() == 8u); // two are with the connection, which waits for its server
    connection.async_run(config, asio::detached);
    context.run();
    BOOST_TEST(sum == 55);
    BOOST_TEST(limit.available() == 2);
}

BOOST_AUTO_TEST_SUITE_END()
