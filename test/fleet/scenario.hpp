// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// What the fleet's scenarios share: a server of their own, clients that are renewed by a thread of
// their own while the test looks elsewhere, and operations whose handlers run where the test polls.

#include "fleet/redis_admin.hpp"
#include "fleet/redis_server.hpp"
#include "fleet/with_redis_server.hpp"

#include <asio_semaphore/fleet/with_permit.hpp>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/redis/config.hpp>
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

namespace test {

namespace asio = boost::asio;
using asio_semaphore::fleet_client;
using asio_semaphore::fleet_error;
using asio_semaphore::fleet_options;
using asio_semaphore::fleet_permit;
using asio_semaphore::fleet_semaphore;
using asio_semaphore::fleet_status;
using boost::system::error_code;
using namespace std::chrono_literals;
/// The clock that the leases count by.
using lease_clock = asio_semaphore::detail::fleet::clock;

inline constexpr auto immediate = fleet_options::recovery::immediate;

/// A lease for what must not depend on time: nothing is renewed or asked about meanwhile.
inline constexpr std::chrono::milliseconds long_lease{60'000};

inline fleet_options
options_with(std::chrono::milliseconds lease, fleet_options::recovery after_loss = immediate) {
    fleet_options options;
    options.lease = lease;
    options.after_loss = after_loss;
    return options;
}

/// An operation of any kind, and how it ended.
struct ended {
    int calls = 0;
    error_code ec;
    fleet_permit held;
    fleet_status status;
    lease_clock::time_point at;

    auto handler() {
        return [this](error_code e, auto... results) {
            ++calls;
            ec = e;
            at = lease_clock::now();
            (keep(std::move(results)), ...);
        };
    }
    bool pending() const { return calls == 0; }
    bool succeeded() const { return calls == 1 && !ec; }
    bool granted() const { return succeeded() && held; }
    bool failed(error_code with) const { return calls == 1 && ec == with && !held; }

private:
    void keep(fleet_permit p) { held = std::move(p); }
    void keep(fleet_status s) { status = s; }
};

/// A thread that runs a context for as long as it lives.
class running_context {
public:
    running_context() : guard_(context.get_executor()), thread_([this] { context.run(); }) {}
    ~running_context() {
        context.stop();
        thread_.join();
    }

    asio::io_context context;

private:
    asio::executor_work_guard<asio::io_context::executor_type> guard_;
    std::thread thread_;
};

/// A process of the fleet, as far as the fleet is concerned.
class member {
    struct log_text {
        std::mutex mutex;
        std::string text; // guarded by mutex
    };
    const std::shared_ptr<log_text> log_ = std::make_shared<log_text>();

public:
    member(
        const asio::any_io_executor& executor, const boost::redis::config& config,
        std::optional<asio::ssl::context> tls = {}) :
        client(executor, config, std::move(tls), [to = log_](std::string_view line) {
            const std::lock_guard lock(to->mutex);
            to->text += std::string(line) + '\n';
        }) {}

    void run() { client.async_run(asio::detached); }

    /// What the client has been told by its connection.
    std::string log() const {
        const std::lock_guard lock(log_->mutex);
        return log_->text;
    }

    fleet_client client;
};

inline boost::redis::config config_for(std::uint16_t port) {
    boost::redis::config config;
    config.addr = {"127.0.0.1", std::to_string(port)};
    return config;
}

struct scenario {
    explicit scenario(redis_server_options options = {}) : server(std::move(options)) {}

    redis_server server;
    asio::io_context context; // of all handlers
    running_context clients;  // renew, whatever the test does; ends before the handlers do

    /// A client that is not run yet: leases shorter than the default are to be known by then.
    std::unique_ptr<member> make(std::uint16_t port = 0) {
        return std::make_unique<member>(
            clients.context.get_executor(), config_for(port != 0 ? port : server.port()));
    }
    /// One that runs.
    std::unique_ptr<member> start(std::uint16_t port = 0) {
        auto m = make(port);
        m->run();
        return m;
    }
    std::unique_ptr<member> make(const boost::redis::config& config) {
        return std::make_unique<member>(clients.context.get_executor(), config);
    }
    redis_admin admin() const { return redis_admin(server.port()); }

    /// Runs handlers until it is so; false after a long time.
    template <typename F>
    bool until(F is_so, std::chrono::seconds patience = 30s) {
        const auto end = std::chrono::steady_clock::now() + patience;
        for (;;) {
            context.restart();
            context.poll();
            if (is_so())
                return true;
            if (std::chrono::steady_clock::now() > end)
                return false;
            context.restart();
            const auto guard = asio::make_work_guard(context);
            context.run_one_for(2ms);
        }
    }
    bool until_ended(const ended& e) {
        return until([&] { return e.calls != 0; });
    }
    /// Runs handlers until that time has come.
    void until_time(lease_clock::time_point at) {
        until([&] { return lease_clock::now() >= at; }, 120s);
    }
    void poll() {
        context.restart();
        context.poll();
    }

    // Started, and waited for.

    fleet_permit acquire(fleet_semaphore& limit, std::ptrdiff_t n = 1) {
        ended e;
        limit.async_acquire_permit(n, e.handler());
        BOOST_TEST_REQUIRE(until_ended(e));
        BOOST_TEST_REQUIRE(e.ec == error_code());
        return std::move(e.held);
    }
    fleet_status inspect(fleet_semaphore& limit) {
        ended e;
        limit.async_inspect(e.handler());
        BOOST_TEST_REQUIRE(until_ended(e));
        BOOST_TEST_REQUIRE(e.ec == error_code());
        return e.status;
    }
    error_code set_limit(fleet_semaphore& limit, std::ptrdiff_t n) {
        ended e;
        limit.async_set_limit(n, e.handler());
        BOOST_TEST_REQUIRE(until_ended(e));
        return e.ec;
    }
    error_code release(fleet_permit& held) {
        ended e;
        held.async_release(e.handler());
        BOOST_TEST_REQUIRE(until_ended(e));
        return e.ec;
    }
    /// An acquire that waits in the server's queue, behind all that do already.
    void queue(fleet_semaphore& limit, ended& e, std::ptrdiff_t n = 1) {
        const auto before = limit.statistics().queued;
        limit.async_acquire_permit(n, e.handler());
        BOOST_TEST_REQUIRE(until([&] { return limit.statistics().queued == before + 1; }));
    }

    /// Nothing is held, and nobody waits.
    bool becomes_empty(fleet_semaphore& limit) {
        return until([&] {
            const fleet_status s = inspect(limit);
            return s.held == 0 && s.waiting == 0;
        });
    }
};

/// A file beside this program, unless the environment names another.
inline std::string beside_this_program(const char* variable, const char* name) {
    if (const char* const given = std::getenv(variable))
        return given;
    return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / name).string();
}

/// What a clock of a server's, or a worker's, own needs: server_clock.cpp as a library.
inline std::string server_clock_library() {
    return beside_this_program("ASIO_SEMAPHORE_SERVER_CLOCK", "libserver_clock.so");
}

} // namespace test
