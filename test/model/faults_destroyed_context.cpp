// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// A handler is destroyed during a delivery, and destroys another context. The same thread still has
// a delivery to make for that context.

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

} // namespace

BOOST_AUTO_TEST_SUITE(model_faults_destroyed_context)

BOOST_AUTO_TEST_CASE(a_dropped_handler_may_destroy_a_context_that_it_has_just_given_work) {
    struct payload {
        std::unique_ptr<asio::io_context> context;
        permit carried; // destroyed first, and serves a waiter of that context
    };
    asio::io_context context;
    asio_semaphore::basic_async_semaphore<faults::executor> semaphore(faults::executor(context), 1);
    permit held = semaphore.try_acquire_permit();
    auto inner = std::make_unique<asio::io_context>();
    async_semaphore other(*inner, 1);
    support::result waiting;
    permit carried = other.try_acquire_permit();
    other.async_acquire_permit(support::recording(waiting));
    semaphore.async_acquire_permit(
        [p = payload{std::move(inner), std::move(carried)}](error_code, permit) {});
    plan::get().make(kind::drop, 0, times::once);
    {
        const plan::armed now;
        held.reset();
    }
    BOOST_TEST(waiting.was_dropped());
    BOOST_TEST(other.available() == 1);
}

BOOST_AUTO_TEST_SUITE_END()
