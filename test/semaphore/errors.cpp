// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore/error.hpp>

#include "fixture.hpp"

#include <boost/system/error_category.hpp>
#include <boost/system/system_error.hpp>

#include <set>
#include <string>
#include <type_traits>

namespace {

using namespace test;
using asio_semaphore::error;
using asio_semaphore::error_category;

constexpr error all[] = {
    error::closed, error::exceeds_max, error::over_release, error::queue_full, error::shed};

static_assert(std::is_enum_v<error> && !std::is_convertible_v<error, int>);
static_assert(boost::system::is_error_code_enum<error>::value);
static_assert(static_cast<int>(error::closed) == 1);
static_assert(static_cast<int>(error::exceeds_max) == 2);
static_assert(static_cast<int>(error::over_release) == 3);
static_assert(static_cast<int>(error::queue_full) == 4);
static_assert(static_cast<int>(error::shed) == 5);

#if !defined(ASIO_SEMAPHORE_SEPARATE_COMPILATION)
// The copy of the category that another shared library could contain.
const boost::system::error_category& a_copy_of_the_category() {
    static const asio_semaphore::detail::semaphore_error_category copy;
    return copy;
}
#endif

} // namespace

BOOST_FIXTURE_TEST_SUITE(semaphore_errors, fixture)

BOOST_AUTO_TEST_CASE(the_errors_belong_to_one_category) {
    for (const error e : all) {
        const error_code ec = e;
        BOOST_TEST(ec.failed());
        BOOST_TEST(ec.value() == static_cast<int>(e));
        BOOST_TEST((ec.category() == error_category()));
        BOOST_TEST(ec == make_error_code(e));
    }
    BOOST_TEST(error_category().name() == std::string("asio_semaphore"));
    BOOST_TEST(closed != exceeds_max);
}

BOOST_AUTO_TEST_CASE(every_error_has_a_message) {
    std::set<std::string> messages;
    for (const error e : all)
        messages.insert(make_error_code(e).message());
    messages.insert(error_code(99, error_category()).message());
    BOOST_TEST(messages.size() == std::size(all) + 1);
    BOOST_TEST(messages.count("") == 0u);
}

#if !defined(ASIO_SEMAPHORE_SEPARATE_COMPILATION)
BOOST_AUTO_TEST_CASE(errors_compare_equal_across_copies_of_the_category) {
    BOOST_TEST(&a_copy_of_the_category() != &error_category());
    BOOST_TEST((a_copy_of_the_category() == error_category()));
    BOOST_TEST((error_code(1, a_copy_of_the_category()) == closed));
}
#endif

BOOST_AUTO_TEST_CASE(errors_differ_from_those_of_other_categories) {
    BOOST_TEST(closed != error_code(1, boost::system::system_category()));
    BOOST_TEST(closed != error_code(1, boost::system::generic_category()));
    BOOST_TEST(closed != aborted);
    BOOST_TEST(timed_out != aborted);
}

BOOST_AUTO_TEST_CASE(an_over_release_says_where_it_happened) {
    async_semaphore semaphore(context, 1, 1);
    try {
        semaphore.release();
        BOOST_ERROR("no exception");
    } catch (const boost::system::system_error& e) {
        BOOST_TEST(e.code() == over_release);
        BOOST_TEST(std::string(e.what()).find("async_semaphore::release") != std::string::npos);
    }
}

BOOST_AUTO_TEST_SUITE_END()
