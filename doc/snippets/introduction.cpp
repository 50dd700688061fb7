// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/test/unit_test.hpp>

#include <utility>

namespace {

namespace asio = boost::asio;
using asio_semaphore::async_semaphore;
using asio_semaphore::permit;
using boost::system::error_code;

} // namespace

BOOST_AUTO_TEST_SUITE(doc_introduction)

BOOST_AUTO_TEST_CASE(step_by_step) {
    //! [steps]
    asio::io_context context;
    async_semaphore limit(context, 2, 2);

    permit first = limit.try_acquire_permit(); // both permits are free
    permit second = limit.try_acquire_permit();
    BOOST_TEST(limit.available() == 0); // no permit is free now

    permit third;
    limit.async_acquire_permit([&](error_code ec, permit held) {
        if (!ec)
            third = std::move(held);
    });
    BOOST_TEST(limit.waiting() == 1u); // the operation waits, the program continues

    first.reset(); // releases the permit: it goes straight to the waiting operation
    BOOST_TEST(limit.waiting() == 0u);
    BOOST_TEST(limit.available() == 0);
    BOOST_TEST(!third); // but no handler runs inside reset()

    context.run(); // the handler runs here
    BOOST_TEST(third.count() == 1);
    //! [steps]
}

BOOST_AUTO_TEST_CASE(the_maximum) {
    //! [maximum]
    asio::io_context context;
    async_semaphore exactly(context, 10, 10); // never more than ten
    error_code ec;
    exactly.release(1, ec); // a permit that was never acquired
    BOOST_TEST((ec == asio_semaphore::error::over_release));

    async_semaphore open_end(context, 10); // ten permits, no maximum
    open_end.release(1);
    BOOST_TEST(open_end.available() == 11); // eleven may run from now on, without any error

    exactly.async_acquire_permit(11, [&](error_code result, permit) { ec = result; });
    context.run();
    BOOST_TEST((ec == asio_semaphore::error::exceeds_max)); // fails at once, does not wait forever
    //! [maximum]
}

BOOST_AUTO_TEST_SUITE_END()
