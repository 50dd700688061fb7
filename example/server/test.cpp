// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// Tests the server as its users see it: as a process, over loopback and with signals. The parts
// that depend on the time since the start are tested without a clock.

#include "handler.hpp"
#include "options.hpp"

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <deque>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using response = http::response<http::string_body>;
using namespace std::chrono_literals;

namespace {

/// Polls until f() is true; fails the test after a timeout.
template <typename F>
void until(F f) {
    const auto deadline = std::chrono::steady_clock::now() + 30s;
    while (!f())
        BOOST_REQUIRE(std::chrono::steady_clock::now() < deadline);
}

/// A running server process. The destructor kills it if the test did not end it.
class process {
public:
    explicit process(std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), EXAMPLE_SERVER);
        std::vector<char*> argv;
        for (auto& argument : arguments)
            argv.push_back(argument.data());
        argv.push_back(nullptr);
        int out[2], err[2];
        if (::pipe2(out, O_CLOEXEC) != 0 || ::pipe2(err, O_CLOEXEC) != 0)
            throw std::runtime_error("pipe2");
        pid_ = ::fork();
        if (pid_ == 0) {
            ::dup2(out[1], STDOUT_FILENO);
            ::dup2(err[1], STDERR_FILENO);
            ::execv(argv[0], argv.data());
            std::_Exit(127);
        }
        ::close(out[1]);
        ::close(err[1]);
        out_ = out[0];
        err_ = err[0];
    }
    process(const process&) = delete;
    process& operator=(const process&) = delete;
    ~process() {
        if (pid_ > 0) {
            ::kill(pid_, SIGKILL);
            ::waitpid(pid_, nullptr, 0);
        }
        ::close(out_);
        ::close(err_);
    }

    void signal(int number) const { ::kill(pid_, number); }

    /// Waits for the end, and returns the exit status; -1 if the process did not exit normally.
    int exit_code() {
        int status = 0;
        ::waitpid(pid_, &status, 0);
        pid_ = 0;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    }

    std::string line() { return read(out_, '\n'); }
    std::string rest() { return read(out_, '\0'); }
    std::string errors() { return read(err_, '\0'); }

private:
    static std::string read(int file, char last) {
        std::string text;
        for (char c = 0; ::read(file, &c, 1) == 1 && c != last;)
            text += c;
        return text;
    }

    ::pid_t pid_ = 0;
    int out_ = -1, err_ = -1;
};

/// A connection to the server.
class client {
public:
    client(asio::io_context& context, unsigned short port) : socket_(context) {
        socket_.connect({asio::ip::address_v4::loopback(), port});
    }

    using headers = std::map<std::string, std::string>;

    void
    send(const std::string& target, http::verb verb = http::verb::get, const headers& more = {}) {
        http::request<http::empty_body> request(verb, target, 11);
        request.set(http::field::host, "localhost");
        for (const auto& [name, value] : more)
            request.set(name, value);
        http::write(socket_, request);
    }
    void send(const headers& more) { send("/", http::verb::get, more); }
    void send_text(const std::string& text) { asio::write(socket_, asio::buffer(text)); }

    response receive() {
        response answer;
        http::read(socket_, buffer_, answer);
        return answer;
    }
    unsigned status() { return receive().result_int(); }
    response get(const std::string& target) {
        send(target);
        return receive();
    }
    /// Sends nothing more, but can still receive a response.
    void half_close() { socket_.shutdown(tcp::socket::shutdown_send); }
    bool answered() { return socket_.available() > 0; }
    /// Whether the server closed the connection instead of sending more.
    bool at_end() {
        char byte;
        boost::system::error_code ec;
        socket_.read_some(asio::buffer(&byte, 1), ec);
        return ec == asio::error::eof;
    }

private:
    tcp::socket socket_;
    boost::beast::flat_buffer buffer_;
};

/// A running server and its clients.
class running_server {
public:
    explicit running_server(std::vector<std::string> arguments) :
        process_(with_port(std::move(arguments))), port_(announced(process_.line())) {}

    client connect() { return client(context_, port_); }

