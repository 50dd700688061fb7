// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/detail/state/limiter_state.hpp>
#include <asio_semaphore/limiter/limit_algorithm.hpp>

#include <boost/config.hpp>
#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/system/error_code.hpp>

#include <utility>

namespace asio_semaphore {

namespace detail {
struct admission_access;
template <typename Held, typename... Results>
void hand_back(Held& held, const Results&... results) noexcept;
} // namespace detail

/// The place of an admitted request under the limit of a @ref basic_limiter "limiter". The place
/// becomes free when the admission is finished or destroyed.
/**
 * Move-only. An empty admission has no place. An admission is empty if it was default-constructed,
 * moved from, finished, or delivered with an error. An admission may outlive its limiter and even
 * the execution context. Finishing it is then counted, but admits no request, and is not shown to
 * the algorithm.
 *
 * When a place becomes free, the limiter admits the waiting requests that fit now. It submits their
 * handlers to their executors, and calls none of them. If the limiter has an algorithm, finishing
 * calls it, and calls `on_limit_change` if the limit changes.
 *
 * @par Example
 * @code
 * admission place = co_await limit.async_admit(use_awaitable);
 * const error_code result = co_await work();
 * place.finish(result); // before the answer is written
 * @endcode
 *
 * @par Thread safety
 * Distinct admissions: safe, also of the same limiter. One admission: one thread at a time, like
 * any value.
 */
class [[nodiscard]] admission {
public:
    /// Constructs an empty admission.
    admission() noexcept = default;

    /// Takes over the place of @p other, which is empty afterwards.
    admission(admission&& other) noexcept : state_(std::move(other.state_)), place_(other.place_) {}

    /// Gives back the place that it had before, as the destructor does, and takes over the place of
    /// @p other. Self-assignment has no effect.
    admission& operator=(admission&& other) noexcept {
        admission(std::move(other)).swap(*this);
        return *this;
    }

    /// Gives the place back. The admission counts as ignored and as unreported.
    ~admission() {
        if (state_)
            drop();
    }

    /// Whether it has a place.
    explicit operator bool() const noexcept { return state_ != nullptr; }

    /// Gives the place back and reports how the work ended. The admission is empty afterwards; a
    /// second call has no effect.
    /**
     * @param how the outcome, which the limiter counts and shows to its algorithm
     *
     * @see @ref overload, @ref finding_the_limit
     */
    void finish(outcome how = outcome::success) noexcept {
        if (state_)
            end(how, true);
    }

    /// Gives the place back and reports the error code with which the work ended. The limiter's
    /// `classify` turns the error code into an @ref outcome.
    /** @param ec the result of the work; no error for success */
    void finish(const boost::system::error_code& ec) noexcept {
        if (!state_)
            return;
        admission own(std::move(*this)); // classify may use this admission, or destroy it
        own.end(own.state_->options().classify(ec), true);
    }

    /// Gives the place back as the destructor does: ignored and unreported.
    void reset() noexcept {
        if (state_)
            end(outcome::ignored, false);
    }

    /// Exchanges the places of the two admissions, which may be of different limiters. So does
    /// `swap(a, b)`.
    void swap(admission& other) noexcept {
        state_.swap(other.state_);
        std::swap(place_, other.place_);
    }
    friend void swap(admission& a, admission& b) noexcept { a.swap(b); }

private:
    friend struct detail::admission_access;
    template <typename Held, typename... Results>
    friend void detail::hand_back(Held& held, const Results&... results) noexcept;

    using state_pointer = boost::intrusive_ptr<detail::limiter_state<detail::threads>>;

    admission(state_pointer state, const detail::place& place) noexcept :
        state_(std::move(state)), place_(place) {}

    void ignore() noexcept {
        if (state_)
            end(outcome::ignored, true);
    }
    // The admission is emptied first, because giving back may run user code that uses it again.
    BOOST_NOINLINE void end(outcome how, bool is_reported) noexcept {
        const state_pointer state = std::move(state_);
        const detail::place given = place_;
        state->finish(given, how, is_reported);
    }
    BOOST_NOINLINE void drop() noexcept {
        const state_pointer state = std::move(state_);
        state->forget(place_);
    }

    state_pointer state_; // null if and only if empty
    detail::place place_; // valid unless empty
};

} // namespace asio_semaphore
