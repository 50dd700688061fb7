// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// The executors and contexts for programs in which something fails, and the code that all of these
// programs share.

#include <model/faults.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/multiple_exceptions.hpp>
#include <boost/asio/strand.hpp>
#include <boost/test/unit_test.hpp>
#include <boost/version.hpp>
#if BOOST_VERSION >= 108200
#include <boost/asio/bind_immediate_executor.hpp>
#endif

#include <chrono>
#include <cstddef>
#include <deque>
#include <new>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

namespace faults {

using namespace std::chrono_literals;

/// Handler and I/O object on one io_context, with type-erased executors.
struct one_context {
    static constexpr const char* name = "one io_context";
    using executor_type = asio::any_io_executor;
    static executor_type executor(asio::io_context& context) { return context.get_executor(); }
    /// The executor of the I/O object of an operation under a limit.
    static executor_type operation_executor(asio::io_context& context, asio::io_context&) {
        return executor(context);
    }
    template <typename H>
    static H place(asio::io_context&, asio::io_context&, H&& h) {
        return std::forward<H>(h);
    }
    static constexpr kinds never_asked() noexcept { return kinds::of(kind::execute, kind::drop); }
    static constexpr kinds fail_together() noexcept { return kinds::all(); }
};

/// A user-defined executor for both.
struct own_executor {
    static constexpr const char* name = "an executor of one's own";
    using executor_type = faults::executor;
    static executor_type executor(asio::io_context& context) { return executor_type(context); }
    static executor_type operation_executor(asio::io_context& context, asio::io_context&) {
        return executor(context);
    }
    template <typename H>
    static H place(asio::io_context&, asio::io_context&, H&& h) {
        return std::forward<H>(h);
    }
    static constexpr kinds never_asked() noexcept { return kinds::none(); }
    static constexpr kinds fail_together() noexcept { return kinds::all(); }
};

/// The handler runs on another context.
struct two_contexts {
    static constexpr const char* name = "two contexts";
    using executor_type = asio::any_io_executor;
    static executor_type executor(asio::io_context& context) { return faults::executor(context); }
    /// Also on the other context, because the I/O object may have to outlive the limiter's context.
    static executor_type operation_executor(asio::io_context&, asio::io_context& other) {
        return executor(other);
    }
    template <typename H>
    static auto place(asio::io_context&, asio::io_context& other, H&& h) {
        return asio::bind_executor(faults::executor(other), std::forward<H>(h));
    }
    static constexpr kinds never_asked() noexcept { return kinds::none(); }
    /// If any_io_executor cannot submit a function, it moves the function in a destructor. A second
    /// failure there, of whichever function, terminates the program.
    static constexpr kinds fail_together() noexcept {
        return kinds::all().without(kind::move_handler);
    }
};

/// The handler runs in a strand.
struct in_a_strand {
    static constexpr const char* name = "a strand";
    using executor_type = faults::executor;
    static executor_type executor(asio::io_context& context) { return executor_type(context); }
    static executor_type operation_executor(asio::io_context& context, asio::io_context&) {
        return executor(context);
    }
    template <typename H>
    static auto place(asio::io_context& context, asio::io_context&, H&& h) {
        return asio::bind_executor(asio::make_strand(context), std::forward<H>(h));
    }
    static constexpr kinds never_asked() noexcept { return kinds::none(); }
    static constexpr kinds fail_together() noexcept { return kinds::all(); }
};

#if BOOST_VERSION >= 108200
/// The handler has an immediate executor.
struct at_once {
    static constexpr const char* name = "an immediate executor";
    using executor_type = asio::any_io_executor;
    static executor_type executor(asio::io_context& context) { return context.get_executor(); }
    static executor_type operation_executor(asio::io_context& context, asio::io_context&) {
        return executor(context);
    }
    template <typename H>
    static auto place(asio::io_context&, asio::io_context&, H&& h) {
        return asio::bind_immediate_executor(inline_executor(), std::forward<H>(h));
    }
    static constexpr kinds never_asked() noexcept { return kinds::none(); }
    /// If any_io_executor cannot submit a function, it moves the function in a destructor. A second
    /// failure there, of whichever function, terminates the program.
    static constexpr kinds fail_together() noexcept {
        return kinds::all().without(kind::move_handler);
    }
};
#endif

using places = std::tuple<
    one_context, own_executor, two_contexts, in_a_strand
#if BOOST_VERSION >= 108200
    ,
    at_once
#endif
    >;

/// Two contexts. The steps of a program run there while a plan is in force.
template <typename Where>
class surroundings {
public:
    using timer_type = asio::basic_waitable_timer<
        std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>,
        typename Where::executor_type>;

    surroundings() {
        other.emplace();
        context.emplace();
        signal.emplace();
    }
    surroundings(const surroundings&) = delete;
    surroundings& operator=(const surroundings&) = delete;

    /// Calls the library while the plan is in force.
    template <typename F>
    bool attempt(F f) {
        bool threw = false;
        try {
            const plan::armed now;
            f();
        } catch (const failure&) {
            threw = true;
        } catch (const std::bad_alloc&) {
            threw = true;
        } catch (const asio::multiple_exceptions&) {
            threw = true; // several functions threw in one step of a context
        }
        check();
        return threw;
    }

    void poll() {
        const auto again = [&](asio::io_context& c) {
            std::size_t ran = 0;
            const bool threw = attempt([&] {
                c.restart();
                ran = c.poll_one();
            });
            return threw || ran != 0;
        };
        while (again(*context) || again(*other)) {
        }
    }

    void destroy_contexts() {
        // Asio moves the functions that it destroys without running them. It does so in a
        // destructor, so a move that throws there would terminate the program, whatever the
        // function.
        const bool moves = plan::get().includes(kind::move_handler);
        timers_.clear();
        for (auto* const c : {&context, &other}) {
            if (moves)
                c->reset();
            else
                attempt([&] { c->reset(); });
        }
    }

    std::chrono::steady_clock::duration wrapped_wait = -1h; ///< for operations under a limit
    std::optional<asio::io_context> other, context;
    std::optional<asio::cancellation_signal> signal;

protected:
    ~surroundings() = default;

    /// Checks the invariants after every attempt.
    virtual void check() {}

    /// Creates an I/O object for an operation under a limit.
    timer_type& make_timer() {
        return timers_.emplace_back(
            Where::operation_executor(*context, *other),
            std::chrono::steady_clock::now() + wrapped_wait);
    }

    template <typename Handler>
    auto placed(Handler&& h) {
        return Where::place(*context, *other, std::forward<Handler>(h));
    }

    asio::cancellation_slot slot(bool connected) {
        return connected ? signal->slot() : asio::cancellation_slot();
    }

    /// If Asio's strand cannot allocate memory to run a function, it throws, but it keeps the
    /// function until its context is destroyed.
    static constexpr bool may_get_stuck = std::is_same_v<Where, in_a_strand>;

    void check_that_no_work_is_left() {
        for (auto* const c : {&context, &other}) {
            (*c)->restart();
            (*c)->poll();
            BOOST_TEST((*c)->stopped());
        }
    }

    /// Destroys the timers first, because they must not outlive the context.
    void leave_context() {
        timers_.clear();
        context.reset();
    }
    /// Call this before the destruction of the objects that the handlers write to.
    void leave_contexts() {
        leave_context();
        other.reset();
    }

private:
    std::deque<timer_type> timers_;
};

} // namespace faults