    /// The current metrics: from a name with its labels to a number.
    std::map<std::string, double> metrics() {
        const response answer = connect().get("/metrics");
        BOOST_TEST(answer.result_int() == 200u);
        BOOST_TEST(
            answer[http::field::content_type] ==
            "application/openmetrics-text; version=1.0.0; charset=utf-8");
        const std::string end = "# EOF\n";
        BOOST_TEST(answer.body().find(end) == answer.body().size() - end.size());
        std::map<std::string, double> values;
        std::istringstream lines(answer.body());
        for (std::string line; std::getline(lines, line);) {
            if (line.starts_with('#'))
                continue;
            const auto space = line.rfind(' ');
            BOOST_REQUIRE(space != line.npos);
            std::size_t parsed = 0;
            const double value = std::stod(line.substr(space + 1), &parsed);
            BOOST_TEST(parsed == line.size() - space - 1);
            BOOST_TEST(values.emplace(line.substr(0, space), value).second);
        }
        return values;
    }
    /// The number of refusals with this reason, over all priorities.
    double refused(const std::string& reason) {
        const auto all = metrics();
        double sum = 0;
        for (const auto* priority : {"0", "1", "2", "3"})
            sum += all.at(
                std::string("limiter_refused_total{priority=\"") + priority + "\",reason=\"" +
                reason + "\"}");
        return sum;
    }
    void until_metric(const std::string& name, double value) {
        until([&] { return metrics().at(name) == value; });
    }

    unsigned short port() const { return port_; }
    class process& process() {
        return process_;
    }

private:
    static std::vector<std::string> with_port(std::vector<std::string> arguments) {
        arguments.insert(arguments.end(), {"--port", "0", "--threads", "2"});
        return arguments;
    }
    static unsigned short announced(const std::string& line) {
        const std::string start = "listening on http://127.0.0.1:";
        BOOST_REQUIRE(line.starts_with(start));
        return static_cast<unsigned short>(std::stoi(line.substr(start.size())));
    }

    class process process_;
    unsigned short port_;
    asio::io_context context_;
};

// The work of a handler that only waits, for this many microseconds.
const std::string brief = "0,20000,1000", endless = "0,60000000,1000";
const std::string admitted = "limiter_admitted_total{priority=\"0\"}";

} // namespace

BOOST_AUTO_TEST_CASE(no_more_requests_than_the_limit_are_handled_at_once) {
    running_server server({"--limit", "3", "--max-wait", "60000", "--work", brief});
    std::deque<client> clients;
    for (int i = 0; i < 20; ++i)
        clients.push_back(server.connect());
    for (int round = 0; round < 3; ++round) {
        for (auto& c : clients)
            c.send("/");
        for (auto& c : clients)
            BOOST_TEST(c.status() == 200u);
    }
    const auto metrics = server.metrics();
    BOOST_TEST(metrics.at("handlers_running_max") == 3);
    BOOST_TEST(metrics.at(admitted) == 60);
    BOOST_TEST(metrics.at("limiter_in_flight") == 0);
}

BOOST_AUTO_TEST_CASE(without_a_limit_all_are_handled_at_once) {
    running_server server({"--limit", "0", "--work", endless});
    std::deque<client> clients;
    for (int i = 0; i < 20; ++i) {
        clients.push_back(server.connect());
        clients.back().send("/");
    }
    server.until_metric("handlers_running", 20);
}

BOOST_AUTO_TEST_CASE(who_waits_too_long_gets_503_with_retry_after) {
    running_server server({"--limit", "1", "--max-wait", "1500", "--work", endless});
    auto first = server.connect();
    first.send("/");
    server.until_metric("limiter_in_flight", 1);
    auto second = server.connect();
    const auto refused = second.get("/");
    BOOST_TEST(refused.result_int() == 503u);
    BOOST_TEST(std::stoi(refused[http::field::retry_after]) >= 1);
    BOOST_TEST(server.refused("timed_out") == 1);
    BOOST_TEST(second.get("/metrics").result_int() == 200u); // the connection stays open
}

BOOST_AUTO_TEST_CASE(a_client_that_hangs_up_while_it_waits_leaves_the_queue) {
    running_server server({"--limit", "1", "--max-wait", "60000", "--work", endless});
    auto first = server.connect();
    first.send("/");
    server.until_metric("limiter_in_flight", 1);
    {
        auto second = server.connect();
        second.send("/");
        server.until_metric("limiter_waiting", 1);
    }
    until([&] { return server.refused("cancelled") == 1; });
    const auto metrics = server.metrics();
    BOOST_TEST(metrics.at("limiter_waiting") == 0);
    BOOST_TEST(metrics.at("limiter_in_flight") == 1);
}

