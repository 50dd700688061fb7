// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// The library's service on an execution context: when the context shuts down, it destroys the
// operations that still wait, while their executors are still valid. The registry does the work;
// see state_registry.

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/detail/state/semaphore_state.hpp>
#include <asio_semaphore/detail/state/state_registry.hpp>

#include <boost/asio/execution_context.hpp>
#include <boost/config.hpp>
#include <boost/smart_ptr/intrusive_ptr.hpp>

namespace asio_semaphore::detail {

class BOOST_SYMBOL_VISIBLE semaphore_service final
    : public boost::asio::execution_context::service {
public:
    inline static boost::asio::execution_context::id id;

    ASIO_SEMAPHORE_DECL explicit semaphore_service(boost::asio::execution_context& context);

    /// Asio may not shut down a service that is created while the context is already shutting down.
    /// And if several threads create the service at once, Asio destroys all but one of theirs,
    /// under a lock of its own: that destruction must not shut down or call anything.
    ASIO_SEMAPHORE_DECL ~semaphore_service() override;

    /// The registry of the states on this context.
    ASIO_SEMAPHORE_DECL static boost::intrusive_ptr<state_registry<threads>>
    registry_of(boost::asio::execution_context& context);

    /// The parameters are those of the constructor of basic_async_semaphore.
    /// @throws std::invalid_argument
    ASIO_SEMAPHORE_DECL static boost::intrusive_ptr<semaphore_state<threads>> make_state(
        boost::asio::execution_context& context, std::ptrdiff_t initial,
        std::ptrdiff_t max_permits);

private:
    ASIO_SEMAPHORE_DECL void shutdown() override;

    const boost::intrusive_ptr<state_registry<threads>> registry_;
};

} // namespace asio_semaphore::detail

#if !defined(ASIO_SEMAPHORE_SEPARATE_COMPILATION)
#include <asio_semaphore/detail/operation/impl/semaphore_service.ipp>
#endif
