// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// What happens to the limiter, to waiting operations and to admissions when the limiter is moved,
// destroyed or closed, and when its context is destroyed.

#include <asio_semaphore/limiter/limiter.hpp>

#include "object_fixture.hpp"

#include <support/executors.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>

#include <chrono>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace {

using namespace test;
using support::at_exit;
using support::unassignable_executor;
using support::ways;
using support::wayward_executor;
using io_limiter = basic_limiter<asio::io_context::executor_type>;

struct lifetimes_fixture : fixture {
    // Checks all guarantees of a moved-from limiter.
    void check_moved_from(limiter& limit) {
        BOOST_TEST((limit.get_executor() == context.get_executor()));
        BOOST_TEST(!limit.is_open());
        BOOST_TEST(limit.limit() == 0.0);
        BOOST_TEST(limit.in_flight() == 0);
        BOOST_TEST(limit.waiting() == 0u);
        BOOST_TEST(limit.busiest_keys().empty());
        BOOST_TEST(!limit.try_admit());
        BOOST_TEST(!limit.try_admit(weighing(0)));
        BOOST_TEST(!limit.try_admit(weighing(1000)));
        BOOST_CHECK_THROW((void)limit.try_admit(weighing(-1)), std::invalid_argument);
        BOOST_CHECK_THROW((void)limit.try_admit(of_priority(4)), std::invalid_argument);
        BOOST_CHECK_THROW(limit.set_limit(0), std::invalid_argument);
        limit.set_limit(5);
        BOOST_TEST(limit.limit() == 0.0);
        BOOST_TEST(limit.cancel() == 0u);
        limit.close();
        const limiter_statistics s = limit.statistics();
        BOOST_TEST(s.limit == 0.0);
        BOOST_TEST(s.priorities[0].closed == 0u);

        operation plain, none, in_time, negative, idle;
        limit.async_admit(plain.on_completion());
        limit.async_admit(weighing(0), none.on_completion());
        limit.async_admit(waiting_for(0s), in_time.on_completion());
        limit.async_admit(weighing(-1), negative.on_completion());
        limit.async_wait_idle(idle.on_completion());
        BOOST_TEST(plain.pending());
        BOOST_TEST(idle.pending());
        poll();
        for (const operation* o : {&plain, &none, &in_time})
            BOOST_TEST(o->failed(closed));
        BOOST_TEST(negative.failed(invalid_argument));
        BOOST_TEST(idle.completed_with(success));
    }
};

struct shutdown_fixture {
    std::optional<asio::io_context> context{std::in_place};
    std::optional<limiter> limit{std::in_place, *context, 1, patient()};
    admission held = limit->try_admit();
    operation o;

