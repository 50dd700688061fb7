// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// The text of the fleet's statistics. The tests of the limiter's text cover what the two have in
// common.

#include <asio_semaphore/fleet/openmetrics.hpp>

#include "golden_text.hpp"
#include "metrics.hpp"

#include <asio_semaphore/limiter/openmetrics.hpp>
#include <limiter/exposition.hpp>
#include <support/seed.hpp>

#include <boost/test/unit_test.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iomanip>
#include <limits>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

using namespace test;
using asio_semaphore::duration_histogram;
using asio_semaphore::fleet_client_statistics;
using asio_semaphore::fleet_statistics;
using asio_semaphore::limiter_statistics;
using asio_semaphore::write_openmetrics;

namespace {

using labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;
using all_statistics = std::tuple<fleet_statistics, fleet_client_statistics>;

template <typename Statistics>
std::string text_of(const Statistics& s, std::string_view prefix = "api", labels with = {}) {
    std::ostringstream out;
    write_openmetrics(out, s, prefix, with);
    return out.str();
}

std::string without_end(std::string text) {
    text.resize(text.size() - std::string_view("# EOF\n").size());
    return text;
}

struct line {
    const char* name;
    label_set labels;
    std::uint64_t value;
};

void expect(const exposition& text, const std::vector<line>& lines) {
    for (const line& l : lines)
        BOOST_TEST_CONTEXT(l.name) {
            BOOST_TEST(text.value(l.name, l.labels) == std::to_string(l.value));
        }
}

void expect_histogram(
    const exposition& text, const std::string& name, const duration_histogram& h,
    const std::string& sum) {
    BOOST_TEST(
        text.value(name + "_bucket", {{"le", "0.0001"}}) == std::to_string(h.counts.front()));
    BOOST_TEST(
        text.value(name + "_bucket", {{"le", "50.0"}}) ==
        std::to_string(h.count() - h.counts.back()));
    BOOST_TEST(text.value(name + "_count") == std::to_string(h.count()));
    BOOST_TEST(text.value(name + "_sum") == sum);
}

constexpr std::size_t histogram_lines = duration_histogram::bounds.size() + 3;

void expect_families(
    const exposition& text, const std::vector<std::vector<std::string>>& expected) {
    BOOST_TEST_REQUIRE(text.families().size() == expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
        const family& f = text.families()[i];
        BOOST_TEST(f.name == "api_" + expected[i][0]);
        BOOST_TEST(f.type == expected[i][1]);
        BOOST_TEST(f.unit == expected[i][2]);
    }
}

} // namespace

BOOST_AUTO_TEST_SUITE(fleet_openmetrics)

BOOST_AUTO_TEST_CASE(the_whole_text_of_a_semaphore_to_the_byte) {
    const std::string text =
        text_of(distinct_fleet_statistics(), "api", {{"path", "C:\\new \"x\"\n"}, {"zone", "b"}});
    BOOST_TEST(text == golden_fleet_text);
    const exposition read(text);
    BOOST_TEST(read.value("api_held", {{"path", "C:\\new \"x\"\n"}, {"zone", "b"}}) == "22");
}

BOOST_AUTO_TEST_CASE(the_whole_text_of_a_client_to_the_byte) {
    const std::string text =
        text_of(distinct_client_statistics(), "api", {{"path", "C:\\new \"x\"\n"}, {"zone", "b"}});
    BOOST_TEST(text == golden_client_text);
    const exposition read(text);
    BOOST_TEST(read.value("api_connected", {{"path", "C:\\new \"x\"\n"}, {"zone", "b"}}) == "1");
}

