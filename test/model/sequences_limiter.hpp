// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Turns a text into a sequence of calls on a few limiters, admissions, signals, contexts and
// handlers. After every call it compares the admissions and refusals, their order, the results,
// counts and samples with a sequential model. Time passes only in steps that say so.

#include <asio_semaphore/limiter/limiter.hpp>

#include <limiter/limiter_model.hpp>
#include <model/sequences_clock.hpp>
#include <model/sequences_machine.hpp>

#include <boost/asio/deferred.hpp>
#include <boost/asio/error.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <deque>
#include <limits>
#include <optional>
#include <ostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sequences {

using asio_semaphore::admission;
using asio_semaphore::admission_request;
using asio_semaphore::limit_sample;
using asio_semaphore::limiter;
using asio_semaphore::limiter_options;
using asio_semaphore::queue_order;
using outcome = asio_semaphore::detail::outcome;
using ended = asio_semaphore::outcome;

struct admit_operation : traveller {
    std::size_t state = none; // none: the limiter has been moved from
    admission_request asked{};
    bool is_idle = false; // whether it waits for idle
    outcome result = outcome::queued;
};

/// A sequential model of limiters.
class limiters_model : public traffic<admit_operation> {
public:
    enum class phase { open, closed, destroyed, shut };

    struct state_type {
        state_type(std::size_t c, std::ptrdiff_t limit, const limiter_options& o) :
            context(c), rules(limit, o) {}

        std::size_t context;
        test::limiter_model rules;
        phase now = phase::open;
    };

    std::deque<state_type> limiters;

    /// Returns whether the operation is in its cancellation slot.
    bool start(std::size_t id) {
        const bool is_decided_in_queue = this->is_decided_in_queue(id);
        arrive(id);
        return is_decided_in_queue || operations[id].at == stage::waiting;
    }

    /// @param client a number that no operation has
    outcome try_admit(std::size_t s, std::size_t client, const admission_request& r) {
        state_type& it = limiters[s];
        if (it.now == phase::shut)
            return outcome::abandoned;
        it.rules.arrive(client, r, the_time, false);
        settle(s, client);
        return it.rules.ends.at(client);
    }

    void finish(std::size_t s, std::size_t client, ended how, bool is_reported, double next) {
        limiters[s].rules.finish(client, how, is_reported, the_time, next);
        settle(s);
    }

    void set_limit(std::size_t s, std::ptrdiff_t limit) {
        limiters[s].rules.set_limit(limit, the_time);
        settle(s);
    }

    std::size_t cancel(std::size_t s) {
        const std::size_t n = limiters[s].rules.cancel_all(the_time);
        settle(s);
        return n;
    }

    void close(std::size_t s) {
        state_type& it = limiters[s];
        it.now = std::max(it.now, phase::closed);
        it.rules.close(the_time);
        settle(s);
    }

    void destroy(std::size_t s) {
        state_type& it = limiters[s];
        it.now = std::max(it.now, phase::destroyed);
        for (const std::size_t id : leave(it))
            submit(id, outcome::aborted, false);
    }

    void fire(std::size_t id) {
        if (operations[id].at != stage::waiting)
            return;
        const std::size_t s = operations[id].state;
        auto& rules = limiters[s].rules;
        if (operations[id].is_idle) {
            std::erase(rules.idle_waiting, id);
            rules.end(id, outcome::aborted);
            rules.settle(the_time);
        } else {
            rules.cancel(id, the_time);
        }
        settle(s);
    }

    void expire(std::size_t s) {
        limiters[s].rules.expire(the_time);
        settle(s);
    }

    /// Shuts the context down: nothing runs there any more, and places on their way serve no
    /// request.
    void shut(std::size_t context) {
        for (state_type& it : limiters) {
            if (it.context != context)
                continue;
            it.now = phase::shut;
            for (const std::size_t id : leave(it))
                operations[id].at = stage::dropped;
        }
        stop(context, [this](std::size_t id) { drop(id); });
    }

    /// Destroys a submitted operation with its context.
    void drop(std::size_t id) {
        admit_operation& o = operations[id];
        o.at = stage::dropped;
        if (has_place(id))
            finish(o.state, id, ended::ignored, false, 0);
    }

