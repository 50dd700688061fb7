// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/detail/state/semaphore_state.hpp>

#include <boost/config.hpp>
#include <boost/smart_ptr/intrusive_ptr.hpp>

#include <cstddef>
#include <mutex>
#include <utility>

namespace asio_semaphore {

template <typename Executor>
class basic_async_semaphore;
namespace detail {
struct permit_access;
}

/// Owns permits of a semaphore, and gives them back when it is destroyed.
/**
 * Move-only. An empty permit owns nothing and belongs to no semaphore. A permit is empty if it was
 * default-constructed, moved from, reset, or delivered with an error. A permit may outlive its
 * semaphore and even the execution context; giving its permits back then has no effect.
 *
 * Giving permits back serves the semaphore's queue, as `release` does: it submits the handlers of
 * the granted operations to their executors, and calls none of them.
 *
 * @par Example
 * @code
 * permit all = sem.try_acquire_permit(8);
 * permit half = all.split(4);
 * all.reset(); // four permits go back now, the other four when `half` is destroyed
 * @endcode
 *
 * @par Misuse
 * The semaphore's maximum is never exceeded. If the semaphore has no room for the permits that come
 * back, the program has a bug: a permit was adopted without having been acquired, or was released
 * by hand as well, or permits were added while others were held. The permit then gives back what
 * fits, and debug builds assert.
 *
 * @par Thread safety
 * Distinct permits: safe, also of the same semaphore. One permit: one thread at a time, like any
 * value.
 */
class [[nodiscard]] permit {
public:
    /// Constructs an empty permit.
    permit() noexcept = default;

    /// Takes over @p n permits that were acquired by hand, with `async_acquire` or `try_acquire`.
    /**
     * @param semaphore the semaphore that granted them; if it has been moved from, and so has no
     * permits, the new object is empty
     * @param n the number of permits
     *
     * The caller has to hold the permits, and must not release them by hand afterwards. A violation
     * is found when the object gives them back. The tag is that of `std::unique_lock`.
     *
     * @throws std::invalid_argument if n < 0
     */
    template <typename Executor>
    [[nodiscard]] permit(
        basic_async_semaphore<Executor>& semaphore, std::adopt_lock_t, std::ptrdiff_t n = 1) :
        permit(semaphore.state_, non_negative(n)) {}

    /// Takes over what @p other owns; @p other is empty afterwards.
    permit(permit&& other) noexcept :
        state_(std::exchange(other.state_, nullptr)), count_(std::exchange(other.count_, 0)) {}

    /// Gives back what it owned before, and takes over what @p other owns. Self-assignment has no
    /// effect.
    permit& operator=(permit&& other) noexcept;

    /// Gives the permits back.
    // Forced inline, so that a permit can live in registers.
    BOOST_FORCEINLINE ~permit() {
        if (state_ != nullptr)
            give_back();
    }

    /// Whether it owns at least one permit.
    explicit operator bool() const noexcept { return count_ > 0; }

    /// The number of permits that it owns.
    std::ptrdiff_t count() const noexcept { return count_; }

    /// Gives the permits back now; the object is empty afterwards. A second call has no effect.
    void reset() noexcept {
        if (state_ != nullptr)
            give_back();
    }

    /// Drops the permits without giving them back, and returns their number; the object is empty
    /// afterwards.
    /** The permits stay acquired until the caller releases them with the semaphore's `release`. */
    std::ptrdiff_t forget() noexcept {
        const state_pointer state(std::exchange(state_, nullptr), false);
        return std::exchange(count_, 0);
    }

    /// Moves @p n of the permits into a new object, which is returned.
    /** @throws std::invalid_argument if n < 0 or n > count(), in which case nothing changes */
    permit split(std::ptrdiff_t n);

    /// Takes over all permits of @p other, which is empty afterwards. Self-merge has no effect.
    /**
     * @throws std::invalid_argument if both own permits, of different semaphores, or more together
     * than a count can hold; in these cases nothing changes
     */
    void merge(permit&& other);

    /// Exchanges the permits of the two objects, which may be of different semaphores. So does
    /// `swap(a, b)`.
    void swap(permit& other) noexcept;
    friend void swap(permit& a, permit& b) noexcept { a.swap(b); }

private:
    friend struct detail::permit_access;
    template <typename Executor>
    friend class basic_async_semaphore;

    using state_type = detail::semaphore_state<detail::threads>;
    using state_pointer = boost::intrusive_ptr<state_type>;

    permit(const state_pointer& state, std::ptrdiff_t n) noexcept {
        if (n > 0 && state) {
            state_ = state_pointer(state).detach();
            count_ = n;
        }
    }
    /// @pre n > 0 and state != nullptr
    permit(state_pointer&& state, std::ptrdiff_t n) noexcept : state_(state.detach()), count_(n) {}
    static std::ptrdiff_t non_negative(std::ptrdiff_t n);
    BOOST_FORCEINLINE void give_back() noexcept {
        // The permit is emptied first, because giving back may run user code that uses it again.
        state_type* const state = std::exchange(state_, nullptr);
        state->put_back(std::exchange(count_, 0));
    }

    state_type* state_ = nullptr; // owns a reference; null if and only if count_ == 0
    std::ptrdiff_t count_ = 0;
};

} // namespace asio_semaphore

#if !defined(ASIO_SEMAPHORE_SEPARATE_COMPILATION)
#include <asio_semaphore/impl/permit.ipp>
#endif
