#pragma once

// Where the semaphore stands: a request passes the gate before it is handled, and holds a permit
// until it has been.

#include "metrics.hpp"

#include <asio_semaphore.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace server {

class gate {
public:
    enum class verdict { admitted, timed_out, client_gone, closed };

    struct admission {
        verdict result;
        asio_semaphore::permit held; // empty if there is no limit
    };

    struct counters {
        std::atomic<std::uint64_t> granted{0}, timed_out{0}, cancelled{0}, closed{0};
        histogram waits; // of those who were granted
    };

    /// @param limit 0 for none
    gate(
        const boost::asio::any_io_executor& executor, std::ptrdiff_t limit,
        std::chrono::milliseconds max_wait);

    /// Waits for a permit, no longer than the client does. Runs on the strand of the connection.
    /** What the client sends meanwhile, requests that follow this one, goes into the buffer. */
    boost::asio::awaitable<admission>
    enter(boost::asio::ip::tcp::socket& socket, boost::beast::flat_buffer& buffer);

    /// Refuses those who wait, and all who come.
    void close();

    std::ptrdiff_t limit() const noexcept { return limit_; }
    std::chrono::milliseconds max_wait() const noexcept { return max_wait_; }
    std::ptrdiff_t available() const noexcept { return semaphore_ ? semaphore_->available() : 0; }
    std::size_t waiting() const noexcept { return semaphore_ ? semaphore_->waiting() : 0; }
    const counters& counts() const noexcept { return counts_; }

private:
    admission decide(boost::system::error_code ec, asio_semaphore::permit held);

    const std::ptrdiff_t limit_;
    const std::chrono::milliseconds max_wait_;
    std::optional<asio_semaphore::async_semaphore> semaphore_;
    counters counts_;
};

} // namespace server
