// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// What a client needs from the server that keeps the limits. Fleet layer. All members are called on
// one strand. They call the user on that strand, but only after they have returned. If a member
// throws, or a function that the store has submitted to the strand, the user has to stop the store,
// and may start it again.

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
        /// The store has subscribed to the client's channel, and the user may send calls.
        virtual void connected() = 0;
        /// A connection, or an attempt to connect, has ended. Calls that were sent may have
        /// arrived, and will not be answered. errc::permission_denied means that the server
        /// refuses this client, and will probably continue to.
        virtual void disconnected(boost::system::error_code reason) = 0;
        /// The replies to the last send, one for each call.
        virtual void replied(std::vector<reply> replies) = 0;
        virtual void pushed(const push& p) = 0;
        /// A function that the store has submitted is about to throw; perhaps because a member of
        /// the user has thrown.
        virtual void failed() noexcept = 0;
        virtual void log(std::string_view line) = 0;

    protected:
        ~user() = default;
    };

    store() = default;
    store(const store&) = delete;
    store& operator=(const store&) = delete;
    virtual ~store() = default;

    /// Connects until stop. Reconnects whenever the connection is lost, and after a reply that
    /// failed as failure::unavailable.
    virtual void start(user&) = 0;
    /// Ends the connection. The store no longer calls the user.
    virtual void stop() = 0;
    /// @pre connected, and the last send has been answered
    virtual void send(std::vector<call> calls, std::uint64_t connection) = 0;
    /// Sets the shortest lease, which determines the timeouts of the next connection.
    virtual void set_shortest_lease(std::chrono::milliseconds) = 0;
};

} // namespace asio_semaphore::detail::fleet
