// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// The completion of an operation that ends inside its initiation. It still runs later, unless the
// handler has an immediate executor. Asio layer. The handler has already been moved out of the
// caller's object. The request decides what the operation holds by then, and whether the handler
// receives it; see acquire_operation.

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/detail/operation/executors.hpp>
#include <asio_semaphore/detail/state/wait_queue.hpp>
#include <asio_semaphore/error.hpp>

#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/associator.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/error.hpp>
#if ASIO_SEMAPHORE_HAS_IMMEDIATE_EXECUTOR
#include <boost/asio/associated_immediate_executor.hpp>
#include <boost/asio/system_executor.hpp>
#endif
#include <boost/config.hpp>

#include <type_traits>
#include <utility>

namespace asio_semaphore::detail {

inline boost::system::error_code failure_code(outcome result) noexcept {
    switch (result) {
    case outcome::invalid_argument:
        return asio::error::invalid_argument;
    case outcome::exceeds_max:
        return error::exceeds_max;
    case outcome::closed:
        return error::closed;
    case outcome::timed_out:
        return asio::error::timed_out;
    case outcome::queue_full:
        return error::queue_full;
    case outcome::shed:
        return error::shed;
    default:
        return asio::error::operation_aborted;
    }
}

inline boost::system::error_code to_error_code(outcome result) noexcept {
    return result == outcome::granted ? boost::system::error_code() : detail::failure_code(result);
}

template <typename Request, typename = void>
inline constexpr bool has_own_errors = false;
template <typename Request>
inline constexpr bool
    has_own_errors<Request, std::void_t<decltype(Request::own_error_code(outcome()))>> = true;

/// The error code for the handler: the request's own, if it defines one.
template <typename Request>
BOOST_FORCEINLINE boost::system::error_code error_code_of(outcome result) noexcept {
    if constexpr (has_own_errors<Request>)
        return Request::own_error_code(result);
    else
        return detail::to_error_code(result);
}

/// With this signature the handler receives only the error: what the operation holds goes to the
/// caller, who gives it back by hand.
using bare_signature = void(boost::system::error_code);

template <typename Signature, typename Handler>
inline constexpr bool can_be_called = false;
template <typename... Args, typename Handler>
inline constexpr bool can_be_called<void(Args...), Handler> =
    std::is_invocable_v<Handler&&, Args...>;

/// The holding of an operation that is granted nothing.
struct nothing {
    static void reset() noexcept {}
    static void forget() noexcept {}
};

template <typename Request, typename Handler, typename Holding>
BOOST_FORCEINLINE void call_handler(Handler& handler, outcome result, Holding& held) {
    const boost::system::error_code ec = detail::error_code_of<Request>(result);
    if constexpr (std::is_same_v<typename Request::signature, bare_signature>) {
        held.forget();
        static_cast<Handler&&>(handler)(ec);
    } else {
        static_cast<Handler&&>(handler)(ec, std::move(held));
    }
}

/// A handler with its arguments. If it is destroyed instead of called, it gives back what it holds.
template <typename Request, typename Handler>
struct completion {
    template <typename StatePointer>
    BOOST_FORCEINLINE
    completion(Handler& h, outcome r, const StatePointer& state, Request& request) :
        held(request.hold(state, r)), handler(std::move(h)), result(r) {}
    completion(completion&&) = default;
    completion& operator=(completion&&) = delete;
    ~completion() { held.reset(); } // before the handler is destroyed

    void operator()() { detail::call_handler<Request>(handler, result, held); }

