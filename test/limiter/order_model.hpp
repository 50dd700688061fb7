// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// A model of the queue that follows the text of section 2 of the limiter's contract: which request
// is next, and which one leaves a full queue. It keeps no order, but searches all requests each
// time.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <tuple>
#include <vector>

namespace test {

/// @tparam Request a type with a key, a priority and a weight
template <typename Request>
class order_model {
public:
    struct share {
        std::ptrdiff_t held = 0;
        std::size_t running = 0;
        double served = 0;
    };

    explicit order_model(std::ptrdiff_t cap = 0) : max_per_key(cap) {}

    const std::ptrdiff_t max_per_key; // 0: no cap
    bool newest_first = false;
    std::vector<Request> waiting; // in order of arrival
    std::map<std::uint64_t, share> keys;
    double time = 0; // V

    std::size_t count(const std::function<bool(const Request&)>& is_one) const {
        return static_cast<std::size_t>(std::count_if(waiting.begin(), waiting.end(), is_one));
    }
    std::size_t waits(std::uint64_t key, std::optional<int> priority = {}) const {
        return count([&](const Request& r) {
            return r.key == key && (!priority || r.priority == *priority);
        });
    }

    // "a key's record lives while it holds or waits"
    void forget_the_idle() {
        for (auto k = keys.begin(); k != keys.end();) {
            if (k->second.running == 0 && waits(k->first) == 0)
                k = keys.erase(k);
            else
                ++k;
        }
        forget_the_time();
    }
    double served(bool most) const {
        const auto by_service = [](auto& one, auto& other) {
            return one.second.served < other.second.served;
        };
        if (keys.empty())
            return 0;
        return most ? std::max_element(keys.begin(), keys.end(), by_service)->second.served
                    : std::min_element(keys.begin(), keys.end(), by_service)->second.served;
    }
    // "a key enters with V, not less than the least and not more than the most `served` of those
    // present; while newest come first, with the least"
    share of(std::uint64_t key) const {
        if (const auto found = keys.find(key); found != keys.end())
            return found->second;
        share entering;
        entering.served = waiting.empty() || newest_first
                              ? served(false)
                              : std::min(std::max(time, served(false)), served(true));
        return entering;
    }
    void join(const Request& r) {
        forget_the_time();
        keys[r.key] = of(r.key);
        waiting.push_back(r);
    }
    void give_back(std::uint64_t key, std::ptrdiff_t weight, double service) {
        share& s = keys.at(key);
        // "V grows, whenever a key leaves while requests wait, by the service of its last
        // admission, divided by the number of those present; V starts anew once nobody waits"
        if (s.running == 1 && waits(key) == 0 && !waiting.empty())
            time = std::max(time, served(false)) + service / static_cast<double>(keys.size());
        s.held -= weight;
        --s.running;
        s.served += service;
    }

    // "the first in that order whose key is below its cap (held + weight <= max_per_key, or the
    // key holds nothing)"
    bool is_passed_over(const Request& r) const {
        const std::ptrdiff_t held = of(r.key).held;
        return max_per_key > 0 && r.key != 0 && held > 0 && held + r.weight > max_per_key;
    }
    // "least (priority, held by the key, served to the key, arrival); arrival reversed while newest
    // come first"
    bool is_before(const Request& a, const Request& b, bool a_came_first) const {
        const share x = of(a.key);
        const share y = of(b.key);
        const auto one = std::tie(a.priority, x.held, x.served);
        const auto other = std::tie(b.priority, y.held, y.served);
        return one != other ? one < other : a_came_first != newest_first;
    }
    /// @param all in order of arrival
    const Request* candidate(const std::vector<Request>& all) const {
        const Request* first = nullptr;
        for (const Request& r : all) {
            if (!is_passed_over(r) && (first == nullptr || is_before(r, *first, false)))
                first = &r;
        }
        return first;
    }
    const Request* candidate() const { return candidate(waiting); }

    const Request* victim(std::uint64_t key, int priority) const {
        // "the newest of the lowest priority, if that is lower than its own"
        int lowest = 0;
        for (const Request& r : waiting)
            lowest = std::max(lowest, r.priority);
        if (lowest > priority)
            return last([&](const Request& r) { return r.priority == lowest; });
        // "else, among the requests of its own priority, the newest of the key with most of them
        // waiting, if that key has at least two more waiting than the arrival's key (key 0 neither
        // pays nor profits; of equals the one whose newest came last)"
        if (key != 0) {
            std::uint64_t fattest = 0;
            std::size_t most = 0;
            // In order of arrival: of several such keys, the one whose newest came last remains.
            for (const Request& r : waiting) {
                if (r.priority != priority || r.key == 0)
                    continue;
                const std::size_t its = waits(r.key, priority);
                if (its >= most) {
                    fattest = r.key;
                    most = its;
                }
            }
            if (most >= waits(key, priority) + 2)
                return last(
                    [&](const Request& r) { return r.key == fattest && r.priority == priority; });
        }
        // "else under lifo, or adaptive while newest come first, the oldest of its own priority"
        if (newest_first) {
            for (const Request& r : waiting) {
                if (r.priority == priority)
                    return &r;
            }
        }
        return nullptr;
    }

private:
    void forget_the_time() {
        if (waiting.empty())
            time = 0;
    }
    const Request* last(const std::function<bool(const Request&)>& is_one) const {
        const auto found = std::find_if(waiting.rbegin(), waiting.rend(), is_one);
        return found == waiting.rend() ? nullptr : &*found;
    }
};

} // namespace test
