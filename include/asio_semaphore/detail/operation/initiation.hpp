// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// The initiation of an operation. A completion token may call it now, later, more than once, or
// never. Asio layer. Until the initiation is copied or moved, it refers to the members of the
// object on which the operation is started. A copy, which a lazy token keeps, holds its own
// executor and a reference to the state. The copy therefore follows the object's state when the
// object is moved, and may outlive the object.

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/detail/operation/start_acquire.hpp>

#include <boost/smart_ptr/intrusive_ptr.hpp>

#include <optional>
#include <type_traits>
#include <utility>

namespace asio_semaphore::detail {

/// Derived classes have the call operators.
template <typename Executor, typename State>
class initiation {
public:
    using executor_type = Executor;
    using state_pointer = boost::intrusive_ptr<State>;

    initiation(const Executor& executor, const state_pointer& state) noexcept :
        executor_(&executor), state_(&state) {}

    initiation(const initiation& other) { keep(*other.executor_, *other.state_); }
    initiation(initiation&& other) noexcept {
        if (other.owned_)
            keep(std::move(other.owned_->executor), std::move(other.owned_->state));
        else
            keep(*other.executor_, *other.state_);
    }
    initiation& operator=(initiation other) noexcept {
        keep(std::move(other.owned_->executor), std::move(other.owned_->state));
        return *this;
    }

    const executor_type& get_executor() const noexcept { return *executor_; }

protected:
    // Forced inline, as are the call operator of an acquire and start_acquire: each is called in
    // one place per handler, and passes on what is in registers.
    template <typename Handler, typename Request>
    BOOST_FORCEINLINE void start(Handler&& handler, Request&& request) const {
        // From here on the handler is no longer the caller's, even if something throws.
        std::decay_t<Handler> own(std::forward<Handler>(handler));
        detail::start_acquire(own, *executor_, *state_, request);
    }

private:
    struct owned {
        template <typename E, typename S>
        owned(E&& e, S&& s) : executor(std::forward<E>(e)), state(std::forward<S>(s)) {}

        Executor executor;
        state_pointer state;
    };

    template <typename E, typename S>
    void keep(E&& executor, S&& state) {
        owned_.emplace(std::forward<E>(executor), std::forward<S>(state));
        executor_ = &owned_->executor;
        state_ = &owned_->state;
    }

    std::optional<owned> owned_;
    const Executor* executor_;
    const state_pointer* state_;
};

} // namespace asio_semaphore::detail
