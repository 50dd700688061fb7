// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore.hpp>

#include <boost/asio.hpp>
#include <boost/asio/spawn.hpp>
#include <boost/test/unit_test.hpp>

#include <cstddef>

namespace {

namespace asio = boost::asio;
using asio_semaphore::async_semaphore;
using asio_semaphore::permit;
using boost::system::error_code;

} // namespace

BOOST_AUTO_TEST_SUITE(doc_tokens_stackful)

BOOST_AUTO_TEST_CASE(spawn) {
    asio::io_context context;
    async_semaphore sem(context, 1, 1);
    std::ptrdiff_t count = 0;
    error_code result;
    //! [spawn]
    asio::spawn(
        context,
        [&](asio::yield_context yield) {
            permit held = sem.async_acquire_permit(yield); // throws on failure
            count = held.count();
            sem.close();
            sem.async_acquire_permit(yield[result]).reset(); // puts the error into result
        },
        asio::detached);
    //! [spawn]
    context.run();
    BOOST_TEST(count == 1);
    BOOST_TEST((result == asio_semaphore::error::closed));
    BOOST_TEST(sem.available() == 1);
}

BOOST_AUTO_TEST_SUITE_END()
