// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// Prints the metrics of a limiter, with labels that need escaping. An argument selects others:
//
//   unused          those of an unused limiter, without labels
//   fleet           a page with those of a fleet client and a fleet semaphore
//   fleet_unused    the same of unused ones, without labels

#include <asio_semaphore/fleet/openmetrics.hpp>
#include <asio_semaphore/limiter/openmetrics.hpp>

#include "fleet/metrics.hpp"
#include "limiter/metrics.hpp"

#include <initializer_list>
#include <iostream>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>

namespace {

using asio_semaphore::write_openmetrics;
using labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

void write_page(
    const asio_semaphore::fleet_client_statistics& client,
    const asio_semaphore::fleet_statistics& limit, labels with) {
    std::ostringstream first;
    write_openmetrics(first, client, "api", with);
    const std::string text = first.str();
    std::cout << text.substr(0, text.size() - std::string_view("# EOF\n").size());
    write_openmetrics(std::cout, limit, "api", with);
}

} // namespace

int main(int count, char** arguments) {
    const labels escaped = {{"path", "C:\\new \"x\"\n}"}, {"zone", "\xc3\xa4"}};
    const std::string_view which = count > 1 ? arguments[1] : "";
    if (which == "")
        write_openmetrics(std::cout, test::distinct_statistics(), "api", escaped);
    else if (which == "unused")
        write_openmetrics(std::cout, asio_semaphore::limiter_statistics(), "api");
    else if (which == "fleet")
        write_page(test::distinct_client_statistics(), test::distinct_fleet_statistics(), escaped);
    else if (which == "fleet_unused")
        write_page({}, {}, {});
    else
        return 2;
    return std::cout.flush() ? 0 : 1;
}
