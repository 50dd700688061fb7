#include <model/faults_memory.hpp>
#include <model/faults_world.hpp>

#include <support/handlers.hpp>

#include <new>

BOOST_AUTO_TEST_SUITE(model_faults)

BOOST_AUTO_TEST_CASE_TEMPLATE(nothing_is_lost_whatever_fails, Where, faults::places) {
    faults::check_all<Where, false>({faults::form::bare, faults::form::permit});
}

BOOST_AUTO_TEST_CASE(a_keeper_that_cannot_be_made_costs_one_handler_and_no_permit) {
    // Who goes on to another context leaves something behind that keeps the semaphore's busy.
    namespace asio = boost::asio;
    using faults::plan;
    asio::io_context context, other;
    asio_semaphore::async_semaphore semaphore(context, 1);
    asio_semaphore::permit held = semaphore.try_acquire_permit();
    support::result first, second;
    semaphore.async_acquire_permit(asio::bind_executor(other, support::recording(first)));
    semaphore.async_acquire_permit(asio::bind_executor(other, support::recording(second)));
    held.reset();
    plan::get().make(faults::kind::recycle, 0, faults::times::once);
    {
        const plan::armed now;
        BOOST_CHECK_THROW(context.poll_one(), std::bad_alloc);
    }
    plan::get().make_none();
    BOOST_TEST(first.was_dropped());
    BOOST_TEST(second.pending());
    support::poll(context);
    support::poll(other);
    BOOST_TEST(second.succeeded());
    second.held.reset();
    BOOST_TEST(semaphore.available() == 1);
    context.poll();
    BOOST_TEST(context.stopped()); // nobody keeps it busy any more
}

BOOST_AUTO_TEST_SUITE_END()