    /// A handler that runs an action in its destructor.
    template <typename Action>
    auto dying(Action action) {
        return [recorded = o.on_completion(),
                last = at_exit<Action>(std::move(action))](error_code ec, admission a) mutable {
            recorded(ec, std::move(a));
        };
    }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(limiter_object_lifetimes, lifetimes_fixture)

BOOST_AUTO_TEST_CASE(L93_a_move_takes_admissions_and_waiting_requests_along) {
    limiter_options o = patient();
    int changes = 0;
    o.on_limit_change = [&](double, double) {
        ++changes;
    };
    limiter from(context, 2, o);
    admission held = from.try_admit({7});
    operation wide, behind;
    from.async_admit(weighing(2), wide.on_completion());
    from.async_admit(of_priority(1), behind.on_completion());
    limiter to(std::move(from));
    BOOST_TEST(to.is_open());
    BOOST_TEST(to.limit() == 2.0);
    BOOST_TEST(to.in_flight() == 1);
    BOOST_TEST(to.waiting() == 2u);
    BOOST_TEST((to.get_executor() == context.get_executor()));
    poll();
    BOOST_TEST(wide.pending());
    held.finish(); // the place returns to the limiter that was moved to
    BOOST_TEST(to.statistics().succeeded == 1u);
    poll();
    BOOST_TEST(wide.admitted());
    BOOST_TEST(behind.pending());
    to.set_limit(3);
    poll();
    BOOST_TEST(behind.admitted());
    BOOST_TEST(changes == 1);
    check_moved_from(from);
}

BOOST_AUTO_TEST_CASE(a_moved_from_limiter_can_be_assigned_to_and_destroyed) {
    std::optional<limiter> from(std::in_place, context, 1, patient());
    limiter to(std::move(*from));
    check_moved_from(*from);
    *from = limiter(context, 3, patient());
    BOOST_TEST(from->is_open());
    BOOST_TEST(from->limit() == 3.0);
    *from = std::move(to);
    BOOST_TEST(from->limit() == 1.0);
    check_moved_from(to);
    from.emplace(std::move(to));
    check_moved_from(*from);
}

BOOST_AUTO_TEST_CASE(an_assignment_aborts_the_targets_waiters_and_takes_over_the_sources) {
    limiter a(context, 1, patient()), b(context, 1, patient());
    admission of_a = a.try_admit(), of_b = b.try_admit();
    operation waits_a, waits_b;
    a.async_admit(waits_a.on_completion());
    b.async_admit(waits_b.on_completion());
    a = std::move(b);
    BOOST_TEST(waits_a.pending());
    poll();
    BOOST_TEST(waits_a.failed(aborted));
    BOOST_TEST(waits_b.pending());
    of_a.finish(); // its limiter does not exist any more
    BOOST_TEST(a.in_flight() == 1);
    of_b.finish();
    poll();
    BOOST_TEST(waits_b.admitted());
    check_moved_from(b);
}

BOOST_AUTO_TEST_CASE(self_assignment_has_no_effect) {
    limiter own(context, 1, patient());
    admission held = own.try_admit();
    operation o;
    own.async_admit(o.on_completion());
    limiter& same = own;
    own = std::move(same);
    BOOST_TEST(own.is_open());
    BOOST_TEST(own.waiting() == 1u);
    held.finish();
    poll();
    BOOST_TEST(o.admitted());
}

BOOST_AUTO_TEST_CASE(a_move_may_convert_the_executor) {
    io_limiter typed(context, 1, patient());
    admission held = typed.try_admit();
    operation first, second;
    typed.async_admit(first.on_completion());
    limiter erased(std::move(typed));
    BOOST_TEST(erased.waiting() == 1u);
    BOOST_TEST(!typed.is_open());
    BOOST_TEST((typed.get_executor() == context.get_executor()));
    held.finish();
    poll();
    BOOST_TEST(first.admitted());

    io_limiter other(context, 1, patient());
    held = other.try_admit();
    other.async_admit(second.on_completion());
    erased = std::move(other);
    BOOST_TEST(erased.waiting() == 1u);
    held.finish();
    poll();
    BOOST_TEST(second.admitted());
}

BOOST_AUTO_TEST_CASE(an_assignment_takes_the_executor_along) {
    asio::io_context other;
    limiter a(context, 1), b(asio::make_strand(other), 1);
    const auto executor = b.get_executor();
    a = std::move(b);
    BOOST_TEST((a.get_executor() == executor));
    bool called = false;
    a.async_admit([&](error_code ec, admission) { called = !ec; });
    support::poll(other);
    BOOST_TEST(called);
}

BOOST_AUTO_TEST_CASE(an_executor_need_not_be_assignable) {
    asio::io_context other;
    basic_limiter<unassignable_executor> a(unassignable_executor{context}, 1, patient());
    basic_limiter<unassignable_executor> b(unassignable_executor{other}, 1, patient());
    a = std::move(b);
    BOOST_TEST((a.get_executor() == unassignable_executor{other}));
    admission held = a.try_admit();
    operation granted, late;
    a.async_admit(granted.on_completion());
    a.async_admit(waiting_for(1ms), late.on_completion());
    held.finish();
    other.run();
    BOOST_TEST(granted.admitted());
    BOOST_TEST(late.failed(timed_out));
}

// The timer belongs to the state, so it moves along.
BOOST_AUTO_TEST_CASE(a_deadline_survives_the_move) {
    limiter from(context, 1);
    const admission held = from.try_admit();
    operation o;
    from.async_admit(waiting_for(1ms), o.on_completion());
    limiter to(std::move(from));
    context.run();
    BOOST_TEST(o.failed(timed_out));
    BOOST_TEST(to.waiting() == 0u);
}

BOOST_AUTO_TEST_CASE(a_lazy_operation_follows_its_limiter) {
    std::optional<limiter> from(std::in_place, context, 1, patient());
    auto first = from->async_admit(weighing(1), asio::deferred);
    auto second = from->async_admit(asio::deferred);
    operation a, b;
    {
        limiter to(std::move(*from));
        from.reset();
        std::move(first)(a.on_completion());
        BOOST_TEST(to.in_flight() == 1);
        poll();
        BOOST_TEST(a.admitted());
    }
    std::move(second)(b.on_completion());
    BOOST_TEST(b.pending());
    poll();
    BOOST_TEST(b.failed(aborted));
    a.held().finish();
}

BOOST_AUTO_TEST_CASE(destruction_aborts_waiting_requests) {
    std::optional<limiter> own(std::in_place, context, 1, patient());
    admission held = own->try_admit();
    operation o[3];
    own->async_admit(o[0].on_completion());
    own->async_admit(waiting_for(1h), o[1].on_completion());
    own->async_admit(of_key(3), o[2].on_completion());
    own.reset();
    for (const operation& each : o)
        BOOST_TEST(each.pending());
    BOOST_TEST(!poll()); // no timer is left
    for (const operation& each : o)
        BOOST_TEST(each.failed(aborted));
    held.finish();
    held.finish(ended::overloaded);
    BOOST_TEST(!held);
}

BOOST_AUTO_TEST_CASE(a_grant_on_its_way_outlives_the_limiter) {
    std::optional<limiter> own(std::in_place, context, 1, patient());
    operation now, later;
    own->async_admit(now.on_completion());
    own->async_admit(later.on_completion());
    own.reset();
    poll();
    BOOST_TEST(now.admitted());
    BOOST_TEST(later.failed(aborted));
    now.held().finish();
}

BOOST_AUTO_TEST_CASE(close_ends_waiting_requests_and_leaves_running_ones) {
    limiter own(context, 2, patient());
    admission a = own.try_admit(), b = own.try_admit();
    operation o[3], later, later_none;
    for (const operation& each : o)
        own.async_admit(each.on_completion());
    own.close();
    own.close();
    BOOST_TEST(!own.is_open());
    BOOST_TEST(own.waiting() == 0u);
    for (const operation& each : o)
        BOOST_TEST(each.pending());
    poll();
    for (const operation& each : o)
        BOOST_TEST(each.failed(closed));
    own.async_admit(later.on_completion());
    poll();
    BOOST_TEST(later.failed(closed));
    BOOST_TEST(own.in_flight() == 2);
    a.finish();
    b.finish(timed_out);
    const limiter_statistics s = own.statistics();
    BOOST_TEST(s.in_flight == 0);
    BOOST_TEST(s.succeeded == 1u);
    BOOST_TEST(s.overloaded == 1u);
    BOOST_TEST(s.priorities[0].closed == 4u);
    own.set_limit(7); // a closed limiter accepts a new limit
    BOOST_TEST(own.limit() == 7.0);
    BOOST_TEST(!own.try_admit());
}

BOOST_AUTO_TEST_CASE(a_finish_after_close_is_counted_but_no_algorithm_sees_it) {
    int shown = 0;
    limiter_options options = patient();
    options.algorithm = [&](const asio_semaphore::limit_sample& s) {
        ++shown;
        return s.limit;
    };
    limiter own(context, 2, options);
    admission a = own.try_admit(), b = own.try_admit();
    let_time_pass();
    a.finish();
    BOOST_TEST(shown == 1);
    own.close();
    let_time_pass();
    b.finish();
    BOOST_TEST(shown == 1);
    BOOST_TEST(own.statistics().succeeded == 2u);
}

BOOST_AUTO_TEST_CASE(cancel_ends_the_requests_that_wait_now_and_no_others) {
    limiter own(context, 1, patient());
    admission held = own.try_admit();
    operation a, b, later;
    own.async_admit(a.on_completion());
    own.async_admit(of_priority(2), b.on_completion());
    BOOST_TEST(own.cancel() == 2u);
    BOOST_TEST(own.cancel() == 0u);
    own.async_admit(later.on_completion());
    poll();
    BOOST_TEST(a.failed(aborted));
    BOOST_TEST(b.failed(aborted));
    BOOST_TEST(later.pending());
    BOOST_TEST(own.is_open());
    held.finish();
    poll();
    BOOST_TEST(later.admitted());
    BOOST_TEST(own.statistics().priorities[2].cancelled == 1u);
}

BOOST_AUTO_TEST_CASE(each_type_of_cancellation_ends_a_wait_and_frees_its_place_at_once) {
    using type = asio::cancellation_type;
    for (const auto t : {type::terminal, type::partial, type::total}) {
        limiter own(context, 2, patient(2));
        admission held = own.try_admit();
        asio::cancellation_signal signal;
        operation wide, behind, next;
        own.async_admit(weighing(2), wide.on_completion(signal.slot()));
        own.async_admit(behind.on_completion()); // held back by wide
        signal.emit(type::none);
        BOOST_TEST(own.waiting() == 2u);
        signal.emit(t);
        BOOST_TEST(own.waiting() == 0u); // behind is admitted too
        BOOST_TEST(own.in_flight() == 2);
        BOOST_TEST(wide.pending());
        own.async_admit(next.on_completion()); // finds a place in the queue
        poll();
        BOOST_TEST(wide.failed(aborted));
        BOOST_TEST(behind.admitted());
        BOOST_TEST(next.pending());
        signal.emit(t); // too late, no effect
        BOOST_TEST(own.statistics().priorities[0].cancelled == 1u);
        own.cancel();
        poll();
    }
}

BOOST_AUTO_TEST_CASE(a_cancellation_after_the_grant_has_no_effect) {
    limiter own(context, 1, patient());
    asio::cancellation_signal at_once, after_a_wait;
    operation now, later;
    own.async_admit(now.on_completion(at_once.slot()));
    at_once.emit(asio::cancellation_type::terminal);
    poll();
    BOOST_TEST(now.admitted());
    own.async_admit(later.on_completion(after_a_wait.slot()));
    now.held().finish();
    after_a_wait.emit(asio::cancellation_type::terminal);
    poll();
    BOOST_TEST(later.admitted());
    after_a_wait.emit(asio::cancellation_type::terminal);
    BOOST_TEST(own.statistics().priorities[0].cancelled == 0u);
}

BOOST_AUTO_TEST_CASE(the_signal_may_die_early_or_serve_another_operation) {
    limiter own(context, 1, patient());
    admission held = own.try_admit();
    operation a, b;
    asio::cancellation_signal reused;
    {
        asio::cancellation_signal brief;
        own.async_admit(a.on_completion(brief.slot()));
    }
    own.async_admit(b.on_completion(reused.slot()));
    int others = 0;
    reused.slot().assign([&](asio::cancellation_type_t) { ++others; });
    reused.emit(asio::cancellation_type::terminal);
    BOOST_TEST(others == 1);
    BOOST_TEST(own.waiting() == 2u);
    held.finish();
    poll();
    BOOST_TEST(a.admitted());
    a.held().finish();
    poll();
    BOOST_TEST(b.admitted());
}

BOOST_AUTO_TEST_CASE(admissions_may_be_finished_on_any_thread_after_the_end_of_their_limiter) {
    admission a, b;
    {
        asio::io_context dying;
        limiter own(dying, 2, patient());
        a = own.try_admit(of_key(1));
        b = own.try_admit();
    }
    std::thread other([last = std::move(a)]() mutable { last.finish(timed_out); });
    b.reset();
    other.join();
}

BOOST_FIXTURE_TEST_CASE(
    a_destroyed_context_destroys_waiting_handlers_without_calling_them, shutdown_fixture) {
    operation timed, keyed, on_strand, idle, on_its_way;
    limit->async_admit(waiting_for(1h), timed.on_completion());
    limit->async_admit(of_key(4), keyed.on_completion());
    limit->async_admit(asio::bind_executor(asio::make_strand(*context), on_strand.on_completion()));
    limit->async_wait_idle(idle.on_completion());
    limit->set_limit(2);
    limit->set_limit(1);
    BOOST_TEST(limit->waiting() == 2u);
    context.reset();
    for (const operation* each : {&timed, &keyed, &on_strand, &idle})
        BOOST_TEST(each->abandoned());
    BOOST_TEST(limit->waiting() == 0u);
    BOOST_TEST(limit->in_flight() == 1); // the test holds one admission
    held.finish();
    BOOST_TEST(limit->in_flight() == 0);
    check_sums(limit->statistics());
}

BOOST_FIXTURE_TEST_CASE(the_limiter_may_outlive_its_context, shutdown_fixture) {
    operation late, lazy_one;
    auto lazy = limit->async_admit(asio::deferred);
    context.reset();
    BOOST_TEST(!limit->is_open());
    BOOST_TEST(!limit->try_admit());
    limit->set_limit(3);
    BOOST_TEST(limit->limit() == 3.0);
    BOOST_TEST(limit->cancel() == 0u);
    limit->close();
    held.finish();
    BOOST_TEST(limit->statistics().succeeded == 1u);
    limit->async_admit(late.on_completion());
    std::move(lazy)(lazy_one.on_completion());
    BOOST_TEST(late.abandoned());
    BOOST_TEST(lazy_one.abandoned());
    limiter moved(std::move(*limit));
    limit.reset();
    BOOST_TEST(moved.waiting() == 0u);
}

BOOST_FIXTURE_TEST_CASE(a_waiting_handler_may_own_its_limiter, shutdown_fixture) {
    auto owned = std::make_shared<limiter>(*context, 1, patient());
    const std::weak_ptr<limiter> watch = owned;
    held = owned->try_admit();
    owned->async_admit(dying([owned] {}));
    owned->async_admit(waiting_for(1h), [owned](error_code, admission) {});
    owned->async_wait_idle([owned](error_code) {});
    owned.reset();
    BOOST_TEST(!watch.expired());
    context.reset();
    BOOST_TEST(watch.expired());
    BOOST_TEST(o.abandoned());
    held.finish();
}

BOOST_FIXTURE_TEST_CASE(a_handler_on_its_way_may_own_its_limiter, shutdown_fixture) {
    auto owned = std::make_shared<limiter>(*context, 1, patient());
    const std::weak_ptr<limiter> watch = owned;
    owned->async_admit(dying([owned] {}));
    owned.reset();
    context.reset();
    BOOST_TEST(watch.expired());
    BOOST_TEST(o.abandoned());
}

BOOST_FIXTURE_TEST_CASE(an_admission_in_a_handler_that_is_destroyed_goes_back, shutdown_fixture) {
    asio::io_context foreign_context;
    limiter other(*context, 1, patient()), foreign(foreign_context, 1, patient());
    operation behind, behind_other, behind_foreign;
    limit->async_admit(
        [own = std::move(held), of_other = other.try_admit(),
         of_foreign = foreign.try_admit()](error_code, admission) { BOOST_ERROR("called"); });
    limit->async_admit(behind.on_completion());
    other.async_admit(behind_other.on_completion());
    foreign.async_admit(behind_foreign.on_completion());
    context.reset();
    BOOST_TEST(behind.abandoned());
    BOOST_TEST(behind_other.abandoned());
    BOOST_TEST(limit->in_flight() == 0);
    BOOST_TEST(other.in_flight() == 0);
    BOOST_TEST(limit->statistics().unreported == 1u);
    foreign_context.poll();
    BOOST_TEST(behind_foreign.admitted());
}

BOOST_FIXTURE_TEST_CASE(a_grant_on_its_way_goes_back_with_its_context, shutdown_fixture) {
    asio::io_context other;
    limiter foreign(other, 1, patient());
    operation on_its_way, behind;
    foreign.async_admit(asio::bind_executor(*context, on_its_way.on_completion()));
    foreign.async_admit(behind.on_completion());
    BOOST_TEST(foreign.waiting() == 1u);
    context.reset();
    BOOST_TEST(on_its_way.abandoned());
    other.poll();
    BOOST_TEST(behind.admitted());
    BOOST_TEST(foreign.statistics().unreported == 1u);
}

BOOST_FIXTURE_TEST_CASE(a_dying_handler_may_use_every_member, shutdown_fixture) {
    operation nested, timed, idle;
    limit->async_admit(dying([&] {
        held.finish();
        BOOST_TEST(!limit->try_admit());
        BOOST_TEST(limit->cancel() == 0u);
        limit->set_limit(5);
        limit->async_admit(nested.on_completion());
        limit->async_admit(waiting_for(1h), timed.on_completion());
        limit->async_wait_idle(idle.on_completion());
        (void)limit->statistics();
        limit->close();
        limiter moved(std::move(*limit));
        *limit = std::move(moved);
    }));
    context.reset();
    for (const operation* each : {&o, &nested, &timed, &idle})
        BOOST_TEST(each->abandoned());
    BOOST_TEST(limit->in_flight() == 0);
}

BOOST_FIXTURE_TEST_CASE(a_dying_handler_may_destroy_its_limiter_or_another, shutdown_fixture) {
    std::optional<limiter> other(std::in_place, *context, 1, patient());
    const admission of_other = other->try_admit();
    operation waits_there;
    other->async_admit(waits_there.on_completion());
    limit->async_admit(dying([&] {
        limit.reset();
        other.reset();
    }));
    context.reset();
    BOOST_TEST(o.abandoned());
    BOOST_TEST(waits_there.abandoned());
    held.finish();
}

BOOST_FIXTURE_TEST_CASE(a_dying_handler_may_construct_a_limiter, shutdown_fixture) {
    operation at_once, waiting, timed;
    std::optional<limiter> late;
    limit->async_admit(dying([&] {
        late.emplace(*context, 1, patient());
        late->async_admit(at_once.on_completion());
        late->async_admit(waiting.on_completion());
        late->async_admit(waiting_for(1h), timed.on_completion());
    }));
    context->~io_context();
    for (const operation* each : {&o, &at_once, &waiting, &timed})
        BOOST_TEST(each->abandoned());
    late.reset();
    new (&*context) asio::io_context;
    limit.reset();
}

BOOST_FIXTURE_TEST_CASE(
    a_chain_of_waiters_that_own_each_others_places_is_destroyed_in_a_loop, shutdown_fixture) {
    constexpr std::size_t length = 10000;
    std::vector<std::unique_ptr<limiter>> chain;
    for (std::size_t i = 0; i <= length; ++i)
        chain.push_back(std::make_unique<limiter>(*context, 1, patient()));
    const admission first = chain[0]->try_admit();
    int dropped = 0;
    for (std::size_t i = 0; i < length; ++i)
        chain[i]->async_admit([next = chain[i + 1]->try_admit(),
                               last = at_exit([&] { ++dropped; })](error_code, admission) {});
    context.reset();
    BOOST_TEST(dropped == static_cast<int>(length));
}

BOOST_AUTO_TEST_CASE(a_pool_is_destroyed_with_waiting_handlers) {
    operation waits, timed;
    std::optional<limiter> survivor;
    admission held;
    {
        asio::thread_pool pool(2);
        survivor.emplace(pool.get_executor(), 1, patient());
        held = survivor->try_admit();
        survivor->async_admit(waits.on_completion());
        survivor->async_admit(waiting_for(1h), timed.on_completion());
        pool.stop();
    }
    BOOST_TEST(waits.abandoned());
    BOOST_TEST(timed.abandoned());
    held.finish();
    BOOST_TEST(survivor->in_flight() == 0);
}

namespace {

/// A limiter that is owned by a handler of one of its own waiting operations. The deadline of that
/// operation has passed, and the executor drops every function.
struct dying_limiter {
    using limiter_type = basic_limiter<support::wayward_executor>;

