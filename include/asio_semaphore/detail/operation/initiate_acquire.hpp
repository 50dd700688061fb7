// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// The initiation of an acquire. Asio layer.

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/detail/operation/acquire_request.hpp>
#include <asio_semaphore/detail/operation/initiation.hpp>

#include <cstddef>
#include <type_traits>
#include <utility>

namespace asio_semaphore::detail {

/// Distinguishes a completion token from the number of permits. A handler may be convertible to a
/// number.
template <typename Token>
using not_a_count = std::enable_if_t<
    !std::is_arithmetic_v<std::decay_t<Token>> && !std::is_enum_v<std::decay_t<Token>>>;

template <typename Signature, typename Executor>
class initiate_acquire : public initiation<Executor, semaphore_state<threads>> {
    using base = initiation<Executor, semaphore_state<threads>>;
    using request = acquire_request<Signature>;

public:
    using base::base;

    template <typename Handler>
    BOOST_FORCEINLINE void operator()(Handler&& handler, std::ptrdiff_t n) const {
        base::start(std::forward<Handler>(handler), request{n});
    }

    template <typename Handler>
    void operator()(Handler&& handler, std::ptrdiff_t n, deadline_clock::duration wait) const {
        base::start(
            std::forward<Handler>(handler),
            timed_acquire_request<Signature>{{n}, detail::deadline_after(wait)});
    }
};

} // namespace asio_semaphore::detail
