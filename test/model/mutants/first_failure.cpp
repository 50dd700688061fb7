// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// Ends a test program at its first failure: what comes after it says nothing more about a mutant.

#include <boost/test/unit_test.hpp>

#include <cstdlib>
#include <iostream>

namespace {

class first_failure : public boost::unit_test::test_observer {
public:
    first_failure() { boost::unit_test::framework::register_observer(*this); }
    ~first_failure() { boost::unit_test::framework::deregister_observer(*this); }

    void assertion_result(boost::unit_test::assertion_result result) override {
        if (result == boost::unit_test::AR_FAILED)
            end();
    }
    void exception_caught(const boost::execution_exception&) override { end(); }
    int priority() override { return 100; } // after the log, which writes the failure

private:
    // Without destructors: other threads may be in the middle of something.
    [[noreturn]] static void end() {
        std::cout.flush();
        std::_Exit(EXIT_FAILURE);
    }
};

BOOST_TEST_GLOBAL_FIXTURE(first_failure);

} // namespace
