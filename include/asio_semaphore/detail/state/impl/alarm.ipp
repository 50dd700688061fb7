// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <asio_semaphore/detail/state/alarm.hpp>
#include <asio_semaphore/detail/state/waiting_line.hpp>

#include <boost/core/no_exceptions_support.hpp>

#include <mutex>

namespace asio_semaphore::detail {

template <typename Threads>
void alarm<Threads>::post_if_open() {
    typename state_type::in_executor here;
    {
        std::lock_guard<typename Threads::mutex> lock(state_.mutex_);
        if (is_shut())
            return;
        here.of = &state_;
        // relaxed: as in section::count.
        state_.lifetime_.fetch_add(state_type::one_section, std::memory_order_relaxed);
    }
    struct until_posted {
        state_type& line;
        ~until_posted() { line.drop(state_type::one_section); }
    } const ends{state_};
    post();
}

template <typename Threads>
void alarm<Threads>::try_post() noexcept {
    BOOST_TRY {
        post_if_open();
    }
    BOOST_CATCH(...) {}
    BOOST_CATCH_END
}

template <typename Threads>
alarm<Threads>::expectation::expectation(alarm& a, time_point deadline) noexcept : alarm_(a) {
    std::lock_guard<typename Threads::mutex> lock(a.state_.mutex_);
    ++a.expected_;
    if (deadline < a.wanted_)
        a.wanted_ = deadline;
}

template <typename Threads>
alarm<Threads>::expectation::~expectation() {
    bool is_idle;
    {
        std::lock_guard<typename Threads::mutex> lock(alarm_.state_.mutex_);
        if (--alarm_.expected_ == 0)
            alarm_.wanted_ = never;
        is_idle = alarm_.is_idle();
    }
    if (is_idle)
        alarm_.try_post();
}

template <typename Threads>
void alarm<Threads>::expectation::post() const {
    alarm_.post_if_open();
}

template <typename Threads>
void alarm<Threads>::posted() noexcept {
    std::lock_guard<typename Threads::mutex> lock(state_.mutex_);
    ++posted_;
}

template <typename Threads>
void alarm<Threads>::dropped() noexcept {
    std::lock_guard<typename Threads::mutex> lock(state_.mutex_);
    --posted_;
}

template <typename Threads>
bool alarm<Threads>::claim() noexcept {
    std::lock_guard<typename Threads::mutex> lock(state_.mutex_);
    --posted_; // if the executor is quick, posted() comes later
    return claim_locked();
}

template <typename Threads>
bool alarm<Threads>::claim_locked() noexcept {
    if (is_claimed_ || is_shut())
        return false;
    is_claimed_ = true;
    // A shutdown of the context waits for the thread that touches the timer. relaxed: as in
    // section::count.
    state_.lifetime_.fetch_add(state_type::one_section, std::memory_order_relaxed);
    return true;
}

template <typename Threads>
bool alarm<Threads>::next(time_point& at) noexcept {
    {
        std::lock_guard<typename Threads::mutex> lock(state_.mutex_);
        const time_point earliest = deadlines_.earliest();
        at = wanted_ < earliest ? wanted_ : earliest;
        // A timer set for an earlier time stays set: it fires for nothing, and is then set again.
        const bool changes = at < set_for_ || (at == never && set_for_ != never);
        if (changes && !is_shut()) {
            set_for_ = at;
            return true;
        }
        is_claimed_ = false;
    }
    state_.drop(state_type::one_section);
    return false;
}

template <typename Threads>
void alarm<Threads>::failed() noexcept {
    {
        std::lock_guard<typename Threads::mutex> lock(state_.mutex_);
        set_for_ = never;
        is_claimed_ = false;
    }
    state_.drop(state_type::one_section);
}

template <typename Threads>
bool alarm<Threads>::expire(time_point now) noexcept {
    typename state_type::in_executor claim; // until the submissions have ended
    typename state_type::section here(state_);
    // If set_for_ is later, an older setting has fired, and the timer will fire once more.
    if (set_for_ <= now)
        set_for_ = never;
    if (is_shut())
        return false;
    const bool is_claimed = claim_locked();
    if (is_claimed)
        claim.of = &state_;
    while (!deadlines_.empty() && deadlines_.first().at <= now) {
        for (int n = 0; n < Threads::at_a_time; ++n) {
            if (deadlines_.empty() || deadlines_.first().at > now)
                break;
            auto& w = static_cast<timed_waiter<Threads>&>(deadlines_.first());
            state_.take_out(w, w.at_deadline, here.taken);
        }
        state_.make_way(here.taken);
        if (!here.taken.empty() && !deadlines_.empty() && deadlines_.first().at <= now)
            here.let_others_in();
    }
    return is_claimed;
}

} // namespace asio_semaphore::detail