    bool has_place(std::size_t id) const {
        const admit_operation& o = operations[id];
        return o.result == outcome::granted && o.state != none && !o.is_idle && o.asked.weight > 0;
    }

    static bool is_valid(const admission_request& r) {
        return r.weight >= 0 && r.priority >= 0 && r.priority < 4;
    }

private:
    /// Whether the first attempt leaves the decision to the queue, even if the queue then decides
    /// at once.
    bool is_decided_in_queue(std::size_t id) const {
        const admit_operation& o = operations[id];
        if (o.state == none || o.is_idle || limiters[o.state].now != phase::open)
            return false;
        const state_type& it = limiters[o.state];
        const auto& options = it.rules.options;
        return is_possible(it, o.asked) && o.asked.weight > 0 && options.enforce &&
               !it.rules.waiting.empty() && it.rules.waiting.size() < options.max_waiting &&
               o.asked.max_wait.value_or(options.max_wait) > limiter_options::duration::zero();
    }

    void arrive(std::size_t id) {
        admit_operation& o = operations[id];
        const admission_request& r = o.asked;
        if (o.state == none)
            return submit(
                id,
                o.is_idle     ? outcome::granted
                : is_valid(r) ? outcome::closed
                              : outcome::invalid_argument,
                true);
        state_type& it = limiters[o.state];
        const bool is_counted = !o.is_idle && is_valid(r) && r.weight > 0;
        if (it.now == phase::shut) {
            o.at = stage::dropped;
            if (is_counted)
                ++it.rules.by(r.priority).cancelled;
            return;
        }
        if (it.now == phase::destroyed && (o.is_idle || is_possible(it, r))) {
            if (is_counted)
                ++it.rules.by(r.priority).cancelled;
            return submit(id, outcome::aborted, true);
        }
        if (o.is_idle)
            it.rules.wait_idle(id);
        else
            it.rules.arrive(id, r, the_time, true);
        settle(o.state, id);
    }

    static bool is_possible(const state_type& it, const admission_request& r) {
        const auto& rules = it.rules;
        return is_valid(r) &&
               (rules.has_law || !rules.options.enforce || r.weight <= rules.whole());
    }

    void submit(std::size_t id, outcome result, bool at_once) {
        operations[id].result = result;
        traffic::submit(id, at_once);
    }

    /// Submits the handlers of ended operations; an operation that has just arrived comes last.
    void settle(std::size_t s, std::size_t arrived = none) {
        auto& rules = limiters[s].rules;
        for (const std::size_t id : std::exchange(rules.order, {})) {
            if (id != arrived)
                submit(id, rules.ends.at(id), false);
        }
        if (arrived < operations.size() && rules.ends.count(arrived) != 0)
            submit(arrived, rules.ends.at(arrived), true);
    }

    /// Empties the queue, in order of arrival.
    static std::vector<std::size_t> leave(state_type& it) {
        it.rules.end_all(outcome::aborted);
        it.rules.is_open = false;
        auto left = std::exchange(it.rules.order, {});
        const auto idle = std::exchange(it.rules.idle_waiting, {});
        left.insert(left.end(), idle.begin(), idle.end());
        std::sort(left.begin(), left.end());
        return left;
    }
};

class limiter_driver;

using admit_handler = reporting_handler<limiter_driver, admission>;

/// Runs one sequence. Throws mismatch if the model and the library differ.
class limiter_driver final : public machine {
public:
    /// The letters of random sequences. A letter that occurs more often is chosen more often.
    static constexpr std::string_view letters = "aaaaaaaaaaaaaaaaaaaaaaaatttttfffffffffffffffggggmm"
                                                "iiieeeeecxkknnnnnnlllvqzbyyddddddddooooooooop";

    static constexpr std::size_t longest = 200; // steps of a random sequence

    explicit limiter_driver(std::ostream* trace_to = nullptr) : machine(trace_to) {
        the_time = std::chrono::steady_clock::time_point(std::chrono::hours(1));
        create(0, 0, 2, 0);
        create(1, 1, 3, 1);
        trace('\n');
    }
    ~limiter_driver() {
        ending_ = true;
        for (auto& l : limiters_)
            l.reset();
        wind_up();
    }

