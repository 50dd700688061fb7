// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Turns a text into a sequence of calls on a few semaphores, permits, signals, contexts and
// handlers. After every call it compares the grants, their order, the results and the counts with a
// sequential model.

#include <asio_semaphore/async_semaphore.hpp>

#include <model/sequences_machine.hpp>
#include <support/allocators.hpp>

#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/error.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <deque>
#include <map>
#include <new>
#include <optional>
#include <ostream>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

namespace sequences {

using asio_semaphore::async_semaphore;
using asio_semaphore::permit;

enum class ending { granted, aborted, closed, exceeds_max, invalid, timed_out };

struct acquire_operation : traveller {
    std::size_t state = none; // none: the semaphore has been moved from
    std::ptrdiff_t n = 1;
    ending result = ending::granted;
};

/// A sequential model of semaphores.
class model : public traffic<acquire_operation> {
public:
    using operation = acquire_operation;

    enum class phase { open, closed, destroyed, shut };
    struct semaphore {
        std::size_t context;
        std::ptrdiff_t available, max;
        phase now = phase::open;
        std::deque<std::size_t> queue{};
        std::ptrdiff_t out = 0; // in permit objects, and in completions on their way
    };

    std::vector<semaphore> semaphores;

    bool try_acquire(std::size_t s, std::ptrdiff_t n) {
        semaphore& it = semaphores[s];
        if (it.now != phase::open || n > it.max)
            return false;
        if (n > 0 && (!it.queue.empty() || n > it.available))
            return false;
        it.available -= n;
        it.out += n;
        return true;
    }

    void start(std::size_t id, bool may_wait) {
        operation& o = operations[id];
        if (o.state == none)
            return submit(id, ending::closed, true);
        semaphore& it = semaphores[o.state];
        if (it.now == phase::shut)
            o.at = stage::dropped;
        else if (o.n < 0)
            submit(id, ending::invalid, true);
        else if (o.n > it.max)
            submit(id, ending::exceeds_max, true);
        else if (it.now == phase::closed)
            submit(id, ending::closed, true);
        else if (it.now == phase::destroyed)
            submit(id, ending::aborted, true);
        else if (try_acquire(o.state, o.n))
            submit(id, ending::granted, true);
        else if (!may_wait)
            submit(id, ending::timed_out, true);
        else
            it.queue.push_back(id);
    }

    bool release(std::size_t s, std::ptrdiff_t n) {
        semaphore& it = semaphores[s];
        if (n > it.max - it.available)
            return false;
        it.available += n;
        settle(s);
        return true;
    }
    void put_back(std::size_t s, std::ptrdiff_t n) {
        semaphores[s].out -= n;
        release(s, n);
    }
    bool reduce(std::size_t s, std::ptrdiff_t n) {
        semaphore& it = semaphores[s];
        if (n > it.available + async_semaphore::max())
            return false;
        it.available -= n;
        return true;
    }

    std::size_t cancel(std::size_t s) { return empty_queue(s, ending::aborted); }

    void end(std::size_t s, phase p) {
        semaphore& it = semaphores[s];
        it.now = std::max(it.now, p);
        empty_queue(s, p == phase::closed ? ending::closed : ending::aborted);
    }

    /// Removes a waiting operation from the queue, without effect on others.
    bool fire(std::size_t id, ending result) {
        if (operations[id].at != stage::waiting)
            return false;
        const std::size_t s = operations[id].state;
        std::erase(semaphores[s].queue, id);
        submit(id, result, false);
        settle(s);
        return true;
    }

    /// Shuts the context down: nothing runs there any more, and permits on their way serve no
    /// waiter.
    void shut(std::size_t context) {
        for (semaphore& it : semaphores) {
            if (it.context != context)
                continue;
            it.now = phase::shut;
            for (const std::size_t id : std::exchange(it.queue, {}))
                operations[id].at = stage::dropped;
        }
        stop(context, [this](std::size_t id) { drop(id); });
    }

