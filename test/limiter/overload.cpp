// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// What counts as overload: the error condition that several errors are equal to, and the outcome
// that each error of an operation counts as.

#include <asio_semaphore/error.hpp>
#include <asio_semaphore/limiter/limiter_options.hpp>

#include <boost/asio/error.hpp>
#include <boost/system/error_category.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/error_condition.hpp>
#include <boost/test/unit_test.hpp>

#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

namespace asio = boost::asio;
namespace errc = boost::system::errc;
using asio_semaphore::condition;
using asio_semaphore::condition_category;
using asio_semaphore::default_outcome;
using asio_semaphore::error;
using asio_semaphore::error_category;
using asio_semaphore::outcome;
using boost::system::error_code;
using boost::system::error_condition;

namespace {

static_assert(std::is_enum_v<condition> && !std::is_convertible_v<condition, int>);
static_assert(boost::system::is_error_condition_enum<condition>::value);
static_assert(!boost::system::is_error_code_enum<condition>::value);
static_assert(static_cast<int>(condition::overload) == 1);
static_assert(noexcept(default_outcome(error_code())));

// The errors of an application, with the status codes of HTTP as values. One of them is equivalent
// to a system error.
struct http_category final : boost::system::error_category {
    const char* name() const noexcept override { return "http"; }
    std::string message(int value) const override { return std::to_string(value); }
    error_condition default_error_condition(int value) const noexcept override {
        return value == 408 ? error_condition(errc::timed_out) : error_condition(value, *this);
    }
};
const http_category http;

const error_code overloads[] = {
    error::queue_full, error::shed, asio::error::timed_out, make_error_code(errc::timed_out),
    error_code(408, http)};

const error_code no_overloads[] = {
    error_code(), error::closed, error::exceeds_max, error::over_release,
    asio::error::operation_aborted, asio::error::invalid_argument, asio::error::eof,
    asio::error::connection_reset, asio::error::connection_refused, asio::error::try_again,
    asio::error::no_buffer_space, error_code(503, http),
    // The same values as overload errors, but in other categories.
    error_code(static_cast<int>(error::queue_full), boost::system::generic_category()),
    error_code(static_cast<int>(error::shed), http),
    error_code(asio::error::timed_out, error_category())};

#if !defined(ASIO_SEMAPHORE_SEPARATE_COMPILATION)
// The copy of the category that another shared library could contain.
const boost::system::error_category& a_copy_of_the_category() {
    static const asio_semaphore::detail::overload_condition_category copy;
    return copy;
}
#endif

} // namespace

BOOST_AUTO_TEST_SUITE(limiter_overload)

BOOST_AUTO_TEST_CASE(overload_equals_the_refusals_of_a_limiter) {
    for (const error_code& ec : overloads) {
        BOOST_TEST_CONTEXT(ec.category().name() << " " << ec.value()) {
            BOOST_TEST((ec == condition::overload));
            BOOST_TEST((condition::overload == ec));
            BOOST_TEST(!(ec != condition::overload));
        }
    }
}

BOOST_AUTO_TEST_CASE(overload_equals_no_other_error) {
    for (const error_code& ec : no_overloads) {
        BOOST_TEST_CONTEXT(ec.category().name() << " " << ec.value()) {
            BOOST_TEST((ec != condition::overload));
            BOOST_TEST((condition::overload != ec));
        }
    }
}

BOOST_AUTO_TEST_CASE(the_other_values_of_the_category_equal_no_error) {
    for (const int value : {0, 2, -1}) {
        const error_condition other(value, condition_category());
        BOOST_TEST((other != condition::overload));
        for (const error_code& ec : overloads)
            BOOST_TEST((ec != other));
    }
}

BOOST_AUTO_TEST_CASE(the_condition_has_a_category_a_name_and_a_message) {
    const error_condition overload = condition::overload;
    BOOST_TEST((overload == make_error_condition(condition::overload)));
    BOOST_TEST((overload.category() == condition_category()));
    BOOST_TEST((condition_category() != error_category()));
    BOOST_TEST((condition_category() != boost::system::generic_category()));
    BOOST_TEST(condition_category().name() == std::string("asio_semaphore_condition"));
    BOOST_TEST(overload.message() == "Refused under load");
    BOOST_TEST(
        error_condition(2, condition_category()).message() == "Unknown asio_semaphore condition");
}

