// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// A report of an outcome allocates little memory. If the allocation fails, the limiter loses a
// sample, but no place.

#include "limiter_fixture.hpp"

#include <algorithm>
#include <cstdlib>
#include <new>

namespace {

bool has_memory = true;
std::size_t largest = 0; // the largest block, in bytes

void* allocated(std::size_t size) {
    largest = std::max(largest, size);
    void* const p = has_memory ? std::malloc(size == 0 ? 1 : size) : nullptr;
    if (p == nullptr)
        throw std::bad_alloc();
    return p;
}

} // namespace

// Not inlined, because the compiler would warn about new paired with free.

[[gnu::noinline]] void* operator new(std::size_t size) {
    return allocated(size);
}
[[gnu::noinline]] void operator delete(void* p) noexcept {
    std::free(p);
}
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept {
    std::free(p);
}

BOOST_FIXTURE_TEST_SUITE(limiter_reports_without_memory, test::limiter_fixture)

BOOST_AUTO_TEST_CASE(without_memory_samples_get_lost_but_no_places) {
    using namespace test;
    constexpr std::size_t many = 100;
    lim(many, with_law(options(10, 1000)));
    std::vector<client*> held;
    for (std::size_t i = 0; i < many; ++i) {
        held.push_back(&admit());
        after(milliseconds(1));
    }
    client& w = admit(of(0, 50));
    BOOST_TEST(waits(w));
    law = [&](const limit_sample& sample) {
        if (samples.size() == 1) {
            has_memory = false;
            for (std::size_t i = 1; i < many; ++i)
                s->finish(*std::exchange(held[i]->held, {}), ended::success, true);
            has_memory = true;
        }
        return sample.limit;
    };
    finish(*held[0]);
    // The memory was enough for some samples.
    BOOST_TEST((samples.size() > 10 && samples.size() < many));
    for (std::size_t i = 0; i < samples.size(); ++i)
        BOOST_TEST((samples[i].latency == milliseconds(many - i)));
    BOOST_TEST(runs(w));
    BOOST_TEST(s->in_flight() == 50);
    BOOST_TEST(s->statistics().succeeded == many);
    check_counts();
    const std::size_t before = samples.size();
    after(milliseconds(1));
    finish(w);
    BOOST_TEST(samples.size() == before + 1);
}

BOOST_AUTO_TEST_CASE(the_next_sample_carries_what_a_lost_one_would_have_shown) {
    using namespace test;
    lim(20, with_law(options(10, 1000)));
    std::vector<client*> held;
    for (int i = 0; i < 18; ++i)
        held.push_back(&admit());
    after(milliseconds(1));
    law = [&](const limit_sample& sample) {
        if (samples.size() == 1) {
            for (std::size_t i = 1; i <= 16; ++i) // the buffer is full now
                finish(*held[i]);
            client& wide = admit(of(0, 18)); // reaches the limit
            after(milliseconds(1));
            has_memory = false;
            s->finish(*std::exchange(wide.held, {}), ended::success, true);
            has_memory = true;
        }
        return sample.limit;
    };
    finish(*held[0]);
    BOOST_TEST_REQUIRE(samples.size() == 17u);
    BOOST_TEST(samples.back().in_flight == 3);
    finish(*held[17]);
    BOOST_TEST(samples.back().in_flight == 20);
    BOOST_TEST(samples.back().bound);
    after(milliseconds(1));
    client& next = admit();
    after(milliseconds(1));
    finish(next);
    BOOST_TEST(samples.back().in_flight == 1);
    BOOST_TEST(!samples.back().bound);
}

// During each call of the algorithm, exactly one more sample is reported.
BOOST_AUTO_TEST_CASE(a_sample_left_for_later_needs_little_memory) {
    using namespace test;
    auto o = options(10, 1000);
    int shown = 0, reported = 0;
    o.algorithm = [&](const limit_sample& sample) {
        ++shown;
        if (++reported <= 10'000) {
            client& c = admit();
            after(milliseconds(1));
            finish(c);
            clients.pop_back();
        }
        return sample.limit;
    };
    lim(10, o);
    largest = 0;
    while (reported <= 10'000) {
        const int before = shown;
        client& c = admit();
        after(milliseconds(1));
        finish(c);
        clients.pop_back();
        BOOST_TEST_REQUIRE(shown - before < 2000); // finish returns eventually
    }
    BOOST_TEST(largest < 500 * sizeof(limit_sample));
}

// The reports are always faster than the algorithm.
BOOST_AUTO_TEST_CASE(samples_get_lost_if_the_algorithm_cannot_keep_up) {
    using namespace test;
    constexpr std::size_t many = 100'000;
    lim(many, with_law(options(10, 1000)));
    std::vector<client*> held;
    for (std::size_t i = 0; i < many; ++i)
        held.push_back(&admit());
    after(milliseconds(1));
    law = [&](const limit_sample& sample) {
        if (samples.size() == 1) {
            for (std::size_t i = 1; i < held.size(); ++i)
                finish(*held[i]);
        }
        return sample.limit;
    };
    finish(*held[0]);
    BOOST_TEST(s->in_flight() == 0);
    BOOST_TEST(samples.size() == 1 + 65'536u);
    client& c = admit();
    after(milliseconds(1));
    finish(c);
    BOOST_TEST(samples.size() == 2 + 65'536u);
    check_counts();
}

BOOST_AUTO_TEST_SUITE_END()
