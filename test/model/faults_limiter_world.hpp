// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Small programs with a limiter, in which something fails at every place where it can. In every
// case each operation completes exactly once, no place is lost, the counts add up, the limiter
// still works afterwards, and no context keeps outstanding work.

#include <asio_semaphore/limiter/limiter.hpp>
#include <asio_semaphore/limiter/with_permit.hpp>

#include <limiter/object_fixture.hpp>
#include <model/faults.hpp>
#include <model/faults_places.hpp>
#include <model/faults_runs.hpp>

#include <boost/asio/deferred.hpp>
#include <boost/test/unit_test.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <initializer_list>
#include <new>
#include <optional>
#include <utility>
#include <vector>

namespace faults {

using asio_semaphore::admission;
using asio_semaphore::admission_request;
using asio_semaphore::limit_sample;
using asio_semaphore::limiter_options;

/// How admissions are requested. keyed: each with its own key, which needs a record.
enum class asked { plainly, keyed, with_permit };
inline const char* name_of(asked how) {
    static constexpr const char* names[] = {"plainly", "keyed", "with_permit"};
    return names[static_cast<int>(how)];
}

struct admit_operation {
    test::operation seen;
    bool threw = false;
    bool is_finished = false;
};

/// @tparam Limited true for with_permit, false for the others
template <typename Where, bool Limited>
class limiter_world : public surroundings<Where> {
    using base = surroundings<Where>;
    using handler_type = basic_handler<test::operation::handler>;

public:
    using limiter_type = asio_semaphore::basic_limiter<typename Where::executor_type>;
    using form_type = asked;
    using where = Where;
    using base::attempt;
    using base::context;
    using base::poll;

    explicit limiter_world(asked how) : how_(how) { make_limiter(); }
    ~limiter_world() {
        limiter.reset();
        base::leave_contexts();
    }

    void make_limiter(std::ptrdiff_t limit = initial, const limiter_options& o = test::patient()) {
        limiter.emplace(Where::executor(*context), limit, o);
    }

    /// An algorithm and a listener that need memory, also for a copy.
    limiter_options with_algorithm(double step = 0) {
        const auto needs_memory = [] {
            if (plan::get().spend(kind::operator_new))
                throw std::bad_alloc();
        };
        const std::array<char, 64> large{};
        limiter_options o = test::patient();
        o.algorithm = [this, large, step, needs_memory](const limit_sample& s) {
            static_cast<void>(large);
            if (const auto inside = std::exchange(inside_algorithm, nullptr))
                inside();
            needs_memory();
            return s.limit + step;
        };
        o.on_limit_change = [needs_memory](double, double) {
            needs_memory();
        };
        return o;
    }

    auto token(admit_operation& o, bool with_slot = false) {
        return base::placed(handler_type(o.seen.on_completion(), base::slot(with_slot)));
    }

    /// Requests an admission, and checks the strong exception guarantee.
    void admit(admission_request r = {}, bool with_slot = false) {
        admit_operation& o = operations.emplace_back();
        if (r.key == 0 && (how_ == asked::keyed || (Limited && operations.size() % 2 == 0)))
            r.key = operations.size();
        const bool is_counted =
            r.weight > 0 && static_cast<double>(r.weight) <= limiter->limit() && r.priority < 4;
        const auto in_flight = limiter->in_flight();
        const auto waiting = limiter->waiting();
        auto t = token(o, with_slot);
        if constexpr (Limited) {
            auto& timer = base::make_timer();
            o.threw = attempt(
                [&] { timer.async_wait(asio_semaphore::with_permit(*limiter, r, std::move(t))); });
        } else {
            o.threw = attempt([&] { limiter->async_admit(r, std::move(t)); });
        }
        most_counted_ += is_counted;
        least_counted_ += is_counted && !o.threw;
        // A function that a strand keeps holds its place until the strand is destroyed; see end().
        if (o.threw && !(base::may_get_stuck && !o.seen.abandoned())) {
            BOOST_TEST(limiter->in_flight() == in_flight);
            BOOST_TEST(limiter->waiting() == waiting);
            BOOST_TEST(o.seen.calls() == 0);
        }
    }

    void wait_idle(bool with_slot = false) {
        admit_operation& o = operations.emplace_back();
        auto t = token(o, with_slot);
        o.threw = attempt([&] { limiter->async_wait_idle(std::move(t)); });
    }

