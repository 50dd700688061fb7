// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <model/faults_memory.hpp>
#include <model/faults_world.hpp>

#include <support/handlers.hpp>

#include <new>

BOOST_AUTO_TEST_SUITE(model_faults)

BOOST_AUTO_TEST_CASE_TEMPLATE(nothing_is_lost_whatever_fails, Where, faults::places) {
    faults::check_all<Where, false>({faults::form::bare, faults::form::permit});
}

// Without deadlines, because Asio's timers would not survive this: they query their executor in
// noexcept functions.
BOOST_AUTO_TEST_CASE(an_executor_whose_properties_throw_costs_no_permit) {
    namespace asio = boost::asio;
    using faults::plan;
    for (const bool queued : {false, true}) {
        for (int k = 0;; ++k) {
            BOOST_TEST_CONTEXT("allocation " << k << (queued ? ", waiting" : ", at once")) {
                asio::io_context context;
                const asio::any_io_executor executor = faults::large_executor(context);
                asio_semaphore::async_semaphore semaphore(executor, queued ? 0 : 3);
                support::result bare, owned;
                bool threw = false;
                plan::get().make(faults::kind::operator_new, k, faults::times::once);
                try {
                    const plan::armed now;
                    semaphore.async_acquire(2, support::recording(bare));
                    semaphore.async_acquire_permit(support::recording(owned));
                    if (queued)
                        semaphore.release(3);
                } catch (const std::bad_alloc&) {
                    threw = true;
                }
                const bool failed = plan::get().fired();
                plan::get().make_none();
                if (queued && threw)
                    semaphore.release(3);
                support::poll(context);
                if (bare.calls > 0)
                    semaphore.release(2);
                owned.held.reset();
                BOOST_TEST(semaphore.available() == 3);
                BOOST_TEST(semaphore.waiting() == 0u);
                if (!failed)
                    break;
            }
        }
    }
}

BOOST_AUTO_TEST_SUITE_END()
