// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Compares limit algorithms with the best fixed limit of each workload. A sweep finds that limit.
// For each seed, both see the same arrivals and the same work.

#include "../../example/17_envoy_gradient.hpp"
#include "../../example/17_vegas.hpp"
#include "laws/netflix.hpp"
#include "workloads.hpp"

#include <asio_semaphore/limiter/aimd_limit.hpp>
#include <asio_semaphore/limiter/gradient_limit.hpp>

#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace test::simulation {

struct law {
    std::string name;
    std::function<limit_algorithm()> make;
};

inline limit_algorithm always(double limit) {
    return [limit](const limit_sample&) {
        return limit;
    };
}

inline std::vector<law> our_laws() {
    return {
        {"gradient_limit",
         [] {
             return asio_semaphore::gradient_limit();
         }},
        {"aimd_limit", [] {
             return asio_semaphore::aimd_limit();
         }}};
}

inline std::vector<law> other_laws() {
    return {
        {"Netflix AIMD",
         [] {
             return netflix::aimd();
         }},
        {"Netflix Vegas",
         [] {
             return vegas();
         }},
        {"Netflix Gradient",
         [] {
             return netflix::gradient();
         }},
        {"Netflix Gradient2, windowed",
         [] {
             return netflix::windowed<netflix::gradient2>();
         }},
        {"Envoy", [] {
             return envoy_gradient();
         }}};
}

// Algorithms without adaptation. A goal that one of them meets does not test adaptation.
inline std::vector<law> controls() {
    return {
        {"frozen at 20",
         [] {
             return always(20);
         }},
        {"always 1000",
         [] {
             return always(1000);
         }},
        {"always 1", [] {
             return always(1);
         }}};
}

inline double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    const auto middle = values.size() / 2;
    return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

// The results for one window of one workload, with one value for each seed.
struct measured {
    std::vector<double> goodput; // relative to the best fixed limit
    std::vector<double> p99;     // ms, from arrival to end, without refused requests
    std::vector<double> refused; // relative to the arrivals
    std::vector<double> limit;
    std::vector<double> converged; // seconds
};

struct evaluated {
    std::vector<measured> windows;
};

class best_fixed {
public:
    explicit best_fixed(workload w) : workload_(std::move(w)) {
        auto swept = workload_.options;
        // Nothing changes within the hour of W-i, so two minutes find the same limit.
        auto windows = workload_.windows;
        if (swept.duration > 1000) {
            swept.duration = 120;
            for (auto& x : windows)
                x.from = 0, x.to = 120;
        }
        std::vector<std::vector<double>> goodput(windows.size());
        for (double k : workload_.sweep) {
            const auto r = fixed(swept, k);
            for (std::size_t i = 0; i < windows.size(); ++i)
                goodput[i].push_back(r.goodput(windows[i].from, windows[i].to));
        }
        for (const auto& g : goodput) {
            const auto best = std::max_element(g.begin(), g.end());
            best_.push_back(workload_.sweep[static_cast<std::size_t>(best - g.begin())]);
            const auto least =
                std::find_if(g.begin(), g.end(), [&](double x) { return x >= 0.995 * *best; });
            limits_.push_back(workload_.sweep[static_cast<std::size_t>(least - g.begin())]);
        }
    }

    // For each window, the lowest limit whose goodput is within half a percent of the best.
    const std::vector<double>& limits() const { return limits_; }

    const std::vector<double>& goodput(std::uint64_t seed) {
        auto& known = goodput_[seed];
        if (known.empty()) {
            auto o = workload_.options;
            o.seed = seed;
            std::map<double, result> runs;
            for (std::size_t i = 0; i < limits_.size(); ++i) {
                const auto& x = workload_.windows[i];
                auto found = runs.find(best_[i]);
                if (found == runs.end())
                    found = runs.emplace(best_[i], fixed(o, best_[i])).first;
                known.push_back(found->second.goodput(x.from, x.to));
            }
        }
        return known;
    }

    const simulation::workload& work() const { return workload_; }

private:
    static result fixed(options o, double limit) {
        o.initial_limit = limit;
        return run(o, [] { return limit_algorithm(); })();
    }

    simulation::workload workload_;
    std::vector<double> best_, limits_;
    std::map<std::uint64_t, std::vector<double>> goodput_;
};

inline evaluated evaluate(best_fixed& best, const law& l, std::uint64_t first, int seeds) {
    const auto& w = best.work();
    evaluated e;
    e.windows.resize(w.windows.size());
    for (std::uint64_t seed = first; seed < first + static_cast<std::uint64_t>(seeds); ++seed) {
        auto o = w.options;
        o.seed = seed;
        const auto r = run(o, l.make)();
        const auto& goodput = best.goodput(seed);
        for (std::size_t i = 0; i < w.windows.size(); ++i) {
            const auto& x = w.windows[i];
            auto& m = e.windows[i];
            m.goodput.push_back(r.goodput(x.from, x.to) / goodput[i]);
            m.p99.push_back(r.quantile(0.99, x.from, x.to));
            m.refused.push_back(r.refused(x.from, x.to));
            m.limit.push_back(r.mean_limit(x.from, x.to));
            m.converged.push_back(
                r.converged(w.converged_at * goodput[i], x.from, w.options.duration));
        }
    }
    return e;
}

// Compares with the goals of the window. Empty if they are met, otherwise a list of the missed
// ones.
inline std::string missed(const workload& w, const evaluated& e, std::size_t window) {
    const auto& bar = w.windows[window].bar;
    const auto& m = e.windows[window];
    std::string what;
    auto check = [&](const char* name, double is, bool ok, double wanted) {
        if (!ok)
            what += std::string(what.empty() ? "" : ", ") + name + " " + std::to_string(is) +
                    " instead of " + std::to_string(wanted);
    };
    const double goodput = median(m.goodput), p99 = median(m.p99), refused = median(m.refused);
    check("goodput", goodput, goodput >= bar.goodput, bar.goodput);
    check("p99", p99, p99 <= bar.p99, bar.p99);
    check("refused", refused, refused <= bar.refused, bar.refused);
    const double converged = median(m.converged);
    check("converged", converged, converged <= bar.converged, bar.converged);
    return what;
}

} // namespace test::simulation
