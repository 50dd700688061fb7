// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// The rules by which the server keeps the limits of a fleet, on plain values: what the script in
// detail/fleet/script.hpp must do, not how. Read it as the specification.
//
// A call takes these steps: it checks, repairs, ends expired leases, executes the commands in
// order, serves the queue, and answers. A call that a check refuses changes nothing.

#include <asio_semaphore/detail/fleet/protocol.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace test {

namespace fleet = asio_semaphore::detail::fleet;

/// The key asem:{NAME}:m.
struct limit_record {
    int schema = fleet::schema;
    std::uint64_t made = 0;
    std::uint64_t rolls = 0;
    std::int64_t limit = 0;
    std::uint64_t seq = 0;
    std::int64_t held = 0;
    std::int64_t leases = 0, places = 0, clients = 0; // how many entries these keys must have
    std::int64_t last = 0;                            // the time of the last call
    std::int64_t quarantine = 0;                      // until then, no new permit is granted
    std::int64_t longest = 0;                         // the longest lease ever asked for
    std::string head;                                 // the client that watches the expiry times
    std::map<std::string, std::uint64_t> connections; // newest of each present client
};

/// The contents of the five keys of one limit. Each key may vanish by itself.
struct limit_state {
    std::optional<limit_record> m;                 ///< :m
    std::map<std::string, std::int64_t> leases;    ///< :l request -> when its lease ends
    std::map<std::string, std::uint64_t> fences;   ///< :f  request -> fencing number
    std::map<std::string, std::uint64_t> places;   ///< :q request -> the seq of its arrival
    std::map<std::string, std::int64_t> presences; ///< :c  client -> until when it counts as alive

    void clear() { *this = limit_state(); }
};

/// A request. The keys name it CLIENT.SERIAL.N.LEASE.
struct request {
    std::string client;
    fleet::request_name name;

    std::string text() const { return fleet::to_text(client, name); }

    static request from(const std::string& text) {
        request r;
        const auto a = text.find('.'), b = text.find('.', a + 1), c = text.find('.', b + 1);
        r.client = text.substr(0, a);
        r.name.serial = std::stoull(text.substr(a + 1));
        r.name.n = std::stoll(text.substr(b + 1));
        r.name.lease = std::stoll(text.substr(c + 1));
        return r;
    }
};

struct script_model {
    /// Bounds on the work of one call.
    std::size_t leases_swept = 256;
    std::size_t clients_dropped = 64;
    std::size_t places_served = 256;
    std::size_t places_passed_over = 1024;

    /// The limits by name. A test may copy them and put the copy back to simulate a failover.
    std::map<std::string, limit_state> limits;
    /// The clients whose channel has a subscriber.
    std::set<std::string> subscribed;
    /// How long the server has run, in ms.
    std::int64_t uptime = std::numeric_limits<std::int64_t>::max();

    fleet::answer execute(
        const std::string& client, std::uint64_t connection, const fleet::call& call,
        std::int64_t now_ms);

    /// Returns the messages published since the last call, with their receivers. A message to a
    /// client that is not subscribed is lost.
    std::vector<std::pair<std::string, fleet::push>> take_pushes() {
        return std::exchange(pushes_, {});
    }

private:
    class turn;
    std::vector<std::pair<std::string, fleet::push>> pushes_;
};

class script_model::turn {
public:
    turn(
        script_model& server, limit_state& keys, const std::string& me, std::uint64_t connection,
        const fleet::call& call, std::int64_t now) :
        server_(server),
        keys_(keys),
        me_(me),
        connection_(connection),
        call_(call),
        now_(now),
        now_us_(static_cast<std::uint64_t>(now) * 1000) {}

    fleet::answer take() {
        answer_.now = now_;
        if (!is_admitted())
            return answer_;
        set_clock();
        make_or_repair();
        arrive();
        sweep();
        for (const auto& command : call_.commands)
            answer_.results.push_back(execute(command));
        serve();
        if (withdraw_tries())
            serve();
        finish();
        return answer_;
    }

private:
    using verdict = fleet::verdict;

    limit_record& m() { return *keys_.m; }

    // ---- Checks, before anything is written

    bool is_admitted() {
        if (!keys_.m)
            return true;
        if (m().schema != fleet::schema) {
            answer_.status = fleet::call_status::incompatible;
            return false;
        }
        answer_.made = m().made;
        answer_.rolls = m().rolls;
        answer_.limit = m().limit;
        answer_.seq = m().seq;
        // The client has gone on to another connection, and left this call in the old one.
        const auto known = m().connections.find(me_);
        if (known != m().connections.end() && known->second > connection_)
            answer_.status = fleet::call_status::stale;
        else if (call_.is_strict && m().limit != call_.limit)
            answer_.status = fleet::call_status::conflict;
        return answer_.status == fleet::call_status::ok;
    }

