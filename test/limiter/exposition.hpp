// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// A strict parser for the text format of OpenMetrics 1.0. It throws if a text violates the
// specification. In addition, every family needs a type and a help text, and no line may have a
// timestamp.

#include <cctype>
#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <limits>
#include <map>
#include <regex>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace test {

using label_set = std::map<std::string, std::string>;

struct sample {
    std::string name;
    label_set labels;
    std::string text; // the value as written
    double value;
};

struct family {
    std::string name, type, unit, help;
    std::vector<sample> samples;
};

class exposition {
public:
    explicit exposition(std::string_view text) { read(text); }

    const std::vector<family>& families() const { return families_; }

    /// The value of one line, as written.
    std::string value(const std::string& name, const label_set& labels = {}) const {
        const auto found = series_.find({name, labels});
        require(found != series_.end(), "no such line: " + name);
        return found->second;
    }

    std::size_t lines() const { return series_.size(); }

private:
    static void require(bool holds, const std::string& what) {
        if (!holds)
            throw std::runtime_error(what);
    }

    static bool ends_with(std::string_view text, std::string_view end) {
        return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
    }

    void read(std::string_view text) {
        require(ends_with(text, "\n"), "the last line does not end");
        bool ended = false;
        while (!text.empty()) {
            const std::string line(text.substr(0, text.find('\n')));
            text.remove_prefix(line.size() + 1);
            require(!ended, "goes on after its end: " + line);
            if (line == "# EOF")
                ended = true;
            else if (line.substr(0, 2) == "# ")
                read_description(line);
            else
                read_sample(line);
        }
        require(ended, "no # EOF");
        for (const family& f : families_)
            check(f);
    }

    void read_description(const std::string& line) {
        static const std::regex grammar("# (TYPE|UNIT|HELP) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)");
        std::smatch m;
        require(std::regex_match(line, m, grammar), "no description: " + line);
        const std::string name = m[2];
        if (families_.empty() || families_.back().name != name) {
            require(names_.insert(name).second, "a name for the second time: " + line);
            require(name[0] != '_' && name.find(':') == name.npos, "a reserved name: " + line);
            families_.push_back({name, {}, {}, {}, {}});
        }
        family& f = families_.back();
        require(f.samples.empty(), "described after its samples: " + line);
        std::string& what = m[1] == "TYPE" ? f.type : m[1] == "UNIT" ? f.unit : f.help;
        require(what.empty(), "described twice: " + line);
        what = m[3];
    }

    void read_sample(const std::string& line) {
        static const std::regex grammar(
            "([a-zA-Z_:][a-zA-Z0-9_:]*)"
            R"re((?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\]|\\["\\n])*"(?:,(?!\})|(?=\})))*)\})?)re"
            R"re( ([-+]?[0-9]+(?:\.[0-9]*)?(?:e[-+]?[0-9]+)?|NaN|[-+]Inf))re");
        std::smatch m;
        require(std::regex_match(line, m, grammar), "no sample: " + line);
        sample s{m[1], labels_of(m[2]), m[3], number(m[3])};
        require(!families_.empty(), "of no family: " + line);
        family& f = families_.back();
        require(!f.type.empty() && !f.help.empty(), "not described: " + line);
        require(s.name.compare(0, f.name.size(), f.name) == 0, "of another family: " + line);
        const std::string suffix = s.name.substr(f.name.size());
        if (f.type == "histogram")
            require(
                suffix == "_bucket" || suffix == "_count" || suffix == "_sum",
                "not of a histogram: " + line);
        else
            require(suffix == (f.type == "counter" ? "_total" : ""), "not of its type: " + line);
        require((suffix == "_bucket") == (s.labels.count("le") == 1), "le: " + line);
        if (f.type != "gauge") {
            require(s.value >= 0 && std::isfinite(s.value), "does not count up: " + line);
            require(suffix == "_sum" || s.value == std::floor(s.value), "no integer: " + line);
        }
        require(series_.insert({{s.name, s.labels}, s.text}).second, "a line twice: " + line);
        f.samples.push_back(std::move(s));
    }

    static label_set labels_of(const std::string& text) {
        static const std::regex one(R"re(([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\["\\n])*)")re");
        label_set labels;
        for (std::sregex_iterator i(text.begin(), text.end(), one), end; i != end; ++i) {
            const std::string name = (*i)[1];
            require(name[0] != '_', "a reserved label: " + text);
            require(labels.emplace(name, unescaped((*i)[2])).second, "a label twice: " + text);
        }
        return labels;
    }

    static std::string unescaped(const std::string& text) {
        std::string result;
        for (std::size_t i = 0; i < text.size(); ++i) {
            if (text[i] == '\\')
                result += text[++i] == 'n' ? '\n' : text[i];
            else
                result += text[i];
        }
        return result;
    }

    static double number(const std::string& text) {
        if (text == "NaN")
            return std::numeric_limits<double>::quiet_NaN();
        if (text == "+Inf" || text == "-Inf")
            return text[0] == '-' ? -HUGE_VAL : HUGE_VAL;
        return std::strtod(text.c_str(), nullptr);
    }

    void check(const family& f) {
        require(
            f.type == "gauge" || f.type == "counter" || f.type == "histogram",
            "of an unknown type: " + f.name);
        require(!f.samples.empty(), "without a sample: " + f.name);
        require(f.unit.empty() || ends_with(f.name, '_' + f.unit), "without its unit: " + f.name);
        for (const char* suffix : {"_total", "_created", "_count", "_sum", "_bucket", "_info"})
            require(names_.count(f.name + suffix) == 0, "names that clash: " + f.name);
        if (f.type == "histogram")
            check_histogram(f);
    }

    // A histogram with a single point, whose only own label is le.
    static void check_histogram(const family& f) {
        require(f.samples.size() >= 3, "an incomplete histogram: " + f.name);
        const std::size_t buckets = f.samples.size() - 2;
        double bound = -HUGE_VAL, count = 0;
        for (std::size_t i = 0; i < buckets; ++i) {
            const sample& s = f.samples[i];
            require(s.name == f.name + "_bucket", "no bucket: " + s.name);
            const std::string& le = s.labels.at("le");
            // The canonical form of numbers that are not very small or large.
            static const std::regex canonical(R"([0-9]+\.([0-9]|[0-9]*[1-9])|\+Inf)");
            require(std::regex_match(le, canonical), "no canonical number: " + le);
            require(number(le) > bound, "buckets in disorder: " + le);
            require(s.value >= count, "not cumulative: " + le);
            bound = number(le);
            count = s.value;
        }
        require(std::isinf(bound), "no last bucket: " + f.name);
        require(f.samples[buckets].name == f.name + "_count", "no count: " + f.name);
        require(f.samples[buckets].text == f.samples[buckets - 1].text, "not all: " + f.name);
        require(f.samples[buckets + 1].name == f.name + "_sum", "no sum: " + f.name);
    }

    std::vector<family> families_;
    std::set<std::string> names_;
    std::map<std::pair<std::string, label_set>, std::string> series_;
};

} // namespace test
