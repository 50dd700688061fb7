// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// The script on a real server, behind the same values as script_model: calls in, answers, pushes
// and the five keys out.

#include "fleet/redis_admin.hpp"
#include "fleet/redis_server.hpp"
#include "fleet/script_model.hpp"
#include "fleet/with_redis_server.hpp"

#include <asio_semaphore/detail/fleet/protocol.hpp>
#include <asio_semaphore/detail/fleet/script.hpp>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace test {

inline void
append_nodes(const redis_value& v, std::size_t depth, std::vector<fleet::reply_node>& nodes) {
    const bool is_list = v.what == redis_value::list;
    nodes.push_back({depth, is_list, v.items.size(), v.integer});
    for (const auto& item : v.items)
        append_nodes(item, depth + 1, nodes);
}

inline std::string key(const std::string& name, char which) {
    return "asem:{" + name + "}:" + which;
}

/// Takes calls over one connection.
class script_server {
public:
    explicit script_server(std::uint16_t port, const std::string& text = fleet::script_text) :
        admin(port), sha_(admin.command("SCRIPT", "LOAD", text).string) {}

    /// EVALSHA; what the server says. @param clock ms, 0: its own
    redis_value
    raw(const std::string& client, std::uint64_t connection, const fleet::call& call,
        std::int64_t clock) {
        append(client, connection, call, clock);
        return admin.take();
    }

    /// An answer; what is none fails the test.
    fleet::answer execute(
        const std::string& client, std::uint64_t connection, const fleet::call& call,
        std::int64_t clock) {
        return to_answer(raw(client, connection, call, clock), call);
    }

    // The same in two steps.
    void append(
        const std::string& client, std::uint64_t connection, const fleet::call& call,
        std::int64_t clock) {
        std::vector<std::string> words{"EVALSHA", sha_};
        for (auto& word : fleet::to_arguments(call, client, connection, clock))
            words.push_back(std::move(word));
        admin.append(words);
    }
    static fleet::answer to_answer(const redis_value& said, const fleet::call& call) {
        std::vector<fleet::reply_node> nodes;
        append_nodes(said, 0, nodes);
        auto answer = fleet::to_answer(nodes, call.commands);
        if (!answer) {
            std::ostringstream text;
            text << said;
            BOOST_FAIL("not the script's answer: " << text.str());
        }
        return *std::move(answer);
    }

    /// The five keys.
    limit_state state(const std::string& name) {
        append_state(name);
        return take_state();
    }
    void append_state(const std::string& name) {
        admin.append({"HGETALL", key(name, 'm')});
        for (const char which : {'l', 'f', 'q', 'c'})
            admin.append({"ZRANGE", key(name, which), "0", "-1", "WITHSCORES"});
    }
    limit_state take_state() {
        limit_state state;
        const auto fields = redis_admin::pairs(admin.take());
        if (!fields.empty())
            state.m = to_record(fields);
        take_scores(state.leases);
        take_scores(state.fences);
        take_scores(state.places);
        take_scores(state.presences);
        return state;
    }

    redis_admin admin;

private:
    static limit_record to_record(const std::map<std::string, std::string>& fields) {
        limit_record m;
        const auto number = [&](const char* name, auto& n) {
            const auto found = fields.find(name);
            if (found == fields.end())
                BOOST_FAIL("no field " << name);
            else
                n = static_cast<std::decay_t<decltype(n)>>(std::stoull(found->second));
        };
        number("schema", m.schema);
        number("made", m.made);
        number("rolls", m.rolls);
        number("limit", m.limit);
        number("seq", m.seq);
        number("held", m.held);
        number("nl", m.leases);
        number("nq", m.places);
        number("nc", m.clients);
        number("last", m.last);
        number("quar", m.quarantine);
        number("maxl", m.longest);
        m.head = fields.at("head");
        for (const auto& [name, value] : fields) {
            if (name.compare(0, 2, "e:") == 0)
                m.connections[name.substr(2)] = std::stoull(value);
        }
        BOOST_TEST(fields.size() == 14 + m.connections.size()); // and kept; nothing else
        return m;
    }

    template <typename Score>
    void take_scores(std::map<std::string, Score>& scores) {
        for (const auto& [member, score] : redis_admin::pairs(admin.take()))
            scores[member] = static_cast<Score>(std::stoull(score));
    }

