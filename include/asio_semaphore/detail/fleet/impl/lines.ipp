#pragma once

#include <asio_semaphore/detail/fleet/lines.hpp>

#include <asio_semaphore/detail/operation/executors.hpp>
#include <asio_semaphore/detail/operation/semaphore_service.hpp>

#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/system_executor.hpp>
#include <boost/core/no_exceptions_support.hpp>
#include <boost/system/errc.hpp>

#include <chrono>
#include <random>
#include <utility>

namespace asio_semaphore::detail::fleet {

inline boost::system::error_code to_error_code(outcome result) noexcept {
    switch (result) {
    case outcome::lost:
        return fleet_error::lost;
    case outcome::limit_mismatch:
        return fleet_error::limit_mismatch;
    case outcome::unreachable:
        return fleet_error::unreachable;
    case outcome::rejected:
        return fleet_error::rejected;
    case outcome::clustered:
        return fleet_error::clustered;
    case outcome::incompatible:
        return fleet_error::incompatible;
    default:
        return detail::to_error_code(result);
    }
}

inline request_waiter::request_waiter(
    lease_pointer request, detail::time_point deadline, bool works) noexcept :
    timed_waiter<threads>(request->count(), deadline, works), asking(std::move(request)) {
    is_timed = deadline != detail::never;
}

// A lease.

inline lease::lease(purpose what, std::ptrdiff_t n, line_pointer from, client_pointer client) :
    ticket(what, n),
    fleet_line(client->registry()),
    client_(std::move(client)),
    from_(std::move(from)) {
    enlist();
}

inline void lease::give_back() noexcept {
    abort();
    client_->with_machine([this](machine& m, time_point now) { m.give_back(*this, false, now); });
    client_->wake();
}

inline outcome lease::enqueue_wait(waiter_type& w) noexcept {
    std::lock_guard<threads::mutex> lock(mutex_);
    const outcome result = ends_at_once(w);
    if (result != outcome::queued)
        return result;
    // A client that closes is about to tell how this one has ended.
    if (!is_valid(clock::now()) && !client_->is_closed())
        return outcome::closed;
    join(w);
    return outcome::queued;
}

inline outcome lease::enqueue_release(waiter_type& w) {
    abort();
    std::lock_guard<threads::mutex> lock(mutex_);
    if (phase_ == phase::shut)
        return outcome::abandoned;
    const bool waits = client_->with_machine([&](machine& m, time_point now) {
        // Of a client that has ended the machine tells nothing any more.
        const bool is_told = !is_cancelled(w) && !client_->is_ended();
        m.give_back(*this, is_told, now);
        return is_told;
    });
    if (!waits)
        return is_cancelled(w) ? outcome::aborted : outcome::closed;
    join(w);
    releasing_ = &w;
    return outcome::queued;
}

inline void lease::leaves(waiter_type& w, outcome) noexcept {
    if (releasing_ == &w)
        releasing_ = nullptr;
}

inline bool lease::outlasts(const waiter_type& w, outcome result) const noexcept {
    return releasing_ == &w && result != outcome::abandoned;
}

inline void lease::tell(const event& e) noexcept {
    switch (e.what) {
    case event::lost:
        if (e.how == outcome::aborted)
            abort();
        else
            close();
        break;
    case event::released:
        finish_release(e.how);
        break;
    default:
        if (const line_pointer from =
                client_->with_machine([this](machine&, time_point) { return from_; }))
            from->finish(*this, e);
    }
}

inline void lease::finish_release(outcome how) noexcept {
    section here(*this);
    if (phase_ != phase::shut && releasing_ != nullptr)
        take(*std::exchange(releasing_, nullptr), how, here.taken);
}

// An object's line.

inline limit_line::limit_line(
    boost::intrusive_ptr<registry_type> registry, client_pointer client, std::string_view name,
    std::ptrdiff_t permits, const fleet_options& options) :
    fleet_line(std::move(registry)),
    client_(std::move(client)),
    limit_(&client_->with_machine([&](machine& m, time_point) -> limit& {
        return m.open(name, permits, options, is_mismatch_);
    })) {
    enlist();
}

inline outcome limit_line::state() const noexcept {
    const outcome own = state_;
    return own == outcome::queued && (client_->is_closed() || client_->is_ended()) ? outcome::closed
                                                                                   : own;
}

inline bool limit_line::is_open() const noexcept {
    return state() == outcome::queued;
}

inline std::ptrdiff_t limit_line::permits() const noexcept {
    return client_->with_machine([this](machine& m, time_point) { return m.permits_of(*limit_); });
}

inline std::size_t limit_line::waiting_here() const noexcept {
    return client_->with_machine([this](machine& m, time_point) { return m.waiting_in(*limit_); });
}

inline fleet_statistics limit_line::statistics() const {
    return client_->with_machine([this](machine& m, time_point) { return m.counts_of(*limit_); });
}

inline outcome limit_line::enqueue(request_waiter& w, bool is_alarmed) {
    std::lock_guard<threads::mutex> lock(mutex_);
    const outcome result = ends_at_once(w);
    if (result != outcome::queued)
        return result;
    if (is_mismatch_)
        return outcome::limit_mismatch;
    if (!may_join(w, is_alarmed))
        return outcome::unalarmed;
    line_pointer left; // as in finish
    const outcome started = client_->with_machine([&](machine& m, time_point now) {
        const outcome how =
            client_->is_ended() ? outcome::closed : m.start(*limit_, *w.asking, now);
        if (how != outcome::queued)
            left = std::move(w.asking->from_);
        return how;
    });
    if (started != outcome::queued)
        return started;
    w.asking->user = &w;
    join(w);
    return outcome::queued;
}

inline void limit_line::end() noexcept {
    abort();
    client_->with_machine([this](machine& m, time_point now) { m.close(*limit_, now); });
    client_->wake();
}

inline void limit_line::finish(lease& request, const event& e) noexcept {
    section here(*this);
    // Null where the operation has left; then whatever it was granted has gone back.
    auto* const w = static_cast<request_waiter*>(request.user);
    if (w == nullptr || phase_ == phase::shut)
        return;
    request.user = nullptr;
    // Never the last, here and in leaves: the caller has a reference.
    const line_pointer left =
        client_->with_machine([&](machine&, time_point) { return std::move(request.from_); });
    w->status = e.status;
    take(*w, e.how, here.taken);
}

inline void limit_line::bar() noexcept {
    state_ = phase_ == phase::open ? outcome::queued : why_not();
}

inline void limit_line::leaves(waiter_type& w, outcome result) noexcept {
    lease& request = *static_cast<request_waiter&>(w).asking;
    request.user = nullptr;
    const line_pointer left = client_->with_machine([&](machine& m, time_point now) {
        if (!m.withdraw(request, now, result))
            m.give_back(request, false, now);
        return std::move(request.from_);
    });
}

// The client.

/// What of the client lives on its executor's context, and goes with that at the latest. The line
/// owns it as its alarm, although nobody there waits for a time.
class client_state::parts final : public alarm<threads> {
public:
    explicit parts(client_state& client) : alarm<threads>(client), client_(client) {}

