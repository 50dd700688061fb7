// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// The processes of the fleet's benchmark: a client and its context, operations without a pause, a
// second process for hand-overs, and the peers' Node process.

#include <bench/harness.hpp>

#include <asio_semaphore/fleet/fleet_semaphore.hpp>

#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/redis/config.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace bench {

namespace asio = boost::asio;
using asio_semaphore::fleet_client;
using asio_semaphore::fleet_options;
using asio_semaphore::fleet_permit;
using asio_semaphore::fleet_semaphore;
using asio_semaphore::fleet_status;
using boost::system::error_code;

/// A clock that all processes of the machine share.
using wall = std::chrono::steady_clock;

/// Ends the benchmark.
[[noreturn]] void fail(const std::string& why);

inline void require(error_code ec) {
    if (ec)
        fail(ec.message());
}

/// A client of this process, on the context of the thread that uses it.
struct member {
    explicit member(std::uint16_t port);

    /// Runs handlers until the condition holds.
    void run_until(const std::function<bool()>& is_so);

    /// Waits for the server's answers.
    fleet_permit acquire(fleet_semaphore& limit);
    void release(fleet_permit& held);
    fleet_status inspect(fleet_semaphore& limit);

    asio::io_context context{1};
    fleet_client client;
};

boost::redis::config config_for(std::uint16_t port);

/// Options that allow this many requests at a time. The server is new and has lost no data, so no
/// quarantine is needed.
inline fleet_options options_with(int window) {
    fleet_options options;
    options.window = static_cast<std::size_t>(window);
    options.after_loss = fleet_options::recovery::immediate;
    return options;
}

/// @p width loops acquire and release a permit for this long. Returns when the server has all
/// permits back.
/// @return the measurement; an acquire and its release are one operation
measurement
acquire_and_release(member& m, fleet_semaphore& limit, int width, std::chrono::milliseconds time);

/// One permit that passes back and forth between this process and another. Each process releases it
/// as soon as it is granted, and acquires it again.
class hand_over {
public:
    /// Starts the other process. Must be constructed before this process has a second thread.
    hand_over();
    ~hand_over();
    hand_over(const hand_over&) = delete;
    hand_over& operator=(const hand_over&) = delete;

    /// Tells the other process which server to use.
    void connect(std::uint16_t port);
    /// Hands over for this long.
    /// @return the time of each hand-over, from the call of reset in one process to the handler's
    /// call in the other; ns
    std::vector<double> measure(member& m, std::chrono::milliseconds time);

private:
    struct shared;
    class player;

    [[noreturn]] void run_other(int commands, int answers);

    shared* shared_;
    int commands_, answers_;
    std::unique_ptr<player> mine_;
};

/// The peers, in a process of their own.
class peers {
public:
    /// @param command the command that starts them; a port is appended
    peers(std::vector<std::string> command, std::uint16_t port);
    ~peers();
    peers(const peers&) = delete;
    peers& operator=(const peers&) = delete;

    /// Like acquire_and_release.
    measurement measure(const std::string& who, int width, std::chrono::milliseconds time);

private:
    std::string read_line();

    int input_, output_;
    int pid_;
    std::string read_;
};

} // namespace bench
