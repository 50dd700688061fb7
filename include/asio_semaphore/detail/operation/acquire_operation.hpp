// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// One asynchronous acquire, or another operation that waits in a line, from its initiation to the
// call of its handler. Asio layer.
//
//   start_acquire ── ends at once ──────────────────> completion ──post──> handler
//        └───────── acquire_operation ─> the queue ─> delivery ───post──> handler
//
// The thread that takes the operation out of the queue owns it. From the grant on, the completion
// or delivery owns what is granted, and gives it back if destroyed instead of run. The operation's
// memory is freed before the handler is called or destroyed, because a part of the handler may own
// that memory; see spare_block for memory that no handler can own. The operation's route holds the
// operation's outstanding work.

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/detail/operation/completion.hpp>
#include <asio_semaphore/detail/operation/executors.hpp>
#include <asio_semaphore/detail/operation/route.hpp>
#include <asio_semaphore/detail/operation/slot_canceller.hpp>
#include <asio_semaphore/detail/state/waiting_line.hpp>

#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/detail/handler_tracking.hpp>
#include <boost/asio/recycling_allocator.hpp>
#include <boost/config.hpp>
#include <boost/core/no_exceptions_support.hpp>
#include <boost/smart_ptr/intrusive_ptr.hpp>

#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace asio_semaphore::detail {

template <typename Request, typename = void>
inline constexpr bool tells_of_leaving = false;
template <typename Request>
inline constexpr bool tells_of_leaving<
    Request,
    std::void_t<decltype(Request::has_left(std::declval<typename Request::waiter_type&>()))>> =
    true;

/// An operation that waits, or at least goes through the queue.
/**
 * @tparam Request what an operation asks for and what it receives. It is passed by value from the
 * initiation to the first attempt, and from there into the waiter. Moving it cannot throw. It has:
 *
 * @code
 * using signature             // void(error_code, holding) or void(error_code)
 * using state_type            // derives from waiting_line<threads>
 * using waiter_type           // what the queue sees; made by waiter_type(Request&&, bool works)
 * using holding               // owns what is granted, or nothing
 *     void reset() noexcept   //   gives it back now
 *     void forget() noexcept  //   for void(error_code) only: the caller owns it from now on
 *
 * // The first attempt; may record in the request what is granted. The pointer is null if the
 * // object has been moved from. `queued`: not now.
 * outcome try_now(const intrusive_ptr<state_type>&) noexcept
 * // Whether enqueue may call the object's executor, which may drop other functions. One of those
 * // may own the object.
 * static constexpr bool calls_executor
 * // Whether the further attempts may take other operations out of the queue. One of those may own
 * // the object, and its executor may drop it. Then there are also:
 * static constexpr bool submits_others
 * bool has_to_wait(const intrusive_ptr<state_type>&) noexcept  // skips try_again
 * outcome try_again(const intrusive_ptr<state_type>&)
 * static bool try_enqueue(const intrusive_ptr<state_type>&, waiter_type& w) noexcept
 * //   Takes no operation out of the queue. True: w now waits. False: enqueue decides.
 * // The last attempt: `queued` if w now waits; what is granted at once is recorded in w.
 * static outcome enqueue(const Executor&, const intrusive_ptr<state_type>&, waiter_type& w)
 *
 * // What the operation holds after the first attempt, or after w left the queue; nothing without
 * // a grant.
 * holding hold(const intrusive_ptr<state_type>&, outcome) noexcept
 * static holding hold(intrusive_ptr<state_type>&&, waiter_type& w) noexcept
 *
 * static constexpr const char *limit_name, *name // in Asio's handler tracking
 *
 * // Optional: the request's own error codes.
 * static error_code own_error_code(outcome) noexcept
 * // Optional: called when w has left the queue, with no lock held.
 * static void has_left(waiter_type& w) noexcept
 * @endcode
 */
