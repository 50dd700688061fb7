// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore/permit.hpp>

#include <asio_semaphore/async_semaphore.hpp>

#include "fixture.hpp"

#include <limits>
#include <mutex>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

namespace {

using namespace test;

static_assert(std::is_nothrow_default_constructible_v<permit>);
static_assert(std::is_nothrow_move_constructible_v<permit>);
static_assert(std::is_nothrow_move_assignable_v<permit>);
static_assert(std::is_nothrow_destructible_v<permit>);
static_assert(std::is_nothrow_swappable_v<permit>);
static_assert(!std::is_copy_constructible_v<permit>);
static_assert(!std::is_copy_assignable_v<permit>);
static_assert(std::is_constructible_v<bool, const permit&>);
static_assert(!std::is_convertible_v<permit, bool>);
static_assert(noexcept(bool(std::declval<const permit&>())));
static_assert(noexcept(std::declval<const permit&>().count()));
static_assert(noexcept(std::declval<permit&>().reset()));
static_assert(noexcept(std::declval<permit&>().forget()));
static_assert(noexcept(std::declval<permit&>().swap(std::declval<permit&>())));

struct permit_fixture : fixture {
    async_semaphore semaphore{context, 5, 5}, other{context, 5, 5};
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(semaphore_permit, permit_fixture)

BOOST_AUTO_TEST_CASE(an_empty_permit_owns_nothing) {
    permit empty;
    BOOST_TEST(!empty);
    BOOST_TEST(empty.count() == 0);
    empty.reset();
    BOOST_TEST(empty.forget() == 0);
    BOOST_TEST(!empty.split(0));
}

BOOST_AUTO_TEST_CASE(the_destructor_gives_the_permits_back) {
    {
        permit held = semaphore.try_acquire_permit(2);
        BOOST_TEST(bool(held));
        BOOST_TEST(held.count() == 2);
        BOOST_TEST(semaphore.available() == 3);
    }
    BOOST_TEST(semaphore.available() == 5);
}

BOOST_AUTO_TEST_CASE(permits_that_are_given_back_serve_the_queue) {
    permit held = semaphore.try_acquire_permit(5);
    operation first, second;
    semaphore.async_acquire_permit(3, first.on_completion());
    semaphore.async_acquire_permit(3, second.on_completion());
    held.reset();
    BOOST_TEST(semaphore.available() == 2);
    poll();
    BOOST_TEST(first.granted());
    BOOST_TEST(second.pending());
    first.held().reset();
    BOOST_TEST(semaphore.available() == 2);
    poll();
    BOOST_TEST(second.granted());
}

BOOST_AUTO_TEST_CASE(reset_gives_the_permits_back_at_once_and_only_once) {
    permit held = semaphore.try_acquire_permit(2);
    held.reset();
    BOOST_TEST(!held);
    BOOST_TEST(held.count() == 0);
    BOOST_TEST(semaphore.available() == 5);
    BOOST_TEST(semaphore.try_acquire(1));
    held.reset();
    BOOST_TEST(semaphore.available() == 4);
}

BOOST_AUTO_TEST_CASE(moving_passes_the_permits_on) {
    {
        permit from = semaphore.try_acquire_permit(2);
        {
            permit to(std::move(from));
            BOOST_TEST(to.count() == 2);
            BOOST_TEST(!from);
            BOOST_TEST(from.count() == 0);
            BOOST_TEST(semaphore.available() == 3);
            from.reset();
            BOOST_TEST(from.forget() == 0);
            BOOST_TEST(semaphore.available() == 3);
        }
        BOOST_TEST(semaphore.available() == 5);
    }
    BOOST_TEST(semaphore.available() == 5);
}

BOOST_AUTO_TEST_CASE(assignment_gives_back_the_permits_owned_before) {
    permit target = semaphore.try_acquire_permit(2);
    permit source = other.try_acquire_permit(3);
    target = std::move(source);
    BOOST_TEST(semaphore.available() == 5);
    BOOST_TEST(other.available() == 2);
    BOOST_TEST(target.count() == 3);
    BOOST_TEST(!source);
    target = permit();
    BOOST_TEST(other.available() == 5);
    BOOST_TEST(!target);
}

BOOST_AUTO_TEST_CASE(moving_to_itself_has_no_effect) {
    permit held = semaphore.try_acquire_permit(2);
    permit& same = held;
    held = std::move(same);
    BOOST_TEST(held.count() == 2);
    BOOST_TEST(semaphore.available() == 3);
    held.swap(same);
    BOOST_TEST(held.count() == 2);
    held.merge(std::move(same));
    BOOST_TEST(held.count() == 2);
    BOOST_TEST(semaphore.available() == 3);
    held.reset();
    BOOST_TEST(semaphore.available() == 5);

    permit empty;
    permit& same_empty = empty;
    empty = std::move(same_empty);
    BOOST_TEST(!empty);
}

BOOST_AUTO_TEST_CASE(forget_drops_the_permits_without_giving_them_back) {
    {
        permit held = semaphore.try_acquire_permit(2);
        BOOST_TEST(held.forget() == 2);
        BOOST_TEST(!held);
        BOOST_TEST(held.count() == 0);
        BOOST_TEST(held.forget() == 0);
    }
    BOOST_TEST(semaphore.available() == 3);
    semaphore.release(2);
    BOOST_TEST(semaphore.available() == 5);
}

BOOST_AUTO_TEST_CASE(a_permit_adopts_permits_acquired_by_hand) {
    BOOST_TEST(semaphore.try_acquire(4));
    {
        permit one(semaphore, std::adopt_lock);
        permit three(semaphore, std::adopt_lock, 3);
        BOOST_TEST(one.count() == 1);
        BOOST_TEST(three.count() == 3);
        BOOST_TEST(semaphore.available() == 1);
    }
    BOOST_TEST(semaphore.available() == 5);
}

BOOST_AUTO_TEST_CASE(adopting_none_makes_an_empty_permit_and_a_negative_count_throws) {
    permit none(semaphore, std::adopt_lock, 0);
    BOOST_TEST(!none);
    none.merge(other.try_acquire_permit()); // it belongs to no semaphore
    BOOST_TEST(none.count() == 1);
    for (const std::ptrdiff_t n :
         {std::ptrdiff_t(-1), std::numeric_limits<std::ptrdiff_t>::min()}) {
        BOOST_CHECK_THROW((void)permit(semaphore, std::adopt_lock, n), std::invalid_argument);
    }
    BOOST_TEST(semaphore.available() == 5);
}

BOOST_AUTO_TEST_CASE(a_permit_adopts_from_a_semaphore_of_any_executor_type) {
    asio_semaphore::basic_async_semaphore<asio::io_context::executor_type> plain(context, 1);
    BOOST_TEST(plain.try_acquire());
    permit held(plain, std::adopt_lock);
    held.reset();
    BOOST_TEST(plain.available() == 1);
}

BOOST_AUTO_TEST_CASE(split_returns_a_part_of_the_permits) {
    permit held = semaphore.try_acquire_permit(5);
    {
        permit part = held.split(2);
        BOOST_TEST(part.count() == 2);
        BOOST_TEST(held.count() == 3);
        BOOST_TEST(semaphore.available() == 0);
    }
    BOOST_TEST(semaphore.available() == 2);
    BOOST_TEST(!held.split(0));
    BOOST_TEST(held.count() == 3);
    permit all = held.split(3);
    BOOST_TEST(all.count() == 3);
    BOOST_TEST(!held);
    BOOST_TEST(semaphore.available() == 2);
    all.reset();
    BOOST_TEST(semaphore.available() == 5);
}

BOOST_AUTO_TEST_CASE(split_of_too_many_or_a_negative_count_changes_nothing) {
    permit held = semaphore.try_acquire_permit(2), empty;
    for (const std::ptrdiff_t n :
         {std::ptrdiff_t(-1), std::ptrdiff_t(3), std::numeric_limits<std::ptrdiff_t>::min(),
          std::numeric_limits<std::ptrdiff_t>::max()}) {
        BOOST_CHECK_THROW((void)held.split(n), std::invalid_argument);
        BOOST_TEST(held.count() == 2);
        BOOST_TEST(semaphore.available() == 3);
    }
    BOOST_CHECK_THROW((void)empty.split(1), std::invalid_argument);
    BOOST_CHECK_THROW((void)empty.split(-1), std::invalid_argument);
}

BOOST_AUTO_TEST_CASE(merge_takes_over_all_permits) {
    permit a = semaphore.try_acquire_permit(2), b = semaphore.try_acquire_permit(1);
    a.merge(std::move(b));
    BOOST_TEST(a.count() == 3);
    BOOST_TEST(!b);
    BOOST_TEST(semaphore.available() == 2);
    b.reset();
    BOOST_TEST(semaphore.available() == 2);
    a.reset();
    BOOST_TEST(semaphore.available() == 5);
}

BOOST_AUTO_TEST_CASE(either_side_of_a_merge_may_be_empty) {
    permit held = semaphore.try_acquire_permit(2), empty;
    held.merge(permit());
    BOOST_TEST(held.count() == 2);
    empty.merge(std::move(held));
    BOOST_TEST(empty.count() == 2);
    BOOST_TEST(!held);
    permit of_other = other.try_acquire_permit(1);
    held.merge(std::move(of_other)); // a moved-from permit belongs to no semaphore
    BOOST_TEST(held.count() == 1);
    held.reset();
    BOOST_TEST(other.available() == 5);
    held.merge(std::move(empty)); // the same after reset
    BOOST_TEST(held.count() == 2);
    BOOST_TEST(held.forget() == 2);
    held.merge(other.try_acquire_permit(1)); // the same after forget
    held.reset();
    BOOST_TEST(other.available() == 5);
}

BOOST_AUTO_TEST_CASE(merge_beyond_the_largest_count_changes_neither_permit) {
    constexpr auto most = std::numeric_limits<std::ptrdiff_t>::max();
    permit adopted(semaphore, std::adopt_lock, most); // a misuse; forgotten below
    permit held = semaphore.try_acquire_permit();
    BOOST_CHECK_THROW(adopted.merge(std::move(held)), std::invalid_argument);
    BOOST_CHECK_THROW(held.merge(std::move(adopted)), std::invalid_argument);
    BOOST_TEST(held.count() == 1);
    BOOST_TEST(adopted.forget() == most);
    held.reset();
    BOOST_TEST(semaphore.available() == 5);
}

BOOST_AUTO_TEST_CASE(merge_with_a_permit_of_another_semaphore_changes_neither) {
    permit a = semaphore.try_acquire_permit(2), b = other.try_acquire_permit(3);
    BOOST_CHECK_THROW(a.merge(std::move(b)), std::invalid_argument);
    BOOST_TEST(a.count() == 2);
    BOOST_TEST(b.count() == 3);
    a.reset();
    b.reset();
    BOOST_TEST(semaphore.available() == 5);
    BOOST_TEST(other.available() == 5);
}

BOOST_AUTO_TEST_CASE(swap_exchanges_permits_of_different_semaphores) {
    permit a = semaphore.try_acquire_permit(2), b = other.try_acquire_permit(3), empty;
    a.swap(b);
    BOOST_TEST(a.count() == 3);
    BOOST_TEST(b.count() == 2);
    using std::swap;
    swap(a, empty);
    BOOST_TEST(!a);
    BOOST_TEST(empty.count() == 3);
    empty.reset();
    BOOST_TEST(other.available() == 5);
    BOOST_TEST(semaphore.available() == 3);
    b.reset();
    BOOST_TEST(semaphore.available() == 5);
}

BOOST_AUTO_TEST_CASE(permits_can_be_kept_in_containers) {
    std::vector<permit> permits;
    for (int i = 0; i < 5; ++i)
        permits.push_back(semaphore.try_acquire_permit());
    BOOST_TEST(semaphore.available() == 0);
    permits.erase(permits.begin());
    BOOST_TEST(semaphore.available() == 1);
    permits.clear();
    BOOST_TEST(semaphore.available() == 5);
}

BOOST_AUTO_TEST_CASE(a_permit_follows_its_semaphore_when_that_is_moved) {
    permit held = semaphore.try_acquire_permit(2);
    async_semaphore moved(std::move(semaphore));
    permit more = moved.try_acquire_permit(1);
    held.merge(std::move(more));
    BOOST_TEST(held.count() == 3);
    held.reset();
    BOOST_TEST(moved.available() == 5);
}

BOOST_AUTO_TEST_CASE(permits_given_back_in_any_order_serve_the_queue_in_its_order) {
    permit a = semaphore.try_acquire_permit(3), b = semaphore.try_acquire_permit(2);
    operation large, small;
    semaphore.async_acquire_permit(4, large.on_completion());
    semaphore.async_acquire_permit(1, small.on_completion());
    b.reset();
    BOOST_TEST(semaphore.available() == 2);
    a.reset();
    BOOST_TEST(semaphore.available() == 0);
    poll();
    BOOST_TEST(large.held().count() == 4);
    BOOST_TEST(small.held().count() == 1);
}

BOOST_AUTO_TEST_SUITE_END()
