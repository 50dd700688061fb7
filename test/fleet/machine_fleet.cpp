// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// F69: a random simulation of five clients and a server, with everything that can go wrong between
// them. After every step, in true time, it checks the promises P1 to P8 of the contract.
//
// ASIO_SEMAPHORE_FLEET_STEPS: the number of steps; a million by default.

#include "script_model.hpp"

#include <asio_semaphore/detail/fleet/machine.hpp>

#include "../support/seed.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

using asio_semaphore::fleet_options;
using asio_semaphore::detail::outcome;
using namespace std::chrono_literals;
namespace fleet = asio_semaphore::detail::fleet;

namespace {

using nanoseconds = std::chrono::nanoseconds;

constexpr nanoseconds never = nanoseconds::max();
constexpr nanoseconds lease = 400ms;
constexpr nanoseconds longest_lease = 600ms;
constexpr nanoseconds margin = 40ms;
constexpr std::size_t limit_count = 2;
constexpr std::array<const char*, limit_count> names{"x", "y"};

class user_ticket final : public fleet::ticket {
public:
    using ticket::ticket;
    static inline int alive = 0;
    user_ticket(purpose what, std::ptrdiff_t n) : ticket(what, n) { ++alive; }
    ~user_ticket() { --alive; }

private:
    void add_reference() noexcept override { ++references_; }
    void drop_reference() noexcept override {
        if (--references_ == 0)
            delete this;
    }
    int references_ = 0;
};

// What the user of a ticket has seen of it.
struct use {
    boost::intrusive_ptr<user_ticket> t;
    std::size_t limit = 0;
    bool is_admin = false;
    int ends = 0;
    bool is_held = false;
    bool is_lost = false;
    bool is_given_back = false;
    bool is_told = false;
    int released = 0;
    nanoseconds until{}; // when the user withdraws it or gives it back

    bool is_over() const {
        return ends == 1 && (!is_held || (is_given_back && (!is_told || released == 1)));
    }
};

struct client {
    std::string name;
    fleet_options options;
    std::unique_ptr<fleet::machine> machine;
    std::array<fleet::limit*, limit_count> limits{};
    nanoseconds ahead{}; // how far its clock is ahead
    nanoseconds lasts{}; // the length of its lease
    std::vector<std::unique_ptr<use>> uses;

    bool is_connected = false;
    bool has_started = false; // something that no call has sent yet
    nanoseconds connects_at = never;
    nanoseconds paused_until{};

    struct upward {
        nanoseconds at;
        std::uint64_t connection;
        std::vector<fleet::call> calls;
    };
    struct downward {
        nanoseconds at;
        std::vector<fleet::reply> replies; // or
        std::optional<fleet::push> push;
    };
    std::deque<upward> up;
    std::deque<downward> down;

    std::array<std::uint64_t, limit_count> highest_fence{};
    std::array<std::set<std::uint64_t>, limit_count> given_back; // serials
};

class simulation {
public:
    explicit simulation(std::uint32_t seed) : random_(seed) {
        for (std::size_t i = 0; i < 5; ++i)
            clients_.push_back(make_client(i));
        last_loss_.fill(-longest_lease * 10);
        // Small bounds, so that calls stop half-way.
        server_.leases_swept = 3;
        server_.places_served = 2;
    }

    void run(std::size_t steps);

private:
    // ---- Random choices

    std::int64_t between(std::int64_t low, std::int64_t high) {
        return std::uniform_int_distribution<std::int64_t>(low, high)(random_);
    }
    bool one_in(std::int64_t n) { return between(1, n) == 1; }
    nanoseconds time_between(nanoseconds low, nanoseconds high) {
        return nanoseconds(between(low.count(), high.count()));
    }
    client& any_client() { return *clients_[static_cast<std::size_t>(between(0, 4))]; }

    // ---- Time

    fleet::time_point local(const client& c) const { return fleet::time_point(now_ + c.ahead); }
    std::int64_t server_clock() const {
        return std::chrono::duration_cast<std::chrono::milliseconds>(now_).count() + server_ahead_;
    }

