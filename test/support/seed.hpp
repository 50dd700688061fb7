// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// The seed of a randomised test.

#include <boost/test/unit_test.hpp>

#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>

namespace test {

/// Returns and prints the seed: ASIO_SEMAPHORE_TEST_SEED or, without that, a random one.
inline std::uint32_t seed() {
    const char* const given = std::getenv("ASIO_SEMAPHORE_TEST_SEED");
    const std::uint32_t chosen =
        given != nullptr ? static_cast<std::uint32_t>(std::stoul(given)) : std::random_device()();
    BOOST_TEST_MESSAGE("ASIO_SEMAPHORE_TEST_SEED=" << chosen);
    return chosen;
}

} // namespace test
