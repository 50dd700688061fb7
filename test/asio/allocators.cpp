// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore/async_semaphore.hpp>

#include <support/allocators.hpp>
#include <support/executors.hpp>
#include <support/global_new.hpp>
#include <support/handlers.hpp>

#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <memory>
#include <memory_resource>
#include <stdexcept>
#include <utility>

namespace {

namespace asio = boost::asio;
using asio_semaphore::async_semaphore;
using asio_semaphore::basic_async_semaphore;
using asio_semaphore::permit;
using boost::system::error_code;
using support::counting_allocator;
using support::memory_book;
using support::one_block;
using support::one_block_allocator;
using support::recording;
using support::result;

struct fixture {
    asio::io_context context;
    async_semaphore semaphore{context, 1};
    memory_book book;

    template <typename Handler>
    auto counted(Handler handler) {
        return asio::bind_allocator(counting_allocator<>(book), std::move(handler));
    }
};

/// A handler that owns the memory in which its own operation lives.
class owner {
public:
    owner(result& to, int& memory_in_use) :
        arena_(std::make_unique<one_block>()), recorded_(to), in_use_(&memory_in_use) {}
    owner(owner&&) noexcept = default;
    owner& operator=(owner&&) = delete;
    ~owner() {
        if (arena_)
            *in_use_ += arena_->out();
    }

    using allocator_type = one_block_allocator<>;
    allocator_type get_allocator() const noexcept { return allocator_type(*arena_); }

    template <typename... Args>
    void operator()(Args&&... args) {
        *in_use_ += arena_->out();
        recorded_(std::forward<Args>(args)...);
    }

private:
    std::unique_ptr<one_block> arena_;
    recording recorded_;
    int* in_use_;
};

/// A slot that refuses every handler.
struct full_slot {
    template <typename T, typename... Args>
    T& emplace(Args&&...) {
        throw std::runtime_error("full");
    }
    bool is_connected() const noexcept { return true; }
};

struct slotted : owner {
    using owner::owner;
    using cancellation_slot_type = full_slot;
    full_slot get_cancellation_slot() const noexcept { return {}; }
};

/// Acquires repeatedly, with memory for only one block.
struct loop {
    async_semaphore* semaphore;
    one_block* arena;
    int* left;

    using allocator_type = one_block_allocator<>;
    allocator_type get_allocator() const noexcept { return allocator_type(*arena); }

