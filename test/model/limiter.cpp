// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// limiter_state in every interleaving of two or three threads. No waiter is lost, none is admitted
// beyond the limit, every place returns exactly once, and some sequential order of the operations
// would have the same results.

#include "explore.hpp"

#include <asio_semaphore/detail/state/limiter_state.hpp>

#include <asio_semaphore/detail/state/impl/limiter_state.ipp>

#include <support/outcome_names.hpp>

#include <boost/test/unit_test.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace asio_semaphore::model;
namespace detail = asio_semaphore::detail;
using asio_semaphore::admission_request;
using asio_semaphore::limit_sample;
using asio_semaphore::limiter_options;
using asio_semaphore::queue_order;
using detail::outcome;
using ended = asio_semaphore::outcome;
using line_type = detail::waiting_line<model_threads>;
using admission_line_type = detail::admission_line<model_threads>;
using state_type = detail::limiter_state<model_threads>;
using state_pointer = boost::intrusive_ptr<state_type>;
using registry_type = detail::state_registry<model_threads>;
using link_type = detail::cancellation_link<model_threads>;
using detail::time_point;

// Gives the checks access to private members of the state: an explicit instantiation may name them.
template <typename Tag, typename Tag::type Member>
struct opened {
    friend typename Tag::type member_of(Tag) { return Member; }
};
#define OPENED(name, t, c)                                                                         \
    struct name##_tag {                                                                            \
        using type = t c::*;                                                                       \
        friend type member_of(name##_tag);                                                         \
    };                                                                                             \
    template struct opened<name##_tag, &c::name>;
OPENED(mutex_, model_mutex, line_type)
OPENED(requests_, detail::admission_queue, admission_line_type)
OPENED(ends_, int, admission_line_type)
OPENED(in_flight_, std::ptrdiff_t, admission_line_type)
OPENED(whole_, std::ptrdiff_t, admission_line_type)
OPENED(running_, std::size_t, admission_line_type)
#undef OPENED
bool is_open(const line_type& line);
template <auto Member, auto Open>
struct opened_phase {
    friend bool is_open(const line_type& line) { return line.*Member == Open; }
};
template struct opened_phase<&line_type::phase_, line_type::phase::open>;

constexpr time_point at(int t) {
    return time_point(time_point::duration(1000 + t));
}

class world;
using action = std::function<void(world&)>;

/// The initial state, and the actions of the threads.
struct plan {
    std::ptrdiff_t limit = 1;
    limiter_options options = {};
    std::vector<admission_request> requests; // all requests
    std::size_t started = 0;                 // how many start before the threads
    std::vector<std::vector<action>> threads;
    std::size_t idlers = 0; // operations that wait for idle from the start
    bool drops = false;     // whether executors drop the handlers
    bool is_small = true;   // whether any number of preemptions is feasible
};

class world final : public scenario {
public:
    explicit world(plan p) : plan_(std::move(p)) {
        model_threads::the_time = at(0);
        state = state_pointer(new state_type(plan_.limit, plan_.options, registry), false);
        auto made = std::make_unique<plain_alarm>(*state);
        timer = made.get();
        state->install_alarm(std::move(made));
        for (const admission_request& r : plan_.requests)
            clients_.push_back(std::make_unique<client>(*this, r));
        for (std::size_t i = 0; i < plan_.started; ++i) {
            clients_[i]->is_linked = true;
            start(i);
        }
        for (std::size_t i = 0; i < plan_.idlers; ++i) {
            idlers_.push_back(std::make_unique<idler>(*this));
            wait_idle(i);
        }
        keepers_.assign(plan_.threads.size(), state);
        built_ = true;
    }

    std::size_t threads() const override { return plan_.threads.size(); }

    void run(std::size_t thread) override {
        for (const action& one : plan_.threads[thread]) {
            scheduler::get().point(access::boundary, nullptr, "next");
            one(*this);
        }
        keepers_[thread].reset();
    }

    void end() override {
        for (auto& c : clients_)
            while (c->held)
                finish(*c);
        for (bool goes_on = true; std::exchange(goes_on, false);)
            for (auto& c : clients_)
                if (c->held) {
                    finish(*c);
                    goes_on = true;
                }
        check_counts();
        if (const state_pointer last = std::move(state))
            last->abort();
        registry->shutdown();
        for (auto& c : clients_)
            if (c->was_started && c->times != 1)
                fail("a request has ended " + std::to_string(c->times) + " times");
        for (auto& i : idlers_)
            if (i->times != 1)
                fail("a wait for an idle limiter has not ended, or twice");
    }

