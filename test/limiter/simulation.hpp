// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// A discrete-event simulation of a server behind limiters. It is deterministic for each seed, and
// simulates an hour in seconds. doc/limit_laws.md lists what it does not simulate.
//
// The requests share the cores of the server equally, and also wait for I/O without using the CPU.
// From some concurrency on, the knee, more requests make the cores slower and so cost goodput. In
// front of the server are one or more gates, each with a limit, a queue and a limit algorithm.

#include <asio_semaphore/limiter/limit_algorithm.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <queue>
#include <utility>
#include <vector>

namespace test::simulation {

using asio_semaphore::limit_algorithm;
using asio_semaphore::limit_sample;
using asio_semaphore::outcome;

// xoshiro256++ by Blackman and Vigna (public domain, https://prng.di.unimi.it). It gives the same
// numbers with every standard library, which std::exponential_distribution does not guarantee.
class random_stream {
public:
    explicit random_stream(std::uint64_t seed) {
        for (auto& word : state_) { // splitmix64
            std::uint64_t z = seed += 0x9e3779b97f4a7c15;
            z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
            z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
            word = z ^ (z >> 31);
        }
    }

    // In (0, 1].
    double uniform() { return (static_cast<double>(next() >> 11) + 1) * 0x1p-53; }
    double exponential(double mean) { return -mean * std::log(uniform()); }

private:
    std::uint64_t next() {
        const auto rotated = [](std::uint64_t x, int by) {
            return (x << by) | (x >> (64 - by));
        };
        const std::uint64_t result = rotated(state_[0] + state_[3], 23) + state_[0];
        const std::uint64_t t = state_[1] << 17;
        state_[2] ^= state_[0];
        state_[3] ^= state_[1];
        state_[1] ^= state_[2];
        state_[0] ^= state_[3];
        state_[2] ^= t;
        state_[3] = rotated(state_[3], 45);
        return result;
    }

    std::array<std::uint64_t, 4> state_;
};

// Draws the CPU time of a request, relative to the mean.
using demand = double (*)(random_stream&);

inline double exponential_demand(random_stream& r) {
    return r.exponential(1);
}
// 95 % of the requests are short, and 5 % take sixty times as long.
inline double bimodal_demand(random_stream& r) {
    return r.uniform() < 0.05 ? 15 : 0.25;
}
// Pareto with alpha 1.3: its variance is infinite.
inline double pareto_demand(random_stream& r) {
    constexpr double alpha = 1.3;
    return (alpha - 1) / alpha * std::pow(r.uniform(), -1 / alpha);
}

struct server {
    double cores = 8;
    double cpu = 0.002; // mean, in seconds
    double io = 0.005;
    double knee = 64;
    double slope = 0.002; // the slope of the slowdown beyond the knee
    demand cpu_demand = exponential_demand;
    bool io_varies = false; // exponential instead of constant
    double stuck_for = 0;   // > 0: no work, every request ends after this time

    double slowed(std::size_t in_service) const {
        const double beyond = static_cast<double>(in_service) - knee;
        if (beyond <= 0 || slope == 0)
            return 1;
        const double x = 1 + slope * beyond;
        return 1 / (x * std::sqrt(x));
    }
};

struct change {
    double at;                           // seconds since the start of the simulation
    double arrivals;                     // a second
    std::function<void(server&)> server; // changes the server, or empty
};

struct client_options {
    double timeout = 0.250; // seconds after the arrival
    int retries = 0;        // how often a refused or timed-out request is retried
    double retry_after = 0.001;
};

// Makes every nth request end in another way than by the server; 0: no request.
struct disturbance {
    int cancelled_every = 0;   // ignored, the algorithm never sees it
    int local_error_every = 0; // overloaded after 0.1 ms, never reaches the server
};

struct options {
    simulation::server server;
    std::vector<change> schedule; // in order of time, the first at 0
    client_options clients;
    disturbance disturbed;
    std::size_t queue = 64;
    double initial_limit = 20;
    double warm_up = 0;    // seconds before the measurement
    double duration = 120; // seconds of the measurement
    std::size_t gates = 1;
    std::uint64_t seed = 1;
};

// The counts of one slot of 100 ms. All other counts are sums over slots.
struct slot {
    std::uint32_t arrived = 0, refused = 0, succeeded = 0, timed_out = 0;
    double limit = 0; // the first gate's limit at the end of the slot
};

class latencies {
public:
    void add(double seconds) {
        ++counts_[std::min(static_cast<std::size_t>(seconds * 2000), counts_.size() - 1)];
    }
    void merge(const latencies& other) {
        for (std::size_t i = 0; i < counts_.size(); ++i)
            counts_[i] += other.counts_[i];
    }
    // In milliseconds.
    double quantile(double q) const {
        std::uint64_t all = 0;
        for (auto c : counts_)
            all += c;
        std::uint64_t below = 0;
        for (std::size_t i = 0; i < counts_.size(); ++i) {
            below += counts_[i];
            if (static_cast<double>(below) >= q * static_cast<double>(all) && below > 0)
                return (static_cast<double>(i) + 1) / 2;
        }
        return 0;
    }

private:
    std::array<std::uint32_t, 4001> counts_{}; // half a millisecond each
};

constexpr double slot_length = 0.1;

struct result {
    std::vector<slot> slots;         // after the warm-up
    std::vector<latencies> response; // from arrival to end, without refusals, per 5 s
    std::vector<latencies> service;  // latencies of served requests, per 5 s
    std::vector<double> served_by;   // successes per gate, in the last half of the run
    std::vector<double> limits;      // per gate, at the end

