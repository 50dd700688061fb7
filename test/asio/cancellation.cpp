// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore/async_semaphore.hpp>

#include <support/executors.hpp>
#include <support/handlers.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/test/unit_test.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace {

namespace asio = boost::asio;
using asio::cancellation_signal;
using asio::cancellation_type;
using asio::cancellation_type_t;
using asio_semaphore::async_semaphore;
using asio_semaphore::basic_async_semaphore;
using asio_semaphore::permit;
using boost::system::error_code;
using support::recording;
using support::result;

const error_code aborted = asio::error::operation_aborted;

struct fixture {
    asio::io_context context;
    async_semaphore semaphore{context, 0};

    void acquire(result& r, cancellation_signal& signal, std::ptrdiff_t n = 1) {
        semaphore.async_acquire_permit(
            n, asio::bind_cancellation_slot(signal.slot(), recording(r)));
    }
    void poll() { support::poll(context); }
};

/// A user-defined slot: a copyable handle to a place for one handler.
class home_made_slot {
public:
    struct place {
        struct base {
            virtual ~base() = default;
            virtual void call(cancellation_type_t) = 0;
        };
        std::unique_ptr<base> handler;
        bool refuses = false;

        void emit(cancellation_type_t type) {
            if (handler)
                handler->call(type);
        }
    };

    home_made_slot() = default;
    explicit home_made_slot(place& at) noexcept : place_(&at) {}

    template <typename Handler, typename... Args>
    Handler& emplace(Args&&... args) {
        struct holder final : place::base {
            explicit holder(Args&&... a) : handler(std::forward<Args>(a)...) {}
            void call(cancellation_type_t type) override { handler(type); }
            Handler handler;
        };
        if (place_->refuses)
            throw std::runtime_error("the slot is full");
        auto made = std::make_unique<holder>(std::forward<Args>(args)...);
        Handler& handler = made->handler;
        place_->handler = std::move(made);
        return handler;
    }
    template <typename Handler>
    auto& assign(Handler&& handler) {
        return emplace<std::decay_t<Handler>>(std::forward<Handler>(handler));
    }
    void clear() { place_->handler.reset(); }
    bool has_handler() const noexcept { return place_->handler != nullptr; }
    bool is_connected() const noexcept { return place_ != nullptr; }

    [[maybe_unused]] friend bool
    operator==(const home_made_slot& a, const home_made_slot& b) noexcept {
        return a.place_ == b.place_;
    }

private:
    place* place_ = nullptr;
};

/// A handler that has no slot after it was moved from.
class takes_its_slot_along {
public:
    using cancellation_slot_type = asio::cancellation_slot;

    takes_its_slot_along(asio::cancellation_slot slot, result& to) noexcept :
        slot_(slot), to_(&to) {}
    takes_its_slot_along(takes_its_slot_along&& other) noexcept :
        slot_(std::exchange(other.slot_, asio::cancellation_slot())), to_(other.to_) {}

