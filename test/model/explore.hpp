// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// The test programs of this folder use this to run scenarios, report results and replay failures.
//
//   ASIO_SEMAPHORE_REPLAY='<scenario>@<schedule>'   runs only that schedule and prints its steps;
//                                                   fails if there is no such scenario, or if the
//                                                   schedule does not fit it
//   ASIO_SEMAPHORE_LONG=1                           larger bounds, more scenarios: minutes

#include "scheduler.hpp"

#include <boost/test/unit_test.hpp>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>
#include <vector>

namespace asio_semaphore::model {

inline bool long_run() {
    const char* const value = std::getenv("ASIO_SEMAPHORE_LONG");
    return value != nullptr && *value != '\0' && *value != '0';
}

/// The schedule to replay, if any.
struct replay_request {
    static const replay_request& get() {
        static replay_request& instance = *new replay_request;
        return instance;
    }

    explicit operator bool() const noexcept { return asked_; }

    const std::string& title() const noexcept { return title_; }
    const std::string& schedule() const noexcept { return schedule_; }

    static inline bool found = false; // whether a scenario has that title

private:
    replay_request() {
        const char* const value = std::getenv("ASIO_SEMAPHORE_REPLAY");
        if (value == nullptr || *value == '\0')
            return;
        asked_ = true;
        title_ = value;
        if (const std::size_t at = title_.rfind('@'); at != std::string::npos) {
            schedule_ = title_.substr(at + 1);
            title_.resize(at);
        }
    }

    bool asked_ = false;
    std::string title_, schedule_;
};

/// Checks at the end of the program that the scenario to replay exists.
struct what_is_replayed_is_found {
    void teardown() const {
        if (const auto& request = replay_request::get(); request && !replay_request::found)
            BOOST_ERROR(
                "ASIO_SEMAPHORE_REPLAY: no scenario of this program is called '" << request.title()
                                                                                 << "'\n");
    }
};
BOOST_TEST_GLOBAL_FIXTURE(what_is_replayed_is_found);

/// For test cases that take minutes. A replay runs them too.
struct only_in_a_long_run : boost::unit_test::precondition {
    only_in_a_long_run() :
        precondition([](boost::unit_test::test_unit_id) -> boost::test_tools::assertion_result {
            boost::test_tools::assertion_result runs(long_run() || replay_request::get());
            runs.message() << "set ASIO_SEMAPHORE_LONG=1";
            return runs;
        }) {}
};

/// The bounds of a search: the number of preemptions (negative: any number), and the number of
/// compare-exchanges that fail spuriously.
inline settings bound(int preemptions, int spurious) {
    settings s;
    s.preemptions = preemptions;
    s.spurious = spurious;
    return s;
}
constexpr int any_number = -1;

/// Counts and prints the schedules that a test case explores.
class exploration {
public:
    /// Explores a scenario within each of the bounds.
    /// @param describe says what the threads do; printed before a replay
    /// @param outcomes if not null, the possible results of whole operations; filled first if empty
    void
    run(const std::string& title, const std::vector<settings>& bounds,
        const scheduler::factory& make, const std::string& describe = {},
        std::set<std::string>* outcomes = nullptr) {
        prepare();
        ++scenarios_;
        if (replay_request::get()) {
            replay(title, make, describe);
            return;
        }
        // The results of whole operations in any order. Interleaved operations may have no others.
        std::set<std::string> own;
        if (outcomes == nullptr)
            outcomes = &own;
        if (outcomes->empty()) {
            const result whole = scheduler::get().explore(title, whole_operations(), make);
            if (failed(title + "#coarse", whole, describe))
                return;
            *outcomes = whole.outcomes;
        }
        std::uint64_t schedules = 0;
        std::set<std::string> reached;
        for (const settings& s : bounds) {
            result fine = scheduler::get().explore(title, s, make, outcomes);
            if (failed(title, fine, describe))
                return;
            schedules += fine.schedules;
            reached.merge(fine.outcomes);
        }
        schedules_ += schedules;
        std::printf(
            "%-64s %10llu schedules, %zu of %zu outcomes\n", title.c_str(),
            static_cast<unsigned long long>(schedules), reached.size(), outcomes->size());
    }

    /// Explores a scenario that has to fail, and returns the failure.
    static result find(const std::string& title, settings s, const scheduler::factory& make) {
        prepare();
        return scheduler::get().explore(title, s, make);
    }

    void print_total(const char* what) const {
        std::printf(
            "%s: %llu scenarios, %llu schedules\n", what,
            static_cast<unsigned long long>(scenarios_),
            static_cast<unsigned long long>(schedules_));
    }

private:
    static void prepare() {
        scheduler::program() = boost::unit_test::framework::master_test_suite().argv[0];
    }

    static settings whole_operations() {
        settings s;
        s.coarse = true;
        return s;
    }

    static void
    replay(std::string title, const scheduler::factory& make, const std::string& describe) {
        const replay_request& request = replay_request::get();
        settings s;
        s.coarse = request.title() == title + "#coarse";
        if (s.coarse)
            title += "#coarse";
        if (request.title() != title)
            return;
        replay_request::found = true;
        std::printf("replay of %s\n%s\n", title.c_str(), describe.c_str());
        const result whole = scheduler::get().explore(title, whole_operations(), make);
        const result r = scheduler::get().replay(
            title, s, make, request.schedule(), whole.failure.empty() ? &whole.outcomes : nullptr);
        for (const std::string& outcome : r.outcomes)
            std::printf("  ended: %s\n", outcome.c_str());
        if (!r.failure.empty())
            BOOST_ERROR(title << ": " << r.failure << "\n");
    }

    static bool failed(const std::string& title, const result& r, const std::string& describe) {
        if (r.failure.empty())
            return false;
        // The command has its own line, because Boost appends colour codes to the message.
        BOOST_ERROR(
            title << ": " << r.failure << "\n  after " << r.schedules << " schedules\n"
                  << describe << "\n  schedule: " << r.schedule
                  << "\n  replay, with every step printed:\n    ASIO_SEMAPHORE_REPLAY='" << title
                  << "@" << r.schedule << "' " << scheduler::program() << "\n");
        return true;
    }

    std::uint64_t scenarios_ = 0, schedules_ = 0;
};

} // namespace asio_semaphore::model

// A failed assertion of the library fails the schedule.
#if defined(BOOST_ENABLE_ASSERT_HANDLER)
namespace boost {
inline void assertion_failed(const char* expression, const char*, const char* file, long line) {
    using asio_semaphore::model::scheduler;
    scheduler::get().fail(
        std::string("assertion ") + expression + ", " + file + ":" + std::to_string(line));
    std::abort(); // reached only outside virtual threads
}
inline void assertion_failed_msg(
    const char* expression, const char* message, const char* function, const char* file,
    long line) {
    std::fprintf(stderr, "%s\n", message);
    assertion_failed(expression, function, file, line);
}
} // namespace boost
#endif
