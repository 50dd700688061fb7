// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore/async_semaphore.hpp>

#include "fixture.hpp"

#include <support/executors.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/strand.hpp>

#include <chrono>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace {

using namespace test;
using support::unassignable_executor;
using namespace std::chrono_literals;
using io_semaphore = asio_semaphore::basic_async_semaphore<asio::io_context::executor_type>;

struct move_fixture : fixture {
    // Checks all guarantees of a moved-from semaphore.
    void check_moved_from(async_semaphore& semaphore) {
        BOOST_TEST((semaphore.get_executor() == context.get_executor()));
        BOOST_TEST(!semaphore.is_open());
        BOOST_TEST(semaphore.available() == 0);
        BOOST_TEST(semaphore.waiting() == 0u);
        BOOST_TEST(!semaphore.try_acquire());
        BOOST_TEST(!semaphore.try_acquire(0));
        BOOST_TEST(!semaphore.try_acquire_permit());
        BOOST_CHECK_THROW((void)semaphore.try_acquire(-1), std::invalid_argument);
        BOOST_TEST(semaphore.cancel() == 0u);
        semaphore.close();
        semaphore.release(0);
        error_code ec;
        semaphore.release(1, ec);
        BOOST_TEST(ec == over_release);
        BOOST_CHECK_THROW(semaphore.release(-1), std::invalid_argument);
        BOOST_CHECK_THROW(semaphore.reduce(-1), std::invalid_argument);
        semaphore.reduce(0);
        BOOST_TEST(!permit(semaphore, std::adopt_lock));

        operation bare, bare_for, owned, none;
        semaphore.async_acquire(bare.on_completion());
        semaphore.async_acquire_for(0s, bare_for.on_completion());
        semaphore.async_acquire_permit(2, owned.on_completion());
        semaphore.async_acquire(0, none.on_completion());
        BOOST_TEST(!bare.called());
        poll();
        for (auto* o : {&bare, &bare_for, &owned, &none})
            BOOST_TEST(o->completed_with(closed));
        BOOST_TEST(semaphore.available() == 0);
    }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(semaphore_move, move_fixture)

BOOST_AUTO_TEST_CASE(a_move_takes_waiters_and_permits_along) {
    async_semaphore from(context, 3, 7);
    permit held = from.try_acquire_permit(2);
    operation head, follower;
    from.async_acquire_permit(2, head.on_completion());
    from.async_acquire(1, follower.on_completion());

    async_semaphore to(std::move(from));
    BOOST_TEST(to.available() == 1);
    BOOST_TEST(to.max_permits() == 7);
    BOOST_TEST(to.waiting() == 2u);
    BOOST_TEST((to.get_executor() == context.get_executor()));
    poll();
    BOOST_TEST(head.pending());

    held.reset();
    BOOST_TEST(to.available() == 0);
    poll();
    BOOST_TEST(head.granted());
    BOOST_TEST(follower.granted());
    head.held().reset();
    BOOST_TEST(to.available() == 2);
}

BOOST_AUTO_TEST_CASE(a_moved_from_semaphore_is_like_a_closed_one_without_permits) {
    async_semaphore from(context, 3, 7);
    operation waiter;
    from.async_acquire(4, waiter.on_completion());
    async_semaphore to(std::move(from));
    check_moved_from(from);
    BOOST_TEST(to.available() == 3);
    BOOST_TEST(waiter.pending());
}

BOOST_AUTO_TEST_CASE(a_moved_from_semaphore_reports_a_negative_count_like_a_closed_one) {
    async_semaphore from(context, 1);
    async_semaphore to(std::move(from));
    operation negative;
    from.async_acquire(-1, negative.on_completion());
    poll();
    BOOST_TEST(negative.completed_with(invalid_argument));
}

BOOST_AUTO_TEST_CASE(destroying_a_moved_from_semaphore_does_not_affect_the_waiters) {
    std::optional<async_semaphore> from(std::in_place, context, 0);
    operation waiter;
    from->async_acquire(waiter.on_completion());
    async_semaphore to(std::move(*from));
    from.reset();
    poll();
    BOOST_TEST(waiter.pending());
    to.release();
    poll();
    BOOST_TEST(waiter.granted());
}

BOOST_AUTO_TEST_CASE(a_moved_from_semaphore_may_be_assigned_to) {
    async_semaphore from(context, 1);
    async_semaphore to(std::move(from));
    from = async_semaphore(context, 5, 6);
    BOOST_TEST(from.is_open());
    BOOST_TEST(from.available() == 5);
    BOOST_TEST(from.max_permits() == 6);
    from = std::move(to);
    BOOST_TEST(from.available() == 1);
    check_moved_from(to);
}

BOOST_AUTO_TEST_CASE(assignment_aborts_the_old_waiters_and_takes_over_the_new) {
    asio::io_context other_context;
    async_semaphore a(context, 0), b(other_context, 0);
    operation of_a, of_b;
    a.async_acquire(of_a.on_completion());
    b.async_acquire(of_b.on_completion());
    a = std::move(b);
    BOOST_TEST(of_a.pending());
    poll();
    BOOST_TEST(of_a.completed_with(aborted));
    BOOST_TEST(of_b.pending());
    BOOST_TEST((a.get_executor() == other_context.get_executor()));
    BOOST_TEST((b.get_executor() == other_context.get_executor()));
    BOOST_TEST(a.waiting() == 1u);
    a.release();
    other_context.poll();
    BOOST_TEST(of_b.granted());
}

BOOST_AUTO_TEST_CASE(assignment_to_itself_has_no_effect) {
    async_semaphore semaphore(context, 1);
    operation waiter;
    semaphore.async_acquire(2, waiter.on_completion());
    async_semaphore& same = semaphore;
    semaphore = std::move(same);
    poll();
    BOOST_TEST(waiter.pending());
    BOOST_TEST(semaphore.is_open());
    semaphore.release();
    poll();
    BOOST_TEST(waiter.granted());
}

BOOST_AUTO_TEST_CASE(permits_of_a_replaced_semaphore_do_not_come_back_to_the_new_one) {
    async_semaphore semaphore(context, 1);
    permit old = semaphore.try_acquire_permit();
    semaphore = async_semaphore(context, 0);
    operation waiter;
    semaphore.async_acquire(waiter.on_completion());
    old.reset();
    poll();
    BOOST_TEST(semaphore.available() == 0);
    BOOST_TEST(waiter.pending());
}

BOOST_AUTO_TEST_CASE(a_semaphore_of_another_executor_type_can_be_moved_from) {
    io_semaphore plain(context, 1);
    operation waiter, other;
    plain.async_acquire(2, waiter.on_completion());
    async_semaphore erased(std::move(plain));
    BOOST_TEST(!plain.is_open());
    BOOST_TEST((plain.get_executor() == context.get_executor()));
    BOOST_TEST(erased.waiting() == 1u);
    erased.release();
    poll();
    BOOST_TEST(waiter.granted());

    io_semaphore second(context, 3);
    erased.async_acquire(other.on_completion());
    erased = std::move(second);
    BOOST_TEST(erased.available() == 3);
    BOOST_TEST(!second.is_open());
    poll();
    BOOST_TEST(other.completed_with(aborted));
}

BOOST_AUTO_TEST_CASE(converting_the_executor_may_throw_if_that_allocates) {
    using strand = asio::strand<asio::any_io_executor>;
    static_assert(std::is_nothrow_move_constructible_v<async_semaphore>);
    static_assert(!std::is_nothrow_constructible_v<
                  async_semaphore, asio_semaphore::basic_async_semaphore<strand>&&>);
}

BOOST_AUTO_TEST_CASE(an_executor_need_not_be_assignable) {
    using semaphore_type = asio_semaphore::basic_async_semaphore<unassignable_executor>;
    static_assert(!std::is_copy_assignable_v<unassignable_executor>);
    asio::io_context elsewhere;
    semaphore_type semaphore(unassignable_executor{context}, 0);
    semaphore_type other(unassignable_executor{elsewhere}, 1);
    operation old, later;
    semaphore.async_acquire(old.on_completion());
    semaphore = std::move(other);
    BOOST_TEST((semaphore.get_executor() == unassignable_executor{elsewhere}));
    BOOST_TEST(semaphore.available() == 1);
    semaphore.async_acquire(later.on_completion());
    poll();
    BOOST_TEST(old.completed_with(aborted));
    elsewhere.poll();
    BOOST_TEST(later.granted());
}

BOOST_AUTO_TEST_CASE(a_waiter_can_be_cancelled_after_the_move) {
    std::optional<async_semaphore> from(std::in_place, context, 1);
    asio::cancellation_signal signal;
    operation head, follower;
    from->async_acquire(2, head.on_completion(signal.slot()));
    from->async_acquire(1, follower.on_completion());
    async_semaphore to(std::move(*from));
    from.reset();
    signal.emit(asio::cancellation_type::terminal);
    BOOST_TEST(to.waiting() == 0u);
    poll();
    BOOST_TEST(head.completed_with(aborted));
    BOOST_TEST(follower.granted());
}

BOOST_AUTO_TEST_CASE(a_lazy_operation_follows_its_moved_semaphore) {
    std::optional<async_semaphore> from(std::in_place, context, 1);
    auto first = from->async_acquire_permit(asio::deferred);
    auto second = from->async_acquire_permit(asio::deferred);
    async_semaphore to(std::move(*from));
    from.reset();
    operation fits, waits;
    std::move(first)(fits.on_completion());
    std::move(second)(waits.on_completion());
    BOOST_TEST(to.available() == 0);
    BOOST_TEST(to.waiting() == 1u);
    poll();
    BOOST_TEST(fits.granted());
    fits.held().reset();
    poll();
    BOOST_TEST(waits.granted());
}

BOOST_AUTO_TEST_CASE(a_lazy_operation_of_a_moved_from_semaphore_ends_as_closed) {
    async_semaphore from(context, 1);
    async_semaphore to(std::move(from));
    auto lazy = from.async_acquire(asio::deferred);
    from = async_semaphore(context, 5);
    operation o;
    std::move(lazy)(o.on_completion());
    poll();
    BOOST_TEST(o.completed_with(closed));
    BOOST_TEST(from.available() == 5);
}

BOOST_AUTO_TEST_SUITE_END()
