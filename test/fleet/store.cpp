// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// The fleet's connection to a real server: calls, pushes, every way in which it ends, and
// reconnection.

#include <asio_semaphore/detail/fleet/redis_store.hpp>

#include "proxy.hpp"
#include "redis_admin.hpp"
#include "redis_server.hpp"
#include "with_redis_server.hpp"

#include <boost/asio/dispatch.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/write.hpp>
#include <boost/system/errc.hpp>
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using namespace asio_semaphore::detail::fleet;
namespace asio = boost::asio;
namespace errc = boost::system::errc;
using test::proxy;
using test::redis_admin;
using test::redis_server;

namespace {

const std::string client = "00112233445566778899aabbccddeeff";

struct user : redis_store::user {
    std::size_t connections = 0;
    std::size_t failures = 0;
    std::vector<boost::system::error_code> ends;
    std::vector<std::vector<reply>> replies;
    std::vector<push> pushes;
    std::vector<std::string> lines;
    std::string order; // the first letters of connected, disconnected, replied, pushed
    std::function<void()> when_connected = [] {
    };
    std::function<void()> when_replied = [] {
    };
    std::function<void()> when_pushed = [] {
    };
    std::function<void()> when_logged = [] {
    };
    bool is_gone = false;

    void connected() override {
        note('c');
        ++connections;
        when_connected();
    }
    void disconnected(boost::system::error_code reason) override {
        note('d');
        ends.push_back(reason);
    }
    void replied(std::vector<reply> all) override {
        note('r');
        replies.push_back(std::move(all));
        when_replied();
    }
    void pushed(const push& p) override {
        note('p');
        pushes.push_back(p);
        when_pushed();
    }
    void failed() noexcept override { ++failures; }
    void log(std::string_view line) override {
        BOOST_TEST(!is_gone);
        lines.emplace_back(line);
        when_logged();
    }
    void note(char what) {
        BOOST_TEST(!is_gone);
        order += what;
    }
    bool has_logged(std::string_view text) const {
        for (const std::string& line : lines)
            if (line.find(text) != std::string::npos)
                return true;
        return false;
    }
};

boost::redis::config at(std::uint16_t port) {
    boost::redis::config c;
    c.addr = {"127.0.0.1", std::to_string(port)};
    return c;
}

// A store in use. The end of the scope stops it, and runs its context until no work is left.
struct session {
    asio::io_context context;
    user u;
    std::shared_ptr<redis_store> store;

    explicit session(
        boost::redis::config config, std::optional<asio::ssl::context> tls = std::nullopt) :
        store(std::make_shared<redis_store>(
            asio::make_strand(asio::any_io_executor(context.get_executor())), std::move(config),
            std::move(tls), client)) {}
    ~session() {
        u.is_gone = true;
        store->stop();
        context.run_for(30s);
        BOOST_TEST(store->is_idle());
        BOOST_TEST(store.use_count() == 1);
    }

