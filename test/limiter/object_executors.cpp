// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// On which executors the limiter's handlers run, and that they never run inside a call into the
// library. Also what the handlers' allocators and executors may do.

#include <asio_semaphore/limiter/limiter.hpp>

#include "object_fixture.hpp"

#include <support/allocators.hpp>
#include <support/executors.hpp>

#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/system_executor.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/version.hpp>

#if BOOST_VERSION >= 108200
#include <boost/asio/bind_immediate_executor.hpp>
#endif

#include <algorithm>
#include <future>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <utility>

namespace {

using namespace test;
using support::executor_failure;
using support::tracking;
using support::ways;
using support::wayward_executor;
using tracker = support::tracker_executor<>;

/// A limiter whose only place is taken, and one operation that waits.
struct one_waits : fixture {
    one_waits() { limit->async_admit(of_priority(3), waiter.on_completion(signal.slot())); }

    std::optional<limiter> limit{std::in_place, context, 1, patient(1)};
    asio::cancellation_signal signal;
    admission held = limit->try_admit();
    operation waiter;
};

/// The context of the limiter and that of the handlers, with a count of work for each.
struct executors_fixture : fixture {
    asio::io_context other;
    tracking io_book, handler_book;
    tracker io{context.get_executor(), io_book};
    tracker on_handler{other.get_executor(), handler_book};
    basic_limiter<tracker> limit{io, 1, patient()};
    ways how;
    basic_limiter<wayward_executor> wayward{wayward_executor(context, how), 1, patient(1000000)};

    void poll_both() {
        while (support::poll(context) + support::poll(other) > 0) {
        }
    }
};

constexpr int many = 100000;

struct move_failure : std::runtime_error {
    move_failure() : std::runtime_error("the handler's move") {}
};

/// A handler whose moves start to throw on demand.
class fragile {
public:
    /// @param moves_left how many moves still succeed; negative: all
    fragile(operation::handler to, int& moves_left) :
        to_(std::move(to)), moves_left_(&moves_left) {}
    fragile(fragile&& other) :
        to_((other.spend(), std::move(other.to_))), moves_left_(other.moves_left_) {}
    fragile& operator=(fragile&&) = delete;

    void operator()(error_code ec, admission held = {}) { to_(ec, std::move(held)); }

private:
    void spend() {
        if (*moves_left_ == 0)
            throw move_failure();
        if (*moves_left_ > 0)
            --*moves_left_;
    }

    operation::handler to_;
    int* moves_left_;
};

/// Takes the limiter's lock whenever it is moved or destroyed. If the library did that under the
/// lock, the test would hang.
class locks_when_touched {
public:
    locks_when_touched(limiter& limit, int& calls) : limit_(&limit), calls_(&calls) {}
    locks_when_touched(locks_when_touched&& other) noexcept :
        limit_(other.limit_), calls_(other.calls_) {
        touch();
    }
    locks_when_touched& operator=(locks_when_touched&&) = delete;
    ~locks_when_touched() { touch(); }

    void operator()(error_code, admission = {}) {
        touch();
        ++*calls_;
    }

private:
    void touch() noexcept { (void)limit_->statistics(); }

    limiter* limit_;
    int* calls_;
};

/// An allocator that does the same.
template <typename T = void>
class locking_allocator {
public:
    using value_type = T;

    locking_allocator(limiter& limit, int& calls) noexcept : limit_(&limit), calls_(&calls) {}
    template <typename U>
    locking_allocator(const locking_allocator<U>& other) noexcept :
        limit_(other.limit_), calls_(other.calls_) {}

    T* allocate(std::size_t n) {
        touch();
        return std::allocator<T>().allocate(n);
    }
    void deallocate(T* p, std::size_t n) noexcept {
        std::allocator<T>().deallocate(p, n);
        touch();
    }

    template <typename U>
    bool operator==(const locking_allocator<U>& o) const noexcept {
        return limit_ == o.limit_;
    }
    template <typename U>
    bool operator!=(const locking_allocator<U>& o) const noexcept {
        return limit_ != o.limit_;
    }

private:
    template <typename>
    friend class locking_allocator;
    void touch() const noexcept {
        ++*calls_;
        (void)limit_->statistics();
    }
    limiter* limit_;
    int* calls_;
};

} // namespace

BOOST_AUTO_TEST_SUITE(limiter_object_executors)

