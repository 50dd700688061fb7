// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore.hpp>

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <random>
#include <utility>
#include <vector>

namespace {

namespace asio = boost::asio;
using asio::awaitable;
using asio::redirect_error;
using asio::use_awaitable;
using asio_semaphore::admission;
using asio_semaphore::limiter;
using asio_semaphore::with_permit;
using boost::system::error_code;
using namespace std::chrono_literals;

/// A backend whose calls end as the test says.
struct backend {
    explicit backend(asio::io_context& c) : context(c) {}

    template <typename Token>
    auto async_call(Token&& token) {
        return asio::async_compose<Token, void(error_code)>(
            [this, started = false](auto& self) mutable {
                if (!std::exchange(started, true)) {
                    ++calls;
                    asio::post(std::move(self));
                } else {
                    self.complete(outcome());
                }
            },
            token, context);
    }

    asio::io_context& context;
    std::function<error_code()> outcome = [] {
        return error_code();
    };
    int calls = 0;
};

struct fixture {
    asio::io_context context;
    backend server{context};

    template <typename Coroutine>
    void start(Coroutine coroutine) {
        asio::co_spawn(context, std::move(coroutine), [](std::exception_ptr e) {
            if (e)
                std::rethrow_exception(e);
        });
    }
    void run() {
        context.restart();
        context.run();
    }
};

//! [backoff]
/// Exponential backoff with full jitter: a random pause from zero up to a bound that doubles, so
/// that clients that failed together do not return together.
class backoff {
public:
    backoff(std::chrono::microseconds first, std::chrono::microseconds longest) :
        next_(first), longest_(longest) {}

    std::chrono::microseconds next() {
        thread_local std::minstd_rand random(std::random_device{}());
        std::uniform_int_distribution<std::int64_t> up_to(0, next_.count());
        next_ = std::min(2 * next_, longest_);
        return std::chrono::microseconds(up_to(random));
    }

private:
    std::chrono::microseconds next_, longest_;
};
//! [backoff]

//! [budget]
/// One retry for ten calls, and ten to begin with: when all calls fail, retries add only a tenth to
/// the load. One budget for each backend; for one thread, or one strand.
class retry_budget {
public:
    void called() { tenths_ = std::min(tenths_ + 1, most); }
    bool take() { return tenths_ >= 10 && (tenths_ -= 10, true); }

private:
    static constexpr int most = 100; // ten retries
    int tenths_ = most;
};
//! [budget]

//! [retry]
bool worth_a_retry(const error_code& ec) {
    return ec != asio_semaphore::condition::overload // a retry would add to it
           && ec != asio_semaphore::error::closed    // for good
           && ec != asio::error::operation_aborted;  // nobody waits for the answer
}

awaitable<void> call(backend& server, limiter& limit, retry_budget& budget, backoff pauses) {
    budget.called();
    for (int attempt = 1;; ++attempt) {
        error_code ec;
        co_await server.async_call(with_permit(limit, redirect_error(use_awaitable, ec)));
        if (!ec)
            co_return;
        if (attempt == 4 || !worth_a_retry(ec) || !budget.take())
            throw boost::system::system_error(ec);
        // The place is free again, and another call may have it during the pause.
        asio::steady_timer pause(co_await asio::this_coro::executor, pauses.next());
        co_await pause.async_wait(use_awaitable);
    }
}
//! [retry]

//! [breaker]
/// Closed: all calls start. Open: none does until the pause is over. Half-open: one call tries, and
/// its result decides. For one thread, or one strand.
class circuit_breaker {
public:
    using time_point = std::chrono::steady_clock::time_point;
    enum class state { closed, open, half_open };

    circuit_breaker(int failures, std::chrono::steady_clock::duration pause) :
        most_(failures), pause_(pause) {}

    bool refuses(time_point now) const { return state_ != state::closed && now < next_try_; }

    /// A number to report the call's result with; none if the call must not start.
    std::optional<std::uint64_t> start(time_point now) {
        if (refuses(now))
            return {};
        if (state_ != state::closed) // if this call is never reported, another one tries later
            enter(state::half_open, now);
        return generation_;
    }

