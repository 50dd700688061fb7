// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Which request is admitted next, and which one leaves a full queue: the requests that wait for a
// limiter, and what each key has received. State layer. The queue decides only the order; the
// limiter decides whether the candidate fits into the limit. The queue locks nothing, reads no
// clock and allocates nothing; the mutex of the limiter's state guards it and everything in it.
// Every call is O(log n) unless stated otherwise.
//
// The least (priority, weight held by the key, service received by the key, arrival) comes first. A
// key's share changes with each grant, and all its requests change their places with it. So
// requests stand in backlogs, one for each key and priority, and the backlogs are ordered, each by
// the first of its requests that the key's cap lets through. `served` is the virtual time of fair
// queuing: a key enters with the service that a key with its fair share has had by now. Otherwise
// keys that leave and come back, one request at a time, would always precede a key that stays.
//
// Rules for callers:
//   - A key's record enters before it is used. Key 0 has a record here, which enters by itself.
//   - A grant is remove(r), then hold(*r.record, r.weight), with no leave in between.
//   - When a key may have become idle, leave(record) follows before another key enters: an idle
//     record would give newcomers its own outdated service.

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/detail/state/key_tree.hpp>
#include <asio_semaphore/detail/state/ordered_set.hpp>
#include <asio_semaphore/detail/state/wait_queue.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace asio_semaphore::detail {

class key_record;

inline constexpr std::size_t priorities = 4;

/// The part of a waiting request that the queue sees.
class queued_request : private list_node { // linked in its priority's list
public:
    /// @pre 0 <= priority < priorities, weight > 0
    queued_request(int priority, std::ptrdiff_t w) noexcept :
        weight(w), stamp_(static_cast<std::uint64_t>(priority)) {}
    queued_request(const queued_request&) = delete;
    queued_request& operator=(const queued_request&) = delete;

    int priority() const noexcept { return static_cast<int>(stamp_ & priority_mask); }
    /// Increases with each push; 0 before the first.
    std::uint64_t arrival() const noexcept { return stamp_ / one_arrival; }

    const std::ptrdiff_t weight;
    key_record* record = nullptr; // the record of the request's key; set by push

private:
    friend class admission_queue;
    friend class backlog;

    static constexpr std::uint64_t priority_mask = 3;
    static constexpr std::uint64_t one_arrival = 4;

    std::uint64_t stamp_; // arrival() * one_arrival + priority()
    // The request's links in its backlog's list or tree; all are unset while the request does not
    // wait.
    queued_request* left_; // older
    queued_request* right_;
    std::ptrdiff_t lightest_; // in a tree: the least weight in its subtree
};

/// The requests of one key and one priority, by arrival: a list, or, if the key has a cap, a treap.
/// The treap finds the first request that fits into some room without visiting all that do not. Its
/// heap is ordered by a hash of the arrivals, which no client can choose closely enough to
/// unbalance the treap. The caller decides which of the two it is, and must say the same in each
/// call.
class backlog {
public:
    bool empty() const noexcept { return size_ == 0; }
    std::size_t size() const noexcept { return size_; }
    /// @pre !empty()
    queued_request& newest() const noexcept { return *newest_; }
    /// The oldest or the newest request; null if there is none. For a list only.
    queued_request* first(bool newest_first) const noexcept {
        return newest_first ? newest_ : top_;
    }
    /// The first request that weighs no more than @p room, or null. For a treap only.
    queued_request* first_within(std::ptrdiff_t room, bool newest_first) const noexcept;

    /// @pre r has arrived last
    void push(queued_request& r, bool is_treap) noexcept;
    void remove(queued_request& r, bool is_treap) noexcept;

private:
    using request = queued_request;

    static std::uint64_t rank(const request& r) noexcept;
    static void weigh(request& r) noexcept;
    static request* join(request* older, request* newer) noexcept;
    static void take(request*& tree, request& r) noexcept;
    void push_into_treap(request& r) noexcept;
    void remove_from_treap(request& r) noexcept;

    request* top_ = nullptr; // the root of the treap, or the oldest of the list
    request* newest_ = nullptr;
    std::size_t size_ = 0;
};

struct turn_node : tree_node {};
struct length_node : tree_node {};
struct service_node : tree_node {};

/// A backlog, as an element of the sets that compare it with the backlogs of other keys.
struct queued_backlog : turn_node, length_node {
    queued_backlog(key_record& r, int p) noexcept : priority(p), record(r) {}

    const int priority;
    key_record& record;
    backlog requests;
    queued_request* next = nullptr; // the first request that the cap lets through, or null
    std::uint64_t turn;             // the order among equals; valid if there is a next
};

/// What a key holds, waits for and has received. The caller owns it, and allocates and frees it
/// with no lock held.
class key_record : public key_node, public service_node {
public:
    explicit key_record(std::uint64_t key) noexcept :
        key_node(key), backlogs_{{{*this, 0}, {*this, 1}, {*this, 2}, {*this, 3}}} {}
    key_record(const key_record&) = delete;
    key_record& operator=(const key_record&) = delete;

    std::ptrdiff_t held() const noexcept { return held_; }    // weights
    std::size_t running() const noexcept { return running_; } // admissions
    std::size_t waiting() const noexcept { return waiting_; } // requests
    double served() const noexcept { return served_; }

    key_record* next_spare; // for the record's owner, while the record is not in the queue

private:
    friend class admission_queue;

    bool is_present_ = false; // the key holds or waits, or has just entered
    std::ptrdiff_t held_ = 0;
    std::size_t running_ = 0;
    std::size_t waiting_ = 0;
    double served_ = 0;
    std::array<queued_backlog, priorities> backlogs_; // by priority
};

