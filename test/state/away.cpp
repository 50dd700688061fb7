// Who keeps the semaphore's executor busy for operations that have gone on to executors elsewhere,
// and lets go of it before its context ends.

#include "hand_made_waiter.hpp"

#include <boost/test/unit_test.hpp>

#include <atomic>
#include <functional>
#include <thread>

namespace {

using namespace test;

struct hand_made_keeper final : away_keeper {
    void end() noexcept override {
        if (on_end)
            on_end();
        ++ended;
    }

    int ended = 0;
    std::function<void()> on_end;
};

struct fixture : state_fixture {
    state_pointer s = make(0);
    hand_made_keeper keeper, another;
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(state_away, fixture)

BOOST_AUTO_TEST_CASE(one_keeper_serves_all_who_are_away) {
    BOOST_TEST(s->go_away());
    s->keep(keeper);
    BOOST_TEST(!s->go_away());
    s->come_back();
    BOOST_TEST(keeper.ended == 0);
    BOOST_TEST(!s->go_away());
    s->come_back();
    BOOST_TEST(keeper.ended == 0);
    s->come_back();
    BOOST_TEST(keeper.ended == 1);
}

BOOST_AUTO_TEST_CASE(the_next_who_goes_brings_a_new_one) {
    BOOST_TEST(s->go_away());
    s->keep(keeper);
    s->come_back();
    BOOST_TEST(s->go_away());
    s->keep(another);
    BOOST_TEST(another.ended == 0);
    s->come_back();
    BOOST_TEST(keeper.ended == 1);
    BOOST_TEST(another.ended == 1);
}

BOOST_AUTO_TEST_CASE(of_two_that_are_brought_one_stays) {
    BOOST_TEST(s->go_away());
    BOOST_TEST(s->go_away());
    s->keep(keeper);
    s->keep(another);
    BOOST_TEST(keeper.ended == 0);
    BOOST_TEST(another.ended == 1);
    s->come_back();
    s->come_back();
    BOOST_TEST(keeper.ended == 1);
}

BOOST_AUTO_TEST_CASE(who_brings_none_comes_back_all_the_same) {
    BOOST_TEST(s->go_away());
    s->come_back();
    BOOST_TEST(s->go_away());
    s->keep(keeper);
    s->come_back();
    BOOST_TEST(keeper.ended == 1);
}

BOOST_AUTO_TEST_CASE(the_context_takes_its_keepers_along) {
    const auto t = make(0);
    BOOST_TEST(s->go_away());
    s->keep(keeper);
    BOOST_TEST(t->go_away());
    t->keep(another);
    states->shutdown();
    BOOST_TEST(keeper.ended == 1);
    BOOST_TEST(another.ended == 1);
    s->come_back();
    t->come_back();
    BOOST_TEST(keeper.ended == 1);
    BOOST_TEST(another.ended == 1);
}

BOOST_AUTO_TEST_CASE(after_that_none_is_wanted_nor_kept) {
    states->shutdown();
    BOOST_TEST(!s->go_away());
    s->keep(keeper);
    BOOST_TEST(keeper.ended == 1);
    s->come_back();
    BOOST_TEST(keeper.ended == 1);
}

BOOST_AUTO_TEST_CASE(neither_a_close_nor_the_end_of_the_semaphore_ends_it) {
    BOOST_TEST(s->go_away());
    s->keep(keeper);
    s->close();
    s->abort();
    BOOST_TEST(keeper.ended == 0);
    s->come_back();
    BOOST_TEST(keeper.ended == 1);
}

BOOST_AUTO_TEST_CASE(shutdown_waits_for_one_that_another_thread_is_ending) {
    std::atomic<bool> ending{false}, shutting{false}, ended{false};
    keeper.on_end = [&] {
        ending = true;
        while (!shutting)
            std::this_thread::yield();
        // Time for a shutdown that does not wait to come back.
        for (int i = 0; i < 1000; ++i)
            std::this_thread::yield();
        ended = true;
    };
    BOOST_TEST(s->go_away());
    s->keep(keeper);
    std::thread returning([&] { s->come_back(); });
    while (!ending)
        std::this_thread::yield();
    shutting = true;
    states->shutdown();
    const bool waited = ended;
    returning.join();
    BOOST_TEST(waited);
    BOOST_TEST(keeper.ended == 1);
}

BOOST_AUTO_TEST_SUITE_END()