BOOST_AUTO_TEST_CASE(L94_nothing_that_ends_a_wait_calls_the_handler) {
    const struct {
        const char* name;
        void (*end)(one_waits&);
        error_code ec;
    } cases[] = {
        {"finish", [](one_waits& f) { f.held.finish(); }, success},
        {"finish by a code", [](one_waits& f) { f.held.finish(timed_out); }, success},
        {"reset", [](one_waits& f) { f.held.reset(); }, success},
        {"an admission's destructor", [](one_waits& f) { admission dies(std::move(f.held)); },
         success},
        {"an admission's assignment", [](one_waits& f) { f.held = admission(); }, success},
        {"set_limit", [](one_waits& f) { f.limit->set_limit(2); }, success},
        {"a cancellation signal",
         [](one_waits& f) { f.signal.emit(asio::cancellation_type::total); }, aborted},
        {"cancel", [](one_waits& f) { f.limit->cancel(); }, aborted},
        {"close", [](one_waits& f) { f.limit->close(); }, closed},
        {"an eviction", [](one_waits& f) { f.limit->async_admit([](error_code, admission) {}); },
         shed},
        {"destruction", [](one_waits& f) { f.limit.reset(); }, aborted},
        {"move assignment", [](one_waits& f) { *f.limit = limiter(f.context, 1); }, aborted},
    };
    for (const auto& c : cases) {
        BOOST_TEST_CONTEXT(c.name) {
            one_waits f;
            bool ran_in_call = true;
            // Also if the call is made inside another handler, on a thread that runs the context.
            asio::post(f.context, [&] {
                c.end(f);
                ran_in_call = f.waiter.called();
            });
            f.poll();
            BOOST_TEST(!ran_in_call);
            BOOST_TEST(f.waiter.completed_with(c.ec));

            one_waits outside;
            c.end(outside);
            BOOST_TEST(outside.waiter.pending());
            outside.poll();
            BOOST_TEST(outside.waiter.completed_with(c.ec));
        }
    }
}

BOOST_AUTO_TEST_CASE(L94_no_initiation_calls_the_handler) {
    const struct {
        const char* name;
        admission_request request;
        void (*before)(limiter&);
        error_code ec;
    } cases[] = {
        {"admitted", {}, [](limiter&) {}, success},
        {"for a key", of_key(1), [](limiter&) {}, success},
        {"of no weight", weighing(0), [](limiter&) {}, success},
        {"negative", weighing(-1), [](limiter&) {}, invalid_argument},
        {"no priority", of_priority(9), [](limiter&) {}, invalid_argument},
        {"too much", weighing(3), [](limiter&) {}, exceeds_max},
        {"without time", {0, 0, 2, 0s}, [](limiter&) {}, timed_out},
        {"queue full", weighing(2), [](limiter&) {}, queue_full},
        {"closed", {}, [](limiter& l) { l.close(); }, closed},
    };
    for (const auto& c : cases) {
        BOOST_TEST_CONTEXT(c.name) {
            fixture f;
            limiter own(f.context, 2, patient(0));
            const admission held = own.try_admit();
            operation o;
            bool ran_in_call = true;
            c.before(own);
            asio::post(f.context, [&] {
                own.async_admit(c.request, o.on_completion());
                ran_in_call = o.called();
            });
            f.poll();
            BOOST_TEST(!ran_in_call);
            BOOST_TEST(o.completed_with(c.ec));
        }
    }
}

BOOST_FIXTURE_TEST_CASE(a_handler_may_use_every_member_of_its_limiter, fixture) {
    limiter own(context, 1, patient());
    operation behind, started, closed_later, idle;
    bool ran = false;
    admission held = own.try_admit();
    own.async_admit([&](error_code ec, admission place) {
        BOOST_TEST(!ec);
        BOOST_TEST(own.waiting() == 1u);
        BOOST_TEST(!own.try_admit());
        own.set_limit(2);
        BOOST_TEST(own.waiting() == 0u);
        own.async_admit(started.on_completion());
        BOOST_TEST(own.cancel() == 1u);
        own.async_wait_idle(idle.on_completion());
        own.async_admit(closed_later.on_completion());
        own.close();
        place.finish();
        BOOST_TEST(own.statistics().succeeded == 2u);
        ran = true;
    });
    own.async_admit(behind.on_completion());
    held.finish();
    poll();
    BOOST_TEST(ran);
    BOOST_TEST(behind.admitted());
    BOOST_TEST(started.failed(aborted));
    BOOST_TEST(closed_later.failed(closed));
    BOOST_TEST(idle.pending());
    behind.held().finish();
    poll();
    BOOST_TEST(idle.completed_with(success));
}

