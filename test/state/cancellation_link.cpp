// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore/detail/state/cancellation_link.hpp>

#include "hand_made_waiter.hpp"

#include <deque>
#include <memory>
#include <optional>

namespace {

using namespace test;

struct link_fixture : state_fixture {
    hand_made_waiter a{1}, b{1}, c{1}, two{2}, three{3};
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(state_cancellation_link, link_fixture)

BOOST_AUTO_TEST_CASE(a_link_aborts_its_waiter) {
    const auto s = make(0);
    link_type canceller(s);
    canceller.attach(a);
    s->enqueue(a);
    canceller.fire();
    BOOST_TEST(a.ended_as(outcome::aborted));
    BOOST_TEST(s->waiting() == 0u);
    BOOST_TEST(s->available() == 0);
}

BOOST_AUTO_TEST_CASE(a_link_fired_early_ends_its_waiter_as_it_enters_the_queue) {
    const auto s = make(5);
    link_type canceller(s);
    canceller.attach(a);
    canceller.fire();
    BOOST_TEST(a.untouched());
    BOOST_TEST(s->enqueue(a) == outcome::aborted);
    BOOST_TEST(a.untouched());
    BOOST_TEST(s->waiting() == 0u);
    BOOST_TEST(s->available() == 5);
}

BOOST_AUTO_TEST_CASE(a_closed_state_prevails_over_a_fired_link) {
    const auto s = make(0);
    link_type canceller(s);
    canceller.attach(a);
    canceller.fire();
    s->close();
    BOOST_TEST(s->enqueue(a) == outcome::closed);
}

BOOST_AUTO_TEST_CASE(a_link_fired_after_the_grant_has_no_effect) {
    const auto s = make(0);
    link_type canceller(s);
    canceller.attach(a);
    s->enqueue(a);
    s->enqueue(b);
    s->release(1);
    canceller.fire();
    canceller.fire();
    BOOST_TEST(a.ended_as(outcome::granted));
    BOOST_TEST(b.untouched());
    BOOST_TEST(s->available() == 0);
    s->cancel();
}

BOOST_AUTO_TEST_CASE(a_link_fired_after_a_grant_inside_enqueue_has_no_effect) {
    const auto s = make(1);
    link_type canceller(s);
    canceller.attach(a);
    BOOST_TEST(s->enqueue(a) == outcome::granted);
    canceller.fire();
    BOOST_TEST(a.untouched());
    BOOST_TEST(s->available() == 0);
}

BOOST_AUTO_TEST_CASE(a_link_fired_twice_ends_its_waiter_once) {
    const auto s = make(0);
    link_type canceller(s);
    canceller.attach(a);
    s->enqueue(a);
    canceller.fire();
    canceller.fire();
    BOOST_TEST(a.ended_as(outcome::aborted));
}

BOOST_AUTO_TEST_CASE(a_cancelled_head_makes_way) {
    const auto s = make(2);
    link_type canceller(s);
    canceller.attach(three);
    for (auto* w : {&three, &a, &b, &c})
        s->enqueue(*w);
    canceller.fire();
    BOOST_TEST(three.ended_as(outcome::aborted));
    BOOST_TEST(a.ended_as(outcome::granted));
    BOOST_TEST(b.ended_as(outcome::granted));
    BOOST_TEST(c.untouched());
    BOOST_TEST(s->available() == 0);
    BOOST_TEST(s->waiting() == 1u);
    s->cancel();
}

BOOST_AUTO_TEST_CASE(a_waiter_cancelled_in_the_middle_leaves_the_rest_in_order) {
    const auto s = make(1);
    link_type canceller(s);
    canceller.attach(a);
    for (auto* w : {&two, &a, &three})
        s->enqueue(*w);
    canceller.fire();
    BOOST_TEST(a.ended_as(outcome::aborted));
    BOOST_TEST(two.untouched());
    BOOST_TEST(s->available() == 1);
    s->release(4);
    BOOST_TEST(two.ended_as(outcome::granted));
    BOOST_TEST(three.ended_as(outcome::granted));
    BOOST_TEST(s->available() == 0);
}

BOOST_AUTO_TEST_CASE(the_last_waiter_cancelled_leaves_the_fast_path_open) {
    const auto s = make(1);
    link_type canceller(s);
    canceller.attach(two);
    s->enqueue(two);
    BOOST_TEST(s->try_acquire(1) == outcome::queued);
    canceller.fire();
    BOOST_TEST(s->try_acquire(1) == outcome::granted);
}

BOOST_AUTO_TEST_CASE(cancelling_in_debt_grants_nobody) {
    const auto s = make(0);
    link_type canceller(s);
    canceller.attach(a);
    s->enqueue(a);
    s->enqueue(b);
    s->reduce(1);
    canceller.fire();
    BOOST_TEST(b.untouched());
    BOOST_TEST(s->available() == -1);
    s->release(2);
    BOOST_TEST(b.ended_as(outcome::granted));
}

BOOST_AUTO_TEST_CASE(a_link_that_dies_first_leaves_its_waiter_waiting) {
    const auto s = make(0);
    {
        link_type canceller(s);
        canceller.attach(a);
        s->enqueue(a);
    }
    BOOST_TEST(s->waiting() == 1u);
    BOOST_TEST(a.link == nullptr);
    s->release(1);
    BOOST_TEST(a.ended_as(outcome::granted));
}

BOOST_AUTO_TEST_CASE(a_link_may_die_after_any_end_of_its_waiter) {
    const struct {
        const char* name;
        void (*end)(state&, registry&);
    } cases[] = {
        {"granted",
         [](state& s, registry&) {
             s.release(1);
         }},
        {"cancelled",
         [](state& s, registry&) {
             s.cancel();
         }},
        {"closed",
         [](state& s, registry&) {
             s.close();
         }},
        {"aborted",
         [](state& s, registry&) {
             s.abort();
         }},
        {"shut down",
         [](state&, registry& r) {
             r.shutdown();
         }},
    };
    for (const auto& one : cases) {
        BOOST_TEST_CONTEXT(one.name) {
            states.reset(new registry);
            const auto s = make(0);
            auto w = std::make_unique<hand_made_waiter>(1);
            std::optional<link_type> canceller(std::in_place, s);
            canceller->attach(*w);
            s->enqueue(*w);
            one.end(*s, *states);
            w.reset(); // the link must not use the waiter any more
            canceller->fire();
            canceller.reset();
        }
    }
}

// While a call ends many waiters, the later ones can still be cancelled, here by the end of an
// earlier one.
BOOST_AUTO_TEST_CASE(a_link_may_fire_or_die_when_its_waiter_is_about_to_be_ended) {
    const auto s = make(0);
    link_type early(s);
    std::optional<link_type> late(std::in_place, s);
    std::deque<hand_made_waiter> many;
    for (int i = 0; i < 2500; ++i)
        many.emplace_back(1);
    late->attach(many.back());
    early.attach(many.front());
    for (hand_made_waiter& w : many)
        s->enqueue(w);
    many.front().on_end = [&](state_pointer) {
        late->fire();
        late.reset();
    };
    s->close();
    for (const hand_made_waiter& w : many)
        BOOST_TEST_REQUIRE(w.ended_as(outcome::closed));
}

BOOST_AUTO_TEST_CASE(a_link_may_die_inside_the_end_that_it_caused) {
    // On the heap, so that AddressSanitizer reports a later use.
    auto s = make(0);
    auto canceller = std::make_unique<link_type>(s);
    canceller->attach(a);
    s->enqueue(a);
    s.reset(); // as if the semaphore had been destroyed without abort
    a.on_end = [&](state_pointer) {
        canceller.reset();
    };
    canceller->fire();
    BOOST_TEST(a.submitted == 1);
    BOOST_TEST(a.result == outcome::aborted);
}

BOOST_AUTO_TEST_CASE(a_link_keeps_its_state_alive) {
    auto s = make(0);
    link_type canceller(s);
    canceller.attach(a);
    s->enqueue(a);
    s->abort(); // as the destructor of the semaphore does
    s.reset();
    canceller.fire();
    BOOST_TEST(a.ended_as(outcome::aborted));
}

BOOST_AUTO_TEST_CASE(a_link_without_a_waiter_is_harmless) {
    const auto s = make(0);
    {
        link_type never_attached(s);
        never_attached.fire();
    }
    link_type never_queued(s);
    never_queued.attach(a);
    BOOST_TEST(s->waiting() == 0u);
}

BOOST_AUTO_TEST_CASE(a_link_may_die_before_its_waiter_enters_the_queue) {
    for (const bool fires : {false, true}) {
        const auto s = make(0);
        hand_made_waiter w(1);
        auto canceller = std::make_unique<link_type>(s);
        canceller->attach(w);
        if (fires)
            canceller->fire();
        canceller.reset();
        BOOST_TEST((w.link == nullptr));
        BOOST_TEST(s->enqueue(w) == (fires ? outcome::aborted : outcome::queued));
        s->cancel();
    }
}

BOOST_AUTO_TEST_CASE(a_link_forgets_a_waiter_that_never_enters_the_queue) {
    const auto s = make(0);
    link_type canceller(s);
    {
        auto w = std::make_unique<hand_made_waiter>(1);
        canceller.attach(*w);
        canceller.fire();
        BOOST_TEST(s->enqueue(*w) == outcome::aborted);
        s->detach(*w);
        BOOST_TEST((w->link == nullptr));
    }
    canceller.fire();
}

BOOST_AUTO_TEST_CASE(a_waiter_may_lose_its_link_before_it_is_detached) {
    const auto s = make(0);
    {
        link_type canceller(s);
        canceller.attach(a);
    }
    s->detach(a);
    BOOST_TEST((a.link == nullptr));
}

BOOST_AUTO_TEST_SUITE_END()