    template <typename Condition>
    bool run_until(Condition holds) {
        const auto end = std::chrono::steady_clock::now() + 30s;
        while (!holds()) {
            context.restart();
            if (context.run_one_until(end) == 0)
                return false;
        }
        return true;
    }
    // Waits for the nth connection since the start.
    bool is_connected(std::size_t n = 1) {
        return run_until([&] { return u.connections >= n; });
    }
    bool has_ended(std::size_t n = 1) {
        return run_until([&] { return u.ends.size() >= n; });
    }
    bool is_answered(std::size_t n = 1) {
        return run_until([&] { return u.replies.size() == n; });
    }
    void connect() {
        store->start(u);
        BOOST_REQUIRE(is_connected());
    }
};

call acquire(const std::string& name, std::uint64_t serial = 1) {
    call c;
    c.name = name;
    c.presence = 10'000;
    c.lease = 10'000;
    c.limit = 5;
    c.is_immediate = true;
    command one;
    one.what = verb::acquire;
    one.of = {serial, 1, 10'000};
    c.commands.push_back(one);
    return c;
}

bool is_granted(const reply& r) {
    BOOST_TEST_INFO(r.text);
    BOOST_TEST((r.failed == failure::none));
    return r.failed == failure::none && r.said.status == call_status::ok &&
           r.said.results.size() == 1 && r.said.results[0].what == verdict::granted;
}

std::string publish_text(std::uint64_t serial) {
    return "1 a G " + std::to_string(serial) + " 1 1";
}

// Runs n handlers of a session that sends a call and is sent a push as soon as it is connected.
// Returns whether both have arrived.
bool is_done_after(std::size_t n, session& s, redis_admin& admin) {
    s.u.when_connected = [&] {
        admin.command("PUBLISH", channel_of(client), publish_text(1));
        s.store->send({acquire("a")}, 1);
    };
    s.store->start(s.u);
    for (std::size_t i = 0; i != n; ++i)
        s.context.run_one();
    return !s.u.replies.empty() && !s.u.pushes.empty();
}

// A certificate authority, and a server certificate for localhost and 127.0.0.1 that it has signed.
struct certificates {
    std::filesystem::path folder;

    certificates() {
        std::string name = (std::filesystem::temp_directory_path() / "asem-tls-XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr)
            throw std::runtime_error("no temporary directory");
        folder = name;
        for (const char* const authority : {"ca", "other"})
            run(std::string("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
                            "-subj /CN=") +
                authority + " -keyout " + authority + ".key -out " + authority + ".crt");
        run("req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost "
            "-addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout server.key -out server.csr");
        run("x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 "
            "-copy_extensions copy -out server.crt");
    }
    ~certificates() { std::filesystem::remove_all(folder); }

    void run(const std::string& arguments) const {
        const std::string line =
            "cd " + folder.string() + " && openssl " + arguments + " >log 2>&1";
        if (std::system(line.c_str()) != 0)
            throw std::runtime_error("failed: openssl " + arguments);
    }
    std::string file(const std::string& name) const { return (folder / name).string(); }

    test::redis_server_options for_server() const {
        test::redis_server_options o;
        o.is_tls = true;
        o.arguments = {
            "--tls-cert-file",    file("server.crt"), "--tls-key-file",     file("server.key"),
            "--tls-ca-cert-file", file("ca.crt"),     "--tls-auth-clients", "no"};
        return o;
    }

    asio::ssl::context
    context(const std::string& authority, const std::string& host = "127.0.0.1") const {
        asio::ssl::context c(asio::ssl::context::tls_client);
        c.load_verify_file(file(authority));
        c.set_verify_mode(asio::ssl::verify_peer);
        c.set_verify_callback(asio::ssl::host_name_verification(host));
        return c;
    }
};

} // namespace

BOOST_AUTO_TEST_SUITE(fleet_store, *boost::unit_test::precondition(test::with_redis_server))

BOOST_AUTO_TEST_CASE(a_call_is_answered) {
    redis_server server;
    session s(at(server.port()));
    BOOST_TEST(s.store->is_idle());
    s.connect();
    BOOST_TEST(!s.store->is_idle());
    redis_admin admin(server.port());
    BOOST_TEST(admin.command("PUBSUB", "NUMSUB", channel_of(client))[1].as_number() == 1);
    s.store->send({acquire("a")}, 1);
    BOOST_TEST(s.u.order == "c"); // send calls no member of the user
    BOOST_REQUIRE(s.is_answered());
    BOOST_REQUIRE(s.u.replies[0].size() == 1u);
    BOOST_TEST(is_granted(s.u.replies[0][0]));
    BOOST_TEST(s.u.lines.empty());
}

BOOST_AUTO_TEST_CASE(the_script_is_sent_only_where_the_server_does_not_know_it) {
    redis_server server;
    redis_admin admin(server.port());
    session s(at(server.port()));
    s.connect();
    const auto ask = [&](std::size_t n) {
        s.store->send({acquire("a", n)}, 1);
        BOOST_REQUIRE(s.is_answered(n));
        BOOST_TEST(is_granted(s.u.replies[n - 1].at(0)));
    };
    ask(1);
    BOOST_TEST(admin.calls_of("eval") == 1u);
    ask(2);
    BOOST_TEST(admin.calls_of("eval") == 1u);
    admin.command("SCRIPT", "FLUSH");
    ask(3);
    BOOST_TEST(admin.calls_of("eval") == 2u);
    ask(4);
    BOOST_TEST(admin.calls_of("eval") == 2u);
    BOOST_TEST(s.u.order == "crrrr");
}

BOOST_AUTO_TEST_CASE(only_one_of_many_calls_contains_the_script) {
    redis_server server;
    redis_admin admin(server.port());
    session s(at(server.port()));
    s.connect();
    std::vector<call> calls;
    for (std::size_t i = 0; i != 100; ++i)
        calls.push_back(acquire("limit" + std::to_string(i)));
    s.store->send(calls, 1);
    BOOST_REQUIRE(s.is_answered());
    for (const reply& r : s.u.replies[0])
        BOOST_TEST(is_granted(r));
    BOOST_TEST(s.u.replies[0].size() == 100u);
    BOOST_TEST(admin.calls_of("eval") == 1u);
}

BOOST_AUTO_TEST_CASE(a_call_that_fails_does_not_affect_the_others) {
    redis_server server;
    redis_admin admin(server.port());
    session s(at(server.port()));
    s.connect();
    admin.command("SET", "asem:{b}:m", "text");
    for (const std::size_t n : {1u, 2u}) { // the server does not know the script, then knows it
        s.store->send({acquire("a", n), acquire("b", n), acquire("c", n)}, 1);
        BOOST_REQUIRE(s.is_answered(n));
        const std::vector<reply>& r = s.u.replies.back();
        BOOST_REQUIRE(r.size() == 3u);
        BOOST_TEST(is_granted(r[0]));
        BOOST_TEST((r[1].failed == failure::rejected));
        BOOST_TEST(r[1].text.find("WRONGTYPE") != std::string::npos);
        BOOST_TEST(is_granted(r[2]));
    }
    BOOST_TEST(admin.command("GET", "asem:{b}:m").string == "text");
    BOOST_TEST(s.u.order == "crr"); // the connection is still open
}

BOOST_AUTO_TEST_CASE(a_reply_that_the_script_cannot_give_fails_only_its_call) {
    const std::vector<std::string> odd = {
        "+OK\r\n", "$2\r\n12\r\n", "_\r\n", "#t\r\n", "*0\r\n", "*1\r\n:0\r\n",
        "%1\r\n+a\r\n:1\r\n", ":99999999999999999999\r\n", "*2\r\n:1\r\n-ERR inside\r\n",
        // A correct answer, except for a text in place of a number.
        "*15\r\n:0\r\n:0\r\n:0\r\n:0\r\n:0\r\n:0\r\n:0\r\n:0\r\n:0\r\n:0\r\n:0\r\n+0\r\n"
        "*3\r\n:1\r\n:1\r\n:1\r\n*0\r\n*0\r\n"};
    using tcp = asio::ip::tcp;
    asio::io_context context;
    tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), 0});
    std::thread server([&] {
        tcp::socket to = acceptor.accept();
        test::resp_scanner scanner;
        std::size_t calls = 0;
        boost::system::error_code error;
        for (char c; asio::read(to, asio::buffer(&c, 1), error) == 1;) {
            if (!scanner.take(c))
                continue;
            const std::string& word = scanner.last().word;
            const std::string confirmed =
                ">3\r\n+subscribe\r\n+" + channel_of(client) + "\r\n:1\r\n";
            asio::write(
                to, asio::buffer(
                        word == "HELLO"       ? std::string("%1\r\n+proto\r\n:3\r\n")
                        : word == "SUBSCRIBE" ? confirmed
                        : word == "EVALSHA"   ? odd.at(calls++)
                                              : std::string("+PONG\r\n")));
        }
    });
    {
        session s(at(acceptor.local_endpoint().port()));
        s.connect();
        for (std::size_t i = 0; i != odd.size(); ++i) {
            BOOST_TEST_CONTEXT(odd[i]) {
                s.store->send({acquire("a")}, 1);
                BOOST_REQUIRE(s.is_answered(i + 1));
                BOOST_TEST((s.u.replies[i].at(0).failed == failure::rejected));
                BOOST_TEST(!s.u.replies[i].at(0).text.empty());
            }
        }
        BOOST_TEST(s.u.connections == 1u);
        BOOST_TEST(s.u.ends.empty());
    }
    server.join();
}

