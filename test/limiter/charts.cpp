// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// Draws the limit, the latency and the goodput over time, for doc/finding_the_limit.md.
//
//   limiter_charts DIRECTORY            writes the charts
//   limiter_charts --check DIRECTORY    fails if the charts in the directory are different

#include "evaluation.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <map>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

using namespace test::simulation;

namespace {

// ---- contents of the charts

struct phase {
    double from, to;           // seconds
    std::string what;          // the title of the phase
    std::vector<double> sweep; // fixed limits to try for the best one
};

struct contender {
    std::string name, colour;
    double start;
    std::function<limit_algorithm()> make;
};

struct axis {
    double low, high;
    std::vector<double> ticks;
    bool logarithmic;
};

struct chart {
    std::string file, title, arrivals;
    test::simulation::options options;
    double bin; // length in seconds
    std::vector<phase> phases;
    std::vector<contender> contenders;
    axis seconds, limit, latency, goodput;
};

const std::string blue = "#0b5cad", orange = "#c4620a", green = "#2d7d46", purple = "#8250df",
                  black = "#1f2328";

contender adaptive(std::size_t which, std::string colour, double start) {
    const law l = our_laws()[which];
    return {l.name, std::move(colour), start, l.make};
}

contender fixed_at(double limit, std::string colour) {
    return {"fixed at " + std::to_string(std::lround(limit)), std::move(colour), limit, [limit] {
                return always(limit);
            }};
}

std::vector<chart> charts() {
    std::vector<chart> all;

    auto capacity_falls = plant(48, 1.5);
    const double arrivals = capacity_falls.schedule[0].arrivals;
    capacity_falls.schedule.push_back({20, arrivals, [](server& s) {
                                           s.cores = 8;
                                       }});
    capacity_falls.schedule.push_back({40, arrivals, [](server& s) {
                                           s.cores = 48;
                                       }});
    all.push_back(
        {"limit_capacity.svg",
         "The capacity falls to a sixth, and comes back",
         "3,600 requests a second arrive",
         capacity_falls,
         0.5,
         {{0, 20, "48 cores: 2,400 a second at most", {40, 44, 48, 52, 56}},
          {20, 40, "8 cores: 400", {6, 7, 8, 9, 10}},
          {40, 60, "48 cores: 2,400", {40, 44, 48, 52, 56}}},
         {adaptive(0, blue, 20), adaptive(1, orange, 20), fixed_at(48, purple)},
         {0, 60, {0, 10, 20, 30, 40, 50, 60}, false},
         {5, 700, {5, 10, 20, 50, 100, 200, 500}, true},
         {50, 1000, {50, 100, 200, 500, 1000}, true},
         {0, 3000, {0, 1000, 2000, 3000}, false}});

    const auto known = workloads();
    const auto slow_io =
        std::find_if(known.begin(), known.end(), [](const workload& w) { return w.name == "W-f"; });
    all.push_back(
        {"limit_latency.svg",
         "A dependency becomes slower: latency that is no overload",
         "3,200 requests a second arrive",
         slow_io->options,
         1,
         {{0, 40, "each waits 5 ms elsewhere", slow_io->sweep},
          {40, 80, "50 ms", slow_io->sweep},
          {80, 120, "5 ms", slow_io->sweep}},
         {adaptive(0, blue, 20), adaptive(1, orange, 20), fixed_at(40, purple)},
         {0, 120, {0, 20, 40, 60, 80, 100, 120}, false},
         {20, 300, {20, 50, 100, 200}, true},
         {10, 200, {10, 20, 50, 100, 200}, true},
         {0, 4000, {0, 1000, 2000, 3000, 4000}, false}});

    auto start = plant(32, 1.5);
    start.duration = 10;
    std::vector<contender> starts;
    for (const auto& [limit, colour] :
         {std::pair(1.0, green), std::pair(20.0, blue), std::pair(500.0, orange)}) {
        starts.push_back(adaptive(0, colour, limit));
        starts.back().name += " from " + std::to_string(std::lround(limit));
    }
    all.push_back(
        {"limit_start.svg",
         "A start far from the right limit",
         "2,400 requests a second arrive",
         start,
         0.2,
         {{0, 10, "32 cores: 1,600 a second at most", {24, 28, 32, 36, 40}}},
         starts,
         {0, 10, {0, 2, 4, 6, 8, 10}, false},
         {1, 1000, {1, 10, 100, 1000}, true},
         {50, 1000, {50, 100, 200, 500, 1000}, true},
         {0, 2000, {0, 500, 1000, 1500, 2000}, false}});
    return all;
}

// ---- curves

struct course {
    double from = 0;
    std::vector<double> limit;            // values at the start and at the end of each bin
    std::vector<double> latency, goodput; // values for each bin
};

// Records the latencies that the algorithm sees.
course follow(options o, double bin, double start, const std::function<limit_algorithm()>& make) {
    const auto bins = static_cast<std::size_t>(std::lround(o.duration / bin));
    std::vector<latencies> seen(bins);
    o.initial_limit = start;
    o.seed = 2;
    const auto watched = [&]() -> limit_algorithm {
        return [&seen, &o, bin, law = make()](const limit_sample& s) {
            const auto at = std::chrono::duration<double>(s.at.time_since_epoch()).count();
            const double which = (at - o.warm_up) / bin;
            if (which >= 0 && which < static_cast<double>(seen.size()))
                seen[static_cast<std::size_t>(which)].add(
                    std::chrono::duration<double>(s.latency).count());
            return law(s);
        };
    };
    const auto r = run(o, watched)();
    course c;
    c.limit.push_back(o.warm_up > 0 ? r.limit_at(0) : start);
    for (std::size_t i = 0; i < bins; ++i) {
        const double from = static_cast<double>(i) * bin, to = from + bin;
        c.limit.push_back(r.limit_at(to - slot_length));
        c.latency.push_back(seen[i].quantile(0.99));
        c.goodput.push_back(r.goodput(from, to));
    }
    return c;
}

// Returns the curve of the best fixed limit for each phase: the lowest limit whose goodput is
// within half a percent of the largest.
std::vector<course> best_fixed_limits(const chart& c) {
    std::map<double, course> runs;
    for (const auto& p : c.phases)
        for (double limit : p.sweep)
            if (runs.count(limit) == 0)
                runs[limit] = follow(c.options, c.bin, limit, [limit] { return always(limit); });
    std::vector<course> best;
    for (const auto& p : c.phases) {
        const auto first = std::lround(p.from / c.bin), last = std::lround(p.to / c.bin);
        std::vector<double> goodput;
        for (double limit : p.sweep) {
            const auto begin = runs[limit].goodput.begin();
            goodput.push_back(std::accumulate(begin + first, begin + last, 0.0));
        }
        const double most = *std::max_element(goodput.begin(), goodput.end());
        const auto least = std::find_if(
            goodput.begin(), goodput.end(), [&](double x) { return x >= 0.995 * most; });
        const course& whole = runs[p.sweep[static_cast<std::size_t>(least - goodput.begin())]];
        auto part = [&](const std::vector<double>& all, long more) {
            return std::vector<double>(all.begin() + first, all.begin() + last + more);
        };
        best.push_back(
            {p.from, part(whole.limit, 1), part(whole.latency, 0), part(whole.goodput, 0)});
    }
    return best;
}

// ---- drawing

constexpr double left = 58, right = 744, panel_height = 120, panel_step = 156, first_panel = 104;

std::string number(double x) {
    char text[32];
    std::snprintf(text, sizeof text, "%.1f", x);
    return text;
}

std::string text(
    double x, double y, const std::string& what, const char* anchor = "start",
    const std::string& style = "") {
    return "<text x=\"" + number(x) + "\" y=\"" + number(y) + "\" text-anchor=\"" + anchor + "\"" +
           style + ">" + what + "</text>\n";
}

std::string line(
    const std::vector<std::pair<double, double>>& points, const std::string& colour,
    const std::string& style) {
    std::string all;
    for (std::size_t i = 0; i < points.size(); ++i) {
        const bool between = i > 0 && i + 1 < points.size();
        const std::string y = number(points[i].second);
        if (between && number(points[i - 1].second) == y && number(points[i + 1].second) == y)
            continue;
        all += (all.empty() ? "" : " ") + number(points[i].first) + "," + y;
    }
    return "<polyline points=\"" + all + "\" stroke=\"" + colour + "\"" + style + "/>\n";
}

double along(const axis& a, double value) {
    const double clamped = std::clamp(value, a.low, a.high);
    return a.logarithmic ? std::log(clamped / a.low) / std::log(a.high / a.low)
                         : (clamped - a.low) / (a.high - a.low);
}

const std::string thin = " stroke-width=\"0.7\"", thick = " stroke-width=\"1.8\"",
                  dashed = " stroke-width=\"1.6\" stroke-dasharray=\"5 3\"",
                  quiet = " fill=\"#59636e\"", grid = "#d8dee4";

std::string tick_label(double x) {
    const long whole = std::lround(x);
    char label[32];
    if (whole < 1000)
        std::snprintf(label, sizeof label, "%ld", whole);
    else
        std::snprintf(label, sizeof label, "%ld,%03ld", whole / 1000, whole % 1000);
    return label;
}

std::string draw(const chart& c) {
    const double bottom = first_panel + 2 * panel_step + panel_height;
    std::string svg =
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 760 " + number(bottom + 42) +
        "\" width=\"760\" font-family=\"system-ui, sans-serif\" font-size=\"11\" "
        "fill=\"#1f2328\">\n"
        "<rect width=\"760\" height=\"" +
        number(bottom + 42) + "\" fill=\"#fff\"/>\n" +
        text(20, 26, c.title, "start", " font-size=\"15\" font-weight=\"bold\"") +
        text(right, 26, c.arrivals, "end", quiet) + "<g fill=\"none\" stroke-linejoin=\"round\">\n";

    const auto best = best_fixed_limits(c);
    std::vector<course> courses;
    for (const auto& who : c.contenders)
        courses.push_back(follow(c.options, c.bin, who.start, who.make));

    std::string labels, lines;
    double x = 20;
    auto legend = [&](const std::string& name, const std::string& colour, const std::string& how) {
        lines += line({{x, 46}, {x + 22, 46}}, colour, how);
        labels += text(x + 28, 50, name);
        x += 28 + 6.2 * static_cast<double>(name.size()) + 24;
    };
    for (const auto& who : c.contenders)
        legend(who.name, who.colour, thick);
    legend(
        c.phases.size() > 1 ? "best fixed limit of each phase" : "best fixed limit", black, dashed);

    auto at = [&](double seconds) {
        return left + (right - left) * along(c.seconds, seconds);
    };
    const struct {
        std::string name;
        const axis& values;
        std::vector<double> course::*of;
        double centre; // offset of the points in a bin
    } panels[] = {
        {"limit, requests at a time", c.limit, &course::limit, 0},
        {"latency in the server, ms, 99th percentile", c.latency, &course::latency, 0.5},
        {"goodput, requests a second", c.goodput, &course::goodput, 0.5}};
    double top = first_panel;
    for (const auto& p : panels) {
        auto height = [&](double value) {
            return top + panel_height * (1 - along(p.values, value));
        };
        labels += text(left, top - 8, p.name, "start", " font-weight=\"bold\"");
        for (double tick : p.values.ticks) {
            lines += line({{left, height(tick)}, {right, height(tick)}}, grid, thin);
            labels += text(left - 6, height(tick) + 4, tick_label(tick), "end", quiet);
        }
        for (const auto& phase : c.phases)
            if (phase.from > c.seconds.low)
                lines += line(
                    {{at(phase.from), top}, {at(phase.from), top + panel_height}}, "#8b949e", thin);
        auto curve = [&](const course& of, const std::string& colour, const std::string& how) {
            std::vector<std::pair<double, double>> points;
            for (double value : of.*p.of)
                points.emplace_back(
                    at(of.from + (static_cast<double>(points.size()) + p.centre) * c.bin),
                    height(value));
            lines += line(points, colour, how);
        };
        for (std::size_t i = courses.size(); i-- > 0;) // the first contender on top
            curve(courses[i], c.contenders[i].colour, thick);
        for (const auto& of : best)
            curve(of, black, dashed);
        top += panel_step;
    }
    for (const auto& phase : c.phases)
        labels += text((at(phase.from) + at(phase.to)) / 2, 74, phase.what, "middle", quiet);
    for (double tick : c.seconds.ticks)
        labels += text(at(tick), bottom + 16, tick_label(tick), "middle", quiet);
    labels += text((left + right) / 2, bottom + 32, "seconds", "middle", quiet);
    return svg + lines + "</g>\n" + labels + "</svg>\n";
}

} // namespace

int main(int argc, char* argv[]) {
    const std::vector<std::string> arguments(argv + 1, argv + argc);
    const bool check = arguments.size() == 2 && arguments[0] == "--check";
    if (arguments.size() != (check ? 2 : 1)) {
        std::cerr << "limiter_charts [--check] DIRECTORY\n";
        return 2;
    }
    int result = 0;
    for (const auto& c : charts()) {
        const std::string path = arguments.back() + "/" + c.file, drawn = draw(c);
        if (check) {
            std::ifstream file(path, std::ios::binary);
            const std::string there{std::istreambuf_iterator<char>(file), {}};
            if (there != drawn) {
                std::cerr << path << " differs; test/limiter/experiments --charts writes it\n";
                result = 1;
            }
        } else if (!(std::ofstream(path, std::ios::binary) << drawn))
            result = 1;
    }
    return result;
}
