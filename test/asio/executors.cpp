// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore/async_semaphore.hpp>

#include <support/executors.hpp>
#include <support/handlers.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/io_context_strand.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/system_executor.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/test/unit_test.hpp>

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace {

namespace asio = boost::asio;
using asio_semaphore::async_semaphore;
using asio_semaphore::basic_async_semaphore;
using asio_semaphore::permit;
using boost::system::error_code;
using support::recording;
using support::result;
using support::tracker_executor;
using support::tracking;
using support::ways;
using support::wayward_executor;

using tracker = tracker_executor<>;

/// The context of the semaphore and that of the handlers, with a count of work for each.
struct fixture {
    asio::io_context io_context, handler_context;
    tracking io_book, handler_book;
    tracker io{io_context.get_executor(), io_book};
    tracker on_handler{handler_context.get_executor(), handler_book};
    basic_async_semaphore<tracker> semaphore{io, 1};

    void poll_both() {
        while (support::poll(io_context) + support::poll(handler_context) > 0) {
        }
    }
};

/// Each call of execute records how much work another executor has.
struct noting_executor {
    asio::io_context* context;
    const tracking* other;
    int* work;

    asio::execution_context& query(asio::execution::context_t) const noexcept { return *context; }
    static constexpr asio::execution::blocking_t query(asio::execution::blocking_t) noexcept {
        return asio::execution::blocking.never;
    }
    template <typename Function>
    void execute(Function&& f) const {
        *work = other->work;
        context->get_executor().execute(std::forward<Function>(f));
    }
    friend bool operator==(const noting_executor& a, const noting_executor& b) noexcept {
        return a.work == b.work;
    }
    [[maybe_unused]] friend bool
    operator!=(const noting_executor& a, const noting_executor& b) noexcept {
        return !(a == b);
    }
};

/// Runs many operations on two permits, and counts how many hold a permit at the same time.
template <typename Executor>
void crowd(const Executor& executor, const std::function<void()>& run) {
    basic_async_semaphore<Executor> semaphore(executor, 2);
    std::atomic<int> inside{0}, most{0}, done{0};
    constexpr int rounds = 500;
    for (int i = 0; i < rounds; ++i) {
        semaphore.async_acquire_permit([&](error_code ec, permit p) {
            if (ec)
                return;
            const int now = ++inside;
            int seen = most;
            while (seen < now && !most.compare_exchange_weak(seen, now)) {
            }
            --inside;
            p.reset();
            ++done;
        });
    }
    run();
    BOOST_TEST(done == rounds);
    BOOST_TEST(most <= 2);
    BOOST_TEST(semaphore.available() == 2);
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(asio_executors, fixture)

BOOST_AUTO_TEST_CASE(a_handler_without_executor_runs_on_the_semaphores_executor) {
    for (const bool waits : {false, true}) {
        BOOST_TEST_CONTEXT("waits " << waits) {
            permit held = waits ? semaphore.try_acquire_permit() : permit();
            bool inside = false, called = false;
            semaphore.async_acquire_permit([&](error_code, permit) {
                called = true;
                inside = io_book.on_stack();
            });
            held.reset();
            support::poll(io_context);
            BOOST_TEST(called);
            BOOST_TEST(inside);
        }
    }
}

BOOST_AUTO_TEST_CASE(a_handler_runs_on_its_associated_executor_and_nowhere_else) {
    for (const bool waits : {false, true}) {
        BOOST_TEST_CONTEXT("waits " << waits) {
            permit held = waits ? semaphore.try_acquire_permit() : permit();
            bool inside = false, called = false;
            semaphore.async_acquire_permit(asio::bind_executor(on_handler, [&](error_code, permit) {
                called = true;
                inside = handler_book.on_stack() && !io_book.on_stack();
            }));
            held.reset();
            poll_both();
            BOOST_TEST(called);
            BOOST_TEST(inside);
        }
    }
}

// The reference that get_executor() returns becomes invalid when the handler is moved.
BOOST_AUTO_TEST_CASE(a_handler_may_return_its_executor_by_reference) {
    struct handler {
        using executor_type = asio::any_io_executor;
        const executor_type& get_executor() const noexcept { return executor; }
        void operator()(error_code ec) { recorded(ec); }
        void operator()(error_code ec, permit held) { recorded(ec, std::move(held)); }

        executor_type executor;
        recording recorded;
    };
    async_semaphore plain(io_context, 1);
    for (const asio::any_io_executor& executor :
         {asio::any_io_executor(handler_context.get_executor()),
          asio::any_io_executor(io_context.get_executor())}) {
        result negative, first, second;
        plain.async_acquire_permit(-1, handler{executor, recording(negative)});
        plain.async_acquire_permit(handler{executor, recording(first)});
        plain.async_acquire(handler{executor, recording(second)});
        poll_both();
        BOOST_TEST(negative.failed(asio::error::invalid_argument));
        BOOST_TEST(first.succeeded());
        first.held.reset();
        poll_both();
        BOOST_TEST(second.succeeded());
        plain.release();
    }
}

BOOST_AUTO_TEST_CASE(every_other_end_of_an_operation_reaches_the_associated_executor_too) {
    asio::cancellation_signal signal;
    permit held = semaphore.try_acquire_permit();
    std::vector<std::string> ends;
    const auto end = [&](const char* name) {
        return asio::bind_executor(on_handler, [&ends, this, name](error_code ec, permit) {
            ends.push_back(std::string(name) + (handler_book.on_stack() && ec ? "" : " astray"));
        });
    };
    semaphore.async_acquire_permit(-1, end("negative"));
    semaphore.async_acquire_permit_for(std::chrono::seconds(-1), end("late"));
    semaphore.async_acquire_permit(asio::bind_cancellation_slot(signal.slot(), end("signal")));
    signal.emit(asio::cancellation_type::terminal);
    semaphore.async_acquire_permit(end("cancelled"));
    semaphore.cancel();
    semaphore.async_acquire_permit(end("closed"));
    semaphore.close();
    semaphore.async_acquire_permit(end("refused"));
    basic_async_semaphore<tracker>(io, 0).async_acquire_permit(end("destroyed"));
    BOOST_TEST(ends.empty());
    poll_both();
    const std::vector<std::string> expected{"negative", "late",    "signal",   "cancelled",
                                            "closed",   "refused", "destroyed"};
    BOOST_TEST(ends == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(no_handler_runs_inside_the_initiation_or_inside_a_call_that_ends_its_wait) {
    // Also on a thread that runs the context, and inside a strand, where the handler could run at
    // once.
    const auto strand = asio::make_strand(io_context);
    basic_async_semaphore<asio::strand<asio::io_context::executor_type>> on_strand(strand, 1);
    asio::cancellation_signal signal;
    int calls = 0;
    const auto count = [&](error_code, auto&&...) {
        ++calls;
    };
    bool done = false;
    asio::dispatch(strand, [&] {
        const auto still = [&](const char* after) {
            BOOST_TEST(calls == 0, "a handler ran inside " << after);
        };
        on_strand.async_acquire(count);
        still("async_acquire, granted");
        on_strand.async_acquire(-1, count);
        still("async_acquire, refused");
        on_strand.async_acquire_for(std::chrono::seconds(0), count);
        still("async_acquire_for, late");
        on_strand.async_acquire(count);
        still("async_acquire, queued");
        on_strand.release();
        still("release");
        on_strand.async_acquire_permit(asio::bind_cancellation_slot(signal.slot(), count));
        signal.emit(asio::cancellation_type::total);
        still("emit");
        {
            permit p(on_strand, std::adopt_lock);
            on_strand.async_acquire_permit(count);
        }
        still("a permit's destructor");
        on_strand.async_acquire(2, count);
        on_strand.cancel();
        still("cancel");
        on_strand.async_acquire(2, count);
        on_strand.async_acquire(count);
        on_strand.reduce(1);
        still("reduce");
        on_strand.close();
        still("close");
        {
            basic_async_semaphore<asio::strand<asio::io_context::executor_type>> dying(strand, 0);
            dying.async_acquire(count);
        }
        still("the destructor");
        done = true;
    });
    io_context.run();
    BOOST_TEST(done);
    BOOST_TEST(calls == 10);
}

BOOST_AUTO_TEST_CASE(no_handler_runs_inside_a_call_even_if_its_executor_would_run_it_at_once) {
    int ran = 0, calls = 0;
    const support::minimal_executor at_once{&ran};
    const auto count = [&] {
        return asio::bind_executor(at_once, [&](error_code, permit) { ++calls; });
    };
    semaphore.async_acquire_permit(count());
    BOOST_TEST(calls == 0);
    semaphore.async_acquire_permit(count());
    support::poll(io_context);
    BOOST_TEST(calls == 2);
    permit held = semaphore.try_acquire_permit();
    semaphore.async_acquire_permit(count());
    held.reset();
    BOOST_TEST(calls == 2);
    semaphore.async_acquire_permit(2, count());
    semaphore.cancel();
    BOOST_TEST(calls == 2);
    support::poll(io_context);
    BOOST_TEST(calls == 4);
    BOOST_TEST(ran == 4);
}

BOOST_AUTO_TEST_CASE(an_associated_executor_need_not_support_any_property) {
    int ran = 0;
    result now, later;
    semaphore.async_acquire_permit(
        asio::bind_executor(support::minimal_executor{&ran}, recording(now)));
    semaphore.async_acquire_permit(
        asio::bind_executor(support::minimal_executor{&ran}, recording(later)));
    support::poll(io_context);
    BOOST_TEST(now.succeeded());
    now.held.reset();
    support::poll(io_context);
    BOOST_TEST(later.succeeded());
    BOOST_TEST(ran == 2);
}

BOOST_AUTO_TEST_CASE(both_executors_have_outstanding_work_while_an_operation_waits) {
    const permit held = semaphore.try_acquire_permit();
    BOOST_TEST(io_book.work == 0);
    result waiting;
    semaphore.async_acquire_permit(asio::bind_executor(on_handler, recording(waiting)));
    BOOST_TEST(io_book.work >= 1);
    BOOST_TEST(handler_book.work >= 1);
    io_context.poll();
    handler_context.poll();
    BOOST_TEST(!io_context.stopped());
    BOOST_TEST(!handler_context.stopped());
    semaphore.cancel();
    poll_both();
    BOOST_TEST(waiting.failed(asio::error::operation_aborted));
    BOOST_TEST(io_book.work == 0);
    BOOST_TEST(handler_book.work == 0);
}

BOOST_AUTO_TEST_CASE(both_executors_have_outstanding_work_until_the_handler_has_been_submitted) {
    for (const bool waits : {false, true}) {
        BOOST_TEST_CONTEXT("waits " << waits) {
            permit held = waits ? semaphore.try_acquire_permit() : permit();
            int io_work = -1;
            semaphore.async_acquire_permit(asio::bind_executor(
                on_handler, [&](error_code, permit) { io_work = io_book.work; }));
            BOOST_TEST(io_book.work >= (waits ? 1 : 0));
            held.reset();
            // The handler's executor has the handler now, so the semaphore's has no work left.
            BOOST_TEST(io_book.work == 0);
            BOOST_TEST(handler_book.submitted == 1);
            BOOST_TEST(io_book.submitted == 0);
            BOOST_TEST(support::poll(handler_context) == 1u);
            BOOST_TEST(io_work == 0);
            BOOST_TEST(handler_book.work == 0);
            handler_book.submitted = 0;
        }
    }
}

BOOST_AUTO_TEST_CASE(the_semaphores_executor_has_work_while_the_handler_is_submitted_elsewhere) {
    int work = 0;
    permit held = semaphore.try_acquire_permit();
    result r;
    semaphore.async_acquire_permit(
        asio::bind_executor(noting_executor{&handler_context, &io_book, &work}, recording(r)));
    held.reset();
    BOOST_TEST(work >= 1);
    BOOST_TEST(io_book.work == 0);
    support::poll(handler_context);
    BOOST_TEST(r.succeeded());
}

BOOST_AUTO_TEST_CASE(run_returns_only_once_a_waiting_operation_is_over) {
    // The common case, with semaphore and handler on one io_context, has its own code path.
    async_semaphore plain(io_context, 0);
    bool called = false;
    plain.async_acquire_permit([&](error_code, permit) { called = true; });
    std::thread giver([&] {
        while (plain.waiting() == 0)
            std::this_thread::yield();
        plain.release();
    });
    io_context.run();
    giver.join();
    BOOST_TEST(called);
}

BOOST_AUTO_TEST_CASE(run_of_the_handlers_context_returns_only_once_the_operation_is_over) {
    async_semaphore plain(io_context, 0);
    bool called = false;
    plain.async_acquire_permit(asio::bind_executor(
        handler_context.get_executor(), [&](error_code, permit) { called = true; }));
    std::thread giver([&] {
        plain.release();
        io_context.run();
    });
    handler_context.run();
    giver.join();
    BOOST_TEST(called);
}

BOOST_AUTO_TEST_CASE(an_abandoned_operation_leaves_no_work_behind) {
    {
        asio::io_context dying;
        basic_async_semaphore<tracker> other(tracker(dying.get_executor(), io_book), 0);
        auto owner = std::make_shared<basic_async_semaphore<tracker>>(std::move(other));
        // The handler owns the semaphore, so the context is destroyed first.
        owner->async_acquire(asio::bind_executor(on_handler, [owner](error_code) {}));
        BOOST_TEST(handler_book.work >= 1);
        BOOST_TEST(io_book.work >= 1);
    }
    BOOST_TEST(handler_book.work == 0);
    BOOST_TEST(io_book.work == 0);
}

// A handler with its own executor is posted there directly. So it does not matter whether the
// semaphore's executor is a strand, or belongs to a context that is busy or that no thread runs.
BOOST_AUTO_TEST_CASE(a_semaphore_on_a_strand_does_not_make_its_holders_take_turns) {
    const auto strand = asio::make_strand(io_context);
    async_semaphore many(strand, 3, 3);
    std::atomic<int> inside{0};
    for (int i = 0; i < 3; ++i)
        many.async_acquire_permit(
            asio::bind_executor(asio::make_strand(io_context), [&](error_code, permit) {
                // Ends only if all three run at the same time.
                ++inside;
                while (inside < 3)
                    std::this_thread::yield();
            }));
    support::run_on_threads(io_context, 3);
    BOOST_TEST(inside == 3);
}

BOOST_AUTO_TEST_CASE(a_context_that_nobody_runs_holds_up_no_handler_elsewhere) {
    async_semaphore idle(io_context, 1, 1);
    result first, second, refused, late;
    const auto there = [&](result& r) {
        return asio::bind_executor(handler_context.get_executor(), recording(r));
    };
    idle.async_acquire_permit(there(first));
    idle.async_acquire_permit(there(second));
    idle.async_acquire_permit(2, there(refused));
    idle.async_acquire_permit_for(std::chrono::seconds(0), there(late));
    handler_context.poll();
    BOOST_TEST(first.succeeded());
    BOOST_TEST(refused.failed(asio_semaphore::error::exceeds_max));
    BOOST_TEST(late.failed(asio::error::timed_out));
    first.held.reset();
    handler_context.poll();
    BOOST_TEST(second.succeeded());
}

BOOST_AUTO_TEST_CASE(a_context_may_end_while_a_handler_is_on_its_way_elsewhere) {
    for (const bool waits : {false, true}) {
        BOOST_TEST_CONTEXT("waits " << waits) {
            result on_its_way;
            {
                asio::io_context ending;
                async_semaphore other(ending, 1, 1);
                permit held = waits ? other.try_acquire_permit() : permit();
                other.async_acquire_permit(
                    asio::bind_executor(handler_context.get_executor(), recording(on_its_way)));
            }
            support::poll(handler_context);
            BOOST_TEST(on_its_way.succeeded());
            on_its_way.held.reset();
        }
    }
}

BOOST_AUTO_TEST_CASE(a_handler_on_a_minimal_executor_is_submitted_through_the_semaphores_executor) {
    int ran = 0;
    result granted, queued;
    const auto minimal = [&](result& r) {
        return asio::bind_executor(support::minimal_executor{&ran}, recording(r));
    };
    semaphore.async_acquire_permit(minimal(granted));
    semaphore.async_acquire_permit(minimal(queued));
    BOOST_TEST(io_book.submitted == 1);
    BOOST_TEST(ran == 0);
    support::poll(io_context);
    BOOST_TEST(granted.succeeded());
    granted.held.reset();
    BOOST_TEST(ran == 1);
    support::poll(io_context);
    BOOST_TEST(queued.succeeded());
    BOOST_TEST(io_book.work == 0);
}

// asio::post to a system_executor would start threads without the program's knowledge.
BOOST_AUTO_TEST_CASE(
    a_handler_on_the_system_executor_is_submitted_through_the_semaphores_executor) {
    std::thread::id ran_on;
    for (const bool waits : {false, true}) {
        BOOST_TEST_CONTEXT("waits " << waits) {
            ran_on = std::thread::id();
            permit held = waits ? semaphore.try_acquire_permit() : permit();
            semaphore.async_acquire_permit(
                asio::bind_executor(asio::system_executor(), [&](error_code, permit) {
                    ran_on = std::this_thread::get_id();
                }));
            held.reset();
            BOOST_TEST(io_book.submitted == (waits ? 2 : 1));
            BOOST_TEST(support::poll(io_context) == 1u);
            BOOST_TEST((ran_on == std::this_thread::get_id()));
        }
    }
}

BOOST_AUTO_TEST_CASE(a_strand_serialises_the_handlers_bound_to_it) {
    const auto strand = asio::make_strand(io_context);
    async_semaphore many(io_context, 4);
    int plain_counter = 0, astray = 0;
    for (int i = 0; i < 400; ++i) {
        many.async_acquire_permit(asio::bind_executor(strand, [&](error_code, permit) {
            ++plain_counter; // unsynchronised on purpose
            astray += !strand.running_in_this_thread();
        }));
    }
    support::run_on_threads(io_context, 3);
    BOOST_TEST(plain_counter == 400);
    BOOST_TEST(astray == 0);
    BOOST_TEST(many.available() == 4);
}

BOOST_AUTO_TEST_CASE(a_strand_may_be_the_semaphores_own_executor) {
    const auto strand = asio::make_strand(io_context);
    basic_async_semaphore<asio::strand<asio::io_context::executor_type>> own(strand, 1);
    async_semaphore erased(asio::any_io_executor(strand), 1);
    int calls = 0, astray = 0;
    const auto look = [&](error_code, permit) {
        ++calls;
        astray += !strand.running_in_this_thread();
    };
    for (int i = 0; i < 100; ++i) {
        own.async_acquire_permit(look);
        erased.async_acquire_permit(look);
    }
    support::run_on_threads(io_context, 3);
    BOOST_TEST(calls == 200);
    BOOST_TEST(astray == 0);
}

BOOST_AUTO_TEST_CASE(handlers_may_be_bound_to_an_io_context_strand) {
    asio::io_context::strand strand(io_context);
    async_semaphore one(io_context, 1);
    int calls = 0, astray = 0;
    const auto look = [&](error_code, permit) {
        ++calls;
        astray += !strand.running_in_this_thread();
    };
    for (int i = 0; i < 10; ++i)
        one.async_acquire_permit(asio::bind_executor(strand, look));
    io_context.run();
    BOOST_TEST(calls == 10);
    BOOST_TEST(astray == 0);
}

BOOST_AUTO_TEST_CASE(an_io_context_strand_may_be_the_semaphores_own_executor) {
    asio::io_context::strand strand(io_context);
    basic_async_semaphore<asio::io_context::strand> own(strand, 1);
    int calls = 0, astray = 0;
    const auto look = [&](error_code, permit) {
        ++calls;
        astray += !strand.running_in_this_thread();
    };
    for (int i = 0; i < 10; ++i)
        own.async_acquire_permit(look);
    own.async_acquire_permit_for(std::chrono::hours(1), look);
    io_context.run();
    BOOST_TEST(calls == 11);
    BOOST_TEST(astray == 0);
}

BOOST_AUTO_TEST_CASE(a_semaphore_works_on_one_thread_on_many_and_on_a_pool) {
    crowd(io_context.get_executor(), [&] { io_context.run(); });
    io_context.restart();
    crowd(io_context.get_executor(), [&] { support::run_on_threads(io_context, 4); });
    asio::thread_pool pool(4);
    crowd(pool.get_executor(), [&] { pool.wait(); });
}

BOOST_AUTO_TEST_CASE(a_semaphore_works_on_a_pool_with_a_type_erased_executor) {
    asio::thread_pool pool(3);
    crowd(asio::any_io_executor(pool.get_executor()), [&] { pool.wait(); });
}

BOOST_AUTO_TEST_CASE(a_semaphore_works_on_the_system_executor) {
    static_assert(
        std::is_same_v<
            basic_async_semaphore<asio::system_executor>::executor_type, asio::system_executor>);
    basic_async_semaphore<asio::system_executor> system(asio::system_executor(), 1);
    std::promise<bool> same, queued;
    const auto here = std::this_thread::get_id();
    permit kept;
    system.async_acquire_permit([&](error_code, permit p) {
        kept = std::move(p);
        same.set_value(std::this_thread::get_id() == here);
    });
    BOOST_TEST(!same.get_future().get());
    system.async_acquire_permit_for(std::chrono::hours(1), [&](error_code ec, permit p) {
        p.reset();
        queued.set_value(!ec && std::this_thread::get_id() != here);
    });
    kept.reset();
    BOOST_TEST(queued.get_future().get());
    BOOST_TEST(system.available() == 1);
}

BOOST_AUTO_TEST_CASE(a_semaphore_of_static_duration_on_the_system_executor_dies_safely) {
    static basic_async_semaphore<asio::system_executor> late(asio::system_executor(), 0);
    static async_semaphore later(asio::any_io_executor(asio::system_executor()), 0);
    late.async_acquire([](error_code) {});
    later.async_acquire_for(std::chrono::hours(1), [](error_code) {});
    BOOST_TEST(late.waiting() == 1u);
    BOOST_TEST(later.waiting() == 1u);
}

BOOST_AUTO_TEST_CASE(a_custom_executor_may_be_the_semaphores_own) {
    ways how;
    basic_async_semaphore<wayward_executor> own(wayward_executor(io_context, how), 1);
    async_semaphore erased(asio::any_io_executor(io), 1);
    result a, b, c, d;
    own.async_acquire_permit(recording(a));
    own.async_acquire_permit_for(std::chrono::hours(1), recording(b));
    erased.async_acquire_permit(recording(c));
    erased.async_acquire_permit_for(std::chrono::hours(1), recording(d));
    support::poll(io_context);
    a.held.reset();
    c.held.reset();
    support::poll(io_context);
    BOOST_TEST(b.succeeded());
    BOOST_TEST(d.succeeded());
    BOOST_TEST(how.seen > 0);
    BOOST_TEST(io_book.ran > 0);
}

BOOST_AUTO_TEST_CASE(an_executor_that_reorders_keeps_the_order_of_grants) {
    ways how;
    how.now = ways::way::hold;
    basic_async_semaphore<wayward_executor> own(wayward_executor(io_context, how), 0);
    std::vector<int> ran;
    std::vector<permit> permits;
    for (int i = 0; i < 3; ++i)
        own.async_acquire_permit([&, i](error_code, permit p) {
            ran.push_back(i);
            permits.push_back(std::move(p));
        });
    own.release(2);
    BOOST_TEST(own.waiting() == 1u);
    BOOST_TEST(how.held() == 2u);
    how.run_held_in_reverse();
    const std::vector<int> expected{1, 0};
    BOOST_TEST(ran == expected, boost::test_tools::per_element());
    own.cancel();
    how.run_held_in_reverse();
}

BOOST_AUTO_TEST_CASE(operations_survive_stop_and_restart) {
    async_semaphore plain(io_context, 1);
    result first, second;
    plain.async_acquire_permit(recording(first));
    plain.async_acquire_permit(recording(second));
    io_context.stop();
    BOOST_TEST(io_context.poll() == 0u);
    BOOST_TEST(first.pending());
    io_context.restart();
    io_context.poll();
    BOOST_TEST(first.succeeded());
    first.held.reset();
    io_context.poll();
    BOOST_TEST(second.succeeded());
}

BOOST_AUTO_TEST_CASE(what_happens_before_a_release_is_visible_after_the_acquire) {
    // Only the semaphore orders the accesses. ThreadSanitizer reports a missing order.
    asio::thread_pool pool(3);
    async_semaphore mutex(pool.get_executor(), 1);
    int unsynchronised = 0;
    for (int i = 0; i < 300; ++i)
        mutex.async_acquire([&](error_code) {
            ++unsynchronised;
            mutex.release();
        });
    for (int i = 0; i < 300;) {
        if (!mutex.try_acquire()) {
            std::this_thread::yield();
            continue;
        }
        ++unsynchronised;
        ++i;
        mutex.release();
    }
    pool.wait();
    BOOST_TEST(unsynchronised == 600);
}

BOOST_AUTO_TEST_SUITE_END()