BOOST_AUTO_TEST_CASE(a_push_arrives_and_an_empty_one_is_ignored) {
    redis_server server;
    redis_admin admin(server.port());
    session s(at(server.port()));
    s.connect();
    admin.command("PUBLISH", channel_of(client), "");
    admin.command("PUBLISH", channel_of(client), "no push at all");
    admin.command("PUBLISH", channel_of(client), "3 a b G 5 6 7 H -1");
    BOOST_REQUIRE(s.run_until([&] { return s.u.pushes.size() == 1; }));
    const push& p = s.u.pushes[0];
    BOOST_TEST(p.name == "a b");
    BOOST_REQUIRE(p.granted.size() == 1u);
    BOOST_TEST((p.granted[0] == grant{5, 6, 7}));
    BOOST_TEST((p.head == -1));
}

BOOST_AUTO_TEST_CASE(a_burst_of_pushes_gets_through_in_order) {
    redis_server server;
    redis_admin admin(server.port());
    session s(at(server.port()));
    s.connect();
    constexpr std::size_t many = 5'000;
    for (std::size_t i = 0; i != many; ++i)
        admin.append({"PUBLISH", channel_of(client), publish_text(i)});
    for (std::size_t i = 0; i != many; ++i)
        admin.take();
    s.store->send({acquire("a")}, 1);
    BOOST_REQUIRE(s.run_until([&] { return s.u.pushes.size() == many; }));
    bool is_in_order = true;
    for (std::size_t i = 0; i != many; ++i)
        is_in_order = is_in_order && s.u.pushes[i].granted.at(0).serial == i;
    BOOST_TEST(is_in_order);
    BOOST_TEST(s.is_answered());
    BOOST_TEST(s.u.ends.empty());
}

BOOST_AUTO_TEST_CASE(pushes_and_replies_keep_the_servers_order) {
    redis_server server;
    redis_admin admin(server.port());
    proxy between(server.port());
    session s(at(between.port()));
    s.store->set_shortest_lease(20s); // no timeout while the proxy holds data back
    s.connect();
    s.store->send({acquire("a")}, 1);
    BOOST_REQUIRE(s.is_answered()); // now the server knows the script
    for (int round = 0; round != 20; ++round) {
        s.u.order.clear();
        if (round % 2 != 0)
            admin.command("SCRIPT", "FLUSH"); // the store then makes the call twice
        const std::size_t answered = s.u.replies.size();
        const auto pushes = between.count(proxy::pushes), calls = between.count(proxy::calls);
        between.hold(proxy::to_client);
        const auto publish = [&](std::size_t n) {
            for (std::size_t i = 0; i != n; ++i)
                admin.command("PUBLISH", channel_of(client), publish_text(i));
        };
        publish(2);
        BOOST_REQUIRE(between.wait_for(proxy::pushes, pushes + 2));
        s.store->send({acquire("a", 2)}, 1);
        s.context.poll();
        s.context.restart();
        BOOST_REQUIRE(between.wait_for(proxy::answers, calls + 1));
        publish(3);
        BOOST_REQUIRE(between.wait_for(proxy::pushes, pushes + 5));
        between.let_go(proxy::to_client);
        BOOST_REQUIRE(s.run_until([&] { return s.u.order.size() == 6; }));
        BOOST_TEST(s.u.order == "pprppp");
        BOOST_TEST(s.u.replies.size() == answered + 1);
    }
}

