// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// Two requests of one client, in every order of events up to a depth. Events are: the server
// executes or answers a call, a push arrives, a request is cancelled or given back, a deadline or a
// renewal is due, and the connection is lost or made again. In every order, each request ends once,
// no permit is valid that the server does not hold, and at the end nothing is held and no request
// waits.
//
// ASIO_SEMAPHORE_FLEET_DEPTH: the number of steps in an order; 7 by default.

#include "script_model.hpp"

#include <asio_semaphore/detail/fleet/machine.hpp>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using asio_semaphore::fleet_options;
using asio_semaphore::detail::outcome;
using namespace std::chrono_literals;
namespace fleet = asio_semaphore::detail::fleet;

namespace {

using purpose = fleet::ticket::purpose;

class counted_ticket final : public fleet::ticket {
public:
    explicit counted_ticket(purpose what) : ticket(what, 1) { ++alive; }
    ~counted_ticket() { --alive; }
    static inline int alive = 0;

    int ends = 0;
    bool is_held = false;
    bool is_given_back = false;
    int losses = 0;
    int released = 0;

private:
    void add_reference() noexcept override { ++references_; }
    void drop_reference() noexcept override {
        if (--references_ == 0)
            delete this;
    }
    int references_ = 0;
};

enum class action {
    execute,    // the server reads the call
    deliver,    // the client reads a reply or a push
    end_first,  // cancels the first request, or gives its permit back
    end_second, // likewise for the second
    deadline,   // the deadline of a permit that was granted at the start
    disconnect,
    connect,
    renew,   // the machine's next time
    release, // the other client gives its permit back
    left,    // the server reads a call from the socket of an old connection
};
constexpr int action_count = 10;

struct scenario {
    const char* name;
    std::int64_t limit;
    bool is_taken; // by another client, which gives it back once
    purpose second;
};

class two_requests {
public:
    explicit two_requests(const scenario& s) : limit_(s.limit), is_taken_(s.is_taken) {
        fleet_options options;
        options.lease = 400ms;
        options.margin = 40ms;
        bool mismatch = false;
        in_ = &machine_.open("x", static_cast<std::ptrdiff_t>(limit_), options, mismatch);
        if (is_taken_)
            other(fleet::verb::acquire);
        connect();
        for (const purpose what : {purpose::acquire, s.second}) {
            tickets_.emplace_back(new counted_ticket(what));
            BOOST_REQUIRE((machine_.start(*in_, *tickets_.back(), now_) == outcome::queued));
        }
        settle();
    }

    bool can(action what) const {
        switch (what) {
        case action::execute:
            return call_.has_value();
        case action::deliver:
            return !down_.empty();
        case action::end_first:
        case action::end_second: {
            const counted_ticket& t = *tickets_[what == action::end_first ? 0 : 1];
            return t.ends == 0 || (t.is_held && !t.is_given_back);
        }
        case action::deadline:
            return deadlines_ < 2;
        case action::disconnect:
            return is_connected_ && machine_.connection() < 3;
        case action::connect:
            return !is_connected_;
        case action::renew:
            return machine_.next_time() != fleet::time_point::max() && renewals_ < 3;
        case action::release:
            return is_taken_;
        case action::left:
            // Later than this, the server has forgotten the client and its connections, and could
            // hold for a lease what it reads there.
            return !left_.empty() && now_ <= left_.front().until;
        }
        return false;
    }

    void take(action what) {
        switch (what) {
        case action::execute:
            down_.push_back({execute(*call_, machine_.connection()), {}});
            call_.reset();
            break;
        case action::deliver: {
            const auto heard = std::move(down_.front());
            down_.pop_front();
            if (heard.push)
                machine_.pushed(*heard.push, now_);
            else
                machine_.replied({*heard.said}, now_);
            break;
        }
        case action::end_first:
        case action::end_second:
            end(*tickets_[what == action::end_first ? 0 : 1]);
            break;
        case action::deadline:
            ++deadlines_;
            now_ += 360ms;
            machine_.on_time(now_);
            break;
        case action::disconnect:
            is_connected_ = false;
            if (call_)
                left_.push_back({std::move(*call_), machine_.connection(), now_ + 400ms});
            call_.reset();
            down_.clear();
            server_.subscribed.clear();
            machine_.disconnected(now_);
            break;
        case action::connect:
            connect();
            break;
        case action::renew:
            ++renewals_;
            now_ = std::max(now_, machine_.next_time());
            machine_.on_time(now_);
            break;
        case action::release:
            is_taken_ = false;
            other(fleet::verb::give_back);
            break;
        case action::left:
            execute(left_.front().said, left_.front().connection);
            left_.pop_front();
            break;
        }
        settle();
    }

    // Ends any order without delay.
    void finish() {
        if (!is_connected_)
            take(action::connect);
        for (const action what : {action::end_first, action::end_second})
            if (can(what))
                take(what);
        while (call_ || !down_.empty())
            take(call_ ? action::execute : action::deliver);
        while (can(action::left))
            take(action::left);
        if (is_taken_)
            take(action::release);
        while (call_ || !down_.empty())
            take(call_ ? action::execute : action::deliver);
        for (const auto& t : tickets_) {
            BOOST_REQUIRE(t->ends == 1);
            BOOST_REQUIRE((!t->is_held || t->is_given_back));
            BOOST_REQUIRE(t->released <= 1);
        }
        BOOST_REQUIRE(machine_.is_empty());
        other(fleet::verb::inspect); // sweeps expired leases
        const test::limit_state& keys = server_.limits["x"];
        BOOST_REQUIRE(keys.leases.empty());
        BOOST_REQUIRE(keys.places.empty());
        BOOST_REQUIRE(keys.m->held == 0);
    }

private:
    struct left_call {
        fleet::call said;
        std::uint64_t connection;
        fleet::time_point until;
    };
    struct downward {
        std::optional<fleet::reply> said;
        std::optional<fleet::push> push;
    };

