// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// A model of the limiter that follows the text of its contract: which requests are admitted and
// refused, when and why, what is counted, and which samples the algorithm sees. The tests compare
// the limiter with this model on random requests. The caller passes the time.

#include "order_model.hpp"

#include <asio_semaphore/detail/state/limiter_state.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace test {

struct modelled_request {
    std::size_t client;
    std::uint64_t key;
    int priority;
    std::ptrdiff_t weight;
    asio_semaphore::detail::time_point arrived;
    asio_semaphore::detail::time_point deadline;
    asio_semaphore::detail::outcome at_deadline;
};

/// Follows the text of the contract, quoted below. Clients are numbers.
class limiter_model : public order_model<modelled_request> {
public:
    using duration = asio_semaphore::limiter_options::duration;
    using time_point = asio_semaphore::detail::time_point;
    using outcome = asio_semaphore::detail::outcome;
    using ended = asio_semaphore::outcome;
    using limiter_options = asio_semaphore::limiter_options;
    using limiter_statistics = asio_semaphore::limiter_statistics;
    using queue_order = asio_semaphore::queue_order;

    static constexpr time_point never = asio_semaphore::detail::never;

    using request = modelled_request;
    struct admission {
        std::size_t client;
        std::uint64_t key;
        std::ptrdiff_t weight;
        time_point since;
        bool is_timed; // false: counts as one tick, because the clock was not read
        int epoch;
    };
    struct sample {
        duration latency;
        ended result;
        std::ptrdiff_t in_flight;
        bool bound;
        double limit;
    };

    limiter_model(std::ptrdiff_t l, const limiter_options& o) :
        order_model(o.max_per_key), options(o), has_law(o.algorithm), limit(double(l)) {}

    const limiter_options options;
    const bool has_law;
    double limit;
    bool is_open = true;
    time_point empty_until;
    std::vector<admission> running;
    int epoch = 0;
    std::ptrdiff_t peak = 0;
    bool bound = false;

    std::map<std::size_t, outcome> ends; // how each client ended
    std::vector<std::size_t> order;      // the clients, in the order of their ends
    std::vector<std::size_t> idle_waiting;
    std::vector<sample> shown;
    limiter_statistics counted;

    /// All members except expected_wait.
    limiter_statistics statistics() const {
        limiter_statistics all = counted;
        all.limit = limit;
        all.in_flight = in_flight();
        all.running = running.size();
        all.waiting = waiting.size();
        all.keys = keys.size() - keys.count(0);
        return all;
    }
    std::ptrdiff_t in_flight() const {
        std::ptrdiff_t sum = 0;
        for (const admission& a : running)
            sum += a.weight;
        return sum;
    }
    std::ptrdiff_t whole() const {
        return std::max<std::ptrdiff_t>(static_cast<std::ptrdiff_t>(std::floor(limit)), 1);
    }
    // "in_flight + weight <= max(1, floor(limit * share[priority])), or if nothing is in flight"
    std::ptrdiff_t allowed(int priority) const {
        // Rounding errors must not matter for a part of the limit: 0.29 of 100 is 29.
        const double ratio = options.share[std::size_t(priority)];
        if (ratio == 1)
            return whole();
        const auto part = static_cast<std::ptrdiff_t>(std::floor(limit * ratio + 1e-9));
        return std::min(std::max<std::ptrdiff_t>(part, 1), whole());
    }
    bool fits(int priority, std::ptrdiff_t weight) const {
        return running.empty() || in_flight() + weight <= allowed(priority);
    }

    // "the queue has not been empty within the last max_wait"
    bool is_standing(time_point now) const {
        return !waiting.empty() && now - empty_until >= options.max_wait;
    }

    limiter_statistics::by_priority& by(int priority) {
        return counted.priorities[std::size_t(priority)];
    }
    void end(std::size_t client, outcome o) {
        if (!ends.emplace(client, o).second)
            throw std::logic_error("the model ends a wait twice");
        order.push_back(client);
    }
    void refuse(std::size_t client, int priority, outcome o) {
        end(client, o);
        auto& n = by(priority);
        if (o == outcome::queue_full)
            ++n.queue_full;
        else if (o == outcome::shed)
            ++n.shed;
        else if (o == outcome::timed_out)
            ++n.timed_out;
        else if (o == outcome::closed)
            ++n.closed;
        else
            ++n.cancelled;
    }
    void take_out(const request& found, outcome o) {
        const request r = found;
        waiting.erase(waiting.begin() + (&found - waiting.data()));
        refuse(r.client, r.priority, o);
        forget_the_idle();
        if (waiting.empty() && options.order == queue_order::adaptive)
            newest_first = false; // "and back when the queue empties"
    }
    void admit(const request& r, time_point now, bool is_timed) {
        share s = of(r.key);
        s.held += r.weight;
        ++s.running;
        keys[r.key] = s;
        running.push_back({r.client, r.key, r.weight, now, is_timed, epoch});
        peak = std::max(peak, in_flight());
        bound = bound || in_flight() >= whole();
        end(r.client, outcome::granted);
        ++by(r.priority).admitted;
        counted.wait.add(now - r.arrived);
    }

