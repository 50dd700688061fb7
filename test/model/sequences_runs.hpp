// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Runs given sequences, those in a folder, and random ones, for any driver. A failing sequence is
// shortened and then printed in words.

#include <model/sequences_machine.hpp>

#include <stress/options.hpp>
#include <support/last_words.hpp>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>

namespace sequences {

inline std::string given() {
    return stress::environment("ASIO_SEMAPHORE_TEST_SEQUENCE");
}

// If a sequence is given, only that one runs.
inline boost::test_tools::assertion_result a_sequence_is_given(boost::unit_test::test_unit_id) {
    return !given().empty();
}
inline boost::test_tools::assertion_result no_sequence_is_given(boost::unit_test::test_unit_id) {
    return given().empty();
}

inline std::string how_to_replay(const std::string& text) {
    return "replay with ASIO_SEMAPHORE_TEST_SEQUENCE='" + text + "'";
}

struct totals {
    std::size_t sequences = 0, steps = 0, operations = 0, granted = 0;
};

/// The failure of a sequence; empty if there is none. @param seed the seed of a random sequence
template <typename Driver>
std::string verdict(
    const std::string& text, totals* sum = nullptr, std::ostream* trace_to = nullptr,
    const std::string& seed = {}) {
    support::last_words::are(how_to_replay(text) + seed);
    try {
        Driver d(trace_to);
        d.run(text);
        if (sum != nullptr) {
            ++sum->sequences;
            sum->steps += text.size() / machine::step_size;
            sum->operations += d.operations();
            sum->granted += d.granted();
        }
        return {};
    } catch (const mismatch& m) {
        return m.what();
    } catch (const std::exception& e) {
        return std::string("an exception that nobody expects: ") + e.what();
    } catch (...) {
        return "an exception that nobody expects";
    }
}

/// Leaves out steps as long as the sequence still fails, and returns the shortest one.
template <typename Driver>
std::string shrunk(std::string text) {
    constexpr std::size_t size = machine::step_size;
    for (std::size_t steps = std::max<std::size_t>(text.size() / size / 2, 1); steps > 0;) {
        bool shorter = false;
        for (std::size_t at = 0; at + steps * size <= text.size();) {
            std::string candidate = text;
            candidate.erase(at, steps * size);
            if (verdict<Driver>(candidate).empty()) {
                at += size;
            } else {
                text = std::move(candidate);
                shorter = true;
            }
        }
        if (!shorter)
            steps /= 2;
    }
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (i % size == 0)
            continue;
        const char before = std::exchange(text[i], '0');
        if (verdict<Driver>(text).empty())
            text[i] = before;
    }
    return text;
}

/// Runs a sequence. A failing one is shortened, and then printed in words.
template <typename Driver>
void check(const std::string& text, totals* sum = nullptr, const std::string& seed = {}) {
    const std::string wrong = verdict<Driver>(text, sum, nullptr, seed);
    if (wrong.empty())
        return;
    const std::string shorter = shrunk<Driver>(text);
    std::ostringstream trace;
    const std::string message = verdict<Driver>(shorter, nullptr, &trace);
    BOOST_FAIL(
        (message.empty() ? wrong + ", the first time only" : message)
        << "\nafter\n"
        << trace.str() << '\n'
        << how_to_replay(shorter) << seed);
}

/// A random sequence in which steps have different frequencies.
template <typename Driver>
std::string random_sequence(stress::random& random) {
    constexpr std::string_view letters = Driver::letters;
    std::string text;
    const std::size_t steps = 1 + random.below(Driver::longest);
    for (std::size_t i = 0; i < steps; ++i) {
        text += letters[random.below(letters.size())];
        for (std::size_t k = 1; k < machine::step_size; ++k)
            text += static_cast<char>('0' + random.below(16));
    }
    return text;
}

template <typename Driver>
void run_given() {
    const support::last_words on_death;
    std::cout << std::unitbuf; // prints up to the last step, even if the program dies
    const std::string wrong = verdict<Driver>(given(), nullptr, &std::cout);
    std::cout << '\n';
    if (!wrong.empty())
        BOOST_FAIL(wrong);
}

template <typename Driver>
void run_corpus(const char* folder) {
    const support::last_words on_death;
    std::size_t files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        BOOST_TEST_CONTEXT(entry.path().filename()) {
            std::ifstream file(entry.path(), std::ios::binary);
            const std::string bytes(std::istreambuf_iterator<char>(file), {});
            check<Driver>(printable(bytes));
            ++files;
        }
    }
    BOOST_TEST_MESSAGE(files << " sequences");
    BOOST_TEST(files > 0);
}

template <typename Driver>
void run_random() {
    using clock = std::chrono::system_clock; // a driver may replace the steady clock
    const support::last_words on_death;
    const std::uint64_t seed = stress::seed();
    const std::string told = "ASIO_SEMAPHORE_TEST_SEED=" + std::to_string(seed);
    BOOST_TEST_MESSAGE(told);
    stress::random random(seed);
    totals sum;
    const auto until = clock::now() + stress::time_to_run(3);
    while (clock::now() < until)
        check<Driver>(random_sequence<Driver>(random), &sum, " (of " + told + ')');
    BOOST_TEST_MESSAGE(
        sum.sequences << " sequences, " << sum.steps << " steps, " << sum.operations
                      << " operations, of which granted " << sum.granted);
    BOOST_TEST(sum.granted > 0);
}

} // namespace sequences
