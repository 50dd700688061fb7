// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// The tree that finds the records of keys: compares random changes with a std::map, and builds the
// longest path that there is.

#include <asio_semaphore/detail/state/key_tree.hpp>

#include <support/seed.hpp>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <random>
#include <set>
#include <vector>

namespace {

using namespace asio_semaphore::detail;

struct element : key_node {
    using key_node::key_node;
};

using keys = std::set<std::uint64_t>;

/// The inverse of an odd number modulo 2⁶⁴, by Newton's method.
constexpr std::uint64_t inverse(std::uint64_t odd) {
    std::uint64_t x = odd; // right in the last three bits
    for (int bits = 3; bits < 64; bits *= 2)
        x *= 2 - odd * x;
    return x;
}

/// Undoes x ^ (x >> shift).
constexpr std::uint64_t unshifted(std::uint64_t x, int shift) {
    std::uint64_t result = x;
    for (int done = shift; done < 64; done += shift)
        result = x ^ (result >> shift);
    return result;
}

/// The key that `mixed` turns into x.
constexpr std::uint64_t key_that_mixes_to(std::uint64_t x) {
    x = unshifted(x, 31) * inverse(0x94d049bb133111eb);
    x = unshifted(x, 27) * inverse(0xbf58476d1ce4e5b9);
    return unshifted(x, 30) - 0x9e3779b97f4a7c15;
}
static_assert(mixed(key_that_mixes_to(0)) == 0);
static_assert(mixed(key_that_mixes_to(0x0123456789abcdef)) == 0x0123456789abcdef);

struct filled_tree {
    void insert(std::uint64_t key) {
        const auto [place, is_new] = elements.try_emplace(key, key);
        BOOST_TEST_REQUIRE(is_new);
        tree.insert(place->second);
    }
    void remove(std::uint64_t key) {
        tree.remove(elements.at(key));
        elements.erase(key);
    }
    /// Whether the tree finds all its elements, and visits each once.
    bool is_whole() const {
        std::size_t visits = 0;
        keys visited;
        tree.for_each([&](const element& e) {
            ++visits;
            visited.insert(e.key());
        });
        return visits == elements.size() && visited.size() == elements.size() &&
               std::all_of(elements.begin(), elements.end(), [&](const auto& one) {
                   return tree.find(one.first) == &one.second;
               });
    }

    std::map<std::uint64_t, element> elements;
    key_tree<element> tree;
};

} // namespace

BOOST_AUTO_TEST_SUITE(key_trees)

BOOST_FIXTURE_TEST_CASE(an_empty_tree_finds_nothing, filled_tree) {
    BOOST_TEST(tree.find(0) == nullptr);
    BOOST_TEST(tree.find(1) == nullptr);
    tree.for_each([](const element&) { BOOST_ERROR("there is none"); });
    insert(0);
    BOOST_TEST(tree.find(0) == &elements.at(0));
    BOOST_TEST(tree.find(1) == nullptr);
    remove(0);
    BOOST_TEST(tree.find(0) == nullptr);
}

// The last two keys differ in the last bit only.
BOOST_FIXTURE_TEST_CASE(the_longest_path_ends_after_64_bits, filled_tree) {
    std::vector<std::uint64_t> path;
    for (int bit = 0; bit < 64; ++bit)
        path.push_back(key_that_mixes_to(std::uint64_t(1) << bit));
    path.push_back(key_that_mixes_to(0));
    for (const std::uint64_t key : path) {
        BOOST_TEST(tree.find(key) == nullptr);
        insert(key);
    }
    BOOST_TEST(is_whole());
    for (const std::size_t gone : {0u, 63u, 31u, 60u, 1u}) {
        remove(path[gone]);
        BOOST_TEST(tree.find(path[gone]) == nullptr);
        BOOST_TEST(is_whole());
    }
}

// Elements leave in the order of their insertion, the first node of the tree first. Whatever that
// order is, some nodes have two others below.
BOOST_FIXTURE_TEST_CASE(
    a_node_without_others_below_takes_the_place_of_one_that_leaves, filled_tree) {
    const std::vector<std::uint64_t> mixes = {1, 0, 3, 5, 7, 2, 4, 6, 8};
    for (std::size_t first = 0; first < mixes.size(); ++first) {
        for (std::size_t i = 0; i < mixes.size(); ++i)
            insert(key_that_mixes_to(mixes[(first + i) % mixes.size()]));
        while (!elements.empty()) {
            const std::uint64_t gone =
                key_that_mixes_to(mixes[(first + mixes.size() - elements.size()) % mixes.size()]);
            remove(gone);
            BOOST_TEST(tree.find(gone) == nullptr);
            BOOST_TEST(is_whole());
        }
    }
}

// A limiter uses the records of keys that have left for other keys.
BOOST_AUTO_TEST_CASE(a_node_that_has_left_serves_another_key) {
    element above(key_that_mixes_to(0));
    element left(key_that_mixes_to(2));
    element right(key_that_mixes_to(1));
    key_tree<element> tree;
    for (element* const e : {&above, &left, &right})
        tree.insert(*e);
    tree.remove(above);
    above.use_for(key_that_mixes_to(3));
    BOOST_TEST(above.key() == key_that_mixes_to(3));
    BOOST_TEST(tree.find(key_that_mixes_to(3)) == nullptr);
    tree.insert(above);
    BOOST_TEST(tree.find(key_that_mixes_to(0)) == nullptr);
    BOOST_TEST(tree.find(key_that_mixes_to(1)) == &right);
    BOOST_TEST(tree.find(key_that_mixes_to(2)) == &left);
    BOOST_TEST(tree.find(key_that_mixes_to(3)) == &above);
    std::size_t visits = 0;
    tree.for_each([&](const element&) { ++visits; });
    BOOST_TEST(visits == 3u);
}

BOOST_FIXTURE_TEST_CASE(random_changes_agree_with_a_map, filled_tree) {
    std::mt19937_64 random(test::seed());
    // Many keys share their first bits, so that paths are long and nodes have two nodes below.
    const auto any_key = [&] {
        const std::uint64_t low = random() % 8;
        return key_that_mixes_to(random() % 2 == 0 ? low : low << (random() % 64));
    };
    for (int step = 0; step < 20000; ++step) {
        const std::uint64_t key = any_key();
        const auto present = elements.find(key);
        BOOST_TEST_REQUIRE(
            tree.find(key) == (present != elements.end() ? &present->second : nullptr));
        if (present == elements.end())
            insert(key);
        else
            remove(key);
        if (step % 16 == 0)
            BOOST_TEST_REQUIRE(is_whole());
    }
}

BOOST_AUTO_TEST_SUITE_END()
