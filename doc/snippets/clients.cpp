// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore.hpp>

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <exception>
#include <string>
#include <utility>
#include <vector>

namespace {

namespace asio = boost::asio;
using asio::awaitable;
using asio::use_awaitable;
using asio_semaphore::admission;
using asio_semaphore::key_of;
using asio_semaphore::limiter;
using boost::system::error_code;
using namespace std::chrono_literals;

std::vector<std::string> served;

struct fixture {
    asio::io_context context;

    fixture() { served.clear(); }
    template <typename Coroutine>
    void start(Coroutine coroutine) {
        asio::co_spawn(context, std::move(coroutine), [](std::exception_ptr e) {
            if (e)
                std::rethrow_exception(e);
        });
    }
};

//! [request]
awaitable<void> request(limiter& limit, std::string tenant) {
    admission place = co_await limit.async_admit({.key = key_of(tenant)}, use_awaitable);
    served.push_back(tenant);
    co_await asio::post(use_awaitable);
    place.finish();
}
//! [request]

//! [address]
// A client may own a whole IPv6 /64 network, so all its addresses make one key.
std::uint64_t key_of_client(const asio::ip::address& address) {
    if (address.is_v4())
        return key_of(address.to_v4().to_uint());
    std::uint64_t network = 0;
    const auto bytes = address.to_v6().to_bytes();
    for (int i = 0; i < 8; ++i)
        network = network << 8 | bytes[static_cast<std::size_t>(i)];
    return key_of(network);
}
//! [address]

} // namespace

BOOST_FIXTURE_TEST_SUITE(doc_clients, fixture)

BOOST_AUTO_TEST_CASE(the_little_one_does_not_wait_for_the_large_one) {
    //! [limiter]
    limiter limit(context, 2, {.max_waiting = 100, .max_per_key = 0}); // 0: no cap
    for (int i = 0; i < 5; ++i)
        start(request(limit, "large"));
    start(request(limit, "little"));
    //! [limiter]
    context.run();
    const std::vector<std::string> order = {"large", "large", "little", "large", "large", "large"};
    BOOST_TEST(served == order, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(addresses) {
    using asio::ip::make_address;
    const auto key = [](const char* address) {
        return key_of_client(make_address(address));
    };
    BOOST_TEST(key("2001:db8::1") == key("2001:db8::ffff:1"));
    BOOST_TEST(key("2001:db8::1") != key("2001:db8:0:1::1"));
    BOOST_TEST(key("192.0.2.1") != key("192.0.2.2"));
}

BOOST_AUTO_TEST_CASE(shares) {
    //! [share]
    // Of ten places, background work (priorities 2 and 3) fills at most five, batch jobs (1) eight.
    limiter limit(context, 10, {.share = {1, 0.8, 0.5, 0.5}});
    //! [share]
    std::vector<admission> held;
    for (int priority : {3, 2, 1, 0})
        while (admission place = limit.try_admit({.priority = priority}))
            held.push_back(std::move(place));
    const auto admitted = limit.statistics().priorities;
    BOOST_TEST(admitted[3].admitted == 5u);
    BOOST_TEST(admitted[2].admitted == 0u);
    BOOST_TEST(admitted[1].admitted == 3u);
    BOOST_TEST(admitted[0].admitted == 2u);
}

BOOST_AUTO_TEST_CASE(the_busiest_clients) {
    limiter limit(context, 3);
    admission one = limit.try_admit({.key = key_of(1)}), two = limit.try_admit({.key = key_of(2)}),
              three = limit.try_admit({.key = key_of(2)});
    //! [busiest]
    for (const auto& usage : limit.busiest_keys(1)) { // for a log
        BOOST_TEST(usage.key == key_of(2));
        BOOST_TEST(usage.in_flight == 2);
        BOOST_TEST(usage.waiting == 0u);
    }
    //! [busiest]
}

BOOST_AUTO_TEST_SUITE_END()
