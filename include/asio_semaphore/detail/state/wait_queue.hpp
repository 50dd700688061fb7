// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// A waiter is one acquire that could not be granted at once; a wait_queue is the line in which
// waiters stand. State layer. The queue is intrusive, so entering, leaving, and cancelling from the
// middle cost O(1) and cannot fail. It locks nothing: the mutex of a semaphore's state guards the
// semaphore's queue, and any other queue belongs to one thread.

#include <boost/assert.hpp>

#include <cstddef>
#include <utility>

namespace asio_semaphore::detail {

template <typename Threads>
class waiting_line;
template <typename Threads>
class cancellation_link;

/// How an acquire ends.
enum class outcome : unsigned char {
    granted,
    queued,     ///< not ended: the operation waits
    unalarmed,  ///< not ended: it may wait once the alarm is set for its deadline
    unrecorded, ///< not ended: it may continue once its key has a record
    invalid_argument,
    exceeds_max,
    closed,
    aborted,
    timed_out,
    queue_full,
    shed,
    // Outcomes that only the fleet has; see fleet_error.
    lost,
    limit_mismatch,
    unreachable,
    rejected,
    clustered,
    incompatible,
    abandoned ///< its execution context is gone: the handler is destroyed, not called
};

/// The links of an element of an intrusive_list.
struct list_node {
    list_node* next; // both are unset while the node is in no list
    list_node* previous;
};

/// A circular list with a sentinel, so that an element can leave without knowing its list.
class intrusive_list {
public:
    intrusive_list() noexcept : end_{&end_, &end_} {}
    intrusive_list(const intrusive_list&) = delete;
    intrusive_list& operator=(const intrusive_list&) = delete;
    ~intrusive_list() { BOOST_ASSERT(empty()); }

    bool empty() const noexcept { return end_.next == &end_; }
    list_node& front() const noexcept { return *end_.next; }
    list_node& back() const noexcept { return *end_.previous; }

    void push_back(list_node& node) noexcept {
        join(*end_.previous, node);
        join(node, end_);
    }

    static void remove(list_node& node) noexcept { join(*node.previous, *node.next); }

    /// Moves all elements of @p other here. @pre empty()
    void take(intrusive_list& other) noexcept {
        if (other.empty())
            return;
        join(end_, *other.end_.next);
        join(*other.end_.previous, end_);
        other.end_ = {&other.end_, &other.end_};
    }

    template <typename F>
    void for_each(F f) const {
        find_if([&f](list_node& node) {
            f(node);
            return false;
        });
    }

    /// The first element for which f returns true; null if there is none.
    template <typename F>
    list_node* find_if(F f) const {
        for (list_node* node = end_.next; node != &end_; node = node->next) {
            if (f(*node))
                return node;
        }
        return nullptr;
    }

private:
    static void join(list_node& first, list_node& second) noexcept {
        first.next = &second;
        second.previous = &first;
    }

    list_node end_;
};

/// What to do once a waiter that left the queue has been submitted.
enum class ends : unsigned char {
    nothing,
    section,          ///< end the section: all waiters that left in one call are submitted
    section_and_alarm ///< also cancel the timer: no waiter has a deadline any more
};

/// The part of a waiting operation that the state layer sees.
template <typename Threads>
class waiter : public list_node {
public:
    /// @param works whether the operation itself holds outstanding work on the semaphore's executor
    explicit waiter(std::ptrdiff_t n, bool works = true, bool has_deadline = false) noexcept :
        link(nullptr), count(n), is_timed(has_deadline), holds_work(works) {}
    waiter(const waiter&) = delete;
    waiter& operator=(const waiter&) = delete;

    /// Submits the operation to its executor; the operation may be gone before this returns.
    virtual void submit() noexcept = 0;
    /// Destroys the operation and its handler without submitting anything, because the execution
    /// context shuts down.
    virtual void destroy() noexcept = 0;

    // For waiters that do not hold work themselves. Called under the mutex, so these may call
    // nothing but Asio's own executors:
    /// Holds work until the submission.
    virtual void hold_work() noexcept = 0;
    /// Whether this thread is running the semaphore's executor. If so, the thread counts as work,
    /// and the context cannot be destroyed meanwhile.
    virtual bool is_inside() const noexcept = 0;

    union {
        // Until the waiter is taken: the link that may cancel it, or null. Guarded by the state's
        // mutex.
        cancellation_link<Threads>* link;
        // Afterwards: the state, to which the waiter owns one reference.
        waiting_line<Threads>* state;
    };
    const std::ptrdiff_t count;
    outcome result = outcome::queued;
    ends then = ends::nothing; // set when taken
    bool is_timed;             // this is a timed_waiter with a deadline
    bool holds_work;           // guarded by the state's mutex
    // Guarded by the state's mutex: whether a link that is gone fired before the waiter entered the
    // queue.
    bool was_cancelled = false;

protected:
    ~waiter() = default;
};

template <typename Threads>
class wait_queue {
public:
    using waiter_type = waiter<Threads>;

    bool empty() const noexcept { return list_.empty(); }
    waiter_type& front() const noexcept { return static_cast<waiter_type&>(list_.front()); }
    waiter_type& back() const noexcept { return static_cast<waiter_type&>(list_.back()); }
    void push_back(waiter_type& w) noexcept { list_.push_back(w); }
    static void remove(waiter_type& w) noexcept { intrusive_list::remove(w); }

    /// Moves all waiters of @p other here. @pre empty()
    void take(wait_queue& other) noexcept { list_.take(other.list_); }

private:
    intrusive_list list_;
};

/// Waiters that have left their queues and still have to be submitted or destroyed, in the order in
/// which they left.
template <typename Threads>
class taken_waiters {
public:
    using waiter_type = waiter<Threads>;

    taken_waiters() noexcept = default;
    taken_waiters(taken_waiters&& other) noexcept :
        first_(std::exchange(other.first_, nullptr)), last_(other.last_) {}
    taken_waiters& operator=(taken_waiters&&) = delete;
    ~taken_waiters() { BOOST_ASSERT(empty()); }

    bool empty() const noexcept { return first_ == nullptr; }
    waiter_type& back() const noexcept { return *last_; }

    void push_back(waiter_type& w) noexcept {
        w.next = nullptr;
        append(w, w);
    }

    waiter_type& pop_front() noexcept {
        waiter_type& first = *first_;
        first_ = static_cast<waiter_type*>(first.next);
        return first;
    }

    /// Moves all waiters of @p other to the end.
    void append(taken_waiters& other) noexcept {
        if (!other.empty())
            append(*std::exchange(other.first_, nullptr), other.back());
    }

private:
    void append(waiter_type& first, waiter_type& last) noexcept {
        if (first_ == nullptr)
            first_ = &first;
        else
            last_->next = &first;
        last_ = &last;
    }

    waiter_type* first_ = nullptr;
    waiter_type* last_ = nullptr; // valid only if first_ is not null
};

} // namespace asio_semaphore::detail
