// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// with_permit and a limiter: which outcome is reported at the end of an operation, when the next
// request gets the place, and which stage a cancellation ends.

#include <asio_semaphore/limiter/with_permit.hpp>

#include "object_fixture.hpp"

#include <asio/with_permit_support.hpp>
#include <support/allocators.hpp>
#include <support/executors.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/system/system_error.hpp>

#if defined(BOOST_ASIO_HAS_CO_AWAIT)
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#endif

#include <exception>
#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace {

using namespace test;
using asio_semaphore::async_semaphore;
using asio_semaphore::with_permit;
using support::ending;
using support::ends;
using cancel = asio::cancellation_type;

/// An operation of any signature that posts its completion with these results.
template <typename Signature, typename Token, typename... Results>
auto at_once(asio::io_context& context, Token&& token, Results... results) {
    return asio::async_initiate<Token, Signature>(
        [&context](auto handler, auto... values) {
            asio::post(
                context,
                [h = std::move(handler), v = std::make_tuple(std::move(values)...)]() mutable {
                    std::apply([&](auto&... each) { std::move(h)(std::move(each)...); }, v);
                });
        },
        token, std::move(results)...);
}

struct with_permit_fixture : fixture {
    limiter limit{context, 1, patient()};
    support::manual_operation work{context.get_executor()};
    asio::cancellation_signal signal;
    ending end;