    template <typename Member>
    double sum(Member member, double from, double to) const {
        double sum = 0;
        for (auto i = index(from); i < std::min(index(to), slots.size()); ++i)
            sum += static_cast<double>(slots[i].*member);
        return sum;
    }
    double goodput(double from, double to) const {
        return sum(&slot::succeeded, from, to) / (to - from);
    }
    double refused(double from, double to) const {
        return sum(&slot::refused, from, to) / std::max(sum(&slot::arrived, from, to), 1.0);
    }
    double mean_limit(double from, double to) const {
        return sum(&slot::limit, from, to) * slot_length / (to - from);
    }
    double limit_at(double time) const {
        return slots[std::min(index(time), slots.size() - 1)].limit;
    }
    double quantile(double q, double from, double to) const {
        return merged(response, from, to, q);
    }
    double service_quantile(double q, double from, double to) const {
        return merged(service, from, to, q);
    }

    // The first time after `from` from which both the next second and the next five reach the
    // goodput.
    double converged(double goodput_wanted, double from, double to) const {
        for (double t = from; t + 5 <= to; t += slot_length)
            if (goodput(t, t + 1) >= goodput_wanted && goodput(t, t + 5) >= goodput_wanted)
                return t - from;
        return std::numeric_limits<double>::infinity();
    }

    static std::size_t index(double time) {
        return static_cast<std::size_t>(time / slot_length + 0.5);
    }

private:
    static double
    merged(const std::vector<latencies>& parts, double from, double to, double quantile) {
        latencies all;
        for (auto i = static_cast<std::size_t>(from / 5);
             i < std::min(static_cast<std::size_t>(std::ceil(to / 5)), parts.size()); ++i)
            all.merge(parts[i]);
        return all.quantile(quantile);
    }
};

class run {
public:
    // Each gate gets its own algorithm.
    run(const simulation::options& o, const std::function<limit_algorithm()>& make_law) :
        options_(o),
        server_(o.server),
        arrivals_(o.seed * 4 + 1),
        demands_(o.seed * 4 + 2),
        routes_(o.seed * 4 + 3),
        gates_(o.gates),
        end_(o.warm_up + o.duration) {
        for (auto& g : gates_) {
            g.limit = o.initial_limit;
            g.law = make_law();
        }
        result_.slots.resize(result::index(o.duration) + 1);
        result_.response.resize(static_cast<std::size_t>(o.duration / 5) + 1);
        result_.service.resize(result_.response.size());
        result_.served_by.resize(o.gates);
    }

    result operator()() {
        while (step()) {
        }
        result_.slots.pop_back();
        for (const auto& g : gates_)
            result_.limits.push_back(g.limit);
        return std::move(result_);
    }

private:
    struct client {
        double arrived;
        int retries_left;
    };

    struct served {
        double arrived, admitted;
        std::uint32_t gate;
        int retries_left;
        std::int32_t kind; // 0: nothing is wrong; 1: cancelled
    };

