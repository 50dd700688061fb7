// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <asio_semaphore/detail/fleet/limit_line.hpp>

#include <mutex>
#include <utility>

namespace asio_semaphore::detail::fleet {

inline request_waiter::request_waiter(
    lease_pointer request, detail::time_point deadline, bool works) noexcept :
    timed_waiter<threads>(request->count(), deadline, works), asking(std::move(request)) {
    is_timed = deadline != detail::never;
}

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
    return own == outcome::queued && !client_->is_open() ? outcome::closed : own;
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
    line_pointer left; // not the last reference, as in finish
    const outcome started = client_->with_machine([&](machine& m, time_point now) {
        const outcome how = m.start(*limit_, *w.asking, now);
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
    // Null if the operation has left; then its permit, if any, has already been given back.
    auto* const w = static_cast<request_waiter*>(request.user);
    if (w == nullptr || phase_ == phase::shut)
        return;
    request.user = nullptr;
    // Never the last reference, here and in leaves, since the caller has one.
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

} // namespace asio_semaphore::detail::fleet
