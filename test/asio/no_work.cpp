#include <asio_semaphore/async_semaphore.hpp>

#include <support/handlers.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/test/unit_test.hpp>

namespace {

using asio_semaphore::async_semaphore;
using asio_semaphore::permit;
using support::recording;
using support::result;

struct fixture {
    boost::asio::io_context context;
    async_semaphore semaphore{context, 1};
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(asio_no_work, fixture)

BOOST_AUTO_TEST_CASE(an_idle_semaphore_does_not_keep_its_context_running) {
    BOOST_TEST(context.run() == 0);
    BOOST_TEST(context.stopped());
}

BOOST_AUTO_TEST_CASE(neither_does_one_whose_permits_are_out) {
    const permit held = semaphore.try_acquire_permit();
    BOOST_TEST(context.run() == 0);
    BOOST_TEST(context.stopped());
}

BOOST_AUTO_TEST_CASE(neither_does_one_that_was_used) {
    result first, second;
    semaphore.async_acquire_permit(recording(first));
    semaphore.async_acquire_permit(recording(second));
    context.poll();
    first.held.reset();
    context.run();
    BOOST_TEST(second.succeeded());
    BOOST_TEST(context.stopped());
    context.restart();
    BOOST_TEST(context.run() == 0);
}

BOOST_AUTO_TEST_CASE(neither_does_a_closed_one) {
    result waiting;
    const permit held = semaphore.try_acquire_permit();
    semaphore.async_acquire(recording(waiting));
    semaphore.close();
    context.run();
    BOOST_TEST(waiting.failed(asio_semaphore::error::closed));
    context.restart();
    BOOST_TEST(context.run() == 0);
}

BOOST_AUTO_TEST_CASE(giving_back_with_nobody_waiting_submits_nothing) {
    semaphore.try_acquire_permit().reset();
    semaphore.release(3);
    semaphore.reduce(2);
    semaphore.cancel();
    semaphore.close();
    BOOST_TEST(context.run() == 0);
}

BOOST_AUTO_TEST_CASE(a_waiting_operation_keeps_its_context_running) {
    const permit held = semaphore.try_acquire_permit();
    result waiting;
    semaphore.async_acquire(recording(waiting));
    BOOST_TEST(context.poll() == 0);
    BOOST_TEST(!context.stopped());
    BOOST_TEST(semaphore.cancel() == 1);
    context.run();
    BOOST_TEST(context.stopped());
    BOOST_TEST(waiting.failed(boost::asio::error::operation_aborted));
}

BOOST_AUTO_TEST_SUITE_END()
