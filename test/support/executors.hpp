// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Executors that count, and executors that misbehave.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/execution.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/require.hpp>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace support {

/// The counts of all copies of a tracker_executor.
class tracking {
public:
    std::atomic<int> work{0};      ///< outstanding work: executors that exist and track it
    std::atomic<int> submitted{0}; ///< functions passed to execute
    std::atomic<int> ran{0};

    /// Whether the calling thread is inside a function that one of the executors runs.
    bool on_stack() const {
        const auto& all = stack();
        return std::find(all.begin(), all.end(), this) != all.end();
    }

    /// During its lifetime, on_stack() is true on its thread.
    class scope {
    public:
        explicit scope(const tracking& t) { stack().push_back(&t); }
        scope(const scope&) = delete;
        scope& operator=(const scope&) = delete;
        ~scope() { stack().pop_back(); }
    };

private:
    static std::vector<const tracking*>& stack() {
        thread_local std::vector<const tracking*> running;
        return running;
    }
};

/// Forwards everything to another executor, and counts in a tracking, which must outlive it.
template <typename Inner = boost::asio::io_context::executor_type, bool Tracked = false>
class tracker_executor {
public:
    tracker_executor(const Inner& inner, tracking& book) noexcept : inner_(inner), book_(&book) {
        start();
    }
    tracker_executor(const tracker_executor& other) noexcept :
        inner_(other.inner_), book_(other.book_) {
        start();
    }
    /// Moves the work too, because Asio does not destroy some of the executors that it moved from.
    tracker_executor(tracker_executor&& other) noexcept :
        inner_(std::move(other.inner_)), book_(std::exchange(other.book_, nullptr)) {}
    tracker_executor& operator=(tracker_executor other) noexcept {
        inner_ = std::move(other.inner_);
        std::swap(book_, other.book_);
        return *this;
    }
    ~tracker_executor() {
        if (Tracked && book_ != nullptr)
            --book_->work;
    }

    auto require(boost::asio::execution::outstanding_work_t::tracked_t p) const {
        return wrap<true>(boost::asio::prefer(inner_, p));
    }
    auto require(boost::asio::execution::outstanding_work_t::untracked_t p) const {
        return wrap<false>(boost::asio::prefer(inner_, p));
    }
    template <
        typename Property,
        typename = std::enable_if_t<boost::asio::can_require<const Inner&, Property>::value>>
    auto require(const Property& p) const {
        return wrap<Tracked>(boost::asio::require(inner_, p));
    }
    template <
        typename Property,
        typename = std::enable_if_t<boost::asio::can_query<const Inner&, Property>::value>>
    decltype(auto) query(const Property& p) const {
        return boost::asio::query(inner_, p);
    }

    template <typename Function>
    void execute(Function&& f) const {
        ++book_->submitted;
        inner_.execute(
            [book = book_, g = std::decay_t<Function>(std::forward<Function>(f))]() mutable {
                const tracking::scope here(*book);
                ++book->ran;
                std::move(g)();
            });
    }

    friend bool operator==(const tracker_executor& a, const tracker_executor& b) noexcept {
        return a.inner_ == b.inner_ && a.book_ == b.book_;
    }
    friend bool operator!=(const tracker_executor& a, const tracker_executor& b) noexcept {
        return !(a == b);
    }

private:
    template <bool NowTracked, typename OtherInner>
    tracker_executor<OtherInner, NowTracked> wrap(const OtherInner& inner) const {
        return {inner, *book_};
    }
    void start() noexcept {
        if (Tracked)
            ++book_->work;
    }

    Inner inner_;
    tracking* book_;
};

struct executor_failure : std::runtime_error {
    executor_failure() : std::runtime_error("the executor") {}
};

/// How a wayward_executor treats functions, and the functions that it keeps.
class ways {
public:
    enum class way {
        pass_on,    ///< forward them to the context
        drop,       ///< destroy them inside execute without running them
        fail,       ///< throw from execute
        hold,       ///< keep them until run_held_in_reverse or drop_held
        replace,    ///< the same, and destroy those held before inside execute
        run_inline, ///< run them inside execute, although blocking.never is required
    };

    way now = way::pass_on;
    int seen = 0;

    std::size_t held() const { return held_.size(); }
    /// Runs the held functions, the newest first.
    void run_held_in_reverse() {
        while (!held_.empty()) {
            const auto f = std::move(held_.back());
            held_.pop_back();
            f->run();
        }
    }
    void drop_held() {
        while (!held_.empty()) {
            const auto f = std::move(held_.back()); // its destructor may add to held_
            held_.pop_back();
        }
    }

