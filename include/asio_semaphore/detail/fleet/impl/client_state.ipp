// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <asio_semaphore/detail/fleet/client_state.hpp>
#include <asio_semaphore/detail/fleet/lease.hpp>

#include <asio_semaphore/detail/operation/executors.hpp>
#include <asio_semaphore/detail/operation/semaphore_service.hpp>

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/system_executor.hpp>
#include <boost/asio/wait_traits.hpp>
#include <boost/core/no_exceptions_support.hpp>
#include <boost/system/errc.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <random>
#include <utility>

namespace asio_semaphore::detail::fleet {

/// The parts of the client that live on its executor's context, and are destroyed with it at the
/// latest. The line owns them as its alarm, although no waiter of this line has a deadline.
class client_state::parts final : public alarm<threads> {
public:
    explicit parts(client_state& client) : alarm<threads>(client), client_(client) {}
    parts(const parts&) = delete;
    parts& operator=(const parts&) = delete;
    // With the client's last reference, see waiting_line::destroy, or if the construction fails.
    ~parts() override {
        on.reset();
        static_cast<void>(client_.take_executor());
    }

    struct connection {
        // Not a steady_timer: any_io_executor needs memory for a strand, and Asio ends the program
        // if a wait finds none.
        using timer_type = asio::basic_waitable_timer<
            std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>, strand_type>;

        explicit connection(const executor_type& executor) : strand(executor), timer(strand) {}

        strand_type strand;
        timer_type timer;
        time_point timer_is_set_for = time_point::max();
        std::shared_ptr<store> server;
        client_pointer started; // the client itself, while the store may call it
        bool is_connected = false;
        bool has_failed = false; // the store threw an exception, and has to be started again
    };

    void post() override {}
    void shut() noexcept override {
        for (unsigned looks = 0; client_.waking_ != 0; ++looks)
            threads::back_off(looks);
        client_.abandon();
        const std::optional<connection> last = std::move(on);
        on.reset();
        const auto executor = client_.take_executor();
    }