BOOST_AUTO_TEST_CASE(a_server_that_comes_back_is_connected_to_again) {
    redis_server server;
    session s(at(server.port()));
    s.connect();
    server.kill();
    BOOST_REQUIRE(s.has_ended());
    BOOST_TEST(s.u.ends[0]);
    BOOST_REQUIRE(s.has_ended(4)); // the attempts fail and continue
    BOOST_TEST(s.u.has_logged("Connection refused"));
    BOOST_TEST(s.u.lines.size() == 2u); // the end, and once the reason
    server.restart();
    BOOST_REQUIRE(s.is_connected(2));
    s.store->send({acquire("a")}, 2);
    BOOST_REQUIRE(s.is_answered());
    BOOST_TEST(is_granted(s.u.replies[0].at(0)));
}

BOOST_AUTO_TEST_CASE(attempts_to_connect_are_spaced_out) {
    redis_server server;
    proxy between(server.port());
    between.refuse();
    session s(at(between.port()));
    const auto before = std::chrono::steady_clock::now();
    s.store->start(s.u);
    BOOST_REQUIRE(s.has_ended(6)); // 0.8 s apart on average
    BOOST_TEST((std::chrono::steady_clock::now() - before >= 50ms));
    BOOST_TEST(s.u.connections == 0u);
    between.refuse(false);
    BOOST_TEST(s.is_connected());
}

BOOST_AUTO_TEST_CASE(calls_sent_into_a_lost_connection_are_not_sent_again) {
    redis_server server;
    session s(at(server.port()));
    s.connect();
    server.restart(redis_server::data::lost);
    s.store->send({acquire("a")}, 1);
    BOOST_REQUIRE(s.has_ended());
    BOOST_REQUIRE(s.is_connected(2));
    s.store->send({acquire("b")}, 2);
    BOOST_REQUIRE(s.is_answered());
    BOOST_TEST(is_granted(s.u.replies[0].at(0)));
    BOOST_TEST(s.u.order == "cdcr");
    redis_admin admin(server.port());
    BOOST_TEST(admin.command("EXISTS", "asem:{a}:m").as_number() == 0);
}

BOOST_AUTO_TEST_CASE(a_connection_cut_behind_any_byte_ends_with_an_answer_or_a_loss) {
    redis_server server;
    redis_admin admin(server.port());
    proxy between(server.port());
    std::uint64_t size = 0; // bytes of a whole session from the server
    for (std::uint64_t k = 0; k == 0 || k <= size; k += 1 + k / 50) {
        BOOST_TEST_CONTEXT("cut behind byte " << k) {
            admin.command("SCRIPT", "FLUSH");
            const auto before = between.count(proxy::from_server);
            between.cut_after(proxy::from_server, k);
            session s(at(between.port()));
            s.store->start(s.u);
            s.u.when_connected = [&] {
                s.store->send({acquire("a"), acquire("b")}, 1);
            };
            BOOST_REQUIRE(s.is_answered());
            BOOST_TEST(is_granted(s.u.replies[0].at(0)));
            BOOST_TEST(is_granted(s.u.replies[0].at(1)));
            if (k == 0)
                size = between.count(proxy::from_server) - before;
            if (k == 0 || k + 10 < size) // HELLO contains a number that grows
                BOOST_TEST(s.u.ends.size() == (k == 0 ? 0u : 1u));
        }
        between.cut_after(proxy::from_server, 0);
    }
    BOOST_TEST(size > 200u);
}

// With a lease of 400 ms, the store gives a silent connection up after 200 ms. On a slow machine it
// may give up a good one, and connects again.
BOOST_AUTO_TEST_CASE(a_connection_that_went_silent_is_given_up) {
    redis_server server;
    proxy between(server.port());
    session s(at(between.port()));
    s.store->set_shortest_lease(400ms);
    s.connect();
    const std::size_t connections = s.u.connections, ends = s.u.ends.size();
    between.swallow(proxy::to_server);
    between.swallow(proxy::to_client);
    const auto before = std::chrono::steady_clock::now();
    s.store->send({acquire("a")}, 1);
    BOOST_REQUIRE(s.has_ended(ends + 1));
    BOOST_TEST((std::chrono::steady_clock::now() - before < 5s));
    BOOST_REQUIRE(s.has_ended(ends + 3)); // it also gives up those made meanwhile
    BOOST_TEST(s.u.replies.empty());
    BOOST_TEST(s.u.connections == connections);
    between.swallow(proxy::to_server, false);
    between.swallow(proxy::to_client, false);
    BOOST_REQUIRE(s.is_connected(connections + 1));
}

BOOST_AUTO_TEST_CASE(an_idle_connection_that_went_silent_is_given_up) {
    redis_server server;
    proxy between(server.port());
    session s(at(between.port()));
    s.store->set_shortest_lease(400ms);
    s.connect();
    between.swallow(proxy::to_client);
    const auto before = std::chrono::steady_clock::now();
    BOOST_REQUIRE(s.has_ended(s.u.ends.size() + 1));
    BOOST_TEST((std::chrono::steady_clock::now() - before < 5s));
    BOOST_TEST(s.u.replies.empty());
}

