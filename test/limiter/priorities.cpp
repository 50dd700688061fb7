// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// The order of requests by priority, and the share of the limit that each priority may fill:
// scenarios L24 to L29 of the limiter's contract.

#include "limiter_fixture.hpp"

#include <asio_semaphore/limiter/aimd_limit.hpp>
#include <asio_semaphore/limiter/gradient_limit.hpp>

namespace {

using namespace test;

limiter_options shared(std::array<double, 4> share, std::size_t max_waiting = 10) {
    auto o = limiter_fixture::options(max_waiting, 1000);
    o.share = share;
    return o;
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(limiter_priorities, limiter_fixture)

BOOST_AUTO_TEST_CASE(L24_higher_priorities_come_first) {
    lim(1, options(10, 1000));
    client& a = admit();
    client& low = admit(at_priority(1));
    client& high = admit(at_priority(0));
    finish(a);
    BOOST_TEST((runs(high) && waits(low)));
    finish(high);
    BOOST_TEST(runs(low));
}

BOOST_AUTO_TEST_CASE(each_priority_comes_before_the_lower_ones) {
    lim(1, options(10, 1000));
    client* running = &admit();
    std::vector<client*> w;
    for (int p : {3, 1, 2, 0})
        w.push_back(&admit(at_priority(p)));
    for (std::size_t next : {3u, 1u, 2u, 0u}) {
        finish(*running);
        running = w[next];
        BOOST_TEST(runs(*running));
    }
}

BOOST_AUTO_TEST_CASE(L25_a_share_counts_the_requests_of_all_priorities) {
    lim(5, shared({1, .8, .8, .8}));
    client& first = admit(at_priority(1));
    for (int i = 0; i < 3; ++i)
        BOOST_TEST(runs(admit(at_priority(1))));
    client& low = admit(at_priority(1));
    BOOST_TEST(waits(low));
    client& high = admit(at_priority(0));
    BOOST_TEST(runs(high));
    BOOST_TEST(waits(admit(at_priority(0))));
    BOOST_TEST(s->in_flight() == 5);
    finish(first); // leaves 4, so the other request of priority 0 is granted
    BOOST_TEST(waits(low));
    BOOST_TEST(s->in_flight() == 5);
    finish(high); // leaves 4, the most that lower priorities may fill
    BOOST_TEST(waits(low));
    BOOST_TEST(s->in_flight() == 4);
}

BOOST_AUTO_TEST_CASE(the_share_counts_all_priorities) {
    lim(10, shared({1, .5, .3, .1}));
    for (int i = 0; i < 3; ++i)
        BOOST_TEST(runs(admit(at_priority(0))));
    BOOST_TEST(!runs(try_admit(at_priority(3))));
    BOOST_TEST(!runs(try_admit(at_priority(2))));
    BOOST_TEST(runs(try_admit(at_priority(1))));
    BOOST_TEST(runs(try_admit(at_priority(1))));
    BOOST_TEST(!runs(try_admit(at_priority(1))));
    BOOST_TEST(runs(try_admit(at_priority(0, 5))));
    BOOST_TEST(!runs(try_admit(at_priority(0))));
}

BOOST_AUTO_TEST_CASE(L26_a_share_admits_at_least_one_request) {
    lim(1, shared({1, 1, 1, .1}));
    client& a = admit(at_priority(3));
    BOOST_TEST(runs(a));
    BOOST_TEST(waits(admit(at_priority(3))));
    finish(a);
    BOOST_TEST(s->in_flight() == 1);
}

// The minimum of 1 counts the requests of all priorities, so it is not an additional place.
BOOST_AUTO_TEST_CASE(a_share_of_less_than_one_place_is_one) {
    lim(4, shared({1, 1, 1, .2}));
    BOOST_TEST(runs(try_admit(at_priority(3))));
    BOOST_TEST(!runs(try_admit(at_priority(3))));
    BOOST_TEST(runs(try_admit(at_priority(2))));
}

BOOST_AUTO_TEST_CASE(a_share_is_rounded_down_without_rounding_errors) {
    // In double arithmetic, 0.29 * 100 is less than 29, and 0.07 * 100 is more than 7.
    for (const auto& [share, whole] :
         {std::pair(.29, 29), std::pair(.07, 7), std::pair(.999, 99)}) {
        lim(100, shared({1, 1, 1, share}));
        BOOST_TEST(runs(try_admit(at_priority(3, whole))));
        BOOST_TEST(!runs(try_admit(at_priority(3))));
        BOOST_TEST(runs(try_admit(at_priority(2, 100 - whole))));
    }
}

BOOST_AUTO_TEST_CASE(the_share_follows_the_limit) {
    lim(10, shared({1, 1, 1, .5}));
    BOOST_TEST(runs(try_admit(at_priority(3, 5))));
    client& low = admit(at_priority(3, 2));
    BOOST_TEST(waits(low));
    s->set_limit(13);
    BOOST_TEST(waits(low));
    s->set_limit(14);
    BOOST_TEST(runs(low));
    s->set_limit(4);
    BOOST_TEST(!runs(try_admit(at_priority(0))));
}

BOOST_AUTO_TEST_CASE(a_request_wider_than_its_share_runs_alone) {
    lim(10, shared({1, 1, 1, .5}));
    client& a = admit();
    client& wide = admit(at_priority(3, 6));
    client& behind = admit(at_priority(3));
    BOOST_TEST((waits(wide) && waits(behind)));
    finish(a);
    BOOST_TEST((runs(wide) && waits(behind)));
    BOOST_TEST(runs(admit(at_priority(0, 4))));
}

BOOST_AUTO_TEST_CASE(L27_a_priority_at_its_share_holds_back_no_higher_one) {
    lim(5, shared({1, .8, .8, .2}));
    admit(at_priority(3));
    client& low = admit(at_priority(3));
    BOOST_TEST(waits(low));
    BOOST_TEST(runs(admit(at_priority(0))));
    BOOST_TEST(runs(admit(at_priority(1))));
    BOOST_TEST(waits(low));
}

BOOST_AUTO_TEST_CASE(a_request_that_does_not_fit_holds_back_lower_priorities) {
    lim(5, options(10, 1000));
    admit(of(0, 3));
    client& wide = admit(at_priority(0, 3));
    client& low = admit(at_priority(1));
    BOOST_TEST((waits(wide) && waits(low)));
    BOOST_TEST(!runs(try_admit(at_priority(1))));
}

// An algorithm does not raise a limit of which less than half is used: that would let in the first
// burst of a higher priority without any limit.
BOOST_AUTO_TEST_CASE(
    requests_with_a_small_share_raise_the_limit_to_where_it_started_and_no_further) {
    const asio_semaphore::limit_algorithm laws[] = {
        asio_semaphore::gradient_limit(), asio_semaphore::aimd_limit()};
    for (const auto& each : laws) {
        auto o = shared({1, .4, .4, .4});
        o.algorithm = each;
        lim(20, o);
        const auto at_full_load = [&](int priority, int rounds, ended how = ended::success) {
            for (int i = 0; i < rounds; ++i) {
                std::vector<client*> held;
                while (runs(admit(at_priority(priority))))
                    held.push_back(&clients.back());
                after(milliseconds(how == ended::success ? 10 : 100));
                s->cancel();
                for (client* c : held)
                    finish(*c, how);
                clients.clear();
            }
        };
        at_full_load(1, 500);
        BOOST_TEST(s->limit() == 20);
        at_full_load(1, 100, ended::overloaded);
        BOOST_TEST(s->limit() == 1);
        at_full_load(1, 3000);
        BOOST_TEST(s->limit() == 20);
        at_full_load(0, 200);
        BOOST_TEST(s->limit() > 20);
    }
}

BOOST_AUTO_TEST_CASE(L28_a_nested_request_ends_at_its_deadline) {
    lim(1, options(10, 100));
    client& outer = admit();
    client& inner = admit();
    at(99);
    BOOST_TEST(waits(inner));
    at(100);
    BOOST_TEST(ended_as(inner, outcome::timed_out));
    finish(outer);
    client& next = admit();
    BOOST_TEST(runs(next));
    finish(next);
    BOOST_TEST(s->in_flight() == 0);
    check_counts();
}

BOOST_AUTO_TEST_CASE(L29_the_statistics_show_a_starved_priority) {
    lim(1, options(10, 100));
    client* running = &admit();
    client& low = admit(at_priority(3));
    for (int ms = 10; ms <= 100; ms += 10) {
        client& next = admit(at_priority(0));
        at(ms);
        finish(*running);
        running = &next;
        BOOST_TEST(runs(next));
    }
    BOOST_TEST(ended_as(low, outcome::timed_out));
    BOOST_TEST(counts(3).timed_out == 1u);
    BOOST_TEST(counts(0).timed_out == 0u);
    BOOST_TEST(counts(0).admitted == 11u);
    BOOST_TEST(counts(3).admitted == 0u);
    check_counts();
}

BOOST_AUTO_TEST_CASE(each_refusal_counts_for_its_priority) {
    lim(1, options(1, 100));
    admit();
    auto at_once = at_priority(1);
    at_once.max_wait = milliseconds(0);
    BOOST_TEST(ended_as(admit(at_once), outcome::timed_out));
    client& c = admit_cancellable(at_priority(2));
    BOOST_TEST(ended_as(admit(at_priority(3)), outcome::queue_full));
    c.slot->fire();
    client& d = admit(at_priority(3));
    client& e = admit(at_priority(1));
    BOOST_TEST(ended_as(d, outcome::shed));
    s->close();
    BOOST_TEST(ended_as(e, outcome::closed));
    BOOST_TEST(ended_as(admit(at_priority(2)), outcome::closed));
    using by = std::array<std::uint64_t, 6>;
    const by expected[] = {
        {1, 0, 0, 0, 0, 0}, {0, 0, 0, 1, 0, 1}, {0, 0, 0, 0, 1, 1}, {0, 1, 1, 0, 0, 0}};
    for (int p = 0; p < 4; ++p) {
        const auto n = counts(p);
        const by found{n.admitted, n.queue_full, n.shed, n.timed_out, n.cancelled, n.closed};
        BOOST_TEST(found == expected[p], boost::test_tools::per_element());
    }
    check_counts();
}

BOOST_AUTO_TEST_SUITE_END()
