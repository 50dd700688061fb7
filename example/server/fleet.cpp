// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include "fleet.hpp"

#include <asio_semaphore/fleet/fleet_semaphore.hpp>
#include <asio_semaphore/fleet/openmetrics.hpp>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>

#include <chrono>
#include <iostream>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

namespace server {
namespace asio = boost::asio;
namespace {

// The fleet client has its own context and thread, so that it renews leases in time even if all
// other threads are busy with handlers.
class fleet_on_redis final : public fleet {
public:
    fleet_on_redis(asio::io_context& servers, const options& wanted) :
        client_(
            context_.get_executor(), connection(*wanted.fleet), {},
            [](std::string_view line) { std::clog << "fleet: " << line << '\n'; }),
        limit_(servers, client_, wanted.fleet->name, wanted.limit, how(wanted)),
        max_wait_(wanted.limiter.max_wait) {
        client_.async_run([](boost::system::error_code) {});
        thread_ = std::thread([this] { context_.run(); });
    }

    // No request holds a permit any more. The client only waits for its last responses.
    ~fleet_on_redis() override {
        client_.async_close(asio::use_future).wait();
        thread_.join();
    }

    asio::awaitable<std::shared_ptr<void>> acquire(boost::system::error_code& ec) override {
        auto permit = co_await limit_.async_acquire_permit_for(
            max_wait_, asio::redirect_error(asio::use_awaitable, ec));
        if (ec)
            co_return nullptr;
        co_return std::make_shared<asio_semaphore::fleet_permit>(std::move(permit));
    }

    void write_metrics(std::ostream& out) const override {
        std::ostringstream first;
        asio_semaphore::write_openmetrics(first, client_.statistics(), "fleet");
        const std::string text = first.str();
        out << text.substr(0, text.size() - std::string_view("# EOF\n").size());
        asio_semaphore::write_openmetrics(out, limit_.statistics(), "fleet");
    }

    void close() override { limit_.close(); }

private:
    static boost::redis::config connection(const fleet_address& where) {
        boost::redis::config config;
        config.addr = {where.host, where.port};
        return config;
    }

    static asio_semaphore::fleet_options how(const options& wanted) {
        asio_semaphore::fleet_options options;
        options.lease = wanted.fleet->lease;
        options.max_waiting = wanted.limiter.max_waiting;
        return options;
    }

    asio::io_context context_{1};
    asio_semaphore::fleet_client client_;
    asio_semaphore::fleet_semaphore limit_;
    const std::chrono::steady_clock::duration max_wait_;
    std::thread thread_;
};

} // namespace

std::unique_ptr<fleet> make_fleet(asio::io_context& context, const options& wanted) {
    return std::make_unique<fleet_on_redis>(context, wanted);
}

} // namespace server
