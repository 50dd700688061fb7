// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include "session.hpp"

#include "fleet.hpp"
#include "handler.hpp"
#include "live.hpp"
#include "metrics.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <ctime>
#include <exception>
#include <string_view>
#include <utility>

namespace server {
namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using namespace asio::experimental::awaitable_operators;
using namespace std::chrono_literals;
namespace {

constexpr auto client_timeout = 30s; // for reading a whole request, and for writing a response
constexpr std::size_t most_buffered = 64 * 1024;
constexpr std::uint64_t largest_body = 16 * 1024;

std::string http_date() {
    const std::time_t now = std::time(nullptr);
    std::tm utc{};
    gmtime_r(&now, &utc);
    char text[32];
    return {text, std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &utc)};
}

template <typename Request>
http::response<http::string_body> respond(
    const Request& asked, http::status status, std::string body,
    std::string_view type = "text/plain; charset=utf-8") {
    http::response<http::string_body> answer(status, asked.version());
    answer.set(http::field::date, http_date());
    answer.set(http::field::content_type, type);
    // A client can match the response with its request by this header.
    if (const auto id = asked.find("X-Request-Id"); id != asked.end())
        answer.set("X-Request-Id", id->value());
    answer.keep_alive(asked.keep_alive());
    if (asked.method() == http::verb::head) {
        answer.content_length(body.size());
        return answer;
    }
    answer.body() = std::move(body);
    answer.prepare_payload();
    return answer;
}

std::string header(const http::fields& fields, std::string_view name) {
    const auto found = fields.find(name);
    return found != fields.end() ? std::string(found->value()) : "";
}

// Leaves 0, the highest priority, if the request states none. False if it states an invalid one.
bool read_priority(const http::fields& fields, int& priority) {
    const auto said = header(fields, "X-Priority");
    if (said.empty())
        return true;
    priority = said[0] - '0';
    return said.size() == 1 && priority >= 0 && priority <= 3;
}

std::string address_of(const tcp::socket& socket) {
    error_code ec;
    const auto client = socket.remote_endpoint(ec);
    return ec ? "" : client.address().to_string();
}

} // namespace

bool session_list::add(const std::shared_ptr<session>& s) {
    const std::lock_guard lock(mutex_);
    return !draining() && sessions_.insert(s).second;
}

void session_list::remove(const std::shared_ptr<session>& s) {
    const std::lock_guard lock(mutex_);
    sessions_.erase(s);
}

void session_list::drain() {
    const std::lock_guard lock(mutex_);
    draining_.store(true, std::memory_order_relaxed);
    for (const auto& s : sessions_)
        session::drain(s);
}

session::session(tcp::socket socket, const services& shared) :
    address_(address_of(socket)),
    stream_(std::move(socket)),
    buffer_(most_buffered),
    shared_(shared) {}

void session::drain(const std::shared_ptr<session>& self) {
    asio::post(self->stream_.get_executor(), [self] {
        if (self->idle_)
            self->stream_.cancel();
    });
}

asio::awaitable<void> session::run(std::shared_ptr<session> self) {
    if (!shared_.sessions.add(self))
        co_return;
    struct listed {
        const std::shared_ptr<session>& self;
        ~listed() { self->shared_.sessions.remove(self); }
    };
    const listed here{self};
    co_await serve();
    error_code ignored;
    stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
}

asio::awaitable<void> session::serve() {
    for (bool go_on = true; go_on;) {
        http::request_parser<http::string_body> parser;
        parser.body_limit(largest_body);
        error_code ec;
        stream_.expires_after(client_timeout);
        idle_ = true;
        co_await http::async_read(
            stream_, buffer_, parser, asio::redirect_error(asio::use_awaitable, ec));
        idle_ = false;
        stream_.expires_never();
        const auto start = std::chrono::steady_clock::now();

        std::optional<response> reply;
        if (!ec) {
            reply = co_await answer(parser.get());
        } else if (ec.category() == make_error_code(http::error::bad_method).category()) {
            if (ec == http::error::end_of_stream || ec == http::error::partial_message)
                co_return;
            const auto status = ec == http::error::body_limit ? http::status::payload_too_large
                                                              : http::status::bad_request;
            reply = respond(parser.get(), status, ec.message() + "\n");
            reply->keep_alive(false); // the start of the next request is unknown
        }
        if (!reply)
            co_return;
        if (shared_.sessions.draining())
            reply->keep_alive(false);
        shared_.answers.add(reply->result_int(), std::chrono::steady_clock::now() - start);

        stream_.expires_after(client_timeout);
        co_await http::async_write(stream_, *reply, asio::redirect_error(asio::use_awaitable, ec));
        // Ask again: drain() may have been called while the response was being written.
        go_on = !ec && reply->keep_alive() && !shared_.sessions.draining();
    }
}

