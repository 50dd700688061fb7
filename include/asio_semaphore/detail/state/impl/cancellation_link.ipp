// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <asio_semaphore/detail/state/cancellation_link.hpp>
#include <asio_semaphore/detail/state/waiting_line.hpp>

#include <utility>

namespace asio_semaphore::detail {

template <typename Threads>
cancellation_link<Threads>::cancellation_link(boost::intrusive_ptr<state_type> state) noexcept :
    state_(std::move(state)) {}

template <typename Threads>
cancellation_link<Threads>::~cancellation_link() {
    // acquire: the thread that cleared target_ is done with this link [grant_and_end_of_the_link].
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
