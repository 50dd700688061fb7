// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// An intrusive set that finds elements by their keys. State layer.
//
// A digital search tree: at depth d, bit d of the mixed key decides whether a key continues to the
// left or to the right. Different keys are different when mixed. So a path has 65 elements at most,
// whatever keys clients choose; with n keys that nobody has chosen, it has about log2(n). A step
// down is an indexed load, without the branch of an ordered set, which the processor cannot
// predict.

#include <asio_semaphore/config.hpp>
#include <asio_semaphore/limiter/admission_request.hpp>

#include <cstdint>

namespace asio_semaphore::detail {

/// The key and the links of an element of a key_tree.
class key_node {
public:
    explicit key_node(std::uint64_t k) noexcept : key_(k) {}
    key_node(const key_node&) = delete;
    key_node& operator=(const key_node&) = delete;

    std::uint64_t key() const noexcept { return key_; }
    /// Makes this the node of another key. @pre it is in no tree
    void use_for(std::uint64_t key) noexcept { key_ = key; }

private:
    template <typename T>
    friend class key_tree;

    std::uint64_t key_;
    // The links are unset while the node is in no tree.
    key_node* below_[2];
    key_node** place_; // the pointer to this node: in the node above, or in the tree
};

/// A set of elements that derive from key_node, each with a key of its own.
template <typename T>
class key_tree {
public:
    key_tree() = default;
    key_tree(const key_tree&) = delete;
    key_tree& operator=(const key_tree&) = delete;

    /// Null if there is no such element.
    T* find(std::uint64_t key) const noexcept {
        std::uint64_t bits = detail::mixed(key);
        key_node* node = root_;
        for (; node != nullptr && node->key_ != key; bits >>= 1)
            node = node->below_[bits & 1];
        return static_cast<T*>(node);
    }

    /// @pre no element has this key
    void insert(T& inserted) noexcept {
        key_node& node = inserted;
        std::uint64_t bits = detail::mixed(node.key_);
        key_node** place = &root_;
        for (; *place != nullptr; bits >>= 1)
            place = &(*place)->below_[bits & 1];
        node.below_[0] = node.below_[1] = nullptr;
        set(place, &node);
    }

    void remove(T& removed) noexcept {
        key_node& node = removed;
        // Any node below may take the place, because its key has the same first bits. One without
        // nodes below leaves no gap.
        key_node* last = &node;
        while (key_node* const next =
                   last->below_[0] != nullptr ? last->below_[0] : last->below_[1])
            last = next;
        *last->place_ = nullptr;
        if (last == &node)
            return;
        for (const int side : {0, 1}) {
            if (node.below_[side] != nullptr)
                set(&last->below_[side], node.below_[side]);
        }
        set(node.place_, last);
    }

    /// Visits all elements, in no particular order.
    template <typename F>
    void for_each(F f) const {
        visit(root_, f);
    }

private:
    static void set(key_node** place, key_node* node) noexcept {
        *place = node;
        node->place_ = place;
    }

    template <typename F>
    static void visit(key_node* node, F& f) {
        if (node == nullptr)
            return;
        f(static_cast<T&>(*node));
        visit(node->below_[0], f);
        visit(node->below_[1], f);
    }

    key_node* root_ = nullptr;
};

} // namespace asio_semaphore::detail
