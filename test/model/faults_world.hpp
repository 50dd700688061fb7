// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Small programs with a semaphore, in which something fails at every place where it can. In every
// case each operation completes exactly once, no permit is lost or invented, and no context keeps
// outstanding work.

#include <asio_semaphore/async_semaphore.hpp>
#include <asio_semaphore/with_permit.hpp>

#include <model/faults.hpp>
#include <model/faults_places.hpp>
#include <model/faults_runs.hpp>

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <cstddef>
#include <deque>
#include <initializer_list>
#include <new>
#include <optional>
#include <utility>

namespace faults {

using asio_semaphore::basic_async_semaphore;
using asio_semaphore::permit;

/// How permits are acquired.
enum class form { bare, permit, with_permit };
inline const char* name_of(form f) {
    static constexpr const char* names[] = {"bare", "permit", "with_permit"};
    return names[static_cast<int>(f)];
}

struct operation {
    support::result result;
    bool threw = false;
    form how = form::bare;
    std::ptrdiff_t n = 1;
    bool given_back = false;
};

/// @tparam Limited true for with_permit, false for the others
template <typename Where, bool Limited>
class world : public surroundings<Where> {
    using base = surroundings<Where>;

public:
    using semaphore_type = basic_async_semaphore<typename Where::executor_type>;
    using form_type = form;
    using where = Where;
    using base::attempt;
    using base::context;
    using base::poll;

    explicit world(form how) : how_(how) { make_semaphore(); }
    ~world() {
        semaphore.reset();
        base::leave_contexts();
    }

    void make_semaphore() { semaphore.emplace(Where::executor(*context), initial, 10); }

    static constexpr auto forever = std::chrono::nanoseconds::max();

    auto token(operation& o, asio::cancellation_slot slot) {
        return base::placed(handler(o.result, slot));
    }

    /// Starts an acquire, and checks the strong exception guarantee.
    void
    acquire(std::ptrdiff_t n = 1, bool with_slot = false, std::chrono::nanoseconds wait = forever) {
        operation& o = operations.emplace_back();
        o.n = n;
        o.how = how_;
        const auto available = semaphore->available();
        const auto waiting = semaphore->waiting();
        auto t = token(o, base::slot(with_slot));
        if constexpr (Limited) {
            auto& timer = base::make_timer();
            o.threw = attempt([&] {
                timer.async_wait(asio_semaphore::with_permit(*semaphore, n, std::move(t)));
            });
        } else {
            const bool owned = how_ == form::permit;
            o.threw = attempt([&] {
                if (owned && wait == forever)
                    semaphore->async_acquire_permit(n, std::move(t));
                else if (owned)
                    semaphore->async_acquire_permit_for(wait, n, std::move(t));
                else if (wait == forever)
                    semaphore->async_acquire(n, std::move(t));
                else
                    semaphore->async_acquire_for(wait, n, std::move(t));
            });
        }
        // A function that a strand keeps holds its permits until the strand is destroyed; see
        // end().
        if (o.threw && !(base::may_get_stuck && o.result.dropped == 0)) {
            BOOST_TEST(semaphore->available() == available);
            BOOST_TEST(semaphore->waiting() == waiting);
            BOOST_TEST(o.result.calls == 0);
        }
    }

    /// Returns the permits of the completed operations.
    void give_back() {
        for (operation& o : operations) {
            if (!o.result.succeeded() || std::exchange(o.given_back, true))
                continue;
            BOOST_TEST(o.result.held.count() == (o.how == form::permit ? o.n : 0));
            if (o.how == form::permit)
                attempt([&] { o.result.held.reset(); });
            if (o.how == form::bare)
                attempt([&] { semaphore->release(o.n); });
        }
    }

    /// No operation waits that could be granted. All scenarios that check this acquire one permit
    /// each.
    void check() override {
        if (semaphore && semaphore->waiting() != 0 && one_each)
            BOOST_TEST(semaphore->available() <= 0);
    }

