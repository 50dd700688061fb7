// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore/async_semaphore.hpp>

#include <support/executors.hpp>
#include <support/handlers.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/test/unit_test.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <new>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace {

namespace asio = boost::asio;
using asio_semaphore::async_semaphore;
using asio_semaphore::permit;
using boost::system::error_code;
using support::at_exit;
using support::recording;
using support::result;

struct fixture {
    std::optional<asio::io_context> context{std::in_place};
    std::optional<async_semaphore> semaphore{std::in_place, *context, 0};
    result r;

    /// A handler that runs an action in its destructor.
    template <typename Action>
    auto dying(Action action) {
        return [recorded = recording(r),
                last = at_exit(std::move(action))](error_code ec, auto... held) mutable {
            recorded(ec, std::move(held)...);
        };
    }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(asio_shutdown, fixture)

BOOST_AUTO_TEST_CASE(waiting_handlers_are_destroyed_without_being_called) {
    result bare, owned, timed, on_strand;
    semaphore->async_acquire(recording(bare));
    semaphore->async_acquire_permit(recording(owned));
    semaphore->async_acquire_permit_for(std::chrono::hours(1), recording(timed));
    semaphore->async_acquire_permit(
        asio::bind_executor(asio::make_strand(*context), recording(on_strand)));
    context.reset();
    for (const result* each : {&bare, &owned, &timed, &on_strand})
        BOOST_TEST(each->was_dropped());
    BOOST_TEST(semaphore->waiting() == 0u);
}

BOOST_AUTO_TEST_CASE(handlers_that_are_on_their_way_are_destroyed_and_their_permits_come_back) {
    result queued, at_once, bare, on_strand;
    semaphore->async_acquire_permit(2, recording(queued));
    semaphore->async_acquire(recording(bare));
    semaphore->async_acquire_permit(
        asio::bind_executor(asio::make_strand(*context), recording(on_strand)));
    semaphore->release(5);
    semaphore->async_acquire_permit(recording(at_once));
    BOOST_TEST(semaphore->available() == 0);
    context.reset();
    for (const result* each : {&queued, &at_once, &bare, &on_strand})
        BOOST_TEST(each->was_dropped());
    BOOST_TEST(semaphore->available() == 5);
}

BOOST_AUTO_TEST_CASE(aborted_handlers_that_are_on_their_way_are_destroyed_as_well) {
    result cancelled, closed, destroyed;
    semaphore->async_acquire(recording(cancelled));
    semaphore->cancel();
    semaphore->async_acquire(recording(closed));
    semaphore->close();
    async_semaphore(*context, 0).async_acquire(recording(destroyed));
    context.reset();
    for (const result* each : {&cancelled, &closed, &destroyed})
        BOOST_TEST(each->was_dropped());
}

BOOST_AUTO_TEST_CASE(a_pool_is_destroyed_with_waiting_handlers) {
    result waiting, timed;
    std::optional<async_semaphore> survivor;
    {
        asio::thread_pool pool(2);
        survivor.emplace(pool.get_executor(), 0);
        survivor->async_acquire_permit(recording(waiting));
        survivor->async_acquire_permit_for(std::chrono::hours(1), recording(timed));
        pool.stop();
    }
    BOOST_TEST(waiting.was_dropped());
    BOOST_TEST(timed.was_dropped());
}

BOOST_AUTO_TEST_CASE(the_semaphore_may_outlive_its_context) {
    result late, later, lazy_one, of_who_lives_on;
    auto lazy = semaphore->async_acquire_permit(asio::deferred);
    semaphore->release(2);
    context.reset();
    BOOST_TEST(semaphore->available() == 2);
    BOOST_TEST(!semaphore->try_acquire());
    semaphore->release();
    semaphore->reduce(1);
    BOOST_TEST(semaphore->cancel() == 0u);
    semaphore->close();
    BOOST_TEST(semaphore->available() == 2);
    semaphore->async_acquire_permit(recording(late));
    semaphore->async_acquire_for(std::chrono::hours(1), -1, recording(later));
    std::move(lazy)(recording(lazy_one));
    for (const result* each : {&late, &later, &lazy_one})
        BOOST_TEST(each->was_dropped());
    // The handler was moved out of the caller's object, so it is destroyed before that object.
    auto handler = recording(of_who_lives_on);
    semaphore->async_acquire_permit(std::move(handler));
    BOOST_TEST(of_who_lives_on.was_dropped());
    async_semaphore moved(std::move(*semaphore));
    semaphore.reset();
    BOOST_TEST(moved.waiting() == 0u);
}

BOOST_AUTO_TEST_CASE(a_permit_may_outlive_semaphore_and_context) {
    semaphore->release(3);
    permit first = semaphore->try_acquire_permit(2);
    permit second = semaphore->try_acquire_permit();
    semaphore.reset();
    first.reset();
    context.reset();
    permit half = second.split(1);
    BOOST_TEST(half.count() == 1);
    half.reset();
}

BOOST_AUTO_TEST_CASE(the_context_may_be_destroyed_first_then_the_permit_then_the_semaphore) {
    semaphore->release(1);
    permit held = semaphore->try_acquire_permit();
    semaphore->async_acquire_permit(recording(r));
    context.reset();
    BOOST_TEST(r.was_dropped());
    held.reset();
    BOOST_TEST(semaphore->available() == 1);
}

BOOST_AUTO_TEST_CASE(a_waiting_handler_may_own_its_semaphore) {
    auto owned = std::make_shared<async_semaphore>(*context, 0);
    const std::weak_ptr<async_semaphore> watch = owned;
    owned->async_acquire_permit(dying([owned] {}));
    owned->async_acquire_for(std::chrono::hours(1), [owned](error_code) {});
    owned.reset();
    BOOST_TEST(!watch.expired());
    context.reset();
    BOOST_TEST(watch.expired());
    BOOST_TEST(r.was_dropped());
}

BOOST_AUTO_TEST_CASE(a_handler_on_its_way_may_own_its_semaphore) {
    auto owned = std::make_shared<async_semaphore>(*context, 1);
    const std::weak_ptr<async_semaphore> watch = owned;
    owned->async_acquire_permit(dying([owned] {}));
    owned.reset();
    context.reset();
    BOOST_TEST(watch.expired());
    BOOST_TEST(r.was_dropped());
}

BOOST_AUTO_TEST_CASE(two_semaphores_may_be_owned_by_each_others_waiters) {
    auto a = std::make_shared<async_semaphore>(*context, 0);
    auto b = std::make_shared<async_semaphore>(*context, 0);
    const std::weak_ptr<async_semaphore> watch_a = a, watch_b = b;
    a->async_acquire([b](error_code) {});
    b->async_acquire([a](error_code) {});
    a.reset();
    b.reset();
    context.reset();
    BOOST_TEST(watch_a.expired());
    BOOST_TEST(watch_b.expired());
}

BOOST_AUTO_TEST_CASE(a_waiting_handler_may_own_permits_of_its_own_and_of_other_semaphores) {
    async_semaphore other(*context, 1);
    asio::io_context foreign_context;
    async_semaphore foreign(foreign_context, 1);
    result behind, behind_other, behind_foreign;
    semaphore->release(1);
    semaphore->async_acquire_permit(
        [own = semaphore->try_acquire_permit(), of_other = other.try_acquire_permit(),
         of_foreign = foreign.try_acquire_permit()](error_code, permit) { BOOST_ERROR("called"); });
    semaphore->async_acquire_permit(recording(behind));
    other.async_acquire_permit(recording(behind_other));
    foreign.async_acquire_permit(recording(behind_foreign));
    context.reset();
    BOOST_TEST(behind.was_dropped());
    BOOST_TEST(behind_other.was_dropped());
    BOOST_TEST(semaphore->available() == 1);
    BOOST_TEST(other.available() == 1);
    foreign_context.poll();
    BOOST_TEST(behind_foreign.succeeded());
}

BOOST_AUTO_TEST_CASE(a_chain_of_waiters_that_own_each_others_permits_is_destroyed_in_a_loop) {
    constexpr std::size_t length = 20000;
    std::vector<std::unique_ptr<async_semaphore>> chain;
    for (std::size_t i = 0; i <= length; ++i)
        chain.push_back(std::make_unique<async_semaphore>(*context, 1));
    const permit first = chain[0]->try_acquire_permit();
    for (std::size_t i = 0; i < length; ++i)
        chain[i]->async_acquire_permit([next = chain[i + 1]->try_acquire_permit(),
                                        each = recording(r)](error_code, permit) {});
    context.reset();
    BOOST_TEST(r.dropped == static_cast<int>(length));
}

BOOST_AUTO_TEST_CASE(many_handlers_on_their_way_are_destroyed_in_a_loop) {
    constexpr int many = 100000;
    for (int i = 0; i < many; ++i)
        semaphore->async_acquire_permit(recording(r));
    semaphore->release(many / 2);
    BOOST_TEST(semaphore->waiting() == std::size_t(many / 2));
    context.reset();
    BOOST_TEST(r.dropped == many);
    BOOST_TEST(semaphore->available() == many / 2);
}

BOOST_AUTO_TEST_CASE(a_dying_handler_may_release) {
    result behind;
    semaphore->async_acquire_permit(dying([this] { semaphore->release(2); }));
    semaphore->async_acquire_permit(recording(behind));
    context.reset();
    BOOST_TEST(r.was_dropped());
    BOOST_TEST(behind.was_dropped());
    BOOST_TEST(semaphore->available() == 2);
}

BOOST_AUTO_TEST_CASE(a_dying_handler_may_use_every_other_function) {
    int refused = 0;
    semaphore->async_acquire_permit(dying([&] {
        semaphore->release();
        refused += !semaphore->try_acquire();
        semaphore->cancel();
        semaphore->reduce(1);
        semaphore->close();
        refused += !semaphore->is_open();
        async_semaphore moved(std::move(*semaphore));
        *semaphore = std::move(moved);
    }));
    context.reset();
    BOOST_TEST(r.was_dropped());
    BOOST_TEST(refused == 2);
    BOOST_TEST(semaphore->available() == 0);
}

BOOST_AUTO_TEST_CASE(what_a_dying_handler_starts_is_destroyed_too) {
    result nested, timed, of_moved_from;
    semaphore->release();
    const permit held = semaphore->try_acquire_permit();
    semaphore->async_acquire_permit(dying([&] {
        semaphore->async_acquire_permit(recording(nested));
        semaphore->async_acquire_for(std::chrono::hours(1), recording(timed));
        const async_semaphore moved(std::move(*semaphore));
        semaphore->async_acquire(recording(of_moved_from));
    }));
    context.reset();
    BOOST_TEST(r.was_dropped());
    BOOST_TEST(nested.was_dropped());
    BOOST_TEST(timed.was_dropped());
    BOOST_TEST(of_moved_from.was_dropped());
}

BOOST_AUTO_TEST_CASE(a_dying_handler_may_construct_a_semaphore_and_use_it) {
    result at_once, waiting;
    std::optional<async_semaphore> late;
    semaphore->async_acquire_permit(dying([&] {
        late.emplace(*context, 1);
        late->async_acquire_permit(recording(at_once));
        late->async_acquire_permit(2, recording(waiting));
    }));
    context->~io_context();
    BOOST_TEST(r.was_dropped());
    BOOST_TEST(at_once.was_dropped());
    BOOST_TEST(waiting.was_dropped());
    late.reset();
    new (&*context) asio::io_context;
}

BOOST_AUTO_TEST_CASE(a_dying_handler_may_construct_the_first_semaphore_of_its_context) {
    // A deadline also creates the service of the timers.
    for (const bool with_deadline : {false, true}) {
        result at_once, waiting;
        std::optional<async_semaphore> late;
        alignas(asio::io_context) unsigned char place[sizeof(asio::io_context)];
        auto* const dying_context = new (place) asio::io_context;
        asio::post(*dying_context, [last = at_exit([&] {
                                        late.emplace(*dying_context, 1);
                                        late->async_acquire_permit(recording(at_once));
                                        // The permit of at_once is not enough for this one.
                                        if (with_deadline)
                                            late->async_acquire_permit_for(
                                                std::chrono::hours(1), 2, recording(waiting));
                                        else
                                            late->async_acquire_permit(2, recording(waiting));
                                    })] {});
        dying_context->~io_context();
        BOOST_TEST(at_once.was_dropped());
        BOOST_TEST(waiting.was_dropped());
        late.reset();
    }
}

BOOST_AUTO_TEST_CASE(a_redundant_service_ends_no_operation_when_it_is_destroyed) {
    // Asio creates services without a lock. If several threads create one at the same time, Asio
    // keeps the first and destroys the others.
    result waiting, timed;
    semaphore->async_acquire(recording(waiting));
    semaphore->async_acquire_for(std::chrono::hours(1), recording(timed));
    std::make_unique<asio_semaphore::detail::semaphore_service>(*context).reset();
    BOOST_TEST(semaphore->waiting() == 2u);
    semaphore->release(2);
    context->run();
    BOOST_TEST(waiting.succeeded());
    BOOST_TEST(timed.succeeded());
}

BOOST_AUTO_TEST_CASE(a_redundant_service_submits_nothing_when_it_is_destroyed) {
    // Asio destroys the service under its own lock, so this thread must not submit anything there.
    support::ways how;
    asio_semaphore::basic_async_semaphore<support::wayward_executor> dropping(
        support::wayward_executor(*context, how), 0);
    result second;
    bool checked = false;
    dropping.async_acquire_permit(dying([&] {
        asio::io_context elsewhere;
        std::make_unique<asio_semaphore::detail::semaphore_service>(elsewhere).reset();
        BOOST_TEST(second.pending());
        checked = true;
    }));
    dropping.async_acquire_permit(recording(second));
    how.now = support::ways::way::drop;
    dropping.release(2);
    BOOST_TEST(checked);
    BOOST_TEST(second.was_dropped());
}

BOOST_AUTO_TEST_CASE(a_dying_handler_may_destroy_another_semaphore) {
    auto other = std::make_unique<async_semaphore>(*context, 0);
    result of_other;
    other->async_acquire_permit(recording(of_other));
    semaphore->async_acquire_permit(dying([&] { other.reset(); }));
    context.reset();
    BOOST_TEST(r.was_dropped());
    BOOST_TEST(of_other.was_dropped());
}

BOOST_AUTO_TEST_CASE(a_dying_handler_may_destroy_its_own_semaphore) {
    semaphore->async_acquire_permit(dying([this] { semaphore.reset(); }));
    result behind;
    semaphore->async_acquire_permit(recording(behind));
    context.reset();
    BOOST_TEST(r.was_dropped());
    BOOST_TEST(behind.was_dropped());
}

BOOST_AUTO_TEST_CASE(a_dying_handler_may_emit_and_destroy_a_signal) {
    auto signal = std::make_unique<asio::cancellation_signal>();
    result behind;
    semaphore->async_acquire_permit(dying([&] {
        signal->emit(asio::cancellation_type::terminal);
        signal.reset();
    }));
    semaphore->async_acquire_permit(
        asio::bind_cancellation_slot(signal->slot(), recording(behind)));
    context.reset();
    BOOST_TEST(r.was_dropped());
    BOOST_TEST(behind.was_dropped());
}

BOOST_AUTO_TEST_CASE(a_dying_handler_may_post) {
    bool ran = false;
    semaphore->async_acquire_permit(dying(
        [&ran, executor = context->get_executor()] { asio::post(executor, [&] { ran = true; }); }));
    context.reset();
    BOOST_TEST(r.was_dropped());
    BOOST_TEST(!ran);
}

BOOST_AUTO_TEST_CASE(a_dying_handler_of_another_operation_may_release_and_acquire) {
    // Asio may shut down the service of a timer before that of the semaphore.
    result waiting, nested;
    auto timer = std::make_shared<asio::steady_timer>(*context, std::chrono::hours(1));
    auto last = at_exit([&] {
        semaphore->release(3);
        semaphore->async_acquire_permit(recording(nested));
    });
    semaphore->async_acquire_permit(recording(waiting));
    // The handler owns its timer, because the timer must not outlive the context.
    auto& timer_of_handler = *timer;
    timer_of_handler.async_wait([timer = std::move(timer), last = std::move(last)](error_code) {});
    context->~io_context();
    BOOST_TEST(waiting.was_dropped());
    BOOST_TEST(nested.was_dropped());
    BOOST_TEST(semaphore->available() == 3);
    new (&*context) asio::io_context;
}

BOOST_AUTO_TEST_CASE(a_handler_dropped_inside_a_release_may_destroy_another_context) {
    // The handler's permit serves a waiter of that context, and this thread has not submitted that
    // waiter yet.
    asio::io_context own;
    support::ways how;
    asio_semaphore::basic_async_semaphore<support::wayward_executor> dropping(
        support::wayward_executor(own, how), 0);
    result served;
    semaphore->release();
    permit of_other = semaphore->try_acquire_permit();
    semaphore->async_acquire_permit(recording(served));
    dropping.async_acquire_permit(dying([&] {
        of_other.reset();
        context.reset();
    }));
    how.now = support::ways::way::drop;
    dropping.release();
    BOOST_TEST(r.was_dropped());
    BOOST_TEST(served.was_dropped());
    BOOST_TEST(semaphore->available() == 1);
    BOOST_TEST(dropping.available() == 1);
}

// The cases: granted at once, granted later, cancelled, granted with a deadline.
BOOST_AUTO_TEST_CASE(
    a_handler_submitted_to_another_context_runs_there_after_the_end_of_its_semaphores_context) {
    using tracker = support::tracker_executor<>;
    using semaphore_type = asio_semaphore::basic_async_semaphore<tracker>;
    const auto started = [](semaphore_type& s, int how, auto handler) {
        if (how == 0)
            s.release();
        if (how == 3)
            s.async_acquire_permit_for(std::chrono::hours(1), std::move(handler));
        else
            s.async_acquire_permit(std::move(handler));
        if (how == 2)
            s.cancel();
        else if (how != 0)
            s.release();
    };
    for (const int how : {0, 1, 2, 3}) {
        BOOST_TEST_CONTEXT("case " << how) {
            asio::io_context elsewhere;
            support::tracking book;
            std::optional<asio::io_context> dying(std::in_place);
            semaphore_type own(tracker(dying->get_executor(), book), 0);
            result first, second;
            started(own, how, asio::bind_executor(elsewhere.get_executor(), recording(first)));
            started(own, how, asio::bind_executor(elsewhere.get_executor(), recording(second)));
            BOOST_TEST(book.work == 0);
            dying.reset();
            support::poll(elsewhere);
            for (result* called : {&first, &second})
                BOOST_TEST(
                    (how == 2 ? called->failed(asio::error::operation_aborted)
                              : called->succeeded()));
            BOOST_TEST(own.available() == 0);
            first.held.reset();
            BOOST_TEST(own.available() == (how == 2 ? 0 : 1));
        }
    }
}

BOOST_AUTO_TEST_CASE(another_context_may_run_handlers_while_the_semaphores_context_is_destroyed) {
    for (int round = 0; round < 200; ++round) {
        asio::thread_pool elsewhere(1);
        std::optional<asio::io_context> dying(std::in_place);
        async_semaphore own(*dying, 2);
        std::atomic<int> called{0};
        for (int i = 0; i < 10; ++i)
            own.async_acquire_permit(asio::bind_executor(
                elsewhere.get_executor(), [&](error_code, permit) { ++called; }));
        while (called == 0)
            dying->poll();
        dying.reset();
        elsewhere.join();
        BOOST_TEST(own.available() == 2);
    }
}

BOOST_AUTO_TEST_CASE(shutting_down_twice_is_harmless) {
    struct exposed : asio::io_context {
        void shut() { shutdown(); }
    };
    result waiting, timed, late;
    std::optional<async_semaphore> survivor;
    {
        exposed twice;
        survivor.emplace(twice, 0);
        survivor->async_acquire_permit(recording(waiting));
        survivor->async_acquire_for(std::chrono::hours(1), recording(timed));
        twice.shut();
        BOOST_TEST(waiting.was_dropped());
        BOOST_TEST(timed.was_dropped());
        survivor->release();
        survivor->async_acquire_permit(recording(late));
        BOOST_TEST(late.was_dropped());
        twice.shut();
    }
    BOOST_TEST(survivor->available() == 1);
}

BOOST_AUTO_TEST_CASE(semaphores_that_died_before_their_context_are_forgotten) {
    for (int i = 0; i < 100; ++i) {
        auto first = std::make_unique<async_semaphore>(*context, 0);
        auto second = std::make_unique<async_semaphore>(*context, 0);
        first->async_acquire([](error_code) {});
        (i % 2 == 0 ? first : second).reset();
    }
    context.reset();
    semaphore.reset();
}

BOOST_AUTO_TEST_CASE(another_thread_may_release_while_the_context_is_destroyed) {
    for (int round = 0; round < 100; ++round) {
        auto dying_context = std::make_unique<asio::io_context>();
        async_semaphore survivor(*dying_context, 0);
        constexpr int count = 20;
        result all;
        for (int i = 0; i < count; ++i)
            survivor.async_acquire_permit(recording(all));
        std::atomic<bool> started{false};
        std::thread releaser([&] {
            for (int i = 0; i < count; ++i) {
                survivor.release();
                started = true;
            }
        });
        while (!started)
            std::this_thread::yield();
        dying_context.reset();
        releaser.join();
        BOOST_REQUIRE(all.dropped == count);
        BOOST_REQUIRE(survivor.available() == count);
    }
}

BOOST_AUTO_TEST_CASE(other_threads_may_cancel_emit_and_give_back_while_the_context_is_destroyed) {
    for (int round = 0; round < 100; ++round) {
        auto dying_context = std::make_unique<asio::io_context>();
        async_semaphore survivor(*dying_context, 1);
        permit held = survivor.try_acquire_permit();
        asio::cancellation_signal signal;
        result all;
        survivor.async_acquire_permit(asio::bind_cancellation_slot(signal.slot(), recording(all)));
        for (int i = 0; i < 4; ++i)
            survivor.async_acquire_permit_for(std::chrono::hours(1), recording(all));
        std::atomic<int> started{0};
        std::thread canceller([&] {
            ++started;
            signal.emit(asio::cancellation_type::terminal);
            survivor.cancel();
            survivor.close();
        });
        std::thread giver([&] {
            ++started;
            held.reset();
        });
        while (started < 2)
            std::this_thread::yield();
        dying_context.reset();
        canceller.join();
        giver.join();
        BOOST_REQUIRE(all.dropped == 5);
        BOOST_REQUIRE(survivor.available() == 1);
    }
}

BOOST_AUTO_TEST_CASE(another_thread_may_destroy_a_semaphore_while_the_context_is_destroyed) {
    for (int round = 0; round < 100; ++round) {
        auto dying_context = std::make_unique<asio::io_context>();
        auto other = std::make_unique<async_semaphore>(*dying_context, 0);
        result all;
        other->async_acquire_permit(recording(all));
        std::atomic<bool> started{false};
        std::thread destroyer([&] {
            started = true;
            other.reset();
        });
        while (!started)
            std::this_thread::yield();
        dying_context.reset();
        destroyer.join();
        BOOST_REQUIRE(all.was_dropped());
    }
}

// The state has a timer and, with it, copies of the executor, which may use the context until they
// are destroyed.
BOOST_AUTO_TEST_CASE(another_thread_may_drop_the_last_permit_while_the_context_is_destroyed) {
    support::slow_end end;
    permit held;
    {
        asio_semaphore::basic_async_semaphore<support::owning_executor> limit(
            end.make_executor(), 0);
        limit.async_acquire_permit_for(
            std::chrono::hours(1),
            asio::bind_executor(*end.context, [&](error_code, permit p) { held = std::move(p); }));
        end.context->poll();
        limit.release();
    }
    end.context->run();
    BOOST_REQUIRE(held);
    BOOST_TEST(end.destroy_both([&] { held.reset(); }));
}

BOOST_AUTO_TEST_SUITE_END()
