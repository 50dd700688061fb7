// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore/async_semaphore.hpp>
#include <asio_semaphore/with_permit.hpp>

#include <support/allocators.hpp>
#include <support/archetypes.hpp>
#include <support/executors.hpp>
#include <support/handlers.hpp>

#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/test/unit_test.hpp>
#include <boost/version.hpp>

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <vector>

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
    async_semaphore semaphore{context, 1};
};

/// A token that passes the initiation to a function instead of starting the operation.
template <typename F>
struct inspect {
    F f;
};
template <typename F>
inspect(F) -> inspect<F>;

int free_results = 0;
void free_function(error_code ec) {
    free_results += ec ? 100 : 1;
}

} // namespace

template <typename F, typename Signature>
struct boost::asio::async_result<inspect<F>, Signature> {
    using return_type = void;
    template <typename Initiation, typename... Args>
    static void initiate(Initiation&& initiation, inspect<F> token, Args&&...) {
        token.f(initiation);
    }
};

BOOST_FIXTURE_TEST_SUITE(asio_initiation, fixture)

BOOST_AUTO_TEST_CASE(a_lazy_operation_takes_no_permit_and_no_place_until_it_starts) {
    auto lazy = semaphore.async_acquire_permit(asio::deferred);
    BOOST_TEST(semaphore.available() == 1);
    result eager, started;
    semaphore.async_acquire_permit(recording(eager));
    std::move(lazy)(recording(started));
    support::poll(context);
    BOOST_TEST(eager.succeeded());
    BOOST_TEST(started.pending());
    eager.held.reset();
    support::poll(context);
    BOOST_TEST(started.succeeded());
}

BOOST_AUTO_TEST_CASE(a_lazy_operation_that_never_starts_changes_nothing) {
    {
        [[maybe_unused]] auto one = semaphore.async_acquire_permit(1, asio::deferred);
        [[maybe_unused]] auto two = semaphore.async_acquire(asio::deferred);
    }
    BOOST_TEST(semaphore.available() == 1);
    BOOST_TEST(context.run() == 0);
}

BOOST_AUTO_TEST_CASE(a_lazy_operation_can_be_copied_and_each_copy_started) {
    result a, b, c;
    {
        auto original = semaphore.async_acquire_permit(asio::deferred);
        auto copy = original;
        auto moved = std::move(original);
        auto another = copy;
        std::move(copy)(recording(a));
        std::move(moved)(recording(b));
        another = moved;
        std::move(another)(recording(c));
    }
    support::poll(context);
    BOOST_TEST(a.succeeded());
    a.held.reset();
    support::poll(context);
    BOOST_TEST(b.succeeded());
    b.held.reset();
    support::poll(context);
    BOOST_TEST(c.succeeded());
}

BOOST_AUTO_TEST_CASE(the_same_lazy_operation_can_start_several_times) {
    const auto lazy = semaphore.async_acquire_permit_for(std::chrono::hours(1), 1, asio::deferred);
    for (int i = 0; i < 3; ++i) {
        result r;
        lazy(recording(r));
        support::poll(context);
        BOOST_TEST(r.succeeded());
    }
}

BOOST_AUTO_TEST_CASE(the_arguments_of_a_lazy_operation_are_copied) {
    std::optional<std::ptrdiff_t> n(1);
    auto lazy = semaphore.async_acquire_permit(*n, asio::deferred);
    n = 17;
    result r;
    std::move(lazy)(recording(r));
    support::poll(context);
    BOOST_TEST(r.succeeded());
    BOOST_TEST(r.held.count() == 1);
}

BOOST_AUTO_TEST_CASE(a_lazy_operation_goes_where_the_semaphore_went) {
    auto lazy = semaphore.async_acquire_permit(asio::deferred);
    async_semaphore moved(std::move(semaphore));
    result r;
    std::move(lazy)(recording(r));
    BOOST_TEST(moved.available() == 0);
    support::poll(context);
    BOOST_TEST(r.succeeded());
}

BOOST_AUTO_TEST_CASE(a_lazy_operation_of_a_destroyed_semaphore_is_aborted) {
    result bare, owned, timed;
    {
        async_semaphore dying(context, 1);
        auto a = dying.async_acquire(asio::deferred);
        auto b = dying.async_acquire_permit(asio::deferred);
        auto c = dying.async_acquire_permit_for(std::chrono::hours(1), asio::deferred);
        { const async_semaphore dead(std::move(dying)); }
        std::move(a)(recording(bare));
        std::move(b)(recording(owned));
        std::move(c)(recording(timed));
    }
    BOOST_TEST(bare.pending());
    support::poll(context);
    BOOST_TEST(bare.failed(asio::error::operation_aborted));
    BOOST_TEST(owned.failed(asio::error::operation_aborted));
    BOOST_TEST(timed.failed(asio::error::operation_aborted));
}

BOOST_AUTO_TEST_CASE(a_lazy_operation_of_a_moved_from_semaphore_finds_it_closed) {
    const async_semaphore moved(std::move(semaphore));
    auto lazy = semaphore.async_acquire_permit(asio::deferred);
    result r;
    std::move(lazy)(recording(r));
    support::poll(context);
    BOOST_TEST(r.failed(asio_semaphore::error::closed));
    BOOST_TEST(moved.available() == 1);
}

