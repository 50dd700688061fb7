#pragma once

#include <asio_semaphore/detail/cancellation_link.hpp>
#include <asio_semaphore/detail/semaphore_state.hpp>

#include <utility>

namespace asio_semaphore::detail {

template <typename Threads>
cancellation_link<Threads>::cancellation_link(
    boost::intrusive_ptr<state_type> state, outcome result) noexcept :
    state_(std::move(state)), result_(result) {}

template <typename Threads>
cancellation_link<Threads>::~cancellation_link() {
    // acquire: pairs with the store in semaphore_state::take.
    if (target_.load(std::memory_order_acquire) != nullptr)
        state_->disarm(*this);
}

template <typename Threads>
void cancellation_link<Threads>::fire() noexcept {
    // The waiter's handler may destroy this link on another thread before cancel() returns.
    const boost::intrusive_ptr<state_type> state = state_;
    state->cancel(*this);
}

} // namespace asio_semaphore::detail
