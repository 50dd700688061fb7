// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <asio_semaphore/detail/state/admission_line.hpp>

#include <asio_semaphore/detail/state/impl/waiting_line.ipp>

#include <boost/config.hpp>

#include <algorithm>
#include <cstddef>
#include <mutex>
#include <utility>
#include <vector>

namespace asio_semaphore::detail {

template <typename Threads>
admission_line<Threads>::admission_line(
    std::ptrdiff_t limit, limiter_options options, boost::intrusive_ptr<registry_type> registry) :
    line(std::move(registry)), options_(std::move(options)), requests_(options_.max_per_key) {
    requests_.set_newest_first(options_.order == queue_order::lifo);
    set_whole(static_cast<double>(limit));
}

template <typename Threads>
admission_line<Threads>::~admission_line() = default;

template <typename Threads>
double admission_line<Threads>::limit() const noexcept {
    std::lock_guard<typename Threads::mutex> lock(mutex_);
    return limit_;
}

template <typename Threads>
std::ptrdiff_t admission_line<Threads>::in_flight() const noexcept {
    std::lock_guard<typename Threads::mutex> lock(mutex_);
    return in_flight_;
}

template <typename Threads>
std::size_t admission_line<Threads>::waiting() const noexcept {
    std::lock_guard<typename Threads::mutex> lock(mutex_);
    return requests_.size();
}

template <typename Threads>
bool admission_line<Threads>::is_open() const noexcept {
    std::lock_guard<typename Threads::mutex> lock(mutex_);
    return phase_ == phase::open;
}

template <typename Threads>
bool admission_line<Threads>::fits(int priority, std::ptrdiff_t weight) const noexcept {
    return weight <= allowed_[static_cast<std::size_t>(priority)] - in_flight_ || running_ == 0;
}

template <typename Threads>
bool admission_line<Threads>::is_standing(time_point now) const noexcept {
    return !requests_.empty() && now - empty_until_ >= options_.max_wait;
}

// Whether the newest come first from now on.
template <typename Threads>
BOOST_FORCEINLINE bool admission_line<Threads>::turns(time_point now) const noexcept {
    return options_.order == queue_order::adaptive && !requests_.newest_first() && is_standing(now);
}

template <typename Threads>
place admission_line<Threads>::admit(
    key_record& record, std::ptrdiff_t weight, int priority, time_point now,
    duration wait) noexcept {
    requests_.hold(record, weight);
    return note_admitted(record, weight, priority, now, wait);
}

template <typename Threads>
BOOST_FORCEINLINE place admission_line<Threads>::note_admitted(
    key_record& record, std::ptrdiff_t weight, int priority, time_point now,
    duration wait) noexcept {
    in_flight_ += weight;
    ++running_;
    peak_ = std::max(peak_, in_flight_);
    bound_ = bound_ || in_flight_ >= whole_;
    counts_.admit(priority, wait);
    return {&record, weight, now, epoch_};
}

template <typename Threads>
void admission_line<Threads>::grant(
    admission_waiter_type& w, time_point now, taken_type& taken) noexcept {
    forget(w);
    w.take(admit(*w.record, w.weight, w.priority(), now, now - w.since));
    counts_.grant(now);
    this->take(w, outcome::granted, taken);
}

template <typename Threads>
void admission_line<Threads>::forget(queued_request& r) noexcept {
    requests_.remove(r);
    note_queued();
    if (requests_.empty() && options_.order == queue_order::adaptive)
        requests_.set_newest_first(false);
}

template <typename Threads>
void admission_line<Threads>::leave(key_record& record) noexcept {
    if (requests_.leave(record))
        records_.put(record);
}

// The only place where waiters are granted. Called whenever the candidate may have changed, or may
// fit now.
template <typename Threads>
void admission_line<Threads>::settle(time_point now, taken_type& taken) noexcept {
    if (phase_ == phase::shut)
        return;
    if (phase_ == phase::open && ends_ == 0) {
        if (turns(now))
            requests_.set_newest_first(true);
        while (queued_request* const first = requests_.candidate()) {
            auto& w = static_cast<admission_waiter_type&>(*first);
            if (w.is_timed && w.at <= now) {
                this->take_out(w, w.at_deadline, taken);
            } else if (fits(w.priority(), w.weight)) {
                grant(w, now, taken);
            } else {
                bound_ = true;
                break;
            }
        }
    }
    if (is_idle())
        let_idle_ones_go(taken);
}

// Whether time has changed what the queue decides: a waiter is overdue, or the newest come first
// from now on. With `never`: whether any time can change that. If nobody waits, `now` may be unset.
template <typename Threads>
BOOST_FORCEINLINE bool admission_line<Threads>::has_changed(time_point now) const noexcept {
    return this->overdue(now) != nullptr || turns(now);
}

// The limit holds the candidate back. The next sample says so, even if an arrival overtakes the
// candidate.
template <typename Threads>
BOOST_FORCEINLINE void admission_line<Threads>::note_candidate() noexcept {
    if (requests_.candidate() != nullptr)
        bound_ = true;
}

// Called when a request arrives.
template <typename Threads>
BOOST_FORCEINLINE void
admission_line<Threads>::let_time_pass(time_point now, taken_type& taken) noexcept {
    if (has_changed(now))
        settle(now, taken);
    note_candidate();
}

// While the limiter is idle, no request waits for admission, so every waiter in the line waits for
// an idle limiter. @pre is_idle()
template <typename Threads>
void admission_line<Threads>::let_idle_ones_go(taken_type& taken) noexcept {
    while (!queue_.empty())
        this->take(queue_.front(), outcome::granted, taken);
}

template <typename Threads>
void admission_line<Threads>::unbar(taken_type& taken) noexcept {
    --ends_;
    make_way(taken);
}

template <typename Threads>
bool admission_line<Threads>::outlasts(const waiter_type& w, outcome) const noexcept {
    return w.count == 0 && phase_ < phase::destroyed;
}

template <typename Threads>
void admission_line<Threads>::leaves(waiter_type& w, outcome result) noexcept {
    if (w.count == 0) // it waits for an idle limiter
        return;
    auto& request = static_cast<admission_waiter_type&>(w);
    forget(request);
    leave(*request.record);
    counts_.refuse(request.priority(), result);
}

template <typename Threads>
void admission_line<Threads>::make_way(taken_type& taken) noexcept {
    settle(requests_.empty() ? unset : Threads::now(), taken);
}

template <typename Threads>
BOOST_FORCEINLINE void
admission_line<Threads>::give_back(const place& p, time_point now, taken_type& taken) noexcept {
    in_flight_ -= p.weight;
    --running_;
    if (requests_.is_plain())
        requests_.give_back_plainly(p.weight);
    else
        give_back_share(p, now);
    if (line::waiting() != 0)
        settle(now, taken);
}

template <typename Threads>
void admission_line<Threads>::give_back_share(const place& p, time_point now) noexcept {
    const std::ptrdiff_t ticks = p.since == unset ? 1 : (now - p.since).count();
    requests_.give_back(
        *p.record, p.weight,
        static_cast<double>(ticks > 1 ? ticks : 1) * static_cast<double>(p.weight));
    leave(*p.record);
}

template <typename Threads>
void admission_line<Threads>::set_whole(double limit) noexcept {
    const auto whole = [](double x) {
        constexpr double huge = static_cast<double>(max() / 2);
        return x < huge ? std::max<std::ptrdiff_t>(static_cast<std::ptrdiff_t>(x), 1) : max();
    };
    limit_ = limit;
    whole_ = whole(limit);
    for (std::size_t p = 0; p < allowed_.size(); ++p) {
        // A share of a limit that should be a whole number may be slightly less as a double.
        constexpr double rounding = 1e-9;
        const double share = options_.share[p];
        allowed_[p] = share < 1 ? std::min(whole(limit * share + rounding), whole_) : whole_;
    }
}

template <typename Threads>
std::vector<key_usage> admission_line<Threads>::busiest_keys(std::size_t most) const {
    std::vector<key_usage> usages;
    for (std::size_t keys = 16;; keys *= 2) {
        usages.reserve(keys);
        std::lock_guard<typename Threads::mutex> lock(mutex_);
        keys = std::max(keys, requests_.keys());
        if (requests_.keys() > usages.capacity())
            continue;
        requests_.for_each_key([&](const key_record& record) {
            usages.push_back({record.key(), record.held(), record.waiting()});
        });
        break;
    }
    const auto is_busier = [](const key_usage& a, const key_usage& b) {
        return a.in_flight != b.in_flight ? a.in_flight > b.in_flight : a.waiting > b.waiting;
    };
    const auto end = usages.begin() + static_cast<std::ptrdiff_t>(std::min(most, usages.size()));
    std::partial_sort(usages.begin(), end, usages.end(), is_busier);
    usages.erase(end, usages.end());
    return usages;
}

} // namespace asio_semaphore::detail
