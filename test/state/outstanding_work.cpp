// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// Which waiter holds outstanding work on the semaphore's executor, so that the context keeps
// running while an operation waits.

#include "hand_made_waiter.hpp"

#include <boost/test/unit_test.hpp>

#include <deque>

namespace {

using namespace test;

struct fixture : state_fixture {
    state_pointer s = make(0);
    // These waiters hold no work themselves.
    hand_made_waiter a{1, false}, b{1, false}, c{1, false};
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(state_outstanding_work, fixture)

BOOST_AUTO_TEST_CASE(one_waiter_holds_work_for_all) {
    for (auto* w : {&a, &b, &c})
        s->enqueue(*w);
    BOOST_TEST(a.told_to_work == 1);
    BOOST_TEST(b.told_to_work == 0);
    BOOST_TEST(c.told_to_work == 0);
    s->cancel();
}

BOOST_AUTO_TEST_CASE(the_waiter_that_holds_work_passes_it_on_to_the_last) {
    a.inside = true;
    for (auto* w : {&a, &b, &c})
        s->enqueue(*w);
    s->release(1);
    BOOST_TEST(a.submitted == 1);
    BOOST_TEST(b.told_to_work == 0);
    BOOST_TEST(c.told_to_work == 1);
    b.inside = true;
    s->release(1);
    BOOST_TEST(b.told_to_work == 0);
    BOOST_TEST(c.told_to_work == 1);
    s->release(1);
    BOOST_TEST(c.told_to_work == 1);
}

BOOST_AUTO_TEST_CASE(a_waiter_that_holds_no_work_passes_none_on) {
    link_type canceller(s);
    canceller.attach(b);
    b.inside = true;
    for (auto* w : {&a, &b, &c})
        s->enqueue(*w);
    canceller.fire();
    BOOST_TEST(b.ended_as(outcome::aborted));
    BOOST_TEST(b.told_to_work == 0);
    BOOST_TEST(c.told_to_work == 0);
    s->cancel();
}

BOOST_AUTO_TEST_CASE(the_first_waiter_after_an_empty_queue_holds_work) {
    s->enqueue(a);
    s->release(1);
    s->enqueue(b);
    BOOST_TEST(b.told_to_work == 1);
    s->release(1);
}

BOOST_AUTO_TEST_CASE(outside_the_executor_the_last_waiter_holds_work_until_its_submission) {
    for (auto* w : {&a, &b, &c})
        s->enqueue(*w);
    b.on_end = [&](state_pointer of_b) {
        BOOST_TEST(b.told_to_work == 1); // told before the submission
        of_b->release(0);
    };
    s->release(2);
    BOOST_TEST(a.submitted == 1);
    BOOST_TEST(b.submitted == 1);
    s->release(1);
}

BOOST_AUTO_TEST_CASE(inside_the_executor_no_waiter_needs_to_hold_work) {
    b.inside = true;
    for (auto* w : {&a, &b, &c})
        s->enqueue(*w);
    s->release(2);
    BOOST_TEST(b.submitted == 1);
    BOOST_TEST(b.told_to_work == 0);
    s->release(1);
}

// A dropped handler runs another context during its submission, and that context returns permits.
// The grant has to wait for the end of the first submission. By then the other context may have
// ended.
BOOST_AUTO_TEST_CASE(a_thread_in_the_middle_of_a_submission_is_not_inside_the_executor) {
    const auto other = make(0);
    a.on_end = [&](state_pointer) {
        other->release(2);
        BOOST_TEST(c.untouched());
        BOOST_TEST(c.told_to_work == 1);
    };
    b.inside = c.inside = true;
    s->enqueue(a);
    hand_made_waiter last{1, false};
    for (auto* w : {&b, &c, &last})
        other->enqueue(*w);
    s->release(1);
    BOOST_TEST(c.submitted == 1);
    other->release(1);
}

// A call that ends many waiters lets other calls in between. Whichever waiters they take, another
// waiter must hold work for the rest.
BOOST_AUTO_TEST_CASE(while_many_waiters_are_ended_one_of_the_rest_holds_work) {
    std::deque<hand_made_waiter> many;
    for (int i = 0; i < 2500; ++i)
        s->enqueue(many.emplace_back(1, false));
    many.back().on_end = [&](state_pointer) {
        int holding = 0;
        for (const hand_made_waiter& w : many)
            holding += w.told_to_work;
        // The holder of the queue, and the last waiter of each critical section.
        BOOST_TEST(holding == 4);
        BOOST_TEST(many.back().told_to_work == 1);
    };
    BOOST_TEST(s->cancel() == 2500u);
    BOOST_TEST(many.back().submitted == 1);
}

BOOST_AUTO_TEST_CASE(a_waiter_that_holds_work_itself_is_not_told_to) {
    hand_made_waiter own{1};
    own.inside = true; // must not matter
    s->enqueue(own);
    s->enqueue(a);
    BOOST_TEST(a.told_to_work == 0);
    s->release(1);
    BOOST_TEST(own.told_to_work == 0);
    BOOST_TEST(a.told_to_work == 1);
    s->release(1);
}

BOOST_AUTO_TEST_SUITE_END()
