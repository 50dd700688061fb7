// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#include <asio_semaphore/detail/state/wait_queue.hpp>

#include <asio_semaphore/detail/state/threads.hpp>

#include <boost/test/unit_test.hpp>

#include <vector>

namespace {

using namespace asio_semaphore::detail;
using waiter_type = waiter<threads>;
using queue_type = wait_queue<threads>;
using taken_type = taken_waiters<threads>;

struct idle_waiter final : waiter_type {
    using waiter_type::waiter_type;

    void submit() noexcept override { BOOST_ERROR("not to be submitted"); }
    void destroy() noexcept override { BOOST_ERROR("not to be destroyed"); }
    bool is_inside() const noexcept override { return false; }
    void hold_work() noexcept override {}
};

struct fixture {
    std::vector<std::ptrdiff_t> drain(queue_type& from) {
        std::vector<std::ptrdiff_t> counts;
        while (!from.empty()) {
            counts.push_back(from.front().count);
            from.remove(from.front());
        }
        return counts;
    }
    std::vector<std::ptrdiff_t> drain(taken_type& from) {
        std::vector<std::ptrdiff_t> counts;
        while (!from.empty())
            counts.push_back(from.pop_front().count);
        return counts;
    }

    idle_waiter a{1}, b{2}, c{3}, d{4};
    queue_type queue;
    taken_type taken, other;
};

using counts = std::vector<std::ptrdiff_t>;

} // namespace

BOOST_FIXTURE_TEST_SUITE(state_wait_queue, fixture)

BOOST_AUTO_TEST_CASE(waiters_are_taken_in_the_order_of_arrival) {
    for (auto* w : {&a, &b, &c})
        queue.push_back(*w);
    BOOST_TEST(drain(queue) == (counts{1, 2, 3}), boost::test_tools::per_element());
    BOOST_TEST(queue.empty());
}

BOOST_AUTO_TEST_CASE(any_waiter_may_leave_the_queue) {
    for (auto* leaver : {&a, &b, &c}) {
        BOOST_TEST_CONTEXT("leaver " << leaver->count) {
            for (auto* w : {&a, &b, &c})
                queue.push_back(*w);
            queue.remove(*leaver);
            counts expected{1, 2, 3};
            expected.erase(expected.begin() + (leaver->count - 1));
            BOOST_TEST(drain(queue) == expected, boost::test_tools::per_element());
        }
    }
}

BOOST_AUTO_TEST_CASE(the_only_waiter_may_leave_and_come_back) {
    queue.push_back(a);
    queue.remove(a);
    BOOST_TEST(queue.empty());
    queue.push_back(a);
    BOOST_TEST(&queue.front() == &a);
    BOOST_TEST(&queue.back() == &a);
    queue.remove(a);
}

BOOST_AUTO_TEST_CASE(all_waiters_may_move_to_another_queue_and_leave_it_from_the_middle) {
    queue_type ending;
    ending.take(queue);
    BOOST_TEST(ending.empty());
    for (auto* w : {&a, &b, &c})
        queue.push_back(*w);
    ending.take(queue);
    BOOST_TEST(queue.empty());
    queue.push_back(d);
    queue_type::remove(b);
    BOOST_TEST(drain(ending) == (counts{1, 3}), boost::test_tools::per_element());
    BOOST_TEST(drain(queue) == (counts{4}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(taken_waiters_keep_the_order_in_which_they_left) {
    for (auto* w : {&a, &b, &c, &d})
        queue.push_back(*w);
    for (auto* w : {&b, &d, &a}) {
        queue.remove(*w);
        taken.push_back(*w);
    }
    BOOST_TEST(&taken.back() == &a);
    BOOST_TEST(drain(taken) == (counts{2, 4, 1}), boost::test_tools::per_element());
    BOOST_TEST(drain(queue) == (counts{3}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(one_list_of_taken_waiters_is_appended_to_another) {
    taken.push_back(a);
    taken.push_back(b);
    other.push_back(c);
    other.push_back(d);
    taken.append(other);
    BOOST_TEST(other.empty());
    BOOST_TEST(&taken.back() == &d);
    BOOST_TEST(drain(taken) == (counts{1, 2, 3, 4}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(either_list_of_taken_waiters_may_be_empty) {
    other.push_back(a);
    other.push_back(b);
    taken.append(other);
    taken.append(other);
    BOOST_TEST(drain(taken) == (counts{1, 2}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()
