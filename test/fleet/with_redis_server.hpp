// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <fleet/redis_server.hpp>

#include <boost/test/unit_test.hpp>

namespace test {

/// A precondition of test cases and suites: there is a server to test with.
inline boost::test_tools::assertion_result with_redis_server(boost::unit_test::test_unit_id) {
    boost::test_tools::assertion_result is_there(has_redis_server());
    if (!is_there)
        is_there.message() << redis_server_program() << " is not installed";
    return is_there;
}

} // namespace test
