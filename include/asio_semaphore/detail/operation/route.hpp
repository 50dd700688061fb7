#pragma once

// How an operation gets from where it ends to its handler, with outstanding work on every executor
// concerned until that has run. Asio layer. There are two routes: the short one, where handler and
// semaphore run on the same io_context, which is posted to as such even if both see it as
// any_io_executor; and the general one, for every other pair.

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/detail/operation/executors.hpp>
#include <asio_semaphore/detail/state/semaphore_state.hpp>

#include <boost/asio/execution.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/recycling_allocator.hpp>
#include <boost/asio/require.hpp>
#include <boost/assert.hpp>
#include <boost/smart_ptr/intrusive_ptr.hpp>

#include <cstddef>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

namespace asio_semaphore::detail {

/// Room for the one function that an operation's delivery makes its io_context queue, inside the
/// operation itself: between the grant and the delivery nothing is allocated, hence nothing can
/// fail.
class post_storage {
public:
    void* allocate(std::size_t size) {
        return size <= sizeof(bytes_) ? bytes_ : ::operator new(size);
    }
    void deallocate(void* memory) noexcept {
        if (memory != bytes_)
            ::operator delete(memory);
    }

private:
    alignas(void*) unsigned char bytes_[40];
};

template <typename T>
class post_allocator {
public:
    using value_type = T;

    explicit post_allocator(post_storage& storage) noexcept : storage_(&storage) {}
    template <typename U>
    post_allocator(const post_allocator<U>& other) noexcept : storage_(other.storage_) {}

    T* allocate(std::size_t n) {
        static_assert(alignof(T) <= alignof(void*));
        return static_cast<T*>(storage_->allocate(n * sizeof(T)));
    }
    // The operation may be gone already when a copy of the allocator dies, but never when it frees.
    void deallocate(T* memory, std::size_t) noexcept { storage_->deallocate(memory); }

    template <typename U>
    bool operator==(const post_allocator<U>& other) const noexcept {
        return storage_ == other.storage_;
    }
    template <typename U>
    bool operator!=(const post_allocator<U>& other) const noexcept {
        return storage_ != other.storage_;
    }

private:
    template <typename>
    friend class post_allocator;
    post_storage* storage_;
};

/// Where handler and semaphore run on one io_context.
class io_context_route {
public:
    using io_executor_type = asio::io_context::executor_type;

    explicit io_context_route(const io_executor_type& executor) noexcept : idle_(executor) {}
    /// On the way into the operation, not yet busy.
    io_context_route(io_context_route&& other) noexcept : idle_(other.idle_) {
        BOOST_ASSERT(!other.busy_now_);
    }
    io_context_route& operator=(io_context_route&&) = delete;
    ~io_context_route() {
        if (busy_now_)
            busy_.~busy_type();
        else
            idle_.~io_executor_type();
    }

    io_executor_type io_executor() const noexcept {
        return busy_now_ ? asio::require(busy_, asio::execution::outstanding_work.untracked)
                         : idle_;
    }

    /// Whether the io_context has outstanding work as long as the route lives, ...
    static constexpr bool is_busy = false;
    /// ... which this brings about: not everybody who waits needs to, and each costs two atomic
    /// operations.
    void keep_busy() noexcept {
        const io_executor_type executor = idle_;
        idle_.~io_executor_type();
        ::new (static_cast<void*>(&busy_))
            busy_type(asio::require(executor, asio::execution::outstanding_work.tracked));
        busy_now_ = true;
    }
    bool is_inside() const noexcept { return io_executor().running_in_this_thread(); }

    /// Each operation brings the storage for its own delivery.
    using storage = post_storage;

    /// The queue of the io_context keeps it busy from the post on.
    struct until_called {
        explicit until_called(const io_context_route&) noexcept {}
    };