BOOST_AUTO_TEST_CASE(requests_that_are_sent_while_one_waits_are_answered_after_it) {
    running_server server({"--limit", "1", "--max-wait", "60000", "--work", "0,500000,1000"});
    auto first = server.connect();
    first.send("/");
    server.until_metric("limiter_in_flight", 1);
    auto second = server.connect();
    second.send("/");
    until([&] { return server.metrics().at("limiter_waiting") == 1 || second.answered(); });
    second.send("/metrics");
    second.send("/nowhere");
    BOOST_TEST(second.status() == 200u);
    BOOST_TEST(
        second.receive().body().find("limiter_admitted_total{priority=\"0\"} 2") !=
        std::string::npos);
    BOOST_TEST(second.status() == 404u);
    BOOST_TEST(first.status() == 200u);
}

BOOST_AUTO_TEST_CASE(the_histogram_counts_every_request_that_was_granted) {
    running_server server({"--limit", "1", "--max-wait", "60000", "--work", "0,1000,1000"});
    auto c = server.connect();
    for (int i = 0; i < 5; ++i)
        BOOST_TEST(c.get("/").result_int() == 200u);
    const auto metrics = server.metrics();
    BOOST_TEST(metrics.at("limiter_wait_seconds_count") == 5);
    BOOST_TEST(metrics.at("limiter_wait_seconds_bucket{le=\"+Inf\"}") == 5);
    BOOST_TEST(
        metrics.at("limiter_wait_seconds_bucket{le=\"0.001\"}") <=
        metrics.at("limiter_wait_seconds_bucket{le=\"5.0\"}"));
    BOOST_TEST(metrics.at("limiter_wait_seconds_sum") >= 0);
    BOOST_TEST(metrics.at("http_answer_seconds_count{code=\"200\"}") == 5);
    BOOST_TEST(metrics.at("http_answer_seconds_bucket{code=\"200\",le=\"0.001\"}") == 0);
    BOOST_TEST(metrics.at("http_answer_seconds_bucket{code=\"200\",le=\"+Inf\"}") == 5);
    BOOST_TEST(metrics.at("http_answer_seconds_sum{code=\"200\"}") >= 0.005);
}

BOOST_AUTO_TEST_CASE(who_finds_the_queue_full_gets_503_at_once) {
    running_server server(
        {"--limit", "1", "--max-waiting", "0", "--max-wait", "60000", "--work", endless});
    auto first = server.connect();
    first.send("/");
    server.until_metric("limiter_in_flight", 1);
    const auto refused = server.connect().get("/");
    BOOST_TEST(refused.result_int() == 503u);
    BOOST_TEST(refused[http::field::retry_after] == "1");
    BOOST_TEST(server.refused("queue_full") == 1);
}

BOOST_AUTO_TEST_CASE(retry_after_tells_the_expected_wait) {
    running_server server(
        {"--limit", "1", "--max-waiting", "2", "--max-wait", "60000", "--work", endless});
    std::deque<client> clients;
    for (int i = 0; i < 3; ++i) {
        clients.push_back(server.connect());
        clients.back().send("/");
        server.until_metric("limiter_waiting", i);
    }
    // No request was admitted since two began to wait, so each of them has to wait at least that
    // long.
    until([&] { return server.metrics().at("limiter_expected_wait_seconds") > 1; });
    const auto refused = server.connect().get("/");
    BOOST_TEST(refused.result_int() == 503u);
    BOOST_TEST(std::stoi(refused[http::field::retry_after]) >= 2);
}

BOOST_AUTO_TEST_CASE(while_the_queue_is_a_standing_one_newcomers_are_shed) {
    running_server server(
        {"--limit", "1", "--max-wait", "500", "--busy-wait", "1", "--order", "adaptive", "--work",
         endless});
    std::deque<client> clients;
    // Often enough that the queue is never empty for long.
    auto next = std::chrono::steady_clock::now();
    until([&] {
        if (std::chrono::steady_clock::now() >= next) {
            clients.push_back(server.connect());
            clients.back().send("/");
            next += 50ms;
        }
        return server.refused("shed") > 0;
    });
    BOOST_TEST(server.refused("timed_out") >= 1); // the first requests waited for max_wait
    for (auto c = std::next(clients.begin()); c != clients.end(); ++c)
        BOOST_TEST(c->status() == 503u);
}

