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

/// A place under a @ref basic_limiter "limiter's" limit, which goes back when it is finished or
/// dies.
/**
 * Move-only. An empty admission has no place; it is what a default-constructed, moved-from,
 * finished or refused one is. An admission may outlive its limiter and even the execution context:
 * it then goes back to nobody, safely.
 *
 * Giving the place back serves those who wait: the handlers of whom it admits are submitted to
 * their executors, never called inside. Where the limiter has an algorithm, finishing calls it, and
 * `on_limit_change` where the limit changes.
 *
 * @par Thread safety
 * Distinct admissions: safe, also of the same limiter. One admission: as any value, one thread at a
 * time.
 */
class [[nodiscard]] admission {
public:
    /// Empty.
    admission() noexcept = default;

    /// Takes over the place of @p other, which is empty afterwards.
    admission(admission&& other) noexcept : state_(std::move(other.state_)), place_(other.place_) {}

    /// Gives back the place that it had before, as the destructor does. Assigning an admission to
    /// itself has no effect.
    admission& operator=(admission&& other) noexcept {
        admission(std::move(other)).swap(*this);
        return *this;
    }

    /// Gives the place back; it counts as ignored, and as unreported.
    ~admission() { reset(); }

    /// Whether it has a place.
    explicit operator bool() const noexcept { return state_ != nullptr; }

    /// Gives the place back, and says how the work ended; empty afterwards. Later calls have no
    /// effect.
    void finish(outcome how = outcome::success) noexcept {
        if (state_)
            end(how, true);
    }

    /// The same by an error code, through the limiter's `classify`.
    void finish(const boost::system::error_code& ec) noexcept {
        if (state_)
            end(state_->options().classify(ec), true);
    }

    /// Gives the place back as the destructor does.
    void reset() noexcept {
        if (state_)
            end(outcome::ignored, false);
    }

    /// Exchanges the places of the two, of whichever limiters. So does `swap(a, b)`.
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
    // Emptied first: giving back may run foreign code that looks at this admission again.
    BOOST_NOINLINE void end(outcome how, bool is_reported) noexcept {
        const state_pointer state = std::move(state_);
        const detail::place given = place_;
        state->finish(given, how, is_reported);
    }

    state_pointer state_; // null <=> empty
    detail::place place_; // unless empty
};

} // namespace asio_semaphore
