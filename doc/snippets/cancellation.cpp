// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore.hpp>

#include <support/handlers.hpp>

#include <boost/asio.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/test/unit_test.hpp>

#include <string>
#include <utility>

namespace {

namespace asio = boost::asio;
using asio::as_tuple;
using asio::awaitable;
using asio::use_awaitable;
using asio_semaphore::async_semaphore;
using asio_semaphore::permit;
using boost::system::error_code;

struct fixture {
    asio::io_context context;
    async_semaphore limit{context, 1, 1};
};

//! [client_gone]
awaitable<std::string> serve(asio::local::stream_protocol::socket& client, async_semaphore& limit) {
    using namespace asio::experimental::awaitable_operators;
    // || waits for a success. With as_tuple an error is a result too, so the operation that ends
    // first cancels the other one. If the acquire loses although it was granted a permit, the
    // permit releases itself.
    auto first = co_await (
        limit.async_acquire_permit(as_tuple(use_awaitable)) ||
        client.async_wait(asio::socket_base::wait_read, as_tuple(use_awaitable)));
    if (first.index() == 1)
        co_return "the client has gone";
    const auto& [ec, held] = std::get<0>(first);
    co_return ec ? "the server stops" : "served";
}
//! [client_gone]

} // namespace

BOOST_FIXTURE_TEST_SUITE(doc_cancellation, fixture)

BOOST_AUTO_TEST_CASE(one_operation) {
    const permit held = limit.try_acquire_permit();
    error_code result;
    //! [signal]
    asio::cancellation_signal signal;
    limit.async_acquire_permit(
        asio::bind_cancellation_slot(signal.slot(), [&](error_code ec, permit) { result = ec; }));
    signal.emit(asio::cancellation_type::total); // or partial, or terminal
    BOOST_TEST(limit.waiting() == 0u);           // the operation has left the queue
    context.run();                               // its handler is called here
    BOOST_TEST(result == asio::error::operation_aborted);
    //! [signal]
}

BOOST_AUTO_TEST_CASE(granted_is_granted) {
    asio::cancellation_signal signal;
    permit got;
    //! [granted]
    limit.async_acquire_permit(
        asio::bind_cancellation_slot(signal.slot(), [&](error_code ec, permit held) {
            BOOST_TEST(!ec);
            got = std::move(held);
        }));
    signal.emit(asio::cancellation_type::terminal); // too late: a permit was free
    context.run();
    BOOST_TEST(got.count() == 1);
    //! [granted]
}

BOOST_AUTO_TEST_CASE(a_coroutine) {
    const permit held = limit.try_acquire_permit();
    std::string end;
    //! [coroutine]
    const auto wait = [&]() -> awaitable<void> {
        error_code ec;
        const permit p =
            co_await limit.async_acquire_permit(asio::redirect_error(use_awaitable, ec));
        end = ec == asio::error::operation_aborted ? "cancelled" : "granted";
    };
    asio::cancellation_signal stop;
    asio::co_spawn(context, wait(), asio::bind_cancellation_slot(stop.slot(), asio::detached));
    context.poll();
    stop.emit(asio::cancellation_type::terminal); // cancels what the coroutine is awaiting
    context.run();
    BOOST_TEST(end == "cancelled");
    //! [coroutine]
}

BOOST_AUTO_TEST_CASE(everybody) {
    const permit held = limit.try_acquire_permit();
    int aborted = 0;
    //! [everybody]
    for (int i = 0; i < 3; ++i)
        limit.async_acquire_permit(
            [&](error_code ec, permit) { aborted += ec == asio::error::operation_aborted; });
    BOOST_TEST(limit.cancel() == 3u); // later operations are not affected
    context.run();
    BOOST_TEST(aborted == 3);
    //! [everybody]
}

BOOST_AUTO_TEST_CASE(a_client_that_goes) {
    asio::local::stream_protocol::socket here(context), there(context);
    asio::local::connect_pair(here, there);
    std::string end;
    const auto one = [&]() -> awaitable<void> {
        end = co_await serve(here, limit);
    };
    permit held = limit.try_acquire_permit();
    asio::co_spawn(context, one(), asio::detached);
    support::poll(context);
    BOOST_TEST(limit.waiting() == 1u);
    there.close();
    context.run();
    BOOST_TEST(end == "the client has gone");
    BOOST_TEST(limit.waiting() == 0u);
}

BOOST_AUTO_TEST_CASE(a_server_that_stops_while_the_client_waits) {
    asio::local::stream_protocol::socket here(context), there(context);
    asio::local::connect_pair(here, there);
    std::string end;
    const auto one = [&]() -> awaitable<void> {
        end = co_await serve(here, limit);
    };
    const permit held = limit.try_acquire_permit();
    asio::co_spawn(context, one(), asio::detached);
    support::poll(context);
    limit.close();
    context.run(); // the client says and does nothing
    BOOST_TEST(end == "the server stops");
}

BOOST_AUTO_TEST_CASE(a_client_that_stays) {
    asio::local::stream_protocol::socket here(context), there(context);
    asio::local::connect_pair(here, there);
    std::string end;
    const auto one = [&]() -> awaitable<void> {
        end = co_await serve(here, limit);
    };
    asio::co_spawn(context, one(), asio::detached);
    context.run();
    BOOST_TEST(end == "served");
    BOOST_TEST(limit.available() == 1);
}

BOOST_AUTO_TEST_SUITE_END()