BOOST_AUTO_TEST_CASE(no_lock_is_held_while_a_handler_moves_runs_or_is_destroyed) {
    int calls = 0;
    std::optional<asio::io_context> doomed(std::in_place);
    limiter own(*doomed, 1, patient(6));
    asio::cancellation_signal cancel;
    admission held = own.try_admit();
    own.async_admit(of_priority(1), locks_when_touched(own, calls)); // is evicted
    own.async_admit(asio::bind_cancellation_slot(cancel.slot(), locks_when_touched(own, calls)));
    for (int i = 0; i < 5; ++i)
        own.async_admit(of_key(7), locks_when_touched(own, calls));
    own.async_admit(of_key(7), locks_when_touched(own, calls)); // finds a full queue
    own.async_wait_idle(locks_when_touched(own, calls));
    cancel.emit(asio::cancellation_type::terminal);
    doomed->poll();
    BOOST_TEST(calls == 3);
    held.finish();
    doomed->poll();
    BOOST_TEST(calls == 9); // each handler returns its place at once; at last the limiter is idle
    held = own.try_admit();
    own.async_admit(locks_when_touched(own, calls));
    own.async_admit(locks_when_touched(own, calls));
    held.finish(); // now one is being delivered, and one waits
    doomed.reset();
    BOOST_TEST(own.in_flight() == 0);
}

BOOST_FIXTURE_TEST_CASE(no_lock_is_held_while_an_allocator_is_called, fixture) {
    limiter watched(context, 1, patient());
    int calls = 0;
    operation now, later, elsewhere, cancelled;
    asio::io_context other;
    const auto locking = [&](const operation& o) {
        return asio::bind_allocator(locking_allocator<>(watched, calls), o.on_completion());
    };
    watched.async_admit(locking(now));
    watched.async_admit(of_key(4), locking(later));
    watched.async_admit(asio::bind_executor(other, locking(elsewhere)));
    watched.async_admit(locking(cancelled));
    poll();
    now.held().finish();
    poll();
    later.held().finish();
    watched.cancel();
    poll();
    other.poll();
    BOOST_TEST(calls > 0);
    BOOST_TEST(elsewhere.admitted());
    BOOST_TEST(cancelled.failed(aborted));
}

BOOST_FIXTURE_TEST_CASE(
    a_handler_without_executor_runs_on_the_limiters_executor_and_keeps_it_busy, executors_fixture) {
    for (const bool waits : {false, true}) {
        BOOST_TEST_CONTEXT("waits " << waits) {
            admission held = waits ? limit.try_admit() : admission();
            bool inside = false;
            limit.async_admit(
                [&](error_code ec, admission) { inside = !ec && io_book.on_stack(); });
            if (waits) {
                BOOST_TEST(poll());
                BOOST_TEST(!inside);
                held.finish();
            }
            BOOST_TEST(!poll());
            BOOST_TEST(inside);
        }
    }
    BOOST_TEST(io_book.work == 0);
}

BOOST_FIXTURE_TEST_CASE(
    a_completion_is_posted_straight_to_the_executor_of_its_handler, executors_fixture) {
    for (const bool waits : {false, true}) {
        BOOST_TEST_CONTEXT("waits " << waits) {
            admission held = waits ? limit.try_admit() : admission();
            bool inside = false;
            const int before = io_book.ran;
            limit.async_admit(asio::bind_executor(on_handler, [&](error_code ec, admission) {
                inside = !ec && handler_book.on_stack();
            }));
            // The context itself counts a posted completion, which therefore tracks no work.
            BOOST_TEST(handler_book.work == (waits ? 1 : 0));
            held.finish();
            BOOST_TEST(!inside);
            support::poll(other); // the limiter's context does not run
            BOOST_TEST(inside);
            BOOST_TEST(io_book.ran == before);
            BOOST_TEST(handler_book.work == 0);
            BOOST_TEST(io_book.work == 0);
        }
    }
}

