#pragma once

// One asynchronous acquire, from its initiation to the call of its handler. Asio layer.
//
//   start_acquire ── a permit is free ──────────────> completion ──post──> handler
//        └───────── acquire_operation ─> the queue ─> delivery ───post──> handler
//
// Whoever takes the operation out of the queue owns it; from the grant on the permits belong to the
// completion or delivery, which gives them back if it is destroyed instead of run. The operation's
// memory is freed before the handler is called, or destroyed: a part of the handler may be the true
// owner of that memory.

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/detail/operation/completion.hpp>
#include <asio_semaphore/detail/operation/executors.hpp>
#include <asio_semaphore/detail/operation/route.hpp>
#include <asio_semaphore/detail/operation/semaphore_service.hpp>
#include <asio_semaphore/detail/state/semaphore_state.hpp>
#include <asio_semaphore/permit.hpp>

#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/detail/handler_tracking.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/recycling_allocator.hpp>
#include <boost/config.hpp>
#include <boost/core/no_exceptions_support.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace asio_semaphore::detail {

using state_pointer = boost::intrusive_ptr<semaphore_state<threads>>;

/// An acquire has no effect until it is granted, so that it can honour even the most demanding
/// type.
inline bool ends_an_acquire(asio::cancellation_type_t type) noexcept {
    constexpr auto all = asio::cancellation_type::terminal | asio::cancellation_type::partial |
                         asio::cancellation_type::total;
    return (type & all) != asio::cancellation_type::none;
}

/// The cancellation handler that an operation leaves in its slot. The slot is not touched again:
/// the signal may die, or be used for something else, whenever it likes.
class slot_canceller {
public:
    explicit slot_canceller(state_pointer state) noexcept :
        link_(std::move(state), outcome::aborted) {}

    void attach(waiter<threads>& w) noexcept { link_.attach(w); }

    void operator()(asio::cancellation_type_t type) noexcept {
        if (ends_an_acquire(type))
            link_.fire();
    }

private:
    cancellation_link<threads> link_;
};

/// An operation without a deadline.
struct no_deadline {
    static constexpr bool passed() noexcept { return false; }
};

/// The moment after which an operation waits no longer.
class deadline_at {
public:
    using clock = std::chrono::steady_clock;

    explicit deadline_at(clock::time_point at) noexcept : at_(at) {}

    bool passed() const noexcept { return at_ <= clock::now(); }
    clock::time_point at() const noexcept { return at_; }

private:
    clock::time_point at_;
};

/// What an operation holds for its deadline: nothing ...
template <typename Deadline, typename Executor>
struct deadline_timer {
    std::nullptr_t
    start(const Executor&, Deadline, const state_pointer&, waiter<threads>&) noexcept {
        return nullptr;
    }
    void end() noexcept {}
};

/// ... or a timer that ends the wait. It dies with the operation at the latest, and so keeps the
/// context no longer than that does.
template <typename Executor>
struct deadline_timer<deadline_at, Executor> {
    using link_type = cancellation_link<threads>;

    /// Before the operation enters the queue: afterwards another thread may be destroying it. The
    /// timer may fire that early; the caller keeps the link alive until the operation is in the
    /// queue.
    std::shared_ptr<link_type> start(
        const Executor& executor, deadline_at deadline, const state_pointer& state,
        waiter<threads>& w) {
        // Not the handler's allocator: the timer's last completion may come after the handler has
        // been called.
        auto link = std::allocate_shared<link_type>(
            asio::recycling_allocator<link_type>(), state, outcome::timed_out);
        timer_.emplace(executor, deadline.at());
        asio::use_service<deadline_service>(context_of(executor));
        timer_->async_wait([link](const boost::system::error_code& ec) {
            if (!ec)
                link->fire();
        });
        link->attach(w);
        return link;
    }

    void end() noexcept { timer_.reset(); }

    std::optional<asio::basic_waitable_timer<
        deadline_at::clock, asio::wait_traits<deadline_at::clock>, Executor>>
        timer_;
};

// In Asio's handler tracking operations have names; see the macros below, of which nothing is left
// unless the program asks for tracking.
template <typename Signature, typename Deadline>
inline constexpr const char* operation_name =
    std::is_same_v<Signature, permit_signature>
        ? (std::is_same_v<Deadline, no_deadline> ? "async_acquire_permit"
                                                 : "async_acquire_permit_for")
        : (std::is_same_v<Deadline, no_deadline> ? "async_acquire" : "async_acquire_for");

#if defined(BOOST_ASIO_ENABLE_HANDLER_TRACKING)
inline constexpr bool tracks_handlers = true;
#else
inline constexpr bool tracks_handlers = false;
#endif