// Returns nothing if the client is gone.
asio::awaitable<std::optional<session::response>> session::answer(const request& asked) {
    if (asked.method() != http::verb::get && asked.method() != http::verb::head) {
        auto reply = respond(asked, http::status::method_not_allowed, "GET or HEAD only\n");
        reply.set(http::field::allow, "GET, HEAD");
        co_return reply;
    }
    const auto path = asked.target().substr(0, asked.target().find('?'));
    if (path == "/") {
        // The one that ends first cancels the other. A client that closes its side before it has
        // its response counts as gone, both in the queue and in the handler.
        auto first = co_await (client_gone() || work(asked));
        if (first.index() == 0)
            co_return std::nullopt;
        co_return std::get<1>(std::move(first));
    }
    // No limit from here on: monitoring has to work when the server is overloaded.
    if (path == "/metrics")
        co_return respond(
            asked, http::status::ok,
            openmetrics_text(shared_.limit, shared_.fleet, shared_.work, shared_.answers),
            "application/openmetrics-text; version=1.0.0; charset=utf-8");
    if (path == "/live.json")
        co_return respond(
            asked, http::status::ok, shared_.past.json(shared_.limit, shared_.clients),
            "application/json");
    if (path == "/live") {
        auto reply =
            respond(asked, http::status::ok, std::string(live_page()), "text/html; charset=utf-8");
        // The page must load nothing from other servers.
        reply.set(
            "Content-Security-Policy",
            "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
            "connect-src 'self'; img-src data:");
        co_return reply;
    }
    co_return respond(asked, http::status::not_found, "the paths are /, /live and /metrics\n");
}

// Ends when the client hangs up. The client may send further requests before it has a response.
// They are kept in the buffer, as far as they fit.
asio::awaitable<void> session::client_gone() {
    constexpr std::size_t chunk = 1024;
    auto& socket = stream_.socket();
    error_code ec;
    while (!ec && buffer_.max_size() - buffer_.size() >= chunk)
        buffer_.commit(co_await socket.async_read_some(
            buffer_.prepare(chunk), asio::redirect_error(asio::use_awaitable, ec)));
    if (!ec)
        co_await socket.async_wait(
            tcp::socket::wait_error, asio::redirect_error(asio::use_awaitable, ec));
}

// This is where the limiter is used: a request waits for its admission, and holds the admission
// while it is handled.
asio::awaitable<session::response> session::work(const request& asked) {
    // A proxy has to set this header. A client could state any name.
    const auto client = header(asked, "X-Client");
    const client_names::visit visit(shared_.clients, client.empty() ? address_ : client);
    asio_semaphore::admission place;
    try {
        if (shared_.limit) {
            asio_semaphore::admission_request wanted;
            wanted.key = visit.key();
            if (shared_.priority_header && !read_priority(asked, wanted.priority))
                co_return respond(
                    asked, http::status::bad_request, "X-Priority is a digit from 0 to 3\n");
            // try_admit first: in the common case the coroutine does not suspend.
            error_code ec;
            place = shared_.limit->try_admit(wanted);
            if (!place)
                place = co_await shared_.limit->async_admit(
                    wanted, asio::redirect_error(asio::use_awaitable, ec));
            if (ec)
                co_return refuse(asked, ec);
        }
        std::shared_ptr<void> permit;
        if (shared_.fleet) {
            error_code ec;
            permit = co_await shared_.fleet->acquire(ec);
            if (ec)
                co_return refuse(asked, ec);
        }
        auto reply = respond(asked, http::status::ok, co_await shared_.work());
        // Finish before the response is written: a slow client must not hold the place.
        place.finish();
        co_return reply;
    } catch (const boost::system::system_error& e) {
        place.finish(e.code()); // if the client hung up: operation_aborted, which is ignored
    } catch (const std::exception&) {
        place.finish(asio_semaphore::outcome::ignored);
    }
    co_return respond(asked, http::status::internal_server_error, "the handler failed\n");
}

session::response session::refuse(const request& asked, error_code why) const {
    auto reply = respond(asked, http::status::service_unavailable, why.message() + "\n");
    std::chrono::steady_clock::duration wait{};
    if (shared_.limit)
        wait = shared_.limit->statistics().expected_wait;
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(wait).count();
    reply.set(http::field::retry_after, std::to_string(std::max<long>(1, seconds)));
    return reply;
}

} // namespace server
