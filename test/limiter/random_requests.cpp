// A limiter at random beside a model that is made of the sentences of its contract: who is admitted
// and refused, when, and why, what is counted, and what the algorithm is shown. Scenario L83.

#include "limiter_fixture.hpp"

#include <support/seed.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <tuple>

namespace {

using namespace test;
using duration = limiter_options::duration;

constexpr std::size_t none = std::size_t(-1);

/// What the contract says, looked up anew each time. Clients are numbers.
class model {
public:
    struct request {
        std::size_t client;
        std::uint64_t key;
        int priority;
        std::ptrdiff_t weight;
        time_point arrived;
        time_point deadline;
        outcome at_deadline;
    };
    struct admission {
        std::size_t client;
        std::uint64_t key;
        std::ptrdiff_t weight;
        time_point since;
        bool is_timed; // or held for one tick, because nobody looked at the clock
        int epoch;
    };
    struct share {
        std::ptrdiff_t held = 0;
        std::size_t running = 0;
        double served = 0;
    };
    struct sample {
        duration latency;
        ended result;
        std::ptrdiff_t in_flight;
        bool bound;
        double limit;
    };

    model(std::ptrdiff_t l, const limiter_options& o) :
        options(o), has_law(o.algorithm), limit(double(l)) {}

    const limiter_options options;
    const bool has_law;
    double limit;
    bool is_open = true;
    bool newest_first = false;
    time_point empty_until;
    std::vector<request> waiting; // by arrival
    std::vector<admission> running;
    std::map<std::uint64_t, share> keys;
    int epoch = 0;
    std::ptrdiff_t peak = 0;
    bool bound = false;

    std::map<std::size_t, outcome> ends; // of clients, once they have come to their end
    std::size_t idle_waiting = 0, idle_ended = 0;
    std::vector<sample> shown;
    limiter_statistics counted;

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
        // The limit itself is not rounded, as a part of it is: 0.29 of 100 is 29.
        const double ratio = options.share[std::size_t(priority)];
        if (ratio == 1)
            return whole();
        const auto part = static_cast<std::ptrdiff_t>(std::floor(limit * ratio + 1e-9));
        return std::min(std::max<std::ptrdiff_t>(part, 1), whole());
    }
    bool fits(int priority, std::ptrdiff_t weight) const {
        return running.empty() || in_flight() + weight <= allowed(priority);
    }

    // "a key's record lives while it holds or waits"
    void forget_the_idle() {
        for (auto k = keys.begin(); k != keys.end();) {
            const auto is_its = [&](const request& r) {
                return r.key == k->first;
            };
            if (k->second.running == 0 && std::none_of(waiting.begin(), waiting.end(), is_its))
                k = keys.erase(k);
            else
                ++k;
        }
    }
    // "a key enters with V, the least `served` of those present"
    share of(std::uint64_t key) const {
        if (const auto found = keys.find(key); found != keys.end())
            return found->second;
        share entering;
        bool is_first = true;
        for (const auto& [k, s] : keys) {
            entering.served = is_first ? s.served : std::min(entering.served, s.served);
            is_first = false;
        }
        return entering;
    }
    // "the first in that order whose key is below its cap"
    bool is_passed_over(const request& r) const {
        const std::ptrdiff_t held = of(r.key).held;
        return options.max_per_key > 0 && r.key != 0 && held > 0 &&
               held + r.weight > options.max_per_key;
    }
    // "least (priority, held by the key, served to the key, arrival); arrival reversed while newest
    // come first". In the vector who came later stands later.
    const request* candidate(const std::vector<request>& all) const {
        const request* first = nullptr;
        for (const request& r : all) {
            if (is_passed_over(r))
                continue;
            if (first != nullptr) {
                const share x = of(r.key), y = of(first->key);
                const auto one = std::tie(r.priority, x.held, x.served);
                const auto other = std::tie(first->priority, y.held, y.served);
                if (one > other || (one == other && !newest_first))
                    continue;
            }
            first = &r;
        }
        return first;
    }
    // "the queue has not been empty within the last max_wait"
    bool is_standing(time_point now) const {
        return !waiting.empty() && now - empty_until >= options.max_wait;
    }

