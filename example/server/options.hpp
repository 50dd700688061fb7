#pragma once

// The command line.

#include "handler.hpp"

#include <asio_semaphore.hpp>

#include <boost/asio/ip/tcp.hpp>

#include <chrono>
#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>

namespace server {

/// Where a limit is that several servers share.
struct fleet_address {
    std::string host;
    std::string port;
    std::string name; // of the limit
    std::chrono::milliseconds lease{10'000};
};

struct options {
    boost::asio::ip::tcp::endpoint endpoint;
    int threads = 1;
    std::ptrdiff_t limit = 0; // 0: none; where the limiter has an algorithm, where it starts
    asio_semaphore::limiter_options limiter;
    bool priority_header = false; // whether a request may say what its priority is
    workload work;
    std::optional<fleet_address> fleet; // then the limit is the fleet's
    std::string trace;                  // a file; empty: none
};

/// What the command line says that cannot be; one line for the user.
struct usage_error : std::runtime_error {
    using runtime_error::runtime_error;
};

/// Nothing if only help was wanted, which it prints. @throws usage_error
std::optional<options> parse(int argc, const char* const* argv);

} // namespace server