    void operator()(error_code ec, permit p) {
        if (ec || --*left == 0)
            return;
        // The new operation waits for the permit that the next line returns.
        semaphore->async_acquire_permit(loop{semaphore, arena, left});
        p.reset();
    }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(asio_allocators, fixture)

BOOST_AUTO_TEST_CASE(all_memory_of_an_operation_is_the_handlers) {
    result now, later;
    semaphore.async_acquire_permit(counted(recording(now)));
    BOOST_TEST(book.allocated >= 1);
    const int at_once = book.allocated;
    semaphore.async_acquire_permit(counted(recording(later)));
    BOOST_TEST(book.allocated > at_once);
    support::poll(context);
    now.held.reset();
    support::poll(context);
    BOOST_TEST(later.succeeded());
    BOOST_TEST(book.live() == 0);
}

BOOST_AUTO_TEST_CASE(an_operation_that_waits_allocates_once) {
    const permit held = semaphore.try_acquire_permit();
    result r;
    semaphore.async_acquire_permit(counted(recording(r)));
    BOOST_TEST(book.allocated == 1);
    semaphore.cancel();
    support::poll(context);
    BOOST_TEST(r.failed(asio::error::operation_aborted));
    BOOST_TEST(book.allocated == 1);
    BOOST_TEST(book.freed == 1);
}

BOOST_AUTO_TEST_CASE(memory_is_freed_before_the_handler_runs) {
    int live = -1;
    const auto look = [&](error_code, permit) {
        live = book.live();
    };
    semaphore.async_acquire_permit(counted(look));
    support::poll(context);
    BOOST_TEST(live == 0);
    for (const bool timed : {false, true}) {
        BOOST_TEST_CONTEXT("timed " << timed) {
            permit held = semaphore.try_acquire_permit();
            live = -1;
            if (timed)
                semaphore.async_acquire_permit_for(std::chrono::hours(1), counted(look));
            else
                semaphore.async_acquire_permit(counted(look));
            held.reset();
            support::poll(context);
            BOOST_TEST(live == 0);
        }
    }
}

BOOST_AUTO_TEST_CASE(memory_is_freed_before_the_handler_runs_on_another_executor) {
    asio::io_context other;
    int live = -1;
    const auto look = [&](error_code, permit) {
        live = book.live();
    };
    semaphore.async_acquire_permit(asio::bind_executor(other, counted(look)));
    const auto poll = [&] {
        support::poll(context);
        support::poll(other);
    };
    poll();
    BOOST_TEST(live == 0);
    permit held = semaphore.try_acquire_permit();
    live = -1;
    semaphore.async_acquire_permit(asio::bind_executor(other, counted(look)));
    held.reset();
    poll();
    BOOST_TEST(live == 0);
}

BOOST_AUTO_TEST_CASE(the_handler_may_own_the_memory_of_its_operation) {
    int in_use = 0;
    result now, later, timed, aborted;
    semaphore.async_acquire_permit(owner(now, in_use));
    semaphore.async_acquire_permit(owner(later, in_use));
    semaphore.async_acquire_permit_for(std::chrono::hours(1), owner(timed, in_use));
    support::poll(context);
    now.held.reset();
    support::poll(context);
    later.held.reset();
    support::poll(context);
    semaphore.async_acquire(owner(aborted, in_use));
    semaphore.cancel();
    support::poll(context);
    BOOST_TEST(timed.succeeded());
    BOOST_TEST(aborted.failed(asio::error::operation_aborted));
    BOOST_TEST(in_use == 0);
}

BOOST_AUTO_TEST_CASE(the_handler_may_own_the_memory_when_the_context_is_destroyed) {
    int in_use = 0;
    result waiting, timed, posted, granted;
    {
        asio::io_context dying;
        async_semaphore other(dying, 1);
        other.async_acquire_permit(owner(posted, in_use));
        other.async_acquire_permit(owner(granted, in_use));
        other.async_acquire_permit(owner(waiting, in_use));
        other.async_acquire_permit_for(std::chrono::hours(1), owner(timed, in_use));
        other.release();
        BOOST_TEST(other.waiting() == 2u);
    }
    for (const result* r : {&waiting, &timed, &posted, &granted})
        BOOST_TEST(r->pending() == false);
    BOOST_TEST(in_use == 0);
}

BOOST_AUTO_TEST_CASE(the_handler_may_own_the_memory_when_the_executor_drops_or_refuses_it) {
    for (const auto way : {support::ways::way::drop, support::ways::way::fail}) {
        BOOST_TEST_CONTEXT("way " << static_cast<int>(way)) {
            int in_use = 0;
            result r;
            support::ways how;
            basic_async_semaphore<support::wayward_executor> other(
                support::wayward_executor(context, how), 0);
            other.async_acquire_permit(owner(r, in_use));
            how.now = way;
            other.release();
            BOOST_TEST(r.was_dropped());
            BOOST_TEST(in_use == 0);
            BOOST_TEST(other.available() == 1);
        }
    }
}

BOOST_AUTO_TEST_CASE(the_handler_may_own_the_memory_when_the_cancellation_slot_refuses) {
    const permit held = semaphore.try_acquire_permit();
    int in_use = 0;
    result bare, timed;
    BOOST_CHECK_THROW(semaphore.async_acquire_permit(slotted(bare, in_use)), std::runtime_error);
    BOOST_CHECK_THROW(
        semaphore.async_acquire_permit_for(std::chrono::hours(1), slotted(timed, in_use)),
        std::runtime_error);
    BOOST_TEST(bare.was_dropped());
    BOOST_TEST(timed.was_dropped());
    BOOST_TEST(in_use == 0);
}

BOOST_AUTO_TEST_CASE(an_endless_loop_of_acquires_needs_one_block) {
    one_block arena;
    int left = 1000;
    semaphore.async_acquire_permit(loop{&semaphore, &arena, &left});
    context.run();
    BOOST_TEST(left == 0);
    BOOST_TEST(arena.served() == 1000);
    BOOST_TEST(!arena.out());
}

BOOST_AUTO_TEST_CASE(a_polymorphic_allocator_works) {
    std::pmr::monotonic_buffer_resource memory(std::pmr::new_delete_resource());
    result now, later;
    semaphore.async_acquire_permit(
        asio::bind_allocator(std::pmr::polymorphic_allocator<std::byte>(&memory), recording(now)));
    semaphore.async_acquire_permit(
        asio::bind_allocator(std::pmr::polymorphic_allocator<int>(&memory), recording(later)));
    support::poll(context);
    now.held.reset();
    support::poll(context);
    BOOST_TEST(later.succeeded());
}

BOOST_AUTO_TEST_CASE(an_allocator_that_fails_leaves_everything_as_it_was) {
    const permit held = semaphore.try_acquire_permit();
    result ahead, failing, behind;
    semaphore.async_acquire_permit(recording(ahead));
    book.left = 0;
    BOOST_CHECK_THROW(semaphore.async_acquire_permit(counted(recording(failing))), std::bad_alloc);
    BOOST_CHECK_THROW(
        semaphore.async_acquire_permit_for(std::chrono::hours(1), counted(recording(failing))),
        std::bad_alloc);
    semaphore.async_acquire_permit(recording(behind));
    BOOST_TEST(failing.dropped == 2);
    BOOST_TEST(semaphore.waiting() == 2u);
    BOOST_TEST(support::poll(context) == 0u);
    semaphore.release();
    support::poll(context);
    BOOST_TEST(ahead.succeeded());
    BOOST_TEST(behind.pending());
    semaphore.cancel();
    support::poll(context);
}

BOOST_AUTO_TEST_CASE(an_allocator_that_fails_loses_no_free_permit) {
    result failing;
    book.left = 0;
    BOOST_CHECK_THROW(semaphore.async_acquire_permit(counted(recording(failing))), std::bad_alloc);
    BOOST_CHECK_THROW(semaphore.async_acquire(counted(recording(failing))), std::bad_alloc);
    BOOST_TEST(failing.dropped == 2);
    BOOST_TEST(semaphore.available() == 1);
    BOOST_TEST(support::poll(context) == 0u);
}

// A handler on another executor than the semaphore's needs memory for the post to that executor.
struct on_the_way_fixture : fixture {
    on_the_way_fixture() {
        other.async_acquire_permit(asio::bind_executor(strand, counted(recording(first))));
        other.async_acquire_permit(recording(second));
        BOOST_TEST(book.allocated == 1);
    }

