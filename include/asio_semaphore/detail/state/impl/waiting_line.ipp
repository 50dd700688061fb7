// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <asio_semaphore/detail/state/waiting_line.hpp>

#include <asio_semaphore/detail/state/impl/alarm.ipp>
#include <asio_semaphore/detail/state/impl/cancellation_link.ipp>
#include <asio_semaphore/detail/state/impl/state_registry.ipp>

#include <boost/config.hpp>

#include <memory>
#include <mutex>
#include <utility>

namespace asio_semaphore::detail {

template <typename Threads>
waiting_line<Threads>::waiting_line(boost::intrusive_ptr<registry_type> registry) noexcept :
    registry_(std::move(registry)) {}

template <typename Threads>
waiting_line<Threads>::~waiting_line() = default;

template <typename Threads>
BOOST_FORCEINLINE bool
waiting_line<Threads>::may_join(const waiter_type& w, bool is_alarmed) const noexcept {
    return !w.is_timed || is_alarmed ||
           (alarm_ != nullptr && alarm_->provides_for(static_cast<const timed_waiter_type&>(w).at));
}

template <typename Threads>
BOOST_FORCEINLINE void waiting_line<Threads>::stand_last(waiter_type& w) noexcept {
    queue_.push_back(w);
    if (holder_ == nullptr) {
        let_hold_work(w);
        holder_ = &w;
    }
}

template <typename Threads>
BOOST_FORCEINLINE void waiting_line<Threads>::join(waiter_type& w) noexcept {
    stand_last(w);
    if (w.is_timed)
        alarm_->deadlines_.insert(static_cast<timed_waiter_type&>(w));
    // relaxed, both: the mutex orders them.
    waiting_.store(waiting_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    if (w.link != nullptr)
        w.link->is_queued_ = true;
}

template <typename Threads>
waiting_line<Threads>::section::section(waiting_line& line) noexcept : line_(line) {
    line.mutex_.lock();
    waiting_before_ = line.waiting();
}

// Every hand-over passes through the functions that are forced inline here and below.
template <typename Threads>
BOOST_FORCEINLINE waiting_line<Threads>::section::~section() {
    if (taken.empty()) {
        line_.mutex_.unlock();
        return;
    }
    waiter_type& last = taken.back();
    submission* const outer = Threads::template thread_pointer<submission>();
    const bool is_idle = line_.alarm_ != nullptr && line_.alarm_->is_idle();
    // An outer submission may submit these waiters only after this thread has left the executor's
    // function that it is running now.
    if (is_idle || outer != nullptr || last.holds_work || counted_ != 0 || !last.is_inside()) {
        last.then = is_idle ? ends::section_and_alarm : ends::section;
        let_hold_work(last);
        count(one_section);
    } else {
        count(0);
    }
    line_.mutex_.unlock();
    // An executor may drop or run a submitted function right here, and so give back permits of any
    // semaphore. Waiters granted by that join the list that is already being submitted, so the
    // stack does not grow with the number of waiters.
    if (outer != nullptr)
        outer->rest->append(taken);
    else
        submit_all(std::move(taken));
}

// Adds a reference for each waiter taken in this critical section, and counts the section itself.
template <typename Threads>
BOOST_FORCEINLINE void waiting_line<Threads>::section::count(std::uint64_t sections) noexcept {
    // relaxed: until here, the caller's own reference keeps the state alive, and a thread that has
    // to wait for the section passes the mutex first.
    line_.lifetime_.fetch_add(
        waiting_before_ - line_.waiting() + sections - counted_, std::memory_order_relaxed);
    counted_ = sections;
}

template <typename Threads>
BOOST_NOINLINE void waiting_line<Threads>::section::let_others_in() noexcept {
    let_hold_work(taken.back());
    count(one_section);
    line_.mutex_.let_others_in();
    waiting_before_ = line_.waiting();
}

template <typename Threads>
void waiting_line<Threads>::submit_all(taken_type taken) noexcept {
    submission*& current = Threads::template thread_pointer<submission>();
    submission here{&taken, nullptr, current};
    current = &here;
    while (!taken.empty()) {
        waiter_type& w = taken.pop_front();
        const ends then = w.then;
        here.section_of = then != ends::nothing ? w.state : nullptr;
        w.submit(); // w and the semaphore object may be gone now
        if (then != ends::nothing)
            here.section_of->end_section(then);
    }
    current = here.outer;
}

template <typename Threads>
BOOST_FORCEINLINE void waiting_line<Threads>::end_section(ends what) noexcept {
    if (what == ends::section_and_alarm)
        alarm_->try_post();
    drop(one_section);
}

template <typename Threads>
BOOST_FORCEINLINE outcome waiting_line<Threads>::ends_at_once(const waiter_type& w) const noexcept {
    if (phase_ != phase::open)
        return why_not();
    return is_cancelled(w) ? outcome::aborted : outcome::queued;
}

template <typename Threads>
outcome waiting_line<Threads>::why_not() const noexcept {
    switch (phase_) {
    case phase::shut:
        return outcome::abandoned;
    case phase::destroyed:
        return outcome::aborted;
    default:
        return outcome::closed;
    }
}

template <typename Threads>
BOOST_FORCEINLINE void
waiting_line<Threads>::take(waiter_type& w, outcome result, taken_type& taken) noexcept {
    queue_type::remove(w);
    // relaxed, both: the mutex orders them.
    waiting_.store(waiting_.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
    link_type* const link = w.link;
    w.state = this;
    w.result = result;
    taken.push_back(w);
    if (holder_ == &w)
        pass_work_on();
    if (w.is_timed)
        leave_alarm(static_cast<timed_waiter_type&>(w));
    let_go(link);
}

template <typename Threads>
BOOST_FORCEINLINE void waiting_line<Threads>::let_go(link_type* link) noexcept {
    // release: the last access to the link; the link's destructor may free it as soon as it reads
    // the null [grant_and_end_of_the_link].
    if (link != nullptr)
        link->target_.store(nullptr, std::memory_order_release);
}

template <typename Threads>
void waiting_line<Threads>::detach(waiter_type& w) noexcept {
    std::lock_guard<typename Threads::mutex> lock(mutex_);
    let_go(std::exchange(w.link, nullptr));
}

template <typename Threads>
void waiting_line<Threads>::take_out(waiter_type& w, outcome result, taken_type& taken) noexcept {
    leaves(w, result);
    take(w, result, taken);
}

template <typename Threads>
auto waiting_line<Threads>::overdue(time_point now) const noexcept -> timed_waiter_type* {
    return alarm_ != nullptr ? alarm_->overdue(now) : nullptr;
}

template <typename Threads>
BOOST_NOINLINE void waiting_line<Threads>::leave_alarm(timed_waiter_type& w) noexcept {
    alarm_->deadlines_.remove(w);
}

// Passes the work to the last waiter, so that in a queue that never empties it is passed on only
// once per round.
template <typename Threads>
BOOST_NOINLINE void waiting_line<Threads>::pass_work_on() noexcept {
    holder_ = queue_.empty() ? nullptr : &queue_.back();
    if (holder_ != nullptr)
        let_hold_work(*holder_);
}

// Calls hold_work under the mutex: it only increments a counter of one of Asio's own executors.
template <typename Threads>
BOOST_FORCEINLINE void waiting_line<Threads>::let_hold_work(waiter_type& w) noexcept {
    if (!w.holds_work) {
        w.hold_work();
        w.holds_work = true;
    }
}

template <typename Threads>
std::size_t
waiting_line<Threads>::take_some(queue_type& queue, outcome result, taken_type& taken) noexcept {
    const std::size_t before = waiting();
    for (int n = 0; n < Threads::at_a_time && !queue.empty(); ++n) {
        waiter_type& w = queue.front();
        if (outlasts(w, result)) {
            queue_type::remove(w);
            stand_last(w);
        } else {
            take_out(w, result, taken);
        }
    }
    return before - waiting();
}

// Moves the present waiters out of queue_ at once. Until its turn comes, each of them can still be
// cancelled or time out.
template <typename Threads>
std::size_t waiting_line<Threads>::end(phase p, outcome result) noexcept {
    std::size_t ended = 0;
    queue_type ending;
    section here(*this);
    if (phase_ == phase::shut)
        return ended;
    const bool is_new = phase_ < p;
    if (is_new)
        phase_ = p;
    if (!queue_.empty())
        ending.take(queue_);
    else if (!is_new)
        return ended;
    bar();
    while (!ending.empty()) {
        ended += take_some(ending, result, here.taken);
        if (!ending.empty() && !here.taken.empty())
            here.let_others_in();
    }
    unbar(here.taken);
    return ended;
}

template <typename Threads>
void waiting_line<Threads>::cancel(link_type& link) noexcept {
    section here(*this);
    link.fired_ = true;
    // relaxed: written under the mutex only.
    waiter_type* const w = link.target_.load(std::memory_order_relaxed);
    if (w != nullptr && link.is_queued_ && phase_ != phase::shut) {
        take_out(*w, outcome::aborted, here.taken);
        make_way(here.taken);
    }
}

template <typename Threads>
void waiting_line<Threads>::disarm(link_type& link) noexcept {
    std::lock_guard<typename Threads::mutex> lock(mutex_);
    // relaxed: written under the mutex only.
    if (waiter_type* const w = link.target_.load(std::memory_order_relaxed)) {
        w->link = nullptr;
        w->was_cancelled = link.fired_;
    }
}

template <typename Threads>
auto waiting_line<Threads>::find_alarm() noexcept -> alarm_type* {
    std::lock_guard<typename Threads::mutex> lock(mutex_);
    return alarm_.get();
}

template <typename Threads>
void waiting_line<Threads>::install_alarm(std::unique_ptr<alarm_type> made) noexcept {
    std::lock_guard<typename Threads::mutex> lock(mutex_);
    if (alarm_ == nullptr && phase_ != phase::shut)
        alarm_.swap(made);
}

template <typename Threads>
void waiting_line<Threads>::shut() noexcept {
    std::lock_guard<typename Threads::mutex> lock(mutex_);
    phase_ = phase::shut;
    // The queue stays as it is, for abandon_queue; no other call serves it.
    bar();
}

// A handler that its executor drops inside submit_all may destroy a context. So this thread first
// submits the remaining waiters of that submit_all. await_sections does not wait for the submission
// that this thread is in the middle of.
template <typename Threads>
void waiting_line<Threads>::submit_rest() noexcept {
    if (submission* const current = Threads::template thread_pointer<submission>())
        submit_all(std::move(*current->rest));
}

template <typename Threads>
void waiting_line<Threads>::await_sections() const noexcept {
    std::uint64_t own = 0;
    for (auto* s = Threads::template thread_pointer<submission>(); s != nullptr; s = s->outer)
        own += s->section_of == this ? one_section : 0;
    own += times_in_executor_here() * one_section;
    // acquire: the submissions happened before what is destroyed next, and before the destruction
    // of the context [grant_and_shutdown].
    for (unsigned looks = 0; lifetime_.load(std::memory_order_acquire) >= own + one_section;
         ++looks)
        Threads::back_off(looks);
}

template <typename Threads>
void waiting_line<Threads>::shut_alarm() noexcept {
    if (alarm_type* const alarm = find_alarm())
        alarm->shut();
}

template <typename Threads>
void waiting_line<Threads>::abandon_queue(taken_type& abandoned) noexcept {
    std::lock_guard<typename Threads::mutex> lock(mutex_);
    for (;;) {
        const std::size_t n = take_some(queue_, outcome::abandoned, abandoned);
        // relaxed: the caller holds a reference.
        lifetime_.fetch_add(n, std::memory_order_relaxed);
        if (queue_.empty())
            return;
        mutex_.let_others_in();
    }
}

template <typename Threads>
bool waiting_line<Threads>::try_add_reference() noexcept {
    for (;;) {
        // relaxed: if the last reference is already gone, the shutdown waits for the destruction.
        auto lifetime = lifetime_.load(std::memory_order_relaxed);
        if (lifetime == 0)
            return false;
        // relaxed: the caller holds the mutex of the registry, which lists the state.
        if (lifetime_.compare_exchange_weak(
                lifetime, lifetime + 1, std::memory_order_relaxed, std::memory_order_relaxed))
            return true;
    }
}

template <typename Threads>
std::uint64_t waiting_line<Threads>::times_in_executor_here() const noexcept {
    std::uint64_t times = 0;
    for (const auto* i = in_executor::innermost(); i != nullptr; i = i->outer)
        times += i->of == this ? 1 : 0;
    return times;
}

// The alarm uses the context, so it is destroyed while the line is still listed. What the derived
// class owns, such as the user's functions, is destroyed afterwards: it may destroy the context, or
// wait for a thread that does.
template <typename Threads>
BOOST_NOINLINE void waiting_line<Threads>::destroy() noexcept {
    {
        in_executor here;
        here.of = this;
        alarm_.reset();
    }
    registry_->erase(*this);
    delete this;
}

} // namespace asio_semaphore::detail