template <typename Signature, typename Handler, typename Route, typename Deadline>
class acquire_operation final : public waiter<threads>,
                                private deadline_timer<Deadline, typename Route::io_executor_type>
                                    BOOST_ASIO_ALSO_INHERIT_TRACKED_HANDLER {
    using base = waiter<threads>;
    using timer = deadline_timer<Deadline, typename Route::io_executor_type>;
    using allocator_type = typename std::allocator_traits<asio::associated_allocator_t<
        Handler, asio::recycling_allocator<void>>>::template rebind_alloc<acquire_operation>;
    using allocator_traits = std::allocator_traits<allocator_type>;

public:
    /// Queues the operation, or completes it, later still, where the queue needn't or can't take it
    /// any more.
    BOOST_NOINLINE static void start(
        Handler& handler, Route route, const state_pointer& state, std::ptrdiff_t n,
        Deadline deadline) {
        // Read before the handler moves.
        auto slot = asio::get_associated_cancellation_slot(handler);
        memory own(handler);
        own.construct(handler, std::move(route), n);
        acquire_operation& operation = *own.operation;
        BOOST_ASIO_HANDLER_CREATION(
            (context_of(operation.route_.io_executor()), operation, "semaphore", state.get(), 0,
             operation_name<Signature, Deadline>));

        [[maybe_unused]] const auto deadline_link =
            operation.timer::start(operation.route_.io_executor(), deadline, state, operation);
        if (slot.is_connected())
            slot.template emplace<slot_canceller>(state).attach(operation);

        const outcome result = state->enqueue(operation);
        if (result == outcome::queued)
            own.release(); // the queue's, and possibly gone by now
        else
            complete_later(own, state, result);
    }

    /// Completes the operation later, with what it has come to already.
    /// @param held what was granted: the caller's until nothing can fail any more
    static void complete_later(
        Handler& handler, Route route, const state_pointer& state, std::ptrdiff_t n, outcome result,
        permit& held) {
        memory own(handler);
        own.construct(handler, std::move(route), n);
        held.forget(); // the operation's from here on
        BOOST_ASIO_HANDLER_CREATION(
            (context_of(own.operation->route_.io_executor()), *own.operation, "semaphore",
             state.get(), 0, operation_name<Signature, Deadline>));
        complete_later(own, state, result);
    }

private:
    /// The operation's block, from the handler's allocator: destroyed and freed on the way out,
    /// unless it has gone on.
    struct memory {
        explicit memory(const Handler& handler) :
            allocator(asio::get_associated_allocator(handler, asio::recycling_allocator<void>())) {}
        memory(const memory&) = delete;
        memory& operator=(const memory&) = delete;
        ~memory() {
            if (block != nullptr)
                give_up();
        }

        template <typename... Args>
        void construct(Args&&... args) {
            block = allocator_traits::allocate(allocator, 1);
            operation =
                ::new (static_cast<void*>(block)) acquire_operation(std::forward<Args>(args)...);
        }

        acquire_operation* release() noexcept {
            block = nullptr;
            return std::exchange(operation, nullptr);
        }

        void free() noexcept {
            if (operation != nullptr)
                std::exchange(operation, nullptr)->~acquire_operation();
            allocator_traits::deallocate(allocator, std::exchange(block, nullptr), 1);
        }

        BOOST_NOINLINE void give_up() noexcept {
            std::optional<Handler> handler; // destroyed last: it may own the memory
            BOOST_TRY {
                if (operation != nullptr)
                    handler.emplace(std::move(operation->handler_));
            }
            BOOST_CATCH(...) {
                // It stays where it is.
            }
            BOOST_CATCH_END
            free();
        }

        allocator_type allocator;
        acquire_operation* block = nullptr;
        acquire_operation* operation = nullptr;
    };

    /// An operation that left the queue, on its way to its handler.
    class delivery {
    public:
        explicit delivery(acquire_operation* operation) noexcept : operation_(operation) {}
        delivery(delivery&& other) noexcept :
            operation_(std::exchange(other.operation_, nullptr)) {}
        delivery& operator=(delivery&&) = delete;
        ~delivery() {
            if (operation_ != nullptr)
                abandon(operation_);
        }

        void operator()() { complete(std::exchange(operation_, nullptr)); }

        /// On the semaphore's executor, on the way to that of the handler.
        void leave_io_executor() {
            operation_->timer::end();
            operation_->route_.leave(operation_->state);
        }

        acquire_operation& operation() const noexcept { return *operation_; }

    private:
        acquire_operation* operation_;
    };

    acquire_operation(Handler& handler, Route&& route, std::ptrdiff_t n) :
        base(n, Route::is_busy), route_(std::move(route)), handler_(std::move(handler)) {}
    ~acquire_operation() = default;

    void submit() noexcept override {
        BOOST_TRY {
            post(delivery(this));
        }
        BOOST_CATCH(...) {
            // The executor refused; the delivery that it was given is gone, and the permits are
            // back.
        }
        BOOST_CATCH_END
    }

    void destroy() noexcept override { abandon(this); }

    bool is_inside() const noexcept override { return route_.is_inside(); }
    void keep_busy() noexcept override { route_.keep_busy(); }

    static void complete_later(memory& own, const state_pointer& state, outcome result) {
        own.operation->state = state_pointer(state).detach();
        own.operation->result = result;
        delivery delivered(own.release());
        if (result != outcome::abandoned)
            post(std::move(delivered));
    }

    static void post(delivery&& delivered) {
        acquire_operation& operation = delivered.operation();
        const auto allocator = asio::get_associated_allocator(operation.handler_);
        Route::post(operation.route_, operation.storage_, allocator, std::move(delivered));
    }

    static void complete(acquire_operation* operation) { finish<true>(operation); }

    static void abandon(acquire_operation* operation) noexcept {
        BOOST_TRY {
            finish<false>(operation);
        }
        BOOST_CATCH(...) {
            // The handler did not even let itself be moved.
        }
        BOOST_CATCH_END
    }

    template <bool IsCalled>
    static void finish(acquire_operation* operation) {
        BOOST_ASIO_HANDLER_COMPLETION((*operation));
        const outcome result = operation->result;
        permit held = permit_access::make(
            state_pointer(operation->state, false),
            result == outcome::granted ? operation->count : 0);
        memory own(operation->handler_);
        own.block = own.operation = operation;
        [[maybe_unused]] const typename Route::until_called work(std::move(operation->route_));
        Handler handler(std::move(operation->handler_));
        own.free();
        if constexpr (IsCalled) {
            BOOST_ASIO_HANDLER_INVOCATION_BEGIN((to_error_code(result)));
            call_handler<Signature>(handler, result, held);
            BOOST_ASIO_HANDLER_INVOCATION_END;
        } else {
            held.reset();
        }
    }

    Route route_;
    typename Route::storage storage_;
    Handler handler_;
};