    // The handler is destroyed, and the next waiter gets its permit.
    void check_first_lost_the_permit_to_second() {
        BOOST_TEST(first.was_dropped());
        BOOST_TEST(other.waiting() == 0u);
        support::poll(context);
        BOOST_TEST(second.succeeded());
        BOOST_TEST(second.held.count() == 1);
        BOOST_TEST(book.live() == 0);
        BOOST_TEST(support::poll(context) == 0u);
        second.held.reset();
        BOOST_TEST(other.available() == 1);
    }

    basic_async_semaphore<asio::io_context::executor_type> other{context.get_executor(), 0};
    asio::strand<asio::io_context::executor_type> strand{context.get_executor()};
    result first, second;
};

BOOST_FIXTURE_TEST_CASE(
    an_allocator_that_fails_at_the_grant_passes_the_permit_on, on_the_way_fixture) {
    book.left = 0;
    other.release(); // must not throw: the failed allocation belongs to the waiter
    BOOST_TEST(first.was_dropped());
    check_first_lost_the_permit_to_second();
}

BOOST_FIXTURE_TEST_CASE(
    a_working_allocator_serves_the_post_to_the_other_executor, on_the_way_fixture) {
    other.release();
    BOOST_TEST(book.allocated > 1);
    support::poll(context);
    BOOST_TEST(first.succeeded());
    BOOST_TEST(book.live() == 0);
}

BOOST_AUTO_TEST_CASE(the_default_memory_respects_alignment) {
    struct alignas(128) wide {
        permit* out;
        void operator()(error_code, permit p) { *out = std::move(p); }
    };
    permit first, second;
    semaphore.async_acquire_permit(wide{&first});
    semaphore.async_acquire_permit(asio::bind_allocator(std::allocator<void>(), wide{&second}));
    support::poll(context);
    BOOST_TEST(first.count() == 1);
    first.reset();
    support::poll(context);
    BOOST_TEST(second.count() == 1);
}

/// Counts the calls of operator new in rounds of an acquire that is granted at once and one that
/// waits.
template <typename Semaphore, typename Start>
std::size_t news_in_steady_state(asio::io_context& context, Semaphore& semaphore, Start start) {
    std::size_t before = 0, after = 0;
    // Asio recycles memory only on a thread that runs the context.
    asio::post(context, [&] {
        for (int round = 0; round < 120; ++round) {
            if (round == 20)
                before = support::news;
            permit held;
            int calls = 0;
            start([&](error_code, permit p) {
                held = std::move(p);
                ++calls;
            });
            while (calls < 1)
                context.poll_one();
            start([&](error_code, permit) { ++calls; });
            held.reset();
            while (calls < 2)
                context.poll_one();
        }
        after = support::news;
    });
    context.run();
    BOOST_TEST(semaphore.available() == 1);
    return after - before;
}

BOOST_AUTO_TEST_CASE(the_steady_state_allocates_nothing) {
    BOOST_TEST(news_in_steady_state(context, semaphore, [&](auto handler) {
                   semaphore.async_acquire_permit(std::move(handler));
               }) == 0u);
}

BOOST_AUTO_TEST_CASE(the_steady_state_with_a_deadline_allocates_nothing) {
    BOOST_TEST(news_in_steady_state(context, semaphore, [&](auto handler) {
                   semaphore.async_acquire_permit_for(std::chrono::hours(1), std::move(handler));
               }) == 0u);
}

BOOST_AUTO_TEST_CASE(the_steady_state_with_a_cancellation_slot_allocates_nothing) {
    asio::cancellation_signal signal;
    BOOST_TEST(news_in_steady_state(context, semaphore, [&](auto handler) {
                   semaphore.async_acquire_permit(
                       asio::bind_cancellation_slot(signal.slot(), std::move(handler)));
               }) == 0u);
}

BOOST_AUTO_TEST_CASE(the_steady_state_on_the_contexts_own_executor_type_allocates_nothing) {
    basic_async_semaphore<asio::io_context::executor_type> typed(context, 1);
    BOOST_TEST(news_in_steady_state(context, typed, [&](auto handler) {
                   typed.async_acquire_permit(std::move(handler));
               }) == 0u);
}

BOOST_AUTO_TEST_CASE(the_steady_state_with_try_acquire_allocates_nothing) {
    [[maybe_unused]] const bool warm = semaphore.try_acquire();
    const std::size_t before = support::news;
    for (int i = 0; i < 100; ++i) {
        semaphore.release();
        permit p = semaphore.try_acquire_permit();
        permit q = std::move(p);
        q.forget();
    }
    BOOST_TEST(support::news == before);
}

/// A handler all of whose operations are of one type.
struct again {
    basic_async_semaphore<asio::any_io_executor>* semaphore;
    asio::io_context* context;
    int* calls;
    int more = 0; // how many it starts
    int runs = 0; // how many of the others it lets run inside itself
    bool throws = false;

