// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// The data of the page /live: the last minute, second by second, and the current clients.

#include <asio_semaphore.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

namespace server {

/// Maps the limiter's keys to the names of clients. Knows only clients that have a request now, so
/// it cannot grow without bound.
class client_names {
public:
    /// One request of a client.
    class visit {
    public:
        visit(client_names& all, std::string_view name);
        visit(const visit&) = delete;
        visit& operator=(const visit&) = delete;
        ~visit();

        std::uint64_t key() const noexcept { return key_; }

    private:
        client_names& all_;
        const std::uint64_t key_;
    };

    /// The client's name; empty if the client has no request any more.
    std::string of(std::uint64_t key) const;

private:
    struct client {
        std::string name;
        std::size_t visits = 0;
    };

    mutable std::mutex mutex_;
    std::map<std::uint64_t, client> clients_; // guarded by mutex_
};

/// The last minute of a limiter.
class history {
public:
    /// Call this once a second.
    void add(asio_semaphore::limiter_statistics now);
    /// The last minute and the current clients.
    std::string json(const asio_semaphore::limiter* limit, const client_names& names) const;

private:
    static constexpr std::size_t seconds = 60;

    mutable std::mutex mutex_;
    std::deque<asio_semaphore::limiter_statistics> past_; // guarded by mutex_; the oldest first
};

/// The page, which draws the data of `history::json`.
std::string_view live_page();

} // namespace server