    /// Destroys a submitted operation with its context.
    void drop(std::size_t id) {
        operation& o = operations[id];
        o.at = stage::dropped;
        if (o.result == ending::granted && o.state != none)
            put_back(o.state, o.n);
    }

private:
    void submit(std::size_t id, ending result, bool at_once) {
        operations[id].result = result;
        traffic::submit(id, at_once);
    }
    void settle(std::size_t s) {
        semaphore& it = semaphores[s];
        while (!it.queue.empty() && operations[it.queue.front()].n <= it.available) {
            const std::size_t id = it.queue.front();
            it.queue.pop_front();
            it.available -= operations[id].n;
            it.out += operations[id].n;
            submit(id, ending::granted, false);
        }
    }
    std::size_t empty_queue(std::size_t s, ending result) {
        const auto waited = std::exchange(semaphores[s].queue, {});
        for (const std::size_t id : waited)
            submit(id, result, false);
        return waited.size();
    }
};

class driver;

using handler = reporting_handler<driver, permit>;

/// Runs one sequence. Throws mismatch if the model and the library differ.
class driver final : public machine {
public:
    /// The letters of random sequences. A letter that occurs more often is chosen more often.
    static constexpr std::string_view letters =
        "aaaaaaaaaaaaappppppppppppptttttrrrrrrrrrgggggggggeeeeeedckkmmsifhhnnnnvvqxzlyyooooooooww";

    static constexpr std::size_t longest = 80; // steps of a random sequence

    explicit driver(std::ostream* trace_to = nullptr) : machine(trace_to) {
        create(0, 0, 1, 4);
        create(1, 1, 2, 2);
        trace('\n');
    }
    ~driver() {
        ending_ = true;
        // No operation that needs both contexts waits any more.
        for (auto& s : semaphores_)
            s.reset();
        wind_up();
    }

    std::size_t operations() const { return model_.operations.size(); }
    std::size_t granted() const { return granted_; }

private:
    friend handler;

    struct real_permit {
        permit object{};
        std::size_t state = none;
        std::ptrdiff_t n = 0;
    };

    struct real_operation {
        bool owned;
        deed then;
        std::size_t signal;
        real_permit carried{}; // belongs to the handler
        bool gone = false;     // called or destroyed
    };

    struct real_semaphore {
        async_semaphore object;
        std::size_t context;        // id of the executor's context
        std::size_t state;          // in the model; none: moved from
        std::ptrdiff_t by_hand = 0; // acquired without a permit object
    };

    using lazy_type =
        decltype(std::declval<async_semaphore&>().async_acquire_permit(1, asio::deferred));
    struct lazy_operation {
        lazy_type start;
        std::size_t context, state;
        std::ptrdiff_t n;
    };

    void step(char letter, const arguments& arg) override {
        switch (letter) {
        case 'a':
        case 'p':
            acquire(
                arg(0, 3), number(arg(1, 16)), letter == 'p', arg(2, 4), arg(3, 4), arg(3, 16) / 4,
                arg(4, 16));
            break;
        case 't':
            try_acquire(arg(0, 3), number(arg(1, 16)), arg(2, 2) != 0, arg(3, 4));
            break;
        case 'r':
            release(arg(0, 3), number(arg(1, 16)), arg(2, 2) != 0);
            break;
        case 'd':
            reduce(arg(0, 3), number(arg(1, 16)));
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
        case 'g':
            give_back(arg(0, 4), arg(1, 3));
            break;
        case 's':
            split(arg(0, 4), number(arg(1, 16)), arg(2, 4));
            break;
        case 'm':
            merge(arg(0, 4), arg(1, 4));
            break;
        case 'i':
            swap(arg(0, 4), arg(1, 4));
            break;
        case 'f':
            forget(arg(0, 4));
            break;
        case 'h':
            adopt(arg(0, 3), number(arg(1, 16)), arg(2, 4));
            break;
        case 'n':
            create(arg(0, 3), arg(1, 2), number(arg(2, 16)), number(arg(3, 16)));
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
        case 'l':
            store_lazy(arg(0, 3), number(arg(1, 16)), arg(2, 2));
            break;
        case 'y':
            start_lazy(arg(0, 2), arg(1, 4), arg(2, 16));
            break;
        case 'o':
            trace("poll_one ", arg(0, 2));
            poll_one(*contexts_[arg(0, 2)]);
            break;
        case 'w':
            trace("poll");
            poll(model_);
            break;
        default:
            trace("nothing");
        }
    }