    std::string sha_;
};

/// A connection that is subscribed to a client's channel. The client counts as reachable as long
/// as it lives.
class listener {
public:
    listener(std::uint16_t port, const std::string& client) : connection_(port) {
        connection_.command("SUBSCRIBE", fleet::channel_of(client));
    }

    /// What has been pushed, of what the server has done by now.
    std::vector<fleet::push> take() {
        connection_.append({"PING"}); // answered in order after all pushes
        std::vector<fleet::push> pushes;
        for (;;) {
            const auto message = connection_.take();
            if (message.size() == 2 && message[0].string == "pong")
                return pushes;
            if (message.size() != 3 || message[0].string != "message")
                throw std::runtime_error("not a message");
            if (message[2].string.empty()) // the caller's own question
                continue;
            auto push = fleet::to_push(message[2].string);
            if (!push)
                BOOST_FAIL("not a push: " << message[2].string);
            pushes.push_back(*std::move(push));
        }
    }

private:
    redis_admin connection_;
};

/// Empty where they are equal; otherwise what differs.
inline std::string difference(const fleet::answer& a, const fleet::answer& b) {
    std::ostringstream out;
    const auto field = [&](const char* name, auto x, auto y) {
        if (x != y)
            out << name << ": " << x << " is not " << y << "; ";
    };
    field("status", static_cast<std::int64_t>(a.status), static_cast<std::int64_t>(b.status));
    field("now", a.now, b.now);
    field("made", a.made, b.made);
    field("rolls", a.rolls, b.rolls);
    field("limit", a.limit, b.limit);
    field("seq", a.seq, b.seq);
    field("held", a.held, b.held);
    field("waiting", a.waiting, b.waiting);
    field("next_expiry", a.next_expiry, b.next_expiry);
    field("is_head_mine", a.is_head_mine, b.is_head_mine);
    field("quarantine", a.quarantine, b.quarantine);
    field("has_more", a.has_more, b.has_more);
    field("number of results", a.results.size(), b.results.size());
    for (std::size_t i = 0; i < std::min(a.results.size(), b.results.size()); ++i) {
        const auto &r = a.results[i], &s = b.results[i];
        if (!(r == s))
            out << "result " << i << ": " << static_cast<int>(r.what) << ' ' << r.fence << ' '
                << r.expiry << " is not " << static_cast<int>(s.what) << ' ' << s.fence << ' '
                << s.expiry << "; ";
    }
    if (!(a.granted == b.granted))
        out << "granted differs; ";
    if (!(a.exceeded == b.exceeded))
        out << "exceeded differs; ";
    return out.str();
}

inline std::string difference(const limit_state& a, const limit_state& b) {
    std::ostringstream out;
    const auto field = [&](const char* name, const auto& x, const auto& y) {
        if (x != y)
            out << name << ": " << x << " is not " << y << "; ";
    };
    const auto set = [&](const char* name, const auto& x, const auto& y) {
        if (x == y)
            return;
        for (const auto* s : {&x, &y}) {
            out << name << ':';
            for (const auto& [member, score] : *s)
                out << ' ' << member << '=' << score;
            out << "; ";
        }
    };
    field("is there", a.m.has_value(), b.m.has_value());
    if (a.m && b.m) {
        field("schema", a.m->schema, b.m->schema);
        field("made", a.m->made, b.m->made);
        field("rolls", a.m->rolls, b.m->rolls);
        field("limit", a.m->limit, b.m->limit);
        field("seq", a.m->seq, b.m->seq);
        field("held", a.m->held, b.m->held);
        field("nl", a.m->leases, b.m->leases);
        field("nq", a.m->places, b.m->places);
        field("nc", a.m->clients, b.m->clients);
        field("last", a.m->last, b.m->last);
        field("quar", a.m->quarantine, b.m->quarantine);
        field("maxl", a.m->longest, b.m->longest);
        field("head", a.m->head, b.m->head);
        set("connections", a.m->connections, b.m->connections);
    }
    set("l", a.leases, b.leases);
    set("f", a.fences, b.fences);
    set("q", a.places, b.places);
    set("c", a.presences, b.presences);
    return out.str();
}

} // namespace test
