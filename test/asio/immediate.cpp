// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore/async_semaphore.hpp>

#include <support/executors.hpp>
#include <support/handlers.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/test/unit_test.hpp>
#include <boost/version.hpp>

#if BOOST_VERSION >= 108200
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/bind_immediate_executor.hpp>
#include <boost/asio/system_executor.hpp>
#endif

#include <chrono>
#include <memory>
#include <optional>
#include <utility>

namespace {

namespace asio = boost::asio;
using asio_semaphore::async_semaphore;
using asio_semaphore::basic_async_semaphore;
using asio_semaphore::permit;
using boost::system::error_code;
using support::recording;
using support::result;

struct fixture {
    asio::io_context context;
    std::optional<async_semaphore> semaphore{std::in_place, context, 1};
    int ran = 0;

#if BOOST_VERSION >= 108200
    template <typename Handler>
    auto immediate(Handler handler) {
        return asio::bind_immediate_executor(support::minimal_executor{&ran}, std::move(handler));
    }
#endif
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(asio_immediate, fixture)

BOOST_AUTO_TEST_CASE(without_immediate_executor_an_operation_that_ends_at_once_is_posted) {
    result granted, refused, late;
    semaphore->async_acquire_permit(recording(granted));
    semaphore->async_acquire(-1, recording(refused));
    semaphore->async_acquire_for(std::chrono::seconds(0), recording(late));
    for (const result* r : {&granted, &refused, &late})
        BOOST_TEST(r->pending());
    context.run();
    BOOST_TEST(granted.succeeded());
    BOOST_TEST(refused.failed(asio::error::invalid_argument));
    BOOST_TEST(late.failed(asio::error::timed_out));
}

#if BOOST_VERSION >= 108200

BOOST_AUTO_TEST_CASE(an_immediate_executor_runs_what_is_granted_at_once_inside_the_initiation) {
    result bare, owned;
    semaphore->async_acquire_permit(immediate(recording(owned)));
    BOOST_TEST(owned.succeeded());
    BOOST_TEST(owned.held.count() == 1);
    owned.held.reset();
    semaphore->async_acquire(immediate(recording(bare)));
    BOOST_TEST(bare.succeeded());
    BOOST_TEST(semaphore->available() == 0);
    BOOST_TEST(ran == 2);
    BOOST_TEST(context.run() == 0u);
}

BOOST_AUTO_TEST_CASE(an_immediate_executor_runs_what_fails_at_once_inside_the_initiation) {
    async_semaphore three(context, 0, 3);
    result negative, excessive, late, closed, moved_from;
    three.async_acquire_permit(-1, immediate(recording(negative)));
    three.async_acquire_permit(4, immediate(recording(excessive)));
    three.async_acquire_permit_for(std::chrono::seconds(-1), immediate(recording(late)));
    three.close();
    three.async_acquire_permit(immediate(recording(closed)));
    const async_semaphore moved(std::move(three));
    three.async_acquire(immediate(recording(moved_from)));
    BOOST_TEST(negative.failed(asio::error::invalid_argument));
    BOOST_TEST(excessive.failed(asio_semaphore::error::exceeds_max));
    BOOST_TEST(late.failed(asio::error::timed_out));
    BOOST_TEST(closed.failed(asio_semaphore::error::closed));
    BOOST_TEST(moved_from.failed(asio_semaphore::error::closed));
    BOOST_TEST(ran == 5);
}

BOOST_AUTO_TEST_CASE(an_operation_that_waits_does_not_use_the_immediate_executor) {
    permit held = semaphore->try_acquire_permit();
    result granted, cancelled;
    semaphore->async_acquire_permit(immediate(recording(granted)));
    semaphore->async_acquire_permit(2, immediate(recording(cancelled)));
    held.reset();
    BOOST_TEST(semaphore->cancel() == 1u);
    BOOST_TEST(granted.pending());
    BOOST_TEST(cancelled.pending());
    context.run();
    BOOST_TEST(granted.succeeded());
    BOOST_TEST(cancelled.failed(asio::error::operation_aborted));
    BOOST_TEST(ran == 0);
}

BOOST_AUTO_TEST_CASE(the_system_executor_may_be_the_immediate_executor) {
    result r;
    semaphore->async_acquire_permit(
        asio::bind_immediate_executor(asio::system_executor(), recording(r)));
    BOOST_TEST(r.succeeded());
}

BOOST_AUTO_TEST_CASE(the_contexts_own_executor_may_be_the_immediate_executor) {
    result outside, inside;
    semaphore->release();
    const auto executor = context.get_executor();
    semaphore->async_acquire_permit(asio::bind_immediate_executor(executor, recording(outside)));
    BOOST_TEST(outside.pending());
    bool at_once = false;
    asio::post(context, [&] {
        semaphore->async_acquire_permit(asio::bind_immediate_executor(executor, recording(inside)));
        at_once = !inside.pending();
    });
    context.run();
    BOOST_TEST(outside.succeeded());
    BOOST_TEST(inside.succeeded());
    BOOST_TEST(at_once);
}

BOOST_AUTO_TEST_CASE(the_handler_may_destroy_the_semaphore_inside_the_initiation) {
    bool called = false;
    semaphore->async_acquire_permit(immediate([&](error_code ec, permit p) {
        called = !ec;
        semaphore.reset();
        p.reset();
    }));
    BOOST_TEST(called);
    semaphore.emplace(context, 1);
    semaphore->async_acquire_permit(-1, immediate([&](error_code, permit) { semaphore.reset(); }));
    BOOST_TEST(!semaphore.has_value());
}

BOOST_AUTO_TEST_CASE(the_handler_may_release_cancel_close_and_move_inside_the_initiation) {
    result waiting, cancelled;
    semaphore->async_acquire(immediate([&](error_code) {
        semaphore->async_acquire_permit(recording(waiting));
        semaphore->release();
        semaphore->async_acquire_permit(recording(cancelled));
        semaphore->cancel();
        semaphore->close();
        async_semaphore moved(std::move(*semaphore));
    }));
    BOOST_TEST(waiting.pending());
    context.run();
    BOOST_TEST(waiting.succeeded());
    BOOST_TEST(cancelled.failed(asio::error::operation_aborted));
}

BOOST_AUTO_TEST_CASE(the_handler_may_acquire_again_inside_the_initiation) {
    struct recursive {
        async_semaphore* semaphore;
        int* ran;
        int* depth;

        void operator()(error_code ec, permit p) {
            if (ec || ++*depth == 500)
                return;
            p.reset();
            semaphore->async_acquire_permit(
                asio::bind_immediate_executor(support::minimal_executor{ran}, *this));
        }
    };
    int depth = 0;
    semaphore->async_acquire_permit(immediate(recursive{&*semaphore, &ran, &depth}));
    BOOST_TEST(depth == 500);
    BOOST_TEST(ran == 500);
    BOOST_TEST(semaphore->available() == 1);
}

BOOST_AUTO_TEST_CASE(an_immediate_executor_that_fails_or_drops_loses_no_permit) {
    support::ways how;
    const support::wayward_executor wayward(context, how);
    result failed, dropped;
    how.now = support::ways::way::fail;
    BOOST_CHECK_THROW(
        semaphore->async_acquire_permit(asio::bind_immediate_executor(wayward, recording(failed))),
        support::executor_failure);
    how.now = support::ways::way::drop;
    semaphore->async_acquire(asio::bind_immediate_executor(wayward, recording(dropped)));
    BOOST_TEST(failed.was_dropped());
    BOOST_TEST(dropped.was_dropped());
    BOOST_TEST(semaphore->available() == 1);
}

BOOST_AUTO_TEST_CASE(a_handler_that_throws_inside_the_initiation_gives_its_permit_back) {
    struct thrown {};
    BOOST_CHECK_THROW(
        semaphore->async_acquire_permit(immediate([](error_code, permit) { throw thrown(); })),
        thrown);
    BOOST_TEST(semaphore->available() == 1);
    BOOST_TEST(semaphore->try_acquire());
}

BOOST_AUTO_TEST_CASE(a_handler_with_both_executors_ends_on_its_associated_one) {
    asio::io_context other;
    support::tracking book;
    bool inside = false;
    semaphore->async_acquire_permit(asio::bind_executor(
        support::tracker_executor<>(other.get_executor(), book),
        immediate([&](error_code, permit) { inside = book.on_stack(); })));
    BOOST_TEST(!inside);
    other.run();
    BOOST_TEST(inside);
    BOOST_TEST(ran == 1);
}

BOOST_AUTO_TEST_CASE(with_the_system_executor_too_the_handler_ends_on_its_associated_one) {
    asio::io_context other;
    support::tracking book;
    int inside = 0;
    semaphore->release();
    const auto on_both = [&](auto handler) {
        return asio::bind_executor(
            support::tracker_executor<>(other.get_executor(), book),
            asio::bind_immediate_executor(asio::system_executor(), std::move(handler)));
    };
    semaphore->async_acquire_permit(
        on_both([&](error_code, permit) { inside += book.on_stack(); }));
    semaphore->async_acquire(on_both([&](error_code) { inside += book.on_stack(); }));
    semaphore->async_acquire(-1, on_both([&](error_code) { inside += book.on_stack(); }));
    BOOST_TEST(inside == 0);
    other.run();
    BOOST_TEST(inside == 3);
}

#endif

#if BOOST_VERSION >= 108200
// Not wrapped by bind_immediate_executor, so the test sees where this object itself is called.
struct with_its_own_immediate_executor {
    using immediate_executor_type = asio::system_executor;
    immediate_executor_type get_immediate_executor() const noexcept { return {}; }

    void operator()(error_code) { called_in = this; }
    void operator()(error_code, permit) { called_in = this; }

    std::shared_ptr<int> captured = std::make_shared<int>();
    static inline const void* called_in = nullptr;
};

BOOST_AUTO_TEST_CASE(the_handler_is_moved_out_of_the_callers_object_before_it_is_called) {
    for (const std::ptrdiff_t n : {1, -1}) {
        for (const bool owned : {false, true}) {
            with_its_own_immediate_executor handler;
            const std::weak_ptr<int> captured = handler.captured;
            if (owned)
                semaphore->async_acquire_permit(n, std::move(handler));
            else
                semaphore->async_acquire(n, std::move(handler));
            BOOST_TEST(handler.called_in != nullptr);
            BOOST_TEST(handler.called_in != &handler);
            BOOST_TEST(captured.expired());
            semaphore.emplace(context, 1);
        }
    }
}
#endif

BOOST_AUTO_TEST_SUITE_END()
