// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Makes everything that a semaphore depends on fail on demand: allocators, operator new, executors,
// handler moves, cancellation slots. A plan says which kinds fail, and at which of their uses.

#include <asio_semaphore/permit.hpp>

#include <support/handlers.hpp>

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/execution.hpp>
#include <boost/asio/io_context.hpp>

#include <cstddef>
#include <iterator>
#include <new>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace faults {

namespace asio = boost::asio;

struct failure : std::runtime_error {
    failure() : std::runtime_error("planned") {}
};

enum class kind { allocate, operator_new, recycle, move_handler, execute, drop, emplace };
inline constexpr const char* kind_names[] = {
    "associated allocator", "operator new", "Asio's memory", "handler move", "execute",
    "dropping execute",     "slot emplace"};

/// A set of kinds of uses, which are counted together.
class kinds {
public:
    constexpr kinds(kind k) noexcept : bits_(1u << static_cast<unsigned>(k)) {}
    static constexpr kinds all() noexcept { return kinds((1u << std::size(kind_names)) - 1); }
    static constexpr kinds none() noexcept { return kinds(0u); }
    static constexpr kinds of(kind a, kind b) noexcept {
        return kinds(kinds(a).bits_ | kinds(b).bits_);
    }

    constexpr kinds without(kind k) const noexcept { return kinds(bits_ & ~kinds(k).bits_); }
    constexpr bool contain(kind k) const noexcept { return (bits_ & kinds(k).bits_) != 0; }
    const char* name() const noexcept {
        for (std::size_t i = 0; i < std::size(kind_names); ++i) {
            if (bits_ == 1u << i)
                return kind_names[i];
        }
        return "whatever can";
    }

private:
    constexpr explicit kinds(unsigned bits) noexcept : bits_(bits) {}

    unsigned bits_;
};

/// Which uses fail, from the first failure on.
enum class times { once, with_the_next, with_the_next_but_one, from_then_on };
inline constexpr const char* times_names[] = {
    "once", "with the next", "with the next but one", "from then on"};

/// Says which uses fail.
class plan {
public:
    static plan& get() {
        static plan the_plan;
        return the_plan;
    }

    void make(kinds what, int uses_before, times how_often) {
        what_ = what;
        first_ = uses_before;
        how_often_ = how_often;
        used_ = 0;
        fired_ = false;
    }
    void make_none() { make(kinds::none(), 0, times::once); }
    bool fired() const { return fired_; }
    bool includes(kind k) const { return what_.contain(k); }

    /// Counts a use. True if this use has to fail.
    bool spend(kind k) {
        if (!armed_ || !what_.contain(k))
            return false;
        const int after = used_++ - first_;
        const bool fails = after == 0 || (how_often_ == times::with_the_next && after == 1) ||
                           (how_often_ == times::with_the_next_but_one && after == 2) ||
                           (how_often_ == times::from_then_on && after > 0);
        fired_ = fired_ || fails;
        return fails;
    }

    /// During its lifetime, uses are counted and can fail. Otherwise everything works.
    class armed {
    public:
        armed() : before_(std::exchange(armed_, true)) {}
        armed(const armed&) = delete;
        armed& operator=(const armed&) = delete;
        ~armed() { armed_ = before_; }

    private:
        bool before_;
    };

    /// During its lifetime, everything works again.
    class disarmed {
    public:
        disarmed() : before_(std::exchange(armed_, false)) {}
        disarmed(const disarmed&) = delete;
        disarmed& operator=(const disarmed&) = delete;
        ~disarmed() { armed_ = before_; }

    private:
        bool before_;
    };

private:
    kinds what_ = kinds::none();
    int first_ = 0, used_ = 0;
    times how_often_ = times::once;
    bool fired_ = false;
    inline static thread_local bool armed_ = false;
};

inline int blocks_alive = 0; ///< the blocks of all allocators

template <typename T>
class allocator {
public:
    using value_type = T;

    allocator() noexcept = default;
    template <typename U>
    allocator(const allocator<U>&) noexcept {}