BOOST_AUTO_TEST_CASE(a_stopped_server_is_given_up_and_connected_to_again) {
    redis_server server;
    session s(at(server.port()));
    s.store->set_shortest_lease(400ms);
    s.connect();
    const std::size_t connections = s.u.connections;
    server.stop();
    s.store->send({acquire("a")}, 1);
    BOOST_REQUIRE(s.has_ended(s.u.ends.size() + 2));
    s.store->set_shortest_lease(10s);
    server.resume();
    BOOST_REQUIRE(s.is_connected(connections + 1));
    s.store->send({acquire("b")}, 2);
    BOOST_REQUIRE(s.is_answered());
    BOOST_TEST(is_granted(s.u.replies[0].at(0)));
}

BOOST_AUTO_TEST_CASE(a_quiet_connection_is_kept) {
    redis_server server;
    redis_admin admin(server.port());
    session s(at(server.port()));
    s.store->set_shortest_lease(4s); // a PING every 400 ms
    s.connect();
    BOOST_REQUIRE(s.run_until([&] { return admin.calls_of("ping") >= 2; }));
    BOOST_TEST(s.u.order == "c");
}

BOOST_AUTO_TEST_CASE(a_replica_is_left_for_another_connection) {
    redis_server server;
    redis_admin admin(server.port());
    session s(at(server.port()));
    s.connect();
    admin.command("REPLICAOF", "127.0.0.1", "1");
    s.store->send({acquire("a")}, 1);
    BOOST_REQUIRE(s.has_ended());
    BOOST_TEST(s.u.order == "crd");
    BOOST_TEST((s.u.replies[0].at(0).failed == failure::unavailable));
    BOOST_TEST((s.u.ends[0] == errc::resource_unavailable_try_again));
    BOOST_TEST(s.u.has_logged("READONLY"));
    admin.command("REPLICAOF", "NO", "ONE");
    BOOST_REQUIRE(s.is_connected(2));
    s.store->send({acquire("a")}, 2);
    BOOST_REQUIRE(s.is_answered(2));
    BOOST_TEST(is_granted(s.u.replies[1].at(0)));
}

// Only a copy of the process can be ahead. If both reconnected, each would take the name from the
// other, again and again.
BOOST_AUTO_TEST_CASE(a_connection_stays_when_the_server_knows_a_newer_one_of_the_client) {
    redis_server server;
    session s(at(server.port()));
    s.connect();
    s.store->send({acquire("a", 1)}, 2);
    BOOST_REQUIRE(s.is_answered(1));
    s.store->send({acquire("a", 2)}, 1);
    BOOST_REQUIRE(s.is_answered(2));
    BOOST_TEST((s.u.replies[1].at(0).said.status == call_status::stale));
    s.store->send({acquire("b", 3)}, 1);
    BOOST_REQUIRE(s.is_answered(3));
    BOOST_TEST(is_granted(s.u.replies[2].at(0)));
    BOOST_TEST(s.u.order == "crrr");
}

BOOST_AUTO_TEST_CASE(a_server_that_cannot_save_is_used_again_once_it_can) {
    redis_server server;
    redis_admin admin(server.port());
    admin.command("CONFIG", "SET", "save", "3600 1");
    std::filesystem::remove_all(server.directory() / "data");
    admin.command("BGSAVE");
    while (admin.info("persistence", "rdb_last_bgsave_status") != "err") {
    }
    session s(at(server.port()));
    s.connect();
    s.store->send({acquire("a")}, 1);
    BOOST_REQUIRE(s.is_answered());
    BOOST_TEST((s.u.replies[0].at(0).failed == failure::refused));
    // The server also refuses PING, after a second.
    BOOST_REQUIRE(s.run_until([&] { return s.u.has_logged("MISCONF"); }));
    admin.command("CONFIG", "SET", "stop-writes-on-bgsave-error", "no");
    BOOST_REQUIRE(s.is_connected(s.u.connections + 1));
    s.store->send({acquire("a")}, 2);
    BOOST_REQUIRE(s.is_answered(2));
    BOOST_TEST(is_granted(s.u.replies[1].at(0)));
}

BOOST_AUTO_TEST_CASE(a_primary_is_found_by_sentinel) {
    redis_server server;
    test::redis_server_options o;
    o.arguments = {"--sentinel"};
    o.configuration =
        "sentinel monitor primary 127.0.0.1 " + std::to_string(server.port()) + " 1\n";
    redis_server sentinel(o);
    boost::redis::config c;
    c.sentinel.addresses.push_back({"127.0.0.1", "1"}); // nobody listens there
    c.sentinel.addresses.push_back({"127.0.0.1", std::to_string(sentinel.port())});
    c.sentinel.master_name = "primary";
    session s(c);
    s.connect();
    s.store->send({acquire("a")}, 1);
    BOOST_REQUIRE(s.is_answered());
    BOOST_TEST(is_granted(s.u.replies[0].at(0)));
    sentinel.kill();
    server.restart();
    BOOST_REQUIRE(s.has_ended(3));
    BOOST_TEST(s.u.connections == 1u);
    BOOST_TEST((s.u.ends.back() == boost::redis::error::sentinel_resolve_failed));
    sentinel.restart();
    BOOST_REQUIRE(s.is_connected(2));
}

