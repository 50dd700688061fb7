// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// The metrics that write_openmetrics prints. L86 and L87 are scenarios of the limiter's contract.

#include <asio_semaphore/limiter/openmetrics.hpp>

#include "exposition.hpp"
#include "golden_text.hpp"
#include "metrics.hpp"

#include <support/seed.hpp>

#include <boost/test/unit_test.hpp>

#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <initializer_list>
#include <iomanip>
#include <limits>
#include <locale>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace test;
using namespace std::chrono_literals;
using asio_semaphore::duration_histogram;
using asio_semaphore::limiter_statistics;
using asio_semaphore::write_openmetrics;

namespace {

using labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

std::string
text_of(const limiter_statistics& s, std::string_view prefix = "api", labels with = {}) {
    std::ostringstream out;
    write_openmetrics(out, s, prefix, with);
    return out.str();
}

std::string limit_of(double limit) {
    limiter_statistics s;
    s.limit = limit;
    return exposition(text_of(s)).value("api_limit");
}

// The punctuation of a language that writes 1.234.567,8.
struct another_punctuation : std::numpunct<char> {
    char do_decimal_point() const override { return ','; }
    char do_thousands_sep() const override { return '.'; }
    std::string do_grouping() const override { return "\3"; }
    std::string do_truename() const override { return "wahr"; }
};

const std::locale another_locale(std::locale::classic(), new another_punctuation);

std::string replaced(std::string text, const std::string& what, const std::string& by) {
    const std::size_t at = text.find(what);
    BOOST_REQUIRE(at != text.npos);
    return text.replace(at, what.size(), by);
}

} // namespace

BOOST_AUTO_TEST_SUITE(limiter_openmetrics)

BOOST_AUTO_TEST_CASE(L86_buckets_are_cumulative_and_contain_their_bounds) {
    limiter_statistics s;
    for (const auto wait : {0us, 100us, 150us, 7000us, 60000000us})
        s.wait.add(wait);
    const exposition text(text_of(s));
    const std::pair<const char*, const char*> expected[] = {
        {"0.0001", "2"}, {"0.0002", "3"}, {"0.0005", "3"}, {"0.001", "3"}, {"0.002", "3"},
        {"0.005", "3"},  {"0.01", "4"},   {"0.02", "4"},   {"0.05", "4"},  {"0.1", "4"},
        {"0.2", "4"},    {"0.5", "4"},    {"1.0", "4"},    {"2.0", "4"},   {"5.0", "4"},
        {"10.0", "4"},   {"20.0", "4"},   {"50.0", "4"},   {"+Inf", "5"}};
    for (const auto& [bound, count] : expected)
        BOOST_TEST_CONTEXT(bound) {
            BOOST_TEST(text.value("api_wait_seconds_bucket", {{"le", bound}}) == count);
        }
    BOOST_TEST(text.value("api_wait_seconds_count") == "5");
    BOOST_TEST(text.value("api_wait_seconds_sum") == "60.00725");
    BOOST_TEST(text.value("api_latency_seconds_bucket", {{"le", "+Inf"}}) == "0");
    BOOST_TEST(text.value("api_latency_seconds_sum") == "0.0");
}

BOOST_AUTO_TEST_CASE(L87_the_whole_text_to_the_byte) {
    const std::string text =
        text_of(distinct_statistics(), "api", {{"path", "C:\\new \"x\"\n"}, {"zone", "b"}});
    BOOST_TEST(text == golden_text);
    const exposition read(text);
    BOOST_TEST(read.value("api_keys", {{"path", "C:\\new \"x\"\n"}, {"zone", "b"}}) == "24");
}

