// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// A machine whose server is the test. The test sets the time and the answers, and compares commands
// and events as text.

#include <asio_semaphore/detail/fleet/machine.hpp>

#include <boost/test/unit_test.hpp>

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

namespace test {

namespace fleet = asio_semaphore::detail::fleet;
using asio_semaphore::fleet_options;
using asio_semaphore::detail::outcome;
using namespace std::chrono_literals;
using fleet::verdict;

/// A ticket that counts its references, and the tickets that are alive.
class request final : public fleet::ticket {
public:
    request(purpose what, std::ptrdiff_t n, int its_label) noexcept :
        ticket(what, n), label(its_label) {
        ++alive;
    }
    ~request() { --alive; }

    static inline int alive = 0;
    const int label;
    int references = 0;

private:
    void add_reference() noexcept override { ++references; }
    void drop_reference() noexcept override {
        if (--references == 0)
            delete this;
    }
};

using request_pointer = boost::intrusive_ptr<request>;

inline const char* to_text(outcome how) {
    switch (how) {
    case outcome::granted:
        return "granted";
    case outcome::queued:
        return "queued";
    case outcome::invalid_argument:
        return "invalid_argument";
    case outcome::exceeds_max:
        return "exceeds_max";
    case outcome::closed:
        return "closed";
    case outcome::aborted:
        return "aborted";
    case outcome::timed_out:
        return "timed_out";
    case outcome::queue_full:
        return "queue_full";
    case outcome::lost:
        return "lost";
    case outcome::limit_mismatch:
        return "limit_mismatch";
    case outcome::unreachable:
        return "unreachable";
    case outcome::rejected:
        return "rejected";
    case outcome::clustered:
        return "clustered";
    case outcome::incompatible:
        return "incompatible";
    default:
        return "?";
    }
}

/// Formats commands as "A1 R2.3": the verbs, with the serials if there are any.
inline std::string to_text(const fleet::call& c) {
    std::string text;
    for (const fleet::command& said : c.commands) {
        if (!text.empty())
            text += ' ';
        text += static_cast<char>(said.what);
        if (said.of.serial != 0)
            text += std::to_string(said.of.serial);
        if (said.what == fleet::verb::set_limit)
            text += std::to_string(said.limit);
    }
    return text;
}

/// One machine with a limit of 3 by default, and a lease of 400 ms.
struct world {
    explicit world(fleet_options options = default_options(), std::ptrdiff_t permits = 3) :
        in(&machine.open("x", permits, options, is_mismatch)) {
        lease = options.lease;
        answer.made = 1;
        answer.limit = permits;
    }
    ~world() { BOOST_TEST(machine.event_count() == 0u); }

    static fleet_options default_options() {
        fleet_options options;
        options.lease = 400ms;
        return options;
    }

    using purpose = fleet::ticket::purpose;

    request_pointer make(std::ptrdiff_t n = 1, purpose what = purpose::acquire) {
        return request_pointer(new request(what, n, ++labels));
    }
    outcome start(request_pointer& r) { return machine.start(*in, *r, now); }
    /// Starts a request that has to wait.
    request_pointer acquire(std::ptrdiff_t n = 1, purpose what = purpose::acquire) {
        request_pointer r = make(n, what);
        BOOST_TEST_REQUIRE(to_text(start(r)) == "queued");
        return r;
    }
    request_pointer inspect() { return acquire(0, purpose::inspect); }
    bool withdraw(const request_pointer& r) { return machine.withdraw(*r, now); }
    void give_back(const request_pointer& r, bool is_told = false) {
        machine.give_back(*r, is_told, now);
    }

    void connect() { machine.connected(now); }
    void disconnect() { machine.disconnected(now); }
    void pass(std::chrono::nanoseconds d) {
        now += d;
        machine.on_time(now);
    }
    /// Advances the time to the machine's next time, and returns how many ms that took; -1 if there
    /// is none.
    std::int64_t pass() {
        const fleet::time_point next = machine.next_time();
        if (next == fleet::time_point::max())
            return -1;
        const auto d = next - now;
        pass(d);
        return std::chrono::duration_cast<std::chrono::milliseconds>(d).count();
    }