    auto cancellable() { return asio::bind_cancellation_slot(signal.slot(), ends(end)); }
    void complete(error_code ec = {}) {
        work.complete(ec);
        poll();
    }
    ~with_permit_fixture() { work.drop(); }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(limiter_with_permit, with_permit_fixture)

BOOST_AUTO_TEST_CASE(the_operation_runs_while_it_has_a_place) {
    std::optional<int> result;
    work.start(with_permit(limit, [&](error_code ec, int value) {
        BOOST_TEST(!ec);
        BOOST_TEST(limit.in_flight() == 0); // the place returned before the call
        BOOST_TEST(limit.statistics().succeeded == 1u);
        result = value;
    }));
    BOOST_TEST(work.started == 0); // never starts inside the initiating function
    poll();
    BOOST_TEST(work.started == 1);
    BOOST_TEST(limit.in_flight() == 1);
    work.complete({}, 42);
    poll();
    BOOST_TEST((result == 42));
}

BOOST_AUTO_TEST_CASE(the_request_gives_key_priority_and_weight) {
    limit.set_limit(5);
    work.start(with_permit(limit, {7, 2, 3}, ends(end)));
    poll();
    BOOST_TEST(work.running());
    const auto usage = limit.busiest_keys();
    BOOST_TEST_REQUIRE(usage.size() == 1u);
    BOOST_TEST(usage[0].key == 7u);
    BOOST_TEST(usage[0].in_flight == 3);
    complete();
    BOOST_TEST(end.succeeded());
    BOOST_TEST(limit.statistics().priorities[2].admitted == 1u);
    BOOST_TEST(limit.statistics().keys == 0u);
}

BOOST_AUTO_TEST_CASE(more_urgent_operations_start_first) {
    admission held = limit.try_admit();
    support::manual_operation urgent(context.get_executor());
    ending of_urgent;
    work.start(with_permit(limit, of_priority(3), ends(end)));
    urgent.start(with_permit(limit, of_priority(0), ends(of_urgent)));
    held.finish();
    poll();
    BOOST_TEST(urgent.running());
    BOOST_TEST(work.started == 0);
    urgent.complete();
    poll();
    BOOST_TEST(of_urgent.succeeded());
    BOOST_TEST(work.running());
    complete();
}

BOOST_AUTO_TEST_CASE(L74_the_admission_is_finished_with_the_operations_error_code) {
    const struct {
        error_code ec;
        ended how;
    } cases[] = {
        {{}, ended::success},
        {asio::error::eof, ended::ignored},
        {asio::error::operation_aborted, ended::ignored},
        {asio::error::timed_out, ended::overloaded},
        {asio::error::connection_refused, ended::overloaded},
    };
    for (const auto& c : cases) {
        BOOST_TEST_CONTEXT(c.ec.message()) {
            limiter own(context, 1, patient());
            end = {};
            work.start(with_permit(own, ends(end)));
            poll();
            complete(c.ec);
            BOOST_TEST(end.ec == c.ec);
            const limiter_statistics s = own.statistics();
            BOOST_TEST(s.succeeded == (c.how == ended::success ? 1u : 0u));
            BOOST_TEST(s.overloaded == (c.how == ended::overloaded ? 1u : 0u));
            BOOST_TEST(s.ignored == (c.how == ended::ignored ? 1u : 0u));
            BOOST_TEST(s.unreported == 0u);
            BOOST_TEST(s.in_flight == 0);
        }
    }
}

BOOST_AUTO_TEST_CASE(L74_classify_overrides_what_an_error_counts_as) {
    limiter_options o = patient();
    o.classify = [](const error_code& ec) {
        return ec == asio::error::eof ? ended::overloaded : ended::ignored;
    };
    limiter own(context, 1, o);
    for (const error_code ec : {error_code(), error_code(asio::error::eof), timed_out}) {
        work.start(with_permit(own, [](error_code, int) {}));
        poll();
        complete(ec);
    }
    BOOST_TEST(own.statistics().overloaded == 1u);
    BOOST_TEST(own.statistics().ignored == 2u);
}

BOOST_AUTO_TEST_CASE(an_exception_counts_by_its_code_if_it_has_one) {
    const auto thrown = [](const auto& e) {
        return std::make_exception_ptr(e);
    };
    using boost::system::system_error;
    const struct {
        const char* name;
        std::exception_ptr e;
        ended how;
    } cases[] = {
        {"none", nullptr, ended::success},
        {"timed out", thrown(system_error(timed_out)), ended::overloaded},
        {"end of file", thrown(system_error(asio::error::eof)), ended::ignored},
        {"no system_error", thrown(std::runtime_error("no")), ended::ignored},
        {"no std::exception", thrown(1), ended::ignored},
    };
    for (const auto& c : cases) {
        BOOST_TEST_CONTEXT(c.name) {
            limiter own(context, 1, patient());
            int calls = 0;
            at_once<void(std::exception_ptr)>(
                context, with_permit(own, [&](std::exception_ptr) { ++calls; }), c.e);
            at_once<void(std::exception_ptr, std::string)>(
                context, with_permit(own, [&](std::exception_ptr, const std::string&) { ++calls; }),
                c.e, std::string("text"));
            poll();
            BOOST_TEST(calls == 2);
            const limiter_statistics s = own.statistics();
            BOOST_TEST(s.succeeded == (c.how == ended::success ? 2u : 0u));
            BOOST_TEST(s.overloaded == (c.how == ended::overloaded ? 2u : 0u));
            BOOST_TEST(s.ignored == (c.how == ended::ignored ? 2u : 0u));
            BOOST_TEST(s.unreported == 0u);
        }
    }
}

BOOST_AUTO_TEST_CASE(a_completion_without_an_error_is_a_success) {
    std::vector<std::string> log;
    struct told {
        std::vector<std::string>* log;
        void operator()() const { log->push_back("nothing"); }
        void operator()(const error_code& ec) const { log->push_back(ec.message()); }
    };
    const auto start = [&](auto&& token) {
        return asio::async_initiate<decltype(token), void(), void(error_code)>(
            [this](auto handler) {
                asio::post(context, [h = std::move(handler)]() mutable { std::move(h)(); });
            },
            token);
    };
    start(with_permit(limit, told{&log}));
    poll();
    BOOST_TEST(limit.statistics().succeeded == 1u);
    limit.close();
    start(with_permit(limit, told{&log}));
    poll();
    const std::vector<std::string> expected{"nothing", closed.message()};
    BOOST_TEST(log == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(as_tuple_on_either_side_hides_no_error) {
    work.start(with_permit(limit, asio::as_tuple([&](std::tuple<error_code, int>) {})));
    poll();
    complete(timed_out);
    BOOST_TEST(limit.statistics().overloaded == 1u);
    work.start(asio::as_tuple(with_permit(limit, [&](std::tuple<error_code, int>) {})));
    poll();
    complete(timed_out);
    BOOST_TEST(limit.statistics().overloaded == 2u);
}

BOOST_AUTO_TEST_CASE(
    without_a_place_the_operation_is_never_started_and_its_other_results_are_empty) {
    limiter full(context, 1, patient(0)), gone(context, 1, patient());
    const admission held = full.try_admit();
    gone.close();
    const struct {
        const char* name;
        limiter& of;
        admission_request request;
        error_code expected;
    } cases[] = {
        {"queue full", full, {}, queue_full},
        {"no time", full, waiting_for(0s), timed_out},
        {"closed", gone, {}, closed},
        {"too much", limit, weighing(2), exceeds_max},
        {"negative", limit, weighing(-1), invalid_argument},
        {"no priority", limit, of_priority(4), invalid_argument},
    };
    for (const auto& c : cases) {
        BOOST_TEST_CONTEXT(c.name) {
            int calls = 0;
            work.start(with_permit(c.of, c.request, [&](error_code ec, int value) {
                ++calls;
                BOOST_TEST(ec == c.expected);
                BOOST_TEST(value == 0);
            }));
            at_once<void(std::exception_ptr, std::unique_ptr<int>)>(
                context,
                with_permit(
                    c.of, c.request,
                    [&](std::exception_ptr e, std::unique_ptr<int> none) {
                        ++calls;
                        BOOST_TEST(support::code_of(e) == c.expected);
                        BOOST_TEST(!none);
                    }),
                std::exception_ptr(), std::make_unique<int>(1));
            BOOST_TEST(calls == 0);
            poll();
            BOOST_TEST(calls == 2);
            BOOST_TEST(work.started == 0);
        }
    }
    BOOST_TEST(full.in_flight() == 1);
    BOOST_TEST(limit.in_flight() == 0);
    BOOST_TEST(limit.statistics().ignored == 0u); // this limiter admitted nothing
}

BOOST_AUTO_TEST_CASE(a_weight_of_zero_is_no_limit) {
    const admission held = limit.try_admit();
    work.start(with_permit(limit, weighing(0), ends(end)));
    poll();
    BOOST_TEST(work.running());
    complete();
    BOOST_TEST(end.succeeded());
    BOOST_TEST(limit.statistics().succeeded == 0u);
}

BOOST_AUTO_TEST_CASE(L75_a_start_that_throws_gives_the_place_back_unreported) {
    for (const bool waits : {false, true}) {
        BOOST_TEST_CONTEXT("waits " << waits) {
            limiter own(context, 1, patient());
            admission held = waits ? own.try_admit() : admission();
            end = {};
            work.at_start = [] {
                throw std::runtime_error("no start");
            };
            work.start(with_permit(own, ends(end)));
            held.finish();
            BOOST_CHECK_THROW(poll(), std::runtime_error);
            BOOST_TEST(end.was_dropped());
            BOOST_TEST(own.in_flight() == 0);
            BOOST_TEST(own.statistics().ignored == 1u);
            BOOST_TEST(own.statistics().unreported == 1u);
            work.at_start = [] {
            };
            end = {};
            work.start(with_permit(own, ends(end))); // the limiter still works
            poll();
            complete();
            BOOST_TEST(end.succeeded());
        }
    }
}

BOOST_AUTO_TEST_CASE(an_operation_that_drops_its_handler_gives_the_place_back_unreported) {
    work.start(with_permit(limit, ends(end)));
    poll();
    BOOST_TEST(limit.in_flight() == 1);
    work.drop();
    BOOST_TEST(end.was_dropped());
    BOOST_TEST(limit.in_flight() == 0);
    BOOST_TEST(limit.statistics().unreported == 1u);
}

BOOST_AUTO_TEST_CASE(an_operation_cancelled_while_it_waits_is_never_started) {
    for (const auto type : {cancel::terminal, cancel::partial, cancel::total}) {
        end = {};
        admission held = limit.try_admit();
        work.start(with_permit(limit, cancellable()));
        poll();
        signal.emit(type);
        BOOST_TEST(end.pending()); // never completes inside emit
        BOOST_TEST(limit.waiting() == 0u);
        poll();
        BOOST_TEST(end.failed(aborted));
        BOOST_TEST(work.started == 0);
    }
    BOOST_TEST(limit.statistics().priorities[0].cancelled == 3u);
}

BOOST_AUTO_TEST_CASE(an_operation_cancelled_between_the_grant_and_its_start_is_never_started) {
    work.start(with_permit(limit, cancellable())); // a place is free
    signal.emit(cancel::total);
    end.at_call = [&] {
        BOOST_TEST(limit.in_flight() == 0);
    };
    poll();
    BOOST_TEST(end.failed(aborted));
    BOOST_TEST(work.started == 0);
    BOOST_TEST(limit.statistics().ignored == 1u);
}

BOOST_AUTO_TEST_CASE(an_operation_cancelled_while_it_runs_keeps_its_place_until_it_has_completed) {
    operation behind;
    work.start(with_permit(limit, cancellable()));
    poll();
    limit.async_admit(behind.on_completion());
    signal.emit(cancel::partial);
    BOOST_TEST((work.cancelled == cancel::partial));
    BOOST_TEST(limit.in_flight() == 1);
    BOOST_TEST(limit.waiting() == 1u);
    poll();
    BOOST_TEST(end.failed(aborted));
    BOOST_TEST(behind.admitted());
    const limiter_statistics s = limit.statistics();
    BOOST_TEST(s.ignored == 1u);
    BOOST_TEST(s.unreported == 0u);
}

BOOST_AUTO_TEST_CASE(an_operation_that_ignores_the_cancellation_keeps_its_place_for_longer) {
    asio::steady_timer unrelated(context);
    const auto deaf = [&](auto&& token) {
        return asio::async_initiate<decltype(token), void(error_code)>(
            [&](auto handler) {
                unrelated.expires_at(asio::steady_timer::time_point::max());
                unrelated.async_wait(
                    [h = std::move(handler)](error_code) mutable { std::move(h)(error_code()); });
            },
            token);
    };
    deaf(with_permit(limit, cancellable()));
    poll();
    signal.emit(cancel::terminal);
    poll();
    BOOST_TEST(limit.in_flight() == 1);
    BOOST_TEST(end.pending());
    unrelated.cancel();
    poll();
    BOOST_TEST(end.succeeded());
    BOOST_TEST(limit.statistics().succeeded == 1u);
}

BOOST_AUTO_TEST_CASE(no_algorithm_sees_cancelled_waits_and_cancelled_operations) {
    int shown = 0;
    limiter_options o = patient(1000);
    o.algorithm = [&](const asio_semaphore::limit_sample& s) {
        ++shown;
        return s.limit * 2;
    };
    limiter own(context, 1, o);
    for (int i = 0; i < 200; ++i) {
        ending of_waiter;
        asio::cancellation_signal of_second;
        end = {};
        work.start(with_permit(own, cancellable()));
        poll();
        support::manual_operation never(context.get_executor());
        never.start(
            with_permit(own, asio::bind_cancellation_slot(of_second.slot(), ends(of_waiter))));
        let_time_pass();
        of_second.emit(cancel::terminal);
        signal.emit(cancel::terminal);
        poll();
        BOOST_TEST_REQUIRE(of_waiter.failed(aborted));
        BOOST_TEST_REQUIRE(end.failed(aborted));
    }
    BOOST_TEST(shown == 0);
    BOOST_TEST(own.limit() == 1.0);
}

BOOST_AUTO_TEST_CASE(L81_of_nested_limiters_the_outer_one_sees_the_overload_of_the_inner_one) {
    limiter inner(context, 1, patient(0));
    admission held = inner.try_admit();
    work.start(with_permit(limit, with_permit(inner, ends(end))));
    poll();
    BOOST_TEST(end.failed(queue_full));
    BOOST_TEST(work.started == 0);
    BOOST_TEST(limit.statistics().overloaded == 1u);
    BOOST_TEST(limit.in_flight() == 0);
    BOOST_TEST(inner.statistics().overloaded == 0u);
    held.finish();

    end = {};
    work.start(with_permit(limit, with_permit(inner, ends(end))));
    poll();
    BOOST_TEST(limit.in_flight() + inner.in_flight() == 2);
    complete(timed_out); // both limiters get the error of the operation
    BOOST_TEST(end.failed(timed_out));
    BOOST_TEST(limit.statistics().overloaded == 2u);
    BOOST_TEST(inner.statistics().overloaded == 1u);
}

BOOST_AUTO_TEST_CASE(limiters_and_semaphores_are_acquired_in_the_order_written) {
    async_semaphore semaphore(context, 0);
    admission held = limit.try_admit();
    const auto waiting = [&] {
        poll();
        return std::to_string(semaphore.waiting()) + std::to_string(limit.waiting());
    };
    work.start(with_permit(semaphore, with_permit(limit, ends(end))));
    BOOST_TEST(waiting() == "10");
    semaphore.release();
    BOOST_TEST(waiting() == "01");
    BOOST_TEST(work.started == 0);
    held.finish();
    BOOST_TEST(waiting() == "00");
    BOOST_TEST(work.running());
    end.at_call = [&] {
        BOOST_TEST(semaphore.available() == 1);
        BOOST_TEST(limit.in_flight() == 0);
    };
    complete();
    BOOST_TEST(end.succeeded());

    // The same with the limiter outside.
    end = {};
    held = limit.try_admit();
    auto permit = semaphore.try_acquire_permit();
    work.start(with_permit(limit, with_permit(semaphore, ends(end))));
    BOOST_TEST(waiting() == "01");
    held.finish();
    BOOST_TEST(waiting() == "10");
    BOOST_TEST(limit.in_flight() == 1);
    permit.reset();
    BOOST_TEST(waiting() == "00");
    complete(timed_out);
    BOOST_TEST(end.failed(timed_out));
    BOOST_TEST(limit.statistics().overloaded == 1u);
    BOOST_TEST(semaphore.available() == 1);
}

BOOST_AUTO_TEST_CASE(a_refusal_gives_back_what_outer_limits_granted) {
    async_semaphore semaphore(context, 1);
    limit.close();
    work.start(with_permit(semaphore, with_permit(limit, ends(end))));
    poll();
    BOOST_TEST(end.failed(closed));
    BOOST_TEST(semaphore.available() == 1);
    BOOST_TEST(work.started == 0);
}

BOOST_AUTO_TEST_CASE(a_partial_token_adapts_the_default_token_or_the_one_it_is_given) {
    limit.set_limit(5);
    work.start(with_permit(limit, weighing(3)))(ends(end)); // the default is deferred
    poll();
    BOOST_TEST(limit.in_flight() == 3);
    complete();
    BOOST_TEST(end.succeeded());

    end = {};
    work.start(with_permit(limit)(ends(end)));
    poll();
    BOOST_TEST(limit.in_flight() == 1);
    complete();
    BOOST_TEST(end.succeeded());

    end = {};
    (work.start(asio::deferred) | with_permit(limit, {4, 0, 2}))(ends(end));
    poll();
    BOOST_TEST(limit.in_flight() == 2);
    BOOST_TEST(limit.statistics().keys == 1u);
    complete();
    BOOST_TEST(end.succeeded());

    async_semaphore semaphore(context, 1);
    end = {};
    work.start(with_permit(semaphore, with_permit(limit, weighing(4))))(ends(end));
    poll();
    BOOST_TEST(limit.in_flight() == 4);
    BOOST_TEST(semaphore.available() == 0);
    complete();
    BOOST_TEST(end.succeeded());
    BOOST_TEST(limit.statistics().succeeded == 4u);
}

BOOST_AUTO_TEST_CASE(a_lazy_operation_follows_its_limiter_and_survives_it) {
    std::optional<limiter> first(std::in_place, context, 1, patient());
    auto lazy = work.start(with_permit(*first, asio::deferred));
    {
        limiter second(std::move(*first));
        first.reset();
        lazy(ends(end));
        poll();
        BOOST_TEST(second.in_flight() == 1);
        complete();
        BOOST_TEST(end.succeeded());
    }
    end = {};
    lazy(ends(end));
    poll();
    BOOST_TEST(end.failed(aborted));
    BOOST_TEST(work.started == 1);
}

BOOST_AUTO_TEST_CASE(an_operation_continues_after_the_end_of_its_limiter) {
    std::optional<limiter> own(std::in_place, context, 1, patient());
    work.start(with_permit(*own, ends(end)));
    poll();
    own.reset();
    complete();
    BOOST_TEST(end.succeeded());
}

BOOST_AUTO_TEST_CASE(a_destroyed_context_destroys_the_operation_in_both_stages) {
    for (const bool runs : {false, true}) {
        BOOST_TEST_CONTEXT("runs " << runs) {
            std::optional<asio::io_context> dying(std::in_place);
            limiter own(*dying, 1, patient());
            std::optional<asio::steady_timer> timer(
                std::in_place, *dying, asio::steady_timer::time_point::max());
            admission held = runs ? admission() : own.try_admit();
            end = {};
            timer->async_wait(with_permit(own, ends(end)));
            dying->poll();
            BOOST_TEST(own.in_flight() == 1);
            BOOST_TEST(own.waiting() == (runs ? 0u : 1u));
            timer.reset();
            dying.reset();
            BOOST_TEST(end.was_dropped());
            BOOST_TEST(own.in_flight() == (runs ? 0 : 1));
            held.finish();
        }
    }
}

BOOST_AUTO_TEST_CASE(an_operation_starts_and_completes_on_the_executor_of_its_handler) {
    support::tracking book;
    const support::tracker_executor<> tracked(context.get_executor(), book);
    work.at_start = [&] {
        BOOST_TEST(book.on_stack());
    };
    end.at_call = [&] {
        BOOST_TEST(book.on_stack());
    };
    admission held = limit.try_admit();
    work.start(with_permit(limit, asio::bind_executor(tracked, ends(end))));
    held.finish();
    poll();
    complete();
    BOOST_TEST(end.succeeded());
    work.at_start = [] {
    };
}

BOOST_AUTO_TEST_CASE(both_stages_use_the_handlers_allocator_and_leave_nothing_to_the_handler) {
    support::memory_book book;
    end.at_call = [&] {
        BOOST_TEST(book.live() == 0);
    };
    asio::steady_timer timer(context, asio::steady_timer::time_point::max());
    admission held = limit.try_admit();
    timer.async_wait(
        with_permit(limit, asio::bind_allocator(support::counting_allocator<>(book), ends(end))));
    const int waiting = book.allocated;
    BOOST_TEST(waiting > 0);
    held.finish();
    poll();
    BOOST_TEST(book.allocated > waiting);
    timer.cancel();
    poll();
    BOOST_TEST(end.failed(aborted));
}

BOOST_AUTO_TEST_CASE(with_permit_takes_other_tokens_and_can_be_stored) {
    std::future<int> future = work.start(with_permit(limit, of_key(1), asio::use_future));
    poll();
    work.complete({}, 5);
    poll();
    BOOST_TEST(future.get() == 5);

    int calls = 0;
    const auto stored = with_permit(limit, of_key(2), [&](error_code, int) { ++calls; });
    for (int i = 0; i < 2; ++i) {
        work.start(stored);
        poll();
        complete();
    }
    BOOST_TEST(calls == 2);
    BOOST_TEST(limit.statistics().succeeded == 3u);
}

#if defined(BOOST_ASIO_HAS_CO_AWAIT)
BOOST_AUTO_TEST_CASE(a_coroutine_runs_its_work_under_the_limit) {
    asio::steady_timer timer(context, asio::steady_timer::time_point::min());
    int done = 0;
    for (int i = 0; i < 3; ++i)
        asio::co_spawn(
            context,
            [&]() -> asio::awaitable<void> {
                co_await timer.async_wait(with_permit(limit, of_key(1), asio::use_awaitable));
                ++done;
            },
            asio::detached);
    context.run();
    BOOST_TEST(done == 3);
    BOOST_TEST(limit.statistics().succeeded == 3u);
}

// An exception of the coroutine is reported to the limiter too.
BOOST_AUTO_TEST_CASE(a_whole_coroutine_can_be_the_operation) {
    bool ended_with = false;
    asio::co_spawn(
        context,
        []() -> asio::awaitable<void> {
            throw boost::system::system_error(asio::error::timed_out);
            co_return;
        },
        with_permit(limit, [&](std::exception_ptr e) { ended_with = e != nullptr; }));
    context.run();
    BOOST_TEST(ended_with);
    BOOST_TEST(limit.statistics().overloaded == 1u);
}
#endif

BOOST_AUTO_TEST_SUITE_END()
