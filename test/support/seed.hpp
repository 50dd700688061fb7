#pragma once

// Where chance begins in a randomised test.

#include <boost/test/unit_test.hpp>

#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>

namespace test {

/// ASIO_SEMAPHORE_TEST_SEED, or one that differs from run to run; printed.
inline std::uint32_t seed() {
    const char* const given = std::getenv("ASIO_SEMAPHORE_TEST_SEED");
    const std::uint32_t chosen =
        given != nullptr ? static_cast<std::uint32_t>(std::stoul(given)) : std::random_device()();
    BOOST_TEST_MESSAGE("ASIO_SEMAPHORE_TEST_SEED=" << chosen);
    return chosen;
}

} // namespace test