    std::string summary() override {
        std::string all;
        for (auto& c : clients_)
            all += name(c->end);
        all += ' ';
        for (auto& i : idlers_)
            all += name(i->end);
        if (state)
            all += ' ' + std::to_string(state->in_flight()) + '/' +
                   std::to_string(static_cast<int>(state->limit()));
        return all;
    }

    void before_unlock(const void* mutex) override {
        if (!built_ || !state || mutex != &((*state).*member_of(mutex__tag())))
            return;
        state_type& s = *state;
        const auto& requests = s.*member_of(requests__tag());
        const auto in_flight = s.*member_of(in_flight__tag());
        const auto running = s.*member_of(running__tag());
        if ((in_flight > 0) != (running > 0))
            fail("who runs weighs nothing");
        if (is_open(s) && s.*member_of(ends__tag()) == 0) {
            const auto* const next = requests.candidate();
            if (next != nullptr &&
                (running == 0 || next->weight <= s.*member_of(whole__tag()) - in_flight))
                fail("somebody waits who fits");
        }
    }

    // The actions of threads.

    void start(std::size_t i) {
        client& c = *clients_[i];
        const state_pointer s = state;
        if (!s)
            return;
        c.was_started = true;
        detail::place p;
        outcome o = outcome::queue_full;
        if (!s->try_refuse(c.asked))
            o = s->has_to_wait(c.asked) ? outcome::queued : s->try_admit(c.asked, p);
        if (o == outcome::queued) {
            if (c.is_linked) {
                c.link = std::make_unique<link_type>(s);
                c.link->attach(c);
            }
            if (s->try_enqueue(c))
                return; // another thread may have ended it already
            o = s->enqueue(c);
            if (o == outcome::unalarmed) {
                const plain_alarm::expectation expected(*timer, c.at);
                expected.post();
                o = s->enqueue(c, true);
            }
            if (o == outcome::queued)
                return;
            s->detach(c);
            p = c.granted();
        }
        c.ends(o, p, s);
    }
    void finish(std::size_t i) {
        if (clients_[i]->held)
            finish(*clients_[i]);
    }
    void try_once(std::size_t i) {
        client& c = *clients_[i];
        c.was_started = true;
        detail::place p;
        c.ends(state->try_admit(c.asked, p, false), p, state);
    }
    void cancel_through_link(std::size_t i) {
        if (clients_[i]->link)
            clients_[i]->link->fire();
    }
    void wait_idle(std::size_t i) {
        idler& w = *idlers_[i];
        const outcome o = state->enqueue_idle(w);
        if (o != outcome::queued)
            w.ends(o);
    }
    void expire(int t) {
        model_threads::the_time = at(t);
        if (timer->expire(at(t)))
            timer->set();
    }
    void destroy() {
        if (const state_pointer last = std::move(state))
            last->abort();
    }

    boost::intrusive_ptr<registry_type> registry{new registry_type};
    state_pointer state;

    static void fail(const std::string& why) { scheduler::get().fail(why); }

    struct client;
    const client& of(std::size_t i) const { return *clients_[i]; }

private:
    class plain_alarm final : public detail::alarm<model_threads> {
    public:
        using alarm::alarm;
        void post() override { posted(); }
        void shut() noexcept override {}
        void set() {
            for (time_point t; next(t);) {
            }
        }
    };

public:
    struct client final : detail::admission_waiter<model_threads> {
        client(world& w, const admission_request& r) : admission_waiter(r), asked(r), all(w) {}

        void submit() noexcept override { left(); }
        void destroy() noexcept override { left(); }
        bool is_inside() const noexcept override { return false; }
        void hold_work() noexcept override {}

        void left() {
            const state_pointer owner(static_cast<state_type*>(this->state), false);
            ends(result, granted(), owner);
            if (all.plan_.drops && held) {
                scheduler::get().point(access::boundary, nullptr, "drop");
                finish_with(owner);
            }
        }
        void ends(outcome o, const detail::place& p, const state_pointer& owner) {
            ++times;
            end = o;
            if (o == outcome::granted && p.record != nullptr) {
                held = p;
                keeper = owner;
            }
        }
        void finish_with(const state_pointer& s) {
            const detail::place p = *held;
            held.reset();
            keeper.reset();
            s->finish(p, ended::success, true);
        }