template <typename Request, typename Handler, typename Route>
class acquire_operation final
    : public Request::waiter_type BOOST_ASIO_ALSO_INHERIT_TRACKED_HANDLER {
    using base = typename Request::waiter_type;
    using state_type = typename Request::state_type;
    using state_pointer = boost::intrusive_ptr<state_type>;
    using allocator_type = typename std::allocator_traits<asio::associated_allocator_t<
        Handler, asio::recycling_allocator<void>>>::template rebind_alloc<acquire_operation>;
    using allocator_traits = std::allocator_traits<allocator_type>;

public:
    /// Queues the operation. If it ends at once instead, submits or drops it.
    /// @param associated the handler's executor
    template <typename Executor, typename HandlerExecutor>
    BOOST_NOINLINE static void start(
        Handler& handler, const Executor& executor, const HandlerExecutor& associated,
        const state_pointer& state, Request request) {
        // Read before the handler moves.
        auto slot = asio::get_associated_cancellation_slot(handler);
        memory own(handler);
        own.construct(handler, executor, associated, std::move(request));
        acquire_operation& operation = *own.operation;
        BOOST_ASIO_HANDLER_CREATION(
            (detail::context_of(executor), operation, Request::limit_name, state.get(), 0,
             Request::name));
        if (slot.is_connected()) {
            enqueue_cancellable(own, slot, executor, state);
        } else if constexpr (Request::submits_others) {
            if (Request::try_enqueue(state, operation))
                own.release(); // the queue owns it, and it may be gone
            else
                enqueue_owning(own, executor, state);
        } else if constexpr (Request::calls_executor) {
            enqueue_owning(own, executor, state);
        } else {
            enqueue(own, executor, state);
        }
    }

private:
    class delivery;

    /// Whether the memory is Asio's, because the handler has no allocator of its own.
    static constexpr bool is_recycled =
        std::is_same_v<allocator_type, asio::recycling_allocator<acquire_operation>>;

    /// A free block that a thread keeps while it calls the handler, for an operation of the same
    /// type that the handler starts. Asio's own cache has room for two blocks a thread, and a
    /// strand already needs two for its functions.
    class spare_block {
    public:
        spare_block() noexcept = default;
        spare_block(const spare_block&) = delete;
        spare_block& operator=(const spare_block&) = delete;
        BOOST_FORCEINLINE ~spare_block() {
            if (block_ == nullptr || kept() != block_)
                return; // none was kept, or an operation has taken it
            kept() = nullptr;
            allocator_type().deallocate(block_, 1);
        }

        /// False if the thread already keeps one: it calls this handler inside another.
        bool try_keep(acquire_operation* block) noexcept {
            if (kept() != nullptr)
                return false;
            kept() = block_ = block;
            return true;
        }

        /// Null if the thread keeps none.
        static acquire_operation* take() noexcept { return std::exchange(kept(), nullptr); }

    private:
        static acquire_operation*& kept() noexcept {
            return threads::thread_pointer<acquire_operation>();
        }

        acquire_operation* block_ = nullptr;
    };

    /// For memory that belongs to a handler, and for handlers that are not called.
    struct no_spare_block {
        static bool try_keep(acquire_operation*) noexcept { return false; }
        static acquire_operation* take() noexcept { return nullptr; }
    };

    using spare_type = std::conditional_t<is_recycled, spare_block, no_spare_block>;

    // Destructors are forced inline where a call of one, even if it is never reached, would keep
    // the object in memory instead of in registers.

    /// The operation's block, from the handler's allocator: destroyed and freed at the end of the
    /// scope, unless released.
    struct memory {
        explicit memory(const Handler& handler) :
            allocator(asio::get_associated_allocator(handler, asio::recycling_allocator<void>())) {}
        memory(const memory&) = delete;
        memory& operator=(const memory&) = delete;
        BOOST_FORCEINLINE ~memory() {
            if (block != nullptr)
                give_up(allocator, block, operation);
        }

        template <typename... Args>
        void construct(Args&&... args) {
            block = spare_type::take();
            if (block == nullptr)
                block = allocator_traits::allocate(allocator, 1);
            operation =
                ::new (static_cast<void*>(block)) acquire_operation(std::forward<Args>(args)...);
        }

        void release() noexcept { block = operation = nullptr; }

        template <typename Spare>
        void free(Spare& spare) noexcept {
            std::exchange(operation, nullptr)->~acquire_operation();
            if (!spare.try_keep(block))
                allocator_traits::deallocate(allocator, block, 1);
            block = nullptr;
        }

        BOOST_NOINLINE static void give_up(
            allocator_type allocator, acquire_operation* block,
            acquire_operation* operation) noexcept {
            std::optional<Handler> handler; // destroyed last: it may own the memory
            BOOST_TRY {
                if (operation != nullptr)
                    handler.emplace(std::move(operation->handler_));
            }
            BOOST_CATCH(...) {
                // The handler stays where it is.
            }
            BOOST_CATCH_END
            if (operation != nullptr)
                operation->~acquire_operation();
            allocator_traits::deallocate(allocator, block, 1);
        }

        allocator_type allocator;
        acquire_operation* block = nullptr;
        acquire_operation* operation = nullptr;
    };

    /// An operation that has left the queue, on its way to its handler.
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

        acquire_operation& operation() const noexcept { return *operation_; }

    private:
        acquire_operation* operation_;
    };

    // The route is initialized first: the handler's executor may be a part of the handler, which
    // moves.
    template <typename Executor, typename HandlerExecutor>
    acquire_operation(
        Handler& handler, const Executor& executor, const HandlerExecutor& associated,
        Request&& request) :
        base(std::move(request), Route::holds_work),
        route_(executor, associated),
        handler_(std::move(handler)) {}
    ~acquire_operation() = default;

    void submit() noexcept override {
        if constexpr (tells_of_leaving<Request>)
            Request::has_left(*this);
        BOOST_TRY {
            submit(delivery(this));
        }
        BOOST_CATCH(...) {
            // The executor refused. The delivery given to it is gone, and has given back what it
            // held.
        }
        BOOST_CATCH_END
    }

    void destroy() noexcept override {
        if constexpr (tells_of_leaving<Request>)
            Request::has_left(*this);
        abandon(this);
    }
    void hold_work() noexcept override { route_.hold_work(); }
    bool is_inside() const noexcept override { return route_.is_inside(); }

    template <typename Executor>
    static void enqueue(memory& own, const Executor& executor, const state_pointer& state) {
        conclude(own, executor, state, Request::enqueue(executor, state, *own.operation));
    }

    template <typename Executor>
    static void
    conclude(memory& own, const Executor& executor, const state_pointer& state, outcome result) {
        acquire_operation* const operation = own.operation;
        own.release();
        if (result != outcome::queued) // otherwise the queue owns it, and it may be gone
            end(*operation, executor, state, result);
    }

    /// Detaches an operation from its link at the end of the scope, unless it has been queued.
    struct attachment {
        state_type& state;
        acquire_operation* operation;

        ~attachment() {
            if (operation != nullptr)
                state.detach(*operation);
        }
    };

    // These own the executor and a reference to the state, because the object may be destroyed
    // meanwhile: by what becomes of the other operations, of functions that the executor drops, or
    // of the slot's last handler.

    template <typename Executor>
    BOOST_NOINLINE static void enqueue_owning(memory& own, Executor executor, state_pointer state) {
        enqueue(own, executor, state);
    }

    template <typename Slot, typename Executor>
    BOOST_NOINLINE static void
    enqueue_cancellable(memory& own, Slot& slot, Executor executor, state_pointer state) {
        outcome result;
        {
            attachment attached{*state, own.operation};
            slot.template emplace<slot_canceller>(state).attach(*own.operation);
            result = Request::enqueue(executor, state, *own.operation);
            if (result == outcome::queued)
                attached.operation = nullptr; // the queue owns it, and it may be gone
        }
        conclude(own, executor, state, result);
    }

    /// Submits an operation that has not been queued, or drops it.
    template <typename Executor>
    BOOST_NOINLINE static void
    end(acquire_operation& operation, const Executor& executor, const state_pointer& state,
        outcome result) {
        operation.state = state_pointer(state).detach();
        operation.result = result;
        delivery delivered(&operation);
        if (result == outcome::abandoned)
            return;
        if constexpr (has_immediate_executor<Handler>)
            detail::dispatch_immediately(operation.handler_, executor, std::move(delivered));
        else
            acquire_operation::submit(std::move(delivered));
    }

    BOOST_FORCEINLINE static void submit(delivery&& delivered) {
        acquire_operation& operation = delivered.operation();
        const auto allocator =
            asio::get_associated_allocator(operation.handler_, asio::recycling_allocator<void>());
        operation.route_.submit(allocator, std::move(delivered));
    }

    static void complete(acquire_operation* operation) { finish<true>(operation); }

    static void abandon(acquire_operation* operation) noexcept {
        BOOST_TRY {
            finish<false>(operation);
        }
        BOOST_CATCH(...) {
            // Even moving the handler failed.
        }
        BOOST_CATCH_END
    }

    template <bool IsCalled>
    static void finish(acquire_operation* operation) {
        BOOST_ASIO_HANDLER_COMPLETION((*operation));
        const outcome result = operation->result;
        typename Request::holding held = Request::hold(
            state_pointer(static_cast<state_type*>(operation->state), false), *operation);
        std::conditional_t<IsCalled, spare_type, no_spare_block> spare;
        memory own(operation->handler_);
        own.block = own.operation = operation;
        Handler handler(std::move(operation->handler_));
        own.free(spare);
        if constexpr (IsCalled) {
            BOOST_ASIO_HANDLER_INVOCATION_BEGIN((detail::error_code_of<Request>(result)));
            detail::call_handler<Request>(handler, result, held);
            BOOST_ASIO_HANDLER_INVOCATION_END;
        } else {
            held.reset();
        }
    }

    Route route_;
    Handler handler_;
};

} // namespace asio_semaphore::detail
