// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Where a semaphore and those who acquire from it run. A place has the executor for the semaphore,
// tells how the handlers of a chain are bound to theirs, and runs what there is to run.

#include "harness.hpp"

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/execution.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>

#include <deque>
#include <memory>
#include <type_traits>
#include <utility>

namespace bench {

namespace asio = boost::asio;

constexpr int default_hint = BOOST_ASIO_CONCURRENCY_HINT_DEFAULT;

/// Times what the calling thread does in run().
template <typename Run>
measurement timed(long operations, Run run) {
    const auto start = thread_clock::now();
    run();
    return {thread_clock::now() - start, operations};
}

/// Runs the context empty, on one thread or on both.
inline measurement timed_run(asio::io_context& context, long operations, int threads = 1) {
    if (threads == 2)
        return second_thread::together([&] { context.run(); }, operations);
    return timed(operations, [&] { context.run(); });
}

/// How handlers are bound that have no executor of their own.
struct unbound {
    template <typename Handler>
    Handler operator()(Handler handler) const {
        return handler;
    }
};

/// Semaphore and handlers on one io_context.
class on_context {
public:
    static constexpr const char* name = "io_context";

    explicit on_context(int hint = default_hint) : context_(hint) {}

    auto executor() { return context_.get_executor(); }
    unbound next_binding() { return {}; }
    measurement run(long operations, int threads = 1) {
        return timed_run(context_, operations, threads);
    }

protected:
    using strand = asio::strand<asio::io_context::executor_type>;

    asio::io_context context_;
};

/// The semaphore on a strand, and the handlers with it.
class on_strand : public on_context {
public:
    static constexpr const char* name = "strand";

    using on_context::on_context;

    auto executor() { return asio::make_strand(context_); }
};

/// The semaphore on an io_context, the handlers of each chain on a strand of their own: one a
/// connection, as in servers.
class on_strands : public on_context {
public:
    static constexpr const char* name = "strand a handler";

    using on_context::on_context;

    struct binding {
        const strand* own;

        template <typename Handler>
        auto operator()(Handler handler) const {
            return asio::bind_executor(*own, std::move(handler));
        }
    };
    binding next_binding() { return {&strands_.emplace_back(asio::make_strand(context_))}; }

private:
    std::deque<strand> strands_;
};

/// Semaphore and handlers on a pool, of which the calling thread is the only one.
class on_pool {
public:
    static constexpr const char* name = "thread_pool";

    explicit on_pool(int = default_hint) : pool_(0) {}

    auto executor() { return pool_.get_executor(); }
    unbound next_binding() { return {}; }
    measurement run(long operations, int = 1) {
        pool_.wait(); // for none: so that it ends when there is nothing left to run
        return timed(operations, [&] { pool_.attach(); });
    }

private:
    asio::thread_pool pool_;
};

/// An execution context as a program may have one of its own: a queue of functions that one thread
/// runs.
class function_queue : public asio::execution_context {
    struct function {
        virtual ~function() = default;
        virtual void call() = 0;
    };

    template <typename Function>
    struct function_of final : function {
        explicit function_of(Function f) : f_(std::move(f)) {}
        void call() override { std::move(f_)(); }
        Function f_;
    };

public:
    class executor_type {
    public:
        explicit executor_type(function_queue& queue) noexcept : queue_(&queue) {}

        function_queue& query(asio::execution::context_t) const noexcept { return *queue_; }
        static constexpr asio::execution::blocking_t query(asio::execution::blocking_t) noexcept {
            return asio::execution::blocking.never;
        }

        template <typename Function>
        void execute(Function&& f) const {
            queue_->functions_.push_back(
                std::make_unique<function_of<std::decay_t<Function>>>(std::forward<Function>(f)));
        }

        friend bool operator==(executor_type, executor_type) noexcept = default;

    private:
        function_queue* queue_;
    };

    function_queue() = default;
    function_queue(const function_queue&) = delete;
    function_queue& operator=(const function_queue&) = delete;
    ~function_queue() {
        shutdown();
        functions_.clear();
        destroy();
    }

    executor_type get_executor() noexcept { return executor_type(*this); }
    void run() {
        while (!functions_.empty()) {
            const auto first = std::move(functions_.front());
            functions_.pop_front();
            first->call();
        }
    }

private:
    std::deque<std::unique_ptr<function>> functions_;
};

/// Semaphore and handlers on an executor that is not one of Asio's.
class on_own_executor {
public:
    static constexpr const char* name = "own executor";

    explicit on_own_executor(int = default_hint) {}

    auto executor() { return queue_.get_executor(); }
    unbound next_binding() { return {}; }
    measurement run(long operations, int = 1) {
        return timed(operations, [&] { queue_.run(); });
    }

private:
    function_queue queue_;
};

} // namespace bench
