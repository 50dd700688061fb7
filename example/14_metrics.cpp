// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// A page for Prometheus with the metrics of two limiters. Each limiter has its own prefix. The line
// "# EOF" must stand only at the end of the page.

#include <asio_semaphore.hpp>

#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>

#include <iostream>
#include <sstream>
#include <string>
#include <string_view>

using asio_semaphore::limiter;
using asio_semaphore::outcome;

/// The content type is application/openmetrics-text; version=1.0.0; charset=utf-8.
std::string metrics_page(const limiter& requests, const limiter& queries) {
    std::ostringstream first, last;
    asio_semaphore::write_openmetrics(first, requests.statistics(), "requests");
    asio_semaphore::write_openmetrics(last, queries.statistics(), "queries", {{"db", "users"}});
    std::string page = first.str();
    page.resize(page.size() - std::string_view("# EOF\n").size());
    return page + last.str();
}

int main() {
    boost::asio::io_context context;
    limiter requests(context, 2, {.max_waiting = 0});
    limiter queries(context, 10);

    requests.try_admit().finish();
    requests.try_admit().finish(boost::asio::error::timed_out);
    { auto forgotten = requests.try_admit(); } // without finish: counted as unreported
    auto held = requests.try_admit({.priority = 1}), held_too = requests.try_admit();
    requests.async_admit([](auto...) {}); // refused: both places are taken
    queries.try_admit({.weight = 4}).finish(outcome::ignored);

    std::istringstream page(metrics_page(requests, queries));
    for (std::string line; std::getline(page, line);) {
        const bool has_value = line[0] != '#' && !line.ends_with(" 0") && !line.ends_with(" 0.0");
        const bool is_bucket = line.find("_bucket") != std::string::npos;
        if (line == "# EOF" || (has_value && !is_bucket)) // only a part of the page
            std::cout << line << '\n';
    }
}