BOOST_AUTO_TEST_CASE(a_lazy_operation_may_outlive_its_context) {
    auto other = std::make_unique<asio::io_context>();
    auto lazy = async_semaphore(*other, 1).async_acquire_permit(asio::deferred);
    other.reset();
}

BOOST_AUTO_TEST_CASE(the_initiation_knows_the_executor) {
    bool seen = false;
    semaphore.async_acquire(inspect{[&](const auto& initiation) {
        seen = true;
        using initiation_type = std::decay_t<decltype(initiation)>;
        static_assert(
            std::is_same_v<typename initiation_type::executor_type, asio::any_io_executor>);
        static_assert(noexcept(initiation.get_executor()));
        static_assert(std::is_nothrow_move_constructible_v<initiation_type>);
        BOOST_TEST((initiation.get_executor() == context.get_executor()));
        const initiation_type copy(initiation);
        BOOST_TEST((copy.get_executor() == context.get_executor()));
    }});
    BOOST_TEST(seen);
}

BOOST_AUTO_TEST_CASE(a_handler_with_the_minimum_requirements_is_enough) {
    result granted, queued, failed, timed;
    semaphore.async_acquire_permit(hostile::handler(granted));
    semaphore.async_acquire(hostile::handler(queued));
    semaphore.async_acquire(-1, hostile::handler(failed));
    semaphore.async_acquire_permit_for(std::chrono::hours(-1), hostile::handler(timed));
    support::poll(context);
    BOOST_TEST(granted.succeeded());
    BOOST_TEST(failed.failed(asio::error::invalid_argument));
    BOOST_TEST(timed.failed(asio::error::timed_out));
    BOOST_TEST(queued.pending());
    granted.held.reset();
    support::poll(context);
    BOOST_TEST(queued.succeeded());
}

BOOST_AUTO_TEST_CASE(a_minimal_handler_works_with_another_executor_too) {
    support::tracking book;
    basic_async_semaphore<support::tracker_executor<>> other(
        support::tracker_executor<>(context.get_executor(), book), 1);
    result granted, queued;
    other.async_acquire_permit(hostile::handler(granted));
    other.async_acquire_permit_for(std::chrono::hours(1), hostile::handler(queued));
    support::poll(context);
    BOOST_TEST(granted.succeeded());
    granted.held.reset();
    support::poll(context);
    BOOST_TEST(queued.succeeded());
}

BOOST_AUTO_TEST_CASE(handlers_come_as_rvalues_lvalues_references_and_functions) {
    int called = 0;
    const auto count = [&called](error_code ec, auto&&...) {
        called += ec ? 100 : 1;
    };
    auto lvalue = count;
    async_semaphore plenty(context, 100);
    plenty.async_acquire(count);
    plenty.async_acquire(lvalue);
    plenty.async_acquire(decltype(lvalue)(count));
    plenty.async_acquire([moved = std::make_unique<int>(1), &called](error_code) { ++called; });
    plenty.async_acquire_permit(count);
    plenty.async_acquire_permit(2, lvalue);
    plenty.async_acquire_permit_for(std::chrono::seconds(1), lvalue);
    plenty.async_acquire_for(std::chrono::milliseconds(1), 2, lvalue);
    support::poll(context);
    BOOST_TEST(called == 8);

#if BOOST_VERSION >= 108200 // before, Asio's own lookup of the slot is ambiguous
    plenty.async_acquire(std::ref(lvalue));
    plenty.async_acquire_permit_for(std::chrono::seconds(1), std::ref(lvalue));
    support::poll(context);
    BOOST_TEST(called == 10);
#endif

    free_results = 0;
    plenty.async_acquire(free_function);
    plenty.async_acquire(&free_function);
    support::poll(context);
    BOOST_TEST(free_results == 2);
}

BOOST_AUTO_TEST_CASE(a_handler_that_is_convertible_to_a_number_is_no_count) {
    struct convertible {
        int* calls;
        void operator()(error_code ec) const { *calls += !ec; }
        void operator()(error_code ec, const permit& held) const { *calls += !ec && held; }
        operator int() const { return 1; }
    };
    int calls = 0;
    semaphore.release(4);
    semaphore.async_acquire(convertible{&calls});
    semaphore.async_acquire_for(std::chrono::hours(1), convertible{&calls});
    semaphore.async_acquire_permit(convertible{&calls});
    semaphore.async_acquire_permit_for(std::chrono::hours(1), convertible{&calls});
    asio::steady_timer timer(context, std::chrono::steady_clock::time_point::min());
    timer.async_wait(asio_semaphore::with_permit(semaphore, convertible{&calls}));
    context.poll();
    BOOST_TEST(calls == 5);
}

