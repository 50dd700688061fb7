// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// Prints the results of each limit algorithm with each workload, for test/limiter/experiments.
//
//   limiter_experiments [SEEDS [FIRST [WORKLOADS]]]     20 seeds from 1, without arguments

#include "evaluation.hpp"

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

using namespace test::simulation;

namespace {

std::string number(double x) {
    char text[32];
    std::snprintf(text, sizeof text, "%.3f", x);
    return text;
}

// A workload of an hour takes seconds, so it runs with only two seeds.
int seeds_of(const workload& w, int seeds) {
    return w.options.duration > 1000 ? std::min(seeds, 2) : seeds;
}

void table(
    const std::vector<workload>& all, std::uint64_t first, int seeds, const std::string& chosen) {
    std::vector<law> laws = our_laws();
    for (auto* more : {other_laws, controls})
        for (auto& l : more())
            laws.push_back(l);
    std::string head = "| workload | best fixed limit |", line = "|---|---|";
    for (const auto& l : laws) {
        head += " " + l.name + " |";
        line += "---|";
    }
    std::printf("%s\n%s\n", head.c_str(), line.c_str());
    for (const auto& w : all) {
        if (!chosen.empty() && chosen.find(w.name) == std::string::npos)
            continue;
        best_fixed best(w);
        std::vector<std::string> rows;
        for (std::size_t i = 0; i < w.windows.size(); ++i) {
            char k[16];
            std::snprintf(k, sizeof k, "%g", best.limits()[i]);
            rows.push_back(
                "| " + w.name + (w.windows[i].name.empty() ? "" : ", ") + w.windows[i].name +
                " | " + k + " |");
        }
        for (const auto& l : laws) {
            const bool ours = l.name == "gradient_limit";
            const auto e = evaluate(best, l, first, seeds_of(w, ours ? seeds : std::min(seeds, 5)));
            for (std::size_t i = 0; i < rows.size(); ++i) {
                const auto& m = e.windows[i];
                char p99[16];
                std::snprintf(p99, sizeof p99, "%.0f", median(m.p99));
                rows[i] += " " + number(median(m.goodput)) + " / " + p99;
                if (ours)
                    rows[i] +=
                        ", worst " + number(*std::min_element(m.goodput.begin(), m.goodput.end()));
                rows[i] += " |";
            }
        }
        for (const auto& row : rows)
            std::printf("%s\n", row.c_str());
        std::fflush(stdout);
    }
}

} // namespace

int main(int argc, char* argv[]) {
    const int seeds = argc > 1 ? std::atoi(argv[1]) : 20;
    const std::string chosen = argc > 3 ? argv[3] : "";
    const auto first = static_cast<std::uint64_t>(argc > 2 ? std::atoi(argv[2]) : 1);
    std::printf(
        "Goodput as a part of that of the best fixed limit / p99 in ms, medians. gradient_limit: "
        "seeds %d to %d, and its worst seed; the others: the first five of them; "
        "W-i: the first two.\n\n"
        "With a queue of 64:\n\n",
        static_cast<int>(first), static_cast<int>(first) + seeds - 1);
    table(workloads(), first, seeds, chosen);
    std::printf("\nWithout a queue:\n\n");
    table(workloads_without_queue(), first, seeds, chosen);
}
