// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Errors in completions of operations under a limit. Asio layer. Without a permit: how the
// completion signature reports the error. After the operation has completed: whether it reported an
// error.

#include <asio_semaphore/config.hpp>

#include <boost/config.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>

#include <exception>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

namespace asio_semaphore::detail {

/// The value of an argument that accompanies a failure. An I/O object, such as async_accept
/// delivers, is constructed from the operation's executor.
template <typename T, typename Executor>
T failure_value(const Executor& executor) {
    if constexpr (std::is_default_constructible_v<T>)
        return T();
    else
        return T(executor);
}

template <typename T, typename Executor>
inline constexpr bool has_failure_value =
    std::is_default_constructible_v<T> || std::is_constructible_v<T, const Executor&>;

/// How an operation with this completion signature reports that it got no permit. Impossible,
/// except in the specializations below.
template <typename Executor, typename Signature>
struct failure_of_one {
    static constexpr bool possible = false;
};

template <typename Executor, typename R, typename First, typename... Rest>
struct failure_of_one<Executor, R(First, Rest...)> {
    using first_type = std::decay_t<First>;

    static constexpr bool possible =
        (std::is_same_v<first_type, boost::system::error_code> ||
         std::is_same_v<
             first_type,
             std::exception_ptr>)&&(has_failure_value<std::decay_t<Rest>, Executor> && ...);

    template <typename Handler>
    static void
    complete(Handler&& handler, const boost::system::error_code& ec, const Executor& executor) {
        std::tuple<std::decay_t<Rest>...> values(failure_value<std::decay_t<Rest>>(executor)...);
        std::apply(
            [&](auto&... value) {
                std::forward<Handler>(handler)(to_first(ec), static_cast<Rest&&>(value)...);
            },
            values);
    }

private:
    static first_type to_first(const boost::system::error_code& ec) {
        if constexpr (std::is_same_v<first_type, std::exception_ptr>)
            return std::make_exception_ptr(boost::system::system_error(ec, "with_permit"));
        else
            return ec;
    }
};

/// The signature of as_tuple around with_permit.
template <typename Executor, typename R, typename First, typename... Rest>
struct failure_of_one<Executor, R(std::tuple<First, Rest...>)> {
    using of_parts = failure_of_one<Executor, R(First, Rest...)>;

    static constexpr bool possible = of_parts::possible;

    template <typename Handler>
    static void
    complete(Handler&& handler, const boost::system::error_code& ec, const Executor& executor) {
        of_parts::complete(
            [&](auto&&... parts) {
                std::forward<Handler>(handler)(
                    std::tuple<First, Rest...>(std::forward<decltype(parts)>(parts)...));
            },
            ec, executor);
    }
};

template <typename Executor, typename R, typename... Args>
struct failure_of_one<Executor, R(Args...)&> : failure_of_one<Executor, R(Args...)> {};
template <typename Executor, typename R, typename... Args>
struct failure_of_one<Executor, R(Args...) &&> : failure_of_one<Executor, R(Args...)> {};
template <typename Executor, typename R, typename... Args>
struct failure_of_one<Executor, R(Args...) noexcept> : failure_of_one<Executor, R(Args...)> {};
template <typename Executor, typename R, typename... Args>
struct failure_of_one<Executor, R(Args...)& noexcept> : failure_of_one<Executor, R(Args...)> {};
template <typename Executor, typename R, typename... Args>
struct failure_of_one<Executor, R(Args...)&& noexcept> : failure_of_one<Executor, R(Args...)> {};

/// The same for an operation with several signatures: the first one that can report the failure.
template <typename Executor, typename... Signatures>
struct failure_of {
    static constexpr bool possible = false;

    template <typename Handler>
    static void complete(Handler&&, const boost::system::error_code&, const Executor&) {}
};

template <typename Executor, typename Signature, typename... Rest>
struct failure_of<Executor, Signature, Rest...>
    : std::conditional_t<
          failure_of_one<Executor, Signature>::possible, failure_of_one<Executor, Signature>,
          failure_of<Executor, Rest...>> {};

/// The exception's error code, or none if it has no code.
inline std::optional<boost::system::error_code>
error_in(const std::exception_ptr& exception) noexcept {
    if (!exception)
        return boost::system::error_code();
#if !defined(BOOST_NO_EXCEPTIONS)
    try {
        std::rethrow_exception(exception);
    } catch (const boost::system::system_error& error) {
        return error.code();
    } catch (...) {
        // An exception without a code.
    }
#endif
    return std::nullopt;
}

/// The error with which an operation has completed, according to its first result.
inline std::optional<boost::system::error_code> error_of() noexcept {
    return boost::system::error_code();
}
template <typename First, typename... Rest>
std::optional<boost::system::error_code> error_of(const First& first, const Rest&...) noexcept {
    if constexpr (std::is_convertible_v<const First&, boost::system::error_code>)
        return boost::system::error_code(first);
    else if constexpr (std::is_same_v<First, std::exception_ptr>)
        return detail::error_in(first);
    else
        return boost::system::error_code();
}

/// The results of as_tuple around with_permit.
template <typename... Results>
std::optional<boost::system::error_code> error_of(const std::tuple<Results...>& results) noexcept {
    return std::apply([](const auto&... each) { return detail::error_of(each...); }, results);
}

} // namespace asio_semaphore::detail
