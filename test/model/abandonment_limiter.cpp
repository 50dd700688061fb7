// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// The context of a limiter is destroyed while admissions are requested, held and finished, and
// while operations wait for the limiter to be idle.

#include <asio_semaphore/limiter/limiter.hpp>
#include <asio_semaphore/limiter/with_permit.hpp>

#include <limiter/object_fixture.hpp>
#include <model/abandonment.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/recycling_allocator.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/version.hpp>
#if BOOST_VERSION >= 108200
#include <boost/asio/bind_immediate_executor.hpp>
#include <boost/asio/system_executor.hpp>
#endif
#if BOOST_VERSION >= 108600
#include <boost/asio/cancel_after.hpp>
#endif

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <future>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

namespace asio = boost::asio;

namespace {

using namespace std::chrono_literals;
using abandonment::witness;
using asio_semaphore::admission;
using asio_semaphore::admission_request;
using asio_semaphore::limit_sample;
using asio_semaphore::limiter;
using asio_semaphore::limiter_options;
using boost::system::error_code;

/// A queue that fills, keys with caps, and an algorithm that moves the limit up and down.
limiter_options options() {
    limiter_options o;
    o.max_waiting = 8;
    o.max_wait = 1h;
    o.max_per_key = 2;
    o.share = {1, 1, .7, .7};
    o.algorithm = [up = false](const limit_sample& s) mutable {
        up = !up;
        return up ? s.limit + 1 : s.limit - 1;
    };
    o.on_limit_change = [](double, double) {
    };
    return o;
}

class limiter_world : public abandonment::surroundings<limiter> {
public:
    static constexpr const char* name = "the limiter";

    explicit limiter_world(abandonment::owner o) : surroundings(o, 3, options()) {}

    /// The program holds an admission. A function that runs later finishes it, or destroys it
    /// without a report.
    void has(admission a) {
        if (!a || !context)
            return;
        asio::post(*context, [a = std::move(a), how = held_++ % 4]() mutable {
            if (how < 3)
                a.finish(static_cast<asio_semaphore::outcome>(how));
        });
    }

    /// Called after the contexts are destroyed.
    void check() {
        const auto all = object->statistics();
        test::check_idle(all);
        BOOST_TEST(test::arrivals(all) == asked);
    }

    std::uint64_t asked = 0; // the requests that the limiter has to count

private:
    int held_ = 0;
};

/// A handler for every operation of a limiter.
class finisher {
public:
    finisher(limiter_world& w, bool is_weightless = false) :
        world_(&w), is_weightless_(is_weightless), witness_(w.carried()) {}

    void operator()(error_code) {}
    void operator()(error_code ec, admission a) {
        BOOST_TEST(bool(a) == (!ec && !is_weightless_));
        world_->has(std::move(a));
    }

private:
    limiter_world* world_;
    bool is_weightless_;
    witness witness_;
};

admission_request
request(std::uint64_t key, std::ptrdiff_t weight, int priority, std::chrono::nanoseconds wait) {
    admission_request r = test::waiting_for(wait);
    r.key = key;
    r.weight = weight;
    r.priority = priority;
    return r;
}

/// A request, and the number of the signal that cancels it.
struct asked {
    admission_request request;
    int signal;
    bool is_counted = true;
};
std::vector<asked> all_requests() {
    return {
        {{}, 2},
        {request(1, 1, 0, 1h), 0},
        {request(1, 1, 1, 1h), 1},
        {request(2, 2, 0, 1h), 2},
        {request(2, 1, 0, 1h), 0},
        {request(3, 1, 3, 1h), 1},
        {request(0, 3, 2, 1h), 0},
        {request(4, 9, 1, 1h), 1}, // exceeds the limit, so it runs alone
        {request(0, 1, 0, 1ns), 2},
        {request(0, 1, 0, -1h), 2},
        {request(0, 0, 0, 1h), 2, false},
        {request(0, -1, 0, 1h), 2, false},
        {request(0, 1, 4, 1h), 2, false},
    };
}

void change_limit(limiter_world& w) {
    for (const std::ptrdiff_t limit : {1, 5})
        asio::post(w.io(), [&w, limit] {
            if (const auto l = w.weak.lock())
                l->set_limit(limit);
        });
}

/// Starts every operation of a limiter, so often that some have to wait and some are refused.
/// to_token turns a handler into a token.
template <typename ToToken>
void check(const char* name, ToToken to_token, bool uses_second = false) {
    const auto program = [=](limiter_world& w) {
        for (int round = 0; round < 2; ++round) {
            for (const asked& a : all_requests()) {
                w.asked += a.is_counted;
                w.object->async_admit(
                    a.request,
                    to_token(w, finisher(w, a.request.weight == 0), w.signals[a.signal]->slot()));
            }
            w.has(w.object->try_admit(request(5, 0, 0, 1h)));
            w.object->async_wait_idle(to_token(w, finisher(w), w.signals[round]->slot()));
        }
        change_limit(w);
    };
    abandonment::stop_after_every_handler<limiter_world>(name, program, uses_second);
}

/// Uses every operation of the limiter in turn. The coroutine owns the admissions.
asio::awaitable<void> one_after_the_other(limiter_world& w, witness) {
    const auto l = w.weak.lock();
    if (!l)
        co_return;
    for (const asked& a : all_requests()) {
        if (!a.is_counted)
            continue;
        ++w.asked;
        auto [ec, held] = co_await l->async_admit(a.request, asio::as_tuple(asio::use_awaitable));
        co_await asio::post(asio::use_awaitable);
        held.finish(ec);
    }
    asio::steady_timer timer(w.io(), -1h);
    ++w.asked;
    co_await timer.async_wait(asio_semaphore::with_permit(*l, asio::as_tuple(asio::use_awaitable)));
    co_await l->async_wait_idle(asio::as_tuple(asio::use_awaitable));
}

/// Starts waits on timers under the limit. Some timers have expired; the others do not expire
/// during the test, and only some of their waits are cancelled.
template <typename ToToken>
void check_limited(const char* name, ToToken to_token) {
    abandonment::stop_after_every_handler<limiter_world>(name, [=](limiter_world& w) {
        int i = 0;
        for (const asked& a : all_requests()) {
            const auto timer = std::make_shared<asio::steady_timer>(w.io(), i % 4 == 2 ? 1h : -1h);
            const auto slot = w.signals[i++ % 3]->slot();
            w.asked += a.is_counted;
            timer->async_wait(asio_semaphore::with_permit(
                *w.object, a.request,
                to_token(
                    w, [timer, c = w.carried()](error_code) {}, slot)));
        }
        change_limit(w);
    });
}

} // namespace

