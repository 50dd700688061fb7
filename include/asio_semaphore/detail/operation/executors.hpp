// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// What the library requires of executors, in either of Asio's models. Asio layer. All calls here
// are qualified: a handler's namespace may have functions of the same names.

#include <asio_semaphore/config.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/execution.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/is_executor.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/recycling_allocator.hpp>
#include <boost/asio/require.hpp>
#include <boost/asio/system_executor.hpp>

#include <boost/config.hpp>

#include <type_traits>
#include <typeinfo>
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

/// Whether an executor, by its type, runs functions at once in the calling thread. Examples are
/// system_executor, which the handlers of Asio's parallel_group have unless they are given another
/// executor, and the executors of futures. If required never to block, they would start the threads
/// of the system context, which are not the program's.
template <typename Executor, typename = void>
inline constexpr bool is_inline_by_type = false;
template <typename Executor>
inline constexpr bool is_inline_by_type<
    Executor, std::void_t<decltype(asio::query(
                  std::declval<const Executor&>(), asio::execution::blocking))>> =
    std::is_same_v<
        std::decay_t<decltype(asio::query(
            std::declval<const Executor&>(), asio::execution::blocking))>,
        asio::execution::blocking_t::possibly_t> ||
    std::is_same_v<Executor, asio::system_executor>;

/// Whether a handler is posted directly to its executor. Other handlers are dispatched to theirs
/// from the semaphore's executor.
template <typename Executor>
inline constexpr bool is_posted_to = can_post<Executor> && !is_inline_by_type<Executor>;

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

template <typename Executor>
inline constexpr bool is_any_io_executor =
    std::is_same_v<Executor, asio::any_io_executor> && !is_networking_ts_executor<Executor>;

template <typename... Properties>
const asio::execution::any_executor<Properties...>&
base_of(const asio::execution::any_executor<Properties...>& executor) noexcept {
    return executor;
}

/// Returns the base class of any_io_executor: when Asio applies a property to the base, the result
/// is not moved into yet another object.
template <typename Executor>
const auto& as_base(const Executor& executor) noexcept {
    if constexpr (is_any_io_executor<Executor>)
        return detail::base_of(executor);
    else
        return executor;
}

/// Submits f with the handler's allocator. If the handler has none of its own, the executor
/// chooses: Asio's executors recycle memory by default, and asking for that would copy them.
template <typename Executor, typename Function, typename Allocator>
BOOST_FORCEINLINE void
execute_on(const Executor& executor, Function&& f, const Allocator& allocator) {
    if constexpr (std::is_same_v<Allocator, asio::recycling_allocator<void>>)
        executor.execute(std::forward<Function>(f));
    else
        asio::prefer(executor, asio::execution::allocator(allocator))
            .execute(std::forward<Function>(f));
}

/// Has executor run f later, never here. The executor may be a part of f, and move with it.
template <typename Executor, typename Function, typename Allocator>
BOOST_FORCEINLINE void post_to(const Executor& executor, Function&& f, const Allocator& allocator) {
    if constexpr (is_networking_ts_executor<Executor>) {
        const Executor own(executor);
        own.post(std::forward<Function>(f), allocator);
    } else {
        const auto own = asio::require(detail::as_base(executor), asio::execution::blocking.never);
        detail::execute_on(own, std::forward<Function>(f), allocator);
    }
}

/// Has executor run f, possibly here. The executor may support nothing but execute.
template <typename Executor, typename Function, typename Allocator>
void dispatch_to(const Executor& executor, Function&& f, const Allocator& allocator) {
    if constexpr (is_networking_ts_executor<Executor>)
        executor.dispatch(std::forward<Function>(f), allocator);
    else
        detail::execute_on(executor, std::forward<Function>(f), allocator);
}

/// A function that is dispatched to its executor from another one, because it is not posted there.
template <typename Executor, typename Function, typename Allocator>
struct relayed {
    Executor executor;
    Function function;
    Allocator allocator;

    void operator()() { detail::dispatch_to(executor, std::move(function), allocator); }
};

/// Has executor run f later, never here. If executor is not one to post to (see is_posted_to), f
/// goes through the semaphore's executor, @p io.
template <typename Executor, typename IoExecutor, typename Function, typename Allocator>
BOOST_FORCEINLINE void submit_to(
    const Executor& executor, const IoExecutor& io, Function&& f, const Allocator& allocator) {
    if constexpr (is_posted_to<Executor> || std::is_same_v<Executor, IoExecutor>)
        detail::post_to(executor, std::forward<Function>(f), allocator);
    else
        detail::post_to(
            io,
            relayed<Executor, std::decay_t<Function>, Allocator>{
                executor, std::forward<Function>(f), allocator},
            allocator);
}

template <typename Executor1, typename Executor2>
bool is_same(const Executor1& first, const Executor2& second) noexcept {
    if constexpr (std::is_same_v<Executor1, Executor2>)
        // Usually the same object, because few handlers have an executor of their own.
        return &first == &second || first == second;
    else
        return false;
}

/// Stands for a missing executor: the result for a handler that has none of the requested kind.
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

/// An executor with outstanding work.
template <typename Executor, bool = is_networking_ts_executor<Executor>>
class busy_executor {
public:
    using executor_type = std::decay_t<decltype(asio::prefer(
        detail::as_base(std::declval<const Executor&>()),
        asio::execution::outstanding_work.tracked))>;

    explicit busy_executor(const Executor& executor) :
        executor_(
            asio::prefer(detail::as_base(executor), asio::execution::outstanding_work.tracked)) {}

    const executor_type& get_executor() const noexcept { return executor_; }

private:
    executor_type executor_;
};

// executor_work_guard alone would do, but misclassifies strands of any_io_executor.
template <typename Executor>
class busy_executor<Executor, true> : public asio::executor_work_guard<Executor> {
public:
    using asio::executor_work_guard<Executor>::executor_work_guard;
};

using io_context_executor = asio::io_context::executor_type;

template <typename Executor, typename = void>
struct is_type_erased : std::false_type {};
template <typename Executor>
struct is_type_erased<
    Executor,
    std::void_t<decltype(std::declval<const Executor&>().template target<io_context_executor>())>>
    : std::true_type {};

/// The io_context executor that this executor is or holds, or null.
template <typename Executor>
const io_context_executor* as_io_context(const Executor& executor) noexcept {
    if constexpr (std::is_same_v<Executor, io_context_executor>)
        return &executor;
#if !defined(BOOST_ASIO_NO_TYPEID)
    // Compares only the addresses of the types, never their names. If a program has the type twice,
    // because shared libraries hide theirs, null is a correct result, too.
    else if constexpr (is_any_io_executor<Executor>)
        return &executor.target_type() == &typeid(io_context_executor)
                   ? static_cast<const io_context_executor*>(executor.template target<void>())
                   : nullptr;
#endif
    else if constexpr (is_type_erased<Executor>::value)
        return executor.template target<io_context_executor>();
    else
        return nullptr;
}

/// The executor of the io_context that both belong to, or null.
template <typename IoExecutor, typename HandlerExecutor>
const io_context_executor*
common_io_context(const IoExecutor& io_executor, const HandlerExecutor& handler_executor) noexcept {
    const io_context_executor* const first = detail::as_io_context(io_executor);
    if (first == nullptr)
        return nullptr;
    if constexpr (std::is_same_v<IoExecutor, HandlerExecutor>) {
        if (&io_executor == &handler_executor)
            return first;
    }
    const io_context_executor* const second = detail::as_io_context(handler_executor);
    return second != nullptr && *first == *second ? first : nullptr;
}

} // namespace asio_semaphore::detail
