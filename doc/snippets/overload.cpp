// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include "../../example/17_vegas.hpp"

#include <asio_semaphore.hpp>

#include <boost/asio.hpp>
#include <boost/beast/core/error.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <chrono>
#include <exception>
#include <utility>
#include <vector>

namespace {

namespace asio = boost::asio;
using asio::awaitable;
using asio::redirect_error;
using asio::use_awaitable;
using asio_semaphore::admission;
using asio_semaphore::limiter;
using boost::system::error_code;
using namespace std::chrono_literals;

enum class reply { ok, busy, closing };

error_code ending; // of work()

awaitable<error_code> work() {
    co_await asio::post(use_awaitable);
    co_return ending;
}

struct fixture {
    asio::io_context context;

    fixture() { ending = {}; }
    template <typename Coroutine>
    void start(Coroutine coroutine) {
        asio::co_spawn(context, std::move(coroutine), [](std::exception_ptr e) {
            if (e)
                std::rethrow_exception(e);
        });
    }
};

//! [handle]
awaitable<reply> handle(limiter& limit) {
    error_code ec;
    admission place = co_await limit.async_admit(redirect_error(use_awaitable, ec));
    if (ec == asio_semaphore::condition::overload)
        co_return reply::busy; // 503, with Retry-After
    if (ec)                    // error::closed, or operation_aborted: the client has gone
        co_return reply::closing;
    const error_code result = co_await work();
    place.finish(result); // gives the place back, and reports how the work ended
    co_return reply::ok;
}
//! [handle]

//! [deadline]
// The request may wait as long as the client does, minus the time that the work takes.
awaitable<error_code> in_time(limiter& limit, std::chrono::steady_clock::time_point deadline) {
    const auto left = deadline - std::chrono::steady_clock::now() - 20ms; // the work takes 20 ms
    error_code ec;
    admission place =
        co_await limit.async_admit({.max_wait = left}, redirect_error(use_awaitable, ec));
    if (!ec)
        place.finish(co_await work());
    co_return ec;
}
//! [deadline]

//! [retry_after]
std::chrono::seconds retry_after(const limiter& limit) {
    using std::chrono::seconds;
    const auto wait = limit.statistics().expected_wait;
    return std::clamp(std::chrono::floor<seconds>(wait) + 1s, seconds(1), seconds(60));
}
//! [retry_after]

//! [classify]
// The timeout of Beast's streams is not that of Asio. It indicates load only if the stream leads to
// a backend: a slow client must not lower the limit.
asio_semaphore::outcome of_a_backend(const error_code& ec) {
    if (ec == boost::beast::error::timeout)
        return asio_semaphore::outcome::overloaded;
    return asio_semaphore::default_outcome(ec);
}
//! [classify]

//! [of_status]
// The outcome for the HTTP status that a backend answered.
asio_semaphore::outcome of_status(int status) {
    if (status == 429 || status == 503)
        return asio_semaphore::outcome::overloaded; // the backend reports overload
    if (status < 400)
        return asio_semaphore::outcome::success; // the ordinary work was done
    return asio_semaphore::outcome::ignored;     // cheaper than ordinary work, or broken
}
//! [of_status]

} // namespace

BOOST_FIXTURE_TEST_SUITE(doc_overload, fixture)

BOOST_AUTO_TEST_CASE(a_refused_request_completes_with_the_reason) {
    //! [bounded]
    limiter limit(
        context, 2,
        {
            .max_waiting = 2,                              // so many requests may wait,
            .max_wait = 200ms,                             // for so long,
            .busy_wait = 5ms,                              // or for so long in a standing queue,
            .order = asio_semaphore::queue_order::adaptive // which then serves the newest first
        });
    //! [bounded]
    std::vector<reply> replies;
    for (int i = 0; i < 5; ++i)
        start([&]() -> awaitable<void> { replies.push_back(co_await handle(limit)); });
    context.run();
    BOOST_TEST(std::count(replies.begin(), replies.end(), reply::busy) == 1);
    BOOST_TEST(std::count(replies.begin(), replies.end(), reply::ok) == 4);
    BOOST_TEST(limit.statistics().priorities[0].queue_full == 1u);
    BOOST_TEST(limit.statistics().succeeded == 4u);
    limit.close();
    context.restart();
    start([&]() -> awaitable<void> { BOOST_TEST((co_await handle(limit) == reply::closing)); });
    context.run();
}

BOOST_AUTO_TEST_CASE(a_deadline_of_the_requests_own) {
    limiter limit(context, 1);
    admission busy = limit.try_admit();
    const auto now = std::chrono::steady_clock::now();
    start([&]() -> awaitable<void> {
        BOOST_TEST((co_await in_time(limit, now + 10ms) == asio::error::timed_out));
        busy.finish();
        BOOST_TEST((co_await in_time(limit, now + 1h) == error_code()));
    });
    context.run();
}