    template <typename Allocator, typename Function>
    static void post(const io_context_route& route, storage& own, const Allocator&, Function&& f) {
        post_to(route.io_executor(), std::forward<Function>(f), post_allocator<std::byte>(own));
    }

private:
    using busy_type = std::decay_t<asio::require_result<
        io_executor_type, asio::execution::outstanding_work_t::tracked_t>::type>;

    // One of the two, in the space of one.
    union {
        io_executor_type idle_;
        busy_type busy_;
    };
    bool busy_now_ = false;
};

/// Keeps an executor busy for operations that are away.
template <typename Executor>
class away_work final : public away_keeper {
    using allocator_type = asio::recycling_allocator<away_work>;

public:
    static away_work& make(const Executor& executor) {
        allocator_type allocator;
        away_work* const memory = allocator.allocate(1);
        return *::new (static_cast<void*>(memory)) away_work(executor);
    }

    void end() noexcept override {
        this->~away_work();
        allocator_type().deallocate(this, 1);
    }

private:
    explicit away_work(const Executor& executor) noexcept : work_(executor) {}
    ~away_work() = default;

    const busy_executor<Executor> work_;
};

/// That an operation is away, unless it is empty.
class away {
public:
    using state_pointer = boost::intrusive_ptr<semaphore_state<threads>>;

    away() noexcept = default;
    away(away&&) noexcept = default;
    away& operator=(away&&) = delete;
    ~away() {
        if (state_)
            state_->come_back();
    }

    /// @param from the semaphore's executor, which stays busy; once more is harmless
    template <typename Executor>
    void go(semaphore_state<threads>* state, const Executor& from) {
        if (state == nullptr || state_)
            return;
        const bool keeper_wanted = state->go_away();
        state_ = state;
        if (keeper_wanted)
            state->keep(away_work<Executor>::make(from));
    }

private:
    state_pointer state_;
};

/// Where they run on different executors, or on others than io_contexts.
/**
 * On its way to an executor of another context the operation lets go of the semaphore's, whose
 * context may end before the other comes to run the handler.
 */
template <typename IoExecutor, typename HandlerExecutor>
class general_route {
public:
    using io_executor_type = IoExecutor;

    general_route(const IoExecutor& io_executor, const HandlerExecutor& handler_executor) :
        io_work_(std::in_place, io_executor), handler_work_(handler_executor) {}

    IoExecutor io_executor() const noexcept { return io_work_->get_executor(); }

    void leave(semaphore_state<threads>* state) {
        if (known_context_of(io_work_->get_executor()) !=
            known_context_of(handler_work_.get_executor()))
            away_.go(state, io_work_->get_executor());
        io_work_.reset();
    }

    static constexpr bool is_busy = true;
    static void keep_busy() noexcept {}
    static bool is_inside() noexcept { return false; }

    struct storage {};
    using until_called = general_route;

    template <typename Allocator, typename Function>
    static void
    post(const general_route& route, storage&, const Allocator& allocator, Function&& f) {
        // Copied: the route goes with the function.
        const IoExecutor io_executor = route.io_executor();
        const HandlerExecutor handler_executor = route.handler_work_.get_executor();
        if (is_same(io_executor, handler_executor)) {
            post_to(io_executor, std::forward<Function>(f), allocator);
            return;
        }
        // Dispatched from there, as by every I/O object: what the handler's executor runs inline
        // runs on the semaphore's threads, and an executor that can do no more than execute is
        // enough.
        post_to(
            io_executor,
            dispatched<std::decay_t<Function>, Allocator>{
                handler_executor, std::forward<Function>(f), allocator},
            allocator);
    }

private:
    template <typename Function, typename Allocator>
    struct dispatched {
        HandlerExecutor executor;
        Function function;
        Allocator allocator;

        void operator()() {
            function.leave_io_executor();
            dispatch_to(executor, std::move(function), allocator);
        }
    };

    std::optional<busy_executor<IoExecutor>> io_work_; // until it leaves
    busy_executor<HandlerExecutor> handler_work_;
    away away_;
};

} // namespace asio_semaphore::detail
