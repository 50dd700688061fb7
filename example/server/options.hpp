#pragma once

// The command line.

#include "handler.hpp"

#include <boost/asio/ip/tcp.hpp>

#include <chrono>
#include <cstddef>
#include <optional>
#include <stdexcept>

namespace server {

struct options {
    boost::asio::ip::tcp::endpoint endpoint;
    int threads = 1;
    std::ptrdiff_t limit = 0;           // 0: none
    std::chrono::milliseconds max_wait; // for a place among the requests that are handled
    workload work;
};

/// What the command line says that cannot be; one line for the user.
struct usage_error : std::runtime_error {
    using runtime_error::runtime_error;
};

/// Nothing if only help was wanted, which it prints. @throws usage_error
std::optional<options> parse(int argc, const char* const* argv);

} // namespace server