BOOST_FIXTURE_TEST_CASE(
    a_failure_is_posted_straight_to_the_executor_of_its_handler, executors_fixture) {
    const admission held = limit.try_admit();
    operation aborted_one, negative, out_of_time;
    limit.async_admit(asio::bind_executor(on_handler, aborted_one.on_completion()));
    limit.async_admit(weighing(-1), asio::bind_executor(on_handler, negative.on_completion()));
    limit.async_admit(
        waiting_for(0s), asio::bind_executor(on_handler, out_of_time.on_completion()));
    limit.cancel();
    support::poll(other);
    BOOST_TEST(aborted_one.failed(aborted));
    BOOST_TEST(negative.failed(invalid_argument));
    BOOST_TEST(out_of_time.failed(timed_out));
    BOOST_TEST(handler_book.ran == 3);
}

BOOST_FIXTURE_TEST_CASE(a_limiter_on_a_strand_does_not_make_its_holders_take_turns, fixture) {
    const auto strand = asio::make_strand(context);
    limiter own(strand, 2, patient());
    BOOST_TEST((own.get_executor() == strand));
    bool on_strand = false, on_context = true;
    own.async_admit([&](error_code, admission) { on_strand = strand.running_in_this_thread(); });
    own.async_admit(asio::bind_executor(
        context, [&](error_code, admission) { on_context = strand.running_in_this_thread(); }));
    poll();
    BOOST_TEST(on_strand);
    BOOST_TEST(!on_context);
}

BOOST_FIXTURE_TEST_CASE(a_handler_on_a_strand_runs_there, fixture) {
    limiter own(context, 1, patient());
    const auto strand = asio::make_strand(context);
    admission held = own.try_admit();
    bool inside = false;
    own.async_admit(asio::bind_executor(
        strand, [&](error_code, admission) { inside = strand.running_in_this_thread(); }));
    held.finish();
    poll();
    BOOST_TEST(inside);
}

BOOST_AUTO_TEST_CASE(a_limiter_works_on_pools_and_on_the_system_executor) {
    asio::thread_pool pool(2);
    limiter own(pool.get_executor(), 1, patient());
    admission held = own.try_admit();
    std::promise<bool> on_pool, on_system;
    own.async_admit([&](error_code ec, admission) {
        on_pool.set_value(!ec && pool.get_executor().running_in_this_thread());
    });
    own.async_admit(asio::bind_executor(
        asio::system_executor(), [&](error_code ec, admission) { on_system.set_value(!ec); }));
    held.finish();
    BOOST_TEST(on_pool.get_future().get());
    BOOST_TEST(on_system.get_future().get());
    pool.join();
    BOOST_TEST(own.in_flight() == 0);
}

BOOST_FIXTURE_TEST_CASE(all_memory_comes_from_the_handler_and_is_freed_before_it_runs, fixture) {
    support::memory_book book;
    const auto counted = [&](auto handler) {
        return asio::bind_allocator(support::counting_allocator<>(book), std::move(handler));
    };
    basic_limiter<asio::io_context::executor_type> own(context, 1, patient());
    int live = -1;
    const auto look = [&](error_code, admission) {
        live = book.live();
    };
    own.async_admit(counted(look));
    BOOST_TEST(book.live() > 0);
    poll();
    BOOST_TEST(live == 0);
    for (const bool elsewhere : {false, true}) {
        asio::io_context other;
        live = -1;
        admission held = own.try_admit();
        const int before = book.allocated;
        if (elsewhere)
            own.async_admit(asio::bind_executor(other, counted(look)));
        else
            own.async_admit(of_key(2), counted(look));
        BOOST_TEST(book.allocated == before + 1);
        held.finish();
        poll();
        support::poll(other);
        BOOST_TEST(live == 0);
    }
    // Waiting for idle leaves no memory allocated either.
    admission held = own.try_admit();
    live = -1;
    own.async_wait_idle(counted([&](error_code) { live = book.live(); }));
    BOOST_TEST(book.live() > 0);
    held.finish();
    poll();
    BOOST_TEST(live == 0);
}

