// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// The library never calls a handler inside a call into the library. It runs no code of the user
// under a lock, not even a destructor.

#include <asio_semaphore/async_semaphore.hpp>

#include "fixture.hpp"

#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/post.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

namespace {

using namespace test;
using namespace std::chrono_literals;

struct never_inline_fixture : fixture {
    // A semaphore without a free permit, and with one operation in the queue.
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

// A handler that takes the lock of its semaphore whenever it is moved or destroyed. If the library
// moved or destroyed it under the lock, the test would hang.
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
        // No net effect, but both calls take the mutex while an operation waits.
        semaphore_->reduce(1);
        semaphore_->release(1);
    }

    async_semaphore* semaphore_;
    int* calls_;
};

// The library calls the user's code while it starts, grants or ends an operation. That code may use
// the semaphore, as this function does. While an operation waits, most of these calls take the
// lock.
template <typename Semaphore>
void use(Semaphore& semaphore) {
    (void)semaphore.available();
    if (semaphore.try_acquire())
        semaphore.release();
    semaphore.reduce(1);
    semaphore.release(1);
}

// A type-erased executor would not use the handler's allocator, so the executor type is concrete.
using typed_semaphore = asio_semaphore::basic_async_semaphore<asio::io_context::executor_type>;

struct calls_back {
    typed_semaphore* semaphore;
    int calls = 0;

    void operator()() {
        ++calls;
        use(*semaphore);
    }
};

template <typename T = void>
class calling_allocator {
public:
    using value_type = T;

    explicit calling_allocator(calls_back& back) noexcept : back_(&back) {}
    template <typename U>
    calling_allocator(const calling_allocator<U>& other) noexcept : back_(other.back_) {}

    T* allocate(std::size_t n) {
        (*back_)();
        return std::allocator<T>().allocate(n);
    }
    void deallocate(T* p, std::size_t n) noexcept {
        std::allocator<T>().deallocate(p, n);
        (*back_)();
    }

    template <typename U>
    bool operator==(const calling_allocator<U>& other) const noexcept {
        return back_ == other.back_;
    }
    template <typename U>
    bool operator!=(const calling_allocator<U>& other) const noexcept {
        return back_ != other.back_;
    }

private:
    template <typename>
    friend class calling_allocator;
    calls_back* back_;
};

