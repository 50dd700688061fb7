// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore/with_permit.hpp>

#include <asio/with_permit_support.hpp>
#include <support/allocators.hpp>
#include <support/executors.hpp>
#include <support/handlers.hpp>

#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/system_executor.hpp>
#include <boost/asio/use_future.hpp>
#if ASIO_SEMAPHORE_HAS_IMMEDIATE_EXECUTOR
#include <boost/asio/bind_immediate_executor.hpp>
#endif
#include <boost/test/unit_test.hpp>

#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace asio = boost::asio;
using asio_semaphore::async_semaphore;
using asio_semaphore::with_permit;
using boost::system::error_code;
using support::ending;
using support::ends;
using support::poll;

namespace {

const error_code aborted = asio::error::operation_aborted;
const error_code closed = asio_semaphore::error::closed;
using cancel = asio::cancellation_type;

struct fixture {
    asio::io_context context;
    async_semaphore sem{context, 1, 4};
    support::manual_operation operation{context.get_executor()};
    asio::cancellation_signal signal;
    ending end;

    auto cancellable() { return asio::bind_cancellation_slot(signal.slot(), ends(end)); }
    ~fixture() { operation.drop(); }
};

/// An operation of any signature that completes at once, on its executor.
template <typename... Signatures, typename Executor, typename Token, typename... Results>
auto at_once(const Executor& executor, Token&& token, Results... results) {
    return asio::async_initiate<Token, Signatures...>(
        [executor](auto handler, auto... values) {
            asio::post(executor, [h = std::move(handler), ... v = std::move(values)]() mutable {
                std::move(h)(std::move(v)...);
            });
        },
        token, std::move(results)...);
}

/// A token that compares the initiation's executor with the expected one.
struct probe {
    bool* same;
    asio::any_io_executor expected;
};

} // namespace

template <typename... Signatures>
struct boost::asio::async_result<probe, Signatures...> {
    template <typename Initiation, typename... Args>
    static void initiate(const Initiation& initiation, const probe& p, Args&&...) {
        *p.same = initiation.get_executor() == p.expected;
    }
};

BOOST_FIXTURE_TEST_SUITE(with_permit_, fixture)

BOOST_AUTO_TEST_CASE(the_operation_runs_while_the_permit_is_held) {
    std::optional<int> result;
    operation.start(with_permit(sem, [&](error_code ec, int value) {
        BOOST_TEST(!ec);
        BOOST_TEST(sem.available() == 1); // the permit returned before the call
        result = value;
    }));
    BOOST_TEST(operation.started == 0); // never starts inside the initiating function
    poll(context);
    BOOST_TEST(operation.started == 1);
    BOOST_TEST(sem.available() == 0);
    operation.complete({}, 42);
    poll(context);
    BOOST_TEST((result == 42));
    BOOST_TEST(sem.available() == 1);
}

BOOST_AUTO_TEST_CASE(the_count_says_how_many_permits_it_takes) {
    sem.release(3);
    operation.start(with_permit(sem, 3, ends(end)));
    poll(context);
    BOOST_TEST(operation.running());
    BOOST_TEST(sem.available() == 1);
    operation.complete();
    poll(context);
    BOOST_TEST(end.succeeded());
    BOOST_TEST(sem.available() == 4);
}

BOOST_AUTO_TEST_CASE(operations_start_in_the_order_of_initiation) {
    auto held = sem.try_acquire_permit();
    support::manual_operation second(context.get_executor());
    ending second_end;
    operation.start(with_permit(sem, ends(end)));
    second.start(with_permit(sem, ends(second_end)));
    poll(context);
    BOOST_TEST(operation.started + second.started == 0);
    BOOST_TEST(sem.waiting() == 2u);
    held.reset();
    poll(context);
    BOOST_TEST(operation.started == 1);
    BOOST_TEST(second.started == 0);
    // The next waiter gets the permit before the handler of the first is called.
    end.at_call = [&] {
        BOOST_TEST(sem.waiting() == 0u);
    };
    operation.complete();
    poll(context);
    BOOST_TEST(second.started == 1);
    second.complete();
    poll(context);
    BOOST_TEST(second_end.succeeded());
    BOOST_TEST(sem.available() == 1);
}

