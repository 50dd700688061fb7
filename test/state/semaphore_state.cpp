// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore/detail/state/semaphore_state.hpp>

#include "hand_made_waiter.hpp"

#include <limits>
#include <memory>
#include <vector>

namespace {

using namespace test;
using waiter_pointer = std::unique_ptr<hand_made_waiter>;

struct semaphore_state_fixture : state_fixture {
    hand_made_waiter a{1}, b{1}, c{1}, two{2}, three{3};
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(state_semaphore_state, semaphore_state_fixture)

BOOST_AUTO_TEST_CASE(try_acquire_without_a_queue_decides_by_the_free_permits) {
    const auto s = make(3, 5);
    BOOST_TEST(s->try_acquire(2) == outcome::granted);
    BOOST_TEST(s->available() == 1);
    BOOST_TEST(s->try_acquire(2) == outcome::queued);
    BOOST_TEST(s->try_acquire(0) == outcome::granted);
    BOOST_TEST(s->try_acquire(-1) == outcome::invalid_argument);
    BOOST_TEST(s->try_acquire(6) == outcome::exceeds_max);
    BOOST_TEST(s->available() == 1);
    BOOST_TEST(s->max_permits() == 5);
}

BOOST_AUTO_TEST_CASE(enqueue_grants_what_fits_by_now) {
    const auto s = make(1);
    BOOST_TEST(s->enqueue(a) == outcome::granted);
    BOOST_TEST(s->available() == 0);
    BOOST_TEST(s->waiting() == 0u);
    BOOST_TEST(a.untouched());
    BOOST_TEST(s->enqueue(b) == outcome::queued);
    BOOST_TEST(s->waiting() == 1u);
    BOOST_TEST(s->release(2));
    BOOST_TEST(s->available() == 1);
    BOOST_TEST(b.ended_as(outcome::granted));
}

BOOST_AUTO_TEST_CASE(enqueue_does_not_overtake_the_queue) {
    const auto s = make(2);
    s->enqueue(three);
    BOOST_TEST(s->enqueue(a) == outcome::queued);
    BOOST_TEST(s->try_acquire(1) == outcome::queued);
    BOOST_TEST(s->available() == 2);
    s->release(1);
    BOOST_TEST(three.ended_as(outcome::granted));
    BOOST_TEST(a.untouched());
    s->release(1);
    BOOST_TEST(a.ended_as(outcome::granted));
}

BOOST_AUTO_TEST_CASE(waiters_are_submitted_in_the_order_of_the_queue) {
    const auto s = make(0);
    std::vector<std::ptrdiff_t> order;
    for (auto* w : {&two, &a, &three, &b}) {
        w->on_end = [&order, w](state_pointer) {
            order.push_back(w->count);
        };
        s->enqueue(*w);
    }
    s->release(7);
    const std::vector<std::ptrdiff_t> expected{2, 1, 3, 1};
    BOOST_TEST(order == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_release_beyond_the_maximum_changes_nothing) {
    const auto s = make(2, 3);
    BOOST_TEST(!s->release(2));
    BOOST_TEST(s->available() == 2);
    s->enqueue(three);
    BOOST_TEST(!s->release(2));
    BOOST_TEST(!s->release(std::numeric_limits<std::ptrdiff_t>::max()));
    BOOST_TEST(s->available() == 2);
    BOOST_TEST(three.untouched());
    BOOST_TEST(s->release(1));
    BOOST_TEST(three.ended_as(outcome::granted));
}

BOOST_AUTO_TEST_CASE(a_debt_is_paid_first) {
    const auto s = make(0);
    s->enqueue(a);
    s->enqueue(b);
    BOOST_TEST(s->reduce(2));
    BOOST_TEST(s->available() == -2);
    BOOST_TEST(s->release(2));
    BOOST_TEST(s->available() == 0);
    BOOST_TEST(a.untouched());
    put_back(s, 1);
    BOOST_TEST(a.ended_as(outcome::granted));
    BOOST_TEST(b.untouched());
    s->release(1);
}

BOOST_AUTO_TEST_CASE(a_debt_cannot_exceed_the_largest_count) {
    const auto s = make(1, 1);
    BOOST_TEST(s->reduce(1));
    BOOST_TEST(s->reduce(state::max()));
    BOOST_TEST(s->available() == -state::max());
    BOOST_TEST(!s->reduce(1));
    BOOST_TEST(!s->reduce(std::numeric_limits<std::ptrdiff_t>::max()));
    s->enqueue(a);
    BOOST_TEST(!s->reduce(1));
    BOOST_TEST(s->available() == -state::max());
    BOOST_TEST(s->release(state::max()));
    BOOST_TEST(a.untouched());
    BOOST_TEST(s->release(1));
    BOOST_TEST(a.ended_as(outcome::granted));
}

// The distance from the largest debt to the largest maximum is twice the range of a 32-bit
// ptrdiff_t.
BOOST_AUTO_TEST_CASE(a_debt_is_paid_below_the_largest_maximum_too) {
    const auto s = make(0);
    BOOST_TEST(s->reduce(state::max()));
    BOOST_TEST(s->release(1));
    put_back(s, 1);
    s->enqueue(a);
    BOOST_TEST(s->release(1));
    BOOST_TEST(s->available() == -state::max() + 3);
    BOOST_TEST(s->release(state::max()));
    BOOST_TEST(a.ended_as(outcome::granted));
    BOOST_TEST(s->available() == 2);
}

BOOST_AUTO_TEST_CASE(cancel_ends_all_waiters_and_takes_no_permit) {
    const auto s = make(1);
    s->enqueue(two);
    s->enqueue(a);
    BOOST_TEST(s->cancel() == 2u);
    BOOST_TEST(two.ended_as(outcome::aborted));
    BOOST_TEST(a.ended_as(outcome::aborted));
    BOOST_TEST(s->available() == 1);
    BOOST_TEST(s->waiting() == 0u);
    BOOST_TEST(s->cancel() == 0u);
    BOOST_TEST(s->try_acquire(1) == outcome::granted);
}

BOOST_AUTO_TEST_CASE(a_closed_state_refuses_acquires_and_counts_permits) {
    const auto s = make(1);
    s->enqueue(two);
    s->close();
    BOOST_TEST(two.ended_as(outcome::closed));
    BOOST_TEST(!s->is_open());
    BOOST_TEST(s->try_acquire(0) == outcome::closed);
    BOOST_TEST(s->try_acquire(1) == outcome::closed);
    BOOST_TEST(s->enqueue(a) == outcome::closed);
    BOOST_TEST(a.untouched());
    BOOST_TEST(s->release(2));
    BOOST_TEST(s->available() == 3);
    BOOST_TEST(s->reduce(5));
    BOOST_TEST(s->available() == -2);
    put_back(s, 1);
    BOOST_TEST(s->available() == -1);
    s->close();
    BOOST_TEST(!s->is_open());
}

BOOST_AUTO_TEST_CASE(abort_prevails_over_close_and_shutdown_over_both) {
    const auto s = make(1);
    s->close();
    s->abort();
    BOOST_TEST(s->try_acquire(1) == outcome::aborted);
    s->close();
    BOOST_TEST(s->try_acquire(1) == outcome::aborted);
    BOOST_TEST(s->enqueue(a) == outcome::aborted);
    states->shutdown();
    BOOST_TEST(s->try_acquire(1) == outcome::abandoned);
    s->abort();
    s->close();
    for (const std::ptrdiff_t n : {-1, 0, 1})
        BOOST_TEST(s->try_acquire(n) == outcome::abandoned);
    BOOST_TEST(s->enqueue(a) == outcome::abandoned);
}

BOOST_AUTO_TEST_CASE(abort_ends_waiters_as_aborted) {
    const auto s = make(0);
    s->enqueue(a);
    s->abort();
    BOOST_TEST(a.ended_as(outcome::aborted));
    BOOST_TEST(!s->is_open());
}

BOOST_AUTO_TEST_CASE(a_submission_holds_no_lock_and_shows_no_permit) {
    const auto s = make(0);
    bool seen = false;
    a.on_end = [&](state_pointer of_a) {
        BOOST_TEST(of_a->available() == 0);
        BOOST_TEST(of_a->waiting() == 1u);
        BOOST_TEST(of_a->try_acquire(1) == outcome::queued);
        BOOST_TEST(of_a->enqueue(c) == outcome::queued);
        BOOST_TEST(of_a->reduce(1));
        BOOST_TEST(of_a->release(2));
        seen = true;
    };
    s->enqueue(a);
    s->enqueue(b);
    s->release(1);
    BOOST_TEST(seen);
    BOOST_TEST(b.ended_as(outcome::granted));
    BOOST_TEST(c.untouched());
    BOOST_TEST(s->cancel() == 1u);
}

BOOST_AUTO_TEST_CASE(permits_of_a_dropped_operation_go_to_the_next) {
    const auto s = make(0);
    a.drop_when_submitted();
    b.drop_when_submitted();
    for (auto* w : {&a, &b, &c})
        s->enqueue(*w);
    s->release(1);
    BOOST_TEST(a.ended_as(outcome::granted));
    BOOST_TEST(b.ended_as(outcome::granted));
    BOOST_TEST(c.ended_as(outcome::granted));
    BOOST_TEST(s->available() == 0);
    c.drop_when_submitted();
}

BOOST_AUTO_TEST_CASE(a_chain_of_dropped_operations_does_not_grow_the_stack) {
    const auto s = make(0), t = make(0);
    std::vector<waiter_pointer> waiters;
    int depth = 0, deepest = 0;
    for (int i = 0; i < 100000; ++i) {
        auto& w = *waiters.emplace_back(std::make_unique<hand_made_waiter>(1));
        // Each releases the other semaphore, so that the chain alternates between the two.
        const auto& other = i % 2 == 0 ? t : s;
        w.on_end = [&depth, &deepest, other](state_pointer) {
            deepest = std::max(deepest, ++depth);
            other->release(1);
            --depth;
        };
        (i % 2 == 0 ? s : t)->enqueue(w);
    }
    s->release(1);
    BOOST_TEST(deepest == 1);
    for (const auto& w : waiters)
        BOOST_TEST_REQUIRE(w->ended_as(outcome::granted));
    BOOST_TEST(s->available() + t->available() == 1);
}

BOOST_AUTO_TEST_CASE(a_submitted_waiter_may_release_the_last_reference) {
    auto s = make(0);
    state* const address = s.get();
    a.on_end = [&](state_pointer of_a) {
        s.reset();
        of_a.reset();
    };
    b.on_end = [](state_pointer of_b) {
        of_b.reset();
    };
    address->enqueue(a);
    address->enqueue(b);
    {
        const state_pointer caller(address); // a permit object would hold this reference
        address->release(2);
    }
    BOOST_TEST(a.submitted == 1);
    BOOST_TEST(b.submitted == 1);
}

BOOST_AUTO_TEST_CASE(a_waiter_in_the_queue_holds_no_reference_and_a_taken_one_does) {
    auto s = make(0);
    state_pointer kept;
    a.on_end = [&](state_pointer of_a) {
        kept = std::move(of_a);
    };
    s->enqueue(a);
    s->release(1);
    s.reset();
    BOOST_TEST(kept->available() == 0); // only the taken waiter keeps the state alive
    put_back(kept, 1);
    BOOST_TEST(kept->available() == 1);
}

BOOST_AUTO_TEST_SUITE_END()
