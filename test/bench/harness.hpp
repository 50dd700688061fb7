// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// A small harness that measures ratios. Machines drift: clock rates change, and other programs run
// at times. So the harness measures every case once a round, in a newly shuffled order, and divides
// it by its baseline of the same round. It reports the median of these ratios, with their
// quartiles.

#include <chrono>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

namespace bench {

/// The processor time of the calling thread, so that other threads and programs do not count.
struct thread_clock {
    using duration = std::chrono::nanoseconds;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<thread_clock>;
    static constexpr bool is_steady = true;

    static time_point now() noexcept;
};

/// A number of operations, and the time that they took.
struct measurement {
    std::chrono::nanoseconds time{};
    long operations = 0;

    measurement& operator+=(const measurement& other) {
        time += other.time;
        operations += other.operations;
        return *this;
    }
};

struct bench_case {
    std::string row;                      ///< the workload, such as W1
    std::string who;                      ///< the implementation
    std::string executor;                 ///< the type of the executor; empty if there is none
    long size = 0;                        ///< the number of waiters, if that varies
    std::string base;                     ///< the baseline's row; empty for a baseline
    std::function<measurement(long)> run; ///< performs this many operations or a few more
};

struct settings {
    int rounds = 11;
    std::chrono::microseconds each{20000}; ///< how long to measure one case in one round
    long max_size = 1000000;
    bool second_thread = true;
    std::string rows; ///< a regular expression; empty for all
    std::uint32_t seed = 1;
};

class suite {
public:
    explicit suite(settings s) : settings_(std::move(s)) {}

    const settings& options() const noexcept { return settings_; }
    void add(bench_case c);
    /// Measures, and reports to @p progress.
    void run(std::ostream& progress);
    /// Writes one line per case, separated by tabs.
    void write(std::ostream& results) const;

private:
    struct entry {
        bench_case what;
        long operations = 1;
        int every = 1; // measured every so many rounds
        std::vector<double> nanoseconds;
    };

    void calibrate(entry& e) const;
    const entry* base_of(const entry& e) const;

    settings settings_;
    std::vector<entry> entries_;
};

/// The median of some values, and the medians of their lower and upper halves.
struct quartiles {
    double lower, median, upper;
};
quartiles quartiles_of(std::vector<double> figures);

/// Binds the calling thread to the i-th processor that this program may use. Returns false if there
/// is none.
bool pin_to_processor(int i);

/// The second thread of the process, which sleeps except during together. While it exists, glibc
/// really locks and libstdc++ counts references atomically.
class second_thread {
public:
    second_thread();
    second_thread(const second_thread&) = delete;
    second_thread& operator=(const second_thread&) = delete;
    ~second_thread();

    static bool exists() noexcept;
    /// Runs f on this thread and the second one at the same time. Measures wall-clock time, because
    /// the threads sometimes wait for each other.
    static measurement together(const std::function<void()>& f, long operations);

private:
    struct shared;
    shared* const shared_;
};

/// Keeps the compiler from optimising away the computation of value.
template <typename T>
void keep(const T& value) {
    asm volatile("" : : "r,m"(value) : "memory");
}

} // namespace bench
