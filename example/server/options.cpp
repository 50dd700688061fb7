#include "options.hpp"

#include <boost/asio/ip/address.hpp>
#include <boost/program_options.hpp>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <iostream>
#include <limits>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace server {
namespace po = boost::program_options;
namespace {

constexpr std::int64_t one_day_in_ms = 24 * 60 * 60 * 1000;
constexpr std::int64_t one_minute_in_us = 60 * 1000 * 1000;

// The numbers are read as text first: Boost.Program_options takes "-1" for a huge unsigned number.
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
        number("--work, queries at a time,", all.substr(second + 1), 1, 1'000'000));
    return work;
}

} // namespace

std::optional<options> parse(int argc, const char* const* argv) {
    const auto cores = std::to_string(std::max(1u, std::thread::hardware_concurrency()));
    std::string address, port, threads, limit, max_wait, work;
    po::options_description known(
        "An HTTP server that handles only so many requests at a time. Options");
    known.add_options()("help", "print this and end")(
        "address", po::value(&address)->default_value("127.0.0.1"), "IP address to listen on")(
        "port", po::value(&port)->default_value("8080"), "port to listen on; 0: any free one")(
        "threads", po::value(&threads)->default_value(cores), "threads that serve")(
        "limit", po::value(&limit)->default_value("16"),
        "requests in the handler at a time; 0: no limit")(
        "max-wait", po::value(&max_wait)->default_value("1000"),
        "milliseconds that a request waits for its turn before it is answered with 503")(
        "work", po::value(&work)->default_value("100,5000,16"),
        "what the handler does: microseconds of computing, microseconds of a query to a simulated "
        "database, and how many queries that answers at a time before it slows down");

    po::variables_map given;
    try {
        // Long options alone, so that a negative number is an argument.
        const int style = po::command_line_style::allow_long |
                          po::command_line_style::long_allow_adjacent |
                          po::command_line_style::long_allow_next;
        po::options_description all; // options that the help does not name
        std::vector<std::string> unexpected;
        all.add(known).add_options()("unexpected", po::value(&unexpected));
        po::store(
            po::command_line_parser(argc, argv)
                .options(all)
                .positional(po::positional_options_description().add("unexpected", -1))
                .style(style)
                .run(),
            given);
        po::notify(given);
        if (!unexpected.empty())
            throw usage_error("unexpected argument '" + unexpected.front() + "'");
    } catch (const po::error& e) {
        throw usage_error(e.what());
    }
    if (given.count("help")) {
        std::cout << known;
        return std::nullopt;
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
    result.limit = number("--limit", limit, 0, std::numeric_limits<std::int32_t>::max());
    result.max_wait = std::chrono::milliseconds(number("--max-wait", max_wait, 0, one_day_in_ms));
    result.work = parse_work(work);
    return result;
}

} // namespace server
