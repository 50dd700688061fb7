// SPDX-FileCopyrightText: The asio_semaphore authors
// SPDX-License-Identifier: BSL-1.0

// As instructions.cpp, for the limiter: the executables instructions_l* are this file with
// different BENCH_WORK.

#include "limiters.hpp"

#include <boost/version.hpp>

#include <cstdio>
#include <cstdlib>

namespace {

enum class work { l1, l1_coroutine, l2, l2_gradient, l3, l3_keys, l4, l6 };

// A template, so that only one of the branches is compiled.
template <work Work>
void perform(long n) {
    using namespace bench;
    using subject = BENCH_SUBJECT<asio::any_io_executor>;
    constexpr int one_thread = 1;
    if constexpr (Work == work::l1) {
        run_chains<subject>(n, 1, 1, 1, one_thread);
    } else if constexpr (Work == work::l1_coroutine) {
        run_coroutines<subject>(n, 1, 1, asio::deferred, 1, one_thread);
    } else if constexpr (Work == work::l2) {
        run_admissions<subject>(n, roomy_options());
    } else if constexpr (Work == work::l2_gradient) {
        run_admissions<subject>(n, learning_options());
    } else if constexpr (Work == work::l3) {
        run_chains<subject>(n, 1000, 1, 1, one_thread);
    } else if constexpr (Work == work::l3_keys) {
        run_keyed_chains<subject>(n, 1000, 1, one_thread);
    } else if constexpr (Work == work::l4) {
        run_refusals<subject>(n, roomy_options(100), one_thread);
    } else if constexpr (Work == work::l6) {
        asio::io_context context(one_thread);
        subject limiter(context.get_executor(), 10);
        run_new_keys(limiter, 0, n);
    }
}

} // namespace

// Without a number of operations it tells its Boost.
int main(int argc, char** argv) {
    if (argc > 1)
        perform<work::BENCH_WORK>(std::atol(argv[1]));
    else
        std::puts(BOOST_LIB_VERSION);
}
