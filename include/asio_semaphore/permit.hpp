#pragma once

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/detail/state/semaphore_state.hpp>

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

/// Owns permits of a semaphore and gives them back when it dies.
/**
 * Move-only. An empty permit owns nothing and belongs to no semaphore; it is what a
 * default-constructed, moved-from, reset or failed one is. A permit may outlive its semaphore and
 * even the execution context: it is then given back to nobody, safely.
 *
 * Giving back serves the semaphore's queue, as `release` does: the handlers of those whom it grants
 * are submitted to their executors, never called inside.
 *
 * The semaphore's maximum is never exceeded. A permit for which it has no room is the sign of a
 * mistake: it was adopted without having been acquired, or released by hand too, or permits were
 * added while it was held. It then gives back what fits, and debug builds assert.
 *
 * @par Thread safety
 * Distinct permits: safe, also of the same semaphore. One permit: as any value, one thread at a
 * time.
 */
class [[nodiscard]] permit {
public:
    /// Empty.
    permit() noexcept = default;

    /// Takes over n permits that were acquired by hand, with `async_acquire` or `try_acquire`.
    /**
     * They must be held and must not be released by hand any more. Breaking that shows when the
     * permit gives them back. Adopted from a moved-from semaphore, which has none, the permit is
     * empty.
     *
     * @throws std::invalid_argument if n < 0
     */
    template <typename Executor>
    [[nodiscard]] permit(
        basic_async_semaphore<Executor>& semaphore, std::adopt_lock_t, std::ptrdiff_t n = 1) :
        permit(semaphore.state_, non_negative(n)) {}

    /// Takes over what @p other holds, which is empty afterwards.
    permit(permit&& other) noexcept :
        state_(std::exchange(other.state_, nullptr)), count_(std::exchange(other.count_, 0)) {}

    /// Gives back what it owned before. Assigning a permit to itself has no effect.
    permit& operator=(permit&& other) noexcept;

    /// Gives back.
    ~permit() {
        if (state_ != nullptr)
            give_back();
    }

    /// Whether it holds at least one permit.
    explicit operator bool() const noexcept { return count_ > 0; }

    /// How many permits it holds.
    std::ptrdiff_t count() const noexcept { return count_; }

    /// Gives back now; empty afterwards. Again is a no-op.
    void reset() noexcept {
        if (state_ != nullptr)
            give_back();
    }

    /// Lets go without giving back, and returns how many that were; empty afterwards.
    /** Whoever forgets owes: the permits stay out until somebody calls the semaphore's `release`.
     */
    std::ptrdiff_t forget() noexcept {
        const state_pointer state(std::exchange(state_, nullptr), false);
        return std::exchange(count_, 0);
    }

    /// Hands n of its permits to a new permit.
    /** @throws std::invalid_argument if n < 0 or n > count(); nothing changed then */
    permit split(std::ptrdiff_t n);

    /// Takes over all that @p other holds, which is empty afterwards. With itself: no effect.
    /** @throws std::invalid_argument if both hold permits, of different semaphores, or together
     * more than a count can tell; nothing changed then */
    void merge(permit&& other);

    /// Exchanges what the two hold, of whichever semaphores. So does `swap(a, b)`.
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
    permit(state_pointer&& state, std::ptrdiff_t n) noexcept {
        if (n > 0 && state) {
            state_ = state.detach();
            count_ = n;
        }
    }
    static std::ptrdiff_t non_negative(std::ptrdiff_t n);
    void give_back() noexcept {
        // Emptied first: giving back may run foreign code that looks at this permit again.
        state_type* const state = std::exchange(state_, nullptr);
        state->put_back(std::exchange(count_, 0));
    }

    state_type* state_ = nullptr; // with a reference of the permit's own; null <=> count_ == 0
    std::ptrdiff_t count_ = 0;
};

} // namespace asio_semaphore

#if !defined(ASIO_SEMAPHORE_SEPARATE_COMPILATION)
#include <asio_semaphore/impl/permit.ipp>
#endif
