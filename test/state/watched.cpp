// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// The state layer with locks and atomics that report their use: which values another thread could
// have read, which paths take a lock, and when a state is freed.

#include <asio_semaphore/detail/state/semaphore_state.hpp>
// Include the bodies even if the library is compiled: the compiled library contains them only for
// its own threads parameter.
#include <asio_semaphore/detail/state/impl/semaphore_state.ipp>

#include "hand_made_waiter.hpp"

#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

namespace {

struct watch {
    int locks = 0;                         // how often a lock was taken
    int locked = 0;                        // locks that are held now
    int states = 0;                        // mutexes that exist, except those of registries
    std::vector<std::ptrdiff_t> available; // every count that another thread could have read
    std::uint64_t lifetime = 0;            // that of the state whose references changed last
    std::function<void()> on_unlock;       // called once, at the next unlock

    std::uint64_t sections() const { return lifetime >> 40; }
};

watch seen;

// The threads parameter of the state layer, for one thread, with locks and atomics that are
// watched.
struct watched {
    class mutex {
    public:
        mutex() { ++seen.states; }
        mutex(const mutex&) = delete;
        mutex& operator=(const mutex&) = delete;
        ~mutex() { --seen.states; }
        void lock() {
            BOOST_TEST_REQUIRE(!held_);
            held_ = true;
            ++seen.locks;
            ++seen.locked;
        }
        void unlock() {
            held_ = false;
            --seen.locked;
            if (const auto act = std::exchange(seen.on_unlock, nullptr))
                act();
        }
        void let_others_in() {
            unlock();
            lock();
        }

    private:
        bool held_ = false;
    };

    template <typename T>
    class atomic {
    public:
        atomic(T value) noexcept : value_(value) {}
        T load(std::memory_order) const noexcept { return value_; }
        void store(T value, std::memory_order) noexcept { set(value); }
        T fetch_add(T n, std::memory_order) noexcept { return count(static_cast<T>(value_ + n)); }
        T fetch_sub(T n, std::memory_order) noexcept { return count(static_cast<T>(value_ - n)); }
        T fetch_or(T n, std::memory_order) noexcept { return set(static_cast<T>(value_ | n)); }
        T fetch_and(T n, std::memory_order) noexcept { return set(static_cast<T>(value_ & n)); }
        bool compare_exchange_weak(
            T& expected, T desired, std::memory_order, std::memory_order) noexcept {
            if (value_ != expected) {
                expected = value_;
                return false;
            }
            set(desired);
            return true;
        }
        bool compare_exchange_strong(
            T& expected, T desired, std::memory_order a, std::memory_order b) noexcept {
            return compare_exchange_weak(expected, desired, a, b);
        }

    private:
        // Only lifetimes and the references of registries are added to.
        T count(T value) noexcept {
            if constexpr (std::is_same_v<T, std::uint64_t>)
                seen.lifetime = value;
            return set(value);
        }
        T set(T value) noexcept {
            const T old = value_;
            value_ = value;
            // Only the word of counts and flags is signed.
            if constexpr (std::is_same_v<T, std::int64_t>)
                seen.available.push_back(static_cast<std::ptrdiff_t>(value >> 2));
            return old;
        }

        T value_;
    };

    static constexpr int at_a_time = 1000;
    static void back_off(unsigned) noexcept { BOOST_TEST_REQUIRE(false, "waits for itself"); }
    static void let_winner_go_on() noexcept {}

    template <typename T>
    static T*& thread_pointer() noexcept {
        static T* pointer = nullptr;
        return pointer;
    }
};

using waiter_type = test::basic_hand_made_waiter<watched, asio_semaphore::detail::waiter>;
using state = asio_semaphore::detail::semaphore_state<watched>;
using link_type = asio_semaphore::detail::cancellation_link<watched>;
using registry = asio_semaphore::detail::state_registry<watched>;
using state_pointer = boost::intrusive_ptr<state>;
using asio_semaphore::detail::outcome;
using test::put_back;

struct watched_fixture {
    watched_fixture() : states(new registry) { seen = watch(); }

    state_pointer make(std::ptrdiff_t initial, std::ptrdiff_t max_permits = state::max()) {
        state_pointer made(new state(initial, max_permits, states), false);
        seen.locks = 0;
        seen.available.clear();
        return made;
    }

