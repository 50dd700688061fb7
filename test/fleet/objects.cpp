// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore/fleet/with_permit.hpp>

#include "model_store.hpp"

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

// The fleet's objects, on a server that is a model of the script: what Asio demands of them, and
// the edge cases that need no real server.

namespace {

namespace asio = boost::asio;
using asio_semaphore::error;
using asio_semaphore::fleet_error;
using asio_semaphore::fleet_options;
using asio_semaphore::fleet_permit;
using asio_semaphore::fleet_semaphore;
using boost::system::error_code;
using namespace std::chrono_literals;

struct world {
    test::model_server server; // outlives the context and the handlers that are left in it
    asio::io_context context;
    test::model_client a{context.get_executor(), server};
    std::optional<error_code> run_ended;

    void run_client() {
        a.client.async_run([this](error_code ec) { run_ended = ec; });
    }
    void poll() {
        context.restart();
        context.poll();
    }
    /// Polls until the condition holds; short leases may expire meanwhile.
    template <typename F>
    bool poll_until(F is_so) {
        const auto end = std::chrono::steady_clock::now() + 20s;
        while (!is_so()) {
            if (std::chrono::steady_clock::now() > end)
                return false;
            context.restart();
            context.run_one_for(50ms);
        }
        return true;
    }
};

/// An acquire, and its result.
struct acquire {
    int calls = 0;
    error_code ec;
    fleet_permit held;

