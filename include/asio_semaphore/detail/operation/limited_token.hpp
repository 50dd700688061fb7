// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// The completion tokens that run an operation under a limit. Asio layer.

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/detail/operation/failure_of.hpp>
#include <asio_semaphore/detail/operation/with_permit_operation.hpp>

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/deferred.hpp>

#include <type_traits>
#include <utility>

namespace asio_semaphore::detail {

/// @tparam Limit a value that describes what the operation must hold. limit.acquire() is a deferred
/// operation with the signature void(error_code, what is held). limit.get_executor() is the
/// executor of the object that grants. If what is granted can be lost, Limit has a type
/// grants_what_can_be_lost.
template <typename CompletionToken, typename Limit>
struct limited_token {
    /// The adapted token.
    using token_type = CompletionToken;
    using limit_type = Limit;

    Limit limit_;
    CompletionToken token_;
};

/// Stands for the default token of the operation to which it is passed.
struct default_token {};

template <typename Limit>
struct partial_limited_token;

template <typename T>
struct is_limited_token : std::false_type {};
template <typename CompletionToken, typename Limit>
struct is_limited_token<limited_token<CompletionToken, Limit>> : std::true_type {};
template <typename Limit>
struct is_limited_token<partial_limited_token<Limit>> : std::true_type {};

// The innermost of several adapters acquires first. So that permits are acquired in the order in
// which the adapters are written, a new adapter goes below those that are already there.
template <typename Limit, typename Token>
auto limit_token(Limit limit, Token&& token) {
    if constexpr (is_limited_token<std::decay_t<Token>>::value) {
        auto inner = detail::limit_token(std::move(limit), std::forward<Token>(token).token_);
        using outer_limit = typename std::decay_t<Token>::limit_type;
        return limited_token<decltype(inner), outer_limit>{
            std::forward<Token>(token).limit_, std::move(inner)};
    } else {
        return limited_token<std::decay_t<Token>, Limit>{
            std::move(limit), std::forward<Token>(token)};
    }
}

/// A token that adapts the operation's default token; also a function object that adapts the token
/// it is called with.
template <typename Limit>
struct partial_limited_token : limited_token<default_token, Limit> {
    template <typename CompletionToken>
    [[nodiscard]] auto operator()(CompletionToken&& token) const {
        return detail::limit_token(this->limit_, std::forward<CompletionToken>(token));
    }
};

/// T with the constness and value category of From.
template <typename From, typename T>
using forwarded_t = std::conditional_t<
    std::is_const_v<std::remove_reference_t<From>>, const T&,
    std::conditional_t<std::is_lvalue_reference_v<From>, T&, T>>;

template <typename Limit, typename = void>
inline constexpr bool grants_what_can_be_lost = false;
template <typename Limit>
inline constexpr bool
    grants_what_can_be_lost<Limit, std::void_t<typename Limit::grants_what_can_be_lost>> = true;

template <typename... Signatures, typename Initiation, typename Limit>
auto make_initiate_with_permit(Initiation&& initiation, const Limit& limit) {
    const auto executor = asio::get_associated_executor(initiation, limit.get_executor());
    using failure = failure_of<std::decay_t<decltype(executor)>, Signatures...>;
    static_assert(
        failure::possible,
        "with_permit needs an operation that can complete without a permit: the first argument of "
        "its completion signature has to be an error_code or an exception_ptr, and each of the "
        "others has to be default-constructible, or constructible from the operation's executor");
    auto acquire = limit.acquire();
    return initiate_with_permit<
        failure, std::decay_t<Initiation>, std::decay_t<decltype(executor)>, decltype(acquire),
        grants_what_can_be_lost<Limit>>(
        std::forward<Initiation>(initiation), executor, std::move(acquire));
}

/// Before Boost 1.83, binders look for this type in the token that they adapt.
template <typename AsyncResult, typename = void>
struct return_type_of {};
template <typename AsyncResult>
struct return_type_of<AsyncResult, std::void_t<typename AsyncResult::return_type>> {
    using return_type = typename AsyncResult::return_type;
};

/// The default token of an initiation's executor; if there is none, `deferred`, as in newer Boost.
template <
    typename Initiation, typename Default = typename asio::default_completion_token<
                             asio::associated_executor_t<std::decay_t<Initiation>>>::type>
using default_token_t = std::conditional_t<std::is_void_v<Default>, asio::deferred_t, Default>;

} // namespace asio_semaphore::detail

template <typename CompletionToken, typename Limit, typename... Signatures>
struct boost::asio::async_result<
    asio_semaphore::detail::limited_token<CompletionToken, Limit>, Signatures...>
    : asio_semaphore::detail::return_type_of<async_result<CompletionToken, Signatures...>> {
    template <typename Initiation, typename RawCompletionToken, typename... Args>
    static auto initiate(Initiation&& initiation, RawCompletionToken&& token, Args&&... args)
        -> decltype(boost::asio::async_initiate<
                    asio_semaphore::detail::forwarded_t<RawCompletionToken, CompletionToken>,
                    Signatures...>(
            asio_semaphore::detail::make_initiate_with_permit<Signatures...>(
                std::forward<Initiation>(initiation), token.limit_),
            token.token_, std::forward<Args>(args)...)) {
        return boost::asio::async_initiate<
            asio_semaphore::detail::forwarded_t<RawCompletionToken, CompletionToken>,
            Signatures...>(
            asio_semaphore::detail::make_initiate_with_permit<Signatures...>(
                std::forward<Initiation>(initiation), token.limit_),
            token.token_, std::forward<Args>(args)...);
    }
};

template <typename Limit, typename... Signatures>
struct boost::asio::async_result<
    asio_semaphore::detail::partial_limited_token<Limit>, Signatures...>
    : async_result<
          asio_semaphore::detail::limited_token<asio_semaphore::detail::default_token, Limit>,
          Signatures...> {};

template <typename... Signatures>
struct boost::asio::async_result<asio_semaphore::detail::default_token, Signatures...> {
    template <typename Initiation, typename RawCompletionToken, typename... Args>
    static auto initiate(Initiation&& initiation, RawCompletionToken&&, Args&&... args)
        -> decltype(boost::asio::async_initiate<
                    asio_semaphore::detail::default_token_t<Initiation>, Signatures...>(
            std::forward<Initiation>(initiation),
            std::declval<asio_semaphore::detail::default_token_t<Initiation>&>(),
            std::forward<Args>(args)...)) {
        asio_semaphore::detail::default_token_t<Initiation> token{};
        return boost::asio::async_initiate<
            asio_semaphore::detail::default_token_t<Initiation>, Signatures...>(
            std::forward<Initiation>(initiation), token, std::forward<Args>(args)...);
    }
};