    struct gate {
        limit_algorithm law;
        double limit = 0;
        std::deque<client> queue;
        std::ptrdiff_t in_flight = 0, peak = 0;
        bool bound = false;
        std::uint64_t admitted = 0;

        bool full() const { return static_cast<double>(in_flight) >= std::floor(limit); }
    };

    struct later {
        double at;
        std::uint32_t request;
        friend bool operator>(const later& a, const later& b) { return a.at > b.at; }
    };
    using later_queue = std::priority_queue<later, std::vector<later>, std::greater<>>;

    struct again {
        double at;
        int retries_left;
        friend bool operator>(const again& a, const again& b) { return a.at > b.at; }
    };

    static constexpr double never = std::numeric_limits<double>::infinity();

    bool step() {
        const double cpu_end =
            on_cpu_.empty() ? never : now_ + std::max(0.0, on_cpu_.top().at - work_) / speed_;
        const double io_end = in_io_.empty() ? never : in_io_.top().at;
        const double retry = retries_.empty() ? never : retries_.top().at;
        const double changes =
            next_change_ < options_.schedule.size() ? options_.schedule[next_change_].at : never;
        const double next = std::min({cpu_end, io_end, next_arrival_, retry, changes, next_slot_});
        if (next > end_)
            return false;
        work_ += (next - now_) * speed_;
        now_ = next;
        if (next == changes)
            change_now();
        else if (next == next_slot_)
            end_slot();
        else if (next == io_end) {
            const auto request = in_io_.top().request;
            in_io_.pop();
            finish(request);
        } else if (next == cpu_end) {
            const auto request = on_cpu_.top().request;
            on_cpu_.pop();
            in_io_.push({now_ + io_wait(), request});
            update_speed();
        } else if (next == retry) {
            const int left = retries_.top().retries_left;
            retries_.pop();
            arrive(left);
        } else {
            next_arrival_ = now_ + arrivals_.exponential(between_arrivals_);
            arrive(options_.clients.retries);
        }
        return true;
    }

    void change_now() {
        const auto& c = options_.schedule[next_change_++];
        if (c.server)
            c.server(server_);
        if (c.arrivals > 0) {
            between_arrivals_ = 1 / c.arrivals;
            next_arrival_ = now_ + arrivals_.exponential(between_arrivals_);
        } else
            next_arrival_ = never;
        update_speed();
    }

    void end_slot() {
        if (now_ > options_.warm_up - slot_length / 2) {
            if (counting_)
                result_.slots[slot_].limit = gates_[0].limit;
            slot_ = counting_ ? slot_ + 1 : 0;
            counting_ = true;
            part_ = static_cast<std::size_t>((static_cast<double>(slot_) + 0.5) * slot_length / 5);
            if (slot_ + 1 >= result_.slots.size())
                end_ = now_;
        }
        next_slot_ = static_cast<double>(++slots_ended_) * slot_length;
    }

    slot* counted() { return counting_ ? &result_.slots[slot_] : nullptr; }

    void arrive(int retries_left) {
        if (auto* s = counted())
            ++s->arrived;
        const auto chosen = gates_.size() == 1
                                ? 0
                                : static_cast<std::size_t>(
                                      (1 - routes_.uniform()) * static_cast<double>(gates_.size()));
        gate& g = gates_[chosen];
        drop_expired(g);
        if (!g.full())
            admit(chosen, {now_, retries_left});
        else {
            g.bound = true;
            if (g.queue.size() < options_.queue)
                g.queue.push_back({now_, retries_left});
            else {
                if (auto* s = counted())
                    ++s->refused;
                fail(retries_left);
            }
        }
    }

    // A request leaves at its deadline. It does not matter that the gate notices that later.
    void drop_expired(gate& g) {
        while (!g.queue.empty() && now_ - g.queue.front().arrived >= options_.clients.timeout) {
            time_out(g.queue.front().retries_left);
            g.queue.pop_front();
        }
    }

    void time_out(int retries_left) {
        if (auto* s = counted()) {
            ++s->timed_out;
            result_.response[part_].add(options_.clients.timeout);
        }
        fail(retries_left);
    }

    void fail(int retries_left) {
        if (retries_left > 0)
            retries_.push({now_ + options_.clients.retry_after, retries_left - 1});
    }

