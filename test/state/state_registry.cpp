// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore/detail/state/state_registry.hpp>

// Include the bodies even if the library is compiled: the compiled library contains them only for
// its own threads parameter.
#include <asio_semaphore/detail/state/impl/semaphore_state.ipp>

#include "hand_made_waiter.hpp"

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace {

using namespace test;

struct registry_fixture : state_fixture {
    hand_made_waiter a{1}, b{1}, c{1}, two{2};
};

/// An alarm whose destructor runs an action.
class dying_alarm final : public asio_semaphore::detail::alarm<threads> {
public:
    dying_alarm(state& of, std::function<void()> action) :
        asio_semaphore::detail::alarm<threads>(of), action_(std::move(action)) {}
    ~dying_alarm() override { action_(); }

    void post() override {}
    void shut() noexcept override {}

private:
    std::function<void()> action_;
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(state_state_registry, registry_fixture)

BOOST_AUTO_TEST_CASE(shutdown_destroys_every_waiter_of_every_state_once) {
    const auto s = make(1), t = make(0), idle = make(3);
    s->enqueue(two);
    s->enqueue(a);
    t->enqueue(b);
    states->shutdown();
    for (auto* w : {&two, &a, &b}) {
        BOOST_TEST(w->destroyed == 1);
        BOOST_TEST(w->submitted == 0);
        BOOST_TEST(w->result == outcome::abandoned);
    }
    BOOST_TEST(s->waiting() == 0u);
    BOOST_TEST(s->available() == 1);
    BOOST_TEST(idle->available() == 3);
}

BOOST_AUTO_TEST_CASE(shutdown_again_has_no_effect) {
    const auto s = make(0);
    s->enqueue(a);
    states->shutdown();
    states->shutdown();
    BOOST_TEST(a.destroyed == 1);
}

BOOST_AUTO_TEST_CASE(after_shutdown_no_waiter_is_admitted_or_submitted) {
    const auto s = make(1);
    states->shutdown();
    for (const std::ptrdiff_t n : {-1, 0, 1})
        BOOST_TEST(s->try_acquire(n) == outcome::abandoned);
    BOOST_TEST(s->enqueue(a) == outcome::abandoned);
    BOOST_TEST(!s->is_open());
    BOOST_TEST(s->cancel() == 0u);
    s->close();
    s->abort();
    BOOST_TEST(a.untouched());
}

BOOST_AUTO_TEST_CASE(after_shutdown_permits_are_still_counted) {
    const auto s = make(1, 3);
    states->shutdown();
    BOOST_TEST(s->release(1));
    put_back(s, 1);
    BOOST_TEST(s->available() == 3);
    BOOST_TEST(!s->release(1));
    BOOST_TEST(s->reduce(4));
    BOOST_TEST(s->available() == -1);
}

BOOST_AUTO_TEST_CASE(a_state_made_after_shutdown_is_shut_from_the_start) {
    states->shutdown();
    const auto s = make(5);
    BOOST_TEST(s->try_acquire(1) == outcome::abandoned);
    BOOST_TEST(s->enqueue(a) == outcome::abandoned);
    BOOST_TEST(s->available() == 5);
}

BOOST_AUTO_TEST_CASE(a_waiter_that_is_destroyed_may_give_back_permits_of_every_state) {
    const auto s = make(0), t = make(0);
    a.on_end = [&](state_pointer) {
        put_back(s, 1);
        put_back(t, 2); // does not serve b, because all states are shut first
    };
    s->enqueue(a);
    t->enqueue(b);
    states->shutdown();
    BOOST_TEST(b.submitted == 0);
    BOOST_TEST(b.destroyed == 1);
    BOOST_TEST(s->available() == 1);
    BOOST_TEST(t->available() == 2);
}

BOOST_AUTO_TEST_CASE(a_waiter_that_is_destroyed_may_release_its_state) {
    auto s = make(0);
    state& semaphore = *s;
    a.on_end = [&](state_pointer of_a) {
        s->abort();
        s.reset();
        of_a.reset();
    };
    semaphore.enqueue(a);
    semaphore.enqueue(b);
    states->shutdown();
    BOOST_TEST(a.destroyed == 1);
    BOOST_TEST(b.destroyed == 1);
    BOOST_TEST(b.submitted == 0);
}

BOOST_AUTO_TEST_CASE(a_waiter_that_is_destroyed_may_shut_down_again_and_make_a_state) {
    const auto s = make(0);
    state_pointer made;
    a.on_end = [&](state_pointer) {
        states->shutdown();
        made = make(2);
    };
    s->enqueue(a);
    states->shutdown();
    BOOST_TEST(a.destroyed == 1);
    BOOST_TEST(made->try_acquire(1) == outcome::abandoned);
}

BOOST_AUTO_TEST_CASE(states_and_registry_may_die_in_any_order) {
    auto s = make(0), t = make(0), u = make(0);
    t.reset();
    hand_made_waiter of_u{1};
    u->enqueue(of_u);
    s.reset();
    states->shutdown();
    BOOST_TEST(of_u.destroyed == 1);
    states.reset();
    u->release(1);
    BOOST_TEST(u->available() == 1);
    u.reset();
}

BOOST_AUTO_TEST_CASE(a_state_that_has_died_is_not_shut) {
    std::vector<state_pointer> some;
    for (int i = 0; i < 5; ++i)
        some.push_back(make(0));
    // Remove one at the front, the back and the middle. The others stay listed.
    for (const std::size_t gone : {std::size_t(0), std::size_t(3), std::size_t(1)})
        some.erase(some.begin() + static_cast<std::ptrdiff_t>(gone));
    some[0]->enqueue(a);
    some[1]->enqueue(b);
    states->shutdown();
    BOOST_TEST(a.destroyed == 1);
    BOOST_TEST(b.destroyed == 1);
}

BOOST_AUTO_TEST_CASE(shutdown_waits_for_a_submission_by_another_thread) {
    const auto s = make(0);
    std::atomic<bool> submitting{false}, shutting{false}, submitted{false};
    a.on_end = [&](state_pointer) {
        submitting = true;
        while (!shutting)
            std::this_thread::yield();
        // If the shutdown did not wait, it would have time to return here.
        for (int i = 0; i < 1000; ++i)
            std::this_thread::yield();
        submitted = true;
    };
    s->enqueue(a);
    s->enqueue(b);
    std::thread releaser([&] { s->release(1); });
    while (!submitting)
        std::this_thread::yield();
    shutting = true;
    states->shutdown();
    const bool waited = submitted;
    releaser.join();
    BOOST_TEST(waited);
    BOOST_TEST(a.submitted == 1);
    BOOST_TEST(b.destroyed == 1);
}

// The last reference to a state is dropped beside the shutdown. The alarm's timer and executor use
// the context until they are destroyed.
BOOST_AUTO_TEST_CASE(shutdown_waits_for_the_end_of_a_state_that_another_thread_destroys) {
    auto s = make(0);
    std::atomic<bool> dying{false}, shutting{false}, dead{false};
    s->install_alarm(std::make_unique<dying_alarm>(*s, [&] {
        dying = true;
        while (!shutting)
            std::this_thread::yield();
        // As above.
        for (int i = 0; i < 1000; ++i)
            std::this_thread::yield();
        dead = true;
    }));
    std::thread destroyer([&] { s.reset(); });
    while (!dying)
        std::this_thread::yield();
    shutting = true;
    states->shutdown();
    const bool waited = dead;
    destroyer.join();
    BOOST_TEST(waited);
}

// As an executor that owns its context does.
BOOST_AUTO_TEST_CASE(a_state_that_is_destroyed_may_destroy_its_context) {
    auto s = make(0), other = make(0), inner = make(0);
    other->enqueue(a);
    inner->install_alarm(std::make_unique<dying_alarm>(*inner, [&] { states->shutdown(); }));
    s->install_alarm(std::make_unique<dying_alarm>(*s, [&] {
        inner.reset();
        states->shutdown();
    }));
    s.reset();
    BOOST_TEST(a.destroyed == 1);
}

// If a thread with a higher priority only yielded, the other thread might never run.
BOOST_AUTO_TEST_CASE(a_shutdown_that_waits_longer_backs_off_more) {
    static std::atomic<unsigned> most_looks{0};
    struct patient : threads {
        using mutex = brief_mutex<patient>;
        static void back_off(unsigned looks) noexcept {
            most_looks = looks;
            threads::back_off(looks);
        }
    };
    const boost::intrusive_ptr<state_registry<patient>> patients(new state_registry<patient>);
    const boost::intrusive_ptr<semaphore_state<patient>> s(
        new semaphore_state<patient>(0, 1, patients), false);
    basic_hand_made_waiter<patient, waiter> w{1};
    std::atomic<bool> submitting{false};
    w.on_end = [&](auto) {
        submitting = true;
        while (most_looks < 1000)
            std::this_thread::yield();
    };
    s->enqueue(w);
    std::thread releaser([&] { s->release(1); });
    while (!submitting)
        std::this_thread::yield();
    patients->shutdown();
    releaser.join();
    BOOST_TEST(most_looks >= 1000);
    BOOST_TEST(w.submitted == 1);
}

BOOST_AUTO_TEST_CASE(while_a_shutdown_waits_no_waiter_is_granted_or_cancelled) {
    const auto s = make(0);
    link_type canceller(s);
    canceller.attach(b);
    std::atomic<bool> submitting{false};
    std::size_t cancelled = 0;
    a.on_end = [&](state_pointer) {
        submitting = true;
        while (s->is_open())
            std::this_thread::yield();
        s->release(3);
        canceller.fire();
        cancelled = s->cancel();
    };
    for (auto* w : {&a, &b, &c})
        s->enqueue(*w);
    std::thread releaser([&] { s->release(1); });
    while (!submitting)
        std::this_thread::yield();
    states->shutdown();
    releaser.join();
    BOOST_TEST(cancelled == 0u);
    for (auto* w : {&b, &c}) {
        BOOST_TEST(w->submitted == 0);
        BOOST_TEST(w->destroyed == 1);
    }
    BOOST_TEST(s->available() == 3);
}

BOOST_AUTO_TEST_SUITE_END()
