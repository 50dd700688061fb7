// No handler is called from inside a call into the library, and no foreign code, not even a
// destructor, runs while a lock is held.

#include <asio_semaphore/async_semaphore.hpp>

#include "fixture.hpp"

#include <boost/asio/post.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

namespace {

using namespace test;
using namespace std::chrono_literals;

struct never_inline_fixture : fixture {
    // A semaphore with all of its permits out and one operation in the queue.
    never_inline_fixture() {
        semaphore.emplace(context, 1, 3);
        held = semaphore->try_acquire_permit();
        semaphore->async_acquire(waiter.on_completion(signal.slot()));
    }

    std::optional<async_semaphore> semaphore;
    asio::cancellation_signal signal;
    permit held;
    operation waiter;
};

// A handler that takes the lock of its semaphore whenever it is moved or destroyed: if any was
// held then, the test would hang.
class locks_when_touched {
public:
    locks_when_touched(async_semaphore& semaphore, int& calls) :
        semaphore_(&semaphore), calls_(&calls) {}
    locks_when_touched(locks_when_touched&& other) noexcept :
        semaphore_(other.semaphore_), calls_(other.calls_) {
        touch();
    }
    locks_when_touched& operator=(locks_when_touched&&) = delete;
    ~locks_when_touched() { touch(); }

    void operator()(error_code, permit = {}) {
        touch();
        ++*calls_;
    }

private:
    void touch() noexcept {
        // Without a net effect; both take the mutex while there is a queue.
        semaphore_->reduce(1);
        semaphore_->release(1);
    }

