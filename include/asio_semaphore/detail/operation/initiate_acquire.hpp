#pragma once

// The initiation of an acquire, which completion tokens call: now, later, more than once, or never.
// Asio layer. As long as it is not copied or moved it refers to the semaphore's members; a copy,
// which a lazy token keeps, holds its own executor and a reference to the state, so that it goes
// where the semaphore goes, and survives it.

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/detail/operation/acquire_operation.hpp>

#include <chrono>
#include <cstddef>
#include <optional>
#include <type_traits>
#include <utility>

namespace asio_semaphore::detail {

/// Tells a completion token from the number of permits. A handler may be convertible to a number.
template <typename Token>
using not_a_count = std::enable_if_t<
    !std::is_arithmetic_v<std::decay_t<Token>> && !std::is_enum_v<std::decay_t<Token>>>;

/// A wait in the steady clock's units; one that is longer than the clock can tell is as long as it
/// can tell, and one that is not a number is over.
template <typename Rep, typename Period>
deadline_clock::duration saturated(const std::chrono::duration<Rep, Period>& wait) {
    using result = deadline_clock::duration;
    using comparable = std::chrono::duration<long double, result::period>;
    if (comparable(wait) >= comparable(result::max()))
        return result::max();
    if (!(comparable(wait) > comparable(result::min())))
        return result::min();
    return std::chrono::duration_cast<result>(wait);
}

inline deadline_at deadline_after(deadline_clock::duration wait) {
    using clock = deadline_clock;
    const auto now = clock::now();
    if (wait <= clock::duration::zero())
        return {now};
    return {wait < never - now ? now + wait : never};
}

template <typename Signature, typename Executor>
class initiate_acquire {
public:
    using executor_type = Executor;

    initiate_acquire(const Executor& executor, const state_pointer& state) noexcept :
        executor_(&executor), state_(&state) {}

    initiate_acquire(const initiate_acquire& other) :
        owned_(owned{*other.executor_, *other.state_}) {
        refer_to_owned();
    }
    initiate_acquire(initiate_acquire&& other) noexcept :
        owned_(other.owned_ ? std::move(*other.owned_) : owned{*other.executor_, *other.state_}) {
        refer_to_owned();
    }
    initiate_acquire& operator=(initiate_acquire other) noexcept {
        owned_.emplace(std::move(*other.owned_));
        refer_to_owned();
        return *this;
    }

    const executor_type& get_executor() const noexcept { return *executor_; }

    template <typename Handler>
    void operator()(Handler&& handler, std::ptrdiff_t n) const {
        start(std::forward<Handler>(handler), n, no_deadline());
    }

    template <typename Handler>
    void operator()(Handler&& handler, std::ptrdiff_t n, deadline_clock::duration wait) const {
        start(std::forward<Handler>(handler), n, detail::deadline_after(wait));
    }

private:
    template <typename Handler, typename Deadline>
    void start(Handler&& handler, std::ptrdiff_t n, Deadline deadline) const {
        // From here on it is not the caller's any more, whatever becomes of it.
        std::decay_t<Handler> own(std::forward<Handler>(handler));
        detail::start_acquire<Signature>(own, *executor_, *state_, n, deadline);
    }

    struct owned {
        Executor executor;
        state_pointer state;
    };

    void refer_to_owned() noexcept {
        executor_ = &owned_->executor;
        state_ = &owned_->state;
    }

    std::optional<owned> owned_;
    const Executor* executor_;
    const state_pointer* state_;
};

} // namespace asio_semaphore::detail