BOOST_AUTO_TEST_CASE(when_to_come_again) {
    limiter limit(context, 1);
    BOOST_TEST(retry_after(limit).count() == 1);
}

BOOST_AUTO_TEST_CASE(a_timeout_of_beast) {
    BOOST_TEST(
        (asio_semaphore::default_outcome(boost::beast::error::timeout) ==
         asio_semaphore::outcome::ignored));
    //! [algorithm]
    limiter limit(
        context, 20, // the initial limit
        {.algorithm = asio_semaphore::gradient_limit({.max_limit = 500, .max_latency = 250ms}),
         .classify = of_a_backend});
    //! [algorithm]
    ending = boost::beast::error::timeout;
    start([&]() -> awaitable<void> { BOOST_TEST((co_await handle(limit) == reply::ok)); });
    context.run();
    BOOST_TEST(limit.statistics().overloaded == 1u);
    ending = asio::error::eof;
    context.restart();
    start([&]() -> awaitable<void> { BOOST_TEST((co_await handle(limit) == reply::ok)); });
    context.run();
    BOOST_TEST(limit.statistics().ignored == 1u);
    BOOST_TEST(limit.statistics().unreported == 0u);
}

BOOST_AUTO_TEST_CASE(an_answer_over_http) {
    BOOST_TEST((of_status(503) == asio_semaphore::outcome::overloaded));
    BOOST_TEST((of_status(200) == asio_semaphore::outcome::success));
    BOOST_TEST((of_status(404) == asio_semaphore::outcome::ignored));
}

BOOST_AUTO_TEST_CASE(a_law_in_a_dry_run_refuses_nobody) {
    //! [law_dry_run]
    limiter limit(
        context, 20, // a guess
        {.algorithm = asio_semaphore::gradient_limit({.max_latency = 250ms}), .enforce = false});
    //! [law_dry_run]
    for (int i = 0; i < 50; ++i)
        start([&]() -> awaitable<void> { BOOST_TEST((co_await handle(limit) == reply::ok)); });
    context.run();
    BOOST_TEST(limit.statistics().over_limit > 0u);
    BOOST_TEST(limit.statistics().succeeded == 50u);
    BOOST_TEST(limit.statistics().latency.count() == 50u);
}

BOOST_AUTO_TEST_CASE(a_law_within_bounds) {
    //! [law_bounds]
    limiter limit(
        context, 40, // where it starts
        {.algorithm = asio_semaphore::gradient_limit(
             {.min_limit = 30, .max_limit = 400, .max_latency = 250ms}),
         .max_wait = 60ms}); // a quarter of the clients' timeout
    //! [law_bounds]
    ending = asio::error::timed_out;
    for (int i = 0; i < 200; ++i)
        start([&]() -> awaitable<void> { co_await handle(limit); });
    context.run();
    BOOST_TEST(limit.statistics().overloaded > 0u);
    BOOST_TEST(limit.limit() >= 30);
}

BOOST_AUTO_TEST_CASE(a_law_of_ones_own) {
    //! [own_law]
    limiter limit(
        context, 20,
        {.algorithm = [law = vegas()](const asio_semaphore::limit_sample& finished) mutable {
            return std::min(law(finished), 400.0); // an upper bound
        }});
    //! [own_law]
    start([&]() -> awaitable<void> { BOOST_TEST((co_await handle(limit) == reply::ok)); });
    context.run();
    BOOST_TEST(limit.statistics().algorithm_failures == 0u);
}

BOOST_AUTO_TEST_CASE(any_operation) {
    asio::steady_timer operation(context);
    limiter limit(context, 1);
    start([&]() -> awaitable<void> {
        //! [with_permit]
        co_await operation.async_wait(with_permit(limit, use_awaitable));
        //! [with_permit]
    });
    context.run();
    BOOST_TEST(limit.statistics().succeeded == 1u);
}

BOOST_AUTO_TEST_CASE(nested) {
    limiter requests(context, 10), queries(context, 5);
    start([&]() -> awaitable<void> {
        //! [nested]
        admission place = co_await requests.async_admit({.weight = 2}, use_awaitable); // for both
        admission inner = co_await queries.async_admit(use_awaitable); // or ask another limiter
        //! [nested]
        inner.finish();
        place.finish();
    });
    context.run();
    BOOST_TEST(requests.statistics().succeeded == 1u);
}

BOOST_AUTO_TEST_SUITE_END()
