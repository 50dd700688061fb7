#include "session.hpp"

#include "gate.hpp"
#include "handler.hpp"
#include "metrics.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>

#include <algorithm>
#include <chrono>
#include <string_view>
#include <utility>

namespace server {
namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using namespace std::chrono_literals;
namespace {

constexpr auto client_timeout = 30s; // for a whole request to come, or a response to go
constexpr std::size_t most_buffered = 64 * 1024;
constexpr std::uint64_t largest_body = 16 * 1024;

template <typename Request>
http::response<http::string_body>
respond(const Request& asked, http::status status, std::string body) {
    http::response<http::string_body> answer(status, asked.version());
    answer.set(http::field::content_type, "text/plain; charset=utf-8");
    answer.keep_alive(asked.keep_alive());
    if (asked.method() == http::verb::head) {
        answer.content_length(body.size());
        return answer;
    }
    answer.body() = std::move(body);
    answer.prepare_payload();
    return answer;
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
    stream_(std::move(socket)), buffer_(most_buffered), shared_(shared) {}

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

        std::optional<response> reply;
        if (!ec) {
            reply = co_await answer(parser.get());
        } else if (ec.category() == make_error_code(http::error::bad_method).category()) {
            if (ec == http::error::end_of_stream || ec == http::error::partial_message)
                co_return;
            const auto status = ec == http::error::body_limit ? http::status::payload_too_large
                                                              : http::status::bad_request;
            reply = respond(parser.get(), status, ec.message() + "\n");
            reply->keep_alive(false); // who knows where the next request would begin
        }
        if (!reply)
            co_return;
        if (shared_.sessions.draining())
            reply->keep_alive(false);
        shared_.responses.add(reply->result_int());

        stream_.expires_after(client_timeout);
        co_await http::async_write(stream_, *reply, asio::redirect_error(asio::use_awaitable, ec));
        // Asked again: drain() may have found the response on its way.
        go_on = !ec && reply->keep_alive() && !shared_.sessions.draining();
    }
}

// Nothing if the client is gone.
asio::awaitable<std::optional<session::response>> session::answer(const request& asked) {
    if (asked.method() != http::verb::get && asked.method() != http::verb::head) {
        auto reply = respond(asked, http::status::method_not_allowed, "GET or HEAD only\n");
        reply.set(http::field::allow, "GET, HEAD");
        co_return reply;
    }
    const auto path = asked.target().substr(0, asked.target().find('?'));
    if (path == "/")
        co_return co_await answer_work(asked);
    // Past the gate: whoever watches the server wants an answer just when it is full.
    if (path == "/metrics") {
        auto reply = respond(
            asked, http::status::ok,
            prometheus_text(shared_.entry, shared_.work, shared_.responses));
        reply.set(http::field::content_type, "text/plain; version=0.0.4; charset=utf-8");
        co_return reply;
    }
    co_return respond(asked, http::status::not_found, "there are / and /metrics\n");
}

asio::awaitable<std::optional<session::response>> session::answer_work(const request& asked) {
    // The permit lives as long as the handler runs, and no longer: not while a slow client reads.
    const gate::admission entry = co_await shared_.entry.enter(stream_.socket(), buffer_);
    switch (entry.result) {
    case gate::verdict::client_gone:
        co_return std::nullopt;
    case gate::verdict::admitted:
        co_return respond(asked, http::status::ok, co_await shared_.work());
    case gate::verdict::timed_out:
    case gate::verdict::closed:
        break;
    }
    auto reply = respond(
        asked, http::status::service_unavailable,
        entry.result == gate::verdict::closed ? "the server ends\n" : "too busy\n");
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(shared_.entry.max_wait()).count();
    reply.set(http::field::retry_after, std::to_string(std::max<long>(1, seconds)));
    co_return reply;
}

} // namespace server
