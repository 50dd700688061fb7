// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore.hpp>

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <sstream>
#include <string>
#include <string_view>

namespace {

namespace asio = boost::asio;
using asio_semaphore::limiter;
using namespace std::chrono_literals;

//! [page]
std::string metrics_page(const limiter& requests, const limiter& queries) {
    std::ostringstream first, last;
    asio_semaphore::write_openmetrics(first, requests.statistics(), "requests");
    asio_semaphore::write_openmetrics(last, queries.statistics(), "queries", {{"db", "users"}});
    std::string page = first.str();
    page.resize(page.size() - std::string_view("# EOF\n").size()); // one per page, at the end
    return page + last.str();
}
//! [page]

} // namespace

BOOST_AUTO_TEST_SUITE(doc_metrics)

BOOST_AUTO_TEST_CASE(two_limiters_on_one_page) {
    asio::io_context context;
    limiter requests(context, 2), queries(context, 3);
    const std::string page = metrics_page(requests, queries);
    BOOST_TEST(page.find("requests_limit 2\n") != std::string::npos);
    BOOST_TEST(page.find("queries_limit{db=\"users\"} 3\n") != std::string::npos);
    BOOST_TEST(page.find("# EOF\n") == page.size() - 6);
}

BOOST_AUTO_TEST_CASE(a_dry_run) {
    asio::io_context context;
    //! [dry_run]
    limiter limit(context, 50, {.max_per_key = 10, .enforce = false}); // refuses no request
    //! [dry_run]
    for (int i = 0; i < 12; ++i)
        limit.async_admit({.key = 7}, [](auto...) {});
    BOOST_TEST(limit.statistics().over_limit == 2u);
}

BOOST_AUTO_TEST_CASE(changes_of_the_limit) {
    asio::io_context context;
    double last = 0;
    //! [on_limit_change]
    limiter limit(context, 20, {.on_limit_change = [&](double, double to) {
                      last = to;
                  }});
    limit.set_limit(30);
    BOOST_TEST(last == 30);
    //! [on_limit_change]
}

BOOST_AUTO_TEST_SUITE_END()