        const admission_request asked;
        world& all;
        std::unique_ptr<link_type> link;
        bool is_linked = false, was_started = false;
        int times = 0;
        std::optional<outcome> end;
        std::optional<detail::place> held;
        state_pointer keeper;
    };

private:
    struct idler final : detail::waiter<model_threads> {
        explicit idler(world&) : waiter(0) {}

        void submit() noexcept override { left(); }
        void destroy() noexcept override { left(); }
        bool is_inside() const noexcept override { return false; }
        void hold_work() noexcept override {}

        void left() {
            const state_pointer owner(static_cast<state_type*>(this->state), false);
            ends(result);
        }
        void ends(outcome o) {
            ++times;
            end = o;
        }

        int times = 0;
        std::optional<outcome> end;
    };

    void finish(client& c) { c.finish_with(state_pointer(c.keeper)); }

    void check_counts() {
        if (!state)
            return;
        const auto all = state->statistics();
        std::uint64_t admitted = 0, refused = 0;
        for (const auto& p : all.priorities) {
            admitted += p.admitted;
            refused += p.queue_full + p.shed + p.timed_out + p.cancelled + p.closed;
        }
        if (admitted != all.succeeded + all.overloaded + all.ignored + all.running)
            fail("admissions are counted wrongly");
        if (all.waiting != 0 || all.running != 0 || all.in_flight != 0 || all.keys != 0)
            fail("somebody is left over");
        (void)refused;
    }

    static char name(const std::optional<outcome>& o) {
        if (!o)
            return '-';
        switch (*o) {
        case outcome::queue_full:
            return 'f';
        case outcome::abandoned:
            return 'x';
        default:
            return *to_string(*o);
        }
    }

    const plan plan_;
    plain_alarm* timer = nullptr;
    std::vector<std::unique_ptr<client>> clients_;
    std::vector<std::unique_ptr<idler>> idlers_;
    std::vector<state_pointer> keepers_;
    bool built_ = false;
};

admission_request of(std::uint64_t key, std::ptrdiff_t weight = 1, int priority = 0) {
    admission_request r;
    r.key = key;
    r.weight = weight;
    r.priority = priority;
    return r;
}
admission_request within(int ticks, std::uint64_t key = 0) {
    admission_request r;
    r.key = key;
    r.max_wait = limiter_options::duration(ticks);
    return r;
}

action start(std::size_t i) {
    return [i](world& w) {
        w.start(i);
    };
}
action finish(std::size_t i) {
    return [i](world& w) {
        w.finish(i);
    };
}
action try_once(std::size_t i) {
    return [i](world& w) {
        w.try_once(i);
    };
}
action cancel_link(std::size_t i) {
    return [i](world& w) {
        w.cancel_through_link(i);
    };
}
const action cancel_all = [](world& w) {
    if (const state_pointer s = w.state)
        s->cancel();
};
const action close_it = [](world& w) {
    if (const state_pointer s = w.state)
        s->close();
};
const action destroy = [](world& w) {
    w.destroy();
};
const action shut_down = [](world& w) {
    w.registry->shutdown();
};
action set_limit(std::ptrdiff_t n) {
    return [n](world& w) {
        if (const state_pointer s = w.state)
            s->set_limit(n);
    };
}
action expire(int t) {
    return [t](world& w) {
        w.expire(t);
    };
}

// Moves the clock. Otherwise an admission would have no latency, and the algorithm would not see
// it.
action later(int t) {
    return [t](world&) {
        model_threads::the_time = at(t);
    };
}

/// @param outcomes allowed results that no order of whole operations has
void explore(const std::string& title, const plan& p, std::set<std::string> outcomes = {}) {
    exploration all;
    all.run(
        "limiter:" + title,
        {bound(p.threads.size() == 2 && p.is_small ? any_number : 2, 0), bound(1, 1)},
        [&] { return std::make_unique<world>(p); }, "  " + title, &outcomes);
}

} // namespace

BOOST_AUTO_TEST_SUITE(model_limiter)

using list = std::vector<admission_request>;