    boost::intrusive_ptr<registry> states;
    waiter_type a{1}, b{1}, two{2}, three{3};
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(state_watched, watched_fixture)

BOOST_AUTO_TEST_CASE(acquire_and_release_take_no_lock_while_nobody_waits) {
    const auto s = make(2, 3);
    BOOST_TEST(s->try_acquire(2) == outcome::granted);
    BOOST_TEST(s->try_acquire(1) == outcome::queued);
    BOOST_TEST(s->try_acquire(0) == outcome::granted);
    BOOST_TEST(s->release(1));
    put_back(s, 1);
    BOOST_TEST(s->reduce(1));
    BOOST_TEST(!s->release(9));
    BOOST_TEST(s->available() == 1);
    BOOST_TEST(s->waiting() == 0u);
    BOOST_TEST(s->is_open());
    BOOST_TEST(seen.locks == 0);
}

BOOST_AUTO_TEST_CASE(the_fast_path_comes_back_when_the_queue_has_emptied) {
    const auto s = make(0);
    s->enqueue(a);
    s->release(1);
    s->enqueue(b);
    s->cancel();
    seen.locks = 0;
    s->release(1);
    BOOST_TEST(s->try_acquire(1) == outcome::granted);
    BOOST_TEST(seen.locks == 0);
}

BOOST_AUTO_TEST_CASE(permits_that_are_handed_over_are_never_visible_as_free) {
    const auto s = make(0);
    s->enqueue(a);
    s->enqueue(two);
    s->enqueue(b);
    s->release(3);
    put_back(s, 1);
    for (const std::ptrdiff_t count : seen.available)
        BOOST_TEST(count <= 0);
    BOOST_TEST(s->available() == 0);
    BOOST_TEST(b.ended_as(outcome::granted));
}

BOOST_AUTO_TEST_CASE(a_release_that_serves_waiters_shows_only_the_remainder) {
    const auto s = make(1);
    s->enqueue(two);
    s->enqueue(three);
    seen.available.clear();
    s->release(3);
    BOOST_TEST(s->available() == 2);
    for (const std::ptrdiff_t count : seen.available)
        BOOST_TEST(count == 2);
    s->cancel();
}

BOOST_AUTO_TEST_CASE(a_cancelled_head_shows_no_permit_of_the_waiters_behind_it) {
    const auto s = make(2);
    link_type canceller(s);
    canceller.attach(three);
    s->enqueue(three);
    s->enqueue(two);
    seen.available.clear();
    canceller.fire();
    BOOST_TEST(two.ended_as(outcome::granted));
    for (const std::ptrdiff_t count : seen.available)
        BOOST_TEST(count == 0);
}

BOOST_AUTO_TEST_CASE(a_refused_release_is_never_visible) {
    const auto s = make(1, 3);
    s->release(5);
    s->enqueue(two);
    seen.available.clear();
    BOOST_TEST(!s->release(5));
    for (const std::ptrdiff_t count : seen.available)
        BOOST_TEST(count == 1);
    s->cancel();
}

BOOST_AUTO_TEST_CASE(no_lock_is_held_while_a_waiter_is_submitted_or_destroyed) {
    const auto s = make(0), t = make(0);
    int performed = 0;
    const auto note = [&](state_pointer) {
        BOOST_TEST(seen.locked == 0);
        ++performed;
    };
    const struct {
        const char* name;
        void (*end)(state&, link_type&);
    } ends[] = {
        {"release",
         [](state& x, link_type&) {
             x.release(1);
         }},
        {"put_back",
         [](state& x, link_type&) {
             put_back(state_pointer(&x), 1);
         }},
        {"cancel",
         [](state& x, link_type&) {
             x.cancel();
         }},
        {"fire",
         [](state&, link_type& l) {
             l.fire();
         }},
        {"close",
         [](state& x, link_type&) {
             x.close();
         }},
    };
    for (const auto& e : ends) {
        BOOST_TEST_CONTEXT(e.name) {
            waiter_type w{1};
            w.on_end = note;
            link_type canceller(s);
            canceller.attach(w);
            BOOST_TEST(s->enqueue(w) == outcome::queued);
            e.end(*s, canceller);
            BOOST_TEST(w.submitted == 1);
        }
    }
    a.on_end = b.on_end = note;
    t->enqueue(a);
    t->enqueue(b);
    states->shutdown();
    BOOST_TEST(performed == 7);
    BOOST_TEST(seen.locked == 0);
}

BOOST_AUTO_TEST_CASE(other_threads_get_the_lock_while_many_waiters_are_ended) {
    const struct {
        const char* name;
        void (*end)(state&, registry&);
        int locks; // besides one for each thousand
    } ends[] = {
        {"cancel", [](state& x, registry&) { x.cancel(); }, 0},
        {"close", [](state& x, registry&) { x.close(); }, 0},
        {"abort", [](state& x, registry&) { x.abort(); }, 0},
        // To list, to shut, to look for an alarm, and twice for the registry.
        {"shutdown", [](state&, registry& r) { r.shutdown(); }, 4},
    };
    for (const auto& e : ends) {
        BOOST_TEST_CONTEXT(e.name) {
            states.reset(new registry);
            const auto s = make(0);
            std::deque<waiter_type> many;
            for (int i = 0; i < 4500; ++i)
                s->enqueue(many.emplace_back(1));
            seen.locks = 0;
            e.end(*s, *states);
            BOOST_TEST(seen.locks == 5 + e.locks);
            for (const waiter_type& w : many)
                BOOST_TEST_REQUIRE(w.submitted + w.destroyed == 1);
            BOOST_TEST(s->waiting() == 0u);
        }
    }
}

BOOST_AUTO_TEST_CASE(an_arrival_waits_while_many_waiters_are_cancelled) {
    auto s = make(0);
    std::deque<waiter_type> many;
    for (int i = 0; i < 2500; ++i)
        s->enqueue(many.emplace_back(1));
    seen.on_unlock = [&] {
        BOOST_TEST(seen.sections() == 1u); // a shutdown would wait for this section
        BOOST_TEST(s->waiting() == 1500u);
        BOOST_TEST(s->enqueue(a) == outcome::queued);
    };
    BOOST_TEST(s->cancel() == 2500u);
    BOOST_TEST(seen.sections() == 0u);
    BOOST_TEST(a.untouched());
    BOOST_TEST(s->waiting() == 1u);
    s->release(1);
    BOOST_TEST(a.ended_as(outcome::granted));
    s.reset();
    BOOST_TEST(seen.states == 0); // each reference was counted once
}

BOOST_AUTO_TEST_CASE(a_state_is_freed_with_its_last_reference_and_not_before) {
    auto s = make(0);
    BOOST_TEST(seen.states == 1);
    std::optional<link_type> canceller(std::in_place, s);
    state_pointer of_a;
    a.on_end = [&](state_pointer reference) {
        of_a = std::move(reference);
    };
    canceller->attach(a);
    s->enqueue(a);
    s->release(1);
    BOOST_TEST(seen.states == 1);
    s.reset();
    BOOST_TEST(seen.states == 1);
    canceller.reset();
    BOOST_TEST(seen.states == 1);
    of_a.reset();
    BOOST_TEST(seen.states == 0);
}

BOOST_AUTO_TEST_CASE(a_state_is_not_freed_while_it_submits) {
    auto s = make(0);
    int alive_at_b = -1;
    a.on_end = [&](state_pointer of_a) {
        s.reset();
        of_a.reset();
    };
    b.on_end = [&](state_pointer of_b) {
        of_b.reset();
        alive_at_b = seen.states; // the section has not ended yet
    };
    s->enqueue(a);
    s->enqueue(b);
    s->cancel();
    BOOST_TEST(alive_at_b == 1);
    BOOST_TEST(seen.states == 0);
}

BOOST_AUTO_TEST_CASE(a_shutdown_releases_the_references_that_it_takes) {
    auto s = make(0), t = make(0);
    s->enqueue(a);
    s->enqueue(b);
    states->shutdown();
    BOOST_TEST(seen.states == 2);
    s.reset();
    BOOST_TEST(seen.states == 1);
    t.reset();
    BOOST_TEST(seen.states == 0);
}

BOOST_AUTO_TEST_CASE(a_shutdown_in_the_middle_of_a_submission_does_not_wait_for_itself) {
    // A dropped handler may own another context, to which it has just returned a permit, or its own
    // context.
    const boost::intrusive_ptr<registry> others(new registry);
    const state_pointer s = make(0), t(new state(0, 9, others), false);
    waiter_type of_t{1}, waits_at_t{1};
    a.on_end = [&](state_pointer) {
        t->release(1);
        others->shutdown();
        BOOST_TEST(of_t.ended_as(outcome::granted));
        BOOST_TEST(waits_at_t.destroyed == 1);
    };
    b.on_end = [&](state_pointer) {
        states->shutdown();
    };
    t->enqueue(of_t);
    t->enqueue(waits_at_t);
    for (auto* w : {&a, &b, &two, &three})
        s->enqueue(*w);
    s->release(4);
    for (auto* w : {&a, &b, &two})
        BOOST_TEST(w->ended_as(outcome::granted));
    BOOST_TEST(three.destroyed == 1);
    BOOST_TEST(three.submitted == 0);
}

BOOST_AUTO_TEST_CASE(a_shutdown_in_the_last_submission_of_a_section_does_not_wait_for_itself) {
    auto s = make(0);
    a.on_end = [&](state_pointer of_a) {
        states->shutdown();
        s.reset();
        of_a.reset();
    };
    s->enqueue(a);
    s->enqueue(b);
    state_pointer(s)->release(1);
    BOOST_TEST(a.submitted == 1);
    BOOST_TEST(b.destroyed == 1);
    BOOST_TEST(seen.states == 0);
}

BOOST_AUTO_TEST_SUITE_END()
