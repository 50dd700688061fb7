// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore/fleet/openmetrics.hpp>
#include <asio_semaphore/fleet/with_permit.hpp>

#include <fleet/redis_server.hpp>
#include <limiter/exposition.hpp>

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <cstdint>
#include <exception>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace {

namespace asio = boost::asio;
using asio::awaitable;
using asio::redirect_error;
using asio::use_awaitable;
using asio_semaphore::fleet_client;
using asio_semaphore::fleet_error;
using asio_semaphore::fleet_permit;
using asio_semaphore::fleet_semaphore;
using asio_semaphore::fleet_status;
using boost::system::error_code;
using namespace std::chrono_literals;

int reports = 0;
std::uint64_t written_by = 0;

awaitable<void> make_report() {
    ++reports;
    co_return;
}

/// A resource that refuses a smaller fencing number than it has seen.
bool write(std::uint64_t fencing) {
    if (fencing < written_by)
        return false;
    written_by = fencing;
    return true;
}

//! [report]
awaitable<void> report(fleet_semaphore& limit) {
    const fleet_permit permit = co_await limit.async_acquire_permit(use_awaitable);
    co_await make_report();
} // sends the release
//! [report]

//! [held]
awaitable<error_code> send(fleet_semaphore& limit, asio::steady_timer& work) {
    fleet_permit permit = co_await limit.async_acquire_permit(use_awaitable);
    error_code ec;
    // The timer stands for any asynchronous operation. It is cancelled when the permit is lost.
    co_await work.async_wait(while_held(permit, redirect_error(use_awaitable, ec)));
    co_return ec;
}
//! [held]

//! [fencing]
awaitable<bool> change(fleet_semaphore& limit) {
    const fleet_permit permit = co_await limit.async_acquire_permit(use_awaitable);
    co_await make_report();
    if (!permit.valid()) // right before the work that needs the permit
        co_return false;
    co_return write(permit.fencing()); // the resource refuses smaller numbers
}
//! [fencing]

//! [release]
awaitable<void> hand_over(fleet_semaphore& limit) {
    fleet_permit permit = co_await limit.async_acquire_permit(use_awaitable);
    error_code ec;
    co_await permit.async_release(redirect_error(use_awaitable, ec));
    if (ec == fleet_error::lost)
        throw std::runtime_error("somebody else may have run at the same time");
}
//! [release]

//! [inspect]
awaitable<fleet_status> look(fleet_semaphore& limit) {
    co_return co_await limit.async_inspect(use_awaitable);
}
//! [inspect]

//! [metrics]
std::string metrics_page(const fleet_client& client, const fleet_semaphore& limit) {
    std::ostringstream first, last;
    asio_semaphore::write_openmetrics(first, client.statistics(), "redis");
    asio_semaphore::write_openmetrics(last, limit.statistics(), "reports");
    std::string page = first.str();
    page.resize(page.size() - std::string_view("# EOF\n").size()); // a page has one, at its end
    return page + last.str();
}
//! [metrics]

struct fixture {
    test::redis_server server;
    asio::io_context context;
    std::string port = std::to_string(server.port());

    // The limits exist before the clients: a server that has just started grants nothing new for
    // the length of a lease.
    fixture() {
        boost::redis::config config;
        config.addr = {"127.0.0.1", port};
        fleet_client client(context.get_executor(), config);
        client.async_run(asio::detached);
        asio_semaphore::fleet_options options;
        options.after_loss = asio_semaphore::fleet_options::recovery::immediate;
        fleet_semaphore first(context, client, "reports", 16, options);
        fleet_semaphore second(context, client, "quick", 1, options);
        asio::co_spawn(
            context,
            [&]() -> awaitable<void> {
                co_await first.async_inspect(use_awaitable);
                co_await second.async_inspect(use_awaitable);
                co_await client.async_close(use_awaitable);
            },
            asio::detached);
        context.run();
        context.restart();
    }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(doc_fleet, fixture)

BOOST_AUTO_TEST_CASE(a_limit_for_a_fleet_in_five_minutes) {
    //! [client]
    boost::redis::config config;
    config.addr = {"127.0.0.1", port};
    fleet_client client(context.get_executor(), config);
    client.async_run(asio::detached);

    asio_semaphore::fleet_options options;
    options.lease = 5s; // how long a crashed process keeps its permits
    fleet_semaphore limit(context, client, "reports", 16, options);
    //! [client]

    fleet_semaphore quick(context, client, "quick", 1);
    asio::steady_timer work(context, 1ms);
    asio::co_spawn(
        context,
        [&]() -> awaitable<void> {
            co_await report(limit);
            BOOST_TEST(reports == 1);
            BOOST_TEST(!co_await send(quick, work));
            BOOST_TEST(co_await change(quick));
            co_await hand_over(quick);
            BOOST_TEST((co_await look(limit)).limit == 16);
            BOOST_TEST((co_await look(quick)).held == 0);
            const test::exposition page(metrics_page(client, limit));
            BOOST_TEST(page.value("redis_connected") == "1");
            BOOST_TEST(page.value("reports_granted_total") == "1");
            BOOST_TEST(page.value("reports_lost_total", {{"reason", "deadline"}}) == "0");
            //! [close]
            // At the end of the process, so that nobody waits for its leases to end:
            co_await client.async_close(use_awaitable);
            //! [close]
        },
        [](std::exception_ptr e) {
            if (e)
                std::rethrow_exception(e);
        });
    context.run();
    BOOST_TEST(reports == 2);
}

BOOST_AUTO_TEST_SUITE_END()
