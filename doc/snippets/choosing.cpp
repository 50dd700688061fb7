// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore.hpp>

#include <support/handlers.hpp>

#include <boost/asio.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/test/unit_test.hpp>

#include <deque>
#include <exception>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

namespace asio = boost::asio;
using asio::awaitable;
using asio::use_awaitable;
using asio_semaphore::async_semaphore;
using asio_semaphore::permit;
using asio_semaphore::with_permit;
using boost::system::error_code;

struct fixture {
    asio::io_context context;
    async_semaphore limit{context, 1, 1};
    int finished = 0;

    template <typename Coroutine>
    void start(Coroutine coroutine) {
        asio::co_spawn(context, std::move(coroutine), [this](std::exception_ptr) { ++finished; });
    }
};

template <typename Token>
auto async_query(asio::io_context& context, Token&& token) {
    return asio::async_compose<Token, void(error_code)>(
        [step = 0](auto& self) mutable {
            if (step++ == 0)
                asio::post(std::move(self));
            else
                self.complete(error_code());
        },
        token, context);
}

//! [with_permit]
awaitable<void> one_operation(asio::io_context& context, async_semaphore& limit) {
    co_await async_query(context, with_permit(limit, use_awaitable));
}
//! [with_permit]

//! [permit]
awaitable<void> a_scope(asio::io_context& context, async_semaphore& limit) {
    const permit held = co_await limit.async_acquire_permit(use_awaitable);
    co_await async_query(context, use_awaitable);
    co_await async_query(context, use_awaitable);
} // released here, also if a query throws or the coroutine is destroyed
//! [permit]

//! [plain]
awaitable<void> by_hand(asio::io_context& context, async_semaphore& limit) {
    co_await limit.async_acquire(use_awaitable);
    co_await async_query(context, use_awaitable); // if this throws, the permit is lost
    limit.release();
}
//! [plain]

//! [items]
/// A queue of messages. Each permit stands for one message in it.
class mailbox {
public:
    explicit mailbox(asio::io_context& context) : messages_(context, 0) {}

    void put(std::string message) {
        queue_.push_back(std::move(message));
        messages_.release(); // resumes the get() that has waited longest
    }

    awaitable<std::string> get() {
        co_await messages_.async_acquire(use_awaitable);
        std::string message = std::move(queue_.front());
        queue_.pop_front();
        co_return message;
    }

private:
    async_semaphore messages_;
    std::deque<std::string> queue_;
};
//! [items]

} // namespace

BOOST_FIXTURE_TEST_SUITE(doc_choosing, fixture)

BOOST_AUTO_TEST_CASE(three_ways_to_the_same) {
    start(one_operation(context, limit));
    start(a_scope(context, limit));
    start(by_hand(context, limit));
    context.run();
    BOOST_TEST(finished == 3);
    BOOST_TEST(limit.available() == 1);
}

BOOST_AUTO_TEST_CASE(a_permit_travels_with_its_handler) {
    asio::steady_timer timer(context);
    //! [callback]
    limit.async_acquire_permit([&](error_code ec, permit held) {
        if (ec)
            return;
        timer.expires_after(std::chrono::milliseconds(1));
        timer.async_wait([held = std::move(held)](error_code) {
            // The last handler of the chain owns the permit, and releases it when it is destroyed.
        });
    });
    //! [callback]
    context.run();
    BOOST_TEST(limit.available() == 1);
}

BOOST_AUTO_TEST_CASE(a_permit_may_lose_a_race_and_a_plain_acquire_may_not) {
    using namespace asio::experimental::awaitable_operators;
    async_semaphore other(context, 1, 1);
    start([&]() -> awaitable<void> {
        //! [race]
        // Both may be granted. The loser's permit is released with its result.
        auto first = co_await (
            limit.async_acquire_permit(use_awaitable) || other.async_acquire_permit(use_awaitable));
        //! [race]
        BOOST_TEST(limit.available() + other.available() == 1);
    });
    context.run();
    BOOST_TEST(finished == 1);
    BOOST_TEST(limit.available() + other.available() == 2);
}

BOOST_AUTO_TEST_CASE(from_one_to_the_other) {
    //! [adopt]
    if (limit.try_acquire()) {
        permit held(limit, std::adopt_lock); // from now on the object releases it
        // ...
        held.forget(); // from now on you have to call release()
    }
    BOOST_TEST(limit.available() == 0);
    limit.release();
    //! [adopt]
    BOOST_TEST(limit.available() == 1);
}

BOOST_AUTO_TEST_CASE(permits_can_be_divided) {
    //! [split]
    async_semaphore workers(context, 8, 8);
    permit all = workers.try_acquire_permit(8); // all at once
    std::vector<permit> shares;
    for (int i = 0; i < 4; ++i)
        shares.push_back(all.split(2)); // two for each of four tasks
    shares.pop_back();                  // one task is done: two permits are free
    BOOST_TEST(workers.available() == 2);
    shares[0].merge(std::move(shares[1])); // one task takes over another task's permits
    BOOST_TEST(shares[0].count() == 4);
    //! [split]
    BOOST_TEST(!all);
}

BOOST_AUTO_TEST_CASE(a_counter_of_items) {
    mailbox box(context);
    std::string got;
    const auto receive = [&]() -> awaitable<void> {
        got += co_await box.get();
    };
    start(receive());
    start(receive());
    support::poll(context);
    box.put("a");
    box.put("b");
    BOOST_TEST(got.empty());
    context.run();
    BOOST_TEST(got == "ab");
}

BOOST_AUTO_TEST_CASE(an_exception_keeps_a_permit_acquired_by_hand) {
    //! [lost]
    const auto fails = [&]() -> awaitable<void> {
        co_await limit.async_acquire(use_awaitable);
        throw std::runtime_error("before release()");
    };
    //! [lost]
    start(fails());
    context.run();
    BOOST_TEST(limit.available() == 0);
}

BOOST_AUTO_TEST_SUITE_END()