    void report(std::uint64_t started, bool failed, time_point now) {
        if (started != generation_)
            return; // it began before the breaker opened
        if (!failed)
            failures_ = 0, state_ = state::closed;
        else if (state_ == state::half_open || ++failures_ == most_)
            failures_ = 0, enter(state::open, now);
    }

private:
    void enter(state s, time_point now) { state_ = s, next_try_ = now + pause_, ++generation_; }

    int most_, failures_ = 0; // failures in a row
    std::chrono::steady_clock::duration pause_;
    state state_ = state::closed;
    time_point next_try_{};
    std::uint64_t generation_ = 0;
};
//! [breaker]

circuit_breaker::time_point now; // of the tests
circuit_breaker::time_point clock_now() {
    return now;
}

//! [guarded]
const error_code circuit_open = // an error that no socket reports
    make_error_code(boost::system::errc::device_or_resource_busy);

awaitable<error_code> guarded_call(backend& server, circuit_breaker& breaker, limiter& limit) {
    if (breaker.refuses(clock_now()))
        co_return circuit_open; // takes no place in the queue
    error_code ec;
    admission place = co_await limit.async_admit(redirect_error(use_awaitable, ec));
    if (ec)
        co_return ec; // the limiter's refusal says nothing about the backend
    const auto started = breaker.start(clock_now());
    if (!started) { // the breaker has opened during the wait
        place.finish(asio_semaphore::outcome::ignored);
        co_return circuit_open;
    }
    co_await server.async_call(redirect_error(use_awaitable, ec));
    place.finish(ec);
    if (ec != asio::error::operation_aborted) // cancelled by the caller
        breaker.report(*started, ec.failed(), clock_now());
    co_return ec;
}
//! [guarded]

} // namespace

BOOST_FIXTURE_TEST_SUITE(doc_recipes_calls, fixture)

BOOST_AUTO_TEST_CASE(pauses_double_up_to_the_longest) {
    std::vector<std::int64_t> longest(6, 0);
    for (int i = 0; i < 1000; ++i) {
        backoff pauses(100us, 1000us);
        for (auto& most : longest)
            most = std::max<std::int64_t>(most, pauses.next().count());
    }
    const std::vector<std::int64_t> bounds{100, 200, 400, 800, 1000, 1000};
    for (std::size_t i = 0; i < bounds.size(); ++i) {
        BOOST_TEST(longest[i] <= bounds[i]);
        BOOST_TEST(longest[i] > bounds[i] * 9 / 10);
    }
}

BOOST_AUTO_TEST_CASE(a_call_is_retried_without_its_place) {
    limiter limit(context, 1);
    retry_budget budget;
    int failures = 2;
    server.outcome = [&] {
        return failures-- > 0 ? error_code(asio::error::connection_reset) : error_code();
    };
    start(call(server, limit, budget, backoff(0us, 0us)));
    run();
    BOOST_TEST(server.calls == 3);
    BOOST_TEST(limit.statistics().succeeded == 1u);
    BOOST_TEST(limit.statistics().ignored == 2u);

    // During a pause the one place is free.
    failures = 1;
    start(call(server, limit, budget, backoff(1h, 1h)));
    context.restart();
    context.poll();
    BOOST_TEST(limit.in_flight() == 0);
}

BOOST_AUTO_TEST_CASE(where_everything_fails_the_budget_ends_the_retries) {
    limiter limit(context, 1000);
    retry_budget budget;
    server.outcome = [] {
        return error_code(asio::error::connection_reset);
    };
    int failed = 0;
    for (int i = 0; i < 200; ++i)
        asio::co_spawn(
            context, call(server, limit, budget, backoff(0us, 0us)),
            [&](std::exception_ptr e) { failed += e != nullptr; });
    run();
    BOOST_TEST(failed == 200);
    // Ten to begin with. The calls have come at once, when there was no room for more in the
    // budget.
    BOOST_TEST(server.calls == 210);
    for (int i = 0; i < 100; ++i) {
        asio::co_spawn(
            context, call(server, limit, budget, backoff(0us, 0us)),
            [&](std::exception_ptr e) { failed += e != nullptr; });
        run();
    }
    BOOST_TEST(failed == 300);
    BOOST_TEST(server.calls == 310 + 10); // a tenth
}

