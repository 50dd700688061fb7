#include "gate.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <utility>

namespace server {
namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using namespace asio::experimental::awaitable_operators;
namespace {

// Ends when the client hangs up. It may also send its next requests without waiting for answers:
// those are kept, as many as the buffer takes.
asio::awaitable<void> client_gone(tcp::socket& socket, boost::beast::flat_buffer& buffer) {
    constexpr std::size_t chunk = 1024;
    error_code ec;
    while (!ec && buffer.max_size() - buffer.size() >= chunk)
        buffer.commit(co_await socket.async_read_some(
            buffer.prepare(chunk), asio::redirect_error(asio::use_awaitable, ec)));
    if (!ec)
        co_await socket.async_wait(
            tcp::socket::wait_error, asio::redirect_error(asio::use_awaitable, ec));
}

} // namespace

gate::gate(
    const asio::any_io_executor& executor, std::ptrdiff_t limit,
    std::chrono::milliseconds max_wait) :
    limit_(limit), max_wait_(max_wait) {
    if (limit > 0)
        semaphore_.emplace(executor, limit, limit);
}

asio::awaitable<gate::admission>
gate::enter(tcp::socket& socket, boost::beast::flat_buffer& buffer) {
    if (!semaphore_)
        co_return admission{verdict::admitted, {}};

    // The common case neither suspends nor watches the client.
    if (auto held = semaphore_->try_acquire_permit()) {
        counts_.waits.observe({});
        co_return decide({}, std::move(held));
    }

    const auto start = std::chrono::steady_clock::now();
    // Whichever ends first, also with an error, cancels the other. A permit that is granted while
    // the client hangs up goes back by itself.
    auto first = co_await (
        semaphore_->async_acquire_permit_for(max_wait_, asio::as_tuple(asio::use_awaitable)) ||
        client_gone(socket, buffer));
    if (first.index() == 1) {
        counts_.cancelled.fetch_add(1, std::memory_order_relaxed);
        co_return admission{verdict::client_gone, {}};
    }
    auto& [ec, held] = std::get<0>(first);
    if (!ec)
        counts_.waits.observe(std::chrono::steady_clock::now() - start);
    co_return decide(ec, std::move(held));
}

gate::admission gate::decide(error_code ec, asio_semaphore::permit held) {
    const auto count = [](std::atomic<std::uint64_t>& counter, verdict result) {
        counter.fetch_add(1, std::memory_order_relaxed);
        return result;
    };
    if (!ec)
        return {count(counts_.granted, verdict::admitted), std::move(held)};
    if (ec == asio::error::timed_out)
        return {count(counts_.timed_out, verdict::timed_out), {}};
    return {count(counts_.closed, verdict::closed), {}};
}

void gate::close() {
    if (semaphore_)
        semaphore_->close();
}

} // namespace server
