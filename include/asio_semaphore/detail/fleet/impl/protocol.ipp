// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

#include <asio_semaphore/detail/fleet/protocol.hpp>

#include <limits>
#include <random>
#include <utility>

namespace asio_semaphore::detail::fleet {

namespace protocol_detail {

// Takes a text apart, front to back.
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

    // At least one digit, and no more than fit.
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

// What the script needs of a request beside the client's name, which it has been told once.
inline std::string short_text(const request_name& name) {
    return std::to_string(name.serial) + '.' + std::to_string(name.n) + '.' +
           std::to_string(name.lease);
}

inline void append(const command& c, std::vector<std::string>& words) {
    words.emplace_back(1, static_cast<char>(c.what));
    switch (c.what) {
    case verb::acquire:
    case verb::try_acquire:
    case verb::give_back:
    case verb::ask:
        words.push_back(short_text(c.of));
        break;
    case verb::renew:
        words.push_back(short_text(c.of));
        words.push_back(std::to_string(c.fence));
        words.push_back(std::to_string(c.void_after));
        break;
    case verb::set_limit:
        words.push_back(std::to_string(c.limit));
        break;
    case verb::inspect:
        break;
    }
}

// The numbers of the script's answer, front to back; none of them may be missing, or be a list.
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

inline bool take_result(numbers& in, const command& of, result& r) noexcept {
    std::int64_t what = 0, first = 0, second = 0;
    if (!in.take(what) || !in.take(first) || !in.take(second))
        return false;
    if (what < static_cast<std::int64_t>(verdict::granted) ||
        what > static_cast<std::int64_t>(verdict::done))
        return false;
    r.what = static_cast<verdict>(what);
    switch (r.what) {
    case verdict::granted:
    case verdict::renewed:
    case verdict::readmitted:
        r.fence = static_cast<std::uint64_t>(first);
        r.expiry = second;
        break;
    case verdict::done:
        if (of.what == verb::inspect) {
            r.clients = first;
            r.lowest_fence = static_cast<std::uint64_t>(second);
        }
        break;
    default:
        break;
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
    return std::string(client) + '.' + protocol_detail::short_text(name);
}

inline std::string channel_of(std::string_view client) {
    return "asem:c:" + std::string(client);
}

inline std::vector<std::string>
to_arguments(const call& c, std::string_view client, std::uint64_t connection, std::int64_t clock) {
    std::vector<std::string> words{"5"};
    words.reserve(15 + 2 * c.commands.size());
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
    for (const command& each : c.commands)
        protocol_detail::append(each, words);
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

    if (!in.take_list(1, size) || size != (a.status == call_status::ok ? 3 * commands.size() : 0))
        return std::nullopt;
    a.results.resize(size / 3);
    for (std::size_t i = 0; i < a.results.size(); ++i) {
        if (!protocol_detail::take_result(in, commands[i], a.results[i]))
            return std::nullopt;
    }
    // Not resized before the numbers have been seen: a wrong size would be believed.
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
    // Before 7.0 a server hides the word of what failed within a script:
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
