// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// The protocol between a client and the script, as text and numbers.

#include <asio_semaphore/detail/fleet/protocol.hpp>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fleet = asio_semaphore::detail::fleet;
using fleet::call_status;
using fleet::command;
using fleet::failure;
using fleet::reply_node;
using fleet::verb;
using fleet::verdict;

namespace {

using list = std::vector<std::int64_t>;

// The script's answer as the connection delivers it.
std::vector<reply_node> nodes(
    const list& head, const list& results = {}, const list& granted = {},
    const list& exceeded = {}) {
    std::vector<reply_node> all{{0, true, head.size() + 3, 0}};
    for (const auto number : head)
        all.push_back({1, false, 0, number});
    for (const auto* part : {&results, &granted, &exceeded}) {
        all.push_back({1, true, part->size(), 0});
        for (const auto number : *part)
            all.push_back({2, false, 0, number});
    }
    return all;
}

const list some_head{0, 5000, 4000000, 1, 10, 4000007, 3, 2, 400, 1, 250, 1};

const std::vector<command> some_commands{
    {verb::acquire, {1, 1, 400}}, {verb::inspect}, {verb::renew, {2, 3, 400}, 7, 5200}};

const list some_results{1, 1, 4000005, 5400, 1, 11, 6, 4000001, 1, 9, 0, 5400};

} // namespace

BOOST_AUTO_TEST_SUITE(fleet_protocol)

BOOST_AUTO_TEST_CASE(a_client_is_named_by_32_hexadecimal_digits_and_no_two_alike) {
    std::set<std::string> names;
    for (int i = 0; i < 100; ++i) {
        const auto name = fleet::random_client_name();
        BOOST_TEST(name.size() == 32u);
        BOOST_TEST(name.find_first_not_of("0123456789abcdef") == std::string::npos);
        names.insert(name);
    }
    BOOST_TEST(names.size() == 100u);
}

BOOST_AUTO_TEST_CASE(a_request_is_named_by_its_client_its_number_its_weight_and_its_lease) {
    BOOST_TEST(fleet::to_text("c0ffee", {17, 3, 10000}) == "c0ffee.17.3.10000");
    BOOST_TEST(fleet::channel_of("c0ffee") == "asem:c:c0ffee");
}