BOOST_AUTO_TEST_CASE(every_number_is_on_its_line) {
    const limiter_statistics s = distinct_statistics();
    const exposition text(text_of(s, "x_1"));
    const auto is = [&](const char* name, const label_set& with, const std::string& value) {
        BOOST_TEST_CONTEXT(name) {
            BOOST_TEST(text.value(name, with) == value);
        }
    };
    is("x_1_limit", {}, "20.05");
    is("x_1_in_flight", {}, "21");
    is("x_1_running", {}, "22");
    is("x_1_waiting", {}, "23");
    is("x_1_keys", {}, "24");
    is("x_1_expected_wait_seconds", {}, "1.25");
    for (std::size_t i = 0; i < 4; ++i) {
        const auto& p = s.priorities[i];
        const std::pair<const char*, std::uint64_t> refusals[] = {
            {"queue_full", p.queue_full},
            {"shed", p.shed},
            {"timed_out", p.timed_out},
            {"cancelled", p.cancelled},
            {"closed", p.closed}};
        is("x_1_admitted_total", {{"priority", std::to_string(i)}}, std::to_string(p.admitted));
        for (const auto& [reason, count] : refusals) {
            is("x_1_refused_total", {{"priority", std::to_string(i)}, {"reason", reason}},
               std::to_string(count));
        }
    }
    is("x_1_finished_total", {{"outcome", "success"}}, "201");
    is("x_1_finished_total", {{"outcome", "overloaded"}}, "202");
    is("x_1_finished_total", {{"outcome", "ignored"}}, "203");
    is("x_1_unreported_total", {}, "204");
    is("x_1_over_limit_total", {}, "205");
    is("x_1_algorithm_failures_total", {}, "206");
    is("x_1_wait_seconds_bucket", {{"le", "0.0001"}}, "1");
    is("x_1_wait_seconds_bucket", {{"le", "50.0"}}, "171");
    is("x_1_wait_seconds_count", {}, "190");
    is("x_1_wait_seconds_sum", {}, "123.456789");
    is("x_1_latency_seconds_bucket", {{"le", "0.0001"}}, "40");
    is("x_1_latency_seconds_count", {}, "1102");
    is("x_1_latency_seconds_sum", {}, "1.000000007");
}

BOOST_AUTO_TEST_CASE(families_have_their_types_and_units) {
    const std::vector<std::vector<std::string>> expected = {
        {"limit", "gauge", ""},
        {"in_flight", "gauge", ""},
        {"running", "gauge", ""},
        {"waiting", "gauge", ""},
        {"keys", "gauge", ""},
        {"expected_wait_seconds", "gauge", "seconds"},
        {"admitted", "counter", ""},
        {"refused", "counter", ""},
        {"finished", "counter", ""},
        {"unreported", "counter", ""},
        {"over_limit", "counter", ""},
        {"algorithm_failures", "counter", ""},
        {"wait_seconds", "histogram", "seconds"},
        {"latency_seconds", "histogram", "seconds"}};
    const exposition text(text_of({}));
    BOOST_TEST_REQUIRE(text.families().size() == expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
        const family& f = text.families()[i];
        BOOST_TEST(f.name == "api_" + expected[i][0]);
        BOOST_TEST(f.type == expected[i][1]);
        BOOST_TEST(f.unit == expected[i][2]);
    }
}

BOOST_AUTO_TEST_CASE(L88_any_statistics_become_a_valid_text_of_as_many_lines) {
    const auto seed = test::seed();
    std::mt19937_64 random(seed);
    // Small enough that their sums do not overflow.
    const auto any = [&] {
        return random() >> (8 + random() % 56);
    };
    const std::size_t lines = exposition(text_of({})).lines();
    for (unsigned i = 0; i < 200; ++i) {
        limiter_statistics s;
        s.limit = std::ldexp(static_cast<double>(any()), static_cast<int>(random() % 200) - 100);
        s.in_flight = static_cast<std::ptrdiff_t>(any());
        s.keys = static_cast<std::size_t>(any());
        s.expected_wait = std::chrono::nanoseconds(any());
        for (auto& p : s.priorities)
            p = {any(), any(), any(), any(), any(), any()};
        for (auto* h : {&s.wait, &s.latency}) {
            for (auto& count : h->counts)
                count = any();
            h->sum = std::chrono::nanoseconds(any());
        }
        const std::string text = text_of(s, "a", {{"x", std::string(i % 5, '\\')}});
        BOOST_TEST_CONTEXT(text) {
            BOOST_REQUIRE_NO_THROW((void)exposition(text));
            BOOST_TEST_REQUIRE(exposition(text).lines() == lines);
        }
    }
}

BOOST_AUTO_TEST_CASE(the_settings_of_the_stream_have_no_influence_and_stay) {
    const std::string plain = text_of(distinct_statistics());
    std::ostringstream out;
    out.imbue(another_locale);
    out << std::hex << std::showbase << std::showpos << std::uppercase << std::scientific
        << std::left << std::boolalpha << std::setprecision(2) << std::setfill('*')
        << std::setw(20);
    const auto flags = out.flags();
    write_openmetrics(out, distinct_statistics(), "api");
    BOOST_TEST(out.str() == plain);
    BOOST_TEST((out.flags() == flags));
    BOOST_TEST(out.precision() == 2);
    BOOST_TEST(out.fill() == '*');
    BOOST_TEST(out.width() == 20);
    BOOST_TEST((out.getloc() == another_locale));
}

