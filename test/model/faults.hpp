#pragma once

// What a semaphore depends on, made to fail on demand: allocators, operator new, executors, handler
// moves, cancellation slots. One plan says which kind fails, and at which of its uses.

#include <asio_semaphore/permit.hpp>

#include <support/handlers.hpp>

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/execution.hpp>
#include <boost/asio/io_context.hpp>

#include <cstddef>
#include <new>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace faults {

namespace asio = boost::asio;

struct failure : std::runtime_error {
    failure() : std::runtime_error("planned") {}
};

enum class kind { allocate, operator_new, move_handler, execute, drop, emplace };
inline constexpr const char* kind_names[] = {"associated allocator", "operator new",
                                             "handler move",         "execute",
                                             "dropping execute",     "slot emplace"};

/// Says which use of what fails; that one only, or all from there on.
class plan {
public:
    static plan& get() {
        static plan the_plan;
        return the_plan;
    }

    void make(kind k, int uses_before, bool for_good) {
        kind_ = k;
        left_ = uses_before;
        for_good_ = for_good;
        fired_ = false;
    }
    bool fired() const { return fired_; }
    bool is(kind k) const { return kind_ == k; }

    /// True where this use is to fail.
    bool spend(kind k) {
        if (!armed_ || k != kind_ || (fired_ && !for_good_))
            return false;
        if (left_-- > 0)
            return false;
        left_ = 0;
        return fired_ = true;
    }

    /// While it lives uses count; outside, everything works.
    class armed {
    public:
        armed() : before_(std::exchange(get().armed_, true)) {}
        armed(const armed&) = delete;
        armed& operator=(const armed&) = delete;
        ~armed() { get().armed_ = before_; }

    private:
        bool before_;
    };
    class disarmed {
    public:
        disarmed() : before_(std::exchange(get().armed_, false)) {}
        disarmed(const disarmed&) = delete;
        disarmed& operator=(const disarmed&) = delete;
        ~disarmed() { get().armed_ = before_; }

    private:
        bool before_;
    };

private:
    kind kind_ = kind::allocate;
    int left_ = 0;
    bool for_good_ = false, fired_ = false, armed_ = false;
};

inline int blocks_alive = 0; ///< of all allocators

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

/// A slot of one's own making.
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

/// An executor of an io_context that throws, or drops what it is given.
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

/// A handler all of whose parts can fail.
class handler {
public:
    using allocator_type = allocator<void>;
    using cancellation_slot_type = slot;

    handler(support::result& to, asio::cancellation_slot s) noexcept : recorded_(to), slot_(s) {}
    handler(handler&& other) :
        recorded_((other.spend(), std::move(other.recorded_))), slot_(other.slot_) {}
    handler& operator=(handler&&) = delete;

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

    support::recording recorded_;
    slot slot_;
};

} // namespace faults