// A cancellation handler that runs an action when it is destroyed, for instance by its replacement.
class last_act {
public:
    explicit last_act(std::function<void()> act) : act_(std::move(act)) {}
    last_act(const last_act&) = delete;
    last_act& operator=(const last_act&) = delete;
    ~last_act() { act_(); }
    void operator()(asio::cancellation_type_t) {}

private:
    std::function<void()> act_;
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
            // Also if the call is made inside another handler, on a thread that runs the context.
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

BOOST_AUTO_TEST_CASE(reduce_calls_no_handler) {
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
    BOOST_TEST(calls == 2); // the operation with the count 0, and the cancelled one
    own.release(3);
    doomed->poll();
    BOOST_TEST(head.granted());
    BOOST_TEST(calls == 3);
    own.release(); // grants one, which is being delivered when the context is destroyed
    BOOST_TEST(own.waiting() == 3u);
    doomed.reset();
    BOOST_TEST(calls == 3);
    BOOST_TEST(own.available() == 1);
}

BOOST_AUTO_TEST_CASE(no_lock_is_held_while_an_allocator_is_called) {
    std::optional<asio::io_context> doomed(std::in_place), other(std::in_place);
    typed_semaphore own(*doomed, 1, 9);
    calls_back back{&own};
    const auto counted = [&](const operation& o) {
        return asio::bind_allocator(calling_allocator<>(back), o.on_completion());
    };
    const auto elsewhere = [&](const operation& o) {
        return asio::bind_executor(*other, counted(o));
    };
    const auto called_back = [&] {
        return std::exchange(back.calls, 0) > 0;
    };
    const auto run = [&] {
        doomed->restart();
        doomed->poll();
        other->restart();
        other->poll();
    };

    operation at_once, none;
    own.async_acquire(counted(at_once));
    BOOST_TEST(called_back());
    own.async_acquire(0, elsewhere(none));
    BOOST_TEST(called_back());
    run();
    BOOST_TEST(called_back());
    BOOST_TEST(at_once.granted());
    BOOST_TEST(none.granted());

    // The same behind a waiting operation.
    operation head, here, there, timed, late, aborted_here, aborted_there;
    own.async_acquire(2, head.on_completion());
    own.async_acquire(counted(here));
    BOOST_TEST(called_back());
    own.async_acquire_permit(elsewhere(there));
    BOOST_TEST(called_back());
    own.async_acquire_permit_for(1h, counted(timed));
    BOOST_TEST(called_back());
    own.async_acquire_for(0s, counted(late));
    BOOST_TEST(called_back());
    own.async_acquire(8, counted(aborted_here));
    own.async_acquire(8, elsewhere(aborted_there));
    called_back();
    own.release(5);
    BOOST_TEST(called_back());
    run();
    BOOST_TEST(called_back());
    for (const operation* o : {&head, &here, &there, &timed})
        BOOST_TEST(o->granted());
    BOOST_TEST(late.completed_with(timed_out));
    there.held().reset();
    timed.held().reset();

    BOOST_TEST(own.waiting() == 2u);
    own.cancel();
    BOOST_TEST(called_back());
    run();
    BOOST_TEST(called_back());
    BOOST_TEST(aborted_here.completed_with(aborted));
    BOOST_TEST(aborted_there.completed_with(aborted));

    // The context is destroyed while one operation waits and another is being delivered.
    operation on_its_way, waits;
    own.async_acquire(2, elsewhere(on_its_way));
    own.async_acquire(9, counted(waits));
    called_back();
    doomed.reset();
    BOOST_TEST(called_back());
    BOOST_TEST(waits.abandoned());
    other.reset();
    BOOST_TEST(called_back());
    BOOST_TEST(on_its_way.abandoned());
    BOOST_TEST(own.available() == 2);
}

BOOST_AUTO_TEST_CASE(no_lock_is_held_while_a_slot_gives_up_its_old_handler) {
    const struct {
        const char* name;
        void (*start)(never_inline_fixture&, asio::io_context&, const operation&);
    } starts[] = {
        {"bare",
         [](never_inline_fixture& f, asio::io_context&, const operation& o) {
             f.semaphore->async_acquire(o.on_completion(f.signal.slot()));
         }},
        {"permit",
         [](never_inline_fixture& f, asio::io_context&, const operation& o) {
             f.semaphore->async_acquire_permit(o.on_completion(f.signal.slot()));
         }},
        {"in time",
         [](never_inline_fixture& f, asio::io_context&, const operation& o) {
             f.semaphore->async_acquire_for(1h, o.on_completion(f.signal.slot()));
         }},
        {"elsewhere",
         [](never_inline_fixture& f, asio::io_context& other, const operation& o) {
             f.semaphore->async_acquire(
                 asio::bind_executor(other, o.on_completion(f.signal.slot())));
         }},
    };
    const struct {
        const char* name;
        void (*act)(async_semaphore&);
        error_code ec_of_waiter, ec;
    } acts[] = {
        {"uses it", [](async_semaphore& s) { use(s); }, aborted, aborted},
        {"cancel", [](async_semaphore& s) { BOOST_TEST(s.cancel() == 1u); }, aborted, aborted},
        {"close", [](async_semaphore& s) { s.close(); }, closed, closed},
        {"release", [](async_semaphore& s) { s.release(2); }, success, success},
    };
    for (const auto& start : starts) {
        for (const auto& a : acts) {
            BOOST_TEST_CONTEXT(start.name << "; " << a.name) {
                asio::io_context other;
                never_inline_fixture f;
                operation o;
                int acted = 0;
                f.signal.slot().emplace<last_act>([&] {
                    ++acted;
                    a.act(*f.semaphore);
                });
                start.start(f, other, o);
                BOOST_TEST(acted == 1);
                f.semaphore->cancel();
                f.poll();
                other.poll();
                BOOST_TEST(f.waiter.completed_with(a.ec_of_waiter));
                BOOST_TEST(o.completed_with(a.ec));
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(a_waiting_handler_that_locks_its_semaphore_may_be_destroyed_with_the_context) {
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