BOOST_AUTO_TEST_CASE(what_the_limit_refuses_is_not_retried) {
    limiter limit(context, 1, {.max_waiting = 0});
    retry_budget budget;
    admission busy = limit.try_admit();
    bool failed = false;
    asio::co_spawn(
        context, call(server, limit, budget, backoff(0us, 0us)),
        [&](std::exception_ptr e) { failed = e != nullptr; });
    run();
    BOOST_TEST(failed);
    BOOST_TEST(limit.statistics().priorities[0].queue_full == 1u);
    busy.finish();
}

BOOST_AUTO_TEST_CASE(the_breaker_opens_tries_and_closes) {
    circuit_breaker breaker(3, 10s);
    circuit_breaker::time_point t{};
    const auto early = breaker.start(t);
    for (int i = 0; i < 2; ++i)
        breaker.report(breaker.start(t).value(), true, t);
    breaker.report(breaker.start(t).value(), false, t); // in a row only
    for (int i = 0; i < 3; ++i)
        breaker.report(breaker.start(t).value(), true, t);
    BOOST_TEST(breaker.refuses(t));
    BOOST_TEST(!breaker.start(t + 9s));
    breaker.report(early.value(), false, t); // began before it opened
    BOOST_TEST(breaker.refuses(t + 9s));

    t += 10s;
    BOOST_TEST(!breaker.refuses(t));
    auto attempt = breaker.start(t);
    BOOST_TEST((attempt && !breaker.start(t))); // one tries
    t += 5s;
    breaker.report(*attempt, true, t); // the pause begins anew
    BOOST_TEST(breaker.refuses(t + 9s));

    t += 10s;
    const auto lost = breaker.start(t); // cancelled, never reported
    BOOST_TEST(!breaker.start(t + 9s));
    t += 10s;
    attempt = breaker.start(t);
    BOOST_TEST(attempt.has_value());
    breaker.report(lost.value(), true, t);
    breaker.report(attempt.value(), false, t);
    BOOST_TEST(!breaker.refuses(t));
    BOOST_TEST((breaker.start(t) && breaker.start(t)));
}

BOOST_AUTO_TEST_CASE(a_breaker_before_a_limiter) {
    limiter limit(context, 2);
    circuit_breaker breaker(2, 10s);
    now = {};
    server.outcome = [] {
        return error_code(asio::error::timed_out);
    };
    std::vector<error_code> ends;
    const auto one = [&]() -> awaitable<void> {
        ends.push_back(co_await guarded_call(server, breaker, limit));
    };
    for (int i = 0; i < 10; ++i)
        start(one());
    run();
    // Two ran and failed. None of the eight that waited then has called the backend.
    BOOST_TEST(server.calls == 2);
    BOOST_TEST(std::count(ends.begin(), ends.end(), circuit_open) == 8);
    BOOST_TEST(limit.statistics().overloaded == 2u);
    BOOST_TEST(limit.statistics().ignored == 8u);
    BOOST_TEST(limit.statistics().unreported == 0u);

    start(one());
    run();
    BOOST_TEST(ends.back() == circuit_open);
    BOOST_TEST(limit.statistics().priorities[0].admitted == 10u); // not even asked for a place

    now += 10s;
    server.outcome = [] {
        return error_code();
    };
    start(one());
    start(one());
    run();
    BOOST_TEST(server.calls == 3); // one tries, the other one is refused
    start(one());
    run();
    BOOST_TEST(!ends.back());
    BOOST_TEST(server.calls == 4);
}

BOOST_AUTO_TEST_CASE(a_refusal_of_the_limiter_is_no_failure_of_the_backend) {
    limiter limit(context, 1, {.max_waiting = 0});
    circuit_breaker breaker(1, 10s);
    now = {};
    admission busy = limit.try_admit();
    start([&]() -> awaitable<void> {
        BOOST_TEST(
            (co_await guarded_call(server, breaker, limit) == asio_semaphore::condition::overload));
    });
    run();
    BOOST_TEST(!breaker.refuses(now));
    busy.finish();
}

BOOST_AUTO_TEST_SUITE_END()
