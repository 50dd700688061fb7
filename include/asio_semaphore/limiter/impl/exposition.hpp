// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Writes OpenMetrics 1.0 text: numbers, labels and metric families, for statistics of any kind.

#include <asio_semaphore/limiter/limiter_statistics.hpp>

#include <boost/throw_exception.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <locale>
#include <ostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace asio_semaphore::detail::openmetrics {

using label = std::pair<std::string_view, std::string_view>;
using label_list = std::initializer_list<label>;

// The grammar of OpenMetrics allows colons and leading underscores, but the specification reserves
// them.
inline bool is_name(std::string_view name) {
    const auto is_letter = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    };
    const auto may_follow = [&](char c) {
        return is_letter(c) || (c >= '0' && c <= '9') || c == '_';
    };
    return !name.empty() && is_letter(name[0]) && std::all_of(name.begin(), name.end(), may_follow);
}

// Returns the shortest text of 15 to 17 digits that reads back as the same number.
inline std::string number(double value) {
    if (std::isnan(value))
        return "NaN";
    if (std::isinf(value))
        return value < 0 ? "-Inf" : "+Inf";
    for (int digits = 15;; ++digits) {
        std::stringstream text;
        text.imbue(std::locale::classic());
        text.precision(digits);
        text << value;
        double read = 0;
        const bool same = text >> read && read == value;
        if (same || digits == 17)
            return text.str();
    }
}

// The text is exact. It has a fraction even if that is zero, because OpenMetrics requires it in a
// bucket's label.
inline std::string seconds(duration_histogram::duration d) {
    const std::int64_t count = std::chrono::duration_cast<std::chrono::nanoseconds>(d).count();
    const bool negative = count < 0;
    const std::uint64_t size =
        negative ? 0 - static_cast<std::uint64_t>(count) : static_cast<std::uint64_t>(count);
    constexpr std::uint64_t one = 1000000000;
    std::string fraction = std::to_string(one + size % one);
    fraction[0] = '.';
    fraction.resize(std::max(fraction.find_last_not_of('0') + 1, std::size_t(2)));
    // Built step by step: for a single expression, GCC 12 warns in optimised builds of programs
    // that include this header.
    std::string text = negative ? "-" : "";
    text += std::to_string(size / one);
    text += fraction;
    return text;
}

// One exposition, written family by family.
class exposition {
public:
    exposition(std::string_view prefix, label_list labels) : prefix_(prefix) {
        if (!is_name(prefix))
            refuse("the prefix is not the beginning of a metric's name");
        for (auto l = labels.begin(); l != labels.end(); ++l) {
            const auto [name, value] = *l;
            if (!is_name(name))
                refuse("the name of a label is not valid");
            if (name == "le" || name == "priority" || name == "reason" || name == "outcome")
                refuse("the name of a label is in use");
            if (std::any_of(labels.begin(), l, [n = name](const label& o) { return o.first == n; }))
                refuse("the name of a label is there twice");
            append_label(labels_, name, value);
        }
    }

    // Begins a family. The samples added after this call belong to it.
    void family(
        std::string_view name, std::string_view type, std::string_view help,
        std::string_view unit = {}) {
        family_ = prefix_ + '_';
        family_ += name;
        describe("TYPE", type);
        if (!unit.empty())
            describe("UNIT", unit);
        describe("HELP", help);
    }

    void add(std::string_view suffix, label_list own, std::string_view value) {
        text_ += family_;
        text_ += suffix;
        std::string labels = labels_;
        for (const auto& [name, label_value] : own)
            append_label(labels, name, label_value);
        if (!labels.empty()) {
            text_ += '{';
            text_ += labels;
            text_ += '}';
        }
        text_ += ' ';
        text_ += value;
        text_ += '\n';
    }

    void gauge(
        std::string_view name, std::string_view help, std::string_view value,
        std::string_view unit = {}) {
        family(name, "gauge", help, unit);
        add("", {}, value);
    }

    void counter(std::string_view name, std::string_view help, std::uint64_t value) {
        family(name, "counter", help);
        add("_total", {}, std::to_string(value));
    }

    void histogram(std::string_view name, std::string_view help, const duration_histogram& h) {
        family(name, "histogram", help, "seconds");
        std::uint64_t count = 0;
        for (std::size_t i = 0; i < h.bounds.size(); ++i) {
            count += h.counts[i];
            add("_bucket", {{"le", seconds(h.bounds[i])}}, std::to_string(count));
        }
        add("_bucket", {{"le", "+Inf"}}, std::to_string(h.count()));
        add("_count", {}, std::to_string(h.count()));
        // The sum is a counter like the others: a parser would refuse the whole text if it were
        // negative.
        add("_sum", {}, seconds(std::max(h.sum, h.sum.zero())));
    }

    // Writes the text in one unformatted call, so that the stream's format settings have no
    // influence and stay as they are.
    void write(std::ostream& out) && {
        text_ += "# EOF\n";
        out.write(text_.data(), static_cast<std::streamsize>(text_.size()));
    }

private:
    [[noreturn]] static void refuse(const char* why) {
        boost::throw_exception(std::invalid_argument(std::string("write_openmetrics: ") + why));
    }

    static void append_label(std::string& to, std::string_view name, std::string_view value) {
        if (!to.empty())
            to += ',';
        to += name;
        to += "=\"";
        for (const char c : value) {
            if (c == '\\' || c == '"')
                to += '\\';
            if (c == '\n')
                to += "\\n";
            else
                to += c;
        }
        to += '"';
    }

    void describe(std::string_view what, std::string_view text) {
        text_ += "# ";
        text_ += what;
        text_ += ' ';
        text_ += family_;
        text_ += ' ';
        text_ += text;
        text_ += '\n';
    }

    const std::string prefix_;
    std::string labels_; // as they appear on each line
    std::string family_; // the name of the current family
    std::string text_;
};

} // namespace asio_semaphore::detail::openmetrics