BOOST_AUTO_TEST_SUITE(model_abandonment_limiter)

BOOST_AUTO_TEST_CASE(handlers) {
    check("callback", [](limiter_world&, auto f, asio::cancellation_slot s) {
        return asio::bind_cancellation_slot(s, std::move(f));
    });
    check("bind_executor", [](limiter_world& w, auto f, asio::cancellation_slot s) {
        return asio::bind_cancellation_slot(s, asio::bind_executor(*w.strand, std::move(f)));
    });
    check("bind_allocator", [](limiter_world&, auto f, asio::cancellation_slot s) {
        return asio::bind_allocator(
            asio::recycling_allocator<void>(), asio::bind_cancellation_slot(s, std::move(f)));
    });
#if BOOST_VERSION >= 108200
    check("bind_immediate_executor", [](limiter_world&, auto f, asio::cancellation_slot s) {
        return asio::bind_immediate_executor(
            asio::system_executor(), asio::bind_cancellation_slot(s, std::move(f)));
    });
#endif
}

BOOST_AUTO_TEST_CASE(handlers_in_another_context) {
    check(
        "elsewhere",
        [](limiter_world& w, auto f, asio::cancellation_slot s) {
            return asio::bind_cancellation_slot(s, asio::bind_executor(*w.other, std::move(f)));
        },
        true);
}

BOOST_AUTO_TEST_CASE(lazy_operations) {
    abandonment::stop_after_every_handler<limiter_world>("deferred", [](limiter_world& w) {
        for (const asked& a : all_requests()) {
            // Counted when it starts, if the program runs this handler.
            auto lazy = w.object->async_admit(a.request, asio::deferred);
            asio::post(w.io(), [&w, a, lazy = std::move(lazy), c = w.carried()]() mutable {
                // A destroyed limiter counts the request too.
                w.asked += a.is_counted;
                std::move(lazy)(finisher(w, a.request.weight == 0));
            });
        }
        auto idle = w.object->async_wait_idle(asio::deferred);
        asio::post(
            w.io(), [&w, idle = std::move(idle)]() mutable { std::move(idle)(finisher(w)); });
        change_limit(w);
    });
}

BOOST_AUTO_TEST_CASE(futures) {
    abandonment::stop_after_every_handler<limiter_world>("use_future", [](limiter_world& w) {
        const auto get_afterwards = [&w](auto f) {
            const auto future = std::make_shared<decltype(f)>(std::move(f));
            w.afterwards.push_back([future] {
                try {
                    static_cast<void>(future->get());
                } catch (const std::exception&) {
                    // refused, cancelled, closed, or a broken promise
                }
            });
        };
        for (const asked& a : all_requests()) {
            w.asked += a.is_counted;
            get_afterwards(w.object->async_admit(a.request, asio::use_future));
        }
        get_afterwards(w.object->async_wait_idle(asio::use_future));
        change_limit(w);
    });
}

BOOST_AUTO_TEST_CASE(coroutines) {
    abandonment::stop_after_every_handler<limiter_world>("use_awaitable", [](limiter_world& w) {
        for (int i = 0; i < 4; ++i)
            asio::co_spawn(
                w.io(), one_after_the_other(w, w.carried()),
                [c = w.carried()](std::exception_ptr) {});
        change_limit(w);
    });
}

BOOST_AUTO_TEST_CASE(operations_under_a_limit) {
    check_limited("with_permit", [](limiter_world&, auto f, asio::cancellation_slot s) {
        return asio::bind_cancellation_slot(s, std::move(f));
    });
    check_limited(
        "with_permit in a strand", [](limiter_world& w, auto f, asio::cancellation_slot s) {
            return asio::bind_cancellation_slot(s, asio::bind_executor(*w.strand, std::move(f)));
        });
}

#if BOOST_VERSION >= 108600
BOOST_AUTO_TEST_CASE(operations_with_asios_own_deadline) {
    for (const auto wait : {0h, 1h}) {
        abandonment::stop_after_every_handler<limiter_world>("cancel_after", [=](limiter_world& w) {
            for (const asked& a : all_requests()) {
                w.asked += a.is_counted;
                w.object->async_admit(
                    a.request, asio::cancel_after(
                                   wait, asio::bind_cancellation_slot(
                                             w.own_slot(), finisher(w, a.request.weight == 0))));
                w.object->async_wait_idle(asio::cancel_after(wait, finisher(w)));
            }
            change_limit(w);
        });
    }
}
#endif

BOOST_AUTO_TEST_SUITE_END()