    dying_limiter() {
        limiter_options options;
        options.max_wait = limiter_options::duration::max();
        auto mine =
            std::make_unique<limiter_type>(support::wayward_executor(context, how), 2, options);
        limit = mine.get();
        held = limit->try_admit();
        admission_request wide = waiting_for(1ms);
        wide.weight = 2;
        limit->async_admit(wide, [m = std::move(mine)](error_code, admission) {});
        const auto start = std::chrono::steady_clock::now();
        while (std::chrono::steady_clock::now() - start < 2ms)
            std::this_thread::yield();
        how.now = support::ways::way::drop;
    }

    asio::io_context context;
    support::ways how;
    admission held;
    limiter_type* limit;
};

} // namespace

BOOST_FIXTURE_TEST_CASE(a_limiter_may_be_destroyed_inside_its_try_admit, dying_limiter) {
    admission got = limit->try_admit();
    BOOST_TEST(bool(got));
    got.finish();
}

BOOST_FIXTURE_TEST_CASE(a_limiter_may_be_destroyed_inside_its_async_admit, dying_limiter) {
    bool called = false;
    limit->async_admit(waiting_for(0s), [&](error_code, admission) { called = true; });
    BOOST_TEST(!called);
}

// Others wait, so the arrival is not tried at once. It is granted because one of them is overdue.
BOOST_FIXTURE_TEST_CASE(
    a_limiter_may_be_destroyed_while_an_arrival_that_had_to_wait_is_granted, dying_limiter) {
    bool called = false;
    limit->async_admit([&](error_code, admission) { called = true; });
    BOOST_TEST(!called);
}

BOOST_FIXTURE_TEST_CASE(
    a_limiter_may_be_destroyed_while_an_arrival_joins_its_queue, dying_limiter) {
    admission_request wide;
    wide.weight = 2;
    bool called = false;
    limit->async_admit(wide, [&](error_code, admission) { called = true; });
    BOOST_TEST(!called);
}

namespace {

struct handler_with_a_slot {
    using cancellation_slot_type = asio::cancellation_slot;

