// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// Measures everything that there is to measure in one process. The results go to standard output,
// tab separated; progress goes to standard error.
//
//   bench_suite [--quick | --smoke] [--alone] [--rows REGEX] [--rounds N]
//
// --alone: no second thread. Locks and reference counts are cheaper then than in most programs.

#include "suite.hpp"

#include <iostream>
#include <memory>
#include <string_view>

int main(int argc, char** argv) {
    bench::settings settings;
    for (int i = 1; i < argc; ++i) {
        const std::string_view option = argv[i];
        if (option == "--quick") {
            settings.rounds = 5;
            settings.each = std::chrono::milliseconds(4);
            settings.max_size = 100000;
        } else if (option == "--smoke") {
            settings.rounds = 1;
            settings.each = std::chrono::microseconds(10);
            settings.max_size = 1000;
        } else if (option == "--alone") {
            settings.second_thread = false;
        } else if (option == "--rows" && i + 1 < argc) {
            settings.rows = argv[++i];
        } else if (option == "--rounds" && i + 1 < argc) {
            settings.rounds = std::stoi(argv[++i]);
        } else {
            std::cerr << "unknown option " << option << '\n';
            return 2;
        }
    }

    bench::pin_to_processor(0);
    std::unique_ptr<bench::second_thread> second;
    if (settings.second_thread)
        second = std::make_unique<bench::second_thread>();

    bench::suite suite(settings);
    bench::add_baselines(suite);
    bench::add_semaphores(suite);
    bench::add_channels(suite);
    bench::add_handmade(suite);
    bench::add_limiters(suite);
    suite.run(std::cerr);
    suite.write(std::cout);
}
