// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

#pragma once

// Thirteen workloads for a limit algorithm, and the goals, relative to the best fixed limit.

#include "simulation.hpp"

#include <limits>
#include <map>
#include <string>
#include <vector>

namespace test::simulation {

constexpr double capacity = 4000; // requests a second, of the default server

// The goals that gradient_limit has to reach in the median of all seeds.
struct bar {
    double goodput = 0;                                         // relative to the best fixed limit
    double p99 = 1000;                                          // ms
    double refused = 1;                                         // relative to the arrivals
    double converged = std::numeric_limits<double>::infinity(); // seconds
};

struct window {
    std::string name;
    double from, to;
    simulation::bar bar = {};
};

struct workload {
    std::string name, what;
    simulation::options options;
    std::vector<window> windows;
    std::vector<double> sweep; // fixed limits to try for the best one
    double converged_at = 0.9; // relative to the goodput of the best fixed limit
};

inline simulation::options steady(double part) {
    simulation::options o;
    o.schedule = {{0, part * capacity, {}}};
    o.warm_up = 20;
    return o;
}

// The simple server of plant.cpp: it has no knee, and the best limit is its number of cores.
constexpr double work = 0.020; // seconds of CPU a request

inline simulation::options plant(double cores, double part) {
    simulation::options o;
    o.server.cores = cores;
    o.server.cpu = work;
    o.server.io = 0;
    o.server.slope = 0;
    o.schedule = {{0, part * cores / work, {}}};
    o.clients.timeout = 1;
    o.duration = 60;
    return o;
}

inline std::vector<workload> workloads() {
    std::vector<workload> all;
    const std::vector<double> usual{28, 32, 36, 40, 44, 48, 56};
    auto everything = [](bar b) {
        return std::vector<window>{{"", 0, 120, b}};
    };

    all.push_back({"W-a", "0.3", steady(0.3), everything({0.999, 1000, 0}), {8, 10, 12, 16, 20}});
    all.push_back({"W-b", "0.9", steady(0.9), everything({0.999, 30, 0.001}), usual});
    all.push_back({"W-c", "2.0", steady(2), everything({0.995, 53}), usual});
    all.push_back({"W-d", "10: a flood", steady(10), everything({0.995, 53}), usual});

    auto slow_cpu = steady(0.8);
    slow_cpu.schedule.push_back({60, 0.8 * capacity, [](server& s) {
                                     s.cpu *= 4;
                                 }});
    slow_cpu.schedule.push_back({100, 0.8 * capacity, [](server& s) {
                                     s.cpu /= 4;
                                 }});
    all.push_back(
        {"W-e",
         "0.8; CPU x 4 from 40 to 80 s",
         slow_cpu,
         {{"slow CPU", 40, 80, {0.985}}, {"80..85", 80, 85, {0.995}}},
         {14, 16, 20, 24, 28, 32}});

    auto slow_io = steady(0.8);
    slow_io.schedule.push_back({60, 0.8 * capacity, [](server& s) {
                                    s.io = 0.050;
                                }});
    slow_io.schedule.push_back({100, 0.8 * capacity, [](server& s) {
                                    s.io = 0.005;
                                }});
    all.push_back(
        {"W-f",
         "0.8; I/O wait 5 to 50 ms from 40 to 80 s",
         slow_io,
         {{"slow I/O", 40, 80, {0.95}}, {"40..45", 40, 45, {0.75}}, {"after", 80, 120, {0.98}}},
         {20, 24, 28, 40, 130, 145, 160, 175, 190}});

    auto bimodal = steady(1.5);
    bimodal.server.cpu_demand = bimodal_demand;
    all.push_back(
        {"W-g", "1.5; demands 95 % 0.5 ms, 5 % 30 ms", bimodal, everything({0.985, 160}), usual});

    auto pareto = steady(1.5);
    pareto.server.cpu_demand = pareto_demand;
    all.push_back({"W-h", "1.5; demands Pareto", pareto, everything({0.98}), usual});

    auto hour = steady(1.2);
    hour.duration = 3600;
    all.push_back(
        {"W-i",
         "1.2; one hour",
         hour,
         {{"minute 5", 240, 300}, {"minute 60", 3540, 3600, {0.995, 52}}},
         usual});

    auto burst = steady(0.02);
    burst.warm_up = 0;
    burst.schedule.push_back({300, 2 * capacity, {}});
    burst.duration = 360;
    all.push_back(
        {"W-j",
         "0.02 for 300 s, then 2.0",
         burst,
         {{"first 5 s", 300, 305, {0.98, 55}}, {"later", 305, 360}},
         usual});

    auto cold = steady(1.5);
    cold.warm_up = 0;
    cold.duration = 30;
    all.push_back(
        {"W-k", "1.5, from the start", cold, {{"first 5 s", 0, 5, {0.98, 1000, 1, 0.5}}}, usual});

    auto square = steady(0.2);
    square.schedule.clear();
    square.warm_up = 20;
    for (int i = 0; i < 14; ++i)
        square.schedule.push_back({i * 10.0, (i % 2 == 0 ? 0.2 : 2) * capacity, {}});
    all.push_back({"W-l", "0.2 and 2.0 in turns of 10 s", square, everything({0.99, 52}), usual});

    auto wide = steady(0);
    wide.server.cores = 64;
    wide.server.cpu = 0.0001;
    wide.server.io = 0.100;
    wide.server.slope = 0;
    wide.warm_up = 0;
    wide.schedule = {{0, 5000, {}}};
    all.push_back(
        {"W-m",
         "5,000/s, I/O 100 ms: needs 500",
         wide,
         {{"first 20 s", 0, 20, {0.95, 1000, 1, 1.5}}, {"20..120", 20, 120, {0, 1000, 0}}},
         {475, 500, 525, 550, 600}});
    all.back().converged_at = 0.95;
    return all;
}

// The workloads without a queue, with the goals for that.
inline std::vector<workload> workloads_without_queue() {
    const std::map<std::string, double> bars{{"W-b", 0.99}, {"W-c", 0.99}, {"W-f", 0.80},
                                             {"W-k", 0.98}, {"W-l", 0.99}, {"W-m", 0.95}};
    std::vector<workload> all;
    for (auto& w : workloads())
        if (const auto found = bars.find(w.name); found != bars.end()) {
            w.options.queue = 0;
            for (auto& x : w.windows)
                x.bar = {};
            w.windows[0].bar.goodput = found->second;
            all.push_back(std::move(w));
        }
    return all;
}

} // namespace test::simulation
