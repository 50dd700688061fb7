#pragma once

// What the library asks of executors. Asio layer.
//
// A completion travels in a "route": where the handler goes, with outstanding work on every
// executor concerned until it has run. There are two: the short one, where handler and semaphore
// run on the same io_context, which is posted to as such even if both see it as any_io_executor;
// and the general one, for every other pair.

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/detail/semaphore_state.hpp>

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/execution.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/is_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/recycling_allocator.hpp>
#include <boost/asio/require.hpp>
#include <boost/assert.hpp>
#include <boost/smart_ptr/intrusive_ptr.hpp>

#include <cstddef>
#include <memory>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

namespace asio_semaphore::detail {

namespace asio = boost::asio;

template <typename Executor>
inline constexpr bool is_networking_ts_executor =
    asio::is_executor<Executor>::value && !asio::execution::is_executor<Executor>::value;

template <typename Executor>
inline constexpr bool can_post =
    is_networking_ts_executor<Executor> ||
    asio::can_require<Executor, asio::execution::blocking_t::never_t>::value;

template <typename Executor>
inline constexpr bool has_context = is_networking_ts_executor<Executor> ||
                                    asio::can_query<Executor, asio::execution::context_t>::value;

template <typename Executor>
asio::execution_context& context_of(const Executor& executor) {
    static_assert(
        has_context<Executor> && can_post<Executor>,
        "a semaphore's executor must belong to an execution context and be able to run a function "
        "later (blocking.never); an executor that runs functions inline does neither");
    if constexpr (is_networking_ts_executor<Executor>)
        return executor.context();
    else if constexpr (has_context<Executor> && can_post<Executor>)
        return asio::query(executor, asio::execution::context);
}

/// The context of an executor of whichever kind, or null where it does not tell.
template <typename Executor>
const asio::execution_context* known_context_of(const Executor& executor) {
    if constexpr (is_networking_ts_executor<Executor>) {
        return std::addressof(executor.context());
    } else if constexpr (has_context<Executor>) {
        using context = decltype(asio::query(executor, asio::execution::context));
        if constexpr (std::is_convertible_v<context, const asio::execution_context&>)
            return std::addressof(static_cast<const asio::execution_context&>(
                asio::query(executor, asio::execution::context)));
    }
    return nullptr;
}

/// Has executor run f later, never here.
template <typename Executor, typename Function, typename Allocator>
void post_to(const Executor& executor, Function&& f, const Allocator& allocator) {
    if constexpr (is_networking_ts_executor<Executor>)
        executor.post(std::forward<Function>(f), allocator);
    else
        asio::prefer(
            asio::require(executor, asio::execution::blocking.never),
            asio::execution::relationship.fork, asio::execution::allocator(allocator))
            .execute(std::forward<Function>(f));
}

/// Has executor run f, here if it likes; it may be able to do no more than execute.
template <typename Executor, typename Function, typename Allocator>
void dispatch_to(const Executor& executor, Function&& f, const Allocator& allocator) {
    if constexpr (is_networking_ts_executor<Executor>)
        executor.dispatch(std::forward<Function>(f), allocator);
    else
        asio::prefer(executor, asio::execution::allocator(allocator))
            .execute(std::forward<Function>(f));
}

template <typename Executor1, typename Executor2>
bool is_same(const Executor1& first, const Executor2& second) noexcept {
    if constexpr (std::is_same_v<Executor1, Executor2>)
        return first == second;
    else
        return false;
}

/// An executor that nobody brings: it comes back from handlers that have none of the kind that is
/// asked for.
struct no_executor {
    static constexpr asio::execution::blocking_t query(asio::execution::blocking_t) noexcept {
        return asio::execution::blocking.never;
    }
    template <typename Function>
    void execute(Function&&) const;
    friend bool operator==(no_executor, no_executor) noexcept { return true; }
    friend bool operator!=(no_executor, no_executor) noexcept { return false; }
};

template <typename Handler>
inline constexpr bool has_executor =
    !std::is_same_v<asio::associated_executor_t<Handler, no_executor>, no_executor>;

template <typename Executor, typename = void>
struct is_type_erased : std::false_type {};
template <typename Executor>
struct is_type_erased<
    Executor, std::void_t<decltype(std::declval<const Executor&>()
                                       .template target<asio::io_context::executor_type>())>>
    : std::true_type {};

/// An executor that is kept busy.
template <typename Executor, bool = is_networking_ts_executor<Executor>>
class busy_executor {
public:
    explicit busy_executor(const Executor& executor) :
        executor_(executor),
        work_(asio::prefer(executor, asio::execution::outstanding_work.tracked)) {}

    const Executor& get_executor() const noexcept { return executor_; }

private:
    Executor executor_;
    std::decay_t<typename asio::prefer_result<
        Executor, asio::execution::outstanding_work_t::tracked_t>::type>
        work_;
};

// executor_work_guard alone would do, but takes strands of any_io_executor for what they are not.
template <typename Executor>
class busy_executor<Executor, true> : public asio::executor_work_guard<Executor> {
public:
    using asio::executor_work_guard<Executor>::executor_work_guard;
};

/// The io_context executor that this one is or holds, or null.
template <typename Executor>
const asio::io_context::executor_type* as_io_context(const Executor& executor) noexcept {
    if constexpr (std::is_same_v<Executor, asio::io_context::executor_type>)
        return &executor;
    else if constexpr (is_type_erased<Executor>::value)
        return executor.template target<asio::io_context::executor_type>();
    else
        return nullptr;
}

/// The executor of the io_context that both are executors of, or null.
template <typename IoExecutor, typename HandlerExecutor>
const asio::io_context::executor_type*
common_io_context(const IoExecutor& io_executor, const HandlerExecutor& handler_executor) noexcept {
    const auto* const first = as_io_context(io_executor);
    if (first == nullptr)
        return nullptr;
    if constexpr (std::is_same_v<IoExecutor, HandlerExecutor>) {
        if (&io_executor == &handler_executor) // the handler has none of its own
            return first;
    }
    const auto* const second = as_io_context(handler_executor);
    return second != nullptr && *first == *second ? first : nullptr;
}

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