    async_semaphore* semaphore_;
    int* calls_;
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(semaphore_never_inline, never_inline_fixture)

BOOST_AUTO_TEST_CASE(nothing_that_ends_a_wait_calls_the_handler) {
    const struct {
        const char* name;
        void (*end)(never_inline_fixture&);
        error_code ec;
    } cases[] = {
        {"release", [](never_inline_fixture& f) { f.semaphore->release(); }, success},
        {"a permit's reset", [](never_inline_fixture& f) { f.held.reset(); }, success},
        {"a permit's destructor", [](never_inline_fixture& f) { permit dies(std::move(f.held)); },
         success},
        {"a permit's assignment", [](never_inline_fixture& f) { f.held = permit(); }, success},
        {"a cancellation signal",
         [](never_inline_fixture& f) { f.signal.emit(asio::cancellation_type::total); }, aborted},
        {"cancel", [](never_inline_fixture& f) { f.semaphore->cancel(); }, aborted},
        {"close", [](never_inline_fixture& f) { f.semaphore->close(); }, closed},
        {"destruction", [](never_inline_fixture& f) { f.semaphore.reset(); }, aborted},
        {"move assignment",
         [](never_inline_fixture& f) { *f.semaphore = async_semaphore(f.context, 0); }, aborted},
    };
    for (const auto& c : cases) {
        BOOST_TEST_CONTEXT(c.name) {
            never_inline_fixture f;
            bool in_call = false, ran_in_call = false;
            // Also when it is called on a thread that runs the context, inside another handler.
            asio::post(f.context, [&] {
                in_call = true;
                c.end(f);
                ran_in_call = f.waiter.called();
                in_call = false;
            });
            f.poll();
            BOOST_TEST(!ran_in_call);
            BOOST_TEST(!in_call);
            BOOST_TEST(f.waiter.completed_with(c.ec));

            never_inline_fixture outside;
            c.end(outside);
            BOOST_TEST(outside.waiter.pending());
            outside.poll();
            BOOST_TEST(outside.waiter.completed_with(c.ec));
        }
    }
}

BOOST_AUTO_TEST_CASE(no_initiation_calls_the_handler) {
    const struct {
        const char* name;
        void (*start)(async_semaphore&, const operation&);
        error_code ec;
    } cases[] = {
        {"granted",
         [](async_semaphore& s, const operation& o) { s.async_acquire(o.on_completion()); },
         success},
        {"granted permit",
         [](async_semaphore& s, const operation& o) { s.async_acquire_permit(o.on_completion()); },
         success},
        {"granted in time",
         [](async_semaphore& s, const operation& o) { s.async_acquire_for(1h, o.on_completion()); },
         success},
        {"none",
         [](async_semaphore& s, const operation& o) { s.async_acquire(0, o.on_completion()); },
         success},
        {"negative",
         [](async_semaphore& s, const operation& o) { s.async_acquire(-1, o.on_completion()); },
         invalid_argument},
        {"too many",
         [](async_semaphore& s, const operation& o) { s.async_acquire(3, o.on_completion()); },
         exceeds_max},
        {"timed out",
         [](async_semaphore& s, const operation& o) {
             s.async_acquire_for(0s, 2, o.on_completion());
         },
         timed_out},
        {"closed",
         [](async_semaphore& s, const operation& o) {
             s.close();
             s.async_acquire(o.on_completion());
         },
         closed},
        {"moved from",
         [](async_semaphore& s, const operation& o) {
             async_semaphore moved(std::move(s));
             s.async_acquire(o.on_completion());
             s = std::move(moved);
         },
         closed},
    };
    for (const auto& c : cases) {
        BOOST_TEST_CONTEXT(c.name) {
            async_semaphore fresh(context, 1, 2);
            operation o;
            bool ran_in_call = true;
            asio::post(context, [&] {
                c.start(fresh, o);
                ran_in_call = o.called();
            });
            poll();
            BOOST_TEST(!ran_in_call);
            BOOST_TEST(o.completed_with(c.ec));
        }
    }
}

BOOST_AUTO_TEST_CASE(reduce_calls_nobody) {
    semaphore->reduce(1);
    BOOST_TEST(poll());
    BOOST_TEST(waiter.pending());
}

BOOST_AUTO_TEST_CASE(a_handler_may_use_every_member_of_its_semaphore) {
    async_semaphore fresh(context, 0, 9);
    operation behind, started, closed_later;
    bool ran = false;
    fresh.async_acquire_permit([&](error_code ec, permit own) {
        BOOST_TEST(!ec);
        fresh.release(2);
        BOOST_TEST(!fresh.try_acquire());
        fresh.reduce(1);
        own.reset();
        BOOST_TEST(fresh.available() == 2);
        fresh.async_acquire(started.on_completion());
        BOOST_TEST(fresh.waiting() == 2u);
        BOOST_TEST(fresh.cancel() == 2u);
        fresh.async_acquire(5, closed_later.on_completion());
        fresh.close();
        ran = true;
    });
    fresh.async_acquire(5, behind.on_completion());
    fresh.release();
    poll();
    BOOST_TEST(ran);
    BOOST_TEST(behind.completed_with(aborted));
    BOOST_TEST(started.completed_with(aborted));
    BOOST_TEST(closed_later.completed_with(closed));
    BOOST_TEST(fresh.available() == 2);
}

BOOST_AUTO_TEST_CASE(no_lock_is_held_while_a_handler_moves_runs_or_is_destroyed) {
    int calls = 0;
    std::optional<asio::io_context> doomed(std::in_place);
    async_semaphore own(*doomed, 0);
    operation head;
    asio::cancellation_signal cancel;
    own.async_acquire(2, head.on_completion());
    own.async_acquire(locks_when_touched(own, calls));
    own.async_acquire_permit_for(1h, locks_when_touched(own, calls));
    own.async_acquire(asio::bind_cancellation_slot(cancel.slot(), locks_when_touched(own, calls)));
    for (int i = 0; i < 3; ++i)
        own.async_acquire_permit(locks_when_touched(own, calls));
    own.async_acquire(0, locks_when_touched(own, calls));
    cancel.emit(asio::cancellation_type::terminal);
    doomed->poll();
    BOOST_TEST(calls == 2); // the one that asked for nothing, and the cancelled one
    own.release(3);
    doomed->poll();
    BOOST_TEST(head.granted());
    BOOST_TEST(calls == 3);
    own.release(); // on its way, when the context goes
    BOOST_TEST(own.waiting() == 3u);
    doomed.reset();
    BOOST_TEST(calls == 3);
    BOOST_TEST(own.available() == 1);
}

BOOST_AUTO_TEST_CASE(a_waiting_handler_that_locks_its_own_semaphore_may_go_with_the_context) {
    int destroyed = 0;
    {
        std::optional<asio::io_context> doomed(std::in_place);
        async_semaphore own(*doomed, 0);
        const auto lock_when_destroyed = [&] {
            return std::shared_ptr<void>(nullptr, [&](void*) {
                own.reduce(0);
                (void)own.cancel();
                own.close();
                ++destroyed;
            });
        };
        own.async_acquire([last = lock_when_destroyed()](error_code) {});
        own.async_acquire_permit([last = lock_when_destroyed()](error_code, permit) {});
        doomed.reset();
    }
    BOOST_TEST(destroyed == 2);
}

BOOST_AUTO_TEST_CASE(a_long_chain_of_hand_overs_does_not_grow_the_stack) {
    constexpr int length = 100000;
    async_semaphore fresh(context, 0);
    int ran = 0;
    for (int i = 0; i < length; ++i)
        fresh.async_acquire_permit([&](error_code, permit) { ++ran; });
    fresh.release();
    BOOST_TEST(poll());
    BOOST_TEST(ran == length);
    BOOST_TEST(fresh.available() == 1);
    held.reset();
}

BOOST_AUTO_TEST_CASE(a_long_queue_is_dropped_with_its_context_without_growing_the_stack) {
    constexpr int length = 100000;
    std::optional<asio::io_context> doomed(std::in_place);
    async_semaphore fresh(*doomed, length);
    BOOST_TEST(fresh.try_acquire(length));
    for (int i = 0; i < length; ++i)
        fresh.async_acquire_permit([own = permit(fresh, std::adopt_lock)](error_code, permit) {});
    BOOST_TEST(fresh.waiting() == std::size_t(length));
    doomed.reset();
    BOOST_TEST(fresh.waiting() == 0u);
    BOOST_TEST(fresh.available() == length);
}

BOOST_AUTO_TEST_SUITE_END()
