// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <asio_semaphore/detail/operation/limited_token.hpp>
#include <asio_semaphore/detail/operation/with_permit_operation.hpp>
#include <asio_semaphore/fleet/fleet_permit.hpp>

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/system/error_code.hpp>

#include <memory>
#include <type_traits>
#include <utility>

namespace asio_semaphore {
namespace detail {

/// Cancels an operation through its relay when the permit is lost.
struct cancel_when_lost {
    std::shared_ptr<cancellation_relay> relay;

    void operator()(const boost::system::error_code& ec) const {
        if (ec == fleet_error::lost)
            relay->cancel(asio::cancellation_type::terminal);
    }
};

template <>
struct loss_of<fleet_permit> {
    static constexpr bool is_possible = true;

    template <typename Executor>
    static void watch(
        fleet_permit& held, const Executor& executor,
        const std::shared_ptr<cancellation_relay>& relay) {
        held.async_wait_lost(asio::bind_executor(executor, cancel_when_lost{relay}));
    }
};

/// Watches the caller's permit until the operation ends.
class loss_watch {
public:
    template <typename Executor>
    loss_watch(
        fleet_permit& held, const Executor& executor,
        const std::shared_ptr<cancellation_relay>& relay) :
        end_(std::make_shared<asio::cancellation_signal>()) {
        held.async_wait_lost(asio::bind_cancellation_slot(
            end_->slot(), asio::bind_executor(executor, cancel_when_lost{relay})));
    }

    loss_watch(loss_watch&&) = default;
    loss_watch& operator=(loss_watch&&) = delete;
    ~loss_watch() { reset(); }

    void reset() noexcept {
        if (const auto end = std::move(end_))
            end->emit(asio::cancellation_type::terminal);
    }

private:
    std::shared_ptr<asio::cancellation_signal> end_;
};

template <typename Initiation, typename Executor>
class initiate_while_held {
public:
    using executor_type = Executor;

    template <typename I>
    initiate_while_held(I&& initiation, const Executor& executor, fleet_permit& held) :
        initiation_(std::forward<I>(initiation)), executor_(executor), held_(&held) {}

    const executor_type& get_executor() const noexcept { return executor_; }

    template <typename Handler, typename... Args>
    void operator()(Handler&& handler, Args&&... args) {
        const auto slot = asio::get_associated_cancellation_slot(handler);
        std::decay_t<Handler> own(std::forward<Handler>(handler));
        auto relay = detail::relay_from(slot, true);
        relay->start();
        loss_watch watch(*held_, asio::get_associated_executor(own, executor_), relay);
        static_cast<Initiation&&>(initiation_)(
            permit_keeper<std::decay_t<Handler>, loss_watch>(
                std::move(relay), std::move(own), std::move(watch)),
            std::forward<Args>(args)...);
    }

private:
    Initiation initiation_;
    Executor executor_;
    fleet_permit* held_;
};

template <typename CompletionToken>
struct held_token {
    fleet_permit* held_;
    CompletionToken token_;
};

template <typename Initiation>
auto make_initiate_while_held(Initiation&& initiation, fleet_permit& held) {
    const auto executor =
        asio::get_associated_executor(initiation, fleet::permit_access::executor_of(held));
    return initiate_while_held<std::decay_t<Initiation>, std::decay_t<decltype(executor)>>(
        std::forward<Initiation>(initiation), executor, held);
}

} // namespace detail

/// Runs an asynchronous operation that is cancelled when @p permit is lost.
/**
 * @param permit stays with the caller, who has to keep it until the operation completes
 * @param token the completion token for the result of the operation
 *
 * @par Example
 * @code
 * fleet_permit held = co_await limit.async_acquire_permit(use_awaitable);
 * co_await asio::async_write(socket, buffers, while_held(held, use_awaitable));
 * @endcode
 *
 * The adapter does not give the permit back. If the permit is lost before the operation starts, the
 * operation is cancelled as soon as it waits.
 *
 * @par Completion Signature
 * That of the operation.
 *
 * @par Per-Operation Cancellation
 * Through the handler's cancellation slot, as the operation supports it. A loss is a cancellation
 * of type terminal.
 *
 * @par Executor
 * The handler's associated executor. The cancellation is emitted there: as with any cancellation, a
 * strand is needed if several threads run that executor.
 *
 * @par Errors
 * Those of the operation; after a loss usually `operation_aborted`.
 *
 * @see @ref fleet
 */
template <typename CompletionToken>
[[nodiscard]] auto while_held(fleet_permit& permit, CompletionToken&& token) {
    return detail::held_token<std::decay_t<CompletionToken>>{
        &permit, std::forward<CompletionToken>(token)};
}

} // namespace asio_semaphore

template <typename CompletionToken, typename... Signatures>
struct boost::asio::async_result<asio_semaphore::detail::held_token<CompletionToken>, Signatures...>
    : asio_semaphore::detail::return_type_of<async_result<CompletionToken, Signatures...>> {
    template <typename Initiation, typename RawCompletionToken, typename... Args>
    static auto initiate(Initiation&& initiation, RawCompletionToken&& token, Args&&... args)
        -> decltype(boost::asio::async_initiate<
                    asio_semaphore::detail::forwarded_t<RawCompletionToken, CompletionToken>,
                    Signatures...>(
            asio_semaphore::detail::make_initiate_while_held(
                std::forward<Initiation>(initiation), *token.held_),
            token.token_, std::forward<Args>(args)...)) {
        return boost::asio::async_initiate<
            asio_semaphore::detail::forwarded_t<RawCompletionToken, CompletionToken>,
            Signatures...>(
            asio_semaphore::detail::make_initiate_while_held(
                std::forward<Initiation>(initiation), *token.held_),
            token.token_, std::forward<Args>(args)...);
    }
};
