#pragma once

// Connects one canceller (a cancellation slot, a deadline) with the waiter that it may take out of
// the queue. State layer. The link belongs to the canceller: it may be fired, or die, at any time
// and on any thread, before or after its waiter ends.
//
//   target_ is written only under the state's mutex. Non-null: the waiter is in the queue, hence
//   alive, and lists this link. A waiter that lists a link may rely on it: the link's destructor
//   passes the mutex before it lets go. Whoever takes the waiter out of the queue clears target_ as
//   its last access to the link; the destructor that reads the null therefore needs no lock.

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/detail/state/threads.hpp>
#include <asio_semaphore/detail/state/wait_queue.hpp>

#include <boost/smart_ptr/intrusive_ptr.hpp>

namespace asio_semaphore::detail {

template <typename Threads>
class cancellation_link {
public:
    using state_type = semaphore_state<Threads>;

    /// @param result how the waiter ends when this link takes it out of the queue
    cancellation_link(boost::intrusive_ptr<state_type> state, outcome result) noexcept;
    cancellation_link(const cancellation_link&) = delete;
    cancellation_link& operator=(const cancellation_link&) = delete;
    ~cancellation_link();

    /// Ends the waiter if it waits still. Fired before its waiter enters the queue, the link ends
    /// it right there.
    void fire() noexcept;

    /// Makes this one of the links of a waiter that is not in the queue yet.
    void attach(waiter<Threads>& w) noexcept {
        next_ = w.links;
        w.links = this;
    }

private:
    friend state_type;

    typename Threads::template atomic<waiter<Threads>*> target_{nullptr};
    const boost::intrusive_ptr<state_type> state_;
    cancellation_link* next_ = nullptr; // guarded by the state's mutex: the waiter's other link
    bool fired_ = false;                // guarded by the state's mutex
    const outcome result_;
};

} // namespace asio_semaphore::detail
