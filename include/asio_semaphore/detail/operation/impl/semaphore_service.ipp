// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <asio_semaphore/detail/operation/semaphore_service.hpp>

#include <boost/throw_exception.hpp>

#include <stdexcept>

namespace asio_semaphore::detail {

ASIO_SEMAPHORE_DECL
semaphore_service::semaphore_service(boost::asio::execution_context& context) :
    boost::asio::execution_context::service(context), registry_(new state_registry<threads>) {}

ASIO_SEMAPHORE_DECL semaphore_service::~semaphore_service() {
    if (registry_->has_states())
        registry_->shutdown();
}

ASIO_SEMAPHORE_DECL void semaphore_service::shutdown() {
    registry_->shutdown();
}

ASIO_SEMAPHORE_DECL boost::intrusive_ptr<state_registry<threads>>
semaphore_service::registry_of(boost::asio::execution_context& context) {
    return boost::asio::use_service<semaphore_service>(context).registry_;
}

ASIO_SEMAPHORE_DECL boost::intrusive_ptr<semaphore_state<threads>> semaphore_service::make_state(
    boost::asio::execution_context& context, std::ptrdiff_t initial, std::ptrdiff_t max_permits) {
    using state = semaphore_state<threads>;
    if (initial < 0)
        boost::throw_exception(std::invalid_argument("async_semaphore: initial is negative"));
    if (max_permits < 1 || max_permits > state::max())
        boost::throw_exception(
            std::invalid_argument("async_semaphore: max_permits is not between 1 and max()"));
    if (initial > max_permits)
        boost::throw_exception(
            std::invalid_argument("async_semaphore: initial exceeds max_permits"));
    return {new state(initial, max_permits, registry_of(context)), false};
}

} // namespace asio_semaphore::detail
