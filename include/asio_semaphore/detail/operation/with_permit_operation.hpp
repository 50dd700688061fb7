// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// One asynchronous operation under a limit. Asio layer.
//
//   initiate_with_permit ─> acquire ─> permit_awaiter ─> operation ─> permit_keeper ─> handler
//                                         └── no permit: failure_of ─────────────────────^
//
// The permit belongs to the completion of the acquire, then to the awaiter's call, then to the
// keeper. Whichever of them is destroyed, the permit goes back. Its type is that of what the
// acquire delivers.

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/detail/operation/executors.hpp>
#include <asio_semaphore/detail/operation/failure_of.hpp>
#include <asio_semaphore/detail/operation/slot_canceller.hpp>
#include <asio_semaphore/permit.hpp>

#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/associator.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/recycling_allocator.hpp>
#include <boost/system/error_code.hpp>

#include <atomic>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

namespace asio_semaphore::detail {

/// Passes a cancellation on to the current stage. The operation installs one cancellation handler,
/// and never touches its slot again: afterwards the signal may be destroyed, or serve another
/// operation. The cancellation handler and the operation share the relay; either may be destroyed
/// first.
class cancellation_relay {
public:
    /// The slot of both stages, one after the other.
    asio::cancellation_slot slot() noexcept { return signal_.slot(); }

    void cancel(asio::cancellation_type_t type) {
        // Between the grant and the start the slot has no handler, so start() checks for a
        // cancellation.
        stage expected = stage::waiting;
        if (detail::ends_an_acquire(type))
            stage_.compare_exchange_strong(expected, stage::cancelled);
        else
            expected = stage_;
        if (expected != stage::ended)
            signal_.emit(type);
    }

    /// Whether the wrapped operation may start. From then on, cancellation goes to that operation.
    bool start() noexcept {
        stage expected = stage::waiting;
        return stage_.compare_exchange_strong(expected, stage::started);
    }
    /// From here on, the operation's I/O object may be gone.
    void end() noexcept { stage_ = stage::ended; }

private:
    enum class stage : unsigned char { waiting, cancelled, started, ended };

    asio::cancellation_signal signal_;
    std::atomic<stage> stage_{stage::waiting};
};

/// The cancellation handler that the operation installs in its slot.
class relay_canceller {
public:
    explicit relay_canceller(std::shared_ptr<cancellation_relay> relay) noexcept :
        relay_(std::move(relay)) {}

    void operator()(asio::cancellation_type_t type) {
        // A copy, because the operation that ends here might release the last other reference.
        const auto relay = relay_;
        relay->cancel(type);
    }

private:
    std::shared_ptr<cancellation_relay> relay_;
};

/// Returns null if the slot is not connected, unless something other than the slot may cancel.
template <typename Slot>
std::shared_ptr<cancellation_relay> relay_from(Slot slot, bool is_needed = false) {
    std::shared_ptr<cancellation_relay> relay;
    const bool is_connected = slot.is_connected();
    if (is_connected || is_needed) {
        // Not the handler's allocator: the signal may keep the relay for longer than the handler
        // lives.
        relay = std::allocate_shared<cancellation_relay>(
            asio::recycling_allocator<cancellation_relay>());
    }
    if (is_connected)
        slot.template emplace<relay_canceller>(relay);
    return relay;
}

inline asio::cancellation_slot slot_of(const std::shared_ptr<cancellation_relay>& relay) noexcept {
    return relay ? relay->slot() : asio::cancellation_slot();
}

template <typename Held, typename = void>
inline constexpr bool is_told_how_it_went = false;
template <typename Held>
inline constexpr bool is_told_how_it_went<
    Held, std::void_t<decltype(std::declval<Held&>().finish(boost::system::error_code()))>> = true;

/// Gives back what an operation held while it ran. If Held has finish(error_code), this tells it
/// the operation's error, or calls ignore() if the result is an exception without an error code.
template <typename Held, typename... Results>
void hand_back(Held& held, const Results&... results) noexcept {
    if constexpr (!is_told_how_it_went<Held>) {
        held.reset();
    } else {
        if (const auto ec = detail::error_of(results...))
            held.finish(*ec);
        else
            held.ignore();
    }
}

/// For a Held that can be lost while the operation runs: `watch(held, executor, relay)` makes a
/// loss cancel the operation through the relay, on that executor.
template <typename Held>
struct loss_of {
    static constexpr bool is_possible = false;
};

/// The wrapped operation's handler: gives the permit back, then calls the final handler.
template <typename Handler, typename Held>
class permit_keeper {
public:
    using cancellation_slot_type = asio::cancellation_slot;

    permit_keeper(std::shared_ptr<cancellation_relay>&& relay, Handler&& handler, Held&& held) :
        handler_(std::move(handler)), relay_(std::move(relay)), held_(std::move(held)) {}
    permit_keeper(permit_keeper&&) = default;
    permit_keeper& operator=(permit_keeper&&) = delete;
    ~permit_keeper() {
        held_.reset();
        end();
    }

    cancellation_slot_type get_cancellation_slot() const noexcept {
        return detail::slot_of(relay_);
    }

    template <typename... Args>
    void operator()(Args&&... args) {
        detail::hand_back(held_, args...);
        end();
        static_cast<Handler&&>(handler_)(std::forward<Args>(args)...);
    }

    const Handler& handler() const noexcept { return handler_; }

private:
    void end() noexcept {
        if (const auto relay = std::move(relay_))
            relay->end();
    }

