// Who keeps the semaphore's executor busy, so that it does not run out of work while somebody
// waits.

#include "hand_made_waiter.hpp"

#include <boost/test/unit_test.hpp>

namespace {

using namespace test;

struct fixture : state_fixture {
    state_pointer s = make(0);
    // They do not keep it busy by themselves.
    hand_made_waiter a{1, false}, b{1, false}, c{1, false};
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(state_busy, fixture)

BOOST_AUTO_TEST_CASE(one_for_all_who_wait) {
    for (auto* w : {&a, &b, &c})
        s->enqueue(*w);
    BOOST_TEST(a.kept_busy == 1);
    BOOST_TEST(b.kept_busy == 0);
    BOOST_TEST(c.kept_busy == 0);
    s->cancel();
}

BOOST_AUTO_TEST_CASE(who_leaves_passes_it_on_to_the_last) {
    a.inside = true;
    for (auto* w : {&a, &b, &c})
        s->enqueue(*w);
    s->release(1);
    BOOST_TEST(a.submitted == 1);
    BOOST_TEST(b.kept_busy == 0);
    BOOST_TEST(c.kept_busy == 1);
    b.inside = true;
    s->release(1);
    BOOST_TEST(b.kept_busy == 0);
    BOOST_TEST(c.kept_busy == 1);
    s->release(1);
    BOOST_TEST(c.kept_busy == 1);
}

BOOST_AUTO_TEST_CASE(another_who_leaves_passes_nothing_on) {
    link_type canceller(s, outcome::aborted);
    canceller.attach(b);
    b.inside = true;
    for (auto* w : {&a, &b, &c})
        s->enqueue(*w);
    canceller.fire();
    BOOST_TEST(b.ended_as(outcome::aborted));
    BOOST_TEST(b.kept_busy == 0);
    BOOST_TEST(c.kept_busy == 0);
    s->cancel();
}

BOOST_AUTO_TEST_CASE(a_queue_that_was_empty_begins_anew) {
    s->enqueue(a);
    s->release(1);
    s->enqueue(b);
    BOOST_TEST(b.kept_busy == 1);
    s->release(1);
}

BOOST_AUTO_TEST_CASE(a_thread_outside_keeps_it_busy_until_the_last_is_submitted) {
    for (auto* w : {&a, &b, &c})
        s->enqueue(*w);
    b.on_end = [&](state_pointer of_b) {
        BOOST_TEST(b.kept_busy == 1); // before it is submitted
        of_b->release(0);
    };
    s->release(2);
    BOOST_TEST(a.submitted == 1);
    BOOST_TEST(b.submitted == 1);
    s->release(1);
}

BOOST_AUTO_TEST_CASE(a_thread_inside_is_work_enough) {
    b.inside = true;
    for (auto* w : {&a, &b, &c})
        s->enqueue(*w);
    s->release(2);
    BOOST_TEST(b.submitted == 1);
    BOOST_TEST(b.kept_busy == 0);
    s->release(1);
}

// A handler that is dropped while it is submitted runs another context, which gives back there: the
// grant has to wait for the first submission, and that context may be over by then.
BOOST_AUTO_TEST_CASE(a_thread_in_the_middle_of_a_submission_is_not_inside) {
    const auto other = make(0);
    a.on_end = [&](state_pointer) {
        other->release(2);
        BOOST_TEST(c.untouched());
        BOOST_TEST(c.kept_busy == 1);
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

BOOST_AUTO_TEST_CASE(who_does_so_anyway_is_not_told_to) {
    hand_made_waiter own{1};
    s->enqueue(own);
    s->enqueue(a);
    BOOST_TEST(own.kept_busy == 0);
    BOOST_TEST(a.kept_busy == 0);
    s->release(1);
    BOOST_TEST(own.kept_busy == 0);
    BOOST_TEST(a.kept_busy == 1);
    s->release(1);
}

BOOST_AUTO_TEST_SUITE_END()
