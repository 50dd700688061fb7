// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Checks the library's assertions against misuse. Include this first, in only one file of a
// program. With the header-only library, the handler here catches a failed assertion. The compiled
// library uses Boost's own handler, which ends the program, or has no assertions.

#if !defined(ASIO_SEMAPHORE_SEPARATE_COMPILATION)
#define BOOST_ENABLE_ASSERT_HANDLER
#endif

#include <boost/assert.hpp>
#include <boost/test/unit_test.hpp>

#include <csignal>
#include <string>

#include <sys/wait.h>
#include <unistd.h>

namespace support {

[[maybe_unused]] inline int assertions = 0;
[[maybe_unused]] inline std::string said;

/// Checks that the misuse fails exactly one assertion and, if the message is available, that it
/// contains @p hint.
inline void with_misuse(void (*misuse)(), [[maybe_unused]] const char* hint) {
#if defined(BOOST_ENABLE_ASSERT_HANDLER)
    assertions = 0;
    misuse();
    BOOST_TEST(assertions == 1);
    BOOST_TEST(said.find(hint) != said.npos, said);
#elif defined(NDEBUG)
    misuse();
#else
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
#endif
}

} // namespace support

#if defined(BOOST_ENABLE_ASSERT_HANDLER)
namespace boost {
void assertion_failed(const char*, const char*, const char*, long) {
    ++support::assertions;
}
void assertion_failed_msg(const char*, const char* message, const char*, const char*, long) {
    ++support::assertions;
    support::said = message;
}
} // namespace boost
#endif