    std::size_t operations() const { return model_.operations.size(); }
    std::size_t granted() const { return granted_; }

private:
    friend admit_handler;

    using phase = limiters_model::phase;

    struct real_admission {
        admission object{};
        std::size_t state = none; // none: empty
        std::size_t client = none;
    };

    struct real_operation {
        deed then;
        std::size_t signal;
        real_admission carried{}; // belongs to the handler
        bool gone = false;        // called or destroyed
    };

    struct real_limiter {
        limiter object;
        std::size_t context; // id of the executor's context
        std::size_t state;   // in the model; none: moved from
    };

    using lazy_type = decltype(std::declval<limiter&>().async_admit(
        std::declval<admission_request>(), asio::deferred));
    struct lazy_operation {
        lazy_type start;
        std::size_t context, state;
        admission_request asked;
    };

    /// The first number of admissions without an operation.
    static constexpr std::size_t first_try = 1'000'000'000;

    void step(char letter, const arguments& arg) override {
        switch (letter) {
        case 'a':
            admit(
                arg(0, 12) % 3, request(arg(1, 16), arg(2, 16), arg(3, 16) / 4), arg(0, 12) / 3,
                arg(3, 4), arg(4, 16));
            break;
        case 't':
            try_admit(arg(0, 3), request(arg(1, 16), arg(2, 16), 0), arg(3, 6));
            break;
        case 'i':
            wait_idle(arg(0, 3), arg(1, 4), arg(2, 4), arg(3, 16));
            break;
        case 'f':
            finish(arg(0, 6), arg(1, 6), arg(2, 6));
            break;
        case 'g':
            give_back(arg(0, 6), arg(1, 3));
            break;
        case 'm':
            move_admission(arg(0, 6), arg(1, 6), arg(2, 2) != 0);
            break;
        case 'l':
            set_limit(arg(0, 3), number(arg(1, 16)));
            break;
        case 'c':
            cancel(arg(0, 3));
            break;
        case 'x':
            close(arg(0, 3));
            break;
        case 'e':
            emit(arg(0, 3), arg(1, 8));
            break;
        case 'k':
            change_signal(arg(0, 3), arg(1, 3));
            break;
        case 'n':
            create(arg(0, 3), arg(1, 2), number(arg(2, 16)), arg(3, 16));
            break;
        case 'v':
            move(arg(0, 3), arg(1, 3));
            break;
        case 'q':
            destroy(arg(0, 3));
            break;
        case 'z':
            renew_context(model_, arg(0, 2));
            break;
        case 'b':
            store_lazy(arg(0, 3), request(arg(1, 16), arg(2, 16), arg(3, 4)), arg(4, 2));
            break;
        case 'y':
            start_lazy(arg(0, 2), arg(1, 4), arg(2, 16));
            break;
        case 'd':
            let_time_pass(arg(0, 16));
            break;
        case 'o':
            trace("poll_one ", arg(0, 2));
            poll_one(*contexts_[arg(0, 2)]);
            break;
        case 'p':
            trace("poll");
            poll(model_);
            break;
        default:
            trace("nothing");
        }
    }

    static std::ptrdiff_t number(std::size_t i) {
        static constexpr std::ptrdiff_t numbers[16] = {1, 2, 3, 4, 0, 1, 2,  5,
                                                       1, 1, 2, 1, 2, 6, -1, 9};
        return numbers[i];
    }

    static admission_request request(std::size_t weight, std::size_t who, std::size_t wait) {
        using namespace std::chrono_literals;
        static constexpr int priorities[16] = {0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 0, 4, -1};
        static constexpr limiter_options::duration waits[] = {0us, 7us, 0us, 1h};
        admission_request r;
        r.weight = number(weight);
        r.key = (who + 3 * weight) % 5;
        r.priority = priorities[who];
        if (wait > 0)
            r.max_wait = waits[wait];
        return r;
    }
    static std::string text_of(const admission_request& r) {
        std::string text = "weight " + std::to_string(r.weight) + ", key " + std::to_string(r.key) +
                           ", priority " + std::to_string(r.priority);
        if (r.max_wait)
            text += ", for " + std::to_string(r.max_wait->count()) + " ns";
        return text;
    }

