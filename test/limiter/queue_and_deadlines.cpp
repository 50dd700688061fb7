// Who waits in a limiter's queue, for how long, and who goes: scenarios L1 to L23.

#include "limiter_fixture.hpp"

namespace {

using namespace test;

} // namespace

BOOST_FIXTURE_TEST_SUITE(limiter_queue_and_deadlines, limiter_fixture)

BOOST_AUTO_TEST_CASE(L1_shed_at_once) {
    lim(1, options(0, 1000));
    client& a = admit();
    BOOST_TEST(runs(a));
    client& b = admit();
    BOOST_TEST(ended_as(b, outcome::queue_full));
    finish(a);
    BOOST_TEST(runs(admit()));
    check_counts(3);
}

BOOST_AUTO_TEST_CASE(L2_deadline_without_traffic) {
    lim(1, options(10, 100));
    admit();
    client& b = admit();
    at(99);
    BOOST_TEST(waits(b));
    at(100);
    BOOST_TEST(ended_as(b, outcome::timed_out));
    check_counts(2);
}

BOOST_AUTO_TEST_CASE(L5_L6_L7_patient_then_impatient_and_newest_first) {
    auto o = options(10, 100);
    o.busy_wait = milliseconds(5);
    o.order = queue_order::adaptive;
    lim(1, o);
    client& a = admit();
    at(10);
    client& b = admit();
    at(60);
    client& c = admit();
    at(109);
    BOOST_TEST(waits(b));
    at(110);
    BOOST_TEST(ended_as(b, outcome::timed_out));
    at(115);
    client& d = admit();
    at(118);
    BOOST_TEST(waits(c));
    finish(a);
    BOOST_TEST(runs(d));
    BOOST_TEST(waits(c));
    client& e = admit();
    at(122);
    BOOST_TEST(waits(e));
    at(123);
    BOOST_TEST(ended_as(e, outcome::shed));
    at(160);
    BOOST_TEST(ended_as(c, outcome::timed_out));
    check_counts(5);
}

BOOST_AUTO_TEST_CASE(L17_late_timer) {
    lim(1, options(10, 100));
    client& a = admit();
    client& b = admit();
    at(50);
    auto r = within(150);
    client& c = admit(r);
    is_timer_late = true;
    at(150);
    BOOST_TEST(waits(b));
    finish(a);
    BOOST_TEST(ended_as(b, outcome::timed_out));
    BOOST_TEST(runs(c));
}

BOOST_AUTO_TEST_CASE(L19_grow) {
    lim(2, options(10, 1000));
    admit(), admit();
    client &w1 = admit(), &w2 = admit(), &w3 = admit(), &w4 = admit();
    s->set_limit(5);
    BOOST_TEST((runs(w1) && runs(w2) && runs(w3) && waits(w4)));
}

BOOST_AUTO_TEST_CASE(L30_fewest_held_first) {
    lim(2, options(10, 1000));
    client &a1 = admit(of(1)), &a2 = admit(of(1));
    client &a = admit(of(1)), &b = admit(of(2));
    finish(a1);
    BOOST_TEST((runs(b) && waits(a)));
    finish(a2);
    BOOST_TEST(runs(a));
    BOOST_TEST(s->statistics().keys == 2u);
    finish(a), finish(b);
    BOOST_TEST(s->statistics().keys == 0u);
}

BOOST_AUTO_TEST_CASE(idle) {
    lim(1, options(10, 1000));
    idler i;
    BOOST_TEST(s->enqueue_idle(i) == outcome::granted);
    client &a = admit(), &b = admit();
    idler j, k;
    BOOST_TEST(s->enqueue_idle(j) == outcome::queued);
    BOOST_TEST(s->enqueue_idle(k) == outcome::queued);
    BOOST_TEST(s->waiting() == 1u);
    BOOST_TEST(s->cancel() == 1u);
    BOOST_TEST(ended_as(b, outcome::aborted));
    BOOST_TEST(!j.end.has_value());
    s->close();
    BOOST_TEST(!j.end.has_value());
    finish(a);
    BOOST_TEST((j.end == outcome::granted && k.end == outcome::granted));
}

BOOST_AUTO_TEST_SUITE_END()