    /// A failure must have no effect.
    admission try_admit(const admission_request& r) {
        admission got;
        const auto in_flight = limiter->in_flight();
        const bool threw = attempt([&] { got = limiter->try_admit(r); });
        if (threw)
            BOOST_TEST(limiter->in_flight() == in_flight);
        most_counted_ += bool(got);
        least_counted_ += bool(got);
        return got;
    }
    /// Acquires a place without a failure.
    admission hold(std::ptrdiff_t weight) {
        admission got = limiter->try_admit(test::weighing(weight));
        if (!got)
            BOOST_FAIL("there is no place");
        ++most_counted_;
        ++least_counted_;
        return got;
    }

    void finish(admission& held, test::ended how = test::ended::success) {
        attempt([&] { held.finish(how); }); // finish is noexcept
    }

    /// Returns all places without a report.
    void give_back() {
        for (std::size_t i = 0; i < operations.size(); ++i) {
            admit_operation& o = operations[i];
            if (!o.seen.called() || std::exchange(o.is_finished, true))
                continue;
            if (i % 4 == 3)
                attempt([&] { o.seen.held() = {}; });
            else
                finish(o.seen.held(), static_cast<test::ended>(i % 4));
        }
    }

    /// The limiter was replaced, so its counts start again.
    void counts_anew() { is_counted_ = false; }

    void check() override {
        if (!limiter)
            return;
        const auto all = limiter->statistics();
        if (all.running != running(all)) // a BOOST_TEST is slow, and this is called often
            test::check_sums(all);
        // No request waits that could be admitted. All scenarios that check this have weight 1.
        if (all.waiting != 0 && one_each && all.in_flight < static_cast<std::ptrdiff_t>(all.limit))
            BOOST_ERROR("somebody waits beside a free place");
    }

    /// In every case each operation has ended once, all places have returned, and no work is left.
    void end() {
        for (int i = 0; i < 100 && !all_ended(); ++i) {
            poll();
            give_back();
        }
        poll();
        give_back();
        poll();
        const bool is_stuck = base::may_get_stuck && !all_ended();
        if (is_stuck)
            base::leave_context();
        for (const admit_operation& o : operations) {
            BOOST_TEST((o.seen.completed() || o.seen.abandoned()));
            if (o.threw && !is_stuck)
                BOOST_TEST(o.seen.abandoned());
        }
        if (limiter)
            check_counts();
        if (is_stuck)
            return;
        if (limiter && limiter->is_open())
            check_use();
        base::check_that_no_work_is_left();
    }

    static constexpr std::ptrdiff_t initial = 2;
    bool one_each = true;
    std::optional<limiter_type> limiter;
    std::deque<admit_operation> operations;
    std::function<void()> inside_algorithm;

private:
    /// Calculated from the counts.
    static std::uint64_t running(const test::limiter_statistics& all) {
        std::uint64_t admitted = 0;
        for (const auto& by : all.priorities)
            admitted += by.admitted;
        return admitted - all.succeeded - all.overloaded - all.ignored;
    }

    void check_counts() {
        const auto all = limiter->statistics();
        test::check_idle(all);
        const std::uint64_t arrived = test::arrivals(all);
        if (is_counted_) {
            // A request that failed to start may have been counted before the failure.
            BOOST_TEST(arrived <= most_counted_);
            BOOST_TEST(arrived >= least_counted_);
        }
    }

    /// Checks a request that needs a record and one that needs the timer. The timer may still be
    /// set, if its executor refused to switch it off. The next wait with a deadline makes the alarm
    /// check it.
    void check_use() {
        test::operation first, second, idle;
        admission_request r = test::waiting_for(1h);
        r.weight = static_cast<std::ptrdiff_t>(limiter->limit());
        r.key = 1000;
        limiter->async_admit(r, first.on_completion());
        limiter->async_admit(r, second.on_completion());
        BOOST_TEST(limiter->cancel() == 1u);
        limiter->async_wait_idle(idle.on_completion());
        poll();
        BOOST_TEST(first.admitted());
        BOOST_TEST(second.failed(test::aborted));
        BOOST_TEST(idle.pending());
        first.held().finish();
        poll();
        BOOST_TEST(idle.completed_with(test::success));
    }

    bool all_ended() const {
        for (const admit_operation& o : operations) {
            if (o.seen.pending())
                return false;
        }
        return true;
    }

