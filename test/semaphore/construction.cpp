// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore/async_semaphore.hpp>

#include "fixture.hpp"

#include <boost/asio/strand.hpp>
#include <boost/asio/system_executor.hpp>
#include <boost/asio/thread_pool.hpp>

#include <cstdint>
#include <limits>
#include <stdexcept>
#include <type_traits>

namespace {

using namespace test;
using asio_semaphore::basic_async_semaphore;
using io_executor = asio::io_context::executor_type;
using io_semaphore = basic_async_semaphore<io_executor>;

static_assert(std::is_same_v<async_semaphore, basic_async_semaphore<asio::any_io_executor>>);
static_assert(std::is_same_v<async_semaphore::executor_type, asio::any_io_executor>);
static_assert(std::is_same_v<async_semaphore::rebind_executor<io_executor>::other, io_semaphore>);
static_assert(!std::is_copy_constructible_v<async_semaphore>);
static_assert(!std::is_copy_assignable_v<async_semaphore>);
static_assert(!std::is_default_constructible_v<async_semaphore>);
static_assert(std::is_nothrow_move_constructible_v<async_semaphore>);
static_assert(std::is_move_assignable_v<async_semaphore>);
static_assert(std::is_nothrow_destructible_v<async_semaphore>);
static_assert(std::is_constructible_v<async_semaphore, io_semaphore&&>);
static_assert(!std::is_constructible_v<io_semaphore, async_semaphore&&>);
static_assert(noexcept(std::declval<const async_semaphore&>().get_executor()));
static_assert(noexcept(std::declval<const async_semaphore&>().available()));
static_assert(noexcept(std::declval<const async_semaphore&>().max_permits()));
static_assert(noexcept(std::declval<const async_semaphore&>().waiting()));
static_assert(noexcept(std::declval<const async_semaphore&>().is_open()));
static_assert(async_semaphore::max() >= std::numeric_limits<std::int32_t>::max());
static_assert(noexcept(async_semaphore::max()));

} // namespace

BOOST_FIXTURE_TEST_SUITE(semaphore_construction, fixture)

BOOST_AUTO_TEST_CASE(a_semaphore_starts_with_the_given_counts) {
    async_semaphore semaphore(context, 2, 5);
    BOOST_TEST(semaphore.available() == 2);
    BOOST_TEST(semaphore.max_permits() == 5);
    BOOST_TEST(semaphore.waiting() == 0u);
    BOOST_TEST(semaphore.is_open());
    BOOST_TEST((semaphore.get_executor() == context.get_executor()));
}

BOOST_AUTO_TEST_CASE(without_a_given_maximum_the_largest_one_applies) {
    async_semaphore semaphore(context, 1);
    BOOST_TEST(semaphore.max_permits() == async_semaphore::max());
    semaphore.release(async_semaphore::max() - 1);
    BOOST_TEST(semaphore.available() == async_semaphore::max());
    BOOST_TEST(semaphore.try_acquire(async_semaphore::max()));
    BOOST_TEST(semaphore.available() == 0);
}

BOOST_AUTO_TEST_CASE(the_constructor_refuses_invalid_counts) {
    constexpr auto least = std::numeric_limits<std::ptrdiff_t>::min();
    constexpr auto most = std::numeric_limits<std::ptrdiff_t>::max();
    const struct {
        std::ptrdiff_t initial, max_permits;
    } cases[] = {
        {-1, 1},
        {least, 1},
        {0, 0},
        {0, -1},
        {0, least},
        {2, 1},
        {-1, -2},
        {async_semaphore::max(), async_semaphore::max() - 1},
        {0, async_semaphore::max() + 1},
        {most, most},
    };
    for (const auto& c : cases) {
        BOOST_TEST_CONTEXT("initial " << c.initial << ", max_permits " << c.max_permits) {
            BOOST_CHECK_THROW(
                async_semaphore(context, c.initial, c.max_permits), std::invalid_argument);
            BOOST_CHECK_THROW(
                async_semaphore(context.get_executor(), c.initial, c.max_permits),
                std::invalid_argument);
        }
    }
    BOOST_CHECK_THROW(async_semaphore(context, async_semaphore::max() + 1), std::invalid_argument);
}

BOOST_AUTO_TEST_CASE(the_constructor_accepts_the_smallest_and_largest_counts) {
    BOOST_TEST(async_semaphore(context, 0, 1).available() == 0);
    BOOST_TEST(async_semaphore(context, 1, 1).available() == 1);
    BOOST_TEST(
        async_semaphore(context, async_semaphore::max()).available() == async_semaphore::max());
}

BOOST_AUTO_TEST_CASE(without_initial_permits_the_first_release_grants_the_first_acquire) {
    async_semaphore semaphore(context, 0);
    operation first, second;
    semaphore.async_acquire(first.on_completion());
    semaphore.async_acquire(second.on_completion());
    BOOST_TEST(semaphore.waiting() == 2u);
    semaphore.release();
    poll();
    BOOST_TEST(first.granted());
    BOOST_TEST(second.pending());
}

BOOST_AUTO_TEST_CASE(the_constructor_takes_an_executor_or_a_context) {
    io_semaphore of_context(context, 1);
    io_semaphore of_executor(context.get_executor(), 1);
    BOOST_TEST((of_context.get_executor() == of_executor.get_executor()));
}

BOOST_AUTO_TEST_CASE(a_semaphore_works_on_every_kind_of_context) {
    asio::thread_pool pool(1);
    const auto strand = asio::make_strand(context);
    async_semaphore on_pool(pool, 1);
    async_semaphore on_strand(strand, 1);
    async_semaphore on_system(asio::system_executor(), 1);
    basic_async_semaphore<asio::strand<io_executor>> on_plain_strand(strand, 1);
    BOOST_TEST((on_pool.get_executor() == pool.get_executor()));
    BOOST_TEST((on_strand.get_executor() == strand));
    BOOST_TEST((on_plain_strand.get_executor() == strand));
    for (auto* semaphore : {&on_pool, &on_strand, &on_system})
        BOOST_TEST(semaphore->try_acquire());
}

BOOST_AUTO_TEST_CASE(an_idle_semaphore_keeps_no_context_running) {
    async_semaphore semaphore(context, 1);
    permit held = semaphore.try_acquire_permit();
    BOOST_TEST(!poll());
}

BOOST_AUTO_TEST_SUITE_END()
