// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore.hpp>

#include <support/handlers.hpp>

#include <boost/asio.hpp>
#include <boost/asio/experimental/channel.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <deque>
#include <exception>
#include <functional>
#include <future>
#include <string>
#include <utility>

namespace {

namespace asio = boost::asio;
using asio::awaitable;
using asio::use_awaitable;
using asio_semaphore::async_semaphore;
using asio_semaphore::permit;
using boost::system::error_code;

int running = 0, most = 0;

awaitable<void> work() {
    most = std::max(most, ++running);
    co_await asio::post(use_awaitable);
    --running;
}

struct fixture {
    asio::io_context context;

    fixture() { running = most = 0; }
    template <typename Coroutine>
    void start(Coroutine coroutine) {
        asio::co_spawn(context, std::move(coroutine), [](std::exception_ptr e) {
            if (e)
                std::rethrow_exception(e);
        });
    }
};

namespace with_a_channel {
//! [channel]
using slots = asio::experimental::channel<void(error_code)>; // one element per running coroutine

awaitable<void> limited(slots& limit) {
    co_await limit.async_send(error_code(), use_awaitable);
    co_await work();
    limit.try_receive([](error_code) {}); // skipped if work() throws
}
//! [channel]
} // namespace with_a_channel

namespace with_a_timer {
//! [timer]
class limit {
public:
    limit(asio::io_context& context, int permits) :
        free_(permits), changed_(context, asio::steady_timer::time_point::max()) {}

    awaitable<void> acquire() {
        while (free_ == 0) { // checks again: another coroutine may have been faster
            error_code ec;
            co_await changed_.async_wait(asio::redirect_error(use_awaitable, ec));
        }
        --free_;
    }

    void release() {
        ++free_;
        changed_.cancel_one();
    }

private:
    int free_;
    asio::steady_timer changed_;
};
//! [timer]
} // namespace with_a_timer

namespace with_a_queue {
//! [queue]
class limit {
public:
    limit(asio::io_context& context, int permits) : context_(context), free_(permits) {}

    void acquire(std::function<void()> handler) {
        if (free_ > 0) {
            --free_;
            asio::post(context_, std::move(handler));
        } else {
            waiting_.push_back(std::move(handler));
        }
    }

    void release() {
        if (waiting_.empty()) {
            ++free_;
        } else {
            asio::post(context_, std::move(waiting_.front()));
            waiting_.pop_front();
        }
    }

private:
    asio::io_context& context_;
    int free_;
    std::deque<std::function<void()>> waiting_;
};
//! [queue]
} // namespace with_a_queue

namespace with_a_semaphore {
//! [semaphore]
awaitable<void> limited(async_semaphore& limit) {
    const permit held = co_await limit.async_acquire_permit(use_awaitable);
    co_await work();
}
//! [semaphore]
} // namespace with_a_semaphore

} // namespace

BOOST_FIXTURE_TEST_SUITE(doc_migrating, fixture)

BOOST_AUTO_TEST_CASE(from_a_channel) {
    with_a_channel::slots limit(context, 2);
    for (int i = 0; i < 10; ++i)
        start(with_a_channel::limited(limit));
    context.run();
    BOOST_TEST(most == 2);
}

BOOST_AUTO_TEST_CASE(from_a_timer) {
    with_a_timer::limit limit(context, 2);
    for (int i = 0; i < 10; ++i)
        start([&]() -> awaitable<void> {
            co_await limit.acquire();
            co_await work();
            limit.release();
        });
    context.run();
    BOOST_TEST(most == 2);
}

BOOST_AUTO_TEST_CASE(from_a_queue) {
    with_a_queue::limit limit(context, 2);
    int done = 0;
    for (int i = 0; i < 10; ++i)
        limit.acquire([&] {
            most = std::max(most, ++running);
            asio::post(context, [&] {
                --running;
                ++done;
                limit.release();
            });
        });
    context.run();
    BOOST_TEST(done == 10);
    BOOST_TEST(most == 2);
}

BOOST_AUTO_TEST_CASE(to_a_semaphore) {
    async_semaphore limit(context, 2, 2);
    for (int i = 0; i < 10; ++i)
        start(with_a_semaphore::limited(limit));
    context.run();
    BOOST_TEST(most == 2);
    BOOST_TEST(limit.available() == 2);
}

// One line for each name in the guide's tables that is not a member of the same name here.
BOOST_AUTO_TEST_CASE(names_of_other_ecosystems) {
    async_semaphore sem(context, 10, 10);
    {
        permit held = sem.try_acquire_permit(4);
        //! [return_units]
        held.split(3).reset(); // Seastar's return_units(3): gives back a part
        //! [return_units]
        BOOST_TEST(sem.available() == 9);
    }
    //! [wait]
    // .NET's Wait(), sam's acquire(): blocks the thread, so it must not run on a thread that runs
    // the context.
    std::future<permit> future = sem.async_acquire_permit(asio::use_future);
    //! [wait]
    context.run();
    BOOST_TEST(future.get().count() == 1);
}

BOOST_AUTO_TEST_SUITE_END()