BOOST_AUTO_TEST_CASE(a_wrong_password_is_logged_once) {
    test::redis_server_options o;
    o.arguments = {"--requirepass", "secret"};
    redis_server server(o);
    for (const bool is_deprecated : {false, true}) {
        BOOST_TEST_CONTEXT(is_deprecated) {
            const auto with = [&](const std::string& password) {
                boost::redis::config c = at(server.port());
                if (is_deprecated) {
                    c.password = password;
                } else {
                    c.use_setup = true;
                    c.setup.clear();
                    c.setup.hello("default", password);
                }
                return c;
            };
            session s(with("guess"));
            s.store->start(s.u);
            BOOST_REQUIRE(s.has_ended(3));
            BOOST_TEST(s.u.order == "ddd");
            BOOST_TEST((s.u.ends[0] == errc::permission_denied));
            BOOST_REQUIRE(s.u.lines.size() == 1u);
            BOOST_TEST(s.u.has_logged("WRONGPASS"));
            session right(with("secret"));
            right.connect();
        }
    }
}

BOOST_AUTO_TEST_CASE(without_permission_for_its_channel_a_client_is_not_connected) {
    redis_server server;
    redis_admin admin(server.port());
    admin.command("ACL", "SETUSER", "u", "on", ">p", "~*", "+@all", "resetchannels");
    boost::redis::config c = at(server.port());
    c.use_setup = true;
    c.setup.clear();
    c.setup.hello("u", "p");
    session s(c);
    s.store->start(s.u);
    BOOST_REQUIRE(s.has_ended(3));
    BOOST_TEST(s.u.order == "ddd");
    BOOST_TEST((s.u.ends[0] == errc::permission_denied));
    BOOST_TEST(s.u.has_logged("NOPERM"));
    BOOST_TEST(s.u.lines.size() == 1u);
    admin.command("ACL", "SETUSER", "u", "&asem:c:*");
    BOOST_TEST(s.is_connected());
}

BOOST_AUTO_TEST_CASE(a_server_with_too_many_clients_is_tried_again) {
    redis_server server;
    redis_admin admin(server.port());
    admin.command("CONFIG", "SET", "maxclients", "1");
    session s(at(server.port()));
    s.store->start(s.u);
    BOOST_REQUIRE(s.has_ended());
    BOOST_TEST((s.u.ends[0] != errc::permission_denied));
    admin.command("CONFIG", "SET", "maxclients", "100");
    BOOST_TEST(s.is_connected());
}

BOOST_AUTO_TEST_CASE(tls_without_verification_is_refused) {
    asio::io_context context;
    const auto make = [&](boost::redis::config c, std::optional<asio::ssl::context> tls) {
        redis_store(
            asio::make_strand(asio::any_io_executor(context.get_executor())), c, std::move(tls),
            client);
    };
    boost::redis::config c;
    c.use_ssl = true;
    BOOST_CHECK_THROW(make(c, std::nullopt), std::invalid_argument);
    BOOST_CHECK_THROW(
        make(c, asio::ssl::context(asio::ssl::context::tls_client)), std::invalid_argument);
    boost::redis::config by_sentinel;
    by_sentinel.sentinel.use_ssl = true;
    by_sentinel.sentinel.addresses.push_back({"127.0.0.1", "1"});
    BOOST_CHECK_THROW(make(by_sentinel, std::nullopt), std::invalid_argument);
    asio::ssl::context verifying(asio::ssl::context::tls_client);
    verifying.set_verify_mode(asio::ssl::verify_peer);
    BOOST_CHECK_NO_THROW(make(c, std::move(verifying)));
    BOOST_CHECK_NO_THROW(make({}, std::nullopt));
}

BOOST_AUTO_TEST_CASE(a_server_that_proves_its_identity_is_connected_to_by_tls) {
    const certificates issued;
    redis_server server(issued.for_server());
    boost::redis::config c = at(server.port());
    c.use_ssl = true;
    session s(c, issued.context("ca.crt"));
    s.connect();
    s.store->send({acquire("a")}, 1);
    BOOST_REQUIRE(s.is_answered());
    BOOST_TEST(is_granted(s.u.replies[0].at(0)));
    server.restart(); // the store uses the stream again
    BOOST_REQUIRE(s.is_connected(2));
}

BOOST_AUTO_TEST_CASE(a_server_that_does_not_prove_its_identity_is_refused_and_the_reason_logged) {
    const certificates issued;
    redis_server server(issued.for_server());
    boost::redis::config c = at(server.port());
    c.use_ssl = true;
    {
        session s(c, issued.context("other.crt"));
        s.store->start(s.u);
        BOOST_REQUIRE(s.has_ended(2));
        BOOST_TEST(s.u.connections == 0u);
        BOOST_REQUIRE(s.u.lines.size() == 1u);
        BOOST_TEST_MESSAGE(s.u.lines[0]);
        BOOST_TEST(s.u.has_logged("certificate verify failed"));
        BOOST_TEST(s.u.has_logged("The server's certificate was refused: "));
    }
    session s(c, issued.context("ca.crt", "example.org"));
    s.store->start(s.u);
    BOOST_REQUIRE(s.has_ended());
    BOOST_TEST(s.u.connections == 0u);
    BOOST_TEST(s.u.has_logged("certificate verify failed"));
}

