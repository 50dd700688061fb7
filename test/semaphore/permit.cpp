#include <asio_semaphore/permit.hpp>

#include <asio_semaphore/async_semaphore.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/test/unit_test.hpp>

#include <stdexcept>

namespace {

using asio_semaphore::async_semaphore;
using asio_semaphore::permit;

struct fixture {
    boost::asio::io_context context;
    async_semaphore semaphore{context, 5};
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(semaphore_permit, fixture)

BOOST_AUTO_TEST_CASE(an_empty_permit_owns_nothing) {
    permit empty;
    BOOST_TEST(!empty);
    BOOST_TEST(empty.count() == 0);
    empty.reset();
    BOOST_TEST(empty.forget() == 0);
    BOOST_TEST(!empty.split(0));
}

BOOST_AUTO_TEST_CASE(gives_back_when_it_dies) {
    {
        permit held = semaphore.try_acquire_permit(2);
        BOOST_TEST(held.count() == 2);
        BOOST_TEST(semaphore.available() == 3);
    }
    BOOST_TEST(semaphore.available() == 5);
}

BOOST_AUTO_TEST_SUITE_END()