/// Where handler and semaphore do not run on one io_context: rarer, and kept out of the way of the
/// others.
template <
    typename Signature, typename Handler, typename Executor, typename HandlerExecutor,
    typename Deadline>
BOOST_NOINLINE void complete_elsewhere(
    Handler& handler, const Executor& executor, const HandlerExecutor& handler_executor,
    const state_pointer& state, std::ptrdiff_t n, Deadline deadline, outcome result) {
    using route = general_route<Executor, HandlerExecutor>;
    using operation = acquire_operation<Signature, Handler, route, Deadline>;
    if (result == outcome::queued) {
        operation::start(handler, route(executor, handler_executor), state, n, deadline);
    } else {
        // Before the route, which may fail to be made.
        permit held = permit_access::make(state, result == outcome::granted ? n : 0);
        operation::complete_later(
            handler, route(executor, handler_executor), state, n, result, held);
    }
}

/// Posts the completion of an acquire that has ended, or queues one that has to wait.
template <typename Signature, typename Handler, typename Executor, typename Deadline>
void complete_later(
    Handler& handler, const Executor& executor, const state_pointer& state, std::ptrdiff_t n,
    Deadline deadline, outcome result) {
    const auto& handler_executor = asio::get_associated_executor(handler, executor);
    const auto* const shared = common_io_context(executor, handler_executor);
    if (shared == nullptr || (tracks_handlers && result != outcome::queued))
        complete_elsewhere<Signature>(
            handler, executor, handler_executor, state, n, deadline, result);
    else if (result == outcome::queued)
        acquire_operation<Signature, Handler, io_context_route, Deadline>::start(
            handler, io_context_route(*shared), state, n, deadline);
    else
        post_completion<Signature>(handler, *shared, state, n, result);
}

/// Starts an acquire of n permits. @param state null for a semaphore that has been moved from
template <typename Signature, typename Handler, typename Executor, typename Deadline>
void start_acquire(
    Handler& handler, const Executor& executor, const state_pointer& state, std::ptrdiff_t n,
    Deadline deadline) {
    static_assert(
        can_be_called<Signature, Handler>,
        "the handler must be callable with (error_code), that of async_acquire_permit with "
        "(error_code, permit)");
    outcome result = state    ? state->try_acquire(n)
                     : n >= 0 ? outcome::closed
                              : outcome::invalid_argument;
    if (result == outcome::queued && deadline.passed())
        result = outcome::timed_out;
    if (result == outcome::abandoned)
        return;
#if ASIO_SEMAPHORE_HAS_IMMEDIATE_EXECUTOR
    if constexpr (has_immediate_executor<Handler>) {
        if (result != outcome::queued) {
            complete_immediately<Signature>(handler, executor, state, n, result);
            return;
        }
    }
#endif
    complete_later<Signature>(handler, executor, state, n, deadline, result);
}

} // namespace asio_semaphore::detail
