// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <asio_semaphore/detail/fleet/protocol.hpp>

#include <limits>
#include <random>
#include <utility>

namespace asio_semaphore::detail::fleet {

namespace protocol_detail {

// Parses a text from front to back.
class reader {
public:
    explicit reader(std::string_view text) noexcept : rest_(text) {}

    bool is_at_end() const noexcept { return rest_.empty(); }

    bool take(char c) noexcept {
        if (rest_.empty() || rest_.front() != c)
            return false;
        rest_.remove_prefix(1);
        return true;
    }

    bool take(std::size_t size, std::string_view& text) noexcept {
        if (size > rest_.size())
            return false;
        text = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return true;
    }

    // Needs at least one digit. Fails if the number does not fit.
    template <typename Integer>
    bool take_number(Integer& number) noexcept {
        constexpr auto top = static_cast<std::uint64_t>(std::numeric_limits<Integer>::max());
        const bool is_negative = std::numeric_limits<Integer>::is_signed && take('-');
        std::uint64_t value = 0;
        std::size_t digits = 0;
        for (; digits < rest_.size() && rest_[digits] >= '0' && rest_[digits] <= '9'; ++digits) {
            const auto digit = static_cast<std::uint64_t>(rest_[digits] - '0');
            if (value > (top - digit) / 10)
                return false;
            value = value * 10 + digit;
        }
        rest_.remove_prefix(digits);
        number = static_cast<Integer>(value);
        if (is_negative)
            number = static_cast<Integer>(0 - number);
        return digits > 0;
    }

private:
    std::string_view rest_;
};

// Returns the end of a request's name, which is the same for like requests.
inline std::string common_text(const request_name& name) {
    return '.' + std::to_string(name.n) + '.' + std::to_string(name.lease);
}

inline bool names_request(const command& c) noexcept {
    return c.what != verb::set_limit && c.what != verb::inspect;
}

/// Whether both are commands of one group.
inline bool are_alike(const command& a, const command& b) noexcept {
    return a.what == b.what && a.of.n == b.of.n && a.of.lease == b.of.lease &&
           a.void_after == b.void_after && names_request(a);
}

/// Whether b continues a run of commands that a ends.
inline bool follows(const command& a, const command& b) noexcept {
    return b.of.serial == a.of.serial + 1 && (a.what != verb::renew || b.fence == a.fence + 1);
}

/// Appends like commands: what they have in common, then the serials.
inline void
append_group(const command* first, const command* end, std::vector<std::string>& words) {
    words.push_back(common_text(first->of));
    if (first->what == verb::renew)
        words.push_back(std::to_string(first->void_after));
    while (first != end) {
        const command* last = first;
        while (last + 1 != end && follows(*last, last[1]))
            ++last;
        words.push_back(std::to_string(first->of.serial));
        if (last != first)
            words.back() += '+' + std::to_string(last - first);
        if (first->what == verb::renew)
            words.push_back(std::to_string(first->fence));
        first = last + 1;
    }
}

inline void append(const std::vector<command>& commands, std::vector<std::string>& words) {
    const command* next = commands.data();
    const command* const end = next + commands.size();
    while (next != end) {
        const command* const first = next++;
        words.emplace_back(1, static_cast<char>(first->what));
        if (first->what == verb::set_limit)
            words.push_back(std::to_string(first->limit));
        if (!names_request(*first))
            continue;
        while (next != end && are_alike(*first, *next))
            ++next;
        append_group(first, next, words);
    }
}

// Reads the numbers of the script's answer from front to back. Each must be present, and must not
// be a list.
class numbers {
public:
    explicit numbers(const std::vector<reply_node>& nodes) noexcept : nodes_(nodes) {}

    bool is_at_end() const noexcept { return next_ == nodes_.size(); }

    bool take_list(std::size_t depth, std::size_t& size) noexcept {
        if (is_at_end() || !nodes_[next_].is_aggregate || nodes_[next_].depth != depth)
            return false;
        size = nodes_[next_++].size;
        depth_ = depth + 1;
        return true;
    }

    template <typename Number>
    bool take(Number& number) noexcept {
        if (is_at_end() || nodes_[next_].is_aggregate || nodes_[next_].depth != depth_)
            return false;
        number = static_cast<Number>(nodes_[next_++].number);
        return true;
    }