BOOST_AUTO_TEST_CASE(a_client_has_no_more_requests_in_the_handler_than_its_cap) {
    running_server server(
        {"--limit", "3", "--max-per-client", "2", "--max-wait", "60000", "--work", endless});
    std::deque<client> clients;
    for (int i = 0; i < 3; ++i) {
        clients.push_back(server.connect());
        clients.back().send({{"X-Client", "greedy"}});
    }
    server.until_metric("limiter_in_flight", 2);
    server.until_metric("limiter_waiting", 1);
    auto other = server.connect();
    other.send({{"X-Client", "another"}});
    server.until_metric("limiter_in_flight", 3);
    const auto metrics = server.metrics();
    BOOST_TEST(metrics.at("limiter_waiting") == 1);
    BOOST_TEST(metrics.at("limiter_keys") == 2);
}

BOOST_AUTO_TEST_CASE(without_a_header_a_client_is_an_address) {
    running_server server(
        {"--limit", "3", "--max-per-client", "1", "--max-wait", "60000", "--work", endless});
    auto first = server.connect(), second = server.connect();
    first.send("/");
    second.send("/");
    server.until_metric("limiter_waiting", 1);
    BOOST_TEST(server.metrics().at("limiter_in_flight") == 1);
}

BOOST_AUTO_TEST_CASE(the_more_urgent_comes_first_where_the_priority_header_counts) {
    running_server server(
        {"--limit", "1", "--max-waiting", "1", "--max-wait", "60000", "--priority-header", "--work",
         endless});
    auto first = server.connect();
    first.send("/");
    server.until_metric("limiter_in_flight", 1);
    auto low = server.connect();
    low.send({{"X-Priority", "3"}});
    server.until_metric("limiter_waiting", 1);
    auto high = server.connect();
    high.send({{"X-Priority", "0"}});
    BOOST_TEST(low.status() == 503u); // evicted
    BOOST_TEST(server.refused("shed") == 1);
    BOOST_TEST(server.metrics().at("limiter_waiting") == 1);
    for (const auto* nonsense : {"4", "-1", "high", "00"}) {
        auto c = server.connect();
        c.send({{"X-Priority", nonsense}});
        BOOST_TEST(c.status() == 400u);
    }
}

BOOST_AUTO_TEST_CASE(the_priority_header_does_not_count_otherwise) {
    running_server server({"--limit", "1", "--work", "0,1000,1000"});
    auto c = server.connect();
    c.send({{"X-Priority", "3"}});
    BOOST_TEST(c.status() == 200u);
    BOOST_TEST(server.metrics().at(admitted) == 1);
}

BOOST_AUTO_TEST_CASE(a_dry_run_refuses_nobody_and_counts) {
    running_server server({"--limit", "1", "--max-waiting", "0", "--dry-run", "--work", endless});
    std::deque<client> clients;
    for (int i = 0; i < 3; ++i) {
        clients.push_back(server.connect());
        clients.back().send("/");
    }
    server.until_metric("limiter_in_flight", 3);
    const auto metrics = server.metrics();
    BOOST_TEST(metrics.at("handlers_running") == 3);
    BOOST_TEST(metrics.at("limiter_over_limit_total") == 2);
}

BOOST_AUTO_TEST_CASE(who_closes_its_side_is_gone_in_the_queue_and_in_the_handler) {
    running_server server({"--limit", "1", "--max-wait", "60000", "--work", endless});
    auto first = server.connect();
    first.send("/");
    server.until_metric("limiter_in_flight", 1);
    auto second = server.connect();
    second.send("/");
    server.until_metric("limiter_waiting", 1);
    second.half_close();
    BOOST_TEST(second.at_end());
    until([&] { return server.refused("cancelled") == 1; });

    first.half_close();
    BOOST_TEST(first.at_end());
    server.until_metric("limiter_in_flight", 0);
    const auto metrics = server.metrics();
    BOOST_TEST(metrics.at("handlers_running") == 0);
    BOOST_TEST(metrics.at("limiter_finished_total{outcome=\"ignored\"}") == 1);
    BOOST_TEST(metrics.at("limiter_unreported_total") == 0);
}

