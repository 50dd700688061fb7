// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore/async_semaphore.hpp>

#include <support/allocators.hpp>
#include <support/executors.hpp>
#include <support/handlers.hpp>

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/append.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/consign.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/prepend.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/test/unit_test.hpp>
#include <boost/version.hpp>

#if BOOST_VERSION >= 108600
#include <boost/asio/cancel_after.hpp>
#endif

#include <chrono>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <tuple>
#include <type_traits>
#include <utility>

namespace {

namespace asio = boost::asio;
using asio_semaphore::async_semaphore;
using asio_semaphore::basic_async_semaphore;
using asio_semaphore::permit;
using boost::system::error_code;
using boost::system::system_error;
using support::recording;
using support::result;
using namespace std::chrono_literals;

struct fixture {
    asio::io_context context;
    async_semaphore semaphore{context, 1};

    void poll() { support::poll(context); }
};

const auto is_aborted = [](const system_error& e) {
    return e.code() == asio::error::operation_aborted;
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(asio_tokens, fixture)

BOOST_AUTO_TEST_CASE(a_future_gets_the_permit) {
    std::future<permit> now = semaphore.async_acquire_permit(asio::use_future);
    std::future<permit> later = semaphore.async_acquire_permit(asio::use_future);
    poll();
    permit held = now.get();
    BOOST_TEST(held.count() == 1);
    BOOST_TEST((later.wait_for(0s) == std::future_status::timeout));
    held.reset();
    poll();
    BOOST_TEST(later.get().count() == 1);
    BOOST_TEST(semaphore.available() == 1);
}

BOOST_AUTO_TEST_CASE(a_future_gets_the_error_as_an_exception) {
    const permit held = semaphore.try_acquire_permit();
    auto owned = semaphore.async_acquire_permit(asio::use_future);
    std::future<void> bare = semaphore.async_acquire(asio::use_future);
    auto timed = semaphore.async_acquire_permit_for(1h, asio::use_future);
    semaphore.cancel();
    poll();
    BOOST_CHECK_EXCEPTION((void)owned.get(), system_error, is_aborted);
    BOOST_CHECK_EXCEPTION((void)bare.get(), system_error, is_aborted);
    BOOST_CHECK_EXCEPTION((void)timed.get(), system_error, is_aborted);
}

BOOST_AUTO_TEST_CASE(an_unread_future_gives_its_permit_back) {
    {
        auto unread = semaphore.async_acquire_permit(asio::use_future);
        poll();
        BOOST_TEST(semaphore.available() == 0);
    }
    BOOST_TEST(semaphore.available() == 1);
}

BOOST_AUTO_TEST_CASE(a_future_of_a_destroyed_context_is_a_broken_promise) {
    std::future<permit> waiting, posted;
    std::optional<async_semaphore> survivor;
    {
        asio::io_context dying;
        survivor.emplace(dying, 1);
        posted = survivor->async_acquire_permit(asio::use_future);
        waiting = survivor->async_acquire_permit(asio::use_future);
    }
    BOOST_CHECK_THROW((void)waiting.get(), std::future_error);
    BOOST_CHECK_THROW((void)posted.get(), std::future_error);
    BOOST_TEST(survivor->available() == 1);
}

BOOST_AUTO_TEST_CASE(a_future_is_fulfilled_by_another_thread) {
    const permit held = semaphore.try_acquire_permit();
    auto future = semaphore.async_acquire_permit_for(1h, asio::use_future);
    std::thread runner([&] { context.run(); });
    semaphore.release();
    BOOST_TEST(future.get().count() == 1);
    runner.join();
}

BOOST_AUTO_TEST_CASE(a_packaged_function_may_look_at_the_permit) {
    auto count = semaphore.async_acquire_permit(
        asio::use_future([](error_code ec, permit p) { return ec ? -1 : p.count(); }));
    poll();
    BOOST_TEST(count.get() == 1);
    BOOST_TEST(semaphore.available() == 1);
}

BOOST_AUTO_TEST_CASE(detached_gives_a_permit_object_back_but_not_a_bare_permit) {
    semaphore.async_acquire_permit(asio::detached);
    BOOST_TEST(semaphore.available() == 0);
    poll();
    BOOST_TEST(semaphore.available() == 1);
    semaphore.async_acquire(asio::detached);
    poll();
    BOOST_TEST(semaphore.available() == 0);
    semaphore.async_acquire_permit_for(1h, asio::detached);
    semaphore.release();
    context.run();
    BOOST_TEST(semaphore.available() == 1);
}

BOOST_AUTO_TEST_CASE(deferred_operations_can_be_chained) {
    std::ptrdiff_t got = 0;
    auto chained = semaphore.async_acquire_permit(asio::deferred([](error_code ec, permit p) {
        return asio::deferred.values(ec ? std::ptrdiff_t(-1) : p.count());
    }));
    BOOST_TEST(semaphore.available() == 1);
    std::move(chained)([&](std::ptrdiff_t n) { got = n; });
    poll();
    BOOST_TEST(got == 1);
    BOOST_TEST(semaphore.available() == 1);
}

BOOST_AUTO_TEST_CASE(as_tuple_packs_the_results) {
    bool called = false;
    semaphore.async_acquire_permit(asio::as_tuple([&](std::tuple<error_code, permit> both) {
        called = !std::get<0>(both) && std::get<1>(both).count() == 1;
    }));
    poll();
    BOOST_TEST(called);
    auto lazy = semaphore.async_acquire_permit(asio::as_tuple(asio::deferred));
    std::ptrdiff_t got = 0;
    std::move(lazy)([&](std::tuple<error_code, permit> both) { got = std::get<1>(both).count(); });
    poll();
    BOOST_TEST(got == 1);
}

BOOST_AUTO_TEST_CASE(redirect_error_takes_the_error_out) {
    error_code ec;
    auto granted = semaphore.async_acquire_permit(asio::redirect_error(asio::use_future, ec));
    auto cancelled = semaphore.async_acquire_permit(asio::redirect_error(asio::use_future, ec));
    support::poll(context);
    BOOST_TEST(granted.get().count() == 1);
    BOOST_TEST(!ec);
    const permit held = semaphore.try_acquire_permit();
    poll();
    BOOST_TEST(cancelled.get().count() == 1);
    semaphore.close();
    auto closed = semaphore.async_acquire_permit(asio::redirect_error(asio::use_future, ec));
    poll();
    BOOST_TEST(!closed.get());
    BOOST_TEST((ec == asio_semaphore::error::closed));
}

BOOST_AUTO_TEST_CASE(append_prepend_and_consign_work) {
    std::string appended, prepended;
    semaphore.async_acquire_permit(asio::append(
        [&](error_code, permit p, const std::string& s) {
            appended = s + std::to_string(p.count());
        },
        std::string("appended ")));
    semaphore.async_acquire_permit(asio::prepend(
        [&](const std::string& s, error_code, permit p) {
            prepended = s + std::to_string(p.count());
        },
        std::string("prepended ")));
    auto consigned = std::make_shared<int>(1);
    const std::weak_ptr<int> watch = consigned;
    bool alive = false;
    semaphore.async_acquire_permit(
        asio::consign([&](error_code, permit) { alive = !watch.expired(); }, std::move(consigned)));
    context.run();
    BOOST_TEST(appended == "appended 1");
    BOOST_TEST(prepended == "prepended 1");
    BOOST_TEST(alive);
    BOOST_TEST(watch.expired());
}

BOOST_AUTO_TEST_CASE(the_binders_combine) {
    asio::cancellation_signal signal;
    support::memory_book memory;
    support::tracking book;
    const support::tracker_executor<> tracker(context.get_executor(), book);
    const permit held = semaphore.try_acquire_permit();
    bool inside = false;
    semaphore.async_acquire_permit(asio::bind_executor(
        tracker,
        asio::bind_cancellation_slot(
            signal.slot(),
            asio::bind_allocator(support::counting_allocator<>(memory), [&](error_code ec, permit) {
                inside = book.on_stack() && ec == asio::error::operation_aborted;
            }))));
    BOOST_TEST(memory.allocated > 0);
    BOOST_TEST(book.work > 0);
    signal.emit(asio::cancellation_type::total);
    poll();
    BOOST_TEST(inside);
    BOOST_TEST(memory.live() == 0);
    BOOST_TEST(book.work == 0);
}

BOOST_AUTO_TEST_CASE(the_binders_bind_other_tokens_too) {
    support::tracking book;
    const support::tracker_executor<> tracker(context.get_executor(), book);
    auto future = semaphore.async_acquire_permit(asio::bind_executor(tracker, asio::use_future));
    poll();
    BOOST_TEST(future.get().count() == 1);
    BOOST_TEST(book.ran == 1);
    auto lazy = semaphore.async_acquire_permit(asio::bind_executor(tracker, asio::deferred));
    result r;
    std::move(lazy)(recording(r));
    poll();
    BOOST_TEST(r.succeeded());
    BOOST_TEST(book.ran == 2);
}

BOOST_AUTO_TEST_CASE(a_type_erased_handler_works_with_both_signatures) {
    result bare, owned, timed, dropped;
    semaphore.async_acquire(asio::any_completion_handler<void(error_code)>(recording(bare)));
    semaphore.async_acquire_permit(
        asio::any_completion_handler<void(error_code, permit)>(recording(owned)));
    semaphore.async_acquire_permit_for(
        1h, asio::any_completion_handler<void(error_code, permit)>(recording(timed)));
    poll();
    BOOST_TEST(bare.succeeded());
    BOOST_TEST(owned.pending());
    semaphore.release();
    poll();
    BOOST_TEST(owned.succeeded());
    owned.held.reset();
    poll();
    BOOST_TEST(timed.succeeded());
    {
        asio::io_context dying;
        async_semaphore other(dying, 0);
        other.async_acquire_permit(
            asio::any_completion_handler<void(error_code, permit)>(recording(dropped)));
    }
    BOOST_TEST(dropped.was_dropped());
}

BOOST_AUTO_TEST_CASE(a_type_erased_handler_brings_its_associations) {
    support::tracking book;
    const support::tracker_executor<> tracker(context.get_executor(), book);
    asio::cancellation_signal signal;
    const permit held = semaphore.try_acquire_permit();
    bool inside = false;
    semaphore.async_acquire_permit(
        asio::any_completion_handler<void(error_code, permit)>(asio::bind_executor(
            tracker, asio::bind_cancellation_slot(signal.slot(), [&](error_code ec, permit) {
                inside = book.on_stack() && ec == asio::error::operation_aborted;
            }))));
    signal.emit(asio::cancellation_type::terminal);
    BOOST_TEST(semaphore.waiting() == 0u);
    poll();
    BOOST_TEST(inside);
}

BOOST_AUTO_TEST_CASE(a_default_token_makes_the_token_optional) {
    auto lazy = asio::deferred.as_default_on(async_semaphore(context, 3));
    using lazy_semaphore = asio::deferred_t::as_default_on_t<async_semaphore>;
    static_assert(std::is_same_v<decltype(lazy), lazy_semaphore>);
    result r[8];
    lazy.async_acquire()(recording(r[0]));
    lazy.async_acquire(0)(recording(r[1]));
    lazy.async_acquire_for(1h)(recording(r[2]));
    lazy.async_acquire_for(1h, 0)(recording(r[3]));
    lazy.async_acquire_permit()(recording(r[4]));
    lazy.async_acquire_permit(0)(recording(r[5]));
    lazy.async_acquire_permit_for(1h, 0)(recording(r[6]));
    lazy.async_acquire_permit_for(-1h)(recording(r[7]));
    poll();
    for (int i = 0; i < 7; ++i)
        BOOST_TEST(r[i].succeeded(), "operation " << i);
    BOOST_TEST(r[7].failed(asio::error::timed_out));
    BOOST_TEST(lazy.available() == 0);
}

BOOST_AUTO_TEST_CASE(a_semaphore_with_a_default_token_works_like_any_other) {
    using detached_semaphore = asio::detached_t::as_default_on_t<async_semaphore>;
    detached_semaphore own(context, 1);
    own.async_acquire_permit();
    own.async_acquire_permit_for(1h);
    poll();
    permit held = own.try_acquire_permit();
    permit adopted(own, std::adopt_lock, held.forget());
    BOOST_TEST(adopted.count() == 1);
    async_semaphore plain(std::move(own));
    adopted.reset();
    BOOST_TEST(plain.available() == 1);
}

#if BOOST_VERSION >= 108600

BOOST_AUTO_TEST_CASE(the_default_token_is_deferred) {
    result a, b;
    semaphore.async_acquire_permit()(recording(a));
    semaphore.async_acquire_for(1h, 1)(recording(b));
    poll();
    BOOST_TEST(a.succeeded());
    a.held.reset();
    poll();
    BOOST_TEST(b.succeeded());
}

BOOST_AUTO_TEST_CASE(cancel_after_needs_no_timer_of_the_callers) {
    const permit held = semaphore.try_acquire_permit();
    result bare, owned;
    semaphore.async_acquire(asio::cancel_after(1ms, recording(bare)));
    semaphore.async_acquire_permit(asio::cancel_after(2ms, recording(owned)));
    context.run();
    BOOST_TEST(bare.failed(asio::error::operation_aborted));
    BOOST_TEST(owned.failed(asio::error::operation_aborted));
}

BOOST_AUTO_TEST_CASE(cancel_after_leaves_nothing_behind_when_the_grant_comes_first) {
    result granted, waited;
    semaphore.async_acquire_permit(asio::cancel_after(1h, recording(granted)));
    semaphore.async_acquire_permit(asio::cancel_after(1h, recording(waited)));
    poll();
    granted.held.reset();
    context.restart();
    context.run_for(30s);
    BOOST_TEST(context.stopped());
    BOOST_TEST(waited.succeeded());
}

BOOST_AUTO_TEST_CASE(cancel_after_composes_with_a_pipe) {
    const permit held = semaphore.try_acquire_permit();
    result r;
    auto lazy = semaphore.async_acquire_permit(asio::deferred) | asio::cancel_after(1ms);
    lazy(recording(r));
    context.run();
    BOOST_TEST(r.failed(asio::error::operation_aborted));
}

#endif

BOOST_AUTO_TEST_CASE(the_executor_type_can_be_rebound) {
    using typed = basic_async_semaphore<asio::io_context::executor_type>;
    static_assert(std::is_same_v<
                  async_semaphore::rebind_executor<asio::io_context::executor_type>::other, typed>);
    static_assert(
        std::is_same_v<typed::rebind_executor<asio::any_io_executor>::other, async_semaphore>);
    static_assert(std::is_constructible_v<async_semaphore, typed&&>);
    static_assert(!std::is_constructible_v<typed, async_semaphore&&>);
    static_assert(std::is_assignable_v<async_semaphore&, typed&&>);
    typed original(context, 0);
    result before, after;
    original.async_acquire_permit(recording(before));
    async_semaphore erased(std::move(original));
    BOOST_TEST((original.get_executor() == context.get_executor()));
    BOOST_TEST(erased.waiting() == 1u);
    erased.release();
    poll();
    BOOST_TEST(before.succeeded());
    typed second(context, 0);
    second.async_acquire(recording(after));
    erased = std::move(second);
    erased.release();
    poll();
    BOOST_TEST(after.succeeded());
}

BOOST_AUTO_TEST_SUITE_END()