    // "Whatever could make the candidate fit grants at once"; "nobody is granted whose deadline has
    // passed, however late the timer"
    void settle(time_point now) {
        if (is_open) {
            // "adaptive turns to newest first by the same test"
            if (options.order == queue_order::lifo ||
                (options.order == queue_order::adaptive && is_standing(now)))
                newest_first = true;
            while (const request* const next = candidate(waiting)) {
                if (next->deadline <= now) {
                    take_out(*next, next->at_deadline);
                } else if (fits(next->priority, next->weight)) {
                    const request r = *next;
                    waiting.erase(waiting.begin() + (next - waiting.data()));
                    admit(r, now, true);
                    if (waiting.empty() && options.order == queue_order::adaptive)
                        newest_first = false;
                } else {
                    bound = true; // "the limit held somebody back"
                    break;
                }
            }
        }
        // "once nothing is in flight and nobody waits"
        if (running.empty() && waiting.empty())
            for (const std::size_t client : std::exchange(idle_waiting, {}))
                end(client, outcome::granted);
    }

    const request* earliest_deadline() const {
        const auto found = std::min_element(
            waiting.begin(), waiting.end(),
            [](const request& a, const request& b) { return a.deadline < b.deadline; });
        return found == waiting.end() ? nullptr : &*found;
    }
    void expire(time_point now) {
        bool is_any = false;
        for (const request* r; (r = earliest_deadline()) != nullptr && r->deadline <= now;) {
            take_out(*r, r->at_deadline);
            is_any = true;
        }
        if (is_any)
            settle(now);
    }

    // "Without an algorithm and without keys no clock is read where nobody has to wait"
    bool looks_at_the_clock(std::uint64_t key) const {
        return has_law || key != 0 || !waiting.empty() || keys.size() > keys.count(0);
    }

    /// @param may_wait false for try_admit
    void arrive(
        std::size_t client, const asio_semaphore::admission_request& r, time_point now,
        bool may_wait) {
        const auto answer = [&](outcome o) {
            end(client, o);
        };
        if (r.weight < 0 || r.priority < 0 || r.priority > 3)
            return answer(outcome::invalid_argument);
        if (options.enforce && !has_law && r.weight > whole())
            return answer(outcome::exceeds_max);
        if (r.weight == 0)
            return answer(is_open ? outcome::granted : outcome::closed);
        if (!is_open)
            return may_wait ? refuse(client, r.priority, outcome::closed) : answer(outcome::closed);
        const bool is_timed = looks_at_the_clock(r.key);
        if (!waiting.empty())
            settle(now);
        // A request whose deadline has passed must not keep a place in the queue.
        while (waiting.size() >= options.max_waiting) {
            const request* const late = earliest_deadline();
            if (late == nullptr || late->deadline > now)
                break;
            take_out(*late, late->at_deadline);
        }
        const duration wait = r.max_wait.value_or(options.max_wait);
        request arrival{client, r.key, r.priority, r.weight, now, never, outcome::timed_out};
        // "granted at once if and only if it would be that candidate and fits"
        auto with_it = waiting;
        with_it.push_back(arrival);
        const bool is_next = candidate(with_it) == &with_it.back();
        if (is_next && fits(r.priority, r.weight)) {
            counted.over_limit += !has_law && r.weight > whole() ? 1u : 0u; // only in a dry run
            admit(arrival, now, is_timed);
            return settle(now);
        }
        if (is_next || candidate(waiting) != nullptr)
            bound = true;
        if (!options.enforce) {
            ++counted.over_limit;
            return admit(arrival, now, is_timed);
        }
        if (!may_wait)
            return answer(outcome::queued);
        // "max_wait = 0 or negative: granted at once or timed_out, also where the queue is full"
        if (wait <= duration::zero())
            return refuse(client, r.priority, outcome::timed_out);
        // "w = the request's max_wait, else the limiter's; where busy_wait > 0 and the queue has
        // not been empty within the last max_wait, min(w, busy_wait), and then its end is `shed`"
        duration w = wait;
        if (options.busy_wait > duration::zero() && is_standing(now)) {
            w = std::min(w, options.busy_wait);
            arrival.at_deadline = outcome::shed;
        }
        arrival.deadline = w == duration::max() ? never : now + w;
        bool is_eviction = false;
        const bool was_empty = waiting.empty();
        const bool newest_came_first = newest_first;
        if (waiting.size() >= options.max_waiting) {
            const request* const evicted = victim(r.key, r.priority);
            if (evicted == nullptr)
                return refuse(client, r.priority, outcome::queue_full);
            take_out(*evicted, outcome::shed);
            newest_first = newest_came_first;
            is_eviction = true;
        }
        if (was_empty)
            empty_until = now;
        join(arrival);
        if (is_eviction)
            settle(now);
    }