    cancellation_slot_type get_cancellation_slot() const noexcept { return slot; }
    void operator()(error_code ec, const admission&) { *end = ec; }

    asio::cancellation_slot slot;
    error_code* end;
};

} // namespace

// The slot destroys that handler while the request is on its way into the queue.
BOOST_AUTO_TEST_CASE(the_last_handler_of_a_slot_may_own_the_limiter) {
    asio::cancellation_signal signal;
    auto own = std::make_unique<limiter>(context, 1);
    limiter* const limit = own.get();
    const admission held = limit->try_admit();
    limit->async_admit([](error_code, admission) {});
    signal.slot().assign([o = std::move(own)](asio::cancellation_type_t) {});
    error_code end;
    limit->async_admit(handler_with_a_slot{signal.slot(), &end});
    context.poll();
    BOOST_TEST(end == asio::error::operation_aborted);
}

BOOST_FIXTURE_TEST_CASE(a_function_of_the_options_may_own_the_context, shutdown_fixture) {
    auto shared = std::make_shared<asio::io_context>();
    const std::weak_ptr<asio::io_context> watch = shared;
    limiter_options options = patient();
    options.on_limit_change = [shared](double, double) {
    };
    limit.emplace(*shared, 1, std::move(options));
    held = limit->try_admit();
    limit->async_admit(waiting_for(1ms), o.on_completion()); // uses a timer
    while (!o.called())
        shared->poll();
    held.finish();
    shared.reset();
    BOOST_TEST(!watch.expired());
    limit.reset();
    BOOST_TEST(watch.expired());
}

BOOST_FIXTURE_TEST_CASE(
    a_function_of_the_options_may_wait_for_a_thread_that_destroys_the_context, shutdown_fixture) {
    auto owned = std::make_shared<support::when_it_goes>();
    owned->call = [&] {
        std::thread([&] { context.reset(); }).join();
    };
    limiter_options options = patient();
    options.on_limit_change = [last = std::move(owned)](double, double) {
    };
    limit.emplace(*context, 1, std::move(options));
    held = limit->try_admit();
    limit->async_admit(waiting_for(1ms), o.on_completion());
    while (!o.called())
        context->poll();
    held = admission();
    limit.reset();
    BOOST_TEST(!context.has_value());
}

namespace {

/// A request whose key has no record tries twice to enter the queue. The first attempt ends an
/// overdue request, whose executor drops the handler.
struct arrival_fixture : fixture {
    arrival_fixture() { how.now = ways::way::drop; }

