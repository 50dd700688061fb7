#include <model/sequences.hpp>

#include <support/last_words.hpp>

#include <stress/options.hpp>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <chrono>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>
#include <string>
#include <utility>

namespace {

using sequences::driver;

std::string given() {
    return stress::environment("ASIO_SEMAPHORE_TEST_SEQUENCE");
}

// A sequence that is given runs alone.
boost::test_tools::assertion_result a_sequence_is_given(boost::unit_test::test_unit_id) {
    return !given().empty();
}
boost::test_tools::assertion_result no_sequence_is_given(boost::unit_test::test_unit_id) {
    return given().empty();
}

std::string how_to_replay(const std::string& text) {
    return "replay with ASIO_SEMAPHORE_TEST_SEQUENCE='" + text + "'";
}

struct totals {
    std::size_t sequences = 0, steps = 0, operations = 0, granted = 0;
};

/// What is wrong with a sequence; empty: nothing. @param seed where it comes from, if from chance
std::string verdict(
    const std::string& text, totals* sum = nullptr, std::ostream* trace_to = nullptr,
    const std::string& seed = {}) {
    support::last_words::are(how_to_replay(text) + seed);
    try {
        driver d(trace_to);
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
    } catch (const std::exception& e) {
        return std::string("an exception that nobody expects: ") + e.what();
    } catch (...) {
        return "an exception that nobody expects";
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
void check(const std::string& text, totals* sum = nullptr, const std::string& seed = {}) {
    const std::string wrong = verdict(text, sum, nullptr, seed);
    if (wrong.empty())
        return;
    const std::string shorter = shrunk(text);
    std::ostringstream trace;
    const std::string message = verdict(shorter, nullptr, &trace);
    BOOST_FAIL(
        (message.empty() ? wrong + ", the first time only" : message)
        << "\nafter\n"
        << trace.str() << '\n'
        << how_to_replay(shorter) << seed);
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

BOOST_AUTO_TEST_CASE(
    the_given_sequence_agrees_with_the_model,
    *boost::unit_test::precondition(a_sequence_is_given)) {
    const support::last_words on_death;
    std::cout << std::unitbuf; // to the last step
    const std::string wrong = verdict(given(), nullptr, &std::cout);
    std::cout << '\n';
    if (!wrong.empty())
        BOOST_FAIL(wrong);
}

BOOST_AUTO_TEST_CASE(
    the_corpus_agrees_with_the_model, *boost::unit_test::precondition(no_sequence_is_given)) {
    const support::last_words on_death;
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

BOOST_AUTO_TEST_CASE(
    random_sequences_agree_with_the_model, *boost::unit_test::precondition(no_sequence_is_given)) {
    const support::last_words on_death;
    const std::uint64_t seed = stress::seed();
    const std::string told = "ASIO_SEMAPHORE_TEST_SEED=" + std::to_string(seed);
    BOOST_TEST_MESSAGE(told);
    stress::random random(seed);
    totals sum;
    const auto until = std::chrono::steady_clock::now() + stress::time_to_run(3);
    while (std::chrono::steady_clock::now() < until)
        check(random_sequence(random), &sum, " (of " + told + ')');
    BOOST_TEST_MESSAGE(
        sum.sequences << " sequences, " << sum.steps << " steps, " << sum.operations
                      << " operations, of which granted " << sum.granted);
    BOOST_TEST(sum.granted > 0);
}

BOOST_AUTO_TEST_SUITE_END()