    std::int64_t clock() const {
        return std::chrono::duration_cast<std::chrono::milliseconds>(now_.time_since_epoch())
            .count();
    }

    void connect() {
        is_connected_ = true;
        server_.subscribed.insert("me");
        machine_.connected(now_);
    }

    void other(fleet::verb what) {
        fleet::call c;
        c.name = "x";
        c.lease = c.presence = 1'000'000;
        c.limit = limit_;
        c.commands.push_back({what, {1, 1, 1'000'000}});
        server_.execute("other", 1, c, clock());
        publish();
    }

    fleet::reply execute(const fleet::call& c, std::uint64_t connection) {
        fleet::reply r;
        r.said = server_.execute("me", connection, c, clock());
        publish();
        return r;
    }

    void publish() {
        for (auto& [to, push] : server_.take_pushes())
            if (to == "me" && is_connected_)
                down_.push_back({{}, push});
    }

    void end(counted_ticket& t) {
        if (t.ends == 0) {
            BOOST_REQUIRE(machine_.withdraw(t, now_));
            ++t.ends;
        } else {
            t.is_given_back = true;
            machine_.give_back(t, &t == tickets_[0].get(), now_);
        }
    }

    // Sends the calls that are due, handles the events, and checks the invariants.
    void settle() {
        hear();
        if (is_connected_ && !call_ && machine_.has_calls(now_)) {
            auto calls = machine_.next_calls(now_);
            hear();
            if (!calls.empty())
                call_ = std::move(calls.front());
        }
        std::int64_t valid = 0;
        const test::limit_state& keys = server_.limits["x"];
        for (const auto& t : tickets_) {
            if (!t->is_held || t->is_given_back || t->deadline() <= now_)
                continue;
            ++valid;
            bool is_there = false;
            for (const auto& [id, fence] : keys.fences)
                is_there = is_there || (fence == t->fence() && clock() + 39 < keys.leases.at(id));
            BOOST_REQUIRE(is_there);
        }
        BOOST_REQUIRE(valid <= limit_ - (is_taken_ ? 1 : 0));
    }

    void hear() {
        while (const auto e = machine_.take_event()) {
            counted_ticket& t = static_cast<counted_ticket&>(*e->of);
            switch (e->what) {
            case fleet::event::granted:
                t.is_held = true;
                BOOST_REQUIRE(++t.ends == 1);
                break;
            case fleet::event::failed:
                BOOST_REQUIRE(++t.ends == 1);
                break;
            case fleet::event::lost:
                BOOST_REQUIRE((t.is_held && !t.is_given_back && ++t.losses == 1));
                BOOST_REQUIRE(!t.is_valid(now_ - 1'000h));
                break;
            case fleet::event::released:
                BOOST_REQUIRE((t.is_given_back && ++t.released == 1));
                break;
            case fleet::event::done:
                BOOST_REQUIRE(false);
            }
        }
    }

    fleet::time_point now_{1'000s};
    const std::int64_t limit_;
    bool is_taken_;
    test::script_model server_;
    fleet::machine machine_{"me", 1};
    fleet::limit* in_;
    std::vector<boost::intrusive_ptr<counted_ticket>> tickets_;
    bool is_connected_ = false;
    int deadlines_ = 0;
    int renewals_ = 0;
    std::optional<fleet::call> call_;
    std::deque<downward> down_;
    std::deque<left_call> left_;
};

std::size_t run_all(const scenario& s, std::vector<action>& order, std::size_t depth) {
    std::array<bool, action_count> next{};
    {
        std::string text;
        for (const action each : order)
            text += ' ' + std::to_string(static_cast<int>(each));
        BOOST_TEST_CONTEXT(s.name << text) {
            two_requests both(s);
            for (const action each : order)
                both.take(each);
            for (int i = 0; i < action_count; ++i)
                next[static_cast<std::size_t>(i)] = both.can(static_cast<action>(i));
            both.finish();
        }
        BOOST_REQUIRE(counted_ticket::alive == 0);
    }
    std::size_t orders = 1;
    if (order.size() == depth)
        return orders;
    for (int i = 0; i < action_count; ++i)
        if (next[static_cast<std::size_t>(i)]) {
            order.push_back(static_cast<action>(i));
            orders += run_all(s, order, depth);
            order.pop_back();
        }
    return orders;
}

} // namespace

BOOST_AUTO_TEST_SUITE(fleet_machine_orders)

BOOST_AUTO_TEST_CASE(in_every_order_of_events_each_request_ends_once_and_nothing_is_left) {
    const char* const given = std::getenv("ASIO_SEMAPHORE_FLEET_DEPTH");
    const std::size_t depth = given != nullptr ? std::stoul(given) : 7;
    const scenario scenarios[] = {
        {"both are granted", 2, false, purpose::acquire},
        {"one waits for the other", 1, false, purpose::acquire},
        {"both wait for somebody else", 1, true, purpose::acquire},
        {"one waits for somebody else, one does not wait", 1, true, purpose::try_acquire}};
    for (const scenario& s : scenarios) {
        std::vector<action> order;
        const std::size_t orders = run_all(s, order, depth);
        BOOST_TEST_MESSAGE(s.name << ": " << orders << " orders");
        BOOST_TEST(orders > depth);
    }
}

BOOST_AUTO_TEST_SUITE_END()
