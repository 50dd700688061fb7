#include <model/sequences.hpp>

#include <stress/options.hpp>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>
#include <string>

namespace {

using sequences::driver;

// What is running, for a crash that no exception tells of.
char running[4096];

extern "C" void tell_what_ran(int signal) {
    std::fputs("\nreplay with ASIO_SEMAPHORE_TEST_SEQUENCE='", stderr);
    std::fputs(running, stderr);
    std::fputs("'\n", stderr);
    std::signal(signal, SIG_DFL);
    std::raise(signal);
}

struct on_crash {
    on_crash() {
        std::signal(SIGABRT, tell_what_ran);
        std::signal(SIGSEGV, tell_what_ran);
    }
};
BOOST_TEST_GLOBAL_FIXTURE(on_crash);

struct totals {
    std::size_t sequences = 0, steps = 0, operations = 0, granted = 0;
};

/// What is wrong with a sequence; empty: nothing.
std::string verdict(const std::string& text, totals* sum = nullptr) {
    std::snprintf(running, sizeof(running), "%s", text.c_str());
    try {
        driver d;
        d.run(text);
        if (sum != nullptr) {
            ++sum->sequences;
            sum->steps += text.size() / driver::step_size;
            sum->operations += d.operations();
            sum->granted += d.granted();
        }
        return {};
    } catch (const sequences::mismatch& m) {
        return m.what();
    }
}

/// The shortest sequence that it finds with something wrong, by leaving steps out.
std::string shrunk(std::string text) {
    constexpr std::size_t size = driver::step_size;
    for (std::size_t steps = std::max<std::size_t>(text.size() / size / 2, 1); steps > 0;) {
        bool shorter = false;
        for (std::size_t at = 0; at + steps * size <= text.size();) {
            std::string candidate = text;
            candidate.erase(at, steps * size);
            if (verdict(candidate).empty()) {
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
        if (verdict(text).empty())
            text[i] = before;
    }
    return text;
}

/// Runs a sequence; a failure is told in words, as short as it can be.
void check(const std::string& text, totals* sum = nullptr) {
    const std::string wrong = verdict(text, sum);
    if (wrong.empty())
        return;
    const std::string shorter = shrunk(text);
    std::ostringstream trace;
    std::string message = wrong;
    try {
        driver d(&trace);
        d.run(shorter);
    } catch (const sequences::mismatch& m) {
        message = m.what();
    }
    BOOST_FAIL(
        message << "\nafter\n"
                << trace.str() << "\nreplay with ASIO_SEMAPHORE_TEST_SEQUENCE='" << shorter << "'");
}

/// A sequence with more of what makes things happen.
std::string random_sequence(stress::random& random) {
    static constexpr char letters[] =
        "aaaaaaaaaaaaappppppppppppptttttrrrrrrrrrgggggggggeeeeeedckkmmsifhhnnnnvvqxzlyyooooooooww";
    std::string text;
    const std::size_t steps = 1 + random.below(80);
    for (std::size_t i = 0; i < steps; ++i) {
        text += letters[random.below(sizeof(letters) - 1)];
        for (std::size_t k = 1; k < driver::step_size; ++k)
            text += static_cast<char>('0' + random.below(16));
    }
    return text;
}

} // namespace

BOOST_AUTO_TEST_SUITE(model_sequences)

BOOST_AUTO_TEST_CASE(the_given_sequence_agrees_with_the_model) {
    const std::string given = stress::environment("ASIO_SEMAPHORE_TEST_SEQUENCE");
    std::snprintf(running, sizeof(running), "%s", given.c_str());
    driver d(given.empty() ? nullptr : &std::cout);
    BOOST_CHECK_NO_THROW(d.run(given));
}

BOOST_AUTO_TEST_CASE(the_corpus_agrees_with_the_model) {
    std::size_t files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(ASIO_SEMAPHORE_SEQUENCES_CORPUS)) {
        BOOST_TEST_CONTEXT(entry.path().filename()) {
            std::ifstream file(entry.path(), std::ios::binary);
            const std::string bytes(std::istreambuf_iterator<char>(file), {});
            check(sequences::printable(bytes));
            ++files;
        }
    }
    BOOST_TEST_MESSAGE(files << " sequences");
    BOOST_TEST(files > 0);
}

BOOST_AUTO_TEST_CASE(random_sequences_agree_with_the_model) {
    const std::uint64_t seed = stress::seed();
    BOOST_TEST_MESSAGE("ASIO_SEMAPHORE_TEST_SEED=" << seed);
    stress::random random(seed);
    totals sum;
    const auto until = std::chrono::steady_clock::now() + stress::time_to_run(3);
    while (std::chrono::steady_clock::now() < until)
        check(random_sequence(random), &sum);
    BOOST_TEST_MESSAGE(
        sum.sequences << " sequences, " << sum.steps << " steps, " << sum.operations
                      << " operations, of which granted " << sum.granted);
    BOOST_TEST(sum.granted > 0);
}

BOOST_AUTO_TEST_SUITE_END()