    Handler handler_;
    std::shared_ptr<cancellation_relay> relay_;
    Held held_;
};

/// The acquire's handler: starts the wrapped operation, with everything it was initiated with.
/**
 * It runs where the intermediate steps of any composed operation run: first on the executor of the
 * wrapped operation's I/O object, where nothing else uses the object, and from there it is
 * dispatched to the final handler's executor. The semaphore's executor is not involved.
 *
 * @tparam Executor that of the wrapped operation
 */
template <
    typename Failure, typename Handler, typename Initiation, typename Executor, typename... Args>
class permit_awaiter {
public:
    using executor_type = Executor;
    using cancellation_slot_type = asio::cancellation_slot;

    template <typename H, typename I, typename... A>
    permit_awaiter(
        std::shared_ptr<cancellation_relay> relay, const Executor& executor, H&& handler,
        I&& initiation, A&&... args) :
        relay_(std::move(relay)),
        executor_(executor),
        is_elsewhere_(!detail::is_same(executor, asio::get_associated_executor(handler, executor))),
        handler_work_(asio::get_associated_executor(handler, executor)),
        handler_(std::forward<H>(handler)),
        initiation_(std::forward<I>(initiation)),
        args_(std::forward<A>(args)...) {}

    executor_type get_executor() const noexcept { return executor_; }
    cancellation_slot_type get_cancellation_slot() const noexcept {
        return detail::slot_of(relay_);
    }
    const Handler& handler() const noexcept { return handler_; }

    template <typename Held>
    void operator()(boost::system::error_code ec, Held held) {
        if constexpr (has_executor<Handler>) {
            if (is_elsewhere_) {
                const auto executor = handler_work_.get_executor(); // a copy: *this moves
                const auto allocator = asio::get_associated_allocator(handler_);
                busy_executor<Executor> operation_work(executor_);
                detail::dispatch_to(
                    executor,
                    dispatched<Held>{
                        std::move(operation_work), std::move(*this), ec, std::move(held)},
                    allocator);
                return;
            }
        }
        start(ec, held);
    }

private:
    using handler_executor_type = asio::associated_executor_t<Handler, Executor>;

    template <typename Held>
    struct dispatched {
        busy_executor<Executor> operation_work; // until the operation holds its own work
        permit_awaiter awaiter;
        boost::system::error_code ec;
        Held held;

        void operator()() { awaiter.start(ec, held); }
    };

    template <typename Held>
    void start(boost::system::error_code ec, Held& held) {
        if (!ec && relay_ && !relay_->start()) {
            held.reset();
            ec = asio::error::operation_aborted;
        }
        if (ec) {
            fail(ec);
            return;
        }
        if constexpr (loss_of<Held>::is_possible)
            loss_of<Held>::watch(held, asio::get_associated_executor(handler_, executor_), relay_);
        std::apply(
            [&](Args&... args) {
                static_cast<Initiation&&>(initiation_)(
                    permit_keeper<Handler, Held>(
                        std::move(relay_), std::move(handler_), std::move(held)),
                    static_cast<Args&&>(args)...);
            },
            args_);
    }

    void fail(const boost::system::error_code& ec) {
        Handler handler(std::move(handler_));
        relay_.reset();
        {
            // What the operation would have needed is destroyed before the handler is called.
            [[maybe_unused]] const Initiation initiation(std::move(initiation_));
            [[maybe_unused]] const std::tuple<Args...> args(std::move(args_));
        }
        Failure::complete(static_cast<Handler&&>(handler), ec, executor_);
    }

    std::shared_ptr<cancellation_relay> relay_;
    Executor executor_; // kept busy by the acquire, whose handler this is
    bool is_elsewhere_; // the handler's executor is a different one
    busy_executor<handler_executor_type> handler_work_;
    Handler handler_;
    Initiation initiation_;
    std::tuple<Args...> args_;
};

/// The initiation that the inner token calls: now, later, or more than once.
/**
 * @tparam Acquire a deferred acquire of the permit; it follows the semaphore, or another limiting
 * object, when that is moved, and may outlive it
 * @tparam CanBeLost whether what is acquired can be lost
 */
template <
    typename Failure, typename Initiation, typename Executor, typename Acquire, bool CanBeLost>
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
        // The slot is read before the handler moves. From then on the handler is no longer the
        // caller's, even if something throws.
        const auto slot = asio::get_associated_cancellation_slot(handler);
        std::decay_t<Handler> own(std::forward<Handler>(handler));
        std::move(self.acquire_)(awaiter(
            detail::relay_from(slot, CanBeLost), self.executor_, std::move(own),
            std::forward<I>(initiation), std::forward<Args>(args)...));
    }

    Initiation initiation_;
    Executor executor_;
    Acquire acquire_;
};

} // namespace asio_semaphore::detail

/// Everything associated with the handler is associated with the permit_keeper, unless the keeper
/// defines the association itself.
template <
    template <typename, typename> class Associator, typename Handler, typename Held,
    typename DefaultCandidate>
struct boost::asio::associator<
    Associator, asio_semaphore::detail::permit_keeper<Handler, Held>, DefaultCandidate>
    : Associator<Handler, DefaultCandidate> {
    using keeper = asio_semaphore::detail::permit_keeper<Handler, Held>;

    static typename Associator<Handler, DefaultCandidate>::type get(const keeper& k) noexcept {
        return Associator<Handler, DefaultCandidate>::get(k.handler());
    }
    static auto get(const keeper& k, const DefaultCandidate& candidate) noexcept
        -> decltype(Associator<Handler, DefaultCandidate>::get(k.handler(), candidate)) {
        return Associator<Handler, DefaultCandidate>::get(k.handler(), candidate);
    }
};

/// The same for the permit_awaiter.
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