    static std::ptrdiff_t number(std::size_t i) {
        static constexpr std::ptrdiff_t numbers[16] = {
            1, 2, 3, 4, 0, 1, 2, 5, 1, 1, 2, 1, 2, 6, -1, async_semaphore::max()};
        return numbers[i];
    }

    void polled(place& c) override {
        // At most one deadline took effect, the earliest one.
        auto& due = due_[c.id];
        std::erase_if(due, [&](auto id) { return model_.operations[id].at != stage::waiting; });
        if (!due.empty()) {
            const std::size_t first = due.front();
            const std::size_t s = model_.operations[first].state;
            if (owner_of(s).object.waiting() < model_.semaphores[s].queue.size()) {
                trace(" (the deadline of ", first, ')');
                model_.fire(first, ending::timed_out);
            }
        }
    }
    bool is_anybody_due(const place& c) const override {
        const auto found = due_.find(c.id);
        return found != due_.end() && !found->second.empty();
    }

    // Semaphores.

    real_semaphore& owner_of(std::size_t state) {
        for (auto& s : semaphores_) {
            if (s && s->state == state)
                return *s;
        }
        throw mismatch("a waiter without a semaphore");
    }

    void create(std::size_t i, std::size_t c, std::ptrdiff_t initial, std::ptrdiff_t max) {
        trace("  create semaphore ", i, " on context ", c, " with ", initial, " of ", max);
        place& on = *contexts_[c];
        const bool valid =
            initial >= 0 && max >= 1 && max <= async_semaphore::max() && initial <= max;
        std::optional<async_semaphore> made;
        bool refused = false;
        try {
            calling([&] { made.emplace(*on.context, initial, max); });
        } catch (const std::invalid_argument&) {
            refused = true;
        }
        require(refused == !valid, "the constructor's judgement of its arguments");
        if (refused)
            return;
        model_.semaphores.push_back({on.id, initial, max});
        const std::size_t state = model_.semaphores.size() - 1;
        if (semaphores_[i]) {
            end(semaphores_[i]->state, model::phase::destroyed);
            calling([&] { semaphores_[i]->object = std::move(*made); });
            semaphores_[i]->context = on.id;
            semaphores_[i]->state = state;
            semaphores_[i]->by_hand = 0;
        } else {
            semaphores_[i].emplace(real_semaphore{std::move(*made), on.id, state});
        }
    }

    void end(std::size_t state, model::phase p) {
        if (state != none)
            model_.end(state, p);
    }

    void destroy(std::size_t i) override {
        trace("destroy semaphore ", i);
        if (!semaphores_[i])
            return;
        end(semaphores_[i]->state, model::phase::destroyed);
        calling([&] { semaphores_[i].reset(); });
    }

    void move(std::size_t from, std::size_t to) {
        trace("move semaphore ", from, " to ", to);
        if (!semaphores_[from])
            return;
        real_semaphore& source = *semaphores_[from];
        if (from == to) {
            calling([&] { source.object = std::move(*&source.object); });
            return;
        }
        if (semaphores_[to]) {
            real_semaphore& target = *semaphores_[to];
            end(target.state, model::phase::destroyed);
            calling([&] { target.object = std::move(source.object); });
            target.context = source.context;
            target.by_hand = source.by_hand;
            target.state = source.state;
        } else {
            calling([&] {
                semaphores_[to].emplace(real_semaphore{
                    std::move(source.object), source.context, source.state, source.by_hand});
            });
        }
        source.state = none;
        source.by_hand = 0;
    }

    template <typename F>
    bool refuses_negative(std::ptrdiff_t n, F f) {
        bool refused = false;
        try {
            calling(f);
        } catch (const std::invalid_argument&) {
            refused = true;
        }
        require(refused || n >= 0, "a negative count was accepted");
        return refused;
    }