    T* allocate(std::size_t n) {
        if (plan::get().spend(kind::allocate))
            throw std::bad_alloc();
        T* const p = std::allocator<T>().allocate(n);
        ++blocks_alive;
        return p;
    }
    void deallocate(T* p, std::size_t n) noexcept {
        --blocks_alive;
        std::allocator<T>().deallocate(p, n);
    }
    template <typename U>
    bool operator==(const allocator<U>&) const noexcept {
        return true;
    }
    template <typename U>
    bool operator!=(const allocator<U>&) const noexcept {
        return false;
    }
};

/// A user-defined slot.
class slot {
public:
    explicit slot(asio::cancellation_slot inner) noexcept : inner_(inner) {}

    bool is_connected() const noexcept { return inner_.is_connected(); }
    template <typename T, typename... Args>
    T& emplace(Args&&... args) {
        if (plan::get().spend(kind::emplace))
            throw failure();
        return inner_.emplace<T>(std::forward<Args>(args)...);
    }
    void clear() { inner_.clear(); }

    friend bool operator==(const slot& a, const slot& b) noexcept { return a.inner_ == b.inner_; }
    friend bool operator!=(const slot& a, const slot& b) noexcept { return a.inner_ != b.inner_; }

private:
    asio::cancellation_slot inner_;
};

/// An executor of an io_context that can throw, or drop the functions it gets.
class executor {
public:
    explicit executor(asio::io_context& context) noexcept : context_(&context) {}

    asio::execution_context& query(asio::execution::context_t) const noexcept { return *context_; }
    static constexpr asio::execution::blocking_t query(asio::execution::blocking_t) noexcept {
        return asio::execution::blocking.never;
    }

    template <typename Function>
    void execute(Function&& f) const {
        if (plan::get().spend(kind::execute))
            throw failure();
        if (plan::get().spend(kind::drop)) {
            [[maybe_unused]] const auto dropped = std::decay_t<Function>(std::forward<Function>(f));
            return;
        }
        context_->get_executor().execute(std::forward<Function>(f));
    }

    friend bool operator==(const executor& a, const executor& b) noexcept {
        return a.context_ == b.context_;
    }
    friend bool operator!=(const executor& a, const executor& b) noexcept { return !(a == b); }

private:
    asio::io_context* context_;
};

/// The same, too large for any_io_executor to hold without an allocation.
class large_executor : public executor {
public:
    using executor::executor;

private:
    [[maybe_unused]] char large_[64] = {};
};

/// Runs functions inline, unless it throws or drops them.
class inline_executor {
public:
    template <typename Function>
    void execute(Function&& f) const {
        if (plan::get().spend(kind::execute))
            throw failure();
        std::decay_t<Function> function(std::forward<Function>(f));
        if (!plan::get().spend(kind::drop))
            std::move(function)();
    }

    friend bool operator==(inline_executor, inline_executor) noexcept { return true; }
    friend bool operator!=(inline_executor, inline_executor) noexcept { return false; }
};

/// A handler whose every part can fail. @tparam Recorded records how the handler ends
template <typename Recorded>
class basic_handler {
public:
    using allocator_type = allocator<void>;
    using cancellation_slot_type = slot;

    template <typename To>
    basic_handler(To&& to, asio::cancellation_slot s) : recorded_(std::forward<To>(to)), slot_(s) {}
    basic_handler(basic_handler&& other) :
        recorded_((other.spend(), std::move(other.recorded_))), slot_(other.slot_) {}
    basic_handler& operator=(basic_handler&&) = delete;

    allocator_type get_allocator() const noexcept { return {}; }
    cancellation_slot_type get_cancellation_slot() const noexcept { return slot_; }

    template <typename... Args>
    void operator()(Args&&... args) {
        std::move(recorded_)(std::forward<Args>(args)...);
    }

private:
    void spend() {
        if (plan::get().spend(kind::move_handler))
            throw failure();
    }

    Recorded recorded_;
    slot slot_;
};

using handler = basic_handler<support::recording>;

} // namespace faults
