// A limit that finds itself needs to be told how admissions end. Who never calls finish is told so
// at the thousandth: debug builds assert.
//
// Header-only, the assertion is ours to handle here. The compiled library has Boost's own, which
// ends the program, or none.
#if !defined(ASIO_SEMAPHORE_SEPARATE_COMPILATION)
#define BOOST_ENABLE_ASSERT_HANDLER
#endif

#include <asio_semaphore/limiter/limiter.hpp>

#include "object_fixture.hpp"

#include <boost/assert.hpp>

#include <csignal>
#include <string>

#include <sys/wait.h>
#include <unistd.h>

namespace {

using namespace test;

[[maybe_unused]] int assertions = 0;
[[maybe_unused]] std::string said;

#if defined(BOOST_ENABLE_ASSERT_HANDLER)
void with_misuse(void (*misuse)()) {
    assertions = 0;
    misuse();
    BOOST_TEST(assertions == 1);
    BOOST_TEST(said.find("finish") != said.npos, said);
}
#elif defined(NDEBUG)
void with_misuse(void (*misuse)()) {
    misuse();
}
#else
void with_misuse(void (*misuse)()) {
    const pid_t child = ::fork();
    if (child == 0) {
        std::signal(SIGABRT, SIG_DFL);
        ::close(STDERR_FILENO);
        misuse();
        ::_exit(0);
    }
    int status = 0;
    BOOST_TEST_REQUIRE(::waitpid(child, &status, 0) == child);
    BOOST_TEST(WIFSIGNALED(status));
    BOOST_TEST(WTERMSIG(status) == SIGABRT);
}
#endif

limiter_options with_an_algorithm() {
    limiter_options o = patient();
    o.algorithm = [](const asio_semaphore::limit_sample& s) {
        return s.limit;
    };
    return o;
}

void drop(limiter& limit, int times) {
    for (int i = 0; i < times; ++i)
        limit.try_admit().reset();
}

} // namespace

#if defined(BOOST_ENABLE_ASSERT_HANDLER)
namespace boost {
void assertion_failed(const char*, const char*, const char*, long) {
    ++assertions;
}
void assertion_failed_msg(const char*, const char* message, const char*, const char*, long) {
    ++assertions;
    said = message;
}
} // namespace boost
#endif

BOOST_AUTO_TEST_SUITE(limiter_unfinished)

BOOST_AUTO_TEST_CASE(the_thousandth_of_those_that_nobody_finished_asserts_once) {
    with_misuse([] {
        asio::io_context context;
        limiter limit(context, 1, with_an_algorithm());
        drop(limit, 3000);
        BOOST_TEST(limit.in_flight() == 0);
        BOOST_TEST(limit.statistics().unreported == 3000u);
    });
}

BOOST_FIXTURE_TEST_CASE(one_that_was_finished_is_enough, fixture) {
    assertions = 0;
    limiter limit(context, 1, with_an_algorithm());
    drop(limit, 500);
    limit.try_admit().finish(ended::ignored);
    drop(limit, 1500);
    BOOST_TEST(assertions == 0);
}

BOOST_FIXTURE_TEST_CASE(a_fixed_limit_needs_to_be_told_nothing, fixture) {
    assertions = 0;
    limiter limit(context, 1, patient());
    drop(limit, 2000);
    BOOST_TEST(assertions == 0);
}

BOOST_AUTO_TEST_SUITE_END()