BOOST_AUTO_TEST_CASE(every_answer_has_its_date_and_the_id_of_its_request) {
    running_server server({"--limit", "1", "--work", brief});
    auto c = server.connect();
    for (const auto* target : {"/", "/nowhere", "/metrics"}) {
        c.send(target, http::verb::get, {{"X-Request-Id", "17"}});
        const auto answer = c.receive();
        std::tm utc{};
        const std::string date(answer[http::field::date]);
        const char* const end = ::strptime(date.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &utc);
        BOOST_TEST((end != nullptr && *end == '\0'), date);
        BOOST_TEST(std::abs(std::difftime(::timegm(&utc), std::time(nullptr))) < 60);
        BOOST_TEST(answer["X-Request-Id"] == "17");
    }
    BOOST_TEST(c.get("/").count("X-Request-Id") == 0u);
}

BOOST_AUTO_TEST_CASE(the_live_page_has_nothing_from_outside_and_names_the_clients) {
    running_server server({"--limit", "1", "--max-wait", "60000", "--work", endless});
    auto page = server.connect().get("/live");
    BOOST_TEST(page[http::field::content_type] == "text/html; charset=utf-8");
    BOOST_TEST(page["Content-Security-Policy"].starts_with("default-src 'none'"));
    auto first = server.connect();
    first.send({{"X-Client", "\"quoted\" \\ and \xfc"}});
    server.until_metric("limiter_in_flight", 1);
    const auto data = server.connect().get("/live.json");
    BOOST_TEST(data[http::field::content_type] == "application/json");
    BOOST_TEST(
        data.body().find(R"({"name":"\"quoted\" \\ and \u00fc","in_flight":1,"waiting":0})") !=
            std::string::npos,
        data.body());
}

BOOST_AUTO_TEST_CASE(a_request_for_no_work_gets_an_error) {
    running_server server({"--limit", "1"});
    BOOST_TEST(server.connect().get("/nowhere").result_int() == 404u);
    BOOST_TEST(server.connect().get("/nowhere?/").result_int() == 404u);
    auto poster = server.connect();
    poster.send("/", http::verb::post);
    const auto refused = poster.receive();
    BOOST_TEST(refused.result_int() == 405u);
    BOOST_TEST(refused[http::field::allow] == "GET, HEAD");
    auto babbler = server.connect();
    babbler.send_text("what is this?\r\n\r\n");
    BOOST_TEST(babbler.status() == 400u);
    BOOST_TEST(babbler.at_end());
    auto sender = server.connect();
    sender.send_text("GET / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n");
    BOOST_TEST(sender.status() == 413u);
    BOOST_TEST(server.metrics().at(admitted) == 0);
}

BOOST_AUTO_TEST_CASE(the_query_of_a_request_for_work_does_not_matter) {
    running_server server({"--limit", "1"});
    BOOST_TEST(server.connect().get("/?1").result_int() == 200u);
    BOOST_TEST(server.connect().get("/metrics?1").result_int() == 200u);
    BOOST_TEST(server.metrics().at(admitted) == 1);
}

BOOST_AUTO_TEST_CASE(the_database_takes_turns_beyond_its_capacity) {
    server::workload work;
    work.query = 5ms;
    work.capacity = 16;
    for (const int few : {1, 15, 16})
        BOOST_TEST((work.query_time(few, 0s) == 5ms), few);
    const auto rate = [&](int at_once) {
        return at_once / std::chrono::duration<double>(work.query_time(at_once, 0s)).count();
    };
    BOOST_TEST(rate(16) == 3200, boost::test_tools::tolerance(0.001));
    BOOST_TEST(rate(8) == 1600, boost::test_tools::tolerance(0.001));
    // A few queries too many cost hardly any throughput, very many cost three quarters.
    BOOST_TEST(rate(24) > 0.99 * rate(16));
    BOOST_TEST(rate(256) == rate(16) / 4, boost::test_tools::tolerance(0.001));
    for (int i = 17; i <= 256; ++i)
        BOOST_TEST(rate(i) < rate(i - 1), i);
}

BOOST_AUTO_TEST_CASE(the_capacity_follows_the_schedule) {
    server::workload work;
    work.capacity = 16;
    BOOST_TEST(work.capacity_at(24h) == 16);
    work.schedule = {{5s, 8}, {10s, 20}};
    BOOST_TEST(work.capacity_at(0s) == 16);
    BOOST_TEST(work.capacity_at(4999ms) == 16);
    BOOST_TEST(work.capacity_at(5s) == 8);
    BOOST_TEST(work.capacity_at(9999ms) == 8);
    BOOST_TEST(work.capacity_at(10s) == 20);
    BOOST_TEST(work.capacity_at(24h) == 20);
    BOOST_TEST((work.query_time(16, 4s) == work.query));
    BOOST_TEST((work.query_time(16, 5s) > 2 * work.query));
    BOOST_TEST((work.query_time(16, 10s) == work.query));
}