    void try_acquire(std::size_t i, std::ptrdiff_t n, bool owned, std::size_t slot) {
        trace("try_acquire ", n, " of semaphore ", i, owned ? " as permit" : "");
        if (!semaphores_[i])
            return;
        real_semaphore& s = *semaphores_[i];
        real_permit got;
        bool taken = false;
        const bool refused = refuses_negative(n, [&] {
            if (owned)
                got.object = s.object.try_acquire_permit(n);
            else
                taken = s.object.try_acquire(n);
        });
        require(refused == (n < 0), "try_acquire's judgement of its argument");
        if (refused)
            return;
        const bool expected = s.state != none && model_.try_acquire(s.state, n);
        if (owned)
            taken = expected && n == 0 ? !got.object : bool(got.object);
        require(taken == expected, "try_acquire ", taken ? "succeeded" : "failed");
        if (!taken || n == 0)
            return;
        if (owned) {
            got.state = s.state;
            got.n = n;
            store(slot, std::move(got));
        } else {
            hold_by_hand(s.state, n);
        }
    }

    void release(std::size_t i, std::ptrdiff_t n, bool throwing) {
        trace("release ", n, " to semaphore ", i);
        if (!semaphores_[i])
            return;
        real_semaphore& s = *semaphores_[i];
        if (s.state != none && n > 0) {
            const auto& m = model_.semaphores[s.state];
            // Releasing permits that a permit object holds is misuse, and debug builds assert then.
            const bool misuse = n <= m.max - m.available && n > m.max - m.available - m.out;
            if (misuse) {
                trace(": permits hold those");
                return;
            }
        }
        error_code ec = asio_semaphore::error::queue_full;
        const bool refused = refuses_negative(n, [&] {
            if (!throwing)
                return s.object.release(n, ec);
            ec = {};
            try {
                s.object.release(n);
            } catch (const boost::system::system_error& e) {
                ec = e.code();
            }
        });
        require(refused == (n < 0), "release's judgement of its argument");
        if (refused)
            return;
        const bool expected = n == 0 || (s.state != none && model_.release(s.state, n));
        require(
            ec == (expected ? error_code() : asio_semaphore::error::over_release),
            "release: ", ec.message());
        if (expected)
            s.by_hand = std::max<std::ptrdiff_t>(0, s.by_hand - n);
    }

    void reduce(std::size_t i, std::ptrdiff_t n) {
        trace("reduce semaphore ", i, " by ", n);
        if (!semaphores_[i])
            return;
        real_semaphore& s = *semaphores_[i];
        const bool refused = refuses_negative(n, [&] { s.object.reduce(n); });
        const bool expected = n >= 0 && (s.state == none || model_.reduce(s.state, n));
        require(refused == !expected, "reduce's judgement of its argument");
    }

    void cancel(std::size_t i) override {
        trace("cancel semaphore ", i);
        if (!semaphores_[i])
            return;
        real_semaphore& s = *semaphores_[i];
        const std::size_t expected = s.state == none ? 0 : model_.cancel(s.state);
        const std::size_t cancelled = calling([&] { return s.object.cancel(); });
        require(cancelled == expected, "cancelled ", cancelled, " instead of ", expected);
    }

    void close(std::size_t i) {
        trace("close semaphore ", i);
        if (!semaphores_[i])
            return;
        end(semaphores_[i]->state, model::phase::closed);
        calling([&] { semaphores_[i]->object.close(); });
    }

    // Operations.

    std::size_t expect(
        std::size_t state, std::ptrdiff_t n, const traveller& way, bool owned, deed then,
        std::size_t signal) {
        model_.operations.push_back({way, state, n});
        real_.push_back({owned, then, signal});
        return real_.size() - 1;
    }

    void fire(std::size_t id) override { model_.fire(id, ending::aborted); }
    void start_another(std::size_t i) override { acquire(i, 1, true, 3, 0, 0, 0); }