BOOST_FIXTURE_TEST_CASE(an_allocator_that_fails_leaves_everything_as_it_was, fixture) {
    support::memory_book book;
    limiter own(context, 1, patient());
    operation failing, ahead, behind;
    const auto counted = [&] {
        return asio::bind_allocator(support::counting_allocator<>(book), failing.on_completion());
    };
    using typed_limiter = basic_limiter<asio::io_context::executor_type>;
    typed_limiter typed(context, 1, patient());
    book.left = 0;
    BOOST_CHECK_THROW(typed.async_admit(counted()), std::bad_alloc); // a place is free
    BOOST_TEST(typed.in_flight() == 0);
    check_sums(typed.statistics());
    admission held = own.try_admit();
    own.async_admit(ahead.on_completion());
    BOOST_CHECK_THROW(own.async_admit(counted()), std::bad_alloc);
    BOOST_CHECK_THROW(own.async_wait_idle(counted()), std::bad_alloc);
    own.async_admit(behind.on_completion());
    BOOST_TEST(own.waiting() == 2u);
    BOOST_TEST(failing.abandoned());
    held.finish();
    poll();
    BOOST_TEST(ahead.admitted());
    BOOST_TEST(behind.pending());
    own.cancel();
    poll();
}

BOOST_FIXTURE_TEST_CASE(
    an_executor_that_refuses_in_the_initiation_costs_no_place, executors_fixture) {
    operation granted, refused, none;
    how.now = ways::way::fail;
    BOOST_CHECK_THROW(wayward.async_admit(granted.on_completion()), executor_failure);
    BOOST_CHECK_THROW(wayward.async_admit(weighing(-1), refused.on_completion()), executor_failure);
    BOOST_CHECK_THROW(wayward.async_wait_idle(none.on_completion()), executor_failure);
    for (const operation* o : {&granted, &refused, &none})
        BOOST_TEST(o->abandoned());
    BOOST_TEST(wayward.in_flight() == 0);
    BOOST_TEST(wayward.waiting() == 0u);
    check_sums(wayward.statistics());
    how.now = ways::way::drop;
    operation dropped;
    wayward.async_admit(dropped.on_completion());
    BOOST_TEST(dropped.abandoned());
    BOOST_TEST(wayward.in_flight() == 0);
}

// The limiter also sets its timer on its own executor.
BOOST_FIXTURE_TEST_CASE(
    an_executor_that_refuses_to_set_the_timer_leaves_no_trace, executors_fixture) {
    const admission held = wayward.try_admit();
    operation timed, patient_one;
    how.now = ways::way::fail;
    asio::cancellation_signal signal;
    BOOST_CHECK_THROW(
        wayward.async_admit(waiting_for(1h), timed.on_completion(signal.slot())), executor_failure);
    signal.emit(asio::cancellation_type::terminal); // has no effect
    BOOST_TEST(timed.abandoned());
    BOOST_TEST(wayward.waiting() == 0u);
    wayward.async_admit(patient_one.on_completion()); // has no deadline, so needs no timer
    BOOST_TEST(wayward.waiting() == 1u);
    how.now = ways::way::pass_on;
    wayward.cancel();
    poll();
    BOOST_TEST(patient_one.failed(aborted));
    check_sums(wayward.statistics());
}

BOOST_FIXTURE_TEST_CASE(
    an_executor_that_refuses_at_the_grant_passes_the_place_on, executors_fixture) {
    ways other_how;
    admission held = wayward.try_admit();
    operation refused, served, third;
    other_how.now = ways::way::fail;
    wayward.async_admit(
        asio::bind_executor(wayward_executor(context, other_how), refused.on_completion()));
    wayward.async_admit(served.on_completion());
    BOOST_CHECK_NO_THROW(held.finish());
    BOOST_TEST(refused.abandoned());
    poll();
    BOOST_TEST(served.admitted());
    wayward.async_admit(third.on_completion());
    how.now = ways::way::fail;
    BOOST_CHECK_NO_THROW(wayward.close());
    BOOST_TEST(third.abandoned());
    served.held().finish();
    BOOST_TEST(wayward.in_flight() == 0);
    how.now = ways::way::pass_on;
    poll();
}

BOOST_FIXTURE_TEST_CASE(any_number_of_dropped_waiters_does_not_grow_the_stack, executors_fixture) {
    for (const auto way : {ways::way::drop, ways::way::fail}) {
        BOOST_TEST_CONTEXT("way " << static_cast<int>(way)) {
            how.now = ways::way::pass_on;
            admission held = wayward.try_admit();
            int calls = 0;
            for (int i = 0; i < many; ++i)
                wayward.async_admit([&](error_code, admission) { ++calls; });
            how.now = way;
            held.finish();
            BOOST_TEST(calls == 0);
            BOOST_TEST(wayward.waiting() == 0u);
            BOOST_TEST(wayward.in_flight() == 0);
            check_sums(wayward.statistics());
        }
    }
}

