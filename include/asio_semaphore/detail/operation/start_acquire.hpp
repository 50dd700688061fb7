// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// The start of an operation: the attempts that end it at once, or an acquire_operation that waits.
// Asio layer.

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/detail/operation/acquire_operation.hpp>
#include <asio_semaphore/detail/operation/completion.hpp>
#include <asio_semaphore/detail/operation/executors.hpp>
#include <asio_semaphore/detail/operation/route.hpp>
#include <asio_semaphore/detail/state/wait_queue.hpp>

#include <boost/asio/associated_executor.hpp>
#include <boost/config.hpp>

#include <utility>

namespace asio_semaphore::detail {

/// Queues an operation that has to wait.
template <typename Handler, typename Executor, typename StatePointer, typename Request>
BOOST_FORCEINLINE void start_waiting(
    Handler& handler, const Executor& executor, const StatePointer& state, Request request) {
    using handler_executor = asio::associated_executor_t<Handler, Executor>;
    const auto& associated = asio::get_associated_executor(handler, executor);
    if (const auto* const shared = detail::common_io_context(executor, associated))
        acquire_operation<Request, Handler, io_context_route>::start(
            handler, executor, *shared, state, std::move(request));
    else
        acquire_operation<
            Request, Handler, general_route<Executor, handler_executor, has_executor<Handler>>>::
            start(handler, executor, associated, state, std::move(request));
}

template <typename Handler, typename Executor, typename StatePointer, typename Request>
BOOST_FORCEINLINE void end_or_wait(
    Handler& handler, const Executor& executor, const StatePointer& state, Request& request,
    outcome result) {
    using signature = typename Request::signature;
    if (result == outcome::queued) {
        detail::start_waiting(handler, executor, state, std::move(request));
    } else if (result == outcome::abandoned) {
        return;
    } else if constexpr (is_called_in_place<signature, Handler>) {
        [&]() noexcept {
            static_cast<Handler&&>(handler)(detail::error_code_of<Request>(result));
        }();
    } else if constexpr (has_immediate_executor<Handler>) {
        detail::complete_immediately(handler, executor, state, std::move(request), result);
    } else {
        detail::post_completion(handler, executor, state, request, result);
    }
}

/// Makes the second attempt. Owns the executor and a reference to the state, because the object may
/// be destroyed meanwhile.
template <typename Handler, typename Executor, typename StatePointer, typename Request>
BOOST_NOINLINE void
start_again(Handler& handler, Executor executor, StatePointer state, Request request) {
    const outcome result = request.try_again(state);
    detail::end_or_wait(handler, executor, state, request, result);
}

/// Starts an operation. @param state null if the object has been moved from
/// @param handler the initiation's own copy; the initiation destroys it unless it is moved on
template <typename Handler, typename Executor, typename StatePointer, typename Request>
BOOST_FORCEINLINE void start_acquire(
    Handler& handler, const Executor& executor, const StatePointer& state, Request& request) {
    using signature = typename Request::signature;
    static_assert(
        can_be_called<signature, Handler>,
        "the handler must be callable with what the operation's completion signature says: "
        "(error_code) for async_acquire and async_wait_idle, (error_code, permit) for "
        "async_acquire_permit, (error_code, admission) for async_admit");
    const outcome result = request.try_now(state);
    if constexpr (Request::submits_others) {
        if (result == outcome::queued && !request.has_to_wait(state))
            return detail::start_again(handler, executor, state, std::move(request));
    }
    detail::end_or_wait(handler, executor, state, request, result);
}

} // namespace asio_semaphore::detail