    void acquire(
        std::size_t i, std::ptrdiff_t n, bool owned, std::size_t signal, std::size_t where,
        std::size_t deadline, std::size_t then) {
        static constexpr const char* deadlines[] = {"", "", " for 1h", " for 1ns"};
        trace(
            "acquire ", n, " of semaphore ", i, owned ? " as permit" : "", ", signal ", signal,
            wheres[where], deadlines[deadline], ", then ", then);
        if (!semaphores_[i])
            return;
        real_semaphore& s = *semaphores_[i];
        place* const home = living(s.context);
        if (home == nullptr && s.state == none)
            return; // it would post to a destroyed context
        if (s.state == none)
            n = std::max<std::ptrdiff_t>(n, 1);
        place& other = other_than(home);
        // Leave out cases that neither the model nor Asio defines.
        const bool fails = then == 13, carries = then == 14;
        const bool momentary = deadline == 3 && n % 2 == 1;
        if (fails || (home == nullptr && where == 1) ||
            (where == 3 && (BOOST_VERSION < 108200 || momentary)))
            where = 0;

        const std::size_t id =
            expect(s.state, n, traveller_to(where, s.context, other), owned, deed_of(then), signal);
        trace(": operation ", id);
        if (carries)
            real_[id].carried = std::exchange(permits_[0], {});

        handler h(*this, id, slot_of(signal));
        if (fails) {
            support::memory_book book;
            book.left = 0;
            model_.operations[id].at = stage::dropped;
            bool threw = false;
            try {
                start(
                    s, n, owned, deadline,
                    asio::bind_allocator(support::counting_allocator<>(book), std::move(h)));
            } catch (const std::bad_alloc&) {
                threw = true;
            }
            const bool shut =
                s.state != none && model_.semaphores[s.state].now == model::phase::shut;
            require(threw == !shut, "the allocator's exception");
            return;
        }

        model_.start(id, deadline != 3 || momentary);
        start_to(where, home, other, std::move(h), [&](auto&& token) {
            start(s, n, owned, deadline, std::move(token));
        });
        if (model_.operations[id].at != stage::waiting)
            return;
        if (momentary && s.object.waiting() < model_.semaphores[s.state].queue.size()) {
            // The deadline passed before the operation joined the queue.
            model_.fire(id, ending::timed_out);
            return;
        }
        arm(signal, id);
        if (momentary) {
            const auto over = std::chrono::steady_clock::now() + std::chrono::nanoseconds(1);
            while (std::chrono::steady_clock::now() <= over) {
            }
            due_[home->id].push_back(id);
        }
    }

    template <typename Token>
    void
    start(real_semaphore& s, std::ptrdiff_t n, bool owned, std::size_t deadline, Token&& token) {
        using namespace std::chrono_literals;
        const std::chrono::nanoseconds wait = deadline == 2 ? 1h : n % 2 == 1 ? 1ns : -1h;
        calling([&] {
            if (deadline < 2 && owned)
                s.object.async_acquire_permit(n, std::forward<Token>(token));
            else if (deadline < 2)
                s.object.async_acquire(n, std::forward<Token>(token));
            else if (owned)
                s.object.async_acquire_permit_for(wait, n, std::forward<Token>(token));
            else
                s.object.async_acquire_for(wait, n, std::forward<Token>(token));
        });
    }

