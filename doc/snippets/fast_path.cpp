// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore.hpp>

#include <support/handlers.hpp>

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>

#include <exception>
#include <utility>

namespace {

namespace asio = boost::asio;
using asio::awaitable;
using asio::use_awaitable;
using asio_semaphore::async_semaphore;
using asio_semaphore::permit;
using boost::system::error_code;

struct fixture {
    asio::io_context context;
    async_semaphore limit{context, 1, 1};
    int finished = 0;

    template <typename Coroutine>
    void start(Coroutine coroutine) {
        asio::co_spawn(context, std::move(coroutine), [this](std::exception_ptr e) {
            ++finished;
            if (e)
                std::rethrow_exception(e);
        });
    }
};

//! [plain]
awaitable<void> plain(async_semaphore& limit) {
    if (!limit.try_acquire())
        co_await limit.async_acquire(use_awaitable);
    permit held(limit, std::adopt_lock);
    // ...
}
//! [plain]

//! [permit]
awaitable<permit> enter(async_semaphore& limit) {
    permit held = limit.try_acquire_permit();
    if (!held)
        held = co_await limit.async_acquire_permit(use_awaitable);
    co_return held;
}
//! [permit]

//! [loop]
/// Handles items one after another, each with a permit.
class worker {
public:
    worker(async_semaphore& limit, int items) : limit_(limit), items_(items) {}

    void run() {
        while (items_ > 0) {
            permit held = limit_.try_acquire_permit();
            if (!held) {
                limit_.async_acquire_permit([this](error_code ec, permit granted) {
                    if (ec)
                        return;
                    handle(std::move(granted));
                    run();
                });
                return;
            }
            handle(std::move(held)); // a loop, not a recursion: the stack does not grow
        }
    }

private:
    void handle(permit) { --items_; }

    async_semaphore& limit_;
    int items_;
};
//! [loop]

} // namespace

BOOST_FIXTURE_TEST_SUITE(doc_fast_path, fixture)

BOOST_AUTO_TEST_CASE(a_free_permit_is_taken_without_suspending) {
    bool suspended = true;
    start([&]() -> awaitable<void> {
        bool others_ran = false;
        asio::post(context, [&] { others_ran = true; });
        co_await plain(limit);
        { const permit held = co_await enter(limit); }
        suspended = others_ran;
        co_await asio::post(use_awaitable);
    });
    context.run();
    BOOST_TEST(finished == 1);
    BOOST_TEST(!suspended);
    BOOST_TEST(limit.available() == 1);
}

BOOST_AUTO_TEST_CASE(without_a_free_permit_it_waits) {
    permit held = limit.try_acquire_permit();
    start(plain(limit));
    start([&]() -> awaitable<void> { const permit p = co_await enter(limit); });
    support::poll(context);
    BOOST_TEST(limit.waiting() == 2u);
    held.reset();
    context.run();
    BOOST_TEST(finished == 2);
    BOOST_TEST(limit.available() == 1);
}

BOOST_AUTO_TEST_CASE(nobody_is_overtaken) {
    permit held = limit.try_acquire_permit();
    start(plain(limit));
    support::poll(context);
    limit.release(0);
    held.reset(); // goes to the coroutine
    //! [not_overtaken]
    BOOST_TEST(!limit.try_acquire()); // while somebody waits, or a permit is on its way to them
    //! [not_overtaken]
    context.run();
    BOOST_TEST(limit.available() == 1);
}

BOOST_AUTO_TEST_CASE(a_loop_of_callbacks) {
    worker w(limit, 100000);
    permit held = limit.try_acquire_permit();
    w.run();
    BOOST_TEST(limit.waiting() == 1u);
    held.reset();
    context.run();
    BOOST_TEST(limit.available() == 1);
}

BOOST_AUTO_TEST_SUITE_END()