BOOST_AUTO_TEST_CASE(the_handler_can_start_the_next_operation_with_the_permit_that_came_back) {
    int left = 10;
    std::function<void(error_code, int)> again = [&](error_code, int) {
        if (--left > 0)
            operation.start(with_permit(sem, again));
    };
    operation.start(with_permit(sem, again));
    poll(context);
    while (operation.running()) {
        operation.complete();
        poll(context);
    }
    BOOST_TEST(operation.started == 10);
    BOOST_TEST(sem.available() == 1);
}

BOOST_AUTO_TEST_CASE(without_a_permit_the_operation_is_never_started) {
    const struct {
        std::ptrdiff_t n;
        bool close;
        error_code expected;
    } cases[] = {
        {1, true, asio_semaphore::error::closed},
        {0, true, asio_semaphore::error::closed},
        {5, false, asio_semaphore::error::exceeds_max},
        {-1, false, asio::error::invalid_argument},
    };
    for (const auto& c : cases) {
        BOOST_TEST_CONTEXT("n " << c.n << ", closed " << c.close) {
            async_semaphore own(context, 1, 4);
            if (c.close)
                own.close();
            bool called = false;
            operation.start(with_permit(own, c.n, [&](error_code ec, int value) {
                called = true;
                BOOST_TEST(ec == c.expected);
                BOOST_TEST(value == 0);
            }));
            BOOST_TEST(!called);
            poll(context);
            BOOST_TEST(called);
            BOOST_TEST(operation.started == 0);
            BOOST_TEST(own.available() == 1);
        }
    }
}

BOOST_AUTO_TEST_CASE(a_count_of_zero_is_no_limit) {
    auto held = sem.try_acquire_permit();
    operation.start(with_permit(sem, 0, ends(end)));
    poll(context);
    BOOST_TEST(operation.running());
    operation.complete();
    poll(context);
    BOOST_TEST(end.succeeded());
}

BOOST_AUTO_TEST_CASE(every_signature_that_begins_with_an_error_can_be_limited) {
    const auto ex = context.get_executor();
    std::vector<error_code> errors;
    const auto record = [&](const auto& error, const auto&...) {
        errors.push_back(support::code_of(error));
    };
    using std::exception_ptr;
    using text = std::string;
    const auto run = [&] {
        at_once<void(error_code)>(ex, with_permit(sem, record), error_code());
        at_once<void(const error_code&)>(ex, with_permit(sem, record), error_code());
        at_once<void(error_code, const text&)>(ex, with_permit(sem, record), error_code(), text());
        at_once<void(error_code, std::unique_ptr<int>)>(
            ex, with_permit(sem, record), error_code(), std::make_unique<int>(3));
        at_once<void(error_code, int&)>(
            ex, with_permit(sem, [&](error_code ec, const int&) { record(ec); }), error_code(), 1);
        at_once<void(exception_ptr)>(ex, with_permit(sem, record), exception_ptr());
        at_once<void(exception_ptr, text)>(
            ex, with_permit(sem, record), exception_ptr(), text("done"));
        at_once<void(error_code, int) &&>(ex, with_permit(sem, record), error_code(), 1);
        at_once<void(error_code, int) noexcept>(ex, with_permit(sem, record), error_code(), 1);
        poll(context);
    };
    run();
    BOOST_TEST(errors.size() == 9u);
    for (const auto& ec : errors)
        BOOST_TEST(!ec);
    BOOST_TEST(sem.available() == 1);
    errors.clear();
    sem.close();
    run();
    BOOST_TEST(errors.size() == 9u);
    for (const auto& ec : errors)
        BOOST_TEST(ec == closed);
    BOOST_TEST(sem.available() == 1);
}

namespace {

struct no_default {
    explicit no_default(int) {}
};

/// Records which of its overloads was called.
struct overloaded {
    std::vector<std::string>* log;

    void operator()() const { log->push_back("nothing"); }
    void operator()(error_code ec, no_default) const {
        log->push_back("no_default " + ec.message());
    }
    void operator()(error_code ec, int value) const {
        log->push_back(ec ? "error" : std::to_string(value));
    }
};

} // namespace

