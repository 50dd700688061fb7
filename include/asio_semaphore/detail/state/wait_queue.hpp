#pragma once

// A waiter is one acquire that could not be granted at once; a wait_queue is the line in which
// waiters stand. State layer. The queue is intrusive, so that entering, leaving and being cancelled
// from the middle cost O(1) and cannot fail. It locks nothing: a semaphore's queue is guarded by
// the mutex of its state, any other belongs to one thread.

#include <boost/assert.hpp>

#include <cstddef>
#include <utility>

namespace asio_semaphore::detail {

template <typename Threads>
class semaphore_state;
template <typename Threads>
class cancellation_link;

/// How an acquire ends.
enum class outcome : unsigned char {
    granted,
    queued, ///< not ended: it waits
    invalid_argument,
    exceeds_max,
    closed,
    aborted,
    timed_out,
    abandoned ///< its execution context is gone: the handler is destroyed, not called
};

/// The part of a waiting operation that the state layer sees.
template <typename Threads>
class waiter {
public:
    /// @param is_busy whether it keeps the semaphore's executor busy from the start
    explicit waiter(std::ptrdiff_t n, bool is_busy = true) noexcept :
        links(nullptr), count(n), keeps_busy(is_busy) {}
    waiter(const waiter&) = delete;
    waiter& operator=(const waiter&) = delete;

    /// Hands the operation to its executor; it may be gone before this returns.
    virtual void submit() noexcept = 0;
    /// Destroys it, handler and all: there is no executor any more.
    virtual void destroy() noexcept = 0;

    // Under the mutex, and calling nothing but Asio's own executors:
    /// Whether this thread is running the semaphore's executor, which then stays busy, and stays.
    virtual bool is_inside() const noexcept = 0;
    /// From now on the semaphore's executor has outstanding work as long as the operation lives.
    virtual void keep_busy() noexcept = 0;

    waiter* next; // unset outside of queue and list, both
    waiter* previous;
    union {
        cancellation_link<Threads>* links; // until taken: who may cancel it; guarded by the state's
                                           // mutex
        semaphore_state<Threads>* state;   // from then on: owns one reference
    };
    const std::ptrdiff_t count;
    outcome result = outcome::queued;
    bool keeps_busy;         // guarded by the state's mutex: keep_busy() need not be called
    bool ends_batch = false; // the last of those that left the queue in one critical section

protected:
    ~waiter() = default;
};

/// What keeps the semaphore's executor busy for operations that are away: that have gone on to
/// their handlers' executors in other contexts.
class away_keeper {
public:
    away_keeper() noexcept = default;
    away_keeper(const away_keeper&) = delete;
    away_keeper& operator=(const away_keeper&) = delete;

    /// Keeps it busy no longer, and is gone.
    virtual void end() noexcept = 0;

    away_keeper* next = nullptr;

protected:
    ~away_keeper() = default;
};

template <typename Threads>
class wait_queue {
public:
    using waiter_type = waiter<Threads>;

    wait_queue() noexcept = default;
    wait_queue(const wait_queue&) = delete;
    wait_queue& operator=(const wait_queue&) = delete;
    ~wait_queue() { BOOST_ASSERT(empty()); }

    bool empty() const noexcept { return head_ == nullptr; }
    waiter_type& front() const noexcept { return *head_; }
    waiter_type& back() const noexcept { return *head_->previous; }

    void push_back(waiter_type& w) noexcept {
        if (head_ == nullptr) {
            head_ = w.next = w.previous = &w;
        } else {
            join(back(), w);
            join(w, *head_);
        }
    }

    void remove(waiter_type& w) noexcept {
        if (w.next == &w) {
            head_ = nullptr;
        } else {
            join(*w.previous, *w.next);
            if (head_ == &w)
                head_ = w.next;
        }
    }

private:
    static void join(waiter_type& first, waiter_type& second) noexcept {
        first.next = &second;
        second.previous = &first;
    }

    waiter_type* head_ = nullptr; // a ring: the head's previous is the last
};

/// Waiters that have left their queues and have yet to be performed, in the order in which they
/// left.
template <typename Threads>
class taken_waiters {
public:
    using waiter_type = waiter<Threads>;

    taken_waiters() noexcept = default;
    taken_waiters(const taken_waiters&) = delete;
    taken_waiters& operator=(const taken_waiters&) = delete;
    ~taken_waiters() { BOOST_ASSERT(empty()); }

    bool empty() const noexcept { return first_ == nullptr; }
    waiter_type& front() const noexcept { return *first_; }
    waiter_type& back() const noexcept { return *last_; }

    void push_back(waiter_type& w) noexcept {
        w.next = nullptr;
        append(w, w);
    }

    waiter_type& pop_front() noexcept {
        waiter_type& first = front();
        first_ = first.next;
        return first;
    }

    /// Moves all of @p other behind what is here.
    void append(taken_waiters& other) noexcept {
        if (!other.empty())
            append(*std::exchange(other.first_, nullptr), other.back());
    }

private:
    void append(waiter_type& first, waiter_type& last) noexcept {
        (first_ == nullptr ? first_ : last_->next) = &first;
        last_ = &last;
    }

    waiter_type* first_ = nullptr;
    waiter_type* last_ = nullptr; // where there is a first
};

} // namespace asio_semaphore::detail