BOOST_AUTO_TEST_CASE(a_place_comes_back_while_a_request_arrives) {
    explore("finish|start", {1, {}, {of(0), of(0)}, 1, {{finish(0)}, {start(1)}}});
    explore("finish|try", {1, {}, {of(0), of(0)}, 1, {{finish(0)}, {try_once(1)}}});
    explore("finish|start,keys", {1, {}, {of(1), of(2), of(1)}, 2, {{finish(0)}, {start(2)}}});
    explore(
        "finish|start,start",
        {1, {}, {of(1), of(2), of(2)}, 1, {{finish(0)}, {start(1)}, {start(2)}}});
    explore(
        "finish|finish|start",
        {2, {}, {of(1), of(2), of(1, 2)}, 2, {{finish(0)}, {finish(1)}, {start(2)}}});
}

BOOST_AUTO_TEST_CASE(a_full_queue_evicts_a_request_for_an_arrival) {
    limiter_options one;
    one.max_waiting = 1;
    const list by_priority{of(0), of(0, 1, 3), of(0, 1, 1), of(0, 1, 2)};
    explore("finish|evict", {1, one, by_priority, 2, {{finish(0)}, {start(2)}}});
    explore("evict|evict", {1, one, by_priority, 2, {{start(3)}, {start(2)}}});
    explore("evict|cancel", {1, one, by_priority, 2, {{start(2)}, {cancel_link(1)}}});
    explore("evict|cancel_all", {1, one, by_priority, 2, {{start(2)}, {cancel_all}}});
    limiter_options lifo = one;
    lifo.order = queue_order::lifo;
    explore("lifo:finish|evict", {1, lifo, {of(0), of(0), of(0)}, 2, {{finish(0)}, {start(2)}}});
    limiter_options two;
    two.max_waiting = 2;
    explore(
        "fattest:finish|evict",
        {1, two, {of(1), of(1), of(1), of(2)}, 3, {{finish(0)}, {start(3)}}});
}

BOOST_AUTO_TEST_CASE(a_waiting_request_ends_in_one_way_only) {
    const list three{of(0), of(0), of(0)};
    explore("finish|cancel", {1, {}, three, 3, {{finish(0)}, {cancel_link(1)}}});
    explore("finish|cancel_all", {1, {}, three, 3, {{finish(0)}, {cancel_all}}});
    explore("cancel_all|start", {1, {}, three, 2, {{cancel_all}, {start(2)}}});
    explore("cancel_all|cancel_all", {1, {}, three, 3, {{cancel_all}, {cancel_all}}});
    explore("finish|close", {1, {}, three, 3, {{finish(0)}, {close_it}}});
    explore("close|start", {1, {}, three, 2, {{close_it}, {start(2)}}});
    explore("cancel|close", {1, {}, three, 3, {{cancel_link(2)}, {close_it}}});
    const list timed{of(0), within(5), within(9, 1)};
    explore("finish|expire", {1, {}, timed, 3, {{finish(0)}, {expire(5)}}});
    explore("finish|expire_all", {1, {}, timed, 3, {{finish(0)}, {expire(9)}}});
    explore("cancel|expire", {1, {}, timed, 3, {{cancel_link(1)}, {expire(5)}}});
    // A waiter that cancel has not reached yet may still time out.
    explore(
        "cancel_all|expire", {1, {}, timed, 3, {{cancel_all}, {expire(9)}}},
        {"gaa  1/1", "gat  1/1", "gtt  1/1"});
    explore("start|expire", {1, {}, timed, 2, {{start(2)}, {expire(5)}}});
}

BOOST_AUTO_TEST_CASE(no_request_passes_a_wide_one) {
    const list wide{of(0), of(0), of(0, 2), of(0)};
    explore("wide:finish|finish", {2, {}, wide, 4, {{finish(0)}, {finish(1)}}});
    explore("wide:finish|cancel", {2, {}, wide, 4, {{finish(0)}, {cancel_link(2)}}});
    explore("wide:set_limit|finish", {2, {}, wide, 4, {{set_limit(3)}, {finish(0)}}});
    explore("shrink|finish|start", {2, {}, wide, 2, {{set_limit(1)}, {finish(0)}, {start(3)}}});
    explore("grow|shrink", {1, {}, wide, 2, {{set_limit(2)}, {set_limit(1)}}});
}