    /// In every case each operation has ended once, all permits have returned, and no work is left.
    void end() {
        for (int i = 0; i < 100 && !all_ended(); ++i) {
            poll();
            give_back();
        }
        poll();
        give_back();
        const bool is_stuck = base::may_get_stuck && !all_ended();
        if (is_stuck)
            base::leave_context();
        for (const operation& o : operations) {
            BOOST_TEST(o.result.calls + o.result.dropped == 1);
            if (o.threw && !is_stuck)
                BOOST_TEST(o.result.dropped == 1);
        }
        if (semaphore) {
            BOOST_TEST(semaphore->waiting() == 0u);
            BOOST_TEST(semaphore->available() == total);
        }
        if (is_stuck)
            return;
        if (semaphore && semaphore->is_open())
            look_at_the_timer();
        base::check_that_no_work_is_left();
    }

    form how() const { return how_; }

    static constexpr std::ptrdiff_t initial = 2;
    std::ptrdiff_t total = initial;
    bool one_each = true;
    std::optional<semaphore_type> semaphore;
    std::deque<operation> operations;

private:
    /// The timer may still be set, if its executor refused to switch it off. The next wait with a
    /// deadline makes the alarm check it.
    void look_at_the_timer() {
        const std::ptrdiff_t free = semaphore->available();
        BOOST_TEST_REQUIRE(semaphore->try_acquire(free));
        semaphore->async_acquire_for(1h, [](boost::system::error_code) {});
        BOOST_TEST(semaphore->cancel() == 1u);
        semaphore->release(free);
        poll();
    }

    bool all_ended() const {
        for (const operation& o : operations) {
            if (o.result.pending())
                return false;
        }
        return true;
    }