    void admit(std::size_t chosen, client c) {
        gate& g = gates_[chosen];
        ++g.in_flight;
        g.peak = std::max(g.peak, g.in_flight);
        g.bound = g.bound || g.full();
        ++g.admitted;
        std::uint32_t request;
        if (unused_.empty()) {
            request = static_cast<std::uint32_t>(requests_.size());
            requests_.emplace_back();
        } else {
            request = unused_.back();
            unused_.pop_back();
        }
        auto every = [&](int n) {
            return n > 0 && g.admitted % static_cast<std::uint64_t>(n) == 0;
        };
        requests_[request] = {
            c.arrived, now_, static_cast<std::uint32_t>(chosen), c.retries_left,
            every(options_.disturbed.cancelled_every) ? 1 : 0};
        ++in_service_;
        if (options_.disturbed.local_error_every > 0 &&
            (g.admitted + 5) % static_cast<std::uint64_t>(options_.disturbed.local_error_every) ==
                0)
            in_io_.push({now_ + 0.0001, request});
        else if (server_.stuck_for > 0)
            in_io_.push({now_ + server_.stuck_for, request});
        else if (server_.cpu > 0)
            on_cpu_.push({work_ + server_.cpu * server_.cpu_demand(demands_), request});
        else
            in_io_.push({now_ + io_wait(), request});
        update_speed();
    }

    double io_wait() { return server_.io_varies ? demands_.exponential(server_.io) : server_.io; }

    void finish(std::uint32_t request) {
        const served r = requests_[request];
        unused_.push_back(request);
        --in_service_;
        update_speed();
        gate& g = gates_[r.gate];
        const double latency = now_ - r.admitted, response = now_ - r.arrived;
        const bool local_error =
            options_.disturbed.local_error_every > 0 && latency < 0.000101 && latency > 0.000099;
        const bool success = !local_error && response < options_.clients.timeout;
        if (auto* s = counted()) {
            if (success) {
                ++s->succeeded;
                result_.response[part_].add(response);
                if (slot_ * 2 >= result_.slots.size())
                    ++result_.served_by[r.gate];
            }
            result_.service[part_].add(latency);
        }
        if (!success)
            time_out(r.retries_left);
        // A decrease by this report applies to the next grant.
        if (g.law && r.kind == 0)
            show(
                g, {time(now_), duration(latency), success ? outcome::success : outcome::overloaded,
                    g.peak, g.bound, g.limit});
        --g.in_flight;
        drop_expired(g);
        while (!g.queue.empty() && !g.full()) {
            const client c = g.queue.front();
            g.queue.pop_front();
            admit(r.gate, c);
        }
        g.bound = g.bound || !g.queue.empty();
    }

    void show(gate& g, const limit_sample& sample) {
        const double limit = g.law(sample);
        if (std::isfinite(limit))
            g.limit = std::max(limit, 1.0);
        g.peak = g.in_flight - 1;
        g.bound = false;
    }

    static limit_sample::duration duration(double seconds) {
        return std::chrono::duration_cast<limit_sample::duration>(
            std::chrono::duration<double>(seconds));
    }
    static std::chrono::steady_clock::time_point time(double seconds) {
        return std::chrono::steady_clock::time_point(duration(seconds));
    }

    // The speed of each request on the cores, in seconds of work per second.
    void update_speed() {
        const auto n = static_cast<double>(on_cpu_.size());
        speed_ = server_.slowed(in_service_) * (n > server_.cores ? server_.cores / n : 1);
    }

    const simulation::options options_;
    simulation::server server_;
    random_stream arrivals_, demands_, routes_;
    std::vector<gate> gates_;
    result result_;

    double now_ = 0, end_;
    double next_arrival_ = never, between_arrivals_ = never;
    double next_slot_ = 0;
    std::uint64_t slots_ended_ = 0;
    bool counting_ = false;
    std::size_t slot_ = 0, part_ = 0;
    std::size_t next_change_ = 0;

    double work_ = 0, speed_ = 1; // work_: done since the start for each request on the cores
    std::size_t in_service_ = 0;
    later_queue on_cpu_; // by work_
    later_queue in_io_;  // by time
    std::priority_queue<again, std::vector<again>, std::greater<>> retries_;
    std::vector<served> requests_;
    std::vector<std::uint32_t> unused_;
};

} // namespace test::simulation