    limiter_options options(std::size_t kind, std::size_t state) {
        using namespace std::chrono_literals;
        limiter_options o;
        o.max_waiting = 4;
        o.max_wait = 20us;
        if (kind % 2 == 1)
            o.algorithm = [this, state](const limit_sample& sample) {
                samples_[state].push_back(sample);
                return next_;
            };
        switch (kind / 2) {
        case 1:
            o.order = queue_order::lifo;
            break;
        case 2:
            o.order = queue_order::adaptive;
            o.max_wait = 3us;
            o.busy_wait = 2us;
            o.max_per_key = 2;
            break;
        case 3:
            o.share = {1, .8, .5, .1};
            o.max_waiting = 6;
            break;
        case 4:
            o.max_waiting = 1;
            break;
        case 5:
            o.max_waiting = 0;
            o.max_wait = 0us;
            break;
        case 6:
            o.enforce = false;
            o.max_per_key = 2;
            break;
        case 7:
            o.max_waiting = 3;
            o.max_wait = limiter_options::duration::max();
            o.max_per_key = 3;
            break;
        default:
            break;
        }
        return o;
    }

    // Time.

    void let_time_pass(std::size_t how_much) {
        static constexpr int ticks[16] = {1,    1,    1,    1,    300,  300,  1000,  1000,
                                          2000, 2000, 3000, 3000, 5000, 7000, 10000, 21000};
        trace(ticks[how_much], " ns pass");
        the_time += std::chrono::nanoseconds(ticks[how_much]);
    }

    void polled(place& c) override {
        for (std::size_t s = 0; s < model_.limiters.size(); ++s) {
            if (model_.limiters[s].context == c.id && is_overdue(s) &&
                owner_of(s).object.waiting() < model_.limiters[s].rules.waiting.size()) {
                trace(" (deadlines of ", s, ')');
                model_.expire(s);
            }
        }
    }
    bool is_anybody_due(const place& c) const override {
        for (std::size_t s = 0; s < model_.limiters.size(); ++s) {
            if (model_.limiters[s].context == c.id && is_overdue(s))
                return true;
        }
        return false;
    }
    bool is_overdue(std::size_t s) const {
        const auto* const first = model_.limiters[s].rules.earliest_deadline();
        return first != nullptr && first->deadline <= the_time;
    }

    // Limiters.

    real_limiter& owner_of(std::size_t state) {
        for (auto& l : limiters_) {
            if (l && l->state == state)
                return *l;
        }
        throw mismatch("a waiter without a limiter");
    }

    void create(std::size_t i, std::size_t c, std::ptrdiff_t limit, std::size_t kind) {
        trace("  create limiter ", i, " on context ", c, " with ", limit, ", options ", kind);
        place& on = *contexts_[c];
        const std::size_t state = model_.limiters.size();
        const limiter_options o = options(kind, state);
        std::optional<limiter> made;
        bool refused = false;
        try {
            calling([&] { made.emplace(*on.context, limit, o); });
        } catch (const std::invalid_argument&) {
            refused = true;
        }
        require(refused == (limit < 1), "the constructor's judgement of its arguments");
        if (refused)
            return;
        model_.limiters.emplace_back(on.id, limit, o);
        samples_.emplace_back();
        if (limiters_[i]) {
            end(limiters_[i]->state);
            calling([&] { limiters_[i]->object = std::move(*made); });
            limiters_[i]->context = on.id;
            limiters_[i]->state = state;
        } else {
            limiters_[i].emplace(real_limiter{std::move(*made), on.id, state});
        }
    }

    void end(std::size_t state) {
        if (state != none)
            model_.destroy(state);
    }

    void destroy(std::size_t i) override {
        trace("destroy limiter ", i);
        if (!limiters_[i])
            return;
        end(limiters_[i]->state);
        calling([&] { limiters_[i].reset(); });
    }