    // ---- Changes to the data and the clock since the last call

    // Handles a clock that has gone back. If it catches up within the longest lease, it stands
    // still until then. Otherwise no end of a lease, a presence or a quarantine may be further away
    // than that lease.
    void set_clock() {
        if (!keys_.m || now_ >= m().last)
            return;
        if (m().last - now_ <= m().longest) {
            now_ = m().last;
            return;
        }
        const auto top = now_ + m().longest;
        for (auto* times : {&keys_.leases, &keys_.presences}) {
            for (auto& [of, until] : *times)
                until = std::min(until, top);
        }
        m().quarantine = std::min(m().quarantine, top);
    }

    // Clients may hold permits that the server no longer knows. So it grants no new permit until
    // the longest lease among them has ended.
    void data_was_lost() {
        if (!call_.is_immediate)
            m().quarantine = std::max(m().quarantine, now_ + m().longest);
    }

    void make_or_repair() {
        if (!keys_.m) {
            make();
            return;
        }
        m().longest = std::max(m().longest, call_.lease);
        repair();
        // The caller has seen a higher seq than the server knows, so writes were lost. Whatever
        // other callers have seen since is below the time in us.
        if (call_.seen > m().seq) {
            m().seq = std::max(call_.seen + 1000, now_us_);
            ++m().rolls;
            data_was_lost();
        }
    }

    void make() {
        const bool is_rest = !keys_.leases.empty() || !keys_.fences.empty() ||
                             !keys_.places.empty() || !keys_.presences.empty();
        keys_.clear();
        keys_.m = limit_record();
        // Begins at the time, so that fencing numbers also grow across a loss of all data.
        m().made = m().seq = std::max(now_us_, call_.seen + 1);
        m().limit = call_.limit;
        m().longest = call_.lease;
        if (call_.seen > 0 || is_rest || server_.uptime < m().longest)
            data_was_lost();
    }

    // Repairs keys that were lost, or changed by others.
    void repair() {
        const auto count = [](const auto& key) {
            return static_cast<std::int64_t>(key.size());
        };
        if (count(keys_.presences) != m().clients) {
            for (const auto& [client, connection] : m().connections)
                keys_.presences.emplace(client, now_ + m().longest);
            m().clients = count(keys_.presences);
        }
        if (count(keys_.leases) == m().leases && count(keys_.fences) == m().leases &&
            count(keys_.places) == m().places)
            return;
        ++m().rolls;
        if (count(keys_.leases) != m().leases)
            data_was_lost();
        m().held = 0;
        for (const auto& [id, expiry] : by_score(keys_.leases)) {
            m().held += request::from(id).name.n;
            if (keys_.fences.count(id) == 0) // until its holder sends the right one
                keys_.fences[id] = ++m().seq;
        }
        for (auto f = keys_.fences.begin(); f != keys_.fences.end();)
            f = keys_.leases.count(f->first) == 0 ? keys_.fences.erase(f) : std::next(f);
        m().leases = count(keys_.leases);
        m().places = count(keys_.places);
    }

    void arrive() {
        m().connections[me_] = connection_;
        keys_.presences[me_] = now_ + call_.presence;
        m().clients = static_cast<std::int64_t>(keys_.presences.size());
    }

    void sweep() {
        std::size_t swept = 0;
        for (const auto& [id, expiry] : by_score(keys_.leases)) {
            if (expiry > now_ || swept == server_.leases_swept)
                break;
            drop(id);
            ++swept;
        }
        answer_.has_more = swept == server_.leases_swept;
        for (const auto& command : call_.commands) {
            if (command.what == fleet::verb::set_limit || command.what == fleet::verb::inspect)
                continue;
            const std::string id = fleet::to_text(me_, command.of);
            const auto lease = keys_.leases.find(id);
            if (lease != keys_.leases.end() && lease->second <= now_)
                drop(id);
        }
        std::size_t dropped = 0;
        for (const auto& [client, until] : by_score(keys_.presences)) {
            if (until > now_ || dropped == server_.clients_dropped)
                break;
            keys_.presences.erase(client);
            m().connections.erase(client);
            --m().clients;
            ++dropped;
        }
    }