BOOST_AUTO_TEST_CASE(a_unix_domain_socket_works) {
    test::redis_server_options o;
    o.has_unix_socket = true;
    redis_server server(o);
    boost::redis::config c;
    c.unix_socket = server.unix_socket();
    session s(c);
    s.connect();
    s.store->send({acquire("a")}, 1);
    BOOST_REQUIRE(s.is_answered());
    BOOST_TEST(is_granted(s.u.replies[0].at(0)));
    server.restart();
    BOOST_REQUIRE(s.is_connected(2));
}

BOOST_AUTO_TEST_CASE(a_socket_whose_path_is_too_long_is_refused) {
    asio::io_context context;
    boost::redis::config c;
    c.unix_socket = std::string(1000, 'x');
    BOOST_CHECK_THROW(
        redis_store(
            asio::make_strand(asio::any_io_executor(context.get_executor())), c, std::nullopt,
            client),
        std::invalid_argument);
}

BOOST_AUTO_TEST_CASE(any_number_of_threads_may_run_the_store) {
    redis_server server;
    redis_admin admin(server.port());
    asio::io_context context;
    const auto strand = asio::make_strand(asio::any_io_executor(context.get_executor()));
    const auto store =
        std::make_shared<redis_store>(strand, at(server.port()), std::nullopt, client);
    user u;
    std::size_t ends = 0;
    const auto go_on = [&] {
        const std::size_t n = u.replies.size();
        if (n == 300 && ends == 0) { // once, so that it has to reconnect
            ends = 1;
            admin.command("CLIENT", "KILL", "TYPE", "pubsub");
        }
        if (n == 600) {
            store->stop();
            return;
        }
        admin.command("PUBLISH", channel_of(client), publish_text(n));
        store->send({acquire("a")}, u.connections);
    };
    u.when_connected = go_on;
    u.when_replied = go_on;
    asio::dispatch(strand, [&] { store->start(u); });
    std::vector<std::thread> threads;
    for (int i = 0; i != 3; ++i)
        threads.emplace_back([&] { context.run(); });
    for (std::thread& t : threads)
        t.join();
    BOOST_TEST(store->is_idle());
    BOOST_TEST(u.replies.size() == 600u);
    BOOST_TEST(u.connections >= 2u);
    BOOST_TEST(u.pushes.size() > 300u);
}

