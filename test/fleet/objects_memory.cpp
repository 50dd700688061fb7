// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include "objects_world.hpp"

#include <model/faults_memory.hpp>

#include <boost/asio/detached.hpp>

#include <iterator>
#include <memory>
#include <new>
#include <string>

// The client runs out of memory at every place: the exception leaves the function that runs the
// context, and nothing is lost. Only operator new fails. Asio's strands do not survive it if the
// memory that Asio recycles runs out.

using namespace test;
using faults::plan;
using faults::times;

namespace {

// With these options the client needs a timer as long as it has no connection.
fleet_options fail_after(std::chrono::milliseconds unreachable_after) {
    fleet_options options = short_lease(100ms);
    options.when_unreachable = fleet_options::unreachable::fail;
    options.unreachable_after = unreachable_after;
    return options;
}

/// A context whose functions run out of memory as planned.
struct starved_world {
    model_server server;
    asio::io_context context;
    std::unique_ptr<model_client> a =
        std::make_unique<model_client>(context.get_executor(), server);
    fleet_semaphore limit;
    int exceptions = 0;
    bool is_long = false; ///< whether memory stays short until the client does nothing more

    explicit starved_world(std::chrono::milliseconds unreachable_after = 1h) :
        limit(context, a->client, "x", 1, fail_after(unreachable_after)) {}
    ~starved_world() { plan::get().make_none(); }

    template <typename F>
    bool run_until(F is_so) {
        return test::run_until(context, [&] {
            if (is_so())
                return true;
            try {
                const plan::armed here;
                context.restart();
                if (context.poll_one() != 0)
                    return false;
            } catch (const std::bad_alloc&) {
                ++exceptions;
                return false;
            }
            if (is_long && plan::get().fired())
                get_memory();
            return false;
        });
    }

    /// The client may have had no memory even to try again, so it waits for the next operation.
    void get_memory() {
        plan::get().make_none();
        is_long = false;
        limit.async_inspect(asio::detached);
    }
};

} // namespace

BOOST_AUTO_TEST_SUITE(fleet_objects_memory)

BOOST_AUTO_TEST_CASE(a_client_without_memory_loses_no_operation_and_no_permit) {
    int failures = 0;
    for (const times how_often : {times::once, times::from_then_on}) {
        for (int n = 0;; ++n) {
            BOOST_TEST_INFO_SCOPE(
                faults::times_names[static_cast<int>(how_often)] << ", after " << n);
            starved_world w;
            w.is_long = how_often == times::from_then_on;
            ended ran, first, second, looked, waited, released, lost, closed;
            plan::get().make(faults::kind::operator_new, n, how_often);
            w.a->client.async_run(recording(ran));
            w.limit.async_acquire_permit(recording(first));
            BOOST_REQUIRE(w.run_until([&] { return !first.pending(); }));
            BOOST_TEST(first.granted());
            first.held.async_wait_lost(recording(waited));
            w.limit.async_acquire_permit(recording(second));
            w.limit.async_inspect(recording(looked));
            BOOST_REQUIRE(w.run_until([&] { return !looked.pending(); }));
            BOOST_REQUIRE(w.run_until(
                [&] { return !waited.pending() || w.limit.statistics().renewals != 0; }));
            first.held.async_release(recording(released));
            BOOST_REQUIRE(w.run_until([&] { return !second.pending() && !released.pending(); }));
            BOOST_TEST(second.granted());
            BOOST_TEST(waited.calls == 1);
            second.held.async_wait_lost(recording(lost));
            w.a->store.lock()->cut();
            BOOST_REQUIRE(w.run_until([&] { return !lost.pending(); })); // by the clock
            BOOST_TEST(lost.failed(fleet_error::lost));
            w.a->store.lock()->reconnect();
            w.a->client.async_close(recording(closed));
            BOOST_REQUIRE(w.run_until([&] { return !closed.pending() && !ran.pending(); }));
            BOOST_TEST(closed.succeeded());
            BOOST_TEST(ran.succeeded());
            BOOST_TEST(observer(w.server).sees_empty("x"));
            failures += w.exceptions;
            if (w.exceptions == 0 && !plan::get().fired())
                break;
        }
    }
    BOOST_TEST(failures > 20);
    BOOST_TEST_MESSAGE(failures << " exceptions");
}

// Nothing but the timer ends the request.
BOOST_AUTO_TEST_CASE(a_client_without_memory_sets_its_timer_later) {
    for (int n = 0;; ++n) {
        BOOST_TEST_INFO_SCOPE("after " << n);
        starved_world w(20ms);
        w.server.is_up = false;
        ended first;
        plan::get().make(faults::kind::operator_new, n, times::once);
        w.a->client.async_run(asio::detached);
        w.limit.async_acquire_permit(recording(first));
        BOOST_REQUIRE(w.run_until([&] { return !first.pending(); }));
        BOOST_TEST(first.failed(fleet_error::unreachable));
        if (!plan::get().fired())
            break;
    }
}

BOOST_AUTO_TEST_CASE(a_client_is_destroyed_without_memory) {
    starved_world w;
    ended ran, first, waited, second, looked;
    w.a->client.async_run(recording(ran));
    w.limit.async_acquire_permit(recording(first));
    BOOST_REQUIRE(w.run_until([&] { return !first.pending(); }));
    w.server.holds_replies = true;
    first.held.async_wait_lost(recording(waited));
    w.limit.async_acquire_permit(recording(second));
    w.limit.async_inspect(recording(looked));
    w.context.poll();
    plan::get().make(faults::kind::operator_new, 0, times::from_then_on);
    {
        const plan::armed here;
        w.a.reset();
    }
    plan::get().make_none();
    support::poll(w.context);
    BOOST_TEST(ran.failed(asio::error::operation_aborted));
    BOOST_TEST(waited.failed(asio::error::operation_aborted));
    BOOST_TEST(second.failed(error::closed));
    BOOST_TEST(looked.failed(error::closed));
}

BOOST_AUTO_TEST_SUITE_END()
