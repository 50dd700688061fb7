// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// The executor drops a handler during its delivery, or throws, so the handler is destroyed. The
// destructor of the handler then destroys other objects.

#include <asio_semaphore/async_semaphore.hpp>

#include <model/faults.hpp>

#include <boost/test/unit_test.hpp>

#include <memory>
#include <utility>

namespace {

namespace asio = boost::asio;
using asio_semaphore::async_semaphore;
using asio_semaphore::permit;
using boost::system::error_code;
using faults::kind;
using faults::plan;
using faults::times;
using support::recording;
using support::result;

using faulty_semaphore = asio_semaphore::basic_async_semaphore<faults::executor>;

struct fixture {
    // When the permit returns, the executor drops the submission.
    void give_back_to_a_dropping_executor(permit p) {
        plan::get().make(kind::drop, 0, times::once);
        const plan::armed now;
        p.reset();
    }

    asio::io_context context;
    faulty_semaphore semaphore{faults::executor(context), 1};
    permit held = semaphore.try_acquire_permit();
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(model_faults_in_delivery, fixture)

BOOST_AUTO_TEST_CASE(a_dropped_handler_gives_back_the_permit_that_it_owns) {
    async_semaphore other(context, 1);
    result waiting;
    permit carried = other.try_acquire_permit();
    other.async_acquire_permit(recording(waiting));
    semaphore.async_acquire_permit([p = std::move(carried)](error_code, permit) {});
    give_back_to_a_dropping_executor(std::move(held));
    BOOST_TEST(semaphore.available() == 1);
    support::poll(context);
    BOOST_TEST(waiting.succeeded());
}

BOOST_AUTO_TEST_CASE(a_dropped_handler_may_destroy_its_semaphore) {
    auto owned = std::make_unique<faulty_semaphore>(std::move(semaphore));
    faulty_semaphore& it = *owned;
    result behind;
    it.async_acquire_permit([s = std::move(owned)](error_code, permit) {});
    it.async_acquire_permit(recording(behind));
    give_back_to_a_dropping_executor(std::move(held));
    support::poll(context);
    // The permit returned before or after the semaphore's end. In both cases the waiter ends once.
    BOOST_TEST(behind.calls == 1);
}

BOOST_AUTO_TEST_CASE(many_dropped_handlers_do_not_grow_the_stack) {
    constexpr int many = 100'000;
    int dropped = 0;
    for (int i = 0; i < many; ++i)
        semaphore.async_acquire_permit(
            [e = support::at_exit([&dropped] { ++dropped; })](error_code, permit) {});
    plan::get().make(kind::drop, 0, times::from_then_on);
    {
        const plan::armed now;
        held.reset();
    }
    BOOST_TEST(dropped == many);
    BOOST_TEST(semaphore.available() == 1);
}

BOOST_AUTO_TEST_SUITE_END()