    asio::cancellation_slot get_cancellation_slot() const noexcept { return slot_; }
    void operator()(error_code ec, permit held) { recording{*to_}(ec, std::move(held)); }

private:
    asio::cancellation_slot slot_;
    result* to_;
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(asio_cancellation, fixture)

BOOST_AUTO_TEST_CASE(every_cancellation_type_except_none_cancels) {
    for (unsigned mask = 0; mask < 8; ++mask) {
        BOOST_TEST_CONTEXT("mask " << mask) {
            cancellation_signal signal;
            result r;
            acquire(r, signal);
            signal.emit(static_cast<cancellation_type_t>(mask));
            BOOST_TEST(r.pending());
            poll();
            if (mask == 0) {
                BOOST_TEST(r.pending());
                semaphore.cancel();
                poll();
            }
            BOOST_TEST(r.failed(aborted));
            BOOST_TEST(semaphore.waiting() == 0u);
        }
    }
}

BOOST_AUTO_TEST_CASE(the_bare_and_the_timed_operations_can_be_cancelled_too) {
    cancellation_signal a, b, c;
    result bare, bare_timed, timed;
    semaphore.async_acquire(asio::bind_cancellation_slot(a.slot(), recording(bare)));
    semaphore.async_acquire_for(
        std::chrono::hours(1), asio::bind_cancellation_slot(b.slot(), recording(bare_timed)));
    semaphore.async_acquire_permit_for(
        std::chrono::hours(1), asio::bind_cancellation_slot(c.slot(), recording(timed)));
    for (auto* signal : {&a, &b, &c})
        signal->emit(cancellation_type::total);
    context.run();
    BOOST_TEST(bare.failed(aborted));
    BOOST_TEST(bare_timed.failed(aborted));
    BOOST_TEST(timed.failed(aborted));
}

BOOST_AUTO_TEST_CASE(emitting_before_the_start_has_no_effect) {
    cancellation_signal signal;
    signal.emit(cancellation_type::terminal);
    result r;
    acquire(r, signal);
    poll();
    BOOST_TEST(r.pending());
    semaphore.release();
    poll();
    BOOST_TEST(r.succeeded());
}

BOOST_AUTO_TEST_CASE(emitting_after_the_grant_has_no_effect) {
    cancellation_signal waited, at_once;
    result a, b;
    acquire(a, waited);
    semaphore.release(2);
    acquire(b, at_once);
    waited.emit(cancellation_type::terminal);
    at_once.emit(cancellation_type::terminal);
    poll();
    BOOST_TEST(a.succeeded());
    BOOST_TEST(b.succeeded());
    waited.emit(cancellation_type::terminal);
    at_once.emit(cancellation_type::terminal);
    BOOST_TEST(a.held.count() + b.held.count() == 2);
}

BOOST_AUTO_TEST_CASE(emitting_twice_has_the_effect_of_emitting_once) {
    cancellation_signal signal;
    result r, other;
    acquire(r, signal);
    semaphore.async_acquire_permit(recording(other));
    signal.emit(cancellation_type::partial);
    signal.emit(cancellation_type::terminal);
    poll();
    signal.emit(cancellation_type::terminal);
    BOOST_TEST(r.failed(aborted));
    BOOST_TEST(other.pending());
    semaphore.cancel();
    poll();
}

BOOST_AUTO_TEST_CASE(cancelling_one_leaves_the_others_in_their_order) {
    std::array<cancellation_signal, 5> signals;
    std::array<result, 5> results;
    for (std::size_t i = 0; i < 5; ++i)
        acquire(results[i], signals[i]);
    for (const std::size_t i : {0u, 2u, 4u})
        signals[i].emit(cancellation_type::total);
    poll();
    for (const std::size_t i : {0u, 2u, 4u})
        BOOST_TEST(results[i].failed(aborted));
    semaphore.release();
    poll();
    BOOST_TEST(results[1].succeeded());
    BOOST_TEST(results[3].pending());
    semaphore.release();
    poll();
    BOOST_TEST(results[3].succeeded());
}

BOOST_AUTO_TEST_CASE(cancelling_the_head_grants_those_behind_that_fit_now) {
    cancellation_signal signal;
    result head, small, another, large;
    semaphore.release(2);
    acquire(head, signal, 3);
    semaphore.async_acquire_permit(recording(small));
    semaphore.async_acquire_permit(recording(another));
    semaphore.async_acquire_permit(recording(large));
    signal.emit(cancellation_type::terminal);
    BOOST_TEST(semaphore.waiting() == 1u);
    BOOST_TEST(semaphore.available() == 0);
    poll();
    BOOST_TEST(head.failed(aborted));
    BOOST_TEST(small.succeeded());
    BOOST_TEST(another.succeeded());
    BOOST_TEST(large.pending());
    small.held.reset();
    poll();
    BOOST_TEST(large.succeeded());
}

BOOST_AUTO_TEST_CASE(cancelling_hands_nobody_a_permit_that_was_not_free) {
    cancellation_signal signal;
    result head, behind;
    acquire(head, signal);
    semaphore.async_acquire_permit(recording(behind));
    signal.emit(cancellation_type::terminal);
    poll();
    BOOST_TEST(behind.pending());
    BOOST_TEST(semaphore.available() == 0);
    semaphore.cancel();
    poll();
}

BOOST_AUTO_TEST_CASE(the_signal_may_be_destroyed_while_the_operation_waits) {
    auto signal = std::make_unique<cancellation_signal>();
    result r;
    acquire(r, *signal);
    signal.reset();
    BOOST_TEST(semaphore.waiting() == 1u);
    semaphore.release();
    poll();
    BOOST_TEST(r.succeeded());
}

BOOST_AUTO_TEST_CASE(the_signal_may_be_destroyed_between_the_grant_and_the_handler) {
    auto signal = std::make_unique<cancellation_signal>();
    result r;
    acquire(r, *signal);
    semaphore.release();
    signal.reset();
    poll();
    BOOST_TEST(r.succeeded());
}

BOOST_AUTO_TEST_CASE(clearing_the_slot_makes_the_operation_uncancellable) {
    cancellation_signal signal;
    result r;
    acquire(r, signal);
    signal.slot().clear();
    signal.emit(cancellation_type::terminal);
    poll();
    BOOST_TEST(r.pending());
    semaphore.release();
    poll();
    BOOST_TEST(r.succeeded());
}

BOOST_AUTO_TEST_CASE(a_slot_used_again_cancels_the_newest_operation_only) {
    cancellation_signal signal;
    result older, newer;
    acquire(older, signal);
    acquire(newer, signal);
    signal.emit(cancellation_type::terminal);
    poll();
    BOOST_TEST(older.pending());
    BOOST_TEST(newer.failed(aborted));
    semaphore.release();
    poll();
    BOOST_TEST(older.succeeded());
}

BOOST_AUTO_TEST_CASE(a_slot_used_again_for_another_semaphore_or_something_else) {
    cancellation_signal signal;
    async_semaphore other(context, 0);
    asio::steady_timer timer(context, std::chrono::hours(1));
    result first, second;
    error_code timer_ended;
    acquire(first, signal);
    other.async_acquire(asio::bind_cancellation_slot(signal.slot(), recording(second)));
    timer.async_wait(
        asio::bind_cancellation_slot(signal.slot(), [&](error_code ec) { timer_ended = ec; }));
    signal.emit(cancellation_type::terminal);
    poll();
    BOOST_TEST(timer_ended == aborted);
    BOOST_TEST(first.pending());
    BOOST_TEST(second.pending());
    semaphore.cancel();
    other.cancel();
    poll();
}

// The slot destroys that handler while the acquire starts. No binder copies the initiation.
BOOST_AUTO_TEST_CASE(the_last_handler_of_a_slot_may_own_the_semaphore) {
    for (const bool is_timed : {false, true}) {
        cancellation_signal signal;
        auto own = std::make_unique<async_semaphore>(context, 0);
        async_semaphore* const other = own.get();
        signal.slot().assign([o = std::move(own)](cancellation_type_t) {});
        result r;
        if (is_timed)
            other->async_acquire_permit_for(
                std::chrono::hours(1), takes_its_slot_along(signal.slot(), r));
        else
            other->async_acquire_permit(takes_its_slot_along(signal.slot(), r));
        poll();
        BOOST_TEST(r.failed(aborted));
    }
}

BOOST_AUTO_TEST_CASE(a_slot_can_be_used_again_after_each_kind_of_end) {
    cancellation_signal signal;
    for (int round = 0; round < 3; ++round) {
        result granted, cancelled, timed;
        acquire(granted, signal);
        semaphore.release();
        poll();
        BOOST_TEST(granted.succeeded());
        granted.held.forget();
        semaphore.async_acquire_permit_for(
            std::chrono::milliseconds(1),
            asio::bind_cancellation_slot(signal.slot(), recording(timed)));
        while (timed.pending())
            context.run_one();
        BOOST_TEST(timed.failed(asio::error::timed_out));
        acquire(cancelled, signal);
        signal.emit(cancellation_type::terminal);
        poll();
        BOOST_TEST(cancelled.failed(aborted));
    }
}

BOOST_AUTO_TEST_CASE(an_operation_that_ends_at_once_leaves_the_slot_alone) {
    cancellation_signal signal;
    result waiting, at_once;
    acquire(waiting, signal, 2);
    async_semaphore other(context, 1);
    other.async_acquire_permit(asio::bind_cancellation_slot(signal.slot(), recording(at_once)));
    signal.emit(cancellation_type::terminal);
    poll();
    BOOST_TEST(at_once.succeeded());
    BOOST_TEST(waiting.failed(aborted));
}

BOOST_AUTO_TEST_CASE(an_unconnected_slot_is_ignored) {
    result r;
    semaphore.async_acquire_permit(
        asio::bind_cancellation_slot(asio::cancellation_slot(), recording(r)));
    semaphore.release();
    poll();
    BOOST_TEST(r.succeeded());
}

BOOST_AUTO_TEST_CASE(a_slot_of_a_user_defined_type_works) {
    home_made_slot::place place;
    result cancelled, granted, unconnected;
    semaphore.async_acquire_permit(
        asio::bind_cancellation_slot(home_made_slot(place), recording(cancelled)));
    place.emit(cancellation_type::total);
    semaphore.async_acquire_permit_for(
        std::chrono::hours(1),
        asio::bind_cancellation_slot(home_made_slot(place), recording(granted)));
    semaphore.async_acquire_permit(
        asio::bind_cancellation_slot(home_made_slot(), recording(unconnected)));
    semaphore.release(2);
    place.emit(cancellation_type::total);
    place.handler.reset();
    poll();
    BOOST_TEST(cancelled.failed(aborted));
    BOOST_TEST(granted.succeeded());
    BOOST_TEST(unconnected.succeeded());
}

BOOST_AUTO_TEST_CASE(a_handler_may_take_its_slot_along_when_it_moves) {
    cancellation_signal signal, timed_signal;
    result r, timed;
    semaphore.async_acquire_permit(takes_its_slot_along(signal.slot(), r));
    semaphore.async_acquire_permit_for(
        std::chrono::hours(1), takes_its_slot_along(timed_signal.slot(), timed));
    signal.emit(cancellation_type::total);
    timed_signal.emit(cancellation_type::total);
    BOOST_TEST(semaphore.waiting() == 0u);
    poll();
    BOOST_TEST(r.failed(aborted));
    BOOST_TEST(timed.failed(aborted));
}

BOOST_AUTO_TEST_CASE(a_slot_that_refuses_leaves_nothing_queued) {
    home_made_slot::place place;
    place.refuses = true;
    result r, behind;
    BOOST_CHECK_THROW(
        semaphore.async_acquire_permit(
            asio::bind_cancellation_slot(home_made_slot(place), recording(r))),
        std::runtime_error);
    BOOST_CHECK_THROW(
        semaphore.async_acquire_permit_for(
            std::chrono::hours(1),
            asio::bind_cancellation_slot(home_made_slot(place), recording(r))),
        std::runtime_error);
    BOOST_TEST(r.dropped == 2);
    BOOST_TEST(semaphore.waiting() == 0u);
    semaphore.async_acquire_permit(recording(behind));
    semaphore.release();
    poll();
    BOOST_TEST(behind.succeeded());
}

BOOST_AUTO_TEST_CASE(emitting_after_the_semaphore_was_destroyed_has_no_effect) {
    cancellation_signal signal;
    result r;
    {
        async_semaphore dying(context, 0);
        dying.async_acquire_permit(asio::bind_cancellation_slot(signal.slot(), recording(r)));
    }
    signal.emit(cancellation_type::terminal);
    poll();
    BOOST_TEST(r.failed(aborted));
    signal.emit(cancellation_type::terminal);
}

BOOST_AUTO_TEST_CASE(emitting_after_the_semaphore_has_moved_cancels) {
    cancellation_signal signal;
    result r;
    acquire(r, signal);
    auto moved = std::make_unique<async_semaphore>(std::move(semaphore));
    signal.emit(cancellation_type::terminal);
    BOOST_TEST(moved->waiting() == 0u);
    poll();
    BOOST_TEST(r.failed(aborted));
    moved.reset();
    signal.emit(cancellation_type::terminal);
}

BOOST_AUTO_TEST_CASE(emitting_after_the_context_was_destroyed_has_no_effect) {
    cancellation_signal waited, timed;
    result r, s;
    std::optional<async_semaphore> survivor;
    {
        asio::io_context dying;
        survivor.emplace(dying, 0);
        survivor->async_acquire_permit(asio::bind_cancellation_slot(waited.slot(), recording(r)));
        survivor->async_acquire_permit_for(
            std::chrono::hours(1), asio::bind_cancellation_slot(timed.slot(), recording(s)));
    }
    BOOST_TEST(r.was_dropped());
    BOOST_TEST(s.was_dropped());
    waited.emit(cancellation_type::terminal);
    timed.emit(cancellation_type::terminal);
    survivor.reset();
    waited.emit(cancellation_type::terminal);
}

BOOST_AUTO_TEST_CASE(the_handler_may_own_its_signal) {
    auto signal = std::make_unique<cancellation_signal>();
    auto& emitter = *signal;
    const auto slot = signal->slot();
    bool called = false;
    semaphore.async_acquire_permit(asio::bind_cancellation_slot(
        slot, [signal = std::move(signal), &called](error_code, permit) mutable {
            signal.reset();
            called = true;
        }));
    emitter.emit(cancellation_type::terminal);
    poll();
    BOOST_TEST(called);
}

BOOST_AUTO_TEST_CASE(a_handler_that_owns_its_signal_may_be_dropped_with_its_context) {
    bool dropped = false;
    {
        asio::io_context dying;
        async_semaphore other(dying, 0);
        auto signal = std::make_unique<cancellation_signal>();
        const auto slot = signal->slot();
        other.async_acquire_permit_for(
            std::chrono::hours(1),
            asio::bind_cancellation_slot(
                slot, [signal = std::move(signal), at_exit = support::at_exit([&] {
                                                       dropped = true;
                                                   })](error_code, permit) {}));
    }
    BOOST_TEST(dropped);
}

BOOST_AUTO_TEST_CASE(the_signal_may_be_destroyed_while_it_emits) {
    // The executor drops the handler inside emit, and the handler owns the signal.
    support::ways how;
    basic_async_semaphore<support::wayward_executor> other(
        support::wayward_executor(context, how), 0);
    auto signal = std::make_unique<cancellation_signal>();
    auto& emitter = *signal;
    const auto slot = signal->slot();
    result r;
    other.async_acquire_permit(asio::bind_cancellation_slot(
        slot, [signal = std::move(signal), recorded = recording(r)](error_code, permit) {}));
    how.now = support::ways::way::drop;
    emitter.emit(cancellation_type::terminal);
    BOOST_TEST(r.was_dropped());
}

BOOST_AUTO_TEST_CASE(the_signal_may_be_destroyed_on_another_thread_while_it_emits) {
    for (int round = 0; round < 100; ++round) {
        asio::thread_pool pool(1);
        async_semaphore other(pool.get_executor(), 0);
        auto signal = std::make_unique<cancellation_signal>();
        auto& emitter = *signal;
        const auto slot = signal->slot();
        std::atomic<bool> called{false};
        other.async_acquire_permit(asio::bind_cancellation_slot(
            slot, [signal = std::move(signal), &called](error_code ec, permit) mutable {
                signal.reset();
                called = ec == aborted;
            }));
        emitter.emit(cancellation_type::terminal);
        pool.wait();
        BOOST_REQUIRE(called);
    }
}

BOOST_AUTO_TEST_CASE(emit_may_come_from_another_thread_than_the_release) {
    constexpr int rounds = 200;
    int granted = 0, cancelled = 0;
    for (int round = 0; round < rounds; ++round) {
        cancellation_signal signal;
        result r;
        acquire(r, signal);
        std::atomic<int> ready{0};
        const auto together = [&ready] {
            ++ready;
            while (ready != 2)
                std::this_thread::yield();
        };
        std::thread emitter([&] {
            together();
            signal.emit(cancellation_type::terminal);
        });
        together();
        semaphore.release();
        emitter.join();
        poll();
        BOOST_REQUIRE(r.calls == 1);
        (r.ec ? cancelled : granted) += 1;
        r.held.reset();
        BOOST_REQUIRE(semaphore.available() == 1);
        BOOST_REQUIRE(semaphore.try_acquire());
    }
    BOOST_TEST(granted + cancelled == rounds);
}

BOOST_AUTO_TEST_CASE(signals_may_die_while_others_release_cancel_and_emit) {
    for (int round = 0; round < 100; ++round) {
        asio::thread_pool pool(2);
        async_semaphore shared(pool.get_executor(), 0);
        constexpr int count = 8;
        std::vector<std::unique_ptr<cancellation_signal>> signals;
        std::atomic<int> completed{0}, granted{0};
        for (int i = 0; i < count; ++i) {
            signals.push_back(std::make_unique<cancellation_signal>());
            shared.async_acquire(
                asio::bind_cancellation_slot(signals.back()->slot(), [&](error_code ec) {
                    ++completed;
                    granted += !ec;
                }));
        }
        std::thread emitter([&] {
            for (std::size_t i = 0; i < signals.size(); ++i) {
                if (i % 3 == 0)
                    signals[i]->emit(cancellation_type::terminal);
                if (i % 2 == 0)
                    signals[i].reset();
                else
                    signals[i]->slot().clear();
            }
        });
        for (int i = 0; i < count / 2; ++i)
            shared.release();
        emitter.join();
        shared.cancel();
        pool.wait();
        BOOST_REQUIRE(completed == count);
        BOOST_REQUIRE(shared.available() + granted == count / 2);
    }
}

BOOST_AUTO_TEST_CASE(emit_may_meet_close_and_the_end_of_the_semaphore) {
    for (int round = 0; round < 100; ++round) {
        asio::thread_pool pool(1);
        auto dying = std::make_unique<async_semaphore>(pool.get_executor(), 0);
        cancellation_signal a, b;
        std::atomic<int> completed{0};
        const auto count = [&](error_code ec) {
            completed += ec ? 1 : 100;
        };
        dying->async_acquire(asio::bind_cancellation_slot(a.slot(), count));
        dying->async_acquire_for(
            std::chrono::hours(1), asio::bind_cancellation_slot(b.slot(), count));
        std::thread emitter([&] {
            a.emit(cancellation_type::terminal);
            b.emit(cancellation_type::partial);
        });
        if (round % 2 == 0)
            dying->close();
        dying.reset();
        emitter.join();
        pool.wait();
        BOOST_REQUIRE(completed == 2);
    }
}

BOOST_AUTO_TEST_SUITE_END()