    /// Returns the commands of the next call; "-" if there is none. Only for a machine with one
    /// limit.
    std::string say() {
        const bool has_calls = machine.has_calls(now);
        std::vector<fleet::call> calls = machine.next_calls(now);
        BOOST_TEST((has_calls || calls.empty()));
        BOOST_TEST_REQUIRE(calls.size() <= 1u);
        if (calls.empty())
            return "-";
        said = calls.front();
        return to_text(said);
    }

    /// The server's clock.
    std::int64_t clock() const {
        return std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch())
                   .count() +
               server_ahead;
    }
    fleet::result granted(std::uint64_t fence) const { return granted(fence, lease); }
    fleet::result granted(std::uint64_t fence, std::chrono::milliseconds left) const {
        fleet::result r;
        r.what = verdict::granted;
        r.fence = fence;
        r.expiry = clock() + left.count();
        return r;
    }
    fleet::result renewed(verdict what = verdict::renewed) const {
        fleet::result r;
        r.what = what;
        r.expiry = clock() + lease.count();
        return r;
    }
    static fleet::result plain(verdict what) {
        fleet::result r;
        r.what = what;
        return r;
    }
    /// Answers the last call with these results; `answer` has the other values.
    void hear(std::vector<fleet::result> results) {
        BOOST_TEST_REQUIRE(results.size() == said.commands.size());
        fleet::reply r;
        r.said = answer;
        r.said.now = clock();
        r.said.seq = ++answer.seq;
        r.said.results = std::move(results);
        machine.replied({r}, now);
        answer.granted.clear();
        answer.exceeded.clear();
    }
    void hear_status(fleet::call_status status) {
        fleet::reply r;
        r.said.status = status;
        r.said.now = clock();
        machine.replied({r}, now);
    }
    void hear_failure(fleet::failure failed) {
        fleet::reply r;
        r.failed = failed;
        machine.replied({r}, now);
    }
    /// Delivers a push, sent by the server now, that grants a request.
    void push_grant(std::uint64_t serial, std::uint64_t fence) {
        fleet::push p;
        p.name = "x";
        p.granted.push_back({serial, fence, clock() + lease.count()});
        machine.pushed(p, now);
    }
    void push_head(std::int64_t ms) {
        fleet::push p;
        p.name = "x";
        p.head = ms;
        machine.pushed(p, now);
    }

    /// Formats events as "granted 1, lost 2": the labels, with the outcome unless it is the usual
    /// one.
    std::string events() {
        std::string text;
        while (const auto e = machine.take_event()) {
            if (!text.empty())
                text += ", ";
            const char* const names[] = {"granted", "failed", "lost", "released", "done"};
            text += names[e->what];
            text += ' ' + std::to_string(static_cast<const request&>(*e->of).label);
            if (e->what == fleet::event::failed || e->what == fleet::event::released ||
                (e->what == fleet::event::lost && e->how != outcome::lost))
                text += std::string(" ") + to_text(e->how);
            last = e->status;
        }
        return text;
    }

    static std::int64_t to_ms(std::chrono::nanoseconds d) {
        return std::chrono::duration_cast<std::chrono::milliseconds>(d).count();
    }
    std::int64_t ms_left(const request_pointer& r) const { return to_ms(r->deadline() - now); }
    /// Returns the time until the machine's next time.
    std::chrono::nanoseconds next() const { return machine.next_time() - now; }

    /// Starts a request and grants it at the same instant.
    request_pointer hold(std::uint64_t fence = 7, std::ptrdiff_t n = 1) {
        request_pointer r = acquire(n);
        say();
        hear({granted(fence)});
        BOOST_TEST_REQUIRE(events() == "granted " + std::to_string(r->label));
        return r;
    }
    /// Starts a request and queues it in the server at the same instant.
    request_pointer queue(std::ptrdiff_t n = 1) {
        request_pointer r = acquire(n);
        say();
        hear({plain(verdict::queued)});
        return r;
    }

    int labels = 0;
    bool is_mismatch = false;
    std::chrono::milliseconds lease{};
    fleet::time_point now{1'000s};
    std::int64_t server_ahead = 5'000'000;
    fleet::machine machine{"client", 1};
    fleet::limit* in;
    fleet::call said;
    fleet::answer answer;
    fleet::status_record last;
};

/// Checks that no ticket outlives its test.
struct no_leaks {
    ~no_leaks() { BOOST_TEST(request::alive == alive_before_); }

private:
    const int alive_before_ = request::alive;
};

} // namespace test
