#pragma once

// The timer of a semaphore's alarm. Asio layer. It lives on the semaphore's executor and is touched
// there only: a context whose concurrency hint is CONCURRENCY_HINT_UNSAFE_IO has no locks around
// its timers. What the executor is given holds a reference to the state, which owns the alarm.

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/detail/operation/executors.hpp>
#include <asio_semaphore/detail/state/alarm.hpp>
#include <asio_semaphore/detail/state/semaphore_state.hpp>

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

using state_pointer = boost::intrusive_ptr<semaphore_state<threads>>;
using deadline_clock = std::chrono::steady_clock;

template <typename Executor>
class deadline_timer final : public alarm<threads> {
public:
    /// Puts w in the queue, with the alarm set for its deadline; see semaphore_state::enqueue.
    static outcome
    enqueue(const Executor& executor, const state_pointer& state, timed_waiter<threads>& w) {
        const outcome result = state->enqueue(w); // w may be gone now, where that is `queued`
        return result != outcome::unalarmed ? result : alarm_and_enqueue(executor, state, w);
    }

    deadline_timer(semaphore_state<threads>& state, const Executor& executor) :
        alarm<threads>(state), state_(state), on_(std::in_place, executor) {}

    void post() override {
        call claims(state_pointer(&state_), *this);
        // Where the function is not submitted it is dropped, and counts as that.
        struct counted {
            alarm<threads>& timer;
            ~counted() { timer.posted(); }
        } const counts{*this};
        detail::post_to(on_->executor, std::move(claims), asio::recycling_allocator<void>());
    }

    void shut() noexcept override { on_.reset(); }

private:
    static BOOST_NOINLINE outcome
    alarm_and_enqueue(const Executor& executor, state_pointer state, timed_waiter<threads>& w) {
        if (state->find_alarm() == nullptr)
            state->install_alarm(std::make_unique<deadline_timer>(*state, executor));
        alarm<threads>* const timer = state->find_alarm();
        if (timer == nullptr) // the context goes, as the queue will tell
            return state->enqueue(w);
        const expectation expected(*timer, w.at);
        expected.post();
        return state->enqueue(w, true);
    }

    /// What the executor is given.
    struct call {
        call(state_pointer s, deadline_timer& t) noexcept : state(std::move(s)), timer(&t) {}
        call(call&&) = default;
        call& operator=(call&&) = delete;
        ~call() {
            if (state)
                timer->dropped();
        }

        void operator()() {
            const state_pointer own = std::move(state);
            if (timer->claim())
                timer->set(own);
        }

        state_pointer state; // null once called
        deadline_timer* timer;
    };

    /// @pre claimed
    void set(const state_pointer& state) {
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
                timer->async_wait([state, this](const boost::system::error_code& ec) {
                    if (!ec && expire(deadline_clock::now()))
                        set(state);
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
            timer; // made on the executor, too
    };

    semaphore_state<threads>& state_;
    std::optional<parts> on_; // until the context goes
};

} // namespace asio_semaphore::detail