    void move(std::size_t from, std::size_t to) {
        trace("move limiter ", from, " to ", to);
        if (!limiters_[from] || from == to)
            return;
        real_limiter& source = *limiters_[from];
        if (limiters_[to]) {
            real_limiter& target = *limiters_[to];
            end(target.state);
            calling([&] { target.object = std::move(source.object); });
            target.context = source.context;
            target.state = source.state;
        } else {
            calling([&] {
                limiters_[to].emplace(
                    real_limiter{std::move(source.object), source.context, source.state});
            });
        }
        source.state = none;
    }

    void set_limit(std::size_t i, std::ptrdiff_t limit) {
        trace("set the limit of limiter ", i, " to ", limit);
        if (!limiters_[i])
            return;
        real_limiter& l = *limiters_[i];
        if (limit >= 1 && l.state != none)
            model_.set_limit(l.state, limit);
        bool refused = false;
        try {
            calling([&] { l.object.set_limit(limit); });
        } catch (const std::invalid_argument&) {
            refused = true;
        }
        require(refused == (limit < 1), "set_limit's judgement of its argument");
    }

    void cancel(std::size_t i) override {
        trace("cancel limiter ", i);
        if (!limiters_[i])
            return;
        real_limiter& l = *limiters_[i];
        const std::size_t expected = l.state == none ? 0 : model_.cancel(l.state);
        const std::size_t cancelled = calling([&] { return l.object.cancel(); });
        require(cancelled == expected, "cancelled ", cancelled, " instead of ", expected);
    }

    void close(std::size_t i) {
        trace("close limiter ", i);
        if (!limiters_[i])
            return;
        if (limiters_[i]->state != none)
            model_.close(limiters_[i]->state);
        calling([&] { limiters_[i]->object.close(); });
    }

    // Operations.

    void fire(std::size_t id) override { model_.fire(id); }
    void start_another(std::size_t i) override { admit(i, request(0, 0, 0), 3, 0, 0); }

    std::size_t expect(admit_operation o, deed then, std::size_t signal) {
        model_.operations.push_back(std::move(o));
        real_.push_back({then, signal});
        return real_.size() - 1;
    }

    void admit(
        std::size_t i, const admission_request& r, std::size_t signal, std::size_t where,
        std::size_t then) {
        trace(
            "admit ", text_of(r), " to limiter ", i, ", signal ", signal, wheres[where], ", then ",
            then);
        start(i, r, false, signal, where, then, [&](limiter& l, auto&& token) {
            l.async_admit(r, std::move(token));
        });
    }

    void wait_idle(std::size_t i, std::size_t signal, std::size_t where, std::size_t then) {
        trace(
            "wait until limiter ", i, " is idle, signal ", signal, wheres[where], ", then ", then);
        start(i, {}, true, signal, where, then, [](limiter& l, auto&& token) {
            l.async_wait_idle(std::move(token));
        });
    }

    template <typename Start>
    void start(
        std::size_t i, const admission_request& r, bool is_idle, std::size_t signal,
        std::size_t where, std::size_t then, Start function) {
        if (!limiters_[i])
            return;
        real_limiter& l = *limiters_[i];
        place* const home = living(l.context);
        if (home == nullptr && l.state == none)
            return; // it would post to a destroyed context
        place& other = other_than(home);
        if ((home == nullptr && where == 1) || (where == 3 && BOOST_VERSION < 108200))
            where = 0;
        const std::size_t id = expect(
            {traveller_to(where, l.context, other), l.state, r, is_idle}, deed_of(then), signal);
        trace(": operation ", id);
        if (then == 14)
            real_[id].carried = std::exchange(admissions_[0], {});

        admit_handler h(*this, id, slot_of(signal));
        if (model_.start(id))
            arm(signal, id);
        start_to(where, home, other, std::move(h), [&](auto&& token) {
            calling([&] { function(l.object, std::move(token)); });
        });
    }

