// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// The shortest sequences in which the library once broke a promise.

#include <asio_semaphore/async_semaphore.hpp>

#include <support/handlers.hpp>

#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/test/unit_test.hpp>

BOOST_AUTO_TEST_SUITE(model_sequences_edges)

BOOST_AUTO_TEST_CASE(a_moved_from_semaphore_refuses_a_negative_count_as_a_closed_one_does) {
    boost::asio::io_context context;
    asio_semaphore::async_semaphore closed(context, 1), moved_from(context, 1);
    closed.close();
    const asio_semaphore::async_semaphore to(std::move(moved_from));
    support::result of_closed, of_moved_from;
    closed.async_acquire(-1, support::recording(of_closed));
    moved_from.async_acquire(-1, support::recording(of_moved_from));
    support::poll(context);
    BOOST_TEST(of_closed.failed(boost::asio::error::invalid_argument));
    BOOST_TEST(of_moved_from.failed(boost::asio::error::invalid_argument));
}

BOOST_AUTO_TEST_SUITE_END()
