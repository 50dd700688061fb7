// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// The proxy of the fleet's tests: what it forwards, holds back, discards, cuts and counts.

#include "proxy.hpp"

#include <boost/asio/read.hpp>
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

using namespace std::chrono_literals;
using test::proxy;
using tcp = boost::asio::ip::tcp;

namespace {

const std::string ping = "*1\r\n$4\r\nPING\r\n";
const std::string subscribe = "*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\nc\r\n";
const std::string subscribed = ">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n";
const std::string call = "*4\r\n$7\r\nevalsha\r\n$2\r\n\r\n\r\n$1\r\n1\r\n$1\r\nk\r\n";
const std::string answer = "*3\r\n:0\r\n*2\r\n:-1\r\n$4\r\n\r\n\r\n\r\n_\r\n";
const std::string pong = "+PONG\r\n";
const std::string published = ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n";

// Both ends of a connection through the proxy.
struct line {
    boost::asio::io_context context;
    tcp::acceptor acceptor{context, {boost::asio::ip::address_v4::loopback(), 0}};
    proxy between{acceptor.local_endpoint().port()};
    tcp::socket client{context};
    tcp::socket server{context};

    line() { connect(); }

    void connect() {
        client = tcp::socket(context);
        client.connect({boost::asio::ip::address_v4::loopback(), between.port()});
        server = acceptor.accept();
    }
};

void write(tcp::socket& to, const std::string& text) {
    boost::asio::write(to, boost::asio::buffer(text));
}

std::string read(tcp::socket& from, std::size_t n) {
    std::string text(n, '\0');
    boost::asio::read(from, boost::asio::buffer(text));
    return text;
}

std::string read_to_end(tcp::socket& from) {
    std::string text;
    boost::system::error_code error;
    boost::asio::read(from, boost::asio::dynamic_buffer(text), error);
    return text;
}

std::size_t messages_in(const std::string& text) {
    test::resp_scanner scanner;
    std::size_t n = 0;
    for (const char c : text)
        n += scanner.take(c) ? 1 : 0;
    return n;
}

} // namespace

BOOST_AUTO_TEST_SUITE(fleet_proxy)

BOOST_AUTO_TEST_CASE(the_scanner_finds_the_end_of_every_kind_of_message) {
    for (const std::string& one :
         {ping, subscribe, subscribed, call, answer, pong, published, std::string("*0\r\n"),
          std::string("*-1\r\n"), std::string("$-1\r\n"), std::string("$0\r\n\r\n"),
          std::string("%1\r\n+a\r\n:1\r\n"), std::string("|1\r\n+a\r\n:1\r\n:2\r\n"),
          std::string("*2\r\n*0\r\n%0\r\n"), std::string("-ERR no\r\n")}) {
        BOOST_TEST_CONTEXT(one) {
            BOOST_TEST(messages_in(one) == 1u);
            BOOST_TEST(messages_in(one.substr(0, one.size() - 1)) == 0u);
            BOOST_TEST(messages_in(one + one) == 2u);
        }
    }
}

BOOST_AUTO_TEST_CASE(all_data_is_forwarded_and_counted) {
    line l;
    write(l.client, ping + subscribe + call);
    BOOST_TEST(read(l.server, (ping + subscribe + call).size()) == ping + subscribe + call);
    write(l.server, pong + subscribed + published + answer);
    const std::string all = pong + subscribed + published + answer;
    BOOST_TEST(read(l.client, all.size()) == all);
    BOOST_TEST(l.between.count(proxy::connections) == 1u);
    BOOST_TEST(l.between.count(proxy::commands) == 3u);
    BOOST_TEST(l.between.count(proxy::calls) == 1u);
    BOOST_TEST(l.between.count(proxy::replies) == 2u);
    BOOST_TEST(l.between.count(proxy::pushes) == 2u);
    BOOST_TEST(l.between.count(proxy::answers) == 1u);
    BOOST_TEST(l.between.count(proxy::from_server) == all.size());
    l.client.close();
    BOOST_TEST(read_to_end(l.server) == "");
    l.server.close();
    BOOST_TEST(l.between.wait_for_open_connections(0));
}

BOOST_AUTO_TEST_CASE(data_held_back_is_forwarded_when_it_is_released) {
    line l;
    l.between.hold(proxy::to_client);
    write(l.server, pong + answer);
    BOOST_TEST(l.between.wait_for(proxy::replies, 2));
    BOOST_TEST(l.client.available() == 0u);
    write(l.client, ping); // the other direction is open
    BOOST_TEST(read(l.server, ping.size()) == ping);
    BOOST_TEST(l.client.available() == 0u);
    l.between.let_go(proxy::to_client);
    BOOST_TEST(read(l.client, (pong + answer).size()) == pong + answer);
}

