// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore/async_semaphore.hpp>

#include "fixture.hpp"

#include <chrono>
#include <functional>
#include <limits>
#include <string>
#include <vector>

namespace {

using namespace test;
using namespace std::chrono_literals;

// Every way to start an acquire of n permits.
struct way {
    const char* name;
    std::function<void(async_semaphore&, std::ptrdiff_t, const operation&)> start;
    bool permit_form;
};

const way ways[] = {
    {"async_acquire",
     [](async_semaphore& s, std::ptrdiff_t n, const operation& o) {
         s.async_acquire(n, o.on_completion());
     },
     false},
    {"async_acquire_for",
     [](async_semaphore& s, std::ptrdiff_t n, const operation& o) {
         s.async_acquire_for(1h, n, o.on_completion());
     },
     false},
    {"async_acquire_permit",
     [](async_semaphore& s, std::ptrdiff_t n, const operation& o) {
         s.async_acquire_permit(n, o.on_completion());
     },
     true},
    {"async_acquire_permit_for",
     [](async_semaphore& s, std::ptrdiff_t n, const operation& o) {
         s.async_acquire_permit_for(1h, n, o.on_completion());
     },
     true},
};

struct acquire_fixture : fixture {
    // Runs f(semaphore, way) for each way, each time with a new semaphore.
    template <typename F>
    void for_each_way(std::ptrdiff_t initial, std::ptrdiff_t max_permits, F f) {
        for (const way& w : ways) {
            BOOST_TEST_CONTEXT(w.name) {
                async_semaphore semaphore(context, initial, max_permits);
                f(semaphore, w);
            }
            poll();
        }
    }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(semaphore_acquire, acquire_fixture)

BOOST_AUTO_TEST_CASE(an_acquire_succeeds_if_enough_permits_are_free) {
    for_each_way(5, 5, [this](async_semaphore& semaphore, const way& w) {
        operation o;
        w.start(semaphore, 3, o);
        BOOST_TEST(semaphore.available() == 2);
        BOOST_TEST(semaphore.waiting() == 0u);
        BOOST_TEST(!poll());
        BOOST_TEST(o.granted());
        BOOST_TEST(o.held().count() == (w.permit_form ? 3 : 0));
        BOOST_TEST(semaphore.available() == 2);
    });
}

BOOST_AUTO_TEST_CASE(an_acquire_without_a_count_asks_for_one_permit) {
    async_semaphore semaphore(context, 9);
    operation bare, bare_for, owned, owned_for;
    semaphore.async_acquire(bare.on_completion());
    semaphore.async_acquire_for(1h, bare_for.on_completion());
    semaphore.async_acquire_permit(owned.on_completion());
    semaphore.async_acquire_permit_for(1h, owned_for.on_completion());
    poll();
    for (auto* o : {&bare, &bare_for, &owned, &owned_for})
        BOOST_TEST(o->granted());
    BOOST_TEST(owned.held().count() == 1);
    BOOST_TEST(owned_for.held().count() == 1);
    BOOST_TEST(semaphore.available() == 5);
    BOOST_TEST(semaphore.try_acquire());
    BOOST_TEST(semaphore.try_acquire_permit().count() == 1);
    semaphore.release();
    BOOST_TEST(semaphore.available() == 5);
}

BOOST_AUTO_TEST_CASE(an_acquire_waits_for_all_of_its_permits_and_takes_none_before) {
    for_each_way(2, 5, [this](async_semaphore& semaphore, const way& w) {
        operation o;
        w.start(semaphore, 4, o);
        poll();
        BOOST_TEST(o.pending());
        BOOST_TEST(semaphore.waiting() == 1u);
        BOOST_TEST(semaphore.available() == 2);

        semaphore.release();
        poll();
        BOOST_TEST(o.pending());
        BOOST_TEST(semaphore.available() == 3);

        semaphore.release();
        BOOST_TEST(semaphore.available() == 0);
        BOOST_TEST(semaphore.waiting() == 0u);
        poll();
        BOOST_TEST(o.granted());
        BOOST_TEST(o.held().count() == (w.permit_form ? 4 : 0));
    });
}

BOOST_AUTO_TEST_CASE(the_permits_of_the_plain_form_come_back_only_by_hand) {
    async_semaphore semaphore(context, 1);
    {
        operation o;
        semaphore.async_acquire(o.on_completion());
        poll();
        BOOST_TEST(o.granted());
    }
    BOOST_TEST(semaphore.available() == 0);
    semaphore.release();
    BOOST_TEST(semaphore.available() == 1);
}

BOOST_AUTO_TEST_CASE(the_permits_of_the_permit_form_come_back_with_the_permit) {
    async_semaphore semaphore(context, 2);
    {
        operation o;
        semaphore.async_acquire_permit(2, o.on_completion());
        poll();
        BOOST_TEST(semaphore.available() == 0);
    }
    BOOST_TEST(semaphore.available() == 2);
}

BOOST_AUTO_TEST_CASE(an_acquire_of_none_succeeds_at_once_and_changes_nothing) {
    for_each_way(0, 5, [this](async_semaphore& semaphore, const way& w) {
        operation o;
        w.start(semaphore, 0, o);
        poll();
        BOOST_TEST(o.granted());
        BOOST_TEST(!o.held());
        BOOST_TEST(semaphore.available() == 0);
    });
}

BOOST_AUTO_TEST_CASE(an_acquire_of_none_waits_neither_for_the_queue_nor_for_a_debt) {
    for_each_way(0, 5, [this](async_semaphore& semaphore, const way& w) {
        operation head, none;
        semaphore.reduce(2);
        semaphore.async_acquire(head.on_completion());
        w.start(semaphore, 0, none);
        BOOST_TEST(semaphore.waiting() == 1u);
        poll();
        BOOST_TEST(none.granted());
        BOOST_TEST(head.pending());
        BOOST_TEST(semaphore.available() == -2);
    });
}

BOOST_AUTO_TEST_CASE(a_negative_count_is_an_invalid_argument) {
    for (const std::ptrdiff_t n :
         {std::ptrdiff_t(-1), std::numeric_limits<std::ptrdiff_t>::min()}) {
        for_each_way(2, 5, [this, n](async_semaphore& semaphore, const way& w) {
            operation o;
            w.start(semaphore, n, o);
            BOOST_TEST(semaphore.waiting() == 0u);
            poll();
            BOOST_TEST(o.completed_with(invalid_argument));
            BOOST_TEST(!o.held());
            BOOST_TEST(semaphore.available() == 2);
        });
    }
}

BOOST_AUTO_TEST_CASE(more_than_the_maximum_is_refused_and_blocks_nobody) {
    for (const std::ptrdiff_t n : {std::ptrdiff_t(6), std::numeric_limits<std::ptrdiff_t>::max()}) {
        for_each_way(2, 5, [this, n](async_semaphore& semaphore, const way& w) {
            operation too_many, next;
            w.start(semaphore, n, too_many);
            BOOST_TEST(semaphore.waiting() == 0u);
            w.start(semaphore, 2, next);
            poll();
            BOOST_TEST(too_many.completed_with(exceeds_max));
            BOOST_TEST(!too_many.held());
            BOOST_TEST(next.granted());
            BOOST_TEST(semaphore.available() == 0);
        });
    }
}

BOOST_AUTO_TEST_CASE(an_acquire_may_ask_for_the_maximum) {
    for_each_way(2, 5, [this](async_semaphore& semaphore, const way& w) {
        operation o;
        w.start(semaphore, 5, o);
        semaphore.release(3);
        poll();
        BOOST_TEST(o.granted());
    });
}

BOOST_AUTO_TEST_CASE(a_waiting_operation_keeps_its_context_busy_until_its_handler_has_run) {
    for_each_way(0, 5, [this](async_semaphore& semaphore, const way& w) {
        operation o;
        w.start(semaphore, 1, o);
        BOOST_TEST(poll());
        semaphore.release();
        BOOST_TEST(!poll());
        BOOST_TEST(o.granted());
    });
}

BOOST_AUTO_TEST_CASE(a_handler_may_start_the_next_operation_and_give_back_its_permits) {
    async_semaphore semaphore(context, 0);
    int rounds = 0;
    std::function<void(error_code, permit)> again = [&](error_code ec, permit held) {
        BOOST_TEST(!ec);
        BOOST_TEST(held.count() == 1);
        if (++rounds < 1000)
            semaphore.async_acquire_permit(again);
    };
    semaphore.async_acquire_permit(again);
    semaphore.release();
    BOOST_TEST(!poll());
    BOOST_TEST(rounds == 1000);
    BOOST_TEST(semaphore.available() == 1);
}

BOOST_AUTO_TEST_SUITE_END()
