#pragma once

// The command line.

#include "handler.hpp"

#include <asio_semaphore.hpp>

#include <boost/asio/ip/tcp.hpp>

#include <cstddef>
#include <optional>
#include <stdexcept>

namespace server {

struct options {
    boost::asio::ip::tcp::endpoint endpoint;
    int threads = 1;
    std::ptrdiff_t limit = 0; // 0: none; where the limiter has an algorithm, where it starts
    asio_semaphore::limiter_options limiter;
    bool priority_header = false; // whether a request may say what its priority is
    workload work;
};

/// What the command line says that cannot be; one line for the user.
struct usage_error : std::runtime_error {
    using runtime_error::runtime_error;
};

/// Nothing if only help was wanted, which it prints. @throws usage_error
std::optional<options> parse(int argc, const char* const* argv);

} // namespace server
