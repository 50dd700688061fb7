// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// The options of the command line.

#include "handler.hpp"

#include <asio_semaphore.hpp>

#include <boost/asio/ip/tcp.hpp>

#include <chrono>
#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>

namespace server {

/// The address of a limit that several servers share.
struct fleet_address {
    std::string host;
    std::string port;
    std::string name; // of the limit
    std::chrono::milliseconds lease{10'000};
};

struct options {
    boost::asio::ip::tcp::endpoint endpoint;
    int threads = 1;
    std::ptrdiff_t limit = 0; // 0: no limit; with an algorithm: the initial limit
    asio_semaphore::limiter_options limiter;
    bool priority_header = false; // whether a request may state its priority
    workload work;
    std::optional<fleet_address> fleet; // if set, it is used instead of a limiter
    std::string trace;                  // the path of a file; empty: no trace
};

/// An invalid command line. The message is one line for the user.
struct usage_error : std::runtime_error {
    using runtime_error::runtime_error;
};

/// For --help, prints the help and returns nothing. @throws usage_error
std::optional<options> parse(int argc, const char* const* argv);

} // namespace server
