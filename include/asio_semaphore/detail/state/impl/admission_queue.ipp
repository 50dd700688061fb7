// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <asio_semaphore/detail/state/admission_queue.hpp>

#include <asio_semaphore/limiter/admission_request.hpp>

#include <boost/assert.hpp>

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>

namespace asio_semaphore::detail {

// ---- backlog

ASIO_SEMAPHORE_DECL std::uint64_t backlog::rank(const request& r) noexcept {
    return detail::mixed(r.stamp_);
}

ASIO_SEMAPHORE_DECL void backlog::weigh(request& r) noexcept {
    r.lightest_ = r.weight;
    for (const request* below : {r.left_, r.right_}) {
        if (below != nullptr)
            r.lightest_ = std::min(r.lightest_, below->lightest_);
    }
}

ASIO_SEMAPHORE_DECL queued_request*
backlog::first_within(std::ptrdiff_t room, bool newest_first) const noexcept {
    const auto has_one = [room](const request* tree) {
        return tree != nullptr && tree->lightest_ <= room;
    };
    if (!has_one(top_))
        return nullptr;
    for (request* r = top_;;) {
        request* const sooner = newest_first ? r->right_ : r->left_;
        if (has_one(sooner))
            r = sooner;
        else if (r->weight <= room)
            return r;
        else
            r = newest_first ? r->left_ : r->right_;
    }
}

ASIO_SEMAPHORE_DECL void backlog::push(request& r, bool is_treap) noexcept {
    if (is_treap) {
        push_into_treap(r);
    } else {
        r.left_ = newest_;
        r.right_ = nullptr;
        (newest_ != nullptr ? newest_->right_ : top_) = &r;
    }
    newest_ = &r;
    ++size_;
}

ASIO_SEMAPHORE_DECL void backlog::remove(request& r, bool is_treap) noexcept {
    if (is_treap) {
        remove_from_treap(r);
    } else {
        (r.left_ != nullptr ? r.left_->right_ : top_) = r.right_;
        (r.right_ != nullptr ? r.right_->left_ : newest_) = r.left_;
    }
    --size_;
}

ASIO_SEMAPHORE_DECL void backlog::push_into_treap(request& r) noexcept {
    request** place = &top_;
    const std::uint64_t own = rank(r);
    for (; *place != nullptr && rank(**place) > own; place = &(*place)->right_)
        (*place)->lightest_ = std::min((*place)->lightest_, r.weight);
    r.left_ = *place;
    r.right_ = nullptr;
    weigh(r);
    *place = &r;
}

ASIO_SEMAPHORE_DECL void backlog::remove_from_treap(request& r) noexcept {
    take(top_, r);
    if (newest_ != &r)
        return;
    newest_ = top_;
    while (newest_ != nullptr && newest_->right_ != nullptr)
        newest_ = newest_->right_;
}

ASIO_SEMAPHORE_DECL void backlog::take(request*& tree, request& r) noexcept {
    if (tree == &r) {
        tree = join(r.left_, r.right_);
    } else {
        take(r.stamp_ < tree->stamp_ ? tree->left_ : tree->right_, r);
        weigh(*tree);
    }
}

ASIO_SEMAPHORE_DECL queued_request* backlog::join(request* older, request* newer) noexcept {
    if (older == nullptr || newer == nullptr)
        return older != nullptr ? older : newer;
    const bool older_on_top = rank(*older) > rank(*newer);
    request& top = older_on_top ? *older : *newer;
    if (older_on_top)
        top.right_ = join(top.right_, newer);
    else
        top.left_ = join(older, top.left_);
    weigh(top);
    return &top;
}

// ---- keys

ASIO_SEMAPHORE_DECL key_record* admission_queue::find(std::uint64_t key) noexcept {
    return key == 0 ? &nobodys_ : records_.find(key);
}

ASIO_SEMAPHORE_DECL void admission_queue::enter(key_record& record) noexcept {
    BOOST_ASSERT(record.key() != 0 && !record.is_present_);
    make_present(record);
    present_.insert(record);
    records_.insert(record);
    ++keys_;
}

ASIO_SEMAPHORE_DECL bool admission_queue::leave(key_record& record) noexcept {
    if (!record.is_present_ || record.running_ > 0 || record.waiting() > 0)
        return false;
    record.is_present_ = false;
    if (&record == &nobodys_)
        return false;
    present_.remove(record);
    records_.remove(record);
    --keys_;
    return true;
}

ASIO_SEMAPHORE_DECL double admission_queue::least_service() const noexcept {
    if (present_.empty())
        return nobodys_.is_present_ ? nobodys_.served_ : 0;
    const double keys = present_.first().served_;
    return nobodys_.is_present_ ? std::min(keys, nobodys_.served_) : keys;
}

ASIO_SEMAPHORE_DECL double admission_queue::most_service() const noexcept {
    if (present_.empty())
        return nobodys_.is_present_ ? nobodys_.served_ : 0;
    const double keys = present_.last().served_;
    return nobodys_.is_present_ ? std::max(keys, nobodys_.served_) : keys;
}

// When no key is present, the time starts again at 0, because there is no key to be ahead of or
// behind. So its values never become so large that adding a short admission no longer changes them.
// A key never enters behind all others: a single long admission would otherwise keep newcomers out.
ASIO_SEMAPHORE_DECL double admission_queue::virtual_time() const noexcept {
    // While the newest come first, the arrival must decide between keys that have just entered.
    return newest_first_ ? least_service() : std::clamp(time_, least_service(), most_service());
}

// What a key receives last before it leaves is forgotten with its record. So the time advances by
// this service, divided among all present keys, as in fair queuing. While nobody waits, that is not
// needed: no key lacks a share.
ASIO_SEMAPHORE_DECL void admission_queue::advance(double service) noexcept {
    const auto present = static_cast<double>(keys_ + (nobodys_.is_present_ ? 1 : 0));
    time_ = std::max(time_, least_service()) + service / present;
}

ASIO_SEMAPHORE_DECL void admission_queue::make_present(key_record& record) noexcept {
    BOOST_ASSERT(record.running_ == 0 && record.waiting() == 0);
    record.served_ = virtual_time();
    record.is_present_ = true;
}

ASIO_SEMAPHORE_DECL void admission_queue::expect_present(key_record& record) noexcept {
    if (&record == &nobodys_ && !record.is_present_)
        make_present(record);
    BOOST_ASSERT(record.is_present_);
}

// ---- the order

ASIO_SEMAPHORE_DECL bool admission_queue::by_turn::operator()(
    const queued_backlog& a, const queued_backlog& b) const noexcept {
    return std::tie(a.priority, a.record.held_, a.record.served_, a.turn) <
           std::tie(b.priority, b.record.held_, b.record.served_, b.turn);
}

ASIO_SEMAPHORE_DECL bool admission_queue::by_length::operator()(
    const queued_backlog& a, const queued_backlog& b) const noexcept {
    const std::size_t one = a.requests.size();
    const std::size_t other = b.requests.size();
    return one != other ? one < other
                        : a.requests.newest().arrival() < b.requests.newest().arrival();
}

/// The weight that the key's cap still lets through.
ASIO_SEMAPHORE_DECL std::ptrdiff_t admission_queue::room(const key_record& record) const noexcept {
    if (!is_capped(record) || record.held_ == 0)
        return std::numeric_limits<std::ptrdiff_t>::max();
    return max_per_key_ - record.held_;
}

ASIO_SEMAPHORE_DECL queued_request*
admission_queue::find_next(const queued_backlog& b) const noexcept {
    return is_capped(b.record) ? b.requests.first_within(room(b.record), newest_first_)
                               : b.requests.first(newest_first_);
}

/// Called after a change of the backlog's requests, or of what the key's cap lets through.
ASIO_SEMAPHORE_DECL void admission_queue::set_next(queued_backlog& b) noexcept {
    queued_request* const next = find_next(b);
    if (next == b.next)
        return;
    const bool had_none = std::exchange(b.next, next) == nullptr;
    if (next == nullptr) {
        order_.remove(b);
        return;
    }
    b.turn = newest_first_ ? ~next->arrival() : next->arrival();
    if (had_none)
        order_.insert(b);
    else
        order_.adjust(b);
}

// Key 0 is no client, so it never loses a request because of its length. Nor does a key with a
// single waiting request.
ASIO_SEMAPHORE_DECL void admission_queue::forget_length(queued_backlog& b) noexcept {
    if (&b.record != &nobodys_ && b.requests.size() > 1)
        of(b.priority).backlogs.remove(b);
}

ASIO_SEMAPHORE_DECL void admission_queue::remember_length(queued_backlog& b) noexcept {
    if (&b.record != &nobodys_ && b.requests.size() > 1)
        of(b.priority).backlogs.insert(b);
}

ASIO_SEMAPHORE_DECL bool admission_queue::would_be_candidate(
    const key_record* record, int priority, std::ptrdiff_t weight) const noexcept {
    const bool is_present = record != nullptr && record->is_present_;
    const std::ptrdiff_t held = is_present ? record->held_ : 0;
    const double served = is_present ? record->served_ : virtual_time();
    if (is_present && weight > room(*record))
        return false;
    if (order_.empty())
        return true;
    const queued_backlog& first = order_.first();
    const auto own = std::tie(priority, held, served);
    const auto others = std::tie(first.priority, first.record.held_, first.record.served_);
    return newest_first_ ? own <= others : own < others;
}

ASIO_SEMAPHORE_DECL queued_request*
admission_queue::victim(const key_record* record, int priority) const noexcept {
    const auto index = static_cast<std::size_t>(priority);
    for (std::size_t lowest = priorities - 1; lowest > index; --lowest) {
        if (classes_[lowest].size > 0)
            return static_cast<queued_request*>(&classes_[lowest].requests.back());
    }
    const priority_class& own = classes_[index];
    if (record != &nobodys_ && !own.backlogs.empty()) {
        const queued_backlog& longest = own.backlogs.last();
        const std::size_t own_length =
            record == nullptr ? 0 : record->backlogs_[index].requests.size();
        if (longest.requests.size() >= own_length + 2)
            return &longest.requests.newest();
    }
    if (newest_first_ && own.size > 0)
        return static_cast<queued_request*>(&own.requests.front());
    return nullptr;
}

ASIO_SEMAPHORE_DECL void admission_queue::set_newest_first(bool is_so) noexcept {
    if (newest_first_ == is_so)
        return;
    newest_first_ = is_so;
    // The order is built anew, because it is not valid while only some of the backlogs have turned.
    order_.clear();
    const auto turn = [this](key_record& record) {
        for (queued_backlog& b : record.backlogs_) {
            b.next = nullptr;
            set_next(b);
        }
    };
    turn(nobodys_);
    records_.for_each(turn);
}

// ---- changes

ASIO_SEMAPHORE_DECL void admission_queue::push(queued_request& r, key_record& record) noexcept {
    expect_present(record);
    r.record = &record;
    r.stamp_ =
        ++arrivals_ * queued_request::one_arrival + (r.stamp_ & queued_request::priority_mask);
    queued_backlog& b = backlog_of(r);
    forget_length(b);
    b.requests.push(r, is_capped(record));
    remember_length(b);
    // While the oldest come first, an arrival does not change whose turn it is.
    if (b.next == nullptr || newest_first_)
        set_next(b);
    priority_class& all = of(r.priority());
    all.requests.push_back(r);
    ++all.size;
    ++record.waiting_;
    ++size_;
}

ASIO_SEMAPHORE_DECL void admission_queue::remove(queued_request& r) noexcept {
    queued_backlog& b = backlog_of(r);
    forget_length(b);
    b.requests.remove(r, is_capped(*r.record));
    remember_length(b);
    if (b.next == &r)
        set_next(b);
    intrusive_list::remove(r);
    --of(r.priority()).size;
    --r.record->waiting_;
    if (--size_ == 0)
        time_ = 0;
}

ASIO_SEMAPHORE_DECL void
admission_queue::change_share(key_record& record, std::ptrdiff_t weight) noexcept {
    record.held_ += weight;
    if (record.waiting_ == 0)
        return;
    // Without a cap, one of the key's backlogs has a next. If it is the only one in the order, its
    // place cannot change.
    if (!is_capped(record) && order_.has_one())
        return;
    // They can be moved one by one: the backlogs of one key differ in their priorities, which the
    // order compares first.
    for (queued_backlog& b : record.backlogs_) {
        if (is_capped(record))
            set_next(b);
        if (b.next != nullptr)
            order_.adjust(b);
    }
}

ASIO_SEMAPHORE_DECL void admission_queue::hold(key_record& record, std::ptrdiff_t weight) noexcept {
    expect_present(record);
    ++record.running_;
    change_share(record, weight);
}

ASIO_SEMAPHORE_DECL void
admission_queue::give_back(key_record& record, std::ptrdiff_t weight, double service) noexcept {
    BOOST_ASSERT(record.running_ > 0 && record.held_ >= weight);
    if (size_ > 0 && record.running_ == 1 && record.waiting_ == 0)
        advance(service);
    --record.running_;
    record.served_ += service;
    if (&record != &nobodys_)
        present_.adjust(record);
    change_share(record, -weight);
}

} // namespace asio_semaphore::detail