    void operator()(error_code) {
        ++*calls;
        for (int i = 0; i < more; ++i)
            semaphore->async_acquire(again{semaphore, context, calls});
        semaphore->release();
        for (int i = 0; i < runs; ++i)
            context->poll_one();
        if (throws)
            throw std::runtime_error("of the handler");
    }
};

// The thread keeps the memory of the operation while it calls the handler.
BOOST_AUTO_TEST_CASE(a_handler_may_start_any_number_of_operations_run_others_or_throw) {
    for (const bool on_strand : {false, true}) {
        BOOST_TEST_CONTEXT("on a strand: " << on_strand) {
            asio::any_io_executor executor = context.get_executor();
            if (on_strand)
                executor = asio::make_strand(context);
            basic_async_semaphore<asio::any_io_executor> limit(executor, 0);
            int calls = 0;
            for (const int more : {0, 1, 3})
                for (const int runs : {0, 2})
                    for (const bool throws : {false, true})
                        limit.async_acquire(again{&limit, &context, &calls, more, runs, throws});
            limit.release();
            for (bool is_done = false; !is_done;) {
                try {
                    support::poll(context);
                    is_done = true;
                } catch (const std::runtime_error&) {
                    // The handlers that are left run in the next round.
                }
            }
            BOOST_TEST(calls == 12 + (1 + 3) * 4);
            BOOST_TEST(limit.waiting() == 0u);
            BOOST_TEST(limit.available() == 1);
        }
    }
}

BOOST_AUTO_TEST_SUITE_END()