BOOST_AUTO_TEST_CASE(a_store_stopped_after_any_step_comes_to_rest_and_reports_nothing_more) {
    redis_server server;
    redis_admin admin(server.port());
    bool was_answered = false;
    for (std::size_t n = 0; !was_answered; ++n) {
        BOOST_TEST_CONTEXT("stopped after " << n << " handlers") {
            admin.command("SCRIPT", "FLUSH");
            session s(at(server.port()));
            was_answered = is_done_after(n, s, admin);
            // the end of the scope stops and checks
        }
        BOOST_REQUIRE(n < 1'000u);
    }
}

// A push of the first connection, which nobody has fetched, is not one of the second.
BOOST_AUTO_TEST_CASE(a_store_stopped_after_any_step_can_be_started_again) {
    redis_server server;
    redis_admin admin(server.port());
    bool was_answered = false;
    for (std::size_t n = 0; !was_answered; ++n) {
        for (const bool rests : {false, true}) {
            BOOST_TEST_CONTEXT("stopped after " << n << " handlers, rests: " << rests) {
                session s(at(server.port()));
                was_answered = is_done_after(n, s, admin);
                s.store->stop();
                if (rests)
                    BOOST_REQUIRE(s.run_until([&] { return s.store->is_idle(); }));
                s.u.when_connected = [] {
                };
                s.u.connections = 0;
                s.u.ends.clear();
                s.u.replies.clear();
                s.u.pushes.clear();
                s.connect();
                BOOST_TEST(s.u.replies.empty());
                s.store->send({acquire("b", 2)}, 2);
                BOOST_REQUIRE(s.is_answered());
                BOOST_TEST(is_granted(s.u.replies[0][0]));
                BOOST_TEST(s.u.pushes.empty());
                BOOST_TEST(s.u.connections == 1u);
                BOOST_TEST(s.u.ends.empty());
            }
        }
        BOOST_REQUIRE(n < 1'000u);
    }
}

BOOST_AUTO_TEST_CASE(a_store_stopped_inside_any_callback_comes_to_rest) {
    redis_server server;
    redis_admin admin(server.port());
    {
        session s(at(server.port()));
        s.u.when_connected = [&] {
            s.u.is_gone = true;
            s.store->stop();
        };
        s.store->start(s.u);
        s.context.run();
        BOOST_TEST(s.store->is_idle());
        BOOST_TEST(s.u.order == "c");
    }
    session s(at(server.port()));
    s.u.when_connected = [&] {
        s.store->send({acquire("a")}, 1);
    };
    s.u.when_replied = [&] {
        s.u.is_gone = true;
        s.store->stop();
    };
    s.store->start(s.u);
    s.context.run();
    BOOST_TEST(s.store->is_idle());
    BOOST_TEST(s.u.order == "cr");
}

BOOST_AUTO_TEST_CASE(a_store_stopped_while_it_waits_for_the_next_attempt_comes_to_rest) {
    session s(at(1)); // nobody listens there
    s.store->start(s.u);
    BOOST_REQUIRE(s.has_ended(3));
    s.u.is_gone = true;
    s.store->stop();
    s.context.restart();
    s.context.poll();
    BOOST_TEST(s.context.stopped()); // no work is left
    BOOST_TEST(s.store->is_idle());
}

BOOST_AUTO_TEST_CASE(a_store_stopped_between_two_attempts_can_be_started_again) {
    redis_server server;
    redis_admin admin(server.port());
    session s(at(server.port()));
    s.connect();
    // The server ends the connection; a receive of pushes stays under way until the next one.
    admin.command("CLIENT", "KILL", "TYPE", "pubsub");
    BOOST_REQUIRE(s.has_ended());
    s.store->stop();
    s.store->start(s.u);
    BOOST_REQUIRE(s.is_connected(2));
    s.store->send({acquire("a")}, 2);
    BOOST_REQUIRE(s.is_answered());
    BOOST_TEST(s.u.ends.size() == 1u);
    BOOST_TEST(s.u.connections == 2u);
}

BOOST_AUTO_TEST_CASE(
    a_store_started_again_inside_a_callback_reports_nothing_of_the_last_connection) {
    redis_server server;
    redis_admin admin(server.port());
    const auto once = [](session& s) {
        return [&s, is_over = false]() mutable {
            if (std::exchange(is_over, true))
                return;
            s.u.order.clear();
            s.store->stop();
            s.store->start(s.u);
        };
    };
    {
        session s(at(server.port()));
        s.connect();
        s.u.when_pushed = once(s);
        admin.command(
            "EVAL", "for i = 1, 2 do redis.call('PUBLISH', KEYS[1], ARGV[1]) end", "1",
            channel_of(client), publish_text(1)); // both arrive together
        BOOST_REQUIRE(s.is_connected(2));
        BOOST_TEST(s.u.order == "c");
        BOOST_TEST(s.u.pushes.size() == 1u);
    }
    session s(at(server.port()));
    s.connect();
    s.u.when_logged = once(s);
    admin.command("CLIENT", "KILL", "TYPE", "pubsub");
    BOOST_REQUIRE(s.is_connected(2));
    BOOST_TEST(s.u.order == "c");
    BOOST_TEST(s.u.ends.empty());
}

// If a callback throws, the exception leaves the function that runs the context.
BOOST_AUTO_TEST_CASE(a_store_whose_user_throws_says_so_and_can_be_started_again) {
    redis_server server;
    redis_admin admin(server.port());
    struct thrown {};
    const auto fails = [] {
        throw thrown();
    };
    for (const int which : {0, 1, 2, 3}) {
        BOOST_TEST_CONTEXT("callback " << which) {
            session s(at(server.port()));
            s.u.when_connected = which == 0 ? std::function<void()>(fails) : [&] {
                s.store->send({acquire("a")}, s.u.connections);
            };
            if (which == 1)
                s.u.when_replied = fails;
            if (which == 2)
                s.u.when_pushed = fails;
            if (which == 3)
                s.u.when_logged = fails;
            s.store->start(s.u);
            const auto goes_on = [&] {
                if (which > 1 && s.is_answered())
                    which == 2 ? admin.command("PUBLISH", channel_of(client), publish_text(1))
                               : admin.command("CLIENT", "KILL", "TYPE", "pubsub");
                s.run_until([&] { return s.u.failures != 0; });
            };
            BOOST_CHECK_THROW(goes_on(), thrown);
            BOOST_TEST(s.u.failures == 1u);
            s.u.when_connected = s.u.when_replied = s.u.when_pushed = s.u.when_logged = [] {
            };
            s.store->stop();
            s.u.connections = 0;
            s.u.replies.clear();
            s.connect();
            s.store->send({acquire("b", 2)}, 2);
            BOOST_REQUIRE(s.is_answered());
        }
    }
}

BOOST_AUTO_TEST_CASE(a_store_abandoned_after_any_step_leaves_nothing) {
    redis_server server;
    bool was_answered = false;
    for (std::size_t n = 0; !was_answered; ++n) {
        user u;
        std::weak_ptr<redis_store> left;
        {
            asio::io_context context;
            const auto store = std::make_shared<redis_store>(
                asio::make_strand(asio::any_io_executor(context.get_executor())), at(server.port()),
                std::nullopt, client);
            left = store;
            u.when_connected = [s = store.get()] {
                s->send({acquire("a")}, 1);
            };
            store->start(u);
            for (std::size_t i = 0; i != n; ++i)
                context.run_one();
            was_answered = !u.replies.empty();
        }
        BOOST_TEST(left.expired());
        BOOST_REQUIRE(n < 1'000u);
    }
}

BOOST_AUTO_TEST_SUITE_END()