    template <typename Function>
    void take(boost::asio::io_context& context, Function&& f) {
        ++seen;
        switch (now) {
        case way::pass_on:
            context.get_executor().execute(std::forward<Function>(f));
            break;
        case way::drop: {
            [[maybe_unused]] const auto dropped = std::decay_t<Function>(std::forward<Function>(f));
            break;
        }
        case way::fail:
            throw executor_failure();
        case way::hold:
            held_.push_back(
                std::make_unique<holding<std::decay_t<Function>>>(std::forward<Function>(f)));
            break;
        case way::replace: {
            const auto replaced = std::exchange(held_, {});
            held_.push_back(
                std::make_unique<holding<std::decay_t<Function>>>(std::forward<Function>(f)));
            break;
        }
        case way::run_inline:
            std::decay_t<Function>(std::forward<Function>(f))();
            break;
        }
    }

private:
    struct holding_base {
        virtual ~holding_base() = default;
        virtual void run() = 0;
    };
    template <typename Function>
    struct holding final : holding_base {
        explicit holding(Function&& f) : function(std::move(f)) {}
        explicit holding(const Function& f) : function(f) {}
        void run() override { std::move(function)(); }
        Function function;
    };

    std::vector<std::unique_ptr<holding_base>> held_;
};

/// An I/O executor that drops, holds, reorders or runs inline the functions it gets, or throws.
class wayward_executor {
public:
    wayward_executor(boost::asio::io_context& context, ways& how) noexcept :
        context_(&context), how_(&how) {}

    boost::asio::execution_context& query(boost::asio::execution::context_t) const noexcept {
        return *context_;
    }
    static constexpr boost::asio::execution::blocking_t
    query(boost::asio::execution::blocking_t) noexcept {
        return boost::asio::execution::blocking.never;
    }

    template <typename Function>
    void execute(Function&& f) const {
        how_->take(*context_, std::forward<Function>(f));
    }

    friend bool operator==(const wayward_executor& a, const wayward_executor& b) noexcept {
        return a.context_ == b.context_ && a.how_ == b.how_;
    }
    friend bool operator!=(const wayward_executor& a, const wayward_executor& b) noexcept {
        return !(a == b);
    }

private:
    boost::asio::io_context* context_;
    ways* how_;
};

struct when_it_goes {
    std::function<void()> call;
    ~when_it_goes() { call(); }
};
/// An I/O executor that calls a function when its last copy is destroyed.
struct owning_executor {
    boost::asio::io_context::executor_type inner;
    std::shared_ptr<when_it_goes> owned;

    boost::asio::execution_context& query(boost::asio::execution::context_t) const noexcept {
        return inner.context();
    }
    static constexpr boost::asio::execution::blocking_t
    query(boost::asio::execution::blocking_t) noexcept {
        return boost::asio::execution::blocking.never;
    }
    template <typename F>
    void execute(F&& f) const {
        boost::asio::post(inner, std::forward<F>(f));
    }

    friend bool operator==(const owning_executor& a, const owning_executor& b) noexcept {
        return a.owned == b.owned;
    }
    friend bool operator!=(const owning_executor& a, const owning_executor& b) noexcept {
        return !(a == b);
    }
};

/// A context, and an executor of it whose end takes long.
struct slow_end {
    /// The executor, once. While its last copy is destroyed, the context should still exist.
    owning_executor make_executor() {
        auto owned = std::make_shared<when_it_goes>();
        owned->call = [this] {
            is_dying = true;
            while (!is_shutting)
                std::this_thread::yield();
            // If the destruction of the context did not wait, it would have time to end here.
            for (int i = 0; i < 1000; ++i)
                std::this_thread::yield();
            waited = !is_gone;
        };
        return {context->get_executor(), std::move(owned)};
    }

    /// Lets another thread drop the last copy of the executor, and destroys the context meanwhile.
    /// @return whether the destruction of the context waited
    template <typename Drop>
    bool destroy_both(Drop drop) {
        std::thread dropper(drop);
        while (!is_dying)
            std::this_thread::yield();
        is_shutting = true;
        context.reset();
        is_gone = true;
        dropper.join();
        return waited;
    }

    std::optional<boost::asio::io_context> context{std::in_place};
    std::atomic<bool> is_dying{false}, is_shutting{false}, is_gone{false};
    bool waited = false;
};

/// Meets only the minimum requirements of an associated or immediate executor: it runs functions
/// inline, and supports no property.
struct minimal_executor {
    int* ran;

    template <typename Function>
    void execute(Function&& f) const {
        ++*ran;
        std::decay_t<Function>(std::forward<Function>(f))();
    }
    friend bool operator==(const minimal_executor& a, const minimal_executor& b) noexcept {
        return a.ran == b.ran;
    }
    friend bool operator!=(const minimal_executor& a, const minimal_executor& b) noexcept {
        return !(a == b);
    }
};

/// Has a member that cannot be assigned.
struct unassignable_executor {
    boost::asio::io_context& context;

    boost::asio::execution_context& query(boost::asio::execution::context_t) const noexcept {
        return context;
    }
    static constexpr boost::asio::execution::blocking_t
    query(boost::asio::execution::blocking_t) noexcept {
        return boost::asio::execution::blocking.never;
    }
    template <typename F>
    void execute(F&& f) const {
        boost::asio::require(context.get_executor(), boost::asio::execution::blocking.never)
            .execute(std::forward<F>(f));
    }
    friend bool
    operator==(const unassignable_executor& a, const unassignable_executor& b) noexcept {
        return &a.context == &b.context;
    }
    friend bool
    operator!=(const unassignable_executor& a, const unassignable_executor& b) noexcept {
        return !(a == b);
    }
};

} // namespace support