BOOST_AUTO_TEST_CASE(a_handler_may_take_the_permit_by_value_by_reference_or_not_look) {
    async_semaphore three(context, 3);
    permit kept;
    int called = 0;
    three.async_acquire_permit([&](error_code, permit p) { kept = std::move(p), ++called; });
    three.async_acquire_permit([&](error_code, permit&& p) { called += p.count() == 1; });
    three.async_acquire_permit([&](error_code, const permit& p) { called += p.count() == 1; });
    BOOST_TEST(three.available() == 0);
    support::poll(context);
    BOOST_TEST(called == 3);
    BOOST_TEST(three.available() == 2);
}

BOOST_AUTO_TEST_CASE(an_over_aligned_handler_is_aligned) {
    struct alignas(64) wide {
        int* aligned;
        char payload[64] = {};

        void operator()(error_code, permit) {
            *aligned += reinterpret_cast<std::uintptr_t>(payload) % 64 == sizeof(void*) ||
                        reinterpret_cast<std::uintptr_t>(this) % 64 == 0;
        }
    };
    int aligned = 0;
    for (int i = 0; i < 4; ++i)
        semaphore.async_acquire_permit(wide{&aligned});
    support::poll(context);
    BOOST_TEST(aligned == 4);
}

BOOST_AUTO_TEST_CASE(a_handler_that_cannot_be_stored_is_destroyed_by_unwinding) {
    for (const bool queued : {false, true}) {
        BOOST_TEST_CONTEXT("queued " << queued) {
            const permit held = queued ? semaphore.try_acquire_permit() : permit();
            support::memory_book book;
            book.left = 0;
            int unwinding = 0, destroyed = 0;
            support::at_exit on_exit([&] {
                ++destroyed;
                unwinding += std::uncaught_exceptions();
            });
            auto handler = [e = std::move(on_exit)](error_code) {
            };
            BOOST_CHECK_THROW(
                semaphore.async_acquire(
                    asio::bind_allocator(support::counting_allocator<>(book), std::move(handler))),
                std::bad_alloc);
            BOOST_TEST(destroyed == 1);
            BOOST_TEST(unwinding == 1);
            BOOST_TEST(semaphore.waiting() == 0u);
            BOOST_TEST(semaphore.available() == (queued ? 0 : 1));
        }
    }
    BOOST_TEST(context.run() == 0u);
}

BOOST_AUTO_TEST_CASE(templates_can_ask_whether_a_handler_is_accepted) {
    struct stranger {
        void operator()(int*) const {}
    };
    constexpr auto takes = [](auto token) {
        return requires(async_semaphore & s, decltype(token) t) {
            s.async_acquire_permit(t);
        };
    };
    static_assert(takes([](error_code, permit) {}));
#if defined(BOOST_ASIO_HAS_CONCEPTS)
    static_assert(!takes(stranger{}));
#endif
    BOOST_TEST(true);
}

BOOST_AUTO_TEST_CASE(a_deferred_operation_has_the_right_signature) {
    auto bare = semaphore.async_acquire(asio::deferred);
    auto owned = semaphore.async_acquire_permit(asio::deferred);
    static_assert(asio::is_async_operation<decltype(bare)>::value);
    static_assert(
        std::is_same_v<asio::completion_signature_of_t<decltype(bare)>, void(error_code)>);
    static_assert(
        std::is_same_v<asio::completion_signature_of_t<decltype(owned)>, void(error_code, permit)>);
    BOOST_TEST(semaphore.available() == 1);
}

BOOST_AUTO_TEST_CASE(the_initiation_never_waits) {
    const permit all = semaphore.try_acquire_permit();
    std::vector<result> results(1000);
    for (auto& r : results)
        semaphore.async_acquire(recording(r));
    BOOST_TEST(semaphore.waiting() == 1000u);
    semaphore.cancel();
    context.run();
    for (auto& r : results)
        BOOST_REQUIRE(r.failed(asio::error::operation_aborted));
}

// However an initiation ends, the caller's handler object has been moved from.
BOOST_AUTO_TEST_CASE(a_handler_that_is_dropped_leaves_nothing_in_the_callers_object) {
    auto captured = std::make_shared<int>(); // not const, so that it can be moved
    std::optional<async_semaphore> survivor;
    {
        asio::io_context gone;
        survivor.emplace(gone, 1);
    }
    auto dropped = [captured](error_code, auto&&...) {
    };
    survivor->async_acquire(std::move(dropped));
    BOOST_TEST(captured.use_count() == 1);

    support::ways how;
    basic_async_semaphore<support::wayward_executor> refusing(
        support::wayward_executor(context, how), 1);
    how.now = support::ways::way::fail;
    auto refused = [captured](error_code, permit) {
    };
    BOOST_CHECK_THROW(refusing.async_acquire_permit(std::move(refused)), support::executor_failure);
    BOOST_TEST(captured.use_count() == 1);
    BOOST_TEST(refusing.available() == 1);

    support::memory_book book;
    book.left = 0;
    const permit held = semaphore.try_acquire_permit();
    auto waits = asio::bind_allocator(
        support::counting_allocator<>(book), [captured](error_code, permit) {});
    BOOST_CHECK_THROW(semaphore.async_acquire_permit(std::move(waits)), std::bad_alloc);
    BOOST_TEST(captured.use_count() == 1);
}

BOOST_AUTO_TEST_SUITE_END()