    // ---- Leases and places

    void drop(const std::string& id) {
        keys_.leases.erase(id);
        keys_.fences.erase(id);
        m().held -= request::from(id).name.n;
        --m().leases;
    }

    // Also ends an expired lease that sweep has not reached.
    bool is_held(const std::string& id) {
        const auto lease = keys_.leases.find(id);
        if (lease == keys_.leases.end())
            return false;
        if (lease->second > now_)
            return true;
        drop(id);
        return false;
    }

    bool fits(std::int64_t n) { return m().held + n <= m().limit; }
    bool is_quarantine() { return now_ < m().quarantine; }

    void hold(const request& r, std::uint64_t fence) {
        keys_.leases[r.text()] = now_ + r.name.lease;
        keys_.fences[r.text()] = fence;
        m().held += r.name.n;
        ++m().leases;
        m().longest = std::max(m().longest, r.name.lease);
    }

    bool leave(const std::string& id) {
        if (keys_.places.erase(id) == 0)
            return false;
        --m().places;
        return true;
    }

    fleet::result granted(const std::string& id) {
        return {verdict::granted, keys_.fences[id], keys_.leases[id], 0, 0};
    }

    // ---- Commands

    fleet::result execute(const fleet::command& c) {
        const request r{me_, c.of};
        const std::string id = r.text();
        switch (c.what) {
        case fleet::verb::acquire:
        case fleet::verb::try_acquire:
            if (is_held(id))
                return granted(id);
            if (r.name.n > m().limit)
                return {verdict::exceeds};
            if (keys_.places.count(id) == 0) {
                if (m().places == 0 && fits(r.name.n) && !is_quarantine()) {
                    hold(r, ++m().seq);
                    return granted(id);
                }
                keys_.places[id] = ++m().seq;
                ++m().places;
                exceeded_.erase(
                    std::remove(exceeded_.begin(), exceeded_.end(), r.name.serial),
                    exceeded_.end());
            }
            return queued(id, c.what == fleet::verb::try_acquire);
        case fleet::verb::give_back:
            if (is_held(id)) {
                drop(id);
                return {verdict::released};
            }
            return {leave(id) ? verdict::withdrawn : verdict::unknown};
        case fleet::verb::renew:
            return renew(r, c);
        case fleet::verb::ask:
            if (is_held(id))
                return granted(id);
            if (keys_.places.count(id) == 0)
                return {verdict::unknown};
            return queued(id, false);
        case fleet::verb::set_limit:
            set_limit(c.limit);
            return {verdict::done};
        case fleet::verb::inspect:
            break;
        }
        fleet::result seen{verdict::done};
        seen.clients = m().clients;
        // While holders may be missing, the lowest number must not exclude any of them.
        if (!keys_.fences.empty() && !is_quarantine())
            seen.lowest_fence = by_score(keys_.fences).front().second;
        return seen;
    }

    // The result is known after the queue has been served.
    fleet::result queued(const std::string& id, bool is_try) {
        pending_.push_back({answer_.results.size(), id, is_try});
        return {verdict::queued};
    }

    fleet::result renew(const request& r, const fleet::command& c) {
        const std::string id = r.text();
        const bool is_there = is_held(id);
        // Its holder already counts the permit as lost, so it must not come back.
        if (now_ > c.void_after) {
            if (is_there)
                drop(id);
            return {verdict::gone};
        }
        if (!is_there && !fits(r.name.n))
            return {verdict::gone};
        // A server that has lost data may not know the fencing number; its holder does.
        m().seq = std::max(m().seq, c.fence);
        if (is_there) {
            keys_.leases[id] = now_ + r.name.lease;
            keys_.fences[id] = c.fence;
        } else {
            leave(id);
            hold(r, c.fence);
        }
        return {is_there ? verdict::renewed : verdict::readmitted, 0, keys_.leases[id], 0, 0};
    }

    void set_limit(std::int64_t limit) {
        m().limit = limit;
        for (const auto& [id, place] : by_score(keys_.places)) {
            const auto r = request::from(id);
            if (r.name.n <= limit)
                continue;
            leave(id);
            if (r.client == me_)
                exceeded_.push_back(r.name.serial);
            else
                told(r.client).exceeded.push_back(r.name.serial);
        }
    }

    // ---- The queue

    enum class reach { here, away, gone };

    // A client that is gone loses its places in the queue. A client that is away keeps them, and is
    // passed over.
    reach reach_of(const std::string& client) {
        if (client == me_)
            return reach::here;
        const auto presence = keys_.presences.find(client);
        if (presence == keys_.presences.end() || presence->second <= now_)
            return reach::gone;
        return server_.subscribed.count(client) != 0 ? reach::here : reach::away;
    }