BOOST_AUTO_TEST_CASE(a_schedule_is_read_from_the_command_line) {
    const auto schedule = [](const char* text) {
        const char* const arguments[] = {"example_server", "--work-schedule", text};
        return server::parse(3, arguments).value().work.schedule;
    };
    const auto one = schedule("0:8");
    BOOST_REQUIRE(one.size() == 1u);
    BOOST_TEST((one[0].after == 0ms));
    BOOST_TEST(one[0].capacity == 8);
    const auto two = schedule("5000:8,10500:1000000");
    BOOST_REQUIRE(two.size() == 2u);
    BOOST_TEST((two[1].after == 10500ms));
    BOOST_TEST(two[1].capacity == 1'000'000);
}

BOOST_AUTO_TEST_CASE(the_capacity_changes_while_the_server_runs) {
    running_server server({"--work", "0,0,16", "--work-schedule", "86400000:1"});
    BOOST_TEST(server.metrics().at("database_capacity") == 16);
    running_server changing({"--work", "0,0,16", "--work-schedule", "100:8"});
    changing.until_metric("database_capacity", 8);
}

BOOST_AUTO_TEST_CASE(a_limit_that_finds_itself_is_seen_to_move) {
    running_server server({"--limit", "auto", "--max-wait", "60000", "--work", "0,5000,16"});
    BOOST_TEST(server.metrics().at("limiter_limit") == 4);
    std::deque<client> clients;
    for (int i = 0; i < 32; ++i)
        clients.push_back(server.connect());
    const auto limits_on_page = [&] {
        const std::string name = "\"limit\":";
        const auto data = server.connect().get("/live.json").body();
        std::set<std::string> limits;
        for (auto at = data.find("\"seconds\":"); (at = data.find(name, at)) != data.npos;) {
            at += name.size();
            limits.insert(data.substr(at, data.find(',', at) - at));
        }
        return limits.size();
    };
    until([&] { return limits_on_page() == 1; }); // the history has one second
    until([&] {
        for (auto& c : clients)
            c.send("/");
        for (auto& c : clients)
            BOOST_TEST(c.status() == 200u);
        return limits_on_page() >= 2;
    });
    const double most = server.metrics().at("handlers_running_max");
    BOOST_TEST(most > 4);
    clients.clear();
    server.process().signal(SIGTERM);
    BOOST_TEST(server.process().exit_code() == 0);
    const auto said = server.process().rest();
    const std::string name = " largest_limit=";
    const auto at = said.find(name);
    BOOST_REQUIRE(at != said.npos);
    BOOST_TEST(std::stod(said.substr(at + name.size())) >= most);
}

BOOST_AUTO_TEST_CASE(sigterm_lets_handlers_end_and_refuses_those_who_wait) {
    running_server server({"--limit", "1", "--max-wait", "60000", "--work", "0,3000000,1000"});
    auto idle = server.connect();
    BOOST_TEST(idle.get("/nowhere").result_int() == 404u);
    auto first = server.connect();
    first.send("/");
    server.until_metric("limiter_in_flight", 1);
    auto second = server.connect();
    second.send("/");
    server.until_metric("limiter_waiting", 1);
    server.process().signal(SIGTERM);

    const auto refused = second.receive();
    BOOST_TEST(refused.result_int() == 503u);
    BOOST_TEST(!refused[http::field::retry_after].empty());
    BOOST_TEST(!refused.keep_alive());
    BOOST_TEST(idle.at_end());
    const auto done = first.receive();
    BOOST_TEST(done.result_int() == 200u);
    BOOST_TEST(!done.keep_alive());
    BOOST_TEST(server.process().exit_code() == 0);
    const auto said = server.process().rest();
    BOOST_TEST(
        said.find("ended: limit=1 most_at_once=1 running=0 in_flight=0 waiting=0 admitted=1 "
                  "finished=1 unreported=0 over_limit=0 queue_full=0 shed=0 timed_out=0 "
                  "cancelled=0 closed=1 largest_limit=1 ") != std::string::npos,
        said);
}

BOOST_AUTO_TEST_CASE(sigint_ends_a_server_without_clients) {
    running_server server({});
    server.process().signal(SIGINT);
    BOOST_TEST(server.process().exit_code() == 0);
}