    void try_admit(std::size_t i, const admission_request& r, std::size_t slot) {
        trace("try to admit ", text_of(r), " to limiter ", i);
        if (!limiters_[i])
            return;
        real_limiter& l = *limiters_[i];
        const std::size_t client = first_try + tries_++;
        const outcome expected = l.state != none ? model_.try_admit(l.state, client, r)
                                 : limiters_model::is_valid(r) ? outcome::closed
                                                               : outcome::invalid_argument;
        real_admission got;
        bool refused = false;
        try {
            calling([&] { got.object = l.object.try_admit(r); });
        } catch (const std::invalid_argument&) {
            refused = true;
        }
        require(
            refused == (expected == outcome::invalid_argument),
            "try_admit's judgement of its argument");
        const bool is_admitted = expected == outcome::granted && r.weight > 0;
        require(
            bool(got.object) == is_admitted, "try_admit ", is_admitted ? "failed" : "succeeded");
        if (!is_admitted)
            return;
        got.state = l.state;
        got.client = client;
        store(slot, std::move(got));
    }

    void called(std::size_t id, error_code ec, bool has_admission, admission held) {
        if (ending_)
            return;
        const admit_operation& o = model_.operations[id];
        trace(" [", id, ": ", ec ? ec.message() : "granted", ']');
        arrives(model_, id);
        require(
            ec == asio_semaphore::detail::to_error_code(o.result), "operation ", id,
            " ends with: ", ec.message());
        require(has_admission != o.is_idle, "the wrong signature");
        require(
            bool(held) == model_.has_place(id), "operation ", id, bool(held) ? " has" : " lacks",
            " a place");
        real_[id].gone = true;
        granted_ += bool(held);
        const deed then = real_[id].then;
        if (held) {
            real_admission got{std::move(held), o.state, id};
            if (then == deed::drop)
                drop(got);
            else
                store(id % admissions_.size(), std::move(got));
        }
        drop(real_[id].carried);
        act(id, then, model_.operations[id].way.is_inline(), real_[id].signal);
    }

    void dropped(std::size_t id) {
        real_[id].gone = true;
        if (ending_)
            return;
        trace(" [", id, " is dropped]");
        if (model_.operations[id].at == stage::departing)
            model_.drop(id);
        require(
            model_.operations[id].at == stage::dropped, "operation ", id,
            " is dropped, and should not");
        drop(real_[id].carried);
    }

    void store_lazy(std::size_t i, const admission_request& r, std::size_t slot) {
        trace("store lazy admission ", text_of(r), " to limiter ", i, " in ", slot);
        if (!limiters_[i])
            return;
        real_limiter& l = *limiters_[i];
        lazies_[slot].reset();
        lazies_[slot].emplace(
            lazy_operation{l.object.async_admit(r, asio::deferred), l.context, l.state, r});
    }

    void start_lazy(std::size_t slot, std::size_t signal, std::size_t then) {
        trace("start lazy ", slot);
        auto& lazy = lazies_[slot];
        if (!lazy || (lazy->state == none && living(lazy->context) == nullptr))
            return;
        const std::size_t id = expect(
            {{lane{lazy->context, lazy->context * lane::places}}, lazy->state, lazy->asked},
            deed_of(then), signal);
        trace(": operation ", id);
        if (model_.start(id))
            arm(signal, id);
        admit_handler h(*this, id, slot_of(signal));
        if (then % 2 == 0) {
            calling([&] { std::as_const(lazy->start)(std::move(h)); });
        } else {
            auto moved = std::move(lazy->start);
            lazy.reset();
            calling([&] { std::move(moved)(std::move(h)); });
        }
    }

    // Admissions.

    void end(real_admission& a, ended how, bool is_reported) {
        if (a.state != none)
            model_.finish(std::exchange(a.state, none), a.client, how, is_reported, next_);
    }

    void drop(real_admission& a) {
        end(a, ended::ignored, false);
        calling([&] { a.object.reset(); });
    }

    void store(std::size_t i, real_admission a) {
        end(admissions_[i], ended::ignored, false);
        admissions_[i].state = a.state;
        admissions_[i].client = a.client;
        calling([&] { admissions_[i].object = std::move(a.object); });
    }

