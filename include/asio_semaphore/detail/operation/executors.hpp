#pragma once

// What the library asks of executors, of either of Asio's models. Asio layer.

#include <asio_semaphore/config.hpp>

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/execution.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/is_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/require.hpp>

#include <memory>
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

} // namespace asio_semaphore::detail