    form how_;
};

/// The scenarios. They depend on as little as possible, because any call may fail.
template <typename Where, bool Limited>
scenarios_of<world<Where, Limited>> scenarios() {
    using w = world<Where, Limited>;
    return {
        {"granted at once",
         [](w& x) {
             x.acquire();
             x.acquire(1, true);
             x.acquire(1, false, 1h);
             x.poll();
         }},
        {"refused at once",
         [](w& x) {
             x.acquire(-1);
             x.acquire(11, true);
             x.acquire(0);
             if (x.how() != form::with_permit) // with_permit has no deadline
                 x.acquire(3, false, -1h);
             x.semaphore->close();
             x.acquire();
             x.poll();
         }},
        {"granted by a release",
         [](w& x) {
             permit held = x.semaphore->try_acquire_permit(2);
             x.acquire();
             x.acquire(1, true);
             x.acquire(1, false, 1h);
             x.attempt([&] { held.reset(); });
             x.poll();
         }},
        {"granted one after the other",
         [](w& x) {
             permit held = x.semaphore->try_acquire_permit(2);
             for (int i = 0; i < 4; ++i)
                 x.acquire(1, i % 2 == 1);
             permit part = held.split(1);
             x.attempt([&] { part.reset(); });
             for (int i = 0; i < 5; ++i) {
                 x.poll();
                 x.give_back();
             }
             x.attempt([&] { held.reset(); });
         }},
        {"cancelled by slot",
         [](w& x) {
             permit held = x.semaphore->try_acquire_permit(2);
             x.acquire(1, true);
             x.acquire();
             x.attempt([&] { x.signal->emit(asio::cancellation_type::total); });
             x.poll();
             x.attempt([&] { held.reset(); });
         }},
        {"cancelled too late, or while it runs",
         [](w& x) {
             x.wrapped_wait = 1h;
             x.acquire(1, true);
             x.poll();
             x.attempt([&] { x.signal->emit(asio::cancellation_type::total); });
             x.poll();
         }},
        {"a cancelled head makes way",
         [](w& x) {
             x.one_each = false;
             permit held = x.semaphore->try_acquire_permit(1);
             x.acquire(2, true);
             x.acquire();
             x.attempt([&] { x.signal->emit(asio::cancellation_type::terminal); });
             BOOST_TEST(x.semaphore->waiting() == 0u);
             x.poll();
             x.attempt([&] { held.reset(); });
         }},
        {"all cancelled, then others",
         [](w& x) {
             permit held = x.semaphore->try_acquire_permit(2);
             x.acquire(1, true);
             x.acquire(1, false, 1h);
             x.attempt([&] { x.semaphore->cancel(); });
             x.acquire();
             x.poll();
             x.attempt([&] { held.reset(); });
         }},
        {"closed",
         [](w& x) {
             permit held = x.semaphore->try_acquire_permit(2);
             x.acquire(1, true);
             x.acquire(1, false, 1h);
             x.attempt([&] { x.semaphore->close(); });
             x.poll();
             x.attempt([&] { held.reset(); });
         }},
        {"the semaphore destroyed",
         [](w& x) {
             permit held = x.semaphore->try_acquire_permit(1);
             x.acquire();
             x.acquire();
             x.acquire(1, true, 1h);
             x.attempt([&] { x.semaphore.reset(); });
             x.poll();
             for (auto& o : x.operations)
                 o.given_back = true;
             for (auto& o : x.operations)
                 x.attempt([&] { o.result.held.reset(); });
         }},
        {"another semaphore assigned",
         [](w& x) {
             permit held = x.semaphore->try_acquire_permit(2);
             x.acquire();
             x.acquire(1, true);
             const bool threw = x.attempt([&] {
                 typename w::semaphore_type fresh(Where::executor(*x.context), x.initial, 10);
                 *x.semaphore = std::move(fresh);
             });
             x.acquire();
             x.poll();
             if (!threw)
                 BOOST_TEST(x.semaphore->waiting() == 0u);
         }},
        {"a deadline that is over",
         [](w& x) {
             if (x.how() == form::with_permit)
                 return;
             permit held = x.semaphore->try_acquire_permit(2);
             x.acquire(1, false, 1ns);
             x.acquire(1, true, 1ns);
             while (x.semaphore->waiting() != 0)
                 x.poll();
             x.attempt([&] { held.reset(); });
         }},
        {"a debt",
         [](w& x) {
             permit held = x.semaphore->try_acquire_permit(2);
             x.acquire();
             x.attempt([&] { x.semaphore->reduce(1); });
             x.attempt([&] { held.reset(); });
             x.poll();
             x.attempt([&] { x.semaphore->release(1); });
         }},
        {"the context destroyed",
         [](w& x) {
             permit held = x.semaphore->try_acquire_permit(1);
             x.acquire();
             x.acquire();
             x.acquire(1, true, 1h);
             x.attempt([&] { held.reset(); });
             x.destroy_contexts();
             x.give_back();
             BOOST_TEST(x.semaphore->available() == x.total);
             x.semaphore.reset();
             x.context.emplace();
             x.other.emplace();
         }},
        {"started late",
         [](w& x) {
             permit held = x.semaphore->try_acquire_permit(2);
             operation& o = x.operations.emplace_back();
             o.how = form::permit;
             auto token = x.token(o, asio::cancellation_slot());
             x.attempt([&] {
                 auto lazy = x.semaphore->async_acquire_permit(1, asio::deferred);
                 auto copy = lazy;
                 std::move(copy)(std::move(token));
             });
             x.attempt([&] { held.reset(); });
             x.poll();
         }},
        {"the first semaphore of its context",
         [](w& x) {
             x.semaphore.reset();
             x.context.emplace();
             x.attempt([&] { x.make_semaphore(); });
             if (!x.semaphore) // the attempt failed
                 x.make_semaphore();
             x.acquire();
             x.acquire(1, true);
             x.acquire();
             x.poll();
         }},
        {"semaphores made",
         [](w& x) {
             for (int i = 0; i < 5; ++i) {
                 x.attempt([&] {
                     typename w::semaphore_type one(Where::executor(*x.context), 1);
                     typename w::semaphore_type two(std::move(one));
                 });
             }
         }},
    };
}

template <typename Where, bool Limited>
void check_all(std::initializer_list<form> forms) {
    check_all<world<Where, Limited>>(scenarios<Where, Limited>(), forms);
}

} // namespace faults