BOOST_FIXTURE_TEST_CASE(an_executor_that_runs_inline_does_not_grow_the_stack, executors_fixture) {
    admission held = wayward.try_admit();
    int calls = 0, deepest = 0, depth = 0;
    for (int i = 0; i < many; ++i)
        wayward.async_admit([&](error_code, admission place) {
            ++calls;
            deepest = std::max(deepest, ++depth);
            place.finish();
            --depth;
        });
    how.now = ways::way::run_inline;
    held.finish();
    BOOST_TEST(calls == many);
    BOOST_TEST(deepest == 1);
    BOOST_TEST(wayward.in_flight() == 0);
}

BOOST_FIXTURE_TEST_CASE(a_handler_that_requests_again_and_again_does_not_grow_the_stack, fixture) {
    struct again {
        limiter* limit;
        int* left;
        int* depth;
        int* deepest;

        void operator()(error_code ec, admission place) {
            if (ec || --*left == 0)
                return;
            *deepest = std::max(*deepest, ++*depth);
            limit->async_admit(*this); // waits for the place that the next line returns
            place.finish();
            --*depth;
        }
    };
    limiter own(context, 1, patient());
    int left = many, depth = 0, deepest = 0;
    own.async_admit(again{&own, &left, &depth, &deepest});
    context.run();
    BOOST_TEST(left == 0);
    BOOST_TEST(deepest == 1);
    BOOST_TEST(own.statistics().succeeded == static_cast<std::uint64_t>(many - 1));
    BOOST_TEST(own.in_flight() == 0);
}

BOOST_FIXTURE_TEST_CASE(a_handler_move_that_throws_in_the_initiation_leaves_no_trace, fixture) {
    limiter own(context, 1, patient());
    for (const bool waits : {false, true}) {
        for (const bool timed : {false, true}) {
            BOOST_TEST_CONTEXT("waits " << waits << ", timed " << timed) {
                int failures = 0;
                for (int allowed = 0;; ++allowed) {
                    admission held = waits ? own.try_admit() : admission();
                    operation o;
                    int left = allowed;
                    bool failed = false;
                    try {
                        own.async_admit(
                            timed ? waiting_for(1h) : admission_request(),
                            fragile(o.on_completion(), left));
                    } catch (const move_failure&) {
                        failed = true;
                    }
                    left = -1;
                    BOOST_TEST(own.waiting() == (waits && !failed ? 1u : 0u));
                    BOOST_TEST(own.in_flight() == (waits || !failed ? 1 : 0));
                    own.cancel();
                    poll();
                    if (failed) {
                        ++failures;
                        BOOST_TEST(o.abandoned());
                        continue;
                    }
                    BOOST_TEST(o.completed_with(waits ? aborted : success));
                    break;
                }
                BOOST_TEST(failures > 0);
                BOOST_TEST(own.in_flight() == 0);
                check_sums(own.statistics());
            }
        }
    }
}

BOOST_FIXTURE_TEST_CASE(a_handler_move_that_throws_at_the_grant_serves_the_next, fixture) {
    limiter own(context, 1, patient());
    int failures = 0;
    for (int allowed = 0;; ++allowed) {
        BOOST_TEST_CONTEXT("moves that succeed: " << allowed) {
            admission held = own.try_admit();
            int left = -1;
            operation o, behind;
            own.async_admit(fragile(o.on_completion(), left));
            own.async_admit(behind.on_completion());
            left = allowed;
            held.finish();
            bool failed = false;
            context.restart();
            try {
                context.poll();
            } catch (const move_failure&) {
                failed = true;
            }
            left = -1;
            if (failed) {
                ++failures;
                BOOST_TEST(o.abandoned());
            } else {
                BOOST_TEST(o.admitted());
                o.held().finish();
            }
            poll();
            BOOST_TEST(behind.admitted());
            behind.held().finish();
            BOOST_TEST(own.in_flight() == 0);
            if (failed)
                continue;
        }
        break;
    }
    BOOST_TEST(failures > 0);
}