BOOST_AUTO_TEST_CASE(caps_of_keys_hold_while_requests_arrive_and_leave) {
    limiter_options capped;
    capped.max_per_key = 1;
    const list keys{of(1), of(1), of(2), of(1)};
    explore("cap:finish|start", {3, capped, keys, 2, {{finish(0)}, {start(2)}}});
    explore("cap:finish|start_same", {3, capped, keys, 2, {{finish(0)}, {start(3)}}});
    explore("cap:finish|cancel", {3, capped, keys, 2, {{finish(0)}, {cancel_link(1)}}});
}

BOOST_AUTO_TEST_CASE(an_executor_drops_granted_handlers) {
    plan p{1, {}, {of(1), of(2), of(1), of(3)}, 3, {{finish(0)}, {start(3)}}};
    p.drops = true;
    explore("drops:finish|start", p);
    p.threads = {{finish(0)}, {cancel_link(2)}};
    explore("drops:finish|cancel", p);
    p.threads = {{finish(0)}, {cancel_all}};
    explore("drops:finish|cancel_all", p);
    p.threads = {{finish(0)}, {shut_down}};
    p.is_small = false;
    explore("drops:finish|shut_down", p);
}

BOOST_AUTO_TEST_CASE(waits_for_an_idle_limiter_complete) {
    plan p{1, {}, {of(0), of(0)}, 1, {{finish(0)}, {start(1)}}, 1};
    explore("idle:finish|start", p);
    p.started = 2;
    p.threads = {{finish(0)}, {cancel_all}};
    explore("idle:finish|cancel_all", p);
    p.threads = {{finish(0)}, {close_it}};
    explore("idle:finish|close", p);
    p.threads = {{finish(0), finish(1)}, {destroy}};
    explore("idle:finish,finish|destroy", p);
    p.threads = {{close_it}, {cancel_all}};
    explore("idle:close|cancel_all", p);
    p.is_small = false;
    p.threads = {{finish(0)}, {shut_down}};
    explore("idle:finish|shut_down", p);
}

BOOST_AUTO_TEST_CASE(the_limiter_or_its_context_is_destroyed) {
    const auto goes = [](const std::string& title, std::size_t started,
                         std::vector<std::vector<action>> threads) {
        plan p{1, {}, {of(1), of(2), of(1)}, started, std::move(threads)};
        p.is_small = false;
        explore(title, p);
    };
    goes("finish|destroy", 3, {{finish(0)}, {destroy}});
    goes("start|destroy", 2, {{start(2)}, {destroy}});
    goes("finish|shut_down", 3, {{finish(0)}, {shut_down}});
    goes("start|shut_down", 2, {{start(2)}, {shut_down}});
    goes("cancel|shut_down", 3, {{cancel_link(1)}, {shut_down}});
    goes("set_limit|shut_down", 3, {{set_limit(2)}, {shut_down}});
    goes("close|destroy|finish", 3, {{close_it}, {destroy}, {finish(0)}});
}

// The algorithm raises the limit by one with each sample.
BOOST_AUTO_TEST_CASE(the_algorithm_sees_one_sample_at_a_time) {
    limiter_options adaptive;
    adaptive.algorithm = [inside = false](const limit_sample& s) mutable {
        if (std::exchange(inside, true))
            world::fail("two threads are inside the algorithm");
        scheduler::get().point(access::read, &inside, "inside the algorithm");
        scheduler::get().trace_value(0);
        inside = false;
        return s.limit + 1;
    };
    const list four{of(1), of(2), of(1), of(3)};
    // If another thread takes over a sample, the limit changes a little later. Only the final limit
    // is certain.
    plan p{2, adaptive, four, 2, {{later(1), finish(0)}, {finish(1)}}};
    explore("algorithm:finish|finish", p);
    p.started = 3;
    explore("algorithm:finish|finish,one_waits", p);
    p.threads = {{later(1), finish(0)}, {set_limit(1)}};
    explore("algorithm:finish|set_limit", p);
    p.threads = {{later(1), finish(0)}, {close_it}};
    explore("algorithm:finish|close", p);
    p.is_small = false;
    p.threads = {{later(1), finish(0)}, {destroy}};
    explore("algorithm:finish|destroy", p);
}

BOOST_AUTO_TEST_SUITE_END()