    void finish(std::size_t i, std::size_t how, std::size_t next) {
        static constexpr ended hows[] = {ended::success, ended::success, ended::overloaded,
                                         ended::ignored, ended::success, ended::overloaded};
        trace("finish admission ", i, ", ", how, ", the limit to be ", next);
        real_admission& a = admissions_[i];
        const double limit = a.state == none ? 1 : model_.limiters[a.state].rules.limit;
        const double limits[] = {limit,     limit * .7, limit + .4,
                                 limit + 1, .5,         std::numeric_limits<double>::quiet_NaN()};
        next_ = limits[next];
        end(a, hows[how], true);
        calling([&] {
            if (how == 4)
                a.object.finish(error_code());
            else if (how == 5)
                a.object.finish(error_code(asio::error::timed_out));
            else
                a.object.finish(hows[how]);
        });
    }

    void give_back(std::size_t i, std::size_t how) {
        trace("give back admission ", i);
        if (how == 0) {
            drop(admissions_[i]);
        } else if (how == 1) {
            store(i, {});
        } else { // the destructor
            real_admission dying = std::exchange(admissions_[i], {});
            end(dying, ended::ignored, false);
        }
    }

    void move_admission(std::size_t from, std::size_t to, bool swaps) {
        trace(swaps ? "swap admissions " : "move admission ", from, " and ", to);
        if (swaps) {
            admissions_[from].object.swap(admissions_[to].object);
            std::swap(admissions_[from].state, admissions_[to].state);
            std::swap(admissions_[from].client, admissions_[to].client);
        } else if (from == to) {
            calling([&] { admissions_[to].object = std::move(*&admissions_[from].object); });
        } else {
            real_admission moved = std::move(admissions_[from]);
            admissions_[from].state = none;
            store(to, std::move(moved));
        }
    }

    // Checks the invariants after every step.

    void check() const override {
        for (std::size_t i = 0; i < limiters_.size(); ++i) {
            if (!limiters_[i])
                continue;
            const limiter& it = limiters_[i]->object;
            const std::size_t state = limiters_[i]->state;
            if (state == none) {
                require(
                    !it.is_open() && it.limit() == 0 && it.in_flight() == 0 && it.waiting() == 0,
                    "limiter ", i, " has been moved from");
                continue;
            }
            const auto& m = model_.limiters[state];
            std::string wrong = test::difference(it.statistics(), m.rules);
            if (wrong.empty())
                wrong = test::difference(it.busiest_keys(100), m.rules);
            require(wrong.empty(), "limiter ", i, ": ", wrong);
            require(it.is_open() == (m.now == phase::open), "limiter ", i, " is open");
        }
        for (std::size_t s = 0; s < samples_.size(); ++s) {
            const auto& shown = model_.limiters[s].rules.shown;
            require(samples_[s].size() == shown.size(), "how many samples ", s, " has shown");
            if (!shown.empty()) {
                const std::string wrong = test::difference(samples_[s].back(), shown.back());
                require(wrong.empty(), wrong, " of ", s);
            }
        }
        for (std::size_t i = 0; i < admissions_.size(); ++i)
            require(
                bool(admissions_[i].object) == (admissions_[i].state != none), "admission ", i,
                admissions_[i].object ? " has" : " lacks", " a place");
        for (std::size_t id = 0; id < real_.size(); ++id)
            require(
                real_[id].gone == (model_.operations[id].at >= stage::called), "operation ", id,
                real_[id].gone ? " is gone" : " is still there");
        for (const auto& [way, submitted] : model_.lanes)
            require(submitted.empty() || !way.is_inline(), "an immediate executor was not used");
    }

    void finish() override {
        trace("the end: ");
        for (std::size_t i = 0; i < admissions_.size(); ++i)
            give_back(i, 2);
        poll(model_);
        check();
        for (std::size_t i = 0; i < limiters_.size(); ++i)
            destroy(i);
        poll(model_);
        for (auto& lazy : lazies_)
            lazy.reset();
        for (std::size_t id = 0; id < real_.size(); ++id)
            require(real_[id].gone, "operation ", id, " never ended");
    }

    limiters_model model_;
    std::size_t granted_ = 0, tries_ = 0;
    double next_ = 1;                               // the next result of an algorithm
    std::deque<std::vector<limit_sample>> samples_; // the samples for each state of the model
    std::deque<real_operation> real_;
    std::array<std::optional<real_limiter>, objects> limiters_;
    std::array<real_admission, 6> admissions_;
    std::array<std::optional<lazy_operation>, 2> lazies_;
};

} // namespace sequences