    // ---- Actions

    std::unique_ptr<client> make_client(std::size_t place);
    void step();
    void advance();
    void act();
    void act(client& c);
    void use_up(client& c, use& u);
    void go_wrong();
    void connect(client& c);
    void disconnect(client& c);
    void kill(std::size_t place);
    void pump(client& c);
    void execute(
        client* from, const std::string& name, std::uint64_t connection,
        const std::vector<fleet::call>& calls);
    void hear(client& c);
    void heed(client& c);
    void lose_data();
    void calm_down();
    void come_to_rest();

    // ---- Invariants

    void check_call(client& c, const fleet::call& said);
    void check_leases(client& c);
    void check_limits();
    void check_service();
    // P1 and P6 are not promised for a lease after a loss of data, nor after the server's clock has
    // stepped forward, even by less than the margin. After such a step, a renewal that the server
    // reads just before its holder's deadline is void by the server's clock, and the server grants
    // the permit to others.
    bool is_suspended(std::size_t limit) const {
        return now_ <= std::max(last_loss_[limit], last_step_) + longest_lease;
    }
    static std::size_t index_of(const std::string& name) { return name == names[0] ? 0 : 1; }

    std::mt19937_64 random_;
    nanoseconds now_ = 1'000s;
    std::int64_t server_ahead_ = 500'000;
    nanoseconds last_step_ = 0s; // the server's clock stepped forward
    nanoseconds server_paused_until_{};
    test::script_model server_;
    std::deque<std::map<std::string, test::limit_state>> copies_;
    std::vector<std::unique_ptr<client>> clients_;
    std::uint64_t client_count_ = 0;

    struct zombie {
        nanoseconds at;
        std::string name;
        std::uint64_t connection;
        std::vector<fleet::call> calls;
    };
    std::vector<zombie> zombies_;
    std::vector<std::pair<nanoseconds, std::string>> unsubscribes_;

