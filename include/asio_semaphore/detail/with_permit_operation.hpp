#pragma once

// One asynchronous operation under a limit. Asio layer.
//
//   initiate_with_permit ─> acquire ─> permit_awaiter ─> wrapped operation ─> permit_keeper ─>
//   handler
//                                         └── no permit ───────────────────────────────────────^
//
// The permit belongs to the completion of the acquire, then to the awaiter's call, then to the
// keeper: whatever becomes of any of them, it goes back.

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/detail/executors.hpp>
#include <asio_semaphore/permit.hpp>

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/associator.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/recycling_allocator.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>

#include <atomic>
#include <exception>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

namespace asio_semaphore::detail {

namespace asio = boost::asio;

/// How an operation with this completion signature fails for want of a permit; not at all, unless
/// it is one of those below.
template <typename Signature>
struct failure_of_one {
    static constexpr bool possible = false;
};

template <typename R, typename First, typename... Rest>
struct failure_of_one<R(First, Rest...)> {
    using first_type = std::decay_t<First>;

    static constexpr bool possible =
        (std::is_same_v<first_type, boost::system::error_code> ||
         std::is_same_v<
             first_type,
             std::exception_ptr>)&&(std::is_default_constructible_v<std::decay_t<Rest>> && ...);

    template <typename Handler>
    static void complete(Handler&& handler, const boost::system::error_code& ec) {
        std::tuple<std::decay_t<Rest>...> values;
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

template <typename R, typename... Args>
struct failure_of_one<R(Args...)&> : failure_of_one<R(Args...)> {};
template <typename R, typename... Args>
struct failure_of_one<R(Args...) &&> : failure_of_one<R(Args...)> {};
template <typename R, typename... Args>
struct failure_of_one<R(Args...) noexcept> : failure_of_one<R(Args...)> {};
template <typename R, typename... Args>
struct failure_of_one<R(Args...)& noexcept> : failure_of_one<R(Args...)> {};
template <typename R, typename... Args>
struct failure_of_one<R(Args...)&& noexcept> : failure_of_one<R(Args...)> {};

/// The same for an operation with several signatures: the first that can tell of the failure does.
template <typename... Signatures>
struct failure_of {
    static constexpr bool possible = false;

    template <typename Handler>
    static void complete(Handler&&, const boost::system::error_code&) {}
};

template <typename Signature, typename... Rest>
struct failure_of<Signature, Rest...>
    : std::conditional_t<
          failure_of_one<Signature>::possible, failure_of_one<Signature>, failure_of<Rest...>> {};

/// Where a cancellation goes until the wrapped operation starts: to the acquire, and into a memory,
/// for the time between the grant and the start when nobody listens. Shared by the slot's handler
/// and the operation, either of which may die first.
struct cancellation_relay {
    asio::cancellation_signal acquire;
    std::atomic<bool> requested{false};
};

/// What the operation leaves in its handler's slot for its first stage.
class relay_canceller {
public:
    explicit relay_canceller(std::shared_ptr<cancellation_relay> relay) noexcept :
        relay_(std::move(relay)) {}

    void operator()(asio::cancellation_type_t type) {
        if (type == asio::cancellation_type::none)
            return;
        // The last reference may otherwise go on another thread, with the operation that ends here.
        const auto relay = relay_;
        relay->requested = true;
        relay->acquire.emit(type);
    }

private:
    std::shared_ptr<cancellation_relay> relay_;
};

/// Null for a slot that nobody can cancel through.
template <typename Slot>
std::shared_ptr<cancellation_relay> relay_from(Slot slot) {
    std::shared_ptr<cancellation_relay> relay;
    if (slot.is_connected()) {
        // Not the handler's allocator: the signal may keep the relay for longer than the handler.
        relay = std::allocate_shared<cancellation_relay>(
            asio::recycling_allocator<cancellation_relay>());
        slot.template emplace<relay_canceller>(relay);
    }
    return relay;
}

/// The wrapped operation's handler: gives the permit back, then calls the final handler.
template <typename Handler>
class permit_keeper {
public:
    permit_keeper(Handler&& handler, permit&& held) :
        handler_(std::move(handler)), held_(std::move(held)) {}

    template <typename... Args>
    void operator()(Args&&... args) {
        held_.reset();
        static_cast<Handler&&>(handler_)(std::forward<Args>(args)...);
    }

    const Handler& handler() const noexcept { return handler_; }

private:
    Handler handler_;
    permit held_;
};

/// The acquire's handler: starts the wrapped operation, with all that it was initiated with.
/**
 * It runs where the wrapped operation's own intermediate steps would: on the final handler's
 * executor, and where that has none, on the wrapped operation's, not the semaphore's.
 *
 * @tparam Executor the wrapped operation's; kept busy, since nothing else does before it starts
 */
template <
    typename Failure, typename Handler, typename Initiation, typename Executor, typename... Args>
class permit_awaiter {
public:
    using executor_type = asio::associated_executor_t<Handler, Executor>;
    using cancellation_slot_type = asio::cancellation_slot;

    template <typename H, typename I, typename... A>
    permit_awaiter(
        std::shared_ptr<cancellation_relay> relay, const Executor& executor, H&& handler,
        I&& initiation, A&&... args) :
        relay_(std::move(relay)),
        work_(executor),
        handler_(std::forward<H>(handler)),
        initiation_(std::forward<I>(initiation)),
        args_(std::forward<A>(args)...) {}

    executor_type get_executor() const noexcept {
        return asio::get_associated_executor(handler_, work_.get_executor());
    }
    cancellation_slot_type get_cancellation_slot() const noexcept {
        return relay_ ? relay_->acquire.slot() : cancellation_slot_type();
    }
    const Handler& handler() const noexcept { return handler_; }

    void operator()(boost::system::error_code ec, permit held) {
        if (!ec && relay_ && relay_->requested) {
            held.reset();
            ec = asio::error::operation_aborted;
        }
        if (ec) {
            Failure::complete(static_cast<Handler&&>(handler_), ec);
            return;
        }
        std::apply(
            [&](Args&... args) {
                static_cast<Initiation&&>(initiation_)(
                    permit_keeper<Handler>(std::move(handler_), std::move(held)),
                    static_cast<Args&&>(args)...);
            },
            args_);
    }

private:
    std::shared_ptr<cancellation_relay> relay_;
    busy_executor<Executor> work_;
    Handler handler_;
    Initiation initiation_;
    std::tuple<Args...> args_;
};

/// The initiation that the inner token calls, now, later, or more than once.
/**
 * @tparam Acquire a deferred acquire of the permit; it follows the semaphore, and survives it
 */
template <typename Failure, typename Initiation, typename Executor, typename Acquire>
class initiate_with_permit {
public:
    using executor_type = Executor;

    template <typename I>
    initiate_with_permit(I&& initiation, const Executor& executor, Acquire acquire) :
        initiation_(std::forward<I>(initiation)),
        executor_(executor),
        acquire_(std::move(acquire)) {}

    const executor_type& get_executor() const noexcept { return executor_; }

    template <typename Handler, typename... Args>
    void operator()(Handler&& handler, Args&&... args) && {
        start(
            *this, static_cast<Initiation&&>(initiation_), std::forward<Handler>(handler),
            std::forward<Args>(args)...);
    }
    template <typename Handler, typename... Args>
    void operator()(Handler&& handler, Args&&... args) const& {
        start(*this, initiation_, std::forward<Handler>(handler), std::forward<Args>(args)...);
    }

private:
    template <typename Self, typename I, typename Handler, typename... Args>
    static void start(Self& self, I&& initiation, Handler&& handler, Args&&... args) {
        using awaiter = permit_awaiter<
            Failure, std::decay_t<Handler>, Initiation, Executor, std::decay_t<Args>...>;
        // Read before the handler moves.
        auto relay = detail::relay_from(asio::get_associated_cancellation_slot(handler));
        std::move(self.acquire_)(awaiter(
            std::move(relay), self.executor_, std::forward<Handler>(handler),
            std::forward<I>(initiation), std::forward<Args>(args)...));
    }

    Initiation initiation_;
    Executor executor_;
    Acquire acquire_;
};

} // namespace asio_semaphore::detail

/// What is associated with the handler is associated with both of its stand-ins, ...
template <
    template <typename, typename> class Associator, typename Handler, typename DefaultCandidate>
struct boost::asio::associator<
    Associator, asio_semaphore::detail::permit_keeper<Handler>, DefaultCandidate>
    : Associator<Handler, DefaultCandidate> {
    using keeper = asio_semaphore::detail::permit_keeper<Handler>;

    static typename Associator<Handler, DefaultCandidate>::type get(const keeper& k) noexcept {
        return Associator<Handler, DefaultCandidate>::get(k.handler());
    }
    static auto get(const keeper& k, const DefaultCandidate& candidate) noexcept
        -> decltype(Associator<Handler, DefaultCandidate>::get(k.handler(), candidate)) {
        return Associator<Handler, DefaultCandidate>::get(k.handler(), candidate);
    }
};

/// ... where they don't say otherwise themselves.
template <
    template <typename, typename> class Associator, typename Failure, typename Handler,
    typename Initiation, typename Executor, typename... Args, typename DefaultCandidate>
struct boost::asio::associator<
    Associator,
    asio_semaphore::detail::permit_awaiter<Failure, Handler, Initiation, Executor, Args...>,
    DefaultCandidate> : Associator<Handler, DefaultCandidate> {
    using awaiter =
        asio_semaphore::detail::permit_awaiter<Failure, Handler, Initiation, Executor, Args...>;

    static typename Associator<Handler, DefaultCandidate>::type get(const awaiter& a) noexcept {
        return Associator<Handler, DefaultCandidate>::get(a.handler());
    }
    static auto get(const awaiter& a, const DefaultCandidate& candidate) noexcept
        -> decltype(Associator<Handler, DefaultCandidate>::get(a.handler(), candidate)) {
        return Associator<Handler, DefaultCandidate>::get(a.handler(), candidate);
    }
};