BOOST_AUTO_TEST_CASE(the_errors_of_a_limiter_have_messages) {
    BOOST_TEST(make_error_code(error::queue_full).message() == "Too many operations wait already");
    BOOST_TEST(make_error_code(error::shed).message() == "Shed from the queue under load");
    BOOST_TEST(make_error_code(error::closed).message() == "The semaphore or limiter is closed");
    BOOST_TEST(
        make_error_code(error::exceeds_max).message() ==
        "More requested than the semaphore or limiter can ever hold");
}

#if !defined(ASIO_SEMAPHORE_SEPARATE_COMPILATION)
BOOST_AUTO_TEST_CASE(overload_compares_equal_across_copies_of_the_category) {
    const auto& copy = a_copy_of_the_category();
    BOOST_TEST(&copy != &condition_category());
    BOOST_TEST((copy == condition_category()));
    BOOST_TEST((error_condition(1, copy) == condition::overload));
    BOOST_TEST((error_code(error::shed) == error_condition(1, copy)));
}
#endif

BOOST_AUTO_TEST_CASE(errors_survive_a_conversion_to_std_error_code_and_back) {
    for (const error e : {error::queue_full, error::shed, error::closed}) {
        const error_code before = e;
        const std::error_code between = before;
        const error_code after = between;
        BOOST_TEST(after == before);
        BOOST_TEST((after == condition::overload) == (e != error::closed));
        const std::error_condition overload = make_error_condition(condition::overload);
        BOOST_TEST((between == overload) == (e != error::closed));
    }
    BOOST_TEST((error_code(std::make_error_code(std::errc::timed_out)) == condition::overload));
}

BOOST_AUTO_TEST_CASE(by_default_only_errors_caused_by_load_count_as_overload) {
    const std::pair<error_code, outcome> expected[] = {
        {error_code(), outcome::success},
        {error_code(0, http), outcome::success},
        {error::queue_full, outcome::overloaded},
        {error::shed, outcome::overloaded},
        {asio::error::timed_out, outcome::overloaded},
        {asio::error::try_again, outcome::overloaded},
        {asio::error::no_buffer_space, outcome::overloaded},
        {asio::error::connection_refused, outcome::overloaded},
        {make_error_code(errc::timed_out), outcome::overloaded},
        {make_error_code(errc::resource_unavailable_try_again), outcome::overloaded},
        {make_error_code(errc::no_buffer_space), outcome::overloaded},
        {make_error_code(errc::connection_refused), outcome::overloaded},
        {error_code(std::make_error_code(std::errc::connection_refused)), outcome::overloaded},
        {error_code(408, http), outcome::overloaded},
        {error_code(404, http), outcome::ignored},
        {error_code(503, http), outcome::ignored},
        {error_code(asio::error::timed_out, http), outcome::ignored},
        {asio::error::operation_aborted, outcome::ignored},
        {asio::error::eof, outcome::ignored},
        {asio::error::connection_reset, outcome::ignored},
        {asio::error::connection_aborted, outcome::ignored},
        {asio::error::broken_pipe, outcome::ignored},
        {asio::error::host_unreachable, outcome::ignored},
        {asio::error::host_not_found, outcome::ignored},
        {asio::error::host_not_found_try_again, outcome::ignored},
        {asio::error::no_memory, outcome::ignored},
        {asio::error::invalid_argument, outcome::ignored},
        {error::closed, outcome::ignored},
        {error::exceeds_max, outcome::ignored},
        {error::over_release, outcome::ignored}};
    for (const auto& [ec, result] : expected) {
        BOOST_TEST_CONTEXT(ec.category().name() << " " << ec.value() << " " << ec.message())
        BOOST_TEST((default_outcome(ec) == result));
    }
}

BOOST_AUTO_TEST_SUITE_END()
