// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Deadlines, and the timer of a waiting line's alarm. Asio layer. The timer lives on the executor
// of the object that owns the line, such as a semaphore, and is touched only there: a context whose
// concurrency hint is CONCURRENCY_HINT_UNSAFE_IO has no locks around its timers. Functions given to
// the executor hold a reference to the line, which owns the alarm.

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/detail/operation/executors.hpp>
#include <asio_semaphore/detail/state/alarm.hpp>
#include <asio_semaphore/detail/state/waiting_line.hpp>

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/recycling_allocator.hpp>
#include <boost/config.hpp>
#include <boost/core/no_exceptions_support.hpp>
#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/system/error_code.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <utility>

namespace asio_semaphore::detail {

using deadline_clock = std::chrono::steady_clock;

/// A wait in the steady clock's units. A wait beyond the clock's range becomes the longest or the
/// shortest one in range; NaN becomes the shortest, which is negative and so already over.
template <typename Rep, typename Period>
deadline_clock::duration saturated(const std::chrono::duration<Rep, Period>& wait) {
    using result = deadline_clock::duration;
    using comparable = std::chrono::duration<long double, result::period>;
    if (comparable(wait) >= comparable(result::max()))
        return result::max();
    if (!(comparable(wait) > comparable(result::min())))
        return result::min();
    return std::chrono::duration_cast<result>(wait);
}

inline time_point deadline_after(deadline_clock::duration wait) {
    using clock = deadline_clock;
    const auto now = clock::now();
    if (wait <= clock::duration::zero())
        return now;
    return wait < never - now ? now + wait : never;
}

template <typename Executor>
class deadline_timer final : public alarm<threads> {
public:
    /// Queues w with the alarm set for its deadline; see semaphore_state::enqueue.
    template <typename State, typename Waiter>
    static outcome
    enqueue(const Executor& executor, const boost::intrusive_ptr<State>& state, Waiter& w) {
        const outcome result = state->enqueue(w); // if `queued`, w may be gone now
        return result != outcome::unalarmed ? result : alarm_and_enqueue(executor, state, w);
    }

    deadline_timer(waiting_line<threads>& line, const Executor& executor) :
        alarm<threads>(line), line_(line), on_(std::in_place, executor) {}

    void post() override {
        call claims(line_pointer(&line_), *this);
        // Also counts a function whose submission fails: its destructor calls dropped().
        struct counted {
            alarm<threads>& timer;
            ~counted() { timer.posted(); }
        } const counts{*this};
        // A copy: what the executor drops may destroy the context, and this timer's parts with it.
        const Executor executor = on_->executor;
        detail::post_to(executor, std::move(claims), asio::recycling_allocator<void>());
    }

    void shut() noexcept override { on_.reset(); }

private:
    using line_pointer = boost::intrusive_ptr<waiting_line<threads>>;

    template <typename State, typename Waiter>
    static BOOST_NOINLINE outcome
    alarm_and_enqueue(const Executor& executor, boost::intrusive_ptr<State> state, Waiter& w) {
        if (state->find_alarm() == nullptr)
            state->install_alarm(std::make_unique<deadline_timer>(*state, executor));
        alarm<threads>* const timer = state->find_alarm();
        if (timer == nullptr) // the context is shutting down, as enqueue will report
            return state->enqueue(w);
        const expectation expected(*timer, w.at);
        expected.post();
        return state->enqueue(w, true);
    }

    /// The function given to the executor.
    struct call {
        call(line_pointer l, deadline_timer& t) noexcept : line(std::move(l)), timer(&t) {}
        call(call&&) = default;
        call& operator=(call&&) = delete;
        ~call() {
            if (line)
                timer->dropped();
        }

        void operator()() {
            const line_pointer own = std::move(line);
            if (timer->claim())
                timer->set(own);
        }

        line_pointer line; // null once called
        deadline_timer* timer;
    };

    /// @pre this thread has claimed the timer
    void set(const line_pointer& line) {
        BOOST_TRY {
            for (time_point at; next(at);) {
                auto& timer = on_->timer;
                if (at == never) {
                    timer->cancel();
                    continue;
                }
                if (!timer)
                    timer.emplace(on_->executor);
                timer->expires_at(at);
                timer->async_wait([line, this](const boost::system::error_code& ec) {
                    if (!ec && expire(deadline_clock::now()))
                        set(line);
                });
            }
        }
        BOOST_CATCH(...) {
            failed();
            BOOST_RETHROW
        }
        BOOST_CATCH_END
    }

    struct parts {
        explicit parts(const Executor& e) : executor(e) {}

        Executor executor;
        std::optional<
            asio::basic_waitable_timer<deadline_clock, asio::wait_traits<deadline_clock>, Executor>>
            timer; // constructed in a function on the executor
    };

    waiting_line<threads>& line_;
    std::optional<parts> on_; // until the context shuts down
};

} // namespace asio_semaphore::detail