    void serve() {
        head_.clear();
        std::size_t passed_over = 0;
        for (const auto& [id, place] : by_score(keys_.places)) {
            const auto r = request::from(id);
            const auto where = reach_of(r.client);
            if (where == reach::away) {
                if (++passed_over == server_.places_passed_over)
                    return;
                continue;
            }
            if (where == reach::here && (is_quarantine() || !fits(r.name.n))) {
                head_ = r.client;
                return;
            }
            if (served_ == server_.places_served) {
                answer_.has_more = true;
                return;
            }
            ++served_;
            leave(id);
            if (where == reach::gone)
                continue;
            hold(r, ++m().seq);
            const fleet::grant g{r.name.serial, keys_.fences[id], keys_.leases[id]};
            if (r.client == me_)
                granted_.push_back(g);
            else
                told(r.client).granted.push_back(g);
        }
    }

    bool withdraw_tries() {
        bool has_any = false;
        for (const auto& p : pending_) {
            if (p.is_try && leave(p.id))
                has_any = true;
        }
        return has_any;
    }

    // ---- The answer

    void finish() {
        answer_.next_expiry = -1;
        if (!keys_.leases.empty() && !head_.empty())
            answer_.next_expiry =
                std::max<std::int64_t>(0, by_score(keys_.leases).front().second - now_);
        if (head_ != m().head && !head_.empty() && head_ != me_)
            told(head_).head = answer_.next_expiry;
        m().head = head_;
        m().last = now_;
        ++m().seq;

        answer_.now = now_;
        answer_.made = m().made;
        answer_.rolls = m().rolls;
        answer_.limit = m().limit;
        answer_.seq = m().seq;
        answer_.held = m().held;
        answer_.waiting = m().places;
        answer_.is_head_mine = head_ == me_;
        answer_.quarantine = std::max<std::int64_t>(0, m().quarantine - now_);

        std::set<std::uint64_t> answered;
        for (const auto& p : pending_) {
            const auto serial = request::from(p.id).name.serial;
            answered.insert(serial);
            auto& r = answer_.results[p.result];
            const auto g = std::find_if(granted_.begin(), granted_.end(), [&](const auto& each) {
                return each.serial == serial;
            });
            if (g != granted_.end())
                r = {verdict::granted, g->fence, g->expiry, 0, 0};
            else if (std::count(exceeded_.begin(), exceeded_.end(), serial) != 0)
                r.what = verdict::exceeds;
            else if (p.is_try)
                r.what = verdict::refused;
        }
        for (const auto& g : granted_) {
            if (answered.count(g.serial) == 0)
                answer_.granted.push_back(g);
        }
        for (const auto serial : exceeded_) {
            if (answered.count(serial) == 0)
                answer_.exceeded.push_back(serial);
        }
        server_.pushes_.insert(server_.pushes_.end(), told_.begin(), told_.end());
    }

    fleet::push& told(const std::string& client) {
        for (auto& [to, what] : told_) {
            if (to == client)
                return what;
        }
        told_.emplace_back(client, fleet::push());
        told_.back().second.name = call_.name;
        return told_.back().second;
    }

    template <typename Score>
    static std::vector<std::pair<std::string, Score>>
    by_score(const std::map<std::string, Score>& key) {
        std::vector<std::pair<std::string, Score>> all(key.begin(), key.end());
        std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
            return std::tie(a.second, a.first) < std::tie(b.second, b.first);
        });
        return all;
    }

    struct pending {
        std::size_t result;
        std::string id;
        bool is_try;
    };

    script_model& server_;
    limit_state& keys_;
    const std::string& me_;
    const std::uint64_t connection_;
    const fleet::call& call_;
    std::int64_t now_;
    const std::uint64_t now_us_;
    fleet::answer answer_;
    std::vector<pending> pending_;
    std::vector<fleet::grant> granted_;   // requests of the caller that had waited
    std::vector<std::uint64_t> exceeded_; // likewise
    std::vector<std::pair<std::string, fleet::push>> told_;
    std::size_t served_ = 0;
    std::string head_;
};

inline fleet::answer script_model::execute(
    const std::string& client, std::uint64_t connection, const fleet::call& call,
    std::int64_t now_ms) {
    return turn(*this, limits[call.name], client, connection, call, now_ms).take();
}

} // namespace test
