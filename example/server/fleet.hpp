// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// A limit that several servers share through Redis or Valkey.

#include "options.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/system/error_code.hpp>

#include <memory>
#include <ostream>

namespace server {

class fleet {
public:
    fleet() = default;
    fleet(const fleet&) = delete;
    fleet& operator=(const fleet&) = delete;
    virtual ~fleet() = default;

    /// Acquires a permit, which returns when the last copy of the pointer is destroyed. Null if
    /// there is an error.
    virtual boost::asio::awaitable<std::shared_ptr<void>>
    acquire(boost::system::error_code& ec) = 0;

    /// Writes the metrics of the limit and of its connection, as the end of an OpenMetrics page.
    virtual void write_metrics(std::ostream& out) const = 0;

    /// Refuses waiting requests. Those that hold a permit continue, and return it at their end.
    virtual void close() = 0;
};

#if defined(EXAMPLE_FLEET)
/// @pre wanted.fleet
std::unique_ptr<fleet> make_fleet(boost::asio::io_context& context, const options& wanted);
#endif

} // namespace server