    struct connection {
        explicit connection(const executor_type& executor) : strand(executor), timer(strand) {}

        strand_type strand;
        asio::steady_timer timer;
        time_point timer_is_set_for = time_point::max();
        std::shared_ptr<store> server;
        client_pointer started; // the client itself, while the store may call it
        bool is_connected = false;
    };

    void post() override {}
    void shut() noexcept override {
        for (int looks = 0; client_.waking_ != 0; ++looks)
            threads::back_off(looks);
        // The client may go with what refers to it.
        const std::optional<connection> last = std::move(on);
        on.reset();
        const auto executor = client_.take_executor();
    }

    std::optional<connection> on; // until the context goes; used on the strand, but for wake

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
    if (is_shut_) // made while its context goes
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
            is_woken_ = false; // whoever comes next tries again
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
    tell_all(with_machine([](machine& m, time_point) {
        m.abandon();
        return m.take_events();
    }));
    wake();
}

inline void client_state::tell_all(const std::vector<event>& events) noexcept {
    for (const event& e : events)
        static_cast<lease&>(*e.of).tell(e);
}

inline void client_state::look() {
    // First: what comes from here on has another look.
    is_woken_ = false;
    look_at_run();
    auto& on = *parts_->on;
    std::vector<call> calls;
    std::vector<event> events;
    std::uint64_t connection;
    time_point now, at;
    bool is_done;
    {
        std::lock_guard<std::mutex> lock(machine_mutex_);
        now = clock::now();
        if (machine_.next_time() <= now)
            machine_.on_time(now);
        if (on.is_connected && machine_.has_calls(now))
            calls = machine_.next_calls(now);
        connection = machine_.connection();
        at = machine_.next_time();
        events = machine_.take_events();
        is_done = is_closing_ && machine_.is_empty();
    }
    if (!calls.empty())
        on.server->send(std::move(calls), connection);
    if (at != on.timer_is_set_for) {
        on.timer_is_set_for = at;
        if (at == time_point::max()) {
            on.timer.cancel();
        } else {
            on.timer.expires_after(at - now);
            on.timer.async_wait([self = client_pointer(this)](const boost::system::error_code& ec) {
                if (ec)
                    return;
                self->parts_->on->timer_is_set_for = time_point::max();
                self->look();
            });
        }
    }
    tell_all(events);
    if (is_done)
        finish_all();
}

inline void client_state::look_at_run() {
    auto& on = *parts_->on;
    const bool is_wanted = is_run_ && !is_ended_;
    if (is_wanted && !on.started) {
        on.started = client_pointer(this);
        on.server->set_shortest_lease(with_machine([](machine& m, time_point now) {
            m.running(now);
            return m.shortest_lease();
        }));
        on.server->start(*this);
    } else if (!is_wanted && on.started) {
        on.server->stop();
        on.started.reset(); // the caller has another reference
        if (std::exchange(on.is_connected, false))
            with_machine([](machine& m, time_point now) { m.disconnected(now); });
    }
}

inline void client_state::finish_all() noexcept {
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

inline void client_state::log(std::string_view text) {
    // What it writes to may have gone with the client object.
    if (log_ && !is_ended_)
        log_(text);
}

} // namespace asio_semaphore::detail::fleet