    limiter_statistics::by_priority& by(int priority) {
        return counted.priorities[std::size_t(priority)];
    }
    void refuse(std::size_t client, int priority, outcome o) {
        BOOST_TEST_REQUIRE(ends.emplace(client, o).second);
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
        BOOST_TEST_REQUIRE(ends.emplace(r.client, outcome::granted).second);
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
            idle_ended += std::exchange(idle_waiting, 0);
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

    const request* last_of(int priority, std::optional<std::uint64_t> key = {}) const {
        for (auto r = waiting.rbegin(); r != waiting.rend(); ++r) {
            if (r->priority == priority && (!key || r->key == *key))
                return &*r;
        }
        return nullptr;
    }
    std::size_t waits(std::uint64_t key, int priority) const {
        return std::size_t(std::count_if(waiting.begin(), waiting.end(), [&](const request& r) {
            return r.key == key && r.priority == priority;
        }));
    }
    const request* victim(std::uint64_t key, int priority) const {
        // "the newest of the lowest priority, if that is lower than its own"
        for (int lowest = 3; lowest > priority; --lowest) {
            if (const request* const r = last_of(lowest))
                return r;
        }
        // "else, among the requests of its own priority, the newest of the key with most of them
        // waiting, if that key has at least two more waiting than the arrival's key (key 0 neither
        // pays nor profits; of equals the one whose newest came last)"
        if (key != 0) {
            const request* newest = nullptr;
            std::size_t most = 0;
            for (const request& r : waiting) {
                if (r.priority != priority || r.key == 0 || &r != last_of(priority, r.key))
                    continue;
                const std::size_t its = waits(r.key, priority);
                if (its >= most) {
                    most = its;
                    newest = &r;
                }
            }
            if (newest != nullptr && most >= waits(key, priority) + 2)
                return newest;
        }
        // "else under lifo, or adaptive while newest come first, the oldest of its own priority"
        if (newest_first) {
            for (const request& r : waiting) {
                if (r.priority == priority)
                    return &r;
            }
        }
        return nullptr;
    }

    // "Without an algorithm and without keys no clock is read where nobody has to wait"
    bool looks_at_the_clock(std::uint64_t key) const {
        return has_law || key != 0 || !waiting.empty() || keys.size() > keys.count(0);
    }

    /// @param waits whether it may, as try_admit may not
    void arrive(std::size_t client, const admission_request& r, time_point now, bool may_wait) {
        const auto answer = [&](outcome o) {
            BOOST_TEST_REQUIRE(ends.emplace(client, o).second);
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
        // Nobody needs the place of a request whose time is over.
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
        keys[r.key] = of(r.key);
        waiting.push_back(arrival);
        if (is_eviction)
            settle(now);
    }

    /// @param next what the algorithm returns
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
            shown.push_back({held, how, peak, bound, limit});
            peak = in_flight() - a.weight;
            bound = false;
            if (std::isfinite(next))
                limit = std::max(next, 1.0);
        }
        running.erase(found);
        // "a return adds max(time held, 1 tick) * weight"
        const auto ticks = a.is_timed ? std::max<duration::rep>(held.count(), 1) : 1;
        share& s = keys.at(a.key);
        s.held -= a.weight;
        --s.running;
        s.served += static_cast<double>(ticks) * static_cast<double>(a.weight);
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
    std::size_t end(outcome o) {
        std::size_t n = 0;
        for (; !waiting.empty(); ++n)
            take_out(waiting.front(), o);
        return n;
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

struct random_walk : limiter_fixture {
    random_walk(std::uint32_t seed, std::ptrdiff_t limit, const limiter_options& o, bool has_law) :
        random(seed), expected(limit, prepared(o, has_law)) {
        law = [this](const limit_sample&) {
            return next;
        };
        lim(limit, expected.options);
    }
    ~random_walk() { leave_limiter(); }

    limiter_options prepared(const limiter_options& o, bool has_law) {
        return has_law ? with_law(o) : o;
    }
    std::size_t below(std::size_t n) { return random() % n; }
    bool one_in(std::size_t n) { return below(n) == 0; }
    time_point now() const { return stopped_threads::the_time; }

    admission_request any() {
        admission_request r;
        r.key = below(5);
        r.priority = one_in(2) ? 0 : int(below(4));
        r.weight = one_in(2) ? 1 : 1 + std::ptrdiff_t(below(4));
        if (one_in(3))
            r.max_wait = milliseconds(below(8) * 5);
        if (one_in(60))
            r.max_wait = duration::max();
        if (one_in(60))
            r.weight = std::ptrdiff_t(below(14)) - 1;
        if (one_in(60))
            r.priority = int(below(7)) - 2;
        return r;
    }
    std::size_t any_running() {
        return expected.running.empty() ? none
                                        : expected.running[below(expected.running.size())].client;
    }

    void arrive() {
        const auto r = any();
        const bool may_wait = !one_in(5);
        const std::size_t number = clients.size();
        expected.arrive(number, r, now(), may_wait);
        if (may_wait)
            admit_cancellable(r);
        else
            try_admit(r);
    }
    void finish_one() {
        const std::size_t client = any_running();
        if (client == none)
            return;
        const double limits[] = {
            expected.limit, expected.limit * 0.7, expected.limit + 0.4, double(1 + below(12)),
            std::nan("")};
        next = one_in(2) ? expected.limit : limits[below(5)];
        const auto how = one_in(4) ? ended(below(3)) : ended::success;
        const bool is_reported = how != ended::ignored || one_in(2);
        expected.finish(client, how, is_reported, now(), next);
        finish(clients[client], how, is_reported);
    }
    void move_clock() {
        const duration step = milliseconds(one_in(6) ? below(60) : below(4));
        const time_point then = now() + step;
        if (!is_timer_late) {
            for (const auto* r = expected.earliest_deadline(); r != nullptr && r->deadline <= then;
                 r = expected.earliest_deadline()) {
                expected.expire(r->deadline);
            }
        }
        after(step);
    }
    void turn_timer() {
        is_timer_late = !is_timer_late;
        if (is_timer_late)
            return;
        timer->run();
        expected.expire(now());
    }
    void wait_idle() {
        const bool is_idle = expected.running.empty() && expected.waiting.empty();
        idler& i = idlers.emplace_back();
        BOOST_TEST_REQUIRE(s->enqueue_idle(i) == (is_idle ? outcome::granted : outcome::queued));
        if (is_idle)
            idlers.pop_back();
        else
            ++expected.idle_waiting;
    }

    void step(std::size_t calm) {
        before = s->in_flight();
        const auto dice = below(100);
        if (dice < 42 - calm) {
            arrive();
        } else if (dice < 70) {
            finish_one();
        } else if (dice < 88) {
            move_clock();
        } else if (dice < 93) {
            if (!expected.waiting.empty()) {
                const auto client = expected.waiting[below(expected.waiting.size())].client;
                expected.cancel(client, now());
                clients[client].slot->fire();
            }
        } else if (dice < 95) {
            turn_timer();
        } else if (dice < 97) {
            const auto limit = std::ptrdiff_t(1 + below(10));
            expected.set_limit(limit, now());
            s->set_limit(limit);
        } else if (dice < 99) {
            wait_idle();
        } else if (one_in(3)) {
            const std::size_t n = expected.end(outcome::aborted);
            expected.settle(now());
            BOOST_TEST_REQUIRE(s->cancel() == n);
        }
    }

    void compare() {
        for (; compared < clients.size() && clients[compared].end; ++compared) {
        }
        for (std::size_t i = compared; i < clients.size(); ++i)
            compare(i);
        const limiter_statistics all = s->statistics();
        const limiter_statistics& model = expected.counted;
        BOOST_TEST_REQUIRE(all.limit == expected.limit);
        BOOST_TEST_REQUIRE(all.in_flight == expected.in_flight());
        BOOST_TEST_REQUIRE(all.running == expected.running.size());
        BOOST_TEST_REQUIRE(all.waiting == expected.waiting.size());
        BOOST_TEST_REQUIRE(all.keys == expected.keys.size() - expected.keys.count(0));
        for (std::size_t p = 0; p < 4; ++p) {
            const auto &x = all.priorities[p], &y = model.priorities[p];
            BOOST_TEST_REQUIRE(x.admitted == y.admitted);
            BOOST_TEST_REQUIRE(x.queue_full == y.queue_full);
            BOOST_TEST_REQUIRE(x.shed == y.shed);
            BOOST_TEST_REQUIRE(x.timed_out == y.timed_out);
            BOOST_TEST_REQUIRE(x.cancelled == y.cancelled);
            BOOST_TEST_REQUIRE(x.closed == y.closed);
        }
        BOOST_TEST_REQUIRE(all.succeeded == model.succeeded);
        BOOST_TEST_REQUIRE(all.overloaded == model.overloaded);
        BOOST_TEST_REQUIRE(all.ignored == model.ignored);
        BOOST_TEST_REQUIRE(all.unreported == model.unreported);
        BOOST_TEST_REQUIRE(all.over_limit == model.over_limit);
        BOOST_TEST_REQUIRE(all.algorithm_failures == 0u);
        BOOST_TEST_REQUIRE(
            (all.wait.counts == model.wait.counts && all.wait.sum == model.wait.sum));
        BOOST_TEST_REQUIRE((all.latency.counts == model.latency.counts));
        check_counts();
        for (const auto& usage : s->busiest_keys(100)) {
            const auto found = expected.keys.find(usage.key);
            BOOST_TEST_REQUIRE((found != expected.keys.end()));
            BOOST_TEST_REQUIRE(usage.in_flight == found->second.held);
            std::size_t waits = 0;
            for (int p = 0; p < 4; ++p)
                waits += expected.waits(usage.key, p);
            BOOST_TEST_REQUIRE(usage.waiting == waits);
        }
        BOOST_TEST_REQUIRE(samples.size() == expected.shown.size());
        for (; samples_compared < samples.size(); ++samples_compared) {
            const auto& x = samples[samples_compared];
            const auto& y = expected.shown[samples_compared];
            BOOST_TEST_REQUIRE((x.latency == y.latency));
            BOOST_TEST_REQUIRE(x.result == y.result);
            BOOST_TEST_REQUIRE(x.in_flight == y.in_flight);
            BOOST_TEST_REQUIRE(x.bound == y.bound);
            BOOST_TEST_REQUIRE(x.limit == y.limit);
        }
        BOOST_TEST_REQUIRE(
            std::size_t(std::count_if(idlers.begin(), idlers.end(), [](const idler& i) {
                return i.end == outcome::granted;
            })) == expected.idle_ended);
        // The limit, unless it shrank or somebody runs alone.
        if (expected.options.enforce)
            BOOST_TEST_REQUIRE(
                (all.in_flight <= expected.whole() || all.running == 1 || all.in_flight <= before));
        // No lost wake-up.
        const auto* const candidate = expected.candidate(expected.waiting);
        BOOST_TEST_REQUIRE(
            (!expected.is_open || candidate == nullptr ||
             !expected.fits(candidate->priority, candidate->weight)));
    }
    void compare(std::size_t i) {
        const client& c = clients[i];
        const auto end = expected.ends.find(i);
        BOOST_TEST_REQUIRE(c.end.has_value() == (end != expected.ends.end()));
        if (c.end)
            BOOST_TEST_REQUIRE(*c.end == end->second);
    }

    void end() {
        const auto closed = expected.end(outcome::closed);
        expected.is_open = false;
        static_cast<void>(closed);
        s->close();
        expected.settle(now());
        compare();
        arrive();
        compare();
        while (!expected.running.empty()) {
            move_clock();
            finish_one();
            compare();
        }
        for (std::size_t i = 0; i < clients.size(); ++i)
            compare(i);
        BOOST_TEST(s->in_flight() == 0);
        BOOST_TEST(s->statistics().keys == 0u);
        BOOST_TEST(expected.idle_ended == idlers.size());
    }

    std::mt19937 random;
    model expected;
    double next = 0;
    std::deque<idler> idlers;
    std::size_t compared = 0, samples_compared = 0;
    std::ptrdiff_t before = 0;
};

struct setting {
    const char* name;
    std::ptrdiff_t limit;
    bool has_law;
    limiter_options options;
};

std::vector<setting> settings() {
    std::vector<setting> all;
    const auto add = [&](const char* name, std::ptrdiff_t limit, bool has_law, auto change) {
        setting s{name, limit, has_law, limiter_fixture::options(6, 30)};
        change(s.options);
        all.push_back(s);
    };
    add("plain", 4, false, [](auto&) {});
    add("law", 6, true, [](auto&) {});
    add("lifo", 4, false, [](auto& o) { o.order = queue_order::lifo; });
    add("adaptive, caps", 5, true, [](auto& o) {
        o.order = queue_order::adaptive;
        o.busy_wait = milliseconds(6);
        o.max_per_key = 2;
    });
    add("shares", 8, true, [](auto& o) {
        o.share = {1, .8, .5, .1};
        o.max_waiting = 9;
    });
    add("shares below 1, caps", 10, false, [](auto& o) {
        o.share = {.9, .7, .7, .3};
        o.max_per_key = 3;
        o.busy_wait = milliseconds(30);
    });
    add("a queue of one", 3, false, [](auto& o) {
        o.max_waiting = 1;
        o.order = queue_order::adaptive;
        o.busy_wait = milliseconds(3);
    });
    add("no queue", 3, true, [](auto& o) { o.max_waiting = 0; });
    add("no wait", 3, false, [](auto& o) { o.max_wait = milliseconds(0); });
    add("a long queue", 3, true, [](auto& o) {
        o.max_waiting = 40;
        o.max_wait = milliseconds(100);
        o.order = queue_order::adaptive;
        o.max_per_key = 2;
    });
    add("a dry run", 4, true, [](auto& o) {
        o.enforce = false;
        o.max_per_key = 2;
        o.share = {1, 1, .5, .5};
    });
    return all;
}

} // namespace

BOOST_AUTO_TEST_SUITE(limiter_random_requests)

BOOST_AUTO_TEST_CASE(L83_every_answer_is_that_of_the_contract) {
    const auto seed = test::seed();
    std::uint32_t number = 0;
    for (const setting& s : settings()) {
        for (int round = 0; round < 4; ++round, ++number) {
            BOOST_TEST_CONTEXT("seed " << seed << ", walk " << number << ", " << s.name) {
                random_walk walk(
                    static_cast<std::uint32_t>(seed) + number, s.limit, s.options, s.has_law);
                for (std::size_t i = 0; i < 1500; ++i) {
                    BOOST_TEST_CONTEXT("step " << i) {
                        // Now more come, now fewer, so that the queue fills and empties.
                        walk.step(i / 100 % 3 == 2 ? 25 : 0);
                        walk.compare();
                    }
                }
                walk.end();
            }
        }
    }
}

BOOST_AUTO_TEST_SUITE_END()
