#pragma once

// What /live shows: the last minute, second by second, and the clients that are there now.

#include <asio_semaphore.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

namespace server {

/// The names behind the limiter's keys, of clients that have a request here: no more than those.
class client_names {
public:
    /// A request of a client's.
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

    /// Empty if the client has gone.
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
    /// To be called once a second.
    void add(asio_semaphore::limiter_statistics now);
    /// With the clients that are there now.
    std::string json(const asio_semaphore::limiter* limit, const client_names& names) const;

private:
    static constexpr std::size_t seconds = 60;

    mutable std::mutex mutex_;
    std::deque<asio_semaphore::limiter_statistics> past_; // guarded by mutex_; the oldest first
};

/// The page; it draws what `history::json` says.
std::string_view live_page();

} // namespace server
