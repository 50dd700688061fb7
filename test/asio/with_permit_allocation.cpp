// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore/with_permit.hpp>

#include <support/global_new.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/test/unit_test.hpp>

namespace asio = boost::asio;
using asio_semaphore::async_semaphore;
using asio_semaphore::with_permit;
using boost::system::error_code;

namespace {

/// Starts each operation when the one before has ended.
template <typename Adapt>
struct series {
    async_semaphore& sem;
    asio::steady_timer timer;
    Adapt adapt;
    int left = 100;
    std::size_t news_when_warm = 0;

    void start() {
        timer.async_wait(with_permit(sem, adapt([this](error_code) {
                                         if (--left == 90)
                                             news_when_warm = support::news;
                                         if (left > 0)
                                             start();
                                     })));
    }
};

} // namespace

BOOST_AUTO_TEST_CASE(with_a_free_permit_nothing_comes_from_operator_new) {
    asio::io_context context;
    async_semaphore sem(context, 1);
    asio::cancellation_signal signal;
    const auto check = [&](auto adapt) {
        context.restart();
        series<decltype(adapt)> all{
            sem, asio::steady_timer(context, asio::steady_timer::time_point::min()), adapt};
        all.start();
        context.run();
        BOOST_TEST(all.left == 0);
        BOOST_TEST(all.news_when_warm > 0u);
        BOOST_TEST(support::news - all.news_when_warm == 0u);
    };
    check([](auto handler) { return handler; });
    check([&](auto handler) { return asio::bind_cancellation_slot(signal.slot(), handler); });
}