BOOST_FIXTURE_TEST_CASE(a_handler_that_throws_leaves_the_limiter_usable, fixture) {
    struct thrown {};
    limiter own(context, 1, patient());
    for (const bool waits : {false, true}) {
        BOOST_TEST_CONTEXT("waits " << waits) {
            admission held = waits ? own.try_admit() : admission();
            operation behind;
            own.async_admit([](error_code, admission) { throw thrown(); });
            own.async_admit(behind.on_completion());
            held.finish();
            context.restart();
            BOOST_CHECK_THROW(context.run(), thrown);
            poll();
            BOOST_TEST(behind.admitted());
            behind.held().finish();
            BOOST_TEST(own.in_flight() == 0);
        }
    }
    BOOST_TEST(own.statistics().unreported == 2u);
}

#if BOOST_VERSION >= 108200

BOOST_FIXTURE_TEST_CASE(
    an_immediate_executor_runs_what_ends_at_once_inside_the_initiation, fixture) {
    int ran = 0;
    const auto immediate = [&](const operation& o) {
        return asio::bind_immediate_executor(support::minimal_executor{&ran}, o.on_completion());
    };
    limiter own(context, 1, patient(1));
    operation granted, negative, large, none, idle, refused, late, gone;
    own.async_admit(immediate(granted));
    BOOST_TEST(granted.admitted());
    own.async_admit(weighing(-1), immediate(negative));
    BOOST_TEST(negative.failed(invalid_argument));
    own.async_admit(weighing(2), immediate(large));
    BOOST_TEST(large.failed(exceeds_max));
    own.async_admit(weighing(0), immediate(none));
    BOOST_TEST(none.failed(success));
    own.async_admit(waiting_for(0s), immediate(late));
    BOOST_TEST(late.failed(timed_out));
    operation waits;
    own.async_admit(immediate(waits)); // a waiting operation does not use the immediate executor
    BOOST_TEST(waits.pending());
    own.async_admit(immediate(refused));
    BOOST_TEST(refused.failed(queue_full));
    const int before = ran;
    granted.held().finish();
    BOOST_TEST(waits.pending());
    poll();
    BOOST_TEST(waits.admitted());
    BOOST_TEST(ran == before);
    waits.held().finish();
    own.async_wait_idle(immediate(idle));
    BOOST_TEST(idle.completed_with(success));
    own.close();
    own.async_admit(immediate(gone));
    BOOST_TEST(gone.failed(closed));
    BOOST_TEST(!poll());
}

// Others wait, but the operation comes before them and fits.
BOOST_FIXTURE_TEST_CASE(
    an_immediate_executor_runs_a_handler_that_is_admitted_past_waiting_requests, fixture) {
    int ran = 0;
    limiter own(context, 2, patient(5));
    admission held = own.try_admit();
    admission_request wide;
    wide.weight = 2;
    wide.priority = 1;
    operation waits, ahead;
    own.async_admit(wide, waits.on_completion());
    BOOST_TEST(waits.pending());
    own.async_admit(
        asio::bind_immediate_executor(support::minimal_executor{&ran}, ahead.on_completion()));
    BOOST_TEST(ahead.admitted());
    BOOST_TEST(ran == 1);
    ahead.held().finish();
    held.finish();
    poll();
    BOOST_TEST(waits.admitted());
}

BOOST_FIXTURE_TEST_CASE(
    an_immediate_executor_that_fails_or_drops_costs_no_place, executors_fixture) {
    operation failed, dropped;
    how.now = ways::way::fail;
    const wayward_executor bad(context, how);
    BOOST_CHECK_THROW(
        limit.async_admit(asio::bind_immediate_executor(bad, failed.on_completion())),
        executor_failure);
    how.now = ways::way::drop;
    limit.async_admit(asio::bind_immediate_executor(bad, dropped.on_completion()));
    BOOST_TEST(failed.abandoned());
    BOOST_TEST(dropped.abandoned());
    BOOST_TEST(limit.in_flight() == 0);
}

BOOST_FIXTURE_TEST_CASE(the_handler_may_destroy_the_limiter_inside_the_initiation, fixture) {
    int ran = 0;
    std::optional<limiter> own(std::in_place, context, 1);
    bool called = false;
    own->async_admit(asio::bind_immediate_executor(
        support::minimal_executor{&ran}, [&](error_code ec, admission place) {
            called = !ec;
            own.reset();
            place.finish();
        }));
    BOOST_TEST(called);
}

#endif

BOOST_AUTO_TEST_SUITE_END()
