// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// What a client needs of the engine that keeps the limits. Fleet layer. All members are called on
// one strand, and call the user later, on that strand.

#include <asio_semaphore/detail/fleet/protocol.hpp>

#include <boost/system/error_code.hpp>

#include <chrono>
#include <cstdint>
#include <string_view>
#include <vector>

namespace asio_semaphore::detail::fleet {

class store {
public:
    class user {
    public:
        /// The client's channel is subscribed to, and calls may be sent.
        virtual void connected() = 0;
        /// An attempt to connect, or a connection, has ended: what was sent may have arrived, and
        /// is not answered any more. errc::permission_denied: the server refuses this client, and
        /// is likely to go on doing so.
        virtual void disconnected(boost::system::error_code reason) = 0;
        /// To the last send, one for each call.
        virtual void replied(std::vector<reply> replies) = 0;
        virtual void pushed(const push& p) = 0;
        virtual void log(std::string_view line) = 0;

    protected:
        ~user() = default;
    };

    store() = default;
    store(const store&) = delete;
    store& operator=(const store&) = delete;
    virtual ~store() = default;

    /// Connects, and again whenever the connection is lost, until stop.
    virtual void start(user&) = 0;
    /// Ends the connection. The user hears no more.
    virtual void stop() = 0;
    /// @pre connected, and the last send is answered
    virtual void send(std::vector<call> calls, std::uint64_t connection) = 0;
    /// Sets the timeouts of the next connection.
    virtual void set_shortest_lease(std::chrono::milliseconds) = 0;
};

} // namespace asio_semaphore::detail::fleet