    // First, so that it gives back even if moving the handler throws.
    typename Request::holding held;
    Handler handler;
    outcome result;
};

#if ASIO_SEMAPHORE_HAS_IMMEDIATE_EXECUTOR
template <typename Handler>
using immediate_executor_of = asio::associated_immediate_executor_t<Handler, no_executor>;

template <typename Handler>
inline constexpr bool has_immediate_executor =
    !std::is_same_v<immediate_executor_of<Handler>, no_executor>;

/// Has the handler's immediate executor run f, which contains the handler.
template <typename Handler, typename IoExecutor, typename Function>
void dispatch_immediately(const Handler& handler, const IoExecutor& io_executor, Function&& f) {
    const auto immediate = asio::get_associated_immediate_executor(handler, io_executor);
    asio::dispatch(immediate, std::forward<Function>(f));
}

/// For a handler that has an immediate executor. Takes over what the state granted.
template <typename Handler, typename IoExecutor, typename StatePointer, typename Request>
void complete_immediately(
    Handler& handler, const IoExecutor& io_executor, const StatePointer& state, Request request,
    outcome result) {
    const auto immediate = asio::get_associated_immediate_executor(handler, io_executor);
    asio::dispatch(immediate, completion<Request, Handler>(handler, result, state, request));
}

/// Whether the immediate executor is certain to call the handler here. The system executor runs it
/// in the calling thread, and lets no exception out. Nothing can happen between the grant
/// and the call, so no object has to hold what is granted.
template <typename Signature, typename Handler>
inline constexpr bool is_called_in_place =
    std::is_same_v<immediate_executor_of<Handler>, asio::system_executor> &&
    !has_executor<Handler> && std::is_same_v<Signature, bare_signature>;
#else
template <typename Handler>
inline constexpr bool has_immediate_executor = false;
template <typename Signature, typename Handler>
inline constexpr bool is_called_in_place = false;

// Never called:
template <typename Handler, typename IoExecutor, typename Function>
void dispatch_immediately(const Handler&, const IoExecutor&, Function&&);
template <typename Handler, typename IoExecutor, typename StatePointer, typename Request>
void complete_immediately(Handler&, const IoExecutor&, const StatePointer&, Request, outcome);
#endif

template <
    typename Handler, typename HandlerExecutor, typename IoExecutor, typename StatePointer,
    typename Request>
BOOST_FORCEINLINE void post_completion_to(
    Handler& handler, const HandlerExecutor& associated, const IoExecutor& io_executor,
    const StatePointer& state, Request& request, outcome result) {
    // Copies, because both may be parts of the handler, which moves.
    const HandlerExecutor executor(associated);
    const auto allocator = asio::get_associated_allocator(handler);
    detail::submit_to(
        executor, io_executor, completion<Request, Handler>(handler, result, state, request),
        allocator);
}

/// The rarer case, kept out of line so as not to slow down the others.
template <
    typename Handler, typename HandlerExecutor, typename IoExecutor, typename StatePointer,
    typename Request>
BOOST_NOINLINE void post_completion_elsewhere(
    Handler& handler, const HandlerExecutor& associated, const IoExecutor& io_executor,
    const StatePointer& state, Request request, outcome result) {
    detail::post_completion_to(handler, associated, io_executor, state, request, result);
}

/// Has the handler called later, on its executor. Takes over what the state granted.
template <typename Handler, typename IoExecutor, typename StatePointer, typename Request>
BOOST_FORCEINLINE void post_completion(
    Handler& handler, const IoExecutor& io_executor, const StatePointer& state, Request& request,
    outcome result) {
    const auto& associated = asio::get_associated_executor(handler, io_executor);
    if (const auto* const context = detail::as_io_context(associated))
        detail::post_completion_to(handler, *context, io_executor, state, request, result);
    else if constexpr (!std::is_same_v<
                           std::decay_t<decltype(associated)>, detail::io_context_executor>)
        detail::post_completion_elsewhere(
            handler, associated, io_executor, state, std::move(request), result);
}

} // namespace asio_semaphore::detail

/// Everything associated with the handler is associated with its completion.
template <
    template <typename, typename> class Associator, typename Request, typename Handler,
    typename DefaultCandidate>
struct boost::asio::associator<
    Associator, asio_semaphore::detail::completion<Request, Handler>, DefaultCandidate>
    : Associator<Handler, DefaultCandidate> {
    using completion = asio_semaphore::detail::completion<Request, Handler>;

    static typename Associator<Handler, DefaultCandidate>::type get(const completion& c) noexcept {
        return Associator<Handler, DefaultCandidate>::get(c.handler);
    }
    static auto get(const completion& c, const DefaultCandidate& candidate) noexcept
        -> decltype(Associator<Handler, DefaultCandidate>::get(c.handler, candidate)) {
        return Associator<Handler, DefaultCandidate>::get(c.handler, candidate);
    }
};
