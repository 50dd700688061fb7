// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// A simulated server: the model of the script. Clients connect to it through a store that a test
// can disturb. A store does everything on its strand, so a test that steps the context steps the
// fleet. When memory is to run out, it does so in the client, and at once when the client calls the
// store, but not in what the store and the server do then.

#include <fleet/script_model.hpp>
#include <model/faults.hpp>

#include <asio_semaphore/detail/fleet/store.hpp>
#include <asio_semaphore/fleet/fleet_client.hpp>

#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace test {

/// The clock of all model servers, ms.
inline std::int64_t model_now() {
    using namespace std::chrono;
    return duration_cast<milliseconds>(fleet::clock::now().time_since_epoch()).count() +
           1'000'000'000'000;
}

class model_store;

/// The server that all stores of one test connect to.
class model_server {
public:
    std::mutex mutex;                          // guards all other members
    script_model rules;                        // executes the calls
    std::map<std::string, model_store*> users; // by client, while connected
    bool is_up = true;                         // whether connections are accepted
    bool holds_replies = false; // whether it executes calls but holds back their replies
    bool drops_pushes = false;
    std::size_t calls = 0;

    /// Returns the state of a limit in the server; zeros if the server does not know the limit.
    struct seen {
        std::int64_t held = 0;
        std::size_t waiting = 0;
    };
    seen look_at(const std::string& name) {
        std::lock_guard lock(mutex);
        const auto found = rules.limits.find(name);
        if (found == rules.limits.end() || !found->second.m)
            return {};
        return {found->second.m->held, found->second.places.size()};
    }
};

class model_store final : public fleet::store, public std::enable_shared_from_this<model_store> {
public:
    using strand_type = boost::asio::strand<boost::asio::any_io_executor>;

    model_store(const strand_type& strand, std::string client, model_server& server) :
        strand_(strand), client_(std::move(client)), server_(server) {}
    ~model_store() override { leave(); }

    void start(user& u) override {
        fail_if_planned();
        const faults::plan::disarmed here;
        user_ = &u;
        boost::asio::post(strand_, [self = shared_from_this()] { self->connect(); });
    }

    void stop() override {
        user_ = nullptr;
        held_.reset();
        ++connection_;
        leave();
    }

    void send(std::vector<fleet::call> calls, std::uint64_t connection) override {
        fail_if_planned();
        const faults::plan::disarmed here;
        std::vector<fleet::reply> replies;
        std::vector<std::pair<std::string, fleet::push>> pushes;
        {
            std::lock_guard lock(server_.mutex);
            ++server_.calls;
            for (const auto& call : calls) {
                fleet::reply r;
                r.said = server_.rules.execute(client_, connection, call, model_now());
                replies.push_back(std::move(r));
            }
            pushes = server_.rules.take_pushes();
            if (!server_.drops_pushes) {
                for (auto& [client, push] : pushes) {
                    if (const auto to = server_.users.find(client); to != server_.users.end())
                        to->second->deliver(std::move(push));
                }
            }
            if (server_.holds_replies) {
                held_ = std::move(replies);
                return;
            }
        }
        reply_with(std::move(replies));
    }

    void set_shortest_lease(std::chrono::milliseconds) override {}

    /// Sends the reply that was held back. Called on the strand's context.
    void let_go() {
        if (auto replies = std::exchange(held_, std::nullopt))
            reply_with(std::move(*replies));
    }

    /// Ends the connection; a reply that was held back is lost. reconnect connects again.
    void cut(boost::system::error_code reason = boost::asio::error::eof) {
        boost::asio::post(strand_, [self = shared_from_this(), reason] {
            self->held_.reset();
            ++self->connection_;
            if (self->leave())
                self->tell([&](user& u) { u.disconnected(reason); });
        });
    }
    void reconnect() {
        boost::asio::post(strand_, [self = shared_from_this()] { self->connect(); });
    }

private:
    static void fail_if_planned() {
        if (faults::plan::get().spend(faults::kind::operator_new))
            throw std::bad_alloc();
    }

    template <typename F>
    void tell(F f) {
        if (user_ == nullptr)
            return;
        try {
            f(*user_);
        } catch (...) {
            if (user_ != nullptr)
                user_->failed();
            throw;
        }
    }

    void connect() {
        {
            const faults::plan::disarmed here;
            std::lock_guard lock(server_.mutex);
            if (user_ == nullptr || !server_.is_up || !server_.users.emplace(client_, this).second)
                return;
            server_.rules.subscribed.insert(client_);
        }
        tell([](user& u) { u.connected(); });
    }

    bool leave() {
        std::lock_guard lock(server_.mutex);
        server_.rules.subscribed.erase(client_);
        return server_.users.erase(client_) != 0;
    }

    void deliver(fleet::push p) {
        boost::asio::post(
            strand_, [self = weak_from_this(), of = connection_.load(), p = std::move(p)] {
                const auto here = self.lock();
                if (here && here->connection_ == of)
                    here->tell([&](user& u) { u.pushed(p); });
            });
    }

    void reply_with(std::vector<fleet::reply> replies) {
        boost::asio::post(
            strand_, [self = shared_from_this(), of = connection_.load(),
                      replies = std::move(replies)]() mutable {
                if (self->connection_ == of)
                    self->tell([&](user& u) { u.replied(std::move(replies)); });
            });
    }

    const strand_type strand_;
    const std::string client_;
    model_server& server_;
    user* user_ = nullptr;
    std::atomic<std::uint64_t> connection_{0}; // written on the strand
    std::optional<std::vector<fleet::reply>> held_;
};

/// A client of a model server, and the store through which a test disturbs it.
struct model_client {
    template <typename Executor>
    model_client(const Executor& executor, model_server& server) :
        client(fleet::client_access::make(
            executor, [&](const model_store::strand_type& strand, std::string name) {
                auto made = std::make_shared<model_store>(strand, std::move(name), server);
                store = made;
                return made;
            })) {}

    std::weak_ptr<model_store> store;
    asio_semaphore::fleet_client client;
};

} // namespace test