BOOST_AUTO_TEST_CASE(the_global_locale_has_no_influence) {
    limiter_statistics s = distinct_statistics();
    s.limit = 1234567.5;
    s.in_flight = 1234567;
    s.succeeded = 1234567;
    const std::string plain = text_of(s);
    const std::locale before = std::locale::global(another_locale);
    const std::string text = text_of(s);
    std::locale::global(before);
    BOOST_TEST(text == plain);
    BOOST_TEST(exposition(text).value("api_limit") == "1234567.5");
}

BOOST_AUTO_TEST_CASE(limits_are_written_briefly_and_read_back_unchanged) {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const double infinity = std::numeric_limits<double>::infinity();
    const std::pair<double, const char*> expected[] = {
        {0, "0"},
        {1, "1"},
        {20, "20"},
        {20.05, "20.05"},
        {0.1, "0.1"},
        {-3.5, "-3.5"},
        {1000000, "1000000"},
        {123456789012345, "123456789012345"},
        {1e300, "1e+300"},
        {1e-7, "1e-07"},
        {0.1 + 0.2, "0.30000000000000004"},
        {nan, "NaN"},
        {-nan, "NaN"},
        {infinity, "+Inf"},
        {-infinity, "-Inf"}};
    for (const auto& [limit, text] : expected)
        BOOST_TEST(limit_of(limit) == text);
    for (const double limit :
         {1.0 / 3, 20 * 1.1 * 1.1, 1e22, 4.9406564584124654e-324,
          std::numeric_limits<double>::max()})
        BOOST_TEST(std::strtod(limit_of(limit).c_str(), nullptr) == limit);
}

BOOST_AUTO_TEST_CASE(the_largest_and_smallest_numbers_are_written_correctly) {
    using duration = duration_histogram::duration;
    limiter_statistics s;
    s.in_flight = std::numeric_limits<std::ptrdiff_t>::min();
    s.waiting = std::numeric_limits<std::size_t>::max();
    s.unreported = std::numeric_limits<std::uint64_t>::max();
    s.expected_wait = std::chrono::nanoseconds::min();
    s.wait.counts[18] = std::numeric_limits<std::uint64_t>::max();
    s.wait.sum = std::chrono::nanoseconds::max();
    s.latency.counts[0] = 1;
    s.latency.sum = duration(-1); // as if the clock had gone back
    const exposition text(text_of(s));
    BOOST_TEST(text.value("api_in_flight") == std::to_string(s.in_flight));
    BOOST_TEST(text.value("api_waiting") == std::to_string(s.waiting));
    BOOST_TEST(text.value("api_unreported_total") == "18446744073709551615");
    BOOST_TEST(text.value("api_expected_wait_seconds") == "-9223372036.854775808");
    BOOST_TEST(text.value("api_wait_seconds_count") == "18446744073709551615");
    BOOST_TEST(text.value("api_wait_seconds_bucket", {{"le", "50.0"}}) == "0");
    BOOST_TEST(text.value("api_wait_seconds_sum") == "9223372036.854775807");
    BOOST_TEST(text.value("api_latency_seconds_sum") == "0.0");
}

BOOST_AUTO_TEST_CASE(invalid_names_are_refused_and_nothing_is_written) {
    std::ostringstream out;
    for (const std::string prefix :
         {"", "_", "_api", "1api", "api-1", "api limit", "job:api", "api\n", "\xc3\xa4", "api{"})
        BOOST_TEST_CONTEXT(prefix) {
            BOOST_CHECK_THROW(write_openmetrics(out, {}, prefix), std::invalid_argument);
        }
    BOOST_CHECK_THROW(write_openmetrics(out, {}, std::string_view("a\0b", 3)), std::exception);
    for (const std::string name :
         {"", "_", "_a", "__name__", "1", "a-b", "a b", "a:b", "a\n", "a=", "\xc3\xa4", "le",
          "priority", "reason", "outcome", "same"})
        BOOST_TEST_CONTEXT(name) {
            BOOST_CHECK_THROW(
                write_openmetrics(out, {}, "api", {{"same", "x"}, {name, "y"}}),
                std::invalid_argument);
        }
    BOOST_TEST(out.str() == "");
}

