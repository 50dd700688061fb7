// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// A small harness for ratios. Machines drift: clocks change, neighbours come and go. So every case
// is measured once a round, in an order that is shuffled anew, and is divided by its baseline of
// the same round; what is reported is the median of those ratios, with their quartiles.

#include <chrono>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

namespace bench {

/// The processor time of the calling thread. What others do on the machine meanwhile does not
/// count.
struct thread_clock {
    using duration = std::chrono::nanoseconds;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<thread_clock>;
    static constexpr bool is_steady = true;

    static time_point now() noexcept;
};

/// How long so many operations took.
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
    std::string row;                      ///< what is done, such as W1
    std::string who;                      ///< who does it
    std::string executor;                 ///< on which type of executor; empty where there is none
    long size = 0;                        ///< how many wait, where that is varied
    std::string base;                     ///< the baseline's row; empty for a baseline
    std::function<measurement(long)> run; ///< performs so many operations, or a few more
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
    /// Measures; tells @p progress how far it is.
    void run(std::ostream& progress);
    /// One line a case, tab separated.
    void write(std::ostream& results) const;

private:
    struct entry {
        bench_case what;
        long operations = 1;
        int every = 1; // measured in each so-manieth round
        std::vector<double> nanoseconds;
    };

    void calibrate(entry& e) const;
    const entry* base_of(const entry& e) const;

    settings settings_;
    std::vector<entry> entries_;
};

/// The middle of some figures, and that of their lower and upper halves.
struct quartiles {
    double lower, median, upper;
};
quartiles quartiles_of(std::vector<double> figures);

/// Binds the calling thread to the i-th processor that this program may use; false without one.
bool pin_to_processor(int i);

/// The process's second thread: asleep, except while it works along. Its mere presence makes
/// the locks of glibc and the reference counts of libstdc++ real ones.
class second_thread {
public:
    second_thread();
    second_thread(const second_thread&) = delete;
    second_thread& operator=(const second_thread&) = delete;
    ~second_thread();

    static bool exists() noexcept;
    /// Runs f on this thread and the second one at the same time.
    /// Times it on the wall: both wait for each other at times.
    static measurement together(const std::function<void()>& f, long operations);

private:
    struct shared;
    shared* const shared_;
};

/// Keeps the compiler from leaving out what makes value.
template <typename T>
void keep(const T& value) {
    asm volatile("" : : "r,m"(value) : "memory");
}

} // namespace bench