    std::optional<connection> on; // until shutdown; outside the strand only wake uses it

private:
    client_state& client_;
};

inline client_state::client_state(
    const executor_type& executor, const store_maker& make_store, log_type log) :
    fleet_line(semaphore_service::registry_of(detail::context_of(executor))),
    executor_(std::make_shared<const executor_type>(executor)),
    registry_(semaphore_service::registry_of(detail::context_of(executor))),
    log_(std::move(log)),
    machine_(random_client_name(), std::random_device()()),
    parts_(new parts(*this)) {
    std::unique_ptr<alarm<threads>> owned(parts_);
    parts_->on.emplace(executor);
    parts_->on->server = make_store(parts_->on->strand, machine_.client());
    install_alarm(std::move(owned));
    enlist();
    if (is_shut_) // constructed during the shutdown of its context
        parts_->shut();
}

inline client_state::executor_type client_state::get_executor() const noexcept {
    std::shared_ptr<const executor_type> executor;
    {
        std::lock_guard<threads::mutex> lock(mutex_);
        executor = executor_;
    }
    return executor ? *executor : executor_type(asio::system_executor());
}

inline std::shared_ptr<const client_state::executor_type> client_state::take_executor() noexcept {
    std::lock_guard<threads::mutex> lock(mutex_);
    return std::move(executor_);
}

inline void client_state::wake() noexcept {
    if (is_woken_.exchange(true))
        return;
    ++waking_;
    if (!is_shut_) {
        BOOST_TRY {
            asio::post(parts_->on->strand, [self = client_pointer(this)] { self->look(); });
        }
        BOOST_CATCH(...) {
            is_woken_ = false; // so that the next wake tries again
        }
        BOOST_CATCH_END
    }
    --waking_;
}

inline outcome client_state::enqueue_run(waiter_type& w) noexcept {
    std::lock_guard<threads::mutex> lock(mutex_);
    const outcome result = ends_at_once(w);
    if (result != outcome::queued)
        return result;
    if (is_closing_)
        return outcome::granted;
    if (running_ != nullptr)
        return outcome::invalid_argument;
    running_ = &w;
    is_new_run_ = true;
    is_run_ = true;
    join(w);
    return outcome::queued;
}

inline outcome client_state::enqueue_close(waiter_type& w) {
    std::lock_guard<threads::mutex> lock(mutex_);
    const outcome result = ends_at_once(w);
    if (result != outcome::queued)
        return result;
    is_closing_ = true;
    with_machine([](machine& m, time_point now) { m.close_all(now); });
    join(w);
    return outcome::queued;
}

inline void client_state::leaves(waiter_type& w, outcome) noexcept {
    if (running_ == &w) {
        running_ = nullptr;
        is_run_ = false;
    }
}

inline void client_state::end() noexcept {
    is_ended_ = true;
    abort();
    abandon();
    wake();
}

inline void client_state::abandon() noexcept {
    with_machine([](machine& m, time_point) { m.abandon(); });
    tell_events();
}

// Tells only the events that there are now. Those that handlers cause meanwhile come with the next
// look, so that the strand does other work, too.
inline void client_state::tell_events() noexcept {
    for (std::size_t left = with_machine([](machine&m, time_point) { return m.event_count(); });
         left != 0; --left) {
        const std::optional<event> e =
            with_machine([](machine& m, time_point) { return m.take_event(); });
        if (!e)
            return; // end() has told the others
        static_cast<lease&>(*e->of).tell(*e);
    }
}

// Each part either does its work or, if it throws, leaves it to the next look.
inline void client_state::look() {
    // This comes first, so that a wake from here on causes another look.
    is_woken_ = false;
    BOOST_TRY {
        look_at_run();
        look_at_calls();
        look_at_timer();
        tell_events();
        look_at_end();
    }
    BOOST_CATCH(...) {
        tell_events();
        wake();
        BOOST_RETHROW
    }
    BOOST_CATCH_END
}

// After an exception of the store, the client starts it again. The machine repeats the calls that
// were under way.
inline void client_state::look_at_run() {
    auto& on = *parts_->on;
    const bool is_wanted = is_run_ && !is_ended_;
    if (on.started && (!is_wanted || is_new_run_ || on.has_failed)) {
        on.server->stop();
        on.started.reset(); // the caller has another reference
        on.has_failed = false;
        if (std::exchange(on.is_connected, false))
            with_machine([](machine& m, time_point now) { m.disconnected(now); });
    }
    if (is_wanted && !on.started) {
        on.server->set_shortest_lease(with_machine([this](machine& m, time_point now) {
            if (is_new_run_.exchange(false))
                m.running(now);
            return m.shortest_lease();
        }));
        on.started = client_pointer(this);
        on.has_failed = true;
        on.server->start(*this);
        on.has_failed = false;
    }
}

inline void client_state::look_at_calls() {
    auto& on = *parts_->on;
    std::vector<call> calls;
    std::uint64_t connection;
    {
        std::lock_guard<std::mutex> lock(machine_mutex_);
        const time_point now = clock::now();
        if (machine_.next_time() <= now)
            machine_.on_time(now);
        if (on.is_connected && machine_.has_calls(now))
            calls = machine_.next_calls(now);
        connection = machine_.connection();
    }
    if (calls.empty())
        return;
    on.has_failed = true;
    on.server->send(std::move(calls), connection);
    on.has_failed = false;
}

inline void client_state::look_at_timer() {
    auto& on = *parts_->on;
    const auto [at, now] = with_machine([](machine& m, time_point t) {
        return std::pair<time_point, time_point>(m.next_time(), t);
    });
    if (at == on.timer_is_set_for)
        return;
    on.timer_is_set_for = time_point::max();
    if (at == time_point::max()) {
        on.timer.cancel();
        return;
    }
    on.timer.expires_after(at - now);
    on.timer.async_wait([self = client_pointer(this)](const boost::system::error_code& ec) {
        if (ec)
            return;
        self->parts_->on->timer_is_set_for = time_point::max();
        self->look();
    });
    on.timer_is_set_for = at;
}

// Ends async_close, and async_run with it, once everything has been given back.
inline void client_state::look_at_end() {
    const bool is_done = is_closing_ && with_machine([](machine& m, time_point) {
                             return m.is_empty() && m.event_count() == 0;
                         });
    if (!is_done)
        return;
    {
        section here(*this);
        if (phase_ == phase::shut)
            return;
        running_ = nullptr;
        is_run_ = false;
        while (!queue_.empty())
            take(queue_.front(), outcome::granted, here.taken);
    }
    look_at_run();
}

inline void client_state::connected() {
    const client_pointer self(this);
    parts_->on->is_connected = true;
    with_machine([](machine& m, time_point now) { m.connected(now); });
    look();
}

inline void client_state::disconnected(boost::system::error_code reason) {
    const client_pointer self(this);
    const bool was_connected = std::exchange(parts_->on->is_connected, false);
    parts_->on->server->set_shortest_lease(with_machine([&](machine& m, time_point now) {
        if (was_connected)
            m.disconnected(now);
        if (reason == boost::system::errc::permission_denied)
            m.refused();
        return m.shortest_lease();
    }));
    look();
}

inline void client_state::replied(std::vector<reply> replies) {
    const client_pointer self(this);
    for (const reply& r : replies) {
        if (r.failed != failure::none)
            log(r.text);
    }
    with_machine([&](machine& m, time_point now) { m.replied(std::move(replies), now); });
    look();
}

inline void client_state::pushed(const push& p) {
    const client_pointer self(this);
    with_machine([&](machine& m, time_point now) { m.pushed(p, now); });
    look();
}

inline void client_state::failed() noexcept {
    parts_->on->has_failed = true;
    wake();
}

inline void client_state::log(std::string_view text) {
    // The user may destroy what the log writes to together with the client object.
    if (!log_ || is_ended_)
        return;
    BOOST_TRY {
        log_(text);
    }
    BOOST_CATCH(...) {
        // The client goes on; the exception leaves the function that runs the context.
        asio::post(parts_->on->strand, [error = std::current_exception()] {
            std::rethrow_exception(error);
        });
    }
    BOOST_CATCH_END
}

} // namespace asio_semaphore::detail::fleet