BOOST_AUTO_TEST_CASE(options_that_cannot_be_get_one_line_and_exit_code_2) {
    const std::vector<std::vector<std::string>> all = {
        {"--limits"},
        {"--nonsense", "1"},
        {"nonsense"},
        {"--limit"},
        {"--limit", "-1"},
        {"--limit", "many"},
        {"--limit", "automatic"},
        {"--limit", "Auto"},
        {"--limit", "1", "--limit", "2"},
        {"--limit", ""},
        {"--limit", "99999999999999999999"},
        {"--max-wait", "-5"},
        {"--max-wait", "1.5"},
        {"--max-waiting", "-1"},
        {"--max-waiting", "few"},
        {"--busy-wait", "-1"},
        {"--busy-wait", "1001"}, // longer than --max-wait
        {"--busy-wait", "6", "--max-wait", "5"},
        {"--order", "oldest"},
        {"--order"},
        {"--max-per-client", "-1"},
        {"--max-per-client", "1.0"},
        {"--priority-header=yes"},
        {"--dry-run=no"},
        {"--threads", "0"},
        {"--port", "65536"},
        {"--port", "-1"},
        {"--address", "localhost"},
        {"--work", "1"},
        {"--work", "1,2,0"},
        {"--work", "1,-2,3"},
        {"--work", "1,2,3,4"},
        {"--work-schedule"},
        {"--work-schedule", ""},
        {"--work-schedule", "5000"},
        {"--work-schedule", ":"},
        {"--work-schedule", "5000:8,"},
        {"--work-schedule", ",5000:8"},
        {"--work-schedule", "5000:8:16"},
        {"--work-schedule", "5000:0"},
        {"--work-schedule", "5000:8.5"},
        {"--work-schedule", "-1:8"},
        {"--work-schedule", "1.5:8"},
        {"--work-schedule", "5000:8,5000:16"},
        {"--work-schedule", "5000:8,4999:16"},
        {"--work-schedule", "86400001:8"},
        {"--fleet"},
        {"--fleet", ""},
        {"--fleet", "127.0.0.1:6379/name"},
        {"--fleet", "redis:///name"},
        {"--fleet", "redis://127.0.0.1:6379"},
        {"--fleet", "redis://127.0.0.1:6379/"},
        {"--fleet", "redis://127.0.0.1:65536/name"},
        {"--fleet", "redis://127.0.0.1/name", "--limit", "auto"},
        {"--fleet", "redis://127.0.0.1/name", "--limit", "0"},
        {"--fleet", "redis://127.0.0.1/name", "--max-waiting", "0"},
        {"--fleet", "redis://127.0.0.1/name", "--fleet-lease", "49"},
        {"--fleet", "redis://127.0.0.1/name", "--busy-wait", "5"},
        {"--fleet", "redis://127.0.0.1/name", "--order", "lifo"},
        {"--fleet", "redis://127.0.0.1/name", "--max-per-client", "1"},
        {"--fleet", "redis://127.0.0.1/name", "--priority-header"},
        {"--fleet", "redis://127.0.0.1/name", "--dry-run"},
        {"--fleet-lease", "1000"}};
    for (const auto& arguments : all) {
        class process server(arguments);
        const auto told = server.errors();
        BOOST_TEST_CONTEXT(arguments.front() << ' ' << arguments.back() << " : " << told) {
            BOOST_TEST(server.exit_code() == 2);
            BOOST_TEST(told.starts_with("example_server: "));
            const auto& first = arguments.front();
            BOOST_TEST((told.find(first.substr(0, first.find('='))) != told.npos));
            BOOST_TEST(std::count(told.begin(), told.end(), '\n') == 1);
            BOOST_TEST(server.rest() == "");
        }
    }
}

BOOST_AUTO_TEST_CASE(an_address_in_use_gets_one_line_and_exit_code_2) {
    running_server first({});
    class process second({"--port", std::to_string(first.port())});
    const auto told = second.errors();
    BOOST_TEST(second.exit_code() == 2);
    BOOST_TEST(told.find("Address already in use\n") != std::string::npos, told);
    BOOST_TEST(std::count(told.begin(), told.end(), '\n') == 1);
}

BOOST_AUTO_TEST_CASE(help_is_printed_and_exit_code_0) {
    class process server({"--help"});
    BOOST_TEST(server.rest().find("--max-wait") != std::string::npos);
    BOOST_TEST(server.exit_code() == 0);
}
