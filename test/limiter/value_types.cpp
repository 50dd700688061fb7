// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// The value types of the limiter's interface: requests and their keys, options, statistics.

#include <asio_semaphore/limiter/admission_request.hpp>
#include <asio_semaphore/limiter/limiter_options.hpp>
#include <asio_semaphore/limiter/limiter_statistics.hpp>

#include <boost/test/unit_test.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>

using namespace std::chrono_literals;
using asio_semaphore::admission_request;
using asio_semaphore::duration_histogram;
using asio_semaphore::key_of;
using asio_semaphore::key_usage;
using asio_semaphore::limiter_options;
using asio_semaphore::limiter_statistics;
using asio_semaphore::queue_order;

namespace {

static_assert(std::is_aggregate_v<admission_request>);
static_assert(std::is_aggregate_v<limiter_options>);
static_assert(std::is_aggregate_v<limiter_statistics>);
static_assert(std::is_aggregate_v<key_usage>);
static_assert(std::is_trivially_copyable_v<admission_request>);
static_assert(std::is_trivially_copyable_v<limiter_statistics>);

// A client with a given hash.
struct client {
    std::size_t hash;
};

} // namespace

template <>
struct std::hash<client> {
    std::size_t operator()(const client& c) const { return c.hash; }
};

BOOST_AUTO_TEST_SUITE(limiter_value_types)

BOOST_AUTO_TEST_CASE(a_default_request_has_weight_1_the_highest_priority_and_no_key) {
    const admission_request r;
    BOOST_TEST(r.key == 0u);
    BOOST_TEST(r.priority == 0);
    BOOST_TEST(r.weight == 1);
    BOOST_TEST(!r.max_wait);
    const admission_request all{7, 3, 2, 50ms};
    BOOST_TEST(all.key == 7u);
    BOOST_TEST(all.priority == 3);
    BOOST_TEST(all.weight == 2);
    BOOST_TEST((all.max_wait == 50ms));
}

BOOST_AUTO_TEST_CASE(default_options_are_a_fixed_limit_with_a_bounded_queue) {
    const limiter_options o;
    BOOST_TEST(!o.algorithm);
    BOOST_TEST(o.max_waiting == 100u);
    BOOST_TEST((o.max_wait == 1s));
    BOOST_TEST((o.busy_wait == 0ms));
    BOOST_TEST((o.order == queue_order::fifo));
    BOOST_TEST(o.max_per_key == 0);
    BOOST_TEST((o.share == std::array<double, 4>{1, 1, 1, 1}));
    BOOST_TEST(o.enforce);
    BOOST_TEST((o.classify == &asio_semaphore::default_outcome));
    BOOST_TEST(!o.on_limit_change);
}

#if __cplusplus >= 202002L
BOOST_AUTO_TEST_CASE(requests_and_options_can_be_written_with_designated_initializers) {
    const admission_request r{.key = 7, .priority = 1, .weight = 2, .max_wait = 50ms};
    BOOST_TEST(r.weight == 2);
    BOOST_TEST(!admission_request{.priority = 2}.max_wait);
    const limiter_options o{
        .algorithm = [](const asio_semaphore::limit_sample& s) { return s.limit; },
        .max_waiting = 5,
        .max_wait = 100ms,
        .busy_wait = 5ms,
        .order = queue_order::adaptive,
        .max_per_key = 3,
        .share = {1, .8, .8, .5},
        .enforce = false,
        .classify = [](const auto&) { return asio_semaphore::outcome::ignored; },
        .on_limit_change =
            [](double, double) {
            }};
    BOOST_TEST((o.algorithm && o.on_limit_change && !o.enforce));
    BOOST_TEST(o.share[3] == .5);
    BOOST_TEST(limiter_options{.order = queue_order::lifo}.max_waiting == 100u);
}
#endif

BOOST_AUTO_TEST_CASE(statistics_begin_at_zero) {
    const limiter_statistics s;
    BOOST_TEST(s.limit == 0);
    BOOST_TEST(s.in_flight == 0);
    BOOST_TEST(s.running + s.waiting + s.keys == 0u);
    for (const auto& p : s.priorities) {
        BOOST_TEST(p.admitted + p.queue_full + p.shed + p.timed_out + p.cancelled + p.closed == 0u);
    }
    BOOST_TEST(s.succeeded + s.overloaded + s.ignored + s.unreported == 0u);
    BOOST_TEST(s.over_limit + s.algorithm_failures == 0u);
    BOOST_TEST(s.wait.count() + s.latency.count() == 0u);
    BOOST_TEST((s.wait.sum == 0s && s.latency.sum == 0s && s.expected_wait == 0s));
}

BOOST_AUTO_TEST_CASE(bounds_go_up_by_1_2_5_from_a_tenth_of_a_millisecond_to_50_seconds) {
    BOOST_TEST_REQUIRE(duration_histogram::bounds.size() == 18u);
    BOOST_TEST_REQUIRE(duration_histogram().counts.size() == 19u);
    auto decade = 100us;
    for (std::size_t i = 0; i < 18; i += 3, decade *= 10) {
        BOOST_TEST((duration_histogram::bounds[i] == decade));
        BOOST_TEST((duration_histogram::bounds[i + 1] == 2 * decade));
        BOOST_TEST((duration_histogram::bounds[i + 2] == 5 * decade));
    }
}