    bool take(bool& flag) noexcept {
        std::int64_t number = 0;
        const bool is_there = take(number);
        flag = number != 0;
        return is_there;
    }

private:
    const std::vector<reply_node>& nodes_;
    std::size_t next_ = 0;
    std::size_t depth_ = 0;
};

// Reads the result of one command, or equal results of several.
inline bool
take_results(numbers& in, const std::vector<command>& commands, std::vector<result>& results) {
    std::size_t count = 0;
    std::int64_t what = 0, first = 0, second = 0;
    if (!in.take(count) || !in.take(what) || !in.take(first) || !in.take(second))
        return false;
    if (count == 0 || count > commands.size() - results.size() ||
        what < static_cast<std::int64_t>(verdict::granted) ||
        what > static_cast<std::int64_t>(verdict::done))
        return false;
    result r;
    r.what = static_cast<verdict>(what);
    switch (r.what) {
    case verdict::granted:
    case verdict::renewed:
    case verdict::readmitted:
        r.fence = static_cast<std::uint64_t>(first);
        r.expiry = second;
        break;
    case verdict::done:
        if (commands[results.size()].what == verb::inspect) {
            r.clients = first;
            r.lowest_fence = static_cast<std::uint64_t>(second);
        }
        break;
    default:
        break;
    }
    for (; count != 0; --count) {
        results.push_back(r);
        if (r.what == verdict::granted)
            ++r.fence;
    }
    return true;
}

} // namespace protocol_detail

inline std::string random_client_name() {
    std::random_device random;
    std::string name;
    for (int word = 0; word < 4; ++word) {
        auto bits = static_cast<std::uint32_t>(random());
        for (int digit = 0; digit < 8; ++digit, bits >>= 4)
            name += "0123456789abcdef"[bits & 15];
    }
    return name;
}

inline std::string to_text(std::string_view client, const request_name& name) {
    return std::string(client) + '.' + std::to_string(name.serial) +
           protocol_detail::common_text(name);
}

inline std::string channel_of(std::string_view client) {
    return "asem:c:" + std::string(client);
}

inline std::vector<std::string>
to_arguments(const call& c, std::string_view client, std::uint64_t connection, std::int64_t clock) {
    std::vector<std::string> words{"5"};
    for (const char* const key : {"m", "l", "f", "q", "c"})
        words.push_back("asem:{" + c.name + "}:" + key);
    words.push_back(std::to_string(schema));
    words.emplace_back(client);
    words.push_back(std::to_string(connection));
    words.push_back(std::to_string(c.presence));
    words.push_back(std::to_string(c.lease));
    words.push_back(std::to_string(c.limit));
    std::string flags;
    if (c.is_strict)
        flags += 's';
    if (c.is_immediate)
        flags += 'i';
    if (c.is_first)
        flags += 'f';
    words.push_back(std::move(flags));
    words.push_back(std::to_string(c.seen));
    words.push_back(std::to_string(clock));
    protocol_detail::append(c.commands, words);
    return words;
}

inline std::optional<answer>
to_answer(const std::vector<reply_node>& nodes, const std::vector<command>& commands) {
    answer a;
    std::int64_t status = 0;
    std::size_t size = 0;
    protocol_detail::numbers in(nodes);
    if (!in.take_list(0, size) || size != 15)
        return std::nullopt;
    if (!in.take(status) || !in.take(a.now) || !in.take(a.made) || !in.take(a.rolls) ||
        !in.take(a.limit) || !in.take(a.seq) || !in.take(a.held) || !in.take(a.waiting) ||
        !in.take(a.next_expiry) || !in.take(a.is_head_mine) || !in.take(a.quarantine) ||
        !in.take(a.has_more))
        return std::nullopt;
    if (status < 0 || status > static_cast<std::int64_t>(call_status::incompatible))
        return std::nullopt;
    a.status = static_cast<call_status>(status);

    if (!in.take_list(1, size) || size % 4 != 0)
        return std::nullopt;
    if (a.status == call_status::ok)
        a.results.reserve(commands.size());
    for (; size != 0; size -= 4) {
        if (!protocol_detail::take_results(in, commands, a.results))
            return std::nullopt;
    }
    if (a.results.size() != (a.status == call_status::ok ? commands.size() : 0))
        return std::nullopt;
    // Reads each grant before it appends it, so that a wrong size allocates nothing.
    if (!in.take_list(1, size) || size % 3 != 0)
        return std::nullopt;
    for (; size != 0; size -= 3) {
        grant g;
        if (!in.take(g.serial) || !in.take(g.fence) || !in.take(g.expiry))
            return std::nullopt;
        a.granted.push_back(g);
    }
    if (!in.take_list(1, size))
        return std::nullopt;
    for (; size != 0; --size) {
        std::uint64_t serial = 0;
        if (!in.take(serial))
            return std::nullopt;
        a.exceeded.push_back(serial);
    }
    if (!in.is_at_end())
        return std::nullopt;
    return a;
}

inline std::optional<push> to_push(std::string_view text) {
    push p;
    protocol_detail::reader in(text);
    std::size_t size = 0;
    std::string_view name;
    if (!in.take_number(size) || !in.take(' ') || !in.take(size, name))
        return std::nullopt;
    p.name = name;
    while (!in.is_at_end()) {
        if (!in.take(' '))
            return std::nullopt;
        if (in.take('G')) {
            grant g;
            if (!in.take(' ') || !in.take_number(g.serial) || !in.take(' ') ||
                !in.take_number(g.fence) || !in.take(' ') || !in.take_number(g.expiry))
                return std::nullopt;
            p.granted.push_back(g);
        } else if (in.take('H')) {
            std::int64_t after = 0;
            if (!in.take(' ') || !in.take_number(after))
                return std::nullopt;
            p.head = after;
        } else if (in.take('X')) {
            std::uint64_t serial = 0;
            if (!in.take(' ') || !in.take_number(serial))
                return std::nullopt;
            p.exceeded.push_back(serial);
        } else {
            return std::nullopt;
        }
    }
    return p;
}

inline failure to_failure(std::string_view error_text) noexcept {
    // Before 7.0, a server hides the first word of an error within a script:
    // ERR Error running script (call to f_5b9f): @user_script:1: @user_script: 1: -OOM command ...
    if (error_text.substr(0, 4) == "ERR ") {
        const auto inner = error_text.find(": -");
        if (inner != std::string_view::npos)
            error_text.remove_prefix(inner + 3);
    }
    const std::string_view word = error_text.substr(0, error_text.find(' '));
    const auto is_one_of = [word](auto... words) {
        return ((word == words) || ...);
    };
    if (is_one_of("BUSY", "TRYAGAIN"))
        return failure::busy;
    if (is_one_of("OOM", "MISCONF", "NOREPLICAS"))
        return failure::refused;
    if (is_one_of("MOVED", "ASK", "CROSSSLOT"))
        return failure::clustered;
    if (is_one_of("READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN"))
        return failure::unavailable;
    return failure::rejected;
}

} // namespace asio_semaphore::detail::fleet