// A new member has no name here, so that the test does not compile until it has one.
BOOST_AUTO_TEST_CASE(every_number_of_a_semaphore_is_on_its_line) {
    const fleet_statistics s = distinct_fleet_statistics();
    const auto& [granted, queued, timed_out, cancelled, failed, lost_by_deadline, lost_by_server, readmitted, renewals, renewals_late, repairs, waiting, held, wait] =
        s;
    const exposition text(text_of(s, "x_1"));
    const std::vector<line> lines = {
        {"x_1_held", {}, held},
        {"x_1_waiting", {}, waiting},
        {"x_1_granted_total", {}, granted},
        {"x_1_refused_total", {{"reason", "timed_out"}}, timed_out},
        {"x_1_refused_total", {{"reason", "cancelled"}}, cancelled},
        {"x_1_refused_total", {{"reason", "failed"}}, failed},
        {"x_1_queued_total", {}, queued},
        {"x_1_lost_total", {{"reason", "deadline"}}, lost_by_deadline},
        {"x_1_lost_total", {{"reason", "server"}}, lost_by_server},
        {"x_1_readmitted_total", {}, readmitted},
        {"x_1_renewals_total", {}, renewals},
        {"x_1_renewals_late_total", {}, renewals_late},
        {"x_1_repairs_total", {}, repairs}};
    expect(text, lines);
    expect_histogram(text, "x_1_wait_seconds", wait, "123.456789");
    BOOST_TEST(text.lines() == lines.size() + histogram_lines);
}

BOOST_AUTO_TEST_CASE(every_number_of_a_client_is_on_its_line) {
    const fleet_client_statistics s = distinct_client_statistics();
    const auto& [connections, calls, commands, pushes, rejected, stale, round_trip, connected] = s;
    const exposition text(text_of(s, "x_1"));
    const std::vector<line> lines = {
        {"x_1_connected", {}, connected}, {"x_1_connections_total", {}, connections},
        {"x_1_calls_total", {}, calls},   {"x_1_commands_total", {}, commands},
        {"x_1_pushes_total", {}, pushes}, {"x_1_rejected_total", {}, rejected},
        {"x_1_stale_total", {}, stale}};
    expect(text, lines);
    expect_histogram(text, "x_1_round_trip_seconds", round_trip, "1.000000007");
    BOOST_TEST(text.lines() == lines.size() + histogram_lines);
    BOOST_TEST(exposition(text_of(fleet_client_statistics())).value("api_connected") == "0");
}

BOOST_AUTO_TEST_CASE(families_have_their_types_and_units) {
    expect_families(
        exposition(text_of(fleet_statistics())), {{"held", "gauge", ""},
                                                  {"waiting", "gauge", ""},
                                                  {"granted", "counter", ""},
                                                  {"refused", "counter", ""},
                                                  {"queued", "counter", ""},
                                                  {"lost", "counter", ""},
                                                  {"readmitted", "counter", ""},
                                                  {"renewals", "counter", ""},
                                                  {"renewals_late", "counter", ""},
                                                  {"repairs", "counter", ""},
                                                  {"wait_seconds", "histogram", "seconds"}});
    expect_families(
        exposition(text_of(fleet_client_statistics())),
        {{"connected", "gauge", ""},
         {"connections", "counter", ""},
         {"calls", "counter", ""},
         {"commands", "counter", ""},
         {"pushes", "counter", ""},
         {"rejected", "counter", ""},
         {"stale", "counter", ""},
         {"round_trip_seconds", "histogram", "seconds"}});
}

BOOST_AUTO_TEST_CASE(any_statistics_become_a_valid_text_of_as_many_lines) {
    const auto seed = test::seed();
    std::mt19937_64 random(seed);
    // Small enough that a sum of them does not overflow.
    const auto any = [&] {
        return random() >> (8 + random() % 56);
    };
    const std::size_t lines = exposition(text_of(fleet_statistics())).lines();
    const std::size_t client_lines = exposition(text_of(fleet_client_statistics())).lines();
    for (unsigned i = 0; i < 200; ++i) {
        fleet_statistics s;
        for (auto* count :
             {&s.granted, &s.queued, &s.timed_out, &s.cancelled, &s.failed, &s.lost_by_deadline,
              &s.lost_by_server, &s.readmitted, &s.renewals, &s.renewals_late, &s.repairs})
            *count = any();
        s.waiting = static_cast<std::size_t>(any());
        s.held = static_cast<std::size_t>(any());
        fleet_client_statistics client;
        for (auto* count :
             {&client.connections, &client.calls, &client.commands, &client.pushes,
              &client.rejected, &client.stale})
            *count = any();
        client.connected = any() % 2 == 0;
        for (auto* h : {&s.wait, &client.round_trip}) {
            for (auto& count : h->counts)
                count = any();
            h->sum = std::chrono::nanoseconds(any());
        }
        const std::string text = text_of(s, "a", {{"x", std::string(i % 5, '\\')}});
        const std::string client_text = text_of(client, "a", {{"x", std::string(i % 5, '\n')}});
        BOOST_TEST_CONTEXT(text << client_text) {
            BOOST_TEST_REQUIRE(exposition(text).lines() == lines);
            BOOST_TEST_REQUIRE(exposition(client_text).lines() == client_lines);
        }
    }
}

