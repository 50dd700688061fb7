// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// A server to start from. It refuses requests that it cannot serve in time, shares its capacity
// fairly among clients, serves /metrics for Prometheus, and shuts down gracefully. 10_world.hpp has
// the rest of the program: accept loop, database and clients. With a port as its argument the
// server runs until Ctrl-C; without one it serves six clients of its own, and ends.

#include "10_world.hpp"

#include <asio_semaphore.hpp>

#include <charconv>
#include <stdexcept>
#include <string_view>

using asio_semaphore::limiter;

asio::awaitable<response> query(limiter& limit, std::uint64_t client, database& db) {
    error_code ec;
    auto place = co_await limit.async_admit({.key = client}, redirect_error(use_awaitable, ec));
    if (ec) { // asio_semaphore::condition::overload, or error::closed
        const auto seconds = std::min(limit.statistics().expected_wait / 1s + 1, 60L);
        response refusal(http::status::service_unavailable, 11);
        refusal.set(http::field::retry_after, std::to_string(seconds));
        co_return refusal;
    }
    response answer(http::status::ok, 11, co_await db.query(ec));
    place.finish(ec);
    co_return answer;
}

response metrics(const limiter& limit) {
    std::ostringstream text;
    asio_semaphore::write_openmetrics(text, limit.statistics(), "http");
    response page(http::status::ok, 11, text.str());
    page.set(
        http::field::content_type, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    return page;
}

asio::awaitable<void> session(boost::beast::tcp_stream stream, limiter& limit, database& db) {
    const auto client = asio_semaphore::key_of(stream.socket().remote_endpoint().address());
    boost::beast::flat_buffer buffer;
    for (bool goes_on = true; goes_on;) {
        http::request<http::string_body> request;
        stream.expires_after(30s); // also closes idle connections
        co_await http::async_read(stream, buffer, request, use_awaitable);
        response answer = metrics(limit);
        if (request.target() != "/metrics")
            answer = co_await query(limit, client, db);
        answer.keep_alive(goes_on = request.keep_alive() && limit.is_open());
        answer.prepare_payload();
        co_await http::async_write(stream, answer, use_awaitable);
    }
}

int main(int argc, char** argv) try {
    const std::string_view word = argc > 1 ? argv[1] : "0";
    asio::ip::port_type port = 0;
    const auto read = std::from_chars(word.data(), word.data() + word.size(), port);
    if (read.ec != std::errc() || read.ptr != word.data() + word.size())
        throw std::invalid_argument("not a port: " + std::string(word));

    asio::io_context context;
    tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), port});
    database db(context);
    limiter limit(context, 3, {.max_wait = 10ms, .max_per_key = 2});
    serve(acceptor, [&](auto stream) { return session(std::move(stream), limit, db); });
    if (argc > 1) {
        db.take(1s);
        std::cout << "listening on http://" << acceptor.local_endpoint() << '/' << std::endl;
    } else {
        asio::co_spawn(context, clients(acceptor.local_endpoint(), db), asio::detached);
    }
    asio::signal_set signals(context, SIGINT, SIGTERM);
    signals.async_wait([&](error_code, int) { acceptor.close(), limit.close(); });
    context.run();                  // returns when all admitted requests have been answered
} catch (const std::exception& e) { // such as a port that is in use
    std::cerr << "10_server: " << e.what() << '\n';
    return 1;
}
