#pragma once

// A waiter is one acquire that could not be granted at once; a wait_queue is the line in which
// waiters stand. State layer. The queue is intrusive, so that entering, leaving and being cancelled
// from the middle cost O(1) and cannot fail. It locks nothing: a semaphore's queue is guarded by
// the mutex of its state, any other belongs to one thread.

#include <boost/assert.hpp>

#include <cstddef>

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
struct waiter {
    enum class action : unsigned char {
        submit, ///< hand the operation to its executor
        destroy ///< destroy it, handler and all: there is no executor any more
    };

    waiter(std::ptrdiff_t n, void (*act)(waiter*, action) noexcept) noexcept :
        count(n), perform(act) {}

    waiter* next = nullptr;
    waiter* previous = nullptr;
    semaphore_state<Threads>* state = nullptr; // from being taken on: owns one reference
    cancellation_link<Threads>* links =
        nullptr; // guarded by the state's mutex; who may cancel this waiter
    const std::ptrdiff_t count;
    void (*const perform)(waiter*, action) noexcept;
    outcome result = outcome::queued;
    bool ends_batch = false; // the last of those that left the queue in one critical section
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
        w.next = w.previous = nullptr;
    }

    waiter_type& pop_front() noexcept {
        waiter_type& first = front();
        remove(first);
        return first;
    }

    /// Moves all of @p other behind what is here.
    void append(wait_queue& other) noexcept {
        if (other.empty())
            return;
        if (empty()) {
            head_ = other.head_;
        } else {
            waiter_type& last = other.back();
            join(back(), other.front());
            join(last, *head_);
        }
        other.head_ = nullptr;
    }

private:
    static void join(waiter_type& first, waiter_type& second) noexcept {
        first.next = &second;
        second.previous = &first;
    }

    waiter_type* head_ = nullptr; // a ring: the head's previous is the last
};

} // namespace asio_semaphore::detail