    void called(std::size_t id, error_code ec, bool owned, permit p) {
        if (ending_)
            return;
        model::operation& o = model_.operations[id];
        trace(" [", id, ": ", ec ? ec.message() : "granted", ']');
        arrives(model_, id);
        require(ec == code(o.result), "operation ", id, " ends with: ", ec.message());
        const bool granted = o.result == ending::granted;
        const std::ptrdiff_t n = granted ? o.n : 0;
        require(owned == real_[id].owned, "the wrong signature");
        require(p.count() == (owned ? n : 0), "operation ", id, " holds ", p.count());
        real_[id].gone = true;
        granted_ += granted;
        if (o.state != none && !owned)
            model_.semaphores[o.state].out -= n; // now the caller has them

        const deed then = real_[id].then;
        if (n > 0 && owned) {
            real_permit got{std::move(p), o.state, n};
            if (then == deed::drop)
                drop(got);
            else
                store(id % permits_.size(), std::move(got));
        } else if (n > 0) {
            hold_by_hand(o.state, n);
        }
        drop(real_[id].carried);
        act(id, then, o.way.is_inline(), real_[id].signal);
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

    static error_code code(ending e) {
        switch (e) {
        case ending::aborted:
            return asio::error::operation_aborted;
        case ending::closed:
            return asio_semaphore::error::closed;
        case ending::exceeds_max:
            return asio_semaphore::error::exceeds_max;
        case ending::invalid:
            return asio::error::invalid_argument;
        case ending::timed_out:
            return asio::error::timed_out;
        default:
            return {};
        }
    }

    void store_lazy(std::size_t i, std::ptrdiff_t n, std::size_t slot) {
        trace("store lazy acquire ", n, " of semaphore ", i, " in ", slot);
        if (!semaphores_[i])
            return;
        real_semaphore& s = *semaphores_[i];
        if (s.state == none)
            n = std::max<std::ptrdiff_t>(n, 1);
        lazies_[slot].reset();
        lazies_[slot].emplace(lazy_operation{
            s.object.async_acquire_permit(n, asio::deferred), s.context, s.state, n});
    }

    void start_lazy(std::size_t slot, std::size_t signal, std::size_t then) {
        trace("start lazy ", slot);
        auto& lazy = lazies_[slot];
        if (!lazy || (lazy->state == none && living(lazy->context) == nullptr))
            return;
        const std::size_t id = expect(
            lazy->state, lazy->n, {lane{lazy->context, lazy->context * lane::places}}, true,
            deed_of(then), signal);
        trace(": operation ", id);
        model_.start(id, true);
        handler h(*this, id, slot_of(signal));
        if (then % 2 == 0) {
            calling([&] { std::as_const(lazy->start)(std::move(h)); });
        } else {
            auto moved = std::move(lazy->start);
            lazy.reset();
            calling([&] { std::move(moved)(std::move(h)); });
        }
        if (model_.operations[id].at == stage::waiting)
            arm(signal, id);
    }

    // Permits.

    void hold_by_hand(std::size_t state, std::ptrdiff_t n) {
        for (auto& s : semaphores_) {
            if (s && s->state == state)
                s->by_hand += n;
        }
    }

    void drop(real_permit& p) {
        if (p.state != none)
            model_.put_back(std::exchange(p.state, none), p.n);
        p.n = 0;
        calling([&] { p.object.reset(); });
    }

    void store(std::size_t i, real_permit p) {
        if (permits_[i].state != none)
            model_.put_back(permits_[i].state, permits_[i].n);
        permits_[i].state = p.state;
        permits_[i].n = p.n;
        calling([&] { permits_[i].object = std::move(p.object); });
    }

    void give_back(std::size_t i, std::size_t how) {
        trace("give back permit ", i);
        if (how == 0) {
            drop(permits_[i]);
        } else if (how == 1) {
            store(i, {});
        } else { // the destructor
            real_permit dying = std::exchange(permits_[i], {});
            if (dying.state != none)
                model_.put_back(dying.state, dying.n);
        }
    }

    void split(std::size_t i, std::ptrdiff_t n, std::size_t to) {
        trace("split ", n, " from permit ", i, " to ", to);
        real_permit part;
        bool refused = false;
        try {
            part.object = permits_[i].object.split(n);
        } catch (const std::invalid_argument&) {
            refused = true;
        }
        require(refused == (n < 0 || n > permits_[i].n), "split's judgement of its argument");
        if (refused)
            return;
        if (n > 0) {
            part.state = permits_[i].state;
            part.n = n;
            permits_[i].n -= n;
            if (permits_[i].n == 0)
                permits_[i].state = none;
        }
        store(to, std::move(part));
    }

    void merge(std::size_t from, std::size_t to) {
        trace("merge permit ", from, " into ", to);
        real_permit &a = permits_[to], &b = permits_[from];
        const bool foreign = a.n > 0 && b.n > 0 && a.state != b.state;
        bool refused = false;
        try {
            a.object.merge(std::move(b.object));
        } catch (const std::invalid_argument&) {
            refused = true;
        }
        require(refused == foreign, "merge's judgement of its argument");
        if (refused || from == to || b.n == 0)
            return;
        a.state = std::exchange(b.state, none);
        a.n += std::exchange(b.n, 0);
    }

    void swap(std::size_t i, std::size_t j) {
        trace("swap permits ", i, " and ", j);
        permits_[i].object.swap(permits_[j].object);
        std::swap(permits_[i].state, permits_[j].state);
        std::swap(permits_[i].n, permits_[j].n);
    }

    void forget(std::size_t i) {
        trace("forget permit ", i);
        real_permit& p = permits_[i];
        const std::ptrdiff_t n = calling([&] { return p.object.forget(); });
        require(n == p.n, "forgot ", n, " instead of ", p.n);
        if (p.state != none) {
            model_.semaphores[p.state].out -= n;
            hold_by_hand(p.state, n);
        }
        p.state = none;
        p.n = 0;
    }

    void adopt(std::size_t i, std::ptrdiff_t n, std::size_t to) {
        trace("adopt ", n, " of semaphore ", i, " in permit ", to);
        if (!semaphores_[i])
            return;
        real_semaphore& s = *semaphores_[i];
        if (n > s.by_hand && s.state != none) {
            trace(": not held");
            return;
        }
        real_permit p;
        const bool refused =
            refuses_negative(n, [&] { p.object = permit(s.object, std::adopt_lock, n); });
        require(refused == (n < 0), "adoption's judgement of its argument");
        if (refused)
            return;
        if (s.state != none && n > 0) {
            auto& m = model_.semaphores[s.state];
            if (n > m.max - m.available - m.out) { // other permits were released instead
                trace(": released already");
                p.object.forget();
                s.by_hand = 0;
                return;
            }
            m.out += n;
            s.by_hand -= n;
            p.state = s.state;
            p.n = n;
        }
        store(to, std::move(p));
    }

    // Checks the invariants after every step.

    void check() const override {
        for (std::size_t i = 0; i < semaphores_.size(); ++i) {
            if (!semaphores_[i])
                continue;
            const real_semaphore& s = *semaphores_[i];
            const async_semaphore& it = s.object;
            const model::semaphore gone{0, 0, 0, model::phase::closed};
            const auto& m = s.state == none ? gone : model_.semaphores[s.state];
            require(
                it.available() == m.available, "semaphore ", i, " has ", it.available(),
                " instead of ", m.available);
            require(
                it.waiting() == m.queue.size(), "on semaphore ", i, " wait ", it.waiting(),
                " instead of ", m.queue.size());
            require(it.is_open() == (m.now == model::phase::open), "semaphore ", i, " is open");
            require(it.max_permits() == m.max, "the maximum of semaphore ", i);
        }
        for (std::size_t i = 0; i < permits_.size(); ++i) {
            require(
                permits_[i].object.count() == permits_[i].n &&
                    bool(permits_[i].object) == (permits_[i].n > 0),
                "permit ", i, " holds ", permits_[i].object.count());
        }
        for (std::size_t id = 0; id < real_.size(); ++id) {
            require(
                real_[id].gone == (model_.operations[id].at >= stage::called), "operation ", id,
                real_[id].gone ? " is gone" : " is still there");
        }
        for (const auto& [way, submitted] : model_.lanes)
            require(submitted.empty() || !way.is_inline(), "an immediate executor was not used");
    }

    void finish() override {
        trace("the end: ");
        for (std::size_t i = 0; i < permits_.size(); ++i)
            give_back(i, 2);
        poll(model_);
        check();
        for (std::size_t i = 0; i < semaphores_.size(); ++i)
            destroy(i);
        poll(model_);
        for (auto& lazy : lazies_)
            lazy.reset();
        for (std::size_t id = 0; id < real_.size(); ++id)
            require(real_[id].gone, "operation ", id, " never ended");
    }

    model model_;
    std::size_t granted_ = 0;
    std::deque<real_operation> real_;
    std::array<std::optional<real_semaphore>, objects> semaphores_;
    std::array<real_permit, 4> permits_;
    std::array<std::optional<lazy_operation>, 2> lazies_;
    // For each context, the operations whose short deadline has passed, in order of the deadlines.
    std::map<std::size_t, std::deque<std::size_t>> due_;
};

} // namespace sequences