BOOST_AUTO_TEST_CASE(a_bucket_contains_its_bound_and_no_longer_time) {
    using duration = duration_histogram::duration;
    for (std::size_t i = 0; i < 18; ++i) {
        duration_histogram h;
        h.add(duration_histogram::bounds[i]);
        h.add(duration_histogram::bounds[i] + duration(1));
        for (std::size_t j = 0; j < 19; ++j) {
            BOOST_TEST_CONTEXT(i << " " << j)
            BOOST_TEST(h.counts[j] == (j == i || j == i + 1 ? 1u : 0u));
        }
    }
}

BOOST_AUTO_TEST_CASE(times_beyond_all_bounds_are_counted_in_the_first_and_last_bucket) {
    duration_histogram h;
    h.add(0s);
    h.add(-1s);
    h.add(1ns);
    h.add(24h);
    BOOST_TEST(h.counts[0] == 3u);
    BOOST_TEST(h.counts[18] == 1u);
    BOOST_TEST(h.count() == 4u);
}

BOOST_AUTO_TEST_CASE(a_histogram_has_a_count_and_a_sum) {
    duration_histogram h;
    BOOST_TEST(h.count() == 0u);
    for (const auto d : {0us, 100us, 150us, 7000us, 60000000us})
        h.add(d);
    BOOST_TEST(h.count() == 5u);
    BOOST_TEST((h.sum == 60007250us));
    h.counts[3] = std::uint64_t(1) << 40;
    BOOST_TEST(h.count() == (std::uint64_t(1) << 40) + 5);
}

BOOST_AUTO_TEST_CASE(equal_values_have_equal_keys_and_others_have_others) {
    BOOST_TEST(key_of(std::string("tenant")) == key_of(std::string("tenant")));
    BOOST_TEST(key_of(std::string("tenant")) == key_of(std::string_view("tenant")));
    BOOST_TEST(key_of(std::string("tenant")) != key_of(std::string("tenanu")));
    BOOST_TEST(key_of(std::string()) != key_of(std::string(" ")));
    BOOST_TEST(key_of(5) == key_of(5));
    BOOST_TEST(key_of(client{3}) == key_of(client{3}));
    std::set<std::uint64_t> keys;
    for (int i = 0; i < 100000; ++i)
        keys.insert(key_of(i));
    BOOST_TEST(keys.size() == 100000u);
}

BOOST_AUTO_TEST_CASE(the_key_of_a_pointer_to_characters_is_that_of_the_text) {
    const char one[] = "tenant";
    char another[] = "tenant";
    const char* const first = one;
    char* const second = another;
    const auto expected = key_of(std::string("tenant"));
    BOOST_TEST(key_of(first) == expected);
    BOOST_TEST(key_of(second) == expected);
    BOOST_TEST(key_of(one) == expected);
    BOOST_TEST(key_of(another) == expected);
    BOOST_TEST(key_of("tenant") == expected);
    BOOST_TEST(key_of("tenanu") != expected);
}

BOOST_AUTO_TEST_CASE(no_value_has_the_key_0) {
    BOOST_TEST(key_of(0) != 0u);
    BOOST_TEST(key_of(client{0}) != 0u);
    // The only hash that mixes to 0.
    if constexpr (sizeof(std::size_t) == 8) {
        const auto bad = static_cast<std::size_t>(0 - std::uint64_t(0x9e3779b97f4a7c15));
        BOOST_TEST(asio_semaphore::detail::mixed(bad) == 0u);
        BOOST_TEST(key_of(client{bad}) == 1u);
    }
}

// If std::hash returns the number itself, consecutive numbers would get neighbouring places, and
// numbers that differ only in the upper bits would get the same place.
BOOST_AUTO_TEST_CASE(keys_of_consecutive_numbers_are_spread_over_all_bits) {
    constexpr unsigned n = 100000, places = 256;
    for (const unsigned shift : {0u, 8u, 28u, 56u}) {
        BOOST_TEST_CONTEXT("bits from " << shift) {
            std::array<unsigned, places> in_place{};
            unsigned neighbours = 0, previous = places;
            for (unsigned i = 0; i < n; ++i) {
                const auto place = static_cast<unsigned>(key_of(i) >> shift) % places;
                ++in_place[place];
                neighbours += place == (previous + 1) % places;
                previous = place;
            }
            // At random, one in 256.
            BOOST_TEST(neighbours < n / 128);
            for (const unsigned count : in_place) {
                BOOST_TEST(count > n / places / 2);
                BOOST_TEST(count < n / places * 2);
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(keys_of_numbers_with_equal_lower_bits_differ_in_their_lower_bits) {
    constexpr unsigned shift = std::numeric_limits<std::size_t>::digits - 12;
    std::set<std::uint64_t> low;
    for (std::size_t i = 0; i < 4096; ++i)
        low.insert(key_of(client{i << shift}) % 65536);
    // At random, 4096 balls fall into 3971 of 65536 places.
    BOOST_TEST(low.size() > 3800u);
}

BOOST_AUTO_TEST_SUITE_END()