    auto handler() {
        return [this](error_code e, fleet_permit p) {
            ++calls;
            ec = e;
            held = std::move(p);
        };
    }
    bool granted() const { return calls == 1 && !ec && held; }
    bool failed(error_code with) const { return calls == 1 && ec == with && !held; }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(fleet_objects, world)

BOOST_AUTO_TEST_CASE(a_free_permit_is_granted_and_goes_back) {
    fleet_semaphore limit(context, a.client, "x", 2);
    acquire first;
    limit.async_acquire_permit(first.handler());
    poll();
    BOOST_TEST(first.calls == 0); // the client is not connected yet
    run_client();
    poll();
    BOOST_TEST(first.granted());
    BOOST_TEST(first.held.count() == 1);
    BOOST_TEST(first.held.valid());
    BOOST_TEST(!first.held.local());
    BOOST_TEST(first.held.fencing() > 0u);
    BOOST_TEST((first.held.remaining() > 8s));
    BOOST_TEST((first.held.remaining() <= 9s));
    BOOST_TEST(server.look_at("x").held == 1);
    first.held.reset();
    BOOST_TEST(!first.held);
    poll();
    BOOST_TEST(server.look_at("x").held == 0);
}

BOOST_AUTO_TEST_CASE(a_permit_goes_to_the_next_request_without_polling) {
    fleet_semaphore limit(context, a.client, "x", 1);
    run_client();
    acquire first, second;
    limit.async_acquire_permit(first.handler());
    limit.async_acquire_permit(second.handler());
    poll();
    BOOST_TEST(first.granted());
    BOOST_TEST(second.calls == 0);
    BOOST_TEST(limit.waiting() == 1u);
    first.held.reset();
    poll();
    BOOST_TEST(second.granted());
    BOOST_TEST(second.held.fencing() > first.held.fencing());
}

BOOST_AUTO_TEST_CASE(two_processes_share_a_limit) {
    test::model_client b(context.get_executor(), server);
    fleet_semaphore of_a(context, a.client, "x", 1), of_b(context, b.client, "x", 1);
    run_client();
    b.client.async_run(asio::detached);
    acquire first, second;
    of_a.async_acquire_permit(first.handler());
    poll();
    of_b.async_acquire_permit(second.handler());
    poll();
    BOOST_TEST(first.granted());
    BOOST_TEST(second.calls == 0);
    first.held.reset();
    poll();
    BOOST_TEST(second.granted());
}

BOOST_AUTO_TEST_CASE(operations_that_end_at_once_report_the_reason) {
    fleet_semaphore limit(context, a.client, "x", 2);
    run_client();
    acquire none, negative, many;
    limit.async_acquire_permit(0, none.handler());
    limit.async_acquire_permit(-1, negative.handler());
    BOOST_TEST(none.calls + negative.calls == 0);
    poll();
    BOOST_TEST((none.calls == 1 && !none.ec && !none.held));
    BOOST_TEST(negative.failed(asio::error::invalid_argument));
    BOOST_TEST(server.look_at("x").held == 0);
    limit.async_acquire_permit(3, many.handler());
    poll();
    BOOST_TEST(many.failed(error::exceeds_max));
    limit.close();
    acquire late, none_late;
    limit.async_acquire_permit(late.handler());
    limit.async_acquire_permit(0, none_late.handler());
    poll();
    BOOST_TEST(late.failed(error::closed));
    BOOST_TEST(none_late.failed(error::closed));
}

BOOST_AUTO_TEST_CASE(a_deadline_ends_a_wait_and_a_wait_of_zero_makes_one_call) {
    fleet_semaphore limit(context, a.client, "x", 1);
    acquire offline;
    limit.async_acquire_permit_for(0s, offline.handler());
    poll();
    BOOST_TEST(offline.failed(asio::error::timed_out));
    run_client();
    poll();
    acquire first, once, later;
    limit.async_acquire_permit_for(0s, first.handler());
    poll();
    BOOST_TEST(first.granted());
    limit.async_acquire_permit_for(0s, once.handler());
    limit.async_acquire_permit_for(10ms, later.handler());
    poll();
    BOOST_TEST(once.failed(asio::error::timed_out));
    BOOST_TEST(poll_until([&] { return later.calls == 1; }));
    BOOST_TEST(later.failed(asio::error::timed_out));
    poll();
    BOOST_TEST(server.look_at("x").waiting == 0u);
    BOOST_TEST(limit.statistics().timed_out == 3u);
}

BOOST_AUTO_TEST_CASE(a_cancelled_acquire_leaves_nothing_behind) {
    fleet_semaphore limit(context, a.client, "x", 1);
    run_client();
    acquire first, second, third;
    limit.async_acquire_permit(first.handler());
    poll();
    asio::cancellation_signal signal;
    limit.async_acquire_permit(asio::bind_cancellation_slot(signal.slot(), second.handler()));
    poll();
    BOOST_TEST(server.look_at("x").waiting == 1u);
    signal.emit(asio::cancellation_type::total);
    poll();
    BOOST_TEST(second.failed(asio::error::operation_aborted));
    BOOST_TEST(server.look_at("x").waiting == 0u);
    // While the call is in flight, the server grants a request that is no longer wanted.
    first.held.reset();
    poll();
    server.holds_replies = true;
    limit.async_acquire_permit(asio::bind_cancellation_slot(signal.slot(), third.handler()));
    poll();
    BOOST_TEST(server.look_at("x").held == 1);
    signal.emit(asio::cancellation_type::terminal);
    poll();
    BOOST_TEST(third.failed(asio::error::operation_aborted));
    server.holds_replies = false;
    a.store.lock()->let_go();
    poll();
    BOOST_TEST(server.look_at("x").held == 0);
}

BOOST_AUTO_TEST_CASE(cancel_destruction_and_close_of_a_semaphore_end_waiting_operations) {
    auto limit = std::make_unique<fleet_semaphore>(context, a.client, "x", 1);
    run_client();
    acquire first, second, third, fourth;
    limit->async_acquire_permit(first.handler());
    limit->async_acquire_permit(second.handler());
    poll();
    BOOST_TEST(limit->cancel() == 1u);
    poll();
    BOOST_TEST(second.failed(asio::error::operation_aborted));
    limit->async_acquire_permit(third.handler());
    poll();
    limit->close();
    BOOST_TEST(!limit->is_open());
    poll();
    BOOST_TEST(third.failed(error::closed));
    BOOST_TEST(first.held.valid());
    fleet_semaphore other(context, a.client, "x", 1);
    auto moved = std::make_unique<fleet_semaphore>(std::move(other));
    BOOST_TEST(!other.is_open());
    moved->async_acquire_permit(fourth.handler());
    poll();
    moved.reset();
    limit.reset();
    poll();
    BOOST_TEST(fourth.failed(asio::error::operation_aborted));
    BOOST_TEST(server.look_at("x").waiting == 0u);
    BOOST_TEST(first.held.valid());
    first.held.reset();
    poll();
    BOOST_TEST(server.look_at("x").held == 0);
}

BOOST_AUTO_TEST_CASE(a_release_is_answered_by_the_server) {
    fleet_semaphore limit(context, a.client, "x", 1);
    run_client();
    acquire first;
    limit.async_acquire_permit(first.handler());
    poll();
    std::optional<error_code> released, waited;
    first.held.async_wait_lost([&](error_code ec) { waited = ec; });
    first.held.async_release([&](error_code ec) { released = ec; });
    BOOST_TEST(!first.held);
    BOOST_TEST(!released.has_value());
    poll();
    BOOST_REQUIRE(released.has_value());
    BOOST_TEST(!*released);
    BOOST_REQUIRE(waited.has_value());
    BOOST_TEST(*waited == asio::error::operation_aborted);
    BOOST_TEST(server.look_at("x").held == 0);
}

BOOST_AUTO_TEST_CASE(a_lazy_release_that_is_never_started_gives_the_permit_back_too) {
    fleet_semaphore limit(context, a.client, "x", 1);
    run_client();
    acquire first;
    limit.async_acquire_permit(first.handler());
    poll();
    {
        auto lazy = first.held.async_release(asio::deferred);
        BOOST_TEST(!first.held);
        poll();
        BOOST_TEST(server.look_at("x").held == 1);
    }
    poll();
    BOOST_TEST(server.look_at("x").held == 0);
}

BOOST_AUTO_TEST_CASE(without_a_connection_a_permit_is_lost_in_time_and_all_waits_for_its_loss_end) {
    fleet_options options;
    options.lease = 200ms;
    fleet_semaphore limit(context, a.client, "x", 1, options);
    run_client();
    acquire first;
    limit.async_acquire_permit(first.handler());
    poll();
    BOOST_TEST(first.granted());
    int lost = 0;
    for (int i = 0; i < 3; ++i)
        first.held.async_wait_lost([&](error_code ec) { lost += ec == fleet_error::lost; });
    a.store.lock()->cut();
    BOOST_TEST(poll_until([&] { return lost == 3; }));
    BOOST_TEST(!first.held.valid());
    BOOST_TEST(bool(first.held));
    std::optional<error_code> late;
    first.held.async_wait_lost([&](error_code ec) { late = ec; });
    BOOST_TEST(!late.has_value());
    poll();
    BOOST_TEST((late == error_code(fleet_error::lost)));
    BOOST_TEST(limit.statistics().lost_by_deadline == 1u);
    std::optional<error_code> released;
    first.held.async_release([&](error_code ec) { released = ec; });
    a.store.lock()->reconnect();
    BOOST_TEST(poll_until([&] { return released.has_value(); }));
    BOOST_TEST((released == error_code(fleet_error::lost)));
}

BOOST_AUTO_TEST_CASE(a_permit_is_renewed_for_as_long_as_it_is_held) {
    fleet_options options;
    options.lease = 90ms;
    fleet_semaphore limit(context, a.client, "x", 1, options);
    run_client();
    acquire first;
    limit.async_acquire_permit(first.handler());
    poll();
    BOOST_TEST(poll_until([&] { return limit.statistics().renewals >= 8; }));
    BOOST_TEST(first.held.valid());
}

BOOST_AUTO_TEST_CASE(closing_the_client_gives_everything_back) {
    fleet_semaphore limit(context, a.client, "x", 1);
    run_client();
    acquire first, second;
    limit.async_acquire_permit(first.handler());
    limit.async_acquire_permit(second.handler());
    poll();
    std::optional<error_code> waited, closed;
    first.held.async_wait_lost([&](error_code ec) { waited = ec; });
    a.client.async_close([&](error_code ec) { closed = ec; });
    poll();
    BOOST_TEST(second.failed(error::closed));
    BOOST_TEST(!first.held.valid());
    BOOST_TEST((waited == error_code(asio::error::operation_aborted)));
    BOOST_TEST((closed == error_code()));
    BOOST_TEST((run_ended == error_code()));
    BOOST_TEST(server.look_at("x").held == 0);
    BOOST_TEST(!limit.is_open());
    acquire late;
    limit.async_acquire_permit(late.handler());
    poll();
    BOOST_TEST(late.failed(error::closed));
    first.held.reset(); // has no effect
    poll();
}

BOOST_AUTO_TEST_CASE(async_run_can_be_cancelled_and_started_again) {
    fleet_semaphore limit(context, a.client, "x", 1);
    asio::cancellation_signal signal;
    std::optional<error_code> first, second;
    a.client.async_run(
        asio::bind_cancellation_slot(signal.slot(), [&](error_code ec) { first = ec; }));
    a.client.async_run([&](error_code ec) { second = ec; });
    poll();
    BOOST_TEST((second == error_code(asio::error::already_started)));
    BOOST_TEST(a.client.statistics().connected);
    signal.emit(asio::cancellation_type::terminal);
    poll();
    BOOST_TEST((first == error_code(asio::error::operation_aborted)));
    BOOST_TEST(!a.client.statistics().connected);
    acquire waits;
    limit.async_acquire_permit(waits.handler());
    poll();
    BOOST_TEST(waits.calls == 0);
    run_client();
    poll();
    BOOST_TEST(waits.granted());
}

BOOST_AUTO_TEST_CASE(an_async_run_right_after_the_end_of_the_last_one_makes_a_new_connection) {
    asio::cancellation_signal signal;
    a.client.async_run(asio::bind_cancellation_slot(signal.slot(), asio::detached));
    poll();
    BOOST_TEST(a.client.statistics().connected);
    server.is_up = false;
    signal.emit(asio::cancellation_type::terminal);
    run_client();
    poll();
    BOOST_TEST(!a.client.statistics().connected);
}

BOOST_AUTO_TEST_CASE(a_permit_survives_semaphore_client_and_context) {
    acquire first;
    {
        asio::io_context own;
        auto client = std::make_unique<test::model_client>(own.get_executor(), server);
        auto limit = std::make_unique<fleet_semaphore>(own, client->client, "y", 1);
        client->client.async_run(asio::detached);
        limit->async_acquire_permit(first.handler());
        own.poll();
        BOOST_TEST(first.granted());
        limit.reset();
        client.reset();
        BOOST_TEST(first.held.valid());
    }
    BOOST_TEST(first.held.valid());
    BOOST_TEST(first.held.fencing() > 0u);
    first.held.reset();
}

BOOST_AUTO_TEST_CASE(operations_that_wait_for_a_destroyed_client_end_as_closed) {
    acquire first, second;
    auto client = std::make_unique<test::model_client>(context.get_executor(), server);
    fleet_semaphore limit(context, client->client, "x", 1);
    std::optional<error_code> ran, waited;
    client->client.async_run([&](error_code ec) { ran = ec; });
    limit.async_acquire_permit(first.handler());
    limit.async_acquire_permit(second.handler());
    poll();
    first.held.async_wait_lost([&](error_code ec) { waited = ec; });
    client.reset();
    poll();
    BOOST_TEST(second.failed(error::closed));
    BOOST_TEST((ran == error_code(asio::error::operation_aborted)));
    BOOST_TEST((waited == error_code(asio::error::operation_aborted)));
    BOOST_TEST(first.held.valid());
    BOOST_TEST(!limit.is_open());
    std::optional<error_code> released;
    first.held.async_release([&](error_code ec) { released = ec; });
    poll();
    BOOST_TEST((released == error_code(fleet_error::lost)));
}

BOOST_AUTO_TEST_CASE(the_end_of_the_context_destroys_handlers_without_calling_them) {
    acquire first, second;
    auto alive = std::make_shared<int>();
    {
        asio::io_context own;
        test::model_client client(own.get_executor(), server);
        fleet_semaphore limit(own, client.client, "x", 1);
        client.client.async_run([alive](error_code) { BOOST_ERROR("called"); });
        limit.async_acquire_permit(first.handler());
        limit.async_acquire_permit([alive](error_code, fleet_permit) { BOOST_ERROR("called"); });
        own.poll();
        BOOST_TEST(first.granted());
        first.held.async_wait_lost([alive](error_code) { BOOST_ERROR("called"); });
        own.poll();
    }
    BOOST_TEST(alive.use_count() == 1);
    BOOST_TEST(first.held.valid());
}

BOOST_AUTO_TEST_CASE(the_limit_can_be_set_and_inspected) {
    fleet_semaphore limit(context, a.client, "x", 5);
    run_client();
    acquire first;
    limit.async_acquire_permit(4, first.handler());
    poll();
    std::optional<error_code> set;
    limit.async_set_limit(2, [&](error_code ec) { set = ec; });
    poll();
    BOOST_TEST((set == error_code()));
    BOOST_TEST(limit.limit() == 2);
    BOOST_TEST(first.held.valid());
    std::optional<asio_semaphore::fleet_status> status;
    limit.async_inspect([&](error_code ec, asio_semaphore::fleet_status s) {
        BOOST_TEST(!ec);
        status = s;
    });
    poll();
    BOOST_REQUIRE(status.has_value());
    BOOST_TEST(status->limit == 2);
    BOOST_TEST(status->held == 4);
    BOOST_TEST(status->available == -2);
    BOOST_TEST(status->lowest_fencing == first.held.fencing());
    limit.async_set_limit(0, [&](error_code ec) { set = ec; });
    poll();
    BOOST_TEST((set == error_code(asio::error::invalid_argument)));
}

BOOST_AUTO_TEST_CASE(an_operation_runs_while_it_has_a_permit) {
    fleet_semaphore limit(context, a.client, "x", 1);
    run_client();
    asio::steady_timer work(context, asio::steady_timer::time_point::max());
    std::optional<error_code> ended;
    std::int64_t held_then = -1;
    work.async_wait(asio_semaphore::with_permit(limit, [&](error_code ec) {
        ended = ec;
        held_then = 0;
    }));
    poll();
    BOOST_TEST(server.look_at("x").held == 1);
    BOOST_TEST(!ended.has_value());
    work.cancel();
    poll();
    BOOST_TEST((ended == error_code(asio::error::operation_aborted)));
    BOOST_TEST(server.look_at("x").held == 0);
}

BOOST_AUTO_TEST_CASE(a_loss_cancels_the_operation_that_runs_with_the_permit) {
    fleet_options options;
    options.lease = 100ms;
    fleet_semaphore limit(context, a.client, "x", 2, options);
    run_client();
    acquire first;
    limit.async_acquire_permit(first.handler());
    poll();
    asio::steady_timer work(context, asio::steady_timer::time_point::max());
    asio::steady_timer other(context, asio::steady_timer::time_point::max());
    std::optional<error_code> ended, other_ended;
    work.async_wait(asio_semaphore::with_permit(limit, [&](error_code ec) { ended = ec; }));
    other.async_wait(
        asio_semaphore::while_held(first.held, [&](error_code ec) { other_ended = ec; }));
    poll();
    BOOST_TEST(server.look_at("x").held == 2);
    a.store.lock()->cut();
    BOOST_TEST(poll_until([&] { return ended && other_ended; }));
    BOOST_TEST((ended == error_code(asio::error::operation_aborted)));
    BOOST_TEST((other_ended == error_code(asio::error::operation_aborted)));
}

BOOST_AUTO_TEST_CASE(an_operation_while_held_leaves_the_permit_and_its_slot_alone) {
    fleet_semaphore limit(context, a.client, "x", 1);
    run_client();
    acquire first;
    limit.async_acquire_permit(first.handler());
    poll();
    asio::steady_timer work(context, asio::steady_timer::time_point::max());
    asio::cancellation_signal signal;
    std::optional<error_code> ended;
    work.async_wait(asio_semaphore::while_held(
        first.held,
        asio::bind_cancellation_slot(signal.slot(), [&](error_code ec) { ended = ec; })));
    poll();
    signal.emit(asio::cancellation_type::terminal);
    poll();
    BOOST_TEST((ended == error_code(asio::error::operation_aborted)));
    BOOST_TEST(first.held.valid());
    signal.emit(asio::cancellation_type::terminal); // the operation no longer exists
    poll();
}

BOOST_AUTO_TEST_CASE(bad_arguments_are_refused_by_the_constructor) {
    const auto refuses = [&](const std::string& name, std::ptrdiff_t n, fleet_options o) {
        BOOST_CHECK_THROW(fleet_semaphore(context, a.client, name, n, o), std::invalid_argument);
    };
    refuses("", 1, {});
    refuses(std::string(201, 'n'), 1, {});
    refuses("a{b", 1, {});
    refuses("a}b", 1, {});
    refuses("x", 0, {});
    fleet_options o;
    o.lease = 49ms;
    refuses("x", 1, o);
    o = {};
    o.margin = 5s;
    refuses("x", 1, o);
    o = {};
    o.window = 0;
    refuses("x", 1, o);
    fleet_semaphore first(context, a.client, std::string(200, 'n'), 1);
    o = {};
    o.lease = 5s;
    refuses(std::string(200, 'n'), 1, o);
    fleet_semaphore other(context, a.client, std::string(200, 'n'), 2);
    acquire mismatch;
    other.async_acquire_permit(mismatch.handler());
    poll();
    BOOST_TEST(mismatch.failed(fleet_error::limit_mismatch));
}

BOOST_AUTO_TEST_SUITE_END()