BOOST_AUTO_TEST_CASE(the_largest_numbers_are_written_correctly) {
    fleet_statistics s;
    s.held = std::numeric_limits<std::size_t>::max();
    s.granted = std::numeric_limits<std::uint64_t>::max();
    s.wait.counts.back() = std::numeric_limits<std::uint64_t>::max();
    s.wait.sum = std::chrono::nanoseconds::max();
    const exposition text(text_of(s));
    BOOST_TEST(text.value("api_held") == std::to_string(s.held));
    BOOST_TEST(text.value("api_granted_total") == "18446744073709551615");
    BOOST_TEST(text.value("api_wait_seconds_count") == "18446744073709551615");
    BOOST_TEST(text.value("api_wait_seconds_sum") == "9223372036.854775807");
}

BOOST_AUTO_TEST_CASE(a_client_and_its_semaphore_share_a_page_and_a_prefix) {
    const std::string client = without_end(text_of(distinct_client_statistics(), "reports"));
    const exposition page(client + text_of(distinct_fleet_statistics(), "reports"));
    BOOST_TEST(page.value("reports_connected") == "1");
    BOOST_TEST(page.value("reports_granted_total") == "301");
}

BOOST_AUTO_TEST_CASE(other_metrics_on_the_page_need_prefixes_of_their_own) {
    const std::string first = without_end(text_of(fleet_statistics(), "reports"));
    BOOST_CHECK_NO_THROW((void)exposition(first + text_of(fleet_statistics(), "exports")));
    BOOST_CHECK_NO_THROW((void)exposition(first + text_of(limiter_statistics(), "http")));
    BOOST_CHECK_THROW(
        (void)exposition(first + text_of(fleet_statistics(), "reports", {{"of", "b"}})),
        std::runtime_error);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(
    invalid_names_are_refused_and_nothing_is_written, Statistics, all_statistics) {
    std::ostringstream out;
    for (const std::string prefix : {"", "_", "1api", "api-1", "job:api", "api\n", "\xc3\xa4"})
        BOOST_TEST_CONTEXT(prefix) {
            BOOST_CHECK_THROW(write_openmetrics(out, Statistics(), prefix), std::invalid_argument);
        }
    for (const std::string name :
         {"", "_a", "1", "a-b", "a:b", "\xc3\xa4", "le", "priority", "reason", "outcome", "same"})
        BOOST_TEST_CONTEXT(name) {
            BOOST_CHECK_THROW(
                write_openmetrics(out, Statistics(), "api", {{"same", "x"}, {name, "y"}}),
                std::invalid_argument);
        }
    BOOST_TEST(out.str() == "");
}

BOOST_AUTO_TEST_CASE_TEMPLATE(
    the_settings_of_the_stream_have_no_influence_and_stay, Statistics, all_statistics) {
    std::ostringstream out;
    out << std::hex << std::showbase << std::showpos << std::setfill('*') << std::setw(20);
    const auto flags = out.flags();
    write_openmetrics(out, Statistics(), "api");
    BOOST_TEST(out.str() == text_of(Statistics()));
    BOOST_TEST((out.flags() == flags));
    BOOST_TEST(out.fill() == '*');
    BOOST_TEST(out.width() == 20);
}

BOOST_AUTO_TEST_SUITE_END()
