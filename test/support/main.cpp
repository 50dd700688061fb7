#define BOOST_TEST_MODULE asio_semaphore
#include <boost/test/included/unit_test.hpp>