BOOST_AUTO_TEST_CASE(a_command_held_back_outlives_the_client_that_sent_it) {
    line l;
    l.between.hold(proxy::to_server);
    write(l.client, call);
    BOOST_TEST(l.between.wait_for(proxy::calls, 1));
    l.client.close();
    l.between.let_go(proxy::to_server);
    BOOST_TEST(read_to_end(l.server) == call);
}

BOOST_AUTO_TEST_CASE(a_connection_made_while_commands_are_held_back_reaches_the_server_later) {
    line l;
    l.between.hold(proxy::to_server);
    tcp::socket late(l.context);
    late.connect({boost::asio::ip::address_v4::loopback(), l.between.port()});
    write(late, ping);
    BOOST_TEST(l.between.wait_for(proxy::commands, 1));
    l.between.let_go(proxy::to_server);
    tcp::socket server = l.acceptor.accept();
    BOOST_TEST(read(server, ping.size()) == ping);
    write(server, pong);
    BOOST_TEST(read(late, pong.size()) == pong);
}

BOOST_AUTO_TEST_CASE(a_swallowed_reply_is_lost_without_notice) {
    line l;
    l.between.swallow(proxy::to_server);
    l.between.swallow(proxy::to_client);
    write(l.client, call);
    write(l.server, published);
    BOOST_TEST(l.between.wait_for(proxy::calls, 1));
    BOOST_TEST(l.between.wait_for(proxy::pushes, 1));
    l.between.swallow(proxy::to_server, false);
    l.between.swallow(proxy::to_client, false);
    write(l.client, ping); // on a connection that has lost data
    BOOST_TEST(l.between.wait_for(proxy::commands, 2));
    BOOST_TEST(l.server.available() == 0u);
    BOOST_TEST(l.client.available() == 0u);
    BOOST_TEST(l.between.open_connections() == 1u);
    l.connect();
    write(l.client, ping);
    BOOST_TEST(read(l.server, ping.size()) == ping);
}

BOOST_AUTO_TEST_CASE(a_connection_ends_behind_the_nth_reply) {
    line l;
    write(l.client, ping + call);
    BOOST_TEST(read(l.server, (ping + call).size()) == ping + call);
    l.between.cut_after(proxy::replies, 2);
    write(l.server, published + pong + answer + pong);
    BOOST_TEST(read_to_end(l.client) == published + pong + answer);
    BOOST_TEST(read_to_end(l.server) == "");
    BOOST_TEST(l.between.wait_for_open_connections(0));
    l.connect(); // only one connection is cut
    write(l.server, pong + pong + pong);
    BOOST_TEST(read(l.client, 3 * pong.size()) == pong + pong + pong);
}

BOOST_AUTO_TEST_CASE(a_connection_ends_behind_the_nth_item_of_every_kind) {
    struct {
        proxy::item what;
        std::uint64_t n;
        std::string from_client, from_server; // messages that get through
    } const cases[] = {
        {proxy::commands, 2, ping + call, ""},
        {proxy::calls, 1, ping + call, ""},
        {proxy::from_client, 5, ping.substr(0, 5), ""},
        {proxy::answers, 1, ping + call + call, pong + published + answer},
        {proxy::pushes, 1, ping + call + call, pong + published},
        {proxy::from_server, 9, ping + call + call, (pong + published).substr(0, 9)},
    };
    for (const auto& c : cases) {
        BOOST_TEST_CONTEXT(c.what) {
            line l;
            l.between.cut_after(c.what, c.n);
            write(l.client, ping + call + call);
            BOOST_TEST(read(l.server, c.from_client.size()) == c.from_client);
            if (!c.from_server.empty())
                write(l.server, pong + published + answer + answer);
            BOOST_TEST(read_to_end(l.client) == c.from_server);
        }
    }
}

BOOST_AUTO_TEST_CASE(all_data_arrives_late_by_the_delay_and_in_order) {
    line l;
    l.between.delay(proxy::to_client, 20ms);
    const auto before = std::chrono::steady_clock::now();
    std::string all;
    for (int i = 0; i != 100; ++i) {
        const std::string one = ":" + std::to_string(i) + "\r\n";
        write(l.server, one);
        all += one;
    }
    BOOST_TEST(read(l.client, all.size()) == all);
    const auto took = std::chrono::steady_clock::now() - before;
    BOOST_TEST((took >= 20ms));
    BOOST_TEST((took < 1s)); // not 100 times the delay
}

BOOST_AUTO_TEST_CASE(connections_are_cut_and_refused) {
    line l;
    l.between.refuse();
    l.between.cut();
    BOOST_TEST(read_to_end(l.client) == "");
    BOOST_TEST(read_to_end(l.server) == "");
    tcp::socket refused(l.context);
    refused.connect({boost::asio::ip::address_v4::loopback(), l.between.port()});
    BOOST_TEST(read_to_end(refused) == "");
    l.between.refuse(false);
    l.connect();
    write(l.client, ping);
    BOOST_TEST(read(l.server, ping.size()) == ping);
}

BOOST_AUTO_TEST_SUITE_END()
