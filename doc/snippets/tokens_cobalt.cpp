// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore.hpp>

#if defined(__GNUC__) && !defined(__clang__)
// GCC mistakes the deallocation function of a task's promise for that of another promise.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#endif

#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/cobalt/op.hpp>
#include <boost/cobalt/spawn.hpp>
#include <boost/cobalt/task.hpp>
#include <boost/test/unit_test.hpp>

#include <cstddef>

namespace {

namespace asio = boost::asio;
namespace cobalt = boost::cobalt;
using asio_semaphore::async_semaphore;
using asio_semaphore::permit;

//! [cobalt]
cobalt::task<std::ptrdiff_t> job(async_semaphore& sem) {
    permit held = co_await sem.async_acquire_permit(cobalt::use_op);
    co_return held.count();
}
//! [cobalt]

} // namespace

BOOST_AUTO_TEST_SUITE(doc_tokens_cobalt)

BOOST_AUTO_TEST_CASE(use_op) {
    asio::io_context context(1);
    async_semaphore sem(context, 1, 1);
    permit taken = sem.try_acquire_permit();
    auto later = cobalt::spawn(context, job(sem), asio::use_future);
    context.poll();
    BOOST_TEST(sem.waiting() == 1u);
    taken.reset();
    context.run();
    BOOST_TEST(later.get() == 1);

    auto at_once = cobalt::spawn(context, job(sem), asio::use_future);
    context.restart();
    context.run();
    BOOST_TEST(at_once.get() == 1);
    BOOST_TEST(sem.available() == 1);
}

BOOST_AUTO_TEST_SUITE_END()
