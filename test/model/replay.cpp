// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// Tests that a failure prints a command that replays it. These scenarios fail on purpose. The
// script `replay` runs them, and then the commands that they print.

#include "explore.hpp"

#include <boost/test/unit_test.hpp>

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <string>

namespace {

using namespace asio_semaphore::model;

/// Two threads increment a counter without synchronisation.
class lost_update : public scenario {
public:
    std::size_t threads() const override { return 2; }
    void run(std::size_t) override {
        const int before = count_.load(std::memory_order_relaxed);
        if (before == 0)
            both();
        count_.store(before + 1, std::memory_order_relaxed);
    }
    std::string summary() override { return "counted " + std::to_string(count_.peek()); }

private:
    virtual void both() {}

    model_atomic<int> count_{0};
};

/// The same, but the process aborts.
class deadly final : public lost_update {
    void both() override {
        if (++began_ == 2)
            std::abort();
    }

    int began_ = 0;
};

template <typename Scenario>
void explore(const char* title) {
    exploration().run(
        title, {bound(any_number, 0)}, [] { return std::make_unique<Scenario>(); },
        "  two threads count to 2");
}

} // namespace

BOOST_AUTO_TEST_SUITE(model_replay)

BOOST_AUTO_TEST_CASE(fails) {
    explore<lost_update>("lost|update");
}

BOOST_AUTO_TEST_CASE(dies) {
    explore<deadly>("deadly|update");
}

BOOST_AUTO_TEST_SUITE_END()
