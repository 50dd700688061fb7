// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include "options.hpp"

#include <CLI/CLI.hpp>
#include <boost/asio/ip/address.hpp>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <limits>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace server {
namespace {

constexpr std::int64_t one_day_in_ms = 24 * 60 * 60 * 1000;
constexpr std::int64_t one_minute_in_us = 60 * 1000 * 1000;
constexpr std::int64_t most_queries = 1'000'000;

// The initial and the largest adaptive limit. It starts low, so that the first requests show the
// latency without load; from there the limit doubles quickly.
constexpr std::ptrdiff_t first_auto_limit = 4;
constexpr int most_auto_limit = 1000;

// CLI11 passes numbers as text, so that the error message for an invalid one is ours, in one line.
std::int64_t
number(const std::string& name, std::string_view text, std::int64_t least, std::int64_t most) {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < least || value > most)
        throw usage_error(
            name + " must be a number from " + std::to_string(least) + " to " +
            std::to_string(most) + ", not '" + std::string(text) + "'");
    return value;
}

asio_semaphore::queue_order parse_order(const std::string& text) {
    using asio_semaphore::queue_order;
    for (const auto& [name, order] :
         {std::pair("fifo", queue_order::fifo), std::pair("lifo", queue_order::lifo),
          std::pair("adaptive", queue_order::adaptive)}) {
        if (text == name)
            return order;
    }
    throw usage_error("--order must be fifo, lifo or adaptive, not '" + text + "'");
}

workload parse_work(const std::string& text) {
    const auto first = text.find(',');
    const auto second = text.find(',', first == text.npos ? first : first + 1);
    if (second == text.npos)
        throw usage_error(
            "--work must be three numbers such as 100,5000,16 (microseconds of computing, "
            "microseconds of a query, queries at a time), not '" +
            text + "'");
    const std::string_view all = text;
    workload work;
    work.computing = std::chrono::microseconds(
        number("--work, computing,", all.substr(0, first), 0, one_minute_in_us));
    work.query = std::chrono::microseconds(
        number("--work, query,", all.substr(first + 1, second - first - 1), 0, one_minute_in_us));
    work.capacity = static_cast<int>(
        number("--work, queries at a time,", all.substr(second + 1), 1, most_queries));
    return work;
}

std::vector<workload::change> parse_schedule(const std::string& text) {
    std::vector<workload::change> schedule;
    std::string_view rest = text;
    for (bool more = true; more;) {
        const auto end = rest.find(',');
        more = end != rest.npos;
        const auto one = rest.substr(0, end);
        rest.remove_prefix(more ? end + 1 : rest.size());
        const auto colon = one.find(':');
        if (colon == one.npos)
            throw usage_error(
                "--work-schedule must be pairs of numbers such as 5000:8,10000:16 (milliseconds "
                "after the start, queries at a time from then on), not '" +
                text + "'");
        const std::chrono::milliseconds after(
            number("--work-schedule, milliseconds,", one.substr(0, colon), 0, one_day_in_ms));
        if (!schedule.empty() && after <= schedule.back().after)
            throw usage_error("--work-schedule must have increasing times, not '" + text + "'");
        const auto capacity =
            number("--work-schedule, queries at a time,", one.substr(colon + 1), 1, most_queries);
        schedule.push_back({after, static_cast<int>(capacity)});
    }
    return schedule;
}

fleet_address parse_fleet(const std::string& text) {
    const std::string scheme = "redis://";
    const auto slash = text.find('/', scheme.size());
    const auto host = text.substr(
        std::min(scheme.size(), text.size()), slash == text.npos ? slash : slash - scheme.size());
    const auto colon = host.rfind(':');
    fleet_address where;
    where.host = host.substr(0, colon);
    where.port = colon == host.npos ? "6379" : host.substr(colon + 1);
    where.name = slash == text.npos ? "" : text.substr(slash + 1);
    if (text.compare(0, scheme.size(), scheme) != 0 || where.host.empty() || where.name.empty())
        throw usage_error(
            "--fleet must be an address such as redis://127.0.0.1:6379/name, not '" + text + "'");
    number("--fleet, port,", where.port, 1, std::numeric_limits<std::uint16_t>::max());
    return where;
}

} // namespace