    /// @param next the limit that the algorithm returns
    void finish(std::size_t client, ended how, bool is_reported, time_point now, double next) {
        const auto found = std::find_if(
            running.begin(), running.end(), [&](const auto& a) { return a.client == client; });
        const admission a = *found;
        const duration held = now - a.since;
        if (how == ended::success) {
            ++counted.succeeded;
            if (has_law)
                counted.latency.add(held);
        } else if (how == ended::overloaded) {
            ++counted.overloaded;
        } else {
            ++counted.ignored;
            counted.unreported += is_reported ? 0 : 1;
        }
        if (has_law && is_open && how != ended::ignored && a.epoch == epoch &&
            held > duration::zero()) {
            shown.push_back({held, how, peak, bound || peak >= whole(), limit});
            peak = in_flight() - a.weight;
            bound = false;
            if (std::isfinite(next))
                limit = std::max(next, 1.0);
        }
        running.erase(found);
        // "a return adds max(time held, 1 tick) * weight"
        const auto ticks = a.is_timed ? std::max<duration::rep>(held.count(), 1) : 1;
        give_back(a.key, a.weight, static_cast<double>(ticks) * static_cast<double>(a.weight));
        forget_the_idle();
        settle(now);
    }

    void cancel(std::size_t client, time_point now) {
        for (const request& r : waiting) {
            if (r.client == client) {
                take_out(r, outcome::aborted);
                settle(now);
                return;
            }
        }
    }
    std::size_t cancel_all(time_point now) {
        const std::size_t n = end_all(outcome::aborted);
        settle(now);
        return n;
    }
    void close(time_point now) {
        end_all(outcome::closed);
        is_open = false;
        settle(now);
    }
    std::size_t end_all(outcome o) {
        std::size_t n = 0;
        for (; !waiting.empty(); ++n)
            take_out(waiting.front(), o);
        return n;
    }
    void wait_idle(std::size_t client) {
        if (running.empty() && waiting.empty())
            end(client, outcome::granted);
        else
            idle_waiting.push_back(client);
    }
    void set_limit(std::ptrdiff_t l, time_point now) {
        limit = double(l);
        if (has_law) {
            ++epoch;
            peak = in_flight();
            bound = false;
        }
        settle(now);
    }
};

/// The first difference between a limiter's statistics and the model; empty if there is none.
inline std::string
difference(const asio_semaphore::limiter_statistics& all, const limiter_model& model) {
    const auto expected = model.statistics();
    std::string found;
    const auto compare = [&](const char* name, auto is, auto should_be) {
        if (found.empty() && is != should_be)
            found = std::string(name) + ": " + std::to_string(is) + " instead of " +
                    std::to_string(should_be);
    };
    compare("limit", all.limit, expected.limit);
    compare("in_flight", all.in_flight, expected.in_flight);
    compare("running", all.running, expected.running);
    compare("waiting", all.waiting, expected.waiting);
    compare("keys", all.keys, expected.keys);
    for (std::size_t p = 0; p < 4; ++p) {
        const auto &x = all.priorities[p], &y = expected.priorities[p];
        compare("admitted", x.admitted, y.admitted);
        compare("queue_full", x.queue_full, y.queue_full);
        compare("shed", x.shed, y.shed);
        compare("timed_out", x.timed_out, y.timed_out);
        compare("cancelled", x.cancelled, y.cancelled);
        compare("closed", x.closed, y.closed);
    }
    compare("succeeded", all.succeeded, expected.succeeded);
    compare("overloaded", all.overloaded, expected.overloaded);
    compare("ignored", all.ignored, expected.ignored);
    compare("unreported", all.unreported, expected.unreported);
    compare("over_limit", all.over_limit, expected.over_limit);
    compare("algorithm_failures", all.algorithm_failures, expected.algorithm_failures);
    for (const bool is_wait : {true, false}) {
        const auto& x = is_wait ? all.wait : all.latency;
        const auto& y = is_wait ? expected.wait : expected.latency;
        for (std::size_t i = 0; i < x.counts.size(); ++i)
            compare(is_wait ? "wait" : "latency", x.counts[i], y.counts[i]);
        compare(is_wait ? "wait's sum" : "latency's sum", x.sum.count(), y.sum.count());
    }
    return found;
}

/// The same for the keys.
inline std::string
difference(const std::vector<asio_semaphore::key_usage>& usages, const limiter_model& model) {
    for (const auto& usage : usages) {
        const std::string name = "key " + std::to_string(usage.key);
        const auto found = model.keys.find(usage.key);
        if (found == model.keys.end())
            return name + " is there";
        if (usage.in_flight != found->second.held)
            return name + " holds " + std::to_string(usage.in_flight);
        std::size_t waits = 0;
        for (int p = 0; p < 4; ++p)
            waits += model.waits(usage.key, p);
        if (usage.waiting != waits)
            return name + " has waiting " + std::to_string(usage.waiting);
    }
    return {};
}

/// The same for a sample that the algorithm saw.
inline std::string
difference(const asio_semaphore::limit_sample& x, const limiter_model::sample& y) {
    return x.latency != y.latency       ? "the latency of a sample"
           : x.result != y.result       ? "the result of a sample"
           : x.in_flight != y.in_flight ? "what is in flight of a sample"
           : x.bound != y.bound         ? "whether a sample is bound"
           : x.limit != y.limit         ? "the limit of a sample"
                                        : "";
}

} // namespace test