BOOST_AUTO_TEST_CASE(of_several_signatures_the_first_with_an_error_reports_the_failure) {
    std::vector<std::string> log;
    const auto run = [&](auto... results) {
        at_once<void(), void(error_code, no_default), void(error_code, int)>(
            context.get_executor(), with_permit(sem, overloaded{&log}), results...);
        poll(context);
    };
    run();
    run(error_code(), 7);
    sem.close();
    run();
    const std::vector<std::string> expected{"nothing", "7", "error"};
    BOOST_TEST(log == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(arguments_of_the_initiation_are_kept_until_the_operation_starts) {
    auto held = sem.try_acquire_permit();
    std::string got;
    {
        std::string name = "copied";
        auto token = with_permit(sem, ends(end));
        asio::async_initiate<decltype(token), void(error_code)>(
            [&](auto handler, std::unique_ptr<int> owned, std::string text) {
                got = text + std::to_string(*owned);
                asio::post(
                    context, [h = std::move(handler)]() mutable { std::move(h)(error_code()); });
            },
            token, std::make_unique<int>(5), name);
        name = "gone";
    }
    held.reset();
    poll(context);
    BOOST_TEST(got == "copied5");
    BOOST_TEST(end.succeeded());
}

BOOST_AUTO_TEST_CASE(an_operation_cancelled_while_it_waits_is_never_started) {
    for (const auto type : {cancel::terminal, cancel::partial, cancel::total}) {
        end = {};
        auto held = sem.try_acquire_permit();
        operation.start(with_permit(sem, cancellable()));
        poll(context);
        signal.emit(cancel::none);
        poll(context);
        BOOST_TEST(end.pending());
        signal.emit(type);
        BOOST_TEST(end.pending()); // never completes inside emit
        BOOST_TEST(sem.waiting() == 0u);
        held.reset();
        poll(context);
        BOOST_TEST(end.failed(aborted));
        BOOST_TEST(operation.started == 0);
        BOOST_TEST(sem.available() == 1);
    }
}

BOOST_AUTO_TEST_CASE(an_operation_cancelled_between_the_grant_and_its_start_is_never_started) {
    operation.start(with_permit(sem, cancellable())); // a permit is free
    signal.emit(cancel::total);
    poll(context);
    BOOST_TEST(end.failed(aborted));
    BOOST_TEST(sem.available() == 1);

    end = {};
    auto held = sem.try_acquire_permit();
    operation.start(with_permit(sem, cancellable()));
    held.reset(); // granted from here on
    BOOST_TEST(sem.waiting() == 0u);
    signal.emit(cancel::terminal);
    end.at_call = [&] {
        BOOST_TEST(sem.available() == 1); // the permit returned before the call
    };
    poll(context);
    BOOST_TEST(end.failed(aborted));
    BOOST_TEST(operation.started == 0);
}

BOOST_AUTO_TEST_CASE(a_cancellation_type_without_effect_on_an_acquire_does_not_prevent_the_start) {
    for (const auto type : {cancel::none, static_cast<cancel>(8)}) {
        end = {};
        operation.start(with_permit(sem, cancellable())); // a permit is free
        signal.emit(type);
        poll(context);
        BOOST_TEST(operation.running());
        operation.complete();
        poll(context);
        BOOST_TEST(end.succeeded());
    }
}

BOOST_AUTO_TEST_CASE(an_operation_cancelled_while_it_runs_sees_the_type_that_was_emitted) {
    for (const auto type : {cancel::terminal, cancel::partial, cancel::total}) {
        end = {};
        operation.start(with_permit(sem, cancellable()));
        poll(context);
        BOOST_TEST(operation.running());
        signal.emit(type);
        BOOST_TEST((operation.cancelled == type));
        BOOST_TEST(sem.available() == 0); // the operation has not completed yet
        poll(context);
        BOOST_TEST(end.failed(aborted));
        BOOST_TEST(sem.available() == 1);
    }
}

BOOST_AUTO_TEST_CASE(emitting_after_the_end_has_no_effect) {
    operation.start(with_permit(sem, cancellable()));
    poll(context);
    operation.complete();
    poll(context);
    signal.emit(cancel::terminal);
    signal.emit(cancel::terminal);
    poll(context);
    BOOST_TEST(end.succeeded());
    BOOST_TEST(sem.available() == 1);
}

// Asio's own cancellation handler would use the destroyed timer.
BOOST_AUTO_TEST_CASE(emitting_after_the_io_object_was_destroyed_has_no_effect) {
    for (const bool completes : {true, false}) {
        end = {};
        std::optional<asio::io_context> dying(std::in_place);
        std::optional<asio::steady_timer> timer(
            std::in_place, *dying, asio::steady_timer::time_point::max());
        async_semaphore limit(*dying, 1);
        timer->async_wait(
            with_permit(limit, asio::bind_cancellation_slot(signal.slot(), ends(end))));
        poll(*dying);
        BOOST_TEST(limit.available() == 0);
        if (completes) {
            timer->cancel();
            poll(*dying);
        }
        timer.reset();
        dying.reset();
        BOOST_TEST((completes ? end.failed(aborted) : end.was_dropped()));
        signal.emit(cancel::terminal);
        signal.emit(cancel::none);
        BOOST_TEST(limit.available() == 1);
    }
}

BOOST_AUTO_TEST_CASE(a_slot_used_for_another_operation_cancels_only_that_one) {
    int others = 0;
    auto held = sem.try_acquire_permit();
    operation.start(with_permit(sem, cancellable()));
    signal.slot().assign([&](cancel) { ++others; });
    signal.emit(cancel::terminal);
    poll(context);
    BOOST_TEST(sem.waiting() == 1u);
    BOOST_TEST(end.pending());
    held.reset();
    poll(context);
    BOOST_TEST(operation.running());
    signal.emit(cancel::terminal);
    poll(context);
    BOOST_TEST(others == 2);
    BOOST_TEST((operation.cancelled == cancel::none));
    operation.complete();
    poll(context);
    BOOST_TEST(end.succeeded());
}

BOOST_AUTO_TEST_CASE(the_signal_may_die_in_either_stage) {
    for (const bool starts : {false, true}) {
        for (const bool while_it_waits : {true, false}) {
            BOOST_TEST_CONTEXT("starts " << starts << ", dies while it waits " << while_it_waits) {
                async_semaphore limit(context, 0);
                auto brief = std::make_unique<asio::cancellation_signal>();
                end = {};
                operation.start(
                    with_permit(limit, asio::bind_cancellation_slot(brief->slot(), ends(end))));
                if (while_it_waits)
                    brief.reset();
                poll(context);
                BOOST_TEST(limit.waiting() == 1u);
                if (starts)
                    limit.release();
                else
                    limit.close();
                poll(context);
                brief.reset();
                BOOST_TEST(operation.running() == starts);
                if (starts)
                    operation.complete();
                poll(context);
                BOOST_TEST((starts ? end.succeeded() : end.failed(closed)));
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(the_slot_may_serve_the_next_operation_while_the_first_runs) {
    support::manual_operation second(context.get_executor());
    ending second_end;
    sem.release();
    operation.start(with_permit(sem, cancellable()));
    poll(context);
    second.start(with_permit(sem, asio::bind_cancellation_slot(signal.slot(), ends(second_end))));
    poll(context);
    signal.emit(cancel::partial);
    poll(context);
    BOOST_TEST(operation.running());
    BOOST_TEST(second_end.failed(aborted));
    operation.complete();
    poll(context);
    BOOST_TEST(end.succeeded());
}

BOOST_AUTO_TEST_CASE(an_exception_from_the_start_of_the_operation_gives_the_permit_back) {
    operation.at_start = [] {
        throw std::runtime_error("no start");
    };
    operation.start(with_permit(sem, ends(end)));
    BOOST_CHECK_EXCEPTION(poll(context), std::runtime_error, [](const auto& e) {
        return e.what() == std::string("no start");
    });
    BOOST_TEST(end.was_dropped());
    BOOST_TEST(sem.available() == 1);
    end = {};
    operation.at_start = [] {
    };
    operation.start(with_permit(sem, ends(end))); // the limit still works
    poll(context);
    operation.complete();
    poll(context);
    BOOST_TEST(end.succeeded());
}

BOOST_AUTO_TEST_CASE(
    an_exception_from_a_start_after_a_wait_gives_back_the_permits_of_nested_limits) {
    async_semaphore other(context, 1);
    for (async_semaphore* const awaited : {&sem, &other}) {
        end = {};
        auto held = awaited->try_acquire_permit();
        operation.at_start = [] {
            throw std::runtime_error("no start");
        };
        operation.start(with_permit(sem, with_permit(other, ends(end))));
        poll(context);
        held.reset();
        BOOST_CHECK_THROW(poll(context), std::runtime_error);
        BOOST_TEST(end.was_dropped());
        BOOST_TEST(sem.available() == 1);
        BOOST_TEST(other.available() == 1);
    }
}

// Both for an operation that was granted but not started, and for one that runs.
BOOST_AUTO_TEST_CASE(the_permit_of_a_dropped_handler_is_given_back_before_its_destruction) {
    for (const bool waits : {false, true}) {
        for (const bool runs : {false, true}) {
            BOOST_TEST_CONTEXT("waits " << waits << ", runs " << runs) {
                std::optional<asio::io_context> dying(std::in_place);
                async_semaphore limit(*dying, waits ? 0 : 1);
                support::manual_operation doomed(dying->get_executor());
                std::ptrdiff_t seen = -1;
                doomed.start(with_permit(limit, [last = support::at_exit([&] {
                                                     seen = limit.available();
                                                 })](error_code, int) mutable {}));
                if (waits)
                    limit.release();
                if (runs)
                    poll(*dying);
                BOOST_TEST(doomed.running() == runs);
                BOOST_TEST(limit.available() == 0);
                doomed.drop();
                dying.reset();
                BOOST_TEST(seen == 1);
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(
    the_arguments_of_an_operation_never_started_are_destroyed_before_the_handler_call) {
    const auto argument = std::make_shared<int>(1);
    sem.close();
    end.at_call = [&] {
        BOOST_TEST(argument.use_count() == 1);
    };
    const auto start = [](auto&& token, std::shared_ptr<int> first, std::shared_ptr<int> second) {
        using token_type = std::decay_t<decltype(token)>;
        return asio::async_initiate<token_type, void(error_code)>(
            [captured = std::move(first)](auto, const std::shared_ptr<int>&) {}, token,
            std::move(second));
    };
    start(with_permit(sem, ends(end)), argument, argument);
    BOOST_TEST(argument.use_count() > 1);
    poll(context);
    BOOST_TEST(end.failed(closed));
}

BOOST_AUTO_TEST_CASE(an_operation_that_drops_its_handler_gives_the_permit_back) {
    operation.start(with_permit(sem, ends(end)));
    poll(context);
    BOOST_TEST(sem.available() == 0);
    operation.drop();
    BOOST_TEST(end.was_dropped());
    BOOST_TEST(sem.available() == 1);
}

BOOST_AUTO_TEST_CASE(the_operation_starts_on_its_own_executor_and_not_on_the_semaphores) {
    asio::io_context other;
    support::manual_operation elsewhere(other.get_executor());
    auto held = sem.try_acquire_permit();
    elsewhere.start(with_permit(sem, ends(end)));
    other.poll();
    BOOST_TEST(!other.stopped()); // the waiting operation keeps its context busy
    held.reset();
    poll(context);
    BOOST_TEST(elsewhere.started == 0);
    poll(other);
    BOOST_TEST(elsewhere.started == 1);
    elsewhere.complete();
    other.poll();
    BOOST_TEST(end.succeeded());
    BOOST_TEST(other.stopped());
    BOOST_TEST(sem.available() == 1);
}

// A strand guards the I/O object. The operation must start on that strand, even if the handler's
// executor runs functions inline, as that of use_future does.
BOOST_AUTO_TEST_CASE(
    the_operation_starts_on_its_own_executor_even_if_the_handlers_executor_runs_inline) {
    asio::io_context other;
    const auto strand = asio::make_strand(other);
    support::manual_operation guarded(strand);
    guarded.at_start = [&] {
        BOOST_TEST(strand.running_in_this_thread());
    };
    for (const bool waits : {false, true}) {
        for (const bool future : {false, true}) {
            auto held = waits ? sem.try_acquire_permit() : asio_semaphore::permit();
            std::future<int> result;
            end = {};
            if (future)
                result = guarded.start(with_permit(sem, asio::use_future));
            else
                guarded.start(
                    with_permit(sem, asio::bind_executor(asio::system_executor(), ends(end))));
            held.reset();
            poll(context);
            poll(other);
            BOOST_TEST(guarded.running());
            guarded.complete({}, 5);
            poll(other);
            BOOST_TEST((future ? result.get() == 5 : end.succeeded()));
        }
    }
}

BOOST_AUTO_TEST_CASE(the_operations_executor_is_kept_busy_also_if_the_handler_has_another) {
    asio::io_context other;
    support::manual_operation elsewhere(other.get_executor());
    auto held = sem.try_acquire_permit();
    elsewhere.start(with_permit(sem, asio::bind_executor(context.get_executor(), ends(end))));
    other.poll();
    BOOST_TEST(!other.stopped());
    held.reset();
    poll(context);
    BOOST_TEST(elsewhere.started == 0);
    other.poll();
    BOOST_TEST(elsewhere.started == 0);
    BOOST_TEST(!other.stopped());
    poll(context);
    BOOST_TEST(elsewhere.started == 1);
    other.poll();
    BOOST_TEST(other.stopped()); // a running operation keeps its context busy itself
    elsewhere.complete();
    poll(other);
    poll(context);
    BOOST_TEST(end.succeeded());
}

BOOST_AUTO_TEST_CASE(the_operation_starts_and_completes_on_the_executor_of_its_handler) {
    support::tracking book;
    const support::tracker_executor<> tracked(context.get_executor(), book);
    operation.at_start = [&] {
        BOOST_TEST(book.on_stack());
    };
    end.at_call = [&] {
        BOOST_TEST(book.on_stack());
    };
    auto held = sem.try_acquire_permit();
    operation.start(with_permit(sem, asio::bind_executor(tracked, ends(end))));
    held.reset();
    poll(context);
    operation.complete();
    poll(context);
    BOOST_TEST(end.succeeded());

    end.calls = 0; // the same for an operation that never starts
    sem.close();
    operation.start(with_permit(sem, asio::bind_executor(tracked, ends(end))));
    poll(context);
    BOOST_TEST(end.failed(closed));
    BOOST_TEST(operation.started == 1);
}

BOOST_AUTO_TEST_CASE(both_stages_use_the_handlers_allocator_and_leave_nothing_to_the_handler) {
    support::memory_book book;
    end.at_call = [&] {
        BOOST_TEST(book.live() == 0);
    };
    asio::steady_timer timer(context, asio::steady_timer::time_point::max());
    auto held = sem.try_acquire_permit();
    timer.async_wait(
        with_permit(sem, asio::bind_allocator(support::counting_allocator<>(book), ends(end))));
    const int waiting = book.allocated;
    BOOST_TEST(waiting > 0);
    held.reset();
    poll(context);
    BOOST_TEST(book.allocated > waiting);
    timer.cancel();
    poll(context);
    BOOST_TEST(end.failed(aborted));
}

#if ASIO_SEMAPHORE_HAS_IMMEDIATE_EXECUTOR
BOOST_AUTO_TEST_CASE(with_an_immediate_executor_the_operation_starts_at_once_where_it_belongs) {
    int ran = 0;
    const support::minimal_executor immediate{&ran};
    const auto start = [&] {
        operation.start(with_permit(sem, asio::bind_immediate_executor(immediate, ends(end))));
    };
    start(); // not called on the operation's executor
    BOOST_TEST(ran == 1);
    BOOST_TEST(operation.started == 0);
    poll(context);
    BOOST_TEST(operation.started == 1);
    operation.complete();
    poll(context);
    BOOST_TEST(end.succeeded());

    end.calls = 0;
    asio::post(context, [&] {
        start();
        BOOST_TEST(ran == 2);
        BOOST_TEST(operation.started == 2);
    });
    poll(context);
    operation.complete();
    poll(context);
    BOOST_TEST(end.succeeded());

    end.calls = 0;
    sem.close();
    asio::post(context, [&] {
        start();
        BOOST_TEST(end.failed(closed));
    });
    poll(context);
    BOOST_TEST(ran == 3);
    BOOST_TEST(operation.started == 2);
}

BOOST_AUTO_TEST_CASE(the_operation_may_complete_at_once_on_the_immediate_executor) {
    int ran = 0;
    const support::minimal_executor immediate{&ran};
    bool found = false;
    const auto start = [&](auto token) {
        asio::async_initiate<decltype(token), void(error_code)>(
            [&](auto handler) {
                const auto executor =
                    asio::get_associated_immediate_executor(handler, context.get_executor());
                found = std::is_same_v<decltype(executor), const support::minimal_executor>;
                asio::dispatch(executor, [h = std::move(handler)]() mutable { h(error_code()); });
            },
            token);
    };
    start(with_permit(sem, asio::bind_immediate_executor(immediate, ends(end))));
    poll(context);
    BOOST_TEST(found);
    BOOST_TEST(ran == 2);
    BOOST_TEST(end.succeeded());
    BOOST_TEST(sem.available() == 1);
}
#endif

BOOST_AUTO_TEST_CASE(a_lazy_operation_takes_its_place_when_it_starts) {
    auto lazy = operation.start(with_permit(sem, asio::deferred));
    poll(context);
    BOOST_TEST(sem.available() == 1);
    for (int i = 0; i < 2; ++i) { // an lvalue can be started several times
        end.calls = 0;
        lazy(ends(end));
        poll(context);
        BOOST_TEST(operation.running());
        operation.complete();
        poll(context);
        BOOST_TEST(end.succeeded());
    }
    BOOST_TEST(sem.available() == 1);
}

BOOST_AUTO_TEST_CASE(a_lazy_operation_follows_its_semaphore_and_survives_it) {
    std::optional<async_semaphore> first(std::in_place, context, 1);
    auto lazy = operation.start(with_permit(*first, asio::deferred));
    {
        async_semaphore second(std::move(*first));
        first.reset();
        lazy(ends(end));
        poll(context);
        BOOST_TEST(second.available() == 0);
        operation.complete();
        poll(context);
        BOOST_TEST(end.succeeded());
    }
    end.calls = 0;
    lazy(ends(end));
    poll(context);
    BOOST_TEST(end.failed(aborted));
    BOOST_TEST(operation.started == 1);
}

BOOST_AUTO_TEST_CASE(a_token_can_be_stored_and_used_again) {
    int calls = 0;
    const auto constant = with_permit(sem, [&](error_code, int) { ++calls; });
    auto variable = with_permit(sem, [&, owned = std::string(100, 'x')](error_code, int) {
        BOOST_TEST(owned.size() == 100u);
        ++calls;
    });
    const auto run = [&](auto& token) {
        operation.start(token);
        poll(context);
        operation.complete();
        poll(context);
    };
    run(constant);
    run(constant);
    run(variable);
    run(variable);
    BOOST_TEST(calls == 4);
}

BOOST_AUTO_TEST_CASE(nested_limits_are_acquired_in_the_order_written) {
    async_semaphore a(context, 0), b(context, 0), c(context, 0);
    const auto waiting = [&] {
        poll(context);
        return std::to_string(a.waiting()) + std::to_string(b.waiting()) +
               std::to_string(c.waiting());
    };
    operation.start(with_permit(a, with_permit(b, with_permit(c, 2, ends(end)))));
    BOOST_TEST(waiting() == "100");
    a.release();
    BOOST_TEST(waiting() == "010");
    b.release();
    BOOST_TEST(waiting() == "001");
    BOOST_TEST(operation.started == 0);
    c.release(2);
    BOOST_TEST(waiting() == "000");
    BOOST_TEST(operation.running());
    operation.complete();
    poll(context);
    BOOST_TEST(end.succeeded());
    BOOST_TEST(a.available() == 1);
    BOOST_TEST(b.available() == 1);
    BOOST_TEST(c.available() == 2);

    // The same with partial tokens.
    a.reduce(1);
    operation.start(with_permit(a, with_permit(b)))(ends(end));
    operation.start(with_permit(a)(with_permit(b, ends(end))));
    operation.start(with_permit(a, with_permit(b, with_permit(c))))(ends(end));
    BOOST_TEST(waiting() == "300");
    BOOST_TEST(b.available() == 1);
    BOOST_TEST(c.available() == 2);
}

BOOST_AUTO_TEST_CASE(a_nested_limit_that_fails_gives_the_outer_one_back) {
    async_semaphore inner(context, 1);
    inner.close();
    operation.start(with_permit(sem, with_permit(inner, ends(end))));
    poll(context);
    BOOST_TEST(end.failed(closed));
    BOOST_TEST(sem.available() == 1);
    BOOST_TEST(operation.started == 0);
}

BOOST_AUTO_TEST_CASE(cancellation_reaches_every_stage_of_nested_limits) {
    async_semaphore inner(context, 0);
    operation.start(with_permit(sem, with_permit(inner, cancellable())));
    poll(context);
    BOOST_TEST(inner.waiting() == 1u);
    signal.emit(cancel::total);
    poll(context);
    BOOST_TEST(end.failed(aborted));
    BOOST_TEST(sem.available() == 1);
    BOOST_TEST(inner.waiting() == 0u);

    end.calls = 0;
    inner.release();
    operation.start(with_permit(sem, with_permit(inner, cancellable())));
    poll(context);
    signal.emit(cancel::partial);
    BOOST_TEST((operation.cancelled == cancel::partial));
    poll(context);
    BOOST_TEST(end.failed(aborted));
    BOOST_TEST(sem.available() == 1);
    BOOST_TEST(inner.available() == 1);
}

BOOST_AUTO_TEST_CASE(the_same_semaphore_twice_takes_two_permits) {
    sem.release();
    operation.start(with_permit(sem, with_permit(sem, ends(end))));
    poll(context);
    BOOST_TEST(operation.running());
    BOOST_TEST(sem.available() == 0);
    operation.complete();
    poll(context);
    BOOST_TEST(end.succeeded());
    BOOST_TEST(sem.available() == 2);
}

BOOST_AUTO_TEST_CASE(the_same_semaphore_twice_with_one_permit_waits_for_itself_until_cancelled) {
    operation.start(with_permit(sem, with_permit(sem, cancellable())));
    poll(context);
    BOOST_TEST(end.pending());
    BOOST_TEST(sem.waiting() == 1u);
    signal.emit(cancel::terminal);
    poll(context);
    BOOST_TEST(end.failed(aborted));
    BOOST_TEST(sem.available() == 1);
}

BOOST_AUTO_TEST_CASE(a_partial_token_adapts_the_operations_default_token_or_the_one_it_is_given) {
    sem.release(3);
    operation.start(with_permit(sem, 3))(ends(end)); // the default is deferred
    poll(context);
    BOOST_TEST(sem.available() == 1);
    operation.complete();
    poll(context);
    BOOST_TEST(end.succeeded());

    end.calls = 0;
    operation.start(with_permit(sem)(ends(end)));
    poll(context);
    BOOST_TEST(sem.available() == 3);
    operation.complete();
    poll(context);
    BOOST_TEST(end.succeeded());

    end.calls = 0;
    (operation.start(asio::deferred) | with_permit(sem, 2))(ends(end));
    poll(context);
    BOOST_TEST(sem.available() == 2);
    operation.complete();
    poll(context);
    BOOST_TEST(end.succeeded());
    BOOST_TEST(sem.available() == 4);
}

BOOST_AUTO_TEST_CASE(the_initiation_has_the_executor_of_the_wrapped_one) {
    asio::io_context other;
    support::manual_operation elsewhere(other.get_executor());
    bool same = false;
    elsewhere.start(with_permit(sem, probe{&same, other.get_executor()}));
    BOOST_TEST(same);
}

BOOST_AUTO_TEST_SUITE_END()