    bool is_calm_ = false;
    bool is_ending_ = false; // no user starts a request any more
    nanoseconds calm_since_{};
    std::array<nanoseconds, limit_count> last_loss_{};
    std::array<std::int64_t, limit_count> cap_{4, 1};
    std::array<std::uint64_t, limit_count> last_fence_{};
    std::map<std::string, std::uint64_t> granted_; // grants of this server: request -> fence
    // The grants that their clients have not heard of, and since when.
    std::map<std::pair<std::size_t, std::uint64_t>, nanoseconds> unheard_;
};

std::unique_ptr<client> simulation::make_client(std::size_t place) {
    auto made = std::make_unique<client>();
    client& c = *made;
    c.name = "c" + std::to_string(++client_count_);
    c.options.lease = std::chrono::milliseconds(place == 3 ? 600 : 400);
    c.lasts = c.options.lease;
    c.options.margin = 40ms;
    c.options.window = place == 2 ? 2 : 64;
    c.options.max_hold = std::chrono::milliseconds(place == 1 ? 900 : 0);
    c.options.adopt_limit = true;
    c.options.unreachable_after = 200ms;
    if (place == 3)
        c.options.when_unreachable = fleet_options::unreachable::fail;
    if (place == 4) {
        c.options.when_unreachable = fleet_options::unreachable::admit_locally;
        c.options.local_permits = 1;
    }
    c.ahead = std::chrono::hours(between(0, 1'000));
    c.machine = std::make_unique<fleet::machine>(c.name, random_());
    bool mismatch = false;
    c.limits[0] = &c.machine->open(names[0], 4, c.options, mismatch);
    c.limits[1] = &c.machine->open(names[1], 1, c.options, mismatch);
    c.machine->running(local(c));
    c.connects_at = now_ + time_between(0ms, 20ms);
    return made;
}

// ---- Checks

void simulation::check_call(client& c, const fleet::call& said) {
    const std::size_t limit = index_of(said.name);
    const auto renewals = static_cast<std::size_t>(
        std::count_if(said.commands.begin(), said.commands.end(), [](const fleet::command& each) {
            return each.what == fleet::verb::renew;
        }));
    BOOST_REQUIRE(renewals <= fleet::renewals_at_a_time);
    BOOST_REQUIRE(said.commands.size() - renewals <= fleet::commands_at_a_time);
    // P8: a call tells the server the highest number that the client has heard.
    BOOST_REQUIRE(said.seen >= c.highest_fence[limit]);
    std::uint64_t last_asked = 0;
    int stage = 0;
    const auto stage_of = [](fleet::verb what) {
        switch (what) {
        case fleet::verb::give_back:
            return 0;
        case fleet::verb::renew:
            return 1;
        case fleet::verb::acquire:
        case fleet::verb::try_acquire:
            return 2;
        case fleet::verb::ask:
            return 3;
        default:
            return 4;
        }
    };
    for (const fleet::command& each : said.commands) {
        BOOST_REQUIRE(stage_of(each.what) >= stage);
        stage = stage_of(each.what);
        if (stage == 2) {
            // P3: requests are sent in the order of their start, and a new one goes last.
            BOOST_REQUIRE(each.of.serial > last_asked);
            last_asked = each.of.serial;
        }
        if (each.what == fleet::verb::give_back)
            c.given_back[limit].insert(each.of.serial);
        if (each.what == fleet::verb::renew) {
            // P4: a client renews only permits that are held.
            const bool is_held = std::any_of(c.uses.begin(), c.uses.end(), [&](const auto& u) {
                return u->is_held && !u->is_given_back && u->limit == limit &&
                       u->t->fence() == each.fence;
            });
            BOOST_REQUIRE(is_held);
        }
    }
}

// P6, and that the server holds every valid permit.
void simulation::check_leases(client& c) {
    for (const auto& u : c.uses) {
        if (!u->is_held || u->is_given_back || u->t->is_local() || is_suspended(u->limit) ||
            u->t->deadline() <= local(c))
            continue;
        const test::limit_state& keys = server_.limits[names[u->limit]];
        std::int64_t expiry = -1;
        for (const auto& [id, fence] : keys.fences)
            if (fence == u->t->fence() && test::request::from(id).client == c.name)
                expiry = keys.leases.at(id);
        BOOST_REQUIRE(expiry != -1);
        constexpr nanoseconds early = margin - 1ms; // the server's clock counts in ms
        const nanoseconds left = std::chrono::milliseconds(expiry - server_clock());
        BOOST_REQUIRE((u->t->deadline() - local(c) + early <= left));
    }
}

// P1: at no instant do valid permits exceed the limit.
void simulation::check_limits() {
    for (std::size_t limit = 0; limit < limit_count; ++limit) {
        std::int64_t valid = 0;
        for (const auto& c : clients_) {
            std::int64_t alone = 0;
            for (const auto& u : c->uses)
                if (u->is_held && !u->is_given_back && u->limit == limit &&
                    u->t->deadline() > local(*c))
                    (u->t->is_local() ? alone : valid) += u->t->count();
            BOOST_REQUIRE(alone <= c->options.local_permits);
        }
        if (!is_suspended(limit))
            BOOST_REQUIRE(valid <= cap_[limit]);
    }
}

// P5: once it has been calm for long enough, every client hears of a grant in the server within a
// third of a lease, and no expired lease stays in the server while a request waits.
void simulation::check_service() {
    if (!is_calm_ || now_ < calm_since_ + longest_lease * 4 / 3 || server_paused_until_ > now_)
        return;
    constexpr nanoseconds trips = 20ms;
    std::set<std::pair<std::size_t, std::uint64_t>> seen;
    for (std::size_t limit = 0; limit < limit_count; ++limit) {
        const test::limit_state& keys = server_.limits[names[limit]];
        bool waits = false;
        for (const auto& [id, place] : keys.places)
            for (const auto& c : clients_)
                waits = waits || c->name == test::request::from(id).client;
        for (const auto& [id, expiry] : keys.leases) {
            const std::uint64_t fence = keys.fences.at(id);
            if (waits && !is_ending_)
                BOOST_REQUIRE((std::chrono::milliseconds(expiry - server_clock()) > -trips - 5ms));
            // It has expired. The next call sweeps it, and no request waits for that.
            if (expiry <= server_clock())
                continue;
            for (const auto& c : clients_) {
                if (c->name != test::request::from(id).client)
                    continue;
                const bool is_heard =
                    std::any_of(c->uses.begin(), c->uses.end(), [&](const auto& u) {
                        return u->is_held && u->limit == limit && u->t->fence() == fence;
                    });
                if (is_heard)
                    continue;
                seen.emplace(limit, fence);
                const nanoseconds since =
                    unheard_.emplace(std::make_pair(limit, fence), now_).first->second;
                // P4: an older copy of the data may have brought the request back, and the push was
                // lost.
                const std::uint64_t serial = test::request::from(id).name.serial;
                const bool is_stray = c->given_back[limit].count(serial) != 0;
                BOOST_REQUIRE((now_ - since <= (is_stray ? c->lasts : c->lasts / 3) + trips));
            }
        }
    }
    for (auto each = unheard_.begin(); each != unheard_.end();)
        each = seen.count(each->first) == 0 ? unheard_.erase(each) : std::next(each);
}

// ---- The server

void simulation::execute(
    client* from, const std::string& name, std::uint64_t connection,
    const std::vector<fleet::call>& calls) {
    std::vector<fleet::reply> replies;
    for (const fleet::call& each : calls) {
        const std::size_t limit = index_of(each.name);
        fleet::reply r;
        if (from != nullptr && !is_calm_ && one_in(60)) {
            constexpr std::array<fleet::failure, 8> failures{
                fleet::failure::busy,        fleet::failure::busy,    fleet::failure::busy,
                fleet::failure::refused,     fleet::failure::refused, fleet::failure::unavailable,
                fleet::failure::unavailable, fleet::failure::rejected};
            r.failed = failures[static_cast<std::size_t>(between(0, 7))];
            replies.push_back(r);
            continue;
        }
        r.said = server_.execute(name, connection, each, server_clock());
        if (!is_calm_ && one_in(30))
            server_.execute(name, connection, each, server_clock());
        const test::limit_state& keys = server_.limits[each.name];
        if (keys.m)
            cap_[limit] = keys.m->held <= keys.m->limit ? keys.m->limit
                                                        : std::max(cap_[limit], keys.m->limit);
        // P8: a new grant has a higher number than all grants before it.
        const auto grants = [&](const std::string& id, std::uint64_t fence) {
            const auto known = granted_.find(id);
            if (known != granted_.end() && known->second == fence)
                return;
            BOOST_REQUIRE(fence > last_fence_[limit]);
            BOOST_REQUIRE((fence > each.seen || from == nullptr));
            last_fence_[limit] = fence;
            granted_[id] = fence;
        };
        std::vector<std::pair<std::uint64_t, std::string>> fresh;
        for (const auto& [id, fence] : keys.fences) {
            const auto known = granted_.find(each.name + id);
            if (known == granted_.end() || known->second != fence)
                fresh.emplace_back(fence, each.name + id);
        }
        std::sort(fresh.begin(), fresh.end());
        std::set<std::uint64_t> put_back;
        for (const fleet::command& said : each.commands)
            if (said.what == fleet::verb::renew)
                put_back.insert(said.fence);
        for (const auto& [fence, id] : fresh) {
            if (put_back.count(fence) != 0)
                granted_[id] = fence;
            else
                grants(id, fence);
        }
        replies.push_back(std::move(r));
    }
    const nanoseconds delay =
        is_calm_ || !one_in(50) ? time_between(100us, 3ms) : time_between(3ms, 700ms);
    for (auto& [to, push] : server_.take_pushes())
        for (const auto& c : clients_)
            if (c->name == to && c->is_connected && server_.subscribed.count(to) != 0 &&
                !one_in(is_calm_ ? 20 : 8))
                for (int times = one_in(10) ? 2 : 1; times > 0; --times)
                    c->down.push_back(
                        {std::max(
                             c->down.empty() ? now_ : c->down.back().at,
                             now_ + time_between(100us, 3ms)),
                         {},
                         push});
    if (from != nullptr)
        from->down.push_back(
            {std::max(from->down.empty() ? now_ : from->down.back().at, now_ + delay),
             std::move(replies),
             {}});
}

// A failover to an older copy, a restart without data, or a FLUSHALL.
void simulation::lose_data() {
    const std::int64_t kind = between(1, 3);
    if (kind == 1 && !copies_.empty()) {
        server_.limits = copies_[static_cast<std::size_t>(
            between(0, static_cast<std::int64_t>(copies_.size()) - 1))];
    } else {
        server_.limits.clear();
    }
    copies_.clear();
    server_.take_pushes();
    if (kind != 3) {
        zombies_.clear(); // this is another server
        for (const auto& c : clients_) {
            c->up.clear();
            if (c->is_connected)
                disconnect(*c);
        }
        server_.subscribed.clear();
        unsubscribes_.clear();
        server_.uptime = kind == 1 ? std::numeric_limits<std::int64_t>::max() : 0;
    }
    last_loss_.fill(now_);
    last_fence_.fill(0);
    granted_.clear();
    for (std::size_t limit = 0; limit < limit_count; ++limit) {
        const test::limit_state& keys = server_.limits[names[limit]];
        cap_[limit] = keys.m ? std::max(keys.m->held, keys.m->limit) : 0;
        for (const auto& [id, fence] : keys.fences) {
            granted_[names[limit] + id] = fence;
            last_fence_[limit] = std::max(last_fence_[limit], fence);
        }
    }
}

// ---- Clients

void simulation::connect(client& c) {
    c.connects_at = never;
    c.is_connected = true;
    server_.subscribed.insert(c.name);
    unsubscribes_.erase(
        std::remove_if(
            unsubscribes_.begin(), unsubscribes_.end(),
            [&](const auto& each) { return each.second == c.name; }),
        unsubscribes_.end());
    c.machine->connected(local(c));
    pump(c);
}

void simulation::disconnect(client& c) {
    c.is_connected = false;
    for (auto& each : c.up)
        if (!one_in(3))
            for (int times = one_in(5) ? 2 : 1; times > 0; --times)
                zombies_.push_back(
                    {now_ + time_between(0ms, one_in(3) ? 2 * longest_lease : 20ms), c.name,
                     each.connection, each.calls});
    c.up.clear();
    c.down.clear();
    unsubscribes_.emplace_back(now_ + time_between(0ms, one_in(3) ? 500ms : 5ms), c.name);
    const bool is_slow = !is_calm_ && one_in(4); // otherwise server and network are available
    c.connects_at = now_ + time_between(1ms, is_slow ? 2 * longest_lease : 50ms);
    c.machine->disconnected(local(c));
    heed(c);
}

void simulation::kill(std::size_t place) {
    client& c = *clients_[place];
    if (c.is_connected)
        disconnect(c);
    c.machine.reset();
    for (const auto& u : c.uses)
        BOOST_REQUIRE(u->ends <= 1);
    clients_[place] = make_client(place);
}

void simulation::pump(client& c) {
    if (!c.is_connected)
        return;
    if (!c.machine->has_calls(local(c)))
        return;
    std::vector<fleet::call> calls = c.machine->next_calls(local(c));
    heed(c);
    if (calls.empty())
        return;
    for (const fleet::call& each : calls)
        check_call(c, each);
    const nanoseconds delay =
        is_calm_ || !one_in(50) ? time_between(100us, 3ms) : time_between(3ms, 700ms);
    c.up.push_back(
        {std::max(c.up.empty() ? now_ : c.up.back().at, now_ + delay), c.machine->connection(),
         std::move(calls)});
}

// Delivers one message to the client.
void simulation::hear(client& c) {
    client::downward heard = std::move(c.down.front());
    c.down.pop_front();
    const bool is_last =
        std::any_of(heard.replies.begin(), heard.replies.end(), [](const fleet::reply& r) {
            return r.failed == fleet::failure::unavailable;
        });
    if (heard.push)
        c.machine->pushed(*heard.push, local(c));
    else
        c.machine->replied(std::move(heard.replies), local(c));
    heed(c);
    check_leases(c);
    if (is_last)
        disconnect(c);
    else
        pump(c);
}

// P2: handles the client's events.
void simulation::heed(client& c) {
    while (const auto e = c.machine->take_event()) {
        use& u = *static_cast<use*>(e->of->user);
        switch (e->what) {
        case fleet::event::granted:
            BOOST_REQUIRE(++u.ends == 1);
            BOOST_REQUIRE(!u.is_admin);
            u.is_held = true;
            u.until = now_ + time_between(0ms, one_in(5) ? 3 * lease : 60ms);
            if (!u.t->is_local())
                c.highest_fence[u.limit] = std::max(c.highest_fence[u.limit], u.t->fence());
            break;
        case fleet::event::failed:
        case fleet::event::done:
            BOOST_REQUIRE(++u.ends == 1);
            BOOST_REQUIRE((e->what == fleet::event::failed || u.is_admin));
            break;
        case fleet::event::lost:
            BOOST_REQUIRE((u.is_held && !u.is_given_back && !u.is_lost));
            BOOST_REQUIRE(!u.t->is_valid(fleet::time_point::min()));
            u.is_lost = true;
            u.until = std::min(u.until, now_ + time_between(0ms, 300ms));
            break;
        case fleet::event::released:
            BOOST_REQUIRE((u.is_given_back && u.is_told && ++u.released == 1));
            BOOST_REQUIRE((!u.is_lost || e->how == outcome::lost));
            break;
        }
    }
}

// The user gives the permit back, or withdraws the request.
void simulation::use_up(client& c, use& u) {
    u.until = never;
    if (u.is_held && !u.is_given_back) {
        u.is_given_back = true;
        u.is_told = one_in(3);
        c.machine->give_back(*u.t, u.is_told, local(c));
    } else if (u.ends == 0) {
        const bool was_first = c.machine->withdraw(*u.t, local(c));
        BOOST_REQUIRE(was_first);
        u.ends = 1;
    }
    heed(c);
    pump(c);
}

void simulation::act() {
    client& c = any_client();
    if (c.paused_until > now_)
        return;
    act(c);
}

void simulation::act(client& c) {
    if (c.uses.size() > 12 || is_ending_) {
        if (!c.uses.empty()) {
            use& u = *c.uses[static_cast<std::size_t>(
                between(0, static_cast<std::int64_t>(c.uses.size()) - 1))];
            if (one_in(4))
                u.t->is_valid(local(c));
            else if (one_in(4) && u.until != never)
                use_up(c, u);
        }
        return;
    }
    using purpose = fleet::ticket::purpose;
    auto made = std::make_unique<use>();
    use& u = *made;
    u.limit = static_cast<std::size_t>(between(0, 1));
    purpose what = one_in(5) ? purpose::try_acquire : purpose::acquire;
    std::ptrdiff_t n = u.limit == 0 ? between(1, one_in(5) ? 5 : 2) : 1;
    if (one_in(60)) {
        what = one_in(2) ? purpose::set_limit : purpose::inspect;
        n = u.limit == 0 ? between(2, 5) : between(1, 2);
        u.is_admin = true;
    }
    u.t = boost::intrusive_ptr<user_ticket>(new user_ticket(what, n));
    u.t->user = &u;
    u.until = one_in(3) ? now_ + time_between(0ms, lease) : never;
    c.uses.push_back(std::move(made));
    const outcome how = c.machine->start(*c.limits[u.limit], *u.t, local(c));
    if (how != outcome::queued)
        ++u.ends;
    if (how == outcome::granted) {
        BOOST_REQUIRE(u.t->is_local());
        BOOST_REQUIRE(!c.is_connected);
        u.is_held = true;
        u.until = now_ + time_between(0ms, lease);
    }
    heed(c);
    c.has_started = one_in(4); // other commands may join the call
    if (!c.has_started)
        pump(c);
}

void simulation::go_wrong() {
    switch (between(1, 16)) {
    case 1:
    case 2:
    case 3:
    case 4:
    case 5: {
        client& c = any_client();
        if (c.is_connected && c.paused_until <= now_)
            disconnect(c);
        break;
    }
    case 6:
        if (one_in(3))
            kill(static_cast<std::size_t>(between(0, 4)));
        break;
    case 7:
        if (one_in(8))
            lose_data();
        break;
    case 8:
        if (one_in(3))
            server_paused_until_ = now_ + time_between(1ms, 2 * longest_lease);
        break;
    case 9:
    case 10:
        any_client().paused_until = now_ + time_between(1ms, 2 * longest_lease);
        break;
    case 11:
        if (now_ - last_step_ > 2 * longest_lease && one_in(3)) {
            server_ahead_ += between(1, 40);
            last_step_ = now_;
        }
        break;
    case 12:
        if (one_in(3))
            server_ahead_ -= between(1, 40);
        break;
    default:
        if (copies_.size() < 4)
            copies_.push_back(server_.limits);
        else
            copies_[static_cast<std::size_t>(between(0, 3))] = server_.limits;
    }
}

// Advances to the next event.
void simulation::advance() {
    enum class kind { none, up, down, left, timer, connect, use, unsubscribe };
    kind what = kind::none;
    nanoseconds next = now_ + 5ms;
    client* who = nullptr;
    use* which = nullptr;
    std::size_t place = 0;
    const auto consider = [&](nanoseconds at, kind k, client* c) {
        if (at >= next)
            return false;
        next = std::max(at, now_);
        what = k;
        who = c;
        return true;
    };
    for (const auto& owned : clients_) {
        client& c = *owned;
        if (c.paused_until <= now_ && std::exchange(c.has_started, false))
            pump(c);
        if (!c.up.empty())
            consider(std::max(c.up.front().at, server_paused_until_), kind::up, &c);
        if (!c.down.empty())
            consider(std::max(c.down.front().at, c.paused_until), kind::down, &c);
        const fleet::time_point timer = c.machine->next_time();
        if (timer != fleet::time_point::max())
            consider(std::max(timer.time_since_epoch() - c.ahead, c.paused_until), kind::timer, &c);
        if (c.connects_at != never)
            consider(
                std::max({c.connects_at, c.paused_until, server_paused_until_}), kind::connect, &c);
        for (const auto& u : c.uses)
            if (u->until != never && consider(std::max(u->until, c.paused_until), kind::use, &c))
                which = u.get();
    }
    for (std::size_t i = 0; i < zombies_.size(); ++i)
        if (consider(std::max(zombies_[i].at, server_paused_until_), kind::left, nullptr))
            place = i;
    for (std::size_t i = 0; i < unsubscribes_.size(); ++i)
        if (consider(unsubscribes_[i].first, kind::unsubscribe, nullptr))
            place = i;
    now_ = next;
    server_.uptime += server_.uptime < 1'000'000 ? 1 : 0;
    switch (what) {
    case kind::none:
        break;
    case kind::up: {
        const client::upward up = std::move(who->up.front());
        who->up.pop_front();
        execute(who, who->name, up.connection, up.calls);
        break;
    }
    case kind::down:
        hear(*who);
        break;
    case kind::left: {
        const zombie z = std::move(zombies_[place]);
        zombies_.erase(zombies_.begin() + static_cast<std::ptrdiff_t>(place));
        execute(nullptr, z.name, z.connection, z.calls);
        break;
    }
    case kind::timer:
        who->machine->on_time(local(*who));
        heed(*who);
        pump(*who);
        break;
    case kind::connect:
        connect(*who);
        break;
    case kind::use:
        use_up(*who, *which);
        break;
    case kind::unsubscribe:
        server_.subscribed.erase(unsubscribes_[place].second);
        unsubscribes_.erase(unsubscribes_.begin() + static_cast<std::ptrdiff_t>(place));
        break;
    }
    for (const auto& c : clients_)
        c->uses.erase(
            std::remove_if(
                c->uses.begin(), c->uses.end(),
                [](const auto& u) { return u->is_over() && u->t->user != nullptr; }),
            c->uses.end());
}

void simulation::step() {
    if (one_in(5))
        act();
    else if (!is_calm_ && one_in(40))
        go_wrong();
    else
        advance();
    check_limits();
    check_service();
}

// Makes server and network available again.
void simulation::calm_down() {
    is_calm_ = true;
    calm_since_ = now_;
    server_paused_until_ = {};
    for (const auto& c : clients_) {
        c->paused_until = {};
        if (c->connects_at != never)
            c->connects_at = std::min(c->connects_at, now_ + 2ms);
        for (auto& each : c->up)
            each.at = std::min(each.at, now_ + 3ms);
        for (auto& each : c->down)
            each.at = std::min(each.at, now_ + 3ms);
    }
    for (zombie& each : zombies_)
        each.at = std::min(each.at, now_ + 3ms);
    for (auto& each : unsubscribes_)
        each.first = std::min(each.first, now_ + 3ms);
}

// P4, P7: four thirds of a lease after users want nothing any more, nothing is left.
void simulation::come_to_rest() {
    is_ending_ = true;
    const nanoseconds since = now_;
    for (const auto& c : clients_)
        for (std::size_t i = 0; i < c->uses.size(); ++i)
            if (c->uses[i]->until != never || c->uses[i]->ends == 0 ||
                (c->uses[i]->is_held && !c->uses[i]->is_given_back))
                use_up(*c, *c->uses[i]);
    while (now_ < since + longest_lease * 4 / 3) {
        advance();
        check_limits();
        check_service();
    }
    for (const auto& c : clients_) {
        BOOST_REQUIRE(c->machine->is_empty());
        for (const auto& u : c->uses)
            BOOST_REQUIRE(u->is_over());
    }
    fleet::call looks;
    looks.lease = looks.presence = 400;
    looks.limit = 4;
    looks.commands.push_back({fleet::verb::inspect});
    for (const char* const name : names) {
        looks.name = name;
        fleet::answer seen;
        do
            seen = server_.execute("looker", 1, looks, server_clock());
        while (seen.has_more);
        BOOST_REQUIRE(seen.held == 0);
        BOOST_REQUIRE(seen.waiting == 0);
    }
    is_ending_ = false;
}

void simulation::run(std::size_t steps) {
    while (steps > 0) {
        is_calm_ = false;
        const auto chaos = std::min<std::size_t>(
            steps, static_cast<std::size_t>(one_in(3) ? between(1, 300) : between(300, 5'000)));
        for (std::size_t i = 0; i < chaos; ++i)
            step();
        steps -= chaos;
        calm_down();
        if (one_in(2)) {
            const std::size_t calm = std::min<std::size_t>(steps, 1'500);
            for (std::size_t i = 0; i < calm; ++i)
                step();
            steps -= calm;
        }
        come_to_rest();
    }
    for (const auto& c : clients_)
        c->machine.reset();
    for (const auto& c : clients_)
        c->uses.clear();
}

} // namespace

BOOST_AUTO_TEST_SUITE(fleet_machine_fleet)

BOOST_AUTO_TEST_CASE(F69_a_random_simulation_keeps_the_promises_of_the_contract) {
    const char* const given = std::getenv("ASIO_SEMAPHORE_FLEET_STEPS");
    const std::size_t steps = given != nullptr ? std::stoul(given) : 1'000'000;
    {
        simulation s(test::seed());
        s.run(steps);
    }
    BOOST_TEST(user_ticket::alive == 0);
}

BOOST_AUTO_TEST_SUITE_END()
