// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// How an operation that leaves the queue reaches its handler: in one hop, to the handler's
// executor. Asio layer. Until the operation is submitted there, it holds outstanding work on that
// executor and on the semaphore's. There are two routes. The short one is for a handler and a
// semaphore that run on the same io_context; it posts to the io_context's own executor even if both
// see it as any_io_executor. The general one is for every other pair.

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/detail/operation/executors.hpp>

#include <boost/asio/execution.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/require.hpp>
#include <boost/config.hpp>

#include <cstddef>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

namespace asio_semaphore::detail {

/// Memory inside the operation for the one function that its delivery posts to the io_context. So
/// nothing is allocated between the grant and the delivery, and nothing can fail there.
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
    // A copy of the allocator may outlive the operation, but never frees after it.
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

/// For a handler and a semaphore on one io_context.
class io_context_route {
public:
    /// Not every waiter has to hold work, and each that does costs two atomic operations.
    static constexpr bool holds_work = false;

    template <typename IoExecutor>
    io_context_route(const IoExecutor&, const io_context_executor& executor) noexcept :
        idle_(executor) {}
    io_context_route(const io_context_route&) = delete;
    io_context_route& operator=(const io_context_route&) = delete;
    ~io_context_route() {
        if (is_busy_)
            busy_.~busy_type();
        else
            idle_.~io_context_executor();
    }

    void hold_work() noexcept {
        const io_context_executor executor = idle_;
        idle_.~io_context_executor();
        ::new (static_cast<void*>(&busy_)) busy_type(executor);
        is_busy_ = true;
    }
    bool is_inside() const noexcept { return executor().running_in_this_thread(); }

    template <typename Allocator, typename Function>
    void submit(const Allocator&, Function&& f) {
        detail::post_to(executor(), std::forward<Function>(f), post_allocator<std::byte>(storage_));
    }

private:
    using busy_type = busy_executor<io_context_executor>;

    io_context_executor executor() const noexcept {
        return is_busy_ ? asio::require(
                              busy_.get_executor(), asio::execution::outstanding_work.untracked)
                        : idle_;
    }

    // Only one of the two exists at a time.
    union {
        io_context_executor idle_;
        busy_type busy_;
    };
    bool is_busy_ = false;
    post_storage storage_;
};

/// Outstanding work on the semaphore's executor, if the operation is submitted to another one.
template <typename IoExecutor>
class io_work {
public:
    io_work(const IoExecutor& executor, bool is_held) {
        if (!is_held)
            return;
        if (const io_context_executor* const context = detail::as_io_context(executor))
            context_.emplace(*context);
        else if constexpr (!std::is_same_v<IoExecutor, io_context_executor>)
            other_.emplace(executor);
    }

private:
    std::optional<busy_executor<io_context_executor>> context_; // much cheaper than any_io_executor
    std::optional<busy_executor<IoExecutor>> other_;
};

/// For a handler whose executor is the semaphore's.
struct no_io_work {};

/// For every other pair.
/// @tparam IsOwn whether the handler has an executor of its own; otherwise it uses the semaphore's
template <typename IoExecutor, typename HandlerExecutor, bool IsOwn>
class general_route {
public:
    /// Work is held from the start: holding it may call an executor of the user's, which must not
    /// happen under a lock.
    static constexpr bool holds_work = true;

    BOOST_FORCEINLINE
    general_route(const IoExecutor& io_executor, const HandlerExecutor& handler_executor) :
        handler_work_(handler_executor), io_work_(work_on(io_executor, handler_executor)) {}

    static void hold_work() noexcept {}
    static bool is_inside() noexcept { return false; }

    template <typename Allocator, typename Function>
    BOOST_FORCEINLINE void submit(const Allocator& allocator, Function&& f) {
        // The function may take the route with it, but the work must last until it is submitted.
        [[maybe_unused]] const auto io = std::move(io_work_);
        if constexpr (is_direct) {
            detail::post_to(handler_work_.get_executor(), std::forward<Function>(f), allocator);
        } else {
            const auto executor = handler_work_.get_executor();
            detail::submit_to(executor, io.get_executor(), std::forward<Function>(f), allocator);
        }
    }

private:
    static constexpr bool is_direct =
        is_posted_to<HandlerExecutor> || std::is_same_v<HandlerExecutor, IoExecutor>;
    using io_work_type = std::conditional_t<
        !IsOwn, no_io_work,
        std::conditional_t<is_direct, io_work<IoExecutor>, busy_executor<IoExecutor>>>;

    static io_work_type
    work_on(const IoExecutor& io_executor, const HandlerExecutor& handler_executor) {
        if constexpr (!IsOwn)
            return {};
        else if constexpr (is_direct)
            return io_work_type(io_executor, !detail::is_same(io_executor, handler_executor));
        else
            return io_work_type(io_executor);
    }

    busy_executor<HandlerExecutor> handler_work_;
    io_work_type io_work_;
};

} // namespace asio_semaphore::detail