    // The handler of the overdue request runs the action in its destructor.
    template <typename Action>
    void arrive_at_an_overdue_request(asio::cancellation_slot slot, Action action) {
        admission_request brief = weighing(2), arriving = weighing(2);
        brief.max_wait = 1ms;
        arriving.key = 7;
        limit.async_admit(
            brief, asio::bind_executor(
                       wayward_executor(elsewhere, how),
                       [last = at_exit<Action>(std::move(action))](error_code, admission) {}));
        let_time_pass(1ms);
        limit.async_admit(arriving, o.on_completion(slot));
    }

    asio::io_context elsewhere;
    ways how;
    limiter limit{context, 2, patient()};
    admission held = limit.try_admit();
    operation o;
};

} // namespace

BOOST_FIXTURE_TEST_CASE(
    a_handler_dropped_during_an_arrival_may_own_the_arrivals_signal, arrival_fixture) {
    auto own = std::make_unique<asio::cancellation_signal>();
    arrive_at_an_overdue_request(own->slot(), [&] { own.reset(); });
    BOOST_TEST((own == nullptr));
    BOOST_TEST(limit.waiting() == 1u);
    held.finish();
    poll();
    BOOST_TEST(o.admitted());
}

BOOST_FIXTURE_TEST_CASE(
    a_handler_dropped_during_an_arrival_may_emit_the_arrivals_signal, arrival_fixture) {
    asio::cancellation_signal signal; // lives on, and must not touch the operation, which has ended
    arrive_at_an_overdue_request(
        signal.slot(), [&] { signal.emit(asio::cancellation_type::terminal); });
    BOOST_TEST(limit.waiting() == 0u);
    poll();
    BOOST_TEST(o.failed(aborted));
}

// The arrival has a deadline, and the limiter has no timer yet. With the timer under way, the
// second attempt to enter the queue evicts a request.
BOOST_FIXTURE_TEST_CASE(
    a_handler_dropped_while_a_timer_is_on_its_way_may_destroy_the_context, shutdown_fixture) {
    ways how;
    basic_limiter<wayward_executor> own(wayward_executor(*context, how), 1, patient(1));
    held = own.try_admit();
    own.async_admit(of_priority(1), dying([&] { context.reset(); }));
    how.now = ways::way::drop;
    operation arriving;
    own.async_admit(waiting_for(1h), arriving.on_completion());
    BOOST_TEST(!context.has_value());
    BOOST_TEST(o.abandoned());
    BOOST_TEST(arriving.abandoned());
    held.finish();
}

BOOST_AUTO_TEST_SUITE_END()
