// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// What the tests of the fleet's objects share: a fleet whose server is a model, and handlers that
// write down what became of them.

#include "model_store.hpp"

#include <asio_semaphore/fleet/with_permit.hpp>

#include <support/handlers.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace test {

namespace asio = boost::asio;
using asio_semaphore::basic_fleet_semaphore;
using asio_semaphore::error;
using asio_semaphore::fleet_error;
using asio_semaphore::fleet_options;
using asio_semaphore::fleet_permit;
using asio_semaphore::fleet_semaphore;
using asio_semaphore::fleet_status;
using boost::system::error_code;
using namespace std::chrono_literals;

/// What became of one operation. Whose handler outlives it is not written down any more.
struct ended {
    ended() = default;
    ended(const ended&) = delete;
    ended& operator=(const ended&) = delete;
    ~ended() { *self = nullptr; }

    const std::shared_ptr<ended*> self = std::make_shared<ended*>(this);
    int calls = 0;
    int dropped = 0; ///< handlers that were destroyed without having been called
    error_code ec;
    fleet_permit held;
    fleet_status status;

    bool pending() const { return calls == 0 && dropped == 0; }
    bool succeeded() const { return calls == 1 && dropped == 0 && !ec; }
    bool granted() const { return succeeded() && held; }
    bool failed(const error_code& with) const {
        return calls == 1 && dropped == 0 && ec == with && !held;
    }
    bool was_dropped() const { return calls == 0 && dropped == 1; }
};

/// A move-only handler for every signature of the fleet.
class recording {
public:
    explicit recording(ended& to) noexcept : to_(to.self) {}
    recording(recording&&) noexcept = default;
    recording& operator=(recording&&) = delete;
    ~recording() {
        if (to_ && *to_ != nullptr)
            ++(*to_)->dropped;
    }

    void operator()(error_code ec) {
        const auto to = std::move(to_);
        if (*to == nullptr)
            return;
        ++(*to)->calls;
        (*to)->ec = ec;
    }
    void operator()(error_code ec, fleet_permit p) {
        if (*to_ != nullptr)
            (*to_)->held = std::move(p);
        std::move (*this)(ec);
    }
    void operator()(error_code ec, fleet_status s) {
        if (*to_ != nullptr)
            (*to_)->status = s;
        std::move (*this)(ec);
    }

private:
    std::shared_ptr<ended*> to_; // null once called or moved from
};

/// Options with the shortest lease that there is.
inline fleet_options short_lease(std::chrono::milliseconds lease = 50ms) {
    fleet_options options;
    options.lease = lease;
    return options;
}

/// Runs a context until it is so.
template <typename F>
bool run_until(asio::io_context& context, F is_so) {
    const auto end = std::chrono::steady_clock::now() + 20s;
    while (!is_so()) {
        if (std::chrono::steady_clock::now() > end)
            return false;
        context.restart();
        context.run_one_for(20ms);
    }
    return true;
}

/// A process that only looks.
class observer {
public:
    explicit observer(model_server& server) : me_(context_.get_executor(), server) {
        me_.client.async_run([](error_code) {});
    }

    std::optional<fleet_status> inspect(const std::string& name) {
        fleet_options options;
        options.adopt_limit = true;
        fleet_semaphore limit(context_, me_.client, name, 1, options);
        ended looked;
        limit.async_inspect(recording(looked));
        run_until(context_, [&] { return !looked.pending(); });
        return looked.succeeded() ? std::optional(looked.status) : std::nullopt;
    }

    /// Whether the server gets rid of all that it has of this limit.
    bool sees_empty(const std::string& name) {
        return run_until(context_, [&] {
            const auto s = inspect(name);
            return s && s->held == 0 && s->waiting == 0;
        });
    }

private:
    asio::io_context context_;
    model_client me_;
};

struct fleet_world {
    model_server server; // outlives the context, and what is left there
    asio::io_context context;
    model_client a{context.get_executor(), server};
    ended run;

    void run_client() { a.client.async_run(recording(run)); }
    void poll() { support::poll(context); }
    template <typename F>
    bool poll_until(F is_so) {
        return run_until(context, is_so);
    }
    std::int64_t held(const std::string& name = "x") { return server.look_at(name).held; }
    std::size_t queued(const std::string& name = "x") { return server.look_at(name).waiting; }
};

} // namespace test
