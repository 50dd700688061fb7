// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// The class admission: how a place is taken and returned, and which outcome is counted. Also how a
// limiter reacts to invalid requests and options.

#include <asio_semaphore/limiter/limiter.hpp>

#include "object_fixture.hpp"

#include <initializer_list>
#include <limits>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace {

using namespace test;

constexpr std::ptrdiff_t most = std::numeric_limits<std::ptrdiff_t>::max();

struct admission_fixture : fixture {
    limiter limit{context, 2, patient()};

    std::uint64_t arrivals() const { return test::arrivals(limit.statistics()) + limit.waiting(); }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(limiter_admission, admission_fixture)

BOOST_AUTO_TEST_CASE(an_admission_is_move_only_and_its_members_do_not_throw) {
    static_assert(!std::is_copy_constructible_v<admission>);
    static_assert(!std::is_copy_assignable_v<admission>);
    static_assert(std::is_nothrow_default_constructible_v<admission>);
    static_assert(std::is_nothrow_move_constructible_v<admission>);
    static_assert(std::is_nothrow_move_assignable_v<admission>);
    static_assert(std::is_nothrow_destructible_v<admission>);
    static_assert(noexcept(std::declval<admission&>().finish()));
    static_assert(noexcept(std::declval<admission&>().finish(error_code())));
    static_assert(!std::is_convertible_v<admission, bool>);
    static_assert(!std::is_copy_constructible_v<limiter>);
    static_assert(std::is_nothrow_move_constructible_v<limiter>);
    static_assert(std::is_nothrow_destructible_v<limiter>);
    BOOST_TEST(!admission());
}

BOOST_AUTO_TEST_CASE(an_admission_holds_its_weight_until_it_is_finished) {
    admission first = limit.try_admit();
    BOOST_TEST(static_cast<bool>(first));
    BOOST_TEST(limit.in_flight() == 1);
    BOOST_TEST(!limit.try_admit(weighing(2)));
    admission second = limit.try_admit();
    BOOST_TEST(limit.in_flight() == 2);
    BOOST_TEST(!limit.try_admit());
    first.finish();
    BOOST_TEST(!first);
    BOOST_TEST(limit.in_flight() == 1);
    second.finish();
    BOOST_TEST(limit.in_flight() == 0);
    admission both = limit.try_admit(weighing(2));
    BOOST_TEST(limit.in_flight() == 2);
    BOOST_TEST(limit.statistics().running == 1u);
}

BOOST_AUTO_TEST_CASE(an_admission_counts_as_the_outcome_that_finish_states) {
    limit.try_admit().finish();
    limit.try_admit().finish(ended::success);
    limit.try_admit().finish(ended::overloaded);
    limit.try_admit().finish(ended::ignored);
    const limiter_statistics s = limit.statistics();
    BOOST_TEST(s.succeeded == 2u);
    BOOST_TEST(s.overloaded == 1u);
    BOOST_TEST(s.ignored == 1u);
    BOOST_TEST(s.unreported == 0u);
    check_sums(s);
}

BOOST_AUTO_TEST_CASE(the_default_classify_decides_what_an_error_code_counts_as) {
    const struct {
        error_code ec;
        ended how;
    } cases[] = {
        {{}, ended::success},
        {asio::error::operation_aborted, ended::ignored},
        {asio::error::eof, ended::ignored},
        {asio::error::connection_reset, ended::ignored},
        {closed, ended::ignored},
        {asio::error::timed_out, ended::overloaded},
        {asio::error::try_again, ended::overloaded},
        {asio::error::no_buffer_space, ended::overloaded},
        {asio::error::connection_refused, ended::overloaded},
        {queue_full, ended::overloaded},
        {shed, ended::overloaded},
    };
    for (const auto& c : cases) {
        BOOST_TEST_CONTEXT(c.ec.message()) {
            limiter own(context, 1);
            own.try_admit().finish(c.ec);
            const limiter_statistics s = own.statistics();
            BOOST_TEST(s.succeeded == (c.how == ended::success ? 1u : 0u));
            BOOST_TEST(s.overloaded == (c.how == ended::overloaded ? 1u : 0u));
            BOOST_TEST(s.ignored == (c.how == ended::ignored ? 1u : 0u));
            BOOST_TEST(s.unreported == 0u);
            BOOST_TEST(s.in_flight == 0);
        }
    }
}

BOOST_AUTO_TEST_CASE(the_users_classify_decides_what_an_error_code_counts_as) {
    limiter_options o = patient();
    o.classify = [](const error_code& ec) {
        return ec ? ended::overloaded : ended::ignored;
    };
    limiter own(context, 1, o);
    own.try_admit().finish(error_code());
    own.try_admit().finish(asio::error::eof);
    own.try_admit().finish(); // states an outcome, so classify is not called
    const limiter_statistics s = own.statistics();
    BOOST_TEST(s.ignored == 1u);
    BOOST_TEST(s.overloaded == 1u);
    BOOST_TEST(s.succeeded == 1u);
    BOOST_TEST(s.unreported == 0u);
}

BOOST_AUTO_TEST_CASE(the_users_classify_may_finish_or_destroy_the_admission) {
    static std::optional<admission> place;
    using misuse = void (*)();
    const misuse misuses[] = {
        [] { place->finish(ended::overloaded); }, [] { place->finish(error_code()); },
        [] { place->reset(); },
        [] {
            place.reset();
        }};
    static misuse does;
    limiter_options o = patient();
    o.classify = [](const error_code&) {
        does();
        return ended::success;
    };
    for (const misuse each : misuses) {
        limiter own(context, 1, o);
        does = each;
        place.emplace(own.try_admit());
        place->finish(error_code());
        BOOST_TEST(own.in_flight() == 0);
        const limiter_statistics s = own.statistics();
        BOOST_TEST(s.succeeded == 1u);
        BOOST_TEST(s.overloaded + s.ignored == 0u);
        place.reset();
    }
}

BOOST_AUTO_TEST_CASE(L76_an_admission_that_is_dropped_counts_as_ignored_and_unreported) {
    { const admission dropped = limit.try_admit(); }
    admission reset = limit.try_admit();
    reset.reset();
    BOOST_TEST(!reset);
    admission replaced = limit.try_admit();
    replaced = admission();
    BOOST_TEST(limit.in_flight() == 0);
    const limiter_statistics s = limit.statistics();
    BOOST_TEST(s.ignored == 3u);
    BOOST_TEST(s.unreported == 3u);
    check_sums(s);
}

BOOST_AUTO_TEST_CASE(an_admission_goes_back_once_whatever_is_done_with_it_afterwards) {
    const admission other = limit.try_admit();
    {
        admission place = limit.try_admit();
        place.finish();
        place.finish(ended::overloaded);
        place.finish(asio::error::timed_out);
        place.reset();
    }
    BOOST_TEST(limit.in_flight() == 1);
    const limiter_statistics s = limit.statistics();
    BOOST_TEST(s.succeeded == 1u);
    BOOST_TEST(s.overloaded + s.ignored == 0u);
    admission empty;
    empty.finish();
    empty.finish(asio::error::eof);
    empty.reset();
    BOOST_TEST(!empty);
}

BOOST_AUTO_TEST_CASE(an_admission_moves_with_its_place) {
    admission a = limit.try_admit();
    admission b(std::move(a));
    BOOST_TEST(!a);
    BOOST_TEST(static_cast<bool>(b));
    a.finish();
    BOOST_TEST(limit.in_flight() == 1);
    admission& same = b;
    b = std::move(same);
    BOOST_TEST(static_cast<bool>(b));
    BOOST_TEST(limit.in_flight() == 1);
    a = limit.try_admit();
    a = std::move(b); // returns the place that a held
    BOOST_TEST(!b);
    BOOST_TEST(limit.in_flight() == 1);
    BOOST_TEST(limit.statistics().unreported == 1u);
    a.finish(ended::overloaded);
    BOOST_TEST(limit.statistics().overloaded == 1u);
    BOOST_TEST(limit.in_flight() == 0);
}

BOOST_AUTO_TEST_CASE(admissions_of_different_limiters_can_be_swapped) {
    limiter other(context, 5);
    admission a = limit.try_admit(weighing(2)), b = other.try_admit(weighing(3));
    a.swap(b);
    a.finish();
    BOOST_TEST(limit.in_flight() == 2);
    BOOST_TEST(other.in_flight() == 0);
    swap(a, b);
    BOOST_TEST(!b);
    a.finish();
    BOOST_TEST(limit.in_flight() == 0);
}

BOOST_AUTO_TEST_CASE(a_finished_admission_admits_one_waiting_request) {
    operation first, second, third;
    admission a = limit.try_admit(), b = limit.try_admit();
    for (const operation* o : {&first, &second, &third})
        limit.async_admit(o->on_completion());
    BOOST_TEST(limit.waiting() == 3u);
    a.finish();
    BOOST_TEST(limit.waiting() == 2u);
    BOOST_TEST(limit.in_flight() == 2); // a granted place counts as in flight
    { const admission dropped = std::move(b); }
    BOOST_TEST(limit.waiting() == 1u);
    BOOST_TEST(first.pending());
    poll();
    BOOST_TEST(first.admitted());
    BOOST_TEST(second.admitted());
    BOOST_TEST(third.pending());
    BOOST_TEST(limit.cancel() == 1u);
    poll();
}

BOOST_AUTO_TEST_CASE(one_of_two_admissions_of_a_key_frees_one_place_of_its_cap) {
    limiter_options o = patient();
    o.max_per_key = 2;
    limiter own(context, 5, o);
    admission a = own.try_admit(of_key(7)), b = own.try_admit(of_key(7));
    BOOST_TEST(!own.try_admit(of_key(7)));
    a.finish();
    a.finish();
    const auto usage = own.busiest_keys();
    BOOST_TEST_REQUIRE(usage.size() == 1u);
    BOOST_TEST(usage[0].key == 7u);
    BOOST_TEST(usage[0].in_flight == 1);
    const admission c = own.try_admit(of_key(7));
    BOOST_TEST(static_cast<bool>(c));
    BOOST_TEST(!own.try_admit(of_key(7)));
    BOOST_TEST(static_cast<bool>(own.try_admit(of_key(8))));
    b.finish();
}

BOOST_AUTO_TEST_CASE(a_weight_of_zero_succeeds_at_once_with_an_empty_admission) {
    const admission all = limit.try_admit(weighing(2));
    operation waits, none;
    limit.async_admit(waits.on_completion());
    const auto before = arrivals();
    BOOST_TEST(!limit.try_admit(weighing(0)));
    limit.async_admit(weighing(0), none.on_completion());
    BOOST_TEST(none.pending());
    poll();
    BOOST_TEST(none.completed_with(success));
    BOOST_TEST(!none.held());
    BOOST_TEST(arrivals() == before); // it is not counted
    BOOST_TEST(limit.waiting() == 1u);
    limit.close();
    operation late;
    const auto when_closed = arrivals();
    limit.async_admit(weighing(0), late.on_completion());
    poll();
    BOOST_TEST(late.failed(closed));
    BOOST_TEST(arrivals() == when_closed);
}

BOOST_AUTO_TEST_CASE(invalid_requests_are_refused_and_counted_nowhere) {
    const admission_request bad[] = {
        weighing(-1), weighing(std::numeric_limits<std::ptrdiff_t>::min()), of_priority(-1),
        of_priority(4)};
    for (const bool is_closed : {false, true}) {
        if (is_closed)
            limit.close();
        for (const auto& r : bad) {
            BOOST_TEST_CONTEXT(
                "weight " << r.weight << ", priority " << r.priority << ", closed " << is_closed) {
                operation o;
                limit.async_admit(r, o.on_completion());
                BOOST_TEST(o.pending());
                poll();
                BOOST_TEST(o.failed(invalid_argument));
                BOOST_CHECK_THROW((void)limit.try_admit(r), std::invalid_argument);
            }
        }
    }
    BOOST_TEST(arrivals() == 0u);
    BOOST_TEST(limit.in_flight() == 0);
}

BOOST_AUTO_TEST_CASE(invalid_requests_are_counted_nowhere_after_the_end_of_the_context) {
    std::optional<asio::io_context> dying(std::in_place);
    limiter own(*dying, 1, patient());
    dying.reset();
    for (const int bad : {-1, 4, std::numeric_limits<int>::max()}) {
        operation o;
        own.async_admit(of_priority(bad), o.on_completion());
        BOOST_TEST(o.abandoned());
    }
    const limiter_statistics s = own.statistics();
    for (const auto& by : s.priorities)
        BOOST_TEST(test::arrivals(by) == 0u);
    // The counters next to the priorities must stay unchanged.
    BOOST_TEST(s.succeeded + s.overloaded + s.ignored + s.unreported + s.over_limit == 0u);
    BOOST_TEST(s.algorithm_failures == 0u);
}

BOOST_AUTO_TEST_CASE(without_an_algorithm_a_weight_above_the_limit_is_refused) {
    for (const bool is_closed : {false, true}) {
        if (is_closed)
            limit.close();
        for (const std::ptrdiff_t weight : {std::ptrdiff_t(3), most}) {
            operation o;
            limit.async_admit(weighing(weight), o.on_completion());
            BOOST_TEST(o.pending());
            BOOST_TEST(limit.waiting() == 0u);
            poll();
            BOOST_TEST(o.failed(exceeds_max));
            BOOST_TEST(!limit.try_admit(weighing(weight)));
        }
    }
    BOOST_TEST(arrivals() == 0u);
}

BOOST_AUTO_TEST_CASE(with_an_algorithm_a_weight_above_the_limit_waits_and_runs_alone) {
    limiter_options o = patient();
    o.algorithm = [](const asio_semaphore::limit_sample& s) {
        return s.limit;
    };
    limiter own(context, 2, o);
    admission one = own.try_admit();
    operation wide, behind;
    own.async_admit(weighing(5), wide.on_completion());
    own.async_admit(behind.on_completion());
    BOOST_TEST(own.waiting() == 2u);
    one.finish();
    poll();
    BOOST_TEST(wide.admitted());
    BOOST_TEST(own.in_flight() == 5);
    BOOST_TEST(behind.pending());
    wide.held().finish();
    poll();
    BOOST_TEST(behind.admitted());
}

BOOST_AUTO_TEST_CASE(a_waiting_weight_above_a_new_smaller_limit_waits_and_runs_alone) {
    admission one = limit.try_admit();
    operation wide;
    limit.async_admit(weighing(2), wide.on_completion());
    limit.set_limit(1);
    poll();
    BOOST_TEST(wide.pending());
    one.finish();
    poll();
    BOOST_TEST(wide.admitted());
    BOOST_TEST(limit.in_flight() == 2);
}

BOOST_AUTO_TEST_CASE(a_full_queue_refuses_or_evicts_later_never_at_once) {
    limiter own(context, 1, patient(1));
    admission held = own.try_admit();
    operation low, high, refused;
    own.async_admit(of_priority(2), low.on_completion());
    own.async_admit(of_priority(2), refused.on_completion());
    BOOST_TEST(refused.pending());
    own.async_admit(of_priority(0), high.on_completion());
    BOOST_TEST(low.pending());
    BOOST_TEST(own.waiting() == 1u);
    poll();
    BOOST_TEST(refused.failed(queue_full));
    BOOST_TEST(low.failed(shed));
    BOOST_TEST((low.error() == asio_semaphore::condition::overload));
    held.finish();
    poll();
    BOOST_TEST(high.admitted());
    const auto s = own.statistics();
    BOOST_TEST(s.priorities[2].queue_full == 1u);
    BOOST_TEST(s.priorities[2].shed == 1u);
    BOOST_TEST(s.priorities[0].admitted == 2u);
    check_sums(s);
}

BOOST_AUTO_TEST_CASE(without_a_queue_a_request_that_finds_no_room_is_refused) {
    limiter own(context, 1, patient(0));
    admission held = own.try_admit();
    operation refused, taken;
    own.async_admit(refused.on_completion());
    BOOST_TEST(refused.pending());
    poll();
    BOOST_TEST(refused.failed(queue_full));
    held.finish();
    own.async_admit(taken.on_completion());
    poll();
    BOOST_TEST(taken.admitted());
}

BOOST_AUTO_TEST_CASE(an_empty_try_is_counted_nowhere_and_overtakes_nobody) {
    admission one = limit.try_admit();
    operation wide;
    limit.async_admit(weighing(2), wide.on_completion());
    const auto before = arrivals();
    BOOST_TEST(!limit.try_admit()); // a place is free, but wide comes first
    BOOST_TEST(arrivals() == before);
    limit.close();
    BOOST_TEST(!limit.try_admit());
    BOOST_TEST(limit.statistics().priorities[0].closed == 1u); // only the waiting request
    poll();
    BOOST_TEST(wide.failed(closed));
}

BOOST_AUTO_TEST_CASE(a_larger_limit_admits_in_that_call_and_a_smaller_one_interrupts_nobody) {
    admission a = limit.try_admit(), b = limit.try_admit();
    operation o[3];
    for (const operation& each : o)
        limit.async_admit(each.on_completion());
    limit.set_limit(4);
    BOOST_TEST(limit.limit() == 4.0);
    BOOST_TEST(limit.waiting() == 1u);
    BOOST_TEST(limit.in_flight() == 4);
    poll();
    BOOST_TEST(o[0].admitted());
    BOOST_TEST(o[1].admitted());
    limit.set_limit(1);
    BOOST_TEST(limit.in_flight() == 4);
    a.finish();
    b.finish();
    o[0].held().finish();
    poll();
    BOOST_TEST(o[2].pending());
    o[1].held().finish();
    poll();
    BOOST_TEST(o[2].admitted());
}

BOOST_AUTO_TEST_CASE(set_limit_refuses_a_limit_below_one) {
    for (const std::ptrdiff_t bad : {std::ptrdiff_t(0), std::ptrdiff_t(-1), -most - 1}) {
        BOOST_CHECK_THROW(limit.set_limit(bad), std::invalid_argument);
        BOOST_TEST(limit.limit() == 2.0);
    }
    limit.set_limit(most);
    BOOST_TEST(static_cast<bool>(limit.try_admit(weighing(most))));
}

BOOST_AUTO_TEST_CASE(the_constructor_refuses_invalid_options) {
    using change = void (*)(limiter_options&);
    const struct {
        const char* name;
        std::ptrdiff_t limit;
        change make;
    } cases[] = {
        {"limit 0", 0,
         [](limiter_options&) {
         }},
        {"limit -1", -1,
         [](limiter_options&) {
         }},
        {"share 0", 1,
         [](limiter_options& o) {
             o.share = {1, 1, 1, 0};
         }},
        {"share -1", 1,
         [](limiter_options& o) {
             o.share = {1, 1, 1, -1};
         }},
        {"share above 1", 1,
         [](limiter_options& o) {
             o.share = {1.5, 1, 1, 1};
         }},
        {"share not a number", 1,
         [](limiter_options& o) {
             o.share = {1, std::numeric_limits<double>::quiet_NaN(), .1, .1};
         }},
        {"shares that rise", 1,
         [](limiter_options& o) {
             o.share = {1, .5, .6, .5};
         }},
        {"max_per_key -1", 1,
         [](limiter_options& o) {
             o.max_per_key = -1;
         }},
        {"max_wait negative", 1,
         [](limiter_options& o) {
             o.max_wait = -1ns;
         }},
        {"busy_wait negative", 1,
         [](limiter_options& o) {
             o.busy_wait = -1ns;
         }},
        {"busy_wait above max_wait", 1,
         [](limiter_options& o) {
             o.max_wait = 10ms;
             o.busy_wait = 11ms;
         }},
        {"no classify", 1,
         [](limiter_options& o) {
             o.classify = nullptr;
         }},
    };
    for (const auto& c : cases) {
        BOOST_TEST_CONTEXT(c.name) {
            limiter_options o;
            c.make(o);
            BOOST_CHECK_THROW(limiter(context, c.limit, o), std::invalid_argument);
            BOOST_CHECK_THROW(limiter(context.get_executor(), c.limit, o), std::invalid_argument);
        }
    }
    limiter_options edge;
    edge.share = {1, 1, .1, .1};
    edge.max_wait = edge.busy_wait = 5ms;
    edge.max_waiting = 0;
    const limiter fine(context, 1, edge);
    BOOST_TEST(fine.is_open());
    limiter_options no_time;
    no_time.max_wait = 0s;
    const limiter hasty(context, 1, no_time);
    BOOST_TEST(hasty.is_open());
}

BOOST_AUTO_TEST_CASE(a_dry_run_admits_all_requests_and_counts_those_it_would_have_held_back) {
    limiter_options o = patient(0);
    o.enforce = false;
    limiter own(context, 1, o);
    const admission a = own.try_admit(), b = own.try_admit();
    operation wide, late;
    own.async_admit(weighing(7), wide.on_completion()); // even more than the limit
    BOOST_TEST(wide.pending());
    poll();
    BOOST_TEST(wide.admitted());
    BOOST_TEST(static_cast<bool>(b));
    BOOST_TEST(own.in_flight() == 9);
    BOOST_TEST(own.statistics().over_limit == 2u);
    own.close();
    own.async_admit(late.on_completion());
    poll();
    BOOST_TEST(late.failed(closed));
}

BOOST_AUTO_TEST_CASE(a_snapshot_does_not_change_afterwards) {
    admission held = limit.try_admit(weighing(2));
    operation waits;
    limit.async_admit(of_key(3), waits.on_completion());
    const limiter_statistics s = limit.statistics();
    held.finish();
    BOOST_TEST(s.limit == 2.0);
    BOOST_TEST(s.in_flight == 2);
    BOOST_TEST(s.running == 1u);
    BOOST_TEST(s.waiting == 1u);
    BOOST_TEST(s.keys == 1u);
    BOOST_TEST(s.succeeded == 0u);
    BOOST_TEST(limit.statistics().succeeded == 1u);
    BOOST_TEST(limit.statistics().waiting == 0u);
    poll();
}

BOOST_AUTO_TEST_SUITE_END()