BOOST_AUTO_TEST_CASE(a_call_names_the_five_keys_then_the_client_and_then_the_commands) {
    fleet::call c;
    c.name = "db";
    c.presence = 900;
    c.lease = 400;
    c.limit = 10;
    c.seen = 9007199254740991;
    c.commands = {
        {verb::acquire, {1, 2, 400}},
        {verb::try_acquire, {2, 1, 400}},
        {verb::give_back, {3, 1, 400}},
        {verb::renew, {4, 1, 400}, 77, 1234},
        {verb::ask, {5, 1, 400}},
        {verb::set_limit, {}, 0, 0, 12},
        {verb::inspect}};
    const std::vector<std::string> expected{
        "5",
        "asem:{db}:m",
        "asem:{db}:l",
        "asem:{db}:f",
        "asem:{db}:q",
        "asem:{db}:c",
        "1",
        "c0ffee",
        "3",
        "900",
        "400",
        "10",
        "",
        "9007199254740991",
        "0",
        "A",
        ".2.400",
        "1",
        "T",
        ".1.400",
        "2",
        "R",
        ".1.400",
        "3",
        "N",
        ".1.400",
        "1234",
        "4",
        "77",
        "W",
        ".1.400",
        "5",
        "L",
        "12",
        "I"};
    const auto words = fleet::to_arguments(c, "c0ffee", 3);
    BOOST_TEST(words == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(like_commands_share_a_verb_and_consecutive_serials_one_word) {
    const auto said = [](const std::vector<command>& commands) {
        fleet::call c;
        c.name = "x";
        c.commands = commands;
        const auto words = fleet::to_arguments(c, "a", 1);
        std::string text;
        for (std::size_t i = 15; i < words.size(); ++i)
            text += (i == 15 ? "" : " ") + words[i];
        return text;
    };
    BOOST_TEST(said({}) == "");
    BOOST_TEST(
        said(
            {{verb::give_back, {7, 1, 400}},
             {verb::give_back, {8, 1, 400}},
             {verb::give_back, {9, 1, 400}},
             {verb::give_back, {11, 1, 400}},
             {verb::give_back, {10, 1, 400}},
             {verb::give_back, {11, 2, 400}},
             {verb::acquire, {12, 2, 400}},
             {verb::acquire, {13, 2, 500}},
             {verb::acquire, {14, 2, 500}}}) ==
        "R .1.400 7+2 11 10 R .2.400 11 A .2.400 12 A .2.500 13+1");
    // Of renewals the fences, too, and the time after which they are void.
    BOOST_TEST(
        said(
            {{verb::renew, {7, 1, 400}, 70, 9},
             {verb::renew, {8, 1, 400}, 71, 9},
             {verb::renew, {9, 1, 400}, 73, 9},
             {verb::renew, {10, 1, 400}, 74, 8}}) == "N .1.400 9 7+1 70 9 73 N .1.400 8 10 74");
    BOOST_TEST(said({{verb::inspect}, {verb::inspect}}) == "I I");
    BOOST_TEST(said({{verb::set_limit, {}, 0, 0, 5}, {verb::set_limit, {}, 0, 0, 5}}) == "L 5 L 5");
}

BOOST_AUTO_TEST_CASE(equal_results_are_grouped_and_the_fences_of_grants_grow) {
    const std::vector<command> commands(5, command{verb::acquire, {1, 1, 400}});
    const auto a =
        fleet::to_answer(nodes(some_head, {2, 1, 70, 5400, 2, 2, 0, 0, 1, 1, 72, 5400}), commands);
    BOOST_TEST_REQUIRE(a.has_value());
    BOOST_TEST_REQUIRE(a->results.size() == 5u);
    for (const std::size_t i : {0u, 1u, 4u}) {
        const std::uint64_t fence = i == 4 ? 72 : 70 + i;
        BOOST_TEST((a->results[i] == fleet::result{verdict::granted, fence, 5400, 0, 0}));
    }
    BOOST_TEST((a->results[2].what == verdict::queued));
    BOOST_TEST((a->results[3].what == verdict::queued));
    for (const std::int64_t wrong : {-1, 0, 1, 3, 6}) {
        const auto odd = nodes(some_head, {2, 1, 70, 5400, 2, 2, 0, 0, wrong, 1, 72, 5400});
        BOOST_TEST(fleet::to_answer(odd, commands).has_value() == (wrong == 1));
    }
}

BOOST_AUTO_TEST_CASE(a_call_contains_the_flags_and_the_clock_of_a_test) {
    fleet::call c;
    c.name = "x";
    c.is_strict = c.is_immediate = c.is_first = true;
    const auto words = fleet::to_arguments(c, "a", 1, 1700000000000);
    BOOST_TEST_REQUIRE(words.size() == 15u);
    BOOST_TEST(words[12] == "sif");
    BOOST_TEST(words[14] == "1700000000000");
}

BOOST_AUTO_TEST_CASE(an_answer_has_one_result_for_each_command) {
    const auto a = fleet::to_answer(
        nodes(some_head, some_results, {8, 4000006, 5399, 9, 4000007, 5398}, {11, 12}),
        some_commands);
    BOOST_TEST_REQUIRE(a.has_value());
    BOOST_TEST((a->status == call_status::ok));
    BOOST_TEST(a->now == 5000);
    BOOST_TEST(a->made == 4000000u);
    BOOST_TEST(a->rolls == 1u);
    BOOST_TEST(a->limit == 10);
    BOOST_TEST(a->seq == 4000007u);
    BOOST_TEST(a->held == 3);
    BOOST_TEST(a->waiting == 2);
    BOOST_TEST(a->next_expiry == 400);
    BOOST_TEST(a->is_head_mine);
    BOOST_TEST(a->quarantine == 250);
    BOOST_TEST(a->has_more);
    BOOST_TEST_REQUIRE(a->results.size() == 3u);
    BOOST_TEST((a->results[0] == fleet::result{verdict::granted, 4000005, 5400, 0, 0}));
    BOOST_TEST((a->results[1] == fleet::result{verdict::done, 0, 0, 6, 4000001}));
    BOOST_TEST((a->results[2] == fleet::result{verdict::readmitted, 0, 5400, 0, 0}));
    BOOST_TEST_REQUIRE(a->granted.size() == 2u);
    BOOST_TEST((a->granted[0] == fleet::grant{8, 4000006, 5399}));
    BOOST_TEST((a->granted[1] == fleet::grant{9, 4000007, 5398}));
    BOOST_TEST((a->exceeded == std::vector<std::uint64_t>{11, 12}));
}

BOOST_AUTO_TEST_CASE(an_answer_to_a_call_that_was_not_executed_has_no_results) {
    for (const std::int64_t status : {1, 2, 3}) {
        auto head = some_head;
        head[0] = status;
        const auto a = fleet::to_answer(nodes(head), some_commands);
        BOOST_TEST_REQUIRE(a.has_value());
        BOOST_TEST(static_cast<std::int64_t>(a->status) == status);
        BOOST_TEST(a->results.empty());
    }
}

BOOST_AUTO_TEST_CASE(a_reply_that_the_script_cannot_give_is_no_answer) {
    const auto good = nodes(some_head, some_results, {8, 4000006, 5399}, {11});
    BOOST_TEST_REQUIRE(fleet::to_answer(good, some_commands).has_value());
    BOOST_TEST(!fleet::to_answer({}, some_commands));
    for (std::size_t i = 0; i < good.size(); ++i) {
        BOOST_TEST_CONTEXT("node " << i) {
            auto missing = good;
            missing.erase(missing.begin() + static_cast<std::ptrdiff_t>(i));
            BOOST_TEST(!fleet::to_answer(missing, some_commands));
            auto doubled = good;
            doubled.insert(doubled.begin() + static_cast<std::ptrdiff_t>(i), good[i]);
            BOOST_TEST(!fleet::to_answer(doubled, some_commands));
            auto other_kind = good;
            other_kind[i].is_aggregate = !other_kind[i].is_aggregate;
            BOOST_TEST(!fleet::to_answer(other_kind, some_commands));
            auto deeper = good;
            ++deeper[i].depth;
            BOOST_TEST(!fleet::to_answer(deeper, some_commands));
            auto cut = good;
            cut.resize(i);
            BOOST_TEST(!fleet::to_answer(cut, some_commands));
        }
    }
    auto other_commands = some_commands;
    other_commands.pop_back();
    BOOST_TEST(!fleet::to_answer(good, other_commands));
    for (const std::int64_t wrong : {-1, 0, 12}) {
        auto results = some_results;
        results[5] = wrong;
        BOOST_TEST(!fleet::to_answer(nodes(some_head, results), some_commands));
    }
    for (const std::int64_t wrong : {-1, 4}) {
        auto head = some_head;
        head[0] = wrong;
        BOOST_TEST(!fleet::to_answer(nodes(head), some_commands));
    }
    // A wrong size must not lead to an allocation before its numbers have been read.
    auto huge = nodes(some_head, some_results);
    huge[huge.size() - 2].size = std::size_t(4) << 50;
    BOOST_TEST(!fleet::to_answer(huge, some_commands));
}

BOOST_AUTO_TEST_CASE(a_push_reports_grants_the_head_and_requests_above_the_limit) {
    const auto p = fleet::to_push("2 db G 8 4000006 5399 G 9 4000007 5398 X 11 H 250 X 12");
    BOOST_TEST_REQUIRE(p.has_value());
    BOOST_TEST(p->name == "db");
    BOOST_TEST_REQUIRE(p->granted.size() == 2u);
    BOOST_TEST((p->granted[0] == fleet::grant{8, 4000006, 5399}));
    BOOST_TEST((p->granted[1] == fleet::grant{9, 4000007, 5398}));
    BOOST_TEST((p->head == std::optional<std::int64_t>(250)));
    BOOST_TEST((p->exceeded == std::vector<std::uint64_t>{11, 12}));
    const auto none_held = fleet::to_push("1 x H -1");
    BOOST_TEST_REQUIRE(none_held.has_value());
    BOOST_TEST((none_held->head == std::optional<std::int64_t>(-1)));
}

BOOST_AUTO_TEST_CASE(a_name_may_contain_the_separators_of_a_push) {
    const auto p = fleet::to_push("7 a G 1 2 X 3");
    BOOST_TEST_REQUIRE(p.has_value());
    BOOST_TEST(p->name == "a G 1 2");
    BOOST_TEST(p->granted.empty());
    BOOST_TEST((p->exceeded == std::vector<std::uint64_t>{3}));
}

BOOST_AUTO_TEST_CASE(a_text_that_the_script_cannot_publish_is_no_push) {
    for (const char* const text :
         {"",
          " ",
          "db",
          "2",
          "2 ",
          "2 d",
          "3 db",
          "2 dbG 1 2 3",
          "2 db ",
          "2 db G",
          "2 db G 1 2",
          "2 db G 1 2 ",
          "2 db G 1 2 x",
          "2 db G 1 2 3 ",
          "2 db H",
          "2 db H x",
          "2 db X -1",
          "2 db Y 1",
          "2 db X 99999999999999999999",
          "-2 db",
          "2 db G 1 2 3x",
          "99999999999999999999 db"})
        BOOST_TEST_CONTEXT("\"" << text << "\"") {
            BOOST_TEST(!fleet::to_push(text));
        }
}

BOOST_AUTO_TEST_CASE(an_error_is_recognised_by_its_first_word) {
    const std::pair<const char*, failure> all[] = {
        {"BUSY Redis is busy running a script.", failure::busy},
        {"TRYAGAIN Multiple keys request during rehashing of slot", failure::busy},
        {"OOM command not allowed when used memory > 'maxmemory'. script: 5b9f, on @user_script:1.",
         failure::refused},
        {"MISCONF Redis is configured to save RDB snapshots", failure::refused},
        {"NOREPLICAS Not enough good replicas to write.", failure::refused},
        {"NOPERM this user has no permissions", failure::rejected},
        {"NOAUTH Authentication required.", failure::rejected},
        {"WRONGTYPE Operation against a key holding the wrong kind of value", failure::rejected},
        {"ERR unknown command 'EVALSHA'", failure::rejected},
        {"", failure::rejected},
        {"OOMPH", failure::rejected},
        {"MOVED 3999 127.0.0.1:6381", failure::clustered},
        {"ASK 3999 127.0.0.1:6381", failure::clustered},
        {"CROSSSLOT Keys in request don't hash to the same slot", failure::clustered},
        {"READONLY You can't write against a read only replica.", failure::unavailable},
        {"LOADING Redis is loading the dataset in memory", failure::unavailable},
        {"MASTERDOWN Link with MASTER is down", failure::unavailable},
        {"CLUSTERDOWN Hash slot not served", failure::unavailable},
    };
    for (const auto& [text, expected] : all)
        BOOST_TEST_CONTEXT(text) {
            BOOST_TEST((fleet::to_failure(text) == expected));
        }
}

BOOST_AUTO_TEST_CASE(before_server_7_an_error_is_recognised_within_the_error_of_the_script) {
    const std::string before = "ERR Error running script (call to f_5b9f): @user_script:1: ";
    BOOST_TEST(
        (fleet::to_failure(before + "@user_script: 1: -OOM command not allowed") ==
         failure::refused));
    BOOST_TEST(
        (fleet::to_failure(before + "@user_script: 1: -READONLY You can't write") ==
         failure::unavailable));
    BOOST_TEST(
        (fleet::to_failure(before + "WRONGTYPE Operation against a key") == failure::rejected));
}

BOOST_AUTO_TEST_SUITE_END()