    const asked how_;
    bool is_counted_ = true;
    std::uint64_t least_counted_ = 0, most_counted_ = 0;
};

template <typename Where, bool Limited>
scenarios_of<limiter_world<Where, Limited>> limiter_scenarios() {
    using namespace test;
    using w = limiter_world<Where, Limited>;
    scenarios_of<w> all{
        {"admitted at once",
         [](w& x) {
             x.admit();
             x.admit({}, true);
             x.admit(waiting_for(1h));
             x.poll();
         }},
        {"refused at once",
         [](w& x) {
             const admission held = x.hold(2);
             x.admit(weighing(-1));
             x.admit(weighing(11), true);
             x.admit(weighing(0));
             x.admit(of_priority(4));
             x.admit(waiting_for(-1h));
             x.limiter->close();
             x.admit();
             x.poll();
         }},
        {"the queue is full",
         [](w& x) {
             x.make_limiter(x.initial, patient(1));
             admission held = x.hold(2);
             x.admit(of_priority(3), true);
             x.admit(of_priority(1)); // evicts the first
             x.admit(of_priority(1));
             x.poll();
             x.finish(held);
         }},
        {"admitted when a place comes back",
         [](w& x) {
             admission held = x.hold(2);
             x.admit();
             x.admit({}, true);
             x.admit(waiting_for(1h));
             x.finish(held);
             x.poll();
         }},
        {"admitted one after the other",
         [](w& x) {
             admission one = x.hold(1), other = x.hold(1);
             for (int i = 0; i < 4; ++i)
                 x.admit(of_priority(3 - i), i % 2 == 1);
             x.finish(one, ended::overloaded);
             for (int i = 0; i < 5; ++i) {
                 x.poll();
                 x.give_back();
             }
             x.attempt([&] { other = {}; });
         }},
        {"the queue is full, of others' requests",
         [](w& x) {
             x.make_limiter(x.initial, patient(1));
             admission of_its_key = x.try_admit(of_key(77)), other = x.hold(1);
             admission_request r = of_priority(3);
             r.key = 77;
             x.admit(r, true);
             x.admit(of_key(78)); // evicts the first, whose key keeps its record
             x.poll();
             x.finish(of_its_key);
             x.finish(other);
         }},
        {"a key at its cap",
         [](w& x) {
             limiter_options o = patient();
             o.max_per_key = 1;
             x.one_each = false;
             x.make_limiter(x.initial, o);
             admission held = x.try_admit(of_key(77)), other = x.hold(1);
             x.admit(of_key(77));
             x.admit();
             x.finish(held);
             x.poll();
             x.finish(other);
         }},
        {"cancelled by slot",
         [](w& x) {
             admission held = x.hold(2);
             x.admit({}, true);
             x.admit();
             x.attempt([&] { x.signal->emit(asio::cancellation_type::total); });
             x.poll();
             x.finish(held);
         }},
        {"cancelled too late, or while it runs",
         [](w& x) {
             x.wrapped_wait = 1h;
             x.admit({}, true);
             x.poll();
             x.attempt([&] { x.signal->emit(asio::cancellation_type::total); });
             x.poll();
         }},
        {"a cancelled head makes way",
         [](w& x) {
             x.one_each = false;
             admission held = x.hold(1);
             x.admit(weighing(2), true);
             x.admit();
             x.attempt([&] { x.signal->emit(asio::cancellation_type::terminal); });
             BOOST_TEST(x.limiter->waiting() == 0u);
             x.poll();
             x.finish(held);
         }},
        {"all cancelled, then others",
         [](w& x) {
             admission held = x.hold(2);
             x.admit({}, true);
             x.admit(waiting_for(1h));
             x.attempt([&] { x.limiter->cancel(); });
             x.admit();
             x.poll();
             x.finish(held);
         }},
        {"closed",
         [](w& x) {
             admission held = x.hold(2);
             x.admit({}, true);
             x.admit(waiting_for(1h));
             x.wait_idle();
             x.attempt([&] { x.limiter->close(); });
             x.poll();
             x.finish(held);
         }},
        {"a deadline that is over",
         [](w& x) {
             admission held = x.hold(2);
             x.admit(waiting_for(1ns));
             x.admit(waiting_for(1ns), true);
             // If the timer could not be set, the returned place ends these waits.
             for (int i = 0; i < 100 && x.limiter->waiting() != 0; ++i)
                 x.poll();
             x.finish(held);
             BOOST_TEST(x.limiter->waiting() == 0u);
         }},
        {"another limit",
         [](w& x) {
             admission held = x.hold(2);
             x.admit();
             x.attempt([&] { x.limiter->set_limit(1); });
             x.admit({}, true);
             x.attempt([&] { x.limiter->set_limit(4); });
             x.poll();
             x.finish(held);
         }},
        {"another limit, with an algorithm",
         [](w& x) {
             x.make_limiter(x.initial, x.with_algorithm());
             admission held = x.hold(2);
             x.admit();
             const bool threw = x.attempt([&] { x.limiter->set_limit(4); });
             BOOST_TEST(x.limiter->limit() == (threw ? 2 : 4));
             x.poll();
             x.finish(held);
         }},
        {"an algorithm that is asked",
         [](w& x) {
             x.make_limiter(x.initial, x.with_algorithm(1));
             admission one = x.hold(1), other = x.hold(1);
             for (int i = 0; i < 3; ++i)
                 x.admit();
             let_time_pass();
             x.finish(one);
             x.finish(other, ended::overloaded);
             x.poll();
         }},
        {"many reports while an algorithm is asked",
         [](w& x) {
             x.make_limiter(40, x.with_algorithm());
             std::vector<admission> held;
             for (int i = 0; i < 40; ++i)
                 held.push_back(x.hold(1));
             let_time_pass();
             x.inside_algorithm = [&] {
                 for (std::size_t i = 1; i < held.size(); ++i)
                     held[i].finish();
             };
             x.admit();
             x.finish(held[0]);
             x.poll();
             BOOST_TEST(x.limiter->statistics().succeeded >= 40u);
         }},
        {"the limiter destroyed",
         [](w& x) {
             admission held = x.hold(1);
             x.admit();
             x.admit();
             x.admit(waiting_for(1h), true);
             x.wait_idle();
             x.attempt([&] { x.limiter.reset(); });
             x.poll();
             x.finish(held);
         }},
        {"another limiter assigned",
         [](w& x) {
             x.counts_anew();
             admission held = x.hold(2);
             x.admit();
             x.admit({}, true);
             x.attempt([&] {
                 typename w::limiter_type fresh(Where::executor(*x.context), x.initial, patient());
                 *x.limiter = std::move(fresh);
             });
             x.admit();
             x.poll();
             x.finish(held);
         }},
        {"the context destroyed",
         [](w& x) {
             admission held = x.hold(1);
             x.admit();
             x.admit();
             x.admit(waiting_for(1h), true);
             x.wait_idle();
             x.finish(held);
             x.destroy_contexts();
             x.give_back();
             BOOST_TEST(x.limiter->in_flight() == 0);
             BOOST_TEST(x.limiter->waiting() == 0u);
             test::check_sums(x.limiter->statistics());
             x.limiter.reset();
             x.context.emplace();
             x.other.emplace();
         }},
        {"the first limiter of its context",
         [](w& x) {
             x.limiter.reset();
             x.context.emplace();
             x.attempt([&] { x.make_limiter(); });
             if (!x.limiter) // the attempt failed
                 x.make_limiter();
             x.admit();
             x.admit({}, true);
             x.admit(waiting_for(1h));
             x.poll();
         }},
    };
    if (Limited)
        return all;
    const scenarios_of<w> others{
        {"tried",
         [](w& x) {
             for (std::uint64_t key = 0; key < 3; ++key) {
                 admission got = x.try_admit(of_key(key));
                 x.admit();
                 x.finish(got);
             }
             x.poll();
             x.attempt([&] { static_cast<void>(x.limiter->busiest_keys()); });
         }},
        {"more keys than one keeps records for",
         [](w& x) {
             x.make_limiter(20, patient());
             std::vector<admission> held;
             held.reserve(20);
             for (std::uint64_t key = 1; key <= 20; ++key)
                 held.push_back(x.try_admit(of_key(key)));
             for (admission& a : held)
                 x.finish(a);
             x.admit();
             x.poll();
         }},
        {"idle",
         [](w& x) {
             x.wait_idle();
             admission held = x.hold(1);
             x.wait_idle(true);
             x.wait_idle();
             x.attempt([&] { x.signal->emit(asio::cancellation_type::partial); });
             x.finish(held);
             x.poll();
         }},
        {"started late",
         [](w& x) {
             x.counts_anew();
             admission held = x.hold(2);
             admit_operation& o = x.operations.emplace_back();
             auto token = x.token(o);
             x.attempt([&] {
                 auto lazy = x.limiter->async_admit(of_key(7), asio::deferred);
                 auto copy = lazy;
                 std::move(copy)(std::move(token));
             });
             x.finish(held);
             x.poll();
         }},
        {"limiters made",
         [](w& x) {
             for (int i = 0; i < 5; ++i) {
                 x.attempt([&] {
                     typename w::limiter_type one(
                         Where::executor(*x.context), 1, x.with_algorithm());
                     typename w::limiter_type two(std::move(one));
                 });
             }
         }},
    };
    all.insert(all.end(), others.begin(), others.end());
    return all;
}

template <typename Where, bool Limited>
void check_all(std::initializer_list<asked> forms) {
    check_all<limiter_world<Where, Limited>>(limiter_scenarios<Where, Limited>(), forms);
}

} // namespace faults
