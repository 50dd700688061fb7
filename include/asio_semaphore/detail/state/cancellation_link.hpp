// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Connects a cancellation slot with the waiter that the slot can cancel. State layer. The slot owns
// the link: it may fire or destroy the link at any time and on any thread, before or after the
// waiter ends.
//
//   From attach on, target_ is written only under the state's mutex. If it is not null, the waiter
//   is alive, has this link, and is in the queue or has yet to enter it. A waiter that has a link
//   may rely on it, because the link's destructor disarms the waiter under the mutex first: even
//   between two attempts to enter the queue, since the first one may have submitted a handler that
//   owns the signal. The thread that takes the waiter out of the queue, or detaches a waiter that
//   never entered, clears target_ as its last access to the link. A destructor that reads null
//   therefore needs no lock.

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/detail/state/threads.hpp>
#include <asio_semaphore/detail/state/wait_queue.hpp>

#include <boost/smart_ptr/intrusive_ptr.hpp>

#include <atomic>

namespace asio_semaphore::detail {

template <typename Threads>
class cancellation_link {
public:
    using state_type = waiting_line<Threads>;

    explicit cancellation_link(boost::intrusive_ptr<state_type> state) noexcept;
    cancellation_link(const cancellation_link&) = delete;
    cancellation_link& operator=(const cancellation_link&) = delete;
    ~cancellation_link();

    /// Aborts the waiter if it still waits. If the link fires before its waiter enters the queue,
    /// the waiter is aborted on entry.
    void fire() noexcept;

    /// Makes this the link of @p w, which is not in the queue yet. If @p w never enters the queue,
    /// waiting_line::detach must follow before @p w is destroyed.
    void attach(waiter<Threads>& w) noexcept {
        w.link = this;
        // relaxed: the thread that attaches the link is the one that lets others fire it.
        target_.store(&w, std::memory_order_relaxed);
    }

private:
    friend state_type;

    typename Threads::template atomic<waiter<Threads>*> target_{nullptr};
    const boost::intrusive_ptr<state_type> state_;
    // Guarded by the state's mutex:
    bool is_queued_ = false; // whether the waiter has entered the queue
    bool fired_ = false;
};

} // namespace asio_semaphore::detail