/// Must be empty when it is destroyed.
class admission_queue {
public:
    /// @param max_per_key 0: no cap
    explicit admission_queue(std::ptrdiff_t max_per_key) noexcept : max_per_key_(max_per_key) {}
    admission_queue(const admission_queue&) = delete;
    admission_queue& operator=(const admission_queue&) = delete;

    /// The record of a key that is present, else null; for key 0 never null.
    key_record* find(std::uint64_t key) noexcept;
    /// Adds the record of a key that is not present. Its service starts at the virtual time.
    void enter(key_record& record) noexcept;
    /// Removes the record if its key neither holds nor waits. Returns true if the record has left,
    /// and the caller may free it; never for key 0.
    [[nodiscard]] bool leave(key_record& record) noexcept;

    /// The number of keys that are present, without key 0; for_each_key visits them.
    std::size_t keys() const noexcept { return keys_; }
    template <typename F>
    void for_each_key(F f) const {
        records_.for_each([&](const key_record& record) { f(record); });
    }

    bool empty() const noexcept { return size_ == 0; }
    std::size_t size() const noexcept { return size_; }
    std::size_t size(int priority) const noexcept { return of(priority).size; }

    void push(queued_request& r, key_record& record) noexcept;
    void remove(queued_request& r) noexcept;

    /// The next request, or null. O(1).
    queued_request* candidate() const noexcept {
        return order_.empty() ? nullptr : order_.first().next;
    }
    /// Whether a request that arrives now would be the candidate. O(1).
    /// @param record null if the key is not present
    bool would_be_candidate(
        const key_record* record, int priority, std::ptrdiff_t weight) const noexcept;
    /// The request that a newcomer of this record and priority evicts from a full queue, or null.
    /// O(1).
    /// @param record null if the key is not present
    queued_request* victim(const key_record* record, int priority) const noexcept;

    bool newest_first() const noexcept { return newest_first_; }
    /// O(n log n) if the order changes and the queue is not empty.
    void set_newest_first(bool is_so) noexcept;

    /// Counts an admission that the key is granted.
    void hold(key_record& record, std::ptrdiff_t weight) noexcept;
    /// Counts the end of an admission. @param service max(time held, one tick) * weight
    void give_back(key_record& record, std::ptrdiff_t weight, double service) noexcept;

    /// Whether nobody waits and only key 0 may be present. The service of key 0 is then compared
    /// with no other key's, and the two fast paths below suffice.
    bool is_plain() const noexcept { return size_ == 0 && keys_ == 0; }
    /// Like hold. @pre is_plain()
    key_record& hold_plainly(std::ptrdiff_t weight) noexcept {
        nobodys_.served_ = 0; // see virtual_time
        nobodys_.is_present_ = true;
        ++nobodys_.running_;
        nobodys_.held_ += weight;
        return nobodys_;
    }
    /// Like give_back and leave. @pre is_plain()
    void give_back_plainly(std::ptrdiff_t weight) noexcept {
        nobodys_.held_ -= weight;
        --nobodys_.running_;
        nobodys_.is_present_ = nobodys_.running_ > 0;
    }

private:
    struct by_service {
        bool operator()(const key_record& a, const key_record& b) const noexcept {
            return a.served_ < b.served_;
        }
    };
    struct by_turn {
        bool operator()(const queued_backlog& a, const queued_backlog& b) const noexcept;
    };
    struct by_length {
        bool operator()(const queued_backlog& a, const queued_backlog& b) const noexcept;
    };
    struct priority_class {
        intrusive_list requests; // by arrival
        std::size_t size = 0;
        // Candidates for eviction: the backlogs of two requests or more, except key 0's.
        ordered_set<queued_backlog, by_length, length_node> backlogs;
    };

    priority_class& of(int priority) noexcept {
        return classes_[static_cast<std::size_t>(priority)];
    }
    const priority_class& of(int priority) const noexcept {
        return classes_[static_cast<std::size_t>(priority)];
    }
    static queued_backlog& backlog_of(const queued_request& r) noexcept {
        return r.record->backlogs_[static_cast<std::size_t>(r.priority())];
    }
    double least_service() const noexcept;
    double most_service() const noexcept;
    double virtual_time() const noexcept;
    void advance(double service) noexcept;
    std::ptrdiff_t room(const key_record& record) const noexcept;
    void make_present(key_record& record) noexcept;
    void expect_present(key_record& record) noexcept;
    bool is_capped(const key_record& record) const noexcept {
        return max_per_key_ != 0 && &record != &nobodys_;
    }
    // Before and after a change of the backlog's requests:
    void forget_length(queued_backlog& b) noexcept;
    void remember_length(queued_backlog& b) noexcept;
    queued_request* find_next(const queued_backlog& b) const noexcept;
    void set_next(queued_backlog& b) noexcept;
    void change_share(key_record& record, std::ptrdiff_t weight) noexcept;

    const std::ptrdiff_t max_per_key_;
    bool newest_first_ = false;
    std::uint64_t arrivals_ = 0;
    std::size_t size_ = 0;
    std::size_t keys_ = 0;
    key_tree<key_record> records_;                              // without key 0's record
    ordered_set<key_record, by_service, service_node> present_; // without key 0's record
    ordered_set<queued_backlog, by_turn, turn_node> order_;     // the backlogs with a next
    std::array<priority_class, priorities> classes_;
    key_record nobodys_{0};
    // While requests wait: the service of a key that has had its fair share, unless all present
    // keys have had more, or all less. Otherwise 0.
    double time_ = 0;
};

} // namespace asio_semaphore::detail

#if !defined(ASIO_SEMAPHORE_SEPARATE_COMPILATION)
#include <asio_semaphore/detail/state/impl/admission_queue.ipp>
#endif
