// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <asio_semaphore/detail/fleet/lease.hpp>
#include <asio_semaphore/detail/fleet/limit_line.hpp>

#include <mutex>
#include <utility>

namespace asio_semaphore::detail::fleet {

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
    // A client that is closing is about to report how this lease has ended.
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
        // The machine of a client that has ended no longer reports anything.
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

} // namespace asio_semaphore::detail::fleet
