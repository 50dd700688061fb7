// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// An intrusive ordered set. State layer. Every call is O(log n) in the worst case, which matters
// where clients can influence the order.

#include <boost/intrusive/rbtree_algorithms.hpp>

namespace asio_semaphore::detail {

/// The links of an element of an ordered_set.
struct tree_node {
    tree_node() noexcept {} // not trivial, so that a derived class can use the padding

    tree_node* parent; // all are unset while the node is in no set
    tree_node* left;
    tree_node* right;
    bool is_red;
};

/// A set of elements that derive from Node. An element in several sets needs a Node of its own for
/// each. Equal elements stay in the order in which they were inserted.
/// @tparam Before orders two elements
template <typename T, typename Before, typename Node = tree_node>
class ordered_set {
public:
    ordered_set() noexcept { clear(); }
    ordered_set(const ordered_set&) = delete;
    ordered_set& operator=(const ordered_set&) = delete;

    bool empty() const noexcept { return header_.parent == nullptr; }
    /// @pre !empty()
    bool has_one() const noexcept { return header_.left == header_.right; }
    /// @pre !empty()
    T& first() const noexcept { return element(header_.left); }
    /// @pre !empty()
    T& last() const noexcept { return element(header_.right); }

    /// Searches from the end: O(1) comparisons if the element comes last.
    void insert(T& inserted) noexcept {
        tree_node& node = static_cast<Node&>(inserted);
        if (empty()) {
            node.parent = &header_;
            node.left = node.right = nullptr;
            node.is_red = false;
            header_.parent = header_.left = header_.right = &node;
            return;
        }
        const auto before = [](const tree_node* a, const tree_node* b) {
            return Before()(element(a), element(b));
        };
        algorithms::insert_equal(&header_, &header_, &node, before);
    }
    /// Makes no comparison, so the elements' keys may have changed.
    void remove(T& removed) noexcept {
        if (has_one())
            clear();
        else
            algorithms::erase(&header_, &static_cast<Node&>(removed));
    }
    /// Moves an element whose key has changed to its new place. Most elements stay where they are.
    void adjust(T& changed) noexcept {
        tree_node* const node = &static_cast<Node&>(changed);
        const Before before;
        const bool stays =
            (node == header_.left || !before(changed, element(algorithms::prev_node(node)))) &&
            (node == header_.right || !before(element(algorithms::next_node(node)), changed));
        if (!stays) {
            remove(changed);
            insert(changed);
        }
    }
    /// Empties the set without touching its elements.
    void clear() noexcept { algorithms::init_header(&header_); }

private:
    struct traits {
        using node = tree_node;
        using node_ptr = tree_node*;
        using const_node_ptr = const tree_node*;
        using color = bool;

        static node_ptr get_parent(const_node_ptr n) { return n->parent; }
        static void set_parent(node_ptr n, node_ptr to) { n->parent = to; }
        static node_ptr get_left(const_node_ptr n) { return n->left; }
        static void set_left(node_ptr n, node_ptr to) { n->left = to; }
        static node_ptr get_right(const_node_ptr n) { return n->right; }
        static void set_right(node_ptr n, node_ptr to) { n->right = to; }
        static color get_color(const_node_ptr n) { return n->is_red; }
        static void set_color(node_ptr n, color to) { n->is_red = to; }
        static constexpr color black() { return false; }
        static constexpr color red() { return true; }
    };
    using algorithms = boost::intrusive::rbtree_algorithms<traits>;

    static T& element(tree_node* node) noexcept {
        return static_cast<T&>(static_cast<Node&>(*node));
    }
    static const T& element(const tree_node* node) noexcept {
        return static_cast<const T&>(static_cast<const Node&>(*node));
    }

    tree_node header_;
};

} // namespace asio_semaphore::detail