std::optional<options> parse(int argc, const char* const* argv) {
    const auto cores = std::to_string(std::max(1u, std::thread::hardware_concurrency()));
    std::string address, port, threads, limit, max_waiting, max_wait, busy_wait, order;
    std::string max_per_client, work, schedule, fleet, lease, trace;
    bool priority_header = false, dry_run = false;
    const auto limit_help =
        "requests in the handler at a time; 0: no limit; auto: an adaptive limit, found by "
        "gradient_limit, from 1 to " +
        std::to_string(most_auto_limit) + ", which starts at " + std::to_string(first_auto_limit);
    CLI::App known(
        "An HTTP server with a limit on the requests that it handles at a time.", "example_server");
    known.set_help_flag("--help", "print this help and exit");
    const auto add = [&](const char* name, std::string& value, const char* initial,
                         const std::string& help) {
        value = initial;
        return known.add_option(name, value, help)->capture_default_str();
    };
    add("--address", address, "127.0.0.1", "IP address to listen on");
    add("--port", port, "8080", "port to listen on; 0: any free one");
    add("--threads", threads, cores.c_str(), "number of threads");
    add("--limit", limit, "16", limit_help);
    add("--max-waiting", max_waiting, "100",
        "requests that may wait; when so many wait, further ones get the status 503 at once");
    add("--max-wait", max_wait, "1000",
        "milliseconds that a request may wait before it gets the status 503");
    auto* const has_busy_wait = add(
        "--busy-wait", busy_wait, "0",
        "milliseconds that replace max-wait while the queue has not been empty for max-wait: a few "
        "times the duration of a request; 0: always use max-wait");
    auto* const has_order = add(
        "--order", order, "fifo",
        "which waiting request is next: the oldest (fifo), the newest (lifo), or the newest only "
        "while the queue has not been empty for max-wait (adaptive)");
    auto* const has_max_per_client = add(
        "--max-per-client", max_per_client, "0",
        "requests of one client in the handler at a time; 0: no cap, only fair shares; the header "
        "X-Client or, without it, the address identifies a client");
    auto* const has_priority_header =
        known
            .add_flag(
                "--priority-header", priority_header,
                "take the priority of a request from the header X-Priority: from 0, the highest, "
                "to 3")
            ->disable_flag_override();
    auto* const has_dry_run =
        known
            .add_flag(
                "--dry-run", dry_run,
                "admit all requests, and count those that the limit would have held back")
            ->disable_flag_override();
    add("--work", work, "100,5000,16",
        "the work of a request: microseconds of computing, microseconds of a query to a simulated "
        "database, and how many queries at a time the database answers before it slows down");
    const auto* const has_schedule =
        add("--work-schedule", schedule, "",
            "changes of the last number of --work, to show how the limit adapts: 5000:8,10000:16 "
            "sets it to 8 five seconds after the start, and to 16 after ten");
    auto* const has_fleet =
        add("--fleet", fleet, "",
            "share --limit with all servers that use the same name on the same Redis or Valkey: "
            "redis://127.0.0.1:6379/name; --max-waiting and --max-wait apply to each server");
    for (auto* const of_a_limiter :
         {has_busy_wait, has_order, has_max_per_client, has_priority_header, has_dry_run})
        has_fleet->excludes(of_a_limiter);
    add("--fleet-lease", lease, "10000",
        "milliseconds until the permits of a crashed server are available again")
        ->needs(has_fleet);
    add("--trace", trace, "", "a file for the start and end of each handler, in nanoseconds");

    try {
        known.parse(argc, argv);
    } catch (const CLI::CallForHelp&) {
        std::cout << known.help();
        return std::nullopt;
    } catch (const CLI::ParseError& e) {
        std::string why = e.what();
        // This message of CLI11 names a flag without the dashes.
        if (e.get_name() == "ArgumentMismatch" && why.find("--") == why.npos)
            why.insert(0, "--");
        throw usage_error(why);
    }

    options result;
    boost::system::error_code ec;
    const auto ip = boost::asio::ip::make_address(address, ec);
    if (ec)
        throw usage_error("--address must be an IP address, not '" + address + "'");
    result.endpoint = {
        ip, static_cast<std::uint16_t>(
                number("--port", port, 0, std::numeric_limits<std::uint16_t>::max()))};
    result.threads = static_cast<int>(number("--threads", threads, 1, 1024));
    auto& limiter = result.limiter;
    if (limit == "auto") {
        result.limit = first_auto_limit;
        asio_semaphore::gradient_limit_options bounds;
        bounds.max_limit = most_auto_limit;
        limiter.algorithm = asio_semaphore::gradient_limit(bounds);
    } else {
        result.limit = number(
            "--limit, if it is not auto,", limit, 0, std::numeric_limits<std::int32_t>::max());
    }
    limiter.max_waiting = static_cast<std::size_t>(
        number("--max-waiting", max_waiting, 0, std::numeric_limits<std::int32_t>::max()));
    limiter.max_wait = std::chrono::milliseconds(number("--max-wait", max_wait, 0, one_day_in_ms));
    limiter.busy_wait =
        std::chrono::milliseconds(number("--busy-wait", busy_wait, 0, one_day_in_ms));
    if (limiter.busy_wait > limiter.max_wait)
        throw usage_error(
            "--busy-wait must not be more than --max-wait, which is " + max_wait + ", not '" +
            busy_wait + "'");
    limiter.order = parse_order(order);
    limiter.max_per_key =
        number("--max-per-client", max_per_client, 0, std::numeric_limits<std::int32_t>::max());
    limiter.enforce = !dry_run;
    result.priority_header = priority_header;
    result.work = parse_work(work);
    if (has_schedule->count() > 0)
        result.work.schedule = parse_schedule(schedule);
    if (has_fleet->count() > 0) {
        result.fleet = parse_fleet(fleet);
        result.fleet->lease =
            std::chrono::milliseconds(number("--fleet-lease", lease, 50, one_day_in_ms));
        if (limiter.max_waiting == 0)
            throw usage_error("--fleet needs a --max-waiting from 1 on, not '" + max_waiting + "'");
        if (limit == "auto" || result.limit == 0)
            throw usage_error(
                "--fleet needs a --limit that is a number from 1 on, not '" + limit + "'");
#if !defined(EXAMPLE_FLEET)
        throw usage_error("--fleet needs a build with -DASIO_SEMAPHORE_FLEET=ON");
#endif
    }
    result.trace = trace;
    return result;
}

} // namespace server