BOOST_AUTO_TEST_CASE(valid_names_and_values_are_written_unchanged) {
    for (const std::string name : {"a", "Z", "a_", "a__b", "aZ09", "lee", "l", "prioritys"}) {
        for (const std::string value :
             {"", "\\", "\"", "\n", "\\n", "\\\\\"\n\\", "}", "# EOF", "a,b=\"c\"", "\xc3\xa4\r\t",
              " "}) {
            BOOST_TEST_CONTEXT(name << " " << value) {
                const exposition text(text_of({}, name, {{name, value}}));
                BOOST_TEST(text.value(name + "_limit", {{name, value}}) == "0");
                BOOST_TEST(
                    text.value(
                        name + "_refused_total",
                        {{name, value}, {"priority", "3"}, {"reason", "shed"}}) == "0");
                BOOST_TEST(
                    text.value(name + "_wait_seconds_bucket", {{name, value}, {"le", "1.0"}}) ==
                    "0");
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(several_limiters_share_a_page_under_different_prefixes) {
    std::string page = text_of({}, "reads");
    page.resize(page.size() - std::string("# EOF\n").size());
    BOOST_CHECK_NO_THROW((void)exposition(page + text_of({}, "writes")));
    BOOST_CHECK_THROW(
        (void)exposition(page + text_of({}, "reads", {{"of", "b"}})), std::runtime_error);
}

BOOST_AUTO_TEST_CASE(a_failing_stream_is_treated_like_other_output_functions_do) {
    std::ostream nowhere(nullptr);
    BOOST_CHECK_NO_THROW(write_openmetrics(nowhere, {}, "api"));
    BOOST_TEST(nowhere.bad());
    nowhere.clear(std::ios::badbit);
    BOOST_CHECK_THROW(nowhere.exceptions(std::ios::badbit), std::ios_base::failure);
    BOOST_CHECK_THROW(write_openmetrics(nowhere, {}, "api"), std::ios_base::failure);
}

// The cases above rely on the parser, so it has to reject damaged text.
BOOST_AUTO_TEST_CASE(the_parser_rejects_a_damaged_text) {
    const std::string text = text_of(distinct_statistics(), "a", {{"l", "x\\\"\n"}});
    BOOST_REQUIRE_NO_THROW((void)exposition(text));
    const std::string label = R"(l="x\\\"\n")";
    const std::string damaged[] = {
        "",
        text + "\n",
        text + "# EOF\n",
        text.substr(0, text.size() - 1),
        replaced(text, "# EOF\n", ""),
        replaced(text, "# TYPE a_limit gauge\n", ""),
        replaced(text, "# TYPE a_limit gauge\n", "# TYPE a_limit gauge\n# TYPE a_limit gauge\n"),
        replaced(text, "# TYPE a_limit gauge\n", "\n"),
        replaced(text, "a_limit gauge", "a_limit number"),
        replaced(text, "a_limit gauge", "a_limit counter"),
        replaced(text, "# UNIT a_wait_seconds seconds", "# UNIT a_wait_seconds ms"),
        replaced(text, "a_limit{" + label + "} 20.05\n", ""),
        replaced(text, "a_limit{" + label + "} 20.05\n", "a_limit 1\na_limit 1\n"),
        replaced(text, "a_limit{" + label + "} 20.05", "a_limit{" + label + "} 20,05"),
        replaced(text, "a_limit{" + label + "} 20.05", "a_limit{" + label + "} nan"),
        replaced(text, "a_limit{" + label + "} 20.05", "a_limit{" + label + "}  20.05"),
        replaced(text, "a_limit{" + label + "} 20.05", "a_limit{" + label + ",} 20.05"),
        replaced(text, "a_limit{" + label + "}", "a_limit{" + label + "," + label + "}"),
        replaced(text, "a_limit{" + label + "}", "a_limit{l=\"x\\t\"}"),
        replaced(text, "a_limit{" + label + "}", "a_limit{l=\"x\"\"}"),
        replaced(text, "a_limit{" + label + "}", "a_limit{_l=\"x\"}"),
        replaced(text, "a_keys{", "a_limit{"),
        replaced(text, "a_unreported_total{", "a_unreported{"),
        replaced(text, "a_unreported_total{" + label + "} 2", "a_unreported_total -2"),
        replaced(text, "le=\"0.001\"} 10", "le=\"0.001\"} 5"),
        replaced(text, "le=\"0.001\"", "le=\"0.01\""),
        replaced(text, "le=\"1.0\"", "le=\"1\""),
        replaced(text, "le=\"+Inf\"} 190\n", "le=\"100.0\"} 190\n"),
        replaced(text, "le=\"+Inf\"} 190\n", "le=\"+Inf\"} 191\n"),
        replaced(text, "a_wait_seconds_count{" + label + "} 190\n", ""),
        replaced(text, "a_wait_seconds_sum{" + label + "} 123.456789\n", ""),
        replaced(text, "a_wait_seconds_sum{" + label + "} 123", "a_wait_seconds_sum -123")};
    for (const std::string& d : damaged)
        BOOST_TEST_CONTEXT(d) {
            BOOST_CHECK_THROW((void)exposition(d), std::exception);
        }
}

BOOST_AUTO_TEST_SUITE_END()
